//! The examples, run against a terminal in software.

use zk_proto::{
    CommKey,
    mock::{Fault, MockDevice},
};

#[path = "../../examples/blocking.rs"]
#[expect(dead_code, reason = "an example has a main of its own")]
mod blocking;
#[path = "../../examples/dump_attendance.rs"]
#[expect(dead_code, reason = "an example has a main of its own")]
mod dump_attendance;
#[path = "../../examples/live_events.rs"]
#[expect(dead_code, reason = "an example has a main of its own")]
mod live_events;

#[tokio::test(flavor = "multi_thread")]
async fn blocking_reads_the_log_without_a_runtime() {
    let device = MockDevice::builder()
        .comm_key(1234)
        .generate(1, 10, 5000)
        .start()
        .await
        .unwrap();
    let address = device.addr().to_string();
    let read =
        move || blocking::read(&address, CommKey::new(1234)).map_err(|error| error.to_string());
    let log = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    let held = device.snapshot().records;
    assert!(log.iter().map(|record| record.to_record()).eq(held));
}

#[tokio::test]
async fn live_events_tells_what_happens_and_what_was_missed() {
    let device = MockDevice::builder()
        .generate(2, 10, 500)
        .start()
        .await
        .unwrap();
    let (address, mut out) = (device.addr().to_string(), Vec::new());
    let records = device.snapshot().records;
    let punches = async {
        while !device
            .requests()
            .iter()
            .any(|request| request.code == zk_proto::Code::FREE_DATA)
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        device.punch(records[7]);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        device.drop_connections();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        device.punch(records[8]);
    };
    let follow = live_events::follow(&address, CommKey::new(0), &mut out, 4);
    let (result, ()) = tokio::join!(follow, punches);
    result.unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["now", "resumed", "missed", "missed"], "{text}");
}

#[tokio::test]
async fn dump_attendance_tells_all_it_could_read() {
    let device = MockDevice::builder()
        .comm_key(1234)
        .generate(1, 10, 500)
        .start()
        .await
        .unwrap();
    let address = device.addr().to_string();
    let dump = || dump_attendance::dump(&address, CommKey::new(1234));
    let (document, complete) = dump().await.unwrap();
    assert!(complete, "{document:#}");
    let count = |key: &str| document[key].as_array().map(Vec::len);
    assert_eq!((count("users"), count("attendance")), (Some(10), Some(500)));
    // What does not come whole is said to be a part.
    device.fault(Fault::truncate_log(45).times(1));
    let (document, complete) = dump().await.unwrap();
    assert!(!complete, "{document:#}");
    let count = document["attendance"].as_array().map(Vec::len);
    assert_eq!(count, Some(498));
}
