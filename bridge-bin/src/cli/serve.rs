//! `serve`: the bridge itself, with its pages and its schedule.

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use super::Exit;
use super::backup;
use super::context::Context;
use super::output::note;
use crate::Failure;
use crate::app::App;
use crate::http;
use crate::lifecycle::Shutdown;
use crate::scheduler;

/// Run the bridge: read, assess, deliver on schedule, and show it on pages
///
/// Listens on loopback until an administrator exists. Stops softly at Ctrl-C or SIGTERM, at once at the second.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge serve
  zk-bridge serve --listen 0.0.0.0:8080 --data-dir /var/lib/zk-bridge")]
pub(super) struct Serve {
    /// Where the pages answer; port 0 takes any free one [default: as configured, 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let listen = self.listen.unwrap_or_else(|| app.config.listen.0.clone());
        let listener = bind(&listen).await?;
        let address = listener.local_addr()?;
        let has_administrator = app.store.has_administrator().await?;
        if !address.ip().is_loopback() && !has_administrator {
            return Err(Failure::new(
                "no_administrator",
                format!("There is no administrator yet, so the pages are not opened to the network at {address}."),
                "Create one with `zk-bridge init --admin NAME --password-file FILE`, or listen on 127.0.0.1.",
            )
            .into());
        }
        tracing::info!(database = %app.store.location(), "the database is open");
        // Of several nodes each must hold the same key.
        backup::warn_of_lost_keys(&app).await?;
        scheduler::install(&app).await?;
        let url = format!("http://{address}");
        let document = json!({"ready": true, "url": url, "pid": std::process::id()});
        context
            .output
            .report(&document, |_| format!("Listening on {url}"))?;
        if !has_administrator {
            note(
                "Nobody can log in yet: zk-bridge init --admin NAME --password-file FILE adds an administrator.",
            );
        }
        serve(app, listener).await?;
        Ok(Exit::Done)
    }
}

/// Pages and schedule until a signal asks to stop, or until the pages fail.
async fn serve(app: App, listener: TcpListener) -> anyhow::Result<()> {
    let (shutdown, stop) = Shutdown::new();
    shutdown.clone().on_signals();
    let pages = async {
        let result = http::serve(app.clone(), listener, stop.clone()).await;
        shutdown.stop();
        result
    };
    let (result, ()) = tokio::join!(pages, scheduler::run(app.clone(), stop.clone()));
    result
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
