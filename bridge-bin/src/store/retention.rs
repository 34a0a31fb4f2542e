//! What is thrown away, and the floor below which nothing comes back (B11).

use chrono::{Days, NaiveDate};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use super::entity::{
    alarm, daily_record, device, dirty_day, entry, meta, notice, outbox, punch, run,
};
use super::outbox::state;
use super::{Store, Told};

/// Punches are kept for so many days before the first day that is still open: what an assessment of that day and its
/// neighbours looks back to.
pub const MARGIN_DAYS: u64 = 14;

/// Rows of one transaction.
const PORTION: u64 = 10_000;

const FLOOR: &str = "retention_floor";

/// The first day that is still open; days before it are never assessed again. None until something was thrown away.
pub async fn floor(db: &impl ConnectionTrait) -> Result<Option<NaiveDate>, DbErr> {
    let row = meta::Entity::find_by_id(FLOOR).one(db).await?;
    Ok(row.and_then(|row| row.value.parse().ok()))
}

/// The first date whose punches are kept.
pub fn first_kept(floor: NaiveDate) -> NaiveDate {
    floor
        .checked_sub_days(Days::new(MARGIN_DAYS))
        .unwrap_or(floor)
}

/// Something that keeps days open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The first day it needs.
    pub date: NaiveDate,
    /// What it is, in words.
    pub what: String,
}

impl Store {
    /// The first day that is still open.
    pub async fn retention_floor(&self) -> Result<Option<NaiveDate>, DbErr> {
        floor(self.reader()).await
    }

    /// What keeps days open: unsettled or unassessed days, records not delivered to one of `targets`, and
    /// terminals that were not read. What waits for a target that is configured no more holds nothing. `date_of` tells
    /// the site's date of an instant.
    pub async fn open_days(
        &self,
        targets: &[&str],
        date_of: impl Fn(i64) -> NaiveDate,
    ) -> Result<Vec<Holder>, DbErr> {
        let db = self.reader();
        let mut holders = Vec::new();
        let mut hold = |date: Option<String>, what: &str| {
            holders.extend(date.and_then(|date| date.parse().ok()).map(|date| Holder {
                date,
                what: what.to_owned(),
            }));
        };
        let unsettled = daily_record::Entity::find()
            .select_only()
            .column_as(daily_record::Column::Date.min(), "first")
            .filter(daily_record::Column::IsFinal.eq(false));
        let first = unsettled.into_tuple::<Option<String>>().one(db).await?;
        hold(first.flatten(), "days that are not settled");
        let touched = dirty_day::Entity::find()
            .select_only()
            .column_as(dirty_day::Column::Date.min(), "first");
        let first = touched.into_tuple::<Option<String>>().one(db).await?;
        hold(first.flatten(), "days that wait to be assessed");
        for (state, what) in [
            (state::PENDING, "records that were not delivered to"),
            (
                state::REJECTED,
                "records that were refused, and so not delivered to",
            ),
        ] {
            for target in targets {
                let unsent = outbox::Entity::find()
                    .select_only()
                    .column_as(outbox::Column::Date.min(), "first")
                    .filter(outbox::Column::Target.eq(*target))
                    .filter(outbox::Column::State.eq(state));
                let first = unsent.into_tuple::<Option<String>>().one(db).await?;
                let remedy = match state {
                    state::REJECTED => " (see `zk-bridge crm dead-letters`)",
                    _ => "",
                };
                hold(first.flatten(), &format!("{what} {target}{remedy}"));
            }
        }
        let devices = device::Entity::find()
            .filter(device::Column::Enabled.eq(true))
            .order_by_asc(device::Column::CompleteUntil)
            .all(db)
            .await?;
        for row in devices {
            // Its punches of the last days before the reading may belong to a shift that began earlier.
            let date = row
                .complete_until
                .and_then(|until| date_of(until).checked_sub_days(Days::new(3)));
            holders.push(Holder {
                date: date.unwrap_or(NaiveDate::MIN),
                what: match row.complete_until {
                    Some(_) => format!("the terminal {}, which was not read since", row.name),
                    None => format!("the terminal {}, which was never read", row.name),
                },
            });
        }
        Ok(holders)
    }

    /// Remembers the first day that is still open; it never goes back.
    pub async fn raise_floor(&self, to: NaiveDate) -> Result<NaiveDate, DbErr> {
        let tx = self.begin().await?;
        let raised = floor(&tx).await?.map_or(to, |known| Ord::max(known, to));
        super::set_meta(&tx, FLOOR, &raised.to_string()).await?;
        tx.commit().await?;
        Ok(raised)
    }

    /// Throws away the punches of the dates from `plausible_from` to before `until`, or only counts them. What tells
    /// an implausible time stays: its day is not known.
    pub async fn purge_punches(
        &self,
        plausible_from: NaiveDate,
        until: NaiveDate,
        dry_run: bool,
    ) -> Result<u64, DbErr> {
        let old = punch::Entity::find()
            .filter(punch::Column::Told.gte(Told::start_of(plausible_from).to_i64()))
            .filter(punch::Column::Told.lt(Told::start_of(until).to_i64()));
        self.purge(old, punch::Column::Id, dry_run).await
    }

    /// Throws away revisions that were settled before `before` and have a successor.
    pub async fn purge_deliveries(&self, before: i64, dry_run: bool) -> Result<u64, DbErr> {
        let is_latest = Query::select()
            .expr(Expr::value(1))
            .from(entry::Entity)
            .and_where(
                Expr::col((entry::Entity, entry::Column::Target))
                    .equals((outbox::Entity, outbox::Column::Target)),
            )
            .and_where(
                Expr::col((entry::Entity, entry::Column::EntryId))
                    .equals((outbox::Entity, outbox::Column::EntryId)),
            )
            .and_where(
                Expr::col((entry::Entity, entry::Column::Revision))
                    .equals((outbox::Entity, outbox::Column::Revision)),
            )
            .take();
        let old = outbox::Entity::find()
            .filter(outbox::Column::State.is_in([state::SENT, state::SUPERSEDED]))
            .filter(outbox::Column::SettledAt.lt(before))
            .filter(Expr::exists(is_latest).not());
        self.purge(old, outbox::Column::Id, dry_run).await
    }

    /// Throws away the history of jobs, alarms and notices before `before`.
    pub async fn purge_history(&self, before: i64, dry_run: bool) -> Result<u64, DbErr> {
        let runs = run::Entity::find()
            .filter(run::Column::StartedAt.lt(before))
            .filter(run::Column::EndedAt.is_not_null());
        let notices = notice::Entity::find().filter(notice::Column::CreatedAt.lt(before));
        let alarms = alarm::Entity::find().filter(alarm::Column::ClosedAt.lt(before));
        Ok(self.purge(runs, run::Column::Id, dry_run).await?
            + self.purge(notices, notice::Column::Id, dry_run).await?
            + self.purge(alarms, alarm::Column::Name, dry_run).await?)
    }

    /// In portions, so that nobody waits long for the right to write.
    async fn purge<E, C>(&self, old: Select<E>, key: C, dry_run: bool) -> Result<u64, DbErr>
    where
        E: EntityTrait<Column = C>,
        E::Model: Sync + Send,
        C: ColumnTrait,
    {
        if dry_run {
            return old.count(self.reader()).await;
        }
        let mut removed = 0;
        loop {
            let portion = old
                .clone()
                .select_only()
                .column(key)
                .limit(PORTION)
                .into_query();
            let tx = self.begin().await?;
            let gone = E::delete_many()
                .filter(key.in_subquery(portion))
                .exec(&tx)
                .await?
                .rows_affected;
            tx.commit().await?;
            removed += gone;
            if gone < PORTION {
                return Ok(removed);
            }
        }
    }
}
