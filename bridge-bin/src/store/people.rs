//! Who a device user stands for (design 6.4), and the days somebody was heard of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};

use super::Store;
use super::devices::MAIN_GROUP;
use super::entity::{
    daily_record, device, device_group, device_user, dirty_day, employee, identity,
};

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
            return Some(user_id.to_owned());
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
    let rows_until = rows_until(db).await?;
    for (id, mut dates) in by_employee {
        let Some(&first) = dates.first() else {
            continue;
        };
        let mapped = identities.group.name == MAIN_GROUP
            || id
                .strip_prefix(&stand_in)
                .is_none_or(|user| identities.is_mapped(user));
        let known = employee::Entity::find_by_id(&id).one(db).await?;
        let since = known
            .as_ref()
            .and_then(|row| row.active_from.as_deref())
            .and_then(|text| text.parse().ok());
        if since.is_none_or(|since: NaiveDate| first < since) {
            // P7: the rows of days without punches begin here.
            let until = since.or(rows_until).unwrap_or(first);
            dates.extend(
                first
                    .iter_days()
                    .take_while(|date| *date <= until)
                    .take(36_600),
            );
        }
        if known.is_none() || since.is_none_or(|since| first < since) {
            let row = employee::ActiveModel {
                id: Set(id.clone()),
                name: Set(None),
                department: Set(None),
                designation: Set(None),
                office: Set(None),
                active_from: Set(Some(first.to_string())),
                active_to: Set(None),
                mapped: Set(mapped),
            };
            employee::Entity::insert(row)
                .on_conflict(
                    OnConflict::column(employee::Column::Id)
                        .update_column(employee::Column::ActiveFrom)
                        .to_owned(),
                )
                .exec_without_returning(db)
                .await?;
        }
        mark_dirty(db, &id, dates).await?;
    }
    Ok(())
}

/// Marks days of one employee as to be assessed.
pub async fn mark_dirty(
    db: &impl ConnectionTrait,
    employee: &str,
    dates: impl IntoIterator<Item = NaiveDate>,
) -> Result<(), DbErr> {
    let rows: Vec<dirty_day::ActiveModel> = dates
        .into_iter()
        .map(|date| dirty_day::ActiveModel {
            employee: Set(employee.to_owned()),
            date: Set(date.to_string()),
            mark: Set(1),
        })
        .collect();
    for chunk in rows.chunks(1_000) {
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

/// Gives employees without a name the one their terminal knows.
pub(super) async fn name_employees(
    db: &impl ConnectionTrait,
    identities: &Identities,
    users: &[device_user::Model],
) -> Result<(), DbErr> {
    for user in users.iter().filter(|user| !user.name.is_empty()) {
        let Some(id) = identities.employee(&user.user_id) else {
            continue;
        };
        employee::Entity::update_many()
            .col_expr(employee::Column::Name, Expr::value(user.name.clone()))
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
    pub async fn map_user(
        &self,
        device: &device::Model,
        user_id: &str,
        to: &str,
        note: Option<String>,
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
            note: Set(note),
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
        let dates = punch_dates(&tx, device.id, user_id).await?;
        if let Some(before) = before.filter(|before| before != to) {
            forget_if_idle(&tx, &before, device, user_id).await?;
            mark_dirty(&tx, &before, dates.iter().copied()).await?;
        }
        touch(&tx, &after, dates.iter().map(|date| (to.to_owned(), *date))).await?;
        let users = device_user::Entity::find()
            .filter(device_user::Column::DeviceId.eq(device.id))
            .all(&tx)
            .await?;
        name_employees(&tx, &after, &users).await?;
        tx.commit().await
    }
}

/// A stand-in whose only punches were those of the user just mapped was never a person: its row goes, and with it,
/// at the next assessment, its records.
async fn forget_if_idle(
    db: &impl ConnectionTrait,
    employee: &str,
    device: &device::Model,
    user_id: &str,
) -> Result<(), DbErr> {
    let devices = device::Entity::find().all(db).await?;
    for (other, user) in super::days::pairs(db, employee, &devices).await? {
        if (other, user.as_str()) != (device.id, user_id)
            && !punch_dates(db, other, &user).await?.is_empty()
        {
            return Ok(());
        }
    }
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
    employee::Entity::delete_by_id(employee).exec(db).await?;
    Ok(())
}

async fn punch_dates(
    db: &impl ConnectionTrait,
    device_id: i64,
    user_id: &str,
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
        .filter_map(|day| Some(super::Told::from_i64(day * 86_400).civil()?.date()))
        .collect())
}
