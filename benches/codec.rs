//! Reading an attendance log, or a list of users, that is already in memory.

use std::hint::black_box;

use benches::{Target, beside_rustzk, compare, is_measuring};
use bytes::{Bytes, BytesMut};
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use criterion::{BenchmarkId, Criterion, Throughput};
use zk_proto::{
    mock::generate,
    record::{
        Attendance, AttendanceLog, Layout, LogHint, PunchState, User, UserLayout, UserList,
        VerifyMode,
    },
    wire::PackedTime,
};

fn main() {
    let sizes: &[u32] = if is_measuring() {
        &[100_000, 500_000]
    } else {
        &[1_000]
    };
    let mut criterion = Criterion::default().configure_from_args();
    for &size in sizes {
        let data = data_set(size, Layout::Bytes40);
        let mut group = criterion.benchmark_group("codec");
        group.throughput(Throughput::Elements(size.into()));
        group.bench_with_input(BenchmarkId::new("scan", size), &data, |b, data| {
            b.iter(|| scan(data));
        });
        group.bench_with_input(BenchmarkId::new("own", size), &data, |b, data| {
            b.iter(|| own(data));
        });
        group.bench_with_input(BenchmarkId::new("sum", size), &data, |b, data| {
            b.iter(|| sum(data));
        });
        group.bench_with_input(BenchmarkId::new("copy", size), &data, |b, data| {
            b.iter(|| copy(data));
        });
        group.finish();
    }
    criterion.final_summary();
    for &size in sizes {
        beside_a_sum(size);
    }
    let fewer = sizes[0];
    for layout in [
        Layout::Bytes8,
        Layout::Bytes16,
        Layout::Bytes22,
        Layout::Bytes40,
        Layout::Bytes49,
    ] {
        let data = data_set(fewer, layout);
        compare(
            &format!(
                "own {fewer} records of {} bytes, times validated, to a plain sum",
                layout.width()
            ),
            Target::None,
            51,
            || {
                black_box(own(black_box(&data)));
            },
            || {
                black_box(sum(black_box(&data)));
            },
        );
    }
    for layout in UserLayout::ALL.iter().copied() {
        let (data, count) = users(layout);
        compare(
            &format!(
                "own {count} users of {} bytes to a plain sum",
                layout.width()
            ),
            Target::None,
            51,
            || {
                black_box(own_users(black_box(&data), count));
            },
            || {
                black_box(sum(black_box(&data)));
            },
        );
    }
    beside_the_peer(fewer);
}

fn beside_a_sum(size: u32) {
    let data = data_set(size, Layout::Bytes40);
    let scan = || {
        black_box(scan(black_box(&data)));
    };
    let own = || {
        black_box(own(black_box(&data)));
    };
    let sum = || {
        black_box(sum(black_box(&data)));
    };
    let copy = || {
        black_box(copy(black_box(&data)));
    };
    compare(
        &format!("scan {size} records, borrowed, to a plain sum"),
        Target::Speed(0.7),
        201,
        scan,
        sum,
    );
    compare(
        &format!("own {size} records, times validated, to a plain sum"),
        Target::None,
        101,
        own,
        sum,
    );
    compare(
        &format!("scan {size} records, borrowed, to a copy"),
        Target::None,
        101,
        scan,
        copy,
    );
}

fn beside_the_peer(size: u32) {
    // It takes an even number of records for records of another width.
    let odd = size + 1;
    let data = data_set(odd, Layout::Bytes40);
    beside_rustzk(
        &format!("own {odd} records, times validated"),
        "attendance",
        Target::Speed(2.0),
        &data,
        odd as usize,
        || {
            black_box(own(black_box(&data)));
        },
    );
    let (data, count) = users(UserLayout::Bytes72);
    beside_rustzk(
        &format!("own {count} users of 72 bytes"),
        "users",
        Target::None,
        &data,
        count,
        || {
            black_box(own_users(black_box(&data), count));
        },
    );
}

/// Every field of every record, without copying any.
fn scan(data: &Bytes) -> u64 {
    let log = AttendanceLog::parse(data.clone(), LogHint::default()).expect("a log of our own");
    log.iter().fold(0, |sum, record| {
        sum.wrapping_add(u64::from(record.time().0))
            .wrapping_add(u64::from(record.uid()))
            .wrapping_add(u64::from(record.verify_mode().0))
            .wrapping_add(u64::from(record.punch_state().0))
            .wrapping_add(u64::from(record.work_code()))
            .wrapping_add(record.user_id_bytes().len() as u64)
    })
}

/// Every record with a time that is a date, as a value of its own.
fn own(data: &Bytes) -> Vec<Attendance> {
    let log = AttendanceLog::parse(data.clone(), LogHint::default()).expect("a log of our own");
    let mut records = Vec::with_capacity(log.len());
    records.extend(
        log.iter()
            .map(|record| record.to_record())
            .filter(Attendance::time_valid),
    );
    records
}

fn own_users(data: &Bytes, count: usize) -> Vec<User> {
    UserList::parse(data, u32::try_from(count).ok()).expect("a list of our own")
}

/// The baseline: what it costs to touch every byte.
fn sum(data: &Bytes) -> u64 {
    data.iter().map(|byte| u64::from(*byte)).sum()
}

fn copy(data: &Bytes) -> Vec<u8> {
    data.to_vec()
}

/// A log as a terminal sends it: a punch every 97 seconds by one of 500 people.
fn data_set(records: u32, layout: Layout) -> Bytes {
    let start = NaiveDate::from_ymd_opt(2024, 1, 1)
        .unwrap_or_default()
        .and_time(NaiveTime::MIN);
    let records: Vec<_> = (0..records)
        .map(|number| {
            let uid = u16::try_from(number * 7 % 500).unwrap_or_default() + 1;
            Attendance {
                uid,
                user_id: format!("{}", 1000 + u32::from(uid)).as_str().into(),
                verify_mode: VerifyMode::FINGERPRINT,
                punch_state: if number % 2 == 0 {
                    PunchState::CHECK_IN
                } else {
                    PunchState::CHECK_OUT
                },
                time: PackedTime::from_civil(start + TimeDelta::seconds(i64::from(number) * 97))
                    .expect("a time before 2100"),
                work_code: 0,
            }
        })
        .collect();
    let mut data = BytesMut::new();
    AttendanceLog::encode(&records, layout, &mut data);
    data.freeze()
}

/// A list of users, and how many there are.
fn users(layout: UserLayout) -> (Bytes, usize) {
    let count = if is_measuring() { 10_000 } else { 100 };
    let (people, _) = generate(1, count, 0);
    let mut data = BytesMut::new();
    UserList::encode(&people, layout, &mut data);
    (data.freeze(), count.into())
}
