//! Taking personal data out of a conversation, without changing its shape.
//!
//! Two rounds: the first looks who there is, the second puts others in their place. Both go the
//! same way, so that nothing is masked which was not looked at.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::{
    Connection, Message, Recording, Side,
    disguise::{Canvas, Disguise},
};
use crate::{
    Code,
    record::{
        Counters, EventCode, Id, Layout, Operation, PersonalId, TEMPLATE_SLOT, User, UserLayout,
        UserList, is_id, layout_of_log, shape_of_punches,
    },
    request::{Announcement, DataSet, DeviceOption, ReadBuffer},
    wire::{HEADER_LEN, MAGIC, PREFIX_LEN, Packet, SECURED_MAGIC, Transport, cut_at_nul},
};

/// Length in bytes of the total before records.
const TOTAL: usize = 4;
/// The same on the AK3750 platform, in front of its log.
const WIDE_TOTAL: usize = 12;
/// Bytes that say that a chunk is the beginning of its data set once more.
const BEGINNING: usize = 16;
/// How far back a run is looked for that a piece continues.
const RECENT: usize = 16;
/// Bytes before each template of a data set: its size, whose it is, which finger, flag.
const TEMPLATE_HEAD: usize = 6;
/// Longest option, version or other answer in words that is believed.
const WORDS: usize = 256;

/// Options that say nothing about anybody.
const HARMLESS: &[&str] = &[
    "~Platform",
    "~OS",
    "~ZKFPVersion",
    "ZKFaceVersion",
    "~PIN2Width",
    "~IsABCPinEnable",
    "~UserExtFmt",
    "~ExtendFmt",
    "~ExtOPLogFmt",
    "~IsOnlyRFMachine",
    "~SSR",
    "~MaxAttLogCount",
    "~MaxUserCount",
    "~MaxFingerCount",
    "FaceFunOn",
    "FingerFunOn",
    "CompatOldFirmware",
    "WorkCode",
    "IsTFT",
    "VOLUME",
    "Language",
    "DateFormat",
];

pub(super) fn mask(recording: &Recording, seed: u64) -> Recording {
    let mut disguise = Disguise::new(seed);
    for connection in &recording.connections {
        Walk::new(connection).masked(&mut disguise);
    }
    disguise.decide();
    let connections = recording.connections.iter();
    Recording {
        connections: connections
            .map(|connection| Walk::new(connection).masked(&mut disguise))
            .collect(),
        masked: true,
    }
}

/// What a data set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Users,
    Attendance,
    Operations,
    Templates,
    /// One template, photo or face: nothing of it is kept.
    Body,
    Unknown,
}

impl Kind {
    /// What is left of it where nobody knows which part this is.
    const fn uncertain(self) -> Self {
        match self {
            Self::Templates | Self::Body => Self::Body,
            _ => Self::Unknown,
        }
    }
}

/// A message that is a part of a data set, and where it lies in it.
#[derive(Debug)]
struct Piece {
    /// Which data set; each preparation and each direct read makes another.
    set: usize,
    kind: Kind,
    offset: usize,
    message: usize,
}

/// Pieces of a data set that join without a gap.
struct Run {
    set: usize,
    kind: Kind,
    offset: usize,
    bytes: BytesMut,
    /// Messages with their offset in the bytes.
    messages: Vec<(usize, usize)>,
}

/// One connection under way.
struct Walk<'a> {
    connection: &'a Connection,
    /// The payloads, or all bytes of what is no packet.
    canvases: Vec<Canvas>,
    counters: Counters,
}

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection) -> Self {
        let payload = |message: &Message| match message.packet() {
            Some(packet) => Canvas::new(packet.payload),
            None => Canvas::new(&message.bytes),
        };
        Self {
            connection,
            canvases: connection.messages.iter().map(payload).collect(),
            counters: Counters::default(),
        }
    }

    fn masked(mut self, disguise: &mut Disguise) -> Connection {
        let pieces = self.small(disguise);
        self.data_sets(pieces, disguise);
        let messages = self.connection.messages.iter().zip(&self.canvases);
        Connection {
            messages: messages
                .map(|(message, canvas)| Message {
                    bytes: sealed(message, &canvas.bytes),
                    ..message.clone()
                })
                .collect(),
            ..*self.connection
        }
    }

    /// Masks what is understood packet by packet; gives what is not.
    fn small(&mut self, disguise: &mut Disguise) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut requests: HashMap<u16, Asked> = HashMap::new();
        let (mut sets, mut prepared) = (0, (0, Kind::Unknown));
        for (index, message) in self.connection.messages.iter().enumerate() {
            let Some(canvas) = self.canvases.get_mut(index) else {
                continue;
            };
            let Some(packet) = message.packet() else {
                no_packet(canvas);
                continue;
            };
            let code = packet.header.code;
            if message.from == Side::Client {
                request(&packet, canvas, disguise);
                sets += 1;
                if code == Code::PREPARE_BUFFER {
                    prepared = (sets, kind_of(packet.payload));
                }
                if code != Code::ACK_OK {
                    let reply_id = packet.header.reply_id;
                    let asked = Asked::new(&packet, sets, prepared);
                    if let Some(old) = requests.insert(reply_id, asked) {
                        self.place(old, &mut pieces);
                    }
                }
                continue;
            }
            if code == Code::REG_EVENT {
                event(EventCode(packet.header.session), canvas, disguise);
                continue;
            }
            let Some(asked) = requests.get_mut(&packet.header.reply_id) else {
                canvas.fill(0, usize::MAX);
                continue;
            };
            match code {
                Code::DATA => asked.data.push((packet.header.session, index)),
                Code::PREPARE_DATA => {
                    let announced = Announcement::parse(packet.payload);
                    asked.announced = announced.ok().map(|told| told.total as usize);
                    canvas.fill(8, usize::MAX);
                }
                _ => {
                    asked.is_answered = true;
                    if asked.code == Code::GET_FREE_SIZES {
                        self.counters = Counters::parse(packet.payload);
                    }
                    answer(asked, &packet, canvas, disguise);
                }
            }
        }
        for asked in requests.into_values() {
            self.place(asked, &mut pieces);
        }
        pieces
    }

    /// Finds out where in its data set each data packet of an answer lies. One of which that is not
    /// certain is a part of nothing that is known: its fields may lie anywhere.
    fn place(&self, asked: Asked, pieces: &mut Vec<Piece>) {
        let size = asked.announced.or(asked.requested);
        let mut data = asked.data;
        // Over TCP not every firmware numbers its packets.
        let counts = data
            .windows(2)
            .any(|pair| matches!(pair, [(a, _), (b, _)] if a != b));
        let is_udp = self.connection.transport == Transport::Udp;
        let is_numbered = counts || is_udp && asked.announced.is_some();
        if is_numbered {
            data.sort_by_key(|(number, _)| *number);
        }
        let (mut offset, mut is_certain) = (asked.offset, true);
        let mut before: Option<(u16, usize, Bytes)> = None;
        let first = pieces.len();
        for (number, message) in data {
            let bytes = self.payload(message);
            let mut at = offset;
            match before {
                None => is_certain = !is_numbered || number == 0,
                Some((last, last_at, same)) if is_numbered && number == last => {
                    at = last_at;
                    is_certain &= bytes == same;
                }
                Some((last, ..)) if is_numbered => {
                    is_certain &= last.checked_add(1) == Some(number);
                }
                Some((_, last_at, same)) if bytes == same => {
                    // All of it twice, or else two parts alike or one twice: nobody knows.
                    at = last_at;
                    is_certain &= size.is_none_or(|size| size == bytes.len());
                }
                Some(_) => {}
            }
            pieces.push(Piece {
                set: asked.set,
                kind: if is_certain {
                    asked.kind
                } else {
                    asked.kind.uncertain()
                },
                offset: at,
                message,
            });
            offset = offset.max(at.saturating_add(bytes.len()));
            before = Some((number, at, bytes));
        }
        let came = offset - asked.offset;
        let is_complete = match (size, before) {
            (Some(size), _) => size == came,
            // Without announcement one packet is all, and no acknowledgement comes behind it.
            (None, Some((.., last))) => last.len() == came && !asked.is_answered,
            (None, None) => true,
        };
        // Numbers tell where a packet lies though others are missing behind it.
        if !is_numbered && !is_complete {
            for piece in pieces.iter_mut().skip(first) {
                piece.kind = piece.kind.uncertain();
            }
        }
    }

    /// Joins the pieces, masks them as a whole and cuts them again.
    fn data_sets(&mut self, mut pieces: Vec<Piece>, disguise: &mut Disguise) {
        pieces.sort_by_key(|piece| (piece.set, piece.offset, piece.message));
        let mut runs: Vec<Run> = Vec::new();
        let mut beginning: Option<(usize, Bytes)> = None;
        for piece in pieces {
            let bytes = self.payload(piece.message);
            let start = bytes.get(..BEGINNING);
            let repeats = piece.offset > 0
                && start.is_some()
                && matches!(&beginning, Some((set, first)) if *set == piece.set && Some(&first[..]) == start);
            if piece.offset == 0 {
                beginning = start.map(|start| (piece.set, Bytes::copy_from_slice(start)));
            }
            let offset = if repeats { 0 } else { piece.offset };
            let mut joined = runs.iter_mut().rev().take(RECENT).filter(|run| {
                run.set == piece.set && run.kind == piece.kind && piece.kind != Kind::Unknown
            });
            let joins = joined.find_map(|run| {
                let at = offset.checked_sub(run.offset)?;
                run.takes(at, &bytes).then_some((run, at))
            });
            if let Some((run, at)) = joins {
                run.messages.push((piece.message, at));
                continue;
            }
            runs.push(Run {
                set: piece.set,
                kind: piece.kind,
                offset,
                bytes: BytesMut::from(&bytes[..]),
                messages: vec![(piece.message, 0)],
            });
        }
        let mut shapes = Shapes {
            counters: self.counters,
            users: None,
            log: None,
        };
        for run in runs {
            let original = run.bytes.freeze();
            let mut canvas = Canvas::new(&original);
            match run.kind {
                Kind::Users => users(&mut canvas, run.offset, &mut shapes, disguise),
                Kind::Attendance => log(&original, &mut canvas, run.offset, &mut shapes, disguise),
                // Internal numbers, times and what was done.
                Kind::Operations if Operation::parse_log(&original).is_ok() => {}
                Kind::Templates if run.offset == 0 => templates(&mut canvas),
                Kind::Templates | Kind::Body => canvas.wipe(0, usize::MAX),
                Kind::Operations | Kind::Unknown => canvas.fill(0, usize::MAX),
            }
            disguise.scrub(&original, &mut canvas);
            for (message, at) in run.messages {
                let Some(to) = self.canvases.get_mut(message) else {
                    continue;
                };
                let end = at + to.bytes.len();
                if let Some(masked) = canvas.bytes.get(at..end) {
                    to.bytes.copy_from_slice(masked);
                }
            }
        }
    }

    fn payload(&self, message: usize) -> Bytes {
        let message = self.connection.messages.get(message);
        message.map_or_else(Bytes::new, |message| {
            message.bytes.slice(HEADER_LEN.min(message.bytes.len())..)
        })
    }
}

impl Run {
    /// Whether the bytes lie there already, or continue the run.
    fn takes(&mut self, at: usize, bytes: &[u8]) -> bool {
        if at == self.bytes.len() {
            self.bytes.extend_from_slice(bytes);
            return true;
        }
        self.bytes.get(at..at + bytes.len()) == Some(bytes)
    }
}

/// A request, and the data packets that came in answer to it.
struct Asked {
    code: Code,
    payload: Bytes,
    set: usize,
    kind: Kind,
    offset: usize,
    /// Bytes that were asked for, if that was said.
    requested: Option<usize>,
    /// Bytes that were announced.
    announced: Option<usize>,
    /// Something else was answered than data and its announcement.
    is_answered: bool,
    /// Session fields and messages.
    data: Vec<(u16, usize)>,
}

impl Asked {
    fn new(packet: &Packet<'_>, own: usize, (prepared, held): (usize, Kind)) -> Self {
        let (code, payload) = (packet.header.code, packet.payload);
        let (mut set, mut requested) = (own, None);
        let (kind, offset) = match code {
            Code::PREPARE_BUFFER => (held, 0),
            Code::READ_BUFFER => match ReadBuffer::parse(payload) {
                Ok(slice) => {
                    set = prepared;
                    requested = Some(slice.len as usize);
                    (held, slice.offset as usize)
                }
                Err(_) => (Kind::Unknown, 0),
            },
            Code::ATTLOG_RRQ => (Kind::Attendance, 0),
            Code::USERTEMP_RRQ if payload == [5] => (Kind::Users, 0),
            Code::USERTEMP_RRQ | Code::GET_USERTEMP | Code::FACE_RRQ | Code::PHOTO_BY_NAME => {
                (Kind::Body, 0)
            }
            Code::OPLOG_RRQ => (Kind::Operations, 0),
            _ => (Kind::Unknown, 0),
        };
        Self {
            code,
            payload: Bytes::copy_from_slice(payload),
            set,
            kind,
            offset,
            requested,
            announced: None,
            is_answered: false,
            data: Vec::new(),
        }
    }
}

/// What is known about the shapes of records.
struct Shapes {
    counters: Counters,
    users: Option<UserLayout>,
    log: Option<(Layout, usize)>,
}

fn kind_of(payload: &[u8]) -> Kind {
    match DataSet::parse(payload) {
        Ok(DataSet::USERS) => Kind::Users,
        Ok(DataSet::OPERATIONS) => Kind::Operations,
        Ok(DataSet::TEMPLATES) => Kind::Templates,
        Ok(set) => match set.command {
            Code::ATTLOG_RRQ | Code::ATTLOG_BY_TIME => Kind::Attendance,
            Code::DB_RRQ => Kind::Body,
            _ => Kind::Unknown,
        },
        Err(_) => Kind::Unknown,
    }
}

fn no_packet(canvas: &mut Canvas) {
    let known = if canvas.bytes.starts_with(&MAGIC) {
        PREFIX_LEN + HEADER_LEN
    } else if canvas.bytes.starts_with(&SECURED_MAGIC) {
        SECURED_MAGIC.len()
    } else {
        // What access panels begin with.
        usize::from(canvas.bytes.first() == Some(&0xaa))
    };
    canvas.fill(known.min(canvas.bytes.len()), usize::MAX);
}

fn request(packet: &Packet<'_>, canvas: &mut Canvas, disguise: &mut Disguise) {
    let length = packet.payload.len();
    match packet.header.code {
        // Proofs give the comm key away; an upload is templates, photos, whatever else.
        Code::AUTH | Code::AUTH_EXT | Code::DATA => canvas.wipe(0, usize::MAX),
        Code::PREPARE_BUFFER => canvas.fill(11, usize::MAX),
        Code::READ_BUFFER => canvas.fill(8, usize::MAX),
        Code::OPTIONS_RRQ if length <= WORDS => {
            canvas.fill(cut_at_nul(packet.payload).len(), usize::MAX);
        }
        Code::OPTIONS_WRQ => option(packet.payload, None, canvas, disguise),
        Code::USER_WRQ => match UserLayout::of_width(length) {
            Some(layout) => user(canvas, 0, layout, disguise),
            None => canvas.fill(0, usize::MAX),
        },
        Code::GET_USERTEMP
        | Code::USERTEMP_RRQ
        | Code::DELETE_USER
        | Code::DELETE_USERTEMP
        | Code::TMP_WRITE
        | Code::USERGRP_RRQ
        | Code::USERGRP_WRQ
        | Code::USERTZ_RRQ
        | Code::USERTZ_WRQ
        | Code::VERIFY_RRQ
        | Code::VERIFY_WRQ
        | Code::FACE_RRQ
            if length <= 32 =>
        {
            if length > 1 {
                disguise.uid(canvas, 0);
            }
        }
        Code::DEL_FPTMP => {
            disguise.text_id(canvas, 0, 24.min(length));
            canvas.fill(25, usize::MAX);
        }
        Code::STARTENROLL if length >= 26 => {
            disguise.text_id(canvas, 0, 24);
            canvas.fill(26, usize::MAX);
        }
        Code::STARTENROLL => disguise.number_id(canvas, 0),
        Code::SET_TIME
        | Code::GET_FREE_SIZES
        | Code::GET_TIME
        | Code::GET_VERSION
        | Code::REG_EVENT
        | Code::PREPARE_DATA
        | Code::CLEAR_DATA
        | Code::UNLOCK
        | Code::TESTVOICE
        | Code::DISABLEDEVICE
        | Code::SAVE_USERTEMPS => canvas.fill(12, usize::MAX),
        _ => canvas.fill(0, usize::MAX),
    }
}

/// An answer of one packet.
fn answer(asked: &Asked, packet: &Packet<'_>, canvas: &mut Canvas, disguise: &mut Disguise) {
    let length = packet.payload.len();
    match asked.code {
        Code::OPTIONS_RRQ => {
            let key = DeviceOption::parse(&asked.payload).key;
            option(packet.payload, Some(&key), canvas, disguise);
        }
        Code::GET_VERSION if length <= WORDS => {
            canvas.fill(cut_at_nul(packet.payload).len(), usize::MAX);
            disguise.scrub(packet.payload, canvas);
        }
        Code::GET_FREE_SIZES if length <= 128 && length.is_multiple_of(4) => {}
        Code::PREPARE_BUFFER => canvas.fill(13, usize::MAX),
        Code::GET_TIME | Code::CHECKSUM_BUFFER | Code::DOORSTATE_RRQ | Code::GET_PINWIDTH => {
            canvas.fill(4, usize::MAX);
        }
        Code::USERGRP_RRQ | Code::USERTZ_RRQ | Code::GRPTZ_RRQ | Code::TZ_RRQ | Code::ULG_RRQ
            if length <= 64 => {}
        Code::VERIFY_RRQ if length == 24 => disguise.uid(canvas, 0),
        Code::USERTEMP_RRQ | Code::GET_USERTEMP | Code::FACE_RRQ | Code::PHOTO_BY_NAME => {
            canvas.wipe(0, usize::MAX);
        }
        _ => canvas.fill(0, usize::MAX),
    }
}

/// `key=value`, with or without the key. What stands behind its end is junk.
fn option(payload: &[u8], asked: Option<&str>, canvas: &mut Canvas, disguise: &mut Disguise) {
    let text = cut_at_nul(payload);
    let sign = text.iter().position(|byte| *byte == b'=');
    let key = sign.and_then(|sign| text.get(..sign));
    let key = key.and_then(|key| std::str::from_utf8(key).ok());
    let start = match (key, asked) {
        (Some(key), Some(asked)) if key == asked => key.len() + 1,
        (Some(key), None) => key.len() + 1,
        _ => 0,
    };
    let name = asked.or(key).unwrap_or("");
    let is_harmless = HARMLESS.contains(&name) && text.len() <= WORDS;
    if !is_harmless {
        // Some firmware repeats the sign.
        let value = text.get(start..).unwrap_or(&[]);
        let value = value.strip_prefix(b"=").unwrap_or(value);
        if name == "~SerialNumber" || name == "MAC" {
            disguise.secret(value);
        }
        canvas.fill_words(start, text.len());
    }
    canvas.fill(text.len(), usize::MAX);
}

fn event(code: EventCode, canvas: &mut Canvas, disguise: &mut Disguise) {
    let length = canvas.bytes.len();
    match code {
        EventCode::ATTENDANCE => {
            let Some((who, width)) = shape_of_punches(length).filter(|_| length > 0) else {
                return canvas.fill(0, usize::MAX);
            };
            for start in (0..length).step_by(width) {
                match who {
                    2 => disguise.uid(canvas, start),
                    4 => disguise.number_id(canvas, start),
                    _ => disguise.text_id(canvas, start, start + who),
                }
            }
        }
        EventCode::FINGER_SCORE | EventCode::BUTTON | EventCode::UNLOCK if length <= 4 => {}
        EventCode::ENROLL_USER | EventCode::VERIFY if length >= 2 => {
            disguise.uid(canvas, 0);
            canvas.fill(4, usize::MAX);
        }
        _ => canvas.fill(0, usize::MAX),
    }
}

fn users(canvas: &mut Canvas, offset: usize, shapes: &mut Shapes, disguise: &mut Disguise) {
    let length = canvas.bytes.len();
    let start = if offset == 0 { TOTAL.min(length) } else { 0 };
    if offset == 0 {
        let total = canvas.bytes.first_chunk();
        let total = total.map_or(0, |total| u32::from_le_bytes(*total)) as usize;
        let records = canvas.bytes.get(start..).unwrap_or(&[]);
        let records = records.get(..total).unwrap_or(records);
        shapes.users = UserList::shape(records, total, shapes.counters.users);
    }
    let aligned = |layout: &UserLayout| {
        offset == 0 || offset >= TOTAL && (offset - TOTAL).is_multiple_of(layout.width())
    };
    let Some(layout) = shapes.users.filter(aligned) else {
        return canvas.fill(start, usize::MAX);
    };
    let width = layout.width();
    for at in (start..length).step_by(width) {
        let raw = canvas.bytes.get(at..at + width).unwrap_or(&[]);
        let known = User::parse(raw, layout).is_ok_and(|user| user.is_plausible());
        if known {
            user(canvas, at, layout, disguise);
        } else if raw.starts_with(&[0, 0, TEMPLATE_SLOT]) {
            canvas.wipe(at + 3, at + width);
        } else {
            canvas.fill(at, at + width);
        }
    }
}

fn user(canvas: &mut Canvas, at: usize, layout: UserLayout, disguise: &mut Disguise) {
    let personal = layout.personal();
    let (start, end) = personal.password;
    canvas.fill(at + start, at + end);
    for (start, end) in personal.names {
        disguise.name(canvas, at + start, at + end);
    }
    if let Some(card) = personal.card {
        disguise.card(canvas, at + card);
    }
    for (start, end) in personal.rest {
        canvas.fill_text(at + start, at + end);
    }
    match personal.id {
        PersonalId::Text(start, end) => disguise.text_id(canvas, at + start, at + end),
        PersonalId::Number(start) => disguise.number_id(canvas, at + start),
        PersonalId::Uid => disguise.uid_is_id(),
    }
    canvas.keep(at, at + 3);
    disguise.uid(canvas, at);
}

fn log(
    original: &Bytes,
    canvas: &mut Canvas,
    offset: usize,
    shapes: &mut Shapes,
    disguise: &mut Disguise,
) {
    if offset == 0 {
        shapes.log = shape_of_log(original, shapes.counters.records);
    }
    let header = shapes.log.map_or(TOTAL, |(_, header)| header);
    let start = if offset == 0 { header } else { 0 };
    let aligned = |(layout, header): &(Layout, usize)| {
        offset == 0 || offset >= *header && (offset - header).is_multiple_of(layout.width())
    };
    let Some((layout, _)) = shapes.log.filter(aligned) else {
        return wide_log(original, canvas, offset, shapes.counters.records, disguise);
    };
    records(canvas, start, layout, layout.width(), disguise);
}

/// The layout of a log, and how much stands before its records.
fn shape_of_log(data: &Bytes, count: Option<u32>) -> Option<(Layout, usize)> {
    let total = data.first_chunk().map(|total| u32::from_le_bytes(*total))?;
    let body = data.slice(TOTAL..);
    let announced = (total as usize).min(body.len());
    let usual = (announced > 0)
        .then(|| layout_of_log(&body.slice(..announced), total as usize, count))
        .flatten();
    let wide = || {
        let records = data.slice(WIDE_TOTAL.min(data.len())..);
        let layout = layout_of_log(&records, records.len(), count).filter(|_| !records.is_empty());
        layout.filter(|layout| *layout == Layout::Bytes22)
    };
    usual
        .map(|layout| (layout, TOTAL))
        .or_else(|| wide().map(|layout| (layout, WIDE_TOTAL)))
}

/// Records of an unknown width, which begin like those of 40 bytes; or nothing that is understood.
fn wide_log(
    original: &Bytes,
    canvas: &mut Canvas,
    offset: usize,
    count: Option<u32>,
    disguise: &mut Disguise,
) {
    let start = TOTAL.saturating_sub(offset).min(original.len());
    let body = original.slice(start..);
    let count = count.unwrap_or(0) as usize;
    let usual = Layout::Bytes40;
    let width = body.len().checked_div(count).unwrap_or(0);
    let fits = offset == 0 && width > usual.width() && body.len() == width * count;
    let first_parts: Bytes = body
        .chunks(width.max(1))
        .flat_map(|record| record.iter().take(usual.width()).copied())
        .collect();
    if fits && layout_of_log(&first_parts, first_parts.len(), None) == Some(usual) {
        records(canvas, start, usual, width, disguise);
    } else {
        canvas.fill(start, usize::MAX);
    }
}

fn records(
    canvas: &mut Canvas,
    start: usize,
    layout: Layout,
    width: usize,
    disguise: &mut Disguise,
) {
    let fields = layout.fields();
    for at in (start..canvas.bytes.len()).step_by(width) {
        let raw = canvas.bytes.get(at..at + width).unwrap_or(&[]);
        let whole = raw.len() == width;
        let known = match fields.id {
            Id::Text(from, length) => {
                is_id(cut_at_nul(raw.get(from..from + length).unwrap_or(&[])))
            }
            Id::Number(_) | Id::None => true,
        };
        if !whole || !known {
            canvas.fill(at, at + width);
            continue;
        }
        match fields.id {
            Id::Text(from, length) => disguise.text_id(canvas, at + from, at + from + length),
            Id::Number(from) => disguise.number_id(canvas, at + from),
            Id::None => {}
        }
        canvas.keep(at + fields.verify, at + fields.verify + 1);
        canvas.keep(at + fields.time, at + fields.time + 4);
        canvas.keep(at + fields.punch, at + fields.punch + 1);
        if let Some(code) = fields.work_code {
            canvas.keep(at + code, at + code + 4);
        }
        if let Some(uid) = fields.uid {
            canvas.keep(at + uid, at + uid + 2);
            disguise.uid(canvas, at + uid);
        }
        canvas.fill_text(at + layout.width(), at + width);
    }
}

/// Keeps whose they are and how long, and nothing else.
fn templates(canvas: &mut Canvas) {
    let mut at = TOTAL;
    while let Some(head) = canvas.bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let [low, high, _, _, finger, flag]: [u8; TEMPLATE_HEAD] = *head;
        let size = usize::from(u16::from_le_bytes([low, high]));
        if size < TEMPLATE_HEAD || finger > 9 || flag > 3 {
            break;
        }
        canvas.wipe(at + TEMPLATE_HEAD, at + size);
        at += size;
    }
    canvas.wipe(at, usize::MAX);
}

/// The message with another payload. A checksum that was right is made anew, a wrong one stays
/// wrong.
fn sealed(message: &Message, payload: &[u8]) -> Bytes {
    let Some(packet) = message.packet() else {
        return Bytes::copy_from_slice(payload);
    };
    let mut bytes = BytesMut::from(message.bytes.get(..HEADER_LEN).unwrap_or(&[]));
    bytes.extend_from_slice(payload);
    super::seal(&mut bytes, &packet);
    bytes.freeze()
}
