//! The whole server: datagrams from outside, and what an authenticated peer can put into its SA.

use std::net::SocketAddr;
use std::time::Duration;

use adit_tests::{Datagram, World, setup};

use crate::inputs::messages;

const OUTSIDE: [&str; 2] = ["198.51.100.7:4500", "192.0.2.66:500"];

/// A server with one session gets datagrams from strangers and from the session's own address.
/// The session must live on.
pub fn server_outside(data: &[u8]) {
    let mut world = World::new(setup::world(1, 1));
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(60)));
    for (index, message) in messages(data).enumerate() {
        let own = SocketAddr::new(setup::address(0), 4500);
        let from = match index % 3 {
            2 => own,
            stranger => OUTSIDE[stranger].parse().expect("an address"),
        };
        let port = if index % 2 == 0 { 4500 } else { 500 };
        world.inject(Datagram {
            from,
            to: (World::SERVER_V4, port).into(),
            payload: message.to_vec(),
        });
    }
    world.run_for(Duration::from_secs(2));
    let before = world.state(id).echoes6;
    world.ping(id);
    world.run_for(Duration::from_secs(2));
    assert!(world.state(id).echoes6 > before, "the session died");
}

/// Two sessions; the first puts anything into its SA: L2TP control and data, PPP, IP. The second
/// must not notice.
pub fn server_inside(data: &[u8]) {
    let mut world = World::new(setup::world(2, 2));
    let hostile = world.dial(setup::client("user0"), setup::address(0), None, false);
    let bystander = world.dial(setup::client("user1"), setup::address(1), None, false);
    assert!(world.run_until_echoes(&[hostile, bystander], Duration::from_secs(60)));
    for (index, message) in messages(data).enumerate() {
        if index % 2 == 0 {
            world.send_l2tp(hostile, message);
        } else {
            world.send_frame(hostile, message);
        }
    }
    world.run_for(Duration::from_secs(2));
    let before = world.state(bystander).echoes6;
    world.ping(bystander);
    world.run_for(Duration::from_secs(2));
    assert!(
        world.state(bystander).echoes6 > before,
        "the other session died"
    );
}
