//! Poll, process, sync and clean-up: one file each. They meet only in tables, and each is safe to run twice.

pub mod clean_up;
mod held;
pub mod history;
pub mod poll;
pub mod process;
mod reading;
pub mod sync;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

pub use held::{Held, Keeper};

use crate::app::App;
use crate::failure::Failure;
use crate::store::leases::{self, Claim};

/// The term of every lease.
pub fn term(app: &App) -> Duration {
    Duration::from_secs(u64::from(app.config.polling.lease_seconds))
}

/// The same in milliseconds.
pub fn term_ms(app: &App) -> i64 {
    i64::from(app.config.polling.lease_seconds) * 1000
}

/// How long the name of a terminal is looked up for a message.
const TOLD_SOON: Duration = Duration::from_secs(2);

/// How long a command waits for another one. The scheduler does not, it looks again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs `work` while holding the lease `name`, see [`while_held`].
///
/// Waits up to `patience` for another holder, and says at once for whom; then that it gave up.
pub async fn under_lease<T, F>(
    app: &App,
    name: &str,
    patience: Duration,
    work: impl FnOnce(Held) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let give_up = app.clock.monotonic() + patience;
    let mut has_told = false;
    loop {
        let asked = app.clock.monotonic();
        let (holder, held_s, remaining_ms) = match app
            .store
            .claim(name, &app.node, term_ms(app), app.clock.now_ms())
            .await?
        {
            Claim::Granted(lease) => {
                return while_held(app, Held::new(app, lease, asked), work).await;
            }
            Claim::Busy {
                holder,
                held_ms,
                remaining_ms,
            } => (holder, held_ms.max(0) / 1000, remaining_ms),
        };
        let remaining = Duration::from_millis(u64::try_from(remaining_ms).unwrap_or(0));
        let wait = remaining.clamp(Duration::from_millis(50), Duration::from_millis(500));
        if app.clock.monotonic() + wait > give_up {
            let waited = match patience.as_secs() {
                0 => String::new(),
                seconds => format!(" Waited {seconds} s for it."),
            };
            return Err(Failure::new(
                "busy",
                format!(
                    "{} is held by another process, {holder}, since {held_s} s; its lease ends in {} s unless it goes on.{waited}",
                    capitalised(&called(app, name).await),
                    remaining.as_secs() + 1
                ),
                "Try again when it has finished; its lease ends by itself if it has died.",
            )
            .into());
        }
        if !has_told {
            has_told = true;
            tracing::warn!(
                "{} is held by {holder} since {held_s} s; waiting for it, {} s at most",
                called(app, name).await,
                patience.as_secs()
            );
        }
        tokio::time::sleep(wait).await;
    }
}

/// Runs `work` while a lease is held.
///
/// Renewed at a third of its term. Once our own monotonic deadline has passed, `work` is not taken one step further
/// but dropped, which closes whatever it had open (P9): also if this process slept and knows nothing of it yet. What
/// speaks to a terminal is told the end as well, and looks at it before each word.
pub async fn while_held<T, F>(
    app: &App,
    held: Held,
    work: impl FnOnce(Held) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let mut keep = app.keeper.keep(app, &held);
    let mut work = Box::pin(work(held.clone()));
    // Nothing comes of work whose time is over; what failed because of that did not fail by itself.
    let in_time = poll_fn(|context| {
        if held.end.has_come() {
            return Poll::Ready(None);
        }
        match work.as_mut().poll(context) {
            Poll::Ready(Err(_)) if held.end.has_come() => Poll::Ready(None),
            poll => poll.map(Some),
        }
    });
    let ended = async {
        while !held.end.has_come() {
            tokio::time::sleep_until(held.end.instant().into()).await;
        }
    };
    let result = tokio::select! {
        result = in_time => result,
        () = ended => None,
        () = keep.lost() => None,
    };
    drop(work);
    drop(keep);
    if !held.is_returned() {
        give_back(app, &held).await;
    }
    match result {
        Some(result) => result,
        None => Err(lost(&called(app, &held.lease.name).await)),
    }
}

async fn give_back(app: &App, held: &Held) {
    let lease = &held.lease;
    // A database that does not answer is no reason to wait longer than the lease lasts anyway.
    match tokio::time::timeout(term(app), app.store.release(lease)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(lease = lease.name, %error, "the lease could not be given back; it ends by itself");
        }
        Err(_) => {
            tracing::warn!(
                lease = lease.name,
                "the lease could not be given back; it ends by itself"
            );
        }
    }
}

/// The end of work whose lease was lost; `what` as [`called`] says it.
fn lost(what: &str) -> anyhow::Error {
    Failure::new(
        "lease_lost",
        format!(
            "The lease on {what} was lost while it was being used; what was not stored by then is done again."
        ),
        "Whoever holds it now carries on; if this repeats, raise polling.lease_seconds.",
    )
    .into()
}

/// A lease in words, terminals by their names.
async fn called(app: &App, name: &str) -> String {
    let id = name
        .strip_prefix(leases::TERMINAL)
        .and_then(|id| id.parse().ok());
    let found = match id {
        // A database that does not answer must not keep anybody from being told.
        Some(id) => tokio::time::timeout(TOLD_SOON, app.store.device_with_id(id)).await,
        None => return spoken(name),
    };
    match found {
        Ok(Ok(Some(device))) => format!("the terminal {:?}", device.name),
        _ => spoken(name),
    }
}

fn spoken(name: &str) -> String {
    match name.split_once(':') {
        Some(("terminal", id)) => format!("terminal no. {id}"),
        Some(("job", job)) => format!("the {job} job"),
        Some(("target", target)) => format!("the delivery to {target}"),
        _ => name.to_owned(),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}
