//! Whole data sets.

use bytes::BytesMut;

use super::{Answer, DataSet, Exchange, Request};
use crate::{
    Code, DecodeError,
    record::{AttendanceLog, LogHint, User, UserList, UserRecord},
};

/// Reads the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadUsers {
    /// Number of users by the counters, a hint.
    pub count: Option<u32>,
}

impl Request for ReadUsers {
    type Reply = Vec<User>;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        DataSet::USERS.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<User>, DecodeError> {
        UserList::parse(&answer.payload, self.count)
    }
}

/// Reads the users with every byte of their records, for writing them back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadUserRecords {
    /// Number of users by the counters, a hint.
    pub count: Option<u32>,
}

impl Request for ReadUserRecords {
    type Reply = Vec<UserRecord>;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        DataSet::USERS.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<UserRecord>, DecodeError> {
        UserList::records(&answer.payload, self.count)
    }
}

/// Reads the attendance log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadAttendance {
    /// What is known about it.
    pub hint: LogHint,
}

impl Request for ReadAttendance {
    type Reply = AttendanceLog;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        DataSet::ATTENDANCE.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<AttendanceLog, DecodeError> {
        AttendanceLog::parse(answer.payload, self.hint)
    }
}
