//! UDP packets as they stand on a TUN.

use std::net::{IpAddr, SocketAddr};

use adit_wire::checksum::internet;
use adit_wire::ip::{IpHeader, protocol};
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{PacketBuf, ip::Family};

/// A UDP packet with its IP header.
pub(crate) fn udp_packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut buf = PacketBuf::from_slice(udp::HEADER_LEN, payload, 0);
    udp::prepend(
        &mut buf,
        from.port(),
        to.port(),
        Some(&(from.ip(), to.ip())),
    )
    .unwrap();
    let length = u16::try_from(buf.len()).unwrap();
    let mut packet = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            header.extend([0, 0, 0, 0, 64, protocol::UDP, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let checksum = internet(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol::UDP, 64]);
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => panic!("two families"),
    };
    packet.extend(buf.as_slice());
    packet
}

/// Source, destination and payload of a UDP packet whose checksum holds; None for anything else.
pub(crate) fn read_udp(packet: &[u8]) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
    let ip = IpHeader::parse(packet).ok()?;
    if ip.protocol != protocol::UDP {
        return None;
    }
    let datagram = packet.get(ip.payload())?;
    let header = UdpHeader::parse(datagram).ok()?;
    assert!(header.checksum_holds(datagram, ip.source, ip.destination));
    Some((
        SocketAddr::new(ip.source, header.source),
        SocketAddr::new(ip.destination, header.destination),
        datagram[udp::HEADER_LEN..header.length].to_vec(),
    ))
}

#[test]
fn what_is_written_is_read() {
    for (from, to) in [
        ("10.0.0.1:5", "10.0.0.2:7"),
        ("[2001:db8::1]:5", "[2001:db8::2]:7"),
    ] {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let packet = udp_packet(from, to, b"payload");
        assert_eq!(
            IpHeader::parse(&packet).unwrap().family(),
            Family::of(from.ip())
        );
        assert_eq!(read_udp(&packet), Some((from, to, b"payload".to_vec())));
    }
}
