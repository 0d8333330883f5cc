//! Building the IPv6 packets that the link itself sends, and checking ICMPv6 sums.

use std::net::{IpAddr, Ipv6Addr};

use adit_wire::ip::{IpHeader, protocol};
use adit_wire::{PacketBuf, Writer, checksum, udp};

/// Length of the fixed IPv6 header.
const HEADER_LEN: usize = 40;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// The most messages that wait for their sender to poll; a peer that asks faster gets no more.
pub(crate) const MAX_QUEUED: usize = 16;

/// An ICMPv6 packet around `message`, whose checksum field is filled here.
pub(crate) fn icmpv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    message: &[u8],
) -> Vec<u8> {
    let sum = icmpv6_sum(source, destination, message);
    let mut packet = header(
        source,
        destination,
        protocol::ICMPV6,
        hop_limit,
        message.len(),
    );
    packet.bytes(message);
    packet.patch(HEADER_LEN + 2, &sum.to_be_bytes());
    packet.into_vec()
}

/// A UDP packet with its checksum; `None` if the payload does not fit one.
pub(crate) fn udp(
    (source, source_port): (Ipv6Addr, u16),
    (destination, destination_port): (Ipv6Addr, u16),
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut datagram = PacketBuf::from_slice(udp::HEADER_LEN, payload, 0);
    let addresses = Some((source.into(), destination.into()));
    udp::prepend(
        &mut datagram,
        source_port,
        destination_port,
        addresses.as_ref(),
    )
    .ok()?;
    let mut packet = header(source, destination, protocol::UDP, 64, datagram.len());
    packet.bytes(datagram.as_slice());
    Some(packet.into_vec())
}

fn header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: u8,
    hop_limit: u8,
    payload: usize,
) -> Writer {
    let mut packet = Writer::new();
    packet
        .u32(0x6000_0000)
        // cast: what the link sends is far below 65,536 bytes
        .u16(payload as u16)
        .u8(next_header)
        .u8(hop_limit)
        .bytes(&source.octets())
        .bytes(&destination.octets());
    packet
}

/// The checksum for `message`, or 0 if it holds its own correct one (RFC 4443 2.3).
pub(crate) fn icmpv6_sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    checksum::Sum::new()
        .pseudo_header(
            IpAddr::V6(source),
            IpAddr::V6(destination),
            protocol::ICMPV6,
            // cast: an IPv6 payload is at most 65,535 bytes
            message.len() as u32,
        )
        .bytes(message)
        .finish()
}

/// The ICMPv6 type of a packet, if it shows one.
pub(crate) fn icmpv6_kind(packet: &[u8], header: &IpHeader) -> Option<u8> {
    if header.protocol != protocol::ICMPV6 || header.later_fragment {
        return None;
    }
    packet.get(header.payload())?.first().copied()
}

/// Whether a fragment header stands among the extension headers of an IPv6 packet.
pub(crate) fn is_fragment(packet: &[u8], header: &IpHeader) -> bool {
    let mut next = packet.get(6).copied();
    let mut at = HEADER_LEN;
    while at < header.payload_start {
        if next == Some(FRAGMENT) {
            return true;
        }
        let units = usize::from(packet.get(at + 1).copied().unwrap_or(0));
        let length = match next {
            Some(AUTHENTICATION) => 8 + 4 * units,
            _ => 8 + 8 * units,
        };
        next = packet.get(at).copied();
        at += length;
    }
    false
}

/// The answer to an echo request (RFC 4443 4.2) from an address of the link that is ours; `None`
/// if its checksum is wrong or it is too short.
pub(crate) fn echo_reply(
    packet: &[u8],
    header: &IpHeader,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Option<Vec<u8>> {
    let message = packet.get(header.payload())?;
    if message.len() < 8 || icmpv6_sum(source, destination, message) != 0 {
        return None;
    }
    let mut reply = Writer::new();
    reply.u32(0x8100_0000).bytes(message.get(4..)?);
    Some(icmpv6(destination, source, 64, reply.as_slice()))
}
