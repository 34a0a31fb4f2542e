//! What a session is told, and what it counts.

use std::time::Duration;

use crate::{
    request::{CommKey, DEFAULT_TICK},
    wire::{ABSOLUTE_MAX_FRAME, DEFAULT_MAX_FRAME},
};

/// Bytes that a packet may have beyond the chunk it carries.
const MARGIN: u32 = 16;

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The terminal's comm key; 0 unless one was set.
    pub comm_key: CommKey,
    /// Tick of the comm key digest.
    pub tick: u8,
    /// Longest wait for the next packet.
    pub packet_timeout: Duration,
    /// Longest time for a whole call, however many packets it has; `None` for no limit.
    pub operation_timeout: Option<Duration>,
    /// How long to wait for the acknowledgement after the last byte of a transfer has come.
    pub ack_grace: Duration,
    /// Whether packets with a wrong checksum are refused.
    pub verify_checksums: bool,
    /// Most bytes asked for at once in a buffered read.
    pub max_chunk: u32,
    /// Largest data set to accept, in bytes.
    pub max_data_set: u32,
    /// How often an unanswered read is repeated over UDP. Over TCP nothing is repeated.
    pub retries: u8,
}

impl Options {
    /// Bytes in a chunk that every terminal with TCP serves.
    pub const TCP_CHUNK: u32 = 0xffc0;
    /// Bytes in a chunk that every terminal with UDP serves.
    pub const UDP_CHUNK: u32 = 0x4000;

    /// Longest packet to accept.
    pub(super) fn frame_limit(&self) -> u32 {
        // Some firmware sends a whole chunk in one packet.
        let chunk = self.max_chunk.saturating_add(MARGIN);
        chunk.clamp(DEFAULT_MAX_FRAME, ABSOLUTE_MAX_FRAME)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            comm_key: CommKey::default(),
            tick: DEFAULT_TICK,
            packet_timeout: Duration::from_secs(5),
            operation_timeout: None,
            ack_grace: Duration::from_millis(500),
            verify_checksums: true,
            max_chunk: Self::TCP_CHUNK,
            max_data_set: 256 << 20,
            retries: 2,
        }
    }
}

/// What was sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes sent, TCP prefixes included.
    pub bytes_sent: u64,
    /// Bytes received, TCP prefixes included.
    pub bytes_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Requests sent, other than CONNECT, AUTH and EXIT.
    pub requests: u64,
    /// Requests that were repeated (UDP).
    pub retries: u64,
    /// Replies that nobody waited for.
    pub stale_replies: u64,
    /// Packets with a wrong checksum.
    pub bad_checksums: u64,
    /// Datagrams that were no packets, or damaged.
    pub dropped: u64,
}
