//! Faults of other programs that cannot happen here. Names cite the rows of the list of faults.

use attendance_core::{Disposition, Flag, OrphanReason, Punch, Side, Status};
use chrono::NaiveDate;

use crate::site::{civil, config, outcome, punches, record};

const ZONES: [&str; 4] = [
    "America/Los_Angeles",
    "Africa/Nairobi",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
];

#[test]
fn b2_every_punch_lands_in_exactly_one_place() {
    // Far from a 20-05 night and from an 08-18 day: neither may vanish.
    let night = outcome(
        config("UTC", "2025-03-03", "2025-03-03", "20:00", "05:00"),
        &punches(&[
            "2025-03-03 13:00",
            "2025-03-03 20:00",
            "2025-03-03 20:00:20",
            "2025-03-03 16:30",
            "2025-03-04 05:00",
        ]),
    );
    let places: Vec<&str> = night
        .punches
        .iter()
        .map(|punch| punch.disposition.as_str())
        .collect();
    assert_eq!(places, ["orphan", "used", "duplicate", "outlier", "used"]);
    assert_eq!(
        night.punches.get(0).unwrap().disposition,
        Disposition::Orphan {
            reason: OrphanReason::NoShift
        }
    );

    let day = outcome(
        config("UTC", "2025-03-03", "2025-03-03", "08:00", "18:00"),
        &punches(&["2025-03-03 23:00", "2025-03-03 23:01:01"]),
    );
    let places: Vec<&str> = day
        .punches
        .iter()
        .map(|punch| punch.disposition.as_str())
        .collect();
    assert_eq!(places, ["outlier", "orphan"]);
}

#[test]
fn b3_all_grouping_is_in_the_sites_zone() {
    for tz in ZONES {
        // A lone morning punch, whatever date it is in Greenwich.
        let day = outcome(
            config(tz, "2025-03-03", "2025-03-05", "08:00", "17:00"),
            &punches(&["2025-03-04 08:00"]),
        );
        let lone = record(&day, "E1", "2025-03-04");
        assert_eq!(
            (lone.status, &lone.missing[..]),
            (Status::Incomplete, &[Side::Out][..]),
            "{tz}"
        );
        assert_eq!(
            record(&day, "E1", "2025-03-03").status,
            Status::Absent,
            "{tz}"
        );
        assert_eq!(
            record(&day, "E1", "2025-03-05").status,
            Status::Absent,
            "{tz}"
        );

        // A lone punch in the small hours belongs to the night that began the evening before.
        for hour in ["00:30", "01:30", "02:59"] {
            let punches = punches(&[&format!("2025-03-05 {hour}")]);
            let night = outcome(
                config(tz, "2025-03-03", "2025-03-05", "20:00", "05:00"),
                &punches,
            );
            assert_eq!(
                record(&night, "E1", "2025-03-04").punch_count,
                1,
                "{tz} {hour}"
            );
        }
    }
}

#[test]
fn b3_open_work_and_flexible_days_are_dated_by_the_local_calendar() {
    use attendance_core::ShiftTemplate;

    for tz in ZONES {
        for shift in [
            ShiftTemplate::open("shift", 0),
            ShiftTemplate::flexible("shift", 0),
        ] {
            for hour in ["00:10", "23:50"] {
                let mut config = config(tz, "2025-03-03", "2025-03-05", "08:00", "17:00");
                config.shifts = vec![shift.clone()];
                let outcome = outcome(config, &punches(&[&format!("2025-03-04 {hour}")]));
                assert_eq!(
                    record(&outcome, "E1", "2025-03-04").punch_count,
                    1,
                    "{tz} {hour}"
                );
            }
        }
    }
}

#[test]
fn b4_ten_to_eight_belongs_to_the_shift_at_eight_even_alone() {
    for tz in ZONES {
        let alone = outcome(
            config(tz, "2025-03-03", "2025-03-05", "20:00", "05:00"),
            &punches(&["2025-03-04 19:50"]),
        );
        let night = record(&alone, "E1", "2025-03-04");
        assert_eq!(
            (night.punch_count, &night.missing[..]),
            (1, &[Side::Out][..]),
            "{tz}"
        );
        assert_eq!(
            night.clock_in.unwrap().civil(),
            civil("2025-03-04 19:50"),
            "{tz}"
        );
    }
}

#[test]
fn b5_arriving_at_one_for_a_shift_at_eight_is_five_hours_late() {
    let punches = punches(&["2025-03-04 01:00", "2025-03-04 05:00"]);
    let outcome = outcome(
        config(
            "Africa/Nairobi",
            "2025-03-03",
            "2025-03-03",
            "20:00",
            "05:00",
        ),
        &punches,
    );
    assert_eq!(record(&outcome, "E1", "2025-03-03").late_s, 5 * 3600);
}

#[test]
fn b5_leaving_before_midnight_is_early_for_a_shift_until_five() {
    let punches = punches(&["2025-03-03 20:00", "2025-03-03 23:30"]);
    let outcome = outcome(
        config(
            "Africa/Nairobi",
            "2025-03-03",
            "2025-03-03",
            "20:00",
            "05:00",
        ),
        &punches,
    );
    let night = record(&outcome, "E1", "2025-03-03");
    assert_eq!((night.late_s, night.early_leave_s), (0, 5 * 3600 + 30 * 60));
}

#[test]
fn b18_grace_is_the_sites_choice_and_beyond_it_the_whole_delay_counts() {
    let late = |grace_s: u32, arrive: &str| {
        let mut config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
        config.shifts[0].grace.late_s = grace_s;
        record(
            &outcome(config, &punches(&[arrive, "2025-03-03 17:00"])),
            "E1",
            "2025-03-03",
        )
        .late_s
    };
    assert_eq!(late(0, "2025-03-03 08:00:01"), 1);
    assert_eq!(late(600, "2025-03-03 08:10:00"), 0);
    assert_eq!(late(600, "2025-03-03 08:10:01"), 601);
}

#[test]
fn b19_in_at_one_door_and_out_at_another_is_one_record() {
    let punches = [
        Punch::new("p1", "E1", "door A", civil("2025-03-03 08:00")),
        Punch::new("p2", "E1", "door B", civil("2025-03-03 17:00")),
    ];
    let outcome = outcome(
        config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00"),
        &punches,
    );
    assert_eq!(outcome.records.len(), 1);
    assert_eq!(
        (outcome.records[0].status, outcome.records[0].worked_s),
        (Status::Present, 9 * 3600)
    );
}

#[test]
fn b20_one_user_id_on_two_devices_can_be_two_people() {
    use attendance_core::Identity;

    let mut config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
    let identity = |device: &str, employee: &str| Identity {
        device: Some(device.into()),
        user: "7".into(),
        employee: employee.into(),
    };
    config.identities = Some(vec![identity("north", "ann"), identity("south", "bob")]);
    let punches = [
        Punch::new("p1", "7", "north", civil("2025-03-03 08:00")),
        Punch::new("p2", "7", "south", civil("2025-03-03 08:00")),
        Punch::new("p3", "7", "west", civil("2025-03-03 08:00")),
    ];
    let outcome = outcome(config, &punches);
    assert_eq!(record(&outcome, "ann", "2025-03-03").punch_count, 1);
    assert_eq!(record(&outcome, "bob", "2025-03-03").punch_count, 1);
    assert_eq!(
        outcome.punches.get(2).unwrap().disposition,
        Disposition::Orphan {
            reason: OrphanReason::UnknownEmployee
        }
    );
}

#[test]
fn b44_a_late_evening_and_an_early_morning_do_not_melt_into_one_day() {
    let mut config = config("UTC", "2025-03-03", "2025-03-04", "13:00", "22:00");
    config.min_rest_between_s = Some(11 * 3600);
    config.shifts.push(attendance_core::ShiftTemplate::fixed(
        "early",
        crate::site::time("06:00"),
        crate::site::time("14:00"),
    ));
    config.roster = vec![attendance_core::RosterEntry {
        overrides: vec![(
            NaiveDate::from_ymd_opt(2025, 3, 4).unwrap(),
            vec!["early".into()],
        )],
        ..attendance_core::RosterEntry::new("E1")
    }];
    let times = [
        "2025-03-03 13:00",
        "2025-03-03 22:00",
        "2025-03-04 06:00",
        "2025-03-04 14:00",
    ];
    let outcome = outcome(config, &punches(&times));
    let morning = record(&outcome, "E1", "2025-03-04");
    assert_eq!(
        (morning.rest_s, &morning.flags[..]),
        (Some(8 * 3600), &[Flag::ShortRest][..])
    );
}
