//! From what was delivered to one ordered stream per employee (sections A to C).

use std::collections::HashMap;

use chrono::{Datelike, NaiveDateTime};

use crate::correct::Corrected;
use crate::dedup::Origin;
use crate::fate::Fate;
use crate::people::People;
use crate::plan::{KnownDevice, Plan, SITE};
use crate::rank::{NONE, Numbers};
use crate::reading::ClockCurve;
use crate::steady::Steady;
use crate::{
    DeviceId, Direction, EmployeeId, Error, Instant, Kind, LocalTime, Note, Occurrence,
    OrphanReason, Punch, PunchId, PunchTime, Resolved, Set, Strategy, Zone,
};

/// A punch in the stream of its employee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) instant: Instant,
    /// Its place among the readings.
    pub(crate) punch: u32,
    pub(crate) kind: Kind,
}

/// A punch, read. There are many, so they are small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The corrected instant, told in the device's zone; `None` if the device is unknown.
    pub(crate) time: Option<LocalTime>,
    /// Rank of the employee, or [`NONE`].
    pub(crate) employee: u32,
    pub(crate) kind: Kind,
    pub(crate) notes: Set<Note>,
}

/// All punches, each read, and who each belongs to.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    told: &'a [Punch],
    added: &'a [Punch],
    pub(crate) ids: Vec<PunchId>,
    /// As delivered; also those whose id was delivered before.
    pub(crate) readings: Vec<Reading>,
    /// What is known already: all but those in a stream.
    pub(crate) fates: Vec<Fate>,
    /// The places of the readings by punch id, each id once; `None` if they are in this order.
    pub(crate) by_id: Option<Vec<u32>>,
    /// By id: those in the roster and those with a plausible punch (R63).
    pub(crate) employees: Vec<EmployeeId>,
    /// The streams of all employees, one after the other, each in canonical order (R7).
    stamps: Vec<Stamp>,
    /// Where in `stamps` each employee's stream ends.
    ends: Vec<usize>,
}

/// So many punches are looked at twice while they are near.
const AT_ONCE: usize = 256;

impl<'a> Intake<'a> {
    pub(crate) fn new<Z: Zone>(
        told: &'a [Punch],
        corrected: &'a Corrected,
        plan: &Plan<Z>,
    ) -> Result<Self, Error> {
        let added = &corrected.added[..];
        let count = told.len() + added.len();
        let mut intake = Self {
            told,
            added,
            ids: Vec::with_capacity(count),
            readings: Vec::with_capacity(count),
            fates: Vec::with_capacity(count),
            by_id: None,
            employees: Vec::new(),
            stamps: Vec::new(),
            ends: Vec::new(),
        };
        let mut keys: Vec<u128> = Vec::with_capacity(count);
        let mut reader = Reader::new(plan, corrected, count);
        for punches in [told, added] {
            for near in punches.chunks(AT_ONCE) {
                // The first look fetches the ids from memory, all at once; after it they are cheap to share.
                for punch in near {
                    keys.push(id_key(&punch.id, 0, keys.len()));
                }
                for punch in near {
                    intake.ids.push(punch.id.clone());
                    intake
                        .readings
                        .push(reader.read(punch, intake.readings.len()));
                }
            }
        }
        intake.sort_by_id(keys)?;
        if let Some(id) = reader.refused {
            return Err(Error::InvalidPunch { id: id.clone() });
        }
        intake.settle_doubled(&reader);
        intake.find_streams(reader.people, corrected, plan);
        Ok(intake)
    }

    pub(crate) fn punch(&self, at: u32) -> &'a Punch {
        let at = at as usize;
        match self.told.get(at) {
            Some(punch) => punch,
            None => &self.added[at - self.told.len()],
        }
    }

    /// R14: the set of punches.
    fn sort_by_id(&mut self, mut keys: Vec<u128>) -> Result<(), Error> {
        self.fates.resize(self.ids.len(), Fate::NO_SHIFT);
        if self.ids.is_sorted_by(|a, b| a < b) {
            return Ok(());
        }
        let mut same = Vec::new();
        order_by_id(&mut keys, &self.ids, 0, &mut same);
        for &(first, again) in &same {
            if self.punch(first) != self.punch(again) {
                return Err(Error::ConflictingPunchId {
                    id: self.ids[first as usize].clone(),
                });
            }
            self.fates[again as usize] = Fate::Repeated;
        }
        let mut by_id: Vec<u32> = keys.into_iter().map(low_half).collect();
        if !same.is_empty() {
            by_id.retain(|&at| self.fates[at as usize] != Fate::Repeated);
        }
        self.by_id = Some(by_id);
        Ok(())
    }

    /// R3, second step: the record before on the same device decides which occurrence it was.
    fn settle_doubled<Z: Zone>(&mut self, reader: &Reader<'_, '_, Z>) {
        if reader.doubled.is_empty() {
            return;
        }
        let line = |punch: &'a Punch| (punch.device.as_str(), punch.user.as_str());
        let doubled = reader.doubled.iter();
        let mut chains: HashMap<_, Chain<'_>> = doubled
            .map(|&at| (line(self.punch(at)), Vec::new()))
            .collect();
        for (at, fate) in (0..).zip(&self.fates) {
            let punch = self.punch(at);
            if let Some(seq) = punch.seq
                && !matches!(fate, Fate::Repeated)
                && let Some(chain) = chains.get_mut(&line(punch))
            {
                chain.push((seq, &punch.id, at));
            }
        }
        for ((device, _), mut chain) in chains {
            let Some(terminal) = terminal(reader.plan, device) else {
                continue;
            };
            let zone = &reader.plan.zones[terminal.zone];
            // By record number, then by id.
            chain.sort_unstable();
            let mut before: Option<Instant> = None;
            for (.., at) in chain {
                let punch = self.punch(at);
                // Before its clock is corrected.
                let Ok(told) = told(punch, zone) else {
                    continue;
                };
                let mut time = told.time;
                if let (true, PunchTime::Civil(civil)) = (told.needs_sequence, punch.time)
                    && let Resolved::Fold { first, second } = zone.resolve(civil)
                    && before.is_some_and(|before| first < before && before <= second)
                {
                    time = read(second, civil);
                    let reading = &mut self.readings[at as usize];
                    reading.time = Some(correct_clock(time, terminal.clock, &mut reading.notes));
                }
                before = Some(time.instant());
            }
        }
    }

    /// R6 to R10: finds the punches of each employee, and says what keeps the others out.
    fn find_streams<Z>(&mut self, people: People<'_, Z>, corrected: &Corrected, plan: &Plan<Z>) {
        let (employees, ranks) = people.rank();
        let mut counts = vec![0; employees.len()];
        let readings = self.readings.iter_mut().zip(&mut self.fates);
        for ((reading, fate), id) in readings.zip(&self.ids) {
            if let Some(employee) = ranks.get(reading.employee as usize) {
                reading.employee = *employee;
            }
            if matches!(fate, Fate::Repeated) {
                continue;
            }
            let known = reading.employee != NONE;
            match barred(id, reading.time, known, corrected, plan) {
                Some(barred) => *fate = barred,
                None => counts[reading.employee as usize] += 1,
            }
        }
        // Each is put where its employee's part is: what comes in order stays in order.
        let mut ends = counts;
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        let nothing = Stamp {
            instant: Instant::MIN,
            punch: 0,
            kind: Kind::Unknown,
        };
        let mut stamps = vec![nothing; total];
        for (punch, (reading, fate)) in (0..).zip(self.readings.iter().zip(&self.fates)) {
            if let (Fate::NO_SHIFT, Some(time)) = (*fate, reading.time) {
                let end = &mut ends[reading.employee as usize];
                stamps[*end] = Stamp {
                    instant: time.instant(),
                    punch,
                    kind: reading.kind,
                };
                *end += 1;
            }
        }
        let (mut keys, mut sorted, mut begin) = (Vec::new(), Vec::new(), 0);
        for &end in &ends {
            self.put_in_order(&mut stamps[begin..end], &mut keys, &mut sorted);
            begin = end;
        }
        (self.employees, self.ends, self.stamps) = (employees, ends, stamps);
    }

    /// R7. `keys` and `sorted` are buffers.
    fn put_in_order(&self, stream: &mut [Stamp], keys: &mut Vec<u64>, sorted: &mut Vec<Stamp>) {
        if !stream.is_sorted_by_key(|stamp| stamp.instant) {
            let earliest = stream.iter().map(|stamp| stamp.instant).min();
            let earliest = earliest.unwrap_or(Instant::MIN);
            // Plain numbers sort fastest: seconds, and which it is.
            let key = |(nth, stamp): (u32, &Stamp)| {
                let second = u32::try_from(stamp.instant.since(earliest)).ok()?;
                Some(u64::from(second) << 32 | u64::from(nth))
            };
            keys.clear();
            keys.extend((0..=u32::MAX).zip(&*stream).map_while(key));
            if keys.len() == stream.len() {
                keys.sort_unstable();
                sorted.clear();
                let in_order = keys
                    .iter()
                    .map(|&key| stream[low_half(key.into()) as usize]);
                sorted.extend(in_order);
                stream.copy_from_slice(sorted);
            } else {
                // More than a century apart.
                stream.sort_by_key(|stamp| stamp.instant);
            }
        }
        // And then what happened in the same second by all the rest.
        for same in stream.chunk_by_mut(|a, b| a.instant == b.instant) {
            if same.len() > 1 {
                let rest =
                    |stamp: &Stamp| (self.origin(stamp.punch), &self.ids[stamp.punch as usize]);
                same.sort_unstable_by(|a, b| rest(a).cmp(&rest(b)));
            }
        }
    }

    /// The stream of each employee.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&EmployeeId, &[Stamp])> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let streams = begins.zip(&self.ends);
        let streams = streams.map(|(&begin, &end)| &self.stamps[begin..end]);
        self.employees.iter().zip(streams)
    }

    pub(crate) fn origin(&self, at: u32) -> Origin<'a> {
        let punch = self.punch(at);
        Origin {
            device: punch.device.as_str(),
            user: punch.user.as_str(),
            state: punch.state.unwrap_or(-1),
        }
    }
}

/// Punches with a record number, and their places.
type Chain<'a> = Vec<(i64, &'a PunchId, u32)>;

/// Reads punches one by one.
struct Reader<'a, 'p, Z> {
    plan: &'p Plan<Z>,
    corrected: &'p Corrected,
    /// As in the plan.
    zones: Vec<Steady<'p, Z>>,
    people: People<'p, Z>,
    users: Numbers<'a>,
    devices: Numbers<'a>,
    /// By the device's number.
    terminals: Vec<Option<Terminal<'p>>>,
    /// Which need the record before (R3).
    doubled: Vec<u32>,
    /// Of those whose year no rule knows, the first by id.
    refused: Option<&'a PunchId>,
}

impl<'a, 'p, Z: Zone> Reader<'a, 'p, Z> {
    fn new(plan: &'p Plan<Z>, corrected: &'p Corrected, count: usize) -> Self {
        Self {
            plan,
            corrected,
            zones: plan.zones.iter().map(Steady::new).collect(),
            people: People::new(plan),
            users: Numbers::new(count),
            devices: Numbers::new(count),
            terminals: Vec::new(),
            doubled: Vec::new(),
            refused: None,
        }
    }

    fn read(&mut self, punch: &'a Punch, at: usize) -> Reading {
        let device = self.devices.of(punch.device.as_str());
        if device as usize == self.terminals.len() {
            self.terminals
                .push(terminal(self.plan, punch.device.as_str()));
        }
        let mut reading = Reading {
            time: None,
            employee: NONE,
            kind: Kind::Unknown,
            notes: Set::EMPTY,
        };
        let Some(terminal) = &self.terminals[device as usize] else {
            return reading;
        };
        if let Ok(told) = told(punch, &self.zones[terminal.zone]) {
            if told.needs_sequence {
                self.doubled.extend(u32::try_from(at));
            }
            reading.notes = told.notes;
            let time = correct_clock(told.time, terminal.clock, &mut reading.notes);
            reading.time = Some(time);
        } else {
            let first = self.refused.map_or(&punch.id, |first| first.min(&punch.id));
            self.refused = Some(first);
        }
        let user = self.users.of(punch.user.as_str());
        reading.employee = self.people.find(device, user, terminal.manual, punch);
        reading.kind = kind(punch, terminal.direction, self.corrected, self.plan);
        reading
    }
}

/// So many bytes of an id fit into a number beside a place.
const BYTES: usize = 12;

/// A number that compares like a part of the id, and then like its place.
fn id_key(id: &PunchId, part: usize, at: usize) -> u128 {
    let text = id.as_str().as_bytes();
    let rest = text.get(part * BYTES..).unwrap_or_default();
    let number = |bytes: &[u8], most: usize| {
        let bytes = &bytes[..bytes.len().min(most)];
        let number = bytes
            .iter()
            .fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        // Shorter ones come first.
        number << (8 * (most - bytes.len()))
    };
    let (high, low) = match rest.split_first_chunk() {
        Some((eight, rest)) => (u64::from_be_bytes(*eight), number(rest, BYTES - 8)),
        None if rest.is_empty() => (0, 0),
        None => (number(rest, 8), 0),
    };
    u128::from(high) << 64 | u128::from(low) << 32 | at as u128
}

/// Sorts plain numbers, and what has the same ones by the next part of the ids. Whoever has many parts alike is
/// compared by the whole text. `same` receives who has the id of the one before.
fn order_by_id(keys: &mut [u128], ids: &[PunchId], part: usize, same: &mut Vec<(u32, u32)>) {
    keys.sort_unstable();
    for alike in keys.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
        if alike.len() == 1 {
            continue;
        }
        let id = |key: u128| &ids[low_half(key) as usize];
        if alike.len() < 32 || part == 7 {
            // Stable, so that equal ids stay in the order of delivery.
            alike.sort_by(|&a, &b| id(a).cmp(id(b)));
            let equal = alike.windows(2).filter(|pair| id(pair[0]) == id(pair[1]));
            same.extend(equal.map(|pair| (low_half(pair[0]), low_half(pair[1]))));
        } else {
            for key in &mut *alike {
                *key = id_key(id(*key), part + 1, low_half(*key) as usize);
            }
            order_by_id(alike, ids, part + 1, same);
        }
    }
}

/// The place that is in the lower 32 bits of a sorting key.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off is the rest"
)]
const fn low_half(key: u128) -> u32 {
    key as u32
}

/// What the plan knows about a device.
pub(crate) struct Terminal<'a> {
    pub(crate) zone: usize,
    pub(crate) direction: Direction,
    pub(crate) clock: &'a ClockCurve,
    pub(crate) manual: bool,
}

static PERFECT: ClockCurve = ClockCurve::PERFECT;

pub(crate) fn terminal<'a, Z>(plan: &'a Plan<Z>, name: &str) -> Option<Terminal<'a>> {
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

/// A punch's time as its device told it.
pub(crate) struct Told {
    pub(crate) time: LocalTime,
    pub(crate) notes: Set<Note>,
    /// It is doubled, and only the record before can tell which it was (R3).
    pub(crate) needs_sequence: bool,
}

/// R5.
#[inline]
pub(crate) fn correct_clock(
    time: LocalTime,
    clock: &ClockCurve,
    notes: &mut Set<Note>,
) -> LocalTime {
    let skew = clock.skew_at(time.instant());
    if skew == 0 {
        return time;
    }
    notes.insert(Note::ClockCorrected);
    LocalTime::new(time.instant().plus(skew.saturating_neg()), time.offset_s())
}

/// R2 and R4, and the first step of R3.
pub(crate) fn told<Z: Zone>(punch: &Punch, zone: &Z) -> Result<Told, Error> {
    let years = 0..=9999;
    let mut notes = Set::EMPTY;
    let mut needs_sequence = false;
    let time = match punch.time {
        PunchTime::Instant(instant) if years.contains(&instant.civil(0).year()) => {
            LocalTime::new(instant, zone.offset_at(instant))
        }
        PunchTime::Civil(civil) if years.contains(&civil.year()) => {
            let instant = match (zone.resolve(civil), punch.fold) {
                (Resolved::One(instant), _) => instant,
                (Resolved::Gap { before, .. }, _) => {
                    notes.insert(Note::DstGap);
                    before
                }
                (Resolved::Fold { first, second }, fold) => {
                    notes.insert(Note::DstFold);
                    needs_sequence = fold.is_none() && punch.seq.is_some();
                    if fold == Some(Occurrence::Second) {
                        second
                    } else {
                        first
                    }
                }
            };
            read(instant, civil)
        }
        _ => {
            return Err(Error::InvalidPunch {
                id: punch.id.clone(),
            });
        }
    };
    Ok(Told {
        time,
        notes,
        needs_sequence,
    })
}

/// The offset with which the civil time was read follows from the two.
pub(crate) fn read(instant: Instant, civil: NaiveDateTime) -> LocalTime {
    let offset = civil.and_utc().timestamp() - instant.unix();
    LocalTime::new(instant, i32::try_from(offset).unwrap_or(0))
}

/// R9: the first reason that keeps a punch out of the streams.
pub(crate) fn barred<Z>(
    id: &PunchId,
    time: Option<LocalTime>,
    known: bool,
    corrected: &Corrected,
    plan: &Plan<Z>,
) -> Option<Fate> {
    if corrected.voided(id).is_some() {
        return Some(Fate::Voided);
    }
    let Some(time) = time else {
        return Some(Fate::Orphan(OrphanReason::UnknownDevice));
    };
    if !known {
        return Some(Fate::Orphan(OrphanReason::UnknownEmployee));
    }
    let early = plan
        .config
        .plausible_from
        .is_some_and(|from| time.instant() < from);
    let late = plan
        .config
        .plausible_until
        .is_some_and(|until| time.instant() > until);
    (early || late).then_some(Fate::Orphan(OrphanReason::ImplausibleTime))
}

/// R11–R13, and what a human said.
pub(crate) fn kind<Z>(
    punch: &Punch,
    direction: Direction,
    corrected: &Corrected,
    plan: &Plan<Z>,
) -> Kind {
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
