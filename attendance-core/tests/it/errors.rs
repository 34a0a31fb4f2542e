//! Errors have a code, and nothing panics.

use attendance_core::{
    Assignment, Config, Device, Error, Identity, Instant, Lock, Plan, Punch, PunchTime,
    RosterEntry, Round, RoundMode, ShiftTemplate, Stat, Weekly, assess,
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};

use crate::site::{config, date, plan, time};
use crate::zones::JiffZone;

fn refused(change: impl FnOnce(&mut Config)) -> &'static str {
    let mut config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
    change(&mut config);
    Plan::new(config, JiffZone::shared)
        .map(drop)
        .map_err(|error| error.code())
        .expect_err("a bad configuration")
}

#[test]
fn each_bad_configuration_has_its_code() {
    let pattern = |pattern| {
        let assignment = Assignment {
            from: date("2025-01-01"),
            to: None,
            anchor: None,
            pattern,
        };
        vec![RosterEntry {
            assignments: vec![assignment],
            ..RosterEntry::new("E1")
        }]
    };
    assert_eq!(
        refused(|config| config.to = date("2025-03-02")),
        "invalid_range"
    );
    assert_eq!(
        refused(|config| config.to = NaiveDate::MAX),
        "invalid_range"
    );
    assert_eq!(
        refused(|config| config.tz = "Mars/Olympus".to_owned()),
        "invalid_timezone"
    );
    assert_eq!(
        refused(|config| config.shifts[0].tz = Some("Mars".to_owned())),
        "invalid_timezone"
    );
    assert_eq!(
        refused(|config| config.default_shift = Some("none".into())),
        "unknown_shift"
    );
    assert_eq!(
        refused(|config| config.unscheduled_shift = Some("none".into())),
        "unknown_shift"
    );
    assert_eq!(
        refused(|config| config.roster = pattern(vec![vec!["none".into()]])),
        "unknown_shift"
    );
    assert_eq!(
        refused(|config| config.shifts[0].tolerance.reach_s = 86_400),
        "invalid_tolerance"
    );
    assert_eq!(
        refused(|config| config.shifts[0].tolerance.reach_s = u32::MAX),
        "invalid_tolerance"
    );
    assert_eq!(
        refused(|config| {
            config.shifts[0].thresholds.absent_below_s = 2;
            config.shifts[0].thresholds.half_day_below_s = 1;
        }),
        "invalid_thresholds"
    );
}

#[test]
fn each_senseless_part_is_named_by_its_path() {
    let path = |change: &dyn Fn(&mut Config)| {
        let mut config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
        change(&mut config);
        match Plan::new(config, JiffZone::shared) {
            Err(Error::InvalidConfig { path, .. }) => path,
            other => panic!("not refused: {other:?}"),
        }
    };
    let round = Round {
        mode: RoundMode::Up,
        step_s: 0,
        truncate_s: 1,
    };
    assert_eq!(
        path(&|config| config.shifts[0].rounding.clock_in = Some(round)),
        "shifts[0].rounding.in.step_s"
    );
    assert_eq!(
        path(&|config| config.shifts.push(config.shifts[0].clone())),
        "shifts"
    );
    assert_eq!(
        path(&|config| config.unscheduled_shift = Some("shift".into())),
        "unscheduled_shift"
    );
    assert_eq!(
        path(&|config| config.devices = Some(vec![Device::new("manual")])),
        "devices[0].id"
    );
    assert_eq!(
        path(&|config| config.devices = Some(vec![Device::new("a"), Device::new("a")])),
        "devices[1].id"
    );
    assert_eq!(
        path(&|config| config.roster = vec![RosterEntry::new("E1"), RosterEntry::new("E1")]),
        "roster[1].employee"
    );
    let empty = Assignment {
        from: date("2025-01-01"),
        to: None,
        anchor: None,
        pattern: Vec::new(),
    };
    assert_eq!(
        path(&|config| {
            config.roster = vec![RosterEntry {
                assignments: vec![empty.clone()],
                ..RosterEntry::new("E1")
            }];
        }),
        "roster[0].assignments[0].pattern"
    );
    let identity = |employee: &str| Identity {
        device: None,
        user: "1".into(),
        employee: employee.into(),
    };
    assert_eq!(
        path(&|config| config.identities = Some(vec![identity("a"), identity("b")])),
        "identities[1]"
    );
}

#[test]
fn punches_outside_the_years_are_refused_by_name() {
    let plan = plan(config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00"));
    for time in [
        PunchTime::Civil(NaiveDateTime::MAX),
        PunchTime::Civil(NaiveDateTime::MIN),
        PunchTime::Instant(Instant::MAX),
        PunchTime::Instant(Instant::MIN),
    ] {
        let error = assess(&[Punch::new("p9", "E1", "door", time)], &[], &plan, None).unwrap_err();
        assert_eq!(error, Error::InvalidPunch { id: "p9".into() });
    }
}

#[test]
fn the_ends_of_the_calendar_do_not_panic() {
    let (first, last) = (date("0001-01-01"), date("9999-12-31"));
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap();
    for (from, tz) in [
        (first, "Pacific/Kiritimati"),
        (last, "America/Los_Angeles"),
        (last, "Pacific/Kiritimati"),
    ] {
        let mut config = Config::new(tz, from, from);
        config.shifts = vec![
            ShiftTemplate::fixed("fixed", time("20:00"), time("20:00")),
            ShiftTemplate::flexible("flexible", u32::MAX),
            ShiftTemplate::open("open", u32::MAX),
        ];
        config.locks = vec![
            Lock {
                until: NaiveDate::MAX,
                at: Instant::MIN,
            },
            Lock {
                until: NaiveDate::MIN,
                at: Instant::MAX,
            },
        ];
        config.stat = Some(Stat {
            history: u32::MAX,
            min_n: 0,
            z_milli: u32::MAX,
            mad_floor_s: u32::MAX,
        });
        config.weekly = Some(Weekly {
            week_start: Weekday::Sun,
            threshold_s: u32::MAX,
        });
        config.min_rest_between_s = Some(u32::MAX);
        config.roster = vec![RosterEntry {
            overrides: vec![
                (NaiveDate::MAX, Vec::new()),
                (NaiveDate::MIN, vec!["open".into()]),
            ],
            assignments: vec![Assignment {
                from: NaiveDate::MIN,
                to: Some(NaiveDate::MAX),
                anchor: Some(NaiveDate::MAX),
                pattern: vec![
                    vec!["fixed".into()],
                    vec!["flexible".into()],
                    vec!["open".into()],
                ],
            }],
            ..RosterEntry::new("E1")
        }];
        config.devices = Some(vec![Device {
            clock: vec![
                attendance_core::ClockSample {
                    at: Instant::MIN,
                    skew_s: i64::MIN,
                    step: false,
                },
                attendance_core::ClockSample {
                    at: Instant::from_unix(0),
                    skew_s: 1,
                    step: false,
                },
                attendance_core::ClockSample {
                    at: Instant::MAX,
                    skew_s: i64::MAX,
                    step: false,
                },
            ],
            ..Device::new("door")
        }]);
        let punches: Vec<Punch> = [first, from, last]
            .into_iter()
            .zip(0..)
            .map(|(date, number)| {
                let mut punch = Punch::new(format!("p{number}"), "E1", "door", date.and_time(noon));
                punch.received = Some(Instant::MAX);
                punch
            })
            .collect();
        let plan = plan(config);
        for as_of in [None, Some(Instant::MIN), Some(Instant::MAX)] {
            let outcome = assess(&punches, &[], &plan, as_of).expect("an outcome");
            assert_eq!(outcome.punches.len(), 3);
        }
    }
}

#[test]
fn messages_say_what_and_where() {
    let mut bad = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
    bad.tz = "Mars/Olympus".to_owned();
    let error = Plan::new(bad, JiffZone::shared).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tz: there is no time zone named \"Mars/Olympus\""
    );
}
