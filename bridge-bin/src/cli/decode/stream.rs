//! TCP put together again: segments in, packets out, in the order in which they were sent.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use zk_proto::DecodeError;
use zk_proto::wire::{Decoded, Framer, Packet, Transport};

use super::capture::Segment;

/// Directions that are followed at once; beyond it, the one that was silent longest is ended.
const MOST_STREAMS: usize = 512;
/// Bytes that wait for a missing segment, in one direction and in all.
const MOST_WAITING: usize = 1 << 20;
const MOST_WAITING_IN_ALL: usize = 32 << 20;
/// Segments that wait in one direction.
const MOST_SEGMENTS: usize = 4_096;
/// Further away than any window: another connection between the same ports.
const FAR: i64 = 1 << 28;

/// One direction of a connection: from whom, to whom.
pub(super) type Flow = (SocketAddr, SocketAddr);

/// What came of a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Packet(Decoded<'a>),
    Error(DecodeError),
    /// So many bytes are not in the capture.
    Missing(u64),
}

/// All connections of a capture.
#[derive(Debug, Default)]
pub(super) struct Streams {
    of: HashMap<Flow, Stream>,
    waiting: usize,
    clock: u64,
}

impl Streams {
    /// Takes a segment and hands out what is complete with it.
    pub(super) fn add(
        &mut self,
        flow: Flow,
        segment: &Segment<'_>,
        time: Option<DateTime<Utc>>,
        take: &mut impl FnMut(Flow, Option<DateTime<Utc>>, Found<'_>),
    ) {
        self.clock += 1;
        if !self.of.contains_key(&flow) {
            if segment.payload.is_empty() && !segment.is_syn {
                return;
            }
            self.make_room(take);
        }
        let stream = self.of.entry(flow).or_insert_with(Stream::new);
        self.waiting -= stream.waiting_bytes;
        stream.used = self.clock;
        stream.time = time.or(stream.time);
        let mut hand_out = |time: Option<DateTime<Utc>>, found: Found<'_>| take(flow, time, found);
        stream.add(segment, &mut hand_out);
        self.waiting += stream.waiting_bytes;
        if self.waiting > MOST_WAITING_IN_ALL {
            self.waiting -= stream.waiting_bytes;
            while stream.skip_gap(&mut hand_out) {}
        }
    }

    /// Ends all connections, the oldest first.
    pub(super) fn end(mut self, take: &mut impl FnMut(Flow, Option<DateTime<Utc>>, Found<'_>)) {
        while self.end_one(take) {}
    }

    fn make_room(&mut self, take: &mut impl FnMut(Flow, Option<DateTime<Utc>>, Found<'_>)) {
        while self.of.len() >= MOST_STREAMS && self.end_one(take) {}
    }

    fn end_one(&mut self, take: &mut impl FnMut(Flow, Option<DateTime<Utc>>, Found<'_>)) -> bool {
        let oldest = self.of.iter().min_by_key(|(_, stream)| stream.used);
        let Some(flow) = oldest.map(|(flow, _)| *flow) else {
            return false;
        };
        if let Some(mut stream) = self.of.remove(&flow) {
            self.waiting -= stream.waiting_bytes;
            stream.end(&mut |time, found| take(flow, time, found));
        }
        true
    }
}

/// One direction of one connection.
#[derive(Debug)]
struct Stream {
    /// Number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Where that byte lies in the stream.
    position: i64,
    /// What came too early, by where it lies.
    waiting: BTreeMap<i64, Vec<u8>>,
    waiting_bytes: usize,
    framer: Framer,
    /// What is no frame was told, and no frame came since.
    lost: bool,
    time: Option<DateTime<Utc>>,
    used: u64,
}

impl Stream {
    fn new() -> Self {
        Self {
            next: None,
            position: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            framer: Framer::new(Transport::Tcp),
            lost: false,
            time: None,
            used: 0,
        }
    }

    fn add(
        &mut self,
        segment: &Segment<'_>,
        take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>),
    ) {
        let first = segment.sequence.wrapping_add(u32::from(segment.is_syn));
        let distance = self
            .next
            .map_or(0, |next| i64::from(first.wrapping_sub(next).cast_signed()));
        let is_new = segment.is_syn && self.next != Some(first) || distance.abs() > FAR;
        if is_new && self.next.is_some() {
            self.end(take);
            let (time, used) = (self.time, self.used);
            *self = Self {
                time,
                used,
                ..Self::new()
            };
        }
        let distance = if is_new { 0 } else { distance };
        if self.next.is_none() {
            self.next = Some(first);
        }
        if segment.payload.is_empty() {
            return;
        }
        let at = self.position + distance;
        if at > self.position {
            // What came first stays, as in most systems.
            let known = self.waiting.get(&at).map_or(0, Vec::len);
            if segment.payload.len() > known {
                self.waiting_bytes += segment.payload.len() - known;
                self.waiting.insert(at, segment.payload.to_vec());
            }
            if self.waiting_bytes > MOST_WAITING || self.waiting.len() > MOST_SEGMENTS {
                self.skip_gap(take);
            }
            return;
        }
        self.feed(at, segment.payload, take);
        self.drain(take);
    }

    /// Takes what waits and is next.
    fn drain(&mut self, take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>)) {
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() > self.position {
                return;
            }
            let (at, bytes) = entry.remove_entry();
            self.waiting_bytes -= bytes.len();
            self.feed(at, &bytes, take);
        }
    }

    /// Gives up on what is missing; `false` if nothing waits behind it.
    fn skip_gap(&mut self, take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>)) -> bool {
        let Some(at) = self.waiting.first_key_value().map(|(at, _)| *at) else {
            return false;
        };
        self.tell_unfinished(take);
        let missing = u64::try_from(at - self.position).unwrap_or(0);
        take(self.time, Found::Missing(missing));
        self.advance(at - self.position);
        self.framer = Framer::new(Transport::Tcp);
        // A frame that was cut off is no news.
        self.lost = true;
        self.drain(take);
        true
    }

    fn end(&mut self, take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>)) {
        while self.skip_gap(take) {}
        self.tell_unfinished(take);
    }

    fn tell_unfinished(&mut self, take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>)) {
        let found = self.framer.pending();
        if found > 0 {
            take(
                self.time,
                Found::Error(DecodeError::IncompleteFrame { found }),
            );
        }
    }

    fn advance(&mut self, by: i64) {
        self.position += by;
        // Numbers wrap.
        let by = u32::try_from(by & i64::from(u32::MAX)).unwrap_or(0);
        self.next = self.next.map(|next| next.wrapping_add(by));
    }

    /// Bytes at a place that is not behind the next: what was there before is passed over.
    fn feed(
        &mut self,
        at: i64,
        bytes: &[u8],
        take: &mut impl FnMut(Option<DateTime<Utc>>, Found<'_>),
    ) {
        let known = usize::try_from(self.position - at).unwrap_or(0);
        let Some(mut input) = bytes.get(known..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        self.advance(i64::try_from(input.len()).unwrap_or(0));
        loop {
            match self.framer.next(&mut input) {
                Ok(Some(frame)) => {
                    self.lost = false;
                    match Packet::parse(frame) {
                        Ok(packet) => take(self.time, Found::Packet(Decoded::from_packet(&packet))),
                        Err(error) => take(self.time, Found::Error(error)),
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    if !self.lost {
                        take(self.time, Found::Error(error));
                    }
                    self.lost = true;
                    self.framer.resync(&mut input);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &[u8] = b"\x50\x50\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0";

    /// Segments by their number; what came of them, in words.
    fn told(segments: &[(u32, bool, &[u8])]) -> Vec<String> {
        let flow = (
            "10.0.0.1:9".parse().unwrap(),
            "10.0.0.2:4370".parse().unwrap(),
        );
        let mut told = Vec::new();
        let mut take = |_: Flow, _: Option<DateTime<Utc>>, found: Found<'_>| {
            told.push(match found {
                Found::Packet(packet) => packet.command.0.to_string(),
                Found::Error(error) => error.kind().to_owned(),
                Found::Missing(bytes) => format!("missing {bytes}"),
            });
        };
        let mut streams = Streams::default();
        for (sequence, is_syn, payload) in segments {
            let segment = Segment {
                sequence: *sequence,
                is_syn: *is_syn,
                payload,
            };
            streams.add(flow, &segment, None, &mut take);
        }
        streams.end(&mut take);
        told
    }

    #[test]
    fn any_order_and_any_repetition_gives_the_same_packets() {
        let stream = [PACKET, PACKET, PACKET].concat();
        for start in [7_u32, u32::MAX - 20] {
            let part = |from: usize, to: usize| {
                let sequence = start
                    .wrapping_add(1)
                    .wrapping_add(u32::try_from(from).unwrap());
                (sequence, false, &stream[from..to])
            };
            let syn = (start, true, &b""[..]);
            let [a, b, c, d] = [part(0, 5), part(5, 20), part(20, 40), part(40, 48)];
            let overlap = part(3, 30);
            for order in [
                vec![syn, a, b, c, d],
                vec![syn, d, c, b, a],
                vec![syn, a, a, c, b, b, d, a],
                vec![syn, a, overlap, d, c],
            ] {
                assert_eq!(told(&order), ["1000"; 3], "{order:?}");
            }
            // The capture began later.
            assert_eq!(told(&[a, b, c, d]), ["1000"; 3]);
        }
    }

    #[test]
    fn what_is_missing_is_told_and_the_next_frame_found() {
        let stream = [PACKET, PACKET, PACKET].concat();
        let segments = [
            (0, true, &b""[..]),
            (1, false, &stream[..20]),
            (25, false, &stream[24..]),
        ];
        assert_eq!(
            told(&segments),
            ["1000", "incomplete_frame", "missing 4", "1000"]
        );
        assert_eq!(
            told(&[(1, false, &stream[..20])]),
            ["1000", "incomplete_frame"]
        );
        // In the middle of a frame.
        assert_eq!(
            told(&[(9, false, &stream[9..])]),
            ["not_a_frame", "1000", "1000"]
        );
    }

    #[test]
    fn the_same_ports_may_speak_again() {
        let once = [(50, true, &b""[..]), (51, false, PACKET)];
        let twice = [
            once[0],
            once[1],
            (9_000_000, true, &b""[..]),
            (9_000_001, false, PACKET),
        ];
        assert_eq!(told(&twice), ["1000", "1000"]);
        assert_eq!(
            told(&[once[1], (3_000_000_000, false, PACKET)]),
            ["1000", "1000"]
        );
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let chunk = vec![0x55; 60_000];
        let mut streams = Streams::default();
        let mut missing = 0;
        let mut take = |_: Flow, _: Option<DateTime<Utc>>, found: Found<'_>| {
            missing += usize::from(matches!(found, Found::Missing(_)));
        };
        for port in 1..2_000_u16 {
            let flow = (([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 4370).into());
            for sequence in [0, 70_000, 140_000] {
                let segment = Segment {
                    sequence,
                    is_syn: sequence == 0,
                    payload: &chunk,
                };
                streams.add(flow, &segment, None, &mut take);
            }
            assert!(streams.of.len() <= MOST_STREAMS && streams.waiting <= MOST_WAITING_IN_ALL);
        }
        let flow = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 4370).into());
        for number in 0..10_000_u32 {
            let segment = Segment {
                sequence: 10 + number * 2,
                is_syn: number == 0,
                payload: b"x",
            };
            streams.add(flow, &segment, None, &mut take);
            assert!(streams.of[&flow].waiting.len() <= MOST_SEGMENTS);
        }
        streams.end(&mut take);
        assert!(missing > 2_000);
    }
}
