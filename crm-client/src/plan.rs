//! What an HTTP answer means, and what to send next: pure, for any adapter that speaks HTTP.
//!
//! A [`Plan`] hands out [`Step`]s; the adapter sends each and brings back a [`Reply`]. A batch that is refused in
//! part, or too large, is split; single entries are the last resort; no entry goes out the same way twice.
//!
//! ```
//! use crm_client::plan::{Answer, Plan, Reply, Step};
//! use crm_client::{Entry, Outcome};
//! use serde_json::json;
//!
//! let entries = [Entry::new("hr", "a", 1, false, json!({})), Entry::new("hr", "b", 1, false, json!({}))];
//! let mut plan = Plan::batches(&entries, 100.try_into()?);
//! while let Some(step) = plan.next_step() {
//!     // The target takes no batch this large, but each entry alone.
//!     let status = if let Step::Batch(_) = step { 413 } else { 201 };
//!     plan.settle(&step, Reply::Answer(Answer { status, ..Answer::default() }))?;
//! }
//! assert!(plan.finish().iter().all(Outcome::is_delivered));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use crate::answer::{batch, shorten};
use crate::{Entry, Error, Outcome, Reach};

pub(crate) use crate::answer::Verdict;
pub use crate::answer::{Answer, check, single};

/// After so many requests in a row without an answer, the rest of a push is not sent: each would wait as long.
const PATIENCE: u32 = 3;

/// So many entries that are forbidden, while none was taken, are not refused each on its own.
const FORBIDDEN: usize = 3;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// With an answer.
    Answer(Answer),
    /// Nobody was reached; nothing was sent.
    NotConnected {
        /// What happened.
        reason: String,
    },
    /// The request went out, and no whole answer came: the target may or may not have it.
    NoAnswer {
        /// What happened.
        reason: String,
    },
    /// The other side could not prove who it is.
    Tls {
        /// What the TLS library says.
        reason: String,
    },
}

/// What a [`Reply`] comes to, once somebody has read it.
pub(crate) enum Ending {
    Judged(Verdict),
    Failed(Error),
    NotConnected { reason: String },
    NoAnswer { reason: String },
}

impl Ending {
    /// Reads a reply; what an answer means, `judge` says.
    pub(crate) fn of(reply: Reply, judge: impl FnOnce(&Answer) -> Result<Verdict, Error>) -> Self {
        match reply {
            Reply::Answer(answer) => match judge(&answer) {
                Ok(verdict) => Self::Judged(verdict),
                Err(error) => Self::Failed(error),
            },
            Reply::Tls { reason } => Self::Failed(Error::Tls { reason }),
            Reply::NotConnected { reason } => Self::NotConnected { reason },
            Reply::NoAnswer { reason } => Self::NoAnswer { reason },
        }
    }

    pub(crate) fn is_rejection(&self) -> bool {
        let rejects = |outcomes: &[Outcome]| matches!(outcomes, [Outcome::Rejected { .. }]);
        matches!(self, Self::Judged(Verdict::Done(outcomes)) if rejects(outcomes))
    }

    pub(crate) fn rejected(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Judged(Verdict::Done(vec![Outcome::Rejected { reason }]))
    }
}

/// One request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The entry at this index, alone.
    Single(usize),
    /// The entries of this range, as one batch of at least two.
    Batch(Range<usize>),
}

impl Step {
    /// The index of its first entry.
    pub(crate) fn start(&self) -> usize {
        self.range().start
    }

    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Self::Single(index) => *index..*index + 1,
            Self::Batch(range) => range.clone(),
        }
    }
}

/// The course of one push.
pub struct Plan<'a> {
    entries: &'a [Entry],
    /// A stack: the next step is the last.
    todo: Vec<Step>,
    outcomes: Vec<Option<Outcome>>,
    unanswered: u32,
    /// Entries that the target forbade, with its words, while it was not known whether it lets us in.
    forbidden: Vec<(usize, String)>,
    /// It took something.
    is_welcome: bool,
    hidden: &'a str,
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("todo", &self.todo)
            .field("outcomes", &self.outcomes)
            .finish_non_exhaustive()
    }
}

impl<'a> Plan<'a> {
    /// Each entry alone.
    pub fn singles(entries: &'a [Entry]) -> Self {
        Self::new(entries, (0..entries.len()).map(Step::Single).collect())
    }

    /// Each entry alone, in the order of these indices.
    pub(crate) fn in_order(entries: &'a [Entry], order: impl IntoIterator<Item = usize>) -> Self {
        Self::new(entries, order.into_iter().map(Step::Single).collect())
    }

    /// In batches of up to `size`.
    pub fn batches(entries: &'a [Entry], size: NonZeroUsize) -> Self {
        Self::batches_of(entries, size, |_, _| true)
    }

    /// In batches of up to `size`, none of which holds two neighbours that do not belong `together`.
    pub(crate) fn batches_of(
        entries: &'a [Entry],
        size: NonZeroUsize,
        together: impl FnMut(&Entry, &Entry) -> bool,
    ) -> Self {
        let mut start = 0;
        let runs = entries.chunk_by(together).map(|run| {
            start += run.len();
            start - run.len()..start
        });
        let steps = runs.flat_map(|run| {
            let starts = run.clone().step_by(size.get());
            starts.map(move |start| step(start..(start + size.get()).min(run.end)))
        });
        Self::new(entries, steps.collect())
    }

    fn new(entries: &'a [Entry], mut todo: Vec<Step>) -> Self {
        todo.reverse();
        Self {
            entries,
            todo,
            outcomes: vec![None; entries.len()],
            unanswered: 0,
            forbidden: Vec::new(),
            is_welcome: false,
            hidden: "",
        }
    }

    /// A secret that must not come back in the target's words.
    #[must_use]
    pub fn hiding(self, secret: &'a str) -> Self {
        Self {
            hidden: secret,
            ..self
        }
    }

    /// What to send next; `None` when all is settled.
    pub fn next_step(&mut self) -> Option<Step> {
        self.todo.pop()
    }

    /// Something of this push is settled already, be it as `Retry`.
    pub(crate) fn has_settled(&self) -> bool {
        self.outcomes.iter().any(Option::is_some)
    }

    /// Takes in how `step` ended.
    ///
    /// What concerns the whole target is an error if it comes first. Once an entry of this push has been settled,
    /// its outcome is worth more than the error: the rest is to be tried again, and will meet the error first.
    pub fn settle(&mut self, step: &Step, reply: Reply) -> Result<(), Error> {
        let (entries, hidden) = (&self.entries[step.range()], self.hidden);
        let ending = Ending::of(reply, |answer| match step {
            Step::Single(_) => single(answer, hidden).map(|outcome| Verdict::of(answer, outcome)),
            Step::Batch(_) => batch(answer, entries, hidden),
        });
        self.end(step, ending)
    }

    /// As [`settle`](Self::settle), for those who read replies themselves.
    pub(crate) fn end(&mut self, step: &Step, ending: Ending) -> Result<(), Error> {
        self.unanswered = if matches!(ending, Ending::NoAnswer { .. }) {
            self.unanswered + 1
        } else {
            0
        };
        match ending {
            Ending::Judged(verdict) => self.follow(step, verdict),
            Ending::NotConnected { reason } => {
                self.leave(step, None, Reach::Unanswered, &reason);
                self.give_up(None, &reason);
            }
            Ending::NoAnswer { reason } => {
                self.leave(step, None, Reach::Unanswered, &reason);
                if self.unanswered >= PATIENCE {
                    self.give_up(None, &reason);
                }
            }
            Ending::Failed(error @ Error::Unauthorised { status: 403, .. }) => {
                return self.forbid(step, error);
            }
            Ending::Failed(error) => return self.fail(step, error),
        }
        Ok(())
    }

    /// What concerns the whole target.
    fn fail(&mut self, step: &Step, error: Error) -> Result<(), Error> {
        let (error, reach) = match error {
            Error::Tls { reason } => {
                let reason = shorten(&reason, self.hidden);
                (Error::Tls { reason }, Reach::Unanswered)
            }
            error => (error, Reach::Answered),
        };
        if !self.has_settled() {
            return Err(error);
        }
        let reason = error.to_string();
        self.leave(step, None, reach, &reason);
        self.give_up(None, &reason);
        Ok(())
    }

    /// 403 may be about these entries alone, or about all we do. Others tell: who takes one of them lets us in, and has
    /// refused these. Where several are forbidden and none was taken, nobody is let in.
    fn forbid(&mut self, step: &Step, error: Error) -> Result<(), Error> {
        match step {
            Step::Batch(_) => self.follow(step, Verdict::Split),
            Step::Single(index) => {
                if self.forbidden.len() + 1 >= FORBIDDEN && !self.is_welcome {
                    return self.fail(step, error);
                }
                self.forbidden.push((*index, refusal(&error)));
                // Nobody is left who could tell.
                if self.todo.is_empty() && !self.has_settled() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Nothing (more) is to be sent.
    pub(crate) fn abandon(&mut self, ending: Ending) -> Result<(), Error> {
        let (after, reason) = match ending {
            Ending::Failed(error) if !self.has_settled() => return Err(error),
            Ending::Failed(error) => (None, error.to_string()),
            Ending::NotConnected { reason } | Ending::NoAnswer { reason } => (None, reason),
            Ending::Judged(Verdict::Wait { after, reason, .. }) => (after, reason),
            Ending::Judged(verdict) => (None, verdict.into_reason()),
        };
        self.give_up(after, &reason);
        Ok(())
    }

    /// Hands out no more steps; what is under way may still end.
    pub(crate) fn stop(&mut self) {
        self.give_up(None, "the delivery was stopped");
    }

    /// Waits no longer for the answer to a step.
    pub(crate) fn leave_unanswered(&mut self, step: &Step) {
        self.leave(step, None, Reach::Unanswered, "the delivery was stopped");
    }

    /// One outcome per entry, in their order.
    pub fn finish(self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes;
        for (index, reason) in self.forbidden {
            outcomes[index].get_or_insert(if self.is_welcome {
                Outcome::Rejected { reason }
            } else {
                Outcome::Retry {
                    after: None,
                    reach: Reach::Answered,
                    reason,
                }
            });
        }
        let unsent = || Outcome::Retry {
            after: None,
            reach: Reach::NotSent,
            reason: "not sent".to_owned(),
        };
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(unsent))
            .collect()
    }

    fn follow(&mut self, step: &Step, verdict: Verdict) {
        match verdict {
            Verdict::Done(outcomes) => {
                self.is_welcome |= outcomes.iter().any(Outcome::is_delivered);
                for (place, outcome) in self.outcomes[step.range()].iter_mut().zip(outcomes) {
                    *place = Some(outcome);
                }
            }
            Verdict::Wait {
                after,
                quiet,
                reason,
            } => {
                self.leave(step, after, Reach::Answered, &reason);
                // The target asks for quiet, so it is left alone.
                if quiet {
                    self.give_up(after, &reason);
                }
            }
            Verdict::Split => {
                let Range { start, end } = step.range();
                let middle = usize::midpoint(start, end);
                tracing::debug!(entries = end - start, "a batch was refused and is split");
                self.todo
                    .extend([self::step(middle..end), self::step(start..middle)]);
            }
            Verdict::OneByOne => {
                tracing::debug!("the target takes no batches; sending one by one");
                self.todo.push(step.clone());
                self.todo = self
                    .todo
                    .iter()
                    .flat_map(|step| step.range().rev().map(Step::Single))
                    .collect();
            }
        }
    }

    fn give_up(&mut self, after: Option<Duration>, reason: &str) {
        for step in std::mem::take(&mut self.todo) {
            self.leave(&step, after, Reach::NotSent, &format!("not sent: {reason}"));
        }
    }

    fn leave(&mut self, step: &Step, after: Option<Duration>, reach: Reach, reason: &str) {
        let reason = shorten(reason, self.hidden);
        self.outcomes[step.range()].fill(Some(Outcome::Retry {
            after,
            reach,
            reason,
        }));
    }
}

/// What a 403 that is about one entry says of it.
fn refusal(error: &Error) -> String {
    match error {
        Error::Unauthorised {
            status,
            words: Some(words),
        } => format!("the target answered {status}: {words}"),
        Error::Unauthorised { status, .. } => format!("the target answered {status}"),
        error => error.to_string(),
    }
}

fn step(range: Range<usize>) -> Step {
    if range.len() == 1 {
        Step::Single(range.start)
    } else {
        Step::Batch(range)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        }
    }

    fn entries(count: usize) -> Vec<Entry> {
        (0..count)
            .map(|index| Entry::new("t", format!("e{index}"), 1, false, json!({})))
            .collect()
    }

    fn accepted_as(id: &str) -> Outcome {
        Outcome::Accepted {
            remote_id: Some(id.to_owned()),
        }
    }

    fn reason(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Rejected { reason } | Outcome::Retry { reason, .. } => reason,
            other => panic!("{other:?} has no reason"),
        }
    }

    /// Runs a plan against a server function; also returns the steps taken.
    fn run(
        mut plan: Plan<'_>,
        mut server: impl FnMut(&Step) -> Reply,
    ) -> (Result<Vec<Outcome>, Error>, Vec<Step>) {
        let mut steps = Vec::new();
        while let Some(step) = plan.next_step() {
            let reply = server(&step);
            steps.push(step);
            if let Err(error) = plan.settle(steps.last().unwrap(), reply) {
                return (Err(error), steps);
            }
        }
        (Ok(plan.finish()), steps)
    }

    #[test]
    fn one_bad_entry_never_stops_its_neighbours() {
        let entries = entries(3);
        for (status, middle) in [(400, "400"), (413, "413"), (500, "500")] {
            let (outcomes, steps) = run(Plan::singles(&entries), |step| {
                Reply::Answer(answer(
                    if *step == Step::Single(1) {
                        status
                    } else {
                        201
                    },
                    "",
                ))
            });
            let outcomes = outcomes.unwrap();
            assert!(outcomes[0].is_delivered() && outcomes[2].is_delivered());
            assert!(reason(&outcomes[1]).contains(middle));
            assert_eq!(steps.len(), 3);
        }
    }

    #[test]
    fn after_429_nothing_more_is_sent() {
        let entries = entries(4);
        let (outcomes, steps) = run(Plan::singles(&entries), |step| {
            let busy = Answer {
                retry_after: Some("9".into()),
                ..answer(429, "")
            };
            Reply::Answer(if *step == Step::Single(0) {
                answer(200, "")
            } else {
                busy
            })
        });
        let outcomes = outcomes.unwrap();
        assert_eq!(steps.len(), 2);
        assert!(outcomes[0].is_delivered());
        for outcome in &outcomes[1..] {
            assert!(
                matches!(outcome, Outcome::Retry { after: Some(wait), .. } if wait.as_secs() == 9)
            );
        }
        assert!(reason(&outcomes[3]).starts_with("not sent"));
    }

    #[test]
    fn where_nobody_is_only_one_entry_knocks() {
        let entries = entries(5);
        let (outcomes, steps) = run(Plan::singles(&entries), |_| Reply::NotConnected {
            reason: "refused".into(),
        });
        assert_eq!(steps.len(), 1);
        assert!(
            outcomes
                .unwrap()
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Retry { .. }))
        );
    }

    #[test]
    fn one_entry_without_answer_is_passed_over_and_three_in_a_row_end_the_push() {
        let entries = entries(7);
        let silent = || Reply::NoAnswer {
            reason: "no answer within 30 s".into(),
        };
        let (outcomes, steps) = run(Plan::singles(&entries), |step| {
            if *step == Step::Single(2) {
                silent()
            } else {
                Reply::Answer(answer(200, ""))
            }
        });
        assert_eq!(steps.len(), 7);
        assert_eq!(
            outcomes
                .unwrap()
                .iter()
                .filter(|outcome| outcome.is_delivered())
                .count(),
            6
        );
        let (outcomes, steps) = run(Plan::singles(&entries), |_| silent());
        assert_eq!(steps.len(), 3);
        assert_eq!(
            reason(&outcomes.unwrap()[6]),
            "not sent: no answer within 30 s"
        );
    }

    #[test]
    fn an_error_after_the_first_success_keeps_the_success() {
        let entries = entries(3);
        let (outcomes, steps) = run(Plan::singles(&entries), |step| {
            Reply::Answer(answer(if *step == Step::Single(0) { 201 } else { 401 }, ""))
        });
        let outcomes = outcomes.unwrap();
        assert_eq!(steps.len(), 2);
        assert!(outcomes[0].is_delivered());
        assert!(reason(&outcomes[1]).contains("does not let us in"));
        assert!(matches!(outcomes[2], Outcome::Retry { .. }));
        let (first, _) = run(Plan::singles(&entries), |_| Reply::Answer(answer(401, "")));
        assert!(matches!(first, Err(Error::Unauthorised { .. })));
        let (tls, _) = run(Plan::singles(&entries), |_| Reply::Tls {
            reason: "bad certificate".into(),
        });
        assert!(matches!(tls, Err(Error::Tls { .. })));
    }

    #[test]
    fn a_403_is_about_one_entry_where_others_are_taken_and_about_all_where_none_is() {
        let entries = entries(6);
        let run = |plan, forbidden: &[usize]| {
            let forbidden = forbidden.to_vec();
            run(plan, move |step| {
                let is_forbidden = |index| forbidden.contains(&index);
                Reply::Answer(if step.range().any(is_forbidden) {
                    answer(403, r#"{"detail": "not yours"}"#)
                } else {
                    answer(201, "")
                })
            })
        };
        let plans = || {
            let size = NonZeroUsize::new(6).unwrap();
            [Plan::singles(&entries), Plan::batches(&entries, size)]
        };
        for forbidden in [&[0][..], &[3], &[0, 1], &[0, 5], &[2, 3, 4, 5]] {
            for plan in plans() {
                let outcomes = run(plan, forbidden).0.unwrap();
                for (index, outcome) in outcomes.iter().enumerate() {
                    if forbidden.contains(&index) {
                        assert_eq!(reason(outcome), "the target answered 403: not yours");
                        assert!(matches!(outcome, Outcome::Rejected { .. }));
                    } else {
                        assert!(outcome.is_delivered(), "{forbidden:?}: {outcomes:?}");
                    }
                }
            }
        }
        for plan in plans() {
            let (none, steps) = run(plan, &[0, 1, 2, 3, 4, 5]);
            assert!(matches!(none, Err(Error::Unauthorised { status: 403, .. })));
            let singles = steps.iter().filter(|step| matches!(step, Step::Single(_)));
            assert_eq!(singles.count(), FORBIDDEN);
        }
        let alone = run(Plan::singles(&entries[..1]), &[0]).0;
        assert!(matches!(
            alone,
            Err(Error::Unauthorised { status: 403, .. })
        ));
    }

    #[test]
    fn a_403_among_refusals_alone_is_tried_again() {
        let entries = entries(2);
        let (outcomes, _) = run(Plan::singles(&entries), |step| {
            Reply::Answer(answer(if *step == Step::Single(0) { 422 } else { 403 }, ""))
        });
        let outcomes = outcomes.unwrap();
        assert!(matches!(outcomes[0], Outcome::Rejected { .. }));
        assert!(matches!(outcomes[1], Outcome::Retry { .. }));
    }

    #[test]
    fn a_batch_with_one_bad_entry_is_split_until_it_stands_alone() {
        let entries = entries(8);
        let (outcomes, steps) = run(
            Plan::batches(&entries, NonZeroUsize::new(8).unwrap()),
            |step| {
                Reply::Answer(answer(
                    if step.range().contains(&5) { 422 } else { 200 },
                    "",
                ))
            },
        );
        let outcomes = outcomes.unwrap();
        assert!(matches!(outcomes[5], Outcome::Rejected { .. }));
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| outcome.is_delivered())
                .count(),
            7
        );
        assert_eq!(
            steps,
            [
                Step::Batch(0..8),
                Step::Batch(0..4),
                Step::Batch(4..8),
                Step::Batch(4..6),
                Step::Single(4),
                Step::Single(5),
                Step::Batch(6..8)
            ]
        );
    }

    #[test]
    fn no_entry_goes_out_the_same_way_twice() {
        let entries = entries(11);
        for status in [207, 400, 409, 413, 422, 500] {
            let (_, steps) = run(
                Plan::batches(&entries, NonZeroUsize::new(4).unwrap()),
                |step| {
                    Reply::Answer(answer(
                        if step.range().len() > 1 { status } else { 500 },
                        "",
                    ))
                },
            );
            let mut seen: Vec<_> = steps
                .iter()
                .map(Step::range)
                .map(|range| (range.start, range.end))
                .collect();
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all);
        }
    }

    #[test]
    fn a_target_without_batches_gets_them_one_by_one_in_order() {
        let entries = entries(5);
        let (outcomes, steps) = run(
            Plan::batches(&entries, NonZeroUsize::new(2).unwrap()),
            |step| Reply::Answer(answer(if step.range().len() > 1 { 404 } else { 200 }, "")),
        );
        assert!(outcomes.unwrap().iter().all(Outcome::is_delivered));
        let singles: Vec<_> = (0..5).map(Step::Single).collect();
        assert_eq!(steps[0], Step::Batch(0..2));
        assert_eq!(steps[1..], singles);
    }

    #[test]
    fn results_of_a_batch_are_taken_by_key_or_by_place() {
        let entries = entries(3);
        let keyed = json!({"results": [
            {"idempotency_key": entries[2].key().as_str(), "status": "rejected", "reason": "no such employee"},
            {"idempotency_key": entries[0].key().as_str(), "status": "accepted", "remote_id": "r0"},
            {"idempotency_key": entries[1].key().as_str(), "status": "duplicate"},
        ]});
        let placed = json!({"results": [
            {"status": 201, "id": "r0"}, {"status": 409}, {"status": 422, "message": "no such employee"},
        ]});
        for (status, body) in [(200, &keyed), (207, &placed), (422, &keyed)] {
            let (outcomes, steps) = run(
                Plan::batches(&entries, NonZeroUsize::new(9).unwrap()),
                |_| Reply::Answer(answer(status, &body.to_string())),
            );
            let refused = Outcome::Rejected {
                reason: "no such employee".into(),
            };
            assert_eq!(
                outcomes.unwrap(),
                [accepted_as("r0"), Outcome::AlreadyKnown, refused]
            );
            assert_eq!(steps.len(), 1);
        }
    }

    #[test]
    fn a_batch_accepted_with_unclear_refusals_is_split() {
        let entries = entries(2);
        for body in [
            r#"{"failed": 1}"#,
            r#"{"errors": ["x"]}"#,
            r#"{"results": [{"status": "accepted"}]}"#,
        ] {
            let (_, steps) = run(
                Plan::batches(&entries, NonZeroUsize::new(2).unwrap()),
                |_| Reply::Answer(answer(200, body)),
            );
            assert_eq!(steps, [Step::Batch(0..2), Step::Single(0), Step::Single(1)]);
        }
        for body in [r#"{"failed": 0, "errors": []}"#, "OK", ""] {
            let (outcomes, steps) = run(
                Plan::batches(&entries, NonZeroUsize::new(2).unwrap()),
                |_| Reply::Answer(answer(200, body)),
            );
            assert_eq!(steps.len(), 1);
            assert!(outcomes.unwrap().iter().all(Outcome::is_delivered));
        }
    }
}
