//! Main mode: every choice of algorithms, failures, and lifetimes.

use super::*;
use adit_crypto::{BlockCipher, Group, Hash};

fn only(cipher: BlockCipher, hash: Hash, group: Group) -> Config {
    Config {
        phase1: vec![Phase1Proposal {
            cipher,
            hash,
            group,
        }],
        ..Config::default()
    }
}

fn succeeds_with(config: Config) {
    let proposal = config.phase1[0];
    let mut pair = Pair::established(config.clone(), config);
    for host in [&pair.client, &pair.server] {
        let phase1 = host.phase1().unwrap();
        assert_eq!(phase1.proposal, proposal);
        assert_eq!(phase1.nat, Nat::default());
        assert_eq!(phase1.client, ClientKind::Adit);
        assert!(phase1.dpd && !phase1.encapsulate);
        assert_eq!(phase1.nat_t, Some(NatTVersion::Rfc3947));
    }
    assert_eq!(
        pair.server.phase1().unwrap().peer_id,
        IdValue::from(ip(DIRECT.client))
    );
    assert_eq!(
        pair.client.phase1().unwrap().peer_id,
        IdValue::from(ip(DIRECT.server))
    );
    pair.start_quick(true, false);
    pair.seconds(1);
    assert_fit(&pair.client.children()[0], &pair.server.children()[0]);
}

#[test]
fn every_cipher_and_hash() {
    use BlockCipher::*;
    use Hash::*;
    for cipher in [Aes128, Aes192, Aes256, TripleDes] {
        for hash in [Md5, Sha1, Sha2_256, Sha2_384, Sha2_512] {
            succeeds_with(only(cipher, hash, Group::Ecp256));
        }
    }
}

#[test]
fn every_group() {
    for group in Group::ALL {
        succeeds_with(only(BlockCipher::Aes256, Hash::Sha2_256, group));
    }
}

#[test]
fn the_responder_prefers_its_own_order() {
    let client = Config::default();
    let mut server = Config::default();
    server.phase1.reverse();
    let wanted = server.phase1[0];
    let pair = Pair::established(client, server);
    assert_eq!(pair.client.phase1().unwrap().proposal, wanted);
}

#[test]
fn no_common_proposal_is_told_in_words() {
    let client = only(BlockCipher::TripleDes, Hash::Sha1, Group::Modp1024);
    let server = only(BlockCipher::Aes256, Hash::Sha1, Group::Modp2048);
    let mut pair = Pair::new(client, server);
    pair.connect();
    pair.seconds(1);
    assert!(pair.server.sa.is_none());
    let refusal = pair.server.refusal.take().unwrap();
    assert!(refusal.notify.unwrap().payload.len() < pair.log[0].1.payload.len());
    assert_eq!(
        refusal.reason,
        RefusalReason::NoProposalChosen {
            offered: vec!["3DES/SHA1/MODP-1024 with PSK".into()],
            allowed: vec!["AES-CBC-256/SHA1/MODP-2048 with PSK".into()],
            usable: only(BlockCipher::TripleDes, Hash::Sha1, Group::Modp1024)
                .phase1
                .first()
                .copied(),
            missing: None,
        }
    );
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::Refused { notify: 14 })
    );
}

#[test]
fn a_wrong_key_fails_fast_for_the_initiator_and_late_for_the_responder() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.client.credentials = credentials("another secret");
    pair.connect();
    pair.seconds(1);
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::AuthenticationFailed)
    );
    let failing = |event: &Event| matches!(event, Event::AuthenticationFailing { .. });
    assert!(pair.server.has(failing));
    assert_eq!(
        pair.server.closed(),
        None,
        "anyone may have sent that message"
    );
    pair.seconds(60);
    assert_eq!(
        pair.server.closed(),
        Some(&CloseReason::AuthenticationFailed)
    );
    let told = pair
        .server
        .events
        .iter()
        .filter(|event| failing(event))
        .count();
    assert_eq!(told, 1);
}

#[test]
fn a_forged_message_5_does_not_cost_the_negotiation() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.connect();
    // Message 4 is out, message 5 is still to arrive.
    while pair.log.len() < 4 {
        pair.run(Duration::from_millis(5));
    }
    let path = pair.server.sa().path();
    let template = pair.log[2].1.payload.clone();
    let mut header = parse_header(&template).unwrap();
    header.encrypted = true;
    header.next_payload = 5;
    for length in [0, 15, 16, 64, 96] {
        let forged = header.write(&vec![0xa5; length]);
        let Host { sa, rng, .. } = &mut pair.server;
        let result = sa
            .as_mut()
            .unwrap()
            .handle_message(path, &forged, pair.now, rng);
        assert!(result.is_err());
    }
    pair.client.events.clear();
    // The unencrypted notification that follows is what makes an initiator fail fast; here the
    // link loses it.
    while pair.server.sa().poll_transmit().is_some() {}
    pair.seconds(5);
    assert!(pair.server.sa().is_established());
    assert!(pair.client.sa().is_established());
}

#[test]
fn initial_contact_is_reported_unless_left_out() {
    let contact = |event: &Event| matches!(event, Event::InitialContact);
    let pair = Pair::established(Config::default(), Config::default());
    assert!(pair.server.has(contact));
    assert!(!pair.client.has(contact));
    let old = pair.client.sa.unwrap();
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.connect();
    let sa = pair.client.sa.take().unwrap();
    pair.client.sa = Some(sa.in_place_of(&old, None));
    pair.seconds(2);
    assert!(pair.server.sa().is_established());
    assert!(!pair.server.has(contact));
}

#[test]
fn lifetimes_end_the_sa_and_are_announced_to_the_client_first() {
    let hour = Duration::from_secs(3600);
    let config = Config {
        dpd: None,
        ..Config::default()
    };
    let server = Config {
        phase1_lifetime: 3 * hour,
        ..config.clone()
    };
    let client = Config {
        phase1_lifetime: hour,
        ..config
    };
    let mut pair = Pair::established(client, server);
    assert_eq!(pair.server.phase1().unwrap().lifetime, hour);
    let due = |event: &Event| matches!(event, Event::RekeyDue);
    pair.seconds(47 * 60);
    assert!(!pair.client.has(due));
    pair.seconds(8 * 60);
    assert!(pair.client.has(due) && !pair.server.has(due));
    assert_eq!(pair.client.closed(), None);
    pair.seconds(3 * 60);
    assert!(pair.server.has(due));
    assert_eq!(pair.server.closed(), None);
    pair.seconds(3 * 60);
    assert!(matches!(
        pair.client.closed(),
        Some(CloseReason::LifetimeExpired | CloseReason::DeletedByPeer)
    ));
    assert!(pair.server.closed().is_some());
}

#[test]
fn without_an_answer_the_initiator_gives_up() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.cut = true;
    pair.connect();
    pair.seconds(29);
    assert_eq!(pair.client.closed(), None);
    assert_eq!(pair.client.sa().stats().retransmitted, 5);
    pair.seconds(3);
    assert_eq!(pair.client.closed(), Some(&CloseReason::NegotiationTimeout));
    assert!(pair.client.sa().is_closed());
    assert_eq!(pair.client.sa().poll_timeout(), None);
}

#[test]
fn closing_tells_the_peer() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let Host { sa, rng, .. } = &mut pair.client;
    sa.as_mut().unwrap().close(pair.now, rng);
    pair.seconds(1);
    assert_eq!(pair.client.closed(), Some(&CloseReason::DeletedByUs));
    assert_eq!(pair.server.closed(), Some(&CloseReason::DeletedByPeer));
}

#[test]
fn secrets_are_not_shown() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.start_quick(true, false);
    pair.seconds(1);
    let child = &pair.client.children()[0];
    let shown = format!("{child:?} {:?} {:?}", Psk::new("hush"), pair.client.sa);
    assert!(!shown.contains("hush"));
    assert!(shown.contains(&format!("Keymat({} bytes)", child.suite.keymat_len())));
}
