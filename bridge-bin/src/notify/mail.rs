//! E-mail: one digest at a time.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::app::App;
use crate::cause;
use crate::config::alarms::MailTls;
use crate::status::alarms::remedy;
use crate::store::entity::{alarm, notice};
use crate::zone;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Subject and text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) subject: String,
    pub(super) text: String,
}

/// All that happened, in one text: the first of `untold` notices, and how many more there are. Times are those of the site, with its zone.
pub(super) fn digest(
    app: &App,
    alarms: &[alarm::Model],
    notices: &[notice::Model],
    untold: u64,
) -> Digest {
    let at = |instant| zone::rfc3339(&app.zone, instant);
    let mut text = String::new();
    let (mut parts, open) = (
        Vec::new(),
        alarms.iter().filter(|row| row.closed_at.is_none()),
    );
    let open: Vec<&alarm::Model> = open.collect();
    if !open.is_empty() {
        parts.push(count(open.len() as u64, "alarm", "alarms"));
        text += "Alarms:\n";
        for row in open {
            let _ = writeln!(text, "- {} (since {})", row.detail, at(row.opened_at));
            let _ = writeln!(text, "  {}", remedy(&row.kind, &row.subject));
        }
        text.push('\n');
    }
    let over: Vec<(&alarm::Model, i64)> = alarms
        .iter()
        .filter_map(|row| Some((row, row.closed_at?)))
        .collect();
    if !over.is_empty() {
        parts.push(format!(
            "{} over",
            count(over.len() as u64, "alarm", "alarms")
        ));
        text += "Over:\n";
        for (row, closed_at) in over {
            let _ = writeln!(
                text,
                "- {} (from {} to {})",
                row.detail,
                at(row.opened_at),
                at(closed_at)
            );
        }
        text.push('\n');
    }
    if untold > 0 {
        parts.push(count(untold, "new outlier", "new outliers"));
        text += "New outliers:\n";
        for row in notices {
            let _ = writeln!(text, "- {}", row.detail);
        }
        let more = untold.saturating_sub(notices.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "- and {more} more; the pages show them");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "Times are those of {}.", app.config.timezone.0);
    Digest {
        subject: format!("zk-bridge: {}", parts.join(", ")),
        text,
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

pub(super) async fn send(app: &App, digest: Digest) -> anyhow::Result<()> {
    let mail = &app.config.mail;
    let mut message = Message::builder()
        .from(mail.from.parse::<Mailbox>().context("mail.from")?)
        .subject(digest.subject)
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        message = message.to(to.parse::<Mailbox>().context("mail.to")?);
    }
    let message = message.body(digest.text)?;
    let mut transport = match mail.tls {
        MailTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&mail.host)?,
        MailTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(&mail.host)?,
        // The configuration lets this through for this very machine alone.
        MailTls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host),
    };
    if mail.port != 0 {
        transport = transport.port(mail.port);
    }
    if !mail.user.is_empty() {
        let password = mail.password()?.expose_secret().to_owned();
        transport = transport.credentials(Credentials::new(mail.user.clone(), password));
    }
    let transport = transport.timeout(Some(TIMEOUT)).build();
    let sent = transport.send(message).await;
    sent.map_err(|error| {
        let said = cause::beneath(&error);
        anyhow::anyhow!("the mail server {} did not take it: {said}", mail.host)
    })?;
    Ok(())
}
