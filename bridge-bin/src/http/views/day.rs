//! The rows of one day, and the tiles that count them.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::words::{self, Clock, When};
use crate::convert::RecordView;
use crate::store::entity::{daily_record, employee, outbox};
use crate::store::outbox::state;

/// A selection of rows: what a tile counts, and what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    All,
    Expected,
    Present,
    Late,
    Incomplete,
    Absent,
    Outliers,
    Unsynced,
}

impl Show {
    pub(super) const EVERY: [Self; 8] = [
        Self::All,
        Self::Expected,
        Self::Present,
        Self::Late,
        Self::Incomplete,
        Self::Absent,
        Self::Outliers,
        Self::Unsynced,
    ];

    /// As it stands in the address.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Expected => "expected",
            Self::Present => "present",
            Self::Late => "late",
            Self::Incomplete => "incomplete",
            Self::Absent => "absent",
            Self::Outliers => "outliers",
            Self::Unsynced => "unsynced",
        }
    }

    /// As it stands on the tile.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::All => "All records",
            Self::Expected => "Expected",
            Self::Present => "Present or in",
            Self::Late => "Late",
            Self::Incomplete => "Incomplete",
            Self::Absent => "Absent",
            Self::Outliers => "Outliers",
            Self::Unsynced => "Unsynced",
        }
    }

    /// What exactly is counted.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::All => "everybody with a record on this day",
            Self::Expected => "people with a shift on this day",
            Self::Present => "people who came, or are at work now",
            Self::Late => "clocked in after the start and its grace",
            Self::Incomplete => "a clock-in or clock-out is missing",
            Self::Absent => "expected, without any punch",
            Self::Outliers => "with a punch unusually far from the shift",
            Self::Unsynced => "not yet accepted by the CRM",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|show| show.name() == name)
    }

    pub(super) fn takes(self, row: &Row) -> bool {
        let status = row.status.name.as_str();
        match self {
            Self::All => true,
            Self::Expected => row.is_expected,
            Self::Present => {
                matches!(
                    status,
                    "present" | "half_day" | "in_progress" | "holiday_worked" | "off_worked"
                )
            }
            Self::Late => row.late.is_some(),
            Self::Incomplete => status == "incomplete",
            Self::Absent => status == "absent",
            Self::Outliers => row.has_outlier,
            Self::Unsynced => row.delivery.is_unsynced(),
        }
    }
}

/// One record as the table shows it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) employee: String,
    pub(super) name: Option<String>,
    pub(super) is_mapped: bool,
    pub(super) shift: Option<String>,
    pub(super) planned: Option<String>,
    pub(super) clock_in: Option<Clock>,
    pub(super) clock_out: Option<Clock>,
    pub(super) worked_s: i64,
    pub(super) status: Status,
    pub(super) late: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) delivery: Delivery,
    is_expected: bool,
    has_outlier: bool,
    order: (String, i32),
}

impl Row {
    pub(super) fn worked(&self) -> Option<String> {
        words::some_hours(self.worked_s)
    }

    /// The status, in words.
    pub(super) fn label(&self) -> &str {
        match self.status.name.as_str() {
            "present" => "Present",
            "half_day" => "Half day",
            "absent" => "Absent",
            "incomplete" => "Incomplete",
            "in_progress" if self.clock_out.is_some() => "Clocked out",
            "in_progress" if self.clock_in.is_some() => "At work",
            "in_progress" => "In progress",
            // It is so until the last moment at which a punch would count, long after the shift.
            "pending" => "No punch yet",
            "holiday" => "Holiday",
            "holiday_worked" => "Worked on holiday",
            "weekly_off" => "Day off",
            "off_worked" => "Worked on day off",
            WITHDRAWN => "Withdrawn",
            other => other,
        }
    }
}

/// The status of the rules.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) name: String,
}

impl Status {
    /// How it is coloured; the label says the same.
    pub(super) fn tone(&self) -> &'static str {
        match self.name.as_str() {
            "present" | "in_progress" | "holiday_worked" | "off_worked" => "good",
            "half_day" | "incomplete" => "doubtful",
            "absent" => "bad",
            _ => "quiet",
        }
    }
}

/// The status of a record that is gone, while the CRM does not know it yet.
const WITHDRAWN: &str = "withdrawn";

/// What the CRM knows of a record.
#[derive(Debug)]
pub(super) enum Delivery {
    /// It was never queued.
    NotSent,
    /// The CRM has the latest revision.
    Sent { revision: i64, at: Option<When> },
    /// The latest revision is yet to be accepted.
    Waiting {
        revision: i64,
        attempts: i32,
        problem: Option<String>,
    },
    /// The CRM refused the latest revision.
    Refused { revision: i64, reason: String },
    /// The CRM refused the latest revision, and somebody let that be.
    Dismissed { revision: i64, reason: String },
}

impl Delivery {
    fn of(row: &outbox::Model, zone: &TimeZone, now: i64) -> Self {
        let revision = row.revision;
        let problem = row.last_error.as_deref().map(words::excerpt);
        let words = || {
            problem
                .clone()
                .unwrap_or_else(|| "no reason was given".to_owned())
        };
        match row.state.as_str() {
            state::SENT => Self::Sent {
                revision,
                at: row.settled_at.map(|at| When::new(at, zone, now)),
            },
            state::REJECTED => Self::Refused {
                revision,
                reason: words(),
            },
            state::DISMISSED => Self::Dismissed {
                revision,
                reason: words(),
            },
            _ => Self::Waiting {
                revision,
                attempts: row.attempts,
                problem,
            },
        }
    }

    const fn is_unsynced(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Refused { .. })
    }
}

/// What the store holds of one date.
pub(super) struct Stored {
    pub(super) records: Vec<daily_record::Model>,
    pub(super) people: HashMap<String, employee::Model>,
    /// What each target was told or is to be told; the last one of an entry is shown.
    pub(super) deliveries: Vec<outbox::Model>,
}

impl Stored {
    /// All rows by name; the caller selects.
    pub(super) fn rows(self, date: NaiveDate, zone: &TimeZone, now: i64) -> Vec<Row> {
        let Self {
            records,
            people,
            deliveries,
        } = self;
        let known: HashSet<&str> = records
            .iter()
            .map(|record| record.record_id.as_str())
            .collect();
        let withdrawn: Vec<&outbox::Model> = deliveries
            .iter()
            .filter(|row| {
                row.deleted && row.state != state::SENT && !known.contains(row.entry_id.as_str())
            })
            .collect();
        let latest: HashMap<&str, &outbox::Model> = deliveries
            .iter()
            .map(|row| (row.entry_id.as_str(), row))
            .collect();
        let mut rows = Vec::with_capacity(records.len() + withdrawn.len());
        for record in &records {
            let delivery = latest.get(record.record_id.as_str()).copied();
            let delivery = delivery.map_or(Delivery::NotSent, |row| Delivery::of(row, zone, now));
            let mut row = Row::new(&record.employee, &people, delivery);
            row.order.1 = record.ordinal;
            row.shift.clone_from(&record.shift);
            row.status.name.clone_from(&record.status);
            match serde_json::from_str(&record.content) {
                Ok(content) => row.fill(&content, date, zone),
                // One bad record never hides the others (P6).
                Err(error) => row
                    .notes
                    .push(format!("this record cannot be read: {error}")),
            }
            rows.push(row);
        }
        for entry in withdrawn {
            let mut row = Row::new(&entry.employee, &people, Delivery::of(entry, zone, now));
            row.notes
                .push("there is no such record any more; the CRM has still to be told".to_owned());
            rows.push(row);
        }
        rows.sort_by(|one, other| {
            (&one.order, &one.employee).cmp(&(&other.order, &other.employee))
        });
        rows
    }
}

/// What a stored record says, as far as the page shows it.
#[derive(Deserialize)]
struct Content {
    #[serde(flatten)]
    record: RecordView,
    day_type: String,
    planned_start: Option<String>,
    planned_end: Option<String>,
}

impl Row {
    fn new(employee: &str, people: &HashMap<String, employee::Model>, delivery: Delivery) -> Self {
        let person = people.get(employee);
        let name = person
            .and_then(|person| person.name.clone())
            .filter(|name| !name.trim().is_empty());
        Self {
            order: (name.as_deref().unwrap_or(employee).to_lowercase(), 0),
            employee: employee.to_owned(),
            name,
            is_mapped: person.is_none_or(|person| person.mapped),
            shift: None,
            planned: None,
            clock_in: None,
            clock_out: None,
            worked_s: 0,
            status: Status {
                name: WITHDRAWN.to_owned(),
            },
            late: None,
            notes: Vec::new(),
            delivery,
            is_expected: false,
            has_outlier: false,
        }
    }

    fn fill(&mut self, content: &Content, date: NaiveDate, zone: &TimeZone) {
        let record = &content.record;
        let clock =
            |text: &Option<String>| text.as_deref().and_then(|text| Clock::of(text, zone, date));
        self.planned = clock(&content.planned_start)
            .zip(clock(&content.planned_end))
            .map(|(start, end)| format!("{}–{}", start.short, end.short));
        self.clock_in = clock(&record.clock_in);
        self.clock_out = clock(&record.clock_out);
        self.worked_s = record.worked_s;
        self.late = words::some_hours(record.late_s);
        self.is_expected = content.day_type == "workday";
        self.has_outlier = !record.outliers.is_empty();
        self.notes
            .extend(record.missing.iter().map(|side| match side.as_str() {
                "in" => "clock-in missing".to_owned(),
                "out" => "clock-out missing".to_owned(),
                other => format!("{other} missing"),
            }));
        let early = words::some_hours(record.early_leave_s);
        self.notes
            .extend(early.map(|hours| format!("left {hours} early")));
        let overtime = words::some_hours(record.overtime_s);
        self.notes
            .extend(overtime.map(|hours| format!("overtime {hours}")));
        self.notes.extend(
            record
                .outliers
                .iter()
                .chain(&record.flags)
                .map(|code| note(code).to_owned()),
        );
        if !record.is_final && record.clock_out.is_some() && !self.notes.is_empty() {
            self.notes.push("may still change".to_owned());
        }
    }
}

/// A code of the rules, in words.
fn note(code: &str) -> &str {
    match code {
        "in_too_early" => "outlier: clock-in far too early",
        "in_too_late" => "outlier: clock-in far too late",
        "out_too_early" => "outlier: clock-out far too early",
        "out_too_late" => "outlier: clock-out far too late",
        "in_unusual" => "outlier: unusual clock-in for this person",
        "out_unusual" => "outlier: unusual clock-out for this person",
        "auto_closed" => "closed automatically",
        "short_rest" => "short rest before this shift",
        "dst_change" => "clocks changed during the shift",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone;

    fn stored(record: &serde_json::Value, deliveries: Vec<outbox::Model>) -> Vec<Row> {
        let record = daily_record::Model {
            record_id: "7/2026-03-03/night/0".to_owned(),
            employee: "7".to_owned(),
            date: "2026-03-03".to_owned(),
            shift: Some("night".to_owned()),
            slot: "0".to_owned(),
            ordinal: 0,
            status: record["status"].as_str().unwrap_or("present").to_owned(),
            is_final: true,
            settles_at: None,
            device: None,
            content: record.to_string(),
            updated_at: 0,
        };
        let zone = zone::lookup("Africa/Nairobi").unwrap();
        let day = Stored {
            records: vec![record],
            people: HashMap::new(),
            deliveries,
        };
        day.rows("2026-03-03".parse().unwrap(), &zone, 0)
    }

    fn night() -> serde_json::Value {
        serde_json::json!({
            "employee": "7", "date": "2026-03-03", "shift": "night", "ordinal": 0, "day_type": "workday",
            "status": "present", "final": true, "planned_start": "2026-03-03T20:00:00+03:00",
            "planned_end": "2026-03-04T05:00:00+03:00", "clock_in": "2026-03-03T20:15:00+03:00",
            "clock_out": "2026-03-04T05:10:00+03:00", "worked_s": 32_100, "overtime_s": 0, "late_s": 900,
            "early_leave_s": 0, "missing": [], "outliers": [], "flags": ["dst_change"],
        })
    }

    fn entry(revision: i64, state: &str, deleted: bool) -> outbox::Model {
        outbox::Model {
            id: revision,
            target: "crm".to_owned(),
            entry_id: if deleted {
                "7/2026-03-03/gone/0"
            } else {
                "7/2026-03-03/night/0"
            }
            .to_owned(),
            revision,
            employee: "7".to_owned(),
            date: "2026-03-03".to_owned(),
            deleted,
            content: String::new(),
            key: String::new(),
            state: state.to_owned(),
            attempts: 1,
            due_at: 0,
            last_attempt: None,
            last_error: Some("HTTP 500".to_owned()),
            queued_at: 0,
            settled_at: None,
        }
    }

    #[test]
    fn a_night_shift_reads_like_one() {
        let rows = stored(&night(), Vec::new());
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!(row.planned.as_deref(), Some("20:00–05:00"));
        assert_eq!(
            row.clock_out.as_ref().and_then(Clock::other_day).as_deref(),
            Some("+1")
        );
        assert_eq!(row.worked().as_deref(), Some("8:55"));
        assert_eq!(row.late.as_deref(), Some("0:15"));
        assert_eq!(row.notes, ["clocks changed during the shift"]);
        let shown: Vec<&str> = Show::EVERY
            .into_iter()
            .filter(|show| show.takes(row))
            .map(Show::name)
            .collect();
        assert_eq!(shown, ["all", "expected", "present", "late"]);
    }

    #[test]
    fn an_unfinished_day_says_how_far_it_is() {
        let mut record = night();
        record["status"] = "in_progress".into();
        record["final"] = false.into();
        let row = &stored(&record, Vec::new())[0];
        assert_eq!(row.label(), "Clocked out");
        assert_eq!(
            row.notes.last().map(String::as_str),
            Some("may still change")
        );
        record["clock_out"] = serde_json::Value::Null;
        assert_eq!(stored(&record, Vec::new())[0].label(), "At work");
    }

    #[test]
    fn the_latest_revision_counts() {
        let rows = stored(
            &night(),
            vec![
                entry(1, state::SENT, false),
                entry(2, state::PENDING, false),
            ],
        );
        assert!(
            matches!(
                rows[0].delivery,
                Delivery::Waiting {
                    revision: 2,
                    attempts: 1,
                    ..
                }
            ),
            "{rows:?}"
        );
        assert!(Show::Unsynced.takes(&rows[0]));
    }

    #[test]
    fn a_withdrawn_record_stays_in_sight_until_the_crm_knows() {
        let rows = stored(&night(), vec![entry(3, state::PENDING, true)]);
        assert_eq!(
            rows.iter().filter(|row| Show::Unsynced.takes(row)).count(),
            1
        );
        assert_eq!(stored(&night(), vec![entry(3, state::SENT, true)]).len(), 1);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_shown_as_such() {
        let rows = stored(&serde_json::json!({"status": "absent"}), Vec::new());
        assert!(
            rows[0].notes[0].starts_with("this record cannot be read"),
            "{rows:?}"
        );
        assert!(Show::Absent.takes(&rows[0]));
    }
}
