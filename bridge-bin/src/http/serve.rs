//! Accepting connections, with an end to every wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::app::App;
use crate::failure::Failure;
use crate::lifecycle::{GRACE, Stop};

/// Connections at the same time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 512;

/// For the headers of a request, and between two requests.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// After this, even a client that reads ever so slowly is cut off.
const LONGEST_CONNECTION: Duration = Duration::from_mins(15);

/// Serves the pages until asked to stop, then lets answers under way finish.
///
/// Not `axum::serve`, which waits for the headers of a request, and for idle connections, without end.
pub async fn serve(app: App, listener: TcpListener, mut stop: Stop) -> anyhow::Result<()> {
    refuse_open_door(&app, &listener).await?;
    let router = super::router(app);
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            anyhow::Ok((slot, listener.accept().await))
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted?,
            () = stop.requested() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the client was gone already; accepting again at once would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(LONGEST_SILENCE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(LONGEST_CONNECTION, connection).await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(slot);
        });
    }
    drop(listener);
    // Those that take longer are cut off with the process.
    let _ = timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// P8: loopback until an administrator exists.
async fn refuse_open_door(app: &App, listener: &TcpListener) -> anyhow::Result<()> {
    let address = listener
        .local_addr()
        .context("the listening socket has no address")?;
    if address.ip().is_loopback() || app.store.has_administrator().await? {
        return Ok(());
    }
    Err(Failure::new(
        "no_administrator",
        format!("There is no administrator yet, so the pages are not opened to the network at {address}."),
        "Create one with `zk-bridge init --admin NAME --password-file -`, or listen on 127.0.0.1.",
    )
    .into())
}
