//! When, never what: due rows, cron texts, and one task per job at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;

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
}

impl Job {
    const ALL: [Self; 3] = [Self::Poll, Self::Process, Self::Sync];

    const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Process => "process",
            Self::Sync => "sync",
        }
    }
}

/// The first time after `now` (Unix seconds) that matches a cron text in a zone.
///
/// Civil times that a clock change skips are passed over; doubled ones count once.
pub fn next_due(cron: &str, zone: &TimeZone, now: i64) -> Option<i64> {
    let cron: Cron = cron.parse().ok()?;
    let mut civil = zone::civil_at(zone, now).and_utc();
    for _ in 0..100 {
        civil = cron.find_next_occurrence(&civil, false).ok()?;
        let at = zone::earliest(zone, civil.naive_utc());
        if let Some(at) = at.filter(|at| *at > now) {
            return Some(at);
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

/// The jobs under way in this process. A job that falls due while it still runs is passed over, not queued.
#[derive(Default)]
struct Running {
    tasks: tokio::task::JoinSet<Job>,
    jobs: BTreeSet<Job>,
}

impl Running {
    fn start(&mut self, app: &App, job: Job, stop: &Stop) {
        if self.jobs.insert(job) {
            let (app, stop) = (app.clone(), stop.clone());
            self.tasks.spawn(async move {
                run_job(&app, job, stop).await;
                job
            });
        }
    }

    fn sweep(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(job) => {
                    self.jobs.remove(&job);
                }
                Err(error) => {
                    tracing::error!(%error, "a job broke off");
                    // Which one it was is not told; leases keep the others safe from a second start.
                    self.jobs.clear();
                }
            }
        }
    }
}

/// Runs jobs as their rows fall due, until asked to stop.
pub async fn run(app: App, mut stop: Stop) {
    let mut running = Running::default();
    while !stop.is_requested() {
        running.sweep();
        let now = app.clock.now();
        let wait = match turn(&app, now, &mut running, &stop).await {
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
            () = stop.requested() => {}
        }
    }
    while running.tasks.join_next().await.is_some() {}
}

/// Starts what is due; returns when to look again.
async fn turn(app: &App, now: i64, running: &mut Running, stop: &Stop) -> anyhow::Result<i64> {
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
        if row.next_due > now {
            next = next.min(row.next_due);
            continue;
        }
        let zone = zone::lookup(&row.zone)?;
        let Some(due) = next_due(&row.cron, &zone, now) else {
            continue;
        };
        next = next.min(due);
        if app.store.advance(&row.name, row.next_due, due).await? {
            running.start(app, job, stop);
        }
    }
    let deliverable = jobs::sync::is_configured(app) && !jobs::sync::is_paused(app, now).await?;
    let retry = app.store.next_retry(jobs::sync::TARGET).await?;
    if let Some(retry) = retry.filter(|_| deliverable) {
        if retry <= now {
            running.start(app, Job::Sync, stop);
        }
        next = next.min(retry.max(now + 5));
    }
    Ok(next)
}

/// Runs one job, with its history.
async fn run_job(app: &App, job: Job, stop: Stop) {
    let report = async {
        let id = app
            .store
            .begin_run(job.name(), &app.node, app.clock.now())
            .await?;
        let result = match job {
            Job::Poll => poll_and_process(app, stop).await,
            Job::Process => jobs::process::run(app, &jobs::process::Options::default())
                .await
                .map(|report| to_json(&report)),
            Job::Sync => jobs::sync::run(
                app,
                &jobs::sync::Options {
                    stop: Some(stop),
                    ..Default::default()
                },
            )
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

async fn poll_and_process(app: &App, stop: Stop) -> anyhow::Result<String> {
    let polled = jobs::poll::run(
        app,
        &jobs::poll::Options {
            stop: Some(stop),
            ..Default::default()
        },
    )
    .await?;
    let processed = jobs::process::run(app, &jobs::process::Options::default()).await?;
    Ok(serde_json::json!({"poll": polled, "process": processed}).to_string())
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
    fn a_doubled_hour_runs_a_job_once_and_a_skipped_one_does_not_stall_it() {
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
}
