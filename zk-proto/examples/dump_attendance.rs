//! Prints what a terminal holds, as one JSON document.
//!
//! `cargo run -p zk-proto --example dump_attendance -- 192.168.1.201:4370 --comm-key 1234`
//!
//! An incomplete read ends with status 3, after what was read.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};
use zk_proto::{
    Client, CommKey, Connect, Encoding, Error,
    record::{Attendance, AttendanceLog, Counters, LogHint, User, UserList},
};

const USAGE: &str = "usage: dump_attendance HOST:PORT [--comm-key N]";
const PARTIAL: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), option, key) = (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let key = match (option.as_deref(), key.map(|key| key.parse())) {
        (None, _) => 0,
        (Some("--comm-key"), Some(Ok(key))) => key,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match dump(&address, CommKey::new(key)).await {
        Ok((document, complete)) => {
            print(&document);
            if complete {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(PARTIAL)
            }
        }
        Err(error) => {
            let (kind, message, remedy) = (error.kind(), error.to_string(), error.remedy());
            print(&json!({"error": {"kind": kind, "message": message, "remedy": remedy}}));
            ExitCode::FAILURE
        }
    }
}

fn print(document: &Value) {
    // A reader that has gone away wants no more.
    drop(writeln!(io::stdout(), "{document:#}"));
}

/// The document, and whether everything was read.
pub(crate) async fn dump(address: &str, key: CommKey) -> Result<(Value, bool), Error> {
    let mut terminal = Client::connect(address, Connect::auto().comm_key(key)).await?;
    let mut warnings = Vec::new();
    let mut complete = true;

    let info = terminal.info().await?;
    let time = terminal.time().await.ok().map(|time| time.to_string());
    let counters = terminal.counters().await.unwrap_or_else(|error| {
        warnings.push(format!("counters: {error}"));
        Counters::default()
    });
    let users = match terminal.users().await {
        Ok(users) => Some(users),
        Err(error) => {
            complete = false;
            warnings.push(format!("users: {error}"));
            error
                .partial()
                .and_then(|data| UserList::salvage(data, counters.users))
        }
    };
    let log = match terminal.attendance().await {
        Ok(log) => Some(log),
        Err(error) => {
            complete = false;
            warnings.push(format!("attendance: {error}"));
            let hint = LogHint {
                count: counters.records,
                layout: None,
            };
            error
                .partial()
                .and_then(|data| AttendanceLog::salvage(data, hint))
        }
    };
    // The data is here; how the goodbye went does not matter.
    drop(terminal.disconnect().await);

    let names = users.iter().flatten().map(|user| user.name.as_bytes());
    let encoding = Encoding::Auto.settle(names);
    if encoding != Encoding::Utf8 {
        warnings.push(format!("names are not UTF-8, read as {encoding}"));
    }
    let document = json!({
        "device": {
            "serial_number": info.serial_number,
            "firmware": info.firmware,
            "platform": info.platform,
            "name": info.name,
            "mac": info.mac,
            "time": time,
        },
        "counters": {
            "users": counters.users,
            "users_max": counters.users_max,
            "fingers": counters.fingers,
            "fingers_max": counters.fingers_max,
            "records": counters.records,
            "records_max": counters.records_max,
            "faces": counters.faces,
            "faces_max": counters.faces_max,
        },
        "users": users.map(|users| -> Vec<Value> {
            users.iter().map(|user| user_json(user, encoding)).collect()
        }),
        "attendance": log.map(|log| -> Vec<Value> {
            log.iter().map(|record| record_json(&record.to_record())).collect()
        }),
        "warnings": warnings,
    });
    Ok((document, complete))
}

fn user_json(user: &User, encoding: Encoding) -> Value {
    json!({
        "uid": user.uid,
        "user_id": user.user_id.decode(encoding),
        "name": user.name.decode(encoding),
        "privilege": user.privilege.0,
        "card": user.card,
        "group": user.group.to_string(),
    })
}

fn record_json(record: &Attendance) -> Value {
    json!({
        "user_id": record.user_id.to_string(),
        "uid": record.uid,
        "time": record.time.to_string(),
        "time_valid": record.time_valid(),
        "verify_mode": record.verify_mode.0,
        "punch_state": record.punch_state.0,
        "work_code": record.work_code,
    })
}
