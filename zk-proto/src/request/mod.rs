//! One type per command with its reply; no ordering. Each file holds both directions.

/// Requests whose payload never changes and whose answer says only "done".
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident = $code:ident $(, $repeatable:ident)?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name;

            impl Request for $name {
                type Reply = ();
                const CODE: Code = Code::$code;
                $(const REPEATABLE: bool = plain!(@ $repeatable);)?

                fn encode(&self, _: &mut BytesMut) {}

                fn decode(&self, _: Answer) -> Result<(), DecodeError> {
                    Ok(())
                }
            }
        )*
    };
    (@ repeatable) => { true };
}

mod access;
mod buffer;
mod clock;
mod connect;
mod control;
mod info;
mod live;
mod logs;
mod messages;
mod raw;
mod sets;
mod templates;
mod users;

use bytes::{Bytes, BytesMut};

pub use self::{
    access::{
        ReadCombination, ReadGroup, ReadTimeZone, ReadUserGroup, ReadUserZones, ReadVerifyRule,
        WriteCombination, WriteGroup, WriteTimeZone, WriteUserGroup, WriteUserZones,
        WriteVerifyRule,
    },
    buffer::{Announcement, DataSet, FreeBuffer, PrepareBuffer, Prepared, ReadBuffer, ReadSlice},
    clock::{ReadClock, SetClock},
    connect::{Auth, CommKey, Connect, DEFAULT_TICK, Exit},
    control::{
        BlinkClock, CancelCapture, ChangeSpeed, ClearAccess, ClearAdmins, ClearAttendance,
        ClearData, ClearLcd, ClearOperations, Clearable, Confirmed, DeviceState, DisableDevice,
        DoorState, EmptyMifare, EnableDevice, PlayVoice, PowerOff, ReadDoor, ReadPinWidth,
        ReadState, RefreshData, RefreshOptions, Restart, Sleep, Unlock, Wake, WriteLcd,
    },
    info::{DeviceOption, ReadCounters, ReadOption, ReadVersion, WriteOption},
    live::{StartEnroll, StartEnrollNumeric, StartVerify, Subscribe},
    logs::{
        ReadAttendanceBetween, ReadAttendanceBytes, ReadAttendanceDirect, ReadDirect,
        ReadOperations, ReadUsersDirect,
    },
    messages::{DeleteMessage, LinkMessage, ReadMessage, UnlinkMessage, WriteMessage},
    raw::Raw,
    sets::{ReadAttendance, ReadUserRecords, ReadUsers},
    templates::{
        BulkUpload, CaptureFinger, DeleteTemplate, DeleteTemplateOf, Finger, IdentifyTemplate,
        PrepareUpload, ReadFaces, ReadPhoto, ReadTemplate, ReadTemplateBare, ReadTemplates,
        ReadUploadHash, SaveUploaded, StoreTemplate, UploadPart, WriteMifare, WriteTemplate,
        upload_hash,
    },
    users::{DeleteUser, WriteUser},
};
use crate::{Code, DecodeError};

/// A command and what comes back.
pub trait Request {
    /// What a successful answer means.
    type Reply;
    /// The command's number.
    const CODE: Code;
    /// How the answer comes.
    const EXCHANGE: Exchange = Exchange::Single;
    /// Whether sending it twice does no harm. Only such requests are repeated, and only over UDP.
    const REPEATABLE: bool = false;

    /// The number to send; differs from [`CODE`](Self::CODE) only for [`Raw`].
    fn code(&self) -> Code {
        Self::CODE
    }

    /// Appends the payload.
    fn encode(&self, out: &mut BytesMut);

    /// Which part of the prepared data set is wanted, for [`Exchange::Slice`].
    fn slice(&self) -> ReadBuffer {
        ReadBuffer { offset: 0, len: 0 }
    }

    /// Reads the answer.
    fn decode(&self, answer: Answer) -> Result<Self::Reply, DecodeError>;
}

/// How the answer to a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// One packet.
    Single,
    /// One packet, or an announcement, data packets and a final acknowledgement.
    Transfer,
    /// A part of the prepared data set, in as many chunks as it takes.
    Slice,
    /// A whole data set: prepare, read in chunks, free.
    Bulk,
}

/// A successful answer, put together if it came in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `ACK_OK`, or `DATA` where data came.
    pub code: Code,
    /// Session field of the packet; the state of the terminal in the answer to `STATE_RRQ`.
    pub session: u16,
    /// The payload, without gaps.
    pub payload: Bytes,
}

/// Reads a fixed-size beginning of a payload.
fn head<const N: usize>(what: &'static str, payload: &[u8]) -> Result<[u8; N], DecodeError> {
    payload.first_chunk().copied().ok_or(DecodeError::TooShort {
        what,
        expected: N,
        found: payload.len(),
    })
}
