//! Policies in ten lines each.
//!
//! Every recipe fills a [`Config`](crate::Config) for the days of one week that begins on `monday`, 3 March 2025, in
//! UTC; `told` then assesses what person 29 punched at the gate. The hidden lines do no more than this.
//!
//! # A night shift with grace
//!
//! Over midnight because it ends before it starts; ten minutes late are forgiven.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let mut night = ShiftTemplate::fixed("night", hour(20), hour(5));
//! night.grace.late_s = 600;
//! config.shifts = vec![night];
//! config.default_shift = Some("night".into());
//!
//! let outcome = told(config, &["2025-03-03 20:09", "2025-03-04 05:00"]);
//! assert_eq!((outcome.records[0].late_s, outcome.records[0].worked_s), (0, 8 * 3600 + 51 * 60));
//! ```
//!
//! # Two shifts on one day
//!
//! A list of templates per day; the punches find their shift by themselves.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! config.shifts = vec![ShiftTemplate::fixed("am", hour(8), hour(12)), ShiftTemplate::fixed("pm", hour(14), hour(18))];
//! config.roster = vec![RosterEntry {
//!     overrides: vec![(monday, vec!["am".into(), "pm".into()])],
//!     ..RosterEntry::new("29")
//! }];
//!
//! let outcome = told(config, &["2025-03-03 08:00", "2025-03-03 12:00", "2025-03-03 14:00", "2025-03-03 18:00"]);
//! assert_eq!(outcome.records.iter().map(|record| record.worked_s).collect::<Vec<_>>(), [4 * 3600; 2]);
//! ```
//!
//! # A week with a rotation
//!
//! One element per day, repeated for ever: two early, two late, one night, two off.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let day = |id: &str| vec![ShiftId::from(id)];
//! config.shifts = [("early", 6, 14), ("late", 14, 22), ("night", 22, 6)]
//!     .map(|(id, start, end)| ShiftTemplate::fixed(id, hour(start), hour(end)))
//!     .to_vec();
//! let pattern = vec![day("early"), day("early"), day("late"), day("late"), day("night"), vec![], vec![]];
//! let assignment = Assignment { from: monday, to: None, anchor: None, pattern };
//! config.roster = vec![RosterEntry { assignments: vec![assignment], ..RosterEntry::new("29") }];
//!
//! let outcome = told(config, &["2025-03-03 06:00", "2025-03-03 14:00"]);
//! assert_eq!(outcome.records[0].shift, Some("early".into()));
//! ```
//!
//! # Flexible days with core time
//!
//! Eight hours at any time of the day; everybody is there from ten to three.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let mut office = ShiftTemplate::flexible("office", 8 * 3600);
//! office.form = Form::Flexible {
//!     day_start: hour(4),
//!     required_s: 8 * 3600,
//!     core: Some(Period { start: hour(10), end: hour(15) }),
//! };
//! config.shifts = vec![office];
//! config.default_shift = Some("office".into());
//!
//! let outcome = told(config, &["2025-03-03 10:30", "2025-03-03 19:00"]);
//! assert_eq!((outcome.records[0].late_s, outcome.records[0].early_leave_s), (1800, 0));
//! ```
//!
//! # Breaks as the law asks for them
//!
//! 30 minutes beyond six hours, 45 beyond nine, less what was taken (German Arbeitszeitgesetz, section 4).
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let mut day = ShiftTemplate::fixed("day", hour(8), hour(17));
//! day.breaks.auto = vec![
//!     AutoBreak { after_s: 6 * 3600, deduct_s: 1800 },
//!     AutoBreak { after_s: 9 * 3600, deduct_s: 2700 },
//! ];
//! config.shifts = vec![day];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:00", "2025-03-03 16:30"]);
//! assert_eq!((outcome.records[0].worked_s, outcome.records[0].break_deducted_s), (8 * 3600, 1800));
//! ```
//!
//! # Quarter hours
//!
//! In is rounded up and out down; lateness is told from what was really punched.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let quarter = |mode| Some(Round { mode, step_s: 900, truncate_s: 60 });
//! let mut day = ShiftTemplate::fixed("day", hour(8), hour(17));
//! day.rounding.clock_in = quarter(RoundMode::Up);
//! day.rounding.clock_out = quarter(RoundMode::Down);
//! config.shifts = vec![day];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:03", "2025-03-03 17:10"]);
//! assert_eq!((outcome.records[0].worked_s, outcome.records[0].late_s), (8 * 3600 + 45 * 60, 180));
//! ```
//!
//! # Overtime after the end
//!
//! What is worked after the shift counts from a quarter of an hour on; before it nobody asked.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let mut day = ShiftTemplate::fixed("day", hour(8), hour(17));
//! day.overtime = Overtime { mode: OvertimeMode::Outside, min_s: 900, ..Overtime::default() };
//! config.shifts = vec![day];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 07:30", "2025-03-03 17:20"]);
//! assert_eq!(outcome.records[0].overtime_s, 20 * 60);
//! ```
//!
//! # Doors that know the way
//!
//! One door in, one door out; punches by hand go by their state.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! config.strategy = Strategy::Direction;
//! config.devices = Some(vec![
//!     Device { direction: Direction::In, ..Device::new("entrance") },
//!     Device { direction: Direction::Out, ..Device::new("exit") },
//!     Device::new("gate"),
//! ]);
//! config.shifts = vec![ShiftTemplate::fixed("day", hour(8), hour(17))];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:00", "2025-03-03 17:00"]);
//! // The gate serves both ways and tells no state, so they alternate.
//! assert_eq!(outcome.records[0].worked_s, 9 * 3600);
//! ```
//!
//! # Nobody has a plan
//!
//! Shifts are built from the punches: so long outside, and a new one begins.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! config.shifts = vec![ShiftTemplate::open("work", 0)];
//! config.unscheduled_shift = Some("work".into());
//!
//! let outcome = told(config, &["2025-03-03 22:00", "2025-03-04 06:00"]);
//! assert_eq!((outcome.records[0].date, outcome.records[0].worked_s), (monday, 8 * 3600));
//! ```
//!
//! # A terminal whose clock was wrong
//!
//! It was seen five minutes ahead on Monday, and set right on Tuesday at nine.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let seen = Instant::from_civil(monday.and_time(hour(0)), 0);
//! let set = seen.plus(33 * 3600);
//! config.devices = Some(vec![Device {
//!     clock: vec![
//!         ClockSample { at: seen, skew_s: 300, step: false },
//!         ClockSample { at: set, skew_s: 0, step: true },
//!     ],
//!     ..Device::new("gate")
//! }]);
//! config.shifts = vec![ShiftTemplate::fixed("day", hour(8), hour(17))];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:05", "2025-03-03 17:05"]);
//! assert_eq!((outcome.records[0].late_s, outcome.records[0].worked_s), (0, 9 * 3600));
//! ```
//!
//! # Forgotten clock-outs are closed
//!
//! The end of the shift stands in, the record says so, and nobody is paid for longer.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! let mut day = ShiftTemplate::fixed("day", hour(8), hour(17));
//! day.missing_policy = MissingPolicy::AutoClose;
//! config.shifts = vec![day];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:00"]);
//! assert_eq!((outcome.records[0].worked_s, outcome.records[0].clock_out), (9 * 3600, None));
//! assert_eq!(outcome.records[0].flags, [Flag::AutoClosed]);
//! ```
//!
//! # Eleven hours of rest, forty hours a week
//!
//! As directive 2003/88/EC asks for, and overtime by the week.
//!
//! ```
//! # use attendance_core::*;
//! # use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
//! # let monday = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
//! # let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! # let mut config = Config::new("UTC", monday, monday + Days::new(6));
//! # fn told(config: Config, times: &[&str]) -> Outcome {
//! #     let at = |time: &str| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
//! #     let punch = |(n, time): (usize, &&str)| Punch::new(format!("p{n}"), "29", "gate", at(time));
//! #     let punches: Vec<Punch> = times.iter().enumerate().map(punch).collect();
//! #     assess(&punches, &[], &Plan::new(config, |_| Some(FixedZone::UTC)).unwrap(), None).unwrap()
//! # }
//! config.min_rest_between_s = Some(11 * 3600);
//! config.weekly = Some(Weekly { week_start: Weekday::Mon, threshold_s: 40 * 3600 });
//! config.shifts = vec![ShiftTemplate::flexible("day", 8 * 3600)];
//! config.default_shift = Some("day".into());
//!
//! let outcome = told(config, &["2025-03-03 08:00", "2025-03-03 23:00", "2025-03-04 08:00", "2025-03-04 17:00"]);
//! assert_eq!(outcome.records[1].flags, [Flag::ShortRest]);
//! ```
