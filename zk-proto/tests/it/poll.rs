//! A poll costs what is new.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use zk_proto::{
    Client, Code, Connect, Error, Protocol,
    mock::{Builder, Fault, MockDevice, generate},
    poll::{Ask, Mode, Plan, PollCursor, PollOptions, PollResult, Reply, Warning},
    record::{Attendance, AttendanceLog, Counters, Layout},
    request::Prepared,
};

const USUAL: PollOptions = PollOptions::new();

async fn connected(device: &MockDevice) -> Client {
    let options = Connect::tcp().timeout(Duration::from_secs(10));
    Client::connect(device.addr(), options).await.unwrap()
}

/// A poll on a connection of its own, as the bridge does it.
async fn poll(device: &MockDevice, cursor: &PollCursor, options: PollOptions) -> PollResult {
    device.clear_requests();
    let mut terminal = connected(device).await;
    let result = terminal.poll(cursor, options).await.unwrap();
    terminal.disconnect().await.unwrap();
    result
}

fn news(result: &PollResult) -> Vec<Attendance> {
    result
        .new_records()
        .map(|record| record.to_record())
        .collect()
}

/// A terminal whose log was read to its end, and punches that come later.
async fn read_terminal(
    count: usize,
    later: usize,
    build: impl Fn(Builder) -> Builder,
) -> (MockDevice, PollCursor, Vec<Attendance>) {
    let (users, mut records) = generate(1, 50, count + later);
    let later = records.split_off(count);
    let builder = MockDevice::builder().users(users).records(records.clone());
    let device = build(builder).start().await.unwrap();
    let first = poll(&device, &PollCursor::new(), USUAL).await;
    assert_eq!((first.mode, first.cursor.generation), (Mode::Full, 1));
    assert_eq!(news(&first), records);
    assert_eq!(first.cursor.records as usize, count);
    assert!(first.trouble.is_none());
    (device, first.cursor, later)
}

fn requests(device: &MockDevice) -> usize {
    let session = [Code::CONNECT, Code::AUTH, Code::EXIT];
    let all = device.requests();
    all.iter()
        .filter(|request| !session.contains(&request.code))
        .count()
}

#[tokio::test]
async fn nothing_new_costs_one_request() {
    let (device, cursor, _) = read_terminal(20_000, 0, |builder| builder).await;
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(
        (result.mode, result.log_bytes, result.requests),
        (Mode::Unchanged, 0, 1)
    );
    assert_eq!(result.cursor, cursor);
    assert!(requests(&device) <= 3);
    // Compared once in a while, it costs the few records that are compared.
    let result = poll(&device, &cursor, USUAL.compare(true)).await;
    assert_eq!((result.mode, result.log_bytes), (Mode::Unchanged, 16 * 40));
    assert_eq!(result.cursor, cursor);
    assert!(news(&result).is_empty() && requests(&device) <= 4);
}

#[tokio::test]
async fn ten_new_behind_200_000_cost_little_more_than_ten() {
    let (device, cursor, later) = read_terminal(200_000, 10, |builder| builder).await;
    for record in &later {
        device.punch(*record);
    }
    let sent = device.stats().bytes_out;
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(result.mode, Mode::Tail);
    assert_eq!(news(&result), later);
    assert_eq!(
        (result.first_index, result.cursor.records),
        (200_000, 200_010)
    );
    assert_eq!((result.cursor.generation, result.warnings.len()), (1, 0));
    assert!(result.log_bytes <= 8 << 10, "{}", result.log_bytes);
    assert!(device.stats().bytes_out - sent < 8 << 10);
    assert!(requests(&device) <= 9, "{:?}", device.requests());
    device.assert_asked([
        Code::GET_FREE_SIZES,
        Code::PREPARE_BUFFER,
        Code::READ_BUFFER,
        Code::FREE_DATA,
    ]);
    // And the next one stands on that.
    let result = poll(&device, &result.cursor, USUAL.compare(true)).await;
    assert_eq!(
        (result.mode, result.trouble.is_none()),
        (Mode::Unchanged, true)
    );
}

#[tokio::test]
async fn every_layout_is_followed_from_its_cursor() {
    for layout in Layout::ALL.iter().copied() {
        if layout == Layout::Bytes16VerifyFirst {
            continue;
        }
        for count in [5, 3000] {
            let (users, mut records) = generate(1, 50, count + 7);
            let later = records.split_off(count);
            let device = MockDevice::builder()
                .users(users)
                .records(records)
                .attendance_layout(layout)
                .wide_header(layout == Layout::Bytes22)
                .start()
                .await
                .unwrap();
            let first = poll(&device, &PollCursor::new(), USUAL).await;
            assert_eq!(first.cursor.layout, layout);
            for record in later {
                device.punch(record);
            }
            let second = poll(&device, &first.cursor, USUAL).await;
            assert_eq!(second.mode, Mode::Tail, "{layout:?} {:?}", second.warnings);
            assert_eq!(
                (second.new_records().count(), second.cursor.generation),
                (7, 1)
            );
        }
    }
}

#[tokio::test]
async fn a_log_that_was_cleared_begins_a_new_generation() {
    let (device, cursor, later) = read_terminal(3000, 40, |builder| builder).await;
    device.set_records(later.clone());
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.mode, result.cursor.generation), (Mode::Full, 2));
    assert_eq!(result.warnings, [Warning::LogShrank { records: 40 }]);
    assert_eq!((news(&result), result.first_index), (later, 0));
    // Empty is a generation too, and what comes after it is not a third one.
    device.clear_log();
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!((result.cursor.generation, result.cursor.records), (3, 0));
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(
        (result.mode, result.cursor.generation),
        (Mode::Unchanged, 3)
    );
    device.punch(generate(2, 5, 1).1[0]);
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(
        (result.new_records().count(), result.cursor.generation),
        (1, 3)
    );
}

#[tokio::test]
async fn a_log_cleared_and_filled_to_the_same_number_is_noticed_when_compared() {
    let (device, cursor, _) = read_terminal(3000, 0, |builder| builder).await;
    let other = generate(99, 50, 3000).1;
    device.set_records(other.clone());
    // The counters alone cannot tell.
    assert_eq!(poll(&device, &cursor, USUAL).await.mode, Mode::Unchanged);
    let result = poll(&device, &cursor, USUAL.compare(true)).await;
    assert_eq!((result.mode, result.cursor.generation), (Mode::Full, 2));
    assert_eq!(result.warnings, [Warning::LogReplaced]);
    assert_eq!(news(&result), other);
}

#[tokio::test]
async fn a_full_ring_is_never_taken_for_unchanged() {
    let (device, cursor, later) =
        read_terminal(3000, 5, |builder| builder.capacity(100, 3000).ring(true)).await;
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.mode, result.log_bytes > 0), (Mode::Unchanged, true));
    for record in &later {
        device.punch(*record);
    }
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.mode, result.cursor.generation), (Mode::Full, 2));
    assert_eq!(news(&result)[2995..], later);
    assert_eq!(result.cursor.records, 3000);
}

#[tokio::test]
async fn a_stale_counter_is_caught_once_and_never_trusted_again() {
    let (device, cursor, later) = read_terminal(3000, 5, |builder| builder).await;
    device.fault(Fault::wrong_counters(3000));
    for record in &later {
        device.punch(*record);
    }
    assert_eq!(poll(&device, &cursor, USUAL).await.mode, Mode::Unchanged);
    let result = poll(&device, &cursor, USUAL.compare(true)).await;
    assert_eq!(news(&result), later);
    let warning = Warning::CountersDisagree {
        counted: 3000,
        read: 3005,
    };
    assert_eq!(
        (&result.warnings[..], result.cursor.counters_trusted),
        (&[warning][..], false)
    );
    // From now on the log is looked at, whatever the counters say; nobody is warned again.
    device.clear_faults();
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!((result.mode, result.warnings.len()), (Mode::Unchanged, 0));
    device.assert_asked([Code::PREPARE_BUFFER]);
}

#[tokio::test]
async fn counters_that_say_more_than_came_do_not_move_the_cursor() {
    let (device, cursor, _) = read_terminal(3000, 0, |builder| builder).await;
    device.fault(Fault::wrong_counters(4000));
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(
        (result.mode, result.cursor.records),
        (Mode::Unchanged, 3000)
    );
    let warning = Warning::CountersDisagree {
        counted: 4000,
        read: 3000,
    };
    assert_eq!(result.warnings, [warning]);
    // A log that is hidden while it is counted is not forgotten.
    device.clear_log();
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.cursor.records, result.cursor.generation), (3000, 1));
    assert!(matches!(
        result.warnings[..],
        [Warning::CountersDisagree { read: 0, .. }]
    ));
}

#[tokio::test]
async fn counters_of_four_bytes_never_end_a_poll() {
    let (device, cursor, later) = read_terminal(3000, 1, |builder| builder.sizes_width(4)).await;
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.mode, result.log_bytes), (Mode::Unchanged, 16 * 40));
    device.punch(later[0]);
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!((result.mode, news(&result)), (Mode::Tail, later));
    // Nor do those of 80, where the terminal does not know how much it can hold.
    let (device, cursor, _) = read_terminal(3000, 0, |builder| builder.sizes_width(64)).await;
    assert!(poll(&device, &cursor, USUAL).await.log_bytes > 0);
}

#[tokio::test]
async fn records_of_another_width_begin_a_new_generation() {
    // 1960 records of 40 bytes are as long as 1600 of 49.
    for (count, other) in [(1960, 1600), (1960, 1700), (1960, 2500)] {
        let (device, cursor, _) = read_terminal(count, 0, |builder| builder).await;
        drop(device);
        let (users, records) = generate(1, 50, other);
        let device = MockDevice::builder()
            .users(users)
            .records(records.clone())
            .attendance_width(49)
            .start()
            .await
            .unwrap();
        let result = poll(&device, &cursor, USUAL).await;
        assert_eq!((result.mode, result.cursor.generation), (Mode::Full, 2));
        assert_eq!(
            (result.cursor.layout, news(&result)),
            (Layout::Bytes49, records)
        );
        assert!(
            result.warnings.contains(&Warning::WidthChanged),
            "{:?}",
            result.warnings
        );
    }
}

#[tokio::test]
async fn refused_slices_are_remembered_and_the_log_read_whole() {
    let (device, cursor, later) = read_terminal(3000, 3, |builder| builder).await;
    device.fault(Fault::refuse_slices());
    device.punch(later[0]);
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(
        (result.mode, result.cursor.generation, result.known),
        (Mode::Full, 1, 3000)
    );
    assert_eq!(news(&result), later[..1]);
    assert_eq!(
        (&result.warnings[..], result.cursor.slices),
        (&[Warning::SlicesRefused][..], false)
    );
    device.punch(later[1]);
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(
        (news(&result), result.warnings.len()),
        (later[1..2].to_vec(), 0)
    );
    device.assert_asked_times(Code::READ_BUFFER, 1);
    // Nothing new is still one request.
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!((result.mode, requests(&device)), (Mode::Unchanged, 1));
}

#[tokio::test]
async fn offsets_that_are_ignored_fool_nobody() {
    let (device, cursor, later) = read_terminal(3000, 3, |builder| builder).await;
    device.fault(Fault::ignore_offsets());
    device.punch(later[0]);
    for cursor in [cursor, PollCursor::new()] {
        let result = poll(&device, &cursor, USUAL).await;
        assert_eq!(result.mode, Mode::Full);
        assert_eq!(result.log.len(), 3001);
        assert_eq!(result.cursor.generation, 1);
        assert!(!result.cursor.slices && !result.warnings.is_empty());
    }
    let log = connected(&device).await.attendance().await.unwrap();
    let held = device.snapshot().records;
    assert!(log.iter().map(|record| record.to_record()).eq(held));
}

#[tokio::test]
async fn a_terminal_with_direct_reads_alone_is_polled_too() {
    let (users, mut records) = generate(1, 50, 1003);
    let later = records.split_off(1000);
    let device = MockDevice::builder()
        .users(users)
        .records(records)
        .profile(zk_proto::mock::Profile::Bw)
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), Connect::udp())
        .await
        .unwrap();
    let first = terminal.poll(&PollCursor::new(), USUAL).await.unwrap();
    assert_eq!(
        (first.log.len(), first.cursor.layout),
        (1000, Layout::Bytes16)
    );
    assert_eq!(first.warnings, [Warning::ReadDirectly]);
    for record in later {
        device.punch(record);
    }
    let second = terminal.poll(&first.cursor, USUAL).await.unwrap();
    assert_eq!(
        (second.new_records().count(), second.cursor.generation),
        (3, 1)
    );
    assert_eq!(second.warnings, []);
}

#[tokio::test]
async fn punches_during_a_read_are_no_disagreement() {
    let (device, cursor, later) = read_terminal(3000, 6, |builder| builder).await;
    let during = |at| Fault::grow(later[at..at + 2].to_vec()).times(1);
    device.fault(during(0).on(Code::GET_FREE_SIZES));
    device.fault(during(2).on(Code::PREPARE_BUFFER));
    device.fault(during(4).on(Code::READ_BUFFER));
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(news(&result), later[..4]);
    assert_eq!(
        (result.warnings.len(), result.cursor.counters_trusted),
        (0, true)
    );
    assert!(requests(&device) <= 9);
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(news(&result), later[4..]);
}

#[tokio::test]
async fn a_full_poll_reconciles_and_knows_what_is_known() {
    let (device, cursor, later) = read_terminal(3000, 2, |builder| builder).await;
    device.punch(later[0]);
    let result = poll(&device, &cursor, USUAL.full(true)).await;
    assert_eq!(
        (result.mode, result.known, result.log.len()),
        (Mode::Full, 3000, 3001)
    );
    assert_eq!(
        (news(&result), result.cursor.generation),
        (later[..1].to_vec(), 1)
    );
}

#[tokio::test]
async fn what_came_before_a_failure_is_kept_and_the_next_poll_goes_on() {
    let (device, cursor, later) = read_terminal(3000, 4000, |builder| builder).await;
    for record in &later {
        device.punch(*record);
    }
    device.fault(Fault::drop_after(100_000).times(1));
    let result = poll(&device, &cursor, USUAL).await;
    assert_eq!(result.mode, Mode::Tail);
    assert_eq!(result.trouble.as_ref().unwrap().kind(), "incomplete");
    let got = news(&result);
    assert!(got.len() > 2000 && got == later[..got.len()]);
    assert_eq!(result.cursor.records as usize, 3000 + got.len());
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(
        (result.mode, news(&result)),
        (Mode::Tail, later[got.len()..].to_vec())
    );
    assert!(result.trouble.is_none());

    // The same for a first read.
    device.fault(Fault::drop_after(100_000).times(1));
    let first = poll(&device, &PollCursor::new(), USUAL).await;
    assert!(first.trouble.is_some() && first.cursor.records > 2000);
    let second = poll(&device, &first.cursor, USUAL).await;
    assert_eq!(first.log.len() + second.new_records().count(), 7000);
    assert_eq!(second.cursor.generation, 1);
}

#[tokio::test]
async fn a_part_that_ends_before_the_cursor_says_nothing_about_the_log() {
    let (device, cursor, later) = read_terminal(3000, 10, |builder| builder).await;
    device.fault(Fault::refuse_slices());
    device.punch(later[0]);
    let whole = poll(&device, &cursor, USUAL).await;
    assert!(!whole.cursor.slices);
    // This terminal is read whole, and the connection breaks long before the place that is known.
    device.punch(later[1]);
    device.fault(Fault::drop_after(60_000).times(1));
    let result = poll(&device, &whole.cursor, USUAL).await;
    assert_eq!(result.trouble.as_ref().unwrap().kind(), "incomplete");
    assert!(result.log.len() > 1000 && news(&result).is_empty());
    assert_eq!(
        (&result.cursor, &result.warnings[..]),
        (&whole.cursor, &[][..])
    );
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!(
        (news(&result), result.cursor.generation),
        (later[1..2].to_vec(), 1)
    );
    // Bytes that are missing at the end are no sign of a cleared log either.
    device.fault(Fault::truncate_log(45).times(1));
    let truncated = poll(&device, &result.cursor, USUAL.compare(true)).await;
    assert_eq!(truncated.trouble.as_ref().unwrap().kind(), "truncated");
    assert_eq!(
        (&truncated.cursor, truncated.warnings.len()),
        (&result.cursor, 0)
    );

    // A size that is smaller is one, even if not all of it comes.
    let other = generate(8, 50, 2500).1;
    device.set_records(other.clone());
    device.fault(Fault::drop_after(60_000).times(1));
    let result = poll(&device, &result.cursor, USUAL).await;
    assert!(result.trouble.is_some());
    assert!(matches!(result.warnings[..], [Warning::LogShrank { .. }]));
    assert_eq!(news(&result), other[..result.log.len()]);
    assert_eq!(result.cursor.generation, 2);
}

#[test]
fn bytes_behind_the_log_are_no_records() {
    let records = generate(4, 20, 60).1;
    let padded = |records: &[Attendance]| {
        let mut shelf = shelf(records);
        shelf.data = [&shelf.data[..], &[0; 200]].concat().into();
        shelf
    };
    // Known from a time when there were none.
    let first = shelf(&records[..50])
        .run(Plan::new(&PollCursor::new(), USUAL))
        .unwrap();
    let plan = Plan::new(&first.cursor, USUAL.compare(true));
    let second = padded(&records).run(plan).unwrap();
    assert_eq!(news(&second), records[50..]);
    assert_eq!((second.mode, second.cursor.records), (Mode::Full, 60));
    assert_eq!(
        (&second.warnings[..], second.cursor.slices),
        (&[Warning::SizeMisstated][..], false)
    );
    // Known from the beginning: no slice is asked for, so nothing is taken for a record.
    let first = padded(&records[..50])
        .run(Plan::new(&PollCursor::new(), USUAL))
        .unwrap();
    assert_eq!((first.log.len(), first.cursor.slices), (50, false));
    let plan = Plan::new(&first.cursor, USUAL.compare(true));
    let second = padded(&records[..50]).run(plan).unwrap();
    assert_eq!((news(&second), second.cursor), (vec![], first.cursor));
}

#[test]
fn a_size_without_bounds_is_refused_and_freed() {
    let too_large = Protocol::DataSetTooLarge {
        announced: u32::MAX,
        limit: 1,
    };
    let mut shelf = shelf(&generate(4, 20, 60).1);
    let size = u32::MAX;
    let prepared = Reply::Prepared(Prepared { size, inline: None });
    let refused = Reply::Failed(too_large.into());
    shelf.wrong = vec![None, Some(prepared), Some(refused)];
    let mut asked = Vec::new();
    let error = shelf.run_and_note(Plan::new(&PollCursor::new(), USUAL), &mut asked);
    assert_eq!(error.unwrap_err().kind(), "data_set_too_large");
    assert_eq!(asked.last(), Some(&Ask::Free));
}

#[tokio::test]
async fn an_empty_log_behind_a_header_of_twelve_is_empty() {
    let device = MockDevice::builder()
        .profile(zk_proto::mock::Profile::Ak3750)
        .start()
        .await
        .unwrap();
    let first = poll(&device, &PollCursor::new(), USUAL).await;
    assert_eq!((first.log.len(), first.trouble.is_none()), (0, true));
    assert!(
        connected(&device)
            .await
            .attendance()
            .await
            .unwrap()
            .is_empty()
    );
    let records = generate(4, 20, 30).1;
    for record in &records {
        device.punch(*record);
    }
    let second = poll(&device, &first.cursor, USUAL).await;
    assert_eq!(
        (second.new_records().count(), second.cursor.header),
        (30, 12)
    );
}

#[tokio::test]
async fn a_truncated_log_is_kept_as_far_as_it_goes() {
    let (device, _, _) = read_terminal(3000, 0, |builder| builder).await;
    device.fault(Fault::truncate_log(45));
    let result = poll(&device, &PollCursor::new(), USUAL).await;
    assert_eq!((result.log.len(), result.cursor.records), (2998, 2998));
    assert_eq!(result.trouble.as_ref().unwrap().kind(), "truncated");
    device.clear_faults();
    let result = poll(&device, &result.cursor, USUAL).await;
    assert_eq!((result.mode, result.new_records().count()), (Mode::Tail, 2));
}

#[tokio::test]
async fn another_terminal_at_the_same_address_is_for_the_caller_to_notice() {
    let (device, cursor, _) = read_terminal(100, 0, |builder| builder.serial("A")).await;
    drop(device);
    let device = MockDevice::builder()
        .serial("B")
        .generate(9, 50, 100)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(
        terminal.serial_number().await.unwrap().as_deref(),
        Some("B")
    );
    // Who does not ask gets everything, under a new generation, once the log is looked at.
    let result = terminal.poll(&cursor, USUAL.compare(true)).await.unwrap();
    assert_eq!((result.cursor.generation, result.known), (2, 0));
}

#[tokio::test]
async fn the_keypad_is_locked_only_where_that_is_wanted() {
    let (device, cursor, later) = read_terminal(3000, 1, |builder| builder).await;
    device.assert_not_asked(Code::DISABLEDEVICE);
    device.punch(later[0]);
    device.clear_requests();
    let options = Connect::tcp().disable_while_reading(true);
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    terminal.poll(&cursor, USUAL).await.unwrap();
    device.assert_asked([
        Code::DISABLEDEVICE,
        Code::PREPARE_BUFFER,
        Code::FREE_DATA,
        Code::ENABLEDEVICE,
    ]);
    assert!(!device.snapshot().disabled);
}

/// A terminal without protocol: what a plan asks is looked up.
struct Shelf {
    data: Bytes,
    counters: Counters,
    /// Answers that are wrong, by turn.
    wrong: Vec<Option<Reply>>,
}

impl Shelf {
    fn run(self, plan: Plan) -> Result<PollResult, Error> {
        self.run_and_note(plan, &mut Vec::new())
    }

    fn run_and_note(mut self, mut plan: Plan, asked: &mut Vec<Ask>) -> Result<PollResult, Error> {
        for turn in 0.. {
            assert!(turn < 20, "a plan without end: {plan:?}");
            if plan.ask() != Ask::Nothing {
                asked.push(plan.ask());
            }
            let cut = |offset: u32, len: u32| {
                let start = (offset as usize).min(self.data.len());
                let end = (start + len as usize).min(self.data.len());
                Reply::Data(self.data.slice(start..end))
            };
            let right = match plan.ask() {
                Ask::Counters => Reply::Counters(self.counters),
                Ask::Prepare => Reply::Prepared(Prepared {
                    size: u32::try_from(self.data.len()).unwrap(),
                    inline: None,
                }),
                Ask::Slice(slice) | Ask::AtOnce(slice) => cut(slice.offset, slice.len),
                Ask::Free => Reply::Freed,
                Ask::Direct => Reply::Data(self.data.clone()),
                _ => break,
            };
            let wrong = self.wrong.get_mut(turn).and_then(Option::take);
            plan.answer(wrong.unwrap_or(right));
        }
        plan.finish()
    }
}

fn shelf(records: &[Attendance]) -> Shelf {
    let mut data = BytesMut::new();
    AttendanceLog::encode(records, Layout::Bytes40, &mut data);
    Shelf {
        data: data.freeze(),
        counters: Counters {
            records: u32::try_from(records.len()).ok(),
            records_max: Some(1_000_000),
            ..Counters::default()
        },
        wrong: Vec::new(),
    }
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let code = prop_oneof![Just(2001_u16), Just(4989), Just(65535), Just(4991)];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Reply::Data(bytes.into())),
        Just(()).prop_map(|()| Reply::Freed),
        any::<u32>().prop_map(|size| Reply::Prepared(Prepared { size, inline: None })),
        any::<Option<u32>>().prop_map(|records| Reply::Counters(Counters {
            records,
            records_max: records,
            ..Counters::default()
        })),
        (any::<bool>(), code).prop_map(|(first, code)| Reply::Failed(Error::Rejected {
            request: if first {
                Code::PREPARE_BUFFER
            } else {
                Code::READ_BUFFER
            },
            answer: Code(code),
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However a log grew between two polls, they bring every record once.
    #[test]
    fn two_polls_bring_every_record_once(before in 0..400_usize, later in 0..400_usize, keep in 1..70_usize) {
        let (_, records) = generate(3, 20, before + later);
        let options = PollOptions::new().tail(keep).compare(true);
        let first = shelf(&records[..before]).run(Plan::new(&PollCursor::new(), options)).unwrap();
        let second = shelf(&records).run(Plan::new(&first.cursor, options)).unwrap();
        let both: Vec<_> = first.new_records().chain(second.new_records()).map(|record| record.to_record()).collect();
        prop_assert_eq!(both, records);
        prop_assert_eq!(second.cursor.records as usize, before + later);
        prop_assert!(second.warnings.is_empty());
    }

    /// Whatever is answered, a plan ends, panics nowhere and claims no more than it was given.
    #[test]
    fn no_answer_breaks_a_plan(
        wrong in proptest::collection::vec(proptest::option::of(any_reply()), 0..8),
        layout in proptest::sample::select(Layout::ALL),
        numbers in any::<(u32, u32, u32, bool)>(),
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (generation, records, header, slices) = numbers;
        let cursor = PollCursor { generation, records, layout, header, tail: tail.into(), slices, counters_trusted: true };
        let mut shelf = shelf(&generate(4, 20, 50).1);
        let most = shelf.data.len() as u64 + 8 * 200;
        shelf.wrong = wrong;
        if let Ok(result) = shelf.run(Plan::new(&cursor, PollOptions::new().compare(true))) {
            prop_assert!(result.known <= result.log.len());
            prop_assert!(result.log.as_bytes().len() as u64 <= most);
            prop_assert!(result.cursor.tail.len() <= 64 * 49 || result.cursor.tail == cursor.tail);
        }
    }
}
