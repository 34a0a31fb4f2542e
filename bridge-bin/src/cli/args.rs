//! Values on the command line, checked where they are read.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use chrono::NaiveDate;
use clap::ValueEnum;
use zk_proto::Encoding;

use crate::Failure;
use crate::devices;
use crate::scheduler;
use crate::zone;

/// The environment variable that gives a comm key.
pub(super) const COMM_KEY_VARIABLE: &str = "ZK_BRIDGE_COMM_KEY";

/// `HOST[:PORT]`, kept with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `[::1]` and `::1` mean the same; only before a port the brackets are needed.
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        let full = devices::with_port(bare).map_err(|error| {
            let failure = Failure::of(&error);
            format!("{} {}", failure.message, failure.remedy)
        })?;
        let host = full.rsplit_once(':').map_or("", |(host, _)| host);
        if is_host(host) {
            Ok(Self(full))
        } else {
            Err(format!(
                "{host:?} is neither the name nor the address of a host"
            ))
        }
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        return inside
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.len() <= 253
        && host
            .strip_suffix('.')
            .unwrap_or(host)
            .split('.')
            .all(is_label)
}

/// A comm key, a password: never shown, not even when it is no number.
#[derive(Clone)]
pub(super) struct CommKey(String);

impl fmt::Debug for CommKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommKey(…)")
    }
}

impl FromStr for CommKey {
    type Err = std::convert::Infallible;

    /// Takes any text: clap would repeat a refused one in its message.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl CommKey {
    /// From the environment.
    pub(super) fn from_env() -> Option<Self> {
        std::env::var(COMM_KEY_VARIABLE)
            .ok()
            .filter(|text| !text.is_empty())
            .map(Self)
    }

    /// The key; `-` takes it from the first line of stdin.
    pub(super) fn read(&self) -> anyhow::Result<zk_proto::CommKey> {
        self.number().map(zk_proto::CommKey::new)
    }

    /// The key as a number.
    pub(super) fn number(&self) -> anyhow::Result<u32> {
        let mut line = String::new();
        let text = if self.0 == "-" {
            std::io::stdin().read_line(&mut line)?;
            &line
        } else {
            &self.0
        };
        Ok(text.trim().parse().map_err(|_| {
            usage(
                "The comm key is not a number from 0 to 4294967295.",
                format!("Give the number set on the terminal with --comm-key or {COMM_KEY_VARIABLE}; 0 means none."),
            )
        })?)
    }
}

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    /// TCP, and UDP if nobody answers there
    Auto,
    /// TCP only
    Tcp,
    /// UDP only, for old models
    Udp,
}

impl Transport {
    /// The word for it in the store.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How a terminal writes names.
pub(super) fn encoding(text: &str) -> Result<Encoding, String> {
    text.parse()
        .map_err(|error: zk_proto::wire::UnknownEncoding| error.to_string())
}

/// The name of an IANA zone that exists.
pub(super) fn zone_name(text: &str) -> Result<String, String> {
    zone::lookup(text)
        .map(|_| text.to_owned())
        .map_err(|failure| format!("{} {}", failure.message, failure.remedy))
}

/// `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let strict = text.len() == 10;
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| strict)
        .ok_or_else(|| "this is no date; write it like 2026-03-01".to_owned())
}

/// A cron text of five fields, or six with the seconds first.
pub(super) fn cron(text: &str) -> Result<String, String> {
    scheduler::cron(text).map(|_| text.to_owned())
}

/// A name of 1 to 100 printable characters.
pub(super) fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 {
        return Err("a name has 1 to 100 characters".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A range of dates; the end is `today` unless it is given.
pub(super) fn range(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    today: NaiveDate,
) -> anyhow::Result<Option<(NaiveDate, NaiveDate)>> {
    let Some(from) = from else { return Ok(None) };
    let to = to.unwrap_or(today);
    if from > to {
        return Err(usage(
            format!("The range begins on {from}, after its end on {to}."),
            "Give a --start-date that is not after the --end-date (today unless given).",
        )
        .into());
    }
    Ok(Some((from, to)))
}

/// A wrong use of the command line that only shows after parsing; ends with 2 like all others.
pub(super) fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new("usage", message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_usual_port() {
        let address = |text: &str| text.parse::<Address>().map(|address| address.0);
        for (text, expected) in [
            ("192.168.1.201", "192.168.1.201:4370"),
            ("192.168.1.201:4371", "192.168.1.201:4371"),
            ("gate.example", "gate.example:4370"),
            ("fe80::1", "[fe80::1]:4370"),
            ("[fe80::1]:99", "[fe80::1]:99"),
            ("[::1]", "[::1]:4370"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(expected));
        }
        for text in [
            "",
            ":4370",
            "gate:",
            "gate:0",
            "gate:65536",
            "gate:x",
            "1.2.3",
            "1.2.3.256",
            "a b",
            "a/b",
            "[x]:1",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_comm_key_is_never_shown() {
        let key: CommKey = "12x4".parse().unwrap();
        let error = key.number().unwrap_err();
        assert!(!format!("{key:?} {error:?}").contains("12x4"));
        assert_eq!(
            "4294967295".parse::<CommKey>().unwrap().number().unwrap(),
            u32::MAX
        );
    }

    #[test]
    fn dates_are_strict() {
        assert!(date("2026-03-01").is_ok());
        for text in ["2026-3-1", "2026-02-30", "+2026-03-0", "yesterday", ""] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_ends_today() {
        let day = |text: &str| date(text).unwrap();
        let today = day("2026-03-05");
        assert_eq!(
            range(Some(day("2026-03-01")), None, today).unwrap(),
            Some((day("2026-03-01"), today))
        );
        assert_eq!(range(None, None, today).unwrap(), None);
        assert!(range(Some(day("2026-03-06")), None, today).is_err());
    }
}
