//! `serve`: the bridge itself, with its pages and its schedule.

use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::net::TcpListener;

use super::Exit;
use super::args;
use super::backup;
use super::context::Context;
use super::output::note;
use crate::Failure;
use crate::app::App;
use crate::http;
use crate::jobs::sync;
use crate::lifecycle::{self, Shutdown, be_present};
use crate::notify;
use crate::scheduler;

/// Run the bridge: read, assess, deliver on schedule, and show it on pages
///
/// Listens on loopback until an administrator exists. Stops softly at Ctrl-C or SIGTERM: what is under way gets ten
/// seconds, what needs longer is handed back. At once at the second. Several of these may share one database.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge serve
  zk-bridge serve --listen 0.0.0.0:8080 --data-dir /var/lib/zk-bridge
  zk-bridge serve --role worker          one more node on a shared PostgreSQL database, without pages")]
pub(super) struct Serve {
    /// Where the pages answer; port 0 takes any free one [default: as configured, 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// What this node does
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Pages and jobs
    All,
    /// Pages alone
    Web,
    /// Jobs alone; nothing listens
    Worker,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Web => "web",
            Self::Worker => "worker",
        }
    }
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.role == Role::Worker && self.listen.is_some() {
            return Err(args::usage(
                "A worker has no pages, so nothing listens.",
                "Leave --listen out, or choose --role web or all.",
            )
            .into());
        }
        let app = context.app_or_new().await?;
        if self.role != Role::Web {
            tell_faults(&app);
        }
        tracing::info!(database = %app.store.location(), "the database is open");
        // Of several nodes each must hold the same key.
        backup::warn_of_lost_keys(&app).await?;
        let listener = match self.role {
            Role::Worker => None,
            Role::All | Role::Web => Some(listen(&app, self.listen).await?),
        };
        // As early as this, so that a signal finds somebody who stops softly.
        let (shutdown, stop) = Shutdown::new();
        shutdown.clone().on_signals();
        if self.role != Role::Web {
            scheduler::install(&app).await?;
        }
        let url = listener
            .as_ref()
            .map(|listener| {
                listener
                    .local_addr()
                    .map(|address| format!("http://{address}"))
            })
            .transpose()?;
        let document = json!({"ready": true, "url": url, "pid": std::process::id()});
        context.output.report(&document, |_| match &url {
            Some(url) => format!("Listening on {url}"),
            None => "Working; there are no pages here.".to_owned(),
        })?;
        if listener.is_some() && !app.store.has_administrator().await? {
            note(
                "Nobody can log in yet: zk-bridge init --admin NAME --password-file FILE adds an administrator.",
            );
        }
        let present = be_present(app.clone(), self.role.name(), url, stop.clone());
        let pages = async {
            let Some(listener) = listener else {
                return Ok(());
            };
            // Without its pages the process is of no use to whoever waits for them.
            let result = http::serve(app.clone(), listener, stop.clone()).await;
            shutdown.stop();
            result
        };
        let jobs = async {
            if self.role != Role::Web {
                tokio::join!(
                    scheduler::run(app.clone(), stop.clone()),
                    notify::run(app.clone(), stop.clone())
                );
            }
        };
        let (result, (), ()) = tokio::join!(pages, jobs, present);
        lifecycle::leave(&app).await;
        result?;
        Ok(Exit::Done)
    }
}

/// What would only show when something is to be delivered, or told, is said now that somebody looks. Terminals are read
/// all the same, and other targets told (P6).
fn tell_faults(app: &App) {
    let targets = if sync::is_configured(app) {
        sync::check(app, None)
    } else {
        Ok(())
    };
    for error in [targets, app.config.alarms.check_secret()]
        .into_iter()
        .filter_map(Result::err)
    {
        let Failure {
            message, remedy, ..
        } = Failure::of(&error);
        tracing::error!("{message} {remedy} Until then nothing is sent there; it waits.");
    }
}

async fn listen(app: &App, wanted: Option<String>) -> anyhow::Result<TcpListener> {
    let listener = bind(wanted.as_deref().unwrap_or(&app.config.listen.0)).await?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && !app.store.has_administrator().await? {
        return Err(Failure::new(
            "no_administrator",
            format!("There is no administrator yet, so the pages are not opened to the network at {address}."),
            "Create one with `zk-bridge init --admin NAME --password-file FILE`, or listen on 127.0.0.1.",
        )
        .into());
    }
    Ok(listener)
}

async fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure::new(
            "listen",
            format!("Nothing can listen on {listen}: {error}."),
            "Choose another address with --listen, like 127.0.0.1:8081; port 0 takes any free one.",
        )
        .into()
    })
}
