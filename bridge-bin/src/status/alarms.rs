//! When an alarm opens, and when it ends. Between the two lies a gap, so that a value at the limit does not ring twice
//! a minute.
//!
//! Whoever looks finds the alarms as they are at that moment, whether or not a node runs that writes them down. What
//! was written down says since when an alarm is open, and whether it still is between the two limits.

use chrono::Datelike;

use super::{Alarm, Status};
use crate::app::App;
use crate::config::WeekDay;
use crate::store::entity::alarm;
use crate::zone;

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of alarm it would be.
    pub kind: &'static str,
    /// The terminal or target.
    pub subject: String,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found of one thing.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As bad as the alarm is for, in words.
    Bad(String),
    /// Neither: what is open stays open.
    Doubtful,
    /// All is well.
    Good,
}

impl Finding {
    /// Whether a stored alarm is about the same.
    pub fn is_about(&self, row: &alarm::Model) -> bool {
        self.kind == row.kind && self.subject == row.subject
    }
}

impl Verdict {
    /// Bad from `open` on, good below `close`; an `open` of 0 turns the alarm off.
    fn of(value: i64, open: i64, close: i64, detail: impl FnOnce() -> String) -> Self {
        match value {
            _ if open <= 0 => Self::Good,
            value if value >= open => Self::Bad(detail()),
            value if value > close => Self::Doubtful,
            _ => Self::Good,
        }
    }
}

/// Everything that an alarm could be about, as it stands.
pub async fn findings(app: &App, status: &Status) -> anyhow::Result<Vec<Finding>> {
    let is_working_day = is_working_day(app).await?;
    Ok(find(app, status, is_working_day, status.at))
}

/// The alarms that are open as things stand, oldest first. Nothing is written down, and nobody is told.
pub(super) async fn open(app: &App, status: &Status) -> anyhow::Result<Vec<Alarm>> {
    let known = app.store.open_alarms().await?;
    let mut open = Vec::new();
    for finding in findings(app, status).await? {
        let known = known.iter().find(|row| finding.is_about(row));
        let (detail, since) = match (finding.verdict, known) {
            (Verdict::Bad(detail), None) => (detail, status.at),
            (Verdict::Bad(detail), Some(row)) => (detail, row.opened_at),
            (Verdict::Doubtful, Some(row)) => (row.detail.clone(), row.opened_at),
            _ => continue,
        };
        open.push(Alarm {
            kind: finding.kind.to_owned(),
            remedy: remedy(finding.kind, &finding.subject),
            subject: finding.subject,
            detail,
            since,
        });
    }
    open.sort_by(|a, b| (a.since, &a.kind, &a.subject).cmp(&(b.since, &b.kind, &b.subject)));
    Ok(open)
}

/// What somebody who looks after the bridge does about an alarm.
pub fn remedy(kind: &str, subject: &str) -> String {
    let name = argument(subject);
    match kind {
        "device_silent" => format!(
            "Look at its power and network; `zk-bridge device test --device {name}` says what is in the way."
        ),
        "log_full" => format!(
            "Read all of it with `zk-bridge poll --device {name} --full`, then clear the log at the terminal's own menu."
        ),
        "clock_drift" => format!(
            "Set the clock at the terminal's own menu; `zk-bridge device test --device {name}` shows it."
        ),
        "queue_old" => {
            format!("`zk-bridge sync --target {name}` sends now and says what is in the way.")
        }
        "dead_letters" => format!(
            "`zk-bridge crm dead-letters --target {name}` lists them. Mend the cause, then `zk-bridge sync --target {name} \
             --retry-failed`; `zk-bridge crm dismiss` closes those that shall stay refused."
        ),
        "certificate_ends" => {
            "Have it renewed on that server; here only a pinned certificate needs a change."
                .to_owned()
        }
        _ => "See `zk-bridge status`.".to_owned(),
    }
}

/// A name as it is typed on a command line.
fn argument(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

async fn is_working_day(app: &App) -> anyhow::Result<bool> {
    let today = app.today();
    let day = match today.weekday() {
        chrono::Weekday::Mon => WeekDay::Mon,
        chrono::Weekday::Tue => WeekDay::Tue,
        chrono::Weekday::Wed => WeekDay::Wed,
        chrono::Weekday::Thu => WeekDay::Thu,
        chrono::Weekday::Fri => WeekDay::Fri,
        chrono::Weekday::Sat => WeekDay::Sat,
        chrono::Weekday::Sun => WeekDay::Sun,
    };
    Ok(app.config.shift.work_days.contains(&day) && !app.store.is_holiday(today).await?)
}

fn find(app: &App, status: &Status, is_working_day: bool, now: i64) -> Vec<Finding> {
    let limits = &app.config.alarms;
    let mut findings = Vec::new();
    for device in status.devices.iter().filter(|device| device.enabled) {
        let mut found = |kind, verdict| {
            findings.push(Finding {
                kind,
                subject: device.name.clone(),
                verdict,
            });
        };
        let last = device.complete_until.unwrap_or(device.since);
        let hours = i64::from(limits.device_silent_hours);
        let silent = Verdict::of(now - last, hours * 3_600, 0, || {
            let since = device.complete_until.map_or_else(
                || "it was added".to_owned(),
                |at| zone::rfc3339(&app.zone, at),
            );
            format!(
                "{} has been silent since {since}: it was not read.{}",
                device.name,
                device
                    .last_error
                    .as_ref()
                    .map(|error| format!(" {error}"))
                    .unwrap_or_default()
            )
        });
        let silent = match silent {
            // Nobody waits for it today; what rang on a working day goes on until it is read.
            Verdict::Bad(_) if !is_working_day => Verdict::Doubtful,
            // It was read a moment ago, whatever "doubtful" is elsewhere.
            Verdict::Doubtful => Verdict::Good,
            verdict => verdict,
        };
        found("device_silent", silent);
        if let (Some(used), Some(capacity @ 1..)) = (device.log_records, device.log_capacity) {
            let percent = used.saturating_mul(100) / capacity;
            let limit = i64::from(limits.log_full_percent);
            let verdict = Verdict::of(percent, limit, (limit - 5).max(0), || {
                format!(
                    "The log of {} holds {used} of {capacity} records; when it is full, punches are lost.",
                    device.name
                )
            });
            found("log_full", verdict);
        }
        if let Some(drift) = device.clock_drift_s {
            let limit = i64::from(limits.clock_drift_seconds);
            let verdict = Verdict::of(drift.abs(), limit, limit / 2, || {
                format!("The clock of {} is {}.", device.name, zone::drift(drift))
            });
            found("clock_drift", verdict);
        }
    }
    for target in &status.targets {
        let mut found = |kind, verdict| {
            findings.push(Finding {
                kind,
                subject: target.id.clone(),
                verdict,
            });
        };
        let waited = target.waiting_since.map_or(0, |since| now - since);
        // Dead letters wait for a human, and ring by themselves.
        let waited = if target.waiting == 0 { 0 } else { waited };
        let limit = i64::from(limits.queue_minutes) * 60;
        let verdict = Verdict::of(waited, limit, limit / 2, || {
            let reason = target.paused_reason.as_deref();
            format!(
                "{} entries wait to be delivered to {}, the oldest for {} minutes.{}",
                target.waiting,
                target.id,
                waited / 60,
                reason
                    .map(|reason| format!(" It is paused: {reason}."))
                    .unwrap_or_default()
            )
        });
        let verdict = match &target.incomplete {
            // Nothing of what it lacks is in the queue, and only a human can help.
            Some(why) if limit > 0 && target.is_refused => {
                Verdict::Bad(format!("Nothing is queued for {}, {why}.", target.id))
            }
            _ => verdict,
        };
        found("queue_old", verdict);
        let refused = i64::try_from(target.refused).unwrap_or(i64::MAX);
        let limit = i64::from(limits.dead_letters);
        let verdict = Verdict::of(refused, limit, 0, || {
            format!(
                "{} refused {refused} {} for good.",
                target.id,
                if refused == 1 { "entry" } else { "entries" }
            )
        });
        found("dead_letters", verdict);
        if let Some(ends) = target.certificate_ends {
            // Counted down: fewer days left are worse.
            let limit = i64::from(limits.certificate_days);
            let left = (ends - now).div_euclid(86_400);
            let verdict = match limit {
                1.. if left <= limit => Verdict::Bad(format!(
                    "The certificate of {} ends {}.",
                    target.id,
                    zone::rfc3339(&app.zone, ends)
                )),
                _ => Verdict::Good,
            };
            found("certificate_ends", verdict);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{Verdict, argument};

    #[test]
    fn a_name_of_several_words_is_typed_in_quotes() {
        for (name, typed) in [
            ("Gate-2", "Gate-2"),
            ("Main gate", "'Main gate'"),
            ("Ann's", "'Ann'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(argument(name), typed);
        }
    }

    #[test]
    fn a_value_at_the_limit_does_not_flutter() {
        let verdict = |value| Verdict::of(value, 90, 85, String::new);
        assert_eq!(verdict(90), Verdict::Bad(String::new()));
        assert_eq!(verdict(89), Verdict::Doubtful);
        assert_eq!(verdict(86), Verdict::Doubtful);
        assert_eq!(verdict(85), Verdict::Good);
        assert_eq!(
            Verdict::of(1_000, 0, 0, String::new),
            Verdict::Good,
            "turned off"
        );
    }
}
