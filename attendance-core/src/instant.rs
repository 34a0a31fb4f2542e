//! Points on the UTC time line (R1).

use std::fmt;
use std::num::NonZeroU64;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};

/// A point on the UTC time line, in whole seconds since 1970-01-01T00:00:00Z.
///
/// Every duration in this crate is a difference of two of these (R1). Values saturate at [`Instant::MIN`] and
/// [`Instant::MAX`], some 120,000 years away, so that arithmetic never overflows.
///
/// ```
/// use attendance_core::Instant;
///
/// let instant = Instant::from_unix(1_741_000_000);
/// assert_eq!(instant.to_string(), "2025-03-03T11:06:40Z");
/// assert_eq!(instant.plus(20).since(instant), 20);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(
    /// Seconds since shortly before [`Instant::MIN`]: 0 is free to stand for the lack of an instant.
    NonZeroU64,
);

/// The second before [`Instant::MIN`].
const ZERO: i64 = -4_000_000_000_001;

impl Instant {
    /// The earliest instant.
    pub const MIN: Self = Self::from_unix(i64::MIN);
    /// The latest instant.
    pub const MAX: Self = Self::from_unix(i64::MAX);

    /// Seconds since the Unix epoch; saturates.
    pub const fn from_unix(seconds: i64) -> Self {
        let counted = seconds.saturating_sub(ZERO);
        let least = if counted < 1 { 1 } else { counted };
        let most = if least > 2 * -ZERO - 1 {
            2 * -ZERO - 1
        } else {
            least
        };
        match NonZeroU64::new(most.unsigned_abs()) {
            Some(counted) => Self(counted),
            // It is 1 at least.
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The instant at which a clock `offset_s` seconds east of UTC shows this civil time. Fractions are dropped.
    pub fn from_civil(civil: NaiveDateTime, offset_s: i32) -> Self {
        Self::from_unix(civil.and_utc().timestamp() - i64::from(offset_s))
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> i64 {
        self.0.get().cast_signed() + ZERO
    }

    /// What a clock `offset_s` seconds east of UTC shows at this instant.
    pub fn civil(self, offset_s: i32) -> NaiveDateTime {
        // MIN and MAX lie well inside chrono's calendar, so the epoch is never taken.
        DateTime::from_timestamp(self.unix() + i64::from(offset_s), 0)
            .unwrap_or(DateTime::UNIX_EPOCH)
            .naive_utc()
    }

    /// The instant so many seconds later (earlier if negative); saturates.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self::from_unix(self.unix().saturating_add(seconds))
    }

    /// Seconds from `earlier` to this instant, negative if it is not earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        self.unix() - earlier.unix()
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({self})")
    }
}

impl fmt::Display for Instant {
    /// `2025-03-03T11:06:40Z`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil(0).format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl<Tz: chrono::TimeZone> From<DateTime<Tz>> for Instant {
    /// Fractions of a second are dropped.
    fn from(time: DateTime<Tz>) -> Self {
        Self::from_unix(time.timestamp())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (civil, rest) = civil_and_rest(&text).map_err(serde::de::Error::custom)?;
        if rest == "Z" {
            Ok(Self::from_civil(civil, 0))
        } else {
            Err(serde::de::Error::custom("an instant ends with Z"))
        }
    }
}

#[cfg(feature = "serde")]
fn civil_and_rest(text: &str) -> Result<(NaiveDateTime, &str), chrono::ParseError> {
    NaiveDateTime::parse_and_remainder(text, "%Y-%m-%dT%H:%M:%S")
}

/// An instant together with the UTC offset of the place that it is told for.
///
/// Displays as RFC 3339 with a numeric offset: `2025-03-03T08:00:00+03:00`, never `Z`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalTime(
    /// The instant above, the offset in the lowest bits: a record holds many of these, and so they take half the room.
    NonZeroU64,
);

/// So many bits hold an offset of six days to either side.
const OFFSET_BITS: u32 = 20;

impl LocalTime {
    /// This instant, told `offset_s` seconds east of UTC; offsets end at six days.
    pub const fn new(instant: Instant, offset_s: i32) -> Self {
        let most = (1 << (OFFSET_BITS - 1)) - 1;
        let offset_s = if offset_s > most { most } else { offset_s };
        let offset_s = if offset_s < -most { -most } else { offset_s };
        let counted = instant.0.get() << OFFSET_BITS;
        let offset = (offset_s + most).unsigned_abs() as u64;
        match NonZeroU64::new(counted | offset) {
            Some(both) => Self(both),
            // The instant is not 0.
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The point on the time line.
    pub const fn instant(self) -> Instant {
        match NonZeroU64::new(self.0.get() >> OFFSET_BITS) {
            Some(counted) => Instant(counted),
            None => Instant::MIN,
        }
    }

    /// Seconds east of UTC.
    pub const fn offset_s(self) -> i32 {
        let offset = self.0.get() & ((1 << OFFSET_BITS) - 1);
        (offset as u32).cast_signed() - ((1 << (OFFSET_BITS - 1)) - 1)
    }

    /// What the clock on the wall shows.
    pub fn civil(self) -> NaiveDateTime {
        self.instant().civil(self.offset_s())
    }

    /// Seconds since local midnight by the clock on the wall.
    pub(crate) fn second_of_day(self) -> i64 {
        (self.instant().unix() + i64::from(self.offset_s())).rem_euclid(86_400)
    }
}

impl fmt::Debug for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalTime({self})")
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.offset_s() < 0 { '-' } else { '+' };
        let offset = self.offset_s().unsigned_abs();
        let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
        write!(
            f,
            "{}{sign}{hours:02}:{minutes:02}",
            self.civil().format("%Y-%m-%dT%H:%M:%S")
        )?;
        // Only before zones were standardised, a century ago.
        if seconds != 0 {
            write!(f, ":{seconds:02}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LocalTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for LocalTime {
    /// Also with an offset of whole seconds, as `Display` tells it.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let text = String::deserialize(deserializer)?;
        let (civil, offset) = civil_and_rest(&text).map_err(D::Error::custom)?;
        let wrong = || D::Error::custom("an offset looks like +03:00");
        let (sign, parts) = match offset.split_at_checked(1) {
            Some(("+", parts)) => (1, parts),
            Some(("-", parts)) => (-1, parts),
            _ => return Err(wrong()),
        };
        let mut offset_s = 0;
        for (part, unit) in parts.split(':').zip([3600, 60, 1]) {
            let part: u8 = part.parse().map_err(|_| wrong())?;
            offset_s += i32::from(part) * unit;
        }
        let offset_s = sign * offset_s;
        Ok(Self::new(Instant::from_civil(civil, offset_s), offset_s))
    }
}

/// The date so many days later, stopping at the ends of the calendar.
pub(crate) fn shift_date(date: NaiveDate, days: i64) -> NaiveDate {
    let ends = if days < 0 {
        NaiveDate::MIN
    } else {
        NaiveDate::MAX
    };
    TimeDelta::try_days(days)
        .and_then(|days| date.checked_add_signed(days))
        .unwrap_or(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_offsets_come_back_from_one_word() {
        let instants =
            [i64::MIN, -86_401, -1, 0, 1, 1_741_000_000, i64::MAX].map(Instant::from_unix);
        assert!(instants.is_sorted_by(|a, b| a < b));
        assert_eq!([instants[0], instants[6]], [Instant::MIN, Instant::MAX]);
        assert_eq!(Instant::from_unix(-86_401).unix(), -86_401);
        for instant in instants {
            assert_eq!(Instant::from_unix(instant.unix()), instant);
            for offset_s in [0, 1, -1, 50_400, -43_200, 518_400, -518_400] {
                let time = LocalTime::new(instant, offset_s);
                assert_eq!((time.instant(), time.offset_s()), (instant, offset_s));
            }
            // Nonsense stays within its part of the word.
            for offset_s in [i32::MIN, i32::MAX] {
                assert_eq!(LocalTime::new(instant, offset_s).instant(), instant);
            }
        }
        assert_eq!(size_of::<Option<LocalTime>>(), 8);
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }
}
