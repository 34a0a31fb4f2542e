//! Commands that look: what they find out by themselves, and how they tell it to people and to programs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::place::{Place, Running};

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
