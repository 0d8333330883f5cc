//! SAs of both phases are replaced while traffic flows, and no packet is lost by it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use adit_tests::{ClientId, World, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
const MAIN: u8 = 2;
const QUICK: u8 = 32;

/// ESP SAs live for ten minutes and IKE SAs for thirty, in the view of both ends.
fn short_lives(ike: &mut adit_ike::Config) {
    ike.esp_lifetime.seconds = 10 * MINUTE;
    ike.phase1_lifetime = 30 * MINUTE;
}

#[test]
fn three_hours_of_rekeying_lose_no_packet() {
    let mut config = setup::world(40, 1);
    config.server.ike = World::changed(&config.server.ike, short_lives);
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, short_lives);
    let id = world.dial(client, setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.run_for(5 * Duration::from_secs(1));

    let before = (world.state(id).echoes4, world.state(id).echoes6);
    let pings = 180 * 60 / 2;
    for _ in 0..pings {
        world.ping(id);
        world.run_for(Duration::from_secs(2));
    }
    let state = world.state(id);
    assert_eq!(state.down, None);
    assert_eq!(state.dials, 1);
    assert_eq!(
        (state.echoes4 - before.0, state.echoes6 - before.1),
        (pings, pings)
    );

    let (stats, gauges) = (world.server.stats(), world.server.gauges());
    assert!(stats.child_established >= 18, "{stats:?}");
    assert!(stats.ike_established >= 6, "{stats:?}");
    assert!(
        stats.child_rekeys_started >= 3,
        "both ends rekey: {stats:?}"
    );
    assert_eq!((gauges.peers, gauges.tunnels, gauges.sessions), (1, 1, 1));
    assert!(gauges.esp_sas <= 8 && gauges.ike_sas <= 2, "{gauges:?}");
    assert_eq!(world.server.sessions(world.now())[0].id.0, 1);
}

#[test]
fn a_worn_sa_is_replaced_by_volume() {
    let mut config = setup::world(41, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        ike.esp_lifetime.kilobytes = Some(100);
    });
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    download(&mut world, id, 50, |_| {});
    let stats = world.server.stats();
    assert!(stats.child_established >= 10, "{stats:?}");
    assert!(stats.child_rekeys_started >= 5, "both ends do: {stats:?}");
    assert_eq!(stats.no_sa, 0, "{stats:?}");
    assert!(world.state(id).echoes4 > 1_000);
}

/// 20 packets of 1000 bytes a second to the client.
fn download(world: &mut World, id: ClientId, seconds: u32, each: impl Fn(&World)) {
    let to = world.state(id).ipv4.unwrap();
    for _ in 0..seconds * 20 {
        let packet = adit_tests::udp_packet(adit_tests::HOST_V4.into(), to.into(), &[7; 1000]);
        world.to_tun(&packet);
        each(world);
        world.run_for(Duration::from_millis(50));
    }
}

/// Networks reorder, and a peer that reads a Quick Mode before the last message of its main mode can
/// make nothing of it, now or when it is repeated.
#[test]
fn a_quick_mode_leaves_time_to_read_the_end_of_main_mode() {
    let mut config = setup::world(42, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        ike.esp_lifetime.kilobytes = Some(100);
    });
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, |ike| ike.phase1_lifetime = MINUTE);
    let id = world.dial(client, setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));

    let now = Rc::new(Cell::new(world.now()));
    let shortest = Rc::new(Cell::new(MINUTE));
    let (clock, found) = (Rc::clone(&now), Rc::clone(&shortest));
    let (mut ended, mut asked) = (HashMap::new(), HashSet::new());
    world.drop_if = Some(Box::new(move |datagram| {
        if let Some(header) = datagram.ike() {
            let sa = header.initiator_cookie;
            match (header.exchange, is_server(datagram.from)) {
                (MAIN, true) => drop(ended.insert(sa, clock.get())),
                (QUICK, false) => drop(asked.insert((sa, header.message_id))),
                (QUICK, true) if asked.insert((sa, header.message_id)) => {
                    if let Some(end) = ended.get(&sa) {
                        found.set(found.get().min(clock.get() - *end));
                    }
                }
                _ => {}
            }
        }
        false
    }));
    download(&mut world, id, 20 * 60, |world| now.set(world.now()));
    let stats = world.server.stats();
    assert!(stats.ike_established >= 20, "{stats:?}");
    assert!(stats.child_rekeys_started >= 20, "{stats:?}");
    assert_eq!(stats.no_sa, 0, "{stats:?}");
    // Less the step in which the clock is read.
    let settled = Duration::from_millis(1_900);
    assert!(shortest.get() >= settled, "{:?}", shortest.get());
    assert!(shortest.get() < MINUTE / 2, "{:?}", shortest.get());
}

#[test]
fn a_worn_sa_whose_quick_mode_failed_is_tried_again() {
    let mut config = setup::world(43, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        // What is left when it wants to be replaced is to last for minutes.
        ike.esp_lifetime.kilobytes = Some(1000);
    });
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.drop_if = Some(Box::new(|datagram| {
        datagram
            .ike()
            .is_some_and(|header| header.exchange == QUICK)
    }));
    while world.server.stats().child_rekeys_started == 0 {
        download(&mut world, id, 1, |_| {});
    }
    world.run_for(5 * MINUTE);
    let stats = world.server.stats();
    assert_eq!(stats.child_established, 1, "{stats:?}");
    assert!(stats.child_rekeys_started >= 2, "{stats:?}");

    // Only what the server starts gets through.
    let mut started = HashSet::new();
    world.drop_if = Some(Box::new(move |datagram| {
        let Some(header) = datagram.ike().filter(|header| header.exchange == QUICK) else {
            return false;
        };
        if is_server(datagram.from) {
            started.insert(header.message_id);
        }
        !started.contains(&header.message_id)
    }));
    world.run_for(2 * MINUTE);
    assert_eq!(world.server.stats().child_established, 2);
    download(&mut world, id, 1, |_| {});
    assert_eq!(world.server.stats().no_sa, 0);
}
