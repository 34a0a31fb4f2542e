//! A terminal on loopback.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, NaiveDateTime, Utc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{broadcast, watch},
    task::JoinSet,
    time::sleep,
};

use super::{
    Builder, Clock, Conversation, Cut, Fault, MockStats, Reaction, Received, Serve, Snapshot,
    Terminal, replay::Replay,
};
use crate::{
    Code,
    record::{Attendance, Event},
    recording::Recording,
    wire::{Framer, PackedTime, Transport},
};

/// How often a second socket is tried on the port number of the first.
const PORT_ATTEMPTS: usize = 16;

/// A terminal that is being served. Dropping it ends all connections.
#[derive(Debug)]
pub struct MockDevice {
    address: SocketAddr,
    serve: Serve,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    terminal: Mutex<Terminal>,
    events: broadcast::Sender<Event>,
    /// Number of the newest connection, for terminals that serve one client.
    newest: watch::Sender<u64>,
    pace: Option<Duration>,
    one_client: bool,
}

impl MockDevice {
    /// Describes a terminal.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// use zk_proto::mock::MockDevice;
    ///
    /// let device = MockDevice::builder().generate(7, 20, 500).serial("ABC").start().await?;
    /// assert_eq!(device.snapshot().records.len(), 500);
    /// # Ok(()) }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Describes a terminal that answers as a recorded one did, over the same transports.
    ///
    /// A request is answered as it was when it came with the same payload, the second time as the
    /// second time, and each connection begins anew; the proof of a comm key is taken whatever it
    /// is. What was never asked while recording is refused, and
    /// [`assert_replayed`](Self::assert_replayed) tells it. Faults and all that describes a terminal
    /// have no effect.
    ///
    /// See [`recording`](crate::recording) for how to make one.
    pub fn replay(recording: &Recording) -> Builder {
        Builder::default().replay(recording)
    }

    /// The requests that a replayed recording has no answer to.
    pub fn not_recorded(&self) -> Vec<Received> {
        let terminal = self.shared.terminal();
        let replay = terminal.replay.as_ref();
        replay.map_or_else(Vec::new, |replay| replay.not_recorded.clone())
    }

    /// The commands that a replayed recording answers, in its order.
    pub fn recorded(&self) -> Vec<Code> {
        let terminal = self.shared.terminal();
        let replay = terminal.replay.as_ref();
        replay.map_or_else(Vec::new, Replay::commands)
    }

    pub(super) async fn start(builder: Builder) -> io::Result<Self> {
        let (bind, serve) = (builder.bind, builder.serve);
        let (pace, one_client) = (builder.pace, builder.one_client);
        let shared = Arc::new(Shared {
            terminal: Mutex::new(builder.build()?),
            events: broadcast::Sender::new(1024),
            newest: watch::Sender::new(0),
            pace,
            one_client,
        });
        let (address, tcp, udp) = sockets(bind, serve).await?;
        let mut tasks = JoinSet::new();
        if let Some(listener) = tcp {
            tasks.spawn(accept(listener, Arc::clone(&shared)));
        }
        if let Some(socket) = udp {
            tasks.spawn(datagrams(socket, Arc::clone(&shared)));
        }
        Ok(Self {
            address,
            serve,
            shared,
            _tasks: tasks,
        })
    }

    /// Where it listens, TCP and UDP alike.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The packets that came in, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.terminal().requests()
    }

    /// Forgets the packets that came in.
    pub fn clear_requests(&self) {
        self.shared.terminal().world.received.clear();
    }

    /// What was served.
    pub fn stats(&self) -> MockStats {
        self.shared.terminal().stats()
    }

    /// What the terminal holds.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.terminal().snapshot()
    }

    /// What its clock says.
    pub fn time(&self) -> PackedTime {
        self.shared.terminal().time(now())
    }

    /// Adds a record to the log; clients that listen for events hear of it.
    pub fn punch(&self, record: Attendance) {
        let event = {
            let mut terminal = self.shared.terminal();
            terminal.punch(record);
            terminal.punched(&record)
        };
        self.emit(event);
    }

    /// Tells an event to the clients that want its kind.
    pub fn emit(&self, event: Event) {
        // Nobody listens, perhaps.
        let _ = self.shared.events.send(event);
    }

    /// Where it listens for TCP, if it does.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        (self.serve != Serve::Udp).then_some(self.address)
    }

    /// Where it listens for UDP, if it does.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        (self.serve != Serve::Tcp).then_some(self.address)
    }

    /// What a client can read of it: users and records as the widths that are served can tell
    /// them. Old layouts cut names, and have ids that are numbers, or none.
    pub fn told(&self) -> Snapshot {
        self.shared.terminal().world.told()
    }

    /// Sets where the time comes from, from now on.
    pub fn set_clock(&self, clock: Clock) {
        self.shared.terminal().set_clock(clock);
    }

    /// Sets whether the oldest records go when the log is full, and how many records fit.
    pub fn set_ring(&self, ring: bool, records_max: u32) {
        let config = &mut self.shared.terminal().world.config;
        (config.ring, config.records_max) = (ring, records_max);
    }

    /// Opens or shuts the door.
    pub fn set_door(&self, open: bool) {
        self.shared.terminal().world.extras.door_open = open;
    }

    /// Ends every TCP connection without a word, as a restart does.
    pub fn drop_connections(&self) {
        self.shared.newest.send_replace(u64::MAX);
    }

    /// Replaces the log.
    pub fn set_records(&self, records: Vec<Attendance>) {
        self.shared.terminal().world.set_records(records);
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        self.shared.terminal().clear_log();
    }

    /// Adds a fault, for what happens from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.terminal().fault(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.terminal().clear_faults();
    }
}

impl Shared {
    /// A panic in a test's thread leaves the terminal as it was, so a poisoned lock is no harm.
    fn terminal(&self) -> MutexGuard<'_, Terminal> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets for one port number. A free TCP port may be taken for UDP: try another then.
async fn sockets(
    bind: SocketAddr,
    serve: Serve,
) -> io::Result<(SocketAddr, Option<TcpListener>, Option<UdpSocket>)> {
    if serve == Serve::Udp {
        let socket = UdpSocket::bind(bind).await?;
        return Ok((socket.local_addr()?, None, Some(socket)));
    }
    let mut attempt = 1;
    loop {
        let listener = TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        if serve == Serve::Tcp {
            return Ok((address, Some(listener), None));
        }
        match UdpSocket::bind(address).await {
            Ok(socket) => return Ok((address, Some(listener), Some(socket))),
            Err(error) if bind.port() != 0 || attempt == PORT_ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                let number = {
                    let stats = &mut shared.terminal().world.stats;
                    stats.connections_total += 1;
                    stats.connections_now += 1;
                    stats.connections_max = stats.connections_max.max(stats.connections_now);
                    stats.connections_total
                };
                shared.newest.send_replace(number);
                connections.spawn(serve_stream(stream, peer, number, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.terminal().world.stats.connections_now -= 1;
    }
}

async fn serve_stream(stream: TcpStream, peer: SocketAddr, number: u64, shared: Arc<Shared>) {
    let counted = Counted(Arc::clone(&shared));
    let mut newest = shared.newest.subscribe();
    let served = async {
        let result = Connection::new(stream, peer, Arc::clone(&shared))
            .run()
            .await;
        // A broken connection is the client's business.
        drop(result);
    };
    let replaced = async {
        let result = newest
            .wait_for(|newest| *newest == u64::MAX || shared.one_client && *newest > number)
            .await;
        drop(result);
    };
    tokio::select! {
        () = served => {}
        () = replaced => {}
    }
    drop(counted);
}

struct Connection {
    stream: TcpStream,
    client: Conversation,
    framer: Framer,
    shared: Arc<Shared>,
    events: broadcast::Receiver<Event>,
    /// Bytes that may still be sent before the connection is dropped.
    budget: Option<u64>,
}

impl Connection {
    fn new(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) -> Self {
        let client = shared.terminal().conversation_with(Transport::Tcp, peer);
        let events = shared.events.subscribe();
        let framer = Framer::new(Transport::Tcp);
        Self {
            stream,
            client,
            framer,
            shared,
            events,
            budget: None,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut buffer = vec![0; 16 << 10];
        loop {
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    let length = read?;
                    if length == 0 {
                        return Ok(());
                    }
                    for reaction in self.react(buffer.get(..length).unwrap_or(&[]))? {
                        self.send(reaction).await?;
                    }
                }
                Ok(event) = self.events.recv() => {
                    let event = self.shared.terminal().event(&self.client, &event);
                    let frames = event.into_iter().collect();
                    self.send(Reaction { frames, ..Reaction::default() }).await?;
                }
            }
        }
    }

    fn react(&mut self, mut input: &[u8]) -> io::Result<Vec<Reaction>> {
        let mut reactions = Vec::new();
        loop {
            match self.framer.next(&mut input) {
                Ok(Some(packet)) => {
                    let mut terminal = self.shared.terminal();
                    reactions.push(terminal.handle(&mut self.client, packet, now()));
                }
                Ok(None) => return Ok(reactions),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }

    async fn send(&mut self, reaction: Reaction) -> io::Result<()> {
        sleep_if(reaction.delay).await;
        self.budget = self.budget.or(reaction.drop_after);
        if reaction.reset {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if reaction.cut == Cut::EveryByte {
            for byte in reaction.frames.concat().chunks(1) {
                self.write(byte).await?;
                tokio::task::yield_now().await;
            }
        } else if reaction.cut == Cut::Pieces {
            for piece in &reaction.frames {
                self.write(piece).await?;
                tokio::task::yield_now().await;
            }
        } else if self.shared.pace.is_some() && reaction.cut == Cut::Usual {
            for frame in &reaction.frames {
                self.write(frame).await?;
                sleep_if(self.shared.pace.unwrap_or_default()).await;
            }
        } else if let [frame] = &*reaction.frames {
            self.write(frame).await?;
        } else {
            let mut all = BytesMut::with_capacity(reaction.frames.iter().map(Bytes::len).sum());
            for frame in &reaction.frames {
                all.extend_from_slice(frame);
            }
            self.write(&all).await?;
        }
        if reaction.close {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            // A connection that says nothing is not the one a fault is meant for.
            return Ok(());
        }
        let budget = self.budget;
        let allowed = budget.map_or(bytes.len(), |budget| {
            usize::try_from(budget)
                .unwrap_or(usize::MAX)
                .min(bytes.len())
        });
        self.stream
            .write_all(bytes.get(..allowed).unwrap_or(bytes))
            .await?;
        self.shared.terminal().world.stats.bytes_out += allowed as u64;
        self.budget = budget.map(|budget| budget.saturating_sub(allowed as u64));
        if allowed < bytes.len() {
            self.stream.shutdown().await?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut clients: HashMap<SocketAddr, Conversation> = HashMap::new();
    let mut events = shared.events.subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An earlier answer may have found its client gone.
                let Ok((length, peer)) = received else { continue };
                let reaction = {
                    let mut terminal = shared.terminal();
                    let client = clients
                        .entry(peer)
                        .or_insert_with(|| terminal.conversation_with(Transport::Udp, peer));
                    terminal.handle(client, buffer.get(..length).unwrap_or(&[]), now())
                };
                sleep_if(reaction.delay).await;
                for frame in &reaction.frames {
                    if socket.send_to(frame, peer).await.is_ok() {
                        shared.terminal().world.stats.bytes_out += frame.len() as u64;
                    }
                    sleep_if(shared.pace.unwrap_or_default()).await;
                }
            }
            Ok(event) = events.recv() => {
                for (peer, client) in &clients {
                    let event = shared.terminal().event(client, &event);
                    if let Some(event) = event {
                        // As lost as any datagram.
                        let _ = socket.send_to(&event, *peer).await;
                    }
                }
            }
        }
    }
}

async fn sleep_if(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a terminal on a socket has a clock of its own"
)]
fn now() -> NaiveDateTime {
    DateTime::<Utc>::from(SystemTime::now()).naive_utc()
}
