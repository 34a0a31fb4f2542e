//! Employee check-ins of Frappe HRMS, formerly part of `ERPNext`.
//!
//! A check-in is found again by its name, which is our remote id. Frappe knows no idempotency keys, but takes no second
//! check-in of the same employee, time and direction, and says so; then its name is looked up.

use serde_json::{Value, json};
use url::Url;

use super::{optional, text};
use crate::address::below;
use crate::answer::{Answer, Verdict, remote_id_at, shorten, single};
use crate::http::Http;
use crate::plan::Ending;
use crate::request::Request;
use crate::{Entry, Error, Outcome};

const DOCTYPE: &str = "Employee Checkin";
const DUPLICATE: &str = "already has a log with the same timestamp";

/// How check-ins are made.
///
/// A correction takes the earlier check-in away by its name, the remote id, whatever employee, time or terminal it was
/// under. Where no answer ever told the name, or that check-in is gone, it is looked for under the employee and time of
/// the correction and of its [earlier revisions](Entry::with_earlier), and the terminal's serial number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrappeOptions {
    /// The whitelisted method. That of HRMS by default; before version 14 it was
    /// `erpnext.hr.doctype.employee_checkin.employee_checkin.add_log_based_on_employee_field`.
    pub method: String,
    /// The field of the Employee that holds our employee id; `attendance_device_id` by default.
    pub employee_field: String,
    /// Keep the check-ins out of Frappe's own attendance.
    pub skip_auto_attendance: bool,
}

impl Default for FrappeOptions {
    fn default() -> Self {
        Self {
            method:
                "hrms.hr.doctype.employee_checkin.employee_checkin.add_log_based_on_employee_field"
                    .to_owned(),
            employee_field: "attendance_device_id".to_owned(),
            skip_auto_attendance: false,
        }
    }
}

/// A site, with what it takes to ask it.
#[derive(Clone, Copy)]
pub(crate) struct Frappe<'a> {
    pub(crate) options: &'a FrappeOptions,
    pub(crate) url: &'a Url,
    pub(crate) scheme: &'a str,
    pub(crate) secret: &'a str,
}

impl Frappe<'_> {
    /// The requests for one entry, if all goes well.
    pub(crate) fn preview(self, entry: &Entry) -> Vec<Result<Request, String>> {
        let removal = match entry.prior_remote_id() {
            Some(name) => Some(self.remove(name)),
            None if entry.deleted() || entry.revision() > 1 => match self.find_employee(entry) {
                Ok(request) => Some(request),
                Err(why) => return vec![Err(why)],
            },
            None => None,
        };
        let insertion = (!entry.deleted()).then(|| self.insert(entry));
        removal.map(Ok).into_iter().chain(insertion).collect()
    }

    /// What became of one entry.
    pub(crate) async fn deliver(self, http: &Http, entry: &Entry) -> Ending {
        match self.try_to_deliver(http, entry).await {
            Ok(outcome) => Ending::Judged(Verdict::Done(vec![outcome])),
            Err(ending) => ending,
        }
    }

    /// A correction takes the old check-in away before it brings the new: Frappe would take the new for a duplicate, or
    /// keep both. If the second half fails, the next attempt finds the first one done.
    async fn try_to_deliver(self, http: &Http, entry: &Entry) -> Result<Outcome, Ending> {
        let insertion = self.insert(entry).map_err(Ending::rejected)?;
        let removed = self.take_away(http, entry).await.map_err(of_this_entry)?;
        if entry.deleted() {
            return Ok(if removed {
                Outcome::Accepted { remote_id: None }
            } else {
                Outcome::AlreadyKnown
            });
        }
        let answer = ask(http, &insertion).await?;
        if is_success(&answer) {
            // A web page is none, and `single` knows.
            let outcome = single(&answer, self.secret).map_err(Ending::Failed)?;
            let name = answer
                .json()
                .and_then(|json| remote_id_at(&json, "/message/name"));
            return Ok(match outcome {
                Outcome::Accepted { remote_id } => Outcome::Accepted {
                    remote_id: name.or(remote_id),
                },
                outcome => outcome,
            });
        }
        let said = Said::of(&answer);
        if said.words.contains(DUPLICATE) {
            return self.known(http, entry).await;
        }
        let refusal = self.refusal(&answer);
        if !said.is_in_unknown_words() || !refusal.is_rejection() {
            return Err(refusal);
        }
        // A site in another language has other words for it; what it holds is the same in all.
        match self.find(http, entry, false).await {
            Ok(Some(_)) => self.known(http, entry).await,
            Err(lost @ (Ending::NotConnected { .. } | Ending::NoAnswer { .. })) => Err(lost),
            Ok(None) | Err(_) => Err(refusal),
        }
    }

    /// Of a check-in that is there already: its name, by which the next correction takes it away, if it is ours. What a
    /// human or another system entered has none for us, and who may only insert never learns it.
    async fn known(self, http: &Http, entry: &Entry) -> Result<Outcome, Ending> {
        match self.find(http, entry, true).await {
            Ok(Some(name)) => Ok(Outcome::Accepted {
                remote_id: Some(name),
            }),
            Ok(None) | Err(Ending::Failed(Error::Unauthorised { .. } | Error::NotHere { .. })) => {
                Ok(Outcome::AlreadyKnown)
            }
            Err(ending) if ending.is_rejection() => Ok(Outcome::AlreadyKnown),
            Err(ending) => Err(ending),
        }
    }

    /// Whether an earlier revision was there, and is no more.
    async fn take_away(self, http: &Http, entry: &Entry) -> Result<bool, Ending> {
        if let Some(name) = entry.prior_remote_id()
            && self.take_away_named(http, name).await?
        {
            return Ok(true);
        }
        // The answer that told the name was lost, or that of a correction which got as far as taking this one away.
        let mut removed = false;
        if entry.deleted() || entry.revision() > 1 {
            for sought in [entry].into_iter().chain(entry.earlier()) {
                if let Some(name) = self.find(http, sought, true).await? {
                    removed |= self.take_away_named(http, &name).await?;
                }
            }
        }
        Ok(removed)
    }

    async fn take_away_named(self, http: &Http, name: &str) -> Result<bool, Ending> {
        let answer = ask(http, &self.remove(name)).await?;
        if is_success(&answer) {
            single(&answer, self.secret).map_err(Ending::Failed)?;
            return Ok(true);
        }
        // A 404 of any other kind is a wrong address, not a check-in that is gone.
        if Said::of(&answer).exception == "DoesNotExistError" {
            return Ok(false);
        }
        Err(self.refusal(&answer))
    }

    /// The name of the check-in of this employee, time and (if `ours`) terminal.
    async fn find(self, http: &Http, entry: &Entry, ours: bool) -> Result<Option<String>, Ending> {
        let request = self.find_employee(entry).map_err(Ending::rejected)?;
        let Some(employee) = self.first(http, &request).await? else {
            return Ok(None);
        };
        let time = text(entry, "time").map_err(Ending::rejected)?;
        let mut filters = vec![
            json!(["employee", "=", employee]),
            json!(["time", "=", time]),
        ];
        if ours {
            // An earlier revision may have been sent before the terminal's serial number was known.
            let devices: Vec<_> = devices(entry).collect();
            filters.push(match devices[..] {
                [] => json!(["device_id", "is", "not set"]),
                _ => json!(["device_id", "in", devices]),
            });
        } else if let Some(direction) = log_type(entry) {
            filters.push(json!(["log_type", "=", direction]));
        }
        self.first(http, &self.list(DOCTYPE, &filters)).await
    }

    async fn first(self, http: &Http, request: &Request) -> Result<Option<String>, Ending> {
        let answer = ask(http, request).await?;
        if !is_success(&answer) {
            return Err(self.refusal(&answer));
        }
        single(&answer, self.secret).map_err(Ending::Failed)?;
        let json = answer.json().unwrap_or_default();
        Ok(remote_id_at(&json, "/data/0/name"))
    }

    fn insert(self, entry: &Entry) -> Result<Request, String> {
        let body = json!({
            "employee_field_value": text(entry, "user_id")?,
            "employee_fieldname": self.options.employee_field,
            "timestamp": text(entry, "time")?,
            "device_id": devices(entry).next(),
            "log_type": log_type(entry),
            "skip_auto_attendance": u8::from(self.options.skip_auto_attendance),
        });
        let url = below(self.url, &["api", "method", &self.options.method]);
        Ok(self.authorised(
            Request::post_json(url, &body).header("idempotency-key", entry.key().as_str()),
        ))
    }

    fn remove(self, name: &str) -> Request {
        let url = below(self.url, &["api", "resource", DOCTYPE, name]);
        self.authorised(Request::bare("DELETE", url))
    }

    fn find_employee(self, entry: &Entry) -> Result<Request, String> {
        let id = text(entry, "user_id")?;
        Ok(self.list("Employee", &[json!([self.options.employee_field, "=", id])]))
    }

    fn list(self, doctype: &str, filters: &[Value]) -> Request {
        let mut url = below(self.url, &["api", "resource", doctype]);
        url.query_pairs_mut()
            .append_pair("filters", &json!(filters).to_string())
            .append_pair("fields", r#"["name"]"#)
            .append_pair("limit_page_length", "1");
        self.authorised(Request::bare("GET", url))
    }

    /// Asks who we are, which every user may.
    pub(crate) fn check(self) -> Request {
        let url = below(self.url, &["api", "method", "frappe.auth.get_logged_user"]);
        self.authorised(Request::bare("GET", url))
    }

    fn authorised(self, request: Request) -> Request {
        request.authorised(self.scheme, self.secret)
    }

    /// What a refusal means, in the words that Frappe hides in several places.
    fn refusal(self, answer: &Answer) -> Ending {
        let Answer { status, .. } = *answer;
        let said = Said::of(answer);
        let words = Some(shorten(&said.words, self.secret)).filter(|words| !words.is_empty());
        match said.exception.as_str() {
            "AuthenticationError" | "SessionExpired" | "PermissionError" => {
                return Ending::Failed(Error::Unauthorised { status, words });
            }
            "AppNotInstalledError" => return Ending::Failed(Error::NotHere { status }),
            _ if said.words.contains("Failed to get method for command") => {
                return Ending::Failed(Error::NotHere { status });
            }
            _ => {}
        }
        // Frappe gives these the status of a mistake of ours.
        let passing = [
            "QueryDeadlockError",
            "QueryTimeoutError",
            "TimestampMismatchError",
            "InReadOnlyMode",
            "SessionStopped",
            "TooManyRequestsError",
            "RateLimitExceededError",
            "DuplicateEntryError",
        ]
        .contains(&said.exception.as_str());
        let reason = answer.reason(words, self.secret);
        // A 409 is a race for the next name, not a check-in that is known.
        if passing || status == 409 {
            let after = None;
            let quiet = false;
            return Ending::Judged(Verdict::Wait {
                after,
                quiet,
                reason,
            });
        }
        match single(answer, self.secret) {
            Err(error) => Ending::Failed(error),
            Ok(Outcome::Retry { after, reach, .. }) => Ending::Judged(Verdict::of(
                answer,
                Outcome::Retry {
                    after,
                    reach,
                    reason,
                },
            )),
            Ok(_) => Ending::rejected(reason),
        }
    }
}

/// Who may insert but neither read nor delete can still be told of all that is new: only the correction is refused.
fn of_this_entry(ending: Ending) -> Ending {
    match ending {
        Ending::Failed(Error::Unauthorised { status: 403, words }) => {
            let words = words.unwrap_or_else(|| "no permission".to_owned());
            Ending::rejected(format!("the target answered 403: {words}"))
        }
        ending => ending,
    }
}

async fn ask(http: &Http, request: &Request) -> Result<Answer, Ending> {
    let mut heard = None;
    let ending = Ending::of(http.send(request).await, |answer| {
        heard = Some(answer.clone());
        Ok(Verdict::Done(Vec::new()))
    });
    heard.ok_or(ending)
}

fn is_success(answer: &Answer) -> bool {
    (200..=299).contains(&answer.status)
}

/// The short texts by which the terminal can be told, the best first.
fn devices(entry: &Entry) -> impl Iterator<Item = &str> {
    ["device_serial", "device_name"]
        .into_iter()
        .filter_map(|name| optional(entry, name))
}

fn log_type(entry: &Entry) -> Option<&'static str> {
    match optional(entry, "kind")? {
        "in" | "break_in" | "ot_in" => Some("IN"),
        "out" | "break_out" | "ot_out" => Some("OUT"),
        _ => None,
    }
}

/// An error of Frappe: the class of its exception and its words.
struct Said {
    exception: String,
    words: String,
}

impl Said {
    fn of(answer: &Answer) -> Self {
        let json = answer.json().unwrap_or_default();
        let told = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
        // "frappe.exceptions.ValidationError: This employee …"
        let (class, after_class) = told("exception").split_once(": ").unwrap_or_default();
        let exception = match told("exc_type") {
            "" => class.rsplit('.').next().unwrap_or_default(),
            class => class,
        };
        let words = [
            server_messages(told("_server_messages")),
            told("_error_message").to_owned(),
            after_class.to_owned(),
            last_line(told("exc")),
            told("message").to_owned(),
        ]
        .into_iter()
        .map(|words| without_tags(&words))
        .find(|words| !words.trim().is_empty())
        .unwrap_or_default();
        Self {
            exception: exception.to_owned(),
            words,
        }
    }

    fn is_in_unknown_words(&self) -> bool {
        self.exception == "ValidationError"
            && !self.words.contains("No Employee found")
            && !self.words.contains("Inactive Employee")
    }
}

/// `"[\"{\\\"message\\\": \\\"…\\\"}\"]"`: a JSON text of a list of JSON texts.
fn server_messages(text: &str) -> String {
    let messages: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let words: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(inner) => Some(inner.get("message")?.as_str()?.to_owned()),
                Err(_) => Some(text.clone()),
            },
            inner => Some(inner.get("message")?.as_str()?.to_owned()),
        })
        .collect();
    words.join(" ")
}

/// `"[\"Traceback …\\nfrappe.exceptions.X: words\\n\"]"`: only the last line says what happened.
fn last_line(text: &str) -> String {
    let traces: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    traces
        .first()
        .and_then(|trace| trace.trim_end().lines().last())
        .unwrap_or_default()
        .to_owned()
}

/// In one pass: a tag holds no other, so no letter is looked at more than twice.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let end = after.find(['<', '>']);
        match end.map(|end| (&after[..end], &after[end..])) {
            // "5 < 6" is no tag.
            Some((tag, after))
                if after.starts_with('>')
                    && tag.starts_with(|letter: char| letter.is_alphabetic() || letter == '/') =>
            {
                text.push(' ');
                rest = &after[1..];
            }
            _ => {
                text.push('<');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Said, without_tags};
    use crate::plan::Answer;

    proptest! {
        /// What is no markup comes through whole, wherever it was hidden, and nothing is too odd to be read.
        #[test]
        fn any_words_come_through(words in "[^<]*[a-z][^<]*", junk in any::<Vec<u8>>()) {
            let message = json!({"message": words}).to_string();
            let hidden = json!({"_server_messages": json!([message]).to_string()}).to_string();
            prop_assert_eq!(said(&hidden).1, words);
            let odd = Answer { status: 417, body: junk, ..Answer::default() };
            prop_assert_eq!(Said::of(&odd).exception, "");
        }
    }

    fn said(body: &str) -> (String, String) {
        let answer = Answer {
            status: 417,
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        };
        let said = Said::of(&answer);
        (said.exception, said.words)
    }

    #[test]
    fn words_are_found_wherever_frappe_hides_them() {
        let messages = r#"{"exc_type":"ValidationError","_server_messages":"[\"{\\\"message\\\": \\\"Not <b>so</b>\\\", \\\"title\\\": \\\"Message\\\"}\"]"}"#;
        assert_eq!(
            said(messages),
            ("ValidationError".into(), "Not  so ".into())
        );
        let exception = r#"{"exception":"frappe.exceptions.InvalidStatusError: Not so: no"}"#;
        assert_eq!(
            said(exception),
            ("InvalidStatusError".into(), "Not so: no".into())
        );
        let trace = r#"{"exc_type":"X","exc":"[\"Traceback (most recent call last):\\n  File\\nx.X: Not so\\n\"]"}"#;
        assert_eq!(said(trace), ("X".into(), "x.X: Not so".into()));
        assert_eq!(said(r#"{"_server_messages":"[\"plain\"]"}"#).1, "plain");
        for nothing in [
            "",
            "[]",
            "{",
            r#"{"_server_messages":"[1, {}, null]","exc":"no list"}"#,
        ] {
            assert_eq!(said(nothing), (String::new(), String::new()), "{nothing}");
        }
    }

    #[test]
    fn tags_go_and_comparisons_stay() {
        assert_eq!(without_tags("a<br>b</b> 5 < 6 > 4 <"), "a b  5 < 6 > 4 <");
        assert_eq!(without_tags("<a <b>c"), "<a  c");
    }

    #[test]
    fn a_body_of_brackets_is_read_in_one_pass() {
        for body in ["<".repeat(1 << 20), "<a".repeat(1 << 19)] {
            assert_eq!(without_tags(&body), body);
            let closed = format!("{body}>");
            assert!(without_tags(&closed).len() >= body.len() - 1);
            let message = json!({"_error_message": body});
            assert_eq!(said(&message.to_string()).1, body);
        }
    }
}
