//! A lease in our hands, and the one task that keeps all of them alive (P9).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zk_proto::End;

use super::{term, term_ms};
use crate::app::App;
use crate::store::leases::Lease;

/// A lease that is ours until its end, by our own monotonic clock. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Held {
    pub(super) lease: Lease,
    pub(super) end: End,
    /// The last transaction of the work gives it back, or did so.
    returned: Arc<AtomicBool>,
}

impl Held {
    /// A lease that was asked for at `asked`: its term began then or later.
    pub fn new(app: &App, lease: Lease, asked: Instant) -> Self {
        Self {
            lease,
            end: End::at(deadline(app, asked)),
            returned: Arc::default(),
        }
    }

    /// Its name and token.
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// When it ends, unless renewed: from then on nobody who holds it speaks.
    pub const fn end(&self) -> &End {
        &self.end
    }

    /// Says whether a transaction gives it back that is under way, or has come to its end.
    pub fn set_returned(&self, returned: bool) {
        self.returned.store(returned, Ordering::SeqCst);
    }

    pub(super) fn is_returned(&self) -> bool {
        self.returned.load(Ordering::SeqCst)
    }
}

/// Until when a lease is used that was granted or renewed at `asked`. A sixth of its term is left, so that on a busy
/// machine the last of our sockets is closed before the next holder opens its first.
fn deadline(app: &App, asked: Instant) -> Instant {
    asked + term(app) / 6 * 5
}

/// Renews what this process holds: everything in one statement, at a third of the term, by one task that runs as long
/// as there is anything to renew.
#[derive(Clone, Default)]
pub struct Keeper(Arc<Mutex<Keeping>>);

#[derive(Default)]
struct Keeping {
    /// By name: of a lease only the newest token counts.
    held: HashMap<String, Kept>,
    task: Option<JoinHandle<()>>,
}

struct Kept {
    held: Held,
    lost: oneshot::Sender<()>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, Keeping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a lease alive until the answer is dropped.
    pub(super) fn keep(&self, app: &App, held: &Held) -> Keep {
        let (lost, told) = oneshot::channel();
        let mut state = self.state();
        let kept = Kept {
            held: held.clone(),
            lost,
        };
        state.held.insert(held.lease.name.clone(), kept);
        // The task of a runtime that is gone has ended with it.
        if state.task.as_ref().is_none_or(JoinHandle::is_finished) {
            state.task = Some(tokio::spawn(run(app.clone())));
        }
        Keep {
            keeper: self.clone(),
            lease: held.lease.clone(),
            lost: told,
        }
    }

    /// What is to be renewed; none ends the task.
    fn leases(&self) -> Option<Vec<Lease>> {
        let mut state = self.state();
        if state.held.is_empty() {
            state.task = None;
            return None;
        }
        let kept = state.held.values();
        Some(kept.map(|kept| kept.held.lease.clone()).collect())
    }

    fn renewed(&self, renewed: &HashSet<Lease>, end: Instant) {
        let state = self.state();
        let kept = state.held.values().map(|kept| &kept.held);
        for held in kept.filter(|held| renewed.contains(&held.lease)) {
            held.end.set(end);
        }
    }

    fn lost(&self, asked: Vec<Lease>) {
        let mut state = self.state();
        for lease in asked {
            let is_lost = |kept: &Kept| kept.held.lease == lease && !kept.held.is_returned();
            if state.held.get(&lease.name).is_some_and(is_lost)
                && let Some(kept) = state.held.remove(&lease.name)
            {
                // Whoever does not listen any more has ended.
                let _ = kept.lost.send(());
            }
        }
    }
}

/// A lease that is being renewed.
pub(super) struct Keep {
    keeper: Keeper,
    lease: Lease,
    lost: oneshot::Receiver<()>,
}

impl Keep {
    /// Waits until the lease is found to be somebody else's.
    pub(super) async fn lost(&mut self) {
        if (&mut self.lost).await.is_err() {
            // It was claimed anew by this very process; the old token has its deadline.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        let mut state = self.keeper.state();
        let is_ours = |kept: &Kept| kept.held.lease == self.lease;
        if state.held.get(&self.lease.name).is_some_and(is_ours) {
            state.held.remove(&self.lease.name);
        }
    }
}

/// Beside the work, never instead of it: the work may hold the very connection that renewing waits for.
async fn run(app: App) {
    let mut wait = term(&app) / 3;
    loop {
        tokio::time::sleep(wait).await;
        let Some(mut leases) = app.keeper.leases() else {
            return;
        };
        let asked = app.clock.monotonic();
        let renewing = app
            .store
            .renew(&app.node, &leases, term_ms(&app), app.clock.now_ms());
        let whole = match tokio::time::timeout(term(&app), renewing).await {
            Ok(Ok(renewals)) => {
                app.keeper.renewed(&renewals.renewed, deadline(&app, asked));
                leases.retain(|lease| {
                    !renewals.renewed.contains(lease) && !renewals.occupied.contains(lease)
                });
                app.keeper.lost(leases);
                renewals.occupied.is_empty()
            }
            // The database may be busy; there is time to ask again, and each lease has its deadline.
            Ok(Err(error)) => {
                tracing::warn!(%error, "leases were not renewed; asking again");
                false
            }
            Err(_) => false,
        };
        let took = app.clock.monotonic().duration_since(asked);
        wait = (term(&app) / if whole { 3 } else { 12 }).saturating_sub(took);
        wait = wait.max(Duration::from_millis(10));
    }
}
