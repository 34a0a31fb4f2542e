// What run.py says to a peer's driver and back: one JSON document per line, an action in, its outcome out.

use std::{
    error::Error,
    io::{self, BufRead, Write},
};

use serde_json::{Value, json};

/// `DRIVER HOST PORT tcp|udp COMM_KEY`
pub struct Address {
    pub host: String,
    pub port: u16,
    pub udp: bool,
    pub comm_key: u32,
}

impl Address {
    pub fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [host, port, transport, comm_key] = arguments.as_slice() else {
            return Err("arguments: HOST PORT tcp|udp COMM_KEY".into());
        };
        Ok(Self {
            host: host.clone(),
            port: port.parse()?,
            udp: transport == "udp",
            comm_key: comm_key.parse()?,
        })
    }
}

/// Does what comes in until nothing comes any more.
pub fn serve(
    mut act: impl FnMut(&str, &Action) -> Result<Value, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lock().lines() {
        let action = Action(serde_json::from_str(&line?)?);
        let outcome = match act(action.text("do"), &action) {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{outcome}")?;
        out.flush()?;
    }
    Ok(())
}

/// An action and what it is done with. run.py writes both ends, so a missing field is a mistake there.
pub struct Action(Value);

impl Action {
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().expect("a text of run.py")
    }

    pub fn number<N: TryFrom<u64>>(&self, field: &str) -> N {
        let number = self.0[field].as_u64();
        number
            .and_then(|number| N::try_from(number).ok())
            .expect("a number of run.py that fits")
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let digits =
        |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits of run.py");
    (0..hex.len()).step_by(2).map(digits).collect()
}
