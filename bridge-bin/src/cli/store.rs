//! `store move`: the whole content to another database.

use std::convert::Infallible;
use std::fmt;
use std::io::BufRead;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::count;
use super::progress;
use crate::lifecycle::unless_stopped;
use crate::store::{DatabaseUrl, Location};

/// The database itself
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge store move postgres://zk@db.example/attendance")]
pub(super) enum Store {
    Move(Move),
}

impl Store {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Move(command) => command.run(context).await,
        }
    }
}

/// Copy everything to an empty database, check the copy, and leave the old one behind for good
///
/// Works while the bridge runs: others wait to write until it is done, and a node that still uses the old database
/// afterwards is refused with a message that names the new one. If it fails, everything stays as it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge store move postgres://zk@db.example/attendance
  zk-bridge store move - < url.txt
  zk-bridge store move sqlite:/var/lib/zk-bridge")]
pub(super) struct Move {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`, or `sqlite:DIR` for a data directory; `-` reads it from stdin, where
    /// nobody else on this machine sees the password
    #[arg(value_name = "URL|-")]
    url: Url,
}

/// May hold a password, so it is never shown, not even when it is no address.
#[derive(Clone)]
struct Url(String);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(…)")
    }
}

impl FromStr for Url {
    type Err = Infallible;

    /// Takes any text: clap would repeat a refused one in its message.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl Url {
    fn location(&self) -> anyhow::Result<Location> {
        let mut line = String::new();
        let text = if self.0 == "-" {
            std::io::stdin().lock().read_line(&mut line)?;
            line.trim()
        } else {
            self.0.trim()
        };
        if let Some(dir) = text.strip_prefix("sqlite:").filter(|dir| !dir.is_empty()) {
            return Ok(Location::Sqlite(PathBuf::from(dir)));
        }
        let url = text
            .parse::<DatabaseUrl>()
            .ok()
            .filter(|url| !url.is_empty());
        Ok(Location::Postgres(url.ok_or_else(|| {
            args::usage(
                "This is no address of a database.",
                "Write postgres://USER:PASSWORD@HOST:5432/DATABASE, or sqlite:DIR for a data directory.",
            )
        })?))
    }
}

impl Move {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let target = self.url.location()?;
        let app = context.app().await?;
        let bar = progress::rows(&context.output);
        let tables = unless_stopped(Box::pin(app.store.move_to(
            target.clone(),
            &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            },
        )))
        .await?;
        bar.finish_and_clear();
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        let next = match &target {
            Location::Sqlite(dir) => format!(
                "Set database_url = \"\" in zk-bridge.toml (and unset ZK_BRIDGE_DATABASE_URL), and use \
                 --data-dir {} with the secret.key of {}.",
                dir.display(),
                app.data_dir.display()
            ),
            Location::Postgres(url) => format!(
                "Set database_url = \"postgres://{url}\" with its password in zk-bridge.toml, or \
                 ZK_BRIDGE_DATABASE_URL, and start serve again. Every node needs the secret.key of {}.",
                app.data_dir.display()
            ),
        };
        let document = json!({
            "from": app.store.location().to_string(),
            "to": target.to_string(),
            "rows": rows,
            "tables": tables,
            "next": next,
        });
        context.output.report(&document, |_| {
            format!(
                "{} in {} moved to {target}, and found equal there.\n{next}",
                count(rows, "row"),
                count(tables.len() as u64, "table"),
            )
        })?;
        Ok(Exit::Done)
    }
}
