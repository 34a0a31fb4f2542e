//! A terminal in software, for tests and demonstrations.
//!
//! [`MockDevice`] serves it on loopback; [`Terminal`] is the same thing without sockets. One device
//! per test, made in the test that uses it: port 0 is the default, and dropping the handle stops
//! the server.

mod asked;
mod builder;
mod data;
mod device;
mod extras;
mod fault;
mod profile;
mod replay;
mod server;
mod spelling;
mod world;

pub use self::{
    builder::{Builder, ChecksumPolicy, Clock, Serve},
    data::generate,
    device::{Conversation, Cut, Reaction, Terminal},
    extras::Extras,
    fault::Fault,
    profile::{Profile, UnknownProfile},
    server::MockDevice,
    spelling::{BadFault, FaultKind},
    world::{MockStats, Received, Snapshot},
};
