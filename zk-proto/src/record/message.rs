//! Short messages on the terminal's screen.

use std::fmt;

use bytes::{BufMut, BytesMut};
use nom::{
    IResult, Parser,
    number::complete::{le_u16, le_u32, u8},
};

use crate::{
    DecodeError,
    wire::{Encoding, PackedTime, cut_at_nul},
};

/// Bytes before the text.
const HEAD: usize = 11;
/// Bytes of the text on old firmware.
const TEXT: usize = 61;
/// Bytes of the text on newer firmware.
const LONG_TEXT: usize = 321;

/// Who a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageTag(pub u8);

impl MessageTag {
    /// Everybody.
    pub const PUBLIC: Self = Self(253);
    /// The users it is linked to.
    pub const PERSONAL: Self = Self(254);
    /// Nobody yet.
    pub const DRAFT: Self = Self(255);
}

/// A short message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who it is for.
    pub tag: MessageTag,
    /// Its number.
    pub id: u16,
    /// For how many minutes it is shown; 0 for ever.
    pub minutes: u16,
    /// Meaning unknown; 0.
    pub reserved: u16,
    /// From when on, in the terminal's local time.
    pub start: PackedTime,
    /// The text, in the terminal's encoding, without NUL.
    pub text: Vec<u8>,
}

impl Message {
    /// Reads a message, whatever room it has for the text.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        match message(payload) {
            Ok((_, message)) => Ok(message),
            Err(_) => Err(DecodeError::TooShort {
                what: "short message",
                expected: HEAD,
                found: payload.len(),
            }),
        }
    }

    /// Appends the message with the room old firmware has for the text (61 bytes), or newer
    /// firmware if `long` (321). A longer text is cut.
    pub fn encode(&self, long: bool, out: &mut BytesMut) {
        let room = if long { LONG_TEXT } else { TEXT };
        out.put_u8(self.tag.0);
        out.put_u16_le(self.id);
        out.put_u16_le(self.minutes);
        out.put_u16_le(self.reserved);
        out.put_u32_le(self.start.0);
        let text = self.text.get(..room).unwrap_or(&self.text);
        out.put_slice(text);
        out.put_bytes(0, room - text.len());
    }

    /// Whether the text has room on old firmware (61 bytes), or newer firmware if `long` (321).
    pub fn fits(&self, long: bool) -> bool {
        self.text.len() <= if long { LONG_TEXT } else { TEXT }
    }

    /// The text in an encoding.
    pub fn decode(&self, encoding: Encoding) -> String {
        encoding.decode(&self.text).into_owned()
    }
}

fn message(input: &[u8]) -> IResult<&[u8], Message> {
    let (text, (tag, id, minutes, reserved, start)) =
        (u8, le_u16, le_u16, le_u16, le_u32).parse(input)?;
    let message = Message {
        tag: MessageTag(tag),
        id,
        minutes,
        reserved,
        start: PackedTime(start),
        text: cut_at_nul(text).to_vec(),
    };
    Ok((&[], message))
}

/// What people write to each other is not for logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("tag", &self.tag)
            .field("id", &self.id)
            .field("minutes", &self.minutes)
            .field("start", &self.start)
            .field("text_len", &self.text.len())
            .finish_non_exhaustive()
    }
}
