//! Failed logins: who guesses is slowed down, and nobody else is.

use std::net::IpAddr;
use std::time::Duration;

use adit_ppp::Secret;
use adit_tests::{ClientId, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A client of `user` that knows another password, and dials again and again.
fn fool(world: &mut World, user: &str, address: IpAddr, nat: Option<Nat>) -> ClientId {
    let mut client = setup::client(user);
    client.ppp.password = Secret::new(b"not this one");
    world.dial(client, address, nat, true)
}

fn is_up(world: &World, id: ClientId) -> bool {
    let state = world.state(id);
    state.ipv4.is_some() && state.ipv6.is_some()
}

/// How long a client takes.
fn dial(world: &mut World, user: &str, address: IpAddr, nat: Option<Nat>) -> (ClientId, Duration) {
    let before = world.elapsed();
    let id = world.dial(setup::client(user), address, nat, false);
    assert!(
        world.run_until(MINUTE, |world| is_up(world, id)),
        "{user}: {:?} {:?}",
        world.state(id).events,
        world.server.stats()
    );
    (id, world.elapsed() - before)
}

#[test]
fn one_fool_behind_a_nat_harms_nobody() {
    let mut world = World::new(setup::world(401, 4));
    // Ports of the one NAT, some for each client.
    let nat = |client: u16| {
        let mut nat = Nat::new("198.51.100.9".parse().unwrap());
        nat.skip_ports(1_000 * client);
        Some(nat)
    };
    let inside = |last: u8| IpAddr::from([192, 168, 1, last]);
    let (_, quiet) = dial(&mut world, "user3", inside(3), nat(3));

    fool(&mut world, "user0", inside(66), nat(6));
    world.run_for(10 * MINUTE);
    let stats = world.server.stats();
    assert!(stats.auth_throttled > 20, "{stats:?}");
    // Ten at once, and one a minute.
    assert!((10..=21).contains(&stats.auth_rejected), "{stats:?}");

    // The neighbour is let in as fast as before, and so is the user from elsewhere.
    let (_, time) = dial(&mut world, "user1", inside(2), nat(2));
    assert!(time <= 2 * quiet, "{time:?} {quiet:?}");
    dial(&mut world, "user0", setup::address(1), None);
    // From the fool's own network with the right password: not while the fool goes on.
    let id = world.dial(setup::client("user0"), inside(4), nat(4), false);
    assert!(
        world.run_until(MINUTE, |world| world.state(id).down.is_some()
            || is_up(world, id))
    );
    assert!(!is_up(&world, id), "the password was looked at");
    assert!(world.server.stats().auth_throttled > stats.auth_throttled);
}

#[test]
fn a_user_who_was_in_before_gets_in_again_whatever_strangers_do() {
    let mut world = World::new(setup::world(402, 3));
    let home = setup::address(40_000);
    let (id, _) = dial(&mut world, "user0", home, None);
    world.hang_up(id);
    world.run_for(MINUTE);
    // Guesses from thirty networks, and from the neighbours of home.
    for index in 0..30_u32 {
        fool(
            &mut world,
            "user0",
            setup::address(index as usize * 256),
            None,
        );
    }
    let IpAddr::V4(own) = home else {
        unreachable!()
    };
    let [a, b, c, d] = own.octets();
    fool(
        &mut world,
        "user1",
        IpAddr::from([a, b, c, d.wrapping_add(1)]),
        None,
    );
    world.run_for(Duration::from_secs(125));
    let stats = world.server.stats();
    assert!(stats.auth_throttled > 100, "{stats:?}");
    // From a place where the user never was, it takes patience now.
    let away = world.dial(setup::client("user0"), setup::address(60_000), None, false);
    assert!(
        world.run_until(MINUTE, |world| world.state(away).down.is_some()),
        "{:?} {:?}",
        world.state(away).events,
        world.server.stats()
    );
    world.boot(id);
    assert!(world.run_until(MINUTE, |world| is_up(world, id)));
    dial(&mut world, "user2", setup::address(1), None);
}
