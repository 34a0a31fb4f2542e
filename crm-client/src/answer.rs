//! What one HTTP answer means.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::slice;
use std::time::Duration;

use serde_json::Value;

use crate::{Entry, Error, Outcome, Reach, Reached};

/// No target can ask for more silence than this.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// How much of a target's words is kept, in characters.
const WORDS: usize = 300;
/// A longer remote id is none.
const REMOTE_ID: usize = 256;

/// An HTTP answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Retry-After`: seconds or a date.
    pub retry_after: Option<String>,
    /// `Date`: the target's own clock, against which a date in `Retry-After` is read.
    pub date: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// It is only the beginning.
    pub cut: bool,
}

/// What the answer to a [check](crate::Crm::check) means. `hidden` is a secret that must not come back in words.
///
/// ```
/// use crm_client::plan::{Answer, check};
///
/// assert!(check(&Answer { status: 405, ..Answer::default() }, "").is_ok());
/// assert_eq!(check(&Answer { status: 401, ..Answer::default() }, "").unwrap_err().kind(), "crm_unauthorised");
/// ```
pub fn check(answer: &Answer, hidden: &str) -> Result<Reached, Error> {
    let reached = Reached {
        status: answer.status,
        web_page: answer.is_web_page(),
        certificate_ends: None,
    };
    match answer.status {
        200..=299 | 405 => Ok(reached),
        404 => Err(Error::NotHere { status: 404 }),
        _ => match single(answer, hidden)? {
            Outcome::Accepted { .. } | Outcome::AlreadyKnown => Ok(reached),
            Outcome::Rejected { reason } | Outcome::Retry { reason, .. } => {
                Err(Error::Unreachable { reason })
            }
        },
    }
}

/// What the answer to a single entry means. `hidden` is a secret that must not come back in words.
///
/// ```
/// use crm_client::Outcome;
/// use crm_client::plan::{Answer, single};
///
/// let body = br#"{"message": "no such employee"}"#.to_vec();
/// let outcome = single(&Answer { status: 422, body, ..Answer::default() }, "")?;
/// assert_eq!(outcome, Outcome::Rejected { reason: "the target answered 422: no such employee".into() });
/// # Ok::<(), crm_client::Error>(())
/// ```
pub fn single(answer: &Answer, hidden: &str) -> Result<Outcome, Error> {
    let status = answer.status;
    let words = answer.words(hidden);
    let reason = || answer.reason(words.clone(), hidden);
    match status {
        200..=299 if answer.is_web_page() => Err(Error::WebPage { status }),
        200..=299 => Ok(accepted(answer.json().as_ref())),
        300..=399 => Err(Error::Moved {
            status,
            location: answer
                .location
                .as_deref()
                .map(|to| plain_address(to, hidden)),
        }),
        401 | 403 | 407 => Err(Error::Unauthorised { status, words }),
        405 | 406 | 415 => Err(Error::NotHere { status }),
        // Some interfaces say 404 of an unknown employee, and say so; a wrong address has nothing to add.
        404 | 410 if words.as_deref().is_none_or(says_only_not_found) => {
            Err(Error::NotHere { status })
        }
        409 => Ok(Outcome::AlreadyKnown),
        408 | 425 | 429 => Ok(Outcome::Retry {
            after: answer.wait(),
            reach: Reach::Answered,
            reason: reason(),
        }),
        400..=499 => Ok(Outcome::Rejected { reason: reason() }),
        _ => Ok(Outcome::Retry {
            after: answer.wait(),
            reach: Reach::Answered,
            reason: reason(),
        }),
    }
}

/// What is to become of a step.
pub(crate) enum Verdict {
    Done(Vec<Outcome>),
    Wait {
        after: Option<Duration>,
        /// The target asks to be left alone altogether.
        quiet: bool,
        reason: String,
    },
    Split,
    OneByOne,
}

impl Verdict {
    /// The verdict on a single entry.
    pub(crate) fn of(answer: &Answer, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Retry { after, reason, .. } => Self::Wait {
                after,
                quiet: answer.status == 429 || after.is_some(),
                reason,
            },
            outcome => Self::Done(vec![outcome]),
        }
    }

    /// Why it is not done.
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Wait { reason, .. } => reason,
            Self::Done(outcomes) => match outcomes.into_iter().next() {
                Some(Outcome::Rejected { reason } | Outcome::Retry { reason, .. }) => reason,
                _ => String::new(),
            },
            Self::Split | Self::OneByOne => String::new(),
        }
    }
}

/// What the answer to a batch means.
pub(crate) fn batch(answer: &Answer, entries: &[Entry], hidden: &str) -> Result<Verdict, Error> {
    let json = answer.json();
    let results = || results(json.as_ref()?, entries, hidden).map(Verdict::Done);
    match answer.status {
        404 | 405 | 406 | 410 | 415 | 501 => return Ok(Verdict::OneByOne),
        // One poisonous entry must not hold its neighbours, and this server does answer.
        500 => return Ok(results().unwrap_or(Verdict::Split)),
        _ => {}
    }
    Ok(match single(answer, hidden)? {
        taken @ (Outcome::Accepted { .. } | Outcome::AlreadyKnown)
            if (200..=299).contains(&answer.status) =>
        {
            let failures = || failures(json.as_ref()?, entries, hidden).map(Verdict::Done);
            match results().or_else(failures) {
                Some(done) => done,
                // The part that was not read may tell of refusals.
                None if answer.cut
                    || answer.status == 207
                    || json.as_ref().is_some_and(hints_at_refusals) =>
                {
                    Verdict::Split
                }
                // An id of several entries is that of none.
                None if entries.len() > 1 => {
                    Verdict::Done(vec![Outcome::Accepted { remote_id: None }; entries.len()])
                }
                None => Verdict::Done(vec![taken]),
            }
        }
        outcome @ Outcome::Retry { .. } => Verdict::of(answer, outcome),
        // Of a batch, 409 does not say which entries are known.
        _ => results().unwrap_or(Verdict::Split),
    })
}

/// What the answer to a batch of one means. Such a batch can be refused inside a success like any other, but there is
/// nothing left to split: what a larger batch would be split for is its refusal.
pub(crate) fn batch_of_one(answer: &Answer, entry: &Entry, hidden: &str) -> Result<Verdict, Error> {
    let outcome = match single(answer, hidden)? {
        _ if (200..=299).contains(&answer.status) => {
            match batch(answer, slice::from_ref(entry), hidden)? {
                Verdict::Split => Outcome::Rejected {
                    reason: answer.reason(None, hidden),
                },
                verdict => return Ok(verdict),
            }
        }
        outcome => outcome,
    };
    Ok(Verdict::of(answer, outcome))
}

/// `{"results":[{"idempotency_key", "status", "remote_id", "reason"}]}`: one per entry, found by key or by place.
fn results(json: &Value, entries: &[Entry], hidden: &str) -> Option<Vec<Outcome>> {
    let items = json.get("results")?.as_array()?;
    if items.len() > entries.len() {
        return None;
    }
    let mut keyed = HashMap::new();
    for item in items {
        if let Some(key) = item.get("idempotency_key").and_then(Value::as_str) {
            keyed.entry(key).or_insert(item);
        }
    }
    let by_key = |entry: &Entry| keyed.get(entry.key().as_str()).copied();
    let keyless = |item: &&Value| item.get("idempotency_key").is_none();
    let by_place = |index| {
        items
            .get(index)
            .filter(|_| items.len() == entries.len())
            .filter(keyless)
    };
    let outcomes = entries.iter().enumerate().map(|(index, entry)| {
        let item = by_key(entry).or_else(|| by_place(index))?;
        let reason = || {
            words_of(item).map_or_else(
                || "refused without a reason".to_owned(),
                |words| shorten(&words, hidden),
            )
        };
        Some(match item.get("status")? {
            Value::String(status) => match status.to_ascii_lowercase().as_str() {
                "accepted" | "applied" | "created" | "updated" | "ok" | "success" => {
                    accepted(Some(item))
                }
                "duplicate" | "already_known" | "known" => Outcome::AlreadyKnown,
                "rejected" | "refused" | "invalid" => Outcome::Rejected { reason: reason() },
                "retry" => Outcome::Retry {
                    after: None,
                    reach: Reach::Answered,
                    reason: reason(),
                },
                _ => return None,
            },
            Value::Number(status) => match status.as_u64()? {
                200..=299 => accepted(Some(item)),
                409 => Outcome::AlreadyKnown,
                408 | 425 | 429 | 500..=599 => Outcome::Retry {
                    after: None,
                    reach: Reach::Answered,
                    reason: reason(),
                },
                400..=499 => Outcome::Rejected { reason: reason() },
                _ => return None,
            },
            _ => return None,
        })
    });
    outcomes.collect()
}

/// The names under which targets list what they did not take.
const FAILURES: [&str; 4] = ["failed_records", "rejected", "errors", "failed"];

/// Failures are compared with no more entries than this, times the size of the batch: an answer is not ours, and must
/// not keep us busy.
const COMPARISONS: usize = 64;

/// `{"failed_records":[{"employee_id", "timestamp", "error"}]}`: all were taken but these, if it is plain which they
/// are: an item repeats what one entry said, and contradicts nothing that it said. Where it is not, the batch is sent in halves, and what was taken arrives once more.
fn failures(json: &Value, entries: &[Entry], hidden: &str) -> Option<Vec<Outcome>> {
    let items = FAILURES
        .into_iter()
        .find_map(|name| json.get(name)?.as_array().filter(|items| !items.is_empty()))?;
    let counted = json.get("failed").and_then(Value::as_u64);
    if counted.is_some_and(|count| count != items.len() as u64) {
        return None;
    }
    if items.len() > entries.len() {
        return None;
    }
    let said: Vec<_> = entries.iter().map(said).collect();
    let mut sayers: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (index, said) in said.iter().enumerate() {
        for (name, value) in said {
            sayers.entry((name, value)).or_default().push(index);
        }
    }
    let names: HashSet<&str> = sayers.keys().map(|(name, _)| *name).collect();
    let mut outcomes = vec![Outcome::Accepted { remote_id: None }; entries.len()];
    let mut comparisons = COMPARISONS * entries.len();
    for item in items {
        let told = told(item, &names);
        // Whoever is meant is among those who said the rarest of it.
        let sayers = told
            .iter()
            .filter_map(|(name, value)| sayers.get(&(*name, value.as_str())))
            .min_by_key(|sayers| sayers.len())?;
        comparisons = comparisons.checked_sub(sayers.len())?;
        let contradicts = |index: usize| {
            let differs = |(name, value): &(&str, String)| {
                said[index].get(name).is_some_and(|said| said != value)
            };
            told.iter().any(differs)
        };
        let mut meant = sayers.iter().filter(|index| !contradicts(**index));
        let (Some(&index), None) = (meant.next(), meant.next()) else {
            return None;
        };
        let reason = words_of(item).map_or_else(
            || "refused without a reason".to_owned(),
            |words| shorten(&words, hidden),
        );
        outcomes[index] = Outcome::Rejected { reason };
    }
    Some(outcomes)
}

/// What an entry said, under our names and those of the device formats.
fn said(entry: &Entry) -> BTreeMap<&str, String> {
    let content = |name: &str| entry.content().get(name).and_then(scalar);
    let (date, time) = content("time")
        .and_then(|time| {
            let (date, time) = time.split_once(' ')?;
            Some((date.to_owned(), time.to_owned()))
        })
        .unzip();
    let ours = entry.content().as_object().into_iter().flatten();
    let mut said: BTreeMap<_, _> = ours
        .filter_map(|(name, value)| Some((name.as_str(), scalar(value)?)))
        .collect();
    let others = [
        ("idempotency_key", Some(entry.key().to_string())),
        ("entry_id", Some(entry.entry_id().to_owned())),
        ("employee_id", content("user_id")),
        ("emp_no", content("user_id")),
        ("timestamp", content("time")),
        ("punch_date", date.clone()),
        ("punch_time", time),
        ("date", content("date").or(date)),
    ];
    said.extend(
        others
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    said
}

/// What an item repeats of things that entries say by these names.
fn told<'a>(item: &'a Value, names: &HashSet<&str>) -> Vec<(&'a str, String)> {
    let of_the_entry = |name: &str| match name {
        "status" | "reason" | "message" | "detail" | "error" | "errors" => false,
        // Of an export's record it is the second half, of ours the whole.
        "time" => item.get("timestamp").is_none(),
        _ => true,
    };
    item.as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| names.contains(name.as_str()) && of_the_entry(name))
        .filter_map(|(name, value)| Some((name.as_str(), scalar(value)?)))
        .collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A success that says, in some form of its own, that it is not a whole one.
fn hints_at_refusals(json: &Value) -> bool {
    let told = |name: &str| match json.get(name) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Number(count)) => count.as_u64() != Some(0),
        _ => false,
    };
    json.get("results").is_some() || FAILURES.into_iter().any(told)
}

pub(crate) fn accepted(json: Option<&Value>) -> Outcome {
    let Some(json) = json else {
        return Outcome::Accepted { remote_id: None };
    };
    if json.get("duplicate").and_then(Value::as_bool) == Some(true) {
        return Outcome::AlreadyKnown;
    }
    let id = ["/remote_id", "/id", "/data/id", "/data/name"]
        .into_iter()
        .find_map(|place| remote_id_at(json, place));
    Outcome::Accepted { remote_id: id }
}

/// The id at a JSON pointer; a number will do, a text that is no id will not.
pub(crate) fn remote_id_at(json: &Value, pointer: &str) -> Option<String> {
    let id = match json.pointer(pointer)? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    (!id.is_empty() && id.len() <= REMOTE_ID && !id.contains(char::is_control)).then_some(id)
}

impl Answer {
    /// By the body, not by the type alone: much of the world's PHP sends its JSON as `text/html`.
    pub(crate) fn is_web_page(&self) -> bool {
        let body = self
            .body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.body)
            .trim_ascii_start();
        let begins = |text: &str| {
            body.get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
        };
        let html = self.content_type.as_deref().is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or(kind).trim();
            kind.eq_ignore_ascii_case("text/html")
                || kind.eq_ignore_ascii_case("application/xhtml+xml")
        });
        begins("<!doctype html") || begins("<html") || (html && begins("<"))
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn wait(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            // Both instants are the target's, so it does not matter whether our clock agrees with its.
            let then = httpdate::parse_http_date(text).ok()?;
            let now = httpdate::parse_http_date(self.date.as_deref()?.trim()).ok()?;
            then.duration_since(now).unwrap_or_default()
        };
        Some(wait.min(LONGEST_WAIT))
    }

    /// A sentence about a refusal; of the target's words those given, else what it has to say.
    pub(crate) fn reason(&self, words: Option<String>, hidden: &str) -> String {
        let status = self.status;
        match words.or_else(|| self.words(hidden)) {
            Some(words) => format!("the target answered {status}: {words}"),
            None => format!("the target answered {status}"),
        }
    }

    /// The target's words: of JSON the telling field, of other text all, of a web page none.
    fn words(&self, hidden: &str) -> Option<String> {
        if self.is_web_page() {
            return None;
        }
        let words = match self.json() {
            Some(json) => words_of(&json).or_else(|| match &json {
                Value::Object(fields) if !fields.is_empty() => Some(json.to_string()),
                Value::Array(items) if !items.is_empty() => Some(json.to_string()),
                _ => None,
            }),
            None => Some(String::from_utf8_lossy(&self.body).into_owned()),
        };
        words
            .map(|words| shorten(&words, hidden))
            .filter(|words| !words.is_empty())
    }
}

fn words_of(json: &Value) -> Option<String> {
    if let Value::String(words) = json {
        return Some(words.clone());
    }
    [
        "message",
        "detail",
        "reason",
        "error",
        "error_description",
        "errors",
    ]
    .into_iter()
    .find_map(|name| match json.get(name)? {
        Value::String(words) if !words.trim().is_empty() => Some(words.clone()),
        Value::Object(inner) if !inner.is_empty() => {
            let message = inner.get("message").and_then(Value::as_str);
            Some(message.map_or_else(|| Value::Object(inner.clone()).to_string(), str::to_owned))
        }
        Value::Array(items) if !items.is_empty() => Some(Value::Array(items.clone()).to_string()),
        _ => None,
    })
}

/// The words of one JSON value, if it has any.
#[cfg(feature = "template")]
pub(crate) fn words_at(value: &Value, hidden: &str) -> Option<String> {
    let words = match value {
        Value::Null => return None,
        Value::String(words) => words.clone(),
        other => other.to_string(),
    };
    Some(shorten(&words, hidden)).filter(|words| !words.is_empty())
}

fn says_only_not_found(words: &str) -> bool {
    let words = words.trim_matches(|letter: char| !letter.is_alphanumeric());
    ["not found", "404 page not found", "404 not found", "404"]
        .into_iter()
        .any(|only| words.eq_ignore_ascii_case(only))
}

/// One line of bounded length without the secret. The secret goes first, else the cut could leave half of it.
pub(crate) fn shorten(text: &str, hidden: &str) -> String {
    let text = if hidden.is_empty() {
        text.to_owned()
    } else {
        text.replace(hidden, "[hidden]")
    };
    let gap = |letter: char| letter.is_whitespace() || letter.is_control();
    let line = text
        .split(gap)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(WORDS) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// An address without user, password, query and fragment.
fn plain_address(address: &str, hidden: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let address = &address[..end];
    let address = match (address.find("//"), address.rfind('@')) {
        (Some(slashes), Some(at)) if at > slashes => {
            format!("{}//{}", &address[..slashes], &address[at + 1..])
        }
        _ => address.to_owned(),
    };
    shorten(&address, hidden)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        }
    }

    fn accepted_as(id: &str) -> Outcome {
        Outcome::Accepted {
            remote_id: Some(id.to_owned()),
        }
    }

    fn reason(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Rejected { reason } | Outcome::Retry { reason, .. } => reason,
            other => panic!("{other:?} has no reason"),
        }
    }

    #[test]
    fn any_2xx_is_success_and_its_id_is_kept() {
        for status in [200, 201, 202, 203, 204, 206, 299] {
            assert_eq!(
                single(&answer(status, ""), ""),
                Ok(Outcome::Accepted { remote_id: None })
            );
        }
        assert_eq!(
            single(&answer(201, r#"{"id": 17}"#), ""),
            Ok(accepted_as("17"))
        );
        assert_eq!(
            single(&answer(201, r#"{"remote_id": "a", "id": 1}"#), ""),
            Ok(accepted_as("a"))
        );
        assert_eq!(
            single(&answer(201, r#"{"data": {"name": "CHK-1"}}"#), ""),
            Ok(accepted_as("CHK-1"))
        );
        assert_eq!(
            single(&answer(200, r#"{"duplicate": true, "id": 1}"#), ""),
            Ok(Outcome::AlreadyKnown)
        );
        assert_eq!(
            single(&answer(200, "\0\u{1}garbage"), ""),
            Ok(Outcome::Accepted { remote_id: None })
        );
        let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(1000));
        assert_eq!(
            single(&answer(200, &long), ""),
            Ok(Outcome::Accepted { remote_id: None })
        );
    }

    #[test]
    fn a_web_page_is_never_a_success() {
        let html = |kind: &str, body: &str| Answer {
            content_type: Some(kind.into()),
            ..answer(200, body)
        };
        for page in [
            html("text/html; charset=utf-8", "<div>Login</div>"),
            html("Text/HTML", "<br />\n<b>Warning</b>"),
            html("application/json", " \n<!DOCTYPE html><title>x</title>"),
            html("text/plain", "\u{feff}<HTML>"),
        ] {
            assert_eq!(single(&page, ""), Err(Error::WebPage { status: 200 }));
            assert_eq!(check(&page, "").map(|reached| reached.web_page), Ok(true));
        }
        // PHP's default type over honest JSON, and a bare OK.
        assert_eq!(
            single(&html("text/html", r#"{"id":"5"}"#), ""),
            Ok(accepted_as("5"))
        );
        assert_eq!(
            single(&html("text/html", "OK"), ""),
            Ok(Outcome::Accepted { remote_id: None })
        );
        assert_eq!(
            single(&html("text/html", ""), ""),
            Ok(Outcome::Accepted { remote_id: None })
        );
    }

    #[test]
    fn refusals_carry_the_targets_words_on_one_line() {
        for (body, words) in [
            (
                r#"{"message": "no such employee"}"#,
                "422: no such employee",
            ),
            (r#"{"detail": "bad\n\tdate\u0000"}"#, "422: bad date"),
            (
                r#"{"error": {"code": 5, "message": "locked"}}"#,
                "422: locked",
            ),
            (
                r#"{"errors": [{"field": "date"}]}"#,
                r#"422: [{"field":"date"}]"#,
            ),
            (r#"{"date": ["required"]}"#, r#"422: {"date":["required"]}"#),
            ("plain words", "422: plain words"),
            ("<html><b>page</b>", "422"),
            ("", "422"),
        ] {
            let outcome = single(&answer(422, body), "").unwrap();
            assert!(matches!(outcome, Outcome::Rejected { .. }));
            assert_eq!(reason(&outcome), format!("the target answered {words}"));
        }
    }

    #[test]
    fn long_words_are_cut_and_secrets_hidden_before_the_cut() {
        let echo = format!("{}{}", "x".repeat(WORDS - 3), "secret-token");
        let outcome = single(&answer(400, &echo), "secret-token").unwrap();
        assert!(!reason(&outcome).contains("sec"));
        assert!(reason(&outcome).chars().count() < WORDS + 40);
        let error = single(
            &answer(401, r#"{"detail":"token secret-token expired"}"#),
            "secret-token",
        )
        .unwrap_err();
        assert_eq!(
            error,
            Error::Unauthorised {
                status: 401,
                words: Some("token [hidden] expired".into())
            }
        );
    }

    #[test]
    fn what_concerns_the_target_is_an_error() {
        for status in [401, 403, 407] {
            assert!(matches!(
                single(&answer(status, ""), ""),
                Err(Error::Unauthorised { .. })
            ));
        }
        for status in [404, 405, 406, 410, 415] {
            assert_eq!(
                single(&answer(status, ""), ""),
                Err(Error::NotHere { status })
            );
        }
        for status in [300, 301, 302, 304, 307, 308] {
            assert!(matches!(
                single(&answer(status, ""), ""),
                Err(Error::Moved { .. })
            ));
        }
    }

    #[test]
    fn a_404_with_nothing_to_add_is_a_wrong_address_and_one_with_words_a_refusal() {
        for body in [
            "",
            "404 page not found\n",
            r#"{"detail":"Not found."}"#,
            "<html>nope</html>",
        ] {
            assert_eq!(
                single(&answer(404, body), ""),
                Err(Error::NotHere { status: 404 })
            );
        }
        let unknown = single(&answer(404, r#"{"message":"Employee 17 not found"}"#), "").unwrap();
        assert_eq!(
            reason(&unknown),
            "the target answered 404: Employee 17 not found"
        );
    }

    #[test]
    fn a_redirect_tells_where_to_without_secrets() {
        let moved = Answer {
            location: Some("https://u:p@crm.example/api/?token=x#y".into()),
            ..answer(301, "")
        };
        let location = Some("https://crm.example/api/".to_owned());
        assert_eq!(
            single(&moved, ""),
            Err(Error::Moved {
                status: 301,
                location
            })
        );
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_against_the_targets_own_clock() {
        let wait = |retry_after: &str, date: Option<&str>| {
            let answer = Answer {
                retry_after: Some(retry_after.into()),
                date: date.map(str::to_owned),
                ..answer(429, "")
            };
            match single(&answer, "") {
                Ok(Outcome::Retry { after, .. }) => after.map(|after| after.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        let date = Some("Mon, 02 Mar 2026 08:00:00 GMT");
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("Mon, 02 Mar 2026 08:02:00 GMT", date), Some(120));
        assert_eq!(wait("Mon, 02 Mar 2026 07:00:00 GMT", date), Some(0));
        assert_eq!(wait("Mon, 02 Mar 2026 08:02:00 GMT", None), None);
        assert_eq!(wait("99999999999", None), Some(86_400));
        assert_eq!(wait("Sun, 02 Mar 2036 08:00:00 GMT", date), Some(86_400));
        assert_eq!(wait("soon", date), None);
        assert_eq!(wait("-5", date), None);
    }

    #[test]
    fn trouble_at_the_target_is_tried_again() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599, 600] {
            assert!(matches!(
                single(&answer(status, ""), ""),
                Ok(Outcome::Retry { after: None, .. })
            ));
        }
        assert_eq!(single(&answer(409, ""), ""), Ok(Outcome::AlreadyKnown));
    }

    fn told_of(count: usize) -> Vec<Entry> {
        (0..count)
            .map(|user| {
                let content = json!({"user_id": user.to_string(), "time": "2026-03-02 08:01:10"});
                Entry::new("t", user.to_string(), 1, false, content)
            })
            .collect()
    }

    #[test]
    fn a_batch_of_one_is_refused_like_a_larger_one() {
        let entry = &told_of(1)[0];
        let verdict = |status, body: Value| {
            let verdict = batch_of_one(&answer(status, &body.to_string()), entry, "");
            match verdict.unwrap() {
                Verdict::Done(outcomes) => outcomes,
                _ => panic!("a single entry cannot be split"),
            }
        };
        let key = entry.key().as_str();
        for refused in [
            json!({"failed": 1, "failed_records": [{"employee_id": "0", "error": "no such employee"}]}),
            json!({"results": [{"idempotency_key": key, "status": "rejected"}]}),
            json!({"results": [{"status": 422}]}),
            // What would split a larger batch: nobody can say that it was taken.
            json!({"failed": 1}),
            json!({"failed_records": [{"employee_id": "9"}]}),
            json!({"results": [{"status": "odd"}]}),
            json!({"results": [{"status": "ok"}, {"status": "ok"}]}),
        ] {
            let outcomes = verdict(200, refused.clone());
            assert!(
                matches!(outcomes[..], [Outcome::Rejected { .. }]),
                "{refused}: {outcomes:?}"
            );
        }
        assert!(matches!(
            verdict(207, json!({}))[..],
            [Outcome::Rejected { .. }]
        ));
        let with_id = json!({"results": [{"idempotency_key": key, "status": "ok", "id": 5}]});
        assert_eq!(verdict(200, with_id), [accepted_as("5")]);
        assert_eq!(verdict(201, json!({"id": 6})), [accepted_as("6")]);
        assert_eq!(
            verdict(200, json!({"duplicate": true})),
            [Outcome::AlreadyKnown]
        );
        assert_eq!(verdict(409, json!({})), [Outcome::AlreadyKnown]);
        assert!(batch_of_one(&answer(404, ""), entry, "").is_err());
    }

    /// Ten thousand entries and as many items: read at once, or not at all.
    #[test]
    fn long_lists_are_found_by_index() {
        let entries = told_of(10_000);
        let items = |item: &dyn Fn(&Entry) -> Value| entries.iter().rev().map(item).collect();
        let listed: Value =
            items(&|entry| json!({"idempotency_key": entry.key().as_str(), "status": "rejected"}));
        let refused = |reason: &str| {
            let reason = reason.to_owned();
            Some(vec![Outcome::Rejected { reason }; entries.len()])
        };
        let unsaid = "refused without a reason";
        assert_eq!(
            results(&json!({"results": listed}), &entries, ""),
            refused(unsaid)
        );
        let failed: Value = items(
            &|entry| json!({"employee_id": entry.entry_id(), "timestamp": "2026-03-02 08:01:10", "error": "no"}),
        );
        assert_eq!(
            failures(&json!({"failed_records": failed}), &entries, ""),
            refused("no")
        );
        let hostile: Value =
            items(&|_| json!({"timestamp": "2026-03-02 08:01:10", "employee_id": "x"}));
        assert_eq!(
            failures(&json!({"failed_records": hostile}), &entries, ""),
            None
        );
        // More items than entries are about something else.
        assert_eq!(
            failures(&json!({"failed_records": failed}), &entries[1..], ""),
            None
        );
        assert_eq!(
            results(&json!({"results": listed}), &entries[1..], ""),
            None
        );
    }

    /// Each item means one entry, but only after a look at half of them.
    #[test]
    fn no_answer_is_compared_without_end() {
        let entries: Vec<_> = (0..1000)
            .map(|index| {
                let (kind, state) = if index == 0 {
                    ("in", 1)
                } else {
                    [("in", 0), ("out", 1)][index % 2]
                };
                let content = json!({"kind": kind, "punch_state": state});
                Entry::new("t", index.to_string(), 1, false, content)
            })
            .collect();
        let item = json!({"kind": "in", "punch_state": 1});
        let failed = |count| json!({"failed_records": vec![item.clone(); count]});
        let one = failures(&failed(1), &entries, "").unwrap();
        let delivered = one.iter().filter(|outcome| outcome.is_delivered()).count();
        assert_eq!((delivered, one[0].is_delivered()), (999, false));
        assert_eq!(failures(&failed(1000), &entries, ""), None);
    }

    #[test]
    fn a_check_tells_reachable_from_not() {
        for status in [200, 204, 405] {
            assert_eq!(
                check(&answer(status, ""), "").map(|reached| reached.status),
                Ok(status)
            );
        }
        assert!(matches!(
            check(&answer(401, ""), ""),
            Err(Error::Unauthorised { .. })
        ));
        assert!(matches!(
            check(&answer(404, r#"{"message":"nothing here for you"}"#), ""),
            Err(Error::NotHere { .. })
        ));
        assert!(matches!(
            check(&answer(302, ""), ""),
            Err(Error::Moved { .. })
        ));
        assert!(matches!(
            check(&answer(503, ""), ""),
            Err(Error::Unreachable { .. })
        ));
    }
}
