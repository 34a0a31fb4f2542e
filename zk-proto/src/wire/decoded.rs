//! Packets put into words, for tools.

use std::iter::FusedIterator;

use super::{
    Encoding, MAGIC, PREFIX_LEN, PackedTime, Packet, Prefix, Transport, cut_at_nul,
    envelope::ABSOLUTE_MAX_FRAME,
};
use crate::{
    Code, DecodeError,
    record::Counters,
    request::{Announcement, DataSet, DeviceOption, ReadBuffer},
};

/// One packet, put into words.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decoded<'a> {
    /// Command or reply.
    pub command: Code,
    /// Its customary name, such as `CMD_CONNECT`.
    pub name: Option<&'static str>,
    /// Whether the checksum agrees with the bytes.
    pub checksum_valid: bool,
    /// Session field.
    pub session_id: u16,
    /// Reply id.
    pub reply_id: u16,
    /// What follows the header.
    pub payload: &'a [u8],
    /// What the payload means, where that can be told from the packet alone.
    pub value: Option<Value>,
}

/// What a payload means.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A time.
    Time(PackedTime),
    /// An option, or its name alone.
    Option(DeviceOption),
    /// Counters.
    Counters(Counters),
    /// A data set is asked for.
    DataSet(DataSet),
    /// The size in bytes of a prepared data set.
    PreparedSize(u32),
    /// A slice is asked for.
    Slice(ReadBuffer),
    /// A transfer is announced.
    Announcement(Announcement),
}

/// Goes through bytes packet by packet: any number of frames over TCP, one datagram over UDP.
///
/// What is no frame gives one error, and the search goes on at the next magic.
///
/// ```
/// use zk_proto::wire::{Transport, decode_any};
///
/// let bytes = b"\x50\x50\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0";
/// let packet = decode_any(bytes, Transport::Tcp).next().unwrap()?;
/// assert_eq!((packet.name, packet.checksum_valid), (Some("CMD_CONNECT"), true));
/// # Ok::<(), zk_proto::DecodeError>(())
/// ```
pub fn decode_any(bytes: &[u8], transport: Transport) -> Decoder<'_> {
    Decoder {
        rest: bytes,
        transport,
    }
}

/// Iterator of [`decode_any`].
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    transport: Transport,
}

impl<'a> Decoder<'a> {
    fn frame(&mut self) -> Result<&'a [u8], DecodeError> {
        if self.transport == Transport::Udp {
            return Ok(std::mem::take(&mut self.rest));
        }
        let cut = DecodeError::IncompleteFrame {
            found: self.rest.len(),
        };
        let prefix = match Prefix::parse(self.rest, ABSOLUTE_MAX_FRAME) {
            Ok(Some(prefix)) => prefix,
            Ok(None) => {
                self.rest = &[];
                return Err(cut);
            }
            Err(error) => {
                self.resync();
                return Err(error);
            }
        };
        let end = PREFIX_LEN + prefix.length as usize;
        let Some((frame, rest)) = self.rest.split_at_checked(end) else {
            self.rest = &[];
            return Err(cut);
        };
        self.rest = rest;
        Ok(frame.get(PREFIX_LEN..).unwrap_or(&[]))
    }

    fn resync(&mut self) {
        let next = self
            .rest
            .windows(MAGIC.len())
            .skip(1)
            .position(|bytes| bytes == MAGIC);
        self.rest = next
            .and_then(|index| self.rest.get(index + 1..))
            .unwrap_or(&[]);
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Decoded<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.frame();
        Some(
            frame
                .and_then(Packet::parse)
                .map(|packet| Decoded::from_packet(&packet)),
        )
    }
}

impl FusedIterator for Decoder<'_> {}

impl<'a> Decoded<'a> {
    /// Puts a packet into words.
    pub fn from_packet(packet: &Packet<'a>) -> Self {
        let header = packet.header;
        Self {
            command: header.code,
            name: header.code.name(),
            checksum_valid: packet.checksum_valid(),
            session_id: header.session,
            reply_id: header.reply_id,
            payload: packet.payload,
            value: value(header.code, packet.payload),
        }
    }
}

fn value(code: Code, payload: &[u8]) -> Option<Value> {
    match code {
        Code::SET_TIME => {
            let bytes = payload.first_chunk()?;
            Some(Value::Time(PackedTime(u32::from_le_bytes(*bytes))))
        }
        Code::OPTIONS_RRQ | Code::OPTIONS_WRQ => Some(Value::Option(DeviceOption::parse(payload))),
        Code::PREPARE_BUFFER => DataSet::parse(payload).ok().map(Value::DataSet),
        Code::READ_BUFFER => ReadBuffer::parse(payload).ok().map(Value::Slice),
        Code::PREPARE_DATA => Announcement::parse(payload).ok().map(Value::Announcement),
        Code::ACK_OK => reply(payload),
        _ => None,
    }
}

/// A reply does not say what it answers; only shapes that nothing else has are named.
fn reply(payload: &[u8]) -> Option<Value> {
    let text = Encoding::Auto.decode(cut_at_nul(payload));
    let is_option = text.contains('=') && !text.chars().any(char::is_control);
    match payload.len() {
        80 | 92 | 112 => Some(Value::Counters(Counters::parse(payload))),
        13 if payload.first() == Some(&0) => {
            let size = payload.get(1..)?.first_chunk()?;
            Some(Value::PreparedSize(u32::from_le_bytes(*size)))
        }
        _ if is_option => Some(Value::Option(DeviceOption::parse(payload))),
        _ => None,
    }
}
