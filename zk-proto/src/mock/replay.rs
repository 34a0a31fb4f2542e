//! A recorded terminal, answering again.

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::{Cut, Reaction, Received};
use crate::{
    Code,
    recording::{Connection, End, Message, Recording, Side, seal},
    wire::{HEADER_LEN, PREFIX_LEN, Packet, Prefix, Transport, encode_packet},
};

/// What is answered to what was not recorded.
const REFUSAL: Code = Code::ACK_UNKNOWN;

/// The conversations of a recording.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    scripts: Vec<Arc<Script>>,
    /// Connections that were begun, over TCP and over UDP.
    begun: (usize, usize),
    pub(super) not_recorded: Vec<Received>,
}

/// One connection.
#[derive(Debug)]
struct Script {
    transport: Transport,
    exchanges: Vec<Exchange>,
}

/// A request, and what the terminal said before the next one.
#[derive(Debug)]
struct Exchange {
    code: Code,
    reply_id: u16,
    payload: Bytes,
    answer: Vec<Message>,
    end: Option<End>,
}

/// How far a client has followed a script.
#[derive(Debug)]
pub(super) struct Followed {
    script: Arc<Script>,
    /// The exchange behind the last one.
    next: usize,
    /// The numbers of requests while recording, and now.
    numbers: HashMap<u16, u16>,
}

impl Replay {
    pub(super) fn new(recording: &Recording) -> Self {
        let scripts = recording.connections.iter();
        Self {
            scripts: scripts.map(|one| Arc::new(Script::new(one))).collect(),
            begun: (0, 0),
            not_recorded: Vec::new(),
        }
    }

    pub(super) fn commands(&self) -> Vec<Code> {
        let exchanges = self.scripts.iter().flat_map(|script| &script.exchanges);
        exchanges.map(|exchange| exchange.code).collect()
    }

    pub(super) fn answer(
        &mut self,
        followed: &mut Option<Followed>,
        transport: Transport,
        asked: &Received,
    ) -> Reaction {
        // An event was acknowledged.
        if asked.code == Code::ACK_OK {
            return Reaction::default();
        }
        // Over UDP nothing else says that a connection begins.
        let begins = asked.code == Code::CONNECT
            && followed.as_ref().is_some_and(|followed| followed.next > 1);
        if followed.is_none() || begins && transport == Transport::Udp {
            *followed = self.begin(transport);
        }
        let found = followed
            .as_mut()
            .and_then(|followed| followed.find(asked).map(|index| (followed, index)));
        let Some((followed, index)) = found else {
            return self.refuse(transport, asked);
        };
        followed.next = index + 1;
        let script = Arc::clone(&followed.script);
        let Some(exchange) = script.exchanges.get(index) else {
            return Reaction::default();
        };
        followed.numbers.insert(exchange.reply_id, asked.reply_id);
        exchange.play(transport, asked.reply_id, &followed.numbers)
    }

    /// The next connection over this transport; the last one again if there are no more.
    fn begin(&mut self, transport: Transport) -> Option<Followed> {
        let begun = match transport {
            Transport::Tcp => &mut self.begun.0,
            Transport::Udp => &mut self.begun.1,
        };
        let mut scripts = self
            .scripts
            .iter()
            .filter(|script| script.transport == transport);
        let nth = scripts.clone().nth(*begun);
        *begun += 1;
        nth.or_else(|| scripts.next_back()).map(|script| Followed {
            script: Arc::clone(script),
            next: 0,
            numbers: HashMap::new(),
        })
    }

    fn refuse(&mut self, transport: Transport, asked: &Received) -> Reaction {
        let mut frame = BytesMut::new();
        // Clients that give up say goodbye sooner than they did.
        let answer = if asked.code == Code::EXIT {
            Code::ACK_OK
        } else {
            self.not_recorded.push(asked.clone());
            REFUSAL
        };
        encode_packet(
            transport,
            answer,
            asked.session_id,
            asked.reply_id,
            &[],
            &mut frame,
        );
        Reaction {
            frames: vec![frame.freeze()],
            ..Reaction::default()
        }
    }
}

impl Script {
    fn new(connection: &Connection) -> Self {
        let mut exchanges: Vec<Exchange> = Vec::new();
        for message in &connection.messages {
            match message.packet() {
                Some(packet)
                    if message.from == Side::Client && packet.header.code != Code::ACK_OK =>
                {
                    exchanges.push(Exchange {
                        code: packet.header.code,
                        reply_id: packet.header.reply_id,
                        payload: Bytes::copy_from_slice(packet.payload),
                        answer: Vec::new(),
                        end: None,
                    });
                }
                _ if message.from == Side::Terminal => {
                    if let Some(exchange) = exchanges.last_mut() {
                        exchange.answer.push(message.clone());
                    }
                }
                _ => {}
            }
        }
        // A client may have said goodbye to a connection that had ended.
        let last = exchanges
            .iter()
            .rposition(|exchange| !exchange.answer.is_empty());
        let ends = last.or(exchanges.len().checked_sub(1));
        if let Some(exchange) = ends.and_then(|index| exchanges.get_mut(index)) {
            exchange.end = connection.end.map(|(end, _)| end);
        }
        Self {
            transport: connection.transport,
            exchanges,
        }
    }
}

impl Followed {
    /// The exchange that a request is answered with: the next that was the same, or else the last
    /// that was.
    fn find(&self, asked: &Received) -> Option<usize> {
        let all = || self.script.exchanges.iter().enumerate();
        let alike = |(_, exchange): &(usize, &Exchange)| exchange.is(asked);
        let index = |(index, _)| index;
        let next = all().skip(self.next).find(alike).map(index);
        next.or_else(|| all().rev().find(alike).map(index))
    }
}

impl Exchange {
    fn is(&self, asked: &Received) -> bool {
        // A proof depends on the session, a clock on the day.
        let differs = matches!(asked.code, Code::AUTH | Code::SET_TIME);
        self.code == asked.code && (differs || self.payload == asked.payload)
    }

    fn play(&self, transport: Transport, reply_id: u16, numbers: &HashMap<u16, u16>) -> Reaction {
        let mut reaction = Reaction {
            close: self.end == Some(End::Closed),
            reset: self.end == Some(End::Reset) && self.answer.is_empty(),
            cut: Cut::Pieces,
            ..Reaction::default()
        };
        // A reset behind an answer would overtake it.
        reaction.close |= self.end == Some(End::Reset) && !self.answer.is_empty();
        let mut piece = BytesMut::new();
        for message in &self.answer {
            let Some(packet) = message.packet() else {
                piece.extend_from_slice(&message.bytes);
                if transport == Transport::Udp {
                    reaction.frames.push(piece.split().freeze());
                }
                continue;
            };
            let answered = packet.header.reply_id;
            let number = match numbers.get(&answered) {
                _ if packet.header.code == Code::REG_EVENT => answered,
                Some(number) => *number,
                // As far from the request as it was.
                None => reply_id.wrapping_add(answered.wrapping_sub(self.reply_id)),
            };
            let bytes = renumbered(&packet, number);
            if transport == Transport::Udp {
                reaction.frames.push(bytes);
                continue;
            }
            let mut frame = BytesMut::with_capacity(PREFIX_LEN + bytes.len());
            // Packets have at most 16 MiB.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            Prefix { length }.encode(&mut frame);
            frame.extend_from_slice(&bytes);
            let mut start = 0;
            for at in &message.cut {
                piece.extend_from_slice(frame.get(start..*at).unwrap_or(&[]));
                if !piece.is_empty() {
                    reaction.frames.push(piece.split().freeze());
                }
                start = start.max(*at);
            }
            piece.extend_from_slice(frame.get(start..).unwrap_or(&[]));
        }
        if !piece.is_empty() {
            reaction.frames.push(piece.freeze());
        }
        reaction
    }
}

/// The same packet under another number; a checksum that was wrong stays wrong.
fn renumbered(packet: &Packet<'_>, number: u16) -> Bytes {
    let mut bytes = BytesMut::from(packet.as_bytes());
    if let Some(field) = bytes.get_mut(HEADER_LEN - 2..HEADER_LEN) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    seal(&mut bytes, packet);
    bytes.freeze()
}
