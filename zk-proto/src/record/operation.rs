//! The operation log: what was done at the terminal.

use bytes::{BufMut, Bytes, BytesMut};
use nom::{
    IResult, Parser,
    multi::count,
    number::complete::{le_u16, le_u32, u8},
};

use super::attendance::split;
use crate::{DecodeError, wire::PackedTime};

const WHAT: &str = "operation log";

/// One entry of the operation log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Internal number of the administrator; 0 where there was none.
    pub admin: u16,
    /// What was done.
    pub code: OperationCode,
    /// Meaning unknown.
    pub unknown: u8,
    /// When, in the terminal's local time.
    pub time: PackedTime,
    /// The first is whom it concerned, the second the result (1 done, 0 failed), as far as known.
    pub params: [u16; 4],
}

/// What was done. Newer firmware has more than are named, so this stays a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationCode(pub u8);

impl OperationCode {
    /// In words, for the numbers of the 2006 manual.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "power on",
            1 => "power off",
            2 => "authentication failed",
            3 => "tamper",
            4 => "menu entered",
            5 => "option changed",
            6 => "fingerprint enrolled",
            7 => "password enrolled",
            8 => "card registered",
            9 => "user deleted",
            10 => "fingerprint deleted",
            11 => "password deleted",
            12 => "card deleted",
            13 => "data cleared",
            14 => "MF card created",
            15 => "MF card enrolled",
            16 => "MF card registered",
            17 => "MF registration deleted",
            18 => "MF card cleared",
            19 => "enrolment moved to card",
            20 => "card copied to terminal",
            21 => "time set",
            22 => "factory reset",
            23 => "attendance log cleared",
            24 => "administrators cleared",
            25 => "access groups changed",
            26 => "user access changed",
            27 => "time zones changed",
            28 => "unlock combination changed",
            29 => "unlocked",
            30 => "user enrolled",
            _ => return None,
        })
    }
}

impl Operation {
    /// Bytes per entry.
    pub const WIDTH: usize = 16;

    /// Reads the first entry of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        match operation(bytes) {
            Ok((_, operation)) => Ok(operation),
            Err(_) => Err(DecodeError::TooShort {
                what: "operation",
                expected: Self::WIDTH,
                found: bytes.len(),
            }),
        }
    }

    /// Appends the entry as a terminal stores it.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.admin);
        out.put_u8(self.code.0);
        out.put_u8(self.unknown);
        out.put_u32_le(self.time.0);
        for param in self.params {
            out.put_u16_le(param);
        }
    }

    /// Reads a data set: a `u32` total and the entries.
    pub fn parse_log(data: &Bytes) -> Result<Vec<Self>, DecodeError> {
        let Some((announced, body)) = split(data)? else {
            return Ok(Vec::new());
        };
        let there = announced.min(body.len());
        let whole = there - there % Self::WIDTH;
        if whole < announced {
            return Err(DecodeError::Truncated {
                what: WHAT,
                announced,
                found: whole,
                data: data.clone(),
            });
        }
        body.slice(..whole)
            .chunks_exact(Self::WIDTH)
            .map(Self::parse)
            .collect()
    }

    /// Writes the data set a terminal would send.
    pub fn encode_log<'a>(log: impl IntoIterator<Item = &'a Self>, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        log.into_iter()
            .for_each(|operation| operation.encode(&mut body));
        out.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_slice(&body);
    }
}

fn operation(input: &[u8]) -> IResult<&[u8], Operation> {
    let (rest, (admin, code, unknown, time, params)) =
        (le_u16, u8, u8, le_u32, count(le_u16, 4)).parse(input)?;
    let operation = Operation {
        admin,
        code: OperationCode(code),
        unknown,
        time: PackedTime(time),
        params: params.try_into().unwrap_or_default(),
    };
    Ok((rest, operation))
}
