//! Known answers, computed a second time from RFC 2409's formulas with another HMAC.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::*;

fn sha1(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

const PSK: &[u8] = b"mekmitasdigoat";
const NI: &[u8] = &[0x11; 16];
const NR: &[u8] = &[0x22; 20];
const SHARED: &[u8] = &[0x33; 128];
const COOKIES: [u8; 16] = [0x44; 16];

#[test]
fn skeyid_and_its_children() {
    for (hash, prf) in [
        (Hash::Sha1, sha1 as fn(&[u8], &[u8]) -> Vec<u8>),
        (Hash::Sha2_256, sha256),
    ] {
        let keys = skeyid(hash, of_psk(hash, PSK, (NI, NR)), SHARED, &COOKIES);
        let root = prf(PSK, &[NI, NR].concat());
        let d = prf(&root, &[SHARED, &COOKIES, &[0]].concat());
        let a = prf(&root, &[&d, SHARED, &COOKIES, &[1]].concat());
        let e = prf(&root, &[&a, SHARED, &COOKIES, &[2]].concat());
        assert_eq!(keys.root[..], root);
        assert_eq!(keys.d[..], d);
        assert_eq!(keys.a[..], a);
        assert_eq!(keys.e[..], e);
    }
}

#[test]
fn skeyid_of_signatures_is_keyed_by_the_nonces() {
    let root = of_signature(Hash::Sha2_256, (NI, NR), SHARED);
    assert_eq!(root[..], sha256(&[NI, NR].concat(), SHARED));
    let root = of_signature(Hash::Sha1, (NI, NR), SHARED);
    assert_eq!(root[..], sha1(&[NI, NR].concat(), SHARED));
}

#[test]
fn cipher_keys_are_cut_or_expanded() {
    let e = sha1(b"e", b"");
    let key = |cipher| cipher_key(Hash::Sha1, &e, cipher).to_vec();
    assert_eq!(key(BlockCipher::Aes128), e[..16]);
    // Appendix B: Ka = K1 | K2 | …, K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1).
    let k1 = sha1(&e, &[0]);
    let k2 = sha1(&e, &k1);
    let ka = [k1, k2].concat();
    assert_eq!(key(BlockCipher::Aes192), ka[..24]);
    assert_eq!(key(BlockCipher::Aes256), ka[..32]);
    assert_eq!(key(BlockCipher::TripleDes), ka[..24]);
    let e = sha256(b"e", b"");
    let whole = cipher_key(Hash::Sha2_256, &e, BlockCipher::Aes256);
    assert_eq!(whole[..], e);
}

#[test]
fn keymat_with_and_without_forward_secrecy() {
    let d = sha256(b"d", b"");
    for shared in [&[][..], &[0x55; 256]] {
        let seed = [shared, &[3], &[0xde, 0xad, 0xbe, 0xef], NI, NR].concat();
        let k1 = sha256(&d, &seed);
        let k2 = sha256(&d, &[&k1[..], &seed].concat());
        let k3 = sha256(&d, &[&k2[..], &seed].concat());
        let expected = [k1, k2, k3].concat();
        for length in [20, 32, 36, 64, 96] {
            let made = keymat(
                Hash::Sha2_256,
                &d,
                shared,
                (3, 0xdead_beef),
                (NI, NR),
                length,
            );
            assert_eq!(made[..], expected[..length]);
        }
    }
}
