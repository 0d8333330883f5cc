//! Peers that do not play by the rules: before they are authenticated, and after.

use super::*;
use crate::codec::{
    Attributes, Builder, Delete, Proposal, SecurityAssociation, Transform, exchange, kind,
};

/// A responder that has answered the first message of the golden Windows, and its path.
fn half_open() -> (Pair, Path) {
    let mut pair = Pair::new(Config::default(), Config::default());
    let path = Path {
        channel: Channel::Ike,
        local: SocketAddr::new(ip(DIRECT.server), 500),
        remote: SocketAddr::new(ip(DIRECT.client), 500),
    };
    let payload = windows::first_message();
    let local = path.remote;
    let remote = path.local;
    let out = Path {
        channel: Channel::Ike,
        local,
        remote,
    };
    pair.deliver(true, Transmit { path: out, payload });
    (pair, path)
}

/// Message 3 with this key exchange value.
fn third(pair: &mut Pair, public: &[u8], nonce: usize) -> Vec<u8> {
    let mut chain = Builder::new();
    chain.push(kind::KE, public).unwrap();
    chain.push(kind::NONCE, &vec![7; nonce]).unwrap();
    pair.server.sa().plain(exchange::MAIN, 0, &chain)
}

fn give(pair: &mut Pair, path: Path, message: &[u8]) -> Result<(), Error> {
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    sa.as_mut().unwrap().handle_message(path, message, now, rng)
}

#[test]
fn key_exchange_values_of_the_wrong_length_are_dropped() {
    let (mut pair, path) = half_open();
    for length in [0, 1, 95, 97, 256] {
        let message = third(&mut pair, &vec![1; length], 16);
        assert!(matches!(
            give(&mut pair, path, &message),
            Err(Error::Malformed(DecodeError::KeyExchange { .. }))
        ));
    }
    for nonce in [0, 7, 257] {
        let message = third(&mut pair, &[1; 96], nonce);
        assert!(matches!(
            give(&mut pair, path, &message),
            Err(Error::Malformed(DecodeError::Nonce(_)))
        ));
    }
    assert_eq!(pair.server.sa().stats().malformed, 8);
    assert!(pair.server.sa().poll_job().is_none());
}

#[test]
fn a_key_exchange_value_that_is_not_valid_ends_this_negotiation_only() {
    for byte in [0, 1, 0xff] {
        let (mut pair, path) = half_open();
        let message = third(&mut pair, &[byte; 96], 16);
        give(&mut pair, path, &message).unwrap();
        pair.cut = true;
        pair.seconds(0);
        assert_eq!(pair.server.closed(), Some(&CloseReason::BadPublicValue));
        let (_, notify) = pair.log.last().unwrap();
        assert!(
            notify.payload.ends_with(&[0, 17]),
            "INVALID-KEY-INFORMATION"
        );
    }
}

#[test]
fn first_messages_that_create_no_state() {
    let mut pair = Pair::new(Config::default(), Config::default());
    let path = half_open().1;
    let psk = credentials("x");
    let good = windows::first_message();
    let mut try_it = |message: &[u8]| {
        let rng = &mut pair.server.rng;
        IkeSa::accept(&pair.server.config, &psk, path, message, pair.now, rng).expect_err("refused")
    };
    for length in 0..good.len() {
        let refusal = try_it(&good[..length]);
        assert!(refusal.notify.is_none());
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(try_it(&with(15, 1)).reason, RefusalReason::NotFirst);
    assert_eq!(try_it(&with(19, 1)).reason, RefusalReason::NotFirst);
    assert_eq!(try_it(&with(23, 1)).reason, RefusalReason::NotFirst);
    let aggressive = try_it(&with(18, 4));
    assert_eq!(aggressive.reason, RefusalReason::Exchange(4));
    assert!(aggressive.notify.is_some());
    let ikev2 = try_it(&with(17, 0x20));
    assert_eq!(
        ikev2.reason,
        RefusalReason::Malformed(DecodeError::Version(0x20))
    );
    let payload = try_it(&with(16, 33));
    assert_eq!(
        payload.reason,
        RefusalReason::Malformed(DecodeError::PayloadKind(33))
    );
}

#[test]
fn notifications_in_the_clear_are_only_counted() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let mut chain = Builder::new();
    chain
        .push(kind::NOTIFY, &[0, 0, 0, 1, 1, 0, 0, 14])
        .unwrap();
    let body = Delete::isakmp(pair.server.sa().both_cookies());
    chain.push(kind::DELETE, &body).unwrap();
    let message = pair.server.sa().plain(exchange::INFORMATIONAL, 7, &chain);
    give(&mut pair, path, &message).unwrap();
    assert_eq!(pair.server.sa().stats().plain_notifies, 1);
    let back = pair.client.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.client;
    sa.as_mut()
        .unwrap()
        .handle_message(back, &message, now, rng)
        .unwrap();
    pair.seconds(1);
    assert!(pair.server.sa().is_established() && pair.client.sa().is_established());
}

#[test]
fn an_informational_without_its_hash_changes_nothing() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let sa = pair.client.sa();
    let iv = {
        let keys = sa.keys.as_ref().unwrap();
        keys.crypt.phase2_iv(&keys.iv, 77)
    };
    let delete = Delete::isakmp(sa.both_cookies());
    let mut bare = Builder::new();
    bare.push(kind::DELETE, &delete).unwrap();
    let mut wrong = Builder::new();
    wrong
        .push(kind::HASH, &[0; 48])
        .unwrap()
        .push(kind::DELETE, &delete)
        .unwrap();
    let mut empty = Builder::new();
    empty
        .push(kind::HASH, &[])
        .unwrap()
        .push(kind::DELETE, &delete)
        .unwrap();
    let mut second = Builder::new();
    second
        .push(kind::DELETE, &delete)
        .unwrap()
        .push(kind::HASH, &[0; 48])
        .unwrap();
    for chain in [bare, wrong, empty, second] {
        let (message, _) = pair.client.sa().sealed((5, 77), &iv, &chain).unwrap();
        assert!(give(&mut pair, path, &message).is_err());
    }
    pair.seconds(1);
    assert!(pair.server.sa().is_established());
}

#[test]
fn a_delete_beside_a_notification_and_twice_is_harmless() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let sa = pair.client.sa();
    let iv = {
        let keys = sa.keys.as_ref().unwrap();
        keys.crypt.phase2_iv(&keys.iv, 78)
    };
    let mut rest = Builder::new();
    for _ in 0..2 {
        rest.push(kind::DELETE, &Delete::esp(0xabcd)).unwrap();
        rest.push(kind::NOTIFY, &[0, 0, 0, 1, 3, 0, 0, 11]).unwrap();
        rest.push(kind::DELETE, &Delete::isakmp([9; 16])).unwrap();
    }
    let (message, _) = sa.hashed((5, 78), &iv, &[], &rest).unwrap().unwrap();
    give(&mut pair, path, &message).unwrap();
    assert_eq!(give(&mut pair, path, &message), Err(Error::Replayed(78)));
    pair.seconds(1);
    let deleted = |event: &&Event| {
        matches!(
            event,
            Event::ChildDeleted {
                outbound_spi: 0xabcd
            }
        )
    };
    assert_eq!(pair.server.events.iter().filter(deleted).count(), 2);
    assert!(
        pair.server
            .has(|event| matches!(event, Event::PeerNotify { kind: 11 }))
    );
    assert!(pair.server.sa().is_established());
}

/// One ESP transform with these attributes.
fn esp(protocol: u8, number: u8, id: u8, attributes: &str) -> (u8, u8, u8, Vec<u8>) {
    (protocol, number, id, hex::decode(attributes).unwrap())
}

/// Sends an authentic first message of Quick Mode whose payloads behind the hash are `rest`.
fn quick1(pair: &mut Pair, message_id: u32, rest: &Builder) -> Result<(), Error> {
    let path = pair.server.sa().path();
    let sa = pair.client.sa();
    let iv = {
        let keys = sa.keys.as_ref().unwrap();
        keys.crypt.phase2_iv(&keys.iv, message_id)
    };
    let (message, _) = sa
        .hashed((32, message_id), &iv, &[], rest)
        .unwrap()
        .unwrap();
    give(pair, path, &message)
}

fn sa_payload(list: &[(u8, u8, u8, Vec<u8>)]) -> Vec<u8> {
    let proposals = list
        .iter()
        .map(|(protocol, number, id, attributes)| Proposal {
            number: *number,
            protocol: *protocol,
            spi: &[0, 0, 0x12, 0x34],
            transforms: vec![Transform {
                number: 1,
                id: *id,
                attributes: Attributes::parse(attributes).unwrap(),
            }],
        })
        .collect();
    SecurityAssociation { proposals }.write().unwrap()
}

#[test]
fn proposals_that_must_not_be_chosen() {
    // Transport mode with SHA-1, and more.
    const SHA1: &str = "8004000280050002";
    const AES256: &str = "800400028005000280060100";
    for list in [
        vec![esp(3, 1, 2, SHA1)],
        vec![esp(3, 1, 11, SHA1)],
        vec![esp(3, 1, 11, "80040002")],
        vec![esp(2, 1, 3, SHA1)],
        vec![esp(2, 1, 3, SHA1), esp(3, 1, 12, AES256)],
        vec![esp(3, 1, 12, AES256), esp(4, 1, 2, "80040002")],
        vec![esp(3, 1, 12, "800400018005000280060100")],
        vec![esp(3, 1, 12, "8004000380050002800601008003000e")],
        vec![esp(3, 1, 12, "8005000280060100")],
        vec![esp(3, 1, 12, "80040002800500028006010080060100")],
        vec![esp(3, 1, 12, "8004000280060100")],
        vec![esp(3, 1, 20, "800400028005000280060100")],
        vec![esp(3, 1, 12, "800400028005000280060000")],
        vec![esp(3, 1, 12, "8004000280050002800601008003000e")],
        vec![esp(3, 1, 12, "800400028005000280060100800b0002")],
        vec![],
    ] {
        let mut pair = Pair::established(Config::default(), Config::default());
        let mut rest = Builder::new();
        rest.push(kind::SA, &sa_payload(&list)).unwrap();
        rest.push(kind::NONCE, &[5; 16]).unwrap();
        quick1(&mut pair, 1, &rest).unwrap();
        pair.seconds(1);
        assert!(
            matches!(
                pair.server.failures()[..],
                [ChildFailure::NoProposalChosen { .. }]
            ),
            "{list:?}"
        );
        assert_eq!(pair.server.sa().stats().quick_modes_refused, 1);
    }
}

#[test]
fn windows_alternatives_and_absent_identities_are_taken() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let list = [
        esp(3, 1, 2, "8004000280050002"),
        esp(3, 2, 11, "8004000280050002"),
        esp(
            3,
            3,
            12,
            "80010001000200040000 0e10 80010002 00020004 0003d090 80040002 80050002 80060100"
                .replace(' ', "")
                .as_str(),
        ),
        esp(3, 4, 3, "8004000280050002"),
    ];
    let mut rest = Builder::new();
    rest.push(kind::SA, &sa_payload(&list)).unwrap();
    rest.push(kind::NONCE, &[5; 48]).unwrap();
    quick1(&mut pair, 1, &rest).unwrap();
    pair.cut = true;
    pair.seconds(0);
    let child = &pair.server.children()[0];
    assert_eq!(child.suite.name(), "AES-CBC-256/HMAC-SHA1-96");
    assert_eq!(child.outbound_spi, 0x1234);
    assert_eq!(child.lifetime_kilobytes, Some(250_000));
    assert_eq!(child.lifetime_seconds, Duration::from_secs(3600));
    assert_eq!(child.remote.id, IdValue::from(ip(DIRECT.client)));
    assert_eq!((child.remote.protocol, child.remote.port), (0, 0));
}

#[test]
fn authentic_but_malformed_quick_modes() {
    const AES256: &str = "800400028005000280060100";
    let good = sa_payload(&[esp(3, 1, 12, AES256)]);
    let id = [1, 17, 0x06, 0xa5, 10, 0, 0, 1];
    let cases: &[&[(u8, &[u8])]] = &[
        &[],
        &[(kind::SA, &good)],
        &[(kind::NONCE, &[1; 16])],
        &[(kind::SA, &good), (kind::NONCE, &[1; 7])],
        &[
            (kind::SA, &good),
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
        ],
        &[(kind::SA, &good), (kind::NONCE, &[1; 16]), (kind::ID, &id)],
        &[
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
            (kind::ID, &id),
            (kind::ID, &id[..7]),
        ],
        &[
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
            (kind::ID, &id),
            (kind::ID, &[]),
        ],
        // An empty name is no identity of any type.
        &[
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
            (kind::ID, &id),
            (kind::ID, &[2, 17]),
        ],
        &[(kind::SA, &good[..20]), (kind::NONCE, &[1; 16])],
        &[
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
            (kind::NAT_OA, &[1, 0, 0]),
        ],
        &[(kind::SA, &good), (kind::NONCE, &[1; 16]), (33, &[1, 0, 0])],
        &[
            (kind::SA, &good),
            (kind::NONCE, &[1; 16]),
            (kind::KE, &[]),
            (kind::KE, &[]),
        ],
    ];
    for (case, payloads) in cases.iter().enumerate() {
        let mut pair = Pair::established(Config::default(), Config::default());
        let mut rest = Builder::new();
        for (kind, body) in *payloads {
            rest.push(*kind, body).unwrap();
        }
        let result = quick1(&mut pair, 1, &rest);
        assert!(
            matches!(result, Err(Error::Malformed(_))),
            "{case}: {result:?}"
        );
        pair.seconds(1);
        assert!(pair.server.children().is_empty());
        assert!(pair.server.sa().is_established());
        // What was authentic is answered; a chain that cannot be read may be anyone's.
        let told = pair
            .log
            .iter()
            .any(|(to_server, t)| !to_server && t.payload[18] == exchange::INFORMATIONAL);
        let readable = payloads.iter().all(|(kind, _)| *kind != 33);
        assert_eq!(told, readable, "{case}");
    }
}

#[test]
fn a_quick_mode_played_back_is_refused() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let before = pair.log.len();
    pair.start_quick(true, false);
    pair.seconds(1);
    let first = pair.log[before].1.payload.clone();
    let path = pair.server.sa().path();
    // While it is remembered it is a repetition with nothing to answer, later it is refused.
    let sent = pair.server.sa().stats().sent;
    give(&mut pair, path, &first).ok();
    pair.seconds(100);
    assert!(matches!(
        give(&mut pair, path, &first),
        Err(Error::Replayed(_))
    ));
    assert_eq!(pair.server.children().len(), 1);
    let dpd = pair.server.sa().stats();
    assert_eq!(dpd.sent, sent + dpd.dpd_sent + dpd.dpd_answered);
}

#[test]
fn our_own_messages_played_back_to_us_are_refused() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    sa.delete_child(0x1234, pair.now, rng);
    let own = sa.poll_transmit().unwrap().payload;
    assert!(matches!(
        give(&mut pair, path, &own),
        Err(Error::Replayed(_))
    ));
}

#[test]
fn quick_modes_of_a_peer_are_limited() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let good = sa_payload(&[esp(3, 1, 12, "800400028005000280060100")]);
    let mut rest = Builder::new();
    rest.push(kind::SA, &good).unwrap();
    rest.push(kind::NONCE, &[5; 16]).unwrap();
    for id in 1..=8 {
        quick1(&mut pair, id, &rest).unwrap();
    }
    assert_eq!(quick1(&mut pair, 9, &rest), Err(Error::TooManyExchanges));
    assert_eq!(pair.server.sa().stats().over_limit, 1);
}

#[test]
fn foreign_cookies_and_exchanges_are_refused() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let message = pair.log[4].1.payload.clone();
    for (at, error) in [
        (0, Error::Cookies),
        (8, Error::Cookies),
        (18, Error::Exchange(3)),
    ] {
        let mut other = message.clone();
        other[at] ^= 1;
        assert_eq!(give(&mut pair, path, &other), Err(error));
    }
    for exchange in [4, 6, 33, 34, 0, 255] {
        let mut other = message.clone();
        other[18] = exchange;
        assert_eq!(
            give(&mut pair, path, &other),
            Err(Error::Exchange(exchange))
        );
    }
}

proptest::proptest! {
    #[test]
    fn changed_messages_never_end_an_sa(
        at in 0_usize..600, bits in 1_u8..=255, which in 0_usize..8, cut in 0_usize..40,
    ) {
        let mut pair = Pair::established(Config::default(), Config::default());
        pair.start_quick(true, false);
        pair.seconds(1);
        let messages: Vec<_> = pair.log.iter().map(|(_, t)| t.payload.clone()).collect();
        let mut message = messages[which % messages.len()].clone();
        let length = message.len();
        message[at % length] ^= bits;
        message.truncate(length - cut);
        let path = pair.server.sa().path();
        give(&mut pair, path, &message).ok();
        let back = pair.client.sa().path();
        let now = pair.now;
        let Host { sa, rng, .. } = &mut pair.client;
        sa.as_mut().unwrap().handle_message(back, &message, now, rng).ok();
        pair.seconds(1);
        proptest::prop_assert!(pair.server.sa().is_established());
        proptest::prop_assert!(pair.client.sa().is_established());
        proptest::prop_assert_eq!(pair.server.children().len(), 1);
    }
}

/// The responder's identity may be a name: nothing is looked up by it, and it says no address.
#[test]
fn quick_modes_between_names_are_for_l2tp_or_refused() {
    const AES256: &str = "800400028005000280060100";
    let good = sa_payload(&[esp(3, 1, 12, AES256)]);
    let name = |protocol: u8, port: u16, text: &[u8]| {
        let mut id = vec![2, protocol];
        id.extend(port.to_be_bytes());
        id.extend(text);
        id
    };
    let long = vec![b'x'; 60_000];
    for (responder, taken) in [
        (name(17, 1701, b"vpn.example"), true),
        (name(17, 1701, &[0; 300]), true),
        (name(17, 1701, &long), true),
        (name(17, 1702, b"vpn.example"), false),
        (name(6, 1701, b"vpn.example"), false),
    ] {
        let mut pair = Pair::established(Config::default(), Config::default());
        let mut rest = Builder::new();
        rest.push(kind::SA, &good).unwrap();
        rest.push(kind::NONCE, &[5; 16]).unwrap();
        rest.push(kind::ID, &name(17, 1701, b"client.example"))
            .unwrap();
        rest.push(kind::ID, &responder).unwrap();
        quick1(&mut pair, 1, &rest).unwrap();
        pair.seconds(1);
        assert_eq!(pair.server.children().len(), usize::from(taken));
        let refused = matches!(pair.server.failures()[..], [ChildFailure::Selectors { .. }]);
        assert_eq!(refused, !taken);
        assert!(pair.server.sa().is_established());
    }
}

#[test]
fn questions_with_no_state_are_not_answered() {
    // R-U-THERE in the clear, to an SA that is half open, and to one that is there.
    let question = |pair: &mut Pair| {
        let cookies = pair.server.sa().both_cookies();
        let body = codec::Notify {
            protocol: 1,
            spi: &cookies,
            kind: 36_136,
            data: &[0, 0, 0, 1],
        }
        .write()
        .unwrap();
        let mut chain = Builder::new();
        chain.push(kind::NOTIFY, &body).unwrap();
        pair.server.sa().plain(exchange::INFORMATIONAL, 9, &chain)
    };
    let (mut half_open, path) = half_open();
    while half_open.server.sa().poll_transmit().is_some() {}
    let plain = question(&mut half_open);
    give(&mut half_open, path, &plain).unwrap();
    let mut encrypted = plain.clone();
    encrypted[19] |= 1;
    assert_eq!(
        give(&mut half_open, path, &encrypted),
        Err(Error::Premature)
    );
    assert!(half_open.server.sa().poll_transmit().is_none());
    assert_eq!(half_open.server.sa().stats().dpd_answered, 0);

    let mut pair = Pair::established(Config::default(), Config::default());
    let path = pair.server.sa().path();
    let plain = question(&mut pair);
    give(&mut pair, path, &plain).unwrap();
    assert!(pair.server.sa().poll_transmit().is_none());
    assert_eq!(pair.server.sa().stats().dpd_answered, 0);
    assert_eq!(pair.server.sa().stats().plain_notifies, 1);
}
