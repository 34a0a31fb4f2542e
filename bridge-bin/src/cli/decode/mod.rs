//! `decode`: captured bytes, packet by packet.

mod capture;
mod stream;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Cursor, ErrorKind, IsTerminal, Read};
use std::net::SocketAddr;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value as Json, json};
use zk_proto::DecodeError;
use zk_proto::wire::{Decoded, Transport, Value, decode_any};

use self::capture::{Body, Caught, End};
use self::stream::{Flow, Found, Streams};
use super::Exit;
use super::args;
use super::device::document::CounterFields;
use super::output::Output;
use crate::Failure;
use crate::devices;
use crate::secret;

/// Hexadecimal digits accepted: a frame may have 16 MiB.
const MOST_DIGITS: u64 = 64 << 20;

/// Ports that are named at most.
const MOST_PORTS: usize = 8;

/// Put captured packets into words, one JSON line per packet
///
/// What is no packet gives a line with an error, and the search goes on behind it. Status 3 if some were decoded and
/// some not, 1 if none was.
///
/// Captures may be pcap or pcapng, of Ethernet, Linux "any", loopback or raw IP. TCP is put together again, and each
/// line tells time, transport, direction, source and destination. Of a capture that is cut off, what is there is
/// decoded, and the last line says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge decode 5050827d08000000e80317fc00000000
  zk-bridge decode gate.pcap
  tcpdump -i any -w - port 4370 | zk-bridge decode -
  tshark -r gate.pcap -T fields -e udp.payload | zk-bridge decode --transport udp -")]
pub(super) struct Decode {
    /// The bytes in hexadecimal, a capture file, or `-` to read either from stdin; spaces, colons and line breaks
    /// between digits are passed over
    #[arg(value_name = "HEX|-|FILE.pcap")]
    input: String,
    /// How the packets travelled, if they are given in hexadecimal
    #[arg(long, value_enum, value_name = "TRANSPORT", default_value_t = Via::Tcp)]
    transport: Via,
    /// The port of the terminal in a capture; if it has none there, the ports are named at which packets were seen
    #[arg(long, value_name = "PORT", default_value_t = devices::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Via {
    /// Each packet has a prefix of eight bytes
    Tcp,
    /// The bytes are one datagram; from stdin, one per line
    Udp,
}

#[derive(Debug, Serialize)]
struct Line {
    command: u16,
    command_name: Option<&'static str>,
    checksum_valid: bool,
    session_id: u16,
    reply_id: u16,
    payload_hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
}

/// What a capture tells beside the packet.
#[derive(Debug, Serialize)]
struct Seen {
    time: Option<String>,
    transport: &'static str,
    /// `to_terminal` or `from_terminal`; null where both ends have the terminal's port.
    direction: Option<&'static str>,
    source: SocketAddr,
    destination: SocketAddr,
}

#[derive(Debug, Serialize)]
struct SeenLine<T> {
    #[serde(flatten)]
    seen: Seen,
    #[serde(flatten)]
    line: T,
}

/// How many lines of each kind were written.
#[derive(Debug, Default)]
struct Tally {
    decoded: u64,
    failed: u64,
}

impl Decode {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<Exit> {
        let tally = if self.input == "-" {
            let (head, stdin) = peeked(stdin())?;
            if capture::is_capture(&head) {
                self.capture(Cursor::new(head).chain(stdin), output)?
            } else {
                self.text(&text(Cursor::new(head).chain(stdin))?, output)?
            }
        } else if self.is_hex() {
            self.text(&self.input, output)?
        } else if Path::new(&self.input).is_dir() {
            return Err(Failure::new(
                "input",
                format!("{} is a directory.", self.input),
                "Name a capture file in it.",
            )
            .into());
        } else if !Path::new(&self.input).is_file() {
            self.text(&self.input, output)?
        } else {
            let file = File::open(&self.input).map_err(|error| self.unreadable(&error))?;
            self.capture(file, output)?
        };
        Ok(Exit::of(tally.failed, tally.decoded + tally.failed))
    }

    /// A file may be called `cafe`, but what can be bytes is taken for bytes.
    fn is_hex(&self) -> bool {
        bytes_of(&self.input).is_ok()
    }

    fn text(&self, text: &str, output: &Output) -> anyhow::Result<Tally> {
        let transport = match self.transport {
            Via::Tcp => Transport::Tcp,
            Via::Udp => Transport::Udp,
        };
        let mut tally = Tally::default();
        for stream in streams(text, transport) {
            let bytes = match stream {
                Ok(bytes) => bytes,
                // One line of nonsense is one problem; alone it is all there was.
                Err(error) if text.lines().count() <= 1 => return Err(error),
                Err(error) => {
                    tally.failed += 1;
                    output.document(&failed(&Failure::of(&error)))?;
                    continue;
                }
            };
            for packet in decode_any(&bytes, transport) {
                match packet {
                    Ok(packet) => {
                        tally.decoded += 1;
                        output.document(&Line::of(&packet))?;
                    }
                    Err(error) => {
                        tally.failed += 1;
                        output.document(&problem(&error))?;
                    }
                }
            }
        }
        if tally.decoded + tally.failed == 0 {
            return Err(
                args::usage("There are no bytes to decode.", "Give them in hexadecimal.").into(),
            );
        }
        Ok(tally)
    }

    fn capture(&self, input: impl Read + Send, output: &Output) -> anyhow::Result<Tally> {
        let mut lines = CaptureLines {
            port: self.port,
            output,
            tally: Tally::default(),
            broken: None,
            elsewhere: BTreeSet::new(),
        };
        let mut streams = Streams::default();
        let end = capture::read(input, |caught| lines.take(&caught, &mut streams));
        streams.end(&mut |flow, time, found| lines.found(flow, time, "tcp", found));
        let CaptureLines {
            mut tally,
            broken,
            elsewhere,
            ..
        } = lines;
        if let Some(error) = broken {
            return Err(error);
        }
        if let Some(failure) = self.ended(&end) {
            if tally.decoded == 0 {
                return Err(failure.into());
            }
            tally.failed += 1;
            output.document(&failed(&failure))?;
        }
        if tally.decoded + tally.failed == 0 {
            return Err(self.no_packets(&elsewhere).into());
        }
        Ok(tally)
    }

    fn no_packets(&self, elsewhere: &BTreeSet<u16>) -> Failure {
        let nothing = format!("The capture has no packet to or from port {}", self.port);
        let ports: Vec<String> = elsewhere.iter().map(u16::to_string).collect();
        let Some(first) = ports.first() else {
            return Failure::new(
                "no_packets",
                format!("{nothing}, nor one of a terminal at any other."),
                "Capture near the terminal or its client, with the filter `port 4370`.",
            );
        };
        Failure::new(
            "no_packets",
            format!(
                "{nothing}; packets of terminals were seen at port {}.",
                ports.join(", ")
            ),
            format!("Name the terminal's port: --port {first}."),
        )
    }

    fn ended(&self, end: &End) -> Option<Failure> {
        let (kind, message, remedy) = match end {
            End::Whole => return None,
            End::Truncated => (
                "truncated_capture",
                "The capture ends inside a packet; what came before is decoded.".to_owned(),
                "Stop the capturing program properly, or copy the whole file.",
            ),
            End::Damaged => (
                "damaged_capture",
                "The capture cannot be followed any further; what came before is decoded."
                    .to_owned(),
                "Copy the file again, or repair it with `pcapfix`.",
            ),
            End::NoCapture => (
                "not_a_capture",
                format!("{} is no capture file.", self.input),
                "Give a pcap or pcapng file, such as one that tcpdump or Wireshark writes.",
            ),
            End::Unreadable => (
                "input",
                format!("{} cannot be read.", self.input),
                "Check the file and the disk.",
            ),
        };
        Some(Failure::new(kind, message, remedy))
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => "Let this user read the file.",
            _ => "Name a capture file that exists.",
        };
        Failure::new(
            "input",
            format!("{} cannot be read: {error}.", self.input),
            remedy,
        )
    }
}

/// The lines of a capture.
struct CaptureLines<'a> {
    port: u16,
    output: &'a Output,
    tally: Tally,
    /// Why nothing more can be written.
    broken: Option<anyhow::Error>,
    /// Other ports at which packets of terminals were seen; the few lowest.
    elsewhere: BTreeSet<u16>,
}

impl CaptureLines<'_> {
    fn take(&mut self, caught: &Caught<'_>, streams: &mut Streams) {
        let flow = (caught.source, caught.destination);
        if ![flow.0.port(), flow.1.port()].contains(&self.port) {
            if is_of_a_terminal(&caught.body) {
                // Clients are given high ports, terminals have low ones.
                self.elsewhere.insert(flow.0.port().min(flow.1.port()));
                if self.elsewhere.len() > MOST_PORTS {
                    self.elsewhere.pop_last();
                }
            }
            return;
        }
        match &caught.body {
            Body::Tcp(segment) => {
                let mut take = |flow, time, found: Found<'_>| self.found(flow, time, "tcp", found);
                streams.add(flow, segment, caught.time, &mut take);
            }
            Body::Udp(payload) => {
                for packet in decode_any(payload, Transport::Udp) {
                    let found = packet.map_or_else(Found::Error, Found::Packet);
                    self.found(flow, caught.time, "udp", found);
                }
            }
        }
    }

    fn found(
        &mut self,
        flow: Flow,
        time: Option<DateTime<Utc>>,
        transport: &'static str,
        found: Found<'_>,
    ) {
        if self.broken.is_some() {
            return;
        }
        let (source, destination) = flow;
        let seen = Seen {
            time: time.map(instant),
            transport,
            direction: match (source.port() == self.port, destination.port() == self.port) {
                (false, true) => Some("to_terminal"),
                (true, false) => Some("from_terminal"),
                _ => None,
            },
            source,
            destination,
        };
        let written = match found {
            Found::Packet(packet) => {
                self.tally.decoded += 1;
                let line = Line::of(&packet);
                self.output.document(&SeenLine { seen, line })
            }
            Found::Error(error) => {
                self.tally.failed += 1;
                let line = problem(&error);
                self.output.document(&SeenLine { seen, line })
            }
            Found::Missing(bytes) => {
                self.tally.failed += 1;
                let line = failed(&Failure::new(
                    "missing_bytes",
                    format!("{bytes} bytes of this direction are not in the capture."),
                    "Capture whole packets (tcpdump -s 0), near the terminal or its client.",
                ));
                self.output.document(&SeenLine { seen, line })
            }
        };
        self.broken = written.err();
    }
}

/// Whether it begins with a whole packet of a terminal or its client.
fn is_of_a_terminal(body: &Body<'_>) -> bool {
    let (payload, transport) = match body {
        Body::Tcp(segment) => (segment.payload, Transport::Tcp),
        Body::Udp(payload) => (*payload, Transport::Udp),
    };
    let first = decode_any(payload, transport).next();
    matches!(first, Some(Ok(packet)) if packet.checksum_valid && packet.name.is_some())
}

/// RFC 3339, as exact as the capture is.
fn instant(time: DateTime<Utc>) -> String {
    let is_finer = !time.timestamp_subsec_nanos().is_multiple_of(1_000);
    let digits = if is_finer {
        SecondsFormat::Nanos
    } else {
        SecondsFormat::Micros
    };
    time.to_rfc3339_opts(digits, true)
}

/// The first bytes of an input, and the rest.
fn peeked<R: Read>(mut input: R) -> anyhow::Result<(Vec<u8>, R)> {
    let mut head = Vec::new();
    input
        .by_ref()
        .take(4)
        .read_to_end(&mut head)
        .map_err(|error| no_text(&error))?;
    Ok((head, input))
}

/// A datagram is a line; a stream goes on over lines until one of them is no hexadecimal.
fn streams(text: &str, transport: Transport) -> Vec<anyhow::Result<Vec<u8>>> {
    let mut streams: Vec<anyhow::Result<Vec<u8>>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match (bytes_of(line), streams.last_mut()) {
            (Ok(bytes), Some(Ok(stream))) if transport == Transport::Tcp => stream.extend(bytes),
            (stream, _) => streams.push(stream),
        }
    }
    streams
}

fn stdin() -> std::io::Stdin {
    if std::io::stdin().is_terminal() {
        super::output::note("Reading hexadecimal digits; end with Ctrl-D.");
    }
    std::io::stdin()
}

fn text(input: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    input
        .take(MOST_DIGITS)
        .read_to_string(&mut text)
        .map_err(|error| no_text(&error))?;
    Ok(text)
}

fn no_text(error: &std::io::Error) -> Failure {
    Failure::new(
        "input",
        format!("stdin cannot be read as text: {error}."),
        "Give the bytes in hexadecimal, or a capture file.",
    )
}

fn bytes_of(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ':' | ','))
        .collect();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    if digits.contains('+') {
        return Err(not_hex(digits));
    }
    secret::unhex(digits).ok_or_else(|| not_hex(digits))
}

fn not_hex(digits: &str) -> anyhow::Error {
    let message = match digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some(wrong) => format!("{wrong:?} is no hexadecimal digit."),
        None => "The number of hexadecimal digits is odd.".to_owned(),
    };
    if Path::new(digits).extension().is_some() {
        return Failure::new(
            "no_such_file",
            format!("There is no file {digits:?}."),
            "Name a capture file that exists, or give whole bytes of two hexadecimal digits each.",
        )
        .into();
    }
    let remedy = "Give whole bytes of two digits each, such as 5050827d08000000e80317fc00000000, or a capture file.";
    Failure::new("not_hexadecimal", message, remedy).into()
}

fn failed(failure: &Failure) -> Json {
    let Failure {
        kind,
        message,
        remedy,
    } = failure;
    json!({"error": {"kind": kind, "message": message, "remedy": remedy}})
}

fn problem(error: &DecodeError) -> Json {
    json!({"error": {"kind": error.kind(), "message": format!("{error}."), "remedy": error.remedy()}})
}

impl Line {
    fn of(packet: &Decoded<'_>) -> Self {
        Self {
            command: packet.command.0,
            command_name: packet.name,
            checksum_valid: packet.checksum_valid,
            session_id: packet.session_id,
            reply_id: packet.reply_id,
            payload_hex: secret::hex(packet.payload),
            value: packet.value.as_ref().and_then(meaning),
        }
    }
}

fn meaning(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Time(time) => json!({"time": time.to_string(), "time_valid": time.is_valid()}),
        Value::Option(option) if option.value.is_empty() => json!({"option": option.key}),
        Value::Option(option) => json!({"option": option.key, "setting": option.value}),
        Value::Counters(counters) => json!({"counters": CounterFields::from(*counters)}),
        Value::DataSet(set) => json!({
            "data_set": {
                "command": set.command.0,
                "command_name": set.command.name(),
                "argument": set.argument,
                "extra": set.extra,
            }
        }),
        Value::PreparedSize(size) => json!({"size": size}),
        Value::Slice(slice) => json!({"offset": slice.offset, "length": slice.len}),
        Value::Announcement(announced) => {
            json!({"total": announced.total, "max_packet": announced.max_packet})
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_passed_over() {
        assert_eq!(bytes_of("50 50:82\n7d").unwrap(), [0x50, 0x50, 0x82, 0x7d]);
        assert_eq!(bytes_of("0xAbCd").unwrap(), [0xab, 0xcd]);
    }

    #[test]
    fn what_is_no_hexadecimal_is_named() {
        let say = |text: &str| Failure::of(&bytes_of(text).unwrap_err());
        assert!(say("505").message.contains("odd"));
        assert!(say("5x").message.contains("'x'"));
        assert!(say("+5").message.contains("'+'"));
        assert_eq!(say("gate.pcap").kind, "no_such_file");
    }
}
