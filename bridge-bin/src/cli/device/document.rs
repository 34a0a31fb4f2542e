//! What a terminal holds, as `device dump` and `mock-device --data` write it (design 6.1).

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};
use zk_proto::Encoding;
use zk_proto::record::{Attendance, Counters, User};
use zk_proto::wire::PackedTime;

/// What a terminal says about itself; null where it does not say.
#[derive(Debug, Default, serde::Serialize)]
pub(in crate::cli) struct DeviceFields {
    pub(in crate::cli) serial_number: Option<String>,
    pub(in crate::cli) firmware: Option<String>,
    pub(in crate::cli) platform: Option<String>,
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) mac: Option<String>,
    pub(in crate::cli) time: Option<Told>,
}

/// How much it holds, and how much fits.
#[derive(Debug, Default, serde::Serialize)]
pub(in crate::cli) struct CounterFields {
    pub(in crate::cli) users: Option<u32>,
    pub(in crate::cli) users_max: Option<u32>,
    pub(in crate::cli) fingers: Option<u32>,
    pub(in crate::cli) fingers_max: Option<u32>,
    pub(in crate::cli) records: Option<u32>,
    pub(in crate::cli) records_max: Option<u32>,
    pub(in crate::cli) faces: Option<u32>,
    pub(in crate::cli) faces_max: Option<u32>,
}

impl From<Counters> for CounterFields {
    fn from(counters: Counters) -> Self {
        Self {
            users: counters.users,
            users_max: counters.users_max,
            fingers: counters.fingers,
            fingers_max: counters.fingers_max,
            records: counters.records,
            records_max: counters.records_max,
            faces: counters.faces,
            faces_max: counters.faces_max,
        }
    }
}

impl CounterFields {
    /// Each with its name.
    pub(in crate::cli) const fn named(&self) -> [(&'static str, Option<u32>); 8] {
        [
            ("users", self.users),
            ("users_max", self.users_max),
            ("fingers", self.fingers),
            ("fingers_max", self.fingers_max),
            ("records", self.records),
            ("records_max", self.records_max),
            ("faces", self.faces),
            ("faces_max", self.faces_max),
        ]
    }
}

/// The head of a dump, and all of `device info`.
#[derive(Debug, Default, serde::Serialize)]
pub(in crate::cli) struct Info {
    pub(in crate::cli) device: DeviceFields,
    pub(in crate::cli) counters: CounterFields,
    pub(in crate::cli) warnings: Vec<String>,
}

/// The whole dump.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Document {
    pub(in crate::cli) device: DeviceFields,
    pub(in crate::cli) counters: CounterFields,
    pub(in crate::cli) users: Option<Vec<UserRow>>,
    pub(in crate::cli) attendance: Option<Vec<AttendanceRow>>,
    pub(in crate::cli) warnings: Vec<String>,
}

/// A user, and how to read the name.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct UserRow(pub(in crate::cli) User, pub(in crate::cli) Encoding);

impl UserRow {
    /// The user id as text.
    pub(in crate::cli) fn user_id(&self) -> String {
        self.0.user_id.decode(Encoding::Auto).into_owned()
    }

    /// The name as text.
    pub(in crate::cli) fn name(&self) -> String {
        self.0.name.decode(self.1).into_owned()
    }
}

impl Serialize for UserRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("User", 6)?;
        fields.serialize_field("uid", &self.0.uid)?;
        fields.serialize_field("user_id", &self.0.user_id.decode(Encoding::Auto))?;
        fields.serialize_field("name", &self.0.name.decode(self.1))?;
        fields.serialize_field("privilege", &self.0.privilege.0)?;
        fields.serialize_field("card", &self.0.card)?;
        fields.serialize_field("group", &self.0.group.to_string())?;
        fields.end()
    }
}

/// A record of the log.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct AttendanceRow(pub(in crate::cli) Attendance);

impl Serialize for AttendanceRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = &self.0;
        let mut fields = serializer.serialize_struct("Attendance", 7)?;
        fields.serialize_field("user_id", &record.user_id.decode(Encoding::Auto))?;
        fields.serialize_field("uid", &record.uid)?;
        fields.serialize_field("time", &Told(record.time))?;
        fields.serialize_field("time_valid", &record.time.is_valid())?;
        fields.serialize_field("verify_mode", &record.verify_mode.0)?;
        fields.serialize_field("punch_state", &record.punch_state.0)?;
        fields.serialize_field("work_code", &record.work_code)?;
        fields.end()
    }
}

/// A time as told, also when it is no date.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Told(pub(in crate::cli) PackedTime);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use zk_proto::record::{Privilege, PunchState, VerifyMode};

    use super::*;

    #[test]
    fn rows_have_the_fields_of_the_contract() {
        let user = User {
            uid: 7,
            user_id: "1007".into(),
            name: zk_proto::wire::Name::from_field(b"Jos\xe9"),
            privilege: Privilege::ADMIN,
            card: 70_000,
            group: 1,
        };
        let text = serde_json::to_string(&UserRow(user, Encoding::Windows1252)).unwrap();
        assert_eq!(
            text,
            r#"{"uid":7,"user_id":"1007","name":"José","privilege":14,"card":70000,"group":"1"}"#
        );
        let february = zk_proto::wire::CivilFields {
            year: 2024,
            month: 2,
            day: 30,
            hour: 10,
            minute: 0,
            second: 0,
        };
        let record = Attendance {
            uid: 7,
            user_id: "1007".into(),
            verify_mode: VerifyMode::FACE,
            punch_state: PunchState::UNDEFINED,
            time: PackedTime::from_fields(february),
            work_code: 3,
        };
        let text = serde_json::to_string(&AttendanceRow(record)).unwrap();
        let expected = r#"{"user_id":"1007","uid":7,"time":"2024-02-30T10:00:00","time_valid":false,"verify_mode":15,"punch_state":255,"work_code":3}"#;
        assert_eq!(text, expected);
        let device = serde_json::to_value(DeviceFields::default()).unwrap();
        assert!(device.as_object().is_some_and(
            |fields| fields.len() == 6 && fields.values().all(serde_json::Value::is_null)
        ));
    }
}
