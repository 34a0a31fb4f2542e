//! Throws away what `[retention]` does not keep (S55): whole closed days only, and never so that a later reading of a
//! terminal brings back what is gone, or assesses half a day (B11).

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::process::LEASE;
use super::{PATIENCE, under_lease};
use crate::app::App;
use crate::store::retention::first_kept;
use crate::zone;

/// What was thrown away, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Punches of closed days.
    pub punches: u64,
    /// Revisions that were delivered, or replaced before they were, and have a successor.
    pub deliveries: u64,
    /// Runs of jobs, alarms and notices.
    pub history: u64,
    /// The first day that is still open: days before it are never assessed again.
    pub open_from: Option<NaiveDate>,
    /// What keeps days open that are older than `[retention]` asks for.
    pub held_back_by: Option<String>,
}

/// Cleans up, or only says what would be thrown away.
pub async fn run(app: &App, dry_run: bool) -> anyhow::Result<Report> {
    if dry_run {
        return clean_up(app, true).await;
    }
    // The job that assesses days must not look at one that is being closed.
    under_lease(app, LEASE, PATIENCE, None, |_| clean_up(app, false)).await
}

async fn clean_up(app: &App, dry_run: bool) -> anyhow::Result<Report> {
    let retention = &app.config.retention;
    let now = app.clock.as_of();
    let mut report = Report {
        open_from: app.store.retention_floor().await?,
        ..Report::default()
    };
    if retention.punches_days > 0 {
        let wanted = app
            .today()
            .checked_sub_days(Days::new(u64::from(retention.punches_days)))
            .unwrap_or(NaiveDate::MIN);
        let targets: Vec<&str> = app
            .targets
            .iter()
            .map(|target| target.id.as_str())
            .collect();
        let open = app
            .store
            .open_days(&targets, |instant| zone::date_at(&app.zone, instant))
            .await?;
        let first = open.into_iter().min_by_key(|holder| holder.date);
        let holder = first.filter(|holder| holder.date < wanted);
        let to = holder.as_ref().map_or(wanted, |holder| holder.date);
        report.held_back_by = holder.map(|holder| holder.what);
        if to > report.open_from.unwrap_or(NaiveDate::MIN) {
            report.open_from = Some(to);
        }
        if let Some(floor) = report.open_from {
            // The floor first: whatever stops us then, nothing comes back.
            if !dry_run {
                app.store.raise_floor(floor).await?;
            }
            let plausible = app.config.plausible_from.0;
            report.punches = app
                .store
                .purge_punches(plausible, first_kept(floor), dry_run)
                .await?;
        }
    }
    let before = |days: u32| now - i64::from(days) * 86_400;
    if retention.outbox_days > 0 {
        let before = before(retention.outbox_days);
        report.deliveries = app.store.purge_deliveries(before, dry_run).await?;
    }
    if retention.runs_days > 0 {
        report.history = app
            .store
            .purge_history(before(retention.runs_days), dry_run)
            .await?;
    }
    Ok(report)
}
