//! `demo`: everything at once, without any terminal.

use clap::Args;

use super::Exit;
use super::context::Context;
use crate::clock::Clock;
use crate::demo;

/// See it work: software terminals, the bridge, a CRM stand-in and the pages, with lifelike data
///
/// Prints an address and a login link that is good once, for ten minutes, on this machine. Real data is never touched:
/// a directory that was not made by `demo` is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge demo
  zk-bridge demo --listen 127.0.0.1:0 --devices 3 --employees 40 --days 60")]
pub(super) struct Demo {
    /// Where the pages answer; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Terminals
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=50))]
    devices: u32,
    /// Employees
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    employees: u32,
    /// Days of history
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
}

impl Demo {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let options = demo::Options {
            listen: self.listen,
            devices: self.devices,
            employees: self.employees,
            days: self.days,
            data_dir: context.named_data_dir(),
        };
        let output = &context.output;
        let mut written = Ok(());
        demo::run(options, Clock::from_env()?, |step| {
            let result = output.report(step, ToString::to_string);
            if written.is_ok() {
                written = result;
            }
        })
        .await?;
        written?;
        Ok(Exit::Done)
    }
}
