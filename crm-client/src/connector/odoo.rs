//! `hr.attendance` of Odoo, over JSON-RPC; Odoo calls it deprecated since version 19 and will remove it with 22 (2028).
//!
//! Odoo knows no idempotency keys. A session is the same one if employee and check-in are, so before anything is created
//! the push asks which of its sessions are there already. Requests go one after the other, removals first and then by
//! time: Odoo refuses sessions that overlap, and a second open one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use url::Url;

use super::text;
use crate::address::below;
use crate::answer::{Answer, Verdict, shorten, single};
use crate::http::Http;
use crate::plan::Ending;
use crate::request::Request;
use crate::{Entry, Error, Outcome, time};

/// Ids in one question at most.
const CHUNK: usize = 500;

/// Who we are at Odoo, and how employees are found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OdooOptions {
    /// The database.
    pub database: String,
    /// The user's login; the token is its password or, better, an API key.
    pub login: String,
    /// The field of `hr.employee` that holds our employee id: `barcode` (the badge, by default), `pin`,
    /// `identification_id` …
    pub employee_field: String,
}

impl OdooOptions {
    /// Employees by their badge.
    pub fn new(database: impl Into<String>, login: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            login: login.into(),
            employee_field: "barcode".to_owned(),
        }
    }
}

/// The number of the user, once it is known.
#[derive(Clone, Default)]
pub(crate) struct Login(Arc<Mutex<Option<u64>>>);

impl Login {
    fn get(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, uid: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = uid;
    }
}

/// A database, with what it takes to ask it.
#[derive(Clone, Copy)]
pub(crate) struct Odoo<'a> {
    pub(crate) options: &'a OdooOptions,
    pub(crate) url: &'a Url,
    pub(crate) secret: &'a str,
    pub(crate) login: &'a Login,
}

/// What a push has looked up.
#[derive(Default)]
pub(crate) struct Book {
    employees: HashMap<String, Vec<u64>>,
    /// By employee and check-in: id and check-out.
    sessions: BTreeMap<(u64, String), (u64, Value)>,
}

/// An error that Odoo tells in an answer with status 200.
struct Fault {
    /// `odoo.exceptions.ValidationError` …
    name: String,
    code: i64,
    words: String,
}

enum Trouble {
    /// No answer of Odoo's.
    Ended(Ending),
    Fault(Fault),
}

impl Odoo<'_> {
    /// Removals, then what ends or moves a session, then new ones; each by time.
    pub(crate) fn order(entries: &[Entry]) -> Vec<usize> {
        let rank = |entry: &Entry| match (entry.deleted(), entry.prior_remote_id()) {
            (true, _) => 0,
            (false, Some(_)) => 1,
            (false, None) => 2,
        };
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_cached_key(|&index| {
            let entry = &entries[index];
            (rank(entry), instant(entry, "check_in").ok())
        });
        order
    }

    /// The requests of a push; `<…>` stands for what only Odoo can tell.
    pub(crate) fn preview(self, entries: &[Entry]) -> Vec<Result<Request, String>> {
        let uid = json!("<uid>");
        let mut requests = vec![Ok(self.authenticate())];
        let ids = ids_of(entries);
        if !ids.is_empty() {
            requests.push(Ok(
                self.execute(&uid, &self.find_employees(&ids.iter().collect::<Vec<_>>()))
            ));
        }
        for index in Self::order(entries) {
            let entry = &entries[index];
            let employee = text(entry, "user_id").map(|id| json!(format!("<employee {id}>")));
            requests.push(employee.and_then(|employee| {
                let id = json!(remote_id(entry).map_or_else(|| json!("<id>"), Value::from));
                let call = match (entry.deleted(), remote_id(entry)) {
                    (true, _) => Call::unlink(&id),
                    (false, Some(_)) => Call::write(&id, &values(entry, &employee)?),
                    (false, None) => Call::create(&values(entry, &employee)?),
                };
                Ok(self.execute(&uid, &call))
            }));
        }
        requests
    }

    /// Looks up what the push needs to know.
    pub(crate) async fn open(self, http: &Http, entries: &[Entry]) -> Result<Book, Ending> {
        let mut book = Book::default();
        let ids: Vec<String> = ids_of(entries).into_iter().collect();
        for ids in ids.chunks(CHUNK) {
            let call = self.find_employees(&ids.iter().collect::<Vec<_>>());
            let rows = self.rows(http, &call).await?;
            for row in &rows {
                let field = match row.get(&self.options.employee_field) {
                    Some(Value::String(field)) => field.clone(),
                    Some(field) => field.to_string(),
                    None => continue,
                };
                if let Some(id) = row.get("id").and_then(Value::as_u64) {
                    book.employees.entry(field).or_default().push(id);
                }
            }
        }
        let sought: Vec<(u64, String)> = entries
            .iter()
            .filter(|entry| remote_id(entry).is_none())
            .filter_map(|entry| {
                let employee = book.employee(entry, self).ok()?;
                Some((employee, instant(entry, "check_in").ok()?))
            })
            .collect();
        for sought in sought.chunks(CHUNK) {
            let employees: BTreeSet<u64> = sought.iter().map(|(employee, _)| *employee).collect();
            let times: BTreeSet<&str> = sought.iter().map(|(_, time)| time.as_str()).collect();
            let call = Call {
                model: "hr.attendance",
                method: "search_read",
                arguments: json!([[["employee_id", "in", employees], ["check_in", "in", times]]]),
                fields: Some(json!(["employee_id", "check_in", "check_out"])),
            };
            for row in self.rows(http, &call).await? {
                // A reference is `[id, "name"]`.
                let employee = row.pointer("/employee_id/0").and_then(Value::as_u64);
                let check_in = row.get("check_in").and_then(Value::as_str);
                let id = row.get("id").and_then(Value::as_u64);
                if let (Some(employee), Some(check_in), Some(id)) = (employee, check_in, id) {
                    let check_out = row.get("check_out").cloned().unwrap_or_default();
                    book.sessions
                        .insert((employee, check_in.to_owned()), (id, check_out));
                }
            }
        }
        Ok(book)
    }

    /// What became of one entry.
    pub(crate) async fn deliver(self, http: &Http, book: &Book, entry: &Entry) -> Ending {
        match self.try_to_deliver(http, book, entry).await {
            Ok(outcome) => Ending::Judged(Verdict::Done(vec![outcome])),
            Err(Trouble::Ended(ending)) => ending,
            Err(Trouble::Fault(fault)) => self.refusal(&fault),
        }
    }

    async fn try_to_deliver(
        self,
        http: &Http,
        book: &Book,
        entry: &Entry,
    ) -> Result<Outcome, Trouble> {
        let refuse = |why: String| Trouble::Ended(Ending::rejected(why));
        let prior = remote_id(entry);
        if entry.deleted() {
            let known = match prior {
                Some(id) => Some(id),
                // Who was never known has no session either.
                None => book.session(entry, self).map(|(id, _)| *id),
            };
            let Some(id) = known else {
                return Ok(Outcome::AlreadyKnown);
            };
            return match self.call(http, &Call::unlink(&json!(id))).await {
                Ok(_) => Ok(Outcome::Accepted { remote_id: None }),
                Err(Trouble::Fault(fault)) if fault.is("MissingError") => Ok(Outcome::AlreadyKnown),
                Err(trouble) => Err(trouble),
            };
        }
        let employee = json!(book.employee(entry, self).map_err(refuse)?);
        let values = values(entry, &employee).map_err(refuse)?;
        let known = match (prior, book.session(entry, self)) {
            (Some(id), _) => Some(id),
            (None, Some((id, check_out))) if *check_out == values["check_out"] => {
                return Ok(accepted(*id));
            }
            (None, found) => found.map(|(id, _)| *id),
        };
        if let Some(id) = known {
            match self.call(http, &Call::write(&json!(id), &values)).await {
                Ok(_) => return Ok(accepted(id)),
                // Somebody deleted it at Odoo's side: it is made anew.
                Err(Trouble::Fault(fault)) if fault.is("MissingError") => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let made = self.call(http, &Call::create(&values)).await?;
        Ok(Outcome::Accepted {
            remote_id: made
                .as_u64()
                .or_else(|| made.get(0)?.as_u64())
                .map(|id| id.to_string()),
        })
    }

    /// Logs in anew, and asks for the two models that a push needs.
    pub(crate) async fn check(self, http: &Http) -> Result<(), Error> {
        self.login.set(None);
        let questions = [
            self.find_employees(&[&String::new()]),
            Call {
                model: "hr.attendance",
                method: "search_read",
                arguments: json!([[["id", "=", 0]]]),
                fields: Some(json!(["check_in"])),
            },
        ];
        for question in &questions {
            self.rows(http, question)
                .await
                .map_err(|ending| match ending {
                    Ending::Failed(error) => error,
                    Ending::NotConnected { reason } | Ending::NoAnswer { reason } => {
                        Error::Unreachable { reason }
                    }
                    Ending::Judged(verdict) => Error::Unreachable {
                        reason: verdict.into_reason(),
                    },
                })?;
        }
        Ok(())
    }

    fn find_employees(self, ids: &[&String]) -> Call {
        Call {
            model: "hr.employee",
            method: "search_read",
            arguments: json!([[[self.options.employee_field, "in", ids]]]),
            fields: Some(json!([self.options.employee_field])),
        }
    }

    async fn rows(self, http: &Http, call: &Call) -> Result<Vec<Value>, Ending> {
        match self.call(http, call).await {
            Ok(Value::Array(rows)) => Ok(rows),
            Ok(_) => Ok(Vec::new()),
            Err(Trouble::Ended(ending)) => Err(ending),
            Err(Trouble::Fault(fault)) => {
                let words = shorten(&fault.words, self.secret);
                Err(if fault.words.contains("Invalid field") {
                    Ending::Failed(Error::BadOption {
                        option: "employee_field",
                        reason: words,
                    })
                } else if fault.is("AccessError") || fault.is("AccessDenied") {
                    self.locked_out(&fault)
                } else if fault.words.contains("hr.attendance")
                    || fault.words.contains("hr.employee")
                {
                    // "Object hr.attendance doesn't exist": the app is not installed.
                    Ending::Failed(Error::NotHere { status: 200 })
                } else {
                    wait(format!("the target answered: {words}"))
                })
            }
        }
    }

    /// Calls a method of a model. A login that is no longer good is renewed once.
    async fn call(self, http: &Http, call: &Call) -> Result<Value, Trouble> {
        if let Some(uid) = self.login.get() {
            match self.rpc(http, &self.execute(&json!(uid), call)).await {
                Err(Trouble::Fault(fault)) if fault.wants_login() => self.login.set(None),
                other => return other,
            }
        }
        let uid = self.log_in(http).await?;
        match self.rpc(http, &self.execute(&json!(uid), call)).await {
            Err(Trouble::Fault(fault)) if fault.wants_login() => {
                self.login.set(None);
                Err(Trouble::Ended(self.locked_out(&fault)))
            }
            other => other,
        }
    }

    async fn log_in(self, http: &Http) -> Result<u64, Trouble> {
        let answer = self.rpc(http, &self.authenticate()).await;
        match answer {
            Ok(uid) => {
                let Some(uid) = uid.as_u64() else {
                    return Err(Trouble::Ended(Ending::Failed(Error::Unauthorised {
                        status: 200,
                        words: Some("the login or the API key is wrong".to_owned()),
                    })));
                };
                self.login.set(Some(uid));
                Ok(uid)
            }
            Err(Trouble::Fault(fault)) => {
                // A database that is not there is an error of PostgreSQL's, or a missing key.
                let wrong = fault.wants_login()
                    || fault.is("KeyError")
                    || fault.words.contains("does not exist");
                Err(Trouble::Ended(if wrong {
                    self.locked_out(&fault)
                } else {
                    wait(format!(
                        "the target answered: {}",
                        shorten(&fault.words, self.secret)
                    ))
                }))
            }
            Err(trouble) => Err(trouble),
        }
    }

    async fn rpc(self, http: &Http, request: &Request) -> Result<Value, Trouble> {
        let mut result = None;
        let ending = Ending::of(http.send(request).await, |answer| {
            result = Some(self.read(answer)?);
            Ok(Verdict::Done(Vec::new()))
        });
        match result {
            Some(result) => result,
            None => Err(Trouble::Ended(ending)),
        }
    }

    fn read(self, answer: &Answer) -> Result<Result<Value, Trouble>, Error> {
        if let Some(Value::Object(mut json)) = answer.json() {
            if let Some(error) = json.get("error") {
                return Ok(Err(Trouble::Fault(Fault::of(error))));
            }
            if json.contains_key("jsonrpc") {
                return Ok(Ok(json.remove("result").unwrap_or_default()));
            }
        }
        // Whatever this is, it is not Odoo.
        match single(answer, self.secret)? {
            Outcome::Retry {
                after,
                reach,
                reason,
            } => Ok(Err(Trouble::Ended(Ending::Judged(Verdict::of(
                answer,
                Outcome::Retry {
                    after,
                    reach,
                    reason,
                },
            ))))),
            _ => Err(Error::NotHere {
                status: answer.status,
            }),
        }
    }

    fn authenticate(self) -> Request {
        let OdooOptions {
            database, login, ..
        } = self.options;
        self.envelope(
            "common",
            "authenticate",
            &json!([database, login, self.secret, {}]),
        )
    }

    fn execute(self, uid: &Value, call: &Call) -> Request {
        // In English, so that refusals can be told apart.
        let mut options = json!({"context": {"lang": "en_US"}});
        if let Some(fields) = &call.fields {
            options["fields"] = fields.clone();
        }
        let arguments = json!([
            self.options.database,
            uid,
            self.secret,
            call.model,
            call.method,
            call.arguments,
            options
        ]);
        self.envelope("object", "execute_kw", &arguments)
    }

    fn envelope(self, service: &str, method: &str, arguments: &Value) -> Request {
        let body = json!({
            "jsonrpc": "2.0",
            "method": "call",
            "id": 1,
            "params": {"service": service, "method": method, "args": arguments},
        });
        Request::post_json(below(self.url, &["jsonrpc"]), &body)
    }

    fn locked_out(self, fault: &Fault) -> Ending {
        Ending::Failed(Error::Unauthorised {
            status: 200,
            words: Some(shorten(&fault.words, self.secret)).filter(|words| !words.is_empty()),
        })
    }

    /// What an error means for the entry that met it.
    fn refusal(self, fault: &Fault) -> Ending {
        // "You are not allowed to create 'Attendance' records" is about all we do; other denials are about this employee,
        // or about corrections.
        if fault.is("AccessError") && fault.words.starts_with("You are not allowed to create") {
            return self.locked_out(fault);
        }
        let reason = format!(
            "the target answered: {}",
            shorten(&fault.words, self.secret)
        );
        // Another session is in the way; its end or its removal may be queued behind this one.
        let in_the_way =
            fault.words.contains("checked out since") || fault.words.contains("already checked in");
        let final_word = [
            "ValidationError",
            "UserError",
            "AccessError",
            "MissingError",
            "RedirectWarning",
            "IntegrityError",
            "NotNullViolation",
            "UniqueViolation",
            "CheckViolation",
            "ValueError",
            "TypeError",
        ];
        if !in_the_way && final_word.iter().any(|name| fault.is(name)) {
            Ending::rejected(reason)
        } else {
            wait(reason)
        }
    }
}

impl Book {
    fn employee(&self, entry: &Entry, odoo: Odoo<'_>) -> Result<u64, String> {
        let id = text(entry, "user_id")?;
        let field = &odoo.options.employee_field;
        match self.employees.get(id).map_or(&[][..], Vec::as_slice) {
            [employee] => Ok(*employee),
            [] => Err(format!("no active employee at Odoo has the {field} {id:?}")),
            several => Err(format!(
                "{} employees at Odoo have the {field} {id:?}",
                several.len()
            )),
        }
    }

    fn session(&self, entry: &Entry, odoo: Odoo<'_>) -> Option<&(u64, Value)> {
        let employee = self.employee(entry, odoo).ok()?;
        let check_in = instant(entry, "check_in").ok()?;
        self.sessions.get(&(employee, check_in))
    }
}

struct Call {
    model: &'static str,
    method: &'static str,
    arguments: Value,
    fields: Option<Value>,
}

impl Call {
    fn attendance(method: &'static str, arguments: Value) -> Self {
        Self {
            model: "hr.attendance",
            method,
            arguments,
            fields: None,
        }
    }

    fn create(values: &Value) -> Self {
        Self::attendance("create", json!([values]))
    }

    fn write(id: &Value, values: &Value) -> Self {
        Self::attendance("write", json!([[id], values]))
    }

    fn unlink(id: &Value) -> Self {
        Self::attendance("unlink", json!([[id]]))
    }
}

impl Fault {
    /// `{"code", "message", "data": {"name", "message", "debug", …}}`
    fn of(error: &Value) -> Self {
        let told = |place: &str| {
            error
                .pointer(place)
                .and_then(Value::as_str)
                .filter(|text| !text.trim().is_empty())
        };
        Self {
            name: told("/data/name").unwrap_or_default().to_owned(),
            code: error
                .get("code")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            words: told("/data/message")
                .or_else(|| told("/message"))
                .unwrap_or("an error without words")
                .to_owned(),
        }
    }

    fn is(&self, class: &str) -> bool {
        self.name.rsplit('.').next() == Some(class)
    }

    fn wants_login(&self) -> bool {
        self.code == 100 || self.is("AccessDenied") || self.is("SessionExpiredException")
    }
}

fn wait(reason: String) -> Ending {
    Ending::Judged(Verdict::Wait {
        after: None,
        quiet: false,
        reason,
    })
}

fn accepted(id: u64) -> Outcome {
    Outcome::Accepted {
        remote_id: Some(id.to_string()),
    }
}

fn ids_of(entries: &[Entry]) -> BTreeSet<String> {
    entries
        .iter()
        .filter_map(|entry| text(entry, "user_id").ok())
        .map(str::to_owned)
        .collect()
}

fn remote_id(entry: &Entry) -> Option<u64> {
    entry.prior_remote_id()?.parse().ok()
}

fn instant(entry: &Entry, name: &str) -> Result<String, String> {
    let told = text(entry, name)?;
    time::naive_utc(told).ok_or_else(|| format!("the entry's {name:?} is no time with an offset"))
}

/// An open session has no check-out, which Odoo writes as `false`.
fn values(entry: &Entry, employee: &Value) -> Result<Value, String> {
    let check_out = match entry.content().get("check_out") {
        None | Some(Value::Null) => json!(false),
        Some(_) => json!(instant(entry, "check_out")?),
    };
    Ok(json!({
        "employee_id": employee,
        "check_in": instant(entry, "check_in")?,
        "check_out": check_out,
    }))
}
