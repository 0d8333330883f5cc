//! What goes wrong gets its protocol's proper answer and leaves nothing behind.

use std::net::IpAddr;
use std::time::Duration;

use adit_client::DownReason;
use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::Phase1Proposal;
use adit_ppp::Secret;
use adit_server::Gauges;
use adit_tests::{ClientId, Datagram, World, setup, udp_packet};

const MINUTE: Duration = Duration::from_secs(60);

/// Dials with a changed configuration and waits for the end.
fn refused(change: impl FnOnce(&mut adit_client::Config)) -> (World, DownReason) {
    let mut world = World::new(setup::world(20, 1));
    let mut config = setup::client("user0");
    change(&mut config);
    let id = world.dial(config, setup::address(0), None, false);
    assert!(
        world.run_until(2 * MINUTE, |world| world.state(id).down.is_some()),
        "{:?}",
        world.state(id)
    );
    let reason = world.state(id).down.clone().unwrap();
    assert!(
        world.run_until(30 * MINUTE, |world| world.held() == Gauges::default()),
        "left behind: {:?}",
        world.server.gauges()
    );
    (world, reason)
}

#[test]
fn wrong_psk() {
    let (world, reason) = refused(|config| config.credentials = setup::credentials("another key"));
    assert!(matches!(reason, DownReason::Ike(_)), "{reason:?}");
    assert_eq!(world.server.stats().ike_authentication_failed, 1);
    assert_eq!(world.server.stats().ike_established, 0);
}

#[test]
fn wrong_password() {
    let (world, reason) = refused(|config| config.ppp.password = Secret::new(b"guess"));
    assert!(matches!(reason, DownReason::Ppp(_)), "{reason:?}");
    assert_eq!(world.server.stats().auth_rejected, 1);
    assert_eq!(world.server.stats().auth_accepted, 0);
}

#[test]
fn unknown_user() {
    let (world, reason) = refused(|config| config.ppp.user = "nobody".into());
    assert!(matches!(reason, DownReason::Ppp(_)), "{reason:?}");
    assert_eq!(world.server.stats().auth_rejected, 1);
}

#[test]
fn no_common_proposal() {
    let (world, reason) = refused(|config| {
        config.ike = World::changed(&config.ike, |ike| {
            ike.phase1 = vec![Phase1Proposal {
                cipher: BlockCipher::Aes192,
                hash: Hash::Sha2_512,
                group: Group::Modp1536,
            }];
        });
    });
    assert!(
        matches!(
            reason,
            DownReason::Ike(adit_ike::CloseReason::Refused { notify: 14 })
        ),
        "{reason:?}"
    );
    assert_eq!(world.server.stats().ike_exchanges_refused, 1);
}

fn one_family(ipv4: bool) -> (World, ClientId) {
    let mut world = World::new(setup::world(21, 1));
    let mut config = setup::client("user0");
    config.ppp.ipv4 = ipv4;
    config.ppp.ipv6 = !ipv4;
    let id = world.dial(config, setup::address(0), None, false);
    world.run_for(MINUTE);
    world.ping(id);
    world.run_for(Duration::from_secs(1));
    (world, id)
}

#[test]
fn an_ipv4_only_client_has_ipv4() {
    let (world, id) = one_family(true);
    let state = world.state(id);
    assert_eq!(
        (state.echoes4, state.echoes6, state.down.clone()),
        (1, 0, None)
    );
    assert_eq!(state.ipv6, None);
    let info = &world.server.sessions(world.now())[0];
    assert_eq!(info.ipcp, "opened");
    assert_ne!(info.ipv6cp, "opened");
    assert_eq!(info.ipv6_prefixes, []);
}

#[test]
fn an_ipv6_only_client_has_ipv6() {
    let (world, id) = one_family(false);
    let state = world.state(id);
    assert_eq!(
        (state.echoes4, state.echoes6, state.down.clone()),
        (0, 1, None)
    );
    assert_eq!(state.ipv4, None);
    let info = &world.server.sessions(world.now())[0];
    assert_ne!(info.ipcp, "opened");
    assert_eq!(info.ipv6cp, "opened");
    assert_eq!(info.ipv4, None);
}

#[test]
fn junk_costs_nobody_anything() {
    let mut world = World::new(setup::world(22, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    let before = world.server.gauges();
    let from = "192.0.2.66:4500".parse().unwrap();
    let own = std::net::SocketAddr::new(setup::address(0), 4500);
    for (source, port) in [(from, 4500), (from, 500), (own, 4500), (own, 500)] {
        for payload in [
            vec![],
            vec![0xff],
            vec![0; 3],
            vec![0; 4],
            vec![0; 40],
            vec![0xaa; 1400],
            [vec![0; 4], vec![0x11; 28]].concat(),
        ] {
            world.inject(Datagram {
                from: source,
                to: (World::SERVER_V4, port).into(),
                payload,
            });
        }
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.server.gauges(), before);
    let echoes = world.state(id).echoes6;
    world.ping(id);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.state(id).echoes6, echoes + 1);
    let stats = world.server.stats();
    assert_eq!(stats.keepalives, 2);
    assert!(
        stats.esp_unknown_spi >= 2 && stats.ike_malformed >= 4,
        "{stats:?}"
    );
    assert_eq!(stats.endpoint_moved, 0);
}

#[test]
fn clients_cannot_forge_sources_nor_reach_each_other() {
    let mut world = World::new(setup::world(23, 2));
    let a = world.dial(setup::client("user0"), setup::address(0), None, false);
    let b = world.dial(setup::client("user1"), setup::address(1), None, false);
    assert!(world.run_until_echoes(&[a, b], MINUTE));
    let (a4, a6) = (world.state(a).ipv4.unwrap(), world.state(a).ipv6.unwrap());
    let (b4, b6) = (world.state(b).ipv4.unwrap(), world.state(b).ipv6.unwrap());
    world.run_for(Duration::from_secs(2));
    let before = world.server.stats();
    let echoes = (world.state(a).echoes4, world.state(a).echoes6);

    let host4 = adit_tests::HOST_V4.into();
    let host6 = adit_tests::HOST_V6.into();
    world.send_ip(a, &adit_tests::udp_packet(b4.into(), host4, b"forged"));
    world.send_ip(a, &adit_tests::udp_packet(b6.into(), host6, b"forged"));
    world.send_ip(
        a,
        &adit_tests::udp_packet(a4.into(), b4.into(), b"neighbour"),
    );
    world.send_ip(
        a,
        &adit_tests::udp_packet(a6.into(), b6.into(), b"neighbour"),
    );
    world.run_for(Duration::from_secs(1));

    let after = world.server.stats();
    assert_eq!(after.ip_spoofed - before.ip_spoofed, 2);
    assert_eq!(after.ip_between_clients - before.ip_between_clients, 2);
    assert_eq!(after.ip_in, before.ip_in);
    // The two to the neighbour were answered; nothing reached it.
    let heard = (world.state(a).echoes4, world.state(a).echoes6);
    assert_eq!(heard, (echoes.0 + 1, echoes.1 + 1));
}

/// Two clients that are up, and their addresses of both families.
fn neighbours(seed: u64) -> (World, [(ClientId, [IpAddr; 2]); 2]) {
    let mut world = World::new(setup::world(seed, 2));
    let dial = |world: &mut World, index: usize| {
        let client = setup::client(&format!("user{index}"));
        world.dial(client, setup::address(index), None, false)
    };
    let ids = [dial(&mut world, 0), dial(&mut world, 1)];
    assert!(world.run_until_echoes(&ids, MINUTE));
    world.run_for(Duration::from_secs(2));
    let ends = ids.map(|id| {
        let state = world.state(id);
        let addresses = [state.ipv4.unwrap().into(), state.ipv6.unwrap().into()];
        (id, addresses)
    });
    (world, ends)
}

/// Packets that a client has got, of both families.
fn heard(world: &World, id: ClientId) -> u32 {
    world.state(id).echoes4 + world.state(id).echoes6
}

#[test]
fn a_client_hears_at_once_that_addresses_of_clients_are_prohibited() {
    let (mut world, [(a, from), (b, neighbour)]) = neighbours(24);
    let before = (heard(&world, b), world.server.stats().ip_in);
    let nobody: [IpAddr; 2] = [
        "10.77.200.7".parse().unwrap(),
        "2001:db8:77:777::7".parse().unwrap(),
    ];
    // Whether somebody has the address makes no difference.
    for (count, to) in [(2, neighbour), (4, nobody)] {
        for (family, (header_len, answer)) in [(20, [3, 13]), (40, [1, 1])].into_iter().enumerate()
        {
            let packet = udp_packet(from[family], to[family], b"neighbour");
            let had = heard(&world, a);
            world.send_ip(a, &packet);
            world.run_for(Duration::from_secs(1));
            assert_eq!(heard(&world, a), had + 1, "{}", to[family]);
            let error = &world.state(a).last_packet;
            assert_eq!(error[header_len..header_len + 2], answer);
            assert_eq!(error[header_len + 8..], packet);
        }
        assert_eq!(world.server.stats().ip_between_clients, count);
    }
    // An error about a broadcast could multiply.
    let had = heard(&world, a);
    let all = "10.77.255.255".parse().unwrap();
    world.send_ip(a, &udp_packet(from[0], all, b"neighbour"));
    world.run_for(Duration::from_secs(1));
    assert_eq!(heard(&world, a), had);
    assert_eq!(world.server.stats().ip_between_clients, 5);
    assert_eq!((heard(&world, b), world.server.stats().ip_in), before);
}

#[test]
fn what_comes_from_behind_with_a_clients_address_reaches_no_other_client() {
    let (mut world, [(a, own), (b, neighbour)]) = neighbours(25);
    let nobody: [IpAddr; 2] = [
        "10.77.200.7".parse().unwrap(),
        "2001:db8:77:777::7".parse().unwrap(),
    ];
    let servers: [IpAddr; 2] = [
        "10.77.0.1".parse().unwrap(),
        "2001:db8:77::1".parse().unwrap(),
    ];
    let hosts = [adit_tests::HOST_V4.into(), adit_tests::HOST_V6.into()];
    for family in 0..2 {
        let before = (heard(&world, a), heard(&world, b), world.server.stats());
        for source in [neighbour, nobody] {
            world.to_tun(&udp_packet(source[family], own[family], b"forged"));
            // Not even the answer that nobody has the address, which would go to the client.
            world.to_tun(&udp_packet(own[family], nobody[family], b"forged"));
        }
        world.run_for(Duration::from_secs(1));
        let stats = world.server.stats();
        assert_eq!(stats.ip_between_clients - before.2.ip_between_clients, 4);
        assert_eq!(stats.no_route, before.2.no_route);
        assert_eq!((heard(&world, a), heard(&world, b)), (before.0, before.1));
        // The server, the world and the client itself are no other client.
        for source in [servers, hosts, own] {
            world.to_tun(&udp_packet(source[family], own[family], b"welcome"));
        }
        world.run_for(Duration::from_secs(1));
        assert_eq!(heard(&world, a), before.0 + 3);
    }
}
