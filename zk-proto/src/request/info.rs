//! What a terminal says about itself.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request};
use crate::{
    Code, DecodeError,
    record::Counters,
    wire::{Encoding, cut_at_nul},
};

/// Reads the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadCounters;

impl Request for ReadCounters {
    type Reply = Counters;
    const CODE: Code = Code::GET_FREE_SIZES;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<Counters, DecodeError> {
        Ok(Counters::parse(&answer.payload))
    }
}

/// Reads the firmware version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadVersion;

impl ReadVersion {
    /// Appends the terminal's reply.
    pub fn encode_reply(version: &str, out: &mut BytesMut) {
        out.put_slice(version.as_bytes());
        out.put_u8(0);
    }
}

impl Request for ReadVersion {
    type Reply = String;
    const CODE: Code = Code::GET_VERSION;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<String, DecodeError> {
        Ok(Encoding::Auto
            .decode(cut_at_nul(&answer.payload))
            .trim()
            .to_owned())
    }
}

/// Reads one option by its name, such as `~SerialNumber`. An option that a terminal does not have
/// is answered with `ACK_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOption<'a> {
    /// The name.
    pub key: &'a str,
}

impl Request for ReadOption<'_> {
    type Reply = String;
    const CODE: Code = Code::OPTIONS_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.key.as_bytes());
        out.put_u8(0);
    }

    fn decode(&self, answer: Answer) -> Result<String, DecodeError> {
        let text = cut_at_nul(&answer.payload);
        let value = text.strip_prefix(self.key.as_bytes()).unwrap_or(text);
        // Some firmware repeats the sign.
        let start = value
            .iter()
            .position(|byte| *byte != b'=')
            .unwrap_or(value.len());
        let value = value.get(start..).unwrap_or(&[]);
        Ok(Encoding::Auto.decode(value).into_owned())
    }
}

/// Writes one option. Terminals store any name, also one that means nothing to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOption<'a> {
    /// The name.
    pub key: &'a str,
    /// The value.
    pub value: &'a str,
}

impl Request for WriteOption<'_> {
    type Reply = ();
    const CODE: Code = Code::OPTIONS_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.key.as_bytes());
        out.put_u8(b'=');
        out.put_slice(self.value.as_bytes());
        out.put_u8(0);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// An option as it travels: `key`, or `key=value`, with or without a NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOption {
    /// The name.
    pub key: String,
    /// The value; empty in a read request.
    pub value: String,
}

impl DeviceOption {
    /// Reads the payload of a read or write request at the terminal.
    pub fn parse(payload: &[u8]) -> Self {
        let text = Encoding::Auto.decode(cut_at_nul(payload));
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    /// Appends the terminal's reply.
    pub fn encode_reply(&self, out: &mut BytesMut) {
        out.put_slice(self.key.as_bytes());
        out.put_u8(b'=');
        out.put_slice(self.value.as_bytes());
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn option_values_survive_what_firmware_does_to_them() {
        let read = |payload: &'static [u8]| {
            let answer = Answer {
                code: Code::ACK_OK,
                session: 1,
                payload: Bytes::from_static(payload),
            };
            ReadOption {
                key: "~SerialNumber",
            }
            .decode(answer)
            .unwrap()
        };
        assert_eq!(read(b"~SerialNumber=ABC\0junk"), "ABC");
        assert_eq!(read(b"~SerialNumber==ABC"), "ABC");
        assert_eq!(read(b"~SerialNumber=\0"), "");
        assert_eq!(read(b"ABC"), "ABC");
        assert_eq!(read(b""), "");
    }
}
