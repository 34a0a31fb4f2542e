//! `crm`: are the targets there, how does delivery stand, and what exactly would be sent?

use clap::{Args, Subcommand};
use crm_client::Crm as _;
use serde::Serialize;
use serde_json::json;

use super::Exit;
use super::context::Context;
use super::output::{self, count, note, table};
use crate::convert;
use crate::failure::Failure;
use crate::jobs::sync;
use crate::store::dead_letters::Dismissal;
use crate::store::entity::outbox;
use crate::zone;

/// The CRM and all other targets: test the connection, count what was delivered, look at what is sent
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge crm test
  zk-bridge crm stats --json
  zk-bridge crm preview --target hr
  zk-bridge crm dead-letters
  zk-bridge crm dismiss 17 --reason 'left before the CRM was set up'")]
pub(super) enum Crm {
    Test(Test),
    Stats(Stats),
    Preview(Preview),
    DeadLetters(DeadLetters),
    Dismiss(Dismiss),
}

/// Ask whether a target can be reached and lets us in, without telling it anything
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ZK_BRIDGE_CRM_URL=https://crm.example.com/api/attendance zk-bridge crm test")]
pub(super) struct Test {
    /// Which target; needed if there are several
    #[arg(long, value_name = "ID")]
    target: Option<String>,
}

/// Count the records delivered, waiting and failed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge crm stats")]
pub(super) struct Stats {
    /// Only of this target [default: all together]
    #[arg(long, value_name = "ID")]
    target: Option<String>,
}

/// Print the requests by which the next records would be sent, without sending them
///
/// If nothing waits, that of the last record that was sent. Secrets in headers, in user info and in the query of an
/// address are hidden; what is written into the path of an address or the body of a template is shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge crm preview --target hr --limit 3")]
pub(super) struct Preview {
    /// Which target; needed if there are several
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// The entry with this id, such as a record id
    #[arg(long, value_name = "ID", conflicts_with = "limit")]
    entry: Option<String>,
    /// At most so many records
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

/// List the records that a target refused for good, with its words
///
/// `zk-bridge sync --retry-failed` tries them again, `zk-bridge crm dismiss` closes them.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge crm dead-letters --target hr --json")]
pub(super) struct DeadLetters {
    /// Only of this target [default: all]
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
}

/// Close records that a target refused for good and that nobody wants to try again
///
/// They ring no alarm any more and keep no days from being cleaned up. If such a record changes later, the target is
/// told of it as usual.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge crm dismiss 17 18 --reason 'left before the CRM was set up' --by Anna")]
pub(super) struct Dismiss {
    /// Their numbers, as `zk-bridge crm dead-letters` shows them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    /// Who says so, for the audit trail
    #[arg(long, value_name = "NAME", default_value = "command line")]
    by: String,
}

#[derive(Debug, Serialize)]
struct Reached {
    target: String,
    reachable: bool,
    url: String,
    status: u16,
    web_page: bool,
}

impl Crm {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Test(command) => command.run(context).await,
            Self::Stats(command) => command.run(context).await,
            Self::Preview(command) => command.run(context).await,
            Self::DeadLetters(command) => command.run(context).await,
            Self::Dismiss(command) => command.run(context).await,
        }
    }
}

impl Test {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let target = sync::chosen(&app, self.target.as_deref())?;
        let reached = convert::target(target)?
            .check()
            .await
            .map_err(|error| convert::crm_failure(&error))?;
        let document = Reached {
            target: target.id.clone(),
            reachable: true,
            url: without_secrets(&target.url),
            status: reached.status,
            web_page: reached.web_page,
        };
        context.output.report(&document, |document| {
            let mut text = format!("{} answers (HTTP {}).", document.url, document.status);
            if document.web_page {
                text += "\nThe answer is a web page; if delivery fails, check the address.";
            }
            text
        })?;
        Ok(Exit::Done)
    }
}

/// Some addresses carry a user, a password or a token.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

impl Stats {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let stats = match &self.target {
            Some(id) => sync::stats_of(&app, sync::chosen(&app, Some(id))?).await?,
            None => sync::stats(&app).await?,
        };
        context.output.report(&stats, |stats| {
            output::fields([
                ("Total", Some(stats.total.to_string())),
                (
                    "Delivered",
                    Some(format!("{} ({} %)", stats.synced, stats.sync_percentage)),
                ),
                ("Not delivered", Some(stats.unsynced.to_string())),
                ("Of these failed", Some(stats.failed.to_string())),
                ("Dismissed", Some(stats.dismissed.to_string())),
            ])
        })?;
        Ok(Exit::Done)
    }
}

impl Preview {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        let target = sync::chosen(&app, self.target.as_deref())?;
        let requests = sync::preview(&app, target, self.entry.as_deref(), self.limit).await?;
        if requests.is_empty() {
            if let Some(entry) = &self.entry {
                return Err(Failure::new(
                    "unknown_entry",
                    format!("No entry {entry:?} was queued for {}.", target.id),
                    "The ids are in the output of `zk-bridge crm preview` and `crm dead-letters --json`.",
                )
                .into());
            }
            note(
                "There is nothing to show: no record was queued for this target yet. \
                 The first `zk-bridge sync` queues what a new target has missed; `sync --dry-run` says how much.",
            );
        }
        let shown: Vec<_> = requests
            .iter()
            .map(|request| match request {
                Ok(request) => json!({
                    "method": request.method,
                    "url": request.url,
                    "headers": request.headers,
                    "body": request.body,
                }),
                Err(reason) => json!({"refused": reason}),
            })
            .collect();
        let document = json!({"target": target.id, "requests": shown});
        context.output.report(&document, |_| {
            let texts = requests.iter().map(|request| match request {
                Ok(request) => {
                    let headers = request
                        .headers
                        .iter()
                        .map(|(name, value)| format!("{name}: {value}\n"));
                    let head = format!("{} {}\n", request.method, request.url);
                    format!("{head}{}\n{}\n", headers.collect::<String>(), request.body)
                }
                Err(reason) => format!("This record would not be sent: {reason}\n"),
            });
            texts.collect::<Vec<_>>().join("\n")
        })?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Serialize)]
struct DeadLetter {
    id: i64,
    target: String,
    entry_id: String,
    user_id: String,
    date: String,
    revision: i64,
    deleted: bool,
    attempts: i32,
    #[serde(serialize_with = "zone::as_utc_if_any")]
    refused_at: Option<i64>,
    reason: Option<String>,
}

impl From<outbox::Model> for DeadLetter {
    fn from(row: outbox::Model) -> Self {
        Self {
            id: row.id,
            target: row.target,
            entry_id: row.entry_id,
            user_id: row.employee,
            date: row.date,
            revision: row.revision,
            deleted: row.deleted,
            attempts: row.attempts,
            refused_at: row.settled_at,
            reason: row.last_error,
        }
    }
}

impl DeadLetters {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app_to_look_at().await?;
        if let Some(id) = &self.target {
            sync::chosen(&app, Some(id))?;
        }
        let rows = app
            .store
            .dead_letters(self.target.as_deref(), self.limit)
            .await?;
        let letters: Vec<DeadLetter> = rows.into_iter().map(DeadLetter::from).collect();
        let document = json!({"dead_letters": letters});
        context.output.report(&document, |_| {
            if letters.is_empty() {
                return "No target refused anything.".to_owned();
            }
            let rows = letters.iter().map(|letter| {
                [
                    letter.id.to_string(),
                    letter.target.clone(),
                    letter.user_id.clone(),
                    letter.date.clone(),
                    letter
                        .refused_at
                        .map(|at| zone::rfc3339(&app.zone, at))
                        .unwrap_or_default(),
                    letter.reason.clone().unwrap_or_default(),
                ]
            });
            table(
                &[
                    "Id",
                    "Target",
                    "Employee",
                    "Date",
                    "Refused at",
                    "Its words",
                ],
                rows,
            )
        })?;
        if !letters.is_empty() && !context.output.is_json() {
            note(
                "Mend the cause, then try them again: zk-bridge sync --retry-failed\n\
                 Those that shall stay refused: zk-bridge crm dismiss ID --reason TEXT",
            );
        }
        Ok(Exit::Done)
    }
}

impl Dismiss {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let dismissal = Dismissal {
            by: &self.by,
            reason: &self.reason,
        };
        let now = app.clock.now();
        let closed = app.store.dismiss(&self.ids, dismissal, now).await?;
        let closed = closed.map_err(|wrong| {
            let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            Failure::new(
                "unknown_dead_letter",
                format!(
                    "No dead letter has the id {}; nothing was dismissed.",
                    wrong.join(" or ")
                ),
                "See `zk-bridge crm dead-letters` for the ids.",
            )
        })?;
        let letters: Vec<DeadLetter> = closed.into_iter().map(DeadLetter::from).collect();
        let document = json!({"dismissed": letters});
        context.output.report(&document, |_| {
            format!("{} dismissed.", count(letters.len() as u64, "dead letter"))
        })?;
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(
            without_secrets("https://me:pw@crm.example:8443/api/x?token=t#f"),
            "https://crm.example:8443/api/x"
        );
        assert_eq!(
            without_secrets("https://crm.example"),
            "https://crm.example"
        );
    }
}
