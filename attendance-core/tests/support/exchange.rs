//! The exchange form of `domain/examples.json`, mapped to the crate's types; shared by tests and examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use attendance_core::{
    Assignment, Change, ClockSample, Config, Correction, Device, Direction, Error, Identity,
    Instant, Kind, Lock, Occurrence, Outcome, Plan, Punch, PunchTime, RosterEntry, ShiftTemplate,
    SinglePunch, Stat, Strategy, Weekly, assess,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Weekday};
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

    pub(crate) fn assess(&self) -> Result<Outcome, Error> {
        let input = self.input()?;
        assess(&input.punches, &input.corrections, &input.plan, input.as_of)
    }

    /// The outcome in the form of section 5; `slot` and `settles_at` only if `full`.
    pub(crate) fn outcome(&self, full: bool) -> Value {
        self.written(full, |outcome| json!(outcome))
    }

    /// The same with `findings` in records and an `explanation` in punches.
    pub(crate) fn explained(&self, full: bool) -> Value {
        self.written(full, explained)
    }

    fn written(&self, full: bool, write: impl Fn(&Outcome) -> Value) -> Value {
        match self.assess() {
            Ok(outcome) => {
                let mut value = write(&outcome);
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

fn explained(outcome: &Outcome) -> Value {
    let mut value = json!(outcome);
    let findings = outcome.records.iter().map(|record| json!(record.findings));
    let explanations = outcome.punches.iter().map(|punch| json!(punch.explain()));
    let lists = [
        ("records", "findings", findings.collect::<Vec<_>>()),
        ("punches", "explanation", explanations.collect()),
    ];
    for (list, name, words) in lists {
        let rows = value.get_mut(list).and_then(Value::as_array_mut);
        let rows = rows.into_iter().flatten().filter_map(Value::as_object_mut);
        for (row, words) in rows.zip(words) {
            row.insert(name.to_owned(), words);
        }
    }
    value
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
    config.strategy = form.strategy;
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
    config.shifts = form.shifts;
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
    strategy: Strategy,
    dedup_window_s: Option<u32>,
    #[serde(default)]
    single_punch: SingleForm,
    #[serde(default)]
    min_span_s: u32,
    state_map: Option<BTreeMap<String, KindForm>>,
    devices: Option<Vec<DeviceForm>>,
    identities: Option<Vec<IdentityForm>>,
    #[serde(default)]
    shifts: Vec<ShiftTemplate>,
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
