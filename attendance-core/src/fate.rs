//! What became of each punch: numbers while the work goes on, words at its end.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::correct::Corrected;
use crate::intake::{Barred, Intake};
use crate::plan::Plan;
use crate::{
    Beyond, Disposition, DuplicateReason, Instant, Kept, LocalTime, OrphanReason, PunchId,
    PunchOutcome, Role, Rule,
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
    pub(crate) fn disposition(
        self,
        kept: impl FnOnce(u32) -> Arc<Kept>,
        edge: impl FnOnce(u32) -> LocalTime,
    ) -> Disposition {
        match self {
            Self::LateLocked(until) => Disposition::LateLocked { until },
            Self::Duplicate { of, reason } => Disposition::Duplicate {
                reason,
                of: kept(of),
            },
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

impl Kept {
    /// A kept punch is in a stream, so it has a time.
    pub(crate) fn new(id: &PunchId, time: Option<LocalTime>, window_s: u32) -> Arc<Self> {
        Arc::new(Self {
            id: id.clone(),
            time: time.unwrap_or(LocalTime::new(Instant::MIN, 0)),
            window_s,
        })
    }
}

/// The outcome of each punch, by id.
pub(crate) fn tell<Z>(
    intake: &Intake<'_>,
    fates: &[Fate],
    edges: &[LocalTime],
    plan: &Plan<Z>,
) -> Vec<PunchOutcome> {
    // Duplicates of one punch often come together, and share what is said of it.
    let mut last: Option<(u32, Arc<Kept>)> = None;
    let mut kept = |of: u32| match &last {
        Some((at, kept)) if *at == of => Arc::clone(kept),
        _ => {
            let reading = &intake.readings[of as usize];
            let window_s = plan.config.dedup_window_s;
            let kept = Kept::new(&reading.punch.id, reading.time, window_s);
            last = Some((of, Arc::clone(&kept)));
            kept
        }
    };
    let outcome = |at: usize| {
        let (reading, fate) = (&intake.readings[at], fates[at]);
        let disposition = match reading.barred {
            Some(barred) => barred.disposition(intake.corrected, &reading.punch.id),
            None => fate.disposition(&mut kept, |edge| edges[edge as usize]),
        };
        let place = fate.place();
        PunchOutcome {
            id: reading.punch.id.clone(),
            disposition,
            employee: intake.employees.get(reading.employee as usize).cloned(),
            date: place.map(|(_, date)| date),
            shift: place.map(|(template, _)| plan.template(template).shift.id.clone()),
            time: reading.time,
            notes: reading.notes.to_set(),
        }
    };
    match &intake.by_id {
        None => (0..fates.len()).map(outcome).collect(),
        Some(by_id) => by_id.iter().map(|&at| at as usize).map(outcome).collect(),
    }
}

impl Barred {
    pub(crate) fn disposition(self, corrected: &Corrected, id: &PunchId) -> Disposition {
        match (self, corrected.voided(id)) {
            (Self::Voided, Some(by)) => Disposition::Voided { by: by.clone() },
            (Self::Orphan(reason), _) => Disposition::Orphan { reason },
            // It is in nobody's stream because a correction says so.
            (Self::Voided, None) => Disposition::Orphan {
                reason: OrphanReason::NoShift,
            },
        }
    }
}
