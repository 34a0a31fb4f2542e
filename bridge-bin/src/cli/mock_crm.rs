//! `mock-crm`: a CRM in software.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Exit;
use super::context::Context;
use super::output::Output;
use crate::Failure;
use crate::demo::crm_stub::{self, CrmStub, Snapshot};
use crate::lifecycle::Shutdown;

/// A software CRM that remembers keys and revisions, and fails on request
///
/// The first line says where it listens: {"url","pid"}. It runs until Ctrl-C or SIGTERM. At any path it takes what the
/// connectors json, webhook, device-export and device-data send; the forms of others get a 422.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge mock-crm --bind 127.0.0.1:9000 --state crm.jsonl --fail 500:3 --fail drop:1
  zk-bridge mock-crm --state crm.jsonl --dump")]
pub(super) struct MockCrm {
    /// Where to listen, on loopback; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Keep what was received in this file, across restarts
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Fail so many requests: 500, 503, 429, 401, 413, 422, timeout, html, garbage, drop or partial; may be given several
    /// times
    #[arg(long, value_name = "KIND:N")]
    fail: Vec<crm_stub::Failure>,
    /// Let in only requests with this token
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Print what the state file holds as one JSON document, and end
    #[arg(long, requires = "state", conflicts_with_all = ["fail", "token"])]
    dump: bool,
}

impl MockCrm {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if let Some(state) = self.state.as_deref().filter(|_| self.dump) {
            context.output.document(&held(state).await?)?;
            return Ok(Exit::Done);
        }
        self.serve(&context.output).await?;
        Ok(Exit::Done)
    }

    async fn serve(self, output: &Output) -> anyhow::Result<()> {
        let mut builder = CrmStub::builder().bind(self.bind);
        if let Some(path) = &self.state {
            builder = builder.state(path);
        }
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        for failure in self.fail {
            builder = builder.fail(failure);
        }
        let crm = builder
            .start()
            .await
            .map_err(|error| cannot_start(&error))?;
        let (shutdown, mut stop) = Shutdown::new();
        shutdown.on_signals();
        output.document(&json!({"url": crm.url(), "pid": std::process::id()}))?;
        stop.requested().await;
        let Snapshot {
            records,
            requests,
            applied,
            repeated,
        } = crm.snapshot();
        let served = json!({"requests": requests, "applied": applied, "repeated": repeated, "records": records.len()});
        output.document(&json!({"served": served}))
    }
}

/// What a state file holds. It is read from a copy: opening it would repair it, under the eyes of a running CRM.
async fn held(state: &Path) -> anyhow::Result<Snapshot> {
    let copy = state.with_extension(format!("dump-{}", std::process::id()));
    std::fs::copy(state, &copy).map_err(|error| {
        Failure::new(
            "state",
            format!(
                "The state file {} cannot be read: {error}.",
                state.display()
            ),
            "Name the file that was given to `zk-bridge mock-crm --state`.",
        )
    })?;
    let opened = CrmStub::builder().state(&copy).start().await;
    let removed = std::fs::remove_file(&copy);
    let snapshot = opened.map_err(|error| cannot_start(&error))?.snapshot();
    removed?;
    Ok(snapshot)
}

fn cannot_start(error: &std::io::Error) -> anyhow::Error {
    let (kind, remedy) = match error.kind() {
        ErrorKind::InvalidData => (
            "state",
            "Name a file that `zk-bridge mock-crm --state` wrote, or a new one.",
        ),
        _ => (
            "listen",
            "Choose another address with --bind, like 127.0.0.1:0, and a --state file you may write.",
        ),
    };
    Failure::new(
        kind,
        format!("The software CRM cannot start: {error}."),
        remedy,
    )
    .into()
}
