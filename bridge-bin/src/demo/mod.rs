//! Everything at once and on this machine alone: software terminals with a month of lifelike punches, the bridge, a
//! CRM that remembers, and the pages.
//!
//! The world lives in the data directory (its seed in `demo.json`, what the CRM received in `crm.jsonl`), so a
//! restart, also after a kill, meets the same one.

pub mod crm_stub;
pub mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use zk_proto::mock::MockDevice;
use zk_proto::record::{Attendance, Privilege, PunchState, User, VerifyMode};
use zk_proto::wire::PackedTime;

use self::crm_stub::CrmStub;
use self::world::{Setup, Touch, World};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{ClockTime, Config, CronText, ZoneName};
use crate::failure::Failure;
use crate::jobs::{poll, process, sync};
use crate::lifecycle::{self, Shutdown, Stop, be_present};
use crate::store::devices::{MAIN_GROUP, NewDevice};
use crate::store::entity::device;
use crate::store::{FILE, Kind, prepare_directory};
use crate::{http, scheduler, secret, zone};

/// How a demonstration is to be. On a directory that holds one already, its own devices, employees and days count.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the pages are served.
    pub listen: String,
    /// Software terminals.
    pub devices: u32,
    /// People.
    pub employees: u32,
    /// Days of history.
    pub days: u32,
    /// The data directory; none: a place of its own beside the platform's.
    pub data_dir: Option<PathBuf>,
}

/// What the demonstration has to say, in this order; the first means that the pages answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The pages answer.
    Ready {
        /// Always true.
        ready: bool,
        /// Where.
        url: String,
        /// Good once, for ten minutes, on this machine.
        login_url: String,
        /// The mock CRM.
        crm_url: String,
        /// The software terminals.
        devices: Vec<String>,
        /// Where all of it lives.
        data_dir: String,
        /// This process.
        pid: u32,
    },
    /// The terminals were read.
    Polled {
        /// Read whole.
        devices: usize,
        /// Records in their logs.
        fetched: u64,
        /// Of them, new here.
        new: u64,
    },
    /// Daily records were computed.
    Processed {
        /// New or changed ones.
        records: u64,
        /// Of them, with an outlier.
        outliers: u64,
    },
    /// Records were delivered to the mock CRM.
    Delivered {
        /// Accepted.
        successful: u64,
        /// Not accepted.
        failed: u64,
        /// Records the mock CRM holds now.
        held: usize,
    },
    /// The demonstration goes on by itself.
    Running,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { url, login_url, crm_url, devices, data_dir, .. } => write!(
                f,
                "The demonstration runs on this machine only; its data is in {data_dir}.\n\n  \
                 Pages        {url}\n  Log in with  {login_url}\n               (works once, for ten minutes)\n  \
                 Terminals    {}\n  Mock CRM     {crm_url}\n",
                devices.join(", ")
            ),
            Self::Polled { devices, fetched, new } => {
                write!(f, "Read {devices} terminals over the ZK protocol: {fetched} records, {new} of them new.")
            }
            Self::Processed { records, outliers } => {
                write!(f, "Computed {records} daily records, {outliers} of them with an outlier.")
            }
            Self::Delivered { successful, failed, held } => write!(
                f,
                "Delivered {successful} records to the mock CRM ({failed} failed); it holds {held} now."
            ),
            Self::Running => f.write_str(
                "\nPeople go on punching; the terminals are read every minute. Press Ctrl-C to stop: started again, \
                 the demonstration carries on.",
            ),
        }
    }
}

/// What makes a demonstration the same one after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    seed: u64,
    devices: u16,
    employees: u16,
    from: NaiveDate,
    zone: String,
}

/// Runs until a signal asks to stop.
pub async fn run(options: Options, clock: Clock, mut say: impl FnMut(&Step)) -> anyhow::Result<()> {
    let data_dir = options.data_dir.clone().map_or_else(place, Ok)?;
    refuse_other_data(&data_dir)?;
    let remembered = remember(&data_dir, &options, clock)?;
    let site = zone::lookup(&remembered.zone)?;
    let now = zone::civil_at(&site, clock.as_of());
    let world = World::generate(&remembered.setup(now));

    let crm = CrmStub::builder()
        .state(data_dir.join("crm.jsonl"))
        .start()
        .await?;
    let app = App::open(
        data_dir.clone(),
        config(&remembered, &crm),
        clock,
        Kind::Demo,
    )
    .await?;
    let terminals = start_terminals(&world).await?;
    register(&app, &world, &remembered, &terminals).await?;

    let listener = TcpListener::bind(&options.listen).await.map_err(|error| {
        Failure::new(
            "listen",
            format!("Nothing can listen on {}: {error}.", options.listen),
            "Choose another address with --listen, like 127.0.0.1:8081; port 0 takes any free one.",
        )
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let login_url = url.clone() + &login_link(&app).await?;
    let (shutdown, stop) = Shutdown::new();
    shutdown.clone().on_signals();
    let pages = tokio::spawn(http::serve(app.clone(), listener, stop.clone()));
    let present = be_present(app.clone(), "all", Some(url.clone()), stop.clone());
    let present = tokio::spawn(present);
    say(&Step::Ready {
        ready: true,
        url,
        login_url,
        crm_url: crm.url(),
        devices: terminals
            .iter()
            .map(|terminal| terminal.addr().to_string())
            .collect(),
        data_dir: data_dir.display().to_string(),
        pid: std::process::id(),
    });

    let work = async {
        first_turn(&app, &crm, &stop, &mut say).await?;
        scheduler::install(&app).await?;
        say(&Step::Running);
        let people = live(&remembered, &site, clock, now, &terminals, stop.clone());
        tokio::join!(scheduler::run(app.clone(), stop.clone()), people);
        anyhow::Ok(())
    };
    let result = work.await;
    shutdown.stop();
    pages.await??;
    present.await?;
    lifecycle::leave(&app).await;
    result
}

/// Terminals to CRM once, so that there is something to see.
async fn first_turn(
    app: &App,
    crm: &CrmStub,
    stop: &Stop,
    say: &mut impl FnMut(&Step),
) -> anyhow::Result<()> {
    let polled = poll::run(
        app,
        &poll::Options {
            stop: Some(stop.clone()),
            ..Default::default()
        },
    )
    .await?;
    say(&Step::Polled {
        devices: polled.successful,
        fetched: polled
            .devices
            .iter()
            .map(|device| device.total_fetched)
            .sum(),
        new: polled.devices.iter().map(|device| device.new_records).sum(),
    });
    let processed = process::run(app, &process::Options::default()).await?;
    say(&Step::Processed {
        records: processed.processed,
        outliers: processed.outliers,
    });
    let delivered = sync::run(
        app,
        &sync::Options {
            stop: Some(stop.clone()),
            ..Default::default()
        },
    )
    .await?;
    say(&Step::Delivered {
        successful: delivered.successful,
        failed: delivered.failed,
        held: crm.snapshot().records.len(),
    });
    Ok(())
}

impl Remembered {
    fn setup(&self, now: NaiveDateTime) -> Setup {
        Setup {
            seed: self.seed,
            employees: self.employees,
            devices: self.devices,
            from: self.from,
            now,
            zone: self.zone.clone(),
        }
    }
}

fn place() -> anyhow::Result<PathBuf> {
    let beside = directories::ProjectDirs::from("", "", "zk-bridge-demo").ok_or_else(|| {
        Failure::new(
            "data_dir",
            "This system names no place for application data.",
            "Choose a directory with --data-dir.",
        )
    })?;
    Ok(beside.data_dir().to_owned())
}

/// A directory with anything in it but a demonstration is left alone. That a database in it is one of a demonstration
/// is checked when it is opened.
fn refuse_other_data(data_dir: &Path) -> anyhow::Result<()> {
    let mut names = match std::fs::read_dir(data_dir) {
        Ok(entries) => entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name()),
        // Missing, or no directory: opening the store makes it, or says what is wrong.
        Err(_) => return Ok(()),
    };
    if data_dir.join(FILE).exists() || data_dir.join(REMEMBERED).exists() {
        return Ok(());
    }
    match names.next() {
        None => Ok(()),
        Some(name) => Err(Failure::new(
            "data_dir",
            format!(
                "The directory {} was not made by demo: it holds {}.",
                data_dir.display(),
                name.to_string_lossy()
            ),
            "Choose an empty or a new directory with --data-dir.",
        )
        .into()),
    }
}

const REMEMBERED: &str = "demo.json";

fn remember(data_dir: &Path, options: &Options, clock: Clock) -> anyhow::Result<Remembered> {
    let path = data_dir.join(REMEMBERED);
    let unusable = |error: std::io::Error| {
        Failure::new(
            "data_dir",
            format!(
                "The data directory {} cannot be used: {error}.",
                data_dir.display()
            ),
            "Choose a directory you may write to with --data-dir.",
        )
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            return serde_json::from_str(&text).map_err(|error| {
                Failure::new(
                    "data_dir",
                    format!("{} is damaged: {error}.", path.display()),
                    "Remove the directory; the demonstration makes a new one.",
                )
                .into()
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error).into()),
    }
    // So that "today" means what it means to whoever looks at it.
    let zone = zone::of_this_machine();
    let site = zone::lookup(&zone)?;
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let now = zone::civil_at(&site, clock.as_of());
    let setup = Setup::last_days(
        u64::from_le_bytes(secret::random()),
        small(options.employees),
        small(options.devices),
        small(options.days),
        now,
        &zone,
    );
    let remembered = Remembered {
        seed: setup.seed,
        devices: setup.devices,
        employees: setup.employees,
        from: setup.from,
        zone,
    };
    prepare_directory(data_dir)?;
    // Written beside and renamed, so that a kill leaves either nothing or the whole.
    let fresh = data_dir.join("demo.json.new");
    std::fs::write(&fresh, serde_json::to_vec_pretty(&remembered)?).map_err(unusable)?;
    std::fs::rename(&fresh, &path).map_err(unusable)?;
    Ok(remembered)
}

fn config(remembered: &Remembered, crm: &CrmStub) -> Config {
    let every_minute = || CronText("* * * * *".to_owned());
    let mut config = Config {
        timezone: ZoneName(remembered.zone.clone()),
        ..Config::default()
    };
    config.shift.end = ClockTime(chrono::NaiveTime::from_hms_opt(17, 0, 0).unwrap_or_default());
    config.schedule.poll = every_minute();
    config.schedule.process = every_minute();
    config.schedule.sync = every_minute();
    // A killed demonstration is started again at once, and should not wait for its own ghost.
    config.polling.lease_seconds = 4;
    config.crm.url = crm.url();
    config.crm.retry_seconds = 5;
    config
}

const NAMES: [&str; 4] = ["Main gate", "Warehouse", "Workshop", "Office"];

async fn start_terminals(world: &World) -> anyhow::Result<Vec<MockDevice>> {
    let mut terminals = Vec::new();
    for (index, log) in world.punches.iter().enumerate() {
        let users = world.people.iter().map(|person| User {
            uid: person.uid,
            user_id: person.employee_id.as_str().into(),
            name: person.name.as_str().into(),
            privilege: Privilege::USER,
            card: 0,
            group: 1,
        });
        let terminal = MockDevice::builder()
            .serial(&format!("DEMO{:04}", index + 1))
            .users(users)
            .records(log.iter().filter_map(record))
            .start()
            .await?;
        terminals.push(terminal);
    }
    Ok(terminals)
}

fn record(touch: &Touch) -> Option<Attendance> {
    Some(Attendance {
        uid: touch.uid,
        user_id: touch.user_id.as_str().into(),
        verify_mode: VerifyMode(touch.verify_mode),
        punch_state: PunchState(touch.punch_state),
        time: PackedTime::from_civil(touch.time).ok()?,
        work_code: touch.work_code,
    })
}

/// Shifts, rosters and devices; the latter get new ports at every start.
async fn register(
    app: &App,
    world: &World,
    remembered: &Remembered,
    terminals: &[MockDevice],
) -> anyhow::Result<()> {
    if app.store.meta("demo_rosters").await?.is_none() {
        for shift in &world.shifts {
            let definition =
                serde_json::json!({"start": shift.start.to_string(), "end": shift.end.to_string()});
            app.store
                .set_template(&shift.id, definition.to_string())
                .await?;
        }
        // A Monday, on which the weekly pattern begins.
        let monday = remembered.from.week(chrono::Weekday::Mon).first_day();
        for person in &world.people {
            let mut week = vec![vec![person.shift.as_str()]; 5];
            week.extend([vec![], vec![]]);
            app.store
                .assign(&person.employee_id, monday, serde_json::to_string(&week)?)
                .await?;
        }
        app.store.set_meta("demo_rosters", "made").await?;
    }
    let known = app.store.devices().await?;
    for (index, terminal) in terminals.iter().enumerate() {
        let name = NAMES
            .get(index)
            .map_or_else(|| format!("Door {}", index + 1), |name| (*name).to_owned());
        let address = terminal.addr().to_string();
        if let Some(row) = known.iter().find(|row| row.name == name) {
            let moved = device::Model {
                address,
                ..row.clone()
            };
            app.store.update_device(moved).await?;
        } else {
            let new = NewDevice {
                name,
                address,
                secondary_address: None,
                timezone: remembered.zone.clone(),
                comm_key: None,
                transport: "tcp".to_owned(),
                encoding: "auto".to_owned(),
                group: MAIN_GROUP.to_owned(),
                office: None,
            };
            app.store.add_device(new, app.clock.now()).await?;
        }
    }
    Ok(())
}

/// A link for an administrator whose password nobody knows.
async fn login_link(app: &App) -> anyhow::Result<String> {
    let account = if let Some(account) = app.store.account("demo").await? {
        account
    } else {
        let unknown = http::auth::hash_password(&secret::hex(&secret::random::<32>()))?;
        app.store
            .add_account("demo", "admin", unknown, app.clock.now())
            .await?
    };
    http::auth::login_link(app, &account).await
}

/// Lets the people of the world go on punching while time goes by.
async fn live(
    remembered: &Remembered,
    site: &jiff::tz::TimeZone,
    clock: Clock,
    started: NaiveDateTime,
    terminals: &[MockDevice],
    mut stop: Stop,
) {
    let mut since = started;
    while !stop.is_requested() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = stop.requested() => break,
        }
        let now = zone::civil_at(site, clock.as_of());
        for (index, touch) in World::news(&remembered.setup(now), since) {
            if let Some((terminal, record)) = terminals.get(index).zip(record(&touch)) {
                terminal.punch(record);
            }
        }
        since = since.max(now);
    }
}
