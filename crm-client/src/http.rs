//! Moves bytes: requests out, answers in. What they mean is for others.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{
    CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::tls::TlsInfo;
use reqwest::{Client, Method, Response};
use url::Url;

use crate::Error;
use crate::plan::{Answer, Reply};
use crate::request::{Request, is_open};
use crate::trust::{self, Trust};

/// More of an answer is never read. It is enough for the results of some thousand entries.
const BODY_CAP: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections to one target.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    timeout: Duration,
    /// The certificate that the target showed last.
    certificate: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Http {
    /// Connects to nothing. `local`: the target is on this machine.
    pub(crate) fn new(timeout: Duration, local: bool, trust: &Trust) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("zk-bridge/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .tls_info(true);
        builder = trust.apply(builder)?;
        if local {
            // A proxy would look for the target on its own machine, and see what should not leave ours.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::Tls {
            reason: root_cause(&error),
        })?;
        Ok(Self {
            client,
            timeout,
            certificate: Arc::default(),
        })
    }

    /// When the certificate ends that the target showed last.
    pub(crate) fn certificate_ends(&self) -> Option<SystemTime> {
        let certificate = self.certificate.lock();
        trust::not_after(
            certificate
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()?,
        )
    }

    fn remember_certificate(&self, response: &Response) {
        let shown = response
            .extensions()
            .get::<TlsInfo>()
            .and_then(TlsInfo::peer_certificate);
        if let Some(shown) = shown {
            let mut known = self
                .certificate
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if known.as_deref() != Some(shown) {
                *known = Some(shown.to_vec());
            }
        }
    }

    pub(crate) async fn send(&self, request: &Request) -> Reply {
        let Some(built) = self.build(request) else {
            // Connectors check what they are configured with; what an entry brings can still be impossible.
            return Reply::NoAnswer {
                reason: "the request cannot be sent over HTTP".to_owned(),
            };
        };
        let reply = match self.client.execute(built).await {
            Ok(response) => {
                self.remember_certificate(&response);
                self.read(response).await
            }
            Err(error) => self.failure(&error),
        };
        if let Reply::Answer(answer) = &reply {
            tracing::debug!(status = answer.status, "the target answered");
        }
        reply
    }

    fn build(&self, request: &Request) -> Option<reqwest::Request> {
        let method = Method::from_bytes(request.method.as_bytes()).ok()?;
        let url = Url::parse(&request.url).ok()?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(!is_open(name));
            headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
        }
        let builder = self.client.request(method, url).headers(headers);
        if request.body.is_empty() {
            builder.build().ok()
        } else {
            builder.body(request.body.clone()).build().ok()
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
            cut: false,
        };
        while !answer.cut {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = BODY_CAP - answer.body.len();
                    answer.cut = chunk.len() > room;
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

/// The error and what lies beneath it.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| beneath(*error))
}

/// An `io::Error` passes over what it wraps when asked for its source.
fn beneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(<dyn StdError>::is::<rustls::Error>)
}

/// Why nobody was reached, in plain words; else what is said at the root.
fn root_cause(error: &reqwest::Error) -> String {
    let io = |error: &(dyn StdError + 'static)| Some(error.downcast_ref::<io::Error>()?.kind());
    if let Some(words) = causes(error).filter_map(io).find_map(in_words) {
        return words.to_owned();
    }
    let said = causes(error).last().map(ToString::to_string);
    let said = said.unwrap_or_default();
    if said.contains("failed to lookup address") {
        return "there is no host of that name".to_owned();
    }
    said
}

fn in_words(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused => Some("nothing listens there"),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => Some("it was closed"),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            Some("no way leads there in this network")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_marked() {
        let http = Http::new(Duration::from_secs(1), true, &Trust::System).unwrap();
        let request = Request::post_json("http://localhost/", &serde_json::json!({}))
            .authorised("Token", "s3cret")
            .header("x-api-key", "literal")
            .header("idempotency-key", "k");
        let built = http.build(&request).unwrap();
        let marked = |name| built.headers()[name].is_sensitive();
        assert!(marked("authorization") && marked("x-api-key"));
        assert!(!marked("content-type") && !marked("accept") && !marked("idempotency-key"));
    }
}
