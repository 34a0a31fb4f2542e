//! Days on which clocks change.

use attendance_core::{Config, Flag, Instant, Note, Occurrence, Punch, PunchTime, Zone};
use chrono::NaiveDateTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::site::{civil, config, date, outcome, punches, record};
use crate::worlds::{ZONES, run};
use crate::zones::JiffZone;

#[test]
fn a_night_over_the_change_lasts_what_it_lasts() {
    for (tz, evening, morning, worked_h2) in [
        ("America/New_York", "2024-03-09", "2024-03-10", 14),
        ("America/New_York", "2024-11-02", "2024-11-03", 18),
        ("Europe/Berlin", "2025-03-29", "2025-03-30", 14),
        ("Europe/Berlin", "2025-10-25", "2025-10-26", 18),
        ("Australia/Lord_Howe", "2025-04-05", "2025-04-06", 17),
        ("Australia/Lord_Howe", "2025-10-04", "2025-10-05", 15),
        ("Asia/Kolkata", "2024-03-09", "2024-03-10", 16),
    ] {
        let punches = punches(&[&format!("{evening} 22:00"), &format!("{morning} 06:00")]);
        let outcome = outcome(config(tz, evening, evening, "22:00", "06:00"), &punches);
        let night = record(&outcome, "E1", evening);
        assert_eq!(night.worked_s, worked_h2 * 1800, "{tz} {evening}");
        assert_eq!(
            (night.late_s, night.early_leave_s),
            (0, 0),
            "{tz} {evening}"
        );
        assert_eq!(
            night.flags.contains(&Flag::DstChange),
            worked_h2 != 16,
            "{tz} {evening}"
        );
    }
}

#[test]
fn a_time_that_clocks_skipped_is_read_with_the_offset_before() {
    let punches = punches(&["2024-03-10 01:30", "2024-03-10 02:30"]);
    let outcome = outcome(
        config(
            "America/New_York",
            "2024-03-10",
            "2024-03-10",
            "00:00",
            "08:00",
        ),
        &punches,
    );
    assert_eq!(outcome.punch("p2").unwrap().notes, [Note::DstGap]);
    assert_eq!(
        outcome.punch("p2").unwrap().instant().unwrap().to_string(),
        "2024-03-10T07:30:00Z"
    );
    assert_eq!(record(&outcome, "E1", "2024-03-10").worked_s, 3600);
}

#[test]
fn a_doubled_time_is_the_first_unless_more_is_known() {
    let site = || {
        config(
            "America/New_York",
            "2024-11-03",
            "2024-11-03",
            "00:00",
            "08:00",
        )
    };
    let worked = |punches: &[Punch]| record(&outcome(site(), punches), "E1", "2024-11-03").worked_s;
    let mut two = punches(&["2024-11-03 00:30", "2024-11-03 01:30"]);
    assert_eq!(worked(&two), 3600);
    two[1].fold = Some(Occurrence::Second);
    assert_eq!(worked(&two), 7200);
    two[1].fold = Some(Occurrence::First);
    assert_eq!(worked(&two), 3600);
}

#[test]
fn record_numbers_settle_doubled_times_whatever_the_order_of_delivery() {
    let numbered = |id: &str, time: &str, seq| Punch {
        seq: Some(seq),
        ..Punch::new(id, "E1", "door", civil(time))
    };
    // The log says: 01:40, then 01:20. So the clock went back between.
    let mut log = vec![
        numbered("a", "2024-11-03 01:20", 8),
        numbered("b", "2024-11-03 01:40", 7),
        numbered("c", "2024-11-03 04:00", 9),
    ];
    for _ in 0..log.len() {
        log.rotate_left(1);
        let outcome = outcome(
            config(
                "America/New_York",
                "2024-11-03",
                "2024-11-03",
                "00:00",
                "08:00",
            ),
            &log,
        );
        assert_eq!(
            outcome.punch("b").unwrap().instant().unwrap().to_string(),
            "2024-11-03T05:40:00Z"
        );
        assert_eq!(
            outcome.punch("a").unwrap().instant().unwrap().to_string(),
            "2024-11-03T06:20:00Z"
        );
        assert_eq!(outcome.punch("a").unwrap().notes, [Note::DstFold]);
    }
}

#[test]
fn punches_around_every_change_of_every_zone_are_read_as_the_zone_says() {
    let (first, last) = ("2000-01-01T00:00:00Z", "2040-01-01T00:00:00Z");
    let [first, last]: [Timestamp; 2] = [first, last].map(|at| at.parse().unwrap());
    for name in ZONES.iter() {
        let changes: Vec<i64> = TimeZone::get(name)
            .unwrap()
            .following(first)
            .map(|change| change.timestamp().as_second())
            .take_while(|&at| at < last.as_second())
            .collect();
        assert!(
            changes.windows(2).all(|pair| pair[1] - pair[0] > 86_400),
            "{name} changes its clocks twice within a day"
        );
        let zone = JiffZone::shared(name).unwrap();
        let hours = [-25, -13, -1, 0, 1, 13, 25];
        let around = |&change: &i64| {
            let offset = zone.offset_at(Instant::from_unix(change - 1));
            hours.map(|hour| Instant::from_unix(change + hour * 3600).civil(offset))
        };
        let times: Vec<NaiveDateTime> = changes.iter().flat_map(around).collect();
        let told = times.iter().map(|&time| PunchTime::Civil(time));
        let sent = times
            .iter()
            .map(|time| PunchTime::Instant(time.and_utc().into()));
        let punches: Vec<Punch> = (1000..)
            .zip(told.chain(sent))
            .map(|(number, time)| Punch::new(number.to_string(), "E1", "gate", time))
            .collect();
        let config = Config::new(name, date("2000-01-01"), date("2000-01-01"));
        let outcome = run(&config, &punches, None).unwrap();
        for (read, punch) in outcome.punches.iter().zip(&punches) {
            let time = read.time.unwrap();
            match punch.time {
                PunchTime::Civil(civil) => {
                    let expected = zone.resolve(civil).instant();
                    assert_eq!(time.instant(), expected, "{name} {civil}");
                }
                PunchTime::Instant(instant) => {
                    let expected = zone.offset_at(instant);
                    assert_eq!(time.offset_s(), expected, "{name} {instant}");
                }
            }
        }
    }
}
