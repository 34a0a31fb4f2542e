//! Odoo: a small one that answers as the real one does, errors with status 200 included.

use std::sync::{Arc, Mutex};

use crm_client::{
    Connector, Crm, Entry, Error, OdooOptions, Outcome, Reach, SessionEntry, Target, TargetOptions,
    Token,
};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const IN: &str = "2026-03-02T08:01:10+03:00";
const OUT: &str = "2026-03-02T17:02:40+03:00";

/// What the server was asked, as `method` or `model.method`, and how it is to fail next.
#[derive(Clone, Default)]
struct Odoo {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<(String, Value)>,
    sessions: Vec<(u64, Value)>,
    /// One for each call by name, before it is answered.
    faults: Vec<(&'static str, Value)>,
}

impl Respond for Odoo {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap();
        assert_eq!(body["jsonrpc"], "2.0");
        assert_eq!(body["method"], "call");
        let answer = match self.answer(&body["params"]) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": body["id"], "result": result}),
            Err(error) => json!({"jsonrpc": "2.0", "id": body["id"], "error": error}),
        };
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

impl Odoo {
    fn answer(&self, params: &Value) -> Result<Value, Value> {
        let mut state = self.state.lock().unwrap();
        let args = &params["args"];
        let name = match params["method"].as_str().unwrap() {
            "execute_kw" => format!(
                "{}.{}",
                args[3].as_str().unwrap(),
                args[4].as_str().unwrap()
            ),
            other => other.to_owned(),
        };
        state.calls.push((name.clone(), args.clone()));
        if let Some(at) = state.faults.iter().position(|(called, _)| *called == name) {
            return Err(state.faults.remove(at).1);
        }
        if name == "authenticate" {
            assert_eq!(params["service"], "common");
            assert_eq!((&args[0], &args[1]), (&json!("db"), &json!("bridge")));
            return Ok(if args[2] == "api-key" {
                json!(7)
            } else {
                json!(false)
            });
        }
        assert_eq!(params["service"], "object");
        assert_eq!(
            (&args[0], &args[1], &args[2]),
            (&json!("db"), &json!(7), &json!("api-key"))
        );
        assert_eq!(args[6]["context"]["lang"], "en_US");
        let first = &args[5][0];
        match name.as_str() {
            "hr.employee.search_read" => {
                let wanted = first[0][2].as_array().unwrap().clone();
                let staff = [("17", 100), ("18", 101), ("twin", 102), ("twin", 103)];
                let rows: Vec<_> = staff
                    .iter()
                    .filter(|(badge, _)| wanted.contains(&json!(badge)))
                    .map(|(badge, id)| json!({"id": id, "barcode": badge}))
                    .collect();
                Ok(json!(rows))
            }
            "hr.attendance.search_read" => {
                let times = &first[1][2];
                let rows: Vec<_> = state
                    .sessions
                    .iter()
                    .filter(|(_, values)| {
                        times
                            .as_array()
                            .is_some_and(|times| times.contains(&values["check_in"]))
                    })
                    .map(|(id, values)| {
                        json!({
                            "id": id, "employee_id": [values["employee_id"], "Zoë"],
                            "check_in": values["check_in"], "check_out": values["check_out"],
                        })
                    })
                    .collect();
                Ok(json!(rows))
            }
            "hr.attendance.create" => {
                let id = 500 + state.sessions.len() as u64;
                state.sessions.push((id, first.clone()));
                Ok(json!(id))
            }
            "hr.attendance.write" | "hr.attendance.unlink" => {
                let id = first[0].as_u64().unwrap();
                let Some(at) = state.sessions.iter().position(|(known, _)| *known == id) else {
                    return Err(fault(
                        "odoo.exceptions.MissingError",
                        "Record does not exist or has been deleted.",
                    ));
                };
                if name.ends_with("unlink") {
                    state.sessions.remove(at);
                } else {
                    state.sessions[at].1 = args[5][1].clone();
                }
                Ok(json!(true))
            }
            other => panic!("nobody should call {other}"),
        }
    }

    fn fail(&self, call: &'static str, error: Value) {
        self.state.lock().unwrap().faults.push((call, error));
    }

    fn calls(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap();
        std::mem::take(&mut state.calls)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    fn sessions(&self) -> Vec<(u64, Value)> {
        self.state.lock().unwrap().sessions.clone()
    }
}

/// As Odoo wraps what was raised.
fn fault(name: &str, words: &str) -> Value {
    json!({
        "code": 200,
        "message": "Odoo Server Error",
        "data": {
            "name": name, "message": words, "arguments": [words], "context": {},
            "debug": format!("Traceback (most recent call last):\n…\n{name}: {words}"),
        },
    })
}

async fn start() -> (MockServer, Odoo, Target) {
    let server = MockServer::start().await;
    let odoo = Odoo::default();
    Mock::given(method("POST"))
        .and(path("/jsonrpc"))
        .respond_with(odoo.clone())
        .mount(&server)
        .await;
    let target = target(&server.uri(), "api-key");
    (server, odoo, target)
}

fn target(url: &str, key: &str) -> Target {
    let mut options = TargetOptions::new(url, Connector::Odoo(OdooOptions::new("db", "bridge")));
    options.token = Some(Token::new(key));
    Target::new(options).unwrap()
}

fn session(user: &str, check_in: &str, check_out: Option<&str>) -> SessionEntry {
    SessionEntry {
        session_id: format!("{user}/2026-03-02/day/0@{check_in}"),
        user_id: user.to_owned(),
        check_in: check_in.to_owned(),
        check_out: check_out.map(str::to_owned),
        ..SessionEntry::default()
    }
}

fn open(user: &str) -> Entry {
    session(user, IN, None).freeze("odoo", 1)
}

fn closed(user: &str) -> Entry {
    session(user, IN, Some(OUT)).freeze("odoo", 2)
}

fn deleted(user: &str) -> Entry {
    SessionEntry {
        deleted: true,
        ..session(user, IN, Some(OUT))
    }
    .freeze("odoo", 3)
}

fn accepted(id: u64) -> Outcome {
    Outcome::Accepted {
        remote_id: Some(id.to_string()),
    }
}

fn refused(outcome: &Outcome) -> &str {
    let Outcome::Rejected { reason } = outcome else {
        panic!("{outcome:?} is no refusal")
    };
    reason
}

#[tokio::test]
async fn a_session_is_created_open_and_closed_by_its_id() {
    let (_server, odoo, target) = start().await;
    assert_eq!(target.push(&[open("17")]).await.unwrap(), [accepted(500)]);
    let begun = json!({"employee_id": 100, "check_in": "2026-03-02 05:01:10", "check_out": false});
    assert_eq!(odoo.sessions(), [(500, begun)]);
    assert_eq!(
        odoo.calls(),
        [
            "authenticate",
            "hr.employee.search_read",
            "hr.attendance.search_read",
            "hr.attendance.create"
        ]
    );

    let entry = closed("17").with_prior_remote_id(Some("500".into()));
    assert_eq!(target.push(&[entry]).await.unwrap(), [accepted(500)]);
    let ended = json!({"employee_id": 100, "check_in": "2026-03-02 05:01:10", "check_out": "2026-03-02 14:02:40"});
    assert_eq!(odoo.sessions(), [(500, ended)]);
    assert_eq!(
        odoo.calls(),
        ["hr.employee.search_read", "hr.attendance.write"],
        "the login is kept"
    );
}

#[tokio::test]
async fn employees_and_sessions_are_looked_up_once_for_a_push() {
    let (_server, odoo, target) = start().await;
    let entries: Vec<_> = (0..20)
        .map(|hour| {
            let check_in = format!("2026-03-02T{hour:02}:00:00+03:00");
            session(if hour % 2 == 0 { "17" } else { "18" }, &check_in, None).freeze("odoo", 1)
        })
        .collect();
    let outcomes = target.push(&entries).await.unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
    let calls = odoo.calls();
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.ends_with("search_read"))
            .count(),
        2
    );
    assert_eq!(calls.len(), 3 + 20);
}

/// The answer to the first creation was lost: the next attempt finds it, and makes no second one.
#[tokio::test]
async fn a_session_whose_answer_was_lost_is_found_again() {
    let (_server, odoo, target) = start().await;
    target.push(&[open("17")]).await.unwrap();
    odoo.calls();
    assert_eq!(target.push(&[open("17")]).await.unwrap(), [accepted(500)]);
    assert!(!odoo.calls().contains(&"hr.attendance.create".to_owned()));
    assert_eq!(target.push(&[closed("17")]).await.unwrap(), [accepted(500)]);
    assert_eq!(odoo.sessions().len(), 1);
    assert_eq!(odoo.sessions()[0].1["check_out"], "2026-03-02 14:02:40");
}

#[tokio::test]
async fn a_session_deleted_at_odoo_is_made_anew() {
    let (_server, odoo, target) = start().await;
    let entry = closed("17").with_prior_remote_id(Some("999".into()));
    assert_eq!(target.push(&[entry]).await.unwrap(), [accepted(500)]);
    assert_eq!(odoo.sessions().len(), 1);
}

#[tokio::test]
async fn removal_goes_by_id_or_by_what_it_was_and_may_find_nothing() {
    let (_server, odoo, target) = start().await;
    let gone = Outcome::Accepted { remote_id: None };
    target.push(&[open("17")]).await.unwrap();
    let by_id = deleted("17").with_prior_remote_id(Some("500".into()));
    assert_eq!(
        target.push(std::slice::from_ref(&by_id)).await.unwrap(),
        std::slice::from_ref(&gone)
    );
    assert_eq!(
        target.push(&[by_id]).await.unwrap(),
        [Outcome::AlreadyKnown]
    );
    target.push(&[open("17")]).await.unwrap();
    assert_eq!(target.push(&[deleted("17")]).await.unwrap(), [gone]);
    assert_eq!(
        target
            .push(&[deleted("17"), deleted("stranger")])
            .await
            .unwrap(),
        vec![Outcome::AlreadyKnown; 2]
    );
    assert_eq!(odoo.sessions(), []);
}

#[tokio::test]
async fn removals_go_first_and_outcomes_keep_their_places() {
    let (_server, odoo, target) = start().await;
    target.push(&[open("17")]).await.unwrap();
    odoo.calls();
    let late = session("18", "2026-03-02T09:00:00+03:00", None).freeze("odoo", 1);
    let early = session("18", "2026-03-02T07:00:00+03:00", Some(IN)).freeze("odoo", 1);
    let removal = deleted("17").with_prior_remote_id(Some("500".into()));
    let outcomes = target.push(&[late, removal, early]).await.unwrap();
    assert_eq!(
        odoo.calls()[2..],
        [
            "hr.attendance.unlink",
            "hr.attendance.create",
            "hr.attendance.create"
        ]
    );
    assert_eq!(odoo.sessions()[0].1["check_in"], "2026-03-02 04:00:00");
    assert_eq!(
        outcomes,
        [
            accepted(501),
            Outcome::Accepted { remote_id: None },
            accepted(500)
        ]
    );
}

#[tokio::test]
async fn unknown_and_ambiguous_employees_are_refused_and_hold_nobody_up() {
    let (_server, _odoo, target) = start().await;
    let outcomes = target
        .push(&[open("nobody"), open("twin"), open("17")])
        .await
        .unwrap();
    assert_eq!(
        refused(&outcomes[0]),
        r#"no active employee at Odoo has the barcode "nobody""#
    );
    assert_eq!(
        refused(&outcomes[1]),
        r#"2 employees at Odoo have the barcode "twin""#
    );
    assert_eq!(outcomes[2], accepted(500));
}

#[tokio::test]
async fn a_session_in_the_way_is_tried_again_and_nonsense_refused() {
    let (_server, odoo, target) = start().await;
    for words in [
        "Cannot create new attendance record for Zoë, the employee hasn't checked out since 03/01/2026 08:00:00 AM",
        "Cannot create new attendance record for Zoë, the employee was already checked in on 03/02/2026 08:01:10 AM",
    ] {
        odoo.fail(
            "hr.attendance.create",
            fault("odoo.exceptions.ValidationError", words),
        );
        let outcomes = target.push(&[open("17")]).await.unwrap();
        let reason = format!("the target answered: {words}");
        assert_eq!(
            outcomes,
            [Outcome::Retry {
                after: None,
                reach: Reach::Answered,
                reason
            }]
        );
    }
    let words = "\"Check Out\" time cannot be earlier than \"Check In\" time.";
    odoo.fail(
        "hr.attendance.create",
        fault("odoo.exceptions.ValidationError", words),
    );
    let outcomes = target.push(&[open("17")]).await.unwrap();
    assert_eq!(
        refused(&outcomes[0]),
        format!("the target answered: {words}")
    );
}

#[tokio::test]
async fn trouble_in_the_database_is_tried_again() {
    let (_server, odoo, target) = start().await;
    for name in [
        "psycopg2.errors.SerializationFailure",
        "psycopg2.OperationalError",
        "builtins.RuntimeError",
    ] {
        odoo.fail(
            "hr.attendance.create",
            fault(name, "could not serialize access"),
        );
        let outcomes = target.push(&[open("17")]).await.unwrap();
        assert!(
            matches!(
                &outcomes[0],
                Outcome::Retry {
                    reach: Reach::Answered,
                    ..
                }
            ),
            "{outcomes:?}"
        );
    }
    odoo.fail(
        "hr.employee.search_read",
        fault(
            "psycopg2.OperationalError",
            "the database system is starting up",
        ),
    );
    let outcomes = target.push(&[open("17"), open("18")]).await.unwrap();
    for outcome in outcomes {
        assert!(
            matches!(
                &outcome,
                Outcome::Retry {
                    reach: Reach::NotSent,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_login_that_is_no_longer_good_is_renewed_once() {
    let (_server, odoo, target) = start().await;
    target.push(&[open("17")]).await.unwrap();
    odoo.calls();
    odoo.fail("hr.employee.search_read", json!({"code": 100, "message": "Odoo Session Expired", "data": {"name": "odoo.http.SessionExpiredException"}}));
    target.push(&[open("18")]).await.unwrap();
    assert_eq!(
        odoo.calls()[..3],
        [
            "hr.employee.search_read",
            "authenticate",
            "hr.employee.search_read"
        ]
    );
    for _ in 0..2 {
        odoo.fail(
            "hr.employee.search_read",
            fault("odoo.exceptions.AccessDenied", "Access Denied"),
        );
    }
    let error = target.push(&[open("17")]).await.unwrap_err();
    assert_eq!(
        error,
        Error::Unauthorised {
            status: 200,
            words: Some("Access Denied".into())
        }
    );
    assert_eq!(
        odoo.calls(),
        [
            "hr.employee.search_read",
            "authenticate",
            "hr.employee.search_read"
        ]
    );
}

#[tokio::test]
async fn what_concerns_the_database_is_an_error() {
    let (server, odoo, target) = start().await;
    let error = self::target(&server.uri(), "wrong")
        .push(&[open("17")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "crm_unauthorised");

    odoo.fail(
        "authenticate",
        fault(
            "psycopg2.OperationalError",
            "FATAL:  database \"db\" does not exist",
        ),
    );
    let error = self::target(&server.uri(), "api-key")
        .push(&[open("17")])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("database \"db\" does not exist"),
        "{error}"
    );

    odoo.fail(
        "hr.employee.search_read",
        fault(
            "builtins.ValueError",
            "Invalid field hr.employee.barcode in leaf ('barcode', 'in', ['17'])",
        ),
    );
    let error = target.push(&[open("17")]).await.unwrap_err();
    assert_eq!(error.kind(), "crm_bad_option");

    odoo.fail(
        "hr.attendance.create",
        fault(
            "odoo.exceptions.AccessError",
            "You are not allowed to create 'Attendance' (hr.attendance) records.",
        ),
    );
    let error = target.push(&[open("17"), open("18")]).await.unwrap_err();
    assert_eq!(error.kind(), "crm_unauthorised");

    // A denial that is about one employee is one employee's.
    odoo.fail(
        "hr.attendance.create",
        fault(
            "odoo.exceptions.AccessError",
            "Due to security restrictions, …",
        ),
    );
    let outcomes = target.push(&[open("17"), open("18")]).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Rejected { .. }));
    assert!(outcomes[1].is_delivered());
}

#[tokio::test]
async fn what_is_no_odoo_is_told_apart() {
    for (template, kind) in [
        (ResponseTemplate::new(404), "crm_not_here"),
        (
            ResponseTemplate::new(200).set_body_json(json!({"ok": true})),
            "crm_not_here",
        ),
        (
            ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html>", "text/html"),
            "crm_web_page",
        ),
        (
            ResponseTemplate::new(303).insert_header("location", "/web/login"),
            "crm_moved",
        ),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(template)
            .mount(&server)
            .await;
        let error = target(&server.uri(), "api-key")
            .push(&[open("17")])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(503).insert_header("retry-after", "9"))
        .mount(&server)
        .await;
    let outcomes = target(&server.uri(), "api-key")
        .push(&[open("17")])
        .await
        .unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Retry { after: Some(wait), reach: Reach::NotSent, .. } if wait.as_secs() == 9)
    );
}

#[tokio::test]
async fn an_entry_without_a_time_is_refused_before_it_is_sent() {
    let (_server, odoo, target) = start().await;
    let outcomes = target
        .push(&[
            session("17", "yesterday", None).freeze("odoo", 1),
            open("18"),
        ])
        .await
        .unwrap();
    assert_eq!(
        refused(&outcomes[0]),
        r#"the entry's "check_in" is no time with an offset"#
    );
    assert!(outcomes[1].is_delivered());
    assert_eq!(odoo.sessions().len(), 1);
}

#[tokio::test]
async fn a_check_logs_in_and_looks_at_both_models() {
    let (server, odoo, target) = start().await;
    assert_eq!(target.check().await.map(|reached| reached.status), Ok(200));
    assert_eq!(
        odoo.calls(),
        [
            "authenticate",
            "hr.employee.search_read",
            "hr.attendance.search_read"
        ]
    );
    let error = self::target(&server.uri(), "wrong")
        .check()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "crm_unauthorised");
}

#[test]
fn a_preview_shows_every_call_and_no_secret() {
    let target = target("https://odoo.example.com/", "api-key");
    let entries = [
        open("17"),
        closed("18").with_prior_remote_id(Some("4".into())),
    ];
    let requests: Vec<_> = target
        .preview(&entries)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(
        requests
            .iter()
            .all(|request| request.url == "https://odoo.example.com/jsonrpc")
    );
    assert!(!format!("{requests:?}").contains("api-key"));
    let args = |index: usize| {
        let body: Value = serde_json::from_str(&requests[index].body).unwrap();
        body["params"]["args"].clone()
    };
    assert_eq!(args(0), json!(["db", "bridge", "[hidden]", {}]));
    assert_eq!(args(1)[5], json!([[["barcode", "in", ["17", "18"]]]]));
    assert_eq!(args(2)[4], "write");
    assert_eq!(args(2)[5][0], json!([4]));
    assert_eq!(args(3)[5][0]["employee_id"], "<employee 17>");
}
