//! The UDP header (RFC 768), as it stands inside ESP transport mode and inside a session.

use std::net::IpAddr;

use crate::buffer::{NoRoom, PacketBuf};
use crate::checksum::Sum;
use crate::ip::protocol;
use crate::reader::{Reader, Truncated};

/// Length of the header.
pub const HEADER_LEN: usize = 8;

/// Why bytes are not a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UdpError {
    /// The header does not fit.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The length field is below 8 or past the datagram.
    #[error("a UDP length of {field} in {actual} bytes")]
    Length {
        /// What the field says.
        field: usize,
        /// What arrived.
        actual: usize,
    },
}

/// A UDP header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of header and payload, at most that of the input.
    pub length: usize,
    /// The checksum field; zero means none was made.
    pub checksum: u16,
}

impl UdpHeader {
    /// Checks and reads the header at the front of `datagram`.
    pub fn parse(datagram: &[u8]) -> Result<Self, UdpError> {
        let mut reader = Reader::new(datagram);
        let source = reader.u16()?;
        let destination = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let checksum = reader.u16()?;
        if length < HEADER_LEN || length > datagram.len() {
            return Err(UdpError::Length {
                field: length,
                actual: datagram.len(),
            });
        }
        Ok(Self {
            source,
            destination,
            length,
            checksum,
        })
    }

    /// Whether the checksum over `datagram` (from its UDP header on) is right or absent. IPv6
    /// forbids its absence (RFC 8200 8.1), but that is the caller's to judge.
    pub fn checksum_holds(&self, datagram: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        self.checksum == 0
            || datagram
                .get(..self.length)
                .is_some_and(|datagram| checksum_over(datagram, source, destination) == 0)
    }
}

/// Prepends a UDP header to the payload in `buf`. With `addresses` it carries a checksum, without
/// it the field is zero, as RFC 768 allows over IPv4.
pub fn prepend(
    buf: &mut PacketBuf,
    source: u16,
    destination: u16,
    addresses: Option<&(IpAddr, IpAddr)>,
) -> Result<(), NoRoom> {
    let length = buf.len() + HEADER_LEN;
    let field = u16::try_from(length).map_err(|_| NoRoom {
        needed: length,
        left: usize::from(u16::MAX),
    })?;
    let header = buf.prepend(HEADER_LEN)?;
    let fields = [source, destination, field, 0];
    for (to, from) in header.chunks_exact_mut(2).zip(fields) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    if let Some((from, to)) = addresses {
        // A sum of zero is sent as its other representation, since zero says "none" (RFC 768).
        let checksum = match checksum_over(buf.as_slice(), *from, *to) {
            0 => 0xffff,
            sum => sum,
        };
        if let Some(field) = buf.as_mut_slice().get_mut(6..8) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
    }
    Ok(())
}

fn checksum_over(datagram: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    // cast: callers pass at most 65,535 bytes
    Sum::new()
        .pseudo_header(source, destination, protocol::UDP, datagram.len() as u32)
        .bytes(datagram)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn what_is_prepended_parses_and_sums() {
        for (from, to) in [(A, A), (B, B)] {
            let mut buf = PacketBuf::from_slice(8, b"hello", 0);
            prepend(&mut buf, 1701, 40_000, Some(&(from, to))).unwrap();
            let header = UdpHeader::parse(buf.as_slice()).unwrap();
            assert_eq!(
                (header.source, header.destination, header.length),
                (1701, 40_000, 13)
            );
            assert!(header.checksum_holds(buf.as_slice(), from, to));
            buf.as_mut_slice()[9] ^= 1;
            assert!(!header.checksum_holds(buf.as_slice(), from, to));
        }
    }

    #[test]
    fn refuses_lengths_below_the_header_and_past_the_datagram() {
        for length in [0, 7, 9] {
            let datagram = [0, 1, 0, 2, 0, length, 0, 0];
            assert!(matches!(
                UdpHeader::parse(&datagram),
                Err(UdpError::Length { .. })
            ));
        }
        assert!(matches!(
            UdpHeader::parse(&[0; 7]),
            Err(UdpError::Truncated(_))
        ));
    }
}
