//! What became of each punch: numbers while the work goes on, words at its end.

use chrono::NaiveDate;

use crate::intake::{Barred, Intake, Reading};
use crate::plan::Plan;
use crate::{
    Beyond, Disposition, DuplicateReason, Instant, LocalTime, OrphanReason, PunchId, PunchOutcome,
    Role, Rule,
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

impl Fate {
    /// The shift and work date that a punch belongs to.
    pub(crate) const fn place(self) -> Option<(u32, NaiveDate)> {
        match self {
            Self::Outlier { template, date, .. }
            | Self::OutOfRange { template, date }
            | Self::Used { template, date, .. } => Some((template, date)),
            Self::Barred | Self::LateLocked(_) | Self::Duplicate { .. } | Self::NoShift => None,
        }
    }

    /// In words; `kept` and `edge` look up what a fate only has the numbers of.
    pub(crate) fn disposition<Z>(
        self,
        plan: &Plan<Z>,
        kept: impl FnOnce(u32) -> (PunchId, Option<LocalTime>),
        edge: impl FnOnce(u32) -> LocalTime,
    ) -> Disposition {
        match self {
            Self::LateLocked(until) => Disposition::LateLocked { until },
            Self::Duplicate { of, reason } => {
                let (of, of_time) = kept(of);
                Disposition::Duplicate {
                    reason,
                    of,
                    // A kept punch is in a stream, so it has a time.
                    of_time: of_time.unwrap_or(LocalTime::new(Instant::MIN, 0)),
                    window_s: plan.config.dedup_window_s,
                }
            }
            Self::Outlier {
                reason, edge: at, ..
            } => Disposition::Outlier {
                reason,
                edge: edge(at),
            },
            // Every punch in a stream has a fate of its own.
            Self::Barred | Self::NoShift => Disposition::Orphan {
                reason: OrphanReason::NoShift,
            },
            Self::OutOfRange { .. } => Disposition::OutOfRange,
            Self::Used { role, rule, .. } => Disposition::Used { role, rule },
        }
    }
}

/// The outcome of each punch, by id.
pub(crate) fn tell<Z>(
    intake: &Intake<'_>,
    fates: &[Fate],
    edges: &[LocalTime],
    plan: &Plan<Z>,
) -> Vec<PunchOutcome> {
    let outcome = |(reading, fate): (&Reading<'_>, &Fate)| {
        let kept = |of: u32| {
            let kept = &intake.readings[of as usize];
            (kept.punch.id.clone(), kept.time)
        };
        let disposition = match reading.barred {
            Some(barred) => barred.disposition(),
            None => fate.disposition(plan, kept, |edge| edges[edge as usize]),
        };
        let place = fate.place();
        PunchOutcome {
            id: reading.punch.id.clone(),
            disposition,
            employee: reading
                .employee
                .map(|rank| intake.employees[rank as usize].clone()),
            date: place.map(|(_, date)| date),
            shift: place.map(|(template, _)| plan.template(template).shift.id.clone()),
            time: reading.time,
            notes: reading.notes.to_vec(),
        }
    };
    intake.readings.iter().zip(fates).map(outcome).collect()
}

impl Barred<'_> {
    pub(crate) fn disposition(self) -> Disposition {
        match self {
            Self::Voided(by) => Disposition::Voided { by: by.clone() },
            Self::Orphan(reason) => Disposition::Orphan { reason },
        }
    }
}
