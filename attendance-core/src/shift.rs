//! Shift templates (rules, section 3.3) and the checks that make them shifts.

use chrono::NaiveTime;

use crate::{Error, ShiftId};

/// The description of a shift. Whether it runs over midnight follows from its times (R22); there is no switch for it.
///
/// With the feature `serde` it is read from the fields of the rules' section 3.3, which have the same defaults:
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use attendance_core::{Form, ShiftTemplate};
///
/// let text = r#"{"id": "office", "kind": "flexible", "required_s": 28800, "core": {"start": "10:00", "end": "15:00"}}"#;
/// let office: ShiftTemplate = serde_json::from_str(text)?;
/// assert!(matches!(office.form, Form::Flexible { required_s: 28_800, core: Some(_), .. }));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(try_from = "crate::form::ShiftForm")
)]
pub struct ShiftTemplate {
    /// Its id.
    pub id: ShiftId,
    /// The zone its times are meant in, by name; `None`: the site's.
    pub tz: Option<String>,
    /// What kind of shift, with what only this kind has.
    pub form: Form,
    /// How far from its edges punches count. Fixed shifts only, but for `handover_s`.
    pub tolerance: Tolerance,
    /// What happens to punches beyond the tolerance (R23). Fixed shifts only.
    pub outlier_policy: OutlierPolicy,
    /// Delay that is forgiven (R49).
    pub grace: Grace,
    /// Time outside the shift that is not paid (R45). Fixed shifts only.
    pub clip: Clip,
    /// Unpaid breaks (R46, R47). Windows for fixed and flexible shifts, automatic breaks for all.
    pub breaks: Breaks,
    /// Rounding (R44, R48).
    pub rounding: Rounding,
    /// Overtime (R51).
    pub overtime: Overtime,
    /// When a day counts as absence or half a day (R57).
    pub thresholds: Thresholds,
    /// What happens when a punch is missing (R42). `AutoClose` has effect on fixed shifts only.
    pub missing_policy: MissingPolicy,
}

impl ShiftTemplate {
    /// A shift with a start and an end. End not after start means the next day; equal means 24 hours (R22).
    pub fn fixed(id: impl Into<ShiftId>, start: NaiveTime, end: NaiveTime) -> Self {
        Self::of_form(id, Form::Fixed { start, end })
    }

    /// A day with a length, from midnight to midnight, without core time (R25).
    pub fn flexible(id: impl Into<ShiftId>, required_s: u32) -> Self {
        Self::of_form(
            id,
            Form::Flexible {
                day_start: NaiveTime::MIN,
                required_s,
                core: None,
            },
        )
    }

    /// A shift built from the punches themselves (R32), with the default limits.
    pub fn open(id: impl Into<ShiftId>, required_s: u32) -> Self {
        Self::of_form(
            id,
            Form::Open {
                required_s,
                min_rest_s: 21_600,
                max_session_s: 57_600,
                max_span_s: 86_400,
            },
        )
    }

    fn of_form(id: impl Into<ShiftId>, form: Form) -> Self {
        Self {
            id: id.into(),
            tz: None,
            form,
            tolerance: Tolerance::default(),
            outlier_policy: OutlierPolicy::default(),
            grace: Grace::default(),
            clip: Clip::default(),
            breaks: Breaks::default(),
            rounding: Rounding::default(),
            overtime: Overtime::default(),
            thresholds: Thresholds::default(),
            missing_policy: MissingPolicy::default(),
        }
    }

    /// Refuses what cannot be a shift; `path` leads to the template.
    pub(crate) fn check(&self, path: &str) -> Result<(), Error> {
        let Tolerance {
            early_in_s,
            late_out_s,
            reach_s,
            ..
        } = self.tolerance;
        let total_s = u64::from(early_in_s.max(late_out_s)) + u64::from(reach_s);
        if total_s > 86_400 {
            return Err(Error::InvalidTolerance {
                shift: self.id.clone(),
                total_s,
            });
        }
        let Thresholds {
            absent_below_s,
            half_day_below_s,
        } = self.thresholds;
        if half_day_below_s != 0 && absent_below_s > half_day_below_s {
            return Err(Error::InvalidThresholds {
                shift: self.id.clone(),
                absent_below_s,
                half_day_below_s,
            });
        }
        for (name, round) in [
            ("in", self.rounding.clock_in),
            ("out", self.rounding.clock_out),
            ("worked", self.rounding.worked),
        ] {
            let Some(round) = round else { continue };
            for (field, value) in [("step_s", round.step_s), ("truncate_s", round.truncate_s)] {
                if value == 0 {
                    return Err(Error::config(
                        format!("{path}.rounding.{name}.{field}"),
                        "must be at least 1",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The time due of a flexible or open shift (R50).
    pub(crate) fn required_s(&self) -> i64 {
        match self.form {
            Form::Fixed { .. } => 0,
            Form::Flexible { required_s, .. } | Form::Open { required_s, .. } => {
                i64::from(required_s)
            }
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.form, Form::Open { .. })
    }

    pub(crate) const fn is_fixed(&self) -> bool {
        matches!(self.form, Form::Fixed { .. })
    }
}

/// The three kinds of shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Start and end by the clock (R22).
    Fixed {
        /// Begin of work on the work date.
        start: NaiveTime,
        /// End of work, on the next day if not after `start`.
        end: NaiveTime,
    },
    /// A day with a length (R25).
    Flexible {
        /// When the day begins.
        day_start: NaiveTime,
        /// Time due.
        required_s: u32,
        /// The time in which everybody has to be there, both on the work date (R49).
        core: Option<Period>,
    },
    /// Built from the punches (R32).
    Open {
        /// Time due.
        required_s: u32,
        /// So long outside, and the next punch begins a new shift.
        min_rest_s: u32,
        /// So long inside, and the next punch begins a new shift.
        max_session_s: u32,
        /// So long after its first punch no new session joins a shift.
        max_span_s: u32,
    },
}

/// Two times of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Period {
    /// Begin.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::form::clock"))]
    pub start: NaiveTime,
    /// End.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::form::clock"))]
    pub end: NaiveTime,
}

/// How far from the edges of a shift punches count, in elapsed seconds (R23, R29, R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Tolerance {
    /// Before the start. Default 2 h.
    pub early_in_s: u32,
    /// After the start, before an in is an outlier. Default 2 h.
    pub late_in_s: u32,
    /// Before the end, before which an out is an outlier. Default 2 h.
    pub early_out_s: u32,
    /// After the end. Default 3 h.
    pub late_out_s: u32,
    /// Beyond the accept window on both sides: punches there are kept with the shift as outliers. Default 2 h.
    pub reach_s: u32,
    /// So near to its end a closed shift is finished, and the next punch opens the next one. Default 15 min.
    pub handover_s: u32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            early_in_s: 7200,
            late_in_s: 7200,
            early_out_s: 7200,
            late_out_s: 10_800,
            reach_s: 7200,
            handover_s: 900,
        }
    }
}

/// What happens to punches beyond the tolerance (R23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum OutlierPolicy {
    /// They are set aside; the record carries the reason.
    #[default]
    Exclude,
    /// They count; the record carries the reason.
    Flag,
}

/// Delay that is forgiven; beyond it the whole delay counts (R49).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Grace {
    /// After the start.
    pub late_s: u32,
    /// Before the end.
    pub early_s: u32,
}

/// Time outside the shift that is not paid (R45).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Clip {
    /// Time before the start does not count.
    pub before_start: bool,
    /// Time after the end does not count.
    pub after_end: bool,
}

/// Unpaid breaks (R46, R47).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Breaks {
    /// Unpaid by the clock.
    pub windows: Vec<Period>,
    /// Deducted by the length of the work.
    pub auto: Vec<AutoBreak>,
    /// A gap between sessions counts as a break from this length on.
    pub min_counted_s: u32,
}

/// A break that is deducted from long work (R47).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct AutoBreak {
    /// Work longer than this …
    pub after_s: u32,
    /// … has a break of this length, less what was taken.
    pub deduct_s: u32,
}

/// Which times are rounded, and how (R44, R48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Rounding {
    /// The first in.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "in", deserialize_with = "crate::form::round")
    )]
    pub clock_in: Option<Round>,
    /// The last out.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "out", deserialize_with = "crate::form::round")
    )]
    pub clock_out: Option<Round>,
    /// The total.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::form::round"))]
    pub worked: Option<Round>,
}

/// One way of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Which way.
    pub mode: RoundMode,
    /// To multiples of this, at least 1.
    pub step_s: u32,
    /// After dropping what is beyond a multiple of this, at least 1.
    pub truncate_s: u32,
}

/// Which way to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoundMode {
    /// To the step below.
    Down,
    /// To the step above.
    Up,
    /// To the nearer step, halves upwards.
    Nearest,
}

/// Overtime (R51, R52).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Overtime {
    /// How it is found.
    pub mode: OvertimeMode,
    /// For [`OvertimeMode::Threshold`]: work beyond this; `None`: beyond the planned time.
    pub threshold_s: Option<u32>,
    /// Less than this is none; from it on it counts in full.
    pub min_s: u32,
    /// For [`OvertimeMode::Outside`]: time before the start counts. Default no.
    pub before: bool,
    /// For [`OvertimeMode::Outside`]: time after the end counts. Default yes.
    pub after: bool,
}

impl Default for Overtime {
    fn default() -> Self {
        Self {
            mode: OvertimeMode::None,
            threshold_s: None,
            min_s: 0,
            before: false,
            after: true,
        }
    }
}

/// How overtime is found (R51).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum OvertimeMode {
    /// There is none, not even on holidays.
    #[default]
    None,
    /// Work beyond a length.
    Threshold,
    /// Work outside the shift's times. Fixed shifts only.
    Outside,
}

/// When a day counts as absence or half a day (R57); 0 is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Thresholds {
    /// Less work than this is absence.
    pub absent_below_s: u32,
    /// Less work than this is half a day.
    pub half_day_below_s: u32,
}

/// What happens when a punch is missing (R42).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum MissingPolicy {
    /// The record is incomplete.
    #[default]
    Incomplete,
    /// The shift's own time stands in, and the record says so.
    AutoClose,
}
