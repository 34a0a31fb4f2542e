//! The terminal's clock.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{Code, DecodeError, wire::PackedTime};

/// Reads the clock: local time, no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadClock;

impl ReadClock {
    /// Appends the terminal's reply.
    pub fn encode_reply(time: PackedTime, out: &mut BytesMut) {
        out.put_u32_le(time.0);
    }
}

impl Request for ReadClock {
    type Reply = PackedTime;
    const CODE: Code = Code::GET_TIME;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<PackedTime, DecodeError> {
        head("clock", &answer.payload).map(|bytes| PackedTime(u32::from_le_bytes(bytes)))
    }
}

/// Sets the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetClock(pub PackedTime);

impl SetClock {
    /// Reads the payload at the terminal; some clients send zeros behind it.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        head("CMD_SET_TIME", payload).map(|bytes| Self(PackedTime(u32::from_le_bytes(bytes))))
    }
}

impl Request for SetClock {
    type Reply = ();
    const CODE: Code = Code::SET_TIME;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.0.0);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
