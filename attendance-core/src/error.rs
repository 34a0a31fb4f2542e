//! What can be wrong with a configuration or an input (R26, R64).

use chrono::NaiveDate;

use crate::{CorrectionId, EmployeeId, PunchId, ShiftId};

/// Why there is no plan, or no outcome.
///
/// An error concerns the whole call: there is never a partial outcome beside it (R64). Odd punches are not errors;
/// they get a [disposition](crate::Disposition).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A template id that no template has (R26).
    #[error("{path} names the shift {shift}, which does not exist")]
    UnknownShift {
        /// The id that was not found.
        shift: ShiftId,
        /// Where it is named, as in `roster[2].assignments[0].pattern[4]`.
        path: String,
    },
    /// Two fixed shifts of one person overlap (R26); ending exactly when the next begins is allowed.
    #[error("{employee}: {first} on {first_date} ends after {second} on {second_date} has begun")]
    OverlappingShifts {
        /// Whose shifts they are.
        employee: EmployeeId,
        /// The template that starts first.
        first: ShiftId,
        /// Its work date.
        first_date: NaiveDate,
        /// The template that starts before the first one has ended.
        second: ShiftId,
        /// Its work date.
        second_date: NaiveDate,
    },
    /// A zone that the lookup does not know (R26).
    #[error("{path}: there is no time zone named {name:?}")]
    InvalidTimezone {
        /// The name that was not found.
        name: String,
        /// Where it is given, as in `devices[1].tz`.
        path: String,
    },
    /// The limit for absence lies above the limit for half a day (R26).
    #[error(
        "shift {shift}: absent below {absent_below_s} s would leave no room for half a day below {half_day_below_s} s"
    )]
    InvalidThresholds {
        /// The template.
        shift: ShiftId,
        /// Its limit for absence, in seconds.
        absent_below_s: u32,
        /// Its limit for half a day, in seconds.
        half_day_below_s: u32,
    },
    /// A tolerance and the reach beyond it exceed 24 hours together (R26).
    #[error("shift {shift}: tolerance and reach are {total_s} s together, more than 24 hours")]
    InvalidTolerance {
        /// The template.
        shift: ShiftId,
        /// The larger sum, in seconds.
        total_s: u64,
    },
    /// One punch id with two different contents (R14).
    #[error("punch {id} was given twice with different contents")]
    ConflictingPunchId {
        /// The id.
        id: PunchId,
    },
    /// One correction id with two different contents.
    #[error("correction {id} was given twice with different contents")]
    ConflictingCorrectionId {
        /// The id.
        id: CorrectionId,
    },
    /// A correction sets a kind, but the strategy reads no kinds (R13).
    #[error(
        "correction {id} sets the kind of a punch, which only the strategies state and direction look at"
    )]
    SetKindRefused {
        /// The correction.
        id: CorrectionId,
    },
    /// A part of the configuration that makes no sense.
    #[error("{path}: {problem}")]
    InvalidConfig {
        /// Which part, as in `shifts[3].rounding.in.step_s`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A punch whose time lies outside the years 0 to 9999.
    #[error("punch {id} has a time outside the years 0 to 9999")]
    InvalidPunch {
        /// The punch.
        id: PunchId,
    },
    /// The asked dates end before they begin, or lie outside the years 1 to 9999.
    #[error("there are no days from {from} to {to}")]
    InvalidRange {
        /// First date asked for.
        from: NaiveDate,
        /// Last date asked for.
        to: NaiveDate,
    },
}

impl Error {
    /// A short name that never changes, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownShift { .. } => "unknown_shift",
            Self::OverlappingShifts { .. } => "overlapping_shifts",
            Self::InvalidTimezone { .. } => "invalid_timezone",
            Self::InvalidThresholds { .. } => "invalid_thresholds",
            Self::InvalidTolerance { .. } => "invalid_tolerance",
            Self::ConflictingPunchId { .. } => "conflicting_punch_id",
            Self::ConflictingCorrectionId { .. } => "conflicting_correction_id",
            Self::SetKindRefused { .. } => "set_kind_refused",
            Self::InvalidConfig { .. } => "invalid_config",
            Self::InvalidPunch { .. } => "invalid_punch",
            Self::InvalidRange { .. } => "invalid_range",
        }
    }

    /// The same overlap of shifts, of another person.
    pub(crate) fn of(&self, person: EmployeeId) -> Self {
        let mut error = self.clone();
        if let Self::OverlappingShifts { employee, .. } = &mut error {
            *employee = person;
        }
        error
    }

    pub(crate) fn config(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::InvalidConfig {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
