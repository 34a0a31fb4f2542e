//! How everything stands: what is found at the moment of looking, whether or not somebody wrote it down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bridge_bin::demo::crm_stub::{CrmStub, Failure, Fault};
use bridge_bin::jobs::history::Outcome;
use bridge_bin::jobs::sync;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::notify;
use bridge_bin::scheduler;
use bridge_bin::status::Status;
use bridge_bin::store::entity::device;
use bridge_bin::zone;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

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
    // What time alone settles was right until then.
    bridge.at("2026-03-06T20:59:00Z").await;
    let (_, until) = assessed(&bridge).await.unwrap();
    assert!(
        until.starts_with("2026-03-06T") && !until.contains("T00:00:00"),
        "{until}"
    );
    // Nobody made the rows of the following days.
    bridge.at("2026-03-08T09:00:00Z").await;
    let (_, until) = assessed(&bridge).await.unwrap();
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
    assert_eq!(report["target"], "crm");
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

/// A CRM on TLS that takes everything, with a certificate that ends on this day; its port and its authority.
async fn secured(ends: jiff::civil::Date) -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    let small = |number: i8| u8::try_from(number).unwrap();
    params.not_after = date_time_ymd(ends.year().into(), small(ends.month()), small(ends.day()));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await? > 0 {
                    if request.ends_with(b"}") {
                        request.clear();
                        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await?;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    (port, authority.pem())
}

#[tokio::test]
async fn i21_a_certificate_that_ends_soon_is_told_after_the_delivery_that_saw_it() {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    for (days, alarms) in [(10, 1), (60, 0)] {
        let ends = today.saturating_add(jiff::Span::new().days(days));
        let (port, authority) = secured(ends).await;
        let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, authority).unwrap();
        let toml = format!(
            "{NAIROBI}[alarms]\nclock_drift_seconds = 0\n[[targets]]\nid = \"hr\"\nurl = \"https://localhost:{port}/\"\n\
             ca_file = {ca:?}\n"
        );
        let bridge = Bridge::new(&toml, NOON).await;
        bridge.add("gate", &gate).await;
        bridge.turn().await;
        let report = bridge.sync().await;
        assert_eq!(report.failed, 0, "{report:?}");
        notify::turn(&bridge.app).await.unwrap();
        let open = bridge.app.store.open_alarms().await.unwrap();
        assert_eq!(open.len(), alarms, "{open:?}");
        for alarm in open {
            assert_eq!(alarm.name, "certificate_ends:hr");
            assert!(alarm.detail.contains(&ends.to_string()), "{alarm:?}");
        }
    }
}
