//! Opening and closing a session.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{Code, DecodeError};

/// Opens a session. The session does this itself; the type is for the terminal's side and for
/// callers that speak the protocol by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect;

impl Request for Connect {
    type Reply = ();
    const CODE: Code = Code::CONNECT;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit;

impl Request for Exit {
    type Reply = ();
    const CODE: Code = Code::EXIT;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// The comm key of a terminal: a number of one to six digits, 0 where none was set.
///
/// It is a password, so `Debug` does not show it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CommKey(u32);

/// The tick every client uses. Any other works as well; the terminal reads it from the digest.
pub const DEFAULT_TICK: u8 = 50;

/// Mixed into the digest.
const SALT: [u8; 4] = *b"ZKSO";

impl CommKey {
    /// A comm key.
    pub const fn new(key: u32) -> Self {
        Self(key)
    }

    /// The digest that proves the key in one session.
    ///
    /// ```
    /// use zk_proto::request::CommKey;
    ///
    /// let digest = CommKey::new(12).digest(0x45cf, 50);
    /// assert_eq!(digest, [0x61, 0x4d, 0x32, 0x3c]);
    /// ```
    pub fn digest(self, session: u16, tick: u8) -> [u8; 4] {
        let sum = self.0.reverse_bits().wrapping_add(session.into());
        let [t0, t1, t2, t3] = sum.to_le_bytes();
        let [s0, s1, s2, s3] = SALT;
        let [_x0, x1, x2, x3] = [t0 ^ s0, t1 ^ s1, t2 ^ s2, t3 ^ s3];
        [x2 ^ tick, x3 ^ tick, tick, x1 ^ tick]
    }

    /// Whether a digest proves this key, whatever tick it was made with.
    pub fn accepts(self, digest: [u8; 4], session: u16) -> bool {
        let [_, _, tick, _] = digest;
        self.digest(session, tick) == digest
    }
}

impl From<u32> for CommKey {
    fn from(key: u32) -> Self {
        Self(key)
    }
}

impl fmt::Debug for CommKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommKey(…)")
    }
}

/// Proves the comm key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Auth {
    /// What [`CommKey::digest`] gave.
    pub digest: [u8; 4],
}

impl Auth {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            digest: head("CMD_AUTH", payload)?,
        })
    }
}

/// The digest gives the key away, so `Debug` does not show it.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}

impl Request for Auth {
    type Reply = ();
    const CODE: Code = Code::AUTH;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.digest);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_wraps_at_32_bits() {
        assert_eq!(
            CommKey::new(131_071).digest(0xc5cf, 50),
            [0x61, 0x7d, 0x32, 0x3c]
        );
    }

    #[test]
    fn any_tick_is_accepted_and_another_key_is_not() {
        for tick in 0..=255 {
            let digest = CommKey::new(123_456).digest(0x45cf, tick);
            assert!(CommKey::new(123_456).accepts(digest, 0x45cf));
            assert!(!CommKey::new(654_321).accepts(digest, 0x45cf));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", CommKey::new(123_456)), "CommKey(…)");
    }
}
