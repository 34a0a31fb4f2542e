//! What waits, what was sent and what was refused.

use std::sync::{Arc, Mutex};

use bridge_bin::demo::crm_stub::{CrmStub, Fault};
use bridge_bin::jobs::{clean_up, process, sync};
use bridge_bin::store::dead_letters::Dismissal;
use bridge_bin::store::entity::{audit, entry, outbox};
use bridge_bin::store::outbox::{Selection, state};
use bridge_bin::store::{Kind, Store, migration};
use sea_orm::{ColumnTrait, ConnectionTrait, Database, EntityTrait, QueryFilter, Statement};
use sea_orm_migration::MigratorTrait as _;
use zk_proto::mock::MockDevice;

use super::trouble::in_trouble;
use super::{FRIDAY_NOON, crm, fail, stub, void, webhook};
use crate::support::{Bridge, NAIROBI, date, punch, terminal};

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
