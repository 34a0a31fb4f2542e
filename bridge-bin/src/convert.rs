//! Between the libraries, which know nothing of each other: a translator, without opinions of its own.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use attendance_core::{
    Assignment, Change, Config as Rules, Correction, Device, DeviceId, Grace, Identity, Instant,
    Kind, Plan, Punch, PunchTime, Record, Resolved, RosterEntry, ShiftTemplate, Strategy,
    Tolerance, Zone,
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use crm_client::{FrappeOptions, OdooOptions, TargetOptions, TemplateOptions, Token, Trust};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::config::targets::{Connector, Kind as EntryKind, Target};
use crate::config::{Config, WeekDay};
use crate::failure::Failure;
use crate::store::Told;
use crate::store::days::Dossier;
use crate::store::entity::{correction, daily_record, holiday, punch};
use crate::zone;

/// Id of the template that the configuration's `[shift]` makes.
pub const DEFAULT_SHIFT: &str = "default";

/// Id of the open template for work outside every shift.
pub const EXTRA_SHIFT: &str = "extra";

/// Rest and other looks backwards end here, so that a record does not depend on how far back an assessment began.
const LOOK_BACK_S: i64 = 3 * 86_400;

/// An IANA zone as the rules ask for it.
#[derive(Debug, Clone)]
pub struct IanaZone(pub TimeZone);

impl Zone for IanaZone {
    fn offset_at(&self, instant: Instant) -> i32 {
        let at = instant
            .unix()
            .clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        Timestamp::from_second(at).map_or(0, |at| self.0.to_offset(at).seconds())
    }

    fn resolve(&self, civil: NaiveDateTime) -> Resolved {
        let as_if_utc = civil.and_utc().timestamp();
        let at =
            |offset: jiff::tz::Offset| Instant::from_unix(as_if_utc - i64::from(offset.seconds()));
        // jiff's civil times cover the years -9999 to 9999; beyond them no zone has rules.
        let Ok(stamp) = Timestamp::from_second(as_if_utc) else {
            return Resolved::One(Instant::from_unix(as_if_utc));
        };
        match self
            .0
            .to_ambiguous_timestamp(TimeZone::UTC.to_datetime(stamp))
            .offset()
        {
            AmbiguousOffset::Unambiguous { offset } => Resolved::One(at(offset)),
            AmbiguousOffset::Gap { before, after } => Resolved::Gap {
                before: at(before),
                after: at(after),
            },
            AmbiguousOffset::Fold { before, after } => Resolved::Fold {
                first: at(before),
                second: at(after),
            },
        }
    }
}

/// The rules for one employee and a stretch of dates.
pub fn plan(
    app: &App,
    employee: &str,
    dossier: &Dossier,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Plan<IanaZone>> {
    let config = &app.config;
    let mut rules = Rules::new(&config.timezone.0, from, to);
    rules.devices = Some(
        dossier
            .devices
            .iter()
            .map(|row| Device {
                tz: Some(row.timezone.clone()),
                ..Device::new(device_id(row.id))
            })
            .collect(),
    );
    rules.identities = Some(
        dossier
            .identities
            .iter()
            .map(|(device, user)| Identity {
                device: Some(device_id(*device)),
                user: user.as_str().into(),
                employee: employee.into(),
            })
            .collect(),
    );
    rules.strategy = config.shift.strategy;
    rules.shifts = vec![default_shift(config), ShiftTemplate::open(EXTRA_SHIFT, 0)];
    // Somebody else's broken template is not this employee's trouble.
    for row in dossier
        .templates
        .iter()
        .filter(|row| is_named(dossier, &row.id))
    {
        rules.shifts.retain(|known| known.id.as_str() != row.id);
        rules
            .shifts
            .push(template(config, &row.id, &row.definition)?);
    }
    rules.unscheduled_shift = Some(EXTRA_SHIFT.into());
    rules.roster = vec![roster(config, employee, dossier)?];
    let own = |row: &&holiday::Model| row.employee.is_some();
    let dates = |rows: Vec<&holiday::Model>| -> Vec<NaiveDate> {
        rows.into_iter()
            .filter_map(|row| row.date.parse().ok())
            .collect()
    };
    let (own, common): (Vec<_>, Vec<_>) = dossier.holidays.iter().partition(own);
    if let Some(entry) = rules.roster.first_mut().filter(|_| !own.is_empty()) {
        entry.holidays = Some(dates(own));
    }
    rules.holidays = dates(common);
    let midnight = config.plausible_from.0.and_time(NaiveTime::MIN);
    rules.plausible_from = Some(IanaZone(app.zone.clone()).resolve(midnight).instant());
    // Tomorrow's punches come from clocks that are wrong.
    rules.plausible_until = Some(Instant::from_unix(app.clock.as_of() + 86_400));
    Plan::new(rules, |name| zone::lookup(name).ok().map(IanaZone)).map_err(|error| {
        Failure::new(
            "rules",
            format!("The rules for employee {employee} cannot be used: {error}."),
            "Correct the shift templates or the roster; the punches are kept and assessed afterwards.",
        )
        .into()
    })
}

fn default_shift(config: &Config) -> ShiftTemplate {
    let mut shift = ShiftTemplate::fixed(DEFAULT_SHIFT, config.shift.start.0, config.shift.end.0);
    shift.tolerance = tolerance(config);
    shift.grace = Grace {
        late_s: config.shift.late_grace_minutes.saturating_mul(60),
        early_s: config.shift.early_grace_minutes.saturating_mul(60),
    };
    shift
}

fn tolerance(config: &Config) -> Tolerance {
    let outliers = &config.outliers;
    Tolerance {
        early_in_s: outliers.early_clock_in_hours.0,
        late_in_s: outliers.late_clock_in_hours.0,
        early_out_s: outliers.early_clock_out_hours.0,
        late_out_s: outliers.late_clock_out_hours.0,
        reach_s: outliers.reach_hours.0,
        ..Tolerance::default()
    }
}

/// A stored template: JSON in the shape of the rules' 3.3. The row says the id, and the configuration how far from the
/// shift a punch may lie where the template does not.
fn template(config: &Config, id: &str, definition: &str) -> anyhow::Result<ShiftTemplate> {
    let shift = || {
        let mut defined: serde_json::Map<String, Value> = serde_json::from_str(definition)?;
        defined.insert("id".to_owned(), id.into());
        let near = defined
            .entry("tolerance")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        let Tolerance {
            early_in_s,
            late_in_s,
            early_out_s,
            late_out_s,
            reach_s,
            ..
        } = tolerance(config);
        let limits = [
            ("early_in_s", early_in_s),
            ("late_in_s", late_in_s),
            ("early_out_s", early_out_s),
            ("late_out_s", late_out_s),
            ("reach_s", reach_s),
        ];
        for (name, limit_s) in limits {
            if let Some(near) = near.as_object_mut() {
                near.entry(name).or_insert(limit_s.into());
            }
        }
        serde_json::from_value(Value::Object(defined))
    };
    shift().map_err(|error: serde_json::Error| {
        Failure::new(
            "rules",
            format!("The shift template {id:?} cannot be used: {error}."),
            "Give a fixed one a start and an end, like {\"start\":\"20:00\",\"end\":\"05:00\"}; others have the kind \"flexible\" or \"open\".",
        )
        .into()
    })
}

/// Whether the employee's roster names a template; patterns and overrides are JSON lists of its id.
fn is_named(dossier: &Dossier, id: &str) -> bool {
    let quoted = Value::from(id).to_string();
    dossier
        .assignments
        .iter()
        .any(|row| row.pattern.contains(&quoted))
        || dossier
            .overrides
            .iter()
            .any(|row| row.shifts.contains(&quoted))
}

/// The employee's own assignments over the default week.
fn roster(config: &Config, employee: &str, dossier: &Dossier) -> anyhow::Result<RosterEntry> {
    let mut entry = RosterEntry::new(employee);
    // The first day of the proleptic calendar, a Monday: every assignment begins later and so wins.
    let first = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
    let week = [
        WeekDay::Mon,
        WeekDay::Tue,
        WeekDay::Wed,
        WeekDay::Thu,
        WeekDay::Fri,
        WeekDay::Sat,
        WeekDay::Sun,
    ];
    let pattern = week
        .iter()
        .map(|day| {
            if config.shift.work_days.contains(day) {
                vec![DEFAULT_SHIFT.into()]
            } else {
                Vec::new()
            }
        })
        .collect();
    entry.assignments.push(Assignment {
        from: first,
        to: None,
        anchor: None,
        pattern,
    });
    debug_assert_eq!(chrono::Datelike::weekday(&first), Weekday::Mon);
    for row in &dossier.assignments {
        let pattern: Vec<Vec<String>> = serde_json::from_str(&row.pattern)?;
        entry.assignments.push(Assignment {
            from: row.from.parse()?,
            to: row.to.as_deref().map(str::parse).transpose()?,
            anchor: row.anchor.as_deref().map(str::parse).transpose()?,
            pattern: pattern
                .into_iter()
                .map(|day| day.into_iter().map(Into::into).collect())
                .collect(),
        });
    }
    for row in &dossier.overrides {
        let shifts: Vec<String> = serde_json::from_str(&row.shifts)?;
        entry.overrides.push((
            row.date.parse()?,
            shifts.into_iter().map(Into::into).collect(),
        ));
    }
    Ok(entry)
}

fn device_id(id: i64) -> DeviceId {
    id.to_string().into()
}

/// The id under which the rules, and corrections, know a stored punch.
pub fn punch_id(id: i64) -> String {
    format!("p{id}")
}

/// The id under which the rules know a correction. Of the same length for all, because of two made in the same second
/// the larger one holds.
pub fn correction_id(id: i64) -> String {
    format!("c{id:019}")
}

/// What a correction aims at, in the ids of the rules.
fn aim(stored: &str) -> String {
    let correction = stored.strip_prefix('c').and_then(|id| id.parse().ok());
    correction.map_or_else(|| stored.to_owned(), correction_id)
}

/// A stored punch for the rules; `None` if it tells a time that does not exist, which the rules never see.
pub fn punch(row: &punch::Model) -> Option<Punch> {
    let mut punch = Punch::new(
        punch_id(row.id),
        row.user_id.as_str(),
        device_id(row.device_id),
        Told::from_i64(row.told).civil()?,
    );
    punch.state = Some(i64::from(row.punch_state));
    punch.seq = row
        .log_generation
        .zip(row.log_index)
        .map(|(generation, index)| (generation << 32) + index);
    punch.received = Some(Instant::from_unix(row.received_at));
    Some(punch)
}

/// Stored corrections for the rules. Kinds that were corrected under another strategy have no influence.
pub fn corrections(
    rows: &[correction::Model],
    strategy: Strategy,
) -> anyhow::Result<Vec<Correction>> {
    rows.iter()
        .filter(|row| row.kind != "set_kind" || strategy.reads_kinds())
        .map(|row| {
            let target = aim(row.target.as_deref().unwrap_or_default());
            let change = match row.kind.as_str() {
                "add_punch" => Change::AddPunch {
                    employee: row.employee.as_deref().unwrap_or_default().into(),
                    time: PunchTime::Civil(
                        row.told
                            .and_then(|told| Told::from_i64(told).civil())
                            .ok_or_else(|| {
                                anyhow::anyhow!("the correction c{} has no time", row.id)
                            })?,
                    ),
                    state: row.state.map(i64::from),
                },
                "void_punch" => Change::VoidPunch {
                    target: target.into(),
                },
                "set_kind" => Change::SetKind {
                    target: target.into(),
                    kind: kind(row.value.as_deref().unwrap_or_default()).unwrap_or_default(),
                },
                "undo" => Change::Undo {
                    target: target.into(),
                },
                other => anyhow::bail!(
                    "the correction c{} is of the unknown kind {other:?}",
                    row.id
                ),
            };
            Ok(Correction {
                id: correction_id(row.id).into(),
                change,
                by: row.by.clone(),
                at: Instant::from_unix(row.at),
                reason: row.reason.clone(),
            })
        })
        .collect()
}

/// What a punch claims to be, by its name in a correction.
pub fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "in" => Kind::In,
        "out" => Kind::Out,
        "break_out" => Kind::BreakOut,
        "break_in" => Kind::BreakIn,
        "ot_in" => Kind::OtIn,
        "ot_out" => Kind::OtOut,
        "unknown" => Kind::Unknown,
        _ => return None,
    })
}

/// A record for the store. `device` is the name of the device of its first used punch.
pub fn record(
    record: &Record,
    device: Option<String>,
    now: i64,
) -> anyhow::Result<daily_record::Model> {
    let mut record = record.clone();
    record.rest_s = record.rest_s.filter(|rest| *rest <= LOOK_BACK_S);
    let mut content = serde_json::to_value(&record)?;
    if let Some(fields) = content.as_object_mut() {
        // Columns of their own, and no fields of the rules' section 5.
        fields.remove("slot");
        fields.remove("settles_at");
    }
    let shift = record.shift.as_ref().map(ToString::to_string);
    let slot = record.slot.to_string();
    Ok(daily_record::Model {
        record_id: record_id(
            record.employee.as_str(),
            record.date,
            shift.as_deref(),
            &slot,
        ),
        employee: record.employee.to_string(),
        date: record.date.to_string(),
        shift,
        slot,
        ordinal: i32::try_from(record.ordinal).unwrap_or(i32::MAX),
        status: record.status.as_str().to_owned(),
        is_final: record.is_final,
        settles_at: record.settles_at.map(Instant::unix),
        device,
        content: content.to_string(),
        updated_at: now,
    })
}

/// The id under which a record is stored and delivered.
pub fn record_id_of(record: &Record) -> String {
    let shift = record.shift.as_ref().map(ToString::to_string);
    record_id(
        record.employee.as_str(),
        record.date,
        shift.as_deref(),
        &record.slot.to_string(),
    )
}

/// One part of an id whose parts are joined by `/`.
pub fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

/// P4: employee, work date, shift and slot; parts are escaped, so that two records never share an id.
fn record_id(employee: &str, date: NaiveDate, shift: Option<&str>, slot: &str) -> String {
    format!(
        "{}/{date}/{}/{slot}",
        escape(employee),
        shift.map(escape).unwrap_or_default()
    )
}

/// The configured target.
pub fn target(target: &Target) -> anyhow::Result<crm_client::Target> {
    Ok(target_with(target, &target.credential()?, trust(target)?)?)
}

/// The configured target, only to look at what it would be sent: without what it takes to send it.
pub fn target_to_look_at(target: &Target) -> anyhow::Result<crm_client::Target> {
    let credential = target.credential().unwrap_or_else(|_| STAND_IN.into());
    Ok(target_with(target, &credential, Trust::System)?)
}

/// Why nothing could be delivered to the configured target, as far as that shows without asking it.
pub fn target_faults(target: &Target) -> Vec<Failure> {
    let (mut credential, mut trusted) = (STAND_IN.into(), Trust::System);
    let mut faults = Vec::new();
    // What is missing must not hide what else is wrong.
    match target.credential() {
        Ok(found) => credential = found,
        Err(error) => faults.push(Failure::of(&error)),
    }
    match trust(target) {
        Ok(found) => trusted = found,
        Err(error) => faults.push(Failure::of(&error)),
    }
    faults.extend(target_with(target, &credential, trusted).err());
    faults
}

/// In the place of a secret that is not there.
const STAND_IN: &str = "missing";

fn target_with(
    target: &Target,
    credential: &SecretString,
    trust: Trust,
) -> Result<crm_client::Target, Failure> {
    let kind = match target.kind() {
        EntryKind::Day => crm_client::Kind::Day,
        EntryKind::Punch => crm_client::Kind::Punch,
        EntryKind::Session => crm_client::Kind::Session,
    };
    let connector = match target.connector {
        Connector::Json => crm_client::Connector::Json {
            batch_url: target.batch_url.clone(),
        },
        Connector::DeviceExport => crm_client::Connector::DeviceExport,
        Connector::DeviceData => crm_client::Connector::DeviceData,
        Connector::Template => {
            let options = template_of(target, kind).map_err(|error| Failure::of(&error))?;
            crm_client::Connector::Template(Box::new(options))
        }
        Connector::Frappe => {
            let mut options = FrappeOptions::default();
            if let Some(method) = &target.method {
                options.method.clone_from(method);
            }
            if let Some(field) = &target.employee_field {
                options.employee_field.clone_from(field);
            }
            crm_client::Connector::Frappe(options)
        }
        Connector::Odoo => {
            let said = |text: &Option<String>| text.clone().unwrap_or_default();
            let mut options = OdooOptions::new(said(&target.database), said(&target.user));
            if let Some(field) = &target.employee_field {
                options.employee_field.clone_from(field);
            }
            crm_client::Connector::Odoo(options)
        }
        Connector::Webhook => crm_client::Connector::Webhook { kind },
    };
    let many = |count: u32| {
        usize::try_from(count)
            .ok()
            .and_then(NonZeroUsize::new)
            .unwrap_or(NonZeroUsize::MIN)
    };
    let mut options = TargetOptions::new(&target.url, connector);
    options.batch_size = many(target.batch_size);
    options.concurrency = many(target.concurrency);
    options.token = Some(credential.expose_secret())
        .filter(|token| !token.is_empty())
        .map(Token::new);
    options.timeout = Duration::from_secs(u64::from(target.request_timeout_seconds));
    options.trust = trust;
    crm_client::Target::new(options).map_err(|error| refused_setting(target, &error))
}

/// The failure of a target that its settings make impossible, under the name that the setting has in the file.
fn refused_setting(target: &Target, error: &crm_client::Error) -> Failure {
    use crm_client::Error::{BadAddress, BadOption, BadTemplate, BadToken, Insecure};
    let by_credential = match target.connector {
        Connector::Webhook => "secret",
        _ => "token",
    };
    let field = match error {
        BadTemplate { part, .. } => part,
        BadToken => by_credential,
        BadOption { option, .. } => match *option {
            "token" => by_credential,
            "authority" => "ca_file",
            "login" => "user",
            // What stands in a setting of another name says itself which.
            "JSON pointer" => "success or remote_id",
            option => option,
        },
        // Of two the message shows which one is meant.
        BadAddress { .. } | Insecure { .. } if target.batch_url.is_some() => "url or batch_url",
        BadAddress { .. } | Insecure { .. } => "url",
        _ => return crm_failure(error),
    };
    let failure = crm_failure(error);
    Failure {
        message: format!("{}: {}", target.setting(field), failure.message),
        ..failure
    }
}

fn template_of(target: &Target, kind: crm_client::Kind) -> anyhow::Result<TemplateOptions> {
    let mut options = TemplateOptions::new(kind);
    for (name, value) in &target.headers {
        if name.eq_ignore_ascii_case("content-type") {
            options.content_type.clone_from(value);
        } else {
            options.headers.push((name.clone(), value.clone()));
        }
    }
    if let Some(method) = &target.method {
        options.method.clone_from(method);
    }
    if let Some(body) = &target.body {
        options.body.clone_from(body);
    }
    options.batch_body.clone_from(&target.batch_body);
    options.batch_url.clone_from(&target.batch_url);
    options.success = target.success_rule()?;
    options.remote_id.clone_from(&target.remote_id);
    Ok(options)
}

/// Whose word is taken for who the target is.
fn trust(target: &Target) -> anyhow::Result<Trust> {
    if let Some(pin) = &target.pinned_sha256 {
        return Ok(Trust::Pinned(vec![pin.parse()?]));
    }
    let Some(path) = &target.ca_file else {
        return Ok(Trust::System);
    };
    let pem = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            "config",
            format!(
                "{} {} cannot be read: {error}.",
                target.setting("ca_file"),
                path.display()
            ),
            "Name a file with certificates in PEM form.",
        )
    })?;
    Ok(Trust::Authority { pem })
}

/// A delivery error in the words of the CLI and the pages.
pub fn crm_failure(error: &crm_client::Error) -> Failure {
    let said = error.to_string();
    Failure::new(
        error.kind(),
        format!("{}.", said.trim_end_matches('.')),
        error.remedy(),
    )
}

/// What a daily record says, for those who only read it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields of the rules' section 5")]
pub struct RecordView {
    pub employee: String,
    pub date: String,
    pub shift: Option<String>,
    pub status: String,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub clock_in: Option<String>,
    pub clock_out: Option<String>,
    pub worked_s: i64,
    pub late_s: i64,
    pub early_leave_s: i64,
    pub overtime_s: i64,
    pub missing: Vec<String>,
    pub outliers: Vec<String>,
    pub flags: Vec<String>,
}

impl RecordView {
    /// Reads a stored record.
    pub fn of(row: &daily_record::Model) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(&row.content)?)
    }
}

/// Names of devices by their id in the rules.
pub fn device_names(dossier: &Dossier) -> BTreeMap<String, String> {
    dossier
        .devices
        .iter()
        .map(|row| (row.id.to_string(), row.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ids_cannot_collide() {
        let date = NaiveDate::from_ymd_opt(2026, 3, 3).unwrap();
        let ids = [
            record_id("a/b", date, Some("c"), "0"),
            record_id("a", date, Some("b/c"), "0"),
            record_id("a%2Fb", date, Some("c"), "0"),
            record_id("a", date, None, "0"),
        ];
        assert_eq!(
            ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
            ids.len(),
            "{ids:?}"
        );
        assert_eq!(ids[0], "a%2Fb/2026-03-03/c/0");
    }

    #[test]
    fn zones_tell_gaps_and_folds() {
        let zone = IanaZone(zone::lookup("America/New_York").unwrap());
        let at = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        assert!(matches!(
            zone.resolve(at("2024-03-10 02:30")),
            Resolved::Gap { .. }
        ));
        assert!(matches!(
            zone.resolve(at("2024-11-03 01:30")),
            Resolved::Fold { .. }
        ));
        let Resolved::One(instant) = zone.resolve(at("2024-07-01 12:00")) else {
            panic!("an ordinary noon")
        };
        assert_eq!(
            instant.unix(),
            "2024-07-01T16:00:00Z"
                .parse::<Timestamp>()
                .unwrap()
                .as_second()
        );
        let _ = zone.resolve(NaiveDateTime::MIN);
        let _ = zone.resolve(NaiveDateTime::MAX);
    }
}
