//! How long is waited before whatever failed is tried again.

/// The longest wait between two attempts at a target, in seconds.
const LONGEST_WAIT: i64 = 6 * 3600;

/// `first` seconds, doubled so many times, up to `longest`.
pub(super) fn doubled(first: i64, times: i32, longest: i64) -> i64 {
    first
        .saturating_mul(1_i64 << times.clamp(0, 20))
        .clamp(0, longest)
}

/// Doubling waits up to six hours, up to a quarter less by chance, so that what failed together does not come back in
/// step.
pub(super) fn spread(first: i64, times: i32) -> i64 {
    let doubled = doubled(first, times, LONGEST_WAIT);
    doubled - rand::random_range(0..=doubled / 4)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{doubled, spread};

    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!(
            [0, 1, 2, 4, 5, 1_000].map(|times| doubled(30, times, 900)),
            [30, 60, 120, 480, 900, 900]
        );
    }

    #[test]
    fn waits_double_up_to_six_hours_and_differ() {
        let waits =
            |first, times| -> BTreeSet<i64> { (0..200).map(|_| spread(first, times)).collect() };
        assert!(waits(30, 0).iter().all(|wait| (23..=30).contains(wait)));
        assert!(waits(30, 3).iter().all(|wait| (180..=240).contains(wait)));
        assert!(
            waits(30, 30)
                .iter()
                .all(|wait| (16_200..=21_600).contains(wait))
        );
        assert!(waits(30, 30).len() > 50, "what failed together spreads");
    }
}
