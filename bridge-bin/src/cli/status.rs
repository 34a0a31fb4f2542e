//! `status`: how everything stands, in one look.

use clap::Args;

use super::Exit;
use super::context::Context;
use super::output::{count, fields, plural, table};
use crate::app::App;
use crate::status::{Device, Service, Status, Target};
use crate::zone;

/// Show until when the data is complete, who holds it back, what is wrong, and who does the work
///
/// What it says of running nodes they wrote down themselves, on whichever machine. Alarms are those of this moment, also
/// while no node runs; nobody is told of them by this command. Ends with 3 while one is open.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge status
  zk-bridge status --json")]
pub(super) struct StatusCommand {}

impl StatusCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let status = Status::load(&app).await?;
        context
            .output
            .report(&status, |status| text(&app, status))?;
        Ok(if status.alarms.is_empty() {
            Exit::Done
        } else {
            Exit::Partial
        })
    }
}

fn text(app: &App, status: &Status) -> String {
    let at = |instant| zone::rfc3339(&app.zone, instant);
    let complete = &status.complete;
    let until = match (complete.until, &complete.held_back_by) {
        (Some(until), Some(holder)) => format!("{}, held back by {holder}", at(until)),
        (None, Some(holder)) if status.devices.iter().any(|device| device.name == *holder) => {
            format!("not at all yet: {holder} was never read")
        }
        (None, Some(holder)) => format!("not at all yet, held back by {holder}"),
        _ => "no terminal is enabled".to_owned(),
    };
    let assessed = status.assessed_until.map_or_else(
        || {
            "not at all yet: run `zk-bridge process`, or `zk-bridge serve`, which does it by itself"
                .to_owned()
        },
        at,
    );
    let mut parts = vec![fields([
        ("Complete until", Some(until)),
        ("Assessed until", Some(assessed)),
    ])];
    if !status.devices.is_empty() {
        let rows = status.devices.iter().map(|device| device_row(device, &at));
        let header = [
            "Terminal",
            "Complete until",
            "Log",
            "Clock off by",
            "Trouble",
        ];
        parts.push(table(&header, rows));
    }
    if !status.targets.is_empty() {
        let rows = status.targets.iter().map(|target| target_row(target, &at));
        let header = [
            "Target",
            "Told",
            "Complete until",
            "Sent",
            "Waiting",
            "Refused",
            "Paused",
        ];
        parts.push(table(&header, rows));
    }
    if !status.alarms.is_empty() {
        let alarms = count(status.alarms.len() as u64, "alarm");
        let lines = status.alarms.iter().map(|alarm| {
            let since = at(alarm.since);
            format!("  {} (since {since})\n    {}", alarm.detail, alarm.remedy)
        });
        let mut lines: Vec<String> = lines.collect();
        lines.insert(0, format!("{alarms}:"));
        parts.push(lines.join("\n"));
    }
    parts.push(service(&status.service, &at));
    parts.join("\n")
}

fn service(service: &Service, at: &impl Fn(i64) -> String) -> String {
    let mut lines = Vec::new();
    if !service.running {
        lines.push("No node runs. Start one: zk-bridge serve".to_owned());
    }
    lines.extend(service.nodes.iter().map(|node| {
        let pages = node.url.as_ref().map(|url| format!(", pages at {url}"));
        format!(
            "{}: {}{}, since {}, {} {}",
            node.name,
            node.role,
            pages.unwrap_or_default(),
            at(node.started),
            if node.alive {
                "last heard of"
            } else {
                "gone, last heard of"
            },
            at(node.seen)
        )
    }));
    lines.extend(service.failing.iter().map(|terminal| {
        format!(
            "{}: {} in a row, next try {}",
            terminal.device,
            count(terminal.failures.unsigned_abs(), "failure"),
            terminal
                .next_try
                .map_or_else(|| "at the next reading".to_owned(), at)
        )
    }));
    lines.extend(service.held.iter().map(|held| {
        format!(
            "{} is held by {} since {}, for {} s more unless it goes on",
            held.what,
            held.holder,
            at(held.since),
            held.remaining_s
        )
    }));
    lines.join("\n")
}

fn device_row(device: &Device, at: &impl Fn(i64) -> String) -> [String; 5] {
    let unknown = || "–".to_owned();
    let log = match (device.log_records, device.log_capacity) {
        (Some(used), Some(capacity)) => format!("{used} of {capacity}"),
        (Some(used), None) => used.to_string(),
        _ => unknown(),
    };
    let name = if device.enabled {
        device.name.clone()
    } else {
        format!("{} (off)", device.name)
    };
    [
        name,
        device
            .complete_until
            .map_or_else(|| "never read".to_owned(), at),
        log,
        device.clock_drift_s.map_or_else(unknown, zone::drift),
        device.last_error.clone().unwrap_or_else(unknown),
    ]
}

fn target_row(target: &Target, at: &impl Fn(i64) -> String) -> [String; 7] {
    [
        target.id.clone(),
        format!(
            "{} as {} to {}",
            plural(target.kind),
            target.connector,
            target.host
        ),
        target
            .complete_until
            .map_or_else(|| "nothing".to_owned(), at),
        target.sent.to_string(),
        target.waiting.to_string(),
        target.refused.to_string(),
        match (&target.paused_reason, target.paused_until) {
            (Some(reason), Some(until)) => format!("until {}: {reason}", at(until)),
            (None, Some(until)) => format!("until {}", at(until)),
            _ => "–".to_owned(),
        },
    ]
}
