//! Reads terminals into the raw store. One terminal's trouble is never another's (P6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Days;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use zk_proto::record::{Attendance, AttendanceLog, Layout, LogHint};
use zk_proto::{Client, Encoding, Progress};

use super::under_lease;
use crate::app::App;
use crate::devices;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::Told;
use crate::store::entity::{cursor, device, device_user};
use crate::store::leases::{self, Lease};
use crate::store::punches::{Facts, Intake, IntakeError, NewPunch, Taken};
use crate::zone;

/// Records by which a log is recognised as the one read before.
const TAIL: usize = 8;

/// Records stored in one transaction: few enough that the lease can be renewed between two, also on a slow disk.
const PORTION: usize = 2_000;

/// Told of a long transfer: the device's name, bytes received, bytes expected.
pub type OnProgress = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// What to read.
#[derive(Clone, Default)]
pub struct Options {
    /// Names of devices; none: all enabled ones.
    pub devices: Vec<String>,
    /// Store only punches of the last so many hours, and leave the cursor where it is.
    pub since_hours: Option<u32>,
    /// Forget the cursor and reconcile the whole log.
    pub full: bool,
    /// Only say what would be stored.
    pub dry_run: bool,
    /// Told of long transfers.
    pub progress: Option<OnProgress>,
    /// Starts no further terminal once a stop was asked for.
    pub stop: Option<Stop>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("devices", &self.devices)
            .field("since_hours", &self.since_hours)
            .field("full", &self.full)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// What a poll brought (S11).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Terminals asked.
    pub total_devices: usize,
    /// Read whole.
    pub successful: usize,
    /// Read in part; what came is stored.
    pub partial: usize,
    /// Not read.
    pub failed: usize,
    /// Each of them, by name.
    pub devices: Vec<DevicePoll>,
}

/// What one terminal brought.
#[derive(Debug, Clone, Serialize)]
pub struct DevicePoll {
    /// Its name.
    pub device: String,
    /// `ok`, `partial` or `error`.
    pub status: &'static str,
    /// Records in the log that was read.
    pub total_fetched: u64,
    /// Punches never seen before.
    pub new_records: u64,
    /// Punches that repeat a stored one.
    pub repeated: u64,
    /// `unchanged`, `tail` or `full`; none on error.
    pub mode: Option<&'static str>,
    /// Bytes received.
    pub bytes: u64,
    /// Requests sent.
    pub requests: u64,
    /// The last complete reading, RFC 3339 UTC.
    pub last_sync: Option<String>,
    /// What went wrong.
    pub error: Option<Trouble>,
}

/// What went wrong with one terminal, and what to do.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields of Failure")]
pub struct Trouble {
    pub kind: String,
    pub message: String,
    pub remedy: String,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind.to_owned(),
            message: failure.message,
            remedy: failure.remedy,
        }
    }
}

/// Reads the chosen terminals, several at a time.
pub async fn run(app: &App, options: &Options) -> anyhow::Result<Report> {
    let mut chosen = Vec::new();
    if options.devices.is_empty() {
        chosen = app
            .store
            .devices()
            .await?
            .into_iter()
            .filter(|row| row.enabled)
            .collect();
    }
    for name in &options.devices {
        chosen.push(app.store.device(name).await?);
    }
    let at_once = usize::try_from(app.config.polling.concurrency).unwrap_or(8);
    let mut devices: Vec<DevicePoll> = stream::iter(chosen)
        .filter(|_| std::future::ready(!options.stop.as_ref().is_some_and(Stop::is_requested)))
        .map(|device| async move { poll_device(app, &device, options).await })
        .buffer_unordered(at_once)
        .collect()
        .await;
    devices.sort_by(|a, b| a.device.cmp(&b.device));
    let count = |status| {
        devices
            .iter()
            .filter(|device| device.status == status)
            .count()
    };
    Ok(Report {
        total_devices: devices.len(),
        successful: count("ok"),
        partial: count("partial"),
        failed: count("error"),
        devices,
    })
}

async fn poll_device(app: &App, device: &device::Model, options: &Options) -> DevicePoll {
    let lease = leases::terminal(device.id);
    let patience = Duration::from_secs(u64::from(app.config.polling.timeout_seconds));
    let result = under_lease(app, &lease, patience, |lease| {
        read(app, device, lease, options)
    })
    .await;
    let error = match result {
        Ok(poll) => return poll,
        Err(error) => Failure::of(&error),
    };
    tracing::warn!(
        device = device.name,
        kind = error.kind,
        error = error.message,
        "the terminal was not read"
    );
    let told = format!("{} {}", error.message, error.remedy);
    // A terminal that another process reads is not in trouble, and a dry run leaves no trace.
    if error.kind != "busy"
        && !options.dry_run
        && let Err(error) = app
            .store
            .note_failure(device.id, &told, app.clock.now())
            .await
    {
        tracing::error!(device = device.name, %error, "the failure could not be noted");
    }
    DevicePoll {
        device: device.name.clone(),
        status: "error",
        total_fetched: 0,
        new_records: 0,
        repeated: 0,
        mode: None,
        bytes: 0,
        requests: 0,
        last_sync: device.last_sync.map(utc),
        error: Some(error.into()),
    }
}

/// One conversation with one terminal, from connecting to storing.
async fn read(
    app: &App,
    device: &device::Model,
    lease: Lease,
    options: &Options,
) -> anyhow::Result<DevicePoll> {
    let mut client = devices::connect(&devices::endpoint_of(app, device)?)
        .await?
        .client;
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
    let facts = facts(&mut client).await.map_err(told)?;
    refuse_another(device, &facts)?;
    let counters = client.counters().await.map_err(told)?;
    let before = app.store.cursor(device.id).await?;
    let mut users = None;
    let unread = before.as_ref().map(|row| row.users) != counters.users.map(i64::from);
    if unread || counters.users.is_none() {
        users = read_users(&mut client, device.id, app.clock.now()).await?;
    }
    let (log, mut trouble) = read_log(&mut client, before.as_ref(), counters.records).await?;
    let encoding = client.encoding();

    // A transfer that broke off is no log that was cleared.
    let known = before
        .as_ref()
        .map_or(0, |row| usize::try_from(row.records).unwrap_or(0));
    let cut_short = trouble.is_some() && log.len() < known;
    let mut place = match &before {
        Some(before) if cut_short => Place {
            generation: before.log_generation,
            first: log.len(),
        },
        before => Place::find(before.as_ref(), &log),
    };
    let continues = before
        .as_ref()
        .is_some_and(|row| row.log_generation == place.generation);
    let counted = if continues { known } else { 0 };
    if options.full && !cut_short {
        place.first = 0;
    }
    let mut punches = news(&log, place.first, encoding);
    if punches.iter().any(|punch| punch.user_id.is_empty()) {
        // P1: such records carry only the internal number, which may have passed to somebody else since the list was
        // last read. Without the list of this moment they cannot be attributed, and nothing is stored.
        let list = match users.take() {
            Some(list) => list,
            None => read_users(&mut client, device.id, app.clock.now())
                .await?
                .ok_or_else(|| {
                    Failure::new(
                        "no_user_list",
                        "The terminal's records name people by internal number only, and its user list was not read.",
                        "Nothing was stored; the next poll tries again.",
                    )
                })?,
        };
        resolve_users(&list, &mut punches);
        users = Some(list);
    }
    let stats = client.stats();
    // The terminal has said all; a farewell that fails changes nothing.
    let _ = client.disconnect().await;

    let mut counters_trusted = before.as_ref().is_none_or(|row| row.counters_trusted);
    if let Some(said) = counters
        .records
        .filter(|said| *said as usize > log.len() && trouble.is_none())
    {
        if counters_trusted {
            trouble = Some(Failure::new(
                "counters_disagree",
                format!("The terminal counts {said} records but sent {}.", log.len()),
                "What came is stored, and the next poll reads again; from now on the counter is not trusted.",
            ));
        }
        counters_trusted = false;
    }
    if let Some(hours) = options.since_hours {
        let zone = zone::lookup(&device.timezone)?;
        let from = zone::civil_at(&zone, app.clock.now() - i64::from(hours) * 3600);
        punches.retain(|punch| punch.told >= Told::from(from));
    }
    let now = app.clock.now();
    let keep_cursor = options.since_hours.is_some() || cut_short;
    // Repeats of a look at the last hours are counted by the reading that moves the cursor.
    let counted = if keep_cursor {
        i64::MAX
    } else {
        i64::try_from(counted).unwrap_or(i64::MAX)
    };
    let users_counted = match (&users, &before) {
        (Some(_), _) => counters.users.map_or(-1, i64::from),
        (None, Some(before)) => before.users,
        (None, None) => -1,
    };
    // The cursor as it is when the first `records` of the log are stored.
    let cursor_at = |records: usize| cursor::Model {
        device_id: device.id,
        log_generation: place.generation,
        records: i64::try_from(records).unwrap_or(i64::MAX),
        width: i32::try_from(log.layout().width()).unwrap_or(0),
        byte_order: "le".to_owned(),
        tail: tail(&log, records).to_vec(),
        tail_checked_at: now,
        full_read_at: now,
        slices: true,
        counters_trusted,
        users: users_counted,
    };
    let unmoved = || before.clone().unwrap_or_else(|| empty_cursor(device.id));
    let mut taken = Taken::default();
    // In portions, each with its own place in the log: a first reading of years takes longer than a lease.
    let portions: Vec<&[NewPunch]> = match (options.dry_run, punches.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec![&[]],
        (false, false) => punches.chunks(PORTION).collect(),
    };
    if options.dry_run {
        taken.new = punches.len() as u64;
    }
    let mut users = users.as_deref();
    for (index, portion) in portions.iter().enumerate() {
        let last = index + 1 == portions.len();
        let reached = portion
            .last()
            .and_then(|punch| usize::try_from(punch.log_index + 1).ok());
        let intake = Intake {
            device,
            facts: facts.clone(),
            lease: &lease,
            source: "pull",
            punches: portion,
            generation: place.generation,
            counted,
            users: users.take(),
            cursor: match reached {
                _ if keep_cursor => unmoved(),
                Some(reached) if !last => cursor_at(reached),
                _ => cursor_at(log.len()),
            },
            plausible: app.config.plausible_from.0..=app.today() + Days::new(1),
            done: last,
            error: trouble
                .as_ref()
                .map(|failure| format!("{} {}", failure.message, failure.remedy)),
        };
        let stored = app.store.take_in(intake, now, app.clock.now_ms()).await;
        let stored = stored.map_err(|error| match error {
            IntakeError::LeaseLost => anyhow::Error::from(Failure::new(
                "lease_lost",
                format!("{error}."),
                "Whoever holds the terminal now carries on; nothing needs doing.",
            )),
            IntakeError::Database(error) => error.into(),
        })?;
        taken.new += stored.new;
        taken.repeated += stored.repeated;
    }
    Ok(DevicePoll {
        device: device.name.clone(),
        status: if trouble.is_some() { "partial" } else { "ok" },
        total_fetched: log.len() as u64,
        new_records: taken.new,
        repeated: taken.repeated,
        mode: Some("full"),
        bytes: stats.bytes_received,
        requests: stats.requests,
        last_sync: if trouble.is_none() && !options.dry_run {
            Some(utc(now))
        } else {
            device.last_sync.map(utc)
        },
        error: trouble.map(Into::into),
    })
}

async fn facts(client: &mut Client) -> Result<Facts, zk_proto::Error> {
    let info = client.info().await?;
    Ok(Facts {
        serial_number: info.serial_number,
        mac: info.mac,
        firmware: info.firmware,
        platform: info.platform,
        model: info.name,
    })
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

/// The whole log, or what came of it with the reason why it is not whole.
async fn read_log(
    client: &mut Client,
    before: Option<&cursor::Model>,
    count: Option<u32>,
) -> anyhow::Result<(AttendanceLog, Option<Failure>)> {
    let error = match client.attendance().await {
        Ok(log) => return Ok((log, None)),
        Err(error) => error,
    };
    let width = before.and_then(|row| usize::try_from(row.width).ok());
    let hint = LogHint {
        count,
        layout: width.and_then(Layout::of_width),
    };
    let failure = devices::failure(&error);
    match error
        .partial()
        .and_then(|data| AttendanceLog::salvage(data, hint))
    {
        Some(log) => Ok((log, Some(failure))),
        None => Err(failure.into()),
    }
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

/// Where the news begins in a log.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    generation: i64,
    first: usize,
}

impl Place {
    /// The log goes on where the cursor stood if the records before it are the same; otherwise it was cleared,
    /// wrapped or replaced, and all of it is news (the key of a punch makes that harmless).
    fn find(before: Option<&cursor::Model>, log: &AttendanceLog) -> Self {
        let Some(before) = before else {
            return Self {
                generation: 1,
                first: 0,
            };
        };
        let known = usize::try_from(before.records).unwrap_or(usize::MAX);
        let same_width =
            before.records == 0 || before.width == i32::try_from(log.layout().width()).unwrap_or(0);
        if known <= log.len() && same_width && tail(log, known) == before.tail.as_slice() {
            Self {
                generation: before.log_generation,
                first: known,
            }
        } else {
            Self {
                generation: before.log_generation + 1,
                first: 0,
            }
        }
    }
}

/// The raw bytes of the last few records before record `end`.
fn tail(log: &AttendanceLog, end: usize) -> &[u8] {
    let width = log.layout().width();
    log.as_bytes()
        .get(end.saturating_sub(TAIL) * width..end * width)
        .unwrap_or_default()
}

fn news(log: &AttendanceLog, first: usize, encoding: Encoding) -> Vec<NewPunch> {
    let mut punches = Vec::with_capacity(log.len().saturating_sub(first));
    for (index, record) in log.iter().enumerate().skip(first) {
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
            log_index: i64::try_from(index).unwrap_or(i64::MAX),
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

fn empty_cursor(device_id: i64) -> cursor::Model {
    cursor::Model {
        device_id,
        log_generation: 1,
        records: 0,
        width: 0,
        byte_order: "le".to_owned(),
        tail: Vec::new(),
        tail_checked_at: 0,
        full_read_at: 0,
        slices: true,
        counters_trusted: true,
        users: -1,
    }
}

fn utc(instant: i64) -> String {
    jiff::Timestamp::from_second(instant)
        .map(|at| at.to_string())
        .unwrap_or_default()
}
