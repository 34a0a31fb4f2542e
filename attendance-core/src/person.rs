//! One employee in the incremental engine: blocks of punches that have nothing to do with one another, and the records.
//!
//! A block begins where the walks of sections D and F are as if nothing had been before: a punch that opens a cluster,
//! that no shift with earlier punches reaches, and that continues no open work. So news concern their own block, and
//! the ones after it only as far as this border moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use crate::dedup::Origin;
use crate::desk::{self, Desk, Locks};
use crate::fate::Fate;
use crate::instant::shift_date;
use crate::intake::Stamp;
use crate::plan::Plan;
use crate::schedule::Calendar;
use crate::usual::{self, Baseline};
use crate::{
    DeviceId, EmployeeId, Explanation, Flag, Instant, Kind, LocalTime, OutlierReason, PunchId,
    Record, Side, Slot, Stat, UserId, Zone,
};

/// The canonical order of punches (R7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) instant: Instant,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) state: i64,
    pub(crate) id: PunchId,
}

impl Mark {
    fn origin(&self) -> Origin<'_> {
        Origin {
            device: &self.device,
            user: &self.user,
            state: self.state,
        }
    }
}

/// A punch in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) mark: Mark,
    /// Where the engine holds it.
    pub(crate) held: u32,
    pub(crate) kind: Kind,
}

/// The order of records (R63); each has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    date: NaiveDate,
    start: Instant,
    /// The template, by id.
    shift: Option<u32>,
    slot: Slot,
}

impl Key {
    fn first(date: NaiveDate) -> Self {
        Self {
            date,
            start: Instant::MIN,
            shift: None,
            slot: Slot::Nth(0),
        }
    }

    fn last(date: NaiveDate) -> Self {
        Self {
            date,
            start: Instant::MAX,
            shift: Some(u32::MAX),
            slot: Slot::Since(Instant::MAX),
        }
    }

    /// The order in which rest is looked at (R59).
    fn by_start(&self) -> ByStart {
        (self.start, self.shift, self.slot, self.date)
    }
}

type ByStart = (Instant, Option<u32>, Slot, NaiveDate);

#[derive(Debug)]
struct Block {
    punches: Vec<Live>,
    /// The records that have to do with them.
    keys: Vec<Key>,
    /// The latest work date among their shifts, also of those that were not asked for.
    latest: Option<NaiveDate>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// The block of its punches.
    owner: Option<Mark>,
}

/// What the engine lends for the work on a person.
#[derive(Debug)]
pub(crate) struct Office<'a, Z> {
    pub(crate) plan: &'a Plan<Z>,
    pub(crate) calendar: &'a mut Calendar,
    pub(crate) desk: Desk<'a, Z>,
    /// What became of punches.
    pub(crate) told: Vec<Told>,
}

/// What became of a punch; of a duplicate the kept one is told as the engine holds it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: u32,
    pub(crate) fate: Fate,
    /// The edge that an outlier lies beyond.
    pub(crate) edge: Option<LocalTime>,
}

/// The records that were touched, as they were.
type Before = BTreeMap<Key, Option<Record>>;

/// One employee.
#[derive(Debug)]
pub(crate) struct Person {
    id: EmployeeId,
    /// Punches that make the person exist (R63).
    pub(crate) present: usize,
    pub(crate) locks: Locks,
    /// What arrives for instants up to this one comes too late.
    pub(crate) closed: Option<Instant>,
    blocks: BTreeMap<Mark, Block>,
    dirty: BTreeSet<Mark>,
    records: BTreeMap<Key, Entry>,
    /// The clock-outs of records with punches.
    left: BTreeMap<ByStart, Option<LocalTime>>,
    /// The times of day by template and side, and whether the baseline learns from them (R54).
    times: HashMap<(u32, Side), BTreeMap<Key, (LocalTime, bool)>>,
    before: Before,
}

impl Person {
    /// Somebody without punches; `after` is the last closed date.
    pub(crate) fn new<Z: Zone>(
        id: EmployeeId,
        office: &mut Office<'_, Z>,
        after: Option<NaiveDate>,
    ) -> Self {
        let plan = office.plan;
        let mut person = Self {
            id,
            present: 0,
            locks: Locks::default(),
            closed: None,
            blocks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            records: BTreeMap::new(),
            left: BTreeMap::new(),
            times: HashMap::new(),
            before: Before::new(),
        };
        let roster = plan.roster.get(&person.id);
        let (first, last) = plan.planned_dates();
        office
            .calendar
            .window(plan, roster, first, last, &mut office.desk.instances);
        let instances = &office.desk.instances;
        person.locks = Locks::new(plan, instances);
        person.closed = after.map(|until| desk::lock_end(plan, instances, until));
        office.desk.nothing_to_sort(roster);
        let open = |date: NaiveDate| after.is_none_or(|until| date > until);
        for index in 0..office.desk.instances.len() {
            if let Some((key, record)) = person
                .planned(index, office)
                .filter(|(key, _)| open(key.date))
            {
                person.put(key, Some(record), None);
            }
        }
        let mut date = plan.config.from;
        while date <= plan.config.to {
            if open(date) {
                person.cover(date, office);
            }
            date = match date.succ_opt() {
                Some(next) => next,
                None => break,
            };
        }
        person.finish(plan);
        person
    }

    /// A punch joins the stream.
    pub(crate) fn insert(&mut self, live: Live) {
        let before = self.blocks.range(..=&live.mark).next_back();
        let label = before
            .or_else(|| self.blocks.first_key_value())
            .map_or_else(|| live.mark.clone(), |(label, _)| label.clone());
        let nothing = Block {
            punches: Vec::new(),
            keys: Vec::new(),
            latest: None,
        };
        let block = self.blocks.entry(label.clone()).or_insert(nothing);
        block.punches.push(live);
        self.dirty.insert(label);
    }

    /// A punch leaves the stream.
    pub(crate) fn remove(&mut self, mark: &Mark) {
        let before = self.blocks.range(..=mark).next_back();
        // A block with news may have punches before its label.
        let Some(label) = before
            .or_else(|| self.blocks.first_key_value())
            .map(|(label, _)| label.clone())
        else {
            return;
        };
        if let Some(block) = self.blocks.get_mut(&label) {
            block.punches.retain(|live| live.mark != *mark);
        }
        // It may have been the border.
        let ahead = self.blocks.range(..&label).next_back();
        self.dirty.extend(ahead.map(|(ahead, _)| ahead.clone()));
        self.dirty.insert(label);
    }

    /// Makes the records of whatever has news.
    pub(crate) fn settle<Z: Zone>(&mut self, office: &mut Office<'_, Z>) {
        while let Some(label) = self.dirty.pop_first() {
            let Some(mut block) = self.blocks.remove(&label) else {
                continue;
            };
            self.rework(&label, &mut block, office);
        }
        self.finish(office.plan);
    }

    /// Works on a block, and on as many of the following ones as depend on it.
    fn rework<Z: Zone>(&mut self, label: &Mark, block: &mut Block, office: &mut Office<'_, Z>) {
        let roster = office.plan.roster.get(&self.id);
        let mut more = 1;
        loop {
            while let Some(next) = self
                .next_after(label)
                .filter(|next| self.dirty.contains(next))
            {
                self.dirty.remove(&next);
                self.absorb(&next, block);
            }
            block.punches.sort_by(|a, b| a.mark.cmp(&b.mark));
            let sure = block.punches.len();
            let next = self.next_after(label);
            let ahead = next.as_ref().and_then(|next| self.blocks.get(next));
            let ahead = ahead.map_or(&[][..], |ahead| &ahead.punches);
            let stream = stamps(&block.punches, ahead);
            self.lay_out(&stream, office);
            let origin = |at: u32| {
                let at = at as usize;
                match block.punches.get(at) {
                    Some(live) => live.mark.origin(),
                    None => ahead[at - sure].mark.origin(),
                }
            };
            office.desk.sort_out(&stream, origin, roster);
            let cuts = cuts(&stream, &office.desk);
            if sure == 0 || sure == stream.len() || cuts.contains(&sure) {
                let old = std::mem::take(&mut block.keys);
                let punches = std::mem::take(&mut block.punches);
                self.accept(punches, &cuts, old, office);
                return;
            }
            for _ in 0..more {
                if let Some(next) = self.next_after(label) {
                    self.dirty.remove(&next);
                    self.absorb(&next, block);
                }
            }
            more *= 2;
        }
    }

    fn next_after(&self, label: &Mark) -> Option<Mark> {
        self.blocks
            .range(label..)
            .next()
            .map(|(next, _)| next.clone())
    }

    fn absorb(&mut self, next: &Mark, block: &mut Block) {
        if let Some(other) = self.blocks.remove(next) {
            block.punches.extend(other.punches);
            block.keys.extend(other.keys);
        }
    }

    /// The shifts around a stretch of punches.
    fn lay_out<Z: Zone>(&self, stream: &[Stamp], office: &mut Office<'_, Z>) {
        let day = |stamp: Option<&Stamp>| stamp.map(|stamp| stamp.instant.civil(0).date());
        let (Some(first), Some(last)) = (day(stream.first()), day(stream.last())) else {
            office.desk.instances.clear();
            return;
        };
        let roster = office.plan.roster.get(&self.id);
        let (from, to) = (shift_date(first, -5), shift_date(last, 5));
        office
            .calendar
            .window(office.plan, roster, from, to, &mut office.desk.instances);
        office.desk.fates.clear();
        office.desk.fates.resize(stream.len(), Fate::NoShift);
        office.desk.edges.clear();
    }

    /// Takes over what the desk found out about the first punches of a stream.
    fn accept<Z: Zone>(
        &mut self,
        punches: Vec<Live>,
        cuts: &[usize],
        old: Vec<Key>,
        office: &mut Office<'_, Z>,
    ) {
        let sure = punches.len();
        // Which block each position belongs to.
        let begins: Vec<usize> = std::iter::once(0)
            .chain(cuts.iter().copied().filter(|&cut| cut < sure))
            .filter(|_| sure > 0)
            .collect();
        let mut keys: Vec<Vec<Key>> = vec![Vec::new(); begins.len()];
        let block_of = |position: usize| begins.partition_point(|&begin| begin <= position) - 1;
        let mut touched: BTreeMap<usize, usize> = BTreeMap::new();
        if sure > 0 {
            for (index, share) in office.desk.groups.planned.iter().enumerate() {
                if let Some(stamp) = office.desk.groups.assigned[share.punches.clone()].first() {
                    touched.insert(index, stamp.punch as usize);
                }
            }
            for &(stamp, index, _) in &office.desk.groups.outliers {
                touched.entry(index).or_insert(stamp.punch as usize);
            }
        }
        touched.retain(|_, position| *position < sure);
        let mut fresh = BTreeSet::new();
        let mut latest: Vec<Option<NaiveDate>> = vec![None; begins.len()];
        for (index, position) in touched {
            let date = office.desk.instances[index].date;
            let latest = &mut latest[block_of(position)];
            *latest = (*latest).max(Some(date));
            if let Some((key, record)) = self.planned(index, office) {
                let block = block_of(position);
                keys[block].push(key);
                fresh.insert(key);
                let owner = punches[begins[block]].mark.clone();
                self.put(key, Some(record), Some(owner));
            }
        }
        for index in 0..office.desk.groups.open.len() {
            let open = &office.desk.groups.open[index];
            let (first, template, date) = (open.first, open.template, open.date);
            let position = office.desk.groups.assigned[open.punches.start].punch as usize;
            if position >= sure {
                continue;
            }
            let latest = &mut latest[block_of(position)];
            *latest = (*latest).max(Some(date));
            let roster = office.plan.roster.get(&self.id);
            let mut made = Vec::new();
            office.desk.open(index, &self.id, roster, &mut made);
            let Some(record) = made.pop() else { continue };
            let key = Key {
                date,
                start: first,
                shift: Some(template),
                slot: Slot::Since(first),
            };
            let block = block_of(position);
            keys[block].push(key);
            fresh.insert(key);
            let owner = punches[begins[block]].mark.clone();
            self.put(key, Some(record), Some(owner));
        }
        office.desk.outliers_and_orphans();
        tell(&punches, office);

        let dates: BTreeSet<NaiveDate> = old.iter().chain(&fresh).map(|key| key.date).collect();
        for key in old.into_iter().filter(|key| !fresh.contains(key)) {
            self.restore(key, office);
        }
        for date in dates {
            self.cover(date, office);
        }
        let mut rest = punches.into_iter();
        for (index, (keys, latest)) in keys.into_iter().zip(latest).enumerate() {
            let end = begins.get(index + 1).copied().unwrap_or(sure);
            let punches: Vec<Live> = rest.by_ref().take(end - begins[index]).collect();
            if let Some(first) = punches.first() {
                let label = first.mark.clone();
                let block = Block {
                    punches,
                    keys,
                    latest,
                };
                self.blocks.insert(label, block);
            }
        }
    }

    fn planned<Z: Zone>(&self, index: usize, office: &mut Office<'_, Z>) -> Option<(Key, Record)> {
        let roster = office.plan.roster.get(&self.id);
        let instance = office.desk.instances[index];
        let mut made = Vec::new();
        let calendar = &*office.calendar;
        office
            .desk
            .planned(index, calendar, &self.id, roster, &mut made);
        let record = made.pop()?;
        let key = Key {
            date: record.date,
            start: instance.start,
            shift: Some(instance.template),
            slot: record.slot,
        };
        Some((key, record))
    }

    /// A record that has lost its punches: the shift as nobody came, or nothing.
    fn restore<Z: Zone>(&mut self, key: Key, office: &mut Office<'_, Z>) {
        let roster = office.plan.roster.get(&self.id);
        let (Some(template), Slot::Nth(slot)) = (key.shift, key.slot) else {
            self.put(key, None, None);
            return;
        };
        office.calendar.window(
            office.plan,
            roster,
            key.date,
            key.date,
            &mut office.desk.instances,
        );
        office.desk.nothing_to_sort(roster);
        let index = office.desk.instances.iter().position(|instance| {
            let date = instance.date;
            (date, instance.template, instance.slot) == (key.date, template, slot)
        });
        let found = index.and_then(|index| self.planned(index, office));
        self.put(key, found.map(|(_, record)| record), None);
    }

    /// Every covered date has a record (R63).
    fn cover<Z: Zone>(&mut self, date: NaiveDate, office: &mut Office<'_, Z>) {
        let (plan, roster) = (office.plan, office.plan.roster.get(&self.id));
        let idle = |key: &Key| is_idle(plan, key);
        let on_date = || self.records.range(Key::first(date)..=Key::last(date));
        let found = on_date().map(|(key, _)| *key).find(|key| idle(key));
        if on_date().any(|(key, _)| !idle(key)) {
            if let Some(key) = found {
                self.put(key, None, None);
            }
        } else if let Some(record) = office.desk.idle(date, &self.id, roster) {
            let list = plan.list(roster, date).unwrap_or_default();
            let key = Key {
                date,
                start: desk::idle_start(date),
                shift: list.first().copied(),
                slot: Slot::Nth(0),
            };
            self.put(key, Some(record), None);
        }
    }

    fn put(&mut self, key: Key, record: Option<Record>, owner: Option<Mark>) {
        let old = match record {
            Some(record) => self.records.insert(key, Entry { record, owner }),
            None => self.records.remove(&key),
        };
        self.before
            .entry(key)
            .or_insert_with(|| old.map(|entry| entry.record));
    }

    /// Time has come for some records.
    pub(crate) fn ripen<Z: Zone>(
        &mut self,
        keys: impl IntoIterator<Item = Key>,
        office: &mut Office<'_, Z>,
    ) {
        for key in keys {
            match self.records.get(&key).map(|entry| entry.owner.clone()) {
                Some(Some(owner)) => {
                    self.dirty.insert(owner);
                }
                Some(None) if is_idle(office.plan, &key) => {
                    self.cover(key.date, office);
                }
                Some(None) => self.restore(key, office),
                None => {}
            }
        }
        self.settle(office);
    }

    /// What depends on the neighbours: rest, ordinals, statistics.
    fn finish<Z>(&mut self, plan: &Plan<Z>) {
        let touched: Vec<Key> = self.before.keys().copied().collect();
        let mut rests: BTreeSet<Key> = BTreeSet::new();
        for key in &touched {
            let punched = self
                .records
                .get(key)
                .filter(|entry| entry.record.punch_count > 0)
                .map(|entry| entry.record.clock_out);
            match punched {
                Some(clock_out) => {
                    self.left.insert(key.by_start(), clock_out);
                    rests.insert(*key);
                }
                None => {
                    self.left.remove(&key.by_start());
                }
            }
        }
        for key in &touched {
            let after = self
                .left
                .range(key.by_start()..)
                .find(|(other, _)| **other != key.by_start());
            rests.extend(after.map(|(&(start, shift, slot, date), _)| Key {
                date,
                start,
                shift,
                slot,
            }));
        }
        let mut again: BTreeSet<Key> = touched.iter().copied().collect();
        for key in rests {
            let left = self.left.range(..key.by_start()).next_back();
            let left = left.and_then(|(_, clock_out)| *clock_out);
            let Some(record) = self.edit(key) else {
                continue;
            };
            strip(record);
            desk::rest(record, left, plan.config.min_rest_between_s);
            again.insert(key);
        }
        let dates: BTreeSet<NaiveDate> = touched.iter().map(|key| key.date).collect();
        for date in dates {
            self.number(date);
        }
        if let Some(stat) = plan.config.stat {
            self.look_for_unusual(&again, stat);
        }
    }

    fn number(&mut self, date: NaiveDate) {
        let keys: Vec<Key> = self
            .records
            .range(Key::first(date)..=Key::last(date))
            .map(|(key, _)| *key)
            .collect();
        for (ordinal, key) in (0..).zip(keys) {
            if self.records[&key].record.ordinal != ordinal
                && let Some(record) = self.edit(key)
            {
                record.ordinal = ordinal;
            }
        }
    }

    /// A record that is about to be changed.
    fn edit(&mut self, key: Key) -> Option<&mut Record> {
        let entry = self.records.get_mut(&key)?;
        self.before
            .entry(key)
            .or_insert_with(|| Some(entry.record.clone()));
        Some(&mut entry.record)
    }

    /// R54, for the records that changed and for those that learn from them.
    fn look_for_unusual(&mut self, again: &BTreeSet<Key>, stat: Stat) {
        let mut stretches: BTreeMap<(u32, Side), (Key, Key)> = BTreeMap::new();
        for &key in again {
            let Some(template) = key.shift else { continue };
            let record = self.records.get(&key).map(|entry| &entry.record);
            let record = record.filter(|record| record.is_final);
            for side in [Side::In, Side::Out] {
                let time = record.and_then(|record| usual::time(record, side));
                let times = self.times.entry((template, side)).or_default();
                let known = match time {
                    Some(time) => times.insert(key, time).is_some(),
                    None => times.remove(&key).is_some(),
                };
                if known || time.is_some() {
                    let stretch = stretches.entry((template, side)).or_insert((key, key));
                    stretch.1 = key;
                }
            }
        }
        let history = stat.history as usize;
        for ((template, side), (first, last)) in stretches {
            let Some(times) = self.times.get(&(template, side)) else {
                continue;
            };
            let learned = |(_, (time, learns)): (&Key, &(LocalTime, bool))| learns.then_some(*time);
            let mut baseline = Baseline::default();
            let recent = times.range(..first).rev().filter_map(learned).take(history);
            let recent: Vec<LocalTime> = recent.collect();
            for time in recent.into_iter().rev() {
                baseline.learn(time.second_of_day(), history);
            }
            let mut since = 0;
            let mut verdicts = Vec::new();
            for (&key, &(time, learns)) in times.range(first..) {
                if key > last && since >= history {
                    break;
                }
                verdicts.push((key, baseline.verdict(side, time, stat)));
                if learns {
                    baseline.learn(time.second_of_day(), history);
                    since += usize::from(key > last);
                }
            }
            for (key, verdict) in verdicts {
                self.set_unusual(key, side, verdict);
            }
        }
    }

    fn set_unusual(&mut self, key: Key, side: Side, verdict: Option<Explanation>) {
        let Some(entry) = self.records.get(&key) else {
            return;
        };
        let reason = usual::reason(side);
        let known = |finding: &&Explanation| is_unusual(finding, Some(reason));
        if entry.record.findings.iter().find(known) == verdict.as_ref() {
            return;
        }
        let Some(record) = self.edit(key) else { return };
        record.outliers.remove(reason);
        record
            .findings
            .retain(|finding| !is_unusual(finding, Some(reason)));
        if let Some(finding) = verdict {
            // The verdict on the in goes before the one on the out.
            let place = if side == Side::In {
                let other = |finding: &Explanation| is_unusual(finding, None);
                record.findings.iter().position(other)
            } else {
                None
            };
            let place = place.unwrap_or(record.findings.len());
            record.findings.insert(place, finding);
            record.outliers.insert(reason);
        }
    }

    /// Takes what changed since the last time: each record as it was and as it is.
    pub(crate) fn changes(
        &mut self,
    ) -> impl Iterator<Item = (Key, Option<Record>, Option<Record>)> {
        let before = std::mem::take(&mut self.before);
        before.into_iter().filter_map(|(key, old)| {
            let new = self.records.get(&key).map(|entry| &entry.record);
            (old.as_ref() != new).then(|| (key, old, new.cloned()))
        })
    }

    /// All records, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(|entry| &entry.record)
    }

    /// All records leave.
    pub(crate) fn leave(&mut self) {
        for key in self.records.keys().copied().collect::<Vec<_>>() {
            self.put(key, None, None);
        }
    }

    /// Forgets what no punch after a closed date can change: the punches, and the keys of the records.
    pub(crate) fn forget<Z: Zone>(
        &mut self,
        until: NaiveDate,
        office: &mut Office<'_, Z>,
        history: usize,
    ) -> (Vec<Live>, Vec<(Key, Record)>) {
        let plan = office.plan;
        let roster = plan.roster.get(&self.id);
        let (calendar, instances) = (&mut *office.calendar, &mut office.desk.instances);
        calendar.window(plan, roster, until, shift_date(until, 1), instances);
        let end = desk::lock_end(plan, instances, until);
        self.closed = self.closed.max(Some(end));

        // The last block before may still be continued.
        let mut gone = Vec::new();
        while self.blocks.len() > 1 {
            let mut labels = self.blocks.iter();
            let (Some((label, block)), Some((next, _))) = (labels.next(), labels.next()) else {
                break;
            };
            if next.instant > end || block.latest > Some(until) {
                break;
            }
            let label = label.clone();
            gone.extend(self.blocks.remove(&label).map(|block| block.punches));
        }
        let kept = self.blocks.values().flat_map(|block| &block.keys);
        let from = kept.map(|key| key.date).min();
        let from = from.map_or(shift_date(until, 1), |date| date.min(shift_date(until, 1)));

        let open = self.records.split_off(&Key::first(from));
        let closed = std::mem::replace(&mut self.records, open);
        // Of the past, what the future asks for: the last clock-out, and the statistics' window.
        let mut carried = closed.keys().map(Key::by_start);
        let open = self.records.keys().map(Key::by_start).min();
        let last = carried.by_ref().filter(|key| self.left.contains_key(key));
        if let Some(last) = last.filter(|key| open.is_none_or(|open| *key < open)).max() {
            self.left.retain(|key, _| *key >= last);
        }
        for times in self.times.values_mut() {
            times.retain(|key, (_, learns)| *learns || key.date >= from);
            let past = times.range(..Key::first(from)).rev();
            let mut learned = past.map(|(key, _)| *key);
            if let Some(first) = learned.nth(history.saturating_sub(1)) {
                *times = times.split_off(&first);
            }
        }
        let records = closed.into_iter().map(|(key, entry)| (key, entry.record));
        (gone.into_iter().flatten().collect(), records.collect())
    }
}

/// Writes down what became of the first punches of a stream.
fn tell<Z>(punches: &[Live], office: &mut Office<'_, Z>) {
    let desk = &mut office.desk;
    desk.edges.sort_unstable_by_key(|&(at, _)| at);
    for (at, live) in (0..).zip(punches) {
        let fate = match desk.fates[at as usize] {
            // What is kept comes first, so it is among the sure ones.
            Fate::Duplicate { of, reason } => Fate::Duplicate {
                of: punches[of as usize].held,
                reason,
            },
            fate => fate,
        };
        let edge = desk.edges.binary_search_by_key(&at, |&(at, _)| at);
        office.told.push(Told {
            at: live.held,
            fate,
            edge: edge.ok().map(|edge| desk.edges[edge].1),
        });
    }
}

fn is_idle<Z>(plan: &Plan<Z>, key: &Key) -> bool {
    let open = |template| plan.template(template).shift.is_open();
    key.shift.is_none_or(open) && matches!(key.slot, Slot::Nth(_))
}

fn is_unusual(finding: &Explanation, of: Option<OutlierReason>) -> bool {
    matches!(finding, Explanation::Unusual { reason, .. } if of.is_none_or(|of| of == *reason))
}

/// Without what depends on other records.
fn strip(record: &mut Record) {
    record.rest_s = None;
    record.flags.remove(Flag::ShortRest);
    record.outliers.remove(OutlierReason::InUnusual);
    record.outliers.remove(OutlierReason::OutUnusual);
    record.findings.retain(|finding| {
        !matches!(finding, Explanation::ShortRest { .. }) && !is_unusual(finding, None)
    });
}

fn stamps(punches: &[Live], ahead: &[Live]) -> Vec<Stamp> {
    (0..)
        .zip(punches.iter().chain(ahead))
        .map(|(position, live)| Stamp {
            instant: live.mark.instant,
            punch: position,
            kind: live.kind,
        })
        .collect()
}

/// Where a punch went.
#[derive(Debug, Clone, Copy)]
enum Landed {
    Duplicate,
    Planned(usize),
    Outlier(usize),
    Open { begins: bool },
    Orphan,
}

/// The positions at which a stream can be cut: the walk from there is as if nothing had been before.
fn cuts<Z>(stream: &[Stamp], desk: &Desk<'_, Z>) -> Vec<usize> {
    let groups = &desk.groups;
    let mut landed = vec![Landed::Duplicate; stream.len()];
    for (index, share) in groups.planned.iter().enumerate() {
        for stamp in &groups.assigned[share.punches.clone()] {
            landed[stamp.punch as usize] = Landed::Planned(index);
        }
    }
    for open in &groups.open {
        for at in open.punches.clone() {
            let begins = at == open.punches.start;
            landed[groups.assigned[at].punch as usize] = Landed::Open { begins };
        }
    }
    for &(stamp, index, _) in &groups.outliers {
        landed[stamp.punch as usize] = Landed::Outlier(index);
    }
    for stamp in &groups.orphans {
        landed[stamp.punch as usize] = Landed::Orphan;
    }
    let mut cuts = Vec::new();
    let mut reached: Option<Instant> = None;
    let mut current = false;
    for (position, (stamp, landed)) in stream.iter().zip(landed).enumerate() {
        let fresh = match landed {
            Landed::Duplicate => continue,
            Landed::Planned(_) | Landed::Orphan => true,
            Landed::Outlier(_) => !current,
            Landed::Open { begins } => begins,
        };
        if position > 0 && fresh && reached.is_none_or(|reached| reached < stamp.instant) {
            cuts.push(position);
        }
        match landed {
            Landed::Planned(index) | Landed::Outlier(index) => {
                reached = reached.max(Some(desk.instances[index].reach.to));
                current &= matches!(landed, Landed::Outlier(_));
            }
            Landed::Open { .. } => current = true,
            Landed::Orphan => current = false,
            Landed::Duplicate => {}
        }
    }
    cuts
}
