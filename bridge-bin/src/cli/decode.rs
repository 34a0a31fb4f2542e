//! `decode`: captured bytes, packet by packet.

use std::io::{IsTerminal, Read};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value as Json, json};
use zk_proto::DecodeError;
use zk_proto::wire::{Decoded, Transport, Value, decode_any};

use super::Exit;
use super::args;
use super::device::document::CounterFields;
use super::output::Output;
use crate::Failure;
use crate::secret;

/// Hexadecimal digits accepted: a frame may have 16 MiB.
const MOST_DIGITS: u64 = 64 << 20;

/// Put captured packets into words, one JSON line per packet
///
/// What is no packet gives a line with an error, and the search goes on behind it. Status 3 if some were decoded and
/// some not, 1 if none was.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zk-bridge decode 5050827d08000000e80317fc00000000
  tshark -r capture.pcap -T fields -e tcp.payload | zk-bridge decode -")]
pub(super) struct Decode {
    /// The bytes in hexadecimal, or `-` to read them from stdin; spaces, colons and line breaks are passed over
    #[arg(value_name = "HEX|-")]
    hex: String,
    /// How the packets travelled
    #[arg(long, value_enum, value_name = "TRANSPORT", default_value_t = Via::Tcp)]
    transport: Via,
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

impl Decode {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<Exit> {
        let text = if self.hex == "-" { stdin()? } else { self.hex };
        let transport = match self.transport {
            Via::Tcp => Transport::Tcp,
            Via::Udp => Transport::Udp,
        };
        let (mut decoded, mut failed) = (0, 0);
        for stream in streams(&text, transport) {
            let bytes = match stream {
                Ok(bytes) => bytes,
                // One line of nonsense is one problem; alone it is all there was.
                Err(error) if text.lines().count() <= 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    let Failure {
                        kind,
                        message,
                        remedy,
                    } = Failure::of(&error);
                    output.document(
                        &json!({"error": {"kind": kind, "message": message, "remedy": remedy}}),
                    )?;
                    continue;
                }
            };
            for packet in decode_any(&bytes, transport) {
                match packet {
                    Ok(packet) => {
                        decoded += 1;
                        output.document(&Line::of(&packet))?;
                    }
                    Err(error) => {
                        failed += 1;
                        output.document(&problem(&error))?;
                    }
                }
            }
        }
        if decoded + failed == 0 {
            return Err(
                args::usage("There are no bytes to decode.", "Give them in hexadecimal.").into(),
            );
        }
        Ok(Exit::of(failed, decoded + failed))
    }
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

fn stdin() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        super::output::note("Reading hexadecimal digits; end with Ctrl-D.");
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MOST_DIGITS)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(
                "input",
                format!("stdin cannot be read as text: {error}."),
                "Give the bytes in hexadecimal.",
            )
        })?;
    Ok(text)
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
    let remedy = if std::path::Path::new(digits).extension().is_some() {
        "Capture files cannot be read yet: export the bytes, for example by `tshark -r FILE -T fields -e tcp.payload`."
    } else {
        "Give whole bytes of two digits each, such as 5050827d08000000e80317fc00000000."
    };
    Failure::new("not_hexadecimal", message, remedy).into()
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
        assert!(say("gate.pcap").remedy.contains("tshark"));
    }
}
