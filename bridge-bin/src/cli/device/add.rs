//! `device add`: a terminal for the registry.

use clap::Args;
use zk_proto::Encoding;

use super::super::Exit;
use super::super::args::{self, Address, CommKey, Transport};
use super::super::context::Context;
use super::list::Row;
use crate::store::devices::{MAIN_GROUP, NewDevice};

/// Register a terminal
///
/// Nothing is sent to it; try it afterwards with `device test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge device add Gate --address 192.168.1.201 --timezone Africa/Nairobi
  ZK_BRIDGE_COMM_KEY=1234 zk-bridge device add Back --address back.example:4370 --office Workshop")]
pub(in crate::cli) struct Add {
    /// A name of your choice, at most 100 characters
    #[arg(value_parser = args::name)]
    name: String,
    /// Where it answers [default port: 4370]
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Address,
    /// Tried when the first address does not answer
    #[arg(long, value_name = "HOST[:PORT]")]
    secondary_address: Option<Address>,
    /// IANA name of the zone its clock shows [default: that of the configuration]
    #[arg(long, value_name = "ZONE", value_parser = args::zone_name)]
    timezone: Option<String>,
    /// Its comm key, `-` to read it from stdin [default: `ZK_BRIDGE_COMM_KEY`, or none]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    comm_key: Option<CommKey>,
    /// How packets travel
    #[arg(long, value_enum, value_name = "TRANSPORT", default_value_t = Transport::Auto)]
    transport: Transport,
    /// How it writes names: auto, utf-8, gbk, windows-1256 …
    #[arg(long, value_name = "ENCODING", value_parser = args::encoding, default_value = "auto")]
    encoding: Encoding,
    /// Terminals of one group share their users; elsewhere the same user id is another person
    #[arg(long, value_parser = args::name, default_value = MAIN_GROUP)]
    group: String,
    /// Where it hangs, free text
    #[arg(long, value_parser = args::name)]
    office: Option<String>,
}

impl Add {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let key = self
            .comm_key
            .or_else(CommKey::from_env)
            .map(|key| key.number())
            .transpose()?;
        let app = context.app_or_new().await?;
        let comm_key = key
            .map(|key| app.secrets.seal(&key.to_string()))
            .transpose()?;
        let new = NewDevice {
            name: self.name,
            address: self.address.0,
            secondary_address: self.secondary_address.map(|address| address.0),
            timezone: self
                .timezone
                .unwrap_or_else(|| app.config.timezone.0.clone()),
            comm_key,
            transport: self.transport.name().to_owned(),
            encoding: self.encoding.name().to_owned(),
            group: self.group,
            office: self.office,
        };
        let device = app.store.add_device(new, app.clock.now()).await?;
        let row = Row::of(&app, device).await?;
        context.output.report(&row, |row| {
            format!(
                "Added {} at {}. Try it: zk-bridge device test --device {:?}",
                row.name, row.address, row.name
            )
        })?;
        Ok(Exit::Done)
    }
}
