//! What each kind of entry tells, and how its corrections travel.

use bridge_bin::demo::crm_stub::CrmStub;
use bridge_bin::store::days::NewCorrection;
use bridge_bin::store::entity::outbox;
use sea_orm::EntityTrait;

use super::{FRIDAY_NOON, current, held, stub, void, webhook};
use crate::support::{Bridge, NAIROBI, date, punch, terminal};

#[tokio::test]
async fn punches_travel_with_their_corrections() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 08:00:30"),
        punch("7", "2026-03-03 12:00"),
        punch("7", "2026-03-03 17:00"),
        punch("7", "2000-01-01 00:00:09"),
    ])
    .await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    // Neither the double touch nor the clock without power.
    assert_eq!(
        current(&hr, "time"),
        [
            "2026-03-03 08:00:00",
            "2026-03-03 12:00:00",
            "2026-03-03 17:00:00"
        ]
    );
    assert_eq!(current(&hr, "kind"), ["in", "out", "unknown"]);

    let last = bridge.punches("gate").await.pop().unwrap();
    void(&bridge, format!("p{}", last.id), "7", "2026-03-03").await;
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(
        current(&hr, "time"),
        ["2026-03-03 08:00:00", "2026-03-03 12:00:00"]
    );
    assert_eq!(current(&hr, "kind"), ["in", "out"]);

    let requests = hr.snapshot().requests;
    bridge.process().await;
    assert_eq!(bridge.sync().await.total, 0);
    assert_eq!(hr.snapshot().requests, requests, "nothing is told twice");
}

#[tokio::test]
async fn a_punch_follows_its_mapping_under_the_same_id() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "user_id"), ["7"]);

    let device = bridge.app.store.device("gate").await.unwrap();
    let plausible = date("2010-01-01")..=date("2026-03-07");
    bridge
        .app
        .store
        .map_user(&device, "7", "E-7", None, &plausible, 0)
        .await
        .unwrap();
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(held(&hr).len(), 1, "the punch is still the same one");
    assert_eq!(current(&hr, "user_id"), ["E-7"]);
}

#[tokio::test]
async fn unmapped_people_are_told_to_nobody_and_old_punches_not_even_after_a_mapping() {
    let hr = stub().await;
    let branch = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-05 08:00"),
    ])
    .await;
    let toml = format!(
        "{NAIROBI}{}start_date = \"2026-03-04\"\n",
        webhook("hr", "punch", &hr)
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add_to("branch", &branch, "branch", None).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.total, 0);

    let device = bridge.app.store.device("branch").await.unwrap();
    let plausible = date("2010-01-01")..=date("2026-03-07");
    bridge
        .app
        .store
        .map_user(&device, "7", "E-7", None, &plausible, 0)
        .await
        .unwrap();
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "time"), ["2026-03-05 08:00:00"]);
}

#[tokio::test]
async fn a_session_that_moves_ends_and_begins_anew() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "session", &hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "check_in"), ["2026-03-03T08:00:00+03:00"]);
    assert_eq!(current(&hr, "check_out"), ["2026-03-03T17:00:00+03:00"]);

    gate.punch(punch("7", "2026-03-03 07:30"));
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "check_in"), ["2026-03-03T07:30:00+03:00"]);
    assert_eq!(held(&hr).iter().filter(|record| record.deleted).count(), 1);
}

/// The rows of the outbox in order: time, kind and state of each.
async fn queued_punches(bridge: &Bridge) -> Vec<String> {
    let mut rows = outbox::Entity::find()
        .all(bridge.app.store.reader())
        .await
        .unwrap();
    rows.sort_by_key(|row| row.id);
    rows.iter()
        .map(|row| {
            let content: serde_json::Value = serde_json::from_str(&row.content).unwrap();
            let text = |field: &str| content[field].as_str().unwrap().to_owned();
            format!("{} {} {}", text("time"), text("kind"), row.state)
        })
        .collect()
}

fn export(to: &CrmStub) -> String {
    format!(
        "[[targets]]\nid = \"hr\"\nconnector = \"device-export\"\nurl = \"{}\"\n",
        to.url()
    )
}

const AT_NOON: &str = "2026-03-05T09:30:00Z";

const IN_THE_EVENING: &str = "2026-03-05T14:30:00Z";

const DAYS_LATER: &str = "2026-03-08T09:00:00Z";

#[tokio::test]
async fn a_format_that_cannot_correct_is_told_each_punch_once() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 12:00"),
    ])
    .await;
    let mut bridge = Bridge::new(&format!("{NAIROBI}{}", export(&hr)), AT_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let mut told = vec!["2026-03-05 08:00:00 in pending"];
    assert_eq!(queued_punches(&bridge).await, told);

    bridge.at(IN_THE_EVENING).await;
    gate.punch(punch("7", "2026-03-05 17:00"));
    bridge.turn().await;
    told.push("2026-03-05 12:00:00 unknown pending");
    assert_eq!(queued_punches(&bridge).await, told);

    bridge.at(DAYS_LATER).await;
    bridge.process().await;
    told.push("2026-03-05 17:00:00 out pending");
    assert_eq!(queued_punches(&bridge).await, told);
}

#[tokio::test]
async fn a_punch_in_doubt_is_told_at_once_where_it_can_be_corrected() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 12:00"),
    ])
    .await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let mut bridge = Bridge::new(&toml, AT_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "kind"), ["in", "unknown"]);
    bridge.at(IN_THE_EVENING).await;
    gate.punch(punch("7", "2026-03-05 17:00"));
    bridge.turn().await;
    assert_eq!(bridge.sync().await.total, 1, "the one of noon is as it was");
    assert_eq!(current(&hr, "kind"), ["in", "unknown", "unknown"]);
    bridge.at(DAYS_LATER).await;
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "kind"), ["in", "out", "unknown"]);
}

#[tokio::test]
async fn what_was_never_told_is_not_taken_back_where_nothing_can_be() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let bridge = Bridge::new(&format!("{NAIROBI}{}", export(&hr)), FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let first = bridge.punches("gate").await.remove(0);
    void(&bridge, format!("p{}", first.id), "7", "2026-03-03").await;
    bridge.process().await;
    assert_eq!(bridge.app.store.pending("hr").await.unwrap(), 0);
    assert_eq!(bridge.sync().await.total, 0);
    assert!(
        bridge
            .app
            .store
            .dead_letters(None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_stand_in_that_a_mapping_names_is_a_person_from_then_on() {
    let hr = stub().await;
    let branch = terminal([punch("7", "2026-03-03 08:00")]).await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add_to("branch", &branch, "branch", None).await;
    bridge.turn().await;
    let by_hand = NewCorrection {
        kind: "add_punch",
        target: None,
        employee: "branch/7".to_owned(),
        date: date("2026-03-03"),
        told: Some("2026-03-03T17:00:00".parse().unwrap()),
        state: None,
        value: None,
        by: "anna".to_owned(),
        reason: "forgotten".to_owned(),
    };
    let store = &bridge.app.store;
    store.add_correction(by_hand, 0).await.unwrap();
    bridge.process().await;
    assert_eq!(bridge.sync().await.total, 0, "naming somebody maps nobody");
    let device = bridge.app.store.device("branch").await.unwrap();
    let plausible = date("2010-01-01")..=date("2026-03-07");
    bridge
        .app
        .store
        .map_user(&device, "7", "branch/7", None, &plausible, 0)
        .await
        .unwrap();
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "user_id"), ["branch/7", "branch/7"]);
}
