//! Delivers what is due. What an answer means is crm-client's; when to try again is the outbox's.

use std::time::Duration;

use crm_client::{Crm, Entry, HttpCrm, Outcome};
use serde::Serialize;

use super::{PATIENCE, under_lease};
use crate::app::App;
use crate::convert;
use crate::failpoint;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::entity::outbox;
use crate::store::outbox::{Attempt, Selection, Stats};
use crate::zone;

/// The id of the one target this version knows.
pub const TARGET: &str = "crm";

/// The lease under which a target is told.
pub fn lease(target: &str) -> String {
    format!("target:{target}")
}

/// What to deliver.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which rows.
    pub selection: Selection,
    /// At most so many; none: all.
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

/// What became of a delivery (S49).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Rows taken.
    pub total: u64,
    /// Accepted, or known to the target already.
    pub successful: u64,
    /// Refused, or to be tried again.
    pub failed: u64,
    /// What went wrong, in order.
    pub errors: Vec<Problem>,
}

/// One row that was not accepted.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// The employee.
    pub user_id: String,
    /// The work date.
    pub date: String,
    /// The server's words, or ours.
    pub error: String,
}

/// Whether records can be sent at all.
pub fn is_configured(app: &App) -> bool {
    !app.config.crm.url.is_empty()
}

/// Whether the target as a whole waits for a human or its next probe.
pub async fn is_paused(app: &App, now: i64) -> anyhow::Result<bool> {
    Ok(app
        .store
        .target(TARGET)
        .await?
        .and_then(|row| row.paused_until)
        .is_some_and(|until| until > now))
}

/// The configured CRM.
pub fn connect(app: &App) -> anyhow::Result<HttpCrm> {
    if !is_configured(app) {
        return Err(Failure::new(
            "crm_not_configured",
            "No CRM is configured, so nothing is sent.",
            "Set crm.url and crm.token in zk-bridge.toml, or ZK_BRIDGE_CRM_URL and ZK_BRIDGE_CRM_TOKEN.",
        )
        .into());
    }
    let timeout = Duration::from_secs(u64::from(app.config.crm.request_timeout_seconds));
    convert::crm(&app.config.crm.url, &app.config.crm_token()?, timeout)
}

/// S48.
pub async fn stats(app: &App) -> anyhow::Result<Stats> {
    Ok(app.store.stats(TARGET, app.config.crm.max_retries).await?)
}

/// Delivers the selected rows, batch by batch.
pub async fn run(app: &App, options: &Options) -> anyhow::Result<Report> {
    run_within(app, options, PATIENCE).await
}

/// The same, waiting at most `patience` for another process that is at it.
pub async fn run_within(
    app: &App,
    options: &Options,
    patience: Duration,
) -> anyhow::Result<Report> {
    if !is_configured(app) && options.stop.is_some() {
        // The scheduler's turn: without a CRM there is nothing to do and nothing wrong.
        return Ok(Report::default());
    }
    let crm = connect(app)?;
    if options.dry_run {
        return plan(app, options).await;
    }
    under_lease(app, &lease(TARGET), patience, |_| {
        deliver(app, &crm, options)
    })
    .await
}

async fn plan(app: &App, options: &Options) -> anyhow::Result<Report> {
    let limit = options
        .limit
        .unwrap_or(u64::MAX)
        .min(i64::MAX.unsigned_abs());
    let rows = app
        .store
        .due(TARGET, &options.selection, app.clock.now(), 0, limit)
        .await?;
    let forced = if options.force {
        app.store
            .would_queue_again(TARGET, &options.selection)
            .await?
    } else {
        0
    };
    let more = super::process::would_queue(app).await?;
    Ok(Report {
        total: (rows.len() as u64 + forced + more).min(limit),
        ..Report::default()
    })
}

async fn deliver(app: &App, crm: &impl Crm, options: &Options) -> anyhow::Result<Report> {
    super::process::queue_for_new_target(app).await?;
    if options.force {
        super::process::queue_again(app, &options.selection).await?;
    }
    let mut report = Report::default();
    let target = app.store.target(TARGET).await?;
    let paused = target.filter(|row| row.paused_until > Some(app.clock.now()));
    match paused {
        // The target named a time itself; asking sooner would only lengthen it.
        Some(row) if row.pauses == 0 && options.stop.is_none() => {
            let until = row.paused_until.unwrap_or_default();
            return Err(Failure::new(
                "crm_rests",
                format!(
                    "The CRM asks to be left alone until {}.",
                    zone::rfc3339(&app.zone, until)
                ),
                "Nothing is lost: what waits is sent then by itself, if `serve` runs.",
            )
            .into());
        }
        Some(row) if row.pauses == 0 || !options.although_paused => return Ok(report),
        _ => {}
    }
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut after = 0;
    while left > 0 && !options.stop.as_ref().is_some_and(Stop::is_requested) {
        let now = app.clock.now();
        let size = u64::from(app.config.crm.batch_size).min(left);
        let rows = app
            .store
            .due(TARGET, &options.selection, now, after, size)
            .await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        left -= rows.len() as u64;
        report.total += rows.len() as u64;
        let mut entries = Vec::with_capacity(rows.len());
        let mut sendable = Vec::with_capacity(rows.len());
        let mut attempts = Vec::with_capacity(rows.len());
        for row in rows {
            match thaw(app, &row).await {
                Ok(entry) => {
                    entries.push(entry);
                    sendable.push(row);
                }
                // One damaged row is a dead letter, not everybody's trouble.
                Err(error) => attempts.push(Attempt {
                    outcome: Outcome::Rejected {
                        reason: format!("{error:#}"),
                    },
                    row,
                }),
            }
        }
        let answer = crm.push(&entries).await;
        failpoint::pass("sent");
        let outcomes = match answer {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Concerns the whole target and needs a human: no attempt is counted.
                app.store
                    .note_target(TARGET, Some((&error.to_string(), 60)), app.clock.now())
                    .await?;
                return Err(convert::crm_failure(&error).into());
            }
        };
        attempts.extend(
            sendable
                .into_iter()
                .zip(outcomes)
                .map(|(row, outcome)| Attempt { row, outcome }),
        );
        let retry_seconds = i64::from(app.config.crm.retry_seconds);
        app.store
            .settle(&attempts, retry_seconds, app.clock.now())
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
        for attempt in attempts {
            report.count(attempt);
        }
        if delivered {
            app.store.note_target(TARGET, None, app.clock.now()).await?;
        }
        if let Some(wait) = rest {
            app.store.rest_target(TARGET, wait, app.clock.now()).await?;
        }
        if stopped || rest.is_some() {
            // The target takes nothing at the moment; the rest keeps its place in the queue.
            break;
        }
    }
    Ok(report)
}

impl Report {
    fn count(&mut self, attempt: Attempt) {
        let error = match attempt.outcome {
            Outcome::Accepted { .. } | Outcome::AlreadyKnown => {
                self.successful += 1;
                return;
            }
            Outcome::Rejected { reason } => format!("refused: {reason}"),
            Outcome::Retry { reason, .. } => format!("tried again later: {reason}"),
        };
        self.failed += 1;
        if self.errors.len() < 1_000 {
            self.errors.push(Problem {
                user_id: attempt.row.employee,
                date: attempt.row.date,
                error,
            });
        }
    }
}

/// The entry exactly as it was frozen when it was queued.
async fn thaw(app: &App, row: &outbox::Model) -> anyhow::Result<Entry> {
    let revision = u64::try_from(row.revision)?;
    let entry = Entry::thaw(
        &row.target,
        &row.entry_id,
        revision,
        row.deleted,
        &row.content,
        &row.key,
    )?;
    Ok(entry.with_prior_remote_id(app.store.remote_id(&row.target, &row.entry_id).await?))
}
