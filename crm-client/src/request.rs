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

    /// Too large to be sent at all.
    pub(crate) fn is_too_large(&self) -> bool {
        self.body.len() > BODY_CAP
    }
}
