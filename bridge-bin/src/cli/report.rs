//! `report daily`: the records of one date.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::Exit;
use super::args;
use super::context::Context;
use super::output::{self, count, hours, note};
use crate::Failure;
use crate::convert::RecordView;

/// Reports
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge report daily --date 2026-03-02")]
pub(super) enum Report {
    Daily(Daily),
}

/// The records of one date
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge report daily
  zk-bridge report daily --date 2026-03-02 --format csv --output march-2.csv")]
pub(super) struct Daily {
    /// The work date [default: today at the site]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = args::date)]
    date: Option<NaiveDate>,
    /// The form [default: table, or json with --json]
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Format>,
    /// Write it into a file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

#[derive(Debug, Serialize)]
struct Document {
    date: NaiveDate,
    records: Vec<Value>,
}

/// One record as people read it.
struct Row {
    view: RecordView,
    name: Option<String>,
}

const HEADER: [&str; 8] = [
    "Name",
    "Employee",
    "Clock In",
    "Clock Out",
    "Hours",
    "Status",
    "Late",
    "Notes",
];

impl Report {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Daily(daily) => daily.run(context).await,
        }
    }
}

impl Daily {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let json = context.output.is_json();
        let format = self
            .format
            .unwrap_or(if json { Format::Json } else { Format::Table });
        if json && format != Format::Json {
            return Err(
                args::usage("--json means --format json.", "Leave one of them away.").into(),
            );
        }
        let app = context.app_to_look_at().await?;
        let date = self.date.unwrap_or_else(|| app.today());
        let names: HashMap<String, String> = app
            .store
            .employees()
            .await?
            .into_iter()
            .filter_map(|row| Some((row.id, row.name?)))
            .collect();
        let records = app.store.records_on(date).await?;
        let number = records.len() as u64;
        let text = match format {
            Format::Json => {
                let with_name = |row: &crate::store::entity::daily_record::Model| {
                    let mut record: Value = serde_json::from_str(&row.content)?;
                    if let Some(fields) = record.as_object_mut() {
                        fields.insert(
                            "employee_name".to_owned(),
                            names.get(&row.employee).cloned().into(),
                        );
                    }
                    anyhow::Ok(record)
                };
                let records = records
                    .iter()
                    .map(with_name)
                    .collect::<anyhow::Result<_>>()?;
                serde_json::to_string(&Document { date, records })? + "\n"
            }
            Format::Table | Format::Csv => {
                let row = |row: &crate::store::entity::daily_record::Model| {
                    anyhow::Ok(Row {
                        view: RecordView::of(row)?,
                        name: names.get(&row.employee).cloned(),
                    })
                };
                let rows = records
                    .iter()
                    .map(row)
                    .collect::<anyhow::Result<Vec<_>>>()?;
                if format == Format::Csv {
                    csv(&rows)?
                } else {
                    output::table(&HEADER, rows.iter().map(Row::cells))
                }
            }
        };
        if number == 0 && format != Format::Json {
            note(format_args!(
                "There are no records for {date}. First: zk-bridge poll, then zk-bridge process."
            ));
        }
        match self.output.filter(|path| path != Path::new("-")) {
            Some(path) => {
                write(&path, &text)?;
                note(format_args!(
                    "Wrote {} to {}.",
                    count(number, "record"),
                    path.display()
                ));
            }
            None if format == Format::Table => {
                if number > 0 {
                    context.output.text(text)?;
                }
            }
            None => context.output.raw(text.as_bytes())?,
        }
        Ok(Exit::Done)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).map_err(|error| {
        Failure::new(
            "output",
            format!("{} cannot be written: {error}.", path.display()),
            "Name a file in a directory that exists and that you may write to.",
        )
        .into()
    })
}

impl Row {
    fn cells(&self) -> [String; 8] {
        let view = &self.view;
        [
            self.name.clone().unwrap_or_default(),
            view.employee.clone(),
            clock(view.clock_in.as_deref(), &view.date),
            clock(view.clock_out.as_deref(), &view.date),
            hours(view.worked_s),
            view.status.replace('_', " "),
            if view.late_s > 0 {
                hours(view.late_s)
            } else {
                String::new()
            },
            self.notes(),
        ]
    }

    fn notes(&self) -> String {
        let view = &self.view;
        let mut notes: Vec<String> = view
            .missing
            .iter()
            .map(|side| format!("no clock-{side}"))
            .collect();
        notes.extend(
            view.outliers
                .iter()
                .chain(&view.flags)
                .map(|code| code.replace('_', " ")),
        );
        if view.early_leave_s > 0 {
            notes.push(format!("left {} early", hours(view.early_leave_s)));
        }
        if view.overtime_s > 0 {
            notes.push(format!("overtime {}", hours(view.overtime_s)));
        }
        if !view.is_final {
            notes.push("not final".to_owned());
        }
        notes.join(", ")
    }
}

/// `07:58`, or `05:02 +1` on the day after the work date.
fn clock(rfc3339: Option<&str>, date: &str) -> String {
    let Some((day, time)) = rfc3339.and_then(|text| text.split_once('T')) else {
        return String::new();
    };
    let time = time.get(..5).unwrap_or(time);
    let days = |text: &str| text.parse::<NaiveDate>().ok();
    match days(day)
        .zip(days(date))
        .map(|(day, date)| day.signed_duration_since(date).num_days())
    {
        Some(0) | None => time.to_owned(),
        Some(days) => format!("{time} {days:+}"),
    }
}

fn csv(rows: &[Row]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["Date"].iter().chain(&HEADER))?;
    for row in rows {
        let cells = std::iter::once(row.view.date.clone()).chain(row.cells());
        writer.write_record(cells.map(|cell| harmless(&cell)))?;
    }
    Ok(String::from_utf8(
        writer
            .into_inner()
            .map_err(|error| anyhow::anyhow!("{error}"))?,
    )?)
}

/// A spreadsheet would run a cell that begins so as a formula.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        let view = serde_json::json!({
            "employee": "1007", "date": "2026-03-02", "shift": "night", "status": "off_worked", "final": false,
            "clock_in": "2026-03-02T20:01:10+03:00", "clock_out": "2026-03-03T05:02:00+03:00",
            "worked_s": 32_400, "late_s": 70, "early_leave_s": 0, "overtime_s": 3_600,
            "missing": ["out"], "outliers": ["in_too_late"], "flags": [],
        });
        Row {
            view: serde_json::from_value(view).unwrap(),
            name: Some(name.to_owned()),
        }
    }

    #[test]
    fn a_row_reads_like_a_sheet() {
        let cells = row("Zoë").cells();
        assert_eq!(
            cells[2..7],
            ["20:01", "05:02 +1", "9:00", "off worked", "0:01"]
        );
        assert_eq!(
            cells[7],
            "no clock-out, in too late, overtime 1:00, not final"
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        let text = csv(&[row("=HYPERLINK(\"http://x\")")]).unwrap();
        let (header, line) = text.split_once('\n').unwrap();
        assert_eq!(
            header,
            "Date,Name,Employee,Clock In,Clock Out,Hours,Status,Late,Notes"
        );
        assert!(
            line.starts_with("2026-03-02,\"'=HYPERLINK(\"\"http://x\"\")\",1007,20:01,"),
            "{line}"
        );
        assert_eq!(
            [
                harmless("+1"),
                harmless("-1"),
                harmless("@x"),
                harmless("x-")
            ],
            ["'+1", "'-1", "'@x", "x-"]
        );
    }
}
