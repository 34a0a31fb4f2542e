//! Delivery of attendance to CRM and HR systems.
//!
//! An [`Entry`] is what one target is told about one thing: frozen when it is queued, sent as often as it takes,
//! always under the same [`IdempotencyKey`]. [`Crm::push`] answers with one [`Outcome`] per entry; an [`Error`] is
//! only for what concerns the whole target and needs a human.
//!
//! This crate never sleeps and keeps no queue, and no decision of its asks a clock: when to try again is the business of
//! whoever owns the outbox.
//!
//! ```no_run
//! use crm_client::{Connector, Crm, Entry, FrappeOptions, Outcome, PunchEntry, Target, TargetOptions, Token};
//!
//! # async fn run(remember: impl Fn(&str, Option<String>), again: impl Fn(&Entry), bury: impl Fn(&str, &str)) -> Result<(), crm_client::Error> {
//! let mut options = TargetOptions::new("https://erp.example.com", Connector::Frappe(FrappeOptions::default()));
//! options.token = Some(Token::new("key:secret"));
//! let erp = Target::new(options)?;
//!
//! let punch = PunchEntry {
//!     punch_id: "SN1/17/2026-03-02T08:01:10/0".into(),
//!     user_id: "17".into(),
//!     time: "2026-03-02 08:01:10".into(),
//!     kind: "in".into(),
//!     ..PunchEntry::default()
//! };
//! let entries = [punch.freeze("erp", 1)];
//! for (entry, outcome) in entries.iter().zip(erp.push(&entries).await?) {
//!     match outcome {
//!         // A correction is pushed with `Entry::with_prior_remote_id`.
//!         Outcome::Accepted { remote_id } => remember(entry.entry_id(), remote_id),
//!         Outcome::AlreadyKnown => remember(entry.entry_id(), None),
//!         Outcome::Retry { .. } => again(entry),
//!         Outcome::Rejected { reason } => bury(entry.entry_id(), &reason),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Connectors
//!
//! | [`Connector`] | Takes | Speaks | Corrections |
//! |---|---|---|---|
//! | `Json` | days | our `schema: 1`; single, or batches to an address of their own | the higher revision wins |
//! | `DeviceExport` | punches | `{"device_info":…,"records":[…]}`, one envelope per terminal | sent again; a deletion is refused |
//! | `DeviceData` | punches | `{"data":[…]}` | sent again; a deletion is refused |
//! | `Template` | what it is told to | whatever the templates make | what the templates make of `revision`, `deleted` and `prior_remote_id` |
//! | `Frappe` | punches | Employee Checkin of Frappe HRMS (`ERPNext`) | deleted and inserted |
//! | `Odoo` | sessions | `hr.attendance` over JSON-RPC | written by id |
//! | `Webhook` | what it is told to | `{"schema":1,"kind":…,"records":[…]}`, [signed](verify_webhook) | the higher revision wins |
//!
//! Every connector splits batches that are refused in part or too large, sends single entries as the last resort, keeps
//! its connections, has up to [`concurrency`](TargetOptions::concurrency) requests under way (Odoo: one), and shows
//! beforehand what it [would send](Target::preview). HTTPS is a must beyond this machine; [`Trust`] says whose word is
//! taken, and knows no "anybody's". Proxies are taken from the environment, as everywhere.
//!
//! # A caller's loop
//!
//! ```
//! use std::time::SystemTime;
//! use crm_client::{Breaker, Crm, Entry, Error, Outcome, Permit, RateLimit};
//!
//! async fn turn(
//!     crm: &impl Crm,
//!     due: &[Entry],
//!     breaker: &mut Breaker,
//!     limit: &mut RateLimit,
//!     now: SystemTime,
//! ) -> Result<Vec<Outcome>, Error> {
//!     let most = match breaker.permits(now) {
//!         Permit::Push => due.len(),
//!         Permit::Probe => due.len().min(1),
//!         Permit::Wait { .. } => return Ok(Vec::new()),
//!     };
//!     let result = crm.push(&due[..limit.take(most, now)]).await;
//!     breaker.note(&result, now);
//!     result
//! }
//! ```
//!
//! # Features
//!
//! | Feature | Adds |
//! |---|---|
//! | `template` (default) | `Connector::Template`, with minijinja |
//! | `fake` | `FakeCrm`: an in-memory CRM with scripted failures, for tests |

mod address;
mod answer;
mod api;
mod breaker;
mod connector;
mod day;
mod entry;
mod error;
#[cfg(feature = "fake")]
mod fake;
mod http;
mod key;
mod limit;
pub mod plan;
mod punch;
mod request;
mod session;
mod target;
mod time;
mod token;
mod trust;

pub use address::is_loopback;
pub use api::{Crm, Outcome, Reach, Reached};
pub use breaker::{Breaker, BreakerPolicy, BreakerState, Permit};
pub use connector::frappe::FrappeOptions;
pub use connector::odoo::OdooOptions;
#[cfg(feature = "template")]
pub use connector::template::{SuccessRule, TemplateOptions};
pub use connector::webhook::{SIGNATURE_HEADER, WebhookError, sign_webhook, verify_webhook};
pub use day::DayEntry;
pub use entry::{Entry, ThawError};
pub use error::Error;
#[cfg(feature = "fake")]
pub use fake::{FakeCrm, Fault, Received};
pub use key::IdempotencyKey;
pub use limit::RateLimit;
pub use punch::PunchEntry;
pub use request::Request;
pub use session::SessionEntry;
pub use target::{Connector, Interruption, Kind, Target, TargetOptions, UnknownKind};
pub use token::Token;
pub use trust::{BadFingerprint, Fingerprint, Trust};
