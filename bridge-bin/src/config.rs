//! `zk-bridge.toml`, then the environment. Everything is checked here, once; what gets through is usable.

pub mod alarms;
pub mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attendance_core::Strategy;
use chrono::{NaiveDate, NaiveTime};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::Failure;
use crate::store::DatabaseUrl;

/// The commented example, as `init` writes it.
pub const EXAMPLE: &str = include_str!("../config.example.toml");

/// The example for a site in `zone`.
pub fn example_for(zone: &ZoneName) -> String {
    EXAMPLE.replacen(
        "timezone = \"UTC\"",
        &format!("timezone = \"{}\"", zone.0),
        1,
    )
}

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `postgres://…`, or empty: `SQLite` in the data directory.
    pub database_url: DatabaseUrl,
    /// Where `serve` listens.
    pub listen: Listen,
    /// IANA zone of the site: of days, shifts and devices without their own.
    pub timezone: ZoneName,
    /// Punches before this date are quarantined as implausible.
    pub plausible_from: PlausibleFrom,
    /// The default shift.
    pub shift: Shift,
    /// How far from the shift a punch may lie.
    pub outliers: Outliers,
    /// How terminals are read.
    pub polling: Polling,
    /// When jobs run.
    pub schedule: Schedule,
    /// Where records are sent. Without `url` nothing is, and everything else works.
    pub crm: targets::Target,
    /// What is thrown away, and when.
    pub retention: Retention,
    /// What somebody is told about.
    pub alarms: alarms::Alarms,
    /// Who is told by e-mail, and how.
    pub mail: alarms::Mail,
    /// Further places that records are sent to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<targets::Target>,
}

/// The default shift, for everybody without a roster of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shift {
    /// Start of work; `end` at or before it means the next day.
    pub start: ClockTime,
    /// End of work.
    pub end: ClockTime,
    /// Only a cross-check: if given it must agree with `start` and `end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overnight: Option<bool>,
    /// Days of the week with work.
    pub work_days: Vec<WeekDay>,
    /// Minutes of lateness that are forgiven.
    pub late_grace_minutes: u32,
    /// Minutes of leaving early that are forgiven.
    pub early_grace_minutes: u32,
    /// How ins and outs are told apart, for all shifts.
    pub strategy: Strategy,
}

impl Default for Shift {
    fn default() -> Self {
        let at = |hour| ClockTime(NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default());
        Self {
            start: at(8),
            end: at(18),
            overnight: None,
            work_days: vec![
                WeekDay::Mon,
                WeekDay::Tue,
                WeekDay::Wed,
                WeekDay::Thu,
                WeekDay::Fri,
            ],
            late_grace_minutes: 0,
            early_grace_minutes: 0,
            strategy: Strategy::FirstLast,
        }
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "days of the week")]
pub enum WeekDay {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// S29: further from the shift than this, a punch is an outlier. Hours may be fractions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outliers {
    /// Hours before the start.
    pub early_clock_in_hours: Hours,
    /// Hours after the start.
    pub late_clock_in_hours: Hours,
    /// Hours before the end.
    pub early_clock_out_hours: Hours,
    /// Hours after the end.
    pub late_clock_out_hours: Hours,
    /// Hours beyond those in which a punch is still kept with the day, as an outlier.
    pub reach_hours: Hours,
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            early_clock_in_hours: Hours(7200),
            late_clock_in_hours: Hours(7200),
            early_clock_out_hours: Hours(7200),
            late_clock_out_hours: Hours(10_800),
            reach_hours: Hours(7200),
        }
    }
}

/// How terminals are read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Polling {
    /// Seconds to wait for each answer.
    pub timeout_seconds: u32,
    /// Terminals read at the same time.
    pub concurrency: u32,
    /// Lock the keypad during the transfer.
    pub disable_while_reading: bool,
    /// Term of the lease on a terminal.
    pub lease_seconds: u32,
    /// First wait after a terminal failed, in seconds; doubles up to a quarter of an hour.
    pub retry_seconds: u32,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            timeout_seconds: 10,
            concurrency: 8,
            disable_while_reading: false,
            lease_seconds: 30,
            retry_seconds: 30,
        }
    }
}

/// When jobs run: cron texts of five fields (or six, seconds first), in the site's zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Read the terminals; days touched are processed at once.
    pub poll: CronText,
    /// Assess what is left and what time has settled.
    pub process: CronText,
    /// Deliver what is due.
    pub sync: CronText,
    /// Throw away what `[retention]` does not keep.
    pub clean_up: CronText,
}

impl Default for Schedule {
    fn default() -> Self {
        let cron = |text: &str| CronText(text.to_owned());
        Self {
            poll: cron("*/15 * * * *"),
            process: cron("5 * * * *"),
            sync: cron("*/30 * * * *"),
            clean_up: cron("0 2 * * *"),
        }
    }
}

/// How long what is done with is kept, in days; 0 for ever.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Punches of closed days.
    pub punches_days: u32,
    /// Deliveries that were accepted and have a successor.
    pub outbox_days: u32,
    /// The history of jobs, alarms and notices.
    pub runs_days: u32,
}

// Only ever into the table that the environment is laid over, never into a log.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn no_secret(secret: &SecretString) -> bool {
    secret.expose_secret().is_empty()
}

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident($inner:ty), $default:expr, $parse:expr, $show:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl Default for $name {
            fn default() -> Self {
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                Self(parse($default).expect("the default is valid: tests::the_example_says_the_defaults"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                parse(&text).map(Self).map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let show: fn(&$inner) -> String = $show;
                serializer.serialize_str(&show(&self.0))
            }
        }
    };
}

text_value!(
    /// The name of an IANA zone that exists.
    ZoneName(String), "UTC",
    |text| match crate::zone::lookup(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(failure) => Err(format!("{} {}", failure.message, failure.remedy)),
    },
    String::clone
);

text_value!(
    /// A time of day, `HH:MM` or `HH:MM:SS`.
    ClockTime(NaiveTime), "08:00",
    |text| NaiveTime::parse_from_str(text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"))
        .map_err(|_| format!("{text:?} is not a time of day; write it like \"08:00\", from 00:00 to 23:59")),
    |time| time.format("%H:%M:%S").to_string()
);

text_value!(
    /// A calendar date, `YYYY-MM-DD`.
    DateText(NaiveDate), "2010-01-01",
    |text| NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| format!("{text:?} is not a date; write it like \"2026-03-01\"")),
    ToString::to_string
);

/// The first plausible date; a type of its own only for its default.
pub type PlausibleFrom = DateText;

text_value!(
    /// A cron text of five fields.
    CronText(String), "* * * * *",
    |text| crate::scheduler::cron(text).map(|_| text.to_owned()),
    String::clone
);

text_value!(
    /// A socket address, `HOST:PORT`.
    Listen(String), "127.0.0.1:8080",
    |text| text.rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("{text:?} is no address to listen on; write it like \"127.0.0.1:8080\"")),
    String::clone
);

/// Hours, kept as whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours(pub u32);

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Whole(u32),
            Fraction(f64),
        }
        let hours = match Number::deserialize(deserializer) {
            Ok(Number::Whole(whole)) => f64::from(whole),
            Ok(Number::Fraction(fraction)) => fraction,
            Err(_) => {
                return Err(serde::de::Error::custom(
                    "not a number of hours; write it like 2 or 1.5",
                ));
            }
        };
        if !(0.0..=24.0).contains(&hours) {
            return Err(serde::de::Error::custom("hours must lie between 0 and 24"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 86400, just checked"
        )]
        Ok(Self((hours * 3600.0).round() as u32))
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 3600.0)
    }
}

/// The `.env` beside the configuration, if there is one. What it holds never shows in an error.
fn read_dotenv(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let refused = |why: &str| {
        Failure::new(
            "config",
            format!("{} cannot be read: {why}.", path.display()),
            "Write one NAME=value per line, values with blanks in quotes.",
        )
    };
    let pairs = match dotenvy::from_path_iter(path) {
        Ok(pairs) => pairs,
        Err(_) if !path.exists() => return Ok(BTreeMap::new()),
        Err(_) => return Err(refused("it cannot be opened").into()),
    };
    pairs
        .enumerate()
        .map(|(index, pair)| {
            pair.map_err(|_| refused(&format!("entry {} is not NAME=value", index + 1)).into())
        })
        .collect()
}

/// One setting that the environment may give.
struct Variable {
    name: &'static str,
    /// Old bare names: only from a `.env` beside the file, or with `--seed-env`.
    aliases: &'static [&'static str],
    /// Dotted path in the file.
    field: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Number,
    Bool,
    List,
    EveryMinutes,
}

const VARIABLES: &[Variable] = &[
    var(
        "ZK_BRIDGE_DATABASE_URL",
        &["DATABASE_URL"],
        "database_url",
        Kind::Text,
    ),
    var("ZK_BRIDGE_LISTEN", &[], "listen", Kind::Text),
    var(
        "ZK_BRIDGE_TIMEZONE",
        &["DEVICE_TIME_ZONE", "TIME_ZONE"],
        "timezone",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_PLAUSIBLE_FROM",
        &[],
        "plausible_from",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_SHIFT_START",
        &["WORK_START_TIME"],
        "shift.start",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_SHIFT_END",
        &["WORK_END_TIME"],
        "shift.end",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_SHIFT_OVERNIGHT",
        &["OVERNIGHT_SHIFT"],
        "shift.overnight",
        Kind::Bool,
    ),
    var(
        "ZK_BRIDGE_SHIFT_WORK_DAYS",
        &[],
        "shift.work_days",
        Kind::List,
    ),
    var(
        "ZK_BRIDGE_SHIFT_LATE_GRACE_MINUTES",
        &[],
        "shift.late_grace_minutes",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_SHIFT_EARLY_GRACE_MINUTES",
        &[],
        "shift.early_grace_minutes",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_SHIFT_STRATEGY",
        &[],
        "shift.strategy",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_OUTLIERS_EARLY_CLOCK_IN_HOURS",
        &["OUTLIER_EARLY_CLOCK_IN_HOURS"],
        "outliers.early_clock_in_hours",
        Kind::Number,
    ),
    var(
        "ZK_BRIDGE_OUTLIERS_LATE_CLOCK_IN_HOURS",
        &["OUTLIER_LATE_CLOCK_IN_HOURS"],
        "outliers.late_clock_in_hours",
        Kind::Number,
    ),
    var(
        "ZK_BRIDGE_OUTLIERS_EARLY_CLOCK_OUT_HOURS",
        &["OUTLIER_EARLY_CLOCK_OUT_HOURS"],
        "outliers.early_clock_out_hours",
        Kind::Number,
    ),
    var(
        "ZK_BRIDGE_OUTLIERS_LATE_CLOCK_OUT_HOURS",
        &["OUTLIER_LATE_CLOCK_OUT_HOURS"],
        "outliers.late_clock_out_hours",
        Kind::Number,
    ),
    var(
        "ZK_BRIDGE_OUTLIERS_REACH_HOURS",
        &["OVERNIGHT_SHIFT_BUFFER_HOURS"],
        "outliers.reach_hours",
        Kind::Number,
    ),
    var(
        "ZK_BRIDGE_POLLING_TIMEOUT_SECONDS",
        &["ZKTECO_TIMEOUT"],
        "polling.timeout_seconds",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_POLLING_CONCURRENCY",
        &[],
        "polling.concurrency",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_POLLING_DISABLE_WHILE_READING",
        &[],
        "polling.disable_while_reading",
        Kind::Bool,
    ),
    var(
        "ZK_BRIDGE_POLLING_LEASE_SECONDS",
        &[],
        "polling.lease_seconds",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_POLLING_RETRY_SECONDS",
        &[],
        "polling.retry_seconds",
        Kind::Integer,
    ),
    var("ZK_BRIDGE_SCHEDULE_POLL", &[], "schedule.poll", Kind::Text),
    var(
        "ZK_BRIDGE_SCHEDULE_POLL_MINUTES",
        &["POLLING_INTERVAL_MINUTES"],
        "schedule.poll",
        Kind::EveryMinutes,
    ),
    var(
        "ZK_BRIDGE_SCHEDULE_PROCESS",
        &[],
        "schedule.process",
        Kind::Text,
    ),
    var("ZK_BRIDGE_SCHEDULE_SYNC", &[], "schedule.sync", Kind::Text),
    var(
        "ZK_BRIDGE_SCHEDULE_CLEAN_UP",
        &[],
        "schedule.clean_up",
        Kind::Text,
    ),
    var("ZK_BRIDGE_CRM_URL", &["CRM_API_URL"], "crm.url", Kind::Text),
    var(
        "ZK_BRIDGE_CRM_TOKEN",
        &["CRM_API_TOKEN"],
        "crm.token",
        Kind::Text,
    ),
    var("ZK_BRIDGE_CRM_BATCH_URL", &[], "crm.batch_url", Kind::Text),
    var(
        "ZK_BRIDGE_CRM_TOKEN_FILE",
        &[],
        "crm.token_file",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_CRM_REQUEST_TIMEOUT_SECONDS",
        &["CRM_REQUEST_TIMEOUT"],
        "crm.request_timeout_seconds",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_CRM_BATCH_SIZE",
        &["CRM_SYNC_BATCH_SIZE"],
        "crm.batch_size",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_CRM_CONCURRENCY",
        &[],
        "crm.concurrency",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_CRM_MAX_RETRIES",
        &["CRM_MAX_RETRIES"],
        "crm.max_retries",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_CRM_RETRY_SECONDS",
        &[],
        "crm.retry_seconds",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_CRM_START_DATE",
        &[],
        "crm.start_date",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_CRM_SEND_IN_PROGRESS",
        &[],
        "crm.send_in_progress",
        Kind::Bool,
    ),
    var(
        "ZK_BRIDGE_CRM_SEND_DAYS_OFF",
        &[],
        "crm.send_days_off",
        Kind::Bool,
    ),
    var(
        "ZK_BRIDGE_RETENTION_PUNCHES_DAYS",
        &[],
        "retention.punches_days",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_RETENTION_OUTBOX_DAYS",
        &[],
        "retention.outbox_days",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_RETENTION_RUNS_DAYS",
        &[],
        "retention.runs_days",
        Kind::Integer,
    ),
    var(
        "ZK_BRIDGE_MAIL_HOST",
        &["EMAIL_HOST"],
        "mail.host",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_MAIL_PORT",
        &["EMAIL_PORT"],
        "mail.port",
        Kind::Integer,
    ),
    var("ZK_BRIDGE_MAIL_TLS", &[], "mail.tls", Kind::Text),
    var(
        "ZK_BRIDGE_MAIL_USER",
        &["EMAIL_HOST_USER"],
        "mail.user",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_MAIL_PASSWORD",
        &["EMAIL_HOST_PASSWORD"],
        "mail.password",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_MAIL_PASSWORD_FILE",
        &[],
        "mail.password_file",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_MAIL_FROM",
        &["DEFAULT_FROM_EMAIL"],
        "mail.from",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_MAIL_TO",
        &["OUTLIER_EMAIL_RECIPIENTS"],
        "mail.to",
        Kind::List,
    ),
    var(
        "ZK_BRIDGE_MAIL_OUTLIERS",
        &["OUTLIER_EMAIL_NOTIFICATIONS"],
        "mail.outliers",
        Kind::Bool,
    ),
    var(
        "ZK_BRIDGE_ALARMS_WEBHOOK_URL",
        &[],
        "alarms.webhook_url",
        Kind::Text,
    ),
    var(
        "ZK_BRIDGE_ALARMS_WEBHOOK_SECRET",
        &[],
        "alarms.webhook_secret",
        Kind::Text,
    ),
];

/// Old names that mean nothing here: one warning, so that nobody waits for an effect.
const WITHOUT_MEANING: &[&str] = &[
    "DJANGO_SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "LATE_CLOCK_IN_BUFFER_HOURS",
    "EARLY_CLOCK_OUT_BUFFER_HOURS",
    "DISPLAY_TIMEZONE",
    "EMAIL_BACKEND",
    "EMAIL_USE_SSL",
    "EMAIL_USE_TLS",
    "ZKTECO_DEFAULT_PORT",
];

const fn var(
    name: &'static str,
    aliases: &'static [&'static str],
    field: &'static str,
    kind: Kind,
) -> Variable {
    Variable {
        name,
        aliases,
        field,
        kind,
    }
}

/// Where the configuration comes from.
#[derive(Debug, Default)]
pub struct Sources {
    /// `--config`; must exist if given.
    pub file: Option<PathBuf>,
    /// Looked into for `zk-bridge.toml` if no file is given.
    pub data_dir: PathBuf,
    /// Also take the old bare names from the process's environment.
    pub seed_env: bool,
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
}

impl Config {
    /// Reads the file, lays the environment over it, and checks the whole. The second value holds warnings.
    pub fn load(sources: &Sources) -> anyhow::Result<(Self, Vec<String>)> {
        let (config, path) = Self::read_file(sources)?;
        let mut warnings = Vec::new();
        let beside = path
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(&sources.data_dir)
            .join(".env");
        let dotenv = read_dotenv(&beside)?;
        let mut config = overlay(config, &dotenv, true, &mut warnings)?;
        config = overlay(
            config,
            &sources.environment,
            sources.seed_env,
            &mut warnings,
        )?;
        targets::overlay(&mut config.targets, &dotenv);
        targets::overlay(&mut config.targets, &sources.environment);
        config.check()?;
        Ok((config, warnings))
    }

    fn read_file(sources: &Sources) -> anyhow::Result<(Self, Option<PathBuf>)> {
        let path = match &sources.file {
            Some(path) => path.clone(),
            None => sources.data_dir.join("zk-bridge.toml"),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if sources.file.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok((Self::default(), None));
            }
            Err(_) if sources.file.is_none() && !sources.data_dir.is_dir() => {
                return Ok((Self::default(), None));
            }
            Err(error) => {
                let remedy = if error.kind() == std::io::ErrorKind::PermissionDenied {
                    "Run this as the user who runs the bridge, or name another file with --config."
                } else {
                    "Name an existing file with --config, or write one with `zk-bridge init`."
                };
                return Err(Failure::new(
                    "config",
                    format!(
                        "The configuration {} cannot be read: {error}.",
                        path.display()
                    ),
                    remedy,
                )
                .into());
            }
        };
        Ok((Self::parse(&text, &path.display().to_string())?, Some(path)))
    }

    /// From the text of a file called `name`, checked value by value.
    pub fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or_else(String::new, |span| {
                let before = text.get(..span.start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let column = before
                    .rsplit('\n')
                    .next()
                    .map_or(0, |line| line.chars().count())
                    + 1;
                format!(", line {line}, column {column}")
            });
            let message = error.message().trim().trim_end_matches('.').to_owned();
            Failure::new(
                "config",
                format!("{name}{at}: {message}."),
                "Correct that line; `zk-bridge init --print` shows every setting with its meaning.",
            )
            .into()
        })
    }

    /// All places that records are sent to; the one of `[crm]` comes first.
    pub fn targets(&self) -> Vec<targets::Target> {
        let crm = (!self.crm.url.is_empty()).then(|| self.crm.as_crm());
        crm.into_iter()
            .chain(self.targets.iter().cloned())
            .collect()
    }

    /// What no single value can say.
    fn check(&self) -> anyhow::Result<()> {
        let overnight = self.shift.end.0 <= self.shift.start.0;
        if self.shift.overnight.is_some_and(|said| said != overnight) {
            return Err(Failure::new(
                "config",
                format!(
                    "shift.overnight is {}, but a shift from {} to {} {} midnight.",
                    !overnight,
                    self.shift.start.0,
                    self.shift.end.0,
                    if overnight {
                        "crosses"
                    } else {
                        "does not cross"
                    },
                ),
                "Remove `overnight` (OVERNIGHT_SHIFT): it follows from start and end.",
            )
            .into());
        }
        let limits = [
            (
                "polling.timeout_seconds",
                self.polling.timeout_seconds,
                1,
                600,
            ),
            ("polling.concurrency", self.polling.concurrency, 1, 1000),
            ("polling.lease_seconds", self.polling.lease_seconds, 2, 3600),
            ("polling.retry_seconds", self.polling.retry_seconds, 1, 900),
        ];
        for (name, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(Failure::new(
                    "config",
                    format!("{name} is {value}."),
                    format!("Choose a number from {least} to {most}."),
                )
                .into());
            }
        }
        let outliers = &self.outliers;
        for (name, hours) in [
            ("early_clock_in_hours", outliers.early_clock_in_hours),
            ("late_clock_out_hours", outliers.late_clock_out_hours),
        ] {
            if hours.0 + outliers.reach_hours.0 > 86_400 {
                return Err(Failure::new(
                    "config",
                    format!("outliers.{name} and outliers.reach_hours are more than 24 hours together."),
                    "Lower one of them: a punch cannot be kept with a day more than 24 hours away from it.",
                )
                .into());
            }
        }
        targets::check(&self.crm, &self.targets)?;
        self.mail.check()?;
        self.alarms.check()
    }
}

fn overlay(
    config: Config,
    environment: &BTreeMap<String, String>,
    aliases: bool,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Config> {
    let mut config = config;
    for variable in VARIABLES {
        let alias = variable.aliases.iter().filter(|_| aliases);
        let Some((name, text)) = std::iter::once(&variable.name)
            .chain(alias)
            .find_map(|name| environment.get(*name).map(|text| (*name, text)))
            .filter(|(_, text)| !text.is_empty())
        else {
            continue;
        };
        let refused = |why: String| {
            Failure::new(
                "config",
                format!(
                    "The environment variable {name} is refused: {}.",
                    why.trim_end_matches('.')
                ),
                format!(
                    "Correct or unset {name}; it stands for `{}` in zk-bridge.toml.",
                    variable.field
                ),
            )
        };
        let value = variable
            .kind
            .value(text)
            .ok_or_else(|| refused(format!("{text:?} is not of the right form")))?;
        let mut table = toml::Table::try_from(&config)?;
        let mut path = variable.field.split('.').rev();
        let last = path.next().unwrap_or_default();
        let mut place = &mut table;
        for section in path.rev() {
            let Some(inner) = place.get_mut(section).and_then(toml::Value::as_table_mut) else {
                anyhow::bail!("no section {section} in the configuration");
            };
            place = inner;
        }
        place.insert(last.to_owned(), value);
        config = table
            .try_into()
            .map_err(|error: toml::de::Error| refused(error.message().to_owned()))?;
    }
    if aliases {
        let idle: Vec<&str> = WITHOUT_MEANING
            .iter()
            .copied()
            .filter(|name| environment.contains_key(*name))
            .collect();
        if !idle.is_empty() {
            warnings.push(format!(
                "These old settings have no meaning here and are ignored: {}.",
                idle.join(", ")
            ));
        }
    }
    Ok(config)
}

impl Kind {
    fn value(self, text: &str) -> Option<toml::Value> {
        Some(match self {
            Self::Text => text.to_owned().into(),
            Self::Integer => text.trim().parse::<i64>().ok()?.into(),
            Self::Number => text.trim().parse::<f64>().ok()?.into(),
            Self::Bool => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return None,
            }
            .into(),
            Self::List => toml::Value::Array(
                text.split(',')
                    .map(|part| part.trim().to_lowercase().into())
                    .collect(),
            ),
            Self::EveryMinutes => match text.trim().parse::<u32>().ok()? {
                minutes @ 1..=59 => format!("*/{minutes} * * * *"),
                minutes @ 60..=1380 if minutes % 60 == 0 => format!("0 */{} * * *", minutes / 60),
                _ => return None,
            }
            .into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)], seed_env: bool) -> anyhow::Result<(Config, Vec<String>)> {
        let environment = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::load(&Sources {
            environment,
            seed_env,
            data_dir: "/nonexistent".into(),
            file: None,
        })
    }

    #[test]
    fn the_example_says_the_defaults() {
        let example = Config::parse(EXAMPLE, "config.example.toml").unwrap();
        assert_eq!(
            toml::to_string(&example).unwrap(),
            toml::to_string(&Config::default()).unwrap()
        );
    }

    #[test]
    fn the_example_for_a_site_names_its_zone() {
        let zone = ZoneName("Africa/Nairobi".to_owned());
        let config = Config::parse(&example_for(&zone), "example").unwrap();
        assert_eq!(config.timezone, zone);
    }

    #[test]
    fn an_invalid_zone_names_file_line_and_remedy() {
        let error = Config::parse(
            "listen = \"127.0.0.1:1\"\ntimezone = \"Africa/Nairobbi\"\n",
            "x.toml",
        )
        .unwrap_err();
        let failure = Failure::of(&error);
        assert!(
            failure.message.starts_with("x.toml, line 2, column 12: "),
            "{}",
            failure.message
        );
        assert!(
            failure.message.contains("Africa/Nairobbi"),
            "{}",
            failure.message
        );
        assert!(!failure.remedy.is_empty());
    }

    #[test]
    fn an_invalid_time_names_file_and_line() {
        let error = Config::parse("[shift]\n\nstart = \"25:00\"\n", "x.toml").unwrap_err();
        assert!(
            Failure::of(&error)
                .message
                .starts_with("x.toml, line 3, column 9: \"25:00\" is not a time of day")
        );
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = Config::parse("[shift]\nbegin = \"08:00\"\n", "x.toml").unwrap_err();
        assert!(Failure::of(&error).message.contains("line 2"), "{error:#}");
    }

    #[test]
    fn the_environment_wins_and_names_itself_when_wrong() {
        let (config, _) = load(
            &[
                ("ZK_BRIDGE_SHIFT_START", "20:00"),
                ("ZK_BRIDGE_SHIFT_END", "05:00"),
            ],
            false,
        )
        .unwrap();
        assert_eq!(config.shift.start.0.to_string(), "20:00:00");
        let error = load(&[("ZK_BRIDGE_TIMEZONE", "Mars/Olympus")], false).unwrap_err();
        assert!(error.to_string().contains("ZK_BRIDGE_TIMEZONE"), "{error}");
    }

    #[test]
    fn old_names_count_only_when_asked_for() {
        let old = [
            ("WORK_START_TIME", "07:00"),
            ("POLLING_INTERVAL_MINUTES", "5"),
            ("DEBUG", "1"),
        ];
        let (config, warnings) = load(&old, false).unwrap();
        assert_eq!(config.shift.start, Shift::default().start);
        assert!(warnings.is_empty());
        let (config, warnings) = load(&old, true).unwrap();
        assert_eq!(config.shift.start.0.to_string(), "07:00:00");
        assert_eq!(config.schedule.poll.0, "*/5 * * * *");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("DEBUG"));
    }

    #[test]
    fn overnight_must_agree_with_the_times() {
        let error = load(&[("ZK_BRIDGE_SHIFT_OVERNIGHT", "true")], false).unwrap_err();
        assert!(
            error.to_string().contains("does not cross midnight"),
            "{error}"
        );
    }

    #[test]
    fn what_gets_through_is_usable() {
        let error = load(&[("ZK_BRIDGE_OUTLIERS_LATE_CLOCK_OUT_HOURS", "23")], false).unwrap_err();
        assert!(
            error.to_string().contains("more than 24 hours together"),
            "{error}"
        );
    }

    #[test]
    fn a_broken_dotenv_hides_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), "CRM_API_TOKEN=hunter2 is secret\n").unwrap();
        let sources = Sources {
            data_dir: dir.path().into(),
            ..Sources::default()
        };
        let error = Config::load(&sources).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_token_never_shows_in_debug() {
        let (config, _) = load(&[("ZK_BRIDGE_CRM_TOKEN", "hunter2")], false).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.crm.token.expose_secret(), "hunter2");
    }
}
