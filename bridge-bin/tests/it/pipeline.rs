//! From punch to CRM: corrections travel, nothing is sent twice, nobody waits for anybody.

use std::time::Duration;

use bridge_bin::demo::crm_stub::{CrmStub, Failure, Fault, Record};
use bridge_bin::jobs::{poll, process, sync};
use bridge_bin::store::FILE;
use bridge_bin::store::outbox::Selection;
use zk_proto::mock::MockDevice;

use crate::support::{Bridge, NAIROBI, date, punch, start, terminal};

const TUESDAY_NOON: &str = "2026-03-03T09:00:00Z";
const WEDNESDAY: &str = "2026-03-04T09:00:00Z";
const FRIDAY_NOON: &str = "2026-03-06T09:00:00Z";

async fn crm() -> CrmStub {
    CrmStub::builder().start().await.expect("a CRM stub")
}

/// A bridge that delivers to `crm`.
async fn delivering_to(crm: &CrmStub, more: &str, now: &str) -> Bridge {
    Bridge::new(
        &format!(
            "{NAIROBI}[crm]\nurl = \"{}\"\nretry_seconds = 1\n{more}",
            crm.url()
        ),
        now,
    )
    .await
}

fn held(crm: &CrmStub, employee: &str, day: &str) -> Record {
    let prefix = format!("{employee}/{day}/");
    let mut found: Vec<Record> = crm
        .snapshot()
        .records
        .into_iter()
        .filter(|record| record.record_id.starts_with(&prefix))
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn fail(fault: Fault, times: u16) -> Failure {
    Failure { fault, times }
}

#[tokio::test]
async fn b1_the_check_out_after_a_delivered_check_in_is_delivered_too() {
    let crm = crm().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let mut bridge = delivering_to(&crm, "send_in_progress = true\n", TUESDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.successful, 1);
    let morning = held(&crm, "7", "2026-03-03");
    assert_eq!(
        (morning.revision, morning.content["clock_out"].is_null()),
        (1, true)
    );

    gate.punch(punch("7", "2026-03-03 17:00"));
    bridge.at(WEDNESDAY).await;
    bridge.turn().await;
    bridge.sync().await;
    let evening = held(&crm, "7", "2026-03-03");
    assert_eq!(evening.revisions_applied, [1, 2], "the CRM has seen both");
    assert_eq!(evening.content["clock_out"], "2026-03-03T17:00:00+03:00");
    assert_eq!(evening.content["status"], "present");
}

#[tokio::test]
async fn a_punch_that_arrives_after_its_day_was_delivered_makes_a_second_revision() {
    let crm = crm().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(
        held(&crm, "7", "2026-03-03").content["status"],
        "incomplete"
    );

    gate.punch(punch("7", "2026-03-03 17:00"));
    bridge.turn().await;
    bridge.sync().await;
    let record = held(&crm, "7", "2026-03-03");
    assert_eq!(
        (record.revision, record.content["status"].as_str()),
        (2, Some("present"))
    );
    assert_eq!(record.content["worked_s"], 9 * 3600);
}

#[tokio::test]
async fn a_withdrawn_record_is_told_as_deleted() {
    let crm = crm().await;
    // A Sunday: an extra shift that exists only through its punches.
    let gate = terminal([
        punch("7", "2026-03-01 10:00"),
        punch("7", "2026-03-01 12:00"),
    ])
    .await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let record = held(&crm, "7", "2026-03-01");
    assert_eq!(
        (record.deleted, record.content["status"].as_str()),
        (false, Some("off_worked"))
    );

    let device = bridge.app.store.device("gate").await.unwrap();
    bridge
        .app
        .store
        .map_user(
            &device,
            "7",
            "E-7",
            Some("another person's id".into()),
            &(date("2010-01-01")..=date("2026-03-07")),
            0,
        )
        .await
        .unwrap();
    bridge.process().await;
    bridge.sync().await;
    let withdrawn = held(&crm, "7", "2026-03-01");
    assert_eq!((withdrawn.deleted, withdrawn.revision), (true, 2));
    assert_eq!(
        held(&crm, "E-7", "2026-03-01").content["status"],
        "off_worked"
    );
}

#[tokio::test]
async fn b24_a_hundred_refused_records_do_not_stop_the_newer_ones() {
    let crm = crm().await;
    crm.fail(fail(
        Fault::Status(axum::http::StatusCode::UNPROCESSABLE_ENTITY),
        100,
    ));
    let punches = (1..=120).flat_map(|id| {
        let id = format!("{id:03}");
        [
            punch(&id, "2026-03-03 08:00"),
            punch(&id, "2026-03-03 17:00"),
        ]
    });
    let gate = terminal(punches).await;
    // Only that one day, so that there are 120 records to send.
    let bridge = delivering_to(
        &crm,
        "start_date = \"2026-03-03\"\n",
        "2026-03-03T20:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let first = bridge.sync().await;
    assert_eq!(
        (first.total, first.successful, first.failed),
        (120, 20, 100)
    );
    let again = bridge.sync().await;
    assert_eq!(
        again.total, 0,
        "refused ones are dead letters, nothing is tried in a circle"
    );
    let stats = sync::stats(&bridge.app).await.unwrap();
    assert_eq!((stats.total, stats.synced, stats.failed), (120, 20, 100));

    // And a human can have them tried again.
    let options = sync::Options {
        selection: Selection {
            failed_only: true,
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(
        sync::run(&bridge.app, &options).await.unwrap().successful,
        100
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_leads_to_the_same_key_not_to_a_second_record() {
    let crm = crm().await;
    crm.fail(fail(Fault::Drop, 1));
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(
        &crm,
        "start_date = \"2026-03-03\"\n",
        "2026-03-03T20:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.failed, 1);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(bridge.sync().await.successful, 1);
    let record = held(&crm, "7", "2026-03-03");
    assert_eq!(
        (record.times_received, record.revisions_applied),
        (2, vec![1])
    );
}

#[tokio::test]
async fn a_crm_that_answers_with_a_web_page_pauses_the_target_and_loses_nothing() {
    let crm = crm().await;
    crm.fail(fail(Fault::Html, 1));
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(
        &crm,
        "start_date = \"2026-03-03\"\n",
        "2026-03-03T20:00:00Z",
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let error = sync::run(&bridge.app, &sync::Options::default())
        .await
        .unwrap_err();
    let failure = bridge_bin::Failure::of(&error);
    assert_eq!(failure.kind, "crm_web_page", "{failure:?}");
    assert!(!failure.remedy.is_empty());
    assert!(bridge.is_paused(sync::TARGET).await);
    let due = bridge
        .app
        .store
        .due(sync::TARGET, &Selection::default(), i64::MAX, 0, 10)
        .await
        .unwrap();
    assert_eq!(
        (due.len(), due[0].attempts),
        (1, 0),
        "no attempt is counted"
    );
    assert_eq!(bridge.sync().await.successful, 1);
    assert!(!bridge.is_paused(sync::TARGET).await);
}

#[tokio::test]
async fn a_record_that_did_not_change_is_not_sent_again() {
    let crm = crm().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let before = crm.snapshot().requests;
    poll::run(
        &bridge.app,
        &poll::Options {
            full: true,
            ..Default::default()
        },
    )
    .await
    .unwrap();
    let everything = process::Options {
        from: Some(date("2026-02-01")),
        to: None,
        dry_run: false,
        stop: None,
    };
    assert_eq!(
        process::run(&bridge.app, &everything).await.unwrap().queued,
        0
    );
    assert_eq!(bridge.sync().await.total, 0);
    assert_eq!(crm.snapshot().requests, before);
}

#[tokio::test]
async fn force_sends_a_new_revision_of_the_chosen_range_only() {
    let crm = crm().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("7", "2026-03-04 08:00"),
        punch("7", "2026-03-04 17:00"),
    ])
    .await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let day = Some("2026-03-03".to_owned());
    let options = sync::Options {
        force: true,
        selection: Selection {
            from: day.clone(),
            to: day,
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(
        sync::run(&bridge.app, &options).await.unwrap().successful,
        1
    );
    assert_eq!(held(&crm, "7", "2026-03-03").revisions_applied, [1, 2]);
    assert_eq!(held(&crm, "7", "2026-03-04").revisions_applied, [1]);
}

#[tokio::test]
async fn days_before_the_start_date_are_assessed_but_never_sent() {
    let crm = crm().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(&crm, "start_date = \"2026-03-04\"\n", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(bridge.record("7", "2026-03-03").await["status"], "present");
    assert!(
        crm.snapshot()
            .records
            .iter()
            .all(|record| record.content["date"].as_str() >= Some("2026-03-04"))
    );
}

#[tokio::test]
async fn a_crm_configured_later_gets_what_was_assessed_before() {
    let crm = crm().await;
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge
        .with(&format!("[crm]\nurl = \"{}\"\n", crm.url()), FRIDAY_NOON)
        .await;
    bridge.sync().await;
    assert_eq!(held(&crm, "7", "2026-03-03").content["status"], "present");
}

#[tokio::test]
async fn what_changed_while_no_crm_was_configured_is_sent_when_it_is_back() {
    let crm = crm().await;
    let sunday = [
        punch("7", "2026-03-01 10:00"),
        punch("7", "2026-03-01 12:00"),
    ];
    let gate = terminal(sunday.into_iter().chain([punch("7", "2026-03-03 08:00")])).await;
    let mut bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let with_crm = bridge.toml.clone();

    bridge.toml = NAIROBI.to_owned();
    bridge.at(FRIDAY_NOON).await;
    gate.punch(punch("7", "2026-03-03 17:00"));
    // The extra shift begins earlier, so its record gets another id and the old one vanishes.
    gate.punch(punch("7", "2026-03-01 09:00"));
    assert_eq!(bridge.turn().await.queued, 0);

    bridge.toml = with_crm;
    bridge.at(FRIDAY_NOON).await;
    bridge.sync().await;
    assert_eq!(held(&crm, "7", "2026-03-03").content["status"], "present");
    let sunday: Vec<Record> = crm
        .snapshot()
        .records
        .into_iter()
        .filter(|record| record.record_id.starts_with("7/2026-03-01/"))
        .collect();
    assert_eq!(
        sunday.iter().filter(|record| record.deleted).count(),
        1,
        "{sunday:#?}"
    );
    assert_eq!(
        sunday.iter().filter(|record| !record.deleted).count(),
        1,
        "{sunday:#?}"
    );
}

#[tokio::test]
async fn an_unmapped_stand_in_is_assessed_but_not_sent() {
    let crm = crm().await;
    let branch = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ])
    .await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add_to("branch", &branch, "branch", None).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.total, 0);
    assert_eq!(
        bridge.record("branch/7", "2026-03-03").await["status"],
        "present"
    );
}

#[tokio::test]
async fn a_day_settles_by_the_passing_of_time_alone() {
    let crm = crm().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let mut bridge = delivering_to(&crm, "", TUESDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(
        bridge.record("7", "2026-03-03").await["status"],
        "in_progress"
    );
    assert!(
        crm.snapshot().records.is_empty(),
        "nothing is told about a day under way"
    );

    bridge.at(WEDNESDAY).await;
    let report = bridge.process().await;
    assert!(
        report.processed >= 2,
        "yesterday settled, today began: {report:?}"
    );
    bridge.sync().await;
    assert_eq!(
        held(&crm, "7", "2026-03-03").content["status"],
        "incomplete"
    );
    assert_eq!(bridge.record("7", "2026-03-04").await["status"], "pending");
}

#[tokio::test]
async fn a_cleared_log_changes_nothing_that_was_read() {
    let crm = crm().await;
    let gate = start(MockDevice::builder().records([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
    ]))
    .await;
    let bridge = delivering_to(&crm, "", FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    gate.clear_log();
    gate.punch(punch("7", "2026-03-04 08:00"));
    bridge.turn().await;
    gate.punch(punch("7", "2026-03-04 17:00"));
    bridge.turn().await;
    bridge.sync().await;
    let stored = bridge.punches("gate").await;
    assert_eq!(
        stored
            .iter()
            .map(|row| row.log_generation)
            .collect::<Vec<_>>(),
        [Some(1), Some(1), Some(2), Some(2)]
    );
    assert_eq!(held(&crm, "7", "2026-03-03").content["worked_s"], 9 * 3600);
    assert_eq!(held(&crm, "7", "2026-03-04").content["worked_s"], 9 * 3600);
}

#[tokio::test]
async fn polls_cost_what_is_new() {
    let gate = start(MockDevice::builder().generate(3, 20, 20_000)).await;
    let bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    assert_eq!(bridge.poll().await.devices[0].mode, Some("full"));

    let unchanged = bridge.poll().await.devices.remove(0);
    assert_eq!(
        (unchanged.mode, unchanged.new_records),
        (Some("unchanged"), 0)
    );
    assert!(unchanged.requests <= 3, "{unchanged:?}");

    for minute in 0..10 {
        gate.punch(punch("1001", &format!("2026-03-05 08:{minute:02}")));
    }
    let tail = bridge.poll().await.devices.remove(0);
    assert_eq!((tail.mode, tail.new_records), (Some("tail"), 10));
    assert!(tail.bytes <= 8 * 1024, "{tail:?}");
    assert!(tail.requests <= 9, "{tail:?}");
    assert_eq!(bridge.punches("gate").await.len(), 20_010);

    // Once in an hour the tail is compared although the counters tell nothing new; not at every poll from then on.
    an_hour_passes(&bridge).await;
    let compared = bridge.poll().await.devices.remove(0);
    assert_eq!(compared.mode, Some("unchanged"));
    assert!(
        compared.requests > 3 && compared.bytes <= 8 * 1024,
        "{compared:?}"
    );
    let unchanged = bridge.poll().await.devices.remove(0);
    assert!(unchanged.requests <= 3, "{unchanged:?}");
}

/// Moves the last look at the tails into the past, in the bridge's own database.
async fn an_hour_passes(bridge: &Bridge) {
    let url = format!("sqlite://{}", bridge.dir.path().join(FILE).display());
    let database = sea_orm::Database::connect(url).await.unwrap();
    let past = "UPDATE cursor SET tail_checked_at = tail_checked_at - 3600";
    sea_orm::ConnectionTrait::execute_unprepared(&database, past)
        .await
        .unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn whoever_stops_an_assessment_loses_nothing_of_it() {
    let gate = terminal(["7", "8"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let bridge = Bridge::new(NAIROBI, "2026-03-06T09:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.poll().await;
    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    shutdown.stop();
    let stopped = process::Options {
        stop: Some(stop),
        ..Default::default()
    };
    let report = process::run(&bridge.app, &stopped).await.unwrap();
    assert_eq!(report, process::Report::default());
    assert!(bridge.records("7", "2026-03-05").await.is_empty());
    let report = bridge.process().await;
    assert!(report.processed > 0 && report.failed == 0, "{report:?}");
    assert_eq!(bridge.records("7", "2026-03-05").await.len(), 1);
    assert_eq!(bridge.records("8", "2026-03-05").await.len(), 1);
}
