//! From the roster to shift instances with their windows (section E).

use chrono::{NaiveDate, NaiveTime};

use crate::breaks::{self, Span};
use crate::instant::shift_date;
use crate::plan::{Plan, Roster};
use crate::{EmployeeId, Error, Form, Instant, LocalTime, OutlierPolicy, Zone};

/// One template on one date for one employee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance {
    pub(crate) template: u32,
    pub(crate) date: NaiveDate,
    /// Days after the first planned date: finds the [`Timing`].
    day: u32,
    /// Position among equal templates of the date's list (design, P4).
    pub(crate) slot: u32,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    /// Punches inside, ends included, count (R23).
    pub(crate) accept: Span,
    /// Punches inside, ends included, are at least kept (R23).
    pub(crate) reach: Span,
}

/// The instants of one template on one date, the same for everybody.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) start: LocalTime,
    pub(crate) end: LocalTime,
    /// R50.
    pub(crate) planned_s: i64,
    /// Unpaid, sorted, apart (R46).
    pub(crate) windows: Vec<Span>,
    /// When people have to be there, for lateness (R49).
    pub(crate) due: Option<(LocalTime, LocalTime)>,
}

/// The timings met so far: each template and date is worked out once, however many people share it.
#[derive(Debug)]
pub(crate) struct Calendar {
    first: NaiveDate,
    timings: Vec<Vec<Option<Timing>>>,
}

/// Windows narrow one another over less than so many days: what reaches from one shift to another is at most a day on
/// either side, shifts last a day, and a change of clocks moves them by another one.
const NARROWING_DAYS: i64 = 8;

impl Calendar {
    pub(crate) fn new<Z>(plan: &Plan<Z>) -> Self {
        let (first, _) = plan.planned_dates();
        Self {
            first,
            timings: vec![Vec::new(); plan.templates.len()],
        }
    }

    /// The timing of an instance; [`Calendar::instances`] has worked it out.
    pub(crate) fn timing(&self, instance: &Instance) -> Option<&Timing> {
        self.timings[instance.template as usize]
            .get(instance.day as usize)?
            .as_ref()
    }

    /// All planned instances of an employee with their final windows, in the order of R24.
    pub(crate) fn instances<Z: Zone>(
        &mut self,
        plan: &Plan<Z>,
        employee: &EmployeeId,
        roster: Option<&Roster>,
        instances: &mut Vec<Instance>,
    ) -> Result<(), Error> {
        let (from, to) = plan.planned_dates();
        self.list(plan, roster, from, to, instances);
        refuse_overlap(plan, employee, instances)
    }

    /// The planned instances of some dates with their final windows, and others around them whose windows may not be
    /// final.
    pub(crate) fn window<Z: Zone>(
        &mut self,
        plan: &Plan<Z>,
        roster: Option<&Roster>,
        from: NaiveDate,
        to: NaiveDate,
        instances: &mut Vec<Instance>,
    ) {
        let (first, last) = plan.planned_dates();
        let from = shift_date(from, -NARROWING_DAYS).max(first);
        let to = shift_date(to, NARROWING_DAYS).min(last);
        self.list(plan, roster, from, to, instances);
    }

    fn list<Z: Zone>(
        &mut self,
        plan: &Plan<Z>,
        roster: Option<&Roster>,
        from: NaiveDate,
        to: NaiveDate,
        instances: &mut Vec<Instance>,
    ) {
        instances.clear();
        let mut date = from;
        let mut day = u32::try_from((from - self.first).num_days()).unwrap_or(0);
        while date <= to {
            let list = plan.list(roster, date).unwrap_or_default();
            for (index, &template) in list.iter().enumerate() {
                if plan.template(template).shift.is_open() {
                    continue;
                }
                let slot = list[..index]
                    .iter()
                    .filter(|&&other| other == template)
                    .count();
                let slot = u32::try_from(slot).unwrap_or(u32::MAX);
                instances.push(self.instance(plan, template, date, day, slot));
            }
            day += 1;
            date = match date.succ_opt() {
                Some(next) => next,
                None => break,
            };
        }
        let order = |instance: &Instance| (instance.start, instance.end, instance.template);
        if !instances.is_sorted_by_key(order) {
            instances.sort_by_key(order);
        }
        narrow(instances);
    }

    fn instance<Z: Zone>(
        &mut self,
        plan: &Plan<Z>,
        template: u32,
        date: NaiveDate,
        day: u32,
        slot: u32,
    ) -> Instance {
        let days = &mut self.timings[template as usize];
        if days.len() <= day as usize {
            days.resize(day as usize + 1, None);
        }
        let timing = days[day as usize].get_or_insert_with(|| timing(plan, template, date));
        let (start, end) = (timing.start.instant(), timing.end.instant());
        let shift = &plan.template(template).shift;
        let (accept, reach) = if shift.is_fixed() {
            let tolerance = shift.tolerance;
            let accept = Span {
                from: start.plus(-i64::from(tolerance.early_in_s)),
                to: end.plus(i64::from(tolerance.late_out_s)),
            };
            let wide = i64::from(tolerance.reach_s);
            let reach = Span {
                from: accept.from.plus(-wide),
                to: accept.to.plus(wide),
            };
            match shift.outlier_policy {
                OutlierPolicy::Exclude => (accept, reach),
                OutlierPolicy::Flag => (reach, reach),
            }
        } else {
            let whole = Span {
                from: start,
                to: end.plus(-1),
            };
            (whole, whole)
        };
        Instance {
            template,
            date,
            day,
            slot,
            start,
            end,
            accept,
            reach,
        }
    }
}

/// R26: no fixed shift begins before the one before has ended.
fn refuse_overlap<Z>(
    plan: &Plan<Z>,
    employee: &EmployeeId,
    instances: &[Instance],
) -> Result<(), Error> {
    let mut before: Option<&Instance> = None;
    for next in instances
        .iter()
        .filter(|next| plan.template(next.template).shift.is_fixed())
    {
        if let Some(first) = before.filter(|first| first.end > next.start) {
            return Err(Error::OverlappingShifts {
                employee: employee.clone(),
                first: plan.template(first.template).shift.id.clone(),
                first_date: first.date,
                second: plan.template(next.template).shift.id.clone(),
                second_date: next.date,
            });
        }
        if before.is_none_or(|first| first.end <= next.end) {
            before = Some(next);
        }
    }
    Ok(())
}

/// R24: windows never overtake each other.
fn narrow(instances: &mut [Instance]) {
    for index in 1..instances.len() {
        let before = instances[index - 1];
        let own = &mut instances[index];
        own.accept.from = own.accept.from.max(before.accept.from);
        own.reach.from = own.reach.from.max(before.reach.from);
    }
    for index in (1..instances.len()).rev() {
        let after = instances[index];
        let own = &mut instances[index - 1];
        own.accept.to = own.accept.to.min(after.accept.to);
        own.reach.to = own.reach.to.min(after.reach.to);
    }
}

/// R22, R25, R46, R50.
fn timing<Z: Zone>(plan: &Plan<Z>, template: u32, date: NaiveDate) -> Timing {
    let zone = plan.zone_of(template);
    let shift = &plan.template(template).shift;
    let local = |date: NaiveDate, time: NaiveTime| {
        let instant = zone.resolve(date.and_time(time)).instant();
        LocalTime::new(instant, zone.offset_at(instant))
    };
    let next = shift_date(date, 1);
    // What begins before the shift's own begin belongs to the morning after.
    let after = |begin: NaiveTime, time: NaiveTime| if time < begin { next } else { date };
    let windows = |begin: NaiveTime| {
        let spans = shift.breaks.windows.iter().map(|window| {
            let from = after(begin, window.start);
            let to = if window.end > window.start {
                from
            } else {
                shift_date(from, 1)
            };
            Span {
                from: local(from, window.start).instant(),
                to: local(to, window.end).instant(),
            }
        });
        breaks::merge(spans.collect())
    };
    match shift.form {
        Form::Fixed { start, end } => {
            let from = local(date, start);
            let to = local(if end > start { date } else { next }, end);
            let windows = windows(start);
            let whole = Span {
                from: from.instant(),
                to: to.instant(),
            };
            let planned_s = if whole.from < whole.to {
                breaks::net(&shift.breaks, &windows, &[whole]).net_s
            } else {
                0
            };
            Timing {
                start: from,
                end: to,
                planned_s,
                windows,
                due: Some((from, to)),
            }
        }
        Form::Flexible {
            day_start,
            required_s,
            core,
        } => Timing {
            start: local(date, day_start),
            end: local(next, day_start),
            planned_s: i64::from(required_s),
            windows: windows(day_start),
            due: core.map(|core| (local(date, core.start), local(date, core.end))),
        },
        // Open templates have no instances; the timing of a day would be the day.
        Form::Open { required_s, .. } => Timing {
            start: local(date, NaiveTime::MIN),
            end: local(next, NaiveTime::MIN),
            planned_s: i64::from(required_s),
            windows: Vec::new(),
            due: None,
        },
    }
}
