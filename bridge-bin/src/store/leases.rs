//! P9: who holds a terminal, or a job, at this moment.
//!
//! Tokens only grow. What a holder writes counts only where its token still holds, so that a node which slept past
//! its lease cannot overwrite what its successor did.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use super::Store;
use super::entity::lease;
use crate::failpoint;

/// A lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is leased, such as `terminal:3`.
    pub name: String,
    /// Grows with every grant of this name.
    pub token: i64,
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

/// The name of a terminal's lease.
pub fn terminal(device_id: i64) -> String {
    format!("terminal:{device_id}")
}

impl Store {
    /// Claims `name` for `term_ms`.
    pub async fn claim(
        &self,
        name: &str,
        holder: &str,
        term_ms: i64,
        now_ms: i64,
    ) -> Result<Claim, DbErr> {
        let tx = self.begin().await?;
        let claim = grant(&tx, name, holder, term_ms, now_ms).await?;
        if matches!(claim, Claim::Granted(_)) {
            tx.commit().await?;
        }
        Ok(claim)
    }

    /// All leases that somebody holds at this moment, by name.
    pub async fn held_leases(&self, now_ms: i64) -> Result<Vec<lease::Model>, DbErr> {
        lease::Entity::find()
            .filter(unexpired(self.reader(), now_ms))
            .order_by_asc(lease::Column::Name)
            .all(self.reader())
            .await
    }

    /// Renews a lease; `false` if it lapsed or is somebody else's by now.
    pub async fn renew(&self, lease: &Lease, term_ms: i64, now_ms: i64) -> Result<bool, DbErr> {
        let tx = self.begin().await?;
        let renewed = lease::Entity::update_many()
            .col_expr(lease::Column::ExpiresAt, Expr::value(now_ms + term_ms))
            .filter(held(lease, now_ms))
            .exec(&tx)
            .await?;
        failpoint::pass("renew.before");
        tx.commit().await?;
        failpoint::pass("renew.after");
        Ok(renewed.rows_affected == 1)
    }

    /// Gives a lease back. The row stays, so that its token goes on growing.
    pub async fn release(&self, lease: &Lease) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        lease::Entity::update_many()
            .col_expr(lease::Column::ExpiresAt, Expr::value(0))
            .filter(lease::Column::Name.eq(&lease.name))
            .filter(lease::Column::Token.eq(lease.token))
            .exec(&tx)
            .await?;
        tx.commit().await
    }
}

/// Claims `name` inside a transaction.
pub(super) async fn grant(
    tx: &impl ConnectionTrait,
    name: &str,
    holder: &str,
    term_ms: i64,
    now_ms: i64,
) -> Result<Claim, DbErr> {
    let found = lease::Entity::find_by_id(name).one(tx).await?;
    let token = match found {
        Some(row) if row.expires_at > now_ms => {
            return Ok(Claim::Busy {
                holder: row.holder,
                held_ms: now_ms - row.since,
                remaining_ms: row.expires_at - now_ms,
            });
        }
        Some(row) => {
            let changed = lease::ActiveModel {
                name: Set(row.name),
                holder: Set(holder.to_owned()),
                token: Set(row.token + 1),
                expires_at: Set(now_ms + term_ms),
                since: Set(now_ms),
            };
            lease::Entity::update(changed).exec(tx).await?;
            row.token + 1
        }
        None => {
            let row = lease::ActiveModel {
                name: Set(name.to_owned()),
                holder: Set(holder.to_owned()),
                token: Set(1),
                expires_at: Set(now_ms + term_ms),
                since: Set(now_ms),
            };
            lease::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
            1
        }
    };
    Ok(Claim::Granted(Lease {
        name: name.to_owned(),
        token,
    }))
}

/// Whether `lease` still holds, to be asked inside the transaction that depends on it.
pub async fn holds(db: &impl ConnectionTrait, lease: &Lease, now_ms: i64) -> Result<bool, DbErr> {
    Ok(lease::Entity::find()
        .filter(held(lease, now_ms))
        .one(db)
        .await?
        .is_some())
}

fn held(lease: &Lease, now_ms: i64) -> sea_orm::Condition {
    sea_orm::Condition::all()
        .add(lease::Column::Name.eq(&lease.name))
        .add(lease::Column::Token.eq(lease.token))
        .add(lease::Column::ExpiresAt.gt(now_ms))
}

/// That a lease has not lapsed, as a condition on its row.
pub(super) fn unexpired(_db: &impl ConnectionTrait, now_ms: i64) -> Expr {
    lease::Column::ExpiresAt.gt(now_ms)
}
