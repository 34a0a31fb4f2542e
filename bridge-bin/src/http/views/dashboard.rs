//! The day at a glance.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::{Datelike, NaiveDate};

use super::day::{Delivery, Row, Show, Stored};
use super::html;
use super::state::{Alarm, Complete, Run, Target, TargetState, Terminals, runs, targets};
use super::words::{self, When, count};
use crate::app::App;
use crate::config::targets::Kind;
use crate::http::Site;
use crate::http::auth::{Session, User};
use crate::http::error::Error;
use crate::jobs::sync;
use crate::status::Status;
use crate::store::entity::outbox;
use crate::store::outbox::state;

/// Alarms shown at once; the others unfold, so that the day stays in sight.
const ALARMS: usize = 5;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    user: User,
    zone: String,
    generated: When,
    alarms: Vec<Alarm>,
    title: String,
    date: NaiveDate,
    days: Days,
    show: Show,
    tiles: Vec<Tile>,
    rows: Vec<Row>,
    total_worked: String,
    records: usize,
    people: usize,
    unassessed: Option<String>,
    terminals: Terminals,
    targets: Vec<Target>,
    runs: Vec<Run>,
}

/// Where other days are.
struct Days {
    previous: Option<Link>,
    today: Link,
    next: Option<Link>,
    is_today: bool,
}

struct Link {
    href: String,
    title: String,
}

struct Tile {
    href: String,
    label: &'static str,
    meaning: &'static str,
    count: usize,
    is_shown: bool,
}

impl DashboardPage {
    fn how_many_alarms(&self) -> String {
        count(self.alarms.len() as u64, "alarm", "alarms")
    }

    fn caption(&self) -> String {
        let records = count(self.records as u64, "record", "records");
        match self.show {
            Show::All => format!(
                "{records} of {}",
                count(self.people as u64, "person", "people")
            ),
            show => format!("{}: {} of {records}", show.label(), self.rows.len()),
        }
    }

    /// This day without a selection.
    fn everybody(&self) -> String {
        address(self.date, Show::All)
    }
}

/// The address of a day, or of a selection of its rows.
fn address(date: NaiveDate, show: Show) -> String {
    match show {
        Show::All => format!("/?date={date}"),
        show => format!("/?date={date}&show={}", show.name()),
    }
}

impl Days {
    fn around(date: NaiveDate, today: NaiveDate, show: Show) -> Self {
        let link = |date| Link {
            href: address(date, show),
            title: words::short_date(date),
        };
        // Further years have no address of ten characters.
        let has_address = |date: &NaiveDate| (0..=9999).contains(&date.year());
        Self {
            previous: date.pred_opt().filter(has_address).map(link),
            today: link(today),
            next: date.succ_opt().filter(has_address).map(link),
            is_today: date == today,
        }
    }
}

/// What the address asks for.
struct Asked {
    date: Option<NaiveDate>,
    show: Show,
}

impl Asked {
    fn parse(parameters: Vec<(String, String)>) -> Result<Self, Error> {
        let mut asked = Self {
            date: None,
            show: Show::All,
        };
        let mut seen = HashSet::new();
        for (name, value) in parameters {
            let refused = |form: &str| {
                let value: String = value.chars().take(40).collect();
                Error::Malformed(format!(
                    "The parameter {name} is {value:?}; write it like {form}."
                ))
            };
            match name.as_str() {
                "date" => asked.date = Some(date(&value).ok_or_else(|| refused("2026-03-01"))?),
                "show" => {
                    let show = Show::from_name(&value);
                    asked.show = show.ok_or_else(|| refused("late, absent or all"))?;
                }
                _ => {
                    let name: String = name.chars().take(40).collect();
                    return Err(Error::Malformed(format!(
                        "There is no parameter {name:?} here."
                    )));
                }
            }
            if !seen.insert(name.clone()) {
                return Err(Error::Malformed(format!(
                    "The parameter {name} is there twice."
                )));
            }
        }
        Ok(asked)
    }
}

/// Strictly `YYYY-MM-DD`; chrono alone would also take `2026-3-1`.
fn date(text: &str) -> Option<NaiveDate> {
    let date: NaiveDate = text.parse().ok()?;
    (text.len() == 10 && date.to_string() == text).then_some(date)
}

pub(in crate::http) async fn page(
    State(site): State<Arc<Site>>,
    Query(parameters): Query<Vec<(String, String)>>,
    session: Session,
) -> Result<Html<String>, Error> {
    let user = session.user.ok_or(Error::LoginRequired)?;
    let asked = Asked::parse(parameters)?;
    let app = &site.app;
    let status = Status::load(app).await?;
    let now = status.at;
    let today = app.today();
    let date = asked.date.unwrap_or(today);
    let stored = Stored {
        records: app.store.records_on(date).await?,
        people: app.store.people_on(date).await?,
        deliveries: deliveries(app, date).await?,
    };
    let mut rows = stored.rows(date, &app.zone, now);
    let records = rows.len();
    let people = rows
        .iter()
        .map(|row| row.employee.as_str())
        .collect::<HashSet<_>>()
        .len();
    let tiles = Show::EVERY
        .into_iter()
        .map(|show| Tile {
            href: address(date, show),
            label: show.label(),
            meaning: show.meaning(),
            count: rows.iter().filter(|row| show.takes(row)).count(),
            is_shown: show == asked.show,
        })
        .collect();
    rows.retain(|row| asked.show.takes(row));
    let unassessed = app.store.unassessed_on(date).await?;
    html(&DashboardPage {
        user,
        zone: app.config.timezone.0.clone(),
        generated: When::new(now, &app.zone, now),
        alarms: status
            .alarms
            .iter()
            .map(|alarm| Alarm::of(app, alarm, now))
            .collect(),
        title: words::long_date(date),
        days: Days::around(date, today, asked.show),
        date,
        show: asked.show,
        tiles,
        total_worked: words::hours(rows.iter().map(|row| row.worked_s).sum()),
        rows,
        records,
        people,
        unassessed: (unassessed > 0).then(|| count(unassessed, "person", "people")),
        terminals: Terminals::load(app, &status).await?,
        targets: targets(app, &status).await?,
        runs: runs(app, now).await?,
    })
}

/// The latest revision of each entry of a date at each target that is told days; what troubles most comes last. What
/// `[crm]` was told is shown even while it is not configured.
async fn deliveries(app: &App, date: NaiveDate) -> anyhow::Result<Vec<outbox::Model>> {
    let targets = app.targets.iter();
    let told_days = targets.filter(|one| one.kind() == Kind::Day && one.id != sync::TARGET);
    let ids = std::iter::once(sync::TARGET).chain(told_days.map(|one| one.id.as_str()));
    let mut latest = Vec::new();
    for id in ids {
        let told = app.store.delivery_on(id, &date.to_string()).await?;
        let told = told.into_iter().map(|row| (row.entry_id.clone(), row));
        latest.extend(told.collect::<BTreeMap<_, _>>().into_values());
    }
    latest.sort_by_key(|row| match row.state.as_str() {
        state::REJECTED => 2,
        state::PENDING => 1,
        _ => 0,
    });
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Asked, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Asked::parse(pairs).map_err(|error| error.to_string())
    }

    #[test]
    fn a_parameter_that_is_wrong_is_named() {
        for wrong in [
            "",
            "today",
            "2026-3-1",
            "2026-02-30",
            "+2026-03-01",
            "2026-03-01T00:00",
            "20260301",
        ] {
            let error = parse(&[("date", wrong)]).err().unwrap_or_default();
            assert!(error.contains("date"), "{wrong}: {error}");
        }
        assert!(
            parse(&[("show", "everything")])
                .err()
                .unwrap_or_default()
                .contains("show")
        );
        assert!(
            parse(&[("datum", "2026-03-01")])
                .err()
                .unwrap_or_default()
                .contains("datum")
        );
        assert!(
            parse(&[("date", "2026-03-01"), ("date", "2026-03-02")])
                .err()
                .unwrap_or_default()
                .contains("twice")
        );
        let asked = parse(&[("date", "2026-03-01"), ("show", "late")]).unwrap();
        assert_eq!(
            (asked.date, asked.show),
            (NaiveDate::from_ymd_opt(2026, 3, 1), Show::Late)
        );
    }
}
