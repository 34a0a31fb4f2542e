//! Does with rustzk (MIT) what run.py asks for, or times it on bytes from a file for the benchmarks.

mod bench;
#[path = "../../lines.rs"]
mod lines;

use std::{
    error::Error,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use chrono::NaiveDateTime;
use rustzk::{
    ZK, ZKProtocol,
    models::{Attendance, Finger, User},
};
use serde_json::{Value, json};

use lines::{Action, Address, bytes, hex};

const PATIENCE: Duration = Duration::from_secs(2);

type Outcome = Result<Value, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args()
        .nth(1)
        .is_some_and(|first| first == "bench")
    {
        return bench::run();
    }
    let address = Address::from_arguments()?;
    let mut zk = Some(ZK::new(&address.host, address.port));
    lines::serve(|what, with| match (what, &mut zk) {
        ("live", zk) => live(zk.take().ok_or("used up")?, with),
        (_, Some(zk)) => act(zk, &address, what, with),
        (_, None) => Err("used up".into()),
    })
}

fn act(zk: &mut ZK, address: &Address, what: &str, with: &Action) -> Outcome {
    match what {
        "connect" | "connect_by_default" => {
            zk.set_timeout(PATIENCE);
            zk.set_password(address.comm_key);
            // Its own checksum is wrong by one; what it calls "legacy" is the protocol's.
            zk.set_legacy_checksum(what == "connect");
            zk.connect(if address.udp {
                ZKProtocol::UDP
            } else {
                ZKProtocol::TCP
            })?;
        }
        "device" => {
            return Ok(json!({
                "serial_number": zk.get_serial_number()?,
                "firmware": zk.get_firmware_version()?,
                "platform": zk.get_platform()?,
                "name": zk.get_device_name()?,
                "mac": zk.get_mac()?,
            }));
        }
        "counters" => return counters(zk),
        "users" => return Ok(zk.get_users()?.iter().map(told).collect()),
        "attendance" => return Ok(zk.get_attendance()?.iter().map(record).collect()),
        "time" => return Ok(json!(zk.get_time()?.naive_local().format(TIME).to_string())),
        "set_time" => {
            let time = NaiveDateTime::parse_from_str(with.text("time"), TIME)?;
            zk.set_time(time.and_utc().fixed_offset())?;
        }
        "set_user" => zk.set_user(&user(with))?,
        "delete_user" => zk.delete_user(with.number("uid"))?,
        "templates" => return Ok(zk.get_templates()?.iter().map(finger).collect()),
        "template" => {
            let found = zk.get_user_template(with.number("uid"), with.number("finger"))?;
            return Ok(found.as_ref().map_or(Value::Null, finger));
        }
        "save_template" => {
            let template = bytes(with.text("data"));
            let finger = Finger::new(with.number("uid"), with.number("finger"), 1, template);
            zk.save_user_template(&user(with), &[finger])?;
        }
        "delete_template" => {
            zk.delete_user_template(with.number("uid"), with.number("finger"))?;
        }
        "unlock" => zk.unlock(with.number("seconds"))?,
        "option" => return Ok(json!(zk.get_option_value(with.text("key"))?)),
        "set_option" => zk.set_option(with.text("key"), with.text("value"))?,
        "restart" => zk.restart()?,
        "poweroff" => zk.poweroff()?,
        "disconnect" => zk.disconnect()?,
        unknown => return Err(format!("{unknown} is not done here").into()),
    }
    Ok(Value::Null)
}

const TIME: &str = "%Y-%m-%dT%H:%M:%S";

fn counters(zk: &mut ZK) -> Outcome {
    zk.read_sizes()?;
    Ok(json!({
        "users": zk.users(),
        "users_max": zk.users_cap(),
        "fingers": zk.fingers(),
        "fingers_max": zk.fingers_cap(),
        "records": zk.records(),
        "records_max": zk.records_cap(),
        "faces": zk.faces(),
        "faces_max": zk.faces_cap(),
    }))
}

fn told(user: &User) -> Value {
    json!({
        "uid": user.uid(),
        "user_id": user.user_id(),
        "name": user.name(),
        "privilege": user.privilege(),
        "card": user.card(),
        "group": user.group_id(),
    })
}

/// Its `status` is the verify mode, its `punch` the punch state.
fn record(record: &Attendance) -> Value {
    json!({
        "uid": record.uid(),
        "user_id": record.user_id(),
        "time": record.timestamp().format(TIME).to_string(),
        "verify_mode": record.status(),
        "punch_state": record.punch(),
    })
}

fn user(with: &Action) -> User {
    User::new(
        with.number("uid"),
        with.text("name").to_owned(),
        with.number("privilege"),
        with.text("password").to_owned(),
        with.text("group").to_owned(),
        with.text("user_id").to_owned(),
        with.number("card"),
    )
}

fn finger(finger: &Finger) -> Value {
    json!({
        "uid": finger.uid(),
        "finger": finger.fid(),
        "flag": finger.valid(),
        "data": hex(finger.template()),
    })
}

/// Its iterator waits for ever, so it gets a thread that is left behind.
fn live(mut zk: ZK, with: &Action) -> Outcome {
    let count: usize = with.number("count");
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let listening = thread::spawn(move || -> Result<(), String> {
        for event in zk
            .listen_events()
            .map_err(|error| error.to_string())?
            .take(count)
        {
            let event = event.map_err(|error| error.to_string())?;
            seen.lock().expect("nobody panics").push(record(&event));
        }
        Ok(())
    });
    let deadline = Instant::now() + Duration::from_millis(with.number("patience_ms"));
    while !listening.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    if listening.is_finished() {
        listening.join().expect("no panic")?;
    }
    Ok(json!(*events.lock().expect("nobody panics")))
}
