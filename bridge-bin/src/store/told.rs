//! Device-local time exactly as a terminal told it.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// A civil time as told, which need not exist: terminals do report 30 February.
///
/// Stored as one integer, `((year × 12 + month − 1) × 31 + day − 1) × 86400 + second of the day`: it orders like
/// time, and every date a terminal can pack has its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Told(i64);

impl Told {
    /// From the parts of a date that may be impossible. `None` if a part is out of its own range.
    pub fn new(
        year: i32,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
    ) -> Option<Self> {
        let time = NaiveTime::from_hms_opt(hour, minute, second)?;
        if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = (i64::from(year) * 12 + i64::from(month) - 1) * 31 + i64::from(day) - 1;
        Some(Self(
            days * 86_400 + i64::from(time.num_seconds_from_midnight()),
        ))
    }

    /// The number as stored.
    pub const fn to_i64(self) -> i64 {
        self.0
    }

    /// From the number as stored.
    pub const fn from_i64(stored: i64) -> Self {
        Self(stored)
    }

    /// The first moment of a date.
    pub fn start_of(date: NaiveDate) -> Self {
        Self::from(date.and_time(NaiveTime::MIN))
    }

    /// The civil time, unless it does not exist.
    pub fn civil(self) -> Option<NaiveDateTime> {
        let (year, month, day, second) = self.parts();
        Some(
            NaiveDate::from_ymd_opt(year, month, day)?
                .and_time(NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?),
        )
    }

    fn parts(self) -> (i32, u32, u32, u32) {
        let days = self.0.div_euclid(86_400);
        let part = |value: i64| u32::try_from(value).unwrap_or(0);
        let year = i32::try_from(days.div_euclid(372)).unwrap_or(0);
        (
            year,
            part(days.rem_euclid(372) / 31) + 1,
            part(days.rem_euclid(31)) + 1,
            part(self.0.rem_euclid(86_400)),
        )
    }
}

impl From<NaiveDateTime> for Told {
    fn from(civil: NaiveDateTime) -> Self {
        let days = (i64::from(civil.year()) * 12 + i64::from(civil.month0())) * 31
            + i64::from(civil.day0());
        Self(days * 86_400 + i64::from(civil.num_seconds_from_midnight()))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, second) = self.parts();
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )
    }
}

/// The text was not of the form `YYYY-MM-DDTHH:MM:SS`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYYY-MM-DDTHH:MM:SS: {0:?}")]
pub struct NotATime(pub String);

impl FromStr for Told {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let bad = || NotATime(text.chars().take(40).collect());
        let mut numbers = [0u32; 6];
        let mut parts = text.splitn(6, ['-', 'T', ' ', ':']);
        for number in &mut numbers {
            *number = parts
                .next()
                .and_then(|part| part.parse().ok())
                .ok_or_else(bad)?;
        }
        let [year, month, day, hour, minute, second] = numbers;
        i32::try_from(year)
            .ok()
            .and_then(|year| Self::new(year, month, day, hour, minute, second))
            .ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_date_that_does_not_exist() {
        let told: Told = "2024-02-30T10:00:00".parse().unwrap();
        assert_eq!(told.to_string(), "2024-02-30T10:00:00");
        assert_eq!(told.civil(), None);
        assert!(told < "2024-03-01T00:00:00".parse().unwrap());
        assert!(told > "2024-02-29T23:59:59".parse().unwrap());
    }

    #[test]
    fn a_civil_time_comes_back() {
        for text in [
            "2000-01-01T00:00:00",
            "2024-12-31T23:59:59",
            "0000-01-01T00:00:00",
            "9999-12-31T12:00:01",
        ] {
            let told: Told = text.parse().unwrap();
            assert_eq!(Told::from(told.civil().unwrap()), told);
            assert_eq!(told.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "2024-13-01T00:00:00",
            "2024-01-32T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01",
            "x-y-zTa:b:c",
        ] {
            assert!(text.parse::<Told>().is_err(), "{text}");
        }
    }
}
