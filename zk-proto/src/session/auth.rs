//! The handshake: CONNECT, and AUTH where the terminal wants it.

use bytes::{BufMut, BytesMut};

use super::phase::{Context, Next, Step};
use crate::{Code, Error, Protocol, request::Answer};

/// The answer to CONNECT.
pub(super) fn hello(answer: Answer, session_id: u16, context: &Context<'_>) -> Next {
    match answer.code {
        Code::ACK_UNAUTH => {
            let digest = context
                .options
                .comm_key
                .digest(session_id, context.options.tick);
            let mut payload = BytesMut::new();
            payload.put_slice(&digest);
            Next::send(Code::AUTH, payload.freeze(), Step::Proof)
        }
        code if code.is_ok() => Next::Done(Ok(answer)),
        code if code.is_secured() => Next::Fatal(Protocol::Secured { answer: code }.into()),
        code => Next::Fatal(Error::Rejected {
            request: Code::CONNECT,
            answer: code,
        }),
    }
}

/// The answer to AUTH.
pub(super) fn proof(answer: Answer) -> Next {
    match answer.code {
        Code::ACK_UNAUTH => Next::Fatal(Error::WrongCommKey),
        code if code.is_ok() => Next::Done(Ok(answer)),
        code if code.is_secured() => Next::Fatal(Protocol::Secured { answer: code }.into()),
        code => Next::Fatal(Error::Rejected {
            request: Code::AUTH,
            answer: code,
        }),
    }
}
