//! Which terminals are to be read and which targets to be told: the work list that all workers share.
//!
//! A due terminal is claimed by taking its lease, in the transaction that finds it. So there is nothing to clean up
//! behind a node that died: its lease ends, and the terminal is there to be claimed again. A target stays due until
//! its delivery has ended, to the same effect.

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use super::entity::{device, due_device, due_target, lease};
use super::leases::{self, Lease};
use super::{Store, back_off, bell, storable};

/// The longest wait between two tries of a terminal that fails, in seconds: one that is back is read soon.
const LONGEST_WAIT: i64 = 15 * 60;

/// What a failure says, and when the terminal is tried again.
#[derive(Debug, Clone, Copy)]
pub struct PollFailure<'a> {
    /// In words, with the remedy.
    pub told: &'a str,
    /// The first wait, in seconds; it doubles with every failure in a row.
    pub retry_seconds: i64,
}

/// Which terminals a worker can take.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The node that asks.
    pub holder: &'a str,
    /// Term of the leases, in milliseconds.
    pub term_ms: i64,
    /// At most so many.
    pub limit: u64,
    /// Not these, which it still reads.
    pub except: &'a [i64],
}

impl Store {
    /// Claims terminals that are due, longest waiting first, each with its lease.
    pub async fn claim_due(
        &self,
        wanted: Wanted<'_>,
        now_ms: i64,
    ) -> Result<Vec<(device::Model, Lease)>, DbErr> {
        // Most looks find nothing, and then nothing is written.
        let db = self.reader();
        if wanted.limit == 0 || free(db, wanted, now_ms).one(db).await?.is_none() {
            return Ok(Vec::new());
        }
        let tx = self.begin_beside().await?;
        let rows = free(&tx, wanted, now_ms)
            // Two nodes that look at the same time take different ones. SQLite has one writer and no row locks.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&tx)
            .await?;
        let names = rows.iter().map(|row| leases::terminal(row.device_id));
        let leases =
            leases::grant_free(&tx, names.collect(), wanted.holder, wanted.term_ms, now_ms).await?;
        let mut leases: HashMap<String, Lease> = leases
            .into_iter()
            .map(|lease| (lease.name.clone(), lease))
            .collect();
        let ids = rows.iter().map(|row| row.device_id);
        let devices = device::Entity::find()
            .filter(device::Column::Id.is_in(ids.clone()))
            .all(&tx)
            .await?;
        let mut devices: HashMap<i64, device::Model> = devices
            .into_iter()
            .map(|device| (device.id, device))
            .collect();
        let claimed = ids
            .filter_map(|id| Some((devices.remove(&id)?, leases.remove(&leases::terminal(id))?)))
            .collect();
        tx.commit().await?;
        Ok(claimed)
    }

    /// When the next terminal falls due that is not due yet, in Unix seconds.
    pub async fn next_due_device(&self, now: i64) -> Result<Option<i64>, DbErr> {
        let row = due_device::Entity::find()
            .filter(due_device::Column::DueAt.gt(now))
            .order_by_asc(due_device::Column::DueAt)
            .one(self.reader())
            .await?;
        Ok(row.and_then(|row| row.due_at))
    }

    /// How each terminal stands on the work list, by device.
    pub async fn due_devices(&self) -> Result<HashMap<i64, due_device::Model>, DbErr> {
        let rows = due_device::Entity::find().all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| (row.device_id, row)).collect())
    }

    /// How each target stands on the work list.
    pub async fn due_targets(&self) -> Result<HashMap<String, due_target::Model>, DbErr> {
        let rows = due_target::Entity::find().all(self.reader()).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.target.clone(), row))
            .collect())
    }

    /// Notes when a target is to be told again, after a delivery; unless it was called for meanwhile.
    pub async fn target_done(
        &self,
        before: &due_target::Model,
        due_at: Option<i64>,
    ) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        due_target::Entity::update_many()
            .col_expr(due_target::Column::DueAt, Expr::value(due_at))
            .filter(due_target::Column::Target.eq(&before.target))
            .filter(due_target::Column::Wakes.eq(before.wakes))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// Notes a poll that failed, if the lease still holds, and when the terminal is tried again (P6).
    pub async fn note_failure(
        &self,
        device_id: i64,
        lease: &Lease,
        failure: PollFailure<'_>,
        now_ms: i64,
    ) -> Result<(), DbErr> {
        let now = now_ms.div_euclid(1000);
        let tx = self.begin_beside().await?;
        let found = hold(&tx, device_id).await?;
        if !leases::holds(&tx, lease, now_ms).await? {
            return Ok(());
        }
        let row = device::ActiveModel {
            id: Set(device_id),
            last_attempt: Set(Some(now)),
            last_error: Set(Some(storable(failure.told).into_owned())),
            ..Default::default()
        };
        row.update(&tx).await?;
        let failures = found.map_or(0, |row| row.failures).saturating_add(1);
        let wait = back_off::doubled(failure.retry_seconds, failures - 1, LONGEST_WAIT).max(1);
        put(&tx, device_id, Some(now + wait), failures).await?;
        tx.commit().await
    }
}

/// The due terminals that nobody holds.
fn free(db: &impl ConnectionTrait, wanted: Wanted<'_>, now_ms: i64) -> Select<due_device::Entity> {
    let enabled = Query::select()
        .column(device::Column::Id)
        .from(device::Entity)
        .and_where(device::Column::Enabled.eq(true))
        .take();
    let held = Query::select()
        .expr(Expr::value(1))
        .from(lease::Entity)
        .and_where(Expr::cust(
            "lease.name = 'terminal:' || due_device.device_id",
        ))
        .and_where(leases::unexpired(db, now_ms))
        .take();
    due_device::Entity::find()
        .filter(due_device::Column::DueAt.lte(now_ms.div_euclid(1000)))
        .filter(due_device::Column::DeviceId.in_subquery(enabled))
        .filter(due_device::Column::DeviceId.is_not_in(wanted.except.iter().copied()))
        .filter(Condition::all().add(Expr::exists(held)).not())
        .order_by_asc(due_device::Column::DueAt)
        .order_by_asc(due_device::Column::DeviceId)
        .limit(wanted.limit)
}

/// Makes every terminal due that waits for nothing else; one that fails keeps its own time.
pub(super) async fn fire(db: &impl ConnectionTrait, now: i64) -> Result<(), DbErr> {
    due_device::Entity::update_many()
        .col_expr(due_device::Column::DueAt, Expr::value(now))
        .filter(due_device::Column::DueAt.is_null())
        .exec(db)
        .await?;
    bell::ring(db).await
}

/// Makes one terminal due at once, with a clean slate: it is new, or somebody mended it.
pub(super) async fn call_for(
    db: &impl ConnectionTrait,
    device_id: i64,
    now: i64,
) -> Result<(), DbErr> {
    put(db, device_id, Some(now), 0).await?;
    bell::ring(db).await
}

/// Makes a target due: something new waits for it.
pub async fn call_for_target(
    db: &impl ConnectionTrait,
    target: &str,
    now: i64,
) -> Result<(), DbErr> {
    let row = due_target::ActiveModel {
        target: Set(target.to_owned()),
        due_at: Set(Some(now)),
        wakes: Set(1),
    };
    let wakes = sea_orm::sea_query::ExprTrait::add(
        Expr::col((due_target::Entity, due_target::Column::Wakes)),
        1,
    );
    due_target::Entity::insert(row)
        .on_conflict(
            OnConflict::column(due_target::Column::Target)
                .update_column(due_target::Column::DueAt)
                .value(due_target::Column::Wakes, wakes)
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    bell::ring(db).await
}

/// Keeps a terminal from being claimed until the transaction ends. Before its lease is looked at, because whoever
/// claims takes them in this order.
pub(super) async fn hold(
    db: &impl ConnectionTrait,
    device_id: i64,
) -> Result<Option<due_device::Model>, DbErr> {
    Ok(hold_all(db, [device_id]).await?.pop())
}

/// The same of several, in one order, so that of two nodes none waits for the other in a circle.
pub(super) async fn hold_all(
    db: &impl ConnectionTrait,
    device_ids: impl IntoIterator<Item = i64>,
) -> Result<Vec<due_device::Model>, DbErr> {
    due_device::Entity::find()
        .filter(due_device::Column::DeviceId.is_in(device_ids))
        .order_by_asc(due_device::Column::DeviceId)
        .lock_exclusive()
        .all(db)
        .await
}

/// Takes a terminal off the list until the schedule calls for it again; `held` is how it stands there.
pub(super) async fn done(
    db: &impl ConnectionTrait,
    device_id: i64,
    held: Option<&due_device::Model>,
) -> Result<(), DbErr> {
    match held {
        Some(row) => all_done(db, [row]).await,
        None => put(db, device_id, None, 0).await,
    }
}

/// The same of several that stand on it.
pub(super) async fn all_done<'a>(
    db: &impl ConnectionTrait,
    held: impl IntoIterator<Item = &'a due_device::Model>,
) -> Result<(), DbErr> {
    let open = held
        .into_iter()
        .filter(|row| row.due_at.is_some() || row.failures != 0)
        .map(|row| row.device_id);
    let open: Vec<i64> = open.collect();
    if open.is_empty() {
        return Ok(());
    }
    due_device::Entity::update_many()
        .col_expr(due_device::Column::DueAt, Expr::value(None::<i64>))
        .col_expr(due_device::Column::Failures, Expr::value(0))
        .filter(due_device::Column::DeviceId.is_in(open))
        .exec(db)
        .await?;
    Ok(())
}

async fn put(
    db: &impl ConnectionTrait,
    device_id: i64,
    due_at: Option<i64>,
    failures: i32,
) -> Result<(), DbErr> {
    let row = due_device::ActiveModel {
        device_id: Set(device_id),
        due_at: Set(due_at),
        failures: Set(failures),
    };
    due_device::Entity::insert(row)
        .on_conflict(
            OnConflict::column(due_device::Column::DeviceId)
                .update_columns([due_device::Column::DueAt, due_device::Column::Failures])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}
