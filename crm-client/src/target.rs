//! A target: how to reach it, what it takes, and the pushes to it.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::header::HeaderValue;
use url::Url;

use crate::address::{address, is_loopback, plain};
use crate::answer::{Verdict, batch, single};
use crate::connector::{device, json, webhook};
use crate::http::Http;
use crate::plan::{self, Answer, Ending, Plan, Reply, Step};
use crate::{Crm, Entry, Error, Outcome, Reached, Request, Token, time};

/// What the entries of a target are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One employee's shift on one date: [`DayEntry`](crate::DayEntry).
    Day,
    /// One punch: [`PunchEntry`](crate::PunchEntry).
    Punch,
    /// One stay from in to out: [`SessionEntry`](crate::SessionEntry).
    Session,
}

impl Kind {
    /// `day`, `punch` or `session`.
    ///
    /// ```
    /// use crm_client::Kind;
    ///
    /// assert_eq!("punch".parse(), Ok(Kind::Punch));
    /// assert_eq!(Kind::Punch.as_str(), "punch");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Punch => "punch",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Day, Self::Punch, Self::Session]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// The text is none of `day`, `punch`, `session`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kind must be one of day, punch, session")
    }
}

impl std::error::Error for UnknownKind {}

/// In which words a target is spoken to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Connector {
    /// Our `schema: 1`, of days: one POST per entry, or batches `{"schema":1,"records":[…]}` where the target has an
    /// address for them.
    Json {
        /// Where batches are posted; none, if the target takes none.
        batch_url: Option<String>,
    },
    /// `{"device_info":{ip, port, export_time},"records":[{employee_id, employee_name, timestamp, date, time,
    /// punch_type}]}`, of punches; one envelope per terminal.
    DeviceExport,
    /// `{"data":[{emp_no, device_id, punch_type "1".."6", punch_date, punch_time}]}`, of punches.
    DeviceData,
    /// `{"schema":1,"kind":"…","records":[…]}`, [signed](crate::sign_webhook). The token is the secret; it is never
    /// sent.
    Webhook {
        /// What it is told about.
        kind: Kind,
    },
}

impl Connector {
    /// What the entries must be about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Json { .. } => Kind::Day,
            Self::DeviceExport | Self::DeviceData => Kind::Punch,
            Self::Webhook { kind } => *kind,
        }
    }

    /// Its name in configurations and logs.
    ///
    /// ```
    /// assert_eq!(crm_client::Connector::DeviceExport.name(), "device_export");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::DeviceExport => "device_export",
            Self::DeviceData => "device_data",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// How to reach a target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TargetOptions {
    /// Where entries are posted.
    pub url: String,
    /// In which words.
    pub connector: Connector,
    /// Entries in a batch at most, 100 by default.
    pub batch_size: NonZeroUsize,
    /// Requests under way at once at most, 8 by default; 1 keeps the order of the entries. The first request of a push
    /// always goes alone.
    pub concurrency: NonZeroUsize,
    /// The secret: sent as `Authorization: <scheme> <token>`, unless the connector says otherwise.
    pub token: Option<Token>,
    /// `Token` by default; some targets want `Bearer`.
    pub scheme: String,
    /// For one request, from connecting to the last byte of the answer; 30 seconds by default.
    pub timeout: Duration,
    /// The time for what must tell when it was sent: webhooks and device exports. The machine's by default.
    pub clock: fn() -> SystemTime,
}

impl TargetOptions {
    /// Without a token, all else as by default.
    pub fn new(url: impl Into<String>, connector: Connector) -> Self {
        let many = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            url: url.into(),
            connector,
            batch_size: many(100),
            concurrency: many(8),
            token: None,
            scheme: "Token".to_owned(),
            timeout: Duration::from_secs(30),
            clock: time::now,
        }
    }
}

/// A target of delivery, whatever its connector.
///
/// HTTPS is required unless the target is on this machine; redirects are not followed; answers are read up to 64 KiB,
/// requests larger than 1 MiB are split or refused.
///
/// ```
/// use crm_client::{Connector, Kind, Target, TargetOptions, Token};
///
/// let json = Connector::Json { batch_url: None };
/// let mut options = TargetOptions::new("https://crm.example.com/api/attendance", json.clone());
/// options.token = Some(Token::new("s3cret"));
/// let crm = Target::new(options)?;
/// assert_eq!(crm.kind(), Kind::Day);
/// assert!(!format!("{crm:?}").contains("s3cret"));
///
/// let error = Target::new(TargetOptions::new("http://crm.example.com/api", json)).unwrap_err();
/// assert_eq!(error.kind(), "crm_insecure_address");
/// # Ok::<(), crm_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Target {
    http: Http,
    url: Url,
    connector: Connector,
    batch_size: NonZeroUsize,
    concurrency: usize,
    token: Token,
    scheme: String,
    clock: fn() -> SystemTime,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &plain(&self.url))
            .field("connector", &self.connector.name())
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Checks the options; connects to nothing.
    pub fn new(options: TargetOptions) -> Result<Self, Error> {
        let url = address(&options.url)?;
        let mut local = is_loopback(&url);
        let mut connector = options.connector;
        let token = options.token.unwrap_or_else(|| Token::new(""));
        match &mut connector {
            Connector::Json {
                batch_url: Some(to),
            } => {
                let batch_url = address(to)?;
                local &= is_loopback(&batch_url);
                *to = batch_url.into();
            }
            Connector::Webhook { .. } if token.expose().is_empty() => {
                return Err(Error::MissingOption { option: "token" });
            }
            _ => {}
        }
        HeaderValue::from_str(&format!("{} {}", options.scheme, token.expose()))
            .map_err(|_| Error::BadToken)?;
        Ok(Self {
            http: Http::new(options.timeout, local)?,
            url,
            connector,
            batch_size: options.batch_size,
            concurrency: options.concurrency.get(),
            token,
            scheme: options.scheme,
            clock: options.clock,
        })
    }

    /// What its entries must be about.
    pub fn kind(&self) -> Kind {
        self.connector.kind()
    }

    /// The name of its connector.
    pub fn connector(&self) -> &'static str {
        self.connector.name()
    }

    /// The requests that a push of these entries would begin with, if the target took each at the first try; nothing
    /// is sent. `[hidden]` stands for secrets, and for signatures made with them.
    ///
    /// An error is what an entry would be refused for without being sent.
    ///
    /// ```
    /// use crm_client::{Connector, Entry, Target, TargetOptions, Token};
    ///
    /// let mut options = TargetOptions::new("https://crm.example.com/api", Connector::Json { batch_url: None });
    /// options.token = Some(Token::new("s3cret"));
    /// let entry = Entry::new("hr", "17/1", 1, false, serde_json::json!({"worked_s": 60}));
    /// let requests = Target::new(options)?.preview(&[entry]);
    /// let request = requests[0].as_ref().unwrap();
    /// assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://crm.example.com/api"));
    /// assert!(request.headers.contains(&("authorization".into(), "Token [hidden]".into())));
    /// # Ok::<(), crm_client::Error>(())
    /// ```
    pub fn preview(&self, entries: &[Entry]) -> Vec<Result<Request, String>> {
        let mut plan = self.plan(entries);
        std::iter::from_fn(|| plan.next_step())
            .map(|step| self.request(&step, entries, HIDDEN))
            .collect()
    }

    fn plan<'a>(&'a self, entries: &'a [Entry]) -> Plan<'a> {
        let plan = match &self.connector {
            Connector::Json { batch_url: None } => Plan::singles(entries),
            Connector::DeviceExport => {
                Plan::batches_of(entries, self.batch_size, device::same_device)
            }
            _ => Plan::batches(entries, self.batch_size),
        };
        plan.hiding(self.token.expose())
    }

    /// The request of a step, or why its entries cannot be told to this target.
    fn request(&self, step: &Step, entries: &[Entry], secret: &str) -> Result<Request, String> {
        let url = self.url.as_str();
        let told = &entries[step.range()];
        let request = match (&self.connector, step) {
            (
                Connector::Json {
                    batch_url: Some(url),
                },
                Step::Batch(_),
            ) => json::batch(url, told),
            (Connector::Json { .. }, step) => json::single(url, &entries[step.start()]),
            (Connector::DeviceExport, _) => device::export(url, told, (self.clock)())?,
            (Connector::DeviceData, _) => device::data(url, told)?,
            (Connector::Webhook { kind }, _) => {
                return Ok(webhook::request(url, *kind, told, |body| {
                    if secret == HIDDEN {
                        return HIDDEN.to_owned();
                    }
                    webhook::sign_webhook(&self.token, body.as_bytes(), (self.clock)())
                }));
            }
        };
        Ok(request.authorised(&self.scheme, secret))
    }

    async fn send(&self, step: Step, entries: &[Entry]) -> (Step, Ending) {
        let ending = match (self.request(&step, entries, self.token.expose()), &step) {
            (Ok(request), Step::Single(_)) if request.is_too_large() => {
                Ending::rejected("the request would be larger than 1 MiB")
            }
            (Ok(request), Step::Batch(_)) if request.is_too_large() => {
                Ending::Judged(Verdict::Split)
            }
            (Ok(request), step) => {
                let reply = self.http.send(&request).await;
                Ending::of(reply, |answer| self.judge(step, answer, entries))
            }
            // The entry that cannot be told must not hold its neighbours.
            (Err(_), Step::Batch(_)) => Ending::Judged(Verdict::Split),
            (Err(why), Step::Single(_)) => Ending::rejected(why),
        };
        (step, ending)
    }

    fn judge(&self, step: &Step, answer: &Answer, entries: &[Entry]) -> Result<Verdict, Error> {
        let hidden = self.token.expose();
        match step {
            Step::Single(_) => single(answer, hidden).map(|outcome| Verdict::of(answer, outcome)),
            Step::Batch(Range { start, end }) => batch(answer, &entries[*start..*end], hidden),
        }
    }
}

impl Crm for Target {
    async fn push(&self, entries: &[Entry]) -> Result<Vec<Outcome>, Error> {
        drive(self.plan(entries), self.concurrency, |step| {
            self.send(step, entries)
        })
        .await
    }

    async fn check(&self) -> Result<Reached, Error> {
        let request = Request::bare("GET", self.url.as_str());
        let request = match &self.connector {
            Connector::Webhook { .. } => request,
            _ => request.authorised(&self.scheme, self.token.expose()),
        };
        match self.http.send(&request).await {
            Reply::Answer(answer) => plan::check(&answer, self.token.expose()),
            Reply::Tls { reason } => Err(Error::Tls { reason }),
            Reply::NotConnected { reason } | Reply::NoAnswer { reason } => {
                Err(Error::Unreachable { reason })
            }
        }
    }
}

const HIDDEN: &str = "[hidden]";

/// Follows a plan with up to `concurrency` steps under way.
///
/// Until something is settled the steps go one at a time: who is not there, or lets us not in, is asked once. So an
/// error that ends the push never leaves a request behind.
pub(crate) async fn drive<F>(
    mut plan: Plan<'_>,
    concurrency: usize,
    send: impl Fn(Step) -> F,
) -> Result<Vec<Outcome>, Error>
where
    F: Future<Output = (Step, Ending)>,
{
    let mut under_way = FuturesUnordered::new();
    loop {
        let room = if plan.has_settled() { concurrency } else { 1 };
        while under_way.len() < room
            && let Some(step) = plan.next_step()
        {
            under_way.push(send(step));
        }
        let Some((step, ending)) = under_way.next().await else {
            break;
        };
        plan.end(&step, ending)?;
    }
    Ok(plan.finish())
}

#[cfg(test)]
mod tests {
    use super::{Connector, Target, TargetOptions, Token};

    fn json(url: &str) -> TargetOptions {
        TargetOptions::new(url, Connector::Json { batch_url: None })
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let kind = |url: &str| Target::new(json(url)).map_or_else(|error| error.kind(), |_| "fine");
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
        let batch_url = Some("http://crm.example/batch".into());
        let options = TargetOptions::new("https://crm.example/", Connector::Json { batch_url });
        assert_eq!(
            Target::new(options).unwrap_err().kind(),
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
            let error = Target::new(json(url)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        let mut options = json("https://crm.example/?key=hush");
        options.token = Some(Token::new("hush"));
        assert!(!format!("{:?}", options.token).contains("hush"));
        assert!(!format!("{:?}", Target::new(options).unwrap()).contains("hush"));
    }

    #[test]
    fn a_token_may_end_in_a_newline_but_not_hold_one() {
        let with = |token: &str| {
            let mut options = json("https://crm.example/");
            options.token = Some(Token::new(token));
            Target::new(options).map(drop)
        };
        assert!(with("abc\n").is_ok());
        assert_eq!(with("a\nb").unwrap_err().kind(), "crm_bad_token");
    }
}
