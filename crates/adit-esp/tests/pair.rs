//! A sending and a receiving SA joined in memory, over every suite.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Instant;

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_esp::{
    HEADROOM, InboundSa, Lifetime, MAX_PACKET, OpenError, OutboundSa, TAILROOM, spi_of,
};
use adit_wire::PacketBuf;
use proptest::prelude::*;

const SPI: u32 = 0xdead_beef;

fn suites() -> Vec<EspSuite> {
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

fn pair(suite: EspSuite, seed: u8) -> (OutboundSa, InboundSa) {
    let mut rng = Rng::from_seed([seed; 32]);
    let mut keymat = vec![0; suite.keymat_len()];
    rng.fill(&mut keymat);
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    let now = Instant::now();
    let lifetime = Lifetime::default();
    (
        OutboundSa::new(SPI, suite, &keymat, lifetime, now, &mut rng).unwrap(),
        InboundSa::new(SPI, suite, &keymat, lifetime, now, &mut rng).unwrap(),
    )
}

fn seal(sa: &mut OutboundSa, payload: &[u8], next_header: u8) -> Vec<u8> {
    let mut buf = PacketBuf::from_slice(HEADROOM, payload, TAILROOM);
    sa.seal(&mut buf, next_header).unwrap();
    buf.as_slice().to_vec()
}

#[test]
fn every_suite_at_every_alignment() {
    assert_eq!(suites().len(), 22);
    for suite in suites() {
        let (mut out, mut inward) = pair(suite, 1);
        for len in (0..70).chain([1280, 1400, 1500, 9000, suite.max_payload(MAX_PACKET)]) {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut packet = seal(&mut out, &payload, 17);
            assert_eq!(packet.len(), suite.sealed_len(len), "{suite} {len}");
            assert_eq!(spi_of(&packet), Some(SPI));
            let opened = inward.open(&mut packet).unwrap();
            assert!(opened.newest);
            assert_eq!(opened.next_header, 17);
            assert_eq!(packet[opened.payload], payload, "{suite} {len}");
        }
        assert_eq!(out.stats().packets, inward.stats().packets);
        assert_eq!(out.stats().bytes, inward.stats().bytes);
    }
}

#[test]
fn headroom_and_tailroom_are_enough_and_not_more() {
    let front = suites().iter().map(|suite| 8 + suite.iv_len()).max();
    let back = (0..64)
        .flat_map(|len| {
            suites()
                .into_iter()
                .map(move |suite| suite.sealed_len(len) - len - 8 - suite.iv_len())
        })
        .max();
    assert_eq!((front, back), (Some(HEADROOM), Some(TAILROOM)));
}

#[test]
fn other_keys_do_not_open() {
    for suite in suites() {
        let (mut out, _) = pair(suite, 1);
        let (_, mut stranger) = pair(suite, 2);
        let mut packet = seal(&mut out, b"hello", 17);
        assert_eq!(stranger.open(&mut packet), Err(OpenError::BadIcv));
        assert_eq!(stranger.sequence(), 0);
    }
}

proptest! {
    #[test]
    fn random_payloads_come_through(
        suite in proptest::sample::select(suites()),
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
        next_header: u8,
        seed: u8,
    ) {
        let (mut out, mut inward) = pair(suite, seed);
        let mut packet = seal(&mut out, &payload, next_header);
        prop_assert_eq!(packet.len(), suite.sealed_len(payload.len()));
        prop_assert!(suite.max_payload(packet.len()) >= payload.len());
        let opened = inward.open(&mut packet).unwrap();
        prop_assert_eq!(opened.next_header, next_header);
        prop_assert_eq!(&packet[opened.payload], &payload[..]);
    }

    #[test]
    fn a_reordering_duplicating_link_delivers_each_packet_once(
        suite in proptest::sample::select(suites()),
        order in proptest::collection::vec(0_usize..60, 1..200),
    ) {
        let (mut out, mut inward) = pair(suite, 3);
        let packets: Vec<_> = (0..60_u8).map(|number| seal(&mut out, &[number], 17)).collect();
        let mut came = std::collections::HashSet::new();
        let mut highest = None;
        for number in order {
            let mut packet = packets[number].clone();
            match inward.open(&mut packet) {
                Ok(opened) => {
                    prop_assert!(came.insert(number));
                    prop_assert_eq!(opened.newest, highest.is_none_or(|highest| number > highest));
                    prop_assert_eq!(&packet[opened.payload], &[number as u8]);
                    highest = highest.max(Some(number));
                }
                Err(error) => {
                    prop_assert!(came.contains(&number));
                    let sequence = number as u64 + 1;
                    prop_assert_eq!(error, OpenError::Replayed { sequence });
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_open(
        suite in proptest::sample::select(suites()),
        mut packet in proptest::collection::vec(any::<u8>(), 0..300),
        ours: bool,
    ) {
        let (_, mut inward) = pair(suite, 4);
        if ours {
            packet.splice(0..packet.len().min(4), SPI.to_be_bytes());
        }
        prop_assert!(inward.open(&mut packet).is_err());
        prop_assert_eq!(inward.sequence(), 0);
    }
}
