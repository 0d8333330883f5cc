//! NAT traversal: who is found to be behind a NAT, and where messages go.

use super::*;
use crate::codec::Payloads;

const CLIENT_NAT: Addresses = Addresses {
    client: "192.168.1.2",
    client_outside: "203.0.113.5",
    ..DIRECT
};
const SERVER_NAT: Addresses = Addresses {
    server: "10.0.0.2",
    server_outside: "198.51.100.1",
    ..DIRECT
};
const BOTH_NAT: Addresses = Addresses {
    client: "192.168.1.2",
    client_outside: "203.0.113.5",
    server: "10.0.0.2",
    server_outside: "198.51.100.1",
};
const IPV6: Addresses = Addresses {
    client: "fd00::2",
    client_outside: "2001:db8::5",
    server: "2001:db8:1::1",
    server_outside: "2001:db8:1::1",
};

fn connected(addresses: Addresses, client: Config, server: Config) -> Pair {
    let mut pair = Pair::new(client, server);
    pair.addresses = addresses;
    pair.connect();
    pair.seconds(2);
    assert!(
        pair.server.sa().is_established(),
        "{:?}",
        pair.server.errors
    );
    assert!(
        pair.client.sa().is_established(),
        "{:?}",
        pair.client.errors
    );
    pair
}

#[test]
fn each_place_of_a_nat_is_found_and_left_through_4500() {
    for (addresses, client, server) in [
        (CLIENT_NAT, true, false),
        (SERVER_NAT, false, true),
        (BOTH_NAT, true, true),
        (IPV6, true, false),
    ] {
        let mut pair = connected(addresses, Config::default(), Config::default());
        let of_client = pair.client.phase1().unwrap();
        assert_eq!(of_client.nat.local_behind, client);
        assert_eq!(of_client.nat.remote_behind, server);
        let of_server = pair.server.phase1().unwrap();
        assert_eq!(of_server.nat.local_behind, server);
        assert_eq!(of_server.nat.remote_behind, client);
        assert!(of_client.encapsulate && of_server.encapsulate);
        assert_eq!(pair.client.sa().path().channel, Channel::NatT);
        assert_eq!(pair.server.sa().path().channel, Channel::NatT);
        assert_eq!(pair.client.sa().path().remote.port(), 4500);
        assert!(
            pair.log
                .iter()
                .skip(4)
                .all(|(_, t)| t.path.channel == Channel::NatT)
        );
        pair.start_quick(true, true);
        pair.seconds(1);
        let (a, b) = (&pair.client.children()[0], &pair.server.children()[0]);
        assert_fit(a, b);
        assert!(a.encapsulated);
        assert_eq!(b.nat_oa_remote, Some(ip(addresses.client)));
        assert_eq!(b.nat_oa_local, Some(ip(addresses.server_outside)));
        assert_eq!(a.nat_oa_remote, Some(ip(addresses.server)));
        assert_eq!(a.nat_oa_local, Some(ip(addresses.client_outside)));
    }
}

#[test]
fn without_a_nat_nothing_moves() {
    let mut pair = connected(DIRECT, Config::default(), Config::default());
    assert_eq!(pair.client.sa().path().channel, Channel::Ike);
    pair.start_quick(true, false);
    pair.seconds(1);
    assert!(!pair.server.children()[0].encapsulated);
    assert_eq!(pair.server.children()[0].nat_oa_remote, None);
}

#[test]
fn encapsulation_can_be_forced_from_either_end() {
    let forced = Config {
        force_encapsulation: true,
        ..Config::default()
    };
    let plain = Config::default();
    for (client, server) in [(&forced, &plain), (&plain, &forced)] {
        let mut pair = connected(DIRECT, client.clone(), server.clone());
        assert!(pair.client.phase1().unwrap().encapsulate);
        assert!(pair.server.phase1().unwrap().encapsulate);
        assert_eq!(pair.server.sa().path().channel, Channel::NatT);
    }
}

#[test]
fn nat_t_can_be_off_at_either_end() {
    let off = Config {
        nat_t: false,
        ..Config::default()
    };
    for (client, server) in [(off.clone(), Config::default()), (Config::default(), off)] {
        let pair = connected(DIRECT, client, server);
        assert_eq!(pair.client.phase1().unwrap().nat_t, None);
        assert_eq!(pair.server.phase1().unwrap().nat_t, None);
    }
}

#[test]
fn main_mode_may_start_on_4500() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.addresses = CLIENT_NAT;
    pair.connect_on(Channel::NatT);
    pair.seconds(2);
    assert!(pair.server.sa().is_established());
    assert!(pair.server.phase1().unwrap().nat.remote_behind);
    assert!(
        pair.log
            .iter()
            .all(|(_, t)| t.path.channel == Channel::NatT)
    );
}

#[test]
fn the_responder_follows_an_authentic_message_only() {
    let mut pair = connected(CLIENT_NAT, Config::default(), Config::default());
    let before = pair.server.sa().path();
    let moved = Path {
        remote: SocketAddr::new(ip("203.0.113.9"), 1234),
        ..before
    };
    let question = {
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        sa.ask_alive(1, rng);
        sa.poll_transmit().unwrap().payload
    };
    let mut forged = question.clone();
    *forged.last_mut().unwrap() ^= 1;
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    assert!(sa.handle_message(moved, &forged, now, rng).is_err());
    assert_eq!(sa.path(), before);
    sa.handle_message(moved, &question, now, rng).unwrap();
    assert_eq!(sa.path(), moved);
    assert_eq!(sa.poll_transmit().unwrap().path, moved);
    // Played back from elsewhere, it moves nothing and its answer goes to the peer.
    sa.handle_message(before, &question, now, rng).unwrap();
    assert_eq!(sa.path(), moved);
    assert_eq!(sa.poll_transmit().unwrap().path, moved);
}

/// Drafts: their own payload numbers, encapsulation mode and vendor ID.
#[test]
fn drafts_are_spoken_as_they_are() {
    for wanted in [
        NatTVersion::Draft03,
        NatTVersion::Draft02LineFeed,
        NatTVersion::Draft02,
    ] {
        let mut pair = Pair::new(Config::default(), Config::default());
        pair.addresses = CLIENT_NAT;
        pair.connect();
        // Takes the better dialects out of message 1.
        let first = pair.client.sa().poll_transmit().unwrap();
        let header = parse_header(&first.payload).unwrap();
        let payloads = Payloads::parse(1, header.body(&first.payload)).unwrap();
        let mut chain = codec::Builder::new();
        for payload in payloads.iter() {
            let version = NatTVersion::from_vendor_id(payload.body);
            if version.is_none_or(|version| version >= wanted) {
                chain.push(payload.kind, payload.body).unwrap();
            }
        }
        let payload = header.write(chain.bytes());
        pair.deliver(true, Transmit { payload, ..first });
        pair.seconds(2);
        assert_eq!(pair.client.phase1().unwrap().nat_t, Some(wanted));
        assert!(pair.server.phase1().unwrap().nat.remote_behind);
        pair.start_quick(true, true);
        pair.seconds(1);
        assert_fit(&pair.client.children()[0], &pair.server.children()[0]);
        assert!(pair.server.children()[0].encapsulated);
        assert_eq!(wanted.udp_transport(), 61444);
        assert_eq!((wanted.nat_d(), wanted.nat_oa()), (130, 131));
    }
}
