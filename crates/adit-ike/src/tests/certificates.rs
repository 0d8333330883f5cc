//! Main mode with certificates, between two ends that have what they need.

use super::pki::{CLIENTS, SERVERS, certified};
use super::*;
use crate::codec::{Builder, Payloads, kind};
use adit_crypto::sign::SignatureScheme;
use adit_crypto::{BlockCipher, Group, Hash};

pub(super) fn config(hash: Hash) -> Config {
    Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash,
            group: Group::Ecp256,
        }],
        ..Config::default()
    }
}

/// A pair whose ends have certificates for the method of this index.
pub(super) fn pair_of(method: usize, hash: Hash) -> Pair {
    let mut pair = Pair::new(config(hash), config(hash));
    pair.client.credentials = Arc::new(certified(CLIENTS[method]));
    pair.server.credentials = Arc::new(certified(SERVERS[method]));
    pair
}

const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::Rsa,
    SignatureScheme::EcdsaP256,
    SignatureScheme::EcdsaP384,
    SignatureScheme::EcdsaP521,
];

fn assert_up(pair: &mut Pair, scheme: SignatureScheme) {
    for host in [&pair.client, &pair.server] {
        let phase1 = host
            .phase1()
            .unwrap_or_else(|| panic!("{scheme}: {:?} {:?}", host.errors, host.events));
        assert_eq!(phase1.authentication, Authentication::Signature(scheme));
    }
    let name = |host: &Host| host.phase1().unwrap().certificate.clone().unwrap();
    assert!(name(&pair.server).contains("CN=laptop"));
    assert!(name(&pair.client).contains("CN=vpn.example.org"));
    pair.start_quick(true, false);
    pair.seconds(1);
    let (client, server) = (pair.client.children(), pair.server.children());
    assert_fit(&client[0], &server[0]);
}

#[test]
fn each_method_with_each_hash() {
    for (method, scheme) in SCHEMES.into_iter().enumerate() {
        for hash in [Hash::Sha1, Hash::Sha2_256, Hash::Sha2_512] {
            let mut pair = pair_of(method, hash);
            pair.connect();
            pair.seconds(2);
            assert_up(&mut pair, scheme);
        }
    }
}

#[test]
fn the_subject_takes_the_place_of_an_address_and_no_other_name() {
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.connect();
    pair.seconds(2);
    let client = &pair.server.phase1().unwrap().peer_id;
    let subject = pki::own(CLIENTS[1]).subject_der().to_vec();
    assert_eq!(client, &IdValue::DistinguishedName(subject));
    let name = IdValue::Fqdn("laptop.example.org".into());
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.client.opening = Some(Opening {
        identity: name.clone(),
        mode: Mode::Main,
        peer: Some(IdValue::Fqdn("vpn.example.org".into())),
    });
    pair.connect();
    pair.seconds(2);
    assert_eq!(pair.server.phase1().unwrap().peer_id, name);
}

#[test]
fn behind_a_nat_and_through_bad_weather() {
    for seed in 0..6 {
        let mut pair = pair_of(1, Hash::Sha1);
        pair.addresses = Addresses {
            client: "192.168.1.2",
            client_outside: "203.0.113.5",
            ..DIRECT
        };
        pair.weather = Weather {
            lost: 20,
            repeated: 30,
            delayed: 30,
        };
        pair.rng = Rng::from_seed([seed; 32]);
        pair.connect();
        pair.seconds(29);
        assert!(pair.client.sa().is_established(), "seed {seed}");
        assert_eq!(pair.client.sa().path().channel, Channel::NatT);
        let phase1 = pair.server.phase1().unwrap();
        assert!(phase1.nat.remote_behind && phase1.encapsulate);
    }
}

#[test]
fn initial_contact_comes_with_a_certificate_too() {
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.connect();
    pair.seconds(2);
    assert!(
        pair.server
            .has(|event| matches!(event, Event::InitialContact))
    );
}

/// Payload types of the clear message at this place of the log.
fn kinds(pair: &Pair, at: usize) -> Vec<u8> {
    let message = &pair.log[at].1.payload;
    let payloads = Payloads::parse(message[16], &message[28..]).unwrap();
    payloads.iter().map(|payload| payload.kind).collect()
}

#[test]
fn the_responder_asks_for_a_certificate_of_its_authorities() {
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.connect();
    pair.seconds(2);
    assert!(kinds(&pair, 3).contains(&kind::CERTREQ));
    let message = &pair.log[3].1.payload;
    let payloads = Payloads::parse(message[16], &message[28..]).unwrap();
    let request = payloads.required(kind::CERTREQ).unwrap();
    assert_eq!(request[0], 4);
    assert_eq!(request[1..], pki::trust().issuers()[0]);
    // Not where the ends know each other by a key.
    let pair = Pair::established(config(Hash::Sha1), config(Hash::Sha1));
    assert!(!kinds(&pair, 3).contains(&kind::CERTREQ));
}

#[test]
fn certificate_requests_are_taken_in_every_message() {
    let requests: [&[u8]; 5] = [&[4], &[4, 0x30, 0], &[], &[1, 2, 3], &[255; 300]];
    for (at, to_server) in [(0, true), (1, false), (2, true), (3, false)] {
        let mut pair = pair_of(1, Hash::Sha2_256);
        pair.connect();
        while pair.log.len() <= at {
            pair.run(Duration::from_millis(5));
        }
        // The message that flies is replaced by one with more payloads.
        pair.flying.clear();
        let (_, mut transmit) = pair.log[at].clone();
        let header = parse_header(&transmit.payload).unwrap();
        let payloads = Payloads::parse(header.next_payload, header.body(&transmit.payload));
        let mut chain = Builder::new();
        for payload in payloads.unwrap().iter() {
            chain.push(payload.kind, payload.body).unwrap();
        }
        for request in requests {
            chain.push(kind::CERTREQ, request).unwrap();
        }
        transmit.payload = header.write(chain.bytes());
        pair.deliver(to_server, transmit);
        pair.seconds(2);
        assert!(pair.client.sa().is_established(), "message {}", at + 1);
        assert!(pair.server.sa().is_established(), "message {}", at + 1);
    }
}

#[test]
fn a_signature_is_preferred_to_a_key_and_a_key_is_what_is_left() {
    let both = |files| Credentials {
        psks: credentials("a shared secret").psks.clone(),
        ..certified(files)
    };
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.client.credentials = Arc::new(both(CLIENTS[1]));
    pair.server.credentials = Arc::new(both(SERVERS[1]));
    pair.connect();
    pair.seconds(2);
    assert_up(&mut pair, SignatureScheme::EcdsaP256);
    // One end has no certificate, or one of another kind.
    for client in [
        (*credentials("a shared secret")).clone(),
        both(CLIENTS[0]),
        Credentials {
            trust: None,
            ..both(CLIENTS[1])
        },
    ] {
        let mut pair = pair_of(1, Hash::Sha2_256);
        pair.client.credentials = Arc::new(client);
        pair.server.credentials = Arc::new(both(SERVERS[1]));
        pair.connect();
        pair.seconds(2);
        for host in [&pair.client, &pair.server] {
            let phase1 = host.phase1().unwrap();
            assert_eq!(phase1.authentication, Authentication::PreSharedKey);
            assert_eq!(phase1.certificate, None);
        }
    }
}

#[test]
fn a_refusal_names_the_method_that_is_missing() {
    let refusal = |client: Credentials, server: Credentials| {
        let mut pair = pair_of(1, Hash::Sha2_256);
        pair.client.credentials = Arc::new(client);
        pair.server.credentials = Arc::new(server);
        pair.connect();
        pair.seconds(2);
        assert_eq!(
            pair.client.closed(),
            Some(&CloseReason::Refused { notify: 14 })
        );
        match pair.server.refusal.take().unwrap().reason {
            RefusalReason::NoProposalChosen {
                offered,
                allowed,
                missing,
                ..
            } => (offered, allowed, missing),
            other => panic!("{other}"),
        }
    };
    let key = || (*credentials("a shared secret")).clone();
    let (offered, allowed, missing) = refusal(certified(CLIENTS[0]), key());
    assert_eq!(
        offered,
        ["AES-CBC-256/SHA2-256/ECP-256 with RSA signatures"]
    );
    assert_eq!(allowed, ["AES-CBC-256/SHA2-256/ECP-256 with PSK"]);
    let rsa = Authentication::Signature(SignatureScheme::Rsa);
    assert_eq!(missing, Some(rsa));
    let (_, _, missing) = refusal(key(), certified(SERVERS[1]));
    assert_eq!(missing, Some(Authentication::PreSharedKey));
    let (_, allowed, missing) = refusal(certified(CLIENTS[0]), certified(SERVERS[1]));
    assert_eq!(
        allowed,
        ["AES-CBC-256/SHA2-256/ECP-256 with ECDSA P-256 signatures"]
    );
    assert_eq!(missing, Some(rsa));
}

#[test]
fn a_message_5_that_comes_twice_is_judged_once() {
    let mut pair = pair_of(1, Hash::Sha2_256);
    pair.connect();
    while pair.log.len() < 5 {
        pair.run(Duration::from_millis(5));
    }
    let fifth = pair.log[4].1.clone();
    pair.flying.clear();
    let path = pair.translate(true, fifth.path);
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    for _ in 0..5 {
        sa.handle_message(path, &fifth.payload, now, rng).unwrap();
    }
    let job = sa.poll_job().unwrap();
    assert!(sa.poll_job().is_none());
    sa.handle_job(job.run(UNIX), now, rng);
    assert!(sa.is_established());
    assert_eq!(sa.stats().duplicates, 4);
    // And once answered, the answer is what comes again.
    assert!(sa.poll_transmit().is_some() && sa.poll_transmit().is_none());
    sa.handle_message(path, &fifth.payload, now, rng).unwrap();
    assert!(sa.poll_transmit().is_some());
}
