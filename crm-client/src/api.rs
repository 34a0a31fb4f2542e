//! The port: what any CRM or HR system can be asked, and what it can answer.

use std::future::Future;
use std::time::{Duration, SystemTime};

use crate::{Entry, Error};

/// A target of delivery.
pub trait Crm: Send + Sync {
    /// Sends entries and tells what became of each: one outcome per entry, in their order.
    ///
    /// Within one push a batch may be split, but no entry is sent the same way twice. Requests may overtake each other,
    /// so a push holds one revision of an entry at most. An error concerns the whole target and needs a human; then
    /// nothing was settled and no attempt should be counted.
    fn push(&self, entries: &[Entry]) -> impl Future<Output = Result<Vec<Outcome>, Error>> + Send;

    /// Asks whether the target can be reached and lets us in, without telling it anything.
    fn check(&self) -> impl Future<Output = Result<Reached, Error>> + Send;
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The target has it.
    Accepted {
        /// The id that the target gave it, for later revisions.
        remote_id: Option<String>,
    },
    /// The target had it already.
    AlreadyKnown,
    /// The target will never take it as it is.
    Rejected {
        /// The target's own words, cut, without secrets.
        reason: String,
    },
    /// It may work later, under the same key.
    Retry {
        /// How long the target asks to be left alone.
        after: Option<Duration>,
        /// How far it came.
        reach: Reach,
        /// What happened, for the operator.
        reason: String,
    },
}

/// How far an entry came that is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// It was not sent, because the push stopped before it: it has had no attempt.
    NotSent,
    /// Nobody answered; the target may have it or not.
    Unanswered,
    /// The target answered, and cannot take it now.
    Answered,
}

impl Outcome {
    /// The target has the entry, now or since before.
    ///
    /// ```
    /// use crm_client::Outcome;
    ///
    /// assert!(Outcome::AlreadyKnown.is_delivered());
    /// assert!(!Outcome::Rejected { reason: "no such employee".into() }.is_delivered());
    /// ```
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::AlreadyKnown)
    }
}

/// A target that answered a [check](Crm::check).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The HTTP status. 405 is fine: the address takes records, it only has nothing to show.
    pub status: u16,
    /// The answer was a web page. Some interfaces show one to readers; more often the address is not the right one.
    pub web_page: bool,
    /// When the target's certificate ends; none without TLS.
    pub certificate_ends: Option<SystemTime>,
}
