//! Every verdict can be told in words, with its rule.

use attendance_core::{Device, Instant, MissingPolicy, Overtime, OvertimeMode, Punch, assess};

use crate::site::{civil, config, date, outcome, plan, punches, record};

#[test]
fn each_punch_says_why_it_went_where_it_went() {
    let mut config = config(
        "Africa/Nairobi",
        "2025-03-03",
        "2025-03-03",
        "08:00",
        "17:00",
    );
    config.devices = Some(vec![Device::new("door")]);
    let mut punches = punches(&[
        "2025-03-03 07:58:00",
        "2025-03-03 07:58:20",
        "2025-03-03 12:00:00",
        "2025-03-03 17:02:00",
        "2025-03-03 21:30:00",
        "2025-03-03 23:59:00",
        "2025-03-02 08:00:00",
    ]);
    punches.push(Punch::new("p8", "E1", "other", civil("2025-03-03 08:00")));
    let outcome = outcome(config, &punches);
    let words: Vec<String> = outcome
        .punches
        .iter()
        .map(|punch| punch.explain().to_string())
        .collect();
    assert_eq!(
        words,
        [
            "07:58:00 clocks in, shift shift of 2025-03-03 (R36)",
            "07:58:20 ignored: repeat within 60 s of 07:58:00 (R15)",
            "12:00:00 lies between in and out, shift shift of 2025-03-03 (R36)",
            "17:02:00 clocks out, shift shift of 2025-03-03 (R36)",
            "21:30:00 set aside: 1 h 30 min after 20:00:00, the edge of what counts for shift shift of 2025-03-03 (R30)",
            "2025-03-03 23:59:00 belongs to nothing: no shift reaches so far (R33)",
            "2025-03-02 08:00:00 belongs to a day that was not asked for, 2025-03-02 (R34)",
            "a punch belongs to nothing: the device is unknown (R9)",
        ]
    );
}

#[test]
fn each_flag_of_a_record_has_its_numbers() {
    let mut config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
    config.shifts[0].missing_policy = MissingPolicy::AutoClose;
    config.shifts[0].overtime = Overtime {
        mode: OvertimeMode::Threshold,
        threshold_s: Some(3600),
        ..Overtime::default()
    };
    let outcome = outcome(config, &punches(&["2025-03-03 10:20:30"]));
    let words: Vec<String> = record(&outcome, "E1", "2025-03-03")
        .findings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        words,
        [
            "the clock-out is missing (R41)",
            "the missing clock-out is replaced by 17:00:00 (R42)",
            "late by 2 h 20 min 30 s: clocked in at 10:20:30, due at 08:00:00 (R49)",
            "clocked in at 10:20:30, 2 h 20 min 30 s after the start at 08:00:00; 2 h would be in order (R53)",
            "5 h 39 min 30 s of overtime (R51)",
        ]
    );
}

#[test]
fn a_record_that_is_not_final_says_when_it_settles() {
    let plan = plan(config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00"));
    let as_of = Instant::from(civil("2025-03-03 12:00").and_utc());
    let punches = punches(&["2025-03-03 08:00"]);
    let outcome = assess(&punches, &[], &plan, Some(as_of)).expect("an outcome");
    let day = outcome
        .records_of("E1", date("2025-03-03"))
        .next()
        .expect("a record");
    assert_eq!(
        day.settles_at.map(|at| at.to_string()).as_deref(),
        Some("2025-03-03T22:00:00Z")
    );
    assert_eq!(
        day.findings[0].to_string(),
        "not final before 2025-03-03T22:00:00Z (R55)"
    );

    // At that very second it is.
    let later = assess(&punches, &[], &plan, day.settles_at).expect("an outcome");
    assert!(later.records[0].is_final);
    assert_eq!(later.records[0].settles_at, None);
}

#[test]
fn a_table_shows_days_punches_and_reasons() {
    let cases =
        crate::exchange::cases(include_str!("../data/examples.json")).expect("the examples");
    let case = cases
        .iter()
        .find(|case| case.id == "late-arrival")
        .expect("the case");
    let table = crate::table::of(case);
    assert!(table.starts_with("late-arrival\n"), "{table}");
    for line in ["present", "08:00", "17:00", "clocks in", "(R36)"] {
        assert!(table.contains(line), "{line} is not in\n{table}");
    }
    for case in &cases {
        assert!(!crate::table::of(case).is_empty());
    }
    let night = cases.iter().find(|case| case.id == "seed-overnight-1");
    let table = crate::table::of(night.expect("the case"));
    assert!(table.contains("20:15:00    05:10:00 +1"), "{table}");
}
