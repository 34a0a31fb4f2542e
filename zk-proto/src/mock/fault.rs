//! What can go wrong.

use std::time::Duration;

use crate::{Code, record::Attendance};

/// Something that goes wrong, always or a number of times.
///
/// ```
/// use zk_proto::{Code, mock::Fault};
///
/// let lossy = Fault::drop_reply(Code::DATA).times(2);
/// let busy = Fault::reject(Code::PREPARE_BUFFER, Code::ERR_NO_DATA).after(1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: Kind,
    /// Only in answer to this command.
    pub(super) on: Option<Code>,
    /// How often it may still happen; `None` for always.
    remaining: Option<u32>,
    /// How often it does not happen before it does.
    skip: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DropAfter(u64),
    Silence,
    DropReply(Code),
    DuplicateReplies,
    Garbage,
    AbsurdLength,
    TruncateLog(usize),
    CorruptChecksum,
    Secured,
    Panel,
    WrongCounters(u32),
    RefuseSlices,
    IgnoreOffsets,
    ForgetDeletes,
    Split,
    Coalesce,
    Reorder,
    WrongNumber,
    Stale,
    EventInside,
    GarbageOptions,
    Reset,
    EarlyAck,
    NoAnnouncement,
    SendAtOnce,
    StrayByte,
    Grow(Vec<Attendance>),
    GrowBy(u32),
    FullRing,
    Delay(Duration),
    Reject(Code),
}

impl Fault {
    /// The connection is closed after the terminal has sent this many bytes from now on; with
    /// [`on`](Self::on), from the answer to that command on (TCP).
    pub fn drop_after(bytes: u64) -> Self {
        Self::new(Kind::DropAfter(bytes))
    }

    /// No answer.
    pub fn silence() -> Self {
        Self::new(Kind::Silence)
    }

    /// Packets with this code are not sent.
    pub fn drop_reply(code: Code) -> Self {
        Self::new(Kind::DropReply(code))
    }

    /// Every packet of an answer is sent twice.
    pub fn duplicate_replies() -> Self {
        Self::new(Kind::DuplicateReplies)
    }

    /// The answer is bytes of no protocol.
    pub fn garbage() -> Self {
        Self::new(Kind::Garbage)
    }

    /// The answer announces a frame of nearly 4 GiB.
    pub fn absurd_length() -> Self {
        Self::new(Kind::AbsurdLength)
    }

    /// The last bytes of the attendance log are missing, while its total still counts them.
    pub fn truncate_log(bytes: usize) -> Self {
        Self::new(Kind::TruncateLog(bytes))
    }

    /// The answer's checksums are wrong.
    pub fn corrupt_checksum() -> Self {
        Self::new(Kind::CorruptChecksum)
    }

    /// CONNECT is answered with 6001, as secured firmware does.
    pub fn secured() -> Self {
        Self::new(Kind::Secured).on(Code::CONNECT)
    }

    /// The answer is one of an access panel.
    pub fn panel() -> Self {
        Self::new(Kind::Panel)
    }

    /// The counters say this number of users and records.
    pub fn wrong_counters(count: u32) -> Self {
        Self::new(Kind::WrongCounters(count))
    }

    /// Slices that do not begin at 0 are refused.
    pub fn refuse_slices() -> Self {
        Self::new(Kind::RefuseSlices).on(Code::READ_BUFFER)
    }

    /// Every slice is served from the beginning of the data set.
    pub fn ignore_offsets() -> Self {
        Self::new(Kind::IgnoreOffsets).on(Code::READ_BUFFER)
    }

    /// Deleting a user is acknowledged and not done.
    pub fn forget_deletes() -> Self {
        Self::new(Kind::ForgetDeletes).on(Code::DELETE_USER)
    }

    /// Every byte of the answer is sent in a write of its own (TCP).
    pub fn split() -> Self {
        Self::new(Kind::Split)
    }

    /// All frames of the answer are sent in one write, also where the terminal is paced (TCP).
    pub fn coalesce() -> Self {
        Self::new(Kind::Coalesce)
    }

    /// Neighbouring packets of the answer change places.
    pub fn reorder() -> Self {
        Self::new(Kind::Reorder)
    }

    /// The answer has the number of no request.
    pub fn wrong_number() -> Self {
        Self::new(Kind::WrongNumber)
    }

    /// Before the answer comes one to the request before, which nobody waits for any more.
    pub fn stale_reply() -> Self {
        Self::new(Kind::Stale)
    }

    /// An event comes between the packets of the answer.
    pub fn event_inside() -> Self {
        Self::new(Kind::EventInside)
    }

    /// Options are answered with bytes that are no text.
    pub fn garbage_options() -> Self {
        Self::new(Kind::GarbageOptions).on(Code::OPTIONS_RRQ)
    }

    /// The connection is reset instead of an answer (TCP); over UDP there is silence.
    pub fn reset() -> Self {
        Self::new(Kind::Reset)
    }

    /// The acknowledgement of a transfer comes before its data.
    pub fn early_acknowledgement() -> Self {
        Self::new(Kind::EarlyAck)
    }

    /// A chunk comes as one data packet, without announcement and acknowledgement.
    pub fn no_announcement() -> Self {
        Self::new(Kind::NoAnnouncement)
    }

    /// The data set is sent at once instead of being prepared.
    pub fn send_at_once() -> Self {
        Self::new(Kind::SendAtOnce).on(Code::PREPARE_BUFFER)
    }

    /// A byte nobody expects stands behind the payload.
    pub fn stray_byte() -> Self {
        Self::new(Kind::StrayByte)
    }

    /// Somebody punches just before the answer.
    pub fn grow(records: Vec<Attendance>) -> Self {
        Self::new(Kind::Grow(records))
    }

    /// Somebody punches so many times just before the answer, a minute apart: whoever punched
    /// last, or else the first user.
    pub fn grow_by(punches: u32) -> Self {
        Self::new(Kind::GrowBy(punches))
    }

    /// The log is full, whatever it holds, and the oldest record goes for each new one.
    pub fn full_ring() -> Self {
        Self::new(Kind::FullRing)
    }

    /// The answer comes late.
    pub fn delay(by: Duration) -> Self {
        Self::new(Kind::Delay(by))
    }

    /// A command is refused with this answer.
    pub fn reject(command: Code, answer: Code) -> Self {
        Self::new(Kind::Reject(answer)).on(command)
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            on: None,
            remaining: None,
            skip: 0,
        }
    }

    /// Only in answer to this command.
    #[must_use]
    pub fn on(mut self, command: Code) -> Self {
        self.on = Some(command);
        self
    }

    /// This often, then never again.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.remaining = Some(times);
        self
    }

    /// Not the first so many times.
    #[must_use]
    pub fn after(mut self, times: u32) -> Self {
        self.skip = times;
        self
    }
}

/// The faults of a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The first fault that applies to an answer to `command` and that `pick` wants; counts as
    /// one occurrence.
    pub(super) fn take<T>(
        &mut self,
        command: Code,
        mut pick: impl FnMut(&Kind) -> Option<T>,
    ) -> Option<T> {
        for fault in &mut self.0 {
            if fault.on.is_some_and(|on| on != command) || fault.remaining == Some(0) {
                continue;
            }
            let Some(found) = pick(&fault.kind) else {
                continue;
            };
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if let Some(remaining) = &mut fault.remaining {
                *remaining -= 1;
            }
            return Some(found);
        }
        None
    }

    /// Whether there is such a fault, which is not used up by asking.
    pub(super) fn has(&self, kind: &Kind) -> bool {
        self.0
            .iter()
            .any(|fault| fault.kind == *kind && fault.remaining != Some(0))
    }

    /// Whether such a fault applies.
    pub(super) fn hit(&mut self, command: Code, kind: &Kind) -> bool {
        self.take(command, |found| (found == kind).then_some(()))
            .is_some()
    }
}
