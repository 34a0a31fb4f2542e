//! `sync`: deliver records to the CRM now.

use chrono::NaiveDate;
use clap::Args;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{count, note};
use crate::jobs::sync;
use crate::lifecycle::Shutdown;
use crate::store::outbox::Selection;

/// Problems shown to a person; the document has more.
const SHOWN: usize = 10;

/// Send what is not sent yet to the CRM
///
/// A person who asks does not wait: also records whose next attempt is not due are sent. Those that were refused go with
/// --retry-failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge sync
  zk-bridge sync --start-date 2026-03-01 --user-id 1007 --force")]
pub(super) struct Sync {
    /// At most so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only from this work date on
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = args::date)]
    start_date: Option<NaiveDate>,
    /// Only up to this work date, included [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = args::date, requires = "start_date")]
    end_date: Option<NaiveDate>,
    /// Only this employee
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// Only records that failed before
    #[arg(long)]
    retry_failed: bool,
    /// Also records that were sent before, as new revisions; needs a range or an employee
    #[arg(long)]
    force: bool,
    /// Only say how many would be sent
    #[arg(long)]
    dry_run: bool,
}

impl Sync {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.force && self.start_date.is_none() && self.user_id.is_none() {
            return Err(args::usage(
                "--force alone would send everything once more.",
                "Add --start-date (and --end-date) or --user-id to say what.",
            )
            .into());
        }
        let app = context.app().await?;
        let range = args::range(self.start_date, self.end_date, app.today())?;
        let (shutdown, stop) = Shutdown::new();
        shutdown.on_signals();
        // Without this a scheduler's `stop` would make a missing CRM no error.
        sync::connect(&app)?;
        let options = sync::Options {
            selection: Selection {
                not_due: true,
                failed_only: self.retry_failed,
                from: range.map(|(from, _)| from.to_string()),
                to: range.map(|(_, to)| to.to_string()),
                employee: self.user_id,
            },
            limit: self.limit,
            force: self.force,
            dry_run: self.dry_run,
            although_paused: true,
            stop: Some(stop),
        };
        let report = sync::run(&app, &options).await?;
        let dry_run = self.dry_run;
        context
            .output
            .report(&report, |report| text(report, dry_run))?;
        if report.failed > 0 && !context.output.is_json() {
            note(
                "What failed stays queued; see `zk-bridge crm stats`, and test the connection with `zk-bridge crm test`.",
            );
        }
        Ok(Exit::of(report.failed, report.total))
    }
}

fn text(report: &sync::Report, dry_run: bool) -> String {
    if dry_run {
        return format!("{} would be sent.", count(report.total, "record"));
    }
    if report.total == 0 {
        return "Nothing to send.".to_owned();
    }
    let total = count(report.total, "record");
    let mut lines = vec![format!(
        "{total}: {} accepted, {} failed",
        report.successful, report.failed
    )];
    let shown = report.errors.iter().take(SHOWN);
    lines.extend(
        shown.map(|problem| format!("  {} {}: {}", problem.user_id, problem.date, problem.error)),
    );
    let more = report.errors.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!("  and {more} more; --json lists them"));
    }
    lines.join("\n")
}
