//! Integration tests of zk-proto.

mod client;
mod examples;
mod faults;
mod histories;
mod known_answers;
mod poll;
mod quirks;
mod recording;
mod regressions;
mod roundtrip;
mod session;
mod terminal;
mod users;
