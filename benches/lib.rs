//! A speed means little on shared cores; a ratio to a baseline of the same run means more.
//!
//! Criterion reports the times. [`compare`] runs the two sides by turns, so that a slow moment of the machine
//! hits both, and prints the ratio of the medians beside the target of the design's table.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{self, Command},
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
    env::args().any(|argument| argument == "--bench")
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
    let before = cpu_time();
    let median = median((0..rounds).map(|_| time(&mut ours)).collect());
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64() / 1e6;
    // Where others share the core, this is what the core itself would do.
    let on_core = before
        .zip(cpu_time())
        .map_or_else(String::new, |(before, after)| {
            let spent = after.saturating_sub(before);
            format!(", {:.2} M/s of processor time", rate(count * rounds, spent))
        });
    println!(
        "rate: {what}: {:.2} M/s{on_core} (target: at least {} M/s)",
        rate(count, median),
        target / 1e6
    );
}

/// How long this thread has had a core so far, where the system tells it.
pub fn cpu_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace()
        .next()?
        .parse()
        .map(Duration::from_nanos)
        .ok()
}

/// Runs `ours` on bytes that hold `count` things, and the crate rustzk on the same bytes in a process of its own; prints
/// the ratio of the medians. Ours runs directly before and after, so that a slow moment of the machine shows.
///
/// `subject` is what the peer's program (`zk-proto/tests/peers/rustzk`) takes the bytes for. Without that program there
/// is no ratio, and the report says so.
#[expect(clippy::print_stdout, reason = "the report is what a benchmark is for")]
pub fn beside_rustzk(
    what: &str,
    subject: &str,
    target: Target,
    bytes: &[u8],
    count: usize,
    mut ours: impl FnMut(),
) {
    if !is_measuring() {
        ours();
        return;
    }
    let Some(peer) = peer() else {
        println!(
            "ratio: {what}: rustzk is not built, so there is no ratio to it; build it with: cargo build --release \
             --locked --manifest-path zk-proto/tests/peers/rustzk/Cargo.toml --target-dir target/peers"
        );
        return;
    };
    let mut round = || -> Vec<_> { (0..ROUNDS).map(|_| time(&mut ours)).collect() };
    let mut before = round();
    let theirs = match run_peer(&peer, subject, bytes) {
        Ok(theirs) => theirs,
        Err(error) => {
            println!("ratio: {what}: rustzk gives no time, so there is no ratio to it: {error}");
            return;
        }
    };
    let after = round();
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let each = |times: Vec<Duration>| median(times).as_secs_f64() * 1e9 / count as f64;
    let (first, second) = (each(before.clone()), each(after.clone()));
    before.extend(after);
    let ours = each(before);
    println!(
        "ratio: {what}: {:.2}× the speed of rustzk{target}; {ours:.1} ns ({first:.1} before, {second:.1} after) to {theirs:.1} ns each",
        theirs / ours
    );
}

const ROUNDS: usize = 51;

/// The peer's program, where cargo puts it beside this benchmark's target directory.
fn peer() -> Option<PathBuf> {
    let benchmark = env::current_exe().ok()?;
    let target = benchmark.ancestors().nth(3)?;
    let peer = target.join("peers/release/peer-rustzk");
    peer.exists().then_some(peer)
}

/// Nanoseconds for each thing.
fn run_peer(peer: &Path, subject: &str, bytes: &[u8]) -> Result<f64, String> {
    let file = env::temp_dir().join(format!("zk-bench-{}-{subject}", process::id()));
    let output = fs::write(&file, bytes)
        .and_then(|()| {
            Command::new(peer)
                .args(["bench", subject])
                .arg(&file)
                .output()
        })
        .map_err(|error| error.to_string());
    // Left behind, it would be a file in a temporary folder.
    let _ = fs::remove_file(&file);
    let output = output?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
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
