//! Where a call stands. A step is consumed by a packet and gives the next.

use bytes::{Bytes, BytesMut};

use super::{
    Options, Progress, auth,
    transfer::{Flow, Inbound, Reading},
};
use crate::{
    Code, Error, Protocol,
    request::{Answer, FreeBuffer, Prepared, ReadBuffer, Request},
    wire::{Packet, Transport},
};

/// What every step may look at.
pub(super) struct Context<'a> {
    pub(super) transport: Transport,
    pub(super) options: &'a Options,
    /// The command that was sent last.
    pub(super) sent: Code,
}

/// Where a call stands. It moves with every packet, so what is large is boxed.
#[derive(Debug)]
pub(super) enum Step {
    /// CONNECT was sent.
    Hello,
    /// AUTH was sent.
    Proof,
    /// A request with a single answer was sent.
    Single,
    /// A request was sent whose answer may come in parts.
    Transfer(Box<Inbound>),
    /// A bulk read: 1503 was sent.
    Preparing(Box<Inbound>),
    /// 1504 was sent, for a slice or for a bulk read.
    Reading(Box<Reading>),
    /// 1502 was sent; the result is already known.
    Freeing(Box<Result<Answer, Error>>),
}

/// What to do next.
pub(super) enum Next {
    /// Wait for another packet.
    Stay(Step),
    /// Send a packet.
    Send {
        code: Code,
        payload: Bytes,
        step: Step,
        progress: Option<Progress>,
    },
    /// The call has ended.
    Done(Result<Answer, Error>),
    /// The call has ended, and so has the session.
    Fatal(Error),
}

impl Next {
    pub(super) fn send(code: Code, payload: Bytes, step: Step) -> Self {
        Self::Send {
            code,
            payload,
            step,
            progress: None,
        }
    }

    fn free(result: Result<Answer, Error>) -> Self {
        Self::send(
            FreeBuffer::CODE,
            Bytes::new(),
            Step::Freeing(Box::new(result)),
        )
    }
}

impl Step {
    /// The beginning of a call whose answer may come in parts.
    pub(super) fn transfer(context: &Context<'_>) -> Self {
        Self::Transfer(Box::new(Inbound::whole(context)))
    }

    /// The beginning of a bulk read.
    pub(super) fn prepare(context: &Context<'_>) -> Self {
        Self::Preparing(Box::new(Inbound::whole(context)))
    }

    /// The beginning of a slice, with the payload of its first request.
    pub(super) fn slice(slice: ReadBuffer, context: &Context<'_>) -> (Bytes, Self) {
        let reading = Box::new(Reading::new(slice.offset, slice.len, false, context));
        (reading.request(), Self::Reading(reading))
    }

    /// A packet with the call's reply id has come.
    pub(super) fn packet(
        self,
        packet: &Packet<'_>,
        session_id: u16,
        context: &Context<'_>,
    ) -> Next {
        match self {
            Self::Hello => auth::hello(single(packet), session_id, context),
            Self::Proof => auth::proof(single(packet)),
            Self::Single => {
                let answer = single(packet);
                match answer.code {
                    code if code.is_ok() || code == Code::DATA => Next::Done(Ok(answer)),
                    code => Next::Done(Err(refusal(context.sent, code))),
                }
            }
            Self::Transfer(mut inbound) => match inbound.packet(packet, session_id, context.sent) {
                Ok(Flow::More) => Next::Stay(Self::Transfer(inbound)),
                Ok(Flow::Answer(answer)) => Next::Done(Ok(answer)),
                Ok(Flow::Complete) => Next::Done(Ok(inbound.into_answer())),
                Err(error) => Next::Done(Err(inbound.partial(error))),
            },
            Self::Preparing(mut inbound) => {
                match inbound.packet(packet, session_id, context.sent) {
                    Ok(Flow::More) => Next::Stay(Self::Preparing(inbound)),
                    Ok(Flow::Answer(answer)) => prepared(&answer, context),
                    Ok(Flow::Complete) => Next::Done(Ok(inbound.into_answer())),
                    Err(error) => Next::Done(Err(inbound.partial(error))),
                }
            }
            Self::Reading(mut reading) => match reading.packet(packet, session_id, context.sent) {
                Ok(Flow::More) => Next::Stay(Self::Reading(reading)),
                Ok(_) => chunk_done(reading),
                Err(error) => read_failed(*reading, error),
            },
            Self::Freeing(result) => Next::Done(*result),
        }
    }

    /// Whether all bytes of a transfer are here and only its acknowledgement is missing.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Transfer(inbound) | Self::Preparing(inbound) => inbound.is_settled(),
            Self::Reading(reading) => reading.is_settled(),
            _ => false,
        }
    }

    /// The acknowledgement did not come: go on without it.
    pub(super) fn settle(self) -> Next {
        match self {
            Self::Transfer(inbound) | Self::Preparing(inbound) => {
                Next::Done(Ok(inbound.into_answer()))
            }
            Self::Reading(reading) => chunk_done(reading),
            other => Next::Stay(other),
        }
    }

    /// The step as it was before any answer, for a repeated request.
    pub(super) fn again(self) -> Self {
        match self {
            Self::Transfer(inbound) => Self::Transfer(Box::new(inbound.again())),
            Self::Preparing(inbound) => Self::Preparing(Box::new(inbound.again())),
            Self::Reading(reading) => Self::Reading(Box::new(reading.again())),
            other => other,
        }
    }

    /// How the call ends when no answer will come: with an error that holds whatever had arrived.
    /// Once everything has arrived, what happens to the rest of the conversation changes nothing.
    pub(super) fn end(self, error: Error) -> Result<Answer, Error> {
        Err(match self {
            Self::Transfer(inbound) | Self::Preparing(inbound) => inbound.partial(error),
            Self::Reading(reading) => reading.partial(error),
            Self::Freeing(result) => return *result,
            Self::Hello | Self::Proof | Self::Single => error,
        })
    }
}

/// The error for a code that is no success.
pub(super) fn refusal(request: Code, answer: Code) -> Error {
    match answer {
        code if code.is_secured() => Protocol::Secured { answer: code }.into(),
        answer => Error::Rejected { request, answer },
    }
}

/// A packet as an answer of its own.
pub(super) fn single(packet: &Packet<'_>) -> Answer {
    Answer {
        code: packet.header.code,
        session: packet.header.session,
        payload: Bytes::copy_from_slice(packet.payload),
    }
}

/// The answer to 1503: the data set itself, or its size.
fn prepared(answer: &Answer, context: &Context<'_>) -> Next {
    let prepared = match Prepared::parse(answer) {
        Ok(prepared) => prepared,
        Err(error) => return Next::free(Err(error.into())),
    };
    if let Some(payload) = prepared.inline {
        let session = answer.session;
        return Next::Done(Ok(Answer {
            code: Code::DATA,
            session,
            payload,
        }));
    }
    let limit = context.options.max_data_set;
    if prepared.size > limit {
        let error = Protocol::DataSetTooLarge {
            announced: prepared.size,
            limit,
        };
        return Next::free(Err(error.into()));
    }
    let reading = Box::new(Reading::new(0, prepared.size, true, context));
    if prepared.size == 0 {
        return Next::free(Ok(reading.into_answer()));
    }
    let progress = Some(reading.progress());
    Next::Send {
        code: ReadBuffer::CODE,
        payload: reading.request(),
        step: Step::Reading(reading),
        progress,
    }
}

fn chunk_done(mut reading: Box<Reading>) -> Next {
    match reading.chunk_done() {
        Err(error) => read_failed(*reading, error),
        Ok(false) => {
            let progress = Some(reading.progress());
            Next::Send {
                code: ReadBuffer::CODE,
                payload: reading.request(),
                step: Step::Reading(reading),
                progress,
            }
        }
        Ok(true) => {
            let progress = Some(reading.progress());
            if !reading.frees() {
                return Next::Done(Ok(reading.into_answer()));
            }
            let result = Box::new(Ok(reading.into_answer()));
            Next::Send {
                code: FreeBuffer::CODE,
                payload: Bytes::new(),
                step: Step::Freeing(result),
                progress,
            }
        }
    }
}

fn read_failed(reading: Reading, error: Error) -> Next {
    let frees = reading.frees();
    let error = reading.partial(error);
    if frees {
        Next::free(Err(error))
    } else {
        Next::Done(Err(error))
    }
}

/// An empty buffer whose room follows from an announced size, within reason.
pub(super) fn buffer(announced: u32) -> BytesMut {
    const MOST: u32 = 16 << 20;
    BytesMut::with_capacity(announced.min(MOST) as usize)
}
