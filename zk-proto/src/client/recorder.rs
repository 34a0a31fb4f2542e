//! What a socket moves, for a recording.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::now;
use crate::{
    recording::{Connection, End, Recording, Side},
    wire::Transport,
};

/// Bytes that are kept; a log of a million records has fewer.
const MOST_BYTES: usize = 256 << 20;

/// Listens to the connections whose options it was given to
/// ([`Connect::record`](super::Connect::record)).
///
/// A clone listens to the same recording. Nothing but [`recording`](Self::recording) gives out what
/// was heard, and there personal data is masked already.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
/// use zk_proto::{Client, Connect, Recorder, mock::MockDevice};
///
/// let device = MockDevice::builder().generate(7, 20, 300).start().await.unwrap();
/// let recorder = Recorder::new();
/// let mut terminal = Client::connect(device.addr(), Connect::tcp().record(&recorder)).await?;
/// terminal.users().await?;
/// terminal.disconnect().await?;
/// assert!(recorder.recording().to_string().starts_with("{\"zk_recording\":1,\"transport\":\"tcp\","));
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    since: Option<Instant>,
    connections: Vec<Pieces>,
    bytes: usize,
    is_full: bool,
}

struct Pieces {
    transport: Transport,
    ms: u64,
    moved: Vec<(Side, u64, Vec<u8>)>,
    end: Option<(End, u64)>,
}

impl Recorder {
    /// A recorder that has heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was heard so far, with personal data masked as [`recording`](crate::recording) says.
    /// Connections over which the terminal said nothing are left out, if there are others.
    pub fn recording(&self) -> Recording {
        let heard = self.heard();
        let mut recording = Recording::new();
        for one in &heard.connections {
            let pieces = one
                .moved
                .iter()
                .map(|(from, ms, bytes)| (*from, *ms, &bytes[..]));
            let mut connection = Connection::from_pieces(one.transport, one.ms, pieces);
            connection.end = one.end;
            recording.connections.push(connection);
        }
        drop(heard);
        if recording.has_answers() {
            let answers = |connection: &Connection| {
                let mut messages = connection.messages.iter();
                messages.any(|message| message.from == Side::Terminal)
            };
            recording.connections.retain(answers);
        }
        recording.masked()
    }

    /// Whether more was said than is kept (256 MiB); the rest is missing.
    pub fn is_full(&self) -> bool {
        self.heard().is_full
    }

    pub(super) fn open(&self, transport: Transport) -> Tap {
        let mut heard = self.heard();
        let ms = heard.ms();
        heard.connections.push(Pieces {
            transport,
            ms,
            moved: Vec::new(),
            end: None,
        });
        Tap {
            recorder: self.clone(),
            connection: heard.connections.len() - 1,
        }
    }

    /// What was heard is whole whoever panicked.
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was heard holds names and keys.
impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = self.heard();
        f.debug_struct("Recorder")
            .field("connections", &heard.connections.len())
            .field("bytes", &heard.bytes)
            .finish_non_exhaustive()
    }
}

impl Heard {
    fn ms(&mut self) -> u64 {
        let now = now();
        let passed = now.duration_since(*self.since.get_or_insert(now));
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One connection of a recorder.
#[derive(Debug)]
pub(super) struct Tap {
    recorder: Recorder,
    connection: usize,
}

impl Tap {
    pub(super) fn moved(&self, from: Side, bytes: &[u8]) {
        let mut heard = self.recorder.heard();
        if heard.bytes + bytes.len() > MOST_BYTES {
            heard.is_full = true;
        }
        if heard.is_full {
            return;
        }
        heard.bytes += bytes.len();
        let ms = heard.ms();
        if let Some(connection) = heard.connections.get_mut(self.connection) {
            connection.moved.push((from, ms, bytes.to_vec()));
        }
    }

    /// What a socket said when it was read.
    pub(super) fn received(&self, result: &io::Result<usize>, buffer: &[u8], is_stream: bool) {
        match result {
            Ok(0) if is_stream => self.ended(End::Closed),
            Ok(length) => self.moved(Side::Terminal, buffer.get(..*length).unwrap_or(&[])),
            Err(_) => self.ended(End::Reset),
        }
    }

    fn ended(&self, end: End) {
        let mut heard = self.recorder.heard();
        let ms = heard.ms();
        if let Some(connection) = heard.connections.get_mut(self.connection) {
            connection.end.get_or_insert((end, ms));
        }
    }
}
