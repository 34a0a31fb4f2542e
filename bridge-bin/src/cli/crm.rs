//! `crm`: is the target there, and how does delivery stand?

use clap::{Args, Subcommand};
use crm_client::Crm as _;
use serde::Serialize;

use super::Exit;
use super::context::Context;
use super::output;
use crate::convert;
use crate::jobs::sync;

/// The CRM: test the connection, count what was delivered
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  zk-bridge crm test
  zk-bridge crm stats --json")]
pub(super) enum Crm {
    Test(Test),
    Stats(Stats),
}

/// Ask whether the CRM can be reached and lets us in, without telling it anything
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ZK_BRIDGE_CRM_URL=https://crm.example.com/api/attendance zk-bridge crm test")]
pub(super) struct Test {}

/// Count the records delivered, waiting and failed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge crm stats")]
pub(super) struct Stats {}

#[derive(Debug, Serialize)]
struct Reached {
    reachable: bool,
    url: String,
    status: u16,
    web_page: bool,
}

impl Crm {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Test(Test {}) => test(context).await,
            Self::Stats(Stats {}) => stats(context).await,
        }
    }
}

async fn test(context: &Context) -> anyhow::Result<Exit> {
    let app = context.app().await?;
    let crm = sync::connect(&app)?;
    let reached = crm
        .check()
        .await
        .map_err(|error| convert::crm_failure(&error))?;
    let document = Reached {
        reachable: true,
        url: without_secrets(&app.config.crm.url),
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

async fn stats(context: &Context) -> anyhow::Result<Exit> {
    let app = context.app_to_look_at().await?;
    let stats = sync::stats(&app).await?;
    context.output.report(&stats, |stats| {
        output::fields([
            ("Total", Some(stats.total.to_string())),
            (
                "Delivered",
                Some(format!("{} ({} %)", stats.synced, stats.sync_percentage)),
            ),
            ("Not delivered", Some(stats.unsynced.to_string())),
            ("Of these failed", Some(stats.failed.to_string())),
        ])
    })?;
    Ok(Exit::Done)
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
