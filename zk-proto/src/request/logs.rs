//! Logs other than the whole attendance log by way of a buffer.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Answer, DataSet, Exchange, Request};
use crate::{
    Code, DecodeError,
    record::{AttendanceLog, LogHint, Operation, UserList, UserRecord},
    wire::PackedTime,
};

/// Reads the attendance log without preparing a buffer, as black-and-white firmware serves it.
///
/// On colour-screen terminals the answer may be uninitialised memory in perfect framing: use this
/// only after a buffered read was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadAttendanceDirect {
    /// What is known about the log.
    pub hint: LogHint,
}

impl Request for ReadAttendanceDirect {
    type Reply = AttendanceLog;
    const CODE: Code = Code::ATTLOG_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<AttendanceLog, DecodeError> {
        AttendanceLog::parse(answer.payload, self.hint)
    }
}

/// Reads the attendance log directly, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAttendanceBytes;

impl Request for ReadAttendanceBytes {
    type Reply = Bytes;
    const CODE: Code = Code::ATTLOG_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Reads the users without preparing a buffer, as black-and-white firmware serves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadUsersDirect {
    /// Number of users by the counters, a hint.
    pub count: Option<u32>,
}

impl ReadUsersDirect {
    /// Selects the users among the data sets of the command.
    pub const SELECTOR: u8 = 5;
}

impl Request for ReadUsersDirect {
    type Reply = Vec<UserRecord>;
    const CODE: Code = Code::USERTEMP_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(Self::SELECTOR);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<UserRecord>, DecodeError> {
        UserList::records(&answer.payload, self.count)
    }
}

/// Reads a data set without preparing a buffer, as black-and-white firmware serves it; its total comes
/// first. On colour-screen terminals the answer may be uninitialised memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDirect {
    /// Which: 1 attendance, 2 templates, 4 operations, 5 users, 6 messages, 7 their links, 8 work codes.
    pub selector: u8,
}

impl Request for ReadDirect {
    type Reply = Bytes;
    const CODE: Code = Code::DB_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.selector);
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Reads a part of the attendance log by time. Newer firmware serves it; the rest refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAttendanceBetween {
    /// The first second.
    pub from: PackedTime,
    /// The last second.
    pub to: PackedTime,
    /// The layout, if it is known. The counters say nothing about a part.
    pub hint: LogHint,
}

impl ReadAttendanceBetween {
    /// The data set that is asked for.
    pub fn data_set(&self) -> DataSet {
        DataSet {
            command: Code::ATTLOG_BY_TIME,
            argument: self.from.0,
            extra: self.to.0,
        }
    }
}

impl Request for ReadAttendanceBetween {
    type Reply = AttendanceLog;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        self.data_set().encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<AttendanceLog, DecodeError> {
        AttendanceLog::parse(answer.payload, self.hint)
    }
}

/// Reads the operation log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOperations;

impl Request for ReadOperations {
    type Reply = Vec<Operation>;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        DataSet::OPERATIONS.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<Operation>, DecodeError> {
        Operation::parse_log(&answer.payload)
    }
}
