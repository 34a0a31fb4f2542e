//! Delivering days to a server over loopback, one by one and in batches.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use benches::{Target as Ratio, compare, is_measuring};
use criterion::{Criterion, Throughput};
use crm_client::{Connector, Crm, DayEntry, Entry, Outcome, Target, TargetOptions};
use tokio::runtime::Builder;

const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"id\":1}";

fn main() {
    let count = if is_measuring() { 1_000 } else { 20 };
    let address = serve();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let entries: Vec<Entry> = (0..count).map(day).collect();
    let single = target(address, false);
    let batch = target(address, true);
    let push = |target: &Target| {
        let outcomes = runtime.block_on(target.push(&entries)).expect("no error");
        assert!(outcomes.iter().all(Outcome::is_delivered));
        black_box(outcomes);
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("delivery");
    group.sample_size(20);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("single", |b| b.iter(|| push(&single)));
    group.bench_function("batch", |b| b.iter(|| push(&batch)));
    group.finish();
    let mut bare = Bare::connect(address, &entries);
    compare(
        &format!("{count} days one by one, to a bare loop that waits for each answer"),
        Ratio::None,
        11,
        || push(&single),
        || bare.post(),
    );
    criterion.final_summary();
}

fn target(address: SocketAddr, batch: bool) -> Target {
    let url = format!("http://{address}/one");
    let batch_url = batch.then(|| format!("http://{address}/many"));
    Target::new(TargetOptions::new(url, Connector::Json { batch_url })).expect("good options")
}

fn day(employee: usize) -> Entry {
    DayEntry {
        record_id: format!("{employee}/2026-03-02/day/0"),
        user_id: employee.to_string(),
        employee_name: Some("Zoë 李伟".to_owned()),
        date: "2026-03-02".to_owned(),
        clock_in: Some("2026-03-02T08:01:10+03:00".to_owned()),
        clock_out: Some("2026-03-02T17:02:40+03:00".to_owned()),
        status: "present".to_owned(),
        shift: Some("day".to_owned()),
        time_zone: "Africa/Nairobi".to_owned(),
        worked_s: 32_490,
        device_name: Some("Gate".to_owned()),
        ..DayEntry::default()
    }
    .freeze("hr", 1)
}

/// Takes everything: a thread for each connection, and no more HTTP than it takes to find the end of a request.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 65_536]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        while let Some(end) = end_of_request(&buffer) {
            buffer.drain(..end);
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

fn end_of_request(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or_default();
    (buffer.len() >= end).then_some(end)
}

/// One connection, requests made beforehand.
struct Bare {
    stream: TcpStream,
    requests: Vec<Vec<u8>>,
}

impl Bare {
    fn connect(address: SocketAddr, entries: &[Entry]) -> Self {
        let stream = TcpStream::connect(address).expect("the server");
        stream.set_nodelay(true).expect("a socket");
        let request = |entry: &Entry| {
            let body = entry.to_wire().to_string();
            let length = body.len();
            format!("POST /one HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
                .into_bytes()
        };
        Self {
            stream,
            requests: entries.iter().map(request).collect(),
        }
    }

    fn post(&mut self) {
        let mut answer = [0; ANSWER.len()];
        for request in &self.requests {
            self.stream.write_all(request).expect("the server");
            self.stream.read_exact(&mut answer).expect("the server");
            black_box(&answer);
        }
    }
}
