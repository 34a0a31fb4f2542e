//! Events: what a terminal tells without being asked.
//!
//! `REG_EVENT` (500) with a mask of four bytes subscribes; every event is a packet of the same
//! number, with its kind in the session field and reply id 0. The session acknowledges each and
//! hands it out, also in the middle of a transfer. There is no sequence: what was told nobody is not
//! told again, so whoever listens reads the log after every interruption
//! ([`Heard::Resumed`](crate::Heard::Resumed)).
//!
//! * Events go to one client, often to the newest. Some terminals tell nothing before they were
//!   enabled, so [`Client::listen`](crate::Client::listen) does that first.
//! * Many terminals send nothing but punches, whatever the mask says.
//! * A terminal that was switched off leaves a connection that looks alive. After a silence its time
//!   is asked; there is no ping.
//! * Punches and enrolments are told twice by some firmware, and heard once.
//!
//! # A punch
//!
//! | Bytes      | Who               | Behind the time |
//! |------------|-------------------|-----------------|
//! | 10, 14     | internal number   | 0, 4            |
//! | 12         | user id, a number | 0               |
//! | 32, 36, 37 | user id, text     | 0, 4, 5         |
//! | 52         | user id, text     | 20              |
//!
//! Then verify mode, punch state and six bytes of time. Under load several records come in one
//! event. What fits nothing keeps its bytes: [`Told::Unknown`](crate::record::Told::Unknown).
//!
//! # Alarms
//!
//! Four bytes: `35` exit button, `37` tamper, `3a` misoperation. Eight bytes: `36` the door, with its
//! state in the fifth. Twelve bytes: duress (`20`) and anti-passback (`22`); two sources tell kind
//! and user in opposite order, so the value decides.
