//! Reads a log with the standard library's sockets: no runtime, no feature, the same `Session`.
//!
//! `cargo run -p zk-proto --no-default-features --example blocking -- 192.168.1.201:4370 1234`

use std::{
    error::Error,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use zk_proto::{
    CommKey, Session,
    record::{AttendanceLog, LogHint},
    request::{Connect, Exit, ReadAttendance, ReadCounters, Request},
    session::{Event, Options, Output},
    wire::Transport,
};

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("usage: blocking HOST:PORT [COMM_KEY]")?;
    let key = arguments.next().map_or(Ok(0), |key| key.parse())?;
    for record in &read(&address, CommKey::new(key))? {
        println!("{} {}", record.user_id(), record.time());
    }
    Ok(())
}

/// Connects, reads the log and says goodbye.
pub(crate) fn read(address: &str, key: CommKey) -> Result<AttendanceLog, Box<dyn Error>> {
    let mut terminal = Terminal::connect(address, key)?;
    let count = terminal.call(ReadCounters)?.records;
    let hint = LogHint {
        count,
        layout: None,
    };
    let log = terminal.call(ReadAttendance { hint })?;
    terminal.call(Exit)?;
    Ok(log)
}

/// A session and the socket it talks through. This is all a driver has to do.
struct Terminal {
    session: Session,
    stream: TcpStream,
}

impl Terminal {
    fn connect(address: &str, comm_key: CommKey) -> Result<Self, Box<dyn Error>> {
        let address = address
            .to_socket_addrs()?
            .next()
            .ok_or("the name has no address")?;
        let options = Options {
            comm_key,
            ..Options::default()
        };
        let mut terminal = Self {
            stream: TcpStream::connect_timeout(&address, options.packet_timeout)?,
            session: Session::new(Transport::Tcp, options),
        };
        terminal.call(Connect)?;
        Ok(terminal)
    }

    fn call<R: Request>(&mut self, request: R) -> Result<R::Reply, Box<dyn Error>> {
        let ticket = self.session.submit(request, now());
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.stream.write_all(&bytes)?,
                Output::Event(Event::Answer { ticket: id, result }) if id == ticket.id() => {
                    return Ok(ticket.open(id, result)?);
                }
                // Progress, and events that were not subscribed to.
                Output::Event(_) => {}
                Output::Wait(until) => self.wait(until)?,
            }
        }
    }

    /// Waits for bytes, or for the instant.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Box<dyn Error>> {
        let left = until.map(|until| until.saturating_duration_since(now()));
        // Zero would mean "for ever" to the socket.
        let left = left.map(|left| left.max(Duration::from_millis(1)));
        self.stream.set_read_timeout(left)?;
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.session.handle_closed(),
            Ok(length) => self
                .session
                .handle_input(buffer.get(..length).unwrap_or(&[]), now()),
            Err(error) if is_timeout(&error) => self.session.handle_timeout(now()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[expect(clippy::disallowed_methods, reason = "the driver is where time enters")]
fn now() -> Instant {
    Instant::now()
}
