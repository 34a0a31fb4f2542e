//! `runs`: what the jobs did, on whichever node.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Exit;
use super::context::Context;
use super::output::{self, note};
use crate::jobs::history::{Outcome, summary};
use crate::store::entity::run;
use crate::zone;

/// Show what ran: when, on which node, and what became of it
///
/// The outcome is ok, partly, failed (nothing of it was done), paused (the target is left alone for a while), or error
/// (it broke off, or could not begin). Readings of terminals are listed only where they brought something new or failed;
/// `device list` has the latest of each.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge runs
  zk-bridge runs --job sync --limit 5 --json")]
pub(super) struct Runs {
    /// Only this job
    #[arg(long, value_name = "NAME", value_parser = ["poll", "process", "sync", "clean_up"])]
    job: Option<String>,
    /// At most so many, the latest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    limit: u64,
}

#[derive(Debug, Serialize)]
struct Document {
    runs: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    job: String,
    node: String,
    #[serde(serialize_with = "zone::as_utc")]
    started: i64,
    /// None: under way, or its node died.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    ended: Option<i64>,
    /// `ok`, `partly`, `failed`, `paused` or `error`; none with `ended`.
    outcome: Option<&'static str>,
    report: Value,
}

impl Row {
    fn of(row: run::Model) -> Self {
        let report = row.report.unwrap_or_default();
        let report = serde_json::from_str(&report).unwrap_or_default();
        Self {
            outcome: Outcome::of(&row.job, row.outcome.as_deref(), &report).name(),
            job: row.job,
            node: row.node,
            started: row.started_at,
            ended: row.ended_at,
            report,
        }
    }
}

impl Runs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let rows = app.store.runs_of(self.job.as_deref(), self.limit).await?;
        let document = Document {
            runs: rows.into_iter().map(Row::of).collect(),
        };
        if document.runs.is_empty() && !context.output.is_json() {
            note(
                "Nothing ran on schedule yet; that is what `zk-bridge serve` does. Commands given by hand are not listed.",
            );
            return Ok(Exit::Done);
        }
        let at = |instant| zone::rfc3339(&app.zone, instant);
        context.output.report(&document, |document| {
            let rows = document.runs.iter().map(|row| {
                [
                    at(row.started),
                    row.ended.map_or_else(|| "–".to_owned(), at),
                    row.job.clone(),
                    row.node.clone(),
                    row.outcome.unwrap_or("not finished").to_owned(),
                    summary(&row.job, &row.report),
                ]
            });
            output::table(
                &["Started", "Ended", "Job", "Node", "Outcome", "Report"],
                rows,
            )
        })?;
        Ok(Exit::Done)
    }
}
