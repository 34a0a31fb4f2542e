//! What differs between firmware, and what is done about it.
//!
//! Variants are detected at run time from the data, never chosen at compile time: one process
//! serves a mixed fleet.
//!
//! # Attendance records
//!
//! | Bytes | Seen on                              | Understood |
//! |-------|--------------------------------------|------------|
//! | 40    | colour-screen terminals              | yes        |
//! | 49    | visible-light face terminals         | not yet    |
//! | 16, 8 | black-and-white terminals over UDP   | not yet    |
//! | 22    | AK3750 platform                      | not yet    |
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
//! A width is accepted if the counters' number of records divides the size into it, or if most of
//! the first records look like records. Otherwise the read ends with
//! [`DecodeError::UnknownWidth`](crate::DecodeError::UnknownWidth), which carries the bytes: nothing
//! is guessed into a database.
//!
//! # Users
//!
//! 72 bytes on colour-screen terminals, 28 on others; the transport does not tell. Both are tried
//! and the one whose records look like users wins. Passwords lie in the record; they are passed over
//! and never kept.
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
