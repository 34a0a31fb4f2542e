//! The web face of `serve` and `demo`.
//!
//! Closed by default (P8): without a login there is `/healthz`, `/readyz`, the login page and static files, and
//! nothing else; an unknown address looks like any other to somebody who is not logged in.
//!
//! The `Host` header is not compared with a list, although DNS rebinding could send a browser here under a foreign
//! name: sessions are cookies of the right name, so such a page would meet the login. The two things that loopback
//! alone may see, first-run help and login links, do ask for a loopback name.

mod assets;
pub mod auth;
mod error;
mod guard;
mod metrics;
mod peer;
mod serve;
mod session;
mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{get, post};
use axum_login::AuthManagerLayerBuilder;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

pub use error::Error;
pub use serve::serve;

use crate::app::App;
use auth::{Backend, Throttle};

/// Nothing that is posted here is longer than a name and a password.
const LONGEST_BODY: usize = 64 * 1024;

/// The longest any answer may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// What the handlers share.
#[derive(Debug)]
struct Site {
    app: App,
    throttle: Throttle,
}

/// All routes with everything that guards them.
pub fn router(app: App) -> Router {
    let sessions = session::layer(&app);
    let login = AuthManagerLayerBuilder::new(Backend::new(app.store.clone()), sessions).build();
    let site = Arc::new(Site {
        app,
        throttle: Throttle::default(),
    });
    let open = Router::new()
        .route("/login", get(views::login::form).post(views::login::submit))
        .route("/login/link/{token}", get(views::login::link));
    let closed = Router::new()
        .route("/", get(views::dashboard::page))
        .route("/metrics", get(metrics::page))
        .route("/logout", post(views::login::logout))
        .fallback(|| async { Error::NotFound })
        .layer(from_fn_with_state(Arc::clone(&site), guard::require_login));
    open.merge(closed)
        .layer(login)
        .route("/static/{*path}", get(assets::file))
        .layer(from_fn(error::face))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(from_fn(guard::same_origin))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            LONGEST_ANSWER,
        ))
        .layer(map_response(guard::headers))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_failure(()),
        )
        .with_state(site)
}

async fn ready(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    if site.app.store.ready().await {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
    }
}

/// The route's pattern instead of the address: that of a login link would be a secret in the log.
fn span(request: &Request) -> tracing::Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}
