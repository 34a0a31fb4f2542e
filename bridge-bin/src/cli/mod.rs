//! The command line: one file per command. What reaches stdout goes through `output`.

mod admin;
mod args;
mod backup;
mod clean_up;
mod context;
mod crm;
mod decode;
mod demo;
mod device;
mod init;
mod mock_crm;
mod mock_device;
mod output;
mod poll;
mod process;
mod progress;
mod report;
mod runs;
mod schedule;
mod serve;
mod status;
mod store;
mod sync;
mod terminal;
mod why;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::context::{Context, Globals};
use self::output::Output;
use crate::Failure;

const EXAMPLES: &str = "\
Examples:
  zk-bridge demo                                        see it work, without any terminal
  zk-bridge init --admin anna --password-file pw.txt    set up a data directory
  zk-bridge device add Gate --address 192.168.1.201     register a terminal
  zk-bridge serve                                       read, assess, deliver, and show

Exit status: 0 done, 1 failure, 2 wrong use, 3 done in part.";

/// From biometric attendance terminals to correct attendance records in the HR system
#[derive(Debug, Parser)]
#[command(name = "zk-bridge", bin_name = "zk-bridge", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    Runs(runs::Runs),
    #[command(subcommand)]
    Device(device::Device),
    MockDevice(mock_device::MockDevice),
    MockCrm(mock_crm::MockCrm),
    Poll(poll::Poll),
    Process(process::Process),
    Sync(sync::Sync),
    Status(status::StatusCommand),
    CleanUp(clean_up::CleanUp),
    #[command(subcommand)]
    Crm(crm::Crm),
    #[command(subcommand)]
    Report(report::Report),
    Why(why::Why),
    Decode(decode::Decode),
    #[command(subcommand)]
    Admin(admin::Admin),
    Backup(backup::Backup),
    Restore(backup::Restore),
    #[command(subcommand)]
    Store(store::Store),
}

/// How a command ended that did not fail as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    /// All parts of it failed, each for a reason of its own that was said.
    Failed,
    Partial,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Partial => 3,
        })
    }
}

impl Exit {
    /// By how many parts went wrong, of how many.
    const fn of(failed: u64, total: u64) -> Self {
        match failed {
            0 => Self::Done,
            failed if failed < total => Self::Partial,
            _ => Self::Failed,
        }
    }
}

impl Cli {
    /// Reads the command line; an error has been told already and is the status to end with.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let help = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            if !help && std::env::args_os().any(|argument| argument == "--json") {
                let text = error.to_string();
                // What is missing or possible stands on lines of its own, up to the usage.
                let message = text
                    .lines()
                    .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                    .flat_map(str::split_whitespace)
                    .collect::<Vec<_>>()
                    .join(" ")
                    .trim_start_matches("error: ")
                    .to_owned();
                Output::new(true).failure(&args::usage(
                    message,
                    "See `zk-bridge --help`, or --help of the command.",
                ));
            } else {
                // Nobody is left to be told that this cannot be written.
                let _ = error.print();
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        })
    }

    /// Sends logs to stderr: as `RUST_LOG` says, else warnings, and what happens for commands that go on.
    pub fn start_logging(&self) {
        let usual = match self.command {
            Command::Serve(_) | Command::Demo(_) => "info,sqlx=warn,sea_orm_migration=warn",
            _ => "warn",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            // Without a stderr there is nowhere to complain about it.
            .log_internal_errors(false)
            .init();
    }

    /// Runs the command and says how it ended.
    pub fn run(self) -> ExitCode {
        let context = Context::new(self.globals);
        let result = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| {
                let result = runtime.block_on(self.command.run(&context));
                // Nobody waits any more for what is still looked up or read.
                runtime.shutdown_background();
                result
            });
        match result {
            Ok(exit) => exit.into(),
            Err(error) => {
                tracing::debug!("the command failed: {error:?}");
                let failure = Failure::of(&error);
                context.output.failure(&failure);
                ExitCode::from(if failure.kind == "usage" { 2 } else { 1 })
            }
        }
    }
}

impl Command {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(command) => command.run(context).await,
            Self::Init(command) => command.run(context).await,
            Self::Serve(command) => command.run(context).await,
            Self::Schedule(command) => command.run(context).await,
            Self::Runs(command) => command.run(context).await,
            Self::Device(command) => command.run(context).await,
            Self::MockDevice(command) => command.run(context).await,
            Self::MockCrm(command) => command.run(context).await,
            Self::Poll(command) => command.run(context).await,
            Self::Process(command) => command.run(context).await,
            Self::Sync(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::CleanUp(command) => command.run(context).await,
            Self::Crm(command) => command.run(context).await,
            Self::Report(command) => command.run(context).await,
            Self::Why(command) => command.run(context).await,
            Self::Decode(command) => command.run(&context.output),
            Self::Admin(command) => command.run(context).await,
            Self::Backup(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
            Self::Store(command) => command.run(context).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn some_failures_are_partial_and_all_are_failure() {
        assert_eq!(
            [
                Exit::of(0, 0),
                Exit::of(0, 2),
                Exit::of(1, 2),
                Exit::of(2, 2)
            ],
            [Exit::Done, Exit::Done, Exit::Partial, Exit::Failed]
        );
    }
}
