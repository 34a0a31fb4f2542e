//! `device info`: the head of a dump.

use clap::Args;

use super::super::Exit;
use super::super::context::Context;
use super::super::output;
use super::super::terminal::TerminalArgs;
use super::document::{CounterFields, DeviceFields};
use super::{document, reading};

/// Show what one terminal says about itself
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device info --device Gate
  zk-bridge device info --address 192.168.1.201 --json")]
pub(in crate::cli) struct Info {
    #[command(flatten)]
    terminal: TerminalArgs,
}

impl Info {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let spoken = self
            .terminal
            .speak(context, async |client| Ok(reading::info(client).await))
            .await?;
        let (info, whole) = spoken.result;
        context.output.report(
            &info,
            |document::Info {
                 device,
                 counters,
                 warnings,
             }| {
                output::notes(warnings);
                text(device, counters)
            },
        )?;
        Ok(if whole { Exit::Done } else { Exit::Partial })
    }
}

/// Device and counters for people.
pub(super) fn text(device: &DeviceFields, counters: &CounterFields) -> String {
    let of = |used: Option<u32>, room: Option<u32>| match (used, room) {
        (Some(used), Some(room)) => Some(format!("{used} of {room}")),
        (used, _) => used.map(|used| used.to_string()),
    };
    output::fields([
        ("Serial number", device.serial_number.clone()),
        ("Firmware", device.firmware.clone()),
        ("Platform", device.platform.clone()),
        ("Product name", device.name.clone()),
        ("MAC", device.mac.clone()),
        ("Clock", device.time.map(|time| time.to_string())),
        ("Users", of(counters.users, counters.users_max)),
        ("Fingers", of(counters.fingers, counters.fingers_max)),
        ("Records", of(counters.records, counters.records_max)),
        ("Faces", of(counters.faces, counters.faces_max)),
    ])
}
