//! How large an inner packet may be (the arithmetic of RFC 4303 2, RFC 3948 2.1, RFC 2661 3.1 and
//! RFC 1661 2), exact to the byte, and the TCP segment size that follows from it.

use adit_crypto::EspSuite;
use adit_wire::ip::Family;
use adit_wire::udp;

/// The smallest MTU on which IPv6 runs (RFC 8200 5).
pub const IPV6_MINIMUM: u16 = 1280;

/// Everything that stands around an inner IP packet on its way through the Internet:
/// outer IP, UDP if encapsulated, ESP in transport mode, inner UDP, L2TP, PPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// Family of the outer packet, whose header has no options: 20 or 40 bytes.
    pub outer: Family,
    /// Whether ESP travels in UDP (RFC 3948), another 8 bytes.
    pub udp: bool,
    /// The ESP algorithms, which decide IV, padding and ICV.
    pub suite: EspSuite,
    /// Length of the PPP header: 2 to 4 bytes (address and control may be left out), or 1.
    pub ppp_header: usize,
    /// Length of the L2TP data header: 8 bytes with a length field. The inner UDP header comes on
    /// top of it.
    pub l2tp_header: usize,
}

/// The same for L2TP without IPsec: outer IP, UDP, L2TP, PPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainEncapsulation {
    /// Family of the outer packet.
    pub outer: Family,
    /// Length of the PPP header.
    pub ppp_header: usize,
    /// Length of the L2TP data header.
    pub l2tp_header: usize,
}

impl PlainEncapsulation {
    /// The largest inner IP packet whose outer packet is at most `path_mtu` bytes long, 0 if there
    /// is none.
    pub fn link_mtu(self, path_mtu: u16) -> u16 {
        let headers = self.outer_len(0);
        let inner = usize::from(path_mtu).saturating_sub(headers);
        u16::try_from(inner).unwrap_or(u16::MAX)
    }

    /// Length of the outer packet around an inner IP packet of `inner` bytes.
    pub fn outer_len(self, inner: usize) -> usize {
        let headers =
            self.outer.header_len() + udp::HEADER_LEN + self.l2tp_header + self.ppp_header;
        headers.saturating_add(inner)
    }
}

/// A link MTU on which IPv6 can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6LinkMtu {
    /// The MTU, at least [`IPV6_MINIMUM`].
    pub mtu: u16,
    /// Whether it had to be raised, so that the largest packets become fragments outside.
    pub fragments: bool,
}

impl Encapsulation {
    /// The largest inner IP packet whose outer packet is at most `path_mtu` bytes long, 0 if there
    /// is none.
    pub fn link_mtu(self, path_mtu: u16) -> u16 {
        let Some(room) = usize::from(path_mtu).checked_sub(self.outside()) else {
            return 0;
        };
        if self.suite.sealed_len(self.inside()) > room {
            return 0;
        }
        let inner = self.suite.max_payload(room).saturating_sub(self.inside());
        u16::try_from(inner).unwrap_or(u16::MAX)
    }

    /// As [`link_mtu`](Self::link_mtu) where IPv6 is to run, which needs 1280 bytes (RFC 8200 5).
    pub fn ipv6_link_mtu(self, path_mtu: u16) -> Ipv6LinkMtu {
        let mtu = self.link_mtu(path_mtu);
        Ipv6LinkMtu {
            mtu: mtu.max(IPV6_MINIMUM),
            fragments: mtu < IPV6_MINIMUM,
        }
    }

    /// Length of the outer packet around an inner IP packet of `inner` bytes.
    pub fn outer_len(self, inner: usize) -> usize {
        self.outside() + self.suite.sealed_len(self.inside().saturating_add(inner))
    }

    /// Bytes before ESP.
    fn outside(self) -> usize {
        self.outer.header_len() + if self.udp { udp::HEADER_LEN } else { 0 }
    }

    /// Bytes between ESP and the inner packet.
    fn inside(self) -> usize {
        udp::HEADER_LEN + self.l2tp_header + self.ppp_header
    }
}

/// The largest TCP segment that fits a link MTU: without 20 bytes of TCP header and the 20 or 40
/// of the IP header (RFC 9293 3.7.1, RFC 6691).
pub fn mss(family: Family, link_mtu: u16) -> u16 {
    match family {
        Family::V4 => link_mtu.saturating_sub(40),
        Family::V6 => link_mtu.saturating_sub(60),
    }
}
