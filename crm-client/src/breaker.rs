//! When a target that fails is left alone, and how it is tried again: a state machine without a clock.

use std::time::{Duration, SystemTime};

use crate::{Error, Outcome};

/// What a [`Breaker`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Push as much as there is.
    Push,
    /// Push a single entry, to see whether the target is back.
    Probe,
    /// Push nothing before this time.
    Wait {
        /// When to ask again.
        until: SystemTime,
    },
}

/// How patient a [`Breaker`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// It opens after so many pushes in a row that brought nothing but `Retry`; at least 1.
    pub failures: u32,
    /// The first rest; each failed probe doubles it.
    pub rest: Duration,
    /// No rest of its own is longer. One that the target asks for may be.
    pub longest_rest: Duration,
}

impl Default for BreakerPolicy {
    /// Three failures, one minute, one hour.
    fn default() -> Self {
        Self {
            failures: 3,
            rest: Duration::from_mins(1),
            longest_rest: Duration::from_hours(1),
        }
    }
}

/// Where a [`Breaker`] stands; small enough to be stored with its target, so that a restart does not forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All is well, or has not been bad for long.
    Closed {
        /// Failed pushes in a row.
        failures: u32,
    },
    /// The target rests; once the time has passed, it is half-open: one entry may probe.
    Open {
        /// The end of the rest.
        until: SystemTime,
        /// How many rests there were in a row, this one included.
        rests: u32,
    },
}

/// Keeps a target that is down, or that needs a human, from being asked in vain again and again.
///
/// ```text
///           failures in a row, Err, Retry-After
///   closed ─────────────────────────────────────► open ◄─────────┐
///     ▲                                            │ rest over   │ the probe fails:
///     └───────────── the probe is settled ──── half-open ────────┘ a longer rest
/// ```
///
/// The caller asks [`permits`](Self::permits) before a push and tells [`note`](Self::note) its result; one push to a
/// target at a time. What a target refuses or knows already counts as an answer: only silence and trouble open it.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use crm_client::{Breaker, BreakerPolicy, Outcome, Permit, Reach};
///
/// let mut now = UNIX_EPOCH + Duration::from_secs(1_772_427_670);
/// let mut breaker = Breaker::new(BreakerPolicy { failures: 1, ..BreakerPolicy::default() });
/// assert_eq!(breaker.permits(now), Permit::Push);
///
/// let trouble = Outcome::Retry { after: None, reach: Reach::Answered, reason: "the target answered 503".into() };
/// breaker.note(&Ok(vec![trouble]), now);
/// assert_eq!(breaker.permits(now), Permit::Wait { until: now + Duration::from_secs(60) });
///
/// now += Duration::from_secs(60);
/// assert_eq!(breaker.permits(now), Permit::Probe);
/// breaker.note(&Ok(vec![Outcome::AlreadyKnown]), now);
/// assert_eq!(breaker.permits(now), Permit::Push);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: BreakerState,
}

impl Breaker {
    /// Closed.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self::resume(policy, BreakerState::Closed { failures: 0 })
    }

    /// As it was left.
    ///
    /// ```
    /// use crm_client::{Breaker, BreakerPolicy, BreakerState};
    ///
    /// let left = BreakerState::Closed { failures: 2 };
    /// assert_eq!(Breaker::resume(BreakerPolicy::default(), left).state(), left);
    /// ```
    pub fn resume(policy: BreakerPolicy, state: BreakerState) -> Self {
        Self { policy, state }
    }

    /// To be stored.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// How much may be pushed at `now`.
    pub fn permits(&self, now: SystemTime) -> Permit {
        match self.state {
            BreakerState::Closed { .. } => Permit::Push,
            BreakerState::Open { until, .. } if until > now => Permit::Wait { until },
            BreakerState::Open { .. } => Permit::Probe,
        }
    }

    /// Takes in the result of a push. A push of nothing tells nothing.
    pub fn note(&mut self, result: &Result<Vec<Outcome>, Error>, now: SystemTime) {
        match result {
            Err(_) => self.open(None, now),
            Ok(outcomes) if outcomes.is_empty() => {}
            Ok(outcomes) => {
                let asked = outcomes.iter().filter_map(wish).max();
                let answered = outcomes
                    .iter()
                    .any(|outcome| !matches!(outcome, Outcome::Retry { .. }));
                if asked.is_some() {
                    self.open(asked, now);
                } else if answered {
                    self.state = BreakerState::Closed { failures: 0 };
                } else {
                    self.fail(now);
                }
            }
        }
    }

    fn fail(&mut self, now: SystemTime) {
        match self.state {
            BreakerState::Closed { failures } if failures + 1 < self.policy.failures => {
                self.state = BreakerState::Closed {
                    failures: failures + 1,
                };
            }
            _ => self.open(None, now),
        }
    }

    /// A rest that the target asks for is kept to the second, and makes no later one longer.
    fn open(&mut self, asked: Option<Duration>, now: SystemTime) {
        let before = match self.state {
            BreakerState::Open { rests, .. } => rests,
            BreakerState::Closed { .. } => 0,
        };
        let (rest, rests) = match asked {
            Some(asked) => (asked, before),
            None => (
                self.policy
                    .rest
                    .saturating_mul(1 << before.min(16))
                    .min(self.policy.longest_rest),
                before.saturating_add(1),
            ),
        };
        let until = now.checked_add(rest).unwrap_or(now);
        self.state = BreakerState::Open { until, rests };
    }
}

fn wish(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Retry { after, .. } => *after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reach;
    use crate::time::from_unix;

    fn retry(after: Option<u64>) -> Outcome {
        Outcome::Retry {
            after: after.map(Duration::from_secs),
            reach: Reach::Answered,
            reason: String::new(),
        }
    }

    fn rejected() -> Outcome {
        Outcome::Rejected {
            reason: String::new(),
        }
    }

    fn wait(seconds: u64) -> Permit {
        Permit::Wait {
            until: from_unix(seconds),
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_probes_with_growing_rests() {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        let down = || Ok(vec![retry(None), retry(None)]);
        breaker.note(&down(), from_unix(0));
        breaker.note(&down(), from_unix(1));
        assert_eq!(breaker.permits(from_unix(1)), Permit::Push);
        breaker.note(&Ok(vec![rejected(), retry(None)]), from_unix(2));
        breaker.note(&down(), from_unix(3));
        breaker.note(&down(), from_unix(4));
        assert_eq!(
            breaker.permits(from_unix(4)),
            Permit::Push,
            "an answer in between starts the count anew"
        );
        breaker.note(&down(), from_unix(5));
        assert_eq!(breaker.permits(from_unix(5)), wait(65));
        assert_eq!(breaker.permits(from_unix(65)), Permit::Probe);
        breaker.note(&Ok(vec![retry(None)]), from_unix(65));
        assert_eq!(breaker.permits(from_unix(65)), wait(65 + 120));
        breaker.note(&Ok(vec![retry(None)]), from_unix(185));
        assert_eq!(breaker.permits(from_unix(185)), wait(185 + 240));
        breaker.note(&Ok(vec![rejected()]), from_unix(425));
        assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
    }

    #[test]
    fn what_needs_a_human_opens_it_at_once() {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.note(&Err(Error::BadToken), from_unix(0));
        assert_eq!(breaker.permits(from_unix(59)), wait(60));
        assert_eq!(breaker.permits(from_unix(60)), Permit::Probe);
    }

    #[test]
    fn a_rest_that_the_target_asks_for_is_kept_although_others_went_through() {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        let busy = vec![Outcome::AlreadyKnown, retry(Some(7)), retry(Some(7))];
        breaker.note(&Ok(busy), from_unix(0));
        assert_eq!(breaker.permits(from_unix(6)), wait(7));
        assert_eq!(breaker.permits(from_unix(7)), Permit::Probe);
        breaker.note(&Err(Error::BadToken), from_unix(7));
        assert_eq!(
            breaker.permits(from_unix(7)),
            wait(67),
            "the first rest of its own"
        );
    }

    #[test]
    fn rests_grow_no_further_than_the_longest() {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..100 {
            breaker.note(&Err(Error::BadToken), from_unix(0));
        }
        assert_eq!(breaker.permits(from_unix(0)), wait(3600));
    }

    #[test]
    fn a_push_of_nothing_changes_nothing() {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.note(&Ok(vec![retry(None)]), from_unix(0));
        let before = breaker;
        breaker.note(&Ok(vec![]), from_unix(1));
        assert_eq!(breaker, before);
    }
}
