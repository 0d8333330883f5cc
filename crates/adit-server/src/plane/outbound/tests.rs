use std::sync::Arc;

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_l2tp::Sequencing;
use adit_link::guard::Addresses;
use adit_link::policy::{Action, Rule, Rules};
use adit_ppp::Framing;
use adit_wire::Channel;

use super::super::clients::Clients;
use super::super::shard::Record;
use super::super::{Common, Plane};
use super::*;

const HOST: [u8; 4] = [192, 0, 2, 9];
const CLIENT: [u8; 4] = [10, 77, 0, 7];

/// A plane with two sessions in one group.
fn plane(now: Instant) -> (Plane, [SessionKey; 2]) {
    let common = Common {
        own4: [10, 77, 0, 1].into(),
        own6: [0; 16].into(),
        clients: Clients::default(),
        shared: None,
        ipv6_blocked: false,
    };
    let mut plane = Plane::new(&common, 1, now);
    let path = Path {
        channel: Channel::NatT,
        local: "198.51.100.1:4500".parse().unwrap(),
        remote: "192.0.2.10:61234".parse().unwrap(),
    };
    let group = plane.add_group(path, Some(300)).unwrap();
    let mut rng = Rng::from_seed([1; 32]);
    let suite = EspSuite::new(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)).unwrap();
    let (keymat, life) = (vec![7; suite.keymat_len()], Lifetime::default());
    let inbound = InboundSa::new(300, suite, &keymat, life, now, &mut rng).unwrap();
    let outbound = OutboundSa::new(9, suite, &keymat, life, now, &mut rng).unwrap();
    plane.add_child(group, inbound, outbound, false, true);
    let sessions = [1, 2].map(|id| {
        let record = Record {
            group,
            remote_port: 1701,
            local_tunnel: 1,
            local_session: id,
            remote_tunnel: 1,
            remote_session: id,
            sequencing: Sequencing::default(),
            framing: Framing::default(),
            echoes: None,
            addresses: Addresses::default(),
            claimed: Vec::new(),
            meters: None,
            ipv4_open: true,
            ipv6_open: false,
            mtu: 1400,
            ipv6_mtu: 1400,
            mss_v4: 1360,
            mss_v6: 1340,
            rx_packets: 0,
            rx_bytes: 0,
            tx_packets: 0,
            tx_bytes: 0,
            heard: now,
        };
        plane.add_session(record).unwrap()
    });
    (plane, sessions)
}

#[test]
fn who_passed_is_asked_again_when_routes_or_rules_change() {
    #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
    let now = Instant::now();
    let (mut plane, [first, second]) = plane(now);
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend([HOST, CLIENT].concat());
    packet.extend([0x1e, 0x61, 0, 7, 0, 8, 0, 0]);
    // To which session it goes, twice on end: the second time nobody is asked.
    let send = |plane: &mut Plane| {
        let counts = |plane: &Plane| {
            [first, second].map(|key| plane.session(key).map_or(0, |it| it.tx_packets))
        };
        let before = counts(plane);
        for _ in 0..2 {
            let mut packet = PacketBuf::from_slice(HEADROOM, &packet, TAILROOM);
            plane.outbound(&mut packet, now);
        }
        let after = counts(plane);
        [after[0] - before[0], after[1] - before[1]]
    };
    let net = "10.77.0.7/32".parse().unwrap();
    assert_eq!(send(&mut plane), [0, 0]);
    plane.add_route4(net, first);
    assert_eq!(send(&mut plane), [2, 0]);
    plane.add_route4(net, second);
    assert_eq!(send(&mut plane), [0, 2]);
    let drop = Rules::new([(0, Arc::new(Rule::new(Action::Drop)))]);
    plane.set_rules(second, Some(Arc::new(drop)));
    assert_eq!(send(&mut plane), [0, 0]);
    assert_eq!(plane.stats().policy_dropped, 2);
    plane.set_rules(second, None);
    assert_eq!(send(&mut plane), [0, 2]);
    plane.remove_route4(net);
    assert_eq!(send(&mut plane), [0, 0]);
}
