//! The client against a mock terminal, over sockets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::NaiveDate;
use zk_proto::{
    Client, Code, CommKey, Connect, Encoding, End, Error, Misuse,
    mock::{Clock, Fault, MockDevice, generate},
    poll::{PollCursor, PollOptions},
    record::{Attendance, AttendanceLog, EventCode, Layout, PunchState, User, VerifyMode},
    request::{DataSet, PrepareBuffer, Raw, Request},
    wire::{PackedTime, Transport},
};

/// No test waits this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(10);

fn usual() -> Connect {
    Connect::tcp().timeout(PATIENCE)
}

fn owned(log: &AttendanceLog) -> Vec<Attendance> {
    log.iter().map(|record| record.to_record()).collect()
}

#[tokio::test]
async fn reads_what_the_terminal_holds() {
    let (users, records) = generate(1, 60, 5000);
    let device = MockDevice::builder()
        .users(users.clone())
        .records(records.clone())
        .serial("ABC123")
        .name("K40")
        .platform("ZMM220_TFT")
        .firmware("Ver 6.60 Jun  9 2017")
        .mac("00:17:61:12:34:56")
        .start()
        .await
        .unwrap();
    for options in [usual(), Connect::udp().timeout(Duration::from_secs(2))] {
        let mut terminal = Client::connect(device.addr(), options).await.unwrap();
        let info = terminal.info().await.unwrap();
        assert_eq!(info.serial_number.as_deref(), Some("ABC123"));
        assert_eq!(info.name.as_deref(), Some("K40"));
        assert_eq!(info.platform.as_deref(), Some("ZMM220_TFT"));
        assert_eq!(info.firmware.as_deref(), Some("Ver 6.60 Jun  9 2017"));
        assert_eq!(info.mac.as_deref(), Some("00:17:61:12:34:56"));
        assert_eq!(terminal.option("TZAdj").await.unwrap(), None);
        let counters = terminal.counters().await.unwrap();
        assert_eq!((counters.users, counters.records), (Some(60), Some(5000)));
        assert_eq!(terminal.users().await.unwrap(), users);
        let log = terminal.attendance().await.unwrap();
        assert_eq!(log.layout(), Layout::Bytes40);
        assert_eq!(owned(&log), records);
        terminal.disconnect().await.unwrap();
    }
    assert_eq!(device.stats().connections_max, 1);
}

#[tokio::test]
async fn a_data_set_that_comes_inline_is_read_as_well() {
    let (users, records) = generate(2, 3, 5);
    let device = MockDevice::builder()
        .users(users.clone())
        .records(records.clone());
    let device = device.start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    assert_eq!(terminal.users().await.unwrap(), users);
    assert_eq!(owned(&terminal.attendance().await.unwrap()), records);
}

#[tokio::test]
async fn an_empty_terminal_is_empty() {
    let no_data = Fault::reject(Code::PREPARE_BUFFER, Code::ERR_NO_DATA);
    for device in [MockDevice::builder(), MockDevice::builder().fault(no_data)] {
        let device = device.start().await.unwrap();
        let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
        assert_eq!(terminal.users().await.unwrap(), []);
        assert!(terminal.attendance().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn widths_of_users_and_counters_are_found_out() {
    let (users, records) = generate(3, 7, 40);
    for (user_width, sizes_width) in [(72, 4), (72, 80), (28, 92), (28, 4), (72, 112)] {
        let device = MockDevice::builder()
            .users(users.clone())
            .records(records.clone())
            .user_width(user_width)
            .sizes_width(sizes_width)
            .start()
            .await
            .unwrap();
        let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
        let ids = |users: &[User]| users.iter().map(|user| user.user_id).collect::<Vec<_>>();
        assert_eq!(ids(&terminal.users().await.unwrap()), ids(&users));
        assert_eq!(owned(&terminal.attendance().await.unwrap()), records);
        let counted = terminal.counters().await.unwrap();
        assert_eq!(counted.records.is_some(), sizes_width > 4);
        assert_eq!(counted.faces.is_some(), sizes_width > 80);
    }
}

#[tokio::test]
async fn a_tail_costs_little_more_than_itself() {
    let (users, records) = generate(4, 20, 20_000);
    let device = MockDevice::builder().users(users).records(records.clone());
    let device = device.start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let prepared = terminal.prepare_attendance().await.unwrap();
    assert_eq!(prepared.size, 4 + 20_000 * 40);
    let slice = terminal.read_prepared(4 + 19_990 * 40, 400).await.unwrap();
    terminal.free().await.unwrap();
    let tail = AttendanceLog::from_records(&slice, Layout::Bytes40);
    assert_eq!(owned(&tail), records[19_990..]);
    let stats = terminal.stats();
    assert_eq!(stats.requests, 3);
    assert!(stats.bytes_received < 1000, "{stats:?}");
    let beyond = terminal.read_prepared(0, 1).await.unwrap_err();
    assert!(matches!(beyond, Error::Misuse(Misuse::NothingPrepared)));
}

#[tokio::test]
async fn a_slice_longer_than_a_chunk_is_read_in_chunks() {
    let (users, records) = generate(5, 20, 1000);
    let device = MockDevice::builder().users(users).records(records.clone());
    let device = device.start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual().max_chunk(999))
        .await
        .unwrap();
    terminal.prepare_attendance().await.unwrap();
    let slice = terminal.read_prepared(4, 40_000).await.unwrap();
    assert_eq!(
        owned(&AttendanceLog::from_records(&slice, Layout::Bytes40)),
        records
    );
    let beyond = terminal.read_prepared(4, 40_001).await.unwrap_err();
    assert!(matches!(
        beyond,
        Error::Misuse(Misuse::OutOfRange {
            end: 40_005,
            size: 40_004
        })
    ));
    // Still usable, and the buffer is still there.
    assert_eq!(
        terminal.read_prepared(0, 4).await.unwrap(),
        40_000_u32.to_le_bytes()[..]
    );
}

#[tokio::test]
async fn inline_data_serves_slices_from_memory() {
    let device = MockDevice::builder()
        .generate(6, 3, 10)
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    assert_eq!(terminal.prepare_attendance().await.unwrap().size, 404);
    assert_eq!(terminal.read_prepared(364, 40).await.unwrap().len(), 40);
    terminal.free().await.unwrap();
    assert_eq!(terminal.stats().requests, 1);
}

#[tokio::test]
async fn the_comm_key_is_proven_where_it_is_asked_for() {
    let device = MockDevice::builder()
        .comm_key(123_456)
        .start()
        .await
        .unwrap();
    let options = usual().comm_key(CommKey::new(123_456));
    Client::connect(device.addr(), options)
        .await
        .unwrap()
        .time()
        .await
        .unwrap();
    let error = Client::connect(device.addr(), usual().comm_key(CommKey::new(1)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        ("wrong_comm_key", false)
    );
    assert!(error.remedy().contains("Comm Key"));
}

#[tokio::test]
async fn the_clock_is_read_and_set() {
    let at = |day| {
        NaiveDate::from_ymd_opt(2024, 2, day)
            .unwrap()
            .and_hms_opt(23, 59, 59)
            .unwrap()
    };
    let device = MockDevice::builder()
        .clock(Clock::Fixed(at(1)))
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    assert_eq!(terminal.time().await.unwrap().to_civil(), Ok(at(1)));
    terminal.set_time(at(29)).await.unwrap();
    assert_eq!(terminal.time().await.unwrap().to_civil(), Ok(at(29)));
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let device = MockDevice::builder()
        .generate(7, 5, 10_000)
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    terminal.on_progress(move |progress| sink.lock().unwrap().push(progress));
    terminal.attendance().await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted_by_key(|progress| progress.received));
    assert_eq!(
        seen.last().map(|last| (last.received, last.total)),
        Some((400_004, 400_004))
    );
}

#[tokio::test]
async fn the_keypad_is_unlocked_on_every_path() {
    let commands = |device: &MockDevice| -> Vec<Code> {
        device
            .requests()
            .iter()
            .map(|request| request.code)
            .collect()
    };
    let device = MockDevice::builder()
        .generate(8, 5, 1000)
        .start()
        .await
        .unwrap();
    let options = usual()
        .disable_while_reading(true)
        .timeout(Duration::from_millis(500));
    let mut terminal = Client::connect(device.addr(), options.clone())
        .await
        .unwrap();
    terminal.attendance().await.unwrap();
    assert!(commands(&device).contains(&Code::DISABLEDEVICE));
    assert!(!device.snapshot().disabled);

    // The terminal falls silent half-way: the goodbye still asks it to unlock.
    device.fault(Fault::silence().on(Code::READ_BUFFER));
    let error = terminal.attendance().await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
    drop(terminal);
    wait_for(|| commands(&device).ends_with(&[Code::FREE_DATA, Code::ENABLEDEVICE, Code::EXIT]))
        .await;
    assert!(!device.snapshot().disabled);
}

#[tokio::test]
async fn a_dropped_client_says_goodbye() {
    let device = MockDevice::builder().start().await.unwrap();
    drop(Client::connect(device.addr(), usual()).await.unwrap());
    wait_for(|| {
        device
            .requests()
            .last()
            .is_some_and(|last| last.code == Code::EXIT)
    })
    .await;
    wait_for(|| device.stats().connections_now == 0).await;
}

#[tokio::test]
async fn a_cancelled_call_poisons_a_tcp_connection_and_not_a_udp_one() {
    let device = MockDevice::builder()
        .generate(9, 5, 1000)
        .start()
        .await
        .unwrap();
    device.fault(
        Fault::delay(Duration::from_millis(200))
            .on(Code::PREPARE_BUFFER)
            .times(2),
    );
    let brief = Duration::from_millis(50);

    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    terminal.counters().await.unwrap();
    tokio::time::timeout(brief, terminal.attendance())
        .await
        .unwrap_err();
    let error = terminal.time().await.unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::Poisoned)), "{error}");

    let udp = Connect::udp().timeout(Duration::from_secs(2));
    let mut terminal = Client::connect(device.addr(), udp).await.unwrap();
    terminal.counters().await.unwrap();
    tokio::time::timeout(brief, terminal.attendance())
        .await
        .unwrap_err();
    assert_eq!(terminal.attendance().await.unwrap().len(), 1000);
    assert!(terminal.stats().stale_replies > 0);
}

/// Reads with the keypad locked are dropped while this command's answer is waited for.
async fn drop_a_read(options: Connect, waiting_for: Code) {
    let device = MockDevice::builder()
        .generate(9, 5, 1000)
        .start()
        .await
        .unwrap();
    let late = Fault::delay(Duration::from_millis(150)).on(waiting_for);
    device.fault(late.times(2));
    let options = options.disable_while_reading(true).timeout(PATIENCE);
    let transport = Client::connect(device.addr(), options.clone())
        .await
        .unwrap()
        .transport();
    for polling in [false, true] {
        let mut terminal = Client::connect(device.addr(), options.clone())
            .await
            .unwrap();
        let asked = device.requests().len();
        let read = async {
            if polling {
                let (cursor, usual) = (PollCursor::new(), PollOptions::new());
                drop(terminal.poll(&cursor, usual).await);
            } else {
                drop(terminal.attendance().await);
            }
        };
        let waits = wait_for(|| {
            let requests = device.requests();
            let asked = &requests[asked..];
            asked.iter().any(|request| request.code == waiting_for)
        });
        tokio::select! {
            () = read => panic!("answered at once"),
            () = waits => {}
        }
        // The client still lives, and nobody has asked it for anything.
        let asked_to_unlock = || {
            let requests = device.requests();
            let asked = &requests[asked..];
            asked
                .iter()
                .any(|request| request.code == Code::ENABLEDEVICE)
        };
        wait_for(asked_to_unlock).await;
        wait_for(|| !device.snapshot().disabled).await;
        match (terminal.time().await, transport) {
            (Ok(_), Transport::Udp) | (Err(Error::Misuse(Misuse::Poisoned)), Transport::Tcp) => {}
            other => panic!("{other:?}"),
        }
        drop(terminal);
        wait_for(|| {
            let last = device.requests().pop().unwrap();
            last.code == Code::EXIT
        })
        .await;
        if waiting_for != Code::DISABLEDEVICE {
            device.assert_asked([waiting_for, Code::FREE_DATA, Code::EXIT]);
        }
    }
}

#[tokio::test]
async fn a_read_that_is_dropped_unlocks_the_keypad_at_once_and_says_goodbye_at_last() {
    for waiting_for in [Code::DISABLEDEVICE, Code::PREPARE_BUFFER, Code::READ_BUFFER] {
        drop_a_read(Connect::tcp(), waiting_for).await;
        drop_a_read(Connect::udp(), waiting_for).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_what_it_holds() {
    let device = MockDevice::builder()
        .generate(9, 5, 1000)
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    terminal.prepare_attendance().await.unwrap();
    terminal.read_prepared(0, 44).await.unwrap();
    device.fault(Fault::reject(Code::FREE_DATA, Code::ACK_ERROR));
    terminal.disconnect().await.unwrap();
    device.assert_asked([Code::READ_BUFFER, Code::FREE_DATA, Code::EXIT]);
}

#[tokio::test]
async fn auto_falls_back_to_udp() {
    let device = MockDevice::builder()
        .serve(zk_proto::mock::Serve::Udp)
        .start()
        .await
        .unwrap();
    let auto = Connect::auto().timeout(PATIENCE);
    let terminal = Client::connect(device.addr(), auto.clone()).await.unwrap();
    assert_eq!(terminal.transport(), Transport::Udp);
    let device = MockDevice::builder().start().await.unwrap();
    let terminal = Client::connect(device.addr(), auto).await.unwrap();
    assert_eq!(terminal.transport(), Transport::Tcp);
}

#[tokio::test]
async fn events_between_frames_are_kept_and_acknowledged() {
    let device = MockDevice::builder()
        .generate(10, 5, 2000)
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let everything = Raw {
        code: Code::REG_EVENT,
        payload: vec![0xff, 0xff, 0, 0].into(),
    };
    assert_eq!(terminal.call(everything).await.unwrap().code, Code::ACK_OK);
    let punch = Attendance {
        uid: 1,
        user_id: "1001".into(),
        verify_mode: VerifyMode::FACE,
        punch_state: PunchState::CHECK_IN,
        time: PackedTime(776_563_199),
        work_code: 0,
    };
    device.punch(punch);
    let acknowledged = || {
        let is_ack = |request: &zk_proto::mock::Received| request.code == Code::ACK_OK;
        device.requests().into_iter().find(is_ack)
    };
    while acknowledged().is_none() {
        assert!(terminal.attendance().await.unwrap().len() >= 2000);
    }
    assert_eq!(acknowledged().unwrap().reply_id, 0);
    let event = terminal.next_buffered_event().unwrap();
    assert_eq!(
        (event.code, event.payload.len()),
        (EventCode::ATTENDANCE, 32)
    );
}

#[tokio::test]
async fn a_paced_terminal_and_any_packet_size_serve_the_same() {
    let (_, records) = generate(11, 5, 300);
    for max_packet in [1, 7, 1008, 1024, 65_472] {
        let rows = if max_packet < 100 { 40 } else { 300 };
        let device = MockDevice::builder()
            .records(records[..rows].to_vec())
            .max_packet(max_packet)
            .pace(Duration::from_micros(10))
            .inline_limit(0)
            .start()
            .await
            .unwrap();
        let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
        assert_eq!(
            owned(&terminal.attendance().await.unwrap()),
            records[..rows]
        );
    }
}

#[tokio::test]
async fn one_client_at_a_time_means_the_first_one_goes() {
    let device = MockDevice::builder()
        .one_client(true)
        .start()
        .await
        .unwrap();
    let mut first = Client::connect(device.addr(), usual()).await.unwrap();
    let mut second = Client::connect(device.addr(), usual()).await.unwrap();
    second.time().await.unwrap();
    let error = first.time().await.unwrap_err();
    assert_eq!(error.kind(), "connection_lost", "{error}");
    assert!(error.remedy().contains("one client"));
}

#[tokio::test]
async fn foreign_habits_are_served() {
    let device = MockDevice::builder().serial("S1").start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    for (code, payload, answer) in [
        (Code::OPTIONS_RRQ, &b"~SerialNumber"[..], Code::ACK_OK),
        (Code::OPTIONS_RRQ, b"~SerialNumber\0", Code::ACK_OK),
        (Code::DISABLEDEVICE, b"\0\0\0\0", Code::ACK_OK),
        (Code::ENABLEDEVICE, b"", Code::ACK_OK),
        (Code::FREE_DATA, b"", Code::ACK_OK),
        (Code::OPTIONS_WRQ, b"SDKBuild=1", Code::ACK_OK),
        (
            Code::SET_TIME,
            &[0xff, 0x69, 0x49, 0x2e, 0, 0, 0, 0, 0, 0],
            Code::ACK_OK,
        ),
    ] {
        let request = Raw {
            code,
            payload: payload.to_vec().into(),
        };
        assert_eq!(terminal.call(request).await.unwrap().code, answer, "{code}");
    }
    let probe = |code| Raw {
        code,
        payload: b"~Unknown\0".to_vec().into(),
    };
    assert_eq!(
        terminal.call(probe(Code::ACK_ERROR)).await.unwrap().code,
        Code::ACK_OK
    );
    let error = terminal.call(probe(Code::ACK_UNKNOWN)).await.unwrap_err();
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
}

#[tokio::test]
async fn names_settle_on_one_encoding() {
    let (mut users, _) = generate(12, 3, 0);
    let name = Encoding::Windows1252.encode("Zoë").unwrap().into_owned();
    users[2].name = zk_proto::wire::Name::from_field(&name);
    let device = MockDevice::builder().users(users).start().await.unwrap();
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let users = terminal.users().await.unwrap();
    let encoding = terminal
        .encoding()
        .settle(users.iter().map(|user| user.name.as_bytes()));
    assert_eq!(encoding, Encoding::Windows1252);
    assert_eq!(users[2].name.decode(encoding), "Zoë");
}

#[tokio::test]
async fn a_refused_request_does_not_end_the_connection() {
    let device = MockDevice::builder()
        .generate(13, 5, 1000)
        .start()
        .await
        .unwrap();
    device.fault(Fault::reject(Code::READ_BUFFER, Code::ACK_ERROR).times(1));
    let mut terminal = Client::connect(device.addr(), usual()).await.unwrap();
    let error = terminal.attendance().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                request: Code::READ_BUFFER,
                answer: Code::ACK_ERROR
            }
        ),
        "{error}"
    );
    assert_eq!(
        device.requests().last().map(|last| last.code),
        Some(Code::FREE_DATA)
    );
    assert_eq!(terminal.attendance().await.unwrap().len(), 1000);
    assert_eq!(zk_proto::request::ReadClock::CODE, Code::GET_TIME);
}

/// Waits for something the server does on its own, at most two seconds.
async fn wait_for(mut condition: impl FnMut() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen within two seconds");
}

/// An instant that is over, and one that does not come during a test.
fn past_and_future() -> (Instant, Instant) {
    let now = tokio::time::Instant::now().into_std();
    (now, now + Duration::from_hours(1))
}

async fn until_closed(device: &MockDevice) {
    while device.stats().connections_now > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn after_its_end_a_connection_says_nothing_more() {
    let (past, future) = past_and_future();
    for (options, is_stream) in [(usual(), true), (Connect::udp().timeout(PATIENCE), false)] {
        let device = MockDevice::builder()
            .generate(5, 3, 50)
            .start()
            .await
            .unwrap();
        let end = End::at(future);
        let options = options.until(&end).disable_while_reading(true);
        let mut terminal = Client::connect(device.addr(), options.clone())
            .await
            .unwrap();
        // A data set is held and the keypad locked: much that would have to be said.
        terminal
            .call(PrepareBuffer(DataSet::ATTENDANCE))
            .await
            .unwrap();
        let mut locked = terminal.lock(None).await.unwrap();
        let before = device.requests().len();
        end.set(past);
        let error = locked.time().await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{error}");
        assert_eq!(error.kind(), "ended");
        drop(locked);
        // Not even when somebody puts it off too late.
        end.set(future);
        let error = terminal.time().await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{error}");
        end.set(past);
        terminal.disconnect().await.unwrap();
        if is_stream {
            until_closed(&device).await;
        }
        let error = Client::connect(device.addr(), options).await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{error}");
        assert_eq!(device.requests().len(), before, "{:?}", device.requests());
    }
}

#[tokio::test]
async fn a_client_that_is_dropped_after_its_end_says_no_goodbye() {
    let (past, future) = past_and_future();
    let device = MockDevice::builder().start().await.unwrap();
    let end = End::at(future);
    let terminal = Client::connect(device.addr(), usual().until(&end))
        .await
        .unwrap();
    end.set(past);
    drop(terminal);
    until_closed(&device).await;
    let told: Vec<Code> = device.requests().iter().map(|asked| asked.code).collect();
    assert_eq!(told, [Code::CONNECT]);
}

#[tokio::test]
async fn an_end_that_comes_while_waiting_ends_the_wait_and_one_that_is_put_off_does_not() {
    let (_, future) = past_and_future();
    let soon = || tokio::time::Instant::now().into_std() + Duration::from_millis(50);
    let device = MockDevice::builder()
        .fault(Fault::drop_reply(Code::GET_TIME).after(1))
        .fault(Fault::delay(Duration::from_millis(150)).on(Code::GET_TIME))
        .start()
        .await
        .unwrap();
    let end = End::at(future);
    let options = usual().timeout(Duration::from_hours(1)).until(&end);
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    end.set(soon());
    let put_off = async { end.set(future) };
    let (answer, ()) = tokio::join!(terminal.time(), put_off);
    answer.unwrap();
    end.set(soon());
    let error = terminal.time().await.unwrap_err();
    assert!(matches!(error, Error::Ended), "{error}");
    until_closed(&device).await;
}
