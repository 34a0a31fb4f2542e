//! Bytes from captures and published notes, in both directions.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Instant};

use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use zk_proto::{
    Code, CommKey, DecodeError, Encoding, Error, Session,
    record::{
        Alarm, AttendanceLog, AttendanceRef, Counters, DayWindow, Event as RealtimeEvent,
        EventCode, EventMask, Layout, LogHint, Message, Operation, Puncher, Template, TemplateFlag,
        TimeZone, Told, User, UserLayout, UserList, UserRecord, VerifyRule,
    },
    request::{
        Announcement, Answer, Auth, BulkUpload, CancelCapture, ClearAdmins, ClearAttendance,
        ClearData, ClearOperations, Clearable, Confirmed, Connect, DataSet, DeleteTemplate,
        DeleteUser, DeviceOption, DisableDevice, Exit, Finger, FreeBuffer, PlayVoice,
        PrepareBuffer, PrepareUpload, Prepared, ReadAttendanceDirect, ReadBuffer, ReadClock,
        ReadCombination, ReadCounters, ReadDoor, ReadFaces, ReadGroup, ReadOption, ReadPinWidth,
        ReadState, ReadTemplate, ReadTimeZone, ReadUploadHash, ReadUserGroup, ReadUsersDirect,
        ReadVersion, RefreshData, Request, Restart, SaveUploaded, SetClock, StartEnroll,
        StoreTemplate, Subscribe, Unlock, UploadPart, WriteLcd, WriteMessage, WriteOption,
        WriteTimeZone, WriteUser, WriteUserGroup, WriteUserZones, WriteVerifyRule, upload_hash,
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
fn every_vector_is_covered() {
    let all = vectors();
    assert!(all.len() > 150);
    let open: BTreeSet<&str> = all
        .iter()
        .filter(|vector| !is_covered(vector))
        .map(Vector::id)
        .collect();
    assert!(open.is_empty(), "no test says what these mean: {open:#?}");
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
        _ => return other_request(expected, &packet, id),
    }
    true
}

fn small(json: &Json) -> u16 {
    u16::try_from(number(json)).unwrap()
}

fn byte(json: &Json) -> u8 {
    u8::try_from(number(json)).unwrap()
}

fn other_request(expected: &Json, packet: &Packet<'_>, id: &str) -> bool {
    let payload = packet.payload;
    let whole = Bytes::copy_from_slice(payload);
    let confirmed = Confirmed::the_data_is_lost_for_good();
    match packet.header.code {
        Code::GRPTZ_RRQ => {
            let number = byte(&expected["group"]);
            encodes(&ReadGroup { number }, packet, id);
        }
        Code::ULG_RRQ => {
            let number = byte(&expected["combination"]);
            encodes(&ReadCombination { number }, packet, id);
        }
        Code::TZ_WRQ => {
            let zone = TimeZone::parse(payload).unwrap();
            same_week(expected, &zone, id);
            encodes(&WriteTimeZone(zone), packet, id);
        }
        Code::USERGRP_WRQ => {
            let request = WriteUserGroup {
                uid: small(&expected["uid"]),
                group: byte(&expected["group"]),
            };
            assert_eq!(WriteUserGroup::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::USERTZ_WRQ => {
            let request = WriteUserZones::parse(payload).unwrap();
            assert_eq!(expected["uid"], request.uid, "{id}");
            assert_eq!(expected["own_zones"], request.zones.own, "{id}");
            let zones = serde_json::to_value(request.zones.zones).unwrap();
            assert_eq!(expected["timezones"], zones, "{id}");
            encodes(&request, packet, id);
        }
        Code::VERIFY_WRQ => {
            let request = WriteVerifyRule {
                uid: small(&expected["uid"]),
                rule: VerifyRule(byte(&expected["mode"])),
            };
            assert_eq!(WriteVerifyRule::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::CLEAR_ADMIN => encodes(&ClearAdmins(confirmed), packet, id),
        Code::CLEAR_ATTLOG => encodes(&ClearAttendance(confirmed), packet, id),
        Code::CLEAR_OPLOG => encodes(&ClearOperations(confirmed), packet, id),
        Code::CLEAR_DATA => {
            let what = Clearable::parse(payload).unwrap();
            assert_eq!(what, Clearable::All, "{id}");
            encodes(&ClearData { what, confirmed }, packet, id);
        }
        Code::DOORSTATE_RRQ => encodes(&ReadDoor, packet, id),
        Code::STATE_RRQ => encodes(&ReadState, packet, id),
        Code::GET_PINWIDTH => encodes(&ReadPinWidth, packet, id),
        Code::RESTART => encodes(&Restart, packet, id),
        Code::CANCELCAPTURE => encodes(&CancelCapture, packet, id),
        Code::WRITE_LCD => {
            let request = WriteLcd::parse(payload).unwrap();
            assert_eq!(expected["line"], request.line, "{id}");
            assert_eq!(
                expected["text"],
                request.decode_text(Encoding::Utf8),
                "{id}"
            );
            encodes(&request, packet, id);
        }
        Code::UNLOCK => {
            let request = Unlock {
                duration: number(&expected["value"]),
            };
            assert_eq!(Unlock::parse(payload), request, "{id}");
            encodes(&request, packet, id);
        }
        Code::TESTVOICE => {
            let request = PlayVoice {
                index: number(&expected["index"]),
            };
            assert_eq!(PlayVoice::parse(payload), request, "{id}");
            encodes(&request, packet, id);
        }
        Code::ATTLOG_RRQ => encodes(&ReadAttendanceDirect::default(), packet, id),
        Code::USERTEMP_RRQ => {
            assert_eq!(expected["fct"], ReadUsersDirect::SELECTOR, "{id}");
            encodes(&ReadUsersDirect::default(), packet, id);
        }
        Code::STARTENROLL => {
            let request = StartEnroll {
                user_id: expected["user_id"].as_str().unwrap().into(),
                finger: byte(&expected["finger"]),
                flag: TemplateFlag(byte(&expected["flag"])),
            };
            assert_eq!(StartEnroll::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::REG_EVENT => {
            let request = Subscribe(EventMask(number(&expected["mask"])));
            assert_eq!(Subscribe::parse(payload), request, "{id}");
            encodes(&request, packet, id);
        }
        // What a session sends for an event: its number is 0, and there is nothing in it.
        Code::ACK_OK => {
            assert_eq!((packet.header.reply_id, payload.len()), (0, 0), "{id}");
            let event = vector("ev-att-12").bytes();
            assert_eq!(
                acknowledged(&event, packet.header.session),
                vector(id).bytes()
            );
        }
        // Other clients' habit: a terminal in software answers it (`q91` in tests/it/quirks.rs).
        Code::ACK_UNKNOWN => assert_eq!(DeviceOption::parse(payload).key, "~ExtendFmt", "{id}"),
        Code::SAVE_USERTEMPS => encodes(&SaveUploaded, packet, id),
        Code::PREPARE_DATA => {
            let request = PrepareUpload {
                size: number(&expected["size"]),
            };
            assert_eq!(PrepareUpload::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::DATA => {
            let upload = BulkUpload::parse(&whole).unwrap();
            let [user] = &upload.users[..] else {
                panic!("{id}")
            };
            same_user(&expected["user"], user.as_bytes(), user.layout(), id);
            let told = expected["table"].as_array().unwrap();
            let lengths = expected["template_lengths"].as_array().unwrap();
            assert_eq!(upload.templates.len(), told.len(), "{id}");
            for (template, (row, length)) in upload.templates.iter().zip(told.iter().zip(lengths)) {
                assert_eq!(row["uid"], template.uid, "{id}");
                assert_eq!(row["finger"], template.finger, "{id}");
                assert_eq!(*length, template.data.len(), "{id}");
            }
            assert_eq!(hex(&upload.encode()), hex(payload), "{id}");
            encodes(&UploadPart(payload), packet, id);
        }
        Code::DELETE_USERTEMP => {
            let finger = finger(expected);
            assert_eq!(Finger::parse(payload), Ok(finger), "{id}");
            encodes(&DeleteTemplate(finger), packet, id);
        }
        Code::GET_USERTEMP => encodes(&ReadTemplate(finger(expected)), packet, id),
        Code::TMP_WRITE => {
            let request = StoreTemplate {
                slot: finger(expected),
                flag: TemplateFlag(byte(&expected["flag"])),
                size: small(&expected["size"]),
            };
            assert_eq!(StoreTemplate::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::FACE_RRQ => {
            let request = ReadFaces {
                uid: small(&expected["uid"]),
                selector: byte(&expected["selector"]),
            };
            assert_eq!(ReadFaces::parse(payload), Ok(request), "{id}");
            encodes(&request, packet, id);
        }
        Code::SMS_WRQ => {
            let message = Message::parse(payload).unwrap();
            same_message(expected, &message, id);
            encodes(
                &WriteMessage {
                    message,
                    long: false,
                },
                packet,
                id,
            );
        }
        _ => return false,
    }
    true
}

fn finger(expected: &Json) -> Finger {
    Finger {
        uid: small(&expected["uid"]),
        finger: byte(&expected["finger"]),
    }
}

fn same_week(expected: &Json, zone: &TimeZone, id: &str) {
    assert_eq!(expected["index"], zone.index, "{id}");
    let names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    for (name, day) in names.iter().zip(zone.days) {
        let DayWindow { from, to } = day;
        let told = format!("{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1);
        assert_eq!(expected["days"][name], told, "{id}");
        assert_eq!(day.is_closed(), told == "23:59-00:00", "{id}");
    }
}

fn same_message(expected: &Json, message: &Message, id: &str) {
    assert_eq!(expected["tag"], message.tag.0, "{id}");
    assert_eq!(expected["id"], message.id, "{id}");
    assert_eq!(expected["valid_minutes"], message.minutes, "{id}");
    assert_eq!(expected["start"], message.start.to_string(), "{id}");
    assert_eq!(expected["text"], message.decode(Encoding::Utf8), "{id}");
}

/// What a session answers to an event.
fn acknowledged(event: &[u8], session_id: u16) -> Bytes {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    let mut session = session(Transport::Tcp, session_id, 7, now);
    session.handle_input(event, now);
    match session.poll_output() {
        Output::Transmit(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// What an event says, field by field.
fn same_event(expected: &Json, packet: &Packet<'_>, id: &str) {
    let event = RealtimeEvent {
        code: EventCode(packet.header.session),
        payload: Bytes::copy_from_slice(packet.payload),
    };
    assert_eq!(expected["event"], event.code.0, "{id}");
    match event.decode() {
        Told::Punches(punches) => {
            let [punch] = &punches[..] else {
                panic!("{id}")
            };
            let who = match punch.who {
                Puncher::Uid(uid) => uid.to_string(),
                Puncher::UserId(user_id) => user_id.to_string(),
            };
            assert_eq!(expected["user"], who, "{id}");
            assert_eq!(expected["verify"], punch.verify_mode.0, "{id}");
            assert_eq!(expected["punch"], punch.punch_state.0, "{id}");
            assert_eq!(expected["time"], punch.time.to_string(), "{id}");
            assert_eq!(expected["extra_hex"], hex(&punch.extra), "{id}");
            let mut out = BytesMut::new();
            punch.encode(packet.payload.len(), &mut out);
            assert_eq!(hex(&out), hex(packet.payload), "{id}");
        }
        Told::Finger => assert_eq!(expected["event_name"], "EF_FINGER", "{id}"),
        Told::FingerScore(score) => assert_eq!(expected["score"], score, "{id}"),
        Told::FingerEnrolled(enrolled) => {
            assert_eq!(expected["result"], enrolled.result, "{id}");
            assert_eq!(expected["template_size"], enrolled.size, "{id}");
            assert_eq!(expected["user_id"], enrolled.user_id.to_string(), "{id}");
            assert_eq!(expected["finger"], enrolled.finger, "{id}");
            assert!(enrolled.is_ok(), "{id}");
        }
        Told::Verified { uid } => {
            assert_eq!(expected["user"].as_u64(), uid.map(u64::from), "{id}");
            assert_eq!(expected["identified"], uid.is_some(), "{id}");
        }
        Told::Alarm(Alarm::Tamper) => assert_eq!(expected["alarm"], "tamper", "{id}"),
        Told::Alarm(Alarm::Door(5)) => {
            assert_eq!(
                (&expected["alarm"], &expected["door"]),
                (&"door".into(), &"closed".into())
            );
        }
        other => panic!("{id}: {other:?}"),
    }
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
        "access" => match id {
            "acc-tz-ack" => {
                let index = number(&expected["index"]);
                let zone = ReadTimeZone { index }.decode(answer()).unwrap();
                same_week(expected, &zone, id);
                let mut out = BytesMut::new();
                zone.encode_reply(&mut out);
                // The last two bytes have no known meaning.
                assert_eq!(hex(&out[..30]), hex(&payload[..30]), "{id}");
            }
            "acc-ulg-ack" => {
                let number = byte(&expected["combination"]);
                let found = ReadCombination { number }.decode(answer()).unwrap();
                assert_eq!(found.number, number, "{id}");
                let groups = serde_json::to_value(found.groups).unwrap();
                assert_eq!(expected["groups"], groups, "{id}");
                assert_eq!(expected["count"], found.count, "{id}");
                let mut out = BytesMut::new();
                found.encode(&mut out);
                assert_eq!(out, payload, "{id}");
            }
            "acc-usergrp-ack" => {
                let group = ReadUserGroup { uid: 10 }.decode(answer()).unwrap();
                assert_eq!(expected["group"], group, "{id}");
            }
            _ => return false,
        },
        "attendance" => {
            let log = AttendanceLog::parse(payload, LogHint::default()).unwrap();
            same_log(expected, &log, id);
        }
        "events" => same_event(expected, &packet, id),
        "sms" => {
            let message = Message::parse(&payload).unwrap();
            same_message(expected, &message, id);
            let mut out = BytesMut::new();
            message.encode(true, &mut out);
            assert_eq!(hex(&out), hex(&payload), "{id}");
        }
        "templates" => {
            let templates = Template::parse_all(&payload).unwrap();
            let told = expected["templates"].as_array().unwrap();
            assert_eq!(templates.len(), told.len(), "{id}");
            for (template, told) in templates.iter().zip(told) {
                assert_eq!(told["uid"], template.uid, "{id}");
                assert_eq!(told["finger"], template.finger, "{id}");
                assert_eq!(told["flag"], template.flag.0, "{id}");
                assert_eq!(told["template_hex"], hex(&template.data), "{id}");
            }
            let mut out = BytesMut::new();
            Template::encode_all(&templates, &mut out);
            assert_eq!(out, payload, "{id}");
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
        "users" => {
            let layout = UserLayout::of_width(bytes.len()).unwrap();
            same_user(expected, &bytes, layout, id);
        }
        "attendance" if id == "att49-speedface-2" => {
            let log = AttendanceLog::parse(bytes.into(), LogHint::default()).unwrap();
            same_log(expected, &log, id);
        }
        "attendance" => {
            // One record alone is told by what it looks like as well.
            let layout = match id {
                "att8-ma300-order" => Layout::Bytes8TimeLast,
                _ => Layout::of_width(bytes.len()).unwrap(),
            };
            same_record(expected, &bytes, layout, id);
            let mut data = BytesMut::from(&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..]);
            data.extend_from_slice(&bytes);
            let log = AttendanceLog::parse(data.freeze(), LogHint::default()).unwrap();
            assert_eq!(log.layout(), layout, "{id}");
        }
        "oplog" => {
            let operation = Operation::parse(&bytes).unwrap();
            assert_eq!(expected["admin"], operation.admin, "{id}");
            assert_eq!(expected["op"], operation.code.0, "{id}");
            assert_eq!(expected["byte3"], operation.unknown, "{id}");
            assert_eq!(expected["time"], operation.time.to_string(), "{id}");
            let params = serde_json::to_value(operation.params).unwrap();
            assert_eq!(expected["params"], params, "{id}");
            let mut out = BytesMut::new();
            operation.encode(&mut out);
            assert_eq!(hex(&out), hex(&bytes), "{id}");
        }
        "template-upload" => {
            let buffer = unhex(expected["buffer_hex"].as_str().unwrap());
            assert_eq!(expected["hash"], upload_hash(&buffer), "{id}");
            let answer = Answer {
                code: Code::ACK_OK,
                session: 0,
                payload: bytes.into(),
            };
            assert_eq!(
                ReadUploadHash.decode(answer),
                Ok(upload_hash(&buffer)),
                "{id}"
            );
        }
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
    let name = match expected["first_name"].as_str() {
        Some(first) => format!("{first} {}", expected["last_name"].as_str().unwrap()),
        None => expected["name"].as_str().unwrap().to_owned(),
    };
    assert_eq!(name, user.name.decode(Encoding::Utf8), "{id}");
    assert_eq!(expected["card"], user.card, "{id}");
    for (field, found) in [
        ("privilege", user.privilege.0),
        ("level", user.privilege.level()),
        ("group", user.group),
    ] {
        if !expected[field].is_null() {
            assert_eq!(expected[field], found, "{id}");
        }
    }
    if let Some(enabled) = expected["enabled"].as_bool() {
        assert_eq!(enabled, !user.privilege.is_disabled(), "{id}");
    }
    let user_id = expected["user_id"].to_string();
    assert_eq!(user_id.trim_matches('"'), user.user_id.to_string(), "{id}");
    let mut out = BytesMut::new();
    user.encode(layout, &mut out);
    let forgotten = match layout {
        UserLayout::Bytes72 => vec![3..11, 40..48],
        UserLayout::Bytes28 => vec![3..8, 22..24],
        _ => vec![3..35, 87..96],
    };
    let kept = |index: &usize| !forgotten.iter().any(|range| range.contains(index));
    let rest = |bytes: &[u8]| -> Vec<u8> {
        (0..bytes.len())
            .filter(kept)
            .map(|index| bytes[index])
            .collect()
    };
    assert_eq!(hex(&rest(&out)), hex(&rest(bytes)), "{id}");
    // Writing a record back changes nothing but what is set.
    let mut record = UserRecord::parse(bytes, layout).unwrap();
    record.set(&user);
    assert_eq!(record.user(), user, "{id}");
}

fn same_log(expected: &Json, log: &AttendanceLog, id: &str) {
    assert_eq!(expected["record_size"], log.layout().width(), "{id}");
    let all = expected["records"].as_array().unwrap();
    assert_eq!(log.len(), all.len(), "{id}");
    for (record, told) in log.iter().zip(all) {
        same_record(told, record.as_bytes(), log.layout(), id);
    }
}

fn same_record(expected: &Json, bytes: &[u8], layout: Layout, id: &str) {
    let read = AttendanceRef::parse(bytes, layout).unwrap();
    let record = read.to_record();
    // Old firmware: the first of two bytes is the punch (12.3 of the notes), the other the mode.
    let [punch, verify] = if layout == Layout::Bytes16 {
        ["byte8", "byte9"]
    } else {
        ["punch", "verify"]
    };
    let state = if layout == Layout::Bytes22 {
        "state"
    } else {
        punch
    };
    assert_eq!(expected[verify], record.verify_mode.0, "{id}");
    assert_eq!(expected[state], record.punch_state.0, "{id}");
    assert_eq!(expected["time"], record.time.to_string(), "{id}");
    let user_id = expected["user_id"].to_string();
    match &expected["user_id"] {
        Json::Null => assert!(record.user_id.is_empty() && !layout.has_user_id(), "{id}"),
        _ => assert_eq!(
            user_id.trim_matches('"'),
            record.user_id.to_string(),
            "{id}"
        ),
    }
    if !expected["uid"].is_null() {
        assert_eq!(expected["uid"], record.uid, "{id}");
    }
    if !expected["workcode"].is_null() {
        assert_eq!(expected["workcode"], record.work_code, "{id}");
    }
    if !expected["ext_hex"].is_null() {
        assert_eq!(expected["ext_hex"], hex(&read.extra()[4..]), "{id}");
    }
    let mut out = BytesMut::new();
    record.encode(layout, &mut out);
    // What lies behind the fields has no known meaning.
    let end = bytes.len() - read.extra().len();
    assert_eq!(hex(&out[..end]), hex(&bytes[..end]), "{id}");
}

/// Streams that a test below plays through.
const STREAMS: [&str; 12] = [
    "stream-enroll-ok",
    "stream-k40-direct-attlog",
    "stream-tpl-single",
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
    let packet = match vector(id).transport() {
        Transport::Tcp => &request[8..],
        Transport::Udp => request,
    };
    let packet = Packet::parse(packet).unwrap();
    let slice = ReadBuffer::parse(packet.payload).unwrap();
    let (result, events) = play_to(id, slice, request, pieces);
    (result.unwrap(), events.len())
}

/// Plays the terminal's part of a stream to a session that has asked for it.
fn play_to<R: Request>(
    id: &str,
    asked: R,
    request: &[u8],
    pieces: &[Vec<u8>],
) -> (Result<R::Reply, Error>, Vec<RealtimeEvent>) {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    let transport = vector(id).transport();
    let packet = match transport {
        Transport::Tcp => &request[8..],
        Transport::Udp => request,
    };
    let packet = Packet::parse(packet).unwrap();
    let mut session = session(
        transport,
        packet.header.session,
        packet.header.reply_id,
        now,
    );
    let ticket = session.submit(asked, now);
    let mut answer = None;
    let mut events = Vec::new();
    let mut sent = Vec::new();
    for piece in [Vec::new()].iter().chain(pieces) {
        session.handle_input(piece, now);
        loop {
            match session.poll_output() {
                Output::Transmit(bytes) => sent.push(bytes),
                Output::Event(Event::Answer { ticket, result }) => answer = Some((ticket, result)),
                Output::Event(Event::Realtime(event)) => events.push(event),
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
    }
    assert_eq!(hex(&sent[0]), hex(request), "{id}");
    assert_eq!(
        sent.len(),
        1 + events.len(),
        "{id}: events are acknowledged, nothing else is sent"
    );
    let (answered, result) = answer.unwrap();
    (ticket.open(answered, result), events)
}

#[test]
fn an_enrolment_is_told_step_by_step() {
    let vector = vector("stream-enroll-ok");
    let codes: Vec<_> = decode_any(&vector.bytes(), Transport::Tcp)
        .map(|packet| packet.unwrap())
        .map(|packet| {
            let event = RealtimeEvent {
                code: EventCode(packet.session_id),
                payload: Bytes::copy_from_slice(packet.payload),
            };
            match event.decode() {
                Told::Finger | Told::FingerScore(100) => {}
                Told::FingerEnrolled(enrolled) => {
                    assert!(enrolled.is_ok() && enrolled.user_id == "7077".into());
                }
                other => panic!("{other:?}"),
            }
            packet.session_id
        })
        .collect();
    let expected = serde_json::to_value(codes).unwrap();
    assert_eq!(vector.decoded()["events"], expected);
}

#[test]
fn a_template_comes_without_its_flag() {
    let vector = vector("stream-tpl-single");
    let expected = vector.decoded();
    let asked = ReadTemplate(Finger { uid: 77, finger: 6 });
    let mut request = BytesMut::new();
    encode_packet(
        Transport::Tcp,
        asked.code(),
        25505,
        50,
        &[77, 0, 6],
        &mut request,
    );
    let (result, _) = play_to(vector.id(), asked, &request, &[vector.bytes()]);
    let template = result.unwrap();
    assert_eq!(expected["template_hex"], hex(&template.data));
    assert_eq!(expected["trailing_flag"], template.flag.0);
}

/// The framing is right, the counters agree, and the records are uninitialised memory.
#[test]
fn q53_a_direct_read_that_brings_garbage_is_an_error() {
    let vector = vector("stream-k40-direct-attlog");
    let expected = vector.decoded();
    let request = unhex(expected["request_hex"].as_str().unwrap());
    let whole = unhex(vector.text("hex"));
    for count in [None, Some(3)] {
        let hint = LogHint {
            count,
            layout: None,
        };
        let asked = ReadAttendanceDirect { hint };
        let (result, _) = play_to(vector.id(), asked, &request, std::slice::from_ref(&whole));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), "unknown_width", "{error}");
        assert_eq!(
            expected["announced_total"],
            error.partial().unwrap().len() - 4
        );
    }
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
    let golden = vector("att49-speedface-2");
    let log = AttendanceLog::parse(golden.bytes().into(), LogHint::default()).unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|record| (record.verify_mode().0, record.punch_state().0))
        .collect();
    assert_eq!(told, [(15, 0), (25, 1)]);
    for (verify, punch) in [(15, 1), (25, 255), (0, 5), (4, 4)] {
        (bytes[26], bytes[31]) = (verify, punch);
        assert_eq!(of(&bytes), (verify, punch));
    }
}
