//! Data that comes in parts: announcement, data packets, acknowledgement.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{
    Progress,
    phase::{Context, buffer, refusal, single},
};
use crate::{
    Code, Error, Protocol,
    request::{Announcement, Answer, ReadBuffer, Request},
    wire::{Packet, Transport},
};

/// What a packet did to a transfer.
#[derive(Debug)]
pub(super) enum Flow {
    /// More packets are needed.
    More,
    /// The packet is the answer: nothing was transferred.
    Answer(Answer),
    /// All data is here.
    Complete,
}

/// One transfer.
#[derive(Debug)]
pub(super) struct Inbound {
    transport: Transport,
    /// Bytes asked for; `None` if the terminal decides.
    requested: Option<u32>,
    limit: u32,
    announced: Option<u32>,
    /// The acknowledgement came; over UDP it may overtake the data.
    acknowledged: bool,
    /// What had been collected by earlier transfers of the same read, and this one's data behind
    /// it. Over UDP this one's data is in `parts` until it is complete.
    data: BytesMut,
    base: usize,
    /// Over TCP: number of each packet, and where in `data` it begins.
    order: Vec<(u16, usize)>,
    parts: BTreeMap<u16, Bytes>,
    parts_len: usize,
    /// Datagrams came that do not belong together: only asking again helps.
    spoiled: bool,
}

impl Inbound {
    /// The transfer of something whose size the terminal decides.
    pub(super) fn whole(context: &Context<'_>) -> Self {
        Self::new(
            context.transport,
            None,
            context.options.max_data_set,
            BytesMut::new(),
        )
    }

    fn new(transport: Transport, requested: Option<u32>, limit: u32, data: BytesMut) -> Self {
        Self {
            transport,
            requested,
            limit,
            announced: None,
            acknowledged: false,
            base: data.len(),
            data,
            order: Vec::new(),
            parts: BTreeMap::new(),
            parts_len: 0,
            spoiled: false,
        }
    }

    /// Takes a packet that answers the command `sent`.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        session_id: u16,
        sent: Code,
    ) -> Result<Flow, Error> {
        match packet.header.code {
            Code::PREPARE_DATA => self.announce(packet.payload),
            Code::DATA => self.collect(packet, session_id),
            code if code.is_ok() => self.acknowledge(packet),
            code => Err(refusal(sent, code)),
        }
    }

    /// Whether only the acknowledgement is missing, or the announcement of a datagram that may
    /// well be the whole answer.
    pub(super) fn is_settled(&self) -> bool {
        self.announced.is_some_and(|total| self.is_whole(total))
            || self.is_lone_datagram()
            || self.is_nothing()
    }

    /// "Nothing" was said, and nothing came.
    fn is_nothing(&self) -> bool {
        self.acknowledged
            && self.announced.is_none()
            && self.requested.is_none()
            && self.parts.is_empty()
    }

    /// A datagram came that is part of a transfer, by its session field, and nothing else yet.
    fn is_lone_datagram(&self) -> bool {
        self.announced.is_none() && self.requested.is_none() && self.parts.len() == 1
    }

    /// Whether all bytes are here, and over UDP all numbers between the first and the last.
    fn is_whole(&self, total: u32) -> bool {
        let numbers = match (self.parts.keys().next(), self.parts.keys().next_back()) {
            (Some(first), Some(last)) => usize::from(last - first) + 1,
            _ => 0,
        };
        !self.spoiled && self.received() >= total && numbers == self.parts.len()
    }

    /// The transfer as it was before its first packet.
    pub(super) fn again(mut self) -> Self {
        self.data.truncate(self.base);
        Self::new(self.transport, self.requested, self.limit, self.data)
    }

    pub(super) fn into_answer(mut self) -> Answer {
        self.join();
        Answer {
            code: Code::DATA,
            session: 0,
            payload: self.data.freeze(),
        }
    }

    pub(super) fn partial(mut self, error: Error) -> Error {
        self.join();
        incomplete(self.data, self.announced, error)
    }

    fn announce(&mut self, payload: &[u8]) -> Result<Flow, Error> {
        let total = Announcement::parse(payload)?.total;
        if self.announced.is_some() {
            // Repeated by the network or the terminal.
            return Ok(Flow::More);
        }
        if total > self.limit {
            return Err(Protocol::DataSetTooLarge {
                announced: total,
                limit: self.limit,
            }
            .into());
        }
        if self.data.capacity() == 0 {
            self.data = buffer(total);
        }
        self.announced = Some(total);
        // A datagram that came before and is longer belongs to something else.
        self.spoiled |= self.parts_len > total as usize;
        // Datagrams overtake each other: the data may be here already.
        Ok(self.after_data())
    }

    fn collect(&mut self, packet: &Packet<'_>, session_id: u16) -> Result<Flow, Error> {
        if self.announced.is_none() && self.requested.is_none() && self.transport == Transport::Tcp
        {
            // Inline: the whole data set in the answer itself.
            return Ok(Flow::Answer(single(packet)));
        }
        match self.transport {
            Transport::Tcp => self.collect_frame(packet)?,
            Transport::Udp => return Ok(self.collect_datagram(packet, session_id)),
        }
        Ok(self.after_data())
    }

    /// Over TCP the order is that of the stream. A frame that comes twice is one, if its number or the
    /// lack of room says so: firmware that does not number may well send two alike.
    fn collect_frame(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let (number, payload) = (packet.header.session, packet.payload);
        if number > 0 {
            // Now that packets are seen to be numbered, the first is seen to have come twice.
            self.forget_repeated_first();
        }
        let room = self.check_room(payload.len());
        if let [(first, _), .., (last, start)] | [(first @ last, start)] = self.order[..] {
            let same = number == last && self.data.get(start..) == Some(payload);
            let counts = || {
                let numbers = self.order.iter().map(|(number, _)| number);
                first == 0 && last > 0 && numbers.is_sorted_by(|a, b| a < b)
            };
            if same && (room.is_err() || counts()) {
                return Ok(());
            }
        }
        room?;
        if !payload.is_empty() {
            self.order.push((number, self.data.len()));
            self.data.extend_from_slice(payload);
        }
        Ok(())
    }

    /// Takes the second of two packets away, if both have the number 0 and the same bytes.
    fn forget_repeated_first(&mut self) {
        if let [(0, first), (0, again)] = self.order[..]
            && self.data.get(first..again) == self.data.get(again..)
        {
            self.data.truncate(again);
            self.order.truncate(1);
        }
    }

    /// Over UDP the session field tells the order, and a repeated index is dropped. What is not
    /// announced is the answer itself if it has the session's id, and else has overtaken the
    /// announcement.
    fn collect_datagram(&mut self, packet: &Packet<'_>, session_id: u16) -> Flow {
        let index = packet.header.session;
        if self.announced.is_none() && self.requested.is_none() && index == session_id {
            return Flow::Answer(single(packet));
        }
        if self.parts.contains_key(&index) {
            return Flow::More;
        }
        if self.check_room(packet.payload.len()).is_err() {
            self.spoiled = true;
            return Flow::More;
        }
        self.parts_len += packet.payload.len();
        self.parts
            .insert(index, Bytes::copy_from_slice(packet.payload));
        self.after_data()
    }

    fn after_data(&self) -> Flow {
        match (self.announced, self.requested) {
            // A chunk without announcement has no acknowledgement either.
            (None, Some(requested)) if self.is_whole(requested) => Flow::Complete,
            (Some(total), _) if self.acknowledged && self.is_whole(total) => Flow::Complete,
            _ => Flow::More,
        }
    }

    fn acknowledge(&mut self, packet: &Packet<'_>) -> Result<Flow, Error> {
        let received = self.received();
        match self.announced {
            None if received == 0 && !self.may_be_overtaken(packet) => {
                Ok(Flow::Answer(single(packet)))
            }
            None if self.transport == Transport::Udp => {
                self.acknowledged = true;
                Ok(Flow::More)
            }
            None => Ok(Flow::Complete),
            Some(total) if self.is_whole(total) => Ok(Flow::Complete),
            // Datagrams overtake each other.
            Some(_) if self.transport == Transport::Udp => {
                self.acknowledged = true;
                Ok(Flow::More)
            }
            Some(announced) => Err(Protocol::ShortTransfer {
                announced,
                received,
            }
            .into()),
        }
    }

    /// An acknowledgement without payload says "nothing", or has overtaken a whole transfer.
    fn may_be_overtaken(&self, packet: &Packet<'_>) -> bool {
        self.transport == Transport::Udp && packet.payload.is_empty()
    }

    fn check_room(&self, more: usize) -> Result<(), Error> {
        let room = self.announced.or(self.requested).unwrap_or(self.limit);
        let received = self.received().saturating_add(length(more));
        if received > room {
            return Err(Protocol::LongTransfer {
                announced: room,
                received,
            }
            .into());
        }
        Ok(())
    }

    /// Bytes of this transfer.
    fn received(&self) -> u32 {
        length(self.data.len() - self.base + self.parts_len)
    }

    /// Over TCP packets come in order, and not every firmware numbers them. But where the numbers are
    /// those from 0 on in another order, they are meant: some firmware sends photos like that. And of a
    /// transfer that is not whole, a gap in the numbers ends what can be used.
    fn sort(&mut self) {
        let whole = match self.announced.or(self.requested) {
            Some(total) => self.received() >= total,
            None => true,
        };
        if !whole {
            self.forget_repeated_first();
        }
        let order = std::mem::take(&mut self.order);
        if whole && order.is_sorted() {
            return;
        }
        let starts = order.iter().map(|(_, start)| *start).skip(1);
        let ends: Vec<usize> = starts.chain([self.data.len()]).collect();
        let mut packets: Vec<_> = order.into_iter().zip(ends).collect();
        packets.sort_unstable();
        let number = |packet: &((u16, usize), usize)| packet.0.0;
        let numbered = packets.len() > 1 && packets.is_sorted_by(|a, b| number(a) < number(b));
        let row = packets.iter().map(number).zip(0_u16..);
        let in_a_row = row.take_while(|(number, place)| number == place).count();
        if !numbered || (whole && in_a_row < packets.len()) {
            return;
        }
        let unsorted = self.data.split_off(self.base);
        for ((_, start), end) in packets.into_iter().take(in_a_row) {
            let packet = unsorted.get(start - self.base..end - self.base);
            self.data.extend_from_slice(packet.unwrap_or(&[]));
        }
    }

    /// Moves the datagrams behind the data, as far as there is no gap.
    fn join(&mut self) {
        self.sort();
        let whole = self.is_lone_datagram()
            || self
                .announced
                .or(self.requested)
                .is_some_and(|total| self.is_whole(total));
        let parts = std::mem::take(&mut self.parts);
        for ((index, part), expected) in parts.into_iter().zip(0_u16..) {
            if !whole && index != expected {
                break;
            }
            self.data.extend_from_slice(&part);
        }
        if let Some(total) = self.announced {
            self.data.truncate(self.base + total as usize);
        }
        self.parts_len = 0;
    }
}

/// A read in chunks.
#[derive(Debug)]
pub(super) struct Reading {
    /// Where in the prepared data set the read begins.
    offset: u32,
    /// Bytes wanted.
    len: u32,
    max_chunk: u32,
    limit: u32,
    /// Whether the buffer is freed at the end.
    frees: bool,
    inbound: Inbound,
}

impl Reading {
    pub(super) fn new(offset: u32, len: u32, frees: bool, context: &Context<'_>) -> Self {
        let max_chunk = context.options.max_chunk.max(1);
        let limit = context.options.max_data_set;
        let requested = Some(len.min(max_chunk));
        let inbound = Inbound::new(context.transport, requested, limit, buffer(len));
        Self {
            offset,
            len,
            max_chunk,
            limit,
            frees,
            inbound,
        }
    }

    /// The payload of the request for the current chunk.
    pub(super) fn request(&self) -> Bytes {
        let done = length(self.inbound.base);
        let chunk = ReadBuffer {
            offset: self.offset.saturating_add(done),
            len: self.inbound.requested.unwrap_or(0),
        };
        let mut payload = BytesMut::new();
        chunk.encode(&mut payload);
        payload.freeze()
    }

    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        session_id: u16,
        sent: Code,
    ) -> Result<Flow, Error> {
        self.inbound.packet(packet, session_id, sent)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.inbound.is_settled()
    }

    pub(super) fn again(mut self) -> Self {
        self.inbound = self.inbound.again();
        self
    }

    pub(super) fn frees(&self) -> bool {
        self.frees
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            received: length(self.inbound.data.len()),
            total: self.len,
        }
    }

    /// Ends the current chunk and begins the next; `true` if there is none. A chunk may be shorter
    /// than asked for, but not empty.
    pub(super) fn chunk_done(&mut self) -> Result<bool, Error> {
        self.inbound.join();
        self.cut_surplus();
        let received = length(self.inbound.data.len());
        if received >= self.len && !self.repeats_the_beginning() {
            return Ok(true);
        }
        if self.inbound.data.len() == self.inbound.base {
            return Err(Protocol::ShortTransfer {
                announced: self.len,
                received,
            }
            .into());
        }
        if self.repeats_the_beginning() {
            self.inbound.data.truncate(self.inbound.base);
            return Err(Protocol::OffsetsIgnored.into());
        }
        let data = std::mem::take(&mut self.inbound.data);
        let requested = Some((self.len - received).min(self.max_chunk));
        self.inbound = Inbound::new(self.inbound.transport, requested, self.limit, data);
        Ok(false)
    }

    /// Whether a later chunk is the first one once more: the total that a data set begins with
    /// stands nowhere else with the same records behind it.
    fn repeats_the_beginning(&self) -> bool {
        const ENOUGH: usize = 16;
        let (before, chunk) = self.halves();
        self.offset == 0
            && chunk.len() >= ENOUGH
            && before.starts_with(chunk)
            && chunk.iter().any(|byte| chunk.first() != Some(byte))
    }

    /// What earlier chunks brought, and the current one.
    fn halves(&self) -> (&[u8], &[u8]) {
        let data = &self.inbound.data;
        data.split_at_checked(self.inbound.base)
            .unwrap_or((data, &[]))
    }

    pub(super) fn into_answer(self) -> Answer {
        self.inbound.into_answer()
    }

    pub(super) fn partial(mut self, error: Error) -> Error {
        self.inbound.join();
        self.cut_surplus();
        let (before, chunk) = self.halves();
        if self.offset == 0 && before.starts_with(chunk) {
            // Perhaps the beginning once more: too little came to tell.
            self.inbound.data.truncate(self.inbound.base);
        }
        incomplete(self.inbound.data, Some(self.len), error)
    }

    /// A terminal may announce and send more than the chunk that was asked for; it is not ours.
    fn cut_surplus(&mut self) {
        let requested = self.inbound.requested.unwrap_or(0) as usize;
        self.inbound.data.truncate(self.inbound.base + requested);
    }
}

/// An error with the data that had arrived, if any had.
fn incomplete(data: BytesMut, total: Option<u32>, error: Error) -> Error {
    if data.is_empty() {
        return error;
    }
    Error::Incomplete {
        data: data.freeze(),
        total,
        source: Box::new(error),
    }
}

/// Lengths are bounded by `max_data_set`, a `u32`.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
