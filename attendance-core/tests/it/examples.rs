//! Every worked example of the rules, compared completely, and the forms that it is written in.

use attendance_core::{
    AutoBreak, Form, MissingPolicy, OutlierPolicy, OvertimeMode, Period, Round, RoundMode,
    ShiftTemplate,
};

use crate::exchange;
use crate::site::time;

const EXAMPLES: &str = include_str!("../data/examples.json");

#[test]
fn every_example_comes_out_as_written() {
    let cases = exchange::cases(EXAMPLES).expect("the examples are in their form");
    assert!(cases.len() >= 122, "only {} cases", cases.len());
    assert_eq!(
        cases.iter().filter(|case| case.source == "seed").count(),
        15
    );

    let complaints: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let differences = case.differences(&case.outcome(false));
            let complaint = || format!("{}:\n  {}", case.id, differences.join("\n  "));
            (!differences.is_empty()).then(complaint)
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_full_form_adds_slot_and_settling() {
    let cases = exchange::cases(EXAMPLES).expect("the examples are in their form");
    let case = cases
        .iter()
        .find(|case| case.id == "as-of")
        .expect("the case");
    let outcome = case.outcome(true);
    let running = &outcome["records"][0];
    assert_eq!(running["slot"], 0);
    // 17:00, three hours of tolerance, two of reach.
    assert_eq!(running["settles_at"], "2025-03-03T22:00:00Z");
    assert!(case.outcome(false)["records"][0].get("slot").is_none());
}

#[test]
fn the_explained_form_gives_every_record_and_punch_its_reasons() {
    let cases = exchange::cases(EXAMPLES).expect("the examples are in their form");
    let case = cases.iter().find(|case| case.id == "seed-overnight-1");
    let case = case.expect("the case");
    let mut outcome = case.explained(false);
    let late = "late by 15 min: clocked in at 20:15:00, due at 20:00:00 (R49)";
    assert_eq!(
        outcome["records"][0]["findings"],
        serde_json::json!([{ "rule": "R49", "text": late }])
    );
    assert_eq!(outcome["punches"][0]["explanation"]["rule"], "R36");
    for list in ["records", "punches"] {
        for row in outcome[list].as_array_mut().unwrap() {
            let row = row.as_object_mut().unwrap();
            assert!(
                row.remove("findings")
                    .or(row.remove("explanation"))
                    .is_some()
            );
        }
    }
    assert_eq!(outcome, case.outcome(false), "and nothing else");
}

#[test]
fn a_template_is_read_from_its_written_form() {
    let read = |text: &str| serde_json::from_str::<ShiftTemplate>(text);
    let fixed = r#"{
        "id": "night", "tz": "Europe/Berlin", "start": "20:00", "end": "05:00:30",
        "tolerance": {"early_in_s": 3600, "handover_s": 60}, "outlier_policy": "flag", "grace": {"late_s": 300},
        "clip": {"before_start": true}, "missing_policy": "auto_close", "thresholds": {"absent_below_s": 7200},
        "breaks": {"windows": [{"start": "23:30", "end": "00:15"}], "auto": [{"after_s": 21600, "deduct_s": 1800}]},
        "rounding": {"in": {"mode": "up", "step_s": 900}, "out": {"mode": "none"}},
        "overtime": {"mode": "outside", "min_s": 900}
    }"#;
    let mut expected = ShiftTemplate::fixed("night", time("20:00"), "05:00:30".parse().unwrap());
    expected.tz = Some("Europe/Berlin".to_owned());
    (expected.tolerance.early_in_s, expected.tolerance.handover_s) = (3600, 60);
    expected.outlier_policy = OutlierPolicy::Flag;
    expected.grace.late_s = 300;
    expected.clip.before_start = true;
    expected.missing_policy = MissingPolicy::AutoClose;
    expected.thresholds.absent_below_s = 7200;
    let (start, end) = (time("23:30"), time("00:15"));
    expected.breaks.windows = vec![Period { start, end }];
    expected.breaks.auto = vec![AutoBreak {
        after_s: 21_600,
        deduct_s: 1800,
    }];
    expected.rounding.clock_in = Some(Round {
        mode: RoundMode::Up,
        step_s: 900,
        truncate_s: 1,
    });
    (expected.overtime.mode, expected.overtime.min_s) = (OvertimeMode::Outside, 900);
    assert_eq!(read(fixed).unwrap(), expected);

    let open = read(r#"{"id": "call", "kind": "open", "max_span_s": 7200}"#).unwrap();
    let Form::Open {
        max_span_s,
        min_rest_s,
        ..
    } = open.form
    else {
        panic!("{open:?}")
    };
    assert_eq!((max_span_s, min_rest_s), (7200, 21_600));

    for (text, problem) in [
        (
            r#"{"id": "a", "start": "08:00"}"#,
            "a fixed shift needs its end",
        ),
        (r#"{"id": "a", "kind": "round"}"#, "unknown variant `round`"),
        (
            r#"{"id": "a", "kind": "open", "colour": 1}"#,
            "unknown field `colour`",
        ),
        (
            r#"{"id": "a", "start": "8 h", "end": "17:00"}"#,
            "no time of day",
        ),
        (
            r#"{"id": "a", "kind": "open", "grace": {"late": 1}}"#,
            "unknown field `late`",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn unknown_fields_are_refused() {
    let text = r#"{"config": {"tz": "UTC", "range": {"from": "2025-03-03", "to": "2025-03-03"}, "colour": "red"}}"#;
    let cases = exchange::cases(text).expect("one case");
    assert_eq!(
        cases[0].outcome(false),
        serde_json::json!({ "error": "invalid_config" })
    );
}
