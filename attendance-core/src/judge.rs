//! From one shift instance to its record (section I).

use chrono::NaiveDate;

use crate::breaks::Span;
use crate::instant::shift_date;
use crate::intake::Stamp;
use crate::measure::measure;
use crate::pair::Pairs;
use crate::plan::Plan;
use crate::schedule::Timing;
use crate::steady::Steady;
use crate::{
    Beyond, DayType, EmployeeId, Explanation, Flag, Instant, LocalTime, MissingPolicy, Record,
    Session, Sessions, Set, ShiftTemplate, Side, Slot, Status, Zone, outlier,
};

/// A shift instance with all that is known about it.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) employee: &'a EmployeeId,
    pub(crate) date: NaiveDate,
    pub(crate) template: u32,
    pub(crate) slot: Slot,
    pub(crate) day_type: DayType,
    /// `None` for open work.
    pub(crate) timing: Option<&'a Timing>,
    pub(crate) punches: &'a [Stamp],
    /// Outlier punches (R30).
    pub(crate) too_early: u32,
    pub(crate) too_late: u32,
    /// When it settles (R55).
    pub(crate) settles: Instant,
}

/// R58. `list` is what the roster says about the date.
pub(crate) fn day_type(holiday: bool, list: Option<&[u32]>, unscheduled: bool) -> DayType {
    if holiday {
        DayType::Holiday
    } else if list.is_some_and(<[u32]>::is_empty) {
        DayType::WeeklyOff
    } else if unscheduled {
        DayType::Unscheduled
    } else {
        DayType::Workday
    }
}

/// Makes records; keeps its buffers from one to the next.
#[derive(Debug)]
pub(crate) struct Judge<'p, Z> {
    plan: &'p Plan<Z>,
    as_of: Option<Instant>,
    /// As in the plan.
    zones: Vec<Steady<'p, Z>>,
    pub(crate) pairs: Pairs,
    paid: Vec<Span>,
    findings: Vec<Explanation>,
}

impl<'p, Z: Zone> Judge<'p, Z> {
    pub(crate) fn new(plan: &'p Plan<Z>, as_of: Option<Instant>) -> Self {
        Self {
            plan,
            as_of,
            zones: plan.zones.iter().map(Steady::new).collect(),
            pairs: Pairs::default(),
            paid: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The record of an instance. Leaves the roles of its punches in `pairs`.
    #[inline]
    pub(crate) fn record(&mut self, case: &Case<'_>) -> Record {
        let shift = &self.plan.template(case.template).shift;
        let zone = &self.zones[self.plan.template(case.template).zone];
        let local = |instant: Instant| LocalTime::new(instant, zone.offset_at(instant));
        let fixed = case.timing.filter(|_| shift.is_fixed());
        let edges = fixed.map(|timing| Span {
            from: timing.start.instant(),
            to: timing.end.instant(),
        });
        let is_final = self.as_of.is_none_or(|as_of| as_of >= case.settles);
        let workday = case.day_type == DayType::Workday;

        self.pairs.read(case.punches, edges, &self.plan.config);
        let pairs = &self.pairs;
        let (clock_in, clock_out) = (pairs.clock_in().map(local), pairs.clock_out().map(local));
        let findings = &mut self.findings;
        let mut flags = Set::EMPTY;
        if !is_final {
            findings.push(Explanation::NotFinal {
                settles_at: case.settles,
            });
        }

        let missing = missing(case, pairs, is_final);
        findings.extend(missing.iter().map(|&side| Explanation::Missing { side }));
        self.paid.clear();
        self.paid.extend_from_slice(&pairs.sessions);
        let presence_s = self.paid.iter().map(|session| session.len()).sum();
        if let Some(edges) =
            edges.filter(|_| is_final && shift.missing_policy == MissingPolicy::AutoClose)
        {
            let closed = auto_close(&mut self.paid, pairs, case.punches, edges);
            for (side, at) in closed.into_iter().flatten() {
                flags.insert(Flag::AutoClosed);
                findings.push(Explanation::AutoClosed {
                    side,
                    at: local(at),
                });
            }
        }
        // Most sessions begin or end with what has been told already.
        let told = |instant: Instant| {
            let known = [clock_in, clock_out].into_iter().flatten();
            known
                .into_iter()
                .find(|time| time.instant() == instant)
                .unwrap_or_else(|| local(instant))
        };
        let session = |span: &Span| Session {
            start: told(span.from),
            end: told(span.to),
        };
        let sessions = self.paid.iter().map(session).collect();
        let measures = measure(&mut self.paid, pairs, shift, case.timing, zone, workday);

        if let Some(timing) = fixed
            && timing.start.offset_s() != timing.end.offset_s()
        {
            flags.insert(Flag::DstChange);
            let forward_s = i64::from(timing.end.offset_s()) - i64::from(timing.start.offset_s());
            findings.push(Explanation::ClocksChanged { forward_s });
        }
        let (late_s, early_leave_s) = if workday {
            lateness(case, shift, clock_in, clock_out, findings)
        } else {
            (0, 0)
        };
        let outliers = outlier::of(case, shift, fixed, clock_in, clock_out, findings);
        if measures.break_deducted_s > 0 {
            findings.push(Explanation::BreakDeducted {
                deducted_s: measures.break_deducted_s,
            });
        }
        if measures.overtime_s > 0 {
            findings.push(Explanation::Overtime {
                overtime_s: measures.overtime_s,
                whole_day: !workday,
            });
        }
        let closed = flags.contains(&Flag::AutoClosed);
        let incomplete = !missing.is_empty() && !closed;
        let status = status(
            case,
            shift,
            is_final,
            incomplete,
            measures.worked_s,
            findings,
        );

        #[expect(
            clippy::drain_collect,
            reason = "no room for more, and the buffer stays"
        )]
        let findings = findings.drain(..).collect();
        Record {
            employee: case.employee.clone(),
            date: case.date,
            shift: Some(shift.id.clone()),
            slot: case.slot,
            ordinal: 0,
            day_type: case.day_type,
            status,
            is_final,
            settles_at: (!is_final).then_some(case.settles),
            planned_start: fixed.map(|timing| timing.start),
            planned_end: fixed.map(|timing| timing.end),
            planned_s: case
                .timing
                .map_or(shift.required_s(), |timing| timing.planned_s),
            clock_in,
            clock_out,
            sessions,
            punch_count: u32::try_from(case.punches.len()).unwrap_or(u32::MAX),
            presence_s,
            break_punched_s: measures.break_punched_s,
            break_deducted_s: measures.break_deducted_s,
            worked_s: measures.worked_s,
            regular_s: measures.worked_s - measures.overtime_s,
            overtime_s: measures.overtime_s,
            late_s,
            early_leave_s,
            rest_s: None,
            missing,
            outliers,
            flags,
            findings,
        }
    }

    /// The record of a covered date without an instance (R55, R56).
    pub(crate) fn idle(
        &self,
        employee: &EmployeeId,
        date: NaiveDate,
        list: &[u32],
        holiday: bool,
    ) -> Record {
        let settles = self.as_of.map(|_| {
            let midnight = shift_date(date, 1).and_time(chrono::NaiveTime::MIN);
            self.plan.site().resolve(midnight).instant()
        });
        let settles_at = settles.filter(|&settles| self.as_of.is_some_and(|as_of| as_of < settles));
        // All of them are open templates, or there would be an instance.
        let shift = list
            .first()
            .map(|&template| &self.plan.template(template).shift);
        let day_type = day_type(holiday, Some(list), false);
        let status = match (day_type, settles_at) {
            (DayType::Holiday, _) => Status::Holiday,
            (DayType::WeeklyOff, _) => Status::WeeklyOff,
            (_, None) => Status::Absent,
            (_, Some(_)) => Status::Pending,
        };
        Record {
            employee: employee.clone(),
            date,
            shift: shift.map(|shift| shift.id.clone()),
            slot: Slot::Nth(0),
            ordinal: 0,
            day_type,
            status,
            is_final: settles_at.is_none(),
            settles_at,
            planned_start: None,
            planned_end: None,
            planned_s: shift.map_or(0, ShiftTemplate::required_s),
            clock_in: None,
            clock_out: None,
            sessions: Sessions::default(),
            punch_count: 0,
            presence_s: 0,
            break_punched_s: 0,
            break_deducted_s: 0,
            worked_s: 0,
            regular_s: 0,
            overtime_s: 0,
            late_s: 0,
            early_leave_s: 0,
            rest_s: None,
            missing: Set::EMPTY,
            outliers: Set::EMPTY,
            flags: Set::EMPTY,
            findings: settles_at
                .map(|settles_at| Explanation::NotFinal { settles_at })
                .into_iter()
                .collect(),
        }
    }
}

/// R41.
fn missing(case: &Case<'_>, pairs: &Pairs, is_final: bool) -> Set<Side> {
    let only_outliers = is_final && case.punches.is_empty() && case.too_early + case.too_late > 0;
    let lacks_in = only_outliers || pairs.lacks_in;
    let lacks_out = only_outliers || is_final && pairs.open.is_some();
    let sides = [(lacks_in, Side::In), (lacks_out, Side::Out)];
    sides
        .into_iter()
        .filter_map(|(lacks, side)| lacks.then_some(side))
        .collect()
}

/// R42: the shift's own times stand in for what is missing.
fn auto_close(
    sessions: &mut Vec<Span>,
    pairs: &Pairs,
    punches: &[Stamp],
    edges: Span,
) -> [Option<(Side, Instant)>; 2] {
    let mut closed = [None; 2];
    if let Some(first) = punches.first().filter(|_| pairs.lacks_in) {
        let from = edges.from.min(first.instant);
        sessions.insert(
            0,
            Span {
                from,
                to: first.instant,
            },
        );
        closed[0] = Some((Side::In, from));
    }
    if let Some(from) = pairs.open {
        let to = edges.to.max(from);
        sessions.push(Span { from, to });
        closed[1] = Some((Side::Out, to));
    }
    closed
}

/// R49: from what was really punched, the whole delay once it exceeds the grace.
fn lateness(
    case: &Case<'_>,
    shift: &ShiftTemplate,
    clock_in: Option<LocalTime>,
    clock_out: Option<LocalTime>,
    findings: &mut Vec<Explanation>,
) -> (i64, i64) {
    let Some((due_from, due_until)) = case.timing.and_then(|timing| timing.due) else {
        return (0, 0);
    };
    let grace = shift.grace;
    let late = clock_in.map(|clock_in| (clock_in, clock_in.instant().since(due_from.instant())));
    let late_s = late
        .filter(|&(_, late_s)| late_s > i64::from(grace.late_s))
        .map_or(0, |(clock_in, late_s)| {
            findings.push(Explanation::Late {
                clock_in,
                due: due_from,
                late_s,
                grace_s: grace.late_s,
            });
            late_s
        });
    let early =
        clock_out.map(|clock_out| (clock_out, due_until.instant().since(clock_out.instant())));
    let early_s = early
        .filter(|&(_, early_s)| early_s > i64::from(grace.early_s))
        .map_or(0, |(clock_out, early_s)| {
            findings.push(Explanation::LeftEarly {
                clock_out,
                due: due_until,
                early_s,
                grace_s: grace.early_s,
            });
            early_s
        });
    (late_s, early_s)
}

/// R56 and R57.
fn status(
    case: &Case<'_>,
    shift: &ShiftTemplate,
    is_final: bool,
    incomplete: bool,
    worked_s: i64,
    findings: &mut Vec<Explanation>,
) -> Status {
    let punched = !case.punches.is_empty();
    let nothing = !punched && case.too_early + case.too_late == 0;
    match case.day_type {
        DayType::Holiday if nothing => return Status::Holiday,
        _ if !is_final && punched => return Status::InProgress,
        _ if !is_final => return Status::Pending,
        _ if nothing => return Status::Absent,
        _ if incomplete => return Status::Incomplete,
        DayType::Holiday => return Status::HolidayWorked,
        DayType::WeeklyOff | DayType::Unscheduled => return Status::OffWorked,
        DayType::Workday => {}
    }
    let limits = [
        (shift.thresholds.absent_below_s, Status::Absent),
        (shift.thresholds.half_day_below_s, Status::HalfDay),
    ];
    for (limit_s, status) in limits {
        if worked_s < i64::from(limit_s) {
            findings.push(Explanation::TooShort {
                status,
                worked_s,
                limit_s,
            });
            return status;
        }
    }
    Status::Present
}

/// The outlier punches of a case, by side.
pub(crate) fn set_aside(case: &Case<'_>) -> impl Iterator<Item = (Beyond, u32)> {
    let sides = [
        (Beyond::InTooEarly, case.too_early),
        (Beyond::OutTooLate, case.too_late),
    ];
    sides.into_iter().filter(|&(_, count)| count > 0)
}
