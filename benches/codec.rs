//! Reading an attendance log that is already in memory.

use std::hint::black_box;

use benches::{Target, compare, is_measuring};
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput};
use zk_proto::{
    record::{Attendance, AttendanceLog, Layout, LogHint, PunchState, VerifyMode},
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
        let data = data_set(size);
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
        let data = data_set(size);
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
    log.iter()
        .map(|record| record.to_record())
        .filter(Attendance::time_valid)
        .collect()
}

/// The baseline: what it costs to touch every byte.
fn sum(data: &Bytes) -> u64 {
    data.iter().map(|byte| u64::from(*byte)).sum()
}

fn copy(data: &Bytes) -> Vec<u8> {
    data.to_vec()
}

/// A log as a terminal sends it: a punch every 97 seconds by one of 500 people.
fn data_set(records: u32) -> Bytes {
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
                time: PackedTime(700_000_000 + number * 97),
                work_code: 0,
            }
        })
        .collect();
    let mut data = BytesMut::new();
    AttendanceLog::encode(&records, Layout::Bytes40, &mut data);
    data.freeze()
}
