//! Stopping: first softly, so that what is under way is finished and leases are given back; then at once.

use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::failure::Failure;
use crate::store::entity::node;

/// What is under way gets this long when the process stops.
pub const GRACE: Duration = Duration::from_secs(10);

/// A node says so often that it is there.
const PRESENT: Duration = Duration::from_mins(1);

/// A node that was not heard of for so long, in seconds, is taken for gone.
pub const SILENT: i64 = 150;

/// Asks everybody to stop.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

/// Hears of it.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Shutdown {
    /// A pair that is running.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Asks for the soft stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Stops at the first Ctrl-C or SIGTERM; ends the process at the second.
    pub fn on_signals(self) {
        tokio::spawn(async move {
            signal().await;
            eprintln!(
                "Stopping; press Ctrl-C once more to stop at once (nothing is lost either way)."
            );
            self.stop();
            signal().await;
            std::process::exit(130);
        });
    }
}

impl Stop {
    /// Completes when the stop was asked for.
    pub async fn requested(&mut self) {
        // An error means that nobody can ask any more, which is a stop as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Does `work` unless the process is asked to stop before it is done; what it made so far is taken back.
pub async fn unless_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let (shutdown, mut stop) = Shutdown::new();
    shutdown.on_signals();
    tokio::select! {
        result = work => result,
        () = stop.requested() => Err(interrupted()),
    }
}

/// What a command says that was stopped before it was done.
pub fn interrupted() -> anyhow::Error {
    Failure::new(
        "interrupted",
        "The command was interrupted.",
        "Run it again when it suits.",
    )
    .into()
}

/// Says from time to time that this process serves the store, until asked to stop (B50).
pub async fn be_present(app: App, role: &str, url: Option<String>, mut stop: Stop) {
    let started_at = app.clock.now();
    while !stop.is_requested() {
        let node = node::Model {
            name: app.node.to_string(),
            role: role.to_owned(),
            url: url.clone(),
            pid: i64::from(std::process::id()),
            started_at,
            seen_at: app.clock.now(),
        };
        if let Err(error) = app.store.announce(node).await {
            tracing::debug!(%error, "the others cannot be told that this node is there");
        }
        tokio::select! {
            () = tokio::time::sleep(PRESENT) => {}
            () = stop.requested() => {}
        }
    }
}

/// Hands back whatever this process still holds, so that others need not wait for it. Only once all of it has ended:
/// others begin with it at once.
pub async fn leave(app: &App) {
    let left = tokio::time::timeout(GRACE / 2, app.store.leave(&app.node)).await;
    if !matches!(left, Ok(Ok(()))) {
        tracing::warn!("nothing could be handed back; what was held ends by itself");
    }
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
