//! Strings the steps together.

use chrono::NaiveDate;

use crate::correct::Corrected;
use crate::desk::{self, Desk, Locks};
use crate::fate::{self, Fate};
use crate::intake::{Intake, Stamp};
use crate::plan::{Plan, Roster};
use crate::schedule::Calendar;
use crate::{
    Correction, EmployeeId, Error, Instant, LocalTime, Outcome, Punch, Record, Zone, usual, week,
};

/// From punches to records: the outcome is a function of the plan and the *sets* of punches and corrections (R61).
///
/// `as_of` is the present instant: records that further punches could still reach are not final then (R55). Without
/// it everything is past.
///
/// # Errors
///
/// `overlapping_shifts`, `conflicting_punch_id`, `conflicting_correction_id`, `set_kind_refused`, `invalid_punch`. What
/// is wrong with the configuration alone was found by [`Plan::new`].
pub fn assess(
    punches: &[Punch],
    corrections: &[Correction],
    plan: &Plan<impl Zone>,
    as_of: Option<Instant>,
) -> Result<Outcome, Error> {
    let corrected = Corrected::new(corrections, plan.config.strategy)?;
    let intake = Intake::new(punches, &corrected, plan)?;
    let mut work = Work {
        plan,
        calendar: Calendar::new(plan),
        desk: Desk::new(plan, as_of),
        intake: &intake,
        records: Vec::new(),
        timely: Vec::new(),
    };
    work.desk.fates = vec![Fate::Barred; intake.readings.len()];
    let mut weeks = plan.config.weekly.map(|_| Vec::new());
    let mut begin = 0;
    for (employee, &end) in intake.employees.iter().zip(&intake.ends) {
        let stream = &intake.stamps[begin..end];
        begin = end;
        let roster = plan.roster.get(employee);
        if roster.is_none() && stream.is_empty() {
            continue;
        }
        let first = work.records.len();
        work.person(employee, roster, stream)?;
        if let (Some(weekly), Some(weeks)) = (plan.config.weekly, &mut weeks) {
            week::sum(&work.records[first..], weekly, weeks);
        }
    }
    Ok(Outcome {
        punches: fate::tell(&intake, &work.desk.fates, &work.desk.edges, plan),
        records: work.records,
        weeks,
        as_of,
    })
}

/// The work on one employee after the other, with buffers that are used again.
struct Work<'p, Z> {
    plan: &'p Plan<Z>,
    calendar: Calendar,
    desk: Desk<'p, Z>,
    intake: &'p Intake<'p>,
    records: Vec<Record>,
    timely: Vec<Stamp>,
}

impl<Z: Zone> Work<'_, Z> {
    fn person(
        &mut self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        stream: &[Stamp],
    ) -> Result<(), Error> {
        let Self {
            plan,
            calendar,
            desk,
            ..
        } = self;
        calendar.instances(plan, employee, roster, &mut desk.instances)?;
        if plan.config.locks.is_empty() {
            desk.sort_out(stream, roster);
        } else {
            self.lock(stream);
            self.desk.sort_out(&self.timely, roster);
        }

        let (calendar, desk) = (&self.calendar, &mut self.desk);
        let mut made = Vec::with_capacity(desk.instances.len() + desk.groups.open.len());
        for index in 0..desk.instances.len() {
            let start = desk.instances[index].start;
            let record = desk.planned(index, calendar, employee, roster);
            made.extend(record.map(|record| (start, record)));
        }
        for index in 0..desk.groups.open.len() {
            let start = desk.groups.open[index].first;
            let record = desk.open(index, employee, roster);
            made.extend(record.map(|record| (start, record)));
        }
        desk.outliers_and_orphans(calendar);
        self.idle_dates(employee, roster, &mut made);
        self.finish(made);
        Ok(())
    }

    /// R35: what arrived after its period was closed takes part in nothing.
    fn lock(&mut self, stream: &[Stamp]) {
        let locks = Locks::new(self.plan, &self.calendar, &self.desk.instances);
        self.timely.clear();
        for &stamp in stream {
            let received = self.intake.readings[stamp.punch as usize].punch.received;
            match locks.holding(stamp.instant, received) {
                Some(until) => self.desk.fates[stamp.punch as usize] = Fate::LateLocked(until),
                None => self.timely.push(stamp),
            }
        }
    }

    /// Every covered date has at least one record (R63).
    fn idle_dates(
        &self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        made: &mut Vec<(Instant, Record)>,
    ) {
        let mut taken: Vec<NaiveDate> = made.iter().map(|(_, record)| record.date).collect();
        taken.sort_unstable();
        let mut taken = taken.into_iter().peekable();
        let mut date = self.plan.config.from;
        while date <= self.plan.config.to {
            while taken.next_if(|&other| other < date).is_some() {}
            if taken.peek() != Some(&date) {
                let record = self.desk.idle(date, employee, roster);
                made.extend(record.map(|record| (desk::idle_start(date), record)));
            }
            date = match date.succ_opt() {
                Some(next) => next,
                None => break,
            };
        }
    }

    /// What depends on the neighbours: rest, ordinals, statistics; then the order of R63.
    fn finish(&mut self, mut made: Vec<(Instant, Record)>) {
        let first = self.records.len();
        made.sort_by(|(a_start, a), (b_start, b)| {
            (a_start, &a.shift, a.slot).cmp(&(b_start, &b.shift, b.slot))
        });
        let mut left: Option<LocalTime> = None;
        for (_, record) in made.iter_mut().filter(|(_, record)| record.punch_count > 0) {
            desk::rest(record, left, self.plan.config.min_rest_between_s);
            left = record.clock_out;
        }
        made.sort_by_key(|(_, record)| record.date);
        let mut before: Option<(NaiveDate, u32)> = None;
        for (_, record) in &mut made {
            record.ordinal = match before {
                Some((date, ordinal)) if date == record.date => ordinal + 1,
                _ => 0,
            };
            before = Some((record.date, record.ordinal));
        }
        self.records
            .extend(made.into_iter().map(|(_, record)| record));
        if let Some(stat) = self.plan.config.stat {
            usual::mark(&mut self.records[first..], stat);
        }
    }
}
