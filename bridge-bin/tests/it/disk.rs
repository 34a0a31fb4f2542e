//! A database that cannot be written: it is said what to do, nothing is lost, and the work goes on afterwards.

use std::time::{Duration, Instant};

use bridge_bin::jobs::process;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::{Failure, scheduler};
use sea_orm::{ConnectionTrait, Database};
use zk_proto::mock::MockDevice;

use crate::postgres;
use crate::support::{Bridge, start};

const NOON: &str = "2024-02-12T09:00:00Z";

const PUNCHES: usize = 3_000;

const TOML: &str = "timezone = \"Africa/Nairobi\"\n[schedule]\npoll = \"* * * * * *\"\n[polling]\nlease_seconds = 2\n";

async fn gate() -> MockDevice {
    start(MockDevice::builder().generate(3, 40, PUNCHES)).await
}

/// Says something to the very connection that writes.
async fn tell(bridge: &Bridge, pragma: &str) {
    let writer = bridge.app.store.writer();
    writer.execute_unprepared(pragma).await.unwrap();
}

/// A poll that the database does not take, and the words for it.
async fn refused(bridge: &Bridge) -> String {
    let report = bridge.poll().await;
    assert_eq!(report.failed, 1, "{report:?}");
    let trouble = report.devices[0].error.as_ref().unwrap();
    assert_eq!(trouble.kind, "database", "{trouble:?}");
    assert!(!trouble.remedy.is_empty());
    let device = bridge.app.store.device("gate").await.unwrap();
    assert_eq!(device.last_error, None, "it is not the terminal's fault");
    trouble.message.clone()
}

/// Everything is stored, by the schedule alone.
async fn recovers(bridge: &Bridge) {
    let (shutdown, stop) = Shutdown::new();
    let running = tokio::spawn(scheduler::run(bridge.app.clone(), stop));
    let until = Instant::now() + Duration::from_mins(1);
    while bridge.punches("gate").await.len() < PUNCHES {
        assert!(Instant::now() < until, "the work did not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shutdown.stop();
    running.await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_reading_goes_on_where_it_was() {
    let gate = gate().await;
    let bridge = Bridge::new(TOML, NOON).await;
    bridge.add("gate", &gate).await;
    scheduler::install(&bridge.app).await.unwrap();
    // 160 kB of room: for a part of it.
    let pages = "PRAGMA page_count";
    let pages = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, pages);
    let row = bridge
        .app
        .store
        .reader()
        .query_one_raw(pages)
        .await
        .unwrap();
    let used: i64 = row.unwrap().try_get_by_index(0).unwrap();
    tell(&bridge, &format!("PRAGMA max_page_count = {}", used + 40)).await;

    let message = refused(&bridge).await;
    assert!(message.contains("full"), "{message}");
    // What was stored is whole portions, and the place in the log is behind them.
    let stored = bridge.punches("gate").await.len();
    assert!(stored < PUNCHES, "{stored}");
    let device = bridge.app.store.device("gate").await.unwrap();
    let cursor = bridge.app.store.cursor(device.id).await.unwrap();
    assert_eq!(
        cursor.map_or(0, |row| row.records),
        i64::try_from(stored).unwrap()
    );

    tell(&bridge, "PRAGMA max_page_count = 1000000").await;
    recovers(&bridge).await;
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_named_and_written_again_later() {
    let gate = gate().await;
    let bridge = Bridge::new(TOML, NOON).await;
    bridge.add("gate", &gate).await;
    scheduler::install(&bridge.app).await.unwrap();
    tell(&bridge, "PRAGMA query_only = 1").await;
    let error = process::run(&bridge.app, &process::Options::default())
        .await
        .unwrap_err();
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, "database");
    assert!(failure.message.contains("can only be read"), "{failure:?}");
    let message = refused(&bridge).await;
    assert!(message.contains("can only be read"), "{message}");
    assert_eq!(bridge.punches("gate").await.len(), 0);

    tell(&bridge, "PRAGMA query_only = 0").await;
    recovers(&bridge).await;
}

#[tokio::test]
async fn a_server_that_refuses_to_write_is_named_and_written_again_later() {
    let Some(server) = postgres::private() else {
        return;
    };
    let url = server.database().await;
    let gate = gate().await;
    let bridge = Bridge::on(&url, TOML, NOON).await;
    bridge.add("gate", &gate).await;
    scheduler::install(&bridge.app).await.unwrap();
    let admin = Database::connect(&url).await.unwrap();
    let set = async |value: &str| {
        let setting = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        admin.execute_unprepared(&setting).await.unwrap();
        admin
            .execute_unprepared("SELECT pg_reload_conf()")
            .await
            .unwrap();
        // Sessions hear of it between two commands, in their own time.
        for _ in 0..200 {
            let tx = bridge.app.store.begin().await;
            let done = match (tx, value) {
                (Ok(tx), _) => {
                    let row = tx.execute_unprepared("UPDATE meta SET value = value").await;
                    row.is_ok() == (value == "off")
                }
                (Err(_), value) => value == "on",
            };
            if done {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server did not take its new setting");
    };
    set("on").await;
    let message = refused(&bridge).await;
    assert!(message.contains("can only be read"), "{message}");
    assert_eq!(bridge.punches("gate").await.len(), 0);
    set("off").await;
    recovers(&bridge).await;
}
