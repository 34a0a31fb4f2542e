//! The attendance log.

use std::{fmt, iter::FusedIterator, slice::ChunksExact};

use bytes::{BufMut, Bytes, BytesMut};
use nom::{IResult, Parser, number::complete::le_u32};

use crate::{
    DecodeError,
    wire::{PackedTime, UserId, cut_at_nul},
};

const WHAT: &str = "attendance log";
/// Length in bytes of the total that precedes the records.
const HEADER: usize = 4;
/// Records looked at to tell whether a layout fits.
const SAMPLE: usize = 64;

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

/// The shape of one record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// 40 bytes, colour-screen terminals.
    Bytes40,
}

impl Layout {
    /// Every layout that is understood.
    pub const ALL: &[Self] = &[Self::Bytes40];
    const WIDTHS: &[usize] = &[40];

    /// Bytes per record.
    pub const fn width(self) -> usize {
        match self {
            Self::Bytes40 => 40,
        }
    }

    /// The layout of a width in bytes, where one width has one layout.
    pub fn of_width(width: usize) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|layout| layout.width() == width)
    }
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
}

impl AttendanceLog {
    /// Reads a data set: a `u32` total and the records.
    ///
    /// The total is checked against what is there and the layout is found from size, count and
    /// content. An error carries the data set; [`salvage`](Self::salvage) reads what can be read.
    pub fn parse(data: Bytes, hint: LogHint) -> Result<Self, DecodeError> {
        let Some((announced, body)) = split(&data)? else {
            return Ok(Self::empty(hint));
        };
        if announced > body.len() {
            return Err(DecodeError::Truncated {
                what: WHAT,
                announced,
                found: body.len(),
                data,
            });
        }
        let records = body.slice(..announced);
        // A total of zero before records is a header of another shape, not an empty log.
        let layout = if announced == 0 && !body.is_empty() {
            None
        } else {
            hint.layout.or_else(|| detect(&records, hint.count))
        };
        let Some(layout) = layout else {
            return Err(DecodeError::UnknownWidth {
                what: WHAT,
                total: announced,
                known: Layout::WIDTHS,
                data,
            });
        };
        let whole = announced - announced % layout.width();
        if whole < announced {
            return Err(DecodeError::Truncated {
                what: WHAT,
                announced,
                found: whole,
                data,
            });
        }
        Ok(Self { records, layout })
    }

    /// Reads the whole records of a data set that is incomplete, such as the one an error carries
    /// ([`Error::partial`](crate::Error::partial)). `None` if not even the layout can be told.
    pub fn salvage(data: &Bytes, hint: LogHint) -> Option<Self> {
        let (announced, body) = split(data).ok()??;
        let there = body.slice(..announced.min(body.len()));
        let layout = hint.layout.or_else(|| detect(&there, hint.count))?;
        Some(Self::from_records(&there, layout))
    }

    /// Reads records that have no total before them, such as a slice from the middle of the log.
    /// A part of a record at the end is left out.
    pub fn from_records(records: &Bytes, layout: Layout) -> Self {
        let whole = records.len() - records.len() % layout.width();
        Self {
            records: records.slice(..whole),
            layout,
        }
    }

    /// A log without records.
    fn empty(hint: LogHint) -> Self {
        Self {
            records: Bytes::new(),
            layout: hint.layout.unwrap_or(Layout::Bytes40),
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

    /// Internal number of the user; on some models a running number instead. Join by
    /// [`user_id`](Self::user_id).
    pub fn uid(&self) -> u16 {
        match self.layout {
            Layout::Bytes40 => u16::from_le_bytes(self.array(0)),
        }
    }

    /// The user id up to its NUL.
    pub fn user_id_bytes(&self) -> &'a [u8] {
        match self.layout {
            Layout::Bytes40 => cut_at_nul(self.raw.get(2..26).unwrap_or(&[])),
        }
    }

    /// The user id, inline.
    pub fn user_id(&self) -> UserId {
        match self.layout {
            Layout::Bytes40 => UserId::from_field(self.raw.get(2..26).unwrap_or(&[])),
        }
    }

    /// How the person was verified.
    pub fn verify_mode(&self) -> VerifyMode {
        let [mode] = match self.layout {
            Layout::Bytes40 => self.array(26),
        };
        VerifyMode(mode)
    }

    /// When, in the terminal's local time.
    pub fn time(&self) -> PackedTime {
        match self.layout {
            Layout::Bytes40 => PackedTime(u32::from_le_bytes(self.array(27))),
        }
    }

    /// What the person said the punch is.
    pub fn punch_state(&self) -> PunchState {
        let [state] = match self.layout {
            Layout::Bytes40 => self.array(31),
        };
        PunchState(state)
    }

    /// The work code; 0 where none was given. Firmware without work codes may leave junk here.
    pub fn work_code(&self) -> u32 {
        match self.layout {
            Layout::Bytes40 => u32::from_le_bytes(self.array(32)),
        }
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
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let rest = self.raw.get(offset..).unwrap_or(&[]);
        rest.first_chunk().copied().unwrap_or([0; N])
    }

    /// Whether this looks like a record and not like a piece of something else.
    fn is_plausible(&self) -> bool {
        let id = self.user_id_bytes();
        !id.is_empty()
            && id
                .iter()
                .all(|byte| byte.is_ascii_graphic() || *byte >= 0x80)
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
        match layout {
            Layout::Bytes40 => {
                let mut id = [0; 24];
                for (to, from) in id.iter_mut().zip(self.user_id.as_bytes()) {
                    *to = *from;
                }
                out.put_u16_le(self.uid);
                out.put_slice(&id);
                out.put_u8(self.verify_mode.0);
                out.put_u32_le(self.time.0);
                out.put_u8(self.punch_state.0);
                out.put_u32_le(self.work_code);
                out.put_u32_le(0);
            }
        }
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

/// The layout that fits. A count that divides the size into a known width settles it; otherwise
/// the content has to look right.
fn detect(records: &Bytes, count: Option<u32>) -> Option<Layout> {
    let size = records.len();
    let count = count.unwrap_or(0) as usize;
    if size == 0 {
        return Some(Layout::Bytes40);
    }
    if count > 0
        && size.is_multiple_of(count)
        && let Some(layout) = Layout::of_width(size / count)
    {
        return Some(layout);
    }
    let share = |layout: Layout| {
        let sample = records.chunks_exact(layout.width()).take(SAMPLE);
        let (seen, fit) = sample.fold((0, 0), |(seen, fit), raw| {
            (
                seen + 1,
                fit + u32::from(AttendanceRef { raw, layout }.is_plausible()),
            )
        });
        // Damaged records occur; most must be right.
        (seen > 0 && fit * 4 >= seen * 3).then_some(layout)
    };
    Layout::ALL.iter().copied().find_map(share)
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
        let whole = data_set(&[record("1", 1), record("2", 2)]);
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

    #[test]
    fn empty_is_empty_in_both_spellings() {
        for data in [&b""[..], &b"\0\0\0\0"[..]] {
            let log = AttendanceLog::parse(Bytes::from_static(data), LogHint::default()).unwrap();
            assert!(log.is_empty());
        }
    }
}
