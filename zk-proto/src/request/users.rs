//! Writing and deleting users.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{
    Code, DecodeError,
    record::{UserLayout, UserRecord},
};

/// Writes one user. The slot is the record's internal number; whoever lies there is replaced.
/// [`RefreshData`](super::RefreshData) makes it effective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteUser(pub UserRecord);

impl WriteUser {
    /// Reads the payload at the terminal: a record of any known width.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let layout = UserLayout::of_width(payload.len()).ok_or(DecodeError::Invalid {
            what: "length of a user record",
            found: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        })?;
        UserRecord::parse(payload, layout).map(Self)
    }
}

impl Request for WriteUser {
    type Reply = ();
    const CODE: Code = Code::USER_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.0.as_bytes());
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Deletes the user in a slot, with all templates. The number is the internal one: it is not the
/// id people type, and must be looked up in the list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteUser {
    /// Internal number.
    pub uid: u16,
}

impl DeleteUser {
    /// Reads the payload at the terminal; what some clients send behind the number is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        head("CMD_DELETE_USER", payload).map(|bytes| Self {
            uid: u16::from_le_bytes(bytes),
        })
    }
}

impl Request for DeleteUser {
    type Reply = ();
    const CODE: Code = Code::DELETE_USER;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// The layout of user records that have a tag before each. 73 and 29 are multiples of one another
/// only far beyond any upload, and the usual layout is tried first.
pub(super) fn layout_of_tagged(size: usize) -> Option<UserLayout> {
    [UserLayout::Bytes72, UserLayout::Bytes28]
        .into_iter()
        .find(|layout| size.is_multiple_of(layout.width() + 1))
}
