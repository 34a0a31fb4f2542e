//! Days on which clocks do not change.

use std::cell::Cell;

use chrono::NaiveDateTime;

use crate::{Instant, Resolved, Zone};

const DAY_S: i64 = 86_400;

/// A zone that is asked about each day once, unless clocks change on it. It answers like the zone itself, which changes
/// its clocks once a day at most ([`Zone`]).
#[derive(Debug)]
pub(crate) struct Steady<'p, Z> {
    zone: &'p Z,
    /// By the date that clocks show.
    shown: Days,
    /// By the date in UTC.
    passed: Days,
}

impl<'p, Z: Zone> Steady<'p, Z> {
    pub(crate) fn new(zone: &'p Z) -> Self {
        Self {
            zone,
            shown: Days::new(),
            passed: Days::new(),
        }
    }
}

impl<Z: Zone> Zone for Steady<'_, Z> {
    #[inline]
    fn offset_at(&self, instant: Instant) -> i32 {
        let offset = self.passed.offset_on(instant.unix(), |midnight| {
            let (first, last) = (midnight, midnight + DAY_S);
            let [first, last] = [first, last].map(|at| self.zone.offset_at(Instant::from_unix(at)));
            (first == last).then_some(first)
        });
        offset.unwrap_or_else(|| self.zone.offset_at(instant))
    }

    #[inline]
    fn resolve(&self, civil: NaiveDateTime) -> Resolved {
        let shown = civil.and_utc().timestamp();
        let offset = self.shown.offset_on(shown, |midnight| {
            let resolve = |shown: i64| {
                let civil = chrono::DateTime::from_timestamp(shown, 0)?.naive_utc();
                match self.zone.resolve(civil) {
                    Resolved::One(instant) => i32::try_from(shown - instant.unix()).ok(),
                    Resolved::Gap { .. } | Resolved::Fold { .. } => None,
                }
            };
            let first = resolve(midnight)?;
            (resolve(midnight + DAY_S)? == first).then_some(first)
        });
        match offset {
            Some(offset) => Resolved::One(Instant::from_unix(shown - i64::from(offset))),
            None => self.zone.resolve(civil),
        }
    }
}

/// The offsets of the days met lately.
#[derive(Debug)]
struct Days([Cell<Day>; 128]);

#[derive(Debug, Clone, Copy)]
struct Day {
    date: i64,
    /// `None` if clocks change.
    offset: Option<i32>,
}

impl Days {
    fn new() -> Self {
        // No second lies on this date.
        const NONE: Day = Day {
            date: i64::MAX,
            offset: None,
        };
        Self([const { Cell::new(NONE) }; 128])
    }

    #[inline]
    fn offset_on(&self, second: i64, find: impl FnOnce(i64) -> Option<i32>) -> Option<i32> {
        let date = second.div_euclid(DAY_S);
        let place = usize::try_from(date.rem_euclid(128)).unwrap_or(0);
        let known = self.0[place].get();
        if known.date == date {
            return known.offset;
        }
        let offset = find(date * DAY_S);
        self.0[place].set(Day { date, offset });
        offset
    }
}
