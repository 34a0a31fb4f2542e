//! Capture files, real ones and made-up ones.

use std::path::{Path, PathBuf};

use etherparse::PacketBuilder;
use serde_json::{Value, json};

use super::place::Place;

const CLIENT: [u8; 4] = [10, 0, 0, 7];
const TERMINAL: [u8; 4] = [10, 0, 0, 9];
const CONNECT: &[u8] = b"\x50\x50\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0";
const ANSWER: &[u8] = b"\x50\x50\x82\x7d\x08\0\0\0\xd0\x07\xff\xfc\x2f\xfb\0\0";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/captures")
        .join(name)
}

fn decode(place: &Place, file: &Path, code: i32) -> Vec<Value> {
    let file = file.to_str().expect("a path in ASCII");
    place.run(&format!("decode {file}")).ended(code).lines()
}

/// How the first bytes of a captured packet are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Ethernet,
    Vlan,
    Null,
    Raw,
    Sll,
    Sll2,
}

impl Link {
    const ALL: [Self; 6] = [
        Self::Ethernet,
        Self::Vlan,
        Self::Null,
        Self::Raw,
        Self::Sll,
        Self::Sll2,
    ];

    const fn number(self) -> u32 {
        match self {
            Self::Ethernet | Self::Vlan => 1,
            Self::Null => 0,
            Self::Raw => 101,
            Self::Sll => 113,
            Self::Sll2 => 276,
        }
    }

    fn wrap(self, ip: &[u8]) -> Vec<u8> {
        let kind = if ip[0] >> 4 == 4 {
            [8, 0]
        } else {
            [0x86, 0xdd]
        };
        let head: Vec<u8> = match self {
            Self::Ethernet => [&[2; 12][..], &kind].concat(),
            Self::Vlan => [&[2; 12][..], &[0x81, 0, 0, 5], &kind].concat(),
            Self::Null => vec![2, 0, 0, 0],
            Self::Raw => Vec::new(),
            Self::Sll => [&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], &kind].concat(),
            Self::Sll2 => [&kind[..], &[0; 18]].concat(),
        };
        [&head[..], ip].concat()
    }
}

/// An IP packet between the two, over TCP with a sequence number or else over UDP.
fn packet(to_terminal: bool, sequence: Option<u32>, v6: bool, payload: &[u8]) -> Vec<u8> {
    let wide = |end: [u8; 4]| {
        [[0xfd; 12].as_slice(), &end]
            .concat()
            .try_into()
            .expect("16 bytes")
    };
    let (from, to, ports) = if to_terminal {
        (CLIENT, TERMINAL, (50_123, 4370))
    } else {
        (TERMINAL, CLIENT, (4370, 50_123))
    };
    let ip = if v6 {
        PacketBuilder::ipv6(wide(from), wide(to), 64)
    } else {
        PacketBuilder::ipv4(from, to, 64)
    };
    let mut bytes = Vec::new();
    match sequence {
        Some(sequence) => ip
            .tcp(ports.0, ports.1, sequence, 512)
            .write(&mut bytes, payload),
        None => ip.udp(ports.0, ports.1).write(&mut bytes, payload),
    }
    .expect("a packet");
    bytes
}

/// A classic capture; the packets are a second apart.
fn classic(big_endian: bool, nanoseconds: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |number: u32| {
        if big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let half = |number: u16| {
        if big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let magic = if nanoseconds {
        0xa1b2_3c4d
    } else {
        0xa1b2_c3d4
    };
    let mut file = [
        word(magic).as_slice(),
        &half(2),
        &half(4),
        &[0; 8],
        &word(65_535),
        &word(link),
    ]
    .concat();
    for (second, packet) in (1_700_000_000..).zip(packets) {
        let length = word(u32::try_from(packet.len()).expect("a short packet"));
        file.extend([word(second), word(123), length, length].concat());
        file.extend(packet);
    }
    file
}

/// A pcapng capture with one interface, times in nanoseconds.
fn next_generation(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(12 + body.len())
            .expect("a short block")
            .to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let header = [
        &0x1a2b_3c4d_u32.to_le_bytes()[..],
        &[1, 0, 0, 0],
        &[0xff; 8],
    ]
    .concat();
    let link = u16::try_from(link).expect("a known link").to_le_bytes();
    let interface = [
        &link[..],
        &[0, 0],
        &[0, 0, 4, 0],
        &[9, 0, 1, 0, 9, 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    let mut file = [block(0x0a0d_0d0a, &header), block(1, &interface)].concat();
    for (second, packet) in (1_700_000_000_u64..).zip(packets) {
        let time = second * 1_000_000_000 + 123;
        let (high, low) = ((time >> 32) as u32, (time & 0xffff_ffff) as u32);
        let length = u32::try_from(packet.len())
            .expect("a short packet")
            .to_le_bytes();
        let mut body = [
            [0; 4],
            high.to_le_bytes(),
            low.to_le_bytes(),
            length,
            length,
        ]
        .concat();
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}

/// A conversation of two packets, over TCP in bad order and in parts.
fn conversation(v6: bool) -> Vec<Vec<u8>> {
    let udp = [
        packet(true, None, v6, &CONNECT[8..]),
        packet(false, None, v6, &ANSWER[8..]),
    ];
    let tcp = [
        packet(true, Some(100), v6, &CONNECT[..3]),
        packet(true, Some(110), v6, &CONNECT[10..]),
        packet(true, Some(100), v6, &CONNECT[..3]),
        packet(true, Some(103), v6, &CONNECT[3..10]),
        packet(false, Some(u32::MAX - 4), v6, ANSWER),
    ];
    udp.into_iter().chain(tcp).collect()
}

#[test]
fn every_kind_of_capture_and_link_is_read() {
    let place = Place::new();
    let file = place.path("made.pcap");
    for link in Link::ALL {
        for v6 in [false, true] {
            let packets: Vec<Vec<u8>> = conversation(v6).iter().map(|ip| link.wrap(ip)).collect();
            let number = link.number();
            let captures = [
                classic(false, false, number, &packets),
                classic(true, false, number, &packets),
                classic(false, true, number, &packets),
                classic(true, true, number, &packets),
                next_generation(number, &packets),
            ];
            for (index, capture) in captures.into_iter().enumerate() {
                // Only the first of each link in all kinds: a process each.
                if index > 0 && (v6 || link != Link::Ethernet) && index != 4 {
                    continue;
                }
                std::fs::write(&file, capture).unwrap();
                let lines = decode(&place, &file, 0);
                let told: Vec<_> = lines
                    .iter()
                    .map(|line| {
                        [&line["transport"], &line["direction"], &line["command"]]
                            .map(ToString::to_string)
                    })
                    .collect();
                let expected = [
                    ["\"udp\"", "\"to_terminal\"", "1000"],
                    ["\"udp\"", "\"from_terminal\"", "2000"],
                    ["\"tcp\"", "\"to_terminal\"", "1000"],
                    ["\"tcp\"", "\"from_terminal\"", "2000"],
                ];
                assert_eq!(told, expected, "{link:?} {index} {v6}");
                let time = if index < 2 {
                    "2023-11-14T22:13:20.000123Z"
                } else {
                    "2023-11-14T22:13:20.000000123Z"
                };
                assert_eq!(lines[0]["time"], time);
                let source = if v6 {
                    "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:a00:7]:50123"
                } else {
                    "10.0.0.7:50123"
                };
                assert_eq!(lines[0]["source"], source);
            }
        }
    }
}

#[test]
fn a_capture_that_is_cut_off_is_decoded_as_far_as_it_goes() {
    let place = Place::new();
    let file = place.path("cut.pcap");
    let packets: Vec<Vec<u8>> = conversation(false)
        .iter()
        .map(|ip| Link::Ethernet.wrap(ip))
        .collect();
    for whole in [
        classic(false, false, 1, &packets),
        next_generation(1, &packets),
    ] {
        std::fs::write(&file, &whole[..whole.len() - 7]).unwrap();
        let lines = decode(&place, &file, 3);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[3]["error"]["kind"], "truncated_capture");
        std::fs::write(&file, &whole[..80]).unwrap();
        assert_eq!(
            place
                .run(&format!("decode {} --json", file.display()))
                .ended(1)
                .failure(),
            "truncated_capture"
        );
    }
    // Segments that were not captured.
    let gap = classic(
        false,
        false,
        1,
        &[packets[2].clone(), packets[3].clone(), packets[6].clone()],
    );
    std::fs::write(&file, gap).unwrap();
    let lines = decode(&place, &file, 3);
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["error"]["kind"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(
        kinds,
        ["", "incomplete_frame", "missing_bytes"],
        "{lines:?}"
    );
    assert_eq!(lines[2]["source"], "10.0.0.7:50123");
}

#[test]
fn datagrams_in_fragments_are_joined() {
    let payload = [&[0xdd, 5, 0, 0, 0, 0, 9, 0][..], &[7; 1_000]].concat();
    let whole = packet(false, None, false, &payload);
    let (header, body) = whole.split_at(20);
    let fragment = |from: usize, to: usize| {
        let mut header = header.to_vec();
        let length = u16::try_from(20 + to - from)
            .expect("a short packet")
            .to_be_bytes();
        let more = if to < body.len() { 0x2000 } else { 0 };
        let offset = (u16::try_from(from / 8).expect("a short packet") | more).to_be_bytes();
        header[2..4].copy_from_slice(&length);
        header[4..6].copy_from_slice(&[1, 2]);
        header[6..8].copy_from_slice(&offset);
        [&header[..], &body[from..to]].concat()
    };
    let place = Place::new();
    let file = place.path("parts.pcap");
    let parts = [fragment(504, body.len()), fragment(0, 504)];
    std::fs::write(&file, classic(false, false, 101, &parts)).unwrap();
    let lines = decode(&place, &file, 0);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["payload_hex"].as_str().map(str::len), Some(2_000));
}

#[test]
fn what_has_nothing_to_decode_says_so() {
    let place = Place::new();
    let file = place.path("other.pcap");
    let failure = |bytes: &[u8], more: &str| {
        std::fs::write(&file, bytes).unwrap();
        place
            .run(&format!("decode {} --json {more}", file.display()))
            .ended(1)
            .failure()
    };
    let packets: Vec<Vec<u8>> = conversation(false);
    let capture = classic(false, false, 101, &packets);
    assert_eq!(failure(&capture, "--port 4371"), "no_packets");
    let line = format!("decode {} --port 4371", file.display());
    let said = place.run(&line).ended(1).stderr;
    assert!(
        said.contains("seen at port 4370.") && said.contains("--port 4370"),
        "{said}"
    );
    place.run("decode x --port 0").ended(2);
    let said = place
        .run(&format!("decode {}", place.text("")))
        .ended(1)
        .stderr;
    assert!(said.contains("is a directory"), "{said}");
    assert_eq!(
        failure(b"GIF89a and more of it, to fill a header", ""),
        "not_a_capture"
    );
    // A link that is not known.
    assert_eq!(
        failure(&classic(false, false, 147, &packets), ""),
        "no_packets"
    );
    // Both ends use the terminal's port, as some old programs do.
    let mut bytes = Vec::new();
    let both = PacketBuilder::ipv4(CLIENT, TERMINAL, 64).udp(4370, 4370);
    both.write(&mut bytes, &CONNECT[8..]).expect("a packet");
    std::fs::write(&file, classic(false, false, 101, &[bytes])).unwrap();
    assert_eq!(decode(&place, &file, 0)[0]["direction"], Value::Null);
}

#[test]
fn a_capture_of_a_real_network_is_decoded() {
    let place = Place::new();
    // Our client over TCP, pyzk over UDP.
    for (name, transport, port) in [
        ("mock_tcp.pcap", "tcp", 4370),
        ("mock_udp.pcap", "udp", 4372),
    ] {
        let line = format!("decode {} --port {port}", data(name).display());
        let lines = place.run(&line).ended(0).lines();
        assert!(
            lines
                .iter()
                .all(|line| line["checksum_valid"] == true && line["transport"] == transport)
        );
        let names: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["command_name"].as_str())
            .collect();
        assert_eq!(
            (names.first(), names.last()),
            (Some(&"CMD_CONNECT"), Some(&"CMD_ACK_OK")),
            "{name}"
        );
        for name in [
            "CMD_AUTH",
            "CMD_GET_FREE_SIZES",
            "CMD_PREPARE_BUFFER",
            "CMD_DATA",
            "CMD_EXIT",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        let value = lines
            .iter()
            .find_map(|line| line["value"]["counters"].as_object());
        assert_eq!(value.map(|counters| &counters["users"]), Some(&json!(6)));
        // The same from stdin.
        let mut command = place.command(&format!("decode - --port {port}"));
        command.stdin(std::fs::File::open(data(name)).unwrap());
        let output = command.output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().lines().count(),
            lines.len()
        );
    }
}
