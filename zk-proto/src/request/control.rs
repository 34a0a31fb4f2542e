//! Keypad lock and refresh.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request};
use crate::{Code, DecodeError};

/// Unlocks keypad and sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnableDevice;

impl Request for EnableDevice {
    type Reply = ();
    const CODE: Code = Code::ENABLEDEVICE;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Locks keypad and sensor: people see "Working…".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisableDevice {
    /// Seconds after which the terminal unlocks itself; `None` until it is enabled.
    pub seconds: Option<u32>,
}

impl DisableDevice {
    /// Reads the payload at the terminal. No payload and four zero bytes both mean no limit.
    pub fn parse(payload: &[u8]) -> Self {
        let seconds = payload
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        Self {
            seconds: seconds.filter(|seconds| *seconds != 0),
        }
    }
}

impl Request for DisableDevice {
    type Reply = ();
    const CODE: Code = Code::DISABLEDEVICE;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        if let Some(seconds) = self.seconds {
            out.put_u32_le(seconds);
        }
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Makes written data effective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshData;

impl Request for RefreshData {
    type Reply = ();
    const CODE: Code = Code::REFRESHDATA;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
