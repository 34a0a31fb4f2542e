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
        let found = count(&received, code);
        assert!(
            found == times,
            "{code} was asked {found} times, not {times}. {}",
            list(&received)
        );
    }

    /// Asserts that exactly these commands came, in this order and no others.
    ///
    /// # Panics
    ///
    /// If others came; the message says which was the first, and lists what came.
    #[track_caller]
    pub fn assert_asked_exactly(&self, expected: impl IntoIterator<Item = Code>) {
        let received = self.requests();
        let mut rest = received.iter();
        for (place, code) in (1..).zip(expected) {
            let came = rest.next().map(|request| request.code);
            assert!(
                came == Some(code),
                "request {place} was {}, not {code}. {}",
                came.map_or_else(|| "missing".to_owned(), |came| came.to_string()),
                list(&received)
            );
        }
        let surplus = rest.next();
        assert!(
            surplus.is_none(),
            "{} came behind what was expected. {}",
            surplus.map_or(Code(0), |request| request.code),
            list(&received)
        );
    }

    /// Asserts that a command came so many times at most.
    ///
    /// # Panics
    ///
    /// If it came more often; the message lists what came.
    #[track_caller]
    pub fn assert_asked_at_most(&self, code: Code, times: usize) {
        let received = self.requests();
        let found = count(&received, code);
        assert!(
            found <= times,
            "{code} was asked {found} times, more than {times}. {}",
            list(&received)
        );
    }

    /// Asserts that a replayed recording had an answer to all that was asked.
    ///
    /// # Panics
    ///
    /// If it had not; the message lists what it has no answer to, what it answers and what came.
    #[track_caller]
    pub fn assert_replayed(&self) {
        let missing = self.not_recorded();
        let commands: Vec<String> = self.recorded().iter().map(ToString::to_string).collect();
        assert!(
            missing.is_empty(),
            "the recording has no answer to what was asked. Without answer, {}\nIt answers: {}.\n\
             In all, {}",
            list(&missing),
            commands.join(", "),
            list(&self.requests())
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

fn count(received: &[Received], code: Code) -> usize {
    let asked = received.iter().filter(|request| request.code == code);
    asked.count()
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
