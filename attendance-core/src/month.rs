//! Closed periods, and rules that might be.

use chrono::NaiveDate;

use crate::changes::between;
use crate::{
    Changes, Correction, Engine, Error, Instant, Outcome, Plan, Punch, Record, Zone, assess,
};

/// The records of a closed period as they were when it was closed: what was paid.
///
/// Store it when a period is locked. With the feature `serde` it can be written and read; what is read has no
/// [findings](Record::findings).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// First date of the period.
    pub from: NaiveDate,
    /// Last date of the period, included.
    pub until: NaiveDate,
    /// All records of these dates.
    pub records: Vec<Record>,
}

impl Outcome {
    /// The records of some dates, both ends included, to be kept.
    pub fn snapshot(&self, from: NaiveDate, until: NaiveDate) -> Snapshot {
        let period = |record: &&Record| (from..=until).contains(&record.date);
        Snapshot {
            from,
            until,
            records: self.records.iter().filter(period).cloned().collect(),
        }
    }
}

/// What a closed period would now be, whatever the cause: late punches, corrections, another roster, other rules.
///
/// The outcome is assessed *without* [`locks`](crate::Config::locks), over dates that include the period. Nothing of
/// what was paid changes; the differences are for the next pay. Compared is what people see and are paid for, so not
/// [`Record::ordinal`], [`Record::is_final`], [`Record::settles_at`] and [`Record::findings`].
///
/// ```
/// use attendance_core::{Config, FixedZone, Plan, Punch, ShiftTemplate, assess, delta};
/// use chrono::{NaiveDate, NaiveTime};
///
/// let date = NaiveDate::from_ymd_opt(2025, 2, 28).unwrap();
/// let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
/// let mut config = Config::new("UTC", date, date);
/// config.shifts = vec![ShiftTemplate::fixed("day", hour(8), hour(17))];
/// config.default_shift = Some("day".into());
/// let plan = Plan::new(config, |_| Some(FixedZone::UTC))?;
///
/// let mut punches = vec![Punch::new("p1", "29", "gate", date.and_time(hour(8)))];
/// let paid = assess(&punches, &[], &plan, None)?.snapshot(date, date);
///
/// // After the month was closed, a terminal delivers the clock-out.
/// punches.push(Punch::new("p2", "29", "gate", date.and_time(hour(17))));
/// let now = assess(&punches, &[], &plan, None)?;
/// assert_eq!(
///     delta(&paid, &now).tally().to_string(),
///     "1 record of 1 person: 1 incomplete → present, worked +9:00, overtime +0:00"
/// );
/// # Ok::<(), attendance_core::Error>(())
/// ```
pub fn delta<'a>(snapshot: &'a Snapshot, outcome: &'a Outcome) -> Changes<&'a Record> {
    let period = snapshot.from..=snapshot.until;
    let now = outcome.records.iter();
    let now = now.filter(|record| period.contains(&record.date));
    between(snapshot.records.iter(), now, same_pay)
}

/// Whether two records say the same to those who are paid by them.
fn same_pay(before: &Record, after: &Record) -> bool {
    let bare = |record: &Record| Record {
        ordinal: 0,
        is_final: true,
        settles_at: None,
        findings: Vec::new(),
        ..record.clone()
    };
    bare(before) == bare(after)
}

/// What other rules would change, over the same punches; nothing is touched.
///
/// ```
/// use attendance_core::{Config, FixedZone, Plan, Punch, ShiftTemplate, what_if};
/// use chrono::{NaiveDate, NaiveTime};
///
/// let date = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
/// let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
/// let mut config = Config::new("UTC", date, date);
/// config.shifts = vec![ShiftTemplate::fixed("day", at(8, 0), at(17, 0))];
/// config.default_shift = Some("day".into());
/// let plan = Plan::new(config.clone(), |_| Some(FixedZone::UTC))?;
///
/// config.shifts[0].grace.late_s = 300;
/// let gentler = Plan::new(config, |_| Some(FixedZone::UTC))?;
/// let punches = [
///     Punch::new("p1", "29", "gate", date.and_time(at(8, 4))),
///     Punch::new("p2", "29", "gate", date.and_time(at(17, 0))),
/// ];
/// let changes = what_if(&gentler, &punches, &[], &plan, None)?;
/// assert_eq!(
///     changes.tally().to_string(),
///     "1 record of 1 person: 1 late no more, worked +0:00, overtime +0:00"
/// );
/// # Ok::<(), attendance_core::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`assess`], by either plan.
pub fn what_if(
    other: &Plan<impl Zone>,
    punches: &[Punch],
    corrections: &[Correction],
    plan: &Plan<impl Zone>,
    as_of: Option<Instant>,
) -> Result<Changes, Error> {
    let now = assess(punches, corrections, plan, as_of)?;
    let then = assess(punches, corrections, other, as_of)?;
    Ok(then.changes_since(&now).into_owned())
}

impl<Z: Zone> Engine<Z> {
    /// What other rules would change, over the same punches; nothing is touched. Closed dates are left out.
    ///
    /// # Errors
    ///
    /// Those of [`assess`].
    pub fn what_if(&self, other: &Plan<impl Zone>) -> Result<Changes, Error> {
        let (punches, corrections) = self.input();
        let then = assess(&punches, &corrections, other, self.as_of())?;
        let open = |record: &&Record| self.closed().is_none_or(|closed| record.date > closed);
        let now = self.outcome();
        let changes = between(
            now.records.iter().filter(open),
            then.records.iter().filter(open),
            Record::eq,
        );
        Ok(changes.into_owned())
    }
}
