//! Packets, checksums, numbers, times.
//!
//! All integers are little-endian.
//!
//! # Packet
//!
//! | Offset | Size | Field                                   |
//! |--------|------|-----------------------------------------|
//! | 0      | 2    | command or reply code                   |
//! | 2      | 2    | checksum                                |
//! | 4      | 2    | session id                              |
//! | 6      | 2    | reply id                                |
//! | 8      | …    | payload                                 |
//!
//! Over UDP a datagram is a packet. Over TCP eight bytes precede it: the magic `50 50 82 7d` and the
//! length of the packet as a `u32`. Frames and segments have nothing to do with each other: a frame
//! comes in many reads and a read holds many frames, so [`Framer`](crate::wire::Framer) keeps its
//! own buffer and gives the same packets for every split. The length is judged before anything is
//! allocated: at least 8, at most 1 MiB unless told otherwise, never more than 16 MiB.
//!
//! Two other beginnings are known. `50 50 83 7c` is a frame of secured firmware, `aa` is what an
//! access panel says on the same port. Both are errors of their own, because the remedy differs.
//!
//! # Checksum
//!
//! The ones' complement of the ones'-complement sum of the packet's 16-bit words, the checksum
//! field taken as zero and an odd last byte as a low byte. It covers the reply id *as sent*; a
//! client that computes it before it increments the number is off by one, and strict terminals do
//! not answer it at all. So the mock is strict too, unless told otherwise.
//!
//! # Session id and reply id
//!
//! The answer to CONNECT carries the session id, also when it asks for the comm key. Later packets
//! of the terminal carry other things in that field: the index of a data packet, the kind of an
//! event, a state, a count. Replies are therefore matched by reply id alone.
//!
//! The client numbers its requests 0 to 65534 and skips 65535. Every packet of an answer repeats
//! the number; events and their acknowledgements have 0. A number is not used again after a
//! time-out, so a late answer is recognised and dropped.
//!
//! # Comm key
//!
//! The digest of [`CommKey::digest`](crate::CommKey::digest): the key's bits reversed, plus the
//! session id modulo 2³², XOR "ZKSO", halves swapped, XOR a tick byte that stands in the third
//! place. The terminal reads the tick from there, so any will do.
//!
//! # Time
//!
//! Seconds since 2000 in a calendar where every month has 31 days, in the terminal's local time. 30
//! February can be written, and in damaged logs it is: [`PackedTime`](crate::wire::PackedTime)
//! keeps the number, tells it as it was told, and says separately whether it is a date. Zero is
//! what firmware writes when it has no time.
