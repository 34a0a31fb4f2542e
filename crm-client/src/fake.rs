//! A CRM in memory, for tests: it remembers keys and revisions, and fails on request.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::{Crm, Entry, Error, IdempotencyKey, Outcome, Reach, Reached};

/// What the fake does with an entry instead of taking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Refuses the entry for good.
    Reject(String),
    /// Is in trouble; nothing is applied.
    Unavailable,
    /// Asks to be left alone; nothing is applied.
    Busy(Duration),
    /// Takes the entry, but the answer never arrives.
    LoseAnswer,
    /// Lets nobody in: the whole push fails.
    Unauthorised,
}

/// A revision as the fake took it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The revision.
    pub revision: u64,
    /// The thing vanished.
    pub deleted: bool,
    /// The frozen content.
    pub content: Value,
    /// The id of an earlier revision that came back with it.
    pub prior_remote_id: Option<String>,
}

/// A well-behaved CRM: it honours keys, and the highest revision of an entry wins.
///
/// ```
/// use crm_client::{Crm, Entry, FakeCrm, Fault, Outcome};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let crm = FakeCrm::new();
/// crm.fail_next(1, Fault::LoseAnswer);
/// let entry = Entry::new("hr", "17/1", 1, false, json!({"worked_s": 60}));
/// assert!(matches!(crm.push(&[entry.clone()]).await.unwrap()[0], Outcome::Retry { .. }));
/// assert_eq!(crm.push(&[entry]).await.unwrap(), [Outcome::AlreadyKnown]);
/// assert_eq!(crm.applied("17/1"), [1]);
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct FakeCrm {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keys: HashSet<IdempotencyKey>,
    received: BTreeMap<String, Vec<Received>>,
    faults: VecDeque<Fault>,
    faults_of: BTreeMap<String, Fault>,
    seen: u64,
}

impl FakeCrm {
    /// Empty and healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `times` entries meet `fault`.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.state()
            .faults
            .extend(std::iter::repeat_n(fault, times));
    }

    /// The entry `entry_id` meets `fault` until [`heal`](Self::heal).
    pub fn fail_always(&self, entry_id: &str, fault: Fault) {
        self.state().faults_of.insert(entry_id.to_owned(), fault);
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.faults_of.clear();
    }

    /// The highest revision of an entry.
    pub fn current(&self, entry_id: &str) -> Option<Received> {
        self.state()
            .received
            .get(entry_id)?
            .iter()
            .max_by_key(|received| received.revision)
            .cloned()
    }

    /// The revisions of an entry in the order in which they were applied.
    pub fn applied(&self, entry_id: &str) -> Vec<u64> {
        self.state()
            .received
            .get(entry_id)
            .into_iter()
            .flatten()
            .map(|received| received.revision)
            .collect()
    }

    /// The ids of all entries.
    pub fn entry_ids(&self) -> Vec<String> {
        self.state().received.keys().cloned().collect()
    }

    /// How often an entry arrived, repeats and failures included.
    pub fn seen(&self) -> u64 {
        self.state().seen
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crm for FakeCrm {
    async fn push(&self, entries: &[Entry]) -> Result<Vec<Outcome>, Error> {
        let mut state = self.state();
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            match state.take(entry) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if outcomes.is_empty() => return Err(error),
                Err(error) => {
                    let rest = Outcome::Retry {
                        after: None,
                        reach: Reach::NotSent,
                        reason: format!("not sent: {error}"),
                    };
                    outcomes.resize(entries.len(), rest);
                    break;
                }
            }
        }
        Ok(outcomes)
    }

    async fn check(&self) -> Result<Reached, Error> {
        match self.state().faults.front() {
            Some(Fault::Unauthorised) => Err(Error::Unauthorised {
                status: 401,
                words: None,
            }),
            Some(Fault::Unavailable) => Err(Error::Unreachable {
                reason: "scripted".to_owned(),
            }),
            _ => Ok(Reached {
                status: 200,
                web_page: false,
                certificate_ends: None,
            }),
        }
    }
}

impl State {
    fn take(&mut self, entry: &Entry) -> Result<Outcome, Error> {
        self.seen += 1;
        let fault = self
            .faults
            .pop_front()
            .or_else(|| self.faults_of.get(entry.entry_id()).cloned());
        let retry = |after, reach| Outcome::Retry {
            after,
            reach,
            reason: "scripted".to_owned(),
        };
        match fault {
            None => Ok(self.apply(entry)),
            Some(Fault::Reject(reason)) => Ok(Outcome::Rejected { reason }),
            Some(Fault::Unavailable) => Ok(retry(None, Reach::Answered)),
            Some(Fault::Busy(after)) => Ok(retry(Some(after), Reach::Answered)),
            Some(Fault::LoseAnswer) => {
                self.apply(entry);
                Ok(retry(None, Reach::Unanswered))
            }
            Some(Fault::Unauthorised) => Err(Error::Unauthorised {
                status: 401,
                words: None,
            }),
        }
    }

    fn apply(&mut self, entry: &Entry) -> Outcome {
        if !self.keys.insert(entry.key().clone()) {
            return Outcome::AlreadyKnown;
        }
        self.received
            .entry(entry.entry_id().to_owned())
            .or_default()
            .push(Received {
                revision: entry.revision(),
                deleted: entry.deleted(),
                content: entry.content().clone(),
                prior_remote_id: entry.prior_remote_id().map(str::to_owned),
            });
        Outcome::Accepted {
            remote_id: Some(format!("fake-{}", entry.entry_id())),
        }
    }
}
