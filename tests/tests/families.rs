//! One family fails, is refused or begins anew in the middle of a session; the other one loses no packet.

use std::time::Duration;

use adit_tests::{ClientId, World, host, setup};
use adit_wire::ip::Family;

const MINUTE: Duration = Duration::from_secs(60);

fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}

/// A world whose one client is up in the families that it takes part in.
fn world(ipv4: bool, ipv6: bool) -> (World, ClientId) {
    let mut world = World::new(setup::world(720, 1));
    let mut client = setup::client("user0");
    (client.ppp.ipv4, client.ppp.ipv6) = (ipv4, ipv6);
    let id = world.dial(client, setup::address(0), None, false);
    let up = world.run_until(MINUTE, |world| {
        let state = world.state(id);
        (state.ipv4.is_some() || !ipv4) && (state.ipv6.is_some() || !ipv6)
    });
    assert!(up, "{:?}", world.state(id));
    world.run_for(Duration::from_secs(2));
    (world, id)
}

/// Packets of a family with sequence numbers, ten a second; every one has to come back, in its time.
fn never_pauses(world: &mut World, id: ClientId, family: Family, time: Duration) {
    let state = world.state(id);
    let (from, to) = match family {
        Family::V4 => (state.ipv4.unwrap().into(), host::HOST_V4.into()),
        Family::V6 => (state.ipv6.unwrap().into(), host::HOST_V6.into()),
    };
    for seq in 0..time.as_millis() as u64 / 100 {
        let payload = [b"number ".as_slice(), &seq.to_be_bytes()].concat();
        world.send_ip(id, &host::udp_packet(from, to, &payload));
        world.run_for(Duration::from_millis(100));
        let back = &world.state(id).last_packet;
        assert!(back.ends_with(&payload), "{family:?} lost number {seq}");
    }
}

/// Whether a packet of the family comes back.
fn passes(world: &mut World, id: ClientId, family: Family) -> bool {
    let count = |world: &World| match family {
        Family::V4 => world.state(id).echoes4,
        Family::V6 => world.state(id).echoes6,
    };
    let before = count(world);
    world.ping(id);
    world.run_for(Duration::from_millis(200));
    count(world) > before
}

fn ncp(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [0x80, 0x21],
        Family::V6 => [0x80, 0x57],
    }
}

fn states(world: &World) -> (String, String) {
    let info = &world.server.sessions(world.now())[0];
    (info.ipcp.clone(), info.ipv6cp.clone())
}

#[test]
fn a_family_that_the_client_refuses() {
    let (mut world, id) = world(true, false);
    never_pauses(&mut world, id, Family::V4, MINUTE);
    assert_eq!(states(&world), ("opened".into(), "rejected".into()));
    let (mut world, id) = self::world(false, true);
    never_pauses(&mut world, id, Family::V6, MINUTE);
    assert_eq!(states(&world), ("rejected".into(), "opened".into()));
    assert_eq!(world.server.gauges().routes, 1);
}

#[test]
fn a_family_that_begins_anew() {
    for family in [Family::V4, Family::V6] {
        let (mut world, id) = world(true, true);
        let [high, low] = ncp(family);
        let request: &[u8] = match family {
            Family::V4 => &[high, low, 1, 99, 0, 10, 3, 6, 0, 0, 0, 0],
            Family::V6 => &[high, low, 1, 99, 0, 14, 1, 10, 2, 0, 0, 0, 0, 0, 0, 9],
        };
        // Negotiated again; ended and begun again.
        for frame in [request, &[high, low, 5, 98, 0, 4]] {
            world.send_frame(id, frame);
            never_pauses(&mut world, id, other(family), Duration::from_secs(30));
            assert_eq!(states(&world), ("opened".into(), "opened".into()));
            assert!(passes(&mut world, id, family), "{family:?} is back");
            assert_eq!(world.server.gauges().sessions, 1);
        }
    }
}

#[test]
fn a_family_that_is_rejected_in_the_middle() {
    for family in [Family::V4, Family::V6] {
        let (mut world, id) = world(true, true);
        let [high, low] = ncp(family);
        world.send_frame(
            id,
            &[0xff, 3, 0xc0, 0x21, 8, 97, 0, 10, high, low, 1, 1, 0, 4],
        );
        never_pauses(&mut world, id, other(family), MINUTE);
        let expected = match family {
            Family::V4 => ("rejected", "opened"),
            Family::V6 => ("opened", "rejected"),
        };
        let (ipcp, ipv6cp) = states(&world);
        assert_eq!((ipcp.as_str(), ipv6cp.as_str()), expected);
        assert!(!passes(&mut world, id, family));
        assert_eq!(world.server.gauges().routes, 1);
        // It may begin again by itself.
        world.send_frame(id, &[high, low, 5, 96, 0, 4]);
        never_pauses(&mut world, id, other(family), Duration::from_secs(20));
    }
}
