//! Terminals by hand: the registry, ad hoc commands, captured packets.

use std::path::Path;

use serde_json::{Value, json};

use super::place::{Ended, Place, Running};

#[test]
fn a_device_comes_back_as_it_was_added() {
    const ADD: &str = "device add Gate --address gate.example --secondary-address 10.0.0.2:4371 \
        --timezone Asia/Kathmandu --transport udp --encoding cp1256 --group East --office Hall-3 --json";
    let place = Place::new();
    place.run(ADD).ended(0).document();
    place.run("device add Back --address ::1").ended(0);
    assert_eq!(place.run(ADD).ended(1).failure(), "device_exists");
    let listed = place.run("device list --json").ended(0).document();
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (
            &listed["devices"][0]["name"],
            &listed["devices"][0]["address"]
        ),
        (&json!("Back"), &json!("[::1]:4370"))
    );
    let expected = json!({
        "name": "Gate", "address": "gate.example:4370", "secondary_address": "10.0.0.2:4371",
        "timezone": "Asia/Kathmandu", "has_comm_key": false, "transport": "udp", "encoding": "windows-1256",
        "group": "East", "office": "Hall-3", "enabled": true, "serial_number": null, "firmware": null,
        "platform": null, "mac": null, "last_sync": null, "last_attempt": null, "last_error": null,
        "clock_drift_s": null, "failures": 0, "next_try": null,
    });
    assert_eq!(listed["devices"][1], expected);
    place.run("device disable Gate").ended(0);
    assert_eq!(
        place.run("device show Gate --json").ended(0).document()["enabled"],
        false
    );
    let table = place.run("device list").ended(0).stdout;
    assert!(
        table.contains("gate.example:4370") && table.contains("Hall-3"),
        "{table}"
    );
}

#[test]
fn a_comm_key_is_never_shown_or_stored_in_clear() {
    const KEY: &str = "918273645";
    let place = Place::new();
    let with_env = |line: &str| {
        let mut command = place.command(line);
        command.env("ZK_BRIDGE_COMM_KEY", KEY);
        Ended::of(command)
    };
    let mut traced = place.command("device test --device Gate --timeout 1");
    traced.env("RUST_LOG", "trace,sqlx=info");
    let ends = [
        place
            .run(&format!(
                "device add Gate --address 127.0.0.1:1 --comm-key {KEY}"
            ))
            .ended(0),
        place
            .feed("device edit Gate --comm-key - --json", &format!("{KEY}\n"))
            .ended(0),
        place
            .run(&format!(
                "device add Other --address gate --comm-key {KEY}x"
            ))
            .ended(2),
        place
            .run(&format!(
                "device add Other --address gate --comm-key {KEY}x --json"
            ))
            .ended(2),
        with_env("device add Env --address gate").ended(0),
        with_env("device add --help").ended(0),
        place.run("device list").ended(0),
        place.run("device list --json").ended(0),
        place.run("device show Gate").ended(0),
        Ended::of(traced).ended(1),
    ];
    for ended in ends {
        assert!(
            !ended.stdout.contains(KEY) && !ended.stderr.contains(KEY),
            "{ended:#?}"
        );
    }
    assert_eq!(
        place.run("device show Env --json").ended(0).document()["has_comm_key"],
        true
    );
    for file in std::fs::read_dir(place.data_dir()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()));
    }
}

#[test]
fn a_poll_without_devices_is_a_hint_and_no_failure() {
    let place = Place::new();
    place.run("init").ended(0);
    let ended = place.run("poll").ended(0);
    assert!(ended.stderr.contains("zk-bridge device add"), "{ended:?}");
    let report = place.run("poll --json").ended(0).document();
    assert_eq!(
        report,
        json!({"total_devices": 0, "successful": 0, "partial": 0, "failed": 0, "devices": []})
    );
}

#[test]
fn a_dump_is_what_the_terminal_holds_and_needs_no_database() {
    let place = Place::new();
    let held = place.text("held.json");
    let mut terminal = Running::start(
        &place,
        &format!("mock-device --users 30 --records 2000 --seed 5 --comm-key 77 --data {held}"),
    );
    assert_eq!(terminal.told("serial_number"), "MOCK000000005");
    let punch = json!({"user_id": "1001", "time": "2024-02-30T10:00:00", "work_code": 9});
    assert_eq!(
        terminal.say(&json!({"punch": punch})),
        json!({"ok": "punch", "records": 2001})
    );
    let expected: Value = serde_json::from_slice(&std::fs::read(&held).unwrap()).unwrap();
    let impossible = json!({
        "user_id": "1001", "uid": 1, "time": "2024-02-30T10:00:00", "time_valid": false, "verify_mode": 1,
        "punch_state": 0, "work_code": 9,
    });
    assert_eq!(expected["attendance"][2000], impossible);
    for transport in ["tcp", "udp"] {
        let address = terminal.told(transport);
        let dump =
            format!("device dump --address {address} --transport {transport} --comm-key 77 --json");
        let dump = place.run(&dump).ended(0).document();
        for part in ["counters", "users", "attendance"] {
            assert!(dump[part] == expected[part], "{transport}: {part} differ");
        }
        for field in ["serial_number", "firmware", "platform", "name", "mac"] {
            assert_eq!(
                dump["device"][field], expected["device"][field],
                "{transport}: {field}"
            );
        }
        assert!(dump["device"]["time"].is_string());
        assert_eq!(
            dump["warnings"].as_array().map(Vec::len),
            Some(1),
            "{}",
            dump["warnings"]
        );
    }
    let wrong = format!(
        "device dump --address {} --comm-key 78 --json",
        terminal.told("tcp")
    );
    assert_eq!(place.run(&wrong).ended(1).failure(), "wrong_comm_key");
    assert!(!place.data_dir().exists());
}

#[test]
fn an_incomplete_dump_ends_with_3_and_what_was_read() {
    let place = Place::new();
    let mut terminal = Running::start(&place, "mock-device --users 4 --records 3000");
    let dump = format!("device dump --address {} --json", terminal.told("tcp"));
    let length = |part: &Value| part.as_array().map(Vec::len);

    terminal.say(&json!({"fault": {"kind": "drop_after", "bytes": 60_000, "times": 1}}));
    let document = place.run(&dump).ended(3).document();
    let read = length(&document["attendance"]).expect("what was read");
    assert!((1_000..3_000).contains(&read), "{read}");
    assert_eq!(length(&document["users"]), Some(4));
    assert!(length(&document["warnings"]) > Some(0));

    // CMD_PREPARE_BUFFER and the direct reads refused: neither users nor log can be had.
    for command in [1503, 13, 9] {
        terminal.say(&json!({"fault": {"kind": "reject", "command": command, "answer": 2001}}));
    }
    let document = place.run(&dump).ended(3).document();
    assert!(
        document["users"].is_null() && document["attendance"].is_null(),
        "{document}"
    );
    assert_eq!(
        (
            &document["counters"]["records"],
            length(&document["warnings"])
        ),
        (&json!(3000), Some(2))
    );

    // CMD_GET_VERSION refused: a small thing to miss.
    terminal.say(&json!({"clear_faults": true}));
    terminal.say(&json!({"fault": {"kind": "reject", "command": 1100, "answer": 65535}}));
    let document = place.run(&dump).ended(0).document();
    assert!(document["device"]["firmware"].is_null());
    assert_eq!(
        (
            length(&document["attendance"]),
            length(&document["warnings"])
        ),
        (Some(3000), Some(1))
    );
}

#[test]
fn an_ad_hoc_command_warns_of_a_stored_device() {
    let place = Place::new();
    let terminal = Running::start(&place, "mock-device --users 3");
    let address = terminal.told("tcp");
    let test = format!("device test --address {address} --json");
    assert_eq!(place.run(&test).ended(0).stderr, "");
    place
        .run(&format!("device add Gate --address {address}"))
        .ended(0);
    let warned = place.run(&test).ended(0);
    assert!(warned.stderr.contains("--device \"Gate\""), "{warned:?}");
    assert_eq!(warned.document()["users"], 3);
    let stored = place.run("device test --device Gate --json").ended(0);
    assert_eq!(
        (stored.stderr.as_str(), &stored.document()["name"]),
        ("", &json!("Gate"))
    );
}

#[test]
fn known_packets_are_decoded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zk-proto/tests/data/vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let place = Place::new();
    for (transport, layer) in [("tcp", "frame"), ("udp", "packet")] {
        let chosen = vectors
            .iter()
            .filter(|vector| vector["transport"] == transport && vector["layer"] == layer);
        let chosen: Vec<&Value> = chosen.collect();
        assert!(chosen.len() > 10);
        let input: Vec<&str> = chosen
            .iter()
            .filter_map(|vector| vector["hex"].as_str())
            .collect();
        let lines = place
            .feed(
                &format!("decode - --transport {transport}"),
                &input.join("\n"),
            )
            .ended(0)
            .lines();
        assert_eq!(lines.len(), chosen.len());
        for (line, vector) in lines.iter().zip(chosen) {
            for field in [
                "command",
                "checksum_valid",
                "session_id",
                "reply_id",
                "payload_hex",
            ] {
                if let Some(expected) = vector["decoded"].get(field) {
                    assert_eq!(&line[field], expected, "{}: {field}", vector["id"]);
                }
            }
        }
    }
}

#[test]
fn what_is_no_packet_gives_an_error_line() {
    const CONNECT: &str = "5050827d08000000e80317fc00000000";
    let place = Place::new();
    let connect = json!({
        "command": 1000, "command_name": "CMD_CONNECT", "checksum_valid": true, "session_id": 0, "reply_id": 0,
        "payload_hex": "",
    });
    assert_eq!(
        place.run(&format!("decode {CONNECT}")).ended(0).document(),
        connect
    );
    let lines = place
        .run(&format!("decode ffffffff{CONNECT}"))
        .ended(3)
        .lines();
    assert_eq!(
        (lines.len(), &lines[0]["error"]["kind"], &lines[1]),
        (2, &json!("not_a_frame"), &connect)
    );
    let lines = place.run("decode 474554202f").ended(1).lines();
    assert!(lines[0]["error"]["remedy"].is_string());
    assert_eq!(
        place.run("decode xyz --json").ended(1).failure(),
        "not_hexadecimal"
    );
    assert_eq!(
        place.run("decode gate.pcap --json").ended(1).failure(),
        "no_such_file"
    );
}

#[test]
fn from_terminal_to_crm_by_hand() {
    let place = Place::new();
    let state = place.text("crm.jsonl");
    let terminal = Running::start(&place, "mock-device --users 5 --records 200 --seed 3");
    let crm = Running::start(&place, &format!("mock-crm --state {state} --fail 500:1"));
    let bridge = |line: &str| {
        let mut command = place.command(&format!("{line} --json"));
        command
            .env("ZK_BRIDGE_CRM_URL", crm.told("url"))
            .env("ZK_BRIDGE_NOW", "2024-01-08T12:00:00Z");
        Ended::of(command)
    };
    bridge(&format!(
        "device add Gate --address {}",
        terminal.told("tcp")
    ))
    .ended(0);
    bridge("device add Gone --address 127.0.0.1:1 --transport tcp").ended(0);
    let polled = bridge("poll").ended(3).document();
    assert_eq!(
        (&polled["successful"], &polled["failed"]),
        (&json!(1), &json!(1))
    );
    let [gate, gone] = [0, 1].map(|index| &polled["devices"][index]);
    assert_eq!(
        (&gate["new_records"], &gone["mode"]),
        (&json!(200), &Value::Null)
    );
    bridge("poll --device Gone").ended(1);

    let processed = bridge("process").ended(0).document();
    assert!(processed["queued"].as_u64() > Some(0), "{processed}");
    let report = bridge("report daily --date 2024-01-01").ended(0).document();
    let first = &report["records"][0];
    assert_eq!(
        (&report["date"], &first["employee"]),
        (&json!("2024-01-01"), &json!("1001"))
    );
    assert!(
        first["employee_name"].is_string() && first["worked_s"].is_u64(),
        "{first}"
    );
    let why = bridge("why 1001 2024-01-01").ended(0).document();
    assert!(
        why["punches"]
            .as_array()
            .is_some_and(|punches| !punches.is_empty()),
        "{why}"
    );
    assert_eq!(
        bridge("why nobody 2024-01-01").ended(1).failure(),
        "unknown_employee"
    );

    assert_eq!(bridge("crm test").ended(0).document()["reachable"], true);
    let delivered = bridge("sync").ended(3).document();
    assert_eq!(
        (&delivered["failed"], &delivered["total"]),
        (&json!(1), &processed["queued"])
    );
    assert_eq!(bridge("sync").ended(0).document()["total"], 1);
    let numbers = bridge("crm stats").ended(0).document();
    assert_eq!(
        (&numbers["synced"], &numbers["unsynced"]),
        (&processed["queued"], &json!(0))
    );
    let held = place
        .run(&format!("mock-crm --state {state} --dump"))
        .ended(0)
        .document();
    assert_eq!(
        held["records"]
            .as_array()
            .map(|records| json!(records.len())),
        Some(numbers["total"].clone())
    );
}
