//! The rules, kept up to date as news comes (R62; rules, section 7).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;

use chrono::NaiveDate;

use crate::correct::Corrected;
use crate::desk::Desk;
use crate::fate::{Aside, Fate};
use crate::intake::{self, Reading, Terminal};
use crate::person::{Key, Live, Mark, Office, Person, Told};
use crate::plan::Plan;
use crate::rank::NONE;
use crate::schedule::Calendar;
use crate::{
    Changes, Correction, CorrectionId, DeviceId, EmployeeId, Error, Instant, Kept, Kind, LocalTime,
    Note, Outcome, Punch, PunchId, PunchOutcome, PunchOutcomes, PunchTime, Record, Resolved, Set,
    UserId, Zone, week,
};

/// Assesses punches as they come, and says which records each portion changed.
///
/// Whatever the portions and their order, [`Engine::outcome`] is what [`assess`](crate::assess) makes of everything
/// together (law L16). What a late punch costs does not depend on how much history there is: only the stretch of
/// punches that hang together with it is looked at again, and the records around it.
///
/// The engine holds what it was given. [`Engine::close`] lets go of periods that are over, so that what it holds of a
/// person is bounded by the open period.
///
/// ```
/// use attendance_core::{Config, Engine, FixedZone, Plan, Punch, ShiftTemplate, Status};
/// use chrono::{NaiveDate, NaiveTime};
///
/// let date = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
/// let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
/// let mut config = Config::new("UTC", date, date);
/// config.shifts = vec![ShiftTemplate::fixed("day", hour(8), hour(17))];
/// config.default_shift = Some("day".into());
/// let mut engine = Engine::new(Plan::new(config, |_| Some(FixedZone::UTC))?)?;
///
/// let out = Punch::new("p2", "29", "gate", date.and_time(hour(17)));
/// let changes = engine.add(&[out], &[])?;
/// assert_eq!(changes.added[0].status, Status::Incomplete);
///
/// // The in was on a terminal that was offline.
/// let late = Punch::new("p1", "29", "gate", date.and_time(hour(8)));
/// let changes = engine.add(&[late], &[])?;
/// let (before, after) = &changes.changed[0];
/// assert_eq!((before.worked_s, after.worked_s), (0, 9 * 3600));
/// # Ok::<(), attendance_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine<Z> {
    plan: Plan<Z>,
    as_of: Option<Instant>,
    calendar: Calendar,
    corrections: BTreeMap<CorrectionId, Correction>,
    corrected: Corrected,
    held: Vec<Option<Held>>,
    free: Vec<u32>,
    ids: HashMap<PunchId, u32>,
    /// The records of each user on each device that have a number, in order (R3).
    chains: HashMap<Line, Chain>,
    people: BTreeMap<EmployeeId, Person>,
    /// When records become final by themselves.
    settles: BTreeSet<(Instant, EmployeeId, Key)>,
    /// The last date that was closed.
    closed: Option<NaiveDate>,
    /// What closed dates add to a week that is still open.
    carried: BTreeMap<EmployeeId, Vec<Record>>,
    /// What is wrong with the default shift for whoever has nothing else.
    overlap: Option<Error>,
}

/// By record number and id; `None` stands for punches that were let go.
type Chain = BTreeMap<Place, Option<u32>>;

/// One user on one device.
type Line = (DeviceId, UserId);

type Place = (i64, PunchId);

/// A punch, and what became of it.
#[derive(Debug)]
struct Held {
    punch: Punch,
    /// A device told it.
    told: bool,
    /// A correction added it.
    manual: bool,
    /// As first read, before anything is known about the clock.
    read: Option<LocalTime>,
    needs_sequence: bool,
    /// The corrected instant.
    time: Option<LocalTime>,
    notes: Set<Note>,
    employee: Option<EmployeeId>,
    /// Where it is in the stream of its employee.
    mark: Option<Mark>,
    /// Its period had been closed when it came, by [`Engine::close`].
    shut: Option<NaiveDate>,
    /// It came after its period was closed, and is in no stream.
    late: Option<NaiveDate>,
    fate: Fate,
    /// The window edge that an outlier lies beyond.
    edge: Option<LocalTime>,
}

impl Held {
    /// Whether it makes its employee exist (R63).
    fn counts(&self) -> bool {
        self.mark.is_some() || self.late.is_some()
    }
}

/// News that were found to be in order.
struct News {
    corrections: Vec<Correction>,
    corrected: Option<Corrected>,
    punches: Vec<(Punch, bool)>,
    /// Punches that are told and added at once.
    known: Vec<(u32, bool)>,
}

impl<Z: Zone> Engine<Z> {
    /// An engine for which everything is past (R55).
    ///
    /// # Errors
    ///
    /// `overlapping_shifts`, for somebody in the roster.
    pub fn new(plan: Plan<Z>) -> Result<Self, Error> {
        Self::start(plan, None)
    }

    /// An engine at a present instant, which [`Engine::advance`] moves.
    ///
    /// # Errors
    ///
    /// `overlapping_shifts`, for somebody in the roster.
    pub fn starting_at(plan: Plan<Z>, as_of: Instant) -> Result<Self, Error> {
        Self::start(plan, Some(as_of))
    }

    fn start(plan: Plan<Z>, as_of: Option<Instant>) -> Result<Self, Error> {
        let mut calendar = Calendar::new(&plan);
        let mut instances = Vec::new();
        for (employee, roster) in &plan.roster {
            calendar.instances(&plan, employee, Some(roster), &mut instances)?;
        }
        let nobody = EmployeeId::from("");
        let overlap = calendar
            .instances(&plan, &nobody, None, &mut instances)
            .err();
        let mut engine = Self {
            as_of,
            calendar,
            corrections: BTreeMap::new(),
            corrected: Corrected::default(),
            held: Vec::new(),
            free: Vec::new(),
            ids: HashMap::new(),
            chains: HashMap::new(),
            people: BTreeMap::new(),
            settles: BTreeSet::new(),
            closed: None,
            carried: BTreeMap::new(),
            overlap,
            plan,
        };
        let people: Vec<EmployeeId> = engine.plan.roster.keys().cloned().collect();
        for employee in people {
            engine.person(&employee);
            // What nobody has asked for is not news.
            engine.collect(&employee, &mut Changes::default());
        }
        Ok(engine)
    }

    /// What the records are made by.
    pub fn plan(&self) -> &Plan<Z> {
        &self.plan
    }

    /// The present instant.
    pub fn as_of(&self) -> Option<Instant> {
        self.as_of
    }

    /// How many punches the engine holds: what [`Engine::close`] keeps small.
    pub fn held(&self) -> usize {
        self.ids.len()
    }

    /// The last date that was closed.
    pub fn closed(&self) -> Option<NaiveDate> {
        self.closed
    }

    /// What was taken in, as far as it is held: punches that devices told, and corrections.
    pub(crate) fn input(&self) -> (Vec<Punch>, Vec<Correction>) {
        let told = self.held.iter().flatten().filter(|held| held.told);
        (
            told.map(|held| held.punch.clone()).collect(),
            self.corrections.values().cloned().collect(),
        )
    }

    /// Takes in news, in any order and portions; what is known already changes nothing.
    ///
    /// Records are those of the plan's dates; a person who was unknown so far brings all of them.
    ///
    /// # Errors
    ///
    /// Those of [`assess`](crate::assess). Nothing has changed then.
    pub fn add(&mut self, punches: &[Punch], corrections: &[Correction]) -> Result<Changes, Error> {
        let news = self.check(punches, corrections)?;
        let mut touched: BTreeSet<u32> = BTreeSet::new();
        let mut fresh: HashSet<u32> = HashSet::new();
        let mut doubtful: BTreeSet<u32> = BTreeSet::new();
        for correction in news.corrections {
            self.corrections.insert(correction.id.clone(), correction);
        }
        for (at, manual) in news.known {
            if let Some(held) = self.held[at as usize].as_mut() {
                held.told |= !manual;
                held.manual |= manual;
            }
        }
        let mut people: BTreeSet<EmployeeId> = BTreeSet::new();
        if let Some(corrected) = news.corrected {
            let old = std::mem::replace(&mut self.corrected, corrected);
            self.compare(&old, &mut touched, &mut doubtful, &mut people);
        }
        for (punch, manual) in news.punches {
            let at = self.hold(punch, manual, &mut doubtful);
            touched.insert(at);
            fresh.insert(at);
        }
        while let Some(at) = doubtful.pop_first() {
            if self.settle_doubled(at, &mut doubtful) {
                touched.insert(at);
            }
        }
        for at in touched {
            self.place(at, fresh.contains(&at), &mut people);
        }
        Ok(self.work(people))
    }

    /// Moves the present on: records of which nothing more can come become final (R55).
    ///
    /// The present does not go back, also not from an engine for which everything is past.
    pub fn advance(&mut self, as_of: Instant) -> Changes {
        if self.as_of.is_none_or(|now| as_of <= now) {
            return Changes::default();
        }
        self.as_of = Some(as_of);
        let mut ripe: BTreeMap<EmployeeId, Vec<Key>> = BTreeMap::new();
        while let Some((settles, ..)) = self.settles.first()
            && *settles <= as_of
            && let Some((_, employee, key)) = self.settles.pop_first()
        {
            ripe.entry(employee).or_default().push(key);
        }
        let mut changes = Changes::default();
        for (employee, keys) in ripe {
            let (person, mut office) = desk_of(
                &self.plan,
                &mut self.calendar,
                &mut self.people,
                self.as_of,
                &employee,
            );
            if let Some(person) = person {
                person.ripen(keys, &mut office);
                let told = office.told;
                self.tell(told);
            }
            self.collect(&employee, &mut changes);
        }
        changes
    }

    /// Closes all dates up to `until` and lets go of them: records, punches, and what became of them.
    ///
    /// From now on it is as if a [lock](crate::Lock) had been made at this moment (R35): what arrives for the closed
    /// dates changes nothing and has the disposition `late_locked`. Closed records are told by no outcome and change
    /// no more, so keep them. What open dates need of the past is kept: the last clock-out, the week that is not over,
    /// the statistics' window, and punches that may still be repeated.
    pub fn close(&mut self, until: NaiveDate) {
        if self.closed.is_some_and(|closed| until <= closed) {
            return;
        }
        self.closed = Some(until);
        let history = self
            .plan
            .config
            .stat
            .map_or(0, |stat| stat.history as usize);
        let people: Vec<EmployeeId> = self.people.keys().cloned().collect();
        for employee in people {
            let (person, mut office) = desk_of(
                &self.plan,
                &mut self.calendar,
                &mut self.people,
                self.as_of,
                &employee,
            );
            let Some(person) = person else { continue };
            let (punches, records) = person.forget(until, &mut office, history);
            let week = self
                .plan
                .config
                .weekly
                .map(|weekly| week::of(until, weekly));
            let carried = self.carried.entry(employee.clone()).or_default();
            carried.retain(|record| week.is_some_and(|week| record.date >= week));
            for (key, record) in records {
                if let Some(settles) = record.settles_at {
                    self.settles.remove(&(settles, employee.clone(), key));
                }
                if week.is_some_and(|week| record.date >= week) {
                    carried.push(record);
                }
            }
            for live in punches {
                self.let_go(live.held);
            }
        }
        // Late ones and those of nobody have no part in what comes.
        let gone: Vec<u32> = self
            .ids
            .values()
            .copied()
            .filter(|&at| {
                let held = self.held[at as usize].as_ref();
                held.is_some_and(|held| {
                    held.mark.is_none() && held.time.is_none_or(|time| time.civil().date() <= until)
                })
            })
            .collect();
        for at in gone {
            self.let_go(at);
        }
    }

    /// Everything at once, as [`assess`](crate::assess) would make it; without what was [closed](Engine::close).
    pub fn outcome(&self) -> Outcome {
        let mut records = Vec::new();
        let mut weeks = self.plan.config.weekly.map(|_| Vec::new());
        for (employee, person) in &self.people {
            let first = records.len();
            records.extend(person.records().cloned());
            if let (Some(weekly), Some(weeks)) = (self.plan.config.weekly, &mut weeks) {
                let carried = self.carried.get(employee).into_iter().flatten();
                week::sum(carried.chain(&records[first..]), weekly, weeks);
            }
        }
        Outcome {
            records,
            punches: self.punches(),
            weeks,
            as_of: self.as_of,
        }
    }

    fn punches(&self) -> PunchOutcomes {
        let held = || {
            (0..)
                .zip(&self.held)
                .filter_map(|(at, held)| Some((at, held.as_ref()?)))
        };
        let people: BTreeSet<&EmployeeId> = held()
            .filter_map(|(_, held)| held.employee.as_ref())
            .collect();
        let numbers: HashMap<&EmployeeId, u32> = people.iter().copied().zip(0..).collect();
        // The places without those that were let go.
        let places: HashMap<u32, u32> = held().map(|(at, _)| at).zip(0..).collect();
        let reading = |held: &Held| Reading {
            time: held.time,
            employee: held
                .employee
                .as_ref()
                .map_or(NONE, |employee| numbers[employee]),
            kind: Kind::Unknown,
            notes: held.notes,
            aside: None,
        };
        let fate = |held: &Held| match held.fate {
            Fate::Duplicate { of, reason } => Fate::Duplicate {
                of: places.get(&of).copied().unwrap_or_default(),
                reason,
            },
            fate => fate,
        };
        let edges = held()
            .zip(0..)
            .filter_map(|((_, held), place)| Some((place, held.edge?)));
        PunchOutcomes {
            repeated: 0,
            order: OnceLock::new(),
            sources: (0..).take(places.len()).collect(),
            ids: held().map(|(_, held)| held.punch.id.clone()).collect(),
            readings: held().map(|(_, held)| reading(held)).collect(),
            fates: held().map(|(_, held)| fate(held)).collect(),
            shifts: self.plan.shift_ids(),
            voided: self.corrected.voided.clone(),
            window_s: self.plan.config.dedup_window_s,
            edges: edges.collect(),
            employees: people.into_iter().cloned().collect(),
        }
    }

    /// What became of a punch.
    pub fn punch(&self, id: &str) -> Option<PunchOutcome> {
        let at = *self.ids.get(id)?;
        let held = self.held[at as usize].as_ref()?;
        let kept = |of: u32| {
            let window_s = self.plan.config.dedup_window_s;
            match &self.held[of as usize] {
                Some(kept) => Kept::new(&kept.punch.id, kept.time, window_s),
                None => Kept::new(&held.punch.id, None, window_s),
            }
        };
        let voided = || self.corrected.voided(&held.punch.id).cloned();
        let place = held.fate.place();
        Some(PunchOutcome {
            id: held.punch.id.clone(),
            disposition: held.fate.disposition(kept, || held.edge, voided),
            employee: held.employee.clone(),
            date: place.map(|(_, date)| date),
            shift: place.map(|(template, _)| self.plan.template(template).shift.id.clone()),
            time: held.time,
            notes: held.notes,
        })
    }

    /// Finds out what is new, and whether all of it is in order.
    fn check(&self, punches: &[Punch], corrections: &[Correction]) -> Result<News, Error> {
        let mut fresh: BTreeMap<&CorrectionId, &Correction> = BTreeMap::new();
        for correction in corrections {
            let known = self
                .corrections
                .get(&correction.id)
                .or_else(|| fresh.get(&correction.id).copied());
            match known {
                Some(known) if known == correction => {}
                Some(_) => {
                    return Err(Error::ConflictingCorrectionId {
                        id: correction.id.clone(),
                    });
                }
                None => {
                    fresh.insert(&correction.id, correction);
                }
            }
        }
        let corrected = if fresh.is_empty() {
            None
        } else {
            let all = self.corrections.values().chain(fresh.values().copied());
            Some(Corrected::new(all, self.plan.config.strategy)?)
        };
        let added = corrected
            .as_ref()
            .map_or(&[][..], |corrected| &corrected.added);
        let manual = added.iter().map(|punch| (punch, true));
        let mut news: BTreeMap<&PunchId, (&Punch, bool)> = BTreeMap::new();
        let mut known = Vec::new();
        for (punch, manual) in manual.chain(punches.iter().map(|punch| (punch, false))) {
            let at = self.ids.get(&punch.id).copied();
            let same = at.and_then(|at| self.held[at as usize].as_ref());
            let same = same.map(|held| &held.punch);
            let same = same.or_else(|| news.get(&punch.id).map(|&(known, _)| known));
            match same {
                Some(same) if same == punch => known.extend(at.map(|at| (at, manual))),
                Some(_) => {
                    return Err(Error::ConflictingPunchId {
                        id: punch.id.clone(),
                    });
                }
                None => {
                    news.insert(&punch.id, (punch, manual));
                }
            }
        }
        let holding = corrected.as_ref().unwrap_or(&self.corrected);
        let mut fresh_punches = Vec::with_capacity(news.len());
        for (punch, manual) in news.into_values() {
            if let Some(terminal) = intake::terminal(&self.plan, punch.device.as_str()) {
                let told = intake::told(punch, &self.plan.zones[terminal.zone]);
                let told = told.ok_or_else(|| Error::InvalidPunch {
                    id: punch.id.clone(),
                })?;
                self.refuse_newcomer(punch, &terminal, told.time, holding)?;
            }
            fresh_punches.push((punch.clone(), manual));
        }
        // Only a correction brings back what was voided.
        let voided = corrected.is_some().then(|| self.corrected.voided.keys());
        for id in voided.into_iter().flatten() {
            let at = self.ids.get(id).filter(|_| holding.voided(id).is_none());
            let held = at.and_then(|&at| self.held[at as usize].as_ref());
            if let Some((held, read)) = held.and_then(|held| Some((held, held.read?)))
                && let Some(terminal) = intake::terminal(&self.plan, held.punch.device.as_str())
            {
                self.refuse_newcomer(&held.punch, &terminal, read, holding)?;
            }
        }
        Ok(News {
            corrections: fresh.into_values().cloned().collect(),
            corrected,
            punches: fresh_punches,
            known,
        })
    }

    /// R26, for whoever exists through this punch alone.
    fn refuse_newcomer(
        &self,
        punch: &Punch,
        terminal: &Terminal<'_>,
        told: LocalTime,
        corrected: &Corrected,
    ) -> Result<(), Error> {
        let Some(overlap) = &self.overlap else {
            return Ok(());
        };
        let time = intake::correct_clock(told, terminal.clock, &mut Set::default());
        let employee = self.employee(punch, terminal.manual);
        let known = employee.is_some();
        let aside = intake::aside(&punch.id, Some(time), known, corrected, &self.plan);
        match employee {
            Some(employee) if aside.is_none() && !self.people.contains_key(&employee) => {
                Err(overlap.of(employee))
            }
            _ => Ok(()),
        }
    }

    /// R8.
    fn employee(&self, punch: &Punch, manual: bool) -> Option<EmployeeId> {
        match &self.plan.identities {
            Some(identities) if !manual => identities
                .employee(punch.device.as_str(), punch.user.as_str())
                .cloned(),
            _ => Some(EmployeeId::from(punch.user.clone())),
        }
    }

    /// The punches that corrections make different, and those that are added no longer.
    fn compare(
        &mut self,
        old: &Corrected,
        touched: &mut BTreeSet<u32>,
        doubtful: &mut BTreeSet<u32>,
        people: &mut BTreeSet<EmployeeId>,
    ) {
        let new = &self.corrected;
        let voided = old.voided.keys().chain(new.voided.keys());
        let voided = voided.filter(|id| old.voided.get(*id) != new.voided.get(*id));
        let kinds = old.kinds.keys().chain(new.kinds.keys());
        let kinds = kinds.filter(|id| old.kinds.get(*id) != new.kinds.get(*id));
        touched.extend(voided.chain(kinds).filter_map(|id| self.ids.get(id)));
        let still: HashSet<&PunchId> = new.added.iter().map(|punch| &punch.id).collect();
        let gone = old.added.iter().filter(|punch| !still.contains(&punch.id));
        let gone: Vec<u32> = gone
            .filter_map(|punch| self.ids.get(&punch.id).copied())
            .collect();
        for at in gone {
            let Some(held) = self.held[at as usize].as_mut() else {
                continue;
            };
            held.manual = false;
            if !held.told {
                touched.remove(&at);
                self.leave_stream(at, people);
                doubtful.extend(self.after(at));
                doubtful.remove(&at);
                self.unlink(at);
                self.let_go(at);
            }
        }
    }

    /// Holds a new punch; `doubtful` are punches whose time may depend on it (R3).
    fn hold(&mut self, punch: Punch, manual: bool, doubtful: &mut BTreeSet<u32>) -> u32 {
        let (mut read, mut employee, mut needs_sequence) = (None, None, false);
        let mut notes = Set::EMPTY;
        if let Some(terminal) = intake::terminal(&self.plan, punch.device.as_str()) {
            let zone = &self.plan.zones[terminal.zone];
            // It was found to be in order.
            if let Some(told) = intake::told(&punch, zone) {
                (read, needs_sequence, notes) = (Some(told.time), told.needs_sequence, told.notes);
            }
            employee = self.employee(&punch, terminal.manual);
        }
        let (id, seq) = (punch.id.clone(), punch.seq);
        let chain = (punch.device.clone(), punch.user.clone());
        let held = Held {
            punch,
            told: !manual,
            manual,
            read,
            needs_sequence,
            time: read,
            notes,
            employee,
            mark: None,
            shut: None,
            late: None,
            fate: Fate::Aside(Aside::UnknownDevice),
            edge: None,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            u32::try_from(self.held.len() - 1).unwrap_or(u32::MAX)
        });
        self.held[at as usize] = Some(held);
        if let (Some(seq), Some(_)) = (seq, read) {
            let chain = self.chains.entry(chain).or_default();
            chain.insert((seq, id.clone()), Some(at));
            doubtful.extend(self.after(at));
            doubtful.insert(at);
        }
        self.ids.insert(id, at);
        at
    }

    /// The chain and place of a numbered punch.
    fn link(&self, at: u32) -> Option<(Line, Place)> {
        let punch = &self.held[at as usize].as_ref()?.punch;
        let chain = (punch.device.clone(), punch.user.clone());
        Some((chain, (punch.seq?, punch.id.clone())))
    }

    /// The punch with the next number, which may look at this one (R3).
    fn after(&self, at: u32) -> Option<u32> {
        let (chain, place) = self.link(at)?;
        let mut next = self.chains.get(&chain)?.range(place.clone()..);
        next.find(|(other, _)| **other != place)
            .and_then(|(_, next)| *next)
    }

    fn unlink(&mut self, at: u32) {
        if let Some((chain, place)) = self.link(at)
            && let Some(list) = self.chains.get_mut(&chain)
        {
            list.remove(&place);
            if list.is_empty() {
                self.chains.remove(&chain);
            }
        }
    }

    /// R3, second step, for one punch; whether its time changed.
    fn settle_doubled(&mut self, at: u32, doubtful: &mut BTreeSet<u32>) -> bool {
        let Some(held) = self.held[at as usize].as_ref() else {
            return false;
        };
        let PunchTime::Civil(civil) = held.punch.time else {
            return false;
        };
        if !held.needs_sequence || held.punch.fold.is_some() {
            return false;
        }
        let Some(terminal) = intake::terminal(&self.plan, held.punch.device.as_str()) else {
            return false;
        };
        let Resolved::Fold { first, second } = self.plan.zones[terminal.zone].resolve(civil) else {
            return false;
        };
        let before = self.link(at).and_then(|(chain, place)| {
            let (_, before) = self.chains.get(&chain)?.range(..place).next_back()?;
            self.held[(*before)? as usize].as_ref()?.read
        });
        let after_first =
            before.is_some_and(|before| first < before.instant() && before.instant() <= second);
        let read = intake::read(if after_first { second } else { first }, civil);
        if held.read == Some(read) {
            return false;
        }
        doubtful.extend(self.after(at));
        if let Some(held) = self.held[at as usize].as_mut() {
            held.read = Some(read);
        }
        true
    }

    /// Puts a punch where it belongs: into a stream, or aside.
    fn place(&mut self, at: u32, fresh: bool, people: &mut BTreeSet<EmployeeId>) {
        self.leave_stream(at, people);
        let Some(held) = self.held[at as usize].as_mut() else {
            return;
        };
        let punch = &held.punch;
        let terminal = intake::terminal(&self.plan, punch.device.as_str());
        let mut time = held.read;
        held.notes.remove(Note::ClockCorrected);
        if let (Some(terminal), Some(told)) = (&terminal, held.read) {
            time = Some(intake::correct_clock(told, terminal.clock, &mut held.notes));
        }
        let employee = held.employee.clone();
        let aside = intake::aside(
            &punch.id,
            time,
            employee.is_some(),
            &self.corrected,
            &self.plan,
        );
        (held.time, held.edge) = (time, None);
        if let Some(aside) = aside {
            held.fate = Fate::Aside(aside);
            held.late = None;
            return;
        }
        let (Some(terminal), Some(time), Some(employee)) = (terminal, time, employee) else {
            return;
        };
        let kind = intake::kind(punch, terminal.direction, &self.corrected, &self.plan);
        let mark = Mark {
            instant: time.instant(),
            device: punch.device.clone(),
            user: punch.user.clone(),
            state: punch.state.unwrap_or(-1),
            id: punch.id.clone(),
        };
        let received = punch.received;
        let shut = held.shut;
        self.person(&employee);
        let Some(person) = self.people.get_mut(&employee) else {
            return;
        };
        people.insert(employee);
        person.present += 1;
        let closed = person.closed.is_some_and(|closed| mark.instant <= closed);
        let shut = shut.or(self.closed.filter(|_| fresh && closed));
        let late = person.locks.holding(mark.instant, received).max(shut);
        if late.is_none() {
            person.insert(Live {
                mark: mark.clone(),
                held: at,
                kind,
            });
        }
        if let Some(held) = self.held[at as usize].as_mut() {
            (held.shut, held.late) = (shut, late);
            held.mark = late.is_none().then_some(mark);
            if let Some(until) = late {
                held.fate = Fate::LateLocked(until);
            }
        }
    }

    fn leave_stream(&mut self, at: u32, people: &mut BTreeSet<EmployeeId>) {
        let Some(held) = self.held[at as usize].as_mut() else {
            return;
        };
        let counted = held.counts();
        let (mark, employee) = (held.mark.take(), held.employee.clone());
        if let Some(employee) = employee.filter(|_| counted)
            && let Some(person) = self.people.get_mut(&employee)
        {
            person.present -= 1;
            if let Some(mark) = mark {
                person.remove(&mark);
            }
            people.insert(employee);
        }
    }

    /// Forgets a punch that is in no stream.
    fn let_go(&mut self, at: u32) {
        if let Some((chain, place)) = self.link(at)
            && let Some(list) = self.chains.get_mut(&chain)
            && let Some(entry) = list.get_mut(&place)
        {
            // A mark remains for the one that comes after; of two in a row the later.
            *entry = None;
            let before = list.range(..&place).next_back();
            if let Some((before, None)) = before.map(|(place, at)| (place.clone(), at)) {
                list.remove(&before);
            }
        }
        if let Some(held) = self.held[at as usize].take() {
            self.ids.remove(&held.punch.id);
            self.free.push(at);
        }
    }

    /// Makes sure that a person is there.
    fn person(&mut self, employee: &EmployeeId) {
        if !self.people.contains_key(employee) {
            let mut office = Office {
                plan: &self.plan,
                calendar: &mut self.calendar,
                desk: Desk::new(&self.plan, self.as_of),
                told: Vec::new(),
            };
            let person = Person::new(employee.clone(), &mut office, self.closed);
            self.people.insert(employee.clone(), person);
        }
    }

    fn work(&mut self, people: BTreeSet<EmployeeId>) -> Changes {
        let mut changes = Changes::default();
        for employee in people {
            let (person, mut office) = desk_of(
                &self.plan,
                &mut self.calendar,
                &mut self.people,
                self.as_of,
                &employee,
            );
            let Some(person) = person else { continue };
            person.settle(&mut office);
            let told = office.told;
            let gone = person.present == 0 && !self.plan.roster.contains_key(&employee);
            if gone {
                person.leave();
            }
            self.tell(told);
            self.collect(&employee, &mut changes);
            if gone {
                self.people.remove(&employee);
                self.carried.remove(&employee);
            }
        }
        changes
    }

    /// Writes down what became of punches.
    fn tell(&mut self, told: Vec<Told>) {
        for Told { at, fate, edge } in told {
            if let Some(held) = self.held[at as usize].as_mut() {
                (held.fate, held.edge) = (fate, edge);
            }
        }
    }

    /// Moves what changed of a person into the report.
    fn collect(&mut self, employee: &EmployeeId, changes: &mut Changes) {
        let Some(person) = self.people.get_mut(employee) else {
            return;
        };
        for (key, before, after) in person.changes() {
            let settles = |record: &Option<Record>| record.as_ref().and_then(|r| r.settles_at);
            if let Some(at) = settles(&before) {
                self.settles.remove(&(at, employee.clone(), key));
            }
            if let Some(at) = settles(&after) {
                self.settles.insert((at, employee.clone(), key));
            }
            changes.push(before, after);
        }
    }
}

fn desk_of<'a, Z: Zone>(
    plan: &'a Plan<Z>,
    calendar: &'a mut Calendar,
    people: &'a mut BTreeMap<EmployeeId, Person>,
    as_of: Option<Instant>,
    employee: &EmployeeId,
) -> (Option<&'a mut Person>, Office<'a, Z>) {
    let office = Office {
        plan,
        calendar,
        desk: Desk::new(plan, as_of),
        told: Vec::new(),
    };
    (people.get_mut(employee), office)
}
