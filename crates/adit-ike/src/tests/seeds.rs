//! Writes the seeds of the fuzz corpora; run by hand after the wire format of a message changed:
//! `ADIT_CORPUS=fuzz/corpus cargo test -p adit-ike seeds -- --ignored`.

use std::path::{Path as FilePath, PathBuf};

use super::*;
use crate::codec::{Builder, exchange, kind};
use crate::fragment;

fn folder(target: &str) -> PathBuf {
    let root = std::env::var_os("ADIT_CORPUS").expect("ADIT_CORPUS names the corpus folder");
    let folder = FilePath::new(&root).join(target);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a sequence was recorded under: the first byte of an input.
const PLAIN: u8 = 0;
const NAT: u8 = 1;
const PFS: u8 = 2;
const CERTIFICATES: u8 = 3;
const AGGRESSIVE: u8 = 4;

/// `[setup]`, then `[u16 length][message]` for each message.
fn sequence(setup: u8, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![setup];
    for message in messages {
        out.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        out.extend(message);
    }
    out
}

/// A whole life of an SA: phase 1, Quick Modes of both ends, a question, deletions.
fn life(setup: u8) -> Vec<(bool, Vec<u8>)> {
    let config = Config {
        pfs: (setup == PFS).then_some(adit_crypto::Group::Ecp256),
        ..Config::default()
    };
    let mut pair = Pair::new(config.clone(), config);
    let nat = setup == NAT;
    if nat {
        pair.addresses = Addresses {
            client: "192.168.1.2",
            client_outside: "203.0.113.5",
            ..DIRECT
        };
    }
    if setup == CERTIFICATES {
        pair.client.credentials = Arc::new(pki::certified(pki::CLIENTS[1]));
        pair.server.credentials = Arc::new(pki::certified(pki::SERVERS[1]));
    }
    if setup == AGGRESSIVE {
        let staff = IdValue::KeyId(b"staff".to_vec());
        let mut key = (*credentials("a shared secret")).clone();
        key.psks[0].identity = Some(staff.clone());
        key.psks[0].aggressive = true;
        pair.server.credentials = Arc::new(key);
        pair.client.opening = Some(Opening {
            identity: staff,
            mode: Mode::Aggressive,
            peer: None,
        });
    }
    pair.connect();
    pair.seconds(2);
    let spi = pair.start_quick(true, nat);
    pair.start_quick(false, nat);
    pair.seconds(70);
    let Host { sa, rng, .. } = &mut pair.client;
    let sa = sa.as_mut().unwrap();
    sa.delete_child(spi, pair.now, rng);
    sa.close(pair.now, rng);
    pair.seconds(1);
    assert!(pair.server.closed().is_some());
    let log = pair.log.into_iter();
    log.map(|(to_server, transmit)| (to_server, transmit.payload))
        .collect()
}

/// What the fuzz target relies on: with the same configuration, key and seed a recorded client is
/// answered in the same way, so its sequence leads all the way through.
#[test]
fn a_recorded_client_can_be_replayed() {
    let mut fresh = Pair::new(Config::default(), Config::default());
    fresh.cut = true;
    let path = Path {
        channel: Channel::Ike,
        local: SocketAddr::new(ip(DIRECT.client), 500),
        remote: SocketAddr::new(ip(DIRECT.server), 500),
    };
    for (_, payload) in life(PLAIN).into_iter().filter(|(to_server, _)| *to_server) {
        fresh.deliver(true, Transmit { path, payload });
        fresh.seconds(0);
    }
    assert!(fresh.server.phase1().is_some());
    assert_eq!(fresh.server.children().len(), 1);
    assert_eq!(fresh.server.closed(), Some(&CloseReason::DeletedByPeer));
}

#[test]
#[ignore = "writes files"]
fn write_them() {
    let messages = folder("ike_message");
    let responder = folder("ike_responder");
    let initiator = folder("ike_initiator");
    let put = |folder: &FilePath, name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let windows = windows::first_message();
    put(&messages, "windows10-mm1", &windows);
    put(
        &responder,
        "windows10-mm1",
        &sequence(PLAIN, std::slice::from_ref(&windows)),
    );
    put(
        &responder,
        "windows10-mm1-twice",
        &sequence(PLAIN, &[windows.clone(), windows.clone()]),
    );
    for (name, setup) in [
        ("plain", PLAIN),
        ("nat", NAT),
        ("pfs", PFS),
        ("certificates", CERTIFICATES),
        ("aggressive", AGGRESSIVE),
    ] {
        let life = life(setup);
        for (at, (_, message)) in life.iter().enumerate().take(16) {
            put(&messages, &format!("{name}-{:02}", at + 1), message);
        }
        for (folder, to_server) in [(&responder, true), (&initiator, false)] {
            let whole: Vec<_> = life
                .iter()
                .filter(|(to, _)| *to == to_server)
                .map(|(_, message)| message.clone())
                .collect();
            let mut reversed = whole.clone();
            reversed[1..].reverse();
            let twice: Vec<_> = whole
                .iter()
                .flat_map(|message| [message.clone(), message.clone()])
                .collect();
            let fragments = |message: &Vec<u8>| fragment::cut(message, 100).unwrap();
            let in_fragments = std::iter::once(whole[0].clone())
                .chain(whole[1..].iter().flat_map(fragments))
                .collect();
            for (kind, messages) in [
                ("whole-life", whole),
                ("in-fragments", in_fragments),
                ("reversed", reversed),
                ("everything-twice", twice),
            ] {
                put(
                    folder,
                    &format!("{name}-{kind}"),
                    &sequence(setup, &messages),
                );
            }
        }
    }
    for (name, message) in malformed(&windows) {
        put(&messages, name, &message);
        put(
            &initiator,
            name,
            &sequence(PLAIN, std::slice::from_ref(&message)),
        );
        put(
            &responder,
            name,
            &sequence(PLAIN, &[windows.clone(), message]),
        );
    }
}

fn malformed(windows: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    // The cookie with which a responder of the fuzz target's seed answers the first message.
    let mut pair = Pair::new(Config::default(), Config::default());
    let path = Path {
        channel: Channel::Ike,
        local: SocketAddr::new(ip(DIRECT.client), 500),
        remote: SocketAddr::new(ip(DIRECT.server), 500),
    };
    let payload = windows.to_vec();
    pair.deliver(true, Transmit { path, payload });
    let header = Header {
        responder_cookie: pair.server.sa().cookies().1,
        ..parse_header(windows).unwrap()
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = windows.to_vec();
        bytes[at] = byte;
        bytes
    };
    let chain = |exchange: u8, message_id: u32, list: &[(u8, &[u8])]| {
        let mut chain = Builder::new();
        for (kind, body) in list {
            chain.push(*kind, body).unwrap();
        }
        Header {
            next_payload: chain.first(),
            exchange,
            message_id,
            ..header
        }
        .write(chain.bytes())
    };
    let main = |list: &[(u8, &[u8])]| chain(exchange::MAIN, 0, list);
    let encrypted = |exchange: u8, message_id: u32, length: usize| {
        Header {
            next_payload: kind::HASH,
            exchange,
            message_id,
            encrypted: true,
            ..header
        }
        .write(&vec![0x5a; length])
    };
    let nonce = [7; 16];
    vec![
        ("version-2", with(17, 0x20)),
        ("aggressive", with(18, 4)),
        ("zero-cookie", {
            let mut bytes = windows.to_vec();
            bytes[..8].fill(0);
            bytes
        }),
        ("length-below-header", with(27, 27)),
        ("length-past-end", with(26, 2)),
        ("ikev2-payload", with(16, 33)),
        ("payload-length-0", {
            let mut bytes = with(30, 0);
            bytes[31] = 0;
            bytes
        }),
        ("payload-length-past-end", with(30, 0xff)),
        ("proposal-length-past-payload", with(43, 0xff)),
        ("proposal-count", with(47, 200)),
        ("transform-length-3", with(51, 3)),
        ("spi-length-255", with(46, 255)),
        ("attribute-tlv-past-transform", with(56, 0)),
        ("truncated", windows[..100].to_vec()),
        ("many-vendor-ids", main(&[(kind::VENDOR, &[1; 16][..]); 60])),
        (
            "two-sas",
            main(&[(kind::SA, &[0, 0, 0, 1, 0, 0, 0, 1][..]); 2]),
        ),
        (
            "sa-without-proposals",
            main(&[(kind::SA, &[0, 0, 0, 1, 0, 0, 0, 1])]),
        ),
        ("ke-empty", main(&[(kind::KE, &[]), (kind::NONCE, &nonce)])),
        ("ke-absent", main(&[(kind::NONCE, &nonce)])),
        (
            "ke-zero",
            main(&[(kind::KE, &[0; 96]), (kind::NONCE, &nonce)]),
        ),
        (
            "ke-one",
            main(&[(kind::KE, &[1; 96]), (kind::NONCE, &nonce)]),
        ),
        (
            "ke-all-ones",
            main(&[(kind::KE, &[0xff; 96]), (kind::NONCE, &nonce)]),
        ),
        (
            "nonce-empty",
            main(&[(kind::KE, &[2; 96]), (kind::NONCE, &[])]),
        ),
        (
            "nat-d-empty",
            main(&[
                (kind::KE, &[2; 96]),
                (kind::NONCE, &nonce),
                (kind::NAT_D, &[]),
            ]),
        ),
        (
            "quick-fqdn-identities",
            chain(
                exchange::QUICK,
                1,
                &[
                    (kind::HASH, &[0; 20]),
                    (kind::SA, &[0, 0, 0, 1, 0, 0, 0, 1]),
                    (kind::NONCE, &nonce),
                    (kind::ID, b"\x02\x11\x06\xa5vpn.example"),
                    (kind::ID, b"\x02\0\0\0"),
                ],
            ),
        ),
        ("quick-with-no-state", encrypted(exchange::QUICK, 1, 64)),
        ("message-5-garbage", encrypted(exchange::MAIN, 0, 64)),
        ("message-5-odd-length", encrypted(exchange::MAIN, 0, 63)),
        ("message-5-empty", encrypted(exchange::MAIN, 0, 0)),
        (
            "informational-garbage",
            encrypted(exchange::INFORMATIONAL, 9, 48),
        ),
        (
            "r-u-there-no-state",
            chain(
                exchange::INFORMATIONAL,
                5,
                &[(
                    kind::NOTIFY,
                    b"\0\0\0\x01\x01\x10\x8d\x280123456789abcdef\0\0\0\x01",
                )],
            ),
        ),
        (
            "delete-and-notify-twice",
            chain(
                exchange::INFORMATIONAL,
                6,
                &[
                    (kind::DELETE, &[0, 0, 0, 1, 3, 4, 0, 1, 1, 2, 3, 4]),
                    (kind::NOTIFY, &[0, 0, 0, 1, 3, 0, 0, 11]),
                    (kind::DELETE, &[0, 0, 0, 1, 3, 4, 0, 1, 1, 2, 3, 4]),
                    (kind::NOTIFY, &[0, 0, 0, 1, 3, 0, 0, 11]),
                ],
            ),
        ),
        (
            "delete-count",
            chain(
                exchange::INFORMATIONAL,
                7,
                &[(kind::DELETE, &[0, 0, 0, 1, 3, 4, 0xff, 0xff, 1, 2, 3, 4])],
            ),
        ),
        (
            "notify-spi-past-end",
            chain(
                exchange::INFORMATIONAL,
                8,
                &[(kind::NOTIFY, &[0, 0, 0, 1, 1, 0xff, 0, 14, 1])],
            ),
        ),
        ("fragment-short", main(&[(132, &[0, 1])])),
        (
            "fragment-payload",
            main(&[(132, &[0, 1, 1, 0, 1, 2, 3, 4])]),
        ),
        ("fragment-number-0", main(&[(132, &[0, 1, 0, 1, 1])])),
        ("fragment-empty", main(&[(132, &[0, 1, 1, 1])])),
        ("fragment-number-255", main(&[(132, &[0, 1, 255, 1, 1])])),
        ("fragment-of-garbage", main(&[(132, &[0, 1, 1, 1, 1])])),
        ("fragment-of-a-fragment", {
            let inner = main(&[(132, &[0, 1, 1, 1, 1])]);
            main(&[(132, &[&[0, 1, 1, 1], &inner[..]].concat())])
        }),
        (
            "fragment-and-another",
            main(&[(132, &[0, 1, 1, 0, 1]), (132, &[0, 1, 2, 1, 1])]),
        ),
        ("nat-oa-short", main(&[(kind::NAT_OA, &[1, 0, 0])])),
    ]
}
