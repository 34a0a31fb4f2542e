//! P5, P6: what waits to be sent; attempts, due times and dead letters.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crm_client::{Entry, Outcome, Reach};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use serde::Serialize;

use super::entity::{entry, outbox};
use super::queue::{self, Change};
use super::{Store, Transaction, back_off, storable};

/// States of an outbox row.
pub mod state {
    /// To be sent when due.
    pub const PENDING: &str = "pending";
    /// Accepted, or known to the target already.
    pub const SENT: &str = "sent";
    /// A dead letter: the target refused it for good.
    pub const REJECTED: &str = "rejected";
    /// A dead letter that a human closed.
    pub const DISMISSED: &str = "dismissed";
    /// A newer revision took its place before it was sent, or it takes back what was never sent.
    pub const SUPERSEDED: &str = "superseded";
}

/// Revisions of an entry at most that are looked for at a target, beside the latest.
const EARLIER: usize = 3;

/// Entries that are queued again in one transaction.
const PAGE: u64 = 1_000;

/// Numbers for S48.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Stats {
    /// Entries that were ever queued.
    pub total: u64,
    /// Those whose latest revision the target has.
    pub synced: u64,
    /// Those whose latest revision still waits or was refused.
    pub unsynced: u64,
    /// Unsynced ones that were refused, or tried often without success.
    pub failed: u64,
    /// Those whose latest revision was refused, and that a human closed.
    pub dismissed: u64,
    /// synced / total, in per cent with one decimal.
    pub sync_percentage: f64,
}

impl Stats {
    fn of(total: u64, unsynced: u64, failed: u64, dismissed: u64) -> Self {
        let synced = total.saturating_sub(unsynced + dismissed);
        let tenths = (synced * 1000 + total / 2).checked_div(total).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
        let sync_percentage = tenths as f64 / 10.0;
        Self {
            total,
            synced,
            unsynced,
            failed,
            dismissed,
            sync_percentage,
        }
    }

    /// Of two targets together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(
            self.total + other.total,
            self.unsynced + other.unsynced,
            self.failed + other.failed,
            self.dismissed + other.dismissed,
        )
    }
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The outbox row.
    pub row: outbox::Model,
    /// The target's answer.
    pub outcome: Outcome,
}

impl Attempt {
    /// Whether the push ended before the row was sent.
    pub const fn is_unsent(&self) -> bool {
        let Outcome::Retry { reach, .. } = &self.outcome else {
            return false;
        };
        matches!(reach, Reach::NotSent)
    }
}

/// Which rows a delivery takes.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Also rows whose time has not come.
    pub not_due: bool,
    /// Only rows that failed before.
    pub failed_only: bool,
    /// From this work date on.
    pub from: Option<String>,
    /// Up to this work date, included.
    pub to: Option<String>,
    /// Only this employee's.
    pub employee: Option<String>,
}

impl Selection {
    fn narrow(&self, mut query: Select<outbox::Entity>) -> Select<outbox::Entity> {
        if let Some(from) = &self.from {
            query = query.filter(outbox::Column::Date.gte(from));
        }
        if let Some(to) = &self.to {
            query = query.filter(outbox::Column::Date.lte(to));
        }
        if let Some(employee) = &self.employee {
            query = query.filter(outbox::Column::Employee.eq(employee));
        }
        query
    }

    fn entries(&self, target: &str) -> Select<entry::Entity> {
        let mut query = entry::Entity::find().filter(entry::Column::Target.eq(target));
        if let Some(from) = &self.from {
            query = query.filter(entry::Column::Date.gte(from));
        }
        if let Some(to) = &self.to {
            query = query.filter(entry::Column::Date.lte(to));
        }
        if let Some(employee) = &self.employee {
            query = query.filter(entry::Column::Employee.eq(employee));
        }
        query
    }
}

/// The rows to be sent, oldest first, behind the row `after`.
pub fn due_query(
    target: &str,
    selection: &Selection,
    now: i64,
    after: i64,
    limit: u64,
) -> Select<outbox::Entity> {
    let mut query = outbox::Entity::find()
        .filter(outbox::Column::Target.eq(target))
        .filter(outbox::Column::Id.gt(after))
        .order_by_asc(outbox::Column::Id)
        .limit(limit);
    if selection.failed_only {
        query = query
            .filter(outbox::Column::State.is_in([state::PENDING, state::REJECTED]))
            .filter(outbox::Column::Attempts.gt(0));
    } else {
        query = query.filter(outbox::Column::State.eq(state::PENDING));
        if !selection.not_due {
            query = query.filter(outbox::Column::DueAt.lte(now));
        }
    }
    selection.narrow(query)
}

impl Store {
    /// Up to `limit` rows to be sent, oldest first, behind the row `after`.
    pub async fn due(
        &self,
        target: &str,
        selection: &Selection,
        now: i64,
        after: i64,
        limit: u64,
    ) -> Result<Vec<outbox::Model>, DbErr> {
        due_query(target, selection, now, after, limit)
            .all(self.reader())
            .await
    }

    /// The row that asks whether a target is back: of those to be sent the one least tried, then the one not tried for
    /// longest. So a row that the target cannot take stands in the way of no other.
    pub async fn probe(
        &self,
        target: &str,
        selection: &Selection,
        now: i64,
    ) -> Result<Vec<outbox::Model>, DbErr> {
        let mut query = due_query(target, selection, now, 0, 1);
        QuerySelect::query(&mut query).clear_order_by();
        query
            .order_by_asc(outbox::Column::Attempts)
            .order_by_asc(Expr::col(outbox::Column::LastAttempt).if_null(0))
            .order_by_asc(outbox::Column::DueAt)
            .order_by_asc(outbox::Column::Id)
            .all(self.reader())
            .await
    }

    /// Lets a row wait until `due_at` that met with trouble which may be its own or everybody's: it is remembered, and no
    /// attempt is counted.
    pub async fn postpone(
        &self,
        row: &outbox::Model,
        due_at: i64,
        trouble: &str,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        outbox::Entity::update_many()
            .col_expr(outbox::Column::DueAt, Expr::value(due_at))
            .col_expr(outbox::Column::LastAttempt, Expr::value(now))
            .col_expr(
                outbox::Column::LastError,
                Expr::value(storable(trouble).into_owned()),
            )
            .filter(outbox::Column::Id.eq(row.id))
            .filter(outbox::Column::Key.eq(&row.key))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// The ids that a target gave these entries, by entry id.
    pub async fn remote_ids(
        &self,
        target: &str,
        rows: &[outbox::Model],
    ) -> Result<HashMap<String, String>, DbErr> {
        let mut found = HashMap::new();
        for chunk in rows.chunks(1_000) {
            let known: Vec<(String, String)> = entry::Entity::find()
                .select_only()
                .column(entry::Column::EntryId)
                .column(entry::Column::RemoteId)
                .filter(entry::Column::Target.eq(target))
                .filter(entry::Column::EntryId.is_in(chunk.iter().map(|row| row.entry_id.as_str())))
                .filter(entry::Column::RemoteId.is_not_null())
                .into_tuple()
                .all(self.reader())
                .await?;
            found.extend(known);
        }
        Ok(found)
    }

    /// Earlier revisions of these rows that the target may have taken although no answer told so, by entry id; the few
    /// latest of each.
    pub async fn attempted_before(
        &self,
        target: &str,
        rows: &[outbox::Model],
    ) -> Result<HashMap<String, Vec<Entry>>, DbErr> {
        let revisions: HashMap<&str, i64> = rows
            .iter()
            .filter(|row| row.revision > 1)
            .map(|row| (row.entry_id.as_str(), row.revision))
            .collect();
        let ids: Vec<&str> = revisions.keys().copied().collect();
        let mut found: HashMap<String, Vec<Entry>> = HashMap::new();
        for chunk in ids.chunks(1_000) {
            let attempted = outbox::Entity::find()
                .filter(outbox::Column::Target.eq(target))
                .filter(outbox::Column::EntryId.is_in(chunk.iter().copied()))
                .filter(outbox::Column::Attempts.gt(0))
                .filter(outbox::Column::Deleted.eq(false))
                .order_by_desc(outbox::Column::Revision)
                .all(self.reader())
                .await?;
            for row in attempted {
                let known = found.entry(row.entry_id.clone()).or_default();
                let is_earlier = revisions
                    .get(row.entry_id.as_str())
                    .is_some_and(|revision| row.revision < *revision);
                if is_earlier
                    && known.len() < EARLIER
                    && let Ok(entry) = thaw(&row, None)
                {
                    known.push(entry);
                }
            }
        }
        Ok(found)
    }

    /// Writes down what became of attempts to deliver to one target.
    pub async fn settle(
        &self,
        target: &str,
        attempts: &[Attempt],
        retry_seconds: i64,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let delivered = attempts
            .iter()
            .filter(|attempt| attempt.outcome.is_delivered());
        // Number and key: if a backup was restored meanwhile, the number may be another entry's.
        let (ids, keys): (Vec<i64>, Vec<&str>) = delivered
            .map(|attempt| (attempt.row.id, attempt.row.key.as_str()))
            .unzip();
        for (ids, keys) in ids.chunks(1_000).zip(keys.chunks(1_000)) {
            outbox::Entity::update_many()
                .col_expr(outbox::Column::State, Expr::value(state::SENT))
                .col_expr(
                    outbox::Column::Attempts,
                    Expr::col(outbox::Column::Attempts).add(1),
                )
                .col_expr(outbox::Column::LastAttempt, Expr::value(now))
                .col_expr(outbox::Column::LastError, Expr::value(None::<String>))
                .col_expr(outbox::Column::SettledAt, Expr::value(now))
                .filter(outbox::Column::Id.is_in(ids.iter().copied()))
                .filter(outbox::Column::Key.is_in(keys.iter().copied()))
                .exec(&tx)
                .await?;
        }
        note_remote_ids(&tx, target, attempts).await?;
        for attempt in attempts {
            note_failure(&tx, attempt, retry_seconds, now).await?;
        }
        tx.commit().await
    }

    /// How many rows a delivery would take.
    pub async fn would_send(
        &self,
        target: &str,
        selection: &Selection,
        now: i64,
    ) -> Result<u64, DbErr> {
        let most = i64::MAX.unsigned_abs();
        due_query(target, selection, now, 0, most)
            .count(self.reader())
            .await
    }

    /// How many entries [`queue_again`](Self::queue_again) would queue.
    pub async fn would_queue_again(
        &self,
        target: &str,
        selection: &Selection,
    ) -> Result<u64, DbErr> {
        let rows = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(queue::is_latest())
            .filter(outbox::Column::State.is_not_in(CLOSED))
            .filter(
                Condition::any()
                    .add(outbox::Column::State.ne(state::PENDING))
                    .add(outbox::Column::Attempts.ne(0)),
            );
        selection.narrow(rows).count(self.reader()).await
    }

    /// Queues the latest revision of the selected entries once more, as new revisions with the same content. Page by
    /// page, so that whoever else writes need not wait for all of them.
    pub async fn queue_again(
        &self,
        target: &str,
        selection: &Selection,
        floor: i64,
        now: i64,
    ) -> Result<u64, DbErr> {
        let (mut queued, mut after) = (0, String::new());
        loop {
            let tx = self.begin().await?;
            let page = selection
                .entries(target)
                .filter(entry::Column::EntryId.gt(&after))
                .order_by_asc(entry::Column::EntryId)
                .limit(PAGE)
                .all(&tx)
                .await?;
            let Some(last) = page.last() else {
                return Ok(queued);
            };
            after.clone_from(&last.entry_id);
            let mut rows = queue::contents_of(&tx, target, &page).await?;
            let changes = page
                .iter()
                .filter_map(|entry| Some((rows.remove(&entry.entry_id)?, entry)))
                .filter(|(row, _)| !is_unsent(row) && !is_closed(row))
                .map(|(row, entry)| Change::again(row, entry))
                .collect::<Result<Vec<_>, _>>()?;
            queued += queue::push(&tx, target, changes, floor, now).await?;
            tx.commit().await?;
        }
    }

    /// Dead letters, oldest first: what targets refused for good.
    pub async fn dead_letters(
        &self,
        target: Option<&str>,
        limit: u64,
    ) -> Result<Vec<outbox::Model>, DbErr> {
        let mut query = outbox::Entity::find()
            .filter(outbox::Column::State.eq(state::REJECTED))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        if let Some(target) = target {
            query = query.filter(outbox::Column::Target.eq(target));
        }
        query.all(self.reader()).await
    }

    /// The row of an entry's latest revision, for looking at.
    pub async fn latest(
        &self,
        target: &str,
        entry_id: Option<&str>,
    ) -> Result<Option<outbox::Model>, DbErr> {
        let mut query = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .order_by_desc(outbox::Column::Id);
        if let Some(id) = entry_id {
            query = query.filter(outbox::Column::EntryId.eq(id));
        }
        query.one(self.reader()).await
    }

    /// Since when a target has been waiting for something: pending or refused.
    pub async fn waiting_since(&self, target: &str) -> Result<Option<i64>, DbErr> {
        outbox::Entity::find()
            .select_only()
            .column_as(outbox::Column::QueuedAt.min(), "since")
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.is_in([state::PENDING, state::REJECTED]))
            .into_tuple::<Option<i64>>()
            .one(self.reader())
            .await
            .map(Option::flatten)
    }

    /// How many dead letters a target has.
    pub async fn rejected(&self, target: &str) -> Result<u64, DbErr> {
        outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::REJECTED))
            .count(self.reader())
            .await
    }

    /// S48: how the queue of a target stands.
    pub async fn stats(&self, target: &str, max_retries: u32) -> Result<Stats, DbErr> {
        // Older revisions are superseded when a newer one is queued, so an entry has at most one row that is open or
        // dismissed.
        let total = entry::Entity::find()
            .filter(entry::Column::Target.eq(target))
            .count(self.reader())
            .await?;
        let open = || {
            outbox::Entity::find()
                .filter(outbox::Column::Target.eq(target))
                .filter(outbox::Column::State.is_in([state::PENDING, state::REJECTED]))
        };
        let unsynced = open().count(self.reader()).await?;
        let failed = open()
            .filter(
                Condition::any()
                    .add(outbox::Column::State.eq(state::REJECTED))
                    .add(outbox::Column::Attempts.gte(i64::from(max_retries))),
            )
            .count(self.reader())
            .await?;
        let dismissed = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::DISMISSED))
            .count(self.reader())
            .await?;
        Ok(Stats::of(total, unsynced, failed, dismissed))
    }

    /// The state of the latest revision of each entry of a date.
    pub async fn delivery_on(&self, target: &str, date: &str) -> Result<Vec<outbox::Model>, DbErr> {
        outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::Date.eq(date))
            .filter(outbox::Column::State.ne(state::SUPERSEDED))
            .order_by_asc(outbox::Column::Revision)
            .all(self.reader())
            .await
    }

    /// When the first of what waits falls due, tried before or not.
    pub async fn next_retry(&self, target: &str) -> Result<Option<i64>, DbErr> {
        let row = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::PENDING))
            .order_by_asc(outbox::Column::DueAt)
            .one(self.reader())
            .await?;
        Ok(row.map(|row| row.due_at))
    }

    /// How many rows wait for a target.
    pub async fn pending(&self, target: &str) -> Result<u64, DbErr> {
        outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::PENDING))
            .count(self.reader())
            .await
    }
}

/// Latest revisions in these states are never sent again by themselves: a human closed them, or they take back what was
/// never sent. What changes later is told as usual.
const CLOSED: [&str; 2] = [state::DISMISSED, state::SUPERSEDED];

pub(super) fn is_closed(row: &outbox::Model) -> bool {
    CLOSED.contains(&row.state.as_str())
}

/// A revision that was never sent needs no successor.
fn is_unsent(row: &outbox::Model) -> bool {
    row.state == state::PENDING && row.attempts == 0
}

/// The ids that a target gave are kept, so that later revisions can name them.
async fn note_remote_ids(
    tx: &Transaction,
    target: &str,
    attempts: &[Attempt],
) -> Result<(), DbErr> {
    let given: Vec<(&str, Cow<'_, str>)> = attempts
        .iter()
        .filter_map(|attempt| match &attempt.outcome {
            Outcome::Accepted {
                remote_id: Some(id),
            } => Some((attempt.row.entry_id.as_str(), storable(id))),
            _ => None,
        })
        .collect();
    // A row of the table looks through the cases in turn, so there are few of them.
    for chunk in given.chunks(100) {
        let cases = chunk
            .iter()
            .fold(CaseStatement::new(), |cases, (entry, remote)| {
                cases.case(
                    Expr::col(entry::Column::EntryId).eq(*entry),
                    remote.as_ref(),
                )
            });
        entry::Entity::update_many()
            .col_expr(entry::Column::RemoteId, cases.into())
            .filter(entry::Column::Target.eq(target))
            .filter(entry::Column::EntryId.is_in(chunk.iter().map(|(entry, _)| *entry)))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// A refusal, or an attempt to be made once more. A row that was superseded while it was under way stays so: the newer
/// revision says it all. So does one that a human closed.
async fn note_failure(
    tx: &Transaction,
    attempt: &Attempt,
    retry_seconds: i64,
    now: i64,
) -> Result<(), DbErr> {
    let row = &attempt.row;
    let mut change = outbox::ActiveModel {
        attempts: Set(row.attempts + 1),
        last_attempt: Set(Some(now)),
        ..Default::default()
    };
    match &attempt.outcome {
        Outcome::Rejected { reason } => {
            change.last_error = Set(Some(storable(reason).into_owned()));
            change.state = Set(state::REJECTED.to_owned());
            change.settled_at = Set(Some(now));
        }
        Outcome::Retry {
            after,
            reach,
            reason,
        } => {
            let sent = *reach != Reach::NotSent;
            change.last_error = Set(Some(storable(reason).into_owned()));
            if !sent {
                // It has had no attempt, and goes with the target's next.
                change.attempts = Set(row.attempts);
                change.last_attempt = Set(row.last_attempt);
            }
            let tried = if sent { row.attempts } else { 0 };
            let wait = Ord::max(back_off::spread(retry_seconds, tried), seconds(*after));
            change.due_at = Set(now + wait);
            change.state = Set(state::PENDING.to_owned());
            change.settled_at = Set(None);
        }
        _ => return Ok(()),
    }
    outbox::Entity::update_many()
        .set(change)
        .filter(outbox::Column::Id.eq(row.id))
        .filter(outbox::Column::Key.eq(&row.key))
        .filter(outbox::Column::State.is_not_in([state::SUPERSEDED, state::DISMISSED]))
        .exec(tx)
        .await?;
    Ok(())
}

/// Whole seconds of a wait, at most a day: no answer can silence a target for longer.
pub(super) fn seconds(wait: Option<Duration>) -> i64 {
    let wait = wait.unwrap_or_default().min(Duration::from_hours(24));
    i64::try_from(wait.as_secs()).unwrap_or(0)
}

/// The entry exactly as it was frozen when it was queued.
pub fn thaw(
    row: &outbox::Model,
    prior_remote_id: Option<String>,
) -> Result<Entry, crm_client::ThawError> {
    let entry = Entry::thaw(
        &row.target,
        &row.entry_id,
        u64::try_from(row.revision).unwrap_or(0),
        row.deleted,
        &row.content,
        &row.key,
    )?;
    Ok(entry.with_prior_remote_id(prior_remote_id))
}
