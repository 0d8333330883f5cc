//! What is done to every packet of a session, on the packet path: the source address check
//! (BCP 38, RFC 2827) and the MSS clamp. Nothing here allocates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_wire::Truncated;
use adit_wire::ip::{Family, IpHeader, protocol};
use adit_wire::tcp;
use ipnet::Ipv6Net;

use crate::address::is_within;

/// Lowers the MSS of a TCP SYN to what the link carries, in place: `mss_v4` or `mss_v6` by the
/// packet's family. `header` must be that of `packet`.
///
/// Anything but the start of a TCP segment is left alone. Returns whether the packet changed, and
/// [`Truncated`] if its TCP header or options are malformed.
pub fn clamp(
    packet: &mut [u8],
    header: &IpHeader,
    mss_v4: u16,
    mss_v6: u16,
) -> Result<bool, Truncated> {
    if header.protocol != protocol::TCP || header.later_fragment {
        return Ok(false);
    }
    let left = packet.len();
    let segment = packet.get_mut(header.payload()).ok_or(Truncated {
        needed: header.end,
        left,
    })?;
    let max = match header.family() {
        Family::V4 => mss_v4,
        Family::V6 => mss_v6,
    };
    tcp::clamp_mss(segment, max).map(|lowered| lowered.is_some())
}

/// The addresses that a session's client may send from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Its IPv4 address, if IPCP is open.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 prefix, if it has one.
    pub ipv6: Option<Ipv6Net>,
    /// The prefix that was delegated to a router behind it.
    pub delegated: Option<Ipv6Net>,
    /// The link-local address of its interface identifier.
    pub link_local: Option<Ipv6Addr>,
}

impl Addresses {
    /// Whether `source` is one of them.
    pub fn owns(&self, source: IpAddr) -> bool {
        match source {
            IpAddr::V4(source) => self.ipv4 == Some(source),
            IpAddr::V6(source) => {
                let holds = |prefix: Ipv6Net| is_within(source, &prefix);
                self.ipv6.is_some_and(holds)
                    || self.delegated.is_some_and(holds)
                    || self.link_local == Some(source)
            }
        }
    }
}
