//! A software terminal on a port, for any client to connect to.
//!
//! `cargo run -p zk-proto --features mock --example mock_device -- --users 40 --records 3000`
//!
//! The first line of output says where it listens. It serves until standard input ends; until then each line of it is
//! a command, answered with a line: `{"punch":{…}}`, a row as in `attendance` below, or `{"state":null}`, answered
//! with everything the terminal holds.

use std::{
    fs,
    io::{self, BufRead},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use bytes::BytesMut;
use chrono::NaiveDateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use zk_proto::{
    Encoding,
    mock::{ChecksumPolicy, Clock, Extras, Fault, MockDevice, Profile, Serve, Snapshot, generate},
    record::{
        Attendance, AttendanceRef, Layout, Privilege, PunchState, Template, TemplateFlag, User,
        UserLayout, UserRecord, VerifyMode,
    },
    recording::Recording,
    wire::PackedTime,
};

const USAGE: &str = "options, each with a value: --bind HOST:PORT --transport both|tcp|udp --users N --records N \
    --fingers N (of the first users) --seed S --comm-key N --checksum strict|lenient --user-width 72|28 \
    --attendance-width 40|16|8|49 --event-width N --max-packet N --pace MS --clock TIME (which stands still) \
    --data FILE (to write what the terminal holds) --profile NAME --fault KIND[,KEY=VALUE…] (may be repeated) \
    --replay FILE (to answer as a recorded terminal did, whatever else is given)";

const FIRMWARE: &str = "Ver 6.60 Jun  9 2017";
const CAPACITY: (u32, u32) = (10_000, 200_000);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mock_device: {message}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the caller reads the answers")]
async fn run() -> Result<(), String> {
    let options = Options::read()?;
    let device = start(&options).await?;
    if let Some(file) = options.text("--data") {
        fs::write(file, state(&device).to_string()).map_err(|error| format!("{file}: {error}"))?;
    }
    let serial = &device.snapshot().options["~SerialNumber"];
    println!(
        "{}",
        json!({"tcp": device.addr(), "udp": device.addr(), "serial_number": serial})
    );
    let obey = tokio::task::spawn_blocking(move || {
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| error.to_string())?;
            println!("{}", obey(&device, &line)?);
        }
        Ok(())
    });
    obey.await.map_err(|error| error.to_string())?
}

async fn start(options: &Options) -> Result<MockDevice, String> {
    let bind: SocketAddr = options.parse("--bind", "127.0.0.1:0")?;
    let user_width = options.parse("--user-width", "72")?;
    let attendance_width = options.parse("--attendance-width", "40")?;
    let unknown = |width: usize| format!("{width}: {USAGE}");
    let user_layout = UserLayout::of_width(user_width).ok_or_else(|| unknown(user_width))?;
    let layout = Layout::of_width(attendance_width).ok_or_else(|| unknown(attendance_width))?;
    let (mut users, mut records) = generate(
        options.number("--seed")?,
        options.number("--users")?,
        options.number("--records")?,
    );
    go_to_the_edges(&mut users, &mut records, user_layout);
    for user in &mut users {
        *user = UserRecord::new(user, user_layout).user();
    }
    for record in &mut records {
        *record = stored(record, layout)?;
    }
    let extras = Extras {
        templates: fingers(&users, options.number("--fingers")?),
        ..Extras::default()
    };
    let clock = match options.text("--clock") {
        Some(time) => Clock::Fixed(civil(time)?),
        None => Clock::System,
    };
    let mut builder = match options.text("--replay") {
        Some(file) => MockDevice::replay(&recording(file)?),
        None => MockDevice::builder(),
    };
    builder = builder
        .bind(bind)
        .serve(options.choice(
            "--transport",
            &[
                ("both", Serve::Both),
                ("tcp", Serve::Tcp),
                ("udp", Serve::Udp),
            ],
        )?)
        .checksum(options.choice(
            "--checksum",
            &[
                ("strict", ChecksumPolicy::Strict),
                ("lenient", ChecksumPolicy::Lenient),
            ],
        )?)
        .comm_key(options.number::<u32>("--comm-key")?)
        .max_packet(options.parse("--max-packet", "1008")?)
        .pace(Duration::from_millis(options.number("--pace")?))
        .clock(clock)
        .firmware(FIRMWARE)
        .capacity(CAPACITY.0, CAPACITY.1)
        .user_width(user_width)
        .attendance_layout(layout)
        .event_width(options.parse("--event-width", "32")?)
        .users(users)
        .records(records)
        .extras(extras);
    if let Some(name) = options.text("--profile") {
        let profile: Profile = name.parse().map_err(|error| format!("{error}"))?;
        builder = builder.profile(profile);
    }
    for text in options.all("--fault") {
        let fault: Fault = text.parse().map_err(|error| format!("{error}"))?;
        builder = builder.fault(fault);
    }
    builder
        .start()
        .await
        .map_err(|error| format!("{bind}: {error}"))
}

fn recording(file: &str) -> Result<Recording, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    text.parse().map_err(|error| format!("{file}: {error}"))
}

/// Gives the last user and the first records values that made-up people do not have.
fn go_to_the_edges(users: &mut [User], records: &mut [Attendance], layout: UserLayout) {
    let Some(last) = users.last_mut() else {
        return;
    };
    let (user_id, name) = match layout {
        UserLayout::Bytes28 => ("4294967295", "Чех"),
        _ => ("A1b2-C3d4-E5", "Чехов 李"),
    };
    *last = User {
        uid: u16::MAX,
        user_id: user_id.into(),
        name: name.into(),
        privilege: Privilege(Privilege::MANAGER.0 | 1),
        card: u32::MAX,
        group: 255,
    };
    let states = [
        PunchState::BREAK_OUT,
        PunchState::BREAK_IN,
        PunchState::OVERTIME_IN,
        PunchState::UNDEFINED,
    ];
    for (record, punch_state) in records.iter_mut().zip(states) {
        *record = Attendance {
            uid: last.uid,
            user_id: last.user_id,
            verify_mode: VerifyMode::PALM,
            punch_state,
            work_code: u32::MAX,
            ..*record
        };
    }
}

/// A record with what is left of it in its layout.
fn stored(record: &Attendance, layout: Layout) -> Result<Attendance, String> {
    let mut bytes = BytesMut::new();
    record.encode(layout, &mut bytes);
    AttendanceRef::parse(&bytes, layout)
        .map(|record| record.to_record())
        .map_err(|error| error.to_string())
}

/// A template for one finger of each of the first users; their sizes differ.
fn fingers(users: &[User], count: usize) -> std::collections::BTreeMap<(u16, u8), Template> {
    let template = |(user, size): (&User, u16)| {
        let finger = u8::try_from(user.uid % 10).unwrap_or(0);
        let bytes = (0..size).map(|at| (at.wrapping_mul(31) ^ user.uid).to_le_bytes()[0] | 1);
        let template = Template {
            uid: user.uid,
            finger,
            flag: TemplateFlag::VALID,
            data: bytes.collect::<Vec<_>>().into(),
        };
        ((user.uid, finger), template)
    };
    let sizes = (400..).step_by(101);
    users.iter().take(count).zip(sizes).map(template).collect()
}

/// One line of standard input.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Punch(Row),
    State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    user_id: String,
    uid: u16,
    time: String,
    verify_mode: u8,
    punch_state: u8,
    work_code: u32,
}

fn obey(device: &MockDevice, line: &str) -> Result<Value, String> {
    let command = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
    match command {
        Command::Punch(punch) => {
            let time = civil(&punch.time)?;
            device.punch(Attendance {
                uid: punch.uid,
                user_id: punch.user_id.as_str().into(),
                verify_mode: VerifyMode(punch.verify_mode),
                punch_state: PunchState(punch.punch_state),
                time: PackedTime::from_civil(time).map_err(|error| error.to_string())?,
                work_code: punch.work_code,
            });
            Ok(json!({"ok": "punch"}))
        }
        Command::State => Ok(state(device)),
    }
}

fn civil(text: &str) -> Result<NaiveDateTime, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

/// What a terminal holds: the form of `zk-bridge device dump`, and beside it what that does not tell.
fn state(device: &MockDevice) -> Value {
    let held = device.snapshot();
    let mut state = dump(&held);
    let template = |template: &Template| {
        json!({
            "uid": template.uid,
            "finger": template.finger,
            "flag": template.flag.0,
            "data": hex(&template.data),
        })
    };
    let extras = &held.extras;
    state["device"]["time"] = json!(device.time().to_string());
    state["templates"] = extras.templates.values().map(template).collect();
    state["options"] = json!(held.options);
    state["disabled"] = json!(held.disabled);
    state["unlocked"] = json!(extras.unlocked);
    state["played"] = json!(extras.played);
    state["screen"] = json!(extras.screen);
    state["commands"] = json!(device.stats().commands);
    state
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn dump(held: &Snapshot) -> Value {
    let option = |key: &str| held.options.get(key);
    let user = |user: &User| {
        json!({
            "uid": user.uid,
            "user_id": user.user_id.decode(Encoding::Utf8),
            "name": user.name.decode(Encoding::Utf8),
            "privilege": user.privilege.0,
            "card": user.card,
            "group": user.group.to_string(),
        })
    };
    let record = |record: &Attendance| {
        json!({
            "user_id": record.user_id.decode(Encoding::Utf8),
            "uid": record.uid,
            "time": record.time.to_string(),
            "time_valid": record.time_valid(),
            "verify_mode": record.verify_mode.0,
            "punch_state": record.punch_state.0,
            "work_code": record.work_code,
        })
    };
    json!({
        "device": {
            "serial_number": option("~SerialNumber"),
            "firmware": FIRMWARE,
            "platform": option("~Platform"),
            "name": option("~DeviceName"),
            "mac": option("MAC"),
        },
        "counters": {
            "users": held.users.len(),
            "users_max": CAPACITY.0,
            "fingers": held.extras.templates.len(),
            "fingers_max": 3000,
            "records": held.records.len(),
            "records_max": CAPACITY.1,
            "faces": 0,
            "faces_max": 400,
        },
        "users": held.users.iter().map(user).collect::<Vec<_>>(),
        "attendance": held.records.iter().map(record).collect::<Vec<_>>(),
        "warnings": [],
    })
}

/// The command line: names with their values.
struct Options(Vec<(String, String)>);

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Vec::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .filter(|_| USAGE.contains(&format!("{name} ")))
                .ok_or(USAGE)?;
            options.push((name, value));
        }
        Ok(Self(options))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        self.parse(name, "0")
    }

    fn parse<T: std::str::FromStr>(&self, name: &str, default: &str) -> Result<T, String> {
        let text = self.text(name).unwrap_or(default);
        text.parse().map_err(|_| format!("{name} {text}: {USAGE}"))
    }

    /// One of these; the first unless said otherwise.
    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(text) = self.text(name) else {
            return Ok(choices[0].1);
        };
        let found = choices.iter().find(|(known, _)| *known == text);
        found
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("{name} {text}: {USAGE}"))
    }
}
