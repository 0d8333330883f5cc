//! IKE SAs are replaced by either end while the ESP SAs and the session live on.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use adit_tests::{ClientId, Datagram, Link, Nat, World, WorldConfig, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
const MAIN: u8 = 2;
const QUICK: u8 = 32;
const INFORMATIONAL: u8 = 5;

/// IKE SAs live for half an hour, ESP SAs for as long as the client says.
fn short_lives(ike: &mut adit_ike::Config) {
    ike.phase1_lifetime = 30 * MINUTE;
}

fn world(seed: u64) -> WorldConfig {
    let mut config = setup::world(seed, 1);
    config.server.ike = World::changed(&config.server.ike, short_lives);
    config
}

/// A client that replaces its IKE SAs itself.
fn active() -> adit_client::Config {
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, short_lives);
    client
}

/// A client that leaves the replacement of IKE SAs to the server.
fn passive() -> adit_client::Config {
    adit_client::Config {
        rekey_ike: false,
        ..setup::client("user0")
    }
}

fn dial(
    world: &mut World,
    client: adit_client::Config,
    address: IpAddr,
    nat: Option<Nat>,
) -> ClientId {
    let id = world.dial(client, address, nat, false);
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?}",
        world.state(id)
    );
    world.run_for(Duration::from_secs(2));
    id
}

/// Lets time pass with a packet of each family now and then; none may be lost.
fn lives(world: &mut World, id: ClientId, time: Duration) {
    let before = (world.state(id).echoes4, world.state(id).echoes6);
    let step = Duration::from_secs(5);
    let steps = (time.as_secs() / step.as_secs()) as u32;
    for _ in 0..steps {
        world.ping(id);
        world.run_for(step);
    }
    let state = world.state(id);
    assert_eq!((state.down.clone(), state.dials), (None, 1));
    let answered = (state.echoes4 - before.0, state.echoes6 - before.1);
    assert_eq!(answered, (steps, steps), "{:?}", world.server.stats());
    let gauges = world.server.gauges();
    assert_eq!((gauges.peers, gauges.tunnels, gauges.sessions), (1, 1, 1));
    assert_eq!(world.server.sessions(world.now())[0].id.0, 1);
}

/// A message of main mode that the server starts.
fn starts(datagram: &Datagram) -> bool {
    let first = datagram
        .ike()
        .filter(|header| header.responder_cookie == [0; 8]);
    is_server(datagram.from) && first.is_some_and(|header| header.exchange == MAIN)
}

#[test]
fn the_server_replaces_what_its_client_does_not() {
    let inside: IpAddr = "192.168.1.2".parse().unwrap();
    let public = setup::address(9);
    let ways: [(IpAddr, Option<Nat>, bool); 5] = [
        (setup::address(0), None, true),
        (inside, Some(Nat::new(public)), true),
        ("2001:db8:1::7".parse().unwrap(), None, true),
        (
            "fd00::7".parse().unwrap(),
            Some(Nat::new("2001:db8:9::9".parse().unwrap())),
            true,
        ),
        (setup::address(0), None, false),
    ];
    for (seed, (address, nat, forced)) in (400..).zip(ways) {
        let mut config = world(seed);
        config.server.ike =
            World::changed(&config.server.ike, |ike| ike.force_encapsulation = forced);
        let mut world = World::new(config);
        let natted = nat.is_some();
        let id = dial(&mut world, passive(), address, nat);
        let before = world.server.sessions(world.now())[0].clone();
        lives(&mut world, id, 180 * MINUTE);
        let (stats, gauges) = (world.server.stats(), world.server.gauges());
        assert!((5..=7).contains(&stats.ike_rekeys_started), "{stats:?}");
        assert_eq!(stats.ike_rekeys_failed, 0);
        assert_eq!(stats.ike_established, 1 + stats.ike_rekeys_started);
        assert!(stats.child_rekeys_started + stats.child_established >= 3);
        assert_eq!((gauges.ike_sas, gauges.half_open), (1, 0));
        let info = &world.server.sessions(world.now())[0];
        assert_eq!(info.nat, if natted { "client" } else { "none" });
        assert_eq!((&info.client, &info.ike), (&before.client, &before.ike));
        assert_eq!(info.encapsulation, if forced { "udp" } else { "esp" });
        world.hang_up(id);
        world.run_for(2 * MINUTE);
        assert_eq!(world.held(), adit_server::Gauges::default());
    }
}

#[test]
fn a_client_that_does_not_answer_keeps_its_session() {
    let mut world = World::new(world(410));
    let id = dial(&mut world, passive(), setup::address(0), None);
    world.drop_if = Some(Box::new(starts));
    lives(&mut world, id, 180 * MINUTE);
    let stats = world.server.stats();
    // Three questions for each SA; then the client comes when it needs an IKE SA again.
    assert!(stats.ike_rekeys_started >= 9, "{stats:?}");
    assert_eq!(stats.ike_rekeys_failed, stats.ike_rekeys_started);
    assert!(stats.ike_established >= 3, "{stats:?}");
    assert!(world.server.gauges().ike_sas <= 1);
}

#[test]
fn a_server_without_an_answer_asks_again() {
    let mut world = World::new(world(411));
    let id = dial(&mut world, passive(), setup::address(0), None);
    // The first attempt vanishes whole.
    let cookie = Rc::new(Cell::new(None));
    world.drop_if = Some(Box::new(move |datagram| {
        let Some(header) = datagram.ike().filter(|_| starts(datagram)) else {
            return false;
        };
        let first = cookie.get().unwrap_or(header.initiator_cookie);
        cookie.set(Some(first));
        header.initiator_cookie == first
    }));
    lives(&mut world, id, 35 * MINUTE);
    let stats = world.server.stats();
    assert_eq!((stats.ike_rekeys_started, stats.ike_rekeys_failed), (2, 1));
    assert_eq!(
        (stats.ike_established, world.server.gauges().ike_sas),
        (2, 1)
    );
}

#[test]
fn a_client_that_moved_is_asked_where_it_is() {
    for (inside, public, moved) in [
        ("192.168.1.2", "198.51.100.9", "198.51.100.77"),
        ("fd00::2", "2001:db8:9::9", "2001:db8:a::a"),
    ] {
        let mut world = World::new(world(412));
        let nat = Nat::new(public.parse().unwrap());
        let id = dial(&mut world, passive(), inside.parse().unwrap(), Some(nat));
        world.move_nat(id, moved.parse().unwrap());
        world.capture = Some(Vec::new());
        lives(&mut world, id, 40 * MINUTE);
        let capture = world.capture.take().unwrap();
        let asked: Vec<_> = capture.iter().filter(|datagram| starts(datagram)).collect();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].to.ip(), moved.parse::<IpAddr>().unwrap());
        let info = &world.server.sessions(world.now())[0];
        assert_eq!(asked[0].to, info.peer);
        assert_eq!(world.server.stats().ike_established, 2);
    }
}

/// The client's own first messages vanish until the server starts too; then both go on at once.
#[test]
fn both_ends_at_once_lose_nothing() {
    for seed in 420..440 {
        let mut config = world(seed);
        config.server.ike = World::changed(&config.server.ike, |ike| {
            ike.esp_lifetime.seconds = 10 * MINUTE;
        });
        config.link = Link {
            jitter: Duration::from_millis(20),
            ..Link::CLEAN
        };
        let mut world = World::new(config);
        let id = dial(&mut world, active(), setup::address(0), None);
        let started = [Rc::new(Cell::new(false)), Rc::new(Cell::new(false))];
        world.drop_if = Some(Box::new(move |datagram| {
            let Some(header) = datagram.ike() else {
                return false;
            };
            let of_exchange = match header.exchange {
                MAIN => &started[0],
                QUICK => &started[1],
                _ => return false,
            };
            let by_server = is_server(datagram.from);
            of_exchange.set(of_exchange.get() || by_server);
            !by_server && !of_exchange.get()
        }));
        lives(&mut world, id, 100 * MINUTE);
        let (stats, gauges) = (world.server.stats(), world.server.gauges());
        assert!(stats.ike_rekeys_started >= 1, "{stats:?}");
        assert!(stats.ike_established >= 3, "{stats:?}");
        assert!(stats.child_rekeys_started >= 1, "{stats:?}");
        assert!(gauges.ike_sas <= 3 && gauges.esp_sas <= 8, "{gauges:?}");
        // Once the double one has ended, one is left.
        world.drop_if = None;
        lives(&mut world, id, 40 * MINUTE);
        assert!(world.server.gauges().ike_sas <= 2);
    }
}

/// Whichever single IKE message is lost, of either end's rekeying and of either phase, is repeated
/// or replaced, and no packet of the session with it.
#[test]
fn any_one_lost_message_costs_nothing() {
    for client_starts in [true, false] {
        let mut lost = 0;
        for nth in 0.. {
            let mut config = world(430);
            config.server.ike = World::changed(&config.server.ike, |ike| {
                ike.phase1_lifetime = 10 * MINUTE;
                ike.esp_lifetime.seconds = 12 * MINUTE;
            });
            let mut world = World::new(config);
            let mut client = adit_client::Config {
                rekey_ike: client_starts,
                ..active()
            };
            client.ike = World::changed(&client.ike, |ike| {
                ike.phase1_lifetime = 10 * MINUTE;
                ike.esp_lifetime.seconds = 12 * MINUTE;
            });
            let id = dial(&mut world, client, setup::address(0), None);
            let seen = Rc::new(Cell::new(0));
            let counter = Rc::clone(&seen);
            world.drop_if = Some(Box::new(move |datagram| {
                let of_rekeying = |exchange| matches!(exchange, MAIN | QUICK | INFORMATIONAL);
                let counts = datagram
                    .ike()
                    .is_some_and(|header| of_rekeying(header.exchange));
                counter.set(counter.get() + u32::from(counts));
                counts && counter.get() == nth + 1
            }));
            lives(&mut world, id, 30 * MINUTE);
            let stats = world.server.stats();
            assert!(stats.ike_established >= 3, "{nth}: {stats:?}");
            assert!(stats.child_established >= 3, "{nth}: {stats:?}");
            assert_eq!(stats.peers_dead, 0);
            assert_eq!(
                stats.ike_rekeys_started > 0,
                !client_starts,
                "{nth}: {stats:?}"
            );
            if seen.get() <= nth {
                break;
            }
            lost += 1;
        }
        assert!(lost >= 12, "{lost}");
    }
}
