//! The real binary in processes of its own, and what P5 compares of their work.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use bridge_bin::store::entity::{daily_record, punch};
use bridge_bin::store::{Kind, Store, Told};
use sea_orm::EntityTrait;
use serde_json::Value;

/// Days are judged as of this instant, in every process.
pub(crate) const AS_OF: &str = "2024-01-12T12:00:00Z";

/// A process that ends with its test.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) first: Value,
}

impl Process {
    /// Starts `zk-bridge` and waits for its first document.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("zk-bridge starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next().expect("a first line").expect("text");
        let first = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        // What follows is read, so that nobody waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            stdin: child.stdin.take(),
            child,
            first,
        }
    }

    pub(crate) fn say(&mut self, document: &Value) {
        let stdin = self.stdin.as_mut().expect("an open input");
        writeln!(stdin, "{document}").expect("the process listens");
    }

    /// SIGKILL: no farewell, no clean-up.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    // Another build of it, for figures.
    let binary = std::env::var_os("ZK_BRIDGE_TEST_BINARY");
    let mut command = Command::new(binary.unwrap_or(env!("CARGO_BIN_EXE_zk-bridge").into()));
    command
        .args(arguments)
        .env("ZK_BRIDGE_NOW", AS_OF)
        .env_remove("ZK_BRIDGE_DATA_DIR")
        .env("RUST_LOG", "off");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Value {
    let output = command(arguments).output().expect("zk-bridge runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{arguments:?} printed {text}: {error}"))
}

pub(crate) fn crm(state: &Path) -> Process {
    Process::start(&[
        "--json",
        "mock-crm",
        "--state",
        &state.display().to_string(),
    ])
}

/// What P5 compares: punches by key and content, records by id, and what the CRM was last told of each.
pub(crate) type Compared = (
    BTreeMap<String, String>,
    BTreeMap<String, String>,
    BTreeMap<String, Value>,
);

pub(crate) async fn compared(store: &Store, crm_url: &str) -> Compared {
    let punches = punch::Entity::find()
        .all(store.reader())
        .await
        .expect("punches");
    let punches = punches
        .into_iter()
        .map(|row| {
            let key = format!(
                "{}|{}|{}|{}",
                row.device_id,
                row.user_id,
                Told::from_i64(row.told),
                row.punch_state
            );
            let content = (
                row.verify_mode,
                row.work_code,
                row.uid,
                row.log_generation,
                row.log_index,
                row.repeats,
            );
            (key, format!("{content:?} {}", row.source))
        })
        .collect();
    let records = daily_record::Entity::find()
        .all(store.reader())
        .await
        .expect("records");
    let records = records
        .into_iter()
        .map(|row| (row.record_id, row.content))
        .collect();
    (punches, records, told(crm_url).await)
}

/// The CRM's records, after a check that no revision was applied twice.
pub(crate) async fn told(url: &str) -> BTreeMap<String, Value> {
    let dump = url.trim_end_matches("/api/attendance").to_owned() + "/records";
    let dump: Value = reqwest::get(dump)
        .await
        .expect("the CRM answers")
        .json()
        .await
        .expect("JSON");
    let mut records = BTreeMap::new();
    for record in dump["records"].as_array().expect("a list") {
        let id = record["record_id"].as_str().expect("an id").to_owned();
        let mut revisions: Vec<u64> = record["revisions_applied"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let all = revisions.len();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(
            revisions.len(),
            all,
            "a revision of {id} was applied twice: {record}"
        );
        // Told and withdrawn again, because earlier punches came later: the undisturbed run never told it.
        if record["deleted"] == true {
            continue;
        }
        let mut content = record["content"].clone();
        let fields = content.as_object_mut().expect("an object");
        fields.remove("revision");
        fields.remove("idempotency_key");
        records.insert(id, content);
    }
    records
}

/// Fails unless all that P5 compares is the same.
pub(crate) fn all_same(seed: u64, found: &Compared, expected: &Compared) {
    same("punches", seed, &found.0, &expected.0);
    same("records", seed, &found.1, &expected.1);
    same("what the CRM was told", seed, &found.2, &expected.2);
}

/// The seed of a test that plays dice, printed so that it can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ZK_BRIDGE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| u64::from_le_bytes(bridge_bin::secret::random()));
    eprintln!("seed {seed}; repeat with ZK_BRIDGE_TEST_SEED={seed}");
    seed
}

/// The store of a data directory.
pub(crate) async fn store(data_dir: &str) -> Store {
    Store::open(Path::new(data_dir), Kind::Bridge)
        .await
        .expect("the store opens after a kill")
}

/// Fails with the few lines that differ, not with everything.
fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    seed: u64,
    found: &BTreeMap<String, T>,
    expected: &BTreeMap<String, T>,
) {
    let keys: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differ: Vec<String> = keys
        .into_iter()
        .filter(|key| found.get(*key) != expected.get(*key))
        .map(|key| {
            format!(
                "{key}\n  disturbed {:?}\n  undisturbed {:?}",
                found.get(key),
                expected.get(key)
            )
        })
        .collect();
    assert!(
        differ.is_empty(),
        "{what}, seed {seed}: {} differ\n{}",
        differ.len(),
        differ[..differ.len().min(5)].join("\n")
    );
}

/// Lets a bridge come to rest by commands, once the leases of the killed ones have ended.
pub(crate) fn finish(data_dir: &str) {
    for command in ["poll", "process", "sync"] {
        run(&["--json", "--data-dir", data_dir, command]);
    }
    // Attempts that a kill left without an answer wait for their time.
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let stats = run(&["--json", "--data-dir", data_dir, "crm", "stats"]);
        if stats["unsynced"] == 0 {
            return;
        }
        assert!(Instant::now() < until, "not delivered: {stats}");
        std::thread::sleep(Duration::from_millis(500));
        run(&["--json", "--data-dir", data_dir, "sync"]);
    }
}

/// A small generator, so that a printed seed repeats a run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).expect("below a u32")
    }
}
