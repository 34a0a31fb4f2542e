//! Reading records allocates nothing. In a program of its own, because it counts for all threads.

use std::alloc::System;

use bytes::BytesMut;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use zk_proto::{
    mock::generate,
    record::{Attendance, AttendanceLog, Layout, LogHint},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The least that several runs allocate: the harness may allocate during one of them.
fn least(mut run: impl FnMut()) -> (usize, usize) {
    let runs = (0..5).map(|_| {
        let region = Region::new(ALLOCATOR);
        run();
        let change = region.change();
        (
            change.allocations + change.reallocations,
            change.bytes_allocated,
        )
    });
    runs.min().unwrap()
}

/// One test, so that no other counts along.
#[test]
fn records_are_read_without_allocation() {
    let records = generate(1, 50, 10_000).1;
    for layout in Layout::ALL.iter().copied() {
        let mut data = BytesMut::new();
        AttendanceLog::encode(&records, layout, &mut data);
        let data = data.freeze();
        let hint = LogHint {
            count: None,
            layout: Some(layout),
        };
        let log = AttendanceLog::parse(data.clone(), hint).unwrap();
        let (mut sum, mut valid) = (0, 0);
        let borrowed = least(|| {
            sum = log.iter().fold(0_u64, |sum, record| {
                sum + u64::from(record.uid())
                    + u64::from(record.time().0)
                    + u64::from(record.verify_mode().0)
                    + u64::from(record.punch_state().0)
                    + u64::from(record.work_code())
                    + record.user_id().as_bytes().len() as u64
                    + record.extra().len() as u64
            });
        });
        let owned = least(|| {
            let all = log.iter().map(|record| record.to_record());
            valid = all.filter(Attendance::time_valid).count();
        });
        assert!(sum > 0 && valid == 10_000, "{layout:?}");
        assert_eq!((borrowed, owned), ((0, 0), (0, 0)), "{layout:?}");
        // Finding the layout out ranks two short lists; no byte of the log is copied.
        let (_, parsed) = least(|| {
            let hint = LogHint {
                layout: None,
                ..hint
            };
            assert_eq!(
                AttendanceLog::parse(data.clone(), hint).unwrap().len(),
                10_000
            );
        });
        assert!(parsed < 4096, "{layout:?}: {parsed} bytes");
    }
}
