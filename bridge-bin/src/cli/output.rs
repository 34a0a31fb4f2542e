//! Everything that reaches stdout, and what a person is told on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::Failure;

/// Where a command puts its result. A reader that has gone away (`| head`) is no error: what was begun is finished,
/// so that leases are given back, and nothing more is written.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    closed: AtomicBool,
}

impl Output {
    /// For documents (`--json`) or for people.
    pub(super) const fn new(json: bool) -> Self {
        Self {
            json,
            closed: AtomicBool::new(false),
        }
    }

    /// Whether documents were asked for.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// The result of a command: `document` with `--json`, else `text`.
    pub(super) fn report<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            self.document(document)
        } else {
            self.text(text(document))
        }
    }

    /// One JSON document on a line of its own.
    pub(super) fn document(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// A text for people, without the control characters that a terminal or a name in it may have smuggled in.
    pub(super) fn text(&self, text: impl Display) -> anyhow::Result<()> {
        let text = clean(&text.to_string());
        self.write(|out| writeln!(out, "{}", text.trim_end()))
    }

    /// Bytes as they are.
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(|out| out.write_all(bytes))
    }

    fn write(&self, work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut out = BufWriter::new(io::stdout().lock());
        match work(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                // What is still buffered would only fail once more.
                let _ = out.into_parts();
                Ok(())
            }
            Err(error) => Err(Failure::new(
                "output",
                format!("The result cannot be written: {error}."),
                "Check the disk and the file that the output goes to.",
            )
            .into()),
            Ok(()) => Ok(()),
        }
    }

    /// The one document or the two lines that a failed command leaves.
    pub(super) fn failure(&self, failure: &Failure) {
        let Failure {
            kind,
            message,
            remedy,
        } = failure;
        if self.json {
            let document = json!({"error": {"kind": kind, "message": message, "remedy": remedy}});
            // Nobody is left to be told that this cannot be written either.
            let _ = self.document(&document);
        } else {
            note(format_args!("error: {message}\n{remedy}"));
        }
    }
}

/// Something to know beside the result; always on stderr.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", clean(&text.to_string()));
}

/// Warnings, one per line.
pub(super) fn notes(warnings: &[String]) {
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
}

/// A table for people.
pub(super) fn table<R>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for row in rows {
        table.add_row(row.into_iter().map(|cell| clean(&cell)));
    }
    table.to_string()
}

/// Names with their values, one per line; what is not known is shown as a dash.
pub(super) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let fields: Vec<_> = fields.into_iter().collect();
    let width = fields
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(name, value): (&str, Option<String>)| {
        format!("{name:width$}  {}", value.as_deref().unwrap_or("–"))
    };
    fields.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `1 record`, `2 records`.
pub(super) fn count(number: impl Into<u64>, thing: &str) -> String {
    match number.into() {
        1 => format!("1 {thing}"),
        number => format!("{number} {}", plural(thing)),
    }
}

/// Several of a thing.
pub(super) fn plural(thing: &str) -> String {
    match thing.strip_suffix('y') {
        Some(stem) if !thing.ends_with("ay") => format!("{stem}ies"),
        None if thing.ends_with("ch") => format!("{thing}es"),
        _ => format!("{thing}s"),
    }
}

/// Seconds as `h:mm`.
pub(super) fn hours(seconds: i64) -> String {
    format!("{}:{:02}", seconds / 3600, seconds / 60 % 60)
}

/// Without what could steer the terminal of the person reading.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = table(&["Name"], [["\u{1b}[2JEve".to_owned()]]);
        assert!(
            text.contains("\u{fffd}[2JEve") && !text.contains('\u{1b}'),
            "{text}"
        );
    }

    #[test]
    fn numbers_read_like_speech() {
        assert_eq!(
            [count(1_u64, "record"), count(0_u64, "record")],
            ["1 record", "0 records"]
        );
        assert_eq!(
            [hours(0), hours(3_599), hours(36_060)],
            ["0:00", "0:59", "10:01"]
        );
    }
}
