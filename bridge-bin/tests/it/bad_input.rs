//! What a hostile or broken terminal can do to a poll: nothing is lost, others are unaffected, and the error says
//! what to do.

use zk_proto::mock::{Fault, MockDevice};
use zk_proto::record::Attendance;
use zk_proto::wire::PackedTime;

use bridge_bin::jobs::poll::DevicePoll;
use bridge_bin::jobs::process;

use crate::support::{Bridge, NAIROBI, date, punch, start, terminal};

const NOON: &str = "2026-03-06T09:00:00Z";
const IMPATIENT: &str = "timezone = \"Africa/Nairobi\"\n[polling]\ntimeout_seconds = 1\n";

fn month() -> Vec<Attendance> {
    (1..=28)
        .flat_map(|day| {
            [
                punch("7", &format!("2026-02-{day:02} 08:00")),
                punch("7", &format!("2026-02-{day:02} 17:00")),
            ]
        })
        .collect()
}

/// Polls a terminal with a fault beside a good one, which must be read whole.
async fn with_fault(fault: Fault) -> (DevicePoll, usize) {
    let bad = start(MockDevice::builder().records(month()).fault(fault)).await;
    let good = terminal(month()).await;
    let bridge = Bridge::new(IMPATIENT, NOON).await;
    bridge.add("bad", &bad).await;
    bridge.add("good", &good).await;
    let mut report = bridge.poll().await;
    assert_eq!(report.devices[1].status, "ok", "{report:?}");
    assert_eq!(bridge.punches("good").await.len(), 56);
    let stored = bridge.punches("bad").await.len();

    // The fault gone, everything comes.
    bad.clear_faults();
    let healed = bridge.poll().await;
    assert_eq!(healed.devices[0].status, "ok", "{healed:?}");
    assert_eq!(bridge.punches("bad").await.len(), 56);
    (report.devices.remove(0), stored)
}

fn kind(poll: &DevicePoll) -> &str {
    let error = poll.error.as_ref().expect("an error");
    assert!(
        !error.message.is_empty() && !error.remedy.is_empty(),
        "{error:?}"
    );
    &error.kind
}

#[tokio::test]
async fn garbage_is_named() {
    let (poll, _) = with_fault(Fault::garbage()).await;
    assert_eq!((poll.status, kind(&poll)), ("error", "not_a_frame"));
}

#[tokio::test]
async fn an_absurd_length_is_refused() {
    let (poll, _) = with_fault(Fault::absurd_length()).await;
    assert_eq!(poll.status, "error");
    assert!(
        poll.error
            .as_ref()
            .unwrap()
            .message
            .contains("are accepted"),
        "{poll:?}"
    );
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let (poll, _) = with_fault(Fault::silence()).await;
    assert_eq!((poll.status, kind(&poll)), ("error", "timeout"));
}

#[tokio::test]
async fn a_corrupt_checksum_is_refused() {
    let (poll, _) = with_fault(Fault::corrupt_checksum()).await;
    assert_eq!((poll.status, kind(&poll)), ("error", "checksum"));
}

#[tokio::test]
async fn a_truncated_log_is_partial_and_keeps_what_came() {
    let (poll, stored) = with_fault(Fault::truncate_log(100)).await;
    assert_eq!(poll.status, "partial", "{poll:?}");
    assert!(stored < 56, "{stored} stored");
    assert!(poll.error.is_some());
}

#[tokio::test]
async fn a_lost_connection_loses_nothing() {
    let (poll, _) = with_fault(Fault::drop_after(700)).await;
    assert_eq!((poll.status, kind(&poll)), ("error", "connection_lost"));
}

#[tokio::test]
async fn secured_firmware_is_named() {
    let (poll, _) = with_fault(Fault::secured()).await;
    assert_eq!(poll.status, "error");
    assert!(
        poll.error
            .as_ref()
            .unwrap()
            .message
            .contains("secured firmware"),
        "{poll:?}"
    );
}

#[tokio::test]
async fn an_access_panel_is_named() {
    let (poll, _) = with_fault(Fault::panel()).await;
    assert_eq!(poll.status, "error");
    assert!(
        poll.error
            .as_ref()
            .unwrap()
            .message
            .contains("access panel"),
        "{poll:?}"
    );
}

#[tokio::test]
async fn a_counter_that_promises_more_flags_the_poll_once() {
    let bad = start(
        MockDevice::builder()
            .records(month())
            .fault(Fault::wrong_counters(60)),
    )
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &bad).await;
    let first = bridge.poll().await;
    assert_eq!(
        (first.devices[0].status, kind(&first.devices[0])),
        ("partial", "counters_disagree")
    );
    assert_eq!(bridge.punches("gate").await.len(), 56);
    let second = bridge.poll().await;
    assert_eq!(second.devices[0].status, "ok", "known by now: {second:?}");
}

#[tokio::test]
async fn a_wrong_comm_key_says_where_to_look() {
    let gate = start(MockDevice::builder().comm_key(1234).records(month())).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add_to("gate", &gate, "main", Some("4321")).await;
    let report = bridge.poll().await;
    assert_eq!(kind(&report.devices[0]), "wrong_comm_key");
    let shown = format!("{report:?}");
    assert!(
        !shown.contains("4321") && !shown.contains("1234"),
        "no key in an error"
    );
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add_address("gate", &nobody, "main", None).await;
    let report = bridge.poll().await;
    assert_eq!(
        (report.failed, kind(&report.devices[0])),
        (1, "connection_refused")
    );
    assert!(
        bridge
            .app
            .store
            .device("gate")
            .await
            .unwrap()
            .last_error
            .is_some()
    );
}

#[tokio::test]
async fn a_secondary_address_is_tried() {
    let gate = terminal(month()).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add_address("gate", &nobody, "main", None).await;
    let mut device = bridge.app.store.device("gate").await.unwrap();
    device.secondary_address = Some(gate.addr().to_string());
    bridge.app.store.update_device(device).await.unwrap();
    assert_eq!(bridge.poll().await.successful, 1);
}

#[tokio::test]
async fn impossible_dates_are_kept_apart_and_the_rest_is_read() {
    let mut february_30 = punch("7", "2026-03-03 10:00");
    // (26 × 12 + 1) × 31 + 29 days: 30 February 2026.
    february_30.time = PackedTime(((26 * 12 + 1) * 31 + 29) * 86_400 + 36_000);
    let gate = terminal([
        punch("7", "2000-01-01 00:00"),
        february_30,
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    let report = bridge.turn().await;
    assert_eq!(report.failed, 0);
    assert_eq!(bridge.punches("gate").await.len(), 4);
    assert_eq!(bridge.record("7", "2026-03-03").await["punch_count"], 2);
    let why = process::why(&bridge.app, "7", date("2026-03-01"))
        .await
        .unwrap();
    let kept: Vec<_> = why
        .punches
        .iter()
        .map(|punch| (punch.time.as_str(), punch.reason.as_deref()))
        .collect();
    assert_eq!(kept, [("2026-02-30T10:00:00", Some("implausible_time"))]);
}

#[tokio::test]
async fn another_terminal_at_the_same_address_is_refused() {
    let first = start(MockDevice::builder().serial("AAA").records(month())).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &first).await;
    bridge.poll().await;
    let second = start(
        MockDevice::builder()
            .serial("BBB")
            .punch(punch("9", "2026-03-03 08:00")),
    )
    .await;
    let mut device = bridge.app.store.device("gate").await.unwrap();
    device.address = second.addr().to_string();
    bridge.app.store.update_device(device).await.unwrap();
    let report = bridge.poll().await;
    assert_eq!(kind(&report.devices[0]), "other_terminal");
    assert_eq!(bridge.punches("gate").await.len(), 56);
}
