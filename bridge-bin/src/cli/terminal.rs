//! Speaking with one terminal: a stored one under its lease, or any address ad hoc.

use std::time::Duration;

use clap::Args;
use zk_proto::{Client, Encoding, Recorder};

use super::args::{self, Address, CommKey, Transport};
use super::context::Context;
use super::output::note;
use crate::devices::{self, Connected, Endpoint};
use crate::jobs;
use crate::lifecycle::{self, Shutdown, Stop};
use crate::store::entity::device;
use crate::store::{Store, leases};

/// Which terminal, and how to speak with it.
#[derive(Debug, Args)]
pub(super) struct TerminalArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A terminal of the registry, by its name
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Any terminal by its address, without the registry [default port: 4370]
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Option<Address>,
}

#[derive(Debug, Args)]
struct How {
    /// The terminal's comm key, `-` to read it from stdin [default: the stored one, or `ZK_BRIDGE_COMM_KEY`]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    comm_key: Option<CommKey>,
    /// How packets travel [default: the stored one, or auto]
    #[arg(
        long,
        value_enum,
        value_name = "auto|tcp|udp",
        hide_possible_values = true
    )]
    transport: Option<Transport>,
    /// How the terminal writes names: auto, utf-8, gbk, windows-1256 … [default: the stored one, or auto]
    #[arg(long, value_name = "ENCODING", value_parser = args::encoding)]
    encoding: Option<Encoding>,
    /// Seconds to wait for each answer [default: as configured, or 10]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    timeout: Option<u32>,
}

/// A terminal that was spoken with.
pub(super) struct Spoken<T> {
    /// Its row, if it is one of the registry.
    pub(super) device: Option<device::Model>,
    /// Where it answered.
    pub(super) address: String,
    /// What came of it.
    pub(super) result: T,
}

impl TerminalArgs {
    /// Connects, lets `work` speak, and says goodbye.
    pub(super) async fn speak<T>(
        &self,
        context: &Context,
        work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<Spoken<T>> {
        self.speak_heard(context, None, work).await
    }

    /// Like [`speak`](Self::speak), while a recorder listens.
    pub(super) async fn speak_heard<T>(
        &self,
        context: &Context,
        recorder: Option<&Recorder>,
        work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<Spoken<T>> {
        let (shutdown, stop) = Shutdown::new();
        shutdown.on_signals();
        let listening = Listening { recorder, stop };
        match (&self.which.device, &self.which.address) {
            (Some(name), _) => self.speak_with_stored(context, name, listening, work).await,
            (None, Some(address)) => {
                self.speak_ad_hoc(context, &address.0, listening, work)
                    .await
            }
            (None, None) => Err(args::usage(
                "No terminal was named.",
                "Name one with --device or --address.",
            )
            .into()),
        }
    }

    async fn speak_with_stored<T>(
        &self,
        context: &Context,
        name: &str,
        listening: Listening<'_>,
        work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<Spoken<T>> {
        let app = context.app_to_look_at().await?;
        let device = app.store.device(name).await?;
        let mut endpoint = devices::endpoint_of(&app, &device)?;
        self.how.overrule(&mut endpoint)?;
        if endpoint.comm_key.is_none() {
            endpoint.comm_key = CommKey::from_env().map(|key| key.read()).transpose()?;
        }
        // Long enough to outlast the lease of a process that has died.
        let patience = Duration::from_secs(u64::from(app.config.polling.lease_seconds) + 5);
        let lease = leases::terminal(device.id);
        let (address, result) = jobs::under_lease(&app, &lease, patience, |held| {
            endpoint.until = Some(held.end().clone());
            connected(&endpoint, listening, work)
        })
        .await?;
        Ok(Spoken {
            device: Some(device),
            address,
            result,
        })
    }

    async fn speak_ad_hoc<T>(
        &self,
        context: &Context,
        address: &str,
        listening: Listening<'_>,
        work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<Spoken<T>> {
        let mut endpoint = Endpoint {
            address: address.to_owned(),
            secondary: None,
            comm_key: CommKey::from_env()
                .filter(|_| self.how.comm_key.is_none())
                .map(|key| key.read())
                .transpose()?,
            transport: Transport::Auto.name().to_owned(),
            encoding: Encoding::Auto.name().to_owned(),
            timeout: Duration::from_secs(10),
            disable_while_reading: false,
            until: None,
        };
        self.how.overrule(&mut endpoint)?;
        warn_if_stored(context, address).await;
        let (address, result) = connected(&endpoint, listening, work).await?;
        Ok(Spoken {
            device: None,
            address,
            result,
        })
    }
}

impl How {
    fn overrule(&self, endpoint: &mut Endpoint) -> anyhow::Result<()> {
        if let Some(key) = &self.comm_key {
            endpoint.comm_key = Some(key.read()?);
        }
        if let Some(transport) = self.transport {
            transport.name().clone_into(&mut endpoint.transport);
        }
        if let Some(encoding) = self.encoding {
            encoding.name().clone_into(&mut endpoint.encoding);
        }
        if let Some(seconds) = self.timeout {
            endpoint.timeout = Duration::from_secs(u64::from(seconds));
        }
        Ok(())
    }
}

/// What goes on beside the conversation.
struct Listening<'a> {
    recorder: Option<&'a Recorder>,
    stop: Stop,
}

async fn connected<T>(
    endpoint: &Endpoint,
    Listening { recorder, mut stop }: Listening<'_>,
    work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
) -> anyhow::Result<(String, T)> {
    let speak = async {
        let Connected {
            mut client,
            address,
        } = devices::connect_heard(endpoint, recorder).await?;
        let result = work(&mut client).await?;
        if let Err(error) = client.disconnect().await {
            tracing::debug!(%error, "the terminal did not answer the goodbye");
        }
        Ok((address, result))
    };
    tokio::select! {
        result = speak => result,
        // Within the lease, so that it is given back.
        () = stop.requested() => Err(lifecycle::interrupted()),
    }
}

/// P9: an ad hoc command takes no lease, so the bridge may be reading the same terminal. Nothing here may fail.
async fn warn_if_stored(context: &Context, address: &str) {
    let Ok(location) = context.location() else {
        return;
    };
    let Some(store) = Store::open_existing(location).await else {
        return;
    };
    let Ok(stored) = store.devices().await else {
        return;
    };
    let same = |text: &str| {
        text.parse::<Address>()
            .is_ok_and(|stored| stored.0 == address)
    };
    let is_it = |row: &&device::Model| {
        same(&row.address) || row.secondary_address.as_deref().is_some_and(same)
    };
    if let Some(row) = stored.iter().find(is_it) {
        note(format_args!(
            "warning: the device {:?} of the registry has this address; --device {:?} makes sure that the bridge does \
             not read it at the same time.",
            row.name, row.name
        ));
    }
}
