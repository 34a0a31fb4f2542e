//! Repeats of one arrival or departure (section D).

use crate::intake::Stamp;
use crate::{DeviceId, DuplicateReason, Kind, UserId};

/// What tells punches of the same instant apart, in the order of R7.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) user: &'a UserId,
    /// Absent is −1.
    pub(crate) state: i64,
}

/// Walks over a stream in canonical order; `kept` receives the punches that are not repeats, with the kinds that they
/// took over, and `repeat` each repeat with the punch that it repeats (R15–R18).
pub(crate) fn walk(
    stream: &[Stamp],
    window_s: u32,
    kept: &mut Vec<Stamp>,
    mut repeat: impl FnMut(Stamp, Stamp),
) {
    kept.clear();
    for &stamp in stream {
        if let Some(first) = kept.last_mut()
            && stamp.instant.since(first.instant) <= i64::from(window_s)
            && !opposite(first.kind, stamp.kind)
        {
            if first.kind == Kind::Unknown {
                first.kind = stamp.kind;
            }
            repeat(stamp, *first);
        } else {
            kept.push(stamp);
        }
    }
}

/// R16.
fn opposite(a: Kind, b: Kind) -> bool {
    a.is_in_like() && b.is_out_like() || a.is_out_like() && b.is_in_like()
}

/// R17.
pub(crate) fn reason<'a>(
    stamp: Stamp,
    first: Stamp,
    origin: impl Fn(u32) -> Origin<'a>,
) -> DuplicateReason {
    let same_instant = stamp.instant == first.instant;
    let (stamp, first) = (origin(stamp.punch), origin(first.punch));
    if stamp.device != first.device {
        DuplicateReason::CrossDevice
    } else if same_instant && stamp == first {
        DuplicateReason::Exact
    } else {
        DuplicateReason::Near
    }
}
