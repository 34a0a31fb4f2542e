//! `clean-up`: throw away what `[retention]` does not keep.

use std::fmt::Write as _;

use clap::Args;

use super::Exit;
use super::context::Context;
use super::output::count;
use crate::jobs::clean_up;

/// Throw away what [retention] does not keep, as `serve` does once a day
///
/// Punches go by whole closed days only, and a later reading of a terminal does not bring them back. Daily records stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge clean-up --dry-run")]
pub(super) struct CleanUp {
    /// Only say what would be thrown away
    #[arg(long)]
    dry_run: bool,
}

impl CleanUp {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let report = clean_up::run(&app, self.dry_run).await?;
        context.output.report(&report, |report| {
            let done = if self.dry_run {
                "would be thrown away"
            } else {
                "thrown away"
            };
            let mut text = format!(
                "{}, {} and {} {done}",
                count(report.punches, "terminal record"),
                count(report.deliveries, "old revision"),
                count(report.history, "history line"),
            );
            if let Some(date) = report.open_from {
                let _ = write!(text, "\nDays before {date} are closed.");
            }
            if let Some(holder) = &report.held_back_by {
                let _ = write!(text, "\nOlder days are kept open by {holder}.");
            }
            text
        })?;
        Ok(Exit::Done)
    }
}
