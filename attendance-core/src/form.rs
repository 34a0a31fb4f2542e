//! The written form of a shift template (rules, section 3.3).

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer};

use crate::{
    Breaks, Clip, Form, Grace, MissingPolicy, OutlierPolicy, Overtime, Period, Round, RoundMode,
    Rounding, ShiftId, ShiftTemplate, Thresholds, Tolerance,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShiftForm {
    id: ShiftId,
    #[serde(default)]
    kind: KindForm,
    tz: Option<String>,
    start: Option<Clock>,
    end: Option<Clock>,
    #[serde(default)]
    tolerance: Tolerance,
    #[serde(default)]
    outlier_policy: OutlierPolicy,
    #[serde(default)]
    grace: Grace,
    #[serde(default)]
    clip: Clip,
    #[serde(default)]
    breaks: Breaks,
    #[serde(default)]
    rounding: Rounding,
    #[serde(default)]
    overtime: Overtime,
    #[serde(default)]
    thresholds: Thresholds,
    #[serde(default)]
    missing_policy: MissingPolicy,
    day_start: Option<Clock>,
    #[serde(default)]
    required_s: u32,
    core: Option<Period>,
    min_rest_s: Option<u32>,
    max_session_s: Option<u32>,
    max_span_s: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    #[default]
    Fixed,
    Flexible,
    Open,
}

impl TryFrom<ShiftForm> for ShiftTemplate {
    type Error = String;

    fn try_from(form: ShiftForm) -> Result<Self, String> {
        let given = |time: Option<Clock>, field: &str| {
            let Clock(time) = time.ok_or_else(|| format!("a fixed shift needs its {field}"))?;
            Ok::<_, String>(time)
        };
        let mut shift = match form.kind {
            KindForm::Fixed => {
                let (start, end) = (given(form.start, "start")?, given(form.end, "end")?);
                Self::fixed(form.id, start, end)
            }
            KindForm::Flexible => Self::flexible(form.id, form.required_s),
            KindForm::Open => Self::open(form.id, form.required_s),
        };
        match &mut shift.form {
            Form::Fixed { .. } => {}
            Form::Flexible {
                day_start, core, ..
            } => {
                *day_start = form.day_start.map_or(*day_start, |Clock(time)| time);
                *core = form.core;
            }
            Form::Open {
                min_rest_s,
                max_session_s,
                max_span_s,
                ..
            } => {
                *min_rest_s = form.min_rest_s.unwrap_or(*min_rest_s);
                *max_session_s = form.max_session_s.unwrap_or(*max_session_s);
                *max_span_s = form.max_span_s.unwrap_or(*max_span_s);
            }
        }
        Ok(Self {
            tz: form.tz,
            tolerance: form.tolerance,
            outlier_policy: form.outlier_policy,
            grace: form.grace,
            clip: form.clip,
            breaks: form.breaks,
            rounding: form.rounding,
            overtime: form.overtime,
            thresholds: form.thresholds,
            missing_policy: form.missing_policy,
            ..shift
        })
    }
}

/// `HH:MM` or `HH:MM:SS`
struct Clock(NaiveTime);

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        clock(deserializer).map(Self)
    }
}

pub(crate) fn clock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M"))
        .map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is no time of day like 08:30 or 08:30:00"))
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundForm {
    mode: ModeForm,
    /// A missing step is refused like a step of 0.
    #[serde(default)]
    step_s: u32,
    #[serde(default = "one")]
    truncate_s: u32,
}

const fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeForm {
    None,
    Down,
    Up,
    Nearest,
}

pub(crate) fn round<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Round>, D::Error> {
    let form = Option::<RoundForm>::deserialize(deserializer)?;
    Ok(form.and_then(|form| {
        let mode = match form.mode {
            ModeForm::None => return None,
            ModeForm::Down => RoundMode::Down,
            ModeForm::Up => RoundMode::Up,
            ModeForm::Nearest => RoundMode::Nearest,
        };
        Some(Round {
            mode,
            step_s: form.step_s,
            truncate_s: form.truncate_s,
        })
    }))
}
