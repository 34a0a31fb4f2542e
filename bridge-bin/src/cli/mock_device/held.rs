//! What a software terminal holds, written to a file in the form of `device dump`.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use zk_proto::mock::{Builder, Snapshot, Terminal};
use zk_proto::record::Counters;
use zk_proto::wire::{PackedTime, Packet, Transport, cut_at_nul, encode_packet};
use zk_proto::{Code, CommKey, Encoding};

use super::super::device::document::{
    AttendanceRow, CounterFields, DeviceFields, Document, Told, UserRow,
};
use crate::Failure;
use crate::clock::Clock;
use crate::zone;

/// The file, and what of it does not change.
pub(super) struct Held {
    path: PathBuf,
    firmware: Option<String>,
    time: Option<PackedTime>,
    counters: Counters,
}

impl Held {
    /// Asks a twin of the terminal, without sockets, comm key and faults, what only packets can tell.
    pub(super) fn new(path: PathBuf, builder: &Builder) -> io::Result<Self> {
        let mut twin = builder.clone().comm_key(CommKey::default()).build()?;
        let mut ask = asker(&mut twin);
        let firmware = ask(Code::GET_VERSION)
            .map(|text| Encoding::Auto.decode(cut_at_nul(&text)).into_owned());
        let time = ask(Code::GET_TIME).and_then(|bytes| {
            bytes
                .first_chunk()
                .map(|bytes| PackedTime(u32::from_le_bytes(*bytes)))
        });
        let counters = ask(Code::GET_FREE_SIZES)
            .map(|bytes| Counters::parse(&bytes))
            .unwrap_or_default();
        Ok(Self {
            path,
            firmware,
            time,
            counters,
        })
    }

    /// Writes the file anew, so that a reader never sees half of it.
    pub(super) fn write(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let aside = self.path.with_extension("part");
        let write = || {
            let mut file = BufWriter::new(std::fs::File::create(&aside)?);
            serde_json::to_writer(&mut file, &self.document(snapshot))?;
            file.write_all(b"\n")?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?;
            std::fs::rename(&aside, &self.path)
        };
        Ok(write().map_err(|error| {
            Failure::new(
                "output",
                format!("{} cannot be written: {error}.", self.path.display()),
                "Name a file in a directory that exists and that you may write to.",
            )
        })?)
    }

    fn document(&self, snapshot: &Snapshot) -> Document {
        let option = |key: &str| {
            snapshot
                .options
                .get(key)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let mut counters = CounterFields::from(self.counters);
        // Where the terminal counts at all.
        let held = |counted: Option<u32>, number: usize| counted.and(u32::try_from(number).ok());
        counters.users = held(counters.users, snapshot.users.len());
        counters.records = held(counters.records, snapshot.records.len());
        Document {
            device: DeviceFields {
                serial_number: option("~SerialNumber"),
                firmware: self.firmware.clone(),
                platform: option("~Platform"),
                name: option("~DeviceName"),
                mac: option("MAC"),
                time: self.time.map(Told),
            },
            counters,
            users: Some(
                snapshot
                    .users
                    .iter()
                    .map(|user| UserRow(*user, Encoding::Utf8))
                    .collect(),
            ),
            attendance: Some(
                snapshot
                    .records
                    .iter()
                    .map(|record| AttendanceRow(*record))
                    .collect(),
            ),
            warnings: Vec::new(),
        }
    }
}

/// Sends single requests to a terminal in memory.
fn asker(terminal: &mut Terminal) -> impl FnMut(Code) -> Option<Bytes> {
    let mut client = terminal.conversation(Transport::Udp);
    let now = zone::civil_at(&jiff::tz::TimeZone::UTC, Clock::default().now());
    let mut session = None;
    let mut exchange = move |code: Code, session: u16| {
        let mut packet = BytesMut::new();
        encode_packet(Transport::Udp, code, session, 0, &[], &mut packet);
        let answer = terminal
            .handle(&mut client, &packet, now)
            .frames
            .into_iter()
            .next()?;
        let answer = Packet::parse(&answer).ok()?;
        Some((
            answer.header.session,
            Bytes::copy_from_slice(answer.payload),
        ))
    };
    move |code| {
        let opened = match session {
            Some(opened) => opened,
            None => *session.insert(exchange(Code::CONNECT, 0)?.0),
        };
        exchange(code, opened).map(|(_, payload)| payload)
    }
}
