//! `why`: each punch of a day, where it went, and by which rule.

use std::fmt::Write as _;

use chrono::NaiveDate;
use clap::Args;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::hours;
use crate::jobs::process;

/// Explain one employee's day: each punch, where it went, and by which rule
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge why 1007 2026-03-02")]
pub(super) struct Why {
    /// The employee id
    employee: String,
    /// The work date
    #[arg(value_name = "YYYY-MM-DD", value_parser = args::date)]
    date: NaiveDate,
}

impl Why {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let why = process::why(&app, &self.employee, self.date).await?;
        context.output.report(&why, text)?;
        Ok(Exit::Done)
    }
}

fn text(why: &process::Why) -> String {
    let mut text = format!(
        "{}{} on {}\n",
        why.employee,
        in_brackets(why.name.as_deref()),
        why.date
    );
    if why.records.is_empty() {
        text += "\nNo record of this date. Punches that were read since wait for `zk-bridge process`.\n";
    }
    for record in &why.records {
        let field = |name: &str| {
            record
                .record
                .get(name)
                .and_then(|value| value.as_str())
                .unwrap_or("–")
        };
        let worked = record
            .record
            .get("worked_s")
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(0);
        let shift = record.record.get("shift").and_then(|value| value.as_str());
        let shift = shift.map_or_else(|| "no shift".to_owned(), |shift| format!("shift {shift}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{}, {shift}: in {}, out {}, worked {}",
            field("status"),
            field("clock_in"),
            field("clock_out"),
            hours(worked)
        );
        for finding in &record.findings {
            let _ = writeln!(text, "  – {finding}");
        }
    }
    text += if why.punches.is_empty() {
        "\nNo punches.\n"
    } else {
        "\nPunches\n"
    };
    for punch in &why.punches {
        let repeats = match punch.repeats {
            0 => String::new(),
            n => format!(", told {} times", n + 1),
        };
        let place = format!(
            "{}{}",
            punch.disposition,
            in_brackets(punch.role.as_deref().or(punch.reason.as_deref()))
        );
        let _ = writeln!(
            text,
            "  {} at {} → {place}{repeats}\n      {}",
            punch.time, punch.device, punch.text
        );
    }
    if !why.corrections.is_empty() {
        text += "\nCorrections\n";
    }
    for correction in &why.corrections {
        let target = correction
            .target
            .as_deref()
            .map_or_else(String::new, |target| format!(" of {target}"));
        let _ = writeln!(
            text,
            "  {} {}{target} by {}: {}",
            correction.id, correction.kind, correction.by, correction.reason
        );
    }
    text
}

fn in_brackets(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}
