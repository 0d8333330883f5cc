//! Paths that turn out to be narrow: what routers say makes sessions smaller for a time, what others
//! make up does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_link::mtu::{Encapsulation, PlainEncapsulation};
use adit_server::{SessionInfo, Stats, Teller, TooBig};
use adit_tests::{
    ClientId, Datagram, Nat, Router, World, WorldConfig, is_server, packet_from_host, setup,
};
use adit_wire::Channel;
use adit_wire::ip::Family;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const V6: &str = "2001:db8:1::7";

fn world(seed: u64, udp: bool) -> WorldConfig {
    let mut config = setup::world(seed, 3);
    config.server.plain = setup::plain(&["10.9.0.0/16", "fd00:9::/32"]);
    config.server.ike = World::changed(&config.server.ike, |ike| ike.force_encapsulation = udp);
    config
}

/// A session from `address`.
fn dialled(config: WorldConfig, address: IpAddr) -> (World, ClientId) {
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), address, None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.run_for(10 * SECOND);
    (world, id)
}

fn info(world: &World) -> SessionInfo {
    world.server.sessions(world.now())[0].clone()
}

/// Both addresses of a client.
fn addresses(world: &World, id: ClientId) -> [IpAddr; 2] {
    let state = world.state(id);
    [state.ipv4.unwrap().into(), state.ipv6.unwrap().into()]
}

/// Whether a packet of that size comes to the client.
fn arrives(world: &mut World, id: ClientId, to: IpAddr, length: u16) -> bool {
    let packet = packet_from_host(to, length.into());
    world.to_tun(&packet);
    world.run_for(SECOND);
    world.state(id).last_packet == packet
}

/// The largest inner packet on a path of this width, by the session's own headers.
fn expected(world: &World, info: &SessionInfo, path_mtu: u16) -> u16 {
    let outer = Family::of(info.peer.ip());
    let (ppp_header, l2tp_header) = (4, 8);
    if info.encapsulation == "none" {
        let plain = PlainEncapsulation {
            outer,
            ppp_header,
            l2tp_header,
        };
        return plain.link_mtu(path_mtu);
    }
    let suite = adit_ike::Config::default()
        .esp
        .into_iter()
        .find(|suite| Some(suite.name()) == info.esp);
    assert!(!world.server.sessions(world.now()).is_empty());
    Encapsulation {
        outer,
        udp: info.encapsulation == "udp",
        suite: suite.unwrap(),
        ppp_header,
        l2tp_header,
    }
    .link_mtu(path_mtu)
}

/// The whole life of a narrow path: found, kept to, told, forgotten, found again.
fn life(mut world: World, id: ClientId, quotes: usize) {
    let before = info(&world);
    world.router = Some(Router {
        mtu: 1400,
        quotes,
        tells: true,
    });
    let narrow = expected(&world, &before, 1400);
    assert!(narrow < before.mtu, "{before:?}");
    let [ipv4, ipv6] = addresses(&world, id);
    for round in 1..=2 {
        assert!(!arrives(&mut world, id, ipv4, before.mtu), "too big");
        assert_eq!(world.no_room, round);
        let now = info(&world);
        assert_eq!((now.mtu, now.mss), (narrow, (narrow - 40, narrow - 60)));
        world.run_for(10 * SECOND);
        assert_eq!(world.state(id).mtu, Some(narrow.into()), "by advertisement");
        for to in [ipv4, ipv6] {
            world.errors.clear();
            assert!(arrives(&mut world, id, to, narrow), "{to}");
            assert!(!arrives(&mut world, id, to, narrow + 1), "{to}");
            let [error] = &world.errors[..] else {
                panic!("{:?}", world.errors);
            };
            let told = match to {
                IpAddr::V4(_) => u16::from_be_bytes([error[26], error[27]]),
                IpAddr::V6(_) => u16::from_be_bytes([error[46], error[47]]),
            };
            assert_eq!(told, narrow, "{to}");
        }
        assert_eq!(world.no_room, round, "nothing more is lost");
        let stats = world.server.stats();
        assert_eq!(stats.path_mtu_lowered, round);
        // Five minutes are the least that RFC 8201 4 allows, ten what it asks for.
        world.run_for(9 * MINUTE);
        assert_eq!(info(&world).mtu, narrow);
        world.run_for(MINUTE);
        assert_eq!(info(&world).mtu, before.mtu);
        assert_eq!(world.server.stats().path_mtu_raised, round);
    }
    let refused = |stats: Stats| {
        (
            stats.path_mtu_unknown,
            stats.path_mtu_foreign,
            stats.path_mtu_absurd,
        )
    };
    assert_eq!(refused(world.server.stats()), (0, 0, 0));
    assert_eq!(info(&world).id, before.id);
}

#[test]
fn a_narrow_path_makes_the_session_smaller_for_ten_minutes() {
    for (seed, address) in [(90, setup::address(0)), (91, V6.parse().unwrap())] {
        for udp in [true, false] {
            // All of the quote, no more than the SPI, and nothing: RFC 792 asks for 8 bytes behind
            // the IP header, which of UDP is the header.
            for quotes in [1000, 8, 4, 0] {
                let (world, id) = dialled(world(seed, udp), address);
                let kind = if udp { "udp" } else { "esp" };
                assert_eq!(info(&world).encapsulation, kind);
                life(world, id, quotes);
            }
        }
    }
}

#[test]
fn a_narrow_path_without_ipsec() {
    for from in ["10.9.0.2:1701", "[fd00:9::2]:1701"] {
        for quotes in [1000, 8, 0] {
            let mut world = World::new(world(92, true));
            let id = world.dial_plain(setup::client("user0"), from.parse().unwrap(), false);
            assert!(world.run_until_echoes(&[id], MINUTE));
            world.run_for(10 * SECOND);
            life(world, id, quotes);
        }
    }
}

#[test]
fn ipv6_keeps_its_1280_bytes_on_a_path_too_narrow_for_them() {
    for address in [setup::address(0), V6.parse().unwrap()] {
        let (mut world, id) = dialled(world(93, true), address);
        let [ipv4, ipv6] = addresses(&world, id);
        let wide = info(&world).mtu;
        world.router = Some(Router {
            mtu: 1300,
            quotes: 8,
            tells: true,
        });
        assert!(!arrives(&mut world, id, ipv6, wide));
        let now = info(&world);
        assert!(now.mtu < 1280, "{}", now.mtu);
        assert_eq!(now.mss, (now.mtu - 40, now.mtu - 60));
        world.run_for(10 * SECOND);
        assert_eq!(world.state(id).mtu, Some(1280), "no less can be advertised");

        let cut = |world: &World| world.server.stats().cut_outside;
        assert!(arrives(&mut world, id, ipv6, now.mtu));
        assert_eq!(cut(&world), 0);
        assert!(arrives(&mut world, id, ipv6, now.mtu + 1));
        assert!(arrives(&mut world, id, ipv6, 1280));
        assert_eq!(cut(&world), 2);
        assert!(!arrives(&mut world, id, ipv6, 1281));
        // IPv4 has no such promise.
        assert!(arrives(&mut world, id, ipv4, now.mtu));
        assert!(!arrives(&mut world, id, ipv4, now.mtu + 1));
        assert_eq!((cut(&world), world.server.stats().too_big), (2, 2));

        // Who dials meanwhile gets both families as well.
        world.hang_up(id);
        world.run_for(2 * SECOND);
        world.kill(id);
        let again = world.dial(setup::client("user1"), address, None, false);
        assert!(world.run_until_echoes(&[again], MINUTE));
    }
}

/// The last datagram from the server to a client.
fn last_sent(world: &mut World, id: ClientId, address: IpAddr) -> Datagram {
    world.capture = Some(Vec::new());
    world.ping(id);
    world.run_for(SECOND);
    let mut seen = world.capture.take().unwrap().into_iter();
    seen.rfind(|datagram| is_server(datagram.from) && datagram.to.ip() == address)
        .unwrap()
}

#[derive(Clone, Copy)]
enum Counted {
    Nowhere,
    Unknown,
    Foreign,
    Absurd,
}

/// An error that changes nothing but one counter.
fn disbelieved(world: &mut World, what: &str, counted: Counted, error: TooBig<'_>) {
    let sizes = |world: &World| {
        let sessions = world.server.sessions(world.now());
        sessions
            .iter()
            .map(|info| (info.mtu, info.mss))
            .collect::<Vec<_>>()
    };
    let (before, known) = (world.server.stats(), sizes(world));
    world.server.handle_too_big(&error, world.now());
    let mut wanted = before;
    match counted {
        Counted::Nowhere => {}
        Counted::Unknown => wanted.path_mtu_unknown += 1,
        Counted::Foreign => wanted.path_mtu_foreign += 1,
        Counted::Absurd => wanted.path_mtu_absurd += 1,
    }
    assert_eq!(world.server.stats(), wanted, "{what}");
    assert_eq!(sizes(world), known, "{what}");
    world.run_for(SECOND);
}

#[test]
fn what_others_make_up_changes_nothing() {
    for (address, udp, least) in [
        (setup::address(0), true, 576),
        (setup::address(0), false, 576),
        (V6.parse().unwrap(), true, 1280),
        (V6.parse().unwrap(), false, 1280),
    ] {
        let (mut world, id) = dialled(world(94, udp), address);
        let other = world.dial(setup::client("user1"), setup::address(9), None, false);
        assert!(world.run_until_echoes(&[other], MINUTE));
        let sent = last_sent(&mut world, id, address);
        let others = last_sent(&mut world, other, setup::address(9));
        let channel = if udp { Channel::NatT } else { Channel::Esp };
        let good = TooBig {
            channel,
            remote: sent.to,
            mtu: 1400,
            teller: Teller::Network,
            quote: &sent.payload[..16],
        };
        let edited = |at: usize| {
            let mut quote = good.quote.to_vec();
            quote[at] ^= 0x80;
            quote
        };
        let (spi, ahead) = (edited(0), edited(4));
        let zero = [&sent.payload[..4], &[0; 4][..]].concat();
        let elsewhere = SocketAddr::new("192.0.2.99".parse().unwrap(), good.remote.port());
        let port = SocketAddr::new(good.remote.ip(), 4501);
        let w = &mut world;
        use Counted::*;
        disbelieved(
            w,
            "another SPI",
            Foreign,
            TooBig {
                quote: &spi,
                ..good
            },
        );
        disbelieved(
            w,
            "the future",
            Foreign,
            TooBig {
                quote: &ahead,
                ..good
            },
        );
        disbelieved(
            w,
            "number 0",
            Foreign,
            TooBig {
                quote: &zero,
                ..good
            },
        );
        let quote = &others.payload[..16];
        disbelieved(w, "another's packet", Foreign, TooBig { quote, ..good });
        disbelieved(
            w,
            "sent nowhere",
            Unknown,
            TooBig {
                remote: elsewhere,
                ..good
            },
        );
        let channel = Channel::L2tp;
        disbelieved(w, "another door", Unknown, TooBig { channel, ..good });
        if udp {
            disbelieved(
                w,
                "another port",
                Unknown,
                TooBig {
                    remote: port,
                    ..good
                },
            );
            let quote = &[0, 0, 0, 0, 1, 2, 3, 4];
            disbelieved(w, "IKE", Nowhere, TooBig { quote, ..good });
        }
        for mtu in [0, 1, 68, 296, least - 1] {
            disbelieved(w, "absurdly small", Absurd, TooBig { mtu, ..good });
        }
        for mtu in [1500, 1501, 9000, 65_535, 65_536, u32::MAX] {
            disbelieved(w, "no news", Nowhere, TooBig { mtu, ..good });
        }
        for mtu in [0, 576, 1279] {
            let blind = TooBig {
                mtu,
                quote: &[],
                ..good
            };
            disbelieved(w, "only addresses", Absurd, blind);
        }
        // And the real one is believed all the same, down to the least.
        for mtu in [1400, least] {
            let lowered = world.server.stats().path_mtu_lowered;
            let real = TooBig { mtu, ..good };
            world.server.handle_too_big(&real, world.now());
            assert_eq!(world.server.stats().path_mtu_lowered, lowered + 1);
            let sessions = world.server.sessions(world.now());
            let mtu = expected(&world, &sessions[0], mtu as u16);
            assert_eq!(sessions[0].mtu, mtu);
            assert!(sessions[1].mtu > 1400, "nobody else's");
        }
    }
}

#[test]
fn a_flood_of_errors_costs_little_and_its_end_is_waited_for() {
    let (mut world, id) = dialled(world(95, true), setup::address(0));
    let sent = last_sent(&mut world, id, setup::address(0));
    let good = TooBig {
        channel: Channel::NatT,
        remote: sent.to,
        mtu: 1400,
        teller: Teller::Network,
        quote: &sent.payload[..8],
    };
    let now = world.now();
    for number in 0..10_000_u32 {
        let quote = [number.to_be_bytes(), [0; 4]].concat();
        world.server.handle_too_big(
            &TooBig {
                quote: &quote,
                ..good
            },
            now,
        );
    }
    let stats = world.server.stats();
    assert_eq!(stats.path_mtu_foreign + stats.path_mtu_ignored, 9_999);
    assert_eq!(stats.path_mtu_foreign, 100);
    world.server.handle_too_big(&good, now);
    assert_eq!(world.server.stats().path_mtu_lowered, 0);
    world.run_for(SECOND);
    world.server.handle_too_big(&good, world.now());
    assert_eq!(world.server.stats().path_mtu_lowered, 1);
}

#[test]
fn the_system_itself_is_believed_without_a_quote() {
    let mut world = World::new(world(96, true));
    let from = ["10.9.0.2:1701", "10.9.0.3:1701"].map(|from| from.parse().unwrap());
    let users = ["user0", "user1"].into_iter().zip(from);
    let ids: Vec<_> = users
        .map(|(user, from)| world.dial_plain(setup::client(user), from, false))
        .collect();
    assert!(world.run_until_echoes(&ids, MINUTE));
    let error = TooBig {
        channel: Channel::L2tp,
        remote: "10.9.0.2:0".parse().unwrap(),
        mtu: 1460,
        teller: Teller::System,
        quote: &[],
    };
    world.server.handle_too_big(&error, world.now());
    let sessions = world.server.sessions(world.now());
    for info in &sessions {
        let there = info.peer.ip() == error.remote.ip();
        let path_mtu = if there { 1460 } else { 1500 };
        assert_eq!(info.mtu, expected(&world, info, path_mtu));
    }
    assert_eq!(sessions.len(), 2);
    assert_eq!(world.server.stats().path_mtu_lowered, 1);
}

#[test]
fn another_path_is_another_matter() {
    let mut world = World::new(world(97, true));
    let nat = Nat::new("198.51.100.9".parse().unwrap());
    let inside: IpAddr = "192.168.1.2".parse().unwrap();
    let id = world.dial(setup::client("user0"), inside, Some(nat), false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.run_for(10 * SECOND);
    let wide = info(&world).mtu;
    world.router = Some(Router {
        mtu: 1400,
        quotes: 8,
        tells: true,
    });
    let [ipv4, _] = addresses(&world, id);
    assert!(!arrives(&mut world, id, ipv4, wide));
    assert!(info(&world).mtu < wide);
    world.router = None;
    world.move_nat(id, "198.51.100.77".parse().unwrap());
    world.ping(id);
    world.run_for(SECOND);
    assert_eq!(info(&world).mtu, wide);
    assert!(arrives(&mut world, id, ipv4, wide));
}

#[test]
fn nothing_is_known_of_a_path_whose_routers_are_not_heard() {
    let (mut world, id) = dialled(world(98, true), setup::address(0));
    let wide = info(&world).mtu;
    world.router = Some(Router {
        mtu: 1400,
        quotes: 8,
        tells: false,
    });
    let [ipv4, _] = addresses(&world, id);
    assert!(!arrives(&mut world, id, ipv4, wide));
    assert_eq!(info(&world).mtu, wide);
    assert_eq!(world.no_room, 1);
}
