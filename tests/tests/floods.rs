//! Floods of unauthenticated messages are bounded, and nobody is made to answer more than was sent.

use std::net::SocketAddr;
use std::time::Duration;

use adit_crypto::Rng;
use adit_ike::{IdValue, IkeSa, Opening};
use adit_tests::{Datagram, World, setup};
use adit_wire::{Channel, Path};

const MINUTE: Duration = Duration::from_secs(60);

/// A well-formed first message of main mode, with cookies of its own.
fn first_message(world: &World, from: SocketAddr, seed: u64) -> Datagram {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let to = SocketAddr::from((World::SERVER_V4, 500));
    let path = Path {
        channel: Channel::Ike,
        local: from,
        remote: to,
    };
    let mut sa = IkeSa::initiate(
        &setup::client("nobody").ike,
        &setup::credentials("whatever"),
        path,
        from,
        Opening::main(IdValue::Ipv4([192, 0, 2, 1].into())),
        world.now(),
        &mut Rng::from_seed(bytes),
    );
    let payload = sa.poll_transmit().expect("a first message").payload;
    Datagram { from, to, payload }
}

#[test]
fn a_silent_stranger_is_answered_once() {
    let mut world = World::new(setup::world(30, 1));
    world.capture = Some(Vec::new());
    let stranger = "192.0.2.66:500".parse().unwrap();
    let message = first_message(&world, stranger, 1);
    let sent = message.payload.len();
    world.inject(message.clone());
    world.run_for(2 * MINUTE);
    let answered = |world: &World| -> Vec<usize> {
        let capture = world.capture.as_ref().unwrap().iter();
        capture
            .filter(|datagram| datagram.to == stranger)
            .map(|datagram| datagram.payload.len())
            .collect()
    };
    let answers = answered(&world);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0] <= 3 * sent, "{answers:?} to {sent}");
    assert_eq!(world.server.gauges().half_open, 0);

    // Repeating it gets the same answer again, but never more of them than it was sent.
    for _ in 0..50 {
        world.inject(message.clone());
    }
    world.run_for(2 * MINUTE);
    assert!(answered(&world).len() <= 51);
}

#[test]
fn a_flood_from_one_network_leaves_room_for_others() {
    let mut world = World::new(setup::world(31, 1));
    let limits = setup::server().limits;
    for index in 0..2_000_u16 {
        let from = SocketAddr::from(([192, 0, 2, index.to_be_bytes()[1]], 1_000 + index));
        let message = first_message(&world, from, u64::from(index));
        world.inject(message);
    }
    world.run_for(Duration::from_secs(1));
    let (gauges, stats) = (world.server.gauges(), world.server.stats());
    assert_eq!(gauges.half_open, limits.half_open_per_network);
    assert_eq!(
        stats.ike_network_full as usize,
        2_000 - limits.half_open_per_network
    );
    assert_eq!(stats.ike_half_open_dropped, 0);

    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?}",
        world.server.stats()
    );
}

#[test]
fn a_flood_from_everywhere_pushes_nobody_out() {
    let mut config = setup::world(32, 1);
    config.server.limits.half_open = 50;
    let mut world = World::new(config);
    for index in 0..100_u8 {
        let from = SocketAddr::from(([192, index, 2, 1], 500));
        let message = first_message(&world, from, u64::from(index));
        world.inject(message);
    }
    world.run_for(Duration::from_secs(1));
    // Of the first ones the exchanges are kept, the others were answered as well.
    assert_eq!(world.server.gauges().half_open, 25);
    let stats = world.server.stats();
    assert_eq!((stats.ike_unkept, stats.ike_half_open_dropped), (75, 0));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?}",
        world.server.stats()
    );
    assert_eq!(world.server.stats().ike_half_open_dropped, 0);
}

/// Many more than are kept begin while a client's answers are on their way.
#[test]
fn a_client_connects_during_a_flood_from_everywhere() {
    let mut config = setup::world(33, 1);
    config.server.limits.half_open = 50;
    let mut world = World::new(config);
    let template = first_message(&world, "192.0.2.1:500".parse().unwrap(), 1);
    let mut forged = 0_u32;
    let mut flood = |world: &mut World| {
        for _ in 0..5 {
            forged += 1;
            let [a, b, c, _] = (forged << 8).to_be_bytes();
            let mut message = template.clone();
            message.from = SocketAddr::from(([100 + a, b, c, 1], 500));
            message.payload[..4].copy_from_slice(&forged.to_be_bytes());
            world.inject(message);
        }
        world.run_for(Duration::from_millis(1));
    };
    for _ in 0..100 {
        flood(&mut world);
    }
    assert_eq!(world.server.gauges().half_open, 25);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    let mut waited = 0;
    while world.server.gauges().sessions == 0 {
        flood(&mut world);
        waited += 1;
        assert!(waited < 20_000, "{:?}", world.server.stats());
    }
    assert!(world.run_until_echoes(&[id], MINUTE));
    let stats = world.server.stats();
    assert!(stats.ike_unkept > 400, "{stats:?}");
    assert_eq!(stats.ike_half_open_dropped, 0);
    assert_eq!(stats.ike_established, 1);
}

/// Whoever does not hear the answers cannot make the server keep anything, nor send much anywhere.
#[test]
fn answers_that_are_not_kept_are_bounded_too() {
    let mut config = setup::world(34, 1);
    config.server.limits.half_open = 2;
    let mut world = World::new(config);
    world.capture = Some(Vec::new());
    let template = first_message(&world, "192.0.2.1:500".parse().unwrap(), 1);
    let victim = |host: u16| SocketAddr::from(([198, 18, 7, host.to_be_bytes()[1]], 500));
    for number in 0..1_000_u16 {
        let mut message = template.clone();
        message.from = victim(number);
        message.payload[..2].copy_from_slice(&number.to_be_bytes());
        world.inject(message.clone());
        // The third message of somebody who guesses the cookie
        message.payload[8..16].copy_from_slice(&[number.to_be_bytes()[1], 7, 7, 7, 7, 7, 7, 7]);
        world.inject(message);
    }
    world.run_for(Duration::from_millis(500));
    let capture = world.capture.as_ref().unwrap().iter();
    let hosts: Vec<_> = (0..256).map(victim).collect();
    let reflected = capture.filter(|datagram| hosts.contains(&datagram.to));
    assert_eq!(reflected.count(), 1 + 32);
    let stats = world.server.stats();
    assert_eq!(world.server.gauges().half_open, 1);
    assert_eq!(stats.ike_unkept + stats.ike_unanswered, 999);
    assert_eq!(stats.ike_unkept, 32);
    assert_eq!(stats.ike_unknown_cookie, 1_000);
}
