//! Commands that look: what they find out by themselves, and how they tell it to people and to programs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::place::{Ended, Place, Running};

#[test]
fn i21_status_finds_alarms_without_any_node() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --records 10 --clock-ahead 900");
    let gate = terminal.told("tcp");
    place
        .run(&format!("device add Gate --address {gate}"))
        .ended(0);
    place.run("poll").ended(0);
    let status = place.run("status --json").ended(3).document();
    let alarm = &status["alarms"][0];
    assert_eq!(
        (&alarm["kind"], &alarm["subject"]),
        (&json!("clock_drift"), &json!("Gate"))
    );
    let said = place.run("status").ended(3).stdout;
    assert!(
        said.contains("1 alarm:") && said.contains("device test --device Gate"),
        "{said}"
    );
}

#[test]
fn status_after_a_poll_says_what_comes_next_and_no_year_1970() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --users 2 --records 10");
    let gate = terminal.told("tcp");
    place
        .run(&format!("device add Gate --address {gate}"))
        .ended(0);
    place.run("poll").ended(0);
    let said = place.run("status").ended(0).stdout;
    assert!(!said.contains("1970"), "{said}");
    assert!(
        said.contains("not at all yet: run `zk-bridge process`"),
        "{said}"
    );
    let status = place.run("status --json").ended(0).document();
    assert_eq!(status["assessed_until"], Value::Null);
    place.run("process").ended(0);
    let status = place.run("status --json").ended(0).document();
    assert!(status["assessed_until"].is_string(), "{status}");
}

/// People are told times of the site, with the offset; programs get UTC.
#[track_caller]
fn both_ways(place: &Place, line: &str) {
    let said = place.run(line).ended(0).stdout;
    let has_time = |text: &str, end: &str| {
        let times = text.match_indices('T').filter_map(|(at, _)| {
            let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
            (at > 0 && digit(at - 1) && digit(at + 1)).then(|| text.get(at + 9..))
        });
        let ends: Vec<&str> = times.flatten().collect();
        !ends.is_empty() && ends.iter().all(|rest| rest.starts_with(end))
    };

    assert!(has_time(&said, "+03:00"), "{line}: {said}");
    let document = place.run(&format!("{line} --json")).ended(0).stdout;
    assert!(has_time(&document, "Z"), "{line}: {document}");
}

#[test]
fn people_are_told_times_of_the_site_and_programs_utc() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --users 3 --records 30");
    let state = place.text("crm.jsonl");
    let crm = Running::start(&place, &format!("mock-crm --state {state} --fail 422:1"));
    // Days without a punch are told as well: that is a few of them.
    let start = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(10 * 24);
    let start = &start.to_string()[..10];
    std::fs::create_dir(place.data_dir()).unwrap();
    std::fs::write(
        place.data_dir().join("zk-bridge.toml"),
        format!(
            "timezone = \"Africa/Nairobi\"\n[crm]\nurl = {:?}\nstart_date = \"{start}\"\n",
            crm.told("url")
        ),
    )
    .unwrap();
    place
        .run(&format!(
            "device add Gate --address {}",
            terminal.told("tcp")
        ))
        .ended(0);
    let serve = Running::start(&place, "serve --listen 127.0.0.1:0 --json");
    let give_up = Instant::now() + Duration::from_mins(1);
    let runs = loop {
        let runs = place.run("runs --json --job sync").ended(0).document();
        if runs["runs"][0]["ended"].is_string() {
            break runs;
        }
        assert!(Instant::now() < give_up, "{runs}");
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(serve);
    assert_eq!(runs["runs"][0]["outcome"], "partly", "{runs}");
    both_ways(&place, "runs --job sync --limit 1");
    both_ways(&place, "crm dead-letters --limit 1");
    both_ways(&place, "device list");
    both_ways(&place, "device show Gate");
    both_ways(&place, "schedule list");
}

#[test]
fn a_schedule_that_never_comes_is_refused() {
    let place = Place::new();
    let mut command = place.command("schedule set poll");
    command.arg("0 0 31 2 *");
    let ended = Ended::of(command).ended(2);
    assert!(ended.stderr.contains("never come"), "{ended:?}");
    std::fs::create_dir(place.data_dir()).unwrap();
    let config = place.data_dir().join("zk-bridge.toml");
    std::fs::write(&config, "[schedule]\nsync = \"0 0 30 2 *\"\n").unwrap();
    let said = place.run("schedule list").ended(1).stderr;
    assert!(
        said.contains("line 2") && said.contains("never come"),
        "{said}"
    );
}

#[test]
fn a_test_of_a_stored_terminal_says_how_far_its_clock_is_off() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --clock-ahead -5400");
    let gate = terminal.told("tcp");
    place
        .run(&format!("device add Gate --address {gate} --timezone UTC"))
        .ended(0);
    let said = place.run("device test --device Gate").ended(0).stdout;
    assert!(said.contains(", 90 min slow"), "{said}");
    let answer = place.run("device test --device Gate --json").ended(0);
    let drift = answer.document()["clock_drift_s"].as_i64();
    assert!(
        drift.is_some_and(|drift| (drift + 5_400).abs() < 60),
        "{drift:?}"
    );
    // Of any other address the zone is not known.
    let answer = place.run(&format!("device test --address {gate} --json"));
    assert_eq!(answer.ended(0).document()["clock_drift_s"], Value::Null);
}

#[test]
fn i21_a_log_that_is_nearly_full_is_told_as_soon_as_it_was_read() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --records 46 --records-max 50");
    let gate = terminal.told("tcp");
    place
        .run(&format!("device add Gate --address {gate} --timezone UTC"))
        .ended(0);
    place.run("poll").ended(0);
    let status = place.run("status --json").ended(3).document();
    assert_eq!(status["alarms"][0]["kind"], "log_full", "{status}");
    let said = place.run("status").ended(3).stdout;
    assert!(
        said.contains("46 of 50 records") && said.contains("poll --device Gate --full"),
        "{said}"
    );
}

#[test]
fn a_token_is_shown_once_and_opens_metrics_until_it_is_removed() {
    let place = Place::new();
    place.run("init").ended(0);
    let added = place.run("admin token add prometheus --json").ended(0);
    let added = added.document();
    let token = added["token"].as_str().unwrap();
    assert_eq!(added["role"], "viewer");
    let again = place.run("admin token add prometheus --json").ended(1);
    assert_eq!(again.failure(), "token_exists");
    let listed = place.run("admin token list --json").ended(0);
    assert_eq!(listed.document()["tokens"][0]["name"], "prometheus");
    assert!(!listed.stdout.contains(token));

    let serve = Running::start(&place, "serve --listen 127.0.0.1:0 --role web --json");
    let url = serve.told("url");
    let address = url.strip_prefix("http://").unwrap();
    let ask = || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("zk_bridge_assessed_until_seconds"),
        "{answer}"
    );
    place.run("admin token remove prometheus").ended(0);
    assert!(ask().starts_with("HTTP/1.1 401"));
    let gone = place.run("admin token remove prometheus --json").ended(1);
    assert_eq!(gone.failure(), "unknown_token");
}

/// A command at a keyboard, which answers its question.
fn answered(place: &Place, line: &str, answer: &str) -> Ended {
    let program = env!("CARGO_BIN_EXE_zk-bridge");
    let mut script = Command::new("script");
    script
        .args(["-qec", &format!("{program} {line}"), "/dev/null"])
        .env("ZK_BRIDGE_DATA_DIR", place.data_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = script.spawn().expect("script (of bsdutils) starts");
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{answer}").unwrap();
    // Open until the command has ended, as a keyboard is.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Ended::from(output)
}

#[test]
fn force_asks_with_the_number_and_a_no_changes_nothing() {
    const FORCE: &str = "sync --force --start-date 2024-01-01 --end-date 2024-01-02";
    let place = Place::new();
    let state = place.text("crm.jsonl");
    let terminal = Running::start(&place, "mock-device --users 2 --records 8 --seed 3");
    let crm = Running::start(&place, &format!("mock-crm --state {state}"));
    std::fs::create_dir(place.data_dir()).unwrap();
    std::fs::write(
        place.data_dir().join("zk-bridge.toml"),
        format!("[crm]\nurl = {:?}\n", crm.told("url")),
    )
    .unwrap();
    place
        .run(&format!(
            "device add Gate --address {}",
            terminal.told("tcp")
        ))
        .ended(0);
    for line in ["poll", "process", "sync"] {
        place.run(line).ended(0);
    }
    let revisions = || {
        let dump = place.run(&format!("mock-crm --state {state} --dump"));
        let dump = dump.ended(0).document();
        let records = dump["records"].as_array().unwrap().iter();
        let revisions = records.map(|record| record["revision"].as_i64().unwrap());
        revisions.collect::<Vec<_>>()
    };
    let before = revisions();
    let would = place.run(&format!("{FORCE} --dry-run --json")).ended(0);
    let number = would.document()["total"].as_u64().unwrap();
    assert!(number > 1, "{would:?}");

    // Nobody is there to be asked.
    let ended = place.run(FORCE).ended(2);
    assert!(
        ended.stderr.contains(&format!("{number} records")) && ended.stderr.contains("--yes"),
        "{ended:?}"
    );
    for no in ["n", "", "yes please"] {
        let ended = answered(&place, FORCE, no).ended(0);
        let question = format!("{number} records that were sent before will be sent once more");
        assert!(ended.stdout.contains(&question), "{ended:?}");
        assert!(ended.stdout.contains("Nothing was sent."), "{ended:?}");
    }
    assert_eq!(revisions(), before);
    let ended = answered(&place, FORCE, "y").ended(0);
    assert!(
        ended.stdout.contains(&format!("{number} accepted")),
        "{ended:?}"
    );
    let after = revisions();
    assert_eq!(
        after.iter().sum::<i64>(),
        before.iter().sum::<i64>() + i64::try_from(number).unwrap()
    );
    place.run(&format!("{FORCE} --yes")).ended(0);
    assert_ne!(revisions(), after);
}
