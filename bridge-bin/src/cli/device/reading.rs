//! Reading a terminal piece by piece: what cannot be had is left out and said, the rest is kept.

use zk_proto::record::{AttendanceLog, LogHint, UserList};
use zk_proto::request::ReadVersion;
use zk_proto::{Client, Encoding, Error, Misuse};

use super::document::{AttendanceRow, CounterFields, DeviceFields, Document, Info, Told, UserRow};

/// A read in progress.
#[derive(Debug, Default)]
pub(super) struct Reading {
    warnings: Vec<String>,
    /// Something that exists could not be read whole.
    incomplete: bool,
}

/// What a terminal says about itself; the second value tells whether all of it was read.
pub(super) async fn info(client: &mut Client) -> (Info, bool) {
    let mut reading = Reading::default();
    let (device, counters) = reading.head(client).await;
    (
        Info {
            device,
            counters,
            warnings: reading.warnings,
        },
        !reading.incomplete,
    )
}

/// Everything `device dump` tells; the second value tells whether all of it was read.
pub(super) async fn everything(client: &mut Client) -> (Document, bool) {
    let mut reading = Reading::default();
    let (device, counters) = reading.head(client).await;
    let users = reading.users(client, &counters).await;
    let attendance = reading.attendance(client, &counters).await;
    let document = Document {
        device,
        counters,
        users,
        attendance,
        warnings: reading.warnings,
    };
    (document, !reading.incomplete)
}

impl Reading {
    async fn head(&mut self, client: &mut Client) -> (DeviceFields, CounterFields) {
        let device = DeviceFields {
            serial_number: self
                .option(client, "the serial number", "~SerialNumber")
                .await,
            firmware: {
                let version = client.call(ReadVersion).await;
                self.small("the firmware version", version)
                    .filter(|text| !text.is_empty())
            },
            platform: self.option(client, "the platform", "~Platform").await,
            name: self.option(client, "the product name", "~DeviceName").await,
            mac: self.option(client, "the hardware address", "MAC").await,
            time: {
                let time = client.time().await;
                self.small("the clock", time).map(Told)
            },
        };
        let counters = client.counters().await;
        let counters = self
            .small("the counters", counters)
            .map(CounterFields::from);
        let untold = |counters: &CounterFields| {
            let missing = counters
                .named()
                .into_iter()
                .filter(|(_, value)| value.is_none())
                .map(|(name, _)| name);
            missing.collect::<Vec<_>>().join(", ")
        };
        if let Some(names) = counters
            .as_ref()
            .map(untold)
            .filter(|names| !names.is_empty())
        {
            self.warnings
                .push(format!("The terminal does not count: {names}."));
        }
        (device, counters.unwrap_or_default())
    }

    async fn option(&mut self, client: &mut Client, what: &str, key: &str) -> Option<String> {
        let value = client.option(key).await;
        let value = self.small(what, value)?;
        if value.is_none() {
            self.warnings
                .push(format!("The terminal does not tell {what}."));
        }
        value
    }

    /// A single answer. A terminal may lack it, which takes nothing away from the rest.
    fn small<T>(&mut self, what: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Error::Rejected { .. }) => {
                self.warnings
                    .push(format!("The terminal does not tell {what}."));
                None
            }
            Err(error) => {
                self.missed(what, &error);
                None
            }
        }
    }

    async fn users(
        &mut self,
        client: &mut Client,
        counters: &CounterFields,
    ) -> Option<Vec<UserRow>> {
        let users = match client.users().await {
            Ok(users) => users,
            Err(error) => {
                let part = error
                    .partial()
                    .and_then(|data| UserList::salvage(data, counters.users));
                self.broken_off("the users", part.as_ref().map(Vec::len), &error);
                part?
            }
        };
        self.compare("users", counters.users, users.len());
        let told = client.encoding();
        let encoding = told.settle(users.iter().map(|user| user.name.as_bytes()));
        if encoding != told && encoding != Encoding::Utf8 {
            self.warnings.push(format!(
                "Not all names are valid UTF-8, so all were read as {encoding}; --encoding chooses another."
            ));
        }
        let rows: Vec<UserRow> = users
            .into_iter()
            .map(|user| UserRow(user, encoding))
            .collect();
        let damaged = rows
            .iter()
            .filter(|row| row.name().contains(char::REPLACEMENT_CHARACTER))
            .count();
        if damaged > 0 {
            self.warnings.push(format!(
                "{damaged} of the names are not valid {encoding}; --encoding chooses another."
            ));
        }
        Some(rows)
    }

    async fn attendance(
        &mut self,
        client: &mut Client,
        counters: &CounterFields,
    ) -> Option<Vec<AttendanceRow>> {
        let log = match client.attendance().await {
            Ok(log) => log,
            Err(error) => {
                let hint = LogHint {
                    count: counters.records,
                    ..LogHint::default()
                };
                let part = error
                    .partial()
                    .and_then(|data| AttendanceLog::salvage(data, hint));
                self.broken_off(
                    "the attendance log",
                    part.as_ref().map(AttendanceLog::len),
                    &error,
                );
                part?
            }
        };
        self.compare("records", counters.records, log.len());
        let impossible = log
            .iter()
            .filter(|record| !record.time().is_valid())
            .count();
        if impossible > 0 {
            self.warnings.push(format!(
                "{impossible} of the records tell a time that does not exist."
            ));
        }
        Some(
            log.iter()
                .map(|record| AttendanceRow(record.to_record()))
                .collect(),
        )
    }

    /// Counters are advisory, but fewer than counted may mean that some are missing.
    fn compare(&mut self, what: &str, counted: Option<u32>, read: usize) {
        let Some(counted) = counted.filter(|counted| usize::try_from(*counted) != Ok(read)) else {
            return;
        };
        self.incomplete |= usize::try_from(counted).is_ok_and(|counted| counted > read);
        self.warnings.push(format!(
            "The terminal counts {counted} {what}, {read} were read."
        ));
    }

    fn broken_off(&mut self, what: &str, kept: Option<usize>, error: &Error) {
        self.missed(what, error);
        if let Some(kept) = kept {
            self.warnings
                .push(format!("Of {what}, the first {kept} were read and kept."));
        }
    }

    fn missed(&mut self, what: &str, error: &Error) {
        self.incomplete = true;
        // Once the connection is gone every further call says only that.
        let why = match error {
            Error::Misuse(Misuse::Poisoned | Misuse::NotConnected) => {
                "the connection was lost before".to_owned()
            }
            error => format!("{error}. {}", error.remedy()),
        };
        self.warnings.push(format!("Could not read {what}: {why}"));
    }
}
