//! What every request passes on its way in, and every answer on its way out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::Site;
use super::auth::{Session, token_of};
use super::error::{Error, is_api};
use super::peer::authority;
use super::views::login;
use crate::secret::token_hash;

/// Sends those without a session to the login; programs get an error instead. A program shows its token: with it the
/// guard lets through whatever changes nothing. Pages ask for a person all the same, so it opens `/metrics`.
pub(super) async fn require_login(
    State(site): State<Arc<Site>>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    if session.user.is_some() {
        return next.run(request).await;
    }
    if let Some(token) = token_of(request.headers()) {
        return match site.app.store.token(&token_hash(token)).await {
            Ok(Some(_)) if is_safe(request.method()) => next.run(request).await,
            Ok(_) => Error::LoginRequired.into_response(),
            Err(error) => Error::from(error).into_response(),
        };
    }
    if is_api(request.uri().path()) || !is_safe(request.method()) {
        return Error::LoginRequired.into_response();
    }
    Redirect::to(&login::address(request.uri())).into_response()
}

/// Lets state change only from pages of this site.
///
/// Browsers say where a request comes from: all of them by `Origin`, newer ones on HTTPS and loopback also by
/// `Sec-Fetch-Site`, which no page can forge and no proxy rewrites, and which therefore decides.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if is_safe(request.method()) || is_from_here(request.headers(), request.uri()) {
        next.run(request).await
    } else {
        Error::ForeignOrigin.into_response()
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    let Some((_, origin)) = origin.and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    authority(headers, uri).is_some_and(|here| here.eq_ignore_ascii_case(origin))
}

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        // `data:` is for the little pictures inside the style sheet of Pico.
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Adds the security headers, and keeps pages out of every cache.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_here(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_from_here(&headers, &Uri::from_static("/logout"))
    }

    #[test]
    fn only_this_site_may_change_state() {
        assert!(from_here(&[
            ("host", "hr.lan:8080"),
            ("origin", "http://hr.lan:8080")
        ]));
        assert!(from_here(&[
            ("host", "inner"),
            ("origin", "https://hr.lan"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!from_here(&[("host", "hr.lan:8080")]));
        assert!(!from_here(&[("host", "hr.lan:8080"), ("origin", "null")]));
        assert!(!from_here(&[
            ("host", "hr.lan:8080"),
            ("origin", "http://hr.lan")
        ]));
        assert!(!from_here(&[
            ("host", "hr.lan"),
            ("origin", "http://evil.example")
        ]));
        assert!(!from_here(&[
            ("host", "hr.lan"),
            ("origin", "http://hr.lan"),
            ("sec-fetch-site", "same-site")
        ]));
    }
}
