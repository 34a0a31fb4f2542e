//! Times rustzk on bytes from a file: prints nanoseconds for each record, user or packet.

use std::{
    error::Error,
    fs,
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustzk::{
    ZK, ZKProtocol,
    models::User,
    protocol::{TCPWrapper, ZKPacket},
};

const ROUNDS: usize = 51;
const USER_WIDTH: usize = 72;
const RECORD_WIDTH: usize = 40;
/// The total that begins a data set.
const TOTAL: usize = 4;

/// `bench attendance|users|packets FILE`
pub fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let [subject, file] = arguments.as_slice() else {
        return Err("arguments: bench attendance|users|packets FILE".into());
    };
    let bytes = fs::read(file)?;
    let each = match subject.as_str() {
        "attendance" => attendance(&bytes)?,
        "users" => users(&bytes)?,
        "packets" => packets(&bytes)?,
        unknown => return Err(format!("{unknown}: what is that?").into()),
    };
    println!("{each}");
    Ok(())
}

fn users(data: &[u8]) -> Result<f64, Box<dyn Error>> {
    let records = &data[TOTAL..];
    let count = records.len() / USER_WIDTH;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let users: Result<Vec<User>, _> = records
            .chunks_exact(USER_WIDTH)
            .map(User::parse_large)
            .collect();
        black_box(users?);
        times.push(start.elapsed());
    }
    Ok(each(times, count))
}

fn packets(stream: &[u8]) -> Result<f64, Box<dyn Error>> {
    let (mut times, mut count) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut rest = stream;
        count = 0;
        while !rest.is_empty() {
            let (packet, used) = TCPWrapper::unwrap(rest)?;
            let packet = ZKPacket::from_bytes(packet)?;
            if !packet.verify_checksum(true) {
                return Err("a wrong checksum".into());
            }
            black_box(packet.payload());
            rest = &rest[used..];
            count += 1;
        }
        times.push(start.elapsed());
    }
    Ok(each(times, count))
}

/// Its decoder of records is private, so they are fetched, from a terminal in a thread beside. What fetching costs is
/// taken off: a data set of templates of the same length that says that it is empty, which comes by the same way and
/// is then looked at no more. The two are timed by turns.
fn attendance(data: &[u8]) -> Result<f64, Box<dyn Error>> {
    let count = (data.len() - TOTAL) / RECORD_WIDTH;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let log = data.to_vec();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        // It ends when the client has gone.
        let _ = Terminal::new(log, count).serve(stream);
    });
    let mut zk = ZK::new("127.0.0.1", port);
    zk.set_legacy_checksum(true);
    zk.connect(ZKProtocol::TCP)?;
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let records = zk.get_attendance()?;
        let with = start.elapsed();
        if records.len() != count {
            return Err(format!("{} records of {count}", records.len()).into());
        }
        drop(black_box(records));
        let start = Instant::now();
        if !zk.get_templates()?.is_empty() {
            return Err("templates from nowhere".into());
        }
        differences.push(with.as_secs_f64() - start.elapsed().as_secs_f64());
    }
    // Of pairs, because a machine that is busy for a while is busy for both of a pair.
    differences.sort_unstable_by(f64::total_cmp);
    let difference = differences[differences.len() / 2];
    if difference <= 0.0 {
        return Err("this machine is too busy to tell decoding from fetching".into());
    }
    Ok(difference * 1e9 / count as f64)
}

fn each(mut times: Vec<Duration>, count: usize) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9 / count as f64
}

/// As much of a terminal as it takes to hand out two data sets.
struct Terminal {
    log: Vec<u8>,
    templates: Vec<u8>,
    count: usize,
}

impl Terminal {
    const CONNECT: u16 = 1000;
    const COUNTERS: u16 = 50;
    const PREPARE: u16 = 1503;
    const READ: u16 = 1504;
    const OPTION: u16 = 11;
    const LOG: u16 = 13;
    const DATA: u16 = 1501;
    const OK: u16 = 2000;
    const REFUSED: u16 = 2001;

    fn new(log: Vec<u8>, count: usize) -> Self {
        let mut templates = log.clone();
        templates[..TOTAL].fill(0);
        Self {
            log,
            templates,
            count,
        }
    }

    fn serve(&self, mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
        stream.set_nodelay(true)?;
        let mut prepared = &self.log;
        loop {
            let mut prefix = [0; 8];
            stream.read_exact(&mut prefix)?;
            let mut packet = vec![0; number(&prefix, 4) as usize];
            stream.read_exact(&mut packet)?;
            let command = u16::from_le_bytes([packet[0], packet[1]]);
            let reply_id = [packet[6], packet[7]];
            let (code, payload) = match command {
                Self::CONNECT => (Self::OK, Vec::new()),
                Self::COUNTERS => {
                    let mut counters = vec![0; 92];
                    counters[24] = 1; // a fingerprint, so that templates are read
                    counters[32..36].copy_from_slice(&u32::try_from(self.count)?.to_le_bytes());
                    (Self::OK, counters)
                }
                Self::OPTION => (Self::REFUSED, Vec::new()),
                Self::PREPARE => {
                    let log = packet[9..11] == Self::LOG.to_le_bytes();
                    prepared = if log { &self.log } else { &self.templates };
                    let size = u32::try_from(prepared.len())?.to_le_bytes();
                    (Self::OK, [&[0], &size[..], &size, &[0; 4]].concat())
                }
                Self::READ => {
                    let start = number(&packet, 8) as usize;
                    let end = start + number(&packet, 12) as usize;
                    (Self::DATA, prepared[start..end].to_vec())
                }
                _ => (Self::OK, Vec::new()),
            };
            let mut frame = b"\x50\x50\x82\x7d".to_vec();
            frame.extend(u32::try_from(8 + payload.len())?.to_le_bytes());
            frame.extend(code.to_le_bytes());
            frame.extend([0, 0, 1, 0]);
            frame.extend(reply_id);
            frame.extend(payload);
            let checksum = checksum(&frame[8..]);
            frame[10..12].copy_from_slice(&checksum.to_le_bytes());
            stream.write_all(&frame)?;
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn checksum(packet: &[u8]) -> u16 {
    let words = packet
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 8);
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
