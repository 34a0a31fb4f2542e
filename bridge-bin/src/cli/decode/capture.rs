//! Capture files, classic and pcapng: what terminals and their clients sent, by whom and when.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Utc};
use etherparse::defrag::IpDefragPool;
use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TcpSlice,
    TransportSlice, UdpSlice,
};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

/// Bytes of the file that are read at once.
const BUFFER: usize = 64 << 10;
/// The longest block that is believed; captured packets have at most 256 KiB.
const LONGEST_BLOCK: usize = 16 << 20;
/// Interfaces of one section that are remembered.
const MOST_INTERFACES: usize = 4_096;
/// Fragments that wait for the others of their datagram, at most twice as many; each up to 64 KiB.
const MOST_FRAGMENTS: u64 = 256;

/// The first bytes of all kinds of captures: classic in both byte orders with micro- and nanoseconds, and pcapng.
const MAGICS: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// Whether these are the first bytes of a capture.
pub(super) fn is_capture(bytes: &[u8]) -> bool {
    MAGICS.iter().any(|magic| bytes.starts_with(magic))
}

/// What was captured of one datagram or segment.
#[derive(Debug)]
pub(super) struct Caught<'a> {
    pub(super) time: Option<DateTime<Utc>>,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) body: Body<'a>,
}

#[derive(Debug)]
pub(super) enum Body<'a> {
    Udp(&'a [u8]),
    Tcp(Segment<'a>),
}

#[derive(Debug)]
pub(super) struct Segment<'a> {
    /// Number of the first byte, or of the SYN before it.
    pub(super) sequence: u32,
    pub(super) is_syn: bool,
    pub(super) payload: &'a [u8],
}

/// How reading a capture ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// The file ends inside a packet.
    Truncated,
    /// What follows is no capture any more.
    Damaged,
    /// It never was one.
    NoCapture,
    /// The file cannot be read on.
    Unreadable,
}

/// Reads a capture and hands out what was sent over TCP and UDP.
pub(super) fn read(input: impl Read + Send, mut take: impl FnMut(Caught<'_>)) -> End {
    let mut reader = match create_reader(BUFFER, Filling(input)) {
        Ok(reader) => reader,
        Err(PcapError::ReadError) => return End::Unreadable,
        Err(PcapError::Incomplete(_)) => return End::Truncated,
        Err(_) => return End::NoCapture,
    };
    let mut layout = Layout::default();
    let (mut capacity, mut held) = (BUFFER, None);
    loop {
        let stuck = match reader.next() {
            Ok((length, block)) => {
                layout.block(&block, &mut take);
                reader.consume(length);
                held = None;
                continue;
            }
            Err(PcapError::Eof) => return End::Whole,
            Err(PcapError::UnexpectedEof) => return End::Truncated,
            Err(PcapError::ReadError) => return End::Unreadable,
            Err(PcapError::Incomplete(_)) => false,
            Err(PcapError::BufferTooSmall) => true,
            Err(_) => return End::Damaged,
        };
        let available = Some(reader.data().len());
        if stuck || held == available {
            if capacity >= LONGEST_BLOCK {
                return End::Damaged;
            }
            capacity *= 2;
            reader.grow(capacity);
        }
        held = available;
        if reader.refill().is_err() {
            return End::Unreadable;
        }
    }
}

/// Reads as much as there is room for: the parser takes a short read for the end.
struct Filling<R>(R);

impl<R: Read> Read for Filling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
            match self.0.read(room) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }
}

/// What the file says about the packets in it.
#[derive(Default)]
struct Layout {
    link: Linktype,
    has_nanoseconds: bool,
    interfaces: Vec<Interface>,
    fragments: Fragments,
}

struct Interface {
    link: Linktype,
    /// Units per second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

impl Layout {
    fn block(&mut self, block: &PcapBlockOwned<'_>, take: &mut impl FnMut(Caught<'_>)) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.link = header.network;
                self.has_nanoseconds = header.is_nanosecond_precision();
            }
            PcapBlockOwned::Legacy(packet) => {
                let unit = if self.has_nanoseconds { 1 } else { 1_000 };
                let nanoseconds = packet.ts_usec.saturating_mul(unit);
                let time = DateTime::from_timestamp(packet.ts_sec.into(), nanoseconds);
                self.packet(self.link, time, packet.data, take);
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.interfaces.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                if self.interfaces.len() < MOST_INTERFACES {
                    self.interfaces.push(Interface {
                        link: interface.linktype,
                        resolution: interface.ts_resolution().unwrap_or(1_000_000),
                        offset: interface.if_tsoffset,
                    });
                }
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                let Some(interface) = self.interfaces.get(index) else {
                    return;
                };
                let time = interface.time(packet.ts_high, packet.ts_low);
                let length = usize::try_from(packet.caplen).unwrap_or(usize::MAX);
                let data = packet.data.get(..length).unwrap_or(packet.data);
                self.packet(interface.link, time, data, take);
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                if let Some(interface) = self.interfaces.first() {
                    self.packet(interface.link, None, packet.data, take);
                }
            }
            PcapBlockOwned::NG(_) => {}
        }
    }

    fn packet(
        &mut self,
        link: Linktype,
        time: Option<DateTime<Utc>>,
        data: &[u8],
        take: &mut impl FnMut(Caught<'_>),
    ) {
        let Some(start) = Start::of(link, data) else {
            return;
        };
        let Some(packet) = start.lax() else { return };
        let Some((source, destination, is_fragment)) = addresses(&packet) else {
            return;
        };
        let mut hand_out = |transport: Option<Transport<'_>>| {
            if let Some((from, to, body)) = transport {
                take(Caught {
                    time,
                    source: SocketAddr::new(source, from),
                    destination: SocketAddr::new(destination, to),
                    body,
                });
            }
        };
        if is_fragment {
            if let Some((number, payload)) = self.fragments.add(&start) {
                hand_out(match number {
                    IpNumber::TCP => TcpSlice::from_slice(&payload)
                        .ok()
                        .map(|segment| tcp(&segment)),
                    IpNumber::UDP => UdpSlice::from_slice_lax(&payload)
                        .ok()
                        .map(|datagram| udp(&datagram)),
                    _ => None,
                });
            }
            return;
        }
        hand_out(match &packet.transport {
            Some(TransportSlice::Tcp(segment)) => Some(tcp(segment)),
            Some(TransportSlice::Udp(datagram)) => Some(udp(datagram)),
            _ => None,
        });
    }
}

impl Interface {
    fn time(&self, high: u32, low: u32) -> Option<DateTime<Utc>> {
        let units = u64::from(high) << 32 | u64::from(low);
        let resolution = self.resolution.max(1);
        let seconds = i64::try_from(units / resolution)
            .ok()?
            .checked_add(self.offset)?;
        let rest = u128::from(units % resolution) * 1_000_000_000 / u128::from(resolution);
        DateTime::from_timestamp(seconds, u32::try_from(rest).ok()?)
    }
}

/// Where in a captured packet the network layer begins.
enum Start<'a> {
    Ethernet(&'a [u8]),
    Typed(EtherType, &'a [u8]),
    Ip(&'a [u8]),
}

impl<'a> Start<'a> {
    fn of(link: Linktype, data: &'a [u8]) -> Option<Self> {
        /// What some systems call raw IP.
        const OTHER_RAW: [Linktype; 2] = [Linktype(12), Linktype(14)];
        let typed = |at: usize, rest: usize| {
            let kind = data.get(at..)?.first_chunk()?;
            Some(Self::Typed(
                EtherType(u16::from_be_bytes(*kind)),
                data.get(rest..)?,
            ))
        };
        match link {
            Linktype::ETHERNET => Some(Self::Ethernet(data)),
            Linktype::LINUX_SLL => typed(14, 16),
            Linktype::LINUX_SLL2 => typed(0, 20),
            // The family differs between systems; the version in the packet does not.
            Linktype::NULL | Linktype::LOOP => data.get(4..).map(Self::Ip),
            Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => Some(Self::Ip(data)),
            link if OTHER_RAW.contains(&link) => Some(Self::Ip(data)),
            _ => None,
        }
    }

    /// As much of it as was captured.
    fn lax(&self) -> Option<LaxSlicedPacket<'a>> {
        match self {
            Self::Ethernet(data) => LaxSlicedPacket::from_ethernet(data).ok(),
            Self::Typed(kind, data) => Some(LaxSlicedPacket::from_ether_type(*kind, data)),
            Self::Ip(data) => LaxSlicedPacket::from_ip(data).ok(),
        }
    }

    fn strict(&self) -> Option<SlicedPacket<'a>> {
        match self {
            Self::Ethernet(data) => SlicedPacket::from_ethernet(data).ok(),
            Self::Typed(kind, data) => SlicedPacket::from_ether_type(*kind, data).ok(),
            Self::Ip(data) => SlicedPacket::from_ip(data).ok(),
        }
    }
}

/// Datagrams that came in parts.
#[derive(Default)]
struct Fragments {
    pool: IpDefragPool<u64>,
    seen: u64,
}

impl Fragments {
    /// The payload of the datagram, if this was the last part of it.
    fn add(&mut self, start: &Start<'_>) -> Option<(IpNumber, Vec<u8>)> {
        let packet = start.strict()?;
        self.seen += 1;
        if self.seen.is_multiple_of(MOST_FRAGMENTS) {
            let oldest = self.seen - MOST_FRAGMENTS;
            self.pool.retain(|seen| *seen > oldest);
        }
        if matches!(packet.net, Some(NetSlice::Arp(_)) | None) {
            return None;
        }
        let whole = self
            .pool
            .process_sliced_packet(&packet, self.seen, ())
            .ok()??;
        Some((whole.ip_number, whole.payload))
    }
}

/// Source, destination, and whether it is a fragment.
fn addresses(packet: &LaxSlicedPacket<'_>) -> Option<(IpAddr, IpAddr, bool)> {
    match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            Some((from.into(), to.into(), ip.is_payload_fragmented()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            Some((from.into(), to.into(), ip.is_payload_fragmented()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

type Transport<'a> = (u16, u16, Body<'a>);

fn tcp<'a>(segment: &TcpSlice<'a>) -> Transport<'a> {
    let body = Body::Tcp(Segment {
        sequence: segment.sequence_number(),
        is_syn: segment.syn(),
        payload: segment.payload(),
    });
    (segment.source_port(), segment.destination_port(), body)
}

fn udp<'a>(datagram: &UdpSlice<'a>) -> Transport<'a> {
    let body = Body::Udp(datagram.payload());
    (datagram.source_port(), datagram.destination_port(), body)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, RandomState};
    use std::io::Cursor;

    use super::super::stream::Streams;
    use super::*;

    const TCP: &[u8] = include_bytes!("../../../tests/data/captures/mock_tcp.pcap");
    const UDP: &[u8] = include_bytes!("../../../tests/data/captures/mock_udp.pcap");

    /// How it ended, and how much was found.
    fn run(bytes: &[u8]) -> (End, usize) {
        let (mut streams, mut found) = (Streams::default(), 0);
        let end = read(Cursor::new(bytes), |caught| match &caught.body {
            Body::Tcp(segment) => {
                let flow = (caught.source, caught.destination);
                streams.add(flow, segment, caught.time, &mut |_, _, _| found += 1);
            }
            Body::Udp(_) => found += 1,
        });
        streams.end(&mut |_, _, _| found += 1);
        (end, found)
    }

    #[test]
    fn no_damage_makes_it_panic_or_go_on_for_ever() {
        let seed = RandomState::new().hash_one(0_u8);
        eprintln!("seed {seed}");
        let mut dice = seed;
        let mut roll = |limit: usize| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(dice >> 33).unwrap_or(0) % limit.max(1)
        };
        for whole in [TCP, UDP] {
            assert_eq!(run(whole).0, End::Whole);
            for _ in 0..500 {
                let mut bytes = whole[..roll(whole.len())].to_vec();
                for _ in 0..roll(20) {
                    let at = roll(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = u8::try_from(roll(256)).unwrap_or(0);
                    }
                }
                run(&bytes);
            }
        }
    }

    #[test]
    fn a_cut_anywhere_is_the_end_or_is_told() {
        let ends: HashSet<String> = (0..TCP.len().min(2_000))
            .map(|at| format!("{:?}", run(&TCP[..at]).0))
            .collect();
        assert!(
            ends.contains("Truncated") && ends.contains("Whole") && !ends.contains("Damaged"),
            "{ends:?}"
        );
    }

    #[test]
    fn an_absurd_length_is_no_allocation() {
        let mut bytes = TCP[..24].to_vec();
        bytes.extend([
            0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        bytes.resize(40 << 20, 0);
        assert_eq!(run(&bytes), (End::Damaged, 0));
    }

    #[test]
    fn times_of_any_resolution_are_told() {
        let of = |resolution, offset, units: u64| {
            let interface = Interface {
                link: Linktype::RAW,
                resolution,
                offset,
            };
            let [high, low] =
                [units >> 32, units & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
            interface
                .time(high, low)
                .map(|time| time.timestamp_nanos_opt().unwrap_or(0))
        };
        assert_eq!(of(1_000_000, 0, 1_500_000), Some(1_500_000_000));
        assert_eq!(of(1 << 10, 10, 1 << 9), Some(10_500_000_000));
        assert_eq!(of(1, i64::MAX, u64::MAX), None);
        assert_eq!(of(0, 0, 5), Some(5_000_000_000));
    }
}
