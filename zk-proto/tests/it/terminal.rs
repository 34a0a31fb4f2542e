//! Everything a client does with a terminal beside reading users and punches.

use std::time::Duration;

use bytes::Bytes;
use zk_proto::{
    Client, Code, Connect, Encoding, Error, Heard, Listen, Misuse,
    mock::{Extras, Fault, MockDevice, Profile, Serve, generate},
    record::{
        Attendance, AttendanceLog, Combination, DayWindow, Event, EventCode, EventMask, Group,
        Layout, Message, MessageTag, Operation, OperationCode, Privilege, Puncher, Template,
        TemplateFlag, TimeZone, Told, UserLayout, UserRecord, UserZones, VerifyRule,
    },
    request::{
        BulkUpload, CaptureFinger, ChangeSpeed, Clearable, Confirmed, DataSet, DeleteTemplateOf,
        DeviceState, DoorState, EmptyMifare, Finger, IdentifyTemplate, ReadDirect, WriteMifare,
        WriteTemplate,
    },
    wire::PackedTime,
};

const CONFIRMED: Confirmed = Confirmed::the_data_is_lost_for_good();

fn usual() -> Connect {
    Connect::tcp().timeout(Duration::from_secs(10))
}

async fn connected(device: &MockDevice) -> Client {
    Client::connect(device.addr(), usual()).await.unwrap()
}

fn same(log: &AttendanceLog, held: &[Attendance]) -> bool {
    let has_id = log.layout().has_user_id();
    log.len() == held.len()
        && log.iter().zip(held).all(|(read, held)| {
            (read.time(), read.verify_mode(), read.punch_state())
                == (held.time, held.verify_mode, held.punch_state)
                && (!has_id || read.user_id() == held.user_id)
                && (has_id || read.uid() == held.uid)
        })
}

#[tokio::test]
async fn every_layout_is_read_over_tcp_and_udp() {
    let (users, records) = generate(1, 30, 700);
    for layout in Layout::ALL.iter().copied() {
        if layout == Layout::Bytes16VerifyFirst {
            continue;
        }
        let device = MockDevice::builder()
            .users(users.clone())
            .records(records.clone())
            .attendance_layout(layout)
            .start()
            .await
            .unwrap();
        for options in [usual(), Connect::udp()] {
            let mut terminal = Client::connect(device.addr(), options).await.unwrap();
            let log = terminal.attendance().await.unwrap();
            assert_eq!(log.layout(), layout);
            assert!(same(&log, &records), "{layout:?}");
        }
    }
}

#[tokio::test]
async fn every_profile_that_talks_is_read_whole() {
    for profile in [
        Profile::Bw,
        Profile::BwCompact,
        Profile::Tft,
        Profile::Vl,
        Profile::Ak3750,
        Profile::NgTeco,
    ] {
        let device = MockDevice::builder()
            .generate(2, 40, 900)
            .profile(profile)
            .start()
            .await
            .unwrap();
        let held = device.snapshot();
        let auto = Connect::auto().timeout(Duration::from_secs(5));
        let mut terminal = Client::connect(device.addr(), auto).await.unwrap();
        let log = terminal.attendance().await.unwrap();
        assert!(same(&log, &held.records), "{profile:?}");
        let users = terminal.users().await.unwrap();
        let ids = |users: &[zk_proto::record::User]| -> Vec<_> {
            users.iter().map(|user| (user.uid, user.user_id)).collect()
        };
        assert_eq!(ids(&users), ids(&held.users), "{profile:?}");
        // And somebody can be deleted there, by the id people type.
        terminal.delete_user("1007").await.unwrap();
        assert_eq!(device.snapshot().users.len(), 39, "{profile:?}");
    }
}

#[tokio::test]
async fn profiles_that_cannot_be_read_say_why() {
    for (profile, kind) in [
        (Profile::Secured, "secured_firmware"),
        (Profile::Panel, "access_panel"),
    ] {
        let device = MockDevice::builder()
            .profile(profile)
            .start()
            .await
            .unwrap();
        let error = Client::connect(device.addr(), usual()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, false));
    }
}

#[tokio::test]
async fn firmware_that_refuses_the_buffered_read_is_read_directly() {
    for refusal in [
        Code::ACK_UNKNOWN,
        Code::ACK_ERROR,
        Code::ERROR_CMD,
        Code::ERR_4991,
    ] {
        let device = MockDevice::builder()
            .generate(3, 30, 600)
            .fault(Fault::reject(Code::PREPARE_BUFFER, refusal))
            .start()
            .await
            .unwrap();
        let held = device.snapshot();
        for options in [usual(), Connect::udp()] {
            let mut terminal = Client::connect(device.addr(), options).await.unwrap();
            assert!(same(&terminal.attendance().await.unwrap(), &held.records));
            assert_eq!(terminal.users().await.unwrap(), held.users);
        }
        device.assert_asked([Code::PREPARE_BUFFER, Code::ATTLOG_RRQ, Code::USERTEMP_RRQ]);
        // Where that is refused too, the first refusal is told.
        device.fault(Fault::reject(Code::ATTLOG_RRQ, Code::ACK_ERROR));
        let error = connected(&device).await.attendance().await.unwrap_err();
        assert!(
            matches!(error, Error::Rejected { request: Code::PREPARE_BUFFER, answer } if answer == refusal),
            "{error}"
        );
    }
}

#[tokio::test]
async fn q5a_a_time_range_is_served_by_the_terminal_or_chosen_here() {
    let (users, records) = generate(4, 10, 2000);
    let (from, to) = (records[500].time, records[519].time);
    for refusal in [None, Some(Code::ACK_UNKNOWN), Some(Code::ERR_NO_DATA)] {
        let mut device = MockDevice::builder()
            .users(users.clone())
            .records(records.clone());
        if let Some(refusal) = refusal {
            device = device.fault(Fault::reject(Code::PREPARE_BUFFER, refusal).times(1));
        }
        let device = device.start().await.unwrap();
        let mut terminal = connected(&device).await;
        let between = terminal.attendance_between(from, to).await.unwrap();
        assert_eq!(between.by_terminal, refusal.is_none());
        assert!(same(&between.log, &records[500..520]));
    }
}

#[tokio::test]
async fn an_empty_log_that_is_counted_is_an_error() {
    let device = MockDevice::builder()
        .fault(Fault::wrong_counters(7))
        .start()
        .await
        .unwrap();
    let error = connected(&device).await.attendance().await.unwrap_err();
    assert_eq!(error.kind(), "empty_data_set", "{error}");
    // A counter that was old and is right when asked again is no reason.
    let device = MockDevice::builder()
        .fault(Fault::wrong_counters(7).times(1))
        .start()
        .await
        .unwrap();
    assert!(
        connected(&device)
            .await
            .attendance()
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nothing_is_cleared_but_what_was_named() {
    let device = MockDevice::builder()
        .generate(5, 10, 100)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    terminal.clear_attendance(CONFIRMED).await.unwrap();
    assert_eq!(
        (
            device.snapshot().records.len(),
            device.snapshot().users.len()
        ),
        (0, 10)
    );
    assert!(terminal.attendance().await.unwrap().is_empty());
    terminal.clear(Clearable::Users, CONFIRMED).await.unwrap();
    assert!(terminal.users().await.unwrap().is_empty());
    terminal.clear_operations(CONFIRMED).await.unwrap();
    device.assert_asked([
        Code::CLEAR_ATTLOG,
        Code::REFRESHDATA,
        Code::CLEAR_DATA,
        Code::CLEAR_OPLOG,
        Code::REFRESHDATA,
    ]);
}

#[tokio::test]
async fn the_operation_log_is_read() {
    let operations: Vec<Operation> = (0..200_u16)
        .map(|index| Operation {
            admin: index % 3,
            code: OperationCode(u8::try_from(index % 31).unwrap()),
            unknown: 0x2a,
            time: PackedTime(771_407_900 + u32::from(index)),
            params: [index, 1, 0, 0],
        })
        .collect();
    let extras = Extras {
        operations: operations.clone(),
        ..Extras::default()
    };
    let device = MockDevice::builder().extras(extras).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(terminal.operations().await.unwrap(), operations);
    assert!(
        operations
            .iter()
            .all(|operation| operation.code.name().is_some())
    );
    let raw = terminal.data_set(DataSet::OPERATIONS).await.unwrap();
    assert_eq!(raw.len(), 4 + 200 * 16);
}

fn template(uid: u16, finger: u8, length: u8) -> Template {
    Template {
        uid,
        finger,
        flag: TemplateFlag::VALID,
        data: (0..length).collect::<Vec<u8>>().repeat(9).into(),
    }
}

#[tokio::test]
async fn q81_q82_templates_are_read_written_and_deleted() {
    let device = MockDevice::builder()
        .generate(6, 3, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    assert!(terminal.templates().await.unwrap().is_empty());
    // Longer than one part of an upload.
    let first = template(2, 6, 200);
    terminal.write_template(&first).await.unwrap();
    terminal.write_template(&template(3, 0, 50)).await.unwrap();
    assert_eq!(
        terminal.templates().await.unwrap(),
        [first.clone(), template(3, 0, 50)]
    );
    let slot = Finger { uid: 2, finger: 6 };
    assert_eq!(terminal.template(slot).await.unwrap(), Some(first.clone()));
    assert_eq!(
        terminal
            .template(Finger { uid: 2, finger: 7 })
            .await
            .unwrap(),
        None
    );
    // Another one in the same slot replaces it.
    terminal.write_template(&template(2, 6, 77)).await.unwrap();
    assert_eq!(
        terminal.template(slot).await.unwrap(),
        Some(template(2, 6, 77))
    );
    assert!(terminal.delete_template(slot).await.unwrap());
    assert!(!terminal.delete_template(slot).await.unwrap());
    let last = DeleteTemplateOf {
        user_id: "1003".into(),
        finger: 0,
    };
    terminal.call(last).await.unwrap();
    assert!(device.snapshot().extras.templates.is_empty());
    // Nobody is in slot 9.
    let error = terminal
        .write_template(&template(9, 0, 5))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                request: Code::TMP_WRITE,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        !format!("{first:?}").contains("[0, 1"),
        "templates are not for logs"
    );
}

#[tokio::test]
async fn q46_templates_come_one_by_one_where_memory_is_short() {
    let device = MockDevice::builder()
        .generate(6, 2, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    terminal.write_template(&template(1, 3, 9)).await.unwrap();
    terminal.write_template(&template(2, 9, 8)).await.unwrap();
    device.fault(Fault::reject(Code::PREPARE_BUFFER, Code::ERR_4988).times(1));
    let all = terminal.templates().await.unwrap();
    assert_eq!(all, [template(1, 3, 9), template(2, 9, 8)]);
    device.assert_asked_times(Code::GET_USERTEMP, 20);
}

#[tokio::test]
async fn users_and_templates_are_uploaded_together() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    let (users, _) = generate(7, 40, 0);
    let upload = BulkUpload {
        users: users
            .iter()
            .map(|user| UserRecord::new(user, UserLayout::Bytes72))
            .collect(),
        templates: vec![template(1, 0, 100), template(40, 9, 100)],
    };
    terminal.upload_all(&upload).await.unwrap();
    assert_eq!(terminal.users().await.unwrap(), users);
    assert_eq!(terminal.templates().await.unwrap(), upload.templates);
    device.assert_asked([
        Code::PREPARE_DATA,
        Code::DATA,
        Code::CHECKSUM_BUFFER,
        Code::SAVE_USERTEMPS,
    ]);
}

#[tokio::test]
async fn door_screen_voice_and_options() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(terminal.door().await.unwrap(), DoorState::CLOSED);
    device.set_door(true);
    assert!(terminal.door().await.unwrap().is_open());
    terminal.open_door(30).await.unwrap();
    terminal.write_lcd(2, "Hello").await.unwrap();
    terminal.play_voice(10).await.unwrap();
    assert_eq!(terminal.state().await.unwrap(), DeviceState::WAITING);
    assert_eq!(terminal.pin_width().await.unwrap(), 9);
    terminal.blink_clock(true).await.unwrap();
    terminal.wake().await.unwrap();
    terminal.call(ChangeSpeed { fast: true }).await.unwrap();
    terminal.set_option("LockOn", "5").await.unwrap();
    assert_eq!(
        terminal.option("LockOn").await.unwrap().as_deref(),
        Some("5")
    );
    device.assert_asked([Code::OPTIONS_WRQ, Code::REFRESHOPTION]);
    let held = device.snapshot().extras;
    assert_eq!(
        (&held.unlocked[..], &held.played[..]),
        (&[30][..], &[10][..])
    );
    assert_eq!(held.screen[&2], "Hello");
    terminal.write_lcd(3, "\u{1F600}").await.unwrap();
    let options = usual().encoding(Encoding::Gbk);
    let mut other = Client::connect(device.addr(), options).await.unwrap();
    let error = other.write_lcd(2, "\u{1F600}").await.unwrap_err();
    assert!(
        matches!(error, Error::Misuse(Misuse::NotEncodable)),
        "{error}"
    );
    terminal.clear_lcd().await.unwrap();
    assert!(device.snapshot().extras.screen.is_empty());
}

#[tokio::test]
async fn q95_a_restart_that_is_not_answered_is_one() {
    for fault in [
        Fault::silence(),
        Fault::reset(),
        Fault::delay(Duration::ZERO),
    ] {
        let device = MockDevice::builder()
            .fault(fault.on(Code::RESTART))
            .start()
            .await
            .unwrap();
        connected(&device).await.restart().await.unwrap();
    }
    let device = MockDevice::builder()
        .fault(Fault::reject(Code::POWEROFF, Code::ACK_ERROR))
        .start()
        .await
        .unwrap();
    let error = connected(&device).await.power_off().await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
    connected(&device).await.sleep().await.unwrap();
}

#[tokio::test]
async fn q96_a_lock_ends_with_its_guard() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    {
        let mut locked = terminal.lock(Some(60)).await.unwrap();
        locked.time().await.unwrap();
        assert!(device.snapshot().disabled);
    }
    // Nobody waited for the answer, but it goes before the next one.
    terminal.time().await.unwrap();
    assert!(!device.snapshot().disabled);
    terminal.lock(None).await.unwrap().unlock().await.unwrap();
    assert!(!device.snapshot().disabled);
    let locks = device.requests();
    let lock = locks
        .iter()
        .find(|request| request.code == Code::DISABLEDEVICE);
    assert_eq!(lock.unwrap().payload[..], [60, 0, 0, 0]);
}

#[tokio::test]
async fn q7c_q7e_access_settings_are_written_and_read_back() {
    let device = MockDevice::builder()
        .generate(8, 300, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let mut days = [DayWindow::ALWAYS; 7];
    days[0] = DayWindow::NEVER;
    let zone = TimeZone { index: 5, days };
    terminal.set_time_zone(zone).await.unwrap();
    assert_eq!(terminal.time_zone(5).await.unwrap(), zone);
    let group = Group {
        number: 3,
        zones: [5, 0, 0],
        holidays: true,
        verify: 1,
    };
    terminal.set_group(group).await.unwrap();
    assert_eq!(terminal.group(3).await.unwrap(), group);
    let combination = Combination {
        number: 7,
        groups: [1, 3, 0, 0, 0],
        count: 2,
    };
    terminal.set_combination(combination).await.unwrap();
    assert_eq!(terminal.combination(7).await.unwrap(), combination);
    // Above 255 the whole number counts (Q-7E).
    let uid = 300;
    terminal.set_user_group(uid, 3).await.unwrap();
    assert_eq!(terminal.user_group(uid).await.unwrap(), 3);
    assert_eq!(terminal.user_group(300 - 256).await.unwrap(), 1);
    let zones = UserZones {
        own: true,
        zones: [5, 1, 0],
    };
    terminal.set_user_zones(uid, zones).await.unwrap();
    assert_eq!(terminal.user_zones(uid).await.unwrap(), zones);
    let rule = VerifyRule(0x8d);
    terminal.set_verify_rule(uid, rule).await.unwrap();
    assert_eq!(terminal.verify_rule(uid).await.unwrap(), rule);
    terminal.clear_access(CONFIRMED).await.unwrap();
    assert_eq!(terminal.verify_rule(uid).await.unwrap(), VerifyRule::GROUP);
    assert!(device.snapshot().extras.time_zones.is_empty());
    terminal.clear_admins(CONFIRMED).await.unwrap();
    let held = device.snapshot().users;
    assert!(held.iter().all(|user| user.privilege == Privilege::USER));
}

#[tokio::test]
async fn q9a_messages_are_written_linked_and_deleted() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    let message = Message {
        tag: MessageTag::PERSONAL,
        id: 3,
        minutes: 60,
        reserved: 0,
        start: PackedTime(771_407_900),
        text: b"Fire drill at noon".to_vec(),
    };
    terminal.set_message(&message).await.unwrap();
    assert_eq!(terminal.message(3).await.unwrap(), Some(message.clone()));
    // Old firmware has less room for the text.
    device.fault(Fault::reject(Code::SMS_WRQ, Code::ERR_4997).times(1));
    terminal.set_message(&message).await.unwrap();
    let requests = device.requests();
    let writes = requests
        .iter()
        .filter(|request| request.code == Code::SMS_WRQ);
    let lengths: Vec<_> = writes.map(|request| request.payload.len()).collect();
    assert_eq!(lengths, [332, 332, 72]);
    assert_eq!(terminal.message(3).await.unwrap(), Some(message.clone()));
    // No text is ever cut.
    let long = |length| Message {
        text: vec![b'x'; length],
        ..message.clone()
    };
    device.fault(Fault::reject(Code::SMS_WRQ, Code::ERR_4997).times(1));
    let error = terminal.set_message(&long(62)).await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
    let error = terminal.set_message(&long(322)).await.unwrap_err();
    assert!(error.remedy().contains("shorter"), "{error}");
    assert_eq!(terminal.message(3).await.unwrap(), Some(message));
    terminal.link_message(9, 3).await.unwrap();
    assert_eq!(device.snapshot().extras.links, [(9, 3)]);
    terminal.unlink_message(9, 3).await.unwrap();
    assert!(device.snapshot().extras.links.is_empty());
    terminal.delete_message(3).await.unwrap();
    assert_eq!(terminal.message(3).await.unwrap(), None);
}

#[tokio::test]
async fn finger_0_is_deleted_alone() {
    let device = MockDevice::builder()
        .generate(6, 3, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    for finger in [0, 1] {
        terminal
            .write_template(&template(2, finger, 40))
            .await
            .unwrap();
    }
    let thumb = Finger { uid: 2, finger: 0 };
    device.clear_requests();
    assert!(terminal.delete_template(thumb).await.unwrap());
    assert!(!terminal.delete_template(thumb).await.unwrap());
    // The usual command takes 0 for all fingers on some firmware.
    device.assert_not_asked(Code::DELETE_USERTEMP);
    assert_eq!(terminal.templates().await.unwrap(), [template(2, 1, 40)]);
    // Old firmware has the usual command alone, and there 0 is a finger.
    terminal.write_template(&template(2, 0, 40)).await.unwrap();
    device.fault(Fault::reject(Code::DEL_FPTMP, Code::ACK_UNKNOWN));
    assert!(terminal.delete_template(thumb).await.unwrap());
    device.assert_asked_times(Code::DELETE_USERTEMP, 1);
    assert_eq!(terminal.templates().await.unwrap(), [template(2, 1, 40)]);
}

#[tokio::test]
async fn an_upload_that_is_refused_is_freed() {
    let device = MockDevice::builder()
        .generate(6, 3, 0)
        .fault(Fault::reject(Code::TMP_WRITE, Code::ERR_4990))
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let error = terminal.write_template(&template(2, 6, 40)).await;
    assert_eq!(error.unwrap_err().kind(), "rejected");
    device.assert_asked([Code::DATA, Code::TMP_WRITE, Code::FREE_DATA]);
}

#[tokio::test]
async fn photos_images_and_cards() {
    let photo = Bytes::from((0..=250).collect::<Vec<u8>>().repeat(20));
    let image = Bytes::from(vec![7; 3000]);
    let extras = Extras {
        photos: [("123.jpg".to_owned(), photo.clone())].into(),
        image: image.clone(),
        ..Extras::default()
    };
    let device = MockDevice::builder()
        .extras(extras)
        .generate(6, 3, 0)
        .start()
        .await
        .unwrap();
    for options in [usual(), Connect::udp()] {
        let mut terminal = Client::connect(device.addr(), options).await.unwrap();
        assert_eq!(
            terminal.photo("123.jpg").await.unwrap(),
            Some(photo.clone())
        );
        assert_eq!(terminal.photo("124.jpg").await.unwrap(), None);
        let capture = CaptureFinger {
            resolution: 500,
            width: 50,
            height: 60,
        };
        assert_eq!(terminal.call(capture).await.unwrap(), image);
    }
    let mut terminal = connected(&device).await;
    let finger = Bytes::from_static(b"template");
    let card = WriteMifare {
        user_id: 1002,
        templates: vec![(3, finger.clone()), (5, Bytes::from_static(b"another"))],
    };
    terminal.call(card.clone()).await.unwrap();
    assert_eq!(device.snapshot().extras.card, Some(card));
    terminal.call(EmptyMifare(CONFIRMED)).await.unwrap();
    assert_eq!(device.snapshot().extras.card, None);
    // As old firmware takes templates, and tells whose they are.
    let old = Template {
        data: finger.clone(),
        ..template(2, 3, 1)
    };
    terminal.write(WriteTemplate(old.clone())).await.unwrap();
    let slot = Finger { uid: 2, finger: 3 };
    assert_eq!(terminal.template(slot).await.unwrap(), Some(old));
    let whose = terminal.call(IdentifyTemplate(&finger)).await.unwrap();
    assert_eq!(whose, "1002".into());
    let nobody = terminal.call(IdentifyTemplate(b"nobody's")).await;
    assert_eq!(nobody.unwrap_err().kind(), "rejected");
}

#[tokio::test]
async fn data_sets_are_read_directly_by_their_selector() {
    let device = MockDevice::builder()
        .generate(6, 30, 100)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    for (selector, set) in [
        (1, DataSet::ATTENDANCE),
        (2, DataSet::TEMPLATES),
        (4, DataSet::OPERATIONS),
        (5, DataSet::USERS),
        (6, DataSet::MESSAGES),
        (7, DataSet::LINKS),
        (8, DataSet::WORK_CODES),
    ] {
        let directly = terminal.call(ReadDirect { selector }).await.unwrap();
        assert_eq!(
            directly,
            terminal.data_set(set).await.unwrap(),
            "{selector}"
        );
    }
    let none = terminal.call(ReadDirect { selector: 9 }).await;
    assert_eq!(none.unwrap_err().kind(), "rejected");
}

fn event(code: EventCode, payload: &[u8]) -> Event {
    Event {
        code,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[tokio::test]
async fn an_enrolment_is_followed_to_its_end() {
    let device = MockDevice::builder()
        .generate(9, 3, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let patience = Duration::from_secs(10);
    let mut steps = 0;
    let mut payload = vec![0, 0, 0xfc, 3];
    payload.extend_from_slice(b"1002\0\0\0\0\0\x05");
    let terminal_side = async {
        while !device
            .requests()
            .iter()
            .any(|request| request.code == Code::STARTENROLL)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..3 {
            device.emit(event(EventCode::FINGER, &[]));
            device.emit(event(EventCode::FINGER_SCORE, &[100]));
        }
        device.emit(event(EventCode::ENROLL_FINGER, &payload));
    };
    let (enrolled, ()) = tokio::join!(
        terminal.enroll("1002", 5, patience, |_| steps += 1),
        terminal_side
    );
    let enrolled = enrolled.unwrap();
    assert!(enrolled.is_ok());
    assert_eq!(
        (enrolled.user_id, enrolled.finger, enrolled.size),
        ("1002".into(), 5, 1020)
    );
    assert_eq!(steps, 7);
    device.assert_asked([
        Code::REG_EVENT,
        Code::CANCELCAPTURE,
        Code::STARTENROLL,
        Code::STARTVERIFY,
    ]);
}

#[tokio::test]
async fn q80_an_enrolment_that_never_starts_ends_in_time() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    let brief = Duration::from_millis(50);
    let error = terminal.enroll("1", 5, brief, |_| ()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                during: Code::STARTENROLL,
                ..
            }
        ),
        "{error}"
    );
    // Firmware whose ids are numbers takes another shape.
    device.fault(Fault::reject(Code::STARTENROLL, Code::ACK_ERROR).times(1));
    let error = terminal.enroll("1", 5, brief, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
    let starts = device.requests();
    let start = starts
        .iter()
        .rfind(|request| request.code == Code::STARTENROLL);
    assert_eq!(start.unwrap().payload[..], [1, 0, 0, 0, 5]);
    device.fault(Fault::reject(Code::STARTENROLL, Code::ACK_UNKNOWN));
    let error = terminal.enroll("1", 5, brief, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
    // Still usable, and back to normal.
    terminal.time().await.unwrap();
    device.assert_asked([
        Code::CANCELCAPTURE,
        Code::STARTENROLL,
        Code::CANCELCAPTURE,
        Code::STARTVERIFY,
    ]);
}

async fn heard(live: &mut zk_proto::Live) -> Told {
    match live.next().await.unwrap() {
        Heard::Event(event) => event.decode(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn q67_q6a_punches_are_heard_once_over_both_transports_in_every_width() {
    let (users, records) = generate(10, 5, 3);
    for (width, options) in [
        (32, usual()),
        (12, usual()),
        (10, Connect::udp()),
        (52, Connect::udp()),
    ] {
        let device = MockDevice::builder()
            .users(users.clone())
            .event_width(width)
            .start()
            .await
            .unwrap();
        let terminal = Client::connect(device.addr(), options).await.unwrap();
        let mut live = terminal.listen(EventMask::ATTENDANCE).await.unwrap();
        for record in &records {
            device.punch(*record);
            let Told::Punches(punches) = heard(&mut live).await else {
                panic!("no punch")
            };
            let who = match punches[0].who {
                Puncher::Uid(uid) => users.iter().find(|user| user.uid == uid).unwrap().user_id,
                Puncher::UserId(id) => id,
            };
            assert_eq!((who, punches[0].time), (record.user_id, record.time));
        }
        // Other kinds are not sent, and the same punch told again is not heard again.
        device.emit(event(EventCode::VERIFY, &[0xff; 5]));
        device.punch(records[2]);
        let other = Attendance {
            time: PackedTime(771_500_000),
            ..records[0]
        };
        device.punch(other);
        let Told::Punches(punches) = heard(&mut live).await else {
            panic!("no punch")
        };
        assert_eq!(punches[0].time, other.time);
        let mut terminal = live.stop().await.unwrap();
        assert_eq!(terminal.attendance().await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn q62_q69_the_terminal_is_enabled_first_and_failed_verifications_are_told() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut live = connected(&device)
        .await
        .listen(EventMask::ALL)
        .await
        .unwrap();
    device.assert_asked([Code::ENABLEDEVICE, Code::REG_EVENT]);
    device.emit(event(EventCode::VERIFY, &[0xff, 0xff, 0xff, 0xff, 1]));
    assert_eq!(heard(&mut live).await, Told::Verified { uid: None });
    device.emit(event(EventCode(0x400), &[1, 2, 3]));
    let Heard::Event(unknown) = live.next().await.unwrap() else {
        panic!()
    };
    assert_eq!(
        (unknown.decode(), &unknown.payload[..]),
        (Told::Unknown, &[1, 2, 3][..])
    );
}

#[tokio::test]
async fn q63_silent_death_is_noticed_by_a_probe_and_listening_goes_on() {
    let device = MockDevice::builder()
        .generate(11, 3, 2)
        .start()
        .await
        .unwrap();
    let options = Connect::tcp().timeout(Duration::from_millis(200));
    let listen = Listen::to(EventMask::ATTENDANCE)
        .probe_after(Duration::from_millis(50))
        .pauses(Duration::from_millis(10), Duration::from_millis(20));
    let terminal = Client::connect(device.addr(), options).await.unwrap();
    let mut live = terminal.listen(listen).await.unwrap();
    // Probes that are answered are not heard of.
    let quiet = tokio::time::timeout(Duration::from_millis(200), live.next()).await;
    assert!(quiet.is_err());
    device.assert_asked([Code::GET_TIME, Code::GET_TIME]);
    device.fault(Fault::silence().on(Code::GET_TIME).times(1));
    let Heard::Resumed { lost } = live.next().await.unwrap() else {
        panic!("nothing was noticed")
    };
    assert!(
        matches!(
            lost,
            Error::Timeout {
                during: Code::GET_TIME,
                ..
            }
        ),
        "{lost}"
    );
    device.punch(device.snapshot().records[0]);
    assert!(matches!(heard(&mut live).await, Told::Punches(_)));
}

#[tokio::test]
async fn q61_a_connection_taken_away_is_taken_up_again() {
    let device = MockDevice::builder()
        .generate(12, 3, 2)
        .one_client(true)
        .start()
        .await
        .unwrap();
    let listen = Listen::to(EventMask::ATTENDANCE)
        .pauses(Duration::from_millis(10), Duration::from_millis(20));
    let mut live = connected(&device).await.listen(listen).await.unwrap();
    let other = connected(&device).await;
    let Heard::Resumed { lost } = live.next().await.unwrap() else {
        panic!("nothing was noticed")
    };
    assert_eq!(lost.kind(), "connection_lost", "{lost}");
    drop(other);
    device.punch(device.snapshot().records[1]);
    assert!(matches!(heard(&mut live).await, Told::Punches(_)));
}

#[tokio::test]
async fn listening_gives_up_where_it_was_told_to() {
    let device = MockDevice::builder()
        .serve(Serve::Tcp)
        .start()
        .await
        .unwrap();
    let listen = Listen::to(EventMask::ALL)
        .attempts(2)
        .pauses(Duration::from_millis(1), Duration::from_millis(1));
    let mut live = connected(&device).await.listen(listen).await.unwrap();
    drop(device);
    let error = live.next().await.unwrap_err();
    assert_eq!(error.kind(), "connection_lost", "{error}");
}
