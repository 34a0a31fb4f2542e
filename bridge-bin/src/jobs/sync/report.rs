//! What became of a delivery: counts, and what went wrong, by reasons.

use crm_client::Outcome;
use serde::Serialize;

use crate::store::outbox::Attempt;

/// What became of a delivery (S49).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Rows taken.
    pub total: u64,
    /// Accepted, or known to the target already.
    pub successful: u64,
    /// Refused, or to be tried again.
    pub failed: u64,
    /// Entries queued first, because a target is new or what it is told has changed.
    pub queued: u64,
    /// What went wrong, in order: of each reason the first few records, and [`LISTED`] in all.
    pub errors: Vec<Problem>,
    /// Problems that are not among these.
    pub more_errors: u64,
    /// The reasons, each with how often it came: the first [`LISTED`] of them.
    pub reasons: Vec<Reason>,
    /// The same for each target, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetReport>,
}

/// What became of the delivery to one target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// Its id.
    pub target: String,
    /// Rows taken.
    pub total: u64,
    /// Accepted, or known to the target already.
    pub successful: u64,
    /// Refused, or to be tried again.
    pub failed: u64,
    /// Entries queued first.
    pub queued: u64,
    /// What concerns the target as a whole, if anything does.
    pub error: Option<String>,
}

/// Problems, and reasons, that a report lists at most.
pub const LISTED: usize = 100;

/// Of them, such as have the same reason.
const ALIKE: u64 = 5;

/// Why records were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The target's id.
    pub target: String,
    /// The server's words, or ours.
    pub error: String,
    /// How many records it was said of.
    pub count: u64,
}

/// One row that was not accepted.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// The target's id.
    pub target: String,
    /// The entry, as `crm preview --entry` takes it.
    pub entry_id: String,
    /// The employee.
    pub user_id: String,
    /// The work date.
    pub date: String,
    /// The server's words, or ours.
    pub error: String,
}

impl Report {
    pub(super) fn add(&mut self, target: &str, part: Self, error: Option<String>) {
        self.total += part.total;
        self.successful += part.successful;
        self.failed += part.failed;
        self.queued += part.queued;
        self.more_errors += part.more_errors;
        for problem in part.errors {
            self.list(problem);
        }
        let room = LISTED.saturating_sub(self.reasons.len());
        self.reasons.extend(part.reasons.into_iter().take(room));
        self.targets.push(TargetReport {
            target: target.to_owned(),
            total: part.total,
            successful: part.successful,
            failed: part.failed,
            queued: part.queued,
            error,
        });
    }

    pub(super) fn count(&mut self, target: &str, attempt: Attempt) {
        let error = match attempt.outcome {
            Outcome::Accepted { .. } | Outcome::AlreadyKnown => {
                self.successful += 1;
                return;
            }
            Outcome::Rejected { reason } => format!("refused: {reason}"),
            Outcome::Retry { reason, .. } => format!("tried again later: {reason}"),
        };
        self.failed += 1;
        let same = |reason: &&mut Reason| reason.target == target && reason.error == error;
        let alike = if let Some(reason) = self.reasons.iter_mut().find(same) {
            reason.count += 1;
            reason.count
        } else {
            if self.reasons.len() < LISTED {
                self.reasons.push(Reason {
                    target: target.to_owned(),
                    error: error.clone(),
                    count: 1,
                });
            }
            1
        };
        if alike > ALIKE {
            self.more_errors += 1;
            return;
        }
        self.list(Problem {
            target: target.to_owned(),
            entry_id: attempt.row.entry_id,
            user_id: attempt.row.employee,
            date: attempt.row.date,
            error,
        });
    }

    fn list(&mut self, problem: Problem) {
        if self.errors.len() < LISTED {
            self.errors.push(problem);
        } else {
            self.more_errors += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(id: usize, reason: &str) -> Attempt {
        let row = crate::store::entity::outbox::Model {
            id: 0,
            target: "hr".to_owned(),
            entry_id: format!("e{id}"),
            revision: 1,
            employee: id.to_string(),
            date: "2026-03-05".to_owned(),
            deleted: false,
            content: String::new(),
            key: String::new(),
            state: String::new(),
            attempts: 0,
            due_at: 0,
            last_attempt: None,
            last_error: None,
            queued_at: 0,
            settled_at: None,
        };
        let reason = reason.to_owned();
        let outcome = Outcome::Rejected { reason };
        Attempt { row, outcome }
    }

    #[test]
    fn what_went_wrong_alike_is_counted_and_the_list_has_an_end() {
        let mut part = Report::default();
        for id in 0..1_000 {
            part.count("hr", refused(id, "no such employee"));
        }
        part.count("hr", refused(7, "closed period"));
        let told: Vec<(&str, u64)> = part
            .reasons
            .iter()
            .map(|reason| (reason.error.as_str(), reason.count))
            .collect();
        assert_eq!(
            told,
            [
                ("refused: no such employee", 1_000),
                ("refused: closed period", 1)
            ]
        );
        let listed: Vec<&str> = part
            .errors
            .iter()
            .map(|problem| problem.entry_id.as_str())
            .collect();
        assert_eq!(listed, ["e0", "e1", "e2", "e3", "e4", "e7"]);
        assert_eq!((part.failed, part.more_errors), (1_001, 995));

        // Each in words of its own, from two targets.
        let mut other = Report::default();
        for id in 0..150 {
            other.count("erp", refused(id, &format!("nobody is called {id}")));
        }
        assert_eq!((other.errors.len(), other.more_errors), (LISTED, 50));
        assert_eq!(other.reasons.len(), LISTED);
        let mut all = Report::default();
        all.add("hr", part, None);
        all.add("erp", other, None);
        assert_eq!((all.errors.len(), all.reasons.len()), (LISTED, LISTED));
        assert_eq!(all.failed, all.errors.len() as u64 + all.more_errors);
    }
}
