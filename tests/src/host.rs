//! A host behind the server that sends every UDP packet back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_wire::ip::{IpHeader, protocol};
use adit_wire::{PacketBuf, checksum, udp};

/// The host's IPv4 address.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// The host's IPv6 address.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x80);

/// An IP packet of either family with UDP in it.
pub fn udp_packet(from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut buf = PacketBuf::from_slice(64, payload, 0);
    udp::prepend(&mut buf, 7777, 7, Some(&(from, to))).expect("room");
    let length = buf.len();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = buf.prepend(20).expect("room");
            header.fill(0);
            header[0] = 0x45;
            header[2..4].copy_from_slice(&((length + 20) as u16).to_be_bytes());
            header[8] = 64;
            header[9] = protocol::UDP;
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            let sum = checksum::internet(header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = buf.prepend(40).expect("room");
            header.fill(0);
            header[0] = 0x60;
            header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            header[6] = protocol::UDP;
            header[7] = 64;
            header[8..24].copy_from_slice(&from.octets());
            header[24..40].copy_from_slice(&to.octets());
        }
        _ => panic!("one family"),
    }
    buf.as_slice().to_vec()
}

/// A UDP packet from the host to `to` of `length` bytes in all, not to be cut.
pub fn packet_from_host(to: IpAddr, length: usize) -> Vec<u8> {
    match to {
        IpAddr::V4(_) => {
            let mut packet = udp_packet(HOST_V4.into(), to, &vec![7; length - 28]);
            packet[6] |= 0x40;
            packet
        }
        IpAddr::V6(_) => udp_packet(HOST_V6.into(), to, &vec![7; length - 48]),
    }
}

/// The packet that comes back, if the host is the destination and it is UDP, or if it is an echo
/// request over IPv4, which any host answers.
pub(crate) fn echo(packet: &[u8]) -> Option<Vec<u8>> {
    let header = IpHeader::parse(packet).ok()?;
    if header.protocol == protocol::ICMP && packet.get(header.payload_start) == Some(&8) {
        return Some(echo_reply(packet, &header));
    }
    let to_host = header.destination == HOST_V4 || header.destination == HOST_V6;
    if !to_host || header.protocol != protocol::UDP {
        return None;
    }
    let payload = packet.get(header.payload_start + udp::HEADER_LEN..header.end)?;
    Some(udp_packet(header.destination, header.source, payload))
}

fn echo_reply(request: &[u8], header: &IpHeader) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[12..16].copy_from_slice(&request[16..20]);
    reply[16..20].copy_from_slice(&request[12..16]);
    let message = &mut reply[header.payload_start..];
    message[0] = 0;
    message[2..4].fill(0);
    let sum = checksum::internet(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    reply
}
