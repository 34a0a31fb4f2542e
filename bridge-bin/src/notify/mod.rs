//! Telling somebody: alarms that open and end, and notices, by e-mail and by webhook (I21, S93).
//!
//! What is to be told stands in tables, so that a restart neither forgets nor repeats it. A mail is a digest of all
//! that happened since the last one; between two of them lies the configured interval.

mod mail;
mod post;

use std::time::Duration;

use crate::app::App;
use crate::failure::Failure;
use crate::jobs::under_lease;
use crate::lifecycle::{GRACE, Stop};
use crate::status::Status;
use crate::status::alarms::{self, Verdict};
use crate::store::alarms::Channel;

/// How often everything is looked at.
const EVERY: Duration = Duration::from_mins(1);

/// Notices shown in one mail; the others are counted.
const SHOWN: u64 = 50;

/// When the last mail was sent or tried.
const TRIED: &str = "mail_tried_at";

/// Looks at everything each minute, until asked to stop.
pub async fn run(app: App, mut stop: Stop) {
    while !stop.is_requested() {
        let turn = under_lease(&app, "job:notify", Duration::ZERO, None, |_| turn(&app));
        let mut asked_to_stop = stop.clone();
        let turned = tokio::select! {
            turned = turn => turned,
            // A mail server may take its time to answer; whoever stops does not wait for all of it.
            () = async { asked_to_stop.requested().await; tokio::time::sleep(GRACE / 2).await } => {
                tracing::warn!(
                    "stopped while alarms were being told; what was not confirmed is told again after the next start"
                );
                return;
            }
        };
        if let Err(error) = turned {
            let failure = Failure::of(&error);
            // Another node looks already.
            if failure.kind != "busy" {
                tracing::error!(error = format!("{error:#}"), "alarms were not looked at");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.requested() => {}
        }
    }
}

/// Opens and closes alarms as things stand, and tells what was not told yet.
pub async fn turn(app: &App) -> anyhow::Result<()> {
    let status = Status::load(app).await?;
    let now = app.clock.now();
    write_down(app, &status, now).await?;
    if app.config.mail.is_configured() {
        tell_by_mail(app, now).await?;
    }
    if !app.config.alarms.webhook_url.is_empty() {
        let untold = app.store.untold_alarms(Channel::Post).await?;
        if !untold.is_empty() {
            match post::send(app, &untold).await {
                Ok(()) => app.store.note_told(Channel::Post, &untold, now).await?,
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "alarms were not posted to alarms.webhook_url; trying again in a minute"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Opens and closes alarms as things stand.
async fn write_down(app: &App, status: &Status, now: i64) -> anyhow::Result<()> {
    let findings = alarms::findings(app, status).await?;
    let open = app.store.open_alarms().await?;
    for row in &open {
        // What is no longer there, such as a terminal that was removed, is over as well.
        let over = findings
            .iter()
            .find(|finding| finding.is_about(row))
            .is_none_or(|finding| finding.verdict == Verdict::Good);
        if over {
            tracing::info!(kind = row.kind, subject = row.subject, "the alarm is over");
            app.store.close_alarm(row, now).await?;
        }
    }
    for finding in &findings {
        let Verdict::Bad(detail) = &finding.verdict else {
            continue;
        };
        if open.iter().any(|row| finding.is_about(row)) {
            continue;
        }
        tracing::warn!(kind = finding.kind, subject = finding.subject, "{detail}");
        app.store
            .open_alarm(finding.kind, &finding.subject, detail, now)
            .await?;
    }
    Ok(())
}

async fn tell_by_mail(app: &App, now: i64) -> anyhow::Result<()> {
    let tried = app.store.meta(TRIED).await?;
    let tried: Option<i64> = tried.and_then(|text| text.parse().ok());
    let interval = i64::from(app.config.mail.interval_minutes) * 60;
    // A last time in the future was written by a clock that was wrong.
    if tried.is_some_and(|tried| tried <= now && now < tried + interval) {
        return Ok(());
    }
    let alarms = app.store.untold_alarms(Channel::Mail).await?;
    let untold = app.store.count_untold_notices().await?;
    if alarms.is_empty() && untold.count == 0 {
        return Ok(());
    }
    let notices = app.store.untold_notices(SHOWN).await?;
    app.store.set_meta(TRIED, &now.to_string()).await?;
    let digest = mail::digest(app, &alarms, &notices, untold.count);
    match mail::send(app, digest).await {
        Ok(()) => {
            app.store.note_told(Channel::Mail, &alarms, now).await?;
            if let Some(last) = untold.last {
                app.store.note_notices_told(last, now).await?;
            }
        }
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "the mail was not sent; trying again after the interval"
            );
        }
    }
    Ok(())
}
