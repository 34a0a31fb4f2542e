//! How terminals, delivery and jobs stand.

use super::words::{self, When};
use crate::app::App;
use crate::jobs::history::{Outcome, summary};
use crate::jobs::sync;
use crate::status::{self, Status};
use crate::store::entity::{cursor, run};
use crate::store::outbox::Stats;

/// Runs shown, newest first.
const RUNS: u64 = 10;

/// An alarm that is open.
pub(super) struct Alarm {
    pub(super) label: &'static str,
    pub(super) detail: String,
    pub(super) since: When,
    /// What to do next, in pieces; those that are typed into a terminal are marked.
    pub(super) remedy: Vec<(String, bool)>,
}

impl Alarm {
    pub(super) fn of(app: &App, alarm: &status::Alarm, now: i64) -> Self {
        Self {
            label: match alarm.kind.as_str() {
                "device_silent" => "Terminal silent",
                "log_full" => "Log nearly full",
                "clock_drift" => "Clock wrong",
                "queue_old" => "Delivery stuck",
                "dead_letters" => "Records refused",
                "certificate_ends" => "Certificate ends",
                _ => "Alarm",
            },
            detail: words::excerpt(&alarm.detail),
            since: When::new(alarm.since, &app.zone, now),
            remedy: alarm
                .remedy
                .split('`')
                .enumerate()
                .map(|(place, piece)| (piece.to_owned(), place % 2 == 1))
                .collect(),
        }
    }
}

/// The terminals, and how complete the data is that they gave.
pub(super) struct Terminals {
    pub(super) rows: Vec<Terminal>,
    pub(super) complete_until: Complete,
}

/// Until when nothing is missing.
pub(super) enum Complete {
    /// No terminal is enabled.
    NoTerminal,
    /// A terminal was never read.
    Never(String),
    /// Somebody else holds back everything.
    Nothing(String),
    /// Everything before was read, assessed and delivered; and who holds back what came after.
    Until(When, String),
}

pub(super) struct Terminal {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) is_enabled: bool,
    pub(super) last_sync: Option<When>,
    pub(super) last_error: Option<String>,
    pub(super) records: Option<i64>,
}

impl Terminals {
    pub(super) async fn load(app: &App, status: &Status) -> anyhow::Result<Self> {
        let now = status.at;
        let devices = app.store.devices().await?;
        let cursors = app.store.cursors().await?;
        let complete = &status.complete;
        let complete_until = match (complete.until, &complete.held_back_by) {
            (Some(at), holder) => Complete::Until(
                When::new(at, &app.zone, now),
                holder.clone().unwrap_or_default(),
            ),
            (None, Some(holder)) => {
                let holder = holder.clone();
                if devices.iter().any(|row| row.name == holder) {
                    Complete::Never(holder)
                } else {
                    Complete::Nothing(holder)
                }
            }
            (None, None) => Complete::NoTerminal,
        };
        let rows = devices
            .into_iter()
            .map(|row| Terminal {
                last_sync: row.last_sync.map(|at| When::new(at, &app.zone, now)),
                last_error: row.last_error.as_deref().map(words::excerpt),
                records: cursors
                    .get(&row.id)
                    .map(|cursor: &cursor::Model| cursor.records),
                is_enabled: row.enabled,
                name: row.name,
                address: row.address,
            })
            .collect();
        Ok(Self {
            rows,
            complete_until,
        })
    }
}

/// How delivery to the CRM stands.
pub(super) struct DeliveryState {
    /// Where it goes; none: nowhere.
    pub(super) to: Option<String>,
    pub(super) paused: Option<(String, When)>,
    pub(super) stats: Stats,
    pub(super) last_success: Option<When>,
    pub(super) next_due: Option<When>,
}

impl DeliveryState {
    pub(super) async fn load(app: &App, now: i64) -> anyhow::Result<Self> {
        let when = |at| When::new(at, &app.zone, now);
        let (mut paused, mut last_success, mut retry) = (None, None, None);
        for target in app.targets.iter() {
            let known = app.store.target(&target.id).await?;
            last_success = last_success.max(known.as_ref().and_then(|row| row.last_success));
            retry = retry
                .into_iter()
                .chain(app.store.next_retry(&target.id).await?)
                .min();
            let Some((row, until)) = known.and_then(|row| {
                let until = row.paused_until.filter(|until| *until > now)?;
                Some((row, until))
            }) else {
                continue;
            };
            let reason = row
                .paused_reason
                .as_deref()
                .map_or_else(|| "no reason is known".to_owned(), words::excerpt);
            paused.get_or_insert((reason, when(until)));
        }
        let scheduled = app.store.schedules().await?;
        let scheduled = scheduled
            .iter()
            .find(|row| row.name == "sync" && row.enabled)
            .map(|row| row.next_due);
        let due = scheduled.into_iter().chain(retry).min();
        Ok(Self {
            to: destinations(app),
            stats: sync::stats(app).await?,
            last_success: last_success.map(when),
            next_due: due.filter(|_| paused.is_none()).map(|at| when(at.max(now))),
            paused,
        })
    }
}

/// Where records go, if anywhere.
fn destinations(app: &App) -> Option<String> {
    let hosts: Vec<String> = app.targets.iter().map(|target| host(&target.url)).collect();
    (!hosts.is_empty()).then(|| hosts.join(", "))
}

/// The host alone: an address may hold a token.
fn host(url: &str) -> String {
    url.parse::<axum::http::Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
        .unwrap_or_else(|| "the configured address".to_owned())
}

/// One run of a job.
pub(super) struct Run {
    pub(super) job: &'static str,
    pub(super) started: When,
    pub(super) took: Option<String>,
    pub(super) outcome: &'static str,
    pub(super) tone: &'static str,
    pub(super) summary: String,
}

/// The latest runs.
pub(super) async fn runs(app: &App, now: i64) -> anyhow::Result<Vec<Run>> {
    let rows = app.store.runs(RUNS).await?;
    Ok(rows
        .into_iter()
        .map(|row| Run::of(app, &row, now))
        .collect())
}

impl Run {
    fn of(app: &App, row: &run::Model, now: i64) -> Self {
        let report = row
            .report
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let (outcome, tone) = match Outcome::of(&row.job, row.outcome.as_deref(), &report) {
            Outcome::Ok => ("Done", "good"),
            Outcome::Partly => ("Done in part", "doubtful"),
            Outcome::Paused => ("Paused", "doubtful"),
            Outcome::Failed => ("Nothing done", "bad"),
            Outcome::Error => ("Failed", "bad"),
            Outcome::Unfinished if row.node == *app.node => ("Under way", "quiet"),
            Outcome::Unfinished => ("Not finished", "quiet"),
        };
        Self {
            job: match row.job.as_str() {
                "poll" => "Read terminals",
                "process" => "Assess days",
                "sync" => "Deliver",
                "clean_up" => "Clean up",
                _ => "Other",
            },
            started: When::new(row.started_at, &app.zone, now),
            took: row.ended_at.map(|end| took(end - row.started_at)),
            outcome,
            tone,
            summary: words::excerpt(&summary(&row.job, &report)),
        }
    }
}

fn took(seconds: i64) -> String {
    match seconds {
        ..1 => "under 1 s".to_owned(),
        1..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_address_only_the_host_is_shown() {
        assert_eq!(
            host("https://user:secret@hr.example.com/api?token=secret"),
            "hr.example.com"
        );
        assert_eq!(host("not an address"), "the configured address");
    }
}
