//! Access control of colour-screen terminals: time zones, groups, combinations, verification modes.

use bytes::{BufMut, BytesMut};

use crate::DecodeError;

/// From when to when a door may be opened on one day of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DayWindow {
    /// Hour and minute of the beginning.
    pub from: (u8, u8),
    /// Hour and minute of the end, which belongs to it.
    pub to: (u8, u8),
}

impl DayWindow {
    /// The whole day.
    pub const ALWAYS: Self = Self {
        from: (0, 0),
        to: (23, 59),
    };
    /// Never: it ends before it begins.
    pub const NEVER: Self = Self {
        from: (23, 59),
        to: (0, 0),
    };

    /// Whether the door stays closed all day.
    pub fn is_closed(&self) -> bool {
        self.from > self.to
    }
}

/// An access time zone, which is a week and not a zone of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimeZone {
    /// Its number, 1 to 50.
    pub index: u32,
    /// The days, Sunday first.
    pub days: [DayWindow; 7],
}

impl TimeZone {
    /// Bytes of a week without its number.
    const DAYS: usize = 28;

    /// Reads what a terminal answers. Some firmware tells the number in two bytes, some in four;
    /// `index` is the one that was asked for.
    pub fn parse_reply(payload: &[u8], index: u32) -> Result<Self, DecodeError> {
        let long = payload
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        let at = if long == Some(index) && payload.len() >= 4 + Self::DAYS {
            4
        } else {
            2
        };
        Self::days(payload, at).map(|days| Self { index, days })
    }

    /// Reads a write request at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let days = Self::days(payload, 4)?;
        let index = payload
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Ok(Self { index, days })
    }

    fn days(payload: &[u8], at: usize) -> Result<[DayWindow; 7], DecodeError> {
        let week = payload
            .get(at..at + Self::DAYS)
            .ok_or(DecodeError::TooShort {
                what: "time zone",
                expected: at + Self::DAYS,
                found: payload.len(),
            })?;
        let mut days = [DayWindow::default(); 7];
        let (windows, _) = week.as_chunks();
        for (day, [h0, m0, h1, m1]) in days.iter_mut().zip(windows) {
            *day = DayWindow {
                from: (*h0, *m0),
                to: (*h1, *m1),
            };
        }
        Ok(days)
    }

    /// Appends a write request: the number in four bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.index);
        self.encode_days(out);
    }

    /// Appends the answer of a terminal: the number in two bytes, two unknown ones at the end.
    pub fn encode_reply(&self, out: &mut BytesMut) {
        out.put_u16_le(u16::try_from(self.index).unwrap_or(0));
        self.encode_days(out);
        out.put_u16_le(0);
    }

    fn encode_days(&self, out: &mut BytesMut) {
        for day in self.days {
            out.put_slice(&[day.from.0, day.from.1, day.to.0, day.to.1]);
        }
    }
}

/// How people must prove who they are.
///
/// 0 is "as the group says". Otherwise it is 0x80 and a number: 0 finger or password or card, 1
/// finger, 2 id, 3 password, 4 card, 5 to 14 combinations of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VerifyRule(pub u8);

impl VerifyRule {
    /// As the group says.
    pub const GROUP: Self = Self(0);
    /// Finger, password or card.
    pub const ANY: Self = Self(0x80);
}

/// An access group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its number.
    pub number: u8,
    /// Numbers of up to three time zones; 0 is none.
    pub zones: [u16; 3],
    /// Whether holidays count.
    pub holidays: bool,
    /// How its people must prove who they are: the low seven bits of [`VerifyRule`].
    pub verify: u8,
}

impl Group {
    /// Reads the eight bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [number, a0, a1, b0, b1, c0, c1, style] = eight("group", payload)?;
        Ok(Self {
            number,
            zones: [
                u16::from_le_bytes([a0, a1]),
                u16::from_le_bytes([b0, b1]),
                u16::from_le_bytes([c0, c1]),
            ],
            holidays: style & 0x80 != 0,
            verify: style & 0x7f,
        })
    }

    /// Appends the eight bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.number);
        for zone in self.zones {
            out.put_u16_le(zone);
        }
        out.put_u8(u8::from(self.holidays) << 7 | self.verify & 0x7f);
    }
}

/// Groups whose people open the door together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Combination {
    /// Its number, 1 to 10.
    pub number: u8,
    /// The groups; 0 is none.
    pub groups: [u8; 5],
    /// How many of them count.
    pub count: u16,
}

impl Combination {
    /// Reads the eight bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [number, groups @ .., n0, n1]: [u8; 8] = eight("unlock combination", payload)?;
        Ok(Self {
            number,
            groups,
            count: u16::from_le_bytes([n0, n1]),
        })
    }

    /// Appends the eight bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.number);
        out.put_slice(&self.groups);
        out.put_u16_le(self.count);
    }
}

/// The time zones of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserZones {
    /// Whether the user has zones of their own; otherwise those of the group count.
    pub own: bool,
    /// Numbers of up to three time zones; 0 is none.
    pub zones: [u16; 3],
}

fn eight(what: &'static str, payload: &[u8]) -> Result<[u8; 8], DecodeError> {
    payload.first_chunk().copied().ok_or(DecodeError::TooShort {
        what,
        expected: 8,
        found: payload.len(),
    })
}
