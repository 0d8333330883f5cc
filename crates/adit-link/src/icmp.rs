//! ICMP (RFC 792, RFC 1191, RFC 1812) and ICMPv6 (RFC 4443) errors about packets that cannot go on.
//!
//! None is ever made about an ICMP error, a later fragment, or a packet whose addresses do not
//! name a single host at both ends (RFC 1122 3.2.2, RFC 4443 2.4 e): such an answer could multiply.
//! How often errors may be sent (RFC 4443 2.4 f) is the caller's to limit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_wire::ip::{IpHeader, protocol};
use adit_wire::{Writer, checksum};

use crate::packet;

/// The longest ICMP error, so that it is never a fragment (RFC 1812 4.3.2.3).
const MAX_V4: usize = 576;
/// The longest ICMPv6 error: the minimum IPv6 MTU (RFC 4443 2.4 c).
const MAX_V6: usize = 1280;
/// Internetwork control, for errors (RFC 1812 4.3.2.5).
const PRECEDENCE: u8 = 0xc0;
const DONT_FRAGMENT: u16 = 0x4000;
const HOP_LIMIT: u8 = 64;

/// Why a destination cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No route goes there: ICMP code 0, ICMPv6 code 0.
    NoRoute,
    /// A policy forbids it: ICMP code 13, ICMPv6 code 1.
    Prohibited,
    /// The destination is ours to reach, but nobody has it: ICMP code 1, ICMPv6 code 3.
    Address,
}

/// The error for a packet that is longer than `mtu`: "fragmentation needed" with the next-hop MTU
/// (RFC 1191 4) or "packet too big" (RFC 4443 3.2), from `from4` or `from6` to its sender. `None`
/// where no error may be sent, or none can be because that address is unspecified.
pub fn too_big(original: &[u8], mtu: u16, from4: Ipv4Addr, from6: Ipv6Addr) -> Option<Vec<u8>> {
    error(original, from4, from6, (3, 4), (2, 0), mtu)
}

/// The error for a packet to an address that no session has:
/// [`unreachable_because`] of [`Unreachable::Address`].
pub fn unreachable(original: &[u8], from4: Ipv4Addr, from6: Ipv6Addr) -> Option<Vec<u8>> {
    unreachable_because(original, Unreachable::Address, from4, from6)
}

/// "Destination unreachable" (RFC 792, RFC 4443 3.1), from `from4` or `from6` to the sender of
/// `original`. `None` as in [`too_big`].
pub fn unreachable_because(
    original: &[u8],
    why: Unreachable,
    from4: Ipv4Addr,
    from6: Ipv6Addr,
) -> Option<Vec<u8>> {
    let (code4, code6) = match why {
        Unreachable::NoRoute => (0, 0),
        Unreachable::Prohibited => (13, 1),
        Unreachable::Address => (1, 3),
    };
    error(original, from4, from6, (3, code4), (1, code6), 0)
}

fn error(
    original: &[u8],
    from4: Ipv4Addr,
    from6: Ipv6Addr,
    v4: (u8, u8),
    v6: (u8, u8),
    mtu: u16,
) -> Option<Vec<u8>> {
    let header = IpHeader::parse(original).ok()?;
    let original = original.get(..header.end)?;
    if header.later_fragment || is_error(original, &header) {
        return None;
    }
    match (header.source, header.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let answerable = is_host_v4(source) && is_host_v4(destination) && is_host_v4(from4);
            answerable.then(|| error_v4(original, from4, source, v4, mtu))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let answerable = is_host_v6(source) && !destination.is_multicast() && is_host_v6(from6);
            answerable.then(|| error_v6(original, from6, source, v6, mtu))
        }
        _ => None,
    }
}

fn error_v4(
    original: &[u8],
    from: Ipv4Addr,
    to: Ipv4Addr,
    (kind, code): (u8, u8),
    mtu: u16,
) -> Vec<u8> {
    let quote = quote(original, MAX_V4 - 28);
    let mut icmp = Writer::new();
    icmp.u8(kind).u8(code).u16(0).u16(0).u16(mtu).bytes(quote);
    let sum = checksum::internet(icmp.as_slice());
    icmp.patch(2, &sum.to_be_bytes());

    let mut packet = Writer::new();
    packet
        .u8(0x45)
        .u8(PRECEDENCE)
        // cast: at most MAX_V4
        .u16((20 + icmp.len()) as u16)
        .u16(0)
        .u16(DONT_FRAGMENT)
        .u8(HOP_LIMIT)
        .u8(protocol::ICMP)
        .u16(0)
        .bytes(&from.octets())
        .bytes(&to.octets());
    let sum = checksum::internet(packet.as_slice());
    packet.patch(10, &sum.to_be_bytes());
    packet.bytes(icmp.as_slice());
    packet.into_vec()
}

fn error_v6(
    original: &[u8],
    from: Ipv6Addr,
    to: Ipv6Addr,
    (kind, code): (u8, u8),
    mtu: u16,
) -> Vec<u8> {
    let mut icmp = Writer::new();
    icmp.u8(kind).u8(code).u16(0).u32(u32::from(mtu));
    icmp.bytes(quote(original, MAX_V6 - 48));
    packet::icmpv6(from, to, HOP_LIMIT, icmp.as_slice())
}

fn quote(original: &[u8], most: usize) -> &[u8] {
    original.get(..most).unwrap_or(original)
}

/// Whether the packet is an ICMP error or a redirect, or may be one: IPv4 types that are not known
/// to be queries or their answers, IPv6 types below 128 (RFC 4443 2.1) and Redirect.
fn is_error(packet: &[u8], header: &IpHeader) -> bool {
    let kind = packet.get(header.payload()).and_then(|bytes| bytes.first());
    match (header.protocol, kind) {
        (protocol::ICMP, Some(kind)) => !matches!(kind, 0 | 8 | 9 | 10 | 13..=18 | 42 | 43),
        (protocol::ICMPV6, Some(kind)) => *kind < 128 || *kind == 137,
        (protocol::ICMP | protocol::ICMPV6, None) => true,
        _ => false,
    }
}

fn is_host_v4(address: Ipv4Addr) -> bool {
    // 0/8 and 240/4 name no host either (RFC 1122 3.2.1.3, RFC 1812 5.3.7).
    let [first, ..] = address.octets();
    first != 0 && first < 224 && !address.is_loopback()
}

fn is_host_v6(address: Ipv6Addr) -> bool {
    !(address.is_unspecified()
        || address.is_multicast()
        || address.is_loopback()
        || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
