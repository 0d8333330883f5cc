//! ESP: packets as they are, and the input as the plaintext of an authentic packet.

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_esp::{HEADROOM, InboundSa, Lifetime, OutboundSa, TAILROOM};
use adit_wire::PacketBuf;

use crate::inputs::Clock;

/// Opens the input under every kind of suite, then seals it and opens that.
pub fn esp_open(data: &[u8]) {
    let suites = [
        (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
        (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
        (EspCipher::AesGcm256, None),
    ];
    let clock = Clock::new();
    for (cipher, mac) in suites {
        let Ok(suite) = EspSuite::new(cipher, mac) else {
            continue;
        };
        let mut rng = Rng::from_seed([9; 32]);
        let keymat = vec![5; suite.keymat_len()];
        let lifetime = Lifetime {
            seconds: None,
            bytes: None,
        };
        let spi = adit_esp::spi_of(data).unwrap_or(1);
        let mut inbound = InboundSa::new(spi, suite, &keymat, lifetime, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let mut packet = data.to_vec();
        assert!(inbound.open(&mut packet).is_err(), "a forged packet opened");

        let mut outbound = OutboundSa::new(spi, suite, &keymat, lifetime, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let mut packet = PacketBuf::from_slice(HEADROOM, data, TAILROOM);
        if outbound.seal(&mut packet, 17).is_ok() {
            assert_eq!(packet.len(), suite.sealed_len(data.len()));
            let opened = inbound.open(packet.as_mut_slice()).expect("our own packet");
            assert_eq!(&packet.as_slice()[opened.payload], data);
            assert_eq!(opened.next_header, 17);
        }
    }
}
