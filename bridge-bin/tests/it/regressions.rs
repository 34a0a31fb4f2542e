//! What a reviewer broke once, each with the test that keeps it whole.

use std::ops::RangeInclusive;
use std::time::Duration;

use bridge_bin::demo::crm_stub::CrmStub;
use bridge_bin::jobs::{poll, sync};
use bridge_bin::store::days::NewCorrection;
use bridge_bin::store::outbox::Selection;
use chrono::NaiveDate;
use zk_proto::mock::{Fault, MockDevice};

use crate::support::{Bridge, NAIROBI, civil, date, punch, start, terminal, user};

const NOON: &str = "2026-03-06T09:00:00Z";

async fn crm() -> CrmStub {
    CrmStub::builder().start().await.unwrap()
}

async fn delivering_to(url: &str, more: &str, now: &str) -> Bridge {
    Bridge::new(
        &format!("{NAIROBI}[crm]\nurl = \"{url}\"\nretry_seconds = 1\n{more}"),
        now,
    )
    .await
}

fn plausible() -> RangeInclusive<NaiveDate> {
    date("2010-01-01")..=date("2026-03-07")
}

fn correction(
    kind: &'static str,
    target: Option<String>,
    employee: &str,
    told: Option<&str>,
) -> NewCorrection {
    NewCorrection {
        kind,
        target,
        employee: employee.into(),
        date: date("2026-03-03"),
        told: told.map(|t| civil(t).into()),
        state: None,
        value: Some("in".into()),
        by: "hr".into(),
        reason: "x".into(),
    }
}

#[tokio::test]
async fn a_full_reading_keeps_the_generation() {
    let gate = terminal([
        punch("7", "2026-03-02 08:00"),
        punch("7", "2026-03-02 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;
    gate.clear_log();
    gate.punch(punch("7", "2026-03-03 08:00"));
    bridge.poll().await;
    let id = bridge.app.store.device("gate").await.unwrap().id;
    let before = bridge
        .app
        .store
        .cursor(id)
        .await
        .unwrap()
        .unwrap()
        .log_generation;
    assert_eq!(before, 2);
    poll::run(
        &bridge.app,
        &poll::Options {
            full: true,
            ..Default::default()
        },
    )
    .await
    .unwrap();
    let after = bridge
        .app
        .store
        .cursor(id)
        .await
        .unwrap()
        .unwrap()
        .log_generation;
    assert!(after >= before, "generation went from {before} to {after}");
}

#[tokio::test]
async fn the_name_a_terminal_knows_is_told_from_the_first_revision_on() {
    let crm = crm().await;
    let gate = start(
        MockDevice::builder()
            .user(user(7, "7", "Ana"))
            .user(user(8, "8", "Bo"))
            .punch(punch("8", "2026-03-02 08:00")),
    )
    .await;
    let mut bridge = delivering_to(&crm.url(), "start_date = \"2026-03-03\"\n", NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    gate.punch(punch("7", "2026-03-03 08:00"));
    gate.punch(punch("7", "2026-03-03 17:00"));
    bridge.turn().await;
    bridge.sync().await;
    let of = || {
        crm.snapshot()
            .records
            .into_iter()
            .find(|r| r.record_id.starts_with("7/2026-03-03/"))
            .unwrap()
    };
    bridge.with("send_days_off = true\n", NOON).await;
    bridge.sync().await;
    assert_eq!(of().content["employee_name"], "Ana");
    assert_eq!(
        bridge
            .app
            .store
            .employee("7")
            .await
            .unwrap()
            .unwrap()
            .name
            .as_deref(),
        Some("Ana")
    );
}

#[tokio::test]
async fn mapping_somebody_with_an_implausible_punch_makes_no_days_of_decades() {
    let gate = terminal([
        punch("7", "2000-01-02 00:05"),
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let device = bridge.app.store.device("gate").await.unwrap();
    bridge
        .app
        .store
        .map_user(&device, "7", "E-7", None, &plausible(), 0)
        .await
        .unwrap();
    bridge.process().await;
    let ids = bridge.app.store.records_of("E-7").await.unwrap();
    assert!(ids.len() < 20);
}

#[tokio::test]
async fn a_stand_in_that_was_just_mapped_is_not_sent() {
    let crm = crm().await;
    let branch = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(&crm.url(), "", NOON).await;
    bridge.add_to("branch", &branch, "branch", None).await;
    bridge.turn().await;
    let device = bridge.app.store.device("branch").await.unwrap();
    bridge
        .app
        .store
        .map_user(&device, "7", "E-7", None, &plausible(), 0)
        .await
        .unwrap();
    bridge.sync().await;
    let told: Vec<_> = crm
        .snapshot()
        .records
        .iter()
        .map(|r| r.record_id.clone())
        .collect();
    assert!(!told.iter().any(|id| id.starts_with("branch")), "{told:?}");
}

#[tokio::test]
async fn who_loses_punches_to_another_person_is_not_absent_before_their_own() {
    // head: 7 since March 3; annex (also main): another 7 since Feb 2.
    let head = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let annex = terminal([
        punch("7", "2026-02-02 08:00"),
        punch("7", "2026-02-02 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("head", &head).await;
    bridge.add("annex", &annex).await;
    bridge.turn().await;
    let device = bridge.app.store.device("annex").await.unwrap();
    bridge
        .app
        .store
        .map_user(&device, "7", "E-9", None, &plausible(), 0)
        .await
        .unwrap();
    bridge.process().await;
    let record = bridge.records("7", "2026-02-10").await;
    assert!(
        record.is_empty(),
        "{:?}",
        record
            .iter()
            .map(|r| r["status"].clone())
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_internal_number_that_passed_to_somebody_else_is_theirs() {
    let b = || {
        MockDevice::builder()
            .attendance_width(8)
            .user_width(28)
            .serial("S1")
    };
    let one = start(
        b().user(user(5, "17", "Ana"))
            .punch(punch("5", "2026-03-02 08:00")),
    )
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &one).await;
    bridge.poll().await;
    let two = start(b().user(user(5, "23", "Bo")).records([
        punch("5", "2026-03-02 08:00"),
        punch("5", "2026-03-03 08:00"),
    ]))
    .await;
    let mut device = bridge.app.store.device("gate").await.unwrap();
    device.address = two.addr().to_string();
    bridge.app.store.update_device(device).await.unwrap();
    assert_eq!(bridge.poll().await.successful, 1);
    let users: Vec<_> = bridge
        .punches("gate")
        .await
        .into_iter()
        .map(|p| p.user_id)
        .collect();
    assert_eq!(users, ["17", "23"]);
}

#[tokio::test]
async fn records_that_break_the_server_do_not_block_the_others() {
    use axum::{Json, Router, http::StatusCode, routing::post};
    let app = Router::new().route(
        "/",
        post(|Json(body): Json<serde_json::Value>| async move {
            let id: u32 = body["user_id"].as_str().unwrap().parse().unwrap();
            if id <= 100 {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::CREATED
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let punches = (1..=120).flat_map(|id| {
        let id = format!("{id:03}");
        [
            punch(&id, "2026-03-03 08:00"),
            punch(&id, "2026-03-03 17:00"),
        ]
    });
    let gate = terminal(punches).await;
    let bridge = delivering_to(
        &url,
        "start_date = \"2026-03-03\"\n",
        "2026-03-03T20:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    for _ in 0..4 {
        // As `zk-bridge sync` asks.
        let options = sync::Options {
            selection: Selection {
                not_due: true,
                ..Default::default()
            },
            although_paused: true,
            ..Default::default()
        };
        sync::run(&bridge.app, &options).await.unwrap();
    }
    let stats = sync::stats(&bridge.app).await.unwrap();
    assert_eq!(stats.synced, 20, "{stats:?}");
}

#[tokio::test]
async fn a_crm_that_asks_to_be_left_alone_is() {
    use axum::{Router, http::StatusCode, routing::post};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let app = Router::new().route(
        "/",
        post(move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if n == 0 {
                    (StatusCode::CREATED, [("x-a", "1")])
                } else {
                    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")])
                }
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let punches = (1..=350).flat_map(|id| {
        let id = format!("{id:03}");
        [
            punch(&id, "2026-03-03 08:00"),
            punch(&id, "2026-03-03 17:00"),
        ]
    });
    let gate = terminal(punches).await;
    let bridge = delivering_to(
        &url,
        "start_date = \"2026-03-03\"\n",
        "2026-03-03T20:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let first = seen.load(Ordering::SeqCst);
    // As `zk-bridge sync` asks; the scheduler waits without a word.
    let (_shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    let by_hand = sync::Options {
        although_paused: true,
        stop: Some(stop),
        ..sync::Options::default()
    };
    let again = sync::run(&bridge.app, &by_hand).await;
    assert_eq!(
        bridge_bin::Failure::of(&again.unwrap_err()).kind,
        "crm_rests"
    );
    let by_itself = sync::run(&bridge.app, &sync::Options::default()).await;
    assert_eq!(by_itself.unwrap().total, 0);
    let second = seen.load(Ordering::SeqCst);
    assert_eq!((first, second), (2, 2));
}

#[tokio::test]
async fn a_punch_added_by_hand_for_somebody_never_seen_makes_a_day() {
    let bridge = Bridge::new(NAIROBI, NOON).await;
    for at in ["2026-03-03 08:00", "2026-03-03 17:00"] {
        bridge
            .app
            .store
            .add_correction(
                NewCorrection {
                    kind: "add_punch",
                    target: None,
                    employee: "9".into(),
                    date: date("2026-03-03"),
                    told: Some(civil(at).into()),
                    state: None,
                    value: None,
                    by: "hr".into(),
                    reason: "forgot".into(),
                },
                0,
            )
            .await
            .unwrap();
    }
    bridge.process().await;
    assert_eq!(bridge.records("9", "2026-03-03").await.len(), 1);
}

#[tokio::test]
async fn what_a_human_added_survives_a_mapping() {
    let gate = terminal([
        punch("7", "2026-03-02 08:00"),
        punch("7", "2026-03-02 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    for at in ["2026-03-03 08:00", "2026-03-03 17:00"] {
        bridge
            .app
            .store
            .add_correction(
                NewCorrection {
                    kind: "add_punch",
                    target: None,
                    employee: "7".into(),
                    date: date("2026-03-03"),
                    told: Some(civil(at).into()),
                    state: None,
                    value: None,
                    by: "hr".into(),
                    reason: "forgot".into(),
                },
                0,
            )
            .await
            .unwrap();
    }
    bridge.process().await;
    assert_eq!(bridge.record("7", "2026-03-03").await["status"], "present");
    let device = bridge.app.store.device("gate").await.unwrap();
    bridge
        .app
        .store
        .map_user(&device, "7", "E-7", None, &plausible(), 0)
        .await
        .unwrap();
    bridge.process().await;
    assert_eq!(
        bridge.records("7", "2026-03-03").await.len(),
        1,
        "the human's punches are gone"
    );
}

#[tokio::test]
async fn a_broken_transfer_is_no_cleared_log() {
    let all: Vec<_> = (1..=28)
        .flat_map(|d| {
            [
                punch("7", &format!("2026-02-{d:02} 08:00")),
                punch("7", &format!("2026-02-{d:02} 17:00")),
            ]
        })
        .collect();
    let gate = terminal(all).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;
    let id = bridge.app.store.device("gate").await.unwrap().id;
    gate.fault(Fault::truncate_log(100));
    bridge.poll().await;
    let c = bridge.app.store.cursor(id).await.unwrap().unwrap();
    assert_eq!((c.log_generation, c.records), (1, 56));
}

#[tokio::test]
async fn a_slow_terminal_does_not_hold_the_others() {
    let slow = start(
        MockDevice::builder()
            .generate(1, 20, 3000)
            .fault(Fault::delay(Duration::from_millis(2500))),
    )
    .await;
    let fast = start(MockDevice::builder().generate(2, 20, 30)).await;
    let bridge = Bridge::new("timezone = \"Africa/Nairobi\"\n[polling]\ntimeout_seconds = 3\n[schedule]\npoll = \"* * * * * *\"\nprocess = \"0 0 1 1 *\"\n", "2026-11-06T09:00:00Z").await;
    bridge.add("slow", &slow).await;
    bridge.add("fast", &fast).await;
    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    bridge_bin::scheduler::install(&bridge.app).await.unwrap();
    let running = tokio::spawn(bridge_bin::scheduler::run(bridge.app.clone(), stop));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let polls = fast.stats().connections_total;
    shutdown.stop();
    running.abort();
    assert!(polls >= 5, "{polls}");
}

#[tokio::test]
async fn a_look_at_the_last_hours_counts_no_repeat_twice() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;
    gate.punch(punch("7", "2026-03-05 08:00"));
    for _ in 0..3 {
        poll::run(
            &bridge.app,
            &poll::Options {
                since_hours: Some(100_000),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    }
    bridge.poll().await;
    assert_eq!(bridge.punches("gate").await[0].repeats, 1);
}

#[tokio::test]
async fn a_broken_template_that_nobody_has_stops_nobody() {
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("8", "2026-03-03 08:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge
        .app
        .store
        .set_template("nobody-has-it", "{}".into())
        .await
        .unwrap();
    let report = bridge.turn().await;
    assert_eq!(report.failed, 0, "{report:?}");
}

#[tokio::test]
async fn an_undo_in_the_same_second_holds() {
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    for n in 0..8 {
        bridge
            .app
            .store
            .add_correction(
                correction("add_punch", None, "99", Some("2026-03-03 09:00")),
                n,
            )
            .await
            .unwrap();
    }
    let last = bridge.punches("gate").await[1].id;
    let id = bridge
        .app
        .store
        .add_correction(
            correction("void_punch", Some(format!("p{last}")), "7", None),
            100,
        )
        .await
        .unwrap();
    assert_eq!(id, 9);
    bridge
        .app
        .store
        .add_correction(correction("undo", Some(format!("c{id}")), "7", None), 100)
        .await
        .unwrap();
    bridge.process().await;
    assert_eq!(
        bridge.record("7", "2026-03-03").await["clock_out"],
        "2026-03-03T17:00:00+03:00"
    );
}

#[tokio::test]
async fn a_kind_that_has_no_influence_is_refused() {
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let first = bridge.punches("gate").await[0].id;
    let added = bridge
        .app
        .store
        .add_correction(
            correction("set_kind", Some(format!("p{first}")), "7", None),
            0,
        )
        .await;
    gate.punch(punch("7", "2026-03-05 08:00"));
    let report = bridge.turn().await;
    assert!(added.is_err() || report.failed == 0, "{report:?}");
}

#[tokio::test]
async fn a_long_log_is_stored_under_a_short_lease() {
    let gate = start(MockDevice::builder().generate(1, 50, 8_000)).await;
    let bridge = Bridge::new(
        "timezone = \"Africa/Nairobi\"\n[polling]\nlease_seconds = 4\n",
        "2026-11-06T09:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    assert_eq!(bridge.poll().await.successful, 1);
    let again = poll::run(
        &bridge.app,
        &poll::Options {
            full: true,
            ..Default::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(again.successful, 1, "{again:?}");
}
