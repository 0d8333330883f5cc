//! IP packets of our own making, for what rides in the tunnel: IPv4 (RFC 791) without options and IPv6
//! (RFC 8200) without extension headers. Checksums above IP are the caller's.

use std::net::IpAddr;

use adit_wire::{Writer, checksum};

/// Puts an IP header before `payload`; `None` if the addresses are of two families or it is too long.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Writer::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = payload.len().checked_add(20)?;
            packet
                .u8(0x45)
                .u8(0)
                .u16(length.try_into().ok()?)
                .u16(0)
                .u16(0x4000)
                .u8(64)
                .u8(protocol)
                .u16(0)
                .bytes(&from.octets())
                .bytes(&to.octets());
            let sum = checksum::internet(packet.as_slice());
            packet.patch(10, &sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet
                .u32(0x6000_0000)
                .u16(payload.len().try_into().ok()?)
                .u8(protocol)
                .u8(64)
                .bytes(&from.octets())
                .bytes(&to.octets());
        }
        _ => return None,
    }
    packet.bytes(payload);
    Some(packet.into_vec())
}
