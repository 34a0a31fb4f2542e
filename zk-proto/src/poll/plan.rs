//! The decisions of a poll.

use bytes::Bytes;

use super::{Mode, PollCursor, PollOptions, PollResult, Warning};
use crate::{
    Code, DecodeError, Error, Misuse, Protocol,
    record::{AttendanceLog, Counters, Layout, LogHint},
    request::{Prepared, ReadBuffer},
};

/// What a plan wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// The counters.
    Counters,
    /// Prepare the attendance log.
    Prepare,
    /// Read a part of what is prepared, in as many chunks as it takes.
    Slice(ReadBuffer),
    /// Read all of what is prepared in one chunk.
    AtOnce(ReadBuffer),
    /// Release what is prepared.
    Free,
    /// Read the attendance log directly.
    Direct,
    /// Nothing: the poll is over.
    Nothing,
}

/// What a terminal answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// The counters.
    Counters(Counters),
    /// What preparing gave.
    Prepared(Prepared),
    /// The bytes of a slice or of a direct read.
    Data(Bytes),
    /// The buffer was released.
    Freed,
    /// The request failed.
    Failed(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Counting,
    Preparing,
    Tail(ReadBuffer),
    Whole,
    AtOnce,
    /// Freeing, then reading directly.
    GivingUpOnBuffers,
    Direct,
    Freeing,
    Recounting,
    Over,
}

/// What was found, before the counters are asked again.
#[derive(Debug)]
struct Found {
    mode: Mode,
    log: AttendanceLog,
    first_index: u32,
    known: usize,
    cursor: PollCursor,
    trouble: Option<Error>,
}

/// A poll in the making. [`ask`](Self::ask), do it, [`answer`](Self::answer), until it asks for
/// nothing; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Plan {
    before: PollCursor,
    options: PollOptions,
    state: State,
    counters: Counters,
    /// Size of the data set in bytes, once it is prepared.
    size: u32,
    /// Something is prepared at the terminal.
    prepared: bool,
    slices: bool,
    counters_trusted: bool,
    /// A slice that did not hold what was expected, to be compared with the whole.
    doubtful: Option<(ReadBuffer, Bytes)>,
    warnings: Vec<Warning>,
    found: Option<Result<Found, Error>>,
    log_bytes: u64,
    requests: u64,
}

impl Plan {
    /// A plan for a log that was read up to `cursor`.
    pub fn new(cursor: &PollCursor, options: PollOptions) -> Self {
        Self {
            before: cursor.clone(),
            options,
            state: State::Counting,
            counters: Counters::default(),
            size: 0,
            prepared: false,
            slices: cursor.slices,
            counters_trusted: cursor.counters_trusted,
            doubtful: None,
            warnings: Vec::new(),
            found: None,
            log_bytes: 0,
            requests: 0,
        }
    }

    /// What to do next.
    pub fn ask(&self) -> Ask {
        let whole = ReadBuffer {
            offset: 0,
            len: self.size,
        };
        match self.state {
            State::Counting | State::Recounting => Ask::Counters,
            State::Preparing => Ask::Prepare,
            State::Tail(slice) => Ask::Slice(slice),
            State::Whole => Ask::Slice(whole),
            State::AtOnce => Ask::AtOnce(whole),
            State::GivingUpOnBuffers | State::Freeing => Ask::Free,
            State::Direct => Ask::Direct,
            State::Over => Ask::Nothing,
        }
    }

    /// Takes the answer to what was asked.
    pub fn answer(&mut self, reply: Reply) {
        self.requests += 1;
        match (self.state, reply) {
            (State::Counting, reply) => self.counted(reply),
            (State::Preparing, reply) => self.prepared(reply),
            (State::Tail(slice), Reply::Data(data)) => self.tail(slice, data, None),
            (State::Whole, Reply::Data(data)) => self.whole_in_chunks(&data),
            (State::AtOnce | State::Direct, Reply::Data(data)) => self.whole(&data, None),
            (State::Tail(_), Reply::Failed(error)) if no_slices(&error) => {
                self.no_slices(Warning::SlicesRefused);
                self.state = State::Whole;
            }
            (State::Whole, Reply::Failed(error)) if no_slices(&error) => {
                self.no_slices(Warning::SlicesRefused);
                self.state = State::AtOnce;
            }
            (State::AtOnce, Reply::Failed(error)) if no_slices(&error) => {
                self.state = State::GivingUpOnBuffers;
            }
            (State::Tail(slice), Reply::Failed(error)) => match error.partial().cloned() {
                Some(data) => self.tail(slice, data, Some(error)),
                None => self.over(Err(error)),
            },
            (State::Whole | State::AtOnce | State::Direct, Reply::Failed(error)) => {
                match error.partial().cloned() {
                    Some(data) => self.whole(&data, Some(error)),
                    None => self.over(Err(error)),
                }
            }
            // A terminal that does not say "freed" changes nothing about what was read.
            (State::GivingUpOnBuffers, _) => {
                self.prepared = false;
                self.state = State::Direct;
            }
            (State::Freeing, _) => {
                self.prepared = false;
                self.settle();
            }
            (State::Recounting, reply) => self.recounted(&reply),
            _ => self.over(Err(Misuse::WrongTicket.into())),
        }
    }

    /// What the poll brought. Asking while the plan still wants something is a misuse.
    pub fn finish(self) -> Result<PollResult, Error> {
        let found = self.found.unwrap_or(Err(Misuse::Busy.into()))?;
        let Found {
            mode,
            log,
            first_index,
            known,
            cursor,
            trouble,
        } = found;
        Ok(PollResult {
            mode,
            log,
            first_index,
            known,
            cursor: PollCursor {
                slices: self.slices,
                counters_trusted: self.counters_trusted,
                ..cursor
            },
            warnings: self.warnings,
            trouble,
            log_bytes: self.log_bytes,
            bytes: 0,
            requests: self.requests,
        })
    }

    fn counted(&mut self, reply: Reply) {
        match reply {
            Reply::Counters(counters) => self.counters = counters,
            // Firmware without counters can still be read.
            Reply::Failed(Error::Rejected { .. }) => {}
            Reply::Failed(error) => return self.over(Err(error)),
            _ => return self.over(Err(Misuse::WrongTicket.into())),
        }
        if self.nothing_new() {
            self.over(Ok(self.unchanged()));
        } else {
            self.state = State::Preparing;
        }
    }

    /// Whether the counters alone are reason enough to stop.
    fn nothing_new(&self) -> bool {
        let (Some(records), Some(capacity)) = (self.counters.records, self.counters.records_max)
        else {
            return false;
        };
        !self.options.full
            && !self.options.compare
            && self.counters_trusted
            && self.before.generation > 0
            && records == self.before.records
            && (1..capacity).contains(&records)
    }

    fn prepared(&mut self, reply: Reply) {
        match reply {
            Reply::Prepared(Prepared {
                inline: Some(data), ..
            }) => self.whole(&data, None),
            Reply::Prepared(Prepared { size, .. }) => {
                self.prepared = true;
                self.size = size;
                self.state = match self.tail_slice() {
                    Some(slice) => State::Tail(slice),
                    None if self.slices => State::Whole,
                    None => State::AtOnce,
                };
            }
            Reply::Failed(error) if is_empty(&error, &self.counters) => {
                self.whole(&Bytes::new(), None);
            }
            Reply::Failed(error) if is_unsupported(&error) => {
                if self.slices {
                    self.no_slices(Warning::ReadDirectly);
                }
                self.state = State::Direct;
            }
            Reply::Failed(error) => self.over(Err(error)),
            _ => self.over(Err(Misuse::WrongTicket.into())),
        }
    }

    /// The end of the log from the remembered records on, where that makes sense.
    fn tail_slice(&self) -> Option<ReadBuffer> {
        let before = &self.before;
        let width = u32::try_from(before.layout.width()).ok()?;
        let remembered = u32::try_from(before.tail_len()).ok()?;
        let usable = !self.options.full
            && self.slices
            && (1..=before.records).contains(&remembered)
            && before.tail.len().is_multiple_of(before.layout.width());
        if !usable {
            return None;
        }
        let body = self.size.checked_sub(before.header)?;
        let total = body / width;
        if !body.is_multiple_of(width) || total < before.records {
            return None;
        }
        let first = before.records - remembered;
        Some(ReadBuffer {
            offset: before.header.checked_add(first.checked_mul(width)?)?,
            len: (total - first) * width,
        })
    }

    /// The end of the log, or as much of it as came.
    fn tail(&mut self, slice: ReadBuffer, data: Bytes, trouble: Option<Error>) {
        self.log_bytes += data.len() as u64;
        let before = self.before.clone();
        let remembered = before.tail.len();
        if data.get(..remembered) != Some(&before.tail[..]) {
            if let Some(error) = trouble {
                return self.over(Err(error));
            }
            self.doubtful = Some((slice, data));
            self.state = State::Whole;
            return;
        }
        let (layout, width) = (before.layout, before.layout.width());
        let log = AttendanceLog::from_records(&data.slice(remembered..), layout);
        // What is prepared may be more than the log, and only its total tells where that ends.
        if trouble.is_none() && !log.resembles_a_log() {
            self.state = State::Whole;
            return;
        }
        let whole = data.slice(..remembered + log.len() * width);
        let missing = trouble.is_none() && data.len() < slice.len as usize;
        let trouble = trouble.or_else(|| {
            missing.then(|| {
                let short = Protocol::ShortTransfer {
                    announced: slice.len,
                    received: length(data.len()),
                };
                short.into()
            })
        });
        let cursor = PollCursor {
            records: before.records.saturating_add(length(log.len())),
            tail: last(&whole, layout, self.options.tail),
            ..before
        };
        self.found = Some(Ok(Found {
            mode: if log.is_empty() {
                Mode::Unchanged
            } else {
                Mode::Tail
            },
            log,
            first_index: self.before.records,
            known: 0,
            cursor,
            trouble,
        }));
        self.settle();
    }

    fn whole_in_chunks(&mut self, data: &Bytes) {
        if let Some((slice, seen)) = self.doubtful.take() {
            let start = slice.offset as usize;
            let same = data.get(start..start.saturating_add(seen.len())) == Some(&seen[..]);
            // A chunk is a slice too: what was read in chunks is as doubtful.
            if !same {
                self.log_bytes += data.len() as u64;
                self.no_slices(Warning::SlicesMisserved);
                self.state = State::AtOnce;
                return;
            }
        }
        self.whole(data, None);
    }

    /// The whole log, or as much of it as came.
    fn whole(&mut self, data: &Bytes, trouble: Option<Error>) {
        self.log_bytes += data.len() as u64;
        let size = data.len();
        let (log, trouble) = match self.read_whole(data, trouble) {
            Ok(read) => read,
            Err(error) => return self.over(Err(error)),
        };
        if trouble.is_none() && log.header_len() + log.as_bytes().len() < size {
            self.no_slices(Warning::SizeMisstated);
        }
        self.found = Some(Ok(self.place(log, trouble)));
        self.settle();
    }

    fn read_whole(
        &self,
        data: &Bytes,
        trouble: Option<Error>,
    ) -> Result<(AttendanceLog, Option<Error>), Error> {
        let hint = LogHint {
            count: self.counters.records,
            layout: None,
        };
        let error = match trouble {
            Some(error) => error,
            None => match AttendanceLog::parse(data.clone(), hint) {
                Ok(log) => return Ok((self.in_known_order(log), None)),
                Err(error) => error.into(),
            },
        };
        match AttendanceLog::salvage(data, hint) {
            Some(log) if self.is_believable(&log) => Ok((self.in_known_order(log), Some(error))),
            _ => Err(error),
        }
    }

    /// Whether a part of a log shows the shape of its records. Few of them look like others: it must
    /// be the shape that is known, or there must be enough.
    fn is_believable(&self, log: &AttendanceLog) -> bool {
        const ENOUGH: usize = 16;
        match self.known_layout() {
            Some(known) => !log.is_empty() && log.layout().width() == known.width(),
            None => log.len() >= ENOUGH,
        }
    }

    /// Two layouts have the same width. Which it is was settled by a log that was read before, and
    /// is not asked again of one that may be shorter.
    fn in_known_order(&self, log: AttendanceLog) -> AttendanceLog {
        match self.known_layout() {
            Some(known) => log.with_layout(known),
            None => log,
        }
    }

    fn known_layout(&self) -> Option<Layout> {
        let settled = self.before.generation > 0 && self.before.records > 0;
        settled.then_some(self.before.layout)
    }

    /// Where the whole log stands to what was read before.
    fn place(&mut self, log: AttendanceLog, trouble: Option<Error>) -> Found {
        let before = &self.before;
        let (layout, width) = (log.layout(), log.layout().width());
        let read = length(log.len());
        let goes_on = self.goes_on(&log);
        let was_empty = before.records == 0;
        // "Nothing" from a terminal that counts records is no reason to forget them.
        let hidden = log.is_empty() && self.counters.records.is_some_and(|counted| counted > 0);
        if !goes_on && !was_empty && self.is_undecided(&log, trouble.as_ref()) {
            return Found {
                mode: Mode::Full,
                known: log.len(),
                log,
                first_index: 0,
                cursor: before.clone(),
                trouble,
            };
        }
        if !goes_on && !was_empty && !hidden {
            let warning = if layout.width() != before.layout.width() && !log.is_empty() {
                Warning::WidthChanged
            } else if read < before.records {
                Warning::LogShrank { records: read }
            } else {
                Warning::LogReplaced
            };
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let (known, generation) = match (goes_on, was_empty) {
            (true, _) => (before.records as usize, before.generation),
            (false, true) => (0, before.generation.max(1)),
            (false, false) => (0, before.generation.saturating_add(1)),
        };
        let cursor = if hidden && !was_empty {
            before.clone()
        } else {
            PollCursor {
                generation,
                records: read,
                layout: if log.is_empty() {
                    before.layout
                } else {
                    layout
                },
                header: if log.is_empty() {
                    before.header
                } else {
                    length(log.header_len())
                },
                tail: last(
                    &log.as_bytes().slice(..log.len() * width),
                    layout,
                    self.options.tail,
                ),
                ..before.clone()
            }
        };
        // A small log comes whole without being asked for; only what is new of it counts.
        if goes_on && !self.prepared && self.state == State::Preparing && !self.options.full {
            let news = log.as_bytes().slice(known * width..);
            return Found {
                mode: if news.is_empty() {
                    Mode::Unchanged
                } else {
                    Mode::Tail
                },
                log: AttendanceLog::from_records(&news, layout),
                first_index: before.records,
                known: 0,
                cursor,
                trouble,
            };
        }
        let still_nothing = was_empty && log.is_empty() && before.generation > 0;
        Found {
            mode: if still_nothing {
                Mode::Unchanged
            } else {
                Mode::Full
            },
            log,
            first_index: 0,
            known,
            cursor,
            trouble,
        }
    }

    /// Whether the log has the remembered records where they were.
    fn goes_on(&self, log: &AttendanceLog) -> bool {
        let before = &self.before;
        let width = before.layout.width();
        let end = before.records as usize * width;
        let start = end.checked_sub(before.tail.len());
        log.layout() == before.layout
            && before.records > 0
            && !before.tail.is_empty()
            && start.and_then(|start| log.as_bytes().get(start..end)) == Some(&before.tail[..])
    }

    /// Whether a part of the log leaves open what became of the rest: it ends before the place where
    /// the last poll stopped, and nothing else says that the log was cleared or replaced.
    fn is_undecided(&self, log: &AttendanceLog, trouble: Option<&Error>) -> bool {
        let Some(size) = trouble.map(whole_size) else {
            return false;
        };
        let end = |records: u32| length(log.header_len() + records as usize * log.layout().width());
        let shrank = size.is_some_and(|size| size < end(self.before.records));
        length(log.len()) < self.before.records && !shrank && self.doubtful.is_none()
    }

    fn no_slices(&mut self, warning: Warning) {
        self.slices = false;
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Everything is read: what is left to do?
    fn settle(&mut self) {
        if !self.is_usable() {
            self.state = State::Over;
            return;
        }
        if self.prepared {
            self.state = State::Freeing;
            return;
        }
        let disagree = match (&self.found, self.counters.records) {
            // Counters that are not trusted are not asked to explain themselves.
            (Some(Ok(found)), Some(counted)) => self.counters_trusted && counted != total(found),
            _ => false,
        };
        self.state = if disagree {
            State::Recounting
        } else {
            State::Over
        };
    }

    /// People punch during a read: what came may lie between the two counts.
    fn recounted(&mut self, reply: &Reply) {
        self.state = State::Over;
        let Some(Ok(found)) = &self.found else {
            return;
        };
        let (first, read) = (self.counters.records.unwrap_or(0), total(found));
        let again = match reply {
            Reply::Counters(Counters {
                records: Some(again),
                ..
            }) => *again,
            // What was read stays read, whatever happens to this question.
            _ => first,
        };
        if found.trouble.is_none() && !(first..=again).contains(&read) {
            self.counters_trusted = false;
            self.warnings.push(Warning::CountersDisagree {
                counted: again,
                read,
            });
        }
    }

    fn unchanged(&self) -> Found {
        let layout = self.before.layout;
        Found {
            mode: Mode::Unchanged,
            log: AttendanceLog::from_records(&Bytes::new(), layout),
            first_index: self.before.records,
            known: 0,
            cursor: self.before.clone(),
            trouble: None,
        }
    }

    fn over(&mut self, found: Result<Found, Error>) {
        self.found = Some(found);
        self.state = if self.prepared && self.is_usable() {
            State::Freeing
        } else {
            State::Over
        };
    }

    /// Whether the connection may still serve.
    fn is_usable(&self) -> bool {
        match &self.found {
            Some(
                Ok(Found {
                    trouble: Some(error),
                    ..
                })
                | Err(error),
            ) => leaves_the_connection(error),
            _ => true,
        }
    }
}

/// Whether a failure concerns the answer alone: one that never came, or half came, ends the connection.
fn leaves_the_connection(error: &Error) -> bool {
    match error {
        Error::Rejected { .. } | Error::Decode(_) => true,
        Error::Protocol(error) => !matches!(error, Protocol::Closed | Protocol::Secured { .. }),
        Error::Incomplete { source, .. } => leaves_the_connection(source),
        _ => false,
    }
}

/// Bytes that a data set should have had, where the failure to read it tells.
fn whole_size(error: &Error) -> Option<u32> {
    const TOTAL: usize = 4;
    match error {
        Error::Incomplete { total, .. } => *total,
        Error::Decode(DecodeError::Truncated { announced, .. }) => {
            Some(length(announced.saturating_add(TOTAL)))
        }
        _ => None,
    }
}

/// Records in the log as this poll knows it.
fn total(found: &Found) -> u32 {
    found.first_index.saturating_add(length(found.log.len()))
}

/// The last records.
fn last(records: &Bytes, layout: Layout, count: usize) -> Bytes {
    let keep = (count * layout.width()).min(records.len());
    // A copy of its own: a cursor must not keep a whole log alive.
    Bytes::copy_from_slice(records.get(records.len() - keep..).unwrap_or(&[]))
}

/// A data set has less than 4 GiB.
fn length(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Slices are refused, or their offsets ignored.
fn no_slices(error: &Error) -> bool {
    match error {
        Error::Rejected {
            request: Code::READ_BUFFER,
            ..
        }
        | Error::Protocol(Protocol::OffsetsIgnored) => true,
        // The first chunk came, a later one is refused.
        Error::Incomplete { source, .. } => no_slices(source),
        _ => false,
    }
}

fn is_empty(error: &Error, counters: &Counters) -> bool {
    let no_data = matches!(
        error,
        Error::Rejected {
            answer: Code::ERR_NO_DATA,
            ..
        }
    );
    no_data && counters.records == Some(0)
}

fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::Rejected {
            request: Code::PREPARE_BUFFER,
            answer: Code::ACK_ERROR | Code::ACK_UNKNOWN | Code::ERROR_CMD | Code::ERR_4991,
        }
    )
}
