//! A server whose packets are carried by several workers is, for its clients, the server of one: each
//! worker has the SPIs of its own, packets from TUN come to any of them, and the control side hears of
//! a packet when all others of the moment have been carried.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use adit_server::{Gauges, SessionInfo};
use adit_tests::{ClientId, HOST_V4, Nat, Router, World, WorldConfig, setup, udp_packet};
use adit_wire::Mark;

const MINUTE: Duration = Duration::from_secs(60);

fn config(seed: u64, users: usize, workers: u16) -> WorldConfig {
    let mut config = setup::world(seed, users);
    config.server.workers = workers;
    config
}

fn short_lives(ike: &mut adit_ike::Config) {
    ike.esp_lifetime.seconds = 10 * MINUTE;
    ike.phase1_lifetime = 30 * MINUTE;
}

/// All sessions, without what is drawn at random and what time changes.
fn digest(world: &World) -> Vec<SessionInfo> {
    let mut infos = world.server.sessions(world.now());
    for info in &mut infos {
        info.connected_for = Duration::ZERO;
    }
    infos
}

/// Echoes of both families, and how often it has dialled.
type Seen = (u32, u32, u32);

fn seen(world: &World, ids: &[ClientId]) -> Vec<Seen> {
    let states = ids.iter().map(|id| world.state(*id));
    states
        .map(|state| (state.echoes4, state.echoes6, state.dials))
        .collect()
}

/// Sessions of clients of all kinds, which replace their SAs and lose their NAT's mappings while they
/// have traffic.
fn life(workers: u16) -> (Vec<SessionInfo>, Vec<Seen>, Gauges, [u64; 6]) {
    const COUNT: usize = 9;
    let mut config = config(900, COUNT + 1, workers);
    config.server.ike = World::changed(&config.server.ike, short_lives);
    config.server.plain = setup::plain(&["10.9.0.0/16"]);
    let mut world = World::new(config);
    let mut ids = Vec::new();
    for index in 0..COUNT {
        let mut client = setup::client(&format!("user{index}"));
        client.ike = World::changed(&client.ike, short_lives);
        // Two of three share the public address of a NAT, and so have ESP in UDP.
        let mut nat = Nat::new([203, 0, 114, 9].into());
        nat.skip_ports(1_000 * index as u16);
        let nat = (index % 3 != 0).then_some(nat);
        ids.push(world.dial(client, setup::address(index), nat, false));
    }
    let plain = setup::client(&format!("user{COUNT}"));
    ids.push(world.dial_plain(plain, "10.9.0.2:1701".parse().unwrap(), false));
    assert!(world.run_until_echoes(&ids, MINUTE), "{workers} workers");
    assert!(
        world.elapsed() < Duration::from_secs(3),
        "{workers} workers: what came early was lost, and said again after {:?}",
        world.elapsed()
    );
    world.run_for(Duration::from_secs(10));
    let before = seen(&world, &ids);
    let pings: u32 = 35 * 60 / 5;
    for round in 0..pings {
        for id in &ids {
            world.ping(*id);
        }
        world.run_for(Duration::from_secs(5));
        // When nothing is under way.
        if round == 100 {
            world.rebind(ids[1]);
        }
    }
    let after = seen(&world, &ids);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((after.0 - before.0, after.1 - before.1), (pings, pings));
    }
    let stats = world.server.stats();
    assert!(stats.child_established > 3 * COUNT as u64, "{stats:?}");
    let counted = [
        stats.ip_in,
        stats.ip_out,
        stats.endpoint_moved,
        stats.esp_unknown_spi,
        stats.l2tp_unknown,
        stats.ip_not_open,
    ];
    let several = workers > 1;
    assert_eq!(world.handed.1 > 0, several, "{:?}", world.handed);
    assert_eq!(world.handed.0, 0, "the SPI says the worker");
    (digest(&world), after, world.held(), counted)
}

#[test]
fn one_worker_or_four_serve_alike() {
    let expected = life(0);
    for workers in [1, 4] {
        assert_eq!(life(workers), expected, "{workers} workers");
    }
}

const EIGHT: usize = 8;

/// So many clients with ESP in UDP, two for each of four workers.
fn eight(world: &mut World) -> Vec<ClientId> {
    let ids: Vec<_> = (0..EIGHT)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            let nat = Nat::new([203, 0, 114, index as u8].into());
            world.dial(client, setup::address(index), Some(nat), false)
        })
        .collect();
    assert!(world.run_until_echoes(&ids, MINUTE));
    ids
}

#[test]
fn new_clients_are_spread_evenly() {
    let mark = Mark::new(*b"twelve bytes");
    let mut config = config(901, EIGHT, 4);
    config.server.ike = World::changed(&config.server.ike, |ike| ike.mark = Some(mark));
    let mut world = World::new(config);
    world.capture = Some(Vec::new());
    eight(&mut world);
    let captured = world.capture.take().unwrap();
    let spis: BTreeSet<u32> = captured
        .iter()
        .filter(|datagram| adit_tests::is_server(datagram.to) && datagram.to.port() == 4500)
        .filter_map(|datagram| datagram.payload.first_chunk())
        .map(|spi| u32::from_be_bytes(*spi))
        .filter(|spi| *spi != 0)
        .collect();
    assert_eq!(spis.len(), 8);
    for worker in 0..4 {
        let own = spis.iter().filter(|spi| *spi % 4 == worker);
        assert_eq!(own.count(), 2, "worker {worker}: {spis:x?}");
    }
    let unmarked = spis.iter().filter(|spi| mark.spi(**spi) != **spi);
    assert_eq!(unmarked.count(), 0, "{spis:x?}");
    world.shut_down();
    world.run_for(MINUTE);
    assert!(world.server.is_stopped());
    assert_eq!(world.held(), Gauges::default());
}

/// Any socket of a group may hear what a router says, and every session is found wherever it is.
#[test]
fn a_narrow_path_is_known_to_the_worker_of_its_session() {
    for quotes in [8, 0] {
        let mut world = World::new(config(907, EIGHT, 4));
        let ids = eight(&mut world);
        world.run_for(Duration::from_secs(10));
        let wide = world.server.sessions(world.now())[0].mtu;
        world.router = Some(Router {
            mtu: 1400,
            quotes,
            tells: true,
        });
        let send = |world: &mut World, id: ClientId, mtu: u16| {
            let to = world.state(id).ipv4.expect("an address");
            let payload = vec![7; usize::from(mtu) - 28];
            let mut packet = udp_packet(HOST_V4.into(), to.into(), &payload);
            // Not to be cut.
            packet[6] |= 0x40;
            world.to_tun(&packet);
            world.run_for(Duration::from_secs(1));
            world.state(id).last_packet == packet
        };
        let mtus = |world: &World| -> Vec<u16> {
            let infos = world.server.sessions(world.now());
            infos.iter().map(|info| info.mtu).collect()
        };
        for (index, id) in ids.iter().enumerate() {
            assert!(!send(&mut world, *id, wide), "{quotes}: too big");
            let narrow = mtus(&world).iter().filter(|mtu| **mtu < wide).count();
            assert_eq!(narrow, index + 1, "{quotes}: this session and no other");
        }
        let narrow = mtus(&world)[0];
        assert_eq!(mtus(&world), [narrow; EIGHT], "{quotes}");
        for id in ids {
            assert!(send(&mut world, id, narrow), "{quotes}");
            assert!(!send(&mut world, id, narrow + 1), "{quotes}");
        }
        let stats = world.server.stats();
        let counted = (stats.path_mtu_lowered, stats.too_big, world.no_room);
        assert_eq!(counted, (EIGHT as u64, EIGHT as u64, EIGHT as u64));
    }
}

/// A client that moved makes new SAs before anything of the old ones comes from where it is, so they
/// may say another worker; when the two turn out to be one, the session goes on, and the newer SAs are
/// carried by the worker that has it.
#[test]
fn what_turns_out_to_be_one_peer_is_carried_by_one_worker() {
    let mut across = 0;
    for seed in 902..906 {
        let mut config = config(seed, 2, 4);
        setup::quiet_server(&mut config.server);
        let mut world = World::new(config);
        let client = setup::quiet_client("user0");
        let nat = Nat::new([198, 51, 100, 9].into());
        let id = world.dial(client, [192, 168, 1, 2].into(), Some(nat), false);
        assert!(world.run_until_echoes(&[id], MINUTE));
        world.run_for(Duration::from_secs(3));
        let to = IpAddr::from([198, 51, 100, 77]);
        world.move_nat(id, to);
        // Only IKE is heard from the new place: its SA is replaced, and so are those of ESP.
        world.drop_if = Some(Box::new(|datagram| {
            datagram.ike().is_none() && datagram.payload.len() > 1
        }));
        let established = world.server.stats().child_established;
        assert!(world.run_until(20 * MINUTE, |world| {
            world.server.stats().child_established > established
        }));
        world.drop_if = None;
        let mut pings = 0;
        while pings < 600 {
            pings += 1;
            world.ping(id);
            world.run_for(Duration::from_secs(3));
        }
        let state = world.state(id);
        assert_eq!((state.down.clone(), state.dials), (None, 1), "seed {seed}");
        assert!(
            state.echoes4 >= pings && state.echoes6 >= pings,
            "seed {seed}: {state:?}"
        );
        let info = &world.server.sessions(world.now())[0];
        assert_eq!((info.id.0, info.peer.ip()), (1, to), "seed {seed}");
        let gauges = world.server.gauges();
        assert_eq!((gauges.peers, gauges.sessions), (1, 1), "seed {seed}");
        assert_eq!(world.server.stats().esp_unknown_spi, 0, "seed {seed}");
        across += usize::from(world.handed.0 > 0);
    }
    assert!(across > 0, "in no run the SAs said another worker");
}
