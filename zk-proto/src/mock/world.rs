//! What a terminal holds, and what was asked of it.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use super::{builder::Config, fault::Faults};
use crate::{
    Code,
    record::{Attendance, AttendanceLog, Counters, Layout, User, UserRecord},
    wire::HEADER_LEN,
};

/// Requests that are remembered; older ones go.
const MOST_RECEIVED: usize = 100_000;

/// One packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Command.
    pub code: Code,
    /// Reply id.
    pub reply_id: u16,
    /// Session id.
    pub session_id: u16,
    /// Whether the checksum was right.
    pub checksum_valid: bool,
    /// Who sent it; `None` in memory.
    pub peer: Option<SocketAddr>,
    /// Payload.
    pub payload: Bytes,
}

/// What was served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockStats {
    /// TCP connections open now.
    pub connections_now: usize,
    /// Most TCP connections open at the same time.
    pub connections_max: usize,
    /// TCP connections accepted in all.
    pub connections_total: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Packets received, by command.
    pub commands: BTreeMap<u16, u64>,
}

/// What a terminal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Users.
    pub users: Vec<User>,
    /// Attendance log.
    pub records: Vec<Attendance>,
    /// Options, by name.
    pub options: BTreeMap<String, String>,
    /// Whether keypad and sensor are locked.
    pub disabled: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) users: Vec<User>,
    /// The records of users that clients wrote, as they came.
    written: BTreeMap<u16, UserRecord>,
    pub(super) records: Vec<Attendance>,
    pub(super) options: BTreeMap<String, String>,
    pub(super) disabled: bool,
    pub(super) faults: Faults,
    pub(super) received: Vec<Received>,
    pub(super) stats: MockStats,
    /// The attendance data set, until the log changes.
    log: Option<Bytes>,
}

impl World {
    pub(super) fn new(
        config: Config,
        users: Vec<User>,
        records: Vec<Attendance>,
        options: BTreeMap<String, String>,
        faults: Faults,
    ) -> Self {
        Self {
            config,
            users,
            written: BTreeMap::new(),
            records,
            options,
            disabled: false,
            faults,
            received: Vec::new(),
            stats: MockStats::default(),
            log: None,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            users: self.users.clone(),
            records: self.records.clone(),
            options: self.options.clone(),
            disabled: self.disabled,
        }
    }

    pub(super) fn note(&mut self, received: Received) {
        *self.stats.commands.entry(received.code.0).or_default() += 1;
        self.stats.bytes_in += (HEADER_LEN + received.payload.len()) as u64;
        if self.received.len() >= MOST_RECEIVED {
            self.received.drain(..MOST_RECEIVED / 2);
        }
        self.received.push(received);
    }

    pub(super) fn add_record(&mut self, record: Attendance) {
        self.records.push(record);
        self.log = None;
    }

    pub(super) fn set_records(&mut self, records: Vec<Attendance>) {
        self.records = records;
        self.log = None;
    }

    /// Keeps the record as it was written, in its slot.
    pub(super) fn put_user(&mut self, record: UserRecord) {
        let user = record.user();
        self.users.retain(|old| old.uid != user.uid);
        self.users.push(user);
        self.users.sort_by_key(|user| user.uid);
        self.written.insert(user.uid, record);
    }

    /// Whether there was one.
    pub(super) fn delete_user(&mut self, uid: u16) -> bool {
        let before = self.users.len();
        self.users.retain(|user| user.uid != uid);
        self.written.remove(&uid);
        self.users.len() < before
    }

    pub(super) fn clear_users(&mut self) {
        self.users.clear();
        self.written.clear();
    }

    pub(super) fn user_data(&self) -> Bytes {
        let layout = self.config.user_layout;
        let mut out = BytesMut::new();
        let total = self.users.len() * layout.width();
        out.put_u32_le(u32::try_from(total).unwrap_or(u32::MAX));
        for user in &self.users {
            match self.written.get(&user.uid) {
                Some(record) if record.layout() == layout => out.put_slice(record.as_bytes()),
                _ => user.encode(layout, &mut out),
            }
        }
        out.freeze()
    }

    pub(super) fn log_data(&mut self) -> Bytes {
        if let Some(log) = &self.log {
            return log.clone();
        }
        let width = self.config.attendance_width;
        let mut out = BytesMut::with_capacity(4 + self.records.len() * width);
        if width == Layout::Bytes40.width() {
            AttendanceLog::encode(&self.records, Layout::Bytes40, &mut out);
        } else {
            self.encode_wide(&mut out);
        }
        let log = out.freeze();
        self.log = Some(log.clone());
        log
    }

    /// Records wider than any layout that is understood: the 40 bytes and filling.
    fn encode_wide(&self, out: &mut BytesMut) {
        let width = self.config.attendance_width;
        let total = self.records.len() * width;
        out.put_u32_le(u32::try_from(total).unwrap_or(u32::MAX));
        for record in &self.records {
            record.encode(Layout::Bytes40, out);
            out.put_bytes(0, width - Layout::Bytes40.width());
        }
    }

    pub(super) fn counters(&self, lie: Option<u32>) -> Counters {
        let count = |length: usize| lie.or_else(|| u32::try_from(length).ok());
        let free = |max: u32, used: Option<u32>| Some(max.saturating_sub(used.unwrap_or(0)));
        let (users, records) = (count(self.users.len()), count(self.records.len()));
        let admins = self
            .users
            .iter()
            .filter(|user| user.privilege.level() == 7)
            .count();
        Counters {
            users,
            records,
            fingers: Some(0),
            operations: Some(0),
            admins: u32::try_from(admins).ok(),
            passwords: Some(0),
            fingers_max: Some(3000),
            users_max: Some(self.config.users_max),
            records_max: Some(self.config.records_max),
            fingers_free: Some(3000),
            users_free: free(self.config.users_max, users),
            records_free: free(self.config.records_max, records),
            faces: Some(0),
            faces_max: Some(400),
        }
    }
}
