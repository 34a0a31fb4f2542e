//! Delivers what is due, to each target on its own. What an answer means is crm-client's; when to try again is the
//! outbox's.

mod delivery;
mod pace;
mod report;

use std::time::Duration;

use crm_client::Request;
use futures_util::future::join_all;

use self::delivery::Delivery;
pub use self::report::{LISTED, Problem, Reason, Report, TargetReport};
use super::{PATIENCE, under_lease};
use crate::app::App;
use crate::config::targets::{self, Target};
use crate::convert;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::outbox::{self, Selection, Stats};

/// The id of the target that `[crm]` describes.
pub const TARGET: &str = targets::CRM;

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
    /// Stops it: no further request is made, and what was answered is written down.
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
    let client = convert::target_to_look_at(target)?;
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

/// Whether the selected targets are there and can be spoken to, as far as that shows without asking them. Tells all that
/// is wrong at once.
pub fn check(app: &App, target: Option<&str>) -> anyhow::Result<()> {
    let targets = selected(app, target)?;
    let faults = targets.into_iter().flat_map(convert::target_faults);
    match Failure::together(faults.collect()) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
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
    let stop = options.stop.as_ref();
    under_lease(app, &lease(&target.id), patience, stop, |_| async {
        let mut report = Report {
            queued: super::process::queue_for_new_target(app, target, stop).await?,
            ..Report::default()
        };
        if options.force {
            super::process::queue_again(app, target, &options.selection).await?;
        }
        if let Some(delivery) = Delivery::begin(app, target, &crm, options).await? {
            delivery.run(&mut report).await?;
        }
        Ok(report)
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
