//! How everything stands: what is found at the moment of looking, whether or not somebody wrote it down.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bridge_bin::demo::crm_stub::{CrmStub, Failure, Fault};
use bridge_bin::jobs::history::Outcome;
use bridge_bin::jobs::sync;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::scheduler;
use bridge_bin::status::Status;
use bridge_bin::store::entity::device;
use bridge_bin::zone;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use crate::support::{Bridge, NAIROBI, punch, terminal};

/// What a target lacks, and what is complete there, in the site's zone.
async fn marks(bridge: &Bridge, target: &str) -> (Option<String>, Option<String>, String) {
    let status = Status::load(&bridge.app).await.unwrap();
    let found = status.targets.iter().find(|found| found.id == target);
    let found = found.expect("the target").clone();
    let at = |until: Option<i64>| until.map(|until| zone::rfc3339(&bridge.app.zone, until));
    (
        at(found.delivered_until),
        at(found.complete_until),
        found.held_back_by.unwrap_or_default(),
    )
}

/// Friday noon in Nairobi.
const NOON: &str = "2026-03-06T09:00:00Z";

async fn change(bridge: &Bridge, change: device::ActiveModel) {
    let tx = bridge.app.store.begin().await.unwrap();
    change.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn alarms(bridge: &Bridge) -> Vec<(String, String)> {
    let status = Status::load(&bridge.app).await.unwrap();
    let alarms = status.alarms.into_iter();
    alarms.map(|alarm| (alarm.kind, alarm.remedy)).collect()
}

#[tokio::test]
async fn i21_whoever_looks_finds_alarms_that_nobody_wrote_down() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let bridge = Bridge::new(
        &format!("{NAIROBI}[alarms]\nclock_drift_seconds = 0\n"),
        NOON,
    )
    .await;
    bridge.add("Main gate", &gate).await;
    bridge.poll().await;
    assert_eq!(alarms(&bridge).await, []);

    let id = bridge.app.store.device("Main gate").await.unwrap().id;
    let silent = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(bridge.app.clock.now() - 4 * 3_600)),
        log_capacity: Set(Some(1)),
        ..Default::default()
    };
    change(&bridge, silent).await;
    let found = alarms(&bridge).await;
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["device_silent", "log_full"]);
    assert!(
        found[0].1.contains("device test --device 'Main gate'"),
        "{found:?}"
    );
    // Looking tells nobody.
    assert_eq!(bridge.app.store.open_alarms().await.unwrap(), []);

    // What was written down says since when.
    let store = &bridge.app.store;
    store
        .open_alarm("log_full", "Main gate", "full", 7)
        .await
        .unwrap();
    let status = Status::load(&bridge.app).await.unwrap();
    let known = status.alarms.iter().find(|alarm| alarm.kind == "log_full");
    assert_eq!(known.map(|alarm| alarm.since), Some(7));
    // What is over is over, although nobody has closed it yet.
    bridge.poll().await;
    let roomy = device::ActiveModel {
        id: Set(id),
        log_capacity: Set(Some(100)),
        ..Default::default()
    };
    change(&bridge, roomy).await;
    assert_eq!(alarms(&bridge).await, []);
}

#[tokio::test]
async fn i6_a_target_is_complete_until_the_first_work_date_it_lacks_not_until_it_was_queued() {
    let hr = CrmStub::builder().start().await.unwrap();
    let gate = terminal(["2026-01-05 08:00", "2026-02-02 08:00"].map(|at| punch("7", at))).await;
    let mut bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let target = format!(
        "[[targets]]\nid = \"hr\"\nconnector = \"webhook\"\nkind = \"punch\"\nurl = \"{}\"\nsecret = \"s\"\n",
        hr.url()
    );
    bridge.with(&target, NOON).await;
    let (delivered, complete, holder) = marks(&bridge, "hr").await;
    assert_eq!((delivered, complete), (None, None));
    assert!(holder.contains("has missed"), "{holder}");

    // Back-filled in part.
    let first = sync::Options {
        limit: Some(1),
        ..Default::default()
    };
    sync::run(&bridge.app, &first).await.unwrap();
    let february = Some("2026-02-02T00:00:00+03:00".to_owned());
    assert_eq!(
        marks(&bridge, "hr").await,
        (february.clone(), february, "the delivery to hr".to_owned())
    );
    bridge.sync().await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.targets[0].delivered_until, Some(status.at));
    // It knows all that is known here, and that is as much as the terminal gave.
    assert_eq!(
        (
            status.targets[0].complete_until,
            status.targets[0].held_back_by.as_deref()
        ),
        (status.devices[0].complete_until, Some("gate"))
    );
}

#[tokio::test]
async fn i6_days_are_assessed_until_the_first_that_has_something_left() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let mut bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    let assessed = async |bridge: &Bridge| {
        let status = Status::load(&bridge.app).await.unwrap();
        let until = status.assessed_until;
        until.map(|until| (until < status.at, zone::rfc3339(&bridge.app.zone, until)))
    };
    bridge.poll().await;
    assert_eq!(assessed(&bridge).await, None, "it never began");
    bridge.process().await;
    assert!(assessed(&bridge).await.is_some_and(|(is_past, _)| !is_past));
    // An old log comes late.
    let old = terminal([punch("7", "2026-02-02 08:00")]).await;
    bridge.add("old", &old).await;
    bridge.poll().await;
    let (_, until) = assessed(&bridge).await.unwrap();
    assert!(until.starts_with("2026-02-0"), "{until}");
    bridge.process().await;
    // Nobody made the rows of the following days.
    bridge.at("2026-03-08T09:00:00Z").await;
    let (_, until) = assessed(&bridge).await.unwrap();
    assert!(until.ends_with("T00:00:00+03:00"), "{until}");
    assert!("2026-03-08" > &until[..10], "{until}");
}

/// What the history says of the first delivery to a CRM that answers the first of two records with these statuses.
async fn delivered(answers: &[StatusCode]) -> (Outcome, u64) {
    let crm = CrmStub::builder().start().await.unwrap();
    for status in answers {
        crm.fail(Failure {
            fault: Fault::Status(*status),
            times: 1,
        });
    }
    let gate = terminal(["7", "8"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!(
        "{NAIROBI}[schedule]\npoll = \"0 0 1 1 *\"\n[crm]\nurl = \"{}\"\nstart_date = \"2026-03-05\"\n",
        crm.url()
    );
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let (shutdown, stop) = Shutdown::new();
    scheduler::install(&bridge.app).await.unwrap();
    let running = tokio::spawn(scheduler::run(bridge.app.clone(), stop));
    let give_up = Instant::now() + Duration::from_mins(1);
    let run = loop {
        let runs = bridge.app.store.runs_of(Some("sync"), 1).await.unwrap();
        if let Some(run) = runs.into_iter().find(|run| run.ended_at.is_some()) {
            break run;
        }
        assert!(Instant::now() < give_up, "no delivery");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    shutdown.stop();
    running.await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&run.report.unwrap()).unwrap();
    let outcome = Outcome::of("sync", run.outcome.as_deref(), &report);
    (outcome, report["successful"].as_u64().unwrap())
}

#[tokio::test]
async fn a_run_is_not_called_done_where_it_was_not() {
    const NO: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    const BUSY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(delivered(&[]).await, (Outcome::Ok, 2));
    assert_eq!(delivered(&[NO]).await, (Outcome::Partly, 1));
    assert_eq!(delivered(&[NO, NO]).await, (Outcome::Failed, 0));
    let (outcome, _) = delivered(&[BUSY, BUSY]).await;
    assert_eq!(outcome, Outcome::Paused);
}
