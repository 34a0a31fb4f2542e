//! The ZK protocol of attendance terminals (TCP and UDP port 4370): parsers, a session without
//! I/O, an async client, and a terminal in software to test against.
//!
//! # Reading a terminal
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "mock"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zk_proto::{Client, CommKey, Connect, mock::MockDevice};
//!
//! // In earnest this is an address such as "192.168.1.201:4370".
//! let device = MockDevice::builder().comm_key(1234).generate(7, 20, 3000).start().await?;
//!
//! let options = Connect::tcp().comm_key(CommKey::new(1234));
//! let mut terminal = Client::connect(device.addr(), options).await?;
//! println!("{:?}", terminal.info().await?);
//!
//! let log = terminal.attendance().await?;
//! assert_eq!(log.len(), 3000);
//! for record in log.iter().take(3) {
//!     println!("{} {}", record.user_id(), record.time());
//! }
//! terminal.disconnect().await?;
//! # Ok(()) }
//! # #[cfg(not(all(feature = "client", feature = "mock")))]
//! # fn main() {}
//! ```
//!
//! # Only what is new
//!
//! The log only grows, and any slice of it can be read. A [`poll`] costs what is new, not what the
//! terminal holds, and notices when the log was cleared or replaced:
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "mock"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use zk_proto::{Client, Connect, mock::MockDevice};
//! use zk_proto::poll::{Mode, PollCursor, PollOptions};
//!
//! # let device = MockDevice::builder().generate(7, 20, 3000).start().await?;
//! # let mut terminal = Client::connect(device.addr(), Connect::tcp()).await?;
//! let first = terminal.poll(&PollCursor::new(), PollOptions::new()).await?;
//! assert_eq!((first.mode, first.new_records().count()), (Mode::Full, 3000));
//! // Keep `first.cursor` with the records. Later:
//! # device.punch(device.snapshot().records[0]);
//! let second = terminal.poll(&first.cursor, PollOptions::new()).await?;
//! assert_eq!((second.mode, second.new_records().count()), (Mode::Tail, 1));
//! assert!(second.log_bytes < 1000);
//! # Ok(()) }
//! # #[cfg(not(all(feature = "client", feature = "mock")))]
//! # fn main() {}
//! ```
//!
//! [`Client::listen`] hears of punches as they happen, and says when to poll again.
//!
//! # Without I/O
//!
//! [`Session`] holds the whole conversation and neither a socket nor a clock. Bytes and instants go
//! in; what comes out says what to send, what happened and how long to wait. Here a terminal in
//! memory is at the other end:
//!
//! ```
//! # #[cfg(feature = "mock")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zk_proto::{
//!     Session,
//!     mock::MockDevice,
//!     request::Connect,
//!     session::{Event, Options, Output},
//!     wire::Transport,
//! };
//!
//! let mut terminal = MockDevice::builder().build()?;
//! let mut client = terminal.conversation(Transport::Udp);
//! let mut session = Session::new(Transport::Udp, Options::default());
//! # #[expect(clippy::disallowed_methods)]
//! let now = std::time::Instant::now();
//!
//! let ticket = session.submit(Connect, now);
//! loop {
//!     match session.poll_output() {
//!         Output::Transmit(datagram) => {
//!             let reaction = terminal.handle(&mut client, &datagram, Default::default());
//!             for reply in reaction.frames {
//!                 session.handle_input(&reply, now);
//!             }
//!         }
//!         Output::Event(Event::Answer { ticket: id, result }) => break ticket.open(id, result)?,
//!         Output::Event(event) => println!("{event:?}"),
//!         Output::Wait(until) => unreachable!("the terminal answers at once, not at {until:?}"),
//!     }
//! }
//! assert!(session.is_connected());
//! # Ok(()) }
//! # #[cfg(not(feature = "mock"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | Feature  | Default | Adds                                         | Needs |
//! |----------|---------|----------------------------------------------|-------|
//! | `client` | yes     | [`Client`]: the session on sockets           | tokio |
//! | `mock`   | no      | [`mock`]: a terminal in software             | tokio |
//!
//! # What is understood
//!
//! | Data        | Bytes per record                       | Told from               |
//! |-------------|----------------------------------------|-------------------------|
//! | attendance  | 8 (two orders), 16, 22, 40, 49         | the bytes               |
//! | users       | 16, 28, 72, 120                        | the bytes               |
//! | counters    | replies of 4, 80, 92, 112              | the length              |
//! | operations  | 16                                     | –                       |
//! | templates   | any                                    | –                       |
//! | live punches| 10, 12, 14, 32, 36, 37, 52, several    | the length              |
//!
//! | Does                                                        | By                          |
//! |-------------------------------------------------------------|-----------------------------|
//! | read log, users, operations, templates                      | [`Client::attendance`], [`Client::users`], [`Client::operations`], [`Client::templates`] |
//! | only what is new                                            | [`Client::poll`]            |
//! | a span of time                                              | [`Client::attendance_between`] |
//! | add, change, delete users by the id people type             | [`Client::add_user`], [`Client::update_user`], [`Client::delete_user`] |
//! | write and delete fingerprints                               | [`Client::write_template`], [`Client::upload_all`], [`Client::delete_template`] |
//! | enrol a finger                                              | [`Client::enroll`]          |
//! | hear of punches as they happen                              | [`Client::listen`]          |
//! | options, clock, door, screen, voice, restart                | [`Client::option`], [`Client::set_time`], [`Client::open_door`], … |
//! | lock the keypad, and unlock it on every path                | [`Client::lock`]            |
//! | faces and photos, as far as they are documented             | [`Client::faces`], [`Client::photo`] |
//! | access time zones, groups, combinations, rules              | [`Client::time_zone`], [`Client::set_time_zone`], [`Client::group`], … |
//! | short messages                                              | [`Client::message`], [`Client::set_message`], [`Client::link_message`] |
//! | clear                                                       | [`Client::clear_attendance`], … with a [`Confirmed`](request::Confirmed) |
//! | every other command that is documented                      | [`Client::call`] with a type of [`request`]; [`manual::commands`] lists them |
//! | anything else                                               | [`Client::raw`]             |
//!
//! Goes wrong with a terminal you do not have? [`Recorder`] and [`recording`] turn a report into a test.
//!
//! Secured firmware and access panels are recognised and named; they speak other protocols.
//!
//! # Map
//!
//! | Module      | Holds                                                                    |
//! |-------------|--------------------------------------------------------------------------|
//! | [`wire`]    | bytes ↔ packets; times and texts                                          |
//! | [`record`]  | what a terminal stores and tells: users, attendance, templates, events    |
//! | [`request`] | one type per command with its reply, both directions                      |
//! | [`session`] | the conversation                                                          |
//! | [`poll`]    | reading only what is new, as a plan without I/O                           |
//! | [`recording`] | conversations in a file, without the people in them: from a bug report to a test |
//! | [`manual`]  | how the protocol works, and why the code is as it is                      |
//!
//! # Errors
//!
//! [`Error`] says who is at fault, [`Error::is_retryable`] whether to try again and
//! [`Error::remedy`] what a person can do. A short read is never passed off as a whole one: what
//! had arrived comes only inside the error ([`Error::partial`]).
#![warn(clippy::indexing_slicing, clippy::unwrap_used)]
// The front page names things that features add.
#![cfg_attr(
    not(all(feature = "client", feature = "mock")),
    expect(
        rustdoc::broken_intra_doc_links,
        reason = "links into features that are off"
    )
)]

mod code;
mod error;
pub mod manual;
#[cfg(feature = "mock")]
pub mod mock;
pub mod poll;
pub mod record;
pub mod recording;
pub mod request;
pub mod session;
pub mod wire;

#[cfg(feature = "client")]
mod client;

#[cfg(feature = "client")]
pub use self::client::{
    Between, Client, Connect, DeviceInfo, End, Heard, Listen, Live, Locked, Recorder,
};
pub use self::{
    code::{Code, UnknownCode},
    error::{DecodeError, Error, Misuse, Protocol},
    request::CommKey,
    session::{Progress, Session, Stats},
    wire::Encoding,
};
