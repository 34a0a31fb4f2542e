//! What is remembered of each target as a whole: its pause, its last success, and what it was set to be told.

use std::time::Duration;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
};

use super::entity::{entry, meta, target};
use super::outbox::seconds;
use super::{Store, Transaction, back_off, storable};

impl Store {
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
                Expr::value("it asks to be left alone for a while"),
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

    /// Lets a target go on that answers again, although it took nothing yet.
    pub async fn end_pause(&self, id: &str) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        target::Entity::update_many()
            .col_expr(target::Column::PausedReason, Expr::value(None::<String>))
            .col_expr(target::Column::PausedUntil, Expr::value(None::<i64>))
            .col_expr(target::Column::Pauses, Expr::value(0))
            .col_expr(target::Column::Unanswered, Expr::value(0))
            .filter(target::Column::Id.eq(id))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// Notes how many pushes in a row nobody answered.
    pub async fn note_unanswered(&self, id: &str, pushes: i32) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        target::Entity::update_many()
            .col_expr(target::Column::Unanswered, Expr::value(pushes))
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
                paused_until: Set(Some(now + back_off::spread(base, found.pauses))),
                pauses: Set(found.pauses + 1),
                unanswered: Set(0),
                ..Default::default()
            },
            None => target::ActiveModel {
                id: Set(id.to_owned()),
                paused_reason: Set(None),
                paused_until: Set(None),
                pauses: Set(0),
                unanswered: Set(0),
                last_success: Set(Some(now)),
                ..Default::default()
            },
        };
        change.update(&tx).await?;
        tx.commit().await
    }

    /// Notes when the certificate ends that a target showed.
    pub async fn note_certificate(&self, id: &str, ends: Option<i64>) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        target::Entity::update_many()
            .col_expr(target::Column::CertificateEnds, Expr::value(ends))
            .filter(target::Column::Id.eq(id))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// Begins to tell a target what it has missed under these settings, or goes on with it: with whoever comes after
    /// the employee that is returned.
    pub async fn begin_catching_up(&self, id: &str, fingerprint: &str) -> Result<String, DbErr> {
        let tx = self.begin().await?;
        let after = caught_up(&tx, id, fingerprint).await?;
        if after.is_none() {
            note_caught_up(&tx, id, fingerprint, "").await?;
        }
        tx.commit().await?;
        Ok(after.unwrap_or_default())
    }

    /// Everybody of whom a target was ever told something.
    pub async fn told_of(&self, target: &str) -> Result<Vec<String>, DbErr> {
        entry::Entity::find()
            .select_only()
            .column(entry::Column::Employee)
            .distinct()
            .filter(entry::Column::Target.eq(target))
            .into_tuple()
            .all(self.reader())
            .await
    }
}

/// How far each target is that is being told what it has missed: its settings, and the last employee.
const CATCHING_UP: &str = "catching_up:";

/// Behind every key that begins with it.
const BEHIND_CATCHING_UP: &str = "catching_up;";

async fn caught_up(
    db: &impl ConnectionTrait,
    id: &str,
    fingerprint: &str,
) -> Result<Option<String>, DbErr> {
    let row = meta::Entity::find_by_id(format!("{CATCHING_UP}{id}"))
        .one(db)
        .await?;
    Ok(row.and_then(|row| {
        let (settings, employee) = row.value.split_once('\n')?;
        (settings == fingerprint).then(|| employee.to_owned())
    }))
}

/// Notes that a target was told of everybody up to this employee, unless it must begin again.
pub async fn note_caught_up(
    tx: &Transaction,
    id: &str,
    fingerprint: &str,
    employee: &str,
) -> Result<(), DbErr> {
    if !employee.is_empty() && caught_up(tx, id, fingerprint).await?.is_none() {
        return Ok(());
    }
    let value = format!("{fingerprint}\n{employee}");
    super::set_meta(tx, &format!("{CATCHING_UP}{id}"), &value).await
}

/// Ends it. False if it must begin again: meanwhile something changed that the target was not told.
pub async fn end_catching_up(tx: &Transaction, id: &str, fingerprint: &str) -> Result<bool, DbErr> {
    if caught_up(tx, id, fingerprint).await?.is_none() {
        return Ok(false);
    }
    meta::Entity::delete_by_id(format!("{CATCHING_UP}{id}"))
        .exec(tx)
        .await?;
    Ok(true)
}

/// Makes the next delivery to targets other than `configured` look at every record again: they miss what changes now.
pub async fn forget_absent(tx: &Transaction, configured: &[&str]) -> Result<(), DbErr> {
    target::Entity::update_many()
        .col_expr(target::Column::Fingerprint, Expr::value(""))
        .filter(target::Column::Id.is_not_in(configured.iter().copied()))
        .filter(target::Column::Fingerprint.ne(""))
        .exec(tx)
        .await?;
    let kept = configured.iter().map(|id| format!("{CATCHING_UP}{id}"));
    meta::Entity::delete_many()
        .filter(meta::Column::Key.between(CATCHING_UP, BEHIND_CATCHING_UP))
        .filter(meta::Column::Key.is_not_in(kept))
        .exec(tx)
        .await?;
    Ok(())
}

/// Remembers a target with its settings; a pause that the old ones led to is over.
pub async fn remember(
    db: &impl ConnectionTrait,
    id: &str,
    kind: &str,
    fingerprint: &str,
) -> Result<(), DbErr> {
    let row = target::ActiveModel {
        id: Set(id.to_owned()),
        fingerprint: Set(fingerprint.to_owned()),
        paused_reason: Set(None),
        paused_until: Set(None),
        pauses: Set(0),
        last_success: Set(None),
        kind: Set(Some(kind.to_owned())),
        certificate_ends: Set(None),
        unanswered: Set(0),
    };
    target::Entity::insert(row)
        .on_conflict(
            OnConflict::column(target::Column::Id)
                .update_columns([
                    target::Column::Fingerprint,
                    target::Column::PausedReason,
                    target::Column::PausedUntil,
                    target::Column::Pauses,
                    target::Column::Unanswered,
                    target::Column::Kind,
                ])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}
