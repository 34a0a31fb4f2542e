//! P1: punches, stored before anything is derived from them, together with the cursor.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use chrono::{Days, NaiveDate};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, Statement, Value,
};

use super::entity::{cursor, device, device_user, punch};
use super::leases::{self, Lease};
use super::people::{self, Identities};
use super::unchanged::Unchanged;
use super::{Store, Told, alone, due, retention, schedule, storable};

/// A punch as a source told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPunch {
    /// The device's user id, as told.
    pub user_id: String,
    /// Device-local time, as told.
    pub told: Told,
    /// The device's punch state code.
    pub punch_state: u8,
    /// The device's verify mode code.
    pub verify_mode: u8,
    /// Work code, 0 for none.
    pub work_code: u32,
    /// The device's internal number, where told.
    pub uid: Option<u16>,
    /// Position in the device's log; another one for each punch of an intake.
    pub log_index: i64,
}

/// One reading of one terminal, to be stored as a whole.
#[derive(Debug)]
pub struct Intake<'a> {
    /// The device read.
    pub device: &'a device::Model,
    /// What was learnt about the device itself.
    pub facts: Facts,
    /// The lease under which it was read.
    pub lease: &'a Lease,
    /// Where the punches come from: `pull`.
    pub source: &'static str,
    /// The punches beyond the old cursor, in the order of the log.
    pub punches: &'a [NewPunch],
    /// The generation of the log that was read.
    pub generation: i64,
    /// Entries of that log before this position were counted by an earlier reading.
    pub counted: i64,
    /// The user list, if it was read.
    pub users: Option<&'a [device_user::Model]>,
    /// The new cursor.
    pub cursor: cursor::Model,
    /// Dates on which a punch is believed; others are kept, but make no day due and nobody older than they are.
    pub plausible: RangeInclusive<NaiveDate>,
    /// Whether this is all, so that the reading counts as one.
    pub done: bool,
    /// Whether the lease is given back with it: nothing comes after, and the connection is closed.
    pub gives_back: bool,
    /// What was incomplete, if anything was.
    pub error: Option<String>,
}

/// What was learnt about a terminal.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the device table")]
pub struct Facts {
    pub serial_number: Option<String>,
    pub mac: Option<String>,
    pub firmware: Option<String>,
    pub platform: Option<String>,
    pub model: Option<String>,
    pub log_capacity: Option<i64>,
    pub clock_drift_s: Option<i64>,
    /// What happened there before is here, with this intake.
    pub complete_until: Option<i64>,
}

impl Facts {
    /// Whether any of it differs from what is known; when the terminal was read is no news.
    pub(super) fn are_news(&self, known: &device::Model) -> bool {
        fn differs<T: PartialEq>(told: Option<&T>, known: Option<&T>) -> bool {
            told.is_some() && told != known
        }
        differs(self.serial_number.as_ref(), known.serial_number.as_ref())
            || differs(self.mac.as_ref(), known.mac.as_ref())
            || differs(self.firmware.as_ref(), known.firmware.as_ref())
            || differs(self.platform.as_ref(), known.platform.as_ref())
            || differs(self.model.as_ref(), known.model.as_ref())
            || differs(self.log_capacity.as_ref(), known.log_capacity.as_ref())
            || differs(self.clock_drift_s.as_ref(), known.clock_drift_s.as_ref())
    }

    fn storable(self) -> Self {
        let clean = |text: Option<String>| text.map(|text| storable(&text).into_owned());
        Self {
            serial_number: clean(self.serial_number),
            mac: clean(self.mac),
            firmware: clean(self.firmware),
            platform: clean(self.platform),
            model: clean(self.model),
            ..self
        }
    }
}

/// What an intake added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Punches never seen before.
    pub new: u64,
    /// Punches whose key was stored already.
    pub repeated: u64,
}

/// An intake that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The lease lapsed while the terminal was being read; whoever holds it now reads it again.
    #[error("the lease on the terminal was lost while it was being read; nothing was stored")]
    LeaseLost,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// A key with its first entry in the reading and the positions at which it came again.
struct Row<'a> {
    punch: &'a NewPunch,
    again: Vec<i64>,
    differs: bool,
}

impl Store {
    /// Stores what was read, its cursor and the days it touches, in one transaction, if the lease still holds.
    pub async fn take_in(
        &self,
        intake: Intake<'_>,
        now: i64,
        now_ms: i64,
    ) -> Result<Taken, IntakeError> {
        if let Some(reading) = Unchanged::of(&intake, now, now_ms)
            && let Some(held) = self.take_in_unchanged(reading).await
        {
            return if held {
                Ok(Taken::default())
            } else {
                Err(IntakeError::LeaseLost)
            };
        }
        loop {
            if let Some(taken) = self.try_take_in(&intake, now, now_ms).await? {
                return Ok(taken);
            }
        }
    }

    /// None if days were closed meanwhile that were open when this began: then it never was, and is tried again.
    async fn try_take_in(
        &self,
        intake: &Intake<'_>,
        now: i64,
        now_ms: i64,
    ) -> Result<Option<Taken>, IntakeError> {
        let _turn = self.intakes.acquire().await;
        // The rows are guarded by their key and by the lease; only what comes behind them needs to be alone.
        let tx = self.begin_beside().await?;
        let due = due::hold(&tx, intake.device.id).await?;
        if !leases::holds(&tx, intake.lease, now_ms).await? {
            return Err(IntakeError::LeaseLost);
        }
        let device_id = intake.device.id;
        let open_from = retention::floor(&tx).await?;
        let (mut rows, within) = fold(intake.punches);
        let all = rows.len();
        if let Some(kept) = open_from.map(retention::first_kept) {
            // What was thrown away does not come back (B11).
            rows.retain(|row| {
                let date = row.punch.told.civil().map(|civil| civil.date());
                date.is_none_or(|date| date >= kept || !intake.plausible.contains(&date))
            });
        }
        // Days before the floor are closed; a punch reaches a few days into those after it.
        let first_touched = open_from.and_then(|floor| floor.checked_sub_days(Days::new(3)));
        let mut taken = Taken {
            new: 0,
            // What was thrown away was known, too.
            repeated: within + (all - rows.len()) as u64,
        };
        let mut touched: BTreeSet<(Cow<'_, str>, NaiveDate)> = BTreeSet::new();
        let mut known = Vec::new();
        // 13 values a row; SQLite takes 32,766 in a statement, PostgreSQL 65,535.
        for chunk in rows.chunks(2_000) {
            let added = insert(&tx, intake, chunk, now).await?;
            taken.new += added.len() as u64;
            taken.repeated += (chunk.len() - added.len()) as u64;
            for row in chunk {
                if !added.contains(&row.punch.log_index) {
                    known.push(row);
                } else if let Some(civil) = row.punch.told.civil() {
                    let date = civil.date();
                    let is_open = first_touched.is_none_or(|first| date >= first);
                    if is_open && intake.plausible.contains(&date) {
                        touched.insert((storable(&row.punch.user_id), date));
                    }
                }
            }
        }
        if !rows.is_empty() || intake.users.is_some() {
            // A mapping that is being changed counts either wholly before these punches or wholly after them.
            alone(&tx).await?;
            // Whoever raises the floor is alone, too.
            if retention::floor(&tx).await? != open_from {
                return Ok(None);
            }
        }
        note_repeats(&tx, intake, &known).await?;
        if let Some(users) = intake.users {
            replace_users(&tx, device_id, users).await?;
        }
        let identities = Identities::of_device(&tx, intake.device).await?;
        let is_news = !touched.is_empty();
        let days = touched
            .into_iter()
            .filter_map(|(user, date)| Some((identities.employee(&user)?, date)));
        people::touch(&tx, &identities, days).await?;
        if intake.users.is_some() || taken.new > 0 {
            people::name_employees(&tx, &identities, device_id).await?;
        }
        let cursor = cursor::Model {
            device_id,
            ..intake.cursor.clone()
        };
        put_cursors(&tx, vec![cursor]).await?;
        let facts = intake.facts.clone().storable();
        device::ActiveModel {
            id: Set(device_id),
            serial_number: Set(facts
                .serial_number
                .or_else(|| intake.device.serial_number.clone())),
            mac: Set(facts.mac.or_else(|| intake.device.mac.clone())),
            firmware: Set(facts.firmware.or_else(|| intake.device.firmware.clone())),
            platform: Set(facts.platform.or_else(|| intake.device.platform.clone())),
            model: Set(facts.model.or_else(|| intake.device.model.clone())),
            last_sync: Set(if intake.done && intake.error.is_none() {
                Some(now)
            } else {
                intake.device.last_sync
            }),
            last_attempt: Set(Some(now)),
            last_error: Set(intake
                .error
                .as_deref()
                .map(|error| storable(error).into_owned())),
            complete_until: Set(facts.complete_until.or(intake.device.complete_until)),
            log_capacity: Set(facts.log_capacity.or(intake.device.log_capacity)),
            clock_drift_s: Set(facts.clock_drift_s.or(intake.device.clock_drift_s)),
            ..Default::default()
        }
        .update(&tx)
        .await?;
        if intake.done {
            due::done(&tx, device_id, due.as_ref()).await?;
        }
        if intake.gives_back {
            leases::give_back(&tx, intake.lease).await?;
        }
        if is_news {
            schedule::wake(&tx, schedule::PROCESS, now).await?;
        }
        tx.commit().await?;
        Ok(Some(taken))
    }

    /// All punches of one device in the order of their told time.
    pub async fn punches_of(&self, device_id: i64) -> Result<Vec<punch::Model>, DbErr> {
        punch::Entity::find()
            .filter(punch::Column::DeviceId.eq(device_id))
            .order_by_asc(punch::Column::Told)
            .order_by_asc(punch::Column::Id)
            .all(self.reader())
            .await
    }
}

/// One row per key, in the order of first appearance.
fn fold(punches: &[NewPunch]) -> (Vec<Row<'_>>, u64) {
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(punches.len());
    let mut seen: HashMap<(&str, Told, u8), usize> = HashMap::with_capacity(punches.len());
    for punch in punches {
        match seen.entry((&punch.user_id, punch.told, punch.punch_state)) {
            Entry::Vacant(place) => {
                place.insert(rows.len());
                rows.push(Row {
                    punch,
                    again: Vec::new(),
                    differs: false,
                });
            }
            Entry::Occupied(place) => {
                if let Some(row) = rows.get_mut(*place.get()) {
                    row.again.push(punch.log_index);
                    row.differs |= row.punch.verify_mode != punch.verify_mode
                        || row.punch.work_code != punch.work_code;
                }
            }
        }
    }
    let within = (punches.len() - rows.len()) as u64;
    (rows, within)
}

impl Row<'_> {
    /// How often the key came again at positions nobody has counted yet.
    fn repeats(&self, counted: i64) -> i32 {
        let news = self.again.iter().filter(|index| **index >= counted);
        i32::try_from(news.count()).unwrap_or(i32::MAX)
    }
}

/// The one hot statement: the same text for both databases but for the placeholders. Returns the positions in the log
/// of those
/// whose key was not there before.
async fn insert(
    db: &impl ConnectionTrait,
    intake: &Intake<'_>,
    rows: &[Row<'_>],
    now: i64,
) -> Result<HashSet<i64>, DbErr> {
    const COLUMNS: usize = 13;
    let mut sql = String::with_capacity(rows.len() * 50 + 300);
    sql.push_str(
        "INSERT INTO punch (device_id, user_id, told, punch_state, verify_mode, work_code, uid, source, received_at, \
         log_generation, log_index, repeats, repeat_differs) VALUES ",
    );
    let mut values: Vec<Value> = Vec::with_capacity(rows.len() * COLUMNS);
    // SQLite takes $n for a name and looks each one up among all others; there a plain ? is a hundred times faster.
    let numbered = db.get_database_backend() != DbBackend::Sqlite;
    for (n, row) in rows.iter().enumerate() {
        use std::fmt::Write as _;
        sql.push_str(if n == 0 { "(" } else { ",(" });
        for column in 1..=COLUMNS {
            sql.push_str(if column == 1 { "" } else { "," });
            if numbered {
                let _ = write!(sql, "${}", n * COLUMNS + column);
            } else {
                sql.push('?');
            }
        }
        sql.push(')');
        let punch = row.punch;
        values.extend([
            intake.device.id.into(),
            storable(&punch.user_id).into_owned().into(),
            punch.told.to_i64().into(),
            i32::from(punch.punch_state).into(),
            i32::from(punch.verify_mode).into(),
            i64::from(punch.work_code).into(),
            punch.uid.map(i32::from).into(),
            intake.source.into(),
            now.into(),
            intake.generation.into(),
            punch.log_index.into(),
            row.repeats(intake.counted).into(),
            (row.differs && row.repeats(intake.counted) > 0).into(),
        ]);
    }
    sql.push_str(
        " ON CONFLICT (device_id, user_id, told, punch_state) DO NOTHING RETURNING log_index",
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.query_all_raw(statement)
        .await?
        .iter()
        .map(|row| row.try_get("", "log_index"))
        .collect()
}

/// Punches that were stored before. Another position of the same log is a repeat; the same position, or an older
/// generation, is only the same entry read again; an absent position (live, push) is filled in once.
async fn note_repeats(
    db: &impl ConnectionTrait,
    intake: &Intake<'_>,
    rows: &[&Row<'_>],
) -> Result<(), DbErr> {
    for row in rows {
        if row.punch.log_index < intake.counted && row.repeats(intake.counted) == 0 {
            // An earlier reading of this very log has seen to it.
            continue;
        }
        let Some(stored) = punch::Entity::find()
            .filter(punch::Column::DeviceId.eq(intake.device.id))
            .filter(punch::Column::UserId.eq(storable(&row.punch.user_id)))
            .filter(punch::Column::Told.eq(row.punch.told.to_i64()))
            .filter(punch::Column::PunchState.eq(i32::from(row.punch.punch_state)))
            .one(db)
            .await?
        else {
            continue;
        };
        let here = intake.generation;
        let repeats = match (stored.log_generation, stored.log_index) {
            // Never before seen in a log.
            (None, _) => row.repeats(intake.counted),
            (Some(generation), index) if generation == here => {
                let first = row.punch.log_index;
                let first_again = first >= intake.counted && index != Some(first);
                row.repeats(intake.counted) + i32::from(first_again)
            }
            // An older log: the same entries read once more.
            _ => 0,
        };
        let differs = repeats > 0
            && (row.differs
                || stored.verify_mode != i32::from(row.punch.verify_mode)
                || stored.work_code != i64::from(row.punch.work_code));
        if repeats == 0 && stored.log_index.is_some() {
            continue;
        }
        punch::ActiveModel {
            id: Set(stored.id),
            repeats: Set(stored.repeats + repeats),
            repeat_differs: Set(stored.repeat_differs || differs),
            log_generation: Set(stored.log_generation.or(Some(here))),
            log_index: Set(stored.log_index.or(Some(row.punch.log_index))),
            ..Default::default()
        }
        .update(db)
        .await?;
    }
    Ok(())
}

/// Writes those that differ from what is stored.
pub(super) async fn put_cursors(
    db: &impl ConnectionTrait,
    mut new: Vec<cursor::Model>,
) -> Result<(), DbErr> {
    let ids = new.iter().map(|row| row.device_id);
    let known = cursor::Entity::find()
        .filter(cursor::Column::DeviceId.is_in(ids))
        .all(db)
        .await?;
    new.retain(|row| !known.contains(row));
    if new.is_empty() {
        return Ok(());
    }
    let rows = new
        .into_iter()
        .map(|row| cursor::ActiveModel::from(row).reset_all());
    cursor::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::column(cursor::Column::DeviceId)
                .update_columns([
                    cursor::Column::LogGeneration,
                    cursor::Column::Records,
                    cursor::Column::Layout,
                    cursor::Column::Header,
                    cursor::Column::Tail,
                    cursor::Column::TailCheckedAt,
                    cursor::Column::FullReadAt,
                    cursor::Column::Slices,
                    cursor::Column::CountersTrusted,
                    cursor::Column::Users,
                ])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

async fn replace_users(
    db: &impl ConnectionTrait,
    device_id: i64,
    users: &[device_user::Model],
) -> Result<(), DbErr> {
    device_user::Entity::delete_many()
        .filter(device_user::Column::DeviceId.eq(device_id))
        .exec(db)
        .await?;
    let mut seen = BTreeSet::new();
    let unique: Vec<device_user::ActiveModel> = users
        .iter()
        .map(|user| device_user::Model {
            user_id: storable(&user.user_id).into_owned(),
            name: storable(&user.name).into_owned(),
            group: storable(&user.group).into_owned(),
            ..user.clone()
        })
        .filter(|user| seen.insert(user.user_id.clone()))
        .map(|user| device_user::ActiveModel::from(user).reset_all())
        .collect();
    for chunk in unique.chunks(1_000) {
        device_user::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}
