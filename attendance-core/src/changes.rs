//! What news changed (R62).

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::{EmployeeId, Outcome, Record, ShiftId, Slot};

/// The records in which two outcomes differ. A record whose content is the same is in none of the lists.
///
/// Records are told apart by [`Record::key`]. [`Record::ordinal`] is content: a new record earlier on the same date moves
/// it, and with it changes the later ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes<'a> {
    /// Only in the later outcome.
    pub added: Vec<&'a Record>,
    /// In both, with other content: before and after.
    pub changed: Vec<(&'a Record, &'a Record)>,
    /// Only in the earlier outcome.
    pub removed: Vec<&'a Record>,
}

impl Changes<'_> {
    /// Whether the outcomes have the same records.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Record {
    /// The id of the record: it never depends on what else happened that day (design, P4).
    pub fn key(&self) -> (&EmployeeId, NaiveDate, Option<&ShiftId>, Slot) {
        (&self.employee, self.date, self.shift.as_ref(), self.slot)
    }
}

impl Outcome {
    /// What became different since an earlier outcome, each list in the order of the records.
    ///
    /// ```
    /// use attendance_core::{Config, FixedZone, Plan, Punch, ShiftTemplate, assess};
    /// use chrono::{NaiveDate, NaiveTime};
    ///
    /// let date = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
    /// let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    /// let mut config = Config::new("UTC", date, date);
    /// config.shifts = vec![ShiftTemplate::fixed("day", hour(8), hour(17))];
    /// config.default_shift = Some("day".into());
    /// let plan = Plan::new(config, |_| Some(FixedZone::UTC))?;
    ///
    /// let mut punches = vec![Punch::new("p1", "29", "gate", date.and_time(hour(8)))];
    /// let morning = assess(&punches, &[], &plan, None)?;
    /// punches.push(Punch::new("p2", "29", "gate", date.and_time(hour(17))));
    /// let evening = assess(&punches, &[], &plan, None)?;
    ///
    /// let changes = evening.changes_since(&morning);
    /// let [(before, after)] = changes.changed[..] else { panic!("one record changed") };
    /// assert_eq!((before.worked_s, after.worked_s), (0, 9 * 3600));
    /// assert!(changes.added.is_empty() && changes.removed.is_empty());
    /// # Ok::<(), attendance_core::Error>(())
    /// ```
    pub fn changes_since<'a>(&'a self, earlier: &'a Self) -> Changes<'a> {
        let mut before: HashMap<_, _> = earlier
            .records
            .iter()
            .map(|record| (record.key(), record))
            .collect();
        let mut changes = Changes::default();
        for record in &self.records {
            match before.remove(&record.key()) {
                None => changes.added.push(record),
                Some(old) if old != record => changes.changed.push((old, record)),
                Some(_) => {}
            }
        }
        changes.removed = earlier
            .records
            .iter()
            .filter(|record| before.contains_key(&record.key()))
            .collect();
        changes
    }
}
