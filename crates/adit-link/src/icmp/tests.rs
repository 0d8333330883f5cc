use adit_wire::checksum;

use super::*;
use crate::testing::{header, icmpv6, ip, ipv6, upper_sum};

const FROM4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const CLIENT: &str = "2001:db8:77:1::2";
const SERVER: &str = "2001:db8::80";

fn from6() -> Ipv6Addr {
    ip("2001:db8:77::1")
}

fn ipv4(from: [u8; 4], to: [u8; 4], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0];
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

#[test]
fn fragmentation_needed_byte_for_byte() {
    let original = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 17, 0x4000, &[0xab; 4]);
    let error = too_big(&original, 1402, FROM4, from6()).unwrap();
    let mut expected = vec![0x45, 0xc0, 0, 52, 0, 0, 0x40, 0, 64, 1, 0, 0];
    expected.extend([10, 77, 0, 1, 192, 0, 2, 9]);
    let sum = checksum::internet(&expected);
    expected[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut icmp = vec![3, 4, 0, 0, 0, 0, 0x05, 0x7a];
    icmp.extend(&original);
    let sum = checksum::internet(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    expected.extend(icmp);
    assert_eq!(error, expected);
}

#[test]
fn packet_too_big_byte_for_byte() {
    let original = ipv6(SERVER, CLIENT, 17, 64, &[0xab; 16]);
    let error = too_big(&original, 1402, FROM4, from6()).unwrap();
    let mut message = vec![2, 0, 0, 0, 0, 0, 0x05, 0x7a];
    message.extend(&original);
    assert_eq!(error, icmpv6("2001:db8:77::1", SERVER, 64, &message));
}

#[test]
fn quotes_end_at_the_limits_and_at_the_packet() {
    let mut long = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 6, 0, &[1; 1480]);
    let error = too_big(&long, 1402, FROM4, from6()).unwrap();
    assert_eq!(error.len(), 576);
    assert_eq!(error[28..], long[..548]);
    assert_eq!(checksum::internet(&error[20..]), 0);
    long.extend([9; 50]);
    assert_eq!(too_big(&long, 1402, FROM4, from6()), Some(error));

    let long = ipv6(SERVER, CLIENT, 6, 64, &[1; 1460]);
    let error = too_big(&long, 1402, FROM4, from6()).unwrap();
    assert_eq!(error.len(), 1280);
    assert_eq!(error[48..], long[..1232]);
    let parsed = header(&error);
    assert_eq!(upper_sum(from6(), ip(SERVER), 58, &error[40..]), 0);
    assert_eq!(parsed.end, 1280);

    // Padding behind a short packet is not quoted.
    let mut padded = ipv6(SERVER, CLIENT, 6, 64, &[1; 20]);
    padded.extend([0; 30]);
    assert_eq!(too_big(&padded, 1402, FROM4, from6()).unwrap().len(), 108);
}

#[test]
fn unreachable_has_its_codes() {
    let v4 = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 6, 0, &[1; 20]);
    let v6 = ipv6(SERVER, CLIENT, 6, 64, &[1; 20]);
    let kinds = |why| {
        let v4 = unreachable_because(&v4, why, FROM4, from6()).unwrap();
        let v6 = unreachable_because(&v6, why, FROM4, from6()).unwrap();
        assert_eq!(
            (v4[24..28].to_vec(), v6[44..48].to_vec()),
            (vec![0; 4], vec![0; 4])
        );
        ([v4[20], v4[21]], [v6[40], v6[41]])
    };
    assert_eq!(kinds(Unreachable::NoRoute), ([3, 0], [1, 0]));
    assert_eq!(kinds(Unreachable::Prohibited), ([3, 13], [1, 1]));
    assert_eq!(kinds(Unreachable::Address), ([3, 1], [1, 3]));
    assert_eq!(
        unreachable(&v6, FROM4, from6()),
        unreachable_because(&v6, Unreachable::Address, FROM4, from6())
    );
}

#[test]
fn no_error_about_an_icmp_error() {
    for kind in [3, 4, 5, 11, 12, 99] {
        let error = ipv4(
            [192, 0, 2, 9],
            [10, 77, 0, 2],
            1,
            0,
            &[kind, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(unreachable(&error, FROM4, from6()), None, "type {kind}");
    }
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let error = ipv6(SERVER, CLIENT, 58, 64, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(unreachable(&error, FROM4, from6()), None, "type {kind}");
    }
    // Behind an extension header too.
    let hidden = [58, 0, 1, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let hidden = ipv6(SERVER, CLIENT, 60, 64, &hidden);
    assert_eq!(unreachable(&hidden, FROM4, from6()), None);
    // No type to see.
    assert_eq!(
        unreachable(&ipv6(SERVER, CLIENT, 58, 64, &[]), FROM4, from6()),
        None
    );
    // A ping is answered.
    let ping = ipv4(
        [192, 0, 2, 9],
        [10, 77, 0, 2],
        1,
        0,
        &[8, 0, 0, 0, 0, 0, 0, 0],
    );
    assert!(unreachable(&ping, FROM4, from6()).is_some());
    let ping = ipv6(SERVER, CLIENT, 58, 64, &[128, 0, 0, 0, 0, 0, 0, 0]);
    assert!(unreachable(&ping, FROM4, from6()).is_some());
}

#[test]
fn no_error_about_later_fragments() {
    let first = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 17, 0x2000, &[1; 16]);
    assert!(unreachable(&first, FROM4, from6()).is_some());
    let later = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 17, 0x2002, &[1; 16]);
    assert_eq!(unreachable(&later, FROM4, from6()), None);
    let later = ipv6(
        SERVER,
        CLIENT,
        44,
        64,
        &[17, 0, 0, 9, 0, 0, 0, 1, 1, 2, 3, 4],
    );
    assert_eq!(too_big(&later, 1402, FROM4, from6()), None);
}

#[test]
fn no_error_to_or_about_what_is_no_single_host() {
    for source in [
        [0; 4],
        [255; 4],
        [224, 0, 0, 1],
        [127, 0, 0, 1],
        [240, 0, 0, 1],
        [0, 1, 2, 3],
    ] {
        let packet = ipv4(source, [10, 77, 0, 2], 17, 0, &[1; 16]);
        assert_eq!(unreachable(&packet, FROM4, from6()), None, "{source:?}");
    }
    for destination in [[255; 4], [239, 1, 2, 3]] {
        let packet = ipv4([192, 0, 2, 9], destination, 17, 0, &[1; 16]);
        assert_eq!(unreachable(&packet, FROM4, from6()), None);
    }
    for source in ["::", "::1", "ff02::1", "fe80::1"] {
        let packet = ipv6(source, CLIENT, 17, 64, &[1; 16]);
        assert_eq!(too_big(&packet, 1402, FROM4, from6()), None, "{source}");
    }
    let multicast = ipv6(SERVER, "ff0e::1", 17, 64, &[1; 16]);
    assert_eq!(too_big(&multicast, 1402, FROM4, from6()), None);
}

#[test]
fn no_error_without_an_address_to_send_it_from() {
    let v4 = ipv4([192, 0, 2, 9], [10, 77, 0, 2], 6, 0, &[1; 20]);
    assert_eq!(unreachable(&v4, Ipv4Addr::UNSPECIFIED, from6()), None);
    let v6 = ipv6(SERVER, CLIENT, 6, 64, &[1; 20]);
    assert_eq!(unreachable(&v6, FROM4, Ipv6Addr::UNSPECIFIED), None);
    assert_eq!(unreachable(&[], FROM4, from6()), None);
    assert_eq!(unreachable(&v6[..39], FROM4, from6()), None);
}

#[test]
fn an_error_is_never_answered_with_another() {
    let original = ipv6(SERVER, CLIENT, 6, 64, &[1; 20]);
    let error = unreachable(&original, FROM4, from6()).unwrap();
    assert_eq!(unreachable(&error, FROM4, from6()), None);
}
