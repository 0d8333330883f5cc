//! What a hostile peer puts into ESP, and what strangers send in its name: each is counted for what
//! it is, answered by nothing, and costs the SA nothing.

use adit_crypto::{EspCipher, EspKeys, EspMac, EspSuite, Rng};
use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_wire::Channel;

use super::*;

const SPI: u32 = 0x1234_5678;

fn suite() -> EspSuite {
    EspSuite::new(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)).unwrap()
}

fn keymat() -> Vec<u8> {
    vec![7; suite().keymat_len()]
}

fn path() -> Path {
    Path {
        channel: Channel::NatT,
        local: "198.51.100.1:4500".parse().unwrap(),
        remote: "192.0.2.10:61234".parse().unwrap(),
    }
}

struct Peer {
    plane: Plane,
    group: GroupKey,
    now: Instant,
    next: u32,
}

impl Peer {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
        let now = Instant::now();
        let mut rng = Rng::from_seed([1; 32]);
        let common = Common {
            own4: [10, 0, 0, 1].into(),
            own6: [0; 16].into(),
            clients: Clients::default(),
            shared: None,
            ipv6_blocked: false,
        };
        let mut plane = Plane::new(&common, 1, now);
        let group = plane.add_group(path(), Some(SPI)).unwrap();
        let lifetime = Lifetime::default();
        let inbound = InboundSa::new(SPI, suite(), &keymat(), lifetime, now, &mut rng).unwrap();
        let outbound = OutboundSa::new(9, suite(), &keymat(), lifetime, now, &mut rng).unwrap();
        plane.add_child(group, inbound, outbound, false, true);
        Self {
            plane,
            group,
            now,
            next: 0,
        }
    }

    /// A clear text, trailer included, as a packet of the SA.
    fn sealed(&mut self, clear: &[u8]) -> Vec<u8> {
        self.next += 1;
        let mut packet = SPI.to_be_bytes().to_vec();
        packet.extend(self.next.to_be_bytes());
        packet.extend(vec![0; suite().iv_len()]);
        packet.extend(clear);
        packet.extend(vec![0; suite().icv_len()]);
        let keys = EspKeys::new(suite(), &keymat()).unwrap();
        keys.seal(&mut packet, self.next.into(), None).unwrap();
        packet
    }

    /// The same with proper padding.
    fn packet(&mut self, payload: &[u8], next_header: u8) -> Vec<u8> {
        let mut clear = payload.to_vec();
        let padding = suite().padding_len(payload.len()) as u8;
        clear.extend(1..=padding);
        clear.extend([padding, next_header]);
        self.sealed(&clear)
    }

    /// What becomes of a packet: what it held, and the counters that it moved.
    fn give(&mut self, mut packet: Vec<u8>) -> (Inbound, Vec<(&'static str, u64)>) {
        let before: Vec<_> = self.plane.stats().iter().collect();
        let (inbound, _) = self
            .plane
            .inbound(path(), &mut Received::new(&mut packet), self.now);
        let after = self.plane.stats().iter();
        let moved = after
            .zip(before)
            .filter(|((_, after), (_, before))| after != before)
            .map(|((name, after), (_, before))| (name, after - before));
        (inbound, moved.collect())
    }

    fn dropped(&mut self, packet: Vec<u8>, counter: &'static str) {
        let (inbound, moved) = self.give(packet);
        assert!(matches!(inbound, Inbound::Dropped), "{inbound:?}");
        assert_eq!(moved, [(counter, 1)]);
    }

    /// The SA works on.
    fn lives(&mut self) {
        let hello = hello(0xbeef);
        let packet = self.packet(&hello, 17);
        let (inbound, moved) = self.give(packet);
        assert!(
            matches!(
                inbound,
                Inbound::L2tp {
                    remote_port: 1701,
                    ..
                }
            ),
            "{inbound:?} {moved:?}"
        );
    }
}

/// An L2TP control message (a ZLB) in UDP with this checksum field.
fn hello(checksum: u16) -> Vec<u8> {
    let zlb = [0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 1, 0, 1];
    let mut datagram = vec![0x06, 0xa5, 0x06, 0xa5, 0, 20];
    datagram.extend(checksum.to_be_bytes());
    datagram.extend(zlb);
    datagram
}

#[test]
fn a_packet_of_an_spi_that_nobody_holds_is_met_with_silence() {
    let mut peer = Peer::new();
    for spi in [0, 1, 255, SPI + 1, u32::MAX] {
        let mut packet = peer.packet(&hello(0), 17);
        packet[..4].copy_from_slice(&spi.to_be_bytes());
        peer.dropped(packet, "esp_unknown_spi");
    }
    for length in 0..8 {
        let packet = peer.packet(&hello(0), 17);
        peer.dropped(packet[..length].to_vec(), "runts");
    }
    peer.lives();
}

#[test]
fn replayed_and_forged_packets_are_dropped() {
    let mut peer = Peer::new();
    let first = peer.packet(&hello(0), 17);
    let (inbound, _) = peer.give(first.clone());
    assert!(matches!(inbound, Inbound::L2tp { .. }));
    peer.dropped(first, "esp_replayed");
    for at in [4, 8, 24, 40] {
        let mut packet = peer.packet(&hello(0), 17);
        packet[at] ^= 1;
        peer.dropped(packet, "esp_bad_icv");
    }
    let mut packet = peer.packet(&hello(0), 17);
    *packet.last_mut().unwrap() ^= 0x80;
    peer.dropped(packet, "esp_bad_icv");
    peer.next += 2000;
    peer.lives();
    peer.next -= 2001;
    let late = peer.packet(&hello(0), 17);
    peer.dropped(late, "esp_replayed");
    peer.next += 2001;
    peer.lives();
}

#[test]
fn a_forged_packet_moves_no_endpoint() {
    let mut peer = Peer::new();
    let mut packet = peer.packet(&hello(0), 17);
    *packet.last_mut().unwrap() ^= 1;
    let elsewhere = Path {
        remote: "203.0.113.9:4500".parse().unwrap(),
        ..path()
    };
    let (_, learnt) = peer
        .plane
        .inbound(elsewhere, &mut Received::new(&mut packet), peer.now);
    assert_eq!((learnt.moved, learnt.first_on), (None, None));
    assert_eq!(peer.plane.path(peer.group), Some(path()));
}

#[test]
fn padding_past_the_payload_is_malformed() {
    let mut peer = Peer::new();
    for pad_len in [15, 16, 255] {
        let mut clear: Vec<u8> = (1..=14).collect();
        clear.extend([pad_len, 17]);
        let packet = peer.sealed(&clear);
        let (inbound, moved) = peer.give(packet);
        assert!(matches!(inbound, Inbound::Dropped));
        assert_eq!(moved, [("esp_malformed", 1)]);
    }
    peer.lives();
}

#[test]
fn only_udp_to_the_l2tp_port_is_taken() {
    let mut peer = Peer::new();
    // IPv4 and IPv6 (tunnel mode), ICMP, TCP, ESP in ESP, a dummy packet, and what nobody assigned.
    for next_header in [0, 1, 4, 6, 41, 50, 58, 59, 253, 255] {
        let packet = peer.packet(&hello(0), next_header);
        peer.dropped(packet, "esp_foreign");
    }
    for port in [0_u16, 53, 500, 1700, 1702, 4500] {
        let mut datagram = hello(0);
        datagram[2..4].copy_from_slice(&port.to_be_bytes());
        let packet = peer.packet(&datagram, 17);
        peer.dropped(packet, "esp_foreign");
    }
    peer.lives();
}

#[test]
fn a_udp_length_that_does_not_fit_is_refused() {
    let mut peer = Peer::new();
    for length in [0_u16, 1, 7, 21, 28, 0xffff] {
        let mut datagram = hello(0);
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        let packet = peer.packet(&datagram, 17);
        peer.dropped(packet, "esp_foreign");
    }
    for cut in 0..8 {
        let packet = peer.packet(&hello(0)[..cut], 17);
        peer.dropped(packet, "esp_foreign");
    }
    // A header without a message, and a message behind which traffic flow padding follows.
    let mut bare = hello(0);
    bare[4..6].copy_from_slice(&8_u16.to_be_bytes());
    let packet = peer.packet(&bare, 17);
    peer.dropped(packet, "l2tp_malformed");
    let mut padded = hello(0);
    padded.extend([0; 40]);
    let packet = peer.packet(&padded, 17);
    let (inbound, _) = peer.give(packet);
    let Inbound::L2tp { message, .. } = inbound else {
        panic!("{inbound:?}");
    };
    assert_eq!(message.len(), 12);
}

/// A NAT changes the addresses that the sum covers, and the ICV covers the datagram (RFC 3948
/// 3.1.2): no sum is wrong enough.
#[test]
fn no_udp_checksum_is_wrong_under_nat_traversal() {
    for checksum in [0, 1, 0xbeef, 0xffff] {
        let mut peer = Peer::new();
        let packet = peer.packet(&hello(checksum), 17);
        let (inbound, _) = peer.give(packet);
        assert!(matches!(inbound, Inbound::L2tp { .. }), "{checksum:#x}");
    }
}
