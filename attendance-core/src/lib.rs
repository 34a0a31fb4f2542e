//! Pure rules from attendance punches to daily records.

mod assess;
mod breaks;
mod correct;
mod dedup;
mod error;
mod explain;
mod group;
mod id;
mod instant;
mod intake;
mod judge;
mod measure;
mod outcome;
mod outlier;
mod pair;
mod plan;
mod policy;
mod punch;
mod reading;
mod round;
mod schedule;
mod shift;
mod usual;
mod zone;

pub use assess::assess;
pub use error::Error;
pub use explain::Explanation;
pub use id::{CorrectionId, DeviceId, EmployeeId, PunchId, ShiftId, UserId};
pub use instant::{Instant, LocalTime};
pub use outcome::{
    Beyond, DayType, Disposition, DuplicateReason, Flag, Note, OrphanReason, Outcome, PunchOutcome,
    Record, Role, Rule, Session, Side, Slot, Status, Week,
};
pub use outlier::OutlierReason;
pub use plan::Plan;
pub use policy::{
    Assignment, ClockSample, Config, Device, Direction, Identity, Lock, RosterEntry, SinglePunch,
    Stat, Strategy, Weekly,
};
pub use punch::{Change, Correction, Kind, Occurrence, Punch, PunchTime};
pub use shift::{
    AutoBreak, Breaks, Clip, Form, Grace, MissingPolicy, OutlierPolicy, Overtime, OvertimeMode,
    Period, Round, RoundMode, Rounding, ShiftTemplate, Thresholds, Tolerance,
};
pub use zone::{FixedZone, Resolved, Zone};
