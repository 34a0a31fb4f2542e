//! Alarms, open and over, and notices: what somebody is to be told.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{alarm, notice};
use super::{Store, Transaction, storable};

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// By e-mail.
    Mail,
    /// By webhook.
    Post,
}

impl Channel {
    const fn column(self) -> alarm::Column {
        match self {
            Self::Mail => alarm::Column::MailedAt,
            Self::Post => alarm::Column::PostedAt,
        }
    }
}

impl Store {
    /// All alarms that are open, oldest first.
    pub async fn open_alarms(&self) -> Result<Vec<alarm::Model>, DbErr> {
        alarm::Entity::find()
            .filter(alarm::Column::ClosedAt.is_null())
            .order_by_asc(alarm::Column::OpenedAt)
            .order_by_asc(alarm::Column::Name)
            .all(self.reader())
            .await
    }

    /// Opens an alarm, or opens it again.
    pub async fn open_alarm(
        &self,
        kind: &str,
        subject: &str,
        detail: &str,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let row = alarm::ActiveModel {
            name: Set(format!("{kind}:{subject}")),
            kind: Set(kind.to_owned()),
            subject: Set(subject.to_owned()),
            detail: Set(storable(detail).into_owned()),
            opened_at: Set(now),
            closed_at: Set(None),
            mailed_at: Set(None),
            posted_at: Set(None),
        };
        alarm::Entity::insert(row)
            .on_conflict(
                OnConflict::column(alarm::Column::Name)
                    .update_columns([
                        alarm::Column::Detail,
                        alarm::Column::OpenedAt,
                        alarm::Column::ClosedAt,
                        alarm::Column::MailedAt,
                        alarm::Column::PostedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// Closes an alarm. Its end is told only where its beginning was.
    pub async fn close_alarm(&self, alarm: &alarm::Model, now: i64) -> Result<(), DbErr> {
        let told = |at: Option<i64>| if at.is_some() { None } else { Some(now) };
        let tx = self.begin().await?;
        alarm::Entity::update_many()
            .col_expr(alarm::Column::ClosedAt, Expr::value(Some(now)))
            .col_expr(alarm::Column::MailedAt, Expr::value(told(alarm.mailed_at)))
            .col_expr(alarm::Column::PostedAt, Expr::value(told(alarm.posted_at)))
            .filter(alarm::Column::Name.eq(&alarm.name))
            .exec(&tx)
            .await?;
        tx.commit().await
    }

    /// Alarms whose beginning or end was not told yet.
    pub async fn untold_alarms(&self, by: Channel) -> Result<Vec<alarm::Model>, DbErr> {
        alarm::Entity::find()
            .filter(by.column().is_null())
            .order_by_asc(alarm::Column::OpenedAt)
            .order_by_asc(alarm::Column::Name)
            .all(self.reader())
            .await
    }

    /// Notes that alarms were told as they are in `told`; what changed meanwhile is told again.
    pub async fn note_told(
        &self,
        by: Channel,
        told: &[alarm::Model],
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        for row in told {
            let mut same = Condition::all()
                .add(alarm::Column::Name.eq(&row.name))
                .add(alarm::Column::OpenedAt.eq(row.opened_at));
            same = match row.closed_at {
                Some(at) => same.add(alarm::Column::ClosedAt.eq(at)),
                None => same.add(alarm::Column::ClosedAt.is_null()),
            };
            alarm::Entity::update_many()
                .col_expr(by.column(), Expr::value(Some(now)))
                .filter(same)
                .exec(&tx)
                .await?;
        }
        tx.commit().await
    }

    /// Notices that no mail told yet, oldest first.
    pub async fn untold_notices(&self, limit: u64) -> Result<Vec<notice::Model>, DbErr> {
        notice::Entity::find()
            .filter(notice::Column::MailedAt.is_null())
            .order_by_asc(notice::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await
    }

    /// How many notices no mail told yet, and the last of them.
    pub async fn count_untold_notices(&self) -> Result<Untold, DbErr> {
        let found: Option<(i64, Option<i64>)> = notice::Entity::find()
            .select_only()
            .column_as(notice::Column::Id.count(), "count")
            .column_as(notice::Column::Id.max(), "last")
            .filter(notice::Column::MailedAt.is_null())
            .into_tuple()
            .one(self.reader())
            .await?;
        let (count, last) = found.unwrap_or_default();
        Ok(Untold {
            count: u64::try_from(count).unwrap_or(0),
            last,
        })
    }

    /// Notes that all notices up to this one were told.
    pub async fn note_notices_told(&self, up_to: i64, now: i64) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        notice::Entity::update_many()
            .col_expr(notice::Column::MailedAt, Expr::value(Some(now)))
            .filter(notice::Column::Id.lte(up_to))
            .filter(notice::Column::MailedAt.is_null())
            .exec(&tx)
            .await?;
        tx.commit().await
    }
}

/// Notices that no mail told yet.
#[derive(Debug, Clone, Copy)]
pub struct Untold {
    /// How many.
    pub count: u64,
    /// The last of them.
    pub last: Option<i64>,
}

/// A notice to be told once.
#[derive(Debug, Clone)]
pub struct NewNotice {
    /// The same name is never told twice.
    pub name: String,
    /// Whom it concerns.
    pub employee: String,
    /// Work date.
    pub date: String,
    /// In words.
    pub detail: String,
}

/// Makes notices that were not made before, in the transaction that gives rise to them.
pub async fn make_notices(
    tx: &Transaction,
    notices: Vec<NewNotice>,
    now: i64,
) -> Result<(), DbErr> {
    let rows: Vec<notice::ActiveModel> = notices
        .into_iter()
        .map(|new| notice::ActiveModel {
            id: NotSet,
            name: Set(new.name),
            employee: Set(new.employee),
            date: Set(new.date),
            detail: Set(new.detail),
            created_at: Set(now),
            mailed_at: Set(None),
        })
        .collect();
    for chunk in rows.chunks(1_000) {
        notice::Entity::insert_many(chunk.to_vec())
            .on_conflict(
                OnConflict::column(notice::Column::Name)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
    }
    Ok(())
}
