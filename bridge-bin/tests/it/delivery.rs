//! Several targets, entries of every kind, retention, the watermark, and who is told of trouble.

mod connectors;
mod trouble;

use std::sync::{Arc, Mutex};

use bridge_bin::demo::crm_stub::{CrmStub, Failure, Fault, Record};
use bridge_bin::jobs::{clean_up, poll, process, sync};
use bridge_bin::notify;
use bridge_bin::status::Status;
use bridge_bin::store::alarms::{NewNotice, make_notices};
use bridge_bin::store::days::NewCorrection;
use bridge_bin::store::dead_letters::Dismissal;
use bridge_bin::store::entity::{alarm, audit, daily_record, device, entry, outbox};
use bridge_bin::store::outbox::{Selection, state};
use bridge_bin::store::{Kind, Store, migration};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, Database, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, Statement,
};
use sea_orm_migration::MigratorTrait as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use zk_proto::mock::MockDevice;

use crate::support::{Bridge, NAIROBI, date, punch, start, terminal, user};

const FRIDAY_NOON: &str = "2026-03-06T09:00:00Z";

async fn stub() -> CrmStub {
    CrmStub::builder().start().await.expect("a CRM stub")
}

fn webhook(id: &str, kind: &str, to: &CrmStub) -> String {
    format!(
        "[[targets]]\nid = \"{id}\"\nconnector = \"webhook\"\nkind = \"{kind}\"\nurl = \"{}\"\nsecret = \"s1gn\"\n\
         retry_seconds = 1\n",
        to.url()
    )
}

fn crm(to: &CrmStub) -> String {
    format!("[crm]\nurl = \"{}\"\nretry_seconds = 1\n", to.url())
}

fn fail(fault: Fault, times: u16) -> Failure {
    Failure { fault, times }
}

fn held(stub: &CrmStub) -> Vec<Record> {
    stub.snapshot().records
}

/// What a target holds and was not withdrawn: the chosen field of each.
fn current(stub: &CrmStub, field: &str) -> Vec<String> {
    let mut found: Vec<String> = held(stub)
        .into_iter()
        .filter(|record| !record.deleted)
        .map(|record| record.content[field].as_str().unwrap_or("–").to_owned())
        .collect();
    found.sort();
    found
}

async fn void(bridge: &Bridge, target: String, employee: &str, day: &str) {
    let correction = NewCorrection {
        kind: "void_punch",
        target: Some(target),
        employee: employee.to_owned(),
        date: date(day),
        told: None,
        state: None,
        value: None,
        by: "anna".to_owned(),
        reason: "a slip".to_owned(),
    };
    bridge
        .app
        .store
        .add_correction(correction, 0)
        .await
        .expect("a correction");
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

#[tokio::test]
async fn a_target_added_later_is_told_what_it_missed_and_says_so() {
    let (first, later) = (stub().await, stub().await);
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("8", "2026-03-04 08:00"),
    ])
    .await;
    let mut bridge = Bridge::new(&format!("{NAIROBI}{}", crm(&first)), FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    bridge
        .with(&webhook("hr", "punch", &later), FRIDAY_NOON)
        .await;

    let dry = sync::Options {
        dry_run: true,
        target: Some("hr".to_owned()),
        ..Default::default()
    };
    assert_eq!(sync::run(&bridge.app, &dry).await.unwrap().total, 3);
    assert!(held(&later).is_empty());
    let report = bridge.sync().await;
    assert_eq!((report.queued, report.successful), (3, 3));
    assert_eq!(held(&later).len(), 3);
    assert_eq!(bridge.sync().await.queued, 0);
}

#[tokio::test]
async fn a_target_is_never_told_another_kind_under_the_same_id() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let mut bridge = Bridge::new(
        &format!("{NAIROBI}{}", webhook("hr", "day", &hr)),
        FRIDAY_NOON,
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let before = hr.snapshot();
    bridge.toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    bridge.at(FRIDAY_NOON).await;
    gate.punch(punch("7", "2026-03-03 17:00"));
    assert_eq!(bridge.turn().await.queued, 0);
    let error = sync::run(&bridge.app, &sync::Options::default())
        .await
        .unwrap_err();
    assert_eq!(bridge_bin::Failure::of(&error).kind, "target_kind");
    assert_eq!(hr.snapshot(), before);
}

#[tokio::test]
async fn b26_a_batch_refused_in_part_repeats_nothing_and_keeps_the_servers_words() {
    let hr = stub().await;
    hr.fail(fail(Fault::Partial, 1));
    let people = ["1", "2", "3", "4"];
    let gate = terminal(
        people
            .iter()
            .flat_map(|id| [punch(id, "2026-03-05 08:00"), punch(id, "2026-03-05 17:00")]),
    )
    .await;
    let toml = format!(
        "{NAIROBI}[crm]\nurl = \"{0}\"\nbatch_url = \"{0}/batch\"\nstart_date = \"2026-03-05\"\n",
        hr.url()
    );
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let report = bridge.sync().await;
    assert_eq!((report.successful, report.failed), (3, 1), "{report:?}");
    let snapshot = hr.snapshot();
    assert_eq!((snapshot.requests, snapshot.repeated), (1, 0));

    let letters = bridge.app.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].last_error.as_deref(), Some("No such employee."));
    let retry = sync::Options {
        selection: Selection {
            failed_only: true,
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(sync::run(&bridge.app, &retry).await.unwrap().successful, 1);
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
async fn what_waits_is_previewed_as_it_would_be_sent_without_its_secrets() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!("{NAIROBI}{}token = \"hunter2\"\n", crm(&hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let target = sync::chosen(&bridge.app, None).unwrap();
    let requests = sync::preview(&bridge.app, target, None, 1).await.unwrap();
    let request = requests[0].as_ref().unwrap();
    assert_eq!(request.url, hr.url());
    assert!(request.body.contains("\"schema\":1"), "{}", request.body);
    assert!(!format!("{request:?}").contains("hunter2"));
    assert_eq!(hr.snapshot().requests, 0);
}

#[tokio::test]
async fn b66_what_was_sent_is_remembered_over_a_restart() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
    ])
    .await;
    let mut bridge = Bridge::new(
        &format!("{NAIROBI}{}", webhook("hr", "punch", &hr)),
        FRIDAY_NOON,
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let requests = hr.snapshot().requests;
    bridge.at(FRIDAY_NOON).await;
    let everything = process::Options {
        from: Some(date("2026-02-01")),
        ..Default::default()
    };
    process::run(&bridge.app, &everything).await.unwrap();
    assert_eq!(bridge.sync().await.total, 0);
    assert_eq!(hr.snapshot().requests, requests);
}

#[tokio::test]
async fn b71_the_first_punch_of_a_start_date_is_sent_and_nothing_before_it() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-04 17:00"),
        punch("7", "2026-03-05 08:00"),
    ])
    .await;
    let toml = format!(
        "{NAIROBI}{}start_date = \"2026-03-05\"\n",
        webhook("hr", "punch", &hr)
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "time"), ["2026-03-05 08:00:00"]);
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
async fn in_trouble(hr: &CrmStub, people: &[&str]) -> Bridge {
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

async fn waiting(bridge: &Bridge) -> Vec<(String, i32)> {
    let rows = outbox::Entity::find()
        .filter(outbox::Column::State.eq(state::PENDING))
        .order_by_asc(outbox::Column::Id)
        .all(bridge.app.store.reader());
    let rows = rows.await.unwrap().into_iter();
    rows.map(|row| (row.employee, row.attempts)).collect()
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

    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
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

#[tokio::test]
async fn what_force_would_send_is_counted_without_reading_it() {
    let hr = stub().await;
    let mut bridge = in_trouble(&hr, &["1", "2"]).await;
    bridge.sync().await;
    let told: Arc<Mutex<Vec<Statement>>> = Arc::default();
    let listen = Arc::clone(&told);
    bridge
        .app
        .store
        .on_statement(move |statement| listen.lock().unwrap().push(statement.clone()));
    let again = sync::would_send_again(&bridge.app, &sync::Options::default())
        .await
        .unwrap();
    assert_eq!(again, 2);
    assert_eq!(told.lock().unwrap().len(), 1, "{told:?}");
    let force = sync::Options {
        force: true,
        ..Default::default()
    };
    let report = sync::run(&bridge.app, &force).await.unwrap();
    assert_eq!(report.successful, 2);
    let told = told.lock().unwrap();
    let pages = told.iter().filter(|statement| {
        statement.sql.contains("FROM \"entry\"")
            && statement.sql.contains("\"entry\".\"content_hash\"")
            && statement.sql.contains("LIMIT")
    });
    assert!(pages.count() > 0, "{told:?}");
}

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

#[tokio::test]
async fn i6_the_watermark_names_who_holds_it_back() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
    ])
    .await;
    let bridge = Bridge::new(&format!("{NAIROBI}{}", crm(&hr)), FRIDAY_NOON).await;
    bridge.sync().await;
    let holder = || async {
        let complete = Status::load(&bridge.app).await.unwrap().complete;
        (complete.until.is_some(), complete.held_back_by)
    };
    assert_eq!(holder().await, (false, None));
    bridge.add("gate", &gate).await;
    assert_eq!(holder().await, (false, Some("gate".to_owned())));
    bridge.poll().await;
    assert_eq!(
        holder().await,
        (
            false,
            Some("the assessment of days, which has not begun".to_owned())
        )
    );
    bridge.process().await;
    let began = Status::load(&bridge.app).await.unwrap().devices[0].complete_until;
    assert_eq!(
        holder().await,
        (true, Some("the delivery to crm".to_owned()))
    );
    bridge.sync().await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.complete.held_back_by.as_deref(), Some("gate"));
    assert_eq!(status.complete.until, began);
}

/// Takes mail and keeps it, on loopback.
struct MailStub {
    port: u16,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailStub {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move { converse(stream, kept).await });
            }
        });
        Self { port, mails }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }
}

async fn converse(stream: tokio::net::TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut say = async |text: &str| write.write_all(text.as_bytes()).await.is_ok();
    say("220 stub\r\n").await;
    let mut mail = None::<String>;
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(text) = &mut mail {
            if line == "." {
                kept.lock().unwrap().push(std::mem::take(text));
                mail = None;
                say("250 taken\r\n").await;
            } else {
                text.push_str(&line);
                text.push('\n');
            }
            continue;
        }
        let said = match line.split(' ').next().unwrap_or_default() {
            "DATA" => {
                mail = Some(String::new());
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        if !say(said).await {
            return;
        }
    }
}

fn mailing(stub: &MailStub, more: &str) -> String {
    format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"bridge@example.com\"\n\
         to = [\"hr@example.com\"]\n{more}",
        stub.port
    )
}

/// The text of a mail as it was written, whatever the transfer encoding made of long lines.
fn unfolded(mail: &str) -> String {
    mail.replace("=\n", "").replace("=20\n", " \n")
}

async fn set_device(bridge: &Bridge, change: device::ActiveModel) {
    let tx = bridge.app.store.begin().await.unwrap();
    change.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn i21_an_alarm_is_told_once_by_mail_and_webhook_and_so_is_its_end() {
    let mail = MailStub::start().await;
    let posted = HookStub::start().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!(
        "{NAIROBI}[alarms]\nclock_drift_seconds = 0\nwebhook_url = \"http://127.0.0.1:{}/alarms\"\n\
         webhook_secret = \"s1gn\"\n{}",
        posted.port,
        mailing(&mail, "interval_minutes = 0\n")
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take().is_empty(), "all is well");

    let id = bridge.app.store.device("Gate").await.unwrap().id;
    let now = bridge.app.clock.now();
    let silent = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(now - 4 * 3_600)),
        ..Default::default()
    };
    set_device(&bridge, silent).await;
    for _ in 0..3 {
        notify::turn(&bridge.app).await.unwrap();
    }
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(
        mails[0].contains("Subject: zk-bridge: 1 alarm"),
        "{}",
        mails[0]
    );
    assert!(
        unfolded(&mails[0]).contains("Gate has been silent since"),
        "{}",
        mails[0]
    );
    assert!(mails[0].contains("Africa/Nairobi"));
    let posts = posted.take();
    assert_eq!(posts.len(), 1, "{posts:?}");
    assert!(posts[0].contains("device_silent") && posts[0].contains("\"state\":\"open\""));
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.alarms.len(), 1);

    bridge.poll().await;
    notify::turn(&bridge.app).await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0].contains("1 alarm over"), "{}", mails[0]);
    assert!(posted.take()[0].contains("\"state\":\"over\""));
    assert!(Status::load(&bridge.app).await.unwrap().alarms.is_empty());
}

#[tokio::test]
async fn i21_whoever_stops_does_not_wait_for_a_mail_server_and_no_alarm_is_lost() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = MailStub {
        port: mute.local_addr().unwrap().port(),
        mails: Arc::default(),
    };
    let interval = "interval_minutes = 0\n";
    let mut bridge = Bridge::new(
        &format!("{NAIROBI}{}", mailing(&silent, interval)),
        FRIDAY_NOON,
    )
    .await;
    bridge
        .add_address("Gate", "192.0.2.1:4370", "main", None)
        .await;
    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    let running = tokio::spawn(notify::run(bridge.app.clone(), stop));
    // It says nothing, so that the mail is under way until somebody gives up.
    let (_conversation, _) = mute.accept().await.unwrap();
    shutdown.stop();
    // The mail itself would wait for half a minute.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), running).await;
    ended.expect("it stops").unwrap();
    let open = bridge.app.store.open_alarms().await.unwrap();
    assert_eq!((open.len(), open[0].mailed_at), (1, None));

    let mail = MailStub::start().await;
    bridge.toml = format!("{NAIROBI}{}", mailing(&mail, interval));
    bridge.at(FRIDAY_NOON).await;
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take()[0].contains("1 alarm"));
}

#[tokio::test]
async fn i21_nobody_is_told_of_a_silent_terminal_on_a_day_off_or_of_a_value_at_the_limit() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    // A Sunday.
    let mut bridge = Bridge::new(NAIROBI, "2026-03-08T09:00:00Z").await;
    bridge.add("Gate", &gate).await;
    bridge.poll().await;
    let id = bridge.app.store.device("Gate").await.unwrap().id;
    let now = bridge.app.clock.now();
    let mut change = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(now - 4 * 3_600)),
        log_capacity: Set(Some(100)),
        clock_drift_s: Set(Some(-300)),
        ..Default::default()
    };
    set_device(&bridge, change.clone()).await;
    notify::turn(&bridge.app).await.unwrap();
    let open = |alarms: Vec<alarm::Model>| -> Vec<String> {
        alarms.into_iter().map(|row| row.name).collect()
    };
    let store = bridge.app.store.clone();
    assert_eq!(
        open(store.open_alarms().await.unwrap()),
        ["clock_drift:Gate"]
    );
    // Half way back is not over.
    for (drift, left) in [(-100, 1), (-59, 0)] {
        change.clock_drift_s = Set(Some(drift));
        set_device(&bridge, change.clone()).await;
        notify::turn(&bridge.app).await.unwrap();
        assert_eq!(store.open_alarms().await.unwrap().len(), left, "{drift}");
    }
    bridge.at("2026-03-09T09:00:00Z").await;
    notify::turn(&bridge.app).await.unwrap();
    assert_eq!(
        open(store.open_alarms().await.unwrap()),
        ["device_silent:Gate"]
    );
}

#[tokio::test]
async fn i21_dead_letters_and_an_old_queue_ring() {
    let hr = stub().await;
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::UNPROCESSABLE_ENTITY),
        1,
    ));
    let gate = terminal(["1", "2"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!(
        "{NAIROBI}{}start_date = \"2026-03-05\"\n[alarms]\nclock_drift_seconds = 0\n",
        crm(&hr)
    );
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    let tx = bridge.app.store.begin().await.unwrap();
    outbox::Entity::update_many()
        .col_expr(
            outbox::Column::QueuedAt,
            sea_orm::sea_query::Expr::value(bridge.app.clock.now() - 7_200),
        )
        .exec(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let names = || async {
        let open = bridge.app.store.open_alarms().await.unwrap();
        open.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["queue_old:crm"]);
    bridge.sync().await;
    notify::turn(&bridge.app).await.unwrap();
    assert_eq!(names().await, ["dead_letters:crm"]);
}

#[tokio::test]
async fn b36_new_outliers_come_in_one_mail_with_the_zone_and_back_fill_in_none() {
    let mail = MailStub::start().await;
    let gate = start(
        MockDevice::builder()
            .user(user(7, "7", "Ada"))
            .user(user(8, "8", "Bob"))
            .records([
                punch("7", "2026-02-10 03:00"),
                punch("7", "2026-02-10 17:00"),
                punch("7", "2026-03-05 05:00"),
                punch("7", "2026-03-05 17:00"),
                punch("8", "2026-03-05 05:10"),
                punch("8", "2026-03-05 17:00"),
            ]),
    )
    .await;
    let toml = format!(
        "{NAIROBI}[alarms]\nclock_drift_seconds = 0\n{}",
        mailing(&mail, "outliers = true\ninterval_minutes = 60\n")
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    notify::turn(&bridge.app).await.unwrap();
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    let text = unfolded(&mails[0]);
    assert!(text.contains("2 new outliers"), "{text}");
    assert!(
        text.contains("Ada (7), Gate at 2026-03-05T05:00:00+03:00"),
        "{text}"
    );
    assert!(text.contains("(Africa/Nairobi)"), "{text}");
    assert!(!text.contains("2026-02-10"), "{text}");

    // Once, and not before the interval has passed.
    let again = process::Options {
        from: Some(date("2026-03-01")),
        ..Default::default()
    };
    process::run(&bridge.app, &again).await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take().is_empty());
}

/// Takes POSTs and keeps their heads and bodies, on loopback.
struct HookStub {
    port: u16,
    posts: Arc<Mutex<Vec<String>>>,
}

impl HookStub {
    async fn start() -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posts);
        let take = axum::routing::post(
            move |headers: axum::http::HeaderMap, body: String| async move {
                let signed = headers.contains_key(crm_client::SIGNATURE_HEADER);
                kept.lock()
                    .unwrap()
                    .push(format!("signed: {signed} {body}"));
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = axum::Router::new().route("/alarms", take);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, posts }
    }

    fn take(&self) -> Vec<String> {
        let posts = std::mem::take(&mut *self.posts.lock().unwrap());
        assert!(posts.iter().all(|post| post.starts_with("signed: true")));
        posts
    }
}

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

#[tokio::test]
async fn a_database_of_the_first_version_knows_whose_its_entries_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(bridge_bin::store::FILE);
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let db = Database::connect(url).await.unwrap();
    migration::Migrator::up(&db, Some(1)).await.unwrap();
    for statement in [
        "INSERT INTO meta (key, value) VALUES ('kind', 'bridge')",
        "INSERT INTO target (id, fingerprint, pauses) VALUES ('crm', '|false|false', 0)",
        "INSERT INTO entry (target, entry_id, date, revision, content_hash, deleted) \
         VALUES ('crm', '7/2026-03-05/day/0', '2026-03-05', 2, 'x', FALSE)",
        "INSERT INTO outbox (target, entry_id, revision, employee, date, deleted, content, key, state, attempts, due_at, \
         queued_at) VALUES ('crm', '7/2026-03-05/day/0', 2, '7', '2026-03-05', FALSE, '{}', 'k', 'sent', 1, 0, 0)",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    db.close().await.unwrap();
    let store = Store::open(dir.path(), Kind::Bridge).await.unwrap();
    let row = entry::Entity::find()
        .one(store.reader())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.employee, "7");
    let target = store.target("crm").await.unwrap().unwrap();
    assert_eq!(target.kind.as_deref(), Some("day"));
}

#[tokio::test]
async fn a_revision_that_was_never_taken_waits_since_its_first_forerunner() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let tx = bridge.app.store.begin().await.unwrap();
    outbox::Entity::update_many()
        .col_expr(
            outbox::Column::QueuedAt,
            sea_orm::sea_query::Expr::value(1_000),
        )
        .exec(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let first = bridge.punches("gate").await.remove(0);
    void(&bridge, format!("p{}", first.id), "7", "2026-03-05").await;
    bridge.process().await;
    let pending = outbox::Entity::find()
        .filter(outbox::Column::State.eq(state::PENDING))
        .all(bridge.app.store.reader())
        .await
        .unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].revision, pending[0].queued_at), (2, 1_000));
    assert!(pending[0].deleted);
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
async fn p6_one_person_stops_no_new_target() {
    let hr = stub().await;
    let gate = terminal(["7", "8"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let tx = bridge.app.store.begin().await.unwrap();
    daily_record::Entity::update_many()
        .col_expr(
            daily_record::Column::Content,
            sea_orm::sea_query::Expr::value("{"),
        )
        .filter(daily_record::Column::Employee.eq("7"))
        .exec(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let more = format!("{}start_date = \"2026-03-05\"\n", webhook("hr", "day", &hr));
    bridge.with(&more, FRIDAY_NOON).await;

    let dry = sync::Options {
        dry_run: true,
        ..Default::default()
    };
    assert!(sync::run(&bridge.app, &dry).await.unwrap().total > 0);
    bridge.sync().await;
    let people = || {
        let mut people = current(&hr, "user_id");
        people.dedup();
        people
    };
    assert_eq!(people(), ["8"]);
    assert_eq!(bridge.sync().await.queued, 0, "it is not new any more");
    // The job makes the broken days anew, and tells them.
    assert_eq!(bridge.process().await.failed, 0);
    bridge.sync().await;
    assert_eq!(people(), ["7", "8"]);
}

#[tokio::test]
async fn what_a_target_missed_is_told_in_portions_to_the_last_person() {
    let hr = stub().await;
    let people: Vec<String> = (1..=120).map(|id| id.to_string()).collect();
    let gate = terminal(people.iter().map(|id| punch(id, "2026-03-05 08:00"))).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.with(&webhook("hr", "punch", &hr), FRIDAY_NOON).await;
    assert_eq!(bridge.sync().await.queued, 120);
    assert_eq!(held(&hr).len(), 120);
    assert_eq!(bridge.sync().await.queued, 0);
}

#[tokio::test]
async fn i6_nothing_is_complete_for_a_target_that_is_new_or_refused() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let alarms = "[alarms]\nclock_drift_seconds = 0\n";
    bridge
        .with(
            &format!("{}{alarms}", webhook("hr", "day", &hr)),
            FRIDAY_NOON,
        )
        .await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.targets[0].complete_until, None);
    assert_eq!(status.complete.until, None);
    let holder = status.complete.held_back_by.unwrap();
    assert!(holder.starts_with("the delivery to hr, "), "{holder}");
    bridge.sync().await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert!(status.complete.until.is_some(), "{:?}", status.complete);
    notify::turn(&bridge.app).await.unwrap();
    assert!(bridge.app.store.open_alarms().await.unwrap().is_empty());

    bridge.toml = format!("{NAIROBI}{}{alarms}", webhook("hr", "punch", &hr));
    bridge.at(FRIDAY_NOON).await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.complete.until, None);
    let why = status.targets[0].incomplete.as_deref().unwrap();
    assert!(why.contains("told day entries"), "{why}");
    notify::turn(&bridge.app).await.unwrap();
    let open = bridge.app.store.open_alarms().await.unwrap();
    assert_eq!(open[0].name, "queue_old:hr");
}

/// A bridge with one dead letter, of 5 January.
async fn refused(hr: &CrmStub, gate: &MockDevice) -> Bridge {
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::UNPROCESSABLE_ENTITY),
        1,
    ));
    let toml = format!(
        "{NAIROBI}[retention]\npunches_days = 10\n{}start_date = \"2026-01-05\"\n",
        webhook("hr", "punch", hr)
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let letters = bridge.app.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    bridge
}

#[tokio::test]
async fn a_dead_letter_that_a_human_closed_holds_nothing_back() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-01-05 08:00")]).await;
    let bridge = refused(&hr, &gate).await;
    let store = &bridge.app.store;
    let held_by = clean_up::run(&bridge.app, true).await.unwrap().held_back_by;
    assert!(
        held_by.as_deref().unwrap().contains("refused"),
        "{held_by:?}"
    );
    let letter = store.dead_letters(None, 10).await.unwrap().remove(0);

    let why = Dismissal {
        by: "anna",
        reason: "left long ago",
    };
    let wrong = store.dismiss(&[letter.id, 9_999], why, 7).await.unwrap();
    assert_eq!(wrong, Err(vec![9_999]));
    assert_eq!(store.rejected("hr").await.unwrap(), 1, "all or none");
    let closed = store.dismiss(&[letter.id], why, 7).await.unwrap().unwrap();
    assert_eq!(closed.len(), 1);
    let lines = audit::Entity::find().all(store.reader()).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (
            lines[0].by.as_str(),
            lines[0].detail.as_deref(),
            lines[0].at
        ),
        ("anna", Some("left long ago"), 7)
    );
    let stats = sync::stats(&bridge.app).await.unwrap();
    assert_eq!(
        (stats.total, stats.synced, stats.unsynced, stats.dismissed),
        (1, 0, 0, 1)
    );
    assert_eq!(store.waiting_since("hr").await.unwrap(), None);
    let report = clean_up::run(&bridge.app, true).await.unwrap();
    assert_eq!(report.held_back_by, None);
    let force = sync::Options {
        force: true,
        ..Default::default()
    };
    let again = sync::would_send_again(&bridge.app, &force).await.unwrap();
    assert_eq!(again, 0);
    let report = sync::run(&bridge.app, &force).await.unwrap();
    assert_eq!(report.total, 0, "a human decided");

    // What changes later goes out as usual.
    let first = bridge.punches("gate").await.remove(0);
    void(&bridge, format!("p{}", first.id), "7", "2026-01-05").await;
    bridge.process().await;
    assert_eq!(bridge.sync().await.successful, 1);
    let stats = sync::stats(&bridge.app).await.unwrap();
    assert_eq!((stats.synced, stats.dismissed), (1, 0));
}

#[tokio::test]
async fn b11_a_target_that_is_configured_no_more_keeps_no_days_open() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-01-05 08:00")]).await;
    let mut bridge = refused(&hr, &gate).await;
    bridge.toml = format!("{NAIROBI}[retention]\npunches_days = 10\n");
    bridge.at(FRIDAY_NOON).await;
    let report = clean_up::run(&bridge.app, false).await.unwrap();
    assert_eq!((report.held_back_by, report.punches), (None, 1));
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

#[tokio::test]
async fn a_mail_names_the_first_outliers_and_counts_all() {
    let mail = MailStub::start().await;
    let toml = format!("{NAIROBI}{}", mailing(&mail, "outliers = true\n"));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    let notices = (0..60).map(|n| NewNotice {
        name: format!("n{n}"),
        employee: "7".to_owned(),
        date: "2026-03-05".to_owned(),
        detail: format!("outlier no. {n};"),
    });
    let tx = bridge.app.store.begin().await.unwrap();
    make_notices(&tx, notices.collect(), 0).await.unwrap();
    tx.commit().await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let text = unfolded(&mail.take()[0]);
    assert!(text.contains("60 new outliers"), "{text}");
    assert!(
        text.contains("no. 49;") && !text.contains("no. 50;"),
        "{text}"
    );
    assert!(text.contains("and 10 more"), "{text}");
    assert_eq!(
        bridge.app.store.count_untold_notices().await.unwrap().count,
        0
    );
}
