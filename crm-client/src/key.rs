//! The key under which a target recognises what it has seen already.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Names one revision of one entry at one target: 64 lower-case hexadecimal digits.
///
/// A retry has the same key, every change has another. The key is the SHA-256 of a compact JSON array, so that a
/// target can recompute it in any language:
///
/// ```text
/// ["<target id>","<entry id>",<revision>,"<hex SHA-256 of the entry as compact JSON with sorted keys>"]
/// ```
///
/// The array frames its parts: no two different entries can run into the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of an entry. `content` must be sorted and without its own key, as [`crate::Entry`] keeps it.
    pub(crate) fn of(target: &str, entry_id: &str, revision: u64, content: &Value) -> Self {
        let content = hex(&Sha256::digest(content.to_string()));
        let parts = json!([target, entry_id, revision, content]);
        Self(hex(&Sha256::digest(parts.to_string())))
    }

    /// The key of a batch: the hash of its entries' keys in their order, one per line.
    ///
    /// ```
    /// use crm_client::{Entry, IdempotencyKey};
    /// use serde_json::json;
    ///
    /// let a = Entry::new("hr", "a", 1, false, json!({}));
    /// let b = Entry::new("hr", "b", 1, false, json!({}));
    /// assert_ne!(IdempotencyKey::of_batch([a.key(), b.key()]), IdempotencyKey::of_batch([b.key(), a.key()]));
    /// ```
    pub fn of_batch<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut hash = Sha256::new();
        for key in keys {
            hash.update(key.0.as_bytes());
            hash.update(b"\n");
        }
        Self(hex(&hash.finalize()))
    }

    /// A key as it was stored. `None` unless it is 64 lower-case hexadecimal digits.
    ///
    /// ```
    /// use crm_client::{Entry, IdempotencyKey};
    ///
    /// let key = Entry::new("hr", "a", 1, false, serde_json::json!({})).key().clone();
    /// assert_eq!(IdempotencyKey::from_hex(key.as_str()), Some(key));
    /// assert_eq!(IdempotencyKey::from_hex("tampered"), None);
    /// ```
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(digits)).then(|| Self(text.to_owned()))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::IdempotencyKey;

    /// Python: `sha256(dumps(["hr", "17/2026-03-02/day/0", 3, sha256(dumps(content)).hexdigest()])).hexdigest()`
    /// with `dumps = json.dumps(…, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
    #[test]
    fn agrees_with_an_independent_implementation() {
        let content = json!({"date": "2026-03-02", "employee_name": "Zoë 李伟", "note": "a\"b\\c\n", "worked_s": 28_800});
        let key = IdempotencyKey::of("hr", "17/2026-03-02/day/0", 3, &content);
        assert_eq!(
            key.as_str(),
            "b483087134716662aab89255343ca13eded2b6b1c0ce622a30213216dc6eeb7f"
        );
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let empty = json!({});
        assert_ne!(
            IdempotencyKey::of("a", "bc", 1, &empty),
            IdempotencyKey::of("ab", "c", 1, &empty)
        );
        assert_ne!(
            IdempotencyKey::of("a\",\"b", "c", 1, &empty),
            IdempotencyKey::of("a", "b\",\"c", 1, &empty)
        );
        assert_ne!(
            IdempotencyKey::of("a", "b1", 1, &empty),
            IdempotencyKey::of("a", "b", 11, &empty)
        );
    }

    #[test]
    fn every_part_matters() {
        let key = IdempotencyKey::of("t", "e", 1, &json!({"a": 1}));
        assert_ne!(key, IdempotencyKey::of("u", "e", 1, &json!({"a": 1})));
        assert_ne!(key, IdempotencyKey::of("t", "f", 1, &json!({"a": 1})));
        assert_ne!(key, IdempotencyKey::of("t", "e", 2, &json!({"a": 1})));
        assert_ne!(key, IdempotencyKey::of("t", "e", 1, &json!({"a": 2})));
    }
}
