//! `sync`: deliver records to the CRM now.

use std::io::{self, BufRead as _, IsTerminal as _};

use chrono::NaiveDate;
use clap::Args;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{count, note};
use crate::app::App;
use crate::jobs::sync;
use crate::lifecycle::Shutdown;
use crate::store::outbox::Selection;

/// Reasons shown to a person; the document has more.
const SHOWN: usize = 10;

/// Send what is not sent yet to the CRM and all other targets
///
/// A person who asks does not wait: also records whose next attempt is not due are sent. Those that were refused go with
/// --retry-failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge sync
  zk-bridge sync --target hr --retry-failed
  zk-bridge sync --start-date 2026-03-01 --user-id 1007 --force")]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(super) struct Sync {
    /// Only to this target [default: all]
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// At most so many records to each target
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
    /// Only records that failed before, also those that were refused
    #[arg(long)]
    retry_failed: bool,
    /// Also records that were sent before, as new revisions; needs a range or an employee, and asks with their number
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long, short, requires = "force")]
    yes: bool,
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
        sync::check(&app, self.target.as_deref())?;
        let options = sync::Options {
            target: self.target,
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
            stop: Some(stop.clone()),
        };
        if self.force && !self.dry_run && !self.yes && !confirmed(&app, &options).await? {
            note("Nothing was sent.");
            return Ok(Exit::Done);
        }
        let report = sync::run(&app, &options).await?;
        let dry_run = self.dry_run;
        context
            .output
            .report(&report, |report| text(report, dry_run))?;
        if report.failed > 0 && !context.output.is_json() {
            note(
                "What failed is tried again by itself, unless it was refused for good: \
                 see `zk-bridge crm dead-letters`, and test the connection with `zk-bridge crm test`.",
            );
        }
        let interrupted = stop.is_requested();
        if interrupted {
            note("Interrupted. What was not sent yet stays queued; run it again.");
        }
        let broken = report.targets.iter().any(|part| part.error.is_some());
        Ok(match Exit::of(report.failed, report.total) {
            Exit::Done if broken || interrupted => Exit::Partial,
            exit => exit,
        })
    }
}

/// Whether the person at the keyboard wants so many records sent once more.
async fn confirmed(app: &App, options: &sync::Options) -> anyhow::Result<bool> {
    let again = sync::would_send_again(app, options).await?;
    if again == 0 {
        return Ok(true);
    }
    let what = count(again, "record");
    if !io::stdin().is_terminal() {
        return Err(args::usage(
            format!("{what} that were sent before would be sent once more, and nobody is there to be asked."),
            "Add --yes if that is meant, or --dry-run to look first.",
        )
        .into());
    }
    note(format_args!(
        "{what} that were sent before will be sent once more, as new revisions. Go on? [y/N]"
    ));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

fn text(report: &sync::Report, dry_run: bool) -> String {
    let mut lines = Vec::new();
    if report.queued > 0 {
        lines.push(format!(
            "{} queued first: a target is new, or what it is told has changed",
            count(report.queued, "record")
        ));
    }
    let broken = report
        .targets
        .iter()
        .filter_map(|part| Some(format!("{}: {}", part.target, part.error.as_ref()?)));
    if dry_run {
        lines.push(format!("{} would be sent.", count(report.total, "record")));
        lines.extend(broken);
        return lines.join("\n");
    }
    if report.total == 0 {
        lines.push("Nothing was sent.".to_owned());
    } else {
        let total = count(report.total, "record");
        lines.push(format!(
            "{total}: {} accepted, {} failed",
            report.successful, report.failed
        ));
    }
    lines.extend(broken);
    lines.extend(report.reasons.iter().take(SHOWN).map(|reason| {
        let alike = report
            .errors
            .iter()
            .filter(|problem| (&problem.target, &problem.error) == (&reason.target, &reason.error));
        let mut examples: Vec<String> = alike
            .map(|problem| format!("{} {}", problem.user_id, problem.date))
            .collect();
        let more = reason.count.saturating_sub(examples.len() as u64);
        if more > 0 && !examples.is_empty() {
            examples.push(format!("and {more} more"));
        }
        let to = match &report.targets[..] {
            [] => String::new(),
            _ => format!("{}, ", reason.target),
        };
        let times = count(reason.count, "record");
        let examples = match &examples[..] {
            [] => String::new(),
            examples => format!(" ({})", examples.join(", ")),
        };
        format!("  {to}{times} {}{examples}", reason.error)
    }));
    let told = report.reasons.iter().take(SHOWN).map(|reason| reason.count);
    let more = report.failed.saturating_sub(told.sum());
    if more > 0 {
        lines.push(format!(
            "  and {more} more for other reasons; `zk-bridge crm dead-letters` lists those that were refused for good"
        ));
    }
    lines.join("\n")
}
