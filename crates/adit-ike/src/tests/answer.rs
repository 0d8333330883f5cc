//! What message 2 of Quick Mode says, byte by byte: the chosen transform as it was offered, and
//! every payload in its place (RFC 2409 section 5.5).

use super::*;
use crate::codec::{Builder, Payloads, exchange, kind};
use adit_crypto::{Group, PrivateValue};

const MESSAGE_ID: u32 = 1;
/// What the server draws for its first SPI.
const OUR_SPI: &str = "20000001";

/// Number, ID and attributes.
type Transform<'a> = (u8, u8, &'a str);
/// Number and transforms.
type Proposal<'a> = (u8, &'a [Transform<'a>]);

/// The body of an SA payload of ESP proposals with the SPI `spi`.
fn sa(spi: &str, proposals: &[Proposal<'_>]) -> Vec<u8> {
    let mut body = hex::decode("0000000100000001").unwrap();
    for (at, (number, transforms)) in proposals.iter().enumerate() {
        let mut inner = Vec::new();
        for (at, (number, id, attributes)) in transforms.iter().enumerate() {
            let attributes = hex::decode(attributes).unwrap();
            let next = if at + 1 < transforms.len() { 3 } else { 0 };
            inner.extend([next, 0, 0, attributes.len() as u8 + 8, *number, *id, 0, 0]);
            inner.extend(attributes);
        }
        let next = if at + 1 < proposals.len() { 2 } else { 0 };
        let length = (inner.len() as u16 + 12).to_be_bytes();
        body.extend([next, 0, length[0], length[1]]);
        body.extend([*number, 3, 4, transforms.len() as u8]);
        body.extend(hex::decode(spi).unwrap());
        body.extend(inner);
    }
    body
}

/// The payloads of the server's answer to an authentic message 1 of these payloads.
fn answer(pair: &mut Pair, payloads: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    let mut rest = Builder::new();
    for (kind, body) in payloads {
        rest.push(*kind, body).unwrap();
    }
    let path = pair.client.sa().path();
    let client = pair.client.sa();
    let keys = client.keys.as_ref().unwrap();
    let iv = keys.crypt.phase2_iv(&keys.iv, MESSAGE_ID);
    let name = (exchange::QUICK, MESSAGE_ID);
    let (payload, iv) = client.hashed(name, &iv, &[], &rest).unwrap().unwrap();
    pair.deliver(true, Transmit { path, payload });
    pair.cut = true;
    pair.seconds(0);
    let (_, sent) = pair.log.last().unwrap();
    let message = &sent.payload;
    assert_eq!(message[18], exchange::QUICK);
    let keys = pair.client.sa.as_ref().unwrap().keys.as_ref().unwrap();
    let (clear, _) = keys.crypt.open(&iv, &message[28..]).unwrap();
    let payloads = Payloads::parse(message[16], &clear).unwrap();
    payloads
        .iter()
        .map(|payload| (payload.kind, payload.body.to_vec()))
        .collect()
}

#[test]
fn perfect_forward_secrecy_as_strongswan_asks_for_it() {
    // Group, mode, key length and MAC stand in an order that is not ours.
    const WANTED: &str = "80010001 80020e10 8003000e 80060100 80050002 80040002";
    let wanted = WANTED.replace(' ', "");
    let group_2 = wanted.replace("8003000e", "80030002");
    let offered = sa(
        "cafe0001",
        &[(
            0,
            &[(1, 12, &group_2), (7, 12, &wanted), (9, 3, "80040002")],
        )],
    );
    let private = PrivateValue::generate(Group::Modp2048, &mut Rng::from_seed([5; 32]));
    let public = private.public();
    let ids = [
        hex::decode("011106a5c000020a").unwrap(),
        hex::decode("01110000c6336401").unwrap(),
    ];
    let mut pair = Pair::established(Config::default(), Config::default());
    let payloads: [(u8, &[u8]); 5] = [
        (kind::SA, &offered),
        (kind::NONCE, &[9; 32]),
        (kind::KE, &public),
        (kind::ID, &ids[0]),
        (kind::ID, &ids[1]),
    ];
    let answer = answer(&mut pair, &payloads);
    let kinds: Vec<_> = answer.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [
            kind::HASH,
            kind::SA,
            kind::NONCE,
            kind::KE,
            kind::ID,
            kind::ID
        ]
    );
    assert_eq!(answer[1].1, sa(OUR_SPI, &[(0, &[(7, 12, &wanted)])]));
    assert_eq!(answer[3].1.len(), 256);
    assert_eq!(answer[4].1, ids[0]);
    assert_eq!(answer[5].1, ids[1]);

    // KEYMAT = prf(SKEYID_d, g(qm)^xy | protocol | SPI | Ni_b | Nr_b), RFC 2409 section 5.5.
    let shared = private.agree(&answer[3].1).unwrap();
    let keys = pair.server.sa.as_ref().unwrap().keys.as_ref().unwrap();
    let child = &pair.server.children()[0];
    for (spi, keymat) in [
        (OUR_SPI, &child.inbound_keymat),
        ("cafe0001", &child.outbound_keymat),
    ] {
        let spi = hex::decode(spi).unwrap();
        let parts = [&shared[..], &[3], &spi, &[9; 32], &answer[2].1];
        let k1 = keys.prf.hmac(&keys.skeyid.d, &parts);
        assert_eq!(keymat[..k1.len()], k1[..]);
    }
}

#[test]
fn windows_hears_of_one_proposal() {
    const LIFE: &str = "800100010002000400000e10800100020002000400 03d090";
    let life = LIFE.replace(' ', "");
    let with = |rest: &str| format!("{life}80040002 80050002{rest}").replace(' ', "");
    let (aes256, aes128, plain) = (with("80060100"), with("80060080"), with(""));
    let proposals: [Proposal<'_>; 4] = [
        (1, &[(1, 2, &plain)]),
        (2, &[(1, 12, &aes128)]),
        (3, &[(1, 12, &aes256)]),
        (4, &[(1, 11, &plain)]),
    ];
    let offered = sa("00001234", &proposals);
    let mut pair = Pair::established(Config::default(), Config::default());
    let payloads: [(u8, &[u8]); 2] = [(kind::SA, &offered), (kind::NONCE, &[5; 48])];
    let answer = answer(&mut pair, &payloads);
    assert_eq!(answer.len(), 3);
    assert_eq!(answer[1].1, sa(OUR_SPI, &[(3, &[(1, 12, &aes256)])]));
}
