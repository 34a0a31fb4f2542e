//! Delivery of attendance records to a CRM or HR system.
//!
//! An [`Entry`] is what one target is told about one thing: frozen when it is queued, sent as often as it takes,
//! always under the same [`IdempotencyKey`]. [`Crm::push`] answers with one [`Outcome`] per entry; an [`Error`] is
//! only for what concerns the whole target and needs a human.
//!
//! This crate never sleeps, asks no clock and keeps no queue: when to try again is the business of whoever owns the
//! outbox.
//!
//! ```
//! use crm_client::{Crm, DayEntry, FakeCrm, Outcome};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let day = DayEntry {
//!     record_id: "17/2026-03-02/day/0".into(),
//!     user_id: "17".into(),
//!     date: "2026-03-02".into(),
//!     clock_in: Some("2026-03-02T08:01:10+03:00".into()),
//!     status: "incomplete".into(),
//!     ..DayEntry::default()
//! };
//!
//! // In life this is `Target::new(options)?`.
//! let crm = FakeCrm::new();
//! let morning = day.freeze("hr", 1);
//! assert!(matches!(crm.push(&[morning.clone()]).await.unwrap()[0], Outcome::Accepted { .. }));
//!
//! // The answer was lost, the outbox sends once more: same key, no second record.
//! assert_eq!(crm.push(&[morning]).await.unwrap(), [Outcome::AlreadyKnown]);
//!
//! // The clock-out arrives: a new revision of the same entry.
//! let evening = DayEntry { clock_out: Some("2026-03-02T17:02:40+03:00".into()), ..day };
//! crm.push(&[evening.freeze("hr", 2)]).await.unwrap();
//! assert_eq!(crm.current("17/2026-03-02/day/0").unwrap().revision, 2);
//! # });
//! ```
//!
//! | Feature | Adds |
//! |---|---|
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

pub use api::{Crm, Outcome, Reached};
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
pub use target::{Connector, Kind, Target, TargetOptions, UnknownKind};
pub use token::Token;
pub use trust::{BadFingerprint, Fingerprint, Trust};
