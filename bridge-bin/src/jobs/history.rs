//! What became of a run, for people and for programs.
//!
//! A run is stored with its report. That it ended without an error does not say that it did what it is for, so what is
//! told follows from the counts. Older versions wrote other reports, so nothing in them is taken for granted.

use serde_json::Value;

use crate::store::schedule::{POLL, PROCESS, SYNC};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was to be done.
    Ok,
    /// Some of it.
    Partly,
    /// None of it, each part for a reason of its own.
    Failed,
    /// The target is left alone for a while; what it did not take waits.
    Paused,
    /// It broke off, or could not begin.
    Error,
    /// It is under way, or its node died.
    Unfinished,
}

impl Outcome {
    /// From what is stored of a run.
    pub fn of(job: &str, stored: Option<&str>, report: &Value) -> Self {
        match stored {
            None => Self::Unfinished,
            Some("ok") => Self::of_report(job, report),
            Some("paused") => Self::Paused,
            Some(_) => Self::Error,
        }
    }

    /// From the counts of a run that did not break off.
    fn of_report(job: &str, report: &Value) -> Self {
        let (done, failed) = match job {
            POLL => {
                let poll = poll_of(report);
                let partial = number(poll, "partial");
                (
                    number(poll, "successful") + partial,
                    number(poll, "failed") + partial,
                )
            }
            PROCESS => (number(report, "total_records"), number(report, "failed")),
            _ => (number(report, "successful"), number(report, "failed")),
        };
        match (done, failed) {
            (_, 0) => Self::Ok,
            (0, _) => Self::Failed,
            _ => Self::Partly,
        }
    }

    /// The word for it in documents; none while it is unfinished.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Ok => Some("ok"),
            Self::Partly => Some("partly"),
            Self::Failed => Some("failed"),
            Self::Paused => Some("paused"),
            Self::Error => Some("error"),
            Self::Unfinished => None,
        }
    }
}

/// A report in one line.
pub fn summary(job: &str, report: &Value) -> String {
    match (job, report) {
        (_, Value::Null) => String::new(),
        (_, Value::String(error)) => error.clone(),
        (POLL, report) => polled(report),
        (PROCESS, report) => processed(report),
        (SYNC, report) => delivered(report),
        (_, Value::Object(fields)) => {
            let numbers = fields
                .iter()
                .filter(|(_, value)| value.as_u64().is_some_and(|number| number > 0));
            numbers
                .map(|(name, value)| format!("{} {value}", name.replace('_', " ")))
                .collect::<Vec<_>>()
                .join(", ")
        }
        _ => String::new(),
    }
}

fn polled(report: &Value) -> String {
    let poll = poll_of(report);
    let devices = poll["devices"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let new: u64 = devices
        .iter()
        .map(|device| number(device, "new_records"))
        .sum();
    let new = count(new, "new punch", "new punches");
    let mut words = match devices {
        [only] if only["device"].is_string() => {
            let name = only["device"].as_str().unwrap_or_default();
            match only["error"]["message"].as_str() {
                Some(error) if only["status"] == "error" => format!("{name} was not read: {error}"),
                Some(error) => format!("{name} was read in part, {new}: {error}"),
                None => format!("{name}: {new}"),
            }
        }
        _ => {
            let mut words = count(number(poll, "total_devices"), "terminal", "terminals");
            for (field, what) in [("partial", "read in part"), ("failed", "not read")] {
                if number(poll, field) > 0 {
                    words = format!("{words}, {} {what}", number(poll, field));
                }
            }
            format!("{words}; {new}")
        }
    };
    if report["process"].is_object() {
        words = format!("{words}; {}", processed(&report["process"]));
    }
    words
}

fn processed(report: &Value) -> String {
    let mut words = count(
        number(report, "processed"),
        "record changed",
        "records changed",
    );
    if number(report, "failed") > 0 {
        words = format!(
            "{words}, {} not assessed",
            count(number(report, "failed"), "person", "people")
        );
    }
    words
}

fn delivered(report: &Value) -> String {
    let (total, queued) = (number(report, "total"), number(report, "queued"));
    let mut words = match (total, queued) {
        (0, 0) => return "nothing was due".to_owned(),
        (0, _) => "nothing was sent".to_owned(),
        _ => format!("{} of {total} accepted", number(report, "successful")),
    };
    if queued > 0 {
        words = format!("{words}, {queued} queued first");
    }
    if let Some(problem) = report["errors"][0]["error"].as_str() {
        words = format!("{words}; first problem: {problem}");
    }
    match report["target"].as_str() {
        Some(target) => format!("{target}: {words}"),
        None => words,
    }
}

/// Older versions told of reading and assessing together.
fn poll_of(report: &Value) -> &Value {
    report.get("poll").unwrap_or(report)
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or(0)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_are_told_in_one_line() {
        let poll = json!({
            "poll": {"total_devices": 3, "successful": 2, "partial": 0, "failed": 1,
                     "devices": [{"new_records": 40}, {"new_records": 2}, {"new_records": 0}]},
            "process": {"processed": 9, "failed": 0},
        });
        assert_eq!(
            summary("poll", &poll),
            "3 terminals, 1 not read; 42 new punches; 9 records changed"
        );
        let one = |status: &str, error: Value| {
            json!({"total_devices": 1, "devices": [
                {"device": "Gate", "status": status, "new_records": 1, "error": error}]})
        };
        let error = json!({"message": "it is silent."});
        for (report, told) in [
            (one("ok", Value::Null), "Gate: 1 new punch"),
            (
                one("error", error.clone()),
                "Gate was not read: it is silent.",
            ),
            (
                one("partial", error),
                "Gate was read in part, 1 new punch: it is silent.",
            ),
        ] {
            assert_eq!(summary("poll", &report), told);
        }
        let to_one = json!({"target": "hr", "total": 2, "successful": 2});
        assert_eq!(summary("sync", &to_one), "hr: 2 of 2 accepted");
        let sync = json!({"total": 7, "successful": 6, "failed": 1, "errors": [{"error": "refused: no such user"}]});
        assert_eq!(
            summary("sync", &sync),
            "6 of 7 accepted; first problem: refused: no such user"
        );
        assert_eq!(summary("sync", &json!({"total": 0})), "nothing was due");
        assert_eq!(
            summary("sync", &json!({"total": 0, "queued": 12})),
            "nothing was sent, 12 queued first"
        );
        assert_eq!(
            summary("process", &json!({"processed": 1, "failed": 2})),
            "1 record changed, 2 people not assessed"
        );
        assert_eq!(
            summary(
                "clean_up",
                &json!({"punches": 3, "runs": 0, "held_back_by": null})
            ),
            "punches 3"
        );
    }

    #[test]
    fn an_outcome_follows_from_the_counts() {
        let sync = |successful, failed| json!({"successful": successful, "failed": failed});
        let poll = |successful, partial, failed| json!({"poll": {"successful": successful, "partial": partial, "failed": failed}});
        for (job, stored, report, outcome) in [
            ("sync", Some("ok"), sync(7, 0), Outcome::Ok),
            ("sync", Some("ok"), sync(0, 0), Outcome::Ok),
            ("sync", Some("ok"), sync(6, 1), Outcome::Partly),
            ("sync", Some("ok"), sync(0, 7), Outcome::Failed),
            ("sync", Some("paused"), sync(6, 1), Outcome::Paused),
            ("sync", Some("error"), json!("no address"), Outcome::Error),
            ("sync", None, Value::Null, Outcome::Unfinished),
            ("poll", Some("ok"), poll(2, 0, 1), Outcome::Partly),
            ("poll", Some("ok"), poll(0, 1, 0), Outcome::Partly),
            ("poll", Some("ok"), poll(0, 0, 1), Outcome::Failed),
            (
                "process",
                Some("ok"),
                json!({"total_records": 9, "failed": 1}),
                Outcome::Partly,
            ),
        ] {
            assert_eq!(
                Outcome::of(job, stored, &report),
                outcome,
                "{job} {stored:?} {report}"
            );
        }
    }

    #[test]
    fn a_report_of_another_version_is_no_problem() {
        for report in [json!(null), json!([]), json!({"poll": 7}), json!(42)] {
            for job in ["poll", "process", "sync", "other"] {
                let _ = (summary(job, &report), Outcome::of(job, Some("ok"), &report));
            }
        }
        assert_eq!(
            summary("sync", &json!("the database is locked")),
            "the database is locked"
        );
    }
}
