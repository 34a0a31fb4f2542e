//! Our wire shape of one day.

use serde_json::{Value, json};

use crate::Entry;
use crate::entry::sorted;

/// One employee's shift on one work date, in the words of our `schema: 1`.
///
/// Times are RFC 3339 with a numeric offset, durations are seconds, codes are those of the assessment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DayEntry {
    /// Employee, work date, shift and slot in one text; stays the same for all revisions.
    pub record_id: String,
    /// The employee id.
    pub user_id: String,
    /// The employee's name, where known.
    pub employee_name: Option<String>,
    /// Work date, `YYYY-MM-DD`.
    pub date: String,
    /// First in.
    pub clock_in: Option<String>,
    /// Last out.
    pub clock_out: Option<String>,
    /// `present`, `half_day`, `absent`, `incomplete` …
    pub status: String,
    /// The shift template's id; none for a day off.
    pub shift: Option<String>,
    /// IANA name of the zone the times are told in.
    pub time_zone: String,
    /// Time worked.
    pub worked_s: i64,
    /// Late by.
    pub late_s: i64,
    /// Left early by.
    pub early_leave_s: i64,
    /// Time beyond the plan.
    pub overtime_s: i64,
    /// `auto_closed`, `short_rest`, `dst_change`.
    pub flags: Vec<String>,
    /// `in`, `out`.
    pub missing: Vec<String>,
    /// `in_too_early`, `out_unusual` … `is_outlier` and `outlier_reason` follow from them.
    pub outliers: Vec<String>,
    /// Name of the terminal of the first used punch.
    pub device_name: Option<String>,
    /// The terminal's address; none unless the target asks for it.
    pub device_ip: Option<String>,
    /// The record vanished.
    pub deleted: bool,
}

impl DayEntry {
    /// The entry as a JSON object with sorted keys. `revision` and `idempotency_key` are not in it: they come when it
    /// is frozen and when it is sent.
    ///
    /// ```
    /// let day = crm_client::DayEntry { outliers: vec!["in_too_early".into()], ..Default::default() };
    /// assert_eq!(day.content()["is_outlier"], true);
    /// assert_eq!(day.content()["outlier_reason"], "clock-in too early");
    /// ```
    pub fn content(&self) -> Value {
        let reasons: Vec<_> = self.outliers.iter().map(|code| prose(code)).collect();
        sorted(json!({
            "schema": 1,
            "record_id": self.record_id,
            "user_id": self.user_id,
            "employee_name": self.employee_name,
            "date": self.date,
            "clock_in": self.clock_in,
            "clock_out": self.clock_out,
            "status": self.status,
            "shift": self.shift,
            "time_zone": self.time_zone,
            "worked_s": self.worked_s,
            "late_s": self.late_s,
            "early_leave_s": self.early_leave_s,
            "overtime_s": self.overtime_s,
            "flags": self.flags,
            "missing": self.missing,
            "outliers": self.outliers,
            "is_outlier": !self.outliers.is_empty(),
            "outlier_reason": (!reasons.is_empty()).then(|| reasons.join(", ")),
            "device_name": self.device_name,
            "device_ip": self.device_ip,
            "deleted": self.deleted,
        }))
    }

    /// The entry as a target is to be told.
    ///
    /// ```
    /// let day = crm_client::DayEntry { record_id: "17/2026-03-02/day/0".into(), ..Default::default() };
    /// let entry = day.freeze("hr", 4);
    /// assert_eq!(entry.entry_id(), "17/2026-03-02/day/0");
    /// assert_eq!(entry.content()["revision"], 4);
    /// ```
    pub fn freeze(&self, target: impl Into<String>, revision: u64) -> Entry {
        Entry::new(
            target,
            &self.record_id,
            revision,
            self.deleted,
            self.content(),
        )
    }
}

fn prose(code: &str) -> String {
    match code {
        "in_too_early" => "clock-in too early",
        "in_too_late" => "clock-in too late",
        "out_too_early" => "clock-out too early",
        "out_too_late" => "clock-out too late",
        "in_unusual" => "unusual time of clock-in",
        "out_unusual" => "unusual time of clock-out",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::DayEntry;

    #[test]
    fn a_day_has_every_field_of_schema_1() {
        let day = DayEntry {
            record_id: "17/2026-03-02/day/0".into(),
            user_id: "17".into(),
            employee_name: Some("Zoë".into()),
            date: "2026-03-02".into(),
            clock_in: Some("2026-03-02T05:10:00+03:00".into()),
            status: "incomplete".into(),
            shift: Some("day".into()),
            time_zone: "Africa/Nairobi".into(),
            missing: vec!["out".into()],
            outliers: vec!["in_too_early".into(), "new_code".into()],
            device_name: Some("Gate".into()),
            ..DayEntry::default()
        };
        assert_eq!(
            *day.freeze("hr", 7).content(),
            json!({
                "schema": 1, "record_id": "17/2026-03-02/day/0", "revision": 7, "deleted": false,
                "user_id": "17", "employee_name": "Zoë", "date": "2026-03-02",
                "clock_in": "2026-03-02T05:10:00+03:00", "clock_out": null,
                "is_outlier": true, "outlier_reason": "clock-in too early, new code",
                "device_name": "Gate", "device_ip": null, "status": "incomplete", "shift": "day",
                "time_zone": "Africa/Nairobi", "worked_s": 0, "late_s": 0, "early_leave_s": 0, "overtime_s": 0,
                "flags": [], "missing": ["out"], "outliers": ["in_too_early", "new_code"],
            })
        );
    }
}
