//! What goes wrong between a client and a terminal, over sockets.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use zk_proto::{
    Client, Code, CommKey, Connect, DecodeError, Error, Misuse, Protocol,
    mock::{Builder, ChecksumPolicy, Fault, MockDevice},
    record::{Attendance, AttendanceLog, Layout, LogHint, PunchState, VerifyMode},
    wire::{CivilFields, PackedTime, Transport, encode_packet},
};

/// Nothing but a bug takes this long, however busy the machine is.
fn usual() -> Connect {
    Connect::tcp().timeout(Duration::from_secs(10))
}

/// For tests that wait for the end of it.
fn brief() -> Connect {
    Connect::tcp().timeout(Duration::from_millis(300))
}

fn device() -> Builder {
    MockDevice::builder().generate(1, 10, 5000)
}

async fn connect_error(fault: Fault, options: Connect) -> Error {
    let device = device().fault(fault).start().await.unwrap();
    Client::connect(device.addr(), options).await.unwrap_err()
}

async fn attendance_error(device: Builder, options: Connect) -> Error {
    let device = device.start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    terminal.attendance().await.unwrap_err()
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(address, usual()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        ("connection_refused", true)
    );
    assert!(error.remedy().contains("4370"));
}

#[tokio::test]
async fn a_wrong_comm_key_says_where_to_look() {
    for key in [0, 1, 999_999] {
        let device = device().comm_key(1234).start().await.unwrap();
        let options = usual().comm_key(CommKey::new(key));
        let error = Client::connect(device.addr(), options).await.unwrap_err();
        assert!(matches!(error, Error::WrongCommKey), "{error}");
        assert!(error.remedy().contains("Comm Key"));
        assert!(
            !format!("{error} {error:?}").contains("999"),
            "the key is a secret"
        );
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    for on in [Code::CONNECT, Code::GET_TIME] {
        let device = device()
            .fault(Fault::silence().on(on))
            .start()
            .await
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
        let start = Instant::now();
        let error = match Client::connect(device.addr(), brief()).await {
            Ok(mut terminal) => {
                let error = terminal.time().await.unwrap_err();
                let next = terminal.time().await.unwrap_err();
                assert!(matches!(next, Error::Misuse(Misuse::Poisoned)), "{next}");
                error
            }
            Err(error) => error,
        };
        assert!(
            matches!(error, Error::Timeout { during, .. } if during == on),
            "{error}"
        );
        assert!(error.is_retryable() && error.remedy().contains("one client at a time"));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_whole_operation_has_a_deadline_too() {
    let device = device()
        .max_packet(100)
        .pace(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let options = usual().operation_timeout(Duration::from_millis(250));
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    let error = terminal.attendance().await.unwrap_err();
    let partial = error.partial().unwrap();
    assert!(partial.len() > 100, "{error}");
    assert!(
        AttendanceLog::salvage(partial, LogHint::default())
            .unwrap()
            .len()
            >= 2
    );
    assert_eq!(error.kind(), "incomplete");
}

#[tokio::test]
async fn a_session_that_ended_on_the_terminal_is_worth_another_try() {
    let ended = Fault::reject(Code::GET_TIME, Code::ACK_UNAUTH).times(1);
    let device = device().fault(ended).start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let error = terminal.time().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), ("rejected", true));
    assert!(error.remedy().contains("Connect again"));
    Client::connect(device.addr(), usual())
        .await
        .unwrap()
        .time()
        .await
        .unwrap();
}

#[tokio::test]
async fn garbage_is_no_terminal() {
    let error = connect_error(Fault::garbage(), usual()).await;
    assert!(matches!(error, Error::Decode(DecodeError::BadMagic { found }) if found == *b"HTTP"));
}

#[tokio::test]
async fn an_absurd_length_is_refused_before_anything_is_allocated() {
    let error = connect_error(Fault::absurd_length(), usual()).await;
    let too_long = DecodeError::FrameTooLong {
        declared: 0xffff_fff0,
        limit: 1 << 20,
    };
    assert!(matches!(error, Error::Decode(found) if found == too_long));
}

#[tokio::test]
async fn secured_firmware_is_recognised_in_both_its_answers() {
    let error = connect_error(Fault::secured(), usual()).await;
    let secured = Protocol::Secured {
        answer: Code::SECURED,
    };
    assert!(
        matches!(&error, Error::Protocol(found) if *found == secured),
        "{error}"
    );
    assert_eq!(
        (error.kind(), error.is_retryable()),
        ("secured_firmware", false)
    );
    assert!(error.remedy().contains("ADMS"));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 64]).await.is_ok());
        stream
            .write_all(b"\x50\x50\x83\x7c\x10\0\0\0")
            .await
            .unwrap();
        assert!(stream.read(&mut [0; 64]).await.is_ok());
    });
    let error = Client::connect(address, usual()).await.unwrap_err();
    assert_eq!(error.kind(), "secured_firmware");
}

#[tokio::test]
async fn an_access_panel_is_recognised() {
    let error = connect_error(Fault::panel(), usual()).await;
    assert!(
        matches!(error, Error::Decode(DecodeError::AccessPanel)),
        "{error}"
    );
    assert!(error.remedy().contains("access panel"));
}

#[tokio::test]
async fn a_dropped_connection_keeps_what_came() {
    let device = device().start().await.unwrap();
    device.fault(Fault::drop_after(100_000).times(1));
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let error = terminal.attendance().await.unwrap_err();
    let Error::Incomplete {
        data,
        total: Some(200_004),
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(data.len() > 90_000 && data.len() < 100_000);
    assert_eq!(source.kind(), "connection_lost");
    let part = AttendanceLog::salvage(data, LogHint::default()).unwrap();
    let held = device.snapshot().records;
    assert!(
        part.iter()
            .zip(&held)
            .all(|(read, held)| read.to_record() == *held)
    );
    // The fault has happened once; the next connection is served.
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    assert_eq!(terminal.attendance().await.unwrap().len(), 5000);
}

#[tokio::test]
async fn a_truncated_log_is_an_error_with_the_log() {
    // Whole records missing, and a part of one; prepared and inline.
    for (records, missing) in [(5000, 400), (5000, 13), (10, 80), (10, 1)] {
        let device = MockDevice::builder().generate(2, 10, records);
        let error = attendance_error(device.fault(Fault::truncate_log(missing)), usual()).await;
        let Error::Decode(DecodeError::Truncated {
            announced, data, ..
        }) = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*announced, records * 40);
        let part = AttendanceLog::salvage(data, LogHint::default()).unwrap();
        assert_eq!(part.len(), records - missing.div_ceil(40));
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn records_of_an_unknown_width_are_refused_with_the_data() {
    for width in [41, 44, 48, 53, 56, 64, 80] {
        let error = attendance_error(device().attendance_width(width), usual()).await;
        assert_eq!(error.kind(), "unknown_width", "{error}");
        assert_eq!(error.partial().unwrap().len(), 4 + 5000 * width);
        assert!(error.to_string().contains("40"));
    }
}

#[tokio::test]
async fn a_corrupt_checksum_is_noticed_unless_told_otherwise() {
    let corrupt = || Fault::corrupt_checksum().on(Code::READ_BUFFER);
    let error = attendance_error(device().fault(corrupt()), usual()).await;
    assert_eq!(error.kind(), "checksum", "{error}");
    let device = device().fault(corrupt()).start().await.unwrap();
    let lenient = usual().verify_checksums(false);
    let mut terminal = Client::connect(device.addr(), lenient).await.unwrap();
    assert_eq!(terminal.attendance().await.unwrap().len(), 5000);
}

#[tokio::test]
async fn a_strict_terminal_does_not_answer_a_wrong_checksum() {
    for (policy, answered) in [
        (ChecksumPolicy::Strict, false),
        (ChecksumPolicy::Lenient, true),
    ] {
        let device = MockDevice::builder()
            .checksum(policy)
            .start()
            .await
            .unwrap();
        let mut stream = tokio::net::TcpStream::connect(device.addr()).await.unwrap();
        stream
            .write_all(b"\x50\x50\x82\x7d\x08\0\0\0\xe8\x03\x16\xfc\0\0\0\0")
            .await
            .unwrap();
        let mut buffer = [0; 64];
        let wait = Duration::from_millis(if answered { 2000 } else { 200 });
        let read = tokio::time::timeout(wait, stream.read(&mut buffer)).await;
        assert_eq!(read.is_ok(), answered);
        assert!(
            device
                .requests()
                .iter()
                .any(|request| !request.checksum_valid)
        );
    }
}

#[tokio::test]
async fn q52_impossible_dates_are_told_and_lose_nothing() {
    let record = |user_id: &str, time| Attendance {
        uid: 1,
        user_id: user_id.into(),
        verify_mode: VerifyMode::FINGERPRINT,
        punch_state: PunchState::CHECK_IN,
        time,
        work_code: 0,
    };
    let february = CivilFields {
        year: 2024,
        month: 2,
        day: 30,
        hour: 10,
        minute: 0,
        second: 0,
    };
    let device = MockDevice::builder()
        .records([
            record("1", PackedTime::NONE),
            record("2", PackedTime::from_fields(february)),
            record("3", PackedTime(776_563_199)),
        ])
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let log = terminal.attendance().await.unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|record| (record.time().to_string(), record.time().is_valid()))
        .collect();
    assert_eq!(told[0], ("2000-01-01T00:00:00".to_owned(), false));
    assert_eq!(told[1], ("2024-02-30T10:00:00".to_owned(), false));
    assert_eq!(told[2], ("2024-02-29T23:59:59".to_owned(), true));
    assert_eq!(log.layout(), Layout::Bytes40);
}

#[tokio::test]
async fn wrong_counters_change_nothing_that_is_read() {
    for count in [0, 1, 4999, 5001, 8000, u32::MAX] {
        let device = device()
            .fault(Fault::wrong_counters(count))
            .start()
            .await
            .unwrap();
        let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
        assert_eq!(terminal.attendance().await.unwrap().len(), 5000);
        assert_eq!(terminal.users().await.unwrap().len(), 10);
    }
}

#[tokio::test]
async fn a_terminal_that_refuses_slices_still_serves_the_whole() {
    let device = device()
        .fault(Fault::refuse_slices())
        .start()
        .await
        .unwrap();
    let options = usual().max_chunk(1 << 20);
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    terminal.prepare_attendance().await.unwrap();
    let error = terminal.read_prepared(400, 40).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                answer: Code::ACK_ERROR,
                ..
            }
        ),
        "{error}"
    );
    terminal.free().await.unwrap();
    assert_eq!(terminal.attendance().await.unwrap().len(), 5000);
}

#[tokio::test]
async fn lost_and_repeated_datagrams_change_nothing() {
    let device = device()
        .fault(
            Fault::drop_reply(Code::DATA)
                .on(Code::READ_BUFFER)
                .after(5)
                .times(3),
        )
        .fault(Fault::duplicate_replies())
        .fault(
            Fault::drop_reply(Code::ACK_OK)
                .on(Code::GET_FREE_SIZES)
                .times(1),
        )
        .start()
        .await
        .unwrap();
    let udp = Connect::udp()
        .timeout(Duration::from_millis(400))
        .retries(5);
    let mut terminal = Client::connect(device.addr(), udp).await.unwrap();
    let log = terminal.attendance().await.unwrap();
    let held = device.snapshot().records;
    assert!(log.iter().map(|record| record.to_record()).eq(held));
    assert!(terminal.stats().retries >= 2, "{:?}", terminal.stats());
}

#[tokio::test]
async fn a_missing_last_acknowledgement_costs_only_a_moment() {
    let fault = Fault::drop_reply(Code::ACK_OK)
        .on(Code::READ_BUFFER)
        .times(1);
    let device = device().fault(fault).start().await.unwrap();
    let options = Connect::tcp().timeout(Duration::from_secs(5));
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    assert_eq!(terminal.attendance().await.unwrap().len(), 5000);
}

#[tokio::test]
async fn a_late_answer_is_waited_for() {
    let fault = Fault::delay(Duration::from_millis(100)).on(Code::GET_TIME);
    let device = device().fault(fault).start().await.unwrap();
    Client::connect(device.addr(), usual())
        .await
        .unwrap()
        .time()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reset_connection_keeps_what_came() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 64];
        let answers = [(Code::ACK_OK, &b""[..]), (Code::ACK_ERROR, b"")];
        let mut out = bytes::BytesMut::new();
        for (reply_id, (code, payload)) in (0..).zip(answers) {
            assert!(stream.read(&mut buffer).await.is_ok());
            out.clear();
            encode_packet(Transport::Tcp, code, 7, reply_id, payload, &mut out);
            stream.write_all(&out).await.unwrap();
        }
        // The log is announced with 404 bytes, 100 come, then the connection is reset.
        assert!(stream.read(&mut buffer).await.is_ok());
        out.clear();
        let announcement = [0x94, 1, 0, 0, 0xf0, 3, 0, 0];
        encode_packet(
            Transport::Tcp,
            Code::PREPARE_DATA,
            7,
            2,
            &announcement,
            &mut out,
        );
        encode_packet(Transport::Tcp, Code::DATA, 0, 2, &[b'1'; 100], &mut out);
        stream.write_all(&out).await.unwrap();
        stream.set_zero_linger().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    let mut terminal = Client::connect(address, usual()).await.unwrap();
    let error = terminal.attendance().await.unwrap_err();
    let Error::Incomplete {
        data,
        total: Some(404),
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((data.len(), source.kind()), (100, "connection_lost"));
}
