//! What the watermark is made of.

use chrono::NaiveDate;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use super::Store;
use super::entity::{daily_record, dirty_day, outbox};
use super::outbox::state;

/// What is left to assess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unassessed {
    /// Whether anything was ever assessed.
    pub has_begun: bool,
    /// The first work date that was touched since, or has no rows yet.
    pub date: Option<NaiveDate>,
    /// The first instant at which time alone settled a record, in Unix seconds: it is right as of any moment before.
    pub instant: Option<i64>,
}

impl Store {
    /// What is left to assess, as of an instant and its date at the site.
    pub async fn unassessed(&self, as_of: i64, today: NaiveDate) -> Result<Unassessed, DbErr> {
        let touched = dirty_day::Entity::find()
            .select_only()
            .column_as(dirty_day::Column::Date.min(), "first")
            .into_tuple::<Option<String>>()
            .one(self.reader())
            .await?;
        let settled = daily_record::Entity::find()
            .select_only()
            .column_as(daily_record::Column::SettlesAt.min(), "first")
            .filter(daily_record::Column::SettlesAt.lte(as_of))
            .into_tuple::<Option<i64>>()
            .one(self.reader())
            .await?;
        let date = |text: String| text.parse::<NaiveDate>().ok();
        // Up to here each person who was expected has a record.
        let rows_until = self.meta("rows_until").await?.and_then(date);
        let without_rows = rows_until
            .filter(|until| *until < today)
            .and_then(|until| until.succ_opt());
        let touched = touched.flatten().and_then(date);
        Ok(Unassessed {
            has_begun: rows_until.is_some(),
            date: touched.into_iter().chain(without_rows).min(),
            instant: settled.flatten(),
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
