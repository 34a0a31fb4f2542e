//! Whole databases: from the first schema on, from one kind to the other, into a file and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bridge_bin::Failure;
use bridge_bin::clock::Clock;
use bridge_bin::demo::crm_stub::{CrmStub, Record};
use bridge_bin::store::backup::{Copied, Restored};
use bridge_bin::store::days::NewCorrection;
use bridge_bin::store::dead_letters::Dismissal;
use bridge_bin::store::entity::{cursor, outbox};
use bridge_bin::store::leases::{self, Claim, Lease};
use bridge_bin::store::migration::Migrator;
use bridge_bin::store::outbox::{Attempt, Selection, state};
use bridge_bin::store::punches::{Facts, Intake, IntakeError, NewPunch};
use bridge_bin::store::{FILE, Kind, Location, Store, Told};
use chrono::NaiveDate;
use crm_client::Outcome;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

use crate::postgres;
use crate::support::{Bridge, NAIROBI, date, punch, terminal};

const FRIDAY_NOON: &str = "2026-03-06T09:00:00Z";
const NOW: i64 = 1_772_787_600;

/// A bridge on the database at `url` that has something of everything; some of it delivered to `crm`.
async fn lived_in(url: &str, crm: &CrmStub) -> Bridge {
    let toml = format!("{NAIROBI}[crm]\nurl = \"{}\"\n", crm.url());
    let bridge = Bridge::on(url, &toml, FRIDAY_NOON).await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("7", "2026-03-03 17:00"),
        punch("8", "2026-03-04 08:30"),
        punch("9", "2026-03-04 23:00"),
    ])
    .await;
    bridge.add_to("gate", &gate, "main", Some("1234")).await;
    let store = &bridge.app.store;
    bridge.turn().await;
    bridge.sync().await;
    let device = store.device("gate").await.unwrap();
    let plausible = date("2010-01-01")..=date("2026-03-07");
    store
        .map_user(&device, "9", "E-9", None, &plausible, NOW)
        .await
        .unwrap();
    let correction = NewCorrection {
        kind: "add_punch",
        target: None,
        employee: "8".to_owned(),
        date: date("2026-03-04"),
        told: Some("2026-03-04T17:00:00".parse().unwrap()),
        state: Some(1),
        value: None,
        by: "anna".to_owned(),
        reason: "forgot – “Zoë”".to_owned(),
    };
    store.add_correction(correction, NOW).await.unwrap();
    let night = r#"{"start":"22:00","end":"06:00"}"#;
    store.set_template("night", night.to_owned()).await.unwrap();
    store
        .assign("8", date("2026-04-01"), r#"[["night"]]"#.to_owned())
        .await
        .unwrap();
    let anna = store
        .add_account("anna", "admin", "hash".to_owned(), NOW)
        .await
        .unwrap();
    store
        .add_login_link("link", anna.id, NOW + 600)
        .await
        .unwrap();
    store
        .save_session("session", "{}".to_owned(), NOW + 600)
        .await
        .unwrap();
    store
        .install_schedule("poll", "*/15 * * * *", "UTC", NOW)
        .await
        .unwrap();
    let run = store.begin_run("poll", "test", NOW).await.unwrap();
    store
        .end_run(run, "ok", "{}".to_owned(), None, NOW)
        .await
        .unwrap();
    bridge
}

async fn crm() -> CrmStub {
    CrmStub::builder().start().await.expect("a CRM stub")
}

fn location(bridge: &Bridge) -> Location {
    bridge.app.store.location().clone()
}

/// Every table with its rows and their hash.
async fn content(store: &Store) -> Vec<Copied> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("content");
    store
        .backup(&file, None, false, NOW, &|_, _| {})
        .await
        .unwrap()
}

fn rows_of(content: &[Copied], table: &str) -> u64 {
    content
        .iter()
        .find(|copied| copied.table == table)
        .unwrap_or_else(|| panic!("no table {table}"))
        .rows
}

/// A connection beside the store's own.
async fn beside(location: &Location, url: &str) -> DatabaseConnection {
    let url = match location {
        Location::Sqlite(dir) => format!("sqlite://{}?mode=rwc", dir.join(FILE).display()),
        Location::Postgres(_) => url.to_owned(),
    };
    Database::connect(url).await.unwrap()
}

/// Two places of the kinds named, with the address for a configuration of each.
struct Places {
    from: String,
    to: Location,
    to_url: String,
    _dir: tempfile::TempDir,
}

impl Places {
    async fn new(from: &str, to: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let url = async |kind: &str| match kind {
            "postgres" => postgres::database().await,
            _ => Some(String::new()),
        };
        let (from, to_url) = (url(from).await?, url(to).await?);
        let to = Location::of(dir.path(), &to_url.parse().unwrap());
        Some(Self {
            from,
            to,
            to_url,
            _dir: dir,
        })
    }
}

/// Runs each claim from and to every kind of database.
macro_rules! between {
    ($($claim:ident),+ $(,)?) => {
        mod sqlite_to_postgres { between!(@ "sqlite", "postgres", $($claim),+); }
        mod postgres_to_sqlite { between!(@ "postgres", "sqlite", $($claim),+); }
        mod sqlite_to_sqlite { between!(@ "sqlite", "sqlite", $($claim),+); }
        mod postgres_to_postgres { between!(@ "postgres", "postgres", $($claim),+); }
    };
    (@ $from:literal, $to:literal, $($claim:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $claim() {
            if let Some(places) = super::Places::new($from, $to).await {
                super::$claim(places).await;
            }
        })+
    };
}

between! {
    a_move_takes_everything_along_and_ends_the_old_place,
    a_move_that_fails_leaves_everything_as_it_was,
    a_move_beside_a_writer_loses_nothing,
    a_backup_is_restored_elsewhere,
    a_backup_beside_a_writer_is_of_one_moment,
    after_a_restore_the_crm_holds_the_current_content_of_every_entry,
    what_was_dismissed_stays_so_through_a_restore,
    a_restore_that_cannot_be_committed_changes_nothing,
    a_lease_from_before_a_restore_holds_no_more,
}

async fn a_move_takes_everything_along_and_ends_the_old_place(places: Places) {
    let bridge = lived_in(&places.from, &crm().await).await;
    let store = &bridge.app.store;
    let before = content(store).await;
    for table in [
        "account",
        "correction",
        "cursor",
        "daily_record",
        "device",
        "device_group",
        "dirty_day",
        "employee",
        "entry",
        "identity",
        "lease",
        "login_link",
        "meta",
        "outbox",
        "punch",
        "roster_assignment",
        "run",
        "schedule",
        "shift_template",
        "target",
        "web_session",
    ] {
        assert!(rows_of(&before, table) > 0, "the test has no {table}");
    }

    let progress = std::sync::Mutex::new(Vec::new());
    let copied = store
        .move_to(places.to.clone(), &|done, total| {
            progress.lock().unwrap().push((done, total));
        })
        .await
        .unwrap();
    assert_eq!(copied, before);
    let total: u64 = copied.iter().map(|table| table.rows).sum();
    assert_eq!(progress.lock().unwrap().last(), Some(&(total, total)));

    let moved = Store::open(places.to, Kind::Bridge).await.unwrap();
    assert_eq!(content(&moved).await, before);
    // Ids go on behind those that came along.
    moved.begin_run("poll", "test", NOW).await.unwrap();
    assert!(moved.runs(1).await.unwrap()[0].id > store.runs(1).await.unwrap()[0].id);
    assert!(
        moved
            .add_account("ben", "viewer", "hash".to_owned(), NOW)
            .await
            .is_ok()
    );

    let late = store.begin_run("poll", "test", NOW).await.unwrap_err();
    let failure = Failure::of(&late.into());
    assert_eq!(failure.kind, "moved");
    assert!(
        failure.message.contains(&moved.location().to_string()),
        "{failure:?}"
    );
    assert!(!store.ready().await);
    let reopened = Store::open(location(&bridge), Kind::Bridge).await;
    assert_eq!(Failure::of(&reopened.unwrap_err()).kind, "moved");
}

async fn a_move_that_fails_leaves_everything_as_it_was(places: Places) {
    let bridge = lived_in(&places.from, &crm().await).await;
    let store = &bridge.app.store;
    let before = content(store).await;
    drop(Store::open(places.to.clone(), Kind::Bridge).await.unwrap());
    let target = beside(&places.to, &places.to_url).await;
    let refusal = if places.to_url.is_empty() {
        "CREATE TRIGGER full BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    } else {
        "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$; \
         CREATE TRIGGER \"full\" BEFORE INSERT ON run EXECUTE FUNCTION full()"
    };
    target.execute_unprepared(refusal).await.unwrap();

    let error = store
        .move_to(places.to.clone(), &|_, _| {})
        .await
        .unwrap_err();
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, "database");
    assert!(failure.message.contains("the disk is full"), "{failure:?}");
    let left = Store::open(places.to.clone(), Kind::Bridge).await.unwrap();
    for table in content(&left).await {
        assert!(table.table == "meta" || table.rows == 0, "{table:?}");
    }
    assert_eq!(content(store).await, before);
    assert!(store.begin_run("poll", "test", NOW).await.is_ok());

    // Nothing is overwritten either.
    left.install_schedule("poll", "* * * * *", "UTC", 0)
        .await
        .unwrap();
    let error = store.move_to(places.to, &|_, _| {}).await.unwrap_err();
    assert_eq!(Failure::of(&error).kind, "not_empty");
    let error = store
        .move_to(location(&bridge), &|_, _| {})
        .await
        .unwrap_err();
    assert_eq!(Failure::of(&error).kind, "same_place");
}

/// Stores punch after punch of user 7, each in a transaction with the cursor that counts it.
async fn write(store: &Store, lease: &Lease, number: i64) -> anyhow::Result<()> {
    let device = store.device("door").await?;
    let start: Told = "2026-03-01T00:00:00".parse().unwrap();
    let punches = [NewPunch {
        user_id: "7".to_owned(),
        told: Told::from_i64(start.to_i64() + number),
        punch_state: 0,
        verify_mode: 1,
        work_code: 0,
        uid: None,
        log_index: number,
    }];
    let intake = Intake {
        device: &device,
        facts: Facts::default(),
        lease,
        source: "pull",
        punches: &punches,
        generation: 1,
        counted: 0,
        users: None,
        cursor: cursor::Model {
            device_id: device.id,
            log_generation: 1,
            records: number + 1,
            layout: "40".to_owned(),
            header: 4,
            tail: vec![1, 2, 3],
            tail_checked_at: 0,
            full_read_at: 0,
            slices: true,
            counters_trusted: true,
            users: 0,
        },
        plausible: NaiveDate::MIN..=NaiveDate::MAX,
        done: true,
        gives_back: false,
        error: None,
    };
    match store.take_in(intake, NOW, Clock::default().now_ms()).await {
        Ok(_) => Ok(()),
        Err(IntakeError::Database(error)) => Err(error.into()),
        Err(lost @ IntakeError::LeaseLost) => Err(lost.into()),
    }
}

async fn claim(store: &Store, name: &str) -> Lease {
    match store
        .claim(name, "test", 3_600_000, Clock::default().now_ms())
        .await
        .unwrap()
    {
        Claim::Granted(lease) => lease,
        busy @ Claim::Busy { .. } => panic!("{busy:?}"),
    }
}

/// A node that writes until it is told to stop or is refused; how many punches it stored, and why it ended.
fn writer(
    store: &Store,
    lease: &Lease,
    stop: &Arc<AtomicBool>,
) -> tokio::task::JoinHandle<(i64, Option<Failure>)> {
    let (store, lease, stop) = (store.clone(), lease.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut stored = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = write(&store, &lease, stored).await {
                return (stored, Some(Failure::of(&error)));
            }
            stored += 1;
        }
        (stored, None)
    })
}

async fn with_door(url: &str) -> (Bridge, Lease) {
    let bridge = Bridge::on(url, NAIROBI, FRIDAY_NOON).await;
    bridge
        .add_address("door", "127.0.0.1:4370", "main", None)
        .await;
    let lease = claim(&bridge.app.store, "terminal:1").await;
    (bridge, lease)
}

async fn a_move_beside_a_writer_loses_nothing(places: Places) {
    let (bridge, lease) = with_door(&places.from).await;
    // Like another node: a store of its own.
    let node = Store::open(location(&bridge), Kind::Bridge).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = writer(&node, &lease, &stop);
    while bridge.punches("door").await.len() < 5 {
        tokio::task::yield_now().await;
    }
    bridge
        .app
        .store
        .move_to(places.to.clone(), &|_, _| {})
        .await
        .unwrap();
    let (stored, ended) = writer.await.unwrap();
    assert_eq!(ended.map(|failure| failure.kind), Some("moved"));

    let moved = Store::open(places.to, Kind::Bridge).await.unwrap();
    let device = moved.device("door").await.unwrap();
    let arrived = moved.punches_of(device.id).await.unwrap();
    assert_eq!(i64::try_from(arrived.len()).unwrap(), stored);
    // And it is carried on there, under the same lease.
    write(&moved, &lease, stored).await.unwrap();
}

async fn back_up(store: &Store, dir: &Path) -> PathBuf {
    let file = dir.join("all.backup");
    store
        .backup(&file, None, false, NOW, &|_, _| {})
        .await
        .unwrap();
    file
}

async fn restore(
    to: &Location,
    file: &Path,
    dir: &Path,
    replace: bool,
) -> anyhow::Result<Restored> {
    Store::restore(to.clone(), file, dir, replace, NOW, &|_, _| {}).await
}

async fn a_backup_is_restored_elsewhere(places: Places) {
    let bridge = lived_in(&places.from, &crm().await).await;
    let (dir, store) = (tempfile::tempdir().unwrap(), &bridge.app.store);
    let before = content(store).await;
    let file = back_up(store, dir.path()).await;
    let restored = restore(&places.to, &file, dir.path(), false).await.unwrap();
    assert_eq!(restored.queued, rows_of(&before, "entry"));
    assert!(restored.revision_floor >= NOW);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "only the backup is left"
    );

    let other = Store::open(places.to.clone(), Kind::Bridge).await.unwrap();
    let after = content(&other).await;
    // What a restore changes by intent; everything else is as it was.
    let changed = [
        "due_target",
        "entry",
        "lease",
        "login_link",
        "meta",
        "outbox",
        "web_session",
    ];
    for (before, after) in before.iter().zip(&after) {
        assert!(
            before == after || changed.contains(&before.table.as_str()),
            "{before:?} became {after:?}"
        );
    }
    assert_eq!(
        (
            rows_of(&after, "web_session"),
            rows_of(&after, "login_link")
        ),
        (0, 0)
    );
    assert!(
        other
            .add_account("ben", "viewer", "hash".to_owned(), NOW)
            .await
            .is_ok()
    );

    let error = restore(&places.to, &file, dir.path(), false)
        .await
        .unwrap_err();
    assert_eq!(Failure::of(&error).kind, "not_empty");
    assert!(
        other.account("ben").await.unwrap().is_some(),
        "left as it was"
    );
    restore(&places.to, &file, dir.path(), true).await.unwrap();
    assert!(other.account("ben").await.unwrap().is_none(), "replaced");
    assert!(other.account("anna").await.unwrap().is_some());
}

async fn a_backup_beside_a_writer_is_of_one_moment(places: Places) {
    let (bridge, lease) = with_door(&places.from).await;
    let dir = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = writer(&bridge.app.store, &lease, &stop);
    while bridge.punches("door").await.len() < 5 {
        tokio::task::yield_now().await;
    }
    let file = back_up(&bridge.app.store, dir.path()).await;
    stop.store(true, Ordering::Relaxed);
    let (stored, ended) = writer.await.unwrap();
    assert_eq!(ended, None, "the writer went on");
    restore(&places.to, &file, dir.path(), false).await.unwrap();
    let other = Store::open(places.to, Kind::Bridge).await.unwrap();
    let device = other.device("door").await.unwrap();
    let punches = i64::try_from(other.punches_of(device.id).await.unwrap().len()).unwrap();
    assert!((5..=stored).contains(&punches), "{punches} of {stored}");
    assert_eq!(
        other.cursor(device.id).await.unwrap().unwrap().records,
        punches
    );
}

fn held(crm: &CrmStub) -> Vec<Record> {
    crm.snapshot().records
}

async fn after_a_restore_the_crm_holds_the_current_content_of_every_entry(places: Places) {
    let crm = crm().await;
    let toml = format!("{NAIROBI}[crm]\nurl = \"{}\"\n", crm.url());
    let mut bridge = Bridge::on(&places.from, &toml, FRIDAY_NOON).await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("8", "2026-03-03 08:00"),
        punch("8", "2026-03-03 17:00"),
    ])
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    // The target gave one of them an id of its own.
    let store = &bridge.app.store;
    let rows = store.delivery_on("crm", "2026-03-03").await.unwrap();
    let row: outbox::Model = rows.into_iter().find(|row| row.employee == "8").unwrap();
    let entry_id = row.entry_id.clone();
    let outcome = Outcome::Accepted {
        remote_id: Some("HR-0815".to_owned()),
    };
    store
        .settle("crm", &[Attempt { row, outcome }], 1, NOW)
        .await
        .unwrap();

    let dir = tempfile::tempdir().unwrap();
    let file = back_up(store, dir.path()).await;

    // Afterwards one day changes, is sent, changes again by hand and is sent; and somebody new comes.
    gate.punch(punch("7", "2026-03-03 17:00"));
    gate.punch(punch("9", "2026-03-04 08:00"));
    bridge.turn().await;
    bridge.sync().await;
    let by_hand = NewCorrection {
        kind: "add_punch",
        target: None,
        employee: "8".to_owned(),
        date: date("2026-03-03"),
        told: Some("2026-03-03T18:00:00".parse().unwrap()),
        state: Some(1),
        value: None,
        by: "anna".to_owned(),
        reason: "stayed".to_owned(),
    };
    bridge.app.store.add_correction(by_hand, NOW).await.unwrap();
    bridge.process().await;
    bridge.sync().await;
    let day_of = |records: Vec<Record>, employee: &str| {
        let prefix = format!("{employee}/2026-03-03/");
        records
            .into_iter()
            .find(|record| record.record_id.starts_with(&prefix))
            .unwrap()
    };
    assert_eq!(
        day_of(held(&crm), "8").content["clock_out"],
        "2026-03-03T18:00:00+03:00"
    );

    let restored = restore(&places.to, &file, dir.path(), false).await.unwrap();
    assert!(restored.queued > 0);
    // The bridge goes on from the backup, elsewhere; nobody remembers the correction.
    if let Location::Sqlite(to) = &places.to {
        std::fs::copy(bridge.dir.path().join("secret.key"), to.join("secret.key")).unwrap();
        bridge.go_to(to, &toml, FRIDAY_NOON).await;
    } else {
        let toml = format!("database_url = {:?}\n{toml}", places.to_url);
        let to = tempfile::tempdir().unwrap().keep();
        bridge.go_to(&to, &toml, FRIDAY_NOON).await;
    }
    let everything = Selection {
        not_due: true,
        ..Selection::default()
    };
    let due = bridge
        .app
        .store
        .due("crm", &everything, NOW, 0, 1_000)
        .await
        .unwrap();
    assert_eq!(due.len() as u64, restored.queued);
    assert!(
        due.iter()
            .all(|row| row.revision >= restored.revision_floor && row.state == state::PENDING)
    );
    let ids = bridge.app.store.remote_ids("crm", &due).await.unwrap();
    assert_eq!(ids.get(&entry_id).map(String::as_str), Some("HR-0815"));
    bridge.turn().await;
    bridge.sync().await;

    let now = held(&crm);
    let mut compared = 0;
    for record in &now {
        let stored = bridge
            .app
            .store
            .records_on(day(&record.record_id))
            .await
            .unwrap();
        let row = stored
            .iter()
            .find(|row| row.record_id == record.record_id)
            .expect("a record of ours");
        let content: serde_json::Value = serde_json::from_str(&row.content).unwrap();
        assert_eq!(record.content["status"], content["status"], "{record:?}");
        assert_eq!(
            record.content["worked_s"], content["worked_s"],
            "{record:?}"
        );
        assert!(!record.deleted);
        compared += 1;
    }
    assert!(compared > 3, "{now:#?}");
    assert_eq!(
        day_of(now.clone(), "7").content["clock_out"],
        "2026-03-03T17:00:00+03:00"
    );
    assert_eq!(
        day_of(now, "8").content["clock_out"],
        "2026-03-03T17:00:00+03:00"
    );
    assert_eq!(bridge.app.store.pending("crm").await.unwrap(), 0);
}

fn day(record_id: &str) -> NaiveDate {
    date(record_id.split('/').nth(1).unwrap())
}

async fn what_was_dismissed_stays_so_through_a_restore(places: Places) {
    let bridge = lived_in(&places.from, &crm().await).await;
    let store = &bridge.app.store;
    bridge.process().await;
    let row = store.latest("crm", None).await.unwrap().unwrap();
    let refusal = Attempt {
        outcome: Outcome::Rejected {
            reason: "who?".to_owned(),
        },
        row: row.clone(),
    };
    store.settle("crm", &[refusal], 1, NOW).await.unwrap();
    let why = Dismissal {
        by: "anna",
        reason: "left long ago",
    };
    let closed = store.dismiss(&[row.id], why, NOW).await.unwrap().unwrap();
    assert_eq!(closed.len(), 1);
    let dir = tempfile::tempdir().unwrap();
    let file = back_up(store, dir.path()).await;
    let entries = rows_of(&content(store).await, "entry");

    let restored = restore(&places.to, &file, dir.path(), false).await.unwrap();
    assert_eq!(restored.queued, entries - 1);
    let store = Store::open(places.to.clone(), Kind::Bridge).await.unwrap();
    let known = store.latest("crm", Some(&row.entry_id)).await.unwrap();
    let known = known.unwrap();
    assert_eq!(
        (known.state.as_str(), known.revision),
        (state::DISMISSED, row.revision)
    );
}

async fn a_lease_from_before_a_restore_holds_no_more(places: Places) {
    let (bridge, _) = with_door(&places.from).await;
    let dir = tempfile::tempdir().unwrap();
    let file = back_up(&bridge.app.store, dir.path()).await;
    let other = Store::open(places.to.clone(), Kind::Bridge).await.unwrap();
    let running = claim(&other, "terminal:1").await;
    let elsewhere = claim(&other, "job:process").await;
    restore(&places.to, &file, dir.path(), true).await.unwrap();
    for lease in [running, elsewhere] {
        let tx = other.begin().await.unwrap();
        assert!(
            !leases::holds(&tx, &lease, Clock::default().now_ms())
                .await
                .unwrap()
        );
        drop(tx);
        assert!(claim(&other, &lease.name).await.token > lease.token);
    }
}

#[tokio::test]
async fn a_backup_is_private_keeps_the_key_out_and_replaces_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    let (store, file) = (&bridge.app.store, dir.path().join("a.backup"));
    let key = bridge_bin::secret::export(bridge.dir.path()).unwrap();
    store
        .backup(&file, None, false, NOW, &|_, _| {})
        .await
        .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let holds_key = || {
        let bytes = std::fs::read(&file).unwrap();
        bytes
            .windows(key.len())
            .any(|window| window == key.as_bytes())
    };
    assert!(!holds_key());
    let again = store.backup(&file, None, false, NOW, &|_, _| {}).await;
    assert_eq!(Failure::of(&again.unwrap_err()).kind, "file_exists");
    store
        .backup(&file, Some(key.clone()), true, NOW, &|_, _| {})
        .await
        .unwrap();
    assert!(holds_key());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing unfinished is left"
    );

    let to = tempfile::tempdir().unwrap();
    std::fs::write(to.path().join("secret.key"), "0".repeat(64)).unwrap();
    assert!(
        restore(&Location::from(to.path()), &file, to.path(), false)
            .await
            .unwrap()
            .key
    );
    assert_eq!(
        std::fs::read_to_string(to.path().join("secret.key")).unwrap(),
        key
    );
    let kept = std::fs::read_dir(to.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".replaced")
    });
    assert_eq!(kept.count(), 1, "the other key is kept beside it");

    let nowhere = store
        .backup(&dir.path().join("no/such"), None, false, NOW, &|_, _| {})
        .await;
    assert_eq!(Failure::of(&nowhere.unwrap_err()).kind, "backup");
}

type Harm<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Changes the bytes of a file.
fn spoil(file: &Path, how: Harm<'_>) {
    let mut bytes = std::fs::read(file).unwrap();
    how(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_backup_is_named_and_nothing_is_touched() {
    let bridge = lived_in("", &crm().await).await;
    let dir = tempfile::tempdir().unwrap();
    let good = back_up(&bridge.app.store, dir.path()).await;
    let to = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    to.app
        .store
        .add_account("ben", "viewer", "hash".to_owned(), NOW)
        .await
        .unwrap();
    let before = content(&to.app.store).await;
    let names = || {
        let entries = std::fs::read_dir(to.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let there = names();
    let overwrite = |bytes: &mut Vec<u8>, from: usize| bytes[from..from + 4096].fill(0xa5);
    let cases: [(&str, Harm<'_>); 4] = [
        ("half", &|bytes| bytes.truncate(bytes.len() / 2)),
        ("a page", &|bytes| overwrite(bytes, 4096 * 3)),
        ("the list of tables", &|bytes| overwrite(bytes, 100)),
        ("one letter", &|bytes| {
            let needle = "forgot – “Zoë”".as_bytes();
            let at = bytes
                .windows(needle.len())
                .position(|window| window == needle);
            bytes[at.unwrap()] = b'F';
        }),
    ];
    for (what, how) in cases {
        let file = dir.path().join("spoiled");
        std::fs::copy(&good, &file).unwrap();
        spoil(&file, how);
        let error = restore(&location(&to), &file, to.dir.path(), true).await;
        let failure = Failure::of(&error.unwrap_err());
        assert_eq!(failure.kind, "damaged_backup", "{what}: {failure:?}");
        let begin = format!("The backup {} is damaged: ", file.display());
        assert!(failure.message.starts_with(&begin), "{what}: {failure:?}");
        assert_eq!(content(&to.app.store).await, before, "{what}");
        assert_eq!(names(), there, "{what}");
    }
    let nowhere = dir.path().join("nowhere");
    let file = dir.path().join("spoiled");
    let error = restore(&Location::from(&nowhere), &file, &nowhere, true).await;
    assert_eq!(Failure::of(&error.unwrap_err()).kind, "damaged_backup");
    assert!(!nowhere.join(FILE).exists());
}

/// Where the last step fails that can: everything is as it was, and the key too.
async fn a_restore_that_cannot_be_committed_changes_nothing(places: Places) {
    if places.to_url.is_empty() {
        // SQLite offers nothing that refuses a commit; it is killed there instead: `databases`.
        return;
    }
    let bridge = lived_in(&places.from, &crm().await).await;
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = dir.path().join("all.backup");
    let key = Some("1".repeat(64));
    let store = &bridge.app.store;
    store
        .backup(&file, key, false, NOW, &|_, _| {})
        .await
        .unwrap();
    let old = Store::open(places.to.clone(), Kind::Bridge).await.unwrap();
    old.add_account("ben", "viewer", "hash".to_owned(), NOW)
        .await
        .unwrap();
    let own = data.path().join("secret.key");
    std::fs::write(&own, "2".repeat(64)).unwrap();
    let before = content(&old).await;
    beside(&places.to, &places.to_url)
        .await
        .execute_unprepared(
            "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$; \
             CREATE CONSTRAINT TRIGGER \"full\" AFTER INSERT ON run DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION full()",
        )
        .await
        .unwrap();

    let error = restore(&places.to, &file, data.path(), true).await;
    let failure = Failure::of(&error.unwrap_err());
    assert!(failure.message.contains("the disk is full"), "{failure:?}");
    assert_eq!(content(&old).await, before);
    assert!(!old.finish_restore(data.path()).await.unwrap());
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "2".repeat(64));
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = dir.path().join("file");
    std::fs::write(
        &file,
        "a letter to the firm, and no database at all ".repeat(30),
    )
    .unwrap();
    let kind = async |file: &Path| {
        let error = restore(&Location::from(to.path()), file, to.path(), false).await;
        Failure::of(&error.unwrap_err()).kind
    };
    assert_eq!(kind(&file).await, "not_a_backup");
    assert_eq!(kind(&dir.path().join("missing")).await, "not_a_backup");

    // A database of ours, but never a backup.
    let bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    let plain = beside(&location(&bridge), "").await;
    let copy = dir.path().join("copy");
    plain
        .execute_unprepared(&format!("VACUUM INTO '{}'", copy.display()))
        .await
        .unwrap();
    assert_eq!(kind(&copy).await, "not_a_backup");

    // One of a version to come.
    let newer = dir.path().join("newer");
    bridge
        .app
        .store
        .backup(&newer, None, false, NOW, &|_, _| {})
        .await
        .unwrap();
    let db = Database::connect(format!("sqlite://{}", newer.display()))
        .await
        .unwrap();
    db.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_later', 0)")
        .await
        .unwrap();
    db.close().await.unwrap();
    assert_eq!(kind(&newer).await, "newer_schema");
    assert!(!to.path().join(FILE).exists(), "nothing was made");
}

/// The rows of a database of the first schema, as its SQL text.
const FIRST_ROWS: &str = include_str!("../data/m0001.rows.sql");
const FIRST_SCHEMA: &str = include_str!("../data/m0001.schema.sql");

async fn nothing_of_the_first_schema_is_lost(location: Location) {
    let store = Store::open(location, Kind::Bridge).await.unwrap();
    let now = content(&store).await;
    let mut expected = std::collections::BTreeMap::<&str, u64>::new();
    for line in FIRST_ROWS
        .lines()
        .filter(|line| line.starts_with("INSERT INTO "))
    {
        let table = line.split('"').nth(1).unwrap();
        *expected.entry(table).or_default() += 1;
    }
    assert!(expected.len() > 15, "{expected:?}");
    for (table, rows) in expected {
        assert!(rows_of(&now, table) >= rows, "{table}");
    }

    let device = store.device("gate").await.unwrap();
    assert_eq!(
        (device.timezone.as_str(), device.enabled),
        ("Africa/Nairobi", true)
    );
    let punches = store.punches_of(device.id).await.unwrap();
    let seen: Vec<(String, String, i32)> = punches
        .iter()
        .map(|punch| {
            (
                punch.user_id.clone(),
                Told::from_i64(punch.told).to_string(),
                punch.repeats,
            )
        })
        .collect();
    let punch = |user: &str, at: &str, repeats| (user.to_owned(), at.to_owned(), repeats);
    assert_eq!(
        seen,
        [
            punch("7", "2026-03-03T08:00:00", 0),
            punch("7", "2026-03-03T17:00:00", 1),
            punch("8", "2026-03-04T08:30:00", 0),
            punch("9", "2026-03-04T23:00:00", 0),
        ]
    );
    let cursor = store.cursor(device.id).await.unwrap().unwrap();
    assert_eq!((cursor.records, cursor.layout.as_str()), (5, "40"));
    assert!(!cursor.tail.is_empty());
    let records = store.records_on(date("2026-03-03")).await.unwrap();
    assert!(
        records
            .iter()
            .any(|row| row.employee == "7" && row.status == "present")
    );
    let sent = store.delivery_on("crm", "2026-03-03").await.unwrap();
    assert!(
        sent.iter()
            .any(|row| row.employee == "7" && row.state == state::SENT && row.revision == 1)
    );
    assert_eq!(store.account("anna").await.unwrap().unwrap().role, "admin");
}

#[tokio::test]
async fn a_database_of_the_first_schema_opens_with_nothing_lost_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let old = beside(&Location::from(dir.path()), "").await;
    old.execute_unprepared(FIRST_SCHEMA).await.unwrap();
    old.execute_unprepared(FIRST_ROWS).await.unwrap();
    old.close().await.unwrap();
    nothing_of_the_first_schema_is_lost(Location::from(dir.path())).await;
}

#[tokio::test]
async fn a_database_of_the_first_schema_opens_with_nothing_lost_on_postgres() {
    let Some(url) = postgres::database().await else {
        return;
    };
    let old = Database::connect(&url).await.unwrap();
    Migrator::up(&old, Some(1)).await.unwrap();
    // The one thing that the two do not write alike.
    let rows = FIRST_ROWS.replace("X'", "'\\x");
    old.execute_unprepared(&rows).await.unwrap();
    old.close().await.unwrap();
    nothing_of_the_first_schema_is_lost(Location::of(Path::new("/"), &url.parse().unwrap())).await;
}

#[tokio::test]
async fn a_schema_of_a_version_to_come_is_refused_untouched() {
    for url in [Some(String::new()), postgres::database().await]
        .into_iter()
        .flatten()
    {
        let bridge = Bridge::on(&url, NAIROBI, FRIDAY_NOON).await;
        let place = location(&bridge);
        let db = beside(&place, &url).await;
        db.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_later', 0)")
            .await
            .unwrap();
        let error = Store::open(place, Kind::Bridge).await.unwrap_err();
        assert_eq!(Failure::of(&error).kind, "newer_schema");
    }
}
