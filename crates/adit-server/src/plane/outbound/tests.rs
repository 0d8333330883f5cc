use std::sync::Arc;

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_l2tp::Sequencing;
use adit_link::guard::Addresses;
use adit_link::policy::{Action, Rule, Rules};
use adit_link::rate::{Meters, Rate};
use adit_ppp::Framing;
use adit_wire::Channel;
use adit_wire::offload::{Segments, VirtioHeader};

use super::super::clients::Clients;
use super::super::shard::Record;
use super::super::{Common, Plane};
use super::*;
use crate::Stats;

const HOST: [u8; 4] = [192, 0, 2, 9];
const CLIENT: [u8; 4] = [10, 77, 0, 7];

/// A plane with two sessions in one group, whose SAs live so long.
fn plane(now: Instant, lives: &[Lifetime]) -> (Plane, [SessionKey; 2]) {
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
    let keymat = vec![7; suite.keymat_len()];
    for (number, life) in (0..).zip(lives) {
        let (spi, life) = (300 + number, *life);
        let inbound = InboundSa::new(spi, suite, &keymat, life, now, &mut rng).unwrap();
        let outbound = OutboundSa::new(9 + number, suite, &keymat, life, now, &mut rng).unwrap();
        plane.add_child(group, inbound, outbound, false, true);
    }
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
    let (mut plane, [first, second]) = plane(now, &[Lifetime::default()]);
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

/// Trains and packets of each: together more than any rate lets pass at once.
const TRAINS: u16 = 3;
const PACKETS: u16 = 120;

/// What becomes of trains of UDP to the first session, taken as one or each of their packets alone: the
/// datagrams, and what was counted.
fn datagrams(as_one: bool, lives: &[Lifetime], rate: Option<Rate>) -> (Vec<Vec<u8>>, Stats, u64) {
    #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
    let now = Instant::now();
    let (mut plane, [first, _]) = plane(now, lives);
    plane.add_route4("10.77.0.7/32".parse().unwrap(), first);
    plane.update(first, |record| {
        record.meters = rate.map(|rate| Arc::new(Meters::new(rate)));
    });
    const LENGTH: u16 = PACKETS * 500;
    let [a, b] = (28 + LENGTH).to_be_bytes();
    let mut packet = vec![0x45, 0, a, b, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend([HOST, CLIENT].concat());
    let [a, b] = (8 + LENGTH).to_be_bytes();
    packet.extend([0x1e, 0x61, 0, 7, a, b, 0, 0]);
    packet.resize(packet.len() + usize::from(LENGTH), 1);
    let [a, b] = 500_u16.to_ne_bytes();
    let (header, _) = VirtioHeader::parse(&[1, 5, 0, 0, a, b, 20, 0, 6, 0]).unwrap();
    let mut found = Vec::new();
    if as_one {
        let mut worker = plane.workers().remove(0);
        let mut turn = worker.turn();
        for _ in 0..TRAINS {
            turn.keep_train(&header, &packet, now).unwrap();
        }
        turn.seal_kept(&mut Vec::new(), |sealed| {
            found.extend(sealed.iter().map(|(packet, _)| packet.to_vec()));
        });
        drop(turn);
        let worn = std::iter::from_fn(|| worker.poll_note()).count();
        return (found, plane.stats(), worn as u64);
    }
    for _ in 0..TRAINS {
        let mut segments = Segments::new(&header, &packet).unwrap();
        loop {
            let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
            if !segments.next(&packet, &mut buf).unwrap() {
                break;
            }
            if let Outbound::Sealed(..) = plane.outbound(&mut buf, now) {
                found.push(buf.as_slice().to_vec());
            }
        }
    }
    let worn = std::iter::from_fn(|| plane.poll_worn()).count();
    (found, plane.stats(), worn as u64)
}

#[test]
fn a_train_is_asked_anew_when_its_sa_ends() {
    let of = |bytes| Lifetime {
        bytes,
        ..Lifetime::default()
    };
    let (long, short) = (of(None), of(Some(12_000)));
    for lives in [&[long, short][..], &[short, long], &[long], &[short]] {
        let [one, each] = [true, false].map(|as_one| datagrams(as_one, lives, None));
        assert_eq!(one, each);
        let (found, stats, worn) = one;
        let newest_ends = lives.last() == Some(&short);
        assert_eq!(worn > 0, newest_ends);
        // The older takes over, where there is one.
        assert_eq!(stats.no_sa > 0, lives == [short]);
        assert_eq!(
            found.len() as u64 + stats.no_sa,
            u64::from(TRAINS * PACKETS)
        );
        let spis = found.iter().filter_map(|packet| packet.get(3));
        assert_eq!(spis.is_sorted(), lives != [long, short], "9 and then 10");
    }
}

#[test]
fn a_train_is_within_the_rate_of_its_user() {
    let rate = Rate::new(200_000);
    let lives = [Lifetime::default()];
    let [one, each] = [true, false].map(|as_one| datagrams(as_one, &lives, rate));
    assert_eq!(one, each);
    let (found, stats, _) = one;
    assert!(!found.is_empty() && stats.rate_exceeded > 10);
    assert_eq!(
        found.len() as u64 + stats.rate_exceeded,
        u64::from(TRAINS * PACKETS)
    );
}
