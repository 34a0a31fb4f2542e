//! Errors, sorted by who is at fault.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use thiserror::Error as ThisError;

use crate::{Code, wire::PackedTime};

/// What a call can end with.
///
/// [`is_retryable`](Self::is_retryable) says whether trying again may help,
/// [`kind`](Self::kind) is a stable word for programs and [`remedy`](Self::remedy) a sentence for
/// people.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The bytes make no sense.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The bytes make sense, but not in this order.
    #[error(transparent)]
    Protocol(#[from] Protocol),
    /// The terminal declined.
    #[error("the terminal answered {request} with {answer}")]
    Rejected {
        /// What was asked.
        request: Code,
        /// The answer.
        answer: Code,
    },
    /// The terminal did not accept the comm key.
    #[error("the terminal did not accept the comm key")]
    WrongCommKey,
    /// The terminal did not answer in time.
    #[error("no answer to {during} within {after:?}")]
    Timeout {
        /// What was asked.
        during: Code,
        /// How long the wait was.
        after: Duration,
    },
    /// The network failed.
    #[error("{during}: {source}")]
    Io {
        /// What was being done, such as `connecting`.
        during: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// The instant has come from which the connection was to say nothing more; it is closed.
    #[error("the time that was given to the connection is over")]
    Ended,
    /// The call was wrong; nothing was sent.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The terminal has no user of this id.
    #[error("the terminal has no user {user_id:?}")]
    NoSuchUser {
        /// The id as people type it.
        user_id: String,
    },
    /// The terminal's list of users does not say which one is meant: the id or the internal number
    /// occurs more than once, or the number is 0.
    #[error(
        "the terminal's list of users is not clear about {user_id:?}: internal numbers {uids:?}"
    )]
    AmbiguousUser {
        /// The id as people type it.
        user_id: String,
        /// The internal numbers found.
        uids: Vec<u16>,
    },
    /// The terminal acknowledged a change, and reading back shows that it was not made.
    #[error("the terminal acknowledged {request} and did not do it")]
    NotKept {
        /// What was asked.
        request: Code,
    },
    /// A bulk read broke off. What had arrived is here, and only here: a short read is never
    /// passed off as a whole one.
    #[error("read {received} of {} bytes: {source}", Total(*.total), received = .data.len())]
    Incomplete {
        /// The first bytes of the data set, without gaps.
        data: Bytes,
        /// How long the data set is, where the terminal said so.
        total: Option<u32>,
        /// Why it broke off.
        source: Box<Self>,
    },
}

/// The bytes make no sense.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum DecodeError {
    /// A TCP stream does not continue with a frame.
    #[error("expected a frame (5050827d), found {:02x}{:02x}{:02x}{:02x}", .found[0], .found[1], .found[2], .found[3])]
    BadMagic {
        /// What came instead.
        found: [u8; 4],
    },
    /// The frame is one of secured firmware.
    #[error("the frame (5050837c) is one of secured firmware")]
    SecuredFrame,
    /// The answer begins like those of a C3 or inBio access panel.
    #[error("the answer (aa…) is one of an access panel, not of a standalone terminal")]
    AccessPanel,
    /// The announced length is absurd.
    #[error("a frame of {declared} bytes is announced, at most {limit} are accepted")]
    FrameTooLong {
        /// The announced length in bytes.
        declared: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// The announced length does not even hold a header.
    #[error("a frame of {declared} bytes is announced, a packet has at least 8")]
    FrameTooShort {
        /// The announced length in bytes.
        declared: u32,
    },
    /// There are fewer bytes than a header has.
    #[error("a packet has at least 8 bytes, found {found}")]
    PacketTooShort {
        /// Bytes found.
        found: usize,
    },
    /// The bytes end inside a frame.
    #[error("the bytes end inside a frame, after {found} bytes of it")]
    IncompleteFrame {
        /// Bytes found, prefix included.
        found: usize,
    },
    /// The checksum is wrong.
    #[error("checksum of {code}: expected {expected:#06x}, found {found:#06x}")]
    Checksum {
        /// The packet's code.
        code: Code,
        /// What the bytes add up to.
        expected: u16,
        /// What the packet says.
        found: u16,
    },
    /// A structure is shorter than it must be.
    #[error("{what}: expected at least {expected} bytes, found {found}")]
    TooShort {
        /// The structure.
        what: &'static str,
        /// Its least length in bytes.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A field holds what it cannot hold.
    #[error("{what}: {found} is not possible")]
    Invalid {
        /// The field.
        what: &'static str,
        /// What it holds.
        found: u32,
    },
    /// An answer carries a code that the request has no use for.
    #[error("{what}: unexpected {found}")]
    UnexpectedCode {
        /// The structure.
        what: &'static str,
        /// The answer's code.
        found: Code,
    },
    /// A packed time is no date of the calendar.
    #[error("{time} is not a date")]
    NotADate {
        /// The time as told.
        time: PackedTime,
    },
    /// A year has no packed form.
    #[error("the year {year} has no packed form (2000 to 2099)")]
    YearOutOfRange {
        /// The year.
        year: i32,
    },
    /// A data set has records of a width that is not known.
    #[error(
        "{what}: {total} bytes of records fit none of the known widths ({})",
        List(.known)
    )]
    UnknownWidth {
        /// The data set.
        what: &'static str,
        /// Bytes of records.
        total: usize,
        /// The widths that were tried, in bytes.
        known: &'static [usize],
        /// The data set as it came.
        data: Bytes,
    },
    /// A data set is shorter than it says, or ends inside a record.
    #[error("{what}: {announced} bytes announced, {found} found")]
    Truncated {
        /// The data set.
        what: &'static str,
        /// Bytes the data set says it has.
        announced: usize,
        /// Bytes that are there (whole records only, if it ends inside one).
        found: usize,
        /// The data set as it came.
        data: Bytes,
    },
}

/// The bytes make sense, but not in this order.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Protocol {
    /// The firmware wants the secured handshake.
    #[error("the terminal has secured firmware (answer {answer})")]
    Secured {
        /// The answer: 6001 or 2032.
        answer: Code,
    },
    /// The transfer ended before all its bytes were there.
    #[error("the transfer ended after {received} of {announced} bytes")]
    ShortTransfer {
        /// Bytes announced.
        announced: u32,
        /// Bytes received.
        received: u32,
    },
    /// The transfer has more bytes than announced.
    #[error("the transfer has {received} bytes, {announced} were announced")]
    LongTransfer {
        /// Bytes announced.
        announced: u32,
        /// Bytes received.
        received: u32,
    },
    /// The data set is larger than the session's limit.
    #[error("a data set of {announced} bytes is announced, at most {limit} are accepted")]
    DataSetTooLarge {
        /// Bytes announced.
        announced: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// The terminal counts records and sends none.
    #[error("the terminal counts {counted} records and sends none")]
    EmptyDataSet {
        /// What the counters say.
        counted: u32,
    },
    /// Whatever part of a data set is asked for, the terminal serves its beginning.
    #[error("the terminal serves the beginning of its data whatever part is asked for")]
    OffsetsIgnored,
    /// The terminal closed the connection.
    #[error("the terminal closed the connection")]
    Closed,
}

/// The call was wrong; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Misuse {
    /// The session is not connected yet.
    #[error("the session is not connected")]
    NotConnected,
    /// Another call is under way.
    #[error("another call is under way")]
    Busy,
    /// An earlier call failed or was dropped half-way; the state of the connection is unknown.
    #[error("the connection is no longer usable after an earlier failure; connect again")]
    Poisoned,
    /// A slice was asked for and nothing is prepared.
    #[error("nothing is prepared; prepare a data set first")]
    NothingPrepared,
    /// The slice lies outside the prepared data set.
    #[error("the slice ends at byte {end}, the data set has {size}")]
    OutOfRange {
        /// Where the slice would end.
        end: u64,
        /// Size of the data set in bytes.
        size: u32,
    },
    /// The ticket belongs to another call.
    #[error("the ticket belongs to another call")]
    WrongTicket,
    /// The terminal's records have no room for this, or cannot hold it: old firmware has ids of digits
    /// alone.
    #[error("the terminal's records cannot hold this {what}")]
    DoesNotFit {
        /// What it is, such as `user id`.
        what: &'static str,
    },
    /// The terminal's encoding lacks some of the characters.
    #[error("the terminal's encoding has not all of these characters")]
    NotEncodable,
}

impl Error {
    /// Whether the same call may succeed later (on a new connection, if this one is gone).
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Io { source, .. } => source.kind() != io::ErrorKind::InvalidInput,
            Self::Decode(error) => matches!(
                error,
                DecodeError::Checksum { .. }
                    | DecodeError::Truncated { .. }
                    | DecodeError::BadMagic { .. }
            ),
            Self::Protocol(error) => !matches!(
                error,
                Protocol::Secured { .. }
                    | Protocol::DataSetTooLarge { .. }
                    | Protocol::OffsetsIgnored
            ),
            Self::Misuse(error) => matches!(error, Misuse::Poisoned),
            Self::Incomplete { source, .. } => source.is_retryable(),
            // The session has ended on the terminal.
            Self::Rejected { answer, .. } => *answer == Code::ACK_UNAUTH,
            Self::WrongCommKey
            | Self::Ended
            | Self::NoSuchUser { .. }
            | Self::AmbiguousUser { .. }
            | Self::NotKept { .. } => false,
        }
    }

    /// A stable word for programs, such as `wrong_comm_key`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.kind(),
            Self::Protocol(error) => error.kind(),
            Self::Rejected { .. } => "rejected",
            Self::WrongCommKey => "wrong_comm_key",
            Self::Timeout { .. } => "timeout",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => "connection_refused",
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => "connection_lost",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
                io::ErrorKind::TimedOut => "timeout",
                _ => "io",
            },
            Self::Ended => "ended",
            Self::Misuse(_) => "misuse",
            Self::NoSuchUser { .. } => "no_such_user",
            Self::AmbiguousUser { .. } => "ambiguous_user",
            Self::NotKept { .. } => "not_kept",
            Self::Incomplete { .. } => "incomplete",
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.remedy(),
            Self::Protocol(error) => error.remedy(),
            Self::Rejected { answer, .. } => match *answer {
                Code::ERR_NO_DATA => {
                    "The log is empty, or the terminal is set to access control: Menu → System → \
                     Device Type Setting → time attendance."
                }
                Code::ACK_UNAUTH => "The session has ended on the terminal. Connect again.",
                Code::ACK_UNKNOWN => "This firmware does not know the command.",
                _ => {
                    "The terminal declined. Check that it is not in its menu or busy, then try \
                     again."
                }
            },
            Self::WrongCommKey => {
                "Compare the key with Menu → Comm. → PC Connection → Comm Key on the terminal (0 \
                 means none), and pass it as the comm key."
            }
            Self::Timeout { during, .. } if *during == Code::CONNECT => {
                "Nobody answers in this protocol. Likely causes: another program is connected (a \
                 terminal serves one client at a time), the terminal is in push/ADMS mode or has \
                 secured firmware, it speaks only the other transport (TCP or UDP), or it must be \
                 restarted."
            }
            Self::Timeout { .. } => {
                "The terminal stopped answering. Likely causes: another program connected (a \
                 terminal serves one client at a time), a weak link, or a busy terminal. Allow a \
                 longer time-out or smaller chunks, then try again."
            }
            Self::Io { .. } => match self.kind() {
                "connection_refused" => {
                    "Nothing listens there. Check address and port (4370), that the terminal is on \
                     and that TCP is enabled; old models speak only UDP."
                }
                "connection_lost" => {
                    "The terminal closed the connection, often because another program connected: \
                     it serves one client at a time. Connect again."
                }
                "unreachable" | "timeout" => {
                    "The address does not answer. Check that the terminal is on, the cable or \
                     Wi-Fi, address and gateway (Menu → Comm. → Ethernet), and firewalls."
                }
                _ => "Check the address and the network.",
            },
            Self::Ended => {
                "Allow the connection more time, or wait until the terminal may be spoken to again."
            }
            Self::Misuse(Misuse::Poisoned) => "Connect again.",
            Self::Misuse(Misuse::DoesNotFit { .. }) => {
                "Choose a shorter one; a user id of digits alone, without leading zeros, fits every \
                 terminal."
            }
            Self::Misuse(Misuse::NotEncodable) => {
                "Choose other characters, or the encoding of the terminal's language."
            }
            Self::Misuse(_) => "This is a mistake in the calling program.",
            Self::NoSuchUser { .. } => {
                "Compare with the terminal's list of users; the id is the text people type, with its \
                 leading zeros."
            }
            Self::AmbiguousUser { .. } => {
                "Nothing was changed. Look at the users on the terminal and remove the duplicate there."
            }
            Self::NotKept { .. } => {
                "Some firmware keeps such a change only in memory. Restart the terminal and look \
                 again, or make the change in its menu."
            }
            Self::Incomplete { source, .. } => source.remedy(),
        }
    }

    /// The data set's first bytes, if this error carries any: what had arrived when a bulk read
    /// broke off, or a data set that could not be decoded whole.
    pub fn partial(&self) -> Option<&Bytes> {
        match self {
            Self::Incomplete { data, .. }
            | Self::Decode(
                DecodeError::Truncated { data, .. } | DecodeError::UnknownWidth { data, .. },
            ) => Some(data),
            _ => None,
        }
    }

    /// The network error, under a name for what was being done.
    pub fn io(during: &'static str, source: io::Error) -> Self {
        Self::Io { during, source }
    }
}

impl DecodeError {
    /// A stable word for programs, such as `checksum`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadMagic { .. } => "not_a_frame",
            Self::SecuredFrame => "secured_firmware",
            Self::AccessPanel => "access_panel",
            Self::FrameTooLong { .. } => "frame_too_long",
            Self::FrameTooShort { .. } => "frame_too_short",
            Self::PacketTooShort { .. } => "packet_too_short",
            Self::IncompleteFrame { .. } => "incomplete_frame",
            Self::Checksum { .. } => "checksum",
            Self::TooShort { .. } => "too_short",
            Self::Invalid { .. } | Self::UnexpectedCode { .. } => "invalid",
            Self::NotADate { .. } | Self::YearOutOfRange { .. } => "time",
            Self::UnknownWidth { .. } => "unknown_width",
            Self::Truncated { .. } => "truncated",
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BadMagic { .. } | Self::FrameTooLong { .. } | Self::FrameTooShort { .. } => {
                "Whatever listens there does not speak the ZK protocol, or the stream is damaged. \
                 Check address and port (4370)."
            }
            Self::SecuredFrame => SECURED_REMEDY,
            Self::AccessPanel => {
                "This is an access panel (C3, inBio), not a standalone terminal; it speaks another \
                 protocol on the same port."
            }
            Self::Checksum { .. } => {
                "A packet was damaged. Try again; if it persists, look at the network in between."
            }
            Self::UnknownWidth { .. } => {
                "This firmware has records of a shape that is not known. Please report the model, \
                 the firmware version and the size."
            }
            Self::Truncated { .. } => {
                "The terminal sent less than it announced. Read again; what came is kept."
            }
            Self::NotADate { .. } => "Check the terminal's clock.",
            Self::YearOutOfRange { .. } => "Give a year from 2000 to 2099.",
            Self::PacketTooShort { .. } | Self::IncompleteFrame { .. } => {
                "The bytes are not whole packets. Check that the right transport was chosen and \
                 that nothing is missing at the end."
            }
            Self::TooShort { .. } | Self::Invalid { .. } | Self::UnexpectedCode { .. } => {
                "The answer has an unknown shape. Please report the model and firmware version."
            }
        }
    }
}

impl Protocol {
    fn kind(&self) -> &'static str {
        match self {
            Self::Secured { .. } => "secured_firmware",
            Self::ShortTransfer { .. } | Self::LongTransfer { .. } => "truncated",
            Self::DataSetTooLarge { .. } => "data_set_too_large",
            Self::EmptyDataSet { .. } => "empty_data_set",
            Self::OffsetsIgnored => "offsets_ignored",
            Self::Closed => "connection_lost",
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Secured { .. } => SECURED_REMEDY,
            Self::ShortTransfer { .. } | Self::LongTransfer { .. } => {
                "The terminal sent another amount than announced. Read again; smaller chunks may \
                 help on slow links."
            }
            Self::DataSetTooLarge { .. } => "Raise the limit if the terminal really holds so much.",
            Self::OffsetsIgnored => {
                "This firmware serves a log only in one piece. Raise the size of chunks beyond that of \
                 its log."
            }
            Self::EmptyDataSet { .. } => {
                "Either the counters are wrong or the log is kept elsewhere: check Menu → System → \
                 Device Type Setting → time attendance."
            }
            Self::Closed => {
                "The terminal closed the connection, often because another program connected: it \
                 serves one client at a time. Connect again."
            }
        }
    }
}

const SECURED_REMEDY: &str = "This firmware accepts only the vendor's secured handshake; no comm \
     key helps. Look for a standalone/legacy communication switch in its menu, or let the terminal \
     push its log (ADMS).";

struct Total(Option<u32>);

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(total) => total.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

struct List<'a>(&'a [usize]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, width) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{width}")?;
        }
        Ok(())
    }
}
