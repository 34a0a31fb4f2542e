//! `admin`: people who may log in.

use std::io::{BufRead, Read};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Exit;
use super::args;
use super::context::Context;
use crate::Failure;
use crate::app::App;
use crate::http::auth;

/// The shortest password accepted, in characters.
const SHORTEST_PASSWORD: usize = 10;

/// The longest line read as a password, in bytes.
const LONGEST_PASSWORD: u64 = 1024;

/// People who may log in
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge admin user add anna --password-file password.txt")]
pub(super) enum Admin {
    #[command(subcommand)]
    User(User),
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

impl Admin {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self::User(User::Add(Add {
            name,
            role,
            password_file,
        })) = self;
        let password = read_password(&password_file)?;
        let app = context.app().await?;
        add_account(&app, &name, role.name(), &password).await?;
        let document = json!({"name": name, "role": role.name()});
        context
            .output
            .report(&document, |_| format!("Added {name} ({}).", role.name()))?;
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
