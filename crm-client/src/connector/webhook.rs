//! Webhooks that prove who sent them, and when.

use std::fmt;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::json::{Batch, key_of};
use crate::key::hex;
use crate::request::Request;
use crate::{Entry, Kind, Token, time};

/// The header that carries time and signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// `{"schema":1,"kind":"punch","records":[…]}`, signed.
pub(crate) fn request(
    url: &str,
    kind: Kind,
    entries: &[Entry],
    signature: impl FnOnce(&str) -> String,
) -> Request {
    let body = Batch::of(Some(kind.as_str()), entries);
    let request = Request::post_json(url, &body).header("idempotency-key", key_of(entries));
    let signature = signature(&request.body);
    request.header(SIGNATURE_HEADER, signature)
}

/// The value of [`SIGNATURE_HEADER`] for a body that is sent at `now`.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use crm_client::{Token, sign_webhook};
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_772_427_670);
/// let header = sign_webhook(&Token::new("s3cret"), b"{}", now);
/// assert!(header.starts_with("t=1772427670,v1="));
/// ```
pub fn sign_webhook(secret: &Token, body: &[u8], now: SystemTime) -> String {
    let time = time::unix(now).to_string();
    let signature = mac(secret, &time, body).finalize().into_bytes();
    format!("t={time},v1={}", hex(&signature))
}

/// Why a webhook is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookError {
    /// The header is not `t=<seconds>,v1=<64 hexadecimal digits>`.
    Malformed,
    /// It was signed too long ago, or in the future: a replay, or a wrong clock.
    Stale,
    /// Another secret, or another body.
    Forged,
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the signature header cannot be read",
            Self::Stale => "the webhook was not signed just now",
            Self::Forged => "the signature does not match the body",
        })
    }
}

impl std::error::Error for WebhookError {}

/// For receivers: whether a webhook came from who knows the secret, unchanged, and not long ago.
///
/// In any other language: split the header `webhook-signature` at its commas into `t` and one or more `v1`; compute the
/// HMAC-SHA256 of `<t>.<body>` (the body's raw bytes) under the secret, as lower-case hexadecimal digits; compare it
/// in constant time with each `v1`; refuse a `t` that is more than five minutes away. The entries' idempotency keys
/// tell repeats.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use crm_client::{Token, WebhookError, sign_webhook, verify_webhook};
///
/// let (secret, minutes) = (Token::new("s3cret"), Duration::from_secs(300));
/// let now = UNIX_EPOCH + Duration::from_secs(1_772_427_670);
/// let header = sign_webhook(&secret, b"{}", now);
/// assert_eq!(verify_webhook(&secret, &header, b"{}", now, minutes), Ok(()));
/// assert_eq!(verify_webhook(&secret, &header, b"{ }", now, minutes), Err(WebhookError::Forged));
/// assert_eq!(verify_webhook(&secret, &header, b"{}", now + 2 * minutes, minutes), Err(WebhookError::Stale));
/// ```
pub fn verify_webhook(
    secret: &Token,
    header: &str,
    body: &[u8],
    now: SystemTime,
    tolerance: Duration,
) -> Result<(), WebhookError> {
    let parts = || {
        header
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
    };
    let seconds = parts()
        .find_map(|(name, value)| (name == "t").then_some(value))
        .ok_or(WebhookError::Malformed)?;
    let told: u64 = seconds.parse().map_err(|_| WebhookError::Malformed)?;
    let mut signatures = parts()
        .filter(|(name, _)| *name == "v1")
        .map(|(_, digits)| unhex(digits))
        .peekable();
    if signatures.peek().is_none() {
        return Err(WebhookError::Malformed);
    }
    if time::unix(now).abs_diff(told) > tolerance.as_secs() {
        return Err(WebhookError::Stale);
    }
    let genuine = |signature: Option<Vec<u8>>| {
        signature
            .is_some_and(|signature| mac(secret, seconds, body).verify_slice(&signature).is_ok())
    };
    if signatures.any(genuine) {
        Ok(())
    } else {
        Err(WebhookError::Forged)
    }
}

fn mac(secret: &Token, time: &str, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length: this is never an error.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes())
        .expect("a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    (digits.len() == 64).then_some(())?;
    digits
        .chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{WebhookError, sign_webhook, verify_webhook};
    use crate::Token;
    use crate::time::from_unix;
    use std::time::Duration;

    const MINUTES: Duration = Duration::from_mins(5);

    /// Computed with `printf '1772427670.{"a":1}' | openssl dgst -sha256 -hmac s3cret`.
    const KNOWN: &str =
        "t=1772427670,v1=51a51258996bcd99067904e76570efc30296621b86d850b7f69733e4639fdda5";

    #[test]
    fn the_signature_is_what_openssl_computes() {
        let now = from_unix(1_772_427_670);
        assert_eq!(
            sign_webhook(&Token::new("s3cret"), br#"{"a":1}"#, now),
            KNOWN
        );
    }

    #[test]
    fn only_the_right_secret_body_and_time_pass() {
        let verify = |secret: &str, header: &str, body: &str, now: u64| {
            verify_webhook(
                &Token::new(secret),
                header,
                body.as_bytes(),
                from_unix(now),
                MINUTES,
            )
        };
        let now = 1_772_427_670;
        let body = r#"{"a":1}"#;
        assert_eq!(verify("s3cret", KNOWN, body, now), Ok(()));
        assert_eq!(verify("s3cret", KNOWN, body, now + 300), Ok(()));
        assert_eq!(
            verify("s3cret", KNOWN, body, now + 301),
            Err(WebhookError::Stale)
        );
        assert_eq!(
            verify("s3cret", KNOWN, body, now - 301),
            Err(WebhookError::Stale)
        );
        assert_eq!(verify("other", KNOWN, body, now), Err(WebhookError::Forged));
        assert_eq!(
            verify("s3cret", KNOWN, "{}", now),
            Err(WebhookError::Forged)
        );
        // A secret in rotation: either signature will do.
        let two = KNOWN.replace("v1=", &format!("v1={},v1=", "0".repeat(64)));
        assert_eq!(verify("s3cret", &two, body, now), Ok(()));
        // The time is signed too.
        let later = KNOWN.replace("1772427670", "1772427671");
        assert_eq!(
            verify("s3cret", &later, body, now),
            Err(WebhookError::Forged)
        );
        for header in ["", "t=1", "v1=00", "t=x,v1=00", "nonsense", ",,=,"] {
            assert_eq!(
                verify("s3cret", header, body, now),
                Err(WebhookError::Malformed),
                "{header}"
            );
        }
        for header in [
            "t=1772427670,v1=",
            "t=1772427670,v1=zz",
            "t=1772427670,v1=é",
        ] {
            assert_eq!(
                verify("s3cret", header, body, now),
                Err(WebhookError::Forged),
                "{header}"
            );
        }
    }
}
