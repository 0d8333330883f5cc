use super::*;
use crate::inputs::{put, seed, sequence};

fn run_outside(name: &str) -> (World, ClientId) {
    let (mut world, id) = outside();
    for message in messages(&seed("server_outside", name)) {
        let (how, payload) = message.split_first().expect("a seed's message");
        let datagram = outsider(&world, id, *how, payload);
        world.inject(datagram);
        world.run_for(Duration::ZERO);
    }
    world.run_for(Duration::from_secs(1));
    (world, id)
}

#[test]
fn a_recorded_stranger_gets_a_session() {
    let (world, _) = run_outside("second-client");
    let sessions = world.server.sessions(world.now());
    let users: Vec<_> = sessions.iter().map(|info| info.user.as_deref()).collect();
    assert_eq!(users, [Some("user0"), Some("user1")]);
    assert!(sessions.iter().all(|info| info.ipv4.is_some()));
}

#[test]
fn a_recorded_neighbour_gets_a_session_without_ipsec() {
    for (name, count) in [
        ("plain-neighbour", 2),
        ("plain-ipv6", 2),
        ("plain-stranger", 1),
    ] {
        let (world, _) = run_outside(name);
        assert_eq!(world.server.sessions(world.now()).len(), count, "{name}");
    }
}

#[test]
fn a_seed_makes_the_path_of_the_session_narrow() {
    let (mut world, _) = outside();
    for message in messages(&seed("server_outside", "too-big")) {
        let (how, payload) = message.split_first().expect("a seed's message");
        tell_too_big(&mut world, *how, payload);
    }
    let stats = world.server.stats();
    assert_eq!(stats.path_mtu_lowered, 2, "{stats:?}");
    let refused = [
        stats.path_mtu_absurd,
        stats.path_mtu_foreign,
        stats.path_mtu_unknown,
    ];
    assert_eq!(refused, [1, 1, 1], "{stats:?}");
}

#[test]
fn seeds_reach_the_tunnel_and_the_session() {
    for (name, left) in [
        ("l2tp-cdn-windows", 1),
        ("l2tp-stopccn-windows", 1),
        ("l2tp-zlb", 2),
    ] {
        let (mut world, hostile, _) = inside();
        for message in messages(&seed("server_inside", name)) {
            attack(&mut world, hostile, message);
        }
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.server.sessions(world.now()).len(), left, "{name}");
    }
}

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/../corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .filter(|name| !name.starts_with("crash-"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), seed(target, &name)))
        .collect()
}

fn with(how: u8, message: &[u8]) -> Vec<u8> {
    [&[how], message].concat()
}

fn put_messages(target: &str, name: &str, messages: &[Vec<u8>]) {
    put(target, name, &sequence(messages.iter().map(Vec::as_slice)));
}

/// Everything that a second client sends from the stranger's address while it connects.
fn second_client() -> Vec<Vec<u8>> {
    let (mut world, _) = outside();
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user1"), STRANGER.into(), None, false);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(60)));
    let capture = world.capture.take().unwrap_or_default();
    let sent = capture
        .iter()
        .filter(|datagram| datagram.from.ip() == IpAddr::from(STRANGER));
    sent.map(|datagram| {
        let nat_t = datagram.to.port() == 4500;
        with(if nat_t { NAT_T } else { 0 }, &datagram.payload)
    })
    .collect()
}

/// Everything that a client without IPsec sends while it connects.
fn plain_client(from: IpAddr) -> Vec<Vec<u8>> {
    let (mut world, _) = outside();
    world.capture = Some(Vec::new());
    let from = SocketAddr::new(from, 1701);
    let id = world.dial_plain(setup::client("user1"), from, false);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(60)));
    let capture = world.capture.take().unwrap_or_default();
    let sent = capture.iter().filter(|datagram| datagram.from == from);
    sent.map(|datagram| with(PLAIN, &datagram.payload))
        .collect()
}

/// Run by hand as `write_server`: `cargo test -p adit-fuzz-targets write_plain -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_plain() {
    let from = |source, messages: &[Vec<u8>]| -> Vec<_> {
        messages
            .iter()
            .map(|message| with(message[0] | source, &message[1..]))
            .collect()
    };
    let neighbour = plain_client(NEIGHBOUR.into());
    put_messages("server_outside", "plain-neighbour", &from(2, &neighbour));
    put_messages("server_outside", "plain-stranger", &from(0, &neighbour));
    let ipv6 = plain_client(STRANGER_V6.into());
    put_messages("server_outside", "plain-ipv6", &from(3, &ipv6));
    let twice: Vec<_> = neighbour
        .iter()
        .flat_map(|m| [m.clone(), m.clone()])
        .collect();
    put_messages("server_outside", "plain-twice", &from(2, &twice));
    for (at, chunk) in files("l2tp_message").chunks(12).enumerate() {
        let messages: Vec<_> = chunk
            .iter()
            .flat_map(|(_, data)| [with(PLAIN | 2, data), with(PLAIN | OWN | 2, data)])
            .collect();
        put_messages("server_outside", &format!("plain-l2tp-{at}"), &messages);
    }
}

/// Run by hand after the wire format or the order of random draws changed:
/// `cargo test -p adit-fuzz-targets write_server -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_server() {
    let connect = second_client();
    put_messages("server_outside", "second-client", &connect);
    let twice: Vec<_> = connect
        .iter()
        .flat_map(|message| [message.clone(), message.clone()])
        .collect();
    put_messages("server_outside", "second-client-twice", &twice);
    for (name, source) in [("own", 1), ("neighbour", 2), ("ipv6", 3)] {
        let moved: Vec<_> = connect
            .iter()
            .map(|message| with(message[0] | source, &message[1..]))
            .collect();
        put_messages("server_outside", &format!("second-client-{name}"), &moved);
    }

    // What the session itself sent: cookies and SPIs that the server knows, all of it replayed.
    let mut world = World::new(setup::world(1, 2));
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(60)));
    let capture = world.capture.take().unwrap_or_default();
    let own: Vec<_> = capture
        .iter()
        .filter(|datagram| datagram.from.ip() == setup::address(0))
        .map(|datagram| {
            let nat_t = datagram.to.port() == 4500;
            with(if nat_t { NAT_T | 1 } else { 1 }, &datagram.payload)
        })
        .collect();
    put_messages("server_outside", "own-replayed", &own);
    let altered: Vec<_> = own
        .iter()
        .map(|message| {
            let mut message = message.clone();
            if let Some(last) = message.last_mut() {
                *last ^= 1;
            }
            message
        })
        .collect();
    put_messages("server_outside", "own-altered", &altered);
    let stolen: Vec<_> = own
        .iter()
        .map(|message| with(message[0] & NAT_T, &message[1..]))
        .collect();
    put_messages("server_outside", "own-from-stranger", &stolen);

    for (name, data) in files("ike_message") {
        let marked = [&[0; 4], &data[..]].concat();
        let both = [with(0, &data), with(NAT_T, &marked)];
        put_messages("server_outside", &format!("ike-{name}"), &both);
    }
    put_messages("server_outside", "esp-unknown", &{
        let picked = files("esp_open").into_iter().filter(|(name, _)| {
            name.starts_with("aes-gcm-256")
                || !name.starts_with("aes-") && !name.starts_with("3des")
        });
        let small = picked.filter(|(_, data)| data.len() < 600);
        small
            .map(|(_, data)| with(NAT_T, &data))
            .collect::<Vec<_>>()
    });
    put_messages(
        "server_outside",
        "keepalives-and-junk",
        &[
            with(NAT_T, &[0xff]),
            with(NAT_T | 1, &[0xff]),
            with(NAT_T, &[]),
            with(0, &[]),
            with(NAT_T, &[0; 3]),
            with(NAT_T, &[0; 4]),
            with(NAT_T | PAUSE, &[0; 28]),
            with(0, &[0; 28]),
            with(0, &[0xff]),
            with(NAT_T, b"GET / HTTP/1.1\r\n\r\n"),
        ],
    );

    for (name, data) in files("l2tp_message") {
        let message = with(OWN, &data);
        let messages = if name.starts_with("stopccn") {
            // Their sequence number is the one after a HELLO's.
            vec![with(OWN, &seed("l2tp_message", "hello")), message]
        } else {
            vec![message]
        };
        put_messages("server_inside", &format!("l2tp-{name}"), &messages);
    }
    for (name, data) in files("l2tp_tunnel") {
        // A tunnel of its own, from its SCCRQ on.
        let messages: Vec<_> = messages(&data).map(|message| with(0, message)).collect();
        put_messages("server_inside", &format!("tunnel-{name}"), &messages);
    }
    for (name, data) in files("ppp_frame") {
        let twice = [with(1, &data), with(1 | PAUSE, &data)];
        put_messages("server_inside", &format!("ppp-{name}"), &twice);
    }
    for (name, data) in files("ppp_link") {
        let messages: Vec<_> = messages(&data).map(|frame| with(1, frame)).collect();
        put_messages("server_inside", &format!("link-{name}"), &messages);
    }
    for target in ["link_packet", "ip_packet"] {
        for (at, chunk) in files(target).chunks(8).enumerate() {
            let messages: Vec<_> = chunk
                .iter()
                .flat_map(|(_, packet)| [with(2, packet), with(2 | OWN, packet)])
                .collect();
            put_messages("server_inside", &format!("{target}-{at}"), &messages);
        }
    }
}
