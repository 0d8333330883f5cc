//! Messages in fragments between two machines.

use super::*;
use crate::codec::{Fragment, FragmentError, exchange, kind};

/// Small packets and a long nonce, so that messages 3 and 4 and Quick Mode are longer than a packet.
fn config() -> Config {
    Config {
        fragment_size: 576,
        phase1: vec![Phase1Proposal {
            cipher: adit_crypto::BlockCipher::Aes128,
            hash: adit_crypto::Hash::Sha2_256,
            group: adit_crypto::Group::Modp3072,
        }],
        pfs: Some(adit_crypto::Group::Modp3072),
        manner: Manner {
            nonce_len: 256,
            ..Manner::OWN
        },
        ..Config::default()
    }
}

fn is_fragment(transmit: &Transmit) -> bool {
    transmit.payload[16] == kind::FRAGMENT
}

fn lives_through(mut pair: Pair) -> Pair {
    pair.connect();
    pair.seconds(60);
    assert!(
        pair.server.sa().is_established(),
        "{:?}",
        pair.server.errors
    );
    pair.start_quick(true, false);
    pair.start_quick(false, false);
    pair.seconds(60);
    let (clients, servers) = (pair.client.children(), pair.server.children());
    assert_eq!((clients.len(), servers.len()), (2, 2));
    for child in &clients {
        let twin = servers
            .iter()
            .find(|twin| twin.inbound_spi == child.outbound_spi);
        assert_fit(child, twin.unwrap());
    }
    pair
}

#[test]
fn long_messages_travel_in_fragments() {
    let mut pair = lives_through(Pair::new(config(), config()));
    let fragments = pair
        .log
        .iter()
        .filter(|(_, transmit)| is_fragment(transmit));
    assert!(fragments.count() >= 8);
    assert!(
        pair.log
            .iter()
            .all(|(_, transmit)| transmit.payload.len() <= 548)
    );
    assert_eq!(pair.client.errors, []);
    assert_eq!(pair.server.errors, []);
    let (client, server) = (pair.client.sa().stats(), pair.server.sa().stats());
    assert_eq!(client.fragments_sent, server.fragments_received);
    assert_eq!(server.fragments_sent, client.fragments_received);
    assert!(client.reassembled >= 2 && server.reassembled >= 2);
    assert_eq!(client.bad_fragments + server.bad_fragments, 0);
}

#[test]
fn loss_repetition_and_reordering_of_fragments() {
    for seed in 0..12 {
        let patient = || Config {
            negotiation_timeout: Duration::from_secs(50),
            retransmit: Retransmit {
                tries: 30,
                cap: Duration::from_secs(1),
                ..Config::default().retransmit
            },
            ..config()
        };
        let mut pair = Pair::seeded(patient(), patient(), seed);
        pair.weather = Weather {
            lost: 15,
            repeated: 20,
            delayed: 10,
        };
        lives_through(pair);
    }
}

#[test]
fn a_peer_that_did_not_announce_it_gets_whole_messages() {
    const SILENT: Manner = Manner {
        nonce_len: 256,
        vendor_ids: Some(&[]),
        ..Manner::OWN
    };
    let client = Config {
        manner: SILENT,
        ..config()
    };
    let pair = lives_through(Pair::new(client, config()));
    assert!(!pair.log.iter().any(|(_, transmit)| is_fragment(transmit)));
    assert!(pair.log.iter().any(|(_, t)| t.payload.len() > 548));
}

#[test]
fn a_responder_announces_it_in_the_words_of_the_initiator() {
    const PLAIN: [u8; 16] = [
        0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2,
        0xd3,
    ];
    const CAPABLE: [u8; 20] = [
        0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2,
        0xd3, 0x80, 0, 0, 0,
    ];
    let answer = |vendor_ids| {
        let client = Config {
            manner: Manner {
                vendor_ids: Some(vendor_ids),
                ..Manner::OWN
            },
            ..config()
        };
        let mut pair = Pair::new(client, config());
        pair.connect();
        pair.seconds(1);
        let second = pair.log[1].1.payload.clone();
        let header = parse_header(&second).unwrap();
        let payloads = codec::Payloads::parse(header.next_payload, header.body(&second)).unwrap();
        payloads
            .all(kind::VENDOR)
            .filter(|id| id.starts_with(&PLAIN))
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    assert_eq!(answer(&[&PLAIN]), [PLAIN.to_vec()]);
    assert_eq!(answer(&[&CAPABLE]), [CAPABLE.to_vec()]);
    assert!(answer(&[]).is_empty());
}

/// Gives the server bytes from the client's address.
fn give(pair: &mut Pair, message: &[u8]) -> Result<(), Error> {
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    sa.as_mut().unwrap().handle_message(path, message, now, rng)
}

fn forged(pair: &mut Pair, number: u8, last: bool, data: &[u8]) -> Vec<u8> {
    let header = pair.server.sa().header(exchange::MAIN, 0);
    Fragment {
        id: 1,
        number,
        last,
        data,
    }
    .write(&header)
}

#[test]
fn forged_fragments_harm_no_sa_and_are_counted() {
    let mut pair = Pair::new(config(), config());
    pair.connect();
    while pair.log.len() < 3 {
        pair.run(Duration::from_millis(5));
    }
    assert!(is_fragment(&pair.log[2].1));
    let garbage = forged(&mut pair, 1, false, b"garbage");
    assert_eq!(give(&mut pair, &garbage), Ok(()));
    let other = forged(&mut pair, 1, false, b"others");
    assert_eq!(
        give(&mut pair, &other),
        Err(Error::Fragment(FragmentError::Conflict(1)))
    );
    // Complete, and nothing that a message could be.
    let end = forged(&mut pair, 2, true, b"more");
    assert!(matches!(give(&mut pair, &end), Err(Error::Malformed(_))));
    let nested = forged(&mut pair, 1, true, b"inner");
    let nested = forged(&mut pair, 1, true, &nested);
    assert_eq!(
        give(&mut pair, &nested),
        Err(Error::Fragment(FragmentError::Conflict(1)))
    );
    assert_eq!(
        give(&mut pair, &nested),
        Err(Error::Fragment(FragmentError::Nested))
    );
    // A responder that answered is known by its cookie only.
    let mut first = forged(&mut pair, 1, true, b"x");
    first[8..16].fill(0);
    assert_eq!(give(&mut pair, &first), Err(Error::Cookies));
    pair.seconds(10);
    assert!(
        pair.server.sa().is_established(),
        "{:?}",
        pair.server.errors
    );
    assert_eq!(pair.server.sa().stats().bad_fragments, 3);
}

#[test]
fn fragments_for_cookies_that_nobody_holds_create_nothing() {
    let mut pair = Pair::established(config(), config());
    let mut fragment = forged(&mut pair, 1, true, &windows::first_message());
    fragment[8..16].fill(0);
    let path = pair.server.sa().path();
    let credentials = Arc::new(Credentials::psk(Arc::new(Psk::new("x"))));
    let refusal = IkeSa::accept(
        &pair.server.config,
        &credentials,
        path,
        &fragment,
        pair.now,
        &mut pair.server.rng,
    )
    .unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Fragment);
    assert!(refusal.notify.is_none());
}

#[test]
fn fragments_that_never_become_whole_are_forgotten() {
    let mut pair = Pair::established(config(), config());
    let fragment = forged(&mut pair, 1, false, b"x");
    give(&mut pair, &fragment).unwrap();
    assert!(pair.server.sa().reassembly.is_some());
    pair.seconds(31);
    assert!(pair.server.sa().reassembly.is_none());
    assert!(pair.server.sa().is_established());
}
