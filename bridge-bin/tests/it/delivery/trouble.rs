//! Targets, and single records, in trouble.

use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_bin::demo::crm_stub::{CrmStub, Fault};
use bridge_bin::jobs::sync;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::store::outbox::{Selection, state};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};
use zk_proto::mock::MockDevice;

use super::{FRIDAY_NOON, crm, fail, held, stub, waiting, webhook};
use crate::support::{Bridge, NAIROBI, punch, terminal};

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
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
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

#[tokio::test]
async fn p6_a_target_in_trouble_delays_no_other() {
    let (good, bad) = (stub().await, stub().await);
    bad.fail(fail(
        Fault::Status(axum::http::StatusCode::UNAUTHORIZED),
        100,
    ));
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let toml = format!("{NAIROBI}{}{}", crm(&bad), webhook("hr", "day", &good));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;

    let report = bridge.sync().await;
    let errors: Vec<(&str, bool)> = report
        .targets
        .iter()
        .map(|part| (part.target.as_str(), part.error.is_some()))
        .collect();
    assert_eq!(errors, [("crm", true), ("hr", false)]);
    assert!(held(&bad).is_empty());
    assert_eq!(
        held(&good)
            .iter()
            .filter(|record| record.content["date"] == "2026-03-03")
            .count(),
        1
    );
    assert!(bridge.is_paused("crm").await);
    assert!(!bridge.is_paused("hr").await);
}

#[tokio::test]
async fn a_target_that_is_down_is_not_asked_with_every_record() {
    let hr = stub().await;
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::SERVICE_UNAVAILABLE),
        1_000,
    ));
    let punches = (1..=60).flat_map(|id| {
        let id = format!("{id:02}");
        [
            punch(&id, "2026-03-05 08:00"),
            punch(&id, "2026-03-05 17:00"),
        ]
    });
    let gate = terminal(punches).await;
    let toml = format!(
        "{NAIROBI}{}batch_size = 10\nstart_date = \"2026-03-05\"\n",
        crm(&hr)
    );
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let options = sync::Options::default();
    sync::run(&bridge.app, &options).await.unwrap();
    assert!(hr.snapshot().requests <= 30, "three pushes, then a rest");
    assert!(bridge.is_paused("crm").await);

    let before = hr.snapshot().requests;
    let report = bridge.sync().await;
    assert_eq!(report.total, 1, "one record asks whether it is back");
    assert_eq!(hr.snapshot().requests, before + 1);
}

#[tokio::test]
async fn b72_one_error_stops_nothing_and_is_tried_again() {
    let hr = stub().await;
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
        1,
    ));
    let gate = terminal(["1", "2", "3"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!("{NAIROBI}{}start_date = \"2026-03-05\"\n", crm(&hr));
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let report = bridge.sync().await;
    assert_eq!((report.successful, report.failed), (2, 1));
    let options = sync::Options {
        selection: Selection {
            not_due: true,
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(
        sync::run(&bridge.app, &options).await.unwrap().successful,
        1
    );
}

/// A target with a row of each of these people waiting, and paused as if it had been in trouble.
pub(super) async fn in_trouble(hr: &CrmStub, people: &[&str]) -> Bridge {
    let gate = terminal(people.iter().map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!("{NAIROBI}{}start_date = \"2026-03-05\"\n", crm(hr));
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    // The target is remembered as it is told for the first time, here nothing.
    let nothing = sync::Options {
        limit: Some(0),
        ..Default::default()
    };
    sync::run(&bridge.app, &nothing).await.unwrap();
    let now = bridge.app.clock.now();
    let store = &bridge.app.store;
    store
        .note_target("crm", Some(("it was down", 60)), now)
        .await
        .unwrap();
    bridge
}

#[tokio::test]
async fn p6_a_record_that_always_fails_is_not_probed_again_while_others_wait() {
    let hr = stub().await;
    let bridge = in_trouble(&hr, &["1", "2", "3"]).await;
    let options = sync::Options {
        although_paused: true,
        selection: Selection {
            not_due: true,
            ..Default::default()
        },
        ..Default::default()
    };
    for expected in [[1, 0, 0], [1, 1, 0]] {
        hr.fail(fail(
            Fault::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
            1,
        ));
        assert_eq!(sync::run(&bridge.app, &options).await.unwrap().total, 1);
        let attempts: Vec<i32> = waiting(&bridge)
            .await
            .into_iter()
            .map(|row| row.1)
            .collect();
        assert_eq!(attempts, expected);
    }
    // A refusal is an answer as well: the target is back.
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::UNPROCESSABLE_ENTITY),
        1,
    ));
    let report = sync::run(&bridge.app, &options).await.unwrap();
    assert_eq!((report.successful, report.failed), (2, 1), "{report:?}");
    assert!(waiting(&bridge).await.is_empty());
}

#[tokio::test]
async fn p6_a_record_that_the_target_takes_for_its_own_trouble_makes_way() {
    let hr = stub().await;
    let bridge = in_trouble(&hr, &["1", "2", "3"]).await;
    hr.fail(fail(Fault::Status(axum::http::StatusCode::FORBIDDEN), 1));
    let options = sync::Options {
        although_paused: true,
        ..Default::default()
    };
    assert!(sync::run(&bridge.app, &options).await.is_err());
    assert_eq!(bridge.sync().await.successful, 2);
    assert_eq!(waiting(&bridge).await, [("1".to_owned(), 0)]);
}

#[tokio::test]
async fn p6_a_target_that_is_not_there_is_left_alone() {
    let gate = terminal(["1", "2"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    // Nobody listens there.
    let toml =
        format!("{NAIROBI}[crm]\nurl = \"http://127.0.0.1:9/\"\nstart_date = \"2026-03-05\"\n");
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.failed, 2);
    assert!(bridge.is_paused("crm").await);
}

#[tokio::test]
async fn what_waits_untried_is_due_as_well() {
    let hr = stub().await;
    let bridge = in_trouble(&hr, &["1"]).await;
    assert_eq!(waiting(&bridge).await, [("1".to_owned(), 0)]);
    let next = bridge.app.store.next_retry("crm").await.unwrap();
    assert!(next.is_some_and(|at| at <= bridge.app.clock.now()));
}

#[tokio::test]
async fn a_delivery_that_cannot_begin_is_not_tried_every_few_seconds() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "day", &hr));
    let mut bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
        100,
    ));
    bridge.sync().await;
    bridge.toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    bridge.at(FRIDAY_NOON).await;

    let (shutdown, stop) = Shutdown::new();
    bridge_bin::scheduler::install(&bridge.app).await.unwrap();
    let running = tokio::spawn(bridge_bin::scheduler::run(bridge.app.clone(), stop));
    let (now, store) = (bridge.app.clock.now(), &bridge.app.store);
    let next = loop {
        let due = store.due_targets().await.unwrap();
        match due.get("hr").and_then(|row| row.due_at) {
            Some(at) if at > now => break at,
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    assert!(next >= now + 300, "{}", next - now);
    shutdown.stop();
    running.await.unwrap();
}
