//! What drives a software terminal from stdin.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use zk_proto::mock::{Clock as TerminalClock, Fault, MockDevice};
use zk_proto::record::{Attendance, PunchState, VerifyMode};
use zk_proto::wire::{CivilFields, PackedTime, UserId};

use crate::Failure;
use crate::clock::Clock;
use crate::zone;

/// One line of stdin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Punch(PunchText),
    ClearLog(bool),
    /// Text like on the command line, or an object with `kind` and the same keys.
    Fault(Value),
    ClearFaults(bool),
    Door(Door),
    Clock(ClockText),
    /// How many records fit; the oldest goes for each new one.
    RingLog(u32),
}

/// What the door's sensor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Door {
    Open,
    Shut,
}

/// How wrong the terminal's clock is, against UTC.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockText {
    #[serde(default)]
    ahead: i32,
    #[serde(default)]
    drift: i32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PunchText {
    user_id: String,
    time: Option<String>,
    #[serde(default = "fingerprint")]
    verify_mode: u8,
    #[serde(default)]
    punch_state: u8,
    #[serde(default)]
    work_code: u32,
}

const fn fingerprint() -> u8 {
    VerifyMode::FINGERPRINT.0
}

/// Does what a line says, and answers.
pub(super) fn obey(device: &MockDevice, line: &str) -> Result<Value, Failure> {
    let command = serde_json::from_str(line)
        .map_err(|error| bad(format!("The line is no command: {error}.")))?;
    let done = match command {
        Command::Punch(punch) => {
            device.punch(punch.record(device)?);
            "punch"
        }
        Command::ClearLog(wanted) => {
            if wanted {
                device.clear_log();
            }
            "clear_log"
        }
        Command::Fault(fault) => {
            device.fault(fault_of(&fault)?);
            "fault"
        }
        Command::ClearFaults(wanted) => {
            if wanted {
                device.clear_faults();
            }
            "clear_faults"
        }
        Command::Door(door) => {
            device.set_door(door == Door::Open);
            "door"
        }
        Command::Clock(ClockText { ahead, drift }) => {
            device.set_clock(TerminalClock::Drifting {
                ahead,
                per_day: drift,
            });
            "clock"
        }
        Command::RingLog(records_max) => {
            device.set_ring(true, records_max);
            "ring_log"
        }
    };
    Ok(json!({"ok": done, "records": device.snapshot().records.len()}))
}

impl PunchText {
    fn record(&self, device: &MockDevice) -> Result<Attendance, Failure> {
        let user_id = UserId::from(self.user_id.as_str());
        if user_id.is_empty() || user_id.as_bytes() != self.user_id.as_bytes() {
            return Err(bad("A user id has 1 to 24 bytes.".to_owned()));
        }
        let known = device
            .snapshot()
            .users
            .into_iter()
            .find(|user| user.user_id == user_id);
        let time = match &self.time {
            Some(text) => told(text).ok_or_else(|| bad(format!("{text:?} is no time.")))?,
            None => PackedTime::from_civil(zone::civil_at(
                &jiff::tz::TimeZone::UTC,
                Clock::default().now(),
            ))
            .map_err(|error| bad(format!("{error}.")))?,
        };
        Ok(Attendance {
            uid: known.map_or(0, |user| user.uid),
            user_id,
            verify_mode: VerifyMode(self.verify_mode),
            punch_state: PunchState(self.punch_state),
            time,
            work_code: self.work_code,
        })
    }
}

/// A time that need not exist, as terminals do tell.
fn told(text: &str) -> Option<PackedTime> {
    let mut parts = text.splitn(6, ['-', 'T', ' ', ':']);
    let mut number = |least: u16, most: u16| {
        let number = parts.next()?.parse::<u16>().ok()?;
        (least..=most).contains(&number).then_some(number)
    };
    let year = number(2000, 2099)?;
    let mut small =
        |least: u16, most: u16| number(least, most).and_then(|number| u8::try_from(number).ok());
    let fields = CivilFields {
        year,
        month: small(1, 12)?,
        day: small(1, 31)?,
        hour: small(0, 23)?,
        minute: small(0, 59)?,
        second: small(0, 59)?,
    };
    Some(PackedTime::from_fields(fields))
}

fn fault_of(value: &Value) -> Result<Fault, Failure> {
    let fault = match value {
        Value::String(text) => text.parse(),
        Value::Object(fields) => return fault_of_fields(fields),
        _ => {
            return Err(bad(
                "A fault is a text, or an object with a \"kind\".".to_owned()
            ));
        }
    };
    fault.map_err(|error| bad(format!("{error}.")))
}

fn fault_of_fields(fields: &Map<String, Value>) -> Result<Fault, Failure> {
    let kind = fields.get("kind").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| bad("A fault needs a \"kind\".".to_owned()))?;
    let texts: Vec<(&str, String)> = fields
        .iter()
        .filter(|(key, _)| *key != "kind")
        .map(|(key, value)| {
            let text = value.as_str().map(ToOwned::to_owned);
            (key.as_str(), text.unwrap_or_else(|| value.to_string()))
        })
        .collect();
    let pairs = texts.iter().map(|(key, value)| (*key, value.as_str()));
    Fault::from_parts(kind, pairs).map_err(|error| bad(format!("{error}.")))
}

fn bad(message: String) -> Failure {
    let remedy =
        "See `zk-bridge mock-device --help`; for example {\"punch\":{\"user_id\":\"1001\"}}.";
    Failure::new("command", message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_may_tell_a_time_that_does_not_exist() {
        assert_eq!(
            told("2024-02-30T10:00:00").unwrap().to_string(),
            "2024-02-30T10:00:00"
        );
        for text in [
            "2024-02-32T10:00:00",
            "1999-01-01T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01",
            "",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn stdin_drives_a_terminal() {
        let device = MockDevice::builder()
            .generate(1, 3, 0)
            .start()
            .await
            .unwrap();
        let line = r#"{"punch":{"user_id":"1002","time":"2026-03-02T08:00:00","punch_state":1,"work_code":7}}"#;
        assert_eq!(
            obey(&device, line).unwrap(),
            json!({"ok": "punch", "records": 1})
        );
        let record = device.snapshot().records[0];
        assert_eq!(
            (record.uid, record.punch_state, record.work_code),
            (2, PunchState(1), 7)
        );
        for fault in [
            r#"{"kind":"drop_after","bytes":1000}"#,
            r#"{"kind":"reject","command":50,"answer":2001,"times":1}"#,
            r#"{"kind":"split","on":"READ_BUFFER"}"#,
            r#""delay,ms=5,on=CMD_GET_TIME""#,
        ] {
            assert!(
                obey(&device, &format!(r#"{{"fault":{fault}}}"#)).is_ok(),
                "{fault}"
            );
        }
        for line in [
            r#"{"door":"open"}"#,
            r#"{"clock":{"ahead":3600,"drift":-5}}"#,
            r#"{"ring_log":1}"#,
            r#"{"punch":{"user_id":"1001"}}"#,
        ] {
            assert_eq!(obey(&device, line).unwrap()["records"], 1, "{line}");
        }
        assert!(device.snapshot().extras.door_open);
        assert_eq!(
            obey(&device, r#"{"clear_log":true}"#).unwrap()["records"],
            0
        );
        let unknown = obey(&device, r#"{"fault":{"kind":"delay","seconds":1}}"#).unwrap_err();
        assert!(
            unknown.message.contains("ms, on, times, after"),
            "{unknown}"
        );
        for line in [
            "{",
            "[]",
            r#"{"punch":{}}"#,
            r#"{"fault":{"kind":"x"}}"#,
            r#"{"fault":{"kind":"delay"}}"#,
            r#"{"fault":{"kind":"delay","ms":[1]}}"#,
            r#"{"fault":7}"#,
            r#"{"fault":{}}"#,
            r#"{"door":"ajar"}"#,
            r#"{"clock":{"fast":1}}"#,
            r#"{"dance":1}"#,
        ] {
            assert_eq!(obey(&device, line).unwrap_err().kind, "command", "{line}");
        }
    }
}
