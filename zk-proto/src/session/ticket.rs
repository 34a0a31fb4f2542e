//! The caller's half of a call.

use crate::{
    Error, Misuse,
    request::{Answer, Request},
};

/// Number of a call within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TicketId(pub(super) u64);

/// Proof of a submitted call; knows how to read its answer.
#[derive(Debug)]
#[must_use = "the answer can only be read with the ticket"]
pub struct Ticket<R> {
    pub(super) id: TicketId,
    pub(super) request: R,
}

impl<R: Request> Ticket<R> {
    /// Number of the call.
    pub fn id(&self) -> TicketId {
        self.id
    }

    /// Reads the answer that came for this call.
    pub fn open(self, ticket: TicketId, result: Result<Answer, Error>) -> Result<R::Reply, Error> {
        if ticket != self.id {
            return Err(Misuse::WrongTicket.into());
        }
        Ok(self.request.decode(result?)?)
    }
}
