//! ICMP echo (RFC 792, RFC 4443 section 4): a question to the server's inner address, and its
//! answer.

use std::net::IpAddr;

use adit_wire::ip::{IpHeader, protocol};
use adit_wire::{Writer, checksum};

use crate::packet;

pub(crate) const REQUEST_V4: u8 = 8;
pub(crate) const REPLY_V4: u8 = 0;
pub(crate) const REQUEST_V6: u8 = 128;
pub(crate) const REPLY_V6: u8 = 129;

/// Where a question goes, and how its answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) identifier: u16,
}

impl Echo {
    /// The question with this number.
    pub(super) fn request(&self, sequence: u16) -> Vec<u8> {
        let kind = match self.to {
            IpAddr::V4(_) => REQUEST_V4,
            IpAddr::V6(_) => REQUEST_V6,
        };
        let mut message = Writer::new();
        message.u8(kind).u8(0).u16(0).u16(self.identifier);
        message.u16(sequence).bytes(b"adit probe");
        let (protocol, pseudo) = match self.to {
            IpAddr::V4(_) => (protocol::ICMP, checksum::Sum::new()),
            IpAddr::V6(_) => {
                // cast: a few dozen bytes
                let length = message.len() as u32;
                let sum = checksum::Sum::new();
                let sum = sum.pseudo_header(self.from, self.to, protocol::ICMPV6, length);
                (protocol::ICMPV6, sum)
            }
        };
        let sum = pseudo.bytes(message.as_slice()).finish();
        message.patch(2, &sum.to_be_bytes());
        packet::ip(self.from, self.to, protocol, message.as_slice()).unwrap_or_default()
    }

    /// The number of the question that `packet` answers, if it answers one.
    pub(super) fn answered(&self, packet: &[u8]) -> Option<u16> {
        match reply(packet, self.from, self.to)? {
            [_, 0, _, _, id1, id2, seq1, seq2, ..]
                if u16::from_be_bytes([*id1, *id2]) == self.identifier =>
            {
                Some(u16::from_be_bytes([*seq1, *seq2]))
            }
            _ => None,
        }
    }
}

/// The ICMP message of `packet`, if it is an echo reply to what was sent from `from` to `to`.
pub(crate) fn reply(packet: &[u8], from: IpAddr, to: IpAddr) -> Option<&[u8]> {
    let header = IpHeader::parse(packet).ok()?;
    if (header.source, header.destination) != (to, from) || header.later_fragment {
        return None;
    }
    let expected = match to {
        IpAddr::V4(_) => (protocol::ICMP, REPLY_V4),
        IpAddr::V6(_) => (protocol::ICMPV6, REPLY_V6),
    };
    let message = packet.get(header.payload())?;
    ((header.protocol, *message.first()?) == expected).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(from: &str, to: &str) -> Echo {
        Echo {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            identifier: 0x1234,
        }
    }

    /// What the other end makes of a question.
    fn answer(request: &[u8], reply: u8) -> Vec<u8> {
        let header = IpHeader::parse(request).unwrap();
        let mut packet = request.to_vec();
        let (at, length) = if header.source.is_ipv4() {
            (12, 4)
        } else {
            (8, 16)
        };
        packet[at..at + length].copy_from_slice(&request[at + length..at + 2 * length]);
        packet[at + length..at + 2 * length].copy_from_slice(&request[at..at + length]);
        packet[header.payload_start] = reply;
        packet
    }

    #[test]
    fn an_answer_is_known() {
        for (from, to, reply) in [
            ("10.0.0.2", "10.0.0.1", REPLY_V4),
            ("fe80::2", "fe80::1", REPLY_V6),
        ] {
            let echo = echo(from, to);
            let request = echo.request(7);
            let good = answer(&request, reply);
            assert_eq!(echo.answered(&good), Some(7));
            assert_eq!(echo.answered(&request), None, "our own question");
            assert_eq!(echo.answered(&answer(&request, 3)), None, "another type");
            for end in 0..good.len() - 10 {
                assert_eq!(echo.answered(&good[..end]), None, "cut at {end}");
            }
            let other = Echo {
                identifier: 1,
                ..echo
            };
            assert_eq!(other.answered(&good), None);
        }
    }

    #[test]
    fn checksums_hold() {
        let four = echo("10.0.0.2", "10.0.0.1").request(1);
        assert_eq!(checksum::internet(&four[..20]), 0);
        assert_eq!(checksum::internet(&four[20..]), 0);
        let six = echo("fe80::2", "fe80::1").request(1);
        let (from, to) = ("fe80::2".parse().unwrap(), "fe80::1".parse().unwrap());
        let length = (six.len() - 40) as u32;
        let sum = checksum::Sum::new()
            .pseudo_header(from, to, protocol::ICMPV6, length)
            .bytes(&six[40..]);
        assert_eq!(sum.finish(), 0);
    }
}
