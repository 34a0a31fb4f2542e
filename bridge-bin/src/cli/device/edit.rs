//! `device edit`, `enable` and `disable`.

use clap::Args;
use zk_proto::Encoding;

use super::super::Exit;
use super::super::args::{self, Address, CommKey, Transport};
use super::super::context::Context;
use super::list::Row;
use crate::app::App;
use crate::store::entity::device;

/// Change a registered terminal
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device edit Gate --address 192.168.1.202
  zk-bridge device edit Gate --comm-key -        the new key comes from stdin")]
pub(in crate::cli) struct Edit {
    /// Its name
    name: String,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Where it answers [default port: 4370]
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Option<Address>,
    /// Tried when the first address does not answer
    #[arg(long, value_name = "HOST[:PORT]")]
    secondary_address: Option<Address>,
    /// Its comm key, `-` to read it from stdin; 0 means none
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    comm_key: Option<CommKey>,
    /// How packets travel
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transport>,
    /// How it writes names: auto, utf-8, gbk, windows-1256 …
    #[arg(long, value_name = "ENCODING", value_parser = args::encoding)]
    encoding: Option<Encoding>,
    /// Where it hangs, free text
    #[arg(long, value_parser = args::name)]
    office: Option<String>,
}

/// Read a terminal again that was disabled
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device enable Gate")]
pub(in crate::cli) struct Enable {
    /// Its name
    name: String,
}

/// Stop reading a terminal; what it told so far stays
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device disable Gate")]
pub(in crate::cli) struct Disable {
    /// Its name
    name: String,
}

impl Edit {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let changes = self.changes;
        let key = changes.comm_key.map(|key| key.number()).transpose()?;
        let app = context.app().await?;
        let mut device = app.store.device(&self.name).await?;
        if let Some(address) = changes.address {
            device.address = address.0;
        }
        if let Some(address) = changes.secondary_address {
            device.secondary_address = Some(address.0);
        }
        if let Some(key) = key {
            device.comm_key = match key {
                0 => None,
                key => Some(app.secrets.seal(&key.to_string())?),
            };
        }
        if let Some(transport) = changes.transport {
            transport.name().clone_into(&mut device.transport);
        }
        if let Some(encoding) = changes.encoding {
            encoding.name().clone_into(&mut device.encoding);
        }
        if let Some(office) = changes.office {
            device.office = Some(office);
        }
        save(context, &app, device, "Changed").await
    }
}

impl Enable {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let device = app.store.device(&self.name).await?;
        save(
            context,
            &app,
            device::Model {
                enabled: true,
                ..device
            },
            "Enabled",
        )
        .await
    }
}

impl Disable {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let app = context.app().await?;
        let device = app.store.device(&self.name).await?;
        save(
            context,
            &app,
            device::Model {
                enabled: false,
                ..device
            },
            "Disabled",
        )
        .await
    }
}

async fn save(
    context: &Context,
    app: &App,
    mut device: device::Model,
    done: &str,
) -> anyhow::Result<Exit> {
    device.updated_at = app.clock.now();
    app.store.update_device(device.clone()).await?;
    let row = Row::of(app, device).await?;
    context
        .output
        .report(&row, |row| format!("{done} {}.", row.name))?;
    Ok(Exit::Done)
}
