//! The work on one stretch of one employee's punches, with buffers that are used again.

use chrono::{NaiveDate, NaiveTime};

use crate::dedup::{self, Origin};
use crate::fate::Fate;
use crate::group::Groups;
use crate::instant::shift_date;
use crate::intake::Stamp;
use crate::judge::{Case, Judge, day_type};
use crate::plan::{Plan, Roster};
use crate::schedule::{Calendar, Instance};
use crate::{Beyond, EmployeeId, Explanation, Flag, Form, Instant, LocalTime, Record, Slot, Zone};

/// What lies on the desk: the punches of a stretch, and what became of them.
#[derive(Debug)]
pub(crate) struct Desk<'p, Z> {
    plan: &'p Plan<Z>,
    judge: Judge<'p, Z>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) kept: Vec<Stamp>,
    pub(crate) groups: Groups,
    /// By [`Stamp::punch`].
    pub(crate) fates: Vec<Fate>,
    /// The window edges that outliers lie beyond, with [`Stamp::punch`].
    pub(crate) edges: Vec<(u32, LocalTime)>,
}

impl<'p, Z: Zone> Desk<'p, Z> {
    pub(crate) fn new(plan: &'p Plan<Z>, as_of: Option<Instant>) -> Self {
        Self {
            plan,
            judge: Judge::new(plan, as_of),
            instances: Vec::new(),
            kept: Vec::new(),
            groups: Groups::default(),
            fates: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// From a stream to duplicates and groups (sections D and F); `origin` looks a punch up.
    pub(crate) fn sort_out<'a>(
        &mut self,
        stream: &[Stamp],
        origin: impl Fn(u32) -> Origin<'a>,
        roster: Option<&Roster>,
    ) {
        let fates = &mut self.fates;
        let window_s = self.plan.config.dedup_window_s;
        dedup::walk(stream, window_s, &mut self.kept, |stamp, first| {
            fates[stamp.punch as usize] = Fate::Duplicate {
                of: first.punch,
                reason: dedup::reason(stamp, first, &origin),
            };
        });
        self.groups
            .assign(&self.kept, &self.instances, self.plan, roster);
    }

    /// The windows of an employee without punches.
    pub(crate) fn nothing_to_sort(&mut self, roster: Option<&Roster>) {
        self.kept.clear();
        self.groups.assign(&[], &self.instances, self.plan, roster);
    }

    fn in_range(&self, date: NaiveDate) -> bool {
        (self.plan.config.from..=self.plan.config.to).contains(&date)
    }

    /// Makes the record of a planned instance, by its place in `instances`, unless its date was not asked for.
    pub(crate) fn planned(
        &mut self,
        index: usize,
        calendar: &Calendar,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        records: &mut Vec<Record>,
    ) {
        let (instance, share) = (&self.instances[index], &self.groups.planned[index]);
        let (template, date) = (instance.template, instance.date);
        let punches = &self.groups.assigned[share.punches.clone()];
        if !self.in_range(date) {
            for stamp in punches {
                self.fates[stamp.punch as usize] = Fate::OutOfRange { template, date };
            }
            return;
        }
        let holiday = self.plan.is_holiday(roster, date);
        records.push(self.judge.record(&Case {
            employee,
            date,
            template,
            slot: Slot::Nth(instance.slot),
            day_type: day_type(holiday, self.plan.list(roster, date), false),
            timing: calendar.timing(instance),
            punches,
            too_early: share.too_early,
            too_late: share.too_late,
            settles: instance.reach.to,
        }));
        for (stamp, &(role, rule)) in punches.iter().zip(&self.judge.pairs.roles) {
            self.fates[stamp.punch as usize] = Fate::Used {
                template,
                date,
                role,
                rule,
            };
        }
    }

    /// Makes the record of open work, by its place in `groups.open`, unless its date was not asked for.
    pub(crate) fn open(
        &mut self,
        index: usize,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        records: &mut Vec<Record>,
    ) {
        let open = &self.groups.open[index];
        let (template, date) = (open.template, open.date);
        let punches = &self.groups.assigned[open.punches.clone()];
        let [first, ..] = punches else { return };
        if !self.in_range(date) {
            for stamp in punches {
                self.fates[stamp.punch as usize] = Fate::OutOfRange { template, date };
            }
            return;
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
        records.push(self.judge.record(&Case {
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
        }));
        for (stamp, &(role, rule)) in punches.iter().zip(&self.judge.pairs.roles) {
            self.fates[stamp.punch as usize] = Fate::Used {
                template,
                date,
                role,
                rule,
            };
        }
    }

    pub(crate) fn outliers_and_orphans(&mut self) {
        for index in 0..self.groups.outliers.len() {
            let (stamp, index, reason) = self.groups.outliers[index];
            let instance = &self.instances[index];
            let (template, date) = (instance.template, instance.date);
            self.fates[stamp.punch as usize] = if self.in_range(date) {
                let edge = match reason {
                    Beyond::InTooEarly => instance.accept.from,
                    Beyond::OutTooLate => instance.accept.to,
                };
                let offset = self.plan.zone_of(template).offset_at(edge);
                self.edges.push((stamp.punch, LocalTime::new(edge, offset)));
                Fate::Outlier {
                    template,
                    date,
                    reason,
                }
            } else {
                Fate::OutOfRange { template, date }
            };
        }
        for stamp in &self.groups.orphans {
            self.fates[stamp.punch as usize] = Fate::NoShift;
        }
    }

    /// The record of a covered date that has no other (R63); `None` if nothing covers it.
    pub(crate) fn idle(
        &self,
        date: NaiveDate,
        employee: &EmployeeId,
        roster: Option<&Roster>,
    ) -> Option<Record> {
        let list = self.plan.list(roster, date)?;
        let holiday = self.plan.is_holiday(roster, date);
        Some(self.judge.idle(employee, date, list, holiday))
    }
}

/// Where the record of a date without shift stands among others.
pub(crate) fn idle_start(date: NaiveDate) -> Instant {
    Instant::from_civil(date.into(), 0)
}

/// R59. `left` is the clock-out of the record before, if there is one with punches.
pub(crate) fn rest(record: &mut Record, left: Option<LocalTime>, least_s: Option<u32>) {
    let (Some(left), Some(clock_in)) = (left, record.clock_in) else {
        return;
    };
    let rest_s = clock_in.instant().since(left.instant());
    record.rest_s = Some(rest_s);
    if let Some(least_s) = least_s
        && rest_s < i64::from(least_s)
    {
        record.flags.insert(Flag::ShortRest);
        record
            .findings
            .push(Explanation::ShortRest { rest_s, least_s });
    }
}

/// The locks of one employee (R35), ready to be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    /// By when they were made; each with the latest date closed so far, and the last instant that has to do with it.
    closed: Vec<(Instant, NaiveDate, Instant)>,
}

impl Locks {
    /// `instances` are all those of the employee.
    pub(crate) fn new<Z: Zone>(plan: &Plan<Z>, instances: &[Instance]) -> Self {
        let mut locks = plan.config.locks.clone();
        locks.sort_by_key(|lock| (lock.at, lock.until));
        let mut closed: Vec<(Instant, NaiveDate, Instant)> = Vec::with_capacity(locks.len());
        for lock in locks {
            match closed.last() {
                // Ends grow with the dates, so the later date says all.
                Some(&(_, until, _)) if until >= lock.until => {}
                _ => {
                    let end = lock_end(plan, instances, lock.until);
                    closed.push((lock.at, lock.until, end));
                }
            }
        }
        Self { closed }
    }

    /// The latest date of a period that was closed when a punch of this instant arrived.
    pub(crate) fn holding(&self, instant: Instant, received: Option<Instant>) -> Option<NaiveDate> {
        let received = received?;
        let made = self.closed.partition_point(|&(at, ..)| at < received);
        self.closed[..made]
            .last()
            .filter(|&&(.., end)| instant <= end)
            .map(|&(_, until, _)| until)
    }
}

/// The last instant that can have to do with dates up to `until` (R35).
pub(crate) fn lock_end<Z: Zone>(
    plan: &Plan<Z>,
    instances: &[Instance],
    until: NaiveDate,
) -> Instant {
    let midnight = shift_date(until, 1).and_time(NaiveTime::MIN);
    let open = plan
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
    let day_end = plan
        .site()
        .resolve(midnight)
        .instant()
        .plus(-1)
        .plus(open.max().unwrap_or(0));
    // What begins a week before ends before the day does.
    let near = |days: i64| Instant::from_civil(shift_date(until, days).into(), 0);
    let (from, to) = (near(-7), near(3));
    let begin = instances.partition_point(|instance| instance.start < from);
    let end = instances.partition_point(|instance| instance.start <= to);
    instances[begin..end]
        .iter()
        .filter(|instance| instance.date <= until)
        .map(|instance| instance.reach.to)
        .fold(day_end, Instant::max)
}
