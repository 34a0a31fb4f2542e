//! Commands that look: what they find out by themselves, and how they tell it to people and to programs.

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
