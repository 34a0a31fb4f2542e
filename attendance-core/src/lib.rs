//! Pure rules from attendance punches to daily records: no clock, no I/O, no randomness.
//!
//! A terminal tells who held a finger on it, and what its clock showed. This crate turns such [`Punch`]es into one
//! [`Record`] per person and shift: when they came and went, how late, how long, what is missing, what is odd. The rules
//! have numbers, R1 to R64, which the items here cite; each verdict can be [explained](Explanation) by them.
//!
//! # One night shift, start to finish
//!
//! ```
//! use attendance_core::{Config, FixedZone, Plan, Punch, ShiftTemplate, Status, assess};
//! use chrono::{NaiveDate, NaiveTime};
//!
//! // Who works when. That a shift runs over midnight follows from its times.
//! let evening = NaiveDate::from_ymd_opt(2025, 11, 11).unwrap();
//! let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
//! let mut config = Config::new("Africa/Nairobi", evening, evening);
//! config.shifts = vec![ShiftTemplate::fixed("night", hour(20), hour(5))];
//! config.default_shift = Some("night".into());
//!
//! // Zones come from the embedder; Nairobi has not changed its clocks since 1942.
//! let plan = Plan::new(config, |name| (name == "Africa/Nairobi").then_some(FixedZone::new(3 * 3600)))?;
//!
//! // What two terminals told: naive local time, and the door is no part of the question.
//! let morning = evening.succ_opt().unwrap();
//! let punches = [
//!     Punch::new("p1", "29", "gate", evening.and_hms_opt(20, 15, 0).unwrap()),
//!     Punch::new("p2", "29", "gate", evening.and_hms_opt(20, 15, 20).unwrap()),
//!     Punch::new("p3", "29", "back door", morning.and_hms_opt(5, 10, 0).unwrap()),
//! ];
//! let outcome = assess(&punches, &[], &plan, None)?;
//!
//! // One record, dated the evening.
//! let [night] = &outcome.records[..] else { panic!("one person, one night") };
//! assert_eq!((night.date, night.status), (evening, Status::Present));
//! assert_eq!(night.clock_out.unwrap().to_string(), "2025-11-12T05:10:00+03:00");
//! assert_eq!((night.worked_s, night.late_s), (8 * 3600 + 55 * 60, 15 * 60));
//!
//! // Nothing disappears, and everything has a reason.
//! let why: Vec<String> = outcome.punches.iter().map(|punch| punch.explain().to_string()).collect();
//! assert_eq!(why[1], "20:15:20 ignored: repeat within 60 s of 20:15:00 (R15)");
//! assert_eq!(why[2], "05:10:00 clocks out, shift night of 2025-11-11 (R36)");
//! assert_eq!(
//!     night.findings[0].to_string(),
//!     "late by 15 min: clocked in at 20:15:00, due at 20:00:00 (R49)"
//! );
//! # Ok::<(), attendance_core::Error>(())
//! ```
//!
//! # The way of a punch
//!
//! [`assess`] strings a ladder of small steps together:
//!
//! | step | rules | |
//! |---|---|---|
//! | reading | R2–R6 | civil time, doubled hours, wrong clocks: an instant |
//! | who | R8–R10 | device and user: an employee; [corrections](Correction) join here |
//! | repeats | R14–R18 | the same arrival told twice counts once |
//! | plan | R19–R27 | roster and [templates](ShiftTemplate): shift instances with windows |
//! | grouping | R28–R35 | each punch goes to one instance, or is set aside |
//! | pairing | R36–R42 | ins and outs, sessions, what is missing |
//! | measuring | R43–R52 | breaks, rounding, lateness, overtime |
//! | judging | R53–R60 | outliers, status, rest, weeks |
//!
//! [`Engine`] does the same as news comes. [`delta`] tells what a closed month would now be, [`what_if`] what other rules
//! would make of it. The [cookbook](manual::cookbook) has policies of ten lines, and [`manual::words`] all words that an
//! outcome can say, and [`manual::rules`] each rule in a line, with the tests that hold it.
//!
//! # What holds
//!
//! - The outcome is a function of the plan and the *sets* of punches and corrections: order and repetition change
//!   nothing (R61). [`Outcome::changes_since`] gives what news changed (R62).
//! - Every punch has exactly one [`Disposition`].
//! - Durations are differences of instants. A night over a clock change is as long as it was.
//! - Whole seconds everywhere; fields that end in `_s` are seconds. No floating point.
//! - [`assess`] does not panic on any input, also at the ends of the calendar (R64).
//!
//! # Features
//!
//! `serde` adds `Serialize` to the outcome types, in the field names of the exchange form, and `Deserialize` to
//! [`Record`] and [`Snapshot`], so that what was paid can be kept, and to [`ShiftTemplate`] and [`Strategy`], so that
//! rules can be written down.

mod assess;
mod breaks;
mod changes;
mod correct;
mod dedup;
mod desk;
mod engine;
mod error;
mod explain;
mod fate;
#[cfg(feature = "serde")]
mod form;
mod group;
mod id;
mod instant;
mod intake;
mod judge;
pub mod manual;
mod measure;
mod month;
mod order;
mod outcome;
mod outlier;
mod pair;
mod people;
mod person;
mod plan;
mod policy;
mod punch;
mod rank;
mod reading;
mod round;
mod schedule;
mod sessions;
mod set;
mod shift;
mod steady;
mod usual;
mod week;
mod zone;

pub use assess::assess;
pub use changes::{Changes, Tally};
pub use engine::Engine;
pub use error::Error;
pub use explain::Explanation;
pub use fate::{PunchOutcomes, PunchOutcomesIter};
pub use id::{CorrectionId, DeviceId, EmployeeId, PunchId, ShiftId, UserId};
pub use instant::{Instant, LocalTime};
pub use month::{Snapshot, delta, what_if};
pub use outcome::{
    Beyond, DayType, Disposition, DuplicateReason, Flag, Kept, Note, OrphanReason, Outcome,
    PunchOutcome, Record, Role, Rule, Session, Side, Slot, Status, Week,
};
pub use outlier::OutlierReason;
pub use plan::Plan;
pub use policy::{
    Assignment, ClockSample, Config, Device, Direction, Identity, Lock, RosterEntry, SinglePunch,
    Stat, Strategy, Weekly,
};
pub use punch::{Change, Correction, Kind, Occurrence, Punch, PunchTime};
pub use sessions::Sessions;
pub use set::{Member, Set};
pub use shift::{
    AutoBreak, Breaks, Clip, Form, Grace, MissingPolicy, OutlierPolicy, Overtime, OvertimeMode,
    Period, Round, RoundMode, Rounding, ShiftTemplate, Thresholds, Tolerance,
};
pub use zone::{FixedZone, Resolved, Zone};
