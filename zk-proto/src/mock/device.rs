//! The terminal itself: packet in, packets out. No sockets, and no clock of its own.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{NaiveDateTime, TimeDelta};

use super::{
    builder::{ChecksumPolicy, Clock},
    extras,
    fault::{Fault, Faults, Kind},
    replay::{Followed, Replay},
    world::{MockStats, Received, Snapshot, World},
};
use crate::{
    Code,
    record::{Attendance, Event, EventCode, EventMask, LivePunch, Puncher},
    request::{
        Announcement, Auth, Clearable, DataSet, DeleteUser, DeviceOption, Prepared, ReadBuffer,
        ReadClock, ReadFaces, ReadVersion, SetClock, Subscribe, WriteUser,
    },
    wire::{MAX_REPLY_ID, PackedTime, Packet, Transport, encode_packet},
};

/// A terminal in memory.
#[derive(Debug)]
pub struct Terminal {
    pub(super) world: World,
    /// How far the clock was set away from the time it is given.
    clock_offset: TimeDelta,
    /// When the first packet came, for clocks that drift.
    since: Option<NaiveDateTime>,
    next_session: u16,
    /// What answers in its place.
    pub(super) replay: Option<Replay>,
}

/// What a terminal knows about one client.
#[derive(Debug)]
pub struct Conversation {
    transport: Transport,
    peer: Option<SocketAddr>,
    session: u16,
    connected: bool,
    prepared: Option<Bytes>,
    /// An upload under way: bytes announced, and those that came.
    pub(super) upload: Option<(u32, BytesMut)>,
    /// The events the client wants.
    events: EventMask,
    /// The connection has been told when to end.
    ends: bool,
    /// How far a recording was followed.
    followed: Option<Followed>,
}

/// What a terminal does about a packet.
#[derive(Debug, Default)]
pub struct Reaction {
    /// Frames (or datagrams) to send, in order.
    pub frames: Vec<Bytes>,
    /// How long to wait before.
    pub delay: Duration,
    /// Whether to close the connection afterwards.
    pub close: bool,
    /// Whether to reset it instead.
    pub reset: bool,
    /// After how many more bytes to close it, this answer's included.
    pub drop_after: Option<u64>,
    /// How to cut the frames into writes.
    pub cut: Cut,
}

/// How a terminal cuts its frames into writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// As it is set up.
    #[default]
    Usual,
    /// A byte at a time.
    EveryByte,
    /// All at once.
    Together,
    /// As they are: each frame is a write of its own.
    Pieces,
}

/// One packet to send.
struct Reply {
    code: Code,
    session: u16,
    payload: Bytes,
}

impl Terminal {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            clock_offset: TimeDelta::zero(),
            since: None,
            next_session: 0x1a2b,
            replay: None,
        }
    }

    /// A client that has not connected yet.
    pub fn conversation(&self, transport: Transport) -> Conversation {
        Conversation {
            transport,
            peer: None,
            session: 0,
            connected: false,
            prepared: None,
            upload: None,
            events: EventMask::NONE,
            ends: false,
            followed: None,
        }
    }

    pub(super) fn conversation_with(&self, transport: Transport, peer: SocketAddr) -> Conversation {
        Conversation {
            peer: Some(peer),
            ..self.conversation(transport)
        }
    }

    /// Takes a packet (without TCP prefix) at a time, and answers.
    pub fn handle(
        &mut self,
        client: &mut Conversation,
        packet: &[u8],
        now: NaiveDateTime,
    ) -> Reaction {
        let Ok(packet) = Packet::parse(packet) else {
            return Reaction::default();
        };
        self.since.get_or_insert(now);
        let (code, checksum_valid) = (packet.header.code, packet.checksum_valid());
        let received = Received {
            code,
            reply_id: packet.header.reply_id,
            session_id: packet.header.session,
            checksum_valid,
            peer: client.peer,
            payload: Bytes::copy_from_slice(packet.payload),
        };
        self.world.note(received.clone());
        if let Some(replay) = &mut self.replay {
            return replay.answer(&mut client.followed, client.transport, &received);
        }
        if !checksum_valid && self.world.config.checksum == ChecksumPolicy::Strict {
            return Reaction::default();
        }
        self.grow(code);
        let replies = self.answer(client, &packet, now);
        self.spoil(client, code, packet.header.reply_id, replies)
    }

    /// The event a punch makes, for clients that want it, as a frame.
    pub fn attendance_event(&self, client: &Conversation, record: &Attendance) -> Option<Bytes> {
        self.event(client, &self.punched(record))
    }

    /// An event for a client that wants its kind, as a frame.
    pub fn event(&self, client: &Conversation, event: &Event) -> Option<Bytes> {
        let wanted = client.connected && client.events.contains(event.code);
        let (code, kind) = (Code::REG_EVENT, event.code.0);
        wanted.then(|| frame(client.transport, code, kind, 0, &event.payload))
    }

    /// The event a punch makes.
    pub(super) fn punched(&self, record: &Attendance) -> Event {
        let width = self.world.config.event_width;
        let who = match width {
            10 | 14 => Puncher::Uid(record.uid),
            _ => Puncher::UserId(record.user_id),
        };
        let mut payload = BytesMut::new();
        LivePunch {
            who,
            verify_mode: record.verify_mode,
            punch_state: record.punch_state,
            time: record.time,
            extra: Bytes::new(),
        }
        .encode(width, &mut payload);
        Event {
            code: EventCode::ATTENDANCE,
            payload: payload.freeze(),
        }
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.world.config.clock = clock;
        self.clock_offset = TimeDelta::zero();
        self.since = None;
    }

    /// Adds a record to the log.
    pub fn punch(&mut self, record: Attendance) {
        self.world.add_record(record);
    }

    /// Empties the log.
    pub fn clear_log(&mut self) {
        self.world.set_records(Vec::new());
    }

    /// Adds a fault.
    pub fn fault(&mut self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&mut self) {
        self.world.faults.clear();
    }

    /// What the terminal holds.
    pub fn snapshot(&self) -> Snapshot {
        self.world.snapshot()
    }

    /// What was asked of it.
    pub fn requests(&self) -> Vec<Received> {
        self.world.received.clone()
    }

    /// What was served.
    pub fn stats(&self) -> MockStats {
        self.world.stats.clone()
    }

    /// Somebody punches while a client asks.
    fn grow(&mut self, code: Code) {
        let grown = self.world.faults.take(code, |kind| match kind {
            Kind::Grow(records) => Some(Ok(records.clone())),
            Kind::GrowBy(punches) => Some(Err(*punches)),
            _ => None,
        });
        match grown {
            Some(Ok(records)) => records
                .into_iter()
                .for_each(|record| self.world.add_record(record)),
            Some(Err(punches)) => (0..punches).for_each(|_| self.world.punch_again()),
            None => {}
        }
    }

    fn answer(
        &mut self,
        client: &mut Conversation,
        packet: &Packet<'_>,
        now: NaiveDateTime,
    ) -> Vec<Reply> {
        let code = packet.header.code;
        if let Some(answer) = self.refusal(code) {
            return one(answer, client.session);
        }
        match code {
            Code::CONNECT => return self.connect(client),
            Code::AUTH => return self.auth(client, packet.payload),
            // Acknowledged events.
            Code::ACK_OK => return Vec::new(),
            _ if !client.connected => return one(Code::ACK_UNAUTH, client.session),
            _ => {}
        }
        match code {
            Code::PREPARE_BUFFER => self.prepare(client, packet.payload),
            Code::READ_BUFFER => self.read(client, packet.payload),
            Code::ATTLOG_RRQ => {
                let data = self.log();
                self.stream(&data)
            }
            Code::USERTEMP_RRQ if packet.payload == [5] => self.stream(&self.world.user_data()),
            Code::GET_USERTEMP | Code::USERTEMP_RRQ => {
                let with_flag = packet.header.code == Code::GET_USERTEMP;
                match extras::template(&self.world, packet.payload, with_flag) {
                    Some(data) => self.stream(&data),
                    None => one(Code::ERR_4993, client.session),
                }
            }
            Code::DB_RRQ => match self.direct(packet.payload) {
                Some(data) => self.stream(&data),
                None => one(Code::ACK_ERROR, client.session),
            },
            Code::FACE_RRQ => {
                let asked = ReadFaces::parse(packet.payload).ok();
                match asked.and_then(|asked| self.world.extras.faces_of(asked.uid)) {
                    Some(data) => self.stream(&data),
                    None => one(Code::ERR_4993, client.session),
                }
            }
            Code::PHOTO_BY_NAME => match self.world.extras.photo(packet.payload) {
                Some(data) => self.stream(&data),
                None => one(Code::ERR_4985, client.session),
            },
            Code::CAPTUREFINGER | Code::CAPTUREIMAGE => {
                let image = self.world.extras.image.clone();
                self.stream(&image)
            }
            _ => self.simple(client, packet, now),
        }
    }

    /// Commands that are answered with one packet.
    fn simple(
        &mut self,
        client: &mut Conversation,
        packet: &Packet<'_>,
        now: NaiveDateTime,
    ) -> Vec<Reply> {
        let (code, payload) = (packet.header.code, packet.payload);
        let mut out = BytesMut::new();
        let mut answer = Code::ACK_OK;
        if let Some(answered) = extras::answer(&mut self.world, client, code, payload) {
            let (answer, out) = match answered {
                Ok(out) => (Code::ACK_OK, out),
                Err(refusal) => (refusal, BytesMut::new()),
            };
            return vec![Reply {
                code: answer,
                session: client.session,
                payload: out.freeze(),
            }];
        }
        match code {
            Code::EXIT => {
                client.connected = false;
                client.prepared = None;
            }
            Code::FREE_DATA => {
                client.prepared = None;
                client.upload = None;
            }
            Code::DISABLEDEVICE => self.world.disabled = true,
            Code::ENABLEDEVICE => self.world.disabled = false,
            Code::REG_EVENT => client.events = Subscribe::parse(payload).0,
            Code::GET_FREE_SIZES => {
                let lie = self.world.faults.take(code, |kind| match kind {
                    Kind::WrongCounters(count) => Some(*count),
                    _ => None,
                });
                self.world.counters(lie).encode(self.world.config.sizes_width, &mut out);
            }
            Code::GET_VERSION => ReadVersion::encode_reply(&self.world.config.firmware, &mut out),
            Code::GET_TIME => ReadClock::encode_reply(self.time(now), &mut out),
            Code::SET_TIME => match SetClock::parse(payload).map(|set| set.0.to_civil()) {
                Ok(Ok(time)) => self.clock_offset = time - self.base(now),
                _ => answer = Code::ACK_ERROR,
            },
            Code::OPTIONS_RRQ => {
                let key = DeviceOption::parse(payload).key;
                match self.world.options.get(&key) {
                    Some(value) => {
                        DeviceOption { key, value: value.clone() }.encode_reply(&mut out);
                    }
                    None => answer = Code::ACK_ERROR,
                }
            }
            Code::OPTIONS_WRQ => {
                let DeviceOption { key, value } = DeviceOption::parse(payload);
                self.world.options.insert(key, value);
            }
            Code::USER_WRQ => match WriteUser::parse(payload) {
                Ok(WriteUser(record)) => self.world.put_user(record),
                Err(_) => answer = Code::ACK_ERROR,
            },
            Code::DELETE_USER => match DeleteUser::parse(payload) {
                Ok(_) if self.world.faults.hit(code, &Kind::ForgetDeletes) => {}
                Ok(DeleteUser { uid }) if self.world.delete_user(uid) => {}
                _ => answer = Code::ACK_ERROR,
            },
            Code::CLEAR_ATTLOG => self.clear_log(),
            Code::CLEAR_DATA => match Clearable::parse(payload) {
                Ok(what) => self.clear(what),
                Err(_) => answer = Code::ACK_ERROR,
            },
            Code::GET_PINWIDTH => out.extend_from_slice(&[9]),
            Code::STATE_RRQ => return one(Code::ACK_OK, 0),
            Code::REFRESHDATA
            | Code::REFRESHOPTION
            | Code::RESTART
            | Code::POWEROFF
            | Code::ENABLE_CLOCK
            | Code::STARTVERIFY
            | Code::CANCELCAPTURE
            | Code::STARTENROLL
            | Code::SLEEP
            | Code::RESUME
            | Code::CHANGE_SPEED
            // Some clients send this after an option they could not read.
            | Code::ACK_ERROR => {}
            _ => answer = Code::ACK_UNKNOWN,
        }
        vec![Reply {
            code: answer,
            session: client.session,
            payload: out.freeze(),
        }]
    }

    fn clear(&mut self, what: Clearable) {
        match what {
            Clearable::Attendance => self.clear_log(),
            Clearable::Templates => self.world.extras.templates.clear(),
            Clearable::Operations => self.world.extras.operations.clear(),
            Clearable::Users => self.world.clear_users(),
            Clearable::All => {
                self.clear_log();
                self.world.clear_users();
                self.world.extras.operations.clear();
            }
        }
    }

    fn refusal(&mut self, command: Code) -> Option<Code> {
        self.world.faults.take(command, |kind| match kind {
            Kind::Reject(answer) => Some(*answer),
            Kind::Secured => Some(Code::SECURED),
            _ => None,
        })
    }

    fn connect(&mut self, client: &mut Conversation) -> Vec<Reply> {
        if client.session == 0 {
            client.session = self.next_session;
            self.next_session = self.next_session.wrapping_add(1).max(1);
        }
        let config = &self.world.config;
        client.connected = config.comm_key == 0.into() && !config.always_ask;
        let answer = if client.connected {
            Code::ACK_OK
        } else {
            Code::ACK_UNAUTH
        };
        one(answer, client.session)
    }

    fn auth(&self, client: &mut Conversation, payload: &[u8]) -> Vec<Reply> {
        let key = self.world.config.comm_key;
        let proven =
            Auth::parse(payload).is_ok_and(|auth| key.accepts(auth.digest, client.session));
        client.connected |= proven && client.session != 0;
        let answer = if proven {
            Code::ACK_OK
        } else {
            Code::ACK_UNAUTH
        };
        one(answer, client.session)
    }

    fn prepare(&mut self, client: &mut Conversation, payload: &[u8]) -> Vec<Reply> {
        let data = match DataSet::parse(payload) {
            Ok(DataSet::USERS) => self.world.user_data(),
            Ok(DataSet {
                command: Code::ATTLOG_RRQ,
                ..
            }) => self.log(),
            Ok(DataSet::TEMPLATES) => self.world.template_data(),
            Ok(DataSet::OPERATIONS) => self.world.operation_data(),
            Ok(DataSet {
                command: Code::ATTLOG_BY_TIME,
                argument,
                extra,
            }) => self
                .world
                .log_between(PackedTime(argument), PackedTime(extra)),
            // Kinds of data this terminal has none of.
            Ok(DataSet {
                command: Code::DB_RRQ,
                ..
            }) => Bytes::from_static(&[0; 4]),
            Ok(_) | Err(_) => return one(Code::ACK_ERROR, client.session),
        };
        if self
            .world
            .faults
            .hit(Code::PREPARE_BUFFER, &Kind::SendAtOnce)
        {
            return self.stream(&data);
        }
        if data.len() <= self.world.config.inline_limit {
            return vec![Reply {
                code: Code::DATA,
                session: client.session,
                payload: data,
            }];
        }
        let mut out = BytesMut::new();
        Prepared::encode_reply(u32::try_from(data.len()).unwrap_or(u32::MAX), &mut out);
        client.prepared = Some(data);
        vec![Reply {
            code: Code::ACK_OK,
            session: client.session,
            payload: out.freeze(),
        }]
    }

    fn read(&mut self, client: &Conversation, payload: &[u8]) -> Vec<Reply> {
        let (Ok(slice), Some(data)) = (ReadBuffer::parse(payload), &client.prepared) else {
            return one(Code::ACK_ERROR, client.session);
        };
        let mut start = slice.offset as usize;
        if start > 0
            && self
                .world
                .faults
                .hit(Code::READ_BUFFER, &Kind::RefuseSlices)
        {
            return one(Code::ACK_ERROR, client.session);
        }
        if start > 0
            && self
                .world
                .faults
                .hit(Code::READ_BUFFER, &Kind::IgnoreOffsets)
        {
            start = 0;
        }
        let end = start.saturating_add(slice.len as usize).min(data.len());
        if start > end {
            return one(Code::ACK_ERROR, client.session);
        }
        self.stream(&data.slice(start..end))
    }

    /// A data set by its selector.
    fn direct(&mut self, payload: &[u8]) -> Option<Bytes> {
        Some(match payload {
            [1] => self.log(),
            [2] => self.world.template_data(),
            [4] => self.world.operation_data(),
            [5] => self.world.user_data(),
            // Kinds of data this terminal has none of.
            [6..=8] => Bytes::from_static(&[0; 4]),
            _ => return None,
        })
    }

    /// Announcement, data packets and acknowledgement.
    fn stream(&self, data: &Bytes) -> Vec<Reply> {
        let step = self.world.config.max_packet;
        let mut out = BytesMut::new();
        Announcement {
            total: u32::try_from(data.len()).unwrap_or(u32::MAX),
            max_packet: u32::try_from(step).unwrap_or(u32::MAX),
        }
        .encode(&mut out);
        let announcement = Reply {
            code: Code::PREPARE_DATA,
            session: 0,
            payload: out.freeze(),
        };
        let mut replies = vec![announcement];
        let starts = (0..data.len()).step_by(step);
        replies.extend(
            starts
                .zip((0..=u16::MAX).cycle())
                .map(|(start, index)| Reply {
                    code: Code::DATA,
                    session: index,
                    payload: data.slice(start..data.len().min(start + step)),
                }),
        );
        // Real terminals put a count here.
        replies.push(Reply {
            code: Code::ACK_OK,
            session: 1,
            payload: Bytes::new(),
        });
        replies
    }

    /// The attendance data set, as whole as the faults leave it.
    fn log(&mut self) -> Bytes {
        let data = self.world.log_data();
        let missing = self.world.faults.take(Code::ATTLOG_RRQ, |kind| match kind {
            Kind::TruncateLog(bytes) => Some(*bytes),
            _ => None,
        });
        data.slice(..data.len().saturating_sub(missing.unwrap_or(0)))
    }

    /// Turns replies into frames, with the faults that concern bytes.
    fn spoil(
        &mut self,
        client: &mut Conversation,
        command: Code,
        reply_id: u16,
        replies: Vec<Reply>,
    ) -> Reaction {
        let faults = &mut self.world.faults;
        let drop_after = match client.transport {
            Transport::Tcp if !client.ends => faults.take(command, |kind| match kind {
                Kind::DropAfter(bytes) => Some(*bytes),
                _ => None,
            }),
            _ => None,
        };
        client.ends |= drop_after.is_some();
        let delay = faults.take(command, |kind| match kind {
            Kind::Delay(by) => Some(*by),
            _ => None,
        });
        let mut reaction = Reaction {
            delay: delay.unwrap_or_default(),
            drop_after,
            ..Reaction::default()
        };
        if replies.is_empty() || faults.hit(command, &Kind::Silence) {
            return reaction;
        }
        reaction.reset = faults.hit(command, &Kind::Reset);
        if reaction.reset {
            return reaction;
        }
        if faults.hit(command, &Kind::Split) {
            reaction.cut = Cut::EveryByte;
        } else if faults.hit(command, &Kind::Coalesce) {
            reaction.cut = Cut::Together;
        }
        let instead = faults.take(command, |kind| match kind {
            Kind::Garbage => Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
            Kind::AbsurdLength => Some(b"\x50\x50\x82\x7d\xf0\xff\xff\xff\xd0\x07\0\0\0\0\0\0"),
            Kind::Panel => Some(b"\xaa\x01\x00\x04\x00\x01\x02\x03\x04\xa5\x5a\x55"),
            _ => None,
        });
        if let Some(bytes) = instead {
            reaction.frames.push(Bytes::from_static(bytes));
            return reaction;
        }
        let corrupt = faults.hit(command, &Kind::CorruptChecksum);
        let twice = faults.hit(command, &Kind::DuplicateReplies);
        let replies = rearranged(faults, command, replies);
        let mut reply_id = reply_id;
        if faults.hit(command, &Kind::Stale) {
            let old = reply_id.checked_sub(1).unwrap_or(MAX_REPLY_ID);
            let payload = b"nobody waits for this";
            reaction
                .frames
                .push(frame(client.transport, Code::ACK_OK, 1, old, payload));
        }
        if faults.hit(command, &Kind::WrongNumber) {
            reply_id = reply_id.wrapping_add(7_777);
        }
        let event_inside = faults.hit(command, &Kind::EventInside);
        for (index, reply) in replies.into_iter().enumerate() {
            if event_inside && index == 1 {
                let (code, kind) = (Code::REG_EVENT, EventCode::FINGER.0);
                reaction
                    .frames
                    .push(frame(client.transport, code, kind, 0, &[]));
            }
            if faults
                .take(command, |kind| {
                    (*kind == Kind::DropReply(reply.code)).then_some(())
                })
                .is_some()
            {
                continue;
            }
            let Reply {
                code,
                session,
                payload,
            } = reply;
            let mut bytes = frame(client.transport, code, session, reply_id, &payload);
            if corrupt {
                bytes = corrupted(&bytes, client.transport);
            }
            if twice {
                reaction.frames.push(bytes.clone());
            }
            reaction.frames.push(bytes);
        }
        reaction
    }

    /// The time before anybody set the clock.
    fn base(&self, now: NaiveDateTime) -> NaiveDateTime {
        match self.world.config.clock {
            Clock::System => now,
            Clock::Fixed(time) => time,
            Clock::Drifting { ahead, per_day } => {
                const DAY: i64 = 86_400;
                let passed = now - self.since.unwrap_or(now);
                let gained = passed.num_seconds().saturating_mul(per_day.into()) / DAY;
                now + TimeDelta::seconds(i64::from(ahead).saturating_add(gained))
            }
        }
    }

    pub(super) fn time(&self, now: NaiveDateTime) -> PackedTime {
        PackedTime::from_civil(self.base(now) + self.clock_offset).unwrap_or_default()
    }
}

/// The same answer with the faults that concern its packets.
fn rearranged(faults: &mut Faults, command: Code, mut replies: Vec<Reply>) -> Vec<Reply> {
    let is_transfer = replies.len() > 2;
    if is_transfer && faults.hit(command, &Kind::NoAnnouncement) {
        let data: Vec<Bytes> = replies
            .iter()
            .filter(|reply| reply.code == Code::DATA)
            .map(|reply| reply.payload.clone())
            .collect();
        return vec![Reply {
            code: Code::DATA,
            session: 0,
            payload: data.concat().into(),
        }];
    }
    if is_transfer && faults.hit(command, &Kind::EarlyAck) {
        // Behind the announcement.
        if let Some(last) = replies.pop() {
            replies.insert(1, last);
        }
    }
    if faults.hit(command, &Kind::Reorder) {
        for pair in replies.chunks_mut(2) {
            pair.reverse();
        }
    }
    if faults.hit(command, &Kind::StrayByte)
        && let Some(last) = replies.last_mut()
    {
        last.payload = [&last.payload[..], &[0x5a]].concat().into();
    }
    if faults.hit(command, &Kind::GarbageOptions) {
        for reply in &mut replies {
            reply.code = Code::ACK_OK;
            reply.payload = Bytes::from_static(b"~SerialNumber==\xff\xfe\x01\0junk behind it");
        }
    }
    replies
}

fn one(code: Code, session: u16) -> Vec<Reply> {
    vec![Reply {
        code,
        session,
        payload: Bytes::new(),
    }]
}

fn frame(transport: Transport, code: Code, session: u16, reply_id: u16, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    encode_packet(transport, code, session, reply_id, payload, &mut out);
    out.freeze()
}

/// The same frame with one bit of its checksum changed.
fn corrupted(bytes: &[u8], transport: Transport) -> Bytes {
    let at = match transport {
        Transport::Tcp => 10,
        Transport::Udp => 2,
    };
    let mut bytes = BytesMut::from(bytes);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    bytes.freeze()
}
