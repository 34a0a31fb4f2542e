//! The conversation, without I/O: it receives instants and bytes, and never asks for either.
//!
//! The loop is always the same. Change one thing ([`submit`](Session::submit),
//! [`handle_input`](Session::handle_input), [`handle_timeout`](Session::handle_timeout)), then
//! drain [`poll_output`](Session::poll_output) until it says [`Output::Wait`], then wait for input
//! or for the instant it names.

mod auth;
mod options;
mod phase;
mod retry;
mod ticket;
mod transfer;

use std::{collections::VecDeque, time::Instant};

use bytes::{Bytes, BytesMut};

pub use self::{
    options::{Options, Stats},
    ticket::{Ticket, TicketId},
};
use self::{
    phase::{Context, Next, Step},
    retry::Call,
};
use crate::{
    Code, DecodeError, Error, Misuse, Protocol,
    record::{self, EventCode},
    request::{Answer, DisableDevice, EnableDevice, Exchange, Exit, FreeBuffer, Request},
    wire::{Framer, HEADER_LEN, Packet, Transport, encode_packet, next_reply_id},
};

/// What the session wants next.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes; over UDP, as one datagram.
    Transmit(Bytes),
    /// Something happened.
    Event(Event),
    /// Nothing to do: wait for input, and call [`Session::handle_timeout`] at the instant, if one
    /// is given.
    Wait(Option<Instant>),
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A call has ended. [`Ticket::open`] turns the answer into the reply.
    Answer {
        /// Which call.
        ticket: TicketId,
        /// How it ended.
        result: Result<Answer, Error>,
    },
    /// The terminal told something without being asked; it was acknowledged.
    Realtime(record::Event),
    /// A bulk read has come further.
    Progress(Progress),
}

/// How far a bulk read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received.
    pub received: u32,
    /// Bytes in all.
    pub total: u32,
}

/// Whether calls are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Ready,
    /// After a failure that leaves the stream in an unknown state, or after EXIT.
    Dead,
}

/// One conversation with one terminal.
///
/// One call at a time. Replies are matched by reply id, never by the session field; late and
/// repeated ones are dropped. Events may come at any moment and are acknowledged.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    options: Options,
    framer: Framer,
    state: State,
    id: u16,
    next_reply_id: u16,
    next_ticket: u64,
    call: Option<Call>,
    outputs: VecDeque<Output>,
    stats: Stats,
    /// The terminal's keypad is locked, by us.
    disabled: bool,
    /// The terminal holds a data set for us.
    prepared: bool,
}

impl Session {
    /// A session that has not connected yet: submit [`Connect`](crate::request::Connect) first.
    pub fn new(transport: Transport, options: Options) -> Self {
        Self {
            transport,
            framer: Framer::new(transport).with_limit(options.frame_limit()),
            options,
            state: State::New,
            id: 0,
            next_reply_id: 0,
            next_ticket: 0,
            call: None,
            outputs: VecDeque::new(),
            stats: Stats::default(),
            disabled: false,
            prepared: false,
        }
    }

    /// Starts with another reply id than 0; for tests of the wrap from 65534 to 0.
    #[must_use]
    pub fn with_reply_id(mut self, id: u16) -> Self {
        self.next_reply_id = id;
        self
    }

    /// Starts a call. Its end comes as [`Event::Answer`]; a call that is not possible now ends at
    /// once with [`Misuse`].
    pub fn submit<R: Request>(&mut self, request: R, now: Instant) -> Ticket<R> {
        let id = TicketId(self.next_ticket);
        self.next_ticket += 1;
        let code = request.code();
        let (asked, limit) = (request.slice().len, self.options.max_data_set);
        let refused: Option<Error> = match self.state {
            State::Dead => Some(Misuse::Poisoned.into()),
            _ if self.call.is_some() => Some(Misuse::Busy.into()),
            State::New if code != Code::CONNECT => Some(Misuse::NotConnected.into()),
            _ if R::EXCHANGE == Exchange::Slice && asked > limit => {
                let announced = asked;
                Some(Protocol::DataSetTooLarge { announced, limit }.into())
            }
            _ => None,
        };
        if let Some(error) = refused {
            self.finish(id, Err(error));
            return Ticket { id, request };
        }
        let mut payload = BytesMut::new();
        request.encode(&mut payload);
        let context = Context {
            transport: self.transport,
            options: &self.options,
            sent: code,
        };
        let (payload, step) = match R::EXCHANGE {
            _ if code == Code::CONNECT => {
                self.id = 0;
                (payload.freeze(), Step::Hello)
            }
            Exchange::Single => (payload.freeze(), Step::Single),
            Exchange::Transfer => (payload.freeze(), Step::transfer(&context)),
            Exchange::Bulk => (payload.freeze(), Step::prepare(&context)),
            Exchange::Slice => Step::slice(request.slice(), &context),
        };
        let call = Call {
            ticket: id,
            code,
            sent: code,
            payload: payload.clone(),
            repeatable: R::REPEATABLE,
            attempts: 0,
            reply_id: 0,
            deadline: now,
            limit: self
                .options
                .operation_timeout
                .and_then(|timeout| now.checked_add(timeout)),
            step,
        };
        self.send_call(call, code, payload, now);
        Ticket { id, request }
    }

    /// Takes bytes that arrived: over UDP one datagram, over TCP any piece of the stream.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.stats.bytes_received += bytes.len() as u64;
        let mut framer = std::mem::replace(&mut self.framer, Framer::new(self.transport));
        let mut input = bytes;
        while self.state != State::Dead {
            let result = match framer.next(&mut input) {
                Ok(Some(frame)) => Packet::parse(frame),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            if let Err(error) = result.and_then(|packet| self.handle_packet(&packet, now)) {
                match self.transport {
                    // The stream has no known boundaries any more.
                    Transport::Tcp => self.die(error.into()),
                    // A damaged datagram is as good as a lost one.
                    Transport::Udp => self.stats.dropped += 1,
                }
            }
        }
        self.framer = framer;
    }

    /// Tells the session what time it is; does nothing before the instant that
    /// [`Output::Wait`] named.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(call) = self.call.take_if(|call| call.due() <= now) else {
            return;
        };
        if call.limit.is_some_and(|limit| limit <= now) {
            let after = self.options.operation_timeout.unwrap_or_default();
            let error = Error::Timeout {
                during: call.sent,
                after,
            };
            self.give_up(call, error);
            return;
        }
        if call.step.is_settled() {
            let (step, call) = call.take_step();
            self.proceed(call, step.settle(), now);
        } else {
            self.repeat_or_give_up(call, now);
        }
    }

    /// Tells the session that the terminal closed the connection.
    pub fn handle_closed(&mut self) {
        self.die(Protocol::Closed.into());
    }

    /// Tells the session that the connection failed, and how.
    pub fn handle_failure(&mut self, error: Error) {
        self.die(error);
    }

    /// The next thing to do. Drain it until it says [`Output::Wait`].
    pub fn poll_output(&mut self) -> Output {
        self.outputs
            .pop_front()
            .unwrap_or_else(|| Output::Wait(self.call.as_ref().map(Call::due)))
    }

    /// Drops the call under way without waiting for its end; a late answer will be ignored. What was
    /// sent of it must be sent to its end.
    pub fn abandon(&mut self) {
        self.call = None;
    }

    /// Queues what a client says before it hangs up, without waiting for answers: free, enable
    /// where needed, exit.
    pub fn farewell(&mut self) {
        self.call = None;
        if self.state != State::Ready {
            return;
        }
        if self.prepared {
            self.send_alone(&FreeBuffer);
        }
        if self.disabled {
            self.send_alone(&EnableDevice);
        }
        self.send_alone(&Exit);
        self.state = State::Dead;
    }

    /// Queues the request to unlock the keypad, if it is locked by us, without waiting for the
    /// answer.
    pub fn enable_soon(&mut self) {
        if self.disabled && self.state == State::Ready && self.call.is_none() {
            self.disabled = false;
            self.send_alone(&EnableDevice);
        }
    }

    /// Whether calls are possible.
    pub fn is_connected(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether the terminal holds a data set for us that was not freed.
    #[cfg(feature = "client")]
    pub(crate) fn holds_data(&self) -> bool {
        self.prepared && self.state == State::Ready
    }

    /// Whether the conversation is over: after EXIT, or after a failure that leaves the stream in
    /// an unknown state.
    pub fn is_dead(&self) -> bool {
        self.state == State::Dead
    }

    /// The session id the terminal gave.
    pub fn session_id(&self) -> u16 {
        self.id
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How long sending a packet may take: as long as waiting for one.
    #[cfg(feature = "client")]
    pub(crate) fn send_timeout(&self) -> std::time::Duration {
        self.options.packet_timeout
    }

    /// How packets travel.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    fn handle_packet(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), DecodeError> {
        self.stats.packets_received += 1;
        if self.options.verify_checksums && !packet.checksum_valid() {
            self.stats.bad_checksums += 1;
            return Err(DecodeError::Checksum {
                code: packet.header.code,
                expected: packet.expected_checksum(),
                found: packet.header.checksum,
            });
        }
        if packet.header.code == Code::REG_EVENT {
            self.handle_event(packet);
            return Ok(());
        }
        let Some(mut call) = self
            .call
            .take_if(|call| call.reply_id == packet.header.reply_id)
        else {
            self.stats.stale_replies += 1;
            return Ok(());
        };
        call.deadline = self.deadline(now);
        let (step, call) = call.take_step();
        if matches!(step, Step::Hello) {
            self.id = packet.header.session;
        }
        let context = Context {
            transport: self.transport,
            options: &self.options,
            sent: call.sent,
        };
        let next = step.packet(packet, self.id, &context);
        self.proceed(call, next, now);
        Ok(())
    }

    fn handle_event(&mut self, packet: &Packet<'_>) {
        self.transmit(Code::ACK_OK, 0, &[]);
        self.outputs
            .push_back(Output::Event(Event::Realtime(record::Event {
                code: EventCode(packet.header.session),
                payload: Bytes::copy_from_slice(packet.payload),
            })));
    }

    /// Does what a step asks for.
    fn proceed(&mut self, mut call: Call, next: Next, now: Instant) {
        match next {
            Next::Stay(step) => {
                if step.is_settled() {
                    call.deadline = now.checked_add(self.options.ack_grace).unwrap_or(now);
                }
                call.step = step;
                self.call = Some(call);
            }
            Next::Send {
                code,
                payload,
                step,
                progress,
            } => {
                if let Some(progress) = progress {
                    self.outputs
                        .push_back(Output::Event(Event::Progress(progress)));
                }
                call.attempts = 0;
                call.step = step;
                self.send_call(call, code, payload, now);
            }
            Next::Done(result) => {
                self.note_end(&call, &result);
                self.finish(call.ticket, result);
            }
            Next::Fatal(error) => {
                self.state = State::Dead;
                self.finish(call.ticket, Err(error));
            }
        }
    }

    /// Sends the current packet of a call, under a number of its own.
    fn send_call(&mut self, mut call: Call, code: Code, payload: Bytes, now: Instant) {
        call.reply_id = self.next_reply_id;
        self.next_reply_id = next_reply_id(self.next_reply_id);
        call.deadline = self.deadline(now);
        match code {
            Code::PREPARE_BUFFER => self.prepared = true,
            Code::FREE_DATA => self.prepared = false,
            Code::DISABLEDEVICE => self.disabled = true,
            _ => {}
        }
        if !matches!(code, Code::CONNECT | Code::AUTH | Code::EXIT) {
            self.stats.requests += 1;
        }
        self.transmit(code, call.reply_id, &payload);
        call.sent = code;
        call.payload = payload;
        self.call = Some(call);
    }

    /// Sends a request whose answer nobody waits for.
    fn send_alone<R: Request>(&mut self, request: &R) {
        let mut payload = BytesMut::new();
        request.encode(&mut payload);
        let reply_id = self.next_reply_id;
        self.next_reply_id = next_reply_id(reply_id);
        self.transmit(R::CODE, reply_id, &payload);
    }

    fn transmit(&mut self, code: Code, reply_id: u16, payload: &[u8]) {
        let mut out = BytesMut::with_capacity(2 * HEADER_LEN + payload.len());
        encode_packet(self.transport, code, self.id, reply_id, payload, &mut out);
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += out.len() as u64;
        self.outputs.push_back(Output::Transmit(out.freeze()));
    }

    fn repeat_or_give_up(&mut self, mut call: Call, now: Instant) {
        if let Step::Freeing(result) = call.step {
            // The outcome is known; a terminal that does not say "freed" changes nothing.
            self.finish(call.ticket, *result);
            return;
        }
        if call.may_repeat(self.transport, &self.options) {
            call.attempts += 1;
            call.step = call.step.again();
            self.stats.retries += 1;
            let (code, payload) = (call.sent, call.payload.clone());
            self.send_call(call, code, payload, now);
            return;
        }
        let after = self.options.packet_timeout;
        let error = Error::Timeout {
            during: call.sent,
            after,
        };
        self.give_up(call, error);
    }

    /// Ends a call that will not be answered. Over TCP half an answer may still be on its way, so
    /// the connection ends with it.
    fn give_up(&mut self, call: Call, error: Error) {
        let Call {
            ticket, code, step, ..
        } = call;
        let result = step.end(error);
        let was_ready = self.state == State::Ready;
        if self.transport == Transport::Tcp {
            self.farewell();
            self.state = State::Dead;
        } else if was_ready && self.prepared && code == Code::PREPARE_BUFFER {
            self.prepared = false;
            self.send_alone(&FreeBuffer);
        }
        self.finish(ticket, result);
    }

    fn note_end(&mut self, call: &Call, result: &Result<Answer, Error>) {
        match (call.code, result) {
            (Code::CONNECT, Ok(_)) => self.state = State::Ready,
            (Code::EXIT, _) => self.state = State::Dead,
            (DisableDevice::CODE, Err(_)) | (EnableDevice::CODE, Ok(_)) => self.disabled = false,
            (Code::PREPARE_BUFFER, Err(_)) => self.prepared = false,
            (Code::PREPARE_BUFFER, Ok(answer)) if answer.code == Code::DATA => {
                self.prepared = false;
            }
            _ => {}
        }
    }

    /// Ends the conversation, and the call under way with it.
    fn die(&mut self, error: Error) {
        self.state = State::Dead;
        if let Some(call) = self.call.take() {
            self.finish(call.ticket, call.step.end(error));
        }
    }

    fn finish(&mut self, ticket: TicketId, result: Result<Answer, Error>) {
        self.outputs
            .push_back(Output::Event(Event::Answer { ticket, result }));
    }

    fn deadline(&self, now: Instant) -> Instant {
        now.checked_add(self.options.packet_timeout).unwrap_or(now)
    }
}
