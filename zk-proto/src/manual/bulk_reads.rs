//! Large data sets: prepare, read, free.
//!
//! ```text
//! client                                        terminal
//!   │── 1503 prepare (data set) ───────────────────►│
//!   │◄────────── 2000 with the size, or 1501 with all of it ──│
//!   │── 1504 read (offset, length) ────────────────►│
//!   │◄────────── 1500 announcement {total, most per packet} ──│
//!   │◄────────── 1501 data …, session field = index ──────────│
//!   │◄────────── 2000 ────────────────────────────────────────│
//!   │      … more reads, one at a time …            │
//!   │── 1502 free ─────────────────────────────────►│
//!   │◄────────── 2000 ────────────────────────────────────────│
//! ```
//!
//! A data set is a `u32` total followed by so many bytes of records.
//!
//! # What the session does about it
//!
//! * Small sets come inline in the answer to 1503: nothing follows and nothing is freed.
//! * Chunks are asked for one after the other. Clients that ask for all at once stall on slow links.
//! * Over TCP data packets come in order, and not every firmware numbers them. Where the numbers are
//!   those from 0 on in another order they are followed, as some firmware sends photos like that; a
//!   frame that comes twice is one; and of a transfer that broke off, a gap ends what is handed out.
//!   Over UDP packets are sorted by index and repeated ones are dropped.
//! * A transfer is done when the bytes announced *and* the acknowledgement are here. If only the
//!   acknowledgement is missing, it is waited for half a second and then done without.
//! * An acknowledgement before the last byte is an error over TCP; over UDP it may have overtaken
//!   data, which is waited for.
//! * A chunk without announcement, a chunk in one packet and a chunk shorter than asked for are
//!   accepted, an empty one is not. What goes beyond the chunk asked for is cut off.
//! * The buffer is freed on every path. After a time-out over TCP nobody waits for the answer:
//!   free, enable (if the keypad was locked) and exit are sent, and the connection is given up.
//! * Over UDP an unanswered chunk is asked for again, under a new number. Over TCP nothing is lost,
//!   so nothing is repeated.
//! * Time-outs are per packet, with an optional limit for the whole call.
//! * Data that is not whole is only ever handed out inside an error.
//! * Over UDP a transfer is whole if the total is here *and* no number between the first and the
//!   last is missing. A data packet without announcement is the answer itself if it has the
//!   session's id; otherwise it has overtaken the announcement and waits for it.
//! * A later chunk that repeats the first one comes from firmware that ignores offsets; it ends the
//!   read with an error instead of a log of repetitions.
//!
//! # Slices
//!
//! The offset of a read is free, so the end of a log can be read without the rest:
//! [`PrepareBuffer`](crate::request::PrepareBuffer), then
//! [`ReadSlice`](crate::request::ReadSlice), then [`FreeBuffer`](crate::request::FreeBuffer). Byte
//! 0 is the first of the total; record *n* of *w* bytes begins at `4 + n × w`. A terminal that
//! ignores offsets is caught by reading a few records that are already known. [`crate::poll`] does
//! all this.
