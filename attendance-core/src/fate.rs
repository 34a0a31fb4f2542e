//! What became of each punch: numbers while the work goes on, words at its end.

use chrono::NaiveDate;

use crate::intake::{Barred, Intake, Reading};
use crate::plan::Plan;
use crate::{
    Beyond, Disposition, DuplicateReason, Instant, LocalTime, OrphanReason, PunchOutcome, Role,
    Rule,
};

/// What became of a punch, as long as there are only numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// The reading says why.
    Barred,
    LateLocked(NaiveDate),
    Duplicate {
        of: u32,
        reason: DuplicateReason,
    },
    Outlier {
        template: u32,
        date: NaiveDate,
        reason: Beyond,
        /// Place among the edges kept apart, so that a fate stays small.
        edge: u32,
    },
    NoShift,
    OutOfRange {
        template: u32,
        date: NaiveDate,
    },
    Used {
        template: u32,
        date: NaiveDate,
        role: Role,
        rule: Rule,
    },
}

/// The outcome of each punch, by id.
pub(crate) fn tell<Z>(
    intake: &Intake<'_>,
    fates: &[Fate],
    edges: &[LocalTime],
    plan: &Plan<Z>,
) -> Vec<PunchOutcome> {
    let shift = |template: u32| plan.template(template).shift.id.clone();
    let outcome = |(reading, fate): (&Reading<'_>, &Fate)| {
        let (disposition, place) = match *fate {
            Fate::Barred => (barred(reading.barred), None),
            Fate::LateLocked(until) => (Disposition::LateLocked { until }, None),
            Fate::Duplicate { of, reason } => {
                let kept = &intake.readings[of as usize];
                // A kept punch is in a stream, so it has a time.
                let of_time = kept.time.unwrap_or(LocalTime::new(Instant::MIN, 0));
                let window_s = plan.config.dedup_window_s;
                (
                    Disposition::Duplicate {
                        reason,
                        of: kept.punch.id.clone(),
                        of_time,
                        window_s,
                    },
                    None,
                )
            }
            Fate::Outlier {
                template,
                date,
                reason,
                edge,
            } => (
                Disposition::Outlier {
                    reason,
                    edge: edges[edge as usize],
                },
                Some((template, date)),
            ),
            Fate::NoShift => (
                Disposition::Orphan {
                    reason: OrphanReason::NoShift,
                },
                None,
            ),
            Fate::OutOfRange { template, date } => {
                (Disposition::OutOfRange, Some((template, date)))
            }
            Fate::Used {
                template,
                date,
                role,
                rule,
            } => (Disposition::Used { role, rule }, Some((template, date))),
        };
        PunchOutcome {
            id: reading.punch.id.clone(),
            disposition,
            employee: reading
                .employee
                .map(|rank| intake.employees[rank as usize].clone()),
            date: place.map(|(_, date)| date),
            shift: place.map(|(template, _)| shift(template)),
            time: reading.time,
            notes: reading.notes.to_vec(),
        }
    };
    intake.readings.iter().zip(fates).map(outcome).collect()
}

fn barred(barred: Option<Barred<'_>>) -> Disposition {
    match barred {
        Some(Barred::Voided(by)) => Disposition::Voided { by: by.clone() },
        Some(Barred::Orphan(reason)) => Disposition::Orphan { reason },
        // Every punch in a stream got a fate of its own.
        None => Disposition::Orphan {
            reason: OrphanReason::NoShift,
        },
    }
}
