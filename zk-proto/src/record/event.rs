//! What a terminal tells without being asked.

use std::fmt;

use bytes::Bytes;

/// Which kind of event; a bit of the mask that subscribes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCode(pub u16);

impl EventCode {
    /// A punch.
    pub const ATTENDANCE: Self = Self(1);
    /// A finger on the sensor.
    pub const FINGER: Self = Self(2);
    /// A user was enrolled.
    pub const ENROLL_USER: Self = Self(4);
    /// A finger was enrolled.
    pub const ENROLL_FINGER: Self = Self(8);
    /// A key was pressed.
    pub const BUTTON: Self = Self(16);
    /// The door was opened.
    pub const UNLOCK: Self = Self(32);
    /// A verification.
    pub const VERIFY: Self = Self(128);
    /// Quality of a fingerprint.
    pub const FINGER_SCORE: Self = Self(256);
    /// An alarm.
    pub const ALARM: Self = Self(512);
}

/// One event, as it came. Its layout depends on kind and length.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Which kind.
    pub code: EventCode,
    /// The rest, not interpreted.
    pub payload: Bytes,
}

/// Ids and scores of people are not for logs: only the length is shown.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("code", &self.code)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}
