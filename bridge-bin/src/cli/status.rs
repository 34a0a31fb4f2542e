//! `status`: how the running service stands, told by what it writes down (B50).

use clap::Args;
use serde::Serialize;

use super::Exit;
use super::context::Context;
use super::output::{self, count};
use super::schedule;
use crate::lifecycle::SILENT;
use crate::zone;

/// Tell how the running service stands: its nodes, its schedules, the terminals in trouble
///
/// Works beside a running `serve` and without one. Ends with 1 if no node runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge status
  zk-bridge status --json | jq '.nodes[].name'")]
pub(super) struct Status {}

#[derive(Debug, Serialize)]
struct Document {
    /// Whether any node was heard of lately.
    running: bool,
    nodes: Vec<Node>,
    schedules: Vec<schedule::Row>,
    terminals: Terminals,
    /// What is held at this moment: terminals, jobs, targets.
    held: Vec<Held>,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    role: String,
    url: Option<String>,
    pid: i64,
    started: String,
    seen: String,
    /// Heard of lately.
    alive: bool,
}

#[derive(Debug, Serialize)]
struct Terminals {
    enabled: usize,
    /// Waiting to be read.
    due: usize,
    failing: Vec<Failing>,
}

#[derive(Debug, Serialize)]
struct Failing {
    device: String,
    failures: i32,
    error: Option<String>,
    next_try: Option<String>,
}

#[derive(Debug, Serialize)]
struct Held {
    /// `terminal:NAME`, `job:NAME` or `target:NAME`.
    what: String,
    holder: String,
    since: String,
    remaining_s: i64,
}

impl Status {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let (now, now_ms) = (app.clock.now(), app.clock.now_ms());
        let nodes: Vec<Node> = app
            .store
            .nodes()
            .await?
            .into_iter()
            .map(|row| Node {
                name: row.name,
                role: row.role,
                url: row.url,
                pid: row.pid,
                started: zone::utc(row.started_at),
                seen: zone::utc(row.seen_at),
                alive: row.seen_at > now - SILENT,
            })
            .collect();
        let devices = app.store.devices().await?;
        let due = app.store.due_devices().await?;
        let enabled = || devices.iter().filter(|device| device.enabled);
        let failing = enabled().filter_map(|device| {
            let row = due.get(&device.id).filter(|row| row.failures > 0)?;
            Some(Failing {
                device: device.name.clone(),
                failures: row.failures,
                error: device.last_error.clone(),
                next_try: row.due_at.map(zone::utc),
            })
        });
        let is_due = |id| {
            due.get(id)
                .is_some_and(|row| row.due_at.is_some_and(|at| at <= now))
        };
        let terminals = Terminals {
            enabled: enabled().count(),
            due: enabled().filter(|device| is_due(&device.id)).count(),
            failing: failing.collect(),
        };
        let name_of = |lease: &str| {
            let id = lease.strip_prefix("terminal:")?.parse::<i64>().ok()?;
            let device = devices.iter().find(|device| device.id == id)?;
            Some(format!("terminal:{}", device.name))
        };
        let held = app.store.held_leases(now_ms).await?;
        let held = held
            .into_iter()
            .map(|(row, remaining_ms)| Held {
                what: name_of(&row.name).unwrap_or(row.name),
                holder: row.holder,
                since: zone::utc(row.since.div_euclid(1000)),
                remaining_s: remaining_ms.div_euclid(1000) + 1,
            })
            .collect();
        let document = Document {
            running: nodes.iter().any(|node| node.alive),
            nodes,
            schedules: app
                .store
                .schedules()
                .await?
                .into_iter()
                .map(schedule::Row::of)
                .collect(),
            terminals,
            held,
        };
        context.output.report(&document, Document::text)?;
        Ok(if document.running {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

impl Document {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if !self.running {
            parts.push("No node runs. Start one: zk-bridge serve".to_owned());
        }
        if !self.nodes.is_empty() {
            parts.push(output::table(
                &["Node", "Role", "Pages", "Started", "Last heard of"],
                self.nodes.iter().map(|node| {
                    let seen = if node.alive {
                        node.seen.clone()
                    } else {
                        format!("{} (gone)", node.seen)
                    };
                    [
                        node.name.clone(),
                        node.role.clone(),
                        node.url.clone().unwrap_or_else(|| "–".to_owned()),
                        node.started.clone(),
                        seen,
                    ]
                }),
            ));
        }
        if !self.schedules.is_empty() {
            parts.push(schedule::table(&self.schedules));
        }
        parts.push(format!(
            "{} enabled, {} due, {} failing",
            count(self.terminals.enabled as u64, "terminal"),
            self.terminals.due,
            self.terminals.failing.len()
        ));
        for terminal in &self.terminals.failing {
            parts.push(format!(
                "{}: {}, next try {}. {}",
                terminal.device,
                count(terminal.failures.unsigned_abs(), "failure"),
                terminal
                    .next_try
                    .as_deref()
                    .unwrap_or("at the next reading"),
                terminal.error.as_deref().unwrap_or_default()
            ));
        }
        for held in &self.held {
            parts.push(format!(
                "{} is held by {}, since {}, for {} s more unless it goes on",
                held.what, held.holder, held.since, held.remaining_s
            ));
        }
        parts.join("\n")
    }
}
