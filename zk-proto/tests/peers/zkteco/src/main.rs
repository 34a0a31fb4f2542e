//! Does with zkteco what run.py asks for. The crate is GPL: README.md says what that means here.

#[path = "../../lines.rs"]
mod lines;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use chrono::NaiveDateTime;
use serde_json::{Value, json};
use zkteco::{Attendance, Finger, User, Zk};

use lines::{Action, Address, bytes, hex};

/// With the terminal. Where it waits in vain (faults.py), it does so for every read.
const PATIENCE: Duration = Duration::from_secs(1);
const TIME: &str = "%Y-%m-%dT%H:%M:%S";

type Outcome = Result<Value, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let address = Address::from_arguments()?;
    let mut zk = Zk::builder(address.host)
        .port(address.port)
        .password(address.comm_key)
        .force_udp(address.udp)
        .omit_ping(true)
        .timeout(PATIENCE)
        .build();
    lines::serve(|what, with| act(&mut zk, what, with))
}

fn act(zk: &mut Zk, what: &str, with: &Action) -> Outcome {
    match what {
        "connect" => zk.connect()?,
        "device" => {
            return Ok(json!({
                "serial_number": zk.get_serialnumber()?,
                "firmware": zk.get_firmware_version()?,
                "platform": zk.get_platform()?,
                "name": zk.get_device_name()?,
                "mac": zk.get_mac()?,
            }));
        }
        "counters" => return counters(zk),
        "users" => return Ok(zk.get_users()?.iter().map(told).collect()),
        "attendance" => return Ok(zk.get_attendance()?.iter().map(record).collect()),
        "time" => return Ok(json!(zk.get_time()?.format(TIME).to_string())),
        "set_time" => zk.set_time(NaiveDateTime::parse_from_str(with.text("time"), TIME)?)?,
        "set_user" => zk.set_user(&user(with))?,
        "delete_user" => zk.delete_user(with.number("uid"), "")?,
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
            let (uid, finger) = (with.number("uid"), with.number("finger"));
            if !zk.delete_user_template(uid, finger, with.text("user_id"))? {
                return Err("it says that there was none".into());
            }
        }
        "disable" => zk.disable_device()?,
        "enable" => zk.enable_device()?,
        "unlock" => zk.unlock(with.number("seconds"))?,
        "voice" => {
            if !zk.test_voice(with.number("index"))? {
                return Err("it says that nothing was played".into());
            }
        }
        "door" => return Ok(json!(zk.get_lock_state()?)),
        "lcd" => zk.write_lcd(with.number("line"), with.text("text"))?,
        "clear_lcd" => zk.clear_lcd()?,
        "live" => return live(zk, with),
        "clear_attendance" => zk.clear_attendance()?,
        "clear_data" => zk.clear_data()?,
        "restart" => zk.restart()?,
        "poweroff" => zk.poweroff()?,
        "disconnect" => zk.disconnect()?,
        unknown => return Err(format!("{unknown} is not done here").into()),
    }
    Ok(Value::Null)
}

fn counters(zk: &mut Zk) -> Outcome {
    let sizes = zk.read_sizes()?;
    Ok(json!({
        "users": sizes.users,
        "users_max": sizes.users_cap,
        "fingers": sizes.fingers,
        "fingers_max": sizes.fingers_cap,
        "records": sizes.records,
        "records_max": sizes.rec_cap,
        "faces": sizes.faces,
        "faces_max": sizes.faces_cap,
    }))
}

fn told(user: &User) -> Value {
    json!({
        "uid": user.uid,
        "user_id": user.user_id,
        "name": user.name,
        "privilege": user.privilege,
        "card": user.card,
        "group": user.group_id,
    })
}

/// Its `status` is the verify mode, its `punch` the punch state.
fn record(record: &Attendance) -> Value {
    json!({
        "uid": record.uid,
        "user_id": record.user_id,
        "time": record.timestamp.format(TIME).to_string(),
        "verify_mode": record.status,
        "punch_state": record.punch,
    })
}

fn user(with: &Action) -> User {
    User::new(
        with.number("uid"),
        with.text("name"),
        with.number("privilege"),
        with.text("password"),
        with.text("group"),
        with.text("user_id"),
        with.number("card"),
    )
}

fn finger(finger: &Finger) -> Value {
    json!({
        "uid": finger.uid,
        "finger": finger.fid,
        "flag": finger.valid,
        "data": hex(&finger.template),
    })
}

fn live(zk: &mut Zk, with: &Action) -> Outcome {
    let count: usize = with.number("count");
    let deadline = Instant::now() + Duration::from_millis(with.number("patience_ms"));
    let mut events = Vec::new();
    for event in zk.live_capture(Duration::from_millis(100))? {
        events.extend(event?.as_ref().map(record));
        if events.len() == count || Instant::now() > deadline {
            break;
        }
    }
    Ok(json!(events))
}
