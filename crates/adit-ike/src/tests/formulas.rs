//! What is on the wire, decrypted and checked a second time from the formulas of RFC 2409, with
//! nothing of the machine's but the Diffie-Hellman secret's children to start from.

use super::*;
use crate::codec::{Payloads, SecurityAssociation, kind};
use adit_crypto::{BlockCipher, CbcKey, EspCipher, EspMac, EspSuite, Group, Hash};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

fn prf(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(&parts.concat());
    mac.finalize().into_bytes().to_vec()
}

fn clear(message: &[u8]) -> Payloads<'_> {
    Payloads::parse(message[16], &message[28..]).unwrap()
}

/// Decrypts a message, and the IV of the next one.
fn decrypt(key: &[u8], iv: &[u8], message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(message[19] & 1, 1, "the encryption bit");
    let mut body = message[28..].to_vec();
    assert_eq!(body.len() % 16, 0);
    let next = body[body.len() - 16..].to_vec();
    let key = CbcKey::new(BlockCipher::Aes256, key).unwrap();
    key.decrypt(&iv[..16], &mut body).unwrap();
    (body, next)
}

#[test]
fn every_message_of_a_life() {
    let config = Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha2_256,
            group: Group::Modp2048,
        }],
        esp: vec![EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)).unwrap()],
        ..Config::default()
    };
    let mut pair = Pair::established(config.clone(), config);
    pair.start_quick(true, false);
    pair.seconds(1);
    let log: Vec<_> = pair.log.iter().map(|(_, t)| t.payload.clone()).collect();
    assert_eq!(log.len(), 9);
    let (cookie_i, cookie_r) = pair.client.sa().cookies();
    let keys = pair.client.sa.as_ref().unwrap().keys.as_ref().unwrap();
    let (a, d, e) = (&keys.skeyid.a, &keys.skeyid.d, &keys.skeyid.e);

    let sa = clear(&log[0]).required(kind::SA).unwrap();
    let of = |message: usize, kind| clear(&log[message]).required(kind).unwrap();
    let (ke_i, ke_r) = (of(2, kind::KE), of(3, kind::KE));
    let (ni, nr) = (of(2, kind::NONCE), of(3, kind::NONCE));
    assert_eq!((ke_i.len(), ke_r.len()), (256, 256));
    let skeyid = prf(b"a shared secret", &[ni, nr]);
    assert_eq!(skeyid, keys.skeyid.root[..]);

    // Phase 1: messages 5 and 6.
    let iv = Sha256::digest([ke_i, ke_r].concat());
    let (fifth, iv) = decrypt(e, &iv, &log[4]);
    let payloads = Payloads::parse(log[4][16], &fifth).unwrap();
    let id = payloads.required(kind::ID).unwrap();
    assert_eq!(id, [1, 0, 0, 0, 192, 0, 2, 10]);
    let hash_i = prf(&skeyid, &[ke_i, ke_r, &cookie_i, &cookie_r, sa, id]);
    assert_eq!(payloads.required(kind::HASH).unwrap(), hash_i);
    let contact = payloads.required(kind::NOTIFY).unwrap();
    let head = [0, 0, 0, 1, 1, 16, 0x60, 0x02];
    assert_eq!(contact, [&head[..], &cookie_i, &cookie_r].concat());
    let (sixth, iv) = decrypt(e, &iv, &log[5]);
    let payloads = Payloads::parse(log[5][16], &sixth).unwrap();
    let id = payloads.required(kind::ID).unwrap();
    let hash_r = prf(&skeyid, &[ke_r, ke_i, &cookie_r, &cookie_i, sa, id]);
    assert_eq!(payloads.required(kind::HASH).unwrap(), hash_r);

    // Phase 2.
    let message_id = &log[6][20..24];
    assert_ne!(message_id, [0; 4]);
    let iv = Sha256::digest([&iv, message_id].concat());
    let (first, iv) = decrypt(e, &iv, &log[6]);
    let one = Payloads::parse(kind::HASH, &first).unwrap();
    let ni = one.required(kind::NONCE).unwrap();
    let hash1 = prf(a, &[message_id, one.after_first()]);
    assert_eq!(one.leading(kind::HASH).unwrap(), hash1);
    let (second, iv) = decrypt(e, &iv, &log[7]);
    let two = Payloads::parse(kind::HASH, &second).unwrap();
    let nr = two.required(kind::NONCE).unwrap();
    let hash2 = prf(a, &[message_id, ni, two.after_first()]);
    assert_eq!(two.leading(kind::HASH).unwrap(), hash2);
    let (third, _) = decrypt(e, &iv, &log[8]);
    let three = Payloads::parse(kind::HASH, &third).unwrap();
    let hash3 = prf(a, &[&[0], message_id, ni, nr]);
    assert_eq!(three.leading(kind::HASH).unwrap(), hash3);
    let ids: Vec<_> = one.all(kind::ID).collect();
    assert_eq!(ids[0], [1, 17, 6, 165, 192, 0, 2, 10]);
    assert_eq!(ids, two.all(kind::ID).collect::<Vec<_>>());

    // Each end's inbound keys come from the SPI that it stated.
    for (payloads, host) in [(&one, &pair.client), (&two, &pair.server)] {
        let sa = SecurityAssociation::parse(payloads.required(kind::SA).unwrap()).unwrap();
        let spi = sa.proposals[0].spi;
        let k1 = prf(d, &[&[3], spi, ni, nr]);
        let k2 = prf(d, &[&k1, &[3], spi, ni, nr]);
        let child = &host.children()[0];
        assert_eq!(child.inbound_spi.to_be_bytes(), spi);
        assert_eq!(child.inbound_keymat[..], [k1, k2].concat()[..52]);
    }
}
