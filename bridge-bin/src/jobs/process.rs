//! Assesses touched days, and those that time has settled; what changed is queued in the same transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use attendance_core::{Disposition, Instant, Outcome, PunchOutcome, assess};
use chrono::{Days, NaiveDate};
use sea_orm::ConnectionTrait;
use serde::Serialize;

use super::{Held, PATIENCE, lost, spoken, sync, under_lease};
use crate::app::App;
use crate::config::targets::{Kind, Target};
use crate::convert;
use crate::entries::{self, Material};
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::alarms::{NewNotice, make_notices};
use crate::store::days::{self, Assessed, Dossier, Work};
use crate::store::entity::{correction, daily_record, punch};
use crate::store::leases::{self, Lease};
use crate::store::outbox::Selection;
use crate::store::people::mark_dirty;
use crate::store::queue::{self, Change, Scope};
use crate::store::{Store, Told, due, targets};

/// A punch told on date D belongs to a record of D − 3 to D + 3: shifts of at most 24 hours with tolerance and reach
/// of at most 24 hours, and zones up to a day apart.
const REACH_DAYS: u64 = 3;

/// Further days read around those, so that the records of the former come out as if everything had been read.
const CONTEXT_DAYS: u64 = 6;

/// The lease under which days are assessed.
pub const LEASE: &str = "job:process";

/// Employees assessed between two looks at the work list.
const PORTION: u64 = 200;

/// Employees of whom a new target is told before others may assess days again.
const CAUGHT_UP_AT_ONCE: usize = 50;

/// Between which dates days are assessed.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Days before it are closed; none: no day is (B11).
    open_from: Option<NaiveDate>,
    today: NaiveDate,
}

impl Bounds {
    async fn of(app: &App) -> anyhow::Result<Self> {
        Ok(Self {
            open_from: app.store.retention_floor().await?,
            today: app.today(),
        })
    }
}

/// What to assess.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Assess every day from here on again, also untouched ones.
    pub from: Option<NaiveDate>,
    /// The last of them; none: today.
    pub to: Option<NaiveDate>,
    /// Only say what would change.
    pub dry_run: bool,
    /// Begins with no further person once a stop was asked for; whoever is left is assessed by the next run.
    pub stop: Option<Stop>,
}

impl Options {
    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::is_requested)
    }
}

/// What an assessment did (S36).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records looked at.
    pub total_records: u64,
    /// Of them, new or changed.
    pub processed: u64,
    /// Records that vanished.
    pub removed: u64,
    /// Of those processed, with an outlier.
    pub outliers: u64,
    /// Employees whose days could not be assessed; they are tried again.
    pub failed: u64,
    /// Revisions queued for delivery.
    pub queued: u64,
}

/// Assesses what is due, under the lease of the job.
pub async fn run(app: &App, options: &Options) -> anyhow::Result<Report> {
    run_within(app, options, PATIENCE).await
}

/// The same, waiting at most `patience` for another process that is at it.
pub async fn run_within(
    app: &App,
    options: &Options,
    patience: Duration,
) -> anyhow::Result<Report> {
    let today = app.today();
    if let Some(from) = options.from {
        let to = options.to.unwrap_or(today);
        if from > to {
            return Err(Failure::new(
                "usage",
                format!("The range from {from} to {to} is empty."),
                "Give a start date that is not after the end date.",
            )
            .into());
        }
    }
    if options.dry_run {
        return preview(app, options).await;
    }
    let stop = options.stop.as_ref();
    under_lease(app, LEASE, patience, stop, |held| async move {
        let lease = held.lease();
        if let Some(from) = options.from {
            app.store
                .touch_range(from, options.to.unwrap_or(today))
                .await?;
        }
        app.store.extend_rows(today).await?;
        let ready = sync::ready(app).await?;
        let bounds = Bounds::of(app).await?;
        let mut report = Report::default();
        let mut after = String::new();
        loop {
            // Each employee once in a run: whoever fails is tried again in the next one.
            let work = app
                .store
                .work_list(app.clock.as_of(), &after, PORTION)
                .await?;
            let Some(last) = work.last() else {
                return Ok(report);
            };
            after.clone_from(&last.employee);
            for item in &work {
                if options.is_stopped() {
                    return Ok(report);
                }
                let done = process_employee(app, &ready, item, bounds, lease, &mut report).await;
                if let Err(error) = done {
                    // P6: nobody's days wait for somebody else's.
                    report.failed += 1;
                    not_assessed(&item.employee, &error);
                }
            }
        }
    })
    .await
}

async fn preview(app: &App, options: &Options) -> anyhow::Result<Report> {
    let bounds = Bounds::of(app).await?;
    let mut work = app
        .store
        .work_list(app.clock.as_of(), "", i64::MAX.unsigned_abs())
        .await?;
    if let Some(from) = options.from {
        let to = options.to.unwrap_or(bounds.today);
        work = app
            .store
            .employees()
            .await?
            .into_iter()
            .map(|row| Work {
                employee: row.id,
                days: from
                    .iter_days()
                    .take_while(|date| *date <= to)
                    .map(|date| (date, 0))
                    .collect(),
            })
            .collect();
    }
    let ready = sync::ready(app).await?;
    let mut report = Report::default();
    for item in work {
        if options.is_stopped() {
            break;
        }
        if let Err(error) = preview_employee(app, &ready, &item, bounds, &mut report).await {
            report.failed += 1;
            not_assessed(&item.employee, &error);
        }
    }
    Ok(report)
}

async fn preview_employee(
    app: &App,
    ready: &[&Target],
    item: &Work,
    bounds: Bounds,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (assessed, material) in assess_employee(app, ready, item, bounds).await? {
        let stored = app.store.stored(&assessed).await?;
        report.total_records += material.records.len() as u64;
        for record in &material.records {
            let same = stored
                .get(&record.record_id)
                .is_some_and(|content| *content == record.content);
            report.processed += u64::from(!same);
        }
        for target in ready {
            let changes = changes(
                app,
                app.store.reader(),
                target,
                &assessed.employee,
                Some(&assessed.dates),
                &material,
            );
            report.queued += changes.await?.len() as u64;
        }
    }
    Ok(())
}

fn not_assessed(employee: &str, error: &anyhow::Error) {
    tracing::error!(employee, error = format!("{error:#}"), "days not assessed");
}

async fn process_employee(
    app: &App,
    ready: &[&Target],
    item: &Work,
    bounds: Bounds,
    lease: &Lease,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (assessed, material) in assess_employee(app, ready, item, bounds).await? {
        let now = app.clock.now();
        let floor = revision_floor(&app.store).await?;
        let tx = app.store.begin().await?;
        let difference =
            days::save(&tx, &assessed, &material.records, lease, app.clock.now_ms()).await?;
        let Some(difference) = difference else {
            return Err(lost(&spoken(LEASE)));
        };
        for target in ready {
            let dates = Some(&assessed.dates);
            let changes = changes(app, &tx, target, &assessed.employee, dates, &material).await?;
            let queued = queue::push(&tx, &target.id, changes, floor, now).await?;
            if queued > 0 {
                due::call_for_target(&tx, &target.id, now).await?;
            }
            report.queued += queued;
        }
        if !(difference.changed.is_empty() && difference.removed.is_empty()) {
            // Whatever other targets miss meanwhile is found when they are there again.
            let ready: Vec<&str> = ready.iter().map(|target| target.id.as_str()).collect();
            targets::forget_absent(&tx, &ready).await?;
        }
        if app.config.mail.is_configured() && app.config.mail.outliers {
            let notices = notices(app, &material, &difference.changed, bounds.today)?;
            make_notices(&tx, notices, now).await?;
        }
        tx.commit().await?;
        report.total_records += (difference.changed.len() + difference.unchanged) as u64;
        report.processed += difference.changed.len() as u64;
        report.removed += difference.removed.len() as u64;
        for record in &difference.changed {
            let view = convert::RecordView::of(record)?;
            report.outliers += u64::from(!view.outliers.is_empty());
        }
    }
    Ok(())
}

/// New outliers of the last days (S93). Older ones come from logs read late, and nobody wants mail about those.
fn notices(
    app: &App,
    material: &Material,
    changed: &[daily_record::Model],
    today: NaiveDate,
) -> anyhow::Result<Vec<NewNotice>> {
    let since = before(today, 2);
    let Some(person) = &material.person else {
        return Ok(Vec::new());
    };
    let who = person.name.as_ref().map_or_else(
        || person.id.clone(),
        |name| format!("{name} ({})", person.id),
    );
    let notice = |name, date: String, device: Option<&str>, at: &str, reason: &str| NewNotice {
        name,
        employee: person.id.clone(),
        detail: format!(
            "{who}, {} at {at} ({}), work date {date}: {}",
            device.unwrap_or("by hand"),
            app.config.timezone.0,
            reason.replace('_', " ")
        ),
        date,
    };
    let mut notices = Vec::new();
    let mut told = BTreeSet::new();
    for punch in material.outlying.iter().filter(|punch| punch.date >= since) {
        let date = punch.date.to_string();
        told.insert((date.clone(), punch.reason));
        let device = punch.device.as_deref();
        notices.push(notice(
            punch.id.clone(),
            date,
            device,
            &punch.at,
            punch.reason,
        ));
    }
    // Others are about a punch that counts: the first in or the last out.
    let since = since.to_string();
    for row in changed.iter().filter(|row| row.date >= since) {
        let view = convert::RecordView::of(row)?;
        for reason in &view.outliers {
            let side = if reason.starts_with("out") {
                &view.clock_out
            } else {
                &view.clock_in
            };
            let Some(at) = side
                .as_deref()
                .filter(|_| !told.contains(&(row.date.clone(), reason.as_str())))
            else {
                continue;
            };
            let name = format!("{}:{reason}", row.record_id);
            notices.push(notice(
                name,
                row.date.clone(),
                row.device.as_deref(),
                at,
                reason,
            ));
        }
    }
    Ok(notices)
}

/// What a target has to be told, so that it knows one person's entries of these dates as they are.
async fn changes(
    app: &App,
    db: &impl ConnectionTrait,
    target: &Target,
    employee: &str,
    dates: Option<&BTreeSet<NaiveDate>>,
    material: &Material,
) -> anyhow::Result<Vec<Change>> {
    let scope = Scope {
        target: &target.id,
        employee,
        dates,
        corrects: target.connector.corrects(),
    };
    let drafts = entries::drafts(app, target, material)?;
    Ok(queue::changes(db, scope, drafts).await?)
}

/// Assesses the days of one employee, neighbouring ones together; with what `targets` are to be told of them.
async fn assess_employee(
    app: &App,
    targets: &[&Target],
    item: &Work,
    bounds: Bounds,
) -> anyhow::Result<Vec<(Assessed, Material)>> {
    let today = bounds.today;
    let now = app.clock.now();
    let mut results = Vec::new();
    let with_punches = targets.iter().any(|target| target.kind() == Kind::Punch);
    for done in clusters(&item.days) {
        let (Some((&first, _)), Some((&last, _))) = (done.first_key_value(), done.last_key_value())
        else {
            continue;
        };
        let from = before(first, REACH_DAYS + CONTEXT_DAYS);
        let to = after(last, REACH_DAYS).min(after(today, 0)).max(from);
        let dossier = app
            .store
            .dossier(
                &item.employee,
                before(from, REACH_DAYS + 1),
                after(to, REACH_DAYS + 1),
            )
            .await?;
        let mut dates: BTreeSet<NaiveDate> = BTreeSet::new();
        for date in done.keys() {
            dates.extend(
                before(*date, REACH_DAYS)
                    .iter_days()
                    .take_while(|day| *day <= after(*date, REACH_DAYS)),
            );
        }
        if let Some(open_from) = bounds.open_from {
            dates = dates.split_off(&open_from);
        }
        let outcome = outcome(app, &item.employee, &dossier, from, to)?;
        let mut records = Vec::new();
        if let Some(person) = &dossier.employee {
            let span = |text: &Option<String>| {
                text.as_deref()
                    .and_then(|text| text.parse::<NaiveDate>().ok())
            };
            let (since, until) = (span(&person.active_from), span(&person.active_to));
            let places = Places::of(&outcome, &dossier);
            for record in &outcome.records {
                let active = since.is_none_or(|since| record.date >= since)
                    && until.is_none_or(|until| record.date <= until);
                let counts = record.punch_count > 0 || !record.outliers.is_empty();
                if !dates.contains(&record.date) || record.date > today || !(active || counts) {
                    continue;
                }
                records.push(convert::record(record, places.first(record), now)?);
            }
        }
        let punches = if with_punches {
            entries::punches(app, &outcome, &dossier)
        } else {
            Vec::new()
        };
        results.push((
            Assessed {
                employee: item.employee.clone(),
                dates,
                done,
            },
            Material {
                outlying: if app.config.mail.outliers {
                    entries::outlying(app, &outcome, &dossier)
                } else {
                    Vec::new()
                },
                addresses: entries::addresses(&dossier.devices),
                person: dossier.employee,
                records,
                punches,
            },
        ));
    }
    Ok(results)
}

fn outcome(
    app: &App,
    employee: &str,
    dossier: &Dossier,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Outcome> {
    let plan = convert::plan(app, employee, dossier, from, to)?;
    let punches: Vec<_> = dossier.punches.iter().filter_map(convert::punch).collect();
    let corrections = convert::corrections(&dossier.corrections, app.config.shift.strategy)?;
    let as_of = Instant::from_unix(app.clock.as_of());
    assess(&punches, &corrections, &plan, Some(as_of)).map_err(|error| {
        Failure::new(
            "rules",
            format!("The days of employee {employee} cannot be assessed: {error} ({}).", error.code()),
            "Correct the shift templates or the roster; the punches are kept and assessed afterwards.",
        )
        .into()
    })
}

/// The terminals at which the used punches of an assessment were made.
struct Places {
    used: HashMap<NaiveDate, Vec<PunchOutcome>>,
    by_punch: HashMap<String, String>,
}

impl Places {
    fn of(outcome: &Outcome, dossier: &Dossier) -> Self {
        let mut used: HashMap<NaiveDate, Vec<PunchOutcome>> = HashMap::new();
        for punch in &outcome.punches {
            if let (Disposition::Used { .. }, Some(date)) = (&punch.disposition, punch.date) {
                used.entry(date).or_default().push(punch);
            }
        }
        let names = convert::device_names(dossier);
        let name = |device: i64| names.get(&device.to_string()).cloned().unwrap_or_default();
        Self {
            used,
            by_punch: dossier
                .punches
                .iter()
                .map(|row| (convert::punch_id(row.id), name(row.device_id)))
                .collect(),
        }
    }

    /// The name of the device of a record's first used punch.
    fn first(&self, record: &attendance_core::Record) -> Option<String> {
        let first = self
            .used
            .get(&record.date)?
            .iter()
            .filter(|punch| punch.shift == record.shift)
            .filter(|punch| {
                record.sessions.is_empty()
                    || record.sessions.iter().any(|session| {
                        punch.instant() >= Some(session.start.instant())
                            && punch.instant() <= Some(session.end.instant())
                    })
            })
            .min_by_key(|punch| (punch.instant(), punch.id.clone()))?;
        let known = self.by_punch.get(first.id.as_str());
        Some(known.map_or_else(|| "manual".to_owned(), String::clone))
    }
}

/// Days so near to each other that one assessment serves them.
fn clusters(days: &BTreeMap<NaiveDate, i64>) -> Vec<BTreeMap<NaiveDate, i64>> {
    let mut clusters: Vec<BTreeMap<NaiveDate, i64>> = Vec::new();
    for (date, mark) in days {
        let near = clusters
            .last()
            .and_then(|cluster| cluster.last_key_value())
            .is_some_and(|(last, _)| date.signed_duration_since(*last).num_days() <= 14);
        match clusters.last_mut().filter(|_| near) {
            Some(cluster) => {
                cluster.insert(*date, *mark);
            }
            None => clusters.push(BTreeMap::from([(*date, *mark)])),
        }
    }
    clusters
}

fn before(date: NaiveDate, days: u64) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(1, 1, 2).unwrap_or_default();
    date.checked_sub_days(Days::new(days))
        .unwrap_or(first)
        .max(first)
}

fn after(date: NaiveDate, days: u64) -> NaiveDate {
    let last = NaiveDate::from_ymd_opt(9999, 12, 30).unwrap_or_default();
    date.checked_add_days(Days::new(days))
        .unwrap_or(last)
        .min(last)
}

async fn revision_floor(store: &Store) -> anyhow::Result<i64> {
    Ok(store
        .meta("revision_floor")
        .await?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}

/// How many entries the next delivery would queue before it sends, and does not hold yet.
pub(super) async fn would_queue(app: &App, target: &Target) -> anyhow::Result<u64> {
    if !is_stale(app, target).await? {
        return Ok(0);
    }
    let mut count = 0;
    for employee in everybody(app, target).await? {
        match untold(app, target, &employee).await {
            Ok(changes) => count += changes.len() as u64,
            Err(error) => not_assessed(&employee, &error),
        }
    }
    Ok(count)
}

async fn is_stale(app: &App, target: &Target) -> anyhow::Result<bool> {
    let known = app.store.target(&target.id).await?;
    Ok(known.is_none_or(|row| row.fingerprint != target.fingerprint()))
}

/// Queues what a target has never been told, when it is new or its choice changed. Returns how much that is.
///
/// Under the lease of the job, so that nothing older than what the job writes is queued after it. It takes everybody's
/// history, so the job has its turn between two portions, and whoever comes after a kill goes on where it ended.
pub(super) async fn queue_for_new_target(
    app: &App,
    target: &Target,
    stop: Option<&Stop>,
) -> anyhow::Result<u64> {
    if !is_stale(app, target).await? {
        return Ok(0);
    }
    let (id, fingerprint) = (target.id.as_str(), target.fingerprint());
    let after = app.store.begin_catching_up(id, &fingerprint).await?;
    let everybody: Vec<String> = everybody(app, target)
        .await?
        .into_iter()
        .filter(|employee| *employee > after)
        .collect();
    let mut queued = 0;
    let between = Options {
        stop: stop.cloned(),
        ..Options::default()
    };
    for (turn, portion) in everybody.chunks(CAUGHT_UP_AT_ONCE).enumerate() {
        if between.is_stopped() {
            // The next delivery goes on from here.
            return Ok(queued);
        }
        if turn > 0
            && let Err(error) = Box::pin(run_within(app, &between, Duration::ZERO)).await
        {
            // Somebody else has it, or will try again.
            tracing::debug!(
                error = format!("{error:#}"),
                "days were not assessed in between"
            );
        }
        let work = |held: Held| async move { catch_up(app, target, portion, held.lease()).await };
        queued += under_lease(app, LEASE, PATIENCE, stop, work).await?;
    }
    let tx = app.store.begin().await?;
    if targets::end_catching_up(&tx, id, &fingerprint).await? {
        targets::remember(&tx, id, target.kind().name(), &fingerprint).await?;
    }
    tx.commit().await?;
    tracing::info!(
        target.id,
        queued,
        "the target is new, or what it is told has changed; it is told what it has missed"
    );
    Ok(queued)
}

/// Queues what a target was never told of these people. Whoever's days cannot be told delays nobody (P6): the job
/// assesses them once more, and once it can it queues them as it does all that is new.
async fn catch_up(
    app: &App,
    target: &Target,
    people: &[String],
    lease: &Lease,
) -> anyhow::Result<u64> {
    let floor = revision_floor(&app.store).await?;
    let mut queued = 0;
    for employee in people {
        let found = untold(app, target, employee).await;
        let now = app.clock.now();
        let tx = app.store.begin().await?;
        if !leases::holds(&tx, lease, app.clock.now_ms()).await? {
            return Err(lost(&spoken(LEASE)));
        }
        match found {
            Ok(changes) => queued += queue::push(&tx, &target.id, changes, floor, now).await?,
            Err(error) => {
                not_assessed(employee, &error);
                let dates = app.store.dates_of(employee, &target.id).await?;
                mark_dirty(&tx, employee, dates).await?;
            }
        }
        targets::note_caught_up(&tx, &target.id, &target.fingerprint(), employee).await?;
        tx.commit().await?;
    }
    Ok(queued)
}

/// Everybody who has records, or of whom the target was ever told.
async fn everybody(app: &App, target: &Target) -> anyhow::Result<BTreeSet<String>> {
    let people = app.store.employees().await?;
    let told = app.store.told_of(&target.id).await?;
    Ok(people.into_iter().map(|row| row.id).chain(told).collect())
}

/// What a target does not know yet of one person, of all dates.
async fn untold(app: &App, target: &Target, employee: &str) -> anyhow::Result<Vec<Change>> {
    let db = app.store.reader();
    if target.kind() != Kind::Punch {
        // Records are kept; what else a target wants to know of a day is in them.
        let material = Material {
            person: app.store.employee(employee).await?,
            records: app.store.records_of(employee).await?,
            punches: Vec::new(),
            outlying: Vec::new(),
            addresses: entries::addresses(&app.store.devices().await?),
        };
        return changes(app, db, target, employee, None, &material).await;
    }
    let days = app.store.dates_of(employee, &target.id).await?;
    let item = Work {
        employee: employee.to_owned(),
        days: days.into_iter().map(|date| (date, 0)).collect(),
    };
    let bounds = Bounds::of(app).await?;
    let mut found = Vec::new();
    for (assessed, material) in assess_employee(app, &[target], &item, bounds).await? {
        let dates = Some(&assessed.dates);
        found.extend(changes(app, db, target, employee, dates, &material).await?);
    }
    Ok(found)
}

/// `sync --force`: the selected entries once more, as new revisions.
pub(super) async fn queue_again(
    app: &App,
    target: &Target,
    selection: &Selection,
) -> anyhow::Result<u64> {
    let floor = revision_floor(&app.store).await?;
    Ok(app
        .store
        .queue_again(&target.id, selection, floor, app.clock.now())
        .await?)
}

/// Why a day is as it is (I2).
#[derive(Debug, Serialize)]
pub struct Why {
    /// Whose day.
    pub employee: String,
    /// A name, where one is known.
    pub name: Option<String>,
    /// The work date.
    pub date: NaiveDate,
    /// The day's records.
    pub records: Vec<WhyRecord>,
    /// Every punch that belongs to the day or was made on it, in order of time.
    pub punches: Vec<WhyPunch>,
    /// Corrections of these punches.
    pub corrections: Vec<WhyCorrection>,
}

/// One record with its findings.
#[derive(Debug, Serialize)]
pub struct WhyRecord {
    /// In the fields of the rules' section 5.
    pub record: serde_json::Value,
    /// Why it is so, in words.
    pub findings: Vec<String>,
}

/// One punch and where it went.
#[derive(Debug, Serialize)]
pub struct WhyPunch {
    /// Its id here.
    pub id: String,
    /// Name of the device.
    pub device: String,
    /// Device-local, as told.
    pub time: String,
    /// The device's verify mode code.
    pub verify_mode: Option<i32>,
    /// The device's punch state code.
    pub punch_state: Option<i32>,
    /// How often the same punch was told again.
    pub repeats: i32,
    /// Where it went.
    pub disposition: &'static str,
    /// As what it counts, if it does.
    pub role: Option<String>,
    /// The reason's code.
    pub reason: Option<String>,
    /// The rule that decided, such as `R15`.
    pub rule: Option<String>,
    /// The same in words.
    pub text: String,
}

/// One correction.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "as in the correction table")]
pub struct WhyCorrection {
    pub id: String,
    pub kind: String,
    pub target: Option<String>,
    pub by: String,
    pub reason: String,
}

/// Explains a day, by assessing it once more.
pub async fn why(app: &App, employee: &str, date: NaiveDate) -> anyhow::Result<Why> {
    let (from, to) = (
        before(date, REACH_DAYS + CONTEXT_DAYS),
        after(date, REACH_DAYS),
    );
    let dossier = app
        .store
        .dossier(
            employee,
            before(from, REACH_DAYS + 1),
            after(to, REACH_DAYS + 1),
        )
        .await?;
    if dossier.employee.is_none() && dossier.punches.is_empty() {
        return Err(Failure::new(
            "unknown_employee",
            format!("Nobody with the employee id {employee:?} was ever heard of."),
            "See `zk-bridge report daily` for the ids; unmapped people are called GROUP/USER_ID.",
        )
        .into());
    }
    let outcome = outcome(app, employee, &dossier, from, to)?;
    let names = convert::device_names(&dossier);
    let records = why_records(app, employee, date, &outcome).await?;
    let mut punches: Vec<(Told, WhyPunch)> = outcome
        .punches
        .iter()
        .filter_map(|found| why_punch(&found, &dossier, &names, date))
        .collect();
    punches.extend(no_dates(&dossier, &names));
    punches.sort_by(|(a, one), (b, other)| (a, &one.id).cmp(&(b, &other.id)));
    let punches: Vec<WhyPunch> = punches.into_iter().map(|(_, punch)| punch).collect();
    let concerns = |row: &&correction::Model| {
        let id = convert::correction_id(row.id);
        punches
            .iter()
            .any(|punch| Some(&punch.id) == row.target.as_ref() || punch.id == id)
    };
    Ok(Why {
        employee: employee.to_owned(),
        name: dossier.employee.as_ref().and_then(|row| row.name.clone()),
        date,
        records,
        corrections: dossier
            .corrections
            .iter()
            .filter(concerns)
            .map(|row| WhyCorrection {
                id: format!("c{}", row.id),
                kind: row.kind.clone(),
                target: row.target.clone(),
                by: row.by.clone(),
                reason: row.reason.clone(),
            })
            .collect(),
        punches,
    })
}

/// The records of a date. The rules have an opinion on every date; only what was made a record counts.
async fn why_records(
    app: &App,
    employee: &str,
    date: NaiveDate,
    outcome: &Outcome,
) -> anyhow::Result<Vec<WhyRecord>> {
    let rows = app.store.records_on(date).await?;
    let stored: BTreeSet<String> = rows
        .into_iter()
        .filter(|row| row.employee == employee)
        .map(|row| row.record_id)
        .collect();
    outcome
        .records_of(employee, date)
        .filter(|record| stored.contains(&convert::record_id_of(record)))
        .map(|record| {
            let row = convert::record(record, None, 0)?;
            Ok(WhyRecord {
                record: serde_json::from_str(&row.content)?,
                findings: record.findings.iter().map(ToString::to_string).collect(),
            })
        })
        .collect()
}

/// A punch of the date, or one that was counted for it, and where it went.
fn why_punch(
    found: &PunchOutcome,
    dossier: &Dossier,
    names: &BTreeMap<String, String>,
    date: NaiveDate,
) -> Option<(Told, WhyPunch)> {
    let stored = dossier
        .punches
        .iter()
        .find(|row| convert::punch_id(row.id) == found.id.as_str());
    let on_the_day = found.time.is_some_and(|time| time.civil().date() == date)
        || stored
            .and_then(|row| Told::from_i64(row.told).civil())
            .is_some_and(|civil| civil.date() == date);
    if found.date != Some(date) && !on_the_day {
        return None;
    }
    let told = match (stored, found.time) {
        (Some(row), _) => Told::from_i64(row.told),
        (None, Some(time)) => time.civil().into(),
        (None, None) => Told::start_of(date),
    };
    let explanation = found.explain();
    let punch = WhyPunch {
        id: found.id.to_string(),
        device: stored.map_or_else(|| "manual".to_owned(), |row| device_of(row, names)),
        time: told.to_string(),
        verify_mode: stored.map(|row| row.verify_mode),
        punch_state: stored.map(|row| row.punch_state),
        repeats: stored.map_or(0, |row| row.repeats),
        disposition: found.disposition.as_str(),
        role: found.disposition.role().map(|role| role.to_string()),
        reason: found.disposition.reason(),
        rule: explanation.rule().map(|rule| rule.to_string()),
        text: explanation.to_string(),
    };
    Some((told, punch))
}

/// A date that does not exist never reaches the rules; it is quarantined here (R6).
fn no_dates<'a>(
    dossier: &'a Dossier,
    names: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (Told, WhyPunch)> + 'a {
    let rows = dossier.punches.iter();
    let rows = rows.filter(|row| Told::from_i64(row.told).civil().is_none());
    rows.map(|row| {
        let told = Told::from_i64(row.told);
        let punch = WhyPunch {
            id: convert::punch_id(row.id),
            device: device_of(row, names),
            time: told.to_string(),
            verify_mode: Some(row.verify_mode),
            punch_state: Some(row.punch_state),
            repeats: row.repeats,
            disposition: "orphan",
            role: None,
            reason: Some("implausible_time".to_owned()),
            rule: Some("R6".to_owned()),
            text: format!("{told} is no date of the calendar; kept apart (R6)"),
        };
        (told, punch)
    })
}

fn device_of(row: &punch::Model, names: &BTreeMap<String, String>) -> String {
    let name = names.get(&row.device_id.to_string());
    name.cloned().unwrap_or_default()
}

impl Store {
    /// The stored content of an assessment's dates, by record id.
    async fn stored(&self, assessed: &Assessed) -> anyhow::Result<BTreeMap<String, String>> {
        let mut stored = BTreeMap::new();
        for date in &assessed.dates {
            let rows: Vec<daily_record::Model> = self.records_on(*date).await?;
            stored.extend(
                rows.into_iter()
                    .filter(|row| row.employee == assessed.employee)
                    .map(|row| (row.record_id, row.content)),
            );
        }
        Ok(stored)
    }
}
