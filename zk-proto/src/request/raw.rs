//! Any other command.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Answer, Request};
use crate::{Code, DecodeError};

/// A command with a payload of the caller's making; the answer comes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The command.
    pub code: Code,
    /// Its payload.
    pub payload: Bytes,
}

impl Request for Raw {
    type Reply = Answer;
    /// Not used: [`code`](Self::code) is sent.
    const CODE: Code = Code(0);

    fn code(&self) -> Code {
        self.code
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.payload);
    }

    fn decode(&self, answer: Answer) -> Result<Answer, DecodeError> {
        Ok(answer)
    }
}
