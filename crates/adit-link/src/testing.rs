//! Packets for the tests, built without the code under test.

use std::net::{IpAddr, Ipv6Addr};

use adit_wire::checksum::Sum;
use adit_wire::ip::IpHeader;

pub(crate) const CLIENT: &str = "fe80::211:22ff:fe33:4455";
pub(crate) const CLIENT_ID: u64 = 0x0211_22ff_fe33_4455;

pub(crate) fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(crate) fn header(packet: &[u8]) -> IpHeader {
    IpHeader::parse(packet).unwrap()
}

pub(crate) fn ipv6(from: &str, to: &str, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, hop_limit];
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend(ip(from).octets());
    packet.extend(ip(to).octets());
    packet.extend(payload);
    packet
}

/// An ICMPv6 packet; the checksum field of `message` is filled.
pub(crate) fn icmpv6(from: &str, to: &str, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = upper_sum(ip(from), ip(to), 58, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv6(from, to, 58, hop_limit, &message)
}

pub(crate) fn udp(from: &str, to: &str, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    for field in [ports.0, ports.1, 8 + payload.len() as u16, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(payload);
    let sum = upper_sum(ip(from), ip(to), 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv6(from, to, 17, 64, &datagram)
}

pub(crate) fn upper_sum(from: Ipv6Addr, to: Ipv6Addr, next: u8, payload: &[u8]) -> u16 {
    Sum::new()
        .pseudo_header(IpAddr::V6(from), IpAddr::V6(to), next, payload.len() as u32)
        .bytes(payload)
        .finish()
}

/// A Router Solicitation with `options`.
pub(crate) fn solicitation(options: &[u8]) -> Vec<u8> {
    [&[133, 0, 0, 0, 0, 0, 0, 0], options].concat()
}

/// A Neighbor Solicitation for `target`.
pub(crate) fn neighbor_solicitation(target: &str) -> Vec<u8> {
    [&[135, 0, 0, 0, 0, 0, 0, 0][..], &ip(target).octets()].concat()
}
