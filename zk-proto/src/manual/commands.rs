//! Every command that is documented anywhere, what it is called here, and how sure it is.
//!
//! Evidence: **C** bytes captured from terminals, **R** recorded from other clients against a terminal
//! in software, **M** the vendor's manual of 2006 (old firmware), **D** community notes made from
//! captures that are not shown, **1** one source alone, **I** inferred. The sources are those of
//! [the manual's front page](super). What has no method of its own goes by
//! [`Client::call`](crate::Client::call); what has no type goes by [`Client::raw`](crate::Client::raw).
//!
//! # Session and control
//!
//! | No.  | Request | Payload → reply | Evidence |
//! |------|---------|-----------------|----------|
//! | 1000 | [`Connect`](crate::request::Connect) | – → done, "comm key" (2005), or secured (6001) | C |
//! | 1001 | [`Exit`](crate::request::Exit) | – → done | C |
//! | 1002 | [`EnableDevice`](crate::request::EnableDevice) | – → done | R |
//! | 1003 | [`DisableDevice`](crate::request::DisableDevice) | – or `u32` seconds → done | R, seconds D |
//! | 1004 | [`Restart`](crate::request::Restart) | – → done, or nothing | D |
//! | 1005 | [`PowerOff`](crate::request::PowerOff) | – → done | D |
//! | 1006, 1007 | [`Sleep`](crate::request::Sleep), [`Wake`](crate::request::Wake) | – → done | M |
//! | 1009, 1012 | [`CaptureFinger`](crate::request::CaptureFinger) | dpi, width, height → an image | M, untested |
//! | 1011 | [`IdentifyTemplate`](crate::request::IdentifyTemplate) | template → user id | M, untested |
//! | 1013 | [`RefreshData`](crate::request::RefreshData) | – → done; after every write | R |
//! | 1014 | [`RefreshOptions`](crate::request::RefreshOptions) | – → done; after options | D |
//! | 1017 | [`PlayVoice`](crate::request::PlayVoice) | number in 4, 2 or 1 bytes → done | R |
//! | 1100 | [`ReadVersion`](crate::request::ReadVersion) | – → text | R |
//! | 1101 | [`ChangeSpeed`](crate::request::ChangeSpeed) | 0 or 1 → done; serial links | M |
//! | 1102 | [`Auth`](crate::request::Auth) | digest of the comm key → done or 2005 | C |
//! | 1106 | – | secured firmware | 1 |
//!
//! # Data
//!
//! | No.  | Request | Payload → reply | Evidence |
//! |------|---------|-----------------|----------|
//! | 1500 | [`PrepareUpload`](crate::request::PrepareUpload); [`Announcement`](crate::request::Announcement) from the terminal | `u32` size → done | C, R |
//! | 1501 | [`UploadPart`](crate::request::UploadPart) | up to 1024 bytes → done | C, R |
//! | 1502 | [`FreeBuffer`](crate::request::FreeBuffer) | – → done | C |
//! | 1503 | [`PrepareBuffer`](crate::request::PrepareBuffer) with a [`DataSet`](crate::request::DataSet) | 11 bytes → size, or the data | R |
//! | 1504 | [`ReadBuffer`](crate::request::ReadBuffer), [`ReadSlice`](crate::request::ReadSlice) | offset, length → data | C |
//! | 1503 + 10004 | [`ReadAttendanceBetween`](crate::request::ReadAttendanceBetween) | two times → the log between them | 1 |
//! | 7    | [`ReadDirect`](crate::request::ReadDirect) | selector → data | M |
//! | 9    | [`ReadUsersDirect`](crate::request::ReadUsersDirect) | 5 → users | D |
//! | 13   | [`ReadAttendanceDirect`](crate::request::ReadAttendanceDirect) | – → log | C |
//! | 50   | [`ReadCounters`](crate::request::ReadCounters) | – → 80, 92, 112 or 4 bytes | C |
//! | 14   | [`ClearData`](crate::request::ClearData) | – (everything) or a kind → done | D |
//! | 15   | [`ClearAttendance`](crate::request::ClearAttendance) | – → done | D |
//! | 33   | [`ClearOperations`](crate::request::ClearOperations) | – → done | D |
//! | 1503 + 34 | [`ReadOperations`](crate::request::ReadOperations) | – → 16 bytes each | R |
//! | 1700, 1702 | – | file transfer, numbers alone | 1 |
//!
//! Of the [`DataSet`](crate::request::DataSet)s, users, log, templates and operations are confirmed by
//! captures; messages, links and work codes are inferred, and come as bytes.
//!
//! # Users, templates, faces
//!
//! | No.  | Request | Payload → reply | Evidence |
//! |------|---------|-----------------|----------|
//! | 8    | [`WriteUser`](crate::request::WriteUser) | a record of 28 or 72 bytes → done; the internal number chooses the slot | R |
//! | 18   | [`DeleteUser`](crate::request::DeleteUser) | internal number → done | R |
//! | 20   | [`ClearAdmins`](crate::request::ClearAdmins) | – → done | D |
//! | 69   | [`ReadPinWidth`](crate::request::ReadPinWidth) | – → `u8` | C |
//! | 1503 + 7 | [`ReadTemplates`](crate::request::ReadTemplates) | – → size, internal number, finger, flag, template each | R |
//! | 88   | [`ReadTemplate`](crate::request::ReadTemplate) | internal number, finger → template and its flag | R |
//! | 9    | [`ReadTemplateBare`](crate::request::ReadTemplateBare) | the same → template alone | D |
//! | 10   | [`WriteTemplate`](crate::request::WriteTemplate) | one entry → done; old firmware | M |
//! | 87   | [`StoreTemplate`](crate::request::StoreTemplate) | slot, flag, size of what was uploaded → done | D |
//! | 110  | [`SaveUploaded`](crate::request::SaveUploaded) after a [`BulkUpload`](crate::request::BulkUpload) | three numbers → done | R |
//! | 119  | [`ReadUploadHash`](crate::request::ReadUploadHash) | – → `u32` | 1 |
//! | 19   | [`DeleteTemplate`](crate::request::DeleteTemplate) | internal number, finger → done | M, R |
//! | 134  | [`DeleteTemplateOf`](crate::request::DeleteTemplateOf) | user id, finger → done | D |
//! | 150  | [`ReadFaces`](crate::request::ReadFaces) | internal number, 50 → blocks of 2576 bytes | 1 |
//! | 10010 | [`ReadPhoto`](crate::request::ReadPhoto) | file name → the file | 1 |
//! | 61   | [`StartEnroll`](crate::request::StartEnroll), [`StartEnrollNumeric`](crate::request::StartEnrollNumeric) | user id, finger, flag → done, then events | R, M |
//! | 60   | [`StartVerify`](crate::request::StartVerify) | – or internal number → done | D |
//! | 62   | [`CancelCapture`](crate::request::CancelCapture) | – → done | R |
//! | 76, 78 | [`WriteMifare`](crate::request::WriteMifare), [`EmptyMifare`](crate::request::EmptyMifare) | user, four templates → done | M, untested |
//!
//! Finger 0 with command 19 is one finger for some sources and all fingers for one of them, so
//! [`Client::delete_template`](crate::Client::delete_template) prefers 134 for it. A template that is
//! written goes by upload (1500, 1501, 119, 87, 1502), its slot empty before and its user known; old
//! firmware takes command 10. Templates are opaque, and those of one version of the algorithm
//! (`~ZKFPVersion`) mean nothing to another. Faces of visible-light terminals do not come by this port
//! in any public client; no sequence to write a face is known.
//!
//! # Options, time, state, door, screen
//!
//! | No.  | Request | Payload → reply | Evidence |
//! |------|---------|-----------------|----------|
//! | 11   | [`ReadOption`](crate::request::ReadOption) | name → `name=value` | C |
//! | 12   | [`WriteOption`](crate::request::WriteOption) | `name=value` → done, also for names without meaning | C |
//! | 201, 202 | [`ReadClock`](crate::request::ReadClock), [`SetClock`](crate::request::SetClock) | `u32`, local time | R |
//! | 31   | [`Unlock`](crate::request::Unlock) | `u32`, seconds for some sources and tenths for others → done | R, unit open |
//! | 75   | [`ReadDoor`](crate::request::ReadDoor) | – → `u8`, 1 open | R |
//! | 64   | [`ReadState`](crate::request::ReadState) | – → the state, in the session field | C |
//! | 57   | [`BlinkClock`](crate::request::BlinkClock) | `u8` → done | M |
//! | 66, 67 | [`WriteLcd`](crate::request::WriteLcd), [`ClearLcd`](crate::request::ClearLcd) | line, 0, text → done | R |
//! | 500  | [`Subscribe`](crate::request::Subscribe) | mask → done, then [events](super::realtime) | C |
//!
//! # Access and messages
//!
//! Every write is followed by 1013. Old firmware has formats of its own, which are not known.
//!
//! | No.  | Request | Payload → reply | Evidence |
//! |------|---------|-----------------|----------|
//! | 21, 22 | [`ReadUserGroup`](crate::request::ReadUserGroup), [`WriteUserGroup`](crate::request::WriteUserGroup) | internal number as `u32`, group | D |
//! | 23, 24 | [`ReadUserZones`](crate::request::ReadUserZones), [`WriteUserZones`](crate::request::WriteUserZones) | flag and three zones; the flag is inverted between the two | D |
//! | 25, 26 | [`ReadGroup`](crate::request::ReadGroup), [`WriteGroup`](crate::request::WriteGroup) | 8 bytes | D |
//! | 27, 28 | [`ReadTimeZone`](crate::request::ReadTimeZone), [`WriteTimeZone`](crate::request::WriteTimeZone) | index, seven days; the index has two bytes or four | D, reply C |
//! | 29, 30 | [`ReadCombination`](crate::request::ReadCombination), [`WriteCombination`](crate::request::WriteCombination) | 8 bytes | D, reply C |
//! | 32   | [`ClearAccess`](crate::request::ClearAccess) | – → done | D |
//! | 79, 80 | [`WriteVerifyRule`](crate::request::WriteVerifyRule), [`ReadVerifyRule`](crate::request::ReadVerifyRule) | internal number, rule, zeros: 24 bytes | C |
//! | 70, 71, 72 | [`WriteMessage`](crate::request::WriteMessage), [`ReadMessage`](crate::request::ReadMessage), [`DeleteMessage`](crate::request::DeleteMessage) | 11 bytes and a text of 61 or 321 | M, 1 |
//! | 73, 74 | [`LinkMessage`](crate::request::LinkMessage), [`UnlinkMessage`](crate::request::UnlinkMessage) | internal number, message | M |
//!
//! # What is not here, and why
//!
//! * Holidays and the table of work codes: no public source has their numbers or shapes. Work codes of
//!   punches are read ([`AttendanceRef::work_code`](crate::record::AttendanceRef::work_code)).
//! * Secured firmware (1106, 10063 to 10065): recognised and named. Its handshake rests on a constant
//!   taken from a vendor's program.
//! * The bit-packed log of very old firmware, and records of 36 bytes that one source names without
//!   their layout: refused as unknown, with the bytes.
//! * 400, 401, 1505 to 1507, 1722 to 1739: numbers in some packages that no terminal is known to have.
