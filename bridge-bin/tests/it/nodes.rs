//! Several nodes on one store: who reads which terminal, what is due, and who says when.

use std::time::Duration;

use bridge_bin::scheduler;
use bridge_bin::store::Store;
use bridge_bin::store::due::Wanted;
use bridge_bin::store::schedule::{self, Change};

use sea_orm::ConnectionTrait;

use crate::support::{Bridge, NAIROBI, punch, terminal};

const NOON: &str = "2026-03-06T09:00:00Z";

async fn claim(store: &Store, holder: &str, limit: u64, now_ms: i64) -> Vec<String> {
    let wanted = Wanted {
        holder,
        term_ms: 10_000,
        limit,
        except: &[],
    };
    let claimed = store.claim_due(wanted, now_ms).await.unwrap();
    claimed.into_iter().map(|(device, _)| device.name).collect()
}

macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Bridge::new(super::NAIROBI, super::NOON).await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(url) = crate::postgres::database().await {
                    super::$test(super::Bridge::on(&url, super::NAIROBI, super::NOON).await).await;
                }
            })+
        }
    };
}

on_both! {
    due_terminals_are_shared_and_those_of_a_dead_node_come_back,
    a_terminal_is_due_once_a_schedule_and_at_once_when_it_is_new_or_changed,
    p6_a_terminal_that_fails_is_tried_ever_more_rarely_and_delays_no_other,
    work_that_comes_during_a_run_is_not_taken_for_done,
    s56_a_schedule_set_at_run_time_stays_until_the_configuration_says_something_else,
    what_a_reading_brought_is_assessed_without_waiting_for_its_hour,
}

async fn with_gates(bridge: Bridge, gates: usize) -> Bridge {
    for gate in 0..gates {
        bridge
            .add_address(&format!("gate-{gate}"), "127.0.0.1:9", "main", None)
            .await;
    }
    bridge
}

async fn due_terminals_are_shared_and_those_of_a_dead_node_come_back(bridge: Bridge) {
    let bridge = with_gates(bridge, 5).await;
    let store = &bridge.app.store;
    let now = bridge.app.clock.now_ms();
    assert_eq!(claim(store, "a", 2, now).await, ["gate-0", "gate-1"]);
    assert_eq!(claim(store, "b", 2, now).await, ["gate-2", "gate-3"]);
    assert_eq!(claim(store, "a", 9, now).await, ["gate-4"]);
    assert_eq!(claim(store, "b", 9, now).await, [""; 0]);
    // Nobody was heard of again until the terms had passed.
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared("UPDATE lease SET expires_at = 1")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(store, "c", 9, now).await.len(), 5);
}

async fn a_terminal_is_due_once_a_schedule_and_at_once_when_it_is_new_or_changed(bridge: Bridge) {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    bridge.add("gate", &gate).await;
    let store = &bridge.app.store;
    let now = bridge.app.clock.now_ms() + 1_000;
    assert_eq!(claim(store, "a", 9, now).await, ["gate"]);
    store.leave("a").await.unwrap();
    bridge.poll().await;
    assert_eq!(claim(store, "a", 9, now).await, [""; 0], "it was read");

    store
        .install_schedule("poll", "*/15 * * * *", "UTC", 100)
        .await
        .unwrap();
    assert!(store.call_for_polls(100, 200, 150).await.unwrap());
    assert!(
        !store.call_for_polls(100, 200, 150).await.unwrap(),
        "one node does"
    );
    assert_eq!(claim(store, "a", 9, now).await, ["gate"]);
    store.leave("a").await.unwrap();
    bridge.poll().await;

    let mut device = store.device("gate").await.unwrap();
    device.enabled = false;
    store.update_device(device.clone()).await.unwrap();
    assert_eq!(claim(store, "a", 9, now).await, [""; 0]);
    device.enabled = true;
    store.update_device(device).await.unwrap();
    assert_eq!(claim(store, "a", 9, now).await, ["gate"]);
}

async fn p6_a_terminal_that_fails_is_tried_ever_more_rarely_and_delays_no_other(bridge: Bridge) {
    let good = terminal([punch("7", "2026-03-05 08:00")]).await;
    bridge.add("good", &good).await;
    // Nobody listens there.
    bridge.add_address("bad", "127.0.0.1:9", "main", None).await;
    let store = &bridge.app.store;
    let id = store.device("bad").await.unwrap().id;
    let mut waits = Vec::new();
    for failures in 1..=3 {
        let before = bridge.app.clock.now();
        assert_eq!(bridge.poll().await.failed, 1);
        let row = store.due_devices().await.unwrap()[&id].clone();
        assert_eq!(row.failures, failures);
        waits.push(row.due_at.unwrap() - before);
    }
    // 30, 60 and 120 seconds, from a moment after `before`.
    assert!(
        (30..60).contains(&waits[0]) && (60..120).contains(&waits[1]) && waits[2] >= 120,
        "{waits:?}"
    );
    let now = bridge.app.clock.now();
    store
        .install_schedule("poll", "*/15 * * * *", "UTC", 100)
        .await
        .unwrap();
    assert!(store.call_for_polls(100, 200, now).await.unwrap());
    assert_eq!(claim(store, "a", 9, now * 1000).await, ["good"]);
    store.leave("a").await.unwrap();
    let later = (now + 3_600) * 1000;
    assert_eq!(claim(store, "a", 9, later).await.len(), 2);
}

async fn work_that_comes_during_a_run_is_not_taken_for_done(bridge: Bridge) {
    let store = &bridge.app.store;
    let due = async || {
        let rows = store.schedules().await.unwrap();
        rows[0].next_due
    };
    store
        .install_schedule("process", "5 * * * *", "UTC", 1_000)
        .await
        .unwrap();
    let begun = store.begin_run("process", "a", 1_000).await.unwrap();
    store
        .end_run(begun, "ok", String::new(), Some(5_000), 1_001)
        .await
        .unwrap();
    assert_eq!(due().await, 5_000);

    let begun = store.begin_run("process", "a", 5_000).await.unwrap();
    let tx = store.begin().await.unwrap();
    schedule::wake(&tx, "process", 4_000).await.unwrap();
    tx.commit().await.unwrap();
    store
        .end_run(begun, "ok", String::new(), Some(9_000), 5_001)
        .await
        .unwrap();
    assert_eq!(due().await, 4_000, "still due");
}

async fn s56_a_schedule_set_at_run_time_stays_until_the_configuration_says_something_else(
    mut bridge: Bridge,
) {
    let cron = async |bridge: &Bridge| {
        let rows = bridge.app.store.schedules().await.unwrap();
        let row = rows.into_iter().find(|row| row.name == "sync").unwrap();
        (row.cron, row.enabled)
    };
    scheduler::install(&bridge.app).await.unwrap();
    assert_eq!(cron(&bridge).await.0, "*/30 * * * *");
    let change = Change {
        cron: Some("*/7 * * * *".to_owned()),
        enabled: Some(false),
    };
    let changed = bridge.app.store.change_schedule("sync", change, |_| 5);
    assert_eq!(changed.await.unwrap().unwrap().next_due, 5);
    let nothing = Change::default();
    let unknown = bridge.app.store.change_schedule("tea", nothing, |_| 5);
    assert_eq!(unknown.await.unwrap(), None);

    // A restart with the same configuration, and one with another.
    scheduler::install(&bridge.app).await.unwrap();
    assert_eq!(cron(&bridge).await, ("*/7 * * * *".to_owned(), false));
    bridge
        .with("[schedule]\nsync = \"*/11 * * * *\"\n", NOON)
        .await;
    scheduler::install(&bridge.app).await.unwrap();
    assert_eq!(cron(&bridge).await, ("*/11 * * * *".to_owned(), false));
}

async fn what_a_reading_brought_is_assessed_without_waiting_for_its_hour(bridge: Bridge) {
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
    ])
    .await;
    let mut bridge = bridge;
    let yearly = "[schedule]\npoll = \"0 0 1 1 *\"\nprocess = \"0 0 1 1 *\"\n";
    bridge.with(yearly, NOON).await;
    bridge.add("gate", &gate).await;
    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    scheduler::install(&bridge.app).await.unwrap();
    let running = tokio::spawn(scheduler::run(bridge.app.clone(), stop));
    let until = std::time::Instant::now() + Duration::from_mins(1);
    while bridge.records("7", "2026-03-05").await.is_empty() {
        assert!(std::time::Instant::now() < until, "not assessed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shutdown.stop();
    running.await.unwrap();
    let held = bridge.app.store.held_leases(bridge.app.clock.now_ms());
    assert_eq!(held.await.unwrap(), [], "all was given back");
}
