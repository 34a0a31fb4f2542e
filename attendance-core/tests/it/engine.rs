//! The incremental engine says and holds what assessing everything at once would (L16).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use attendance_core::{
    Change, Changes, ClockSample, Config, Correction, Device, Engine, FixedZone, Instant, Lock,
    Outcome, Plan, Punch, Record, Resolved, Zone, assess,
};
use chrono::{Days, NaiveDateTime};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::site::{config, date, plan, punches};
use crate::worlds::{World, busy_world, cases, start_of};
use crate::zones::JiffZone;

type Site = Engine<Arc<JiffZone>>;

fn engine(world: &World) -> Option<Site> {
    let plan = plan(world.config.clone());
    match world.as_of {
        None => Engine::new(plan).ok(),
        Some(as_of) => Engine::starting_at(plan, as_of).ok(),
    }
}

/// What was known, with the changes applied.
fn follow(records: &mut Vec<Record>, changes: &Changes) {
    for gone in &changes.removed {
        let at = records.iter().position(|record| record == gone);
        records.remove(at.expect("what is removed was there"));
    }
    for (before, after) in &changes.changed {
        assert_eq!(before.key(), after.key());
        assert_ne!(before, after, "it is not reported unless it changed");
        let at = records.iter().position(|record| record == before);
        records[at.expect("what changes was there")] = after.clone();
    }
    for new in &changes.added {
        assert!(records.iter().all(|record| record.key() != new.key()));
        records.push(new.clone());
    }
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|a, b| {
        let key = |record: &Record| (record.employee.clone(), record.date, record.ordinal);
        key(a).cmp(&key(b))
    });
    records
}

/// Cuts a list into portions, in another order.
fn portions<T: Clone>(list: &[T], order: u64, sizes: &[usize]) -> Vec<Vec<T>> {
    let mut list = list.to_vec();
    let mut seed = order | 1;
    for at in (1..list.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        list.swap(at, usize::try_from(seed % (at as u64 + 1)).unwrap());
    }
    let mut portions = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !list.is_empty() {
        let size = (*sizes.next().unwrap()).clamp(1, list.len());
        portions.push(list.split_off(list.len() - size));
    }
    portions
}

/// Where two outcomes differ, short enough to be read.
fn differences(got: &Outcome, expected: &Outcome) -> Vec<String> {
    fn lists<T: PartialEq + std::fmt::Debug>(got: &[T], expected: &[T]) -> Vec<String> {
        let missing = expected.iter().filter(|one| !got.contains(one));
        let missing = missing.map(|one| format!("expected {one:?}"));
        let wrong = got.iter().filter(|one| !expected.contains(one));
        missing
            .chain(wrong.map(|one| format!("got {one:?}")))
            .collect()
    }
    let mut all = lists(&got.records, &expected.records);
    let punches = |outcome: &Outcome| outcome.punches.iter().collect::<Vec<_>>();
    all.extend(lists(&punches(got), &punches(expected)));
    let weeks = |outcome: &Outcome| outcome.weeks.clone().unwrap_or_default();
    all.extend(lists(&weeks(got), &weeks(expected)));
    if all.is_empty() && got != expected {
        all.push("in order alone".to_owned());
    }
    all
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn l16_incremental_is_batch_whatever_the_portions(
        world in busy_world(),
        order in any::<u64>(),
        sizes in prop::collection::vec(0..12_usize, 1..6),
        again in prop::collection::vec(any::<Index>(), 0..3),
    ) {
        let batch = world.assess();
        let Some(mut engine) = engine(&world) else {
            prop_assert_eq!(batch, Err("overlapping_shifts"));
            return Ok(());
        };
        let mut known = engine.outcome().records;
        let mut punches = portions(&world.punches, order, &sizes);
        let mut corrections = portions(&world.corrections, order, &sizes);
        // Some come twice.
        for twice in &again {
            if let Some(at) = (!punches.is_empty()).then(|| twice.index(punches.len())) {
                punches.push(punches[at].clone());
            }
        }
        let rounds = punches.len().max(corrections.len());
        punches.resize(rounds, Vec::new());
        corrections.resize(rounds, Vec::new());
        let mut so_far = World { punches: Vec::new(), corrections: Vec::new(), ..world.clone() };
        for (punches, corrections) in punches.iter().zip(&corrections) {
            so_far.punches.extend_from_slice(punches);
            so_far.corrections.extend_from_slice(corrections);
            let before = engine.outcome();
            match engine.add(punches, corrections) {
                Ok(changes) => follow(&mut known, &changes),
                Err(error) => {
                    // Of what was told so far: a later correction may have voided what brought the error about.
                    prop_assert_eq!(so_far.assess(), Err(error.code()));
                    prop_assert_eq!(engine.outcome(), before, "an error changes nothing");
                    return Ok(());
                }
            }
        }
        let batch = batch.map_err(TestCaseError::fail)?;
        prop_assert_eq!(differences(&engine.outcome(), &batch), Vec::<String>::new());
        prop_assert_eq!(sorted(known), batch.records);
    }

    #[test]
    fn l16_the_present_may_come_between(
        world in busy_world(),
        order in any::<u64>(),
        steps in prop::collection::vec(0..3 * 86_400_i64, 1..5),
    ) {
        let mut world = world;
        let begin = start_of(world.config.from).plus(-86_400);
        world.as_of = Some(begin);
        let Some(mut engine) = engine(&world) else { return Ok(()) };
        let mut known = engine.outcome().records;
        let mut now = begin;
        let portions = portions(&world.punches, order, &[world.punches.len() / steps.len() + 1]);
        let mut portions = portions.into_iter();
        for step in &steps {
            now = now.plus(*step);
            follow(&mut known, &engine.advance(now));
            let corrections = if *step % 2 == 0 { &world.corrections[..] } else { &[] };
            let Ok(changes) = engine.add(&portions.next().unwrap_or_default(), corrections) else { return Ok(()) };
            follow(&mut known, &changes);
        }
        for portion in portions {
            let Ok(changes) = engine.add(&portion, &[]) else { return Ok(()) };
            follow(&mut known, &changes);
        }
        let Ok(changes) = engine.add(&[], &world.corrections) else { return Ok(()) };
        follow(&mut known, &changes);
        world.as_of = Some(now);
        let batch = world.assess().map_err(TestCaseError::fail)?;
        prop_assert_eq!(differences(&engine.outcome(), &batch), Vec::<String>::new());
        prop_assert_eq!(sorted(known), batch.records);
    }

    #[test]
    fn closing_is_a_lock_that_forgets(
        world in busy_world(),
        order in any::<u64>(),
        days in 0..4_u64,
        before in 0..32_usize,
    ) {
        let mut world = world;
        world.corrections.clear();
        // Forgotten record numbers cannot tell doubled times apart any more.
        for punch in &mut world.punches {
            punch.seq = None;
        }
        let until = world.config.from + Days::new(days);
        let at = Instant::from_unix(0);
        world.config.locks.clear();
        let Some(mut engine) = engine(&world) else { return Ok(()) };
        let all: Vec<Punch> = portions(&world.punches, order, &[1]).concat();
        let (early, late) = all.split_at(before.min(all.len()));
        prop_assume!(engine.add(early, &[]).is_ok());
        let mut known = engine.outcome().records;
        engine.close(until);
        for portion in late.chunks(5) {
            prop_assume!(engine.add(portion, &[]).is_ok());
        }
        // The same with a lock: the early ones came in time.
        world.config.locks = vec![Lock { until, at }];
        for punch in &mut world.punches {
            let late = late.iter().any(|late| late.id == punch.id);
            punch.received = Some(at.plus(i64::from(late)));
        }
        let Ok(batch) = world.assess() else { return Ok(()) };
        known.retain(|record| record.date <= until);
        let open = |outcome: &Outcome| -> Vec<Record> {
            outcome.records.iter().filter(|record| record.date > until).cloned().collect()
        };
        let mut expected = open(&batch);
        let mut got = open(&engine.outcome());
        // Rest and statistics of the first open day look at the past, which is there.
        expected.sort_by(|a, b| format!("{:?}", a.key()).cmp(&format!("{:?}", b.key())));
        got.sort_by(|a, b| format!("{:?}", a.key()).cmp(&format!("{:?}", b.key())));
        prop_assert_eq!(got, expected);
        let weeks = |outcome: &Outcome| -> Vec<_> {
            let weeks = outcome.weeks.iter().flatten();
            let open = weeks.filter(|week| week.week_of > until);
            open.cloned().collect()
        };
        prop_assert_eq!(weeks(&engine.outcome()), weeks(&batch));
        for late in late {
            let told = engine.punch(late.id.as_str()).unwrap();
            let same = batch.punch(late.id.as_str()).unwrap();
            prop_assert_eq!(&told.disposition.as_str(), &same.disposition.as_str());
        }
    }
}

fn ten_years() -> Config {
    config(
        "Europe/Berlin",
        "2015-01-01",
        "2025-12-31",
        "08:00",
        "17:00",
    )
}

fn days(count: u64) -> Vec<Punch> {
    let first = date("2015-01-01");
    let dates = (0..count).map(|day| first + Days::new(day));
    let times = dates.flat_map(|date| [format!("{date} 08:00"), format!("{date} 17:00")]);
    let times: Vec<String> = times.collect();
    punches(&times.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn closing_bounds_what_is_held() {
    let mut engine = Engine::new(plan(ten_years())).unwrap();
    let mut most = 0;
    for (portion, month) in days(3600).chunks(60).zip(1_u64..) {
        engine.add(portion, &[]).unwrap();
        engine.close(date("2015-01-01") + Days::new(30 * month - 10));
        most = most.max(engine.held());
    }
    assert!(most <= 60 + 24, "{most} punches were held");
    let closed = date("2015-01-01") + Days::new(3600 - 10);
    let outcome = engine.outcome();
    assert!(
        outcome
            .records
            .iter()
            .all(|record| record.date >= closed - Days::new(1))
    );
    // Rest goes on from what was forgotten.
    let same = assess(&days(3600), &[], &plan(ten_years()), None).unwrap();
    let open: Vec<&Record> = same
        .records
        .iter()
        .filter(|record| record.date > closed)
        .collect();
    let got: Vec<&Record> = outcome
        .records
        .iter()
        .filter(|record| record.date > closed)
        .collect();
    assert_eq!(got, open);
}

/// A zone that counts how often it is asked: whatever day is looked at again has to ask.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Zone for Counting {
    fn offset_at(&self, instant: Instant) -> i32 {
        self.0.fetch_add(1, Ordering::Relaxed);
        FixedZone::UTC.offset_at(instant)
    }

    fn resolve(&self, civil: NaiveDateTime) -> Resolved {
        self.0.fetch_add(1, Ordering::Relaxed);
        FixedZone::UTC.resolve(civil)
    }
}

#[test]
fn a_late_punch_is_as_much_work_after_ten_years_as_after_ten_days() {
    let work = |history: u64| {
        let mut config = ten_years();
        config.to = config.from + Days::new(history - 1);
        let asked = Counting::default();
        let plan = Plan::new(config, |_| Some(asked.clone())).unwrap();
        let mut engine = Engine::new(plan).unwrap();
        let mut all = days(history);
        // The way out of the day before the one before the last.
        let late = all.remove(2 * usize::try_from(history).unwrap() - 5);
        engine.add(&all, &[]).unwrap();
        let before = asked.0.load(Ordering::Relaxed);
        let changes = engine.add(&[late], &[]).unwrap();
        let asked = asked.0.load(Ordering::Relaxed) - before;
        (changes.len(), asked)
    };
    let short = work(10);
    assert!(short.1 > 0, "the day itself is looked at");
    assert_eq!(work(3650), short);
}

#[test]
fn a_late_punch_changes_its_day_alone() {
    let mut engine = Engine::new(plan(ten_years())).unwrap();
    let mut all = days(3000);
    let late = all.remove(3001);
    engine.add(&all, &[]).unwrap();
    let changes = engine.add(&[late], &[]).unwrap();
    // The day itself, and the rest before the next one.
    assert_eq!((changes.added.len(), changes.removed.len()), (0, 0));
    assert_eq!(changes.changed.len(), 2);
    let (before, after) = &changes.changed[0];
    assert_eq!((before.worked_s, after.worked_s), (0, 9 * 3600));
    let again: &[Correction] = &[];
    assert!(
        engine
            .add(&days(10), again)
            .is_err_and(|error| error.code() == "conflicting_punch_id")
            || engine.held() == 6000
    );
}

/// For whoever is not in the roster, the two shifts around the change of clocks overlap: the first ends in the hour that
/// is skipped, and so after the begin of the second.
fn overlapping() -> Config {
    let mut config = config(
        "America/New_York",
        "2024-03-09",
        "2024-03-11",
        "03:10",
        "02:50",
    );
    config.roster.clear();
    config
}

fn correction(id: &str, change: Change) -> Correction {
    Correction {
        id: id.into(),
        change,
        by: "hr".to_owned(),
        at: Instant::from_unix(i64::from(id.as_bytes()[1])),
        reason: String::new(),
    }
}

#[test]
fn whoever_an_undo_brings_back_is_checked_like_anybody_new() {
    let void = correction(
        "c1",
        Change::VoidPunch {
            target: "p1".into(),
        },
    );
    let undo = correction(
        "c2",
        Change::Undo {
            target: "c1".into(),
        },
    );
    let told = punches(&["2024-03-09 08:00"]);
    let batch = assess(
        &told,
        &[void.clone(), undo.clone()],
        &plan(overlapping()),
        None,
    );
    assert_eq!(batch.unwrap_err().code(), "overlapping_shifts");

    let mut engine = Engine::new(plan(overlapping())).unwrap();
    engine.add(&told, &[void]).unwrap();
    let before = engine.outcome();
    assert_eq!(
        engine.add(&[], &[undo]).unwrap_err().code(),
        "overlapping_shifts"
    );
    assert_eq!(engine.outcome(), before);
}

#[test]
fn a_clock_is_corrected_before_it_is_asked_who_is_there() {
    let mut config = overlapping();
    let fast = ClockSample {
        at: Instant::from_unix(0),
        skew_s: 86_400,
        step: false,
    };
    config.devices = Some(vec![Device {
        clock: vec![fast],
        ..Device::new("door")
    }]);
    config.plausible_until = Some(start_of(date("2024-03-10")));
    // A day ahead, and so plausible.
    let told = [Punch::new(
        "p1",
        "E9",
        "door",
        date("2024-03-10").and_hms_opt(8, 0, 0).unwrap(),
    )];
    let batch = assess(&told, &[], &plan(config.clone()), None);
    assert_eq!(batch.unwrap_err().code(), "overlapping_shifts");
    let mut engine = Engine::new(plan(config)).unwrap();
    assert_eq!(
        engine.add(&told, &[]).unwrap_err().code(),
        "overlapping_shifts"
    );
}
