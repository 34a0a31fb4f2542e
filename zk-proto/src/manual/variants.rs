//! What differs between firmware, and what is done about it.
//!
//! Variants are detected at run time from the data, never chosen at compile time: one process
//! serves a mixed fleet.
//!
//! # Attendance records
//!
//! | Bytes | Layout | Seen on |
//! |-------|--------|---------|
//! | 40    | [`Bytes40`](crate::record::Layout::Bytes40) | colour-screen terminals |
//! | 49    | [`Bytes49`](crate::record::Layout::Bytes49) | visible-light face terminals: the 40 bytes, `ff`, "255", zeros |
//! | 22    | [`Bytes22`](crate::record::Layout::Bytes22) | AK3750 platform, behind a header of 12 bytes |
//! | 16    | [`Bytes16`](crate::record::Layout::Bytes16) | black-and-white terminals |
//! | 8     | [`Bytes8`](crate::record::Layout::Bytes8), [`Bytes8TimeLast`](crate::record::Layout::Bytes8TimeLast) | small black-and-white terminals; only the internal number |
//!
//! The 40 bytes:
//!
//! | Offset | Size | Field                                         |
//! |--------|------|-----------------------------------------------|
//! | 0      | 2    | uid, or a running number on some models       |
//! | 2      | 24   | user id, text                                 |
//! | 26     | 1    | verify mode                                   |
//! | 27     | 4    | packed time                                   |
//! | 31     | 1    | punch state                                   |
//! | 32     | 4    | work code, else zero or junk                  |
//! | 36     | 4    | zero, or `ff 00 00 00`                        |
//!
//! The shorter ones, offsets in bytes:
//!
//! | Field       | 22        | 16           | 8            | 8, time last |
//! |-------------|-----------|--------------|--------------|--------------|
//! | uid         | 0, 2 long | –            | 0, 2 long    | 0, 2 long    |
//! | user id     | 2, text   | 0, a number  | –            | –            |
//! | verify mode | 12        | 9            | 2            | 2            |
//! | time        | 13        | 4            | 3            | 4            |
//! | punch state | 17        | 8            | 7            | 3            |
//! | work code   | –         | 12           | –            | –            |
//!
//! Sources disagree about bytes 8 and 9 of the 16. Real logs have the punch state first; a caller
//! who knows better says [`Bytes16VerifyFirst`](crate::record::Layout::Bytes16VerifyFirst).
//!
//! Which layout it is, is told from the bytes. Those whose width divides the size are scored: ids
//! that are text, times of the calendar that mostly ascend, known states. What the counters' number
//! of records says is worth something, but a stale number does not win against the look of the
//! records: it lifts one that looks damaged, and never above one that looks right. Of a log that did
//! not come whole, the total says how large it should have been. If nothing scores, or two score alike, the read ends with
//! [`DecodeError::UnknownWidth`](crate::DecodeError::UnknownWidth), which carries the bytes: nothing
//! is guessed into a database.
//!
//! # Direct reads
//!
//! Black-and-white firmware refuses the buffered read (65535 or 2001) and serves the log by command
//! 13, users by command 9. On colour-screen terminals the same commands may answer with uninitialised
//! memory in perfect framing, so they are used only after a refusal, and records that do not look
//! like records are refused in turn.
//!
//! # Users
//!
//! | Bytes | Layout | Seen on |
//! |-------|--------|---------|
//! | 72    | [`Bytes72`](crate::record::UserLayout::Bytes72)   | colour-screen terminals, over UDP as well |
//! | 28    | [`Bytes28`](crate::record::UserLayout::Bytes28)   | older ones; ids are numbers |
//! | 120   | [`Bytes120`](crate::record::UserLayout::Bytes120) | the `NGTeco` brand; first and last name |
//! | 16    | [`Bytes16`](crate::record::UserLayout::Bytes16)   | firmware before 5.04; the id is the internal number |
//!
//! The transport does not tell which; the one whose records look like users wins. Passwords lie in
//! the record; they are passed over and never kept, but a record that is written back still has its
//! own ([`UserRecord`](crate::record::UserRecord)). On the AK3750 platform slots of templates lie
//! between the users; they are left out.
//!
//! Users are deleted by internal number, which is not the id people type.
//! [`Client::delete_user`](crate::Client::delete_user) looks it up, and reads the list again
//! afterwards: there is firmware that acknowledges and keeps the user.
//!
//! # Counters
//!
//! Replies have 80, 92 or 112 bytes; 4 bytes come from firmware without counters. What is missing
//! is unknown, not zero. Counters are hints: terminals are known that say 0, or a stale number.
//!
//! # Answers
//!
//! * 2005 to CONNECT asks for the comm key, also where none was set: key 0 is proven then.
//! * 6001 and 2032 come from secured firmware, which no classic client can talk to.
//! * 4989 to a prepare means "no data", or that the terminal is set to access control. It is taken
//!   for an empty log only if the counters say 0 as well.
//! * Any other code is handed to the caller with its number.
//!
//! # Other programs' habits
//!
//! The mock serves what other clients send: option names with and without NUL, CONNECT with number
//! 0 or 1, four zero bytes behind DISABLE, times with zeros behind them, FREE without a buffer, and
//! commands 2001 and 65535 after an option that does not exist.
