//! Repeats of one arrival or departure (section D).

use crate::intake::Stamp;
use crate::{DuplicateReason, Kind};

/// What a walk over a stream finds out about one of its punches.
pub(crate) enum Found {
    /// It opens a cluster.
    Kept,
    /// It repeats the first punch of the cluster.
    Duplicate { of: Stamp, reason: DuplicateReason },
}

/// Walks over a stream in canonical order; `kept` receives the punches that are not repeats, with the kinds that they
/// took over (R15–R18).
pub(crate) fn walk(
    stream: &[Stamp],
    window_s: u32,
    kept: &mut Vec<Stamp>,
    mut found: impl FnMut(Stamp, Found),
) {
    for &stamp in stream {
        if let Some(first) = kept.last_mut()
            && stamp.instant.since(first.instant) <= i64::from(window_s)
            && !opposite(first.kind, stamp.kind)
        {
            if first.kind == Kind::Unknown {
                first.kind = stamp.kind;
            }
            found(
                stamp,
                Found::Duplicate {
                    of: *first,
                    reason: reason(first, &stamp),
                },
            );
        } else {
            kept.push(stamp);
            found(stamp, Found::Kept);
        }
    }
}

/// R16.
fn opposite(a: Kind, b: Kind) -> bool {
    a.is_in_like() && b.is_out_like() || a.is_out_like() && b.is_in_like()
}

/// R17.
fn reason(first: &Stamp, stamp: &Stamp) -> DuplicateReason {
    if first.device != stamp.device {
        DuplicateReason::CrossDevice
    } else if (first.instant, first.user, first.state) == (stamp.instant, stamp.user, stamp.state) {
        DuplicateReason::Exact
    } else {
        DuplicateReason::Near
    }
}
