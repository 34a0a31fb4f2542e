//! Stopping: first softly, so that what is under way is finished and leases are given back; then at once.

use tokio::sync::watch;

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
