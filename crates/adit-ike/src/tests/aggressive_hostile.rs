//! Messages of aggressive mode that are malformed, degenerate or prove nothing.

use super::aggressive::{assert_up, pair, sent, staff};
use super::*;
use crate::codec::{Builder, Payloads, Selector, exchange, kind};

/// Message 1 of a good client, to be changed.
fn first() -> (Pair, Vec<(u8, Vec<u8>)>) {
    let mut pair = pair();
    pair.connect();
    pair.run(Duration::ZERO);
    pair.flying.clear();
    let message = &pair.log[0].1.payload;
    let payloads = Payloads::parse(message[16], &message[28..]).unwrap();
    let list = payloads.iter().map(|p| (p.kind, p.body.to_vec())).collect();
    (pair, list)
}

/// What the server makes of a message 1 of these payloads.
fn offered(pair: &mut Pair, payloads: &[(u8, Vec<u8>)]) {
    let mut chain = Builder::new();
    for (kind, body) in payloads {
        chain.push(*kind, body).unwrap();
    }
    let message = pair.client.sa().plain(exchange::AGGRESSIVE, 0, &chain);
    let path = pair.client.sa().path();
    pair.server.sa = None;
    pair.server.refusal = None;
    let payload = message;
    pair.deliver(true, Transmit { path, payload });
}

#[test]
fn hostile_first_messages_make_no_state() {
    let (mut pair, good) = first();
    offered(&mut pair, &good);
    assert!(pair.server.sa.is_some());
    for kind in [kind::SA, kind::KE, kind::NONCE, kind::ID] {
        let without: Vec<_> = good.iter().filter(|p| p.0 != kind).cloned().collect();
        offered(&mut pair, &without);
        assert!(pair.server.sa.is_none(), "without {kind}");
        let mut twice = good.clone();
        let payload = good.iter().find(|p| p.0 == kind).unwrap().clone();
        twice.push(payload);
        offered(&mut pair, &twice);
        // What follows the leading SA is another one that nobody reads.
        assert_eq!(pair.server.sa.is_none(), kind != kind::SA, "{kind} twice");
    }
    for (kind, lengths) in [
        (kind::KE, [0, 1, 255, 257].as_slice()),
        (kind::NONCE, &[0, 7, 257]),
        (kind::ID, &[0, 3, 1029, 9000]),
    ] {
        for length in lengths {
            let mut changed = good.clone();
            let payload = changed.iter_mut().find(|p| p.0 == kind).unwrap();
            payload.1.resize(*length, 11);
            offered(&mut pair, &changed);
            assert!(pair.server.sa.is_none(), "{kind} of {length}");
            let refusal = pair.server.refusal.take().unwrap();
            assert_eq!(refusal.notify, None, "{kind} of {length}");
            assert!(
                matches!(refusal.reason, RefusalReason::Malformed(_)),
                "{kind} of {length}: {}",
                refusal.reason
            );
        }
    }
}

#[test]
fn degenerate_key_exchange_values_end_it_and_cookies_are_fresh() {
    let (mut pair, good) = first();
    let mut cookies = Vec::new();
    for public in degenerate::degenerate() {
        let mut changed = good.clone();
        changed.iter_mut().find(|p| p.0 == kind::KE).unwrap().1 = public;
        offered(&mut pair, &changed);
        cookies.push(pair.server.sa().cookies().1);
        pair.cut = true;
        pair.server.events.clear();
        pair.seconds(0);
        assert_eq!(pair.server.closed(), Some(&CloseReason::BadPublicValue));
        assert_eq!(sent(&pair, false, exchange::AGGRESSIVE), 0);
    }
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), 6);
    // Nor does a refusal use the cookie of anything else.
    let mut refused = Vec::new();
    for _ in 0..3 {
        let mut changed = good.clone();
        let sa = changed.iter_mut().find(|p| p.0 == kind::SA).unwrap();
        let authentication = sa.1.windows(4).position(|w| w == [0x80, 3, 0, 1]).unwrap();
        sa.1[authentication + 3] = 3;
        offered(&mut pair, &changed);
        let notify = pair.server.refusal.take().unwrap().notify.unwrap();
        refused.push(notify.payload[8..16].to_vec());
    }
    refused.extend(cookies.iter().map(|cookie| cookie.to_vec()));
    refused.sort();
    refused.dedup();
    assert_eq!(refused.len(), 9);
}

/// The pair after message 2, with message 3 caught.
fn before_third() -> (Pair, Vec<u8>) {
    let mut pair = pair();
    pair.connect();
    while sent(&pair, true, exchange::AGGRESSIVE) < 2 {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    let third = pair.log.last().unwrap().1.payload.clone();
    (pair, third)
}

fn give(pair: &mut Pair, message: &[u8]) -> Result<(), Error> {
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    sa.as_mut().unwrap().handle_message(path, message, now, rng)
}

fn id_of(id: IdValue) -> Vec<u8> {
    let (protocol, port) = (0, 0);
    Selector { id, protocol, port }.write()
}

#[test]
fn message_3_is_believed_for_its_hash_only_encrypted_or_not() {
    for encrypted in [true, false] {
        let (mut pair, _) = before_third();
        let right = pair.server.sa().proof(true, &id_of(staff()));
        let mirrored = pair
            .server
            .sa()
            .proof(false, &id_of(ip(DIRECT.server).into()));
        let other = pair
            .server
            .sa()
            .proof(true, &id_of(IdValue::Fqdn("staff".into())));
        let mut flipped = right.to_vec();
        flipped[0] ^= 1;
        let cases: Vec<Vec<(u8, Vec<u8>)>> = vec![
            vec![],
            vec![(kind::HASH, vec![])],
            vec![(kind::HASH, flipped)],
            vec![(kind::HASH, right[..31].to_vec())],
            vec![(kind::HASH, [&right[..], &[0]].concat())],
            vec![(kind::HASH, mirrored.to_vec())],
            vec![(kind::HASH, other.to_vec())],
            vec![(kind::HASH, right.to_vec()), (kind::HASH, right.to_vec())],
            vec![(kind::SIG, right.to_vec())],
            vec![(kind::HASH, right.to_vec()), (kind::SIG, vec![1])],
            vec![(kind::HASH, right.to_vec()), (33, vec![1])],
        ];
        let make = |sa: &IkeSa, payloads: &[(u8, Vec<u8>)]| {
            let mut chain = Builder::new();
            for (kind, body) in payloads {
                chain.push(*kind, body).unwrap();
            }
            match encrypted {
                true => sa.forge(&chain),
                false => sa.plain(exchange::AGGRESSIVE, 0, &chain),
            }
        };
        for (at, case) in cases.iter().enumerate() {
            let message = make(pair.server.sa(), case);
            assert!(give(&mut pair, &message).is_err(), "{encrypted} {at}");
            assert!(!pair.server.sa().is_established(), "{encrypted} {at}");
        }
        let good = make(pair.server.sa(), &[(kind::HASH, right.to_vec())]);
        give(&mut pair, &good).unwrap();
        assert!(pair.server.sa().is_established());
        // Without NAT-D payloads nobody speaks of NAT.
        pair.run(Duration::ZERO);
        assert_eq!(pair.server.phase1().unwrap().nat_t, None);
        assert_eq!(pair.server.phase1().unwrap().peer_id, staff());
    }
}

#[test]
fn main_mode_and_aggressive_mode_do_not_mix() {
    let (mut pair, third) = before_third();
    let mut main = third.clone();
    main[18] = exchange::MAIN;
    assert_eq!(give(&mut pair, &main), Err(Error::Exchange(exchange::MAIN)));
    give(&mut pair, &third).unwrap();
    assert!(pair.server.sa().is_established());
    // Message 3 again is a repetition without an answer.
    give(&mut pair, &third).unwrap();
    assert_eq!(pair.server.sa().stats().duplicates, 1);
}

#[test]
fn a_quick_mode_before_message_3_is_answered_a_bounded_number_of_times() {
    let (mut pair, third) = before_third();
    let mut quick = third.clone();
    quick[18] = exchange::QUICK;
    quick[20..24].copy_from_slice(&[1, 2, 3, 4]);
    pair.cut = true;
    for _ in 0..50 {
        assert_eq!(give(&mut pair, &quick), Err(Error::Premature));
    }
    pair.run(Duration::ZERO);
    // Message 2 itself, and ten more.
    assert_eq!(sent(&pair, false, exchange::AGGRESSIVE), 11);
}

#[test]
fn a_client_believes_message_2_for_its_hash_only() {
    let mut pair = pair();
    pair.connect();
    while sent(&pair, false, exchange::AGGRESSIVE) < 1 {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    let (_, second) = pair.log.last().unwrap().clone();
    let payloads = Payloads::parse(second.payload[16], &second.payload[28..]).unwrap();
    let header = parse_header(&second.payload).unwrap();
    let changed = |change: &dyn Fn(u8, &mut Vec<u8>)| {
        let mut chain = Builder::new();
        for payload in payloads.iter() {
            let mut body = payload.body.to_vec();
            change(payload.kind, &mut body);
            chain.push(payload.kind, &body).unwrap();
        }
        header.write(chain.bytes())
    };
    type Change = dyn Fn(u8, &mut Vec<u8>);
    let cases: [&Change; 4] = [
        &|kind, body| {
            if kind == kind::HASH {
                body[0] ^= 1;
            }
        },
        &|kind, body| {
            if kind == kind::HASH {
                body.clear();
            }
        },
        &|kind, body| {
            if kind == kind::ID {
                body[7] ^= 1;
            }
        },
        &|kind, body| {
            if kind == kind::NONCE {
                body[0] ^= 1;
            }
        },
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let mut pair = aggressive::pair();
        pair.connect();
        pair.run(Duration::ZERO);
        pair.cut = true;
        let payload = changed(case);
        pair.deliver(
            false,
            Transmit {
                path: second.path,
                payload,
            },
        );
        pair.run(Duration::ZERO);
        let reason = Some(&CloseReason::AuthenticationFailed);
        assert_eq!(pair.client.closed(), reason, "{at}");
    }
    // Our own key exchange value played back, which would make both hashes alike.
    let own = {
        let message = &pair.log[0].1.payload;
        let payloads = Payloads::parse(message[16], &message[28..]).unwrap();
        payloads.required(kind::KE).unwrap().to_vec()
    };
    let mirrored = changed(&|kind, body| {
        if kind == kind::KE {
            body.clone_from(&own);
        }
    });
    let path = pair.client.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.client;
    let taken = sa
        .as_mut()
        .unwrap()
        .handle_message(path, &mirrored, now, rng);
    assert!(matches!(taken, Err(Error::Unexpected(_))));
    // Which has cost nothing.
    let payload = second.payload.clone();
    pair.deliver(
        false,
        Transmit {
            path: second.path,
            payload,
        },
    );
    pair.seconds(2);
    assert_up(&mut pair);
}
