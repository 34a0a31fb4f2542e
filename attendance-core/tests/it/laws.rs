//! The laws of the rules (section 6) on random rosters, zones and punches.

use std::collections::{HashMap, HashSet};

use attendance_core::{
    ClockSample, Config, Device, Direction, Disposition, Explanation, Instant, Lock, Outcome,
    OutlierPolicy, Punch, PunchTime, Record, Resolved, RosterEntry, Side, Strategy as Pairing,
    Zone,
};
use chrono::{Days, NaiveDate, TimeDelta};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::site::time;
use crate::worlds::{again, busy_world, cases, run, templates, world};
use crate::zones::JiffZone;

/// One person's day under first and last, with punches that are apart and in their order.
fn day() -> impl Strategy<Value = (Config, Vec<Punch>)> {
    let gaps = prop::collection::vec(700..9000_i64, 1..5);
    (
        world(),
        select(vec!["day", "night", "early", "late", "rounded", "flexible"]),
        gaps,
        -7000..7000_i64,
    )
        .prop_map(|(world, shift, gaps, begin)| {
            let mut config = world.config;
            let date = config.from;
            (config.to, config.strategy, config.min_span_s) = (date, Pairing::FirstLast, 0);
            (config.devices, config.identities, config.holidays) = (None, None, Vec::new());
            (config.default_shift, config.unscheduled_shift) = (None, None);
            let list = vec![(date, vec![shift.into()])];
            config.roster = vec![RosterEntry {
                overrides: list,
                ..RosterEntry::new("E1")
            }];
            // Before the range nothing is known about the person, so no other window is near.
            let start = match shift {
                "night" => "20:00",
                "early" => "06:00",
                "late" => "14:00",
                "rounded" => "02:30",
                _ => "08:00",
            };
            let mut at = date.and_time(time(start)) + TimeDelta::seconds(begin);
            let mut times = vec![at];
            for gap in gaps {
                at += TimeDelta::seconds(gap);
                times.push(at);
            }
            let numbered = times.into_iter().zip(0..);
            let punches = numbered
                .map(|(at, n)| Punch::new(format!("p{n}"), "E1", "door", at))
                .collect();
            (config, punches)
        })
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn l1_the_same_punches_again_change_nothing(world in world()) {
        let once = world.assess();
        let mut twice = world.clone();
        twice.punches.extend(world.punches.clone());
        prop_assert_eq!(&twice.assess(), &once);

        // A terminal gives each number once; of two that share one the ids decide which came before (R3).
        let mut world = world;
        let mut given = HashSet::new();
        for punch in &mut world.punches {
            let number = (punch.device.clone(), punch.user.clone(), punch.seq);
            punch.seq = punch.seq.filter(|_| given.insert(number));
        }
        let mut renamed = world.clone();
        renamed.punches.extend(again(&world.punches, "x"));
        prop_assert_eq!(
            renamed.assess().map(|outcome| outcome.records),
            world.assess().map(|outcome| outcome.records)
        );
    }

    #[test]
    fn l2_order_of_input_has_no_influence(world in world(), order in prop::collection::vec(any::<Index>(), 32)) {
        let mut shuffled = world.clone();
        let count = shuffled.punches.len();
        if count > 0 {
            for (at, other) in order.iter().enumerate() {
                shuffled.punches.swap(at % count, other.index(count));
            }
        }
        prop_assert_eq!(shuffled.assess(), world.assess());
    }

    #[test]
    fn l3_every_punch_has_exactly_one_disposition(world in world()) {
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let ids: Vec<_> = outcome.punches.iter().map(|punch| punch.id.clone()).collect();
        let mut expected: Vec<_> = world.punches.iter().map(|punch| punch.id.clone()).collect();
        expected.sort();
        prop_assert_eq!(ids, expected);

        let used = outcome.punches.iter().filter(|punch| matches!(punch.disposition, Disposition::Used { .. })).count();
        let counted: u32 = outcome.records.iter().map(|record| record.punch_count).sum();
        prop_assert_eq!(used, counted as usize);
        for of in outcome.punches.iter().filter_map(|punch| punch.disposition.of().cloned()) {
            let kept = &outcome.punch(of.as_str()).unwrap().disposition;
            let own_place = !matches!(kept, Disposition::Duplicate { .. } | Disposition::LateLocked { .. });
            prop_assert!(own_place);
        }
    }

    #[test]
    fn l4_employees_do_not_influence_each_other(world in world()) {
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let alone: Vec<Punch> = world.punches.iter().filter(|punch| punch.user.as_str() == "E1").cloned().collect();
        let alone = run(&world.config, &alone, world.as_of).unwrap();
        let of = |outcome: &Outcome| -> Vec<Record> {
            outcome.records.iter().filter(|record| record.employee.as_str() == "E1").cloned().collect()
        };
        prop_assert_eq!(of(&alone), of(&outcome));
    }

    #[test]
    fn l5_a_punch_never_changes_a_planned_record_that_is_settled(world in world(), at in any::<Index>()) {
        let mut world = world;
        for punch in &mut world.punches {
            punch.seq = None;
        }
        let Some(taken) = world.punches.get(at.index(world.punches.len().max(1))).cloned() else { return Ok(()) };
        let Ok(after) = world.assess() else { return Ok(()) };
        world.punches.retain(|punch| punch.id != taken.id);
        let before = world.assess().unwrap();
        let Some(instant) = after.punch(taken.id.as_str()).unwrap().instant() else { return Ok(()) };
        // Somebody without a roster exists through the punches alone (R63).
        let people: HashSet<_> = before.records.iter().map(|record| record.employee.clone()).collect();
        let settled = |outcome: &Outcome| -> Vec<Record> {
            let ended = |record: &&Record| {
                let shift = world.config.shifts.iter().find(|shift| Some(&shift.id) == record.shift.as_ref());
                let Some((end, shift)) = record.planned_end.zip(shift) else { return false };
                let reach = i64::from(shift.tolerance.late_out_s + shift.tolerance.reach_s);
                // A repeat lends its kind to the punch that it repeats (R18), so far back and no further.
                let window = i64::from(world.config.dedup_window_s);
                people.contains(&record.employee) && end.instant().plus(reach + window) < instant
            };
            outcome.records.iter().filter(ended).cloned().collect()
        };
        prop_assert_eq!(settled(&before), settled(&after));
    }

    #[test]
    fn l6_a_punch_changes_only_the_records_that_reach_it(world in world(), at in any::<Index>()) {
        let mut world = world;
        // One shift a day whose reach ends long before the next one begins; rest, flags and statistics set apart.
        world.config.roster.clear();
        world.config.unscheduled_shift = None;
        world.config.default_shift = Some("day".into());
        world.config.stat = None;
        world.config.min_rest_between_s = None;
        for punch in &mut world.punches {
            punch.seq = None;
        }
        let Some(taken) = world.punches.get(at.index(world.punches.len().max(1))).cloned() else { return Ok(()) };
        let Ok(after) = world.assess() else { return Ok(()) };
        world.punches.retain(|punch| punch.id != taken.id);
        let before = world.assess().unwrap();
        let place = after.punch(taken.id.as_str()).unwrap();
        let (Some(from), Some(employee)) = (place.instant(), &place.employee) else { return Ok(()) };
        let known = before.records.iter().any(|record| record.employee == *employee);
        prop_assume!(known);
        // The run of punches that follow one another.
        let mut to = from;
        let mut instants: Vec<Instant> =
            after.punches.iter().filter(|punch| punch.employee.as_ref() == Some(employee)).filter_map(|punch| punch.instant()).collect();
        instants.sort();
        for instant in instants {
            if instant >= to && instant.since(to) <= i64::from(world.config.dedup_window_s) {
                to = instant;
            }
        }
        for (old, new) in after.changes_since(&before).changed {
            let bare = |record: &Record| {
                let mut bare = record.clone();
                (bare.rest_s, bare.findings) = (None, Vec::new());
                bare
            };
            if bare(old) != bare(new) {
                let reach = (new.planned_start.unwrap().instant().plus(-14_400), new.planned_end.unwrap().instant().plus(18_000));
                prop_assert!(reach.0 <= to && from <= reach.1, "{old:?}\n{new:?}");
            }
        }
    }

    #[test]
    fn l14_staying_longer_never_pays_less(day in day(), longer in 1..30_000_i64) {
        let (config, mut punches) = day;
        let before = run(&config, &punches, None).unwrap();
        let last = punches.last_mut().unwrap();
        if let PunchTime::Civil(civil) = last.time {
            last.time = PunchTime::Civil(civil + TimeDelta::seconds(longer));
        }
        let after = run(&config, &punches, None).unwrap();
        let used = |outcome: &Outcome| outcome.punches.iter().all(|punch| punch.disposition.role().is_some());
        prop_assume!(used(&before) && used(&after));
        // By the wall clock it is later; out of a skipped hour it can be earlier by instants.
        let end = |outcome: &Outcome| outcome.punches.iter().filter_map(|punch| punch.instant()).max();
        prop_assume!(end(&after) >= end(&before));
        let [before, after] = [before, after].map(|outcome| outcome.records[0].clone());
        prop_assert!(after.worked_s >= before.worked_s, "{before:?}\n{after:?}");
        prop_assert!(after.overtime_s >= before.overtime_s, "{before:?}\n{after:?}");
        prop_assert!(after.early_leave_s <= before.early_leave_s);
    }

    #[test]
    fn l15_a_punch_in_the_middle_changes_nothing_but_the_count(day in day(), part in 1..100_i64) {
        let (config, mut punches) = day;
        let before = run(&config, &punches, None).unwrap();
        let civil = |punch: &Punch| match punch.time {
            PunchTime::Civil(civil) => civil,
            PunchTime::Instant(instant) => instant.civil(0),
        };
        let (first, last) = (civil(&punches[0]), civil(punches.last().unwrap()));
        let middle = first + TimeDelta::seconds((last - first).num_seconds() * part / 100);
        punches.push(Punch::new("middle", "E1", "elsewhere", middle));
        let after = run(&config, &punches, None).unwrap();
        // By instants: where clocks go forward, the civil middle can lie after the last punch.
        let window = i64::from(config.dedup_window_s);
        let at = after.punch("middle").unwrap().instant().unwrap();
        let others: Vec<_> = before.punches.iter().filter_map(|punch| punch.instant()).collect();
        prop_assume!(others.iter().min() < Some(&at) && Some(&at) < others.iter().max());
        prop_assume!(others.iter().all(|other| other.since(at).abs() > window));
        let used = |outcome: &Outcome| outcome.punches.iter().all(|punch| punch.disposition.role().is_some());
        prop_assume!(used(&before) && used(&after));
        let mut expected = before.records[0].clone();
        expected.punch_count += 1;
        prop_assert_eq!(&after.records[0], &expected);
    }

    #[test]
    fn p2_every_punch_lands_in_exactly_one_place_with_a_reason(world in busy_world()) {
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let mut places: HashMap<&str, HashSet<_>> = HashMap::new();
        for punch in &outcome.punches {
            places.entry(punch.disposition.as_str()).or_default().insert(punch.id.clone());
            let why = punch.explain();
            let voided = matches!(punch.disposition, Disposition::Voided { .. });
            prop_assert_eq!(why.rule().is_none(), voided);
            prop_assert_eq!(punch.disposition.reason().is_none(), matches!(why, Explanation::Used { .. } | Explanation::OutOfRange { .. }));
            prop_assert!(!why.to_string().is_empty());
        }
        let placed: usize = places.values().map(HashSet::len).sum();
        let all: HashSet<_> = places.into_values().flatten().collect();
        prop_assert_eq!((placed, all.len()), (outcome.punches.len(), outcome.punches.len()));
        prop_assert!(world.punches.iter().all(|punch| all.contains(&punch.id)));
    }

    #[test]
    fn l7_work_dates_never_go_back(world in world()) {
        // In one zone only: dates of different zones may cross.
        let mut world = world;
        for shift in &mut world.config.shifts {
            shift.tz = None;
        }
        // Where a whole date is skipped, what was planned on it happens on the next one, beside that one's own work.
        let zone = JiffZone::shared(&world.config.tz).unwrap();
        let mut noons = world.config.from.iter_days().map(|date| date.and_time(time("12:00"))).take(8);
        prop_assume!(noons.all(|noon| !matches!(zone.resolve(noon), Resolved::Gap { .. })));
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let mut used: Vec<_> = outcome
            .punches
            .iter()
            .filter(|punch| matches!(punch.disposition, Disposition::Used { .. } | Disposition::OutOfRange))
            .filter(|punch| !matches!(punch.disposition, Disposition::OutOfRange))
            .map(|punch| (punch.employee.clone(), punch.instant(), punch.date))
            .collect();
        used.sort();
        for pair in used.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1) {
            prop_assert!(pair[0].2 <= pair[1].2, "{:?} then {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn l8_the_figures_of_a_record_agree(world in world()) {
        let Ok(outcome) = world.assess() else { return Ok(()) };
        for record in &outcome.records {
            prop_assert_eq!(record.worked_s, record.regular_s + record.overtime_s);
            let figures = [
                record.planned_s, record.presence_s, record.break_punched_s, record.worked_s, record.regular_s,
                record.overtime_s, record.late_s, record.early_leave_s,
            ];
            prop_assert!(figures.iter().all(|&figure| figure >= 0), "{record:?}");
            let closed = record.flags.contains(&attendance_core::Flag::AutoClosed);
            let length = |session: &attendance_core::Session| session.end.instant().since(session.start.instant());
            if !closed {
                prop_assert_eq!(record.presence_s, record.sessions.iter().map(length).sum::<i64>());
            }
            if !closed && record.shift.as_ref().is_none_or(|shift| shift.as_str() != "rounded") {
                prop_assert!(record.worked_s <= record.presence_s, "{record:?}");
            }
            prop_assert!(record.late_s == 0 || record.clock_in.is_some());
            prop_assert!(record.early_leave_s == 0 || record.clock_out.is_some());
            prop_assert!(!record.missing.contains(&Side::In) || record.clock_in.is_none());
            prop_assert!(!record.missing.contains(&Side::Out) || record.clock_out.is_none());
            prop_assert_eq!(record.settles_at.is_none(), record.is_final);
            prop_assert!(record.settles_at.is_none_or(|settles| world.as_of.is_some_and(|as_of| as_of < settles)));
        }
        let keys: HashSet<_> = outcome.records.iter().map(|r| (&r.employee, r.date, &r.shift, r.slot)).collect();
        prop_assert_eq!(keys.len(), outcome.records.len(), "slots tell records apart");
    }

    #[test]
    fn l9_sessions_are_ordered_and_apart(world in world()) {
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let mut sessions: HashMap<&str, Vec<(Instant, Instant)>> = HashMap::new();
        let closed = |record: &&Record| record.flags.contains(&attendance_core::Flag::AutoClosed);
        for record in outcome.records.iter().filter(|record| !closed(record)) {
            let own = record.sessions.iter().map(|session| (session.start.instant(), session.end.instant()));
            sessions.entry(record.employee.as_str()).or_default().extend(own);
        }
        for mut list in sessions.into_values() {
            list.sort();
            prop_assert!(list.iter().all(|(start, end)| start <= end));
            prop_assert!(list.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{list:?}");
        }
    }

    #[test]
    fn l10_states_and_directions_mean_nothing_to_blind_strategies(world in world()) {
        let mut world = world;
        world.config.strategy =
            if world.config.strategy == Pairing::FirstLast { Pairing::FirstLast } else { Pairing::Alternating };
        let mut blind = world.clone();
        for punch in &mut blind.punches {
            punch.state = None;
        }
        for device in blind.config.devices.iter_mut().flatten() {
            device.direction = Direction::Out;
        }
        prop_assert_eq!(blind.assess().map(|outcome| outcome.records), world.assess().map(|outcome| outcome.records));
    }

    #[test]
    fn l11_kept_punches_keep_their_distance(world in world()) {
        let mut world = world;
        world.config.strategy = Pairing::FirstLast;
        let Ok(outcome) = world.assess() else { return Ok(()) };
        let mut kept: Vec<_> = outcome
            .punches
            .iter()
            .filter(|punch| !matches!(punch.disposition, Disposition::Duplicate { .. }) && punch.employee.is_some())
            .map(|punch| (punch.employee.clone(), punch.instant().unwrap()))
            .collect();
        kept.sort();
        let window = i64::from(world.config.dedup_window_s);
        for pair in kept.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            prop_assert!(pair[1].1.since(pair[0].1) > window);
        }
    }

    #[test]
    fn l12_a_known_clock_error_changes_no_record(world in world(), skew in -3000..3000_i64) {
        let mut world = world;
        // Civil times would cross clock changes; instants do not.
        let start = Instant::from(world.config.from.and_time(time("00:00")).and_utc());
        for punch in &mut world.punches {
            if let PunchTime::Civil(civil) = punch.time {
                punch.time = PunchTime::Instant(Instant::from(civil.and_utc()));
            }
        }
        let clock = |clock: Vec<ClockSample>| {
            Some((0..3).map(|n| Device { clock: clock.clone(), ..Device::new(format!("D{n}")) }).collect())
        };
        let mut right = world.clone();
        right.config.devices = clock(Vec::new());
        let mut wrong = world.clone();
        wrong.config.devices = clock(vec![ClockSample { at: start, skew_s: skew, step: false }]);
        for punch in &mut wrong.punches {
            if let PunchTime::Instant(instant) = punch.time {
                punch.time = PunchTime::Instant(instant.plus(skew));
            }
        }
        prop_assert_eq!(
            wrong.assess().map(|outcome| outcome.records),
            right.assess().map(|outcome| outcome.records)
        );
    }

    #[test]
    fn l19_what_arrives_after_a_lock_changes_no_closed_record(world in world(), late in prop::collection::vec(any::<bool>(), 32)) {
        let mut world = world;
        let until = world.config.from + Days::new(1);
        let closed_at = Instant::from(until.and_time(time("23:59")).and_utc()).plus(5 * 86_400);
        world.config.locks = vec![Lock { until, at: closed_at }];
        world.config.stat = None;
        for punch in &mut world.punches {
            punch.seq = None;
        }
        let mut timely = world.clone();
        let mut flags = late.iter();
        timely.punches.retain(|_| !flags.next().copied().unwrap_or(false));
        for (punch, &late) in world.punches.iter_mut().zip(&late) {
            punch.received = late.then(|| closed_at.plus(1));
        }
        let closed = |outcome: Outcome| -> Vec<Record> {
            let with_punches = |record: &Record| record.punch_count > 0 && record.date <= until;
            outcome.records.into_iter().filter(with_punches).collect()
        };
        // Somebody known by late punches alone may have shifts that overlap.
        let (Ok(world), Ok(timely)) = (world.assess(), timely.assess()) else { return Ok(()) };
        prop_assert_eq!(closed(world), closed(timely));
    }

    #[test]
    fn l20_whole_weeks_move_everything_with_them(world in world()) {
        let mut world = world;
        world.config.tz = "Africa/Nairobi".to_owned();
        world.config.roster.clear();
        world.config.shifts.retain(|shift| shift.tz.is_none());
        let mut later = world.clone();
        let week = Days::new(7);
        later.config.from = world.config.from + week;
        later.config.to = world.config.to + week;
        for date in &mut later.config.holidays {
            *date = *date + week;
        }
        for punch in &mut later.punches {
            punch.time = match punch.time {
                PunchTime::Civil(civil) => PunchTime::Civil(civil + week),
                PunchTime::Instant(instant) => PunchTime::Instant(instant.plus(7 * 86_400)),
            };
        }
        later.config.plausible_until = world.config.plausible_until.map(|until| until.plus(7 * 86_400));
        later.as_of = world.as_of.map(|as_of| as_of.plus(7 * 86_400));
        let figures = |outcome: Outcome, back: Days| -> Vec<_> {
            let figure = |r: Record| {
                let at = r.clock_in.map(|at| at.civil() - back);
                (r.employee, r.date - back, r.shift, r.status, at, r.worked_s, r.overtime_s, r.late_s, r.rest_s, r.flags)
            };
            outcome.records.into_iter().map(figure).collect()
        };
        prop_assert_eq!(
            later.assess().map(|outcome| figures(outcome, week)),
            world.assess().map(|outcome| figures(outcome, Days::new(0)))
        );
    }

    #[test]
    fn l13_looser_tolerances_never_turn_a_used_punch_away(world in world(), wider in 0..14_400_u32) {
        let mut world = world;
        for shift in &mut world.config.shifts {
            shift.outlier_policy = OutlierPolicy::Exclude;
        }
        world.config.unscheduled_shift = None;
        let only_planned = |entry: &RosterEntry| {
            let mut lists = entry.assignments.iter().flat_map(|assignment| &assignment.pattern);
            lists.all(|list| list.iter().all(|shift| shift.as_str() != "open"))
        };
        world.config.roster.retain(only_planned);
        let mut loose = world.clone();
        for shift in &mut loose.config.shifts {
            shift.tolerance.early_in_s += wider;
            shift.tolerance.late_out_s += wider;
            shift.tolerance.reach_s += wider;
        }
        let (Ok(tight), Ok(loose)) = (world.assess(), loose.assess()) else { return Ok(()) };
        let placed = |outcome: &Outcome, id: &str| {
            let disposition = &outcome.punch(id).unwrap().disposition;
            matches!(disposition, Disposition::Used { .. } | Disposition::OutOfRange)
        };
        for punch in &world.punches {
            prop_assert!(!placed(&tight, punch.id.as_str()) || placed(&loose, punch.id.as_str()), "{}", punch.id);
        }
    }

    #[test]
    fn l16_changes_lead_from_one_outcome_to_the_next(world in world(), portion in prop::collection::vec(any::<bool>(), 32)) {
        let mut earlier = world.clone();
        let mut flags = portion.iter();
        earlier.punches.retain(|_| flags.next().copied().unwrap_or(false));
        let (Ok(before), Ok(after)) = (earlier.assess(), world.assess()) else { return Ok(()) };
        let changes = after.changes_since(&before);
        let mut records: Vec<Record> = before.records.clone();
        records.retain(|record| !changes.removed.contains(&record));
        for (old, new) in &changes.changed {
            prop_assert!(old != new && old.key() == new.key());
            let place = records.iter_mut().find(|record| record.key() == new.key()).unwrap();
            *place = (*new).clone();
        }
        records.extend(changes.added.iter().map(|record| (*record).clone()));
        prop_assert_eq!(records.len(), after.records.len());
        prop_assert!(after.records.iter().all(|record| records.contains(record)));
        prop_assert!(after.changes_since(&after).is_empty());
    }

    #[test]
    fn l21_four_honest_punches_of_a_double_shift_land_in_their_own_shifts(
        arrive in -3600..3600_i64,
        hand_over in -900..3600_i64,
        pause in 61..1800_i64,
        leave in -3600..3600_i64,
    ) {
        let date: NaiveDate = "2025-03-03".parse().unwrap();
        let mut config = Config::new("UTC", date, date);
        config.shifts = templates();
        let list = vec!["early".into(), "late".into()];
        config.roster = vec![RosterEntry { overrides: vec![(date, list)], ..RosterEntry::new("E1") }];
        let at = |hour: &str, second: i64| date.and_time(time(hour)) + TimeDelta::seconds(second);
        let times = [at("06:00", arrive), at("14:00", hand_over), at("14:00", hand_over + pause), at("22:00", leave)];
        prop_assume!(hand_over + pause > 0);
        let punches: Vec<Punch> =
            times.iter().zip(1..).map(|(&time, n)| Punch::new(format!("p{n}"), "E1", "door", time)).collect();
        let outcome = run(&config, &punches, None).unwrap();
        let shifts: Vec<_> =
            outcome.punches.iter().map(|punch| punch.shift.as_ref().unwrap().as_str().to_owned()).collect();
        prop_assert_eq!(shifts, ["early", "early", "late", "late"]);
    }
}
