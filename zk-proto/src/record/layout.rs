//! The shapes of attendance records, and telling them apart.

use bytes::Bytes;

use super::attendance::AttendanceRef;
use crate::wire::PackedTime;

/// Records looked at to tell whether a layout fits.
const SAMPLE: usize = 64;
/// What a layout must score, of 100, to be believed.
const PASS: u32 = 60;
/// What it must score if not even the size speaks for it.
const PASS_CUT: u32 = 85;
/// What it must score if the counters speak for it: damaged records occur.
const PASS_COUNTED: u32 = 25;
/// The largest work code that can be typed, eight digits. Two records of eight bytes have a larger
/// one where one of sixteen has its own.
const LONGEST_WORK_CODE: u32 = 99_999_999;
/// What the counters add for the width they speak for.
const COUNTED_BONUS: u32 = 40;
/// How far they can lift a layout. They may be stale, so records that look better than that win.
const COUNTED_MOST: u32 = 75;

/// The shape of one record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// 40 bytes, colour-screen terminals.
    Bytes40,
    /// 49 bytes, visible-light face terminals: the 40 bytes and nine more
    /// ([`AttendanceRef::extra`]).
    Bytes49,
    /// 16 bytes, black-and-white terminals: punch state before verify mode.
    Bytes16,
    /// 16 bytes with verify mode before punch state. Nothing in a log tells it from
    /// [`Bytes16`](Self::Bytes16), so it is never detected; a caller who knows says so.
    Bytes16VerifyFirst,
    /// 8 bytes: internal number, verify mode, time, punch state.
    Bytes8,
    /// 8 bytes with the time last (MA300, ZEM560, X628).
    Bytes8TimeLast,
    /// 22 bytes, AK3750 platform.
    Bytes22,
}

/// Where the fields of a layout lie.
pub(crate) struct Fields {
    pub(crate) uid: Option<usize>,
    pub(crate) id: Id,
    pub(crate) verify: usize,
    pub(crate) time: usize,
    pub(crate) punch: usize,
    pub(crate) work_code: Option<usize>,
    /// Where the modelled fields end.
    pub(crate) end: usize,
}

/// How a layout tells who it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    /// Text at an offset, of a length.
    Text(usize, usize),
    /// A `u32` at an offset.
    Number(usize),
    /// Not at all: only the internal number.
    None,
}

impl Layout {
    /// Every layout that is understood, the usual one first.
    pub const ALL: &[Self] = &[
        Self::Bytes40,
        Self::Bytes49,
        Self::Bytes16,
        Self::Bytes8,
        Self::Bytes8TimeLast,
        Self::Bytes22,
        Self::Bytes16VerifyFirst,
    ];
    /// Those that are told from the bytes.
    pub(super) const DETECTED: &[Self] = &[
        Self::Bytes40,
        Self::Bytes49,
        Self::Bytes16,
        Self::Bytes8,
        Self::Bytes8TimeLast,
        Self::Bytes22,
    ];
    pub(super) const WIDTHS: &[usize] = &[40, 49, 16, 8, 22];

    /// Bytes per record.
    #[inline]
    pub const fn width(self) -> usize {
        match self {
            Self::Bytes40 => 40,
            Self::Bytes49 => 49,
            Self::Bytes16 | Self::Bytes16VerifyFirst => 16,
            Self::Bytes8 | Self::Bytes8TimeLast => 8,
            Self::Bytes22 => 22,
        }
    }

    /// The usual layout of a width in bytes.
    pub fn of_width(width: usize) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|layout| layout.width() == width)
    }

    /// A stable word, such as `40` or `8-time-last`, for keeping a layout in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes40 => "40",
            Self::Bytes49 => "49",
            Self::Bytes16 => "16",
            Self::Bytes16VerifyFirst => "16-verify-first",
            Self::Bytes8 => "8",
            Self::Bytes8TimeLast => "8-time-last",
            Self::Bytes22 => "22",
        }
    }

    /// The layout of a [`name`](Self::name).
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|layout| layout.name() == name)
    }

    /// Whether records tell the user id. Those of eight bytes carry the internal number alone.
    pub const fn has_user_id(self) -> bool {
        !matches!(self, Self::Bytes8 | Self::Bytes8TimeLast)
    }

    #[inline]
    pub(crate) const fn fields(self) -> Fields {
        match self {
            Self::Bytes40 | Self::Bytes49 => Fields {
                uid: Some(0),
                id: Id::Text(2, 24),
                verify: 26,
                time: 27,
                punch: 31,
                work_code: Some(32),
                end: 36,
            },
            Self::Bytes16 => Fields {
                uid: None,
                id: Id::Number(0),
                verify: 9,
                time: 4,
                punch: 8,
                work_code: Some(12),
                end: 16,
            },
            Self::Bytes16VerifyFirst => Fields {
                uid: None,
                id: Id::Number(0),
                verify: 8,
                time: 4,
                punch: 9,
                work_code: Some(12),
                end: 16,
            },
            Self::Bytes8 => Fields {
                uid: Some(0),
                id: Id::None,
                verify: 2,
                time: 3,
                punch: 7,
                work_code: None,
                end: 8,
            },
            Self::Bytes8TimeLast => Fields {
                uid: Some(0),
                id: Id::None,
                verify: 2,
                time: 4,
                punch: 3,
                work_code: None,
                end: 8,
            },
            Self::Bytes22 => Fields {
                uid: Some(0),
                id: Id::Text(2, 10),
                verify: 12,
                time: 13,
                punch: 17,
                work_code: None,
                end: 18,
            },
        }
    }
}

/// The layout that fits, or `None` if nothing does or two fit equally well.
///
/// Widths that divide the size go before those that do not (a log that was cut). The counters'
/// number of records speaks for a width, but against the look of the records it does not win: it
/// may be stale. `size` is how many bytes there should be: more than there are if some did not come.
pub(crate) fn detect(records: &Bytes, size: usize, count: Option<u32>) -> Option<Layout> {
    let count = count.unwrap_or(0) as usize;
    if records.is_empty() {
        return Some(Layout::Bytes40);
    }
    let counted = |layout: Layout| count > 0 && count.checked_mul(layout.width()) == Some(size);
    let divides = |layout: &Layout| size.is_multiple_of(layout.width());
    let rank = |among: &mut dyn Iterator<Item = Layout>| -> Vec<((u32, bool), Layout)> {
        let mut scored: Vec<_> = among
            .map(|layout| {
                let (share, counted) = (score(records, layout), counted(layout));
                let lifted = if counted && share >= PASS_COUNTED {
                    (share + COUNTED_BONUS).min(COUNTED_MOST)
                } else {
                    0
                };
                ((share.max(lifted), counted), layout)
            })
            .filter(|((score, _), _)| *score >= PASS)
            .collect();
        // Stable: among equals the usual one is first.
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        scored
    };
    let all = Layout::DETECTED.iter().copied();
    match rank(&mut all.clone().filter(divides))[..] {
        [(first, _), (second, _), ..] if first == second => return None,
        [(_, layout), ..] => return Some(layout),
        [] => {}
    }
    // Cut short: the whole records at its beginning read alike in layouts that look alike there.
    let mut others = all.filter(|layout| !divides(layout) && layout.width() <= records.len());
    let cut = rank(&mut others)
        .into_iter()
        .find(|((score, _), _)| *score >= PASS_CUT);
    cut.map(|(_, layout)| layout)
}

/// Whether each of the last of these looks like a record of this layout, if a damaged one.
pub(super) fn resemble(records: &Bytes, layout: Layout) -> bool {
    let mut last = records.chunks_exact(layout.width()).rev().take(SAMPLE);
    last.all(|raw| plausibility(&AttendanceRef::new(raw, layout), true) >= PASS_COUNTED)
}

/// How well the first and last records look like records, 0 to 100.
fn score(records: &Bytes, layout: Layout) -> u32 {
    let whole = records.chunks_exact(layout.width());
    let skip = whole.len().saturating_sub(SAMPLE / 2).max(SAMPLE / 2);
    let sample = whole.clone().take(SAMPLE / 2).chain(whole.skip(skip));
    let (mut seen, mut points, mut before) = (0, 0, PackedTime::NONE);
    for raw in sample {
        let record = AttendanceRef::new(raw, layout);
        let time = record.time();
        let in_order = time >= before;
        before = time;
        seen += 1;
        points += plausibility(&record, in_order);
    }
    points.checked_div(seen).unwrap_or(0)
}

/// 0 to 100.
fn plausibility(record: &AttendanceRef<'_>, in_order: bool) -> u32 {
    let (id, id_weight) = match record.layout().fields().id {
        // Few things but text are text.
        Id::Text(..) => (is_id(record.user_id_bytes()), 60),
        Id::Number(_) => (!record.user_id().is_empty(), 15),
        Id::None => (record.uid() != 0, 15),
    };
    if !id {
        return 0;
    }
    let time = record.time();
    let happened = time.is_valid() && (2005..2100).contains(&time.fields().year);
    let known = matches!(record.punch_state().0, 0..=5 | 255)
        && matches!(record.verify_mode().0, 0..=30 | 100..=110 | 255)
        && (id_weight == 60 || record.work_code() <= LONGEST_WORK_CODE);
    let share = |yes: bool, weight: u32| if yes { weight } else { 0 };
    let rest = 100 - id_weight;
    id_weight
        + share(happened, rest / 2)
        + share(happened && in_order, rest / 8)
        + share(happened && known, rest - rest / 2 - rest / 8)
}

pub(crate) fn is_id(text: &[u8]) -> bool {
    let in_text = |byte: &u8| byte.is_ascii_graphic() || *byte >= 0x80;
    !text.is_empty() && text.iter().all(in_text)
}
