//! P4: what each target has to be told, compared with what it was told last, and frozen in the transaction that
//! changes the records.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use crm_client::Entry;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Transaction;
use super::entity::{entry, outbox};
use super::outbox::state;

/// Rows of one statement: an outbox row has 17 values, and `SQLite` takes 32,766 in a statement.
const PORTION: usize = 500;

/// An entry as it is now, to be sent if the target does not know it so.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is about: for days the record id.
    pub entry_id: String,
    /// Whose.
    pub employee: String,
    /// Work date.
    pub date: String,
    /// The entry without revision and key.
    pub content: Value,
    /// Whether it may be the first of its entry to be queued (design 6.3).
    pub may_begin: bool,
}

/// Which entries of a target a list of drafts speaks for: one that is not among them has vanished.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The target's id.
    pub target: &'a str,
    /// Whose entries.
    pub employee: &'a str,
    /// On which dates; none: on all.
    pub dates: Option<&'a BTreeSet<NaiveDate>>,
    /// Whether the target can be told that an entry is gone.
    pub corrects: bool,
}

/// A revision to be queued.
#[derive(Debug)]
pub struct Change {
    draft: Draft,
    deleted: bool,
    /// Whether it is only noted: the target has nothing to take back.
    is_silent: bool,
    /// The last revision; 0 for none.
    last: i64,
    hash: String,
}

/// What has to be queued so that the target knows the entries of `scope` as they are now.
pub async fn changes(
    db: &impl ConnectionTrait,
    scope: Scope<'_>,
    drafts: Vec<Draft>,
) -> Result<Vec<Change>, DbErr> {
    let mut known = known_of(db, scope).await?;
    let speaks_for = |draft: &Draft| match (scope.dates, draft.date.parse()) {
        (Some(dates), Ok(date)) => dates.contains(&date),
        _ => true,
    };
    // An entry may have moved here from another date, or from another person.
    let elsewhere: Vec<&str> = drafts
        .iter()
        .filter(|draft| speaks_for(draft) && !known.contains_key(&draft.entry_id))
        .map(|draft| draft.entry_id.as_str())
        .collect();
    let mut moved: HashMap<String, entry::Model> = HashMap::new();
    for ids in elsewhere.chunks(PORTION) {
        let rows = entry::Entity::find()
            .filter(entry::Column::Target.eq(scope.target))
            .filter(entry::Column::EntryId.is_in(ids.iter().copied()))
            .all(db)
            .await?;
        moved.extend(rows.into_iter().map(|row| (row.entry_id.clone(), row)));
    }
    let mut changes = Vec::new();
    for draft in drafts {
        let before = match known.remove(&draft.entry_id) {
            // Moved out of these dates, but not gone.
            Some(before) => Some(before),
            None if !speaks_for(&draft) => continue,
            None => moved.remove(&draft.entry_id),
        };
        let (last, told) = match &before {
            None if !draft.may_begin => continue,
            None => (0, None),
            Some(row) => (row.revision, (!row.deleted).then_some(&row.content_hash)),
        };
        let hash = hash_of(&draft.content);
        if told == Some(&hash) {
            continue;
        }
        changes.push(Change {
            draft,
            deleted: false,
            is_silent: false,
            last,
            hash,
        });
    }
    let vanished: Vec<entry::Model> = known.into_values().filter(|row| !row.deleted).collect();
    let mut withdrawals = withdrawals(db, scope.target, vanished).await?;
    if !scope.corrects {
        let told = attempted(db, scope.target, &withdrawals).await?;
        for change in &mut withdrawals {
            change.is_silent = !told.contains(&change.draft.entry_id);
        }
    }
    changes.extend(withdrawals);
    Ok(changes)
}

/// What the target was last told of the entries in scope, by id.
async fn known_of(
    db: &impl ConnectionTrait,
    scope: Scope<'_>,
) -> Result<HashMap<String, entry::Model>, DbErr> {
    let query = || {
        entry::Entity::find()
            .filter(entry::Column::Target.eq(scope.target))
            .filter(entry::Column::Employee.eq(scope.employee))
    };
    let mut rows = Vec::new();
    match scope.dates {
        None => rows = query().all(db).await?,
        Some(dates) => {
            let dates: Vec<String> = dates.iter().map(ToString::to_string).collect();
            for chunk in dates.chunks(PORTION) {
                let chunk = chunk.iter().map(String::as_str);
                rows.extend(
                    query()
                        .filter(entry::Column::Date.is_in(chunk))
                        .all(db)
                        .await?,
                );
            }
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| (row.entry_id.clone(), row))
        .collect())
}

/// The end of entries that nothing stands for any more, in the words of their last revision.
async fn withdrawals(
    db: &impl ConnectionTrait,
    target: &str,
    vanished: Vec<entry::Model>,
) -> Result<Vec<Change>, DbErr> {
    let mut contents = contents_of(db, target, &vanished).await?;
    Ok(vanished
        .into_iter()
        .map(|row| {
            let content = contents.remove(&row.entry_id).map(|latest| latest.content);
            let content = content
                .and_then(|text| serde_json::from_str(&text).ok())
                // A damaged row must not keep the others waiting; its id is what matters.
                .unwrap_or_else(|| json!({"record_id": row.entry_id}));
            Change {
                hash: hash_of(&content),
                last: row.revision,
                deleted: true,
                is_silent: false,
                draft: Draft {
                    entry_id: row.entry_id,
                    employee: row.employee,
                    date: row.date,
                    content,
                    may_begin: false,
                },
            }
        })
        .collect())
}

/// Which of the entries the target was ever told something of.
async fn attempted(
    db: &impl ConnectionTrait,
    target: &str,
    changes: &[Change],
) -> Result<HashSet<String>, DbErr> {
    let mut told = HashSet::new();
    for chunk in changes.chunks(PORTION) {
        let ids = chunk.iter().map(|change| change.draft.entry_id.as_str());
        let rows: Vec<String> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::EntryId)
            .distinct()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::EntryId.is_in(ids))
            .filter(outbox::Column::Attempts.gt(0))
            .into_tuple()
            .all(db)
            .await?;
        told.extend(rows);
    }
    Ok(told)
}

/// The outbox rows of the latest revisions, by entry id.
pub(super) async fn contents_of(
    db: &impl ConnectionTrait,
    target: &str,
    entries: &[entry::Model],
) -> Result<HashMap<String, outbox::Model>, DbErr> {
    let mut latest = HashMap::new();
    for chunk in entries.chunks(PORTION) {
        let rows = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::EntryId.is_in(chunk.iter().map(|row| row.entry_id.as_str())))
            .filter(is_latest())
            .all(db)
            .await?;
        latest.extend(rows.into_iter().map(|row| (row.entry_id.clone(), row)));
    }
    Ok(latest)
}

/// Whether an outbox row is the latest revision of its entry.
pub(super) fn is_latest() -> Expr {
    let entry = Query::select()
        .expr(Expr::value(1))
        .from(entry::Entity)
        .and_where(Expr::cust(
            "entry.target = outbox.target AND entry.entry_id = outbox.entry_id AND entry.revision = outbox.revision",
        ))
        .take();
    Expr::exists(entry)
}

fn hash_of(content: &Value) -> String {
    crate::secret::hex(&Sha256::digest(content.to_string()))
}

/// Freezes the changes as new revisions and puts them in the place of older ones that were not accepted.
pub async fn push(
    tx: &Transaction,
    target: &str,
    changes: Vec<Change>,
    floor: i64,
    now: i64,
) -> Result<u64, DbErr> {
    let count = changes.iter().filter(|change| !change.is_silent).count() as u64;
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let portion: Vec<Change> = changes.by_ref().take(PORTION).collect();
        push_portion(tx, target, portion, floor, now).await?;
    }
    Ok(count)
}

async fn push_portion(
    tx: &Transaction,
    target: &str,
    changes: Vec<Change>,
    floor: i64,
    now: i64,
) -> Result<(), DbErr> {
    let again = changes.iter().filter(|change| change.last > 0);
    let again: Vec<&str> = again.map(|change| change.draft.entry_id.as_str()).collect();
    let waiting = supersede(tx, target, &again, now).await?;
    let (mut rows, mut entries) = (Vec::new(), Vec::new());
    for change in changes {
        let Change {
            draft,
            deleted,
            is_silent,
            last,
            hash,
        } = change;
        let revision = (last + 1).max(floor);
        let frozen = Entry::new(
            target,
            &draft.entry_id,
            u64::try_from(revision).unwrap_or(0),
            deleted,
            draft.content,
        );
        rows.push(outbox::ActiveModel {
            id: NotSet,
            target: Set(target.to_owned()),
            entry_id: Set(draft.entry_id.clone()),
            revision: Set(revision),
            employee: Set(draft.employee.clone()),
            date: Set(draft.date.clone()),
            deleted: Set(deleted),
            content: Set(frozen.content().to_string()),
            key: Set(frozen.key().to_string()),
            state: Set(if is_silent {
                state::SUPERSEDED
            } else {
                state::PENDING
            }
            .to_owned()),
            attempts: Set(0),
            due_at: Set(now),
            last_attempt: Set(None),
            last_error: Set(None),
            // The entry has been waiting since its first revision that was not accepted.
            queued_at: Set(waiting.get(&draft.entry_id).copied().unwrap_or(now)),
            settled_at: Set(is_silent.then_some(now)),
        });
        entries.push(entry::ActiveModel {
            target: Set(target.to_owned()),
            entry_id: Set(draft.entry_id),
            employee: Set(draft.employee),
            date: Set(draft.date),
            revision: Set(revision),
            content_hash: Set(hash),
            deleted: Set(deleted),
            remote_id: Set(None),
        });
    }
    outbox::Entity::insert_many(rows)
        .exec_without_returning(tx)
        .await?;
    entry::Entity::insert_many(entries)
        .on_conflict(
            OnConflict::columns([entry::Column::Target, entry::Column::EntryId])
                .update_columns([
                    entry::Column::Employee,
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

/// Closes the open and the dismissed rows of these entries; returns since when each has been waiting.
async fn supersede(
    tx: &Transaction,
    target: &str,
    entries: &[&str],
    now: i64,
) -> Result<HashMap<String, i64>, DbErr> {
    if entries.is_empty() {
        return Ok(HashMap::new());
    }
    let open = || {
        sea_orm::Condition::all()
            .add(outbox::Column::Target.eq(target))
            .add(outbox::Column::EntryId.is_in(entries.iter().copied()))
            .add(outbox::Column::State.is_in([state::PENDING, state::REJECTED, state::DISMISSED]))
    };
    let closed: Vec<(String, i64, String)> = outbox::Entity::find()
        .select_only()
        .column(outbox::Column::EntryId)
        .column(outbox::Column::QueuedAt)
        .column(outbox::Column::State)
        .filter(open())
        .into_tuple()
        .all(tx)
        .await?;
    if !closed.is_empty() {
        outbox::Entity::update_many()
            .col_expr(outbox::Column::State, Expr::value(state::SUPERSEDED))
            .col_expr(outbox::Column::SettledAt, Expr::value(now))
            .filter(open())
            .exec(tx)
            .await?;
    }
    // Nobody waited any more for what was dismissed.
    let waiting = closed
        .into_iter()
        .filter(|(_, _, state)| state != state::DISMISSED);
    Ok(waiting
        .map(|(entry_id, queued_at, _)| (entry_id, queued_at))
        .collect())
}

impl Change {
    /// The latest revision of an entry once more: the same content under a new revision.
    pub(super) fn again(row: outbox::Model, entry: &entry::Model) -> Result<Self, DbErr> {
        let content = serde_json::from_str(&row.content)
            .map_err(|error| DbErr::Custom(format!("outbox row {}: {error}", row.id)))?;
        Ok(Self {
            deleted: row.deleted,
            is_silent: false,
            last: entry.revision,
            hash: entry.content_hash.clone(),
            draft: Draft {
                entry_id: row.entry_id,
                employee: row.employee,
                date: row.date,
                content,
                may_begin: true,
            },
        })
    }
}
