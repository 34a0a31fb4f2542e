//! A small company to look at: people, shifts and what their terminals recorded, all from one seed.
//!
//! What somebody does on a date depends on the seed, the person and that date alone. So a world that is generated
//! again later, or with a later [`Setup::now`], has all that it had before and only grows: a terminal that comes back
//! after a restart has the same log, with new records at its end.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

/// Given and family names; the order of speaking is given first, names in one piece have no second part.
const NAMES: [(&str, &str); 40] = [
    ("José", "Álvarez"),
    ("Amina", "Odhiambo"),
    ("Zoë", "Janssen"),
    ("李伟", ""),
    ("Kwame", "Mensah"),
    ("Priya", "Raghavan"),
    ("Søren", "Lindqvist"),
    ("Fatima", "El Amrani"),
    ("Grace", "Wanjiru"),
    ("Łukasz", "Nowak"),
    ("Mei", "Tanaka"),
    ("Chidi", "Okonkwo"),
    ("Nguyễn Thị Hoa", ""),
    ("Björn", "Ås"),
    ("Layla", "Haddad"),
    ("Peter", "Kamau"),
    ("Ana", "Gonçalves"),
    ("Omar", "Siddiqui"),
    ("Wanjiku", "Njoroge"),
    ("Siobhán", "Byrne"),
    ("Γιώργος", ""),
    ("Mary", "Achieng"),
    ("Иван", "Петров"),
    ("Chloé", "Dubois"),
    ("محمد علي", ""),
    ("Thandiwe", "Nkosi"),
    ("Jürgen", "Weiß"),
    ("Sofia", "Rossi"),
    ("Daniel", "Mwangi"),
    ("김민준", ""),
    ("Elif", "Yıldız"),
    ("Samuel", "Otieno"),
    ("Ingrid", "Ødegård"),
    ("Ravi", "Shankar"),
    ("Esther", "Mutua"),
    ("Mateo", "Núñez"),
    ("Hana", "Kovářová"),
    ("Joseph", "Kiprono"),
    ("Aïcha", "Traoré"),
    ("Tom", "O'Neill"),
];

/// Terminals keep 24 bytes of a name.
const NAME_BYTES: usize = 24;

/// What a world is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The same seed gives the same people and days.
    pub seed: u64,
    /// How many people.
    pub employees: u16,
    /// How many terminals.
    pub devices: u16,
    /// The first work date. Keep it, and the logs keep their beginning.
    pub from: NaiveDate,
    /// Nothing is later than this, in the site's local time.
    pub now: NaiveDateTime,
    /// IANA name of the site's zone.
    pub zone: String,
}

impl Setup {
    /// The last `days` days up to `now`, today included.
    pub fn last_days(
        seed: u64,
        employees: u16,
        devices: u16,
        days: u16,
        now: NaiveDateTime,
        zone: &str,
    ) -> Self {
        let before = Days::new(u64::from(days.saturating_sub(1)));
        let from = now.date().checked_sub_days(before).unwrap_or(now.date());
        Self {
            seed,
            employees,
            devices: devices.max(1),
            from,
            now,
            zone: zone.to_owned(),
        }
    }
}

/// A company and its terminals.
///
/// ```
/// use bridge_bin::demo::world::{Setup, World};
///
/// let now = "2026-03-02T12:00:00".parse()?;
/// let world = World::generate(&Setup::last_days(7, 20, 2, 30, now, "Africa/Nairobi"));
/// assert_eq!(world.people.len(), 20);
/// assert_eq!(world.punches.len(), 2);
/// assert!(world.punches[0].is_sorted_by_key(|punch| punch.time));
/// assert_eq!(world, World::generate(&Setup::last_days(7, 20, 2, 30, now, "Africa/Nairobi")));
/// # Ok::<(), chrono::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// IANA name of the site's zone.
    pub zone: String,
    /// Everybody, by uid.
    pub people: Vec<Person>,
    /// The shifts they work.
    pub shifts: Vec<Shift>,
    /// Per terminal its log, oldest first.
    pub punches: Vec<Vec<Touch>>,
}

/// Somebody who works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user id, as the terminals know it.
    pub employee_id: String,
    /// The terminals' internal number.
    pub uid: u16,
    /// Fits a terminal.
    pub name: String,
    /// Id of the person's shift.
    pub shift: String,
    /// Index of the terminal nearest to the person's work.
    pub home: usize,
}

/// A shift from Monday to Friday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// `day`, `night`, `early`.
    pub id: String,
    /// Begins.
    pub start: NaiveTime,
    /// Ends, on the next day if not after the start.
    pub end: NaiveTime,
}

impl Shift {
    fn span(&self, date: NaiveDate) -> (NaiveDateTime, NaiveDateTime) {
        let end = if self.end <= self.start {
            date + Days::new(1)
        } else {
            date
        };
        (date.and_time(self.start), end.and_time(self.end))
    }
}

/// One record of a terminal's log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// The terminal's local time.
    pub time: NaiveDateTime,
    /// The terminals' internal number of the person.
    pub uid: u16,
    /// The user id.
    pub user_id: String,
    /// 0 password, 1 fingerprint, 4 card, 15 face.
    pub verify_mode: u8,
    /// 0 in, 1 out, 2 break out, 3 break in.
    pub punch_state: u8,
    /// Always 0: nobody here uses them.
    pub work_code: u32,
}

impl World {
    /// The world that `setup` describes.
    pub fn generate(setup: &Setup) -> Self {
        let shifts = shifts();
        let devices = usize::from(setup.devices.max(1));
        let people: Vec<_> = (0..setup.employees)
            .map(|index| person(index, devices))
            .collect();
        let mut punches = vec![Vec::new(); devices];
        for person in &people {
            let Some(shift) = shifts.iter().find(|shift| shift.id == person.shift) else {
                continue;
            };
            for date in setup
                .from
                .iter_days()
                .take_while(|date| *date <= setup.now.date())
            {
                for (device, touch) in day(setup.seed, devices, person, shift, date) {
                    if touch.time <= setup.now {
                        punches[device].push(touch);
                    }
                }
            }
        }
        for log in &mut punches {
            log.sort();
        }
        Self {
            zone: setup.zone.clone(),
            people,
            shifts,
            punches,
        }
    }

    /// What happens after `since` up to `setup.now`: (index of the terminal, record), oldest first. So a running
    /// demonstration feeds its terminals as time goes by.
    ///
    /// ```
    /// use bridge_bin::demo::world::{Setup, World};
    ///
    /// let noon = "2026-03-02T12:00:00".parse()?;
    /// let setup = Setup::last_days(7, 20, 2, 1, "2026-03-02T18:00:00".parse()?, "Africa/Nairobi");
    /// let afternoon = World::news(&setup, noon);
    /// assert!(!afternoon.is_empty());
    /// assert!(afternoon.iter().all(|(_, touch)| touch.time > noon));
    /// # Ok::<(), chrono::ParseError>(())
    /// ```
    pub fn news(setup: &Setup, since: NaiveDateTime) -> Vec<(usize, Touch)> {
        // A shift ends, with overtime, on the day after its date at the latest.
        let from = setup.from.max(since.date() - Days::new(2));
        let recent = Self::generate(&Setup {
            from,
            ..setup.clone()
        });
        let mut news: Vec<_> = recent
            .punches
            .into_iter()
            .enumerate()
            .flat_map(|(device, log)| {
                log.into_iter()
                    .filter(move |touch| touch.time > since)
                    .map(move |touch| (device, touch))
            })
            .collect();
        news.sort_by(|(_, a), (_, b)| a.cmp(b));
        news
    }
}

fn shifts() -> Vec<Shift> {
    let shift = |id: &str, start, end| Shift {
        id: id.to_owned(),
        start: hour(start),
        end: hour(end),
    };
    vec![
        shift("day", 8, 17),
        shift("night", 20, 5),
        shift("early", 6, 14),
    ]
}

fn hour(hour: i64) -> NaiveTime {
    NaiveTime::MIN + TimeDelta::hours(hour)
}

fn person(index: u16, devices: usize) -> Person {
    let shift = match index % 10 {
        2 | 6 => "night",
        4 | 9 => "early",
        _ => "day",
    };
    Person {
        employee_id: (1001 + u32::from(index)).to_string(),
        uid: index + 1,
        name: name(index.into()),
        shift: shift.to_owned(),
        home: usize::from(index) % devices,
    }
}

/// Everybody of the list first; then its given names with other family names.
fn name(index: usize) -> String {
    let (given, family) = NAMES[index % NAMES.len()];
    let round = index / NAMES.len();
    let family = match round {
        0 => family,
        _ => (index + round * 3..)
            .take(NAMES.len())
            .map(|other| NAMES[other % NAMES.len()].1)
            .find(|family| !family.is_empty())
            .unwrap_or_default(),
    };
    let mut name = format!("{given} {family}").trim_end().to_owned();
    while name.len() > NAME_BYTES {
        name.pop();
    }
    name
}

/// What one person does on the shift of one date, in no order.
fn day(
    seed: u64,
    devices: usize,
    person: &Person,
    shift: &Shift,
    date: NaiveDate,
) -> Vec<(usize, Touch)> {
    let uid = u64::from(person.uid);
    let number = u64::from(date.num_days_from_ce().unsigned_abs());
    let week = date.iso_week();
    let mut of_week = Dice::of([
        seed,
        uid,
        week.year().unsigned_abs().into(),
        week.week().into(),
        1,
    ]);
    let mut dice = Dice::of([seed, uid, number, 2, 2]);
    if matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
        || of_week.in_a_thousand(50)
        || dice.in_a_thousand(40)
    {
        return Vec::new();
    }
    let (start, end) = shift.span(date);
    let arrival = start
        + match dice.below(1000) {
            0..120 => dice.seconds(5 * 60, 45 * 60),
            120..140 => dice.seconds(90 * 60, 150 * 60),
            _ => dice.seconds(-18 * 60, 3 * 60),
        };
    let departure = end
        + match dice.below(1000) {
            0..60 => dice.seconds(-120 * 60, -15 * 60),
            60..140 => dice.seconds(40 * 60, 150 * 60),
            _ => dice.seconds(0, 18 * 60),
        };
    let elsewhere = if devices > 1 && dice.in_a_thousand(250) {
        (person.home + 1) % devices
    } else {
        person.home
    };
    let mut touches = Vec::new();
    let mode = match dice.below(20) {
        0 => 0,
        1..4 => 4,
        4..8 => 15,
        _ => 1,
    };
    let mut touch = |device: usize, time: NaiveDateTime, punch_state: u8| {
        let user_id = person.employee_id.clone();
        touches.push((
            device,
            Touch {
                time,
                uid: person.uid,
                user_id,
                verify_mode: mode,
                punch_state,
                work_code: 0,
            },
        ));
    };
    if !dice.in_a_thousand(10) {
        touch(person.home, arrival, 0);
    }
    if dice.in_a_thousand(60) {
        // Nobody trusts the first beep.
        touch(person.home, arrival + dice.seconds(4, 50), 0);
    }
    if dice.in_a_thousand(25) {
        // The terminal stuttered: the same record twice.
        touch(person.home, arrival, 0);
    }
    if person.uid % 5 == 4 {
        let noon = start + (end - start) / 2 + dice.seconds(-20 * 60, 20 * 60);
        touch(person.home, noon, 2);
        touch(person.home, noon + dice.seconds(25 * 60, 55 * 60), 3);
    }
    if !dice.in_a_thousand(35) {
        touch(elsewhere, departure, 1);
        if dice.in_a_thousand(50) {
            touch(elsewhere, departure + dice.seconds(3, 55), 1);
        }
    }
    if dice.in_a_thousand(15) {
        // Something was forgotten in the office, far from every shift.
        let odd = start - TimeDelta::hours(5) + dice.seconds(-40 * 60, 40 * 60);
        touch(person.home, odd, 0);
    }
    touches
}

/// Numbers that look like chance. `SplitMix64` and not `rand`, whose generators may change between versions: the world
/// in a data directory must not change under an update.
struct Dice(u64);

impl Dice {
    fn of(parts: [u64; 5]) -> Self {
        let mut dice = Self(0);
        for part in parts {
            dice.0 ^= part;
            dice.0 = dice.roll();
        }
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The bias of the remainder does not matter here.
    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.roll() % u64::from(end.max(1))).unwrap_or(0)
    }

    fn in_a_thousand(&mut self, of: u32) -> bool {
        self.below(1000) < of
    }

    fn seconds(&mut self, from: i32, to: i32) -> TimeDelta {
        let offset = self.below(to.abs_diff(from) + 1);
        TimeDelta::seconds(i64::from(from) + i64::from(offset))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn setup(now: &str) -> Setup {
        Setup {
            from: "2026-02-02".parse().unwrap(),
            ..Setup::last_days(7, 30, 2, 1, now.parse().unwrap(), "Africa/Nairobi")
        }
    }

    fn month() -> World {
        World::generate(&setup("2026-03-03T12:00:00"))
    }

    fn all(world: &World) -> impl Iterator<Item = &Touch> {
        world.punches.iter().flatten()
    }

    #[test]
    fn a_seed_gives_the_same_world_for_ever() {
        // A known answer: an update must not change the worlds that people have.
        let world = month();
        let first = &world.punches[0][0];
        assert_eq!(
            format!("{} {} {}", first.time, first.user_id, first.punch_state),
            "2026-02-02 05:42:25 1005 0"
        );
        let sum: i64 = all(&world)
            .map(|touch| touch.time.and_utc().timestamp() % 86_400)
            .sum();
        assert_eq!((all(&world).count(), sum), (1447, 62_731_798));
        let other = World::generate(&Setup {
            seed: 8,
            ..setup("2026-03-03T12:00:00")
        });
        assert_ne!(other.punches, month().punches);
    }

    #[test]
    fn a_later_world_only_appends() {
        let (before, after) = (month(), World::generate(&setup("2026-03-04T09:30:00")));
        for (before, after) in before.punches.iter().zip(&after.punches) {
            assert!(after.starts_with(before));
            assert!(after.len() > before.len());
        }
        let mut news = vec![Vec::new(); 2];
        for (device, touch) in World::news(
            &setup("2026-03-04T09:30:00"),
            "2026-03-03T12:00:00".parse().unwrap(),
        ) {
            news[device].push(touch);
        }
        for ((mut log, news), after) in before.punches.into_iter().zip(news).zip(after.punches) {
            log.extend(news);
            assert_eq!(log, after);
        }
    }

    #[test]
    fn logs_are_sorted_and_end_now() {
        let now = "2026-03-03T12:00:00".parse().unwrap();
        for log in month().punches {
            assert!(log.is_sorted());
            assert!(log.last().unwrap().time <= now);
            assert!(now - log.last().unwrap().time < TimeDelta::hours(4));
        }
    }

    #[test]
    fn names_fit_a_terminal_and_come_from_everywhere() {
        let people = World::generate(&Setup {
            employees: 300,
            ..setup("2026-02-02T00:00:00")
        })
        .people;
        for person in &people {
            assert!(
                person.name.len() <= NAME_BYTES && !person.name.trim().is_empty(),
                "{}",
                person.name
            );
        }
        for expected in ["José Álvarez", "Zoë Janssen", "李伟"] {
            assert!(people.iter().any(|person| person.name == expected));
        }
        let distinct: BTreeSet<_> = people.iter().map(|person| &person.name).collect();
        assert!(distinct.len() > 270, "{}", distinct.len());
        let ids: BTreeSet<_> = people
            .iter()
            .map(|person| (&person.employee_id, person.uid))
            .collect();
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn night_shifts_go_over_midnight() {
        let world = month();
        let at_night: BTreeSet<_> = world
            .people
            .iter()
            .filter(|person| person.shift == "night")
            .map(|person| person.uid)
            .collect();
        assert!(at_night.len() >= 5);
        let outs =
            all(&world).filter(|touch| at_night.contains(&touch.uid) && touch.punch_state == 1);
        assert!(outs.filter(|touch| touch.time.time() < hour(9)).count() > 50);
    }

    #[test]
    fn there_are_gaps_late_arrivals_and_forgotten_outs() {
        let world = month();
        let mut days: BTreeMap<(u16, NaiveDate), Vec<&Touch>> = BTreeMap::new();
        let at_day: BTreeSet<_> = world
            .people
            .iter()
            .filter(|person| person.shift == "day")
            .map(|person| person.uid)
            .collect();
        for touch in all(&world).filter(|touch| at_day.contains(&touch.uid)) {
            days.entry((touch.uid, touch.time.date()))
                .or_default()
                .push(touch);
        }
        let weekdays = 21;
        let gaps = at_day.len() * weekdays - days.len();
        assert!((10..200).contains(&gaps), "{gaps} gaps");
        assert!(
            days.keys()
                .all(|(_, date)| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun))
        );
        let today: NaiveDate = "2026-03-03".parse().unwrap();
        let past = || {
            days.iter()
                .filter(|((_, date), _)| *date < today)
                .map(|(_, touches)| touches)
        };
        let forgotten = past()
            .filter(|touches| touches.iter().all(|touch| touch.punch_state != 1))
            .count();
        assert!((2..60).contains(&forgotten), "{forgotten} forgotten outs");
        let late = past().filter(|touches| {
            touches
                .iter()
                .all(|touch| touch.time.time() > hour(8) + TimeDelta::minutes(5))
        });
        assert!(late.count() > 10);
    }

    #[test]
    fn there_are_outliers() {
        let world = month();
        let at_day: BTreeSet<_> = world
            .people
            .iter()
            .filter(|person| person.shift == "day")
            .map(|person| person.uid)
            .collect();
        let odd = all(&world)
            .filter(|touch| at_day.contains(&touch.uid) && touch.time.time() < hour(5))
            .count();
        assert!((1..30).contains(&odd), "{odd} outliers");
    }

    #[test]
    fn there_are_exact_and_near_duplicates() {
        let world = month();
        let mut exact = 0;
        let mut near = 0;
        for log in &world.punches {
            for person in &world.people {
                let own: Vec<_> = log.iter().filter(|touch| touch.uid == person.uid).collect();
                exact += own.windows(2).filter(|pair| pair[0] == pair[1]).count();
                let within = |pair: &[&Touch]| {
                    pair[0] != pair[1] && pair[1].time - pair[0].time <= TimeDelta::seconds(60)
                };
                near += own.windows(2).filter(|pair| within(pair)).count();
            }
        }
        assert!(exact > 3 && near > 10, "{exact} exact, {near} near");
    }

    #[test]
    fn people_come_at_one_terminal_and_go_at_another() {
        let world = month();
        let homes: BTreeMap<_, _> = world
            .people
            .iter()
            .map(|person| (person.uid, person.home))
            .collect();
        let away = world.punches.iter().enumerate().flat_map(|(device, log)| {
            let homes = &homes;
            log.iter().filter(move |touch| homes[&touch.uid] != device)
        });
        assert!(away.filter(|touch| touch.punch_state == 1).count() > 30);
    }

    #[test]
    fn somebody_is_at_work_right_now() {
        let world = month();
        let today = "2026-03-03T00:00:00".parse().unwrap();
        let came: BTreeSet<_> = all(&world)
            .filter(|touch| touch.time > today && touch.punch_state == 0)
            .map(|touch| touch.uid)
            .collect();
        let went: BTreeSet<_> = all(&world)
            .filter(|touch| touch.time > today && touch.punch_state == 1)
            .map(|touch| touch.uid)
            .collect();
        assert!(came.difference(&went).count() > 10);
    }

    #[test]
    fn an_empty_company_is_a_world_too() {
        let world = World::generate(&Setup {
            employees: 0,
            devices: 0,
            ..setup("2026-03-03T12:00:00")
        });
        assert!(world.people.is_empty() && world.punches == [Vec::new()]);
    }
}
