//! A bridge between software terminals and a CRM stub, all in this process.

use std::path::Path;

use bridge_bin::app::App;
use bridge_bin::clock::Clock;
use bridge_bin::config::Config;
use bridge_bin::jobs::{poll, process, sync};
use bridge_bin::store::Kind;
use bridge_bin::store::devices::{MAIN_GROUP, NewDevice};
use chrono::{NaiveDate, NaiveDateTime};
use tempfile::TempDir;
use zk_proto::mock::{Builder, MockDevice};
use zk_proto::record::{Attendance, Privilege, PunchState, User, VerifyMode};
use zk_proto::wire::PackedTime;

/// A day-shift site in Nairobi; judged as of noon on Friday, 6 March 2026 unless told otherwise.
pub(crate) const NAIROBI: &str =
    "timezone = \"Africa/Nairobi\"\n[shift]\nstart = \"08:00\"\nend = \"17:00\"\n";

/// A bridge in a directory of its own.
pub(crate) struct Bridge {
    pub(crate) app: App,
    pub(crate) dir: TempDir,
    pub(crate) toml: String,
}

impl Bridge {
    /// A bridge configured by `toml`, with time standing still at `now` (RFC 3339).
    pub(crate) async fn new(toml: &str, now: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the test");
        let app = open(dir.path(), toml, now).await;
        Self {
            app,
            dir,
            toml: toml.to_owned(),
        }
    }

    /// The same in a directory that somebody else uses as well; `dir` is not it.
    pub(crate) async fn within(data_dir: &Path, toml: &str, now: &str) -> Self {
        Self {
            app: open(data_dir, toml, now).await,
            dir: tempfile::tempdir().expect("a directory for the test"),
            toml: toml.to_owned(),
        }
    }

    /// The same on the database at `url`; empty: in the directory.
    pub(crate) async fn on(url: &str, toml: &str, now: &str) -> Self {
        Self::new(&format!("database_url = {url:?}\n{toml}"), now).await
    }

    /// The same bridge later.
    pub(crate) async fn at(&mut self, now: &str) {
        self.app = open(self.dir.path(), &self.toml, now).await;
    }

    /// The bridge of another directory.
    pub(crate) async fn go_to(&mut self, dir: &Path, toml: &str, now: &str) {
        toml.clone_into(&mut self.toml);
        self.app = open(dir, toml, now).await;
    }

    /// The same bridge with more configuration.
    pub(crate) async fn with(&mut self, toml: &str, now: &str) {
        self.toml.push_str(toml);
        self.at(now).await;
    }

    pub(crate) async fn add(&self, name: &str, terminal: &MockDevice) {
        self.add_to(name, terminal, MAIN_GROUP, None).await;
    }

    pub(crate) async fn add_to(
        &self,
        name: &str,
        terminal: &MockDevice,
        group: &str,
        comm_key: Option<&str>,
    ) {
        let sealed = comm_key.map(|key| self.app.secrets.seal(key).expect("a key can be sealed"));
        self.add_address(name, &terminal.addr().to_string(), group, sealed)
            .await;
    }

    pub(crate) async fn add_address(
        &self,
        name: &str,
        address: &str,
        group: &str,
        comm_key: Option<String>,
    ) {
        let new = NewDevice {
            name: name.to_owned(),
            address: address.to_owned(),
            secondary_address: None,
            timezone: self.app.config.timezone.0.clone(),
            comm_key,
            transport: "tcp".to_owned(),
            encoding: "auto".to_owned(),
            group: group.to_owned(),
            office: None,
        };
        self.app
            .store
            .add_device(new, 0)
            .await
            .expect("the device can be added");
    }

    pub(crate) async fn poll(&self) -> poll::Report {
        poll::run(&self.app, &poll::Options::default())
            .await
            .expect("a poll")
    }

    pub(crate) async fn process(&self) -> process::Report {
        process::run(&self.app, &process::Options::default())
            .await
            .expect("an assessment")
    }

    pub(crate) async fn sync(&self) -> sync::Report {
        let options = sync::Options {
            although_paused: true,
            ..Default::default()
        };
        sync::run(&self.app, &options).await.expect("a delivery")
    }

    /// Poll and process, as `serve` does.
    pub(crate) async fn turn(&self) -> process::Report {
        let report = self.poll().await;
        assert_eq!(report.successful, report.total_devices, "{report:?}");
        self.process().await
    }

    /// Whether a target as a whole waits for a human or its next probe.
    pub(crate) async fn is_paused(&self, target: &str) -> bool {
        let target = self.app.store.target(target).await.expect("the targets");
        let until = target.and_then(|row| row.paused_until);
        until.is_some_and(|until| until > self.app.clock.now())
    }

    /// The records of one employee and date, as JSON.
    pub(crate) async fn records(&self, employee: &str, on: &str) -> Vec<serde_json::Value> {
        let rows = self
            .app
            .store
            .records_on(date(on))
            .await
            .expect("the records of a date");
        rows.iter()
            .filter(|row| row.employee == employee)
            .map(|row| serde_json::from_str(&row.content).expect("a record is JSON"))
            .collect()
    }

    /// The one record of one employee and date.
    pub(crate) async fn record(&self, employee: &str, on: &str) -> serde_json::Value {
        let mut records = self.records(employee, on).await;
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    /// All stored punches of a device.
    pub(crate) async fn punches(
        &self,
        device: &str,
    ) -> Vec<bridge_bin::store::entity::punch::Model> {
        let device = self.app.store.device(device).await.expect("the device");
        self.app
            .store
            .punches_of(device.id)
            .await
            .expect("its punches")
    }
}

async fn open(dir: &Path, toml: &str, now: &str) -> App {
    let config = Config::parse(toml, "test").expect("the test's configuration");
    let now = now
        .parse::<jiff::Timestamp>()
        .expect("an instant")
        .as_second();
    App::open(dir.to_owned(), config, Clock::fixed(now), Kind::Bridge)
        .await
        .expect("the bridge opens")
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

pub(crate) fn civil(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M"))
        .expect("a civil time")
}

/// A fingerprint punch with the state key at check-in.
pub(crate) fn punch(user: &str, at: &str) -> Attendance {
    Attendance {
        uid: user.parse().unwrap_or(1),
        user_id: user.into(),
        verify_mode: VerifyMode::FINGERPRINT,
        punch_state: PunchState::CHECK_IN,
        time: PackedTime::from_civil(civil(at)).expect("a time that can be packed"),
        work_code: 0,
    }
}

pub(crate) fn user(uid: u16, id: &str, name: &str) -> User {
    User {
        uid,
        user_id: id.into(),
        name: name.into(),
        privilege: Privilege::USER,
        card: 0,
        group: 1,
    }
}

/// A terminal with these punches.
pub(crate) async fn terminal(punches: impl IntoIterator<Item = Attendance>) -> MockDevice {
    start(MockDevice::builder().records(punches)).await
}

pub(crate) async fn start(builder: Builder) -> MockDevice {
    builder.start().await.expect("a software terminal")
}
