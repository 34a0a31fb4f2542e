//! What every command and job shares.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::targets::Target;
use crate::convert;
use crate::failure::Failure;
use crate::jobs::Keeper;
use crate::secret::{self, SecretKey};
use crate::store::days::NewCorrection;
use crate::store::{Kind, Location, Store};
use crate::zone;

/// The open data directory with its configuration.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// All places that records are sent to.
    pub targets: Arc<[Target]>,
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// Opens sealed secrets.
    pub secrets: SecretKey,
    /// This process, as leases and runs name it.
    pub node: Arc<str>,
    /// Renews the leases of this process.
    pub keeper: Keeper,
    /// The site's zone.
    pub zone: TimeZone,
    /// Where everything lies.
    pub data_dir: PathBuf,
}

impl App {
    /// Opens the data directory, making it if needed.
    pub async fn open(
        data_dir: PathBuf,
        config: Config,
        clock: Clock,
        kind: Kind,
    ) -> anyhow::Result<Self> {
        let store = Store::open(Location::of(&data_dir, &config.database_url), kind).await?;
        if store.finish_restore(&data_dir).await? {
            tracing::warn!("the key of the backup that was restored is in place now");
        }
        let secrets = SecretKey::load(&data_dir)?;
        let zone = zone::lookup(&config.timezone.0)?;
        let node = format!(
            "{} pid {} ({})",
            machine(),
            std::process::id(),
            secret::hex(&secret::random::<3>())
        );
        Ok(Self {
            targets: config.targets().into(),
            config: Arc::new(config),
            store,
            clock,
            secrets,
            node: node.into(),
            keeper: Keeper::default(),
            zone,
            data_dir,
        })
    }

    /// Adds what a human corrects (P11). Refused is a kind that would have no influence, or that there is none of.
    pub async fn correct(&self, new: NewCorrection) -> anyhow::Result<i64> {
        if new.kind == "set_kind" {
            if !self.config.shift.strategy.reads_kinds() {
                return Err(Failure::new(
                    "set_kind_refused",
                    "The kind of a punch has no influence here: the times alone say what is a check-in and what a check-out.",
                    "Void a punch that should not count, or add the one that is missing; kinds count with `strategy = \"state\"` under [shift].",
                )
                .into());
            }
            let named = new.value.as_deref().unwrap_or_default();
            if convert::kind(named).is_none() {
                return Err(Failure::new(
                    "invalid_kind",
                    format!("{named:?} is no kind of punch."),
                    "Kinds are in, out, break_out, break_in, ot_in, ot_out and unknown.",
                )
                .into());
            }
        }
        self.store.add_correction(new, self.clock.now()).await
    }

    /// The devices whose comm key was sealed with another key than this data directory's, by name.
    pub async fn sealed_elsewhere(&self) -> anyhow::Result<Vec<String>> {
        let devices = self.store.devices().await?;
        Ok(devices
            .into_iter()
            .filter(|device| {
                let sealed = device.comm_key.as_deref();
                sealed.is_some_and(|sealed| self.secrets.open(sealed).is_err())
            })
            .map(|device| device.name)
            .collect())
    }

    /// The date at the site as of which days are judged.
    pub fn today(&self) -> NaiveDate {
        zone::date_at(&self.zone, self.clock.as_of())
    }
}

/// The name of this machine, as far as it can be had without asking the network.
fn machine() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    let name: String = told
        .unwrap_or_default()
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    if name.is_empty() {
        "this machine".to_owned()
    } else {
        name
    }
}
