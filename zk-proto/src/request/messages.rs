//! Short messages and who sees them.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{Code, DecodeError, record::Message};

/// Reads a message. One that is not there is refused (4993).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMessage {
    /// Its number.
    pub id: u16,
}

impl Request for ReadMessage {
    type Reply = Message;
    const CODE: Code = Code::SMS_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.id);
    }

    fn decode(&self, answer: Answer) -> Result<Message, DecodeError> {
        Message::parse(&answer.payload)
    }
}

/// Writes a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteMessage {
    /// The message.
    pub message: Message,
    /// Whether the terminal has room for 321 bytes of text; old firmware has 61.
    pub long: bool,
}

impl Request for WriteMessage {
    type Reply = ();
    const CODE: Code = Code::SMS_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        self.message.encode(self.long, out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Deletes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteMessage {
    /// Its number.
    pub id: u16,
}

impl DeleteMessage {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        head("CMD_DELETE_SMS", payload).map(|bytes| Self {
            id: u16::from_le_bytes(bytes),
        })
    }
}

impl Request for DeleteMessage {
    type Reply = ();
    const CODE: Code = Code::DELETE_SMS;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.id);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Shows a personal message to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkMessage {
    /// Internal number of the user.
    pub uid: u16,
    /// Number of the message.
    pub message: u16,
}

/// Shows it no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlinkMessage {
    /// Internal number of the user.
    pub uid: u16,
    /// Number of the message.
    pub message: u16,
}

impl Request for LinkMessage {
    type Reply = ();
    const CODE: Code = Code::UDATA_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u16_le(self.message);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

impl Request for UnlinkMessage {
    type Reply = ();
    const CODE: Code = Code::DELETE_UDATA;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u16_le(self.message);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
