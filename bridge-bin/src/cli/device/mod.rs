//! `device`: the registry of terminals, and speaking with one.

mod add;
pub(super) mod document;
mod dump;
mod edit;
mod info;
mod list;
mod reading;
mod record;
mod test;

use clap::Subcommand;

use super::Exit;
use super::context::Context;

/// Terminals: register them, look at them, speak with one
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge device add Gate --address 192.168.1.201
  zk-bridge device test --device Gate")]
pub(super) enum Device {
    Add(add::Add),
    List(list::List),
    Show(list::Show),
    Edit(edit::Edit),
    Enable(edit::Enable),
    Disable(edit::Disable),
    Test(test::Test),
    Info(info::Info),
    Dump(dump::Dump),
    Record(record::Record),
}

impl Device {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Add(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Edit(command) => command.run(context).await,
            Self::Enable(command) => command.run(context).await,
            Self::Disable(command) => command.run(context).await,
            Self::Test(command) => command.run(context).await,
            Self::Info(command) => command.run(context).await,
            Self::Dump(command) => command.run(context).await,
            Self::Record(command) => command.run(context).await,
        }
    }
}
