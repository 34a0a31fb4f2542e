//! What is true for every value and for every split.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use zk_proto::{
    Code, CommKey,
    record::{
        Attendance, AttendanceLog, AttendanceRef, Counters, Layout, LogHint, Privilege, PunchState,
        User, UserLayout, UserList, VerifyMode,
    },
    request::{Announcement, Answer, DataSet, DeviceOption, Prepared, ReadBuffer},
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
}
