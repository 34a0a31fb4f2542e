//! The call under way, and when its packet may be sent again.

use std::time::Instant;

use bytes::Bytes;

use super::{Options, TicketId, phase::Step};
use crate::{Code, wire::Transport};

/// The call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ticket: TicketId,
    /// The command that was submitted.
    pub(super) code: Code,
    /// The command that was sent last, and its payload.
    pub(super) sent: Code,
    pub(super) payload: Bytes,
    pub(super) repeatable: bool,
    pub(super) attempts: u8,
    pub(super) reply_id: u16,
    /// When the next packet must be here.
    pub(super) deadline: Instant,
    /// When the whole call must be done.
    pub(super) limit: Option<Instant>,
    pub(super) step: Step,
}

impl Call {
    /// When something must happen.
    pub(super) fn due(&self) -> Instant {
        self.limit
            .map_or(self.deadline, |limit| limit.min(self.deadline))
    }

    /// Only reads, and only over UDP: TCP loses nothing, so silence there means something else.
    pub(super) fn may_repeat(&self, transport: Transport, options: &Options) -> bool {
        transport == Transport::Udp && self.repeatable && self.attempts < options.retries
    }

    /// Takes the step out, to be consumed.
    pub(super) fn take_step(self) -> (Step, Self) {
        let Self { step, .. } = self;
        (
            step,
            Self {
                step: Step::Single,
                ..self
            },
        )
    }
}
