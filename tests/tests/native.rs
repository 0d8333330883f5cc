//! ESP as IP protocol 50: where no NAT is in between and nothing forces it into UDP.

use std::net::IpAddr;
use std::time::Duration;

use adit_tests::{ClientId, Nat, World, WorldConfig, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A world whose server forces nothing.
fn unforced(seed: u64) -> WorldConfig {
    let mut config = setup::world(seed, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| ike.force_encapsulation = false);
    config
}

fn v6() -> IpAddr {
    "2001:db8:1::7".parse().unwrap()
}

/// Dials, waits for traffic of both families, and gives the MTU and the encapsulation.
fn session(world: &mut World, address: IpAddr, nat: Option<Nat>) -> (ClientId, u16, &'static str) {
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user0"), address, nat, false);
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?} {:?}",
        world.state(id),
        world.server.stats()
    );
    let info = &world.server.sessions(world.now())[0];
    (id, info.mtu, info.encapsulation)
}

/// Datagrams on the wire by the server's port.
fn seen(world: &World, port: u16) -> usize {
    let capture = world.capture.as_ref().unwrap();
    let server: [IpAddr; 2] = [World::SERVER_V4.into(), World::SERVER_V6.into()];
    let ports = capture.iter().map(|datagram| {
        if server.contains(&datagram.to.ip()) {
            datagram.to.port()
        } else {
            datagram.from.port()
        }
    });
    ports.filter(|of| *of == port).count()
}

#[test]
fn without_a_nat_esp_goes_without_udp_over_both_families() {
    for (seed, address) in [(60, setup::address(0)), (61, v6())] {
        let mut world = World::new(setup::world(seed, 1));
        let (_, forced_mtu, encapsulation) = session(&mut world, address, None);
        assert_eq!(encapsulation, "udp");
        assert_eq!(seen(&world, 0), 0);

        let mut world = World::new(unforced(seed));
        let (id, mtu, encapsulation) = session(&mut world, address, None);
        assert_eq!(encapsulation, "esp");
        // The eight bytes of UDP, as far as whole blocks can use them.
        assert!(
            (forced_mtu..=forced_mtu + 16).contains(&mtu),
            "{forced_mtu} {mtu}"
        );
        assert!(seen(&world, 0) > 10);
        assert_eq!(seen(&world, 4500), 0);
        assert_eq!(world.server.stats().endpoint_moved, 0);
        let info = &world.server.sessions(world.now())[0];
        assert_eq!((info.peer.ip(), info.peer.port()), (address, 0));

        world.hang_up(id);
        world.run_for(MINUTE);
        assert_eq!(world.server.gauges().esp_sas, 0);
    }
}

#[test]
fn gcm_uses_all_eight_bytes() {
    let mtu_of = |mut config: WorldConfig| {
        config.server.ike = World::changed(&config.server.ike, |ike| {
            ike.esp.retain(|suite| suite.name().contains("GCM"));
            assert!(!ike.esp.is_empty());
        });
        // The client leaves room for every suite that it offers.
        let mut client = setup::client("user0");
        client.ike = World::changed(&client.ike, |ike| {
            ike.esp.retain(|suite| suite.name().contains("GCM"));
        });
        let mut world = World::new(config);
        let id = world.dial(client, setup::address(0), None, false);
        assert!(world.run_until_echoes(&[id], MINUTE));
        let mtu = world.server.sessions(world.now())[0].mtu;
        assert!(
            world.server.sessions(world.now())[0]
                .esp
                .as_ref()
                .unwrap()
                .contains("GCM")
        );
        mtu
    };
    assert_eq!(mtu_of(unforced(62)), mtu_of(setup::world(62, 1)) + 8);
}

#[test]
fn behind_a_nat_esp_goes_in_udp() {
    let mut world = World::new(unforced(63));
    let nat = Nat::new("198.51.100.1".parse().unwrap());
    let inner = "192.168.1.2".parse().unwrap();
    let (_, _, encapsulation) = session(&mut world, inner, Some(nat));
    assert_eq!(encapsulation, "udp");
    assert_eq!(seen(&world, 0), 0);
}

#[test]
fn a_server_without_protocol_50_refuses_it() {
    let mut config = unforced(64);
    config.server.native_esp = false;
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| world.state(id).down.is_some()));
    let stats = world.server.stats();
    assert!(
        stats.child_failed > 0 && stats.child_established == 0,
        "{stats:?}"
    );
    assert_eq!(world.server.gauges().esp_sas, 0);
}

#[test]
fn an_hour_of_native_rekeying_stays_native() {
    let short = |ike: &mut adit_ike::Config| {
        ike.esp_lifetime.seconds = 10 * MINUTE;
        ike.phase1_lifetime = 30 * MINUTE;
    };
    let mut config = unforced(65);
    config.server.ike = World::changed(&config.server.ike, short);
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, short);
    let id = world.dial(client, setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.run_for(5 * Duration::from_secs(1));
    let before = world.state(id).echoes4;
    for _ in 0..1_800 {
        world.ping(id);
        world.run_for(Duration::from_secs(2));
    }
    assert_eq!(world.state(id).echoes4 - before, 1_800);
    assert!(world.server.stats().child_established >= 6);
    assert_eq!(world.server.sessions(world.now())[0].encapsulation, "esp");
}

#[test]
fn a_packet_in_the_other_kind_is_read_and_moves_nothing() {
    for forced in [false, true] {
        let config = if forced {
            setup::world(66, 1)
        } else {
            unforced(66)
        };
        let mut world = World::new(config);
        let (id, _, encapsulation) = session(&mut world, setup::address(0), None);
        let before = world.server.sessions(world.now())[0].rx_packets;
        // The client's next packet takes the other way to the server.
        world.redirect = Some(if forced { 0 } else { 4500 });
        world.ping(id);
        world.redirect = None;
        world.run_for(Duration::from_secs(1));
        let info = &world.server.sessions(world.now())[0];
        assert!(
            info.rx_packets >= before + 2,
            "{} {before}",
            info.rx_packets
        );
        assert_eq!(info.encapsulation, encapsulation);
        assert_eq!(world.server.stats().endpoint_moved, 0);
    }
}

#[test]
fn where_protocol_50_is_stopped_the_second_attempt_gets_through() {
    for (seed, address, neighbour) in [
        (67, setup::address(0), setup::address(1)),
        (68, v6(), "2001:db8:1:2::8".parse().unwrap()),
    ] {
        let mut config = unforced(seed);
        config.users = setup::users(3);
        let mut world = World::new(config);
        world.drop_if = Some(Box::new(|datagram| datagram.to.port() == 0));
        let id = world.dial(setup::client("user0"), address, None, true);
        assert!(
            world.run_until_echoes(&[id], 3 * MINUTE),
            "{:?}",
            world.server.stats()
        );
        assert_eq!(world.state(id).dials, 2, "{:?}", world.state(id));
        assert_eq!(world.server.stats().esp_native_blocked, 1);
        let udp = |world: &World, user: &str| {
            let sessions = world.server.sessions(world.now());
            let info = sessions
                .iter()
                .find(|info| info.user.as_deref() == Some(user));
            info.expect("a session").encapsulation == "udp"
        };
        assert!(udp(&world, "user0"));

        // Its neighbours learn from it, others do not have to.
        world.drop_if = None;
        let near = world.dial(setup::client("user1"), neighbour, None, false);
        let far = world.dial(
            setup::client("user2"),
            "192.0.2.7".parse().unwrap(),
            None,
            false,
        );
        assert!(world.run_until_echoes(&[near, far], MINUTE));
        assert!(udp(&world, "user1") && !udp(&world, "user2"));

        // After an hour protocol 50 is tried again.
        world.hang_up(near);
        world.run_for(61 * MINUTE);
        world.boot(near);
        assert!(world.run_until_echoes(&[near], MINUTE));
        assert!(!udp(&world, "user1"));
        assert_eq!(world.server.stats().esp_native_blocked, 1);
    }
}
