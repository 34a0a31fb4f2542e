//! How much a terminal holds, and how much it could.

use bytes::{BufMut, BytesMut};

/// The counters of a terminal. A reply may be short: what is missing is unknown, not zero.
///
/// They are advisory. Firmware is known to say 0 while records exist, or to be stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Users stored.
    pub users: Option<u32>,
    /// Fingerprint templates stored.
    pub fingers: Option<u32>,
    /// Attendance records stored.
    pub records: Option<u32>,
    /// Records of the operation log.
    pub operations: Option<u32>,
    /// Administrators.
    pub admins: Option<u32>,
    /// Users with a password.
    pub passwords: Option<u32>,
    /// Room for fingerprint templates.
    pub fingers_max: Option<u32>,
    /// Room for users.
    pub users_max: Option<u32>,
    /// Room for attendance records.
    pub records_max: Option<u32>,
    /// Fingerprint templates that still fit.
    pub fingers_free: Option<u32>,
    /// Users that still fit.
    pub users_free: Option<u32>,
    /// Attendance records that still fit.
    pub records_free: Option<u32>,
    /// Faces stored.
    pub faces: Option<u32>,
    /// Room for faces.
    pub faces_max: Option<u32>,
}

/// A reply of this length or less comes from firmware that has no counters.
const NO_COUNTERS: usize = 4;

impl Counters {
    /// Reads the reply to the counters request; never fails.
    pub fn parse(reply: &[u8]) -> Self {
        let (words, _) = reply.as_chunks::<4>();
        let field = |offset: usize| {
            // Signed on the wire; a negative count is no count.
            let word = words
                .get(offset / 4)
                .filter(|_| reply.len() > NO_COUNTERS)?;
            u32::try_from(i32::from_le_bytes(*word)).ok()
        };
        Self {
            users: field(16),
            fingers: field(24),
            records: field(32),
            operations: field(40),
            admins: field(48),
            passwords: field(52),
            fingers_max: field(56),
            users_max: field(60),
            records_max: field(64),
            fingers_free: field(68),
            users_free: field(72),
            records_free: field(76),
            faces: field(80),
            faces_max: field(88),
        }
    }

    /// Appends a reply of `width` bytes (4, 80, 92 and 112 are in use), unknown fields as zero.
    pub fn encode(&self, width: usize, out: &mut BytesMut) {
        let words = [
            None,
            None,
            None,
            None,
            self.users,
            None,
            self.fingers,
            None,
            self.records,
            None,
            self.operations,
            None,
            self.admins,
            self.passwords,
            self.fingers_max,
            self.users_max,
            self.records_max,
            self.fingers_free,
            self.users_free,
            self.records_free,
            self.faces,
            None,
            self.faces_max,
        ];
        let padded = words.into_iter().chain(std::iter::repeat(None));
        for word in padded.take(width / 4) {
            out.put_u32_le(word.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_reply_leaves_the_rest_unknown() {
        let full = Counters {
            users: Some(3),
            records: Some(9),
            faces: Some(1),
            ..Counters::default()
        };
        let reply = |width| {
            let mut out = BytesMut::new();
            full.encode(width, &mut out);
            assert_eq!(out.len(), width);
            Counters::parse(&out)
        };
        assert_eq!(reply(4), Counters::default());
        assert_eq!((reply(80).users, reply(80).faces), (Some(3), None));
        assert_eq!((reply(92).faces, reply(92).faces_max), (Some(1), Some(0)));
        assert_eq!(reply(112), reply(92));
        assert_eq!(Counters::parse(&[0; 19]).users, None);
    }
}
