//! When an alarm opens, and when it ends. Between the two lies a gap, so that a value at the limit does not ring twice
//! a minute.

use chrono::Datelike;

use crate::app::App;
use crate::config::WeekDay;
use crate::status::Status;
use crate::store::entity::alarm;
use crate::zone;

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    kind: &'static str,
    subject: String,
    verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// As bad as the alarm is for.
    Bad(String),
    /// Neither: what is open stays open.
    Doubtful,
    /// All is well.
    Good,
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

/// Opens and closes alarms as things stand.
pub(super) async fn update(app: &App, status: &Status, now: i64) -> anyhow::Result<()> {
    let is_working_day = is_working_day(app).await?;
    let findings = find(app, status, is_working_day, now);
    let open = app.store.open_alarms().await?;
    for row in &open {
        // What is no longer there, such as a terminal that was removed, is over as well.
        let over = findings
            .iter()
            .find(|finding| is_about(finding, row))
            .is_none_or(|finding| finding.verdict == Verdict::Good);
        if over {
            tracing::info!(kind = row.kind, subject = row.subject, "the alarm is over");
            app.store.close_alarm(row, now).await?;
        }
    }
    for finding in &findings {
        let Verdict::Bad(detail) = &finding.verdict else {
            continue;
        };
        if open.iter().any(|row| is_about(finding, row)) {
            continue;
        }
        tracing::warn!(kind = finding.kind, subject = finding.subject, "{detail}");
        app.store
            .open_alarm(finding.kind, &finding.subject, detail, now)
            .await?;
    }
    Ok(())
}

fn is_about(finding: &Finding, row: &alarm::Model) -> bool {
    finding.kind == row.kind && finding.subject == row.subject
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
            let verdict = Verdict::of(percent, limit, limit - 5, || {
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
                format!(
                    "The clock of {} is {} s {}.",
                    device.name,
                    drift.abs(),
                    if drift < 0 { "slow" } else { "fast" }
                )
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
                "{} refused {refused} entries for good; see `zk-bridge crm dead-letters`.",
                target.id
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
    use super::Verdict;

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
