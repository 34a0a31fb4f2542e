//! `device dump`: everything a terminal holds, without a database.

use clap::Args;

use super::super::Exit;
use super::super::context::Context;
use super::super::output;
use super::super::progress;
use super::super::terminal::TerminalArgs;
use super::document::{AttendanceRow, Document, UserRow};
use super::{info, reading};

/// Print everything one terminal holds: itself, its users, its attendance log
///
/// Needs no database and changes nothing on the terminal. Numbers stand for codes, times are as told, and what could
/// not be had is null and explained in `warnings`. An incomplete read ends with status 3.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device dump --address 192.168.1.201 --json > gate.json
  zk-bridge device dump --device Gate --encoding windows-1256")]
pub(in crate::cli) struct Dump {
    #[command(flatten)]
    terminal: TerminalArgs,
}

impl Dump {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let read = async |client: &mut zk_proto::Client| {
            let bar = progress::watch(client, &context.output);
            let dump = reading::everything(client).await;
            bar.finish_and_clear();
            Ok(dump)
        };
        let (document, whole) = self.terminal.speak(context, read).await?.result;
        context.output.report(&document, text)?;
        Ok(if whole { Exit::Done } else { Exit::Partial })
    }
}

fn text(document: &Document) -> String {
    output::notes(&document.warnings);
    let head = info::text(&document.device, &document.counters);
    let users = document
        .users
        .as_deref()
        .map_or_else(|| "Users: not read".to_owned(), users);
    let attendance = document
        .attendance
        .as_deref()
        .map_or_else(|| "Attendance: not read".to_owned(), attendance);
    format!("{head}\n\n{users}\n\n{attendance}")
}

fn users(users: &[UserRow]) -> String {
    let rows = users.iter().map(|row| {
        let user = &row.0;
        [
            user.uid.to_string(),
            row.user_id(),
            row.name(),
            user.privilege.0.to_string(),
            user.card.to_string(),
            user.group.to_string(),
        ]
    });
    output::table(
        &["UID", "User ID", "Name", "Privilege", "Card", "Group"],
        rows,
    )
}

fn attendance(records: &[AttendanceRow]) -> String {
    let rows = records.iter().map(|AttendanceRow(record)| {
        [
            record.user_id.decode(zk_proto::Encoding::Auto).into_owned(),
            record.uid.to_string(),
            format!(
                "{}{}",
                record.time,
                if record.time.is_valid() {
                    ""
                } else {
                    " (no date)"
                }
            ),
            record.verify_mode.0.to_string(),
            record.punch_state.0.to_string(),
            record.work_code.to_string(),
        ]
    });
    output::table(
        &[
            "User ID",
            "UID",
            "Time",
            "Verify mode",
            "Punch state",
            "Work code",
        ],
        rows,
    )
}
