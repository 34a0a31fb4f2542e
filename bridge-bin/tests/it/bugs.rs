//! Faults of the systems this one replaces, each with the test that keeps it out. The numbers are those of the list
//! of features and faults; B2 to B5 and B19 are also tested where the rules live.

use bridge_bin::jobs::{poll, process};
use bridge_bin::store::Told;
use bridge_bin::store::days::NewCorrection;
use zk_proto::mock::MockDevice;
use zk_proto::record::{PunchState, VerifyMode};

use crate::support::{Bridge, NAIROBI, date, punch, start, terminal, user};

/// Friday noon in Nairobi.
const NOON: &str = "2026-03-06T09:00:00Z";

#[tokio::test]
async fn b2_every_punch_lands_in_exactly_one_place() {
    let gate = terminal([
        punch("7", "2026-03-03 08:01"),
        punch("7", "2026-03-03 08:01:30"),
        punch("7", "2026-03-03 13:00"),
        punch("7", "2026-03-03 23:00"),
        punch("7", "2026-03-04 03:00"),
        punch("7", "2000-01-01 00:00:09"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;

    let mut placed = std::collections::BTreeMap::new();
    for day in ["2000-01-01", "2026-03-03", "2026-03-04"] {
        for punch in process::why(&bridge.app, "7", date(day))
            .await
            .unwrap()
            .punches
        {
            assert!(!punch.text.is_empty());
            placed.insert(punch.id, punch.disposition);
        }
    }
    assert_eq!(placed.len(), 6, "{placed:?}");
    assert_eq!(
        placed.values().filter(|place| **place == "used").count(),
        4,
        "{placed:?}"
    );
    assert_eq!(
        placed
            .values()
            .filter(|place| **place == "duplicate")
            .count(),
        1,
        "{placed:?}"
    );
    assert_eq!(
        placed.values().filter(|place| **place == "orphan").count(),
        1,
        "{placed:?}"
    );
}

#[tokio::test]
async fn b3_days_follow_the_zone_of_the_site_not_utc() {
    for (zone, offset) in [
        ("America/Los_Angeles", "-08:00"),
        ("Africa/Nairobi", "+03:00"),
        ("Asia/Kathmandu", "+05:45"),
        ("Pacific/Kiritimati", "+14:00"),
    ] {
        let gate = terminal([
            punch("7", "2026-02-03 00:30"),
            punch("8", "2026-02-03 08:00"),
        ])
        .await;
        let config =
            format!("timezone = \"{zone}\"\n[shift]\nstart = \"08:00\"\nend = \"00:30\"\n");
        let bridge = Bridge::new(&config, NOON).await;
        bridge.add("gate", &gate).await;
        bridge.turn().await;
        let night = bridge.record("7", "2026-02-02").await;
        assert_eq!(
            night["clock_out"],
            format!("2026-02-03T00:30:00{offset}"),
            "{zone}"
        );
        let day = bridge.record("8", "2026-02-03").await;
        assert_eq!(
            day["clock_in"],
            format!("2026-02-03T08:00:00{offset}"),
            "{zone}"
        );
    }
}

#[tokio::test]
async fn b4_ten_minutes_before_the_shift_belong_to_that_shift() {
    let gate = terminal([punch("7", "2026-03-03 19:50")]).await;
    let bridge = Bridge::new(
        "timezone = \"Africa/Nairobi\"\n[shift]\nstart = \"20:00\"\nend = \"05:00\"\n",
        NOON,
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["clock_in"], "2026-03-03T19:50:00+03:00");
    assert_eq!(record["status"], "incomplete");
}

#[tokio::test]
async fn b5_lateness_compares_instants_not_clock_times() {
    let gate = terminal([
        punch("7", "2026-03-03 21:30"),
        punch("7", "2026-03-04 05:00"),
        punch("8", "2026-03-03 20:00"),
        punch("8", "2026-03-04 03:30"),
    ])
    .await;
    let bridge = Bridge::new(
        "timezone = \"Africa/Nairobi\"\n[shift]\nstart = \"20:00\"\nend = \"05:00\"\n",
        NOON,
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.record("7", "2026-03-03").await["late_s"], 5_400);
    assert_eq!(
        bridge.record("8", "2026-03-03").await["early_leave_s"],
        5_400
    );
}

#[tokio::test]
async fn b6_reprocessing_keeps_what_a_human_decided() {
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("7", "2026-03-03 18:30"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let wrong = bridge
        .punches("gate")
        .await
        .into_iter()
        .find(|row| Told::from_i64(row.told).to_string().ends_with("18:30:00"))
        .unwrap();
    void(&bridge, wrong.id).await;
    for _ in 0..2 {
        bridge.process().await;
        process::run(
            &bridge.app,
            &process::Options {
                from: Some(date("2026-03-01")),
                to: None,
                dry_run: false,
                stop: None,
            },
        )
        .await
        .unwrap();
        assert_eq!(
            bridge.record("7", "2026-03-03").await["clock_out"],
            "2026-03-03T17:00:00+03:00"
        );
    }
    let why = process::why(&bridge.app, "7", date("2026-03-03"))
        .await
        .unwrap();
    let voided = why
        .punches
        .iter()
        .find(|punch| punch.id == format!("p{}", wrong.id))
        .unwrap();
    assert_eq!(voided.disposition, "voided");
    assert_eq!(
        why.corrections[0].reason,
        "held the card to the reader by mistake"
    );
}

#[tokio::test]
async fn b7_a_fingerprint_is_not_a_check_out() {
    let mut by_finger = punch("7", "2026-03-03 08:00");
    by_finger.verify_mode = VerifyMode::FINGERPRINT;
    by_finger.punch_state = PunchState::CHECK_IN;
    let mut by_face = punch("7", "2026-03-03 17:00");
    by_face.verify_mode = VerifyMode::FACE;
    by_face.punch_state = PunchState::OVERTIME_OUT;
    let gate = terminal([by_finger, by_face]).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;
    let stored = bridge.punches("gate").await;
    let codes: Vec<_> = stored
        .iter()
        .map(|row| (row.verify_mode, row.punch_state))
        .collect();
    assert_eq!(codes, [(1, 0), (15, 5)]);
}

#[tokio::test]
async fn b19_in_at_one_door_and_out_at_the_other_is_one_day() {
    let (front, back) = (
        terminal([punch("7", "2026-03-03 08:00")]).await,
        terminal([punch("7", "2026-03-03 17:00")]).await,
    );
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("front", &front).await;
    bridge.add("back", &back).await;
    bridge.turn().await;
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(
        (record["status"].as_str(), record["worked_s"].as_i64()),
        (Some("present"), Some(9 * 3600))
    );
}

#[tokio::test]
async fn b20_the_same_id_at_two_sites_is_two_people_until_mapped() {
    let head = start(
        MockDevice::builder()
            .user(user(1, "7", "Ana"))
            .punch(punch("7", "2026-03-03 08:00")),
    )
    .await;
    let branch = start(
        MockDevice::builder()
            .user(user(1, "7", "Bo"))
            .punch(punch("7", "2026-03-03 09:00")),
    )
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("head", &head).await;
    bridge.add_to("branch", &branch, "branch", None).await;
    bridge.turn().await;
    assert_eq!(
        bridge.record("7", "2026-03-03").await["clock_in"],
        "2026-03-03T08:00:00+03:00"
    );
    assert_eq!(
        bridge.record("branch/7", "2026-03-03").await["clock_in"],
        "2026-03-03T09:00:00+03:00"
    );
    let names: Vec<_> = bridge
        .app
        .store
        .employees()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.id, row.name.unwrap_or_default(), row.mapped))
        .collect();
    assert_eq!(
        names,
        [
            ("7".to_owned(), "Ana".to_owned(), true),
            ("branch/7".to_owned(), "Bo".to_owned(), false)
        ]
    );

    let device = bridge.app.store.device("branch").await.unwrap();
    bridge
        .app
        .store
        .map_user(
            &device,
            "7",
            "E-42",
            None,
            &(date("2010-01-01")..=date("2026-03-07")),
            0,
        )
        .await
        .unwrap();
    bridge.process().await;
    assert!(
        bridge.records("branch/7", "2026-03-03").await.is_empty(),
        "the stand-in is gone"
    );
    assert_eq!(
        bridge.record("E-42", "2026-03-03").await["clock_in"],
        "2026-03-03T09:00:00+03:00"
    );
    assert_eq!(
        bridge.record("7", "2026-03-03").await["clock_in"],
        "2026-03-03T08:00:00+03:00"
    );
}

#[tokio::test]
async fn b29_a_removed_punch_stays_removed_and_the_raw_row_stays() {
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("7", "2026-03-03 18:30"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let before = bridge.punches("gate").await;
    void(&bridge, before[2].id).await;
    bridge.process().await;
    let full = poll::Options {
        full: true,
        ..Default::default()
    };
    poll::run(&bridge.app, &full).await.unwrap();
    bridge.process().await;
    assert_eq!(
        bridge.punches("gate").await,
        before,
        "raw punches are never changed"
    );
    assert_eq!(
        bridge.record("7", "2026-03-03").await["clock_out"],
        "2026-03-03T17:00:00+03:00"
    );
}

#[tokio::test]
async fn b48_reading_the_whole_log_again_stores_nothing_twice() {
    let double = [
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ];
    let gate = terminal(double).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    let first = bridge.poll().await;
    assert_eq!(
        (first.devices[0].new_records, first.devices[0].repeated),
        (2, 1)
    );
    for full in [false, true, true] {
        let options = poll::Options {
            full,
            ..Default::default()
        };
        let again = poll::run(&bridge.app, &options).await.unwrap();
        assert_eq!(again.devices[0].new_records, 0);
    }
    let stored = bridge.punches("gate").await;
    assert_eq!(
        stored.iter().map(|row| row.repeats).collect::<Vec<_>>(),
        [1, 0],
        "counted once, not stored"
    );
}

#[tokio::test]
async fn b50_a_device_added_while_the_service_runs_is_read() {
    let (front, back) = (
        terminal([punch("7", "2026-03-03 08:00")]).await,
        terminal([punch("8", "2026-03-03 08:00")]).await,
    );
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("front", &front).await;
    assert_eq!(bridge.poll().await.total_devices, 1);
    bridge.add("back", &back).await;
    let report = bridge.poll().await;
    assert_eq!((report.total_devices, report.successful), (2, 2));
    assert_eq!(bridge.punches("back").await.len(), 1);
}

#[tokio::test]
async fn b51_each_poll_has_its_own_connection_and_key() {
    let gate = start(
        MockDevice::builder()
            .comm_key(1234)
            .punch(punch("7", "2026-03-03 08:00")),
    )
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add_to("gate", &gate, "main", Some("1234")).await;
    for polls in 1..=3 {
        assert_eq!(bridge.poll().await.successful, 1);
        let stats = gate.stats();
        assert_eq!((stats.connections_total, stats.connections_max), (polls, 1));
    }
}

#[tokio::test]
async fn b57_the_time_of_the_punch_is_kept_not_the_time_of_the_poll() {
    let gate = terminal([punch("7", "2026-03-03 08:00:17")]).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let stored = bridge.punches("gate").await;
    assert_eq!(
        Told::from_i64(stored[0].told).to_string(),
        "2026-03-03T08:00:17"
    );
    assert_eq!(
        bridge.record("7", "2026-03-03").await["clock_in"],
        "2026-03-03T08:00:17+03:00"
    );
}

async fn void(bridge: &Bridge, punch: i64) {
    let correction = NewCorrection {
        kind: "void_punch",
        target: Some(format!("p{punch}")),
        employee: "7".to_owned(),
        date: date("2026-03-03"),
        told: None,
        state: None,
        value: None,
        by: "hr".to_owned(),
        reason: "held the card to the reader by mistake".to_owned(),
    };
    bridge
        .app
        .store
        .add_correction(correction, 0)
        .await
        .unwrap();
}
