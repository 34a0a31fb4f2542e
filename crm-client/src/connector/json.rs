//! Our own `schema: 1`.

use serde::Serialize;

use crate::entry::Wire;
use crate::request::Request;
use crate::{Entry, IdempotencyKey};

/// Several entries; made without a copy of them.
#[derive(Serialize)]
pub(super) struct Batch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    records: Vec<Wire<'a>>,
    schema: u8,
}

impl<'a> Batch<'a> {
    pub(super) fn of(kind: Option<&'static str>, entries: &'a [Entry]) -> Self {
        Self {
            kind,
            records: entries.iter().map(Wire).collect(),
            schema: 1,
        }
    }
}

/// One entry: the object itself.
pub(crate) fn single(url: &str, entry: &Entry) -> Request {
    Request::post_json(url, &Wire(entry)).header("idempotency-key", entry.key().as_str())
}

/// Several: `{"schema":1,"records":[…]}`.
pub(crate) fn batch(url: &str, entries: &[Entry]) -> Request {
    Request::post_json(url, &Batch::of(None, entries)).header("idempotency-key", key_of(entries))
}

/// The key of a single entry is its own; a batch hashes the keys of its entries.
pub(crate) fn key_of(entries: &[Entry]) -> String {
    match entries {
        [entry] => entry.key().to_string(),
        entries => IdempotencyKey::of_batch(entries.iter().map(Entry::key)).to_string(),
    }
}
