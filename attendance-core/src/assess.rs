//! Strings the steps together.

use chrono::NaiveDate;

use crate::correct::Corrected;
use crate::dedup::{self, Found};
use crate::fate::{self, Fate};
use crate::group::Groups;
use crate::instant::shift_date;
use crate::intake::{Intake, Stamp};
use crate::judge::{Case, Judge, day_type};
use crate::plan::{Plan, Roster};
use crate::schedule::{Calendar, Instance};
use crate::{
    Beyond, Correction, EmployeeId, Error, Explanation, Flag, Form, Instant, LocalTime, Outcome,
    Punch, Record, Slot, Zone, usual, week,
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
    let mut engine = Engine {
        plan,
        calendar: Calendar::new(plan),
        judge: Judge::new(plan, as_of),
        intake: &intake,
        fates: vec![Fate::Barred; intake.readings.len()],
        edges: Vec::new(),
        records: Vec::new(),
        instances: Vec::new(),
        timely: Vec::new(),
        kept: Vec::new(),
        groups: Groups::default(),
    };
    let mut weeks = plan.config.weekly.map(|_| Vec::new());
    let mut begin = 0;
    for (employee, &end) in intake.employees.iter().zip(&intake.ends) {
        let stream = &intake.stamps[begin..end];
        begin = end;
        let roster = plan.roster.get(employee);
        if roster.is_none() && stream.is_empty() {
            continue;
        }
        let first = engine.records.len();
        engine.person(employee, roster, stream)?;
        if let (Some(weekly), Some(weeks)) = (plan.config.weekly, &mut weeks) {
            week::sum(&engine.records[first..], weekly, weeks);
        }
    }
    let Engine {
        records,
        fates,
        edges,
        ..
    } = engine;
    Ok(Outcome {
        records,
        punches: fate::tell(&intake, &fates, &edges, plan),
        weeks,
        as_of,
    })
}

/// The work on one employee after the other, with buffers that are used again.
struct Engine<'p, Z> {
    plan: &'p Plan<Z>,
    calendar: Calendar<'p, Z>,
    judge: Judge<'p, Z>,
    intake: &'p Intake<'p>,
    fates: Vec<Fate>,
    /// The window edges that outliers lie beyond.
    edges: Vec<LocalTime>,
    records: Vec<Record>,
    instances: Vec<Instance>,
    timely: Vec<Stamp>,
    kept: Vec<Stamp>,
    groups: Groups,
}

impl<Z: Zone> Engine<'_, Z> {
    fn person(
        &mut self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        stream: &[Stamp],
    ) -> Result<(), Error> {
        self.calendar
            .instances(employee, roster, &mut self.instances)?;
        self.lock(stream);
        self.kept.clear();
        let (window_s, fates) = (self.plan.config.dedup_window_s, &mut self.fates);
        dedup::walk(&self.timely, window_s, &mut self.kept, |stamp, found| {
            if let Found::Duplicate { of, reason } = found {
                fates[stamp.punch as usize] = Fate::Duplicate {
                    of: of.punch,
                    reason,
                };
            }
        });
        self.groups
            .assign(&self.kept, &self.instances, self.plan, roster);

        let mut made = Vec::with_capacity(self.instances.len() + self.groups.open.len());
        self.planned(employee, roster, &mut made);
        self.open(employee, roster, &mut made);
        self.outliers_and_orphans();
        self.idle_dates(employee, roster, &mut made);
        self.finish(made);
        Ok(())
    }

    /// R35: what arrived after its period was closed takes part in nothing.
    fn lock(&mut self, stream: &[Stamp]) {
        self.timely.clear();
        let locks = &self.plan.config.locks;
        let readings = &self.intake.readings;
        let late = |at: Instant, stamp: &Stamp| {
            readings[stamp.punch as usize]
                .punch
                .received
                .is_some_and(|received| received > at)
        };
        if !locks
            .iter()
            .any(|lock| stream.iter().any(|stamp| late(lock.at, stamp)))
        {
            self.timely.extend_from_slice(stream);
            return;
        }
        let ends: Vec<(Instant, Instant, NaiveDate)> = locks
            .iter()
            .map(|lock| (lock.at, self.lock_end(lock.until), lock.until))
            .collect();
        for &stamp in stream {
            let holding = ends
                .iter()
                .filter(|&&(at, end, _)| stamp.instant <= end && late(at, &stamp));
            match holding.map(|&(_, _, until)| until).max() {
                Some(until) => self.fates[stamp.punch as usize] = Fate::LateLocked(until),
                None => self.timely.push(stamp),
            }
        }
    }

    /// The last instant that can have to do with dates up to `until`.
    fn lock_end(&self, until: NaiveDate) -> Instant {
        let midnight = shift_date(until, 1).and_time(chrono::NaiveTime::MIN);
        let open = self
            .plan
            .templates
            .iter()
            .filter_map(|template| match template.shift.form {
                Form::Open {
                    max_session_s,
                    max_span_s,
                    ..
                } => Some(i64::from(max_span_s) + i64::from(max_session_s)),
                _ => None,
            });
        let day_end = self
            .plan
            .site()
            .resolve(midnight)
            .instant()
            .plus(-1)
            .plus(open.max().unwrap_or(0));
        let planned = self
            .instances
            .iter()
            .filter(|instance| self.calendar.date(instance.day) <= until);
        planned
            .map(|instance| instance.reach.to)
            .fold(day_end, Instant::max)
    }

    fn in_range(&self, date: NaiveDate) -> bool {
        (self.plan.config.from..=self.plan.config.to).contains(&date)
    }

    fn planned(
        &mut self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        made: &mut Vec<(Instant, Record)>,
    ) {
        for (instance, share) in self.instances.iter().zip(&self.groups.planned) {
            let (template, date) = (instance.template, self.calendar.date(instance.day));
            let punches = &self.groups.assigned[share.punches.clone()];
            if !self.in_range(date) {
                for stamp in punches {
                    self.fates[stamp.punch as usize] = Fate::OutOfRange { template, date };
                }
                continue;
            }
            let holiday = self.plan.is_holiday(roster, date);
            let record = self.judge.record(&Case {
                employee,
                date,
                template,
                slot: Slot::Nth(instance.slot),
                day_type: day_type(holiday, self.plan.list(roster, date), false),
                timing: self.calendar.timing(instance),
                punches,
                too_early: share.too_early,
                too_late: share.too_late,
                settles: instance.reach.to,
            });
            for (stamp, &(role, rule)) in punches.iter().zip(&self.judge.pairs.roles) {
                self.fates[stamp.punch as usize] = Fate::Used {
                    template,
                    date,
                    role,
                    rule,
                };
            }
            made.push((instance.start, record));
        }
    }

    fn open(
        &mut self,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        made: &mut Vec<(Instant, Record)>,
    ) {
        for open in &self.groups.open {
            let (template, date) = (open.template, open.date);
            let punches = &self.groups.assigned[open.punches.clone()];
            let [first, ..] = punches else { continue };
            if !self.in_range(date) {
                for stamp in punches {
                    self.fates[stamp.punch as usize] = Fate::OutOfRange { template, date };
                }
                continue;
            }
            let wait = match self.plan.template(template).shift.form {
                Form::Open {
                    max_session_s,
                    min_rest_s,
                    ..
                } => max_session_s.max(min_rest_s),
                _ => 0,
            };
            let last = punches.last().unwrap_or(first);
            let holiday = self.plan.is_holiday(roster, date);
            let record = self.judge.record(&Case {
                employee,
                date,
                template,
                slot: Slot::Since(first.instant),
                day_type: day_type(holiday, self.plan.list(roster, date), open.unscheduled),
                timing: None,
                punches,
                too_early: 0,
                too_late: 0,
                settles: last.instant.plus(i64::from(wait)),
            });
            for (stamp, &(role, rule)) in punches.iter().zip(&self.judge.pairs.roles) {
                self.fates[stamp.punch as usize] = Fate::Used {
                    template,
                    date,
                    role,
                    rule,
                };
            }
            made.push((first.instant, record));
        }
    }

    fn outliers_and_orphans(&mut self) {
        for &(stamp, index, reason) in &self.groups.outliers {
            let instance = &self.instances[index];
            let (template, date) = (instance.template, self.calendar.date(instance.day));
            self.fates[stamp.punch as usize] = if self.in_range(date) {
                let edge = match reason {
                    Beyond::InTooEarly => instance.accept.from,
                    Beyond::OutTooLate => instance.accept.to,
                };
                self.edges.push(LocalTime::new(
                    edge,
                    self.plan.zone_of(template).offset_at(edge),
                ));
                let edge = u32::try_from(self.edges.len() - 1).unwrap_or(u32::MAX);
                Fate::Outlier {
                    template,
                    date,
                    reason,
                    edge,
                }
            } else {
                Fate::OutOfRange { template, date }
            };
        }
        for stamp in &self.groups.orphans {
            self.fates[stamp.punch as usize] = Fate::NoShift;
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
            if taken.peek() != Some(&date)
                && let Some(list) = self.plan.list(roster, date)
            {
                let holiday = self.plan.is_holiday(roster, date);
                let record = self.judge.idle(employee, date, list, holiday);
                made.push((Instant::from_civil(date.into(), 0), record));
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
        let mut left: Option<Option<LocalTime>> = None;
        for (_, record) in made.iter_mut().filter(|(_, record)| record.punch_count > 0) {
            if let (Some(Some(left)), Some(clock_in)) = (left, record.clock_in) {
                let rest_s = clock_in.instant().since(left.instant());
                record.rest_s = Some(rest_s);
                if let Some(least_s) = self.plan.config.min_rest_between_s
                    && rest_s < i64::from(least_s)
                {
                    record.flags.push(Flag::ShortRest);
                    record.flags.sort_unstable();
                    record
                        .findings
                        .push(Explanation::ShortRest { rest_s, least_s });
                }
            }
            left = Some(record.clock_out);
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
