//! From what a device showed to an instant (section A).

use crate::{ClockSample, Instant};

/// How far a device's clock was off, by what it showed (R5).
#[derive(Debug, Clone, Default)]
pub(crate) struct ClockCurve(Vec<Sample>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    shown: Instant,
    skew: i64,
    step: bool,
}

impl ClockCurve {
    /// A clock that was never off.
    pub(crate) const PERFECT: Self = Self(Vec::new());

    pub(crate) fn new(samples: &[ClockSample]) -> Self {
        let mut samples = samples.to_vec();
        samples.sort_by_key(|sample| (sample.at.plus(sample.skew_s), sample.at));
        let shown = |sample: &ClockSample| Sample {
            shown: sample.at.plus(sample.skew_s),
            skew: sample.skew_s,
            step: sample.step,
        };
        Self(samples.iter().map(shown).collect())
    }

    /// Seconds by which the device was ahead when it showed this instant (R5).
    #[inline]
    pub(crate) fn skew_at(&self, shown: Instant) -> i64 {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return 0;
        };
        if shown <= first.shown {
            return first.skew;
        }
        if shown >= last.shown {
            return last.skew;
        }
        // Neither end, so there is a sample on either side.
        let next = self.0.partition_point(|sample| sample.shown <= shown);
        let (a, b) = (self.0[next - 1], self.0[next]);
        if b.step {
            return a.skew;
        }
        let run = i128::from(b.shown.since(a.shown));
        let rise = i128::from(b.skew) - i128::from(a.skew);
        let part = (2 * rise * i128::from(shown.since(a.shown)) + run).div_euclid(2 * run);
        // Between the two skews, so it fits.
        i64::try_from(i128::from(a.skew) + part).unwrap_or(a.skew)
    }
}
