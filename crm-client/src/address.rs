//! Addresses: which may be used, and how they are shown.

use std::net::IpAddr;

use url::{Host, Url};

use crate::Error;

pub(crate) fn address(text: &str) -> Result<Url, Error> {
    let bad = |address: &str, reason: &str| Error::BadAddress {
        address: address.to_owned(),
        reason: reason.to_owned(),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(bad("", "it is empty"));
    }
    // What cannot be parsed is not echoed beyond its scheme: it may hold a password anywhere.
    let url = Url::parse(text).map_err(|error| {
        bad(
            text.split_once("://").map_or("", |(scheme, _)| scheme),
            &error.to_string(),
        )
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(&plain(&url), "it must begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            &plain(&url),
            "it holds a user name or password; set the token instead",
        ));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(Error::Insecure {
            address: plain(&url),
        });
    }
    Ok(url)
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Scheme, host, port and path: the parts without secrets.
pub(crate) fn plain(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// An address below a base: `https://erp.example.com/site/` and `["api", "a b"]` make
/// `https://erp.example.com/site/api/a%20b`.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    // An address over http has a path that can be added to, always.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
