//! Delivers what is due, to each target on its own. What an answer means is crm-client's; when to try again is the
//! outbox's.

mod report;

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crm_client::{Breaker, BreakerPolicy, Crm as _, Outcome, Permit, RateLimit, Request};
use futures_util::future::join_all;

pub use self::report::{LISTED, Problem, Reason, Report, TargetReport};
use super::{PATIENCE, under_lease};
use crate::app::App;
use crate::config::targets::{self, Target};
use crate::convert;
use crate::failpoint;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::entity;
use crate::store::outbox::{self, Attempt, Selection, Stats};
use crate::zone;

/// The id of the target that `[crm]` describes.
pub const TARGET: &str = targets::CRM;

/// Rows that are settled together at most: what a kill may send once more, under the same keys.
const PORTION: u64 = 2_000;

/// The lease under which a target is told.
pub fn lease(target: &str) -> String {
    format!("target:{target}")
}

/// What to deliver.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only to this target; none: to all.
    pub target: Option<String>,
    /// Which rows.
    pub selection: Selection,
    /// At most so many to each target; none: all.
    pub limit: Option<u64>,
    /// Queue the selected entries once more, as new revisions, also those already sent.
    pub force: bool,
    /// Only say what would be sent.
    pub dry_run: bool,
    /// Go on although the target is paused.
    pub although_paused: bool,
    /// Stops between two batches.
    pub stop: Option<Stop>,
}

/// Whether records can be sent at all.
pub fn is_configured(app: &App) -> bool {
    !app.targets.is_empty()
}

/// The configured targets that may be told something: one that was told days once cannot be told punches now.
pub(super) async fn ready(app: &App) -> anyhow::Result<Vec<&Target>> {
    let mut ready = Vec::new();
    for target in app.targets.iter() {
        match refuse_other_kind(app, target).await {
            Ok(()) => ready.push(target),
            Err(error) => tracing::error!(target.id, "{error}"),
        }
    }
    Ok(ready)
}

async fn refuse_other_kind(app: &App, target: &Target) -> anyhow::Result<()> {
    let known = app.store.target(&target.id).await?;
    let kind = target.kind().name();
    match known.and_then(|row| row.kind).filter(|known| known != kind) {
        None => Ok(()),
        Some(known) => Err(Failure::new(
            "target_kind",
            format!(
                "The target {:?} was told {known} entries so far, and is to be told {kind} entries now.",
                target.id
            ),
            "Give it another id: what a target knows is remembered under its id.",
        )
        .into()),
    }
}

/// The target called `id`; none: the only one.
pub fn chosen<'a>(app: &'a App, id: Option<&str>) -> anyhow::Result<&'a Target> {
    let known = || {
        let ids: Vec<&str> = app
            .targets
            .iter()
            .map(|target| target.id.as_str())
            .collect();
        ids.join(", ")
    };
    match (id, &app.targets[..]) {
        (None, [only]) => Ok(only),
        (None, []) => Err(not_configured()),
        (None, _) => Err(Failure::new(
            "usage",
            "There are several targets.",
            format!("Say which with --target: {}.", known()),
        )
        .into()),
        (Some(id), targets) => targets
            .iter()
            .find(|target| target.id == id)
            .ok_or_else(|| {
                Failure::new(
                    "unknown_target",
                    format!("There is no target called {id:?}."),
                    match targets {
                        [] => {
                            "Nothing is configured: set crm.url or [[targets]] in zk-bridge.toml."
                                .to_owned()
                        }
                        _ => format!("Choose one of these: {}.", known()),
                    },
                )
                .into()
            }),
    }
}

fn not_configured() -> anyhow::Error {
    Failure::new(
        "crm_not_configured",
        "No CRM is configured, so nothing is sent.",
        "Set crm.url and crm.token in zk-bridge.toml, or ZK_BRIDGE_CRM_URL and ZK_BRIDGE_CRM_TOKEN.",
    )
    .into()
}

/// The targets that a command is about.
fn selected<'a>(app: &'a App, id: Option<&str>) -> anyhow::Result<Vec<&'a Target>> {
    match id {
        Some(id) => Ok(vec![chosen(app, Some(id))?]),
        None if app.targets.is_empty() => Err(not_configured()),
        None => Ok(app.targets.iter().collect()),
    }
}

/// S48, of all targets together.
pub async fn stats(app: &App) -> anyhow::Result<Stats> {
    let mut all = Stats::default();
    for target in app.targets.iter() {
        all = all.and(stats_of(app, target).await?);
    }
    Ok(all)
}

/// S48, of one target.
pub async fn stats_of(app: &App, target: &Target) -> anyhow::Result<Stats> {
    Ok(app.store.stats(&target.id, target.max_retries).await?)
}

/// The requests by which the next rows of a target would go out, without sending them. Secrets are hidden.
pub async fn preview(
    app: &App,
    target: &Target,
    entry: Option<&str>,
    limit: u64,
) -> anyhow::Result<Vec<Result<Request, String>>> {
    let client = convert::target(target)?;
    let everything = Selection {
        not_due: true,
        ..Selection::default()
    };
    let mut rows = match entry {
        Some(_) => Vec::new(),
        None => app.store.due(&target.id, &everything, 0, 0, limit).await?,
    };
    if rows.is_empty() {
        rows.extend(app.store.latest(&target.id, entry).await?);
    }
    let known = app.store.remote_ids(&target.id, &rows).await?;
    let entries = rows
        .iter()
        .map(|row| outbox::thaw(row, known.get(&row.entry_id).cloned()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(client.preview(&entries))
}

/// Whether the selected targets are there and can be spoken to, as far as that shows without asking them.
pub fn check(app: &App, target: Option<&str>) -> anyhow::Result<()> {
    for target in selected(app, target)? {
        convert::target(target)?;
    }
    Ok(())
}

/// How many entries `force` would send once more.
pub async fn would_send_again(app: &App, options: &Options) -> anyhow::Result<u64> {
    let mut again = 0;
    for target in selected(app, options.target.as_deref())? {
        again += app
            .store
            .would_queue_again(&target.id, &options.selection)
            .await?;
    }
    Ok(again)
}

/// Delivers the selected rows, batch by batch, to all targets at once: none waits for another (P6).
pub async fn run(app: &App, options: &Options) -> anyhow::Result<Report> {
    run_within(app, options, PATIENCE).await
}

/// The same, waiting at most `patience` for another process that is at it.
pub async fn run_within(
    app: &App,
    options: &Options,
    patience: Duration,
) -> anyhow::Result<Report> {
    if !is_configured(app) && options.stop.is_some() && options.target.is_none() {
        // The scheduler's turn: without a CRM there is nothing to do and nothing wrong.
        return Ok(Report::default());
    }
    let targets = selected(app, options.target.as_deref())?;
    if let [target] = targets[..] {
        return to_target(app, target, options, patience).await;
    }
    let each = targets
        .iter()
        .map(|target| to_target(app, target, options, patience));
    let results = join_all(each).await;
    let mut report = Report::default();
    let mut first_error = None;
    for (target, result) in targets.iter().zip(results) {
        let (part, error) = match result {
            Ok(part) => (part, None),
            Err(error) => {
                let failure = Failure::of(&error);
                first_error.get_or_insert(error);
                (
                    Report::default(),
                    Some(format!("{} {}", failure.message, failure.remedy)),
                )
            }
        };
        report.add(&target.id, part, error);
    }
    match first_error {
        // Nothing at all was done, and for a reason that concerns all.
        Some(error) if report.targets.iter().all(|part| part.error.is_some()) => Err(error),
        _ => Ok(report),
    }
}

async fn to_target(
    app: &App,
    target: &Target,
    options: &Options,
    patience: Duration,
) -> anyhow::Result<Report> {
    refuse_other_kind(app, target).await?;
    let crm = convert::target(target)?;
    if options.dry_run {
        return plan(app, target, options).await;
    }
    under_lease(app, &lease(&target.id), patience, |_| {
        deliver(app, target, &crm, options)
    })
    .await
}

async fn plan(app: &App, target: &Target, options: &Options) -> anyhow::Result<Report> {
    let limit = options
        .limit
        .unwrap_or(u64::MAX)
        .min(i64::MAX.unsigned_abs());
    let now = app.clock.now();
    let waiting = app
        .store
        .would_send(&target.id, &options.selection, now)
        .await?;
    let forced = if options.force {
        app.store
            .would_queue_again(&target.id, &options.selection)
            .await?
    } else {
        0
    };
    let more = super::process::would_queue(app, target).await?;
    Ok(Report {
        total: (waiting + forced + more).min(limit),
        queued: more,
        ..Report::default()
    })
}

async fn deliver(
    app: &App,
    target: &Target,
    crm: &crm_client::Target,
    options: &Options,
) -> anyhow::Result<Report> {
    let id = target.id.as_str();
    let mut report = Report {
        queued: super::process::queue_for_new_target(app, target).await?,
        ..Report::default()
    };
    if options.force {
        super::process::queue_again(app, target, &options.selection).await?;
    }
    let known = app.store.target(id).await?;
    let now = app.clock.now();
    match known
        .as_ref()
        .filter(|row| row.paused_until.is_some_and(|until| until > now))
    {
        // The target named a time itself; asking sooner would only lengthen it.
        Some(row) if row.pauses == 0 && options.stop.is_none() => {
            let until = row.paused_until.unwrap_or_default();
            return Err(Failure::new(
                "crm_rests",
                format!(
                    "The target {id} asks to be left alone until {}.",
                    zone::rfc3339(&app.zone, until)
                ),
                "Nothing is lost: what waits is sent then by itself, if `serve` runs.",
            )
            .into());
        }
        Some(row) if row.pauses == 0 || !options.although_paused => return Ok(report),
        _ => {}
    }
    // A target that was in trouble is asked with one record first.
    let mut is_probe = known.is_some_and(|row| row.pauses > 0);
    let mut breaker = Breaker::new(BreakerPolicy::default());
    let mut pace = Pace::of(app, target);
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut after = 0;
    while left > 0 && !options.stop.as_ref().is_some_and(Stop::is_requested) {
        let size = if is_probe {
            1
        } else {
            pace.next(app).await.min(left)
        };
        let now = app.clock.now();
        let rows = if is_probe {
            app.store.probe(id, &options.selection, now).await?
        } else {
            let selection = &options.selection;
            let rows = app.store.due(id, selection, now, after, size).await?;
            pace.give_back(size.saturating_sub(rows.len() as u64));
            rows
        };
        let Some(last) = rows.last() else { break };
        if !is_probe {
            after = last.id;
        }
        left -= rows.len() as u64;
        report.total += rows.len() as u64;
        let remote_ids = app.store.remote_ids(id, &rows).await?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut sendable = Vec::with_capacity(rows.len());
        let mut attempts = Vec::with_capacity(rows.len());
        for row in rows {
            match outbox::thaw(&row, remote_ids.get(&row.entry_id).cloned()) {
                Ok(entry) => {
                    entries.push(entry);
                    sendable.push(row);
                }
                // One damaged row is a dead letter, not everybody's trouble.
                Err(error) => attempts.push(Attempt {
                    outcome: Outcome::Rejected {
                        reason: error.to_string(),
                    },
                    row,
                }),
            }
        }
        let answer = crm.push(&entries).await;
        failpoint::pass("sent");
        breaker.note(&answer, system_time(app));
        let outcomes = match answer {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Concerns the whole target and needs a human: no attempt is counted.
                app.store
                    .note_target(id, Some((&error.to_string(), 60)), app.clock.now())
                    .await?;
                if let [row] = &sendable[..]
                    && is_probe
                {
                    make_way(app, row).await?;
                }
                return Err(convert::crm_failure(&error).into());
            }
        };
        let answered = outcomes
            .iter()
            .any(|outcome| !matches!(outcome, Outcome::Retry { .. }));
        attempts.extend(
            sendable
                .into_iter()
                .zip(outcomes)
                .map(|(row, outcome)| Attempt { row, outcome }),
        );
        app.store
            .settle(
                id,
                &attempts,
                i64::from(target.retry_seconds),
                app.clock.now(),
            )
            .await?;
        let delivered = attempts
            .iter()
            .any(|attempt| attempt.outcome.is_delivered());
        let stopped = attempts
            .iter()
            .any(|attempt| matches!(attempt.outcome, Outcome::Retry { sent: false, .. }));
        let rest = attempts.iter().filter_map(|attempt| match attempt.outcome {
            Outcome::Retry { after, .. } => after,
            _ => None,
        });
        let rest = rest.max();
        let trouble = attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::Retry { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        for attempt in attempts {
            report.count(id, attempt);
        }
        if delivered {
            app.store.note_target(id, None, app.clock.now()).await?;
            note_certificate(app, id, crm).await?;
        } else if answered && is_probe {
            app.store.end_pause(id).await?;
        }
        if let Some(wait) = rest {
            app.store.rest_target(id, wait, app.clock.now()).await?;
        }
        let is_down = matches!(breaker.permits(system_time(app)), Permit::Wait { .. });
        if let Some(reason) = trouble.filter(|_| rest.is_none() && !answered)
            && (is_down || is_probe || stopped)
        {
            // Nothing but trouble: it is left alone, ever longer, instead of being asked with every record in turn.
            app.store
                .note_target(id, Some((&reason, 60)), app.clock.now())
                .await?;
            break;
        }
        if stopped || rest.is_some() || (is_probe && !answered) {
            // The target takes nothing at the moment; the rest keeps its place in the queue.
            break;
        }
        is_probe = false;
    }
    Ok(report)
}

/// What concerns the whole target may be about one record after all, such as an address that its id is part of. So the
/// next probe, when this pause is over, is another one.
async fn make_way(app: &App, row: &entity::outbox::Model) -> anyhow::Result<()> {
    let now = app.clock.now();
    let known = app.store.target(&row.target).await?;
    if let Some(until) = known.and_then(|row| row.paused_until) {
        app.store.postpone(row, until + (until - now)).await?;
    }
    Ok(())
}

async fn note_certificate(app: &App, id: &str, crm: &crm_client::Target) -> anyhow::Result<()> {
    let ends = crm
        .certificate_ends()
        .and_then(|ends| ends.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    let known = app.store.target(id).await?;
    if known.is_some_and(|row| row.certificate_ends != ends) {
        app.store.note_certificate(id, ends).await?;
    }
    Ok(())
}

fn system_time(app: &App) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(app.clock.now_ms()).unwrap_or(0))
}

/// How many rows are taken, pushed and settled at once.
fn portion(takes_batches: bool, batch: u64, at_once: u64) -> u64 {
    if takes_batches {
        // Settling costs a write to the disk, so several batches share one.
        (batch * at_once.max(10)).min(PORTION)
    } else {
        // A push is not interrupted, and whoever stops waits for it: at a tenth of a second each it ends within the grace.
        batch.min(at_once * 100)
    }
}

/// How fast a target is told.
struct Pace {
    /// Rows taken, pushed and settled at once.
    portion: u64,
    limit: Option<RateLimit>,
}

impl Pace {
    fn of(app: &App, target: &Target) -> Self {
        let (batch, at_once) = (target.batch_size.into(), target.concurrency.into());
        let portion = portion(target.takes_batches(), batch, at_once);
        let limit = target.rate_per_second.and_then(NonZeroU32::new);
        Self {
            portion,
            limit: limit.map(|rate| RateLimit::new(rate, Duration::from_secs(1), system_time(app))),
        }
    }

    /// So many rows were allowed and not there.
    fn give_back(&mut self, rows: u64) {
        if let Some(limit) = &mut self.limit {
            limit.give_back(usize::try_from(rows).unwrap_or(0));
        }
    }

    /// Waits until something may go; returns how many rows.
    async fn next(&mut self, app: &App) -> u64 {
        let Some(limit) = &mut self.limit else {
            return self.portion;
        };
        let wanted = usize::try_from(self.portion).unwrap_or(usize::MAX);
        loop {
            let now = system_time(app);
            let given = limit.take(wanted, now);
            if given > 0 {
                return given as u64;
            }
            let wait = limit.ready_at(now).duration_since(now).unwrap_or_default();
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::portion;

    #[test]
    fn one_push_ends_before_the_grace_of_a_stop_does() {
        assert_eq!(portion(false, 10_000, 1), 100);
        assert_eq!(portion(false, 10_000, 8), 800);
        assert_eq!(portion(false, 10, 8), 10);
        assert_eq!(portion(true, 100, 8), 1_000);
    }
}
