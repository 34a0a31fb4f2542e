//! Our own `schema: 1`.

use serde_json::{Value, json};

use crate::request::Request;
use crate::{Entry, IdempotencyKey};

/// One entry: the object itself.
pub(crate) fn single(url: &str, entry: &Entry) -> Request {
    Request::post_json(url, &entry.to_wire()).header("idempotency-key", entry.key().as_str())
}

/// Several: `{"schema":1,"records":[…]}`.
pub(crate) fn batch(url: &str, entries: &[Entry]) -> Request {
    let records: Vec<Value> = entries.iter().map(Entry::to_wire).collect();
    let body = json!({"schema": 1, "records": records});
    Request::post_json(url, &body).header("idempotency-key", key_of(entries))
}

/// The key of a single entry is its own; a batch hashes the keys of its entries.
pub(crate) fn key_of(entries: &[Entry]) -> String {
    match entries {
        [entry] => entry.key().to_string(),
        entries => IdempotencyKey::of_batch(entries.iter().map(Entry::key)).to_string(),
    }
}
