use super::*;
use proptest::prelude::*;

/// Every suite that there is.
pub(super) fn all_suites() -> Vec<EspSuite> {
    let ciphers = [
        EspCipher::AesCbc128,
        EspCipher::AesCbc192,
        EspCipher::AesCbc256,
        EspCipher::AesGcm128,
        EspCipher::AesGcm256,
        EspCipher::TripleDes,
    ];
    let macs = [
        None,
        Some(EspMac::HmacSha1_96),
        Some(EspMac::HmacSha2_256_128),
        Some(EspMac::HmacSha2_256_96),
        Some(EspMac::HmacSha2_384_192),
        Some(EspMac::HmacSha2_512_256),
        Some(EspMac::HmacMd5_96),
    ];
    ciphers
        .into_iter()
        .flat_map(|cipher| macs.map(|mac| EspSuite::new(cipher, mac)))
        .flatten()
        .collect()
}

#[test]
fn nothing_without_authentication_and_gcm_without_a_mac() {
    assert_eq!(
        EspSuite::new(EspCipher::AesCbc128, None),
        Err(SuiteMismatch::MacMissing(EspCipher::AesCbc128))
    );
    assert_eq!(
        EspSuite::new(EspCipher::AesGcm256, Some(EspMac::HmacSha1_96)),
        Err(SuiteMismatch::MacUnused(EspCipher::AesGcm256))
    );
    assert_eq!(all_suites().len(), 4 * 6 + 2);
}

#[test]
fn names_and_key_material() {
    for (cipher, mac, name, keymat) in [
        (
            EspCipher::AesCbc256,
            Some(EspMac::HmacSha1_96),
            "AES-CBC-256/HMAC-SHA1-96",
            32 + 20,
        ),
        (
            EspCipher::AesCbc128,
            Some(EspMac::HmacSha2_256_128),
            "AES-CBC-128/HMAC-SHA2-256-128",
            16 + 32,
        ),
        (
            EspCipher::AesCbc192,
            Some(EspMac::HmacSha2_384_192),
            "AES-CBC-192/HMAC-SHA2-384-192",
            24 + 48,
        ),
        (
            EspCipher::AesCbc256,
            Some(EspMac::HmacSha2_512_256),
            "AES-CBC-256/HMAC-SHA2-512-256",
            32 + 64,
        ),
        (
            EspCipher::TripleDes,
            Some(EspMac::HmacMd5_96),
            "3DES-CBC/HMAC-MD5-96",
            24 + 16,
        ),
        (EspCipher::AesGcm128, None, "AES-GCM-128", 16 + 4),
        (EspCipher::AesGcm256, None, "AES-GCM-256", 32 + 4),
    ] {
        let suite = EspSuite::new(cipher, mac).unwrap();
        assert_eq!((suite.name().as_str(), suite.keymat_len()), (name, keymat));
    }
}

#[test]
fn lengths_by_hand() {
    let cbc = EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)).unwrap();
    // 8 header, 16 IV, one block, 12 ICV.
    assert_eq!(cbc.sealed_len(0), 52);
    assert_eq!(cbc.sealed_len(14), 52);
    assert_eq!(cbc.sealed_len(15), 68);
    assert_eq!(cbc.max_payload(51), 0);
    assert_eq!(cbc.max_payload(67), 14);
    assert_eq!(cbc.max_payload(68), 30);
    let gcm = EspSuite::new(EspCipher::AesGcm128, None).unwrap();
    // 8 header, 8 IV, 4 of padding and trailer, 16 ICV.
    assert_eq!(gcm.sealed_len(0), 36);
    assert_eq!(gcm.sealed_len(2), 36);
    assert_eq!(gcm.sealed_len(3), 40);
    for suite in all_suites() {
        assert_eq!(suite.max_payload(0), 0);
        let _ = suite.sealed_len(usize::MAX);
        let _ = suite.max_payload(usize::MAX);
    }
}

proptest! {
    #[test]
    fn max_payload_is_the_inverse_of_sealed_len(
        suite in proptest::sample::select(all_suites()),
        payload in 0_usize..70_000,
        room in 0_usize..70_000,
    ) {
        let sealed = suite.sealed_len(payload);
        prop_assert!(suite.max_payload(sealed) >= payload);
        prop_assert!(suite.max_payload(sealed - 1) < payload.max(1));
        let most = suite.max_payload(room);
        if room >= suite.sealed_len(0) {
            prop_assert!(suite.sealed_len(most) <= room);
            prop_assert!(suite.sealed_len(most + 1) > room);
        } else {
            prop_assert_eq!(most, 0);
        }
        let encrypted = sealed - 8 - suite.iv_len() - suite.icv_len();
        prop_assert_eq!(encrypted % suite.block_len(), 0);
        prop_assert!(suite.padding_len(payload) < suite.block_len());
        prop_assert_eq!(encrypted, payload + 2 + suite.padding_len(payload));
    }
}
