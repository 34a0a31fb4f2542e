//! A CRM for demonstrations and tests: it remembers idempotency keys and revisions, and fails on request.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

const BODY_CAP: usize = 16 << 20;
/// What a refused record is told.
const REFUSAL: &str = "No such employee.";
/// So begins every line of the state file.
const LINE_START: &[u8] = b"{\"key\":";

/// A running CRM on loopback. Dropping it stops it and closes its connections.
///
/// POST to any path takes one record of our `schema: 1` (a day, a punch or a session), or a batch
/// `{"schema":1,"records":[…]}`; a key seen before changes nothing. It also takes both forms of terminals
/// (`{"device_info":{…},"records":[…]}` and `{"data":[…]}`), where a punch is known by person, time and type. GET on `/records` tells all it knows, on any other path that it is there.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use bridge_bin::demo::crm_stub::CrmStub;
///
/// let crm = CrmStub::builder().token("s3cret").start().await?;
/// assert!(crm.url().ends_with("/api/attendance"));
/// assert!(crm.snapshot().records.is_empty());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct CrmStub {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl CrmStub {
    /// On a free port, without a token, in memory, healthy.
    pub fn builder() -> Builder {
        Builder {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: None,
            token: None,
            failures: VecDeque::new(),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where to post records.
    pub fn url(&self) -> String {
        format!("http://{}/api/attendance", self.addr)
    }

    /// All it knows.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.held().snapshot()
    }

    /// Fails further requests, after those already ordered to fail.
    pub fn fail(&self, failure: Failure) {
        self.shared.held().failures.extend(failure);
    }
}

impl Drop for CrmStub {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// How a [`CrmStub`] is to be.
#[derive(Debug)]
pub struct Builder {
    bind: SocketAddr,
    state: Option<PathBuf>,
    token: Option<String>,
    failures: VecDeque<Fault>,
}

impl Builder {
    /// The loopback address to listen on; port 0 takes a free one.
    #[must_use]
    pub fn bind(self, bind: SocketAddr) -> Self {
        Self { bind, ..self }
    }

    /// Keeps what was received in this file, written before each answer: whatever was acknowledged survives a kill.
    #[must_use]
    pub fn state(self, path: impl Into<PathBuf>) -> Self {
        Self {
            state: Some(path.into()),
            ..self
        }
    }

    /// Lets in only requests with `Authorization: Token <token>`.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        Self {
            token: Some(token.into()),
            ..self
        }
    }

    /// Fails the next POSTs; may be repeated.
    #[must_use]
    pub fn fail(mut self, failure: Failure) -> Self {
        self.failures.extend(failure);
        self
    }

    /// Reads the state file and listens.
    pub async fn start(self) -> io::Result<CrmStub> {
        if !self.bind.ip().is_loopback() {
            let text = format!(
                "the mock CRM listens on loopback only, not on {}",
                self.bind.ip()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut held = Held {
            failures: self.failures,
            ..Held::default()
        };
        if let Some(path) = &self.state {
            let (journal, lines) = Journal::open(path)?;
            for line in lines {
                held.apply(line);
            }
            held.journal = Some(journal);
        }
        let listener = tokio::net::TcpListener::bind(self.bind).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            token: self.token,
            held: Mutex::new(held),
            stopped: stopped.clone(),
        });
        let app = Router::new()
            .route("/records", get(records).post(receive))
            .fallback(get(present).post(receive))
            .layer(DefaultBodyLimit::max(BODY_CAP))
            .with_state(shared.clone());
        let serve = axum::serve(listener, app).with_graceful_shutdown(until_stopped(stopped));
        tokio::spawn(async move { serve.await });
        Ok(CrmStub { addr, shared, stop })
    }
}

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, nothing applied.
    Status(StatusCode),
    /// No answer at all, nothing applied.
    Timeout,
    /// A login page with status 200, nothing applied.
    Html,
    /// Status 200 and bytes that are no JSON, nothing applied.
    Garbage,
    /// The records are applied, but the connection closes instead of an answer.
    Drop,
    /// The first record of a batch, or the only one, is refused; the others are applied.
    Partial,
}

/// So many requests fail in this way. Written `KIND:N`, like `500:3` or `drop:1`; `:N` may be left out.
///
/// ```
/// use bridge_bin::demo::crm_stub::{Failure, Fault};
///
/// let failure: Failure = "drop:2".parse()?;
/// assert_eq!((failure.fault, failure.times), (Fault::Drop, 2));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub fault: Fault,
    /// How often.
    pub times: u16,
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, times) = text.split_once(':').unwrap_or((text, "1"));
        let fault = match kind {
            "500" | "503" | "429" | "401" | "413" | "422" => {
                Fault::Status(kind.parse().map_err(|_| format!("{kind:?} is no status"))?)
            }
            "timeout" => Fault::Timeout,
            "html" => Fault::Html,
            "garbage" => Fault::Garbage,
            "drop" => Fault::Drop,
            "partial" => Fault::Partial,
            _ => {
                return Err(format!(
                    "{kind:?} is no way to fail; known: 500, 503, 429, 401, 413, 422, timeout, html, garbage, drop, \
                     partial"
                ));
            }
        };
        let times = times
            .parse()
            .map_err(|_| format!("{times:?} is no number of requests (0 to 65535)"))?;
        Ok(Self { fault, times })
    }
}

impl IntoIterator for Failure {
    type Item = Fault;
    type IntoIter = std::iter::RepeatN<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::repeat_n(self.fault, self.times.into())
    }
}

/// What a [`CrmStub`] knows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// By record id.
    pub records: Vec<Record>,
    /// POSTs since it was started, failed ones included.
    pub requests: u64,
    /// Revisions that were applied, ever.
    pub applied: u64,
    /// Records that came again under a known key since it was started, and changed nothing.
    pub repeated: u64,
}

/// One record: its highest revision, and how it came to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The record id, or that of the punch or the session.
    pub record_id: String,
    /// The highest revision.
    pub revision: u64,
    /// Whether that revision says that the record vanished.
    pub deleted: bool,
    /// Every revision that was applied, in the order of arrival. A number twice means a key that was not honoured.
    pub revisions_applied: Vec<u64>,
    /// How often the record came, known keys included.
    pub times_received: u64,
    /// What the highest revision said.
    pub content: Value,
}

struct Shared {
    token: Option<String>,
    held: Mutex<Held>,
    stopped: watch::Receiver<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        given
            .and_then(|given| given.strip_prefix("Token "))
            .is_some_and(|given| given == token)
    }
}

#[derive(Default)]
struct Held {
    records: BTreeMap<String, Record>,
    keys: HashSet<String>,
    failures: VecDeque<Fault>,
    requests: u64,
    applied: u64,
    repeated: u64,
    journal: Option<Journal>,
}

/// One applied revision, as it stands in the state file.
#[derive(Serialize, Deserialize)]
struct Line {
    key: Option<String>,
    record_id: String,
    revision: u64,
    deleted: bool,
    content: Value,
}

/// In which words records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Our own, one record.
    Single,
    /// Our own, several.
    Batch,
    /// A terminal's, with the device.
    Export,
    /// A terminal's.
    Data,
}

impl Form {
    /// What a body is, and the records in it.
    fn of(body: Value) -> (Self, Vec<Value>) {
        let Value::Object(mut fields) = body else {
            return (Self::Single, vec![body]);
        };
        let mut list = |name: &str| match fields.get_mut(name).map(Value::take) {
            Some(Value::Array(records)) => Some(records),
            Some(other) => {
                fields.insert(name.to_owned(), other);
                None
            }
            None => None,
        };
        if let Some(records) = list("records") {
            let has_device = fields.contains_key("device_info");
            return (
                if has_device {
                    Self::Export
                } else {
                    Self::Batch
                },
                records,
            );
        }
        match list("data") {
            Some(records) => (Self::Data, records),
            None => (Self::Single, vec![Value::Object(fields)]),
        }
    }

    /// The fields by which a terminal's form knows a punch.
    const fn fields(self) -> Option<(&'static [&'static str], &'static str)> {
        match self {
            Self::Single | Self::Batch => None,
            Self::Export => Some((&["employee_id", "timestamp"], "punch_type")),
            Self::Data => Some((&["emp_no", "punch_date", "punch_time"], "punch_type")),
        }
    }

    /// `None` if `record` cannot be told from others.
    fn line(self, record: Value, key_of_request: Option<&str>) -> Option<Line> {
        let Some((names, kind)) = self.fields() else {
            return Line::read(record, key_of_request);
        };
        let text = |name: &str| {
            let text = record.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let parts: Option<Vec<&str>> = names.iter().map(|name| text(name)).collect();
        let record_id = parts?.join(" ");
        Some(Line {
            key: Some(format!("{record_id} {}", text(kind).unwrap_or_default())),
            record_id,
            revision: 0,
            deleted: false,
            content: record,
        })
    }

    /// The answer to what was taken and what was refused.
    fn answer(self, taken: &[(String, Option<String>, bool)], refused: Vec<Line>) -> Response {
        if self.fields().is_some() {
            let status = match (taken.len(), refused.len()) {
                (_, 0) => "success",
                (0, _) => "error",
                _ => "partial_success",
            };
            let failed: Vec<Value> = refused
                .into_iter()
                .map(|line| {
                    let mut record = line.content;
                    record["error"] = REFUSAL.into();
                    record
                })
                .collect();
            let answer = json!({
                "status": status, "records_sent": taken.len(), "failed": failed.len(), "failed_records": failed,
            });
            return Json(answer).into_response();
        }
        let refused = refused.into_iter().map(|line| {
            json!({"id": line.record_id, "idempotency_key": line.key, "status": "rejected", "message": REFUSAL})
        });
        let taken = taken.iter().map(|(record_id, key, new)| {
            let status = if *new { "accepted" } else { "duplicate" };
            json!({"id": record_id, "idempotency_key": key, "status": status, "duplicate": !new})
        });
        let mut results: Vec<Value> = refused.chain(taken).collect();
        match results.pop() {
            Some(result) if self == Self::Single => {
                let status = if result["duplicate"] == true {
                    StatusCode::OK
                } else {
                    StatusCode::CREATED
                };
                (status, Json(result)).into_response()
            }
            last => {
                results.extend(last);
                Json(json!({"results": results})).into_response()
            }
        }
    }
}

impl Line {
    /// `None` if `record` has no id.
    fn read(mut record: Value, key_of_request: Option<&str>) -> Option<Self> {
        let fields = record.as_object_mut()?;
        let key = fields.remove("idempotency_key");
        let key = key
            .as_ref()
            .and_then(Value::as_str)
            .or(key_of_request)
            .map(str::to_owned);
        // A session also names its record.
        let id = ["session_id", "punch_id", "record_id"]
            .iter()
            .find_map(|field| fields.get(*field));
        let record_id = id?.as_str().filter(|id| !id.is_empty())?.to_owned();
        let revision = fields.get("revision").and_then(Value::as_u64).unwrap_or(0);
        let deleted = fields
            .get("deleted")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        Some(Self {
            key,
            record_id,
            revision,
            deleted,
            content: record,
        })
    }
}

impl Held {
    /// Applies what is new. One outcome per line: whether it was.
    fn receive(&mut self, lines: Vec<Line>) -> io::Result<Vec<bool>> {
        let mut seen = HashSet::new();
        let mut is_new = |line: &Line| match &line.key {
            Some(key) => !self.keys.contains(key) && seen.insert(key.clone()),
            None => true,
        };
        let new: Vec<bool> = lines.iter().map(&mut is_new).collect();
        if let Some(journal) = &mut self.journal {
            journal.append(
                lines
                    .iter()
                    .zip(&new)
                    .filter(|(_, new)| **new)
                    .map(|(line, _)| line),
            )?;
        }
        for (line, new) in lines.into_iter().zip(&new) {
            if *new {
                self.apply(line);
            } else {
                self.repeated += 1;
                if let Some(record) = self.records.get_mut(&line.record_id) {
                    record.times_received += 1;
                }
            }
        }
        Ok(new)
    }

    fn apply(&mut self, line: Line) {
        let Line {
            key,
            record_id,
            revision,
            deleted,
            content,
        } = line;
        self.keys.extend(key);
        self.applied += 1;
        let record = self
            .records
            .entry(record_id.clone())
            .or_insert_with(|| Record {
                record_id,
                revision,
                deleted,
                revisions_applied: Vec::new(),
                times_received: 0,
                content: Value::Null,
            });
        record.times_received += 1;
        record.revisions_applied.push(revision);
        if revision >= record.revision {
            record.revision = revision;
            record.deleted = deleted;
            record.content = content;
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            records: self.records.values().cloned().collect(),
            requests: self.requests,
            applied: self.applied,
            repeated: self.repeated,
        }
    }
}

/// The state file: a line of JSON per applied revision. Appending is the one kind of write that a kill cannot turn
/// against what was written before.
struct Journal {
    file: File,
    /// Up to here the file holds whole lines.
    end: u64,
}

impl Journal {
    fn open(path: &Path) -> io::Result<(Self, Vec<Line>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let wrong = |number: usize, what: &dyn fmt::Display| {
            let text = format!(
                "{} is no state of a mock CRM: line {number}: {what}",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        // A last line without its end was never acknowledged: the kill came first. What does not begin like one of
        // ours is somebody's file.
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let torn = &bytes[end..];
        if !torn.starts_with(LINE_START) && !LINE_START.starts_with(torn) {
            return Err(wrong(1, &"it is not JSON of ours"));
        }
        let mut lines = Vec::new();
        for (number, line) in bytes[..end]
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
        {
            let line = serde_json::from_slice(line).map_err(|error| wrong(number + 1, &error))?;
            lines.push(line);
        }
        let mut journal = Self {
            file,
            end: end as u64,
        };
        journal.rewind()?;
        Ok((journal, lines))
    }

    fn append<'a>(&mut self, lines: impl Iterator<Item = &'a Line>) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        match self
            .file
            .write_all(&text)
            .and_then(|()| self.file.sync_data())
        {
            Ok(()) => {
                self.end += text.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What is half there must not grow together with the next line.
                self.rewind()?;
                Err(error)
            }
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end)).map(drop)
    }
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that the stub is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn present(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.lets_in(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "Invalid token.");
    }
    Json(json!({"mock_crm": true, "records": shared.held().records.len()})).into_response()
}

async fn records(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.lets_in(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "Invalid token.");
    }
    Json(shared.held().snapshot()).into_response()
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if !shared.lets_in(&headers) {
        shared.held().requests += 1;
        return refused(StatusCode::UNAUTHORIZED, "Invalid token.");
    }
    let fault = {
        let mut held = shared.held();
        held.requests += 1;
        held.failures.pop_front()
    };
    match fault {
        None => apply(shared, headers, body, 0).await,
        Some(Fault::Partial) => apply(shared, headers, body, 1).await,
        Some(Fault::Drop) => {
            apply(shared, headers, body, 0).await;
            // A body that fails at once: hyper closes the connection before a byte of the answer is out.
            let lost = futures_util::stream::once(async {
                Err::<Bytes, _>(io::Error::other("scripted loss"))
            });
            Body::from_stream(lost).into_response()
        }
        Some(Fault::Timeout) => {
            until_stopped(shared.stopped.clone()).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Some(Fault::Html) => {
            let page = "<!doctype html><title>Log in</title><form><input name=user></form>";
            ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        Some(Fault::Garbage) => (
            [(CONTENT_TYPE, "application/json")],
            &b"\xff\xfe{\"id\":\0"[..],
        )
            .into_response(),
        Some(Fault::Status(StatusCode::TOO_MANY_REQUESTS)) => (
            [(RETRY_AFTER, "1")],
            refused(StatusCode::TOO_MANY_REQUESTS, "Slow down."),
        )
            .into_response(),
        Some(Fault::Status(status)) => refused(status, "Scripted failure."),
    }
}

/// Applies all records but the first `refuse` ones.
async fn apply(shared: Arc<Shared>, headers: HeaderMap, body: Bytes, refuse: usize) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refused(StatusCode::BAD_REQUEST, "The body is no JSON.");
    };
    let (form, records) = Form::of(body);
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .filter(|_| form == Form::Single);
    let Some(mut lines) = records
        .into_iter()
        .map(|record| form.line(record, key))
        .collect::<Option<Vec<_>>>()
    else {
        return refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "A record needs a record_id, or in a terminal's form its person and time.",
        );
    };
    if refuse > 0 && form == Form::Single {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, REFUSAL);
    }
    let taken = lines.split_off(refuse.min(lines.len()));
    let refused_lines = std::mem::replace(&mut lines, taken);
    let ids: Vec<_> = lines
        .iter()
        .map(|line| (line.record_id.clone(), line.key.clone()))
        .collect();
    let on_disk = shared.held().journal.is_some();
    let applied = if on_disk {
        let receive = move || shared.held().receive(lines);
        tokio::task::spawn_blocking(receive)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    } else {
        shared.held().receive(lines)
    };
    let new = match applied {
        Ok(new) => new,
        Err(error) => {
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("The state file: {error}"),
            );
        }
    };
    let taken: Vec<_> = ids
        .into_iter()
        .zip(new)
        .map(|((record_id, key), new)| (record_id, key, new))
        .collect();
    form.answer(&taken, refused_lines)
}

fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn record(id: &str, revision: u64) -> Value {
        json!({
            "schema": 1, "record_id": id, "revision": revision, "idempotency_key": format!("{id}@{revision}"),
            "deleted": false, "worked_s": revision * 10,
        })
    }

    /// Status and body; status 0 if the connection closed without an answer.
    async fn request(
        crm: &CrmStub,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(crm.addr()).await.unwrap();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        (
            status,
            answer
                .split_once("\r\n\r\n")
                .map(|(_, body)| body.to_owned())
                .unwrap_or_default(),
        )
    }

    async fn post(crm: &CrmStub, body: &Value) -> (u16, String) {
        request(crm, "POST", "/api/attendance", "", &body.to_string()).await
    }

    fn failing(text: &str) -> Builder {
        CrmStub::builder().fail(text.parse().unwrap())
    }

    #[tokio::test]
    async fn a_known_key_changes_nothing() {
        let crm = CrmStub::builder().start().await.unwrap();
        assert_eq!(post(&crm, &record("a", 1)).await.0, 201);
        let (status, body) = post(&crm, &record("a", 1)).await;
        assert_eq!(status, 200);
        assert!(body.contains("\"duplicate\":true"));
        let snapshot = crm.snapshot();
        assert_eq!(
            (snapshot.requests, snapshot.applied, snapshot.repeated),
            (2, 1, 1)
        );
        assert_eq!(snapshot.records[0].revisions_applied, [1]);
        assert_eq!(snapshot.records[0].times_received, 2);
    }

    #[tokio::test]
    async fn the_highest_revision_wins_in_any_order() {
        let crm = CrmStub::builder().start().await.unwrap();
        for revision in [2, 5, 3] {
            post(&crm, &record("a", revision)).await;
        }
        let snapshot = crm.snapshot();
        assert_eq!(snapshot.records[0].revision, 5);
        assert_eq!(snapshot.records[0].content["worked_s"], 50);
        assert_eq!(snapshot.records[0].revisions_applied, [2, 5, 3]);
    }

    #[tokio::test]
    async fn a_batch_is_answered_record_by_record() {
        let crm = CrmStub::builder().start().await.unwrap();
        post(&crm, &record("a", 1)).await;
        let batch =
            json!({"schema": 1, "records": [record("a", 1), record("b", 1), record("b", 1)]});
        let (status, body) = post(&crm, &batch).await;
        assert_eq!(status, 200);
        let body: Value = serde_json::from_str(&body).unwrap();
        let statuses: Vec<_> = body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| &result["status"])
            .collect();
        assert_eq!(statuses, ["duplicate", "accepted", "duplicate"]);
        assert_eq!(crm.snapshot().applied, 2);
    }

    #[tokio::test]
    async fn what_is_no_record_is_refused() {
        let crm = CrmStub::builder().start().await.unwrap();
        assert_eq!(request(&crm, "POST", "/", "", "{").await.0, 400);
        for body in [
            json!([]),
            json!(1),
            json!({"user_id": "1"}),
            json!({"records": [1]}),
        ] {
            assert_eq!(post(&crm, &body).await.0, 422, "{body}");
        }
        assert_eq!(crm.snapshot().applied, 0);
    }

    #[tokio::test]
    async fn the_dump_is_served() {
        let crm = CrmStub::builder().start().await.unwrap();
        post(&crm, &record("a", 1)).await;
        let (status, body) = request(&crm, "GET", "/records", "", "").await;
        assert_eq!(status, 200);
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            serde_json::to_value(crm.snapshot()).unwrap()
        );
        assert_eq!(request(&crm, "GET", "/api/attendance", "", "").await.0, 200);
        assert_eq!(request(&crm, "PUT", "/api/attendance", "", "").await.0, 405);
    }

    #[tokio::test]
    async fn without_the_token_nothing_is_told_or_taken() {
        let crm = CrmStub::builder().token("s3cret").start().await.unwrap();
        let body = record("a", 1).to_string();
        for headers in [
            "",
            "authorization: Token wrong\r\n",
            "authorization: s3cret\r\n",
        ] {
            assert_eq!(request(&crm, "POST", "/x", headers, &body).await.0, 401);
            assert_eq!(request(&crm, "GET", "/records", headers, "").await.0, 401);
        }
        assert_eq!(
            request(&crm, "POST", "/x", "authorization: Token s3cret\r\n", &body)
                .await
                .0,
            201
        );
        assert!(!format!("{crm:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn what_was_acknowledged_survives_and_a_torn_line_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crm.jsonl");
        let crm = CrmStub::builder().state(&path).start().await.unwrap();
        post(&crm, &record("a", 1)).await;
        post(&crm, &record("a", 2)).await;
        let before = crm.snapshot();
        drop(crm);
        // As a kill in the middle of a write leaves it.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"key\":\"b@1\",\"rec")
            .unwrap();
        let crm = CrmStub::builder().state(&path).start().await.unwrap();
        assert_eq!(crm.snapshot().records, before.records);
        assert_eq!(post(&crm, &record("a", 2)).await.0, 200);
        assert_eq!(post(&crm, &record("b", 1)).await.0, 201);
        drop(crm);
        let crm = CrmStub::builder().state(&path).start().await.unwrap();
        assert_eq!(crm.snapshot().records.len(), 2);
        assert_eq!(crm.snapshot().applied, 3);
    }

    #[tokio::test]
    async fn a_file_that_is_no_state_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["my notes\nunfinished", "my notes"] {
            std::fs::write(&path, text).unwrap();
            let error = CrmStub::builder().state(&path).start().await.unwrap_err();
            assert!(error.to_string().contains("line 1"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn statuses_fail_as_often_as_ordered_and_apply_nothing() {
        let crm = failing("500:2")
            .fail("429".parse().unwrap())
            .start()
            .await
            .unwrap();
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(post(&crm, &record("a", 1)).await.0);
        }
        assert_eq!(statuses, [500, 500, 429, 201]);
        crm.fail("422:1".parse().unwrap());
        assert_eq!(post(&crm, &record("a", 2)).await.0, 422);
        assert_eq!(crm.snapshot().requests, 5);
    }

    #[tokio::test]
    async fn a_dropped_answer_was_applied() {
        let crm = failing("drop").start().await.unwrap();
        assert_eq!(post(&crm, &record("a", 1)).await, (0, String::new()));
        assert_eq!(crm.snapshot().applied, 1);
        assert_eq!(post(&crm, &record("a", 1)).await.0, 200);
    }

    #[tokio::test]
    async fn pages_and_garbage_apply_nothing() {
        let crm = failing("html")
            .fail("garbage".parse().unwrap())
            .start()
            .await
            .unwrap();
        assert!(
            post(&crm, &record("a", 1))
                .await
                .1
                .starts_with("<!doctype html>")
        );
        assert!(post(&crm, &record("a", 1)).await.1.contains('\0'));
        assert_eq!(crm.snapshot().applied, 0);
    }

    #[tokio::test]
    async fn dropping_the_stub_ends_even_what_never_answers() {
        let crm = failing("timeout").start().await.unwrap();
        let mut stream = TcpStream::connect(crm.addr()).await.unwrap();
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            .await
            .unwrap();
        while crm.snapshot().requests == 0 {
            tokio::task::yield_now().await;
        }
        drop(crm);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 503"));
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        let error = CrmStub::builder()
            .bind("0.0.0.0:0".parse().unwrap())
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn unknown_failures_name_the_known_ones() {
        assert!(
            "teapot:1"
                .parse::<Failure>()
                .unwrap_err()
                .contains("drop, partial")
        );
        assert!(
            "500:many"
                .parse::<Failure>()
                .unwrap_err()
                .contains("number of requests")
        );
    }
}
