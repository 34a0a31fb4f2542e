//! Reasons as data: the rule, the numbers it saw, and words through `Display`.

use std::fmt;

use chrono::NaiveDate;

use crate::outcome::{
    Beyond, Disposition, DuplicateReason, OrphanReason, PunchOutcome, Role, Rule, Side, Status,
};
use crate::{CorrectionId, Instant, LocalTime, OutlierReason, ShiftId};

/// Why a punch went where it went, or why a record is as it is.
///
/// ```
/// use attendance_core::{DuplicateReason, Explanation, Instant, LocalTime, Rule};
///
/// let at = |second| LocalTime::new(Instant::from_unix(second), 0);
/// let why = Explanation::Duplicate {
///     time: at(28_700),
///     of_time: at(28_680),
///     reason: DuplicateReason::Near,
///     window_s: 60,
/// };
/// assert_eq!(why.to_string(), "07:58:20 ignored: repeat within 60 s of 07:58:00 (R15)");
/// assert_eq!(why.rule(), Some(Rule(15)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// A punch counts (R36–R40).
    Used {
        /// The punch.
        time: LocalTime,
        /// As what it counts.
        role: Role,
        /// By which rule.
        rule: Rule,
        /// For which shift.
        shift: Option<ShiftId>,
        /// On which work date.
        date: Option<NaiveDate>,
    },
    /// A punch repeats another one (R15).
    Duplicate {
        /// The punch.
        time: LocalTime,
        /// The kept one.
        of_time: LocalTime,
        /// How they relate (R17).
        reason: DuplicateReason,
        /// The length of the window.
        window_s: u32,
    },
    /// A punch lies beyond what counts for its shift (R30).
    OutlierPunch {
        /// The punch.
        time: LocalTime,
        /// The edge of the accept window.
        edge: LocalTime,
        /// On which side.
        reason: Beyond,
        /// The shift it is kept with.
        shift: Option<ShiftId>,
        /// Its work date.
        date: Option<NaiveDate>,
    },
    /// A punch belongs to nothing (R6, R9, R33).
    Orphan {
        /// The punch, if its device is known.
        time: Option<LocalTime>,
        /// Why.
        reason: OrphanReason,
    },
    /// A punch belongs to a date that was not asked for (R34).
    OutOfRange {
        /// The punch.
        time: Option<LocalTime>,
        /// The date.
        date: Option<NaiveDate>,
    },
    /// A punch arrived after its period was closed (R35).
    LateLocked {
        /// The punch.
        time: Option<LocalTime>,
        /// Last date of the period.
        until: NaiveDate,
    },
    /// A human said that a punch does not count.
    Voided {
        /// The punch, if its device is known.
        time: Option<LocalTime>,
        /// The correction.
        by: CorrectionId,
    },
    /// The clock-in was late (R49).
    Late {
        /// The clock-in.
        clock_in: LocalTime,
        /// When it was due.
        due: LocalTime,
        /// The delay.
        late_s: i64,
        /// What would have been forgiven.
        grace_s: u32,
    },
    /// The clock-out was early (R49).
    LeftEarly {
        /// The clock-out.
        clock_out: LocalTime,
        /// Until when presence was due.
        due: LocalTime,
        /// How much before.
        early_s: i64,
        /// What would have been forgiven.
        grace_s: u32,
    },
    /// A punch is missing (R41).
    Missing {
        /// Which one.
        side: Side,
    },
    /// A missing punch was replaced by the shift's own time (R42).
    AutoClosed {
        /// Which one.
        side: Side,
        /// The time that stands in for it.
        at: LocalTime,
    },
    /// A clock-in or clock-out is further from the shift's edge than its tolerance (R53).
    Outlier {
        /// Which side, which way.
        reason: OutlierReason,
        /// The punch.
        time: LocalTime,
        /// The shift's edge.
        edge: LocalTime,
        /// How far apart they are.
        distance_s: i64,
        /// How far they may be.
        limit_s: u32,
    },
    /// Punches were set aside as outliers (R30, R53).
    SetAside {
        /// Which side.
        reason: Beyond,
        /// How many.
        count: u32,
    },
    /// A time is unusual for the person (R54).
    Unusual {
        /// Which side.
        reason: OutlierReason,
        /// The punch.
        time: LocalTime,
        /// The usual time: the median, in seconds of the local day.
        usual_s: i64,
        /// How far apart they are, the shorter way round the clock.
        distance_s: i64,
        /// The spread: median absolute deviation, at least the floor.
        spread_s: i64,
        /// From how many days.
        days: u32,
    },
    /// Clocks changed during the shift (R22).
    ClocksChanged {
        /// Seconds by which they went forward; negative if they went back.
        forward_s: i64,
    },
    /// Too little rest since the record before (R59).
    ShortRest {
        /// The rest.
        rest_s: i64,
        /// The least allowed.
        least_s: u32,
    },
    /// Breaks were deducted (R46, R47).
    BreakDeducted {
        /// How much.
        deducted_s: i64,
    },
    /// Overtime (R51 on work days, R52 on others).
    Overtime {
        /// How much.
        overtime_s: i64,
        /// All work is overtime: it was no work day.
        whole_day: bool,
    },
    /// Too short for a whole day (R57).
    TooShort {
        /// What it counts as.
        status: Status,
        /// What was worked.
        worked_s: i64,
        /// The limit.
        limit_s: u32,
    },
    /// More may come (R55).
    NotFinal {
        /// Until when.
        settles_at: Instant,
    },
}

impl Explanation {
    /// The rule that decided; `None` where a human did.
    pub fn rule(&self) -> Option<Rule> {
        let number = match self {
            Self::Used { rule, .. } => rule.0,
            Self::Duplicate { .. } => 15,
            Self::OutlierPunch { .. } => 30,
            Self::Orphan { reason, .. } => match reason {
                OrphanReason::UnknownDevice | OrphanReason::UnknownEmployee => 9,
                OrphanReason::ImplausibleTime => 6,
                OrphanReason::NoShift => 33,
            },
            Self::OutOfRange { .. } => 34,
            Self::LateLocked { .. } => 35,
            Self::Voided { .. } => return None,
            Self::Late { .. } | Self::LeftEarly { .. } => 49,
            Self::Missing { .. } => 41,
            Self::AutoClosed { .. } => 42,
            Self::Outlier { .. } | Self::SetAside { .. } => 53,
            Self::Unusual { .. } => 54,
            Self::ClocksChanged { .. } => 22,
            Self::ShortRest { .. } => 59,
            Self::BreakDeducted { .. } => 47,
            Self::Overtime {
                whole_day: false, ..
            } => 51,
            Self::Overtime {
                whole_day: true, ..
            } => 52,
            Self::TooShort { .. } => 57,
            Self::NotFinal { .. } => 55,
        };
        Some(Rule(number))
    }

    fn sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used {
                time,
                role,
                shift,
                date,
                ..
            } => {
                let role = match role {
                    Role::In => "clocks in",
                    Role::Out => "clocks out",
                    Role::Middle => "lies between in and out",
                    Role::Redundant => "repeats what was known",
                };
                write!(f, "{} {role}", Clock(*time))?;
                belongs(f, ", shift", shift.as_ref(), *date)
            }
            Self::Duplicate {
                time,
                of_time,
                reason,
                window_s,
            } => {
                let door = if *reason == DuplicateReason::CrossDevice {
                    " at another device"
                } else {
                    ""
                };
                write!(
                    f,
                    "{} ignored: repeat within {window_s} s of {}{door}",
                    Clock(*time),
                    Clock(*of_time)
                )
            }
            Self::OutlierPunch {
                time,
                edge,
                reason,
                shift,
                date,
            } => {
                let side = match reason {
                    Beyond::InTooEarly => "before",
                    Beyond::OutTooLate => "after",
                };
                let far = Length(time.instant().since(edge.instant()).abs());
                write!(
                    f,
                    "{} set aside: {far} {side} {}, the edge of what counts",
                    Clock(*time),
                    Clock(*edge)
                )?;
                belongs(f, " for shift", shift.as_ref(), *date)
            }
            Self::Orphan { time, reason } => {
                let why = match reason {
                    OrphanReason::UnknownDevice => "the device is unknown",
                    OrphanReason::UnknownEmployee => "nobody is known under this user id",
                    OrphanReason::ImplausibleTime => "the time is not plausible",
                    OrphanReason::NoShift => "no shift reaches so far",
                };
                write!(f, "{} belongs to nothing: {why}", MaybeClock(*time))
            }
            Self::OutOfRange { time, date } => {
                write!(
                    f,
                    "{} belongs to a day that was not asked for",
                    MaybeClock(*time)
                )?;
                date.map_or(Ok(()), |date| write!(f, ", {date}"))
            }
            Self::LateLocked { time, until } => {
                write!(
                    f,
                    "{} came too late: the days until {until} were closed already",
                    MaybeClock(*time)
                )
            }
            Self::Voided { time, by } => {
                write!(f, "{} does not count: correction {by}", MaybeClock(*time))
            }
            Self::Late {
                clock_in,
                due,
                late_s,
                ..
            } => {
                write!(
                    f,
                    "late by {}: clocked in at {}, due at {}",
                    Length(*late_s),
                    Clock(*clock_in),
                    Clock(*due)
                )
            }
            Self::LeftEarly {
                clock_out,
                due,
                early_s,
                ..
            } => write!(
                f,
                "left {} early: clocked out at {}, due until {}",
                Length(*early_s),
                Clock(*clock_out),
                Clock(*due)
            ),
            Self::Missing { side } => write!(f, "the clock-{side} is missing"),
            Self::AutoClosed { side, at } => {
                write!(f, "the missing clock-{side} is replaced by {}", Clock(*at))
            }
            Self::Outlier {
                reason,
                time,
                edge,
                distance_s,
                limit_s,
            } => {
                let (what, side) = match reason {
                    OutlierReason::InTooEarly => ("in", "before the start"),
                    OutlierReason::InTooLate => ("in", "after the start"),
                    OutlierReason::OutTooEarly => ("out", "before the end"),
                    _ => ("out", "after the end"),
                };
                write!(
                    f,
                    "clocked {what} at {}, {} {side} at {}; {} would be in order",
                    Clock(*time),
                    Length(*distance_s),
                    Clock(*edge),
                    Length(i64::from(*limit_s))
                )
            }
            Self::SetAside { reason, count } => {
                let side = match reason {
                    Beyond::InTooEarly => "before",
                    Beyond::OutTooLate => "after",
                };
                let punches = if *count == 1 { "punch" } else { "punches" };
                write!(f, "{count} {punches} set aside, too long {side} the shift")
            }
            Self::Unusual {
                reason,
                time,
                usual_s,
                distance_s,
                spread_s,
                days,
            } => {
                let what = if *reason == OutlierReason::InUnusual {
                    "in"
                } else {
                    "out"
                };
                write!(
                    f,
                    "clocked {what} at {}, {} away from the usual {} of {days} days, where {} is the usual spread",
                    Clock(*time),
                    Length(*distance_s),
                    TimeOfDay(*usual_s),
                    Length(*spread_s)
                )
            }
            Self::ClocksChanged { forward_s } => {
                let way = if *forward_s < 0 { "back" } else { "forward" };
                write!(
                    f,
                    "clocks went {way} by {} during the shift",
                    Length(forward_s.abs())
                )
            }
            Self::ShortRest { rest_s, least_s } => {
                write!(
                    f,
                    "only {} of rest, {} is the least",
                    Length(*rest_s),
                    Length(i64::from(*least_s))
                )
            }
            Self::BreakDeducted { deducted_s } => {
                write!(f, "{} deducted for breaks", Length(*deducted_s))
            }
            Self::Overtime {
                overtime_s,
                whole_day: false,
            } => write!(f, "{} of overtime", Length(*overtime_s)),
            Self::Overtime {
                overtime_s,
                whole_day: true,
            } => {
                write!(f, "{} of overtime: not a work day", Length(*overtime_s))
            }
            Self::TooShort {
                status,
                worked_s,
                limit_s,
            } => {
                let what = if *status == Status::Absent {
                    "absence"
                } else {
                    "half a day"
                };
                write!(
                    f,
                    "counts as {what}: {} is less than {}",
                    Length(*worked_s),
                    Length(i64::from(*limit_s))
                )
            }
            Self::NotFinal { settles_at } => write!(f, "not final before {settles_at}"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence(f)?;
        self.rule().map_or(Ok(()), |rule| write!(f, " ({rule})"))
    }
}

impl PunchOutcome {
    /// Why the punch went where it went.
    pub fn explain(&self) -> Explanation {
        // Only a punch of an unknown device has no time, and such a punch is an orphan or voided.
        let told = self
            .time
            .unwrap_or(LocalTime::new(Instant::from_unix(0), 0));
        match &self.disposition {
            Disposition::Used { role, rule } => Explanation::Used {
                time: told,
                role: *role,
                rule: *rule,
                shift: self.shift.clone(),
                date: self.date,
            },
            Disposition::Duplicate { reason, of } => Explanation::Duplicate {
                time: told,
                of_time: of.time,
                reason: *reason,
                window_s: of.window_s,
            },
            Disposition::Outlier { reason, edge } => Explanation::OutlierPunch {
                time: told,
                edge: *edge,
                reason: *reason,
                shift: self.shift.clone(),
                date: self.date,
            },
            Disposition::Orphan { reason } => Explanation::Orphan {
                time: self.time,
                reason: *reason,
            },
            Disposition::OutOfRange => Explanation::OutOfRange {
                time: self.time,
                date: self.date,
            },
            Disposition::LateLocked { until } => Explanation::LateLocked {
                time: self.time,
                until: *until,
            },
            Disposition::Voided { by } => Explanation::Voided {
                time: self.time,
                by: by.clone(),
            },
        }
    }
}

fn belongs(
    f: &mut fmt::Formatter<'_>,
    lead: &str,
    shift: Option<&ShiftId>,
    date: Option<NaiveDate>,
) -> fmt::Result {
    match (shift, date) {
        (Some(shift), Some(date)) => write!(f, "{lead} {shift} of {date}"),
        _ => Ok(()),
    }
}

struct Clock(LocalTime);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.civil().format("%H:%M:%S"))
    }
}

struct MaybeClock(Option<LocalTime>);

impl fmt::Display for MaybeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{}", time.civil().format("%Y-%m-%d %H:%M:%S")),
            None => f.write_str("a punch"),
        }
    }
}

struct TimeOfDay(i64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02}:{:02}:{:02}",
            self.0 / 3600,
            self.0 / 60 % 60,
            self.0 % 60
        )
    }
}

struct Length(i64);

impl fmt::Display for Length {
    /// `5 h`, `15 min`, `1 h 5 min 3 s`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.0 / 3600, "h"),
            (self.0 / 60 % 60, "min"),
            (self.0 % 60, "s"),
        ];
        let mut empty = true;
        for (value, unit) in parts {
            if value != 0 {
                let space = if empty { "" } else { " " };
                write!(f, "{space}{value} {unit}")?;
                empty = false;
            }
        }
        if empty { f.write_str("0 s") } else { Ok(()) }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Explanation {
    /// `{"rule": "R15", "text": "…"}`
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("Explanation", 2)?;
        fields.serialize_field("rule", &self.rule())?;
        fields.serialize_field("text", &self.to_string())?;
        fields.end()
    }
}
