//! Strings the steps together.

use std::sync::OnceLock;

use chrono::NaiveDate;

use crate::correct::Corrected;
use crate::desk::{self, Desk, Locks};
use crate::fate::Fate;
use crate::intake::{self, Intake, Stamp};
use crate::plan::{Plan, Roster};
use crate::schedule::Calendar;
use crate::{
    Correction, EmployeeId, Error, Instant, LocalTime, Outcome, Punch, PunchOutcomes, Record, Slot,
    Zone, usual, week,
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
        records: Vec::new(),
        timely: Vec::new(),
        places: Vec::new(),
        punched: Vec::new(),
    };
    // Room is only a wish: nobody has to have that many dates.
    let dates = usize::try_from((plan.config.to - plan.config.from).num_days() + 1).unwrap_or(0);
    let most = intake.employees.len().saturating_mul(dates);
    let _ = work
        .records
        .try_reserve_exact(most.min(intake.readings.len() + 1024));
    work.desk.fates = vec![Fate::NoShift; intake.sources.len()];
    let mut weeks = plan.config.weekly.map(|_| Vec::new());
    for (employee, stream) in intake.streams() {
        let roster = plan.roster.get(employee);
        if roster.is_none() && stream.is_empty() {
            continue;
        }
        let first = work.records.len();
        work.person(employee, roster, stream, &intake)?;
        if let (Some(weekly), Some(weeks)) = (plan.config.weekly, &mut weeks) {
            week::sum(&work.records[first..], weekly, weeks);
        }
    }
    let Desk {
        fates, mut edges, ..
    } = work.desk;
    edges.sort_unstable_by_key(|&(at, _)| at);
    Ok(Outcome {
        records: work.records,
        punches: PunchOutcomes {
            ids: intake.ids,
            readings: intake.readings,
            fates,
            repeated: intake.repeated,
            order: OnceLock::new(),
            sources: intake.sources,
            employees: intake.employees,
            shifts: plan.shift_ids(),
            voided: corrected.voided,
            window_s: plan.config.dedup_window_s,
            edges,
        },
        weeks,
        as_of,
    })
}

/// The work on one employee after the other, with buffers that are used again.
struct Work<'p, Z> {
    plan: &'p Plan<Z>,
    calendar: Calendar,
    desk: Desk<'p, Z>,
    records: Vec<Record>,
    timely: Vec<Stamp>,
    places: Vec<Place>,
    /// Records with punches, by the start of their shift.
    punched: Vec<(ByStart, usize)>,
}

impl<Z: Zone> Work<'_, Z> {
    fn person(
        &mut self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        stream: &[Stamp],
        intake: &Intake<'_>,
    ) -> Result<(), Error> {
        let (plan, instances) = (self.plan, &mut self.desk.instances);
        self.calendar.instances(plan, employee, roster, instances)?;
        let origin = |at| intake::origin(intake.stamped(at));
        if plan.config.locks.is_empty() {
            self.desk.sort_out(stream, origin, roster);
        } else {
            self.lock(stream, intake);
            self.desk.sort_out(&self.timely, origin, roster);
        }

        self.lay_out(roster);
        self.desk.outliers_and_orphans();
        self.make(employee, roster);
        Ok(())
    }

    /// R35: what arrived after its period was closed takes part in nothing.
    fn lock(&mut self, stream: &[Stamp], intake: &Intake<'_>) {
        let locks = Locks::new(self.plan, &self.desk.instances);
        self.timely.clear();
        for &stamp in stream {
            let received = intake.stamped(stamp.punch).received;
            match locks.holding(stamp.instant, received) {
                Some(until) => self.desk.fates[stamp.punch as usize] = Fate::LateLocked(until),
                None => self.timely.push(stamp),
            }
        }
    }

    /// Finds the order of the records (R63) before they are made.
    fn lay_out(&mut self, roster: Option<&Roster>) {
        let (plan, desk) = (self.plan, &self.desk);
        let (first, last) = (plan.config.from, plan.config.to);
        self.places.clear();
        for (index, instance) in desk.instances.iter().enumerate() {
            self.places.push(Place {
                date: instance.date,
                start: instance.start,
                shift: Some(instance.template),
                slot: Slot::Nth(instance.slot),
                made_from: MadeFrom::Planned(index),
            });
        }
        for (index, open) in desk.groups.open.iter().enumerate() {
            self.places.push(Place {
                date: open.date,
                start: open.first,
                shift: Some(open.template),
                slot: Slot::Since(open.first),
                made_from: MadeFrom::Open(index),
            });
        }
        let order = |place: &Place| (place.date, place.start, place.shift, place.slot);
        if !self.places.is_sorted_by_key(order) {
            self.places.sort_by_key(order);
        }
        // Every covered date has at least one record.
        let dates = self.places.chunk_by(|a, b| a.date == b.date);
        let mut dates = dates.map(|places| places[0].date).peekable();
        let mut idle = Vec::new();
        let mut date = first;
        while date <= last {
            while dates.next_if(|&other| other < date).is_some() {}
            if dates.peek() != Some(&date) && plan.list(roster, date).is_some() {
                idle.push(Place {
                    date,
                    start: desk::idle_start(date),
                    shift: None,
                    slot: Slot::Nth(0),
                    made_from: MadeFrom::Nothing,
                });
            }
            date = match date.succ_opt() {
                Some(next) => next,
                None => break,
            };
        }
        if !idle.is_empty() {
            self.places.append(&mut idle);
            self.places.sort_by_key(|place| place.date);
        }
    }

    /// Makes the records, and looks at what depends on the neighbours: ordinals, rest, statistics.
    fn make(&mut self, employee: &EmployeeId, roster: Option<&Roster>) {
        let first = self.records.len();
        let desk = &mut self.desk;
        self.punched.clear();
        let mut before: Option<(NaiveDate, u32)> = None;
        for place in &self.places {
            let at = self.records.len();
            // Straight into its place: a record is too large to be handed around.
            match place.made_from {
                MadeFrom::Planned(index) => {
                    desk.planned(index, &self.calendar, employee, roster, &mut self.records);
                }
                MadeFrom::Open(index) => desk.open(index, employee, roster, &mut self.records),
                MadeFrom::Nothing => {
                    self.records.extend(desk.idle(place.date, employee, roster));
                }
            }
            let Some(record) = self.records.get_mut(at) else {
                continue;
            };
            record.ordinal = match before {
                Some((date, ordinal)) if date == record.date => ordinal + 1,
                _ => 0,
            };
            before = Some((record.date, record.ordinal));
            if record.punch_count > 0 {
                let order = (place.start, place.shift, place.slot);
                self.punched.push((order, at));
            }
        }
        // By start, which is the order of dates but where zones differ.
        if !self.punched.is_sorted_by_key(|(order, _)| *order) {
            self.punched.sort_by_key(|(order, _)| *order);
        }
        let mut left: Option<LocalTime> = None;
        for &(_, at) in &self.punched {
            let record = &mut self.records[at];
            desk::rest(record, left, self.plan.config.min_rest_between_s);
            left = record.clock_out;
        }
        if let Some(stat) = self.plan.config.stat {
            usual::mark(&mut self.records[first..], stat);
        }
    }
}

/// The order in which rest is looked at (R59).
type ByStart = (Instant, Option<u32>, Slot);

/// A record that is to be made, by the order of R63.
#[derive(Debug, Clone, Copy)]
struct Place {
    date: NaiveDate,
    start: Instant,
    shift: Option<u32>,
    slot: Slot,
    made_from: MadeFrom,
}

#[derive(Debug, Clone, Copy)]
enum MadeFrom {
    Planned(usize),
    Open(usize),
    Nothing,
}
