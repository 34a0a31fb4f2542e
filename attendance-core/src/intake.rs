//! From what was delivered to one ordered stream per employee (sections A to C).

use std::collections::HashMap;

use chrono::{Datelike, NaiveDateTime};

use crate::correct::Corrected;
use crate::dedup::Origin;
use crate::fate::Aside;
use crate::order;
use crate::people::People;
use crate::plan::{KnownDevice, Plan, SITE};
use crate::rank::{NONE, Numbers, glance};
use crate::reading::ClockCurve;
use crate::steady::Steady;
use crate::{
    DeviceId, Direction, EmployeeId, Error, Instant, Kind, LocalTime, Note, Occurrence, Punch,
    PunchId, PunchTime, Resolved, Set, Strategy, Zone,
};

/// A punch in the stream of its employee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) instant: Instant,
    /// Its place among all that are in streams.
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
    /// What keeps it out of its employee's stream.
    pub(crate) aside: Option<Aside>,
}

/// All punches, each read, and who each belongs to.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    told: &'a [Punch],
    added: &'a [Punch],
    pub(crate) ids: Vec<PunchId>,
    /// As delivered; also those whose id was delivered before.
    pub(crate) readings: Vec<Reading>,
    /// How many of them repeat one that was delivered before.
    pub(crate) repeated: usize,
    /// By id: those in the roster and those with a plausible punch (R63).
    pub(crate) employees: Vec<EmployeeId>,
    /// The streams of all employees, one after the other, each in canonical order (R7).
    stamps: Vec<Stamp>,
    /// Their places among the readings.
    pub(crate) sources: Vec<u32>,
    /// Where in `stamps` each employee's stream ends.
    ends: Vec<usize>,
}

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
            repeated: 0,
            employees: Vec::new(),
            stamps: Vec::new(),
            sources: Vec::new(),
            ends: Vec::new(),
        };
        let mut reader = Reader::new(plan, corrected, count);
        for punch in told.iter().chain(added) {
            let reading = reader.read(punch, intake.readings.len());
            intake.ids.push(punch.id.clone());
            intake.readings.push(reading);
        }
        intake.find_repeats(&mut reader)?;
        if let Some(id) = reader.refused {
            return Err(Error::InvalidPunch { id: id.clone() });
        }
        intake.settle_doubled(&mut reader);
        intake.find_streams(reader.people, &reader.present);
        Ok(intake)
    }

    fn punch(&self, at: u32) -> &'a Punch {
        let at = at as usize;
        match self.told.get(at) {
            Some(punch) => punch,
            None => &self.added[at - self.told.len()],
        }
    }

    /// R14: the set of punches.
    fn find_repeats<Z: Zone>(&mut self, reader: &mut Reader<'_, '_, Z>) -> Result<(), Error> {
        // Nearly all ids differ, and so do the numbers made from them; plain numbers sort fastest.
        if self.ids.is_sorted_by(|a, b| a < b) {
            return Ok(());
        }
        let key = |(at, id): (u64, &PunchId)| glance(id.as_str()) << 32 | at;
        let mut keys: Vec<u64> = (0..).zip(&self.ids).map(key).collect();
        keys.sort_unstable();
        let mut conflict: Option<&PunchId> = None;
        for alike in keys.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
            if alike.len() == 1 {
                continue;
            }
            let id = |key: u64| &self.ids[low_half(key) as usize];
            alike.sort_unstable_by(|&a, &b| (id(a), a).cmp(&(id(b), b)));
            for pair in alike.windows(2).filter(|pair| id(pair[0]) == id(pair[1])) {
                let [first, again] = [pair[0], pair[1]].map(low_half);
                if self.punch(first) != self.punch(again) {
                    let known = conflict.unwrap_or(id(pair[1]));
                    conflict = Some(known.min(id(pair[1])));
                }
                let again = &mut self.readings[again as usize];
                reader.take_out(again);
                again.aside = Some(Aside::Repeated);
                self.repeated += 1;
            }
        }
        match conflict {
            Some(id) => Err(Error::ConflictingPunchId { id: id.clone() }),
            None => Ok(()),
        }
    }

    /// R3, second step: the record before on the same device decides which occurrence it was.
    fn settle_doubled<Z: Zone>(&mut self, reader: &mut Reader<'_, '_, Z>) {
        if reader.doubled.is_empty() {
            return;
        }
        let plan = reader.plan;
        let line = |punch: &'a Punch| (punch.device.as_str(), punch.user.as_str());
        let doubled = reader.doubled.iter();
        let mut chains: HashMap<_, Chain<'_>> = doubled
            .map(|&at| (line(self.punch(at)), Vec::new()))
            .collect();
        for (at, reading) in (0..).zip(&self.readings) {
            let punch = self.punch(at);
            if let Some(seq) = punch.seq
                && reading.aside != Some(Aside::Repeated)
                && let Some(chain) = chains.get_mut(&line(punch))
            {
                chain.push((seq, &punch.id, at));
            }
        }
        for ((device, _), mut chain) in chains {
            let Some(terminal) = terminal(plan, device) else {
                continue;
            };
            let zone = &plan.zones[terminal.zone];
            // By record number, then by id.
            chain.sort_unstable();
            let mut before: Option<Instant> = None;
            for (.., at) in chain {
                let punch = self.punch(at);
                // Before its clock is corrected.
                let Some(told) = told(punch, zone) else {
                    continue;
                };
                let mut time = told.time;
                if let (true, PunchTime::Civil(civil)) = (told.needs_sequence, punch.time)
                    && let Resolved::Fold { first, second } = zone.resolve(civil)
                    && before.is_some_and(|before| first < before && before <= second)
                {
                    time = read(second, civil);
                    let reading = &mut self.readings[at as usize];
                    reader.take_out(reading);
                    reading.time = Some(correct_clock(time, terminal.clock, &mut reading.notes));
                    reader.place(punch, reading);
                }
                before = Some(time.instant());
            }
        }
    }

    /// R10: finds the punches of each employee; `present` says how many each number has.
    fn find_streams<Z>(&mut self, people: People<'_, Z>, present: &[usize]) {
        let (employees, ranks) = people.rank();
        let mut counts = vec![0; employees.len()];
        for (&rank, &present) in ranks.iter().zip(present) {
            counts[rank as usize] = present;
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
        for (punch, reading) in (0..).zip(&mut self.readings) {
            if let Some(&rank) = ranks.get(reading.employee as usize) {
                reading.employee = rank;
            }
            if let (None, Some(time)) = (reading.aside, reading.time) {
                let end = &mut ends[reading.employee as usize];
                stamps[*end] = Stamp {
                    instant: time.instant(),
                    punch,
                    kind: reading.kind,
                };
                *end += 1;
            }
        }
        let (mut buffers, mut begin) = (Buffers::default(), 0);
        for &end in &ends {
            self.put_in_order(&mut stamps[begin..end], &mut buffers);
            begin = end;
        }
        self.sources = stamps.iter().map(|stamp| stamp.punch).collect();
        for (place, stamp) in (0..).zip(&mut stamps) {
            stamp.punch = place;
        }
        (self.employees, self.ends, self.stamps) = (employees, ends, stamps);
    }

    /// R7. The stamps still have their places among the readings.
    fn put_in_order(&self, stream: &mut [Stamp], buffers: &mut Buffers) {
        if !stream.is_sorted_by_key(|stamp| stamp.instant) {
            stream.sort_unstable_by_key(|stamp| stamp.instant);
        }
        // And then what happened in the same second by all the rest.
        for same in stream.chunk_by_mut(|a, b| a.instant == b.instant) {
            let [first, rest @ ..] = &*same else { continue };
            if rest.is_empty() {
                continue;
            }
            let id = |stamp: &Stamp| &self.ids[stamp.punch as usize];
            let origin = |stamp: &Stamp| origin(self.punch(stamp.punch));
            let first = origin(first);
            if rest.iter().all(|stamp| origin(stamp) == first) {
                let keys = &mut buffers.ids;
                keys.clear();
                keys.extend(
                    (0..)
                        .zip(&*same)
                        .map(|(nth, stamp)| order::key(id(stamp), nth)),
                );
                order::sort(keys, &|nth| id(&same[nth as usize]));
                let sorted = keys.iter().map(|&key| same[order::place(key) as usize]);
                buffers.arranged.clear();
                buffers.arranged.extend(sorted);
                same.copy_from_slice(&buffers.arranged);
            } else {
                let rest = |stamp: &Stamp| (origin(stamp), id(stamp));
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

    /// The punch of a stamp.
    pub(crate) fn stamped(&self, at: u32) -> &'a Punch {
        self.punch(self.sources[at as usize])
    }
}

pub(crate) fn origin(punch: &Punch) -> Origin<'_> {
    Origin {
        device: &punch.device,
        user: &punch.user,
        state: punch.state.unwrap_or(-1),
    }
}

/// What streams are put in order with.
#[derive(Default)]
struct Buffers {
    ids: Vec<u128>,
    arranged: Vec<Stamp>,
}

/// The place that is in the lower half of a sorting key.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off is the other half"
)]
const fn low_half(key: u64) -> u32 {
    key as u32
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
    /// How many punches go into each stream, by the person's number.
    present: Vec<usize>,
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
            present: Vec::new(),
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
            aside: None,
        };
        let Some(terminal) = &self.terminals[device as usize] else {
            self.place(punch, &mut reading);
            return reading;
        };
        if let Some(told) = told(punch, &self.zones[terminal.zone]) {
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
        self.place(punch, &mut reading);
        reading
    }

    /// R6 to R9: puts a punch into its stream, or says what keeps it out.
    fn place(&mut self, punch: &Punch, reading: &mut Reading) {
        let known = reading.employee != NONE;
        reading.aside = aside(&punch.id, reading.time, known, self.corrected, self.plan);
        if reading.aside.is_none() {
            let person = reading.employee as usize;
            if person >= self.present.len() {
                self.present.resize(person + 1, 0);
            }
            self.present[person] += 1;
        }
    }

    /// Takes a punch out of its stream, if it is in one.
    fn take_out(&mut self, reading: &Reading) {
        if reading.aside.is_none() {
            self.present[reading.employee as usize] -= 1;
        }
    }
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

/// R2 and R4, and the first step of R3; `None` for a year that no rule knows.
#[inline]
pub(crate) fn told<Z: Zone>(punch: &Punch, zone: &Z) -> Option<Told> {
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
        _ => return None,
    };
    Some(Told {
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
pub(crate) fn aside<Z>(
    id: &PunchId,
    time: Option<LocalTime>,
    known: bool,
    corrected: &Corrected,
    plan: &Plan<Z>,
) -> Option<Aside> {
    if corrected.voided(id).is_some() {
        return Some(Aside::Voided);
    }
    let Some(time) = time else {
        return Some(Aside::UnknownDevice);
    };
    if !known {
        return Some(Aside::UnknownEmployee);
    }
    let early = plan
        .config
        .plausible_from
        .is_some_and(|from| time.instant() < from);
    let late = plan
        .config
        .plausible_until
        .is_some_and(|until| time.instant() > until);
    (early || late).then_some(Aside::ImplausibleTime)
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
