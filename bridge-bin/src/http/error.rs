//! What goes wrong while answering: one enum with an HTML and a JSON face.

use askama::Template;
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use sea_orm::DbErr;
use serde_json::json;

use super::auth;

/// A request that cannot be answered as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter that is unknown or malformed; the text names it.
    #[error("{0}")]
    Malformed(String),
    /// Nobody is logged in.
    #[error("Log in first.")]
    LoginRequired,
    /// A change of state that was not asked for by a page of this site.
    #[error("This request did not come from a page of this site, so nothing was changed.")]
    ForeignOrigin,
    /// A login link was opened from another machine.
    #[error("A login link works only on the machine that runs zk-bridge.")]
    NotLocal,
    /// A login link that was used before, is too old, or never was one.
    #[error("This login link was used already, or is too old.")]
    LinkSpent,
    /// No such address.
    #[error("There is nothing at this address.")]
    NotFound,
    /// Ours, with a cause that is logged and not sent.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
    /// The database's.
    #[error(transparent)]
    Store(#[from] DbErr),
    /// A template's.
    #[error(transparent)]
    Page(#[from] askama::Error),
}

impl From<axum_login::Error<auth::Backend>> for Error {
    fn from(error: axum_login::Error<auth::Backend>) -> Self {
        match error {
            axum_login::Error::Session(error) => Self::Internal(error.into()),
            axum_login::Error::Backend(error) => error,
        }
    }
}

impl Error {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::LoginRequired => StatusCode::UNAUTHORIZED,
            Self::ForeignOrigin | Self::NotLocal => StatusCode::FORBIDDEN,
            Self::LinkSpent => StatusCode::GONE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Internal(_) | Self::Store(_) | Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What [`face`] shows: the words of an error on its way out.
#[derive(Debug, Clone)]
struct Words(String);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let words = if status.is_server_error() {
            tracing::error!(
                error = format!("{:#}", anyhow::Error::from(self)),
                "a page could not be made"
            );
            "Something went wrong in zk-bridge; its log says what.".to_owned()
        } else {
            self.to_string()
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Words(words));
        response
    }
}

/// Whether an address belongs to programs, which get JSON.
pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Gives errors their face, also those that axum answers by itself.
pub(super) async fn face(request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() || is_page(response.headers()) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let reason = status.canonical_reason().unwrap_or("Error");
    let words = parts
        .extensions
        .remove::<Words>()
        .map_or_else(|| format!("{reason}."), |words| words.0);
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    let shown = if is_api {
        Json(json!({"status": "error", "message": words, "data": null})).into_response()
    } else {
        match (ErrorPage {
            status,
            reason,
            words: &words,
        })
        .render()
        {
            Ok(page) => Html(page).into_response(),
            Err(_) => words.into_response(),
        }
    };
    (parts.status, parts.headers, shown).into_response()
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/json"))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: StatusCode,
    reason: &'a str,
    words: &'a str,
}
