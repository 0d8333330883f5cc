//! The packets of a session's traffic: ICMP echo requests (RFC 792, RFC 4443 section 4), all alike but for
//! a number and the time, so that an answer says by itself how long it took.

use std::net::IpAddr;

use adit_wire::checksum::Sum;
use adit_wire::ip::{Family, protocol};
use adit_wire::{PacketBuf, Reader, Writer};

use crate::packet;
use crate::probe::echo::{self, REQUEST_V4, REQUEST_V6};

/// Bytes of an ICMP header, a token, a number and a time.
const LEAST: usize = 32;

/// A stream of echo requests.
pub(super) struct Stream {
    from: IpAddr,
    to: IpAddr,
    token: u64,
    /// The packet that all are made from, with zeros for the numbers and the checksum.
    packet: Vec<u8>,
    /// Of all that the checksum covers.
    sum: Sum,
}

impl Stream {
    /// Requests of `size` bytes of IP; `None` if no packet has that size and these addresses. Answers are
    /// known by `token`.
    pub(super) fn new(from: IpAddr, to: IpAddr, token: u64, size: usize) -> Option<Self> {
        let (kind, protocol) = match to {
            IpAddr::V4(_) => (REQUEST_V4, protocol::ICMP),
            IpAddr::V6(_) => (REQUEST_V6, protocol::ICMPV6),
        };
        let length = size.checked_sub(header_len(to))?;
        if length < LEAST || size > usize::from(u16::MAX) {
            return None;
        }
        let mut message = Writer::new();
        // cast: a part of the token is the identifier
        message.u8(kind).u8(0).u16(0).u16(token as u16).u16(0);
        message.u64(token);
        let mut message = message.into_vec();
        message.resize(length, 0);
        let sum = match to {
            IpAddr::V4(_) => Sum::new(),
            IpAddr::V6(_) => {
                Sum::new().pseudo_header(from, to, protocol, message.len().try_into().ok()?)
            }
        };
        Some(Self {
            from,
            to,
            token,
            sum: sum.bytes(&message),
            packet: packet::ip(from, to, protocol, &message)?,
        })
    }

    /// Puts the request with these numbers into `buf`; `None` if there is no room.
    pub(super) fn write(&self, numbers: [u64; 2], buf: &mut PacketBuf) -> Option<()> {
        let [first, second] = numbers.map(u64::to_be_bytes);
        let sum = self.sum.bytes(&first).bytes(&second).finish();
        let bytes = buf.append(self.packet.len()).ok()?;
        bytes.copy_from_slice(&self.packet);
        let message = bytes.get_mut(header_len(self.to)..)?;
        message.get_mut(2..4)?.copy_from_slice(&sum.to_be_bytes());
        message.get_mut(16..24)?.copy_from_slice(&first);
        message.get_mut(24..32)?.copy_from_slice(&second);
        Some(())
    }

    /// The numbers of the request that `packet` answers.
    pub(super) fn answered(&self, packet: &[u8]) -> Option<[u64; 2]> {
        let mut reader = Reader::new(echo::reply(packet, self.from, self.to)?);
        // Type, code, checksum, identifier, sequence number
        reader.bytes(8).ok()?;
        if reader.u64().ok()? != self.token {
            return None;
        }
        Some([reader.u64().ok()?, reader.u64().ok()?])
    }
}

fn header_len(address: IpAddr) -> usize {
    Family::of(address).header_len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::echo::{REPLY_V4, REPLY_V6};

    fn request(stream: &Stream, numbers: [u64; 2]) -> Vec<u8> {
        let mut buf = PacketBuf::with_capacity(0, 1500);
        stream.write(numbers, &mut buf).unwrap();
        buf.as_slice().to_vec()
    }

    #[test]
    fn answers_are_known_and_others_are_not() {
        for (from, to, at, length, reply) in [
            ("10.0.0.2", "10.0.0.1", 12, 4, REPLY_V4),
            ("fe80::2", "fe80::1", 8, 16, REPLY_V6),
        ] {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let stream = Stream::new(from, to, 77, 128).unwrap();
            let asked = request(&stream, [5, u64::MAX]);
            assert_eq!(asked.len(), 128);
            let start = header_len(to);
            let sum = match to {
                IpAddr::V4(_) => Sum::new(),
                IpAddr::V6(_) => Sum::new().pseudo_header(from, to, protocol::ICMPV6, 88),
            };
            assert_eq!(sum.bytes(&asked[start..]).finish(), 0, "its checksum holds");
            assert_eq!(stream.answered(&asked), None, "our own request");
            let mut answer = asked.clone();
            answer[at..at + length].copy_from_slice(&asked[at + length..at + 2 * length]);
            answer[at + length..at + 2 * length].copy_from_slice(&asked[at..at + length]);
            answer[start] = reply;
            assert_eq!(stream.answered(&answer), Some([5, u64::MAX]));
            let other = Stream::new(from, to, 78, 128).unwrap();
            assert_eq!(other.answered(&answer), None, "another stream's");
            for end in 0..start + LEAST {
                assert_eq!(stream.answered(&answer[..end]), None, "cut at {end}");
            }
            assert!(Stream::new(from, to, 1, start + LEAST - 1).is_none());
            assert!(Stream::new(from, to, 1, start + LEAST).is_some());
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let (from, to) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let stream = Stream::new(from, to, 1, 200).unwrap();
        assert_eq!(
            stream.write([0; 2], &mut PacketBuf::with_capacity(9, 199)),
            None
        );
        assert!(Stream::new(from, "::1".parse().unwrap(), 1, 200).is_none());
    }
}
