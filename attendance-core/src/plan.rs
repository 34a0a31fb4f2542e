//! The configuration, checked and made ready (R8, R19–R21, R26).

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};

use crate::instant::shift_date;
use crate::reading::ClockCurve;
use crate::{
    Assignment, Config, DeviceId, Direction, EmployeeId, Error, RosterEntry, ShiftId,
    ShiftTemplate, Zone,
};

/// A checked [`Config`] with its zones: what punches are assessed against.
#[derive(Debug, Clone)]
pub struct Plan<Z> {
    pub(crate) config: Config,
    /// Every zone named in the configuration, once; the site's is the first.
    pub(crate) zones: Vec<Z>,
    /// By id, so that an index compares like the id (R24).
    pub(crate) templates: Vec<Template>,
    pub(crate) default_shift: Option<[u32; 1]>,
    pub(crate) unscheduled: Option<u32>,
    pub(crate) devices: Option<HashMap<DeviceId, KnownDevice>>,
    pub(crate) roster: BTreeMap<EmployeeId, Roster>,
    pub(crate) identities: Option<Identities>,
    pub(crate) holidays: HashSet<NaiveDate>,
}

/// Index of the site's zone in [`Plan::zones`].
pub(crate) const SITE: usize = 0;

#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) shift: ShiftTemplate,
    pub(crate) zone: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownDevice {
    pub(crate) zone: usize,
    pub(crate) direction: Direction,
    pub(crate) clock: ClockCurve,
}

/// device → user → employee, and the same for any device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities {
    by_device: HashMap<DeviceId, HashMap<String, EmployeeId>>,
    anywhere: HashMap<String, EmployeeId>,
}

impl Identities {
    /// R8: by device and user, else by user.
    pub(crate) fn employee(&self, device: &str, user: &str) -> Option<&EmployeeId> {
        let here = self.by_device.get(device).and_then(|users| users.get(user));
        here.or_else(|| self.anywhere.get(user))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    overrides: BTreeMap<NaiveDate, Box<[u32]>>,
    /// Stretches of dates in which one assignment holds, in order, without overlap.
    stretches: Vec<Stretch>,
    holidays: Option<HashSet<NaiveDate>>,
}

#[derive(Debug, Clone)]
struct Stretch {
    from: NaiveDate,
    to: NaiveDate,
    anchor: NaiveDate,
    pattern: Arc<[Box<[u32]>]>,
}

impl Roster {
    fn list(&self, date: NaiveDate) -> Option<&[u32]> {
        if let Some(list) = self.overrides.get(&date) {
            return Some(list);
        }
        let after = self
            .stretches
            .partition_point(|stretch| stretch.from <= date);
        let stretch = self.stretches[..after]
            .last()
            .filter(|stretch| date <= stretch.to)?;
        let days =
            i64::from(date.num_days_from_ce()) - i64::from(stretch.anchor.num_days_from_ce());
        let element = days.rem_euclid(i64::try_from(stretch.pattern.len()).ok()?);
        usize::try_from(element)
            .ok()
            .and_then(|element| stretch.pattern.get(element))
            .map(AsRef::as_ref)
    }
}

impl<Z> Plan<Z> {
    /// Checks a configuration and looks its zones up, each name once.
    ///
    /// # Errors
    ///
    /// `invalid_range`, `invalid_timezone`, `unknown_shift`, `invalid_tolerance`, `invalid_thresholds`, and
    /// `invalid_config` for what else makes no sense: a pattern without elements, an id given twice, a rounding step
    /// of 0, an unscheduled shift that is not open, a device named like [`DeviceId::MANUAL`].
    pub fn new(config: Config, lookup: impl FnMut(&str) -> Option<Z>) -> Result<Self, Error>
    where
        Z: Zone,
    {
        let years = 1..=9999;
        let (from, to) = (config.from, config.to);
        if from > to || !years.contains(&from.year()) || !years.contains(&to.year()) {
            return Err(Error::InvalidRange { from, to });
        }

        let mut zones = Zones {
            lookup,
            names: HashMap::new(),
            found: Vec::new(),
        };
        zones.index(&config.tz, "tz")?;
        let templates = templates(&config, &mut zones)?;
        let devices = devices(&config, &mut zones)?;
        let names = Names(&templates);
        let default_shift = config
            .default_shift
            .as_ref()
            .map(|id| names.find(id, "default_shift"))
            .transpose()?;
        let unscheduled = config
            .unscheduled_shift
            .as_ref()
            .map(|id| names.find(id, "unscheduled_shift"))
            .transpose()?;
        if unscheduled.is_some_and(|index| !names.0[index as usize].shift.is_open()) {
            return Err(Error::config("unscheduled_shift", "must be an open shift"));
        }
        let roster = roster(&config, &names)?;
        let identities = identities(&config)?;

        Ok(Self {
            default_shift: default_shift.map(|index| [index]),
            unscheduled,
            devices,
            roster,
            identities,
            holidays: config.holidays.iter().copied().collect(),
            zones: zones.found,
            templates,
            config,
        })
    }

    /// What the plan was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn site(&self) -> &Z {
        &self.zones[SITE]
    }

    pub(crate) fn template(&self, index: u32) -> &Template {
        &self.templates[index as usize]
    }

    /// The ids of the templates, by index.
    pub(crate) fn shift_ids(&self) -> Vec<ShiftId> {
        let templates = self.templates.iter();
        templates
            .map(|template| template.shift.id.clone())
            .collect()
    }

    pub(crate) fn zone_of(&self, template: u32) -> &Z {
        &self.zones[self.template(template).zone]
    }

    /// R19, R21: the templates of a date; `None` if nothing covers it.
    pub(crate) fn list<'a>(
        &'a self,
        roster: Option<&'a Roster>,
        date: NaiveDate,
    ) -> Option<&'a [u32]> {
        let own = roster.and_then(|roster| roster.list(date));
        own.or_else(|| self.default_shift.as_ref().map(<[u32; 1]>::as_slice))
    }

    pub(crate) fn is_holiday(&self, roster: Option<&Roster>, date: NaiveDate) -> bool {
        roster
            .and_then(|roster| roster.holidays.as_ref())
            .unwrap_or(&self.holidays)
            .contains(&date)
    }

    /// The dates whose shifts are planned: two beyond the range on either side.
    pub(crate) fn planned_dates(&self) -> (NaiveDate, NaiveDate) {
        (
            shift_date(self.config.from, -2),
            shift_date(self.config.to, 2),
        )
    }
}

struct Zones<Z, F> {
    lookup: F,
    names: HashMap<String, usize>,
    found: Vec<Z>,
}

impl<Z, F: FnMut(&str) -> Option<Z>> Zones<Z, F> {
    fn index(&mut self, name: &str, path: &str) -> Result<usize, Error> {
        if let Some(&index) = self.names.get(name) {
            return Ok(index);
        }
        let zone = (self.lookup)(name).ok_or_else(|| Error::InvalidTimezone {
            name: name.to_owned(),
            path: path.to_owned(),
        })?;
        self.found.push(zone);
        let index = self.found.len() - 1;
        self.names.insert(name.to_owned(), index);
        Ok(index)
    }
}

struct Names<'a>(&'a [Template]);

impl Names<'_> {
    fn find(&self, id: &ShiftId, path: &str) -> Result<u32, Error> {
        let found = self
            .0
            .binary_search_by(|template| template.shift.id.cmp(id))
            .ok();
        found
            .and_then(|index| u32::try_from(index).ok())
            .ok_or_else(|| Error::UnknownShift {
                shift: id.clone(),
                path: path.to_owned(),
            })
    }

    fn list(&self, ids: &[ShiftId], path: &str) -> Result<Box<[u32]>, Error> {
        ids.iter().map(|id| self.find(id, path)).collect()
    }
}

fn templates<Z, F>(config: &Config, zones: &mut Zones<Z, F>) -> Result<Vec<Template>, Error>
where
    F: FnMut(&str) -> Option<Z>,
{
    let mut templates = Vec::with_capacity(config.shifts.len());
    for (index, shift) in config.shifts.iter().enumerate() {
        let path = format!("shifts[{index}]");
        shift.check(&path)?;
        let zone = match &shift.tz {
            Some(name) => zones.index(name, &format!("{path}.tz"))?,
            None => SITE,
        };
        templates.push(Template {
            shift: shift.clone(),
            zone,
        });
    }
    templates.sort_by(|a, b| a.shift.id.cmp(&b.shift.id));
    match templates
        .windows(2)
        .find(|pair| pair[0].shift.id == pair[1].shift.id)
    {
        Some(pair) => Err(Error::config(
            "shifts",
            format!("the id {} is given twice", pair[0].shift.id),
        )),
        None => Ok(templates),
    }
}

fn devices<Z, F>(
    config: &Config,
    zones: &mut Zones<Z, F>,
) -> Result<Option<HashMap<DeviceId, KnownDevice>>, Error>
where
    F: FnMut(&str) -> Option<Z>,
{
    let Some(list) = &config.devices else {
        return Ok(None);
    };
    let mut devices = HashMap::with_capacity(list.len());
    for (index, device) in list.iter().enumerate() {
        let path = format!("devices[{index}]");
        if device.id.as_str() == DeviceId::MANUAL {
            let problem = format!("{} is known to every plan", DeviceId::MANUAL);
            return Err(Error::config(format!("{path}.id"), problem));
        }
        let zone = match &device.tz {
            Some(name) => zones.index(name, &format!("{path}.tz"))?,
            None => SITE,
        };
        let known = KnownDevice {
            zone,
            direction: device.direction,
            clock: ClockCurve::new(&device.clock),
        };
        if devices.insert(device.id.clone(), known).is_some() {
            return Err(Error::config(
                format!("{path}.id"),
                format!("{} is given twice", device.id),
            ));
        }
    }
    Ok(Some(devices))
}

fn identities(config: &Config) -> Result<Option<Identities>, Error> {
    let Some(list) = &config.identities else {
        return Ok(None);
    };
    let mut identities = Identities::default();
    for (index, identity) in list.iter().enumerate() {
        let users = match &identity.device {
            Some(device) => identities.by_device.entry(device.clone()).or_default(),
            None => &mut identities.anywhere,
        };
        let before = users.insert(identity.user.to_string(), identity.employee.clone());
        if before.is_some_and(|before| before != identity.employee) {
            let problem = format!("user {} stands for two people", identity.user);
            return Err(Error::config(format!("identities[{index}]"), problem));
        }
    }
    Ok(Some(identities))
}

fn roster(config: &Config, names: &Names<'_>) -> Result<BTreeMap<EmployeeId, Roster>, Error> {
    let mut people = BTreeMap::new();
    for (index, entry) in config.roster.iter().enumerate() {
        let path = format!("roster[{index}]");
        if people
            .insert(entry.employee.clone(), person(entry, names, &path)?)
            .is_some()
        {
            return Err(Error::config(
                format!("{path}.employee"),
                format!("{} is given twice", entry.employee),
            ));
        }
    }
    Ok(people)
}

fn person(entry: &RosterEntry, names: &Names<'_>, path: &str) -> Result<Roster, Error> {
    let mut overrides = BTreeMap::new();
    for (index, (date, shifts)) in entry.overrides.iter().enumerate() {
        let path = format!("{path}.overrides[{index}]");
        if overrides
            .insert(*date, names.list(shifts, &path)?)
            .is_some()
        {
            return Err(Error::config(path, format!("{date} is given twice")));
        }
    }
    Ok(Roster {
        overrides,
        stretches: stretches(&entry.assignments, names, path)?,
        holidays: entry
            .holidays
            .as_ref()
            .map(|dates| dates.iter().copied().collect()),
    })
}

/// Lays the assignments over one another: where several cover a date, the one with the latest start is on top, and of
/// equal starts the one later in the list (R21).
fn stretches(
    assignments: &[Assignment],
    names: &Names<'_>,
    path: &str,
) -> Result<Vec<Stretch>, Error> {
    let mut whole = Vec::with_capacity(assignments.len());
    let mut borders = Vec::new();
    for (index, assignment) in assignments.iter().enumerate() {
        let path = format!("{path}.assignments[{index}].pattern");
        if assignment.pattern.is_empty() {
            return Err(Error::config(path, "must have at least one element"));
        }
        let mut pattern = Vec::with_capacity(assignment.pattern.len());
        for (element, ids) in assignment.pattern.iter().enumerate() {
            pattern.push(names.list(ids, &format!("{path}[{element}]"))?);
        }
        let (from, to) = (assignment.from, assignment.to.unwrap_or(NaiveDate::MAX));
        if from <= to {
            borders.push(from);
            if to < NaiveDate::MAX {
                borders.push(shift_date(to, 1));
            }
            let anchor = assignment.anchor.unwrap_or(from);
            whole.push(Stretch {
                from,
                to,
                anchor,
                pattern: pattern.into(),
            });
        }
    }
    borders.sort_unstable();
    borders.dedup();

    // Stable: of equal starts, list order.
    whole.sort_by_key(|stretch| stretch.from);
    let mut top = BinaryHeap::new();
    let mut begun = 0;
    let mut stretches = Vec::new();
    for (index, &from) in borders.iter().enumerate() {
        while whole.get(begun).is_some_and(|stretch| stretch.from <= from) {
            top.push(begun);
            begun += 1;
        }
        while top.peek().is_some_and(|&index| whole[index].to < from) {
            top.pop();
        }
        if let Some(&holds) = top.peek() {
            let to = borders
                .get(index + 1)
                .map_or(NaiveDate::MAX, |&next| shift_date(next, -1));
            stretches.push(Stretch {
                from,
                to,
                ..whole[holds].clone()
            });
        }
    }
    Ok(stretches)
}
