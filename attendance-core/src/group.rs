//! From kept punches to shifts (section F).

use std::ops::Range;

use chrono::NaiveDate;

use crate::intake::Stamp;
use crate::plan::{Plan, Roster};
use crate::schedule::Instance;
use crate::{Beyond, Form, Instant, Zone};

/// The punches of one employee, grouped.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Punches that belong to a shift, in order.
    pub(crate) assigned: Vec<Stamp>,
    /// Of each planned instance, its part of `assigned` and its outliers.
    pub(crate) planned: Vec<Share>,
    /// Shifts made from the punches.
    pub(crate) open: Vec<OpenShift>,
    /// Punches set aside (R30), each with the index of its instance.
    pub(crate) outliers: Vec<(Stamp, usize, Beyond)>,
    /// Punches that belong to nothing (R33).
    pub(crate) orphans: Vec<Stamp>,
}

/// What a planned instance got.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    pub(crate) punches: Range<usize>,
    pub(crate) too_early: u32,
    pub(crate) too_late: u32,
    inside: bool,
}

/// An instance made from the punches (R32).
#[derive(Debug, Clone)]
pub(crate) struct OpenShift {
    pub(crate) template: u32,
    pub(crate) date: NaiveDate,
    /// It comes from `unscheduled_shift` (R31).
    pub(crate) unscheduled: bool,
    pub(crate) punches: Range<usize>,
    inside: bool,
    pub(crate) first: Instant,
    last: Instant,
}

impl Groups {
    fn clear(&mut self, instances: usize) {
        self.assigned.clear();
        self.planned.clear();
        self.planned.resize(instances, Share::default());
        self.open.clear();
        self.outliers.clear();
        self.orphans.clear();
    }

    /// Assigns the kept punches of an employee, in canonical order.
    pub(crate) fn assign<Z: Zone>(
        &mut self,
        kept: &[Stamp],
        instances: &[Instance],
        plan: &Plan<Z>,
        roster: Option<&Roster>,
    ) {
        self.clear(instances.len());
        let mut accepting = 0;
        let mut reaching = 0;
        let mut current = false;
        for &stamp in kept {
            let instant = stamp.instant;
            // Window ends never decrease (R24), so what is behind stays behind.
            while instances
                .get(accepting)
                .is_some_and(|instance| instance.accept.to < instant)
            {
                accepting += 1;
            }
            while instances
                .get(reaching)
                .is_some_and(|instance| instance.reach.to < instant)
            {
                reaching += 1;
            }
            if instances
                .get(accepting)
                .is_some_and(|instance| instance.accept.contains(instant))
            {
                accepting = self.settle(stamp, accepting, instances, plan);
                self.take(stamp, accepting);
                current = false;
            } else if let Some((index, reason)) = nearest(instances, reaching, instant) {
                let share = &mut self.planned[index];
                match reason {
                    Beyond::InTooEarly => share.too_early += 1,
                    Beyond::OutTooLate => share.too_late += 1,
                }
                self.outliers.push((stamp, index, reason));
            } else if let Some((template, date, unscheduled)) = open_template(instant, plan, roster)
            {
                if !(current && self.continues(stamp, plan)) {
                    let at = self.assigned.len();
                    self.open.push(OpenShift {
                        template,
                        date,
                        unscheduled,
                        punches: at..at,
                        inside: false,
                        first: instant,
                        last: instant,
                    });
                    current = true;
                }
                self.join(stamp);
            } else {
                self.orphans.push(stamp);
                current = false;
            }
        }
    }

    /// R28: from the first candidate on to the one that the punch stays with.
    fn settle<Z: Zone>(
        &self,
        stamp: Stamp,
        first: usize,
        instances: &[Instance],
        plan: &Plan<Z>,
    ) -> usize {
        let mut at = first;
        while let Some(next) = instances
            .get(at + 1)
            .filter(|next| next.accept.contains(stamp.instant))
        {
            let handover_s = plan
                .template(instances[at].template)
                .shift
                .tolerance
                .handover_s;
            if self.stays(stamp, at, &instances[at], next, i64::from(handover_s)) {
                break;
            }
            at += 1;
        }
        at
    }

    /// R29.
    fn stays(
        &self,
        stamp: Stamp,
        at: usize,
        here: &Instance,
        next: &Instance,
        handover_s: i64,
    ) -> bool {
        let share = &self.planned[at];
        let (instant, kind) = (stamp.instant, stamp.kind);
        let apart = |edge: Instant| instant.since(edge).abs();
        if instant < here.end {
            if kind.is_out_like() {
                return true;
            }
            let Some(last) = self.assigned[share.punches.clone()].last() else {
                return apart(next.start) >= apart(here.start);
            };
            if kind.is_in_like() {
                here.end.since(instant) > handover_s
            } else {
                share.inside || here.end.since(last.instant) > handover_s
            }
        } else if kind.is_in_like() {
            false
        } else if kind.is_out_like() {
            share.inside || apart(here.end) <= apart(next.end)
        } else {
            share.inside
        }
    }

    fn take(&mut self, stamp: Stamp, index: usize) {
        let at = self.assigned.len();
        self.assigned.push(stamp);
        let share = &mut self.planned[index];
        if share.punches.is_empty() {
            share.punches = at..at;
        }
        share.punches.end = at + 1;
        share.inside = inside_after(stamp, share.inside);
    }

    /// R32: whether a punch continues the current open instance.
    fn continues<Z: Zone>(&self, stamp: Stamp, plan: &Plan<Z>) -> bool {
        let Some(open) = self.open.last() else {
            return false;
        };
        let Form::Open {
            min_rest_s,
            max_session_s,
            max_span_s,
            ..
        } = plan.template(open.template).shift.form
        else {
            return false;
        };
        let since_last = stamp.instant.since(open.last);
        if open.inside && !stamp.kind.is_in_like() {
            since_last <= i64::from(max_session_s)
        } else {
            since_last < i64::from(min_rest_s)
                && stamp.instant.since(open.first) <= i64::from(max_span_s)
        }
    }

    fn join(&mut self, stamp: Stamp) {
        self.assigned.push(stamp);
        let end = self.assigned.len();
        if let Some(open) = self.open.last_mut() {
            open.punches.end = end;
            open.last = stamp.instant;
            open.inside = inside_after(stamp, open.inside);
        }
    }
}

fn inside_after(stamp: Stamp, inside: bool) -> bool {
    stamp.kind.is_in_like() || !stamp.kind.is_out_like() && !inside
}

/// R30: of the instances whose reach contains a punch, the one whose accept window is nearest.
///
/// Windows never overtake each other, so only the last ones behind and the first one ahead can be.
fn nearest(instances: &[Instance], reaching: usize, instant: Instant) -> Option<(usize, Beyond)> {
    let ahead = instances
        .partition_point(|instance| instance.accept.from <= instant)
        .max(reaching);
    let ahead = instances
        .get(ahead)
        .filter(|next| next.reach.contains(instant))
        .map(|_| ahead);
    let behind = instances.partition_point(|instance| instance.accept.to < instant);
    let behind = behind.checked_sub(1).and_then(|last| {
        // Of equally near ones the earliest that still reaches the punch.
        let edge = instances[last].accept.to;
        let first = instances
            .partition_point(|instance| instance.accept.to < edge)
            .max(reaching);
        (first <= last && instances[first].reach.contains(instant)).then_some(first)
    });
    let distance = |index: usize| {
        let accept = instances[index].accept;
        accept
            .from
            .since(instant)
            .abs()
            .min(instant.since(accept.to).abs())
    };
    let index = match (behind, ahead) {
        (Some(behind), Some(ahead)) if distance(ahead) < distance(behind) => ahead,
        (Some(behind), _) => behind,
        (None, Some(ahead)) => ahead,
        (None, None) => return None,
    };
    let reason = if instant < instances[index].accept.from {
        Beyond::InTooEarly
    } else {
        Beyond::OutTooLate
    };
    Some((index, reason))
}

/// R31: the template for a punch that no planned shift reaches.
fn open_template<Z: Zone>(
    instant: Instant,
    plan: &Plan<Z>,
    roster: Option<&Roster>,
) -> Option<(u32, NaiveDate, bool)> {
    let date = instant.civil(plan.site().offset_at(instant)).date();
    let list = plan.list(roster, date).unwrap_or_default();
    let planned = list
        .iter()
        .copied()
        .find(|&template| plan.template(template).shift.is_open());
    match planned {
        Some(template) => Some((template, date, false)),
        None => plan.unscheduled.map(|template| (template, date, true)),
    }
}
