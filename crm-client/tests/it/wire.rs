//! Entries and clients for the tests.

use std::time::Duration;

use crm_client::{Connector, DayEntry, Entry, Target, TargetOptions, Token};

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
