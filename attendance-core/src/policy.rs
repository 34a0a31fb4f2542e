//! The configuration of a site as plain data (rules, section 3.2). [`Plan::new`](crate::Plan::new) checks it.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};

use crate::{DeviceId, EmployeeId, Instant, Kind, ShiftId, ShiftTemplate, UserId};

/// Everything that the rules need besides punches.
///
/// ```
/// use attendance_core::{Config, ShiftTemplate};
/// use chrono::{NaiveDate, NaiveTime};
///
/// let day = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
/// let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
/// let mut config = Config::new("Africa/Nairobi", day, day);
/// config.shifts = vec![ShiftTemplate::fixed("night", at(20), at(5))];
/// config.default_shift = Some("night".into());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Zone of the site, by name; the default for devices and shifts.
    pub tz: String,
    /// First date for which records are made.
    pub from: NaiveDate,
    /// Last date for which records are made, included.
    pub to: NaiveDate,
    /// How ins and outs are told apart.
    pub strategy: Strategy,
    /// A punch so soon after a kept one is its duplicate (R15). Default 60.
    pub dedup_window_s: u32,
    /// What a lone punch is (R39).
    pub single_punch: SinglePunch,
    /// Punches that span less are one touch (R40). Default 0, off.
    pub min_span_s: u32,
    /// Device state to kind (R11). Default: 0 in, 1 out, 2 break out, 3 break in, 4 overtime in, 5 overtime out.
    pub state_map: BTreeMap<i64, Kind>,
    /// The devices; `None`: every device id is known, with the site's zone (R9).
    pub devices: Option<Vec<Device>>,
    /// Who is who; `None`: the user id is the employee id (R8).
    pub identities: Option<Vec<Identity>>,
    /// Shift templates.
    pub shifts: Vec<ShiftTemplate>,
    /// Who works what.
    pub roster: Vec<RosterEntry>,
    /// Template for dates that no assignment covers (R21), also for people who are not in the roster.
    pub default_shift: Option<ShiftId>,
    /// An open template for punches that belong to no shift (R31).
    pub unscheduled_shift: Option<ShiftId>,
    /// Holidays; an employee's own list replaces them (R58).
    pub holidays: Vec<NaiveDate>,
    /// Earliest plausible instant, included (R6).
    pub plausible_from: Option<Instant>,
    /// Latest plausible instant, included (R6).
    pub plausible_until: Option<Instant>,
    /// Closed periods (R35).
    pub locks: Vec<Lock>,
    /// The statistical check (R54); `None`: there is none.
    pub stat: Option<Stat>,
    /// Least rest between two records (R59); `None`: not checked.
    pub min_rest_between_s: Option<u32>,
    /// Weekly totals (R60); `None`: there are none.
    pub weekly: Option<Weekly>,
}

impl Config {
    /// The defaults of section 3.2: no shifts, no people, every device known.
    pub fn new(tz: impl Into<String>, from: NaiveDate, to: NaiveDate) -> Self {
        Self {
            tz: tz.into(),
            from,
            to,
            strategy: Strategy::default(),
            dedup_window_s: 60,
            single_punch: SinglePunch::default(),
            min_span_s: 0,
            state_map: BTreeMap::from([
                (0, Kind::In),
                (1, Kind::Out),
                (2, Kind::BreakOut),
                (3, Kind::BreakIn),
                (4, Kind::OtIn),
                (5, Kind::OtOut),
            ]),
            devices: None,
            identities: None,
            shifts: Vec::new(),
            roster: Vec::new(),
            default_shift: None,
            unscheduled_shift: None,
            holidays: Vec::new(),
            plausible_from: None,
            plausible_until: None,
            locks: Vec::new(),
            stat: None,
            min_rest_between_s: None,
            weekly: None,
        }
    }
}

/// How ins and outs are told apart (sections C and G).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Strategy {
    /// The first punch is the in, the last one the out (R36). States and directions have no influence (R13).
    #[default]
    FirstLast,
    /// In, out, in, out (R37). States and directions have no influence (R13).
    Alternating,
    /// By the device's punch state (R11, R38).
    State,
    /// By the device's direction, else by its punch state (R12, R38).
    Direction,
}

impl Strategy {
    /// Whether kinds have any influence (R13).
    pub const fn reads_kinds(self) -> bool {
        matches!(self, Self::State | Self::Direction)
    }
}

/// What a lone punch of unknown kind is (R39).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SinglePunch {
    /// In if it is nearer to the start of the shift than to its end, else out.
    #[default]
    Nearest,
    /// Always the in.
    In,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The zone its clock shows, by name; `None`: the site's.
    pub tz: Option<String>,
    /// Which way people go through its door (R12).
    pub direction: Direction,
    /// How far its clock was off, and when (R5).
    pub clock: Vec<ClockSample>,
}

impl Device {
    /// A device in the site's zone, for both directions, with a good clock.
    pub fn new(id: impl Into<DeviceId>) -> Self {
        Self {
            id: id.into(),
            tz: None,
            direction: Direction::Both,
            clock: Vec::new(),
        }
    }
}

/// Which way people go through a device's door (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Every punch arrives.
    In,
    /// Every punch leaves.
    Out,
    /// The punch state decides.
    #[default]
    Both,
}

/// How far a device's clock was off at one instant (R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSample {
    /// The true instant.
    pub at: Instant,
    /// Seconds by which the device was ahead; negative if it was behind.
    pub skew_s: i64,
    /// The clock was set at this instant: up to it the previous skew held, without drift between.
    pub step: bool,
}

/// One line of the identity map (R8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The device; `None` is every device that has no line of its own for this user (`"*"` in the exchange form).
    pub device: Option<DeviceId>,
    /// The user id on the device.
    pub user: UserId,
    /// The person.
    pub employee: EmployeeId,
}

/// What one person works, and when (R19–R21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterEntry {
    /// The person. At most one entry per person.
    pub employee: EmployeeId,
    /// Repeating patterns; the one with the latest `from` wins.
    pub assignments: Vec<Assignment>,
    /// Single dates, which beat every assignment. An empty list is a day off. At most one per date.
    pub overrides: Vec<(NaiveDate, Vec<ShiftId>)>,
    /// Holidays of this person, instead of the site's.
    pub holidays: Option<Vec<NaiveDate>>,
}

impl RosterEntry {
    /// Somebody with nothing but the default shift.
    pub fn new(employee: impl Into<EmployeeId>) -> Self {
        Self {
            employee: employee.into(),
            assignments: Vec::new(),
            overrides: Vec::new(),
            holidays: None,
        }
    }
}

/// A repeating pattern of shifts (R20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// First date covered.
    pub from: NaiveDate,
    /// Last date covered, included; `None`: it never ends.
    pub to: Option<NaiveDate>,
    /// The date of the pattern's first element; `None`: `from`.
    pub anchor: Option<NaiveDate>,
    /// One element per day, each a list of templates: none is a day off. Must not be empty itself.
    pub pattern: Vec<Vec<ShiftId>>,
}

/// A closed period: what arrives later cannot change it (R35).
///
/// This holds for punches, also for those that a correction adds later. Where a human says later that a punch does not
/// count, or what it was, or takes such a word back, this still holds: `voided` goes before every other disposition, and
/// R35 speaks of what arrives. Who must never see a closed record change keeps a [`Snapshot`](crate::Snapshot), assesses
/// without locks and shows the [`delta`](crate::delta), which tells such changes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Last date that was closed.
    pub until: NaiveDate,
    /// When it was closed.
    pub at: Instant,
}

/// The search for times that are unusual for a person (R54).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// How many values back the baseline goes. Default 60.
    pub history: u32,
    /// With fewer values there is no verdict. Default 10.
    pub min_n: u32,
    /// The limit of the modified z score, in thousandths. Default 3500.
    pub z_milli: u32,
    /// The least spread, so that very punctual people are not flagged for a minute. Default 300.
    pub mad_floor_s: u32,
}

impl Default for Stat {
    fn default() -> Self {
        Self {
            history: 60,
            min_n: 10,
            z_milli: 3500,
            mad_floor_s: 300,
        }
    }
}

/// Weekly totals (R60).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekly {
    /// The weekday on which a week begins.
    pub week_start: Weekday,
    /// Work beyond this is overtime of the week.
    pub threshold_s: u32,
}
