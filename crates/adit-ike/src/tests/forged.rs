//! Messages that are encrypted under the right keys and prove nothing: hashes that are wrong, cut,
//! too long, empty or absent.

use super::*;
use crate::codec::{Builder, Selector, exchange, kind};

fn wrong_hashes(right: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut flipped = right.to_vec();
    flipped[0] ^= 1;
    vec![
        Some(flipped),
        Some(right[..right.len() - 1].to_vec()),
        Some(right[..1].to_vec()),
        Some([right, &[0]].concat()),
        Some([right, right].concat()),
        Some(Vec::new()),
        None,
    ]
}

/// Runs until `count` messages have been sent, without delivering the last one.
fn until(count: usize) -> Pair {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.connect();
    while pair.log.len() < count {
        pair.run(Duration::from_millis(5));
    }
    pair
}

fn id(text: &str) -> Vec<u8> {
    let id = ip(text).into();
    Selector {
        id,
        protocol: 0,
        port: 0,
    }
    .write()
}

fn identity(id: &[u8], hash: Option<&[u8]>) -> Builder {
    let mut chain = Builder::new();
    chain.push(kind::ID, id).unwrap();
    if let Some(hash) = hash {
        chain.push(kind::HASH, hash).unwrap();
    }
    chain
}

#[test]
fn message_5_is_believed_for_its_hash_only() {
    let mut pair = until(5);
    let path = pair.server.sa().path();
    let now = pair.now;
    let id = id(DIRECT.client);
    let right = pair.server.sa().proof(true, &id);
    let seal = |sa: &IkeSa, id: &[u8], hash: Option<&[u8]>| sa.forge(&identity(id, hash));
    for hash in wrong_hashes(&right) {
        let forged = seal(pair.server.sa(), &id, hash.as_deref());
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        assert!(
            sa.handle_message(path, &forged, now, rng).is_err(),
            "{hash:?}"
        );
        assert!(!sa.is_established());
    }
    // The right hash over another identity, and our own hash sent back to us.
    let other = self::id("192.0.2.99");
    let forged = seal(pair.server.sa(), &other, Some(&right));
    let mirrored = pair.server.sa().proof(false, &id);
    let mirrored = seal(pair.server.sa(), &id, Some(&mirrored));
    let good = seal(pair.server.sa(), &id, Some(&right));
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    assert!(sa.handle_message(path, &forged, now, rng).is_err());
    assert!(sa.handle_message(path, &mirrored, now, rng).is_err());
    sa.handle_message(path, &good, now, rng).unwrap();
    assert!(sa.is_established());
}

#[test]
fn message_6_is_believed_for_its_hash_only() {
    let mut pair = until(5);
    let path = pair.client.sa().path();
    let now = pair.now;
    let id = id(DIRECT.server);
    let sa = pair.client.sa();
    let right = sa.proof(false, &id);
    let iv = sa.keys.as_ref().unwrap().iv;
    for hash in wrong_hashes(&right) {
        let chain = identity(&id, hash.as_deref());
        let sa = pair.client.sa();
        let forged = sa.sealed((exchange::MAIN, 0), &iv, &chain).unwrap().0;
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        assert!(
            sa.handle_message(path, &forged, now, rng).is_err(),
            "{hash:?}"
        );
        assert!(!sa.is_established());
    }
    // None of them has cost the negotiation.
    pair.seconds(2);
    assert!(pair.client.sa().is_established());
}

#[test]
fn message_3_of_quick_mode_is_believed_for_its_hash_only() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.start_quick(true, false);
    pair.run(Duration::from_millis(15));
    pair.cut = true;
    let path = pair.server.sa().path();
    let now = pair.now;
    let confirmed = |event: &Event| matches!(event, Event::ChildConfirmed { .. });
    let (message_id, iv, right) = pair.server.sa().hash3_expected();
    for hash in wrong_hashes(&right)
        .into_iter()
        .chain([Some(right.clone())])
    {
        let mut chain = Builder::new();
        match &hash {
            Some(hash) => chain.push(kind::HASH, hash).unwrap(),
            None => chain.push(kind::NONCE, &[1; 16]).unwrap(),
        };
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        let third = sa
            .sealed((exchange::QUICK, message_id), &iv, &chain)
            .unwrap()
            .0;
        let taken = sa.handle_message(path, &third, now, rng).is_ok();
        assert_eq!(taken, hash.as_ref() == Some(&right), "{hash:?}");
        pair.run(Duration::ZERO);
        assert_eq!(pair.server.has(confirmed), taken);
    }
}

#[test]
fn an_initiator_is_not_led_elsewhere() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let before = pair.client.sa().path();
    let moved = Path {
        remote: SocketAddr::new(ip("203.0.113.9"), 500),
        ..before
    };
    let question = {
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        sa.ask_alive(1, rng);
        sa.poll_transmit().unwrap().payload
    };
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.client;
    let sa = sa.as_mut().unwrap();
    sa.handle_message(moved, &question, now, rng).unwrap();
    assert_eq!(sa.path(), before);
    assert_eq!(sa.poll_transmit().unwrap().path, before);
}

#[test]
fn our_own_message_3_is_no_answer_to_it() {
    // Both hashes of main mode are the same where both public values and both cookies are.
    let mut pair = until(3);
    let path = pair.client.sa().path();
    let third = pair.log[2].1.payload.clone();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.client;
    let taken = sa.as_mut().unwrap().handle_message(path, &third, now, rng);
    assert!(matches!(taken, Err(Error::Unexpected(_))), "{taken:?}");
    // It has cost nothing.
    pair.seconds(2);
    assert!(pair.client.sa().is_established());
}
