//! The two JSON forms in which attendance programs export the log of a terminal.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{json::key_of, optional, text};
use crate::Entry;
use crate::request::Request;
use crate::time;

/// `{"device_info":{ip, port, export_time},"records":[{employee_id, employee_name, timestamp, date, time, punch_type}]}`
pub(crate) fn export(url: &str, entries: &[Entry], now: SystemTime) -> Result<Request, String> {
    let records = entries
        .iter()
        .map(export_record)
        .collect::<Result<Vec<_>, _>>()?;
    let first = entries.first().map(Entry::content);
    let device = |name| first.and_then(|content| content.get(name));
    let body = json!({
        "device_info": {
            "ip": device("device_ip"),
            "port": device("device_port"),
            "export_time": time::rfc3339(now),
        },
        "records": records,
    });
    Ok(Request::post_json(url, &body).header("idempotency-key", key_of(entries)))
}

/// `{"data":[{emp_no, device_id, punch_type, punch_date, punch_time}]}`
pub(crate) fn data(url: &str, entries: &[Entry]) -> Result<Request, String> {
    let records = entries
        .iter()
        .map(data_record)
        .collect::<Result<Vec<_>, _>>()?;
    let body = json!({ "data": records });
    Ok(Request::post_json(url, &body).header("idempotency-key", key_of(entries)))
}

/// The export's envelope tells of one terminal only.
pub(crate) fn same_device(a: &Entry, b: &Entry) -> bool {
    ["device_ip", "device_port"]
        .into_iter()
        .all(|name| a.content().get(name) == b.content().get(name))
}

fn export_record(entry: &Entry) -> Result<Value, String> {
    let (timestamp, date, time) = moment(entry)?;
    Ok(json!({
        "employee_id": text(entry, "user_id")?,
        "employee_name": optional(entry, "employee_name"),
        "timestamp": timestamp,
        "date": date,
        "time": time,
        "punch_type": punch_type(entry).map_or("Unknown", |(_, words)| words),
    }))
}

fn data_record(entry: &Entry) -> Result<Value, String> {
    let (_, date, time) = moment(entry)?;
    Ok(json!({
        "emp_no": text(entry, "user_id")?,
        "device_id": optional(entry, "device_serial").or_else(|| optional(entry, "device_name")),
        "punch_type": punch_type(entry).map_or("Unknown", |(code, _)| code),
        "punch_date": date,
        "punch_time": time,
    }))
}

/// `YYYY-MM-DD HH:MM:SS` and its two halves.
fn moment(entry: &Entry) -> Result<(&str, &str, &str), String> {
    if entry.deleted() {
        return Err("this format has no words to take a punch back; remove it by hand".to_owned());
    }
    let timestamp = text(entry, "time")?;
    let (date, time) = timestamp
        .split_once(' ')
        .ok_or_else(|| "the entry's \"time\" is not YYYY-MM-DD HH:MM:SS".to_owned())?;
    Ok((timestamp, date, time))
}

/// By what the assessment made of the punch, so that corrections travel; where it made nothing, by the terminal's code.
fn punch_type(entry: &Entry) -> Option<(&'static str, &'static str)> {
    let state = || entry.content().get("punch_state").and_then(Value::as_u64);
    let code = match optional(entry, "kind") {
        Some("in") => 0,
        Some("out") => 1,
        Some("break_out") => 2,
        Some("break_in") => 3,
        Some("ot_in") => 4,
        Some("ot_out") => 5,
        _ => state()?,
    };
    let names = [
        ("1", "Check In"),
        ("2", "Check Out"),
        ("3", "Break Out"),
        ("4", "Break In"),
        ("5", "Overtime In"),
        ("6", "Overtime Out"),
    ];
    names.get(usize::try_from(code).ok()?).copied()
}
