//! Bytes in, whole packets out, however the bytes were split.

use bytes::BytesMut;

use super::{
    envelope::{ABSOLUTE_MAX_FRAME, DEFAULT_MAX_FRAME, MAGIC, PREFIX_LEN, Prefix, Transport},
    packet::HEADER_LEN,
};
use crate::DecodeError;

/// Finds packet boundaries before anything is parsed.
///
/// A packet that lies whole in the input is handed out from there; only one that is split over
/// several inputs is copied. Read boundaries carry no meaning: terminals send several frames in one
/// segment, and one frame in many.
///
/// ```
/// use zk_proto::wire::{Framer, Transport};
///
/// let mut framer = Framer::new(Transport::Tcp);
/// let bytes = b"\x50\x50\x82\x7d\x08\0\0\0\xd0\x07\xff\xfc\x2f\xfb\0\0";
/// let (head, mut tail) = bytes.split_at(11);
/// let mut input = head;
/// assert_eq!(framer.next(&mut input)?, None);
/// assert_eq!(framer.next(&mut tail)?, Some(&bytes[8..]));
/// # Ok::<(), zk_proto::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Framer {
    transport: Transport,
    limit: u32,
    /// The beginning of a frame that is not complete yet, prefix included.
    pending: BytesMut,
    /// `pending` holds a frame that was handed out and goes at the next call.
    spent: bool,
}

impl Framer {
    /// A framer for one connection.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            limit: DEFAULT_MAX_FRAME,
            pending: BytesMut::new(),
            spent: false,
        }
    }

    /// Sets the longest packet to accept, in bytes; never more than 16 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: u32) -> Self {
        self.limit = bytes.min(ABSOLUTE_MAX_FRAME);
        self
    }

    /// Takes the next packet (without TCP prefix) from what was kept and from `input`, which moves
    /// forward. `Ok(None)` means that `input` is used up.
    ///
    /// After an error a TCP stream has no known boundaries any more: close it, or call
    /// [`resync`](Self::resync).
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.spent {
            self.pending.clear();
            self.spent = false;
        }
        if self.transport == Transport::Udp {
            return datagram(input);
        }
        if self.pending.is_empty() {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some(prefix) = Prefix::parse(input, self.limit)? {
                let end = PREFIX_LEN + prefix.length as usize;
                if let Some((frame, rest)) = input.split_at_checked(end) {
                    *input = rest;
                    return Ok(frame.get(PREFIX_LEN..));
                }
                self.pending.reserve(end);
            }
            self.keep(input, usize::MAX);
            return Ok(None);
        }
        self.keep(input, PREFIX_LEN);
        let Some(prefix) = Prefix::parse(&self.pending, self.limit)? else {
            return Ok(None);
        };
        let end = PREFIX_LEN + prefix.length as usize;
        self.keep(input, end);
        if self.pending.len() < end {
            return Ok(None);
        }
        self.spent = true;
        Ok(self.pending.get(PREFIX_LEN..end))
    }

    /// Bytes of an incomplete frame.
    pub fn pending(&self) -> usize {
        if self.spent { 0 } else { self.pending.len() }
    }

    /// Forgets the incomplete frame and moves `input` to the next magic. Gives the number of bytes
    /// of `input` that were skipped; at least one, unless it is empty.
    pub fn resync(&mut self, input: &mut &[u8]) -> usize {
        self.pending.clear();
        self.spent = false;
        let next = input
            .windows(MAGIC.len())
            .skip(1)
            .position(|bytes| bytes == MAGIC);
        let skipped = next.map_or(input.len(), |index| index + 1);
        *input = input.get(skipped..).unwrap_or(&[]);
        skipped
    }

    /// Moves bytes from `input` until `upto` bytes are pending.
    fn keep(&mut self, input: &mut &[u8], upto: usize) {
        let missing = upto.saturating_sub(self.pending.len()).min(input.len());
        let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.pending.extend_from_slice(taken);
        *input = rest;
    }
}

fn datagram<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
    let packet = std::mem::take(input);
    match packet.len() {
        0 => Ok(None),
        length if length < HEADER_LEN => Err(DecodeError::PacketTooShort { found: length }),
        _ => Ok(Some(packet)),
    }
}
