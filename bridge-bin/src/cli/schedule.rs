//! `schedule`: when the jobs run, changed while they run (S56).

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Exit;
use super::args;
use super::context::Context;
use super::output;
use crate::Failure;
use crate::app::App;
use crate::scheduler;
use crate::store::entity::schedule;
use crate::store::schedule::Change;
use crate::zone;

/// When the jobs run; changes take effect at once, on every node, and stay
///
/// What is set here stays until the configuration says something else than it did before.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge schedule list
  zk-bridge schedule set poll '*/5 * * * *'
  zk-bridge schedule disable sync")]
pub(super) enum Schedule {
    List(List),
    Set(Set),
    Enable(Enable),
    Disable(Disable),
}

/// List the schedules
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge schedule list --json")]
pub(super) struct List {}

/// Run a job at other times
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge schedule set poll '*/5 * * * *'       every five minutes
  zk-bridge schedule set process '0 1 * * *'      every night at one, by the clock of the site")]
pub(super) struct Set {
    /// `poll`, `process`, `sync` or `clean_up`
    name: String,
    /// A cron text of five fields, or six with the seconds first
    #[arg(value_parser = args::cron)]
    cron: String,
}

/// Switch a job on again
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge schedule enable sync")]
pub(super) struct Enable {
    /// `poll`, `process`, `sync` or `clean_up`
    name: String,
}

/// Switch a job off; what comes meanwhile waits for it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge schedule disable sync")]
pub(super) struct Disable {
    /// `poll`, `process`, `sync` or `clean_up`
    name: String,
}

#[derive(Debug, Serialize)]
struct Document {
    schedules: Vec<Row>,
}

/// One schedule as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cron: String,
    timezone: String,
    enabled: bool,
    /// None while it is switched off.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    next_due: Option<i64>,
}

impl Row {
    fn of(row: schedule::Model) -> Self {
        Self {
            name: row.name,
            cron: row.cron,
            timezone: row.zone,
            enabled: row.enabled,
            next_due: row.enabled.then_some(row.next_due),
        }
    }
}

/// A table of schedules, with times of the site.
fn table(app: &App, rows: &[Row]) -> String {
    output::table(
        &["Name", "Cron", "Time zone", "Next due"],
        rows.iter().map(|row| {
            [
                row.name.clone(),
                row.cron.clone(),
                row.timezone.clone(),
                row.next_due.map_or_else(
                    || "switched off".to_owned(),
                    |at| zone::rfc3339(&app.zone, at),
                ),
            ]
        }),
    )
}

impl Schedule {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (name, change) = match self {
            Self::List(List {}) => {
                let app = context.app_to_look_at().await?;
                let rows = app.store.schedules().await?;
                let document = Document {
                    schedules: rows.into_iter().map(Row::of).collect(),
                };
                context
                    .output
                    .report(&document, |document| match &document.schedules[..] {
                        [] => "No schedules yet; the first `zk-bridge serve` makes them as configured."
                            .to_owned(),
                        rows => table(&app, rows),
                    })?;
                return Ok(Exit::Done);
            }
            Self::Set(Set { name, cron }) => {
                let change = Change {
                    cron: Some(cron),
                    enabled: None,
                };
                (name, change)
            }
            Self::Enable(Enable { name }) => (name, switched(true)),
            Self::Disable(Disable { name }) => (name, switched(false)),
        };
        let app = context.app().await?;
        if app.store.schedules().await?.is_empty() {
            // Nothing was served yet; what is set now is there when it is.
            scheduler::install(&app).await?;
        }
        let row = Row::of(changed(&app, &name, change).await?);
        context
            .output
            .report(&row, |row| table(&app, std::slice::from_ref(row)))?;
        Ok(Exit::Done)
    }
}

const fn switched(on: bool) -> Change {
    Change {
        cron: None,
        enabled: Some(on),
    }
}

async fn changed(app: &App, name: &str, change: Change) -> anyhow::Result<schedule::Model> {
    let now = app.clock.now();
    let on_again = change.enabled == Some(true);
    let changed = app
        .store
        .change_schedule(name, change, |row| {
            if on_again {
                // Whatever it missed while it was off.
                return now;
            }
            // A zone that is no more is the scheduler's to complain of.
            scheduler::following(row, now).unwrap_or(now)
        })
        .await?;
    Ok(changed.ok_or_else(|| {
        Failure::new(
            "unknown_schedule",
            format!("There is no schedule called {name:?}."),
            "There are poll, process, sync and clean_up; see `zk-bridge schedule list`.",
        )
    })?)
}
