use std::sync::LazyLock;

use ::rsa::pkcs1::EncodeRsaPrivateKey;
use ::rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use ::rsa::traits::{PrivateKeyParts, PublicKeyParts};
use ::rsa::{Pkcs1v15Sign, RsaPrivateKey};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::*;
use crate::Hash;

const HASHES: [Hash; 5] = [
    Hash::Md5,
    Hash::Sha1,
    Hash::Sha2_256,
    Hash::Sha2_384,
    Hash::Sha2_512,
];

fn rng() -> Rng {
    Rng::from_seed([9; 32])
}

static RSA: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut rng(), 2048).unwrap());

fn rsa_key() -> SigningKey {
    SigningKey::from_pkcs8_der(RSA.to_pkcs8_der().unwrap().as_bytes()).unwrap()
}

fn keys() -> [SigningKey; 4] {
    let bytes = |n: usize| -> Vec<u8> { (0..n).map(|i| i as u8).collect() };
    let p256 = p256::SecretKey::from_slice(&bytes(32)).unwrap();
    let p384 = p384::SecretKey::from_slice(&bytes(48)).unwrap();
    let p521 = p521::SecretKey::from_slice(&bytes(66)).unwrap();
    let read =
        |der: ::rsa::pkcs8::SecretDocument| SigningKey::from_pkcs8_der(der.as_bytes()).unwrap();
    [
        rsa_key(),
        read(p256.to_pkcs8_der().unwrap()),
        read(p384.to_pkcs8_der().unwrap()),
        read(p521.to_pkcs8_der().unwrap()),
    ]
}

/// The RSA operation itself: any encoded message, however it is padded.
fn raw_rsa(encoded: &[u8]) -> Vec<u8> {
    let bits = 2048;
    let n = Odd::new(RSA.n().as_ref().clone()).unwrap();
    let m = BoxedUint::from_be_slice(encoded, bits).unwrap();
    let form = BoxedMontyForm::new(m, &BoxedMontyParams::new(n));
    let s = form.pow(RSA.d()).retrieve();
    s.to_be_bytes().to_vec()
}

fn encoded(ps: usize, tail: &[u8]) -> Vec<u8> {
    let mut em = vec![0, 1];
    em.extend(std::iter::repeat_n(0xff, ps));
    em.push(0);
    em.extend_from_slice(tail);
    em
}

// What is no signature over the hash.

#[test]
fn nothing_of_another_length_is_a_signature() {
    for key in keys() {
        let hash = Hash::Sha1.digest(&[b"abc"]);
        let public = key.verifying_key();
        let good = key.sign(&hash, &mut rng()).unwrap();
        public.verify(&hash, &good).unwrap();

        let mut cases = vec![
            Vec::new(),
            vec![0],
            vec![0; good.len()],
            vec![0xff; good.len()],
        ];
        cases.push(good.get(1..).unwrap().to_vec());
        cases.push(good.get(..good.len() - 1).unwrap().to_vec());
        cases.push([&good[..], &[0]].concat());
        cases.push([&[0], &good[..]].concat());
        cases.push([&good[..], &good[..]].concat());
        cases.push(vec![7; 65_535]);
        cases.push(hash.to_vec());
        for case in cases {
            assert_eq!(
                public.verify(&hash, &case),
                Err(BadSignature),
                "{} takes {} bytes",
                key.scheme(),
                case.len()
            );
        }
    }
}

#[test]
fn a_changed_bit_of_signature_or_hash_is_found() {
    for key in keys() {
        let hash = Hash::Sha2_256.digest(&[b"abc"]).to_vec();
        let public = key.verifying_key();
        let good = key.sign(&hash, &mut rng()).unwrap();
        for at in [0, 1, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(public.verify(&hash, &bad), Err(BadSignature));
        }
        for at in [0, 31] {
            let mut other = hash.clone();
            other[at] ^= 0x80;
            assert_eq!(public.verify(&other, &good), Err(BadSignature));
        }
        let shorter = hash.get(..31).unwrap();
        assert_eq!(public.verify(shorter, &good), Err(BadSignature));
        let longer = [&hash[..], &[0]].concat();
        // P-256 cuts the hash to its order, and 33 bytes are no hash that anybody makes.
        if key.scheme() != SignatureScheme::EcdsaP256 {
            assert_eq!(public.verify(&longer, &good), Err(BadSignature));
        }
    }
}

#[test]
fn what_is_no_hash_is_neither_signed_nor_verified() {
    for key in keys() {
        let hash = Hash::Sha1.digest(&[b"abc"]);
        let good = key.sign(&hash, &mut rng()).unwrap();
        for length in [0, 1, 15, 65, 200] {
            let no_hash = vec![0x55; length];
            let refused = key.sign(&no_hash, &mut rng());
            assert_eq!(refused, Err(SignError::HashLength { actual: length }));
            let verdict = key.verifying_key().verify(&no_hash, &good);
            assert_eq!(verdict, Err(BadSignature));
        }
    }
}

#[test]
fn rsa_padding_has_one_form() {
    let hash = Hash::Sha1.digest(&[b"abc"]).to_vec();
    let public = rsa_key().verifying_key();
    let verify = |em: &[u8]| {
        assert_eq!(em.len(), 256);
        public.verify(&hash, &raw_rsa(em))
    };
    assert_eq!(verify(&encoded(233, &hash)), Ok(()), "the form itself");

    // Garbage behind the hash, with as little padding as PKCS#1 allows (Bleichenbacher 2006).
    let garbage = [&hash[..], &[0; 225]].concat();
    assert_eq!(verify(&encoded(8, &garbage)), Err(BadSignature));
    // Garbage between short padding and the hash.
    let between = [&[0xaa; 224][..], &[0], &hash].concat();
    assert_eq!(verify(&encoded(8, &between)), Err(BadSignature));
    // No padding at all.
    let none = [&[0; 233][..], &hash].concat();
    assert_eq!(verify(&encoded(0, &none)), Err(BadSignature));
    // Padding that is not all ones, at each end and inside.
    for at in [2, 100, 234] {
        let mut em = encoded(233, &hash);
        em[at] = 0xfe;
        assert_eq!(verify(&em), Err(BadSignature), "byte {at}");
    }
    // Block types 0 and 2, and a first byte that is not zero.
    for kind in [0, 2, 3, 0xff] {
        let mut em = encoded(233, &hash);
        em[1] = kind;
        assert_eq!(verify(&em), Err(BadSignature), "block type {kind}");
    }
    let mut em = encoded(233, &hash);
    em[0] = 1;
    assert_eq!(verify(&em), Err(BadSignature));
    // A separator that is not zero.
    let mut em = encoded(233, &hash);
    em[235] = 1;
    assert_eq!(verify(&em), Err(BadSignature));
    // The bare hash.
    let bare = [&[0; 236][..], &hash].concat();
    assert_eq!(verify(&bare), Err(BadSignature));
}

#[test]
fn rsa_takes_no_digest_info() {
    let hash = Hash::Sha1.digest(&[b"abc"]);
    // SEQUENCE { SEQUENCE { sha1, NULL }, OCTET STRING } (RFC 8017 9.2 note 1).
    let prefix = hex::decode("3021300906052b0e03021a05000414").unwrap();
    let scheme = Pkcs1v15Sign {
        hash_len: Some(20),
        prefix: prefix.into(),
    };
    let signature = RSA.sign(scheme, &hash).unwrap();
    let verdict = rsa_key().verifying_key().verify(&hash, &signature);
    assert_eq!(verdict, Err(BadSignature));
}

#[test]
fn rsa_signatures_are_below_the_modulus() {
    let hash = Hash::Sha2_256.digest(&[b"abc"]);
    let key = rsa_key();
    let good = key.sign(&hash, &mut rng()).unwrap();
    // The same residue, once around.
    let s = BoxedUint::from_be_slice(&good, 2048).unwrap();
    let around = s.wrapping_add(RSA.n().as_ref()).to_be_bytes();
    let verdict = key.verifying_key().verify(&hash, &around);
    assert_eq!(verdict, Err(BadSignature));
}

#[test]
fn ecdsa_takes_no_zero_and_nothing_from_the_order_on() {
    let orders = [
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
         581a0db248b0a77aecec196accc52973",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
         51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ];
    for (key, order) in keys().iter().skip(1).zip(orders) {
        let order = hex::decode(order).unwrap();
        let hash = Hash::Sha2_512.digest(&[b"abc"]);
        let good = key.sign(&hash, &mut rng()).unwrap();
        assert_eq!(good.len(), 2 * order.len());
        let (r, s) = good.split_at(order.len());
        let zero = vec![0; order.len()];
        let mut one = zero.clone();
        one[order.len() - 1] = 1;
        let ones = vec![0xff; order.len()];
        for bad in [
            [&zero[..], s],
            [r, &zero],
            [&zero, &zero],
            [&order, s],
            [r, &order],
            [&ones, s],
            [r, &ones],
            [&one, &one],
            [s, r],
        ] {
            let verdict = key.verifying_key().verify(&hash, &bad.concat());
            assert_eq!(verdict, Err(BadSignature), "{}", key.scheme());
        }
    }
}

#[test]
fn another_key_did_not_sign() {
    let hash = Hash::Sha2_256.digest(&[b"abc"]);
    let other = RsaPrivateKey::new(&mut Rng::from_seed([1; 32]), 2048).unwrap();
    let signature = other.sign(Pkcs1v15Sign::new_unprefixed(), &hash).unwrap();
    let verdict = rsa_key().verifying_key().verify(&hash, &signature);
    assert_eq!(verdict, Err(BadSignature));
    let signature = keys()[1].sign(&hash, &mut rng()).unwrap();
    let stranger = p256::SecretKey::from_slice(&[3; 32]).unwrap();
    let stranger = stranger.to_pkcs8_der().unwrap();
    let stranger = SigningKey::from_pkcs8_der(stranger.as_bytes()).unwrap();
    let verdict = stranger.verifying_key().verify(&hash, &signature);
    assert_eq!(verdict, Err(BadSignature));
}

// What is.

#[test]
fn every_key_signs_every_hash() {
    for key in keys() {
        for hash in HASHES {
            let hash = hash.digest(&[b"abc"]);
            let signature = key.sign(&hash, &mut rng()).unwrap();
            key.verifying_key().verify(&hash, &signature).unwrap();
        }
    }
}

#[test]
fn rfc_4754_vectors() {
    // Section 8: x and y, then r and s, over the hash of "abc".
    let vectors = [
        (
            Hash::Sha2_256,
            "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
            "2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e970\
             6fc98bd7e50211a4a27102fa3549df79ebcb4bf246b80945cddfe7d509bbfd7d",
            "cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c\
             86fa3bb4e26cad5bf90b7f81899256ce7594bb1ea0c89212748bff3b3d5b0315",
        ),
        (
            Hash::Sha2_384,
            "3076301006072a8648ce3d020106052b8104002203620004",
            "96281bf8dd5e0525ca049c048d345d3082968d10fedf5c5aca0c64e6465a97ea5c\
             e10c9dfec21797415710721f437922447688ba94708eb6e2e4d59f6ab6d7edff93\
             01d249fe49c33096655f5d502fad3d383b91c5e7edaa2b714cc99d5743ca",
            "fb017b914e29149432d8bac29a514640b46f53ddab2c69948084e2930f1c8f7e\
             08e07c9c63f2d21a07dcb56a6af56eb3\
             b263a1305e057f984d38726a1b46874109f417bca112674c528262a40a629af1\
             cbb9f516ce0fa7d2ff630863a00e8b9f",
        ),
    ];
    for (hash, prefix, point, signature) in vectors {
        let spki = hex::decode(format!("{prefix}{point}")).unwrap();
        let key = VerifyingKey::from_spki_der(&spki).unwrap();
        let signature = hex::decode(signature).unwrap();
        key.verify(&hash.digest(&[b"abc"]), &signature).unwrap();
        let other = hash.digest(&[b"abd"]);
        assert_eq!(key.verify(&other, &signature), Err(BadSignature));
    }
}

#[test]
fn hashes_of_other_lengths_are_cut_and_filled_as_rfc_6979_has_it() {
    // Appendix A.2.5, P-256 and "sample": a shorter and a longer hash than the order.
    let spki = hex::decode(
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004\
         60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    )
    .unwrap();
    let key = VerifyingKey::from_spki_der(&spki).unwrap();
    for (hash, signature) in [
        (
            Hash::Sha1,
            "61340c88c3aaebeb4f6d667f672ca9759a6ccaa9fa8811313039ee4a35471d32\
             6d7f147dac089441bb2e2fe8f7a3fa264b9c475098fdcf6e00d7c996e1b8b7eb",
        ),
        (
            Hash::Sha2_384,
            "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719\
             4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
        ),
        (
            Hash::Sha2_512,
            "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00\
             2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe",
        ),
    ] {
        let signature = hex::decode(signature).unwrap();
        key.verify(&hash.digest(&[b"sample"]), &signature).unwrap();
    }

    // Appendix A.2.7, P-521 and SHA-1: 160 bits for an order of 521.
    let x = hex::decode(
        "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa8\
         96eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
    )
    .unwrap();
    let key = p521::SecretKey::from_slice(&x).unwrap();
    let key = SigningKey::from_pkcs8_der(key.to_pkcs8_der().unwrap().as_bytes()).unwrap();
    let signature = hex::decode(
        "00343b6ec45728975ea5cba6659bbb6062a5ff89eea58be3c80b619f322c87910fe0\
         92f7d45bb0f8eee01ed3f20babec079d202ae677b243ab40b5431d497c55d75d\
         00e7b0e675a9b24413d448b8cc119d2bf7b2d2df032741c096634d6d65d0dbe3d569\
         4625fb9e8104d3b842c1b0e2d0b98bea19341e8676aef66ae4eba3d5475d5d16",
    )
    .unwrap();
    let hash = Hash::Sha1.digest(&[b"sample"]);
    key.verifying_key().verify(&hash, &signature).unwrap();
}

#[test]
fn rsa_signs_the_encoding_of_rfc_2409() {
    let hash = Hash::Sha2_256.digest(&[b"abc"]);
    let signature = rsa_key().sign(&hash, &mut rng()).unwrap();
    assert_eq!(signature, raw_rsa(&encoded(221, &hash)));
}

// Keys.

#[test]
fn keys_come_in_the_encodings_of_openssl() {
    let [rsa, p256, ..] = keys();
    let pkcs1 = RSA.to_pkcs1_der().unwrap();
    let read = SigningKey::from_pkcs1_der(pkcs1.as_bytes()).unwrap();
    assert_eq!(read.verifying_key(), rsa.verifying_key());

    let secret: Vec<u8> = (0..32).collect();
    let mut sec1 = hex::decode("303102010104 20".replace(' ', "")).unwrap();
    sec1.extend(&secret);
    sec1.extend(hex::decode("a00a06082a8648ce3d030107").unwrap());
    let read = SigningKey::from_sec1_der(&sec1).unwrap();
    assert_eq!(read.verifying_key(), p256.verifying_key());
    // secp256k1 is as long and not ours.
    let mut other = hex::decode("302e0201010420").unwrap();
    other.extend(&secret);
    other.extend(hex::decode("a00706052b8104000a").unwrap());
    assert_eq!(
        SigningKey::from_sec1_der(&other).err(),
        Some(KeyError::Malformed)
    );
}

#[test]
fn public_keys_survive_writing_and_reading() {
    for key in keys() {
        let der = key.public_key_der();
        let read = VerifyingKey::from_spki_der(&der).unwrap();
        assert_eq!(read, key.verifying_key());
        assert_eq!(read.scheme(), key.scheme());
        assert_eq!(
            SignatureScheme::from_ike(key.scheme().ike()),
            Some(key.scheme())
        );
        for length in 0..der.len() {
            assert!(VerifyingKey::from_spki_der(der.get(..length).unwrap()).is_err());
        }
    }
    assert_eq!(SignatureScheme::from_ike(1), None);
}

#[test]
fn weak_and_unknown_keys_are_refused_by_name() {
    let short = RsaPrivateKey::new(&mut rng(), 1024).unwrap();
    let spki = short.to_public_key().to_public_key_der().unwrap();
    let refused = VerifyingKey::from_spki_der(spki.as_bytes());
    assert_eq!(refused.err(), Some(KeyError::RsaSize { bits: 1024 }));
    let private = short.to_pkcs8_der().unwrap();
    assert!(RsaPrivateKey::from_pkcs8_der(private.as_bytes()).is_ok());
    let refused = SigningKey::from_pkcs8_der(private.as_bytes());
    assert_eq!(refused.err(), Some(KeyError::RsaSize { bits: 1024 }));

    // Ed25519 (RFC 8410 10.1).
    let ed25519 = hex::decode(
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
    )
    .unwrap();
    let refused = VerifyingKey::from_spki_der(&ed25519);
    assert_eq!(refused.err(), Some(KeyError::Unsupported));
    // A point that is not on P-256.
    let mut off = keys()[1].public_key_der();
    *off.last_mut().unwrap() ^= 1;
    let refused = VerifyingKey::from_spki_der(&off);
    assert_eq!(refused.err(), Some(KeyError::Malformed));
    assert_eq!(
        VerifyingKey::from_spki_der(&[]).err(),
        Some(KeyError::Malformed)
    );
}

#[test]
fn debug_output_hides_keys() {
    for key in keys() {
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            format!("SigningKey {{ scheme: {:?}, .. }}", key.scheme())
        );
    }
}
