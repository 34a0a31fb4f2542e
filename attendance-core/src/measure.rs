//! From sessions to the seconds that count (section H).

use crate::breaks::{self, Span};
use crate::pair::Pairs;
use crate::schedule::Timing;
use crate::{Instant, Overtime, OvertimeMode, Round, ShiftTemplate, Zone};

/// What a record's sessions amount to.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_field_names, reason = "the unit, as everywhere")]
pub(crate) struct Measures {
    pub(crate) break_punched_s: i64,
    pub(crate) break_deducted_s: i64,
    pub(crate) worked_s: i64,
    pub(crate) overtime_s: i64,
}

/// R43–R48 and R51, R52. `sessions` includes the auto-closed ones and is rounded and clipped in place.
pub(crate) fn measure<Z: Zone>(
    sessions: &mut [Span],
    pairs: &Pairs,
    shift: &ShiftTemplate,
    timing: Option<&Timing>,
    zone: &Z,
    workday: bool,
) -> Measures {
    let break_punched_s = sessions
        .windows(2)
        .map(|pair| pair[1].from.since(pair[0].to))
        .sum();
    round_edges(sessions, pairs, shift, zone);
    let fixed = timing.filter(|_| shift.is_fixed());
    if let Some(timing) = fixed {
        clip(sessions, shift, timing);
    }
    let windows = timing.map_or(&[][..], |timing| &timing.windows);
    let net = breaks::net(&shift.breaks, windows, sessions);
    let worked_s = shift
        .rounding
        .worked
        .map_or(net.net_s, |round| round.apply(net.net_s));
    let overtime_s = if workday {
        overtime(sessions, shift, timing, worked_s)
    } else if shift.overtime.mode == OvertimeMode::None {
        0
    } else {
        worked_s
    };
    Measures {
        break_punched_s,
        break_deducted_s: net.deducted_s,
        worked_s,
        overtime_s,
    }
}

/// R44: only what the clock-in and the clock-out bound; inner punches stay as they are.
fn round_edges<Z: Zone>(sessions: &mut [Span], pairs: &Pairs, shift: &ShiftTemplate, zone: &Z) {
    let local = |instant: Instant, round: Round| {
        let offset = i64::from(zone.offset_at(instant));
        Instant::from_unix(round.apply(instant.unix() + offset) - offset)
    };
    if let (Some(first), Some(round)) = (sessions.first_mut(), shift.rounding.clock_in)
        && pairs.clock_in() == Some(first.from)
    {
        first.from = local(first.from, round).min(first.to);
    }
    if let (Some(last), Some(round)) = (sessions.last_mut(), shift.rounding.clock_out)
        && pairs.clock_out() == Some(last.to)
    {
        last.to = local(last.to, round).max(last.from);
    }
}

/// R45.
fn clip(sessions: &mut [Span], shift: &ShiftTemplate, timing: &Timing) {
    let (start, end) = (timing.start.instant(), timing.end.instant());
    for session in sessions {
        if shift.clip.before_start {
            session.from = session.from.max(start);
            session.to = session.to.max(start);
        }
        if shift.clip.after_end {
            session.from = session.from.min(end);
            session.to = session.to.min(end);
        }
    }
}

/// R51.
fn overtime(
    sessions: &[Span],
    shift: &ShiftTemplate,
    timing: Option<&Timing>,
    worked_s: i64,
) -> i64 {
    let Overtime {
        mode,
        threshold_s,
        min_s,
        before,
        after,
    } = shift.overtime;
    let planned_s = timing.map_or(shift.required_s(), |timing| timing.planned_s);
    let overtime_s = match (mode, timing) {
        (OvertimeMode::Threshold, _) => worked_s - threshold_s.map_or(planned_s, i64::from),
        (OvertimeMode::Outside, Some(timing)) if shift.is_fixed() => {
            let (start, end) = (timing.start.instant(), timing.end.instant());
            let ahead = |session: &Span| session.to.min(start).since(session.from).max(0);
            let behind = |session: &Span| session.to.since(session.from.max(end)).max(0);
            let ahead: i64 = if before {
                sessions.iter().map(ahead).sum()
            } else {
                0
            };
            let behind: i64 = if after {
                sessions.iter().map(behind).sum()
            } else {
                0
            };
            (ahead + behind).min(worked_s)
        }
        (OvertimeMode::None | OvertimeMode::Outside, _) => 0,
    };
    if overtime_s < i64::from(min_s) {
        0
    } else {
        overtime_s.max(0)
    }
}
