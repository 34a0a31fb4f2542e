//! The real binary, in processes of their own: terminals, bridge, CRM. The bridge is killed again and again.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bridge_bin::store::entity::{daily_record, lease, punch};
use bridge_bin::store::{FILE, Kind, Store};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::rig::{Dice, Process, all_same, command, compared, crm, finish, run, seed, store, told};

const KILLS: u32 = 20;

struct Site {
    dir: tempfile::TempDir,
    terminals: Vec<Process>,
}

impl Site {
    fn new() -> Self {
        // The same people at both, as in a real firm: whichever is read first names them.
        let terminals = ["GATE-1", "GATE-2"]
            .map(|serial| {
                let people = ["--users", "12", "--records", "150", "--seed", "11"];
                let itself = ["--serial", serial, "--transport", "tcp"];
                Process::start(&[&["--json", "mock-device"], &people[..], &itself[..]].concat())
            })
            .into();
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            terminals,
        }
    }

    /// A data directory with both terminals registered, delivering to `crm`.
    fn bridge(&self, name: &str, crm: &Process) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        let url = crm.first["url"].as_str().expect("the CRM's address");
        let toml = format!(
            "timezone = \"Africa/Nairobi\"\n[schedule]\npoll = \"* * * * * *\"\nprocess = \"* * * * * *\"\n\
             sync = \"* * * * * *\"\n[polling]\nlease_seconds = 2\n[crm]\nurl = \"{url}\"\nretry_seconds = 1\n"
        );
        std::fs::write(path.join("zk-bridge.toml"), toml).expect("a configuration");
        let path = path.display().to_string();
        for (index, terminal) in self.terminals.iter().enumerate() {
            let address = terminal.first["tcp"]
                .as_str()
                .expect("the terminal's address");
            let name = format!("terminal-{index}");
            run(&[
                "--json",
                "--data-dir",
                &path,
                "device",
                "add",
                &name,
                "--address",
                address,
            ]);
        }
        path
    }

    /// New punches at one terminal, some of them for days that were delivered long ago.
    fn punch(&mut self, dice: &mut Dice, round: u32) {
        let terminal = dice.below(2);
        for _ in 0..4 {
            let (user, day) = (1001 + dice.below(12), 1 + dice.below(10));
            let time = format!(
                "2024-01-{day:02}T{:02}:{:02}:{:02}",
                dice.below(24),
                dice.below(60),
                round
            );
            let punch = json!({"user_id": user.to_string(), "time": time, "verify_mode": 1, "punch_state": 0});
            self.terminals[usize::try_from(terminal).expect("0 or 1")]
                .say(&json!({ "punch": punch }));
        }
    }
}

fn url(crm: &Process) -> &str {
    crm.first["url"].as_str().expect("the CRM's address")
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_killed_at_twenty_moments_nothing_is_lost_and_nothing_comes_twice() {
    let seed = seed();
    let mut dice = Dice(seed);
    let mut site = Site::new();
    let crm_disturbed = crm(&site.dir.path().join("disturbed.jsonl"));
    let disturbed = site.bridge("disturbed", &crm_disturbed);

    for round in 0..KILLS {
        let bridge = Process::start(&[
            "--json",
            "--data-dir",
            &disturbed,
            "serve",
            "--listen",
            "127.0.0.1:0",
        ]);
        assert_eq!(bridge.first["ready"], true);
        site.punch(&mut dice, round);
        tokio::time::sleep(Duration::from_millis(u64::from(dice.below(2_500)))).await;
        bridge.kill();
    }
    finish(&disturbed);

    let crm_undisturbed = crm(&site.dir.path().join("undisturbed.jsonl"));
    let undisturbed = site.bridge("undisturbed", &crm_undisturbed);
    finish(&undisturbed);

    let expected = compared(&store(&undisturbed).await, url(&crm_undisturbed)).await;
    let found = compared(&store(&disturbed).await, url(&crm_disturbed)).await;
    assert!(expected.0.len() >= 300, "{} punches", expected.0.len());
    assert!(!expected.2.is_empty());
    all_same(seed, &found, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_killed_in_the_middle_carries_on() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("demo").display().to_string();
    let arguments = [
        "--json",
        "--data-dir",
        &data_dir,
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--days",
        "15",
    ];
    // In the middle of reading, of assessing, of delivering; whichever it is on this machine.
    for moment in [5, 80, 200, 500, 1_000] {
        let demo = Process::start(&arguments);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        demo.kill();
    }
    let demo = Process::start(&arguments);
    let crm_url = demo.first["crm_url"].as_str().unwrap();
    let store = Store::open(Path::new(&data_dir), Kind::Demo).await.unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let stats = store.stats("crm", 3).await.unwrap();
        let assessed = store.work_list(i64::MIN, "", 1).await.unwrap().is_empty();
        if assessed && stats.total > 0 && stats.unsynced == 0 {
            break;
        }
        assert!(Instant::now() < until, "{stats:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Every record that is settled and of interest is there, as it is here.
    let told = told(crm_url).await;
    let records = daily_record::Entity::find()
        .all(store.reader())
        .await
        .unwrap();
    let settled = records
        .iter()
        .filter(|row| row.is_final && !["weekly_off", "holiday"].contains(&row.status.as_str()));
    let mut compared = 0;
    for row in settled {
        let here: Value = serde_json::from_str(&row.content).unwrap();
        let there = told
            .get(&row.record_id)
            .unwrap_or_else(|| panic!("{} was never told", row.record_id));
        for field in ["clock_in", "clock_out", "status", "worked_s", "late_s"] {
            assert_eq!(here[field], there[field], "{field} of {}", row.record_id);
        }
        compared += 1;
    }
    assert!(compared > 100, "{compared} records");
    let punches = punch::Entity::find().all(store.reader()).await.unwrap();
    let keys: std::collections::BTreeSet<_> = punches
        .iter()
        .map(|row| (row.device_id, &row.user_id, row.told, row.punch_state))
        .collect();
    assert_eq!(keys.len(), punches.len(), "no punch twice");
}

#[test]
fn a_kill_at_birth_leaves_a_directory_that_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    for moment in (0..40).step_by(2) {
        let data_dir = dir.path().join(moment.to_string()).display().to_string();
        let init = ["--json", "--data-dir", &data_dir, "init"];
        let mut newborn = command(&init)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        newborn.kill().unwrap();
        newborn.wait().unwrap();
        run(&init);
        let list = ["--json", "--data-dir", &data_dir, "device", "list"];
        assert_eq!(run(&list)["devices"], json!([]), "killed after {moment} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b39_one_process_with_nothing_else_installed_serves_from_an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("new").join("data");
    let started = Process::start(&[
        "--json",
        "--data-dir",
        &data_dir.display().to_string(),
        "serve",
        "--listen",
        "127.0.0.1:0",
    ]);
    let url = started.first["url"].as_str().unwrap();
    for path in ["/healthz", "/readyz"] {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert!(data_dir.join(FILE).is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_command_waits_for_a_terminal_or_says_who_holds_it() {
    let site = Site::new();
    let crm = crm(&site.dir.path().join("crm.jsonl"));
    let data_dir = site.bridge("bridge", &crm);
    let store = Store::open(Path::new(&data_dir), Kind::Bridge)
        .await
        .unwrap();
    let row = lease::ActiveModel {
        name: sea_orm::ActiveValue::Set("terminal:1".to_owned()),
        holder: sea_orm::ActiveValue::Set("pid 1 (elsewhere)".to_owned()),
        token: sea_orm::ActiveValue::Set(5),
        expires_at: sea_orm::ActiveValue::Set(i64::MAX),
        since: sea_orm::ActiveValue::Set(0),
    };
    let tx = store.begin().await.unwrap();
    lease::Entity::insert(row)
        .exec_without_returning(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let output = command(&[
        "--json",
        "--data-dir",
        &data_dir,
        "poll",
        "--device",
        "terminal-0",
    ])
    .env("ZK_BRIDGE_POLLING_TIMEOUT_SECONDS", "1")
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["devices"][0]["error"]["kind"], "busy");
    assert!(
        report["devices"][0]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("pid 1 (elsewhere)"),
        "{report}"
    );
}
