//! Whatever happens to a log between two polls and during them: no record is lost, none is made up, and
//! none is put where another one lies.

use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use chrono::NaiveDateTime;
use proptest::prelude::*;
use zk_proto::{
    Code, Error, Session,
    mock::{Conversation, Fault, MockDevice, Terminal, generate},
    poll::{Ask, Plan, PollCursor, PollOptions, PollResult, Reply},
    record::{Attendance, Layout},
    request::{
        Connect, DataSet, FreeBuffer, PrepareBuffer, ReadAttendanceBytes, ReadCounters, ReadSlice,
        Request,
    },
    session::{Event, Options, Output},
    wire::{Framer, Transport},
};

/// What happens to a terminal, or to a poll.
#[derive(Clone, Debug)]
enum Happening {
    Punches(usize),
    /// Somebody clears the log, and so many punch.
    Cleared(usize),
    /// The next poll's connection is closed after so many bytes; over UDP nothing comes any more.
    Broken(usize),
    Fault(Fault),
    Healed,
    Poll {
        compare: bool,
        full: bool,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let fault = prop_oneof![
        Just(Fault::refuse_slices().times(2)),
        Just(Fault::ignore_offsets().times(3)),
        (1..200_usize).prop_map(|bytes| Fault::truncate_log(bytes).times(1)),
        (0..60_u32).prop_map(|count| Fault::wrong_counters(count).times(2)),
        refused(Code::PREPARE_BUFFER),
        refused(Code::READ_BUFFER),
        refused(Code::GET_FREE_SIZES),
        Just(Fault::drop_reply(Code::DATA).after(1).times(1)),
        Just(
            Fault::drop_reply(Code::ACK_OK)
                .on(Code::READ_BUFFER)
                .times(1)
        ),
        Just(Fault::early_acknowledgement().times(1)),
        Just(Fault::no_announcement().times(2)),
        Just(Fault::send_at_once().times(1)),
        Just(Fault::event_inside().times(3)),
        Just(Fault::stale_reply().times(3)),
        Just(Fault::duplicate_replies().on(Code::READ_BUFFER).times(1)),
        Just(Fault::reorder().times(2)),
        Just(Fault::corrupt_checksum().on(Code::READ_BUFFER).times(1)),
        Just(Fault::wrong_number().on(Code::READ_BUFFER).times(1)),
        Just(Fault::silence().on(Code::READ_BUFFER).times(1)),
    ];
    prop_oneof![
        6 => (1..40_usize).prop_map(Happening::Punches),
        1 => (0..80_usize).prop_map(Happening::Cleared),
        2 => (0..4000_usize).prop_map(Happening::Broken),
        3 => fault.prop_map(Happening::Fault),
        1 => Just(Happening::Healed),
        8 => (any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(compare, full)| Happening::Poll { compare, full }),
    ]
}

fn refused(command: Code) -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Code::ACK_ERROR),
        Just(Code::ACK_UNKNOWN),
        Just(Code::ERR_NO_DATA),
        Just(Code::ERR_4988),
    ]
    .prop_map(move |answer| Fault::reject(command, answer).times(1))
}

/// A terminal, who polls it, and what came.
struct Story {
    terminal: Terminal,
    transport: Transport,
    layout: Layout,
    /// Punches that have not happened yet.
    future: Vec<Attendance>,
    /// Every punch that ever happened, as the log has it.
    happened: HashSet<Vec<u8>>,
    cursor: PollCursor,
    /// What came, by generation and position.
    came: BTreeMap<(u32, u32), Vec<u8>>,
    broken_after: Option<usize>,
}

impl Story {
    fn new(
        transport: Transport,
        layout: Layout,
        capacity: u32,
        inline: usize,
        max_packet: usize,
    ) -> Self {
        let (users, mut future) = generate(5, 20, 3000);
        future.reverse();
        let terminal = MockDevice::builder()
            .users(users)
            .attendance_layout(layout)
            .wide_header(layout == Layout::Bytes22)
            .capacity(100, capacity)
            .ring(true)
            .inline_limit(inline)
            .max_packet(max_packet)
            .build()
            .unwrap();
        Self {
            terminal,
            transport,
            layout,
            future,
            happened: HashSet::new(),
            cursor: PollCursor::new(),
            came: BTreeMap::new(),
            broken_after: None,
        }
    }

    fn bytes(&self, record: &Attendance) -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        record.encode(self.layout, &mut out);
        out.to_vec()
    }

    fn next_punch(&mut self) -> Attendance {
        let record = self.future.pop().unwrap();
        self.happened.insert(self.bytes(&record));
        record
    }

    fn punches(&mut self, count: usize) {
        for _ in 0..count {
            let record = self.next_punch();
            self.terminal.punch(record);
        }
    }

    fn tell(&mut self, happening: Happening) {
        match happening {
            Happening::Punches(count) => self.punches(count),
            Happening::Cleared(count) => {
                self.terminal.clear_log();
                self.punches(count);
            }
            Happening::Broken(after) => self.broken_after = Some(after),
            Happening::Fault(fault) => self.terminal.fault(fault),
            Happening::Healed => self.terminal.clear_faults(),
            Happening::Poll { compare, full } => {
                // People punch while it is read.
                let during = [
                    Code::GET_FREE_SIZES,
                    Code::PREPARE_BUFFER,
                    Code::READ_BUFFER,
                ];
                let command = during[self.future.len() % 3];
                let record = self.next_punch();
                self.terminal
                    .fault(Fault::grow(vec![record]).on(command).times(1));
                let options = PollOptions::new().compare(compare).full(full).tail(3);
                drop(self.poll(options));
            }
        }
    }

    fn poll(&mut self, options: PollOptions) -> Result<(), Error> {
        let broken_after = self.broken_after.take();
        let wire = Wire::new(self.transport, &mut self.terminal, broken_after);
        let result = wire.poll(&self.cursor, options)?;
        self.keep(&result);
        result.trouble.map_or(Ok(()), Err)
    }

    /// What the bridge would do with a result.
    fn keep(&mut self, result: &PollResult) {
        let generation = result.cursor.generation;
        let positions = (result.first_index..).zip(result.log.iter());
        for (index, record) in positions.skip(result.known) {
            let record = record.as_bytes().to_vec();
            assert!(self.happened.contains(&record), "made up: {result:?}");
            let there = self.came.insert((generation, index), record.clone());
            assert!(
                there.is_none_or(|there| there == record),
                "in the place of another: {result:?}"
            );
        }
        self.cursor = result.cursor.clone();
    }

    /// Once terminal and network behave, everything the log has is here, and one more poll changes nothing.
    fn ends_well(&mut self) {
        self.terminal.clear_faults();
        self.broken_after = None;
        let options = PollOptions::new().compare(true).tail(3);
        self.poll(options).unwrap();
        let came: HashSet<_> = self.came.values().cloned().collect();
        for record in self.terminal.snapshot().records {
            assert!(came.contains(&self.bytes(&record)), "lost: {record:?}");
        }
        let (before, cursor) = (self.came.len(), self.cursor.clone());
        self.poll(options).unwrap();
        assert_eq!((self.came.len(), &self.cursor), (before, &cursor));
    }
}

/// A connection in memory.
struct Wire<'a> {
    terminal: &'a mut Terminal,
    client: Conversation,
    session: Session,
    framer: Framer,
    left: Option<usize>,
    now: Instant,
}

impl<'a> Wire<'a> {
    fn new(transport: Transport, terminal: &'a mut Terminal, left: Option<usize>) -> Self {
        let options = Options {
            max_chunk: 700,
            ..Options::default()
        };
        #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
        let now = Instant::now();
        Self {
            client: terminal.conversation(transport),
            terminal,
            session: Session::new(transport, options),
            framer: Framer::new(transport),
            left,
            now,
        }
    }

    fn poll(mut self, cursor: &PollCursor, options: PollOptions) -> Result<PollResult, Error> {
        self.call(Connect)?;
        let mut plan = Plan::new(cursor, options);
        loop {
            let reply = match plan.ask() {
                Ask::Counters => self.call(ReadCounters).map(Reply::Counters),
                Ask::Prepare => self
                    .call(PrepareBuffer(DataSet::ATTENDANCE))
                    .map(Reply::Prepared),
                Ask::Slice(slice) => {
                    let (offset, len) = (slice.offset, slice.len);
                    self.call(ReadSlice { offset, len }).map(Reply::Data)
                }
                Ask::AtOnce(slice) => self.call(slice).map(Reply::Data),
                Ask::Free => self.call(FreeBuffer).map(|()| Reply::Freed),
                Ask::Direct => self.call(ReadAttendanceBytes).map(Reply::Data),
                _ => return plan.finish(),
            };
            plan.answer(reply.unwrap_or_else(Reply::Failed));
        }
    }

    fn call<R: Request>(&mut self, request: R) -> Result<R::Reply, Error> {
        let ticket = self.session.submit(request, self.now);
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.deliver(&bytes),
                Output::Event(Event::Answer { ticket: id, result }) => {
                    return ticket.open(id, result);
                }
                Output::Event(_) => {}
                Output::Wait(until) => {
                    self.now = until.unwrap();
                    self.session.handle_timeout(self.now);
                }
            }
        }
    }

    fn deliver(&mut self, mut bytes: &[u8]) {
        let packet = self.framer.next(&mut bytes).unwrap().unwrap();
        let reaction = self
            .terminal
            .handle(&mut self.client, packet, NaiveDateTime::default());
        if self.session.transport() == Transport::Udp {
            for datagram in reaction.frames {
                let left = self.left.get_or_insert(usize::MAX);
                if let Some(rest) = left.checked_sub(datagram.len()) {
                    *left = rest;
                    self.session.handle_input(&datagram, self.now);
                }
            }
            return;
        }
        let all = reaction.frames.concat();
        let part = &all[..self.left.unwrap_or(all.len()).min(all.len())];
        self.session.handle_input(part, self.now);
        if let Some(left) = &mut self.left {
            *left -= part.len();
        }
        if part.len() < all.len() {
            self.session.handle_closed();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_history_loses_or_invents_a_record(
        transport in prop::sample::select(&[Transport::Tcp, Transport::Udp][..]),
        layout in prop::sample::select(&Layout::ALL[..6]),
        capacity in prop_oneof![Just(1_000_000_u32), 20..120_u32],
        inline in prop_oneof![Just(0_usize), Just(1024)],
        max_packet in prop_oneof![Just(1008_usize), Just(90), Just(1 << 16)],
        happenings in prop::collection::vec(happening(), 1..25),
    ) {
        let mut story = Story::new(transport, layout, capacity, inline, max_packet);
        for happening in happenings {
            story.tell(happening);
        }
        story.ends_well();
    }
}
