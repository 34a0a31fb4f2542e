//! Random sites: zones of the whole database, rosters with every kind of template, adversarial punches, corrections.

use std::sync::LazyLock;

use attendance_core::{
    Assignment, AutoBreak, Change, ClockSample, Config, Correction, Device, Direction, Identity,
    Instant, Lock, MissingPolicy, Occurrence, Outcome, OutlierPolicy, Overtime, OvertimeMode,
    Period, Punch, PunchTime, RosterEntry, Round, RoundMode, ShiftId, ShiftTemplate, Stat,
    Strategy as Pairing, Weekly, assess,
};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Weekday};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::site::{plan, time};

/// Every zone of the database.
pub(crate) static ZONES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = jiff::tz::db().available().map(|name| name.to_string());
    let mut names: Vec<String> = names.filter(|name| TimeZone::get(name).is_ok()).collect();
    names.sort_unstable();
    assert!(names.len() > 400, "only {} zones", names.len());
    names
});

/// Half an hour, a whole day, and others that are out of the ordinary.
const STRANGE: [(&str, &str); 8] = [
    ("Australia/Lord_Howe", "2025-04-04"),
    ("Australia/Lord_Howe", "2025-10-03"),
    ("Pacific/Apia", "2011-12-28"),
    ("Pacific/Fakaofo", "2011-12-28"),
    ("Asia/Pyongyang", "2018-05-03"),
    ("America/Caracas", "2007-12-07"),
    ("Africa/Casablanca", "2024-03-08"),
    ("Antarctica/Troll", "2024-03-29"),
];

/// So many cases, or as many as `PROPTEST_CASES` asks for.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases);
    ProptestConfig {
        cases,
        // Some laws hold for a part of the worlds alone.
        max_global_rejects: cases.saturating_mul(10),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A configuration with its input.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) punches: Vec<Punch>,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) as_of: Option<Instant>,
}

impl World {
    pub(crate) fn assess(&self) -> Result<Outcome, &'static str> {
        let plan = plan(self.config.clone());
        assess(&self.punches, &self.corrections, &plan, self.as_of).map_err(|error| error.code())
    }
}

pub(crate) fn run(
    config: &Config,
    punches: &[Punch],
    as_of: Option<Instant>,
) -> Result<Outcome, &'static str> {
    assess(punches, &[], &plan(config.clone()), as_of).map_err(|error| error.code())
}

pub(crate) fn templates() -> Vec<ShiftTemplate> {
    let fixed = |id: &str, start, end| ShiftTemplate::fixed(id, time(start), time(end));
    let mut day = fixed("day", "08:00", "17:00");
    day.breaks.windows = vec![Period {
        start: time("12:00"),
        end: time("13:00"),
    }];
    day.overtime = Overtime {
        mode: OvertimeMode::Outside,
        before: true,
        ..Overtime::default()
    };
    let mut night = fixed("night", "20:00", "05:00");
    night.missing_policy = MissingPolicy::AutoClose;
    let mut early = fixed("early", "06:00", "14:00");
    early.breaks.auto = vec![
        AutoBreak {
            after_s: 21_600,
            deduct_s: 1800,
        },
        AutoBreak {
            after_s: 32_400,
            deduct_s: 2700,
        },
    ];
    early.breaks.min_counted_s = 600;
    let mut late = fixed("late", "14:00", "22:00");
    late.outlier_policy = OutlierPolicy::Flag;
    late.clip.before_start = true;
    late.overtime.mode = OvertimeMode::Threshold;
    let mut flexible = ShiftTemplate::flexible("flexible", 28_800);
    flexible.overtime = Overtime {
        mode: OvertimeMode::Threshold,
        min_s: 900,
        ..Overtime::default()
    };
    let mut rounded = fixed("rounded", "02:30", "10:30");
    let round = |mode| {
        Some(Round {
            mode,
            step_s: 900,
            truncate_s: 60,
        })
    };
    rounded.rounding.clock_in = round(RoundMode::Up);
    rounded.rounding.clock_out = round(RoundMode::Nearest);
    rounded.thresholds.half_day_below_s = 20_000;
    rounded.tz = Some("Europe/Berlin".to_owned());
    vec![
        day,
        night,
        early,
        late,
        flexible,
        rounded,
        fixed("whole", "07:00", "07:00"),
        ShiftTemplate::open("open", 28_800),
    ]
}

fn lists() -> impl Strategy<Value = Vec<ShiftId>> {
    let lists: [&'static [&'static str]; 10] = [
        &["day"],
        &["night"],
        &["early", "late"],
        &[],
        &["flexible"],
        &["open"],
        &["whole"],
        &["rounded"],
        &["early", "open"],
        &["flexible", "flexible"],
    ];
    select(lists.to_vec()).prop_map(|list| list.iter().map(|&id| id.into()).collect())
}

/// Some people, with assignments that begin or end around a date.
fn roster(around: NaiveDate) -> impl Strategy<Value = Vec<RosterEntry>> {
    let pattern = prop::collection::vec(lists(), 1..4);
    let people = prop::collection::vec((pattern, any::<bool>()), 0..3);
    people.prop_map(move |people| {
        let entry = |(index, (pattern, bounded)): (usize, (Vec<Vec<ShiftId>>, bool))| {
            let assignment = Assignment {
                from: around - Days::new(400) + Days::new(u64::from(bounded) * 400),
                to: bounded.then(|| around + Days::new(2)),
                anchor: None,
                pattern,
            };
            RosterEntry {
                assignments: vec![assignment],
                ..RosterEntry::new(format!("E{index}"))
            }
        };
        people.into_iter().enumerate().map(entry).collect()
    })
}

/// A zone and a date: of the whole database and the years 2000 to 2099, mostly shortly before its clocks change.
fn places() -> impl Strategy<Value = (String, NaiveDate)> {
    let anywhere = (
        any::<Index>(),
        2000..=2099_i32,
        0..365_u64,
        0..4_u64,
        0..4_u8,
    );
    let anywhere = anywhere.prop_map(|(zone, year, day, before, ordinary)| {
        let name = zone.get(&ZONES).clone();
        let date = NaiveDate::from_ymd_opt(year, 1, 1).unwrap() + Days::new(day);
        let change = (ordinary > 0).then(|| next_change(&name, date)).flatten();
        let date = change.map_or(date, |change| change - Days::new(before));
        (name, date)
    });
    let strange =
        select(&STRANGE[..]).prop_map(|(name, date)| (name.to_owned(), date.parse().unwrap()));
    prop_oneof![4 => anywhere, 1 => strange]
}

fn next_change(name: &str, date: NaiveDate) -> Option<NaiveDate> {
    let zone = TimeZone::get(name).unwrap();
    let begin = date.and_time(time("00:00")).and_utc().timestamp();
    let change = zone
        .following(Timestamp::from_second(begin).unwrap())
        .next()?;
    let date = DateTime::from_timestamp(change.timestamp().as_second(), 0)?.date_naive();
    (date < "2100-01-01".parse().unwrap()).then_some(date)
}

fn config() -> impl Strategy<Value = Config> {
    let strategies = [
        Pairing::FirstLast,
        Pairing::Alternating,
        Pairing::State,
        Pairing::Direction,
    ];
    let choices = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let numbers = (select(&[0, 60, 600][..]), select(&[0, 900][..]), 1..5_u64);
    let rostered = places().prop_flat_map(|(tz, from)| (Just(tz), Just(from), roster(from)));
    (rostered, select(strategies.to_vec()), choices, numbers).prop_map(
        |(
            (tz, from, roster),
            strategy,
            (default, unscheduled, devices, stat, weekly, people),
            (dedup, span, days),
        )| {
            let mut config = Config::new(tz, from, from + Days::new(days));
            config.shifts = templates();
            config.strategy = strategy;
            config.roster = roster;
            config.dedup_window_s = dedup;
            config.min_span_s = span;
            config.default_shift = default.then(|| "day".into());
            config.unscheduled_shift = unscheduled.then(|| "open".into());
            config.devices = devices.then(|| {
                let entrance = Device {
                    direction: Direction::In,
                    ..Device::new("D0")
                };
                let abroad = Device {
                    tz: Some("Asia/Kolkata".to_owned()),
                    clock: vec![ClockSample {
                        at: Instant::from_unix(0),
                        skew_s: 40,
                        step: false,
                    }],
                    ..Device::new("D1")
                };
                vec![entrance, abroad]
            });
            config.identities = people.then(|| {
                let line = |user: &str, employee: &str| Identity {
                    device: None,
                    user: user.into(),
                    employee: employee.into(),
                };
                vec![line("E0", "E0"), line("E1", "E1"), line("E2", "E0")]
            });
            config.holidays = vec![from + Days::new(1)];
            config.stat = stat.then_some(Stat {
                min_n: 1,
                history: 3,
                ..Stat::default()
            });
            config.weekly = weekly.then_some(Weekly {
                week_start: Weekday::Mon,
                threshold_s: 40 * 3600,
            });
            config.min_rest_between_s = Some(11 * 3600);
            config.plausible_until = Some(start_of(from).plus(7 * 86_400));
            config
        },
    )
}

/// Midnight in UTC.
pub(crate) fn start_of(date: NaiveDate) -> Instant {
    Instant::from(date.and_time(time("00:00")).and_utc())
}

/// Punches from a day before to a day after the range, most near the edges of shifts and many close together.
fn punches(config: &Config, count: usize) -> impl Strategy<Value = Vec<Punch>> + use<> {
    let from = config.from;
    let span = (config.to - config.from).num_seconds() + 3 * 86_400;
    let hour = select(vec![0, 1, 2, 3, 5, 6, 8, 10, 13, 14, 17, 20, 22]);
    let shifty = (0..span / 86_400, hour, 0..5_i64)
        .prop_map(|(day, hour, step)| day * 86_400 + hour * 3600 + step * 25);
    let second =
        prop_oneof![3 => shifty, 1 => 0..span, 1 => (0..span / 1800).prop_map(|half| half * 1800)];
    let state = prop_oneof![Just(None), (0..7_i64).prop_map(Some)];
    let fold = select(vec![
        None,
        None,
        None,
        Some(Occurrence::First),
        Some(Occurrence::Second),
    ]);
    let one = (
        prop_oneof![4 => Just(0_u8), 1 => 1..3_u8],
        0..3_u8,
        second,
        state,
        prop_oneof![3 => Just(None), 1 => (0..5_i64).prop_map(Some)],
        fold,
        prop_oneof![5 => Just(false), 1 => Just(true)],
    );
    prop::collection::vec(one, 0..count).prop_map(move |list| {
        let start = from.and_time(time("00:00")) - TimeDelta::days(1);
        let punch = |(number, (user, device, second, state, seq, fold, told)): (usize, _)| {
            let civil = start + TimeDelta::seconds(second);
            let time = if told {
                PunchTime::Instant(civil.and_utc().into())
            } else {
                civil.into()
            };
            Punch {
                state,
                seq,
                fold,
                ..Punch::new(
                    format!("p{number:03}"),
                    format!("E{user}"),
                    format!("D{device}"),
                    time,
                )
            }
        };
        list.into_iter().enumerate().map(punch).collect()
    })
}

/// What humans add: some of it concerns what others added.
fn corrections(config: &Config) -> impl Strategy<Value = Vec<Correction>> + use<> {
    let (from, kinds) = (config.from, config.strategy.reads_kinds());
    let one = (0..8_u8, 0..32_u32, 0..5_i64, 0..86_400_i64);
    prop::collection::vec(one, 0..6).prop_map(move |list| {
        let change = |what, number: u32, day: i64, second: i64| match what {
            0 | 1 => Change::AddPunch {
                employee: format!("E{}", number % 3).into(),
                time: (from.and_time(time("00:00")) + TimeDelta::seconds(day * 86_400 + second))
                    .into(),
                state: Some(i64::from(number % 6)),
            },
            2 | 3 => Change::Undo {
                target: format!("c{}", number % 6).into(),
            },
            4 => Change::VoidPunch {
                target: format!("c{}", number % 6).into(),
            },
            5 if kinds => Change::SetKind {
                target: format!("p{number:03}").into(),
                kind: attendance_core::Kind::Out,
            },
            _ => Change::VoidPunch {
                target: format!("p{number:03}").into(),
            },
        };
        let correction = |(index, (what, number, day, second))| Correction {
            id: format!("c{index}").into(),
            change: change(what, number, day, second),
            by: "hr".to_owned(),
            at: start_of(from).plus(day * 86_400 + second),
            reason: "asked".to_owned(),
        };
        list.into_iter().enumerate().map(correction).collect()
    })
}

/// A site without corrections.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let as_of = prop_oneof![2 => Just(None), 1 => (0..6 * 86_400_i64).prop_map(Some)];
    (config(), as_of).prop_flat_map(|(config, as_of)| {
        let as_of = as_of.map(|second| start_of(config.from).plus(second));
        punches(&config, 32).prop_map(move |punches| World {
            config: config.clone(),
            punches,
            corrections: Vec::new(),
            as_of,
        })
    })
}

/// A site with corrections and a lock, where some punches come late.
pub(crate) fn busy_world() -> impl Strategy<Value = World> {
    let lock = prop_oneof![1 => Just(None), 1 => (0..4_u64).prop_map(Some)];
    let late = prop::collection::vec(any::<bool>(), 32);
    (world(), lock, late).prop_flat_map(|(world, lock, late)| {
        corrections(&world.config).prop_map(move |corrections| {
            let mut world = world.clone();
            world.corrections = corrections;
            if let Some(days) = lock {
                let until = world.config.from + Days::new(days);
                let at = start_of(until).plus(86_400);
                world.config.locks = vec![Lock { until, at }];
                for (punch, late) in world.punches.iter_mut().zip(&late) {
                    punch.received = Some(at.plus(i64::from(*late)));
                }
            }
            world
        })
    })
}

/// The same punches under other ids.
pub(crate) fn again(punches: &[Punch], prefix: &str) -> Vec<Punch> {
    punches
        .iter()
        .map(|punch| Punch {
            id: format!("{prefix}{}", punch.id).into(),
            ..punch.clone()
        })
        .collect()
}
