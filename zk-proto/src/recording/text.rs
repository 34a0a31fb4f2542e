//! Recordings as JSON lines.

use std::{fmt, num::ParseIntError, str::FromStr};

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag},
    character::complete::{char, digit1, multispace0},
    combinator::{all_consuming, map, map_res, value},
    multi::separated_list0,
    sequence::{delimited, separated_pair},
};
use thiserror::Error;

use super::{Connection, End, Message, Recording, Side};
use crate::wire::{ABSOLUTE_MAX_FRAME, HEADER_LEN, Transport};

/// The version of the form that is written.
const VERSION: u64 = 1;

/// A text that is no recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct BadRecording {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is no object, or a nested one.
    #[error("expected an object without nesting, such as {{\"end\":\"closed\",\"ms\":0}}")]
    NoObject,
    /// The first line is no header.
    #[error(
        "expected the header of a recording, such as {{\"zk_recording\":1,\"transport\":\"tcp\"}}"
    )]
    NoHeader,
    /// The form is newer than this version of the crate.
    #[error("the form {0} of recordings is not known; {VERSION} is")]
    Version(u64),
    /// None of the keys that say what a line is.
    #[error("expected one of packet, raw, connect and end")]
    NoKind,
    /// A key is missing, or its value is not possible.
    #[error("{key}: expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.connections.first();
        let transport = name(first.map_or(Transport::Tcp, |one| one.transport));
        let masked = self.masked;
        writeln!(
            f,
            r#"{{"zk_recording":{VERSION},"transport":"{transport}","masked":{masked}}}"#
        )?;
        for (index, connection) in self.connections.iter().enumerate() {
            if index > 0 {
                let transport = name(connection.transport);
                writeln!(f, r#"{{"connect":"{transport}","ms":{}}}"#, connection.ms)?;
            }
            connection
                .messages
                .iter()
                .try_for_each(|message| message.write(f))?;
            if let Some((end, ms)) = connection.end {
                let end = match end {
                    End::Closed => "closed",
                    End::Reset => "reset",
                };
                writeln!(f, r#"{{"end":"{end}","ms":{ms}}}"#)?;
            }
        }
        Ok(())
    }
}

impl Message {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_packet { "packet" } else { "raw" };
        write!(f, r#"{{"{kind}":""#)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let from = match self.from {
            Side::Client => "client",
            Side::Terminal => "terminal",
        };
        write!(f, r#"","from":"{from}","ms":{}"#, self.ms)?;
        if let Some(name) = self.packet().and_then(|packet| packet.header.code.name()) {
            write!(f, r#","command":"{name}""#)?;
        }
        if !self.cut.is_empty() {
            let cut: Vec<String> = self.cut.iter().map(ToString::to_string).collect();
            write!(f, r#","cut":[{}]"#, cut.join(","))?;
        }
        writeln!(f, "}}")
    }
}

impl FromStr for Recording {
    type Err = BadRecording;

    fn from_str(text: &str) -> Result<Self, BadRecording> {
        let mut recording: Option<Self> = None;
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let take = || {
                let line = Line::parse(text)?;
                match &mut recording {
                    None => recording = Some(line.header()?),
                    Some(recording) => recording.take(&line)?,
                }
                Ok(())
            };
            let mut take = take;
            take().map_err(|problem| BadRecording { line, problem })?;
        }
        recording.ok_or(BadRecording {
            line: 1,
            problem: Problem::NoHeader,
        })
    }
}

impl Recording {
    fn take(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let connection = self.connections.last_mut().ok_or(Problem::NoHeader)?;
        if let Some(message) = line.message()? {
            connection.messages.push(message);
        } else if line.has("connect") {
            let transport = line.transport("connect")?;
            self.connections
                .push(Connection::new(transport, line.ms()?));
        } else if line.has("end") {
            let end = match line.text("end") {
                Some("closed") => End::Closed,
                Some("reset") => End::Reset,
                _ => return Err(unexpected("end", "\"closed\" or \"reset\"")),
            };
            connection.end = Some((end, line.ms()?));
        } else {
            return Err(Problem::NoKind);
        }
        Ok(())
    }
}

/// A line: its keys with their values.
struct Line<'a>(Vec<(&'a str, Value<'a>)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Numbers(Vec<u64>),
    Bool(bool),
    Null,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Result<Self, Problem> {
        let parsed = all_consuming(delimited(multispace0, object, multispace0)).parse(text);
        parsed
            .map(|(_, pairs)| Self(pairs))
            .map_err(|_| Problem::NoObject)
    }

    fn header(&self) -> Result<Recording, Problem> {
        match self.get("zk_recording") {
            Some(Value::Number(VERSION)) => {}
            Some(Value::Number(other)) => return Err(Problem::Version(*other)),
            _ => return Err(Problem::NoHeader),
        }
        Ok(Recording {
            connections: vec![Connection::new(self.transport("transport")?, 0)],
            masked: self.get("masked") == Some(&Value::Bool(true)),
        })
    }

    fn message(&self) -> Result<Option<Message>, Problem> {
        let (is_packet, bytes) = match (self.get("packet"), self.get("raw")) {
            (Some(_), _) => (true, self.hex("packet", HEADER_LEN)?),
            (None, Some(_)) => (false, self.hex("raw", 0)?),
            (None, None) => return Ok(None),
        };
        let from = match self.text("from") {
            Some("client") => Side::Client,
            Some("terminal") => Side::Terminal,
            _ => return Err(unexpected("from", "\"client\" or \"terminal\"")),
        };
        let places = "ascending numbers of bytes, each less than the packet has";
        let cut = match self.get("cut") {
            None => Vec::new(),
            Some(Value::Numbers(at)) => at
                .iter()
                .map(|at| usize::try_from(*at).map_err(|_| unexpected("cut", places)))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(unexpected("cut", places)),
        };
        if !cut.is_sorted() {
            return Err(unexpected("cut", places));
        }
        Ok(Some(Message {
            from,
            ms: self.ms()?,
            bytes: bytes.into(),
            is_packet,
            cut,
        }))
    }

    fn get(&self, key: &str) -> Option<&Value<'a>> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn ms(&self) -> Result<u64, Problem> {
        match self.get("ms") {
            None => Ok(0),
            Some(Value::Number(ms)) => Ok(*ms),
            Some(_) => Err(unexpected("ms", "a number of milliseconds")),
        }
    }

    fn transport(&self, key: &'static str) -> Result<Transport, Problem> {
        match self.text(key) {
            Some("tcp") => Ok(Transport::Tcp),
            Some("udp") => Ok(Transport::Udp),
            _ => Err(unexpected(key, "\"tcp\" or \"udp\"")),
        }
    }

    fn hex(&self, key: &'static str, least: usize) -> Result<Vec<u8>, Problem> {
        let wrong = || unexpected(key, "whole bytes in hexadecimal, of a packet at least 8");
        let digits = self.text(key).ok_or_else(wrong)?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        let length = pairs.len();
        if !rest.is_empty() || length < least || length > ABSOLUTE_MAX_FRAME as usize {
            return Err(wrong());
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.ok_or_else(wrong)
    }
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

const fn unexpected(key: &'static str, expected: &'static str) -> Problem {
    Problem::Value { key, expected }
}

fn object(input: &str) -> IResult<&str, Vec<(&str, Value<'_>)>> {
    let pair = separated_pair(string, spaced(':'), scalar);
    delimited(
        (char('{'), multispace0),
        separated_list0(spaced(','), pair),
        (multispace0, char('}')),
    )
    .parse(input)
}

fn scalar(input: &str) -> IResult<&str, Value<'_>> {
    let numbers = delimited(
        (char('['), multispace0),
        separated_list0(spaced(','), number),
        (multispace0, char(']')),
    );
    alt((
        map(string, Value::Text),
        map(number, Value::Number),
        map(numbers, Value::Numbers),
        value(Value::Bool(true), tag("true")),
        value(Value::Bool(false), tag("false")),
        value(Value::Null, tag("null")),
    ))
    .parse(input)
}

/// None of the texts here needs an escape.
fn string(input: &str) -> IResult<&str, &str> {
    let inside = alt((is_not("\"\\"), tag("")));
    delimited(char('"'), inside, char('"')).parse(input)
}

fn number(input: &str) -> IResult<&str, u64> {
    map_res(digit1, |digits: &str| -> Result<u64, ParseIntError> {
        digits.parse()
    })
    .parse(input)
}

fn spaced<'a>(
    mark: char,
) -> impl Parser<&'a str, Output = char, Error = nom::error::Error<&'a str>> {
    delimited(multispace0, char(mark), multispace0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_spaced_and_have_keys_of_its_own() {
        let text = "{\"zk_recording\" : 1, \"transport\":\"udp\", \"note\": null }\n\n \
            { \"note\":\"\", \"raw\":\"0aFF\", \"from\":\"terminal\", \"list\":[1, 2] }\r\n";
        let recording: Recording = text.parse().unwrap();
        let message = &recording.connections[0].messages[0];
        assert_eq!(
            (&message.bytes[..], message.is_packet),
            (&[10, 255][..], false)
        );
        assert!(!recording.masked);
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_line() {
        const HEADER: &str = "{\"zk_recording\":1,\"transport\":\"tcp\"}";
        for (text, line, problem) in [
            ("", 1, "header"),
            ("{}", 1, "header"),
            ("GET / HTTP/1.1", 1, "object"),
            ("{\"zk_recording\":2,\"transport\":\"tcp\"}", 1, "form 2"),
            ("{\"zk_recording\":1}", 1, "transport"),
            ("HEADER\n{\"packet\":\"e803\"}", 2, "packet"),
            (
                "HEADER\n{\"raw\":\"e80\",\"from\":\"client\"}",
                2,
                "hexadecimal",
            ),
            (
                "HEADER\n{\"raw\":\"+8\",\"from\":\"client\"}",
                2,
                "hexadecimal",
            ),
            ("HEADER\n{\"raw\":\"\"}", 2, "from"),
            (
                "HEADER\n\n{\"raw\":\"\",\"from\":\"client\",\"ms\":-1}",
                3,
                "object",
            ),
            (
                "HEADER\n{\"raw\":\"\",\"from\":\"client\",\"ms\":[1]}",
                2,
                "ms",
            ),
            (
                "HEADER\n{\"raw\":\"\",\"from\":\"client\",\"cut\":[2,1]}",
                2,
                "cut",
            ),
            ("HEADER\n{\"raw\":{}}", 2, "object"),
            ("HEADER\n{\"end\":\"well\"}", 2, "end"),
            ("HEADER\n{\"connect\":\"rs485\"}", 2, "connect"),
            ("HEADER\n{\"dance\":1}", 2, "packet, raw"),
        ] {
            let error = text
                .replace("HEADER", HEADER)
                .parse::<Recording>()
                .unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(problem), "{text}: {error}");
        }
    }
}
