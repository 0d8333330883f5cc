//! What a session's link offers beside an address: delegated prefixes, split tunnels in both
//! families, DHCPINFORM, and a refusal of IPv6 that is heard at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use adit_client::Event;
use adit_server::{Config, Delegate, Gauges};
use adit_tests::{ClientId, World, host, setup};
use adit_wire::ip::IpHeader;
use ipnet::Ipv6Net;

const MINUTE: Duration = Duration::from_secs(60);

/// A world whose server was changed, with one client that is up in both families.
fn world(seed: u64, change: impl FnOnce(&mut Config)) -> (World, ClientId) {
    let mut config = setup::world(seed, 1);
    change(&mut config.server);
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    let up = world.run_until(MINUTE, |world| {
        let state = world.state(id);
        state.ipv4.is_some() && state.ipv6.is_some()
    });
    assert!(up, "{:?}", world.state(id));
    (world, id)
}

fn link_local(world: &World, id: ClientId) -> Ipv6Addr {
    let id = world.state(id).events.iter().find_map(|event| match event {
        Event::Ipv6Link { interface_id, .. } => Some(*interface_id),
        _ => None,
    });
    adit_link::address::link_local(id.unwrap())
}

/// A DHCPv6 message about the prefix association 1.
fn asks_for_prefix(world: &World, id: ClientId, kind: u8, server: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 1, 2, 3, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
    message.extend(server);
    message.extend([0, 25, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let to = adit_link::address::ALL_DHCP_SERVERS;
    let mut packet = host::udp_packet(link_local(world, id).into(), to.into(), &message);
    packet[40..44].copy_from_slice(&[2, 34, 2, 35]);
    packet[46..48].fill(0);
    let sum = adit_wire::checksum::Sum::new()
        .bytes(&packet[8..40])
        .u16(17)
        .u16((packet.len() - 40) as u16)
        .bytes(&packet[40..])
        .finish();
    packet[46..48].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn a_prefix_behind_the_client_is_routed_while_it_is_delegated() {
    let delegate: Ipv6Net = "2001:db8:ff00::/48".parse().unwrap();
    let (mut world, id) = world(1, |server| {
        server.ipv6.as_mut().unwrap().delegate = Some(Delegate {
            prefix: delegate,
            length: 56,
        });
    });
    let behind: Ipv6Addr = "2001:db8:ff00:7::9".parse().unwrap();
    let to_lan = host::udp_packet(host::HOST_V6.into(), behind.into(), b"hello");
    let from_lan = host::udp_packet(behind.into(), host::HOST_V6.into(), b"hello");
    world.send_ip(id, &from_lan);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.server.stats().ip_spoofed, 1);
    assert_eq!(world.server.gauges().delegated, 0, "nobody asked");

    // First granted on a Rebind, as after a restart of the server.
    let rebind = asks_for_prefix(&world, id, 6, &[]);
    world.send_ip(id, &rebind);
    world.run_for(Duration::from_secs(1));
    let info = &world.server.sessions(world.now())[0];
    let prefixes: Vec<String> = info.ipv6_prefixes.iter().map(Ipv6Net::to_string).collect();
    assert_eq!(prefixes[1], "2001:db8:ff00::/56", "{prefixes:?}");
    assert_eq!(world.server.gauges().delegated, 1);
    world.send_ip(id, &from_lan);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.server.stats().ip_spoofed, 1);
    world.to_tun(&to_lan);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.state(id).last_packet, to_lan);

    // Not the neighbouring prefix.
    let next = host::udp_packet(
        "2001:db8:ff00:100::9".parse::<IpAddr>().unwrap(),
        host::HOST_V6.into(),
        b"x",
    );
    world.send_ip(id, &next);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.server.stats().ip_spoofed, 2);

    world.hang_up(id);
    assert!(world.run_until(MINUTE, |world| world.held() == Gauges::default()));
}

#[test]
fn a_split_tunnel_is_told_as_routes_of_both_families() {
    let (mut world, id) = world(2, |server| {
        let ipv4 = server.ipv4.as_mut().unwrap();
        ipv4.routes = vec!["10.0.0.0/8".parse().unwrap()];
        ipv4.domain = Some("corp.example.org".parse().unwrap());
        let ipv6 = server.ipv6.as_mut().unwrap();
        ipv6.routes = vec!["2001:db8::/32".parse().unwrap()];
        ipv6.search = vec!["corp.example.org".parse().unwrap()];
    });
    let events = &world.state(id).events;
    let has = |wanted: &dyn Fn(&Event) -> bool| events.iter().any(wanted);
    let net: Ipv6Net = "2001:db8::/32".parse().unwrap();
    assert!(has(
        &|event| matches!(event, Event::Ipv6Route { prefix } if *prefix == net)
    ));
    assert!(has(&|event| matches!(event, Event::Ipv6Search(found)
        if found[0].as_str() == "corp.example.org")));
    assert_eq!(world.state(id).router, None, "no default route");

    let address = world.state(id).ipv4.unwrap();
    let mut inform = vec![1, 8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    inform.extend(address.octets());
    inform.extend([0; 12 + 16 + 192]);
    inform.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 8, 255]);
    let mut packet = host::udp_packet(address.into(), Ipv4Addr::BROADCAST.into(), &inform);
    packet[20..24].copy_from_slice(&[0, 68, 0, 67]);
    packet[26..28].fill(0);
    world.send_ip(id, &packet);
    world.run_for(Duration::from_secs(1));
    let answer = &world.state(id).last_packet;
    assert_eq!(
        IpHeader::parse(answer).unwrap().source,
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1))
    );
    let routes = [249, 6, 8, 10, 10, 77, 0, 1];
    assert!(
        answer.windows(8).any(|window| window == routes),
        "{answer:?}"
    );
    assert_eq!(world.server.stats().dhcp4_answers, 1);
}

#[test]
fn blocked_ipv6_is_refused_at_once_and_ipv4_goes_on() {
    let (mut world, id) = world(3, |server| {
        let ipv6 = server.ipv6.as_mut().unwrap();
        ipv6.prefix = "fdad:17b1:c6b::/48".parse().unwrap();
        ipv6.dns = Vec::new();
        ipv6.blocked = true;
    });
    assert!(
        world.state(id).router.is_some(),
        "a default route into the tunnel"
    );
    let from = world.state(id).ipv6.unwrap();
    let packet = host::udp_packet(from.into(), host::HOST_V6.into(), b"out");
    let before = world.elapsed();
    world.send_ip(id, &packet);
    assert!(world.run_until(MINUTE, |world| world.state(id).echoes6 > 0));
    assert!(world.elapsed() - before < Duration::from_millis(100));
    let refusal = &world.state(id).last_packet;
    // Destination unreachable, administratively prohibited, about this very packet.
    assert_eq!(refusal[40..42], [1, 1]);
    assert_eq!(refusal[48..], packet);
    assert_eq!(world.server.stats().ipv6_blocked, 1);
    world.ping(id);
    assert!(world.run_until(MINUTE, |world| world.state(id).echoes4 > 0));
}
