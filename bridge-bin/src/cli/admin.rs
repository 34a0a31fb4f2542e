//! `admin`: people who may log in, and programs that may look.

use std::io::{BufRead, Read};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{note, table};
use crate::Failure;
use crate::app::App;
use crate::http::auth;
use crate::zone;

/// The shortest password accepted, in characters.
const SHORTEST_PASSWORD: usize = 10;

/// The longest line read as a password, in bytes.
const LONGEST_PASSWORD: u64 = 1024;

/// People who may log in, and programs that may look
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge admin user add anna --password-file password.txt
  zk-bridge admin token add prometheus")]
pub(super) enum Admin {
    #[command(subcommand)]
    User(User),
    #[command(subcommand)]
    Token(Token),
}

/// Tokens for programs, such as one that collects /metrics
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge admin token add prometheus
  zk-bridge admin token list")]
pub(super) enum Token {
    Add(AddToken),
    List(ListTokens),
    Remove(RemoveToken),
}

/// Add a token; it is printed once and cannot be shown again
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge admin token add prometheus
  curl -H \"Authorization: Bearer TOKEN\" http://127.0.0.1:8080/metrics")]
pub(super) struct AddToken {
    /// What it is for
    #[arg(value_parser = args::name)]
    name: String,
    /// What the program may do; so far all of them only look
    #[arg(long, value_enum, value_name = "ROLE", default_value_t = Role::Viewer)]
    role: Role,
}

/// List the tokens, without themselves
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge admin token list --json")]
pub(super) struct ListTokens {}

/// Remove a token; whoever holds it is shut out at once
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge admin token remove prometheus")]
pub(super) struct RemoveToken {
    /// Its name
    name: String,
}

/// Accounts for the pages
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge admin user add anna --password-file password.txt")]
pub(super) enum User {
    Add(Add),
}

/// Add an account
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge admin user add anna --password-file password.txt
  pass show zk-bridge | zk-bridge admin user add ben --role viewer --password-file -")]
pub(super) struct Add {
    /// The name to log in with
    #[arg(value_parser = args::name)]
    name: String,
    /// What the person may do
    #[arg(long, value_enum, value_name = "ROLE", default_value_t = Role::Admin)]
    role: Role,
    /// A file whose first line is the password, at least 10 characters; `-` reads it from stdin
    #[arg(long, value_name = "FILE|-")]
    password_file: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Everything
    Admin,
    /// People, shifts and corrections
    Hr,
    /// Look only
    Viewer,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Hr => "hr",
            Self::Viewer => "viewer",
        }
    }
}

/// A token as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    role: String,
    #[serde(serialize_with = "zone::as_utc")]
    created: i64,
}

impl Admin {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::User(User::Add(command)) => command.run(context).await,
            Self::Token(Token::Add(command)) => command.run(context).await,
            Self::Token(Token::List(command)) => command.run(context).await,
            Self::Token(Token::Remove(command)) => command.run(context).await,
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self {
            name,
            role,
            password_file,
        } = self;
        let password = read_password(&password_file)?;
        let app = context.app_or_new().await?;
        add_account(&app, &name, role.name(), &password).await?;
        let document = json!({"name": name, "role": role.name()});
        context
            .output
            .report(&document, |_| format!("Added {name} ({}).", role.name()))?;
        Ok(Exit::Done)
    }
}

impl AddToken {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let (name, role) = (self.name, self.role.name());
        let token = auth::add_token(&app, &name, role).await?;
        let document = json!({"name": name, "role": role, "token": token});
        context.output.report(&document, |_| token.clone())?;
        if !context.output.is_json() {
            note(format_args!(
                "This is the token of {name}. It cannot be shown again; keep it where only that program can read it."
            ));
        }
        Ok(Exit::Done)
    }
}

impl ListTokens {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let tokens = app.store.tokens().await?.into_iter().map(|row| Listed {
            name: row.name,
            role: row.role,
            created: row.created_at,
        });
        let tokens: Vec<Listed> = tokens.collect();
        let document = json!({"tokens": tokens});
        context.output.report(&document, |_| {
            if tokens.is_empty() {
                return "No tokens.".to_owned();
            }
            let rows = tokens.iter().map(|token| {
                let created = zone::rfc3339(&app.zone, token.created);
                [token.name.clone(), token.role.clone(), created]
            });
            table(&["Name", "Role", "Created"], rows)
        })?;
        Ok(Exit::Done)
    }
}

impl RemoveToken {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let name = self.name;
        if !app.store.remove_token(&name).await? {
            return Err(Failure::new(
                "unknown_token",
                format!("There is no token called {name:?}."),
                "See `zk-bridge admin token list`.",
            )
            .into());
        }
        let document = json!({"removed": name});
        context
            .output
            .report(&document, |_| format!("Removed {name}."))?;
        Ok(Exit::Done)
    }
}

/// The first line of a file, or of stdin.
pub(super) fn read_password(source: &str) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    let read = if source == "-" {
        std::io::stdin()
            .lock()
            .take(LONGEST_PASSWORD)
            .read_line(&mut line)
    } else {
        std::fs::File::open(source).and_then(|file| {
            std::io::BufReader::new(file)
                .take(LONGEST_PASSWORD)
                .read_line(&mut line)
        })
    };
    read.map_err(|error| {
        let place = if source == "-" { "stdin" } else { source };
        Failure::new(
            "password",
            format!("The password cannot be read from {place}: {error}."),
            "Put it alone on the first line of a file, or pass `-` and send it on stdin.",
        )
    })?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(Failure::new(
            "password",
            format!("The password is shorter than {SHORTEST_PASSWORD} characters."),
            "Choose a longer one; a few words make a good one.",
        )
        .into());
    }
    Ok(password.into())
}

/// Adds an account with the hash of its password.
pub(super) async fn add_account(
    app: &App,
    name: &str,
    role: &str,
    password: &SecretString,
) -> anyhow::Result<()> {
    let hash = auth::hash_password(password.expose_secret())?;
    app.store
        .add_account(name, role, hash, app.clock.now())
        .await?;
    Ok(())
}
