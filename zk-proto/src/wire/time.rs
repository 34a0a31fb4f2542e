//! The terminal's packed time: seconds in a calendar where every month has 31 days.

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::DecodeError;

/// A time as the terminal stores it: local wall clock, no zone, one `u32`.
///
/// Every month has 31 slots, so 30 February can be written, and in damaged logs it is. The number
/// is kept as it came; [`to_civil`](Self::to_civil) says whether it is a date, and `Display` writes
/// it as told in any case.
///
/// ```
/// use zk_proto::wire::PackedTime;
///
/// let time = PackedTime(587_468_120);
/// assert_eq!(time.to_string(), "2018-04-11T09:35:20");
/// assert_eq!(PackedTime::from_civil(time.to_civil()?)?, time);
/// # Ok::<(), zk_proto::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackedTime(pub u32);

/// The six numbers of a packed time, in range but not necessarily a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilFields {
    /// 2000 to 2133.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, in every month.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl PackedTime {
    /// What firmware writes when it has no time; read literally, 2000-01-01 00:00:00.
    pub const NONE: Self = Self(0);

    /// Packs a time. Only the years 2000 to 2099 have a place.
    pub fn from_civil(time: NaiveDateTime) -> Result<Self, DecodeError> {
        let year = u32::try_from(time.year() - 2000)
            .ok()
            .filter(|year| *year < 100)
            .ok_or(DecodeError::YearOutOfRange { year: time.year() })?;
        let days = (year * 12 + time.month0()) * 31 + time.day0();
        Ok(Self(
            ((days * 24 + time.hour()) * 60 + time.minute()) * 60 + time.second(),
        ))
    }

    /// Packs six numbers without asking whether they are a date; numbers out of range wrap into
    /// the next unit. For terminals in software that must tell impossible dates.
    pub fn from_fields(fields: CivilFields) -> Self {
        let month = u32::from(fields.month.saturating_sub(1));
        let day = u32::from(fields.day.saturating_sub(1));
        let days = (u32::from(fields.year % 100) * 12 + month) * 31 + day;
        let minutes = (days * 24 + u32::from(fields.hour)) * 60 + u32::from(fields.minute);
        Self(minutes * 60 + u32::from(fields.second))
    }

    /// The six numbers.
    pub fn fields(self) -> CivilFields {
        // Each remainder is below the divisor, and 2^32 seconds end in the year 2133.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the divisors")]
        let digit = |value: u32| value as u8;
        let (rest, second) = (self.0 / 60, self.0 % 60);
        let (rest, minute) = (rest / 60, rest % 60);
        let (rest, hour) = (rest / 24, rest % 24);
        let (rest, day) = (rest / 31, rest % 31);
        let (year, month) = (rest / 12, rest % 12);
        CivilFields {
            year: 2000 + u16::from(digit(year)),
            month: digit(month) + 1,
            day: digit(day) + 1,
            hour: digit(hour),
            minute: digit(minute),
            second: digit(second),
        }
    }

    /// The time as a date, if it is one.
    pub fn to_civil(self) -> Result<NaiveDateTime, DecodeError> {
        let fields = self.fields();
        NaiveDate::from_ymd_opt(fields.year.into(), fields.month.into(), fields.day.into())
            .and_then(|date| {
                date.and_hms_opt(
                    fields.hour.into(),
                    fields.minute.into(),
                    fields.second.into(),
                )
            })
            .ok_or(DecodeError::NotADate { time: self })
    }

    /// Whether this is a time that can have happened: a date of the calendar, and not
    /// [`NONE`](Self::NONE).
    pub fn is_valid(self) -> bool {
        let CivilFields {
            year, month, day, ..
        } = self.fields();
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if year % 4 == 0 && year != 2100 => 29,
            2 => 28,
            _ => 31,
        };
        self != Self::NONE && day <= days
    }
}

/// As told, `YYYY-MM-DDTHH:MM:SS`, also when it is no date.
impl fmt::Display for PackedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CivilFields {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.fields();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_february_is_told_but_is_no_date() {
        let fields = CivilFields {
            year: 2024,
            month: 2,
            day: 30,
            hour: 10,
            minute: 0,
            second: 0,
        };
        let time = PackedTime::from_fields(fields);
        assert_eq!(time.fields(), fields);
        assert_eq!(time.to_string(), "2024-02-30T10:00:00");
        assert_eq!(time.to_civil(), Err(DecodeError::NotADate { time }));
        assert!(!time.is_valid());
    }

    #[test]
    fn zero_is_no_time_but_decodes_literally() {
        assert_eq!(PackedTime::NONE.to_string(), "2000-01-01T00:00:00");
        assert!(PackedTime::NONE.to_civil().is_ok());
        assert!(!PackedTime::NONE.is_valid());
    }

    #[test]
    fn the_largest_number_is_in_2133() {
        assert_eq!(PackedTime(u32::MAX).fields().year, 2133);
    }

    #[test]
    fn validity_agrees_with_the_calendar_on_every_slot() {
        for slot in 1..=u32::MAX / 86_400 {
            let time = PackedTime(slot * 86_400);
            assert_eq!(time.is_valid(), time.to_civil().is_ok(), "{time}");
        }
    }
}
