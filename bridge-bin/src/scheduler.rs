//! When, never what: due rows, cron texts, and one task per job and terminal at a time.
//!
//! Any number of nodes run this on one store. What is due stands in tables; a node claims it by a lease, so that
//! whatever a dead node had claimed is due again by itself when the lease has ended.

use std::collections::HashMap;
use std::time::Duration;

use chrono::DateTime;
use croner::Cron;
use jiff::tz::TimeZone;
use sea_orm::ActiveValue::{NotSet, Set};
use serde::Serialize;
use tokio::task::{Id, JoinError, JoinSet};

use crate::app::App;
use crate::failure::Failure;
use crate::jobs::{self, Held, clean_up, poll, process, sync};
use crate::lifecycle::{self, GRACE, Stop};
use crate::store::bell::Bell;
use crate::store::due::Wanted;
use crate::store::entity::{device, due_target, run, schedule};
use crate::store::schedule::{CLEAN_UP, POLL, PROCESS, SYNC};
use crate::zone;

/// Looks at the due rows at least this often, in seconds: not every change is called out, and no call is certain.
const LOOK_AGAIN: i64 = 15;

/// A delivery that could not even begin is not tried again before, in seconds, unless its schedule calls.
const AFTER_ERROR: i64 = 5 * 60;

/// For a cron text that never matches.
const NEVER: i64 = 366 * 86_400;

/// What is done by one node at a time, beside the reading of terminals and the telling of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Process,
    CleanUp,
}

impl Job {
    fn of(name: &str) -> Option<Self> {
        match name {
            PROCESS => Some(Self::Process),
            CLEAN_UP => Some(Self::CleanUp),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Process => PROCESS,
            Self::CleanUp => CLEAN_UP,
        }
    }
}

/// Takes a cron text of five fields, or six with the seconds first, unless no date ever matches it.
pub fn cron(text: &str) -> Result<Cron, String> {
    let cron: Cron = text.parse().map_err(|error| {
        format!("{text:?} is no schedule ({error}); write five fields like '*/15 * * * *'")
    })?;
    if text.split_whitespace().count() > 6 {
        return Err(format!(
            "{text:?} has more than six fields; a schedule names no year"
        ));
    }
    // Any beginning would do; croner looks on for many years.
    let next = cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false);
    match next {
        Ok(_) => Ok(cron),
        Err(_) => Err(format!(
            "{text:?} would never come: no date matches its day, month and weekday together; \
             `zk-bridge schedule disable` switches a job off"
        )),
    }
}

/// The first time after `now` (Unix seconds) that matches a cron text in a zone.
///
/// As in cron: what is due at a certain hour runs once when that hour comes twice, and not when a clock change skips
/// it; what is due every hour goes on through both.
pub fn next_due(cron: &str, zone: &TimeZone, now: i64) -> Option<i64> {
    let hours = cron.split_whitespace().rev().nth(3).unwrap_or("*");
    let every_hour = hours.starts_with('*');
    let cron: Cron = cron.parse().ok()?;
    let mut at = now;
    // Each turn either answers or passes a clock change; there are two of them in most years.
    for _ in 0..1_000 {
        let offset = zone::offset_at(zone, at);
        let civil = DateTime::from_timestamp(at + offset, 0)?;
        let next = cron.find_next_occurrence(&civil, false).ok()?;
        let candidate = next.timestamp() - offset;
        match zone::next_change(zone, at).filter(|change| *change <= candidate) {
            // The clocks change before: look on from there, its own first moment included.
            Some(change) => at = change - i64::from(change > at),
            None if every_hour || zone::earliest(zone, next.naive_utc()) == Some(candidate) => {
                return Some(candidate);
            }
            None => at = candidate,
        }
        if let Some(change) = zone::next_change(zone, at).filter(|change| *change == at + 1) {
            let offset = zone::offset_at(zone, change);
            let first = DateTime::from_timestamp(change + offset, 0)?;
            let matches = cron.is_time_matching(&first).ok()?;
            let once = zone::earliest(zone, first.naive_utc()) == Some(change);
            if matches && change > now && (every_hour || once) {
                return Some(change);
            }
            at = change;
        }
    }
    None
}

/// When a schedule falls due next; far away if its cron text never matches.
pub fn following(row: &schedule::Model, now: i64) -> Result<i64, Failure> {
    let zone = zone::lookup(&row.zone)?;
    Ok(next_due(&row.cron, &zone, now).unwrap_or(now + NEVER))
}

/// Writes the configured schedules into the store. What a person changed at run time stays, unless the configuration
/// says something else than it did when it was last read.
pub async fn install(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let zone = &app.config.timezone.0;
    let schedule = &app.config.schedule;
    let known = app.store.schedules().await?;
    for (name, cron) in [
        (POLL, &schedule.poll),
        (PROCESS, &schedule.process),
        (SYNC, &schedule.sync),
        (CLEAN_UP, &schedule.clean_up),
    ] {
        // A new bridge begins at once: nobody wants to wait a quarter of an hour for the first reading.
        let before = known.iter().find(|row| row.name == name);
        let next = match before {
            Some(_) => next_due(&cron.0, &app.zone, now).unwrap_or(now + NEVER),
            None => now,
        };
        let changed = app
            .store
            .install_schedule(name, &cron.0, zone, next)
            .await?;
        if let Some(before) = before.filter(|row| changed && row.cron != cron.0) {
            tracing::info!(
                schedule = name,
                before = before.cron,
                now = cron.0,
                "the configuration changed the schedule"
            );
        }
    }
    Ok(())
}

/// What is under way in this process. What falls due while it still runs is passed over, not queued.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Ended>,
    names: HashMap<Id, Task>,
    /// Nothing is begun before: the database is in trouble.
    rest_until: i64,
}

/// One thing at a time each: a job, the reading of one terminal or the delivery to one target (by its place in the
/// configuration), which wait for no other (P6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Job(Job),
    Terminal(i64),
    Target(usize),
}

/// How a task ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    /// The database did not take it; whatever it was is still due.
    NoDatabase,
}

impl Running {
    fn has(&self, task: Task) -> bool {
        self.names.values().any(|running| *running == task)
    }

    fn terminals(&self) -> Vec<i64> {
        let id = |task: &Task| match task {
            Task::Terminal(id) => Some(*id),
            Task::Job(_) | Task::Target(_) => None,
        };
        self.names.values().filter_map(id).collect()
    }

    fn start(&mut self, task: Task, work: impl Future<Output = Ended> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.names.insert(handle.id(), task);
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>, now: i64, rest: i64) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.names.remove(&id);
        match ended {
            Ok((_, Ended::Well)) => {}
            Ok((_, Ended::NoDatabase)) => self.rest_until = now + rest,
            Err(error) => tracing::error!(?task, %error, "a task broke off"),
        }
    }
}

/// Runs jobs as their rows fall due, until asked to stop. Then what is under way gets [`GRACE`] to come to an end;
/// what needs longer is dropped and handed back to the other nodes.
pub async fn run(app: App, mut stop: Stop) {
    let bell = Bell::of(&app.store);
    let mut running = Running::default();
    let look_again = LOOK_AGAIN.min(i64::from(app.config.polling.lease_seconds));
    while !stop.is_requested() {
        let now = app.clock.now();
        let turn = turn(&app, now, &mut running, &stop);
        let mut asked_to_stop = stop.clone();
        // A database that does not answer must not keep the process from stopping.
        let turned = tokio::select! {
            turned = turn => turned,
            () = asked_to_stop.requested() => break,
        };
        let wait = match turned {
            Ok(next) => next.map_or(look_again, |next| (next - now).clamp(1, look_again)),
            Err(error) => {
                let failure = Failure::of(&error);
                tracing::error!(
                    error = failure.message,
                    remedy = failure.remedy,
                    "the schedule cannot be read; trying again"
                );
                look_again
            }
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())) => {}
            Some(ended) = running.tasks.join_next_with_id() => running.ended(ended, app.clock.now(), look_again),
            () = bell.rung() => {}
            () = stop.requested() => {}
        }
    }
    let all = async { while running.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!(
            tasks = running.tasks.len(),
            "not finished in time; dropped and handed back"
        );
        running.tasks.shutdown().await;
    }
    lifecycle::leave(&app).await;
}

/// Starts what is due; returns when to look again, if it is known.
async fn turn(
    app: &App,
    now: i64,
    running: &mut Running,
    stop: &Stop,
) -> anyhow::Result<Option<i64>> {
    if running.rest_until > now {
        return Ok(Some(running.rest_until));
    }
    let mut next: Option<i64> = None;
    let mut sooner = |at: i64| next = Some(next.map_or(at, |next| next.min(at)));
    let (mut polls, mut deliveries) = (false, false);
    let held = app.store.held_leases(app.clock.now_ms()).await?;
    // When a lease ends that another node holds.
    let ends = |name: &str| {
        let found = held.iter().find(|(row, _)| row.name == name);
        found.map(|(_, remaining_ms)| now + remaining_ms.div_euclid(1000) + 1)
    };
    for row in app
        .store
        .schedules()
        .await?
        .into_iter()
        .filter(|row| row.enabled)
    {
        let following = following(&row, now)?;
        // A row far in the future was written by a clock that was wrong.
        let waits = row.next_due > now && row.next_due <= following;
        sooner(if waits { row.next_due } else { following });
        polls |= row.name == POLL;
        deliveries |= row.name == SYNC;
        if waits {
            continue;
        }
        match (row.name.as_str(), Job::of(&row.name)) {
            (POLL, _) => {
                app.store
                    .call_for_polls(row.next_due, following, now)
                    .await?;
            }
            (SYNC, _) => {
                let targets: Vec<&str> = app
                    .targets
                    .iter()
                    .map(|target| target.id.as_str())
                    .collect();
                app.store
                    .call_for_deliveries(&targets, row.next_due, following, now)
                    .await?;
            }
            (_, Some(job)) if !running.has(Task::Job(job)) => {
                if let Some(ends) = ends(process::LEASE) {
                    sooner(ends);
                } else {
                    let (app, stop) = (app.clone(), stop.clone());
                    running.start(Task::Job(job), async move {
                        run_job(&app, job, &row, stop).await
                    });
                }
            }
            _ => {}
        }
    }
    if deliveries {
        let due = app.store.due_targets().await?;
        for (index, target) in app.targets.iter().enumerate() {
            let Some(row) = due.get(&target.id) else {
                continue;
            };
            let Some(due_at) = row.due_at.filter(|_| !running.has(Task::Target(index))) else {
                continue;
            };
            if due_at > now {
                sooner(due_at);
            } else if let Some(ends) = ends(&sync::lease(&target.id)) {
                sooner(ends);
            } else {
                let (app, row, stop) = (app.clone(), row.clone(), stop.clone());
                running.start(Task::Target(index), async move {
                    tell_target(&app, &row, stop).await
                });
            }
        }
    }
    if polls {
        claim_terminals(app, running, stop).await?;
        if let Some(due) = app.store.next_due_device(now).await? {
            sooner(due);
        }
    }
    Ok(next)
}

async fn claim_terminals(app: &App, running: &mut Running, stop: &Stop) -> anyhow::Result<()> {
    let reading = running.terminals();
    let at_once = usize::try_from(app.config.polling.concurrency).unwrap_or(8);
    let asked = app.clock.monotonic();
    let wanted = Wanted {
        holder: &app.node,
        term_ms: jobs::term_ms(app),
        limit: at_once.saturating_sub(reading.len()) as u64,
        except: &reading,
    };
    for (device, lease) in app.store.claim_due(wanted, app.clock.now_ms()).await? {
        let held = Held::new(app, lease, asked);
        let (app, stop) = (app.clone(), stop.clone());
        running.start(Task::Terminal(device.id), async move {
            read_terminal(&app, &device, held, stop).await
        });
    }
    Ok(())
}

/// Reads one terminal. Only what is news goes into the history (P7).
async fn read_terminal(app: &App, device: &device::Model, held: Held, stop: Stop) -> Ended {
    let started = app.clock.now();
    let options = poll::Options {
        stop: Some(stop),
        ..Default::default()
    };
    let poll = poll::run_claimed(app, device, held, &options).await;
    if poll
        .error
        .as_ref()
        .is_some_and(poll::Trouble::is_of_database)
    {
        return Ended::NoDatabase;
    }
    if poll.new_records == 0 && poll.error.is_none() && device.last_error.is_none() {
        return Ended::Well;
    }
    let row = run::ActiveModel {
        id: NotSet,
        job: Set(POLL.to_owned()),
        node: Set(app.node.to_string()),
        started_at: Set(started),
        ended_at: Set(Some(app.clock.now())),
        outcome: Set(Some("ok".to_owned())),
        report: Set(Some(to_json(&poll::Report::of(vec![poll])))),
    };
    if let Err(error) = app.store.note_run(row).await {
        tracing::warn!(device = device.name, %error, "the reading is missing in the history");
    }
    Ended::Well
}

/// What the history keeps of a delivery.
#[derive(Serialize)]
struct ToTarget<'a> {
    target: &'a str,
    #[serde(flatten)]
    report: &'a sync::Report,
}

/// Tells one target what is due, with its history. It stays due until that has ended.
async fn tell_target(app: &App, due: &due_target::Model, stop: Stop) -> Ended {
    let options = sync::Options {
        target: Some(due.target.clone()),
        stop: Some(stop),
        ..Default::default()
    };
    let told = async {
        let begun = app
            .store
            .begin_run(SYNC, &app.node, app.clock.now())
            .await?;
        let result = sync::run_within(app, &options, Duration::ZERO).await;
        let now = app.clock.now();
        let paused = app.store.target(&due.target).await?;
        let paused = paused
            .and_then(|row| row.paused_until)
            .filter(|until| *until > now);
        match &result {
            // Another node was quicker.
            Err(error) if is_busy(error) => return Ok(app.store.forget_run(begun).await?),
            Ok(report) if report.total == 0 && report.queued == 0 => {
                app.store.forget_run(begun).await?;
            }
            Ok(report) => {
                let outcome = if paused.is_some() { "paused" } else { "ok" };
                let told = ToTarget {
                    target: &due.target,
                    report,
                };
                app.store
                    .end_run(begun, outcome, to_json(&told), None, now)
                    .await?;
            }
            Err(error) => {
                let text = to_json(&format!("{}: {}", due.target, words_of(error)));
                app.store.end_run(begun, "error", text, None, now).await?;
            }
        }
        let next = if paused.is_some() {
            paused
        } else {
            let rest = if result.is_ok() { 5 } else { AFTER_ERROR };
            let retry = app.store.next_retry(&due.target).await?;
            retry.map(|at| at.max(now + rest))
        };
        app.store.target_done(due, next).await?;
        result.map(drop)
    };
    finished(SYNC, told.await)
}

/// Runs one job, with its history. Its row moves on at the end, unless work came meanwhile.
async fn run_job(app: &App, job: Job, row: &schedule::Model, stop: Stop) -> Ended {
    let ran = async {
        let begun = app
            .store
            .begin_run(job.name(), &app.node, app.clock.now())
            .await?;
        let result = match job {
            Job::Process => {
                let options = process::Options {
                    stop: Some(stop.clone()),
                    ..Default::default()
                };
                process::run_within(app, &options, Duration::ZERO)
                    .await
                    .map(|report| to_json(&report))
            }
            Job::CleanUp => clean_up::run(app, false)
                .await
                .map(|report| to_json(&report)),
        };
        if result.as_ref().is_err_and(is_busy) {
            // Another node was quicker, and moves the row on.
            return Ok(app.store.forget_run(begun).await?);
        }
        let now = app.clock.now();
        let next = if stop.is_requested() {
            // What it left undone is due for whoever comes next.
            now
        } else {
            following(row, now)?
        };
        let (outcome, text) = match &result {
            Ok(report) => ("ok", report.clone()),
            Err(error) => ("error", to_json(&words_of(error))),
        };
        app.store
            .end_run(begun, outcome, text, Some(next), now)
            .await?;
        result.map(drop)
    };
    finished(job.name(), ran.await)
}

/// What the history tells of an error.
fn words_of(error: &anyhow::Error) -> String {
    let Failure {
        message, remedy, ..
    } = Failure::of(error);
    format!("{message} {remedy}")
}

fn is_busy(error: &anyhow::Error) -> bool {
    Failure::of(error).kind == "busy"
}

fn finished(job: &str, result: anyhow::Result<()>) -> Ended {
    let Err(error) = result else {
        return Ended::Well;
    };
    tracing::error!(
        job,
        error = format!("{error:#}"),
        "the job failed; it runs again when it is next due"
    );
    if Failure::of(&error).kind == Failure::DATABASE {
        Ended::NoDatabase
    } else {
        Ended::Well
    }
}

fn to_json(report: &impl Serialize) -> String {
    serde_json::to_string(report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_schedule_follows_the_clock_of_the_site() {
        let berlin = zone::lookup("Europe/Berlin").unwrap();
        assert_eq!(
            next_due("30 7 * * *", &berlin, at("2026-01-10T05:00:00Z")),
            Some(at("2026-01-10T06:30:00Z"))
        );
        assert_eq!(
            next_due("30 7 * * *", &berlin, at("2026-07-10T05:00:00Z")),
            Some(at("2026-07-10T05:30:00Z"))
        );
        assert_eq!(
            next_due("*/15 * * * *", &berlin, at("2026-07-10T05:00:00Z")),
            Some(at("2026-07-10T05:15:00Z"))
        );
    }

    #[test]
    fn a_doubled_hour_runs_a_daily_job_once_and_a_skipped_one_does_not_stall_it() {
        let berlin = zone::lookup("Europe/Berlin").unwrap();
        let first = next_due("30 2 * * *", &berlin, at("2026-10-25T00:00:00Z")).unwrap();
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(
            next_due("30 2 * * *", &berlin, first),
            Some(at("2026-10-26T01:30:00Z"))
        );
        assert_eq!(
            next_due("30 2 * * *", &berlin, at("2026-03-29T00:00:00Z")),
            Some(at("2026-03-30T00:30:00Z"))
        );
    }

    #[test]
    fn a_job_of_every_hour_goes_on_through_a_clock_change() {
        let berlin = zone::lookup("Europe/Berlin").unwrap();
        for night in ["2026-10-25", "2026-03-29"] {
            let mut now = at(&format!("{night}T00:00:00Z"));
            for _ in 0..16 {
                let next = next_due("*/15 * * * *", &berlin, now).unwrap();
                assert_eq!(next, now + 900, "after {now}");
                now = next;
            }
        }
        let seconds = next_due("*/5 * * * * *", &berlin, at("2026-10-25T01:10:00Z"));
        assert_eq!(seconds, Some(at("2026-10-25T01:10:05Z")));
    }

    #[test]
    fn what_never_comes_is_refused_and_what_comes_rarely_is_not() {
        for text in ["*/15 * * * *", "0 0 29 2 *", "0 0 31 12 *", "5 0 1 1 1 *"] {
            cron(text).unwrap();
        }
        for text in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            let error = cron(text).unwrap_err();
            assert!(error.contains("never come"), "{error}");
        }
        assert!(cron("every day").unwrap_err().contains("is no schedule"));
    }

    #[test]
    fn what_never_comes_is_never_due() {
        let utc = zone::lookup("UTC").unwrap();
        assert_eq!(
            next_due("0 0 30 2 *", &utc, at("2026-01-01T00:00:00Z")),
            None
        );
    }
}
