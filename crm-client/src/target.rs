//! A target: how to reach it, what it takes, and the pushes to it.

use std::fmt;
use std::future::{Pending, pending, poll_fn};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::str::FromStr;
#[cfg(feature = "template")]
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use reqwest::header::HeaderValue;
use url::Url;

use crate::address::{address, is_local, plain};
use crate::answer::{Verdict, batch, batch_of_one, single};
use crate::connector::frappe::{Frappe, FrappeOptions};
use crate::connector::odoo::{Login, Odoo, OdooOptions};
#[cfg(feature = "template")]
use crate::connector::template::{Flaw, Template, TemplateOptions};
use crate::connector::{device, json, webhook};
use crate::http::Http;
use crate::plan::{self, Answer, Ending, Plan, Reply, Step};
use crate::request::HIDDEN;
use crate::{Crm, Entry, Error, Outcome, Reached, Request, Token, Trust, time};

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
    /// Whatever templates make of it.
    #[cfg(feature = "template")]
    Template(Box<TemplateOptions>),
    /// Check-ins of Frappe HRMS (`ERPNext`), of punches. The address is that of the site, the token `<key>:<secret>`.
    Frappe(FrappeOptions),
    /// `hr.attendance` of Odoo, of sessions. The address is that of the server, the token a password or an API key.
    Odoo(OdooOptions),
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
            Self::DeviceExport | Self::DeviceData | Self::Frappe(_) => Kind::Punch,
            Self::Odoo(_) => Kind::Session,
            Self::Webhook { kind } => *kind,
            #[cfg(feature = "template")]
            Self::Template(options) => options.kind,
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
            #[cfg(feature = "template")]
            Self::Template(_) => "template",
            Self::Frappe(_) => "frappe",
            Self::Odoo(_) => "odoo",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// How to reach a target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TargetOptions {
    /// Where entries are posted; for some connectors the server or site, for [`Connector::Template`] a template.
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
    /// `Token` by default (Frappe: `token`); some targets want `Bearer`.
    pub scheme: String,
    /// For one request, from connecting to the last byte of the answer; 30 seconds by default.
    pub timeout: Duration,
    /// The time for what must tell when it was sent: webhooks and device exports. The machine's by default.
    pub clock: fn() -> SystemTime,
    /// Whose word is taken for who the target is.
    pub trust: Trust,
}

impl TargetOptions {
    /// Without a token, all else as by default.
    pub fn new(url: impl Into<String>, connector: Connector) -> Self {
        let many = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let scheme = match &connector {
            Connector::Frappe(_) => "token",
            _ => "Token",
        };
        Self {
            url: url.into(),
            connector,
            batch_size: many(100),
            concurrency: many(8),
            token: None,
            scheme: scheme.to_owned(),
            timeout: Duration::from_secs(30),
            clock: time::now,
            trust: Trust::System,
        }
    }
}

/// A target of delivery, whatever its connector.
///
/// HTTPS is required unless the target is on this machine; redirects are not followed; answers are read up to 1 MiB,
/// requests larger than that are split or refused.
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
    name: &'static str,
    kind: Kind,
    wire: Wire,
    batch_size: NonZeroUsize,
    concurrency: usize,
    token: Token,
    scheme: String,
    clock: fn() -> SystemTime,
}

/// What ends a push before all has been sent.
#[derive(Debug)]
pub struct Interruption<S, L> {
    /// From when on no further request is made; those under way are awaited.
    pub stop: S,
    /// From when on those are not awaited either: the target may have what they brought or not.
    pub leave: L,
}

impl Interruption<Pending<()>, Pending<()>> {
    /// Nothing does.
    ///
    /// ```
    /// let never = crm_client::Interruption::never();
    /// # drop(never);
    /// ```
    pub fn never() -> Self {
        Self {
            stop: pending(),
            leave: pending(),
        }
    }
}

/// A connector that was found usable.
#[derive(Clone)]
enum Wire {
    Json(Option<Url>),
    DeviceExport,
    DeviceData,
    Webhook,
    #[cfg(feature = "template")]
    Template(Arc<Template>),
    Frappe(FrappeOptions),
    Odoo(OdooOptions, Login),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &plain(&self.url))
            .field("connector", &self.name)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Checks the options; connects to nothing.
    pub fn new(options: TargetOptions) -> Result<Self, Error> {
        let (name, kind) = (options.connector.name(), options.connector.kind());
        let token = options.token.unwrap_or_else(|| Token::new(""));
        HeaderValue::from_str(&format!("{} {}", options.scheme, token.expose()))
            .map_err(|_| Error::BadToken)?;
        let needs = |option, text: &str| {
            let reason = "it is empty, and this connector cannot do without it".to_owned();
            (!text.trim().is_empty())
                .then_some(())
                .ok_or(Error::BadOption { option, reason })
        };
        let mut batch_url = None;
        let url = || address(&options.url);
        let (url, wire) = match options.connector {
            Connector::Json { batch_url: to } => {
                batch_url = to.as_deref().map(address).transpose()?;
                (url()?, Wire::Json(batch_url.clone()))
            }
            Connector::DeviceExport => (url()?, Wire::DeviceExport),
            Connector::DeviceData => (url()?, Wire::DeviceData),
            Connector::Webhook { .. } => {
                needs("token", token.expose())?;
                (url()?, Wire::Webhook)
            }
            Connector::Frappe(frappe) => {
                needs("method", &frappe.method)?;
                needs("employee_field", &frappe.employee_field)?;
                (url()?, Wire::Frappe(frappe))
            }
            Connector::Odoo(odoo) => {
                needs("database", &odoo.database)?;
                needs("login", &odoo.login)?;
                needs("employee_field", &odoo.employee_field)?;
                needs("token", token.expose())?;
                (url()?, Wire::Odoo(odoo, Login::default()))
            }
            #[cfg(feature = "template")]
            Connector::Template(template) => {
                let template = Template::new(&options.url, *template)?;
                if template.places_token() {
                    needs("token", token.expose())?;
                }
                batch_url.clone_from(&template.batch_url);
                (template.base().clone(), Wire::Template(Arc::new(template)))
            }
        };
        let local = is_local(&url) && batch_url.as_ref().is_none_or(is_local);
        Ok(Self {
            http: Http::new(options.timeout, local, &options.trust)?,
            url,
            name,
            kind,
            wire,
            batch_size: options.batch_size,
            concurrency: options.concurrency.get(),
            token,
            scheme: options.scheme,
            clock: options.clock,
        })
    }

    /// As [`push`](Crm::push), but what has not been sent when it is interrupted is not sent, and comes back as
    /// [`Retry`](Outcome::Retry) like what was not answered.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use crm_client::{Connector, Entry, Interruption, Outcome, Reach, Target, TargetOptions};
    ///
    /// let json = Connector::Json { batch_url: None };
    /// let target = Target::new(TargetOptions::new("https://crm.example.com/api", json))?;
    /// let entry = Entry::new("hr", "17/1", 1, false, serde_json::json!({"worked_s": 60}));
    /// let at_once = Interruption { stop: async {}, leave: async {} };
    /// let outcomes = target.push_until(&[entry], at_once).await?;
    /// assert!(matches!(outcomes[0], Outcome::Retry { .. }));
    /// # Ok::<(), crm_client::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn push_until<S, L>(
        &self,
        entries: &[Entry],
        interruption: Interruption<S, L>,
    ) -> Result<Vec<Outcome>, Error>
    where
        S: Future<Output = ()> + Send,
        L: Future<Output = ()> + Send,
    {
        let mut plan = self.plan(entries);
        if entries.is_empty() {
            return Ok(plan.finish());
        }
        let (mut stop, mut leave) = (
            pin!(interruption.stop.fuse()),
            pin!(interruption.leave.fuse()),
        );
        if stop.as_mut().now_or_never().is_some() {
            plan.stop();
            return Ok(plan.finish());
        }
        match &self.wire {
            Wire::Frappe(options) => {
                let frappe = self.frappe(options, self.token.expose());
                drive(plan, self.concurrency, stop, leave, |step| async {
                    let ending = frappe.deliver(&self.http, &entries[step.start()]).await;
                    (step, ending)
                })
                .await
            }
            Wire::Odoo(options, login) => {
                let odoo = self.odoo(options, login, self.token.expose());
                let opening = odoo.open(&self.http, entries);
                let book = match select(leave.as_mut(), pin!(opening)).await {
                    Either::Right((Ok(book), _)) => book,
                    Either::Right((Err(ending), _)) => {
                        plan.abandon(ending)?;
                        return Ok(plan.finish());
                    }
                    Either::Left(_) => {
                        plan.stop();
                        return Ok(plan.finish());
                    }
                };
                drive(plan, 1, stop, leave, |step| async {
                    let entry = &entries[step.start()];
                    let ending = odoo.deliver(&self.http, &book, entry).await;
                    (step, ending)
                })
                .await
            }
            _ => {
                drive(plan, self.concurrency, stop, leave, |step| {
                    self.send(step, entries)
                })
                .await
            }
        }
    }

    /// What its entries must be about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name of its connector.
    pub fn connector(&self) -> &'static str {
        self.name
    }

    /// When the certificate ends that the target showed last; none before the first answer, and without TLS.
    pub fn certificate_ends(&self) -> Option<SystemTime> {
        self.http.certificate_ends()
    }

    /// The requests that a push of these entries would make, if the target took each at the first try; nothing is sent.
    /// `[hidden]` stands for secrets, for signatures made with them, for the values of configured headers, and for those
    /// of the address that are called token, key or the like; `<…>` for what only the target can tell.
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
        let secret = self.secret(true);
        let requests: Vec<_> = match &self.wire {
            Wire::Frappe(options) => {
                let frappe = self.frappe(options, secret);
                entries
                    .iter()
                    .flat_map(|entry| frappe.preview(entry))
                    .collect()
            }
            Wire::Odoo(options, login) => self.odoo(options, login, secret).preview(entries),
            _ => {
                let mut plan = self.plan(entries);
                std::iter::from_fn(|| plan.next_step())
                    .map(|step| self.request(&step, entries, true))
                    .collect()
            }
        };
        let shown = requests.into_iter();
        shown.map(|request| request.map(Request::hidden)).collect()
    }

    fn plan<'a>(&'a self, entries: &'a [Entry]) -> Plan<'a> {
        let size = self.batch_size;
        let plan = match &self.wire {
            Wire::Json(None) | Wire::Frappe(_) => Plan::singles(entries),
            Wire::DeviceExport => Plan::batches_of(entries, size, device::same_device),
            #[cfg(feature = "template")]
            Wire::Template(template) if !template.takes_batches => Plan::singles(entries),
            #[cfg(feature = "template")]
            Wire::Template(_) => Plan::batches(entries, size),
            Wire::Json(Some(_)) | Wire::DeviceData | Wire::Webhook => Plan::batches(entries, size),
            Wire::Odoo(..) => Plan::in_order(entries, Odoo::order(entries)),
        };
        plan.hiding(self.token.expose())
    }

    /// The request of a step, or why its entries cannot be told to this target.
    fn request(&self, step: &Step, entries: &[Entry], preview: bool) -> Result<Request, String> {
        let (url, secret) = (self.url.as_str(), self.secret(preview));
        let told = &entries[step.range()];
        let request = match (&self.wire, step) {
            (Wire::Json(Some(url)), Step::Batch(_)) => json::batch(url.as_str(), told),
            (Wire::DeviceExport, _) => device::export(url, told, (self.clock)())?,
            (Wire::DeviceData, _) => device::data(url, told)?,
            (Wire::Webhook, _) => {
                return Ok(webhook::request(url, self.kind, told, |body| {
                    if preview {
                        return HIDDEN.to_owned();
                    }
                    webhook::sign_webhook(&self.token, body.as_bytes(), (self.clock)())
                }));
            }
            #[cfg(feature = "template")]
            (Wire::Template(template), step) => {
                let request = match step {
                    Step::Single(index) => template.single(&entries[*index], secret),
                    Step::Batch(_) => template.batch(told, secret),
                }
                .map_err(Flaw::of_entry)?;
                if template.places_token() {
                    return Ok(request);
                }
                request
            }
            // The last two make their requests themselves.
            (Wire::Json(_) | Wire::Frappe(_) | Wire::Odoo(..), step) => {
                json::single(url, &entries[step.start()])
            }
        };
        Ok(request.authorised(&self.scheme, secret))
    }

    async fn send(&self, step: Step, entries: &[Entry]) -> (Step, Ending) {
        let ending = match (self.request(&step, entries, false), &step) {
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
        let (hidden, told) = (self.token.expose(), &entries[step.range()]);
        match (&self.wire, step) {
            #[cfg(feature = "template")]
            (Wire::Template(template), Step::Single(index)) => {
                template.judge_single(answer, &entries[*index], hidden)
            }
            #[cfg(feature = "template")]
            (Wire::Template(template), Step::Batch(_)) => {
                template.judge_batch(answer, told, hidden)
            }
            // These send a single entry as a batch of one.
            (Wire::DeviceExport | Wire::DeviceData | Wire::Webhook, Step::Single(index)) => {
                batch_of_one(answer, &entries[*index], hidden)
            }
            (_, Step::Single(_)) => {
                single(answer, hidden).map(|outcome| Verdict::of(answer, outcome))
            }
            (_, Step::Batch(_)) => batch(answer, told, hidden),
        }
    }

    fn secret(&self, preview: bool) -> &str {
        match self.token.expose() {
            "" => "",
            _ if preview => HIDDEN,
            secret => secret,
        }
    }

    fn frappe<'a>(&'a self, options: &'a FrappeOptions, secret: &'a str) -> Frappe<'a> {
        Frappe {
            options,
            url: &self.url,
            scheme: &self.scheme,
            secret,
        }
    }

    fn odoo<'a>(&'a self, options: &'a OdooOptions, login: &'a Login, secret: &'a str) -> Odoo<'a> {
        Odoo {
            options,
            url: &self.url,
            secret,
            login,
        }
    }
}

impl Crm for Target {
    async fn push(&self, entries: &[Entry]) -> Result<Vec<Outcome>, Error> {
        self.push_until(entries, Interruption::never()).await
    }

    async fn check(&self) -> Result<Reached, Error> {
        let secret = self.token.expose();
        let bare = || Request::bare("GET", self.url.as_str());
        let request = match &self.wire {
            Wire::Odoo(options, login) => {
                self.odoo(options, login, secret).check(&self.http).await?;
                return Ok(Reached {
                    status: 200,
                    web_page: false,
                    certificate_ends: self.certificate_ends(),
                });
            }
            Wire::Frappe(options) => self.frappe(options, secret).check(),
            Wire::Webhook => bare(),
            #[cfg(feature = "template")]
            Wire::Template(template) if template.places_token() => bare(),
            _ => bare().authorised(&self.scheme, secret),
        };
        let reached = match self.http.send(&request).await {
            Reply::Answer(answer) => plan::check(&answer, secret)?,
            Reply::Tls { reason } => return Err(Error::Tls { reason }),
            Reply::NotConnected { reason } | Reply::NoAnswer { reason } => {
                return Err(Error::Unreachable { reason });
            }
        };
        Ok(Reached {
            certificate_ends: self.certificate_ends(),
            ..reached
        })
    }
}

/// Follows a plan with up to `concurrency` steps under way.
///
/// Until something is settled the steps go one at a time: who is not there, or lets us not in, is asked once. So an
/// error that ends the push never leaves a request behind.
async fn drive<F>(
    mut plan: Plan<'_>,
    concurrency: usize,
    mut stopped: Pin<&mut impl Future<Output = ()>>,
    mut left: Pin<&mut impl Future<Output = ()>>,
    send: impl Fn(Step) -> F,
) -> Result<Vec<Outcome>, Error>
where
    F: Future<Output = (Step, Ending)>,
{
    let mut under_way = FuturesUnordered::new();
    let mut steps: Vec<Step> = Vec::new();
    loop {
        let room = if plan.has_settled() { concurrency } else { 1 };
        while under_way.len() < room
            && let Some(step) = plan.next_step()
        {
            steps.push(step.clone());
            under_way.push(send(step));
        }
        let turn = poll_fn(|context| {
            if stopped.as_mut().poll(context).is_ready() {
                return Poll::Ready(Turn::Stop);
            }
            // What was answered counts, however late.
            if let Poll::Ready(ended) = under_way.poll_next_unpin(context) {
                return Poll::Ready(
                    ended.map_or(Turn::Done, |(step, ending)| Turn::Ended(step, ending)),
                );
            }
            left.as_mut().poll(context).map(|()| Turn::Leave)
        });
        match turn.await {
            Turn::Ended(step, ending) => {
                steps.retain(|known| *known != step);
                plan.end(&step, ending)?;
            }
            Turn::Stop => plan.stop(),
            Turn::Done => break,
            Turn::Leave => {
                plan.stop();
                for step in &steps {
                    plan.leave_unanswered(step);
                }
                break;
            }
        }
    }
    Ok(plan.finish())
}

/// What happens next in a push.
enum Turn {
    Ended(Step, Ending),
    Stop,
    Leave,
    Done,
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
