//! Targets, and single records, in trouble.

use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_bin::jobs::sync;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::store::outbox::{Selection, state};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};
use zk_proto::mock::MockDevice;

use super::{NAIROBI, stub, waiting};
use crate::support::{Bridge, punch, terminal};

const EVENING: &str = "2026-03-05T20:00:00Z";

/// A bridge with a record of each of these people for the target at `url`, and their terminal.
async fn with_records(url: &str, people: &[&str]) -> (Bridge, MockDevice) {
    let gate = terminal(people.iter().map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!("{NAIROBI}[crm]\nurl = \"{url}\"\nstart_date = \"2026-03-05\"\n");
    let bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    (bridge, gate)
}

/// A delivery that a person asks for: it does not wait for its time.
async fn asked_for(bridge: &Bridge) -> sync::Report {
    let options = sync::Options {
        although_paused: true,
        selection: Selection {
            not_due: true,
            ..Default::default()
        },
        ..Default::default()
    };
    sync::run(&bridge.app, &options).await.unwrap()
}

async fn states(bridge: &Bridge) -> Vec<(String, String)> {
    let rows = bridge.app.store.delivery_on("crm", "2026-03-05").await;
    let rows = rows.unwrap().into_iter();
    rows.map(|row| (row.employee, row.state)).collect()
}

/// Forbids what is told of one person.
async fn forbidding(person: &str) -> MockServer {
    let server = MockServer::start().await;
    let theirs = format!("\"user_id\":\"{person}\"");
    let respond = move |request: &Request| {
        let is_theirs = String::from_utf8_lossy(&request.body).contains(&theirs);
        ResponseTemplate::new(if is_theirs { 403 } else { 201 })
    };
    Mock::given(method("POST"))
        .respond_with(respond)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_target_that_is_not_there_rests_after_three_deliveries_whoever_makes_them() {
    let (mut bridge, _gate) = with_records("http://127.0.0.1:9/", &["1"]).await;
    for is_paused in [false, false, true] {
        // As another node, or after a restart.
        bridge.at(EVENING).await;
        assert_eq!(asked_for(&bridge).await.failed, 1);
        assert_eq!(bridge.is_paused("crm").await, is_paused);
    }
    let left = sync::Options::default();
    assert_eq!(sync::run(&bridge.app, &left).await.unwrap().total, 0);
}

#[tokio::test]
async fn p6_a_record_that_the_target_stumbles_over_alone_pauses_nothing() {
    let hr = stub().await;
    hr.fail(super::fail(
        super::Fault::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
        4,
    ));
    let (bridge, _gate) = with_records(&hr.url(), &["1"]).await;
    for _ in 0..4 {
        assert_eq!(asked_for(&bridge).await.failed, 1);
        assert!(!bridge.is_paused("crm").await);
    }
}

#[tokio::test]
async fn p6_a_403_of_one_record_is_its_refusal() {
    let server = forbidding("1").await;
    let (bridge, _gate) = with_records(&server.uri(), &["1", "2", "3"]).await;
    let report = bridge.sync().await;
    assert_eq!((report.successful, report.failed), (2, 1), "{report:?}");
    assert!(!bridge.is_paused("crm").await);
    assert!(
        states(&bridge)
            .await
            .contains(&("1".to_owned(), state::REJECTED.to_owned()))
    );
}

#[tokio::test]
async fn p6_a_403_that_comes_again_after_others_were_taken_is_a_refusal_too() {
    let server = forbidding("1").await;
    let (bridge, gate) = with_records(&server.uri(), &["1"]).await;
    // Alone it may be about all: a token without rights.
    assert!(
        sync::run(&bridge.app, &sync::Options::default())
            .await
            .is_err()
    );
    assert!(bridge.is_paused("crm").await);
    assert_eq!(waiting(&bridge).await, [("1".to_owned(), 0)]);

    gate.punch(punch("2", "2026-03-05 08:00"));
    assert_eq!(bridge.turn().await.queued, 1);
    let report = bridge.sync().await;
    assert_eq!((report.successful, report.failed), (1, 1), "{report:?}");
    let rows = states(&bridge).await;
    assert!(
        rows.contains(&("1".to_owned(), state::REJECTED.to_owned())),
        "{rows:?}"
    );
    assert!(!bridge.is_paused("crm").await);
}

#[tokio::test]
async fn a_token_without_rights_refuses_no_record() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let people = ["1", "2", "3", "4", "5"];
    let (bridge, _gate) = with_records(&server.uri(), &people).await;
    for _ in 0..3 {
        let options = sync::Options {
            although_paused: true,
            ..Default::default()
        };
        assert!(sync::run(&bridge.app, &options).await.is_err());
        assert!(bridge.is_paused("crm").await);
    }
    assert_eq!(waiting(&bridge).await, people.map(|id| (id.to_owned(), 0)));
}

#[tokio::test]
async fn a_delivery_that_is_stopped_sends_no_more_and_writes_down_what_was_answered() {
    let server = MockServer::start().await;
    let (shutdown, stop) = Shutdown::new();
    let asked = AtomicUsize::new(0);
    let respond = move |_: &Request| {
        if asked.fetch_add(1, Ordering::Relaxed) == 2 {
            shutdown.stop();
        }
        ResponseTemplate::new(201)
    };
    Mock::given(method("POST"))
        .respond_with(respond)
        .mount(&server)
        .await;
    let (bridge, _gate) = with_records(&server.uri(), &["1", "2", "3", "4", "5", "6"]).await;
    let options = sync::Options {
        stop: Some(stop),
        ..Default::default()
    };
    let report = sync::run(&bridge.app, &options).await.unwrap();
    assert_eq!((report.total, report.successful), (3, 3), "{report:?}");
    assert_eq!(
        waiting(&bridge).await,
        ["4", "5", "6"].map(|id| (id.to_owned(), 0))
    );
    assert!(!bridge.is_paused("crm").await);
    assert_eq!(bridge.sync().await.successful, 3, "all of it is still due");
}
