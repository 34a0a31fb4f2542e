//! Fetching an attendance log from a terminal over loopback.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use benches::{Target, compare, is_measuring};
use bytes::BytesMut;
use criterion::{Criterion, Throughput};
use tokio::runtime::{Builder, Runtime};
use zk_proto::{
    Client, Code, Connect,
    mock::MockDevice,
    request::{DataSet, PrepareBuffer, ReadBuffer, Request},
    session::Options,
    wire::{PREFIX_LEN, Packet, Transport, encode_packet, next_reply_id},
};

/// Payload of a data packet, over TCP and UDP alike.
const PACKET: usize = 1008;
/// A packet without payload.
const HEADER: usize = 8;

fn main() {
    let records = if is_measuring() { 100_000 } else { 1_000 };
    let server = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let device = server
        .block_on(
            MockDevice::builder()
                .generate(1, 500, records)
                .max_packet(PACKET)
                .start(),
        )
        .expect("a free port");
    let client = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args();
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut ours = Ours::connect(&client, device.addr(), transport, records);
        let mut bare = Bare::connect(device.addr(), transport);
        let mut group = criterion.benchmark_group(format!("transfer/{transport:?}"));
        group.sample_size(20);
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function("fetch", |b| b.iter(|| ours.fetch()));
        group.bench_function("bare", |b| b.iter(|| bare.fetch()));
        group.finish();
        compare(
            &format!(
                "fetch {records} records over {transport:?}, checksums verified, to a bare loop"
            ),
            Target::Time(1.3),
            51,
            || {
                black_box(ours.fetch());
            },
            || {
                black_box(bare.fetch());
            },
        );
    }
    criterion.final_summary();
}

/// The client, and a look at every record.
struct Ours<'a> {
    runtime: &'a Runtime,
    client: Client,
    records: usize,
}

impl<'a> Ours<'a> {
    fn connect(
        runtime: &'a Runtime,
        address: SocketAddr,
        transport: Transport,
        records: usize,
    ) -> Self {
        let options = match transport {
            Transport::Tcp => Connect::tcp(),
            Transport::Udp => Connect::udp(),
        };
        let client = runtime
            .block_on(Client::connect(address, options))
            .expect("the terminal answers");
        Self {
            runtime,
            client,
            records,
        }
    }

    fn fetch(&mut self) -> u64 {
        let log = self
            .runtime
            .block_on(self.client.attendance())
            .expect("the whole log");
        assert_eq!(log.len(), self.records);
        log.iter().map(|record| u64::from(record.time().0)).sum()
    }
}

/// The baseline: the same requests, and the bytes of the answers kept as they come. It knows beforehand
/// how long they are, so it looks at nothing.
struct Bare {
    link: Link,
    session: u16,
    reply_id: u16,
    kept: Vec<u8>,
}

enum Link {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Bare {
    fn connect(address: SocketAddr, transport: Transport) -> Self {
        let link = match transport {
            Transport::Tcp => {
                let stream = TcpStream::connect(address).expect("the terminal listens");
                stream.set_nodelay(true).expect("an open socket");
                Link::Tcp(stream)
            }
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                socket.connect(address).expect("an address");
                socket
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .expect("an open socket");
                Link::Udp(socket)
            }
        };
        let mut bare = Self {
            link,
            session: 0,
            reply_id: 0,
            kept: Vec::new(),
        };
        bare.send(Code::CONNECT, &[]);
        let answer = bare.receive(0);
        bare.session = Packet::parse(&answer).expect("a packet").header.session;
        bare
    }

    fn fetch(&mut self) -> usize {
        self.kept.clear();
        self.request(&PrepareBuffer(DataSet::ATTENDANCE));
        let answer = self.receive(13);
        let size = Packet::parse(&answer).expect("a packet").payload[1..5]
            .try_into()
            .expect("four bytes");
        let (size, mut offset) = (u32::from_le_bytes(size), 0);
        let chunk = match self.link {
            Link::Tcp(_) => Options::TCP_CHUNK,
            Link::Udp(_) => Options::UDP_CHUNK,
        };
        while offset < size {
            let len = chunk.min(size - offset);
            self.request(&ReadBuffer { offset, len });
            self.keep(len as usize);
            offset += len;
        }
        self.send(Code::FREE_DATA, &[]);
        self.receive(0);
        self.kept.len()
    }

    /// Keeps a whole chunk: an announcement, so many data packets, an acknowledgement.
    fn keep(&mut self, len: usize) {
        let packets = len.div_ceil(PACKET) + 2;
        let payload = len + 8;
        match &mut self.link {
            Link::Tcp(stream) => {
                let bytes = payload + packets * (PREFIX_LEN + HEADER);
                let start = self.kept.len();
                self.kept.resize(start + bytes, 0);
                stream
                    .read_exact(&mut self.kept[start..])
                    .expect("the whole chunk");
            }
            Link::Udp(socket) => {
                let mut datagram = [0; 2048];
                for _ in 0..packets {
                    let length = socket.recv(&mut datagram).expect("every datagram");
                    self.kept.extend_from_slice(&datagram[..length]);
                }
            }
        }
    }

    /// One packet with so many bytes of payload.
    fn receive(&mut self, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; HEADER + payload];
        match &mut self.link {
            Link::Tcp(stream) => {
                stream.read_exact(&mut [0; PREFIX_LEN]).expect("a prefix");
                stream.read_exact(&mut packet).expect("a packet");
            }
            Link::Udp(socket) => {
                socket.recv(&mut packet).expect("a packet");
            }
        }
        packet
    }

    fn request<R: Request>(&mut self, request: &R) {
        let mut payload = BytesMut::new();
        request.encode(&mut payload);
        self.send(R::CODE, &payload);
    }

    fn send(&mut self, code: Code, payload: &[u8]) {
        let transport = match self.link {
            Link::Tcp(_) => Transport::Tcp,
            Link::Udp(_) => Transport::Udp,
        };
        let mut packet = BytesMut::new();
        encode_packet(
            transport,
            code,
            self.session,
            self.reply_id,
            payload,
            &mut packet,
        );
        self.reply_id = next_reply_id(self.reply_id);
        match &mut self.link {
            Link::Tcp(stream) => stream.write_all(&packet).expect("an open socket"),
            Link::Udp(socket) => {
                socket.send(&packet).expect("an open socket");
            }
        }
    }
}
