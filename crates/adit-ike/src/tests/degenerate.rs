//! Key exchange values that make a known secret, payloads that are not IKEv1's, and payloads that
//! are there twice or not at all, in each message of main mode.

use super::*;
use crate::codec::{Builder, Payloads, kind};
use adit_crypto::{BlockCipher, Group, Hash};

/// The prime of group 14 (RFC 3526 section 3).
const P: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
     020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
     4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
     98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
     9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
     e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
     3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";

/// 0, 1, p - 1, p and p + 1.
pub(super) fn degenerate() -> Vec<Vec<u8>> {
    let p = hex::decode(P).unwrap();
    let mut one = vec![0; 256];
    one[255] = 1;
    let mut below = p.clone();
    below[255] = 0xfe;
    let mut above = p.clone();
    // The low eight bytes are all ones, so adding one carries out of them.
    above[248..].fill(0);
    above[247] += 1;
    vec![vec![0; 256], one, below, p, above, vec![0xff; 256]]
}

fn config() -> Config {
    Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha1,
            group: Group::Modp2048,
        }],
        ..Config::default()
    }
}

/// A pair in which the message at this place of the log flies, with that message's payloads.
fn flying(at: usize) -> (Pair, Vec<(u8, Vec<u8>)>) {
    let mut pair = Pair::new(config(), config());
    pair.connect();
    while pair.log.len() <= at {
        pair.run(Duration::from_millis(5));
    }
    pair.flying.clear();
    let message = &pair.log[at].1.payload;
    let payloads = Payloads::parse(message[16], &message[28..]).unwrap();
    let list = payloads.iter().map(|p| (p.kind, p.body.to_vec())).collect();
    (pair, list)
}

/// Delivers the message at this place of the log with these payloads.
fn deliver(pair: &mut Pair, at: usize, payloads: &[(u8, Vec<u8>)]) {
    let mut chain = Builder::new();
    for (kind, body) in payloads {
        chain.push(*kind, body).unwrap();
    }
    let (to_server, mut transmit) = pair.log[at].clone();
    let header = parse_header(&transmit.payload).unwrap();
    let next_payload = chain.first();
    transmit.payload = Header {
        next_payload,
        ..header
    }
    .write(chain.bytes());
    pair.deliver(to_server, transmit);
}

#[test]
fn values_with_a_known_secret_end_the_negotiation() {
    for public in degenerate() {
        let (mut pair, mut third) = flying(2);
        third.iter_mut().find(|p| p.0 == kind::KE).unwrap().1 = public.clone();
        deliver(&mut pair, 2, &third);
        pair.cut = true;
        pair.seconds(0);
        assert_eq!(pair.server.closed(), Some(&CloseReason::BadPublicValue));
        let (mut pair, mut fourth) = flying(3);
        fourth.iter_mut().find(|p| p.0 == kind::KE).unwrap().1 = public;
        deliver(&mut pair, 3, &fourth);
        pair.cut = true;
        pair.seconds(0);
        assert_eq!(pair.client.closed(), Some(&CloseReason::BadPublicValue));
    }
}

/// What must stand once in the message at this place of the log.
const REQUIRED: [&[u8]; 4] = [
    &[kind::SA],
    &[kind::SA],
    &[kind::KE, kind::NONCE],
    &[kind::KE, kind::NONCE],
];

fn refused(pair: &Pair, at: usize, payloads: &[(u8, Vec<u8>)]) -> bool {
    let kinds: Vec<_> = payloads.iter().map(|p| p.0).collect();
    let host = if at.is_multiple_of(2) {
        &pair.server
    } else {
        &pair.client
    };
    assert_eq!(host.closed(), None, "message {} of {kinds:?}", at + 1);
    let by_refusal = host.refusal.as_ref().map(|refusal| &refusal.reason);
    matches!(by_refusal, Some(RefusalReason::Malformed(_)))
        || matches!(host.errors.last(), Some(Error::Malformed(_)))
}

#[test]
fn what_is_missing_or_twice_is_refused_and_the_right_message_still_taken() {
    for (at, required) in REQUIRED.into_iter().enumerate() {
        for wanted in required {
            let (mut pair, good) = flying(at);
            let mut without = good.clone();
            without.retain(|p| p.0 != *wanted);
            deliver(&mut pair, at, &without);
            assert!(refused(&pair, at, &without));
            let mut twice = good.clone();
            twice.push(good.iter().find(|p| p.0 == *wanted).unwrap().clone());
            pair.server.errors.clear();
            pair.client.errors.clear();
            // A responder reads the SA that leads message 1, and it is that which is signed.
            if at > 0 {
                deliver(&mut pair, at, &twice);
                assert!(refused(&pair, at, &twice));
            }
            deliver(&mut pair, at, &good);
            pair.seconds(3);
            assert!(pair.client.sa().is_established(), "message {}", at + 1);
        }
    }
}

#[test]
fn payloads_of_ikev2_are_refused_in_every_message() {
    for at in 0..4 {
        let (mut pair, good) = flying(at);
        for number in (15..20).chain(22..128) {
            let mut changed = good.clone();
            changed.push((number, vec![0; 8]));
            pair.server.refusal = None;
            pair.server.errors.clear();
            pair.client.errors.clear();
            deliver(&mut pair, at, &changed);
            assert!(refused(&pair, at, &changed), "{number}");
        }
        deliver(&mut pair, at, &good);
        pair.seconds(3);
        assert!(pair.client.sa().is_established());
    }
}
