//! What must hold for any bytes whatsoever. The fuzz targets search for a counter-example, and the replay
//! in `zk-proto/tests/it/regressions.rs` applies the same laws to the committed seeds and finds.
//!
//! Each law takes the bytes as the fuzzer made them, panics if it is broken and says why.

use std::{collections::HashMap, fmt::Debug, time::Instant};

use bytes::{Buf, Bytes, BytesMut};
use zk_proto::{
    Code, DecodeError, Error, Protocol,
    poll::{Ask, Mode, Plan, PollCursor, PollOptions, PollResult, Reply},
    record::{
        self, AttendanceLog, AttendanceRef, Combination, Counters, EventCode, Face, Group, Layout,
        LogHint, Message, Operation, Template, TimeZone, User, UserLayout, UserList,
    },
    recording::{Connection, Recording, Side},
    request::{
        Announcement, Answer, Auth, BulkUpload, CaptureFinger, ClearData, Clearable, Confirmed,
        Connect, DataSet, DeleteMessage, DeleteTemplate, DeleteTemplateOf, DeleteUser,
        DeviceOption, DisableDevice, Finger, PlayVoice, PrepareBuffer, PrepareUpload, Prepared,
        ReadAttendance, ReadBuffer, ReadClock, ReadCombination, ReadCounters, ReadDoor, ReadFaces,
        ReadGroup, ReadMessage, ReadOperations, ReadOption, ReadPinWidth, ReadSlice, ReadTemplate,
        ReadTemplates, ReadTimeZone, ReadUploadHash, ReadUserGroup, ReadUserRecords, ReadUserZones,
        ReadUsers, ReadVerifyRule, ReadVersion, Request, SetClock, StartEnroll, StartVerify,
        StoreTemplate, Subscribe, Unlock, WriteLcd, WriteMifare, WriteTemplate, WriteUser,
        WriteUserGroup, WriteUserZones, WriteVerifyRule,
    },
    session::{Event, Options, Output, Session, TicketId},
    wire::{Encoding, Framer, PackedTime, Packet, Transport, decode_any, encode_packet},
};

/// A law and the name of its target and of its folder of seeds.
pub type Law = (&'static str, fn(&[u8]));

/// Every law.
pub const LAWS: &[Law] = &[
    ("attendance", attendance),
    ("decode", decode),
    ("framer", framer),
    ("packet", packet),
    ("poll", poll),
    ("recordings", recordings),
    ("records", records),
    ("requests", requests),
    ("session", session),
    ("users", users),
];

/// A recording is written as it was read, and masking it keeps every length. What is no text of one is a
/// conversation, packet by packet.
pub fn recordings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let recording = match text.parse::<Recording>() {
        Ok(recording) => {
            assert!(2 * lengths(&recording).iter().sum::<usize>() <= text.len());
            recording
        }
        Err(bad) => {
            assert!((1..=text.lines().count().max(1)).contains(&bad.line));
            conversation(data)
        }
    };
    written_again(&recording);
    let masked = recording.masked_with(7);
    assert!(masked.masked);
    assert_eq!(lengths(&masked), lengths(&recording));
    assert_eq!(masked, recording.masked_with(7));
    written_again(&masked);
}

fn written_again(recording: &Recording) {
    // A text has the connection of its header at least.
    if !recording.connections.is_empty() {
        assert_eq!(recording.to_string().parse().as_ref(), Ok(recording));
    }
}

fn lengths(recording: &Recording) -> Vec<usize> {
    let messages = recording.connections.iter().flat_map(|one| &one.messages);
    messages.map(|message| message.bytes.len()).collect()
}

/// The first byte says over what; then each packet has side, number of the request, code, session field and
/// length before its payload.
fn conversation(mut data: &[u8]) -> Recording {
    let transport = match data.try_get_u8() {
        Ok(over) if over % 2 == 1 => Transport::Udp,
        _ => Transport::Tcp,
    };
    let mut pieces = Vec::new();
    while data.len() >= 8 {
        let side = if data.get_u8().is_multiple_of(2) {
            Side::Client
        } else {
            Side::Terminal
        };
        let (number, code, session) = (
            data.get_u8().into(),
            Code(data.get_u16_le()),
            data.get_u16_le(),
        );
        let length = usize::from(data.get_u16_le()).min(data.len());
        let mut bytes = BytesMut::new();
        encode_packet(
            transport,
            code,
            session,
            number,
            &data[..length],
            &mut bytes,
        );
        data.advance(length);
        pieces.push((side, bytes));
    }
    let pieces = pieces.iter().map(|(side, bytes)| (*side, 0, &bytes[..]));
    let mut recording = Recording::new();
    recording
        .connections
        .push(Connection::from_pieces(transport, 0, pieces));
    recording
}

/// A packet that parses is written again byte for byte, if its checksum is right.
pub fn packet(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    assert_eq!(packet.as_bytes(), data);
    if !packet.checksum_valid() {
        return;
    }
    let mut out = BytesMut::new();
    let header = packet.header;
    encode_packet(
        Transport::Udp,
        header.code,
        header.session,
        header.reply_id,
        packet.payload,
        &mut out,
    );
    let again = Packet::parse(&out).expect("what we write parses");
    assert!(again.checksum_valid());
    // 0000 and ffff are the same sum in ones' complement, so this field alone may differ.
    assert_eq!(again.header.checksum % 0xffff, header.checksum % 0xffff);
    assert_eq!(again.payload, packet.payload);
}

/// Any split of a stream gives the same packets. The first two bytes say where the stream is cut.
pub fn framer(data: &[u8]) {
    let Some((cut, stream)) = data.split_first_chunk() else {
        return;
    };
    let whole = packets([stream]);
    let cut = usize::from(u16::from_le_bytes(*cut)).min(stream.len());
    let (head, tail) = stream.split_at(cut);
    assert_eq!(packets([head, tail]), whole, "cut at {cut}");
    assert_eq!(packets(stream.chunks(1)), whole, "cut at every byte");
}

/// The packets up to the first error, and whether there was one.
fn packets<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::new(Transport::Tcp);
    let mut found = Vec::new();
    for mut input in inputs {
        loop {
            match framer.next(&mut input) {
                Ok(Some(packet)) => found.push(packet.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

/// Whatever the bytes are, they can be put into words, and that comes to an end.
pub fn decode(data: &[u8]) {
    for transport in [Transport::Tcp, Transport::Udp] {
        for found in decode_any(data, transport).take(data.len() + 1).enumerate() {
            assert!(found.0 < data.len(), "more packets than bytes");
            let _ = format!("{found:?}");
        }
    }
}

/// A log that parses is written again without loss, and one that does not can be salvaged. The first byte
/// is the number of records that the counters tell, 0 for a terminal that does not tell.
pub fn attendance(data: &[u8]) {
    let Some((count, set)) = data.split_first() else {
        return;
    };
    let hint = LogHint {
        count: (*count > 0).then_some(u32::from(*count)),
        layout: None,
    };
    let set = Bytes::copy_from_slice(set);
    let Ok(log) = AttendanceLog::parse(set.clone(), hint) else {
        if let Some(log) = AttendanceLog::salvage(&set, hint) {
            log.iter().for_each(|record| visit(&record));
        }
        return;
    };
    assert_eq!(log.iter().count(), log.len());
    log.iter().for_each(|record| visit(&record));
    let records: Vec<_> = log.iter().map(|record| record.to_record()).collect();
    let mut written = BytesMut::new();
    AttendanceLog::encode(&records, log.layout(), &mut written);
    let hint = LogHint {
        layout: Some(log.layout()),
        ..hint
    };
    let again = AttendanceLog::parse(written.freeze(), hint).expect("what we write parses");
    assert!(again.iter().map(|record| record.to_record()).eq(records));
}

fn visit(record: &AttendanceRef<'_>) {
    let time = record.time();
    // 2000-01-01 00:00:00 is a date, but only terminals without a clock tell it.
    assert_eq!(
        time.is_valid(),
        time.to_civil().is_ok() && time != PackedTime::NONE
    );
    read_text(record.user_id_bytes());
    // Some layouts have a number instead, or none at all.
    if !record.user_id_bytes().is_empty() {
        assert_eq!(record.user_id().as_bytes(), record.user_id_bytes());
    }
    let _ = format!("{record:?}");
}

/// A list of users that parses is written again without loss, and one that does not can be salvaged. The
/// first byte is the number of users that the counters tell, 0 for a terminal that does not tell.
pub fn users(data: &[u8]) {
    let Some((count, set)) = data.split_first() else {
        return;
    };
    let count = (*count > 0).then_some(u32::from(*count));
    let set = Bytes::copy_from_slice(set);
    let users = match UserList::parse(&set, count) {
        Ok(users) => users,
        Err(_) => UserList::salvage(&set, count).unwrap_or_default(),
    };
    for user in users {
        read_text(user.name.as_bytes());
        read_text(user.user_id.as_bytes());
        // First and last name together may be longer than the field of 72-byte records.
        if user.name.as_bytes().len() > 24 {
            continue;
        }
        let mut record = BytesMut::new();
        user.encode(UserLayout::Bytes72, &mut record);
        assert_eq!(
            User::parse(&record, UserLayout::Bytes72).as_ref(),
            Ok(&user)
        );
    }
}

/// What parses is written again and parses to the same: every structure but users and punches. The first two
/// bytes are the code of an event, the rest is read as each structure in turn.
pub fn records(data: &[u8]) {
    let Some((code, data)) = data.split_first_chunk() else {
        return;
    };
    let payload = Bytes::copy_from_slice(data);
    let event = record::Event {
        code: EventCode(u16::from_le_bytes(*code)),
        payload: payload.clone(),
    };
    let _ = format!("{:?}", event.decode());
    let _ = Face::parse_all(&payload);
    again(data, Operation::parse, Operation::encode);
    // 11 bytes before a text that has at most 321; a longer one is cut when it is written.
    again(
        &data[..data.len().min(332)],
        Message::parse,
        |message, out| {
            message.encode(true, out);
        },
    );
    again(data, TimeZone::parse, TimeZone::encode);
    again(data, Group::parse, Group::encode);
    again(data, Combination::parse, Combination::encode);
    if let Ok(log) = Operation::parse_log(&payload) {
        let mut out = BytesMut::new();
        Operation::encode_log(&log, &mut out);
        assert_eq!(Operation::parse_log(&out.freeze()), Ok(log));
    }
    if let Ok(templates) = Template::parse_all(&payload) {
        let mut out = BytesMut::new();
        Template::encode_all(&templates, &mut out);
        assert_eq!(Template::parse_all(&out.freeze()), Ok(templates));
    }
}

fn again<T: PartialEq + Debug>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T, &mut BytesMut),
) {
    if let Ok(value) = parse(data) {
        let mut out = BytesMut::new();
        encode(&value, &mut out);
        assert_eq!(parse(&out), Ok(value));
    }
}

/// Whatever the bytes are, they read as some text in every encoding.
fn read_text(bytes: &[u8]) {
    for encoding in [
        Encoding::Auto,
        Encoding::Utf8,
        Encoding::Gbk,
        Encoding::ShiftJis,
        Encoding::Windows1256,
    ] {
        let _ = encoding.decode(bytes);
    }
}

/// Whatever a terminal says, every call ends, once, and what a broken read brings is not more than was
/// announced.
///
/// The first byte chooses the transport, the request and how to read the rest: as the bytes that arrive, or
/// as packets ([`Script`]) that get the right reply id and checksum, so that they are listened to.
pub fn session(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let transport = if choice & 1 == 0 {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    let mut talk = Talk {
        session: Session::new(transport, Options::default()),
        now: Instant::now(),
        reply_id: 0,
        open: HashMap::new(),
    };
    talk.submit(Connect);
    let mut asked = false;
    let raw = choice & 2 != 0;
    let mut script = Script(data);
    loop {
        talk.drain();
        if talk.session.is_connected() && !asked {
            asked = true;
            talk.ask(choice >> 2);
        } else if raw {
            talk.session.handle_input(data, talk.now);
            break;
        } else {
            let Some(packet) = script.next(transport, talk.reply_id) else {
                break;
            };
            talk.session.handle_input(&packet, talk.now);
        }
    }
    talk.wait_for_the_end();
}

/// Packets as the fuzzer writes them: `u16` code, `u16` session, `u16` length and so many bytes of payload.
/// The highest bit of the length makes it an answer to something else.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self, transport: Transport, reply_id: u16) -> Option<BytesMut> {
        if self.0.len() < 6 {
            return None;
        }
        let (code, session, length) = (
            self.0.get_u16_le(),
            self.0.get_u16_le(),
            self.0.get_u16_le(),
        );
        let reply_id = reply_id ^ (length >> 15);
        let payload = self
            .0
            .split_at(usize::from(length & 0x7fff).min(self.0.len()));
        self.0 = payload.1;
        let mut packet = BytesMut::new();
        encode_packet(
            transport,
            Code(code),
            session,
            reply_id,
            payload.0,
            &mut packet,
        );
        Some(packet)
    }
}

type Open = Box<dyn FnOnce(TicketId, Result<Answer, Error>) -> Result<(), Error>>;

/// A session and the calls that have not ended.
struct Talk {
    session: Session,
    now: Instant,
    /// Of the last request.
    reply_id: u16,
    open: HashMap<TicketId, Open>,
}

impl Talk {
    fn ask(&mut self, choice: u8) {
        match choice % 8 {
            0 => self.submit(ReadAttendance {
                hint: LogHint::default(),
            }),
            1 => self.submit(ReadUsers { count: None }),
            2 => self.submit(ReadCounters),
            3 => self.submit(ReadOption {
                key: "~SerialNumber",
            }),
            4 => self.submit(ReadClock),
            5 => self.submit(PrepareBuffer(DataSet::ATTENDANCE)),
            6 => self.submit(ReadSlice {
                offset: 40,
                len: 100_000,
            }),
            _ => self.submit(ReadVersion),
        }
    }

    fn submit<R: Request + 'static>(&mut self, request: R) {
        let ticket = self.session.submit(request, self.now);
        let id = ticket.id();
        let open: Open = Box::new(|id, result| ticket.open(id, result).map(drop));
        self.open.insert(id, open);
    }

    /// Does what the session wants, until it waits; gives the instant it waits for.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    let bytes = match self.session.transport() {
                        Transport::Tcp => &bytes[8..],
                        Transport::Udp => &bytes[..],
                    };
                    let sent = Packet::parse(bytes).expect("what we send parses");
                    assert!(sent.checksum_valid());
                    // Events are acknowledged under number 0, which says nothing about the request.
                    if sent.header.code != Code::ACK_OK {
                        self.reply_id = sent.header.reply_id;
                    }
                }
                Output::Event(Event::Answer { ticket, result }) => self.take(ticket, result),
                Output::Event(_) => {}
                Output::Wait(until) => return until,
            }
        }
    }

    fn take(&mut self, ticket: TicketId, result: Result<Answer, Error>) {
        let open = self.open.remove(&ticket).expect("one answer for each call");
        if let Err(error) = open(ticket, result) {
            let _ = (
                error.to_string(),
                error.kind(),
                error.remedy(),
                error.is_retryable(),
            );
            if let Error::Incomplete {
                data,
                total: Some(total),
                ..
            } = error
            {
                assert!(
                    data.len() as u64 <= u64::from(total),
                    "{} of {total} bytes",
                    data.len()
                );
            }
        }
    }

    fn wait_for_the_end(mut self) {
        // Over UDP each packet of a call may be sent three times.
        for _ in 0..100 {
            match self.drain() {
                Some(until) => {
                    assert!(until >= self.now, "an instant that has passed");
                    self.now = until;
                    self.session.handle_timeout(until);
                }
                None => break,
            }
        }
        assert!(
            self.open.is_empty(),
            "a call without an end: {:?}",
            self.session
        );
    }
}

/// Most requests of one poll: counters, prepare, tail, whole, at once, free, direct, free and counters again.
const MOST_ASKED: usize = 10;

/// Whatever a terminal answers, a poll ends after a few requests, and its cursor never goes beyond the
/// records that came. Two polls follow each other, the second on the cursor of the first.
///
/// The first bytes are a [`Plot`]: what the terminal holds and what the cursor remembers. The rest says, byte
/// by byte, which answers are wrong and how.
pub fn poll(data: &[u8]) {
    let Some(mut plot) = Plot::new(data) else {
        return;
    };
    let mut cursor = plot.cursor();
    for _ in 0..2 {
        let mut plan = Plan::new(&cursor, plot.options());
        let mut brought = Vec::new();
        let mut asked = 0;
        loop {
            let ask = plan.ask();
            if ask == Ask::Nothing {
                break;
            }
            asked += 1;
            assert!(asked <= MOST_ASKED, "a poll without end: {plan:?}");
            let reply = plot.answer(ask);
            brought.extend(held(&reply));
            plan.answer(reply);
        }
        match plan.finish() {
            Ok(result) => {
                is_true_to(&result, &cursor, &brought);
                cursor = result.cursor;
            }
            Err(error) => drop(error.to_string()),
        }
    }
}

/// What a reply brought of the log.
fn held(reply: &Reply) -> Option<Bytes> {
    match reply {
        Reply::Data(data) => Some(data.clone()),
        Reply::Prepared(prepared) => prepared.inline.clone(),
        Reply::Failed(error) => error.partial().cloned(),
        _ => None,
    }
}

/// Whether a result claims nothing that did not come.
fn is_true_to(result: &PollResult, before: &PollCursor, brought: &[Bytes]) {
    let (log, after) = (&result.log, &result.cursor);
    let records = log.as_bytes();
    let came = |part: &[u8]| {
        let within = |data: &Bytes| data.windows(part.len()).any(|window| window == part);
        part.is_empty() || brought.iter().any(within)
    };
    assert!(came(records), "records that nobody sent: {result:?}");
    assert!(result.known <= log.len(), "{result:?}");
    assert_eq!(result.new_records().len(), log.len() - result.known);
    let read = u32::try_from(log.len()).expect("fuzzers write little");
    let end = result.first_index.saturating_add(read);
    if after.generation == before.generation {
        let stays = after.records == before.records;
        assert!(
            stays || after.records == end,
            "a cursor beyond what came: {result:?} {before:?}"
        );
    } else {
        assert_eq!((after.records, result.first_index), (read, 0), "{result:?}");
    }
    // The tail is what came, or what was there before with what came behind it.
    let tail = &after.tail[..];
    let behind = [&before.tail[..], &records[..]].concat();
    assert!(
        behind.ends_with(tail) || came(tail) || after.tail == before.tail,
        "{result:?}"
    );
    assert!(
        result.mode != Mode::Unchanged || log.is_empty(),
        "{result:?}"
    );
}

/// What a terminal holds, what is known of it, and how it lies.
struct Plot<'a> {
    shape: [u8; 8],
    data_set: Bytes,
    lies: &'a [u8],
}

impl<'a> Plot<'a> {
    /// Eight bytes: layout, records in the log, records known, generation, flags, remembered records, records
    /// the counters tell, capacity. So many records follow as raw bytes, then the lies.
    fn new(data: &'a [u8]) -> Option<Self> {
        let (shape, rest) = data.split_first_chunk::<8>()?;
        let width = Self::layout_of(shape[0]).width();
        let (records, lies) = rest.split_at((usize::from(shape[1]) * width).min(rest.len()));
        let total = u32::try_from(records.len()).expect("fuzzers write little");
        let header: &[u8] = if shape[4] & 8 == 0 { &[] } else { &[0; 8] };
        let data_set = [&total.to_le_bytes()[..], header, records].concat().into();
        Some(Self {
            shape: *shape,
            data_set,
            lies,
        })
    }

    fn layout_of(choice: u8) -> Layout {
        Layout::ALL[usize::from(choice) % Layout::ALL.len()]
    }

    /// What was read before, perhaps of this very log.
    fn cursor(&self) -> PollCursor {
        let [layout, _, known, generation, flags, remembered, ..] = self.shape;
        let layout = Self::layout_of(layout);
        let header = if flags & 8 == 0 { 4 } else { 12 };
        let end = (header + usize::from(known) * layout.width()).min(self.data_set.len());
        let start = end.saturating_sub(usize::from(remembered) * layout.width());
        PollCursor {
            generation: generation.into(),
            records: known.into(),
            layout,
            header: u32::try_from(header).expect("it is 4 or 12"),
            tail: self.data_set.slice(start.max(header.min(end))..end),
            slices: flags & 1 == 0,
            counters_trusted: flags & 2 == 0,
        }
    }

    fn options(&self) -> PollOptions {
        let flags = self.shape[4];
        PollOptions::new()
            .compare(flags & 4 != 0)
            .full(flags & 16 != 0)
            .tail(usize::from(flags >> 5) * 5)
    }

    /// The next byte of the lies; zeros behind them, so that every plot comes to an honest end.
    fn byte(&mut self) -> u8 {
        if self.lies.is_empty() {
            0
        } else {
            self.lies.get_u8()
        }
    }

    fn answer(&mut self, ask: Ask) -> Reply {
        let (lie, how) = (self.byte(), self.byte());
        match lie % 16 {
            1 => Reply::Failed(Self::error(how)),
            2 => Reply::Data(self.some(how)),
            3 => Reply::Freed,
            4 => Reply::Prepared(Prepared {
                size: u32::from(how) << (lie >> 4),
                inline: None,
            }),
            5 => Reply::Prepared(Prepared {
                size: how.into(),
                inline: Some(self.some(how)),
            }),
            6 => Reply::Counters(self.counters(how)),
            7 => Reply::Failed(Error::Incomplete {
                total: (lie & 16 != 0).then_some(how.into()),
                data: self.some(how),
                source: Box::new(Self::error(lie >> 4)),
            }),
            8 => self.cut(ask, how),
            _ => self.truth(ask),
        }
    }

    fn truth(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Counters => Reply::Counters(self.counters(self.shape[6])),
            Ask::Prepare => Reply::Prepared(Prepared {
                size: u32::try_from(self.data_set.len()).expect("fuzzers write little"),
                inline: (self.shape[7] & 1 != 0).then(|| self.data_set.clone()),
            }),
            Ask::Slice(slice) | Ask::AtOnce(slice) => Reply::Data(self.part(slice)),
            Ask::Direct => Reply::Data(self.data_set.clone()),
            _ => Reply::Freed,
        }
    }

    /// The right answer, broken off.
    fn cut(&self, ask: Ask, how: u8) -> Reply {
        match self.truth(ask) {
            Reply::Data(data) => Reply::Failed(Error::Incomplete {
                data: data.slice(..data.len() * usize::from(how) / 256),
                total: u32::try_from(data.len()).ok(),
                source: Box::new(Protocol::Closed.into()),
            }),
            other => other,
        }
    }

    fn part(&self, slice: ReadBuffer) -> Bytes {
        let all = self.data_set.len();
        let start = (slice.offset as usize).min(all);
        self.data_set
            .slice(start..start.saturating_add(slice.len as usize).min(all))
    }

    /// Some part of the log, or some of the lies.
    fn some(&mut self, how: u8) -> Bytes {
        let from = if how & 1 == 0 {
            self.data_set.clone()
        } else {
            Bytes::copy_from_slice(self.lies)
        };
        from.slice(usize::from(how & 0x7e).min(from.len())..)
    }

    fn counters(&self, records: u8) -> Counters {
        let told = |number: u8| (number != 255).then_some(u32::from(number));
        Counters {
            records: told(records),
            records_max: told(self.shape[7]),
            ..Counters::default()
        }
    }

    fn error(how: u8) -> Error {
        let request = [
            Code::GET_FREE_SIZES,
            Code::PREPARE_BUFFER,
            Code::READ_BUFFER,
            Code::ATTLOG_RRQ,
        ];
        let answer = [
            Code::ACK_ERROR,
            Code::ERR_NO_DATA,
            Code::ACK_UNKNOWN,
            Code::ERR_4991,
        ];
        match how >> 5 {
            0 => Protocol::Closed.into(),
            1 => Protocol::OffsetsIgnored.into(),
            2 => Protocol::ShortTransfer {
                announced: how.into(),
                received: 0,
            }
            .into(),
            3 => DecodeError::IncompleteFrame { found: how.into() }.into(),
            _ => Error::Rejected {
                request: request[usize::from(how) % 4],
                answer: answer[usize::from(how >> 2) % 4],
            },
        }
    }
}

/// What a terminal takes as a request is what the client would have sent, and no answer whatsoever breaks
/// the reading of a reply.
pub fn requests(data: &[u8]) {
    asked(data, Auth::parse);
    asked(data, |data| DataSet::parse(data).map(PrepareBuffer));
    asked(data, ReadBuffer::parse);
    asked(data, SetClock::parse);
    asked(data, DeleteUser::parse);
    asked(data, WriteUser::parse);
    asked(data, |data| Finger::parse(data).map(DeleteTemplate));
    asked(data, DeleteTemplateOf::parse);
    asked(data, PrepareUpload::parse);
    asked(data, StoreTemplate::parse);
    asked(data, ReadFaces::parse);
    asked(data, DeleteMessage::parse);
    asked(data, WriteUserGroup::parse);
    asked(data, WriteUserZones::parse);
    asked(data, WriteVerifyRule::parse);
    asked(data, StartEnroll::parse);
    asked(data, |data| Ok(StartVerify::parse(data)));
    asked(data, |data| Ok(Subscribe::parse(data)));
    asked(data, |data| Ok(Unlock::parse(data)));
    asked(data, |data| Ok(PlayVoice::parse(data)));
    asked(data, |data| Ok(DisableDevice::parse(data)));
    asked(data, |data| {
        let confirmed = Confirmed::the_data_is_lost_for_good();
        Clearable::parse(data).map(|what| ClearData { what, confirmed })
    });
    if let Ok(lcd) = WriteLcd::parse(data) {
        let mut out = BytesMut::new();
        lcd.encode(&mut out);
        assert_eq!(WriteLcd::parse(&out), Ok(lcd));
    }
    again(data, Announcement::parse, |announced, out| {
        announced.encode(out);
    });
    again(
        data,
        |data| Ok(DeviceOption::parse(data)),
        DeviceOption::encode_reply,
    );
    let payload = Bytes::copy_from_slice(data);
    asked(data, CaptureFinger::parse);
    asked(data, |data| {
        WriteTemplate::parse(&Bytes::copy_from_slice(data))
    });
    asked(data, |data| {
        WriteMifare::parse(&Bytes::copy_from_slice(data))
    });
    if let Ok(upload) = BulkUpload::parse(&payload) {
        assert_eq!(BulkUpload::parse(&upload.encode()), Ok(upload));
    }
    replies(&payload);
}

/// A request that a terminal takes is written and taken again without loss.
fn asked<R: Request + PartialEq + Debug>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Result<R, DecodeError>,
) {
    again(data, parse, R::encode);
}

fn replies(payload: &Bytes) {
    let (number, uid, index) = (1, 1, 1);
    let slot = Finger { uid, finger: 1 };
    for code in [Code::ACK_OK, Code::DATA] {
        let answer = || Answer {
            code,
            session: 7,
            payload: payload.clone(),
        };
        let read = (
            (
                ReadCounters.decode(answer()),
                ReadVersion.decode(answer()),
                ReadClock.decode(answer()),
            ),
            (
                ReadOption { key: "MAC" }.decode(answer()),
                ReadPinWidth.decode(answer()),
                ReadDoor.decode(answer()),
            ),
            (
                ReadTimeZone { index }.decode(answer()),
                ReadGroup { number }.decode(answer()),
            ),
            (
                ReadUserGroup { uid }.decode(answer()),
                ReadUserZones { uid }.decode(answer()),
            ),
            (
                ReadCombination { number }.decode(answer()),
                ReadVerifyRule { uid }.decode(answer()),
            ),
            (
                ReadMessage { id: uid }.decode(answer()),
                ReadUploadHash.decode(answer()),
            ),
            (
                ReadTemplate(slot).decode(answer()),
                ReadTemplates.decode(answer()),
            ),
            (
                ReadOperations.decode(answer()),
                ReadUserRecords { count: None }.decode(answer()),
            ),
            (
                ReadFaces {
                    uid,
                    selector: ReadFaces::ALL,
                }
                .decode(answer()),
                Prepared::parse(&answer()),
            ),
        );
        let _ = format!("{read:?}");
    }
}
