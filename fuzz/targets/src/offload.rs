//! Packets that stand for several: cut up, and put together.

use std::ops::Range;

use adit_wire::checksum::{Sum, internet};
use adit_wire::ip::{IpHeader, protocol};
use adit_wire::offload::{Coalescer, Segments, VirtioHeader, complete};
use adit_wire::{PacketBuf, tcp};

use crate::messages;

/// What TUN gave, header and all; then packets from clients, once as they are and once with true
/// checksums, so that they get together.
pub fn offload(data: &[u8]) {
    let _ = apart(data);
    let mut packets: Vec<Vec<u8>> = messages(data).map(<[u8]>::to_vec).collect();
    together(&packets);
    packets.iter_mut().for_each(|packet| mend(packet));
    together(&packets);
}

/// The packets that one stands for.
fn apart(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (header, packet) = VirtioHeader::parse(bytes).ok()?;
    let mut whole = packet.to_vec();
    let completed = complete(&header, &mut whole);
    let segments = Segments::new(&header, packet);
    assert_eq!(completed.is_ok(), segments.is_ok() && header.is_single());
    let mut segments = segments.ok()?;
    let mut buf = PacketBuf::with_capacity(0, 65_536);
    let mut found = Vec::new();
    loop {
        let length = segments.next_len(packet);
        if !segments.next(packet, &mut buf).expect("room for anything") {
            break;
        }
        assert!(buf.len() <= packet.len(), "a longer packet");
        assert_eq!(buf.len(), length, "another length than was said");
        found.push(buf.as_slice().to_vec());
        buf.reset(0);
    }
    if completed.is_ok() {
        assert_eq!(found, [whole], "one packet is two");
    }
    let total: usize = found.iter().map(Vec::len).sum();
    assert!(total >= packet.len(), "some of it is lost");
    Some(found)
}

/// Puts packets together; cut up again they are what they were, each flow in its order.
/// Returns how many are written.
fn together(packets: &[Vec<u8>]) -> usize {
    let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let (mut again, mut written) = (Vec::new(), 0);
    Coalescer::new().coalesce(&slices, |parts, count| {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let found = apart(&bytes).expect("we read what we write");
        assert_eq!(found.len(), count);
        again.extend(found);
        written += 1;
    });
    let by_flow = |packets: &[Vec<u8>]| {
        let mut packets: Vec<_> = packets.iter().map(|packet| plain(packet)).collect();
        packets.sort_by_key(|packet| flow(packet));
        packets
    };
    assert_eq!(by_flow(&again), by_flow(packets));
    written
}

/// Protocol, addresses and ports.
fn flow(packet: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (protocol, ends) = match packet.first() {
        Some(0x45) => (9..10, 12..24),
        Some(first) if first >> 4 == 6 => (6..7, 8..44),
        _ => (0..0, 0..0),
    };
    let part = |range: Range<usize>| packet.get(range).unwrap_or_default().to_vec();
    (part(protocol), part(ends))
}

/// Without identifications that mean nothing (RFC 6864 4.1), and with one kind of zero in checksums.
fn plain(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let checksum = match packet.first() {
        Some(0x45) => 36..38,
        _ => 56..58,
    };
    if packet.first() == Some(&0x45) && packet.len() >= 20 {
        if packet[6] & 0x40 != 0 {
            packet[4..6].fill(0);
            packet[10..12].fill(0);
        }
        one_zero(&mut packet[10..12]);
    }
    one_zero(packet.get_mut(checksum).unwrap_or_default());
    packet
}

fn one_zero(checksum: &mut [u8]) {
    if checksum == [0xff, 0xff] {
        checksum.fill(0);
    }
}

/// Makes length and checksums of a TCP segment true.
fn mend(packet: &mut [u8]) {
    let length = packet.len() as u16;
    match packet.first() {
        Some(0x45) if packet.len() >= 40 => {
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            packet[10..12].fill(0);
            let sum = internet(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some(first) if first >> 4 == 6 && packet.len() >= 60 => {
            packet[4..6].copy_from_slice(&(length - 40).to_be_bytes());
        }
        _ => return,
    }
    let Ok(ip) = IpHeader::parse(packet) else {
        return;
    };
    let segment = &mut packet[ip.payload()];
    if ip.protocol == protocol::TCP && segment.len() >= tcp::HEADER_LEN {
        segment[16..18].fill(0);
        let sum = Sum::new()
            .pseudo_header(
                ip.source,
                ip.destination,
                protocol::TCP,
                segment.len() as u32,
            )
            .bytes(segment)
            .finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{put, seed, sequence};

    /// Segments of two flows in turn, the last of each shorter and pushed.
    fn segments(v6: bool) -> Vec<Vec<u8>> {
        let segment = |number: u8, port: u8| {
            let mut packet = if v6 {
                let mut packet = vec![0x60, 0, 0, 1, 0, 0, protocol::TCP, 64];
                packet.extend([0x20; 16]);
                packet.extend([0xfd; 16]);
                packet
            } else {
                let mut packet = vec![0x45, 0, 0, 0, 0, number, 0, 0, 64, protocol::TCP, 0, 0];
                packet.extend([192, 0, 2, 1, 10, 77, 0, 2]);
                packet
            };
            let (flags, payload) = if number == 3 { (0x18, 5) } else { (0x10, 8) };
            packet.extend([0, port, 0, 80, 0, 0, 0, number * 8, 0, 0, 0, 1]);
            packet.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
            packet.extend(vec![number; payload]);
            mend(&mut packet);
            packet
        };
        (0..4)
            .flat_map(|number| [segment(number, 7), segment(number, 9)])
            .collect()
    }

    #[test]
    #[ignore = "writes seeds"]
    fn write_seeds() {
        for (v6, name) in [(false, "v4"), (true, "v6")] {
            let packets = segments(v6);
            put(
                "offload",
                &format!("{name}-two-flows"),
                &sequence(packets.iter().map(Vec::as_slice)),
            );
            let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            Coalescer::new().coalesce(&slices, |parts, _| {
                let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
                put("offload", &format!("{name}-as-one"), &bytes);
            });
        }
    }

    #[test]
    fn seeds_get_together_and_apart() {
        for name in ["v4", "v6"] {
            let packets: Vec<_> = messages(&seed("offload", &format!("{name}-two-flows")))
                .map(<[u8]>::to_vec)
                .collect();
            assert_eq!((packets.len(), together(&packets)), (8, 2));
            let found = apart(&seed("offload", &format!("{name}-as-one"))).expect("it is valid");
            assert_eq!(found.len(), 4);
        }
    }
}
