use std::io::IoSlice;
use std::net::IpAddr;

use super::*;
use crate::checksum::{Sum, internet};
use crate::ip::protocol;
use crate::{PacketBuf, udp};

const MSS: usize = 1300;

/// What a test says of a TCP segment.
#[derive(Clone, Copy)]
struct Tcp {
    v6: bool,
    port: u16,
    sequence: u32,
    identification: u16,
    flags: u8,
    window: u16,
    hop_limit: u8,
    dont_fragment: bool,
    options: &'static [u8],
}

const STAMPS: &[u8] = &[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];

const V4: Tcp = Tcp {
    v6: false,
    port: 40_000,
    sequence: 0xffff_f000,
    identification: 0xfffe,
    flags: ACK,
    window: 502,
    hop_limit: 63,
    dont_fragment: true,
    options: STAMPS,
};

const V6: Tcp = Tcp { v6: true, ..V4 };

impl Tcp {
    /// The packet of `payload`, so many bytes and packets after this one.
    fn packet(&self, after: usize, number: u16, payload: &[u8]) -> Vec<u8> {
        let mut tcp = self.port.to_be_bytes().to_vec();
        tcp.extend([0x14, 0x51]);
        tcp.extend(self.sequence.wrapping_add(after as u32).to_be_bytes());
        tcp.extend([0xaa, 0xbb, 0xcc, 0xdd]);
        tcp.extend([((20 + self.options.len()) * 4) as u8, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(self.options);
        tcp.extend(payload);
        let identification = self.identification.wrapping_add(number);
        let (mut packet, from, to) = self.ip(protocol::TCP, identification, tcp.len());
        let sum = Sum::new().pseudo_header(from, to, protocol::TCP, tcp.len() as u32);
        let sum = sum.bytes(&tcp).finish();
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet.extend(tcp);
        packet
    }

    fn ip(&self, protocol: u8, identification: u16, length: usize) -> (Vec<u8>, IpAddr, IpAddr) {
        let addresses = if self.v6 {
            ["2001:db8::1", "2001:db8:77::5"]
        } else {
            ["192.0.2.9", "10.77.0.5"]
        };
        let [from, to]: [IpAddr; 2] = addresses.map(|ip| ip.parse().unwrap());
        let mut packet = Vec::new();
        if self.v6 {
            packet.extend([0x60, 0x0a, 0xbc, 0xde]);
            packet.extend((length as u16).to_be_bytes());
            packet.extend([protocol, self.hop_limit]);
        } else {
            packet.extend([0x45, 0]);
            packet.extend((20 + length as u16).to_be_bytes());
            packet.extend(identification.to_be_bytes());
            let dont_fragment = if self.dont_fragment { 0x40 } else { 0 };
            packet.extend([dont_fragment, 0, self.hop_limit, protocol, 0, 0]);
        }
        for ip in [from, to] {
            match ip {
                IpAddr::V4(ip) => packet.extend(ip.octets()),
                IpAddr::V6(ip) => packet.extend(ip.octets()),
            }
        }
        if !self.v6 {
            let sum = internet(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (packet, from, to)
    }

    /// A stream in segments of `size`, where the last has `end` too.
    fn stream(&self, length: usize, size: usize, end: u8) -> Vec<Vec<u8>> {
        let bytes = payload(length);
        let chunks: Vec<_> = bytes.chunks(size).collect();
        let packet = |(i, chunk): (usize, &&[u8])| {
            let last = i + 1 == chunks.len();
            let flags = self.flags | if last { end } else { 0 };
            Tcp { flags, ..*self }.packet(i * size, i as u16, chunk)
        };
        chunks.iter().enumerate().map(packet).collect()
    }

    fn header(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Each packet that is written, and for how many it stands.
fn coalesced(packets: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
    let packets: Vec<&[u8]> = packets.iter().map(|packet| &packet[..]).collect();
    let mut written = Vec::new();
    Coalescer::new().coalesce(&packets, |parts, count| {
        written.push((parts.concat(), count));
    });
    written
}

trait Concat {
    fn concat(&self) -> Vec<u8>;
}

impl Concat for [IoSlice<'_>] {
    fn concat(&self) -> Vec<u8> {
        self.iter().flat_map(|part| part.to_vec()).collect()
    }
}

fn counts(packets: &[Vec<u8>]) -> Vec<usize> {
    coalesced(packets).iter().map(|(_, count)| *count).collect()
}

/// The packets that one with its header stands for.
fn apart(written: &[u8]) -> Vec<Vec<u8>> {
    let (header, packet) = VirtioHeader::parse(written).unwrap();
    let mut segments = Segments::new(&header, packet).unwrap();
    let mut buf = PacketBuf::with_capacity(64, 2048);
    let mut found = Vec::new();
    loop {
        let length = segments.next_len(packet);
        if !segments.next(packet, &mut buf).unwrap() {
            assert_eq!(length, 0);
            break;
        }
        assert_eq!(buf.len(), length);
        found.push(buf.as_slice().to_vec());
        buf.reset(64);
    }
    let mut whole = packet.to_vec();
    if header.is_single() {
        complete(&header, &mut whole).unwrap();
        assert_eq!(found, [whole]);
    } else {
        complete(&header, &mut whole).unwrap_err();
        assert_eq!(whole, packet);
        assert!(header.count(packet.len()) + 1 >= found.len());
    }
    found
}

#[test]
fn a_header_is_written_as_it_is_read() {
    let bytes: Vec<u8> = (1..=12).collect();
    let (header, rest) = VirtioHeader::parse(&bytes).unwrap();
    assert_eq!(header.gso_size, u16::from_ne_bytes([5, 6]));
    assert_eq!(header.to_bytes()[..], bytes[..10]);
    assert_eq!(rest, [11, 12]);
    assert!(VirtioHeader::parse(&bytes[..9]).is_err());
}

#[test]
fn a_stream_becomes_few_packets_and_the_same_stream_again() {
    for of in [V4, V6] {
        for end in [0, PSH, FIN | PSH] {
            let stream = of.stream(100 * MSS - 1, MSS, end);
            let written = coalesced(&stream);
            let counts: Vec<usize> = written.iter().map(|(_, count)| *count).collect();
            assert_eq!(counts, [50, 50]);
            let again: Vec<_> = written.iter().flat_map(|(bytes, _)| apart(bytes)).collect();
            assert_eq!(again, stream);
        }
        // By number and by size of packets.
        let small = of.stream(6400, 50, 0);
        assert_eq!(counts(&small), [64, 64]);
        assert!(coalesced(&of.stream(65_000, MSS, 0))[0].0.len() <= 10 + 65_535);
    }
}

#[test]
fn the_kernel_is_told_where_things_are() {
    for of in [V4, V6] {
        let stream = of.stream(3 * MSS - 5, MSS, PSH);
        let [(written, 3)] = &coalesced(&stream)[..] else {
            panic!("one packet");
        };
        let (header, packet) = VirtioHeader::parse(written).unwrap();
        let ip = of.header();
        assert_eq!(
            header,
            VirtioHeader {
                flags: 1,
                gso_type: if of.v6 { 4 } else { 1 },
                header_len: (ip + 32) as u16,
                gso_size: MSS as u16,
                checksum_start: ip as u16,
                checksum_offset: 16,
            }
        );
        assert_eq!(packet.len(), ip + 32 + 3 * MSS - 5);
        assert_eq!(packet[ip + 13], ACK | PSH);
        // What completes the checksum makes one packet of it all.
        let mut whole = packet.to_vec();
        let sum = internet(&whole[ip..]);
        whole[ip + 16..ip + 18].copy_from_slice(&sum.to_be_bytes());
        let flags = ACK | PSH;
        assert_eq!(
            whole,
            Tcp { flags, ..of }.packet(0, 0, &payload(3 * MSS - 5))
        );
    }
}

#[test]
fn what_differs_stays_apart() {
    for of in [V4, V6] {
        let chunk = &payload(MSS)[..];
        let first = of.packet(0, 0, chunk);
        let other = |tcp: Tcp| [first.clone(), tcp.packet(MSS, 1, chunk)];
        assert_eq!(counts(&other(of)), [2]);
        for differs in [
            Tcp { port: 1, ..of },
            Tcp { window: 501, ..of },
            Tcp {
                hop_limit: 62,
                ..of
            },
            Tcp {
                sequence: of.sequence + 1,
                ..of
            },
            Tcp {
                flags: ACK | ECE,
                ..of
            },
            Tcp {
                flags: ACK | CWR,
                ..of
            },
            Tcp {
                flags: ACK | 0x20,
                ..of
            },
            Tcp { flags: PSH, ..of },
            Tcp {
                options: &[1, 1, 8, 10, 0, 0, 0, 8, 0, 0, 0, 9],
                ..of
            },
            Tcp { options: &[], ..of },
        ] {
            assert_eq!(counts(&other(differs)), [1, 1]);
        }
        // Class of service, label, and a length that is not that of the packet.
        let last = of.packet(MSS, 1, chunk);
        for at in [1, if of.v6 { 3 } else { 2 }, if of.v6 { 5 } else { 3 }] {
            let mut differs = last.clone();
            differs[at] ^= 1;
            if !of.v6 {
                differs[10..12].fill(0);
                let sum = internet(&differs[..20]);
                differs[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            assert_eq!(counts(&[first.clone(), differs]), [1, 1], "{at}");
        }
    }
    for (one, other) in [(V4, V6), (V6, V4)] {
        let [one, other] = [one.packet(0, 0, b"12"), other.packet(2, 1, b"12")];
        assert_eq!(counts(&[one, other]), [1, 1]);
    }
}

#[test]
fn identifications_count_where_packets_may_be_cut() {
    let of = Tcp {
        dont_fragment: false,
        ..V4
    };
    let chunk = &payload(MSS)[..];
    for (may_cut, number, together) in [
        (true, 1, true),
        (true, 0, false),
        (true, 2, false),
        (false, 0, true),
        (false, 9, true),
    ] {
        let of = Tcp {
            dont_fragment: !may_cut,
            ..of
        };
        let pair = [of.packet(0, 0, chunk), of.packet(MSS, number, chunk)];
        assert_eq!(counts(&pair).len() == 1, together, "{may_cut} {number}");
    }
}

#[test]
fn nothing_joins_without_its_checksums() {
    for of in [V4, V6] {
        let stream = of.stream(4 * MSS, MSS, 0);
        for corrupt in 0..4 {
            // The last byte; the TTL, which IPv6 has no checksum over and which keeps it apart.
            for at in [stream[corrupt].len() - 1, if of.v6 { 7 } else { 8 }] {
                let mut stream = stream.clone();
                stream[corrupt][at] ^= 0x10;
                let written = coalesced(&stream);
                let alone: Vec<_> = written
                    .iter()
                    .filter(|(bytes, _)| bytes.ends_with(&stream[corrupt]))
                    .collect();
                assert_eq!(alone.len(), 1);
                assert_eq!(
                    (alone[0].1, &alone[0].0[..10]),
                    (1, &[0; 10][..]),
                    "{corrupt} {at}"
                );
                let again: Vec<_> = written.iter().flat_map(|(bytes, _)| apart(bytes)).collect();
                assert_eq!(again, stream);
            }
        }
    }
}

#[test]
fn flows_that_mix_are_told_apart_and_keep_their_order() {
    let flows: Vec<Vec<Vec<u8>>> = (0..20)
        .map(|i| {
            let of = if i % 2 == 0 { V4 } else { V6 };
            Tcp { port: i, ..of }.stream(10 * MSS, MSS, 0)
        })
        .collect();
    for (number, runs) in [(2, 2), (16, 16)] {
        let mixed: Vec<_> = (0..10)
            .flat_map(|i| flows[..number].iter().map(move |flow| flow[i].clone()))
            .collect();
        assert_eq!(counts(&mixed), vec![10; runs]);
    }
    // More than there is room for: whatever is put together, each flow has its order.
    let mixed: Vec<_> = (0..10)
        .flat_map(|i| flows.iter().map(move |flow| flow[i].clone()))
        .collect();
    let again: Vec<_> = coalesced(&mixed)
        .iter()
        .flat_map(|(bytes, _)| apart(bytes))
        .collect();
    assert_eq!(again.len(), 200);
    for flow in &flows {
        let of: Vec<_> = again
            .iter()
            .filter(|packet| flow.contains(packet))
            .collect();
        assert_eq!(of, flow.iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_stands_between_segments_of_a_flow_stays_there() {
    for of in [V4, V6] {
        let stream = of.stream(4 * MSS, MSS, 0);
        let acknowledgement = of.packet(2 * MSS, 9, b"");
        let reset = Tcp {
            flags: ACK | 0x04,
            ..of
        }
        .packet(2 * MSS, 9, b"");
        // TCP behind IP options, a fragment, and an extension header.
        let mut strange = stream[1].clone();
        if of.v6 {
            strange[6] = 60;
        } else {
            strange[0] = 0x46;
        }
        let mut fragment = stream[1].clone();
        fragment[6] = if of.v6 { 44 } else { 0x20 };
        for between in [acknowledgement, reset, strange, fragment] {
            let mut packets = stream.clone();
            packets.insert(2, between);
            assert_eq!(counts(&packets), [2, 1, 2]);
        }
        let mut packets = stream.clone();
        packets.insert(2, datagram(of.v6, b"of another"));
        assert_eq!(counts(&packets), [4, 1]);
    }
}

#[test]
fn a_shorter_segment_and_a_push_end_a_run() {
    for of in [V4, V6] {
        let mut stream = of.stream(3 * MSS - 1, MSS, 0);
        stream.push(of.packet(3 * MSS - 1, 3, &payload(MSS)));
        assert_eq!(counts(&stream), [3, 1]);
        let mut stream = of.stream(3 * MSS, MSS, PSH);
        stream.push(of.packet(3 * MSS, 3, &payload(MSS)));
        assert_eq!(counts(&stream), [3, 1]);
        // And a longer one begins another.
        let longer = [of.packet(0, 0, b"1"), of.packet(1, 1, b"23")];
        assert_eq!(counts(&longer), [1, 1]);
    }
}

/// A UDP datagram in an IP packet.
fn datagram(v6: bool, payload: &[u8]) -> Vec<u8> {
    let of = if v6 { V6 } else { V4 };
    let (mut packet, from, to) = of.ip(protocol::UDP, 7, 8 + payload.len());
    let mut buf = PacketBuf::from_slice(8, payload, 0);
    udp::prepend(&mut buf, 443, 50_000, Some(&(from, to))).unwrap();
    packet.extend(buf.as_slice());
    packet
}

#[test]
fn datagrams_come_apart() {
    for v6 in [false, true] {
        let bytes = payload(2500);
        let mut together = datagram(v6, &bytes);
        let start = if v6 { 40 } else { 20 };
        together[start + 6..start + 8].fill(0xab);
        let header = VirtioHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_UDP_L4,
            gso_size: 1000,
            checksum_start: start as u16,
            checksum_offset: 6,
            ..VirtioHeader::default()
        };
        let found = apart(&[&header.to_bytes()[..], &together].concat());
        let mut wanted: Vec<_> = bytes
            .chunks(1000)
            .map(|chunk| datagram(v6, chunk))
            .collect();
        if !v6 {
            for (i, packet) in wanted.iter_mut().enumerate() {
                packet[5] += i as u8;
                packet[10..12].fill(0);
                let sum = internet(&packet[..20]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        }
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_partial_checksum_is_completed() {
    for v6 in [false, true] {
        {
            let whole = datagram(v6, b"some bytes");
            let start = if v6 { 40 } else { 20 };
            let ip = crate::ip::IpHeader::parse(&whole).unwrap();
            let mut partial = whole.clone();
            let length = partial.len() - start;
            let sum = Sum::new()
                .pseudo_header(ip.source, ip.destination, protocol::UDP, length as u32)
                .finish();
            partial[start + 6..start + 8].copy_from_slice(&(!sum).to_be_bytes());
            let header = VirtioHeader {
                flags: NEEDS_CSUM,
                checksum_start: start as u16,
                checksum_offset: 6,
                ..VirtioHeader::default()
            };
            let found = apart(&[&header.to_bytes()[..], &partial].concat());
            assert_eq!(found, [whole]);
        }
    }
    let header = VirtioHeader {
        flags: NEEDS_CSUM,
        ..VirtioHeader::default()
    };
    // Two bytes that sum to zero.
    assert_eq!(
        apart(&[&header.to_bytes()[..], &[0xff, 0xff, 1]].concat()),
        [[0xff, 0xff, 1]].map(|_| vec![0xfe, 0xff, 1])
    );
}

#[test]
fn only_the_first_has_cwr() {
    for of in [V4, V6] {
        let stream = of.stream(3 * MSS, MSS, PSH);
        let (mut written, _) = coalesced(&stream).remove(0);
        written[1] |= ECN;
        written[10 + of.header() + 13] |= CWR;
        let flags: Vec<u8> = apart(&written)
            .iter()
            .map(|packet| packet[of.header() + 13])
            .collect();
        assert_eq!(flags, [ACK | CWR, ACK, ACK | PSH]);
    }
}

#[test]
fn what_contradicts_its_header_is_refused() {
    for of in [V4, V6] {
        let stream = of.stream(3 * MSS, MSS, 0);
        let (written, _) = coalesced(&stream).remove(0);
        let (header, packet) = VirtioHeader::parse(&written).unwrap();
        let refused = |header: VirtioHeader, packet: &[u8]| {
            Segments::new(&header, packet).expect_err("it is refused")
        };
        let with = |change: fn(&mut VirtioHeader)| {
            let mut header = header;
            change(&mut header);
            refused(header, packet)
        };
        assert!(matches!(
            with(|header| header.gso_size = 0),
            OffloadError::Kind { size: 0, .. }
        ));
        for kind in [2, 3, 6, 0x7f] {
            let header = VirtioHeader {
                gso_type: kind,
                ..header
            };
            assert!(matches!(refused(header, packet), OffloadError::Kind { .. }));
        }
        for change in [
            |header: &mut VirtioHeader| header.gso_type ^= 5,
            |header: &mut VirtioHeader| header.gso_type = GSO_UDP_L4,
            |header: &mut VirtioHeader| header.checksum_start += 1,
        ] {
            assert!(matches!(with(change), OffloadError::Transport { .. }));
        }
        assert!(matches!(
            with(|header| {
                header.gso_type = GSO_NONE;
                header.checksum_start = u16::MAX;
                header.checksum_offset = u16::MAX;
            }),
            OffloadError::Checksum { at: 131_070, .. }
        ));
        for length in 0..packet.len().min(100) {
            refused(header, &packet[..length]);
        }
        refused(header, &[packet, &[0]].concat());
        let mut short = packet.to_vec();
        short[of.header() + 12] = 0x40;
        refused(header, &short);
        // A buffer that is too small loses only what it does not take.
        let mut segments = Segments::new(&header, packet).unwrap();
        let mut buf = PacketBuf::with_capacity(0, 100);
        let error = segments.next(packet, &mut buf).unwrap_err();
        assert!(matches!(error, OffloadError::NoRoom(_)), "{error}");
        let mut buf = PacketBuf::with_capacity(0, 1500);
        assert!(segments.next(packet, &mut buf).unwrap());
        assert_eq!(buf.as_slice(), stream[1]);
    }
}
