//! Nothing panics, whatever the configuration and the input (R64).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use attendance_core::{
    Assignment, AutoBreak, Breaks, Change, Changes, Clip, ClockSample, Config, Correction, Device,
    Direction, Engine, Form, Grace, Identity, Instant, Kind, Lock, MissingPolicy, Occurrence,
    OutlierPolicy, Overtime, OvertimeMode, Period, Plan, Punch, PunchTime, Record, RosterEntry,
    Round, RoundMode, Rounding, ShiftId, ShiftTemplate, SinglePunch, Stat, Strategy, Thresholds,
    Tolerance, Weekly, assess, delta, what_if,
};
use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};
use proptest::prelude::{any, prop, proptest};

use crate::worlds::cases;
use crate::zones::JiffZone;

/// Decides everything, from random bytes; at their end it is always the first choice.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(first) % sides
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.roll(3) == 1).then(|| make(self))
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.roll(most + 1)).map(|_| make(self)).collect()
    }

    /// What must not make nothing of all the rest.
    fn rarely(&mut self) -> bool {
        self.roll(12) == 11
    }

    fn number(&mut self) -> u32 {
        self.of(&[
            0,
            1,
            60,
            900,
            3600,
            28_800,
            43_200,
            86_400,
            u32::MAX / 2,
            u32::MAX,
        ])
    }

    fn long(&mut self) -> i64 {
        self.of(&[
            0,
            1,
            -1,
            60,
            -3600,
            86_400,
            i64::from(u32::MAX),
            i64::MIN,
            i64::MAX,
        ])
    }

    fn date(&mut self) -> NaiveDate {
        let date = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
        if !self.rarely() {
            return date(2024, 3, 8) + Days::new(self.roll(6) as u64);
        }
        self.of(&[
            date(2011, 12, 30),
            date(1, 1, 1),
            date(1, 1, 2),
            date(9999, 12, 31),
            date(9999, 12, 29),
            date(0, 1, 1),
            NaiveDate::MIN,
            NaiveDate::MAX,
        ])
    }

    fn time(&mut self) -> NaiveTime {
        let hour = u32::try_from(self.roll(24)).unwrap();
        self.of(&[
            NaiveTime::from_hms_opt(hour, 0, 0).unwrap(),
            NaiveTime::from_hms_opt(hour, 30, 0).unwrap(),
            NaiveTime::MIN,
            NaiveTime::from_hms_nano_opt(23, 59, 59, 1_999_999_999).unwrap(),
        ])
    }

    fn instant(&mut self) -> Instant {
        let near = Instant::from(self.date().and_time(self.time()).and_utc());
        if self.rarely() {
            self.of(&[Instant::MIN, Instant::MAX, Instant::from_unix(0)])
        } else {
            near
        }
    }

    fn id(&mut self) -> &'static str {
        if self.rarely() {
            self.of(&["c", "", "manual", "ü"])
        } else {
            self.of(&["a", "b"])
        }
    }

    fn zone(&mut self) -> String {
        self.of(&[
            "UTC",
            "America/New_York",
            "Pacific/Apia",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Monrovia",
        ])
        .to_owned()
    }

    fn period(&mut self) -> Period {
        Period {
            start: self.time(),
            end: self.time(),
        }
    }

    fn round(&mut self) -> Round {
        Round {
            mode: self.of(&[RoundMode::Down, RoundMode::Up, RoundMode::Nearest]),
            step_s: if self.rarely() && self.rarely() {
                0
            } else {
                self.of(&[1, 60, 900, 86_400, u32::MAX])
            },
            truncate_s: self.of(&[1, 60, 3600, u32::MAX]),
        }
    }

    fn template(&mut self) -> ShiftTemplate {
        let id = self.id();
        let form = match self.roll(3) {
            0 => Form::Fixed {
                start: self.time(),
                end: self.time(),
            },
            1 => Form::Flexible {
                day_start: self.time(),
                required_s: self.number(),
                core: self.maybe(Self::period),
            },
            _ => Form::Open {
                required_s: self.number(),
                min_rest_s: self.number(),
                max_session_s: self.number(),
                max_span_s: self.number(),
            },
        };
        let mut shift = ShiftTemplate::flexible(id, 0);
        shift.form = form;
        shift.tz = self.maybe(Self::zone);
        if self.roll(2) == 1 {
            shift.tolerance = Tolerance {
                early_in_s: self.of(&[0, 7200, 43_200]),
                late_in_s: self.number(),
                early_out_s: self.number(),
                late_out_s: self.of(&[0, 7200, 43_200]),
                reach_s: self.of(&[0, 7200, 43_200]),
                handover_s: self.number(),
            };
        }
        shift.outlier_policy = self.of(&[OutlierPolicy::Exclude, OutlierPolicy::Flag]);
        shift.grace = Grace {
            late_s: self.number(),
            early_s: self.number(),
        };
        shift.clip = Clip {
            before_start: self.roll(2) == 1,
            after_end: self.roll(2) == 1,
        };
        shift.breaks = Breaks {
            windows: self.some(2, Self::period),
            auto: self.some(3, |dice| AutoBreak {
                after_s: dice.number(),
                deduct_s: dice.number(),
            }),
            min_counted_s: self.number(),
        };
        shift.rounding = Rounding {
            clock_in: self.maybe(Self::round),
            clock_out: self.maybe(Self::round),
            worked: self.maybe(Self::round),
        };
        shift.overtime = Overtime {
            mode: self.of(&[
                OvertimeMode::None,
                OvertimeMode::Threshold,
                OvertimeMode::Outside,
            ]),
            threshold_s: self.maybe(Self::number),
            min_s: self.number(),
            before: self.roll(2) == 1,
            after: self.roll(2) == 1,
        };
        if self.roll(3) == 1 {
            let [a, b] = [self.number(), self.number()];
            let (absent_below_s, half_day_below_s) = if self.rarely() {
                (a, b)
            } else {
                (a.min(b), a.max(b))
            };
            shift.thresholds = Thresholds {
                absent_below_s,
                half_day_below_s,
            };
        }
        shift.missing_policy = self.of(&[MissingPolicy::Incomplete, MissingPolicy::AutoClose]);
        shift
    }

    /// Some of so many shifts, and rarely one that is none of them.
    fn shifts(&mut self, known: usize) -> Vec<ShiftId> {
        self.some(2.min(known), |dice| dice.shift(known))
    }

    fn shift(&mut self, known: usize) -> ShiftId {
        if known == 0 || self.rarely() && self.rarely() {
            self.id().into()
        } else {
            self.of(&["a", "b", "c", "d"][..known]).into()
        }
    }

    fn config(&mut self) -> Config {
        let from = self.date();
        let to = from
            .checked_add_days(Days::new(self.roll(5) as u64))
            .unwrap_or(from);
        let to = if self.rarely() && self.rarely() {
            NaiveDate::MIN
        } else {
            to
        };
        let mut config = Config::new(self.zone(), from, to);
        config.strategy = self.of(&[
            Strategy::FirstLast,
            Strategy::Alternating,
            Strategy::State,
            Strategy::Direction,
        ]);
        config.dedup_window_s = self.number();
        config.single_punch = self.of(&[SinglePunch::Nearest, SinglePunch::In]);
        config.min_span_s = self.number();
        config.devices = self.maybe(|dice| {
            dice.some(3, |dice| Device {
                tz: dice.maybe(Self::zone),
                direction: dice.of(&[Direction::In, Direction::Out, Direction::Both]),
                clock: dice.some(3, |dice| ClockSample {
                    at: dice.instant(),
                    skew_s: dice.long(),
                    step: dice.roll(2) == 1,
                }),
                ..Device::new(dice.id())
            })
        });
        config.identities = self.maybe(|dice| {
            dice.some(3, |dice| Identity {
                device: dice.maybe(|dice| dice.id().into()),
                user: dice.id().into(),
                employee: dice.id().into(),
            })
        });
        config.shifts = self.some(4, Self::template);
        // Mostly ids that exist.
        for (shift, id) in config.shifts.iter_mut().zip(["a", "b", "c", "d"]) {
            shift.id = id.into();
        }
        let known = config.shifts.len();
        config.roster = self.some(3, |dice| RosterEntry {
            assignments: dice.some(3, |dice| Assignment {
                from: dice.date(),
                to: dice.maybe(Self::date),
                anchor: dice.maybe(Self::date),
                pattern: [
                    vec![dice.shifts(known)],
                    dice.some(3, |dice| dice.shifts(known)),
                ]
                .concat(),
            }),
            overrides: dice.some(2, |dice| (dice.date(), dice.shifts(known))),
            holidays: dice.maybe(|dice| dice.some(3, Self::date)),
            ..RosterEntry::new(dice.id())
        });
        // Mostly each of them once.
        if !self.rarely() {
            let mut seen = HashSet::new();
            config
                .roster
                .retain(|entry| seen.insert(entry.employee.clone()));
            let mut seen = HashSet::new();
            if let Some(devices) = &mut config.devices {
                devices.retain(|device| seen.insert(device.id.clone()));
            }
        }
        config.default_shift = (known > 0 && self.roll(3) > 0).then(|| self.shift(known));
        let mut open = config.shifts.iter();
        let open = open.find(|shift| matches!(shift.form, Form::Open { .. }));
        config.unscheduled_shift = match open {
            _ if self.rarely() => Some(self.shift(known)),
            Some(open) => self.maybe(|_| open.id.clone()),
            None => None,
        };
        config.holidays = self.some(3, Self::date);
        config.plausible_from = self.maybe(Self::instant);
        config.plausible_until = self.maybe(Self::instant);
        config.locks = self.some(3, |dice| Lock {
            until: dice.date(),
            at: dice.instant(),
        });
        config.stat = self.maybe(|dice| Stat {
            history: dice.number(),
            min_n: dice.of(&[0, 1, 2, u32::MAX]),
            z_milli: dice.number(),
            mad_floor_s: dice.number(),
        });
        config.min_rest_between_s = self.maybe(Self::number);
        config.weekly = self.maybe(|dice| Weekly {
            week_start: Weekday::Sun,
            threshold_s: dice.number(),
        });
        config
    }

    fn punch(&mut self, id: String) -> Punch {
        let second = TimeDelta::seconds(i64::try_from(self.roll(200)).unwrap() * 613);
        let civil = self
            .date()
            .and_time(self.time())
            .checked_add_signed(second)
            .unwrap_or(NaiveDateTime::MAX);
        let time = match self.roll(4) {
            3 => PunchTime::Instant(self.instant()),
            _ => PunchTime::Civil(civil),
        };
        Punch {
            state: self.maybe(Self::long),
            seq: self.maybe(Self::long),
            fold: self.of(&[None, Some(Occurrence::First), Some(Occurrence::Second)]),
            received: self.maybe(Self::instant),
            ..Punch::new(id, self.id(), self.id(), time)
        }
    }

    fn correction(&mut self, id: String, kinds: bool) -> Correction {
        let target = self.of(&["p0", "p1", "k0", "k1", "p7"]);
        let change = match self.roll(if kinds { 4 } else { 3 }) {
            0 => Change::AddPunch {
                employee: self.id().into(),
                time: self.date().and_time(self.time()).into(),
                state: self.maybe(Self::long),
            },
            1 => Change::VoidPunch {
                target: target.into(),
            },
            2 => Change::Undo {
                target: target.into(),
            },
            _ => Change::SetKind {
                target: target.into(),
                kind: self.of(&[Kind::In, Kind::Unknown, Kind::OtOut]),
            },
        };
        Correction {
            id: id.into(),
            change,
            by: String::new(),
            at: self.instant(),
            reason: String::new(),
        }
    }
}

/// That the changes lead from some records to others, and tell nothing else.
fn assert_lead<'a>(
    changes: &Changes<&Record>,
    before: impl Iterator<Item = &'a Record>,
    after: impl Iterator<Item = &'a Record>,
    same: impl Fn(&Record, &Record) -> bool,
) {
    let _ = changes.tally().to_string();
    let mut records: HashMap<_, &Record> = before.map(|record| (record.key(), record)).collect();
    for gone in &changes.removed {
        assert_eq!(records.remove(&gone.key()), Some(*gone));
    }
    for (old, new) in &changes.changed {
        assert!(old.key() == new.key() && !same(old, new));
        assert_eq!(records.insert(new.key(), *new), Some(*old));
    }
    for new in &changes.added {
        assert_eq!(records.insert(new.key(), *new), None);
    }
    for record in after {
        let led = records.remove(&record.key());
        assert!(led.is_some_and(|led| same(led, record)), "{record:?}");
    }
    assert!(records.is_empty(), "{records:?}");
}

/// What a closed period is compared by.
fn pay(record: &Record) -> Record {
    let mut pay = record.clone();
    (pay.ordinal, pay.is_final, pay.settles_at) = (0, true, None);
    pay.findings.clear();
    pay
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn other_rules_and_late_news_are_told_by_their_differences(
        bytes in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        let mut dice = Dice(&bytes);
        let zone = |name: &str| JiffZone::shared(name);
        let punches: Vec<Punch> = (0..dice.roll(12)).map(|n| dice.punch(format!("p{n}"))).collect();
        let kinds = dice.rarely();
        let corrections: Vec<Correction> =
            (0..dice.roll(4)).map(|n| dice.correction(format!("k{n}"), kinds)).collect();
        let known = dice.roll(punches.len() + 1);
        let as_of = dice.maybe(Dice::instant);
        let (first, last) = (dice.date(), dice.date());
        let mut config = dice.config();
        let Ok(plan) = Plan::new(config.clone(), zone) else { return Ok(()) };
        // The same place under other rules, or another place.
        if dice.roll(2) == 1 {
            config.tz = dice.zone();
            config.strategy = Strategy::Alternating;
            config.default_shift = dice.maybe(|dice| dice.shift(config.shifts.len()));
        } else {
            config = dice.config();
        }
        let Ok(other) = Plan::new(config, zone) else { return Ok(()) };

        let now = assess(&punches[..known], &[], &plan, as_of);
        let then = assess(&punches, &corrections, &other, as_of);
        if let (Ok(now), Ok(then)) = (&now, &then) {
            let snapshot = now.snapshot(first, last);
            let within = |record: &&Record| (first..=last).contains(&record.date);
            let same = |a: &Record, b: &Record| pay(a) == pay(b);
            assert_lead(
                &delta(&snapshot, then),
                now.records.iter().filter(within),
                then.records.iter().filter(within),
                same,
            );
            assert!(delta(&snapshot, now).is_empty());
            assert_lead(&then.changes_since(now), now.records.iter(), then.records.iter(), Record::eq);
        }

        let now = assess(&punches, &corrections, &plan, as_of);
        let what = what_if(&other, &punches, &corrections, &plan, as_of);
        let expected = match (&now, &then) {
            (Ok(now), Ok(then)) => Ok(then.changes_since(now).into_owned()),
            (Err(error), _) | (_, Err(error)) => Err(error.clone()),
        };
        assert_eq!(&what, &expected);
        let engine: Result<Engine<Arc<JiffZone>>, _> = match as_of {
            None => Engine::new(plan),
            Some(as_of) => Engine::starting_at(plan, as_of),
        };
        let Ok(mut engine) = engine else { return Ok(()) };
        if engine.add(&punches, &corrections).is_ok() {
            let told = engine.outcome();
            let what = engine.what_if(&other);
            // Those in an engine and in a batch are in other orders.
            match (what, expected) {
                (Ok(what), Ok(expected)) => assert_eq!(what, expected),
                (what, expected) => assert!(what.is_err() && expected.is_err()),
            }
            assert_eq!(engine.outcome(), told, "nothing is touched");
        }
    }

    #[test]
    fn no_configuration_and_no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        let mut dice = Dice(&bytes);
        let zone = |name: &str| JiffZone::shared(name);
        // The input first: there is always enough for it.
        let punches: Vec<Punch> = (0..dice.roll(12)).map(|n| dice.punch(format!("p{n}"))).collect();
        let kinds = dice.rarely();
        let corrections: Vec<Correction> =
            (0..dice.roll(4)).map(|n| dice.correction(format!("k{n}"), kinds)).collect();
        let as_of = dice.maybe(Dice::instant);
        let closing = dice.date();
        let Ok(plan) = Plan::new(dice.config(), zone) else { return Ok(()) };
        let batch = assess(&punches, &corrections, &plan, as_of);
        if let Ok(outcome) = &batch {
            for punch in &outcome.punches {
                let _ = punch.explain().to_string();
            }
            for record in &outcome.records {
                let _ = format!("{record:?}{}", record.findings.iter().map(ToString::to_string).collect::<String>());
            }
            let _ = serde_json::to_string(outcome);
        }
        let engine: Result<Engine<Arc<JiffZone>>, _> = match as_of {
            None => Engine::new(plan.clone()),
            Some(as_of) => Engine::starting_at(plan.clone(), as_of),
        };
        let Ok(mut engine) = engine else { return Ok(()) };
        let refused = punches.chunks(3).any(|portion| engine.add(portion, &[]).is_err());
        let refused = refused || engine.add(&[], &corrections).is_err();
        match (&batch, refused) {
            (Ok(batch), false) => assert_eq!(&engine.outcome(), batch),
            // A void that comes later may save what was refused in portions.
            (_, true) => {}
            (Err(error), false) => panic!("in portions nothing is refused, but all at once {error}"),
        }
        engine.close(closing);
        let _ = engine.add(&[dice.punch("late".to_owned())], &[]);
        let _ = engine.advance(dice.instant());
        let _ = engine.outcome();
    }
}
