//! A small site to try the rules on.

use std::sync::Arc;

use attendance_core::{Config, Correction, Outcome, Plan, Punch, Record, ShiftTemplate, assess};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use crate::zones::JiffZone;

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

pub(crate) fn time(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").expect("a time of day")
}

pub(crate) fn civil(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .or_else(|_| NaiveDateTime::parse_from_str(&format!("{text}:00"), "%Y-%m-%d %H:%M:%S"))
        .expect("a date and a time of day")
}

/// Everybody works one fixed shift every day.
pub(crate) fn config(tz: &str, from: &str, to: &str, start: &str, end: &str) -> Config {
    let mut config = Config::new(tz, date(from), date(to));
    config.shifts = vec![ShiftTemplate::fixed("shift", time(start), time(end))];
    config.default_shift = Some("shift".into());
    config
}

pub(crate) fn plan(config: Config) -> Plan<Arc<JiffZone>> {
    Plan::new(config, JiffZone::shared).expect("a good configuration")
}

/// Punches of one person at one door, with ids `p1`, `p2`, …
pub(crate) fn punches(times: &[&str]) -> Vec<Punch> {
    let numbered = times.iter().zip(1..);
    numbered
        .map(|(time, number)| Punch::new(format!("p{number}"), "E1", "door", civil(time)))
        .collect()
}

pub(crate) fn outcome(config: Config, punches: &[Punch]) -> Outcome {
    corrected(config, punches, &[])
}

pub(crate) fn corrected(config: Config, punches: &[Punch], corrections: &[Correction]) -> Outcome {
    assess(punches, corrections, &plan(config), None).expect("an outcome")
}

/// The only record of a date.
pub(crate) fn record<'a>(outcome: &'a Outcome, employee: &'a str, on: &str) -> &'a Record {
    let records: Vec<_> = outcome.records_of(employee, date(on)).collect();
    assert_eq!(
        records.len(),
        1,
        "{employee} has {} records on {on}",
        records.len()
    );
    records[0]
}
