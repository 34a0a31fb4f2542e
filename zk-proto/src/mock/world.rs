//! What a terminal holds, and what was asked of it.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    builder::Config,
    extras::Extras,
    fault::{Faults, Kind},
};
use crate::{
    Code,
    record::{
        Attendance, AttendanceLog, AttendanceRef, Counters, Operation, Privilege, PunchState,
        Template, User, UserRecord, VerifyMode,
    },
    wire::{CivilFields, HEADER_LEN, PackedTime},
};

/// Requests that are remembered; older ones go.
const MOST_RECEIVED: usize = 100_000;

/// When somebody punches at a terminal whose log is empty.
const FIRST_DAY: CivilFields = CivilFields {
    year: 2024,
    month: 1,
    day: 1,
    hour: 8,
    minute: 0,
    second: 0,
};

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
    /// Everything else.
    pub extras: Extras,
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
    pub(super) extras: Extras,
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
            extras: Extras::default(),
            log: None,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            users: self.users.clone(),
            records: self.records.clone(),
            options: self.options.clone(),
            disabled: self.disabled,
            extras: self.extras.clone(),
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
        let at_capacity = self.records.len() >= self.config.records_max as usize;
        let full = self.faults.hit(Code(0), &Kind::FullRing) || self.config.ring && at_capacity;
        if full && !self.records.is_empty() {
            self.records.remove(0);
        }
        self.records.push(record);
        self.log = None;
    }

    /// Whoever punched last, or else the first user, punches a minute later.
    pub(super) fn punch_again(&mut self) {
        let last = self.records.last().copied();
        let first = || {
            let user = self.users.first().copied().unwrap_or_default();
            Attendance {
                uid: user.uid,
                user_id: user.user_id,
                verify_mode: VerifyMode::FINGERPRINT,
                punch_state: PunchState::CHECK_IN,
                time: PackedTime::from_fields(FIRST_DAY),
                work_code: 0,
            }
        };
        let mut record = last.unwrap_or_else(first);
        record.time = PackedTime(record.time.0.saturating_add(60));
        self.add_record(record);
    }

    /// The same as clients are told, by the layouts that are served.
    pub(super) fn told(&self) -> Snapshot {
        let mut snapshot = self.snapshot();
        let (users, log) = (self.config.user_layout, self.config.attendance_layout);
        let mut raw = BytesMut::new();
        for user in &mut snapshot.users {
            raw.clear();
            user.encode(users, &mut raw);
            *user = User::parse(&raw, users).unwrap_or(*user);
        }
        for record in &mut snapshot.records {
            raw.clear();
            record.encode(log, &mut raw);
            if let Ok(told) = AttendanceRef::parse(&raw, log) {
                *record = told.to_record();
            }
        }
        snapshot
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
        self.extras.templates.retain(|(owner, _), _| *owner != uid);
        self.users.len() < before
    }

    pub(super) fn clear_users(&mut self) {
        self.users.clear();
        self.written.clear();
        self.extras.templates.clear();
    }

    pub(super) fn user_data(&self) -> Bytes {
        let layout = self.config.user_layout;
        let mut out = BytesMut::new();
        let slots = 1 + usize::from(self.config.template_slots);
        let total = self.users.len() * slots * layout.width();
        out.put_u32_le(u32::try_from(total).unwrap_or(u32::MAX));
        for user in &self.users {
            if self.config.template_slots {
                let mut slot = [0xa5; 128];
                slot[..3].copy_from_slice(&[0, 0, 0x31]);
                out.put_slice(slot.get(..layout.width()).unwrap_or(&slot));
            }
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
        let (layout, filling) = (self.config.attendance_layout, self.config.filling);
        let size = self.records.len() * (layout.width() + filling);
        let mut out = BytesMut::with_capacity(12 + size);
        let total = u32::try_from(size).unwrap_or(u32::MAX);
        if self.config.wide_header {
            // What stands there is not the total of what follows.
            out.put_u32_le(total.wrapping_add(8));
            out.put_bytes(0, 8);
        } else {
            out.put_u32_le(total);
        }
        for record in &self.records {
            record.encode(layout, &mut out);
            out.put_bytes(0, filling);
        }
        let log = out.freeze();
        self.log = Some(log.clone());
        log
    }

    pub(super) fn template_data(&self) -> Bytes {
        let mut out = BytesMut::new();
        Template::encode_all(self.extras.templates.values(), &mut out);
        out.freeze()
    }

    pub(super) fn operation_data(&self) -> Bytes {
        let mut out = BytesMut::new();
        Operation::encode_log(&self.extras.operations, &mut out);
        out.freeze()
    }

    /// The records of some span of time, as newer firmware serves them.
    pub(super) fn log_between(&self, from: PackedTime, to: PackedTime) -> Bytes {
        let layout = self.config.attendance_layout;
        let within = |record: &&Attendance| (from..=to).contains(&record.time);
        let mut out = BytesMut::new();
        AttendanceLog::encode(self.records.iter().filter(within), layout, &mut out);
        out.freeze()
    }

    pub(super) fn demote_all(&mut self) {
        let users = self.users.clone();
        for user in users {
            let mut user = user;
            user.privilege = Privilege(user.privilege.0 & 1);
            self.change_user(user);
        }
    }

    pub(super) fn set_group(&mut self, uid: u16, group: u8) -> Option<()> {
        let mut user = *self.users.iter().find(|user| user.uid == uid)?;
        user.group = group;
        self.change_user(user);
        Some(())
    }

    fn change_user(&mut self, user: User) {
        let layout = self.config.user_layout;
        let known = self.written.get(&user.uid).cloned();
        let mut record = known.unwrap_or_else(|| UserRecord::new(&user, layout));
        record.set(&user);
        self.put_user(record);
    }

    pub(super) fn counters(&self, lie: Option<u32>) -> Counters {
        let count = |length: usize| lie.or_else(|| u32::try_from(length).ok());
        let free = |max: u32, used: Option<u32>| Some(max.saturating_sub(used.unwrap_or(0)));
        let (users, records) = (count(self.users.len()), count(self.records.len()));
        let records_max = if self.faults.has(&Kind::FullRing) {
            count(self.records.len())
        } else {
            Some(self.config.records_max)
        };
        let admins = self
            .users
            .iter()
            .filter(|user| user.privilege.level() == 7)
            .count();
        Counters {
            users,
            records,
            fingers: u32::try_from(self.extras.templates.len()).ok(),
            operations: u32::try_from(self.extras.operations.len()).ok(),
            admins: u32::try_from(admins).ok(),
            passwords: Some(0),
            fingers_max: Some(3000),
            users_max: Some(self.config.users_max),
            records_max,
            fingers_free: Some(3000),
            users_free: free(self.config.users_max, users),
            records_free: free(records_max.unwrap_or(0), records),
            faces: Some(0),
            faces_max: Some(400),
        }
    }
}
