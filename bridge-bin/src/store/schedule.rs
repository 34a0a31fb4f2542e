//! Due rows of the jobs, and what became of each run.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::Store;
use super::entity::{run, schedule};

/// Runs that are remembered.
const MOST_RUNS: i64 = 5_000;

impl Store {
    /// Makes or changes a schedule. The next due time moves only when the cron text or the zone changed.
    pub async fn set_schedule(
        &self,
        name: &str,
        cron: &str,
        zone: &str,
        next_due: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let found = schedule::Entity::find_by_id(name).one(&tx).await?;
        if found.is_some_and(|row| row.cron == cron && row.zone == zone) {
            return Ok(());
        }
        let row = schedule::ActiveModel {
            name: Set(name.to_owned()),
            cron: Set(cron.to_owned()),
            zone: Set(zone.to_owned()),
            enabled: Set(true),
            next_due: Set(next_due),
        };
        schedule::Entity::insert(row)
            .on_conflict(
                OnConflict::column(schedule::Column::Name)
                    .update_columns([
                        schedule::Column::Cron,
                        schedule::Column::Zone,
                        schedule::Column::NextDue,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// All schedules.
    pub async fn schedules(&self) -> Result<Vec<schedule::Model>, DbErr> {
        schedule::Entity::find()
            .order_by_asc(schedule::Column::Name)
            .all(self.reader())
            .await
    }

    /// Moves a due row on; `true` for the one node that did (compare and set).
    pub async fn advance(&self, name: &str, due: i64, next: i64) -> Result<bool, DbErr> {
        let tx = self.begin().await?;
        let moved = schedule::Entity::update_many()
            .col_expr(schedule::Column::NextDue, Expr::value(next))
            .filter(schedule::Column::Name.eq(name))
            .filter(schedule::Column::NextDue.eq(due))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(moved.rows_affected == 1)
    }

    /// Notes the beginning of a run.
    pub async fn begin_run(&self, job: &str, node: &str, now: i64) -> Result<i64, DbErr> {
        let tx = self.begin().await?;
        let row = run::ActiveModel {
            id: NotSet,
            job: Set(job.to_owned()),
            node: Set(node.to_owned()),
            started_at: Set(now),
            ended_at: Set(None),
            outcome: Set(None),
            report: Set(None),
        };
        let row = row.insert(&tx).await?;
        // The history is for looking at, not for ever.
        run::Entity::delete_many()
            .filter(run::Column::Id.lt(row.id - MOST_RUNS))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(row.id)
    }

    /// Notes the end of a run.
    pub async fn end_run(
        &self,
        id: i64,
        outcome: &str,
        report: String,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        run::ActiveModel {
            id: Set(id),
            ended_at: Set(Some(now)),
            outcome: Set(Some(outcome.to_owned())),
            report: Set(Some(report)),
            ..Default::default()
        }
        .update(&tx)
        .await?;
        tx.commit().await
    }

    /// The latest runs, newest first.
    pub async fn runs(&self, limit: u64) -> Result<Vec<run::Model>, DbErr> {
        run::Entity::find()
            .order_by_desc(run::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await
    }
}
