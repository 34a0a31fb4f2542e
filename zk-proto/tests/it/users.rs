//! Changing the people a terminal knows.

use std::time::Duration;

use zk_proto::{
    Client, Code, Connect, Error, Misuse,
    mock::{Fault, MockDevice, generate},
    record::{Privilege, User},
    request::Raw,
};

async fn connected(device: &MockDevice) -> Client {
    let options = Connect::tcp().timeout(Duration::from_secs(10));
    Client::connect(device.addr(), options).await.unwrap()
}

fn person(uid: u16, user_id: &str, name: &str) -> User {
    User {
        uid,
        user_id: user_id.into(),
        name: name.into(),
        group: 1,
        ..User::default()
    }
}

fn asked(device: &MockDevice, code: Code) -> usize {
    let requests = device.requests();
    requests
        .iter()
        .filter(|request| request.code == code)
        .count()
}

/// Terminals delete by internal number. Whoever takes the id people type for that number deletes
/// somebody else.
#[tokio::test]
async fn b8_deleting_a_user_looks_the_internal_number_up() {
    for (user_width, transport) in [(72, Connect::tcp()), (28, Connect::udp())] {
        let (ana, boris, other) = (
            person(1, "7", "Ana"),
            person(7, "42", "Boris"),
            person(42, "1", "Carmen"),
        );
        let device = MockDevice::builder()
            .users([ana, boris, other])
            .user_width(user_width)
            .start()
            .await
            .unwrap();
        let mut terminal = Client::connect(device.addr(), transport).await.unwrap();
        let gone = terminal.delete_user("7").await.unwrap();
        assert_eq!((gone.uid, gone.user_id), (1, "7".into()));
        assert_eq!(device.snapshot().users, [boris, other]);
        assert_eq!(terminal.users().await.unwrap().len(), 2);
        let sent = device.requests();
        let at = |code| {
            sent.iter()
                .position(|request| request.code == code)
                .unwrap()
        };
        assert_eq!(sent[at(Code::DELETE_USER)].payload[..], [1, 0]);
        assert!(at(Code::PREPARE_BUFFER) < at(Code::DELETE_USER));
        assert!(at(Code::DELETE_USER) < at(Code::REFRESHDATA));
    }
}

#[tokio::test]
async fn a_user_who_is_not_there_or_not_clear_is_not_deleted() {
    let users = [
        person(1, "10", "Ana"),
        person(2, "20", "Boris"),
        person(3, "20", "Carmen"),
        person(4, "007", "Dmitri"),
    ];
    let device = MockDevice::builder().users(users).start().await.unwrap();
    let mut terminal = connected(&device).await;
    for unknown in ["", "1", "7", "0010", "10 ", "1234567890123456789012345"] {
        let error = terminal.delete_user(unknown).await.unwrap_err();
        assert!(matches!(&error, Error::NoSuchUser { user_id } if user_id == unknown));
        assert!(!error.is_retryable());
    }
    let error = terminal.delete_user("20").await.unwrap_err();
    assert!(matches!(&error, Error::AmbiguousUser { uids, .. } if *uids == [2, 3]));
    assert_eq!(asked(&device, Code::DELETE_USER), 0);
    assert_eq!(device.snapshot().users, users);
    terminal.delete_user("007").await.unwrap();
    assert_eq!(device.snapshot().users, users[..3]);
}

#[tokio::test]
async fn two_people_in_one_slot_are_not_clear() {
    let users = [
        person(5, "10", "Ana"),
        person(5, "11", "Boris"),
        person(0, "12", "Eva"),
    ];
    let device = MockDevice::builder().users(users).start().await.unwrap();
    let mut terminal = connected(&device).await;
    let error = terminal.delete_user("10").await.unwrap_err();
    assert_eq!(error.kind(), "ambiguous_user");
    assert!(terminal.delete_user("12").await.is_err());
    assert_eq!(asked(&device, Code::DELETE_USER), 0);
}

#[tokio::test]
async fn q76_a_deletion_that_is_acknowledged_and_not_kept_is_an_error() {
    let device = MockDevice::builder()
        .generate(1, 5, 0)
        .fault(Fault::forget_deletes())
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let error = terminal.delete_user("1002").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotKept {
                request: Code::DELETE_USER
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), "not_kept");
    // A refusal is passed on with its number.
    device.clear_faults();
    device.fault(Fault::reject(Code::DELETE_USER, Code::ERR_4992));
    let error = terminal.delete_user("1002").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rejected {
                answer: Code::ERR_4992,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn q75_internal_numbers_above_32767_are_deleted_too() {
    let users = [person(40_000, "1", "Ana"), person(65_535, "2", "Boris")];
    let device = MockDevice::builder().users(users).start().await.unwrap();
    let mut terminal = connected(&device).await;
    assert_eq!(terminal.delete_user("2").await.unwrap().uid, 65_535);
    assert_eq!(terminal.delete_user("1").await.unwrap().uid, 40_000);
    assert!(terminal.users().await.unwrap().is_empty());
}

#[tokio::test]
async fn deleting_accepts_what_other_clients_send() {
    let device = MockDevice::builder()
        .generate(1, 5, 0)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    for (uid, length) in [(1_u8, 2), (2, 72)] {
        let mut payload = vec![0; length];
        payload[0] = uid;
        let request = Raw {
            code: Code::DELETE_USER,
            payload: payload.into(),
        };
        terminal.call(request).await.unwrap();
    }
    assert_eq!(device.snapshot().users.len(), 3);
}

#[tokio::test]
async fn a_change_leaves_the_rest_of_the_record_as_it_is() {
    let device = MockDevice::builder().start().await.unwrap();
    let mut terminal = connected(&device).await;
    // Somebody with a password, own time zones and junk behind the name.
    let mut raw = vec![0; 72];
    raw[0] = 9;
    raw[3..7].copy_from_slice(b"4321");
    raw[11..20].copy_from_slice(b"Ned\0junk!");
    raw[39] = 2;
    raw[40..46].copy_from_slice(&[1, 0, 1, 0, 2, 0]);
    raw[48..51].copy_from_slice(b"555");
    let request = Raw {
        code: Code::USER_WRQ,
        payload: raw.clone().into(),
    };
    terminal.call(request).await.unwrap();
    let user = terminal
        .update_user("555", |user| {
            user.uid = 77;
            user.name = "Nelly".into();
            user.card = 0x0102_0304;
            user.privilege = Privilege::MANAGER;
            user.group = 3;
        })
        .await
        .unwrap();
    assert_eq!(user.uid, 9);
    let records = terminal.user_records().await.unwrap();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    let bytes = record.as_bytes();
    assert_eq!(bytes[3..11], raw[3..11]);
    assert_eq!(bytes[40..48], raw[40..48]);
    assert_eq!(
        (bytes[2], &bytes[11..17], bytes[39]),
        (6, &b"Nelly\0"[..], 3)
    );
    assert!(!format!("{records:?}").contains("4321"));
}

#[tokio::test]
async fn q7d_a_new_user_gets_a_slot_of_its_own_and_an_id_of_its_own() {
    let (users, _) = generate(1, 5, 0);
    let device = MockDevice::builder()
        .users(users.clone())
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let new = terminal.add_user(person(1, "2000", "Zoë")).await.unwrap();
    assert_eq!(new.uid, 6);
    assert_eq!(device.snapshot().users.len(), 6);
    let error = terminal
        .add_user(person(9, "1003", "Again"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "ambiguous_user");
    assert_eq!(asked(&device, Code::USER_WRQ), 1);
    // The group stands where firmware looks for it.
    let written = device.requests();
    let written = written
        .iter()
        .find(|request| request.code == Code::USER_WRQ)
        .unwrap();
    assert_eq!(written.payload[39..48], [1, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn an_id_that_the_records_cannot_hold_is_not_made_another_one() {
    for (width, refused) in [(28, "A17"), (28, "007"), (16, "70000"), (16, "x")] {
        let device = MockDevice::builder()
            .user(person(3, "3", "Ana"))
            .user_width(width)
            .start()
            .await
            .unwrap();
        let mut terminal = connected(&device).await;
        let error = terminal.add_user(person(0, refused, "Bo")).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::Misuse(Misuse::DoesNotFit { what: "user id" })),
            "{error}"
        );
        assert!(error.remedy().contains("digits"));
        assert_eq!(asked(&device, Code::USER_WRQ), 0);
        // Digits fit. On the oldest firmware they are the slot.
        let added = terminal.add_user(person(0, "17", "Bo")).await.unwrap();
        assert_eq!(added.uid, if width == 16 { 17 } else { 4 });
        let error = terminal.update_user("17", |user| user.user_id = refused.into());
        assert_eq!(error.await.unwrap_err().kind(), "misuse");
        assert_eq!(asked(&device, Code::USER_WRQ), 1);
    }
}

#[tokio::test]
async fn a_long_name_is_cut_between_characters() {
    let device = MockDevice::builder()
        .user(person(3, "3", "Ana"))
        .user_width(28)
        .start()
        .await
        .unwrap();
    let mut terminal = connected(&device).await;
    let added = terminal.add_user(person(0, "4", "Renéééé")).await.unwrap();
    assert_eq!(added.name.to_string(), "Renéé");
}
