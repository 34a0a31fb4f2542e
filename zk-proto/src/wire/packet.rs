//! The packet: header of eight bytes, checksum, payload.

use bytes::{BufMut, BytesMut};
use nom::{IResult, Parser, combinator::map, number::complete::le_u16};

use super::envelope::{PREFIX_LEN, Prefix, Transport};
use crate::{Code, DecodeError};

/// Length of the packet header in bytes.
pub const HEADER_LEN: usize = 8;

/// The highest reply id that is ever sent; 65535 is skipped.
pub const MAX_REPLY_ID: u16 = 65534;

/// The reply id after `id`: one more, and 0 after 65534.
pub const fn next_reply_id(id: u16) -> u16 {
    if id >= MAX_REPLY_ID { 0 } else { id + 1 }
}

/// The first eight bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Command or reply.
    pub code: Code,
    /// Checksum as it was sent.
    pub checksum: u16,
    /// Session id; in packets from a terminal it may instead be an index, a count, an event or a
    /// state.
    pub session: u16,
    /// Number of the request this belongs to; 0 for events.
    pub reply_id: u16,
}

/// One packet, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// What follows the header.
    pub payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet without TCP prefix. A wrong checksum is no error here; ask
    /// [`checksum_valid`](Self::checksum_valid).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match header(bytes) {
            Ok((payload, header)) => Ok(Self {
                header,
                payload,
                bytes,
            }),
            Err(_) => Err(DecodeError::PacketTooShort { found: bytes.len() }),
        }
    }

    /// The checksum these bytes should carry.
    pub fn expected_checksum(&self) -> u16 {
        checksum(self.bytes)
    }

    /// Whether the checksum agrees with the bytes.
    pub fn checksum_valid(&self) -> bool {
        // With the checksum included, a good packet folds to all ones.
        fold(sum_words(self.bytes)) == u16::MAX
    }

    /// The whole packet as it came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

fn header(input: &[u8]) -> IResult<&[u8], Header> {
    map(
        (le_u16, le_u16, le_u16, le_u16),
        |(code, checksum, session, reply_id)| Header {
            code: Code(code),
            checksum,
            session,
            reply_id,
        },
    )
    .parse(input)
}

/// The checksum of a packet (without TCP prefix); what stands in its checksum field is ignored.
pub fn checksum(packet: &[u8]) -> u16 {
    let (code, rest) = packet.split_at_checked(2).unwrap_or((packet, &[]));
    let after = rest.get(2..).unwrap_or(&[]);
    !fold(sum_words(code) + sum_words(after))
}

/// Sum of little-endian words. Four bytes at a time: 2^16 ≡ 1 (mod 65535), so [`fold`] gives the
/// same result, and a u64 cannot overflow below 16 GiB.
fn sum_words(bytes: &[u8]) -> u64 {
    let (quads, tail) = bytes.as_chunks::<4>();
    let sum: u64 = quads
        .iter()
        .map(|quad| u64::from(u32::from_le_bytes(*quad)))
        .sum();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    sum + u64::from(u32::from_le_bytes(last))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop above leaves 16 bits.
    (sum & 0xffff) as u16
}

/// Appends one packet to `out`, with the prefix that `transport` wants and the checksum filled in.
pub fn encode_packet(
    transport: Transport,
    code: Code,
    session: u16,
    reply_id: u16,
    payload: &[u8],
    out: &mut BytesMut,
) {
    let length = HEADER_LEN + payload.len();
    out.reserve(PREFIX_LEN + length);
    if transport == Transport::Tcp {
        // Nothing we send comes near 4 GiB.
        Prefix {
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
        .encode(out);
    }
    let mut head = [0; HEADER_LEN];
    let mut fields = &mut head[..];
    fields.put_u16_le(code.0);
    fields.put_u16_le(0);
    fields.put_u16_le(session);
    fields.put_u16_le(reply_id);
    let sum = !fold(sum_words(&head) + sum_words(payload));
    out.put_u16_le(code.0);
    out.put_u16_le(sum);
    out.put_u16_le(session);
    out.put_u16_le(reply_id);
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_ids_skip_65535() {
        assert_eq!(next_reply_id(0), 1);
        assert_eq!(next_reply_id(65533), 65534);
        assert_eq!(next_reply_id(65534), 0);
        assert_eq!(next_reply_id(65535), 0);
    }

    #[test]
    fn an_odd_last_byte_counts_as_a_low_byte() {
        let packet = [0xd0, 0x07, 0x29, 0x6a, 0xf3, 0x8d, 0x0a, 0x00, 0x09];
        assert_eq!(checksum(&packet), 0x6a29);
        assert!(Packet::parse(&packet).unwrap().checksum_valid());
    }

    #[test]
    fn the_connect_packet_is_the_published_one() {
        let mut out = BytesMut::new();
        encode_packet(Transport::Tcp, Code::CONNECT, 0, 0, &[], &mut out);
        assert_eq!(
            out[..],
            *b"\x50\x50\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0"
        );
    }
}
