//! From civil time to instants and back (R2).

use std::rc::Rc;
use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::Instant;

/// A time zone, reduced to the two questions that the rules ask.
///
/// chrono's own types cannot say what a gap is, so embedders answer with a library that knows the zone database; with
/// jiff it takes a dozen lines (see `examples/assess.rs`). Answers must not depend on anything but the arguments, clocks
/// must not change twice within a day (in the whole zone database they never do), and neither question may panic, also
/// at the ends of the calendar.
pub trait Zone {
    /// Seconds east of UTC at an instant, within six days.
    fn offset_at(&self, instant: Instant) -> i32;

    /// The instants at which clocks showed this civil time.
    fn resolve(&self, civil: NaiveDateTime) -> Resolved;
}

/// The instants at which clocks showed a civil time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// It was shown once.
    One(Instant),
    /// It was never shown: clocks went forward across it.
    Gap {
        /// The civil time read with the UTC offset in force before the change. The rules take this one (R2).
        before: Instant,
        /// The civil time read with the UTC offset in force after the change.
        after: Instant,
    },
    /// It was shown twice: clocks went back across it.
    Fold {
        /// The first time. The rules take this one unless more is known (R2, R3).
        first: Instant,
        /// The second time.
        second: Instant,
    },
}

impl Resolved {
    /// The instant that the rules take when nothing more is known (R2, as RFC 5545, 3.3.5).
    pub const fn instant(self) -> Instant {
        match self {
            Self::One(instant)
            | Self::Gap {
                before: instant, ..
            }
            | Self::Fold { first: instant, .. } => instant,
        }
    }
}

/// A zone that never changes its clocks.
///
/// ```
/// use attendance_core::{FixedZone, Instant, Zone};
///
/// let kathmandu = FixedZone::new(5 * 3600 + 45 * 60);
/// assert_eq!(kathmandu.offset_at(Instant::from_unix(0)), 20_700);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedZone {
    offset_s: i32,
}

impl FixedZone {
    /// UTC itself.
    pub const UTC: Self = Self::new(0);

    /// So many seconds east of UTC.
    pub const fn new(offset_s: i32) -> Self {
        Self { offset_s }
    }
}

impl Zone for FixedZone {
    fn offset_at(&self, _instant: Instant) -> i32 {
        self.offset_s
    }

    fn resolve(&self, civil: NaiveDateTime) -> Resolved {
        Resolved::One(Instant::from_civil(civil, self.offset_s))
    }
}

macro_rules! through {
    ($($pointer:ty),*) => {$(
        impl<Z: Zone + ?Sized> Zone for $pointer {
            fn offset_at(&self, instant: Instant) -> i32 {
                (**self).offset_at(instant)
            }

            fn resolve(&self, civil: NaiveDateTime) -> Resolved {
                (**self).resolve(civil)
            }
        }
    )*};
}

through!(&Z, Box<Z>, Rc<Z>, Arc<Z>);
