//! `device record`: a conversation in a file, without the people in it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use zk_proto::Recorder;

use super::super::Exit;
use super::super::context::Context;
use super::super::output;
use super::super::progress;
use super::super::terminal::TerminalArgs;
use super::reading;
use crate::Failure;

const ABOUT: &str = "\
Record a whole conversation with one terminal, for a bug report

It reads what `device dump` reads, changes nothing on the terminal, and writes every packet to a file. Names, user \
ids, card numbers, passwords, the comm key, templates, the serial number, the addresses and the product name are masked: \
lengths and widths stay, and the same person stays the same person under another id. Times, verify modes, punch states \
and work codes stay. What goes wrong is recorded as well. `mock-device --replay FILE` answers as the terminal did.";

/// Record a whole conversation with one terminal, for a bug report
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = "\
Example:
  zk-bridge device record --address 192.168.1.201 --output gate.jsonl
  zk-bridge device record --device Gate --output gate.jsonl
  zk-bridge mock-device --replay gate.jsonl")]
pub(in crate::cli) struct Record {
    #[command(flatten)]
    terminal: TerminalArgs,
    /// Where to write the recording; a file of that name is replaced
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// What was recorded.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    packets: usize,
    users: Option<usize>,
    records: Option<usize>,
    warnings: Vec<String>,
}

impl Record {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        // Before anything is said to the terminal.
        let mut draft = Draft::new(&self.output)?;
        let recorder = Recorder::new();
        let read = async |client: &mut zk_proto::Client| {
            let bar = progress::watch(client, &context.output);
            let dump = reading::everything(client).await;
            bar.finish_and_clear();
            Ok(dump)
        };
        let spoken = self
            .terminal
            .speak_heard(context, Some(&recorder), read)
            .await;
        let recording = recorder.recording();
        if recording.has_answers() {
            draft.keep(&recording.to_string())?;
        }
        let (document, whole) = match spoken {
            Ok(spoken) => spoken.result,
            Err(error) => {
                if recording.has_answers() {
                    let packets = output::count(u64::try_from(recording.len())?, "packet");
                    output::note(format_args!(
                        "{packets} until then: {}",
                        self.output.display()
                    ));
                }
                return Err(error);
            }
        };
        let mut warnings = document.warnings;
        if recorder.is_full() {
            warnings.push(
                "The conversation is longer than a recording may be; its end is missing."
                    .to_owned(),
            );
        }
        let report = Report {
            file: self.output.display().to_string(),
            packets: recording.len(),
            users: document.users.map(|users| users.len()),
            records: document.attendance.map(|records| records.len()),
            warnings,
        };
        context.output.report(&report, text)?;
        Ok(if whole { Exit::Done } else { Exit::Partial })
    }
}

fn text(report: &Report) -> String {
    output::notes(&report.warnings);
    let number = |number: Option<usize>| number.map(|number| number.to_string());
    output::fields([
        ("Recording", Some(report.file.clone())),
        ("Packets", number(Some(report.packets))),
        ("Users", number(report.users)),
        ("Records", number(report.records)),
    ])
}

/// A file that takes its name only when it is whole.
struct Draft<'a> {
    path: &'a Path,
    aside: PathBuf,
    file: File,
}

impl<'a> Draft<'a> {
    fn new(path: &'a Path) -> anyhow::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let aside = PathBuf::from(name);
        let file = File::create(&aside).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path, aside, file })
    }

    fn keep(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.file.write_all(text.as_bytes());
        let renamed = written.and_then(|()| fs::rename(&self.aside, self.path));
        renamed.map_err(|error| unwritable(self.path, &error))
    }
}

impl Drop for Draft<'_> {
    /// What was kept has another name by now.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.aside);
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::new(
        "output",
        format!("{} cannot be written: {error}.", path.display()),
        "Name a file in a directory that exists and that you may write to.",
    )
    .into()
}
