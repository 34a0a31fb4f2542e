//! Assesses the cases of a file in the form of `domain/examples.json`.
//!
//! ```console
//! $ cargo run -q -p attendance-core --example assess --features serde -- [--check] [--full] [--table] FILE.json
//! ```
//!
//! One line per case: `{"id", "outcome": {records, punches, weeks?} | {error}}`. `--full` adds `slot` and `settles_at`;
//! `--check` lists instead what differs from `expect`; `--table` shows days, punches and their explanations to people.
#![expect(clippy::print_stdout, reason = "it is a command")]

#[path = "../tests/support/exchange.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod exchange;
#[path = "../tests/support/table.rs"]
mod table;
#[path = "../tests/support/zones.rs"]
mod zones;

use std::process::ExitCode;

use serde_json::json;

fn main() -> ExitCode {
    let (options, files): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let ([file], true) = (
        &files[..],
        options
            .iter()
            .all(|option| ["--check", "--full", "--table"].contains(&option.as_str())),
    ) else {
        eprintln!("usage: assess [--check | --table] [--full] FILE.json");
        return ExitCode::from(2);
    };
    let has = |name: &str| options.iter().any(|option| option == name);
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return fail(file, &error),
    };
    let cases = match exchange::cases(&text) {
        Ok(cases) => cases,
        Err(error) => return fail(file, &error),
    };

    let (mut passed, mut failed) = (0, 0);
    for case in &cases {
        if has("--table") && !has("--check") {
            print!("{}", table::of(case));
            continue;
        }
        let outcome = case.outcome(has("--full"));
        if !has("--check") {
            println!("{}", json!({ "id": case.id, "outcome": outcome }));
            continue;
        }
        let differences = case.differences(&outcome);
        if differences.is_empty() {
            passed += 1;
        } else {
            failed += 1;
            println!("{}:", case.id);
            for difference in differences {
                println!("  {difference}");
            }
        }
    }
    if has("--check") {
        println!("{passed} passed, {failed} failed");
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fail(file: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{file}: {error}");
    ExitCode::FAILURE
}
