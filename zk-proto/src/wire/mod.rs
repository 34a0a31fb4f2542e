//! Bytes ↔ packets: no session, no clock, no socket.

mod decoded;
mod envelope;
mod framer;
mod packet;
mod text;
mod time;

pub use self::{
    decoded::{Decoded, Decoder, Value, decode_any},
    envelope::{
        ABSOLUTE_MAX_FRAME, DEFAULT_MAX_FRAME, MAGIC, PREFIX_LEN, Prefix, SECURED_MAGIC, Transport,
    },
    framer::Framer,
    packet::{HEADER_LEN, Header, MAX_REPLY_ID, Packet, checksum, encode_packet, next_reply_id},
    text::{Encoding, Name, Text, UnknownEncoding, UserId, cut_at_nul},
    time::{CivilFields, PackedTime},
};
