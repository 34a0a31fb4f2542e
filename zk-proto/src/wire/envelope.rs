//! The eight bytes that TCP puts before every packet.

use bytes::{BufMut, BytesMut};
use nom::{
    IResult, Parser,
    bytes::streaming::take,
    number::streaming::{le_u16, le_u32},
};

use super::packet::HEADER_LEN;
use crate::DecodeError;

/// First four bytes of every TCP frame.
pub const MAGIC: [u8; 4] = [0x50, 0x50, 0x82, 0x7d];
/// First four bytes of a frame of secured firmware.
pub const SECURED_MAGIC: [u8; 4] = [0x50, 0x50, 0x83, 0x7c];
/// Length of the prefix in bytes: magic and length.
pub const PREFIX_LEN: usize = 8;
/// Longest packet that is accepted unless told otherwise: 1 MiB.
pub const DEFAULT_MAX_FRAME: u32 = 1 << 20;
/// Longest packet that is ever accepted: 16 MiB.
pub const ABSOLUTE_MAX_FRAME: u32 = 16 << 20;

/// First byte of what an access panel sends on the same port.
const PANEL_START: u8 = 0xaa;

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A byte stream; every packet has a prefix of eight bytes.
    Tcp,
    /// One packet per datagram, no prefix.
    Udp,
}

/// The prefix of one TCP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Bytes that follow: packet header and payload.
    pub length: u32,
}

impl Prefix {
    /// Reads a prefix; `Ok(None)` while it is not complete.
    ///
    /// The magic is judged byte by byte, so that garbage is refused as early as possible, and the
    /// length before anything is allocated: it must hold a header and must not exceed `limit`.
    pub fn parse(input: &[u8], limit: u32) -> Result<Option<Self>, DecodeError> {
        let seen = input.get(..MAGIC.len()).unwrap_or(input);
        if !MAGIC.starts_with(seen) {
            return Self::refuse(input);
        }
        let Ok((_, length)) = length_field(input) else {
            return Ok(None);
        };
        let limit = limit.min(ABSOLUTE_MAX_FRAME);
        if length > limit {
            return Err(DecodeError::FrameTooLong {
                declared: length,
                limit,
            });
        }
        if (length as usize) < HEADER_LEN {
            return Err(DecodeError::FrameTooShort { declared: length });
        }
        Ok(Some(Self { length }))
    }

    /// Writes the prefix.
    pub fn encode(self, out: &mut BytesMut) {
        out.put_slice(&MAGIC);
        out.put_u32_le(self.length);
    }

    /// Names what came instead of the magic. Four bytes tell secured firmware from garbage.
    fn refuse(input: &[u8]) -> Result<Option<Self>, DecodeError> {
        if input.first() == Some(&PANEL_START) {
            return Err(DecodeError::AccessPanel);
        }
        let seen = input.get(..SECURED_MAGIC.len()).unwrap_or(input);
        if SECURED_MAGIC.starts_with(seen) {
            return if seen.len() == SECURED_MAGIC.len() {
                Err(DecodeError::SecuredFrame)
            } else {
                Ok(None)
            };
        }
        let mut found = [0; 4];
        for (to, from) in found.iter_mut().zip(input) {
            *to = *from;
        }
        Err(DecodeError::BadMagic { found })
    }
}

fn length_field(input: &[u8]) -> IResult<&[u8], u32> {
    let (rest, (_, _, length)) = (le_u16, take(2_usize), le_u32).parse(input)?;
    Ok((rest, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_start_has_its_own_answer() {
        let parse = |bytes: &[u8]| Prefix::parse(bytes, DEFAULT_MAX_FRAME);
        assert_eq!(
            parse(b"\x50\x50\x82\x7d\x08\0\0\0"),
            Ok(Some(Prefix { length: 8 }))
        );
        assert_eq!(parse(b"\x50\x50\x82\x7d\x08\0"), Ok(None));
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x50\x50\x83"), Ok(None));
        assert_eq!(parse(b"\x50\x50\x83\x7c"), Err(DecodeError::SecuredFrame));
        assert_eq!(parse(b"\xaa\x01"), Err(DecodeError::AccessPanel));
        assert_eq!(
            parse(b"GE"),
            Err(DecodeError::BadMagic { found: *b"GE\0\0" })
        );
        assert_eq!(
            parse(b"\x50\x50\x82\x7d\xf0\xff\xff\xff"),
            Err(DecodeError::FrameTooLong {
                declared: 0xffff_fff0,
                limit: DEFAULT_MAX_FRAME
            })
        );
        assert_eq!(
            parse(b"\x50\x50\x82\x7d\x07\0\0\0"),
            Err(DecodeError::FrameTooShort { declared: 7 })
        );
    }
}
