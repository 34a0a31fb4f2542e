//! What firmware is known to do, row by row: each test makes the terminal do it and shows that the
//! client survives it or says what is wrong. The numbers are those of the table of quirks that this
//! project keeps; rows that are tested elsewhere have the number in the name of that test. The last
//! test says that no row is forgotten, and which have none and why.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zk_proto::{
    Client, Code, CommKey, Connect, Encoding, Error,
    mock::{Builder, Extras, Fault, MockDevice, Profile, Serve, generate},
    poll::{PollCursor, PollOptions},
    record::{
        Attendance, AttendanceLog, EventMask, Face, Layout, PunchState, TimeZone, User, UserLayout,
        UserRecord, VerifyMode,
    },
    request::{Clearable, DataSet, Raw, ReadClock, ReadUserZones, Request},
    wire::{Name, PackedTime, Transport, encode_packet},
};

fn usual() -> Connect {
    Connect::tcp().timeout(Duration::from_secs(10))
}

fn brief() -> Connect {
    Connect::tcp().timeout(Duration::from_millis(300))
}

async fn connected(device: &MockDevice) -> Client {
    Client::connect(device.addr(), usual()).await.unwrap()
}

fn holding(records: usize) -> Builder {
    MockDevice::builder().generate(1, 20, records)
}

fn holds(log: &AttendanceLog, device: &MockDevice) -> bool {
    let held = device.snapshot().records;
    log.iter().map(|record| record.to_record()).eq(held)
}

/// Users and log are read whole although the terminal does this to every answer.
async fn survives(fault: Fault) {
    let device = holding(3000).fault(fault.clone()).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(
        terminal.users().await.unwrap(),
        device.snapshot().users,
        "{fault:?}"
    );
    assert!(
        holds(&terminal.attendance().await.unwrap(), &device),
        "{fault:?}"
    );
    terminal.time().await.unwrap();
}

#[tokio::test]
async fn q01_a_key_is_asked_for_where_none_was_set() {
    let device = holding(5).always_ask(true).start().await.unwrap();
    connected(&device).await.time().await.unwrap();
    device.assert_asked([Code::CONNECT, Code::AUTH]);
}

#[tokio::test]
async fn q02_q04_keys_of_every_kind_are_proven() {
    for key in [1, 12, 123_456, 131_071, 262_143, 999_999, u32::MAX] {
        let device = holding(0).comm_key(key).start().await.unwrap();
        let options = usual().comm_key(CommKey::new(key));
        Client::connect(device.addr(), options)
            .await
            .unwrap()
            .time()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn q05_q06_q08_firmware_that_cannot_be_talked_to_is_named() {
    for (profile, kind) in [
        (Profile::Secured, "secured_firmware"),
        (Profile::Panel, "access_panel"),
    ] {
        let device = holding(0).profile(profile).start().await.unwrap();
        let error = Client::connect(device.addr(), usual()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, false));
        device.assert_asked_times(Code::CONNECT, 1);
    }
    let locked = Fault::reject(Code::AUTH, Code::AUTH_LOCK);
    let device = holding(0)
        .always_ask(true)
        .fault(locked)
        .start()
        .await
        .unwrap();
    let error = Client::connect(device.addr(), usual()).await.unwrap_err();
    assert_eq!(error.kind(), "secured_firmware");
}

#[tokio::test]
async fn q07_a_terminal_that_ignores_the_greeting_is_given_up_with_reasons() {
    for fault in [Fault::silence(), Fault::reset()] {
        let device = holding(0)
            .fault(fault.on(Code::CONNECT))
            .start()
            .await
            .unwrap();
        let error = Client::connect(device.addr(), brief()).await.unwrap_err();
        assert!(error.is_retryable());
        assert!(
            error.remedy().contains("another program"),
            "{}",
            error.remedy()
        );
        device.assert_asked_times(Code::CONNECT, 1);
    }
}

#[tokio::test]
async fn q09_q48_the_other_transport_is_tried() {
    let device = holding(40).serve(Serve::Udp).start().await.unwrap();
    let auto = Connect::auto().timeout(Duration::from_secs(2));
    let mut terminal = Client::connect(device.addr(), auto).await.unwrap();
    assert_eq!(terminal.transport(), Transport::Udp);
    assert_eq!(terminal.users().await.unwrap().len(), 20);
}

#[tokio::test]
async fn q10_every_packet_that_is_sent_has_the_right_checksum() {
    let device = holding(3000).comm_key(77).start().await.unwrap();
    let options = usual().comm_key(CommKey::new(77));
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    terminal.attendance().await.unwrap();
    terminal.disconnect().await.unwrap();
    let first = &device.requests()[0];
    assert_eq!(
        (first.code, first.session_id, first.reply_id),
        (Code::CONNECT, 0, 0)
    );
    assert!(first.payload.is_empty());
    assert!(
        device
            .requests()
            .iter()
            .all(|request| request.checksum_valid)
    );
}

#[tokio::test]
async fn q11_q25_frames_may_be_cut_at_every_byte() {
    survives(Fault::split()).await;
}

#[tokio::test]
async fn q13_a_client_that_goes_says_goodbye() {
    let device = holding(0).start().await.unwrap();
    drop(connected(&device).await);
    for _ in 0..400 {
        if device
            .requests()
            .iter()
            .any(|request| request.code == Code::EXIT)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    device.assert_asked([Code::EXIT]);
}

#[tokio::test]
async fn q20_q23_frames_may_come_all_at_once() {
    survives(Fault::coalesce()).await;
}

#[tokio::test]
async fn q21_q22_q47_a_short_transfer_is_never_a_whole_one() {
    for lost in [1, 2, 30] {
        let lost = Fault::drop_reply(Code::DATA)
            .on(Code::READ_BUFFER)
            .after(3)
            .times(lost);
        let device = holding(3000).fault(lost).start().await.unwrap();
        let error = connected(&device).await.attendance().await.unwrap_err();
        assert_eq!(error.kind(), "incomplete", "{error}");
        assert!(error.partial().is_some_and(|data| data.len() < 3000 * 40));
    }
}

#[tokio::test]
async fn q21_chunks_are_asked_for_one_after_the_other() {
    let device = holding(5000).start().await.unwrap();
    connected(&device).await.attendance().await.unwrap();
    let reads: Vec<_> = device
        .requests()
        .into_iter()
        .filter(|request| request.code == Code::READ_BUFFER)
        .collect();
    assert_eq!(reads.len(), 4);
    assert!(
        reads
            .windows(2)
            .all(|pair| pair[0].reply_id + 1 == pair[1].reply_id)
    );
}

#[tokio::test]
async fn q24_a_byte_nobody_expects_stays_in_its_frame() {
    let device = holding(5).fault(Fault::stray_byte()).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert!(!terminal.door().await.unwrap().is_open());
    terminal.time().await.unwrap();
    assert_eq!(terminal.counters().await.unwrap().users, Some(20));
}

#[tokio::test]
async fn q26_the_session_field_of_an_answer_means_nothing() {
    // This terminal puts 1 into the last acknowledgement of every transfer, whatever the session.
    let device = holding(3000).start().await.unwrap();
    assert!(holds(
        &connected(&device).await.attendance().await.unwrap(),
        &device
    ));
}

#[tokio::test]
async fn q29_smaller_chunks_can_be_asked_for() {
    let device = holding(3000).start().await.unwrap();
    let options = usual().max_chunk(16 << 10);
    let mut terminal = Client::connect(device.addr(), options).await.unwrap();
    assert!(holds(&terminal.attendance().await.unwrap(), &device));
    device.assert_asked_times(Code::READ_BUFFER, 8);
}

#[tokio::test]
async fn q30_a_whole_chunk_may_come_in_one_frame() {
    for max_packet in [0x9fb0, 0x1_0000, 1 << 20] {
        let device = holding(5000).max_packet(max_packet).start().await.unwrap();
        assert!(holds(
            &connected(&device).await.attendance().await.unwrap(),
            &device
        ));
    }
    survives(Fault::no_announcement()).await;
}

#[tokio::test]
async fn q31_bytes_beyond_the_announced_frame_end_the_stream_loudly() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 64];
        assert!(stream.read(&mut buffer).await.is_ok());
        let mut out = bytes::BytesMut::new();
        encode_packet(Transport::Tcp, Code::ACK_OK, 7, 0, &[], &mut out);
        stream.write_all(&out).await.unwrap();
        assert!(stream.read(&mut buffer).await.is_ok());
        out.clear();
        encode_packet(
            Transport::Tcp,
            Code::PREPARE_DATA,
            7,
            1,
            &[8, 0, 0, 0, 8, 0, 0, 0],
            &mut out,
        );
        out.extend_from_slice(b"more than was announced");
        stream.write_all(&out).await.unwrap();
        assert!(stream.read(&mut buffer).await.is_ok());
    });
    let mut terminal = Client::connect(address, usual()).await.unwrap();
    let error = terminal.data_set(DataSet::OPERATIONS).await.unwrap_err();
    assert_eq!(error.kind(), "not_a_frame", "{error}");
}

#[tokio::test]
async fn q32_a_closed_connection_says_so() {
    let device = holding(3000).start().await.unwrap();
    let mut terminal = connected(&device).await;
    device.drop_connections();
    let error = terminal.time().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        ("connection_lost", true)
    );
    connected(&device).await.time().await.unwrap();
}

#[tokio::test]
async fn q33_an_answer_to_something_else_is_dropped() {
    survives(Fault::stale_reply()).await;
    let device = holding(0)
        .fault(Fault::wrong_number().on(Code::GET_TIME))
        .start()
        .await
        .unwrap();
    let mut terminal = Client::connect(device.addr(), brief()).await.unwrap();
    let error = terminal.time().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                during: Code::GET_TIME,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(terminal.stats().stale_replies, 1);
}

#[tokio::test]
async fn q34_the_buffer_is_freed_on_every_path() {
    for fault in [
        Fault::reject(Code::READ_BUFFER, Code::ERR_4988),
        Fault::early_acknowledgement(),
    ] {
        let device = holding(3000).fault(fault).start().await.unwrap();
        let result = connected(&device).await.attendance().await;
        device.assert_asked([Code::PREPARE_BUFFER, Code::READ_BUFFER, Code::FREE_DATA]);
        assert!(result.is_err() || holds(&result.unwrap(), &device));
    }
}

#[tokio::test]
async fn q36_an_event_between_data_packets_is_set_aside() {
    survives(Fault::event_inside()).await;
    let device = holding(3000)
        .fault(Fault::event_inside().on(Code::READ_BUFFER))
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    terminal.attendance().await.unwrap();
    assert!(terminal.next_buffered_event().is_some());
    device.assert_asked([Code::ACK_OK]);
}

#[tokio::test]
async fn q37_data_may_come_at_once() {
    survives(Fault::send_at_once()).await;
}

#[tokio::test]
async fn q38_a_hostile_length_allocates_nothing() {
    let device = holding(0)
        .fault(Fault::absurd_length())
        .start()
        .await
        .unwrap();
    let error = Client::connect(device.addr(), usual()).await.unwrap_err();
    assert_eq!(error.kind(), "frame_too_long");
}

#[tokio::test]
async fn q40_q42_q43_q44_q45_counters_of_any_length_and_value_hide_nothing() {
    for width in [4, 80, 92, 112] {
        let device = holding(3000).sizes_width(width).start().await.unwrap();
        assert!(
            holds(
                &connected(&device).await.attendance().await.unwrap(),
                &device
            ),
            "{width}"
        );
    }
    for count in [0, 1, 2999, 3001, 15_000] {
        survives(Fault::wrong_counters(count)).await;
    }
    survives(Fault::reject(Code::GET_FREE_SIZES, Code::ACK_UNKNOWN)).await;
}

#[tokio::test]
async fn q41_no_data_is_an_error_where_records_are_counted() {
    let no_data = Fault::reject(Code::PREPARE_BUFFER, Code::ERR_NO_DATA);
    let device = holding(30).fault(no_data.clone()).start().await.unwrap();
    let error = connected(&device).await.attendance().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                answer: Code::ERR_NO_DATA,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.remedy().contains("time attendance"));
    let device = MockDevice::builder().fault(no_data).start().await.unwrap();
    assert!(
        connected(&device)
            .await
            .attendance()
            .await
            .unwrap()
            .is_empty()
    );
}

async fn read_as(layout: Layout, records: Vec<Attendance>) -> AttendanceLog {
    let device = MockDevice::builder()
        .records(records)
        .attendance_layout(layout)
        .start()
        .await
        .unwrap();
    connected(&device).await.attendance().await.unwrap()
}

#[tokio::test]
async fn q50_q59_records_of_49_bytes_are_all_right_and_all_there() {
    let records = generate(2, 9, 777).1;
    let log = read_as(Layout::Bytes49, records.clone()).await;
    assert!(log.iter().map(|record| record.to_record()).eq(records));
    assert!(
        log.iter()
            .all(|record| record.extra()[4..] == *b"\xff255\0\0\0\0\0")
    );
}

#[tokio::test]
async fn q51_the_order_of_eight_bytes_is_told_from_the_dates() {
    for layout in [Layout::Bytes8, Layout::Bytes8TimeLast] {
        let records = generate(3, 9, 500).1;
        let log = read_as(layout, records.clone()).await;
        assert_eq!(log.layout(), layout);
        assert!(
            log.iter()
                .zip(&records)
                .all(|(read, held)| read.time() == held.time)
        );
    }
}

#[tokio::test]
async fn q54_records_of_22_bytes_behind_a_header_of_12_are_read() {
    let device = holding(500).profile(Profile::Ak3750).start().await.unwrap();
    let log = connected(&device).await.attendance().await.unwrap();
    assert_eq!(
        (log.layout(), log.header_len(), log.len()),
        (Layout::Bytes22, 12, 500)
    );
}

#[tokio::test]
async fn q55_q56_q57_q58_q5c_numbers_and_long_ids_are_kept_as_they_are() {
    let mut records = generate(4, 9, 4).1;
    for (record, (verify, punch)) in
        records
            .iter_mut()
            .zip([(15, 255), (25, 9), (101, 0), (104, 5)])
    {
        record.user_id = "ABCDEFGHIJ12345678901234".into();
        (record.verify_mode, record.punch_state) = (VerifyMode(verify), PunchState(punch));
        (record.uid, record.work_code) = (9999, 42);
    }
    for layout in [Layout::Bytes40, Layout::Bytes49] {
        let log = read_as(layout, records.clone()).await;
        assert!(
            log.iter()
                .map(|record| record.to_record())
                .eq(records.clone())
        );
    }
}

#[tokio::test]
async fn q66_q68_the_answer_to_a_subscription_is_no_event() {
    let device = holding(3).start().await.unwrap();
    let terminal = connected(&device).await;
    let mut live = terminal.listen(EventMask::ALL).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), live.next()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn q70_a_refused_user_is_tried_in_the_other_width_where_nothing_is_known() {
    let refused = Fault::reject(Code::USER_WRQ, Code::ACK_ERROR).times(1);
    let device = MockDevice::builder()
        .user_width(28)
        .fault(refused)
        .start()
        .await
        .unwrap();
    let user = User {
        user_id: "12".into(),
        name: "Ana".into(),
        group: 1,
        ..User::default()
    };
    connected(&device).await.add_user(user).await.unwrap();
    let widths: Vec<_> = device
        .requests()
        .iter()
        .filter(|request| request.code == Code::USER_WRQ)
        .map(|request| request.payload.len())
        .collect();
    assert_eq!(widths, [72, 28]);
}

#[test]
fn q71_q72_q73_group_and_privilege_stand_in_their_own_bytes() {
    let user = User {
        uid: 7,
        user_id: "7".into(),
        group: 3,
        ..User::default()
    };
    // Whoever does not ask for a group gets the usual one, never none.
    assert_eq!(User::default().group, 1);
    let record = UserRecord::new(&user, UserLayout::Bytes72);
    assert_eq!(
        (record.as_bytes()[2], &record.as_bytes()[39..48]),
        (0, &[3, 0, 0, 0, 0, 0, 0, 0, 0][..])
    );
    assert!(!record.user().privilege.is_disabled());
}

#[tokio::test]
async fn q74_q7a_users_of_every_width_are_read_over_both_transports() {
    for width in [16, 28, 72, 120] {
        let device = holding(0).user_width(width).start().await.unwrap();
        for options in [usual(), Connect::udp()] {
            let mut terminal = Client::connect(device.addr(), options).await.unwrap();
            let users = terminal.users().await.unwrap();
            assert_eq!(users.len(), 20, "{width}");
            assert!(
                users
                    .iter()
                    .zip(device.snapshot().users)
                    .all(|(read, held)| read.uid == held.uid)
            );
        }
    }
}

#[tokio::test]
async fn q77_q78_q79_names_cards_and_junk() {
    let mut user = generate(5, 1, 0).0[0];
    user.name = Name::from_field(b"\xd5\xc5\xc8\xfd\0junk");
    user.card = 0xfedc_ba98;
    let device = MockDevice::builder().user(user).start().await.unwrap();
    let read = connected(&device).await.users().await.unwrap()[0];
    assert_eq!(
        (read.card, read.name.as_bytes()),
        (0xfedc_ba98, &b"\xd5\xc5\xc8\xfd"[..])
    );
    assert_eq!(read.name.decode(Encoding::Gbk), "张三");
}

#[tokio::test]
async fn q7b_slots_of_templates_between_users_are_no_users() {
    let device = holding(0).template_slots(true).start().await.unwrap();
    assert_eq!(
        connected(&device).await.users().await.unwrap(),
        device.snapshot().users
    );
}

#[tokio::test]
async fn q90_options_may_come_with_stray_signs_and_without_sense() {
    let device = holding(5).serial("=ABC").start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(
        terminal.serial_number().await.unwrap().as_deref(),
        Some("ABC")
    );
    device.fault(Fault::garbage_options());
    let info = terminal.info().await.unwrap();
    assert!(!info.serial_number.unwrap_or_default().contains("junk"));
    terminal.time().await.unwrap();
    let device = holding(5).serial("").start().await.unwrap();
    assert_eq!(
        connected(&device).await.serial_number().await.unwrap(),
        None
    );
}

#[tokio::test]
async fn q91_the_vendor_habit_after_an_unknown_option_is_answered() {
    let device = holding(0).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(terminal.option("~Unknown").await.unwrap(), None);
    for code in [
        Code::ACK_ERROR,
        Code::ACK_UNKNOWN,
        Code::ACK_UNKNOWN,
        Code::ACK_UNKNOWN,
    ] {
        match terminal.raw(code, &b"~Unknown\0"[..]).await {
            Ok(_) | Err(Error::Rejected { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    terminal.time().await.unwrap();
}

#[tokio::test]
async fn q97_the_door_opens_for_the_number_that_was_given() {
    let device = holding(0).start().await.unwrap();
    connected(&device).await.open_door(3).await.unwrap();
    assert_eq!(device.snapshot().extras.unlocked, [3]);
}

#[test]
fn q98_clearing_everything_has_a_name_of_its_own() {
    assert_eq!(Clearable::parse(&[]), Ok(Clearable::All));
    assert_eq!(Clearable::parse(&[1]), Ok(Clearable::Attendance));
    assert!(Clearable::parse(&[3]).is_err());
}

#[test]
fn q9b_q9c_replies_of_access_settings_in_two_shapes() {
    let mut week = [8, 0, 18, 0].repeat(7);
    let short = [&[5, 0][..], &week, &[0, 0]].concat();
    let long = [&[5, 0, 0, 0][..], &week].concat();
    for reply in [short, long] {
        let zone = TimeZone::parse_reply(&reply, 5).unwrap();
        assert!(
            zone.days
                .iter()
                .all(|day| day.from == (8, 0) && day.to == (18, 0))
        );
    }
    week.truncate(9);
    assert!(TimeZone::parse_reply(&week, 5).is_err());
    let answer = zk_proto::request::Answer {
        code: Code::ACK_OK,
        session: 1,
        payload: vec![0, 0, 0, 1, 2, 0, 0, 0].into(),
    };
    assert_eq!(
        ReadUserZones { uid: 1 }.decode(answer).unwrap().zones,
        [1, 2, 0]
    );
}

#[tokio::test]
async fn any_code_that_is_not_known_is_told_with_its_number() {
    for code in [2003, 4990, 4242, 65_531] {
        let device = holding(0)
            .fault(Fault::reject(Code::GET_TIME, Code(code)))
            .start()
            .await
            .unwrap();
        let error = connected(&device).await.call(ReadClock).await.unwrap_err();
        assert!(error.to_string().contains(&code.to_string()), "{error}");
    }
}

#[tokio::test]
async fn an_assertion_that_fails_lists_what_came() {
    let device = holding(0).start().await.unwrap();
    let request = Raw {
        code: Code::GET_VERSION,
        payload: bytes::Bytes::new(),
    };
    connected(&device).await.call(request).await.unwrap();
    device.assert_asked([Code::CONNECT, Code::GET_VERSION]);
    // Whether the device is unwind-safe depends on features that other crates of a build turn on in tokio.
    let ask = std::panic::AssertUnwindSafe(|| {
        device.assert_asked([Code::GET_VERSION, Code::CLEAR_DATA]);
    });
    let failure = std::panic::catch_unwind(ask);
    let text = failure.unwrap_err();
    let text = text.downcast_ref::<String>().unwrap();
    assert!(
        text.contains("CMD_CLEAR_DATA (14) was not asked")
            && text.contains("CMD_GET_VERSION (1100)"),
        "{text}"
    );
}

#[tokio::test]
async fn a_terminal_that_is_busy_with_somebody_else_does_not_hold_the_others() {
    let device = holding(5).start().await.unwrap();
    let idle = TcpStream::connect(device.addr()).await.unwrap();
    connected(&device).await.time().await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn q03_a_key_can_be_proven_with_another_tick() {
    let device = holding(0).comm_key(123_456).start().await.unwrap();
    let mut digests = Vec::new();
    for tick in [50, 0, 201] {
        let options = usual().comm_key(CommKey::new(123_456)).tick(tick);
        Client::connect(device.addr(), options).await.unwrap();
        let requests = device.requests();
        let mut proofs = requests.iter().rev();
        let proof = proofs.find(|request| request.code == Code::AUTH).unwrap();
        assert_eq!(proof.payload[2], tick);
        digests.push(proof.payload.clone());
    }
    digests.dedup();
    assert_eq!(digests.len(), 3);
    // A key that is refused all the same is named as the cause.
    let options = usual().comm_key(CommKey::new(1)).tick(0);
    let error = Client::connect(device.addr(), options).await.unwrap_err();
    assert_eq!(error.kind(), "wrong_comm_key");
}

#[test]
fn q5b_the_last_days_of_a_year_stay_in_it() {
    for year in 2000..2100 {
        for day in 1..=31 {
            let date = chrono::NaiveDate::from_ymd_opt(year, 12, day).unwrap();
            let time = date.and_hms_opt(23, 59, 59).unwrap();
            let packed = PackedTime::from_civil(time).unwrap();
            assert_eq!(packed.to_civil(), Ok(time));
            assert_eq!(i32::from(packed.fields().year), year);
        }
    }
}

#[tokio::test]
async fn q60_what_no_event_told_is_found_in_the_log() {
    let device = holding(100).start().await.unwrap();
    let mut terminal = connected(&device).await;
    let before = terminal
        .poll(&PollCursor::new(), PollOptions::new())
        .await
        .unwrap();
    let mut live = terminal.listen(EventMask::ATTENDANCE).await.unwrap();
    // Another program is told instead of us.
    let mut records = device.snapshot().records;
    records.push(generate(77, 20, 5).1[4]);
    device.set_records(records.clone());
    let nothing = tokio::time::timeout(Duration::from_millis(50), live.next()).await;
    assert!(nothing.is_err());
    let after = live.client().poll(&before.cursor, PollOptions::new()).await;
    let missed: Vec<_> = after
        .unwrap()
        .new_records()
        .map(|record| record.to_record())
        .collect();
    assert_eq!(missed, records[100..]);
}

#[tokio::test]
async fn q83_faces_are_read_and_there_is_no_way_to_write_one() {
    let faces = vec![
        Face::new(7, 0, &[0xab; 1214]),
        Face::new(9, 0, &[1; 20]),
        Face::new(7, 1, &[0xcd; 900]),
    ];
    let extras = Extras {
        faces: faces.clone(),
        ..Extras::default()
    };
    let device = holding(0).extras(extras).start().await.unwrap();
    let mut terminal = connected(&device).await;
    let read = terminal.faces(7).await.unwrap();
    assert_eq!(read, [faces[0].clone(), faces[2].clone()]);
    assert_eq!((read[1].number, read[1].length), (1, 900));
    assert_eq!(terminal.faces(8).await.unwrap(), []);
}

#[tokio::test]
async fn q84_a_terminal_without_faces_on_this_port_says_so() {
    let unknown = Fault::reject(Code::FACE_RRQ, Code::ACK_UNKNOWN);
    let device = holding(0).fault(unknown).start().await.unwrap();
    let error = connected(&device).await.faces(7).await.unwrap_err();
    assert!(
        error.remedy().contains("does not know the command"),
        "{error}"
    );
}

#[tokio::test]
async fn q93_q94_options_are_stored_without_sense_and_there_may_be_no_zone() {
    let device = holding(0).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(terminal.option("TZAdj").await.unwrap(), None);
    // That it reads back says nothing, and so nothing is read back.
    terminal.set_option("NoSuchThing", "1").await.unwrap();
    device.assert_asked([Code::OPTIONS_WRQ, Code::REFRESHOPTION]);
    device.assert_asked_times(Code::OPTIONS_RRQ, 1);
    assert_eq!(device.snapshot().options["NoSuchThing"], "1");
    // Refused is an error.
    device.fault(Fault::reject(Code::OPTIONS_WRQ, Code::ACK_ERROR));
    let error = terminal.set_option("TZAdj", "3").await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
}

#[test]
fn q99_numbers_that_were_made_up_have_no_name() {
    for number in [400, 401, 1505, 1506, 1507].into_iter().chain(1722..=1739) {
        assert_eq!(Code(number).name(), None, "{number}");
    }
}

/// Every row of the table, as one line for each of its sections.
const ROWS: [&str; 8] = [
    "01 02 03 04 05 06 07 08 09 10 11 12 13",
    "20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38",
    "40 41 42 43 44 45 46 47 48",
    "50 51 52 53 54 55 56 57 58 59 5a 5b 5c",
    "60 61 62 63 64 65 66 67 68 69 6a",
    "70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e",
    "80 81 82 83 84 85 86",
    "90 91 92 93 94 95 96 97 98 99 9a 9b 9c",
];

/// Rows that cannot be seen on the wire, and why.
const UNSEEN: [(&str, &str); 3] = [
    ("12", "another library pings first; nothing here does"),
    (
        "86",
        "templates do not tell their version; the caller compares the option",
    ),
    (
        "92",
        "another library forgets the comm key on some calls; a session proves it once",
    ),
];

#[test]
fn every_row_has_a_test_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![root.join("src/record/event.rs")];
    let tests = fs::read_dir(root.join("tests/it")).unwrap();
    sources.extend(tests.map(|entry| entry.unwrap().path()));
    let mut tested = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let names = text.lines().filter_map(|line| line.split_once("fn q"));
        for (_, name) in names {
            let rows = name.split('_').map(|part| part.trim_start_matches('q'));
            let rows = rows.take_while(|row| row.len() == 2 && row.starts_with(char::is_numeric));
            tested.extend(rows.map(str::to_owned));
        }
    }
    let rows: BTreeSet<_> = ROWS.iter().flat_map(|rows| rows.split(' ')).collect();
    let tested: BTreeSet<_> = tested.iter().map(String::as_str).collect();
    let unknown: Vec<_> = tested.difference(&rows).collect();
    assert!(unknown.is_empty(), "no such rows: {unknown:?}");
    let untested: BTreeSet<_> = rows.difference(&tested).copied().collect();
    assert_eq!(untested, UNSEEN.iter().map(|(row, _)| *row).collect());
}
