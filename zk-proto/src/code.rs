//! Command and reply numbers.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A command or reply number, as it stands in the first two bytes of a packet.
///
/// It is a newtype, not an enum: firmware answers with numbers nobody has listed, and they must
/// survive to the error message.
///
/// ```
/// use zk_proto::Code;
///
/// assert_eq!(Code::CONNECT, Code(1000));
/// assert_eq!(Code(1000).to_string(), "CMD_CONNECT (1000)");
/// assert_eq!(Code(4242).to_string(), "4242");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// The customary name of this number, such as `CMD_CONNECT`; `None` if it has none.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }

            /// The number of a customary name, or of the constant's.
            fn named(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($name) || text.eq_ignore_ascii_case(stringify!($constant)) {
                    return Some(Self::$constant);
                })*
                None
            }
        }
    };
}

codes! {
    /// Direct bulk read, chosen by a selector byte.
    DB_RRQ = 7, "CMD_DB_RRQ";
    /// Write one user.
    USER_WRQ = 8, "CMD_USER_WRQ";
    /// Read one template, or users in bulk.
    USERTEMP_RRQ = 9, "CMD_USERTEMP_RRQ";
    /// Write one template (old firmware).
    USERTEMP_WRQ = 10, "CMD_USERTEMP_WRQ";
    /// Read an option.
    OPTIONS_RRQ = 11, "CMD_OPTIONS_RRQ";
    /// Write an option.
    OPTIONS_WRQ = 12, "CMD_OPTIONS_WRQ";
    /// Read the attendance log.
    ATTLOG_RRQ = 13, "CMD_ATTLOG_RRQ";
    /// Clear data of one kind, or all.
    CLEAR_DATA = 14, "CMD_CLEAR_DATA";
    /// Clear the attendance log.
    CLEAR_ATTLOG = 15, "CMD_CLEAR_ATTLOG";
    /// Delete one user.
    DELETE_USER = 18, "CMD_DELETE_USER";
    /// Delete one template.
    DELETE_USERTEMP = 19, "CMD_DELETE_USERTEMP";
    /// Make every user a normal user.
    CLEAR_ADMIN = 20, "CMD_CLEAR_ADMIN";
    /// Read a user's group.
    USERGRP_RRQ = 21, "CMD_USERGRP_RRQ";
    /// Write a user's group.
    USERGRP_WRQ = 22, "CMD_USERGRP_WRQ";
    /// Read a user's time zones.
    USERTZ_RRQ = 23, "CMD_USERTZ_RRQ";
    /// Write a user's time zones.
    USERTZ_WRQ = 24, "CMD_USERTZ_WRQ";
    /// Read a group.
    GRPTZ_RRQ = 25, "CMD_GRPTZ_RRQ";
    /// Write a group.
    GRPTZ_WRQ = 26, "CMD_GRPTZ_WRQ";
    /// Read an access time zone.
    TZ_RRQ = 27, "CMD_TZ_RRQ";
    /// Write an access time zone.
    TZ_WRQ = 28, "CMD_TZ_WRQ";
    /// Read an unlock combination.
    ULG_RRQ = 29, "CMD_ULG_RRQ";
    /// Write an unlock combination.
    ULG_WRQ = 30, "CMD_ULG_WRQ";
    /// Open the door.
    UNLOCK = 31, "CMD_UNLOCK";
    /// Reset the access settings.
    CLEAR_ACC = 32, "CMD_CLEAR_ACC";
    /// Clear the operation log.
    CLEAR_OPLOG = 33, "CMD_CLEAR_OPLOG";
    /// Read the operation log.
    OPLOG_RRQ = 34, "CMD_OPLOG_RRQ";
    /// Read the counters.
    GET_FREE_SIZES = 50, "CMD_GET_FREE_SIZES";
    /// Blink the colon of the screen's clock.
    ENABLE_CLOCK = 57, "CMD_ENABLE_CLOCK";
    /// Back to normal verification.
    STARTVERIFY = 60, "CMD_STARTVERIFY";
    /// Start an enrolment at the terminal.
    STARTENROLL = 61, "CMD_STARTENROLL";
    /// Stop a verification or an enrolment.
    CANCELCAPTURE = 62, "CMD_CANCELCAPTURE";
    /// Ask what the terminal is doing; the state comes in the session field.
    STATE_RRQ = 64, "CMD_STATE_RRQ";
    /// Write on the screen.
    WRITE_LCD = 66, "CMD_WRITE_LCD";
    /// Clear the screen.
    CLEAR_LCD = 67, "CMD_CLEAR_LCD";
    /// Ask how long a user id may be.
    GET_PINWIDTH = 69, "CMD_GET_PINWIDTH";
    /// Write a short message.
    SMS_WRQ = 70, "CMD_SMS_WRQ";
    /// Read a short message.
    SMS_RRQ = 71, "CMD_SMS_RRQ";
    /// Delete a short message.
    DELETE_SMS = 72, "CMD_DELETE_SMS";
    /// Link a user and a message.
    UDATA_WRQ = 73, "CMD_UDATA_WRQ";
    /// Unlink a user and a message.
    DELETE_UDATA = 74, "CMD_DELETE_UDATA";
    /// Ask for the door sensor.
    DOORSTATE_RRQ = 75, "CMD_DOORSTATE_RRQ";
    /// Write a Mifare card.
    WRITE_MIFARE = 76, "CMD_WRITE_MIFARE";
    /// Empty a Mifare card.
    EMPTY_MIFARE = 78, "CMD_EMPTY_MIFARE";
    /// Write a user's verification mode.
    VERIFY_WRQ = 79, "CMD_VERIFY_WRQ";
    /// Read a user's verification mode.
    VERIFY_RRQ = 80, "CMD_VERIFY_RRQ";
    /// Store an uploaded template.
    TMP_WRITE = 87, "CMD_TMP_WRITE";
    /// Read one template.
    GET_USERTEMP = 88, "CMD_GET_USERTEMP";
    /// Store users and templates that were uploaded together.
    SAVE_USERTEMPS = 110, "CMD_SAVE_USERTEMPS";
    /// Ask for the hash of the upload buffer.
    CHECKSUM_BUFFER = 119, "CMD_CHECKSUM_BUFFER";
    /// Delete one fingerprint.
    DEL_FPTMP = 134, "CMD_DEL_FPTMP";
    /// Read face templates.
    FACE_RRQ = 150, "CMD_FACE_RRQ";
    /// Read the terminal's clock.
    GET_TIME = 201, "CMD_GET_TIME";
    /// Set the terminal's clock.
    SET_TIME = 202, "CMD_SET_TIME";
    /// Subscribe to events; also the number of every event packet.
    REG_EVENT = 500, "CMD_REG_EVENT";
    /// Open a session.
    CONNECT = 1000, "CMD_CONNECT";
    /// End a session.
    EXIT = 1001, "CMD_EXIT";
    /// Unlock keypad and sensor.
    ENABLEDEVICE = 1002, "CMD_ENABLEDEVICE";
    /// Lock keypad and sensor.
    DISABLEDEVICE = 1003, "CMD_DISABLEDEVICE";
    /// Restart the terminal.
    RESTART = 1004, "CMD_RESTART";
    /// Switch the terminal off.
    POWEROFF = 1005, "CMD_POWEROFF";
    /// Send the terminal to sleep.
    SLEEP = 1006, "CMD_SLEEP";
    /// Wake the terminal.
    RESUME = 1007, "CMD_RESUME";
    /// Take the image of a finger (old firmware).
    CAPTUREFINGER = 1009, "CMD_CAPTUREFINGER";
    /// Identify a template that is sent (old firmware).
    TEST_TEMP = 1011, "CMD_TEST_TEMP";
    /// Take the image of whatever lies on the sensor (old firmware).
    CAPTUREIMAGE = 1012, "CMD_CAPTUREIMAGE";
    /// Make written data effective.
    REFRESHDATA = 1013, "CMD_REFRESHDATA";
    /// Make written options effective.
    REFRESHOPTION = 1014, "CMD_REFRESHOPTION";
    /// Play a voice prompt.
    TESTVOICE = 1017, "CMD_TESTVOICE";
    /// Read the firmware version.
    GET_VERSION = 1100, "CMD_GET_VERSION";
    /// Change the speed of a serial link.
    CHANGE_SPEED = 1101, "CMD_CHANGE_SPEED";
    /// Prove the comm key.
    AUTH = 1102, "CMD_AUTH";
    /// Prove the comm key to secured firmware.
    AUTH_EXT = 1106, "CMD_AUTH_EXT";
    /// Announces a transfer.
    PREPARE_DATA = 1500, "CMD_PREPARE_DATA";
    /// Carries a part of a transfer, or a whole small data set.
    DATA = 1501, "CMD_DATA";
    /// Release the prepared buffer.
    FREE_DATA = 1502, "CMD_FREE_DATA";
    /// Prepare a data set for reading.
    PREPARE_BUFFER = 1503, "CMD_PREPARE_BUFFER";
    /// Read a slice of the prepared data set.
    READ_BUFFER = 1504, "CMD_READ_BUFFER";
    /// File transfer; known by number only.
    UPDATEFILE = 1700, "CMD_UPDATEFILE";
    /// File transfer; known by number only.
    READFILE = 1702, "CMD_READFILE";
    /// Success.
    ACK_OK = 2000, "CMD_ACK_OK";
    /// Failure.
    ACK_ERROR = 2001, "CMD_ACK_ERROR";
    /// Success with data; rare.
    ACK_DATA = 2002, "CMD_ACK_DATA";
    /// Try again; never seen.
    ACK_RETRY = 2003, "CMD_ACK_RETRY";
    /// Repeat; never seen.
    ACK_REPEAT = 2004, "CMD_ACK_REPEAT";
    /// The comm key is needed, or wrong.
    ACK_UNAUTH = 2005, "CMD_ACK_UNAUTH";
    /// Secured firmware: authentication is locked.
    AUTH_LOCK = 2032, "ACK_2032";
    /// Photo not found.
    ERR_4985 = 4985, "ERR_4985";
    /// Memory overflow.
    ERR_4987 = 4987, "ERR_4987";
    /// Not enough memory.
    ERR_4988 = 4988, "ERR_4988";
    /// No data, or no buffer for it.
    ERR_NO_DATA = 4989, "ERR_4989";
    /// Database full.
    ERR_4990 = 4990, "ERR_4990";
    /// Not found or not supported.
    ERR_4991 = 4991, "ERR_4991";
    /// Delete failed.
    ERR_4992 = 4992, "ERR_4992";
    /// Read failed, or there is no such thing.
    ERR_4993 = 4993, "ERR_4993";
    /// Update failed.
    ERR_4994 = 4994, "ERR_4994";
    /// Add failed.
    ERR_4995 = 4995, "ERR_4995";
    /// Bad parameter.
    ERR_4996 = 4996, "ERR_4996";
    /// Bad length.
    ERR_4997 = 4997, "ERR_4997";
    /// Parameter write failed.
    ERR_4998 = 4998, "ERR_4998";
    /// Parameter read failed.
    ERR_4999 = 4999, "ERR_4999";
    /// Secured firmware answers CONNECT with this.
    SECURED = 6001, "ACK_6001";
    /// Read a part of the log by time (newer firmware).
    ATTLOG_BY_TIME = 10004, "CMD_ATTLOG_BY_TIME";
    /// Read a photo by name.
    PHOTO_BY_NAME = 10010, "CMD_PHOTO_BY_NAME";
    /// Wrong data (2006 manual).
    ERROR_DATA = 65531, "CMD_ERROR_DATA";
    /// Not initialised (2006 manual).
    ERROR_INIT = 65532, "CMD_ERROR_INIT";
    /// Wrong command (2006 manual).
    ERROR_CMD = 65533, "CMD_ERROR_CMD";
    /// The terminal does not know the command.
    ACK_UNKNOWN = 65535, "CMD_ACK_UNKNOWN";
}

impl Code {
    /// Whether this is one of the answers that mean "done".
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::ACK_OK | Self::ACK_DATA)
    }

    /// Whether this is how secured firmware refuses a classic client.
    pub const fn is_secured(self) -> bool {
        matches!(self, Self::SECURED | Self::AUTH_LOCK)
    }
}

/// There is no command or reply of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is neither the number nor the name of a command, such as 1504, CMD_READ_BUFFER or READ_BUFFER"
)]
pub struct UnknownCode(String);

/// Reads a number, a customary name or the name of a constant.
///
/// ```
/// use zk_proto::Code;
///
/// for text in ["1504", "CMD_READ_BUFFER", "read_buffer"] {
///     assert_eq!(text.parse(), Ok(Code::READ_BUFFER));
/// }
/// ```
impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        text.parse()
            .map(Self)
            .ok()
            .or_else(|| Self::named(text))
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
