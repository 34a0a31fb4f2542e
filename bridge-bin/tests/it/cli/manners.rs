//! What all commands have in common: help, failures, statuses, and what they refuse to touch.

use std::io::{BufRead as _, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::CommandFactory;
use sea_orm::ConnectionTrait;
use serde_json::json;

use bridge_bin::cli::Cli;
use bridge_bin::store::leases::Claim;
use bridge_bin::store::{Kind, Store};

use super::place::{Ended, Place, Running};

fn paths_of(command: &clap::Command, path: &str) -> Vec<String> {
    let inner = command.get_subcommands();
    let inner = inner.flat_map(|inner| paths_of(inner, &format!("{path} {}", inner.get_name())));
    std::iter::once(path.to_owned()).chain(inner).collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let paths = paths_of(&Cli::command(), "");
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        let help = place.run(&format!("{path} --help")).ended(0).stdout;
        let example = help.split_once("Example").map(|(_, example)| example);
        assert!(
            example.is_some_and(|text| text.contains("zk-bridge ")),
            "{path}: {help}"
        );
    }
}

#[test]
fn an_unknown_zone_is_named_with_file_line_and_remedy() {
    let place = Place::new();
    let config = place.text("site.toml");
    std::fs::write(
        &config,
        "listen = \"127.0.0.1:0\"\ntimezone = \"Africa/Nirobi\"\n",
    )
    .unwrap();
    let ended = place.run(&format!("--config {config} poll")).ended(1);
    for part in [&config, "line 2", "Africa/Nirobi", "Africa/Nairobi"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(ended.stdout, "");
    let ended = place
        .run(&format!("--config {config} poll --json"))
        .ended(1);
    assert_eq!(ended.failure(), "config");
}

#[test]
fn an_impossible_time_is_named_with_its_line() {
    let place = Place::new();
    std::fs::create_dir(place.data_dir()).unwrap();
    let config = place.data_dir().join("zk-bridge.toml");
    std::fs::write(config, "[shift]\nstart = \"25:00\"\n").unwrap();
    let said = place.run("process").ended(1).stderr;
    assert!(
        said.contains("zk-bridge.toml, line 2") && said.contains("25:00"),
        "{said}"
    );
}

#[test]
fn wrong_use_ends_with_2() {
    let place = Place::new();
    place.run("init").ended(0);
    for line in [
        "",
        "dance",
        "device add Gate",
        "device add Gate --address 1.2.3.256",
        "device add Gate --address gate --timezone Mars/Olympus",
        "device dump",
        "device dump --address a --device b",
        "device dump --address a --encoding klingon",
        "device edit Gate",
        "process --end-date 2026-03-01",
        "process --start-date 2026-02-30",
        "process --start-date 2026-03-02 --end-date 2026-03-01",
        "sync --force",
        "init --admin anna",
        "mock-device --user-width 17",
        "mock-device --attendance-width 7",
        "mock-crm --fail teapot:1",
    ] {
        let ended = place.run(line).ended(2);
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{line}: {ended:?}"
        );
    }
    for line in [
        "device add Gate --json",
        "sync --force --json",
        "report daily --json --format csv",
    ] {
        assert_eq!(place.run(line).ended(2).failure(), "usage", "{line}");
    }
}

#[test]
fn a_failure_is_one_document_or_two_lines() {
    let place = Place::new();
    place.run("init").ended(0);
    let ended = place.run("device show Nowhere").ended(1);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.lines().count()),
        ("", 2),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("Nowhere") && ended.stderr.contains("zk-bridge device list"));
    let ended = place.run("device show Nowhere --json").ended(1);
    assert_eq!(ended.failure(), "unknown_device");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_file_in_the_place_of_the_data_directory_is_refused() {
    let place = Place::new();
    std::fs::write(place.data_dir(), "mine").unwrap();
    for line in ["device list", "poll", "init", "serve", "report daily"] {
        let ended = place.run(&format!("{line} --json")).ended(1);
        assert_eq!(ended.failure(), "data_dir", "{line}");
    }
    assert_eq!(std::fs::read(place.data_dir()).unwrap(), b"mine");
}

async fn foreign(file: &Path) {
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let db = sea_orm::Database::connect(url).await.unwrap();
    db.execute_unprepared("CREATE TABLE recipe (name TEXT)")
        .await
        .unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_foreign_database_is_refused_untouched() {
    let place = Place::new();
    std::fs::create_dir(place.data_dir()).unwrap();
    let file = place.data_dir().join("zk-bridge.db");
    foreign(&file).await;
    let before = std::fs::read(&file).unwrap();
    for line in ["device list", "poll", "init", "serve"] {
        let ended = place.run(&format!("{line} --json")).ended(1);
        assert_eq!(ended.failure(), "foreign_database", "{line}");
    }
    assert!(
        std::fs::read(&file).unwrap() == before,
        "the file was changed"
    );
    assert!(!place.data_dir().join("zk-bridge.toml").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = place.command("decode -").spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let input = "5050827d08000000e80317fc00000000\n".repeat(10_000);
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn init_keeps_what_exists_and_wants_a_real_password() {
    const INIT: &str = "init --admin anna --password-file - --json";
    const SECRET: &str = "correct-horse-battery";
    let place = Place::new();
    let config = place.data_dir().join("zk-bridge.toml");
    let first = place
        .run("init --timezone Africa/Nairobi --json")
        .ended(0)
        .document();
    assert_eq!(
        (&first["config_written"], &first["has_administrator"]),
        (&json!(true), &json!(false))
    );
    let text = std::fs::read_to_string(&config).unwrap();
    let nairobi = bridge_bin::config::ZoneName("Africa/Nairobi".to_owned());
    assert_eq!(text, bridge_bin::config::example_for(&nairobi));
    std::fs::write(&config, "timezone = \"Europe/Berlin\"\n").unwrap();
    assert_eq!(place.feed(INIT, "short\n").ended(1).failure(), "password");
    let ended = place.run("serve --listen 0.0.0.0:0 --json").ended(1);
    assert_eq!(ended.failure(), "no_administrator");
    let ended = place.feed(INIT, SECRET).ended(0);
    assert!(!ended.stdout.contains(SECRET));
    let second = ended.document();
    assert_eq!(
        (&second["config_written"], &second["administrator"]),
        (&json!(false), &json!("anna"))
    );
    assert_eq!(
        std::fs::read_to_string(&config).unwrap(),
        "timezone = \"Europe/Berlin\"\n"
    );
    let again = place
        .feed("admin user add anna --password-file - --json", SECRET)
        .ended(1);
    assert_eq!(again.failure(), "account_exists");
    assert_eq!(
        place.run("init --print --timezone UTC").ended(0).stdout,
        bridge_bin::config::EXAMPLE
    );
}

#[test]
fn serve_says_first_where_it_answers() {
    let place = Place::new();
    let serve = Running::start(&place, "serve --listen 127.0.0.1:0 --json");
    assert_eq!(
        (&serve.first["ready"], &serve.first["pid"]),
        (&json!(true), &json!(serve.child.id()))
    );
    let url = serve.told("url");
    let address = url.strip_prefix("http://").unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    let second = place
        .run(&format!("serve --listen {address} --json"))
        .ended(1);
    assert_eq!(second.failure(), "listen");
}

#[test]
fn only_a_dead_letter_can_be_dismissed_and_only_for_a_reason() {
    let place = Place::new();
    place.run("init").ended(0);
    let ended = place.run("crm dismiss 1 --reason gone --json").ended(1);
    assert_eq!(ended.failure(), "unknown_dead_letter");
    place.run("crm dismiss 1").ended(2);
    place.run("crm dismiss --reason gone").ended(2);
}

#[test]
fn a_mistyped_directory_is_not_made() {
    let place = Place::new();
    let looks = [
        "status",
        "runs",
        "schedule list",
        "device list",
        "device show gate",
        "device info --device gate",
        "report daily",
        "why 7 2026-03-03",
        "crm test",
        "crm stats",
        "crm preview",
        "crm dead-letters",
        "backup all.backup",
        "poll",
        "process",
        "sync --dry-run",
        "clean-up --dry-run",
        "schedule disable poll",
        "crm dismiss 1 --reason gone",
        "admin token add grafana",
        "admin token remove grafana",
        "device disable gate",
        "store move postgres://127.0.0.1:1/new",
    ];
    for line in looks {
        let ended = place.run(&format!("{line} --json")).ended(1);
        assert_eq!(ended.failure(), "data_dir", "{line}");
        let said = ended.document().to_string();
        assert!(
            said.contains(&place.text("data")) && said.contains("zk-bridge init"),
            "{line}: {said}"
        );
        assert!(!place.data_dir().exists(), "{line}");
    }
    std::fs::create_dir(place.data_dir()).unwrap();
    let ended = place.run("status").ended(1);
    assert!(ended.stderr.contains("no database in"), "{ended:?}");
    assert_eq!(std::fs::read_dir(place.data_dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn who_has_to_wait_says_at_once_for_whom_and_how_long() {
    let place = Place::new();
    place.run("init").ended(0);
    let store = Store::open(&place.data_dir(), Kind::Bridge).await.unwrap();
    let now = i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    );
    let claimed = store
        .claim("job:process", "the other one", 600_000, now.unwrap())
        .await
        .unwrap();
    let Claim::Granted(lease) = claimed else {
        panic!("{claimed:?}")
    };
    let mut command = place.command("process");
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(
        said.contains("the process job is held by the other one") && said.contains("60 s at most"),
        "{said}"
    );
    store.release(&lease).await.unwrap();
    assert!(child.wait().unwrap().success());
}
