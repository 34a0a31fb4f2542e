//! What a terminal tells, and what a human adds to it.

use chrono::NaiveDateTime;

use crate::{CorrectionId, DeviceId, EmployeeId, Instant, PunchId, UserId};

/// One attendance event of one user on one device, as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Punch {
    /// Unique. The same id again must carry the same content (R14).
    pub id: PunchId,
    /// Whom the device recognised.
    pub user: UserId,
    /// The device; [`DeviceId::MANUAL`] is known to every plan.
    pub device: DeviceId,
    /// When, by the device's clock.
    pub time: PunchTime,
    /// The device's punch state; `None` is unknown.
    pub state: Option<i64>,
    /// The device's own record number, growing in the order of recording. Settles doubled civil times (R3).
    pub seq: Option<i64>,
    /// Which occurrence of a doubled civil time it was, if the reader knows (R3).
    pub fold: Option<Occurrence>,
    /// When it reached the system. Only locks look at it (R35).
    pub received: Option<Instant>,
}

impl Punch {
    /// A punch without state, record number and the rest.
    ///
    /// ```
    /// use attendance_core::{Punch, PunchTime};
    /// use chrono::NaiveDate;
    ///
    /// let time = NaiveDate::from_ymd_opt(2025, 11, 11).unwrap().and_hms_opt(20, 15, 0).unwrap();
    /// let punch = Punch::new("p1", "29", "front door", time);
    /// assert_eq!(punch.time, PunchTime::Civil(time));
    /// ```
    pub fn new(
        id: impl Into<PunchId>,
        user: impl Into<UserId>,
        device: impl Into<DeviceId>,
        time: impl Into<PunchTime>,
    ) -> Self {
        Self {
            id: id.into(),
            user: user.into(),
            device: device.into(),
            time: time.into(),
            state: None,
            seq: None,
            fold: None,
            received: None,
        }
    }
}

/// The time of a punch. Fractions of a second are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PunchTime {
    /// Date and time of day in the device's zone (R2).
    Civil(NaiveDateTime),
    /// An instant: the source told the offset too (R4).
    Instant(Instant),
}

impl From<NaiveDateTime> for PunchTime {
    fn from(civil: NaiveDateTime) -> Self {
        Self::Civil(civil)
    }
}

impl From<Instant> for PunchTime {
    fn from(instant: Instant) -> Self {
        Self::Instant(instant)
    }
}

/// Which of the two occurrences of a civil time that clocks showed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occurrence {
    /// Before the clocks went back (`fold` 0).
    First,
    /// After the clocks went back (`fold` 1).
    Second,
}

/// What a punch claims to be (section C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Begin of work.
    In,
    /// End of work.
    Out,
    /// Begin of a break.
    BreakOut,
    /// End of a break.
    BreakIn,
    /// Begin of overtime.
    OtIn,
    /// End of overtime.
    OtOut,
    /// It claims nothing.
    #[default]
    Unknown,
}

impl Kind {
    /// Somebody arrives: `in`, `break_in`, `ot_in`.
    pub const fn is_in_like(self) -> bool {
        matches!(self, Self::In | Self::BreakIn | Self::OtIn)
    }

    /// Somebody leaves: `out`, `break_out`, `ot_out`.
    pub const fn is_out_like(self) -> bool {
        matches!(self, Self::Out | Self::BreakOut | Self::OtOut)
    }
}

/// What a human adds to the punches: append-only, like them (design, P11).
///
/// Corrections form a set by id; the order of the slice has no influence. What they refer to may be absent (another
/// period, a purged log): such a correction changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Unique among corrections.
    pub id: CorrectionId,
    /// What is to change.
    pub change: Change,
    /// Who made it.
    pub by: String,
    /// When. Of two corrections of the same thing the later one holds (then the larger id).
    pub at: Instant,
    /// Why.
    pub reason: String,
}

/// What a [`Correction`] changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A punch that no device has seen. It becomes a punch on [`DeviceId::MANUAL`] whose id is the correction's id and
    /// which was received when the correction was made, so locks hold for it (R35).
    AddPunch {
        /// The employee, not a device user.
        employee: EmployeeId,
        /// When; civil time is read in the site's zone.
        time: PunchTime,
        /// The punch state, read through `state_map`.
        state: Option<i64>,
    },
    /// A punch that shall not count. It keeps a disposition, `voided`.
    VoidPunch {
        /// The punch.
        target: PunchId,
    },
    /// Another kind than the device told. Refused unless the strategy is `state` or `direction`.
    SetKind {
        /// The punch.
        target: PunchId,
        /// What it really was.
        kind: Kind,
    },
    /// An earlier correction shall not hold. An undo can be undone.
    Undo {
        /// The correction.
        target: CorrectionId,
    },
}
