//! How the protocol works, and why the code is as it is.
//!
//! The vendor never published the current protocol. What stands here was put together from public
//! material and checked by execution where that was possible; it is told in our own words and no
//! code was copied. The sources:
//!
//! * the vendor's "Communication protocol manual" of 2006-12-1, for old firmware;
//! * packet captures in tests, documents and issues of `fananimi/pyzk`, `adrobinoga/zk-protocol`,
//!   `adrobinoga/pyzatt`, `caobo171/node-zklib`, `frankville/node-zklib`, `coding-libs/zkteco-js`,
//!   `bulentv/js_zklib`;
//! * notes of `MrFaviod/pyzk-wl10`, `fandbsoft/zkteco4730-java`, `mkhoudary/ZKTeco4J`,
//!   `virtualheart/ZKteco-biomatric-lib`, `ChuKhaLi/zkteco-protocol`;
//! * behaviour of those libraries, and of the crates `rustzk`, `zkteco` and `zkrust`, against a
//!   local terminal in software.
//!
//! | Page                | Is about                                                      |
//! |---------------------|---------------------------------------------------------------|
//! | [`framing`]         | packets, checksums, numbers, times                            |
//! | [`bulk_reads`]      | large data sets: prepare, read, free                          |
//! | [`realtime`]        | events: what a terminal tells without being asked             |
//! | [`variants`]        | what differs between firmware, and what is done about it      |
//! | [`commands`]        | every command, what it is called here, and how sure it is     |

pub mod bulk_reads;
pub mod commands;
pub mod framing;
pub mod realtime;
pub mod variants;
