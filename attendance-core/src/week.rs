//! Weekly totals (R60).

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};

use crate::instant::shift_date;
use crate::{Record, Week, Weekly};

/// Appends the weeks of one employee's records.
pub(crate) fn sum(records: &[Record], weekly: Weekly, weeks: &mut Vec<Week>) {
    let mut sums: BTreeMap<NaiveDate, (i64, i64)> = BTreeMap::new();
    for record in records {
        let days = record.date.weekday().days_since(weekly.week_start);
        let (worked, overtime) = sums
            .entry(shift_date(record.date, -i64::from(days)))
            .or_default();
        *worked += record.worked_s;
        *overtime += record.overtime_s;
    }
    let Some(employee) = records.first().map(|record| &record.employee) else {
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
