//! `mock-device`: a terminal in software.

mod commands;
mod held;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, json};
use tokio::sync::mpsc;
use zk_proto::Code;
use zk_proto::mock::{self, Builder, ChecksumPolicy, MockStats, Serve};

use self::held::Held;
use super::Exit;
use super::args::{self, CommKey};
use super::context::Context;
use crate::Failure;
use crate::lifecycle::Shutdown;

const ABOUT: &str = "\
A software terminal, for tests and for trying things out

The first line says where it listens: {\"tcp\",\"udp\",\"serial_number\"}. JSON lines on stdin drive it, each answered \
by a line: {\"punch\":{\"user_id\":\"1001\",\"punch_state\":0}}, {\"clear_log\":true}, \
{\"fault\":{\"kind\":\"drop_after\",\"bytes\":1000}}. It runs until Ctrl-C or SIGTERM, and then says what it served.";

/// A software terminal, for tests and for trying things out
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = "\
Example:
  zk-bridge mock-device --bind 127.0.0.1:4370 --users 20 --records 5000
  echo '{\"punch\":{\"user_id\":\"1001\"}}' | zk-bridge mock-device --users 5 --comm-key 1234

Faults: drop_after (bytes), silence, drop_reply (code), duplicate_replies, garbage, absurd_length,
truncate_log (bytes), corrupt_checksum, secured, panel, wrong_counters (count), refuse_slices,
ignore_offsets, delay (ms), reject (command, answer); each with on (a command), times, after.")]
pub(super) struct MockDevice {
    /// Where to listen, TCP and UDP alike; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// What to serve
    #[arg(long, value_enum, value_name = "TRANSPORT", default_value_t = Transport::Both)]
    transport: Transport,
    /// Made-up users
    #[arg(long, value_name = "N", default_value_t = 10)]
    users: u16,
    /// Made-up records, by these users
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=2_000_000))]
    records: u32,
    /// The same seed makes the same users, records and serial number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Bytes per attendance record
    #[arg(long, value_name = "BYTES", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=256))]
    attendance_width: u16,
    /// Bytes per user record
    #[arg(long, value_name = "BYTES", default_value_t = 72, value_parser = clap::value_parser!(u16).range(1..=256))]
    user_width: u16,
    /// Bytes of the answer with the counters: 4, 80, 92 or 112
    #[arg(long, value_name = "BYTES", default_value_t = 92, value_parser = sizes_width)]
    sizes_width: u16,
    /// Ask for this comm key
    #[arg(long, value_name = "N")]
    comm_key: Option<CommKey>,
    /// Wait so long after every packet; some clients take one packet per read
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=60_000))]
    pace: Option<u64>,
    /// Most bytes of data in one packet
    #[arg(long, value_name = "BYTES", default_value_t = 1008, value_parser = clap::value_parser!(u32).range(1..=65_472))]
    max_packet: u32,
    /// Data sets up to this size are sent at once, larger ones are prepared
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    inline_limit: u32,
    /// Whether packets with a wrong checksum are answered
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Checksum::Strict)]
    checksum: Checksum,
    /// Serve one client at a time, as many terminals do: a second connection ends the first
    #[arg(long)]
    one_client: bool,
    /// The serial number [default: made from the seed]
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
    /// Write what it holds to this file, in the form of `device dump`, and again after each change
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// End when stdin ends
    #[arg(long)]
    exit_on_eof: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Transport {
    /// TCP and UDP on one port number
    Both,
    Tcp,
    Udp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Checksum {
    /// They are not, like those of real terminals
    Strict,
    Lenient,
}

fn sizes_width(text: &str) -> Result<u16, String> {
    match text {
        "4" => Ok(4),
        "80" => Ok(80),
        "92" => Ok(92),
        "112" => Ok(112),
        _ => Err("the answer with the counters has 4, 80, 92 or 112 bytes".to_owned()),
    }
}

impl MockDevice {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let output = &context.output;
        let builder = self.builder()?;
        let held = self
            .data
            .clone()
            .map(|path| Held::new(path, &builder))
            .transpose()
            .map_err(|e| refused(&e))?;
        let device = builder.start().await.map_err(|error| refused(&error))?;
        if let Some(held) = &held {
            held.write(&device.snapshot())?;
        }
        let serves = |wanted: bool| wanted.then(|| device.addr().to_string());
        let mut first = Map::new();
        for (name, wanted) in [
            ("tcp", !matches!(self.transport, Transport::Udp)),
            ("udp", !matches!(self.transport, Transport::Tcp)),
        ] {
            first.extend(serves(wanted).map(|address| (name.to_owned(), address.into())));
        }
        first.insert("serial_number".to_owned(), self.serial_number().into());
        output.document(&first)?;
        let (shutdown, mut stop) = Shutdown::new();
        shutdown.on_signals();
        let mut lines = stdin_lines();
        let mut open = true;
        loop {
            tokio::select! {
                () = stop.requested() => break,
                line = lines.recv(), if open => match line {
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => match commands::obey(&device, &line) {
                        Ok(answer) => {
                            if let Some(held) = &held {
                                held.write(&device.snapshot())?;
                            }
                            output.document(&answer)?;
                        }
                        Err(Failure { kind, message, remedy }) => {
                            output.document(&json!({"error": {"kind": kind, "message": message, "remedy": remedy}}))?;
                        }
                    },
                    None if self.exit_on_eof => break,
                    None => open = false,
                },
            }
        }
        output.document(&json!({"served": served(&device.stats())}))?;
        Ok(Exit::Done)
    }

    fn serial_number(&self) -> String {
        self.serial
            .clone()
            .unwrap_or_else(|| format!("MOCK{:09}", self.seed))
    }

    fn builder(&self) -> anyhow::Result<Builder> {
        let [.., a, b, c] = self.seed.to_be_bytes();
        let mut builder = mock::MockDevice::builder()
            .bind(self.bind)
            .serve(match self.transport {
                Transport::Both => Serve::Both,
                Transport::Tcp => Serve::Tcp,
                Transport::Udp => Serve::Udp,
            })
            .generate(self.seed, self.users, usize::try_from(self.records)?)
            .attendance_width(self.attendance_width.into())
            .user_width(self.user_width.into())
            .sizes_width(self.sizes_width.into())
            .max_packet(usize::try_from(self.max_packet)?)
            .inline_limit(usize::try_from(self.inline_limit)?)
            .checksum(match self.checksum {
                Checksum::Strict => ChecksumPolicy::Strict,
                Checksum::Lenient => ChecksumPolicy::Lenient,
            })
            .one_client(self.one_client)
            .serial(&self.serial_number())
            .mac(&format!("00:17:61:{a:02x}:{b:02x}:{c:02x}"));
        if let Some(key) = &self.comm_key {
            builder = builder.comm_key(key.number()?);
        }
        if let Some(pause) = self.pace {
            builder = builder.pace(Duration::from_millis(pause));
        }
        Ok(builder)
    }
}

fn refused(error: &std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::InvalidInput {
        // `builder` refuses only widths so.
        return args::usage(
            format!("Not yet: {error}."),
            "This version serves attendance records of 40 bytes and users of 72 or 28.",
        )
        .into();
    }
    Failure::new(
        "listen",
        format!("The software terminal cannot start: {error}."),
        "Choose another address with --bind, like 127.0.0.1:0.",
    )
    .into()
}

fn served(stats: &MockStats) -> serde_json::Value {
    let name = |code: u16| {
        Code(code)
            .name()
            .map_or_else(|| code.to_string(), ToOwned::to_owned)
    };
    let commands: Map<_, _> = stats
        .commands
        .iter()
        .map(|(code, number)| (name(*code), (*number).into()))
        .collect();
    json!({
        "connections": stats.connections_total,
        "connections_max": stats.connections_max,
        "bytes_in": stats.bytes_in,
        "bytes_out": stats.bytes_out,
        "commands": commands,
    })
}

/// The lines of stdin. A thread of its own: tokio's stdin would keep the process from ending before the next line.
fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
