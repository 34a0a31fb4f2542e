//! Who a device user stands for (design 6.4), and the days somebody was heard of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};

use super::devices::MAIN_GROUP;
use super::entity::{
    correction, daily_record, device, device_group, device_user, dirty_day, employee, identity,
    roster_assignment,
};
use super::{Store, Told, alone, storable};

/// Rows of one statement.
const PORTION: usize = 1_000;

/// Whom the users of one device stand for.
#[derive(Debug)]
pub struct Identities {
    explicit: HashMap<String, String>,
    group: device_group::Model,
}

impl Identities {
    /// The mappings of one device.
    pub async fn of_device(
        db: &impl ConnectionTrait,
        device: &device::Model,
    ) -> Result<Self, DbErr> {
        let explicit = identity::Entity::find()
            .filter(identity::Column::DeviceId.eq(device.id))
            .all(db)
            .await?;
        let group = device_group::Entity::find_by_id(device.group_id)
            .one(db)
            .await?
            .ok_or_else(|| DbErr::RecordNotFound(format!("device group {}", device.group_id)))?;
        Ok(Self::new(explicit, group))
    }

    /// From the device's mappings and its group.
    pub fn new(
        explicit: impl IntoIterator<Item = identity::Model>,
        group: device_group::Model,
    ) -> Self {
        let explicit = explicit
            .into_iter()
            .map(|row| (row.user_id, row.employee))
            .collect();
        Self { explicit, group }
    }

    /// The employee: an explicit mapping always wins; else the group decides.
    pub fn employee(&self, user_id: &str) -> Option<String> {
        if let Some(employee) = self.explicit.get(user_id) {
            return Some(employee.clone());
        }
        if self.group.require_mapping {
            return None;
        }
        if self.group.name == MAIN_GROUP {
            // An id like `branch/7` would be taken for the stand-in of another group's user.
            return (!user_id.contains('/')).then(|| user_id.to_owned());
        }
        Some(format!("{}/{user_id}", self.group.name))
    }

    /// Whether days of this user may be sent: stand-ins of other groups wait for a mapping.
    fn is_mapped(&self, user_id: &str) -> bool {
        self.explicit.contains_key(user_id) || self.group.name == MAIN_GROUP
    }
}

/// Marks days as to be assessed, makes employees heard of for the first time, and widens their span.
pub(super) async fn touch(
    db: &impl ConnectionTrait,
    identities: &Identities,
    days: impl Iterator<Item = (String, NaiveDate)>,
) -> Result<(), DbErr> {
    let mut by_employee: BTreeMap<String, BTreeSet<NaiveDate>> = BTreeMap::new();
    for (employee, date) in days {
        by_employee.entry(employee).or_default().insert(date);
    }
    let stand_in = format!("{}/", identities.group.name);
    let is_mapped = |id: &str| {
        identities.group.name == MAIN_GROUP
            || id
                .strip_prefix(&stand_in)
                .is_none_or(|user| identities.is_mapped(user))
    };
    let mapped = by_employee.keys().filter(|id| is_mapped(id));
    let mapped = mapped.cloned().collect();
    heard_of(db, by_employee, &mapped).await
}

/// Marks days of employees. Whoever is unknown is made, and everybody's rows begin with the first day heard of.
async fn heard_of(
    db: &impl ConnectionTrait,
    mut days: BTreeMap<String, BTreeSet<NaiveDate>>,
    mapped: &BTreeSet<String>,
) -> Result<(), DbErr> {
    if days.is_empty() {
        return Ok(());
    }
    let rows_until = rows_until(db).await?;
    let ids: Vec<&str> = days.keys().map(String::as_str).collect();
    let mut begins: HashMap<String, NaiveDate> = HashMap::new();
    let mut raised: Vec<String> = Vec::new();
    for chunk in ids.chunks(PORTION) {
        let known: Vec<(String, Option<String>, bool)> = employee::Entity::find()
            .select_only()
            .column(employee::Column::Id)
            .column(employee::Column::ActiveFrom)
            .column(employee::Column::Mapped)
            .filter(employee::Column::Id.is_in(chunk.to_vec()))
            .into_tuple()
            .all(db)
            .await?;
        for (id, since, is_mapped) in known {
            if !is_mapped && mapped.contains(&id) {
                raised.push(id.clone());
            }
            begins.extend(since.and_then(|since| Some((id, since.parse().ok()?))));
        }
    }
    for id in raised {
        // Who only stood in for a user is a person now, and every day may be sent.
        let recorded = raise(db, &id).await?;
        days.entry(id).or_default().extend(recorded);
    }
    let mut earlier = Vec::new();
    for (id, dates) in &mut days {
        let since = begins.get(id).copied();
        let Some(&first) = dates.first() else {
            continue;
        };
        if since.is_some_and(|since| first >= since) {
            continue;
        }
        // P7: the rows of days without punches begin here.
        let until = since.or(rows_until).unwrap_or(first);
        dates.extend(
            first
                .iter_days()
                .take_while(|date| *date <= until)
                .take(36_600),
        );
        earlier.push(employee::ActiveModel {
            id: Set(id.clone()),
            name: Set(None),
            department: Set(None),
            designation: Set(None),
            office: Set(None),
            active_from: Set(Some(first.to_string())),
            active_to: Set(None),
            mapped: Set(mapped.contains(id)),
        });
    }
    for chunk in earlier.chunks(PORTION) {
        employee::Entity::insert_many(chunk.to_vec())
            .on_conflict(
                OnConflict::column(employee::Column::Id)
                    .update_column(employee::Column::ActiveFrom)
                    .to_owned(),
            )
            .exec_without_returning(db)
            .await?;
    }
    let mut rows = Vec::new();
    for (id, dates) in &days {
        rows.extend(dates.iter().map(|date| dirty(id, *date)));
    }
    mark_rows(db, &rows).await
}

/// Makes a person of a stand-in; returns the dates that have records.
async fn raise(db: &impl ConnectionTrait, id: &str) -> Result<Vec<NaiveDate>, DbErr> {
    employee::Entity::update_many()
        .col_expr(employee::Column::Mapped, Expr::value(true))
        .filter(employee::Column::Id.eq(id))
        .exec(db)
        .await?;
    let recorded: Vec<String> = daily_record::Entity::find()
        .select_only()
        .column(daily_record::Column::Date)
        .filter(daily_record::Column::Employee.eq(id))
        .into_tuple()
        .all(db)
        .await?;
    Ok(recorded
        .iter()
        .filter_map(|date| date.parse().ok())
        .collect())
}

/// The same for somebody a human names, device or not.
pub(super) async fn named_by_hand(
    db: &impl ConnectionTrait,
    id: &str,
    date: NaiveDate,
) -> Result<(), DbErr> {
    // Whoever only stands in for a user stays so: naming somebody maps nobody.
    let known = employee::Entity::find_by_id(id).one(db).await?;
    let mapped = known.is_none_or(|row| row.mapped).then(|| id.to_owned());
    let days = BTreeMap::from([(id.to_owned(), BTreeSet::from([date]))]);
    heard_of(db, days, &mapped.into_iter().collect()).await
}

/// Marks days of one employee as to be assessed.
pub async fn mark_dirty(
    db: &impl ConnectionTrait,
    employee: &str,
    dates: impl IntoIterator<Item = NaiveDate>,
) -> Result<(), DbErr> {
    // Each once: `PostgreSQL` refuses to touch a row twice in one statement.
    let dates: BTreeSet<NaiveDate> = dates.into_iter().collect();
    let rows: Vec<_> = dates
        .into_iter()
        .map(|date| dirty(employee, date))
        .collect();
    mark_rows(db, &rows).await
}

fn dirty(employee: &str, date: NaiveDate) -> dirty_day::ActiveModel {
    dirty_day::ActiveModel {
        employee: Set(employee.to_owned()),
        date: Set(date.to_string()),
        mark: Set(1),
    }
}

async fn mark_rows(
    db: &impl ConnectionTrait,
    rows: &[dirty_day::ActiveModel],
) -> Result<(), DbErr> {
    for chunk in rows.chunks(PORTION) {
        dirty_day::Entity::insert_many(chunk.to_vec())
            .on_conflict(
                OnConflict::columns([dirty_day::Column::Employee, dirty_day::Column::Date])
                    .value(
                        dirty_day::Column::Mark,
                        Expr::col((dirty_day::Entity, dirty_day::Column::Mark)).add(1),
                    )
                    .to_owned(),
            )
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}

/// The last date for which rows of people without punches were made.
pub(super) async fn rows_until(db: &impl ConnectionTrait) -> Result<Option<NaiveDate>, DbErr> {
    use super::entity::meta;
    let row = meta::Entity::find_by_id("rows_until").one(db).await?;
    Ok(row.and_then(|row| row.value.parse().ok()))
}

/// Gives employees without a name the one that this terminal knows.
pub(super) async fn name_employees(
    db: &impl ConnectionTrait,
    identities: &Identities,
    device_id: i64,
) -> Result<(), DbErr> {
    let nameless: BTreeSet<String> = employee::Entity::find()
        .select_only()
        .column(employee::Column::Id)
        .filter(employee::Column::Name.is_null())
        .into_tuple()
        .all(db)
        .await?
        .into_iter()
        .collect();
    if nameless.is_empty() {
        return Ok(());
    }
    let users = device_user::Entity::find()
        .filter(device_user::Column::DeviceId.eq(device_id))
        .filter(device_user::Column::Name.ne(""))
        .all(db)
        .await?;
    alone(db).await?;
    for user in users {
        let Some(id) = identities
            .employee(&user.user_id)
            .filter(|id| nameless.contains(id))
        else {
            continue;
        };
        employee::Entity::update_many()
            .col_expr(employee::Column::Name, Expr::value(user.name))
            .filter(employee::Column::Id.eq(id))
            .filter(employee::Column::Name.is_null())
            .exec(db)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Everybody, by id.
    pub async fn employees(&self) -> Result<Vec<employee::Model>, DbErr> {
        employee::Entity::find()
            .order_by_asc(employee::Column::Id)
            .all(self.reader())
            .await
    }

    /// One person.
    pub async fn employee(&self, id: &str) -> Result<Option<employee::Model>, DbErr> {
        employee::Entity::find_by_id(id).one(self.reader()).await
    }

    /// The users of a device as last read.
    pub async fn device_users(&self, device_id: i64) -> Result<Vec<device_user::Model>, DbErr> {
        device_user::Entity::find()
            .filter(device_user::Column::DeviceId.eq(device_id))
            .order_by_asc(device_user::Column::Uid)
            .all(self.reader())
            .await
    }

    /// Maps a device user to an employee; the days of both the old and the new employee are assessed again.
    ///
    /// Punches outside the `plausible` dates are the new employee's too, but make nobody older.
    pub async fn map_user(
        &self,
        device: &device::Model,
        user_id: &str,
        to: &str,
        note: Option<String>,
        plausible: &RangeInclusive<NaiveDate>,
        now: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let before = Identities::of_device(&tx, device).await?.employee(user_id);
        let row = identity::ActiveModel {
            id: NotSet,
            device_id: Set(device.id),
            user_id: Set(user_id.to_owned()),
            employee: Set(to.to_owned()),
            created_at: Set(now),
            note: Set(note.map(|note| storable(&note).into_owned())),
        };
        identity::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([identity::Column::DeviceId, identity::Column::UserId])
                    .update_columns([
                        identity::Column::Employee,
                        identity::Column::CreatedAt,
                        identity::Column::Note,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        let after = Identities::of_device(&tx, device).await?;
        let dates = punch_dates(&tx, device.id, user_id, plausible).await?;
        touch(&tx, &after, dates.iter().map(|date| (to.to_owned(), *date))).await?;
        if let Some(before) = before.filter(|before| before != to) {
            narrow(&tx, &before, plausible).await?;
        }
        name_employees(&tx, &after, device.id).await?;
        tx.commit().await
    }
}

/// Somebody lost punches to another person: the rows begin with the first day that is still theirs. A stand-in without
/// any was never a person: its row goes, and with it, at the next assessment, its records.
async fn narrow(
    db: &impl ConnectionTrait,
    employee: &str,
    plausible: &RangeInclusive<NaiveDate>,
) -> Result<(), DbErr> {
    let known: Vec<String> = daily_record::Entity::find()
        .select_only()
        .column(daily_record::Column::Date)
        .filter(daily_record::Column::Employee.eq(employee))
        .into_tuple()
        .all(db)
        .await?;
    mark_dirty(
        db,
        employee,
        known.iter().filter_map(|date| date.parse().ok()),
    )
    .await?;
    let devices = device::Entity::find().all(db).await?;
    let mut dates = BTreeSet::new();
    for (device, user) in super::days::pairs(db, employee, &devices).await? {
        dates.extend(punch_dates(db, device, &user, plausible).await?);
    }
    // What humans said of this person stays theirs (P11).
    let by_hand = correction::Entity::find()
        .filter(correction::Column::Employee.eq(employee))
        .all(db)
        .await?;
    let told = by_hand
        .iter()
        .filter_map(|row| Told::from_i64(row.told?).civil());
    dates.extend(told.map(|civil| civil.date()));
    let rostered = roster_assignment::Entity::find()
        .filter(roster_assignment::Column::Employee.eq(employee))
        .one(db)
        .await?
        .is_some();
    match dates.first() {
        Some(first) => {
            employee::Entity::update_many()
                .col_expr(employee::Column::ActiveFrom, Expr::value(first.to_string()))
                .filter(employee::Column::Id.eq(employee))
                .exec(db)
                .await?;
        }
        None if rostered => {}
        None => {
            employee::Entity::delete_by_id(employee).exec(db).await?;
        }
    }
    Ok(())
}

async fn punch_dates(
    db: &impl ConnectionTrait,
    device_id: i64,
    user_id: &str,
    plausible: &RangeInclusive<NaiveDate>,
) -> Result<BTreeSet<NaiveDate>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT DISTINCT told / 86400 AS day FROM punch WHERE device_id = $1 AND user_id = $2",
        [device_id.into(), user_id.into()],
    );
    let rows = db.query_all_raw(statement).await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.try_get::<i64>("", "day").ok())
        .filter_map(|day| Some(Told::from_i64(day * 86_400).civil()?.date()))
        .filter(|date| plausible.contains(date))
        .collect())
}
