//! The commands about the database, and what they say of a server.

use std::path::Path;
use std::time::Duration;

use bridge_bin::store::{Kind, Location, Store};
use serde_json::Value;

use super::place::{Ended, Place, Running};
use crate::postgres;

/// A command on the database at `url`, which has a password in it.
fn on(place: &Place, url: &str, line: &str) -> Ended {
    let mut command = place.command(line);
    command.env("ZK_BRIDGE_DATABASE_URL", url);
    // As much as there is to log.
    command.env("RUST_LOG", "trace");
    let ended = Ended::of(command);
    for said in [&ended.stdout, &ended.stderr] {
        assert!(!said.contains("geheim"), "{said}");
    }
    ended
}

/// The address of an empty database with a password, which the server does not ask for.
async fn server() -> Option<String> {
    let url = postgres::database().await?;
    Some(url.replacen("postgres@", "postgres:geheim@", 1))
}

fn rows(document: &Value, table: &str) -> u64 {
    let tables = document["tables"].as_array().expect("the tables");
    let found = tables.iter().find(|copied| copied["table"] == table);
    found.expect("the table")["rows"]
        .as_u64()
        .expect("a number")
}

#[tokio::test]
async fn a_bridge_on_a_server_is_set_up_moved_and_used_without_showing_the_password() {
    let Some(url) = server().await else { return };
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --json")
        .ended(0);

    let ended = place
        .feed("store move - --json", &format!("{url}\n"))
        .ended(0);
    assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
    let moved = ended.document();
    assert_eq!(rows(&moved, "device"), 1);
    let next = moved["next"].as_str().unwrap();
    assert!(next.contains("database_url"), "{next}");

    let refused = place.run("poll --json").ended(1);
    assert_eq!(refused.failure(), "moved");
    let listed = on(&place, &url, "device list --json").ended(0);
    assert!(listed.stdout.contains("gate"), "{listed:?}");
    let told = on(&place, &url, "init --json").ended(0).document();
    let database = told["database"].as_str().unwrap();
    assert!(
        database.starts_with("PostgreSQL postgres@127.0.0.1:"),
        "{database}"
    );

    let wrong = url.replacen("postgres:geheim@", "nobody:geheim@", 1);
    let refused = on(&place, &wrong, "poll --json").ended(1);
    assert_eq!(refused.failure(), "database");
    let refused = on(&place, "mysql://zk:geheim@db/att", "poll --json").ended(1);
    assert_eq!(refused.failure(), "config");
    let refused = place
        .run("store move mysql://zk:geheim@db/att --json")
        .ended(2);
    assert_eq!(refused.failure(), "usage");
    assert!(!format!("{refused:?}").contains("geheim"));
}

#[test]
fn a_backup_is_made_and_restored_only_where_it_replaces_nothing_unasked() {
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --comm-key 4711 --json")
        .ended(0);
    let file = place.text("all.backup");
    let made = place.run(&format!("backup {file} --json")).ended(0);
    assert_eq!(rows(&made.document(), "device"), 1);
    let again = place.run(&format!("backup {file} --json")).ended(1);
    assert_eq!(again.failure(), "file_exists");

    place
        .run("device add door --address 192.0.2.2 --json")
        .ended(0);
    let refused = place.run(&format!("restore {file} --json")).ended(1);
    assert_eq!(refused.failure(), "not_empty");
    let unasked = place
        .run(&format!("restore {file} --force --json"))
        .ended(2);
    assert_eq!(unasked.failure(), "usage");
    let devices = || place.run("device list --json").ended(0).stdout;
    assert!(devices().contains("door"), "nothing was done");
    let restored = place
        .run(&format!("restore {file} --force --yes --json"))
        .ended(0);
    assert_eq!(restored.document()["restored"]["queued"], 0);
    assert!(devices().contains("gate") && !devices().contains("door"));
    assert_eq!(restored.stderr, "", "the key is the one it was");

    // Elsewhere the key is another one, and that is said before a terminal refuses.
    let elsewhere = Place::new();
    let restored = elsewhere.run(&format!("restore {file}")).ended(0);
    assert!(restored.stderr.contains("secret.key"), "{restored:?}");
    assert!(
        restored.stdout.contains("restored into SQLite"),
        "{restored:?}"
    );
}

/// A command that dies at a point, as by a power failure.
#[track_caller]
fn dies(place: &Place, line: &str, point: &str) {
    let mut command = place.command(line);
    command.env("ZK_BRIDGE_FAILPOINT", point);
    assert_eq!(Ended::of(command).code, None, "{line} at {point}");
}

fn names(dir: &Path, end: &str) -> usize {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(end))
        .count()
}

#[test]
fn a_restore_that_died_before_the_key_was_in_its_place_is_finished_by_the_next_start() {
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --comm-key 4711 --json")
        .ended(0);
    let file = place.text("all.backup");
    place
        .run(&format!("backup {file} --with-key --json"))
        .ended(0);
    let key = |place: &Place| std::fs::read_to_string(place.data_dir().join("secret.key")).unwrap();

    let other = Place::new();
    other.run("init --json").ended(0);
    let own = key(&other);
    let line = format!("restore {file} --force --yes");
    dies(&other, &line, "commit.before:1");
    assert_eq!(key(&other), own);
    assert!(names(&other.data_dir(), ".unfinished") > 0);
    let looked = other.run("device list --json").ended(0);
    assert!(!looked.stdout.contains("gate"), "nothing was restored");

    dies(&other, &line, "commit.after:1");
    assert_eq!(key(&other), own);
    let looked = other.run("device show gate --json").ended(0);
    assert!(looked.stderr.contains("is in place now"), "{looked:?}");
    assert_eq!(key(&other), key(&place));
    assert_eq!(names(&other.data_dir(), ".replaced"), 1);
    let again = other.run("device list --json").ended(0);
    assert_eq!(again.stderr, "", "once");

    other.run(&line).ended(0);
    assert_eq!(names(&other.data_dir(), ".unfinished"), 0, "swept");
}

#[test]
fn a_backup_sweeps_what_a_killed_one_left() {
    let place = Place::new();
    place.run("init --json").ended(0);
    let file = place.text("all.backup");
    dies(&place, &format!("backup {file}"), "backup:1");
    let dir = place.data_dir();
    let dir = dir.parent().unwrap();
    assert_eq!(names(dir, ".unfinished"), 1);
    place.run(&format!("backup {file} --json")).ended(0);
    assert_eq!(names(dir, ".unfinished"), 0);
}

#[test]
fn a_move_that_died_between_its_two_commits_is_told_and_can_be_made_again() {
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --json")
        .ended(0);
    let line = format!("store move sqlite:{}", place.text("new"));
    // The note that it begins, then the copy.
    dies(&place, &line, "commit.after:2");
    let looked = place.run("device list --json").ended(0);
    assert!(
        looked.stderr.contains("was cut off") && looked.stderr.contains(&place.text("new")),
        "{looked:?}"
    );
    place
        .run("device add door --address 192.0.2.2 --json")
        .ended(0);
    place.run(&format!("{line} --json")).ended(0);
    let old = place.run("device list --json").ended(1);
    assert_eq!(old.failure(), "moved");
    let new = format!("--data-dir {} device list --json", place.text("new"));
    let listed = place.run(&new).ended(0);
    assert!(listed.stdout.contains("gate") && listed.stdout.contains("door"));
    assert_eq!(listed.stderr, "");
}

/// Asks again until the answer is yes; a test that waits for ever is ended from outside.
async fn until<F: Future<Output = bool>>(ask: impl Fn() -> F) {
    while !ask().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_outlives_a_restart_of_its_server() {
    let Some(server) = postgres::private() else {
        return;
    };
    let url = server.database().await;
    let place = Place::new();
    std::fs::create_dir(place.data_dir()).unwrap();
    let config = format!("database_url = {url:?}\n[schedule]\nprocess = \"* * * * * *\"\n");
    std::fs::write(place.data_dir().join("zk-bridge.toml"), config).unwrap();
    let bridge = Running::start(&place, "serve --listen 127.0.0.1:0 --json");
    let ready = format!("{}/readyz", bridge.told("url"));
    let is = async |status: u16| {
        let answer = reqwest::get(&ready).await.expect("it answers");
        answer.status().as_u16() == status
    };
    until(|| is(200)).await;
    server.kill();
    until(|| is(503)).await;
    server.run();
    until(|| is(200)).await;

    let location = Location::of(&place.data_dir(), &url.parse().unwrap());
    let store = Store::open(location, Kind::Bridge).await.unwrap();
    let last = store.runs(1).await.unwrap().first().map_or(0, |run| run.id);
    until(async || {
        let runs = store.runs(10).await.unwrap();
        runs.iter()
            .any(|run| run.id > last && run.outcome.as_deref() == Some("ok"))
    })
    .await;
}
