//! The adapter against real sockets.

mod batch;
mod fake;
mod http;
mod raw;
mod wire;
