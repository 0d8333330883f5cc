//! Messages 5 that come with certificates and prove nothing, and those that do.

use super::certificates::{config, pair_of};
use super::pki::{CLIENTS, Files, PHONE, SERVERS, STRANGER, certified, own};
use super::*;
use crate::codec::{Builder, Selector, exchange, kind, write_certificate};
use adit_cert::Untrusted;
use adit_crypto::Hash;
use adit_crypto::sign::SignatureScheme;

pub(super) type Chain = Vec<(u8, Vec<u8>)>;

/// The pair before the server gets message 5, which is caught.
fn before_fifth() -> Pair {
    caught(pair_of(1, Hash::Sha2_256))
}

pub(super) fn caught(mut pair: Pair) -> Pair {
    pair.connect();
    while pair.log.len() < 5 {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    pair
}

pub(super) fn body(id: IdValue) -> Vec<u8> {
    let (protocol, port) = (0, 0);
    Selector { id, protocol, port }.write()
}

pub(super) fn subject(files: Files) -> IdValue {
    IdValue::DistinguishedName(own(files).subject_der().to_vec())
}

pub(super) fn sign(files: Files, hash: &[u8]) -> Vec<u8> {
    let mut rng = Rng::from_seed([9; 32]);
    own(files).key().sign(hash, &mut rng).unwrap()
}

pub(super) fn certificates(files: Files) -> Chain {
    let chain = own(files).chain().to_vec();
    chain
        .iter()
        .map(|der| (kind::CERT, write_certificate(der)))
        .collect()
}

/// What a client with `files` says of `id`, signed as it should be.
fn fifth(pair: &mut Pair, files: Files, id: &IdValue) -> Chain {
    let id = body(id.clone());
    let hash = pair.server.sa().proof(true, &id);
    let mut chain = vec![(kind::ID, id)];
    chain.extend(certificates(files));
    chain.push((kind::SIG, sign(files, &hash)));
    chain
}

fn good(pair: &mut Pair) -> Chain {
    fifth(pair, CLIENTS[1], &subject(CLIENTS[1]))
}

/// Gives these payloads to the server as message 5, and what comes of it.
fn give(pair: &mut Pair, chain: &Chain) -> Result<(), Error> {
    let mut builder = Builder::new();
    for (kind, body) in chain {
        builder.push(*kind, body).unwrap();
    }
    let message = pair.server.sa().forge(&builder);
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let result = sa
        .as_mut()
        .unwrap()
        .handle_message(path, &message, now, rng);
    pair.run(Duration::ZERO);
    result
}

/// Asserts that these payloads are refused as a message and cost nothing.
fn passed_over(change: impl Fn(&mut Chain), error: &Error) {
    let mut pair = before_fifth();
    let right = good(&mut pair);
    let mut wrong = right.clone();
    change(&mut wrong);
    assert_eq!(give(&mut pair, &wrong).as_ref(), Err(error));
    assert_eq!(pair.server.closed(), None, "{error}");
    assert!(!pair.server.sa().is_established(), "{error}");
    give(&mut pair, &right).unwrap();
    assert!(pair.server.sa().is_established(), "{error}");
}

/// Asserts that these payloads are refused for this reason, and gives the notify message type that
/// tells the client.
fn refused(pair: &mut Pair, chain: &Chain) -> (Unproven, u16) {
    pair.cut = true;
    give(pair, chain).unwrap();
    assert!(!pair.server.sa().is_established());
    assert!(pair.server.phase1().is_none());
    let (_, notify) = pair.log.last().unwrap();
    assert_eq!(notify.payload[18], exchange::INFORMATIONAL);
    let [.., high, low] = notify.payload[..] else {
        panic!("a notification");
    };
    let kind = u16::from_be_bytes([high, low]);
    match pair.server.closed() {
        Some(CloseReason::Unproven(reason)) => ((**reason).clone(), kind),
        other => panic!("{other:?}"),
    }
}

fn changed(change: impl Fn(&mut Chain)) -> (Unproven, u16) {
    let mut pair = before_fifth();
    let mut chain = good(&mut pair);
    change(&mut chain);
    refused(&mut pair, &chain)
}

pub(super) fn set(chain: &mut Chain, kind: u8, body: Vec<u8>) {
    chain.iter_mut().find(|p| p.0 == kind).unwrap().1 = body;
}

fn malformed(error: DecodeError) -> Error {
    Error::Malformed(error)
}

#[test]
fn without_a_signature_there_is_no_proof() {
    let mut pair = before_fifth();
    let id = body(subject(CLIENTS[1]));
    let hash = pair.server.sa().proof(true, &id).to_vec();
    passed_over(
        |chain| chain.retain(|p| p.0 != kind::SIG),
        &malformed(DecodeError::Missing(kind::SIG)),
    );
    // The hash of a pre-shared key, whose SKEYID anybody has here.
    let misplaced = malformed(DecodeError::Misplaced(kind::HASH));
    let instead = |chain: &mut Chain| {
        chain.retain(|p| p.0 != kind::SIG);
        chain.push((kind::HASH, hash.clone()));
    };
    passed_over(instead, &misplaced);
    passed_over(|chain| chain.push((kind::HASH, hash.clone())), &misplaced);
    passed_over(
        |chain| *chain = vec![chain[0].clone(), (kind::HASH, hash.clone())],
        &misplaced,
    );
    passed_over(|chain| chain.push((kind::SIG, vec![1; 64])), &{
        malformed(DecodeError::Duplicate(kind::SIG))
    });
    passed_over(|chain| chain.push(chain[0].clone()), &{
        malformed(DecodeError::Duplicate(kind::ID))
    });
    passed_over(|chain| chain.retain(|p| p.0 != kind::ID), &{
        malformed(DecodeError::Missing(kind::ID))
    });
}

#[test]
fn a_signature_must_be_whole_and_of_this_hash() {
    let wrong = |pair: &mut Pair| {
        let id = body(subject(CLIENTS[1]));
        let right = pair.server.sa().proof(true, &id);
        let signature = sign(CLIENTS[1], &right);
        let mut flipped = signature.clone();
        flipped[40] ^= 1;
        let other_id = body(IdValue::Fqdn("laptop.example.org".into()));
        vec![
            vec![],
            signature[..63].to_vec(),
            signature[1..].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            [&signature[..], &signature[..]].concat(),
            vec![0; 64],
            vec![0xff; 64],
            vec![0x5a; 9000],
            flipped,
            right.to_vec(),
            // Over what the server signs, over another identification, over nothing at all.
            sign(CLIENTS[1], &pair.server.sa().proof(false, &id)),
            sign(CLIENTS[1], &pair.server.sa().proof(true, &other_id)),
            sign(CLIENTS[1], &[0; 32]),
            // By others.
            sign(PHONE, &right),
            sign(SERVERS[1], &right),
            sign(CLIENTS[2], &right),
            sign(CLIENTS[0], &right),
        ]
    };
    let count = wrong(&mut before_fifth()).len();
    for at in 0..count {
        let mut pair = before_fifth();
        let signature = wrong(&mut pair).swap_remove(at);
        let mut chain = good(&mut pair);
        set(&mut chain, kind::SIG, signature);
        let (reason, notify) = refused(&mut pair, &chain);
        assert!(
            matches!(reason, Unproven::Signature { .. }),
            "{at}: {reason}"
        );
        assert_eq!(notify, 24, "AUTHENTICATION-FAILED");
    }
}

#[test]
fn a_certificate_must_be_there_and_be_believed() {
    let none = |chain: &mut Chain| chain.retain(|p| p.0 != kind::CERT);
    let (reason, notify) = changed(none);
    assert_eq!(reason, Unproven::Untrusted(Untrusted::NoCertificate));
    assert_eq!(notify, 24);
    // Without the office between it and the root.
    let (reason, notify) = changed(|chain| drop(chain.remove(2)));
    let unknown =
        |reason: &Unproven| matches!(reason, Unproven::Untrusted(Untrusted::UnknownIssuer { .. }));
    assert!(unknown(&reason), "{reason}");
    assert_eq!(notify, 22, "INVALID-CERT-AUTHORITY");
    // One of another root, with the right signature and a subject of the same common name.
    let mut pair = before_fifth();
    let chain = fifth(&mut pair, STRANGER, &subject(STRANGER));
    assert!(unknown(&refused(&mut pair, &chain).0));
    // A server's certificate is no client's.
    let mut pair = before_fifth();
    let chain = fifth(&mut pair, SERVERS[1], &subject(SERVERS[1]));
    let (reason, notify) = refused(&mut pair, &chain);
    assert!(
        matches!(
            reason,
            Unproven::Untrusted(Untrusted::ExtendedKeyUsage { .. })
        ),
        "{reason}"
    );
    assert_eq!(notify, 20, "INVALID-CERTIFICATE");
    // One with a key of another kind than was agreed on.
    for (files, found) in [
        (CLIENTS[0], SignatureScheme::Rsa),
        (CLIENTS[2], SignatureScheme::EcdsaP384),
        (CLIENTS[3], SignatureScheme::EcdsaP521),
    ] {
        let mut pair = before_fifth();
        let chain = fifth(&mut pair, files, &subject(files));
        let wanted = SignatureScheme::EcdsaP256;
        let (reason, notify) = refused(&mut pair, &chain);
        assert_eq!(reason, Unproven::Scheme { wanted, found });
        assert_eq!(notify, 20);
    }
    // Somebody else's, behind which stands our own signature.
    let (reason, _) = changed(|chain| {
        chain.retain(|p| p.0 != kind::CERT);
        chain.extend(certificates(PHONE));
    });
    assert!(matches!(reason, Unproven::Signature { .. }), "{reason}");
    // Garbage where DER should be.
    for der in [vec![0], vec![0x30, 0x80], vec![0xff; 800]] {
        let (reason, notify) = changed(|chain| set(chain, kind::CERT, write_certificate(&der)));
        assert_eq!(reason, Unproven::Untrusted(Untrusted::Malformed));
        assert_eq!(notify, 19, "INVALID-CERT-ENCODING");
    }
}

#[test]
fn certificate_payloads_of_odd_encodings_and_lengths() {
    // Others than X.509 for signatures are passed over, and then none is left.
    for encoding in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 255] {
        let (reason, _) = changed(|chain| {
            for payload in chain.iter_mut().filter(|p| p.0 == kind::CERT) {
                payload.1[0] = encoding;
            }
        });
        assert_eq!(reason, Unproven::Untrusted(Untrusted::NoCertificate));
    }
    // Beside the right ones they do no harm.
    let mut pair = before_fifth();
    let mut chain = good(&mut pair);
    chain.insert(1, (kind::CERT, vec![1]));
    chain.insert(1, (kind::CERT, [&[7], &[0x30; 500][..]].concat()));
    chain.push((kind::CERTREQ, vec![]));
    give(&mut pair, &chain).unwrap();
    assert!(pair.server.sa().is_established());
    let with = |body: Vec<u8>| move |chain: &mut Chain| set(chain, kind::CERT, body.clone());
    passed_over(with(vec![4]), &malformed(DecodeError::Certificate(0)));
    let long = 16 * 1024 + 1;
    let huge = write_certificate(&vec![0x30; long]);
    passed_over(with(huge), &malformed(DecodeError::Certificate(long)));
    let many = |chain: &mut Chain| {
        let one = chain[1].clone();
        chain.extend(std::iter::repeat_n(one, 7));
    };
    let too_many = DecodeError::TooMany {
        what: "certificates",
        limit: 8,
    };
    passed_over(many, &malformed(too_many));
    let mut pair = before_fifth();
    let mut chain = good(&mut pair);
    set(&mut chain, kind::CERT, vec![]);
    assert!(matches!(
        give(&mut pair, &chain),
        Err(Error::Malformed(DecodeError::Truncated(_)))
    ));
}

#[test]
fn an_identity_is_what_the_certificate_says() {
    let der = own(CLIENTS[1]).subject_der().to_vec();
    let dn = |der: &[u8]| IdValue::DistinguishedName(der.to_vec());
    for (id, taken) in [
        (dn(&der), true),
        (IdValue::Fqdn("laptop.example.org".into()), true),
        (IdValue::UserFqdn("ada@example.org".into()), true),
        // An address tells nothing, so it is not looked at.
        (ip("192.0.2.10").into(), true),
        (ip("10.9.8.7").into(), true),
        (ip("2001:db8::99").into(), true),
        (dn(&der[..der.len() - 1]), false),
        (dn(&[&der[..], &[0]].concat()), false),
        (dn(&[]), false),
        (dn(&[0x30, 0]), false),
        (dn(&vec![0x30; 1024]), false),
        (subject(PHONE), false),
        (subject(SERVERS[1]), false),
        (IdValue::Fqdn("phone.example.org".into()), false),
        (IdValue::Fqdn("laptop.example.org.".into()), false),
        (IdValue::Fqdn("example.org".into()), false),
        (IdValue::Fqdn("*.example.org".into()), false),
        (IdValue::Fqdn("laptop.example.org\0".into()), false),
        (IdValue::Fqdn(String::new()), false),
        (IdValue::UserFqdn("bob@example.org".into()), false),
        (IdValue::UserFqdn("laptop.example.org".into()), false),
        (IdValue::Fqdn("ada@example.org".into()), false),
        (IdValue::KeyId(b"laptop.example.org".to_vec()), false),
        (
            IdValue::Other {
                kind: 4,
                data: vec![0; 8],
            },
            false,
        ),
        (
            IdValue::Other {
                kind: 10,
                data: der.clone(),
            },
            false,
        ),
        (
            IdValue::Other {
                kind: 0,
                data: vec![],
            },
            false,
        ),
    ] {
        let mut pair = before_fifth();
        let chain = fifth(&mut pair, CLIENTS[1], &id);
        if taken {
            give(&mut pair, &chain).unwrap();
            let phase1 = pair.server.phase1().unwrap_or_else(|| panic!("{id:?}"));
            assert_eq!(phase1.peer_id, id);
            assert!(phase1.certificate.as_ref().unwrap().contains("CN=laptop"));
            continue;
        }
        let (reason, notify) = refused(&mut pair, &chain);
        assert!(
            matches!(reason, Unproven::Identity { .. }),
            "{id:?}: {reason}"
        );
        assert_eq!(notify, 18, "INVALID-ID-INFORMATION");
    }
    for length in [1025, 5000] {
        let id = IdValue::DistinguishedName(vec![0x30; length]);
        let refused = malformed(DecodeError::Id { kind: 9, length });
        passed_over(|chain| set(chain, kind::ID, body(id.clone())), &refused);
    }
    for id in [vec![], vec![9], vec![9, 0, 0], vec![1, 0, 0, 0, 1]] {
        let mut pair = before_fifth();
        let mut chain = good(&mut pair);
        set(&mut chain, kind::ID, id);
        assert!(matches!(give(&mut pair, &chain), Err(Error::Malformed(_))));
    }
}

#[test]
fn the_method_of_messages_1_and_2_is_that_of_message_5() {
    // A server that could take either agreed on a key.
    let mut pair = Pair::new(config(Hash::Sha2_256), config(Hash::Sha2_256));
    pair.server.credentials = Arc::new(Credentials {
        psks: credentials("a shared secret").psks.clone(),
        ..certified(SERVERS[1])
    });
    let mut pair = caught(pair);
    let chain = good(&mut pair);
    assert_eq!(
        give(&mut pair, &chain),
        Err(malformed(DecodeError::Misplaced(kind::SIG)))
    );
    let id = body(ip(DIRECT.client).into());
    let hash = pair.server.sa().proof(true, &id).to_vec();
    let both = vec![
        (kind::ID, id.clone()),
        (kind::HASH, hash.clone()),
        (kind::SIG, vec![1; 64]),
    ];
    assert_eq!(
        give(&mut pair, &both),
        Err(malformed(DecodeError::Misplaced(kind::SIG)))
    );
    assert!(!pair.server.sa().is_established());
    let right = vec![(kind::ID, id), (kind::HASH, hash)];
    give(&mut pair, &right).unwrap();
    assert!(pair.server.sa().is_established());
}

#[test]
fn an_unproven_peer_hears_of_it_and_buys_one_verification() {
    let mut pair = before_fifth();
    let mut chain = good(&mut pair);
    set(&mut chain, kind::SIG, vec![7; 64]);
    give(&mut pair, &chain).unwrap();
    assert!(pair.server.sa().is_closed());
    assert_eq!(give_again(&mut pair), Err(Error::Closed));
    // The client, which has done nothing wrong, believes the refusal.
    pair.seconds(1);
    assert_eq!(
        pair.client.closed(),
        Some(&CloseReason::Refused { notify: 24 })
    );
}

fn give_again(pair: &mut Pair) -> Result<(), Error> {
    let message = pair.log[4].1.payload.clone();
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    sa.as_mut()
        .unwrap()
        .handle_message(path, &message, now, rng)
}

#[test]
fn certificates_are_judged_by_the_clock_of_the_job() {
    let mut pair = before_fifth();
    let fifth = pair.log[4].1.payload.clone();
    let path = pair.server.sa().path();
    let now = pair.now;
    for (unix, good) in [(0, false), (9_000_000_000, false), (UNIX.as_secs(), true)] {
        let mut pair = before_fifth();
        let message = pair.log[4].1.payload.clone();
        assert_eq!(message, fifth);
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        sa.handle_message(path, &message, now, rng).unwrap();
        let done = sa.poll_job().unwrap().run(Duration::from_secs(unix));
        sa.handle_job(done, now, rng);
        assert_eq!(sa.is_established(), good, "{unix}");
    }
}
