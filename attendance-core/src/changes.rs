//! What news changed (R62).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::NaiveDate;

use crate::{EmployeeId, Outcome, Record, ShiftId, Slot, Status};

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

impl<R: Borrow<Record>> Changes<R> {
    /// The changes in numbers.
    pub fn tally(&self) -> Tally {
        let changed = self.changed.iter();
        let changed = changed.map(|(before, after)| (Some(before), Some(after)));
        let added = self.added.iter().map(|after| (None, Some(after)));
        let removed = self.removed.iter().map(|before| (Some(before), None));
        let mut tally = Tally::default();
        let mut people = BTreeSet::new();
        for (before, after) in changed.chain(added).chain(removed) {
            let before = before.map(Borrow::borrow);
            let after: Option<&Record> = after.map(Borrow::borrow);
            people.extend(before.or(after).map(|record| &record.employee));
            let statuses = (
                before.map(|record| record.status),
                after.map(|record| record.status),
            );
            if statuses.0 != statuses.1 {
                *tally.statuses.entry(statuses).or_default() += 1;
            }
            let late = |record: Option<&Record>| record.is_some_and(|record| record.late_s > 0);
            tally.newly_late += usize::from(late(after) && !late(before));
            tally.late_no_more += usize::from(late(before) && !late(after));
            let more = |of: fn(&Record) -> i64| after.map_or(0, of) - before.map_or(0, of);
            tally.worked_s += more(|record| record.worked_s);
            tally.overtime_s += more(|record| record.overtime_s);
        }
        tally.records = self.len();
        tally.people = people.len();
        tally
    }
}

/// What [`Changes`] amount to, in words through `Display`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Whose records differ.
    pub people: usize,
    /// Records that differ.
    pub records: usize,
    /// Records by status, before and after; `None` where there is no record.
    pub statuses: BTreeMap<(Option<Status>, Option<Status>), usize>,
    /// Records that become late.
    pub newly_late: usize,
    /// Records that are late no more.
    pub late_no_more: usize,
    /// Time that counts more; negative if less.
    pub worked_s: i64,
    /// Overtime more; negative if less.
    pub overtime_s: i64,
}

impl fmt::Display for Tally {
    /// `3 records of 2 people: 1 absent → present, 2 late no more, worked +9:00, overtime +0:00`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        let people = if self.people == 1 { "person" } else { "people" };
        write!(
            f,
            "{} record{plural} of {} {people}",
            self.records, self.people
        )?;
        let mut lead = ": ";
        let word = |status: Option<Status>| status.map_or("nothing", Status::as_str);
        for (&(before, after), count) in &self.statuses {
            write!(f, "{lead}{count} {} → {}", word(before), word(after))?;
            lead = ", ";
        }
        for (count, what) in [
            (self.newly_late, "late now"),
            (self.late_no_more, "late no more"),
        ] {
            if count > 0 {
                write!(f, "{lead}{count} {what}")?;
                lead = ", ";
            }
        }
        for (what, seconds) in [("worked", self.worked_s), ("overtime", self.overtime_s)] {
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            write!(f, "{lead}{what} {sign}{}:{:02}", minutes / 60, minutes % 60)?;
            lead = ", ";
        }
        Ok(())
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
    same: impl Fn(&Record, &Record) -> bool,
) -> Changes<&'a Record> {
    let mut known: HashMap<_, _> = before
        .clone()
        .map(|record| (record.key(), record))
        .collect();
    let mut changes = Changes::default();
    for record in after {
        match known.remove(&record.key()) {
            Some(old) if same(old, record) => {}
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
        between(earlier.records.iter(), self.records.iter(), Record::eq)
    }
}
