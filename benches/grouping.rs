//! From punches to daily records: a night shift, where a punch after midnight belongs to the evening before.

use std::{collections::BTreeMap, hint::black_box};

use attendance_core::{
    Config, DeviceId, FixedZone, Plan, Punch, PunchId, PunchTime, ShiftTemplate, UserId, assess,
};
use benches::{Target, compare, is_measuring, rate};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use criterion::{BenchmarkId, Criterion, Throughput};

const PEOPLE: u32 = 500;

fn main() {
    let all_days: &[u32] = if is_measuring() { &[50, 250] } else { &[3] };
    let mut criterion = Criterion::default().configure_from_args();
    for &days in all_days {
        let plan = plan(days);
        let punches = punches(days);
        let count = punches.len();
        assert_eq!(records(&punches, &plan), (PEOPLE * days) as usize);
        assert_eq!(first_and_last(&punches), (PEOPLE * days) as usize);
        let mut group = criterion.benchmark_group("grouping");
        group.sample_size(10);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("assess", count), &punches, |b, punches| {
            b.iter(|| records(punches, &plan));
        });
        group.bench_with_input(
            BenchmarkId::new("first and last", count),
            &punches,
            |b, punches| {
                b.iter(|| first_and_last(punches));
            },
        );
        group.finish();
        let ours = || {
            black_box(records(black_box(&punches), &plan));
        };
        let baseline = || {
            black_box(first_and_last(black_box(&punches)));
        };
        compare(
            &format!("assess {count} punches, to a map of first and last"),
            Target::None,
            11,
            ours,
            baseline,
        );
        rate(&format!("assess {count} punches"), count, 5e6, 11, ours);
    }
    criterion.final_summary();
}

fn records(punches: &[Punch], plan: &Plan<FixedZone>) -> usize {
    assess(punches, &[], plan, None)
        .expect("a plan that was checked")
        .records
        .len()
}

/// The baseline: what a spreadsheet would do, in which the day begins at noon. It knows no rules and gives
/// no reasons.
fn first_and_last(punches: &[Punch]) -> usize {
    let mut days: BTreeMap<(&str, NaiveDate), (NaiveDateTime, NaiveDateTime)> = BTreeMap::new();
    for punch in punches {
        let PunchTime::Civil(time) = punch.time else {
            continue;
        };
        let day = (punch.user.as_str(), (time - TimeDelta::hours(12)).date());
        let (first, last) = days.entry(day).or_insert((time, time));
        *first = time.min(*first);
        *last = time.max(*last);
    }
    days.len()
}

fn plan(days: u32) -> Plan<FixedZone> {
    let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
    let mut config = Config::new(
        "site",
        first_day(),
        first_day() + TimeDelta::days(i64::from(days) - 1),
    );
    config.shifts = vec![ShiftTemplate::fixed("night", hour(20), hour(5))];
    config.default_shift = Some("night".into());
    Plan::new(config, |_| Some(FixedZone::new(3 * 3600))).expect("a plan")
}

/// Four punches a night for everybody, in the order of the terminal's log.
fn punches(days: u32) -> Vec<Punch> {
    let users: Vec<UserId> = (0..PEOPLE)
        .map(|person| person.to_string().into())
        .collect();
    let device = DeviceId::from("gate");
    let mut punches = Vec::new();
    for day in 0..days {
        let evening = (first_day() + TimeDelta::days(day.into())).and_time(NaiveTime::MIN)
            + TimeDelta::hours(20);
        for minutes in [-7, 180, 240, 545] {
            for (person, user) in (0..PEOPLE).zip(&users) {
                let spread = TimeDelta::seconds(i64::from((person * 7 + day * 3) % 600));
                let time = evening + TimeDelta::minutes(minutes) + spread;
                let id = PunchId::from(format!("{day}-{minutes}-{person}"));
                punches.push(Punch::new(id, user.clone(), device.clone(), time));
            }
        }
    }
    punches
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 1, 1).expect("a date")
}
