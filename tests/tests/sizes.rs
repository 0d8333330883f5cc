//! Packets that are too big for a session's link: cut where that is allowed, refused where not.

use std::net::IpAddr;
use std::time::Duration;

use adit_crypto::{EspCipher, EspMac, EspSuite};
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

/// The suite that leaves the most room, and the one that leaves the least.
const LEAN: (EspCipher, Option<EspMac>) = (EspCipher::AesGcm256, None);
const FAT: (EspCipher, Option<EspMac>) = (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256));

#[test]
fn the_mtu_follows_the_sas_at_once() {
    let short = |ike: &mut adit_ike::Config, (cipher, mac): (EspCipher, _)| {
        ike.esp = vec![EspSuite::new(cipher, mac).unwrap()];
        ike.esp_lifetime.seconds = 10 * MINUTE;
        ike.phase1_lifetime = 30 * MINUTE;
    };
    let mut config = setup::world(51, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        short(ike, LEAN);
        ike.esp.push(EspSuite::new(FAT.0, FAT.1).unwrap());
    });
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, |ike| short(ike, LEAN));
    let (lean, fat) = (
        client.ike.clone(),
        World::changed(&client.ike, |ike| short(ike, FAT)),
    );
    let id = world.dial(client, setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));

    let session = |world: &World| world.server.sessions(world.now())[0].clone();
    let before = session(&world);
    assert_eq!(before.esp.as_deref(), Some("AES-GCM-256"));
    // 1500 - 20 IP - 8 UDP - 8 ESP - 8 IV - 16 ICV - 2 trailer - 8 UDP - 8 L2TP - 4 PPP.
    assert_eq!(before.mtu, 1418);
    assert_eq!(world.state(id).mtu, Some(1418));

    // 1500 - 20 IP - 8 UDP - 8 ESP - 16 IV - 32 ICV - 2 trailer - 20, in blocks of 16.
    for (policy, mtu, esp) in [
        (fat, 1386, "AES-CBC-256/HMAC-SHA2-512-256"),
        (lean, 1418, "AES-GCM-256"),
    ] {
        world.set_ike_policy(id, policy);
        let changed = |world: &World| {
            let session = session(world);
            (session.mtu, session.mss) == (mtu, (mtu - 40, mtu - 60))
        };
        let hour = 60 * MINUTE;
        assert!(world.run_until(hour, changed), "{:?}", session(&world));
        // The old SAs are there for a while; what they carry is the least of all.
        world.run_for(MINUTE);
        assert_eq!(session(&world).esp.as_deref(), Some(esp));
        assert_eq!(world.state(id).mtu, Some(mtu.into()), "by advertisement");

        let (ipv4, ipv6) = (world.state(id).ipv4.unwrap(), world.state(id).ipv6.unwrap());
        world.capture = Some(Vec::new());
        let echoes = (world.state(id).echoes4, world.state(id).echoes6);
        for to in [IpAddr::from(ipv4), ipv6.into()] {
            world.to_tun(&packet(to, mtu.into()));
        }
        let refused = world.server.stats().too_big;
        world.to_tun(&packet(ipv6.into(), usize::from(mtu) + 1));
        assert_eq!(world.server.stats().too_big, refused + 1);
        world.run_for(Duration::from_secs(1));
        let state = world.state(id);
        assert_eq!((state.echoes4, state.echoes6), (echoes.0 + 1, echoes.1 + 1));
        let sizes = world.capture.take().unwrap().into_iter();
        let largest = sizes.map(|datagram| datagram.payload.len()).max().unwrap();
        assert!((1472 - 16..=1472).contains(&largest), "{largest}");
    }
    assert_eq!(world.state(id).dials, 1);
    assert_eq!(session(&world).id, before.id);
}
