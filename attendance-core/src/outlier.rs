//! What is out of the ordinary about a record (R53, R54): data here, prose in [`Explanation`](crate::Explanation).

use crate::judge::{self, Case};
use crate::outcome::words;
use crate::schedule::Timing;
use crate::set::member;
use crate::{Beyond, Explanation, LocalTime, Set, ShiftTemplate, Tolerance};

words! {
    /// Why a record is an outlier.
    OutlierReason {
        /// The in was too long before the start (R30, R53).
        InTooEarly = "in_too_early",
        /// The in was too long after the start (R53).
        InTooLate = "in_too_late",
        /// The out was too long before the end (R53).
        OutTooEarly = "out_too_early",
        /// The out was too long after the end (R30, R53).
        OutTooLate = "out_too_late",
        /// The in was at an unusual time for this person (R54).
        InUnusual = "in_unusual",
        /// The out was at an unusual time for this person (R54).
        OutUnusual = "out_unusual",
    }
}

member! {
    OutlierReason: InTooEarly, InTooLate, OutTooEarly, OutTooLate, InUnusual, OutUnusual
}

/// The absolute codes of a record (R53), in order.
pub(crate) fn of(
    case: &Case<'_>,
    shift: &ShiftTemplate,
    fixed: Option<&Timing>,
    clock_in: Option<LocalTime>,
    clock_out: Option<LocalTime>,
    findings: &mut Vec<Explanation>,
) -> Set<OutlierReason> {
    let mut outliers = Set::EMPTY;
    if let Some(timing) = fixed {
        let Tolerance {
            early_in_s,
            late_in_s,
            early_out_s,
            late_out_s,
            ..
        } = shift.tolerance;
        let mut check = |time: Option<LocalTime>, edge: LocalTime, before, after| {
            let Some(time) = time else { return };
            let beyond_s = time.instant().since(edge.instant());
            let (limit_s, reason) = if beyond_s < 0 { before } else { after };
            if beyond_s.abs() > i64::from(limit_s) {
                outliers.insert(reason);
                findings.push(Explanation::Outlier {
                    reason,
                    time,
                    edge,
                    distance_s: beyond_s.abs(),
                    limit_s,
                });
            }
        };
        check(
            clock_in,
            timing.start,
            (early_in_s, OutlierReason::InTooEarly),
            (late_in_s, OutlierReason::InTooLate),
        );
        check(
            clock_out,
            timing.end,
            (early_out_s, OutlierReason::OutTooEarly),
            (late_out_s, OutlierReason::OutTooLate),
        );
    }
    for (reason, count) in judge::set_aside(case) {
        outliers.insert(match reason {
            Beyond::InTooEarly => OutlierReason::InTooEarly,
            Beyond::OutTooLate => OutlierReason::OutTooLate,
        });
        findings.push(Explanation::SetAside { reason, count });
    }
    outliers
}
