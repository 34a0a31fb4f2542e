//! Signed webhooks, checked as a receiver would.

use std::time::{Duration, UNIX_EPOCH};

use crm_client::{
    Connector, Crm, Kind, Outcome, SIGNATURE_HEADER, Target, TargetOptions, Token, verify_webhook,
};
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer};

use crate::wire::{punch, status};

fn target(url: &str) -> Target {
    let mut options = TargetOptions::new(url, Connector::Webhook { kind: Kind::Punch });
    options.token = Some(Token::new("s3cret"));
    options.clock = || UNIX_EPOCH + Duration::from_secs(1_772_427_670);
    Target::new(options).unwrap()
}

#[tokio::test]
async fn a_receiver_can_tell_who_sent_it_and_never_sees_the_secret() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(status(204))
        .mount(&server)
        .await;
    let entries = [punch("17", 1), punch("18", 1)];
    let outcomes = target(&server.uri()).push(&entries).await.unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
    let request = &server.received_requests().await.unwrap()[0];
    let header = request.headers[SIGNATURE_HEADER].to_str().unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_772_427_700);
    let tolerance = Duration::from_mins(5);
    assert_eq!(
        verify_webhook(&Token::new("s3cret"), header, &request.body, now, tolerance),
        Ok(())
    );
    assert!(!request.headers.contains_key("authorization"));
    let body: Value = request.body_json().unwrap();
    let records: Vec<_> = entries.iter().map(crm_client::Entry::to_wire).collect();
    assert_eq!(
        body,
        json!({"schema": 1, "kind": "punch", "records": records})
    );
}

#[tokio::test]
async fn a_lone_record_that_the_receiver_refuses_is_refused() {
    let server = MockServer::start().await;
    let entry = punch("17", 1);
    let result = json!({"idempotency_key": entry.key().as_str(), "status": "rejected", "reason": "no such badge"});
    Mock::given(method("POST"))
        .respond_with(status(200).set_body_json(json!({"results": [result]})))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = target(&server.uri()).push(&[entry]).await.unwrap();
    let reason = "no such badge".to_owned();
    assert_eq!(outcomes, [Outcome::Rejected { reason }]);
}

#[test]
fn a_webhook_without_a_secret_is_none() {
    let options = TargetOptions::new(
        "https://hook.example.com/",
        Connector::Webhook { kind: Kind::Day },
    );
    assert_eq!(Target::new(options).unwrap_err().kind(), "crm_bad_option");
}

#[test]
fn a_preview_shows_no_signature() {
    let request = target("https://hook.example.com/")
        .preview(&[punch("17", 1)])
        .remove(0)
        .unwrap();
    assert!(
        request
            .headers
            .contains(&(SIGNATURE_HEADER.into(), "[hidden]".into()))
    );
}
