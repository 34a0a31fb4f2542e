//! The session on tokio's sockets. No protocol decisions are made here.

mod access;
mod connect;
mod control;
mod end;
mod link;
mod live;
mod logs;
mod methods;
mod poll;
mod recorder;
mod templates;
mod users;

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::ToSocketAddrs;

use self::link::Link;
pub use self::{
    connect::Connect,
    control::Locked,
    end::End,
    live::{Heard, Listen, Live},
    logs::Between,
    methods::DeviceInfo,
    recorder::Recorder,
};
use crate::{
    Error, Misuse,
    record::{self, Counters},
    request::{self, Exit, FreeBuffer, Prepared, Request},
    session::{Event, Output, Progress, Session, Stats},
    wire::{Encoding, Transport},
};

/// How long [`Client::disconnect`] waits for an answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes read from a stream at once, to begin with: most conversations are short, and there may be a thousand of them.
const LEAST_BUFFER: usize = 8 << 10;

/// Bytes read from a stream at once, once it has shown that it has more to say.
const MOST_BUFFER: usize = 256 << 10;

/// Holds every datagram there can be: what does not fit is lost.
const DATAGRAM_BUFFER: usize = 64 << 10;

/// Events that are kept while nobody takes them; the oldest go first.
const MOST_EVENTS: usize = 10_000;

/// A connection to one terminal.
///
/// Dropping it says goodbye without waiting; [`disconnect`](Self::disconnect) waits for the
/// answer.
///
/// The future of a call may be dropped at any time. Over UDP the next call is as good as any: a late
/// answer is recognised by its number. Over TCP the terminal may be in the middle of a transfer, so
/// calls are refused from then on ([`Misuse::Poisoned`]) and all that is left is to drop the client,
/// which frees, unlocks and says goodbye as ever. A keypad that was locked for the call is unlocked at
/// once over either.
pub struct Client {
    session: Session,
    link: Link,
    buffer: Vec<u8>,
    /// A call is under way; still set at the next one if its future was dropped.
    in_flight: bool,
    events: VecDeque<record::Event>,
    on_progress: Option<Box<dyn FnMut(Progress) + Send + Sync>>,
    prepared: Option<Prepared>,
    counters: Option<Counters>,
    encoding: Encoding,
    disable_while_reading: bool,
    /// Where and how to connect again.
    addresses: Vec<SocketAddr>,
    options: Connect,
}

impl Client {
    /// Connects, and proves the comm key where the terminal asks for it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
    /// use zk_proto::{Client, CommKey, Connect, mock::MockDevice};
    ///
    /// let device = MockDevice::builder().comm_key(1234).start().await.unwrap();
    /// let options = Connect::tcp().comm_key(CommKey::new(1234));
    /// let mut terminal = Client::connect(device.addr(), options).await?;
    /// println!("{}", terminal.time().await?);
    /// terminal.disconnect().await?;
    /// # Ok(()) }
    /// ```
    pub async fn connect(address: impl ToSocketAddrs, options: Connect) -> Result<Self, Error> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address)
            .await
            .map_err(|error| Error::io("looking up the address", error))?
            .collect();
        Self::connect_to(&addresses, &options).await
    }

    async fn connect_to(addresses: &[SocketAddr], options: &Connect) -> Result<Self, Error> {
        let mut first_error = None;
        for transport in options.transports() {
            match Self::connect_over(*transport, addresses, options).await {
                Err(error @ (Error::Timeout { .. } | Error::Io { .. })) => {
                    // Why the usual transport failed says more than the fall-back's silence.
                    first_error.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(first_error.unwrap_or_else(|| {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no address");
            Error::io("looking up the address", missing)
        }))
    }

    async fn connect_over(
        transport: Transport,
        addresses: &[SocketAddr],
        options: &Connect,
    ) -> Result<Self, Error> {
        let link = Link::open(transport, addresses, options).await?;
        let mut client = Self {
            session: Session::new(transport, options.session_options(transport)),
            link,
            buffer: match transport {
                Transport::Tcp => vec![0; LEAST_BUFFER],
                Transport::Udp => vec![0; DATAGRAM_BUFFER],
            },
            in_flight: false,
            events: VecDeque::new(),
            on_progress: None,
            prepared: None,
            counters: None,
            encoding: options.encoding,
            disable_while_reading: options.disable_while_reading,
            addresses: addresses.to_vec(),
            options: options.clone(),
        };
        client.call(request::Connect).await?;
        Ok(client)
    }

    /// A new connection in place of this one, to the same terminal.
    async fn reconnect(&mut self) -> Result<(), Error> {
        let mut new = Self::connect_to(&self.addresses, &self.options).await?;
        std::mem::swap(&mut new.on_progress, &mut self.on_progress);
        // What is dropped here is the old connection; a dead one says no goodbye.
        *self = new;
        Ok(())
    }

    /// Unlocks the keypad without waiting for the answer, as far as the socket takes it at once.
    fn enable_soon(&mut self) {
        if self.in_flight {
            self.session.abandon();
        }
        self.session.enable_soon();
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.link.try_send(&bytes),
                Output::Event(event) => self.take_event(event),
                Output::Wait(_) => return,
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub async fn call<R: Request>(&mut self, request: R) -> Result<R::Reply, Error> {
        self.link.check()?;
        if self.in_flight {
            // The last call's future was dropped.
            match self.session.transport() {
                Transport::Tcp => return Err(Misuse::Poisoned.into()),
                Transport::Udp => self.session.abandon(),
            }
        }
        self.in_flight = true;
        let ticket = self.session.submit(request, now());
        let result = loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    if let Err(error) = self.link.send(&bytes, self.session.send_timeout()).await {
                        self.session.handle_failure(error);
                    }
                }
                Output::Event(Event::Answer { ticket: id, result }) if id == ticket.id() => {
                    break ticket.open(id, result);
                }
                Output::Event(event) => self.take_event(event),
                Output::Wait(deadline) => {
                    if let Err(error) = self.receive(deadline).await {
                        self.session.handle_failure(error);
                    }
                }
            }
        };
        self.flush().await;
        self.in_flight = false;
        result
    }

    /// Says goodbye and closes the connection. A terminal that hangs up instead of answering, or
    /// takes longer than a second, has understood as well.
    pub async fn disconnect(mut self) -> Result<(), Error> {
        if self.in_flight || self.session.is_dead() {
            return Ok(());
        }
        let goodbye = async {
            if self.session.holds_data() {
                // Whether it was freed matters to nobody who leaves.
                self.call(FreeBuffer).await.ok();
            }
            self.call(Exit).await
        };
        match tokio::time::timeout(FAREWELL, goodbye).await {
            Ok(Err(error @ Error::Rejected { .. })) => Err(error),
            _ => Ok(()),
        }
    }

    /// Calls `report` whenever a bulk read has come further.
    pub fn on_progress(&mut self, report: impl FnMut(Progress) + Send + Sync + 'static) {
        self.on_progress = Some(Box::new(report));
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> Stats {
        self.session.stats()
    }

    /// How packets travel; tells what [`Connect::auto`] chose.
    pub fn transport(&self) -> Transport {
        self.session.transport()
    }

    /// The encoding of names this connection was told to expect.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The address of the terminal.
    pub fn peer_addr(&self) -> SocketAddr {
        self.link.peer()
    }

    /// Takes the next event that came while a call was under way.
    pub fn next_buffered_event(&mut self) -> Option<record::Event> {
        self.events.pop_front()
    }

    /// Waits for bytes, or for the deadline.
    async fn receive(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        // An end that is put off meanwhile is a wait that is over too soon, and begins again.
        let end = self.link.end();
        let deadline = match (deadline, end) {
            (Some(deadline), Some(end)) => Some(deadline.min(end)),
            (deadline, end) => deadline.or(end),
        };
        let read = self.link.receive(&mut self.buffer);
        let received = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), read).await.ok(),
            None => Some(read.await),
        };
        self.link.check()?;
        match received {
            None => self.session.handle_timeout(now()),
            Some(Ok(0)) if self.session.transport() == Transport::Tcp => {
                self.session.handle_closed();
            }
            Some(Ok(length)) => {
                let bytes = self.buffer.get(..length).unwrap_or(&[]);
                self.session.handle_input(bytes, now());
                let is_full = length == self.buffer.len();
                if is_full && self.session.transport() == Transport::Tcp {
                    let wider = (4 * length).min(MOST_BUFFER);
                    self.buffer.resize(wider, 0);
                }
            }
            Some(Err(error)) => return Err(Error::io("receiving", error)),
        }
        Ok(())
    }

    /// Sends what is still queued after the answer, such as the acknowledgement of an event or the
    /// goodbye after a failure. Errors would only repeat what the next call says.
    async fn flush(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    if self
                        .link
                        .send(&bytes, self.session.send_timeout())
                        .await
                        .is_err()
                    {
                        self.session.handle_closed();
                    }
                }
                Output::Event(event) => self.take_event(event),
                Output::Wait(_) => return,
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Realtime(event) => {
                // A terminal that never stops telling must not fill the memory.
                if self.events.len() >= MOST_EVENTS {
                    self.events.pop_front();
                }
                self.events.push_back(event);
            }
            Event::Progress(progress) => {
                if let Some(report) = &mut self.on_progress {
                    report(progress);
                }
            }
            // The answer to a call whose future was dropped.
            Event::Answer { .. } => {}
        }
    }
}

/// Free, enable where needed and exit, as far as the socket takes them without waiting.
impl Drop for Client {
    fn drop(&mut self) {
        self.session.farewell();
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.link.try_send(&bytes),
                Output::Event(_) => {}
                Output::Wait(_) => return,
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.link.peer())
            .field("transport", &self.session.transport())
            .finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the client is where time enters")]
fn now() -> Instant {
    Instant::now()
}
