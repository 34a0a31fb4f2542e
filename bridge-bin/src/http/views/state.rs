//! How terminals, delivery and jobs stand.

use super::words::{self, When};
use crate::app::App;
use crate::jobs::history::{Outcome, summary};
use crate::status::{self, Status};
use crate::store::entity::{cursor, run};
use crate::zone;

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
    /// Everything before was read, assessed and delivered; and who holds back what came after, unless that is nothing.
    Until(When, Option<String>),
}

pub(super) struct Terminal {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) is_enabled: bool,
    pub(super) last_sync: Option<When>,
    pub(super) last_error: Option<String>,
    pub(super) records: Option<i64>,
    /// How many fit.
    pub(super) capacity: Option<i64>,
    /// How far its clock was off, and whether that is told as an alarm.
    pub(super) clock: Option<(String, bool)>,
}

impl Terminals {
    pub(super) async fn load(app: &App, status: &Status) -> anyhow::Result<Self> {
        let now = status.at;
        let devices = app.store.devices().await?;
        let cursors = app.store.cursors().await?;
        let complete = &status.complete;
        let complete_until = match (complete.until, &complete.held_back_by) {
            (Some(at), holder) => {
                let until = When::new(at, &app.zone, now);
                let holder = holder.clone().filter(|_| !until.is_now());
                Complete::Until(until, holder)
            }
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
                capacity: row.log_capacity.filter(|capacity| *capacity > 0),
                clock: row.clock_drift_s.map(|drift| {
                    let is_wrong = status
                        .alarms
                        .iter()
                        .any(|alarm| alarm.kind == "clock_drift" && alarm.subject == row.name);
                    (zone::drift(drift), is_wrong)
                }),
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

/// How the delivery to one target stands.
pub(super) struct Target {
    pub(super) id: String,
    /// What it is told, and in which form.
    pub(super) told: String,
    pub(super) host: String,
    pub(super) state: TargetState,
    pub(super) sent: u64,
    pub(super) waiting: u64,
    pub(super) refused: u64,
    pub(super) complete_until: Option<When>,
    /// Who else holds it back.
    pub(super) held_back_by: Option<String>,
    pub(super) last_success: Option<When>,
}

/// Whether a target is told anything at the moment.
pub(super) enum TargetState {
    /// As it comes; and when it is tried next, if something waits.
    On(Option<When>),
    /// Not before this, and why.
    Paused(When, String),
    /// Not yet, or not under its settings, and why.
    Incomplete(String, &'static str),
}

/// Each target, in the order of the configuration.
pub(super) async fn targets(app: &App, status: &Status) -> anyhow::Result<Vec<Target>> {
    let when = |at| When::new(at, &app.zone, status.at);
    let mut rows = Vec::new();
    for target in &status.targets {
        let state = match (&target.incomplete, target.paused_until) {
            (Some(why), _) if target.is_refused => TargetState::Incomplete(why.clone(), "bad"),
            (_, Some(until)) => {
                let reason = target.paused_reason.as_deref();
                let reason = reason.map_or_else(|| "no reason is known".to_owned(), words::excerpt);
                TargetState::Paused(when(until), reason)
            }
            (Some(why), None) => TargetState::Incomplete(why.clone(), "quiet"),
            (None, None) => {
                let next = app.store.next_retry(&target.id).await?;
                TargetState::On(next.map(|at| when(at.max(status.at))))
            }
        };
        let own = format!("the delivery to {}", target.id);
        let holder = target.held_back_by.clone();
        let is_current = target.complete_until.is_some_and(|at| when(at).is_now());
        rows.push(Target {
            held_back_by: holder.filter(|holder| !is_current && !holder.starts_with(&own)),
            id: target.id.clone(),
            told: format!(
                "{} as {}",
                match target.kind {
                    "punch" => "punches",
                    "session" => "sessions",
                    _ => "days",
                },
                target.connector
            ),
            host: target.host.clone(),
            state,
            sent: target.sent,
            waiting: target.waiting,
            refused: target.refused,
            complete_until: target.complete_until.map(when),
            last_success: target.last_success.map(when),
        });
    }
    Ok(rows)
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
            Outcome::Failed | Outcome::Error => ("Failed", "bad"),
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
