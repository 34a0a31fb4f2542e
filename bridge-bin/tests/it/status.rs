//! How everything stands: what is found at the moment of looking, whether or not somebody wrote it down.

use bridge_bin::status::Status;
use bridge_bin::store::entity::device;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use crate::support::{Bridge, NAIROBI, punch, terminal};

/// Friday noon in Nairobi.
const NOON: &str = "2026-03-06T09:00:00Z";

async fn change(bridge: &Bridge, change: device::ActiveModel) {
    let tx = bridge.app.store.begin().await.unwrap();
    change.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn alarms(bridge: &Bridge) -> Vec<(String, String)> {
    let status = Status::load(&bridge.app).await.unwrap();
    let alarms = status.alarms.into_iter();
    alarms.map(|alarm| (alarm.kind, alarm.remedy)).collect()
}

#[tokio::test]
async fn i21_whoever_looks_finds_alarms_that_nobody_wrote_down() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let bridge = Bridge::new(
        &format!("{NAIROBI}[alarms]\nclock_drift_seconds = 0\n"),
        NOON,
    )
    .await;
    bridge.add("Main gate", &gate).await;
    bridge.poll().await;
    assert_eq!(alarms(&bridge).await, []);

    let id = bridge.app.store.device("Main gate").await.unwrap().id;
    let silent = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(bridge.app.clock.now() - 4 * 3_600)),
        log_capacity: Set(Some(1)),
        ..Default::default()
    };
    change(&bridge, silent).await;
    let found = alarms(&bridge).await;
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["device_silent", "log_full"]);
    assert!(
        found[0].1.contains("device test --device 'Main gate'"),
        "{found:?}"
    );
    // Looking tells nobody.
    assert_eq!(bridge.app.store.open_alarms().await.unwrap(), []);

    // What was written down says since when.
    let store = &bridge.app.store;
    store
        .open_alarm("log_full", "Main gate", "full", 7)
        .await
        .unwrap();
    let status = Status::load(&bridge.app).await.unwrap();
    let known = status.alarms.iter().find(|alarm| alarm.kind == "log_full");
    assert_eq!(known.map(|alarm| alarm.since), Some(7));
    // What is over is over, although nobody has closed it yet.
    bridge.poll().await;
    let roomy = device::ActiveModel {
        id: Set(id),
        log_capacity: Set(Some(100)),
        ..Default::default()
    };
    change(&bridge, roomy).await;
    assert_eq!(alarms(&bridge).await, []);
}
