use super::*;
use crate::{EspMac, Rng};
use proptest::prelude::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(char::is_whitespace, "")).unwrap()
}

fn suite(cipher: EspCipher, mac: Option<EspMac>) -> EspSuite {
    EspSuite::new(cipher, mac).unwrap()
}

#[test]
fn packets_of_another_library_open() {
    // Made with Python's hmac and the OpenSSL behind `cryptography`: key material 3, 10, 17, ...;
    // IV a0, a1, ...; "an upper-layer packet", padding, next header 17.
    let packets = [
        (
            suite(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf710a0ec4483b266c38a595e44013c395
             e2fa8e54bc2a7ae99828709b82bada8e96a82479bd86bbbd167a8be7",
        ),
        (
            suite(EspCipher::AesCbc192, Some(EspMac::HmacSha2_384_192)),
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf3db48e1c2fbfbee56ddc0f103703b070
             614bc63928753231cb87982b899150d91d0f38d11ad2270d45bac435d22337a2a54815b24d6f4034",
        ),
        (
            suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf6673e732537566ebeacda03ecce7a67c
             614bf676ff7cc879067bca0b80e91a20fcd50f16710b6bcad383834b8ab5126b",
        ),
        (
            // The packet before, its ICV cut.
            suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_96)),
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf6673e732537566ebeacda03ecce7a67c
             614bf676ff7cc879067bca0b80e91a20fcd50f16710b6bcad383834b",
        ),
        (
            suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf6673e732537566ebeacda03ecce7a67c
             614bf676ff7cc879067bca0b80e91a2096bcebb0279e511d45191af85e56136d56b16babfc2e16a4
             19a362c613b58fda",
        ),
        (
            suite(EspCipher::TripleDes, Some(EspMac::HmacMd5_96)),
            "c0ffee0100000007a0a1a2a3a4a5a6a757ce30da41fa4308c1a9a0f973ab804f4c17a59e1c45bd18
             f4541ee17033d3acb8236d76",
        ),
    ];
    for (suite, packet) in packets {
        let keymat: Vec<u8> = (0..suite.keymat_len()).map(|i| (i * 7 + 3) as u8).collect();
        let keys = EspKeys::new(suite, &keymat).unwrap();
        let mut packet = unhex(packet);
        assert_eq!(packet.len(), suite.sealed_len(21));
        let clear = keys.verify_and_decrypt(&mut packet, None).unwrap();
        let clear = &packet[clear];
        assert_eq!(&clear[..21], b"an upper-layer packet");
        assert_eq!(clear[21], 1);
        assert_eq!(clear[clear.len() - 2..], [clear.len() as u8 - 23, 17]);
    }
}

struct GcmVector {
    cipher: EspCipher,
    keymat: &'static str,
    header: &'static str,
    iv: u64,
    clear: &'static str,
    sealed: &'static str,
}

/// Two packets of draft-mcgrew-gcm-test-01, which tests RFC 4106.
const GCM: [GcmVector; 2] = [
    GcmVector {
        cipher: EspCipher::AesGcm256,
        keymat: "abbccddef00112233445566778899aababbccddef00112233445566778899aab 11223344",
        header: "4a2cbfe300000002",
        iv: 0x0102_0304_0506_0708,
        clear: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000
            7002400020bf0000020405b4010104020102 0201",
        sealed: "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
            748a637985771d347f0545659f14e99def842d8e b335f4eecfdbf831824b4c4915956c96",
    },
    GcmVector {
        cipher: EspCipher::AesGcm128,
        keymat: "feffe9928665731c6d6a8f9467308308 cafebabe",
        header: "0000a5f80000000a",
        iv: 0xface_dbad_deca_f888,
        clear: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100
            000100000000000003736970096379626572636974790264 6b0000010001 0001",
        sealed: "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c
            3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1
            83b70d3aa8bc6ee4c309e9d85a41ad4a",
    },
];

#[test]
fn gcm_packets_of_rfc_4106() {
    for vector in GCM {
        let suite = suite(vector.cipher, None);
        let keys = EspKeys::new(suite, &unhex(vector.keymat)).unwrap();
        let clear = unhex(vector.clear);
        let mut packet = unhex(vector.header);
        packet.extend([0; 8]);
        packet.extend(&clear);
        packet.extend([0; 16]);
        keys.seal(&mut packet, vector.iv, None).unwrap();
        let mut expected = unhex(vector.header);
        expected.extend(vector.iv.to_be_bytes());
        expected.extend(unhex(vector.sealed));
        assert_eq!(hex::encode(&packet), hex::encode(&expected));
        let range = keys.verify_and_decrypt(&mut packet, None).unwrap();
        assert_eq!(packet[range], clear);
    }
}

#[test]
fn extended_sequence_numbers_are_authenticated() {
    // The first two packets above: their ICV with an upper half, by Python's hmac.
    let packets = [
        (
            suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
            1,
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf6673e732537566ebeacda03ecce7a67c
             614bf676ff7cc879067bca0b80e91a20 5582811dadc764b5aa9a75a2e7d212f4",
        ),
        (
            suite(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
            0xff00_0001,
            "c0ffee0100000007a0a1a2a3a4a5a6a7a8a9aaabacadaeaf710a0ec4483b266c38a595e44013c395
             e2fa8e54bc2a7ae99828709b82bada8e 664ec77854673144e15277d8",
        ),
    ];
    for (suite, high, packet) in packets {
        let keymat: Vec<u8> = (0..suite.keymat_len()).map(|i| (i * 7 + 3) as u8).collect();
        let keys = EspKeys::new(suite, &keymat).unwrap();
        let packet = unhex(packet);
        for wrong in [None, Some(0), Some(high + 1)] {
            assert_eq!(
                keys.verify_and_decrypt(&mut packet.clone(), wrong),
                Err(VerifyError::IcvMismatch)
            );
        }
        let clear = keys.verify_and_decrypt(&mut packet.clone(), Some(high));
        assert_eq!(clear.unwrap(), 24..56);
    }

    // A packet of draft-mcgrew-gcm-test-01 with an extended number, 0x87654321_00000000.
    let suite = suite(EspCipher::AesGcm128, None);
    let keymat = unhex("4c80cdefbb5d10da906ac73c3613a634 2e443b68");
    let keys = EspKeys::new(suite, &keymat).unwrap();
    let clear = unhex(
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000
         00000000045f736970045f756470037369700963796265726369747902646b00
         0021000101020201",
    );
    let mut packet = unhex("0000432100000000");
    packet.extend([0; 8]);
    packet.extend(&clear);
    packet.extend([0; 16]);
    keys.seal(&mut packet, 0x4956_ed7e_3b24_4cfe, Some(0x8765_4321))
        .unwrap();
    let sealed = "00004321000000004956ed7e3b244cfe
         fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
         cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
         61bc17d768fd9732 459018148f6cbe722fd04796562dfdb4";
    assert_eq!(hex::encode(&packet), hex::encode(unhex(sealed)));
    assert_eq!(
        keys.verify_and_decrypt(&mut packet.clone(), None),
        Err(VerifyError::IcvMismatch)
    );
    let range = keys.verify_and_decrypt(&mut packet, Some(0x8765_4321));
    assert_eq!(packet[range.unwrap()], clear);
}

#[test]
fn only_the_cut_of_hmac_sha2_256_changes() {
    for suite in super::super::tests::all_suites() {
        let mut keys = random_keys(suite, 1);
        let unrelated = |other: &EspSuite| {
            other.cut_at_96() != Some(suite) && suite.cut_at_96() != Some(*other)
        };
        for other in super::super::tests::all_suites()
            .into_iter()
            .filter(unrelated)
        {
            keys.set_suite(other);
            assert_eq!(keys.suite(), suite);
        }
        if let Some(cut) = suite.cut_at_96() {
            assert_eq!(cut.keymat_len(), suite.keymat_len());
            keys.set_suite(cut);
            assert_eq!(keys.suite(), cut);
            let mut packet = vec![0; cut.sealed_len(14)];
            keys.seal(&mut packet, 1, None).unwrap();
            let malformed = VerifyError::Malformed(MalformedPacket {
                suite,
                len: packet.len(),
            });
            keys.set_suite(suite);
            assert_eq!(
                keys.verify_and_decrypt(&mut packet.clone(), None),
                Err(malformed)
            );
            keys.set_suite(cut);
            assert!(keys.verify_and_decrypt(&mut packet, None).is_ok());
        }
    }
}

fn random_keys(suite: EspSuite, seed: u8) -> EspKeys {
    let mut keymat = vec![0; suite.keymat_len()];
    Rng::from_seed([seed; 32]).fill(&mut keymat);
    EspKeys::new(suite, &keymat).unwrap()
}

#[test]
fn key_material_of_another_length_is_refused() {
    for suite in super::super::tests::all_suites() {
        for len in [0, suite.keymat_len() - 1, suite.keymat_len() + 1] {
            assert_eq!(
                EspKeys::new(suite, &vec![0; len]).unwrap_err(),
                KeyLength {
                    expected: suite.keymat_len(),
                    actual: len
                }
            );
        }
        let keys = random_keys(suite, 1);
        assert_eq!(keys.suite(), suite);
        assert!(!format!("{keys:?}").contains("key"));
    }
}

#[test]
fn impossible_lengths_are_malformed() {
    for suite in super::super::tests::all_suites() {
        let keys = random_keys(suite, 2);
        let shortest = suite.sealed_len(0);
        for len in 0..shortest + 2 * suite.block_len() {
            let mut packet = vec![0x5a; len];
            let before = packet.clone();
            let opened = keys.verify_and_decrypt(&mut packet, None);
            if suite.mac.is_some() {
                assert_eq!(packet, before, "an unverified packet is not decrypted");
            }
            let possible = len >= shortest && (len - shortest).is_multiple_of(suite.block_len());
            if possible {
                assert_eq!(opened, Err(VerifyError::IcvMismatch));
                assert!(keys.seal(&mut packet, 1, None).is_ok());
            } else {
                let malformed = MalformedPacket { suite, len };
                assert_eq!(opened, Err(malformed.into()));
                assert_eq!(keys.seal(&mut packet, 1, None), Err(malformed));
            }
        }
    }
}

#[test]
fn cbc_ivs_differ_and_do_not_count() {
    let suite = suite(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96));
    let keys = random_keys(suite, 3);
    let other = random_keys(suite, 4);
    let iv = |keys: &EspKeys, counter| {
        let mut packet = vec![0; suite.sealed_len(14)];
        keys.seal(&mut packet, counter, None).unwrap();
        packet[8..24].to_vec()
    };
    let ivs: std::collections::HashSet<_> = (0..200).map(|counter| iv(&keys, counter)).collect();
    assert_eq!(ivs.len(), 200);
    assert_ne!(iv(&keys, 1), iv(&other, 1));
    let differing: u32 = iv(&keys, 1)
        .iter()
        .zip(iv(&keys, 2))
        .map(|(a, b)| (a ^ b).count_ones())
        .sum();
    assert!(differing > 30, "{differing} bits differ between neighbours");
}

proptest! {
    #[test]
    fn every_changed_bit_is_noticed(
        suite in proptest::sample::select(super::super::tests::all_suites()),
        blocks in 1_usize..12,
        counter: u64,
        place: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let keys = random_keys(suite, 5);
        let text = blocks * suite.block_len();
        let clear: Vec<u8> = (0..text).map(|i| i as u8).collect();
        let mut packet = vec![0x11; 8 + suite.iv_len()];
        packet.extend(&clear);
        packet.extend(vec![0; suite.icv_len()]);
        keys.seal(&mut packet, counter, None).unwrap();
        prop_assert!(!packet.windows(text).any(|window| window == clear));

        let mut changed = packet.clone();
        let at = place.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert_eq!(
            keys.verify_and_decrypt(&mut changed, None),
            Err(VerifyError::IcvMismatch)
        );
        prop_assert_eq!(
            random_keys(suite, 6).verify_and_decrypt(&mut packet.clone(), None),
            Err(VerifyError::IcvMismatch)
        );

        let range = keys.verify_and_decrypt(&mut packet, None).unwrap();
        prop_assert_eq!(range.start, 8 + suite.iv_len());
        prop_assert_eq!(&packet[range], &clear[..]);
    }
}
