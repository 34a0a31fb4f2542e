//! What is true for every value and for every split.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use zk_proto::{
    Code, CommKey,
    record::{
        Attendance, AttendanceLog, AttendanceRef, Combination, Counters, DayWindow, Event,
        EventCode, EventMask, Face, Group, Layout, LivePunch, LogHint, Message, MessageTag,
        Operation, OperationCode, Privilege, PunchState, Puncher, Template, TemplateFlag, TimeZone,
        Told, User, UserLayout, UserList, UserRecord, UserZones, VerifyMode, VerifyRule,
    },
    request::{
        Announcement, Answer, Auth, BulkUpload, CaptureFinger, ChangeSpeed, ClearData, Clearable,
        Confirmed, DataSet, DeleteMessage, DeleteTemplate, DeleteTemplateOf, DeleteUser,
        DeviceOption, DisableDevice, Finger, IdentifyTemplate, PlayVoice, PrepareUpload, Prepared,
        ReadAttendanceBetween, ReadBuffer, ReadClock, ReadCounters, ReadFaces, ReadOption,
        ReadUserZones, ReadVersion, Request, SetClock, StartEnroll, StartVerify, StoreTemplate,
        Subscribe, Unlock, WriteLcd, WriteMifare, WriteOption, WriteTemplate, WriteUser,
        WriteUserGroup, WriteUserZones, WriteVerifyRule, upload_hash,
    },
    wire::{
        CivilFields, Encoding, Framer, Name, PackedTime, Packet, Transport, UserId, decode_any,
        encode_packet,
    },
};

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)]
}

fn attendance() -> impl Strategy<Value = Attendance> {
    ("[ -~]{0,24}", any::<(u16, u8, u8, u32, u32)>()).prop_map(
        |(id, (uid, verify, punch, time, work_code))| Attendance {
            uid,
            user_id: id.as_str().into(),
            verify_mode: VerifyMode(verify),
            punch_state: PunchState(punch),
            time: PackedTime(time),
            work_code,
        },
    )
}

fn user() -> impl Strategy<Value = User> {
    (
        any::<(u16, u8, u32, u8)>(),
        "\\PC{0,12}",
        "[0-9A-Za-z]{0,24}",
    )
        .prop_map(|((uid, privilege, card, group), name, id)| User {
            uid,
            user_id: id.as_str().into(),
            // The field on the wire has 24 bytes.
            name: Name::from_field(zk_proto::wire::Text::<24>::from(name.as_str()).as_bytes()),
            privilege: Privilege(privilege),
            card,
            group,
        })
}

/// What a request sends.
fn sent<R: Request>(request: &R) -> BytesMut {
    let mut out = BytesMut::new();
    request.encode(&mut out);
    out
}

/// The answer that carries what a terminal wrote.
fn answer(write: impl FnOnce(&mut BytesMut)) -> Answer {
    let mut out = BytesMut::new();
    write(&mut out);
    Answer {
        code: Code::ACK_OK,
        session: 7,
        payload: out.freeze(),
    }
}

/// The packets a framer finds, each input as a piece of its own.
fn frames(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new(Transport::Tcp);
    let mut packets = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(packet) = framer.next(&mut input).unwrap() {
            packets.push(packet.to_vec());
        }
    }
    assert_eq!(framer.pending(), 0);
    packets
}

#[test]
fn reassembles_packets_split_at_every_byte() {
    let mut stream = BytesMut::new();
    let mut expected = Vec::new();
    for (length, reply_id) in [0, 1, 7, 8, 9, 100].into_iter().zip(0..) {
        let start = stream.len() + 8;
        let payload = vec![0x50; length];
        encode_packet(
            Transport::Tcp,
            Code::DATA,
            1,
            reply_id,
            &payload,
            &mut stream,
        );
        expected.push(stream[start..].to_vec());
    }
    for split in 0..=stream.len() {
        let (head, tail) = stream.split_at(split);
        assert_eq!(frames(&[head, tail]), expected);
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(frames(&bytes), expected);
}

proptest! {
    #[test]
    fn packets_survive(
        transport in transport(),
        fields in any::<(u16, u16, u16)>(),
        payload in vec(any::<u8>(), 0..3000),
    ) {
        let (code, session, reply_id) = fields;
        let mut bytes = BytesMut::new();
        encode_packet(transport, Code(code), session, reply_id, &payload, &mut bytes);
        let decoded: Vec<_> = decode_any(&bytes, transport).collect();
        prop_assert_eq!(decoded.len(), 1);
        let packet = decoded[0].as_ref().unwrap();
        prop_assert!(packet.checksum_valid);
        prop_assert_eq!((packet.command.0, packet.session_id, packet.reply_id), fields);
        prop_assert_eq!(packet.payload, &payload[..]);
    }

    #[test]
    fn one_flipped_bit_is_noticed(
        payload in vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = BytesMut::new();
        encode_packet(Transport::Udp, Code::DATA, 3, 4, &payload, &mut bytes);
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        prop_assert!(!Packet::parse(&bytes).unwrap().checksum_valid());
    }

    #[test]
    fn any_split_gives_the_same_packets(
        payloads in vec(vec(any::<u8>(), 0..300), 1..8),
        mut cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut stream = BytesMut::new();
        let mut expected = Vec::new();
        for payload in &payloads {
            let start = stream.len() + 8;
            encode_packet(Transport::Tcp, Code::DATA, 0, 9, payload, &mut stream);
            expected.push(stream[start..].to_vec());
        }
        cuts.sort_by_key(|cut| cut.index(stream.len()));
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().map(|cut| cut.index(stream.len())) {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        pieces.push(&stream[from..]);
        prop_assert_eq!(frames(&pieces), expected);
    }

    #[test]
    fn hostile_bytes_panic_nowhere(bytes in vec(any::<u8>(), 0..400), number in any::<u32>()) {
        for transport in [Transport::Tcp, Transport::Udp] {
            prop_assert!(decode_any(&bytes, transport).count() <= bytes.len().max(1));
            let mut framer = Framer::new(transport);
            let mut input = &bytes[..];
            while !input.is_empty() {
                if framer.next(&mut input).is_err() {
                    framer.resync(&mut input);
                }
            }
        }
        let data = Bytes::from(bytes);
        let count = Some(number % 50);
        let hint = LogHint { count, layout: None };
        let _ = AttendanceLog::parse(data.clone(), hint);
        let _ = AttendanceLog::salvage(&data, hint);
        let _ = UserList::parse(&data, count);
        let _ = UserList::salvage(&data, count);
        let _ = Counters::parse(&data);
        let _ = DataSet::parse(&data);
        let _ = ReadBuffer::parse(&data);
        let _ = Announcement::parse(&data);
        let _ = DeviceOption::parse(&data);
        for code in [Code::ACK_OK, Code::DATA] {
            let _ = Prepared::parse(&Answer { code, session: 0, payload: data.clone() });
        }
        let _ = Encoding::Gbk.decode(&data);
    }

    #[test]
    fn attendance_records_survive(records in vec(attendance(), 1..40)) {
        let mut data = BytesMut::new();
        AttendanceLog::encode(&records, Layout::Bytes40, &mut data);
        let hint = LogHint { count: None, layout: Some(Layout::Bytes40) };
        let log = AttendanceLog::parse(data.freeze(), hint).unwrap();
        let back: Vec<_> = log.iter().map(|record| record.to_record()).collect();
        prop_assert_eq!(back, records);
    }

    #[test]
    fn any_forty_bytes_are_a_record_that_survives(bytes in vec(any::<u8>(), 40)) {
        let record = AttendanceRef::parse(&bytes, Layout::Bytes40).unwrap().to_record();
        let mut out = BytesMut::new();
        record.encode(Layout::Bytes40, &mut out);
        prop_assert_eq!(AttendanceRef::parse(&out, Layout::Bytes40).unwrap().to_record(), record);
        prop_assert_eq!(record.time_valid(), record.time.0 != 0 && record.time.to_civil().is_ok());
    }

    #[test]
    fn users_survive(user in user()) {
        let mut out = BytesMut::new();
        user.encode(UserLayout::Bytes72, &mut out);
        prop_assert_eq!(out.len(), 72);
        prop_assert_eq!(User::parse(&out, UserLayout::Bytes72), Ok(user));
    }

    #[test]
    fn times_survive(number in any::<u32>()) {
        let time = PackedTime(number);
        if time.fields().year < 2100 {
            prop_assert_eq!(PackedTime::from_fields(time.fields()), time);
            if let Ok(civil) = time.to_civil() {
                prop_assert_eq!(PackedTime::from_civil(civil), Ok(time));
                prop_assert_eq!(civil.to_string().replace(' ', "T"), time.to_string());
            }
        }
        let CivilFields { month, day, hour, .. } = time.fields();
        prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24);
    }

    #[test]
    fn a_digest_proves_its_key(key in any::<u32>(), session in any::<u16>(), tick in any::<u8>()) {
        let key = CommKey::new(key);
        prop_assert!(key.accepts(key.digest(session, tick), session));
    }

    #[test]
    fn texts_never_hold_a_nul_and_fit(field in vec(any::<u8>(), 0..60)) {
        let id = UserId::from_field(&field);
        prop_assert!(id.as_bytes().len() <= 24 && !id.as_bytes().contains(&0));
        prop_assert_eq!(UserId::from_field(id.as_bytes()), id);
    }

    #[test]
    fn attendance_records_survive_in_every_layout(
        records in vec(attendance(), 1..40),
        layout in proptest::sample::select(Layout::ALL),
    ) {
        let mut data = BytesMut::new();
        AttendanceLog::encode(&records, layout, &mut data);
        let hint = LogHint { count: None, layout: Some(layout) };
        let log = AttendanceLog::parse(data.clone().freeze(), hint).unwrap();
        prop_assert_eq!(log.layout(), layout);
        // What a layout has no room for is lost once, and then nothing more.
        let once: Vec<_> = log.iter().map(|record| record.to_record()).collect();
        let mut again = BytesMut::new();
        AttendanceLog::encode(&once, layout, &mut again);
        prop_assert_eq!(&again, &data);
        for (read, held) in once.iter().zip(&records) {
            prop_assert_eq!(read.time, held.time);
            prop_assert_eq!(read.verify_mode, held.verify_mode);
            prop_assert_eq!(read.punch_state, held.punch_state);
        }
    }

    #[test]
    fn any_bytes_are_a_record_of_any_layout_that_survives(
        bytes in vec(any::<u8>(), 49),
        layout in proptest::sample::select(Layout::ALL),
    ) {
        let record = AttendanceRef::parse(&bytes, layout).unwrap().to_record();
        let mut out = BytesMut::new();
        record.encode(layout, &mut out);
        prop_assert_eq!(out.len(), layout.width());
        prop_assert_eq!(AttendanceRef::parse(&out, layout).unwrap().to_record(), record);
    }

    #[test]
    fn users_survive_in_every_layout(
        users in vec(user(), 1..20),
        layout in proptest::sample::select(UserLayout::ALL),
    ) {
        for user in users {
            let record = UserRecord::new(&user, layout);
            prop_assert_eq!(record.as_bytes().len(), layout.width());
            let once = record.user();
            prop_assert_eq!(UserRecord::new(&once, layout).user(), once);
            prop_assert_eq!(once.uid, user.uid);
            prop_assert_eq!(once.privilege, user.privilege);
        }
    }

    #[test]
    fn a_record_that_is_changed_keeps_what_is_not_known(
        bytes in vec(any::<u8>(), 120),
        user in user(),
        layout in proptest::sample::select(UserLayout::ALL),
    ) {
        let mut record = UserRecord::parse(&bytes, layout).unwrap();
        record.set(&user);
        prop_assert_eq!(record.user(), UserRecord::new(&user, layout).user());
        // The password stands behind the privilege in every layout.
        prop_assert_eq!(&record.as_bytes()[3..8], &bytes[3..8]);
    }

    #[test]
    fn operations_and_templates_survive(
        operations in vec(any::<(u16, u8, u8, u32, [u16; 4])>(), 0..30),
        templates in vec((any::<(u16, u8, u8)>(), vec(any::<u8>(), 1..80)), 0..10),
    ) {
        let operations: Vec<_> = operations
            .into_iter()
            .map(|(admin, code, unknown, time, params)| Operation {
                admin,
                code: OperationCode(code),
                unknown,
                time: PackedTime(time),
                params,
            })
            .collect();
        let mut data = BytesMut::new();
        Operation::encode_log(&operations, &mut data);
        prop_assert_eq!(Operation::parse_log(&data.freeze()), Ok(operations));
        let templates: Vec<_> = templates
            .into_iter()
            .map(|((uid, finger, flag), data)| Template {
                uid,
                finger,
                flag: TemplateFlag(flag),
                data: data.into(),
            })
            .collect();
        let mut data = BytesMut::new();
        Template::encode_all(&templates, &mut data);
        prop_assert_eq!(&Template::parse_all(&data.freeze()).unwrap(), &templates);
        let upload = BulkUpload {
            users: Vec::new(),
            templates: templates
                .into_iter()
                .map(|template| Template { flag: TemplateFlag::VALID, ..template })
                .collect(),
        };
        prop_assert_eq!(BulkUpload::parse(&upload.encode()), Ok(upload));
    }

    #[test]
    fn access_settings_survive(
        index in 1..51_u32,
        days in any::<[[u8; 4]; 7]>(),
        group in any::<(u8, [u16; 3], bool, u8)>(),
        combination in any::<(u8, [u8; 5], u16)>(),
        zones in any::<(bool, [u16; 3])>(),
        uid in any::<u16>(),
    ) {
        let days = days.map(|[h0, m0, h1, m1]| DayWindow { from: (h0, m0), to: (h1, m1) });
        let zone = TimeZone { index, days };
        let mut out = BytesMut::new();
        zone.encode(&mut out);
        prop_assert_eq!(TimeZone::parse(&out), Ok(zone));
        let mut out = BytesMut::new();
        zone.encode_reply(&mut out);
        prop_assert_eq!(TimeZone::parse_reply(&out, index), Ok(zone));
        let (number, zone_numbers, holidays, verify) = group;
        let group = Group { number, zones: zone_numbers, holidays, verify: verify & 0x7f };
        let mut out = BytesMut::new();
        group.encode(&mut out);
        prop_assert_eq!(Group::parse(&out), Ok(group));
        let (number, groups, count) = combination;
        let combination = Combination { number, groups, count };
        let mut out = BytesMut::new();
        combination.encode(&mut out);
        prop_assert_eq!(Combination::parse(&out), Ok(combination));
        let (own, numbers) = zones;
        let request = WriteUserZones { uid, zones: UserZones { own, zones: numbers } };
        let mut out = BytesMut::new();
        request.encode(&mut out);
        prop_assert_eq!(WriteUserZones::parse(&out), Ok(request));
    }

    #[test]
    fn messages_survive(
        fields in any::<(u8, u16, u16, u16, u32)>(),
        text in vec(1..=255_u8, 0..61),
        long in any::<bool>(),
    ) {
        let (tag, id, minutes, reserved, start) = fields;
        let message = Message { tag: MessageTag(tag), id, minutes, reserved, start: PackedTime(start), text };
        let mut out = BytesMut::new();
        message.encode(long, &mut out);
        prop_assert_eq!(out.len(), if long { 332 } else { 72 });
        prop_assert_eq!(Message::parse(&out), Ok(message));
    }

    #[test]
    fn punches_told_live_survive(
        uid in 1..=u16::MAX,
        number in 1..=u32::MAX,
        states in any::<(u8, u8)>(),
        day in 0..30_000_u32,
        second in 0..86_400_u32,
        width in proptest::sample::select(&[10_usize, 12, 14, 32, 36, 37, 52][..]),
    ) {
        let who = match width {
            10 | 14 => Puncher::Uid(uid),
            _ => Puncher::UserId(UserId::from_number(number)),
        };
        let punch = LivePunch {
            who,
            verify_mode: VerifyMode(states.0),
            punch_state: PunchState(states.1),
            time: PackedTime(day * 86_400 + second),
            extra: Bytes::new(),
        };
        let mut payload = BytesMut::new();
        punch.encode(width, &mut payload);
        let event = Event { code: EventCode::ATTENDANCE, payload: payload.freeze() };
        let Told::Punches(read) = event.decode() else { panic!("{width} bytes") };
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!((read[0].who, read[0].time), (punch.who, punch.time));
        prop_assert_eq!((read[0].verify_mode, read[0].punch_state), (punch.verify_mode, punch.punch_state));
        prop_assert!(read[0].extra.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn other_requests_survive(
        uid in any::<u16>(),
        finger in any::<u8>(),
        flag in any::<u8>(),
        size in any::<u16>(),
        mask in any::<u32>(),
        id in "[!-~]{0,24}",
    ) {
        let (slot, flag) = (Finger { uid, finger }, TemplateFlag(flag));
        let store = StoreTemplate { slot, flag, size };
        prop_assert_eq!(StoreTemplate::parse(&sent(&store)), Ok(store));
        let user_id = UserId::from(id.as_str());
        let enroll = StartEnroll { user_id, finger, flag };
        prop_assert_eq!(StartEnroll::parse(&sent(&enroll)), Ok(enroll));
        let delete = DeleteTemplateOf { user_id, finger };
        prop_assert_eq!(DeleteTemplateOf::parse(&sent(&delete)), Ok(delete));
        prop_assert_eq!(Finger::parse(&sent(&DeleteTemplate(slot))), Ok(slot));
        let subscribe = Subscribe(EventMask(mask));
        prop_assert_eq!(Subscribe::parse(&sent(&subscribe)), subscribe);
        let group = WriteUserGroup { uid, group: finger };
        prop_assert_eq!(WriteUserGroup::parse(&sent(&group)), Ok(group));
        let rule = WriteVerifyRule { uid, rule: VerifyRule(finger) };
        prop_assert_eq!(WriteVerifyRule::parse(&sent(&rule)), Ok(rule));
        prop_assert_eq!(DeleteUser::parse(&sent(&DeleteUser { uid })), Ok(DeleteUser { uid }));
        let verify = StartVerify { uid: Some(uid) };
        prop_assert_eq!(StartVerify::parse(&sent(&verify)), verify);
        let voice = PlayVoice { index: mask };
        prop_assert_eq!(PlayVoice::parse(&sent(&voice)), voice);
    }

    #[test]
    fn requests_of_old_firmware_and_of_the_terminal_itself_survive(
        numbers in any::<[u32; 3]>(),
        uid in any::<u16>(),
        choice in any::<u8>(),
        text in "[!-<>-~]{0,40}",
        templates in vec((any::<u8>(), vec(any::<u8>(), 1..60)), 0..=4),
        user in user(),
        layout in proptest::sample::select(UserLayout::ALL),
    ) {
        let [first, second, third] = numbers;
        let image = CaptureFinger { resolution: first, width: second, height: third };
        prop_assert_eq!(CaptureFinger::parse(&sent(&image)), Ok(image));
        let templates: Vec<_> = templates.into_iter().map(|(finger, data)| (finger, Bytes::from(data))).collect();
        for (finger, data) in &templates {
            let template = Template { uid, finger: *finger, flag: TemplateFlag(choice), data: data.clone() };
            let request = WriteTemplate(template);
            prop_assert_eq!(WriteTemplate::parse(&sent(&request).freeze()), Ok(request));
            prop_assert_eq!(&sent(&IdentifyTemplate(data))[..], &data[..]);
            let face = Face::new(uid, u16::from(*finger), data);
            prop_assert_eq!(usize::from(face.length), data.len());
            prop_assert_eq!(Face::parse_all(&face.block), Ok(vec![face.clone()]));
        }
        let card = WriteMifare { user_id: first, templates };
        prop_assert_eq!(WriteMifare::parse(&sent(&card).freeze()), Ok(card));
        let speed = ChangeSpeed { fast: choice & 1 == 1 };
        prop_assert_eq!(ChangeSpeed::parse(&sent(&speed)), speed);
        let lock = DisableDevice { seconds: Some(first).filter(|seconds| *seconds != 0) };
        prop_assert_eq!(DisableDevice::parse(&sent(&lock)), lock);
        let unlock = Unlock { duration: first };
        prop_assert_eq!(Unlock::parse(&sent(&unlock)), unlock);
        let line = WriteLcd { line: uid, text: text.as_bytes() };
        let shown = sent(&line);
        prop_assert_eq!(WriteLcd::parse(&shown), Ok(line));
        let confirmed = Confirmed::the_data_is_lost_for_good();
        for what in [Clearable::Attendance, Clearable::Templates, Clearable::Operations, Clearable::Users, Clearable::All] {
            prop_assert_eq!(Clearable::parse(&sent(&ClearData { what, confirmed })), Ok(what));
        }
        let upload = PrepareUpload { size: first };
        prop_assert_eq!(PrepareUpload::parse(&sent(&upload)), Ok(upload));
        let faces = ReadFaces { uid, selector: choice };
        prop_assert_eq!(ReadFaces::parse(&sent(&faces)), Ok(faces));
        let message = DeleteMessage { id: uid };
        prop_assert_eq!(DeleteMessage::parse(&sent(&message)), Ok(message));
        let clock = SetClock(PackedTime(first));
        prop_assert_eq!(SetClock::parse(&sent(&clock)), Ok(clock));
        let digest = first.to_le_bytes();
        prop_assert_eq!(Auth::parse(&sent(&Auth { digest })), Ok(Auth { digest }));
        let (from, to) = (PackedTime(first), PackedTime(second));
        let between = ReadAttendanceBetween { from, to, hint: LogHint::default() };
        prop_assert_eq!(DataSet::parse(&sent(&between)), Ok(between.data_set()));
        let record = WriteUser(UserRecord::new(&user, layout));
        prop_assert_eq!(WriteUser::parse(&sent(&record)), Ok(record));
        let option = DeviceOption { key: text.clone(), value: format!("{text}={text}") };
        let written = WriteOption { key: &option.key, value: &option.value };
        prop_assert_eq!(DeviceOption::parse(&sent(&written)), option);
        let asked = ReadOption { key: &text };
        prop_assert_eq!(DeviceOption::parse(&sent(&asked)).key, text);
    }

    #[test]
    fn replies_survive(
        time in any::<u32>(),
        size in any::<u32>(),
        text in "[!-~][ -~]{0,30}[!-~]",
        value in "[!-<>-~]{0,40}",
        own in any::<bool>(),
        zones in any::<[u8; 3]>(),
        counts in proptest::option::of(0..=u32::from(u16::MAX)),
        width in proptest::sample::select(&[80_usize, 92, 112][..]),
    ) {
        let clock = ReadClock.decode(answer(|out| ReadClock::encode_reply(PackedTime(time), out)));
        prop_assert_eq!(clock, Ok(PackedTime(time)));
        let version = ReadVersion.decode(answer(|out| ReadVersion::encode_reply(&text, out)));
        prop_assert_eq!(version.as_ref(), Ok(&text));
        let option = DeviceOption { key: "~OS".into(), value: value.clone() };
        let read = ReadOption { key: "~OS" }.decode(answer(|out| option.encode_reply(out)));
        prop_assert_eq!(read, Ok(value));
        let prepared = Prepared::parse(&answer(|out| Prepared::encode_reply(size, out)));
        prop_assert_eq!(prepared, Ok(Prepared { size, inline: None }));
        let zones = UserZones { own, zones: zones.map(u16::from) };
        let read = ReadUserZones { uid: 1 }.decode(answer(|out| ReadUserZones::encode_reply(zones, out)));
        prop_assert_eq!(read, Ok(zones));
        let counters = Counters { users: counts, records: counts, records_max: counts, ..Counters::default() };
        let read = ReadCounters.decode(answer(|out| counters.encode(width, out))).unwrap();
        let told = Some(counts.unwrap_or(0));
        prop_assert_eq!((read.users, read.records, read.records_max), (told, told, told));
    }

    #[test]
    fn hostile_bytes_panic_nowhere_else_either(bytes in vec(any::<u8>(), 0..400), code in any::<u16>()) {
        let data = Bytes::from(bytes);
        let _ = Event { code: EventCode(1 << (code % 16)), payload: data.clone() }.decode();
        let _ = Operation::parse_log(&data);
        let _ = Template::parse_all(&data);
        let _ = Face::parse_all(&data);
        let _ = BulkUpload::parse(&data);
        let _ = UserList::records(&data, Some(u32::from(code) % 20));
        let _ = Message::parse(&data);
        let _ = TimeZone::parse_reply(&data, code.into());
        let _ = Group::parse(&data);
        let _ = Combination::parse(&data);
        let _ = upload_hash(&data);
        for layout in Layout::ALL {
            let hint = LogHint { count: Some(code.into()), layout: Some(*layout) };
            let _ = AttendanceLog::parse(data.clone(), hint);
        }
    }
}
