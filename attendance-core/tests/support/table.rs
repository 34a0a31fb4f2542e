//! A case for people: a line per day, why it is so, and where each punch went.

use std::fmt::Write;

use attendance_core::{LocalTime, Outcome};
use chrono::NaiveDate;

use super::exchange::Case;

pub(crate) fn of(case: &Case) -> String {
    let mut text = format!("{}\n", case.id);
    let written = match case.assess() {
        Ok(outcome) => write(&mut text, &outcome),
        Err(error) => writeln!(text, "  error {}: {error}", error.code()),
    };
    // Writing to a text cannot fail.
    written.map(|()| text).unwrap_or_default()
}

fn write(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(
        text,
        "  {:<10} {:<10} {:<10} {:<14} {:<11} {:<11} {:>7} {:>6} {:>6}",
        "person", "date", "shift", "status", "in", "out", "worked", "late", "over"
    )?;
    for record in &outcome.records {
        writeln!(
            text,
            "  {:<10} {:<10} {:<10} {:<14} {:<11} {:<11} {:>7} {:>6} {:>6}",
            record.employee.as_str(),
            record.date.to_string(),
            record.shift.as_ref().map_or("–", |shift| shift.as_str()),
            record.status.as_str(),
            clock(record.clock_in, record.date),
            clock(record.clock_out, record.date),
            length(record.worked_s),
            length(record.late_s),
            length(record.overtime_s),
        )?;
        for finding in &record.findings {
            writeln!(text, "    {finding}")?;
        }
    }
    for punch in &outcome.punches {
        let id = punch.id.as_str();
        writeln!(
            text,
            "  {id}: {} – {}",
            punch.disposition.as_str(),
            punch.explain()
        )?;
    }
    for week in outcome.weeks.iter().flatten() {
        let (worked, overtime) = (length(week.worked_s), length(week.overtime_s));
        let (employee, of) = (&week.employee, week.week_of);
        writeln!(
            text,
            "  {employee} week of {of}: {worked}, overtime {overtime}"
        )?;
    }
    Ok(())
}

/// `05:10:00 +1` for the morning after.
fn clock(time: Option<LocalTime>, date: NaiveDate) -> String {
    let Some(civil) = time.map(LocalTime::civil) else {
        return "–".to_owned();
    };
    match (civil.date() - date).num_days() {
        0 => civil.time().to_string(),
        days => format!("{} {days:+}", civil.time()),
    }
}

fn length(seconds: i64) -> String {
    format!("{}:{:02}", seconds / 3600, seconds / 60 % 60)
}
