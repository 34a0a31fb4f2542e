//! What the watermark is made of.

use chrono::NaiveDate;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use super::Store;
use super::entity::{daily_record, dirty_day, outbox};
use super::outbox::state;

/// How far days have been assessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessed {
    /// There is something to assess, and it never began.
    Never,
    /// This work date is the first with something left to assess.
    Before(NaiveDate),
    /// Nothing is left.
    Wholly,
}

impl Store {
    /// How far days have been assessed, as of an instant and its date at the site.
    pub async fn assessed(&self, as_of: i64, today: NaiveDate) -> Result<Assessed, DbErr> {
        let touched = dirty_day::Entity::find()
            .select_only()
            .column_as(dirty_day::Column::Date.min(), "first")
            .into_tuple::<Option<String>>()
            .one(self.reader())
            .await?;
        let settled = daily_record::Entity::find()
            .select_only()
            .column_as(daily_record::Column::Date.min(), "first")
            .filter(daily_record::Column::SettlesAt.lte(as_of))
            .into_tuple::<Option<String>>()
            .one(self.reader())
            .await?;
        let left = [touched, settled].into_iter().flatten().flatten();
        let left = left.filter_map(|date| date.parse::<NaiveDate>().ok()).min();
        // Up to here each person who was expected has a record.
        let rows_until: Option<NaiveDate> = self
            .meta("rows_until")
            .await?
            .and_then(|date| date.parse().ok());
        Ok(match (rows_until, left) {
            (None, Some(_)) => Assessed::Never,
            (Some(until), left) if until < today => {
                let next = until.succ_opt().unwrap_or(until);
                Assessed::Before(left.map_or(next, |left| left.min(next)))
            }
            (_, Some(left)) => Assessed::Before(left),
            (_, None) => Assessed::Wholly,
        })
    }

    /// The first work date of which a target lacks an entry: one that waits, or that it refused.
    pub async fn first_undelivered(&self, target: &str) -> Result<Option<NaiveDate>, DbErr> {
        let first = outbox::Entity::find()
            .select_only()
            .column_as(outbox::Column::Date.min(), "first")
            .filter(outbox::Column::Target.eq(target))
            .filter(outbox::Column::State.is_in([state::PENDING, state::REJECTED]))
            .into_tuple::<Option<String>>()
            .one(self.reader())
            .await?;
        Ok(first.flatten().and_then(|date| date.parse().ok()))
    }
}
