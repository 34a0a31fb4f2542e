//! P4, P5: what is to be sent, frozen when it is queued; attempts, due times and dead letters.

use std::time::Duration;

use crm_client::{Entry, Outcome};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr,
    EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::entity::{entry, outbox, target};
use super::{Store, storable};

/// States of an outbox row.
pub mod state {
    /// To be sent when due.
    pub const PENDING: &str = "pending";
    /// Accepted, or known to the target already.
    pub const SENT: &str = "sent";
    /// A dead letter: the target refused it for good.
    pub const REJECTED: &str = "rejected";
    /// A newer revision took its place before it was sent.
    pub const SUPERSEDED: &str = "superseded";
}

/// The longest wait between two attempts, in seconds.
const LONGEST_WAIT: i64 = 6 * 3600;

/// An entry as it is now, to be sent if the target does not know it so.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The target's id.
    pub target: String,
    /// For days: the record id.
    pub entry_id: String,
    /// Whose.
    pub employee: String,
    /// Work date.
    pub date: String,
    /// The record vanished.
    pub deleted: bool,
    /// The entry without revision and key.
    pub content: serde_json::Value,
    /// Whether it may be the first of its entry to be queued (design 6.3).
    pub may_begin: bool,
}

/// Numbers for S48.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stats {
    /// Entries that were ever queued.
    pub total: u64,
    /// Those whose latest revision the target has.
    pub synced: u64,
    /// Those whose latest revision still waits or was refused.
    pub unsynced: u64,
    /// Unsynced ones that were refused, or tried often without success.
    pub failed: u64,
    /// synced / total, in per cent with one decimal.
    pub sync_percentage: f64,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The outbox row.
    pub row: outbox::Model,
    /// The target's answer.
    pub outcome: Outcome,
}

/// Whether a target was last told something else than `draft`: its last revision (0 for none) and the draft's hash.
pub async fn news(
    db: &impl ConnectionTrait,
    draft: &Draft,
) -> Result<Option<(i64, String)>, DbErr> {
    let key = (draft.target.clone(), draft.entry_id.clone());
    let known = entry::Entity::find_by_id(key).one(db).await?;
    let hash = crate::secret::hex(&Sha256::digest(draft.content.to_string()));
    Ok(match known {
        None if !draft.may_begin || draft.deleted => None,
        Some(row) if row.content_hash == hash && row.deleted == draft.deleted => None,
        Some(row) => Some((row.revision, hash)),
        None => Some((0, hash)),
    })
}

/// Queues `draft` as a new revision, if the target was last told something else. Returns the revision.
pub async fn queue(
    tx: &DatabaseTransaction,
    draft: &Draft,
    floor: i64,
    now: i64,
) -> Result<Option<i64>, DbErr> {
    let Some((last, hash)) = news(tx, draft).await? else {
        return Ok(None);
    };
    let revision = (last + 1).max(floor);
    push(tx, draft, revision, hash, now).await?;
    Ok(Some(revision))
}

/// Freezes a revision and puts it in the place of older ones that were not accepted.
pub(super) async fn push(
    tx: &DatabaseTransaction,
    draft: &Draft,
    revision: i64,
    hash: String,
    now: i64,
) -> Result<(), DbErr> {
    let frozen = Entry::new(
        &draft.target,
        &draft.entry_id,
        u64::try_from(revision).unwrap_or(0),
        draft.deleted,
        draft.content.clone(),
    );
    outbox::Entity::update_many()
        .col_expr(outbox::Column::State, Expr::value(state::SUPERSEDED))
        .col_expr(outbox::Column::SettledAt, Expr::value(now))
        .filter(outbox::Column::Target.eq(&draft.target))
        .filter(outbox::Column::EntryId.eq(&draft.entry_id))
        .filter(outbox::Column::State.is_in([state::PENDING, state::REJECTED]))
        .exec(tx)
        .await?;
    let row = outbox::ActiveModel {
        id: NotSet,
        target: Set(draft.target.clone()),
        entry_id: Set(draft.entry_id.clone()),
        revision: Set(revision),
        employee: Set(draft.employee.clone()),
        date: Set(draft.date.clone()),
        deleted: Set(draft.deleted),
        content: Set(frozen.content().to_string()),
        key: Set(frozen.key().to_string()),
        state: Set(state::PENDING.to_owned()),
        attempts: Set(0),
        due_at: Set(now),
        last_attempt: Set(None),
        last_error: Set(None),
        queued_at: Set(now),
        settled_at: Set(None),
    };
    outbox::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    let row = entry::ActiveModel {
        target: Set(draft.target.clone()),
        entry_id: Set(draft.entry_id.clone()),
        date: Set(draft.date.clone()),
        revision: Set(revision),
        content_hash: Set(hash),
        deleted: Set(draft.deleted),
        remote_id: NotSet,
    };
    entry::Entity::insert(row)
        .on_conflict(
            OnConflict::columns([entry::Column::Target, entry::Column::EntryId])
                .update_columns([
                    entry::Column::Date,
                    entry::Column::Revision,
                    entry::Column::ContentHash,
                    entry::Column::Deleted,
                ])
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok(())
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

impl Store {
    /// Up to `limit` rows to be sent, oldest due first, behind the row `after`.
    pub async fn due(
        &self,
        target: &str,
        selection: &Selection,
        now: i64,
        after: i64,
        limit: u64,
    ) -> Result<Vec<outbox::Model>, DbErr> {
        let mut states = vec![state::PENDING];
        if selection.failed_only {
            states.push(state::REJECTED);
        }
        let mut query = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.is_in(states))
            .filter(outbox::Column::Id.gt(after))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        if !selection.not_due && !selection.failed_only {
            query = query.filter(outbox::Column::DueAt.lte(now));
        }
        if selection.failed_only {
            query = query.filter(outbox::Column::Attempts.gt(0));
        }
        if let Some(from) = &selection.from {
            query = query.filter(outbox::Column::Date.gte(from));
        }
        if let Some(to) = &selection.to {
            query = query.filter(outbox::Column::Date.lte(to));
        }
        if let Some(employee) = &selection.employee {
            query = query.filter(outbox::Column::Employee.eq(employee));
        }
        query.all(self.reader()).await
    }

    /// The remote id the target gave an entry.
    pub async fn remote_id(&self, target: &str, entry_id: &str) -> Result<Option<String>, DbErr> {
        let key = (target.to_owned(), entry_id.to_owned());
        Ok(entry::Entity::find_by_id(key)
            .one(self.reader())
            .await?
            .and_then(|row| row.remote_id))
    }

    /// Writes down what became of attempts.
    pub async fn settle(
        &self,
        attempts: &[Attempt],
        retry_seconds: i64,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        for Attempt { row, outcome } in attempts {
            // A row that was superseded while it was under way stays so: the newer revision says it all.
            let Some(current) = outbox::Entity::find_by_id(row.id).one(&tx).await? else {
                continue;
            };
            if current.key != row.key {
                // A backup was restored meanwhile, and the number is another entry's.
                continue;
            }
            let superseded = current.state == state::SUPERSEDED;
            let mut change = outbox::ActiveModel {
                id: Set(row.id),
                attempts: Set(row.attempts + 1),
                last_attempt: Set(Some(now)),
                ..Default::default()
            };
            match outcome {
                Outcome::Accepted { remote_id } => {
                    change.state = Set(state::SENT.to_owned());
                    change.settled_at = Set(Some(now));
                    change.last_error = Set(None);
                    if let Some(remote_id) = remote_id {
                        entry::ActiveModel {
                            target: Set(row.target.clone()),
                            entry_id: Set(row.entry_id.clone()),
                            remote_id: Set(Some(storable(remote_id).into_owned())),
                            ..Default::default()
                        }
                        .update(&tx)
                        .await?;
                    }
                }
                Outcome::AlreadyKnown => {
                    change.state = Set(state::SENT.to_owned());
                    change.settled_at = Set(Some(now));
                    change.last_error = Set(None);
                }
                Outcome::Rejected { reason } => {
                    change.last_error = Set(Some(storable(reason).into_owned()));
                    if !superseded {
                        change.state = Set(state::REJECTED.to_owned());
                        change.settled_at = Set(Some(now));
                    }
                }
                Outcome::Retry {
                    after,
                    sent,
                    reason,
                } => {
                    change.last_error = Set(Some(storable(reason).into_owned()));
                    if !sent {
                        // It has had no attempt, and goes with the target's next.
                        change.attempts = Set(row.attempts);
                        change.last_attempt = Set(row.last_attempt);
                    }
                    let tried = if *sent { row.attempts } else { 0 };
                    let wait = back_off(retry_seconds, tried, row.id).max(seconds(*after));
                    change.due_at = Set(now + wait);
                    if !superseded {
                        change.state = Set(state::PENDING.to_owned());
                    }
                }
            }
            change.update(&tx).await?;
        }
        tx.commit().await
    }

    /// How many entries [`queue_again`](Self::queue_again) would queue.
    pub async fn would_queue_again(
        &self,
        target: &str,
        selection: &Selection,
    ) -> Result<u64, DbErr> {
        let mut query = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::SENT))
            .select_only()
            .column(outbox::Column::EntryId)
            .distinct();
        if let Some(from) = &selection.from {
            query = query.filter(outbox::Column::Date.gte(from));
        }
        if let Some(to) = &selection.to {
            query = query.filter(outbox::Column::Date.lte(to));
        }
        if let Some(employee) = &selection.employee {
            query = query.filter(outbox::Column::Employee.eq(employee));
        }
        let ids: Vec<String> = query.into_tuple().all(self.reader()).await?;
        Ok(ids.len() as u64)
    }

    /// Queues the latest revision of the selected entries once more, as new revisions with the same content.
    pub async fn queue_again(
        &self,
        target: &str,
        selection: &Selection,
        floor: i64,
        now: i64,
    ) -> Result<u64, DbErr> {
        let mut query = entry::Entity::find().filter(entry::Column::Target.eq(target));
        if let Some(from) = &selection.from {
            query = query.filter(entry::Column::Date.gte(from));
        }
        if let Some(to) = &selection.to {
            query = query.filter(entry::Column::Date.lte(to));
        }
        if let Some(employee) = &selection.employee {
            query = query.filter(
                entry::Column::EntryId.in_subquery(
                    sea_orm::sea_query::Query::select()
                        .column(outbox::Column::EntryId)
                        .from(outbox::Entity)
                        .and_where(outbox::Column::Employee.eq(employee))
                        .to_owned(),
                ),
            );
        }
        let tx = self.begin().await?;
        let mut queued = 0;
        for known in query.all(&tx).await? {
            let latest = outbox::Entity::find()
                .filter(outbox::Column::Target.eq(target))
                .filter(outbox::Column::EntryId.eq(&known.entry_id))
                .filter(outbox::Column::Revision.eq(known.revision))
                .one(&tx)
                .await?;
            let Some(latest) = latest.filter(|row| {
                selection
                    .employee
                    .as_ref()
                    .is_none_or(|only| *only == row.employee)
            }) else {
                continue;
            };
            // A revision that was never sent needs no successor.
            if latest.state == state::PENDING && latest.attempts == 0 {
                continue;
            }
            let content = serde_json::from_str(&latest.content)
                .map_err(|error| DbErr::Custom(format!("outbox row {}: {error}", latest.id)))?;
            let draft = Draft {
                target: latest.target,
                entry_id: latest.entry_id,
                employee: latest.employee,
                date: latest.date,
                deleted: latest.deleted,
                content,
                may_begin: true,
            };
            push(
                &tx,
                &draft,
                (known.revision + 1).max(floor),
                known.content_hash,
                now,
            )
            .await?;
            queued += 1;
        }
        tx.commit().await?;
        Ok(queued)
    }

    /// The remembered state of a target.
    pub async fn target(&self, id: &str) -> Result<Option<target::Model>, DbErr> {
        target::Entity::find_by_id(id).one(self.reader()).await
    }

    /// Leaves a target alone for as long as it asked.
    pub async fn rest_target(&self, id: &str, wait: Duration, now: i64) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        target::Entity::update_many()
            .col_expr(
                target::Column::PausedReason,
                Expr::value("the CRM asks to be left alone for a while"),
            )
            .col_expr(
                target::Column::PausedUntil,
                Expr::value(now + seconds(Some(wait))),
            )
            .filter(target::Column::Id.eq(id))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// Pauses a target as a whole, or lets it go on after a success.
    pub async fn note_target(
        &self,
        id: &str,
        paused: Option<(&str, i64)>,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let Some(found) = target::Entity::find_by_id(id).one(&tx).await? else {
            return Ok(());
        };
        let change = match paused {
            Some((reason, base)) => target::ActiveModel {
                id: Set(id.to_owned()),
                paused_reason: Set(Some(storable(reason).into_owned())),
                paused_until: Set(Some(now + back_off(base, found.pauses, 0))),
                pauses: Set(found.pauses + 1),
                ..Default::default()
            },
            None => target::ActiveModel {
                id: Set(id.to_owned()),
                paused_reason: Set(None),
                paused_until: Set(None),
                pauses: Set(0),
                last_success: Set(Some(now)),
                ..Default::default()
            },
        };
        change.update(&tx).await?;
        tx.commit().await
    }

    /// S48: how the queue of a target stands.
    pub async fn stats(&self, target: &str, max_retries: u32) -> Result<Stats, DbErr> {
        // Older revisions are superseded when a newer one is queued, so an entry has at most one row that is open.
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
        let synced = total.saturating_sub(unsynced);
        let tenths = (synced * 1000 + total / 2).checked_div(total).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
        let sync_percentage = tenths as f64 / 10.0;
        Ok(Stats {
            total,
            synced,
            unsynced,
            failed,
            sync_percentage,
        })
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

    /// When the next failed attempt falls due, if any is waiting.
    pub async fn next_retry(&self, target: &str) -> Result<Option<i64>, DbErr> {
        let row = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.eq(state::PENDING))
            .filter(outbox::Column::Attempts.gt(0))
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

/// Queues the end of entries that a target holds and that no record stands for any more.
pub async fn queue_vanished(
    tx: &DatabaseTransaction,
    target: &str,
    floor: i64,
    now: i64,
) -> Result<(), DbErr> {
    let orphans = Statement::from_sql_and_values(
        tx.get_database_backend(),
        "SELECT outbox.* FROM outbox JOIN entry ON entry.target = outbox.target AND entry.entry_id = outbox.entry_id \
         AND entry.revision = outbox.revision WHERE entry.target = $1 AND entry.deleted = FALSE AND NOT EXISTS ( \
         SELECT 1 FROM daily_record WHERE daily_record.record_id = entry.entry_id)",
        [target.into()],
    );
    for row in outbox::Entity::find().from_raw_sql(orphans).all(tx).await? {
        let content = serde_json::from_str(&row.content)
            .map_err(|error| DbErr::Custom(format!("outbox row {}: {error}", row.id)))?;
        let draft = Draft {
            target: row.target,
            entry_id: row.entry_id,
            employee: row.employee,
            date: row.date,
            deleted: true,
            content,
            may_begin: false,
        };
        queue(tx, &draft, floor, now).await?;
    }
    Ok(())
}

/// Makes the next delivery look at every record again, also for those the target knows and that vanished.
pub async fn forget_fingerprint(db: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    target::Entity::update_many()
        .col_expr(target::Column::Fingerprint, Expr::value(""))
        .filter(target::Column::Id.eq(id))
        .exec(db)
        .await?;
    Ok(())
}

/// Remembers a target with its settings.
pub async fn remember_target(
    db: &impl ConnectionTrait,
    id: &str,
    fingerprint: &str,
) -> Result<(), DbErr> {
    let row = target::ActiveModel {
        id: Set(id.to_owned()),
        fingerprint: Set(fingerprint.to_owned()),
        paused_reason: Set(None),
        paused_until: Set(None),
        pauses: Set(0),
        last_success: NotSet,
    };
    target::Entity::insert(row)
        .on_conflict(
            OnConflict::column(target::Column::Id)
                .update_columns([
                    target::Column::Fingerprint,
                    target::Column::PausedReason,
                    target::Column::PausedUntil,
                    target::Column::Pauses,
                ])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Whole seconds of a wait, at most a day: no answer can silence a target for longer.
fn seconds(wait: Option<Duration>) -> i64 {
    let wait = wait.unwrap_or_default().min(Duration::from_hours(24));
    i64::try_from(wait.as_secs()).unwrap_or(0)
}

/// Doubling waits up to six hours, spread by up to a quarter so that refused rows do not come back in step.
fn back_off(base: i64, attempts: i32, spread: i64) -> i64 {
    let doubled = base
        .saturating_mul(1_i64 << attempts.clamp(0, 20))
        .min(LONGEST_WAIT);
    doubled - (doubled / 4) * (spread.rem_euclid(8)) / 8
}

#[cfg(test)]
mod tests {
    use super::back_off;

    #[test]
    fn waits_double_up_to_six_hours() {
        assert_eq!(back_off(30, 0, 0), 30);
        assert_eq!(back_off(30, 3, 0), 240);
        assert_eq!(back_off(30, 30, 0), 21_600);
        assert!((1..8).all(|spread| (180..240).contains(&back_off(30, 3, spread))));
    }
}
