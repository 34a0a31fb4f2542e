//! How to connect.

use std::time::Duration;

use super::{End, Recorder};
use crate::{
    request::CommKey,
    session::Options,
    wire::{Encoding, Transport},
};

/// How to connect; a value with chainable methods.
///
/// ```
/// use std::time::Duration;
/// use zk_proto::{CommKey, Connect};
///
/// let options = Connect::auto().comm_key(CommKey::new(1234)).timeout(Duration::from_secs(3));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Connect {
    transports: &'static [Transport],
    pub(super) session: Options,
    /// Chosen by the caller; otherwise it depends on the transport.
    max_chunk: Option<u32>,
    pub(super) encoding: Encoding,
    pub(super) disable_while_reading: bool,
    pub(super) recorder: Option<Recorder>,
    pub(super) end: Option<End>,
}

impl Connect {
    /// Over TCP, like nearly every terminal with a colour screen.
    pub fn tcp() -> Self {
        Self::over(&[Transport::Tcp])
    }

    /// Over UDP, for old terminals.
    pub fn udp() -> Self {
        Self::over(&[Transport::Udp])
    }

    /// Over TCP, and over UDP if nobody answers there.
    pub fn auto() -> Self {
        Self::over(&[Transport::Tcp, Transport::Udp])
    }

    fn over(transports: &'static [Transport]) -> Self {
        Self {
            transports,
            session: Options::default(),
            max_chunk: None,
            encoding: Encoding::Auto,
            disable_while_reading: false,
            recorder: None,
            end: None,
        }
    }

    /// The terminal's comm key; none means 0.
    pub fn comm_key(mut self, key: CommKey) -> Self {
        self.session.comm_key = key;
        self
    }

    /// Tick of the comm key's digest; 50 unless set, and every terminal known takes any. For firmware
    /// that refuses a key that is right.
    pub fn tick(mut self, tick: u8) -> Self {
        self.session.tick = tick;
        self
    }

    /// Longest wait for the connection and for each packet; five seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.session.packet_timeout = timeout;
        self
    }

    /// Longest time for a whole call, however many packets it has; no limit unless set.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.session.operation_timeout = Some(timeout);
        self
    }

    /// How names are written; guessed unless set.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Whether packets with a wrong checksum are refused; they are unless told otherwise.
    pub fn verify_checksums(mut self, verify: bool) -> Self {
        self.session.verify_checksums = verify;
        self
    }

    /// Most bytes asked for at once in a bulk read; 65,472 over TCP and 16,384 over UDP unless
    /// set. Slow links may like less.
    pub fn max_chunk(mut self, bytes: u32) -> Self {
        self.max_chunk = Some(bytes);
        self
    }

    /// How often an unanswered read is repeated over UDP; twice unless set.
    pub fn retries(mut self, retries: u8) -> Self {
        self.session.retries = retries;
        self
    }

    /// Whether the keypad is locked during bulk reads. Off unless set: people see "Working…".
    pub fn disable_while_reading(mut self, disable: bool) -> Self {
        self.disable_while_reading = disable;
        self
    }

    /// Ends the connection, and those that take its place, at that instant; no end unless set.
    ///
    /// From then on nothing at all is sent, goodbye included: the clock is asked right before each write, so
    /// that this also holds for a process that stood still meanwhile. A call that is waiting returns
    /// [`Error::Ended`](crate::Error::Ended) and the socket is closed; so does every later call.
    pub fn until(mut self, end: &End) -> Self {
        self.end = Some(end.clone());
        self
    }

    /// Lets a recorder listen to the connection, and to those that take its place.
    pub fn record(mut self, recorder: &Recorder) -> Self {
        self.recorder = Some(recorder.clone());
        self
    }

    pub(super) fn transports(&self) -> &'static [Transport] {
        self.transports
    }

    pub(super) fn session_options(&self, transport: Transport) -> Options {
        let usual = match transport {
            Transport::Tcp => Options::TCP_CHUNK,
            Transport::Udp => Options::UDP_CHUNK,
        };
        Options {
            max_chunk: self.max_chunk.unwrap_or(usual),
            ..self.session.clone()
        }
    }
}
