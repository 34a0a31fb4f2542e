//! P9: who holds a terminal, or a job, at this moment.
//!
//! Tokens only grow. What a holder writes counts only where its token still holds, so that a node which slept past
//! its lease cannot overwrite what its successor did.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entity::lease;
use super::{Store, Transaction, shared_now};
use crate::failpoint;

/// A lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// What is leased, such as `terminal:3`.
    pub name: String,
    /// Grows with every grant of this name.
    pub token: i64,
}

/// What came of renewing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewals {
    /// Ours for another term.
    pub renewed: HashSet<Lease>,
    /// Still ours, but their rows are in the hands of a transaction, so they are to be asked for again.
    pub occupied: HashSet<Lease>,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Ours until the term ends.
    Granted(Lease),
    /// Somebody else's for so many milliseconds yet.
    Busy {
        /// The node and command that holds it.
        holder: String,
        /// For so many milliseconds.
        held_ms: i64,
        /// Milliseconds until it lapses, unless renewed.
        remaining_ms: i64,
    },
}

/// Begins the names of terminals' leases.
pub const TERMINAL: &str = "terminal:";

/// The name of a terminal's lease.
pub fn terminal(device_id: i64) -> String {
    format!("{TERMINAL}{device_id}")
}

impl Store {
    /// Claims `name` for `term_ms`, by the database's clock where it has one (P9), else by `now_ms`.
    pub async fn claim(
        &self,
        name: &str,
        holder: &str,
        term_ms: i64,
        now_ms: i64,
    ) -> Result<Claim, DbErr> {
        let tx = self.begin_beside().await?;
        let claim = grant(&tx, name, holder, term_ms, now_ms).await?;
        if matches!(claim, Claim::Granted(_)) {
            tx.commit().await?;
        }
        Ok(claim)
    }

    /// All leases that somebody holds at this moment, by name, each with the milliseconds until it lapses.
    pub async fn held_leases(&self, now_ms: i64) -> Result<Vec<(lease::Model, i64)>, DbErr> {
        let db = self.reader();
        let remaining = Expr::col(lease::Column::ExpiresAt).sub(shared_now(db, now_ms));
        let rows: Vec<(String, String, i64, i64, i64, i64)> = lease::Entity::find()
            .select_only()
            .columns([
                lease::Column::Name,
                lease::Column::Holder,
                lease::Column::Token,
                lease::Column::ExpiresAt,
                lease::Column::Since,
            ])
            .expr_as(remaining, "remaining")
            .filter(unexpired(db, now_ms))
            .order_by_asc(lease::Column::Name)
            .into_tuple()
            .all(db)
            .await?;
        let row = |(name, holder, token, expires_at, since, remaining)| {
            let row = lease::Model {
                name,
                holder,
                token,
                expires_at,
                since,
            };
            (row, remaining)
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// Claims those of `names` that are free, in one statement; the others are somebody else's.
    pub async fn claim_free(
        &self,
        names: Vec<String>,
        holder: &str,
        term_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Lease>, DbErr> {
        let tx = self.begin_beside().await?;
        let leases = grant_free(&tx, names, holder, term_ms, now_ms).await?;
        tx.commit().await?;
        Ok(leases)
    }

    /// Renews leases that `holder` was granted. Those in neither set of the answer have lapsed or are somebody else's.
    ///
    /// A row that a transaction holds is not waited for: the other leases would wait with it.
    pub async fn renew(
        &self,
        holder: &str,
        leases: &[Lease],
        term_ms: i64,
        now_ms: i64,
    ) -> Result<Renewals, DbErr> {
        let tx = self.begin_beside().await?;
        let ours = |tx: &Transaction| {
            Condition::all()
                .add(lease::Column::Name.is_in(leases.iter().map(|lease| lease.name.as_str())))
                .add(lease::Column::Holder.eq(holder))
                .add(unexpired(tx, now_ms))
        };
        let free = Query::select()
            .column(lease::Column::Name)
            .from(lease::Entity)
            .cond_where(ours(&tx))
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .take();
        let update = Query::update()
            .table(lease::Entity)
            .value(
                lease::Column::ExpiresAt,
                shared_now(&tx, now_ms).add(term_ms),
            )
            .and_where(lease::Column::Name.in_subquery(free))
            .returning(Query::returning().columns([lease::Column::Name, lease::Column::Token]))
            .take();
        let asked: HashSet<&Lease> = leases.iter().collect();
        let mut renewals = Renewals::default();
        for row in tx.query_all(&update).await? {
            let lease = Lease {
                name: row.try_get("", "name")?,
                token: row.try_get("", "token")?,
            };
            if asked.contains(&lease) {
                renewals.renewed.insert(lease);
            }
        }
        if renewals.renewed.len() < asked.len() {
            let rows = lease::Entity::find().filter(ours(&tx)).all(&tx).await?;
            let held = rows.into_iter().map(|row| Lease {
                name: row.name,
                token: row.token,
            });
            let is_left =
                |lease: &Lease| asked.contains(lease) && !renewals.renewed.contains(lease);
            renewals.occupied = held.filter(is_left).collect();
        }
        failpoint::pass("renew.before");
        tx.commit().await?;
        failpoint::pass("renew.after");
        Ok(renewals)
    }

    /// Gives a lease back. The row stays, so that its token goes on growing.
    pub async fn release(&self, lease: &Lease) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        give_back(&tx, lease).await?;
        tx.commit().await
    }
}

/// Gives a lease back inside a transaction.
pub(super) async fn give_back(tx: &impl ConnectionTrait, lease: &Lease) -> Result<(), DbErr> {
    lease::Entity::update_many()
        .col_expr(lease::Column::ExpiresAt, Expr::value(0_i64))
        .filter(lease::Column::Name.eq(&lease.name))
        .filter(lease::Column::Token.eq(lease.token))
        .exec(tx)
        .await?;
    Ok(())
}

/// Gives leases back that were found to hold inside the same transaction.
pub(super) async fn give_back_all(
    tx: &impl ConnectionTrait,
    held: &HashSet<Lease>,
) -> Result<(), DbErr> {
    lease::Entity::update_many()
        .col_expr(lease::Column::ExpiresAt, Expr::value(0_i64))
        .filter(lease::Column::Name.is_in(held.iter().map(|lease| lease.name.as_str())))
        .exec(tx)
        .await?;
    Ok(())
}

/// Claims those of `names` that are free, inside a transaction.
pub(super) async fn grant_free(
    tx: &impl ConnectionTrait,
    mut names: Vec<String>,
    holder: &str,
    term_ms: i64,
    now_ms: i64,
) -> Result<Vec<Lease>, DbErr> {
    let now = || shared_now(tx, now_ms);
    // In one order, so that of two nodes none waits for the other in a circle.
    names.sort_unstable();
    names.dedup();
    let mut leases = Vec::with_capacity(names.len());
    for portion in names.chunks(1_000) {
        // One statement, so that of two nodes one is granted it and the other one finds it taken.
        let mut insert = Query::insert();
        insert.into_table(lease::Entity).columns([
            lease::Column::Name,
            lease::Column::Holder,
            lease::Column::Token,
            lease::Column::ExpiresAt,
            lease::Column::Since,
        ]);
        for name in portion {
            insert
                .values([
                    name.into(),
                    holder.into(),
                    1_i64.into(),
                    now().add(term_ms),
                    now(),
                ])
                .map_err(|error| DbErr::Custom(error.to_string()))?;
        }
        insert
            .on_conflict(
                OnConflict::column(lease::Column::Name)
                    .update_columns([
                        lease::Column::Holder,
                        lease::Column::ExpiresAt,
                        lease::Column::Since,
                    ])
                    .value(
                        lease::Column::Token,
                        Expr::col((lease::Entity, lease::Column::Token)).add(1),
                    )
                    .action_and_where(
                        Expr::col((lease::Entity, lease::Column::ExpiresAt)).lte(now()),
                    )
                    .to_owned(),
            )
            .returning(Query::returning().columns([lease::Column::Name, lease::Column::Token]));
        for row in tx.query_all(&insert).await? {
            leases.push(Lease {
                name: row.try_get("", "name")?,
                token: row.try_get("", "token")?,
            });
        }
    }
    Ok(leases)
}

/// Claims `name` inside a transaction.
async fn grant(
    tx: &impl ConnectionTrait,
    name: &str,
    holder: &str,
    term_ms: i64,
    now_ms: i64,
) -> Result<Claim, DbErr> {
    let now = || shared_now(tx, now_ms);
    let mut free = grant_free(tx, vec![name.to_owned()], holder, term_ms, now_ms).await?;
    if let Some(lease) = free.pop() {
        return Ok(Claim::Granted(lease));
    }
    let busy: Option<(String, i64, i64)> = lease::Entity::find_by_id(name)
        .select_only()
        .column(lease::Column::Holder)
        .expr_as(now().sub(Expr::col(lease::Column::Since)), "held")
        .expr_as(Expr::col(lease::Column::ExpiresAt).sub(now()), "remaining")
        .into_tuple()
        .one(tx)
        .await?;
    let (holder, held_ms, remaining_ms) = busy.unwrap_or_default();
    Ok(Claim::Busy {
        holder,
        held_ms,
        remaining_ms,
    })
}

/// Whether `lease` still holds, to be asked inside the transaction that depends on it: until that ends, nobody else
/// is granted it.
pub async fn holds(db: &impl ConnectionTrait, lease: &Lease, now_ms: i64) -> Result<bool, DbErr> {
    Ok(lease::Entity::find()
        .filter(held(db, lease, now_ms))
        .lock_shared()
        .one(db)
        .await?
        .is_some())
}

/// Those of `leases` that still hold, to be asked as [`holds`] is.
pub(super) async fn holds_of<'a>(
    db: &impl ConnectionTrait,
    leases: impl IntoIterator<Item = &'a Lease>,
    now_ms: i64,
) -> Result<HashSet<Lease>, DbErr> {
    let asked: HashSet<&Lease> = leases.into_iter().collect();
    let rows = lease::Entity::find()
        .filter(lease::Column::Name.is_in(asked.iter().map(|lease| lease.name.as_str())))
        .filter(unexpired(db, now_ms))
        // In one order, so that of two nodes none waits for the other in a circle.
        .order_by_asc(lease::Column::Name)
        .lock_shared()
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lease {
            name: row.name,
            token: row.token,
        })
        .filter(|lease| asked.contains(lease))
        .collect())
}

fn held(db: &impl ConnectionTrait, lease: &Lease, now_ms: i64) -> Condition {
    Condition::all()
        .add(lease::Column::Name.eq(&lease.name))
        .add(lease::Column::Token.eq(lease.token))
        .add(Expr::col(lease::Column::ExpiresAt).gt(shared_now(db, now_ms)))
}

/// That a lease has not lapsed, as a condition on its row.
pub(super) fn unexpired(db: &impl ConnectionTrait, now_ms: i64) -> Expr {
    Expr::col((lease::Entity, lease::Column::ExpiresAt)).gt(shared_now(db, now_ms))
}
