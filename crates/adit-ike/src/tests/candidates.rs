//! A responder that has a pre-shared key for each of many.

use super::*;
use crate::codec::{Builder, Selector, kind};

fn key(text: &str, identity: Option<IdValue>) -> PreSharedKey {
    PreSharedKey {
        key: Arc::new(Psk::new(text)),
        identity,
        aggressive: false,
    }
}

fn fqdn(name: &str) -> Option<IdValue> {
    Some(IdValue::Fqdn(name.into()))
}

fn keys(psks: Vec<PreSharedKey>) -> Arc<Credentials> {
    Arc::new(Credentials {
        psks,
        ..Credentials::default()
    })
}

/// Connects a client that says it is `identity` and has the key `psk`.
fn connected(server: &Arc<Credentials>, identity: Option<IdValue>, psk: &str) -> Pair {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.server.credentials = Arc::clone(server);
    pair.client.credentials = credentials(psk);
    pair.client.opening = identity.map(Opening::main);
    pair.connect();
    pair.seconds(2);
    pair
}

#[test]
fn each_client_comes_by_its_own_key() {
    let server = keys(vec![
        key("key of ada", fqdn("ada")),
        key("key of bob", fqdn("bob")),
        key("key of the house", None),
    ]);
    for (identity, psk, comes) in [
        (fqdn("ada"), "key of ada", true),
        (fqdn("bob"), "key of bob", true),
        (None, "key of the house", true),
        (fqdn("ada"), "key of the house", true),
        (fqdn("ada"), "key of bob", false),
        (fqdn("bob"), "key of ada", false),
        (None, "key of ada", false),
        (fqdn("Ada"), "key of ada", false),
        (fqdn("adam"), "key of ada", false),
        (fqdn("ada"), "key of nobody", false),
        (fqdn("ada"), "", false),
        // The same name, as another type of identity.
        (Some(IdValue::KeyId(b"bob".to_vec())), "key of bob", true),
        (Some(IdValue::UserFqdn("bob".into())), "key of bob", true),
        (
            Some(IdValue::DistinguishedName(b"bob".to_vec())),
            "key of bob",
            false,
        ),
    ] {
        let mut pair = connected(&server, identity.clone(), psk);
        let case = format!("{identity:?} by {psk}");
        assert_eq!(pair.server.sa().is_established(), comes, "{case}");
        assert_eq!(pair.client.sa().is_established(), comes, "{case}");
        let failing = |event: &Event| matches!(event, Event::AuthenticationFailing { .. });
        assert_eq!(pair.server.has(failing), !comes, "{case}");
        if comes {
            pair.start_quick(true, false);
            pair.seconds(1);
            assert_fit(&pair.client.children()[0], &pair.server.children()[0]);
        } else {
            assert_eq!(
                pair.client.closed(),
                Some(&CloseReason::AuthenticationFailed)
            );
        }
    }
}

#[test]
fn one_key_may_stand_for_several_names() {
    let server = keys(vec![key("one", fqdn("ada")), key("one", fqdn("bob"))]);
    for name in ["ada", "bob"] {
        let mut pair = connected(&server, fqdn(name), "one");
        assert!(pair.server.sa().is_established());
        assert_eq!(pair.server.phase1().unwrap().peer_id, fqdn(name).unwrap());
    }
}

#[test]
fn no_more_keys_are_tried_than_the_limit() {
    let list = |count: usize| {
        let mut list: Vec<_> = (1..count).map(|n| key(&n.to_string(), None)).collect();
        list.push(key("the last", None));
        keys(list)
    };
    let mut pair = connected(&list(MAX_PSKS), None, "the last");
    assert!(pair.server.sa().is_established());
    let mut pair = connected(&list(MAX_PSKS + 1), None, "the last");
    assert!(!pair.server.sa().is_established());
}

#[test]
fn a_forged_message_5_costs_little_and_the_right_one_still_comes_through() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.server.credentials = keys((0..16).map(|n| key(&n.to_string(), None)).collect());
    pair.client.credentials = credentials("15");
    pair.connect();
    while pair.log.len() < 5 {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    let fifth = pair.log[4].1.clone();
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    let header = parse_header(&fifth.payload).unwrap();
    for length in [0, 1, 15, 16, 17, 4064, 4080, 60_000] {
        let forged = header.write(&vec![0x5a; length]);
        let error = sa.handle_message(path, &forged, now, rng).unwrap_err();
        if length > 4068 {
            let too_long = DecodeError::TooMany {
                what: "bytes in message 5",
                limit: 4096,
            };
            assert_eq!(error, Error::Malformed(too_long));
        }
    }
    // Right hash of the first key, but for no identification at all.
    let mut chain = Builder::new();
    let id = Selector {
        id: ip(DIRECT.client).into(),
        protocol: 0,
        port: 0,
    };
    let hash = sa.proof(true, &id.write());
    chain.push(kind::HASH, &hash).unwrap();
    let forged = sa.forge(&chain);
    let refused = sa.handle_message(path, &forged, now, rng).unwrap_err();
    assert_eq!(refused, Error::Malformed(DecodeError::Missing(kind::ID)));
    assert!(!sa.is_established());
    sa.handle_message(path, &fifth.payload, now, rng).unwrap();
    assert!(sa.is_established());
    let failing = |event: &Event| matches!(event, Event::AuthenticationFailing { .. });
    pair.seconds(0);
    assert_eq!(pair.server.events.iter().filter(|e| failing(e)).count(), 1);
}

#[test]
fn long_identifications_are_refused() {
    for (length, taken) in [(0, true), (1024, true), (1025, false), (3000, false)] {
        let name = IdValue::KeyId(vec![b'x'; length]);
        let server = credentials("a shared secret");
        let mut pair = connected(&server, Some(name), "a shared secret");
        assert_eq!(pair.server.sa().is_established(), taken, "{length}");
    }
}
