//! How everything stands: until when the data is complete, and who holds it back (I6).
//!
//! A terminal is complete until the start of its last complete reading: whatever happened there before is here. Days
//! are counted by their work dates, whenever it became known what belongs to them. Assessed are all before the first
//! that was touched since; what time alone settles was right until then. Delivered to a target are all before the first
//! of which it lacks an entry, and nothing is while it is still to be told what it has missed, or cannot be told
//! anything under its settings. A target is complete until the earliest of the terminals, the assessment and its own
//! delivery; the firm, until the earliest of all.

pub mod alarms;
pub mod service;

use serde::Serialize;

pub use self::service::Service;
use crate::app::App;
use crate::store::entity::target;
use crate::zone;

/// How everything stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// When this was found.
    #[serde(serialize_with = "zone::as_utc")]
    pub at: i64,
    /// Until when the data of the whole firm is complete.
    pub complete: Watermark,
    /// Nothing before this instant is left to assess; none: it never began.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub assessed_until: Option<i64>,
    /// The terminals by name.
    pub devices: Vec<Device>,
    /// The targets as configured.
    pub targets: Vec<Target>,
    /// Alarms that are open, oldest first.
    pub alarms: Vec<Alarm>,
    /// Who does the work (B50).
    pub service: Service,
}

/// Until when something is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watermark {
    /// Nothing before this instant is missing; none: nothing is complete yet.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub until: Option<i64>,
    /// Who holds it back; none if there is no terminal.
    pub held_back_by: Option<String>,
}

/// One terminal.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "as in the device table")]
pub struct Device {
    pub name: String,
    pub enabled: bool,
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub complete_until: Option<i64>,
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub last_attempt: Option<i64>,
    pub last_error: Option<String>,
    /// Records read of its log.
    pub log_records: Option<i64>,
    pub log_capacity: Option<i64>,
    pub clock_drift_s: Option<i64>,
    /// When it was added.
    #[serde(skip)]
    pub since: i64,
}

/// One target.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// What it is told: `day`, `punch` or `session`.
    pub kind: &'static str,
    /// In which form.
    pub connector: &'static str,
    /// Where it is: the host alone, for an address may hold a token.
    pub host: String,
    /// Entries of which it has the latest revision.
    pub sent: u64,
    /// Entries that wait to be sent.
    pub waiting: u64,
    /// Entries that it refused for good.
    pub refused: u64,
    /// Since when the oldest of these has been waiting.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub waiting_since: Option<i64>,
    /// It lacks nothing that is known here of the work dates before this instant; none: nothing can be said of it.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub delivered_until: Option<i64>,
    /// Then why, in words.
    pub incomplete: Option<String>,
    /// Nothing before this instant is missing there; none: nothing is complete yet.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub complete_until: Option<i64>,
    /// Who holds it back; none if there is no terminal.
    pub held_back_by: Option<String>,
    /// Whether it cannot be told anything under its settings.
    #[serde(skip)]
    pub is_refused: bool,
    /// Until when it is left alone, if it is.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub paused_until: Option<i64>,
    /// Why.
    pub paused_reason: Option<String>,
    /// When it last took something.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub last_success: Option<i64>,
    /// When its certificate ends, as far as it was seen.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub certificate_ends: Option<i64>,
}

/// One alarm that is open.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "as in the alarm table")]
pub struct Alarm {
    pub kind: String,
    pub subject: String,
    pub detail: String,
    /// What to do next.
    pub remedy: String,
    /// Since when it is known to be open: the present, if no node has written it down.
    #[serde(serialize_with = "zone::as_utc")]
    pub since: i64,
}

impl Status {
    /// Looks at everything.
    pub async fn load(app: &App) -> anyhow::Result<Self> {
        let now = app.clock.now();
        let cursors = app.store.cursors().await?;
        let devices: Vec<Device> = app
            .store
            .devices()
            .await?
            .into_iter()
            .map(|row| Device {
                log_records: cursors.get(&row.id).map(|cursor| cursor.records),
                enabled: row.enabled,
                complete_until: row.complete_until,
                last_attempt: row.last_attempt,
                last_error: row.last_error,
                log_capacity: row.log_capacity,
                clock_drift_s: row.clock_drift_s,
                since: row.created_at,
                name: row.name,
            })
            .collect();
        let left = app.store.unassessed(app.clock.as_of(), app.today()).await?;
        let first_date = left.date.map(|date| zone::start_of(&app.zone, date));
        let first = first_date.into_iter().chain(left.instant).min();
        let assessed_until = match first {
            Some(_) if !left.has_begun => None,
            first => Some(first.map_or(now, |first| first.min(now))),
        };
        let mut targets = Vec::new();
        for target in app.targets.iter() {
            let mut target = Target::load(app, target, now).await?;
            let own = std::slice::from_ref(&target);
            let Watermark {
                until,
                held_back_by,
            } = complete(&devices, assessed_until, own);
            (target.complete_until, target.held_back_by) = (until, held_back_by);
            targets.push(target);
        }
        let mut status = Self {
            at: now,
            complete: complete(&devices, assessed_until, &targets),
            assessed_until,
            devices,
            targets,
            alarms: Vec::new(),
            service: Service::load(app, now).await?,
        };
        status.alarms = alarms::open(app, &status).await?;
        Ok(status)
    }
}

impl Target {
    async fn load(
        app: &App,
        target: &crate::config::targets::Target,
        now: i64,
    ) -> anyhow::Result<Self> {
        let known = app.store.target(&target.id).await?;
        let waiting_since = app.store.waiting_since(&target.id).await?;
        let first = app.store.first_undelivered(&target.id).await?;
        let incomplete = incomplete(target, known.as_ref());
        let paused = known
            .as_ref()
            .filter(|row| row.paused_until.is_some_and(|until| until > now));
        Ok(Self {
            id: target.id.clone(),
            kind: target.kind().name(),
            connector: target.connector.name(),
            host: host(&target.url),
            sent: app
                .store
                .stats(&target.id, target.max_retries)
                .await?
                .synced,
            waiting: app.store.pending(&target.id).await?,
            refused: app.store.rejected(&target.id).await?,
            waiting_since,
            delivered_until: match incomplete {
                Some(_) => None,
                None => Some(first.map_or(now, |date| zone::start_of(&app.zone, date).min(now))),
            },
            incomplete,
            complete_until: None,
            held_back_by: None,
            is_refused: known.as_ref().is_some_and(|row| is_refused(target, row)),
            paused_until: paused.and_then(|row| row.paused_until),
            paused_reason: paused.and_then(|row| row.paused_reason.clone()),
            last_success: known.as_ref().and_then(|row| row.last_success),
            certificate_ends: known.and_then(|row| row.certificate_ends),
        })
    }
}

fn host(url: &str) -> String {
    url.parse::<reqwest::Url>()
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "the configured address".to_owned())
}

/// Why what waits for a target does not say what it lacks, if so.
fn incomplete(
    target: &crate::config::targets::Target,
    known: Option<&target::Model>,
) -> Option<String> {
    match known {
        Some(row) if is_refused(target, row) => Some(format!(
            "which was told {} entries so far and cannot be told {} entries under the same id",
            row.kind.as_deref().unwrap_or_default(),
            target.kind().name()
        )),
        Some(row) if row.fingerprint == target.fingerprint() => None,
        _ => Some("which is told at its next delivery what it has missed".to_owned()),
    }
}

/// What a target knows is of one kind.
fn is_refused(target: &crate::config::targets::Target, known: &target::Model) -> bool {
    let kind = target.kind().name();
    known.kind.as_deref().is_some_and(|known| known != kind)
}

/// The earliest of all, and whose it is.
fn complete(devices: &[Device], assessed_until: Option<i64>, targets: &[Target]) -> Watermark {
    let mut all: Vec<(Option<i64>, String)> = devices
        .iter()
        .filter(|device| device.enabled)
        .map(|device| (device.complete_until, device.name.clone()))
        .collect();
    if all.is_empty() {
        return Watermark {
            until: None,
            held_back_by: None,
        };
    }
    all.push((
        assessed_until,
        match assessed_until {
            Some(_) => "the assessment of days".to_owned(),
            None => "the assessment of days, which has not begun".to_owned(),
        },
    ));
    all.extend(targets.iter().map(|target| {
        let name = match &target.incomplete {
            Some(why) => format!("the delivery to {}, {why}", target.id),
            None => format!("the delivery to {}", target.id),
        };
        (target.delivered_until, name)
    }));
    let first = all.into_iter().min_by_key(|(until, _)| *until);
    Watermark {
        until: first.as_ref().and_then(|(until, _)| *until),
        held_back_by: first.map(|(_, name)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, enabled: bool, complete_until: Option<i64>) -> Device {
        Device {
            name: name.to_owned(),
            enabled,
            complete_until,
            last_attempt: None,
            last_error: None,
            log_records: None,
            log_capacity: None,
            clock_drift_s: None,
            since: 0,
        }
    }

    fn target(id: &str, delivered_until: i64) -> Target {
        Target {
            id: id.to_owned(),
            kind: "day",
            connector: "json",
            host: String::new(),
            sent: 0,
            waiting: 0,
            refused: 0,
            waiting_since: None,
            delivered_until: Some(delivered_until),
            incomplete: None,
            complete_until: None,
            held_back_by: None,
            is_refused: false,
            paused_until: None,
            paused_reason: None,
            last_success: None,
            certificate_ends: None,
        }
    }

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        assert_eq!(
            host("https://user:secret@hr.example.com/api?token=secret"),
            "hr.example.com"
        );
        assert_eq!(host("not an address"), "the configured address");
    }

    #[test]
    fn the_slowest_holds_everything_back() {
        let held = |devices: &[Device], assessed, targets: &[Target]| {
            let found = complete(devices, Some(assessed), targets);
            (found.until, found.held_back_by.unwrap_or_default())
        };
        let (gate, gate_2) = (
            device("Gate", true, Some(50)),
            device("Gate 2", true, Some(40)),
        );
        let both = [gate.clone(), gate_2];
        assert_eq!(held(&both, 60, &[]), (Some(40), "Gate 2".to_owned()));
        assert_eq!(
            held(&both, 30, &[]),
            (Some(30), "the assessment of days".to_owned())
        );
        assert_eq!(
            held(&both, 60, &[target("crm", 60), target("hr", 20)]),
            (Some(20), "the delivery to hr".to_owned())
        );
        let mut new = target("new", 0);
        (new.delivered_until, new.incomplete) = (None, Some("which is new".to_owned()));
        assert_eq!(
            held(&both, 60, &[target("crm", 60), new]),
            (None, "the delivery to new, which is new".to_owned())
        );
        let unread = [gate.clone(), device("New", true, None)];
        assert_eq!(held(&unread, 60, &[]), (None, "New".to_owned()));
        let idle = complete(std::slice::from_ref(&gate), None, &[]).held_back_by;
        assert!(idle.is_some_and(|who| who.contains("has not begun")));
        let off = [gate, device("Off", false, None)];
        assert_eq!(held(&off, 60, &[]), (Some(50), "Gate".to_owned()));
        assert_eq!(complete(&[], Some(60), &[]).held_back_by, None);
    }
}
