//! `device test`: does it answer, and is it the right one?

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::super::Exit;
use super::super::context::Context;
use super::super::output;
use super::super::terminal::TerminalArgs;
use super::document::{CounterFields, DeviceFields};
use super::reading;
use crate::clock::Clock;
use crate::zone;

/// Connect to one terminal and say what it is
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device test --device Gate
  zk-bridge device test --address 192.168.1.201 --comm-key 1234")]
pub(in crate::cli) struct Test {
    #[command(flatten)]
    terminal: TerminalArgs,
}

#[derive(Debug, Serialize)]
struct Answer {
    name: Option<String>,
    address: String,
    connected: bool,
    transport: &'static str,
    duration_ms: u64,
    #[serde(flatten)]
    device: Flat,
    users: Option<u32>,
    records: Option<u32>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Flat {
    serial_number: Option<String>,
    firmware: Option<String>,
    platform: Option<String>,
    time: Option<String>,
    /// Seconds by which it is ahead, where its zone is known.
    clock_drift_s: Option<i64>,
}

impl Test {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let clock = Clock::default();
        let begun = clock.monotonic();
        let spoken = self
            .terminal
            .speak(context, async |client| {
                let transport = match client.transport() {
                    zk_proto::wire::Transport::Tcp => "tcp",
                    zk_proto::wire::Transport::Udp => "udp",
                };
                let info = reading::info(client).await;
                Ok((transport, info, clock.now()))
            })
            .await?;
        let (transport, (info, whole), heard_at) = spoken.result;
        let DeviceFields {
            serial_number,
            firmware,
            platform,
            time,
            ..
        } = info.device;
        let CounterFields { users, records, .. } = info.counters;
        let mut warnings = info.warnings;
        let time = time.map(|time| time.to_string());
        let clock_drift_s = spoken.device.as_ref().and_then(|device| {
            let there = zone::lookup(&device.timezone).ok()?;
            Some(zone::earliest(&there, time.as_ref()?.parse().ok()?)? - heard_at)
        });
        let expected = spoken
            .device
            .as_ref()
            .and_then(|device| device.serial_number.clone());
        let swapped = expected.is_some() && serial_number.is_some() && expected != serial_number;
        if swapped {
            warnings.push(format!(
                "This is another terminal than before: its serial number was {}. It will not be polled.",
                expected.unwrap_or_default()
            ));
        }
        let answer = Answer {
            name: spoken.device.map(|device| device.name),
            address: spoken.address,
            connected: true,
            transport,
            duration_ms: milliseconds(clock.monotonic().duration_since(begun)),
            device: Flat {
                serial_number,
                firmware,
                platform,
                time,
                clock_drift_s,
            },
            users,
            records,
            warnings,
        };
        context.output.report(&answer, Answer::text)?;
        Ok(if whole && !swapped {
            Exit::Done
        } else {
            Exit::Partial
        })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Answer {
    fn text(&self) -> String {
        let head = format!(
            "{} answers over {} ({} ms).",
            self.address, self.transport, self.duration_ms
        );
        let clock = self.device.time.as_ref().map(|time| {
            let drift = self.device.clock_drift_s.map(zone::drift);
            drift.map_or_else(|| time.clone(), |drift| format!("{time}, {drift}"))
        });
        let fields = output::fields([
            ("Serial number", self.device.serial_number.clone()),
            ("Firmware", self.device.firmware.clone()),
            ("Platform", self.device.platform.clone()),
            ("Clock", clock),
            ("Users", self.users.map(|number| number.to_string())),
            ("Records", self.records.map(|number| number.to_string())),
        ]);
        output::notes(&self.warnings);
        format!("{head}\n{fields}")
    }
}
