//! Due rows of the jobs, and what became of each run.
//!
//! A job is claimed by its lease. Its row stays due until the run has ended, so that another node takes it up where
//! the first one died.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entity::{run, schedule};
use super::{Store, bell, due, storable};

/// The reading of terminals.
pub const POLL: &str = "poll";
/// The assessment of days.
pub const PROCESS: &str = "process";
/// The delivery.
pub const SYNC: &str = "sync";
/// The clean-up.
pub const CLEAN_UP: &str = "clean_up";

/// Runs that are remembered.
const MOST_RUNS: i64 = 5_000;

/// A run that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    id: i64,
    /// How often work was called for by then.
    wakes: i64,
}

/// What becomes of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Another cron text.
    pub cron: Option<String>,
    /// Switched on or off.
    pub enabled: Option<bool>,
}

impl Store {
    /// Makes a schedule as a configuration wants it. One that exists is changed only if that configuration says
    /// something else than the last one did: what a person set at run time stays. Returns whether it was changed.
    pub async fn install_schedule(
        &self,
        name: &str,
        cron: &str,
        zone: &str,
        next_due: i64,
    ) -> Result<bool, DbErr> {
        let configured = format!("{cron} {zone}");
        let tx = self.begin().await?;
        let found = schedule::Entity::find_by_id(name).one(&tx).await?;
        let row = schedule::ActiveModel {
            name: Set(name.to_owned()),
            cron: Set(cron.to_owned()),
            zone: Set(zone.to_owned()),
            enabled: Set(true),
            next_due: Set(next_due),
            configured: Set(configured.clone()),
            wakes: Set(0),
        };
        match found {
            Some(row) if row.configured == configured => return Ok(false),
            Some(known) => {
                let row = schedule::ActiveModel {
                    enabled: NotSet,
                    wakes: Set(known.wakes + 1),
                    ..row
                };
                row.update(&tx).await?;
            }
            None => {
                schedule::Entity::insert(row)
                    .exec_without_returning(&tx)
                    .await?;
            }
        }
        bell::ring(&tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Changes a schedule at run time; `None` if there is none of that name.
    pub async fn change_schedule(
        &self,
        name: &str,
        change: Change,
        next_due: impl FnOnce(&schedule::Model) -> i64,
    ) -> Result<Option<schedule::Model>, DbErr> {
        let tx = self.begin().await?;
        let Some(mut row) = schedule::Entity::find_by_id(name).one(&tx).await? else {
            return Ok(None);
        };
        row.cron = change.cron.unwrap_or(row.cron);
        row.enabled = change.enabled.unwrap_or(row.enabled);
        row.next_due = next_due(&row);
        row.wakes += 1;
        let changed: schedule::ActiveModel = row.clone().into();
        changed.reset_all().update(&tx).await?;
        bell::ring(&tx).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// All schedules.
    pub async fn schedules(&self) -> Result<Vec<schedule::Model>, DbErr> {
        schedule::Entity::find()
            .order_by_asc(schedule::Column::Name)
            .all(self.reader())
            .await
    }

    /// Makes the terminals due, and moves the schedule on that says so; `true` for the one node that did.
    pub async fn call_for_polls(&self, found_due: i64, next: i64, now: i64) -> Result<bool, DbErr> {
        let tx = self.begin_beside().await?;
        if !move_on(&tx, POLL, found_due, next).await? {
            return Ok(false);
        }
        due::fire(&tx, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Makes the targets due, and moves the schedule on that says so; `true` for the one node that did.
    pub async fn call_for_deliveries(
        &self,
        targets: &[&str],
        found_due: i64,
        next: i64,
        now: i64,
    ) -> Result<bool, DbErr> {
        let tx = self.begin_beside().await?;
        if !move_on(&tx, SYNC, found_due, next).await? {
            return Ok(false);
        }
        for target in targets {
            due::call_for_target(&tx, target, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Notes the beginning of a run.
    pub async fn begin_run(&self, job: &str, node: &str, now: i64) -> Result<Begun, DbErr> {
        let tx = self.begin_beside().await?;
        let known = schedule::Entity::find_by_id(job).one(&tx).await?;
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
        forget_old_runs(&tx, row.id).await?;
        tx.commit().await?;
        Ok(Begun {
            id: row.id,
            wakes: known.map_or(0, |row| row.wakes),
        })
    }

    /// Notes the end of a run, and when its job is due again, if that follows from it, unless work was called for
    /// meanwhile.
    pub async fn end_run(
        &self,
        begun: Begun,
        outcome: &str,
        report: String,
        next_due: Option<i64>,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        let row = run::ActiveModel {
            id: Set(begun.id),
            ended_at: Set(Some(now)),
            outcome: Set(Some(outcome.to_owned())),
            report: Set(Some(storable(&report).into_owned())),
            ..Default::default()
        };
        let row = row.update(&tx).await?;
        if let Some(next_due) = next_due {
            schedule::Entity::update_many()
                .col_expr(schedule::Column::NextDue, Expr::value(next_due))
                .filter(schedule::Column::Name.eq(row.job))
                .filter(schedule::Column::Wakes.eq(begun.wakes))
                .exec(&tx)
                .await?;
        }
        tx.commit().await
    }

    /// Forgets a run that did not come about.
    pub async fn forget_run(&self, begun: Begun) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        run::Entity::delete_by_id(begun.id).exec(&tx).await?;
        tx.commit().await
    }

    /// Notes a run that is over.
    pub async fn note_run(&self, run: run::ActiveModel) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        let row = run.insert(&tx).await?;
        forget_old_runs(&tx, row.id).await?;
        tx.commit().await
    }

    /// The latest runs, newest first.
    pub async fn runs(&self, limit: u64) -> Result<Vec<run::Model>, DbErr> {
        self.runs_of(None, limit).await
    }

    /// The latest runs of one job, or of all, newest first.
    pub async fn runs_of(&self, job: Option<&str>, limit: u64) -> Result<Vec<run::Model>, DbErr> {
        let mut query = run::Entity::find();
        if let Some(job) = job {
            query = query.filter(run::Column::Job.eq(job));
        }
        query
            .order_by_desc(run::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await
    }
}

/// Moves a due row on; `true` for the one node that did.
async fn move_on(
    db: &impl ConnectionTrait,
    name: &str,
    found_due: i64,
    next: i64,
) -> Result<bool, DbErr> {
    let moved = schedule::Entity::update_many()
        .col_expr(schedule::Column::NextDue, Expr::value(next))
        .filter(schedule::Column::Name.eq(name))
        .filter(schedule::Column::NextDue.eq(found_due))
        .exec(db)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// Calls for a job: it is due as of now, on whichever node looks first.
pub async fn wake(db: &impl ConnectionTrait, job: &str, now: i64) -> Result<(), DbErr> {
    let sooner = Expr::case(schedule::Column::NextDue.gt(now), now)
        .finally(Expr::col(schedule::Column::NextDue));
    schedule::Entity::update_many()
        .col_expr(schedule::Column::NextDue, sooner.into())
        .col_expr(
            schedule::Column::Wakes,
            Expr::col(schedule::Column::Wakes).add(1),
        )
        .filter(schedule::Column::Name.eq(job))
        .exec(db)
        .await?;
    bell::ring(db).await
}

/// The history is for looking at, not for ever.
async fn forget_old_runs(db: &impl ConnectionTrait, newest: i64) -> Result<(), DbErr> {
    run::Entity::delete_many()
        .filter(run::Column::Id.lt(newest - MOST_RUNS))
        .exec(db)
        .await?;
    Ok(())
}
