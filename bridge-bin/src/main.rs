//! `zk-bridge`: parse, initialise, dispatch.

use std::process::ExitCode;

use bridge_bin::cli::Cli;

fn main() -> ExitCode {
    match Cli::read() {
        Ok(cli) => {
            cli.start_logging();
            cli.run()
        }
        Err(status) => status,
    }
}
