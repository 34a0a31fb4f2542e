//! What every database behind the store must do.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

use bridge_bin::Failure;
use bridge_bin::clock::Clock;
use bridge_bin::store::days::{self, Assessed, NewCorrection};
use bridge_bin::store::due::PollFailure;
use bridge_bin::store::entity::{self, cursor};
use bridge_bin::store::leases::{self, Claim, Lease, Renewals};
use bridge_bin::store::outbox::{Attempt, Selection, state};
use bridge_bin::store::punches::{Facts, Intake, IntakeError, NewPunch, Taken};
use bridge_bin::store::queue::{self, Draft, Scope};
use bridge_bin::store::{FILE, Kind, Location, Store, Told};
use crm_client::{Outcome, Reach};

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

fn brought<'a>(
    device: &'a entity::device::Model,
    lease: &'a Lease,
    punches: &'a [NewPunch],
    generation: i64,
) -> Intake<'a> {
    Intake {
        device,
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
        gives_back: false,
        error: None,
    }
}

async fn take_in(
    bridge: &Bridge,
    punches: &[NewPunch],
    generation: i64,
    lease: &Lease,
) -> Result<Taken, IntakeError> {
    let device = bridge.app.store.device("gate").await.expect("the device");
    let intake = brought(&device, lease, punches, generation);
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
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::with_gate("").await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    a_lease_claimed_by_many_at_once_is_granted_to_one,
    a_due_row_claimed_by_many_at_once_is_moved_on_by_one,
    a_login_link_works_once_however_many_try,
    an_account_has_one_name_and_a_session_its_time,
    two_terminals_read_at_once_make_their_people_as_old_as_the_oldest_punch,
    a_mapping_changed_while_punches_come_misses_none_of_them,
    a_day_touched_again_while_it_is_assessed_stays_due,
    a_delivery_is_tried_again_refused_superseded_and_accepted,
    more_entries_than_a_page_are_queued_again_each_once,
    an_entry_changed_by_many_at_once_has_a_revision_for_each,
    what_was_restored_meanwhile_is_not_settled,
    names_order_by_their_bytes,
    a_nul_in_a_text_is_no_trouble,
    all_leases_of_a_node_are_renewed_at_once_but_for_those_that_a_transaction_holds,
    a_reading_that_gives_its_lease_back_needs_no_other_transaction,
    readings_without_news_are_stored_together_each_under_its_own_lease,
    what_was_closed_while_a_reading_waited_to_be_stored_stays_closed,
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
    let renew = async |lease: &Lease, term_ms| loop {
        let leases = std::slice::from_ref(lease);
        let renewals = store.renew("one", leases, term_ms, now()).await.unwrap();
        // A claim that was refused may still be on its way out, with the row in its hands.
        if renewals.occupied.is_empty() {
            return renewals;
        }
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
    assert_eq!(renew(&first, 120_000).await.renewed.len(), 1);
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
    assert_eq!(
        renew(&first, 60_000).await,
        Renewals::default(),
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

/// Several nodes on the database of a bridge, each with a store of its own.
async fn nodes(bridge: &Bridge) -> Vec<Store> {
    let mut nodes = Vec::new();
    for _ in 0..4 {
        let location = bridge.app.store.location().clone();
        nodes.push(Store::open(location, Kind::Bridge).await.unwrap());
    }
    nodes
}

/// What each of several nodes answers, all asked at once.
async fn at_once<T, F>(nodes: &[Store], ask: impl Fn(Store, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let asked: Vec<_> = nodes
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, store)| tokio::spawn(ask(store, number)))
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    answers
}

async fn a_lease_claimed_by_many_at_once_is_granted_to_one(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    for round in 0..5 {
        let answers = at_once(&nodes, |store, _| async move {
            let now = Clock::default().now_ms();
            let name = format!("terminal:{round}");
            store.claim(&name, "node", 60_000, now).await.unwrap()
        })
        .await;
        let granted = answers
            .iter()
            .filter(|answer| matches!(answer, Claim::Granted(_)));
        assert_eq!(granted.count(), 1, "{answers:?}");
    }
}

async fn a_due_row_claimed_by_many_at_once_is_moved_on_by_one(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    let store = &bridge.app.store;
    store
        .install_schedule("sync", "*/15 * * * *", "UTC", 0)
        .await
        .unwrap();
    for due in 0..5 {
        let moved = at_once(&nodes, |store, _| async move {
            let moved = store.call_for_deliveries(&["crm"], due, due + 1, due).await;
            moved.unwrap()
        })
        .await;
        assert_eq!(moved.iter().filter(|moved| **moved).count(), 1);
    }
}

async fn a_login_link_works_once_however_many_try(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    let store = &bridge.app.store;
    let anna = store
        .add_account("anna", "admin", "hash".to_owned(), 0)
        .await
        .unwrap();
    for round in 0..5 {
        let link = format!("link {round}");
        store.add_login_link(&link, anna.id, 100).await.unwrap();
        let used = at_once(&nodes, |store, _| {
            let link = link.clone();
            async move { store.use_login_link(&link, 99).await.unwrap() }
        })
        .await;
        assert_eq!(used.iter().flatten().count(), 1);
    }
    store.add_login_link("late", anna.id, 100).await.unwrap();
    assert_eq!(store.use_login_link("late", 100).await.unwrap(), None);
}

async fn an_account_has_one_name_and_a_session_its_time(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    let added = at_once(&nodes, |store, _| async move {
        let added = store.add_account("anna", "viewer", String::new(), 0).await;
        added.map_err(|error| Failure::of(&error).kind)
    })
    .await;
    let mut refused = added.iter().filter_map(|added| added.as_ref().err());
    assert_eq!(refused.clone().count(), 3);
    assert!(refused.all(|kind| *kind == "account_exists"));

    let store = &bridge.app.store;
    for data in ["one", "two"] {
        store
            .save_session("id", data.to_owned(), 100)
            .await
            .unwrap();
    }
    store.save_session("old", String::new(), 50).await.unwrap();
    assert_eq!(
        store.session("id", 99).await.unwrap().as_deref(),
        Some("two")
    );
    assert_eq!(store.session("id", 100).await.unwrap(), None);
    store.delete_session("other", 60).await.unwrap();
    assert_eq!(store.session("old", 0).await.unwrap(), None, "cleared away");
    store.delete_session("id", 60).await.unwrap();
    assert_eq!(store.session("id", 0).await.unwrap(), None);
}

/// Stores punches of one device under a lease of its own.
async fn bring(store: &Store, device: &str, punches: &[NewPunch]) {
    let device = store.device(device).await.unwrap();
    let name = leases::terminal(device.id);
    let now = Clock::default().now_ms();
    let Claim::Granted(lease) = store.claim(&name, "node", 60_000, now).await.unwrap() else {
        panic!("{name} is taken");
    };
    let intake = Intake {
        device: &device,
        facts: Facts::default(),
        lease: &lease,
        source: "pull",
        punches,
        generation: 1,
        counted: 0,
        users: None,
        cursor: cursor(1, 10),
        plausible: NaiveDate::MIN..=NaiveDate::MAX,
        done: true,
        gives_back: false,
        error: None,
    };
    store.take_in(intake, 100, now).await.unwrap();
    store.release(&lease).await.unwrap();
}

async fn dirty(store: &Store, employee: &str) -> BTreeMap<NaiveDate, i64> {
    let work = store.work_list(0, "", 1_000).await.unwrap();
    work.into_iter()
        .find(|work| work.employee == employee)
        .map(|work| work.days)
        .unwrap_or_default()
}

async fn two_terminals_read_at_once_make_their_people_as_old_as_the_oldest_punch(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    for number in 0..4 {
        let name = format!("door {number}");
        bridge
            .add_address(&name, "127.0.0.1:4370", "main", None)
            .await;
    }
    at_once(&nodes, |store, number| async move {
        let day = format!("2026-03-{:02}T08:00:00", 5 - number);
        let people: Vec<NewPunch> = (0..50)
            .map(|user| new_punch(&user.to_string(), &day, user))
            .collect();
        bring(&store, &format!("door {number}"), &people).await;
    })
    .await;
    let store = &bridge.app.store;
    let employees = store.employees().await.unwrap();
    assert_eq!(employees.len(), 50);
    for employee in employees {
        assert_eq!(employee.active_from.as_deref(), Some("2026-03-02"));
    }
    let work = store.work_list(0, "", 1_000).await.unwrap();
    assert_eq!(work.len(), 50);
    assert!(work.iter().all(|work| work.days.len() == 4), "{work:?}");
}

async fn a_mapping_changed_while_punches_come_misses_none_of_them(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    at_once(&nodes[..2], |store, number| async move {
        for day in 1..=20 {
            if number == 0 {
                let at = format!("2026-03-{day:02}T08:00:00");
                bring(&store, "gate", &[new_punch("7", &at, day)]).await;
            } else {
                let device = store.device("gate").await.unwrap();
                let all = NaiveDate::MIN..=NaiveDate::MAX;
                let to = format!("E-{}", day % 2);
                store
                    .map_user(&device, "7", &to, None, &all, day)
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    // The last one who got them has every day of theirs to be assessed.
    let days = dirty(&bridge.app.store, "E-0").await;
    assert_eq!(days.len(), 20, "{days:?}");
}

async fn a_day_touched_again_while_it_is_assessed_stays_due(bridge: Bridge) {
    let store = &bridge.app.store;
    bring(store, "gate", &[new_punch("7", "2026-03-03T08:00:00", 0)]).await;
    let day: NaiveDate = "2026-03-03".parse().unwrap();
    let seen = dirty(store, "7").await;
    bring(store, "gate", &[new_punch("7", "2026-03-03T17:00:00", 1)]).await;

    let now = Clock::default().now_ms();
    let lease = claim(store, "job:process", now).await;
    let assessed = |done| Assessed {
        employee: "7".to_owned(),
        dates: BTreeSet::from([day]),
        done,
    };
    let tx = store.begin().await.unwrap();
    let saved = days::save(&tx, &assessed(seen), &[], &lease, now)
        .await
        .unwrap();
    assert!(saved.is_some());
    tx.commit().await.unwrap();
    let again = dirty(store, "7").await;
    assert!(again.contains_key(&day), "it was touched again");

    let tx = store.begin().await.unwrap();
    days::save(&tx, &assessed(again), &[], &lease, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(dirty(store, "7").await.is_empty());

    store.release(&lease).await.unwrap();
    let tx = store.begin().await.unwrap();
    let late = days::save(&tx, &assessed(BTreeMap::new()), &[], &lease, now).await;
    assert!(late.unwrap().is_none(), "not without the lease");
}

fn draft(entry_id: &str, content: &str) -> Draft {
    Draft {
        entry_id: entry_id.to_owned(),
        employee: "7".to_owned(),
        date: "2026-03-03".to_owned(),
        content: serde_json::json!({ "status": content }),
        may_begin: true,
    }
}

/// Queues an entry as it is now; its new revision, if it needs one.
async fn queue(store: &Store, draft: &Draft, floor: i64) -> Option<i64> {
    let scope = Scope {
        target: "crm",
        employee: "7",
        dates: None,
        corrects: true,
    };
    let tx = store.begin().await.unwrap();
    let changes = queue::changes(&tx, scope, vec![draft.clone()])
        .await
        .unwrap();
    let queued = queue::push(&tx, "crm", changes, floor, 100).await.unwrap();
    let latest = Statement::from_string(
        tx.get_database_backend(),
        "SELECT MAX(revision) AS latest FROM outbox",
    );
    let row = tx.query_one_raw(latest).await.unwrap().unwrap();
    let latest = row.try_get("", "latest").unwrap();
    tx.commit().await.unwrap();
    (queued == 1).then_some(latest)
}

async fn due(store: &Store, now: i64) -> Vec<entity::outbox::Model> {
    store
        .due("crm", &Selection::default(), now, 0, 100)
        .await
        .unwrap()
}

async fn settle(store: &Store, row: &entity::outbox::Model, outcome: Outcome) {
    let attempt = Attempt {
        row: row.clone(),
        outcome,
    };
    store.settle("crm", &[attempt], 30, 1_000).await.unwrap();
}

async fn states(store: &Store) -> Vec<(i64, String)> {
    let mut rows = Vec::new();
    for state in [
        state::PENDING,
        state::SENT,
        state::REJECTED,
        state::SUPERSEDED,
    ] {
        let tx = store.begin().await.unwrap();
        let sql = format!("SELECT revision FROM outbox WHERE state = '{state}'");
        let statement = Statement::from_string(tx.get_database_backend(), sql);
        for row in tx.query_all_raw(statement).await.unwrap() {
            rows.push((row.try_get("", "revision").unwrap(), state.to_owned()));
        }
    }
    rows.sort();
    rows
}

async fn more_entries_than_a_page_are_queued_again_each_once(bridge: Bridge) {
    const ENTRIES: u64 = 2_345;
    let store = &bridge.app.store;
    let tx = store.begin().await.unwrap();
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ENTRIES})"
    );
    tx.execute_unprepared(&format!(
        "{numbers} INSERT INTO entry (target, entry_id, date, revision, content_hash, deleted, employee) \
         SELECT 'crm', 'e' || CAST(i AS TEXT), '2026-03-03', 1, 'h', FALSE, '7' FROM n"
    ))
    .await
    .unwrap();
    tx.execute_unprepared(&format!(
        "{numbers} INSERT INTO outbox (target, entry_id, revision, employee, date, deleted, content, key, state, \
         attempts, due_at, queued_at) SELECT 'crm', 'e' || CAST(i AS TEXT), 1, '7', '2026-03-03', FALSE, '{{}}', \
         'k' || CAST(i AS TEXT), CASE i WHEN 1000 THEN 'dismissed' ELSE 'sent' END, 1, 0, 0 FROM n"
    ))
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let all = Selection::default();
    let again = store.would_queue_again("crm", &all).await.unwrap();
    assert_eq!(again, ENTRIES - 1);
    let queued = store.queue_again("crm", &all, 0, 100).await.unwrap();
    assert_eq!(queued, ENTRIES - 1);
    assert_eq!(store.pending("crm").await.unwrap(), ENTRIES - 1);
    assert_eq!(store.queue_again("crm", &all, 0, 100).await.unwrap(), 0);
    let rows = states(store).await;
    let second = rows.iter().filter(|(revision, _)| *revision == 2);
    assert_eq!(second.count() as u64, ENTRIES - 1);
}

async fn a_delivery_is_tried_again_refused_superseded_and_accepted(bridge: Bridge) {
    let store = &bridge.app.store;
    assert_eq!(queue(store, &draft("a", "absent"), 0).await, Some(1));
    assert_eq!(
        queue(store, &draft("a", "absent"), 0).await,
        None,
        "no news"
    );
    let first = due(store, 100).await.remove(0);
    let retry = Outcome::Retry {
        after: None,
        reach: Reach::Answered,
        reason: "busy".to_owned(),
    };
    settle(store, &first, retry).await;
    assert!(due(store, 1_000).await.is_empty(), "not before its time");
    let waiting = due(store, 2_000).await.remove(0);
    assert_eq!(
        (waiting.attempts, waiting.last_error.as_deref()),
        (1, Some("busy"))
    );
    let refused = Outcome::Rejected {
        reason: "who?\0".to_owned(),
    };
    settle(store, &waiting, refused.clone()).await;
    assert_eq!(states(store).await, [(1, state::REJECTED.to_owned())]);

    assert_eq!(queue(store, &draft("a", "present"), 50).await, Some(50));
    // The answer to the older one comes late, and changes nothing.
    settle(store, &waiting, refused).await;
    assert_eq!(
        states(store).await,
        [
            (1, state::SUPERSEDED.to_owned()),
            (50, state::PENDING.to_owned())
        ]
    );
    let second = due(store, 100).await.remove(0);
    let accepted = Outcome::Accepted {
        remote_id: Some("HR-1".to_owned()),
    };
    settle(store, &second, accepted).await;
    let ids = store.remote_ids("crm", &[second]).await.unwrap();
    assert_eq!(ids.get("a").map(String::as_str), Some("HR-1"));
    let stats = store.stats("crm", 3).await.unwrap();
    assert_eq!((stats.total, stats.synced, stats.unsynced), (1, 1, 0));
}

async fn an_entry_changed_by_many_at_once_has_a_revision_for_each(bridge: Bridge) {
    let nodes = nodes(&bridge).await;
    let revisions = at_once(&nodes, |store, number| async move {
        let mut revisions = Vec::new();
        for round in 0..5 {
            let content = format!("{number} {round}");
            revisions.extend(queue(&store, &draft("a", &content), 0).await);
        }
        revisions
    })
    .await;
    let mut revisions: Vec<i64> = revisions.concat();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=20).collect::<Vec<_>>());
    let open = states(&bridge.app.store).await;
    let open = open.iter().filter(|(_, state)| state == state::PENDING);
    assert_eq!(open.count(), 1, "the others are superseded");
}

async fn what_was_restored_meanwhile_is_not_settled(bridge: Bridge) {
    let store = &bridge.app.store;
    queue(store, &draft("a", "present"), 0).await;
    let mut row = due(store, 100).await.remove(0);
    "of another life".clone_into(&mut row.key);
    settle(store, &row, Outcome::AlreadyKnown).await;
    assert_eq!(states(store).await, [(1, state::PENDING.to_owned())]);
}

async fn names_order_by_their_bytes(bridge: Bridge) {
    let store = &bridge.app.store;
    let people = ["b", "Z", "ä", "a", "10", "9", "B"];
    let punches: Vec<NewPunch> = people
        .iter()
        .zip(0..)
        .map(|(user, index)| new_punch(user, "2026-03-03T08:00:00", index))
        .collect();
    bring(store, "gate", &punches).await;
    let mut expected = people.to_vec();
    expected.sort_unstable();
    let (mut listed, mut after) = (Vec::new(), String::new());
    // Continued where the last page ended, nobody is passed over.
    loop {
        let page = store.work_list(0, &after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after.clone_from(&last.employee);
        listed.extend(page.into_iter().map(|work| work.employee));
    }
    assert_eq!(listed, expected);
}

async fn a_nul_in_a_text_is_no_trouble(bridge: Bridge) {
    let store = &bridge.app.store;
    let punches = [
        new_punch("7\0", "2026-03-03T08:00:00", 0),
        new_punch("7", "2026-03-03T08:00:00", 1),
    ];
    bring(store, "gate", &punches).await;
    bring(store, "gate", &punches).await;
    let device = store.device("gate").await.unwrap();
    let stored = store.punches_of(device.id).await.unwrap();
    let users: BTreeSet<&str> = stored.iter().map(|row| row.user_id.as_str()).collect();
    assert_eq!(users, BTreeSet::from(["7", "7\u{fffd}"]));
    let now = Clock::default().now_ms();
    let lease = claim(store, "terminal:1", now).await;
    let failure = PollFailure {
        told: "it said \0",
        retry_seconds: 1,
    };
    store
        .note_failure(device.id, &lease, failure, now)
        .await
        .unwrap();
    let device = store.device("gate").await.unwrap();
    assert_eq!(device.last_error.as_deref(), Some("it said \u{fffd}"));
    // From a terminal's list of people, from what a terminal or a target was heard to say, and from people.
    let user = entity::device_user::Model {
        device_id: device.id,
        user_id: "9\0".to_owned(),
        uid: 9,
        name: "A\0da".to_owned(),
        privilege: 0,
        card: 0,
        group: "1\0".to_owned(),
        seen_at: 0,
    };
    let intake = Intake {
        facts: Facts {
            firmware: Some("Ver\0".to_owned()),
            ..Facts::default()
        },
        users: Some(std::slice::from_ref(&user)),
        error: Some("half\0".to_owned()),
        ..brought(&device, &lease, &[], 1)
    };
    store.take_in(intake, 100, now).await.unwrap();
    store.open_alarm("x", "gate", "said\0", 1).await.unwrap();
    let begun = store.begin_run("poll", "node", 1).await.unwrap();
    store
        .end_run(begun, "ok", "\0".to_owned(), None, 2)
        .await
        .unwrap();
    let correction = NewCorrection {
        kind: "add_punch",
        target: None,
        employee: "7".to_owned(),
        told: Some(told("2026-03-03T08:00:00")),
        state: None,
        value: None,
        by: "hr".to_owned(),
        reason: "\0".to_owned(),
        date: NaiveDate::from_ymd_opt(2026, 3, 3).unwrap(),
    };
    store.add_correction(correction, 1).await.unwrap();
}

async fn all_leases_of_a_node_are_renewed_at_once_but_for_those_that_a_transaction_holds(
    bridge: Bridge,
) {
    let store = &bridge.app.store;
    let now = || bridge.app.clock.now_ms();
    let names: Vec<String> = (0..1_500).map(leases::terminal).collect();
    let other = claim(store, &names[7], now()).await;
    let leases = store
        .claim_free(names.clone(), "node", 60_000, now())
        .await
        .unwrap();
    assert_eq!(leases.len(), 1_499, "all but the one that is taken");
    let asked: Vec<Lease> = leases.iter().cloned().chain([other.clone()]).collect();
    let renewals = store.renew("node", &asked, 60_000, now()).await.unwrap();
    assert_eq!(renewals.renewed, leases.iter().cloned().collect());
    assert!(renewals.occupied.is_empty());

    // SQLite has one writer and no locks of rows.
    if store.reader().get_database_backend() == DbBackend::Postgres {
        let tx = store.begin_beside().await.unwrap();
        assert!(leases::holds(&tx, &leases[3], now()).await.unwrap());
        let renewals = store.renew("node", &asked, 60_000, now()).await.unwrap();
        assert_eq!(renewals.occupied, HashSet::from([leases[3].clone()]));
        assert_eq!(renewals.renewed.len(), 1_498);
    }
}

async fn a_reading_that_gives_its_lease_back_needs_no_other_transaction(bridge: Bridge) {
    let store = &bridge.app.store;
    let now = bridge.app.clock.now_ms();
    let device = store.device("gate").await.unwrap();
    let lease = claim(store, &leases::terminal(device.id), now).await;
    let punches = [new_punch("7", "2026-03-03T08:00:00", 0)];
    let intake = Intake {
        gives_back: true,
        ..brought(&device, &lease, &punches, 1)
    };
    store.take_in(intake, 100, now).await.unwrap();
    assert_eq!(store.held_leases(now).await.unwrap(), []);
    let again = brought(&device, &lease, &punches, 1);
    let error = store.take_in(again, 100, now).await.unwrap_err();
    assert!(matches!(error, IntakeError::LeaseLost), "{error}");
}

async fn readings_without_news_are_stored_together_each_under_its_own_lease(bridge: Bridge) {
    const TERMINALS: usize = 40;
    let now = bridge.app.clock.now_ms();
    let mut store = bridge.app.store.clone();
    let updates = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&updates);
    store.on_statement(move |statement| {
        let is_update = statement.sql.starts_with("UPDATE \"device\"");
        counter.fetch_add(usize::from(is_update), Ordering::SeqCst);
    });
    let (mut devices, mut leases) = (Vec::new(), Vec::new());
    for number in 0..TERMINALS {
        let name = format!("gate-{number:02}");
        bridge
            .add_address(&name, "127.0.0.1:4370", "main", None)
            .await;
        let device = store.device(&name).await.unwrap();
        leases.push(claim(&store, &leases::terminal(device.id), now).await);
        devices.push(device);
    }
    // Somebody else has read the last one meanwhile.
    store.release(&leases[TERMINALS - 1]).await.unwrap();
    let next = claim(&store, &leases[TERMINALS - 1].name, now).await;
    let readings = devices.iter().zip(&leases).map(|(device, lease)| {
        let intake = Intake {
            gives_back: true,
            facts: Facts {
                complete_until: Some(90 + device.id % 2),
                ..Facts::default()
            },
            cursor: cursor(1, device.id),
            ..brought(device, lease, &[], 1)
        };
        store.take_in(intake, 100, now)
    });
    let due = store.due_devices().await.unwrap();
    assert!(due.values().all(|row| row.due_at.is_some()), "{due:?}");
    updates.store(0, Ordering::SeqCst);
    let stored = join_all(readings).await;
    let updates = updates.load(Ordering::SeqCst);
    assert!(
        (2..TERMINALS / 2).contains(&updates),
        "{updates} statements"
    );

    let due = store.due_devices().await.unwrap();
    for (number, (device, result)) in devices.iter().zip(stored).enumerate() {
        let found = store.device(&device.name).await.unwrap();
        let cursor = store.cursor(device.id).await.unwrap();
        if number + 1 == TERMINALS {
            assert!(matches!(result, Err(IntakeError::LeaseLost)), "{result:?}");
            assert_eq!((&found, cursor), (device, None), "nothing of it is stored");
            continue;
        }
        assert_eq!(result.unwrap(), Taken::default());
        assert_eq!(found.last_sync, Some(100));
        assert_eq!(found.complete_until, Some(90 + device.id % 2));
        assert_eq!(cursor.map(|row| row.records), Some(device.id));
        assert_eq!(due.get(&device.id).and_then(|row| row.due_at), None);
    }
    let held = store.held_leases(now).await.unwrap();
    let held: Vec<&str> = held.iter().map(|(row, _)| row.name.as_str()).collect();
    assert_eq!(held, [next.name.as_str()], "all but the other one's");
}

async fn what_was_closed_while_a_reading_waited_to_be_stored_stays_closed(bridge: Bridge) {
    let store = &bridge.app.store;
    let now = bridge.app.clock.now_ms();
    let device = store.device("gate").await.unwrap();
    let lease = claim(store, &leases::terminal(device.id), now).await;
    let closing = store.begin().await.unwrap();
    let (reader, device_id) = (store.clone(), device.id);
    let reading = tokio::spawn(async move {
        let punches = [
            new_punch("7", "2025-01-01T08:00:00", 0),
            new_punch("7", "2026-03-03T08:00:00", 1),
        ];
        let intake = brought(&device, &lease, &punches, 1);
        reader.take_in(intake, 100, now).await.unwrap()
    });
    if store.reader().get_database_backend() == DbBackend::Postgres {
        // It has looked at the floor, and waits for the writer's lock.
        let waiting = "SELECT 1 AS n FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                       WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        while store
            .reader()
            .query_one_raw(waiting.clone())
            .await
            .unwrap()
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    bridge_bin::store::set_meta(&closing, "retention_floor", "2026-03-01")
        .await
        .unwrap();
    closing.commit().await.unwrap();
    assert_eq!(
        reading.await.unwrap(),
        Taken {
            new: 1,
            repeated: 1
        }
    );
    let stored = store.punches_of(device_id).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].told, told("2026-03-03T08:00:00").to_i64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_on_an_empty_server_all_come_up() {
    let Some(url) = crate::postgres::database().await else {
        return;
    };
    let location = Location::of(Path::new("/"), &url.parse().unwrap());
    let starting: Vec<_> = (0..6)
        .map(|_| tokio::spawn(Store::open(location.clone(), Kind::Bridge)))
        .collect();
    for node in starting {
        assert!(node.await.unwrap().unwrap().ready().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_again_interrupts_what_was_under_way_and_nothing_else() {
    let Some(server) = crate::postgres::private() else {
        return;
    };
    let bridge = with_gate(&server.database().await).await;
    let store = &bridge.app.store;
    bring(store, "gate", &[new_punch("7", "2026-03-03T08:00:00", 0)]).await;
    let interrupted = store.begin().await.unwrap();
    server.kill();
    let error = interrupted
        .execute_unprepared("UPDATE meta SET value = value")
        .await;
    let failure = Failure::of(&error.unwrap_err().into());
    assert_eq!(failure.kind, "database", "{failure:?}");
    drop(interrupted);
    // Whoever comes while it is away waits for it.
    let (reader, writer) = (store.clone(), store.clone());
    let waiting = tokio::spawn(async move { reader.devices().await });
    let also = tokio::spawn(async move { writer.begin_run("poll", "node", 0).await });
    server.run();
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
    also.await.unwrap().unwrap();
    bring(store, "gate", &[new_punch("7", "2026-03-03T17:00:00", 1)]).await;
    assert_eq!(bridge.punches("gate").await.len(), 2);
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_without_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://zk:geheim@127.0.0.1:{port}/attendance");
    let location = Location::of(Path::new("/"), &url.parse().unwrap());
    let error = Store::open(location, Kind::Bridge).await.unwrap_err();
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, "database");
    assert!(
        failure
            .message
            .contains(&format!("zk@127.0.0.1:{port}/attendance"))
    );
    assert!(!format!("{error:?} {failure:?}").contains("geheim"));
}

#[tokio::test]
async fn a_foreign_database_on_a_server_is_refused_and_left_untouched() {
    let Some(url) = crate::postgres::database().await else {
        return;
    };
    let other = Database::connect(&url).await.unwrap();
    other
        .execute_unprepared("CREATE TABLE payroll (id INTEGER)")
        .await
        .unwrap();
    let location = Location::of(Path::new("/"), &url.parse().unwrap());
    let failure = Failure::of(&Store::open(location, Kind::Bridge).await.unwrap_err());
    assert_eq!(failure.kind, "foreign_database");
    assert!(failure.message.contains("payroll"), "{}", failure.message);
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
    let statement = Statement::from_string(DbBackend::Postgres, tables);
    let names = other.query_all_raw(statement).await.unwrap();
    assert_eq!(names.len(), 1, "no table of ours was added");
}

#[tokio::test]
async fn a_foreign_database_is_refused_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let options = sea_orm::ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    let other = Database::connect(options).await.unwrap();
    other
        .execute_unprepared("CREATE TABLE payroll (id INTEGER)")
        .await
        .unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();

    let failure = Failure::of(&Store::open(dir.path(), Kind::Bridge).await.unwrap_err());
    assert_eq!(failure.kind, "foreign_database");
    assert!(failure.message.contains("payroll"), "{}", failure.message);

    let after = Database::connect(format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    let tables = Statement::from_string(DbBackend::Sqlite, "SELECT name FROM sqlite_master");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_create_nothing_opens_what_is_up_to_date_and_is_told_about_the_rest() {
    let Some(server) = crate::postgres::private() else {
        return;
    };
    let url = server.database().await;
    let owner = with_gate(&url).await;
    let admin = Database::connect(&url).await.unwrap();
    for statement in [
        "CREATE ROLE clerk LOGIN",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO clerk",
    ] {
        admin.execute_unprepared(statement).await.unwrap();
    }
    let location = Location::of(
        Path::new("/"),
        &url.replace("postgres@", "clerk@").parse().unwrap(),
    );
    let store = Store::open(location.clone(), Kind::Bridge).await.unwrap();
    bring(&store, "gate", &[new_punch("7", "2026-03-03T08:00:00", 0)]).await;
    assert_eq!(owner.punches("gate").await.len(), 1);

    admin
        .execute_unprepared(
            "DELETE FROM seaql_migrations WHERE version = (SELECT MAX(version) FROM seaql_migrations)",
        )
        .await
        .unwrap();
    let error = Store::open(location, Kind::Bridge).await.unwrap_err();
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, "database");
    assert!(failure.message.contains("not up to date"), "{failure:?}");
    assert!(failure.remedy.contains("GRANT CREATE"), "{failure:?}");
}
