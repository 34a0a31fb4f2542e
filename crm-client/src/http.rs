//! The adapter for anything that takes our JSON by HTTP. It only moves bytes; what answers mean is [`crate::plan`]'s.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use url::{Host, Url};

use crate::plan::{self, Answer, Plan, Reply, Step};
use crate::{Crm, Entry, Error, IdempotencyKey, Outcome, Reached};

/// More of an answer is never read.
const BODY_CAP: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A secret that is shown to the target alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// White space around it, as files have it at their end, is dropped.
    pub fn new(secret: &str) -> Self {
        Self(secret.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How to reach a target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Where single entries are posted.
    pub url: String,
    /// Where batches are posted; none, if the target takes none.
    pub batch_url: Option<String>,
    /// Entries in a batch at most.
    pub batch_size: NonZeroUsize,
    /// Sent as `Authorization: <scheme> <token>`.
    pub token: Option<Token>,
    /// `Token` by default; some targets want `Bearer`.
    pub scheme: String,
    /// For one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

impl HttpOptions {
    /// Single entries to `url`, without a token, 30 seconds for each.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            batch_url: None,
            batch_size: NonZeroUsize::new(100).unwrap_or(NonZeroUsize::MIN),
            token: None,
            scheme: "Token".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A target that takes our `schema: 1` by HTTP.
///
/// One POST per entry, or batches `{"schema":1,"records":[…]}` where the target has an address for them. HTTPS is
/// required unless the target is on this machine; redirects are not followed; answers are read up to 64 KiB.
///
/// ```
/// use crm_client::{HttpCrm, HttpOptions, Token};
///
/// let mut options = HttpOptions::new("https://crm.example.com/api/attendance");
/// options.token = Some(Token::new("s3cret"));
/// let crm = HttpCrm::new(options)?;
/// assert!(!format!("{crm:?}").contains("s3cret"));
///
/// let error = HttpCrm::new(HttpOptions::new("http://crm.example.com/api")).unwrap_err();
/// assert_eq!(error.kind(), "crm_insecure_address");
/// # Ok::<(), crm_client::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpCrm {
    client: Client,
    url: Url,
    batch_url: Option<Url>,
    batch_size: NonZeroUsize,
    token: Option<Token>,
    timeout: Duration,
}

impl fmt::Debug for HttpCrm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCrm")
            .field("url", &plain(&self.url))
            .field("batch_url", &self.batch_url.as_ref().map(plain))
            .finish_non_exhaustive()
    }
}

impl HttpCrm {
    /// Checks the options; connects to nothing.
    pub fn new(options: HttpOptions) -> Result<Self, Error> {
        let url = address(&options.url)?;
        let batch_url = options.batch_url.as_deref().map(address).transpose()?;
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        if let Some(token) = options.token.as_ref().filter(|token| !token.0.is_empty()) {
            let text = format!("{} {}", options.scheme, token.0);
            let mut value =
                HeaderValue::from_str(text.trim_start()).map_err(|_| Error::BadToken)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("zk-bridge/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .timeout(options.timeout);
        if is_loopback(&url) && batch_url.as_ref().is_none_or(is_loopback) {
            // A proxy would look for the target on its own machine, and see what should not leave ours.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::Tls {
            reason: root_cause(&error),
        })?;
        let HttpOptions {
            batch_size,
            token,
            timeout,
            ..
        } = options;
        Ok(Self {
            client,
            url,
            batch_url,
            batch_size,
            token,
            timeout,
        })
    }

    fn secret(&self) -> &str {
        self.token.as_ref().map_or("", |token| &token.0)
    }

    fn request(&self, step: &Step, entries: &[Entry]) -> RequestBuilder {
        let (url, body, key) = match (step, &self.batch_url) {
            (Step::Batch(range), Some(url)) => {
                let entries = &entries[range.clone()];
                let records: Vec<Value> = entries.iter().map(Entry::to_wire).collect();
                let key = IdempotencyKey::of_batch(entries.iter().map(Entry::key));
                (url, json!({"schema": 1, "records": records}), key)
            }
            (step, _) => {
                let entry = &entries[step.start()];
                (&self.url, entry.to_wire(), entry.key().clone())
            }
        };
        self.client
            .post(url.clone())
            .header(IDEMPOTENCY_KEY, key.as_str())
            .body(body.to_string())
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        match request.send().await {
            Ok(response) => self.read(response).await,
            Err(error) => self.failure(&error),
        }
    }

    async fn read(&self, mut response: Response) -> Reply {
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE),
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            location: header(LOCATION),
            body: Vec::new(),
        };
        while answer.body.len() < BODY_CAP {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = BODY_CAP - answer.body.len();
                    answer
                        .body
                        .extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                // The head of a refusal says enough; a success is one only when it is whole.
                Err(error) if response.status().is_success() => return self.failure(&error),
                Ok(None) | Err(_) => break,
            }
        }
        Reply::Answer(answer)
    }

    fn failure(&self, error: &reqwest::Error) -> Reply {
        let seconds = self.timeout.as_secs_f32();
        if error.is_timeout() && error.is_connect() {
            Reply::NotConnected {
                reason: "no connection in time".to_owned(),
            }
        } else if error.is_timeout() {
            Reply::NoAnswer {
                reason: format!("no answer within {seconds} s"),
            }
        } else if is_tls(error) {
            Reply::Tls {
                reason: root_cause(error),
            }
        } else if error.is_connect() {
            Reply::NotConnected {
                reason: format!("no connection: {}", root_cause(error)),
            }
        } else {
            Reply::NoAnswer {
                reason: format!("the connection was lost: {}", root_cause(error)),
            }
        }
    }
}

impl Crm for HttpCrm {
    async fn push(&self, entries: &[Entry]) -> Result<Vec<Outcome>, Error> {
        let plan = match &self.batch_url {
            Some(_) => Plan::batches(entries, self.batch_size),
            None => Plan::singles(entries),
        };
        let mut plan = plan.hiding(self.secret());
        while let Some(step) = plan.next_step() {
            let reply = self.send(self.request(&step, entries)).await;
            plan.settle(&step, reply)?;
        }
        Ok(plan.finish())
    }

    async fn check(&self) -> Result<Reached, Error> {
        match self.send(self.client.get(self.url.clone())).await {
            Reply::Answer(answer) => plan::check(&answer, self.secret()),
            Reply::Tls { reason } => Err(Error::Tls { reason }),
            Reply::NotConnected { reason } | Reply::NoAnswer { reason } => {
                Err(Error::Unreachable { reason })
            }
        }
    }
}

fn address(text: &str) -> Result<Url, Error> {
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

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Scheme, host, port and path: the parts without secrets.
fn plain(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// The error and what lies beneath it.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| beneath(*error))
}

/// An `io::Error` passes over what it wraps when asked for its source.
fn beneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(<dyn StdError>::is::<rustls::Error>)
}

fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{HttpCrm, HttpOptions, Token};

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let kind = |url: &str| {
            HttpCrm::new(HttpOptions::new(url)).map_or_else(|error| error.kind(), |_| "fine")
        };
        for url in [
            "http://localhost:1/x",
            "http://127.0.0.1/",
            "http://127.8.0.9/",
            "http://[::1]:80/",
            "https://crm.example/",
        ] {
            assert_eq!(kind(url), "fine", "{url}");
        }
        for url in [
            "http://crm.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
        ] {
            assert_eq!(kind(url), "crm_insecure_address", "{url}");
        }
        for url in [
            "",
            "crm.example/api",
            "ftp://crm.example/",
            "file:///etc/passwd",
            "https://",
            "https://u:p@crm.example/",
        ] {
            assert_eq!(kind(url), "crm_bad_address", "{url}");
        }
        let mut options = HttpOptions::new("https://crm.example/");
        options.batch_url = Some("http://crm.example/batch".into());
        assert_eq!(
            HttpCrm::new(options).unwrap_err().kind(),
            "crm_insecure_address"
        );
    }

    #[test]
    fn nothing_shows_a_secret() {
        for url in [
            "http://u:hush@crm.example/?token=hush",
            "https://u:hush@crm.example/",
            "ftp://u:hush@x/?hush",
            "https://u:hush@[x/",
        ] {
            let error = HttpCrm::new(HttpOptions::new(url)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        let mut options = HttpOptions::new("https://crm.example/?key=hush");
        options.token = Some(Token::new("hush"));
        assert!(!format!("{:?}", options.token).contains("hush"));
        assert!(!format!("{:?}", HttpCrm::new(options).unwrap()).contains("hush"));
    }

    #[test]
    fn a_token_may_end_in_a_newline_but_not_hold_one() {
        let with = |token: &str| {
            let mut options = HttpOptions::new("https://crm.example/");
            options.token = Some(Token::new(token));
            HttpCrm::new(options).map(drop)
        };
        assert!(with("abc\n").is_ok());
        assert_eq!(with("a\nb").unwrap_err().kind(), "crm_bad_token");
    }
}
