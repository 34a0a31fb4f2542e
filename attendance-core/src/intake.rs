//! From what was delivered to one ordered stream per employee (sections A to C).

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime};

use crate::correct::Corrected;
use crate::plan::{KnownDevice, Plan, SITE};
use crate::reading::ClockCurve;
use crate::{
    CorrectionId, DeviceId, Direction, EmployeeId, Error, Instant, Kind, LocalTime, Note,
    Occurrence, OrphanReason, Punch, PunchTime, Resolved, Strategy, Zone,
};

/// A punch in the stream of its employee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) instant: Instant,
    /// Ranks by bytes, so that they compare like the ids (R7).
    pub(crate) device: u32,
    pub(crate) user: u32,
    /// Absent is −1 (R7).
    pub(crate) state: i64,
    /// Rank of the punch by id: its place in [`Intake::readings`].
    pub(crate) punch: u32,
    pub(crate) kind: Kind,
}

/// A punch, read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) punch: &'a Punch,
    /// The corrected instant, told in the device's zone; `None` if the device is unknown.
    pub(crate) time: Option<LocalTime>,
    pub(crate) notes: Notes,
    /// Rank of the employee.
    pub(crate) employee: Option<u32>,
    /// Why it is in nobody's stream.
    pub(crate) barred: Option<Barred<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Barred<'a> {
    Voided(&'a CorrectionId),
    Orphan(OrphanReason),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    clock_corrected: bool,
    dst_fold: bool,
    dst_gap: bool,
}

impl Notes {
    pub(crate) fn to_vec(self) -> Vec<Note> {
        let notes = [
            (self.clock_corrected, Note::ClockCorrected),
            (self.dst_fold, Note::DstFold),
            (self.dst_gap, Note::DstGap),
        ];
        notes
            .into_iter()
            .filter_map(|(set, note)| set.then_some(note))
            .collect()
    }
}

/// All punches, each read, and the streams.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    /// By punch id.
    pub(crate) readings: Vec<Reading<'a>>,
    /// By id: those in the roster and those with a plausible punch (R63).
    pub(crate) employees: Vec<EmployeeId>,
    /// The stream of each employee, in canonical order (R7), one behind the other.
    pub(crate) stamps: Vec<Stamp>,
    /// Where in `stamps` each employee's stream ends.
    pub(crate) ends: Vec<usize>,
}

impl<'a> Intake<'a> {
    pub(crate) fn new<Z: Zone>(
        punches: &'a [Punch],
        corrected: &'a Corrected<'a>,
        plan: &Plan<Z>,
    ) -> Result<Self, Error> {
        let set = set_by_id(punches, &corrected.added)?;
        let devices = Ranked::new(set.iter().map(|punch| punch.device.as_str()));
        let users = Ranked::new(set.iter().map(|punch| punch.user.as_str()));
        let known: Vec<Option<Terminal<'_>>> = devices
            .names
            .iter()
            .map(|name| terminal(plan, name))
            .collect();
        let mut people = People::new(plan);

        let mut readings = Vec::with_capacity(set.len());
        let mut marks = Vec::with_capacity(set.len());
        let mut doubled = Vec::new();
        for (rank, punch) in set.iter().copied().enumerate() {
            let (device, user) = (devices.ranks[rank], users.ranks[rank]);
            let mut reading = Reading {
                punch,
                time: None,
                notes: Notes::default(),
                employee: None,
                barred: None,
            };
            if let Some(terminal) = &known[device as usize] {
                let zone = &plan.zones[terminal.zone];
                let told = told(punch, zone, &mut reading.notes)?;
                if told.needs_sequence {
                    doubled.push(rank);
                }
                reading.time = Some(told.time);
                reading.employee = people.find(device, user, terminal.manual, punch);
            }
            marks.push((device, user));
            readings.push(reading);
        }
        settle_doubled(&doubled, &mut readings, &marks, |device| {
            known[device as usize]
                .as_ref()
                .map(|terminal| &plan.zones[terminal.zone])
        });

        let mut stamps = Vec::with_capacity(set.len());
        for (rank, reading) in readings.iter_mut().enumerate() {
            let (device, user) = marks[rank];
            let terminal = known[device as usize].as_ref();
            if let (Some(terminal), Some(time)) = (terminal, reading.time) {
                let skew = terminal.clock.skew_at(time.instant());
                if skew != 0 {
                    reading.notes.clock_corrected = true;
                    let corrected = time.instant().plus(skew.saturating_neg());
                    reading.time = Some(LocalTime::new(corrected, time.offset_s()));
                }
            }
            reading.barred = barred(reading, corrected, plan);
            let (Some(terminal), Some(time), Some(employee), None) =
                (terminal, reading.time, reading.employee, reading.barred)
            else {
                continue;
            };
            let punch = reading.punch;
            let stamp = Stamp {
                instant: time.instant(),
                device,
                user,
                state: punch.state.unwrap_or(-1),
                // A slice of punches is far shorter than 2³², each takes a hundred bytes.
                punch: u32::try_from(rank).unwrap_or(u32::MAX),
                kind: kind(punch, terminal.direction, corrected, plan),
            };
            stamps.push((employee, stamp));
        }
        Ok(people.into_intake(readings, stamps, plan))
    }
}

/// R14: punches form a set by id.
fn set_by_id<'a>(punches: &'a [Punch], added: &'a [Punch]) -> Result<Vec<&'a Punch>, Error> {
    let mut set: Vec<&Punch> = punches.iter().chain(added).collect();
    if !set.is_sorted_by(|a, b| a.id < b.id) {
        set.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = set
            .windows(2)
            .find(|pair| pair[0].id == pair[1].id && pair[0] != pair[1])
        {
            return Err(Error::ConflictingPunchId {
                id: pair[0].id.clone(),
            });
        }
        set.dedup_by(|a, b| a.id == b.id);
    }
    Ok(set)
}

/// Texts and their rank among all of them, by bytes.
struct Ranked<'a> {
    names: Vec<&'a str>,
    /// For each text given, in the order given.
    ranks: Vec<u32>,
}

impl<'a> Ranked<'a> {
    fn new(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut names = Vec::new();
        let mut ranks = Vec::with_capacity(texts.size_hint().0);
        let mut last: Option<(&str, u32)> = None;
        for text in texts {
            // Punches come in runs of one device, and often share the text itself.
            let number = match last {
                Some((before, number)) if std::ptr::eq(before, text) => number,
                _ => *seen.entry(text).or_insert_with(|| {
                    names.push(text);
                    u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
                }),
            };
            last = Some((text, number));
            ranks.push(number);
        }
        let order = ranking(&names);
        for rank in &mut ranks {
            *rank = order[*rank as usize];
        }
        names.sort_unstable();
        Self { names, ranks }
    }
}

/// The rank of each text among them all.
fn ranking<T: Ord>(texts: &[T]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(texts.len()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
    let mut ranks = vec![0; texts.len()];
    for (rank, &index) in (0..).zip(&order) {
        ranks[index as usize] = rank;
    }
    ranks
}

struct Terminal<'a> {
    zone: usize,
    direction: Direction,
    clock: &'a ClockCurve,
    manual: bool,
}

static PERFECT: ClockCurve = ClockCurve::PERFECT;

fn terminal<'a, Z>(plan: &'a Plan<Z>, name: &str) -> Option<Terminal<'a>> {
    let default = |manual| Terminal {
        zone: SITE,
        direction: Direction::Both,
        clock: &PERFECT,
        manual,
    };
    if name == DeviceId::MANUAL {
        return Some(default(true));
    }
    let Some(devices) = &plan.devices else {
        return Some(default(false));
    };
    let KnownDevice {
        zone,
        direction,
        clock,
    } = devices.get(name)?;
    Some(Terminal {
        zone: *zone,
        direction: *direction,
        clock,
        manual: false,
    })
}

struct Told {
    time: LocalTime,
    needs_sequence: bool,
}

/// R2 and R4, and the first step of R3.
fn told<Z: Zone>(punch: &Punch, zone: &Z, notes: &mut Notes) -> Result<Told, Error> {
    let years = 0..=9999;
    let (instant, civil) = match punch.time {
        PunchTime::Instant(instant) if years.contains(&instant.civil(0).year()) => {
            let time = LocalTime::new(instant, zone.offset_at(instant));
            return Ok(Told {
                time,
                needs_sequence: false,
            });
        }
        PunchTime::Civil(civil) if years.contains(&civil.year()) => {
            match (zone.resolve(civil), punch.fold) {
                (Resolved::One(instant), _) => (instant, civil),
                (Resolved::Gap { before, .. }, _) => {
                    notes.dst_gap = true;
                    (before, civil)
                }
                (Resolved::Fold { first, second }, fold) => {
                    notes.dst_fold = true;
                    let instant = if fold == Some(Occurrence::Second) {
                        second
                    } else {
                        first
                    };
                    let needs_sequence = fold.is_none() && punch.seq.is_some();
                    return Ok(Told {
                        time: read(instant, civil),
                        needs_sequence,
                    });
                }
            }
        }
        _ => {
            return Err(Error::InvalidPunch {
                id: punch.id.clone(),
            });
        }
    };
    Ok(Told {
        time: read(instant, civil),
        needs_sequence: false,
    })
}

/// The offset with which the civil time was read follows from the two.
fn read(instant: Instant, civil: NaiveDateTime) -> LocalTime {
    let offset = civil.and_utc().timestamp() - instant.unix();
    LocalTime::new(instant, i32::try_from(offset).unwrap_or(0))
}

/// R3, second step: the record before on the same device decides which occurrence it was.
fn settle_doubled<'z, Z: Zone + 'z>(
    doubled: &[usize],
    readings: &mut [Reading<'_>],
    marks: &[(u32, u32)],
    zone: impl Fn(u32) -> Option<&'z Z>,
) {
    if doubled.is_empty() {
        return;
    }
    let mut chains: HashMap<(u32, u32), Vec<(i64, usize)>> = doubled
        .iter()
        .map(|&rank| (marks[rank], Vec::new()))
        .collect();
    for (rank, reading) in readings.iter().enumerate() {
        if let (Some(chain), Some(seq)) = (chains.get_mut(&marks[rank]), reading.punch.seq) {
            chain.push((seq, rank));
        }
    }
    for ((device, _), mut chain) in chains {
        let Some(zone) = zone(device) else { continue };
        // By record number; ranks compare like ids.
        chain.sort_unstable();
        let mut before: Option<Instant> = None;
        for (_, rank) in chain {
            let reading = &mut readings[rank];
            if let (PunchTime::Civil(civil), None, true) = (
                reading.punch.time,
                reading.punch.fold,
                reading.notes.dst_fold,
            ) && let Resolved::Fold { first, second } = zone.resolve(civil)
                && before.is_some_and(|before| first < before && before <= second)
            {
                reading.time = Some(read(second, civil));
            }
            before = reading.time.map(LocalTime::instant);
        }
    }
}

/// R9: the first reason that keeps a punch out of the streams.
fn barred<'a, Z>(
    reading: &Reading<'_>,
    corrected: &Corrected<'a>,
    plan: &Plan<Z>,
) -> Option<Barred<'a>> {
    if let Some(by) = corrected.voided(&reading.punch.id) {
        return Some(Barred::Voided(by));
    }
    let Some(time) = reading.time else {
        return Some(Barred::Orphan(OrphanReason::UnknownDevice));
    };
    if reading.employee.is_none() {
        return Some(Barred::Orphan(OrphanReason::UnknownEmployee));
    }
    let early = plan
        .config
        .plausible_from
        .is_some_and(|from| time.instant() < from);
    let late = plan
        .config
        .plausible_until
        .is_some_and(|until| time.instant() > until);
    (early || late).then_some(Barred::Orphan(OrphanReason::ImplausibleTime))
}

/// R11–R13, and what a human said.
fn kind<Z>(punch: &Punch, direction: Direction, corrected: &Corrected<'_>, plan: &Plan<Z>) -> Kind {
    let strategy = plan.config.strategy;
    if !strategy.reads_kinds() {
        return Kind::Unknown;
    }
    if let Some(kind) = corrected.kind(&punch.id) {
        return kind;
    }
    match (strategy, direction) {
        (Strategy::Direction, Direction::In) => Kind::In,
        (Strategy::Direction, Direction::Out) => Kind::Out,
        _ => punch
            .state
            .and_then(|state| plan.config.state_map.get(&state))
            .copied()
            .unwrap_or_default(),
    }
}

/// Who is who (R8), numbered in the order of being met until everybody is known.
struct People<'p, Z> {
    plan: &'p Plan<Z>,
    numbers: HashMap<EmployeeId, u32>,
    met: Vec<EmployeeId>,
    by_mark: HashMap<(u32, u32), Option<u32>>,
    last: Option<((u32, u32), Option<u32>)>,
}

impl<'p, Z> People<'p, Z> {
    fn new(plan: &'p Plan<Z>) -> Self {
        Self {
            plan,
            numbers: HashMap::new(),
            met: Vec::new(),
            by_mark: HashMap::new(),
            last: None,
        }
    }

    fn find(&mut self, device: u32, user: u32, manual: bool, punch: &Punch) -> Option<u32> {
        let mark = (device, user);
        if let Some((before, number)) = self.last
            && before == mark
        {
            return number;
        }
        let number = if let Some(&number) = self.by_mark.get(&mark) {
            number
        } else {
            let employee = match &self.plan.identities {
                Some(identities) if !manual => identities
                    .employee(punch.device.as_str(), punch.user.as_str())
                    .cloned(),
                _ => Some(EmployeeId::from(Arc::<str>::from(punch.user.clone()))),
            };
            let number = employee.map(|employee| self.number(employee));
            self.by_mark.insert(mark, number);
            number
        };
        self.last = Some((mark, number));
        number
    }

    fn number(&mut self, employee: EmployeeId) -> u32 {
        if let Some(&number) = self.numbers.get(&employee) {
            return number;
        }
        let number = u32::try_from(self.met.len()).unwrap_or(u32::MAX);
        self.met.push(employee.clone());
        self.numbers.insert(employee, number);
        number
    }

    /// Ranks everybody and sorts the streams.
    fn into_intake<'a>(
        mut self,
        mut readings: Vec<Reading<'a>>,
        mut stamps: Vec<(u32, Stamp)>,
        plan: &Plan<Z>,
    ) -> Intake<'a> {
        for employee in plan.roster.keys() {
            self.number(employee.clone());
        }
        let ranks = ranking(&self.met);
        for reading in &mut readings {
            reading.employee = reading.employee.map(|number| ranks[number as usize]);
        }
        for (employee, _) in &mut stamps {
            *employee = ranks[*employee as usize];
        }
        stamps.sort_unstable_by_key(|(employee, stamp)| {
            (
                *employee,
                stamp.instant,
                stamp.device,
                stamp.user,
                stamp.state,
                stamp.punch,
            )
        });
        self.met.sort_unstable();

        let mut ends = vec![0; self.met.len()];
        for &(employee, _) in &stamps {
            ends[employee as usize] += 1;
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            *count = end;
        }
        Intake {
            readings,
            employees: self.met,
            stamps: stamps.into_iter().map(|(_, stamp)| stamp).collect(),
            ends,
        }
    }
}
