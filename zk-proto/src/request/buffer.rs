//! The buffered read: prepare a data set, read slices of it, free it.

use bytes::{BufMut, Bytes, BytesMut};
use nom::{
    IResult, Parser,
    number::complete::{le_u16, le_u32, u8},
};

use super::{Answer, Exchange, Request};
use crate::{Code, DecodeError};

/// Which data set to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataSet {
    /// The inner command.
    pub command: Code,
    /// First argument; the selector of commands that have one.
    pub argument: u32,
    /// Second argument.
    pub extra: u32,
}

impl DataSet {
    /// The users.
    pub const USERS: Self = Self {
        command: Code::USERTEMP_RRQ,
        argument: 5,
        extra: 0,
    };
    /// The attendance log.
    pub const ATTENDANCE: Self = Self {
        command: Code::ATTLOG_RRQ,
        argument: 0,
        extra: 0,
    };
    /// The fingerprint templates.
    pub const TEMPLATES: Self = Self {
        command: Code::DB_RRQ,
        argument: 2,
        extra: 0,
    };
    /// The short messages. That they are served is likely, not confirmed; their shape as a set is not
    /// known.
    pub const MESSAGES: Self = Self::direct(6);
    /// Which user sees which message; known as little as [`MESSAGES`](Self::MESSAGES).
    pub const LINKS: Self = Self::direct(7);
    /// The table of work codes; known as little as [`MESSAGES`](Self::MESSAGES).
    pub const WORK_CODES: Self = Self::direct(8);
    /// The operation log.
    pub const OPERATIONS: Self = Self {
        command: Code::OPLOG_RRQ,
        argument: 0,
        extra: 0,
    };

    const fn direct(selector: u32) -> Self {
        Self {
            command: Code::DB_RRQ,
            argument: selector,
            extra: 0,
        }
    }

    /// Appends the eleven bytes of the request.
    pub fn encode(self, out: &mut BytesMut) {
        out.put_u8(1);
        out.put_u16_le(self.command.0);
        out.put_u32_le(self.argument);
        out.put_u32_le(self.extra);
    }

    /// Reads the eleven bytes at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        fn fields(input: &[u8]) -> IResult<&[u8], (u8, u16, u32, u32)> {
            (u8, le_u16, le_u32, le_u32).parse(input)
        }
        match fields(payload) {
            Ok((_, (_, command, argument, extra))) => Ok(Self {
                command: Code(command),
                argument,
                extra,
            }),
            Err(_) => Err(DecodeError::TooShort {
                what: "CMD_PREPARE_BUFFER",
                expected: 11,
                found: payload.len(),
            }),
        }
    }
}

/// Prepares a data set for reading in slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareBuffer(pub DataSet);

/// What preparing gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Size of the data set in bytes, its leading total included.
    pub size: u32,
    /// The whole data set, if it is so small that the terminal sent it at once. There is nothing
    /// to read or free then.
    pub inline: Option<Bytes>,
}

impl Prepared {
    /// Reads an answer.
    pub fn parse(answer: &Answer) -> Result<Self, DecodeError> {
        fn sizes(input: &[u8]) -> IResult<&[u8], (u8, u32)> {
            (u8, le_u32).parse(input)
        }
        if answer.code == Code::DATA {
            // Inline data is one frame, far below 4 GiB.
            let size = u32::try_from(answer.payload.len()).unwrap_or(u32::MAX);
            return Ok(Self {
                size,
                inline: Some(answer.payload.clone()),
            });
        }
        match sizes(&answer.payload) {
            Ok((_, (_, size))) => Ok(Self { size, inline: None }),
            // An empty acknowledgement: there is nothing to read.
            Err(_) if answer.payload.is_empty() => Ok(Self {
                size: 0,
                inline: Some(Bytes::new()),
            }),
            Err(_) => Err(DecodeError::TooShort {
                what: "reply to CMD_PREPARE_BUFFER",
                expected: 5,
                found: answer.payload.len(),
            }),
        }
    }

    /// Appends the terminal's thirteen bytes.
    pub fn encode_reply(size: u32, out: &mut BytesMut) {
        out.put_u8(0);
        out.put_u32_le(size);
        out.put_u32_le(size);
        out.put_u32_le(0);
    }
}

impl Request for PrepareBuffer {
    type Reply = Prepared;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Prepared, DecodeError> {
        Prepared::parse(&answer)
    }
}

/// Reads one chunk of the prepared data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBuffer {
    /// First byte.
    pub offset: u32,
    /// Number of bytes.
    pub len: u32,
}

impl ReadBuffer {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        pair("CMD_READ_BUFFER", payload).map(|(offset, len)| Self { offset, len })
    }
}

impl Request for ReadBuffer {
    type Reply = Bytes;
    const CODE: Code = Code::READ_BUFFER;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.offset);
        out.put_u32_le(self.len);
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Reads a slice of any length, in as many chunks as it takes. Freeing is left to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSlice {
    /// First byte.
    pub offset: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Request for ReadSlice {
    type Reply = Bytes;
    const CODE: Code = Code::READ_BUFFER;
    const EXCHANGE: Exchange = Exchange::Slice;
    const REPEATABLE: bool = true;

    /// The session writes the payload, chunk by chunk.
    fn encode(&self, _: &mut BytesMut) {}

    fn slice(&self) -> ReadBuffer {
        ReadBuffer {
            offset: self.offset,
            len: self.len,
        }
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Releases the prepared data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeBuffer;

impl Request for FreeBuffer {
    type Reply = ();
    const CODE: Code = Code::FREE_DATA;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// What a terminal says before it sends data: `PREPARE_DATA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Bytes that follow.
    pub total: u32,
    /// Most bytes in one data packet.
    pub max_packet: u32,
}

impl Announcement {
    /// Reads the payload. The second number is missing on some firmware.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        if let Ok((total, max_packet)) = pair("CMD_PREPARE_DATA", payload) {
            return Ok(Self { total, max_packet });
        }
        let total = super::head("CMD_PREPARE_DATA", payload)?;
        Ok(Self {
            total: u32::from_le_bytes(total),
            max_packet: 0,
        })
    }

    /// Appends the payload.
    pub fn encode(self, out: &mut BytesMut) {
        out.put_u32_le(self.total);
        out.put_u32_le(self.max_packet);
    }
}

fn pair(what: &'static str, payload: &[u8]) -> Result<(u32, u32), DecodeError> {
    fn fields(input: &[u8]) -> IResult<&[u8], (u32, u32)> {
        (le_u32, le_u32).parse(input)
    }
    let short = |_| DecodeError::TooShort {
        what,
        expected: 8,
        found: payload.len(),
    };
    fields(payload).map(|(_, fields)| fields).map_err(short)
}
