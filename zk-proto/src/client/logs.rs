//! Logs and other data sets, with what to do where firmware serves them differently.

use bytes::Bytes;

use super::{Client, methods::is_empty};
use crate::{
    Code, Error, Protocol,
    record::{AttendanceLog, LogHint, Operation, User, UserRecord},
    request::{
        ClearAttendance, ClearData, ClearOperations, Clearable, Confirmed, DataSet, Exchange, Raw,
        ReadAttendance, ReadAttendanceBetween, ReadAttendanceDirect, ReadBuffer, ReadOperations,
        ReadUserRecords, ReadUsers, ReadUsersDirect, RefreshData, Request,
    },
    wire::PackedTime,
};

/// A part of the attendance log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Between {
    /// The records of that time.
    pub log: AttendanceLog,
    /// Whether the terminal chose them. Otherwise the whole log was read and they were chosen
    /// here.
    pub by_terminal: bool,
}

impl Client {
    /// All users. Names come as bytes; [`Client::encoding`] or
    /// [`Encoding::settle`](crate::Encoding::settle) says how to read them.
    pub async fn users(&mut self) -> Result<Vec<User>, Error> {
        let count = self.known_counters().await?.users;
        match self.read(ReadUsers { count }).await {
            Err(error) if is_empty(&error, count) => Ok(Vec::new()),
            Err(error) if is_unsupported(&error) => {
                let records = self.users_directly(error).await?;
                Ok(records.iter().map(UserRecord::user).collect())
            }
            result => result,
        }
    }

    /// All users with every byte of their records, for writing them back.
    pub async fn user_records(&mut self) -> Result<Vec<UserRecord>, Error> {
        // Writes make the counters of this connection old.
        self.counters = None;
        let count = self.known_counters().await?.users;
        match self.read(ReadUserRecords { count }).await {
            Err(error) if is_empty(&error, count) => Ok(Vec::new()),
            Err(error) if is_unsupported(&error) => self.users_directly(error).await,
            result => result,
        }
    }

    /// The whole attendance log. A short read is an error that carries what arrived
    /// ([`Error::partial`], [`AttendanceLog::salvage`]), and so is an empty one where the counters
    /// say that there are records.
    ///
    /// Firmware that refuses the buffered read is read directly, and firmware that serves its log
    /// only in one piece is read in one.
    pub async fn attendance(&mut self) -> Result<AttendanceLog, Error> {
        let count = self.known_counters().await?.records;
        let hint = LogHint {
            count,
            layout: None,
        };
        let log = match self.read(ReadAttendance { hint }).await {
            Err(error) if is_empty(&error, count) => AttendanceLog::parse(Bytes::new(), hint)?,
            Err(error) if ignores_offsets(&error) => self.attendance_at_once(hint).await?,
            Err(refused) if is_unsupported(&refused) => {
                match self.read(ReadAttendanceDirect { hint }).await {
                    // The buffered read is the usual one: its refusal says more.
                    Err(error) if is_unsupported(&error) => return Err(refused),
                    result => result?,
                }
            }
            result => result?,
        };
        if log.is_empty()
            && count.unwrap_or(0) > 0
            && let Some(counted @ 1..) = self.counters().await?.records
        {
            return Err(Protocol::EmptyDataSet { counted }.into());
        }
        Ok(log)
    }

    /// The records from one second to another, both included.
    ///
    /// Newer firmware serves this; where it is refused, or answered with "no data", the whole log
    /// is read and the records are chosen here.
    pub async fn attendance_between(
        &mut self,
        from: PackedTime,
        to: PackedTime,
    ) -> Result<Between, Error> {
        let request = ReadAttendanceBetween {
            from,
            to,
            hint: LogHint::default(),
        };
        let within = |time| (from..=to).contains(&time);
        match self.read(request).await {
            Ok(log) if log.iter().all(|record| within(record.time())) => {
                return Ok(Between {
                    log,
                    by_terminal: true,
                });
            }
            Err(error) if !is_unsupported(&error) && !is_no_part(&error) => return Err(error),
            // Refused, or served without regard to the times.
            _ => {}
        }
        let whole = self.attendance().await?;
        Ok(Between {
            log: whole.filter(|record| within(record.time())),
            by_terminal: false,
        })
    }

    /// The operation log: what was done at the terminal.
    pub async fn operations(&mut self) -> Result<Vec<Operation>, Error> {
        let count = self.known_counters().await?.operations;
        match self.read(ReadOperations).await {
            Err(error) if is_empty(&error, count) => Ok(Vec::new()),
            result => result,
        }
    }

    /// Any data set as it comes, its total included.
    pub async fn data_set(&mut self, set: DataSet) -> Result<Bytes, Error> {
        self.read(Whole(set)).await
    }

    /// Clears the attendance log. There is no way back: read it first, and compare the number of
    /// records with the counters.
    pub async fn clear_attendance(&mut self, confirmed: Confirmed) -> Result<(), Error> {
        self.counters = None;
        self.write(ClearAttendance(confirmed)).await
    }

    /// Clears the operation log.
    pub async fn clear_operations(&mut self, confirmed: Confirmed) -> Result<(), Error> {
        self.counters = None;
        self.write(ClearOperations(confirmed)).await
    }

    /// Clears data of one kind, or all of it.
    pub async fn clear(&mut self, what: Clearable, confirmed: Confirmed) -> Result<(), Error> {
        self.counters = None;
        self.write(ClearData { what, confirmed }).await
    }

    /// A request that changes something, and then makes it effective.
    pub async fn write<R: Request>(&mut self, request: R) -> Result<R::Reply, Error> {
        let reply = self.call(request).await?;
        self.call(RefreshData).await?;
        Ok(reply)
    }

    /// The log in one chunk, however large that is.
    async fn attendance_at_once(&mut self, hint: LogHint) -> Result<AttendanceLog, Error> {
        let prepared = self.prepare(DataSet::ATTENDANCE).await?;
        let (offset, len) = (0, prepared.size);
        let data = match prepared.inline {
            Some(data) => Ok(data),
            None => self.call(ReadBuffer { offset, len }).await,
        };
        if !self.session.is_dead() {
            self.free().await?;
        }
        Ok(AttendanceLog::parse(data?, hint)?)
    }

    async fn users_directly(&mut self, refused: Error) -> Result<Vec<UserRecord>, Error> {
        let count = self.known_counters().await?.users;
        match self.read(ReadUsersDirect { count }).await {
            Err(error) if is_unsupported(&error) => Err(refused),
            result => result,
        }
    }
}

/// A data set as it comes.
#[derive(Clone, Copy, Debug)]
struct Whole(DataSet);

impl Request for Whole {
    type Reply = Bytes;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut bytes::BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, answer: crate::request::Answer) -> Result<Bytes, crate::DecodeError> {
        Ok(answer.payload)
    }
}

/// Whether a refusal means that the firmware does not know the way of asking.
pub(super) fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::Rejected {
            request: Code::PREPARE_BUFFER | Code::ATTLOG_RRQ | Code::USERTEMP_RRQ,
            answer: Code::ACK_ERROR | Code::ACK_UNKNOWN | Code::ERROR_CMD | Code::ERR_4991,
        }
    )
}

/// Whether a read broke off because every chunk was the first one.
fn ignores_offsets(error: &Error) -> bool {
    match error {
        Error::Protocol(Protocol::OffsetsIgnored) => true,
        Error::Incomplete { source, .. } => ignores_offsets(source),
        _ => false,
    }
}

/// Whether a refusal says "no data in this span", or that the span is not understood.
fn is_no_part(error: &Error) -> bool {
    matches!(
        error,
        Error::Rejected {
            answer: Code::ERR_NO_DATA | Code::ERR_4996 | Code::ERR_4997,
            ..
        }
    )
}

impl Client {
    /// Any command with any payload; the answer comes as it is.
    pub async fn raw(
        &mut self,
        code: Code,
        payload: impl Into<Bytes> + Send,
    ) -> Result<crate::request::Answer, Error> {
        let payload = payload.into();
        self.call(Raw { code, payload }).await
    }
}
