//! Stored shift templates of every kind, and the strategies that tell ins from outs.

use bridge_bin::jobs::process::{self, Why};
use bridge_bin::store::days::NewCorrection;
use serde_json::{Value, json};
use zk_proto::record::{Attendance, PunchState};

use crate::support::{Bridge, NAIROBI, date, punch, terminal};

const NOON: &str = "2026-03-06T09:00:00Z";

/// A bridge at which user 7 works by this template every day of the week.
async fn working_by(definition: Value, punches: impl IntoIterator<Item = Attendance>) -> Bridge {
    let gate = terminal(punches).await;
    let bridge = Bridge::new(NAIROBI, NOON).await;
    bridge.add("gate", &gate).await;
    let store = &bridge.app.store;
    store
        .set_template("own", definition.to_string())
        .await
        .unwrap();
    store
        .assign("7", date("2026-01-01"), r#"[["own"]]"#.to_owned())
        .await
        .unwrap();
    bridge.poll().await;
    bridge
}

fn told(punches: &[&str]) -> Vec<Attendance> {
    punches.iter().map(|at| punch("7", at)).collect()
}

async fn why(bridge: &Bridge, on: &str) -> Why {
    process::why(&bridge.app, "7", date(on)).await.unwrap()
}

#[tokio::test]
async fn a_flexible_template_knows_its_core_time() {
    let definition = json!({
        "kind": "flexible",
        "required_s": 28_800,
        "day_start": "04:00",
        "core": { "start": "10:00", "end": "15:00" },
        "overtime": { "mode": "threshold" },
    });
    let punches = told(&["2026-03-03 10:20", "2026-03-04 01:30"]);
    let bridge = working_by(definition, punches).await;
    assert_eq!(bridge.process().await.failed, 0);
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["status"], "present");
    assert_eq!(record["late_s"], 20 * 60);
    assert_eq!(record["overtime_s"], 15 * 3600 + 10 * 60 - 28_800);
    let why = why(&bridge, "2026-03-03").await;
    let findings = why.records[0].findings.join("\n");
    assert!(findings.contains("due at 10:00:00 (R49)"), "{findings}");
    assert!(findings.contains("(R51)"), "{findings}");
}

#[tokio::test]
async fn an_open_template_makes_a_shift_of_each_stretch_of_work() {
    let definition = json!({ "kind": "open", "min_rest_s": 7200, "required_s": 3600 });
    let punches = told(&[
        "2026-03-03 06:00",
        "2026-03-03 09:00",
        "2026-03-03 22:00",
        "2026-03-04 02:00",
    ]);
    let bridge = working_by(definition, punches).await;
    assert_eq!(bridge.process().await.failed, 0);
    let records = bridge.records("7", "2026-03-03").await;
    let worked: Vec<_> = records.iter().map(|record| &record["worked_s"]).collect();
    assert_eq!(worked, [3 * 3600, 4 * 3600]);
    let why = why(&bridge, "2026-03-03").await;
    assert!(
        why.punches
            .iter()
            .all(|punch| punch.text.contains("shift own of 2026-03-03")),
        "{:#?}",
        why.punches
    );
}

#[tokio::test]
async fn a_fixed_template_has_breaks_rounding_and_tolerances_of_its_own() {
    let definition = json!({
        "start": "08:00",
        "end": "17:00",
        "tolerance": { "early_in_s": 600 },
        "grace": { "late_s": 300 },
        "breaks": { "windows": [{ "start": "12:00", "end": "13:00" }] },
        "rounding": { "out": { "mode": "down", "step_s": 900 } },
    });
    let punches = told(&["2026-03-03 07:45", "2026-03-03 08:05", "2026-03-03 17:14"]);
    let bridge = working_by(definition, punches).await;
    assert_eq!(bridge.process().await.failed, 0);
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["outliers"], json!(["in_too_early"]));
    assert_eq!(record["late_s"], 0, "forgiven");
    assert_eq!(record["break_deducted_s"], 3600);
    assert_eq!(record["worked_s"], 7 * 3600 + 55 * 60);
    // What the template does not say, the configuration does: three hours after the end.
    let why = why(&bridge, "2026-03-03").await;
    assert_eq!(why.punches[0].disposition, "outlier");
}

#[tokio::test]
async fn a_template_that_makes_no_sense_concerns_those_who_work_by_it_alone() {
    let mut punches = told(&["2026-03-03 08:00", "2026-03-03 17:00"]);
    punches.push(punch("8", "2026-03-03 08:00"));
    punches.push(punch("8", "2026-03-03 17:00"));
    let bridge = working_by(json!({ "kind": "round" }), punches).await;
    assert_eq!(bridge.process().await.failed, 1);
    assert_eq!(bridge.record("8", "2026-03-03").await["status"], "present");
    let error = process::why(&bridge.app, "7", date("2026-03-03")).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("\"own\" cannot be used: unknown variant `round`"),
        "{error}"
    );
}

/// In, out and in again, by the keys that were pressed; the last key was the wrong one.
fn keyed() -> Vec<Attendance> {
    let keys = [
        ("2026-03-03 08:00", PunchState::CHECK_IN),
        ("2026-03-03 12:00", PunchState::CHECK_OUT),
        ("2026-03-03 13:00", PunchState::CHECK_IN),
        ("2026-03-03 17:00", PunchState::CHECK_IN),
    ];
    let keyed = |(at, punch_state)| Attendance {
        punch_state,
        ..punch("7", at)
    };
    keys.into_iter().map(keyed).collect()
}

fn set_kind(id: i64, value: &str) -> NewCorrection {
    NewCorrection {
        kind: "set_kind",
        target: Some(format!("p{id}")),
        employee: "7".to_owned(),
        date: date("2026-03-03"),
        told: None,
        state: None,
        value: Some(value.to_owned()),
        by: "hr".to_owned(),
        reason: "the wrong key".to_owned(),
    }
}

#[tokio::test]
async fn by_state_a_kind_can_be_corrected() {
    let gate = terminal(keyed()).await;
    let by_state = format!("{NAIROBI}strategy = \"state\"\n");
    let mut bridge = Bridge::new(&by_state, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["missing"], json!(["out"]));
    assert_eq!(record["worked_s"], 4 * 3600);

    let last = bridge.punches("gate").await[3].id;
    let refused = bridge.app.correct(set_kind(last, "lunch")).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("\"lunch\" is no kind")
    );
    bridge.app.correct(set_kind(last, "out")).await.unwrap();
    bridge.process().await;
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["worked_s"], 8 * 3600);
    assert_eq!(record["clock_out"], "2026-03-03T17:00:00+03:00");
    let why = why(&bridge, "2026-03-03").await;
    assert!(
        why.punches[3].text.contains("clocks out"),
        "{:?}",
        why.punches[3]
    );
    assert_eq!(why.corrections[0].kind, "set_kind");

    // Under another strategy it has no influence, and does no harm.
    bridge.toml = NAIROBI.to_owned();
    bridge.at(NOON).await;
    gate.punch(punch("7", "2026-03-03 18:00"));
    assert_eq!(bridge.turn().await.failed, 0);
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["worked_s"], 10 * 3600);
    let refused = bridge.app.correct(set_kind(last, "out")).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("has no influence here")
    );
}

#[tokio::test]
async fn alternating_punches_are_in_and_out_in_turn() {
    let gate = terminal(keyed()).await;
    let alternating = format!("{NAIROBI}strategy = \"alternating\"\n");
    let bridge = Bridge::new(&alternating, NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let record = bridge.record("7", "2026-03-03").await;
    assert_eq!(record["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(record["worked_s"], 8 * 3600);
}
