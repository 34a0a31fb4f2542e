//! The bytes of a fetched log on their way from the socket to the data set: packets found and checked, and all that a
//! session does about them. No socket, no clock.

use std::{hint::black_box, time::Instant};

use benches::{Target, beside_rustzk, compare, is_measuring};
use bytes::{Buf, Bytes};
use chrono::{DateTime, NaiveDateTime};
use zk_proto::{
    Code, Session,
    mock::MockDevice,
    record::LogHint,
    request::{Connect, ReadAttendance, Request},
    session::{Event, Options, Output},
    wire::{Framer, PREFIX_LEN, Packet, Transport},
};

/// Bytes that one read of the socket gives.
const READ: usize = 64 << 10;
/// Payload of a data packet.
const PACKET: usize = 1008;

fn main() {
    let records = if is_measuring() { 100_000 } else { 1_000 };
    let conversation = Conversation::record(records);
    let stream: Vec<u8> = conversation.answers.concat();
    let packets = frames(&stream);
    let bytes = stream.len();
    compare(
        &format!("find and check {packets} packets in {bytes} bytes, to a plain sum"),
        Target::None,
        101,
        || {
            black_box(frames(black_box(&stream)));
        },
        || {
            let sum: u64 = black_box(&stream).iter().map(|byte| u64::from(*byte)).sum();
            black_box(sum);
        },
    );
    compare(
        &format!(
            "a session that fetches {records} records, to its packets found, checked and kept"
        ),
        Target::None,
        101,
        || {
            black_box(conversation.replay());
        },
        || {
            black_box(kept(black_box(&stream)));
        },
    );
    beside_rustzk(
        &format!("find and check {packets} packets"),
        "packets",
        Target::None,
        &stream,
        packets,
        || {
            black_box(frames(black_box(&stream)));
        },
    );
}

/// Number of packets, each with a checksum that is right.
fn frames(stream: &[u8]) -> usize {
    let mut framer = Framer::new(Transport::Tcp);
    let mut packets = 0;
    for mut read in stream.chunks(READ) {
        while let Some(packet) = framer.next(&mut read).expect("frames of our own") {
            let packet = Packet::parse(packet).expect("a packet");
            assert!(packet.checksum_valid());
            packets += 1;
        }
    }
    packets
}

/// The baseline of a session: the least that must be done to have the data.
fn kept(stream: &[u8]) -> Vec<u8> {
    let mut framer = Framer::new(Transport::Tcp);
    let mut data = Vec::with_capacity(stream.len());
    for mut read in stream.chunks(READ) {
        while let Some(packet) = framer.next(&mut read).expect("frames of our own") {
            let packet = Packet::parse(packet).expect("a packet");
            assert!(packet.checksum_valid());
            if packet.header.code == Code::DATA {
                data.extend_from_slice(packet.payload);
            }
        }
    }
    data
}

/// What a terminal answers to a client that connects and fetches the log, by request.
struct Conversation {
    answers: Vec<Bytes>,
    records: usize,
    now: Instant,
}

impl Conversation {
    fn record(records: usize) -> Self {
        let mut terminal = MockDevice::builder()
            .generate(1, 500, records)
            .max_packet(PACKET)
            .build()
            .expect("a terminal");
        let mut client = terminal.conversation(Transport::Tcp);
        let mut answers = Vec::new();
        let now = Instant::now();
        fetch(now, records, |mut request| {
            request.advance(PREFIX_LEN);
            let reaction = terminal.handle(&mut client, &request, epoch());
            let answer = Bytes::from(reaction.frames.concat());
            answers.push(answer.clone());
            answer
        });
        Self {
            answers,
            records,
            now,
        }
    }

    fn replay(&self) -> usize {
        let mut answers = self.answers.iter();
        fetch(self.now, self.records, |_| {
            answers.next().expect("the same requests again").clone()
        })
    }
}

/// Connects and fetches the log; gives the bytes of its records.
fn fetch(now: Instant, records: usize, mut ask: impl FnMut(Bytes) -> Bytes) -> usize {
    let mut session = Session::new(Transport::Tcp, Options::default());
    call(&mut session, Connect, now, &mut ask);
    let read = ReadAttendance {
        hint: LogHint::default(),
    };
    let log = call(&mut session, read, now, &mut ask);
    assert_eq!(log.len(), records);
    log.as_bytes().len()
}

fn call<R: Request>(
    session: &mut Session,
    request: R,
    now: Instant,
    mut ask: impl FnMut(Bytes) -> Bytes,
) -> R::Reply {
    let ticket = session.submit(request, now);
    let mut arrived = Bytes::new();
    loop {
        match session.poll_output() {
            Output::Transmit(request) => arrived = ask(request),
            Output::Event(Event::Answer { ticket: id, result }) => {
                return ticket.open(id, result).expect("an answer");
            }
            Output::Event(_) => {}
            Output::Wait(_) => {
                let read = arrived.split_to(arrived.len().min(READ));
                assert!(!read.is_empty(), "the terminal has said all");
                session.handle_input(&read, now);
            }
        }
    }
}

fn epoch() -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc()
}
