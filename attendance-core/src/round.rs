//! Rounding (R44, R48).

use crate::{Round, RoundMode};

impl Round {
    /// A number of seconds, truncated and then rounded.
    pub(crate) fn apply(self, seconds: i64) -> i64 {
        // A plan with a step of 0 is refused.
        let (step, truncate) = (
            i64::from(self.step_s.max(1)),
            i64::from(self.truncate_s.max(1)),
        );
        let seconds = seconds - seconds.rem_euclid(truncate);
        let beyond = seconds.rem_euclid(step);
        let up = match self.mode {
            RoundMode::Down => false,
            RoundMode::Up => beyond > 0,
            RoundMode::Nearest => 2 * beyond >= step,
        };
        seconds - beyond + if up { step } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [RoundMode; 3] = [RoundMode::Down, RoundMode::Up, RoundMode::Nearest];

    #[test]
    fn l18_rounding_gives_near_multiples_and_is_monotone_and_idempotent() {
        for (mode, step) in MODES
            .into_iter()
            .flat_map(|mode| [1, 7, 60, 900].map(|step| (mode, step)))
        {
            let round = Round {
                mode,
                step_s: step,
                truncate_s: 1,
            };
            let step = i64::from(step);
            let mut before = i64::MIN;
            for seconds in -2000..2000 {
                let rounded = round.apply(seconds);
                assert_eq!(rounded.rem_euclid(step), 0);
                assert!(before <= rounded && (rounded - seconds).abs() < step);
                assert_eq!(round.apply(rounded), rounded);
                assert!(mode != RoundMode::Nearest || 2 * (rounded - seconds).abs() <= step);
                before = rounded;
            }
        }
    }

    #[test]
    fn l22_nearest_is_neutral_over_a_step() {
        let round = Round {
            mode: RoundMode::Nearest,
            step_s: 900,
            truncate_s: 1,
        };
        let total: i64 = (0..900).map(|second| round.apply(second) - second).sum();
        assert!(2 * total.abs() <= 900);
    }
}
