//! Whole sessions, from the first IKE message to traffic of both families and a clean end.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use adit_client::{DownReason, Event};
use adit_server::Gauges;
use adit_tests::{ClientId, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

fn up(world: &World, id: ClientId) -> bool {
    let state = world.state(id);
    state.ipv4.is_some() && state.ipv6.is_some() && state.router.is_some()
}

/// Asserts everything that a session must have come to.
fn assert_whole(world: &mut World, id: ClientId) {
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "no traffic: {:?} {:?}",
        world.state(id),
        world.server.stats()
    );
    let state = world.state(id).clone();
    let (ipv4, ipv6) = (state.ipv4.unwrap(), state.ipv6.unwrap());
    let sessions = world.server.sessions(world.now());
    let info = sessions
        .iter()
        .find(|info| info.ipv4 == Some(ipv4))
        .expect("the server knows the session");
    assert!(info.ipv6_prefixes[0].contains(&ipv6), "{info:?} {ipv6}");
    assert_eq!(info.ipv6_prefixes[0].prefix_len(), 64);
    assert_eq!(
        (info.ipcp.as_str(), info.ipv6cp.as_str()),
        ("opened", "opened")
    );
    assert_eq!(state.mtu, Some(u32::from(info.mtu)));
    assert_eq!(info.mss.0 - info.mss.1, 20);
    assert_eq!(info.mtu - info.mss.0, 40);
    assert_eq!(state.dns4, [std::net::Ipv4Addr::new(10, 77, 0, 1)]);
    assert_eq!(state.dns6, ["2001:db8:77::1".parse::<Ipv6Addr>().unwrap()]);
    assert!(info.rx_bytes > 0 && info.tx_bytes > 0);
}

#[test]
fn both_families_over_ipv4() {
    let mut world = World::new(setup::world(1, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(
        world.run_until(MINUTE, |world| up(world, id)),
        "{:?}",
        world.state(id)
    );
    assert_whole(&mut world, id);
    let info = &world.server.sessions(world.now())[0];
    assert_eq!(info.user.as_deref(), Some("user0"));
    assert_eq!(info.client, "adit");
    assert_eq!(info.encapsulation, "udp");
    assert_eq!(info.ike.as_ref().expect("IPsec").group, "ECP-256");
    assert_eq!(info.peer.port(), 4500);
}

#[test]
fn both_families_over_ipv6() {
    let mut world = World::new(setup::world(2, 1));
    let address: IpAddr = "2001:db8:1::7".parse().unwrap();
    let id = world.dial(setup::client("user0"), address, None, false);
    assert!(
        world.run_until(MINUTE, |world| up(world, id)),
        "{:?}",
        world.state(id)
    );
    assert_whole(&mut world, id);
    // The outer header is 20 bytes longer than over IPv4.
    let mtu6 = world.server.sessions(world.now())[0].mtu;
    let mut world = World::new(setup::world(2, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let mtu4 = world.server.sessions(world.now())[0].mtu;
    assert!((16..=32).contains(&(mtu4 - mtu6)), "{mtu4} {mtu6}");
}

#[test]
fn a_clean_end_leaves_nothing_behind() {
    let mut world = World::new(setup::world(3, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let gauges = world.server.gauges();
    assert_eq!((gauges.sessions, gauges.tunnels, gauges.peers), (1, 1, 1));
    assert_eq!(
        (gauges.leases_ipv4, gauges.leases_ipv6, gauges.routes),
        (1, 1, 2)
    );
    world.hang_up(id);
    assert!(
        world.run_until(MINUTE, |world| world.held() == Gauges::default()),
        "{:?}",
        world.server.gauges()
    );
    assert_eq!(world.state(id).down, Some(DownReason::Closed));
}

#[test]
fn a_stopping_server_tells_its_clients() {
    let mut world = World::new(setup::world(4, 2));
    let a = world.dial(setup::client("user0"), setup::address(0), None, false);
    let b = world.dial(setup::client("user1"), setup::address(1), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, a) && up(world, b)));
    let before = world.elapsed();
    world.shut_down();
    assert!(world.run_until(MINUTE, |world| world.server.is_stopped()));
    assert!(world.elapsed() - before < Duration::from_secs(3));
    world.run_for(Duration::from_secs(1));
    for id in [a, b] {
        assert!(
            matches!(world.state(id).down, Some(DownReason::Tunnel(_))),
            "{:?}",
            world.state(id).down
        );
    }
    assert_eq!(world.held(), Gauges::default());
}

#[test]
fn two_clients_with_equal_inner_addresses_behind_one_nat() {
    let mut world = World::new(setup::world(5, 2));
    let public = setup::address(9);
    let inner: IpAddr = "192.168.1.2".parse().unwrap();
    // Two households behind one carrier: the same private address, the same public one.
    let first = Nat::new(public);
    let mut second = Nat::new(public);
    second.skip_ports(10_000);
    let a = world.dial(setup::client("user0"), inner, Some(first), false);
    let b = world.dial(setup::client("user1"), inner, Some(second), false);
    assert!(world.run_until(MINUTE, |world| up(world, a) && up(world, b)));
    assert_whole(&mut world, a);
    assert_whole(&mut world, b);
    let sessions = world.server.sessions(world.now());
    assert_eq!(sessions.len(), 2);
    assert!(
        sessions.iter().all(|info| info.nat == "client"),
        "{sessions:?}"
    );
    assert_ne!(sessions[0].ipv6_prefixes, sessions[1].ipv6_prefixes);
}

#[test]
fn a_rebound_nat_is_followed() {
    let mut world = World::new(setup::world(6, 1));
    let nat = Nat::new(setup::address(9));
    let id = world.dial(
        setup::client("user0"),
        "192.168.1.2".parse().unwrap(),
        Some(nat),
        false,
    );
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let before = world.server.sessions(world.now())[0].peer;
    world.rebind(id);
    assert_whole(&mut world, id);
    let after = world.server.sessions(world.now())[0].peer;
    assert_ne!(before, after);
    assert_eq!(world.server.stats().endpoint_moved, 1);
}

#[test]
fn power_loss_and_return_from_the_same_address() {
    let mut world = World::new(setup::world(7, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let first = world.state(id).ipv6.unwrap();
    world.kill(id);
    // Traffic goes on flowing to it meanwhile.
    for _ in 0..20 {
        let packet = adit_tests::udp_packet(adit_tests::HOST_V6.into(), first.into(), b"hello");
        world.to_tun(&packet);
        world.run_for(Duration::from_millis(100));
    }
    world.boot(id);
    let dialled = world.elapsed();
    assert!(
        world.run_until(MINUTE, |world| up(world, id)),
        "{:?}",
        world.state(id)
    );
    assert!(world.elapsed() - dialled < Duration::from_secs(10));
    assert_whole(&mut world, id);
    let gauges = world.server.gauges();
    assert_eq!(
        (
            gauges.sessions,
            gauges.tunnels,
            gauges.peers,
            gauges.ike_sas
        ),
        (1, 1, 1, 1)
    );
    assert_eq!((gauges.leases_ipv4, gauges.routes), (1, 2));
}

#[test]
fn power_loss_and_return_from_another_address() {
    let mut world = World::new(setup::world(8, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    world.kill(id);
    let dialled = world.elapsed();
    let again = world.dial(setup::client("user0"), setup::address(1), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, again)));
    assert!(world.elapsed() - dialled < Duration::from_secs(10));
    assert_whole(&mut world, again);
    // The dead one is found out and leaves nothing.
    assert!(world.run_until(20 * MINUTE, |world| world.server.gauges().sessions == 1));
    assert!(
        world.run_until(20 * MINUTE, |world| world.server.gauges().peers == 1),
        "{:?}",
        world.server.gauges()
    );
    assert_eq!(world.server.gauges().leases_ipv4, 1);
    assert_eq!(world.server.stats().peers_dead, 1, "found out by DPD");
    assert!(up(&world, again));
}

#[test]
fn an_idle_session_lives_for_hours() {
    let mut config = setup::client("user0");
    // Longer than the test; rekeying has tests of its own.
    config.ike = World::changed(&config.ike, |ike| {
        ike.esp_lifetime.seconds = 10 * 60 * MINUTE;
        ike.phase1_lifetime = 10 * 60 * MINUTE;
    });
    let mut world_config = setup::world(9, 1);
    world_config.server.ike = World::changed(&world_config.server.ike, |ike| {
        ike.esp_lifetime.seconds = 10 * 60 * MINUTE;
        ike.phase1_lifetime = 10 * 60 * MINUTE;
    });
    let mut world = World::new(world_config);
    let id = world.dial(config, setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let (before, _) = world.traffic();
    world.run_for(180 * MINUTE);
    assert!(up(&world, id), "{:?}", world.state(id).events);
    assert_whole(&mut world, id);
    let (after, _) = world.traffic();
    // Idle means nearly silent: fewer than one datagram in two seconds.
    assert!(after - before < 3 * 3600 / 2, "{}", after - before);
}

#[test]
fn events_come_in_the_order_of_the_layers() {
    let mut world = World::new(setup::world(10, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| up(world, id)));
    let steps: Vec<_> = world
        .state(id)
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Phase1(_) => Some("phase 1"),
            Event::Sa { .. } => Some("sa"),
            Event::Tunnel { .. } => Some("tunnel"),
            Event::Authenticated => Some("authenticated"),
            _ => None,
        })
        .collect();
    assert_eq!(steps, ["phase 1", "sa", "tunnel", "authenticated"]);
}
