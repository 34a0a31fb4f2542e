//! `init`: a data directory with its configuration, key and first administrator.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::admin;
use super::args;
use super::context::Context;
use super::output;
use crate::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, ZoneName};
use crate::store::Kind;
use crate::zone;

/// Set up a data directory: commented configuration, key, database, first administrator
///
/// What exists already is kept, so it can be run again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge init --admin anna --password-file password.txt
  zk-bridge init --print > zk-bridge.toml")]
pub(super) struct Init {
    /// Add an administrator of this name
    #[arg(long, value_name = "NAME", value_parser = args::name, requires = "password_file")]
    admin: Option<String>,
    /// A file whose first line is the administrator's password, at least 10 characters; `-` reads it from stdin
    #[arg(long, value_name = "FILE|-", requires = "admin")]
    password_file: Option<String>,
    /// IANA zone of the site [default: this machine's]
    #[arg(long, value_name = "ZONE", value_parser = args::zone_name)]
    timezone: Option<String>,
    /// Only print the commented configuration
    #[arg(long, conflicts_with_all = ["admin", "password_file"])]
    print: bool,
}

impl Init {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let zone = ZoneName(self.timezone.unwrap_or_else(zone::of_this_machine));
        let example = config::example_for(&zone);
        if self.print {
            let document = json!({"config": example});
            context.output.report(&document, |_| example.clone())?;
            return Ok(Exit::Done);
        }
        // Before anything is written, so that a password too short leaves nothing behind.
        let password = self
            .password_file
            .as_deref()
            .map(admin::read_password)
            .transpose()?;
        let (data_dir, config_file) = (context.data_dir()?, context.config_file()?);
        let config = context.load_config_if_any()?;
        let app = App::open(data_dir, config, Clock::from_env()?, Kind::Bridge).await?;
        let written = write_new(&config_file, &example)?;
        if let (Some(name), Some(password)) = (&self.admin, &password) {
            admin::add_account(&app, name, "admin", password).await?;
        }
        let has_administrator = app.store.has_administrator().await?;
        let document = json!({
            "data_dir": app.data_dir,
            "database": app.store.location().to_string(),
            "config": config_file,
            "config_written": written,
            "timezone": written.then_some(&zone.0),
            "administrator": self.admin,
            "has_administrator": has_administrator,
        });
        context.output.report(&document, |_| {
            let config = if written {
                "written, every setting with its meaning"
            } else {
                "existed already and was kept"
            };
            let next = if has_administrator {
                "zk-bridge device add NAME --address HOST, then zk-bridge serve"
            } else {
                "zk-bridge init --admin NAME --password-file FILE, so that somebody can log in"
            };
            output::fields([
                ("Data", Some(app.data_dir.display().to_string())),
                ("Database", Some(app.store.location().to_string())),
                (
                    "Configuration",
                    Some(format!("{} ({config})", config_file.display())),
                ),
                ("Time zone", written.then(|| zone.0.clone())),
                (
                    "Administrator",
                    Some(match &self.admin {
                        Some(name) => format!("{name} (added)"),
                        None if has_administrator => "exists already".to_owned(),
                        None => "none yet".to_owned(),
                    }),
                ),
                ("Next", Some(next.to_owned())),
            ])
        })?;
        Ok(Exit::Done)
    }
}

/// Writes a file unless there is one; tells whether it did.
fn write_new(path: &Path, text: &str) -> anyhow::Result<bool> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    match file.and_then(|mut file| {
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
    }) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::new(
            "config",
            format!("{} cannot be written: {error}.", path.display()),
            "Name a file in a directory that exists and that you may write to.",
        )
        .into()),
    }
}
