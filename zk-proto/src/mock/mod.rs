//! A terminal in software, for tests and demonstrations.
//!
//! [`MockDevice`] serves it on loopback; [`Terminal`] is the same thing without sockets. One device
//! per test, made in the test that uses it: port 0 is the default, and dropping the handle stops
//! the server.
//!
//! # What goes wrong
//!
//! [`Profile`]s are kinds of terminals, [`Fault`]s what goes wrong with them. Both can be spelled as
//! text ([`Fault::KINDS`]), for command lines and files.
//!
//! # From a bug report to a test
//!
//! Somebody's terminal says what no other does. They run `zk-bridge device record`, or a program of
//! yours with a [`Recorder`](crate::Recorder), and send the file: there is nobody's name in it.
//! [`MockDevice::replay`] answers as their terminal did, so the file is the test's terminal:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zk_proto::{Code, mock::MockDevice, recording::Recording};
//! # #[cfg(feature = "client")] use zk_proto::{Client, Connect};
//!
//! // In earnest this is `include_str!("data/recordings/report_17.jsonl")`.
//! let report = r#"{"zk_recording":1,"transport":"tcp","masked":true}
//! {"packet":"e80317fc00000000","from":"client"}
//! {"packet":"d00704de2b1a0000","from":"terminal"}
//! {"packet":"c9000ae52b1a0100","from":"client"}
//! {"packet":"d007a7ad2b1a0100580d0423","from":"terminal"}
//! {"packet":"e903e9e12b1a0200","from":"client"}
//! {"packet":"d00702de2b1a0200","from":"terminal"}"#;
//! let device = MockDevice::replay(&report.parse::<Recording>()?).start().await?;
//! # #[cfg(feature = "client")] {
//! let mut terminal = Client::connect(device.addr(), Connect::tcp()).await?;
//! assert_eq!(terminal.time().await?.to_string(), "2018-04-11T09:35:20");
//! terminal.disconnect().await?;
//! device.assert_asked_exactly([Code::CONNECT, Code::GET_TIME, Code::EXIT]);
//! # }
//! device.assert_replayed();
//! # Ok(()) }
//! ```

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
