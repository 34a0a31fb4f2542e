//! `device list` and `device show`: the registry, without its secrets.

use std::collections::HashMap;

use clap::Args;
use serde::Serialize;

use super::super::Exit;
use super::super::context::Context;
use super::super::output::{self, note};
use crate::app::App;
use crate::store::entity::{device, due_device};
use crate::zone;

/// List the registered terminals
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device list
  zk-bridge device list --json | jq '.devices[].address'")]
pub(in crate::cli) struct List {}

/// Show one registered terminal
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device show Gate")]
pub(in crate::cli) struct Show {
    /// Its name
    name: String,
}

/// A registered terminal as it is shown: the comm key never is, only whether there is one.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) address: String,
    secondary_address: Option<String>,
    timezone: String,
    has_comm_key: bool,
    transport: String,
    encoding: String,
    group: String,
    office: Option<String>,
    enabled: bool,
    serial_number: Option<String>,
    firmware: Option<String>,
    platform: Option<String>,
    mac: Option<String>,
    #[serde(serialize_with = "zone::as_utc_if_any")]
    last_sync: Option<i64>,
    #[serde(serialize_with = "zone::as_utc_if_any")]
    last_attempt: Option<i64>,
    last_error: Option<String>,
    /// Seconds by which its clock was ahead at the last reading.
    clock_drift_s: Option<i64>,
    /// Failures since the last success.
    failures: i32,
    /// When it is tried again after a failure.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    next_try: Option<i64>,
}

impl Row {
    pub(super) async fn of(app: &App, device: device::Model) -> anyhow::Result<Self> {
        let due = app.store.due_devices().await?;
        Ok(Self::new(device, &groups(app).await?, &due))
    }

    fn new(
        device: device::Model,
        groups: &HashMap<i64, String>,
        due: &HashMap<i64, due_device::Model>,
    ) -> Self {
        let failing = due.get(&device.id).filter(|row| row.failures > 0);
        Self {
            name: device.name,
            address: device.address,
            secondary_address: device.secondary_address,
            timezone: device.timezone,
            has_comm_key: device.comm_key.is_some(),
            transport: device.transport,
            encoding: device.encoding,
            group: groups.get(&device.group_id).cloned().unwrap_or_default(),
            office: device.office,
            enabled: device.enabled,
            serial_number: device.serial_number,
            firmware: device.firmware,
            platform: device.platform,
            mac: device.mac,
            last_sync: device.last_sync,
            last_attempt: device.last_attempt,
            last_error: device.last_error,
            clock_drift_s: device.clock_drift_s,
            failures: failing.map_or(0, |row| row.failures),
            next_try: failing.and_then(|row| row.due_at),
        }
    }

    fn text(&self, app: &App) -> String {
        let at = |instant: Option<i64>| instant.map(|at| zone::rfc3339(&app.zone, at));
        output::fields([
            ("Name", Some(self.name.clone())),
            ("Address", Some(self.address.clone())),
            ("Secondary address", self.secondary_address.clone()),
            ("Time zone", Some(self.timezone.clone())),
            (
                "Comm key",
                Some(if self.has_comm_key { "stored" } else { "none" }.to_owned()),
            ),
            ("Transport", Some(self.transport.clone())),
            ("Encoding", Some(self.encoding.clone())),
            ("Group", Some(self.group.clone())),
            ("Office", self.office.clone()),
            ("Enabled", Some(yes_or_no(self.enabled))),
            ("Serial number", self.serial_number.clone()),
            ("Firmware", self.firmware.clone()),
            ("Platform", self.platform.clone()),
            ("MAC", self.mac.clone()),
            ("Clock", self.clock_drift_s.map(zone::drift)),
            ("Last sync", at(self.last_sync)),
            ("Last attempt", at(self.last_attempt)),
            ("Last error", self.last_error.clone()),
            ("Next try", at(self.next_try)),
        ])
    }
}

async fn groups(app: &App) -> anyhow::Result<HashMap<i64, String>> {
    Ok(app
        .store
        .device_groups()
        .await?
        .into_iter()
        .map(|group| (group.id, group.name))
        .collect())
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

impl List {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        #[derive(Serialize)]
        struct Document {
            devices: Vec<Row>,
        }
        let app = context.app_to_look_at().await?;
        let groups = groups(&app).await?;
        let due = app.store.due_devices().await?;
        let devices = app
            .store
            .devices()
            .await?
            .into_iter()
            .map(|device| Row::new(device, &groups, &due))
            .collect();
        let document = Document { devices };
        if document.devices.is_empty() && !context.output.is_json() {
            note("No terminals yet. Add one: zk-bridge device add NAME --address HOST");
            return Ok(Exit::Done);
        }
        context.output.report(&document, |document| {
            let rows = document.devices.iter().map(|row| {
                [
                    row.name.clone(),
                    row.address.clone(),
                    row.timezone.clone(),
                    row.group.clone(),
                    row.office.clone().unwrap_or_default(),
                    yes_or_no(row.enabled),
                    row.serial_number.clone().unwrap_or_default(),
                    row.last_sync
                        .map_or_else(|| "never".to_owned(), |at| zone::rfc3339(&app.zone, at)),
                ]
            });
            output::table(
                &[
                    "Name",
                    "Address",
                    "Time zone",
                    "Group",
                    "Office",
                    "Enabled",
                    "Serial number",
                    "Last sync",
                ],
                rows,
            )
        })?;
        Ok(Exit::Done)
    }
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let device = app.store.device(&self.name).await?;
        let row = Row::of(&app, device).await?;
        context.output.report(&row, |row| row.text(&app))?;
        Ok(Exit::Done)
    }
}
