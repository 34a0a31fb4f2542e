//! Three workers on one `PostgreSQL` and fifty terminals, while nearly everything goes wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bridge_bin::demo::crm_stub::CrmStub;
use bridge_bin::store::Store;
use bridge_bin::store::entity::{dirty_day, lease, outbox, punch};
use sea_orm::{ColumnTrait, ConnectionTrait, Database, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use zk_proto::mock::{Fault, MockDevice};

use crate::postgres;
use crate::rig::{AS_OF, Dice, all_same, command, compared, seed};
use crate::support::{Bridge, punch, start};

const TERMINALS: u32 = 50;

/// What every condition has come true by, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(5);

fn toml(url: &str, crm: &CrmStub) -> String {
    format!(
        "database_url = \"{url}\"\ntimezone = \"Africa/Nairobi\"\n[schedule]\npoll = \"*/4 * * * * *\"\n\
         [polling]\nlease_seconds = 3\nconcurrency = 6\nretry_seconds = 1\n[crm]\nurl = \"{}\"\nretry_seconds = 1\n",
        crm.url()
    )
}

/// One `serve --role worker`.
struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    fn start(dir: &Path, name: &str, toml: &str) -> Self {
        let data_dir = dir.join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        std::fs::write(data_dir.join("zk-bridge.toml"), toml).unwrap();
        let log = dir.join(format!("{name}.log"));
        let data_dir = data_dir.display().to_string();
        let mut child = command(&[
            "--json",
            "--data-dir",
            &data_dir,
            "serve",
            "--role",
            "worker",
        ])
        .env("RUST_LOG", "info,sqlx=warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let first: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{line:?}: {error}; {}", said(&log)));
        assert_eq!(
            first,
            json!({"ready": true, "url": null, "pid": child.id()})
        );
        Self { child, log }
    }

    /// SIGKILL: no farewell, no clean-up.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// The terminals it holds, by the names of their leases, with the tokens.
    async fn holds(&self, store: &Store) -> BTreeMap<String, i64> {
        let mine = format!(" pid {} ", self.child.id());
        let held = store.held_leases(0).await.unwrap();
        held.into_iter()
            .filter(|(row, _)| row.name.starts_with("terminal:") && row.holder.contains(&mine))
            .map(|(row, _)| (row.name, row.token))
            .collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// Waits until `condition` gives something.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Fleet {
    terminals: Vec<MockDevice>,
    dice: Dice,
}

impl Fleet {
    async fn new(seed: u64) -> Self {
        let mut terminals = Vec::new();
        for number in 0..TERMINALS {
            let builder = MockDevice::builder()
                .serial(&format!("GATE-{number}"))
                // The same people everywhere, each terminal with punches of its own.
                .generate(7, 5, 0)
                // A reading takes longer than a third of the lease's term.
                .fault(Fault::delay(Duration::from_millis(80)));
            terminals.push(start(builder).await);
        }
        let mut fleet = Self {
            terminals,
            dice: Dice(seed),
        };
        for number in 0..TERMINALS {
            for _ in 0..6 {
                fleet.punch_at(number);
            }
        }
        fleet
    }

    fn punch_at(&mut self, number: u32) {
        let dice = &mut self.dice;
        let people = 1001 + dice.below(5);
        let at = format!(
            "2024-01-{:02} {:02}:{:02}:{:02}",
            1 + dice.below(10),
            dice.below(24),
            dice.below(60),
            dice.below(60)
        );
        self.terminals[number as usize].punch(punch(&people.to_string(), &at));
    }

    fn punch_anywhere(&mut self, times: u32) {
        for _ in 0..times {
            let number = self.dice.below(TERMINALS);
            self.punch_at(number);
        }
    }

    /// What all terminals hold, without exact repeats, which are one punch.
    fn punches(&self) -> u64 {
        let keys =
            self.terminals
                .iter()
                .enumerate()
                .flat_map(|(number, terminal)| {
                    terminal.snapshot().records.into_iter().map(move |record| {
                        (number, record.user_id, record.time, record.punch_state)
                    })
                });
        let mut keys: Vec<_> = keys.map(|key| format!("{key:?}")).collect();
        keys.sort();
        keys.dedup();
        keys.len() as u64
    }

    fn connections(&self) -> usize {
        let now = |terminal: &MockDevice| terminal.stats().connections_now;
        self.terminals.iter().map(now).sum()
    }

    /// No terminal was ever spoken to by two at once: whoever said something after another had begun has ended.
    fn assert_one_at_a_time(&self, paused: &BTreeSet<String>) {
        for (number, terminal) in self.terminals.iter().enumerate() {
            let stood_still = paused.contains(&format!("terminal:{}", number + 1));
            let mut ended: BTreeSet<SocketAddr> = BTreeSet::new();
            let mut speaking = None;
            for request in terminal.requests() {
                let peer = request.peer.expect("over TCP");
                if speaking != Some(peer) {
                    ended.extend(speaking.replace(peer));
                    assert!(
                        !ended.contains(&peer),
                        "two at once at GATE-{number}, stood still: {stood_still}"
                    );
                }
            }
            // The kernel keeps the sockets of a process that stands still, so these had a silent second one.
            let most = 1 + usize::from(stood_still);
            let seen = terminal.stats().connections_max;
            assert!(seen <= most, "{seen} connections at GATE-{number}");
        }
    }
}

async fn read_from(store: &Store) -> Option<usize> {
    let rows = punch::Entity::find().all(store.reader()).await.ok()?;
    let devices: BTreeSet<i64> = rows.iter().map(|row| row.device_id).collect();
    Some(devices.len())
}

/// Whether everything that terminals hold has come through to the end.
async fn is_at_rest(store: &Store, fleet: &Fleet) -> Option<()> {
    let db = store.reader();
    let stored = punch::Entity::find().count(db).await.ok()?;
    let unassessed = dirty_day::Entity::find().count(db).await.ok()?;
    let untold = outbox::Entity::find()
        .filter(outbox::Column::State.eq("pending"))
        .count(db)
        .await
        .ok()?;
    ((stored, unassessed, untold) == (fleet.punches(), 0, 0)).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p9_workers_die_and_stand_still_and_the_database_restarts_and_nothing_is_lost() {
    let Some(server) = postgres::private() else {
        return;
    };
    let seed = seed();
    let mut fleet = Fleet::new(seed).await;
    let crm = CrmStub::builder().start().await.unwrap();
    let url = server.database().await;
    // A server that forgets what it confirmed would grant a lease twice.
    let admin = Database::connect(&url).await.unwrap();
    for setting in [
        "ALTER SYSTEM SET synchronous_commit = on",
        "SELECT pg_reload_conf()",
    ] {
        admin.execute_unprepared(setting).await.unwrap();
    }
    admin.close().await.unwrap();
    let toml = toml(&url, &crm);
    let bridge = Bridge::new(&toml, AS_OF).await;
    for (number, terminal) in fleet.terminals.iter().enumerate() {
        bridge.add(&format!("gate-{number}"), terminal).await;
    }
    let store = &bridge.app.store;
    let dir = tempfile::tempdir().unwrap();
    let worker = |name: &str| Worker::start(dir.path(), name, &toml);

    let first = worker("first");
    let second = worker("second");
    let third = worker("third");
    until("some terminals were read", async || {
        read_from(store).await.filter(|devices| *devices >= 10)
    })
    .await;

    // One dies in the middle of its readings.
    until("the first reads", async || {
        (!first.holds(store).await.is_empty()).then_some(())
    })
    .await;
    first.kill();
    fleet.punch_anywhere(20);
    let first = worker("first-again");

    // One stands still in the middle of its readings, until others have taken over what it held.
    let mut paused: BTreeMap<String, i64> = BTreeMap::new();
    until(
        "the second stands still while it holds terminals",
        async || {
            second.signal("-STOP");
            paused = second.holds(store).await;
            if paused.is_empty() {
                second.signal("-CONT");
            }
            (!paused.is_empty()).then_some(())
        },
    )
    .await;
    fleet.punch_anywhere(20);
    until("what it held is held by others", async || {
        let rows = lease::Entity::find().all(store.reader()).await.unwrap();
        let tokens: HashMap<String, i64> =
            rows.into_iter().map(|row| (row.name, row.token)).collect();
        paused
            .iter()
            .all(|(name, token)| tokens[name] > *token)
            .then_some(())
    })
    .await;
    second.signal("-CONT");
    until("it notices", async || {
        said(&second.log).contains("lost").then_some(())
    })
    .await;

    // The database goes away as in a power failure, and comes back.
    server.kill();
    fleet.punch_anywhere(20);
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.run();
    until("somebody reads again", async || {
        store.runs(1).await.ok()?;
        (!third.holds(store).await.is_empty()).then_some(())
    })
    .await;
    third.kill();
    fleet.punch_anywhere(20);
    let third = worker("third-again");

    until("everything came through", async || {
        is_at_rest(store, &fleet).await
    })
    .await;
    // Softly: what is under way is ended, and everything is handed back.
    for mut worker in [first, second, third] {
        worker.signal("-TERM");
        let status = until("it stops", async || worker.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}: {}", said(&worker.log));
    }
    assert_eq!(store.held_leases(0).await.unwrap(), []);
    until("all sockets are closed", async || {
        (fleet.connections() == 0).then_some(())
    })
    .await;
    fleet.assert_one_at_a_time(&paused.into_keys().collect());
    let found = compared(store, &crm.url()).await;

    // The same, undisturbed and alone.
    for terminal in &fleet.terminals {
        terminal.clear_faults();
    }
    let other_crm = CrmStub::builder().start().await.unwrap();
    let undisturbed = Bridge::new(&self::toml("", &other_crm), AS_OF).await;
    for (number, terminal) in fleet.terminals.iter().enumerate() {
        undisturbed.add(&format!("gate-{number}"), terminal).await;
    }
    undisturbed.turn().await;
    undisturbed.sync().await;
    let expected = compared(&undisturbed.app.store, &other_crm.url()).await;
    assert!(expected.0.len() > 300 && expected.2.len() > 20);
    all_same(seed, &found, &expected);
}

/// A worker that is busy with the one terminal for a while, and the data directory it works in.
async fn busy_worker(url: &str, dir: &Path) -> (Worker, MockDevice, Bridge) {
    let slow = MockDevice::builder()
        .generate(7, 5, 20)
        .fault(Fault::delay(Duration::from_millis(400)));
    let terminal = start(slow).await;
    let toml = format!(
        "database_url = \"{url}\"\ntimezone = \"Africa/Nairobi\"\n[schedule]\npoll = \"0 0 1 1 *\"\n"
    );
    let data_dir = dir.join("worker");
    std::fs::create_dir_all(&data_dir).unwrap();
    let bridge = Bridge::within(&data_dir, &toml, AS_OF).await;
    bridge.add("gate", &terminal).await;
    let worker = Worker::start(dir, "worker", &toml);
    until("it reads the terminal", async || {
        (!worker.holds(&bridge.app.store).await.is_empty()).then_some(())
    })
    .await;
    (worker, terminal, bridge)
}

async fn beside_a_running_worker(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (worker, terminal, bridge) = busy_worker(url, dir.path()).await;
    let data_dir = dir.path().join("worker").display().to_string();
    let poll = ["--json", "--data-dir", &data_dir, "poll"];

    let impatient = command(&poll)
        .env("ZK_BRIDGE_POLLING_TIMEOUT_SECONDS", "1")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&impatient.stdout).unwrap();
    assert_eq!(impatient.status.code(), Some(1), "{report}");
    let error = &report["devices"][0]["error"];
    assert_eq!(error["kind"], "busy", "{report}");
    let message = error["message"].as_str().unwrap();
    let holder = format!(" pid {} ", worker.child.id());
    for part in ["The terminal \"gate\"", holder.as_str(), "since", "ends in"] {
        assert!(message.contains(part), "{message}");
    }

    let patient = command(&poll).output().unwrap();
    let report: Value = serde_json::from_slice(&patient.stdout).unwrap();
    assert!(patient.status.success(), "{report}");
    assert_eq!(
        report["devices"][0]["new_records"], 0,
        "the worker had them"
    );
    assert_eq!(bridge.punches("gate").await.len(), 20);
    assert_eq!(terminal.stats().connections_max, 1);

    // B50: the answer is that of the running process.
    let status = command(&["--json", "--data-dir", &data_dir, "status"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["service"]["running"], true, "{status}");
    assert_eq!(
        status["service"]["nodes"][0]["pid"],
        worker.child.id(),
        "{status}"
    );
    assert_eq!(status["service"]["nodes"][0]["role"], "worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_poll_beside_a_running_worker_waits_or_says_who_holds_the_terminal_on_sqlite() {
    beside_a_running_worker("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_poll_beside_a_running_worker_waits_or_says_who_holds_the_terminal_on_postgres() {
    if let Some(url) = postgres::database().await {
        beside_a_running_worker(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s56_a_schedule_that_is_changed_while_a_worker_runs_takes_effect() {
    let Some(url) = postgres::database().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (worker, terminal, bridge) = busy_worker(&url, dir.path()).await;
    terminal.clear_faults();
    until("the first reading", async || {
        (bridge.punches("gate").await.len() == 20).then_some(())
    })
    .await;
    terminal.punch(punch("1001", "2024-01-10 23:11:12"));
    let data_dir = dir.path().join("worker").display().to_string();
    let schedule = |arguments: &[&str]| {
        let output = command(&["--json", "--data-dir", &data_dir, "schedule"])
            .args(arguments)
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        told
    };
    let set = schedule(&["set", "poll", "* * * * * *"]);
    assert_eq!(
        (&set["cron"], &set["enabled"]),
        (&json!("* * * * * *"), &json!(true))
    );
    until("the next reading, a year too early", async || {
        (bridge.punches("gate").await.len() == 21).then_some(())
    })
    .await;
    assert_eq!(schedule(&["disable", "poll"])["next_due"], Value::Null);
    let listed = schedule(&["list"]);
    assert_eq!(listed["schedules"].as_array().unwrap().len(), 4, "{listed}");

    let runs = command(&["--json", "--data-dir", &data_dir, "runs", "--job", "poll"])
        .output()
        .unwrap();
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    let latest = &runs["runs"][0];
    assert_eq!(latest["report"]["devices"][0]["new_records"], 1, "{runs}");
    let pid = format!(" pid {} ", worker.child.id());
    assert!(latest["node"].as_str().unwrap().contains(&pid), "{runs}");
}
