//! Assesses the cases of a file in the form of `domain/examples.json`.
//!
//! ```console
//! $ cargo run -q -p attendance-core --example assess --features serde -- [OPTIONS] FILE.json
//! ```
//!
//! `--help` lists the options.
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

const HELP: &str = r#"Assesses the cases of a file: one line of JSON for each.

  {"id", "outcome": {records, punches, weeks?} | {error}}

usage: assess [OPTIONS] FILE.json     (- reads standard input)

  --table    days, punches and their explanations as a table
  --full     adds `slot` and `settles_at` to the records
  --explain  adds `findings` to the records and an `explanation` to each punch
  --check    lists instead what differs from `expect`; exit 1 if anything does
  --help     this text

A file has one case, or a list of them. This is one:

  {"id": "a night",
   "config": {"tz": "Africa/Nairobi", "range": {"from": "2025-11-11", "to": "2025-11-11"},
              "shifts": [{"id": "night", "start": "20:00", "end": "05:00"}], "default_shift": "night"},
   "punches": [{"id": "p1", "user": "29", "device": "gate", "time": "2025-11-11T20:15:00"},
               {"id": "p2", "user": "29", "device": "gate", "time": "2025-11-12T05:10:00"}]}

example: assess --table tests/data/examples.json
"#;

const OPTIONS: [&str; 4] = ["--check", "--table", "--full", "--explain"];

fn main() -> ExitCode {
    let (options, files): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    if has("--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let strange = |option: &&String| !OPTIONS.contains(&option.as_str());
    if let Some(option) = options.iter().find(strange) {
        eprintln!("there is no option {option}; --help lists them");
        return ExitCode::from(2);
    }
    let [file] = &files[..] else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let text = match file.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()),
        file => std::fs::read_to_string(file),
    };
    let text = match text {
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
        if !has("--check") {
            let outcome = if has("--explain") {
                case.explained(has("--full"))
            } else {
                case.outcome(has("--full"))
            };
            println!("{}", json!({ "id": case.id, "outcome": outcome }));
            continue;
        }
        let differences = case.differences(&case.outcome(false));
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
