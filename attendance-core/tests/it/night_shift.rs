//! Shifts over midnight.

use attendance_core::{Assignment, OutlierReason, RosterEntry, ShiftTemplate, Side, Status};

use crate::site::{config, date, outcome, punches, record};

#[test]
fn a_night_is_one_record_dated_the_evening() {
    let punches = punches(&["2025-11-11 20:15", "2025-11-12 05:10"]);
    let outcome = outcome(
        config(
            "Africa/Nairobi",
            "2025-11-10",
            "2025-11-12",
            "20:00",
            "05:00",
        ),
        &punches,
    );
    let night = record(&outcome, "E1", "2025-11-11");
    assert_eq!(
        (night.status, night.worked_s, night.late_s),
        (Status::Present, 8 * 3600 + 55 * 60, 900)
    );
    assert_eq!(record(&outcome, "E1", "2025-11-12").status, Status::Absent);
}

#[test]
fn hours_after_midnight_stay_with_the_evening_over_month_and_year_ends() {
    for (evening, morning) in [
        ("2024-12-31", "2025-01-01"),
        ("2024-02-28", "2024-02-29"),
        ("2024-02-29", "2024-03-01"),
        ("2025-01-31", "2025-02-01"),
    ] {
        let punches = punches(&[&format!("{evening} 20:00"), &format!("{morning} 05:00")]);
        let outcome = outcome(
            config("Asia/Tokyo", evening, evening, "20:00", "05:00"),
            &punches,
        );
        assert_eq!(record(&outcome, "E1", evening).worked_s, 9 * 3600);
    }
}

#[test]
fn overnight_follows_from_the_times_and_equal_times_are_a_whole_day() {
    let punches = punches(&["2025-06-01 07:00", "2025-06-02 07:00"]);
    let outcome = outcome(
        config("UTC", "2025-06-01", "2025-06-01", "07:00", "07:00"),
        &punches,
    );
    assert_eq!(record(&outcome, "E1", "2025-06-01").planned_s, 86_400);
    assert_eq!(record(&outcome, "E1", "2025-06-01").worked_s, 86_400);
}

#[test]
fn the_guides_windows_hold_for_a_night() {
    // In 18:00-22:00, out 03:00-08:00, edges included.
    let site = || {
        config(
            "Africa/Nairobi",
            "2025-11-11",
            "2025-11-11",
            "20:00",
            "05:00",
        )
    };
    let verdict = |arrive: &str, leave: &str| {
        let outcome = outcome(site(), &punches(&[arrive, leave]));
        record(&outcome, "E1", "2025-11-11").outliers
    };
    assert_eq!(verdict("2025-11-11 18:00:00", "2025-11-12 08:00:00"), []);
    assert_eq!(verdict("2025-11-11 22:00:00", "2025-11-12 03:00:00"), []);
    assert_eq!(
        verdict("2025-11-11 22:00:01", "2025-11-12 02:59:59"),
        [OutlierReason::InTooLate, OutlierReason::OutTooEarly]
    );
    assert_eq!(
        verdict("2025-11-11 17:59:59", "2025-11-12 08:00:01"),
        [OutlierReason::InTooEarly, OutlierReason::OutTooLate]
    );
}

#[test]
fn a_forgotten_out_does_not_swallow_the_next_night() {
    let punches = punches(&["2025-11-11 20:00", "2025-11-12 20:00", "2025-11-13 05:00"]);
    let outcome = outcome(
        config(
            "Africa/Nairobi",
            "2025-11-11",
            "2025-11-12",
            "20:00",
            "05:00",
        ),
        &punches,
    );
    assert_eq!(record(&outcome, "E1", "2025-11-11").missing, [Side::Out]);
    assert_eq!(record(&outcome, "E1", "2025-11-12").worked_s, 9 * 3600);
}

#[test]
fn an_open_night_runs_into_a_day_off_only_if_extra_work_is_planned_for() {
    let site = |unscheduled: bool| {
        let mut config = config("UTC", "2025-03-07", "2025-03-08", "08:00", "17:00");
        config.shifts = vec![
            ShiftTemplate::open("open", 0),
            ShiftTemplate::open("extra", 0),
        ];
        config.default_shift = None;
        config.unscheduled_shift = unscheduled.then(|| "extra".into());
        let pattern = vec![vec!["open".into()], vec![]];
        let assignment = Assignment {
            from: date("2025-03-07"),
            to: None,
            anchor: None,
            pattern,
        };
        config.roster = vec![RosterEntry {
            assignments: vec![assignment],
            ..RosterEntry::new("E1")
        }];
        outcome(config, &punches(&["2025-03-07 22:00", "2025-03-08 06:00"]))
    };
    // The night stays whole, dated the evening.
    let whole = site(true);
    assert_eq!(record(&whole, "E1", "2025-03-07").worked_s, 8 * 3600);
    assert_eq!(record(&whole, "E1", "2025-03-08").status, Status::WeeklyOff);
    // R31 finds nothing for the second punch, so R33 holds for it.
    let cut = site(false);
    assert_eq!(record(&cut, "E1", "2025-03-07").missing, [Side::Out]);
    assert_eq!(cut.punch("p2").unwrap().disposition.as_str(), "orphan");
}
