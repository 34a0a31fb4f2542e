//! Addresses: which may be used, and how they are shown.

use std::net::IpAddr;

use url::Url;

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
    if url.scheme() == "http" && !is_local(&url) {
        return Err(Error::Insecure {
            address: plain(&url),
        });
    }
    Ok(url)
}

/// Whether a host, by name or address, is this very machine: only there plain http may go.
///
/// ```
/// use crm_client::is_loopback;
///
/// assert!(["localhost", "127.0.0.1", "[::1]"].into_iter().all(is_loopback));
/// assert!(!is_loopback("localhost.example"));
/// ```
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The same of an address.
pub(crate) fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
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
