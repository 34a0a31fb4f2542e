//! `mock-device`: a terminal in software.

mod commands;
mod held;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, json};
use tokio::sync::mpsc;
use zk_proto::Code;
use zk_proto::mock::{
    self, Builder, ChecksumPolicy, Clock, Fault, MockStats, Profile, Received, Serve,
};
use zk_proto::recording::{BadRecording, Recording};

use self::commands::Door;
use self::held::Held;
use super::Exit;
use super::args::CommKey;
use super::context::Context;
use crate::Failure;
use crate::lifecycle::Shutdown;
use crate::secret;

const ABOUT: &str = "\
A software terminal, for tests and for trying things out

The first line says where it listens: {\"tcp\",\"udp\",\"serial_number\"}. JSON lines on stdin drive it, each answered \
by a line: {\"punch\":{\"user_id\":\"1001\",\"punch_state\":0}}, {\"clear_log\":true}, \
{\"fault\":{\"kind\":\"drop_after\",\"bytes\":1000}}, {\"clear_faults\":true}, {\"door\":\"open\"}, \
{\"clock\":{\"ahead\":60,\"drift\":-5}}, {\"ring_log\":5000}. It runs until Ctrl-C or SIGTERM, and then says what it served.

With --replay it is a recorded terminal (see `device record`): it answers what was asked while recording, refuses the \
rest, and says at the end what it had no answer to.";

fn examples() -> String {
    format!(
        "\
Example:
  zk-bridge mock-device --bind 127.0.0.1:4370 --users 20 --records 5000
  zk-bridge mock-device --profile vl --fault drop_after,bytes=100000,times=1 --fault 'delay,ms=200,on=READ_BUFFER'
  echo '{{\"punch\":{{\"user_id\":\"1001\"}}}}' | zk-bridge mock-device --users 5 --comm-key 1234
  zk-bridge mock-device --replay gate.jsonl

Profiles: bw and bw-compact (black-and-white, UDP only, 16 and 8 bytes per record), tft (colour screen, the default),
vl (visible-light face), ak3750, ngteco, secured and panel (refuse every client). Options change what a profile sets.

Faults, with their keys:
{}",
        Fault::help()
    )
}

/// A software terminal, for tests and for trying things out
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = examples())]
pub(super) struct MockDevice {
    /// Where to listen, TCP and UDP alike; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// What to serve [default: both, or what the profile or the recording does]
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transport>,
    /// What kind of terminal: bw, bw-compact, tft, vl, ak3750, ngteco, secured or panel
    #[arg(long, value_name = "PROFILE", value_parser = Profile::from_str)]
    profile: Option<Profile>,
    /// What goes wrong, as KIND[,KEY=VALUE…]; may be repeated. The kinds are listed below
    #[arg(long = "fault", value_name = "FAULT", value_parser = Fault::from_str)]
    faults: Vec<Fault>,
    /// Answer as a recorded terminal did (`device record`)
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "profile", "faults", "users", "records", "seed", "attendance_width", "user_width", "sizes_width", "comm_key",
        "max_packet", "inline_limit", "checksum", "serial", "data", "clock_ahead", "clock_drift", "door", "ring_log",
        "records_max", "users_max",
    ])]
    replay: Option<PathBuf>,
    /// Made-up users
    #[arg(long, value_name = "N", default_value_t = 10)]
    users: u16,
    /// Made-up records, by these users
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=2_000_000))]
    records: u32,
    /// The same seed makes the same users, records and serial number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Bytes per attendance record: 8, 16, 22, 40 or 49; up to 256 for a shape that no client knows [default: 40, or as
    /// the profile has it]
    #[arg(long, value_name = "BYTES", value_parser = attendance_width)]
    attendance_width: Option<u16>,
    /// Bytes per user record: 16, 28, 72 or 120 [default: 72, or as the profile has it]
    #[arg(long, value_name = "BYTES", value_parser = user_width)]
    user_width: Option<u16>,
    /// Bytes of the answer with the counters: 4, 80, 92 or 112 [default: 92, or as the profile has it]
    #[arg(long, value_name = "BYTES", value_parser = sizes_width)]
    sizes_width: Option<u16>,
    /// Room for records, as the counters tell it [default: 1000000]
    #[arg(long, value_name = "N")]
    records_max: Option<u32>,
    /// Room for users, as the counters tell it [default: 10000]
    #[arg(long, value_name = "N")]
    users_max: Option<u32>,
    /// When the log is full, the oldest record goes for each new one
    #[arg(long)]
    ring_log: bool,
    /// Seconds that the clock is ahead of UTC; negative if it is behind
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    clock_ahead: i32,
    /// Seconds that the clock gains each day; negative if it is slow
    #[arg(
        long,
        value_name = "SECONDS_PER_DAY",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    clock_drift: i32,
    /// What the door's sensor says
    #[arg(long, value_enum, value_name = "STATE", default_value_t = Door::Shut)]
    door: Door,
    /// Ask for this comm key
    #[arg(long, value_name = "N")]
    comm_key: Option<CommKey>,
    /// Wait so long after every packet; some clients take one packet per read
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=60_000))]
    pace: Option<u64>,
    /// Most bytes of data in one packet [default: 1008, or as the profile has it]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_packet: Option<u32>,
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
    width(text, |bytes| matches!(bytes, 4 | 80 | 92 | 112))
        .ok_or_else(|| "the answer with the counters has 4, 80, 92 or 112 bytes".to_owned())
}

fn user_width(text: &str) -> Result<u16, String> {
    width(text, |bytes| matches!(bytes, 16 | 28 | 72 | 120))
        .ok_or_else(|| "users have 16, 28, 72 or 120 bytes".to_owned())
}

fn attendance_width(text: &str) -> Result<u16, String> {
    width(text, |bytes| matches!(bytes, 8 | 16 | 22 | 40..=256)).ok_or_else(|| {
        "records have 8, 16, 22, 40 or 49 bytes; 41 to 256 are a shape that no client knows"
            .to_owned()
    })
}

fn width(text: &str, is_served: impl Fn(u16) -> bool) -> Option<u16> {
    text.parse().ok().filter(|bytes| is_served(*bytes))
}

impl MockDevice {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let output = &context.output;
        let recording = self.replay.as_deref().map(recording).transpose()?;
        let mut builder = match &recording {
            Some(recording) => self.sockets(mock::MockDevice::replay(recording)),
            None => self.builder()?,
        };
        let held = self
            .data
            .clone()
            .map(|path| Held::new(path, &builder))
            .transpose()
            .map_err(|e| refused(&e))?;
        for fault in &self.faults {
            builder = builder.fault(fault.clone());
        }
        let device = builder.start().await.map_err(|error| refused(&error))?;
        if let Some(held) = &held {
            held.write(&device.told())?;
        }
        let mut first = Map::new();
        for (name, address) in [("tcp", device.tcp_addr()), ("udp", device.udp_addr())] {
            let address = address.map(|address| address.to_string());
            first.extend(address.map(|address| (name.to_owned(), address.into())));
        }
        let serial_number = match &recording {
            Some(recording) => recording.option("~SerialNumber"),
            None => Some(self.serial_number()),
        };
        first.insert("serial_number".to_owned(), serial_number.into());
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
                    Some(line) => match self.obey(&device, &line) {
                        Ok(answer) => {
                            if let Some(held) = &held {
                                held.write(&device.told())?;
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
        let mut last = json!({"served": served(&device.stats())});
        if recording.is_some() {
            let missing: Vec<_> = device.not_recorded().iter().map(missing).collect();
            last["not_recorded"] = missing.into();
        }
        output.document(&last)?;
        Ok(Exit::Done)
    }

    fn obey(&self, device: &mock::MockDevice, line: &str) -> Result<serde_json::Value, Failure> {
        if self.replay.is_some() {
            return Err(Failure::new(
                "command",
                "A recorded terminal takes no commands.",
                "Leave --replay out for a terminal that can be driven.",
            ));
        }
        commands::obey(device, line)
    }

    /// Where and how to serve.
    fn sockets(&self, builder: Builder) -> Builder {
        let mut builder = builder.bind(self.bind).one_client(self.one_client);
        if let Some(transport) = self.transport {
            builder = builder.serve(match transport {
                Transport::Both => Serve::Both,
                Transport::Tcp => Serve::Tcp,
                Transport::Udp => Serve::Udp,
            });
        }
        if let Some(pause) = self.pace {
            builder = builder.pace(Duration::from_millis(pause));
        }
        builder
    }

    fn serial_number(&self) -> String {
        self.serial
            .clone()
            .unwrap_or_else(|| format!("MOCK{:09}", self.seed))
    }

    fn builder(&self) -> anyhow::Result<Builder> {
        let [.., a, b, c] = self.seed.to_be_bytes();
        let mut builder = mock::MockDevice::builder()
            .generate(self.seed, self.users, usize::try_from(self.records)?)
            .profile(self.profile.unwrap_or(Profile::Tft))
            .inline_limit(usize::try_from(self.inline_limit)?)
            .checksum(match self.checksum {
                Checksum::Strict => ChecksumPolicy::Strict,
                Checksum::Lenient => ChecksumPolicy::Lenient,
            })
            .capacity(
                self.users_max.unwrap_or(10_000),
                self.records_max.unwrap_or(1_000_000),
            )
            .ring(self.ring_log)
            .door_open(self.door == Door::Open)
            .serial(&self.serial_number())
            .mac(&format!("00:17:61:{a:02x}:{b:02x}:{c:02x}"));
        if (self.clock_ahead, self.clock_drift) != (0, 0) {
            builder = builder.clock(Clock::Drifting {
                ahead: self.clock_ahead,
                per_day: self.clock_drift,
            });
        }
        if let Some(bytes) = self.attendance_width {
            builder = builder.attendance_width(bytes.into());
        }
        if let Some(bytes) = self.user_width {
            builder = builder.user_width(bytes.into());
        }
        if let Some(bytes) = self.sizes_width {
            builder = builder.sizes_width(bytes.into());
        }
        if let Some(bytes) = self.max_packet {
            builder = builder.max_packet(usize::try_from(bytes)?);
        }
        if let Some(key) = &self.comm_key {
            builder = builder.comm_key(key.number()?);
        }
        Ok(self.sockets(builder))
    }
}

fn recording(path: &Path) -> anyhow::Result<Recording> {
    let refuse = |problem: String, remedy: &str| {
        let message = format!("{}: {problem}.", path.display());
        anyhow::Error::from(Failure::new("recording", message, remedy))
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(
            error.to_string(),
            "Name a file that `zk-bridge device record` wrote.",
        )
    })?;
    text.parse().map_err(|error: BadRecording| {
        refuse(
            error.to_string(),
            "Record it again with `zk-bridge device record`.",
        )
    })
}

fn missing(request: &Received) -> serde_json::Value {
    json!({
        "command": request.code.0,
        "command_name": request.code.name(),
        "payload_hex": secret::hex(&request.payload),
    })
}

fn refused(error: &std::io::Error) -> anyhow::Error {
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
