//! Software terminals by hand: profiles, widths, faults, recordings.

use serde_json::{Value, json};
use zk_proto::mock::{Fault, Profile};

use super::place::{Place, Running};

fn dump(place: &Place, terminal: &Running, code: i32) -> Value {
    let (transport, address) = match terminal.first.get("tcp") {
        Some(address) => ("tcp", address),
        None => ("udp", &terminal.first["udp"]),
    };
    let address = address.as_str().expect("an address");
    let line =
        format!("device dump --address {address} --transport {transport} --timeout 2 --json");
    place.run(&line).ended(code).document()
}

#[test]
fn every_width_is_served_and_told() {
    let place = Place::new();
    let held = place.text("held.json");
    for (attendance, user) in [(8, 72), (16, 28), (22, 120), (40, 16), (49, 72), (8, 16)] {
        let sizes = if attendance == 8 { 80 } else { 112 };
        let terminal = Running::start(
            &place,
            &format!(
                "mock-device --users 12 --records 300 --attendance-width {attendance} --user-width {user} \
                 --sizes-width {sizes} --data {held}"
            ),
        );
        let told = dump(&place, &terminal, 0);
        let held: Value = serde_json::from_slice(&std::fs::read(&held).unwrap()).unwrap();
        for part in ["users", "attendance", "counters"] {
            assert!(
                told[part] == held[part],
                "{attendance} and {user}: {part} differ"
            );
        }
        assert_eq!(told["attendance"].as_array().map(Vec::len), Some(300));
    }
    for line in [
        "--attendance-width 10",
        "--user-width 40",
        "--sizes-width 81",
    ] {
        let ended = place.run(&format!("mock-device {line}")).ended(2);
        assert!(ended.stderr.contains("bytes"), "{}", ended.stderr);
    }
}

#[test]
fn every_profile_answers_as_such_terminals_do() {
    let place = Place::new();
    for profile in Profile::ALL {
        let terminal = Running::start(
            &place,
            &format!("mock-device --profile {profile} --users 9 --records 200"),
        );
        let is_old = matches!(profile, Profile::Bw | Profile::BwCompact);
        assert_eq!(
            terminal.first.get("tcp").is_none(),
            is_old,
            "{}",
            terminal.first
        );
        match profile {
            Profile::Secured => {
                assert_eq!(
                    dump(&place, &terminal, 1)["error"]["kind"],
                    "secured_firmware"
                );
            }
            Profile::Panel => {
                assert_eq!(dump(&place, &terminal, 1)["error"]["kind"], "access_panel");
            }
            _ => {
                let told = dump(&place, &terminal, 0);
                let counts =
                    ["users", "attendance"].map(|part| told[part].as_array().map(Vec::len));
                assert_eq!(counts, [Some(9), Some(200)], "{profile}");
            }
        }
    }
    let ended = place.run("mock-device --profile zx81").ended(2);
    assert!(ended.stderr.contains("bw-compact, tft"), "{}", ended.stderr);
}

#[test]
fn faults_can_be_given_by_options_and_by_lines() {
    let place = Place::new();
    let fault = "--fault drop_after,bytes=60000,times=1,on=READ_BUFFER --fault wrong_counters,count=3000,times=1";
    let mut terminal = Running::start(
        &place,
        &format!("mock-device --users 4 --records 3000 {fault}"),
    );
    let read = dump(&place, &terminal, 3)["attendance"]
        .as_array()
        .map(Vec::len);
    assert!(
        (1_000..3_000).contains(&read.expect("what was read")),
        "{read:?}"
    );
    assert_eq!(
        dump(&place, &terminal, 0)["attendance"]
            .as_array()
            .map(Vec::len),
        Some(3_000)
    );
    for line in [
        json!({"fault": "corrupt,times=1,on=CMD_GET_VERSION"}),
        json!({"fault": {"kind": "full_ring"}}),
        json!({"door": "open"}),
        json!({"clock": {"drift": 86_400}}),
    ] {
        assert!(terminal.say(&line)["ok"].is_string(), "{line}");
    }
    let grown = terminal.say(&json!({"punch": {"user_id": "1001"}}));
    assert_eq!(grown["records"], 3_000, "the oldest went");
    let wrong = terminal.say(&json!({"fault": {"kind": "split", "byte": 1}}));
    let message = wrong["error"]["message"].as_str().expect("words");
    assert!(message.contains("on, times, after"), "{message}");
    for (fault, word) in [
        ("dance", "drop_after"),
        ("split,byte=1", "on, times, after"),
        ("delay", "ms"),
    ] {
        let ended = place.run(&format!("mock-device --fault {fault}")).ended(2);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[test]
fn the_help_says_every_fault_and_every_profile() {
    let help = Place::new().run("mock-device --help").ended(0).stdout;
    for kind in Fault::KINDS {
        assert!(help.contains(kind.name), "{}", kind.name);
        assert!(
            kind.needs
                .iter()
                .all(|key| help.contains(&format!("{key}=…"))),
            "{}",
            kind.name
        );
    }
    for profile in Profile::ALL {
        assert!(help.contains(profile.name()), "{profile}");
    }
}

#[test]
fn a_drifting_clock_and_a_ring_log_are_told() {
    let place = Place::new();
    let options = "--clock-ahead -86400 --clock-drift 5 --door open --ring-log --records-max 50 --users-max 7";
    let mut terminal = Running::start(
        &place,
        &format!("mock-device --users 5 --records 50 {options}"),
    );
    terminal.say(&json!({"punch": {"user_id": "1001", "time": "2026-01-01T10:00:00"}}));
    let told = dump(&place, &terminal, 0);
    let [users, records] = ["users_max", "records_max"].map(|name| told["counters"][name].as_u64());
    assert_eq!((users, records), (Some(7), Some(50)));
    assert_eq!(told["attendance"][49]["time"], "2026-01-01T10:00:00");
    let day = |text: &str| text[..10].parse::<jiff::civil::Date>().expect("a date");
    let told = day(told["device"]["time"].as_str().expect("a time"));
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    // Midnight may have passed between the two.
    assert!(
        [1, 2].contains(&(today - told).get_days()),
        "{told} {today}"
    );
}

#[test]
fn a_recording_is_a_terminal_without_its_people() {
    let place = Place::new();
    let (held, file) = (place.text("held.json"), place.text("gate.jsonl"));
    let terminal = Running::start(
        &place,
        &format!(
            "mock-device --users 30 --records 900 --comm-key 77 --serial CGT2195160031 --data {held}"
        ),
    );
    let record = |more: &str| {
        let address = terminal.told("tcp");
        format!("device record --address {address} --comm-key 77 --output {file} --json {more}")
    };
    let report = place.run(&record("--transport tcp")).ended(0).document();
    let [users, records] = ["users", "records"].map(|name| report[name].as_u64());
    assert_eq!((users, records), (Some(30), Some(900)));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text.lines().count() as u64,
        1 + report["packets"].as_u64().expect("packets")
    );
    let held: Value = serde_json::from_slice(&std::fs::read(&held).unwrap()).unwrap();
    let hex = |text: &str| bridge_bin::secret::hex(text.as_bytes());
    for user in held["users"].as_array().expect("users") {
        for field in ["name", "user_id"] {
            let secret = user[field].as_str().expect("text");
            assert!(!text.contains(&hex(secret)), "{secret}");
        }
    }
    assert!(!text.contains(&hex("CGT2195160031")));

    let mut replayed = Running::start(&place, &format!("mock-device --replay {file}"));
    assert_eq!(replayed.first["udp"], Value::Null);
    assert_eq!(replayed.told("serial_number"), "AAA0000000000");
    let address = replayed.told("tcp");
    let line = format!("device dump --address {address} --comm-key 5 --transport tcp --json");
    let first = place.run(&line).ended(0).document();
    assert_eq!(place.run(&line).ended(0).document(), first);
    let times = |document: &Value| -> Vec<Value> {
        let records = document["attendance"].as_array().expect("records");
        records
            .iter()
            .map(|record| record["time"].clone())
            .collect()
    };
    assert_eq!(times(&first), times(&held));
    assert_eq!(first["users"].as_array().map(Vec::len), Some(30));
    let refused = replayed.say(&json!({"clear_log": true}));
    assert_eq!(refused["error"]["kind"], "command");
    // Over UDP, to a file that exists already.
    let report = place.run(&record("--transport udp")).ended(0).document();
    assert_eq!(report["records"], 900);
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("{\"zk_recording\":1,\"transport\":\"udp\"")
    );
}

#[test]
fn what_went_wrong_is_recorded_and_goes_wrong_again() {
    let place = Place::new();
    let file = place.text("bad.jsonl");
    for (fault, code, kind) in [
        ("truncate_log,bytes=13", 3, None),
        ("garbage", 1, Some("not_a_frame")),
    ] {
        let terminal = Running::start(
            &place,
            &format!("mock-device --users 6 --records 300 --fault {fault}"),
        );
        let address = terminal.told("tcp");
        let line =
            format!("device record --address {address} --transport tcp --output {file} --json");
        let recorded = place.run(&line).ended(code);
        if let Some(kind) = kind {
            assert_eq!(recorded.failure(), kind);
            assert!(
                recorded.stderr.contains("packets until then"),
                "{}",
                recorded.stderr
            );
        }
        let replayed = Running::start(&place, &format!("mock-device --replay {file}"));
        let again = dump(&place, &replayed, code);
        assert_eq!(again["error"]["kind"].as_str(), kind);
        if kind.is_none() {
            assert_eq!(again["attendance"].as_array().map(Vec::len), Some(299));
        }
    }
    // Nobody answers: nothing is left behind.
    let nothing = place.text("nothing.jsonl");
    let line =
        format!("device record --address 127.0.0.1:1 --transport tcp --output {nothing} --json");
    assert_eq!(place.run(&line).ended(1).failure(), "connection_refused");
    let left: Vec<_> = std::fs::read_dir(place.path("."))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(left, ["bad.jsonl"]);
    let line = "device record --address 127.0.0.1:1 --output /nowhere/x --json";
    assert_eq!(place.run(line).ended(1).failure(), "output");
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let place = Place::new();
    let file = place.text("no.jsonl");
    let replay = format!("mock-device --replay {file} --json");
    assert_eq!(place.run(&replay).ended(1).failure(), "recording");
    std::fs::write(
        &file,
        "{\"zk_recording\":1,\"transport\":\"tcp\"}\n{\"packet\":\"e8\"}\n",
    )
    .unwrap();
    let ended = place.run(&replay).ended(1);
    assert!(ended.stdout.contains("line 2: packet"), "{}", ended.stdout);
    place.run(&format!("{replay} --users 3")).ended(2);
}
