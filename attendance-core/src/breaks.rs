//! Unpaid breaks, by the clock and by length (R46, R47).

use crate::{AutoBreak, Breaks, Instant};

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Span {
    pub(crate) fn len(self) -> i64 {
        self.to.since(self.from)
    }

    /// Both ends included.
    pub(crate) fn contains(self, instant: Instant) -> bool {
        self.from <= instant && instant <= self.to
    }
}

/// What breaks leave of a record's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) net_s: i64,
    pub(crate) deducted_s: i64,
}

/// Sorted, apart from one another, none empty.
pub(crate) fn merge(mut windows: Vec<Span>) -> Vec<Span> {
    windows.retain(|window| window.from < window.to);
    windows.sort_by_key(|window| (window.from, window.to));
    let mut merged: Vec<Span> = Vec::with_capacity(windows.len());
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => merged.push(window),
        }
    }
    merged
}

/// R46 and R47 for sessions that are sorted and do not overlap.
pub(crate) fn net(breaks: &Breaks, windows: &[Span], sessions: &[Span]) -> Net {
    let whole: i64 = sessions.iter().map(|session| session.len()).sum();
    let inside = overlap(windows, sessions);
    let gaps = sessions
        .windows(2)
        .map(|pair| pair[1].from.since(pair[0].to));
    let counted: i64 = gaps
        .filter(|&gap| gap >= i64::from(breaks.min_counted_s))
        .sum();
    let net_s = after_tiers(&breaks.auto, whole - inside, inside + counted);
    Net {
        net_s,
        deducted_s: whole - net_s,
    }
}

fn overlap(windows: &[Span], sessions: &[Span]) -> i64 {
    let mut total = 0;
    let mut first = 0;
    for session in sessions {
        while windows
            .get(first)
            .is_some_and(|window| window.to <= session.from)
        {
            first += 1;
        }
        for window in windows[first..]
            .iter()
            .take_while(|window| window.from < session.to)
        {
            total += window
                .to
                .min(session.to)
                .since(window.from.max(session.from))
                .max(0);
        }
    }
    total
}

/// R47: what automatic breaks leave of `work` seconds when `taken` seconds of break were taken.
///
/// A tier never leaves less than working just until it begins would, so staying longer never pays less.
fn after_tiers(tiers: &[AutoBreak], work: i64, taken: i64) -> i64 {
    let mut below: Vec<AutoBreak> = tiers
        .iter()
        .copied()
        .filter(|tier| i64::from(tier.after_s) < work)
        .collect();
    below.sort_by_key(|tier| (tier.after_s, tier.deduct_s));
    let mut reached: Option<AutoBreak> = None;
    // `floor` is what the tiers below leave of work up to where this tier begins.
    let mut floor = 0;
    for tier in below {
        let begins = i64::from(tier.after_s);
        match reached {
            None => floor = begins,
            Some(before) if before.after_s == tier.after_s => {}
            Some(before) => floor = leave(before, floor, begins, taken),
        }
        reached = Some(tier);
    }
    reached.map_or(work, |tier| leave(tier, floor, work, taken))
}

fn leave(tier: AutoBreak, floor: i64, work: i64, taken: i64) -> i64 {
    floor.max(work - (i64::from(tier.deduct_s) - taken).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIERS: [AutoBreak; 2] = [
        AutoBreak {
            after_s: 6 * 3600,
            deduct_s: 1800,
        },
        AutoBreak {
            after_s: 9 * 3600,
            deduct_s: 2700,
        },
    ];

    #[test]
    fn l17_an_automatic_break_grows_by_at_most_a_second_per_second() {
        for taken in [0, 600, 1800, 3000] {
            let mut before = 0;
            for work in 1..12 * 3600 {
                let net = after_tiers(&TIERS, work, taken);
                assert!(
                    net <= work && (0..=1).contains(&(net - before)),
                    "{work} s leave {net} s after {before} s"
                );
                before = net;
            }
        }
    }

    #[test]
    fn of_equal_tiers_the_longer_break_holds() {
        let tiers = [
            AutoBreak {
                after_s: 0,
                deduct_s: 60,
            },
            AutoBreak {
                after_s: 0,
                deduct_s: 600,
            },
        ];
        assert_eq!(after_tiers(&tiers, 1000, 0), 400);
    }
}
