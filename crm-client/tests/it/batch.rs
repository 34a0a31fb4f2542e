//! Batch first, then smaller, then one by one (S152).

use crm_client::{Connector, Crm, IdempotencyKey, Outcome, Target};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::wire::{entries, options};

fn batch_client(server: &MockServer) -> Target {
    let mut options = options(&format!("{}/one", server.uri()));
    let batch_url = Some(format!("{}/many", server.uri()));
    options.connector = Connector::Json { batch_url };
    Target::new(options).unwrap()
}

fn records(request: &Request) -> Vec<Value> {
    let body: Value = request.body_json().unwrap();
    assert_eq!(body["schema"], 1);
    body["records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_batch_is_one_request_under_the_key_of_its_keys() {
    let server = MockServer::start().await;
    Mock::given(path("/many"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let entries = entries(5);
    let outcomes = batch_client(&server).push(&entries).await.unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let key = IdempotencyKey::of_batch(entries.iter().map(crm_client::Entry::key));
    assert_eq!(requests[0].headers["idempotency-key"], key.as_str());
    let keys: Vec<_> = records(&requests[0])
        .iter()
        .map(|record| record["idempotency_key"].clone())
        .collect();
    assert_eq!(
        keys,
        entries
            .iter()
            .map(|entry| json!(entry.key().as_str()))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn one_bad_record_in_a_batch_is_found_by_splitting_and_judged_alone() {
    let server = MockServer::start().await;
    let refuse_3 = |request: &Request| {
        let bad = records(request)
            .iter()
            .any(|record| record["user_id"] == "3");
        ResponseTemplate::new(if bad { 400 } else { 200 })
    };
    Mock::given(path("/many"))
        .respond_with(refuse_3)
        .mount(&server)
        .await;
    let refuse_alone = |request: &Request| {
        let record: Value = request.body_json().unwrap();
        match record["user_id"].as_str() {
            Some("3") => {
                ResponseTemplate::new(422).set_body_json(json!({"message": "no such employee"}))
            }
            _ => ResponseTemplate::new(201),
        }
    };
    Mock::given(path("/one"))
        .respond_with(refuse_alone)
        .mount(&server)
        .await;
    let outcomes = batch_client(&server).push(&entries(8)).await.unwrap();
    let refused = Outcome::Rejected {
        reason: "the target answered 422: no such employee".into(),
    };
    assert_eq!(outcomes[3], refused);
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| outcome.is_delivered())
            .count(),
        7
    );
}

#[tokio::test]
async fn a_batch_too_large_is_halved() {
    let server = MockServer::start().await;
    let at_most_3 = |request: &Request| {
        ResponseTemplate::new(if records(request).len() > 3 { 413 } else { 200 })
    };
    Mock::given(path("/many"))
        .respond_with(at_most_3)
        .mount(&server)
        .await;
    let outcomes = batch_client(&server).push(&entries(10)).await.unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
    let sizes: Vec<_> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|request| records(request).len())
        .collect();
    assert_eq!(sizes, [10, 5, 2, 3, 5, 2, 3]);
}

#[tokio::test]
async fn a_target_that_knows_no_batches_gets_single_entries() {
    let server = MockServer::start().await;
    Mock::given(path("/many"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    Mock::given(path("/one"))
        .respond_with(ResponseTemplate::new(201))
        .expect(3)
        .mount(&server)
        .await;
    let outcomes = batch_client(&server).push(&entries(3)).await.unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
}
