//! How much a target is told at most in a while: a token bucket without a clock.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// Allows so many entries per time, on average; what was not used is saved up to one time's worth.
///
/// The caller asks [`take`](Self::take) before a push and pushes no more than it was given; what it was given and did
/// not push, it may [give back](Self::give_back).
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use crm_client::RateLimit;
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_772_427_670);
/// let mut limit = RateLimit::new(60.try_into()?, Duration::from_secs(60), now);
/// assert_eq!(limit.take(100, now), 60);
/// assert_eq!(limit.take(100, now), 0);
/// assert_eq!(limit.ready_at(now), now + Duration::from_secs(1));
/// assert_eq!(limit.take(100, now + Duration::from_secs(10)), 10);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time that one entry costs.
    cost: Duration,
    /// At most so much time is saved.
    most: Duration,
    saved: Duration,
    seen: SystemTime,
}

impl RateLimit {
    /// `entries` in each `period`; full at `now`.
    pub fn new(entries: NonZeroU32, period: Duration, now: SystemTime) -> Self {
        let cost = (period / entries.get()).max(Duration::from_nanos(1));
        let most = cost.saturating_mul(entries.get());
        Self {
            cost,
            most,
            saved: most,
            seen: now,
        }
    }

    /// How many of `wanted` entries may go at `now`. A clock that was set back earns nothing.
    pub fn take(&mut self, wanted: usize, now: SystemTime) -> usize {
        let passed = now.duration_since(self.seen).unwrap_or_default();
        self.seen = now;
        self.saved = self.saved.saturating_add(passed).min(self.most);
        let room = self.saved.as_nanos() / self.cost.as_nanos();
        let given = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(room).unwrap_or(u32::MAX));
        self.saved = self.saved.saturating_sub(self.cost.saturating_mul(given));
        usize::try_from(given).unwrap_or(wanted)
    }

    /// Of what was taken, so many were not pushed.
    ///
    /// ```
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// # use crm_client::RateLimit;
    /// let mut limit = RateLimit::new(5.try_into()?, Duration::from_secs(1), UNIX_EPOCH);
    /// assert_eq!(limit.take(5, UNIX_EPOCH), 5);
    /// limit.give_back(2);
    /// assert_eq!(limit.take(5, UNIX_EPOCH), 2);
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    pub fn give_back(&mut self, entries: usize) {
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        self.saved = self
            .saved
            .saturating_add(self.cost.saturating_mul(entries))
            .min(self.most);
    }

    /// When the next entry may go; `now`, if it may at once.
    pub fn ready_at(&self, now: SystemTime) -> SystemTime {
        let passed = now.duration_since(self.seen).unwrap_or_default();
        let missing = self.cost.saturating_sub(self.saved.saturating_add(passed));
        now.checked_add(missing).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::from_unix;

    fn limit(entries: u32, seconds: u64) -> RateLimit {
        RateLimit::new(
            entries.try_into().unwrap(),
            Duration::from_secs(seconds),
            from_unix(0),
        )
    }

    #[test]
    fn a_clock_set_back_earns_nothing_and_costs_nothing() {
        let mut limit = limit(10, 10);
        assert_eq!(limit.take(10, from_unix(100)), 10);
        assert_eq!(limit.take(10, from_unix(50)), 0);
        assert_eq!(limit.take(10, from_unix(53)), 3);
    }

    #[test]
    fn no_more_is_saved_than_one_period() {
        let mut limit = limit(10, 10);
        assert_eq!(limit.take(100, from_unix(1_000_000)), 10);
    }

    #[test]
    fn the_extremes_are_survived() {
        let mut limit = RateLimit::new(NonZeroU32::MAX, Duration::ZERO, from_unix(0));
        assert_eq!(limit.take(7, from_unix(0)), 7);
        let mut limit = RateLimit::new(NonZeroU32::MAX, Duration::MAX, from_unix(0));
        assert!(limit.take(usize::MAX, from_unix(0)) > 0);
        limit.give_back(usize::MAX);
    }

    proptest! {
        /// Over any course of asking, no more goes than was there at first and has come since.
        #[test]
        fn the_average_holds(asks in prop::collection::vec((0_u64..20, 0_usize..50), 0..60)) {
            let mut limit = limit(10, 5);
            let (mut now, mut gone) = (0, 0);
            for (pause, wanted) in asks {
                now += pause;
                let given = limit.take(wanted, from_unix(now));
                prop_assert!(given <= wanted);
                gone += given as u64;
                prop_assert!(gone <= 10 + now * 2);
            }
        }

        /// Who waits as told may send.
        #[test]
        fn ready_means_ready(first in 1_usize..40, pause in 0_u64..3) {
            let mut limit = limit(10, 5);
            limit.take(first, from_unix(0));
            let then = limit.ready_at(from_unix(pause));
            prop_assert_eq!(limit.take(1, then), 1);
        }
    }
}
