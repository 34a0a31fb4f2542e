//! The session against a terminal in memory, with invented time: no socket, no sleep.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chrono::{NaiveDate, NaiveDateTime};
use proptest::prelude::*;
use zk_proto::{
    Code, CommKey, Error, Misuse, Protocol, Session,
    mock::{Clock, Conversation, Extras, Fault, MockDevice, Terminal},
    record::{AttendanceLog, Template, TemplateFlag},
    request::{
        ClearAttendance, Confirmed, Connect, DeleteUser, Exit, Finger, PrepareBuffer,
        ReadAttendance, ReadBuffer, ReadClock, ReadCounters, ReadPhoto, ReadSlice, ReadTemplate,
        ReadUsers, Request, Unlock,
    },
    session::{Event, Options, Output},
    wire::{Framer, PackedTime, Transport, encode_packet},
};

/// What the network does to one packet from the terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Deliver,
    Lose,
    Repeat,
    /// Behind the next one.
    Swap,
    /// Only after the session has given up waiting.
    Late,
}

/// A session and a terminal, joined by a network that does what it is told.
struct Pair {
    session: Session,
    terminal: Terminal,
    client: Conversation,
    framer: Framer,
    now: Instant,
    start: Instant,
    fates: Box<dyn FnMut() -> Fate>,
    late: Vec<Bytes>,
    sent: Vec<Code>,
}

impl Pair {
    fn new(transport: Transport, options: Options, terminal: Terminal) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
        let start = Instant::now();
        Self {
            session: Session::new(transport, options),
            client: terminal.conversation(transport),
            terminal,
            framer: Framer::new(transport),
            now: start,
            start,
            fates: Box::new(|| Fate::Deliver),
            late: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn connected(transport: Transport, terminal: Terminal) -> Self {
        let mut pair = Self::new(transport, Options::default(), terminal);
        pair.call(Connect).unwrap();
        pair
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Runs the canonical loop until the call has ended.
    fn call<R: Request>(&mut self, request: R) -> Result<R::Reply, Error> {
        let ticket = self.session.submit(request, self.now);
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 200_000, "no end in sight");
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.deliver(&bytes),
                Output::Event(Event::Answer { ticket: id, result }) => {
                    let result = ticket.open(id, result);
                    self.drain();
                    return result;
                }
                Output::Event(_) => {}
                Output::Wait(Some(deadline)) => {
                    assert!(deadline >= self.now);
                    self.now = deadline;
                    self.session.handle_timeout(deadline);
                    for late in std::mem::take(&mut self.late) {
                        self.session.handle_input(&late, self.now);
                    }
                }
                Output::Wait(None) => panic!("a call is under way and nobody waits"),
            }
        }
    }

    /// What is sent after an answer is delivered too; nobody waits for what comes back.
    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.deliver(&bytes),
                Output::Event(_) => {}
                Output::Wait(_) => return,
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        let packet = self.framer.next(&mut input).unwrap().unwrap();
        self.sent
            .push(Code(u16::from_le_bytes([packet[0], packet[1]])));
        let reaction = self.terminal.handle(&mut self.client, packet, clock());
        let mut held: Option<Bytes> = None;
        for frame in reaction.frames {
            let before = held.take();
            match (self.fates)() {
                Fate::Deliver => self.session.handle_input(&frame, self.now),
                Fate::Lose => {}
                Fate::Repeat => {
                    self.session.handle_input(&frame, self.now);
                    self.session.handle_input(&frame, self.now);
                }
                Fate::Swap => held = Some(frame),
                Fate::Late => self.late.push(frame),
            }
            if let Some(frame) = before {
                self.session.handle_input(&frame, self.now);
            }
        }
        if let Some(frame) = held {
            self.session.handle_input(&frame, self.now);
        }
    }
}

fn clock() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2024, 5, 6)
        .unwrap()
        .and_hms_opt(7, 8, 9)
        .unwrap()
}

fn terminal(records: usize) -> Terminal {
    MockDevice::builder()
        .generate(1, 30, records)
        .build()
        .unwrap()
}

fn holds(log: &AttendanceLog, terminal: &Terminal) -> bool {
    log.iter()
        .map(|record| record.to_record())
        .eq(terminal.snapshot().records)
}

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

#[test]
fn a_whole_conversation_takes_no_time_at_all() {
    for transport in BOTH {
        let device = MockDevice::builder()
            .generate(1, 30, 3000)
            .comm_key(42)
            .build()
            .unwrap();
        let options = Options {
            comm_key: CommKey::new(42),
            ..Options::default()
        };
        let mut pair = Pair::new(transport, options, device);
        pair.call(Connect).unwrap();
        assert_eq!(pair.call(ReadClock).unwrap().to_civil(), Ok(clock()));
        assert_eq!(
            pair.call(ReadUsers::default()).unwrap(),
            pair.terminal.snapshot().users
        );
        assert!(holds(
            &pair.call(ReadAttendance::default()).unwrap(),
            &pair.terminal
        ));
        pair.call(Exit).unwrap();
        assert!(pair.session.is_dead());
        assert_eq!(pair.elapsed(), Duration::ZERO);
        assert_eq!(pair.sent[..2], [Code::CONNECT, Code::AUTH]);
    }
}

#[test]
fn q35_reply_ids_pass_65534_without_a_stop() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(0));
    for _ in 0..65_540 {
        pair.call(ReadCounters).unwrap();
    }
    let ids: Vec<u16> = pair
        .terminal
        .requests()
        .iter()
        .map(|request| request.reply_id)
        .collect();
    assert!(ids.contains(&65_534) && !ids.contains(&65_535));
    assert_eq!(pair.session.stats().stale_replies, 0);
    assert_eq!(pair.elapsed(), Duration::ZERO);
}

#[test]
fn silence_over_tcp_ends_the_session_with_a_goodbye() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(5000));
    pair.terminal
        .fault(Fault::silence().on(Code::READ_BUFFER).after(1));
    let error = pair.call(ReadAttendance::default()).unwrap_err();
    let Error::Incomplete {
        data,
        total: Some(200_004),
        source,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(data.len(), 65_472);
    assert!(matches!(
        *source,
        Error::Timeout {
            during: Code::READ_BUFFER,
            ..
        }
    ));
    assert_eq!(pair.elapsed(), Options::default().packet_timeout);
    assert!(
        pair.sent
            .ends_with(&[Code::READ_BUFFER, Code::FREE_DATA, Code::EXIT])
    );
    let error = pair.call(ReadClock).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::Poisoned)));
}

#[test]
fn the_deadline_is_per_packet_and_the_limit_per_operation() {
    let limit = Duration::from_secs(7);
    let options = Options {
        operation_timeout: Some(limit),
        ..Options::default()
    };
    for transport in BOTH {
        let device = terminal(0);
        let mut pair = Pair::new(transport, options.clone(), device);
        pair.call(Connect).unwrap();
        pair.terminal.fault(Fault::silence());
        let error = pair.call(ReadClock).unwrap_err();
        let (expected, waited) = match transport {
            Transport::Tcp => (options.packet_timeout, options.packet_timeout),
            // Repeated once, then the limit strikes.
            Transport::Udp => (limit, limit),
        };
        assert!(
            matches!(error, Error::Timeout { after, .. } if after == expected),
            "{error}"
        );
        assert_eq!(pair.elapsed(), waited);
    }
}

#[test]
fn a_missing_acknowledgement_costs_the_grace_time() {
    for transport in BOTH {
        let mut pair = Pair::connected(transport, terminal(200));
        pair.terminal
            .fault(Fault::drop_reply(Code::ACK_OK).on(Code::READ_BUFFER));
        assert!(holds(
            &pair.call(ReadAttendance::default()).unwrap(),
            &pair.terminal
        ));
        assert_eq!(pair.elapsed(), Options::default().ack_grace);
    }
}

#[test]
fn an_early_acknowledgement_over_tcp_is_a_short_transfer() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(2000));
    let lost = Fault::drop_reply(Code::DATA)
        .on(Code::READ_BUFFER)
        .after(3)
        .times(1);
    pair.terminal.fault(lost);
    let error = pair.call(ReadAttendance::default()).unwrap_err();
    let Error::Incomplete { source, .. } = &error else {
        panic!("{error:?}")
    };
    let short = Protocol::ShortTransfer {
        announced: 65_472,
        received: 64_464,
    };
    assert!(
        matches!(&**source, Error::Protocol(found) if *found == short),
        "{source}"
    );
    // The stream is still in step: freed, and ready for the next call.
    assert_eq!(pair.sent.last(), Some(&Code::FREE_DATA));
    assert!(holds(
        &pair.call(ReadAttendance::default()).unwrap(),
        &pair.terminal
    ));
}

#[test]
fn a_late_answer_is_dropped_and_does_not_answer_the_next_call() {
    let mut pair = Pair::connected(Transport::Udp, terminal(0));
    let mut first = true;
    pair.fates = Box::new(move || {
        if std::mem::take(&mut first) {
            Fate::Late
        } else {
            Fate::Deliver
        }
    });
    assert_eq!(pair.call(ReadCounters).unwrap().users, Some(30));
    assert_eq!(pair.call(ReadClock).unwrap().to_civil(), Ok(clock()));
    assert_eq!(pair.session.stats().stale_replies, 1);
}

#[test]
fn a_slice_frees_nothing_and_a_chunk_is_a_transfer() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(2000));
    let prepared = pair
        .call(PrepareBuffer(zk_proto::request::DataSet::ATTENDANCE))
        .unwrap();
    assert_eq!((prepared.size, prepared.inline), (80_004, None));
    let whole = pair
        .call(ReadSlice {
            offset: 0,
            len: prepared.size,
        })
        .unwrap();
    let chunk = pair
        .call(ReadBuffer {
            offset: 70_000,
            len: 400,
        })
        .unwrap();
    assert_eq!(chunk, whole[70_000..70_400]);
    assert!(!pair.sent.contains(&Code::FREE_DATA));
    pair.session.farewell();
    pair.drain();
    assert!(pair.sent.ends_with(&[Code::FREE_DATA, Code::EXIT]));
}

#[test]
fn one_call_at_a_time_and_only_when_connected() {
    let mut pair = Pair::new(Transport::Tcp, Options::default(), terminal(0));
    let refused = |session: &mut Session, now| {
        let ticket = session.submit(ReadClock, now);
        loop {
            match session.poll_output() {
                Output::Event(Event::Answer { ticket: id, result }) if id == ticket.id() => {
                    break ticket.open(id, result).unwrap_err();
                }
                Output::Wait(_) => panic!("no answer"),
                _ => {}
            }
        }
    };
    let error = refused(&mut pair.session, pair.now);
    assert!(matches!(error, Error::Misuse(Misuse::NotConnected)));
    pair.call(Connect).unwrap();
    let first = pair.session.submit(ReadClock, pair.now);
    let error = refused(&mut pair.session, pair.now);
    assert!(matches!(error, Error::Misuse(Misuse::Busy)));
    drop(first);
    pair.session.abandon();
    pair.call(ReadClock).unwrap();
}

#[test]
fn a_data_set_beyond_the_limit_is_not_read() {
    let options = Options {
        max_data_set: 50_000,
        ..Options::default()
    };
    let mut pair = Pair::new(Transport::Tcp, options, terminal(2000));
    pair.call(Connect).unwrap();
    let error = pair.call(ReadAttendance::default()).unwrap_err();
    let large = Protocol::DataSetTooLarge {
        announced: 80_004,
        limit: 50_000,
    };
    assert!(matches!(error, Error::Protocol(found) if found == large));
    assert_eq!(pair.sent.last(), Some(&Code::FREE_DATA));
}

#[test]
fn a_log_that_has_arrived_is_kept_whatever_happens_to_the_free() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(200));
    pair.terminal.fault(Fault::silence().on(Code::FREE_DATA));
    assert!(holds(
        &pair.call(ReadAttendance::default()).unwrap(),
        &pair.terminal
    ));
    assert_eq!(pair.elapsed(), Options::default().packet_timeout);
    assert!(pair.session.is_connected());

    let mut pair = Pair::connected(Transport::Tcp, terminal(200));
    let refused = Fault::reject(Code::FREE_DATA, Code::ACK_ERROR);
    pair.terminal.fault(refused);
    assert!(holds(
        &pair.call(ReadAttendance::default()).unwrap(),
        &pair.terminal
    ));
}

#[test]
fn offsets_that_are_ignored_show_in_the_data() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(2000));
    pair.terminal.fault(Fault::ignore_offsets());
    pair.call(PrepareBuffer(zk_proto::request::DataSet::ATTENDANCE))
        .unwrap();
    let head = pair.call(ReadSlice { offset: 0, len: 40 }).unwrap();
    assert_eq!(
        pair.call(ReadSlice {
            offset: 4000,
            len: 40
        })
        .unwrap(),
        head
    );
}

/// What datagrams may do to an answer: it is whole all the same.
#[test]
fn q27_q28_q33_datagrams_out_of_order_twice_stale_or_astray_change_nothing() {
    for fault in [
        Fault::early_acknowledgement(),
        Fault::reorder(),
        Fault::duplicate_replies(),
        Fault::stale_reply(),
        Fault::event_inside(),
        Fault::no_announcement(),
        Fault::send_at_once(),
        Fault::wrong_number().times(1),
        Fault::corrupt_checksum().times(1),
        Fault::silence().times(1),
    ] {
        for on in [Code::READ_BUFFER, Code::PREPARE_BUFFER] {
            let mut pair = Pair::connected(Transport::Udp, terminal(1200));
            pair.terminal.fault(fault.clone().on(on));
            let log = pair.call(ReadAttendance::default()).unwrap();
            assert!(holds(&log, &pair.terminal), "{fault:?} on {on}");
        }
    }
}

#[test]
fn over_udp_only_what_may_be_sent_twice_is_sent_twice() {
    let silent = || {
        let mut pair = Pair::connected(Transport::Udp, terminal(0));
        pair.terminal.fault(Fault::silence());
        pair
    };
    let mut pair = silent();
    let error = pair.call(DeleteUser { uid: 3 }).unwrap_err();
    assert!(matches!(
        error,
        Error::Timeout {
            during: Code::DELETE_USER,
            ..
        }
    ));
    assert_eq!(pair.sent[1..], [Code::DELETE_USER]);
    let mut pair = silent();
    let confirmed = Confirmed::the_data_is_lost_for_good();
    assert!(pair.call(ClearAttendance(confirmed)).is_err());
    assert!(pair.call(Unlock { duration: 3 }).is_err());
    assert_eq!(pair.sent[1..], [Code::CLEAR_ATTLOG, Code::UNLOCK]);
    let mut pair = silent();
    assert!(pair.call(ReadClock).is_err());
    assert_eq!(pair.sent[1..], [Code::GET_TIME; 3]);
    assert_eq!(pair.session.stats().retries, 2);
}

#[test]
fn a_clock_that_drifts_is_set_and_goes_on_drifting() {
    let device = MockDevice::builder()
        .clock(Clock::Drifting {
            ahead: 100,
            per_day: -60,
        })
        .build()
        .unwrap();
    let mut client = device.conversation(Transport::Udp);
    let mut device = device;
    let mut told = |code: Code, payload: &[u8], now: NaiveDateTime| {
        let mut packet = BytesMut::new();
        encode_packet(Transport::Udp, code, 0, 0, payload, &mut packet);
        let answer = device.handle(&mut client, &packet, now).frames.remove(0);
        let bytes = answer.get(8..12).map(|bytes| bytes.try_into().unwrap());
        PackedTime(u32::from_le_bytes(bytes.unwrap_or_default()))
    };
    let seconds = chrono::TimeDelta::seconds;
    told(Code::CONNECT, &[], clock());
    let ahead = told(Code::GET_TIME, &[], clock()).to_civil().unwrap();
    assert_eq!(ahead, clock() + seconds(100));
    let tomorrow = clock() + seconds(86_400);
    let drifted = told(Code::GET_TIME, &[], tomorrow).to_civil().unwrap();
    assert_eq!(drifted, tomorrow + seconds(40));
    let right = PackedTime::from_civil(tomorrow).unwrap();
    told(Code::SET_TIME, &right.0.to_le_bytes(), tomorrow);
    assert_eq!(told(Code::GET_TIME, &[], tomorrow), right);
    let later = tomorrow + seconds(86_400);
    let drifted = told(Code::GET_TIME, &[], later).to_civil().unwrap();
    assert_eq!(drifted, later - seconds(60));
}

#[test]
fn over_tcp_nothing_is_sent_twice() {
    for fault in [Fault::silence(), Fault::wrong_number()] {
        let mut pair = Pair::connected(Transport::Tcp, terminal(0));
        pair.terminal.fault(fault);
        let error = pair.call(ReadClock).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert_eq!(pair.sent[1..], [Code::GET_TIME, Code::EXIT]);
    }
}

#[test]
fn a_template_over_udp_is_whole_or_an_error_too() {
    // No total stands before a template, so only the announcement knows how long it is.
    let mut extras = Extras::default();
    let data: Vec<u8> = (0..200).collect::<Vec<u8>>().repeat(20);
    let (uid, finger, flag) = (1, 2, TemplateFlag::VALID);
    let template = Template {
        uid,
        finger,
        flag,
        data: data.into(),
    };
    extras.templates.insert((uid, finger), template.clone());
    let builder = MockDevice::builder().generate(1, 3, 0).extras(extras);
    for seed in 0..300_u32 {
        let mut pair = Pair::connected(Transport::Udp, builder.clone().build().unwrap());
        let mut step = seed;
        let mut left = 8;
        pair.fates = Box::new(move || {
            if left == 0 {
                return Fate::Deliver;
            }
            left -= 1;
            step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match step >> 29 {
                0 => Fate::Lose,
                1 => Fate::Repeat,
                2 | 3 => Fate::Swap,
                4 => Fate::Late,
                _ => Fate::Deliver,
            }
        });
        match pair.call(ReadTemplate(Finger { uid, finger })) {
            Ok(read) => assert_eq!(read, template, "seed {seed}"),
            Err(error) => assert!(error.is_retryable(), "seed {seed}: {error}"),
        }
    }
}

/// Plays packets of the terminal's, over TCP, to a session that has asked for a photo.
fn photo_of(packets: &[(Code, u16, &[u8])]) -> Result<Bytes, Error> {
    let mut pair = Pair::connected(Transport::Tcp, terminal(0));
    let ticket = pair.session.submit(ReadPhoto { name: "1.jpg" }, pair.now);
    for (code, number, payload) in packets {
        let mut frame = BytesMut::new();
        encode_packet(Transport::Tcp, *code, *number, 1, payload, &mut frame);
        pair.session.handle_input(&frame, pair.now);
    }
    pair.session.handle_closed();
    loop {
        match pair.session.poll_output() {
            Output::Event(Event::Answer { ticket: id, result }) => return ticket.open(id, result),
            Output::Wait(_) => panic!("no answer"),
            _ => {}
        }
    }
}

const NINE: (Code, u16, &[u8]) = (Code::PREPARE_DATA, 0, &[9, 0, 0, 0, 3, 0, 0, 0]);
const DONE: (Code, u16, &[u8]) = (Code::ACK_OK, 2, &[]);

fn part(number: u16, bytes: &[u8]) -> (Code, u16, &[u8]) {
    (Code::DATA, number, bytes)
}

#[test]
fn q85_parts_that_are_numbered_out_of_order_are_sorted() {
    let (abc, def, ghi) = (&b"abc"[..], &b"def"[..], &b"ghi"[..]);
    let sorted = [NINE, part(2, ghi), part(0, abc), part(1, def), DONE];
    assert_eq!(photo_of(&sorted).unwrap(), "abcdefghi");
    // Numbers that mean nothing change nothing.
    for numbers in [[7, 7, 7], [0, 0, 0], [9, 2, 500], [3, 2, 1]] {
        let [a, b, c] = numbers;
        let as_they_come = [NINE, part(a, abc), part(b, def), part(c, ghi), DONE];
        assert_eq!(photo_of(&as_they_come).unwrap(), "abcdefghi", "{numbers:?}");
    }
    // Nor are parts without numbers taken for repeated ones.
    let alike = [NINE, part(7, abc), part(7, abc), part(7, abc), DONE];
    assert_eq!(photo_of(&alike).unwrap(), "abcabcabc");
}

#[test]
fn a_frame_that_comes_twice_is_one() {
    let (a, b, c) = (part(0, b"abc"), part(1, b"def"), part(2, b"ghi"));
    let twice = [NINE, NINE, a, a, b, b, c, c, DONE, DONE];
    assert_eq!(photo_of(&twice).unwrap(), "abcdefghi");
    let three = (Code::PREPARE_DATA, 0, &[3, 0, 0, 0][..]);
    assert_eq!(photo_of(&[three, a, a, DONE]).unwrap(), "abc");
}

#[test]
fn a_gap_ends_what_a_failure_hands_out() {
    let (a, b, c) = (part(0, b"abc"), part(1, b"def"), part(2, b"ghi"));
    for (packets, expected) in [
        (&[NINE, a, c, DONE][..], Some(&b"abc"[..])),
        (&[NINE, a, a, c, DONE], Some(b"abc")),
        (&[NINE, a, b, DONE], Some(b"abcdef")),
        (&[NINE, c, a], Some(b"abc")),
        (&[NINE, b, c, DONE], None),
        (&[NINE, a, a], Some(b"abc")),
    ] {
        let error = photo_of(packets).unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(
            error.partial().map(|part| &part[..]),
            expected,
            "{packets:?}"
        );
    }
}

#[test]
fn a_slice_beyond_the_limit_is_not_asked_for() {
    let mut pair = Pair::connected(Transport::Tcp, terminal(5));
    let len = Options::default().max_data_set + 1;
    let error = pair.call(ReadSlice { offset: 0, len }).unwrap_err();
    assert_eq!(error.kind(), "data_set_too_large");
    assert_eq!(pair.sent, [Code::CONNECT]);
    // The session is as good as before.
    pair.call(ReadClock).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a network does to datagrams, a read is whole or an error; and whole again once
    /// the network behaves.
    #[test]
    fn a_read_over_udp_is_whole_or_an_error(
        fates in proptest::collection::vec(
            prop_oneof![
                12 => Just(Fate::Deliver),
                1 => Just(Fate::Lose),
                1 => Just(Fate::Repeat),
                1 => Just(Fate::Swap),
                1 => Just(Fate::Late),
            ],
            0..200,
        ),
        records in 0..1500_usize,
    ) {
        let mut pair = Pair::connected(Transport::Udp, terminal(records));
        let mut fates = fates.into_iter();
        pair.fates = Box::new(move || fates.next().unwrap_or(Fate::Deliver));
        match pair.call(ReadAttendance::default()) {
            Ok(log) => prop_assert!(holds(&log, &pair.terminal)),
            Err(error) => prop_assert!(error.is_retryable(), "{}", error),
        }
        pair.fates = Box::new(|| Fate::Deliver);
        prop_assert!(holds(&pair.call(ReadAttendance::default()).unwrap(), &pair.terminal));
    }

    /// Over TCP the bytes come in order, split anywhere, or not at all.
    #[test]
    fn a_stream_cut_anywhere_gives_an_error_with_a_true_beginning(
        cut in 0..60_000_usize,
        records in 1..1500_usize,
    ) {
        let mut pair = Pair::connected(Transport::Tcp, terminal(records));
        let whole = pair.call(ReadAttendance::default()).unwrap();
        let ticket = pair.session.submit(ReadAttendance::default(), pair.now);
        let mut left = cut;
        let result = loop {
            match pair.session.poll_output() {
                Output::Transmit(bytes) => {
                    let mut input = &bytes[..];
                    let packet = pair.framer.next(&mut input).unwrap().unwrap();
                    let frames = pair.terminal.handle(&mut pair.client, packet, clock()).frames;
                    let all: Vec<u8> = frames.concat();
                    let part = &all[..left.min(all.len())];
                    left -= part.len();
                    for piece in part.chunks(333) {
                        pair.session.handle_input(piece, pair.now);
                    }
                    if part.len() < all.len() {
                        pair.session.handle_closed();
                    }
                }
                Output::Event(Event::Answer { ticket: id, result }) => break ticket.open(id, result),
                Output::Event(_) => {}
                Output::Wait(_) => panic!("nothing comes any more"),
            }
        };
        match result {
            Ok(log) => prop_assert_eq!(log, whole),
            Err(error) => {
                prop_assert_eq!(error.is_retryable(), true);
                if let Some(part) = error.partial().filter(|part| part.len() > 4) {
                    prop_assert_eq!(&part[4..], &whole.as_bytes()[..part.len() - 4]);
                }
            }
        }
    }
}
