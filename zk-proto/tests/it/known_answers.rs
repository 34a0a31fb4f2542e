//! Bytes from captures and published notes, in both directions.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Instant};

use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use zk_proto::{
    Code, CommKey, DecodeError, Encoding, Session,
    record::{AttendanceLog, AttendanceRef, Counters, Layout, LogHint, User, UserLayout, UserList},
    request::{
        Announcement, Answer, Auth, Connect, DataSet, DeleteUser, DeviceOption, DisableDevice,
        Exit, FreeBuffer, PrepareBuffer, Prepared, ReadBuffer, ReadClock, ReadCounters, ReadOption,
        ReadVersion, RefreshData, Request, SetClock, WriteOption, WriteUser,
    },
    session::{Event, Options, Output},
    wire::{Framer, PackedTime, Packet, Transport, decode_any, encode_packet, next_reply_id},
};

struct Vector(Json);

impl Vector {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.text("id")
    }

    fn bytes(&self) -> Vec<u8> {
        unhex(self.text("hex"))
    }

    fn decoded(&self) -> &Json {
        &self.0["decoded"]
    }

    fn transport(&self) -> Transport {
        match self.text("transport") {
            "tcp" => Transport::Tcp,
            _ => Transport::Udp,
        }
    }

    fn is_request(&self) -> bool {
        self.text("direction") == "client->device"
    }

    /// The bytes of the packet, for the layers that are one.
    fn packet(&self) -> Option<Vec<u8>> {
        match self.text("layer") {
            "frame" => Some(self.bytes()[8..].to_vec()),
            "packet" => Some(self.bytes()),
            _ => None,
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| u8::try_from((c as char).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn vectors() -> Vec<Vector> {
    let text = fs::read_to_string(data("vectors.json")).unwrap();
    let all: Vec<Json> = serde_json::from_str(&text).unwrap();
    all.into_iter().map(Vector).collect()
}

fn vector(id: &str) -> Vector {
    vectors()
        .into_iter()
        .find(|vector| vector.id() == id)
        .unwrap()
}

#[test]
fn every_packet_decodes_and_encodes_to_the_same_bytes() {
    for vector in vectors() {
        let Some(bytes) = vector.packet() else {
            continue;
        };
        let (id, expected) = (vector.id(), vector.decoded());
        let packet = Packet::parse(&bytes).unwrap();
        let header = packet.header;
        assert_eq!(expected["command"], header.code.0, "{id}");
        assert_eq!(
            expected["command_name"].as_str(),
            header.code.name(),
            "{id}"
        );
        assert_eq!(expected["session_id"], header.session, "{id}");
        assert_eq!(expected["reply_id"], header.reply_id, "{id}");
        assert_eq!(expected["payload_hex"], hex(packet.payload), "{id}");
        assert_eq!(
            expected["checksum"],
            format!("{:#06x}", header.checksum),
            "{id}"
        );
        assert_eq!(expected["checksum_valid"], packet.checksum_valid(), "{id}");
        if let Some(right) = expected["expected_checksum"].as_str() {
            assert_eq!(
                right,
                format!("{:#06x}", packet.expected_checksum()),
                "{id}"
            );
        }
        if packet.checksum_valid() {
            let mut out = BytesMut::new();
            let (transport, payload) = (vector.transport(), packet.payload);
            let (code, session, reply_id) = (header.code, header.session, header.reply_id);
            encode_packet(transport, code, session, reply_id, payload, &mut out);
            assert_eq!(hex(&out), vector.text("hex"), "{id}");
        }
        let bytes = vector.bytes();
        let words = decode_any(&bytes, vector.transport()).next().unwrap();
        assert_eq!(
            words.map(|decoded| decoded.command),
            Ok(header.code),
            "{id}"
        );
    }
}

#[test]
fn the_list_of_vectors_not_covered_is_exact() {
    let list = fs::read_to_string(data("not_covered.txt")).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let all = vectors();
    let open: BTreeSet<&str> = all
        .iter()
        .filter(|vector| !is_covered(vector))
        .map(Vector::id)
        .collect();
    let covered: Vec<_> = listed.difference(&open).collect();
    assert!(
        covered.is_empty(),
        "covered or unknown, take them off the list: {covered:#?}"
    );
    let missing: Vec<_> = open.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "not covered and not on the list: {missing:#?}"
    );
}

/// Whether some test below says what the bytes mean. Panics if they mean something else.
fn is_covered(vector: &Vector) -> bool {
    match vector.text("layer") {
        "payload" => payload(vector),
        "stream" => STREAMS.contains(&vector.id()),
        _ if vector.is_request() => request(vector),
        _ => reply(vector),
    }
}

/// Encodes like the client, if this is how we encode it.
fn encodes<R: Request>(request: &R, packet: &Packet<'_>, id: &str) {
    let mut out = BytesMut::new();
    request.encode(&mut out);
    assert_eq!(request.code(), packet.header.code, "{id}");
    assert_eq!(hex(&out), hex(packet.payload), "{id}");
}

fn number(json: &Json) -> u32 {
    u32::try_from(json.as_u64().unwrap()).unwrap()
}

fn request(vector: &Vector) -> bool {
    let (id, expected) = (vector.id(), vector.decoded());
    let bytes = vector.packet().unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let payload = packet.payload;
    match packet.header.code {
        Code::CONNECT => encodes(&Connect, &packet, id),
        Code::EXIT => encodes(&Exit, &packet, id),
        Code::GET_VERSION => {
            encodes(&ReadVersion, &packet, id);
            if let Some(next) = expected["next_reply_id"].as_u64() {
                assert_eq!(
                    u64::from(next_reply_id(packet.header.reply_id)),
                    next,
                    "{id}"
                );
            }
        }
        Code::GET_TIME => encodes(&ReadClock, &packet, id),
        Code::GET_FREE_SIZES => encodes(&ReadCounters, &packet, id),
        Code::FREE_DATA => encodes(&FreeBuffer, &packet, id),
        Code::REFRESHDATA => encodes(&RefreshData, &packet, id),
        Code::DISABLEDEVICE => {
            assert_eq!(
                DisableDevice::parse(payload),
                DisableDevice { seconds: None },
                "{id}"
            );
            if payload.is_empty() {
                encodes(&DisableDevice::default(), &packet, id);
            }
        }
        Code::AUTH => {
            let key = CommKey::new(number(&expected["comm_key"]));
            let tick = u8::try_from(number(&expected["tick"])).unwrap();
            let digest = key.digest(packet.header.session, tick);
            assert_eq!(expected["digest_hex"], hex(&digest), "{id}");
            encodes(&Auth { digest }, &packet, id);
            let received = Auth::parse(payload).unwrap();
            assert!(key.accepts(received.digest, packet.header.session), "{id}");
        }
        Code::OPTIONS_RRQ => {
            let key = expected["option"].as_str().unwrap();
            assert_eq!(DeviceOption::parse(payload).key, key, "{id}");
            if payload.ends_with(&[0]) {
                encodes(&ReadOption { key }, &packet, id);
            }
        }
        Code::OPTIONS_WRQ => {
            let key = expected["option"].as_str().unwrap();
            let value = expected["value"].as_str().unwrap();
            let option = DeviceOption {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            assert_eq!(DeviceOption::parse(payload), option, "{id}");
            if payload.ends_with(&[0]) {
                encodes(&WriteOption { key, value }, &packet, id);
            }
        }
        Code::SET_TIME => {
            let request = SetClock::parse(payload).unwrap();
            assert_eq!(expected["time"], request.0.to_string(), "{id}");
            if payload.len() == 4 {
                encodes(&request, &packet, id);
            }
        }
        Code::PREPARE_BUFFER => {
            let set = DataSet {
                command: Code(u16::try_from(number(&expected["inner_command"])).unwrap()),
                argument: number(&expected["fct"]),
                extra: number(&expected["ext"]),
            };
            assert_eq!(DataSet::parse(payload), Ok(set), "{id}");
            encodes(&PrepareBuffer(set), &packet, id);
        }
        Code::READ_BUFFER => {
            let slice = ReadBuffer {
                offset: number(&expected["start"]),
                len: number(&expected["size"]),
            };
            assert_eq!(ReadBuffer::parse(payload), Ok(slice), "{id}");
            encodes(&slice, &packet, id);
        }
        Code::USER_WRQ => {
            let layout = UserLayout::of_width(payload.len()).unwrap();
            same_user(expected, payload, layout, id);
            encodes(&WriteUser::parse(payload).unwrap(), &packet, id);
        }
        Code::DELETE_USER => {
            let request = DeleteUser::parse(payload).unwrap();
            assert_eq!(expected["uid"], request.uid, "{id}");
            if payload.len() == 2 {
                encodes(&request, &packet, id);
            }
        }
        _ => return false,
    }
    true
}

fn reply(vector: &Vector) -> bool {
    let (id, expected) = (vector.id(), vector.decoded());
    let bytes = vector.packet().unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let payload = Bytes::copy_from_slice(packet.payload);
    let answer = || Answer {
        code: packet.header.code,
        session: packet.header.session,
        payload: payload.clone(),
    };
    match vector.text("family") {
        "connect" | "auth" => {
            if let Some(session) = expected["assigned_session"].as_u64() {
                assert_eq!(u64::from(packet.header.session), session, "{id}");
            }
            assert!(
                matches!(packet.header.code, Code::ACK_OK | Code::ACK_UNAUTH),
                "{id}"
            );
        }
        // The packet test has checked code, name and checksum, which is all there is.
        "checksum" | "errors" => {}
        "options" => {
            let key = expected["option"].as_str().unwrap();
            let value = ReadOption { key }.decode(answer()).unwrap();
            assert_eq!(expected["value"], value, "{id}");
            let mut out = BytesMut::new();
            DeviceOption {
                key: key.to_owned(),
                value,
            }
            .encode_reply(&mut out);
            assert_eq!(out, payload, "{id}");
        }
        "sizes" => same_counters(expected, &payload, id),
        "device-info" if id == "state-ack" => {
            assert_eq!(expected["state"], answer().session, "{id}");
        }
        "users" => {
            let users = UserList::parse(&payload, None).unwrap();
            let width = number(&expected["record_size"]) as usize;
            let layout = UserLayout::of_width(width).unwrap();
            let all = expected["users"].as_array().unwrap();
            assert_eq!(users.len(), all.len(), "{id}");
            for (index, user) in all.iter().enumerate() {
                same_user(user, &payload[4 + index * width..][..width], layout, id);
            }
        }
        "buffered-read" => match packet.header.code {
            Code::PREPARE_DATA => {
                let announcement = Announcement::parse(&payload).unwrap();
                assert_eq!(expected["total"], announcement.total, "{id}");
                assert_eq!(expected["max_packet"], announcement.max_packet, "{id}");
                let mut out = BytesMut::new();
                announcement.encode(&mut out);
                assert_eq!(out, payload, "{id}");
            }
            Code::ACK_OK if !payload.is_empty() => {
                let prepared = Prepared::parse(&answer()).unwrap();
                assert_eq!(expected["size"], prepared.size, "{id}");
                assert_eq!(prepared.inline, None, "{id}");
            }
            Code::ACK_OK => {}
            _ => return false,
        },
        _ => return false,
    }
    true
}

fn payload(vector: &Vector) -> bool {
    let (id, expected, bytes) = (vector.id(), vector.decoded(), vector.bytes());
    match vector.text("family") {
        "time" => {
            let time = PackedTime(number(&expected["encoded"]));
            assert_eq!(expected["time"], time.to_string(), "{id}");
            let civil = time.to_civil().unwrap();
            assert_eq!(PackedTime::from_civil(civil), Ok(time), "{id}");
            let mut out = BytesMut::new();
            ReadClock::encode_reply(time, &mut out);
            assert_eq!(hex(&out), hex(&bytes), "{id}");
            let payload = out.freeze();
            let answer = Answer {
                code: Code::ACK_OK,
                session: 0,
                payload,
            };
            assert_eq!(ReadClock.decode(answer), Ok(time), "{id}");
        }
        "sizes" => same_counters(expected, &bytes, id),
        "users" => match UserLayout::of_width(bytes.len()) {
            Some(layout) => same_user(expected, &bytes, layout, id),
            None => return false,
        },
        "attendance" => match Layout::of_width(bytes.len()) {
            Some(layout) => same_record(expected, &bytes, layout, id),
            None => return false,
        },
        _ => return false,
    }
    true
}

fn same_counters(expected: &Json, payload: &[u8], id: &str) {
    let counters = Counters::parse(payload);
    for (name, field) in [
        ("users", counters.users),
        ("fingers", counters.fingers),
        ("attlogs", counters.records),
        ("oplogs", counters.operations),
        ("admins", counters.admins),
        ("passwords", counters.passwords),
        ("finger_cap", counters.fingers_max),
        ("user_cap", counters.users_max),
        ("attlog_cap", counters.records_max),
        ("finger_free", counters.fingers_free),
        ("user_free", counters.users_free),
        ("attlog_free", counters.records_free),
        ("faces", counters.faces),
        ("face_cap", counters.faces_max),
    ] {
        let number = expected[name].as_u64();
        assert_eq!(number, field.map(u64::from), "{id}: {name}");
    }
    let mut out = BytesMut::new();
    counters.encode(payload.len(), &mut out);
    assert_eq!(hex(&out), hex(payload), "{id}");
}

/// The fields, and the bytes again, except password, time zones and junk behind texts, which are
/// not kept.
fn same_user(expected: &Json, bytes: &[u8], layout: UserLayout, id: &str) {
    let user = User::parse(bytes, layout).unwrap();
    assert_eq!(expected["uid"], user.uid, "{id}");
    assert_eq!(expected["privilege"], user.privilege.0, "{id}");
    assert_eq!(expected["level"], user.privilege.level(), "{id}");
    assert_eq!(expected["enabled"], !user.privilege.is_disabled(), "{id}");
    assert_eq!(expected["name"], *user.name.decode(Encoding::Utf8), "{id}");
    assert_eq!(expected["card"], user.card, "{id}");
    assert_eq!(expected["group"], user.group, "{id}");
    let user_id = expected["user_id"].to_string();
    assert_eq!(user_id.trim_matches('"'), user.user_id.to_string(), "{id}");
    let mut out = BytesMut::new();
    user.encode(layout, &mut out);
    let forgotten = match layout {
        UserLayout::Bytes72 => [3..11, 40..48],
        _ => [3..8, 22..24],
    };
    let kept = |index: &usize| !forgotten.iter().any(|range| range.contains(index));
    let rest = |bytes: &[u8]| -> Vec<u8> {
        (0..bytes.len())
            .filter(kept)
            .map(|index| bytes[index])
            .collect()
    };
    assert_eq!(hex(&rest(&out)), hex(&rest(bytes)), "{id}");
}

fn same_record(expected: &Json, bytes: &[u8], layout: Layout, id: &str) {
    let record = AttendanceRef::parse(bytes, layout).unwrap().to_record();
    assert_eq!(expected["uid"], record.uid, "{id}");
    assert_eq!(expected["user_id"], record.user_id.to_string(), "{id}");
    assert_eq!(expected["verify"], record.verify_mode.0, "{id}");
    assert_eq!(expected["punch"], record.punch_state.0, "{id}");
    assert_eq!(expected["time"], record.time.to_string(), "{id}");
    let mut out = BytesMut::new();
    record.encode(layout, &mut out);
    // The last four bytes have no known meaning.
    assert_eq!(hex(&out[..36]), hex(&bytes[..36]), "{id}");
}

/// Streams that a test below plays through.
const STREAMS: [&str; 9] = [
    "stream-tcp-att-60",
    "stream-tcp-single-data",
    "stream-tcp-event-inside",
    "stream-udp-early-ack",
    "stream-coalesced-event",
    "stream-header-then-packet",
    "stream-garbage-resync",
    "stream-huge-length",
    "stream-secure-magic",
];

/// A session that has just connected, and the next packet of which has this number.
fn session(transport: Transport, session_id: u16, reply_id: u16, now: Instant) -> Session {
    let connect_id = reply_id.checked_sub(1).unwrap();
    let mut session = Session::new(transport, Options::default()).with_reply_id(connect_id);
    let _ticket = session.submit(Connect, now);
    let mut hello = BytesMut::new();
    encode_packet(
        transport,
        Code::ACK_OK,
        session_id,
        connect_id,
        &[],
        &mut hello,
    );
    session.handle_input(&hello, now);
    while !matches!(session.poll_output(), Output::Wait(_)) {}
    assert!(session.is_connected());
    session
}

/// Plays the terminal's part of a stream to a session that reads the chunk it was recorded for.
fn play(id: &str, request: &[u8], pieces: &[Vec<u8>]) -> (Bytes, usize) {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    let transport = vector(id).transport();
    let packet = match transport {
        Transport::Tcp => &request[8..],
        Transport::Udp => request,
    };
    let packet = Packet::parse(packet).unwrap();
    let slice = ReadBuffer::parse(packet.payload).unwrap();
    let mut session = session(
        transport,
        packet.header.session,
        packet.header.reply_id,
        now,
    );
    let ticket = session.submit(slice, now);
    let mut answer = None;
    let mut events = 0;
    let mut sent = Vec::new();
    for piece in [Vec::new()].iter().chain(pieces) {
        session.handle_input(piece, now);
        loop {
            match session.poll_output() {
                Output::Transmit(bytes) => sent.push(bytes),
                Output::Event(Event::Answer { ticket, result }) => answer = Some((ticket, result)),
                Output::Event(Event::Realtime(_)) => events += 1,
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
    }
    assert_eq!(hex(&sent[0]), hex(request), "{id}");
    assert_eq!(
        sent.len(),
        1 + events,
        "{id}: events are acknowledged, nothing else is sent"
    );
    let (answered, result) = answer.unwrap();
    (ticket.open(answered, result).unwrap(), events)
}

#[test]
fn recorded_chunks_are_read_whole() {
    let request = vector("stream-tcp-att-60").decoded()["request_hex"]
        .as_str()
        .map(unhex);
    let request = request.unwrap();
    for id in [
        "stream-tcp-att-60",
        "stream-tcp-single-data",
        "stream-tcp-event-inside",
    ] {
        let vector = vector(id);
        let expected = vector.decoded();
        let (data, events) = play(id, &request, &[vector.bytes()]);
        let log = AttendanceLog::parse(data, LogHint::default()).unwrap();
        assert_eq!(expected["records"], log.len(), "{id}");
        assert_eq!(
            expected["events"].as_u64().unwrap_or(0),
            events as u64,
            "{id}"
        );
        for (end, record) in [
            ("first", log.iter().next()),
            ("last", log.iter().next_back()),
        ] {
            if expected[end].is_object() {
                same_record(&expected[end], record.unwrap().as_bytes(), log.layout(), id);
            }
        }
        // Byte by byte it is the same.
        let bytes: Vec<Vec<u8>> = vector.bytes().into_iter().map(|byte| vec![byte]).collect();
        let (data, _) = play(id, &request, &bytes);
        assert_eq!(
            AttendanceLog::parse(data, LogHint::default()),
            Ok(log),
            "{id}"
        );
    }
}

#[test]
fn an_acknowledgement_that_overtakes_the_data_loses_nothing() {
    let vector = vector("stream-udp-early-ack");
    let expected = vector.decoded();
    let datagrams: Vec<Vec<u8>> = expected["datagrams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|datagram| unhex(datagram.as_str().unwrap()))
        .collect();
    let request = unhex(expected["request_hex"].as_str().unwrap());
    let (data, _) = play(vector.id(), &request, &datagrams);
    let users = UserList::parse(&data, None).unwrap();
    assert_eq!(expected["users"], users.len());
}

#[test]
fn hostile_and_odd_streams_are_told_apart() {
    let frames = |id: &str| -> Vec<Result<(u16, u16, u16), DecodeError>> {
        decode_any(&vector(id).bytes(), Transport::Tcp)
            .map(|decoded| {
                decoded.map(|packet| (packet.command.0, packet.session_id, packet.reply_id))
            })
            .collect()
    };
    let expected: Vec<_> = vector("stream-coalesced-event").decoded()["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| {
            let field = |name: &str| u16::try_from(number(&frame[name])).unwrap();
            Ok((field("command"), field("session_field"), field("reply_id")))
        })
        .collect();
    assert_eq!(frames("stream-coalesced-event"), expected);
    assert_eq!(frames("stream-header-then-packet").len(), 1);
    let resynced = frames("stream-garbage-resync");
    assert_eq!(
        resynced[0],
        Err(DecodeError::BadMagic {
            found: [0, 1, 2, 3]
        })
    );
    assert!(resynced[1].is_ok());
    let declared = vector("stream-huge-length").decoded()["declared_length"].clone();
    let error = |id: &str| {
        let bytes = vector(id).bytes();
        let mut input = &bytes[..];
        Framer::new(Transport::Tcp).next(&mut input).unwrap_err()
    };
    let DecodeError::FrameTooLong {
        declared: found, ..
    } = error("stream-huge-length")
    else {
        panic!("not refused for its length");
    };
    assert_eq!(declared, found);
    assert_eq!(error("stream-secure-magic"), DecodeError::SecuredFrame);
}

/// The bytes beside the time are not to be mixed up, nor the words for them.
#[test]
fn b7_verify_mode_and_punch_state_come_from_their_own_bytes() {
    let golden = vector("att40-adrobinoga");
    let mut bytes = golden.bytes();
    same_record(golden.decoded(), &bytes, Layout::Bytes40, golden.id());
    let of = |bytes: &[u8]| {
        let record = AttendanceRef::parse(bytes, Layout::Bytes40).unwrap();
        (record.verify_mode().0, record.punch_state().0)
    };
    assert_eq!(of(&bytes), (1, 0));
    for (verify, punch) in [(15, 1), (25, 255), (0, 5), (4, 4)] {
        (bytes[26], bytes[31]) = (verify, punch);
        assert_eq!(of(&bytes), (verify, punch));
    }
}
