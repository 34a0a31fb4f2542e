//! What each kind of target is told, and what it means by its answers. Connectors render and read; they send nothing
//! themselves and keep no queue.

pub(crate) mod device;
pub(crate) mod frappe;
pub(crate) mod json;
pub(crate) mod odoo;
#[cfg(feature = "template")]
pub(crate) mod template;
pub(crate) mod webhook;

use serde_json::Value;

use crate::Entry;

/// A text field of the entry, or why the entry cannot be told to this target.
fn text<'a>(entry: &'a Entry, name: &str) -> Result<&'a str, String> {
    optional(entry, name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("the entry has no {name:?}"))
}

fn optional<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    entry.content().get(name).and_then(Value::as_str)
}
