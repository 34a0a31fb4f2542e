//! What the watermark is made of.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use super::Store;
use super::entity::{daily_record, dirty_day};

impl Store {
    /// Until when whatever was known has been assessed; none: nothing waits.
    pub async fn unassessed_since(&self, as_of: i64) -> Result<Option<i64>, DbErr> {
        let settled = daily_record::Entity::find()
            .select_only()
            .column_as(daily_record::Column::SettlesAt.min(), "first")
            .filter(daily_record::Column::SettlesAt.lte(as_of))
            .into_tuple::<Option<i64>>()
            .one(self.reader())
            .await?
            .flatten();
        let touched = dirty_day::Entity::find()
            .select_only()
            .expr_as(Expr::value(1), "found")
            .limit(1)
            .into_tuple::<i32>()
            .one(self.reader())
            .await?;
        let assessed = self.meta("assessed_until").await?;
        let assessed = assessed.and_then(|text| text.parse().ok()).unwrap_or(0);
        let touched = touched.map(|_| assessed);
        Ok(touched.into_iter().chain(settled).min())
    }
}
