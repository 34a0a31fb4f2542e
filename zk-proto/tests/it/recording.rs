//! From a bug report to a test: recording, masking, replaying.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use bytes::BytesMut;
use proptest::prelude::*;
use zk_proto::{
    Client, Code, CommKey, Connect, Error, Recorder,
    mock::{Builder, Fault, MockDevice, Profile, Serve},
    record::{Attendance, Counters, Layout, Operation, OperationCode, User, UserLayout},
    recording::{Connection, End, Recording, Side},
    request::{DataSet, ReadBuffer, Request, WriteUser},
    wire::{Packet, Transport, encode_packet},
};

/// What a read gave, or the kind of its error and how much of it had come.
type Read<T> = Result<T, (&'static str, Option<usize>)>;

/// What `device dump` reads, each part as it came.
#[derive(Debug, PartialEq)]
struct Dump {
    serial: Option<String>,
    mac: Option<String>,
    name: Option<String>,
    platform: Option<String>,
    counters: Option<Counters>,
    users: Read<Vec<User>>,
    log: Read<(Layout, Vec<Attendance>)>,
}

fn failure(error: &Error) -> (&'static str, Option<usize>) {
    (error.kind(), error.partial().map(bytes::Bytes::len))
}

async fn dump(device: &MockDevice, options: Connect) -> Result<Dump, &'static str> {
    let connected = Client::connect(device.addr(), options).await;
    let mut terminal = connected.map_err(|error| error.kind())?;
    let info = terminal.info().await.map_err(|error| error.kind())?;
    let dump = Dump {
        serial: info.serial_number,
        mac: info.mac,
        name: info.name,
        platform: info.platform,
        counters: terminal.counters().await.ok(),
        users: terminal.users().await.map_err(|error| failure(&error)),
        log: match terminal.attendance().await {
            Ok(log) => Ok((
                log.layout(),
                log.iter().map(|record| record.to_record()).collect(),
            )),
            Err(error) => Err(failure(&error)),
        },
    };
    // A terminal that has gone says no goodbye.
    let _ = terminal.disconnect().await;
    Ok(dump)
}

fn over(transport: Transport) -> Connect {
    let connect = match transport {
        Transport::Tcp => Connect::tcp(),
        Transport::Udp => Connect::udp().retries(1),
    };
    // Nothing that is recorded here is silent for long, however busy the machine.
    connect.timeout(Duration::from_secs(10))
}

/// What a terminal says, what is left of it in a recording, and what the recording says.
async fn both(
    builder: Builder,
    options: Connect,
) -> (
    Result<Dump, &'static str>,
    Recording,
    Result<Dump, &'static str>,
) {
    let device = builder.start().await.unwrap();
    let recorder = Recorder::new();
    let said = dump(&device, options.clone().record(&recorder)).await;
    let text = recorder.recording().to_string();
    let recording: Recording = text.parse().unwrap();
    assert_eq!(recording.to_string(), text);
    let left = common(&recording, &recorder.recording());
    let replayed = MockDevice::replay(&recording).start().await.unwrap();
    let again = dump(&replayed, options.clone()).await;
    replayed.assert_replayed();
    assert_eq!(
        dump(&replayed, options).await,
        again,
        "a second client is told the same"
    );
    (said, left, again)
}

/// The same records about the same people under other names.
fn assert_masked(said: &Dump, masked: &Dump) {
    let mut people: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut same_person = |id: &[u8], other: &[u8]| {
        assert_eq!(id.len(), other.len());
        let known = people.entry(id.to_vec()).or_insert_with(|| other.to_vec());
        assert_eq!(known, other, "one person became two");
    };
    let (Ok(users), Ok(others)) = (&said.users, &masked.users) else {
        panic!("{said:?} {masked:?}");
    };
    assert_eq!(users.len(), others.len());
    for (user, other) in users.iter().zip(others) {
        same_person(user.user_id.as_bytes(), other.user_id.as_bytes());
        assert_eq!((user.privilege, user.group), (other.privilege, other.group));
        assert_eq!(user.name.as_bytes().len(), other.name.as_bytes().len());
        assert!(user.name != other.name && user.user_id != other.user_id);
        assert_eq!(user.card.checked_ilog10(), other.card.checked_ilog10());
        assert!(user.card == 0 || user.card != other.card);
    }
    let (Ok((layout, log)), Ok((same, masked))) = (&said.log, &masked.log) else {
        panic!("{said:?} {masked:?}");
    };
    assert_eq!((layout, log.len()), (same, masked.len()));
    for (record, other) in log.iter().zip(masked) {
        same_person(record.user_id.as_bytes(), other.user_id.as_bytes());
        let people_apart = |record: &Attendance| Attendance {
            uid: 0,
            user_id: "".into(),
            ..*record
        };
        assert_eq!(people_apart(record), people_apart(other));
    }
    let mut others: Vec<&Vec<u8>> = people.values().collect();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), people.len(), "two people became one");
}

/// What two disguises of a conversation have in common: what is left of it, and no chance.
fn common(one: &Recording, other: &Recording) -> Recording {
    let mut common = one.clone();
    for (one, other) in common.connections.iter_mut().zip(&other.connections) {
        for (message, other) in one.messages.iter_mut().zip(&other.messages) {
            let pairs = message.bytes.iter().zip(&other.bytes);
            let same = pairs.map(|(left, right)| if left == right { *left } else { 0 });
            message.bytes = same.collect();
        }
    }
    common
}

/// No name, no id of four digits or more, no card number, nothing of the terminal itself.
fn assert_nobody(recording: &Recording, users: &[User], options: &[&str]) {
    let find = |secret: &[u8], what: &str| {
        for message in recording.connections.iter().flat_map(|one| &one.messages) {
            let leaks = message
                .bytes
                .windows(secret.len())
                .any(|part| part == secret);
            let code = message.packet().map(|packet| packet.header.code);
            assert!(!leaks, "{what} {secret:?} in {:?} {code:?}", message.from);
        }
    };
    for user in users {
        for name in user.name.as_bytes().split(|byte| *byte == b' ') {
            if name.len() > 2 {
                find(name, "the name");
            }
        }
        if user.user_id.as_bytes().len() > 3 {
            find(user.user_id.as_bytes(), "the id");
        }
        if user.card > 0xff_ffff {
            find(&user.card.to_le_bytes(), "the card");
        }
    }
    for text in options {
        find(text.as_bytes(), "the option");
    }
}

#[tokio::test]
async fn a_recorded_terminal_of_any_profile_answers_again_without_its_people() {
    let mut recordings = 0;
    for profile in Profile::ALL.iter().copied() {
        for transport in [Transport::Tcp, Transport::Udp] {
            let is_old = matches!(profile, Profile::Bw | Profile::BwCompact);
            if is_old && transport == Transport::Tcp {
                continue;
            }
            let builder = MockDevice::builder()
                .generate(11, 20, if profile == Profile::Tft { 2000 } else { 300 })
                .profile(profile)
                .serial("AEVL193660291")
                .mac("00:17:61:AB:CD:EF")
                .name("Lobby west")
                .comm_key(1234);
            let people = builder.clone().build().unwrap().snapshot().users;
            let mut options = over(transport).comm_key(CommKey::new(1234));
            if profile == Profile::Panel {
                // It is silent to what it does not understand.
                options = options.timeout(Duration::from_millis(300)).retries(0);
            }
            let (said, recording, again) = both(builder, options).await;
            match (said, again) {
                (Ok(said), Ok(masked)) => {
                    assert_masked(&said, &masked);
                    assert_eq!(said.platform, masked.platform);
                    assert_eq!(said.counters, masked.counters);
                    assert_ne!(said.serial, masked.serial);
                }
                (said, again) => {
                    assert_eq!(said, again);
                    assert!(
                        matches!(profile, Profile::Secured | Profile::Panel),
                        "{profile}"
                    );
                }
            }
            let options = [
                "AEVL193660291",
                "193660291",
                "00:17:61:AB:CD:EF",
                "Lobby",
                "west",
            ];
            assert_nobody(&recording, &people, &options);
            recordings += 1;
        }
    }
    assert_eq!(recordings, 14);
}

#[tokio::test]
async fn every_width_of_users_and_records_keeps_its_width_and_loses_its_people() {
    for user in UserLayout::ALL {
        for log in Layout::ALL {
            // Nothing in a log tells this one from its twin.
            if *log == Layout::Bytes16VerifyFirst {
                continue;
            }
            for transport in [Transport::Tcp, Transport::Udp] {
                let builder = MockDevice::builder()
                    .generate(3, 12, 60)
                    .user_width(user.width())
                    .attendance_layout(*log)
                    .max_packet(277);
                let (said, recording, again) = both(builder.clone(), over(transport)).await;
                let (said, masked) = (said.unwrap(), again.unwrap());
                assert_masked(&said, &masked);
                let users = builder.build().unwrap().snapshot().users;
                assert_nobody(&recording, &users, &[]);
            }
        }
    }
}

#[tokio::test]
async fn what_went_wrong_goes_wrong_again() {
    let held = || MockDevice::builder().generate(5, 30, 600).max_packet(900);
    let faults = vec![
        (
            "truncated",
            held().fault(Fault::truncate_log(413)),
            Transport::Tcp,
        ),
        (
            "truncated",
            held().fault(Fault::truncate_log(413)),
            Transport::Udp,
        ),
        (
            "short inline",
            MockDevice::builder()
                .generate(5, 9, 9)
                .fault(Fault::truncate_log(13)),
            Transport::Tcp,
        ),
        (
            "checksum",
            held().fault(Fault::corrupt_checksum().on(Code::READ_BUFFER)),
            Transport::Tcp,
        ),
        (
            "dropped",
            held().fault(Fault::drop_after(15_000)),
            Transport::Tcp,
        ),
        (
            "reset",
            held().fault(Fault::reset().on(Code::READ_BUFFER)),
            Transport::Tcp,
        ),
        (
            "garbage",
            held().fault(Fault::garbage().on(Code::READ_BUFFER)),
            Transport::Tcp,
        ),
        (
            "absurd",
            held().fault(Fault::absurd_length().on(Code::GET_TIME)),
            Transport::Tcp,
        ),
        (
            "no terminal",
            held().fault(Fault::garbage()),
            Transport::Tcp,
        ),
        ("unknown width", held().attendance_width(56), Transport::Tcp),
        (
            "offsets",
            held().fault(Fault::ignore_offsets()),
            Transport::Tcp,
        ),
        (
            "slices",
            held().fault(Fault::refuse_slices()),
            Transport::Tcp,
        ),
        (
            "counters",
            held().fault(Fault::wrong_counters(0)),
            Transport::Tcp,
        ),
        (
            "options",
            held().fault(Fault::garbage_options()),
            Transport::Tcp,
        ),
        (
            "direct only",
            held().fault(Fault::reject(Code::PREPARE_BUFFER, Code::ACK_UNKNOWN)),
            Transport::Tcp,
        ),
        (
            "stray byte",
            held().fault(Fault::stray_byte().on(Code::READ_BUFFER)),
            Transport::Tcp,
        ),
        ("stale", held().fault(Fault::stale_reply()), Transport::Tcp),
        ("event", held().fault(Fault::event_inside()), Transport::Tcp),
        (
            "one packet",
            held().fault(Fault::no_announcement()),
            Transport::Tcp,
        ),
        (
            "at once",
            held().fault(Fault::send_at_once()),
            Transport::Tcp,
        ),
        (
            "early",
            held().fault(Fault::early_acknowledgement()),
            Transport::Udp,
        ),
        ("reordered", held().fault(Fault::reorder()), Transport::Udp),
        (
            "reordered",
            held().fault(Fault::reorder().on(Code::READ_BUFFER)),
            Transport::Tcp,
        ),
        (
            "doubled",
            held().fault(Fault::duplicate_replies()),
            Transport::Udp,
        ),
        (
            "doubled",
            held().fault(Fault::duplicate_replies()),
            Transport::Tcp,
        ),
        (
            "no log",
            held().fault(Fault::reject(Code::PREPARE_BUFFER, Code::ERR_NO_DATA).after(1)),
            Transport::Tcp,
        ),
    ];
    for (name, builder, transport) in faults {
        let users = builder.clone().build().unwrap().snapshot().users;
        let (said, recording, again) = both(builder, over(transport)).await;
        assert_nobody(&recording, &users, &[]);
        let lens = |dump: Result<Dump, _>| {
            dump.map(|dump| {
                let users = dump.users.map(|users| users.len());
                let log = dump.log.map(|(layout, log)| (layout, log.len()));
                (
                    dump.serial.map(|text| text.len()),
                    users,
                    log,
                    dump.counters,
                )
            })
        };
        assert_eq!(lens(said), lens(again), "{name} over {transport:?}");
    }
}

#[tokio::test]
async fn a_lost_datagram_is_lost_again_and_asked_for_again() {
    let fault = Fault::drop_reply(Code::DATA)
        .on(Code::READ_BUFFER)
        .after(5)
        .times(1);
    let device = MockDevice::builder()
        .generate(5, 30, 2500)
        .fault(fault)
        .start()
        .await
        .unwrap();
    let options = Connect::udp().timeout(Duration::from_secs(1)).retries(9);
    let recorder = Recorder::new();
    let mut terminal = Client::connect(device.addr(), options.clone().record(&recorder))
        .await
        .unwrap();
    let log = terminal.attendance().await.unwrap();
    terminal.disconnect().await.unwrap();
    let device = MockDevice::replay(&recorder.recording())
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    let again = terminal.attendance().await.unwrap();
    assert_eq!((again.layout(), again.len()), (log.layout(), log.len()));
    assert!(
        again
            .iter()
            .zip(&log)
            .all(|(other, record)| other.time() == record.time())
    );
    assert!(terminal.stats().retries >= 1);
    terminal.disconnect().await.unwrap();
    device.assert_replayed();
}

#[tokio::test]
async fn a_cut_packet_is_cut_again_at_the_same_places() {
    let device = MockDevice::builder()
        .fault(Fault::split().on(Code::GET_VERSION))
        .start()
        .await
        .unwrap();
    let recorder = Recorder::new();
    let options = Connect::tcp();
    let mut terminal = Client::connect(device.addr(), options.clone().record(&recorder))
        .await
        .unwrap();
    terminal.info().await.unwrap();
    terminal.disconnect().await.unwrap();
    let mut recording = recorder.recording();
    // What a client reads at once is up to the machine; what a file says is not.
    let version = recording.connections[0].messages.iter_mut();
    let mut version = version
        .filter(|message| message.from == Side::Terminal)
        .skip(2);
    version.next().unwrap().cut = vec![1, 4, 9, 15];
    let recording: Recording = recording.to_string().parse().unwrap();
    let mut replayed = MockDevice::replay(&recording).build().unwrap();
    let mut client = replayed.conversation(Transport::Tcp);
    let mut pieces = Vec::new();
    for message in &recording.connections[0].messages {
        if message.from == Side::Client {
            let reaction = replayed.handle(
                &mut client,
                &message.bytes,
                chrono::NaiveDateTime::default(),
            );
            pieces.push(
                reaction
                    .frames
                    .iter()
                    .map(bytes::Bytes::len)
                    .collect::<Vec<_>>(),
            );
        }
    }
    assert_eq!(pieces[2][..4], [1, 3, 5, 6], "{pieces:?}");
    assert_eq!(pieces[0], [16]);
}

#[tokio::test]
async fn what_was_not_recorded_is_refused_and_told() {
    let device = MockDevice::builder()
        .generate(1, 3, 3)
        .start()
        .await
        .unwrap();
    let recorder = Recorder::new();
    let mut terminal = Client::connect(device.addr(), Connect::tcp().record(&recorder))
        .await
        .unwrap();
    terminal.time().await.unwrap();
    terminal.disconnect().await.unwrap();

    let device = MockDevice::replay(&recorder.recording())
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), Connect::tcp())
        .await
        .unwrap();
    terminal.time().await.unwrap();
    let error = terminal.option("~Platform").await;
    assert_eq!(error.unwrap(), None);
    let error = terminal.counters().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                answer: Code::ACK_UNKNOWN,
                ..
            }
        ),
        "{error}"
    );
    terminal.disconnect().await.unwrap();
    let missing = device.not_recorded();
    let codes: Vec<Code> = missing.iter().map(|request| request.code).collect();
    assert_eq!(codes, [Code::OPTIONS_RRQ, Code::GET_FREE_SIZES]);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.assert_replayed()));
    let text = *panic.unwrap_err().downcast::<String>().unwrap();
    for part in [
        "CMD_OPTIONS_RRQ (11)",
        "CMD_GET_FREE_SIZES (50)",
        "It answers: CMD_CONNECT (1000), CMD_GET_TIME (201)",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_fall_back_to_udp_is_recorded_as_what_answered() {
    let device = MockDevice::builder()
        .generate(1, 5, 5)
        .fault(Fault::silence().times(1))
        .start()
        .await
        .unwrap();
    let recorder = Recorder::new();
    let options = Connect::auto()
        .timeout(Duration::from_secs(1))
        .record(&recorder);
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    assert_eq!(terminal.transport(), Transport::Udp);
    terminal.users().await.unwrap();
    terminal.disconnect().await.unwrap();
    let recording = recorder.recording();
    assert_eq!(recording.connections.len(), 1);
    assert_eq!(recording.connections[0].transport, Transport::Udp);
    let device = MockDevice::replay(&recording).start().await.unwrap();
    assert_eq!(
        (device.tcp_addr(), device.udp_addr()),
        (None, Some(device.addr()))
    );
}

#[tokio::test]
async fn polls_that_read_only_the_tail_are_masked_as_well() {
    use zk_proto::poll::{PollCursor, PollOptions};
    for layout in [
        Layout::Bytes40,
        Layout::Bytes16,
        Layout::Bytes8TimeLast,
        Layout::Bytes22,
    ] {
        let device = MockDevice::builder()
            .generate(1, 20, 400)
            .attendance_layout(layout)
            .start()
            .await
            .unwrap();
        let recorder = Recorder::new();
        let options = Connect::tcp().record(&recorder);
        let mut terminal = Client::connect(device.addr(), options).await.unwrap();
        let first = terminal
            .poll(&PollCursor::new(), PollOptions::new())
            .await
            .unwrap();
        device.punch(device.snapshot().records[0]);
        terminal
            .poll(&first.cursor, PollOptions::new())
            .await
            .unwrap();
        terminal.disconnect().await.unwrap();
        let recording = recorder.recording();
        assert_nobody(&recording, &device.snapshot().users, &[]);
        let device = MockDevice::replay(&recording).start().await.unwrap();
        let mut terminal = Client::connect(device.addr(), Connect::tcp())
            .await
            .unwrap();
        let first = terminal
            .poll(&PollCursor::new(), PollOptions::new())
            .await
            .unwrap();
        let second = terminal
            .poll(&first.cursor, PollOptions::new())
            .await
            .unwrap();
        assert_eq!(first.new_records().count(), 400, "{layout:?}");
        assert_eq!(second.new_records().count(), 1, "{layout:?}");
        terminal.disconnect().await.unwrap();
        device.assert_replayed();
    }
}

/// Recordings that were sent with a report. None of them may ever read differently again.
#[tokio::test]
async fn committed_recordings_read_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    let read = |name: &str| {
        let path = folder.join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.parse::<Recording>()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // A log whose last bytes are missing while its total counts them, on the AK3750 platform.
    let device = MockDevice::replay(&read("ak3750_users.jsonl"))
        .start()
        .await
        .unwrap();
    let told = dump(&device, Connect::tcp()).await.unwrap();
    device.assert_replayed();
    assert_eq!(told.platform.as_deref(), Some("AK3750WIFI_TFT"));
    assert_eq!(told.users.map(|users| users.len()), Ok(12));
    assert_eq!(
        told.log.map(|(layout, log)| (layout, log.len())),
        Ok((Layout::Bytes22, 40))
    );

    let device = MockDevice::replay(&read("bw_truncated_log.jsonl"))
        .start()
        .await
        .unwrap();
    let told = dump(&device, Connect::udp()).await.unwrap();
    device.assert_replayed();
    assert_eq!(told.users.map(|users| users.len()), Ok(10));
    assert_eq!(told.log, Err(("truncated", Some(4 + 60 * 16 - 21))));
}

/// A request with its payload, and its answers: code, session field, payload.
type Exchange = (Code, Vec<u8>, Vec<(Code, u16, Vec<u8>)>);

/// A conversation by hand.
fn talk(transport: Transport, exchanges: &[Exchange]) -> Recording {
    let mut pieces: Vec<(Side, u64, BytesMut)> = Vec::new();
    for (number, (code, payload, answers)) in (0..).zip(exchanges) {
        let mut out = BytesMut::new();
        encode_packet(transport, *code, 7, number, payload, &mut out);
        pieces.push((Side::Client, 0, out));
        for (code, session, payload) in answers {
            let mut out = BytesMut::new();
            encode_packet(transport, *code, *session, number, payload, &mut out);
            pieces.push((Side::Terminal, 0, out));
        }
    }
    let pieces = pieces
        .iter()
        .map(|(from, ms, bytes)| (*from, *ms, &bytes[..]));
    let mut recording = Recording::new();
    recording
        .connections
        .push(Connection::from_pieces(transport, 0, pieces));
    recording
}

fn payloads(recording: &Recording) -> Vec<Vec<u8>> {
    let messages = recording.connections.iter().flat_map(|one| &one.messages);
    messages
        .map(|message| message.packet().unwrap().payload.to_vec())
        .collect()
}

#[test]
fn keys_passwords_and_uploads_are_gone() {
    let mut record = [0_u8; 72];
    record[..2].copy_from_slice(&7_u16.to_le_bytes());
    record[3..9].copy_from_slice(b"246813");
    record[11..15].copy_from_slice(b"Gita");
    record[48..53].copy_from_slice(b"55417");
    let ok = || vec![(Code::ACK_OK, 7, Vec::new())];
    let recording = talk(
        Transport::Tcp,
        &[
            (Code::AUTH, vec![0x61, 0x7d, 0x32, 0x3c], ok()),
            (Code::USER_WRQ, record.to_vec(), ok()),
            (Code::DATA, b"template".to_vec(), ok()),
            (Code::DEL_FPTMP, [&b"55417"[..], &[0; 20]].concat(), ok()),
            (Code::OPTIONS_WRQ, b"ComPwd=314159\0".to_vec(), ok()),
            (Code::SMS_WRQ, b"\x01\0Happy birthday".to_vec(), ok()),
            (Code(4711), b"Gita".to_vec(), ok()),
            (
                Code::GET_USERTEMP,
                vec![7, 0, 1],
                vec![(Code::DATA, 7, vec![0xaa; 600])],
            ),
        ],
    );
    let masked = payloads(&recording.masked());
    assert_eq!(masked[0], [0; 4]);
    let user = User::parse(&masked[2], UserLayout::Bytes72).unwrap();
    assert_eq!(
        (user.uid, user.user_id.as_bytes().len(), user.name),
        (7, 5, "Aaaa".into())
    );
    assert_eq!(masked[2][3..11], *b"000000\0\0");
    assert_eq!(masked[4], [0; 8]);
    assert_eq!(masked[6][..5], *user.user_id.as_bytes(), "the same person");
    assert_eq!(masked[8], b"ComPwd=000000\0");
    assert_eq!(masked[10], b"\x01\0Aaaaa aaaaaaaa");
    assert_eq!(masked[12], b"Aaaa");
    assert_eq!(masked[14], [7, 0, 1]);
    assert_eq!(masked[15], [0; 600]);
    let text = recording.masked().to_string();
    assert!(!text.contains("617d323c") && !format!("{recording:?}").contains("Gita"));
}

#[test]
fn checksums_are_made_anew_and_wrong_ones_stay_wrong() {
    let mut recording = talk(
        Transport::Udp,
        &[(
            Code::OPTIONS_RRQ,
            b"MAC\0".to_vec(),
            vec![(Code::ACK_OK, 7, b"MAC=00:17:61:12:34:56\0".to_vec())],
        )],
    );
    for wrong in [0_u16, 1, 0x8000, 0xffff] {
        let message = &mut recording.connections[0].messages[1];
        let mut bytes = BytesMut::from(&message.bytes[..]);
        let right = Packet::parse(&bytes).unwrap().expected_checksum();
        bytes[2..4].copy_from_slice(&(right ^ wrong).to_le_bytes());
        message.bytes = bytes.freeze();
        let valid = message.packet().unwrap().checksum_valid();
        let masked = recording.masked();
        let packet = masked.connections[0].messages[1].packet().unwrap();
        assert_eq!(packet.checksum_valid(), valid, "{wrong}");
        assert_eq!(packet.payload, b"MAC=00:00:00:00:00:00\0");
    }
}

#[test]
fn a_rejoined_stream_is_the_stream() {
    let recording = talk(
        Transport::Tcp,
        &[(
            Code::GET_VERSION,
            vec![],
            vec![(Code::ACK_OK, 7, b"Ver 1\0".to_vec())],
        )],
    );
    let mut stream = Vec::new();
    for message in &recording.connections[0].messages {
        let packet = message.packet().unwrap();
        let header = packet.header;
        let mut out = BytesMut::new();
        encode_packet(
            Transport::Tcp,
            header.code,
            header.session,
            header.reply_id,
            packet.payload,
            &mut out,
        );
        stream.push((message.from, out));
    }
    let (_, answer) = &stream[1];
    let pieces = |size| {
        let answer = answer.chunks(size).map(|piece| (Side::Terminal, 0, piece));
        let request = [(Side::Client, 0, &stream[0].1[..])];
        Connection::from_pieces(Transport::Tcp, 0, request.into_iter().chain(answer))
    };
    for size in 1..answer.len() {
        let connection = pieces(size);
        assert_eq!(
            connection.messages[1].bytes,
            recording.connections[0].messages[1].bytes
        );
        let cut: Vec<usize> = (size..answer.len()).step_by(size).collect();
        assert_eq!(connection.messages[1].cut, cut);
    }
    // What is no packet is kept as it came, and so is a packet that was never whole.
    let bytes = [&answer[..], b"Gita"].concat();
    let odd = Connection::from_pieces(Transport::Tcp, 0, [(Side::Terminal, 3, &bytes[..])]);
    assert_eq!((odd.messages.len(), odd.messages[1].is_packet), (2, false));
    let half = Connection::from_pieces(Transport::Tcp, 0, [(Side::Terminal, 3, &answer[..9])]);
    assert_eq!(
        (half.messages[0].bytes.len(), half.messages[0].is_packet),
        (9, false)
    );
    let mut recording = Recording::new();
    recording.connections.push(odd);
    recording.connections[0].end = Some((End::Closed, 9));
    let masked = recording.masked();
    assert_eq!(masked.connections[0].messages[1].bytes, b"Aaaa"[..]);
    assert_eq!(masked.to_string().parse(), Ok(masked));
}

#[test]
fn the_operation_log_stays_and_what_is_none_goes() {
    let entry = Operation {
        admin: 1,
        code: OperationCode(4),
        unknown: 0,
        time: zk_proto::wire::PackedTime(587_468_120),
        params: [1, 1, 0, 0],
    };
    let mut log = BytesMut::new();
    Operation::encode_log(&[entry; 3], &mut log);
    let mut set = BytesMut::new();
    DataSet::OPERATIONS.encode(&mut set);
    let ask = |answer: &[u8]| {
        let exchange = (
            Code::PREPARE_BUFFER,
            set.to_vec(),
            vec![(Code::DATA, 7, answer.to_vec())],
        );
        payloads(&talk(Transport::Tcp, &[exchange]).masked())
    };
    assert_eq!(ask(&log)[1], log);
    assert_eq!(ask(b"Sandra Bullock")[1], b"Aaaaaa Aaaaaaa");
}

fn person() -> impl Strategy<Value = (String, String, u32)> {
    // No letter of the fillers, so that nothing is left by chance.
    let name = "[B-Zb-zéüЖ国]{3,11}( [B-Zb-z]{3,11})?";
    // Few numbers but cards end so.
    let card = any::<u16>().prop_map(|number| 0x9357_8181 | u32::from(number));
    (name, "[1-9][0-9]{3,8}", prop_oneof![Just(0), card])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_packets_and_whatever_is_lost_nobody_is_left(
        people in prop::collection::vec(person(), 1..30),
        user_layout in prop::sample::select(UserLayout::ALL),
        log_layout in prop::sample::select(Layout::ALL),
        transport in prop::sample::select(vec![Transport::Tcp, Transport::Udp]),
        packet in 1_usize..300,
        chunk in 20_u32..2000,
        lost in prop::collection::vec(0_usize..40, 0..3),
        doubled in prop::collection::vec(0_usize..40, 0..3),
        seed in any::<u64>(),
    ) {
        let users: Vec<User> = (1..).zip(&people).map(|(uid, (name, id, card))| User {
            uid,
            user_id: id.as_str().into(),
            name: name.as_str().into(),
            card: *card,
            group: 1,
            ..User::default()
        }).collect();
        let log: Vec<Attendance> = users.iter().cycle().take(80).zip(0..).map(|(user, minute)| Attendance {
            uid: user.uid,
            user_id: user.user_id,
            verify_mode: zk_proto::record::VerifyMode::FINGERPRINT,
            punch_state: zk_proto::record::PunchState::CHECK_IN,
            time: zk_proto::wire::PackedTime(587_468_120 + minute * 60),
            work_code: 0,
        }).collect();
        let mut exchanges = Vec::new();
        let mut read = |set: DataSet, data: &[u8]| {
            let mut payload = BytesMut::new();
            set.encode(&mut payload);
            let size = u32::try_from(data.len()).unwrap().to_le_bytes();
            let reply = [&[0][..], &size, &size, &[0; 4]].concat();
            exchanges.push((Code::PREPARE_BUFFER, payload.to_vec(), vec![(Code::ACK_OK, 7, reply)]));
            for (index, part) in (0..).zip(data.chunks(chunk as usize)) {
                let mut payload = BytesMut::new();
                let len = u32::try_from(part.len()).unwrap();
                ReadBuffer { offset: index * chunk, len }.encode(&mut payload);
                let mut answers = vec![(Code::PREPARE_DATA, 0, len.to_le_bytes().to_vec())];
                let parts = (0..).zip(part.chunks(packet));
                answers.extend(parts.map(|(index, part)| (Code::DATA, index, part.to_vec())));
                for at in &doubled {
                    if let Some(answer) = answers.get(*at).cloned() {
                        answers.insert(*at, answer);
                    }
                }
                for at in &lost {
                    if *at < answers.len() {
                        answers.remove(*at);
                    }
                }
                answers.push((Code::ACK_OK, 1, Vec::new()));
                exchanges.push((Code::READ_BUFFER, payload.to_vec(), answers));
            }
        };
        let mut data = BytesMut::new();
        zk_proto::record::UserList::encode(&users, user_layout, &mut data);
        read(DataSet::USERS, &data);
        let mut data = BytesMut::new();
        zk_proto::record::AttendanceLog::encode(&log, log_layout, &mut data);
        read(DataSet::ATTENDANCE, &data);
        let mut write = BytesMut::new();
        WriteUser(zk_proto::record::UserRecord::new(&users[0], user_layout)).encode(&mut write);
        exchanges.push((Code::USER_WRQ, write.to_vec(), vec![(Code::ACK_OK, 7, Vec::new())]));
        let recording = talk(transport, &exchanges);
        let masked = recording.masked_with(seed);
        let lens = |recording: &Recording| payloads(recording).iter().map(Vec::len).collect::<Vec<_>>();
        prop_assert_eq!(lens(&masked), lens(&recording));
        prop_assert!(masked.connections[0].messages.iter().all(|message| message.packet().unwrap().checksum_valid()));
        let common = common(&masked, &recording.masked_with(!seed));
        assert_nobody_at_all(&common, &users);
        prop_assert_eq!(masked.to_string().parse::<Recording>().unwrap(), masked.clone());
        prop_assert_eq!(recording.masked_with(seed), masked);
    }

    #[test]
    fn masking_anything_ends_and_keeps_every_length(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
        udp in any::<bool>(),
    ) {
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let side = |client| if client { Side::Client } else { Side::Terminal };
        let pieces = pieces.iter().map(|(client, bytes)| (side(*client), 0, &bytes[..]));
        let mut recording = Recording::new();
        recording.connections.push(Connection::from_pieces(transport, 0, pieces));
        let masked = recording.masked();
        let lens = |recording: &Recording| -> Vec<usize> {
            recording.connections[0].messages.iter().map(|message| message.bytes.len()).collect()
        };
        prop_assert_eq!(lens(&masked), lens(&recording));
    }

    #[test]
    fn no_text_makes_the_reader_of_recordings_panic(text in ".{0,200}") {
        let _ = text.parse::<Recording>();
        let _ = format!("{{\"zk_recording\":1,\"transport\":\"tcp\"}}\n{{\"raw\":\"{text}\"}}").parse::<Recording>();
    }
}

/// Not even across packets: what a reader of the file could join.
fn assert_nobody_at_all(recording: &Recording, users: &[User]) {
    assert_nobody(recording, users, &[]);
    let messages = &recording.connections[0].messages;
    let data = messages.iter().filter_map(|message| {
        let packet = message.packet()?;
        (packet.header.code == Code::DATA).then_some(packet.payload)
    });
    let all: Vec<u8> = data.flatten().copied().collect();
    for user in users {
        let name = user.name.as_bytes();
        let first = name.get(..8).unwrap_or(name);
        assert!(
            !all.windows(first.len()).any(|part| part == first),
            "{first:?}"
        );
    }
}

#[tokio::test]
async fn both_transports_of_a_recording_are_served() {
    let device = MockDevice::builder()
        .generate(1, 5, 5)
        .start()
        .await
        .unwrap();
    let recorder = Recorder::new();
    for options in [Connect::tcp(), Connect::udp()] {
        let mut terminal = Client::connect(device.addr(), options.record(&recorder))
            .await
            .unwrap();
        assert_eq!(terminal.users().await.unwrap().len(), 5);
        terminal.disconnect().await.unwrap();
    }
    let text = recorder.recording().to_string();
    assert!(text.contains("{\"connect\":\"udp\""), "{text}");
    let builder = MockDevice::replay(&text.parse().unwrap()).serve(Serve::Both);
    let device = builder.start().await.unwrap();
    for options in [Connect::udp(), Connect::tcp()] {
        let mut terminal = Client::connect(device.addr(), options).await.unwrap();
        assert_eq!(terminal.users().await.unwrap().len(), 5);
        terminal.disconnect().await.unwrap();
    }
    device.assert_replayed();
}
