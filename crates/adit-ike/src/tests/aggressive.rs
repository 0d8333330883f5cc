//! Aggressive mode: between two ends, through NAT and loss, and with those who have no key.

use super::*;
use crate::codec::exchange;
use adit_crypto::{BlockCipher, Group, Hash};

fn config() -> Config {
    Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha2_256,
            group: Group::Modp2048,
        }],
        ..Config::default()
    }
}

fn group_key(name: &str, key: &str) -> Credentials {
    Credentials {
        psks: vec![PreSharedKey {
            key: Arc::new(Psk::new(key)),
            identity: Some(IdValue::KeyId(name.into())),
            aggressive: true,
        }],
        ..Credentials::default()
    }
}

/// A client that comes as `identity`, to a server that knows the group "staff".
fn pair_as(identity: IdValue) -> Pair {
    let mut pair = Pair::new(config(), config());
    pair.client.opening = Some(Opening {
        identity,
        mode: Mode::Aggressive,
        peer: None,
    });
    pair.client.credentials = credentials("key of the staff");
    pair.server.credentials = Arc::new(group_key("staff", "key of the staff"));
    pair
}

pub(super) fn staff() -> IdValue {
    IdValue::KeyId(b"staff".to_vec())
}

pub(super) fn pair() -> Pair {
    pair_as(staff())
}

/// How many messages of this exchange were sent, by the client or the server.
pub(super) fn sent(pair: &Pair, by_client: bool, exchange: u8) -> usize {
    let of = |(to_server, transmit): &&(bool, Transmit)| {
        *to_server == by_client && transmit.payload[18] == exchange
    };
    pair.log.iter().filter(of).count()
}

pub(super) fn assert_up(pair: &mut Pair) {
    assert!(
        pair.client.sa().is_established(),
        "{:?}",
        pair.client.events
    );
    assert!(
        pair.server.sa().is_established(),
        "{:?}",
        pair.server.errors
    );
    let nat = pair.server.phase1().unwrap().encapsulate;
    pair.start_quick(true, nat);
    pair.seconds(2);
    assert_fit(&pair.client.children()[0], &pair.server.children()[0]);
}

#[test]
fn a_group_comes_in_three_messages() {
    for identity in [
        staff(),
        IdValue::Fqdn("staff".into()),
        IdValue::UserFqdn("staff".into()),
    ] {
        let mut pair = pair_as(identity.clone());
        pair.connect();
        pair.seconds(2);
        assert_eq!(sent(&pair, true, exchange::AGGRESSIVE), 2);
        assert_eq!(sent(&pair, false, exchange::AGGRESSIVE), 1);
        assert_eq!(pair.server.phase1().unwrap().peer_id, identity);
        let method = pair.server.phase1().unwrap().authentication;
        assert_eq!(method, Authentication::PreSharedKey);
        assert!(
            pair.server
                .has(|event| matches!(event, Event::InitialContact))
        );
        assert_up(&mut pair);
    }
}

#[test]
fn a_nat_moves_it_to_the_other_port() {
    for (client, client_outside, server, server_outside) in [
        ("192.168.1.2", "203.0.113.5", DIRECT.server, DIRECT.server),
        ("192.168.1.2", "203.0.113.5", "10.0.0.1", "198.51.100.1"),
    ] {
        let mut pair = pair();
        pair.addresses = Addresses {
            client,
            client_outside,
            server,
            server_outside,
        };
        pair.connect();
        pair.seconds(2);
        let nat = pair.server.phase1().unwrap().nat;
        assert!(nat.remote_behind);
        assert_eq!(nat.local_behind, server != server_outside);
        let seen = pair.client.phase1().unwrap().nat;
        assert!(seen.local_behind);
        assert_eq!(seen.remote_behind, server != server_outside);
        for host in [&mut pair.client, &mut pair.server] {
            assert_eq!(host.sa().path().channel, Channel::NatT);
        }
        assert_up(&mut pair);
    }
    let mut straight = pair();
    straight.connect();
    straight.seconds(2);
    assert!(!straight.server.phase1().unwrap().nat.any());
    assert_eq!(straight.client.sa().path().channel, Channel::Ike);
}

#[test]
fn loss_repetition_and_reordering() {
    for seed in 0..20 {
        let mut pair = pair();
        pair.rng = Rng::from_seed([seed; 32]);
        pair.weather = Weather {
            lost: 25,
            repeated: 25,
            delayed: 30,
        };
        pair.connect();
        pair.seconds(12);
        if !pair.client.sa().is_established() {
            continue;
        }
        // Quick Mode makes the server ask for a message 3 that was lost.
        pair.start_quick(true, false);
        pair.seconds(28);
        assert!(pair.server.sa().is_established(), "seed {seed}");
        assert_eq!(pair.server.children().len(), 1, "seed {seed}");
    }
}

#[test]
fn a_lost_message_3_comes_again_with_quick_mode() {
    let mut pair = pair();
    pair.connect();
    while sent(&pair, true, exchange::AGGRESSIVE) < 2 {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    assert!(pair.client.sa().is_established() && !pair.server.sa().is_established());
    pair.start_quick(true, false);
    pair.seconds(5);
    assert_eq!(sent(&pair, true, exchange::AGGRESSIVE), 3);
    assert_eq!(sent(&pair, false, exchange::AGGRESSIVE), 2);
    assert_eq!(pair.server.children().len(), 1);
}

#[test]
fn whoever_has_no_key_for_it_hears_nothing() {
    for name in ["", "staf", "Staff", "staff ", "staff\0", "other"] {
        let mut pair = pair_as(IdValue::KeyId(name.into()));
        pair.connect();
        pair.seconds(40);
        assert!(pair.server.sa.is_none(), "{name:?}");
        let answered = pair.log.iter().any(|(to_server, _)| !to_server);
        assert!(!answered, "{name:?}");
        let refusal = pair.server.refusal.take().unwrap();
        assert!(matches!(refusal.reason, RefusalReason::UnknownIdentity(_)));
        assert_eq!(pair.client.closed(), Some(&CloseReason::NegotiationTimeout));
    }
    // A key of that name, but not for this mode; a key for anybody.
    let mut other = group_key("staff", "key of the staff");
    other.psks[0].aggressive = false;
    let mut unnamed = group_key("staff", "key of the staff");
    unnamed.psks[0].identity = None;
    for psks in [other.psks, unnamed.psks] {
        let mut pair = pair();
        let mut server = group_key("somebody else", "x");
        server.psks.extend(psks);
        pair.server.credentials = Arc::new(server);
        pair.connect();
        pair.seconds(2);
        assert!(pair.server.sa.is_none());
        let refusal = pair.server.refusal.take().unwrap();
        assert!(matches!(refusal.reason, RefusalReason::UnknownIdentity(_)));
        assert_eq!(refusal.notify, None);
    }
}

#[test]
fn without_a_key_for_it_the_exchange_is_refused_as_such() {
    let mut pair = pair();
    pair.server.credentials = credentials("key of the staff");
    pair.connect();
    pair.seconds(2);
    let refusal = pair.server.refusal.take().unwrap();
    assert_eq!(refusal.reason, RefusalReason::Exchange(4));
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::Refused { notify: 7 })
    );
}

#[test]
fn another_key_is_found_out_by_the_client() {
    let mut pair = pair();
    pair.client.credentials = credentials("another key");
    pair.connect();
    pair.seconds(2);
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::AuthenticationFailed)
    );
    assert_eq!(sent(&pair, true, exchange::AGGRESSIVE), 1);
    assert!(!pair.server.sa().is_established());
    pair.seconds(40);
    assert_eq!(pair.server.closed(), Some(&CloseReason::NegotiationTimeout));
}

#[test]
fn proposals_must_fit_the_key_exchange_value() {
    let mut pair = pair();
    let mut other = config();
    other.phase1[0].group = Group::Ecp256;
    pair.client.config = Arc::new(other);
    pair.connect();
    pair.seconds(2);
    let refusal = pair.server.refusal.take().unwrap();
    assert!(matches!(
        refusal.reason,
        RefusalReason::NoProposalChosen { .. }
    ));
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::Refused { notify: 14 })
    );
}
