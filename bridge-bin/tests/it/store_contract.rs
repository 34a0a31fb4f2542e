//! What every database behind the store must do.

use chrono::NaiveDate;
use sea_orm::ConnectionTrait;

use bridge_bin::Failure;
use bridge_bin::store::entity::cursor;
use bridge_bin::store::leases::{self, Claim, Lease};
use bridge_bin::store::punches::{Facts, Intake, IntakeError, NewPunch, Taken};
use bridge_bin::store::{FILE, Kind, Store, Told};

use crate::support::{Bridge, NAIROBI};

const NOON: &str = "2026-03-06T09:00:00Z";

fn told(text: &str) -> Told {
    text.parse().expect("a told time")
}

fn new_punch(user: &str, at: &str, index: i64) -> NewPunch {
    NewPunch {
        user_id: user.to_owned(),
        told: told(at),
        punch_state: 0,
        verify_mode: 1,
        work_code: 0,
        uid: None,
        log_index: index,
    }
}

fn cursor(generation: i64, records: i64) -> cursor::Model {
    cursor::Model {
        device_id: 0,
        log_generation: generation,
        records,
        layout: "40".to_owned(),
        header: 4,
        tail: vec![1, 2, 3],
        tail_checked_at: 0,
        full_read_at: 0,
        slices: true,
        counters_trusted: true,
        users: 0,
    }
}

async fn claim(store: &Store, name: &str, now_ms: i64) -> Lease {
    match store
        .claim(name, "test", 10_000, now_ms)
        .await
        .expect("a claim")
    {
        Claim::Granted(lease) => lease,
        busy @ Claim::Busy { .. } => panic!("{busy:?}"),
    }
}

async fn take_in(
    bridge: &Bridge,
    punches: &[NewPunch],
    generation: i64,
    lease: &Lease,
) -> Result<Taken, IntakeError> {
    let device = bridge.app.store.device("gate").await.expect("the device");
    let intake = Intake {
        device: &device,
        facts: Facts::default(),
        lease,
        source: "pull",
        punches,
        generation,
        counted: 0,
        users: None,
        cursor: cursor(generation, 10),
        plausible: NaiveDate::MIN..=NaiveDate::MAX,
        done: true,
        error: None,
    };
    bridge.app.store.take_in(intake, 100, 5_000).await
}

async fn with_gate(url: &str) -> Bridge {
    let bridge = Bridge::on(url, NAIROBI, NOON).await;
    bridge
        .add_address("gate", "127.0.0.1:4370", "main", None)
        .await;
    bridge
}

/// Runs each promise on both databases.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::with_gate("").await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $promise() {
                if let Some(url) = crate::postgres::database().await {
                    super::$promise(super::with_gate(&url).await).await;
                }
            })+
        }
    };
}

promises! {
    a_lease_has_one_holder_and_its_tokens_only_grow,
    nothing_is_stored_under_a_lease_that_was_lost,
    the_same_punch_read_again_is_neither_new_nor_a_repeat,
    a_repeat_in_the_log_is_counted_and_a_differing_one_noted,
    more_rows_than_one_statement_takes_are_stored,
}

/// Lets so many milliseconds pass for all leases.
async fn pass_time(store: &Store, ms: i64) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(&format!("UPDATE lease SET expires_at = expires_at - {ms}"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn a_lease_has_one_holder_and_its_tokens_only_grow(bridge: Bridge) {
    let store = &bridge.app.store;
    // A minute, so that the test may be slow: only what is written here makes time pass.
    let now = || bridge.app.clock.now_ms();
    let claim = async |holder: &str| {
        store
            .claim("terminal:1", holder, 60_000, now())
            .await
            .unwrap()
    };
    let granted = |claim| match claim {
        Claim::Granted(lease) => lease,
        busy @ Claim::Busy { .. } => panic!("{busy:?}"),
    };
    let first = granted(claim("one").await);
    match claim("other").await {
        Claim::Busy {
            holder,
            remaining_ms,
            ..
        } => {
            assert_eq!(holder, "one");
            assert!((1..=60_000).contains(&remaining_ms), "{remaining_ms}");
        }
        granted @ Claim::Granted(_) => panic!("{granted:?}"),
    }
    assert!(store.renew(&first, 120_000, now()).await.unwrap());
    pass_time(store, 60_000).await;
    assert!(matches!(claim("other").await, Claim::Busy { .. }));

    pass_time(store, 60_001).await;
    assert!(
        !leases::holds(&store.begin().await.unwrap(), &first, now())
            .await
            .unwrap()
    );
    let second = granted(claim("other").await);
    assert!(second.token > first.token);
    assert!(
        !store.renew(&first, 60_000, now()).await.unwrap(),
        "a lapsed lease cannot be renewed"
    );
    store.release(&first).await.unwrap();
    assert!(
        leases::holds(&store.begin().await.unwrap(), &second, now())
            .await
            .unwrap(),
        "releasing an old lease leaves the new one"
    );

    store.release(&second).await.unwrap();
    assert!(granted(claim("one").await).token > second.token);
}

async fn nothing_is_stored_under_a_lease_that_was_lost(bridge: Bridge) {
    let lease = claim(&bridge.app.store, "terminal:1", 0).await;
    bridge.app.store.release(&lease).await.unwrap();
    let refused = take_in(
        &bridge,
        &[new_punch("7", "2026-03-03T08:00:00", 0)],
        1,
        &lease,
    )
    .await;
    assert!(matches!(refused, Err(IntakeError::LeaseLost)));
    assert!(bridge.punches("gate").await.is_empty());
    let device = bridge.app.store.device("gate").await.unwrap();
    assert_eq!(bridge.app.store.cursor(device.id).await.unwrap(), None);
}

async fn the_same_punch_read_again_is_neither_new_nor_a_repeat(bridge: Bridge) {
    let lease = claim(&bridge.app.store, "terminal:1", 0).await;
    let punches = [
        new_punch("7", "2026-03-03T08:00:00", 0),
        new_punch("7", "2026-03-03T17:00:00", 1),
    ];
    assert_eq!(
        take_in(&bridge, &punches, 1, &lease).await.unwrap(),
        Taken {
            new: 2,
            repeated: 0
        }
    );
    assert_eq!(
        take_in(&bridge, &punches, 1, &lease).await.unwrap(),
        Taken {
            new: 0,
            repeated: 2
        }
    );
    // The log was cleared or replaced, and the same entries came once more at other positions.
    let moved = [
        new_punch("7", "2026-03-03T08:00:00", 5),
        new_punch("7", "2026-03-03T17:00:00", 6),
    ];
    take_in(&bridge, &moved, 2, &lease).await.unwrap();
    for punch in bridge.punches("gate").await {
        assert_eq!(
            (punch.repeats, punch.log_generation),
            (0, Some(1)),
            "{punch:?}"
        );
    }
}

async fn a_repeat_in_the_log_is_counted_and_a_differing_one_noted(bridge: Bridge) {
    let lease = claim(&bridge.app.store, "terminal:1", 0).await;
    let by_card = NewPunch {
        verify_mode: 2,
        ..new_punch("7", "2026-03-03T08:00:00", 2)
    };
    let log = [
        new_punch("7", "2026-03-03T08:00:00", 0),
        new_punch("7", "2026-03-03T08:00:00", 1),
        by_card,
    ];
    assert_eq!(
        take_in(&bridge, &log, 1, &lease).await.unwrap(),
        Taken {
            new: 1,
            repeated: 2
        }
    );
    // One more in a later reading of the same log.
    let later = [new_punch("7", "2026-03-03T08:00:00", 3)];
    take_in(&bridge, &later, 1, &lease).await.unwrap();
    let punches = bridge.punches("gate").await;
    assert_eq!(punches.len(), 1);
    assert_eq!(
        (
            punches[0].repeats,
            punches[0].repeat_differs,
            punches[0].verify_mode
        ),
        (3, true, 1)
    );
}

async fn more_rows_than_one_statement_takes_are_stored(bridge: Bridge) {
    let lease = claim(&bridge.app.store, "terminal:1", 0).await;
    let start = told("2026-03-03T00:00:00").to_i64();
    let punches: Vec<NewPunch> = (0..5_001)
        .map(|n| NewPunch {
            told: Told::from_i64(start + n),
            ..new_punch("7", "2026-03-03T00:00:00", n)
        })
        .collect();
    assert_eq!(
        take_in(&bridge, &punches, 1, &lease).await.unwrap(),
        Taken {
            new: 5_001,
            repeated: 0
        }
    );
    assert_eq!(bridge.punches("gate").await.len(), 5_001);
}

#[tokio::test]
async fn a_foreign_database_is_refused_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let options = sea_orm::ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    let other = sea_orm::Database::connect(options).await.unwrap();
    other
        .execute_unprepared("CREATE TABLE payroll (id INTEGER)")
        .await
        .unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();

    let failure = Failure::of(&Store::open(dir.path(), Kind::Bridge).await.unwrap_err());
    assert_eq!(failure.kind, "foreign_database");
    assert!(failure.message.contains("payroll"), "{}", failure.message);

    let after = sea_orm::Database::connect(format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    let tables = sea_orm::Statement::from_string(
        sea_orm::DbBackend::Sqlite,
        "SELECT name FROM sqlite_master",
    );
    let names = after.query_all_raw(tables).await.unwrap();
    assert_eq!(names.len(), 1, "no table of ours was added");
    assert_eq!(before.len(), std::fs::read(&path).unwrap().len());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join(FILE),
        "this is a letter, not a database, and long enough to be read".repeat(20),
    )
    .unwrap();
    let error = Store::open(dir.path(), Kind::Bridge).await.unwrap_err();
    let failure = Failure::of(&error);
    assert!(
        ["database", "foreign_database"].contains(&failure.kind),
        "{failure:?}"
    );
    assert!(!failure.remedy.is_empty());
}

#[tokio::test]
async fn a_file_in_place_of_the_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let failure = Failure::of(&Store::open(&path, Kind::Bridge).await.unwrap_err());
    assert_eq!(failure.kind, "data_dir");
}

#[tokio::test]
async fn the_demonstration_and_real_data_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), Kind::Bridge).await.unwrap());
    let failure = Failure::of(&Store::open(dir.path(), Kind::Demo).await.unwrap_err());
    assert_eq!(failure.kind, "data_dir");
}
