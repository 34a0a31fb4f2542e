//! From punches to daily records, on the two shapes of the design's table: a company for a year, and everything told
//! by one person. Beside it a map of first and last in Rust, and the same in plain Python on the same data. Then late
//! punches, by the history behind them.
//!
//! With `GROUPING_LINEAR=1` in the environment it looks instead at 5 and at 50 million punches, once each: whether time
//! and memory grow with them and not faster. That takes 13 GB.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hint::black_box,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use attendance_core::{
    Config, DeviceId, Engine, FixedZone, Plan, Punch, PunchId, PunchTime, ShiftTemplate, UserId,
    assess,
};
use benches::{Target, compare, cpu_time, is_measuring, rate};
use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use criterion::{BenchmarkId, Criterion, Throughput};

/// What to measure: people, days, and whether all of it is one person's.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    people: u32,
    days: u32,
    one_person: bool,
}

fn main() {
    let shape = |name, people, days, one_person| Shape {
        name,
        people,
        days,
        one_person,
    };
    let shapes = if is_measuring() {
        vec![
            shape("500 people", 500, 365, false),
            shape("5000 people", 5000, 365, false),
            shape("one person with all", 5000, 365, true),
        ]
    } else {
        vec![shape("few", 50, 3, false), shape("one", 50, 3, true)]
    };
    if is_measuring() && std::env::var_os("GROUPING_LINEAR").is_some() {
        linear(shape("5 million", 5000, 250, false));
        linear(shape("50 million", 5000, 2500, false));
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for shape in shapes {
        measure(&mut criterion, shape);
    }
    late_punches();
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, shape: Shape) {
    let plan = plan(shape.days);
    let punches = punches(shape);
    let count = punches.len();
    if !shape.one_person {
        let expected = (shape.people * shape.days) as usize;
        assert_eq!(records(&punches, &plan), expected);
        assert_eq!(first_and_last(&punches), expected);
    }
    let mut group = criterion.benchmark_group("grouping");
    group.sample_size(10);
    group.throughput(Throughput::Elements(count as u64));
    let id = |what: &str| BenchmarkId::new(what, shape.name);
    group.bench_with_input(id("assess"), &punches, |b, punches| {
        b.iter(|| records(punches, &plan));
    });
    group.finish();
    let ours = || {
        black_box(records(black_box(&punches), &plan));
    };
    let baseline = || {
        black_box(first_and_last(black_box(&punches)));
    };
    let what = format!("assess {count} punches of {}", shape.name);
    compare(
        &format!("{what}, to a map of first and last"),
        Target::None,
        3,
        ours,
        baseline,
    );
    rate(&what, count, 5e6, 5, ours);
    beside_python(&what, &punches, ours);
}

/// Prints what one assessment costs for each punch.
#[expect(clippy::print_stdout, reason = "the report is what a benchmark is for")]
fn linear(shape: Shape) {
    let (plan, punches) = (plan(shape.days), punches(shape));
    let input = peak_bytes();
    let (start, before) = (std::time::Instant::now(), cpu_time());
    let made = records(&punches, &plan);
    // Where others share the core, its own time says more.
    let spent = before
        .zip(cpu_time())
        .map(|(before, after)| after.saturating_sub(before));
    let seconds = spent.unwrap_or_else(|| start.elapsed()).as_secs_f64();
    assert_eq!(made, (shape.people * shape.days) as usize);
    let per = |whole: f64| whole / f64::from(u32::try_from(punches.len()).unwrap_or(1));
    let memory = peak_bytes().zip(input).map_or_else(
        || "memory is not told here".to_owned(),
        |(peak, input)| format!("{:.0} bytes a punch beside the input", per(peak - input)),
    );
    println!(
        "linear: {}: {:.0} ns and {memory}; {:.1} GB at most",
        shape.name,
        per(seconds * 1e9),
        peak_bytes().unwrap_or(0.0) / 1e9
    );
}

/// The most memory that this process has had so far, where the system tells it.
fn peak_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// One late punch after the other, with ten years of history behind them and with ten days.
fn late_punches() {
    const AT_ONCE: u32 = 32;
    let engine = |days: u32| {
        let shape = Shape {
            name: "one",
            people: 1,
            days,
            one_person: false,
        };
        let mut engine = Engine::new(plan(days)).expect("a plan that was checked");
        engine.add(&punches(shape), &[]).expect("good punches");
        let mut told = 0;
        move || {
            // Each at an hour of its own, in turn on the last eight nights but one.
            for _ in 0..AT_ONCE {
                let date = first_day() + Days::new(u64::from(days - 2 - told % 8));
                let time = date.and_time(NaiveTime::MIN)
                    + TimeDelta::hours(21)
                    + TimeDelta::seconds(61 * i64::from(told / 8));
                let late = [Punch::new(format!("late {told}"), "0", "gate", time)];
                black_box(engine.add(&late, &[]).expect("a good punch"));
                told += 1;
            }
        }
    };
    let years = if is_measuring() { 10 } else { 1 };
    let (mut long, mut short) = (engine(365 * years), engine(10));
    // The first ones meet what the allocator left undone after all the history.
    long();
    short();
    let what = format!("{AT_ONCE} late punches after {years} years, to as many after ten days");
    compare(&what, Target::Time(2.0), 15, long, short);
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

/// The same in Python, which tells how many seconds it took; reading its input does not count.
const PYTHON: &str = r"
import sys, time
from datetime import datetime, timedelta
punches = []
for line in sys.stdin:
    user, second = line.split()
    punches.append((user, datetime.fromtimestamp(0) + timedelta(seconds=int(second))))
began = time.perf_counter()
days, noon = {}, timedelta(hours=12)
for user, at in punches:
    key = (user, (at - noon).date())
    known = days.get(key)
    if known is None:
        days[key] = [at, at]
    elif at < known[0]:
        known[0] = at
    elif at > known[1]:
        known[1] = at
print(time.perf_counter() - began)
";

/// Prints the ratio to first and last in plain Python, on the same data in the same run.
#[expect(clippy::print_stdout, reason = "the report is what a benchmark is for")]
fn beside_python(what: &str, punches: &[Punch], ours: impl Fn()) {
    if !is_measuring() {
        return;
    }
    // A million is enough to know its pace.
    let sample = &punches[..punches.len().min(1_000_000)];
    let Some(python) = python(sample) else {
        println!("ratio: {what}: python3 does not run here, so there is no ratio to it");
        return;
    };
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let start = std::time::Instant::now();
            ours();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let per = |seconds: f64, count: usize| seconds / f64::from(u32::try_from(count).unwrap_or(1));
    let ours = per(times[1].as_secs_f64(), punches.len());
    let theirs = per(python, sample.len());
    println!(
        "ratio: {what}: {:.2}× the speed of first and last in plain Python; {:.0} ns to {:.0} ns a punch",
        theirs / ours,
        ours * 1e9,
        theirs * 1e9
    );
}

fn python(punches: &[Punch]) -> Option<f64> {
    let mut lines = String::new();
    for punch in punches {
        if let PunchTime::Civil(time) = punch.time {
            writeln!(lines, "{} {}", punch.user, time.and_utc().timestamp()).ok()?;
        }
    }
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(lines.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn plan(days: u32) -> Plan<FixedZone> {
    let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
    let mut config = Config::new(
        "site",
        first_day(),
        first_day() + Days::new(u64::from(days) - 1),
    );
    config.shifts = vec![ShiftTemplate::fixed("night", hour(20), hour(5))];
    config.default_shift = Some("night".into());
    Plan::new(config, |_| Some(FixedZone::new(3 * 3600))).expect("a plan")
}

/// Four punches a night for everybody, in the order of the terminal's log; ids are in no order at all.
fn punches(shape: Shape) -> Vec<Punch> {
    let user = |person: u32| if shape.one_person { 0 } else { person };
    let users: Vec<UserId> = (0..shape.people)
        .map(|person| user(person).to_string().into())
        .collect();
    let device = DeviceId::from("gate");
    let mut punches = Vec::new();
    for day in 0..shape.days {
        let evening =
            (first_day() + Days::new(day.into())).and_time(NaiveTime::MIN) + TimeDelta::hours(20);
        for minutes in [-7, 180, 240, 545] {
            for (person, user) in (0..shape.people).zip(&users) {
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
    NaiveDate::from_ymd_opt(2015, 1, 1).expect("a date")
}
