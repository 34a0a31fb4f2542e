//! Frappe HRMS: its documented answers and its own ways of refusing.

use crm_client::{
    Connector, Crm, Entry, Error, FrappeOptions, Outcome, Reach, Target, TargetOptions, Token,
};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::wire::{punch, status};

const METHOD: &str =
    "/api/method/hrms.hr.doctype.employee_checkin.employee_checkin.add_log_based_on_employee_field";

fn site(url: &str) -> Target {
    let mut options = TargetOptions::new(url, Connector::Frappe(FrappeOptions::default()));
    options.token = Some(Token::new("key:secret"));
    Target::new(options).unwrap()
}

/// As `frappe.throw` answers: 417, the words in a JSON text of a list of JSON texts.
fn thrown(words: &str) -> ResponseTemplate {
    let message =
        json!({"message": words, "title": "Message", "indicator": "red", "raise_exception": 1});
    status(417).set_body_json(json!({
        "exception": format!("frappe.exceptions.ValidationError: {words}"),
        "exc_type": "ValidationError",
        "exc": json!([format!("Traceback (most recent call last):\n  File \"x\"\nfrappe.exceptions.ValidationError: {words}\n")]).to_string(),
        "_server_messages": json!([message.to_string()]).to_string(),
    }))
}

fn made(name: &str) -> ResponseTemplate {
    status(200).set_body_json(
        json!({"message": {"name": name, "doctype": "Employee Checkin", "log_type": "IN"}}),
    )
}

async fn inserting(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(METHOD))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

/// The site lists these check-ins of employee 17 when asked for ours.
async fn holding(server: &MockServer, names: &[&str]) {
    Mock::given(path("/api/resource/Employee"))
        .and(query_param(
            "filters",
            r#"[["attendance_device_id","=","17"]]"#,
        ))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": "HR-EMP-1"}]})))
        .mount(server)
        .await;
    let names: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    Mock::given(path("/api/resource/Employee%20Checkin"))
        .and(query_param(
            "filters",
            r#"[["employee","=","HR-EMP-1"],["time","=","2026-03-02 08:01:10"],["device_id","in",["SN1","Gate"]]]"#,
        ))
        .respond_with(status(200).set_body_json(json!({"data": names})))
        .mount(server)
        .await;
}

async fn outcome_of(template: ResponseTemplate) -> Result<Outcome, Error> {
    let server = inserting(template).await;
    let outcomes = site(&server.uri()).push(&[punch("17", 1)]).await?;
    assert_eq!(outcomes.len(), 1);
    Ok(outcomes.into_iter().next().unwrap())
}

async fn requests(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.url.path()))
        .collect()
}

#[tokio::test]
async fn a_check_in_is_posted_to_the_documented_method() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(METHOD))
        .and(header("authorization", "token key:secret"))
        .respond_with(made("EMP-CKIN-03-2026-000001"))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = site(&server.uri()).push(&[punch("17", 1)]).await.unwrap();
    let remote_id = Some("EMP-CKIN-03-2026-000001".to_owned());
    assert_eq!(outcomes, [Outcome::Accepted { remote_id }]);
    let body: Value = server.received_requests().await.unwrap()[0]
        .body_json()
        .unwrap();
    assert_eq!(
        body,
        json!({
            "employee_field_value": "17", "employee_fieldname": "attendance_device_id",
            "timestamp": "2026-03-02 08:01:10", "device_id": "SN1", "log_type": "IN", "skip_auto_attendance": 0,
        })
    );
}

#[tokio::test]
async fn a_duplicate_time_stamp_is_known_already() {
    let words = "This employee already has a log with the same timestamp.<Br><a href=\"/app/employee-checkin/X\">X</a>";
    assert_eq!(outcome_of(thrown(words)).await, Ok(Outcome::AlreadyKnown));
}

/// Else the next correction, of another employee perhaps, would not find what it corrects.
#[tokio::test]
async fn the_name_of_a_duplicate_is_learnt_if_it_is_ours() {
    let words = "This employee already has a log with the same timestamp.";
    for (names, outcome) in [
        (
            &["C1"][..],
            Outcome::Accepted {
                remote_id: Some("C1".into()),
            },
        ),
        (&[], Outcome::AlreadyKnown),
    ] {
        let server = inserting(thrown(words)).await;
        holding(&server, names).await;
        let outcomes = site(&server.uri()).push(&[punch("17", 1)]).await.unwrap();
        assert_eq!(outcomes, [outcome]);
    }
}

/// Who may not look still inserts; a site in trouble is asked again, for the name is worth it.
#[tokio::test]
async fn a_duplicate_whose_name_cannot_be_learnt_is_known_or_tried_again() {
    let words = "This employee already has a log with the same timestamp.";
    for (code, known) in [(403, true), (404, true), (417, true), (502, false)] {
        let server = inserting(thrown(words)).await;
        Mock::given(method("GET"))
            .respond_with(status(code))
            .mount(&server)
            .await;
        let outcomes = site(&server.uri()).push(&[punch("17", 1)]).await.unwrap();
        assert_eq!(outcomes[0] == Outcome::AlreadyKnown, known, "{outcomes:?}");
        assert_eq!(
            matches!(
                outcomes[0],
                Outcome::Retry {
                    reach: Reach::Answered,
                    ..
                }
            ),
            !known
        );
    }
}

/// The employee changed: only the name that was learnt leads to the old check-in.
#[tokio::test]
async fn a_punch_that_went_to_somebody_else_leaves_the_first() {
    let words = "This employee already has a log with the same timestamp.";
    let server = MockServer::start().await;
    Mock::given(body_partial_json(json!({"employee_field_value": "17"})))
        .respond_with(thrown(words))
        .mount(&server)
        .await;
    Mock::given(body_partial_json(json!({"employee_field_value": "18"})))
        .respond_with(made("C2"))
        .mount(&server)
        .await;
    holding(&server, &["C1"]).await;
    Mock::given(method("DELETE"))
        .and(path("/api/resource/Employee%20Checkin/C1"))
        .respond_with(status(202).set_body_json(json!({"message": "ok"})))
        .expect(1)
        .mount(&server)
        .await;
    let site = site(&server.uri());
    let Outcome::Accepted { remote_id } = site.push(&[punch("17", 1)]).await.unwrap().remove(0)
    else {
        panic!("the name was not learnt")
    };
    let entry = punch("18", 2).with_prior_remote_id(remote_id);
    let remote_id = Some("C2".to_owned());
    assert_eq!(
        site.push(&[entry]).await.unwrap(),
        [Outcome::Accepted { remote_id }]
    );
}

/// Revision 2 took C1 away and brought C2, and its answer was lost; revision 3 knows of C1 alone.
#[tokio::test]
async fn what_an_unanswered_correction_brought_is_found_by_what_it_was() {
    let server = MockServer::start().await;
    holding(&server, &["C2"]).await;
    for (name, answer) in [
        (
            "C1",
            status(404).set_body_json(json!({"exc_type": "DoesNotExistError"})),
        ),
        ("C2", status(202).set_body_json(json!({"message": "ok"}))),
    ] {
        Mock::given(method("DELETE"))
            .and(path(format!("/api/resource/Employee%20Checkin/{name}")))
            .respond_with(answer)
            .expect(1)
            .mount(&server)
            .await;
    }
    let entry = crate::wire::deleted_punch("17").with_prior_remote_id(Some("C1".into()));
    let outcomes = site(&server.uri()).push(&[entry]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Accepted { remote_id: None }]);
}

#[tokio::test]
async fn unknown_and_inactive_employees_are_refused_in_the_servers_words() {
    for (words, said) in [
        (
            "No Employee found for the given employee field value. 'attendance_device_id': 17",
            "No Employee found for the given employee field value. 'attendance_device_id': 17",
        ),
        (
            "Transactions cannot be created for an Inactive Employee <a href=\"/app/employee/HR-1\">HR-1</a>.",
            "Transactions cannot be created for an Inactive Employee HR-1 .",
        ),
    ] {
        let reason = format!("the target answered 417: {said}");
        assert_eq!(
            outcome_of(thrown(words)).await,
            Ok(Outcome::Rejected { reason })
        );
    }
}

#[tokio::test]
async fn one_inactive_employee_holds_nobody_up() {
    let server = MockServer::start().await;
    Mock::given(body_partial_json(json!({"employee_field_value": "1"})))
        .respond_with(thrown(
            "Transactions cannot be created for an Inactive Employee X.",
        ))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(made("C"))
        .mount(&server)
        .await;
    let entries: Vec<Entry> = (0..5).map(|id| punch(&id.to_string(), 1)).collect();
    let outcomes = site(&server.uri()).push(&entries).await.unwrap();
    let delivered: Vec<_> = outcomes.iter().map(Outcome::is_delivered).collect();
    assert_eq!(delivered, [true, false, true, true, true]);
}

/// A site in another language: the words say nothing, what the site holds does.
#[tokio::test]
async fn a_duplicate_in_another_language_is_found_by_looking() {
    let server = inserting(thrown("Dieser Mitarbeiter hat schon einen Eintrag.")).await;
    Mock::given(path("/api/resource/Employee"))
        .and(query_param(
            "filters",
            r#"[["attendance_device_id","=","17"]]"#,
        ))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": "HR-EMP-1"}]})))
        .mount(&server)
        .await;
    let there = Mock::given(path("/api/resource/Employee%20Checkin"))
        .and(query_param(
            "filters",
            r#"[["employee","=","HR-EMP-1"],["time","=","2026-03-02 08:01:10"],["log_type","=","IN"]]"#,
        ))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": "C1"}]})))
        .up_to_n_times(1)
        .mount_as_scoped(&server)
        .await;
    let site = site(&server.uri());
    assert_eq!(
        site.push(&[punch("17", 1)]).await,
        Ok(vec![Outcome::AlreadyKnown])
    );
    drop(there);
    Mock::given(path("/api/resource/Employee%20Checkin"))
        .respond_with(status(200).set_body_json(json!({"data": []})))
        .mount(&server)
        .await;
    let outcomes = site.push(&[punch("17", 1)]).await.unwrap();
    let reason = "the target answered 417: Dieser Mitarbeiter hat schon einen Eintrag.".into();
    assert_eq!(outcomes, [Outcome::Rejected { reason }]);
}

#[tokio::test]
async fn a_corrected_punch_is_deleted_and_inserted() {
    let server = inserting(made("C2")).await;
    Mock::given(method("DELETE"))
        .and(path("/api/resource/Employee%20Checkin/C%2F1"))
        .respond_with(status(202).set_body_json(json!({"message": "ok"})))
        .expect(1)
        .mount(&server)
        .await;
    let entry = punch("17", 2).with_prior_remote_id(Some("C/1".into()));
    let outcomes = site(&server.uri()).push(&[entry]).await.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Accepted {
            remote_id: Some("C2".into())
        }]
    );
    assert_eq!(
        requests(&server).await,
        [
            "DELETE /api/resource/Employee%20Checkin/C%2F1",
            &format!("POST {METHOD}")
        ]
    );
}

/// The insertion failed after the removal: the next attempt finds the old one gone, and goes on.
#[tokio::test]
async fn a_correction_half_done_is_finished() {
    let server = inserting(made("C2")).await;
    Mock::given(method("DELETE"))
        .respond_with(status(404).set_body_json(json!({"exc_type": "DoesNotExistError"})))
        .mount(&server)
        .await;
    holding(&server, &[]).await;
    let entry = punch("17", 2).with_prior_remote_id(Some("C1".into()));
    let outcomes = site(&server.uri()).push(&[entry]).await.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Accepted {
            remote_id: Some("C2".into())
        }]
    );
}

#[tokio::test]
async fn a_deleted_punch_is_removed_by_name_or_by_what_it_was() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path("/api/resource/Employee%20Checkin/C1"))
        .respond_with(status(202).set_body_json(json!({"message": "ok"})))
        .expect(2)
        .mount(&server)
        .await;
    Mock::given(path("/api/resource/Employee"))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": "HR-EMP-1"}]})))
        .mount(&server)
        .await;
    Mock::given(path("/api/resource/Employee%20Checkin"))
        .and(query_param(
            "filters",
            r#"[["employee","=","HR-EMP-1"],["time","=","2026-03-02 08:01:10"],["device_id","in",["SN1","Gate"]]]"#,
        ))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": "C1"}]})))
        .expect(1)
        .mount(&server)
        .await;
    let site = site(&server.uri());
    let gone = [Outcome::Accepted { remote_id: None }];
    let entry = crate::wire::deleted_punch("17");
    let named = entry.clone().with_prior_remote_id(Some("C1".into()));
    assert_eq!(site.push(&[named]).await.unwrap(), gone);
    assert_eq!(site.push(&[entry]).await.unwrap(), gone);
}

#[tokio::test]
async fn a_deleted_punch_that_never_came_is_no_news() {
    let server = MockServer::start().await;
    Mock::given(path("/api/resource/Employee"))
        .respond_with(status(200).set_body_json(json!({"data": []})))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = site(&server.uri())
        .push(&[crate::wire::deleted_punch("17")])
        .await
        .unwrap();
    assert_eq!(outcomes, [Outcome::AlreadyKnown]);
}

/// Lists one employee and, under that one, one check-in.
async fn holding_of(server: &MockServer, badge: &str, employee: &str, names: &[&str]) {
    Mock::given(path("/api/resource/Employee"))
        .and(query_param(
            "filters",
            format!(r#"[["attendance_device_id","=","{badge}"]]"#),
        ))
        .respond_with(status(200).set_body_json(json!({"data": [{"name": employee}]})))
        .mount(server)
        .await;
    let names: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    Mock::given(path("/api/resource/Employee%20Checkin"))
        .and(query_param(
            "filters",
            format!(
                r#"[["employee","=","{employee}"],["time","=","2026-03-02 08:01:10"],["device_id","in",["SN1","Gate"]]]"#
            ),
        ))
        .respond_with(status(200).set_body_json(json!({"data": names})))
        .mount(server)
        .await;
}

/// The answer to the first revision was lost, and then the punch became somebody else's.
#[tokio::test]
async fn a_check_in_whose_answer_was_lost_goes_with_its_successor_of_another_employee() {
    let server = inserting(made("NEW")).await;
    holding_of(&server, "17", "HR-EMP-1", &["LOST"]).await;
    holding_of(&server, "18", "HR-EMP-2", &[]).await;
    Mock::given(method("DELETE"))
        .and(path("/api/resource/Employee%20Checkin/LOST"))
        .respond_with(status(202).set_body_json(json!({"data": "ok"})))
        .expect(1)
        .mount(&server)
        .await;
    let entry = punch("18", 2).with_earlier(vec![punch("17", 1)]);
    let outcomes = site(&server.uri()).push(&[entry]).await.unwrap();
    let remote_id = Some("NEW".to_owned());
    assert_eq!(outcomes, [Outcome::Accepted { remote_id }]);
}

/// A user who may only insert: corrections are refused, and hold nobody up.
#[tokio::test]
async fn without_the_right_to_delete_only_corrections_are_refused() {
    let server = inserting(made("C")).await;
    let said = json!({"exc_type": "PermissionError", "exception": "frappe.exceptions.PermissionError: No permission"});
    Mock::given(method("DELETE"))
        .respond_with(status(403).set_body_json(said))
        .mount(&server)
        .await;
    let entries = [
        punch("17", 2).with_prior_remote_id(Some("C1".into())),
        punch("18", 1),
    ];
    let outcomes = site(&server.uri()).push(&entries).await.unwrap();
    let reason = "the target answered 403: No permission".to_owned();
    assert_eq!(outcomes[0], Outcome::Rejected { reason });
    assert!(outcomes[1].is_delivered());
}

/// A wrong address is not a check-in that is gone.
#[tokio::test]
async fn a_removal_that_meets_a_strange_404_is_not_done() {
    let server = MockServer::start().await;
    let entry = crate::wire::deleted_punch("17").with_prior_remote_id(Some("C1".into()));
    let error = site(&server.uri()).push(&[entry]).await.unwrap_err();
    assert_eq!(error, Error::NotHere { status: 404 });
}

#[tokio::test]
async fn what_concerns_the_site_is_an_error() {
    let said = |class: &str, words: &str| json!({"exc_type": class, "exception": format!("frappe.exceptions.{class}: {words}")});
    let unauthorised = status(401).set_body_json(said("AuthenticationError", ""));
    assert_eq!(
        outcome_of(unauthorised).await.unwrap_err().kind(),
        "crm_unauthorised"
    );
    let forbidden = status(403).set_body_json(said(
        "PermissionError",
        "No permission for Employee Checkin",
    ));
    let error = outcome_of(forbidden).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("No permission for Employee Checkin"),
        "{error}"
    );
    let words = "Failed to get method for command hrms.x with No module named 'hrms'";
    assert_eq!(
        outcome_of(thrown(words)).await,
        Err(Error::NotHere { status: 417 })
    );
    let page = status(200).set_body_raw("<!DOCTYPE html><title>Login</title>", "text/html");
    assert_eq!(outcome_of(page).await, Err(Error::WebPage { status: 200 }));
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again() {
    let said = |class: &str| json!({"exc_type": class, "exception": format!("x.{class}: locked")});
    for template in [
        status(417).set_body_json(said("QueryDeadlockError")),
        status(417).set_body_json(said("TimestampMismatchError")),
        // A race for the next name in the series, not a check-in that is there already.
        status(409).set_body_json(said("DuplicateEntryError")),
        status(500).set_body_json(said("OperationalError")),
        status(503).set_body_json(said("SessionStopped")),
        status(429),
    ] {
        let outcome = outcome_of(template).await.unwrap();
        assert!(
            matches!(
                outcome,
                Outcome::Retry {
                    reach: Reach::Answered,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_secret_never_comes_back() {
    let outcome = outcome_of(thrown("bad key:secret")).await;
    let server = inserting(status(401).set_body_json(json!({"message": "bad key:secret"}))).await;
    let error = site(&server.uri())
        .push(&[punch("17", 1)])
        .await
        .unwrap_err();
    assert!(!format!("{outcome:?} {error:?}").contains("key:secret"));
}

#[tokio::test]
async fn a_check_asks_who_we_are() {
    let server = MockServer::start().await;
    Mock::given(path("/site/api/method/frappe.auth.get_logged_user"))
        .and(header("authorization", "token key:secret"))
        .respond_with(status(200).set_body_json(json!({"message": "bridge@example.com"})))
        .expect(1)
        .mount(&server)
        .await;
    let reached = site(&format!("{}/site/", server.uri()))
        .check()
        .await
        .unwrap();
    assert_eq!(reached.status, 200);
}

#[test]
fn a_preview_shows_both_halves_of_a_correction_and_no_secret() {
    let entry = punch("17", 2).with_prior_remote_id(Some("C1".into()));
    let requests = site("https://erp.example.com").preview(&[entry]);
    let shown: Vec<_> = requests
        .iter()
        .map(|request| {
            let request = request.as_ref().unwrap();
            assert!(
                request
                    .headers
                    .contains(&("authorization".into(), "token [hidden]".into()))
            );
            format!("{} {}", request.method, request.url)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "DELETE https://erp.example.com/api/resource/Employee%20Checkin/C1".to_owned(),
            format!("POST https://erp.example.com{METHOD}"),
        ]
    );
    assert!(!format!("{requests:?}").contains("secret"));
}

#[test]
fn directions_follow_the_kind() {
    let direction = |kind: &str| {
        let entry = crate::wire::punch_of_kind("17", kind);
        let request = site("https://erp.example.com")
            .preview(&[entry])
            .remove(0)
            .unwrap();
        serde_json::from_str::<Value>(&request.body).unwrap()["log_type"].clone()
    };
    for (kind, wanted) in [
        ("in", json!("IN")),
        ("break_in", json!("IN")),
        ("ot_in", json!("IN")),
        ("out", json!("OUT")),
        ("break_out", json!("OUT")),
        ("ot_out", json!("OUT")),
        ("unknown", Value::Null),
    ] {
        assert_eq!(direction(kind), wanted, "{kind}");
    }
}
