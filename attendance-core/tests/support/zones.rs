//! The crate's `Zone` on jiff; shared by tests and examples.

use std::sync::Arc;

use attendance_core::{Instant, Resolved, Zone};
use chrono::{Datelike, NaiveDateTime, Timelike};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A zone of the IANA database.
#[derive(Debug)]
pub(crate) struct JiffZone(TimeZone);

impl JiffZone {
    /// The zone of this name; suits `Plan::new`.
    pub(crate) fn shared(name: &str) -> Option<Arc<Self>> {
        TimeZone::get(name).ok().map(|zone| Arc::new(Self(zone)))
    }
}

impl Zone for JiffZone {
    fn offset_at(&self, instant: Instant) -> i32 {
        let seconds = instant
            .unix()
            .clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        self.0.to_offset(timestamp).seconds()
    }

    fn resolve(&self, civil: NaiveDateTime) -> Resolved {
        let at = |offset: jiff::tz::Offset| Instant::from_civil(civil, offset.seconds());
        match jiff_civil(civil).map(|civil| self.0.to_ambiguous_timestamp(civil).offset()) {
            Some(AmbiguousOffset::Unambiguous { offset }) => Resolved::One(at(offset)),
            Some(AmbiguousOffset::Gap { before, after }) => Resolved::Gap {
                before: at(before),
                after: at(after),
            },
            Some(AmbiguousOffset::Fold { before, after }) => Resolved::Fold {
                first: at(before),
                second: at(after),
            },
            // Beyond jiff's calendar, which ends with the year 9999, the last offset goes on.
            None => Resolved::One(Instant::from_civil(
                civil,
                self.offset_at(Instant::from_civil(civil, 0)),
            )),
        }
    }
}

fn jiff_civil(civil: NaiveDateTime) -> Option<DateTime> {
    let [month, day, hour, minute, second] = [
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
    ]
    .map(|part| i8::try_from(part).ok());
    DateTime::new(
        i16::try_from(civil.year()).ok()?,
        month?,
        day?,
        hour?,
        minute?,
        second?,
        0,
    )
    .ok()
}
