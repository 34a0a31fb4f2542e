//! Conversations with a terminal, kept in a file: from a bug report to a test.
//!
//! [`Recorder`](crate::Recorder) listens to what a client moves over its socket,
//! [`Recording::masked`] takes the people out of it, and
//! [`MockDevice::replay`](crate::mock::MockDevice::replay) answers again as the terminal did.
//!
//! # The file
//!
//! JSON lines: every line is an object, without nesting. The first is the header; the others are
//! told apart by their first key. Keys that are not listed are passed over, and so are empty lines.
//!
//! ```text
//! {"zk_recording":1,"transport":"tcp","masked":true}
//! {"packet":"e80317fc00000000","from":"client","ms":0,"command":"CMD_CONNECT"}
//! {"packet":"d007…","from":"terminal","ms":2,"command":"CMD_ACK_OK","cut":[3]}
//! {"raw":"aa01…","from":"terminal","ms":9}
//! {"connect":"udp","ms":5012}
//! {"end":"closed","ms":5020}
//! ```
//!
//! | Key            | Holds                                                                      |
//! |----------------|----------------------------------------------------------------------------|
//! | `zk_recording` | version of the form, 1                                                     |
//! | `transport`    | how packets travel on the first connection: `tcp` or `udp`                 |
//! | `masked`       | whether personal data was taken out                                        |
//! | `packet`       | a packet in hexadecimal, without the eight bytes that TCP puts before it   |
//! | `raw`          | bytes in hexadecimal that are no packet: all of the stream that came       |
//! | `from`         | `client` or `terminal`                                                     |
//! | `ms`           | milliseconds since the first connection was opened; only told, not replayed|
//! | `command`      | the packet's command, for people; not read                                 |
//! | `cut`          | where a packet was cut over TCP: how many of its bytes (the eight included) had come whenever the client had to wait for more |
//! | `connect`      | another connection: `tcp` or `udp`                                         |
//! | `end`          | the terminal ended the connection: `closed` or `reset`                     |
//!
//! # What is masked
//!
//! Names, user ids, card numbers, passwords, the proof of the comm key, templates, messages, and of
//! the options all but those known to be harmless (so serial number, addresses and product name
//! go). A name keeps its length and which characters are letters, digits or blanks; an id and a
//! card number keep their length and kind and become the same other one everywhere, so that
//! records still join. Times, verify modes, punch states, work codes, internal numbers (unless they
//! are the id, as in users of 16 bytes), the counters, the firmware's version and platform stay:
//! they are what parsers stumble over. Sizes, and bytes of known records whose meaning is unknown,
//! stay as well. Checksums are made anew, and wrong ones stay wrong. Data that is not understood
//! keeps its zeros and loses all else.
//!
//! Data sets are masked as a whole and cut again, since records lie across packets. A packet of which
//! it is not certain where in its data set it lies, because others before it are missing, is data
//! that is not understood.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "mock"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zk_proto::{Client, Connect, Recorder, mock::MockDevice, recording::Recording};
//!
//! // Where it goes wrong: record what a terminal says.
//! let terminal = MockDevice::builder().generate(7, 20, 300).start().await?;
//! let recorder = Recorder::new();
//! let mut client = Client::connect(terminal.addr(), Connect::tcp().record(&recorder)).await?;
//! let records = client.attendance().await?.len();
//! client.disconnect().await?;
//! let file = recorder.recording().to_string();
//!
//! // Where it is mended: a test that needs no terminal.
//! let device = MockDevice::replay(&file.parse::<Recording>()?).start().await?;
//! let mut client = Client::connect(device.addr(), Connect::tcp()).await?;
//! assert_eq!(client.attendance().await?.len(), records);
//! client.disconnect().await?;
//! device.assert_replayed();
//! # Ok(()) }
//! # #[cfg(not(all(feature = "client", feature = "mock")))]
//! # fn main() {}
//! ```

mod disguise;
mod mask;
mod text;

use std::{collections::hash_map::RandomState, fmt, hash::BuildHasher};

use bytes::Bytes;

pub use self::text::{BadRecording, Problem};
use crate::{
    Code,
    request::DeviceOption,
    wire::{ABSOLUTE_MAX_FRAME, HEADER_LEN, PREFIX_LEN, Packet, Prefix, Transport, checksum},
};

/// A conversation with a terminal, over one connection or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recording {
    /// The connections, in the order in which they were opened.
    pub connections: Vec<Connection>,
    /// Whether personal data was taken out.
    pub masked: bool,
}

/// What was said over one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// How packets travelled.
    pub transport: Transport,
    /// When it was opened, in milliseconds since the first was.
    pub ms: u64,
    /// What was said, in order.
    pub messages: Vec<Message>,
    /// How the terminal ended it; `None` if it did not.
    pub end: Option<(End, u64)>,
}

/// How a terminal ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It closed it.
    Closed,
    /// It reset it.
    Reset,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The terminal.
    Terminal,
}

/// One packet, or bytes that are none.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub from: Side,
    /// When, in milliseconds since the first connection was opened.
    pub ms: u64,
    /// A packet without TCP prefix, or what came instead of one.
    pub bytes: Bytes,
    /// Whether it is a packet.
    pub is_packet: bool,
    /// Where a packet was cut over TCP, in bytes from the beginning of its prefix; ascending.
    pub cut: Vec<usize>,
}

/// Packets hold names, so only the length is shown.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("from", &self.from)
            .field("ms", &self.ms)
            .field("command", &self.packet().map(|packet| packet.header.code))
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// A recording without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same conversation without personal data; the [module](self) says what goes.
    ///
    /// Ids become other ones at random, differently each time.
    #[must_use]
    pub fn masked(&self) -> Self {
        self.masked_with(RandomState::new().hash_one(0_u8))
    }

    /// Like [`masked`](Self::masked), and the same for the same seed. Who knows the seed can guess
    /// ids from it.
    #[must_use]
    pub fn masked_with(&self, seed: u64) -> Self {
        mask::mask(self, seed)
    }

    /// Packets and other bytes in all connections.
    pub fn len(&self) -> usize {
        self.connections
            .iter()
            .map(|connection| connection.messages.len())
            .sum()
    }

    /// What the terminal said when an option was asked for, the first time it was; masked like
    /// everything else.
    pub fn option(&self, key: &str) -> Option<String> {
        let mut messages = self.connections.iter().flat_map(|one| &one.messages);
        messages.find_map(|message| {
            let packet = message.packet()?;
            let is_answer = message.from == Side::Terminal && packet.header.code == Code::ACK_OK;
            let told = DeviceOption::parse(packet.payload);
            (is_answer && told.key == key && !told.value.is_empty()).then_some(told.value)
        })
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the terminal said anything.
    pub fn has_answers(&self) -> bool {
        let mut messages = self.connections.iter().flat_map(|one| &one.messages);
        messages.any(|message| message.from == Side::Terminal)
    }
}

impl Connection {
    /// A connection over which nothing was said yet.
    pub fn new(transport: Transport, ms: u64) -> Self {
        Self {
            transport,
            ms,
            messages: Vec::new(),
            end: None,
        }
    }

    /// Makes a connection from what its socket moved: each piece with its side and milliseconds,
    /// over UDP a datagram, over TCP any piece of the stream.
    pub fn from_pieces<'a>(
        transport: Transport,
        ms: u64,
        pieces: impl IntoIterator<Item = (Side, u64, &'a [u8])>,
    ) -> Self {
        let mut connection = Self::new(transport, ms);
        let [mut client, mut terminal] = [Stream::default(), Stream::default()];
        for (from, ms, piece) in pieces {
            if transport == Transport::Udp {
                let is_packet = piece.len() >= HEADER_LEN;
                connection.say(from, ms, piece, is_packet, Vec::new());
                continue;
            }
            let stream = match from {
                Side::Client => &mut client,
                Side::Terminal => &mut terminal,
            };
            stream.take(from, ms, piece, &mut connection);
        }
        for (from, stream) in [(Side::Client, client), (Side::Terminal, terminal)] {
            if !stream.open.is_empty() {
                connection.say(from, stream.ms, &stream.open, false, Vec::new());
            }
        }
        connection
    }

    fn say(&mut self, from: Side, ms: u64, bytes: &[u8], is_packet: bool, cut: Vec<usize>) {
        self.messages.push(Message {
            from,
            ms,
            bytes: Bytes::copy_from_slice(bytes),
            is_packet,
            cut,
        });
    }
}

impl Message {
    /// The packet, if it is one.
    pub fn packet(&self) -> Option<Packet<'_>> {
        Packet::parse(&self.bytes).ok().filter(|_| self.is_packet)
    }
}

/// One direction of a TCP connection.
#[derive(Default)]
struct Stream {
    /// What came of a packet that is not whole.
    open: Vec<u8>,
    /// When its last piece came.
    ms: u64,
    cut: Vec<usize>,
    /// There are no packets any more.
    lost: bool,
}

impl Stream {
    fn take(&mut self, from: Side, ms: u64, piece: &[u8], connection: &mut Connection) {
        if self.lost {
            connection.say(from, ms, piece, false, Vec::new());
            return;
        }
        self.ms = ms;
        if !self.open.is_empty() {
            self.cut.push(self.open.len());
        }
        self.open.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let rest = self.open.get(start..).unwrap_or(&[]);
            match Prefix::parse(rest, ABSOLUTE_MAX_FRAME) {
                Ok(Some(prefix)) => {
                    let length = PREFIX_LEN + prefix.length as usize;
                    let Some(packet) = rest.get(PREFIX_LEN..length) else {
                        break;
                    };
                    let mut cut = std::mem::take(&mut self.cut);
                    cut.retain(|at| *at < length);
                    connection.say(from, ms, packet, true, cut);
                    start += length;
                }
                Ok(None) => break,
                Err(_) => {
                    self.lost = true;
                    connection.say(from, ms, rest, false, Vec::new());
                    start = self.open.len();
                    break;
                }
            }
        }
        self.open.drain(..start);
    }
}

/// Writes the checksum into a packet that was made from another: right if that one's was right,
/// else wrong by as many bits.
pub(crate) fn seal(bytes: &mut [u8], model: &Packet<'_>) {
    let right = checksum(bytes);
    let wrong = model.expected_checksum() ^ model.header.checksum;
    let mut sum = if model.checksum_valid() {
        right
    } else {
        right ^ wrong
    };
    for _ in 0..2 {
        if let Some(field) = bytes.get_mut(2..4) {
            field.copy_from_slice(&sum.to_le_bytes());
        }
        // Zero and all ones are the same checksum.
        let valid = Packet::parse(bytes).is_ok_and(|packet| packet.checksum_valid());
        if valid == model.checksum_valid() {
            return;
        }
        sum ^= 1;
    }
}
