//! The attendance log.

use std::{fmt, iter::FusedIterator, slice::ChunksExact};

use bytes::{BufMut, Bytes, BytesMut};
use nom::{IResult, Parser, number::complete::le_u32};

use super::layout::{Id, Layout, detect, resemble};
use crate::{
    DecodeError,
    wire::{PackedTime, UserId, cut_at_nul},
};

const WHAT: &str = "attendance log";
/// Length in bytes of the total that precedes the records.
const HEADER: usize = 4;
/// Length in bytes of the longest record.
const WIDEST: usize = 49;
/// Length in bytes of what the AK3750 platform puts before its records instead of a total.
const WIDE_HEADER: usize = 12;

/// How a person was verified. Firmware uses two sets of meanings, so this stays a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyMode(pub u8);

impl VerifyMode {
    /// Fingerprint, in both sets.
    pub const FINGERPRINT: Self = Self(1);
    /// Face.
    pub const FACE: Self = Self(15);
    /// Palm.
    pub const PALM: Self = Self(25);
}

/// What a person said the punch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PunchState(pub u8);

impl PunchState {
    /// Coming.
    pub const CHECK_IN: Self = Self(0);
    /// Going.
    pub const CHECK_OUT: Self = Self(1);
    /// Going for a break.
    pub const BREAK_OUT: Self = Self(2);
    /// Back from a break.
    pub const BREAK_IN: Self = Self(3);
    /// Coming for overtime.
    pub const OVERTIME_IN: Self = Self(4);
    /// Going after overtime.
    pub const OVERTIME_OUT: Self = Self(5);
    /// The terminal does not ask.
    pub const UNDEFINED: Self = Self(255);
}

/// What is known about a log before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHint {
    /// Number of records by the counters. A hint only: counters are stale or 0 on some models.
    pub count: Option<u32>,
    /// The layout, if it is known; nothing is detected then.
    pub layout: Option<Layout>,
}

/// A whole attendance log, as bytes; records are read from it without allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct AttendanceLog {
    records: Bytes,
    layout: Layout,
    header: usize,
}

impl AttendanceLog {
    /// Reads a data set: a `u32` total and the records.
    ///
    /// The total is checked against what is there and the layout is found from size, count and
    /// content. An error carries the data set; [`salvage`](Self::salvage) reads what can be read.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the log keeps the data that is handed over"
    )]
    pub fn parse(data: Bytes, hint: LogHint) -> Result<Self, DecodeError> {
        match Self::parse_usual(&data, hint) {
            Ok(log) => Ok(log),
            Err(error) => Self::parse_wide(&data, hint).ok_or(error),
        }
    }

    fn parse_usual(data: &Bytes, hint: LogHint) -> Result<Self, DecodeError> {
        let Some((announced, body)) = split(data)? else {
            return Ok(Self::empty(hint));
        };
        let truncated = |found| DecodeError::Truncated {
            what: WHAT,
            announced,
            found,
            data: data.clone(),
        };
        if announced > body.len() {
            return Err(truncated(body.len()));
        }
        let records = body.slice(..announced);
        // A total of zero before records is a header of another shape, not an empty log.
        let layout = if announced == 0 && !body.is_empty() {
            None
        } else {
            hint.layout
                .or_else(|| detect(&records, announced, hint.count))
        };
        let Some(layout) = layout else {
            return Err(DecodeError::UnknownWidth {
                what: WHAT,
                total: announced,
                known: Layout::WIDTHS,
                data: data.clone(),
            });
        };
        let whole = announced - announced % layout.width();
        if whole < announced {
            return Err(truncated(whole));
        }
        Ok(Self {
            records,
            layout,
            header: HEADER,
        })
    }

    /// The AK3750 platform puts twelve bytes before its records, and what they announce is wrong.
    /// Only records that look like records and end with the data are believed, or none at all.
    fn parse_wide(data: &Bytes, hint: LogHint) -> Option<Self> {
        let size = data.len().checked_sub(WIDE_HEADER)?;
        let records = data.slice(WIDE_HEADER..);
        let allowed = hint.layout.is_none_or(|layout| layout == Layout::Bytes22);
        let announced = data.get(HEADER..WIDE_HEADER).unwrap_or(&[]);
        let fits = if size == 0 {
            announced.iter().all(|byte| *byte == 0)
        } else {
            size.is_multiple_of(Layout::Bytes22.width())
        };
        let found = match size {
            0 => Some(Layout::Bytes22),
            _ => detect(&records, size, hint.count),
        };
        (allowed && fits && found == Some(Layout::Bytes22)).then_some(Self {
            records,
            layout: Layout::Bytes22,
            header: WIDE_HEADER,
        })
    }

    /// Reads the whole records of a data set that is incomplete, such as the one an error carries
    /// ([`Error::partial`](crate::Error::partial)). `None` if not even the layout can be told.
    pub fn salvage(data: &Bytes, hint: LogHint) -> Option<Self> {
        Self::salvage_usual(data, hint).or_else(|| {
            let whole = WIDE_HEADER
                + data.len().checked_sub(WIDE_HEADER)? / Layout::Bytes22.width()
                    * Layout::Bytes22.width();
            Self::parse_wide(&data.slice(..whole), hint)
        })
    }

    fn salvage_usual(data: &Bytes, hint: LogHint) -> Option<Self> {
        let (announced, body) = split(data).ok()??;
        if announced == 0 && !body.is_empty() {
            return None;
        }
        let there = body.slice(..announced.min(body.len()));
        let layout = hint
            .layout
            .or_else(|| detect(&there, announced, hint.count))?;
        let mut log = Self::from_records(&there, layout);
        log.header = HEADER;
        Some(log)
    }

    /// Whether the last records look like records of their layout. Where layout and end of the log were
    /// only assumed, this says whether to believe it.
    pub(crate) fn resembles_a_log(&self) -> bool {
        resemble(&self.records, self.layout)
    }

    /// Reads records that have no total before them, such as a slice from the middle of the log.
    /// A part of a record at the end is left out.
    pub fn from_records(records: &Bytes, layout: Layout) -> Self {
        let whole = records.len() - records.len() % layout.width();
        Self {
            records: records.slice(..whole),
            layout,
            header: 0,
        }
    }

    /// The same bytes as records of another layout of the same width; any other layout changes
    /// nothing.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        if layout.width() == self.layout.width() {
            self.layout = layout;
        }
        self
    }

    /// The records that `keep` wants, in a log of their own.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&AttendanceRef<'_>) -> bool) -> Self {
        let mut records = BytesMut::new();
        for record in self.iter().filter(|record| keep(record)) {
            records.put_slice(record.as_bytes());
        }
        Self {
            records: records.freeze(),
            layout: self.layout,
            header: 0,
        }
    }

    /// A log without records.
    fn empty(hint: LogHint) -> Self {
        Self {
            records: Bytes::new(),
            layout: hint.layout.unwrap_or(Layout::Bytes40),
            header: HEADER,
        }
    }

    /// Writes the data set a terminal would send.
    pub fn encode<'a>(
        records: impl IntoIterator<Item = &'a Attendance>,
        layout: Layout,
        out: &mut BytesMut,
    ) {
        let mut body = BytesMut::new();
        for record in records {
            record.encode(layout, &mut body);
        }
        // A log of 4 GiB does not exist.
        out.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_slice(&body);
    }

    /// The records in the order of the log.
    pub fn iter(&self) -> Records<'_> {
        Records {
            chunks: self.records.chunks_exact(self.layout.width()),
            layout: self.layout,
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len() / self.layout.width()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The shape of the records.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Where in the data set the first record begins, in bytes: 4, or 12 on the AK3750 platform. 0
    /// if the records came without their data set.
    pub fn header_len(&self) -> usize {
        self.header
    }

    /// The records as bytes, without the total.
    pub fn as_bytes(&self) -> &Bytes {
        &self.records
    }
}

impl fmt::Debug for AttendanceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttendanceLog")
            .field("len", &self.len())
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a AttendanceLog {
    type Item = AttendanceRef<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// Iterator over the records of an [`AttendanceLog`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    chunks: ChunksExact<'a, u8>,
    layout: Layout,
}

impl<'a> Iterator for Records<'a> {
    type Item = AttendanceRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<AttendanceRef<'a>> {
        let raw = self.chunks.next()?;
        Some(AttendanceRef {
            raw,
            layout: self.layout,
        })
    }

    fn nth(&mut self, n: usize) -> Option<AttendanceRef<'a>> {
        let raw = self.chunks.nth(n)?;
        Some(AttendanceRef {
            raw,
            layout: self.layout,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let raw = self.chunks.next_back()?;
        Some(AttendanceRef {
            raw,
            layout: self.layout,
        })
    }
}

impl ExactSizeIterator for Records<'_> {}
impl FusedIterator for Records<'_> {}

/// One record, borrowed from the log. Fields are read when they are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AttendanceRef<'a> {
    /// Exactly as long as the layout says.
    raw: &'a [u8],
    layout: Layout,
}

impl<'a> AttendanceRef<'a> {
    /// Takes the first record of `bytes`.
    pub fn parse(bytes: &'a [u8], layout: Layout) -> Result<Self, DecodeError> {
        let width = layout.width();
        let raw = bytes.get(..width).ok_or(DecodeError::TooShort {
            what: "attendance record",
            expected: width,
            found: bytes.len(),
        })?;
        Ok(Self { raw, layout })
    }

    pub(super) fn new(raw: &'a [u8], layout: Layout) -> Self {
        Self { raw, layout }
    }

    /// Internal number of the user; on some models a running number instead, and 0 where the
    /// layout has none. Join by [`user_id`](Self::user_id) where there is one.
    #[inline]
    pub fn uid(&self) -> u16 {
        self.layout
            .fields()
            .uid
            .map_or(0, |at| u16::from_le_bytes(self.array(at)))
    }

    /// The user id as it lies in the record, up to its NUL; empty where it is no text (16 bytes)
    /// or not there (8 bytes). [`user_id`](Self::user_id) knows better.
    #[inline]
    pub fn user_id_bytes(&self) -> &'a [u8] {
        match self.layout.fields().id {
            Id::Text(at, length) => cut_at_nul(self.raw.get(at..at + length).unwrap_or(&[])),
            Id::Number(_) | Id::None => &[],
        }
    }

    /// The user id, inline. Empty where the layout has only the internal number: the list of users
    /// says whose it is.
    #[inline]
    pub fn user_id(&self) -> UserId {
        match self.layout.fields().id {
            Id::Text(at, length) => {
                UserId::from_field(self.raw.get(at..at + length).unwrap_or(&[]))
            }
            Id::Number(at) => UserId::from_number(u32::from_le_bytes(self.array(at))),
            Id::None => UserId::default(),
        }
    }

    /// How the person was verified.
    #[inline]
    pub fn verify_mode(&self) -> VerifyMode {
        let [mode] = self.array(self.layout.fields().verify);
        VerifyMode(mode)
    }

    /// When, in the terminal's local time.
    #[inline]
    pub fn time(&self) -> PackedTime {
        PackedTime(u32::from_le_bytes(self.array(self.layout.fields().time)))
    }

    /// What the person said the punch is.
    #[inline]
    pub fn punch_state(&self) -> PunchState {
        let [state] = self.array(self.layout.fields().punch);
        PunchState(state)
    }

    /// The work code; 0 where none was given. Firmware without work codes may leave junk here.
    #[inline]
    pub fn work_code(&self) -> u32 {
        let at = self.layout.fields().work_code;
        at.map_or(0, |at| u32::from_le_bytes(self.array(at)))
    }

    /// What lies behind the fields, meaning unknown: on visible-light terminals probably mask and
    /// temperature.
    pub fn extra(&self) -> &'a [u8] {
        self.raw.get(self.layout.fields().end..).unwrap_or(&[])
    }

    /// The shape of the record.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The record as it came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// An owned copy, without allocation.
    pub fn to_record(&self) -> Attendance {
        Attendance {
            uid: self.uid(),
            user_id: self.user_id(),
            verify_mode: self.verify_mode(),
            punch_state: self.punch_state(),
            time: self.time(),
            work_code: self.work_code(),
        }
    }

    /// `N` bytes at an offset inside the record.
    #[inline]
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let rest = self.raw.get(offset..).unwrap_or(&[]);
        rest.first_chunk().copied().unwrap_or([0; N])
    }
}

impl fmt::Debug for AttendanceRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_record().fmt(f)
    }
}

/// One record, owned; the user id lies inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attendance {
    /// Internal number of the user; on some models a running number instead.
    pub uid: u16,
    /// The user id.
    pub user_id: UserId,
    /// How the person was verified.
    pub verify_mode: VerifyMode,
    /// What the person said the punch is.
    pub punch_state: PunchState,
    /// When, in the terminal's local time, also if that is no date.
    pub time: PackedTime,
    /// The work code; 0 where none was given.
    pub work_code: u32,
}

impl Attendance {
    /// Whether [`time`](Self::time) is a time that can have happened.
    pub fn time_valid(&self) -> bool {
        self.time.is_valid()
    }

    /// Appends the record as a terminal stores it.
    pub fn encode(&self, layout: Layout, out: &mut BytesMut) {
        let mut raw = [0; WIDEST];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in raw.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        let fields = layout.fields();
        if let Some(at) = fields.uid {
            put(at, &self.uid.to_le_bytes());
        }
        match fields.id {
            Id::Text(at, length) => {
                let id = self.user_id.as_bytes();
                put(at, id.get(..length).unwrap_or(id));
            }
            // Such firmware has numeric ids only.
            Id::Number(at) => put(at, &self.user_id.to_number().unwrap_or(0).to_le_bytes()),
            Id::None => {}
        }
        put(fields.verify, &[self.verify_mode.0]);
        put(fields.time, &self.time.0.to_le_bytes());
        put(fields.punch, &[self.punch_state.0]);
        if let Some(at) = fields.work_code {
            put(at, &self.work_code.to_le_bytes());
        }
        if layout == Layout::Bytes49 {
            put(40, b"\xff255");
        }
        out.put_slice(raw.get(..layout.width()).unwrap_or(&raw));
    }
}

/// Total and records of a data set; `None` for an empty one.
pub(super) fn split(data: &Bytes) -> Result<Option<(usize, Bytes)>, DecodeError> {
    fn total(input: &[u8]) -> IResult<&[u8], u32> {
        le_u32.parse(input)
    }
    if data.is_empty() {
        return Ok(None);
    }
    match total(data) {
        Ok((_, total)) => Ok(Some((total as usize, data.slice(HEADER..)))),
        Err(_) => Err(DecodeError::TooShort {
            what: "data set",
            expected: HEADER,
            found: data.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, time: u32) -> Attendance {
        Attendance {
            uid: 7,
            user_id: id.into(),
            verify_mode: VerifyMode::FACE,
            punch_state: PunchState::CHECK_OUT,
            time: PackedTime(time),
            work_code: 9,
        }
    }

    fn data_set(records: &[Attendance]) -> Bytes {
        let mut out = BytesMut::new();
        AttendanceLog::encode(records, Layout::Bytes40, &mut out);
        out.freeze()
    }

    #[test]
    fn records_survive_the_round_trip() {
        let records = [record("1", 1), record("123456789012345678901234", u32::MAX)];
        let log = AttendanceLog::parse(data_set(&records), LogHint::default()).unwrap();
        assert_eq!(log.len(), 2);
        assert!(log.iter().map(|record| record.to_record()).eq(records));
    }

    #[test]
    fn a_stale_count_changes_nothing() {
        let data = data_set(&[record("1", 1), record("2", 2), record("3", 3)]);
        for count in [0, 1, 2, 3, 4, 5, 120, u32::MAX] {
            let hint = LogHint {
                count: Some(count),
                layout: None,
            };
            assert_eq!(AttendanceLog::parse(data.clone(), hint).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_log_that_ends_inside_a_record_is_an_error_with_the_data() {
        let whole = data_set(&lifelike(2));
        let mut cut = BytesMut::from(&whole[..whole.len() - 15]);
        cut[..4].copy_from_slice(&65_u32.to_le_bytes());
        let error = AttendanceLog::parse(cut.freeze(), LogHint::default()).unwrap_err();
        let DecodeError::Truncated {
            announced: 65,
            found: 40,
            data,
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            AttendanceLog::salvage(&data, LogHint::default())
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn records_of_an_unknown_width_are_refused_by_name() {
        let mut data = BytesMut::new();
        data.put_u32_le(41 * 10);
        for _ in 0..10 {
            record("1", 1).encode(Layout::Bytes40, &mut data);
            data.put_u8(0);
        }
        let hint = LogHint {
            count: Some(10),
            layout: None,
        };
        let error = AttendanceLog::parse(data.freeze(), hint).unwrap_err();
        assert!(
            matches!(error, DecodeError::UnknownWidth { total: 410, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_total_of_zero_before_records_is_not_an_empty_log() {
        let mut data = BytesMut::from(&data_set(&[record("1", 1)])[..]);
        data[..4].fill(0);
        let error = AttendanceLog::parse(data.freeze(), LogHint::default()).unwrap_err();
        assert!(
            matches!(error, DecodeError::UnknownWidth { .. }),
            "{error:?}"
        );
    }

    fn lifelike(count: u32) -> Vec<Attendance> {
        // 2024-01-01T07:58:20, and four punches a day.
        let start = 771_407_900;
        let day = |index: u32| start + index / 4 * 86_400 + index % 4 * 14_000;
        (0..count)
            .map(|index| Attendance {
                uid: u16::try_from(index % 50 + 1).unwrap(),
                user_id: UserId::from_number(index % 50 + 1),
                verify_mode: VerifyMode::FINGERPRINT,
                punch_state: PunchState(u8::try_from(index % 2).unwrap()),
                time: PackedTime(day(index)),
                work_code: 0,
            })
            .collect()
    }

    #[test]
    fn every_layout_is_told_from_the_bytes_alone_whatever_the_counters_say() {
        // 1960 is a multiple of 40, 49 and 8; 3920 of 16 too.
        for count in [1, 2, 3, 40, 49, 98, 245, 1000] {
            for layout in Layout::ALL.iter().copied() {
                let layout = match layout {
                    Layout::Bytes16VerifyFirst => continue,
                    other => other,
                };
                let mut out = BytesMut::new();
                AttendanceLog::encode(&lifelike(count), layout, &mut out);
                let data = out.freeze();
                for counted in [None, Some(0), Some(count), Some(count + 1), Some(count * 5)] {
                    let hint = LogHint {
                        count: counted,
                        layout: None,
                    };
                    let log = AttendanceLog::parse(data.clone(), hint).unwrap();
                    assert_eq!(log.layout(), layout, "{count} records, {counted:?}");
                    let same = |(left, right): (AttendanceRef<'_>, Attendance)| {
                        left.time() == right.time
                            && left.punch_state() == right.punch_state
                            && left.verify_mode() == right.verify_mode
                    };
                    assert!(log.iter().zip(lifelike(count)).all(same));
                }
            }
        }
    }

    #[test]
    fn a_layout_that_is_named_is_not_questioned() {
        let mut out = BytesMut::new();
        AttendanceLog::encode(&lifelike(9), Layout::Bytes16VerifyFirst, &mut out);
        let hint = LogHint {
            count: None,
            layout: Some(Layout::Bytes16VerifyFirst),
        };
        let log = AttendanceLog::parse(out.freeze(), hint).unwrap();
        assert!(log.iter().zip(lifelike(9)).all(|(read, held)| {
            (read.punch_state(), read.verify_mode()) == (held.punch_state, held.verify_mode)
        }));
        for layout in Layout::ALL {
            assert_eq!(Layout::of_name(layout.name()), Some(*layout));
        }
    }

    #[test]
    fn twelve_bytes_before_records_of_twenty_two_are_passed_over() {
        for announced in [0, 7, 30 * 22 + 9, 5000] {
            let mut out = BytesMut::new();
            out.put_u32_le(announced);
            out.put_bytes(0, 8);
            for record in lifelike(30) {
                record.encode(Layout::Bytes22, &mut out);
            }
            let log = AttendanceLog::parse(out.freeze(), LogHint::default()).unwrap();
            assert_eq!((log.len(), log.header_len()), (30, 12), "{announced}");
        }
    }

    #[test]
    fn the_counters_do_not_lift_a_layout_above_records_that_look_better() {
        // Two records of eight bytes pass for one of sixteen, if there is said to be one.
        let mut out = BytesMut::new();
        AttendanceLog::encode(&lifelike(2), Layout::Bytes8TimeLast, &mut out);
        let hint = LogHint {
            count: Some(1),
            layout: None,
        };
        let log = AttendanceLog::parse(out.freeze(), hint).unwrap();
        assert_eq!((log.layout(), log.len()), (Layout::Bytes8TimeLast, 2));
    }

    #[test]
    fn what_is_saved_of_a_log_is_told_by_the_size_it_should_have() {
        for layout in Layout::DETECTED.iter().copied() {
            let mut out = BytesMut::new();
            if layout == Layout::Bytes22 {
                // Twelve bytes before the records, none of which is their total.
                out.put_bytes(0, 8);
            }
            AttendanceLog::encode(&lifelike(60), layout, &mut out);
            let whole = out.freeze();
            for cut in (100..whole.len()).step_by(7) {
                let part = whole.slice(..cut);
                let log = AttendanceLog::salvage(&part, LogHint::default()).unwrap();
                assert_eq!(log.layout(), layout, "{cut} of {} bytes", whole.len());
                assert!(
                    log.iter()
                        .zip(lifelike(60))
                        .all(|(read, held)| read.time() == held.time)
                );
                assert_eq!(log.len(), (cut - log.header_len()) / layout.width());
            }
        }
    }

    #[test]
    fn empty_is_empty_in_every_spelling() {
        for data in [
            &b""[..],
            &b"\0\0\0\0"[..],
            &b"\x08\0\0\0\0\0\0\0\0\0\0\0"[..],
        ] {
            let log = AttendanceLog::parse(Bytes::from_static(data), LogHint::default()).unwrap();
            assert!(log.is_empty());
        }
    }
}
