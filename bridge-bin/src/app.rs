//! What every command and job shares.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::config::Config;
use crate::secret::{self, SecretKey};
use crate::store::{Kind, Location, Store};
use crate::zone;

/// The open data directory with its configuration.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// Opens sealed secrets.
    pub secrets: SecretKey,
    /// This process, as leases and runs name it.
    pub node: Arc<str>,
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
        let secrets = SecretKey::load(&data_dir)?;
        let zone = zone::lookup(&config.timezone.0)?;
        let node = format!(
            "pid {} ({})",
            std::process::id(),
            secret::hex(&secret::random::<3>())
        );
        Ok(Self {
            config: Arc::new(config),
            store,
            clock,
            secrets,
            node: node.into(),
            zone,
            data_dir,
        })
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
