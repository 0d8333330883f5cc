//! The MSS clamp over whole packets of both families, and the source check.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::net::IpAddr;

use adit_link::guard::{Addresses, clamp};
use adit_wire::checksum::Sum;
use adit_wire::ip::IpHeader;
use proptest::prelude::*;

const V4: [&str; 2] = ["10.77.0.2", "192.0.2.80"];
const V6: [&str; 2] = ["2001:db8:77:1::2", "2001:db8::80"];

fn segment(flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xc3, 0x50, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0];
    segment.push((((20 + options.len()) / 4) << 4) as u8);
    segment.extend([flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(data);
    segment
}

fn sum([from, to]: [&str; 2], segment: &[u8]) -> u16 {
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    Sum::new()
        .pseudo_header(from, to, 6, segment.len() as u32)
        .bytes(segment)
        .finish()
}

/// A whole packet; `fragment` is the offset field of IPv4.
fn packet(addresses: [&str; 2], mut segment: Vec<u8>, fragment: u16) -> Vec<u8> {
    let sum = sum(addresses, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let length = segment.len() as u16;
    let octets = addresses.map(|text| match text.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    let mut packet = if octets[0].len() == 4 {
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        header[2..4].copy_from_slice(&(20 + length).to_be_bytes());
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header
    } else {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header
    };
    packet.extend(octets.concat());
    packet.extend(segment);
    packet
}

fn clamped(packet: &mut [u8]) -> Result<bool, adit_wire::Truncated> {
    let header = IpHeader::parse(packet).unwrap();
    clamp(packet, &header, 1362, 1342)
}

#[test]
fn each_family_gets_its_own_value() {
    for (addresses, offset, expected) in [(V4, 20, 1362_u16), (V6, 40, 1342)] {
        let mut bytes = packet(addresses, segment(2, &[2, 4, 0x05, 0xb4], &[]), 0);
        assert_eq!(clamped(&mut bytes), Ok(true));
        assert_eq!(bytes[offset + 22..offset + 24], expected.to_be_bytes());
        assert_eq!(sum(addresses, &bytes[offset..]), 0);
        assert_eq!(clamped(&mut bytes), Ok(false));
    }
}

#[test]
fn everything_else_is_left_alone() {
    let untouched = [
        packet(V4, segment(0x10, &[2, 4, 0x05, 0xb4], &[]), 0),
        packet(V4, segment(2, &[2, 4, 0x05, 0x00], &[]), 0),
        // A later fragment: what looks like a TCP header is data.
        packet(V4, segment(2, &[2, 4, 0x05, 0xb4], &[]), 3),
    ];
    for original in untouched {
        let mut bytes = original.clone();
        assert_eq!(clamped(&mut bytes), Ok(false));
        assert_eq!(bytes, original);
    }
    // UDP with the bytes of a SYN.
    let mut udp = packet(V6, segment(2, &[2, 4, 0x05, 0xb4], &[]), 0);
    udp[6] = 17;
    assert_eq!(clamped(&mut udp), Ok(false));
    // A first fragment carries the header.
    let mut first = packet(V4, segment(2, &[2, 4, 0x05, 0xb4], &[7; 8]), 0x2000);
    assert_eq!(clamped(&mut first), Ok(true));
}

#[test]
fn malformed_tcp_is_an_error() {
    let mut short = packet(V6, segment(2, &[], &[]), 0);
    short.truncate(50);
    short[4..6].copy_from_slice(&10_u16.to_be_bytes());
    assert!(clamped(&mut short).is_err());
    let mut zero = packet(V4, segment(2, &[5, 0, 0, 0], &[]), 0);
    assert!(clamped(&mut zero).is_err());
    // A header of another packet.
    let header = IpHeader::parse(&packet(V6, segment(2, &[], &[]), 0)).unwrap();
    assert!(clamp(&mut [0; 20], &header, 1, 1).is_err());
}

#[test]
fn a_client_owns_what_it_was_given() {
    let addresses = Addresses {
        ipv4: Some("10.77.0.2".parse().unwrap()),
        ipv6: Some("2001:db8:77:1::/64".parse().unwrap()),
        delegated: Some("2001:db8:ff00::/56".parse().unwrap()),
        link_local: Some("fe80::2".parse().unwrap()),
    };
    let owns = |text: &str| addresses.owns(text.parse().unwrap());
    for own in [
        "10.77.0.2",
        "2001:db8:77:1::",
        "2001:db8:77:1:ffff::1",
        "2001:db8:ff00:42::1",
        "fe80::2",
    ] {
        assert!(owns(own), "{own}");
    }
    for other in [
        "10.77.0.3",
        "0.0.0.0",
        "2001:db8:77:2::1",
        "2001:db8:77::1",
        "fe80::3",
        "::",
        "::ffff:10.77.0.2",
        "ff02::1",
    ] {
        assert!(!owns(other), "{other}");
    }
    assert!(!Addresses::default().owns("0.0.0.0".parse().unwrap()));
    assert!(!Addresses::default().owns("::".parse().unwrap()));
}

proptest! {
    #[test]
    fn the_checksum_stays_right(
        v6 in any::<bool>(),
        mss in any::<u16>(),
        limit in 0_u16..=9000,
        shift in 0_usize..8,
        data in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        // No-operations before the option move it to every alignment.
        let mut options = vec![1; shift];
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
        let (addresses, offset) = if v6 { (V6, 40) } else { (V4, 20) };
        let mut bytes = packet(addresses, segment(0x12, &options, &data), 0);
        let header = IpHeader::parse(&bytes).unwrap();
        let changed = clamp(&mut bytes, &header, limit, limit).unwrap();
        prop_assert_eq!(changed, mss > limit);
        prop_assert_eq!(sum(addresses, &bytes[offset..]), 0);
        let at = offset + 20 + shift + 2;
        prop_assert_eq!(&bytes[at..at + 2], &mss.min(limit).to_be_bytes()[..]);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), v6 in any::<bool>()) {
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        if let Ok(header) = IpHeader::parse(&bytes) {
            let _ = clamp(&mut bytes, &header, 536, 536);
        }
    }
}
