//! What is thrown away, and what is kept for whom.

use bridge_bin::jobs::{clean_up, poll, process, sync};
use bridge_bin::store::entity::outbox;
use bridge_bin::store::outbox::Selection;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::{FRIDAY_NOON, crm, stub};
use crate::support::{Bridge, NAIROBI, date, punch, terminal};

const OLD: [(&str, &str); 6] = [
    ("7", "2026-01-05 08:00"),
    ("7", "2026-01-05 17:00"),
    ("7", "2026-02-20 08:00"),
    ("7", "2026-02-20 17:00"),
    ("7", "2026-03-05 08:00"),
    ("7", "2026-03-05 17:00"),
];

#[tokio::test]
async fn b11_what_was_thrown_away_does_not_come_back_and_no_day_is_cut() {
    let hr = stub().await;
    let gate = terminal(OLD.map(|(id, at)| punch(id, at))).await;
    let toml = format!("{NAIROBI}{}[retention]\npunches_days = 10\n", crm(&hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    // Nothing was delivered yet: every day is needed.
    let report = clean_up::run(&bridge.app, false).await.unwrap();
    assert_eq!(report.punches, 0);
    assert!(
        report
            .held_back_by
            .as_deref()
            .is_some_and(|holder| holder.contains("not delivered")),
        "{report:?}"
    );

    bridge.sync().await;
    let before = (hr.snapshot(), bridge.record("7", "2026-01-05").await);
    let dry = clean_up::run(&bridge.app, true).await.unwrap();
    assert_eq!(bridge.punches("gate").await.len(), 6);
    let report = clean_up::run(&bridge.app, false).await.unwrap();
    assert_eq!(dry, report);
    assert_eq!(report.open_from, Some(date("2026-02-24")));
    // Those of 20 February lie in the margin that the open days look back to.
    assert_eq!(report.punches, 2);

    let full = poll::Options {
        full: true,
        ..Default::default()
    };
    let reading = poll::run(&bridge.app, &full).await.unwrap();
    assert_eq!(reading.devices[0].new_records, 0);
    assert_eq!(bridge.punches("gate").await.len(), 4);
    let everything = process::Options {
        from: Some(date("2026-01-01")),
        ..Default::default()
    };
    process::run(&bridge.app, &everything).await.unwrap();
    assert_eq!(bridge.sync().await.total, 0);
    assert_eq!(
        before,
        (hr.snapshot(), bridge.record("7", "2026-01-05").await),
        "the day is as it was"
    );

    // What is new is new as ever.
    gate.punch(punch("7", "2026-03-05 18:00"));
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(
        bridge.record("7", "2026-03-05").await["clock_out"],
        "2026-03-05T18:00:00+03:00"
    );
}

#[tokio::test]
async fn b11_a_terminal_that_was_not_read_keeps_its_days_open() {
    let gate = terminal(OLD.map(|(id, at)| punch(id, at))).await;
    let toml = format!("{NAIROBI}[retention]\npunches_days = 10\n");
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge
        .add_address("far away", "127.0.0.1:1", "main", None)
        .await;
    let report = clean_up::run(&bridge.app, false).await.unwrap();
    assert_eq!(
        (report.punches, report.open_from),
        (0, None),
        "{:?}",
        report.held_back_by
    );
    assert!(report.held_back_by.unwrap().contains("far away"));
}

#[tokio::test]
async fn old_revisions_and_history_go_and_the_latest_revision_stays() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let toml = format!(
        "{NAIROBI}{}[retention]\noutbox_days = 1\nruns_days = 1\n",
        crm(&hr)
    );
    let mut bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    gate.punch(punch("7", "2026-03-03 17:00"));
    bridge.turn().await;
    bridge.sync().await;
    let run = bridge.app.store.begin_run("sync", "here", 1).await.unwrap();
    let store = &bridge.app.store;
    store
        .end_run(run, "ok", "{}".to_owned(), None, 2)
        .await
        .unwrap();
    let rows = |app: &bridge_bin::app::App| {
        let store = app.store.clone();
        async move { outbox::Entity::find().count(store.reader()).await.unwrap() }
    };
    let before = rows(&bridge.app).await;
    // The machine's clock has settled them; two years later that is long ago.
    bridge.at("2030-03-06T09:00:00Z").await;
    let report = clean_up::run(&bridge.app, false).await.unwrap();
    assert_eq!((report.deliveries, report.history), (1, 1));
    assert_eq!(rows(&bridge.app).await, before - 1);
    let options = sync::Options {
        force: true,
        selection: Selection {
            from: Some("2026-03-03".to_owned()),
            to: Some("2026-03-03".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(
        sync::run(&bridge.app, &options).await.unwrap().successful,
        1
    );
}
