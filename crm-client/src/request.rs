//! One HTTP request, before it is sent.

use serde::Serialize;

/// Larger bodies are never sent: a batch is split instead. Many servers (nginx, unless told otherwise) take no more.
const BODY_CAP: usize = 1024 * 1024;

/// Stands for every secret in what is shown.
pub(crate) const HIDDEN: &str = "[hidden]";

/// The value of this header is nobody's secret.
pub(crate) fn is_open(header: &str) -> bool {
    ["accept", "content-type", "idempotency-key"].contains(&header)
}

/// An address without user and password, and without the values whose names say that they are secrets.
fn without_secrets(url: &str) -> String {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    };
    if query.is_empty() {
        return shown;
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) && !value.is_empty() => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    format!("{shown}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "token",
        "key",
        "secret",
        "pass",
        "pwd",
        "auth",
        "sig",
        "credential",
        "session",
        "code",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// A request as it goes out; in a [preview](crate::Target::preview) `[hidden]` stands for every secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST`, mostly.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Names in lower case, in the order in which they are sent. The HTTP library adds `host` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// Empty, if it has none.
    pub body: String,
}

impl Request {
    /// A request that asks for JSON and brings nothing.
    pub(crate) fn bare(method: &str, url: impl Into<String>) -> Self {
        let request = Self {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: String::new(),
        };
        request.header("accept", "application/json")
    }

    pub(crate) fn post_json(url: impl Into<String>, body: &impl Serialize) -> Self {
        let request = Self::bare("POST", url).header("content-type", "application/json");
        Self {
            body: serde_json::to_string(body).expect("JSON values under keys of text"),
            ..request
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// `Authorization: <scheme> <secret>`, if there is a secret.
    #[must_use]
    pub(crate) fn authorised(self, scheme: &str, secret: &str) -> Self {
        if secret.is_empty() {
            return self;
        }
        let value = format!("{scheme} {secret}");
        self.header("authorization", value.trim_start())
    }

    /// As it may be shown to anybody: without what its address and headers say in confidence. Configurations hold secrets
    /// there as they are.
    #[must_use]
    pub(crate) fn hidden(mut self) -> Self {
        self.url = without_secrets(&self.url);
        for (name, value) in &mut self.headers {
            // Of our own login the scheme may be seen.
            let is_hidden = name == "authorization"
                && value
                    .split_once(' ')
                    .is_some_and(|(_, secret)| secret == HIDDEN);
            if !is_open(name) && !is_hidden {
                HIDDEN.clone_into(value);
            }
        }
        self
    }

    /// Too large to be sent at all.
    pub(crate) fn is_too_large(&self) -> bool {
        self.body.len() > BODY_CAP
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, without_secrets};

    #[test]
    fn what_is_shown_keeps_secrets_to_itself() {
        for (url, shown) in [
            ("https://crm.example/a?b=1", "https://crm.example/a?b=1"),
            (
                "https://u:pw@crm.example/a",
                "https://[hidden]@crm.example/a",
            ),
            (
                "https://crm.example/a?API_KEY=x&site=2&access_token=y&token=",
                "https://crm.example/a?API_KEY=[hidden]&site=2&access_token=[hidden]&token=",
            ),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
        let request = Request::bare("GET", "https://crm.example/")
            .header("x-api-key", "hush")
            .authorised("Token", "[hidden]")
            .hidden();
        assert_eq!(
            request.headers,
            [
                ("accept", "application/json"),
                ("x-api-key", "[hidden]"),
                ("authorization", "Token [hidden]")
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
