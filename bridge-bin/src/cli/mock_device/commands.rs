//! What drives a software terminal from stdin.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use zk_proto::Code;
use zk_proto::mock::{Fault, MockDevice};
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
    Fault(FaultText),
    ClearFaults(bool),
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultText {
    kind: String,
    bytes: Option<u32>,
    count: Option<u32>,
    ms: Option<u32>,
    code: Option<u16>,
    command: Option<u16>,
    answer: Option<u16>,
    on: Option<u16>,
    times: Option<u32>,
    after: Option<u32>,
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
            device.fault(fault.fault()?);
            "fault"
        }
        Command::ClearFaults(wanted) => {
            if wanted {
                device.clear_faults();
            }
            "clear_faults"
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

impl FaultText {
    fn fault(&self) -> Result<Fault, Failure> {
        let need = |name: &str, value: Option<u32>| {
            value.ok_or_else(|| {
                bad(format!(
                    "The fault {:?} needs a number {name:?}.",
                    self.kind
                ))
            })
        };
        let code = |name: &str, value: Option<u16>| {
            need(name, value.map(u32::from)).map(|_| Code(value.unwrap_or(0)))
        };
        let mut fault = match self.kind.as_str() {
            "drop_after" => Fault::drop_after(need("bytes", self.bytes)?.into()),
            "silence" => Fault::silence(),
            "drop_reply" => Fault::drop_reply(code("code", self.code)?),
            "duplicate_replies" => Fault::duplicate_replies(),
            "garbage" => Fault::garbage(),
            "absurd_length" => Fault::absurd_length(),
            "truncate_log" => Fault::truncate_log(
                usize::try_from(need("bytes", self.bytes)?).unwrap_or(usize::MAX),
            ),
            "corrupt_checksum" => Fault::corrupt_checksum(),
            "secured" => Fault::secured(),
            "panel" => Fault::panel(),
            "wrong_counters" => Fault::wrong_counters(need("count", self.count)?),
            "refuse_slices" => Fault::refuse_slices(),
            "ignore_offsets" => Fault::ignore_offsets(),
            "delay" => Fault::delay(Duration::from_millis(need("ms", self.ms)?.into())),
            "reject" => Fault::reject(code("command", self.command)?, code("answer", self.answer)?),
            other => return Err(bad(format!("There is no fault {other:?}."))),
        };
        if let Some(command) = self.on {
            fault = fault.on(Code(command));
        }
        if let Some(times) = self.times {
            fault = fault.times(times);
        }
        if let Some(times) = self.after {
            fault = fault.after(times);
        }
        Ok(fault)
    }
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
        ] {
            assert!(
                obey(&device, &format!(r#"{{"fault":{fault}}}"#)).is_ok(),
                "{fault}"
            );
        }
        assert_eq!(
            obey(&device, r#"{"clear_log":true}"#).unwrap()["records"],
            0
        );
        for line in [
            "{",
            "[]",
            r#"{"punch":{}}"#,
            r#"{"fault":{"kind":"x"}}"#,
            r#"{"fault":{"kind":"delay"}}"#,
            r#"{"dance":1}"#,
        ] {
            assert_eq!(obey(&device, line).unwrap_err().kind, "command", "{line}");
        }
    }
}
