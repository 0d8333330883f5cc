//! A view of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet, checked once when it is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::reader::{Reader, Truncated};

/// Protocol numbers that adit looks at (IANA).
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ESP.
    pub const ESP: u8 = 50;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Length of the fixed header: 20 or 40.
    pub fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// Why bytes are not an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpError {
    /// The packet ends inside a header.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Neither version 4 nor version 6.
    #[error("IP version {0}")]
    Version(u8),
    /// The header or total length contradicts the packet.
    #[error("an IP length field of {field} in a packet of {actual} bytes")]
    Length {
        /// What the field says.
        field: usize,
        /// What arrived.
        actual: usize,
    },
    /// More IPv6 extension headers than any real packet has.
    #[error("too many IPv6 extension headers")]
    ExtensionHeaders,
}

/// What an IP packet says of itself. Offsets count from the start of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The upper-layer protocol, behind any extension headers.
    pub protocol: u8,
    /// Where the upper-layer header starts.
    pub payload_start: usize,
    /// Where the packet ends: bytes past it are padding of the layer below.
    pub end: usize,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Whether this is a fragment other than the first, so that no upper-layer header is there.
    pub later_fragment: bool,
    /// Where the packet's payload stands in the whole that it is a fragment of, in bytes.
    pub fragment_offset: u16,
    /// IPv4: the Don't Fragment bit. IPv6: always true.
    pub dont_fragment: bool,
}

/// IPv6 extension headers that may stand before the upper layer (RFC 8200 4.1), and the mobility
/// and authentication headers that follow the same or their own length rule.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const MAX_EXTENSION_HEADERS: usize = 8;

impl IpHeader {
    /// Checks and reads the headers of `packet`. Bytes past the packet's own length are allowed.
    pub fn parse(packet: &[u8]) -> Result<Self, IpError> {
        Self::read(packet, false)
    }

    /// The same for the start of a packet that an ICMP error quotes (RFC 792, RFC 4443 2.4 c): it
    /// may end before the packet's own length.
    pub fn parse_quoted(quote: &[u8]) -> Result<Self, IpError> {
        Self::read(quote, true)
    }

    fn read(packet: &[u8], cut: bool) -> Result<Self, IpError> {
        match packet.first().map(|first| first >> 4) {
            None => Err(Truncated { needed: 1, left: 0 }.into()),
            Some(4) => Self::parse_v4(packet, cut),
            Some(6) => Self::parse_v6(packet, cut),
            Some(version) => Err(IpError::Version(version)),
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// The upper-layer header and its data.
    pub fn payload(&self) -> Range<usize> {
        self.payload_start..self.end
    }

    fn parse_v4(packet: &[u8], cut: bool) -> Result<Self, IpError> {
        let mut reader = Reader::new(packet);
        let header_len = usize::from(reader.u8()? & 0x0f) * 4;
        let _tos = reader.u8()?;
        let mut end = usize::from(reader.u16()?);
        let _id = reader.u16()?;
        let fragment = reader.u16()?;
        let hop_limit = reader.u8()?;
        let protocol = reader.u8()?;
        let _checksum = reader.u16()?;
        let source = Ipv4Addr::from(reader.array::<4>()?);
        let destination = Ipv4Addr::from(reader.array::<4>()?);
        if header_len < 20 || header_len > end {
            return Err(IpError::Length {
                field: header_len,
                actual: end,
            });
        }
        if cut {
            end = end.min(packet.len()).max(header_len);
        }
        if end > packet.len() {
            return Err(IpError::Length {
                field: end,
                actual: packet.len(),
            });
        }
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            protocol,
            payload_start: header_len,
            end,
            hop_limit,
            later_fragment: fragment & 0x1fff != 0,
            fragment_offset: (fragment & 0x1fff) << 3,
            dont_fragment: fragment & 0x4000 != 0,
        })
    }

    fn parse_v6(packet: &[u8], cut: bool) -> Result<Self, IpError> {
        let mut reader = Reader::new(packet);
        let _version_class_label = reader.u32()?;
        let mut payload_len = usize::from(reader.u16()?);
        let mut protocol = reader.u8()?;
        let hop_limit = reader.u8()?;
        let source = Ipv6Addr::from(reader.array::<16>()?);
        let destination = Ipv6Addr::from(reader.array::<16>()?);
        if cut {
            payload_len = payload_len.min(reader.left());
        }
        let end = 40 + payload_len;
        let mut reader =
            reader
                .sub(payload_len)
                .map_err(|Truncated { left, .. }| IpError::Length {
                    field: end,
                    actual: 40 + left,
                })?;

        let mut fragment_offset = 0;
        for _ in 0..MAX_EXTENSION_HEADERS {
            match protocol {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY => {
                    protocol = reader.u8()?;
                    let eights = usize::from(reader.u8()?);
                    reader.bytes(6 + 8 * eights)?;
                }
                AUTHENTICATION => {
                    protocol = reader.u8()?;
                    let fours = usize::from(reader.u8()?);
                    reader.bytes(6 + 4 * fours)?;
                }
                FRAGMENT => {
                    protocol = reader.u8()?;
                    reader.u8()?;
                    fragment_offset = reader.u16()? & 0xfff8;
                    reader.u32()?;
                    if fragment_offset != 0 {
                        break;
                    }
                }
                _ => break,
            }
        }
        let later_fragment = fragment_offset != 0;
        if !later_fragment
            && matches!(
                protocol,
                HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY
            )
        {
            return Err(IpError::ExtensionHeaders);
        }
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            protocol,
            payload_start: end - reader.left(),
            end,
            hop_limit,
            later_fragment,
            fragment_offset,
            dont_fragment: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next_header, 64];
        packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        packet.extend([0xfd; 16]);
        packet.extend([0xfe; 16]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn reads_ipv4_with_options_and_trailing_padding() {
        let mut packet = vec![0x46, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1]);
        packet.extend([9, 9, 9, 9, 0xaa, 0xaa]);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!(header.payload(), 24..28);
        assert_eq!(header.protocol, protocol::UDP);
        assert!(header.dont_fragment && !header.later_fragment);
        assert_eq!(header.family(), Family::V4);
    }

    #[test]
    fn refuses_lengths_past_the_packet() {
        let mut packet = vec![0x45, 0, 0, 21, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        assert!(matches!(
            IpHeader::parse(&packet),
            Err(IpError::Length { .. })
        ));
        packet[0] = 0x44;
        assert!(matches!(
            IpHeader::parse(&packet),
            Err(IpError::Length { .. })
        ));
        let mut packet = v6(17, &[0; 8]);
        packet[5] = 9;
        assert!(matches!(
            IpHeader::parse(&packet),
            Err(IpError::Length { .. })
        ));
        assert!(matches!(IpHeader::parse(&[0x55]), Err(IpError::Version(5))));
        assert!(matches!(IpHeader::parse(&[]), Err(IpError::Truncated(_))));
    }

    #[test]
    fn walks_ipv6_extension_headers() {
        let mut payload = vec![DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        payload.extend([protocol::TCP, 1]);
        payload.extend([0; 14]);
        payload.extend([0; 20]);
        let header = IpHeader::parse(&v6(HOP_BY_HOP, &payload)).unwrap();
        assert_eq!(header.protocol, protocol::TCP);
        assert_eq!(header.payload(), 64..84);
    }

    #[test]
    fn an_extension_header_must_fit() {
        let packet = v6(HOP_BY_HOP, &[protocol::TCP, 4, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(
            IpHeader::parse(&packet),
            Err(IpError::Truncated(_))
        ));
    }

    #[test]
    fn endless_extension_headers_are_refused() {
        let payload = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(12);
        assert_eq!(
            IpHeader::parse(&v6(DESTINATION_OPTIONS, &payload)),
            Err(IpError::ExtensionHeaders)
        );
    }

    #[test]
    fn a_later_fragment_has_no_upper_layer_header() {
        let payload = [protocol::TCP, 0, 0x00, 0x09, 0, 0, 0, 1, 1, 2, 3, 4];
        let header = IpHeader::parse(&v6(FRAGMENT, &payload)).unwrap();
        assert!(header.later_fragment);
        assert_eq!(header.fragment_offset, 8);
        assert_eq!(header.payload(), 48..52);
    }

    #[test]
    fn a_quote_may_end_before_the_packet_does() {
        let mut packet = vec![0x45, 0, 5, 0, 0, 0, 0x20, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend([1; 8]);
        let long = v6(protocol::UDP, &[1; 100]);
        for (quote, payload) in [(&packet[..], 20..28), (&long[..48], 40..48)] {
            assert!(IpHeader::parse(quote).is_err());
            let header = IpHeader::parse_quoted(quote).unwrap();
            assert_eq!(header.payload(), payload);
            assert_eq!(header.protocol, protocol::UDP);
        }
        // The headers themselves must be there, and bytes past the packet are not its own.
        assert!(IpHeader::parse_quoted(&packet[..19]).is_err());
        assert!(IpHeader::parse_quoted(&long[..39]).is_err());
        packet[0] = 0x4f;
        assert!(IpHeader::parse_quoted(&packet).is_err());
        let whole = IpHeader::parse_quoted(&[long.clone(), vec![0; 9]].concat()).unwrap();
        assert_eq!(whole.end, long.len());
    }
}
