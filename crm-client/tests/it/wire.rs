//! Entries and clients for the tests.

use std::time::Duration;

use crm_client::{Connector, DayEntry, Entry, PunchEntry, Target, TargetOptions, Token};
use wiremock::ResponseTemplate;

pub(crate) const TOKEN: &str = "s3cret-token";

pub(crate) fn entry(employee: &str) -> Entry {
    let day = DayEntry {
        record_id: format!("{employee}/2026-03-02/day/0"),
        user_id: employee.to_owned(),
        employee_name: Some("Zoë 李伟".to_owned()),
        date: "2026-03-02".to_owned(),
        clock_in: Some("2026-03-02T08:01:10+03:00".to_owned()),
        status: "incomplete".to_owned(),
        ..DayEntry::default()
    };
    day.freeze("hr", 1)
}

pub(crate) fn entries(count: usize) -> Vec<Entry> {
    (0..count).map(|index| entry(&index.to_string())).collect()
}

pub(crate) fn options(url: &str) -> TargetOptions {
    let mut options = TargetOptions::new(url, Connector::Json { batch_url: None });
    options.token = Some(Token::new(TOKEN));
    options
}

pub(crate) fn client(url: &str) -> Target {
    Target::new(options(url)).unwrap()
}

/// Gives up early, for servers that never answer.
pub(crate) fn hasty_client(url: &str) -> Target {
    let mut options = options(url);
    options.timeout = Duration::from_millis(200);
    Target::new(options).unwrap()
}

pub(crate) fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

fn a_punch(user: &str) -> PunchEntry {
    PunchEntry {
        punch_id: format!("SN1/{user}/2026-03-02T08:01:10/0"),
        user_id: user.to_owned(),
        employee_name: Some("Zoë 李伟".to_owned()),
        time: "2026-03-02 08:01:10".to_owned(),
        instant: "2026-03-02T08:01:10+03:00".to_owned(),
        time_zone: "Africa/Nairobi".to_owned(),
        punch_state: Some(0),
        kind: "in".to_owned(),
        verify_mode: Some(1),
        device_name: Some("Gate".to_owned()),
        device_serial: Some("SN1".to_owned()),
        device_ip: Some("192.0.2.1".to_owned()),
        device_port: Some(4370),
        source: "pull".to_owned(),
        ..PunchEntry::default()
    }
}

pub(crate) fn punch(user: &str, revision: u64) -> Entry {
    a_punch(user).freeze("t", revision)
}

pub(crate) fn punch_of_kind(user: &str, kind: &str) -> Entry {
    PunchEntry {
        kind: kind.to_owned(),
        ..a_punch(user)
    }
    .freeze("t", 1)
}

pub(crate) fn punch_at(user: &str, device_ip: &str) -> Entry {
    PunchEntry {
        device_ip: Some(device_ip.to_owned()),
        ..a_punch(user)
    }
    .freeze("t", 1)
}

pub(crate) fn deleted_punch(user: &str) -> Entry {
    PunchEntry {
        deleted: true,
        ..a_punch(user)
    }
    .freeze("t", 2)
}
