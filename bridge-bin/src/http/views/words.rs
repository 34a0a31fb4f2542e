//! Times and numbers as people write them.

use chrono::{DateTime, NaiveDate};
use jiff::tz::TimeZone;

use crate::zone;

/// A time of day beside a work date, at the site.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// `08:05`
    pub(super) short: String,
    /// To the second, with the date.
    pub(super) long: String,
    /// Days after the work date.
    pub(super) days: i64,
}

impl Clock {
    /// From RFC 3339 in whatever zone.
    pub(super) fn of(text: &str, zone: &TimeZone, date: NaiveDate) -> Option<Self> {
        let civil = zone::civil_at(zone, DateTime::parse_from_rfc3339(text).ok()?.timestamp());
        Some(Self {
            short: civil.format("%H:%M").to_string(),
            long: civil.format("%Y-%m-%d %H:%M:%S").to_string(),
            days: civil.date().signed_duration_since(date).num_days(),
        })
    }

    /// `+1` if it is another day's.
    pub(super) fn other_day(&self) -> Option<String> {
        (self.days != 0).then(|| format!("{:+}", self.days))
    }

    /// What `+1` means.
    pub(super) fn other_day_in_words(&self) -> String {
        match self.days {
            1 => "the next day".to_owned(),
            -1 => "the day before".to_owned(),
            days if days > 0 => format!("{days} days later"),
            days => format!("{} days before", -days),
        }
    }
}

/// An instant with its distance from the present.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    /// For machines.
    pub(super) rfc3339: String,
    /// Date and time at the site.
    pub(super) at: String,
    /// `5 min ago`
    pub(super) distance: String,
}

impl When {
    /// Whether nothing worth telling lies between it and the present.
    pub(super) fn is_now(&self) -> bool {
        self.distance == NOW
    }

    pub(super) fn new(instant: i64, zone: &TimeZone, now: i64) -> Self {
        Self {
            rfc3339: zone::rfc3339(zone, instant),
            at: zone::civil_at(zone, instant)
                .format("%Y-%m-%d %H:%M")
                .to_string(),
            distance: distance(instant - now),
        }
    }
}

const NOW: &str = "now";

fn distance(seconds: i64) -> String {
    let amount = match seconds.abs() {
        0..45 => return NOW.to_owned(),
        seconds @ 45..5_400 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5_400..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    };
    if seconds < 0 {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

/// Hours and full minutes, `8:55`.
pub(super) fn hours(seconds: i64) -> String {
    let minutes = seconds.max(0) / 60;
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

/// Hours and full minutes of something that is there, so never `0:00`.
pub(super) fn some_hours(seconds: i64) -> Option<String> {
    match seconds {
        ..=0 => None,
        1..60 => Some(format!("{seconds} s")),
        _ => Some(hours(seconds)),
    }
}

/// `3 terminals`, `1 terminal`
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `Tuesday, 3 March 2026`
pub(super) fn long_date(date: NaiveDate) -> String {
    date.format("%A, %-d %B %Y").to_string()
}

/// `Tue 3 March`
pub(super) fn short_date(date: NaiveDate) -> String {
    date.format("%a %-d %B").to_string()
}

/// The beginning of a text of unknown length and origin, on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 240;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_out_after_midnight_says_so() {
        let nairobi = zone::lookup("Africa/Nairobi").unwrap();
        let date = "2026-03-03".parse().unwrap();
        let clock = Clock::of("2026-03-04T05:10:09+03:00", &nairobi, date).unwrap();
        assert_eq!(
            (clock.short.as_str(), clock.other_day().as_deref()),
            ("05:10", Some("+1"))
        );
        assert_eq!(clock.long, "2026-03-04 05:10:09");
        // The same instant, told in the zone of another shift.
        assert_eq!(
            Clock::of("2026-03-04T02:10:09+00:00", &nairobi, date),
            Some(clock)
        );
        assert_eq!(Clock::of("yesterday", &nairobi, date), None);
    }

    #[test]
    fn distances_are_rounded_to_what_matters() {
        let told = [
            (0, "now"),
            (-300, "5 min ago"),
            (-7_000, "2 h ago"),
            (-300_000, "3 days ago"),
            (90, "in 2 min"),
        ];
        for (seconds, words) in told {
            assert_eq!(distance(seconds), words);
        }
    }

    #[test]
    fn hours_leave_no_minute_out() {
        assert_eq!(
            [hours(0), hours(59), hours(32_100), hours(90_061)],
            ["0:00", "0:00", "8:55", "25:01"]
        );
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        assert_eq!(excerpt(" a\n b\t"), "a b");
        assert_eq!(excerpt(&"ж".repeat(500)).chars().count(), 241);
    }
}
