//! What news changed (R62).

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::{EmployeeId, Outcome, Record, ShiftId, Slot};

/// The records in which two outcomes differ. A record whose content is the same is in none of the lists.
///
/// Records are told apart by [`Record::key`]. [`Record::ordinal`] is content: a new record earlier on the same date moves
/// it, and with it changes the later ones. [`Outcome::changes_since`] borrows the records of its outcomes; an
/// [`Engine`](crate::Engine) hands them over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes<R = Record> {
    /// Only in the later outcome.
    pub added: Vec<R>,
    /// In both, with other content: before and after.
    pub changed: Vec<(R, R)>,
    /// Only in the earlier outcome.
    pub removed: Vec<R>,
}

impl<R> Changes<R> {
    /// Whether the outcomes have the same records.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// How many records differ.
    pub fn len(&self) -> usize {
        self.added.len() + self.changed.len() + self.removed.len()
    }

    /// Adds one record, as it was and as it is.
    pub(crate) fn push(&mut self, before: Option<R>, after: Option<R>) {
        match (before, after) {
            (None, Some(after)) => self.added.push(after),
            (Some(before), Some(after)) => self.changed.push((before, after)),
            (Some(before), None) => self.removed.push(before),
            (None, None) => {}
        }
    }
}

impl<R> Default for Changes<R> {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl Changes<&Record> {
    /// The same, with records of its own.
    pub fn into_owned(self) -> Changes {
        Changes {
            added: self.added.into_iter().cloned().collect(),
            changed: self
                .changed
                .into_iter()
                .map(|(before, after)| (before.clone(), after.clone()))
                .collect(),
            removed: self.removed.into_iter().cloned().collect(),
        }
    }
}

impl Record {
    /// The id of the record: it never depends on what else happened that day (design, P4).
    pub fn key(&self) -> (&EmployeeId, NaiveDate, Option<&ShiftId>, Slot) {
        (&self.employee, self.date, self.shift.as_ref(), self.slot)
    }
}

/// The differences of two lists of records, each without repeated keys.
pub(crate) fn between<'a>(
    before: impl Iterator<Item = &'a Record> + Clone,
    after: impl Iterator<Item = &'a Record>,
) -> Changes<&'a Record> {
    let mut known: HashMap<_, _> = before
        .clone()
        .map(|record| (record.key(), record))
        .collect();
    let mut changes = Changes::default();
    for record in after {
        match known.remove(&record.key()) {
            Some(old) if old == record => {}
            old => changes.push(old, Some(record)),
        }
    }
    changes.removed = before
        .filter(|record| known.contains_key(&record.key()))
        .collect();
    changes
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
    pub fn changes_since<'a>(&'a self, earlier: &'a Self) -> Changes<&'a Record> {
        between(earlier.records.iter(), self.records.iter())
    }
}
