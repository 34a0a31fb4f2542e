//! Times as targets want them told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// The one place where this crate asks what time it is: for the requests that must tell when they were made.
#[expect(
    clippy::disallowed_methods,
    reason = "a signature and an export tell when they were made; nothing is decided by it"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Whole seconds since 1970; 0 before.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `2026-03-02T05:01:10Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    i64::try_from(unix(time))
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0))
        .map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// `2026-03-02T08:01:10+03:00` as `2026-03-02 05:01:10`, the naive UTC that Odoo keeps.
pub(crate) fn naive_utc(text: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.to_utc().format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Seconds since 1970 as a time.
pub(crate) fn from_unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{from_unix, naive_utc, rfc3339};

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(rfc3339(from_unix(1_772_427_670)), "2026-03-02T05:01:10Z");
        for (told, utc) in [
            ("2026-03-02T08:01:10+03:00", Some("2026-03-02 05:01:10")),
            ("2026-03-02T01:30:00-05:30", Some("2026-03-02 07:00:00")),
            ("2026-03-01T22:00:00Z", Some("2026-03-01 22:00:00")),
            ("2026-03-02 08:01:10", None),
            ("", None),
        ] {
            assert_eq!(naive_utc(told).as_deref(), utc, "{told}");
        }
    }
}
