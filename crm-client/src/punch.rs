//! Our wire shape of one punch.

use serde_json::{Value, json};

use crate::Entry;
use crate::entry::sorted;

/// One punch, for targets that make their own days.
///
/// Codes are the terminal's, `kind` is what the assessment made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PunchEntry {
    /// The key of the punch, or the id of the correction that made it; stays the same for all revisions.
    pub punch_id: String,
    /// The employee id.
    pub user_id: String,
    /// The employee's name, where known.
    pub employee_name: Option<String>,
    /// Local time, `YYYY-MM-DD HH:MM:SS`. Targets that keep naive times (Frappe) take this one as it is, so it must be
    /// told in the zone that they keep.
    pub time: String,
    /// The same moment as RFC 3339 with a numeric offset.
    pub instant: String,
    /// IANA name of the zone of `time`.
    pub time_zone: String,
    /// The terminal's code for in, out, break …; none for a punch that a human added without one.
    pub punch_state: Option<u8>,
    /// `in`, `out`, `break_out`, `break_in`, `ot_in`, `ot_out` or `unknown`.
    pub kind: String,
    /// The terminal's code for finger, card, face …
    pub verify_mode: Option<u8>,
    /// The work code that was keyed in.
    pub work_code: Option<u32>,
    /// The terminal's name.
    pub device_name: Option<String>,
    /// The terminal's serial number.
    pub device_serial: Option<String>,
    /// The terminal's address; none unless the target asks for it.
    pub device_ip: Option<String>,
    /// The terminal's port; none unless the target asks for it.
    pub device_port: Option<u16>,
    /// How it reached us: `pull`, `live`, `push`, `file`, `manual`.
    pub source: String,
    /// The punch was voided.
    pub deleted: bool,
}

impl PunchEntry {
    /// The entry as a JSON object with sorted keys.
    ///
    /// ```
    /// let punch = crm_client::PunchEntry { kind: "in".into(), ..Default::default() };
    /// assert_eq!(punch.content()["kind"], "in");
    /// ```
    pub fn content(&self) -> Value {
        sorted(json!({
            "schema": 1,
            "punch_id": self.punch_id,
            "user_id": self.user_id,
            "employee_name": self.employee_name,
            "time": self.time,
            "instant": self.instant,
            "time_zone": self.time_zone,
            "punch_state": self.punch_state,
            "kind": self.kind,
            "verify_mode": self.verify_mode,
            "work_code": self.work_code,
            "device_name": self.device_name,
            "device_serial": self.device_serial,
            "device_ip": self.device_ip,
            "device_port": self.device_port,
            "source": self.source,
            "deleted": self.deleted,
        }))
    }

    /// The entry as a target is to be told.
    ///
    /// ```
    /// let punch = crm_client::PunchEntry { punch_id: "SN1/17/2026-03-02T08:01:10/0".into(), ..Default::default() };
    /// assert_eq!(punch.freeze("erp", 1).entry_id(), "SN1/17/2026-03-02T08:01:10/0");
    /// ```
    pub fn freeze(&self, target: impl Into<String>, revision: u64) -> Entry {
        Entry::new(
            target,
            &self.punch_id,
            revision,
            self.deleted,
            self.content(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::PunchEntry;

    #[test]
    fn a_punch_has_every_field() {
        let punch = PunchEntry {
            punch_id: "p".into(),
            user_id: "17".into(),
            time: "2026-03-02 08:01:10".into(),
            instant: "2026-03-02T08:01:10+03:00".into(),
            time_zone: "Africa/Nairobi".into(),
            punch_state: Some(0),
            kind: "in".into(),
            verify_mode: Some(1),
            device_serial: Some("SN1".into()),
            device_port: Some(4370),
            source: "pull".into(),
            ..PunchEntry::default()
        };
        assert_eq!(
            *punch.freeze("erp", 2).content(),
            json!({
                "schema": 1, "revision": 2, "deleted": false, "punch_id": "p", "user_id": "17",
                "employee_name": null, "time": "2026-03-02 08:01:10", "instant": "2026-03-02T08:01:10+03:00",
                "time_zone": "Africa/Nairobi", "punch_state": 0, "kind": "in", "verify_mode": 1, "work_code": null,
                "device_name": null, "device_serial": "SN1", "device_ip": null, "device_port": 4370,
                "source": "pull",
            })
        );
    }
}
