//! Poll, process, sync and clean-up: one file each. They meet only in tables, and each is safe to run twice.

pub mod clean_up;
pub mod poll;
pub mod process;
mod reading;
pub mod sync;

use std::time::Duration;

use crate::app::App;
use crate::failure::Failure;
use crate::store::leases::{Claim, Lease};

/// Runs `work` while holding the lease `name`.
///
/// Renewed at a third of its term. If renewing fails until our own monotonic deadline passes, `work` is dropped,
/// which closes whatever it had open (P9). Waits up to `patience` for another holder, then says who it is.
pub async fn under_lease<T, F>(
    app: &App,
    name: &str,
    patience: Duration,
    work: impl FnOnce(Lease) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let term = Duration::from_secs(u64::from(app.config.polling.lease_seconds));
    let term_ms = i64::try_from(term.as_millis()).unwrap_or(i64::MAX);
    let give_up = app.clock.monotonic() + patience;
    let (lease, mut deadline) = loop {
        let asked = app.clock.monotonic();
        match app
            .store
            .claim(name, &app.node, term_ms, app.clock.now_ms())
            .await?
        {
            Claim::Granted(lease) => break (lease, asked + term),
            Claim::Busy {
                holder,
                remaining_ms,
            } => {
                let wait =
                    Duration::from_millis(u64::try_from(remaining_ms).unwrap_or(0).clamp(50, 500));
                if app.clock.monotonic() + wait > give_up {
                    return Err(Failure::new(
                        "busy",
                        format!("{} is held by another process, {holder}.", spoken(name)),
                        "Try again when it has finished; its lease ends by itself if it has died.",
                    )
                    .into());
                }
                tokio::time::sleep(wait).await;
            }
        }
    };
    // Beside the work, never instead of it: the work may hold the very connection that renewing waits for.
    let keep = async {
        loop {
            tokio::time::sleep(term / 3).await;
            let asked = app.clock.monotonic();
            let left = deadline.saturating_duration_since(asked);
            let renewed = app.store.renew(&lease, term_ms, app.clock.now_ms());
            match tokio::time::timeout(left, renewed).await {
                Ok(Ok(true)) => deadline = asked + term,
                Ok(Ok(false)) | Err(_) => return lost(name),
                // The database may be busy; there is time to ask again.
                Ok(Err(error)) => {
                    tracing::warn!(lease = name, %error, "the lease was not renewed; asking again");
                }
            }
        }
    };
    let result = tokio::select! {
        result = work(lease.clone()) => result,
        lost = keep => Err(lost),
    };
    if let Err(error) = app.store.release(&lease).await {
        tracing::warn!(lease = name, %error, "the lease could not be given back; it ends by itself");
    }
    result
}

fn lost(name: &str) -> anyhow::Error {
    Failure::new(
        "lease_lost",
        format!(
            "The lease on {} was lost while it was being used; what was not stored by then is read again.",
            spoken(name)
        ),
        "Whoever holds it now carries on; if this repeats, raise polling.lease_seconds.",
    )
    .into()
}

fn spoken(name: &str) -> String {
    match name.split_once(':') {
        Some(("terminal", id)) => format!("terminal no. {id}"),
        Some(("job", job)) => format!("the {job} job"),
        Some(("target", target)) => format!("the delivery to {target}"),
        _ => name.to_owned(),
    }
}
