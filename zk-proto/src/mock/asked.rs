//! Assertions on what was asked. Their failure says what came instead.

use std::fmt::Write;

use super::{MockDevice, Received};
use crate::Code;

impl MockDevice {
    /// Asserts that these commands came in this order, others between them or not.
    ///
    /// # Panics
    ///
    /// If they did not; the message lists what came.
    #[track_caller]
    pub fn assert_asked(&self, expected: impl IntoIterator<Item = Code>) {
        let received = self.requests();
        let mut rest = received.iter();
        for code in expected {
            assert!(
                rest.any(|request| request.code == code),
                "{code} was not asked, or not in this order. {}",
                list(&received)
            );
        }
    }

    /// Asserts that a command came so many times.
    ///
    /// # Panics
    ///
    /// If it did not; the message lists what came.
    #[track_caller]
    pub fn assert_asked_times(&self, code: Code, times: usize) {
        let received = self.requests();
        let found = received
            .iter()
            .filter(|request| request.code == code)
            .count();
        assert!(
            found == times,
            "{code} was asked {found} times, not {times}. {}",
            list(&received)
        );
    }

    /// Asserts that a command never came.
    ///
    /// # Panics
    ///
    /// If it did; the message lists what came.
    #[track_caller]
    pub fn assert_not_asked(&self, code: Code) {
        self.assert_asked_times(code, 0);
    }
}

/// What came, a line each.
fn list(received: &[Received]) -> String {
    const MOST: usize = 200;
    let mut text = format!("{} packets came:", received.len());
    for request in received.iter().take(MOST) {
        // Payloads may hold names and keys, so only their length is told.
        let bytes = request.payload.len();
        let damaged = if request.checksum_valid {
            ""
        } else {
            ", wrong checksum"
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n  {} (number {}, {bytes} bytes{damaged})",
            request.code, request.reply_id
        );
    }
    if received.len() > MOST {
        text.push_str("\n  …");
    }
    text
}
