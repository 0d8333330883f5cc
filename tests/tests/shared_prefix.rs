//! Clients that share the /64 of the server's uplink: single addresses, each held by one session only,
//! learnt from what clients send and look for duplicates of.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use adit_link::address;
use adit_link::policy::{Action, Protocol, Rule, Starter};
use adit_link::pool::MAX_HELD;
use adit_server::{Gauges, PolicyRule};
use adit_tests::{ClientId, World, host, setup};
use ipnet::Ipv6Net;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn ip(id: u64) -> Ipv6Addr {
    let prefix: Ipv6Net = "2001:db8:1:2::/64".parse().unwrap();
    address::with_interface_id(prefix, id)
}

/// A world with this many clients that are up.
fn world(seed: u64, clients: usize) -> (World, Vec<ClientId>) {
    world_with(seed, clients, Vec::new())
}

fn world_with(seed: u64, clients: usize, policy: Vec<PolicyRule>) -> (World, Vec<ClientId>) {
    let mut config = setup::world(seed, clients);
    config.server.policy = policy;
    let ipv6 = config.server.ipv6.as_mut().unwrap();
    ipv6.prefix = "2001:db8:1:2::/64".parse().unwrap();
    ipv6.shared = Some(ip(0x10));
    let mut world = World::new(config);
    let ids: Vec<ClientId> = (0..clients)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            world.dial(client, setup::address(index), None, false)
        })
        .collect();
    let up = world.run_until(MINUTE, |world| {
        ids.iter().all(|id| world.state(*id).ipv6.is_some())
    });
    assert!(up);
    world.run_for(SECOND);
    (world, ids)
}

fn from(source: Ipv6Addr) -> Vec<u8> {
    host::udp_packet(source.into(), host::HOST_V6.into(), b"hello")
}

/// Sends a packet from an address twice: the first one claims it. Whether the second came through.
fn uses(world: &mut World, id: ClientId, source: Ipv6Addr) -> bool {
    world.send_ip(id, &from(source));
    world.run_for(SECOND);
    let before = world.server.stats().ip_in;
    world.send_ip(id, &from(source));
    world.run_for(SECOND);
    world.server.stats().ip_in > before
}

/// A Neighbor Solicitation of duplicate address detection.
fn looks_for_duplicates(target: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    let to = address::solicited_node(target);
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    packet.extend([0; 16]);
    packet.extend(to.octets());
    let sum = adit_wire::checksum::Sum::new()
        .pseudo_header(IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(to), 58, 24)
        .bytes(&message)
        .finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet.extend(message);
    packet
}

#[test]
fn each_client_has_its_own_addresses_of_the_one_prefix() {
    let (mut world, ids) = world(1, 2);
    let own: Vec<Ipv6Addr> = ids
        .iter()
        .map(|id| world.state(*id).ipv6.unwrap())
        .collect();
    assert_ne!(own[0], own[1]);
    // Those of the interface identifiers are there before the first packet.
    assert!(own.iter().all(|address| world.neighbors.contains(address)));
    assert_eq!(world.server.gauges().claimed, 2);
    world.send_ip(ids[0], &from(own[0]));
    world.run_for(SECOND);
    assert_eq!(world.server.stats().ip_unclaimed, 0);
    let info = &world.server.sessions(world.now())[0];
    assert_eq!(info.ipv6_prefixes, [Ipv6Net::from(own[0])]);

    // A privacy address: the first packet claims it, and answers come to it.
    assert!(uses(&mut world, ids[0], ip(0xabcd)));
    assert_eq!(world.server.stats().ip_unclaimed, 1);
    let answer = host::udp_packet(host::HOST_V6.into(), ip(0xabcd).into(), b"back");
    world.to_tun(&answer);
    world.run_for(SECOND);
    assert_eq!(world.state(ids[0]).last_packet, answer);

    // The other one cannot use any of them, and says nothing to the first one.
    for stolen in [own[0], ip(0xabcd), ip(0x10)] {
        assert!(!uses(&mut world, ids[1], stolen), "{stolen}");
    }
    assert!(world.server.stats().addresses_taken >= 3);
    let across = host::udp_packet(own[1].into(), own[0].into(), b"hello");
    world.send_ip(ids[1], &across);
    world.run_for(SECOND);
    assert_eq!(world.server.stats().ip_between_clients, 1);
    // Outside of the prefix nothing is claimed.
    let spoofed = world.server.stats().ip_spoofed;
    assert!(!uses(&mut world, ids[0], "2001:db8:9::9".parse().unwrap()));
    assert_eq!(world.server.stats().ip_spoofed, spoofed + 2);

    world.hang_up(ids[0]);
    assert!(world.run_until(MINUTE, |world| world.server.gauges().claimed == 1));
    assert_eq!(
        world.neighbors.iter().copied().collect::<Vec<_>>(),
        [own[1]]
    );
    // What is given back is anybody's.
    assert!(uses(&mut world, ids[1], ip(0xabcd)));
    world.hang_up(ids[1]);
    assert!(world.run_until(MINUTE, |world| world.held() == Gauges::default()));
    assert!(world.neighbors.is_empty());
}

#[test]
fn duplicates_are_told_to_whoever_looks_for_them() {
    let (mut world, ids) = world(2, 2);
    let other = world.state(ids[1]).ipv6.unwrap();
    world.uplink.insert(ip(0x99));
    let told = |world: &World| world.server.sessions(world.now())[0].tx_packets;
    for target in [other, ip(0x99), ip(0x10)] {
        let before = told(&world);
        world.send_ip(ids[0], &looks_for_duplicates(target));
        world.run_for(SECOND);
        assert_eq!(told(&world), before + 1, "{target}");
    }
    // The last one is the server's own, which it answers for itself.
    assert_eq!(world.server.stats().addresses_taken, 2);
    assert!(!uses(&mut world, ids[0], ip(0x99)));
    // A free one is held from then on, without a word.
    let before = told(&world);
    world.send_ip(ids[0], &looks_for_duplicates(ip(0x77)));
    world.run_for(SECOND);
    assert_eq!(told(&world), before);
    assert!(world.neighbors.contains(&ip(0x77)));
    let unclaimed = world.server.stats().ip_unclaimed;
    assert!(uses(&mut world, ids[0], ip(0x77)));
    assert_eq!(world.server.stats().ip_unclaimed, unclaimed);
}

#[test]
fn the_number_of_addresses_is_bounded_and_the_oldest_makes_way() {
    let (mut world, ids) = world(3, 2);
    let own = world.state(ids[0]).ipv6.unwrap();
    for id in 0..MAX_HELD as u64 {
        world.run_for(MINUTE);
        assert!(uses(&mut world, ids[0], ip(0x1000 + id)), "{id}");
    }
    assert_eq!(world.server.gauges().claimed, MAX_HELD + 1);
    assert!(!world.neighbors.contains(&own), "unused since the start");
    // A spray costs its own session alone.
    for id in 0..500 {
        world.send_ip(ids[0], &from(ip(0x9000 + id)));
    }
    world.run_for(SECOND);
    assert!(world.server.stats().addresses_refused > 400);
    assert_eq!(world.server.gauges().claimed, MAX_HELD + 1);
    assert_eq!(world.neighbors.len(), MAX_HELD + 1);
    let other = world.state(ids[1]).ipv6.unwrap();
    assert!(world.neighbors.contains(&other));
    assert!(uses(&mut world, ids[1], ip(0x5555)));
}

/// Hosts of the uplink are no clients, though their addresses are of the same prefix; and an error
/// about what a client sent from an address that it claimed belongs to that conversation.
#[test]
fn the_policy_tells_clients_from_hosts_of_the_uplink() {
    let rule = |change: &dyn Fn(&mut Rule)| {
        let mut rule = Rule::new(Action::Drop);
        change(&mut rule);
        PolicyRule {
            users: Vec::new(),
            groups: Vec::new(),
            rule: Arc::new(rule),
        }
    };
    let udp = rule(&|rule| {
        rule.action = Action::Accept;
        rule.starter = Starter::Client;
        rule.protocol = Some(Protocol::Number(17));
    });
    let (mut world, ids) = world_with(4, 2, vec![udp, rule(&|_| {})]);
    let (own, neighbour) = (world.state(ids[0]).ipv6.unwrap(), ip(0x99));
    let out = host::udp_packet(own.into(), neighbour.into(), b"hello");
    let had = world.server.stats();
    world.send_ip(ids[0], &out);
    let back = host::udp_packet(neighbour.into(), own.into(), b"back");
    world.to_tun(&back);
    world.run_for(SECOND);
    assert_eq!(world.state(ids[0]).last_packet, back);
    // From a router further on, which no rule knows: too big, and the same about nothing.
    let mut error = host::udp_packet(host::HOST_V6.into(), own.into(), &out[..48]);
    error[6] = 58;
    error[40..48].copy_from_slice(&[2, 0, 0, 0, 0, 0, 5, 0]);
    let mut about_nothing = error.clone();
    about_nothing[48 + 23] ^= 1;
    for packet in [&error, &about_nothing] {
        world.to_tun(packet);
    }
    world.run_for(SECOND);
    assert_eq!(world.state(ids[0]).last_packet, error);
    let stats = world.server.stats();
    assert_eq!(stats.policy_dropped, had.policy_dropped + 1);
    assert_eq!(stats.ip_in, had.ip_in + 1);
    assert_eq!(stats.ip_between_clients, 0);
}
