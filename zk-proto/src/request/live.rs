//! Events, enrolment and verification.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head, templates::put_id};
use crate::{
    Code, DecodeError,
    record::{EventMask, TemplateFlag},
    wire::UserId,
};

/// Subscribes to events; [`EventMask::NONE`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe(pub EventMask);

impl Subscribe {
    /// Reads the payload at the terminal: four bytes, or two.
    pub fn parse(payload: &[u8]) -> Self {
        let long = payload
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        let short = payload
            .first_chunk()
            .map(|bytes| u16::from_le_bytes(*bytes));
        Self(EventMask(long.or(short.map(u32::from)).unwrap_or(0)))
    }
}

impl Request for Subscribe {
    type Reply = ();
    const CODE: Code = Code::REG_EVENT;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.0.0);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Starts the enrolment of a finger at the terminal. How it goes on comes as events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartEnroll {
    /// Whose finger.
    pub user_id: UserId,
    /// Which, 0 to 9.
    pub finger: u8,
    /// What kind of template it becomes.
    pub flag: TemplateFlag,
}

impl StartEnroll {
    /// Reads the payload at the terminal: 26 bytes with the id as text, or 5 with it as a number.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        if payload.len() < 26 {
            let [a, b, c, d, finger] = head("CMD_STARTENROLL", payload)?;
            return Ok(Self {
                user_id: UserId::from_number(u32::from_le_bytes([a, b, c, d])),
                finger,
                flag: TemplateFlag::VALID,
            });
        }
        let field: [u8; 26] = head("CMD_STARTENROLL", payload)?;
        let [id @ .., finger, flag] = field;
        Ok(Self {
            user_id: UserId::from_field(&id),
            finger,
            flag: TemplateFlag(flag),
        })
    }
}

impl Request for StartEnroll {
    type Reply = ();
    const CODE: Code = Code::STARTENROLL;

    fn encode(&self, out: &mut BytesMut) {
        put_id(self.user_id, out);
        out.put_u8(self.finger);
        out.put_u8(self.flag.0);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Starts an enrolment on black-and-white terminals, where ids are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartEnrollNumeric {
    /// Whose finger.
    pub user_id: u32,
    /// Which, 0 to 9.
    pub finger: u8,
}

impl Request for StartEnrollNumeric {
    type Reply = ();
    const CODE: Code = Code::STARTENROLL;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.user_id);
        out.put_u8(self.finger);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Back to normal verification, or the verification of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartVerify {
    /// Internal number of the user; `None` for whoever comes.
    pub uid: Option<u16>,
}

impl StartVerify {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Self {
        Self {
            uid: payload
                .first_chunk()
                .map(|bytes| u16::from_le_bytes(*bytes)),
        }
    }
}

impl Request for StartVerify {
    type Reply = ();
    const CODE: Code = Code::STARTVERIFY;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        if let Some(uid) = self.uid {
            out.put_u16_le(uid);
        }
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
