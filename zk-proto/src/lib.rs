//! The ZK attendance-terminal protocol (TCP port 4370).
#![warn(clippy::indexing_slicing, clippy::unwrap_used)]

mod code;
mod error;
#[cfg(feature = "mock")]
pub mod mock;
pub mod record;
pub mod request;
pub mod session;
pub mod wire;

#[cfg(feature = "client")]
mod client;

#[cfg(feature = "client")]
pub use self::client::{Client, Connect, DeviceInfo};
pub use self::{
    code::Code,
    error::{DecodeError, Error, Misuse, Protocol},
    request::CommKey,
    session::{Progress, Session, Stats},
    wire::Encoding,
};
