//! L2TP without IPsec, for access concentrators on trusted wires.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_server::{Gauges, SessionInfo};
use adit_tests::{ClientId, World, host, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn world(seed: u64) -> World {
    let mut config = setup::world(seed, 3);
    config.server.plain = setup::plain(&["10.9.0.0/16", "fd00:9::/32"]);
    World::new(config)
}

fn lac(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What the server holds, but for addresses that devices get again.
fn held(world: &World) -> Gauges {
    Gauges {
        remembered: 0,
        ..world.server.gauges()
    }
}

fn info(world: &World, id: ClientId) -> SessionInfo {
    let address = world.state(id).ipv4;
    let mut infos = world.server.sessions(world.now()).into_iter();
    infos.find(|info| info.ipv4 == address).expect("a session")
}

/// An MTU of its own, exact to the byte, and packets of that size in both directions.
#[test]
fn both_families_over_both_families() {
    for (from, header) in [("10.9.0.2:1701", 20), ("[fd00:9::2]:1701", 40)] {
        let mut world = world(31);
        let id = world.dial_plain(setup::client("user0"), lac(from), false);
        assert!(
            world.run_until_echoes(&[id], MINUTE),
            "{:?}",
            world.state(id)
        );
        world.run_for(Duration::from_secs(2));
        let info = info(&world, id);
        assert_eq!(info.encapsulation, "none");
        assert_eq!((&info.ike, &info.esp), (&None, &None));
        assert_eq!((info.client.as_str(), info.nat), ("lac", "none"));
        assert_eq!(info.peer, lac(from));
        let mtu = 1500 - header - 8 - 8 - adit_ppp::HEADER_LEN as u16;
        assert_eq!(info.mtu, mtu);
        assert_eq!(info.mss, (mtu - 40, mtu - 60));
        assert_eq!(world.state(id).mtu, Some(mtu.into()));

        let (ipv4, ipv6) = (world.state(id).ipv4.unwrap(), world.state(id).ipv6.unwrap());
        for (to, host, headers) in [
            (IpAddr::from(ipv4), IpAddr::from(host::HOST_V4), 28),
            (ipv6.into(), host::HOST_V6.into(), 48),
        ] {
            world.capture = Some(Vec::new());
            let largest = host::udp_packet(host, to, &vec![7; usize::from(mtu) - headers]);
            world.to_tun(&largest);
            world.run_for(Duration::from_secs(1));
            assert_eq!(world.state(id).last_packet, largest);
            let sent = world.capture.take().unwrap();
            let outer = sent
                .iter()
                .map(|sent| sent.payload.len() + 8 + usize::from(header));
            let most = outer.max().unwrap();
            // A peer may have asked for a PPP header of one byte.
            assert!((1500 - 3..=1500).contains(&most), "{most}");
            let before = world.server.stats().too_big;
            let larger = host::udp_packet(host, to, &vec![7; usize::from(mtu) - headers + 1]);
            let df = [&larger[..6], &[larger[6] | 0x40], &larger[7..]].concat();
            world.to_tun(if to.is_ipv4() { &df } else { &larger });
            assert_eq!(world.server.stats().too_big, before + 1);
        }
        let stats = world.server.stats();
        assert_eq!((stats.plain_established, stats.plain_foreign), (1, 0));
        assert_eq!(world.server.gauges().plain_peers, 1);
        world.hang_up(id);
        world.run_for(2 * MINUTE);
        assert_eq!(held(&world), Gauges::default());
    }
}

/// The initiator may use any port (RFC 2661 8.1), and keeps it.
#[test]
fn any_source_port_and_two_peers_of_one_address() {
    let mut world = world(32);
    let ids = ["10.9.0.2:40000", "10.9.0.3:1701"]
        .map(lac)
        .into_iter()
        .zip(["user0", "user1"])
        .map(|(from, user)| world.dial_plain(setup::client(user), from, false));
    let ids: Vec<_> = ids.collect();
    world.capture = Some(Vec::new());
    assert!(world.run_until_echoes(&ids, MINUTE));
    let capture = world.capture.take().unwrap();
    let answers = capture.iter().filter(|datagram| is_server(datagram.from));
    for answer in answers {
        assert_eq!(answer.from.port(), 1701);
        assert!([lac("10.9.0.2:40000"), lac("10.9.0.3:1701")].contains(&answer.to));
    }
    assert_ne!(world.state(ids[0]).ipv4, world.state(ids[1]).ipv4);
}

#[test]
fn it_stays_up_for_hours_beside_ipsec() {
    let mut world = world(33);
    let plain = world.dial_plain(setup::client("user0"), lac("10.9.0.2:1701"), false);
    let ipsec = world.dial(setup::client("user1"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[plain, ipsec], MINUTE));
    world.run_for(7 * HOUR);
    for id in [plain, ipsec] {
        let before = (world.state(id).echoes4, world.state(id).echoes6);
        world.ping(id);
        world.run_for(Duration::from_secs(2));
        let after = (world.state(id).echoes4, world.state(id).echoes6);
        assert_eq!(after, (before.0 + 1, before.1 + 1));
        assert_eq!(world.state(id).dials, 1);
    }
    world.shut_down();
    world.run_for(MINUTE);
    assert!(world.server.is_stopped());
    assert!(world.state(plain).down.is_some());
    assert_eq!(held(&world), Gauges::default());
}

#[test]
fn it_comes_up_on_a_bad_network() {
    let mut config = setup::world(34, 1);
    config.server.plain = setup::plain(&["10.9.0.0/16"]);
    config.link = setup::BAD;
    let mut world = World::new(config);
    let id = world.dial_plain(setup::client("user0"), lac("10.9.0.2:1701"), true);
    assert!(
        world.run_until_echoes(&[id], 10 * MINUTE),
        "{:?}",
        world.state(id)
    );
}

/// L2TP alone finds out that the peer is gone, and the next life of the peer does not wait for it.
#[test]
fn a_dead_peer_is_noticed_and_comes_back_at_once() {
    let mut world = world(35);
    let id = world.dial_plain(setup::client("user0"), lac("10.9.0.2:1701"), false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.kill(id);
    world.run_for(Duration::from_secs(1));
    world.boot(id);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(5)));
    let gauges = world.server.gauges();
    assert_eq!((gauges.plain_peers, gauges.sessions), (1, 2));
    world.run_for(15 * MINUTE);
    let gauges = world.server.gauges();
    assert_eq!(
        (gauges.plain_peers, gauges.sessions, gauges.tunnels),
        (1, 1, 1)
    );
    world.ping(id);
    world.kill(id);
    world.run_for(15 * MINUTE);
    assert_eq!(held(&world), Gauges::default());
}

#[test]
fn nothing_is_said_to_others() {
    let mut closed = World::new(setup::world(36, 1));
    let mut open = world(36);
    for (is_open, from) in [
        (false, "10.9.0.2:1701"),
        (true, "10.10.0.2:1701"),
        (true, "[fd01:9::2]:1701"),
        (true, "198.18.0.9:1701"),
    ] {
        let world = if is_open { &mut open } else { &mut closed };
        world.capture = Some(Vec::new());
        let before = world.server.stats();
        let id = world.dial_plain(setup::client("user0"), lac(from), false);
        world.run_for(5 * MINUTE);
        let capture = world.capture.take().unwrap();
        assert!(capture.len() > 3);
        assert!(
            capture.iter().all(|datagram| is_server(datagram.to)),
            "{from}"
        );
        assert!(world.state(id).down.is_some());
        assert_eq!(held(world), Gauges::default());
        let mut after = world.server.stats();
        assert_eq!(
            after.plain_foreign - before.plain_foreign,
            capture.len() as u64
        );
        after.plain_foreign = before.plain_foreign;
        assert_eq!(after, before, "nothing else is counted");
    }
}
