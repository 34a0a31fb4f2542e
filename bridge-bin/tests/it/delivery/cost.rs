//! P7: what is asked of the database grows with what is new.

use std::sync::{Arc, Mutex};

use bridge_bin::jobs::poll;
use bridge_bin::store::Store;
use sea_orm::{ConnectionTrait, Statement};
use zk_proto::mock::MockDevice;

use super::{FRIDAY_NOON, crm, stub, webhook};
use crate::support::{Bridge, NAIROBI, punch, start, terminal};

#[tokio::test]
async fn p7_a_poll_of_an_unchanged_terminal_scans_no_table() {
    let hr = stub().await;
    let gate = start(MockDevice::builder().generate(3, 20, 100_000)).await;
    let toml = format!("{NAIROBI}{}{}", crm(&hr), webhook("hr", "punch", &hr));
    let mut bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;

    let told: Arc<Mutex<Vec<Statement>>> = Arc::default();
    let listen = Arc::clone(&told);
    bridge
        .app
        .store
        .on_statement(move |statement| listen.lock().unwrap().push(statement.clone()));
    let options = poll::Options {
        devices: vec!["gate".to_owned()],
        ..Default::default()
    };
    let report = poll::run(&bridge.app, &options).await.unwrap();
    assert_eq!(report.devices[0].mode, Some("unchanged"));
    let statements = std::mem::take(&mut *told.lock().unwrap());
    assert!(statements.len() > 5, "{statements:?}");
    let wrote = |table: &str| {
        let written = [
            format!("INSERT INTO \"{table}\""),
            format!("UPDATE \"{table}\""),
        ];
        statements
            .iter()
            .any(|statement| written.iter().any(|text| statement.sql.starts_with(text)))
    };
    // When it was read last is news; where its log stands, and that it is not due, is not.
    assert!(wrote("device"), "{statements:?}");
    assert!(!wrote("cursor") && !wrote("punch"), "{statements:?}");
    for statement in statements {
        let scans = scans_of(&bridge.app.store, &statement).await;
        assert!(scans.is_empty(), "{scans:?}: {}", statement.sql);
    }
}

#[tokio::test]
async fn p7_a_delivery_without_news_and_the_next_rows_of_a_queue_scan_no_table() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let mut bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let told: Arc<Mutex<Vec<Statement>>> = Arc::default();
    let listen = Arc::clone(&told);
    bridge
        .app
        .store
        .on_statement(move |statement| listen.lock().unwrap().push(statement.clone()));
    gate.punch(punch("7", "2026-03-05 17:00"));
    bridge.process().await;
    assert_eq!(bridge.sync().await.total, 0);
    bridge.turn().await;
    assert_eq!(bridge.sync().await.total, 1);
    let statements = std::mem::take(&mut *told.lock().unwrap());
    assert!(!statements.is_empty());
    // Small ones: the register of terminals, shifts and people.
    let small = [
        "device",
        "device_group",
        "shift_template",
        "employee",
        "holiday",
        "target",
    ];
    for statement in statements {
        let scans = scans_of(&bridge.app.store, &statement).await;
        let large: Vec<_> = scans
            .iter()
            .filter(|scan| {
                !small
                    .iter()
                    .any(|table| scan.split(' ').nth(1) == Some(table))
            })
            .collect();
        assert!(large.is_empty(), "{large:?}: {}", statement.sql);
    }
}

#[tokio::test]
async fn storing_a_reading_asks_as_often_for_many_people_as_for_few() {
    let mut counts = Vec::new();
    for people in [2, 60] {
        let punches = (1..=people).map(|id: u32| punch(&id.to_string(), "2026-03-05 08:00"));
        let gate = terminal(punches).await;
        let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
        bridge.add("gate", &gate).await;
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let listen = Arc::clone(&told);
        bridge
            .app
            .store
            .on_statement(move |statement| listen.lock().unwrap().push(statement.sql.clone()));
        assert_eq!(bridge.poll().await.successful, 1);
        let about_people = |sql: &&String| sql.contains("dirty_day") || sql.contains("employee");
        counts.push(told.lock().unwrap().iter().filter(about_people).count());
        assert_eq!(
            bridge.app.store.employees().await.unwrap().len(),
            people as usize
        );
    }
    assert!(counts[0] > 0, "{counts:?}");
    assert_eq!(counts[0], counts[1]);
}

/// The tables that a statement would go through from end to end, in the words of the query planner.
async fn scans_of(store: &Store, statement: &Statement) -> Vec<String> {
    let explained = Statement {
        sql: format!("EXPLAIN QUERY PLAN {}", statement.sql),
        ..statement.clone()
    };
    let reader = store.reader();
    let Ok(rows) = reader.query_all_raw(explained).await else {
        panic!("no plan for {}", statement.sql);
    };
    rows.iter()
        .map(|row| row.try_get::<String>("", "detail").unwrap())
        .filter(|detail| detail.starts_with("SCAN ") && !detail.contains("CONSTANT ROW"))
        .collect()
}
