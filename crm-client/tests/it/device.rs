//! The two device formats (S149–S151).

use std::time::{Duration, UNIX_EPOCH};

use crm_client::{Connector, Crm, Outcome, PunchEntry, Target, TargetOptions};
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request};

use crate::wire::{deleted_punch, punch, punch_at, punch_of_kind, status};

fn target(url: &str, connector: Connector) -> Target {
    let mut options = TargetOptions::new(url, connector);
    options.clock = || UNIX_EPOCH + Duration::from_secs(1_772_427_670);
    Target::new(options).unwrap()
}

async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(status(202))
        .mount(&server)
        .await;
    server
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect()
}

#[tokio::test]
async fn s150_an_export_is_one_envelope_per_terminal() {
    let server = server().await;
    let entries = [
        punch("17", 1),
        punch_of_kind("18", "break_out"),
        punch_at("19", "192.0.2.2"),
    ];
    let outcomes = target(&server.uri(), Connector::DeviceExport)
        .push(&entries)
        .await
        .unwrap();
    assert!(outcomes.iter().all(Outcome::is_delivered));
    let record = |user: &str, punch_type: &str| {
        json!({
            "employee_id": user, "employee_name": "Zoë 李伟", "timestamp": "2026-03-02 08:01:10",
            "date": "2026-03-02", "time": "08:01:10", "punch_type": punch_type,
        })
    };
    let device = |ip: &str| json!({"ip": ip, "port": 4370, "export_time": "2026-03-02T05:01:10Z"});
    assert_eq!(
        bodies(&server).await,
        [
            json!({"device_info": device("192.0.2.1"), "records": [record("17", "Check In"), record("18", "Break Out")]}),
            json!({"device_info": device("192.0.2.2"), "records": [record("19", "Check In")]}),
        ]
    );
}

#[tokio::test]
async fn s151_device_data_has_codes_and_a_real_terminal() {
    let server = server().await;
    let entries = [punch("A-17", 1), punch_of_kind("18", "ot_out")];
    target(&server.uri(), Connector::DeviceData)
        .push(&entries)
        .await
        .unwrap();
    let record = |user: &str, punch_type: &str| {
        json!({
            "emp_no": user, "device_id": "SN1", "punch_type": punch_type, "punch_date": "2026-03-02",
            "punch_time": "08:01:10",
        })
    };
    assert_eq!(
        bodies(&server).await,
        [json!({"data": [record("A-17", "1"), record("18", "6")]})]
    );
}

#[test]
fn s147_a_punch_of_no_known_kind_is_told_by_its_state() {
    let told = |kind: &str, punch_state: Option<u8>| {
        let punch = PunchEntry {
            user_id: "17".into(),
            time: "2026-03-02 08:01:10".into(),
            kind: kind.into(),
            punch_state,
            ..PunchEntry::default()
        };
        let target = target("https://hr.example.com/", Connector::DeviceData);
        let request = target.preview(&[punch.freeze("t", 1)]).remove(0).unwrap();
        serde_json::from_str::<Value>(&request.body).unwrap()["data"][0]["punch_type"].clone()
    };
    for code in 0..6_u8 {
        assert_eq!(told("unknown", Some(code)), (code + 1).to_string());
    }
    assert_eq!(told("unknown", Some(255)), "Unknown");
    assert_eq!(told("unknown", None), "Unknown");
    assert_eq!(
        told("out", Some(0)),
        "2",
        "a correction of the kind travels"
    );
}

/// One cannot take a punch back in these formats; a human is told, and the neighbours go.
#[tokio::test]
async fn a_deletion_is_refused_and_holds_nobody_up() {
    for connector in [Connector::DeviceExport, Connector::DeviceData] {
        let server = server().await;
        let entries = [punch("1", 1), deleted_punch("2"), punch("3", 1)];
        let outcomes = target(&server.uri(), connector)
            .push(&entries)
            .await
            .unwrap();
        assert!(outcomes[0].is_delivered() && outcomes[2].is_delivered());
        assert!(
            matches!(&outcomes[1], Outcome::Rejected { reason } if reason.contains("take a punch back"))
        );
    }
}

/// S152: the batch fails, each record alone; partial success is reported as such.
#[tokio::test]
async fn s152_a_refused_batch_goes_one_by_one() {
    let server = MockServer::start().await;
    let picky = |request: &Request| {
        let body: Value = request.body_json().unwrap();
        let records = body["records"].as_array().unwrap();
        let bad = records.iter().any(|record| record["employee_id"] == "2");
        status(if bad { 400 } else { 201 })
    };
    Mock::given(method("POST"))
        .respond_with(picky)
        .mount(&server)
        .await;
    let entries: Vec<_> = (0..5).map(|user| punch(&user.to_string(), 1)).collect();
    let outcomes = target(&server.uri(), Connector::DeviceExport)
        .push(&entries)
        .await
        .unwrap();
    let delivered: Vec<_> = outcomes.iter().map(Outcome::is_delivered).collect();
    assert_eq!(delivered, [true, true, false, true, true]);
}

/// Where the target says which ones failed, the others are not sent again.
#[tokio::test]
async fn s152_a_partial_success_that_names_its_failures_is_taken_at_its_word() {
    let failed = |item: Value| json!({"result": "partial_success", "records_sent": 2, "failed": 1, "failed_records": [item]});
    for (item, reason) in [
        (
            json!({"employee_id": "1", "timestamp": "2026-03-02 08:01:10", "error": "no such employee"}),
            "no such employee",
        ),
        (
            json!({"emp_no": 1, "punch_date": "2026-03-02", "punch_time": "08:01:10"}),
            "refused without a reason",
        ),
        (
            json!({"employee_id": "1", "date": "2026-03-02", "time": "08:01:10", "timestamp": "2026-03-02 08:01:10", "punch_type": "Check In"}),
            "refused without a reason",
        ),
    ] {
        let server = MockServer::start().await;
        let answer = status(200).set_body_json(failed(item));
        Mock::given(method("POST"))
            .respond_with(answer)
            .expect(1)
            .mount(&server)
            .await;
        let entries: Vec<_> = (0..3).map(|user| punch(&user.to_string(), 1)).collect();
        let outcomes = target(&server.uri(), Connector::DeviceExport)
            .push(&entries)
            .await
            .unwrap();
        let taken = Outcome::Accepted { remote_id: None };
        let refused = Outcome::Rejected {
            reason: reason.into(),
        };
        assert_eq!(outcomes, [taken.clone(), refused, taken]);
    }
}

/// A lone punch is the usual case of a live terminal.
#[tokio::test]
async fn s152_a_lone_record_is_refused_in_a_success_too() {
    for connector in [Connector::DeviceExport, Connector::DeviceData] {
        let server = MockServer::start().await;
        let failed = json!({"employee_id": "1", "error": "no such employee"});
        let answer = json!({"failed": 1, "failed_records": [failed]});
        Mock::given(method("POST"))
            .respond_with(status(200).set_body_json(answer))
            .expect(1)
            .mount(&server)
            .await;
        let outcomes = target(&server.uri(), connector)
            .push(&[punch("1", 1)])
            .await
            .unwrap();
        let reason = "no such employee".to_owned();
        assert_eq!(outcomes, [Outcome::Rejected { reason }]);
    }
}

/// Nobody, or more than one, could be meant: then it is found out by halves.
#[tokio::test]
async fn s152_failures_that_could_be_anybodys_are_found_by_splitting() {
    for item in [
        json!({"employee_id": "9"}),
        json!({"timestamp": "2026-03-02 08:01:10"}),
        json!({"error": "no such employee"}),
        json!("1"),
    ] {
        let server = MockServer::start().await;
        let answer = move |request: &Request| {
            let body: Value = request.body_json().unwrap();
            match body["records"].as_array().unwrap().len() {
                1 => status(201),
                _ => status(200).set_body_json(json!({"failed_records": [item]})),
            }
        };
        Mock::given(method("POST"))
            .respond_with(answer)
            .expect(3)
            .mount(&server)
            .await;
        let entries = [punch("1", 1), punch("2", 1)];
        let outcomes = target(&server.uri(), Connector::DeviceExport)
            .push(&entries)
            .await
            .unwrap();
        assert!(outcomes.iter().all(Outcome::is_delivered));
    }
}

#[tokio::test]
async fn what_is_no_punch_is_refused_unsent() {
    let server = server().await;
    let outcomes = target(&server.uri(), Connector::DeviceData)
        .push(&[crate::wire::entry("17")])
        .await
        .unwrap();
    let reason = r#"the entry has no "time""#.to_owned();
    assert_eq!(outcomes, [Outcome::Rejected { reason }]);
    assert_eq!(bodies(&server).await, Vec::<Value>::new());
}
