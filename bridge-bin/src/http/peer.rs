//! Who is at the other end.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};

/// The other end of the connection, and the name under which it called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its address; that of a reverse proxy if there is one.
    pub(super) address: IpAddr,
    /// It sits at this machine and knows it: a request that a reverse proxy passed on bears another name, and so
    /// does one from a browser that was led here by a foreign name.
    pub(super) is_local: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_canonical());
        let is_local = address.is_some_and(|address| address.is_loopback())
            && authority(&parts.headers, &parts.uri).is_some_and(is_loopback_name)
            && ![header::FORWARDED.as_str(), "x-forwarded-for"]
                .iter()
                .any(|name| parts.headers.contains_key(*name));
        Ok(Self {
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            is_local,
        })
    }
}

/// `HOST[:PORT]` of this site as the client sees it.
pub(super) fn authority<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    uri.authority()
        .map(axum::http::uri::Authority::as_str)
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
}

fn is_loopback_name(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_name;

    #[test]
    fn tells_loopback_names_from_others() {
        for name in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]",
            "[::1]:80",
        ] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in [
            "",
            "hr.example.com",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "::2",
        ] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
