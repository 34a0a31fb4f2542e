//! `poll`: read terminals into the raw store.

use chrono::DateTime;
use clap::Args;

use super::Exit;
use super::context::Context;
use super::output::{self, count, note};
use super::progress;
use crate::app::App;
use crate::jobs::poll;
use crate::lifecycle::Shutdown;
use crate::zone;

/// Read terminals: all enabled ones, or those named
///
/// Punches are stored and nothing is derived from them yet: that is `process`. `serve` does both by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge poll
  zk-bridge poll --device Gate --full")]
pub(super) struct Poll {
    /// Only this terminal; may be given several times
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
    /// Store only punches of the last so many hours
    #[arg(long, value_name = "N", conflicts_with = "since_days", value_parser = clap::value_parser!(u32).range(1..=876_000))]
    since_hours: Option<u32>,
    /// Store only punches of the last so many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    since_days: Option<u32>,
    /// Read the whole log, whatever was read before
    #[arg(long)]
    full: bool,
    /// Only say what would be stored
    #[arg(long)]
    dry_run: bool,
}

impl Poll {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let (shutdown, stop) = Shutdown::new();
        shutdown.on_signals();
        let bars = progress::per_device(&context.output);
        let options = poll::Options {
            devices: self.device,
            since_hours: self.since_hours.or(self.since_days.map(|days| days * 24)),
            full: self.full,
            dry_run: self.dry_run,
            progress: bars.as_ref().map(|(_, report)| report.clone()),
            stop: Some(stop),
        };
        let report = poll::run(&app, &options).await?;
        if let Some((bars, _)) = bars {
            // A bar left on the screen does no harm.
            let _ = bars.clear();
        }
        if report.total_devices == 0 {
            note(
                "There is no enabled terminal to read. Add one: zk-bridge device add NAME --address HOST",
            );
            if !context.output.is_json() {
                return Ok(Exit::Done);
            }
        }
        context
            .output
            .report(&report, |report| text(&app, report))?;
        let new: u64 = report.devices.iter().map(|device| device.new_records).sum();
        if !context.output.is_json() && new > 0 {
            note(if self.dry_run {
                "Nothing was stored: this was a dry run."
            } else {
                "Next: zk-bridge process, which turns new punches into daily records."
            });
        }
        Ok(
            match Exit::of(report.failed as u64, report.total_devices as u64) {
                Exit::Done if report.partial > 0 => Exit::Partial,
                exit => exit,
            },
        )
    }
}

fn text(app: &App, report: &poll::Report) -> String {
    let at = |utc: &String| {
        let instant = DateTime::parse_from_rfc3339(utc).ok()?.timestamp();
        Some(zone::rfc3339(&app.zone, instant))
    };
    let rows = report.devices.iter().map(|device| {
        [
            device.device.clone(),
            device.status.to_owned(),
            device.mode.unwrap_or("–").to_owned(),
            device.total_fetched.to_string(),
            device.new_records.to_string(),
            device.repeated.to_string(),
            device
                .last_sync
                .as_ref()
                .and_then(at)
                .unwrap_or_else(|| "never".to_owned()),
        ]
    });
    let table = output::table(
        &[
            "Device",
            "Status",
            "Read",
            "Fetched",
            "New",
            "Repeated",
            "Last sync",
        ],
        rows,
    );
    let troubles = report.devices.iter().filter_map(|device| {
        let trouble = device.error.as_ref()?;
        Some(format!(
            "\n{}: {} {}",
            device.device, trouble.message, trouble.remedy
        ))
    });
    let total = count(report.total_devices as u64, "terminal");
    let counts = format!(
        "{total}: {} ok, {} partial, {} failed",
        report.successful, report.partial, report.failed
    );
    format!("{table}\n{counts}{}", troubles.collect::<String>())
}
