//! How fast punches come in, are assessed and go out, beside software terminals and a software CRM on this machine.
//!
//! ```text
//! cargo run --release -p bridge-bin --example speed -- pipeline [PUNCHES]
//! cargo run --release -p bridge-bin --example speed -- fleet [TERMINALS]
//! ```
//!
//! `pipeline` reads a terminal with so many punches (100,000 unless said otherwise) into a new `SQLite` store, reads it
//! again, assesses the days, and delivers them one by one and in batches. `fleet` reads so many terminals (1,000) at
//! once that answer after 100 ms each, and one alone; the terminals live in a process of their own, so that the memory
//! told is the reader's.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement asks the clock and prints what it found"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bridge_bin::app::App;
use bridge_bin::clock::Clock;
use bridge_bin::config::Config;
use bridge_bin::demo::crm_stub::CrmStub;
use bridge_bin::jobs::{poll, process, sync};
use bridge_bin::store::Kind;
use bridge_bin::store::devices::{MAIN_GROUP, NewDevice};
use zk_proto::mock::MockDevice;

/// What a terminal of the fleet waits before each answer.
const PACE: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |or| -> anyhow::Result<usize> {
        match arguments.get(1) {
            Some(text) => text.parse().context("a number is expected"),
            None => Ok(or),
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match arguments.first().map(String::as_str) {
        Some("pipeline") => runtime.block_on(pipeline(number(100_000)?)),
        Some("fleet") => runtime.block_on(fleet(number(1_000)?)),
        // How `fleet` starts its terminals.
        Some("terminals") => runtime.block_on(terminals(number(1_000)?)),
        _ => anyhow::bail!("say `pipeline` or `fleet`"),
    }
}

async fn pipeline(punches: usize) -> anyhow::Result<()> {
    let terminal = MockDevice::builder()
        .generate(7, 200, punches)
        .start()
        .await?;
    let (single, batch) = (
        CrmStub::builder().start().await?,
        CrmStub::builder().start().await?,
    );
    let folder = tempfile::tempdir()?;
    let toml = format!(
        "[crm]\nurl = \"{}\"\nconcurrency = 4\n[[targets]]\nid = \"batch\"\nconnector = \"json\"\nurl = \"{1}\"\n\
         batch_url = \"{1}\"\nbatch_size = 200\nconcurrency = 2\n",
        single.url(),
        batch.url()
    );
    let app = open(folder.path(), &toml).await?;
    add(&app, "gate", terminal.addr().to_string()).await?;

    let (report, took) = timed(poll::run(&app, &poll::Options::default())).await?;
    let new = report.devices.iter().map(|device| device.new_records).sum();
    tell("first poll", new, "punches", took);
    let (report, took) = timed(poll::run(&app, &poll::Options::default())).await?;
    println!(
        "next poll: {} in {took:?}",
        report.devices[0].mode.unwrap_or("failed")
    );
    let (report, took) = timed(process::run(&app, &process::Options::default())).await?;
    tell("assessment", report.processed, "records", took);
    for target in ["crm", "batch"] {
        let options = sync::Options {
            target: Some(target.to_owned()),
            ..Default::default()
        };
        let (report, took) = timed(sync::run(&app, &options)).await?;
        let how = if target == "crm" {
            "one by one"
        } else {
            "in batches"
        };
        tell(
            &format!("delivery {how}"),
            report.successful,
            "records",
            took,
        );
    }
    println!("memory of all together: {}", memory());
    Ok(())
}

async fn fleet(count: usize) -> anyhow::Result<()> {
    let mut terminals = Command::new(std::env::current_exe()?)
        .args(["terminals", &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(terminals.stdout.take().context("no output")?).lines();
    let folder = tempfile::tempdir()?;
    let toml = format!("[polling]\nconcurrency = {}\n", count.min(1_000));
    let app = open(folder.path(), &toml).await?;
    for (index, address) in lines.take(count).enumerate() {
        add(&app, &format!("gate {index:04}"), address?).await?;
    }
    let alone = poll::Options {
        devices: vec!["gate 0000".to_owned()],
        ..Default::default()
    };
    poll::run(&app, &alone).await?;
    let first = poll::run(&app, &poll::Options::default()).await?;
    anyhow::ensure!(first.successful == count, "{} failed", first.failed);
    let (_, one) = timed(poll::run(&app, &alone)).await?;
    let (report, all) = timed(poll::run(&app, &poll::Options::default())).await?;
    anyhow::ensure!(report.successful == count, "{} failed", report.failed);
    println!(
        "{count} terminals at once: {all:?}, one alone: {one:?}, ratio {:.2}; memory {}",
        all.as_secs_f64() / one.as_secs_f64(),
        memory()
    );
    terminals.kill()?;
    terminals.wait()?;
    Ok(())
}

/// Prints the addresses of so many terminals and serves them until nobody reads on.
async fn terminals(count: usize) -> anyhow::Result<()> {
    let mut running = Vec::with_capacity(count);
    for index in 0..count {
        let seed = u64::try_from(index)?;
        let terminal = MockDevice::builder()
            .serial(&format!("FLEET{index:06}"))
            .generate(seed, 20, 200)
            .pace(PACE)
            .start()
            .await?;
        println!("{}", terminal.addr());
        running.push(terminal);
    }
    // Until the other side goes.
    std::io::stdin().lines().for_each(drop);
    Ok(())
}

async fn open(folder: &Path, toml: &str) -> anyhow::Result<App> {
    let config = Config::parse(toml, "speed")?;
    App::open(folder.to_owned(), config, Clock::default(), Kind::Bridge).await
}

async fn add(app: &App, name: &str, address: String) -> anyhow::Result<()> {
    let new = NewDevice {
        name: name.to_owned(),
        address,
        secondary_address: None,
        timezone: "UTC".to_owned(),
        comm_key: None,
        transport: "tcp".to_owned(),
        encoding: "auto".to_owned(),
        group: MAIN_GROUP.to_owned(),
        office: None,
    };
    app.store.add_device(new, 0).await?;
    Ok(())
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, Duration)> {
    let began = Instant::now();
    let result = work.await?;
    Ok((result, began.elapsed()))
}

fn tell(what: &str, number: u64, things: &str, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = number as f64 / took.as_secs_f64();
    println!("{what}: {number} {things} in {took:?}, {rate:.0}/s");
}

/// The most memory this process ever held, as Linux tells it.
fn memory() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
            Some(
                line.split_whitespace()
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        })
        .unwrap_or_else(|| "unknown".to_owned())
}
