//! A speed means little on shared cores; a ratio to a baseline of the same run means more.
//!
//! Criterion reports the times. [`compare`] runs the two sides by turns, so that a slow moment of the machine
//! hits both, and prints the ratio of the medians beside the target of the design's table.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// What the ratio should be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At least this many times as fast as the baseline.
    Speed(f64),
    /// At most this many times the baseline's time.
    Time(f64),
    /// For information.
    None,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speed(least) => write!(f, " (target: at least {least}×)"),
            Self::Time(most) => write!(f, " (target: at most {most}×)"),
            Self::None => Ok(()),
        }
    }
}

/// Whether this is `cargo bench`. Everything else, such as `cargo test --benches`, only wants to see that the
/// benchmark works: once, with little data.
pub fn is_measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Runs `ours` and `baseline` by turns, `rounds` times each, and prints the ratio of their medians.
#[expect(clippy::print_stdout, reason = "the report is what a benchmark is for")]
pub fn compare(
    what: &str,
    target: Target,
    rounds: usize,
    mut ours: impl FnMut(),
    mut baseline: impl FnMut(),
) {
    if !is_measuring() {
        ours();
        baseline();
        return;
    }
    let (ours, baseline): (Vec<_>, Vec<_>) = (0..rounds)
        .map(|_| (time(&mut ours), time(&mut baseline)))
        .unzip();
    let (ours, baseline) = (median(ours), median(baseline));
    let (ratio, unit) = match target {
        Target::Speed(_) => (baseline.as_secs_f64() / ours.as_secs_f64(), "speed"),
        Target::Time(_) | Target::None => (ours.as_secs_f64() / baseline.as_secs_f64(), "time"),
    };
    println!(
        "ratio: {what}: {ratio:.2}× the {unit} of the baseline{target}; {ours:.2?} to {baseline:.2?}"
    );
}

/// Runs `ours` several times and prints how many of `count` things it does in a second, for the targets that
/// are no ratio.
#[expect(clippy::print_stdout, reason = "the report is what a benchmark is for")]
pub fn rate(what: &str, count: usize, target: f64, rounds: usize, mut ours: impl FnMut()) {
    if !is_measuring() {
        return;
    }
    let median = median((0..rounds).map(|_| time(&mut ours)).collect());
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let rate = count as f64 / median.as_secs_f64();
    println!(
        "rate: {what}: {:.2} M/s (target: at least {} M/s)",
        rate / 1e6,
        target / 1e6
    );
}

fn time(run: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
