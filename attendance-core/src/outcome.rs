//! What comes out (rules, section 5).

use std::fmt;

use chrono::NaiveDate;

use crate::set::member;
use crate::{
    CorrectionId, EmployeeId, Explanation, Instant, LocalTime, OutlierReason, PunchId,
    PunchOutcomes, Sessions, Set, ShiftId,
};

/// Records, what became of each punch, and weekly totals.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// By (employee, date, start, shift) (R63).
    pub records: Vec<Record>,
    /// One per punch id, by id.
    pub punches: PunchOutcomes,
    /// By (employee, date); `None` unless the plan asks for weeks (R60).
    pub weeks: Option<Vec<Week>>,
    /// The present instant that the outcome was made for; `None`: everything is past.
    pub as_of: Option<Instant>,
}

impl Outcome {
    /// What became of a punch.
    pub fn punch(&self, id: &str) -> Option<PunchOutcome> {
        self.punches.find(id)
    }

    /// The records of one employee and date.
    pub fn records_of<'a>(
        &'a self,
        employee: &'a str,
        date: NaiveDate,
    ) -> impl Iterator<Item = &'a Record> {
        self.records
            .iter()
            .filter(move |record| record.employee.as_str() == employee && record.date == date)
    }
}

/// The result for one shift on one date, or for a date without one.
///
/// Fields that end in `_s` are elapsed seconds, never negative.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Record {
    /// Whose day.
    pub employee: EmployeeId,
    /// The date on which the shift starts, also for work after midnight (R27).
    pub date: NaiveDate,
    /// The template; `None` for a day off.
    pub shift: Option<ShiftId>,
    /// Tells equal (employee, date, shift) apart for good: the id of the record together with them.
    pub slot: Slot,
    /// 0, 1, … by start within the date: for display only, since a new record can move it (R63).
    pub ordinal: u32,
    /// What kind of day (R58).
    pub day_type: DayType,
    /// The verdict (R56).
    pub status: Status,
    /// Whether no further plausible punch can belong to it (R55).
    #[cfg_attr(feature = "serde", serde(rename = "final"))]
    pub is_final: bool,
    /// When a record that is not final becomes final by itself; `None` if it is.
    pub settles_at: Option<Instant>,
    /// Begin of the shift, in the shift's zone; fixed shifts only.
    pub planned_start: Option<LocalTime>,
    /// End of the shift, in the shift's zone; fixed shifts only.
    pub planned_end: Option<LocalTime>,
    /// Time due (R50).
    pub planned_s: i64,
    /// The first in, as punched (R41), in the shift's zone.
    pub clock_in: Option<LocalTime>,
    /// The last out, as punched (R41), in the shift's zone.
    pub clock_out: Option<LocalTime>,
    /// Stretches of presence as punched, auto-closed ones included.
    pub sessions: Sessions,
    /// Punches used.
    pub punch_count: u32,
    /// Length of the sessions really punched (R43).
    pub presence_s: i64,
    /// Length of the gaps between sessions (R43).
    pub break_punched_s: i64,
    /// What breaks took from the session time (R47).
    pub break_deducted_s: i64,
    /// Time that counts (R48).
    pub worked_s: i64,
    /// Of it, no overtime.
    pub regular_s: i64,
    /// Of it, overtime (R51, R52).
    pub overtime_s: i64,
    /// Delay of the clock-in (R49).
    pub late_s: i64,
    /// How much before the end the clock-out was (R49).
    pub early_leave_s: i64,
    /// From the previous record's clock-out to this one's clock-in (R59); the one value that can be negative, where
    /// shifts in different zones cross.
    pub rest_s: Option<i64>,
    /// What was not punched (R41), in the order in, out.
    pub missing: Set<Side>,
    /// What is out of the ordinary (R53, R54), in the order of [`OutlierReason`].
    pub outliers: Set<OutlierReason>,
    /// What else to know, in the order of [`Flag`].
    pub flags: Set<Flag>,
    /// Why the record is as it is, with numbers, in words through `Display`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub findings: Vec<Explanation>,
}

/// Tells records of equal (employee, date, shift) apart (design, P4). Never counted over the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(untagged)
)]
pub enum Slot {
    /// The template's position among equal template ids in the date's list: nearly always 0.
    Nth(u32),
    /// Open work: the instant of its first used punch.
    Since(Instant),
}

impl fmt::Display for Slot {
    /// `0`, or `2025-03-03T22:15:00Z`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nth(nth) => write!(f, "{nth}"),
            Self::Since(instant) => write!(f, "{instant}"),
        }
    }
}

/// One stretch of presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Session {
    /// Its in.
    #[cfg_attr(feature = "serde", serde(rename = "in"))]
    pub start: LocalTime,
    /// Its out.
    #[cfg_attr(feature = "serde", serde(rename = "out"))]
    pub end: LocalTime,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[cfg_attr(feature = "serde", serde(rename = $word))]
                $variant,
            )*
        }

        impl $name {
            /// The word for it in the exchange form.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What kind of day (R58).
    DayType {
        /// Work is planned, or would be welcome.
        Workday = "workday",
        /// A day off by the roster.
        WeeklyOff = "weekly_off",
        /// A holiday.
        Holiday = "holiday",
        /// Work that nobody planned.
        Unscheduled = "unscheduled",
    }
}

words! {
    /// The verdict on a record (R56, R57).
    Status {
        /// Was there.
        Present = "present",
        /// Was there for less than a day.
        HalfDay = "half_day",
        /// Was not there, or far too short.
        Absent = "absent",
        /// A punch is missing.
        Incomplete = "incomplete",
        /// There are punches, and more may come.
        InProgress = "in_progress",
        /// There are no punches, but some may come.
        Pending = "pending",
        /// A holiday without work.
        Holiday = "holiday",
        /// Work on a holiday.
        HolidayWorked = "holiday_worked",
        /// A day off without work.
        WeeklyOff = "weekly_off",
        /// Work on a day off, or work that nobody planned.
        OffWorked = "off_worked",
    }
}

words! {
    /// One end of a shift.
    Side {
        /// The arrival.
        In = "in",
        /// The departure.
        Out = "out",
    }
}

words! {
    /// What else to know about a record.
    Flag {
        /// A missing punch was replaced by the shift's own time (R42).
        AutoClosed = "auto_closed",
        /// Too little rest before it (R59).
        ShortRest = "short_rest",
        /// Clocks changed during the shift (R22).
        DstChange = "dst_change",
    }
}

words! {
    /// What a used punch is within its record (section G).
    Role {
        /// It opens a session.
        In = "in",
        /// It closes a session, or stands for one whose in is missing.
        Out = "out",
        /// It lies between the first and the last punch (R36).
        Middle = "middle",
        /// It says what is already known (R38).
        Redundant = "redundant",
    }
}

words! {
    /// What is special about the reading of a punch's time.
    Note {
        /// The device's clock was off (R5).
        ClockCorrected = "clock_corrected",
        /// The civil time happened twice (R2, R3).
        DstFold = "dst_fold",
        /// The civil time did not happen (R2).
        DstGap = "dst_gap",
    }
}

words! {
    /// How a duplicate relates to the punch that was kept (R17).
    DuplicateReason {
        /// Same device, instant, user and state.
        Exact = "exact",
        /// Same device, shortly after.
        Near = "near",
        /// Another device.
        CrossDevice = "cross_device",
    }
}

words! {
    /// Why a punch belongs to nothing.
    OrphanReason {
        /// The plan lists devices, and this one is not among them (R9).
        UnknownDevice = "unknown_device",
        /// The identity map has nobody for it (R9).
        UnknownEmployee = "unknown_employee",
        /// Before or after all plausible instants (R6).
        ImplausibleTime = "implausible_time",
        /// No shift reaches so far (R33).
        NoShift = "no_shift",
    }
}

words! {
    /// On which side of an accept window an outlier lies (R30).
    Beyond {
        /// Before it.
        InTooEarly = "in_too_early",
        /// After it.
        OutTooLate = "out_too_late",
    }
}

member! { Side: In, Out }
member! { Flag: AutoClosed, ShortRest, DstChange }
member! { Note: ClockCorrected, DstFold, DstGap }

/// What became of one punch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PunchOutcome {
    /// The punch; for an added one the correction's id.
    pub id: PunchId,
    /// Where it went. Every punch goes to exactly one place.
    pub disposition: Disposition,
    /// Who it was, where known.
    pub employee: Option<EmployeeId>,
    /// The work date of its shift, where it has one.
    pub date: Option<NaiveDate>,
    /// Its shift, where it has one.
    pub shift: Option<ShiftId>,
    /// The corrected instant, told in the device's zone; `None` if the device is unknown.
    pub time: Option<LocalTime>,
    /// What is special about the reading of its time, sorted.
    pub notes: Set<Note>,
}

impl PunchOutcome {
    /// The instant after clock correction; `None` if the device is unknown.
    pub fn instant(&self) -> Option<Instant> {
        self.time.map(LocalTime::instant)
    }
}

/// The punch that a duplicate repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Which one.
    pub id: PunchId,
    /// When that was.
    pub time: LocalTime,
    /// How long after it a punch is its duplicate (R15).
    pub window_s: u32,
}

/// Where a punch went, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disposition {
    /// It counts for a record.
    Used {
        /// As what.
        role: Role,
        /// By which rule: 36 to 40.
        rule: Rule,
    },
    /// It repeats another one (R15–R17).
    Duplicate {
        /// How it relates to the kept punch.
        reason: DuplicateReason,
        /// The kept punch.
        of: Kept,
    },
    /// It belongs to a shift, but beyond what counts (R30).
    Outlier {
        /// On which side.
        reason: Beyond,
        /// The edge of the accept window that it lies beyond.
        edge: LocalTime,
    },
    /// It belongs to nothing.
    Orphan {
        /// Why.
        reason: OrphanReason,
    },
    /// It belongs to a date outside the asked range (R34).
    OutOfRange,
    /// It arrived after its period was closed (R35).
    LateLocked {
        /// Last date of that period.
        until: NaiveDate,
    },
    /// A human said that it does not count.
    Voided {
        /// The correction.
        by: CorrectionId,
    },
}

impl Disposition {
    /// The word for it in the exchange form.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Used { .. } => "used",
            Self::Duplicate { .. } => "duplicate",
            Self::Outlier { .. } => "outlier",
            Self::Orphan { .. } => "orphan",
            Self::OutOfRange => "out_of_range",
            Self::LateLocked { .. } => "late_locked",
            Self::Voided { .. } => "voided",
        }
    }

    /// The role of a used punch.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Used { role, .. } => Some(*role),
            _ => None,
        }
    }

    /// The reason in the exchange form.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Used { .. } | Self::OutOfRange => None,
            Self::Duplicate { reason, .. } => Some(reason.to_string()),
            Self::Outlier { reason, .. } => Some(reason.to_string()),
            Self::Orphan { reason } => Some(reason.to_string()),
            Self::LateLocked { until } => Some(until.to_string()),
            Self::Voided { by } => Some(by.to_string()),
        }
    }

    /// The kept punch that a duplicate repeats.
    pub fn of(&self) -> Option<&PunchId> {
        match self {
            Self::Duplicate { of, .. } => Some(&of.id),
            _ => None,
        }
    }
}

/// The number of a rule; displays as `R15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule(pub u8);

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The totals of one employee and week (R60).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Week {
    /// Whose week.
    pub employee: EmployeeId,
    /// Its first date, which may lie before the asked range.
    pub week_of: NaiveDate,
    /// Time that counts.
    pub worked_s: i64,
    /// Overtime: that of the days or that of the week, whichever is more.
    pub overtime_s: i64,
}

#[cfg(feature = "serde")]
mod serialize {
    use serde::ser::{Serialize, SerializeStruct, Serializer};

    use super::{Outcome, PunchOutcome};

    impl Serialize for PunchOutcome {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = serializer.serialize_struct("PunchOutcome", 10)?;
            fields.serialize_field("id", &self.id)?;
            fields.serialize_field("disposition", self.disposition.as_str())?;
            fields.serialize_field("role", &self.disposition.role())?;
            fields.serialize_field("reason", &self.disposition.reason())?;
            fields.serialize_field("of", &self.disposition.of())?;
            fields.serialize_field("employee", &self.employee)?;
            fields.serialize_field("date", &self.date)?;
            fields.serialize_field("shift", &self.shift)?;
            fields.serialize_field("instant", &self.instant())?;
            fields.serialize_field("notes", &self.notes)?;
            fields.end()
        }
    }

    /// Section 5: `records`, `punches`, and `weeks` if there are any. `as_of` was an input.
    impl Serialize for Outcome {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields =
                serializer.serialize_struct("Outcome", 2 + usize::from(self.weeks.is_some()))?;
            fields.serialize_field("records", &self.records)?;
            fields.serialize_field("punches", &self.punches)?;
            if let Some(weeks) = &self.weeks {
                fields.serialize_field("weeks", weeks)?;
            }
            fields.end()
        }
    }
}
