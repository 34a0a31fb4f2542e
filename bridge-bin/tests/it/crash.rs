//! P5: the process ends on the spot, at every commit and at any moment; the end is that of an undisturbed run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bridge_bin::demo::crm_stub::CrmStub;
use bridge_bin::store::FILE;
use bridge_bin::store::entity::{entry, meta};
use sea_orm::{ColumnTrait, ConnectionTrait, Database, EntityTrait, PaginatorTrait, QueryFilter};
use tempfile::TempDir;
use zk_proto::mock::{Fault, MockDevice};

use crate::rig::{AS_OF, Compared, Dice, all_same, command, compared, finish, run, seed, store};
use crate::support::{Bridge, punch, start};

/// Kills that hit a process which was still at work. `ZK_BRIDGE_TEST_KILLS` chooses another number.
const KILLS: u32 = 300;

/// The stations in their order.
const STATIONS: [&str; 3] = ["poll", "process", "sync"];

/// Two terminals with the same people.
async fn terminals(records: usize) -> [MockDevice; 2] {
    let terminal = |serial, seed| {
        start(
            MockDevice::builder()
                .serial(serial)
                .generate(seed, 6, records),
        )
    };
    [terminal("GATE-1", 11).await, terminal("GATE-2", 11).await]
}

/// A data directory with the terminals registered, delivering to `crm`.
fn bridge(dir: &Path, terminals: &[MockDevice], crm: &CrmStub) -> String {
    std::fs::create_dir_all(dir).unwrap();
    configure(dir, crm);
    let data_dir = dir.display().to_string();
    for (index, terminal) in terminals.iter().enumerate() {
        let name = format!("terminal-{index}");
        let address = terminal.addr().to_string();
        let added = command(&["--data-dir", &data_dir, "device", "add", &name])
            .args(["--address", &address, "--transport", "tcp"])
            .stdout(Stdio::null())
            .status();
        assert!(added.unwrap().success());
    }
    data_dir
}

fn configure(dir: &Path, crm: &CrmStub) {
    let toml = format!(
        "timezone = \"Africa/Nairobi\"\n[polling]\nlease_seconds = 2\n[crm]\nurl = \"{}\"\nretry_seconds = 1\n\
         batch_size = 20\n",
        crm.url()
    );
    std::fs::write(dir.join("zk-bridge.toml"), toml).unwrap();
}

/// As if the terms of all leases had passed: a killed process gives nothing back, and waiting would take long.
async fn let_leases_end(data_dir: &str) {
    let path = Path::new(data_dir).join(FILE);
    let db = Database::connect(format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    db.execute_unprepared("UPDATE lease SET expires_at = 0")
        .await
        .unwrap();
    db.close().await.unwrap();
}

/// Runs one station; with a failpoint it may end early.
fn run_station(data_dir: &str, station: &str, failpoint: Option<&str>) -> ExitStatus {
    let mut command = command(&["--json", "--data-dir", data_dir, station]);
    if let Some(failpoint) = failpoint {
        command.env("ZK_BRIDGE_FAILPOINT", failpoint);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

fn copy(from: &str, to: &Path) -> String {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to.display().to_string()
}

/// A world in which single stations can be made to die.
struct World {
    dir: TempDir,
    terminals: [MockDevice; 2],
    /// The data directory as each station finds it.
    before: BTreeMap<&'static str, String>,
    expected: Compared,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let terminals = terminals(30).await;
        let crm = CrmStub::builder().start().await.unwrap();
        let undisturbed = bridge(&dir.path().join("undisturbed"), &terminals, &crm);
        let mut before = BTreeMap::new();
        for station in STATIONS {
            before.insert(
                station,
                copy(&undisturbed, &dir.path().join(format!("before-{station}"))),
            );
            assert!(run_station(&undisturbed, station, None).success());
        }
        finish(&undisturbed);
        let expected = compared(&store(&undisturbed).await, &crm.url()).await;
        assert_eq!(expected.0.len(), 60);
        assert!(expected.1.len() > 20 && expected.2.len() > 20);
        Self {
            dir,
            terminals,
            before,
            expected,
        }
    }

    /// Lets `station` come by `failpoint`, and compares the end. `false` if it never came by.
    async fn survives(&self, station: &'static str, failpoint: &str) -> bool {
        let crm = CrmStub::builder().start().await.unwrap();
        let dir = self.dir.path().join(format!("{station}-{failpoint}"));
        let data_dir = copy(&self.before[station], &dir);
        configure(&dir, &crm);
        let ended = run_station(&data_dir, station, Some(failpoint));
        if ended.success() {
            return false;
        }
        assert_eq!(ended.code(), None, "{station} at {failpoint}: {ended}");
        for terminal in &self.terminals {
            terminal.clear_faults();
        }
        let_leases_end(&data_dir).await;
        eprintln!("{station} died at {failpoint}");
        // A process of its own for each station would only take longer.
        let toml = std::fs::read_to_string(dir.join("zk-bridge.toml")).unwrap();
        let restarted = Bridge::within(&dir, &toml, AS_OF).await;
        restarted.turn().await;
        assert_eq!(restarted.sync().await.failed, 0);
        let found = compared(&restarted.app.store, &crm.url()).await;
        all_same(0, &found, &self.expected);
        std::fs::remove_dir_all(dir).unwrap();
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_dying_before_or_after_any_commit_changes_nothing_in_the_end() {
    let world = World::new().await;
    for station in STATIONS {
        for point in ["commit.before", "commit.after"] {
            let mut times = 1;
            while world.survives(station, &format!("{point}:{times}")).await {
                times += 1;
            }
            // A claim, at least one piece of work, and giving back.
            assert!(times > 3, "{station} came by {point} {} times", times - 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_dying_between_the_answer_of_the_crm_and_its_note_sends_nothing_twice() {
    let world = World::new().await;
    let mut times = 1;
    while world.survives("sync", &format!("sent:{times}")).await {
        times += 1;
    }
    assert!(times > 2, "several batches, not {}", times - 1);
}

/// How many entries were queued for the target, and whether it is still being told what it has missed.
async fn caught_up(data_dir: &str) -> (u64, bool) {
    let store = store(data_dir).await;
    let entries = entry::Entity::find()
        .filter(entry::Column::Target.eq("hr"))
        .count(store.reader());
    let entries = entries.await.unwrap();
    let left = meta::Entity::find()
        .filter(meta::Column::Key.eq("catching_up:hr"))
        .count(store.reader());
    (entries, left.await.unwrap() > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_a_new_target_that_was_being_told_what_it_missed_is_told_the_rest() {
    let world = World::new().await;
    let (mut times, mut resumed) = (1, 0);
    loop {
        let crm = CrmStub::builder().start().await.unwrap();
        let dir = world.dir.path().join(format!("catching-up-{times}"));
        let data_dir = copy(&world.before["sync"], &dir);
        let toml = format!(
            "timezone = \"Africa/Nairobi\"\n[polling]\nlease_seconds = 2\n[[targets]]\nid = \"hr\"\n\
             connector = \"webhook\"\nkind = \"day\"\nsecret = \"s1gn\"\nurl = \"{}\"\n",
            crm.url()
        );
        std::fs::write(dir.join("zk-bridge.toml"), toml).unwrap();
        let point = format!("commit.after:{times}");
        if run_station(&data_dir, "sync", Some(&point)).success() {
            break;
        }
        let (before, is_on) = caught_up(&data_dir).await;
        let_leases_end(&data_dir).await;
        let report = run(&["--json", "--data-dir", &data_dir, "sync"]);
        let (after, is_still_on) = caught_up(&data_dir).await;
        assert!(!is_still_on);
        assert_eq!(after, world.expected.2.len() as u64);
        assert_eq!(
            report["queued"].as_u64(),
            Some(after - before),
            "nobody is told twice: {report}"
        );
        if is_on && before > 0 {
            resumed += 1;
        }
        for record in crm.snapshot().records {
            assert_eq!(record.revisions_applied.len(), 1, "{record:?}");
        }
        if !is_on && before > 0 {
            break;
        }
        times += 1;
    }
    assert!(resumed > 3, "it died {resumed} times on the way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_dying_while_a_lease_is_renewed_leaves_it_to_end() {
    let world = World::new().await;
    for point in ["renew.before", "renew.after"] {
        for times in 1..=2 {
            for terminal in &world.terminals {
                // Longer than a third of the term for each answer, so that it is renewed several times.
                terminal.fault(Fault::delay(Duration::from_millis(900)));
            }
            assert!(world.survives("poll", &format!("{point}:{times}")).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p5_killed_at_three_hundred_moments_nothing_is_lost_and_nothing_comes_twice() {
    let kills = std::env::var("ZK_BRIDGE_TEST_KILLS")
        .ok()
        .map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let seed = seed();
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let terminals = terminals(100).await;
    let crm = CrmStub::builder().start().await.unwrap();
    let data_dir = bridge(&dir.path().join("disturbed"), &terminals, &crm);

    // How long each station takes when it is left alone, in milliseconds.
    let mut usual = STATIONS.map(|_| 200);
    let (mut killed, mut finished) = (0, 0);
    while killed < kills {
        if dice.below(2) == 0 {
            let people = 1001 + dice.below(6);
            let at = format!(
                "2024-01-{:02} {:02}:{:02}:{:02}",
                1 + dice.below(10),
                dice.below(24),
                dice.below(60),
                dice.below(60)
            );
            let gate = usize::try_from(dice.below(2)).unwrap();
            terminals[gate].punch(punch(&people.to_string(), &at));
        }
        let station = usize::try_from(dice.below(3)).unwrap();
        let moment = dice.below(usual[station] + 20);
        let began = Instant::now();
        let mut child = command(&["--json", "--data-dir", &data_dir, STATIONS[station]])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = began + Duration::from_millis(u64::from(moment));
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            let now = Instant::now();
            if now >= until {
                child.kill().unwrap();
                // It may have been quicker in the end.
                break Some(child.wait().unwrap()).filter(|status| status.code().is_some());
            }
            std::thread::sleep((until - now).min(Duration::from_millis(2)));
        };
        match ended {
            None => killed += 1,
            Some(status) => {
                assert!(
                    status.success(),
                    "{} ended with {status}",
                    STATIONS[station]
                );
                finished += 1;
                let took = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
                usual[station] = (usual[station] * 3 + took) / 4;
            }
        }
        let_leases_end(&data_dir).await;
    }
    eprintln!("{killed} killed, {finished} were quicker");
    finish(&data_dir);

    let other_crm = CrmStub::builder().start().await.unwrap();
    let undisturbed = bridge(&dir.path().join("undisturbed"), &terminals, &other_crm);
    finish(&undisturbed);
    let expected = compared(&store(&undisturbed).await, &other_crm.url()).await;
    assert!(expected.0.len() >= 200 && expected.2.len() > 20);
    all_same(
        seed,
        &compared(&store(&data_dir).await, &crm.url()).await,
        &expected,
    );
}
