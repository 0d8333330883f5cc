//! Many clients behind one address: none is taken for another, whatever they have in common, and
//! none pays for what its neighbour does.

use std::net::IpAddr;
use std::time::Duration;

use adit_client::profile::Profile;
use adit_crypto::Group;
use adit_server::SessionInfo;
use adit_tests::{ClientId, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);
const COUNT: usize = 20;

fn public() -> IpAddr {
    "198.51.100.9".parse().unwrap()
}

fn inside() -> IpAddr {
    "192.168.1.2".parse().unwrap()
}

/// Twenty households behind one carrier's address, all with the same address inside; one of them
/// speaks no NAT-T, and its ESP passes as protocol 50.
fn carrier(seed: u64) -> (World, Vec<ClientId>) {
    let mut config = setup::world(seed, COUNT);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        for profile in Profile::all() {
            ike.phase1.extend(profile.manner.phase1_proposals());
        }
        ike.phase1
            .sort_by_key(|proposal| proposal.group != Group::Ecp256);
    });
    let mut world = World::new(config);
    let profiles = Profile::all();
    let ids: Vec<_> = (0..COUNT)
        .map(|index| {
            let user = format!("user{index}");
            let mut client = setup::client_of(profiles[index % profiles.len()], &user);
            if index == COUNT - 1 {
                client = setup::client(&user);
                client.ike = World::changed(&client.ike, |ike| ike.nat_t = false);
            }
            let mut nat = Nat::new(public());
            nat.skip_ports(1_000 * index as u16);
            world.dial(client, inside(), Some(nat), false)
        })
        .collect();
    assert!(
        world.run_until(2 * MINUTE, |world| ids.iter().all(|id| up(world, *id))),
        "{:?}",
        world.server.stats()
    );
    world.run_for(Duration::from_secs(3));
    (world, ids)
}

/// Whether a client has what its kind asks for; Android asks for no IPv6, a router for no address.
fn up(world: &World, id: ClientId) -> bool {
    let state = world.state(id);
    let profiles = Profile::all();
    let profile = profiles[id.0 % profiles.len()];
    let ipv6 = id.0 == COUNT - 1 || profile.ipv6 && profile.host.advertisements;
    state.ipv4.is_some() && (!ipv6 || state.ipv6.is_some())
}

/// All sessions but those of some users, without what time and traffic change.
fn digest(world: &World, without: &[&str]) -> Vec<SessionInfo> {
    let others = |info: &SessionInfo| {
        let user = info.user.as_deref().unwrap_or_default();
        !without.contains(&user)
    };
    let mut infos = world.server.sessions(world.now());
    infos.retain(others);
    for info in &mut infos {
        info.connected_for = Duration::ZERO;
        (info.rx_bytes, info.tx_bytes) = (0, 0);
        (info.rx_packets, info.tx_packets) = (0, 0);
    }
    infos
}

/// One packet of each family there and back for each.
fn all_answer(world: &mut World, ids: &[ClientId]) {
    let echoes = |world: &World| -> Vec<_> {
        let states = ids.iter().map(|id| world.state(*id));
        states.map(|state| (state.echoes4, state.echoes6)).collect()
    };
    let before = echoes(world);
    let mut wanted = Vec::new();
    for (id, (v4, v6)) in ids.iter().zip(before) {
        world.ping(*id);
        wanted.push((v4 + 1, v6 + u32::from(world.state(*id).ipv6.is_some())));
    }
    world.run_for(Duration::from_secs(1));
    let states: Vec<_> = ids.iter().map(|id| &world.state(*id).down).collect();
    assert_eq!(echoes(world), wanted, "{states:?}");
}

#[test]
fn twenty_clients_with_one_address_and_one_without_nat_t() {
    let (mut world, ids) = carrier(700);
    let infos = digest(&world, &[]);
    assert_eq!(infos.len(), COUNT);
    assert!(infos.iter().all(|info| info.peer.ip() == public()));
    let native = infos.iter().filter(|info| info.encapsulation == "esp");
    assert_eq!(native.count(), 1);
    let behind = infos.iter().filter(|info| info.nat == "client");
    assert_eq!(behind.count(), COUNT - 1);
    let mut clients: Vec<_> = infos.iter().map(|info| info.client.as_str()).collect();
    clients.sort_unstable();
    clients.dedup();
    assert_eq!(
        clients,
        ["adit", "android", "apple", "linux", "unknown", "windows"]
    );
    // Two hours with every kind of rekeying, and everybody is where he was.
    for _ in 0..24 {
        world.run_for(5 * MINUTE);
        all_answer(&mut world, &ids);
    }
    assert_eq!(digest(&world, &[]), infos);
    let stats = world.server.stats();
    assert!(stats.child_established > 2 * COUNT as u64, "{stats:?}");
    assert_eq!((stats.endpoint_moved, stats.peers_dead), (0, 0));
}

#[test]
fn a_client_that_starts_anew_harms_no_neighbour() {
    let (mut world, ids) = carrier(701);
    for (index, id) in ids.iter().enumerate() {
        let user = format!("user{index}");
        let others = digest(&world, &[&user]);
        world.kill(*id);
        world.boot(*id);
        let id = *id;
        assert!(
            world.run_until(MINUTE, |world| up(world, id)),
            "{user}: {:?}",
            world.state(id)
        );
        world.run_for(Duration::from_secs(3));
        assert_eq!(digest(&world, &[&user]), others, "after {user}");
    }
    all_answer(&mut world, &ids);
    let gauges = world.server.gauges();
    assert_eq!(gauges.peers, COUNT);
    // Windows says no INITIAL-CONTACT, so what it lost is found out later.
    world.run_for(90 * MINUTE);
    all_answer(&mut world, &ids);
    let gauges = world.server.gauges();
    assert_eq!(
        (gauges.peers, gauges.sessions, gauges.tunnels),
        (COUNT, COUNT, COUNT)
    );
}

/// A NAT that gives other ports, or another address, is followed in IKE and in ESP, whichever
/// speaks first from there.
#[test]
fn rebound_clients_are_followed() {
    for (inner, old, new) in [
        ("192.168.1.2", "198.51.100.9", "198.51.100.77"),
        ("fd00::2", "2001:db8:9::9", "2001:db8:a::a"),
    ] {
        let inner: IpAddr = inner.parse().unwrap();
        let old: IpAddr = old.parse().unwrap();
        for to in [old, new.parse().unwrap()] {
            for esp_first in [true, false] {
                let mut config = setup::world(702, 2);
                setup::quiet_server(&mut config.server);
                let mut world = World::new(config);
                let client = setup::quiet_client("user0");
                let moving = world.dial(client, inner, Some(Nat::new(old)), false);
                let mut nat = Nat::new(old);
                nat.skip_ports(1_000);
                let mut neighbour = setup::client("user1");
                neighbour.l2tp =
                    World::changed(&neighbour.l2tp, |l2tp| l2tp.hello_idle = Duration::ZERO);
                neighbour.ppp.echo = None;
                let staying = world.dial(neighbour, inner, Some(nat), false);
                assert!(world.run_until_echoes(&[moving, staying], MINUTE));
                world.run_for(Duration::from_secs(3));
                let before = digest(&world, &[]);
                world.move_nat(moving, to);
                if !esp_first {
                    // Only IKE is heard from the new place: its SA is replaced.
                    world.drop_if = Some(Box::new(move |datagram| {
                        datagram.ike().is_none() && datagram.payload.len() > 1
                    }));
                    let established = world.server.stats().ike_established;
                    assert!(world.run_until(10 * MINUTE, |world| {
                        world.server.stats().ike_established > established
                    }));
                    world.drop_if = None;
                }
                all_answer(&mut world, &[moving, staying]);
                let after = digest(&world, &[]);
                assert_eq!(after[1], before[1]);
                assert_ne!(after[0].peer, before[0].peer);
                assert_eq!(after[0].peer.ip(), to);
                assert_eq!(after[0].id, before[0].id);
                world.run_for(60 * MINUTE);
                all_answer(&mut world, &[moving, staying]);
                let stats = world.server.stats();
                assert!(stats.ike_established >= 7, "{stats:?}");
                assert_eq!(stats.endpoint_moved, 1);
                assert_eq!(world.server.gauges().sessions, 2);
            }
        }
    }
}
