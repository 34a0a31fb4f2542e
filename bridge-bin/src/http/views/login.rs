//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::html;
use crate::http::auth::{Credentials, Session};
use crate::http::error::Error;
use crate::http::peer::Peer;
use crate::http::{Site, auth};
use crate::secret;

/// Longer ones are nobody's.
const LONGEST_NAME: usize = 100;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    problem: Option<&'a str>,
    name: &'a str,
    next: &'a str,
}

#[derive(Template)]
#[template(path = "first_run.html")]
struct FirstRunPage<'a> {
    data_dir: &'a str,
}

/// Where the login begins for somebody who wanted to see `wanted`.
pub(in crate::http) fn address(wanted: &Uri) -> String {
    match wanted
        .path_and_query()
        .map(axum::http::uri::PathAndQuery::as_str)
    {
        None | Some("/") => "/login".to_owned(),
        Some(wanted) => {
            let Ok(next) = askama::filters::urlencode(wanted);
            format!("/login?next={next}")
        }
    }
}

/// An address of this site to go on to; the page of today for anything else.
fn onward(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { "/" }
}

#[derive(Deserialize)]
pub(in crate::http) struct Wanted {
    #[serde(default)]
    next: String,
}

pub(in crate::http) async fn form(
    State(site): State<Arc<Site>>,
    Query(wanted): Query<Wanted>,
    peer: Peer,
    session: Session,
) -> Result<Response, Error> {
    let next = onward(&wanted.next);
    if session.user.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    if peer.is_local && !site.app.store.has_administrator().await? {
        let data_dir = site.app.data_dir.display().to_string();
        return Ok(html(&FirstRunPage {
            data_dir: &data_dir,
        })?
        .into_response());
    }
    Ok(html(&LoginPage {
        problem: None,
        name: "",
        next,
    })?
    .into_response())
}

#[derive(Deserialize)]
pub(in crate::http) struct Typed {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(in crate::http) async fn submit(
    State(site): State<Arc<Site>>,
    peer: Peer,
    mut session: Session,
    Form(typed): Form<Typed>,
) -> Result<Response, Error> {
    let name = typed.name.trim();
    let next = onward(&typed.next);
    let refuse = |problem: &str| {
        html(&LoginPage {
            problem: Some(problem),
            name,
            next,
        })
    };
    // The same words for an unknown name: which names exist is nobody's business.
    let wrong = "This name and password do not fit together.";
    if name.len() > LONGEST_NAME {
        return Ok((StatusCode::UNAUTHORIZED, refuse(wrong)?).into_response());
    }
    if let Err(wait) = site
        .throttle
        .attempt(name, peer.address, site.app.clock.monotonic())
    {
        let minutes = wait.as_secs().div_ceil(60);
        let problem = format!("Too many attempts for this name. Try again in {minutes} min.");
        let retry = [(header::RETRY_AFTER, wait.as_secs().to_string())];
        return Ok((StatusCode::TOO_MANY_REQUESTS, retry, refuse(&problem)?).into_response());
    }
    let credentials = Credentials {
        name: name.to_owned(),
        password: typed.password,
    };
    let Some(user) = session.authenticate(credentials).await? else {
        tracing::info!(peer = %peer.address, "a login was refused");
        return Ok((StatusCode::UNAUTHORIZED, refuse(wrong)?).into_response());
    };
    site.throttle.forgive(name, peer.address);
    session.login(&user).await?;
    Ok(Redirect::to(next).into_response())
}

/// Uses a login link up.
pub(in crate::http) async fn link(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    peer: Peer,
    mut session: Session,
) -> Result<Redirect, Error> {
    if !peer.is_local {
        return Err(Error::NotLocal);
    }
    let account = site
        .app
        .store
        .use_login_link(&secret::token_hash(&token), site.app.clock.now())
        .await?;
    let user = auth::User::from(account.ok_or(Error::LinkSpent)?);
    session.login(&user).await?;
    Ok(Redirect::to("/"))
}

pub(in crate::http) async fn logout(mut session: Session) -> Result<Redirect, Error> {
    session.logout().await?;
    Ok(Redirect::to("/login"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_on_only_inside_this_site() {
        for ours in ["/", "/?date=2026-03-03&show=late", "/devices"] {
            assert_eq!(onward(ours), ours);
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nb",
            "/\tb",
            "javascript:x",
        ] {
            assert_eq!(onward(foreign), "/", "{foreign:?}");
        }
    }

    #[test]
    fn the_login_knows_what_was_wanted() {
        assert_eq!(address(&Uri::from_static("/")), "/login");
        let wanted = "/?date=2026-03-03&show=late";
        let address: Uri = address(&Uri::from_static("/?date=2026-03-03&show=late"))
            .parse()
            .unwrap();
        let Query(found) = Query::<Wanted>::try_from_uri(&address).unwrap();
        assert_eq!(found.next, wanted);
    }
}
