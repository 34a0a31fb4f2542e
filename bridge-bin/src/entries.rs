//! What a target is told (design 6.3): entries made of records, of the punches behind them, or of stretches of
//! presence.
//!
//! # The kind of a punch
//!
//! Not every target can be told a second time what a punch was: to the two formats of terminals ([`Connector::corrects`])
//! each further revision is a further punch. So the content of a punch carries nothing that only the next punch decides:
//!
//! - Under `state` and `direction` the kind is what the punch was taken for; no later punch changes that.
//! - Under `first_last` the first punch is `in` at once. The latest may be the last, or a middle one as soon as another
//!   follows: it is `unknown` until its day is settled, and `out` from then on. Middle ones stay `unknown`.
//! - Under `alternating` only a lone punch is in doubt: it is an out, if it lies near the end, until another follows.
//!
//! A punch in doubt is told at once to targets that take corrections, and to the others when the doubt is over: when
//! another follows, or the day is settled. So in normal operation each of these gets every punch once, with the kind that
//! stays. What humans correct and terminals tell late still makes a revision.
//!
//! [`Connector::corrects`]: crate::config::targets::Connector::corrects

use std::collections::HashMap;

use attendance_core::{Disposition, Outcome, PunchOutcome, Role, Strategy};
use chrono::NaiveDate;
use crm_client::{DayEntry, PunchEntry, SessionEntry};
use serde::Deserialize;

use crate::app::App;
use crate::config::targets::{Kind, Target};
use crate::convert::{self, RecordView};
use crate::store::Told;
use crate::store::days::Dossier;
use crate::store::entity::{correction, daily_record, device, employee, punch};
use crate::store::queue::Draft;
use crate::zone;

/// Where terminals are, by their names.
pub type Addresses = HashMap<String, (String, Option<u16>)>;

/// One person's records, and the punches that they were made of.
#[derive(Debug, Default)]
pub struct Material {
    /// Whose; none if nobody of that id is known.
    pub person: Option<employee::Model>,
    /// The records, in any order.
    pub records: Vec<daily_record::Model>,
    /// The punches of days; only made where a target wants punches.
    pub punches: Vec<DayPunch>,
    /// The punches that lie beyond what counts.
    pub outlying: Vec<Outlying>,
    /// Where terminals are.
    pub addresses: Addresses,
}

/// A punch of a day.
#[derive(Debug, Clone)]
pub struct DayPunch {
    /// The work date it belongs to.
    pub date: NaiveDate,
    /// What a target is told of it.
    pub entry: PunchEntry,
    /// Whether the next punch, or the end of the day, may yet change its kind.
    pub is_in_doubt: bool,
}

/// A punch beyond what counts for its day.
#[derive(Debug)]
pub struct Outlying {
    /// The id under which the rules know it.
    pub id: String,
    /// The work date it was kept with.
    pub date: NaiveDate,
    /// When it was, RFC 3339 in the site's zone.
    pub at: String,
    /// The terminal's name; none for what a human added.
    pub device: Option<String>,
    /// `in_too_early` or `out_too_late`.
    pub reason: &'static str,
}

/// Everything a target is to know of this material. People who only stand in for unmapped users are told to nobody.
pub fn drafts(app: &App, target: &Target, material: &Material) -> anyhow::Result<Vec<Draft>> {
    let Some(person) = material.person.as_ref().filter(|person| person.mapped) else {
        return Ok(Vec::new());
    };
    let name = person.name.as_deref();
    let mut drafts = Vec::new();
    match target.kind() {
        Kind::Day => {
            for row in &material.records {
                drafts.push(day(app, target, row, name, &material.addresses)?);
            }
        }
        Kind::Session => {
            for row in &material.records {
                sessions(app, target, row, name, &mut drafts)?;
            }
        }
        Kind::Punch => drafts.extend(
            material
                .punches
                .iter()
                .map(|found| punch(target, person, found)),
        ),
    }
    Ok(drafts)
}

fn has_started(target: &Target, date: &str) -> bool {
    target
        .start_date
        .as_ref()
        .is_none_or(|start| *date >= *start.0.to_string())
}

/// Whether a record of this status may be the first that is told of its entry.
fn may_begin(target: &Target, row: &daily_record::Model) -> bool {
    let wanted = match row.status.as_str() {
        "pending" => false,
        "in_progress" => target.send_in_progress,
        "weekly_off" | "holiday" => target.send_days_off,
        _ => true,
    };
    wanted && has_started(target, &row.date)
}

fn day(
    app: &App,
    target: &Target,
    row: &daily_record::Model,
    name: Option<&str>,
    addresses: &Addresses,
) -> anyhow::Result<Draft> {
    let view = RecordView::of(row)?;
    let address = row.device.as_ref().and_then(|name| addresses.get(name));
    let entry = DayEntry {
        record_id: row.record_id.clone(),
        user_id: view.employee,
        employee_name: name.map(str::to_owned),
        date: view.date,
        clock_in: view.clock_in,
        clock_out: view.clock_out,
        status: view.status,
        shift: view.shift,
        time_zone: app.config.timezone.0.clone(),
        worked_s: view.worked_s,
        late_s: view.late_s,
        early_leave_s: view.early_leave_s,
        overtime_s: view.overtime_s,
        flags: view.flags,
        missing: view.missing,
        outliers: view.outliers,
        device_name: row.device.clone(),
        device_ip: address
            .filter(|_| target.include_device_address)
            .map(|(host, _)| host.clone()),
        deleted: false,
    };
    Ok(Draft {
        entry_id: row.record_id.clone(),
        employee: row.employee.clone(),
        date: row.date.clone(),
        content: entry.content(),
        may_begin: may_begin(target, row),
    })
}

/// The stretches of presence of a record, as its content tells them.
#[derive(Deserialize)]
struct Stays {
    clock_in: Option<String>,
    sessions: Vec<Stay>,
}

#[derive(Deserialize)]
struct Stay {
    #[serde(rename = "in")]
    start: String,
    #[serde(rename = "out")]
    end: String,
}

/// Each stretch is an entry of its own. Without any, somebody who came and has not left is one that is open.
fn sessions(
    app: &App,
    target: &Target,
    row: &daily_record::Model,
    name: Option<&str>,
    drafts: &mut Vec<Draft>,
) -> anyhow::Result<()> {
    let stays: Stays = serde_json::from_str(&row.content)?;
    let mut stretches: Vec<(String, Option<String>)> = stays
        .sessions
        .into_iter()
        .map(|stay| (stay.start, Some(stay.end)))
        .collect();
    if stretches.is_empty() {
        stretches.extend(stays.clock_in.map(|start| (start, None)));
    }
    for (start, end) in stretches {
        let instant = |text: &str| text.parse::<jiff::Timestamp>();
        let from = instant(&start)?;
        let worked_s = match &end {
            Some(end) => instant(end)?.as_second() - from.as_second(),
            None => 0,
        };
        let entry = SessionEntry {
            session_id: format!("{}@{from}", row.record_id),
            record_id: row.record_id.clone(),
            user_id: row.employee.clone(),
            employee_name: name.map(str::to_owned),
            date: row.date.clone(),
            check_in: start,
            check_out: end,
            time_zone: app.config.timezone.0.clone(),
            worked_s,
            device_name: row.device.clone(),
            deleted: false,
        };
        drafts.push(Draft {
            entry_id: entry.session_id.clone(),
            employee: row.employee.clone(),
            date: row.date.clone(),
            content: entry.content(),
            may_begin: may_begin(target, row),
        });
    }
    Ok(())
}

fn punch(target: &Target, person: &employee::Model, found: &DayPunch) -> Draft {
    let date = found.date.to_string();
    let mut entry = found.entry.clone();
    if !target.include_device_address {
        (entry.device_ip, entry.device_port) = (None, None);
    }
    Draft {
        may_begin: has_started(target, &date)
            && (target.connector.corrects() || !found.is_in_doubt),
        entry_id: entry.punch_id.clone(),
        employee: person.id.clone(),
        content: entry.content(),
        date,
    }
}

/// The punches of an assessment that are told: all that belong to a day, also as outliers.
///
/// Not told are those that a human voided, repeats within the window of double touches, and what belongs to no day:
/// implausible times, unknown devices and people. What the day made of a punch is told as its kind only for ins and outs;
/// for the others, and while that is in doubt, the target may judge for itself.
pub fn punches(app: &App, outcome: &Outcome, dossier: &Dossier) -> Vec<DayPunch> {
    let stored: HashMap<String, &punch::Model> = dossier
        .punches
        .iter()
        .map(|row| (convert::punch_id(row.id), row))
        .collect();
    let devices: HashMap<i64, &device::Model> =
        dossier.devices.iter().map(|row| (row.id, row)).collect();
    let name = dossier.employee.as_ref().and_then(|row| row.name.clone());
    let user_id = dossier.employee.as_ref().map(|row| row.id.clone());
    let user_id = user_id.unwrap_or_default();
    let manual: HashMap<String, &correction::Model> = dossier
        .corrections
        .iter()
        .map(|row| (convert::correction_id(row.id), row))
        .collect();
    let mut told = Vec::new();
    for found in &outcome.punches {
        let is_told = matches!(
            found.disposition,
            Disposition::Used { .. } | Disposition::Outlier { .. }
        );
        let (Some(date), Some(instant)) = (found.date, found.instant()) else {
            continue;
        };
        if !is_told {
            continue;
        }
        let is_in_doubt = is_in_doubt(app.config.shift.strategy, outcome, &found);
        let kind = match found.disposition.role().filter(|_| !is_in_doubt) {
            Some(Role::In) => "in",
            Some(Role::Out) => "out",
            _ => "unknown",
        };
        let mut entry = PunchEntry {
            user_id: user_id.clone(),
            employee_name: name.clone(),
            time: zone::civil_at(&app.zone, instant.unix())
                .format("%Y-%m-%d %H:%M:%S")
                .to_string(),
            instant: zone::rfc3339(&app.zone, instant.unix()),
            time_zone: app.config.timezone.0.clone(),
            kind: kind.to_owned(),
            ..PunchEntry::default()
        };
        let by_hand = manual.get(found.id.as_str());
        match (stored.get(found.id.as_str()), by_hand) {
            (Some(row), _) => {
                let device = devices.get(&row.device_id);
                let address = device.map(|device| address(&device.address));
                entry.punch_id = entry_id(row);
                entry.punch_state = u8::try_from(row.punch_state).ok();
                entry.verify_mode = u8::try_from(row.verify_mode).ok();
                entry.work_code = u32::try_from(row.work_code).ok().filter(|code| *code != 0);
                entry.device_name = device.map(|device| device.name.clone());
                entry.device_serial = device.and_then(|device| device.serial_number.clone());
                entry.device_port = address.as_ref().and_then(|(_, port)| *port);
                entry.device_ip = address.map(|(host, _)| host);
                entry.source.clone_from(&row.source);
            }
            (None, Some(row)) => {
                entry.punch_id = format!("c{}", row.id);
                entry.punch_state = row.state.and_then(|state| u8::try_from(state).ok());
                "manual".clone_into(&mut entry.source);
            }
            (None, None) => continue,
        }
        told.push(DayPunch {
            date,
            entry,
            is_in_doubt,
        });
    }
    told
}

/// Whether a punch is an out only as long as no other follows, and its day is not settled.
fn is_in_doubt(strategy: Strategy, outcome: &Outcome, punch: &PunchOutcome) -> bool {
    if punch.disposition.role() != Some(Role::Out) {
        return false;
    }
    let mut open = outcome.records.iter().filter(|record| {
        !record.is_final && Some(record.date) == punch.date && record.shift == punch.shift
    });
    match strategy {
        Strategy::FirstLast => open.next().is_some(),
        Strategy::Alternating => open.any(|record| record.punch_count == 1),
        _ => false,
    }
}

/// The punches that lie beyond what counts.
pub fn outlying(app: &App, outcome: &Outcome, dossier: &Dossier) -> Vec<Outlying> {
    let beyond = outcome.punches.iter().filter_map(|found| {
        let Disposition::Outlier { reason, .. } = found.disposition else {
            return None;
        };
        let row = dossier
            .punches
            .iter()
            .find(|row| convert::punch_id(row.id) == found.id.as_str());
        let device = row.and_then(|row| {
            let mut devices = dossier.devices.iter();
            devices.find(|device| device.id == row.device_id)
        });
        Some(Outlying {
            id: found.id.to_string(),
            date: found.date?,
            at: zone::rfc3339(&app.zone, found.instant()?.unix()),
            device: device.map(|device| device.name.clone()),
            reason: reason.as_str(),
        })
    });
    beyond.collect()
}

/// The key of a punch (P1) in one text. The terminal is our own row for it: serial numbers are learnt late, change
/// when a terminal is replaced, and cheap ones share them.
fn entry_id(row: &punch::Model) -> String {
    format!(
        "d{}/{}/{}/{}",
        row.device_id,
        convert::escape(&row.user_id),
        Told::from_i64(row.told),
        row.punch_state
    )
}

/// Where terminals are.
pub fn addresses(devices: &[device::Model]) -> Addresses {
    devices
        .iter()
        .map(|row| (row.name.clone(), address(&row.address)))
        .collect()
}

fn address(text: &str) -> (String, Option<u16>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
        _ => (text, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    (bare.unwrap_or(host).to_owned(), port)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("192.168.1.201:4370", "192.168.1.201", Some(4370)),
            ("gate.example", "gate.example", None),
            ("[fe80::1]:99", "fe80::1", Some(99)),
        ] {
            assert_eq!(address(text), (host.to_owned(), port));
        }
    }
}
