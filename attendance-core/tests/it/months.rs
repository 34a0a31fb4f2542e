//! Closed periods and other rules: what would be, without touching what is.

use attendance_core::{
    Change, Config, Correction, Disposition, Engine, Instant, Kind, Lock, Outcome, Punch, Snapshot,
    Status, Strategy, assess, delta, what_if,
};

use crate::site::{civil, config, date, plan, punches, record};

const DAY: &str = "2025-02-28";

fn site() -> Config {
    let mut config = config(
        "Africa/Nairobi",
        "2025-02-01",
        "2025-03-31",
        "08:00",
        "17:00",
    );
    config.default_shift = None;
    config.unscheduled_shift = None;
    let mut entry = attendance_core::RosterEntry::new("E1");
    entry.overrides = vec![
        (date(DAY), vec!["shift".into()]),
        (date("2025-03-03"), vec!["shift".into()]),
    ];
    config.roster = vec![entry];
    config
}

fn closed_at() -> Instant {
    Instant::from(civil("2025-03-03 00:00").and_utc())
}

fn locked(mut config: Config) -> Config {
    config.locks = vec![Lock {
        until: date(DAY),
        at: closed_at(),
    }];
    config
}

fn told() -> Vec<Punch> {
    let mut told = punches(&["2025-02-28 08:00", "2025-02-28 17:00", "2025-03-03 08:00"]);
    for punch in &mut told {
        punch.received = Some(closed_at());
    }
    told
}

fn late(id: &str, change: Change) -> Correction {
    Correction {
        id: id.into(),
        change,
        by: "hr".to_owned(),
        at: closed_at().plus(86_400),
        reason: "asked".to_owned(),
    }
}

fn outcome(config: Config, punches: &[Punch], corrections: &[Correction]) -> Outcome {
    assess(punches, corrections, &plan(config), None).expect("an outcome")
}

fn paid(config: Config) -> Snapshot {
    outcome(config, &told(), &[]).snapshot(date("2025-02-01"), date(DAY))
}

#[test]
fn nothing_new_is_no_delta() {
    let paid = paid(site());
    assert_eq!(paid.records.len(), 1);
    assert!(delta(&paid, &outcome(site(), &told(), &[])).is_empty());
}

#[test]
fn what_happens_later_in_the_year_is_no_delta() {
    let mut later = told();
    later.extend(
        punches(&["2025-03-03 17:00"])
            .into_iter()
            .map(|punch| Punch {
                id: "p9".into(),
                ..punch
            }),
    );
    assert!(delta(&paid(site()), &outcome(site(), &later, &[])).is_empty());
}

#[test]
fn a_snapshot_survives_being_written_and_read() {
    let paid = paid(site());
    let text = serde_json::to_string(&paid).unwrap();
    let read: Snapshot = serde_json::from_str(&text).unwrap();
    assert!(delta(&read, &outcome(site(), &told(), &[])).is_empty());
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn a_void_after_the_lock_holds_and_the_delta_tells_it() {
    let void = late(
        "c1",
        Change::VoidPunch {
            target: "p2".into(),
        },
    );
    // `voided` goes before `late_locked`, and only what arrives is held back.
    let with_locks = outcome(locked(site()), &told(), std::slice::from_ref(&void));
    assert_eq!(
        with_locks.punch("p2").unwrap().disposition,
        Disposition::Voided { by: "c1".into() }
    );
    assert_eq!(record(&with_locks, "E1", DAY).status, Status::Incomplete);

    let paid = paid(site());
    let now = outcome(site(), &told(), std::slice::from_ref(&void));
    let changes = delta(&paid, &now);
    let [(before, after)] = changes.changed[..] else {
        panic!("one record")
    };
    assert_eq!(
        (before.status, after.status),
        (Status::Present, Status::Incomplete)
    );
    assert_eq!((before.worked_s, after.worked_s), (9 * 3600, 0));

    // Taken back, nothing is left of it.
    let undo = late(
        "c2",
        Change::Undo {
            target: "c1".into(),
        },
    );
    let undo = Correction {
        at: void.at.plus(1),
        ..undo
    };
    assert!(delta(&paid, &outcome(site(), &told(), &[void, undo])).is_empty());
}

#[test]
fn a_kind_set_after_the_lock_is_in_the_delta() {
    let by_state = || Config {
        strategy: Strategy::State,
        ..site()
    };
    let mut told = told();
    told[0].state = Some(0);
    told[1].state = Some(0);
    let paid = outcome(by_state(), &told, &[]).snapshot(date(DAY), date(DAY));
    assert_eq!(paid.records[0].status, Status::Incomplete);
    let set = late(
        "c1",
        Change::SetKind {
            target: "p2".into(),
            kind: Kind::Out,
        },
    );
    let now = outcome(by_state(), &told, &[set]);
    assert_eq!(delta(&paid, &now).tally().worked_s, 9 * 3600);
}

#[test]
fn a_late_punch_is_held_back_by_the_lock_and_told_by_the_delta() {
    let mut config = site();
    config.shifts[0].overtime.mode = attendance_core::OvertimeMode::Outside;
    let paid = paid(config.clone());
    let mut all = told();
    all.push(Punch {
        received: Some(closed_at().plus(1)),
        ..Punch::new("p9", "E1", "door", civil("2025-02-28 19:00"))
    });
    let held = outcome(locked(config.clone()), &all, &[]);
    assert_eq!(
        held.punch("p9").unwrap().disposition,
        Disposition::LateLocked { until: date(DAY) }
    );
    assert!(delta(&paid, &held).is_empty());
    let tally = delta(&paid, &outcome(config, &all, &[])).tally();
    assert_eq!((tally.worked_s, tally.overtime_s), (2 * 3600, 2 * 3600));
}

#[test]
fn another_roster_is_in_the_delta_too() {
    let paid = paid(site());
    let mut moved = site();
    moved.roster[0].overrides.remove(0);
    let now = outcome(moved, &told(), &[]);
    let gone = delta(&paid, &now);
    assert_eq!(
        (gone.removed.len(), gone.changed.len(), gone.added.len()),
        (1, 0, 0)
    );
    assert_eq!(
        gone.tally().to_string(),
        "1 record of 1 person: 1 present → nothing, worked -9:00, overtime +0:00"
    );
}

#[test]
fn what_if_tells_the_differences_and_touches_nothing() {
    let strict = plan(site());
    let mut config = site();
    config.shifts[0].thresholds.half_day_below_s = 10 * 3600;
    let other = plan(config);
    let changes = what_if(&other, &told(), &[], &strict, None).unwrap();
    assert_eq!(
        changes.tally().to_string(),
        "1 record of 1 person: 1 present → half_day, worked +0:00, overtime +0:00"
    );

    let mut engine = Engine::new(strict).unwrap();
    engine.add(&told(), &[]).unwrap();
    let before = engine.outcome();
    assert_eq!(engine.what_if(&other).unwrap(), changes);
    assert_eq!(engine.outcome(), before);
    // What is closed stays out of it.
    engine.close(date(DAY));
    assert!(engine.what_if(&other).unwrap().is_empty());
}
