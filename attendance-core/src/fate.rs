//! What became of each punch: numbers while the work goes on, words when somebody asks.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use chrono::NaiveDate;

use crate::intake::Reading;
use crate::order;
use crate::rank::NONE;
use crate::{
    Beyond, CorrectionId, Disposition, DuplicateReason, EmployeeId, Instant, Kept, LocalTime,
    OrphanReason, PunchId, PunchOutcome, Role, Rule, ShiftId,
};

/// What became of a punch, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in no stream.
    Aside(Aside),
    /// That of every punch in a stream, until it is found out.
    NoShift,
    LateLocked(NaiveDate),
    Duplicate {
        of: u32,
        reason: DuplicateReason,
    },
    /// The edge is kept apart, so that a fate stays small.
    Outlier {
        template: u32,
        date: NaiveDate,
        reason: Beyond,
    },
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

/// What keeps a punch out of every stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    UnknownDevice,
    UnknownEmployee,
    ImplausibleTime,
    /// The corrections say by which one.
    Voided,
    /// The same id was delivered before, so it is told already (R14).
    Repeated,
}

impl Fate {
    /// The shift and work date that a punch belongs to.
    pub(crate) const fn place(self) -> Option<(u32, NaiveDate)> {
        match self {
            Self::Outlier { template, date, .. }
            | Self::OutOfRange { template, date }
            | Self::Used { template, date, .. } => Some((template, date)),
            Self::Aside(_) | Self::NoShift | Self::LateLocked(_) | Self::Duplicate { .. } => None,
        }
    }

    /// In words; the functions look up what a fate has only the numbers of.
    pub(crate) fn disposition(
        self,
        kept: impl FnOnce(u32) -> Kept,
        edge: impl FnOnce() -> Option<LocalTime>,
        voided: impl FnOnce() -> Option<CorrectionId>,
    ) -> Disposition {
        let orphan = |reason| Disposition::Orphan { reason };
        match self {
            Self::Aside(Aside::UnknownDevice) => orphan(OrphanReason::UnknownDevice),
            Self::Aside(Aside::UnknownEmployee) => orphan(OrphanReason::UnknownEmployee),
            Self::Aside(Aside::ImplausibleTime) => orphan(OrphanReason::ImplausibleTime),
            // It is in nobody's stream because a correction says so.
            Self::Aside(Aside::Voided) => voided().map_or(orphan(OrphanReason::NoShift), |by| {
                Disposition::Voided { by }
            }),
            // Only the first one of an id is told.
            Self::Aside(Aside::Repeated) | Self::NoShift => orphan(OrphanReason::NoShift),
            Self::LateLocked(until) => Disposition::LateLocked { until },
            Self::Duplicate { of, reason } => Disposition::Duplicate {
                reason,
                of: kept(of),
            },
            Self::Outlier { reason, .. } => Disposition::Outlier {
                reason,
                edge: edge().unwrap_or(NEVER),
            },
            Self::OutOfRange { .. } => Disposition::OutOfRange,
            Self::Used { role, rule, .. } => Disposition::Used { role, rule },
        }
    }
}

/// Stands where a time is known to be.
const NEVER: LocalTime = LocalTime::new(Instant::MIN, 0);

impl Kept {
    /// A kept punch is in a stream, so it has a time.
    pub(crate) fn new(id: &PunchId, time: Option<LocalTime>, window_s: u32) -> Self {
        Self {
            id: id.clone(),
            time: time.unwrap_or(NEVER),
            window_s,
        }
    }
}

/// What became of all punches, by id. It reads like a list of [`PunchOutcome`]s.
///
/// Millions of them take half the room of such a list: each is put into words when it is asked for. The first
/// question puts them in order.
#[derive(Clone)]
pub struct PunchOutcomes {
    pub(crate) ids: Vec<PunchId>,
    pub(crate) readings: Vec<Reading>,
    /// Of those in streams, stream after stream.
    pub(crate) fates: Vec<Fate>,
    /// Whose fates they are.
    pub(crate) sources: Vec<u32>,
    /// How many repeat the id of another one, and are not told.
    pub(crate) repeated: usize,
    /// What is found when somebody asks.
    pub(crate) order: OnceLock<Order>,
    /// What the numbers stand for.
    pub(crate) employees: Vec<EmployeeId>,
    pub(crate) shifts: Vec<ShiftId>,
    pub(crate) voided: HashMap<PunchId, CorrectionId>,
    pub(crate) window_s: u32,
    /// The window edges that outliers lie beyond, by the place of the fate.
    pub(crate) edges: Vec<(u32, LocalTime)>,
}

/// Where to find the outcomes of punches.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Their places by id; `None` if they are in this order.
    by_id: Option<Vec<u32>>,
    /// The places of their fates.
    fates: Vec<u32>,
}

impl PunchOutcomes {
    /// How many punches there are.
    pub fn len(&self) -> usize {
        self.ids.len() - self.repeated
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at a position in the order of ids.
    pub fn get(&self, position: usize) -> Option<PunchOutcome> {
        (position < self.len()).then(|| self.tell(self.place(position)))
    }

    /// The one of a punch.
    pub fn find(&self, id: &str) -> Option<PunchOutcome> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.ids[self.place(middle)].as_str() < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.get(low).filter(|punch| punch.id.as_str() == id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> PunchOutcomesIter<'_> {
        PunchOutcomesIter {
            outcomes: self,
            left: 0..self.len(),
        }
    }

    fn place(&self, position: usize) -> usize {
        match &self.order().by_id {
            Some(by_id) => by_id[position] as usize,
            None => position,
        }
    }

    fn order(&self) -> &Order {
        self.order.get_or_init(|| {
            let mut fates = vec![NONE; self.ids.len()];
            for (place, &at) in (0..).zip(&self.sources) {
                fates[at as usize] = place;
            }
            Order {
                by_id: self.by_id(),
                fates,
            }
        })
    }

    fn by_id(&self) -> Option<Vec<u32>> {
        if self.ids.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let told = (0..).zip(self.ids.iter().zip(&self.readings));
        let told = told.filter(|(_, (_, reading))| reading.aside != Some(Aside::Repeated));
        let mut keys: Vec<u128> = told.map(|(at, (id, _))| order::key(id, at)).collect();
        order::sort(&mut keys, &|at| &self.ids[at as usize]);
        Some(keys.into_iter().map(order::place).collect())
    }

    fn tell(&self, at: usize) -> PunchOutcome {
        let (id, reading) = (&self.ids[at], self.readings[at]);
        let place = self.order().fates[at];
        let fate = match reading.aside {
            Some(aside) => Fate::Aside(aside),
            None => self.fates[place as usize],
        };
        let kept = |of: u32| {
            let of = self.sources[of as usize] as usize;
            Kept::new(&self.ids[of], self.readings[of].time, self.window_s)
        };
        let edge = || {
            let found = self.edges.binary_search_by_key(&place, |&(place, _)| place);
            Some(self.edges[found.ok()?].1)
        };
        let voided = || self.voided.get(id).cloned();
        let place = fate.place();
        PunchOutcome {
            id: id.clone(),
            disposition: fate.disposition(kept, edge, voided),
            employee: self.employees.get(reading.employee as usize).cloned(),
            date: place.map(|(_, date)| date),
            shift: place.map(|(template, _)| self.shifts[template as usize].clone()),
            time: reading.time,
            notes: reading.notes,
        }
    }
}

impl PartialEq for PunchOutcomes {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl Eq for PunchOutcomes {}

impl fmt::Debug for PunchOutcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a PunchOutcomes {
    type Item = PunchOutcome;
    type IntoIter = PunchOutcomesIter<'a>;

    fn into_iter(self) -> PunchOutcomesIter<'a> {
        self.iter()
    }
}

/// Goes through [`PunchOutcomes`], by id.
#[derive(Debug, Clone)]
pub struct PunchOutcomesIter<'a> {
    outcomes: &'a PunchOutcomes,
    left: Range<usize>,
}

impl Iterator for PunchOutcomesIter<'_> {
    type Item = PunchOutcome;

    fn next(&mut self) -> Option<PunchOutcome> {
        self.left.next().and_then(|next| self.outcomes.get(next))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl DoubleEndedIterator for PunchOutcomesIter<'_> {
    fn next_back(&mut self) -> Option<PunchOutcome> {
        self.left
            .next_back()
            .and_then(|next| self.outcomes.get(next))
    }
}

impl ExactSizeIterator for PunchOutcomesIter<'_> {}

#[cfg(feature = "serde")]
impl serde::Serialize for PunchOutcomes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}
