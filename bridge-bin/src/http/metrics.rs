//! `/metrics` in the words of Prometheus. Everything is read from the store at the moment of asking, so that each node
//! tells the same, and nothing is lost by a restart.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::Site;
use super::error::Error;
use crate::status::Status;

pub(super) async fn page(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    let status = Status::load(&site.app).await?;
    let content = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content, render(&status)).into_response())
}

fn render(status: &Status) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || record(status));
    handle.render()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds and counts far below 2^52"
)]
fn record(status: &Status) {
    let set = |name, value: Option<i64>| {
        if let Some(value) = value {
            gauge!(name).set(value as f64);
        }
    };
    describe_gauge!(
        "zk_bridge_complete_until_seconds",
        "Nothing before this Unix time is missing"
    );
    set("zk_bridge_complete_until_seconds", status.complete.until);
    describe_gauge!(
        "zk_bridge_assessed_until_seconds",
        "Nothing before this Unix time is left to assess"
    );
    set("zk_bridge_assessed_until_seconds", status.assessed_until);
    for device in &status.devices {
        let set = |name, value: Option<i64>| {
            if let Some(value) = value {
                gauge!(name, "device" => device.name.clone()).set(value as f64);
            }
        };
        set("zk_bridge_device_enabled", Some(device.enabled.into()));
        set(
            "zk_bridge_device_complete_until_seconds",
            device.complete_until,
        );
        set("zk_bridge_device_log_records", device.log_records);
        set("zk_bridge_device_log_capacity", device.log_capacity);
        set("zk_bridge_device_clock_drift_seconds", device.clock_drift_s);
    }
    for target in &status.targets {
        let set = |name, value: Option<i64>| {
            if let Some(value) = value {
                gauge!(name, "target" => target.id.clone()).set(value as f64);
            }
        };
        let count = |number: u64| i64::try_from(number).ok();
        set("zk_bridge_target_waiting", count(target.waiting));
        set("zk_bridge_target_refused", count(target.refused));
        set(
            "zk_bridge_target_complete_until_seconds",
            target.complete_until,
        );
        set(
            "zk_bridge_target_delivered_until_seconds",
            target.delivered_until,
        );
        set(
            "zk_bridge_target_paused",
            Some(target.paused_until.is_some().into()),
        );
        set("zk_bridge_target_last_success_seconds", target.last_success);
        set(
            "zk_bridge_target_certificate_ends_seconds",
            target.certificate_ends,
        );
    }
    describe_gauge!("zk_bridge_alarm", "1 for each alarm that is open");
    for alarm in &status.alarms {
        gauge!("zk_bridge_alarm", "kind" => alarm.kind.clone(), "subject" => alarm.subject.clone())
            .set(1.0);
    }
}
