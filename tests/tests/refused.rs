//! What goes wrong gets its protocol's proper answer and leaves nothing behind.

use std::time::Duration;

use adit_client::DownReason;
use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::Phase1Proposal;
use adit_ppp::Secret;
use adit_server::Gauges;
use adit_tests::{ClientId, Datagram, World, setup};

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
    assert_eq!((world.state(a).echoes4, world.state(a).echoes6), echoes);
}
