//! IANA zones: the system's data first, the bundled copy as fall-back.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serializer;

use crate::failure::Failure;

/// Looks a zone up by its IANA name.
pub fn lookup(name: &str) -> Result<TimeZone, Failure> {
    TimeZone::get(name).map_err(|_| {
        Failure::new(
            "invalid_timezone",
            format!("There is no time zone {name:?}."),
            "Use a name of the IANA list, such as \"Africa/Nairobi\" or \"Europe/Berlin\".",
        )
    })
}

/// The name of this machine's own zone, `UTC` if it has none of the list.
pub fn of_this_machine() -> String {
    let system = TimeZone::try_system().ok();
    let name = system.as_ref().and_then(TimeZone::iana_name);
    name.filter(|name| lookup(name).is_ok())
        .unwrap_or("UTC")
        .to_owned()
}

/// The civil date at an instant (Unix seconds) in a zone.
pub fn date_at(zone: &TimeZone, instant: i64) -> NaiveDate {
    civil_at(zone, instant).date()
}

/// The civil time at an instant (Unix seconds) in a zone.
pub fn civil_at(zone: &TimeZone, instant: i64) -> NaiveDateTime {
    let offset =
        Timestamp::from_second(instant).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
    DateTime::from_timestamp(instant + offset, 0)
        .unwrap_or_default()
        .naive_utc()
}

/// RFC 3339 with the zone's numeric offset.
pub fn rfc3339(zone: &TimeZone, instant: i64) -> String {
    let offset = offset_at(zone, instant);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!(
        "{}{sign}{:02}:{:02}",
        civil_at(zone, instant).format("%Y-%m-%dT%H:%M:%S"),
        minutes / 60,
        minutes % 60
    )
}

/// RFC 3339 in UTC, like `2026-03-03T12:00:00Z`.
pub fn utc(instant: i64) -> String {
    let civil = civil_at(&TimeZone::UTC, instant);
    civil.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How far a clock is off, in words; seconds above 0 mean that it is fast.
pub fn drift(seconds: i64) -> String {
    let amount = match seconds.unsigned_abs() {
        0..=1 => return "right".to_owned(),
        off @ ..120 => format!("{off} s"),
        off @ ..7_200 => format!("{} min", (off + 30) / 60),
        off @ ..172_800 => format!("{} h", (off + 1_800) / 3_600),
        off => format!("{} days", (off + 43_200) / 86_400),
    };
    format!("{amount} {}", if seconds < 0 { "slow" } else { "fast" })
}

/// For documents: an instant (Unix seconds) as RFC 3339 in UTC.
pub fn as_utc<S: Serializer>(instant: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc(*instant))
}

/// The same, or null.
pub fn as_utc_if_any<S: Serializer>(
    instant: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => as_utc(instant, serializer),
        None => serializer.serialize_none(),
    }
}

/// The first instant (Unix seconds) at which a civil time occurs, or `None` if a clock change skips it.
pub fn earliest(zone: &TimeZone, civil: NaiveDateTime) -> Option<i64> {
    use jiff::tz::AmbiguousOffset;
    let local = civil.and_utc().timestamp();
    let at = Timestamp::from_second(local).ok()?;
    match zone
        .to_ambiguous_timestamp(TimeZone::UTC.to_datetime(at))
        .offset()
    {
        AmbiguousOffset::Unambiguous { offset } => Some(local - i64::from(offset.seconds())),
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Fold { before, .. } => Some(local - i64::from(before.seconds())),
    }
}

/// The first instant (Unix seconds) of a date in a zone; where a clock change skips midnight, that of the change.
pub fn start_of(zone: &TimeZone, date: NaiveDate) -> i64 {
    let midnight = date.and_time(NaiveTime::MIN);
    earliest(zone, midnight).unwrap_or_else(|| {
        let local = midnight.and_utc().timestamp();
        // The offset before the change is that of the evening before.
        local - offset_at(zone, local - 86_400)
    })
}

/// Seconds east of UTC at an instant (Unix seconds).
pub fn offset_at(zone: &TimeZone, instant: i64) -> i64 {
    Timestamp::from_second(instant).map_or(0, |at| i64::from(zone.to_offset(at).seconds()))
}

/// The first instant (Unix seconds) after `instant` at which the offset of a zone changes.
pub fn next_change(zone: &TimeZone, instant: i64) -> Option<i64> {
    let from = Timestamp::from_second(instant).ok()?;
    let offset = offset_at(zone, instant);
    // Some changes alter only the abbreviation.
    zone.following(from)
        .take(20)
        .map(|change| change.timestamp().as_second())
        .find(|change| offset_at(zone, *change) != offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_slow_or_fast() {
        for (seconds, told) in [
            (1, "right"),
            (-2, "2 s slow"),
            (300, "5 min fast"),
            (-10_800, "3 h slow"),
            (i64::MIN, "106751991167301 days slow"),
        ] {
            assert_eq!(drift(seconds), told);
        }
    }

    #[test]
    fn a_day_starts_with_its_first_moment_also_without_midnight() {
        let cases = [
            ("Africa/Nairobi", "2026-03-05", "2026-03-05T00:00:00+03:00"),
            ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00"),
            // The clocks go from 00:00 to 01:00.
            ("Asia/Beirut", "2022-03-27", "2022-03-27T01:00:00+03:00"),
            // Midnight comes twice.
            ("America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"),
        ];
        for (name, date, first) in cases {
            let zone = lookup(name).unwrap();
            let start = start_of(&zone, date.parse().unwrap());
            assert_eq!(rfc3339(&zone, start), first);
        }
    }
}
