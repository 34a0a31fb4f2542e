//! Times that are unusual for a person (R54). Only marks; never changes times or status.

use std::collections::{HashMap, VecDeque};

use crate::{Explanation, LocalTime, OutlierReason, Record, ShiftId, Side, Stat};

const DAY: i64 = 86_400;

/// Walks over the records of one employee, in order.
pub(crate) fn mark(records: &mut [Record], stat: Stat) {
    let mut baselines: HashMap<(ShiftId, Side), Baseline> = HashMap::new();
    for record in records.iter_mut().filter(|record| record.is_final) {
        let Some(shift) = record.shift.clone() else {
            continue;
        };
        for side in [Side::In, Side::Out] {
            let Some((time, learns)) = time(record, side) else {
                continue;
            };
            let baseline = baselines.entry((shift.clone(), side)).or_default();
            if let Some(finding) = baseline.verdict(side, time, stat) {
                record.outliers.insert(reason(side));
                record.findings.push(finding);
            }
            if learns {
                baseline.learn(time.second_of_day(), stat.history as usize);
            }
        }
    }
}

/// The time of one side, and whether the baseline learns from it: not from what is beyond the absolute limits.
pub(crate) fn time(record: &Record, side: Side) -> Option<(LocalTime, bool)> {
    let (time, early, late) = match side {
        Side::In => (
            record.clock_in,
            OutlierReason::InTooEarly,
            OutlierReason::InTooLate,
        ),
        Side::Out => (
            record.clock_out,
            OutlierReason::OutTooEarly,
            OutlierReason::OutTooLate,
        ),
    };
    let absolute = |outlier: &OutlierReason| *outlier == early || *outlier == late;
    time.map(|time| (time, !record.outliers.iter().any(absolute)))
}

/// The code of an unusual time.
pub(crate) const fn reason(side: Side) -> OutlierReason {
    match side {
        Side::In => OutlierReason::InUnusual,
        Side::Out => OutlierReason::OutUnusual,
    }
}

/// The last values of one side, in order and sorted.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    recent: VecDeque<i64>,
    sorted: Vec<i64>,
}

impl Baseline {
    pub(crate) fn learn(&mut self, value: i64, history: usize) {
        if history == 0 {
            return;
        }
        if self.recent.len() == history
            && let Some(oldest) = self.recent.pop_front()
        {
            let at = self.sorted.partition_point(|&other| other < oldest);
            self.sorted.remove(at);
        }
        self.recent.push_back(value);
        let at = self.sorted.partition_point(|&other| other < value);
        self.sorted.insert(at, value);
    }

    pub(crate) fn verdict(&self, side: Side, time: LocalTime, stat: Stat) -> Option<Explanation> {
        if self.sorted.is_empty() || self.sorted.len() < stat.min_n as usize {
            return None;
        }
        let (usual, deviation) = self.middle();
        let spread = deviation.max(i64::from(stat.mad_floor_s));
        let apart = (time.second_of_day() - usual).rem_euclid(DAY);
        let distance = apart.min(DAY - apart);
        let unusual =
            i128::from(distance) * 6745 > i128::from(stat.z_milli) * i128::from(spread) * 10;
        unusual.then(|| Explanation::Unusual {
            reason: reason(side),
            time,
            usual_s: usual,
            distance_s: distance,
            spread_s: spread,
            days: u32::try_from(self.sorted.len()).unwrap_or(u32::MAX),
        })
    }

    /// Median and median absolute deviation on the clock's circle, cut open in its widest gap.
    fn middle(&self) -> (i64, i64) {
        let values = &self.sorted;
        let count = values.len();
        let gap = |index: usize| match index {
            0 => values[0] + DAY - values[count - 1],
            _ => values[index] - values[index - 1],
        };
        let mut cut = 0;
        for index in 1..count {
            if gap(index) > gap(cut) {
                cut = index;
            }
        }
        let from_cut: Vec<i64> = (0..count)
            .map(|index| (values[(cut + index) % count] - values[cut]).rem_euclid(DAY))
            .collect();
        let median_from_cut = median(&from_cut);
        let mut deviations: Vec<i64> = from_cut
            .iter()
            .map(|value| (value - median_from_cut).abs())
            .collect();
        deviations.sort_unstable();
        (
            (values[cut] + median_from_cut).rem_euclid(DAY),
            median(&deviations),
        )
    }
}

/// Of an even number of values the floor of the mean of the middle two.
fn median(sorted: &[i64]) -> i64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]).div_euclid(2)
    }
}
