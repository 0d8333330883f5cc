use super::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(char::is_whitespace, "")).unwrap()
}

/// Key, data, and the MAC's leading bytes.
type Case = (Vec<u8>, Vec<u8>, &'static str);

fn check(hash: Hash, cases: &[Case]) {
    for (number, (key, data, expected)) in cases.iter().enumerate() {
        let expected = unhex(expected);
        let mac = hash.hmac(key, &[data]);
        assert_eq!(mac[..expected.len()], expected, "{hash:?} case {number}");
        // In parts, and a second time from the same midstates.
        let keyed = HmacKey::new(hash, key);
        let (head, tail) = data.split_at(data.len() / 3);
        assert_eq!(keyed.mac(&[head, &[], tail]), mac);
        assert_eq!(keyed.mac(&[data]), mac);
        assert_eq!(mac.len(), hash.len());
    }
}

const LARGE_KEY: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
const LARGE_BOTH: &[u8] =
    b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data";

#[test]
fn rfc_2202_hmac_md5() {
    check(
        Hash::Md5,
        &[
            (
                vec![0x0b; 16],
                b"Hi There".to_vec(),
                "9294727a3638bb1c13f48ef8158bfc9d",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "750c783e6ab0b503eaa86e310a5db738",
            ),
            (
                vec![0xaa; 16],
                vec![0xdd; 50],
                "56be34521d144c88dbb8c733f0e8b3f6",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "697eaf0aca3a3aea3a75164746ffaa79",
            ),
            (
                vec![0x0c; 16],
                b"Test With Truncation".to_vec(),
                "56461ef2342edc00f9bab995690efd4c",
            ),
            (
                vec![0xaa; 80],
                LARGE_KEY.to_vec(),
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
            (
                vec![0xaa; 80],
                LARGE_BOTH.to_vec(),
                "6f630fad67cda0ee1fb1f562db3aa53e",
            ),
        ],
    );
}

#[test]
fn rfc_2202_hmac_sha1() {
    check(
        Hash::Sha1,
        &[
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
            ),
            (
                vec![0x0c; 20],
                b"Test With Truncation".to_vec(),
                "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
            ),
            (
                vec![0xaa; 80],
                LARGE_KEY.to_vec(),
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
            (
                vec![0xaa; 80],
                LARGE_BOTH.to_vec(),
                "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
            ),
        ],
    );
}

#[test]
fn rfc_4231_hmac_sha2() {
    let big_key = b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec();
    let big_both = b"This is a test using a larger than block-size key and a larger than \
        block-size data. The key needs to be hashed before being used by the HMAC algorithm."
        .to_vec();
    let inputs = [
        (vec![0x0b; 20], b"Hi There".to_vec()),
        (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec()),
        (vec![0xaa; 20], vec![0xdd; 50]),
        ((1..=25).collect(), vec![0xcd; 50]),
        // Case 5 gives the first 128 bits only.
        (vec![0x0c; 20], b"Test With Truncation".to_vec()),
        (vec![0xaa; 131], big_key),
        (vec![0xaa; 131], big_both),
    ];
    let expected = [
        (
            Hash::Sha2_256,
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                "a3b6167473100ee06e0c796c2955552b",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ],
        ),
        (
            Hash::Sha2_384,
            [
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c
                 faea9ea9076ede7f4af152e8b2fa9cb6",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
                 8e2240ca5e69e2c78b3239ecfab21649",
                "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b
                 2a5ab39dc13814b94e3ab6e101a34f27",
                "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e
                 6801dd23c4a7d679ccf8a386c674cffb",
                "3abf34c3503b2a23a46efc619baef897",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6
                 0c2ef6ab4030fe8296248df163f44952",
                "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5
                 a678cc31e799176d3860e6110c46523e",
            ],
        ),
        (
            Hash::Sha2_512,
            [
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39
                 bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
                "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db
                 a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
                "415fad6271580a531d4179bc891d87a6",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
                "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944
                 b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
            ],
        ),
    ];
    for (hash, macs) in expected {
        let cases: Vec<Case> = inputs
            .iter()
            .cloned()
            .zip(macs)
            .map(|((key, data), mac)| (key, data, mac))
            .collect();
        check(hash, &cases);
    }
}

#[test]
fn hashes_of_abc() {
    // RFC 1321 A.5 and FIPS 180-4's examples.
    for (hash, expected) in [
        (Hash::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            Hash::Sha2_256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Hash::Sha2_384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha2_512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        assert_eq!(&hash.digest(&[b"abc"])[..], unhex(expected));
        assert_eq!(hash.digest(&[b"a", b"", b"bc"]), hash.digest(&[b"abc"]));
    }
}

#[test]
fn digests_compare_and_hide() {
    let a = Hash::Sha1.digest(&[b"a"]);
    assert_eq!(a, a.clone());
    assert_ne!(a, Hash::Sha1.digest(&[b"b"]));
    assert_ne!(a, Hash::Md5.digest(&[b"a"]));
    assert_eq!(format!("{a:?}"), "Digest(20 bytes)");
    let key = HmacKey::new(Hash::Sha1, b"secret");
    assert_eq!(format!("{key:?}"), "HmacKey { hash: Sha1, .. }");
}
