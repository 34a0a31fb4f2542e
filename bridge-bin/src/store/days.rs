//! From punches to daily records: the work list, what an assessment needs, and what it changes.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};

use super::entity::{
    correction, daily_record, device, device_group, dirty_day, employee, entry, holiday, identity,
    punch, roster_assignment, roster_override, shift_template,
};
use super::leases::{self, Lease};
use super::people::{self, Identities};
use super::{Store, Told, Transaction, schedule, storable};

/// Days of one employee that want assessing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Whose days.
    pub employee: String,
    /// Dates with the mark they had when this list was made; 0 for days that time alone touched.
    pub days: BTreeMap<NaiveDate, i64>,
}

/// All that the rules need to know of one employee for a stretch of dates.
#[derive(Debug)]
pub struct Dossier {
    /// The person; `None` if nobody of that id was ever heard of.
    pub employee: Option<employee::Model>,
    /// All devices, for zones and names.
    pub devices: Vec<device::Model>,
    /// (device id, user id) pairs that stand for this employee.
    pub identities: BTreeSet<(i64, String)>,
    /// Punches of the stretch, in the order of told time.
    pub punches: Vec<punch::Model>,
    /// Corrections that concern this employee, oldest first.
    pub corrections: Vec<correction::Model>,
    /// All templates.
    pub templates: Vec<shift_template::Model>,
    /// The employee's assignments, oldest first.
    pub assignments: Vec<roster_assignment::Model>,
    /// The employee's overrides.
    pub overrides: Vec<roster_override::Model>,
    /// Holidays for everybody, and the employee's own.
    pub holidays: Vec<holiday::Model>,
}

impl Store {
    /// Makes the days up to `today` due for everybody who is active, also without punches (P7).
    pub async fn extend_rows(&self, today: NaiveDate) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let from = people::rows_until(&tx).await?;
        if from.is_some_and(|until| until >= today) {
            return Ok(());
        }
        for row in employee::Entity::find().all(&tx).await? {
            let Some(since) = row
                .active_from
                .as_deref()
                .and_then(|text| text.parse::<NaiveDate>().ok())
            else {
                continue;
            };
            let until = row
                .active_to
                .as_deref()
                .and_then(|text| text.parse().ok())
                .unwrap_or(today)
                .min(today);
            // Before the first run nothing was made yet; afterwards only what is new.
            let first = from
                .and_then(|done| done.checked_add_days(Days::new(1)))
                .map_or(since, |next| next.max(since));
            let dates = first
                .iter_days()
                .take_while(|date| *date <= until)
                .take(36_600);
            people::mark_dirty(&tx, &row.id, dates).await?;
        }
        super::set_meta(&tx, "rows_until", &today.to_string()).await?;
        tx.commit().await
    }

    /// The next `limit` employees behind `after` with days to assess: those touched, and those that time has
    /// settled by `as_of`.
    pub async fn work_list(&self, as_of: i64, after: &str, limit: u64) -> Result<Vec<Work>, DbErr> {
        let mut next: BTreeSet<String> = dirty_day::Entity::find()
            .select_only()
            .column(dirty_day::Column::Employee)
            .distinct()
            .filter(dirty_day::Column::Employee.gt(after))
            .order_by_asc(dirty_day::Column::Employee)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await?
            .into_iter()
            .collect();
        // Asked for in the order of employees, SQLite would go through all records instead of those few.
        let settled: Vec<String> = daily_record::Entity::find()
            .select_only()
            .column(daily_record::Column::Employee)
            .filter(daily_record::Column::SettlesAt.lte(as_of))
            .into_tuple()
            .all(self.reader())
            .await?;
        next.extend(settled.into_iter().filter(|id| id.as_str() > after));
        let mut work = Vec::new();
        for employee in next
            .into_iter()
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
        {
            let mut days: BTreeMap<NaiveDate, i64> = BTreeMap::new();
            let touched = dirty_day::Entity::find()
                .filter(dirty_day::Column::Employee.eq(&employee))
                .all(self.reader())
                .await?;
            days.extend(
                touched
                    .iter()
                    .filter_map(|row| Some((row.date.parse().ok()?, row.mark))),
            );
            let settled: Vec<String> = daily_record::Entity::find()
                .select_only()
                .column(daily_record::Column::Date)
                .filter(daily_record::Column::Employee.eq(&employee))
                .filter(daily_record::Column::SettlesAt.lte(as_of))
                .into_tuple()
                .all(self.reader())
                .await?;
            for date in settled.iter().filter_map(|date| date.parse().ok()) {
                days.entry(date).or_insert(0);
            }
            work.push(Work { employee, days });
        }
        Ok(work)
    }

    /// Reads what is needed to assess one employee's punches told from `from` to `to`, both included.
    pub async fn dossier(
        &self,
        employee: &str,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Dossier, DbErr> {
        let db = self.reader();
        let devices = device::Entity::find()
            .order_by_asc(device::Column::Id)
            .all(db)
            .await?;
        let identities = pairs(db, employee, &devices).await?;
        let until = to.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
        let mut punches = Vec::new();
        let mut by_user: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (device, user) in &identities {
            by_user.entry(user).or_default().push(*device);
        }
        for (user, ids) in by_user {
            punches.extend(
                punch::Entity::find()
                    .filter(punch::Column::DeviceId.is_in(ids))
                    .filter(punch::Column::UserId.eq(user))
                    .filter(punch::Column::Told.gte(Told::start_of(from).to_i64()))
                    .filter(punch::Column::Told.lt(Told::start_of(until).to_i64()))
                    .order_by_asc(punch::Column::Told)
                    .all(db)
                    .await?,
            );
        }
        let person = employee::Entity::find_by_id(employee).one(db).await?;
        Ok(Dossier {
            employee: person,
            corrections: corrections(db, employee, &punches).await?,
            templates: shift_template::Entity::find()
                .order_by_asc(shift_template::Column::Id)
                .all(db)
                .await?,
            assignments: roster_assignment::Entity::find()
                .filter(roster_assignment::Column::Employee.eq(employee))
                .order_by_asc(roster_assignment::Column::Id)
                .all(db)
                .await?,
            overrides: roster_override::Entity::find()
                .filter(roster_override::Column::Employee.eq(employee))
                .all(db)
                .await?,
            holidays: holiday::Entity::find()
                .filter(
                    Condition::any()
                        .add(holiday::Column::Employee.is_null())
                        .add(holiday::Column::Employee.eq(employee)),
                )
                .all(db)
                .await?,
            devices,
            identities,
            punches,
        })
    }

    /// One person's records.
    pub async fn records_of(&self, employee: &str) -> Result<Vec<daily_record::Model>, DbErr> {
        daily_record::Entity::find()
            .filter(daily_record::Column::Employee.eq(employee))
            .order_by_asc(daily_record::Column::Date)
            .all(self.reader())
            .await
    }

    /// The dates on which one person has records, or a target was told of entries.
    pub async fn dates_of(
        &self,
        employee: &str,
        target: &str,
    ) -> Result<BTreeSet<NaiveDate>, DbErr> {
        let recorded: Vec<String> = daily_record::Entity::find()
            .select_only()
            .column(daily_record::Column::Date)
            .filter(daily_record::Column::Employee.eq(employee))
            .into_tuple()
            .all(self.reader())
            .await?;
        let told: Vec<String> = entry::Entity::find()
            .select_only()
            .column(entry::Column::Date)
            .distinct()
            .filter(entry::Column::Target.eq(target))
            .filter(entry::Column::Employee.eq(employee))
            .into_tuple()
            .all(self.reader())
            .await?;
        let dates = recorded.iter().chain(&told);
        Ok(dates.filter_map(|date| date.parse().ok()).collect())
    }

    /// Whether a date is everybody's holiday.
    pub async fn is_holiday(&self, date: NaiveDate) -> Result<bool, DbErr> {
        let found = holiday::Entity::find()
            .filter(holiday::Column::Date.eq(date.to_string()))
            .filter(holiday::Column::Employee.is_null())
            .one(self.reader())
            .await?;
        Ok(found.is_some())
    }

    /// The records of a date, with everybody's, by employee and start.
    pub async fn records_on(&self, date: NaiveDate) -> Result<Vec<daily_record::Model>, DbErr> {
        daily_record::Entity::find()
            .filter(daily_record::Column::Date.eq(date.to_string()))
            .order_by_asc(daily_record::Column::Employee)
            .order_by_asc(daily_record::Column::Ordinal)
            .all(self.reader())
            .await
    }

    /// Marks every day of a stretch that has records or punches as to be assessed again.
    pub async fn touch_range(&self, from: NaiveDate, to: NaiveDate) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        for row in employee::Entity::find().all(&tx).await? {
            let since = row
                .active_from
                .as_deref()
                .and_then(|text| text.parse().ok())
                .unwrap_or(from)
                .max(from);
            people::mark_dirty(
                &tx,
                &row.id,
                since
                    .iter_days()
                    .take_while(|date| *date <= to)
                    .take(36_600),
            )
            .await?;
        }
        tx.commit().await
    }
}

/// The pairs (device, user id) that stand for an employee: those mapped, and those their group makes so.
pub(super) async fn pairs(
    db: &impl ConnectionTrait,
    employee: &str,
    devices: &[device::Model],
) -> Result<BTreeSet<(i64, String)>, DbErr> {
    let groups = device_group::Entity::find().all(db).await?;
    let candidates: BTreeSet<&str> = std::iter::once(employee)
        .chain(
            groups
                .iter()
                .filter_map(|group| employee.strip_prefix(&group.name)?.strip_prefix('/')),
        )
        .collect();
    let mapped = identity::Entity::find()
        .filter(
            Condition::any()
                .add(identity::Column::Employee.eq(employee))
                .add(identity::Column::UserId.is_in(candidates.iter().copied())),
        )
        .all(db)
        .await?;
    let mut pairs: BTreeSet<(i64, String)> = mapped
        .iter()
        .filter(|row| row.employee == employee)
        .map(|row| (row.device_id, row.user_id.clone()))
        .collect();
    for device in devices {
        let Some(group) = groups.iter().find(|group| group.id == device.group_id) else {
            continue;
        };
        let here = mapped
            .iter()
            .filter(|row| row.device_id == device.id)
            .cloned();
        let identities = Identities::new(here, group.clone());
        for user in &candidates {
            if identities.employee(user).as_deref() == Some(employee) {
                pairs.insert((device.id, (*user).to_owned()));
            }
        }
    }
    Ok(pairs)
}

/// Corrections that add punches for the employee or aim at one of the punches, and whatever aims at those.
async fn corrections(
    db: &impl ConnectionTrait,
    employee: &str,
    punches: &[punch::Model],
) -> Result<Vec<correction::Model>, DbErr> {
    let mut found: BTreeMap<i64, correction::Model> = correction::Entity::find()
        .filter(correction::Column::Employee.eq(employee))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut targets: Vec<String> = punches
        .iter()
        .map(|punch| format!("p{}", punch.id))
        .chain(found.keys().map(|id| format!("c{id}")))
        .collect();
    while !targets.is_empty() {
        let mut next = Vec::new();
        for chunk in targets.chunks(1_000) {
            let rows = correction::Entity::find()
                .filter(correction::Column::Target.is_in(chunk.to_vec()))
                .all(db)
                .await?;
            for row in rows {
                if let Place::Vacant(place) = found.entry(row.id) {
                    next.push(format!("c{}", row.id));
                    place.insert(row);
                }
            }
        }
        targets = next;
    }
    Ok(found.into_values().collect())
}

/// One employee's assessed dates, ready to be written.
#[derive(Debug)]
pub struct Assessed {
    /// Whose days.
    pub employee: String,
    /// The dates this assessment speaks for; stored records on them that it does not hold have vanished.
    pub dates: BTreeSet<NaiveDate>,
    /// The work this settles, with marks.
    pub done: BTreeMap<NaiveDate, i64>,
}

/// How stored records differ from assessed ones.
#[derive(Debug, Default)]
pub struct Difference {
    /// New or with other content.
    pub changed: Vec<daily_record::Model>,
    /// Stored, but no longer so.
    pub removed: Vec<daily_record::Model>,
    /// Same content as before.
    pub unchanged: usize,
}

/// Writes what changed and crosses the work off, unless it was touched again meanwhile.
///
/// Only while `lease` holds; `None` if it does not any more, and then nothing was written.
pub async fn save(
    tx: &Transaction,
    assessed: &Assessed,
    records: &[daily_record::Model],
    lease: &Lease,
    now_ms: i64,
) -> Result<Option<Difference>, DbErr> {
    if !leases::holds(tx, lease, now_ms).await? {
        return Ok(None);
    }
    let dates: Vec<String> = assessed.dates.iter().map(ToString::to_string).collect();
    let mut stored: BTreeMap<String, daily_record::Model> = BTreeMap::new();
    for chunk in dates.chunks(1_000) {
        let rows = daily_record::Entity::find()
            .filter(daily_record::Column::Employee.eq(&assessed.employee))
            .filter(daily_record::Column::Date.is_in(chunk.to_vec()))
            .all(tx)
            .await?;
        stored.extend(rows.into_iter().map(|row| (row.record_id.clone(), row)));
    }
    let mut difference = Difference::default();
    let mut added = Vec::new();
    for record in records {
        match stored.remove(&record.record_id) {
            Some(before)
                if daily_record::Model {
                    updated_at: record.updated_at,
                    ..before.clone()
                } == *record =>
            {
                difference.unchanged += 1;
            }
            Some(_) => {
                daily_record::ActiveModel::from(record.clone())
                    .reset_all()
                    .update(tx)
                    .await?;
                difference.changed.push(record.clone());
            }
            None => {
                added.push(daily_record::ActiveModel::from(record.clone()).reset_all());
                difference.changed.push(record.clone());
            }
        }
    }
    for chunk in added.chunks(1_000) {
        daily_record::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(tx)
            .await?;
    }
    for (id, row) in stored {
        daily_record::Entity::delete_by_id(id).exec(tx).await?;
        difference.removed.push(row);
    }
    // Most days have the same mark: together, then.
    let mut by_mark: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (date, mark) in assessed.done.iter().filter(|(_, mark)| **mark > 0) {
        by_mark.entry(*mark).or_default().push(date.to_string());
    }
    for (mark, dates) in by_mark {
        for chunk in dates.chunks(1_000) {
            dirty_day::Entity::delete_many()
                .filter(dirty_day::Column::Employee.eq(&assessed.employee))
                .filter(dirty_day::Column::Date.is_in(chunk.iter().map(String::as_str)))
                .filter(dirty_day::Column::Mark.eq(mark))
                .exec(tx)
                .await?;
        }
    }
    Ok(Some(difference))
}

impl Store {
    /// Adds a correction (P11) and marks the day it concerns. Humans go through [`App::correct`](crate::app::App::correct),
    /// which knows what the strategy in force can use.
    pub async fn add_correction(&self, new: NewCorrection, now: i64) -> anyhow::Result<i64> {
        let tx = self.begin().await?;
        let row = correction::ActiveModel {
            id: sea_orm::ActiveValue::NotSet,
            kind: Set(new.kind.to_owned()),
            target: Set(new.target),
            employee: Set(Some(new.employee.clone())),
            told: Set(new.told.map(Told::to_i64)),
            state: Set(new.state),
            value: Set(new.value),
            by: Set(new.by),
            at: Set(now),
            reason: Set(storable(&new.reason).into_owned()),
        };
        let row = row.insert(&tx).await?;
        people::named_by_hand(&tx, &new.employee, new.date).await?;
        schedule::wake(&tx, schedule::PROCESS, now).await?;
        tx.commit().await?;
        Ok(row.id)
    }

    /// Defines or replaces a shift template; `definition` is JSON in the shape of the rules' 3.3.
    pub async fn set_template(&self, id: &str, definition: String) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let row = shift_template::ActiveModel {
            id: Set(id.to_owned()),
            definition: Set(definition),
        };
        shift_template::Entity::insert(row)
            .on_conflict(
                OnConflict::column(shift_template::Column::Id)
                    .update_column(shift_template::Column::Definition)
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// Assigns a roster pattern to an employee from a date on.
    pub async fn assign(
        &self,
        employee: &str,
        from: NaiveDate,
        pattern: String,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let row = roster_assignment::ActiveModel {
            id: sea_orm::ActiveValue::NotSet,
            employee: Set(employee.to_owned()),
            from: Set(from.to_string()),
            to: Set(None),
            anchor: Set(None),
            pattern: Set(pattern),
        };
        row.insert(&tx).await?;
        let statement = Statement::from_sql_and_values(
            tx.get_database_backend(),
            "UPDATE dirty_day SET mark = mark + 1 WHERE employee = $1 AND date >= $2",
            [employee.into(), from.to_string().into()],
        );
        tx.execute_raw(statement).await?;
        let known: Vec<String> = daily_record::Entity::find()
            .select_only()
            .column(daily_record::Column::Date)
            .filter(daily_record::Column::Employee.eq(employee))
            .filter(daily_record::Column::Date.gte(from.to_string()))
            .into_tuple()
            .all(&tx)
            .await?;
        people::mark_dirty(
            &tx,
            employee,
            known.iter().filter_map(|date| date.parse().ok()),
        )
        .await?;
        tx.commit().await
    }
}

/// A correction to be added.
#[derive(Debug, Clone)]
pub struct NewCorrection {
    /// `add_punch`, `void_punch`, `set_kind` or `undo`.
    pub kind: &'static str,
    /// `p<punch id>` or `c<correction id>`; none for `add_punch`.
    pub target: Option<String>,
    /// Whose day it concerns.
    pub employee: String,
    /// The date it concerns.
    pub date: NaiveDate,
    /// Time of an added punch, in the site's zone.
    pub told: Option<Told>,
    /// Punch state of an added punch.
    pub state: Option<i32>,
    /// The kind for `set_kind`.
    pub value: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}
