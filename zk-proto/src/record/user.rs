//! Users.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::complete::{le_u16, le_u32, u8},
};

use super::attendance::split;
use crate::{
    DecodeError,
    wire::{Name, UserId, cut_at_nul},
};

const WHAT: &str = "user list";
/// The group of people whose record has none.
const USUAL_GROUP: u8 = 1;
/// Privilege byte of what lies between users on the AK3750 platform: slots of templates.
pub(crate) const TEMPLATE_SLOT: u8 = 0x31;

/// What a user may do at the terminal. Other values occur, so this stays a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Privilege(pub u8);

impl Privilege {
    /// A normal user.
    pub const USER: Self = Self(0);
    /// May enrol others.
    pub const ENROLLER: Self = Self(2);
    /// May do most.
    pub const MANAGER: Self = Self(6);
    /// May do everything.
    pub const ADMIN: Self = Self(14);

    /// Whether the user is disabled.
    pub const fn is_disabled(self) -> bool {
        self.0 & 1 != 0
    }

    /// The level, 0 to 7: 0 user, 1 enroller, 3 manager, 7 administrator.
    pub const fn level(self) -> u8 {
        (self.0 >> 1) & 7
    }
}

/// The shape of one user record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserLayout {
    /// 72 bytes, colour-screen terminals.
    Bytes72,
    /// 28 bytes, older ones.
    Bytes28,
    /// 120 bytes, the `NGTeco` brand: first and last name in fields of their own.
    Bytes120,
    /// 16 bytes, firmware before 5.04: the id is the internal number.
    Bytes16,
}

impl UserLayout {
    /// Every layout that is understood, the usual one first.
    pub const ALL: &[Self] = &[Self::Bytes72, Self::Bytes28, Self::Bytes120, Self::Bytes16];
    const WIDTHS: &[usize] = &[72, 28, 120, 16];

    /// Bytes per record.
    pub const fn width(self) -> usize {
        match self {
            Self::Bytes72 => 72,
            Self::Bytes28 => 28,
            Self::Bytes120 => 120,
            Self::Bytes16 => 16,
        }
    }

    /// Where the bytes lie that a [`User`] does not hold.
    fn unmodelled(self) -> &'static [(usize, usize)] {
        match self {
            Self::Bytes72 => &[(3, 11), (40, 48)],
            Self::Bytes28 => &[(3, 8), (20, 21), (22, 24)],
            Self::Bytes120 => &[(3, 35), (87, 96)],
            Self::Bytes16 => &[(3, 8)],
        }
    }

    /// Where personal data lies.
    pub(crate) fn personal(self) -> Personal {
        match self {
            Self::Bytes72 => Personal {
                password: (3, 11),
                names: &[(11, 35)],
                card: Some(35),
                id: PersonalId::Text(48, 72),
                rest: &[(40, 48)],
            },
            Self::Bytes28 => Personal {
                password: (3, 8),
                names: &[(8, 16)],
                card: Some(16),
                id: PersonalId::Number(24),
                rest: &[(20, 21), (22, 24)],
            },
            Self::Bytes120 => Personal {
                password: (3, 35),
                names: &[(35, 59), (59, 83)],
                card: Some(83),
                id: PersonalId::Text(96, 120),
                rest: &[(87, 96)],
            },
            Self::Bytes16 => Personal {
                password: (3, 8),
                names: &[(8, 16)],
                card: None,
                id: PersonalId::Uid,
                rest: &[],
            },
        }
    }

    /// The layout of a width in bytes.
    pub fn of_width(width: usize) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|layout| layout.width() == width)
    }
}

/// Where personal data lies in a user record; each range with its end.
pub(crate) struct Personal {
    /// The password, or what probably is it.
    pub(crate) password: (usize, usize),
    /// Names.
    pub(crate) names: &'static [(usize, usize)],
    /// Number of the card, a `u32`.
    pub(crate) card: Option<usize>,
    /// The user id.
    pub(crate) id: PersonalId,
    /// What should be numbers.
    pub(crate) rest: &'static [(usize, usize)],
}

/// How a record tells the user id.
pub(crate) enum PersonalId {
    /// Text in a range.
    Text(usize, usize),
    /// A `u32` at an offset.
    Number(usize),
    /// The internal number is the id.
    Uid,
}

/// One user. Passwords are passed over when a record is read and never kept.
///
/// The default is nobody yet, in the usual group: people in no group are refused at the door of many
/// terminals ("invalid time period").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// Internal number, the slot the record lies in.
    pub uid: u16,
    /// The id people type: `user_id` in the attendance log.
    pub user_id: UserId,
    /// The name, in the terminal's encoding.
    pub name: Name,
    /// What the user may do.
    pub privilege: Privilege,
    /// Number of the card; 0 where there is none.
    pub card: u32,
    /// Access group; 1 is the usual one.
    pub group: u8,
}

impl Default for User {
    fn default() -> Self {
        Self {
            uid: 0,
            user_id: UserId::default(),
            name: Name::default(),
            privilege: Privilege::USER,
            card: 0,
            group: USUAL_GROUP,
        }
    }
}

impl User {
    /// Reads the first record of `bytes`.
    pub fn parse(bytes: &[u8], layout: UserLayout) -> Result<Self, DecodeError> {
        let record = bytes.get(..layout.width()).unwrap_or(bytes);
        let parsed = match layout {
            UserLayout::Bytes72 => user72(record),
            UserLayout::Bytes28 => user28(record),
            UserLayout::Bytes120 => user120(record),
            UserLayout::Bytes16 => user16(record),
        };
        parsed
            .map(|(_, user)| user)
            .map_err(|_| DecodeError::TooShort {
                what: "user record",
                expected: layout.width(),
                found: bytes.len(),
            })
    }

    /// Appends the record as a terminal stores it, with an empty password.
    pub fn encode(&self, layout: UserLayout, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u8(self.privilege.0);
        match layout {
            UserLayout::Bytes72 => {
                out.put_bytes(0, 8);
                put_field::<24>(self.name.as_bytes(), out);
                out.put_u32_le(self.card);
                out.put_u8(self.group);
                out.put_bytes(0, 8);
                put_field::<24>(self.user_id.as_bytes(), out);
            }
            UserLayout::Bytes28 => {
                out.put_bytes(0, 5);
                put_field::<8>(self.name.as_bytes(), out);
                out.put_u32_le(self.card);
                out.put_u8(0);
                out.put_u8(self.group);
                out.put_u16_le(0);
                // Such firmware has numeric ids only.
                out.put_u32_le(self.user_id.to_number().unwrap_or(0));
            }
            UserLayout::Bytes120 => {
                let (first, last) = halves(self.name.as_bytes());
                out.put_bytes(0, 32);
                put_field::<24>(first, out);
                put_field::<24>(last, out);
                out.put_u32_le(self.card);
                out.put_bytes(0, 9);
                put_field::<24>(self.user_id.as_bytes(), out);
            }
            UserLayout::Bytes16 => {
                out.put_bytes(0, 5);
                put_field::<8>(self.name.as_bytes(), out);
            }
        }
    }

    /// Whether this is a person, and not a free slot or one that holds a template.
    fn is_somebody(&self) -> bool {
        self.privilege.0 != TEMPLATE_SLOT && !(self.uid == 0 && self.user_id.is_empty())
    }

    pub(crate) fn is_plausible(&self) -> bool {
        let printable = |text: &[u8]| text.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f);
        self.uid != 0
            && self.privilege.0 < 16
            && !self.user_id.is_empty()
            && printable(self.user_id.as_bytes())
            && printable(self.name.as_bytes())
    }
}

fn user72(input: &[u8]) -> IResult<&[u8], User> {
    let (rest, (uid, privilege, _password, name, card, group, _zones, id)) = (
        le_u16,
        u8,
        take(8_usize),
        take(24_usize),
        le_u32,
        u8,
        take(8_usize),
        take(24_usize),
    )
        .parse(input)?;
    let user = User {
        uid,
        user_id: UserId::from_field(id),
        name: Name::from_field(name),
        privilege: Privilege(privilege),
        card,
        group,
    };
    Ok((rest, user))
}

fn user28(input: &[u8]) -> IResult<&[u8], User> {
    let (rest, (uid, privilege, _password, name, card, _card_high, group, _zones, id)) = (
        le_u16,
        u8,
        take(5_usize),
        take(8_usize),
        le_u32,
        u8,
        u8,
        le_u16,
        le_u32,
    )
        .parse(input)?;
    let user = User {
        uid,
        user_id: UserId::from_number(id),
        name: Name::from_field(name),
        privilege: Privilege(privilege),
        card,
        group,
    };
    Ok((rest, user))
}

fn user120(input: &[u8]) -> IResult<&[u8], User> {
    let (rest, (uid, privilege, _unknown, first, last, card, _unknown_too, id)) = (
        le_u16,
        u8,
        take(32_usize),
        take(24_usize),
        take(24_usize),
        le_u32,
        take(9_usize),
        take(24_usize),
    )
        .parse(input)?;
    let (first, last) = (cut_at_nul(first), cut_at_nul(last));
    let between: &[u8] = if first.is_empty() || last.is_empty() {
        b""
    } else {
        b" "
    };
    let user = User {
        uid,
        user_id: UserId::from_field(id),
        name: Name::from_field(&[first, between, last].concat()),
        privilege: Privilege(privilege),
        card,
        group: USUAL_GROUP,
    };
    Ok((rest, user))
}

fn user16(input: &[u8]) -> IResult<&[u8], User> {
    let (rest, (uid, privilege, _password, name)) =
        (le_u16, u8, take(5_usize), take(8_usize)).parse(input)?;
    let user = User {
        uid,
        user_id: UserId::from_number(uid.into()),
        name: Name::from_field(name),
        privilege: Privilege(privilege),
        card: 0,
        group: USUAL_GROUP,
    };
    Ok((rest, user))
}

/// A name as first and last name: cut at a blank where both halves fit their fields, if there is
/// one.
fn halves(name: &[u8]) -> (&[u8], &[u8]) {
    const FIELD: usize = 24;
    let blanks = name.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    let cuts = blanks.filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)));
    let mut cuts = cuts.filter(|(first, last)| first.len() <= FIELD && last.len() <= FIELD);
    cuts.next()
        .or_else(|| name.split_at_checked(FIELD))
        .unwrap_or((name, &[]))
}

/// A text that is too long is cut, and between two characters where it is UTF-8.
fn put_field<const N: usize>(text: &[u8], out: &mut BytesMut) {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.get(..text.floor_char_boundary(N)).map(str::as_bytes),
        Err(_) => Some(text),
    }
    .unwrap_or(&[]);
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
    out.put_slice(&field);
}

/// A user record as it lies in the terminal, with the fields that [`User`] leaves out: password,
/// time zones, and whatever firmware keeps beside them. Writing it back changes only what was
/// [`set`](Self::set).
///
/// `Debug` does not show the bytes, since the password is among them.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    raw: Bytes,
    layout: UserLayout,
}

impl UserRecord {
    /// A new record, without password and with the group's time zones.
    pub fn new(user: &User, layout: UserLayout) -> Self {
        let mut raw = BytesMut::with_capacity(layout.width());
        user.encode(layout, &mut raw);
        Self {
            raw: raw.freeze(),
            layout,
        }
    }

    /// Takes the first record of `bytes`.
    pub fn parse(bytes: &[u8], layout: UserLayout) -> Result<Self, DecodeError> {
        User::parse(bytes, layout)?;
        let raw = bytes.get(..layout.width()).unwrap_or(bytes);
        Ok(Self {
            raw: Bytes::copy_from_slice(raw),
            layout,
        })
    }

    /// What the record says.
    pub fn user(&self) -> User {
        // The length was checked when the record was made.
        User::parse(&self.raw, self.layout).unwrap_or_default()
    }

    /// Writes the fields of `user` and leaves all other bytes as they are.
    pub fn set(&mut self, user: &User) {
        let mut new = BytesMut::with_capacity(self.layout.width());
        user.encode(self.layout, &mut new);
        for (start, end) in self.layout.unmodelled() {
            let range = *start..*end;
            if let (Some(to), Some(from)) = (new.get_mut(range.clone()), self.raw.get(range)) {
                to.copy_from_slice(from);
            }
        }
        self.raw = new.freeze();
    }

    /// The shape of the record.
    pub fn layout(&self) -> UserLayout {
        self.layout
    }

    /// The record as it travels.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("user", &self.user())
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// The data set of all users: a `u32` total and the records.
#[derive(Clone, Copy, Debug)]
pub struct UserList;

impl UserList {
    /// Reads a data set: a `u32` total and the records, of whatever width fits. `count` is what
    /// the counters say, a hint.
    pub fn parse(data: &Bytes, count: Option<u32>) -> Result<Vec<User>, DecodeError> {
        let (records, layout) = Self::whole(data, count)?;
        Ok(Self::whole_records(&records, layout))
    }

    /// Reads a data set like [`parse`](Self::parse) and keeps every byte of each record, for
    /// writing them back.
    pub fn records(data: &Bytes, count: Option<u32>) -> Result<Vec<UserRecord>, DecodeError> {
        let (records, layout) = Self::whole(data, count)?;
        let whole = (0..records.len() / layout.width()).map(|index| UserRecord {
            raw: records.slice(index * layout.width()..(index + 1) * layout.width()),
            layout,
        });
        Ok(whole.filter(|record| record.user().is_somebody()).collect())
    }

    /// The shape of the records of a list that need not be whole.
    pub(crate) fn shape(records: &[u8], total: usize, count: Option<u32>) -> Option<UserLayout> {
        detect(records, total, count)
    }

    /// The records of a data set that is whole, and their shape.
    fn whole(data: &Bytes, count: Option<u32>) -> Result<(Bytes, UserLayout), DecodeError> {
        let Some((announced, body)) = split(data)? else {
            return Ok((Bytes::new(), UserLayout::Bytes72));
        };
        let truncated = |found| DecodeError::Truncated {
            what: WHAT,
            announced,
            found,
            data: data.clone(),
        };
        if announced > body.len() {
            return Err(truncated(body.len()));
        }
        let records = body.slice(..announced);
        // A total of zero before records is a header of another shape, not an empty list.
        let fits = if announced == 0 && !body.is_empty() {
            None
        } else {
            detect(&records, announced, count)
        };
        let layout = fits.ok_or_else(|| DecodeError::UnknownWidth {
            what: WHAT,
            total: announced,
            known: UserLayout::WIDTHS,
            data: data.clone(),
        })?;
        let whole = announced - announced % layout.width();
        if whole < announced {
            return Err(truncated(whole));
        }
        Ok((records, layout))
    }

    /// Reads the whole records of a data set that is incomplete, such as the one an error carries.
    pub fn salvage(data: &Bytes, count: Option<u32>) -> Option<Vec<User>> {
        let (announced, body) = split(data).ok()??;
        let there = body.slice(..announced.min(body.len()));
        Some(Self::whole_records(
            &there,
            detect(&there, announced, count)?,
        ))
    }

    /// Writes the data set a terminal would send.
    pub fn encode<'a>(
        users: impl IntoIterator<Item = &'a User>,
        layout: UserLayout,
        out: &mut BytesMut,
    ) {
        let mut body = BytesMut::new();
        for user in users {
            user.encode(layout, &mut body);
        }
        // Terminals number users with 16 bits.
        out.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_slice(&body);
    }

    fn whole_records(records: &[u8], layout: UserLayout) -> Vec<User> {
        let chunks = records.chunks_exact(layout.width());
        chunks
            .filter_map(|raw| User::parse(raw, layout).ok())
            .filter(User::is_somebody)
            .collect()
    }
}

/// The layout whose records look most like users, of those that divide the size if any does. `size` is
/// how many bytes there should be. The width that the counters speak for is believed unless another one
/// looks better than that: they may be stale.
fn detect(records: &[u8], size: usize, count: Option<u32>) -> Option<UserLayout> {
    const COUNTED: usize = 75;
    const PASS: usize = 50;
    let count = count.unwrap_or(0) as usize;
    if records.is_empty() {
        return Some(UserLayout::Bytes72);
    }
    let score = |layout: UserLayout| {
        let users = UserList::whole_records(records, layout);
        let mut slots: Vec<u16> = users
            .iter()
            .filter(|user| user.is_plausible())
            .map(|user| user.uid)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let share = (slots.len() * 100).checked_div(users.len()).unwrap_or(0);
        let counted = count > 0 && count.checked_mul(layout.width()) == Some(size);
        if counted { share.max(COUNTED) } else { share }
    };
    let divides = |layout: UserLayout| size.is_multiple_of(layout.width());
    let candidates = UserLayout::ALL.iter().copied();
    candidates
        // Of equals the last is taken, and the usual one is first.
        .rev()
        .map(|layout| (divides(layout), score(layout), layout))
        .filter(|(_, score, _)| *score >= PASS)
        .max_by_key(|(divides, score, _)| (*divides, *score))
        .map(|(_, _, layout)| layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u16) -> User {
        User {
            uid,
            user_id: uid.to_string().as_str().into(),
            name: "Zoë O".into(),
            privilege: Privilege::ADMIN,
            card: 70_000,
            group: 1,
        }
    }

    #[test]
    fn users_survive_the_round_trip_in_every_layout() {
        // 18 × 28 = 7 × 72 = 504: the size alone cannot tell.
        for (layout, count) in [
            (UserLayout::Bytes72, 7),
            (UserLayout::Bytes28, 18),
            (UserLayout::Bytes120, 9),
            (UserLayout::Bytes16, 30),
            (UserLayout::Bytes16, 45),
        ] {
            let mut users: Vec<User> = (1..=count).map(user).collect();
            if layout == UserLayout::Bytes16 {
                for user in &mut users {
                    user.card = 0;
                }
            }
            let mut data = BytesMut::new();
            UserList::encode(&users, layout, &mut data);
            let data = data.freeze();
            // Whatever the counters say: they may be stale.
            let stale = (0..130).map(Some);
            for counted in stale.chain([None, Some(u32::MAX)]) {
                assert_eq!(
                    UserList::parse(&data, counted).as_ref(),
                    Ok(&users),
                    "{counted:?}"
                );
            }
            // And of a list that did not come whole, what came.
            let part = data.slice(..data.len() * 2 / 3);
            let saved = UserList::salvage(&part, None).unwrap();
            assert!(!saved.is_empty() && users.starts_with(&saved));
        }
    }
}
