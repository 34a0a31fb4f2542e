//! Who does the work: what the running nodes say of themselves (B50).

use serde::Serialize;

use crate::app::App;
use crate::lifecycle::SILENT;
use crate::zone;

/// The nodes that serve the store, and what they are at.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Whether any node was heard of lately.
    pub running: bool,
    /// All that were heard of, oldest first.
    pub nodes: Vec<Node>,
    /// Terminals that wait to be read.
    pub due: usize,
    /// Terminals that failed, with their next try.
    pub failing: Vec<Failing>,
    /// What is held at this moment.
    pub held: Vec<Held>,
}

/// A process that serves the store.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// As leases and runs name it.
    pub name: String,
    /// `all`, `web` or `worker`.
    pub role: String,
    /// Where its pages answer.
    pub url: Option<String>,
    /// Its process id on its machine.
    pub pid: i64,
    /// When it started.
    #[serde(serialize_with = "zone::as_utc")]
    pub started: i64,
    /// When it was last heard of.
    #[serde(serialize_with = "zone::as_utc")]
    pub seen: i64,
    /// Whether that is lately.
    pub alive: bool,
}

/// A terminal that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failing {
    /// Its name.
    pub device: String,
    /// Failures since the last success.
    pub failures: i32,
    /// When it is tried again.
    #[serde(serialize_with = "zone::as_utc_if_any")]
    pub next_try: Option<i64>,
}

/// Something that one node holds, so that no other touches it.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// `terminal:NAME`, `job:NAME` or `target:NAME`.
    pub what: String,
    /// The node or command.
    pub holder: String,
    /// Since when.
    #[serde(serialize_with = "zone::as_utc")]
    pub since: i64,
    /// Seconds until it lapses unless the holder goes on.
    pub remaining_s: i64,
}

impl Service {
    pub(super) async fn load(app: &App, now: i64) -> anyhow::Result<Self> {
        let nodes = app.store.nodes().await?;
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|row| Node {
                alive: row.seen_at > now - SILENT,
                name: row.name,
                role: row.role,
                url: row.url,
                pid: row.pid,
                started: row.started_at,
                seen: row.seen_at,
            })
            .collect();
        let devices = app.store.devices().await?;
        let due = app.store.due_devices().await?;
        let enabled = devices.iter().filter(|device| device.enabled);
        let rows: Vec<_> = enabled
            .filter_map(|device| Some((device, due.get(&device.id)?)))
            .collect();
        let failing = rows.iter().filter(|(_, row)| row.failures > 0);
        let failing = failing.map(|(device, row)| Failing {
            device: device.name.clone(),
            failures: row.failures,
            next_try: row.due_at,
        });
        let name_of = |lease: &str| {
            let id = lease.strip_prefix("terminal:")?.parse::<i64>().ok()?;
            let device = devices.iter().find(|device| device.id == id)?;
            Some(format!("terminal:{}", device.name))
        };
        let held = app.store.held_leases(app.clock.now_ms()).await?;
        let held = held.into_iter().map(|(row, remaining_ms)| Held {
            what: name_of(&row.name).unwrap_or(row.name),
            holder: row.holder,
            since: row.since.div_euclid(1000),
            remaining_s: remaining_ms.div_euclid(1000) + 1,
        });
        Ok(Self {
            running: nodes.iter().any(|node| node.alive),
            nodes,
            due: rows
                .iter()
                .filter(|(_, row)| row.due_at.is_some_and(|at| at <= now))
                .count(),
            failing: failing.collect(),
            held: held.collect(),
        })
    }
}
