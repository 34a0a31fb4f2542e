//! `process`: from punches to daily records.

use chrono::NaiveDate;
use clap::Args;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{count, note};
use crate::jobs::process;
use crate::lifecycle::Shutdown;

/// Turn punches into daily records, and queue what changed for delivery
///
/// Without dates: the days touched since the last time, and those that time has settled. With dates: every day of
/// the range once more, for example after a change of shifts. Running it twice changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge process
  zk-bridge process --start-date 2026-03-01 --end-date 2026-03-31")]
pub(super) struct Process {
    /// First work date
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = args::date)]
    start_date: Option<NaiveDate>,
    /// Last work date, included [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = args::date, requires = "start_date")]
    end_date: Option<NaiveDate>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

impl Process {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let range = args::range(self.start_date, self.end_date, app.today())?;
        let (shutdown, stop) = Shutdown::new();
        shutdown.on_signals();
        let options = process::Options {
            from: range.map(|(from, _)| from),
            to: range.map(|(_, to)| to),
            dry_run: self.dry_run,
            stop: Some(stop.clone()),
        };
        let report = process::run(&app, &options).await?;
        context.output.report(&report, |report| {
            let dry_run = if self.dry_run { "Dry run, nothing was changed: " } else { "" };
            format!(
                "{dry_run}{} assessed, {} written, {} with outliers, {} removed, {} queued for delivery, {} failed",
                count(report.total_records, "record"),
                report.processed,
                report.outliers,
                report.removed,
                report.queued,
                report.failed
            )
        })?;
        if report.failed > 0 {
            note(
                "Some days could not be assessed; the log above says why. Their punches are kept.",
            );
        }
        let interrupted = stop.is_requested();
        if interrupted {
            note(
                "Interrupted. What was assessed is stored and queued; run `zk-bridge process` again for the rest.",
            );
        }
        // Failed are employees, assessed are records: one of these is enough to have been done in part.
        Ok(
            match Exit::of(report.failed, report.failed + report.total_records) {
                Exit::Done if interrupted => Exit::Partial,
                exit => exit,
            },
        )
    }
}
