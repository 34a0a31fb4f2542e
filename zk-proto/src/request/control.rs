//! Keypad lock, refresh, power, door, screen and voice.

use bytes::{BufMut, BytesMut};

use super::{Answer, Request, head};
use crate::{
    Code, DecodeError,
    wire::{Encoding, cut_at_nul},
};

plain! {
    /// Unlocks keypad and sensor.
    EnableDevice = ENABLEDEVICE, repeatable;
    /// Makes written data effective.
    RefreshData = REFRESHDATA, repeatable;
    /// Makes written options effective.
    RefreshOptions = REFRESHOPTION, repeatable;
    /// Restarts the terminal. Many do so before they answer.
    Restart = RESTART;
    /// Switches the terminal off.
    PowerOff = POWEROFF;
    /// Sends the terminal to sleep.
    Sleep = SLEEP;
    /// Wakes the terminal. Old firmware says that it does not support this.
    Wake = RESUME;
    /// Clears the screen.
    ClearLcd = CLEAR_LCD, repeatable;
    /// Stops a verification or an enrolment.
    CancelCapture = CANCELCAPTURE, repeatable;
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

/// Says that the caller means to lose data for good. Nothing makes one by chance: there is no
/// default, and every clearing request wants one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Confirmed(());

impl Confirmed {
    /// "What is cleared on the terminal is gone, and I have a copy or want none."
    pub const fn the_data_is_lost_for_good() -> Self {
        Self(())
    }
}

/// Requests that clear something, and have no payload.
macro_rules! clearing {
    ($($(#[$doc:meta])* $name:ident = $code:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name(pub Confirmed);

            impl Request for $name {
                type Reply = ();
                const CODE: Code = Code::$code;

                fn encode(&self, _: &mut BytesMut) {}

                fn decode(&self, _: Answer) -> Result<(), DecodeError> {
                    Ok(())
                }
            }
        )*
    };
}

clearing! {
    /// Clears the attendance log.
    ClearAttendance = CLEAR_ATTLOG;
    /// Clears the operation log.
    ClearOperations = CLEAR_OPLOG;
    /// Makes every user a normal user.
    ClearAdmins = CLEAR_ADMIN;
    /// Resets the access settings.
    ClearAccess = CLEAR_ACC;
    /// Empties the Mifare card that lies on the reader. Untested on hardware.
    EmptyMifare = EMPTY_MIFARE;
}

/// A kind of data to clear. There is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clearable {
    /// The attendance log.
    Attendance,
    /// The fingerprint templates.
    Templates,
    /// The operation log.
    Operations,
    /// The users, with their templates.
    Users,
    /// Everything. On the wire this is a request without a kind.
    All,
}

/// Clears data of one kind, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearData {
    /// What is to go.
    pub what: Clearable,
    /// That the caller means it.
    pub confirmed: Confirmed,
}

impl Clearable {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match payload.first() {
            None => Self::All,
            Some(1) => Self::Attendance,
            Some(2) => Self::Templates,
            Some(4) => Self::Operations,
            Some(5) => Self::Users,
            Some(other) => {
                return Err(DecodeError::Invalid {
                    what: "kind of data to clear",
                    found: (*other).into(),
                });
            }
        })
    }
}

impl Request for ClearData {
    type Reply = ();
    const CODE: Code = Code::CLEAR_DATA;

    fn encode(&self, out: &mut BytesMut) {
        match self.what {
            Clearable::Attendance => out.put_u8(1),
            Clearable::Templates => out.put_u8(2),
            Clearable::Operations => out.put_u8(4),
            Clearable::Users => out.put_u8(5),
            Clearable::All => {}
        }
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Opens the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// For how long, in the terminal's own unit: some take it for seconds, others for tenths.
    pub duration: u32,
}

impl Unlock {
    /// Reads the payload at the terminal; none means the time set in its menu.
    pub fn parse(payload: &[u8]) -> Self {
        let duration = payload.first_chunk().copied().map_or(0, u32::from_le_bytes);
        Self { duration }
    }
}

impl Request for Unlock {
    type Reply = ();
    const CODE: Code = Code::UNLOCK;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.duration);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// What the door's sensor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoorState(pub u8);

impl DoorState {
    /// Shut.
    pub const CLOSED: Self = Self(0);
    /// Not shut.
    pub const OPEN: Self = Self(1);

    /// Whether the door stands open.
    pub const fn is_open(self) -> bool {
        self.0 == Self::OPEN.0
    }
}

/// Asks the door's sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDoor;

impl Request for ReadDoor {
    type Reply = DoorState;
    const CODE: Code = Code::DOORSTATE_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<DoorState, DecodeError> {
        let [state] = head("door state", &answer.payload)?;
        Ok(DoorState(state))
    }
}

/// What a terminal is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceState(pub u16);

impl DeviceState {
    /// Waiting for somebody.
    pub const WAITING: Self = Self(0);
    /// Enrolling.
    pub const ENROLLING: Self = Self(1);
    /// Identifying somebody.
    pub const IDENTIFYING: Self = Self(2);
    /// In its menu.
    pub const MENU: Self = Self(3);
    /// Busy.
    pub const BUSY: Self = Self(4);
    /// Waiting for a card to write.
    pub const WRITING_CARD: Self = Self(5);
}

/// Asks what the terminal is doing. The answer stands in the session field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadState;

impl Request for ReadState {
    type Reply = DeviceState;
    const CODE: Code = Code::STATE_RRQ;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<DeviceState, DecodeError> {
        Ok(DeviceState(answer.session))
    }
}

/// Asks how many bytes a user id may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPinWidth;

impl Request for ReadPinWidth {
    type Reply = u8;
    const CODE: Code = Code::GET_PINWIDTH;
    const REPEATABLE: bool = true;

    /// The two bytes that other clients send.
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b" P");
    }

    fn decode(&self, answer: Answer) -> Result<u8, DecodeError> {
        let [width] = head("width of a user id", &answer.payload)?;
        Ok(width)
    }
}

/// Writes on the screen. Black-and-white terminals do so; few others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLcd<'a> {
    /// Which line, from 0.
    pub line: u16,
    /// The text, in the terminal's encoding. Other clients put a blank before it.
    pub text: &'a [u8],
}

impl<'a> WriteLcd<'a> {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let [line0, line1, _] = head("CMD_WRITE_LCD", payload)?;
        Ok(Self {
            line: u16::from_le_bytes([line0, line1]),
            text: cut_at_nul(payload.get(3..).unwrap_or(&[])),
        })
    }

    /// The text in an encoding.
    pub fn decode_text(&self, encoding: Encoding) -> String {
        encoding.decode(self.text).into_owned()
    }
}

impl Request for WriteLcd<'_> {
    type Reply = ();
    const CODE: Code = Code::WRITE_LCD;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.line);
        out.put_u8(0);
        out.put_slice(self.text);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Plays a prompt: 0 "thank you", 1 "wrong password", 2 "access denied", 4 "try again", 10 and 24
/// beeps, 11 a siren, 13 a bell, 20 to 23 "finger, password, badge, face, please".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayVoice {
    /// Number of the prompt.
    pub index: u32,
}

impl PlayVoice {
    /// Reads the payload at the terminal: four bytes, two or one.
    pub fn parse(payload: &[u8]) -> Self {
        let index = match *payload {
            [a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]),
            [a, b, ..] => u16::from_le_bytes([a, b]).into(),
            [a] => a.into(),
            [] => 0,
        };
        Self { index }
    }
}

impl Request for PlayVoice {
    type Reply = ();
    const CODE: Code = Code::TESTVOICE;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.index);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Changes the speed of a serial link, on old firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeSpeed {
    /// Whether to use the faster of the two speeds.
    pub fast: bool,
}

impl ChangeSpeed {
    /// Reads the payload at the terminal: one byte, or four.
    pub fn parse(payload: &[u8]) -> Self {
        let fast = payload.first().is_some_and(|speed| *speed != 0);
        Self { fast }
    }
}

impl Request for ChangeSpeed {
    type Reply = ();
    const CODE: Code = Code::CHANGE_SPEED;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.fast.into());
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Lets the colon of the screen's clock blink, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlinkClock(pub bool);

impl Request for BlinkClock {
    type Reply = ();
    const CODE: Code = Code::ENABLE_CLOCK;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.0.into());
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}
