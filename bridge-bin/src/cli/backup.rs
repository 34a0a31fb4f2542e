//! `backup` and `restore`: everything in one file, and back.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{count, note};
use super::progress;
use crate::app::App;
use crate::clock::Clock;
use crate::lifecycle::unless_stopped;
use crate::secret;
use crate::store::Store;
use crate::store::backup::Copied;
use crate::zone;

/// Write everything into one file, while the bridge goes on
///
/// The file serves for both databases. It holds personal data, so it is readable for its owner alone. Without the key,
/// which is in secret.key of the data directory, the comm keys in it cannot be read; keep a copy of that elsewhere, or
/// add --with-key.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge backup /var/backups/zk-bridge-2026-03-06.backup
  zk-bridge backup monday.backup --with-key --force")]
pub(super) struct Backup {
    /// The file to be written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also put the key into it: whoever has the file can then read the comm keys
    #[arg(long)]
    with_key: bool,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let key = self
            .with_key
            .then(|| secret::export(&app.data_dir))
            .transpose()?;
        let bar = progress::rows(&context.output);
        let tables = unless_stopped(Box::pin(app.store.backup(
            &self.file,
            key,
            self.force,
            app.clock.now(),
            &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            },
        )))
        .await?;
        bar.finish_and_clear();
        let document = json!({
            "file": self.file,
            "database": app.store.location().to_string(),
            "rows": rows(&tables),
            "with_key": self.with_key,
            "tables": tables,
        });
        context.output.report(&document, |_| {
            let key = if self.with_key {
                "The key is in it: keep the file as you would keep a password."
            } else {
                "The key is not in it: keep a copy of secret.key elsewhere, or the comm keys must be entered again."
            };
            format!(
                "{} saved in {}.\n{key}",
                count(rows(&tables), "row"),
                self.file.display()
            )
        })?;
        Ok(Exit::Done)
    }
}

/// Put a backup in the place of what is there, and send everything once more
///
/// The CRM may know more than the backup, so every entry that was queued or sent is sent again under a revision higher
/// than any before; the terminals are read again for what came after the backup. Stop `serve` first if you can: what it
/// is doing at that moment is thrown away.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge restore monday.backup --data-dir /var/lib/zk-bridge-new
  zk-bridge restore monday.backup --force --yes")]
pub(super) struct Restore {
    /// A file that `backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    /// With --force: do not ask
    #[arg(long, requires = "force")]
    yes: bool,
}

impl Restore {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (data_dir, location) = (context.data_dir()?, context.location()?);
        if self.force && !self.yes {
            confirm(&format!("Everything in {location} is replaced."))?;
        }
        let clock = Clock::from_env()?;
        let bar = progress::rows(&context.output);
        let restored = unless_stopped(Box::pin(Store::restore(
            location.clone(),
            &self.file,
            &data_dir,
            self.force,
            clock.now(),
            &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            },
        )))
        .await?;
        bar.finish_and_clear();
        let document = json!({
            "database": location.to_string(),
            "rows": rows(&restored.tables),
            "restored": restored,
        });
        let made_at = zone::rfc3339(&jiff::tz::TimeZone::UTC, restored.made_at);
        context.output.report(&document, |_| {
            format!(
                "{} of {made_at} restored into {location}.\n{} to be sent once more; `zk-bridge serve` does it, or \
                 `zk-bridge poll`, `process` and `sync`.",
                count(rows(&restored.tables), "row"),
                count(restored.queued, "entry"),
            )
        })?;
        warn_of_lost_keys(&context.app_to_look_at().await?).await?;
        Ok(Exit::Done)
    }
}

/// Says which stored comm keys were sealed with another key than the one that is here.
pub(super) async fn warn_of_lost_keys(app: &App) -> anyhow::Result<()> {
    for name in app.sealed_elsewhere().await? {
        note(format_args!(
            "warning: the comm key of {name:?} was sealed with another key. Put the original secret.key into {}, or \
             enter the comm key again: zk-bridge device edit {name:?} --comm-key -",
            app.data_dir.display(),
        ));
    }
    Ok(())
}

fn rows(tables: &[Copied]) -> u64 {
    tables.iter().map(|table| table.rows).sum()
}

fn confirm(what: &str) -> anyhow::Result<()> {
    let refused = || {
        args::usage(
            format!("{what} That was not confirmed, so nothing was done."),
            "Answer with yes, or add --yes where nobody can be asked.",
        )
    };
    if !io::stdin().is_terminal() {
        return Err(refused().into());
    }
    let mut stderr = io::stderr();
    write!(stderr, "{what} Type yes to go on: ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(refused().into())
    }
}
