//! The generic connector: what is sent is written in templates, what an answer means in a rule.

use std::ops::RangeInclusive;

use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value as Context, escape_formatter,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::json::key_of;
use crate::address::address;
use crate::answer::{self, Answer, Verdict, remote_id_at, words_at};
use crate::request::Request;
use crate::{DayEntry, Entry, Error, Kind, Outcome, PunchEntry, Reach, SessionEntry};

/// A target described by templates (minijinja, which is Jinja).
///
/// A template sees the fields of the entry by their names (those of [`DayEntry`], [`PunchEntry`] or [`SessionEntry`]),
/// besides `entry_id`, `revision`, `deleted`, `idempotency_key`, `prior_remote_id` (null unless the target gave an id
/// to an earlier revision) and `token`. The batch's body sees `records`, a list of such, and `idempotency_key`.
///
/// What a template inserts is escaped for its place: in a JSON body as a JSON value *with* its quotes, so write
/// `{"id": {{ user_id }}}`; in an address percent-encoded, where null has no place. The address may not change its
/// host. Where no template uses `token`, it is sent as `Authorization`. Every template is tried on a sample when the
/// target is made; what it makes as JSON must be JSON.
///
/// Where the address names the entry, 404 and 410 speak of that entry: a deletion finds it gone already, all else is
/// refused. 403 there does not tell whether it means one entry or all, so the entry is tried again.
///
/// ```
/// use crm_client::{Connector, Kind, PunchEntry, Target, TargetOptions, TemplateOptions};
///
/// let mut template = TemplateOptions::new(Kind::Punch);
/// template.method = "{{ 'DELETE' if deleted else 'PUT' }}".into();
/// template.body = r#"{"badge": {{ user_id }}, "at": {{ instant }}, "way": {{ kind | upper }}}"#.into();
/// template.remote_id = Some("/data/ref".into());
///
/// let url = "https://hr.example.com/punches/{{ entry_id }}";
/// let hr = Target::new(TargetOptions::new(url, Connector::Template(template.into())))?;
/// let punch = PunchEntry { punch_id: "G1/17".into(), user_id: "17".into(), kind: "in".into(), ..Default::default() };
/// let request = hr.preview(&[punch.freeze("hr", 1)]).remove(0).unwrap();
/// assert_eq!(request.url, "https://hr.example.com/punches/G1%2F17");
/// assert_eq!(request.body, r#"{"badge": "17", "at": "", "way": "IN"}"#);
/// # Ok::<(), crm_client::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TemplateOptions {
    /// What the target is told about.
    pub kind: Kind,
    /// Template of the method; `POST` by default.
    pub method: String,
    /// Names and templates of further headers.
    pub headers: Vec<(String, String)>,
    /// `application/json` by default. Bodies of other types are escaped as HTML if the type says XML or HTML,
    /// percent-encoded if it says `x-www-form-urlencoded`, else not at all.
    pub content_type: String,
    /// Template of the body for one entry; none is sent if it renders to nothing.
    pub body: String,
    /// Template of the body for a batch; none, if the target takes none.
    pub batch_body: Option<String>,
    /// Where batches are posted, if not to the same address. No template.
    pub batch_url: Option<String>,
    /// Which answers say that the entry was taken.
    pub success: SuccessRule,
    /// JSON pointer to the id that the target gave the entry; by default the usual places are tried.
    pub remote_id: Option<String>,
    /// JSON pointer to the words of a refusal; by default the usual places are tried.
    pub reason: Option<String>,
}

impl TemplateOptions {
    /// A POST of the entry as it is.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            method: "POST".to_owned(),
            headers: Vec::new(),
            content_type: "application/json".to_owned(),
            body: "{{ entry }}".to_owned(),
            batch_body: None,
            batch_url: None,
            success: SuccessRule::default(),
            remote_id: None,
            reason: None,
        }
    }
}

/// When an answer is a success.
#[derive(Debug, Clone, PartialEq)]
pub struct SuccessRule {
    /// The status must be in one of these; 200 to 299 by default. Others mean what they mean everywhere, save that no
    /// 2xx is a success that is not listed.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// The JSON value at this pointer must be this one (`"1"` and `1` are the same); for targets that refuse with 200.
    /// An answer that is no JSON says neither yes nor no: the entry is tried again.
    pub field: Option<(String, Value)>,
}

impl Default for SuccessRule {
    fn default() -> Self {
        Self {
            statuses: vec![200..=299],
            field: None,
        }
    }
}

pub(crate) struct Template {
    environment: Environment<'static>,
    headers: Vec<(HeaderName, String)>,
    content_type: String,
    pub(crate) batch_url: Option<Url>,
    base: Url,
    /// The address is one of the entry's own.
    names_entry: bool,
    places_token: bool,
    success: SuccessRule,
    remote_id: Option<String>,
    reason: Option<String>,
    pub(crate) takes_batches: bool,
}

/// How insertions are escaped, by the name of the template.
const ADDRESS: &str = "address";
const FORM: &str = "form";

/// What may stand in an address or a form as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Template {
    /// Tries every template on a sample, so that a mistake is found before the first entry meets it.
    pub(crate) fn new(url: &str, options: TemplateOptions) -> Result<Self, Error> {
        let content_type = options.content_type.to_ascii_lowercase();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(move |name| match name {
            "url" => AutoEscape::Custom(ADDRESS.into()),
            "body" | "batch_body" if is_json(&content_type) => AutoEscape::Json,
            "body" | "batch_body" if content_type.contains("x-www-form-urlencoded") => {
                AutoEscape::Custom(FORM.into())
            }
            "body" | "batch_body"
                if ["xml", "html"]
                    .iter()
                    .any(|kind| content_type.contains(kind)) =>
            {
                AutoEscape::Html
            }
            _ => AutoEscape::None,
        });
        environment.set_formatter(|out, state, value| match state.auto_escape() {
            AutoEscape::Custom(place) if value.is_none() && place == ADDRESS => Err(
                // `DELETE /punches/` is not what anybody means.
                minijinja::Error::new(
                    ErrorKind::InvalidOperation,
                    "null has no place in an address",
                ),
            ),
            AutoEscape::Custom(_) if value.is_none() => Ok(()),
            AutoEscape::Custom(_) => {
                let text = value.to_string();
                Ok(out.write_str(&utf8_percent_encode(&text, UNRESERVED).to_string())?)
            }
            _ => escape_formatter(out, state, value),
        });
        let mut sources = vec![
            ("url".to_owned(), url.trim().to_owned()),
            ("method".to_owned(), options.method),
            ("body".to_owned(), options.body),
        ];
        let takes_batches = options.batch_body.is_some();
        sources.extend(
            options
                .batch_body
                .map(|body| ("batch_body".to_owned(), body)),
        );
        let mut headers = Vec::new();
        for (name, template) in options.headers {
            let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::BadOption {
                option: "headers",
                reason: format!("{name:?} is no name of a header"),
            })?;
            let part = format!("headers.{known}");
            headers.push((known, part.clone()));
            sources.push((part, template));
        }
        for pointer in [&options.remote_id, &options.reason]
            .into_iter()
            .flatten()
            .chain(options.success.field.as_ref().map(|(pointer, _)| pointer))
        {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(Error::BadOption {
                    option: "JSON pointer",
                    reason: format!("{pointer:?} does not begin with a slash"),
                });
            }
        }
        let mut places_token = false;
        let mut names_entry = false;
        for (part, source) in sources {
            environment
                .add_template_owned(part.clone(), source)
                .map_err(|error| bad_template(&part, &error))?;
            let template = environment
                .get_template(&part)
                .map_err(|error| bad_template(&part, &error))?;
            let mut used = template.undeclared_variables(false);
            places_token |= used.remove("token");
            // These tell what is done, not to whom.
            for name in ["deleted", "revision"] {
                used.remove(name);
            }
            names_entry |= part == "url" && !used.is_empty();
        }
        let mut template = Self {
            environment,
            headers,
            content_type: options.content_type,
            batch_url: options.batch_url.as_deref().map(address).transpose()?,
            // Replaced at once by what the sample makes of the template.
            base: address("https://localhost/")?,
            names_entry,
            places_token,
            success: options.success,
            remote_id: options.remote_id,
            reason: options.reason,
            takes_batches,
        };
        let sample = sample(options.kind);
        let one = context(&sample, "token");
        template.base = address(&template.render("url", &one).map_err(Flaw::at_start)?)?;
        template.single(&sample, "token").map_err(Flaw::at_start)?;
        if takes_batches {
            let several = [sample.clone(), sample];
            template.batch(&several, "token").map_err(Flaw::at_start)?;
        }
        Ok(template)
    }

    /// Where it is, as far as that is the same for all entries.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The token goes where the templates put it, and nowhere else.
    pub(crate) fn places_token(&self) -> bool {
        self.places_token
    }

    pub(crate) fn single(&self, entry: &Entry, secret: &str) -> Result<Request, Flaw> {
        let context = context(entry, secret);
        let url = self.render("url", &context)?;
        let url = Url::parse(&url).map_err(|error| Flaw::new("url", error.to_string()))?;
        if url.origin() != self.base.origin() {
            return Err(Flaw::new("url", "it leads to another host"));
        }
        let key = entry.key().to_string();
        self.request(url.into(), "body", &context, key)
    }

    pub(crate) fn batch(&self, entries: &[Entry], secret: &str) -> Result<Request, Flaw> {
        let records: Vec<Value> = entries.iter().map(|entry| fields(entry, "")).collect();
        let key = key_of(entries);
        let context = Context::from(Serde(
            json!({"records": records, "idempotency_key": key, "token": secret}),
        ));
        let url = self.batch_url.as_ref().unwrap_or(&self.base);
        self.request(url.to_string(), "batch_body", &context, key)
    }

    fn request(
        &self,
        url: String,
        body: &'static str,
        context: &Context,
        key: String,
    ) -> Result<Request, Flaw> {
        // A batch has no fields of one entry: what a method or a header says of them is for single entries.
        let whole = body == "batch_body";
        let method = if whole {
            "POST".to_owned()
        } else {
            self.render("method", context)?.trim().to_ascii_uppercase()
        };
        Method::from_bytes(method.as_bytes())
            .map_err(|_| Flaw::new("method", format!("{method:?} is no method of HTTP")))?;
        let mut request = Request::bare(&method, url);
        request.body = self.render(body, context)?;
        if !request.body.is_empty() {
            if is_json(&self.content_type) {
                serde_json::from_str::<Value>(&request.body).map_err(|error| Flaw {
                    part: body.to_owned(),
                    line: error.line(),
                    reason: format!("what it makes is no JSON: {error}"),
                })?;
            }
            request = request.header("content-type", &self.content_type);
        }
        request = request.header("idempotency-key", key);
        for (name, part) in &self.headers {
            let value = self.render(part, context)?;
            HeaderValue::from_str(&value)
                .map_err(|_| Flaw::new(part, "it makes what no HTTP header can carry"))?;
            request.headers.retain(|(known, _)| known != name.as_str());
            request = request.header(name.as_str(), value);
        }
        Ok(request)
    }

    fn render(&self, part: &str, context: &Context) -> Result<String, Flaw> {
        self.environment
            .get_template(part)
            .and_then(|template| template.render(context))
            .map_err(|error| Flaw::of(part, &error))
    }

    pub(crate) fn judge_single(
        &self,
        answer: &Answer,
        entry: &Entry,
        hidden: &str,
    ) -> Result<Verdict, Error> {
        let outcome = match self.ruling(answer)? {
            Ruling::Yes => {
                let json = answer.json();
                match (&self.remote_id, &json) {
                    (Some(pointer), Some(json)) => Outcome::Accepted {
                        remote_id: remote_id_at(json, pointer),
                    },
                    (Some(_), None) => Outcome::Accepted { remote_id: None },
                    (None, json) => answer::accepted(json.as_ref()),
                }
            }
            Ruling::No => self.refusal(answer, hidden),
            Ruling::Unreadable => unreadable(answer, hidden),
            Ruling::None => match answer.status {
                404 | 410 if self.names_entry && entry.deleted() => Outcome::AlreadyKnown,
                404 | 410 if self.names_entry => self.refusal(answer, hidden),
                // Of this entry or of all: that of all passes once somebody acts, and holds nobody up if it was of one.
                403 if self.names_entry => Outcome::Retry {
                    after: None,
                    reach: Reach::Answered,
                    reason: answer.reason(None, hidden),
                },
                _ => match answer::single(answer, hidden)? {
                    Outcome::Rejected { .. } => self.refusal(answer, hidden),
                    outcome => outcome,
                },
            },
        };
        Ok(Verdict::of(answer, outcome))
    }

    pub(crate) fn judge_batch(
        &self,
        answer: &Answer,
        entries: &[Entry],
        hidden: &str,
    ) -> Result<Verdict, Error> {
        match self.ruling(answer)? {
            Ruling::No => Ok(Verdict::Split),
            Ruling::Unreadable => Ok(Verdict::of(answer, unreadable(answer, hidden))),
            Ruling::Yes if !(200..=299).contains(&answer.status) => Ok(Verdict::Done(vec![
                Outcome::Accepted { remote_id: None };
                entries.len()
            ])),
            Ruling::Yes | Ruling::None => answer::batch(answer, entries, hidden),
        }
    }

    /// What the rule says. A web page speaks for whatever stands before the target, not of an entry.
    fn ruling(&self, answer: &Answer) -> Result<Ruling, Error> {
        let status = answer.status;
        let listed = self
            .success
            .statuses
            .iter()
            .any(|range| range.contains(&status));
        if !listed && !(200..=299).contains(&status) {
            return Ok(Ruling::None);
        }
        let of_entry = self.names_entry && matches!(status, 404 | 410);
        if answer.is_web_page() && !of_entry {
            return Err(Error::WebPage { status });
        }
        Ok(match (&self.success.field, answer.json()) {
            _ if !listed => Ruling::No,
            (None, _) => Ruling::Yes,
            (Some(_), None) => Ruling::Unreadable,
            (Some((pointer, wanted)), Some(json)) => match json.pointer(pointer) {
                Some(found) if found == wanted || plain(found) == plain(wanted) => Ruling::Yes,
                _ => Ruling::No,
            },
        })
    }

    fn refusal(&self, answer: &Answer, hidden: &str) -> Outcome {
        let words = self
            .reason
            .as_ref()
            .and_then(|pointer| words_at(answer.json()?.pointer(pointer)?, hidden));
        Outcome::Rejected {
            reason: answer.reason(words, hidden),
        }
    }
}

/// What a [`SuccessRule`] makes of an answer.
enum Ruling {
    Yes,
    No,
    /// It needs a field of a JSON that is none, or was cut.
    Unreadable,
    /// It does not speak of this status.
    None,
}

fn unreadable(answer: &Answer, hidden: &str) -> Outcome {
    Outcome::Retry {
        after: None,
        reach: Reach::Answered,
        reason: answer.reason(None, hidden),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.to_ascii_lowercase().contains("json")
}

/// What is wrong with a template, or with what it made of an entry.
pub(crate) struct Flaw {
    part: String,
    line: usize,
    reason: String,
}

impl Flaw {
    fn new(part: &str, reason: impl Into<String>) -> Self {
        Self {
            part: part.to_owned(),
            line: 1,
            reason: reason.into(),
        }
    }

    fn of(part: &str, error: &minijinja::Error) -> Self {
        Self {
            part: part.to_owned(),
            line: error.line().unwrap_or(1),
            reason: match error.detail() {
                Some(detail) => format!("{}: {detail}", error.kind()),
                None => error.kind().to_string(),
            },
        }
    }

    fn at_start(self) -> Error {
        Error::BadTemplate {
            part: self.part,
            line: self.line,
            reason: self.reason,
        }
    }

    /// Of one entry, for its refusal.
    pub(crate) fn of_entry(self) -> String {
        let Self { part, line, reason } = self;
        format!("the template {part:?} does not fit this entry (line {line}): {reason}")
    }
}

fn bad_template(part: &str, error: &minijinja::Error) -> Error {
    Flaw::of(part, error).at_start()
}

fn context(entry: &Entry, secret: &str) -> Context {
    let mut fields = fields(entry, secret);
    fields["entry"] = entry.to_wire();
    Context::from(Serde(fields))
}

fn fields(entry: &Entry, secret: &str) -> Value {
    let mut fields = match entry.to_wire() {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    fields.insert("entry_id".to_owned(), entry.entry_id().into());
    fields.insert("prior_remote_id".to_owned(), entry.prior_remote_id().into());
    if !secret.is_empty() {
        fields.insert("token".to_owned(), secret.into());
    }
    Value::Object(fields)
}

/// An entry with every field filled in.
fn sample(kind: Kind) -> Entry {
    let text = |text: &str| Some(text.to_owned());
    let instant = "2026-03-02T08:01:10+03:00".to_owned();
    let entry = match kind {
        Kind::Day => DayEntry {
            record_id: "17/2026-03-02/day/0".to_owned(),
            user_id: "17".to_owned(),
            employee_name: text("Sample"),
            date: "2026-03-02".to_owned(),
            clock_in: text(&instant),
            clock_out: text("2026-03-02T17:00:00+03:00"),
            status: "present".to_owned(),
            shift: text("day"),
            time_zone: "Africa/Nairobi".to_owned(),
            outliers: vec!["in_too_early".to_owned()],
            device_name: text("Gate"),
            device_ip: text("192.0.2.1"),
            ..DayEntry::default()
        }
        .freeze("sample", 1),
        Kind::Punch => PunchEntry {
            punch_id: "SN1/17/2026-03-02T08:01:10/0".to_owned(),
            user_id: "17".to_owned(),
            employee_name: text("Sample"),
            time: "2026-03-02 08:01:10".to_owned(),
            instant,
            time_zone: "Africa/Nairobi".to_owned(),
            punch_state: Some(0),
            kind: "in".to_owned(),
            verify_mode: Some(1),
            work_code: Some(0),
            device_name: text("Gate"),
            device_serial: text("SN1"),
            device_ip: text("192.0.2.1"),
            device_port: Some(4370),
            source: "pull".to_owned(),
            deleted: false,
        }
        .freeze("sample", 1),
        Kind::Session => SessionEntry {
            session_id: "17/2026-03-02/day/0@2026-03-02T05:01:10Z".to_owned(),
            record_id: "17/2026-03-02/day/0".to_owned(),
            user_id: "17".to_owned(),
            employee_name: text("Sample"),
            date: "2026-03-02".to_owned(),
            check_in: instant,
            check_out: text("2026-03-02T17:00:00+03:00"),
            time_zone: "Africa/Nairobi".to_owned(),
            worked_s: 32_330,
            device_name: text("Gate"),
            deleted: false,
        }
        .freeze("sample", 1),
    };
    entry.with_prior_remote_id(Some("1".to_owned()))
}
