//! The policy on the packet path of a whole server: every probe is made once in each family.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_link::policy::{Action, Protocol, Remote, Rule, Starter};
use adit_server::PolicyRule;
use adit_tests::{ClientId, World, host, setup, udp_packet};
use adit_wire::ip::protocol;

const MINUTE: Duration = Duration::from_secs(60);

fn rule(users: &[&str], action: Action, change: impl FnOnce(&mut Rule)) -> PolicyRule {
    let mut rule = Rule::new(action);
    change(&mut rule);
    assert_eq!(rule.check(), Ok(()));
    PolicyRule {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        groups: Vec::new(),
        rule: Arc::new(rule),
    }
}

fn to_clients(rule: &mut Rule) {
    rule.starter = Starter::Client;
    rule.remote = Some(Remote {
        clients: true,
        ..Remote::default()
    });
}

type End = (ClientId, [IpAddr; 2]);

/// Two clients that are up under these rules, with their addresses of both families.
fn world(seed: u64, policy: &[PolicyRule]) -> (World, [End; 2]) {
    let mut config = setup::world(seed, 2);
    config.server.policy = policy.to_vec();
    let mut world = World::new(config);
    let ends = [0, 1].map(|index| {
        let client = setup::client(&format!("user{index}"));
        world.dial(client, setup::address(index), None, false)
    });
    let up = |world: &World, id: &ClientId| {
        let state = world.state(*id);
        state.ipv4.is_some() && state.ipv6.is_some()
    };
    assert!(world.run_until(MINUTE, |world| ends.iter().all(|id| up(world, id))));
    world.run_for(Duration::from_secs(5));
    let ends = ends.map(|id| {
        let state = world.state(id);
        (id, [state.ipv4.unwrap().into(), state.ipv6.unwrap().into()])
    });
    (world, ends)
}

fn heard(world: &World, id: ClientId) -> u32 {
    world.state(id).echoes4 + world.state(id).echoes6
}

fn hosts() -> [IpAddr; 2] {
    [host::HOST_V4.into(), host::HOST_V6.into()]
}

fn settle(world: &mut World) {
    world.run_for(Duration::from_secs(1));
}

#[test]
fn a_rule_is_about_its_users_and_refuses_in_both_families() {
    let policy = [rule(&["user0"], Action::Reject, |rule| {
        rule.starter = Starter::Client;
        rule.protocol = Some(Protocol::Number(protocol::UDP));
        rule.ports = vec![7..=7];
    })];
    let (mut world, [a, b]) = world(900, &policy);
    for family in 0..2 {
        let before = (world.server.stats(), heard(&world, a.0), heard(&world, b.0));
        world.send_ip(a.0, &udp_packet(a.1[family], hosts()[family], b"hello"));
        world.send_ip(b.0, &udp_packet(b.1[family], hosts()[family], b"hello"));
        settle(&mut world);
        // One is told that it is prohibited, the other hears the host.
        assert_eq!(heard(&world, a.0), before.1 + 1);
        assert_eq!(heard(&world, b.0), before.2 + 1);
        let (at, answer) = [(20, [3, 13]), (40, [1, 1])][family];
        assert_eq!(world.state(a.0).last_packet[at..at + 2], answer);
        let stats = world.server.stats();
        assert_eq!(stats.policy_rejected, before.0.policy_rejected + 1);
        assert_eq!(stats.ip_in, before.0.ip_in + 1);
    }
    assert_eq!(policy[0].rule.hits(), 2);
}

#[test]
fn a_rule_holds_towards_the_client_too() {
    let policy = [rule(&[], Action::Drop, |rule| {
        rule.starter = Starter::Remote;
        rule.protocol = Some(Protocol::Number(protocol::UDP));
        rule.ports = vec![7..=7];
    })];
    let (mut world, [a, _]) = world(901, &policy);
    for family in 0..2 {
        let before = (world.server.stats(), heard(&world, a.0));
        world.to_tun(&udp_packet(hosts()[family], a.1[family], b"hello"));
        settle(&mut world);
        assert_eq!(heard(&world, a.0), before.1);
        let stats = world.server.stats();
        assert_eq!(stats.policy_dropped, before.0.policy_dropped + 1);
    }
}

#[test]
fn clients_reach_each_other_where_a_rule_says_so() {
    let (mut world, [a, b]) = world(902, &[rule(&["user0"], Action::Accept, to_clients)]);
    for family in 0..2 {
        let there = udp_packet(a.1[family], b.1[family], b"hello");
        let before = world.server.stats();
        world.send_ip(a.0, &there);
        settle(&mut world);
        assert_eq!(world.server.stats().ip_in, before.ip_in + 1);
        let had = heard(&world, b.0);
        // As the host turns it around.
        world.to_tun(&there);
        settle(&mut world);
        assert_eq!(heard(&world, b.0), had + 1);
        assert_eq!(
            world.server.stats().ip_between_clients,
            before.ip_between_clients
        );
    }
}

#[test]
fn the_host_shows_clients_no_other_way_to_each_other() {
    let (mut world, [a, b]) = world(904, &[rule(&[], Action::Accept, to_clients)]);
    for (family, at, number, kind) in [(0, 9, protocol::ICMP, 5), (1, 6, protocol::ICMPV6, 137)] {
        let mut redirect = udp_packet(hosts()[family], a.1[family], &[0; 40]);
        let payload = [20, 40][family];
        redirect[at] = number;
        redirect[payload] = kind;
        match b.1[family] {
            IpAddr::V4(b) => redirect[payload + 4..payload + 8].copy_from_slice(&b.octets()),
            IpAddr::V6(b) => redirect[payload + 8..payload + 24].copy_from_slice(&b.octets()),
        }
        let last = world.state(a.0).last_packet.clone();
        world.to_tun(&redirect);
        settle(&mut world);
        assert_eq!(world.state(a.0).last_packet, last);
        // The same as an unreachable gets there.
        redirect[payload] = [3, 1][family];
        world.to_tun(&redirect);
        settle(&mut world);
        assert_eq!(world.state(a.0).last_packet, redirect);
    }
    assert_eq!(world.server.stats().redirects_dropped, 2);
}

/// An error about somebody's own conversation is no way to him from a client that may not speak
/// to him.
#[test]
fn a_forged_error_opens_no_way_to_a_client() {
    let (mut world, [a, b]) = world(903, &[rule(&["user1"], Action::Accept, |_| {})]);
    let quote = udp_packet(b.1[0], hosts()[0], b"hello");
    let mut error = udp_packet(a.1[0], b.1[0], &[&[0; 0][..], &quote[..28]].concat());
    error[9] = protocol::ICMP;
    error[20..28].copy_from_slice(&[3, 4, 0, 0, 0, 0, 5, 0]);
    let had = heard(&world, b.0);
    world.send_ip(a.0, &error);
    world.to_tun(&error);
    settle(&mut world);
    assert_eq!(heard(&world, b.0), had);
    assert_eq!(world.server.stats().ip_between_clients, 2);
}
