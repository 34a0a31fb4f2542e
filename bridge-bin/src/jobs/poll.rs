//! Reads terminals into the raw store. One terminal's trouble is never another's (P6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::{Held, reading, term_ms, under_lease, while_held};
use crate::app::App;
use crate::failure::Failure;
use crate::lifecycle::Stop;
use crate::store::due::PollFailure;
use crate::store::entity::device;
use crate::store::leases;

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

impl Trouble {
    /// Whether the database is to blame, not the terminal.
    pub fn is_of_database(&self) -> bool {
        self.kind == Failure::DATABASE
    }
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
    let mut waiting = chosen.into_iter();
    let mut reading: JoinSet<DevicePoll> = JoinSet::new();
    let mut devices = Vec::with_capacity(waiting.len());
    loop {
        let stopped = options.stop.as_ref().is_some_and(Stop::is_requested);
        let room = if stopped { 0 } else { at_once - reading.len() };
        begin(
            app,
            waiting.by_ref().take(room).collect(),
            options,
            &mut reading,
        )
        .await;
        match reading.join_next().await {
            Some(poll) => devices.push(poll?),
            None => break,
        }
    }
    devices.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(Report::of(devices))
}

/// Begins to read a portion of terminals. They are claimed right before, all at once, so that no lease runs while its
/// holder waits.
async fn begin(
    app: &App,
    portion: Vec<device::Model>,
    options: &Options,
    reading: &mut JoinSet<DevicePoll>,
) {
    if portion.is_empty() {
        return;
    }
    let names = portion.iter().map(|device| leases::terminal(device.id));
    let asked = app.clock.monotonic();
    let claimed = app
        .store
        .claim_free(names.collect(), &app.node, term_ms(app), app.clock.now_ms())
        .await;
    // A database in trouble says so to each of them.
    let mut free: HashMap<String, Held> = claimed
        .unwrap_or_default()
        .into_iter()
        .map(|lease| (lease.name.clone(), Held::new(app, lease, asked)))
        .collect();
    for device in portion {
        let (app, options) = (app.clone(), options.clone());
        let held = free.remove(&leases::terminal(device.id));
        reading.spawn(async move {
            match held {
                Some(held) => run_claimed(&app, &device, held, &options).await,
                None => poll_device(&app, &device, &options).await,
            }
        });
    }
}

impl Report {
    /// The sums over these.
    pub fn of(devices: Vec<DevicePoll>) -> Self {
        let count = |status| {
            devices
                .iter()
                .filter(|device| device.status == status)
                .count()
        };
        Self {
            total_devices: devices.len(),
            successful: count("ok"),
            partial: count("partial"),
            failed: count("error"),
            devices,
        }
    }
}

async fn poll_device(app: &App, device: &device::Model, options: &Options) -> DevicePoll {
    let name = leases::terminal(device.id);
    let patience = Duration::from_secs(u64::from(app.config.polling.timeout_seconds));
    let result = under_lease(app, &name, patience, options.stop.as_ref(), |held| {
        read_or_note(app, device, held, options)
    })
    .await;
    outcome(device, result)
}

/// Reads one terminal whose lease was claimed already.
pub async fn run_claimed(
    app: &App,
    device: &device::Model,
    held: Held,
    options: &Options,
) -> DevicePoll {
    let result = while_held(app, held, |held| read_or_note(app, device, held, options)).await;
    outcome(device, result)
}

/// Reads a terminal. A failure is written down while the lease still holds.
async fn read_or_note(
    app: &App,
    device: &device::Model,
    held: Held,
    options: &Options,
) -> anyhow::Result<DevicePoll> {
    let error = match reading::read(app, device, &held, options).await {
        Ok(poll) => return Ok(poll),
        Err(error) => error,
    };
    let failure = Failure::of(&error);
    // Our own trouble, or a wish to stop, is not the terminal's; and a dry run leaves no trace.
    let ours = ["lease_lost", "ended", "stopped", Failure::DATABASE].contains(&failure.kind);
    if !ours && !options.dry_run {
        let noted = PollFailure {
            told: &format!("{} {}", failure.message, failure.remedy),
            retry_seconds: i64::from(app.config.polling.retry_seconds),
        };
        let noted = app
            .store
            .note_failure(device.id, held.lease(), noted, app.clock.now_ms())
            .await;
        if let Err(error) = noted {
            tracing::error!(device = device.name, %error, "the failure could not be noted");
        }
    }
    Err(error)
}

fn outcome(device: &device::Model, result: anyhow::Result<DevicePoll>) -> DevicePoll {
    let error = match result {
        Ok(poll) => return poll,
        Err(error) => Failure::of(&error),
    };
    // Commands tell it in their own words; `serve` has only the log.
    tracing::info!(
        device = device.name,
        kind = error.kind,
        error = error.message,
        "the terminal was not read"
    );
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

/// RFC 3339 in UTC.
pub(crate) fn utc(instant: i64) -> String {
    jiff::Timestamp::from_second(instant)
        .map(|at| at.to_string())
        .unwrap_or_default()
}
