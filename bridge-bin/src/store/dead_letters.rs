//! Dead letters that a human closes.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use super::entity::{audit, outbox};
use super::outbox::state;
use super::{Store, storable};

/// Who closes a dead letter, and why.
#[derive(Debug, Clone, Copy)]
pub struct Dismissal<'a> {
    /// The name of a human.
    pub by: &'a str,
    /// In that human's words.
    pub reason: &'a str,
}

impl Store {
    /// Closes the dead letters with these numbers, each with a line in the audit trail. Returns them; if one of the
    /// numbers is no dead letter's, none is closed, and the numbers that are wrong are returned instead.
    ///
    /// The target is told the next revision of such an entry as usual.
    pub async fn dismiss(
        &self,
        ids: &[i64],
        dismissal: Dismissal<'_>,
        now: i64,
    ) -> Result<Result<Vec<outbox::Model>, Vec<i64>>, DbErr> {
        let tx = self.begin().await?;
        let mut closed = Vec::new();
        for chunk in ids.chunks(1_000) {
            let rows = outbox::Entity::find()
                .filter(outbox::Column::Id.is_in(chunk.iter().copied()))
                .filter(outbox::Column::State.eq(state::REJECTED))
                .order_by_asc(outbox::Column::Id)
                .all(&tx)
                .await?;
            closed.extend(rows);
        }
        let is_closed = |id: &i64| closed.iter().any(|row| row.id == *id);
        let wrong: Vec<i64> = ids.iter().copied().filter(|id| !is_closed(id)).collect();
        if !wrong.is_empty() {
            return Ok(Err(wrong));
        }
        for row in &closed {
            let change = outbox::ActiveModel {
                state: Set(state::DISMISSED.to_owned()),
                settled_at: Set(Some(now)),
                ..Default::default()
            };
            outbox::Entity::update_many()
                .set(change)
                .filter(outbox::Column::Id.eq(row.id))
                .exec(&tx)
                .await?;
            let line = audit::ActiveModel {
                id: NotSet,
                at: Set(now),
                by: Set(storable(dismissal.by).into_owned()),
                action: Set("dismiss_dead_letter".to_owned()),
                subject: Set(format!(
                    "{} {} revision {}",
                    row.target, row.entry_id, row.revision
                )),
                detail: Set(Some(storable(dismissal.reason).into_owned())),
            };
            audit::Entity::insert(line)
                .exec_without_returning(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Ok(closed))
    }
}
