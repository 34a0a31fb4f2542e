//! What kind of terminal.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use chrono::NaiveDateTime;

use super::{
    MockDevice,
    data::generate,
    device::Terminal,
    extras::Extras,
    fault::{Fault, Faults},
    replay::Replay,
    world::World,
};
use crate::{
    record::{Attendance, Layout, User, UserLayout},
    recording::Recording,
    request::CommKey,
    wire::Transport,
};

/// What happens to packets with a wrong checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// They are not answered, as by real terminals.
    #[default]
    Strict,
    /// They are answered.
    Lenient,
}

/// Where a terminal's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, UTC.
    #[default]
    System,
    /// Always the same time, until it is set.
    Fixed(NaiveDateTime),
    /// The machine's clock, wrong by so much, and by so many seconds more each day.
    Drifting {
        /// Seconds ahead of the machine's clock when the first packet comes.
        ahead: i32,
        /// Seconds gained each day; negative for a clock that is slow.
        per_day: i32,
    },
}

/// Which transports are served, on one port number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    /// TCP and UDP.
    #[default]
    Both,
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a habit of its own, and terminals have any set of them"
)]
pub(super) struct Config {
    pub(super) comm_key: CommKey,
    pub(super) always_ask: bool,
    pub(super) firmware: String,
    pub(super) max_packet: usize,
    pub(super) inline_limit: usize,
    pub(super) checksum: ChecksumPolicy,
    pub(super) clock: Clock,
    pub(super) attendance_layout: Layout,
    /// Bytes of filling behind each record.
    pub(super) filling: usize,
    pub(super) wide_header: bool,
    pub(super) template_slots: bool,
    pub(super) event_width: usize,
    /// Oldest records go when the log is full.
    pub(super) ring: bool,
    pub(super) user_layout: UserLayout,
    pub(super) sizes_width: usize,
    pub(super) users_max: u32,
    pub(super) records_max: u32,
}

/// Describes a terminal, then [`start`](Self::start)s it. Everything has a default that works.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    config: Config,
    options: BTreeMap<String, String>,
    users: Vec<User>,
    records: Vec<Attendance>,
    faults: Faults,
    pub(super) bind: SocketAddr,
    pub(super) serve: Serve,
    pub(super) pace: Option<Duration>,
    pub(super) one_client: bool,
    user_width: usize,
    attendance_width: usize,
    extras: Extras,
    replay: Option<Replay>,
}

impl Default for Builder {
    fn default() -> Self {
        let options = [
            ("~SerialNumber", "MOCK000000001"),
            ("~DeviceName", "MockTerminal"),
            ("~Platform", "ZMM210_TFT"),
            ("MAC", "00:17:61:00:00:01"),
            ("~OS", "1"),
            ("~ZKFPVersion", "10"),
            ("~PIN2Width", "9"),
            ("~IsABCPinEnable", "0"),
            ("~UserExtFmt", "1"),
            ("FaceFunOn", "0"),
            ("CompatOldFirmware", "0"),
            ("WorkCode", "0"),
            ("IPAddress", "127.0.0.1"),
            ("NetMask", "255.0.0.0"),
            ("GATEIPAddress", "0.0.0.0"),
        ];
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            config: Config {
                comm_key: CommKey::default(),
                always_ask: false,
                firmware: "Ver 6.60 Jun  9 2017".to_owned(),
                max_packet: 1008,
                inline_limit: 1024,
                checksum: ChecksumPolicy::Strict,
                clock: Clock::System,
                attendance_layout: Layout::Bytes40,
                filling: 0,
                wide_header: false,
                template_slots: false,
                event_width: 32,
                ring: false,
                user_layout: UserLayout::Bytes72,
                sizes_width: 92,
                users_max: 10_000,
                records_max: 1_000_000,
            },
            options: options.into_iter().map(own).collect(),
            users: Vec::new(),
            records: Vec::new(),
            faults: Faults::default(),
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            serve: Serve::Both,
            pace: None,
            one_client: false,
            user_width: UserLayout::Bytes72.width(),
            attendance_width: Layout::Bytes40.width(),
            extras: Extras::default(),
            replay: None,
        }
    }
}

impl Builder {
    /// The comm key; 0 means that none is asked for.
    pub fn comm_key(mut self, key: impl Into<CommKey>) -> Self {
        self.config.comm_key = key.into();
        self
    }

    /// Asks for the comm key also where it is 0, as many terminals do.
    pub fn always_ask(mut self, ask: bool) -> Self {
        self.config.always_ask = ask;
        self
    }

    /// Adds a user.
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds users.
    pub fn users(mut self, users: impl IntoIterator<Item = User>) -> Self {
        self.users.extend(users);
        self
    }

    /// Adds a record to the attendance log.
    pub fn punch(mut self, record: Attendance) -> Self {
        self.records.push(record);
        self
    }

    /// Adds records to the attendance log.
    pub fn records(mut self, records: impl IntoIterator<Item = Attendance>) -> Self {
        self.records.extend(records);
        self
    }

    /// Adds made-up users and records, the same for the same seed.
    pub fn generate(mut self, seed: u64, users: u16, records: usize) -> Self {
        let (people, log) = generate(seed, users, records);
        self.users.extend(people);
        self.records.extend(log);
        self
    }

    /// Where to listen; port 0 on loopback unless set.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Which transports to serve; both unless set.
    pub fn serve(mut self, serve: Serve) -> Self {
        self.serve = serve;
        self
    }

    /// Sends every frame in a write of its own and waits that long after it. Some clients take
    /// one frame per read; 10 to 20 ms suit them.
    pub fn pace(mut self, pause: Duration) -> Self {
        self.pace = Some(pause);
        self
    }

    /// Most payload bytes in one data packet: 1008 unless set; 1024 and 65,472 occur as well.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.config.max_packet = bytes.clamp(1, 1 << 20);
        self
    }

    /// Largest data set that is sent at once instead of being prepared; 1024 bytes unless set.
    pub fn inline_limit(mut self, bytes: usize) -> Self {
        self.config.inline_limit = bytes;
        self
    }

    /// What happens to packets with a wrong checksum.
    pub fn checksum(mut self, policy: ChecksumPolicy) -> Self {
        self.config.checksum = policy;
        self
    }

    /// The serial number.
    pub fn serial(self, serial: &str) -> Self {
        self.option("~SerialNumber", serial)
    }

    /// The product name.
    pub fn name(self, name: &str) -> Self {
        self.option("~DeviceName", name)
    }

    /// The platform.
    pub fn platform(self, platform: &str) -> Self {
        self.option("~Platform", platform)
    }

    /// The hardware address.
    pub fn mac(self, mac: &str) -> Self {
        self.option("MAC", mac)
    }

    /// The firmware version.
    pub fn firmware(mut self, version: &str) -> Self {
        version.clone_into(&mut self.config.firmware);
        self
    }

    /// Any option.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.options.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Bytes per attendance record: 8, 16, 22, 40 or 49, or more than 40 for a shape that no
    /// client knows.
    pub fn attendance_width(mut self, bytes: usize) -> Self {
        let known = Layout::of_width(bytes);
        self.config.attendance_layout = known.unwrap_or(Layout::Bytes40);
        self.attendance_width = bytes;
        self
    }

    /// The shape of attendance records.
    pub fn attendance_layout(mut self, layout: Layout) -> Self {
        self.config.attendance_layout = layout;
        self.attendance_width = layout.width();
        self
    }

    /// Puts twelve bytes before the records instead of their total, as the AK3750 platform does.
    pub fn wide_header(mut self, wide: bool) -> Self {
        self.config.wide_header = wide;
        self
    }

    /// Puts slots of templates between the users, as the AK3750 platform does.
    pub fn template_slots(mut self, slots: bool) -> Self {
        self.config.template_slots = slots;
        self
    }

    /// Bytes of the event that tells a punch: 10, 12, 14, 32, 36, 37 or 52.
    pub fn event_width(mut self, bytes: usize) -> Self {
        self.config.event_width = bytes;
        self
    }

    /// Whether the oldest records go when the log is full ([`capacity`](Self::capacity)).
    pub fn ring(mut self, ring: bool) -> Self {
        self.config.ring = ring;
        self
    }

    /// Templates, operations, messages, access settings and the door.
    pub fn extras(mut self, extras: Extras) -> Self {
        self.extras = extras;
        self
    }

    /// Whether the door stands open; shut unless set.
    pub fn door_open(mut self, open: bool) -> Self {
        self.extras.door_open = open;
        self
    }

    /// Bytes per user record: 72, 28, 120 or 16.
    pub fn user_width(mut self, bytes: usize) -> Self {
        self.user_width = bytes;
        self
    }

    /// Bytes of the counters reply: 4, 80, 92 or 112.
    pub fn sizes_width(mut self, bytes: usize) -> Self {
        self.config.sizes_width = bytes;
        self
    }

    /// Room for users and records, as the counters tell it.
    pub fn capacity(mut self, users: u32, records: u32) -> Self {
        self.config.users_max = users;
        self.config.records_max = records;
        self
    }

    /// Where the terminal's time comes from.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.config.clock = clock;
        self
    }

    /// Serves one TCP client at a time: a second connection ends the first, as on many terminals.
    pub fn one_client(mut self, one: bool) -> Self {
        self.one_client = one;
        self
    }

    /// Answers as a recorded terminal did, over the transports of the recording; see
    /// [`MockDevice::replay`].
    pub fn replay(mut self, recording: &Recording) -> Self {
        let uses = |transport| {
            let mut all = recording.connections.iter();
            all.any(|connection| connection.transport == transport)
        };
        self.serve = match (uses(Transport::Tcp), uses(Transport::Udp)) {
            (true, false) => Serve::Tcp,
            (false, true) => Serve::Udp,
            _ => Serve::Both,
        };
        self.replay = Some(Replay::new(recording));
        self
    }

    /// Something that goes wrong.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.add(fault);
        self
    }

    /// The terminal without sockets.
    pub fn build(self) -> io::Result<Terminal> {
        let refuse = |what: &str, width: usize| {
            let message = format!("no terminal here has {what} of {width} bytes");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        let mut config = self.config;
        config.user_layout = UserLayout::of_width(self.user_width)
            .ok_or_else(|| refuse("user records", self.user_width))?;
        config.filling = self
            .attendance_width
            .checked_sub(config.attendance_layout.width())
            .ok_or_else(|| refuse("attendance records", self.attendance_width))?;
        let mut world = World::new(config, self.users, self.records, self.options, self.faults);
        world.extras = self.extras;
        let mut terminal = Terminal::new(world);
        terminal.replay = self.replay;
        Ok(terminal)
    }

    /// Starts serving.
    pub async fn start(self) -> io::Result<MockDevice> {
        MockDevice::start(self).await
    }
}
