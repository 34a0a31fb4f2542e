//! What the pages read beyond what the stations themselves ask for.

use std::collections::HashMap;

use chrono::NaiveDate;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter};

use super::Store;
use super::entity::{cursor, daily_record, dirty_day, employee, outbox};

impl Store {
    /// The people with a record or a delivery on a date, by id.
    pub async fn people_on(
        &self,
        date: NaiveDate,
    ) -> Result<HashMap<String, employee::Model>, DbErr> {
        let with_records = Query::select()
            .column(daily_record::Column::Employee)
            .from(daily_record::Entity)
            .and_where(daily_record::Column::Date.eq(date.to_string()))
            .take();
        let with_deliveries = Query::select()
            .column(outbox::Column::Employee)
            .from(outbox::Entity)
            .and_where(outbox::Column::Date.eq(date.to_string()))
            .take();
        let people = employee::Entity::find()
            .filter(
                Condition::any()
                    .add(employee::Column::Id.in_subquery(with_records))
                    .add(employee::Column::Id.in_subquery(with_deliveries)),
            )
            .all(self.reader())
            .await?;
        Ok(people
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect())
    }

    /// How many people's days of a date wait to be assessed.
    pub async fn unassessed_on(&self, date: NaiveDate) -> Result<u64, DbErr> {
        dirty_day::Entity::find()
            .filter(dirty_day::Column::Date.eq(date.to_string()))
            .count(self.reader())
            .await
    }

    /// How far the logs were read, by device.
    pub async fn cursors(&self) -> Result<HashMap<i64, cursor::Model>, DbErr> {
        let rows = cursor::Entity::find().all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| (row.device_id, row)).collect())
    }
}
