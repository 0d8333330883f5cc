//! What one kind of junk looks like, and the frames made from it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use adit_wire::Writer;
use adit_wire::checksum::{self, Sum};
use ipnet::IpNet;

use crate::random::Random;

const ETHERNET: usize = 14;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;

/// A kind of junk: `NAME SHARE SOURCE PORT PAYLOAD`.
///
/// SHARE is how many of it there are, as a number to be compared with those of the others. SOURCE is an
/// address with its port, or a network, of which each datagram gets another address and a random port.
/// PORT is the target's. PAYLOAD is in hexadecimal, with `..` for each byte that is random.
pub(crate) struct Template {
    pub(crate) name: String,
    share: u64,
    source: Source,
    port: u16,
    payload: Vec<u8>,
    random: Vec<Range<usize>>,
}

#[derive(Clone, Copy)]
enum Source {
    At(SocketAddr),
    Near(IpNet),
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTemplate {
    #[error("a template has five fields")]
    Fields,
    #[error("SHARE is no number")]
    Share,
    #[error("SOURCE is neither an address with port nor a network")]
    Source,
    #[error("PORT is no number")]
    Port,
    #[error("PAYLOAD is not hexadecimal with `..` for random bytes, or too long")]
    Payload,
}

/// Longest payload, in bytes: what fits into a frame of any device here.
const MAX_PAYLOAD: usize = 1400;

impl Template {
    pub(crate) fn parse(line: &str) -> Result<Self, BadTemplate> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let &[name, share, source, port, text] = fields.as_slice() else {
            return Err(BadTemplate::Fields);
        };
        let (payload, random) = parse_payload(text).ok_or(BadTemplate::Payload)?;
        let source = match (source.parse(), source.parse()) {
            (Ok(at), _) => Source::At(at),
            (_, Ok(near)) => Source::Near(near),
            _ => return Err(BadTemplate::Source),
        };
        Ok(Self {
            name: name.to_owned(),
            share: share.parse().map_err(|_| BadTemplate::Share)?,
            source,
            port: port.parse().map_err(|_| BadTemplate::Port)?,
            payload,
            random,
        })
    }
}

/// The bytes of a payload and where the random ones are.
fn parse_payload(text: &str) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    let (mut payload, mut random) = (Vec::new(), Vec::<Range<usize>>::new());
    for pair in text.as_bytes().chunks(2) {
        let at = payload.len();
        if pair == b".." {
            match random.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => random.push(at..at + 1),
            }
            payload.push(0);
        } else {
            let pair = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?;
            payload.push(u8::from_str_radix(pair, 16).ok()?);
        }
    }
    (payload.len() <= MAX_PAYLOAD).then_some((payload, random))
}

/// Numbers of templates, mixed by their shares. `None` if all shares are zero.
pub(crate) fn ring(
    templates: &[Template],
    length: usize,
    random: &mut Random,
) -> Option<Vec<usize>> {
    let total: u64 = templates.iter().map(|template| template.share).sum();
    (0..length)
        .map(|_| {
            let mut left = random.next().checked_rem(total)?;
            templates.iter().position(|template| {
                let found = left < template.share;
                left = left.saturating_sub(template.share);
                found
            })
        })
        .collect()
}

/// An Ethernet frame of one template.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    source: Source,
    to: IpAddr,
    payload: usize,
    random: Vec<Range<usize>>,
}

impl Frame {
    /// `macs` are the target's and ours. `None` if the families of the addresses differ.
    pub(crate) fn new(template: &Template, macs: ([u8; 6], [u8; 6]), to: IpAddr) -> Option<Self> {
        let family = match template.source {
            Source::At(at) => at.is_ipv4(),
            Source::Near(net) => net.addr().is_ipv4(),
        };
        if family != to.is_ipv4() {
            return None;
        }
        let length = u16::try_from(UDP + template.payload.len()).ok()?;
        let mut frame = Writer::new();
        frame.bytes(&macs.0).bytes(&macs.1);
        match to {
            IpAddr::V4(to) => {
                frame.u16(0x0800);
                frame.u8(0x45).u8(0).u16(20 + length).u32(0);
                frame.u8(64).u8(PROTOCOL_UDP).u16(0).u32(0);
                frame.bytes(&to.octets());
            }
            IpAddr::V6(to) => {
                frame.u16(0x86dd);
                frame.u32(0x6000_0000).u16(length).u8(PROTOCOL_UDP).u8(64);
                frame.bytes(&[0; 16]).bytes(&to.octets());
            }
        }
        frame.u16(0).u16(template.port).u16(length).u16(0);
        frame.bytes(&template.payload);
        let bytes = frame.into_vec();
        Some(Self {
            payload: bytes.len() - template.payload.len(),
            bytes,
            source: template.source,
            to,
            random: template.random.clone(),
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Draws anew what is random, and sets the checksums.
    pub(crate) fn fill(&mut self, random: &mut Random) {
        for range in &self.random {
            let range = self.payload + range.start..self.payload + range.end;
            random.fill(self.bytes.get_mut(range).unwrap_or_default());
        }
        let from = match self.source {
            Source::At(at) => at,
            Source::Near(net) => somewhere(net, random),
        };
        // The headers are ours, so there is room for all of these.
        let udp = self.payload - UDP;
        self.put(udp, &from.port().to_be_bytes());
        match from.ip() {
            IpAddr::V4(ip) => {
                self.put(ETHERNET + 12, &ip.octets());
                self.put(ETHERNET + 10, &[0; 2]);
                let header = self.bytes.get(ETHERNET..ETHERNET + 20).unwrap_or_default();
                let sum = checksum::internet(header);
                self.put(ETHERNET + 10, &sum.to_be_bytes());
            }
            IpAddr::V6(ip) => {
                self.put(ETHERNET + 8, &ip.octets());
                self.put(udp + 6, &[0; 2]);
                let datagram = self.bytes.get(udp..).unwrap_or_default();
                // cast: a template is shorter than a frame
                let sum = Sum::new()
                    .pseudo_header(from.ip(), self.to, PROTOCOL_UDP, datagram.len() as u32)
                    .bytes(datagram)
                    .finish();
                let sum = if sum == 0 { u16::MAX } else { sum };
                self.put(udp + 6, &sum.to_be_bytes());
            }
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
}

/// An address of the network and a port that no service has.
fn somewhere(net: IpNet, random: &mut Random) -> SocketAddr {
    let ip = match net {
        IpNet::V4(net) => {
            // cast: as many bits as an address has
            let host = random.next() as u32 & u32::from(net.hostmask());
            IpAddr::V4((u32::from(net.network()) | host).into())
        }
        IpNet::V6(net) => {
            let host = u128::from(random.next()) << 64 | u128::from(random.next());
            IpAddr::V6((u128::from(net.network()) | host & u128::from(net.hostmask())).into())
        }
    };
    // cast: a part of the number
    SocketAddr::new(ip, random.next() as u16 | 1024)
}

#[cfg(test)]
mod tests {
    use adit_wire::ip::IpHeader;

    use super::*;

    fn frame(line: &str, to: &str) -> Frame {
        let template = Template::parse(line).unwrap();
        Frame::new(&template, ([1; 6], [2; 6]), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn frames_hold_what_the_template_says() {
        let mut random = Random::new(1);
        for (source, to) in [("10.128.0.0/9", "10.99.0.1"), ("fd00:1::/64", "fd99::1")] {
            let mut frame = frame(&format!("some 1 {source} 4500 ca..fe....01"), to);
            let net: IpNet = source.parse().unwrap();
            let mut seen = std::collections::HashSet::new();
            for _ in 0..100 {
                frame.fill(&mut random);
                let packet = &frame.bytes()[ETHERNET..];
                let header = IpHeader::parse(packet).unwrap();
                assert_eq!(header.destination, to.parse::<IpAddr>().unwrap());
                assert!(net.contains(&header.source), "{}", header.source);
                assert_eq!((header.protocol, header.end), (PROTOCOL_UDP, packet.len()));
                let udp = &packet[header.payload()];
                assert_eq!(udp[2..6], [4500_u16.to_be_bytes(), [0, 14]].concat());
                let payload = &udp[UDP..];
                assert_eq!((payload[0], payload[2], payload[5]), (0xca, 0xfe, 1));
                seen.insert((header.source, payload.to_vec()));
                if header.source.is_ipv4() {
                    assert_eq!(checksum::internet(&packet[..20]), 0);
                    assert_eq!(udp[6..8], [0, 0]);
                } else {
                    let sum = Sum::new()
                        .pseudo_header(header.source, header.destination, PROTOCOL_UDP, 14)
                        .bytes(udp);
                    assert_eq!(sum.finish(), 0);
                }
            }
            assert_eq!(seen.len(), 100, "each is another");
        }
        let mut fixed = frame("one 1 192.0.2.1:1701 1701 00", "192.0.2.2");
        fixed.fill(&mut random);
        let udp = &fixed.bytes()[ETHERNET + 20..];
        assert_eq!(udp[..4], [1701_u16.to_be_bytes(); 2].concat());
    }

    #[test]
    fn shares_are_kept() {
        let parse = |line| Template::parse(line).unwrap();
        let templates = [
            "a 3 192.0.2.0/24 1 00",
            "b 1 192.0.2.0/24 1 00",
            "c 0 192.0.2.0/24 1 00",
        ];
        let templates = templates.map(parse);
        let ring = ring(&templates, 1000, &mut Random::new(7)).unwrap();
        let count = |index| ring.iter().filter(|it| **it == index).count();
        assert!((700..800).contains(&count(0)), "{}", count(0));
        assert_eq!((count(0) + count(1), count(2)), (1000, 0));
        assert!(super::ring(&templates[2..], 10, &mut Random::new(7)).is_none());
    }

    #[test]
    fn mistakes_are_told() {
        for (line, what) in [
            ("a 1 192.0.2.0/24 1", BadTemplate::Fields),
            ("a x 192.0.2.0/24 1 00", BadTemplate::Share),
            ("a 1 192.0.2.0 1 00", BadTemplate::Source),
            ("a 1 192.0.2.0/24 70000 00", BadTemplate::Port),
            ("a 1 192.0.2.0/24 1 0", BadTemplate::Payload),
            ("a 1 192.0.2.0/24 1 .0", BadTemplate::Payload),
            ("a 1 192.0.2.0/24 1 é0", BadTemplate::Payload),
        ] {
            assert_eq!(Template::parse(line).err(), Some(what), "{line}");
        }
        let long = format!("a 1 192.0.2.0/24 1 {}", "00".repeat(MAX_PAYLOAD + 1));
        assert_eq!(Template::parse(&long).err(), Some(BadTemplate::Payload));
        let other = Template::parse("a 1 192.0.2.0/24 1 00").unwrap();
        assert!(Frame::new(&other, ([0; 6], [0; 6]), "::1".parse().unwrap()).is_none());
    }
}
