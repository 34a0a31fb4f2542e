//! When, never what: due rows, cron texts, and one task per job at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use croner::Cron;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::App;
use crate::jobs;
use crate::lifecycle::Stop;
use crate::zone;

/// Looks at the due rows at least this often, so that a schedule changed elsewhere is noticed.
const LOOK_AGAIN: i64 = 15;

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Poll,
    Process,
    Sync,
    CleanUp,
}

impl Job {
    const ALL: [Self; 4] = [Self::Poll, Self::Process, Self::Sync, Self::CleanUp];

    const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Process => "process",
            Self::Sync => "sync",
            Self::CleanUp => "clean_up",
        }
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

/// Writes the configured schedules into the store.
pub async fn install(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let zone = &app.config.timezone.0;
    let schedule = &app.config.schedule;
    let known = app.store.schedules().await?;
    for (job, cron) in [
        (Job::Poll, &schedule.poll),
        (Job::Process, &schedule.process),
        (Job::Sync, &schedule.sync),
        (Job::CleanUp, &schedule.clean_up),
    ] {
        // A new bridge begins at once: nobody wants to wait a quarter of an hour for the first reading.
        let next = if known.iter().any(|row| row.name == job.name()) {
            next_due(&cron.0, &app.zone, now).unwrap_or(now + 3600)
        } else {
            now
        };
        app.store
            .set_schedule(job.name(), &cron.0, zone, next)
            .await?;
    }
    Ok(())
}

/// What is under way in this process. What falls due while it still runs is passed over, not queued.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Task>,
    names: BTreeSet<Task>,
    /// Punches came since days were last assessed.
    unassessed: bool,
}

/// One thing at a time each: a job, the reading of one terminal or the delivery to one target (by its place in the
/// configuration), which wait for no other (P6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Job(Job),
    Terminal(i64),
    Target(usize),
}

impl Running {
    fn start(&mut self, task: Task, work: impl Future<Output = ()> + Send + 'static) {
        if self.names.insert(task) {
            self.tasks.spawn(async move {
                work.await;
                task
            });
        }
    }

    fn job(&mut self, app: &App, job: Job, stop: &Stop) {
        let (app, stop) = (app.clone(), stop.clone());
        self.start(Task::Job(job), async move {
            run_job(&app, job, None, stop).await;
        });
    }

    fn deliver(&mut self, app: &App, index: usize, stop: &Stop) {
        let Some(target) = app.targets.get(index).map(|target| target.id.clone()) else {
            return;
        };
        let (app, stop) = (app.clone(), stop.clone());
        self.start(Task::Target(index), async move {
            run_job(&app, Job::Sync, Some(target), stop).await;
        });
    }

    async fn poll(&mut self, app: &App, slots: &Arc<Semaphore>, stop: &Stop) -> anyhow::Result<()> {
        for device in app
            .store
            .devices()
            .await?
            .into_iter()
            .filter(|row| row.enabled)
        {
            let (app, stop, slots) = (app.clone(), stop.clone(), Arc::clone(slots));
            self.start(Task::Terminal(device.id), async move {
                let Ok(_slot) = slots.acquire().await else {
                    return;
                };
                run_job(&app, Job::Poll, Some(device.name), stop).await;
            });
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<Task, tokio::task::JoinError>) {
        match ended {
            Ok(task) => {
                self.names.remove(&task);
                self.unassessed |= matches!(task, Task::Terminal(_));
            }
            Err(error) => {
                tracing::error!(%error, "a job broke off");
                // Which one it was is not told; leases keep the others safe from a second start.
                self.names.clear();
            }
        }
    }
}

/// Runs jobs as their rows fall due, until asked to stop.
pub async fn run(app: App, mut stop: Stop) {
    let mut running = Running::default();
    let at_once = usize::try_from(app.config.polling.concurrency).unwrap_or(8);
    let slots = Arc::new(Semaphore::new(at_once));
    while !stop.is_requested() {
        let now = app.clock.now();
        let wait = match turn(&app, now, &mut running, &slots, &stop).await {
            Ok(next) => (next - now).clamp(1, LOOK_AGAIN),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the schedule cannot be read; trying again"
                );
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(u64::try_from(wait).unwrap_or(1))) => {}
            Some(ended) = running.tasks.join_next() => running.ended(ended),
            () = stop.requested() => {}
        }
    }
    while running.tasks.join_next().await.is_some() {}
}

/// Starts what is due; returns when to look again.
async fn turn(
    app: &App,
    now: i64,
    running: &mut Running,
    slots: &Arc<Semaphore>,
    stop: &Stop,
) -> anyhow::Result<i64> {
    let mut next = now + LOOK_AGAIN;
    for row in app
        .store
        .schedules()
        .await?
        .into_iter()
        .filter(|row| row.enabled)
    {
        let Some(job) = Job::ALL.into_iter().find(|job| job.name() == row.name) else {
            continue;
        };
        let zone = zone::lookup(&row.zone)?;
        let Some(due) = next_due(&row.cron, &zone, now) else {
            continue;
        };
        // A row far in the future was written by a clock that was wrong.
        if row.next_due > now && row.next_due <= due {
            next = next.min(row.next_due);
            continue;
        }
        next = next.min(due);
        if app.store.advance(&row.name, row.next_due, due).await? {
            match job {
                Job::Poll => running.poll(app, slots, stop).await?,
                Job::Sync => {
                    for index in 0..app.targets.len() {
                        running.deliver(app, index, stop);
                    }
                }
                job => running.job(app, job, stop),
            }
        }
    }
    if running.unassessed && !running.names.contains(&Task::Job(Job::Process)) {
        running.unassessed = false;
        running.job(app, Job::Process, stop);
    }
    for (index, target) in app.targets.iter().enumerate() {
        let Some(retry) = app.store.next_retry(&target.id).await? else {
            continue;
        };
        if jobs::sync::is_paused(app, &target.id, now).await? {
            continue;
        }
        if retry <= now {
            running.deliver(app, index, stop);
        }
        next = next.min(retry.max(now + 5));
    }
    Ok(next)
}

/// Runs one job, with its history: for one terminal or target, where it has a name.
async fn run_job(app: &App, job: Job, name: Option<String>, stop: Stop) {
    let report = async {
        let id = app
            .store
            .begin_run(job.name(), &app.node, app.clock.now())
            .await?;
        let result = match job {
            Job::Poll => {
                let options = jobs::poll::Options {
                    devices: name.into_iter().collect(),
                    stop: Some(stop),
                    ..Default::default()
                };
                jobs::poll::run(app, &options)
                    .await
                    .map(|report| to_json(&report))
            }
            Job::Process => jobs::process::run(app, &jobs::process::Options::default())
                .await
                .map(|report| to_json(&report)),
            Job::Sync => jobs::sync::run(
                app,
                &jobs::sync::Options {
                    target: name,
                    stop: Some(stop),
                    ..Default::default()
                },
            )
            .await
            .map(|report| to_json(&report)),
            Job::CleanUp => jobs::clean_up::run(app, false)
                .await
                .map(|report| to_json(&report)),
        };
        let (outcome, text) = match &result {
            Ok(report) => ("ok", report.clone()),
            Err(error) => ("error", to_json(&format!("{error:#}"))),
        };
        app.store
            .end_run(id, outcome, text, app.clock.now())
            .await?;
        result
    };
    if let Err(error) = report.await {
        tracing::error!(
            job = job.name(),
            error = format!("{error:#}"),
            "the job failed; it runs again when it is next due"
        );
    }
}

fn to_json(report: &impl serde::Serialize) -> String {
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
    fn what_never_comes_is_never_due() {
        let utc = zone::lookup("UTC").unwrap();
        assert_eq!(
            next_due("0 0 30 2 *", &utc, at("2026-01-01T00:00:00Z")),
            None
        );
    }
}
