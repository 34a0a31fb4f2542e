//! `[[targets]]`: further places that records are sent to, beside the one of `[crm]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crm_client::{Fingerprint, SuccessRule};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{DateText, expose, no_secret};
use crate::failure::Failure;

/// The id of the target that `[crm]` describes.
pub const CRM: &str = "crm";

/// One place that records are sent to. Flat, because a reader of the file thinks of one list of settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// Names it for good: keys of idempotency contain it.
    pub id: String,
    /// The form in which it wants to be told.
    pub connector: Connector,
    /// What it is told, where the connector leaves that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// HTTPS, or http to loopback.
    pub url: String,
    /// Where batches go; none, if the target takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_url: Option<String>,
    /// Token, API key or password; better in `token_file` or the environment.
    #[serde(serialize_with = "expose", skip_serializing_if = "no_secret")]
    pub token: SecretString,
    /// A file whose first line is the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Template: the method of the request. Frappe: the method on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Template: further headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Template: the body of a single record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Template: the body of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_body: Option<String>,
    /// Template: which answers mean success, like `200, 202-204` or `/status = ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// Template: the JSON pointer to the id that the target gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Odoo: the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Odoo: the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Frappe, Odoo: the field of the employee that holds our employee id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employee_field: Option<String>,
    /// Webhook: what deliveries are signed with.
    #[serde(serialize_with = "expose", skip_serializing_if = "no_secret")]
    pub secret: SecretString,
    /// Days before this date are assessed, never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date: Option<DateText>,
    /// Also send days on which the person is still at work.
    pub send_in_progress: bool,
    /// Also send days off and holidays.
    pub send_days_off: bool,
    /// Also tell the terminal's address.
    pub include_device_address: bool,
    /// Seconds to wait for an answer.
    pub request_timeout_seconds: u32,
    /// Records in a batch.
    pub batch_size: u32,
    /// Requests under way at the same time.
    pub concurrency: u32,
    /// First wait after a failed attempt; doubles up to six hours.
    pub retry_seconds: u32,
    /// Attempts after which a record counts as failed; it is still tried, ever more rarely.
    pub max_retries: u32,
    /// Records in a second at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Certificates of a private authority, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The one certificate that the target may show: the SHA-256 of it, or of its public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_sha256: Option<String>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            id: String::new(),
            connector: Connector::Json,
            kind: None,
            url: String::new(),
            batch_url: None,
            token: SecretString::default(),
            token_file: None,
            method: None,
            headers: BTreeMap::new(),
            body: None,
            batch_body: None,
            success: None,
            remote_id: None,
            database: None,
            user: None,
            employee_field: None,
            secret: SecretString::default(),
            start_date: None,
            send_in_progress: false,
            send_days_off: false,
            include_device_address: false,
            request_timeout_seconds: 30,
            batch_size: 100,
            concurrency: 1,
            retry_seconds: 30,
            max_retries: 3,
            rate_per_second: None,
            ca_file: None,
            pinned_sha256: None,
        }
    }
}

/// The form in which a target wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connector {
    /// Our own `schema: 1`.
    Json,
    /// `{device_info, records}`.
    DeviceExport,
    /// `{"data": [{emp_no, …}]}`.
    DeviceData,
    /// Whatever the templates say.
    Template,
    /// Employee check-ins of `ERPNext` and Frappe HR.
    Frappe,
    /// Attendances of Odoo.
    Odoo,
    /// Our own form, signed.
    Webhook,
}

/// What a target is told (design 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Daily records.
    Day,
    /// Punches.
    Punch,
    /// Stretches of presence.
    Session,
}

impl Connector {
    /// The word for it in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::DeviceExport => "device-export",
            Self::DeviceData => "device-data",
            Self::Template => "template",
            Self::Frappe => "frappe",
            Self::Odoo => "odoo",
            Self::Webhook => "webhook",
        }
    }

    /// What it can be told; the first is meant if nothing is said.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Json => &[Kind::Day],
            Self::Template | Self::Webhook => &[Kind::Day, Kind::Punch, Kind::Session],
            Self::DeviceExport | Self::DeviceData | Self::Frappe => &[Kind::Punch],
            Self::Odoo => &[Kind::Session],
        }
    }

    /// Whether a later revision takes the place of an earlier one. In the forms of terminals it would be one more punch,
    /// and nothing can be withdrawn.
    pub const fn corrects(self) -> bool {
        !matches!(self, Self::DeviceExport | Self::DeviceData)
    }

    /// Whether what no answer gave a name to is found again by what it said.
    pub const fn finds_by_content(self) -> bool {
        matches!(self, Self::Frappe)
    }
}

impl Kind {
    /// The word for it in the file and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Punch => "punch",
            Self::Session => "session",
        }
    }
}

impl Target {
    /// What it is told.
    pub fn kind(&self) -> Kind {
        let possible = self.connector.kinds();
        self.kind
            .or_else(|| possible.first().copied())
            .unwrap_or(Kind::Day)
    }

    /// Whether several records may go in one request.
    pub const fn takes_batches(&self) -> bool {
        match self.connector {
            Connector::Json => self.batch_url.is_some(),
            Connector::Template => self.batch_body.is_some(),
            Connector::DeviceExport | Connector::DeviceData | Connector::Webhook => true,
            Connector::Frappe | Connector::Odoo => false,
        }
    }

    /// Changes when what is to be sent changes.
    pub fn fingerprint(&self) -> String {
        let start = self.start_date.as_ref().map(|date| date.0.to_string());
        let mut text = format!(
            "{}|{}|{}",
            start.as_deref().unwrap_or(""),
            self.send_in_progress,
            self.send_days_off
        );
        // Only where it says something: the text of older versions stays what it was.
        if self.include_device_address {
            text += "|address";
        }
        text
    }

    /// Which answers mean success: statuses such as `200, 202-204`, and at most one `/json/pointer = value`.
    pub fn success_rule(&self) -> anyhow::Result<SuccessRule> {
        let mut rule = SuccessRule::default();
        let Some(text) = &self.success else {
            return Ok(rule);
        };
        let (pointers, statuses): (Vec<&str>, Vec<&str>) = text
            .split(',')
            .map(str::trim)
            .partition(|part| part.starts_with('/'));
        let status = |part: &&str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        };
        let statuses_read: Option<Vec<_>> = statuses.iter().map(status).collect();
        let field = match pointers[..] {
            [] => Some(None),
            [one] => one.split_once('=').map(|(pointer, value)| {
                let value = value.trim();
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                Some((pointer.trim().to_owned(), value))
            }),
            _ => None,
        };
        let (Some(read), Some(field)) = (statuses_read, field) else {
            return Err(Failure::new(
                "config",
                format!("{} is {text:?}.", self.setting("success")),
                "Write statuses like \"200, 202-204\", and at most one value of the answer like \"/status = ok\".",
            )
            .into());
        };
        if !read.is_empty() {
            rule.statuses = read;
        }
        rule.field = field;
        Ok(rule)
    }

    /// The name that failures give to one of its settings.
    pub fn setting(&self, field: &str) -> String {
        if self.id == CRM {
            format!("crm.{field}")
        } else {
            format!("targets.{}.{field}", self.id)
        }
    }

    /// The environment variable that may give one of its secrets.
    fn variable(&self, what: &str) -> String {
        variable(&self.id, what)
    }

    /// Takes its secrets from the environment, where they are given.
    fn overlay(&mut self, environment: &BTreeMap<String, String>) {
        for (what, place) in [("TOKEN", &mut self.token), ("SECRET", &mut self.secret)] {
            let name = variable(&self.id, what);
            if let Some(text) = environment.get(&name).filter(|text| !text.is_empty()) {
                *place = text.clone().into();
            }
        }
    }

    /// The token: the value, which the environment may give, else the file's first line.
    pub fn token(&self) -> anyhow::Result<SecretString> {
        match self.token_file.as_ref().filter(|_| no_secret(&self.token)) {
            Some(path) => first_line(path, &self.setting("token_file")),
            None => Ok(self.token.clone()),
        }
    }

    /// What it is let in by, or what it signs with. Refused is one that its connector cannot do without and that is
    /// missing.
    pub fn credential(&self) -> anyhow::Result<SecretString> {
        let (field, found) = match self.connector {
            Connector::Webhook => ("secret", self.secret.clone()),
            _ => ("token", self.token()?),
        };
        let needs_one = matches!(self.connector, Connector::Webhook | Connector::Odoo);
        if needs_one && no_secret(&found) {
            let remedy = format!(
                "Set {field}, better in the environment as {}.",
                self.variable(&field.to_ascii_uppercase())
            );
            return Err(self.fault(field, "is missing", &remedy).into());
        }
        Ok(found)
    }

    /// As the target that `[crm]` describes.
    pub(super) fn as_crm(&self) -> Self {
        Self {
            id: CRM.to_owned(),
            ..self.clone()
        }
    }

    /// What is wrong with `[crm]`, which is of one connector and needs no address.
    fn faults_as_crm(&self) -> Vec<Failure> {
        let mut faults = Vec::new();
        for (field, given) in [
            ("id", !self.id.is_empty()),
            ("connector", self.connector != Connector::Json),
            ("kind", self.kind.is_some()),
        ] {
            if given {
                faults.push(Failure::new(
                    "config",
                    format!("crm.{field} cannot be chosen."),
                    "Remove it, or describe the target under [[targets]].",
                ));
            }
        }
        let crm = Self {
            connector: Connector::Json,
            kind: None,
            url: if self.url.is_empty() { "-" } else { &self.url }.to_owned(),
            ..self.as_crm()
        };
        faults.extend(crm.faults());
        faults
    }

    /// What is wrong with it, each with what to do; its secrets are not asked for before something is delivered.
    fn faults(&self) -> Vec<Failure> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.id.is_empty() || self.id.len() > 40 || !self.id.chars().all(fits) {
            // Without its name nothing more can be said of it.
            return vec![Failure::new(
                "config",
                format!("The id {:?} under [[targets]] cannot be used.", self.id),
                "Choose an id of lower-case letters, digits and '-'; it can never be changed later.",
            )];
        }
        let mut faults = Vec::new();
        if self.url.is_empty() {
            faults.push(self.fault(
                "url",
                "is missing",
                "Set the full address, like https://hr.example.com/api/attendance.",
            ));
        }
        if !self.connector.kinds().contains(&self.kind()) {
            let can = self.connector.kinds().iter().map(|kind| kind.name());
            let can: Vec<_> = can.collect();
            faults.push(self.fault(
                "kind",
                &format!(
                    "is {:?}, which the connector {:?} cannot tell",
                    self.kind().name(),
                    self.connector.name()
                ),
                &format!("Leave it out, or choose {}.", can.join(", ")),
            ));
        }
        faults.extend(self.numbers_out_of_range());
        if let Some(pin) = &self.pinned_sha256
            && pin.parse::<Fingerprint>().is_err()
        {
            faults.push(self.fault(
                "pinned_sha256",
                "is no SHA-256",
                "Give 64 hexadecimal digits: the digest of the certificate, or of its public key, in DER form.",
            ));
        }
        if self.pinned_sha256.is_some() && self.ca_file.is_some() {
            faults.push(self.fault(
                "ca_file",
                "means nothing beside pinned_sha256",
                "Remove one of the two: a pinned certificate is trusted whoever signed it.",
            ));
        }
        if let Err(error) = self.success_rule() {
            faults.push(Failure::of(&error));
        }
        faults.extend(self.idle_settings());
        faults.extend(self.missing_settings());
        faults
    }

    fn fault(&self, field: &str, why: &str, remedy: &str) -> Failure {
        Failure::new("config", format!("{} {why}.", self.setting(field)), remedy)
    }

    fn numbers_out_of_range(&self) -> Vec<Failure> {
        let limits = [
            (
                "request_timeout_seconds",
                self.request_timeout_seconds,
                1,
                600,
            ),
            ("batch_size", self.batch_size, 1, 10_000),
            ("concurrency", self.concurrency, 1, 100),
            ("retry_seconds", self.retry_seconds, 1, 21_600),
            (
                "rate_per_second",
                self.rate_per_second.unwrap_or(1),
                1,
                100_000,
            ),
        ];
        let wrong = limits
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value));
        wrong
            .map(|(field, value, least, most)| {
                self.fault(
                    field,
                    &format!("is {value}"),
                    &format!("Choose a number from {least} to {most}."),
                )
            })
            .collect()
    }

    /// Each setting only where its connector reads it: one that changes nothing is a mistake.
    fn idle_settings(&self) -> Vec<Failure> {
        use Connector::{Frappe, Json, Odoo, Template, Webhook};
        let settings: [(&str, bool, &[Connector]); 11] = [
            ("method", self.method.is_some(), &[Template, Frappe]),
            ("headers", !self.headers.is_empty(), &[Template]),
            ("body", self.body.is_some(), &[Template]),
            ("batch_body", self.batch_body.is_some(), &[Template]),
            ("success", self.success.is_some(), &[Template]),
            ("remote_id", self.remote_id.is_some(), &[Template]),
            ("database", self.database.is_some(), &[Odoo]),
            ("user", self.user.is_some(), &[Odoo]),
            (
                "employee_field",
                self.employee_field.is_some(),
                &[Frappe, Odoo],
            ),
            ("secret", !no_secret(&self.secret), &[Webhook]),
            ("batch_url", self.batch_url.is_some(), &[Json, Template]),
        ];
        let idle = settings
            .into_iter()
            .filter(|(_, given, readers)| *given && !readers.contains(&self.connector));
        idle.map(|(field, ..)| {
            self.fault(
                field,
                &format!("means nothing to the connector {:?}", self.connector.name()),
                &format!("Remove {field}, or choose another connector."),
            )
        })
        .collect()
    }

    fn missing_settings(&self) -> Vec<Failure> {
        let needed: &[(&str, bool)] = match self.connector {
            Connector::Template => &[("body", self.body.is_none() && self.batch_body.is_none())],
            Connector::Odoo => &[
                ("database", self.database.is_none()),
                ("user", self.user.is_none()),
            ],
            _ => &[],
        };
        let missing = needed.iter().filter(|(_, is_missing)| *is_missing);
        missing
            .map(|(field, _)| {
                let connector = self.connector.name();
                self.fault(
                    field,
                    "is missing",
                    &format!("Set {field}: the connector {connector:?} needs it."),
                )
            })
            .collect()
    }
}

/// Lays the environment over the secrets of all targets.
pub(super) fn overlay(targets: &mut [Target], environment: &BTreeMap<String, String>) {
    for target in targets {
        target.overlay(environment);
    }
}

/// What no single value can say.
pub(super) fn check(crm: &Target, targets: &[Target]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::from([CRM]);
    let mut faults = crm.faults_as_crm();
    for target in targets {
        faults.extend(target.faults());
        if !seen.insert(&target.id) {
            faults.push(Failure::new(
                "config",
                format!("Two targets have the id {:?}.", target.id),
                "Give each of [[targets]] an id of its own; \"crm\" is the one of [crm].",
            ));
        }
    }
    match Failure::together(faults) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// The environment variable that may give a secret of the target `id`.
fn variable(id: &str, what: &str) -> String {
    let id = id.to_ascii_uppercase().replace('-', "_");
    format!("ZK_BRIDGE_TARGET_{id}_{what}")
}

/// The secret in a file: its first line.
pub(super) fn first_line(path: &Path, setting: &str) -> anyhow::Result<SecretString> {
    let refused = |why: String| {
        Failure::new(
            "config",
            format!("{setting} {} {why}.", path.display()),
            "Put the secret into that file, alone on its first line.",
        )
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    let secret = text.lines().next().unwrap_or_default().trim();
    if secret.is_empty() {
        return Err(refused("is empty".to_owned()).into());
    }
    Ok(secret.to_owned().into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::config::Config;

    fn refusal(toml: &str) -> String {
        let error = Config::parse(toml, "x.toml")
            .and_then(|config| config.check().map(|()| config))
            .unwrap_err();
        Failure::of(&error).message
    }

    #[test]
    fn a_wrong_setting_of_a_target_is_named() {
        for (settings, named) in [
            ("", "The id \"\""),
            ("id = \"HR\"\nurl = \"https://x\"", "\"HR\""),
            ("id = \"hr\"", "targets.hr.url is missing"),
            ("id = \"crm\"\nurl = \"https://x\"", "the id \"crm\""),
            (
                "id = \"hr\"\nurl = \"https://x\"\nconnector = \"frappe\"\nkind = \"day\"",
                "targets.hr.kind",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\nbody = \"{}\"",
                "targets.hr.body means nothing",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\nconnector = \"odoo\"\ndatabase = \"d\"",
                "targets.hr.user is missing",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\nconcurrency = 0",
                "targets.hr.concurrency is 0",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\nconnector = \"template\"\nbody = \"x\"\nsuccess = \"fine\"",
                "targets.hr.success is \"fine\"",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\npinned_sha256 = \"ab\"",
                "targets.hr.pinned_sha256",
            ),
            (
                "id = \"hr\"\nurl = \"https://x\"\ncolour = 1",
                "unknown field `colour`",
            ),
        ] {
            let message = refusal(&format!("[[targets]]\n{settings}\n"));
            assert!(message.contains(named), "{settings}: {message}");
        }
        let twice = "[[targets]]\nid = \"hr\"\nurl = \"https://x\"\n";
        assert!(refusal(&twice.repeat(2)).contains("Two targets"));
        let all = refusal(
            "[[targets]]\nid = \"hr\"\nbatch_size = 0\nconcurrency = 0\n[[targets]]\nid = \"erp\"\nurl = \"https://x\"\nuser = \"u\"\n",
        );
        for part in ["hr.url", "hr.batch_size", "hr.concurrency", "erp.user"] {
            assert!(all.contains(part), "{part}: {all}");
        }
    }

    #[test]
    fn what_crm_says_is_checked_as_for_any_target() {
        for (settings, named) in [
            ("batch_size = 0", "crm.batch_size is 0"),
            ("connector = \"odoo\"", "crm.connector cannot be chosen"),
            ("id = \"x\"", "crm.id cannot be chosen"),
            ("headers = { a = \"b\" }", "crm.headers means nothing"),
            ("colour = 1", "unknown field `colour`"),
        ] {
            let message = refusal(&format!("[crm]\n{settings}\n"));
            assert!(message.contains(named), "{settings}: {message}");
        }
        let config = Config::parse("[crm]\nurl = \"https://x\"\n", "x.toml").unwrap();
        config.check().unwrap();
    }

    #[test]
    fn success_is_a_list_of_statuses_and_one_value() {
        let rule = |text: &str| {
            Target {
                success: Some(text.to_owned()),
                ..Target::default()
            }
            .success_rule()
        };
        let found = rule("200, 202-204, /result/code = 0").unwrap();
        assert_eq!(found.statuses, [200..=200, 202..=204]);
        assert_eq!(found.field, Some(("/result/code".to_owned(), 0.into())));
        let found = rule("/status = ok").unwrap();
        assert_eq!(found.statuses, SuccessRule::default().statuses);
        assert_eq!(found.field, Some(("/status".to_owned(), "ok".into())));
        for wrong in ["/status", "2xx", "/a = 1, /b = 2", "70000"] {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_come_from_the_environment() {
        let mut targets = vec![Target {
            id: "head-office".to_owned(),
            ..Target::default()
        }];
        let environment = BTreeMap::from([
            (
                "ZK_BRIDGE_TARGET_HEAD_OFFICE_TOKEN".to_owned(),
                "t0ken".to_owned(),
            ),
            (
                "ZK_BRIDGE_TARGET_HEAD_OFFICE_SECRET".to_owned(),
                "s1gn".to_owned(),
            ),
        ]);
        overlay(&mut targets, &environment);
        assert_eq!(targets[0].token().unwrap().expose_secret(), "t0ken");
        assert_eq!(targets[0].secret.expose_secret(), "s1gn");
        assert!(!format!("{targets:?}").contains("t0ken"));
    }

    #[test]
    fn the_first_target_is_the_one_of_crm() {
        let toml = "[crm]\nurl = \"https://x\"\n[[targets]]\nid = \"hr\"\nconnector = \"odoo\"\nurl = \"https://y\"\n\
                    database = \"d\"\nuser = \"u\"\n";
        let config = Config::parse(toml, "x.toml").unwrap();
        config.check().unwrap();
        let targets = config.targets();
        let told: Vec<_> = targets
            .iter()
            .map(|target| (target.id.as_str(), target.kind()))
            .collect();
        assert_eq!(told, [(CRM, Kind::Day), ("hr", Kind::Session)]);
        assert!(Config::default().targets().is_empty());
    }
}
