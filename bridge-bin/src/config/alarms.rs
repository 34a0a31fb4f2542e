//! `[alarms]` and `[mail]`: what somebody is told about, and how.

use std::path::PathBuf;

use crm_client::is_loopback;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{expose, no_secret, targets};
use crate::failure::Failure;

/// When something is told. A value of 0 turns that alarm off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// Hours without a complete reading of a terminal, on working days.
    pub device_silent_hours: u32,
    /// Minutes for which a record has been waiting to be delivered.
    pub queue_minutes: u32,
    /// Per cent of a terminal's log that are used.
    pub log_full_percent: u32,
    /// Seconds by which a terminal's clock is off.
    pub clock_drift_seconds: u32,
    /// Days until a target's certificate ends.
    pub certificate_days: u32,
    /// Records that a target refused for good.
    pub dead_letters: u32,
    /// Where alarms are posted, signed; empty: nowhere.
    pub webhook_url: String,
    /// What they are signed with; better in the environment.
    #[serde(serialize_with = "expose", skip_serializing_if = "no_secret")]
    pub webhook_secret: SecretString,
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            device_silent_hours: 3,
            queue_minutes: 60,
            log_full_percent: 90,
            clock_drift_seconds: 120,
            certificate_days: 14,
            dead_letters: 1,
            webhook_url: String::new(),
            webhook_secret: SecretString::default(),
        }
    }
}

impl Alarms {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.log_full_percent > 100 {
            return Err(refused(
                format!("alarms.log_full_percent is {}.", self.log_full_percent),
                "Choose a number from 0 (no alarm) to 100.",
            ));
        }
        if self.webhook_url.is_empty() {
            return Ok(());
        }
        let secured = self.webhook_url.parse::<reqwest::Url>().is_ok_and(|url| {
            let is_here = url.host_str().is_some_and(is_loopback);
            url.scheme() == "https" || (url.scheme() == "http" && is_here)
        });
        if !secured {
            // Not told in full: an address may hold a token.
            return Err(refused(
                "alarms.webhook_url is no https address.".to_owned(),
                "Write it like https://hooks.example.com/alarms; plain http is only for this very machine.",
            ));
        }
        Ok(())
    }

    /// Whether what it takes to ring is there; nobody else is asked for it.
    pub fn check_secret(&self) -> anyhow::Result<()> {
        if !self.webhook_url.is_empty() && no_secret(&self.webhook_secret) {
            return Err(refused(
                "alarms.webhook_secret is missing.".to_owned(),
                "Set it, better in the environment as ZK_BRIDGE_ALARMS_WEBHOOK_SECRET: alarms are signed with it.",
            ));
        }
        Ok(())
    }
}

/// How e-mail is sent. Without `host` none is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The server that takes mail.
    pub host: String,
    /// Its port; 0: the usual one for `tls`.
    pub port: u16,
    /// How the connection is secured.
    pub tls: MailTls,
    /// Who logs in; empty: nobody.
    pub user: String,
    /// The password; better in `password_file` or the environment.
    #[serde(serialize_with = "expose", skip_serializing_if = "no_secret")]
    pub password: SecretString,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The sender.
    pub from: String,
    /// Who is told.
    pub to: Vec<String>,
    /// Also tell of new outliers (S93), those of the last two days.
    pub outliers: bool,
    /// Minutes between two mails at least; what happens meanwhile comes with the next.
    pub interval_minutes: u32,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            tls: MailTls::Starttls,
            user: String::new(),
            password: SecretString::default(),
            password_file: None,
            from: String::new(),
            to: Vec::new(),
            outliers: false,
            interval_minutes: 15,
        }
    }
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Asked for in the clear, then insisted on.
    Starttls,
    /// From the first byte.
    Implicit,
    /// Not at all: only to this very machine.
    None,
}

impl Mail {
    /// Whether mail can be sent.
    pub fn is_configured(&self) -> bool {
        !self.host.is_empty()
    }

    /// The password: the value, which the environment may give, else the file's first line.
    pub fn password(&self) -> anyhow::Result<SecretString> {
        match self
            .password_file
            .as_ref()
            .filter(|_| no_secret(&self.password))
        {
            Some(path) => targets::first_line(path, "mail.password_file"),
            None => Ok(self.password.clone()),
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if !self.is_configured() {
            return Ok(());
        }
        if self.tls == MailTls::None && !is_loopback(&self.host) {
            return Err(refused(
                format!(
                    "mail.tls is \"none\", but {:?} is another machine: names and password would cross the network \
                     readable by anyone.",
                    self.host
                ),
                "Choose \"starttls\" or \"implicit\".",
            ));
        }
        let mailbox = |field: &str, text: &str| {
            text.parse::<lettre::message::Mailbox>()
                .map(drop)
                .map_err(|_| {
                    refused(
                        format!("{field} is {text:?}, which is no e-mail address."),
                        "Write it like bridge@example.com or \"Bridge <bridge@example.com>\".",
                    )
                })
        };
        mailbox("mail.from", &self.from)?;
        if self.to.is_empty() {
            return Err(refused(
                "mail.to is empty.".to_owned(),
                "Name who is to be told, like [\"hr@example.com\"].",
            ));
        }
        self.to.iter().try_for_each(|to| mailbox("mail.to", to))
    }
}

fn refused(message: String, remedy: &str) -> anyhow::Error {
    Failure::new("config", message, remedy).into()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::failure::Failure;

    #[test]
    fn mail_goes_out_secured_or_not_at_all() {
        let check = |toml: &str| {
            Config::parse(toml, "x.toml")
                .unwrap()
                .check()
                .map_err(|error| Failure::of(&error).message)
        };
        let mail = "[mail]\nfrom = \"b@example.com\"\nto = [\"hr@example.com\"]\n";
        check(&format!("{mail}host = \"mail.example.com\"\n")).unwrap();
        check(&format!("{mail}host = \"127.0.0.1\"\ntls = \"none\"\n")).unwrap();
        let error = check(&format!(
            "{mail}host = \"mail.example.com\"\ntls = \"none\"\n"
        ));
        assert!(error.unwrap_err().contains("mail.tls"));
        let error =
            check("[mail]\nhost = \"localhost\"\nfrom = \"b@example.com\"\nto = [\"nobody\"]\n");
        assert!(error.unwrap_err().contains("mail.to is \"nobody\""));
        let hooked = "[alarms]\nwebhook_url = \"https://x\"\n";
        check(hooked).unwrap();
        let error = Config::parse(hooked, "x.toml")
            .unwrap()
            .alarms
            .check_secret();
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("alarms.webhook_secret")
        );
        for plain in ["http://hooks.example.com/", "ftp://127.0.0.1/", "hooks"] {
            let error = check(&format!(
                "[alarms]\nwebhook_url = \"{plain}\"\nwebhook_secret = \"s\"\n"
            ));
            assert!(error.unwrap_err().contains("alarms.webhook_url"), "{plain}");
        }
        check("[alarms]\nwebhook_url = \"http://[::1]:1/\"\nwebhook_secret = \"s\"\n").unwrap();
    }
}
