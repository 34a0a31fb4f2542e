//! What a target is told: the frozen entry that the outbox keeps.

use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::IdempotencyKey;

/// One revision of one thing, as one target is told it: frozen when it is queued.
///
/// The content is a JSON object with sorted keys that carries its own `revision` and `deleted` and no
/// `idempotency_key`. Its text can be stored and [thawed](Self::thaw) again without losing a byte.
///
/// ```
/// use crm_client::Entry;
/// use serde_json::json;
///
/// let entry = Entry::new("hr", "17/1", 2, false, json!({"worked_s": 60, "date": "2026-03-02"}));
/// let text = entry.content().to_string();
/// assert_eq!(text, r#"{"date":"2026-03-02","deleted":false,"revision":2,"worked_s":60}"#);
///
/// let again = Entry::thaw("hr", "17/1", 2, false, &text, entry.key().as_str())?;
/// assert_eq!(again, entry);
/// # Ok::<(), crm_client::ThawError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    target: String,
    id: String,
    revision: u64,
    deleted: bool,
    content: Value,
    key: IdempotencyKey,
    prior_remote_id: Option<String>,
    earlier: Vec<Self>,
}

impl Entry {
    /// Freezes `content` as a revision of `entry_id`. It gets the fields `revision` and `deleted`, so that it can
    /// never disagree with the entry, and loses an `idempotency_key`. What is no object becomes the field `value` of
    /// one.
    pub fn new(
        target: impl Into<String>,
        entry_id: impl Into<String>,
        revision: u64,
        deleted: bool,
        content: Value,
    ) -> Self {
        let (target, id) = (target.into(), entry_id.into());
        let mut fields = match content {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        fields.remove("idempotency_key");
        fields.insert("revision".to_owned(), revision.into());
        fields.insert("deleted".to_owned(), deleted.into());
        let content = sorted(Value::Object(fields));
        let key = IdempotencyKey::of(&target, &id, revision, &content);
        Self {
            target,
            id,
            revision,
            deleted,
            content,
            key,
            prior_remote_id: None,
            earlier: Vec::new(),
        }
    }

    /// An entry from its stored parts. The key is the stored one: a retry keeps it, whatever a newer version of this
    /// crate would compute.
    pub fn thaw(
        target: impl Into<String>,
        entry_id: impl Into<String>,
        revision: u64,
        deleted: bool,
        content: &str,
        key: &str,
    ) -> Result<Self, ThawError> {
        let fields: Map<String, Value> = serde_json::from_str(content)
            .map_err(|error| ThawError(format!("the content is no JSON object: {error}")))?;
        let key = IdempotencyKey::from_hex(key)
            .ok_or_else(|| ThawError("the key is not 64 hexadecimal digits".into()))?;
        let content = sorted(Value::Object(fields));
        Ok(Self {
            target: target.into(),
            id: entry_id.into(),
            revision,
            deleted,
            content,
            key,
            prior_remote_id: None,
            earlier: Vec::new(),
        })
    }

    /// With the id that the target gave an earlier revision, so that connectors can update instead of create.
    #[must_use]
    pub fn with_prior_remote_id(self, prior_remote_id: Option<String>) -> Self {
        Self {
            prior_remote_id,
            ..self
        }
    }

    /// With earlier revisions that the target may have taken although no answer told so: where things are found again by
    /// what they say, these are looked for as well.
    ///
    /// ```
    /// use crm_client::Entry;
    /// use serde_json::json;
    ///
    /// let first = Entry::new("hr", "p1", 1, false, json!({"user_id": "17"}));
    /// let second = Entry::new("hr", "p1", 2, false, json!({"user_id": "18"}));
    /// assert_eq!(second.with_earlier(vec![first.clone()]).earlier(), [first]);
    /// ```
    #[must_use]
    pub fn with_earlier(self, earlier: Vec<Self>) -> Self {
        Self { earlier, ..self }
    }

    /// Earlier revisions that the target may have taken.
    pub fn earlier(&self) -> &[Self] {
        &self.earlier
    }

    /// The target's id.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the entry is about; for days the record id.
    pub fn entry_id(&self) -> &str {
        &self.id
    }

    /// Higher is newer.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The thing vanished.
    pub fn deleted(&self) -> bool {
        self.deleted
    }

    /// The frozen object, keys sorted. `to_string()` is the text to store.
    pub fn content(&self) -> &Value {
        &self.content
    }

    /// The key under which every attempt is made.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The id that the target gave an earlier revision.
    pub fn prior_remote_id(&self) -> Option<&str> {
        self.prior_remote_id.as_deref()
    }

    /// The object as it goes out in our own form: with the key.
    ///
    /// ```
    /// let entry = crm_client::Entry::new("hr", "17/1", 2, false, serde_json::json!({}));
    /// assert_eq!(entry.to_wire()["idempotency_key"], entry.key().as_str());
    /// ```
    #[expect(
        clippy::missing_panics_doc,
        reason = "the keys of an entry are text, so it always is JSON"
    )]
    pub fn to_wire(&self) -> Value {
        serde_json::to_value(Wire(self)).expect("JSON values under keys of text")
    }
}

/// An entry as it goes out: its content, and the key in its place among the sorted fields.
pub(crate) struct Wire<'a>(pub(crate) &'a Entry);

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = &self.0.content else {
            return self.0.content.serialize(serializer);
        };
        let mut map = serializer.serialize_map(Some(fields.len() + 1))?;
        let mut key = Some(("idempotency_key", self.0.key.as_str()));
        for (name, value) in fields {
            if let Some((own, text)) = key.take_if(|(own, _)| *own < name.as_str()) {
                map.serialize_entry(own, text)?;
            }
            map.serialize_entry(name, value)?;
        }
        if let Some((own, text)) = key {
            map.serialize_entry(own, text)?;
        }
        map.end()
    }
}

/// A stored entry is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThawError(String);

impl fmt::Display for ThawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stored entry is damaged: {}", self.0)
    }
}

impl std::error::Error for ThawError {}

/// Sorts the keys at every depth. `serde_json` does so by itself unless some crate of the build turns on
/// `preserve_order`; keys must not depend on that.
pub(crate) fn sorted(value: Value) -> Value {
    if is_sorted(&value) {
        return value;
    }
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.keys().is_sorted() && fields.values().all(is_sorted),
        Value::Array(items) => items.iter().all(is_sorted),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Entry;

    #[test]
    fn the_order_of_keys_does_not_change_the_key() {
        let one = serde_json::from_str(r#"{"b":{"y":1,"x":[{"d":1,"c":2}]},"a":1}"#).unwrap();
        let two = serde_json::from_str(r#"{"a":1,"b":{"x":[{"c":2,"d":1}],"y":1}}"#).unwrap();
        let (one, two) = (
            Entry::new("t", "e", 1, false, one),
            Entry::new("t", "e", 1, false, two),
        );
        assert_eq!(one.key(), two.key());
        assert_eq!(one.content().to_string(), two.content().to_string());
    }

    #[test]
    fn freezing_writes_what_the_entry_says_over_what_the_content_said() {
        let entry = Entry::new(
            "t",
            "e",
            3,
            true,
            json!({"revision": 1, "deleted": false, "idempotency_key": "old"}),
        );
        assert_eq!(
            entry.content().to_string(),
            r#"{"deleted":true,"revision":3}"#
        );
    }

    #[test]
    fn what_is_no_object_is_kept_as_a_value() {
        assert_eq!(
            Entry::new("t", "e", 1, false, json!([1])).content()["value"],
            json!([1])
        );
    }

    #[test]
    fn thawing_a_frozen_entry_gives_the_same_bytes_and_key() {
        let frozen = Entry::new(
            "t",
            "e",
            u64::MAX,
            false,
            json!({"name": "李伟\u{7f}\u{1}", "n": [1, {"z": null, "a": -1}]}),
        );
        let text = frozen.content().to_string();
        let thawed = Entry::thaw("t", "e", u64::MAX, false, &text, frozen.key().as_str()).unwrap();
        assert_eq!(thawed, frozen);
        assert_eq!(thawed.content().to_string(), text);
        assert_eq!(thawed.to_wire().to_string(), frozen.to_wire().to_string());
    }

    #[test]
    fn damaged_rows_are_told_apart() {
        let key = Entry::new("t", "e", 1, false, json!({})).key().to_string();
        let text = |content, key: &str| {
            Entry::thaw("t", "e", 1, false, content, key)
                .unwrap_err()
                .to_string()
        };
        assert!(text("[]", &key).contains("no JSON object"));
        assert!(text("{", &key).contains("no JSON object"));
        assert!(text("{}", "zz").contains("64 hexadecimal digits"));
    }
}
