//! The exchange form of `domain/examples.json`, mapped to the crate's types; shared by tests and examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use attendance_core::{
    Assignment, AutoBreak, Breaks, Change, Clip, ClockSample, Config, Correction, Device,
    Direction, Error, Form, Grace, Identity, Instant, Kind, Lock, MissingPolicy, Occurrence,
    OutlierPolicy, Overtime, OvertimeMode, Period, Plan, Punch, PunchTime, RosterEntry, Round,
    RoundMode, Rounding, ShiftTemplate, SinglePunch, Stat, Strategy, Thresholds, Tolerance, Weekly,
    assess,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::zones::JiffZone;

/// What a case says about itself, and its input.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) source: String,
    pub(crate) config: Value,
    #[serde(default)]
    pub(crate) punches: Vec<Value>,
    #[serde(default)]
    pub(crate) corrections: Vec<Value>,
    pub(crate) expect: Option<Value>,
}

/// The cases of a file: the whole form, a list of cases, or a single one.
pub(crate) fn cases(text: &str) -> Result<Vec<Case>, serde_json::Error> {
    let mut value: Value = serde_json::from_str(text)?;
    if let Some(cases) = value.get_mut("cases") {
        value = cases.take();
    }
    if value.is_array() {
        serde_json::from_value(value)
    } else {
        Ok(vec![serde_json::from_value(value)?])
    }
}

/// The input of a case in the crate's types.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) plan: Plan<Arc<JiffZone>>,
    pub(crate) punches: Vec<Punch>,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) as_of: Option<Instant>,
}

impl Case {
    pub(crate) fn input(&self) -> Result<Input, Error> {
        let (config, as_of) = config(&self.config)?;
        Ok(Input {
            plan: Plan::new(config, JiffZone::shared)?,
            punches: self.punches.iter().map(punch).collect::<Result<_, _>>()?,
            corrections: self
                .corrections
                .iter()
                .map(correction)
                .collect::<Result<_, _>>()?,
            as_of,
        })
    }

    /// The outcome in the form of section 5; `slot` and `settles_at` only if `full`.
    pub(crate) fn outcome(&self, full: bool) -> Value {
        let run = || {
            let input = self.input()?;
            assess(&input.punches, &input.corrections, &input.plan, input.as_of)
        };
        match run() {
            Ok(outcome) => {
                let mut value =
                    serde_json::to_value(outcome).expect("an outcome has text keys only");
                if !full {
                    strip(&mut value);
                }
                value
            }
            Err(error) => json!({ "error": error.code() }),
        }
    }

    /// Where an outcome differs from what the case expects, one line each.
    pub(crate) fn differences(&self, outcome: &Value) -> Vec<String> {
        let Some(expect) = &self.expect else {
            return vec!["the case has no `expect`".to_owned()];
        };
        let mut differences = Vec::new();
        compare("", expect, outcome, &mut differences);
        differences
    }
}

fn strip(outcome: &mut Value) {
    let records = outcome.get_mut("records").and_then(Value::as_array_mut);
    for record in records
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        record.remove("slot");
        record.remove("settles_at");
    }
}

fn compare(path: &str, expect: &Value, got: &Value, differences: &mut Vec<String>) {
    match (expect, got) {
        (Value::Object(expect), Value::Object(got)) => {
            for key in expect
                .keys()
                .chain(got.keys().filter(|key| !expect.contains_key(*key)))
            {
                let path = format!("{path}.{key}");
                match (expect.get(key), got.get(key)) {
                    (Some(expect), Some(got)) => compare(&path, expect, got, differences),
                    (Some(_), None) => differences.push(format!("{path} is missing")),
                    (None, _) => differences.push(format!("{path} is not expected")),
                }
            }
        }
        (Value::Array(expect), Value::Array(got)) => {
            if expect.len() != got.len() {
                differences.push(format!(
                    "{path}: expected {} elements, got {}",
                    expect.len(),
                    got.len()
                ));
            }
            for (index, (expect, got)) in expect.iter().zip(got).enumerate() {
                compare(&format!("{path}[{index}]"), expect, got, differences);
            }
        }
        _ if expect == got => {}
        _ => differences.push(format!("{path}: expected {expect}, got {got}")),
    }
}

fn invalid(path: &str, problem: impl std::fmt::Display) -> Error {
    Error::InvalidConfig {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// The configuration, and the present instant, which is an argument of its own in the crate.
pub(crate) fn config(value: &Value) -> Result<(Config, Option<Instant>), Error> {
    let form = ConfigForm::deserialize(value).map_err(|error| invalid("config", error))?;
    let mut config = Config::new(form.tz, form.range.from, form.range.to);
    config.strategy = form.strategy.0;
    config.dedup_window_s = form.dedup_window_s.unwrap_or(config.dedup_window_s);
    config.single_punch = form.single_punch.0;
    config.min_span_s = form.min_span_s;
    if let Some(map) = form.state_map {
        config.state_map = map
            .into_iter()
            .map(|(state, kind)| {
                let state = state.parse().map_err(|error| invalid("state_map", error))?;
                Ok((state, kind.0))
            })
            .collect::<Result<_, Error>>()?;
    }
    config.devices = form
        .devices
        .map(|devices| devices.into_iter().map(DeviceForm::device).collect());
    config.identities = form
        .identities
        .map(|list| list.into_iter().map(IdentityForm::identity).collect());
    config.shifts = form
        .shifts
        .into_iter()
        .enumerate()
        .map(|(i, shift)| shift.template(i))
        .collect::<Result<_, _>>()?;
    config.roster = form.roster.into_iter().map(RosterForm::entry).collect();
    config.default_shift = form.default_shift.map(Into::into);
    config.unscheduled_shift = form.unscheduled_shift.map(Into::into);
    config.holidays = form.holidays;
    if let Some(plausible) = form.plausible {
        config.plausible_from = plausible.from.map(|at| at.0);
        config.plausible_until = plausible.until.map(|at| at.0);
    }
    config.locks = form
        .locks
        .into_iter()
        .map(|lock| Lock {
            until: lock.until,
            at: lock.at.0,
        })
        .collect();
    config.stat = form.stat.map(|stat| {
        let default = Stat::default();
        Stat {
            history: stat.history.unwrap_or(default.history),
            min_n: stat.min_n.unwrap_or(default.min_n),
            z_milli: stat.z_milli.unwrap_or(default.z_milli),
            mad_floor_s: stat.mad_floor_s.unwrap_or(default.mad_floor_s),
        }
    });
    config.min_rest_between_s = form.min_rest_between_s;
    config.weekly = form.weekly.map(|weekly| Weekly {
        week_start: weekly.week_start.map_or(Weekday::Mon, |day| day.0),
        threshold_s: weekly.threshold_s,
    });
    Ok((config, form.as_of.map(|at| at.0)))
}

/// A punch of the exchange form.
pub(crate) fn punch(value: &Value) -> Result<Punch, Error> {
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    let form = PunchForm::deserialize(value).map_err(|_| Error::InvalidPunch { id: id.into() })?;
    Ok(Punch {
        state: form.state,
        seq: form.seq,
        fold: form.fold.map(|fold| fold.0),
        received: form.received.map(|at| at.0),
        ..Punch::new(form.id, form.user, form.device, form.time.0)
    })
}

/// A correction in the form of the design, P11.
pub(crate) fn correction(value: &Value) -> Result<Correction, Error> {
    let form = CorrectionForm::deserialize(value).map_err(|error| invalid("corrections", error))?;
    let target = || {
        form.target
            .clone()
            .ok_or_else(|| invalid("corrections.target", "is missing"))
    };
    let change = match form.kind {
        ChangeKind::AddPunch => {
            let punch = form
                .punch
                .ok_or_else(|| invalid("corrections.punch", "is missing"))?;
            Change::AddPunch {
                employee: punch.employee.into(),
                time: punch.time.0,
                state: punch.state,
            }
        }
        ChangeKind::VoidPunch => Change::VoidPunch {
            target: target()?.into(),
        },
        ChangeKind::SetKind => {
            let kind = form
                .value
                .as_ref()
                .ok_or_else(|| invalid("corrections.value", "is missing"))?
                .0;
            Change::SetKind {
                target: target()?.into(),
                kind,
            }
        }
        ChangeKind::Undo => Change::Undo {
            target: target()?.into(),
        },
    };
    Ok(Correction {
        id: form.id.into(),
        change,
        by: form.by,
        at: form.at.0,
        reason: form.reason,
    })
}

macro_rules! word {
    ($name:ident($inner:ty) { $($word:literal => $value:expr,)* }) => {
        #[derive(Debug, Clone, Copy)]
        struct $name($inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                match word.as_str() {
                    $($word => Ok(Self($value)),)*
                    _ => Err(serde::de::Error::unknown_variant(&word, &[$($word),*])),
                }
            }
        }
    };
}

word! { StrategyForm(Strategy) {
    "first_last" => Strategy::FirstLast,
    "alternating" => Strategy::Alternating,
    "state" => Strategy::State,
    "direction" => Strategy::Direction,
} }

impl Default for StrategyForm {
    fn default() -> Self {
        Self(Strategy::FirstLast)
    }
}

word! { SingleForm(SinglePunch) {
    "nearest" => SinglePunch::Nearest,
    "in" => SinglePunch::In,
} }

impl Default for SingleForm {
    fn default() -> Self {
        Self(SinglePunch::Nearest)
    }
}

word! { KindForm(Kind) {
    "in" => Kind::In,
    "out" => Kind::Out,
    "break_out" => Kind::BreakOut,
    "break_in" => Kind::BreakIn,
    "ot_in" => Kind::OtIn,
    "ot_out" => Kind::OtOut,
    "unknown" => Kind::Unknown,
} }

word! { DirectionForm(Direction) {
    "in" => Direction::In,
    "out" => Direction::Out,
    "both" => Direction::Both,
} }

word! { WeekdayForm(Weekday) {
    "mon" => Weekday::Mon,
    "tue" => Weekday::Tue,
    "wed" => Weekday::Wed,
    "thu" => Weekday::Thu,
    "fri" => Weekday::Fri,
    "sat" => Weekday::Sat,
    "sun" => Weekday::Sun,
} }

word! { OutlierForm(OutlierPolicy) {
    "exclude" => OutlierPolicy::Exclude,
    "flag" => OutlierPolicy::Flag,
} }

word! { MissingForm(MissingPolicy) {
    "incomplete" => MissingPolicy::Incomplete,
    "auto_close" => MissingPolicy::AutoClose,
} }

word! { OvertimeModeForm(OvertimeMode) {
    "none" => OvertimeMode::None,
    "threshold" => OvertimeMode::Threshold,
    "outside" => OvertimeMode::Outside,
} }

word! { RoundModeForm(Option<RoundMode>) {
    "none" => None,
    "down" => Some(RoundMode::Down),
    "up" => Some(RoundMode::Up),
    "nearest" => Some(RoundMode::Nearest),
} }

#[derive(Debug, Clone, Copy)]
struct At(Instant);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text)
            .map(|time| Self(time.into()))
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy)]
struct TimeForm(PunchTime);

impl<'de> Deserialize<'de> for TimeForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(civil) = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S") {
            return Ok(Self(civil.into()));
        }
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(Instant::from(time).into()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Clock(NaiveTime);

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = NaiveTime::parse_from_str(&text, "%H:%M:%S")
            .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M"));
        time.map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy)]
struct FoldForm(Occurrence);

impl<'de> Deserialize<'de> for FoldForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self(Occurrence::First)),
            1 => Ok(Self(Occurrence::Second)),
            other => Err(serde::de::Error::custom(format!(
                "fold is 0 or 1, not {other}"
            ))),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigForm {
    tz: String,
    range: RangeForm,
    as_of: Option<At>,
    #[serde(default)]
    strategy: StrategyForm,
    dedup_window_s: Option<u32>,
    #[serde(default)]
    single_punch: SingleForm,
    #[serde(default)]
    min_span_s: u32,
    state_map: Option<BTreeMap<String, KindForm>>,
    devices: Option<Vec<DeviceForm>>,
    identities: Option<Vec<IdentityForm>>,
    #[serde(default)]
    shifts: Vec<ShiftForm>,
    #[serde(default)]
    roster: Vec<RosterForm>,
    default_shift: Option<String>,
    unscheduled_shift: Option<String>,
    #[serde(default)]
    holidays: Vec<NaiveDate>,
    plausible: Option<PlausibleForm>,
    #[serde(default)]
    locks: Vec<LockForm>,
    stat: Option<StatForm>,
    min_rest_between_s: Option<u32>,
    weekly: Option<WeeklyForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeForm {
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceForm {
    id: String,
    tz: Option<String>,
    direction: Option<DirectionForm>,
    #[serde(default)]
    clock: Vec<ClockForm>,
}

impl DeviceForm {
    fn device(self) -> Device {
        Device {
            id: self.id.into(),
            tz: self.tz,
            direction: self
                .direction
                .map_or(Direction::Both, |direction| direction.0),
            clock: self
                .clock
                .into_iter()
                .map(|sample| ClockSample {
                    at: sample.at.0,
                    skew_s: sample.skew_s,
                    step: sample.step,
                })
                .collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockForm {
    at: At,
    skew_s: i64,
    #[serde(default)]
    step: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityForm {
    device: String,
    user: String,
    employee: String,
}

impl IdentityForm {
    fn identity(self) -> Identity {
        Identity {
            device: (self.device != "*").then(|| self.device.into()),
            user: self.user.into(),
            employee: self.employee.into(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterForm {
    employee: String,
    #[serde(default)]
    assignments: Vec<AssignmentForm>,
    #[serde(default)]
    overrides: Vec<OverrideForm>,
    holidays: Option<Vec<NaiveDate>>,
}

impl RosterForm {
    fn entry(self) -> RosterEntry {
        let ids = |ids: Vec<String>| ids.into_iter().map(Into::into).collect();
        RosterEntry {
            assignments: self
                .assignments
                .into_iter()
                .map(|form| Assignment {
                    from: form.from,
                    to: form.to,
                    anchor: form.anchor,
                    pattern: form.pattern.into_iter().map(ids).collect(),
                })
                .collect(),
            overrides: self
                .overrides
                .into_iter()
                .map(|form| (form.date, ids(form.shifts)))
                .collect(),
            holidays: self.holidays,
            ..RosterEntry::new(self.employee)
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentForm {
    from: NaiveDate,
    to: Option<NaiveDate>,
    anchor: Option<NaiveDate>,
    pattern: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideForm {
    date: NaiveDate,
    shifts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlausibleForm {
    from: Option<At>,
    until: Option<At>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockForm {
    until: NaiveDate,
    at: At,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatForm {
    history: Option<u32>,
    min_n: Option<u32>,
    z_milli: Option<u32>,
    mad_floor_s: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeeklyForm {
    week_start: Option<WeekdayForm>,
    threshold_s: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftForm {
    id: String,
    kind: Option<String>,
    tz: Option<String>,
    start: Option<Clock>,
    end: Option<Clock>,
    tolerance: Option<ToleranceForm>,
    outlier_policy: Option<OutlierForm>,
    grace: Option<GraceForm>,
    clip: Option<ClipForm>,
    breaks: Option<BreaksForm>,
    rounding: Option<RoundingForm>,
    overtime: Option<OvertimeForm>,
    thresholds: Option<ThresholdsForm>,
    missing_policy: Option<MissingForm>,
    day_start: Option<Clock>,
    #[serde(default)]
    required_s: u32,
    core: Option<PeriodForm>,
    min_rest_s: Option<u32>,
    max_session_s: Option<u32>,
    max_span_s: Option<u32>,
}

impl ShiftForm {
    fn template(self, index: usize) -> Result<ShiftTemplate, Error> {
        let path = |field: &str| format!("shifts[{index}].{field}");
        let form = match self.kind.as_deref() {
            None | Some("fixed") => Form::Fixed {
                start: self
                    .start
                    .ok_or_else(|| invalid(&path("start"), "is missing"))?
                    .0,
                end: self
                    .end
                    .ok_or_else(|| invalid(&path("end"), "is missing"))?
                    .0,
            },
            Some("flexible") => Form::Flexible {
                day_start: self.day_start.map_or(NaiveTime::MIN, |time| time.0),
                required_s: self.required_s,
                core: self.core.map(PeriodForm::period),
            },
            Some("open") => Form::Open {
                required_s: self.required_s,
                min_rest_s: self.min_rest_s.unwrap_or(21_600),
                max_session_s: self.max_session_s.unwrap_or(57_600),
                max_span_s: self.max_span_s.unwrap_or(86_400),
            },
            Some(_) => return Err(invalid(&path("kind"), "is fixed, flexible or open")),
        };
        let mut shift = ShiftTemplate::open(self.id, 0);
        shift.form = form;
        shift.tz = self.tz;
        if let Some(form) = self.tolerance {
            let default = Tolerance::default();
            shift.tolerance = Tolerance {
                early_in_s: form.early_in_s.unwrap_or(default.early_in_s),
                late_in_s: form.late_in_s.unwrap_or(default.late_in_s),
                early_out_s: form.early_out_s.unwrap_or(default.early_out_s),
                late_out_s: form.late_out_s.unwrap_or(default.late_out_s),
                reach_s: form.reach_s.unwrap_or(default.reach_s),
                handover_s: form.handover_s.unwrap_or(default.handover_s),
            };
        }
        shift.outlier_policy = self
            .outlier_policy
            .map_or(OutlierPolicy::Exclude, |policy| policy.0);
        shift.grace = self.grace.map_or(Grace::default(), |form| Grace {
            late_s: form.late_s,
            early_s: form.early_s,
        });
        shift.clip = self.clip.map_or(Clip::default(), |form| Clip {
            before_start: form.before_start,
            after_end: form.after_end,
        });
        shift.breaks = self.breaks.map(BreaksForm::breaks).unwrap_or_default();
        shift.rounding = self.rounding.map_or(Rounding::default(), |form| Rounding {
            clock_in: form.clock_in.and_then(RoundForm::round),
            clock_out: form.clock_out.and_then(RoundForm::round),
            worked: form.worked.and_then(RoundForm::round),
        });
        shift.overtime = self.overtime.map_or(Overtime::default(), |form| Overtime {
            mode: form.mode.map_or(OvertimeMode::None, |mode| mode.0),
            threshold_s: form.threshold_s,
            min_s: form.min_s,
            before: form.before,
            after: form.after.unwrap_or(true),
        });
        shift.thresholds = self
            .thresholds
            .map_or(Thresholds::default(), |form| Thresholds {
                absent_below_s: form.absent_below_s,
                half_day_below_s: form.half_day_below_s,
            });
        shift.missing_policy = self
            .missing_policy
            .map_or(MissingPolicy::Incomplete, |policy| policy.0);
        Ok(shift)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the exchange form")]
struct ToleranceForm {
    early_in_s: Option<u32>,
    late_in_s: Option<u32>,
    early_out_s: Option<u32>,
    late_out_s: Option<u32>,
    reach_s: Option<u32>,
    handover_s: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraceForm {
    #[serde(default)]
    late_s: u32,
    #[serde(default)]
    early_s: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipForm {
    #[serde(default)]
    before_start: bool,
    #[serde(default)]
    after_end: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodForm {
    start: Clock,
    end: Clock,
}

impl PeriodForm {
    fn period(self) -> Period {
        Period {
            start: self.start.0,
            end: self.end.0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreaksForm {
    #[serde(default)]
    windows: Vec<PeriodForm>,
    #[serde(default)]
    auto: Vec<AutoForm>,
    #[serde(default)]
    min_counted_s: u32,
}

impl BreaksForm {
    fn breaks(self) -> Breaks {
        Breaks {
            windows: self.windows.into_iter().map(PeriodForm::period).collect(),
            auto: self
                .auto
                .into_iter()
                .map(|tier| AutoBreak {
                    after_s: tier.after_s,
                    deduct_s: tier.deduct_s,
                })
                .collect(),
            min_counted_s: self.min_counted_s,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AutoForm {
    after_s: u32,
    deduct_s: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundingForm {
    #[serde(rename = "in")]
    clock_in: Option<RoundForm>,
    #[serde(rename = "out")]
    clock_out: Option<RoundForm>,
    worked: Option<RoundForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundForm {
    mode: RoundModeForm,
    step_s: Option<u32>,
    truncate_s: Option<u32>,
}

impl RoundForm {
    fn round(self) -> Option<Round> {
        let mode = self.mode.0?;
        // A missing step is refused like a step of 0.
        Some(Round {
            mode,
            step_s: self.step_s.unwrap_or(0),
            truncate_s: self.truncate_s.unwrap_or(1),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OvertimeForm {
    mode: Option<OvertimeModeForm>,
    threshold_s: Option<u32>,
    #[serde(default)]
    min_s: u32,
    #[serde(default)]
    before: bool,
    after: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdsForm {
    #[serde(default)]
    absent_below_s: u32,
    #[serde(default)]
    half_day_below_s: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PunchForm {
    id: String,
    user: String,
    device: String,
    time: TimeForm,
    state: Option<i64>,
    seq: Option<i64>,
    fold: Option<FoldForm>,
    received: Option<At>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CorrectionForm {
    id: String,
    kind: ChangeKind,
    target: Option<String>,
    punch: Option<AddedForm>,
    value: Option<KindForm>,
    #[serde(default)]
    by: String,
    at: At,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    AddPunch,
    VoidPunch,
    SetKind,
    Undo,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddedForm {
    employee: String,
    time: TimeForm,
    state: Option<i64>,
}
