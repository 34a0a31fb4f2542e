//! One terminal, one conversation: what is new of its log, and into the store with it.

use std::collections::HashMap;

use chrono::Days;
use zk_proto::poll::{Mode, PollCursor, PollOptions, PollResult, Warning};
use zk_proto::record::{Attendance, Layout};
use zk_proto::{Client, Encoding, Progress};

use super::Held;
use super::poll::{DevicePoll, Options, utc};
use crate::app::App;
use crate::devices;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::Told;
use crate::store::entity::{cursor, device, device_user};
use crate::store::punches::{Facts, Intake, IntakeError, NewPunch, Taken};
use crate::zone;

/// Records stored in one transaction: few enough that the lease can be renewed between two, also on a slow disk.
const PORTION: usize = 4_000;

/// The counters alone may say "nothing new" for so long; then the end of the log is looked at.
const RECHECK_S: i64 = 3_600;

/// The whole log is read, to reconcile, so often.
const RECONCILE_S: i64 = 7 * 86_400;

/// What one conversation brought.
struct Reading {
    /// When it began: what happened at the terminal before is in it.
    began: i64,
    facts: Facts,
    /// User counter of the terminal, as far as its list is known; -1 if it is not.
    users_counted: i64,
    users: Option<Vec<device_user::Model>>,
    /// The punches to be stored, in the order of the log.
    punches: Vec<NewPunch>,
    result: PollResult,
    bytes: u64,
    requests: u64,
}

/// Reads a terminal and stores what came, in one go from connecting to the last transaction.
pub(super) async fn read(
    app: &App,
    device: &device::Model,
    held: &Held,
    options: &Options,
) -> anyhow::Result<DevicePoll> {
    let before = app.store.cursor(device.id).await?;
    let mut reading = converse(app, device, held, before.as_ref(), options).await?;
    if let Some(hours) = options.since_hours {
        let zone = zone::lookup(&device.timezone)?;
        let from = zone::civil_at(&zone, app.clock.now() - i64::from(hours) * 3600);
        reading
            .punches
            .retain(|punch| punch.told >= Told::from(from));
    }
    let trouble = trouble(&mut reading.result);
    for warning in &reading.result.warnings {
        tracing::warn!(device = device.name, "{warning}");
    }
    let taken = if options.dry_run {
        Taken {
            new: reading.punches.len() as u64,
            ..Taken::default()
        }
    } else {
        store(
            app,
            device,
            held,
            before,
            &reading,
            trouble.as_ref(),
            options,
        )
        .await?
    };
    let complete = trouble.is_none() && !options.dry_run;
    Ok(DevicePoll {
        device: device.name.clone(),
        status: if trouble.is_some() { "partial" } else { "ok" },
        total_fetched: reading.result.log.len() as u64,
        new_records: taken.new,
        repeated: taken.repeated,
        mode: Some(reading.result.mode.name()),
        bytes: reading.bytes,
        requests: reading.requests,
        last_sync: if complete {
            Some(utc(app.clock.now()))
        } else {
            device.last_sync.map(utc)
        },
        error: trouble.map(Into::into),
    })
}

async fn converse(
    app: &App,
    device: &device::Model,
    held: &Held,
    before: Option<&cursor::Model>,
    options: &Options,
) -> anyhow::Result<Reading> {
    let began = app.clock.now();
    let endpoint = devices::Endpoint {
        until: Some(held.end().clone()),
        ..devices::endpoint_of(app, device)?
    };
    let mut client = devices::connect(&endpoint).await?.client;
    if let Some(progress) = options.progress.clone() {
        let name = device.name.clone();
        client.on_progress(
            move |Progress {
                      received, total, ..
                  }| {
                progress(&name, u64::from(received), u64::from(total));
            },
        );
    }
    let told = |error: zk_proto::Error| devices::failure(&error);
    let now = app.clock.now();
    let reconcile = before.is_none_or(|row| row.full_read_at + RECONCILE_S <= now);
    let full = options.full || (reconcile && options.since_hours.is_none());
    // Name and firmware change rarely; a poll that finds nothing new asks for the serial number only.
    let mut facts = facts(&mut client, device, full).await.map_err(told)?;
    refuse_another(device, &facts)?;
    warn_of_twin(app, device, &facts).await?;

    let counters = match client.counters().await {
        Ok(counters) => counters,
        // Firmware without counters can still be read.
        Err(zk_proto::Error::Rejected { .. }) => zk_proto::record::Counters::default(),
        Err(error) => return Err(told(error).into()),
    };
    facts.log_capacity = counters.records_max.map(i64::from);
    let counted = counters.users.map_or(-1, i64::from);
    let mut users = None;
    if full || counted < 0 || before.is_none_or(|row| row.users != counted) {
        users = read_users(&mut client, device.id, now).await?;
    }

    let compare = before.is_some_and(|row| row.tail_checked_at + RECHECK_S <= now);
    if full || compare {
        // Once an hour is often enough for a clock, and keeps a poll without news short.
        facts.clock_drift_s = clock_drift(app, &mut client, device).await;
    }
    let poll = PollOptions::new().full(full).compare(compare);
    let cursor = before.map_or_else(PollCursor::new, to_protocol);
    let result = client.poll(&cursor, poll).await.map_err(told)?;
    // A reading that reconciles goes through the known records too.
    let skip = if full { 0 } else { result.known };
    let mut punches = news(&result, skip, client.encoding());
    if punches.iter().any(|punch| punch.user_id.is_empty()) {
        // P1: such records carry only the internal number, which may have passed to somebody else since the list was
        // last read. Without the list of this moment they cannot be attributed, and nothing is stored.
        if users.is_none() {
            users = read_users(&mut client, device.id, now).await?;
        }
        let list = users.as_deref().ok_or_else(|| {
            Failure::new(
                "no_user_list",
                "The terminal's records name people by internal number only, and its user list was not read.",
                "Nothing was stored; the next poll tries again.",
            )
        })?;
        resolve_users(list, &mut punches);
    }
    let stats = client.stats();
    // The terminal has said all; a farewell that fails changes nothing.
    let _ = client.disconnect().await;
    Ok(Reading {
        began,
        facts,
        users_counted: match (&users, before) {
            (Some(_), _) => counted,
            (None, before) => before.map_or(-1, |row| row.users),
        },
        users,
        punches,
        result,
        bytes: stats.bytes_received,
        requests: stats.requests,
    })
}

/// Why the reading is not whole, if it is not.
fn trouble(result: &mut PollResult) -> Option<Failure> {
    if let Some(error) = result.trouble.take() {
        return Some(devices::failure(&error));
    }
    result.warnings.iter().find_map(|warning| match warning {
        Warning::CountersDisagree { .. } => Some(Failure::new(
            "counters_disagree",
            format!("Doubtful: {warning}."),
            "What came is stored, and the next poll reads again.",
        )),
        _ => None,
    })
}

/// In portions, each with its own place in the log: a first reading of years takes longer than a lease.
async fn store(
    app: &App,
    device: &device::Model,
    held: &Held,
    before: Option<cursor::Model>,
    reading: &Reading,
    trouble: Option<&Failure>,
    options: &Options,
) -> anyhow::Result<Taken> {
    let now = app.clock.now();
    let after = &reading.result.cursor;
    let generation = i64::from(after.generation);
    let same_log = before
        .as_ref()
        .filter(|row| row.log_generation == generation);
    let keep_cursor = options.since_hours.is_some();
    let counted = match same_log {
        // Repeats in a look at the last hours are counted by the reading that moves the cursor.
        _ if keep_cursor => i64::MAX,
        Some(row) => row.records,
        None => 0,
    };
    // A log that was compared and found unchanged was looked at; one that came in part was neither looked at
    // to its end nor reconciled.
    let looked = trouble.is_none()
        && (reading.result.mode != Mode::Unchanged || reading.result.log_bytes > 0);
    let reconciled = reading.result.mode == Mode::Full && trouble.is_none();
    let stamp = |at: Option<i64>, fresh: bool| if fresh { now } else { at.unwrap_or(0) };
    let end = cursor::Model {
        tail_checked_at: stamp(before.as_ref().map(|row| row.tail_checked_at), looked),
        full_read_at: stamp(before.as_ref().map(|row| row.full_read_at), reconciled),
        users: reading.users_counted,
        ..from_protocol(device.id, after)
    };
    let portions: Vec<&[NewPunch]> = if reading.punches.is_empty() {
        vec![&[]]
    } else {
        reading.punches.chunks(PORTION).collect()
    };
    let mut taken = Taken::default();
    let mut users = reading.users.as_deref();
    for (index, portion) in portions.iter().enumerate() {
        let last = index + 1 == portions.len();
        if index > 0 && options.stop.as_ref().is_some_and(Stop::is_requested) {
            return Err(Failure::new(
                "stopped",
                format!("Stopped as asked; {} punches were stored.", taken.new),
                "Nothing is lost: the next poll goes on from there.",
            )
            .into());
        }
        let cursor = if keep_cursor {
            before
                .clone()
                .unwrap_or_else(|| from_protocol(device.id, &PollCursor::new()))
        } else if last {
            end.clone()
        } else {
            cursor::Model {
                // Only the end of the whole reading makes it one.
                full_read_at: before.as_ref().map_or(0, |row| row.full_read_at),
                ..part_way(&end, &reading.result, portion, counted)
            }
        };
        let intake = Intake {
            device,
            facts: Facts {
                complete_until: (last && trouble.is_none() && !keep_cursor)
                    .then_some(reading.began),
                ..reading.facts.clone()
            },
            lease: held.lease(),
            source: "pull",
            punches: portion,
            generation,
            counted,
            users: users.take(),
            cursor,
            plausible: app.config.plausible_from.0..=app.today() + Days::new(1),
            done: last,
            gives_back: last,
            error: trouble.map(|failure| format!("{} {}", failure.message, failure.remedy)),
        };
        // What renews the lease meanwhile finds it given back, not lost.
        held.set_returned(last);
        let stored = app.store.take_in(intake, now, app.clock.now_ms()).await;
        held.set_returned(last && stored.is_ok());
        let stored = stored.map_err(|error| match error {
            IntakeError::LeaseLost => super::lost(&held.lease().name),
            IntakeError::Database(error) => error.into(),
        })?;
        taken.new += stored.new;
        taken.repeated += stored.repeated;
    }
    Ok(taken)
}

/// The cursor behind a portion that is not the last. It never goes back behind what an earlier reading stored.
fn part_way(
    end: &cursor::Model,
    result: &PollResult,
    portion: &[NewPunch],
    counted: i64,
) -> cursor::Model {
    let reached = portion
        .last()
        .map_or(0, |punch| punch.log_index + 1)
        .max(counted);
    let width = result.log.layout().width();
    let within = usize::try_from(reached - i64::from(result.first_index)).unwrap_or(0);
    let from = within.saturating_sub(PollOptions::TAIL);
    let tail = result.log.as_bytes().get(from * width..within * width);
    cursor::Model {
        records: reached,
        tail: tail.unwrap_or_default().to_vec(),
        ..end.clone()
    }
}

fn to_protocol(row: &cursor::Model) -> PollCursor {
    let layout = Layout::ALL
        .iter()
        .copied()
        .find(|layout| layout.name() == row.layout);
    PollCursor {
        generation: u32::try_from(row.log_generation).unwrap_or(0),
        records: u32::try_from(row.records).unwrap_or(0),
        layout: layout.unwrap_or(Layout::Bytes40),
        header: u32::try_from(row.header).unwrap_or(4),
        tail: row.tail.clone().into(),
        slices: row.slices,
        counters_trusted: row.counters_trusted,
    }
}

fn from_protocol(device_id: i64, cursor: &PollCursor) -> cursor::Model {
    cursor::Model {
        device_id,
        log_generation: i64::from(cursor.generation),
        records: i64::from(cursor.records),
        layout: cursor.layout.name().to_owned(),
        header: i32::try_from(cursor.header).unwrap_or(4),
        tail: cursor.tail.to_vec(),
        tail_checked_at: 0,
        full_read_at: 0,
        slices: cursor.slices,
        counters_trusted: cursor.counters_trusted,
        users: -1,
    }
}

/// What the terminal says of itself: always its serial number, the rest where it may be news.
async fn facts(
    client: &mut Client,
    device: &device::Model,
    all: bool,
) -> Result<Facts, zk_proto::Error> {
    let known = device.serial_number.is_some() && device.firmware.is_some();
    if known && !all {
        return Ok(Facts {
            serial_number: client.serial_number().await?,
            ..Facts::default()
        });
    }
    let info = client.info().await?;
    Ok(Facts {
        serial_number: info.serial_number,
        mac: info.mac,
        firmware: info.firmware,
        platform: info.platform,
        model: info.name,
        ..Facts::default()
    })
}

/// How far the terminal's clock is ahead of ours, if it tells the time at all.
async fn clock_drift(app: &App, client: &mut Client, device: &device::Model) -> Option<i64> {
    let zone = zone::lookup(&device.timezone).ok()?;
    let told = client.time().await.ok()?.to_civil().ok()?;
    let there = zone::earliest(&zone, told)?;
    Some(there - app.clock.now())
}

/// A terminal is bound to its serial number, else to its hardware address.
fn refuse_another(device: &device::Model, facts: &Facts) -> anyhow::Result<()> {
    let differs = |known: &Option<String>, told: &Option<String>| matches!((known, told), (Some(known), Some(told)) if known != told);
    let other = differs(&device.serial_number, &facts.serial_number)
        || (device.serial_number.is_none() && differs(&device.mac, &facts.mac));
    if !other {
        return Ok(());
    }
    Err(Failure::new(
        "other_terminal",
        format!(
            "At the address of {} answers another terminal: its serial number is {}, not {}.",
            device.name,
            facts.serial_number.as_deref().unwrap_or("unknown"),
            device.serial_number.as_deref().unwrap_or("unknown"),
        ),
        "Nothing was stored. If the terminal was replaced, add the new one as a device of its own; else correct the address.",
    )
    .into())
}

/// The same terminal under two names is read twice, and its punches stand twice in the store. Cheap terminals do share
/// serial numbers, though, so this is for a human to judge.
async fn warn_of_twin(app: &App, device: &device::Model, facts: &Facts) -> anyhow::Result<()> {
    let Some(serial_number) = facts.serial_number.as_deref() else {
        return Ok(());
    };
    if device.serial_number.is_some() {
        return Ok(());
    }
    for twin in app.store.twins(device.id, serial_number).await? {
        tracing::warn!(
            device = device.name,
            twin = twin.name,
            "two devices tell the same serial number; if they are one terminal, disable one of them"
        );
    }
    Ok(())
}

async fn read_users(
    client: &mut Client,
    device_id: i64,
    now: i64,
) -> anyhow::Result<Option<Vec<device_user::Model>>> {
    let users = match client.users().await {
        Ok(users) => users,
        // Names are a convenience; punches are not. A terminal that cannot tell them is read all the same.
        Err(error @ (zk_proto::Error::Rejected { .. } | zk_proto::Error::Decode(_))) => {
            tracing::warn!(%error, "the user list was not read");
            return Ok(None);
        }
        Err(error) => return Err(devices::failure(&error).into()),
    };
    let encoding = client.encoding();
    Ok(Some(
        users
            .iter()
            .map(|user| device_user::Model {
                device_id,
                user_id: user.user_id.decode(encoding).into_owned(),
                uid: i32::from(user.uid),
                name: user.name.decode(encoding).trim().to_owned(),
                privilege: i32::from(user.privilege.0),
                card: i64::from(user.card),
                group: user.group.to_string(),
                seen_at: now,
            })
            .collect(),
    ))
}

fn news(result: &PollResult, skip: usize, encoding: Encoding) -> Vec<NewPunch> {
    let mut punches = Vec::with_capacity(result.log.len().saturating_sub(skip));
    for (index, record) in result.log.iter().enumerate().skip(skip) {
        let Attendance {
            uid,
            user_id,
            verify_mode,
            punch_state,
            time,
            work_code,
        } = record.to_record();
        let fields = time.fields();
        let told = Told::new(
            i32::from(fields.year),
            u32::from(fields.month),
            u32::from(fields.day),
            u32::from(fields.hour),
            u32::from(fields.minute),
            u32::from(fields.second),
        );
        punches.push(NewPunch {
            user_id: user_id.decode(encoding).into_owned(),
            // A packed time has all its parts in range, if not always a date.
            told: told.unwrap_or(Told::from_i64(0)),
            punch_state: punch_state.0,
            verify_mode: verify_mode.0,
            work_code,
            uid: Some(uid),
            log_index: i64::from(result.first_index) + i64::try_from(index).unwrap_or(0),
        });
    }
    punches
}

/// Finds the user ids of records that carry only the internal number.
fn resolve_users(users: &[device_user::Model], punches: &mut [NewPunch]) {
    let by_uid: HashMap<i32, &str> = users
        .iter()
        .map(|user| (user.uid, user.user_id.as_str()))
        .collect();
    for punch in punches.iter_mut().filter(|punch| punch.user_id.is_empty()) {
        let uid = punch.uid.unwrap_or(0);
        punch.user_id = by_uid
            .get(&i32::from(uid))
            .map_or_else(|| format!("uid:{uid}"), |id| (*id).to_owned());
    }
}
