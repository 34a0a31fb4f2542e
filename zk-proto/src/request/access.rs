//! Access control of colour-screen terminals. Every write wants
//! [`RefreshData`](super::RefreshData) after it.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{
    Code, DecodeError,
    record::{Combination, Group, TimeZone, UserZones, VerifyRule},
};

/// Some firmware swaps the bytes of zone numbers; a terminal has 50 zones, so 256 is a swapped 1.
fn zone(number: u16) -> u16 {
    if number > 255 && number.is_multiple_of(256) {
        number >> 8
    } else {
        number
    }
}

/// Reads a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTimeZone {
    /// Its number, 1 to 50.
    pub index: u32,
}

impl Request for ReadTimeZone {
    type Reply = TimeZone;
    const CODE: Code = Code::TZ_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.index);
    }

    fn decode(&self, answer: Answer) -> Result<TimeZone, DecodeError> {
        TimeZone::parse_reply(&answer.payload, self.index)
    }
}

/// Writes a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTimeZone(pub TimeZone);

impl Request for WriteTimeZone {
    type Reply = ();
    const CODE: Code = Code::TZ_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadGroup {
    /// Its number.
    pub number: u8,
}

impl Request for ReadGroup {
    type Reply = Group;
    const CODE: Code = Code::GRPTZ_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.number);
        out.put_bytes(0, 7);
    }

    fn decode(&self, answer: Answer) -> Result<Group, DecodeError> {
        let group = Group::parse(&answer.payload)?;
        Ok(Group {
            zones: group.zones.map(zone),
            ..group
        })
    }
}

/// Writes a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteGroup(pub Group);

impl Request for WriteGroup {
    type Reply = ();
    const CODE: Code = Code::GRPTZ_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads the group of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadUserGroup {
    /// Internal number of the user.
    pub uid: u16,
}

impl Request for ReadUserGroup {
    type Reply = u8;
    const CODE: Code = Code::USERGRP_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.uid.into());
    }

    fn decode(&self, answer: Answer) -> Result<u8, DecodeError> {
        let [group] = head("group of a user", &answer.payload)?;
        Ok(group)
    }
}

/// Puts a user into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteUserGroup {
    /// Internal number of the user.
    pub uid: u16,
    /// The group.
    pub group: u8,
}

impl WriteUserGroup {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [u0, u1, _, _, group] = head("CMD_USERGRP_WRQ", payload)?;
        Ok(Self {
            uid: u16::from_le_bytes([u0, u1]),
            group,
        })
    }
}

impl Request for WriteUserGroup {
    type Reply = ();
    const CODE: Code = Code::USERGRP_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.uid.into());
        out.put_u8(self.group);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads the time zones of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadUserZones {
    /// Internal number of the user.
    pub uid: u16,
}

impl ReadUserZones {
    /// Appends the terminal's reply. Here the flag means the group's zones.
    pub fn encode_reply(zones: UserZones, out: &mut BytesMut) {
        out.put_u16_le((!zones.own).into());
        for zone in zones.zones {
            out.put_u16_le(zone);
        }
    }
}

impl Request for ReadUserZones {
    type Reply = UserZones;
    const CODE: Code = Code::USERTZ_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.uid.into());
    }

    fn decode(&self, answer: Answer) -> Result<UserZones, DecodeError> {
        let bytes: [u8; 8] = head("time zones of a user", &answer.payload)?;
        let (words, _) = bytes.as_chunks();
        let word = |index: usize| {
            words
                .get(index)
                .map_or(0, |bytes| u16::from_le_bytes(*bytes))
        };
        Ok(UserZones {
            own: word(0) == 0,
            zones: [zone(word(1)), zone(word(2)), zone(word(3))],
        })
    }
}

/// Writes the time zones of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteUserZones {
    /// Internal number of the user.
    pub uid: u16,
    /// The zones.
    pub zones: UserZones,
}

impl WriteUserZones {
    /// Reads the payload at the terminal. Here the flag means own zones.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let bytes: [u8; 20] = head("CMD_USERTZ_WRQ", payload)?;
        let (longs, _) = bytes.as_chunks::<4>();
        // Numbers of users and zones fit the lower half.
        let low = |index: usize| match longs.get(index) {
            Some([low, high, ..]) => u16::from_le_bytes([*low, *high]),
            None => 0,
        };
        Ok(Self {
            uid: low(0),
            zones: UserZones {
                own: low(1) != 0,
                zones: [low(2), low(3), low(4)],
            },
        })
    }
}

impl Request for WriteUserZones {
    type Reply = ();
    const CODE: Code = Code::USERTZ_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.uid.into());
        out.put_u32_le(self.zones.own.into());
        for zone in self.zones.zones {
            out.put_u32_le(zone.into());
        }
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads an unlock combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadCombination {
    /// Its number, 1 to 10.
    pub number: u8,
}

impl Request for ReadCombination {
    type Reply = Combination;
    const CODE: Code = Code::ULG_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.number);
        out.put_bytes(0, 7);
    }

    fn decode(&self, answer: Answer) -> Result<Combination, DecodeError> {
        Combination::parse(&answer.payload)
    }
}

/// Writes an unlock combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteCombination(pub Combination);

impl Request for WriteCombination {
    type Reply = ();
    const CODE: Code = Code::ULG_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads how a user must prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadVerifyRule {
    /// Internal number of the user.
    pub uid: u16,
}

impl Request for ReadVerifyRule {
    type Reply = VerifyRule;
    const CODE: Code = Code::VERIFY_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
    }

    fn decode(&self, answer: Answer) -> Result<VerifyRule, DecodeError> {
        let [_, _, rule] = head("verification rule", &answer.payload)?;
        Ok(VerifyRule(rule))
    }
}

/// Writes how a user must prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteVerifyRule {
    /// Internal number of the user.
    pub uid: u16,
    /// The rule.
    pub rule: VerifyRule,
}

impl WriteVerifyRule {
    /// Reads the payload at the terminal, which is also its reply to the read.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [u0, u1, rule] = head("CMD_VERIFY_WRQ", payload)?;
        Ok(Self {
            uid: u16::from_le_bytes([u0, u1]),
            rule: VerifyRule(rule),
        })
    }
}

impl Request for WriteVerifyRule {
    type Reply = ();
    const CODE: Code = Code::VERIFY_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u8(self.rule.0);
        out.put_bytes(0, 21);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
