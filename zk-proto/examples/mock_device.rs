//! A software terminal on a port, for any client to connect to.
//!
//! `cargo run -p zk-proto --features mock --example mock_device -- --users 40 --records 3000`
//!
//! The first line of output says where it listens. It serves until standard input ends.

use std::{fs, io, net::SocketAddr, process::ExitCode, time::Duration};

use serde_json::{Value, json};
use zk_proto::{
    Encoding,
    mock::{Fault, MockDevice, Profile, Snapshot, generate},
    record::{Attendance, Privilege, PunchState, User, VerifyMode},
    recording::Recording,
};

const USAGE: &str = "options, each with a value: --bind HOST:PORT --users N --records N --seed S --comm-key N \
    --pace MS --data FILE (to write what the terminal holds) --profile NAME --fault KIND[,KEY=VALUE…] (may be repeated) \
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

#[expect(clippy::print_stdout, reason = "the caller reads the address")]
async fn run() -> Result<(), String> {
    let options = Options::read()?;
    let (mut users, mut records) = generate(
        options.number("--seed")?,
        options.number("--users")?,
        options.number("--records")?,
    );
    go_to_the_edges(&mut users, &mut records);
    let bind: SocketAddr = options.parse("--bind", "127.0.0.1:0")?;
    let mut builder = match options.text("--replay") {
        Some(file) => MockDevice::replay(&recording(file)?),
        None => MockDevice::builder(),
    };
    if let Some(name) = options.text("--profile") {
        let profile: Profile = name.parse().map_err(|error| format!("{error}"))?;
        builder = builder.profile(profile);
    }
    for text in options.all("--fault") {
        let fault: Fault = text.parse().map_err(|error| format!("{error}"))?;
        builder = builder.fault(fault);
    }
    let device = builder
        .bind(bind)
        .comm_key(options.number::<u32>("--comm-key")?)
        .pace(Duration::from_millis(options.number("--pace")?))
        .firmware(FIRMWARE)
        .capacity(CAPACITY.0, CAPACITY.1)
        .users(users)
        .records(records)
        .start()
        .await
        .map_err(|error| format!("{bind}: {error}"))?;
    let held = device.told();
    if let Some(file) = options.text("--data") {
        fs::write(file, dump(&held).to_string()).map_err(|error| format!("{file}: {error}"))?;
    }
    println!(
        "{}",
        json!({"tcp": device.tcp_addr(), "udp": device.udp_addr(), "serial_number": held.options["~SerialNumber"]})
    );
    let closed = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    closed
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    Ok(())
}

fn recording(file: &str) -> Result<Recording, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    text.parse().map_err(|error| format!("{file}: {error}"))
}

/// Gives the last user and the first records values that made-up people do not have.
fn go_to_the_edges(users: &mut [User], records: &mut [Attendance]) {
    let Some(last) = users.last_mut() else {
        return;
    };
    *last = User {
        uid: u16::MAX,
        user_id: "A1b2-C3d4-E5".into(),
        name: "Чехов 李".into(),
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

/// What a terminal holds, in the form of `zk-bridge device dump`.
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
            "time": null,
        },
        "counters": {
            "users": held.users.len(),
            "users_max": CAPACITY.0,
            "fingers": 0,
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
}
