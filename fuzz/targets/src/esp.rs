//! ESP: packets as they are, and the input as the plaintext of an authentic packet.

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_esp::{HEADROOM, InboundSa, Lifetime, OpenError, OutboundSa, TAILROOM};
use adit_wire::PacketBuf;

use crate::inputs::Clock;

const SUITES: [(EspCipher, Option<EspMac>); 8] = [
    (EspCipher::AesGcm256, None),
    (EspCipher::AesGcm128, None),
    (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
    (EspCipher::AesCbc192, Some(EspMac::HmacSha2_384_192)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
    (EspCipher::TripleDes, Some(EspMac::HmacMd5_96)),
];

const LIFETIME: Lifetime = Lifetime {
    seconds: None,
    bytes: None,
};

/// Opens the input under every suite, with all-zero keys so that a seed may be authentic; then
/// seals it and opens that.
pub fn esp_open(data: &[u8]) {
    opened_under(data);
}

/// The number of suites under which the input is an authentic packet.
fn opened_under(data: &[u8]) -> usize {
    let clock = Clock::new();
    let mut rng = Rng::from_seed([9; 32]);
    let spi = adit_esp::spi_of(data).unwrap_or(1);
    let mut opened = 0;
    for (cipher, mac) in SUITES {
        let suite = EspSuite::new(cipher, mac).expect("a suite");
        let zeros = vec![0; suite.keymat_len()];
        let mut inbound = || {
            InboundSa::new(spi, suite, &zeros, LIFETIME, clock.now(), &mut rng)
                .expect("the length is the suite's")
        };
        let authentic = is_authentic(&mut inbound(), data);
        opened += usize::from(authentic);
        // One bit turned, outside the SPI, which only says whose packet it is.
        let last = data.len().saturating_sub(1);
        for at in [last, (data.len() / 2).max(4)] {
            let mut altered = data.to_vec();
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1 << (data.len() % 8);
                let both = authentic && is_authentic(&mut inbound(), &altered);
                assert!(!both, "a packet opened with byte {at} altered");
            }
        }

        // Other keys, so that the input is nothing but a payload.
        let keymat = vec![5; suite.keymat_len()];
        let mut inbound = InboundSa::new(spi, suite, &keymat, LIFETIME, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let mut outbound = OutboundSa::new(spi, suite, &keymat, LIFETIME, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let mut packet = PacketBuf::from_slice(HEADROOM, data, TAILROOM);
        if outbound.seal(&mut packet, 17).is_ok() {
            assert_eq!(packet.len(), suite.sealed_len(data.len()));
            let opened = inbound.open(packet.as_mut_slice()).expect("our own packet");
            assert_eq!(&packet.as_slice()[opened.payload], data);
            assert_eq!(opened.next_header, 17);
        }
    }
    opened
}

/// Opens a packet on a fresh SA. One that is not authentic must leave no trace in the window; one
/// that is must open only once.
fn is_authentic(inbound: &mut InboundSa, data: &[u8]) -> bool {
    let mut packet = data.to_vec();
    match inbound.open(&mut packet) {
        Ok(opened) => {
            let payload = packet.get(opened.payload).expect("a range inside");
            assert!(payload.len() < data.len());
            assert!(opened.newest && opened.sequence == inbound.sequence());
            let again = inbound.open(&mut data.to_vec());
            assert!(
                matches!(again, Err(OpenError::Replayed { .. })),
                "{again:?}"
            );
            true
        }
        // Authentic all the same, so it counts as come.
        Err(OpenError::Padding) => {
            assert_ne!(inbound.sequence(), 0);
            true
        }
        Err(_) => {
            assert_eq!(inbound.sequence(), 0, "a forged packet moved the window");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::opened_under;
    use crate::inputs::seed;

    #[test]
    fn seeds_are_authentic() {
        for name in [
            "aes-gcm-256-valid",
            "aes-gcm-128-padding-past-payload",
            "aes-cbc-128-hmac-sha1-96-valid",
            "aes-cbc-256-hmac-sha2-512-256-tfc-padding",
            "aes-cbc-192-hmac-sha2-384-192-dummy",
            "3des-cbc-hmac-md5-96-valid",
        ] {
            // Two suites may share the key of zeros.
            assert!(opened_under(&seed("esp_open", name)) >= 1, "{name}");
        }
        assert_eq!(opened_under(&seed("esp_open", "aes-gcm-256-wrong-icv")), 0);
    }
}
