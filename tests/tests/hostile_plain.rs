//! What strangers on a wire that is trusted too far can do: whatever they say without IPsec, the
//! sessions of others live on, and what the server holds of them is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_crypto::Rng;
use adit_l2tp::{Packet, Role, Tunnel};
use adit_server::{Limits, SessionInfo};
use adit_tests::scene::{Scene, server};
use adit_tests::{ClientId, Datagram, World, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// An access concentrator that is driven by hand.
struct Lac {
    from: SocketAddr,
    tunnel: Tunnel,
    rng: Rng,
}

impl Lac {
    fn new(world: &World, from: &str, id: u16) -> Self {
        let mut rng = Rng::from_seed([7; 32]);
        let config = Arc::default();
        Self {
            from: from.parse().unwrap(),
            tunnel: Tunnel::initiate(&config, Role::Lac, id, world.now(), &mut rng),
            rng,
        }
    }

    /// Sends what it has to say; gives what came back.
    fn say(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        world.capture = Some(Vec::new());
        while let Some(payload) = self.tunnel.poll_transmit() {
            send(world, self.from, payload);
        }
        world.run_for(Duration::from_millis(30));
        let capture = world.capture.take().unwrap();
        let back = capture.into_iter().filter(|back| back.to == self.from);
        back.map(|back| back.payload).collect()
    }

    /// Talks until the tunnel is up, or nothing is answered any more.
    fn connect(&mut self, world: &mut World) -> bool {
        for _ in 0..3 {
            for message in self.say(world) {
                let _ = self
                    .tunnel
                    .handle_datagram(&message, world.now(), &mut self.rng);
            }
        }
        self.tunnel.poll_event().is_some()
    }
}

fn send(world: &mut World, from: SocketAddr, payload: Vec<u8>) {
    let mut to = server(1701);
    if from.is_ipv6() {
        to.set_ip(World::SERVER_V6.into());
    }
    world.inject(Datagram { from, to, payload });
}

/// Three sessions inside IPsec, and one without.
fn scene(seed: u64, change: impl FnOnce(&mut Limits)) -> (Scene, ClientId) {
    let mut scene = Scene::with(seed, |server| {
        // Everywhere: also where the clients with IPsec are.
        server.plain = setup::plain(&["0.0.0.0/0", "::/0"]);
        change(&mut server.limits);
    });
    let from = "10.9.0.2:1701".parse().unwrap();
    let id = scene.world.dial_plain(setup::client("user3"), from, false);
    assert!(scene.world.run_until_echoes(&[id], MINUTE));
    scene.victims.push(id);
    (scene, id)
}

fn ids(info: &Scene) -> Vec<(u16, u16)> {
    let victims = info.victims.iter();
    victims.filter_map(|id| info.world.l2tp_ids(*id)).collect()
}

fn control(tunnel: u16, session: u16, ns: u16, nr: u16, avps: &[u8]) -> Vec<u8> {
    let mut message = vec![0xc8, 0x02];
    message.extend((12 + avps.len() as u16).to_be_bytes());
    for number in [tunnel, session, ns, nr] {
        message.extend(number.to_be_bytes());
    }
    message.extend(avps);
    message
}

fn avp(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 0x8000 | (6 + value.len() as u16);
    [
        &length.to_be_bytes()[..],
        &[0, 0],
        &kind.to_be_bytes(),
        value,
    ]
    .concat()
}

fn message_type(kind: u8) -> Vec<u8> {
    avp(0, &[0, kind])
}

/// Messages about a tunnel and a session.
fn about(tunnel: u16, session: u16) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let result = avp(1, &[0, 1, 0, 0]);
    let assigned = avp(9, &[0, 77]);
    for (ns, nr) in [(0, 0), (1, 1), (2, 2), (3, 1), (4, 2)] {
        let stop = [message_type(4), assigned.clone(), result.clone()].concat();
        messages.push(control(tunnel, 0, ns, nr, &stop));
        let cdn = [message_type(14), result.clone(), avp(14, &[0, 1])].concat();
        messages.push(control(tunnel, session, ns, nr, &cdn));
        messages.push(control(tunnel, 0, ns, nr, &message_type(6)));
        messages.push(control(tunnel, 0, ns, nr, &[]));
    }
    let ids = [tunnel.to_be_bytes(), session.to_be_bytes()].concat();
    for payload in [
        // LCP Terminate-Request, IPCP Terminate-Request, IPv4, IPv6, nothing.
        vec![0xff, 0x03, 0xc0, 0x21, 5, 9, 0, 4],
        vec![0x80, 0x21, 5, 9, 0, 4],
        [&[0x21, 0x45][..], &[0; 40]].concat(),
        [&[0x57, 0x60][..], &[0; 60]].concat(),
        vec![],
    ] {
        messages.push([&[0x00, 0x02][..], &ids, &payload].concat());
    }
    messages
}

/// What broke other servers before anybody was authenticated.
fn malformed() -> Vec<Vec<u8>> {
    let sccrq = |more: &[u8]| {
        let avps = [
            message_type(1),
            avp(2, &[1, 0]),
            avp(3, &[0, 0, 0, 3]),
            avp(7, b"lac"),
            avp(9, &[0, 5]),
            more.to_vec(),
        ];
        control(0, 0, 0, 0, &avps.concat())
    };
    let mut hidden = avp(39, &[1; 16]);
    hidden[0] |= 0x40;
    let mut short = avp(8, b"vendor");
    short[1] = 5;
    let mut long = avp(8, b"vendor");
    long[1] = 250;
    vec![
        vec![],
        vec![0],
        vec![0xc8],
        b"GET / HTTP/1.1".to_vec(),
        control(0, 0, 0, 0, &[]),
        control(0, 0, 0, 0, &message_type(6)),
        control(0, 0, 0, 0, &message_type(1)),
        control(0, 0, 0, 0, &[message_type(1), avp(9, &[0, 0])].concat()),
        sccrq(&short),
        sccrq(&long),
        sccrq(&hidden),
        sccrq(&avp(36, &[])),
        sccrq(&avp(11, &[3; 1017])),
        sccrq(&avp(99, &[1])),
        sccrq(&avp(10, &[0, 0])),
        sccrq(&avp(10, &[0xff, 0xff])),
    ]
}

#[test]
fn nobody_touches_the_sessions_of_others() {
    let (mut scene, plain) = scene(901, |_| {});
    let digest = scene.digest();
    assert_eq!(digest.len(), 4);
    let own: SocketAddr = "10.9.0.2:1701".parse().unwrap();
    let mut other_port = own;
    other_port.set_port(1702);
    let victim = SocketAddr::new(setup::address(0), 4500);
    let strangers = [
        other_port,
        "10.9.0.3:1701".parse().unwrap(),
        "[fd00:9::9]:1701".parse().unwrap(),
        victim,
        SocketAddr::new(setup::address(0), 1701),
    ];
    let mut messages = malformed();
    for (tunnel, session) in ids(&scene) {
        messages.extend(about(tunnel, session));
    }
    for from in strangers {
        for message in &messages {
            send(&mut scene.world, from, message.clone());
        }
        scene.world.run_for(Duration::from_secs(2));
        assert_eq!(scene.digest(), digest, "{from}");
        scene.all_answer();
    }
    // The neighbour without IPsec, in its own name, about the sessions inside IPsec.
    let [_, _, _, (own_tunnel, _)] = ids(&scene)[..] else {
        panic!("four sessions");
    };
    for (tunnel, session) in ids(&scene) {
        for message in about(tunnel, session) {
            if tunnel != own_tunnel {
                send(&mut scene.world, own, message);
            }
        }
    }
    scene.world.run_for(MINUTE);
    assert_eq!(scene.digest(), digest);
    scene.all_answer();
    assert_eq!(scene.world.state(plain).dials, 1);
    let stats = scene.world.server.stats();
    assert!(
        stats.l2tp_unknown > 100 && stats.l2tp_malformed > 10,
        "{stats:?}"
    );
    // Every tunnel that was begun has ended.
    scene.world.run_for(3 * MINUTE);
    let gauges = scene.world.server.gauges();
    assert_eq!((gauges.plain_peers, gauges.tunnels), (1, 4), "{gauges:?}");
}

/// Inside an SA, the numbers of a session without IPsec are worth nothing.
#[test]
fn a_client_with_ipsec_does_not_reach_those_without() {
    let (mut scene, plain) = scene(902, |_| {});
    let digest = scene.digest();
    let (tunnel, session) = scene.world.l2tp_ids(plain).unwrap();
    let hostile = scene.victims[2];
    for message in about(tunnel, session) {
        scene.world.send_l2tp(hostile, &message);
    }
    scene.world.run_for(MINUTE);
    assert_eq!(scene.digest(), digest);
    scene.all_answer();
}

/// An access concentrator may have several tunnels from one port.
#[test]
fn two_tunnels_from_one_port() {
    let (mut scene, _) = scene(903, |_| {});
    let mut lacs = [1, 2].map(|id| Lac::new(&scene.world, "10.9.0.7:1701", id));
    for lac in &mut lacs {
        assert!(lac.connect(&mut scene.world));
    }
    assert_eq!(scene.world.server.gauges().plain_peers, 2);
    assert_eq!(scene.world.server.gauges().tunnels, 4 + 2);
    assert_eq!(scene.world.server.stats().plain_established, 3);
}

#[test]
fn tunnels_of_one_peer_are_bounded_and_established_ones_stay() {
    let (mut scene, _) = scene(904, |limits| limits.tunnels_per_peer = 2);
    let world = &mut scene.world;
    let from = "10.9.0.7:1701";
    // Half-open ones make room for the next.
    for id in 10..15 {
        assert_eq!(Lac::new(world, from, id).say(world).len(), 1);
        assert!(world.server.gauges().tunnels <= 4 + 2);
    }
    assert_eq!(world.server.stats().plain_half_open_dropped, 3);
    for id in 1..3 {
        assert!(Lac::new(world, from, id).connect(world), "{id}");
    }
    let refused = Lac::new(world, from, 3).say(world);
    assert_eq!(refused, Vec::<Vec<u8>>::new());
    let stats = world.server.stats();
    assert_eq!((stats.tunnels_refused, stats.plain_established), (1, 3));
    assert_eq!(world.server.gauges().tunnels, 4 + 2);
}

#[test]
fn what_is_half_open_is_bounded_per_network_and_in_total() {
    let (mut scene, plain) = scene(905, |limits| {
        (limits.half_open, limits.half_open_per_network) = (12, 5);
    });
    let digest = scene.digest();
    for network in 1..6 {
        for port in 2000..2020 {
            let from = format!("10.8.{network}.9:{port}");
            Lac::new(&scene.world, &from, 1).say(&mut scene.world);
        }
        let gauges = scene.world.server.gauges();
        let most = (5 * network).min(12);
        assert_eq!(gauges.tunnels, 4 + most);
        assert_eq!(gauges.plain_peers, 1 + most);
    }
    let stats = scene.world.server.stats();
    assert_eq!(stats.tunnels_refused, 5 * 15);
    assert_eq!(stats.plain_half_open_dropped, 25 - 12);
    assert_eq!(scene.digest(), digest);
    // Somebody else still gets in.
    assert!(Lac::new(&scene.world, "10.7.0.1:1701", 1).connect(&mut scene.world));
    scene.all_answer();
    scene.world.run_for(4 * MINUTE);
    assert_eq!(scene.world.server.gauges().plain_peers, 1);
    assert_eq!(scene.world.state(plain).dials, 1);
}

#[test]
fn peers_are_bounded() {
    let (mut scene, _) = scene(906, |limits| limits.plain_peers = 3);
    let world = &mut scene.world;
    for (id, expected) in [(1, true), (2, true), (3, false)] {
        let from = format!("10.9.1.{id}:1701");
        assert_eq!(Lac::new(world, &from, 1).connect(world), expected, "{id}");
    }
    assert_eq!(world.server.stats().plain_refused, 1);
}

/// A repeated SCCRQ is the same tunnel, and one that nobody answers is given up.
#[test]
fn what_a_forged_address_gets_is_little() {
    let (mut scene, _) = scene(907, |_| {});
    let mut lac = Lac::new(&scene.world, "10.9.0.7:1701", 5);
    let sccrq = lac.tunnel.poll_transmit().unwrap();
    scene.world.capture = Some(Vec::new());
    for _ in 0..50 {
        send(&mut scene.world, lac.from, sccrq.clone());
        scene.world.run_for(Duration::from_millis(20));
    }
    assert_eq!(scene.world.server.gauges().tunnels, 4 + 1);
    scene.world.run_for(3 * MINUTE);
    assert_eq!(scene.world.server.gauges().tunnels, 4);
    let capture = scene.world.capture.take().unwrap();
    let back = capture
        .iter()
        .filter(|back| is_server(back.from) && back.to == lac.from);
    let bytes: usize = back.map(|back| back.payload.len()).sum();
    assert!(bytes <= 3 * 50 * sccrq.len(), "{bytes}");
    let sessions: Vec<SessionInfo> = scene.digest();
    assert!(matches!(adit_l2tp::decode(&sccrq), Ok(Packet::Control(_))) && sessions.len() == 4);
}
