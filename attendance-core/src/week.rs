//! Weekly totals (R60).

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};

use crate::instant::shift_date;
use crate::{Record, Week, Weekly};

/// Appends the weeks of one employee's records.
pub(crate) fn sum<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    weekly: Weekly,
    weeks: &mut Vec<Week>,
) {
    let mut employee = None;
    let mut sums: BTreeMap<NaiveDate, (i64, i64)> = BTreeMap::new();
    for record in records {
        employee = Some(&record.employee);
        let (worked, overtime) = sums.entry(of(record.date, weekly)).or_default();
        *worked += record.worked_s;
        *overtime += record.overtime_s;
    }
    let Some(employee) = employee else {
        return;
    };
    weeks.extend(sums.into_iter().map(|(week_of, (worked_s, overtime))| {
        let overtime_s = overtime
            .max(worked_s - i64::from(weekly.threshold_s))
            .max(0);
        Week {
            employee: employee.clone(),
            week_of,
            worked_s,
            overtime_s,
        }
    }));
}

/// The first date of a date's week.
pub(crate) fn of(date: NaiveDate, weekly: Weekly) -> NaiveDate {
    let days = date.weekday().days_since(weekly.week_start);
    shift_date(date, -i64::from(days))
}
