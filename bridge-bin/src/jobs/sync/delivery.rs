//! The telling of one target: what is due goes out portion by portion, until nothing is left or it takes nothing.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use crm_client::{Entry, Error, Interruption, Outcome, Reach};
use futures_util::future::join;

use super::pace::Pace;
use super::{Options, Report};
use crate::app::App;
use crate::config::targets::Target;
use crate::convert;
use crate::failpoint;
use crate::failure::Failure;
use crate::lifecycle::{GRACE, Stop};
use crate::store::entity::{outbox as row, target};
use crate::store::outbox::{self, Attempt, Selection};
use crate::zone;

/// The first pause of a target in trouble, in seconds; each further one is twice as long.
const PAUSE: i64 = 60;

/// Begins what is remembered of a row that a target forbade.
const FORBIDDEN: &str = "the target answered 403";

/// So many pushes in a row that bring nothing but trouble pause a target.
const ENOUGH: i32 = 3;

/// Whoever is asked to stop waits no longer than this for answers, so that those that came are written down in time.
const LAST_WORDS: Duration = GRACE.checked_div(2).unwrap();

/// One delivery to one target, whose lease is held.
pub(super) struct Delivery<'a> {
    app: &'a App,
    target: &'a Target,
    crm: &'a crm_client::Target,
    options: &'a Options,
    queue: Queue<'a>,
    /// A target that was in trouble is asked with one record first.
    is_probe: bool,
    /// Pushes in a row that brought nothing but trouble, in this delivery alone: over several it may be that of one
    /// record, which waits longer each time by itself.
    troubled: i32,
    /// Pushes in a row to which nobody answered, those of earlier deliveries included.
    unanswered: i32,
    /// When the target last took something.
    last_success: Option<i64>,
}

/// What is to be sent, in its order.
struct Queue<'a> {
    app: &'a App,
    target: &'a str,
    selection: &'a Selection,
    pace: Pace,
    /// Rows that may still be taken.
    left: u64,
    /// The last row that was taken.
    after: i64,
}

/// Rows that were taken, as far as they can be sent.
#[derive(Default)]
struct Portion {
    entries: Vec<Entry>,
    /// The same as rows.
    rows: Vec<row::Model>,
    /// One damaged row is a dead letter, not everybody's trouble.
    damaged: Vec<Attempt>,
}

/// The best that came of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Best {
    /// Nobody answered.
    Silence,
    /// The target answered, and can take nothing now.
    Trouble,
    /// It settled something, if only by a refusal.
    Refusal,
    /// It took something.
    Delivery,
}

/// What the attempts of one push tell of the target as a whole.
struct Told {
    best: Best,
    /// The push stopped before it was through.
    stopped: bool,
    /// For how long it asks to be left alone.
    rest: Option<Duration>,
    /// Why something is to be tried again.
    trouble: Option<String>,
}

impl<'a> Delivery<'a> {
    /// Nothing, if the target is left alone at the moment.
    pub(super) async fn begin(
        app: &'a App,
        target: &'a Target,
        crm: &'a crm_client::Target,
        options: &'a Options,
    ) -> anyhow::Result<Option<Self>> {
        let known = app.store.target(&target.id).await?;
        if let Some(row) = &known
            && is_left_alone(app, row, options)?
        {
            return Ok(None);
        }
        let known = known.as_ref();
        Ok(Some(Self {
            app,
            target,
            crm,
            options,
            queue: Queue {
                app,
                target: &target.id,
                selection: &options.selection,
                pace: Pace::of(app, target),
                left: options.limit.unwrap_or(u64::MAX),
                after: 0,
            },
            is_probe: known.is_some_and(|row| row.pauses > 0),
            troubled: 0,
            unanswered: known.map_or(0, |row| row.unanswered),
            last_success: known.and_then(|row| row.last_success),
        }))
    }

    /// Goes on until nothing is left or the target takes nothing.
    pub(super) async fn run(mut self, report: &mut Report) -> anyhow::Result<()> {
        let mut rows = if self.is_probe {
            self.queue.probe().await?
        } else {
            self.queue.next().await?
        };
        while !rows.is_empty() && !self.is_stopped() {
            let (attempts, told) = self.push(rows).await?;
            let settled = settle(self.app, self.target, &attempts);
            rows = if self.is_probe {
                // It may be among the next. A damaged one asked nothing.
                settled.await?;
                if told.is_none() {
                    self.queue.probe().await?
                } else {
                    self.queue.next().await?
                }
            } else {
                // What became of a portion is written down while the next rows are read; only those, as it may tell the
                // names that the target has for their entries.
                let (settled, next) = join(settled, self.queue.next()).await;
                settled?;
                next?
            };
            report.total += attempts.len() as u64;
            for attempt in attempts {
                report.count(&self.target.id, attempt);
            }
            // Of nothing but damaged rows the target was told nothing, and said nothing.
            if let Some(told) = told {
                if !self.goes_on(&told).await? {
                    break;
                }
                self.is_probe = false;
            }
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.as_ref().is_some_and(Stop::is_requested)
    }

    /// Sends rows; what became of each, and what that tells of the target.
    async fn push(&self, rows: Vec<row::Model>) -> anyhow::Result<(Vec<Attempt>, Option<Told>)> {
        let portion = self.thaw(rows).await?;
        let stop = self.options.stop.as_ref();
        let interruption = Interruption {
            stop: stopped(stop, Duration::ZERO),
            leave: stopped(stop, LAST_WORDS),
        };
        let answer = self.crm.push_until(&portion.entries, interruption).await;
        failpoint::pass("sent");
        let outcomes = match answer {
            Ok(outcomes) => outcomes,
            Err(error) => match self.of_these_alone(&error, &portion.rows) {
                Some(refusal) => vec![refusal; portion.rows.len()],
                None => return Err(self.trouble_of_all(&error, &portion.rows).await?),
            },
        };
        let pairs = portion.rows.into_iter().zip(outcomes);
        let mut attempts: Vec<Attempt> = pairs
            .map(|(row, outcome)| Attempt { row, outcome })
            .collect();
        if self.is_stopped() {
            // What was not sent because we stop keeps its place in the queue.
            attempts.retain(|attempt| !attempt.is_unsent());
        }
        let told = Told::by(&attempts);
        attempts.extend(portion.damaged);
        Ok((attempts, told))
    }

    async fn thaw(&self, rows: Vec<row::Model>) -> anyhow::Result<Portion> {
        let (store, id) = (&self.app.store, &self.target.id);
        let remote_ids = store.remote_ids(id, &rows).await?;
        let mut earlier = if self.target.connector.finds_by_content() {
            store.attempted_before(id, &rows).await?
        } else {
            HashMap::new()
        };
        let mut portion = Portion::default();
        for row in rows {
            match outbox::thaw(&row, remote_ids.get(&row.entry_id).cloned()) {
                Ok(entry) => {
                    let earlier = earlier.remove(&row.entry_id).unwrap_or_default();
                    portion.entries.push(entry.with_earlier(earlier));
                    portion.rows.push(row);
                }
                Err(error) => portion.damaged.push(Attempt {
                    outcome: Outcome::Rejected {
                        reason: error.to_string(),
                    },
                    row,
                }),
            }
        }
        Ok(portion)
    }

    /// What a 403 means that is about these rows alone. They met it before, and the target took others since: so it
    /// lets us in, and refuses these. Or they are one person's, while it took others before: they wait by themselves.
    fn of_these_alone(&self, error: &Error, rows: &[row::Model]) -> Option<Outcome> {
        let Error::Unauthorised { status: 403, words } = error else {
            return None;
        };
        let last_success = self.last_success?;
        let first = rows.first()?;
        let words = words.as_ref().map(|words| format!(": {words}"));
        let reason = format!("{FORBIDDEN}{}", words.unwrap_or_default());
        // Its further words may name the request, and differ each time.
        let met_before = |row: &row::Model| {
            let told = row.last_error.as_deref().unwrap_or_default();
            told.starts_with(FORBIDDEN) && row.last_attempt.is_some_and(|at| at <= last_success)
        };
        if rows.iter().all(met_before) {
            return Some(Outcome::Rejected { reason });
        }
        let is_theirs = |row: &row::Model| row.employee == first.employee;
        (!self.is_probe && rows.iter().all(is_theirs)).then_some(Outcome::Retry {
            after: None,
            reach: Reach::Answered,
            reason,
        })
    }

    /// Concerns the whole target and needs a human: it is paused, and no attempt is counted.
    async fn trouble_of_all(
        &self,
        error: &Error,
        rows: &[row::Model],
    ) -> anyhow::Result<anyhow::Error> {
        let (app, id, now) = (self.app, &self.target.id, self.app.clock.now());
        let words = error.to_string();
        app.store
            .note_target(id, Some((&words, PAUSE)), now)
            .await?;
        if let [row] = rows {
            // It may be about this record after all, such as an address that its id is part of, or about its person. So
            // the next probe, when this pause is over, is somebody else's.
            let until = app.store.target(id).await?.and_then(|row| row.paused_until);
            let due_at = match until {
                Some(until) if self.is_probe => until + (until - now),
                _ => row.due_at,
            };
            let trouble = match error {
                Error::Unauthorised { status: 403, .. } => FORBIDDEN,
                _ => &words,
            };
            app.store.postpone(row, due_at, trouble, now).await?;
        }
        Ok(convert::crm_failure(error).into())
    }

    /// Remembers how the target is, and says whether it is to be told more now.
    async fn goes_on(&mut self, told: &Told) -> anyhow::Result<bool> {
        let (app, id, now) = (self.app, &self.target.id, self.app.clock.now());
        if told.best == Best::Delivery {
            // Once a second says it as well as with every portion.
            if self.last_success != Some(now) || self.is_probe || self.unanswered > 0 {
                app.store.note_target(id, None, now).await?;
                self.last_success = Some(now);
                self.note_certificate().await?;
            }
        } else if told.best == Best::Refusal && self.is_probe {
            app.store.end_pause(id).await?;
        }
        if let Some(wait) = told.rest {
            app.store.rest_target(id, wait, now).await?;
            return Ok(false);
        }
        if self.is_stopped() {
            return Ok(false);
        }
        let answered = told.best >= Best::Refusal;
        self.troubled = if answered { 0 } else { self.troubled + 1 };
        let is_silent = self.counts_silence(told).await?;
        let is_down = is_silent || self.troubled >= ENOUGH;
        if let Some(reason) = told.trouble.as_ref().filter(|_| !answered)
            && (is_down || self.is_probe || told.stopped)
        {
            // Nothing but trouble: it is left alone, ever longer, instead of being asked with every record in turn.
            app.store
                .note_target(id, Some((reason, PAUSE)), now)
                .await?;
            return Ok(false);
        }
        // If it takes nothing at the moment, the rest keeps its place in the queue.
        Ok(!told.stopped && (answered || !self.is_probe))
    }

    /// Counts pushes to which nobody answered, over deliveries and nodes; says whether there were enough of them.
    async fn counts_silence(&mut self, told: &Told) -> anyhow::Result<bool> {
        let before = self.unanswered;
        self.unanswered = match told.best {
            Best::Silence => before + 1,
            _ => 0,
        };
        if self.unanswered != before && told.best != Best::Delivery {
            let store = &self.app.store;
            store
                .note_unanswered(&self.target.id, self.unanswered)
                .await?;
        }
        Ok(self.unanswered >= ENOUGH)
    }

    async fn note_certificate(&self) -> anyhow::Result<()> {
        let (app, id) = (self.app, &self.target.id);
        let ends = self
            .crm
            .certificate_ends()
            .and_then(|ends| ends.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok());
        let known = app.store.target(id).await?;
        if known.is_some_and(|row| row.certificate_ends != ends) {
            app.store.note_certificate(id, ends).await?;
        }
        Ok(())
    }
}

/// Writes down what became of each attempt.
async fn settle(app: &App, target: &Target, attempts: &[Attempt]) -> anyhow::Result<()> {
    let (retry, now) = (i64::from(target.retry_seconds), app.clock.now());
    Ok(app.store.settle(&target.id, attempts, retry, now).await?)
}

impl Queue<'_> {
    /// The next rows.
    async fn next(&mut self) -> anyhow::Result<Vec<row::Model>> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let store = &self.app.store;
        let size = self.pace.next(self.app).await.min(self.left);
        let now = self.app.clock.now();
        let due = store.due(self.target, self.selection, now, self.after, size);
        let rows = due.await?;
        self.pace.give_back(size.saturating_sub(rows.len() as u64));
        self.left -= rows.len() as u64;
        if let Some(last) = rows.last() {
            self.after = last.id;
        }
        Ok(rows)
    }

    /// The row that asks whether the target is back.
    async fn probe(&mut self) -> anyhow::Result<Vec<row::Model>> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let now = self.app.clock.now();
        let probe = self.app.store.probe(self.target, self.selection, now);
        let rows = probe.await?;
        self.left -= rows.len() as u64;
        Ok(rows)
    }
}

impl Told {
    fn by(attempts: &[Attempt]) -> Option<Self> {
        let outcomes = || attempts.iter().map(|attempt| &attempt.outcome);
        let best = |outcome: &Outcome| match outcome {
            Outcome::Accepted { .. } | Outcome::AlreadyKnown => Best::Delivery,
            Outcome::Rejected { .. } => Best::Refusal,
            Outcome::Retry {
                reach: Reach::Answered,
                ..
            } => Best::Trouble,
            Outcome::Retry { .. } => Best::Silence,
        };
        Some(Self {
            best: outcomes().map(best).max()?,
            stopped: attempts.iter().any(Attempt::is_unsent),
            rest: outcomes()
                .filter_map(|outcome| match outcome {
                    Outcome::Retry { after, .. } => *after,
                    _ => None,
                })
                .max(),
            trouble: outcomes().find_map(|outcome| match outcome {
                Outcome::Retry { reason, .. } => Some(reason.clone()),
                _ => None,
            }),
        })
    }
}

/// Whether a target rests, and this delivery lets it.
fn is_left_alone(app: &App, row: &target::Model, options: &Options) -> anyhow::Result<bool> {
    let Some(until) = row.paused_until.filter(|until| *until > app.clock.now()) else {
        return Ok(false);
    };
    // The target named a time itself; asking sooner would only lengthen it.
    let asked = row.pauses == 0;
    if asked && options.although_paused {
        return Err(Failure::new(
            "crm_rests",
            format!(
                "The target {} asks to be left alone until {}.",
                row.id,
                zone::rfc3339(&app.zone, until)
            ),
            "Nothing is lost: what waits is sent then by itself, if `serve` runs.",
        )
        .into());
    }
    Ok(asked || !options.although_paused)
}

/// Comes so long after a stop was asked for.
async fn stopped(stop: Option<&Stop>, later: Duration) {
    match stop.cloned() {
        Some(mut stop) => {
            stop.requested().await;
            if !later.is_zero() {
                tokio::time::sleep(later).await;
            }
        }
        None => std::future::pending().await,
    }
}
