//! Readings that found nothing new. A thousand terminals may say so within a second; all that wait are stored in one
//! transaction, so that most of them cost a row in a statement and none a commit of its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use tokio::sync::oneshot;

use super::entity::{cursor, device};
use super::leases::Lease;
use super::punches::{Intake, put_cursors};
use super::{Store, due, leases};

/// Readings of one transaction.
const MOST: usize = 500;

/// A reading after which a terminal stands as before, but for its cursor and when it was read.
#[derive(Debug)]
pub(super) struct Unchanged {
    lease: Lease,
    cursor: cursor::Model,
    complete_until: Option<i64>,
    now: i64,
    now_ms: i64,
}

impl Unchanged {
    /// None if there is more to store than that.
    pub(super) fn of(intake: &Intake<'_>, now: i64, now_ms: i64) -> Option<Self> {
        let is_quiet = intake.punches.is_empty()
            && intake.users.is_none()
            && intake.error.is_none()
            && intake.done
            && intake.gives_back
            && !intake.facts.are_news(intake.device);
        is_quiet.then(|| Self {
            lease: intake.lease.clone(),
            cursor: cursor::Model {
                device_id: intake.device.id,
                ..intake.cursor.clone()
            },
            complete_until: intake.facts.complete_until.or(intake.device.complete_until),
            now,
            now_ms,
        })
    }
}

/// A reading, and who wants to know whether its lease still held.
type Waiting = (Unchanged, oneshot::Sender<bool>);

/// The readings that wait to be stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Vec<Waiting>>>);

impl Queue {
    fn push(&self, waiting: Waiting) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(waiting);
    }

    /// The next portion, those of whom somebody still waits.
    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.retain(|(_, told)| !told.is_closed());
        let portion = queue.len().min(MOST);
        queue.drain(..portion).collect()
    }
}

impl Store {
    /// Stores a reading together with all others that wait. Whether its lease held; none if that was not to be found
    /// out this way, and then it is as if it had never been tried.
    pub(super) async fn take_in_unchanged(&self, reading: Unchanged) -> Option<bool> {
        let (told, mut answer) = oneshot::channel();
        self.unchanged.push((reading, told));
        let turn = self.intakes.acquire().await;
        loop {
            match answer.try_recv() {
                // Whoever had the turn has stored it, or tried to.
                Ok(held) => return Some(held),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let waiting = self.unchanged.take();
            if waiting.is_empty() {
                // Somebody else is at it.
                break;
            }
            if let Err(error) = self.store_unchanged(waiting).await {
                tracing::debug!(%error, "readings were not stored together; each is stored by itself");
            }
        }
        drop(turn);
        answer.await.ok()
    }

    async fn store_unchanged(&self, waiting: Vec<Waiting>) -> Result<(), DbErr> {
        let Some(now_ms) = waiting.iter().map(|(reading, _)| reading.now_ms).max() else {
            return Ok(());
        };
        let tx = self.begin_beside().await?;
        let ids = waiting.iter().map(|(reading, _)| reading.cursor.device_id);
        let due = due::hold_all(&tx, ids).await?;
        let asked = waiting.iter().map(|(reading, _)| &reading.lease);
        let ours = leases::holds_of(&tx, asked, now_ms).await?;
        let held: Vec<&Unchanged> = waiting
            .iter()
            .map(|(reading, _)| reading)
            .filter(|reading| ours.contains(&reading.lease))
            .collect();
        let cursors = held.iter().map(|reading| reading.cursor.clone());
        put_cursors(&tx, cursors.collect()).await?;
        let mut by_time: BTreeMap<(i64, Option<i64>), Vec<i64>> = BTreeMap::new();
        for reading in &held {
            let time = (reading.now, reading.complete_until);
            let devices = by_time.entry(time).or_default();
            devices.push(reading.cursor.device_id);
        }
        for ((now, complete_until), devices) in by_time {
            device::Entity::update_many()
                .col_expr(device::Column::LastSync, Expr::value(now))
                .col_expr(device::Column::LastAttempt, Expr::value(now))
                .col_expr(device::Column::LastError, Expr::value(None::<String>))
                .col_expr(device::Column::CompleteUntil, Expr::value(complete_until))
                .filter(device::Column::Id.is_in(devices))
                .exec(&tx)
                .await?;
        }
        let devices: HashSet<i64> = held
            .iter()
            .map(|reading| reading.cursor.device_id)
            .collect();
        due::all_done(
            &tx,
            due.iter().filter(|row| devices.contains(&row.device_id)),
        )
        .await?;
        leases::give_back_all(&tx, &ours).await?;
        tx.commit().await?;
        for (reading, told) in waiting {
            // Whoever does not wait any more has lost nothing by it.
            let _ = told.send(ours.contains(&reading.lease));
        }
        Ok(())
    }
}
