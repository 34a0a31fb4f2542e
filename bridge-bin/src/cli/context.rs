//! What every command starts from: where the data lies, the configuration, the open store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Output, note};
use crate::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::store::{FILE, Kind, Location, Store};

/// Apart from a command's own options.
const GLOBAL: &str = "Global options";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(super) struct Globals {
    /// The configuration [default: zk-bridge.toml in the data directory]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Where database, key and configuration lie [default: `ZK_BRIDGE_DATA_DIR`, else the platform's place, such as
    /// ~/.local/share/zk-bridge]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    data_dir: Option<PathBuf>,
    /// Print JSON: one document, or one per line for commands that go on
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    /// Also take the old bare names (`CRM_API_URL`, `WORK_START_TIME` …) from the environment
    #[arg(long, global = true, help_heading = GLOBAL)]
    seed_env: bool,
}

/// What every command is handed.
#[derive(Debug)]
pub(super) struct Context {
    globals: Globals,
    pub(super) output: Output,
}

impl Context {
    pub(super) const fn new(globals: Globals) -> Self {
        let output = Output::new(globals.json);
        Self { globals, output }
    }

    /// The data directory if one was named, by option or environment.
    pub(super) fn named_data_dir(&self) -> Option<PathBuf> {
        let from_env = || {
            std::env::var_os("ZK_BRIDGE_DATA_DIR")
                .filter(|text| !text.is_empty())
                .map(PathBuf::from)
        };
        self.globals.data_dir.clone().or_else(from_env)
    }

    /// The data directory; it need not exist.
    pub(super) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        let platform = || {
            directories::ProjectDirs::from("", "", "zk-bridge")
                .map(|place| place.data_local_dir().to_owned())
        };
        self.named_data_dir().or_else(platform).ok_or_else(|| {
            Failure::new(
                "data_dir",
                "There is no home directory in which the data could lie.",
                "Name a data directory with --data-dir or ZK_BRIDGE_DATA_DIR.",
            )
            .into()
        })
    }

    /// Where the configuration lies, or would.
    pub(super) fn config_file(&self) -> anyhow::Result<PathBuf> {
        Ok(match &self.globals.config {
            Some(path) => path.clone(),
            None => self.data_dir()?.join("zk-bridge.toml"),
        })
    }

    /// The configuration in force. Its warnings go to stderr.
    pub(super) fn load_config(&self) -> anyhow::Result<Config> {
        self.load_config_from(self.globals.config.clone())
    }

    /// The configuration, although the file that `--config` names may not exist yet.
    pub(super) fn load_config_if_any(&self) -> anyhow::Result<Config> {
        self.load_config_from(self.globals.config.clone().filter(|path| path.exists()))
    }

    fn load_config_from(&self, file: Option<PathBuf>) -> anyhow::Result<Config> {
        let (config, warnings) = self.read_config(file)?;
        for warning in warnings {
            note(format_args!("warning: {warning}"));
        }
        Ok(config)
    }

    fn read_config(&self, file: Option<PathBuf>) -> anyhow::Result<(Config, Vec<String>)> {
        // Names that are no text cannot be ours.
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let sources = Sources {
            file,
            data_dir: self.data_dir()?,
            seed_env: self.globals.seed_env,
            environment,
        };
        Config::load(&sources)
    }

    /// Where the database lies.
    pub(super) fn location(&self) -> anyhow::Result<Location> {
        let (config, _) = self.read_config(self.globals.config.clone())?;
        Ok(Location::of(&self.data_dir()?, &config.database_url))
    }

    /// The open data directory of a bridge.
    pub(super) async fn app(&self) -> anyhow::Result<App> {
        self.open(Kind::Bridge).await
    }

    /// The open data directory, for commands that only look: those of the demonstration may be looked at as well. One
    /// that is not there is not made.
    pub(super) async fn app_to_look_at(&self) -> anyhow::Result<App> {
        let location = self.location()?;
        if let Location::Sqlite(data_dir) = &location {
            refuse_nothing(data_dir)?;
        }
        let found = match Store::open_existing(location).await {
            Some(store) => store.meta("kind").await.ok().flatten(),
            None => None,
        };
        self.open(if found.as_deref() == Some("demo") {
            Kind::Demo
        } else {
            Kind::Bridge
        })
        .await
    }

    async fn open(&self, kind: Kind) -> anyhow::Result<App> {
        let config = self.load_config()?;
        App::open(self.data_dir()?, config, Clock::from_env()?, kind).await
    }
}

/// Where nothing is, there is nothing to look at: most likely the directory is another one.
fn refuse_nothing(data_dir: &Path) -> anyhow::Result<()> {
    // Empty is what a start leaves that was killed at once.
    let is_there = |file: std::fs::Metadata| file.is_file() && file.len() > 0;
    if std::fs::metadata(data_dir.join(FILE)).is_ok_and(is_there) {
        return Ok(());
    }
    let message = if data_dir.is_dir() {
        format!("There is no database in {}.", data_dir.display())
    } else {
        format!("There is no data directory at {}.", data_dir.display())
    };
    Err(Failure::new(
        "data_dir",
        message,
        "Name the right one with --data-dir or ZK_BRIDGE_DATA_DIR, or set it up: zk-bridge init",
    )
    .into())
}
