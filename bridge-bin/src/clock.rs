//! The only place that asks what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The machine's clock, with an `as_of` that tests may hold still.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    as_of: Option<i64>,
}

impl Clock {
    /// The machine's clock. In builds with debug assertions `ZK_BRIDGE_NOW` (RFC 3339) fixes the `as_of` of
    /// assessment; leases, due rows and back-off keep the real clock.
    #[cfg(debug_assertions)]
    pub fn from_env() -> anyhow::Result<Self> {
        let Ok(text) = std::env::var("ZK_BRIDGE_NOW") else {
            return Ok(Self::default());
        };
        let instant: jiff::Timestamp = text.parse().map_err(|error| {
            crate::Failure::new(
                "config",
                format!("ZK_BRIDGE_NOW is not an instant: {error}"),
                "Write it like 2026-03-03T12:00:00Z.",
            )
        })?;
        Ok(Self {
            as_of: Some(instant.as_second()),
        })
    }

    /// The machine's clock.
    #[cfg(not(debug_assertions))]
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self::default())
    }

    /// A clock whose `as_of` stands still, in Unix seconds.
    pub const fn fixed(as_of: i64) -> Self {
        Self { as_of: Some(as_of) }
    }

    /// The present, in Unix seconds.
    pub fn now(self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// The present, in Unix milliseconds.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now_ms(self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
            .unwrap_or(0)
    }

    /// The instant as of which days are judged, in Unix seconds.
    pub fn as_of(self) -> i64 {
        self.as_of.unwrap_or_else(|| self.now())
    }

    /// A monotonic instant for deadlines.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn monotonic(self) -> Instant {
        Instant::now()
    }
}
