//! Reading only what is new of an attendance log: a plan without I/O.
//!
//! A log only grows until somebody clears it, and any slice of it can be read. So a poll costs what
//! is new, not what the terminal holds:
//!
//! 1. The counters are asked. If they carry the number of records, it is the one of the
//!    [`PollCursor`], the log is neither empty nor full and the counters were never caught being
//!    wrong, nothing is new.
//! 2. The buffer is prepared, which tells its size, and the log's end is read from a few records
//!    before the cursor on.
//! 3. If those few are the ones the cursor remembers, what follows is new. If not, the log was
//!    cleared, wrapped or replaced: all of it is read, under a new generation. So it is, to be sure,
//!    where what follows does not look like records.
//! 4. A terminal that refuses slices, serves others than were asked for, or prepares more than its
//!    log has, is remembered as such and read whole.
//! 5. Counters that disagree with what came are asked once more, because people punch during a
//!    read. If they still do, they are not trusted any more.
//! 6. A read that breaks off keeps what came. If that ends before the place where the last poll
//!    stopped, it says nothing about the log, and the cursor stays where it was.
//!
//! [`Plan`] decides all this and does nothing: it says what to [`Ask`] and takes the [`Reply`].
//! [`Client::poll`](crate::Client::poll) does the asking.
//!
//! What the plan leaves to its caller: whether it is the same terminal at all (compare the serial
//! number), when to compare the end of the log although the counters say that nothing is new
//! ([`PollOptions::compare`]), and when to read everything ([`PollOptions::full`]).

mod plan;

use std::fmt;

use bytes::Bytes;

pub use self::plan::{Ask, Plan, Reply};
use crate::{
    Error,
    record::{AttendanceLog, Layout, Records},
};

/// How far a log was read, and what is known about its terminal. Keep it with the records, in one
/// transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct PollCursor {
    /// Grows when the log was cleared or replaced; 0 if it was never read.
    pub generation: u32,
    /// Records read so far in this generation.
    pub records: u32,
    /// Their shape. It comes from a log that was read from its beginning, never from a tail.
    pub layout: Layout,
    /// Bytes before the first record of the data set.
    pub header: u32,
    /// The last records as they came.
    pub tail: Bytes,
    /// Whether slices are served as asked for.
    pub slices: bool,
    /// Whether the counters were right so far.
    pub counters_trusted: bool,
}

impl PollCursor {
    /// A log that was never read.
    pub fn new() -> Self {
        Self {
            generation: 0,
            records: 0,
            layout: Layout::Bytes40,
            header: 4,
            tail: Bytes::new(),
            slices: true,
            counters_trusted: true,
        }
    }

    /// Records in the tail.
    fn tail_len(&self) -> usize {
        self.tail.len() / self.layout.width()
    }
}

impl Default for PollCursor {
    fn default() -> Self {
        Self::new()
    }
}

/// Records of people are not for logs: only the tail's length is shown.
impl fmt::Debug for PollCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollCursor")
            .field("generation", &self.generation)
            .field("records", &self.records)
            .field("layout", &self.layout)
            .field("header", &self.header)
            .field("tail_len", &self.tail_len())
            .field("slices", &self.slices)
            .field("counters_trusted", &self.counters_trusted)
            .finish_non_exhaustive()
    }
}

/// How to poll; a value with chainable methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct PollOptions {
    full: bool,
    compare: bool,
    tail: usize,
}

impl PollOptions {
    /// Records remembered and compared unless told otherwise.
    pub const TAIL: usize = 16;

    /// Reads what is new.
    pub const fn new() -> Self {
        Self {
            full: false,
            compare: false,
            tail: Self::TAIL,
        }
    }

    /// Reads everything, to reconcile.
    pub const fn full(mut self, full: bool) -> Self {
        self.full = full;
        self
    }

    /// Compares the end of the log even if the counters say that nothing is new: a log may have
    /// been cleared and filled to the same number, and counters may be stale. Do this once an hour
    /// or so.
    pub const fn compare(mut self, compare: bool) -> Self {
        self.compare = compare;
        self
    }

    /// How many records the next cursor remembers, 1 to 64.
    pub fn tail(mut self, records: usize) -> Self {
        self.tail = records.clamp(1, 64);
        self
    }
}

impl Default for PollOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How a poll got what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is new.
    Unchanged,
    /// Only the end was read.
    Tail,
    /// Everything was read.
    Full,
}

impl Mode {
    /// `unchanged`, `tail` or `full`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Tail => "tail",
            Self::Full => "full",
        }
    }
}

/// Something the caller should tell people about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// The log has fewer records than were read before: it was cleared.
    LogShrank {
        /// Records it has now.
        records: u32,
    },
    /// The log's end is not the one that was read before: it was cleared and filled again, is full
    /// and drops its oldest records, or was replaced.
    LogReplaced,
    /// The records have another shape than before.
    WidthChanged,
    /// The terminal refuses slices; it is read whole from now on.
    SlicesRefused,
    /// The terminal serves other slices than were asked for; it is read whole from now on.
    SlicesMisserved,
    /// The terminal refuses the buffered read and was read directly.
    ReadDirectly,
    /// The terminal prepares more bytes than its log has, so that its size does not tell where the log
    /// ends; it is read whole from now on.
    SizeMisstated,
    /// The counters say something else than what came, also when asked again. They are not
    /// trusted any more.
    CountersDisagree {
        /// What they say.
        counted: u32,
        /// Records that came.
        read: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogShrank { records } => write!(
                f,
                "the log was cleared on the terminal; it has {records} records now"
            ),
            Self::LogReplaced => f.write_str(
                "the log does not end where it did before (cleared, full or replaced); all of it was \
                 read",
            ),
            Self::WidthChanged => {
                f.write_str("the records have another shape than before; all of them were read")
            }
            Self::SlicesRefused => {
                f.write_str("the terminal refuses parts of its log and is read whole")
            }
            Self::SlicesMisserved => {
                f.write_str("the terminal serves wrong parts of its log and is read whole")
            }
            Self::ReadDirectly => f.write_str("the terminal knows only the direct read"),
            Self::SizeMisstated => f.write_str(
                "the terminal prepares more bytes than its log has and is read whole",
            ),
            Self::CountersDisagree { counted, read } => write!(
                f,
                "the terminal counts {counted} records and sent {read}; its counter is not trusted"
            ),
        }
    }
}

/// What a poll brought.
#[derive(Debug)]
#[non_exhaustive]
pub struct PollResult {
    /// How.
    pub mode: Mode,
    /// The records that were read, without those that were only compared.
    pub log: AttendanceLog,
    /// Position in the log of the first of them.
    pub first_index: u32,
    /// How many at its beginning were known before; [`new_records`](Self::new_records) leaves them
    /// out.
    pub known: usize,
    /// Where the next poll goes on.
    pub cursor: PollCursor,
    /// What people should know.
    pub warnings: Vec<Warning>,
    /// Why the poll is not complete, if it is not. What came is here, the cursor does not go beyond
    /// it, and the next poll goes on from there.
    pub trouble: Option<Error>,
    /// Bytes of the log that were transferred.
    pub log_bytes: u64,
    /// Bytes received in all; 0 from [`Plan`], which does not see them.
    pub bytes: u64,
    /// Requests sent.
    pub requests: u64,
}

impl PollResult {
    /// The records that were not known before, in the order of the log.
    pub fn new_records(&self) -> std::iter::Skip<Records<'_>> {
        self.log.iter().skip(self.known)
    }
}
