//! Packets that are too big for a session's link: cut where that is allowed, refused where not.

use std::net::IpAddr;
use std::time::Duration;

use adit_tests::{HOST_V4, HOST_V6, World, setup, udp_packet};

const MINUTE: Duration = Duration::from_secs(60);

/// A UDP packet from the host to `to` of `length` bytes in all.
fn packet(to: IpAddr, length: usize) -> Vec<u8> {
    let (from, header): (IpAddr, _) = match to {
        IpAddr::V4(_) => (HOST_V4.into(), 28),
        IpAddr::V6(_) => (HOST_V6.into(), 48),
    };
    udp_packet(from, to, &vec![7; length - header])
}

#[test]
fn the_link_mtu_is_exact_in_both_families() {
    let mut world = World::new(setup::world(50, 1));
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    let mtu = usize::from(world.server.sessions(world.now())[0].mtu);
    let state = world.state(id).clone();
    let (ipv4, ipv6) = (state.ipv4.unwrap(), state.ipv6.unwrap());

    for to in [IpAddr::from(ipv4), ipv6.into()] {
        let before = world.server.stats();
        world.to_tun(&packet(to, mtu));
        assert_eq!(world.server.stats().ip_out, before.ip_out + 1, "{to}");
    }
    world.run_for(Duration::from_secs(1));
    let largest = world.capture.as_ref().unwrap().iter();
    let largest = largest
        .map(|datagram| datagram.payload.len())
        .max()
        .unwrap();
    assert!(
        largest + 28 <= 1500,
        "an outer packet of {} bytes",
        largest + 28
    );

    // One byte more: IPv6 is never cut, IPv4 only without Don't Fragment.
    let before = world.server.stats();
    world.to_tun(&packet(ipv6.into(), mtu + 1));
    let mut whole = packet(ipv4.into(), mtu + 1);
    whole[6] |= 0x40;
    world.to_tun(&whole);
    let after = world.server.stats();
    assert_eq!(after.too_big, before.too_big + 2);
    assert_eq!(after.ip_out, before.ip_out);

    let echoes = world.state(id).echoes4;
    world.to_tun(&packet(ipv4.into(), mtu + 1));
    world.run_for(Duration::from_secs(1));
    let stats = world.server.stats();
    assert_eq!((stats.cut, stats.ip_out), (after.cut + 1, after.ip_out + 2));
    assert_eq!(
        world.state(id).echoes4,
        echoes + 2,
        "both parts reach the client"
    );
}
