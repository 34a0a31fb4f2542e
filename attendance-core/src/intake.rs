//! From what was delivered to one ordered stream per employee (sections A to C).

use std::cmp::Ordering;
use std::collections::HashMap;

use chrono::{Datelike, NaiveDateTime};

use crate::correct::Corrected;
use crate::people::People;
use crate::plan::{KnownDevice, Plan, SITE};
use crate::rank::Ranked;
use crate::reading::ClockCurve;
use crate::{
    DeviceId, Direction, EmployeeId, Error, Instant, Kind, LocalTime, Note, Occurrence,
    OrphanReason, Punch, PunchId, PunchTime, Resolved, Set, Strategy, Zone,
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
    /// Its place in [`Intake::readings`].
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
    /// Rank of the employee, or [`NOBODY`].
    pub(crate) employee: u32,
    /// Why it is in nobody's stream.
    pub(crate) barred: Option<Barred>,
}

/// Stands where an employee's number would be: readings are many, and so they are small.
pub(crate) const NOBODY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Barred {
    /// The corrections say by which one.
    Voided,
    Orphan(OrphanReason),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) clock_corrected: bool,
    pub(crate) dst_fold: bool,
    pub(crate) dst_gap: bool,
}

impl Notes {
    pub(crate) fn to_set(self) -> Set<Note> {
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
    /// As delivered, each punch once.
    pub(crate) readings: Vec<Reading<'a>>,
    /// The places of the readings by punch id; `None` if they are in this order.
    pub(crate) by_id: Option<Vec<u32>>,
    /// By id: those in the roster and those with a plausible punch (R63).
    pub(crate) employees: Vec<EmployeeId>,
    /// The stream of each employee, in canonical order (R7), one behind the other.
    pub(crate) stamps: Vec<Stamp>,
    /// Where in `stamps` each employee's stream ends.
    pub(crate) ends: Vec<usize>,
    pub(crate) corrected: &'a Corrected,
}

impl<'a> Intake<'a> {
    pub(crate) fn new<Z: Zone>(
        punches: &'a [Punch],
        corrected: &'a Corrected,
        plan: &Plan<Z>,
    ) -> Result<Self, Error> {
        let Delivered { set, by_id } = delivered(punches, &corrected.added)?;
        let devices = Ranked::new(set.iter().map(|punch| punch.device.as_str()));
        let users = Ranked::new(set.iter().map(|punch| punch.user.as_str()));
        let known: Vec<Option<Terminal<'_>>> = devices
            .names
            .iter()
            .map(|name| terminal(plan, name))
            .collect();
        let mut people = People::new(plan, users.names.len());

        let mut readings = Vec::with_capacity(set.len());
        let mut doubled = Vec::new();
        for (rank, punch) in set.iter().copied().enumerate() {
            let (device, user) = (devices.ranks[rank], users.ranks[rank]);
            let mut reading = Reading {
                punch,
                time: None,
                notes: Notes::default(),
                employee: NOBODY,
                barred: None,
            };
            if let Some(terminal) = &known[device as usize] {
                let zone = &plan.zones[terminal.zone];
                let told = told(punch, zone, &mut reading.notes)?;
                if told.needs_sequence {
                    doubled.push(rank);
                }
                reading.time = Some(told.time);
                let employee = people.find(device, user, terminal.manual, punch);
                reading.employee = employee.unwrap_or(NOBODY);
            }
            readings.push(reading);
        }
        let mark = |at: usize| (devices.ranks[at], users.ranks[at]);
        settle_doubled(&doubled, &mut readings, mark, |device| {
            known[device as usize]
                .as_ref()
                .map(|terminal| &plan.zones[terminal.zone])
        });

        let (employees, ranks) = people.rank();
        let mut counts = vec![0; employees.len()];
        for (at, reading) in readings.iter_mut().enumerate() {
            if let Some(employee) = ranks.get(reading.employee as usize) {
                reading.employee = *employee;
            }
            if let (Some(terminal), Some(time)) = (&known[devices.ranks[at] as usize], reading.time)
            {
                reading.time = Some(correct_clock(time, terminal.clock, &mut reading.notes));
            }
            let known = reading.employee != NOBODY;
            let id = &reading.punch.id;
            reading.barred = barred(id, reading.time, known, corrected, plan);
            if reading.barred.is_none() {
                counts[reading.employee as usize] += 1;
            }
        }
        let (stamps, ends) = streams(&readings, mark, counts, |punch, device| {
            let direction = known[device as usize]
                .as_ref()
                .map_or(Direction::Both, |terminal| terminal.direction);
            kind(punch, direction, corrected, plan)
        });
        Ok(Self {
            readings,
            by_id,
            employees,
            stamps,
            ends,
            corrected,
        })
    }
}

/// R7, R10: the stream of each employee in canonical order, and where each ends.
fn streams(
    readings: &[Reading<'_>],
    mark: impl Fn(usize) -> (u32, u32),
    counts: Vec<usize>,
    kind: impl Fn(&Punch, u32) -> Kind,
) -> (Vec<Stamp>, Vec<usize>) {
    // Each is put where its employee's part is: what comes in order stays in order.
    let mut ends = counts;
    let mut total = 0;
    for end in &mut ends {
        (*end, total) = (total, total + *end);
    }
    let nothing = Stamp {
        instant: Instant::MIN,
        device: 0,
        user: 0,
        state: 0,
        punch: 0,
        kind: Kind::Unknown,
    };
    let mut stamps = vec![nothing; total];
    for (place, (at, reading)) in (0..).zip(readings.iter().enumerate()) {
        let (Some(time), None) = (reading.time, reading.barred) else {
            continue;
        };
        let (instant, employee) = (time.instant(), reading.employee as usize);
        let (device, user) = mark(at);
        stamps[ends[employee]] = Stamp {
            instant,
            device,
            user,
            state: reading.punch.state.unwrap_or(-1),
            punch: place,
            kind: kind(reading.punch, device),
        };
        ends[employee] += 1;
    }
    let canonical = |a: &Stamp, b: &Stamp| {
        let key = |stamp: &Stamp| (stamp.instant, stamp.device, stamp.user, stamp.state);
        let id = |stamp: &Stamp| &readings[stamp.punch as usize].punch.id;
        key(a).cmp(&key(b)).then_with(|| id(a).cmp(id(b)))
    };
    let (mut keys, mut sorted) = (Vec::new(), Vec::new());
    let mut begin = 0;
    for &end in &ends {
        sort_stream(&mut stamps[begin..end], &mut keys, &mut sorted, canonical);
        begin = end;
    }
    (stamps, ends)
}

/// Sorts by instant as plain numbers, and then only what happened in the same second by all the rest.
fn sort_stream(
    stream: &mut [Stamp],
    keys: &mut Vec<u128>,
    sorted: &mut Vec<Stamp>,
    canonical: impl Fn(&Stamp, &Stamp) -> Ordering,
) {
    if stream.is_sorted_by(|a, b| canonical(a, b).is_le()) {
        return;
    }
    // As many as fit into the numbers' lower half.
    let Ok(_) = u32::try_from(stream.len()) else {
        stream.sort_unstable_by(canonical);
        return;
    };
    keys.clear();
    let instants = (0_u128..).zip(stream.iter());
    keys.extend(instants.map(|(at, stamp)| {
        let since = stamp.instant.since(Instant::MIN);
        u128::from(since.unsigned_abs()) << 32 | at
    }));
    keys.sort_unstable();
    sorted.clear();
    sorted.extend(keys.iter().map(|key| stream[low_half(*key)]));
    for same in sorted.chunk_by_mut(|a, b| a.instant == b.instant) {
        if same.len() > 1 {
            same.sort_unstable_by(&canonical);
        }
    }
    stream.copy_from_slice(sorted);
}

/// The place that is in the lower 32 bits of a sorting key.
fn low_half(key: u128) -> usize {
    let [.., a, b, c, d] = key.to_be_bytes();
    u32::from_be_bytes([a, b, c, d]) as usize
}

/// The set of punches (R14).
struct Delivered<'a> {
    /// Each once, as delivered.
    set: Vec<&'a Punch>,
    by_id: Option<Vec<u32>>,
}

fn delivered<'a>(punches: &'a [Punch], added: &'a [Punch]) -> Result<Delivered<'a>, Error> {
    let mut set: Vec<&Punch> = punches.iter().chain(added).collect();
    if set.is_sorted_by(|a, b| a.id < b.id) {
        return Ok(Delivered { set, by_id: None });
    }
    let mut by_id = order_by_id(&set);
    let id = |at: u32| &set[at as usize].id;
    if by_id.windows(2).any(|pair| id(pair[0]) == id(pair[1])) {
        let mut twice = vec![false; set.len()];
        for same in by_id.chunk_by(|&a, &b| id(a) == id(b)) {
            let first = set[same[0] as usize];
            for &other in &same[1..] {
                if set[other as usize] != first {
                    return Err(Error::ConflictingPunchId {
                        id: first.id.clone(),
                    });
                }
                twice[other as usize] = true;
            }
        }
        let mut flags = twice.iter();
        set.retain(|_| flags.next() == Some(&false));
        by_id = order_by_id(&set);
    }
    Ok(Delivered {
        set,
        by_id: Some(by_id),
    })
}

/// The places of punches in the order of their ids: sorted as plain numbers by the bytes in which they begin to differ,
/// and then only what is still the same by the whole text.
fn order_by_id(set: &[&Punch]) -> Vec<u32> {
    const BYTES: usize = 12;
    let text = |at: usize| set[at].id.as_str().as_bytes();
    let first = set
        .first()
        .map_or(&[][..], |punch| punch.id.as_str().as_bytes());
    let common = set.iter().fold(first.len(), |common, punch| {
        let id = punch.id.as_str().as_bytes();
        let same = first[..common].iter().zip(id);
        same.take_while(|(a, b)| a == b).count()
    });
    let mut keys: Vec<u128> = (0_u128..)
        .zip(set)
        .map(|(at, punch)| {
            let rest = &punch.id.as_str().as_bytes()[common..];
            let mut key = [0; 16];
            let length = rest.len().min(BYTES);
            key[..length].copy_from_slice(&rest[..length]);
            u128::from_be_bytes(key) | at
        })
        .collect();
    keys.sort_unstable();
    for same in keys.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
        if same.len() > 1 {
            same.sort_by(|a, b| text(low_half(*a)).cmp(text(low_half(*b))));
        }
    }
    keys.into_iter()
        .map(|key| u32::try_from(low_half(key)).unwrap_or(u32::MAX))
        .collect()
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

pub(crate) struct Told {
    pub(crate) time: LocalTime,
    pub(crate) needs_sequence: bool,
}

/// R5.
pub(crate) fn correct_clock(time: LocalTime, clock: &ClockCurve, notes: &mut Notes) -> LocalTime {
    let skew = clock.skew_at(time.instant());
    if skew == 0 {
        return time;
    }
    notes.clock_corrected = true;
    LocalTime::new(time.instant().plus(skew.saturating_neg()), time.offset_s())
}

/// R2 and R4, and the first step of R3.
pub(crate) fn told<Z: Zone>(punch: &Punch, zone: &Z, notes: &mut Notes) -> Result<Told, Error> {
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
pub(crate) fn read(instant: Instant, civil: NaiveDateTime) -> LocalTime {
    let offset = civil.and_utc().timestamp() - instant.unix();
    LocalTime::new(instant, i32::try_from(offset).unwrap_or(0))
}

/// Punches with a record number, and their places.
type Chain<'a> = Vec<(i64, &'a PunchId, usize)>;

/// R3, second step: the record before on the same device decides which occurrence it was.
fn settle_doubled<'z, Z: Zone + 'z>(
    doubled: &[usize],
    readings: &mut [Reading<'_>],
    mark: impl Fn(usize) -> (u32, u32),
    zone: impl Fn(u32) -> Option<&'z Z>,
) {
    if doubled.is_empty() {
        return;
    }
    let mut chains: HashMap<(u32, u32), Chain<'_>> =
        doubled.iter().map(|&at| (mark(at), Vec::new())).collect();
    for (at, reading) in readings.iter().enumerate() {
        if let (Some(chain), Some(seq)) = (chains.get_mut(&mark(at)), reading.punch.seq) {
            chain.push((seq, &reading.punch.id, at));
        }
    }
    for ((device, _), mut chain) in chains {
        let Some(zone) = zone(device) else { continue };
        // By record number, then by id.
        chain.sort_unstable();
        let mut before: Option<Instant> = None;
        for (.., at) in chain {
            let reading = &mut readings[at];
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
pub(crate) fn barred<Z>(
    id: &PunchId,
    time: Option<LocalTime>,
    known: bool,
    corrected: &Corrected,
    plan: &Plan<Z>,
) -> Option<Barred> {
    if corrected.voided(id).is_some() {
        return Some(Barred::Voided);
    }
    let Some(time) = time else {
        return Some(Barred::Orphan(OrphanReason::UnknownDevice));
    };
    if !known {
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
