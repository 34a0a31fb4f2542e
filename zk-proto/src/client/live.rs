//! Listening: events as they come, silence that is noticed, and enrolment.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Client, now};
use crate::{
    Code, Error,
    record::{self, Enrolled, EventCode, EventMask, TemplateFlag, Told},
    request::{
        CancelCapture, EnableDevice, ReadClock, StartEnroll, StartEnrollNumeric, StartVerify,
        Subscribe,
    },
    session::{Event, Output, Ticket},
};

/// How many punches are remembered to recognise one that is told again.
const REMEMBERED: usize = 16;

/// How to listen; a value with chainable methods.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Listen {
    mask: EventMask,
    probe_after: Duration,
    first_pause: Duration,
    longest_pause: Duration,
    attempts: Option<u32>,
}

impl Listen {
    /// Listens for these events. After 20 seconds of silence the terminal is asked for its time;
    /// if it does not answer, it is connected to again, as often as it takes.
    pub fn to(mask: EventMask) -> Self {
        Self {
            mask,
            probe_after: Duration::from_secs(20),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
            attempts: None,
        }
    }

    /// How long a silence makes sure that somebody is there.
    pub fn probe_after(mut self, silence: Duration) -> Self {
        self.probe_after = silence;
        self
    }

    /// The first pause between attempts to connect again, and the longest; each is twice the one
    /// before.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    /// How often to try to connect again before giving up; for ever unless set. 0 is never.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }
}

impl From<EventMask> for Listen {
    fn from(mask: EventMask) -> Self {
        Self::to(mask)
    }
}

/// What a listener hears.
#[derive(Debug)]
#[non_exhaustive]
pub enum Heard {
    /// An event; a punch or an enrolment that is told again is heard once.
    Event(record::Event),
    /// The connection was lost and is there again. Terminals do not repeat what they told nobody:
    /// read the log.
    Resumed {
        /// How the connection was lost.
        lost: Error,
    },
}

/// A connection that listens; made by [`Client::listen`].
#[derive(Debug)]
pub struct Live {
    client: Client,
    listen: Listen,
    /// When the terminal was heard last.
    heard: Instant,
    probe: Option<Ticket<ReadClock>>,
    lost: Option<Error>,
    attempts: u32,
    told: VecDeque<record::Event>,
}

impl Client {
    /// Listens for events. Terminals send them to one client only, and many send nothing but
    /// punches.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
    /// use zk_proto::{Client, Connect, Heard, mock::MockDevice, record::{EventMask, Told}};
    ///
    /// let device = MockDevice::builder().generate(7, 5, 1).start().await.unwrap();
    /// let terminal = Client::connect(device.addr(), Connect::tcp()).await?;
    /// let mut live = terminal.listen(EventMask::ATTENDANCE).await?;
    /// device.punch(device.snapshot().records[0]);
    /// if let Heard::Event(event) = live.next().await? {
    ///     assert!(matches!(event.decode(), Told::Punches(punches) if punches.len() == 1));
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn listen(self, listen: impl Into<Listen>) -> Result<Live, Error> {
        let listen = listen.into();
        let mut live = Live {
            client: self,
            listen,
            heard: now(),
            probe: None,
            lost: None,
            attempts: 0,
            told: VecDeque::new(),
        };
        live.subscribe().await?;
        Ok(live)
    }

    /// Waits for the next event, at most so long. Those that came during calls come first.
    pub async fn next_event(&mut self, wait: Duration) -> Result<Option<record::Event>, Error> {
        let deadline = now().checked_add(wait);
        loop {
            self.flush().await;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.session.is_dead() {
                return Err(crate::Protocol::Closed.into());
            }
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Ok(None);
            }
            if let Err(error) = self.receive(deadline).await {
                self.session.handle_failure(crate::Protocol::Closed.into());
                return Err(error);
            }
        }
    }

    /// Enrols a finger at the terminal: the person is asked to lay it on the sensor three times.
    /// `told` hears every step. An enrolment that fails is no error: [`Enrolled::is_ok`].
    ///
    /// Many terminals refuse this or never start it; the latter ends as [`Error::Timeout`] after
    /// `patience` (terminals themselves wait about 60 seconds).
    pub async fn enroll(
        &mut self,
        user_id: &str,
        finger: u8,
        patience: Duration,
        mut told: impl FnMut(&Told),
    ) -> Result<Enrolled, Error> {
        self.call(Subscribe(EventMask::ENROLLMENT)).await?;
        self.call(CancelCapture).await?;
        let start = StartEnroll {
            user_id: user_id.into(),
            finger,
            flag: TemplateFlag::VALID,
        };
        let started = match (self.call(start).await, start.user_id.to_number()) {
            // Firmware whose ids are numbers wants another shape.
            (Err(Error::Rejected { .. }), Some(user_id)) => {
                self.call(StartEnrollNumeric { user_id, finger }).await
            }
            (result, _) => result,
        };
        let result = match started {
            Ok(()) => self.enrolled(patience, &mut told).await,
            Err(error) => Err(error),
        };
        if !self.session.is_dead() {
            // Back to how it was; that matters more than whether each step is liked.
            self.call(Subscribe(EventMask::NONE)).await.ok();
            self.call(CancelCapture).await.ok();
            self.call(StartVerify::default()).await.ok();
        }
        result
    }

    async fn enrolled(
        &mut self,
        patience: Duration,
        told: &mut impl FnMut(&Told),
    ) -> Result<Enrolled, Error> {
        let start = now();
        while let Some(left) = patience.checked_sub(now().duration_since(start)) {
            let Some(event) = self.next_event(left).await? else {
                break;
            };
            let step = event.decode();
            told(&step);
            if let Told::FingerEnrolled(enrolled) = step {
                return Ok(enrolled);
            }
        }
        Err(Error::Timeout {
            during: Code::STARTENROLL,
            after: patience,
        })
    }
}

impl Live {
    /// Waits for what comes next. May be dropped at any time and called again; nothing is lost.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        loop {
            if self.lost.is_some() {
                let lost = self.resume().await?;
                return Ok(Heard::Resumed { lost });
            }
            if let Some(event) = self.client.events.pop_front() {
                if self.is_new(&event) {
                    return Ok(Heard::Event(event));
                }
                continue;
            }
            match self.client.session.poll_output() {
                Output::Transmit(bytes) => {
                    let wait = self.client.session.send_timeout();
                    if let Err(error) = self.client.link.send(&bytes, wait).await {
                        self.lose(error);
                    }
                }
                Output::Event(Event::Answer { ticket, result }) => match self.probe.take() {
                    Some(probe) if probe.id() == ticket => {
                        if let Err(error) = probe.open(ticket, result) {
                            self.lose(error);
                        }
                    }
                    other => self.probe = other,
                },
                Output::Event(event) => self.client.take_event(event),
                Output::Wait(until) => self.wait(until).await,
            }
        }
    }

    /// The connection, for a call between two events. What is told during the call is heard
    /// afterwards.
    pub fn client(&mut self) -> &mut Client {
        if self.probe.take().is_some() {
            // Its answer will be recognised as late by its number.
            self.client.session.abandon();
        }
        &mut self.client
    }

    /// Ends listening and gives the connection back.
    pub async fn stop(mut self) -> Result<Client, Error> {
        self.client().call(Subscribe(EventMask::NONE)).await?;
        Ok(self.client)
    }

    /// Waits for bytes, or for the time to make sure that somebody is there.
    async fn wait(&mut self, until: Option<Instant>) {
        if self.client.session.is_dead() {
            return self.lose(crate::Protocol::Closed.into());
        }
        let probe_at = self.heard.checked_add(self.listen.probe_after);
        if self.probe.is_none() && probe_at.is_some_and(|at| at <= now()) {
            self.probe = Some(self.client.session.submit(ReadClock, now()));
            return;
        }
        // While a probe is under way, its own deadline counts.
        let until = if self.probe.is_some() {
            until
        } else {
            probe_at
        };
        let before = self.client.session.stats().bytes_received;
        if let Err(error) = self.client.receive(until).await {
            return self.lose(error);
        }
        if self.client.session.stats().bytes_received > before {
            self.heard = now();
        }
    }

    fn lose(&mut self, error: Error) {
        self.probe = None;
        self.client
            .session
            .handle_failure(crate::Protocol::Closed.into());
        self.lost.get_or_insert(error);
    }

    /// Connects again, with pauses that grow.
    async fn resume(&mut self) -> Result<Error, Error> {
        loop {
            if self
                .listen
                .attempts
                .is_some_and(|most| self.attempts >= most)
            {
                return Err(self.take_lost());
            }
            self.client.link.check()?;
            let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
            let pause = self.listen.first_pause.saturating_mul(factor);
            sleep(pause.min(self.listen.longest_pause)).await;
            self.attempts = self.attempts.saturating_add(1);
            if self.client.reconnect().await.is_ok() && self.subscribe().await.is_ok() {
                self.attempts = 0;
                self.heard = now();
                self.probe = None;
                return Ok(self.take_lost());
            }
        }
    }

    fn take_lost(&mut self) -> Error {
        self.lost.take().unwrap_or(Error::Timeout {
            during: Code::GET_TIME,
            after: self.listen.probe_after,
        })
    }

    async fn subscribe(&mut self) -> Result<(), Error> {
        // Some terminals tell nothing before they were enabled; others do not know the command.
        match self.client.call(EnableDevice).await {
            Ok(()) | Err(Error::Rejected { .. }) => {}
            Err(error) => return Err(error),
        }
        self.client.call(Subscribe(self.listen.mask)).await
    }

    /// Punches and enrolments are told twice by some firmware. A finger on the sensor may well
    /// come twice.
    fn is_new(&mut self, event: &record::Event) -> bool {
        if !matches!(event.code, EventCode::ATTENDANCE | EventCode::ENROLL_FINGER) {
            return true;
        }
        if self.told.contains(event) {
            return false;
        }
        self.told.truncate(REMEMBERED - 1);
        self.told.push_front(event.clone());
        true
    }
}
