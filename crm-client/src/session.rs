//! Our wire shape of one session.

use serde_json::{Value, json};

use crate::Entry;
use crate::entry::sorted;

/// One stay from an in to its out, for targets that keep pairs.
///
/// Times are RFC 3339 with a numeric offset: local time and instant in one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SessionEntry {
    /// The record id and the instant of the in; stays the same for all revisions.
    pub session_id: String,
    /// The day record that the session belongs to.
    pub record_id: String,
    /// The employee id.
    pub user_id: String,
    /// The employee's name, where known.
    pub employee_name: Option<String>,
    /// Work date, `YYYY-MM-DD`.
    pub date: String,
    /// In.
    pub check_in: String,
    /// Out; none while it is open.
    pub check_out: Option<String>,
    /// IANA name of the zone the times are told in.
    pub time_zone: String,
    /// Time worked, in seconds.
    pub worked_s: i64,
    /// Name of the terminal of the in.
    pub device_name: Option<String>,
    /// The session vanished.
    pub deleted: bool,
}

impl SessionEntry {
    /// The entry as a JSON object with sorted keys.
    ///
    /// ```
    /// let open = crm_client::SessionEntry { check_in: "2026-03-02T08:01:10+03:00".into(), ..Default::default() };
    /// assert!(open.content()["check_out"].is_null());
    /// ```
    pub fn content(&self) -> Value {
        sorted(json!({
            "schema": 1,
            "session_id": self.session_id,
            "record_id": self.record_id,
            "user_id": self.user_id,
            "employee_name": self.employee_name,
            "date": self.date,
            "check_in": self.check_in,
            "check_out": self.check_out,
            "time_zone": self.time_zone,
            "worked_s": self.worked_s,
            "device_name": self.device_name,
            "deleted": self.deleted,
        }))
    }

    /// The entry as a target is to be told.
    ///
    /// ```
    /// let id = "17/2026-03-02/day/0@2026-03-02T05:01:10Z";
    /// let session = crm_client::SessionEntry { session_id: id.into(), ..Default::default() };
    /// assert_eq!(session.freeze("odoo", 1).entry_id(), id);
    /// ```
    pub fn freeze(&self, target: impl Into<String>, revision: u64) -> Entry {
        Entry::new(
            target,
            &self.session_id,
            revision,
            self.deleted,
            self.content(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::SessionEntry;

    #[test]
    fn a_session_has_every_field() {
        let session = SessionEntry {
            session_id: "s".into(),
            record_id: "r".into(),
            user_id: "17".into(),
            date: "2026-03-02".into(),
            check_in: "2026-03-02T08:01:10+03:00".into(),
            time_zone: "Africa/Nairobi".into(),
            deleted: true,
            ..SessionEntry::default()
        };
        assert_eq!(
            *session.freeze("odoo", 3).content(),
            json!({
                "schema": 1, "revision": 3, "deleted": true, "session_id": "s", "record_id": "r", "user_id": "17",
                "employee_name": null, "date": "2026-03-02", "check_in": "2026-03-02T08:01:10+03:00",
                "check_out": null, "time_zone": "Africa/Nairobi", "worked_s": 0, "device_name": null,
            })
        );
    }
}
