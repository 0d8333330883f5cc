//! Extended sequence numbers across the edge of 32 bits, against a simple model.

use std::collections::HashSet;

use super::*;
use adit_crypto::Rng;
use adit_wire::PacketBuf;
use proptest::prelude::*;

use crate::{HEADROOM, OutboundSa, SealError, TAILROOM};

const CYCLE: u64 = 1 << 32;

fn every_suite() -> Vec<EspSuite> {
    let mut suites = suites().to_vec();
    suites.push(EspSuite::new(EspCipher::AesCbc128, Some(EspMac::HmacSha2_256_128)).unwrap());
    suites
}

fn outbound(suite: EspSuite, last: u64) -> OutboundSa {
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    let now = Instant::now();
    let mut rng = Rng::from_seed([3; 32]);
    let lifetime = Lifetime::default();
    OutboundSa::new(SPI, suite, &keymat(suite), lifetime, now, &mut rng)
        .unwrap()
        .extended(true)
        .after(last)
}

fn seal(sa: &mut OutboundSa, payload: &[u8]) -> Vec<u8> {
    let mut buf = PacketBuf::from_slice(HEADROOM, payload, TAILROOM);
    sa.seal(&mut buf, 17).unwrap();
    buf.as_slice().to_vec()
}

/// Has seen everything up to `highest`.
fn inbound(suite: EspSuite, highest: u64) -> InboundSa {
    let mut sa = sa(suite).extended(true);
    let first = highest.saturating_sub(ReplayWindow::SIZE) + 1;
    for sequence in first..=highest {
        sa.window.mark(sequence).unwrap();
    }
    sa
}

#[test]
fn an_sa_goes_on_past_32_bits() {
    for suite in every_suite() {
        let last = CYCLE - 3;
        let (mut from, mut to) = (outbound(suite, last), inbound(suite, last));
        for number in last + 1..CYCLE + 3 {
            let mut packet = seal(&mut from, b"payload");
            assert_eq!(packet[4..8], (number as u32).to_be_bytes());
            let opened = to.open(&mut packet.clone()).unwrap();
            assert_eq!((opened.sequence, opened.newest), (number, true));
            assert_eq!(
                to.open(&mut packet),
                Err(OpenError::Replayed { sequence: number })
            );
            assert_eq!((from.sequence(), to.sequence()), (number, number));
        }
    }
}

#[test]
fn a_packet_of_the_last_cycle_is_not_one_of_this() {
    for suite in every_suite() {
        let old = seal(&mut outbound(suite, 4), b"old");
        let mut to = inbound(suite, CYCLE + 4);
        // Its lower half is the next one that is due.
        assert_eq!(to.open(&mut old.clone()), Err(OpenError::BadIcv));
        let new = seal(&mut outbound(suite, CYCLE + 4), b"new");
        assert_eq!(to.open(&mut new.clone()).unwrap().sequence, CYCLE + 5);
        // Nor does an SA without extended numbers take it, or send it.
        let mut plain = sa(suite);
        assert_eq!(plain.open(&mut new.clone()), Err(OpenError::BadIcv));
        let mut extended = sa(suite).extended(true);
        assert_eq!(extended.open(&mut good(suite, 7)), Err(OpenError::BadIcv));
    }
}

#[test]
fn numbers_before_the_first_and_behind_the_last_are_refused() {
    let suite = every_suite()[0];
    let mut to = sa(suite).extended(true);
    assert_eq!(to.open(&mut good(suite, 0)), Err(OpenError::SequenceZero));
    assert_eq!(
        to.open(&mut good(suite, CYCLE - 1)),
        Err(OpenError::TooOld {
            sequence: CYCLE - 1
        })
    );
    let mut from = outbound(suite, u64::MAX - 1);
    let mut to = inbound(suite, u64::MAX - 1);
    let last = seal(&mut from, b"last");
    assert_eq!(to.open(&mut last.clone()).unwrap().sequence, u64::MAX);
    let mut buf = PacketBuf::from_slice(HEADROOM, b"more", TAILROOM);
    assert_eq!(from.seal(&mut buf, 17), Err(SealError::SequenceExhausted));
    to.open(&mut good(suite, 0)).unwrap_err();
}

#[test]
fn only_32_bits_wear_an_sa_out() {
    let suite = every_suite()[0];
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    let now = Instant::now();
    for last in [1 << 31, CYCLE - 1, CYCLE] {
        assert_eq!(outbound(suite, last).expiry(now), Expiry::Alive);
        assert_ne!(
            outbound(suite, last).extended(false).expiry(now),
            Expiry::Alive
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A sender around the edge, a link that loses, delays and repeats, and a receiver that must
    /// do what a set of all numbers would.
    #[test]
    fn the_receiver_does_what_a_set_would(
        which in 0..4_usize,
        start in CYCLE - 3000..CYCLE + 200,
        fates in proptest::collection::vec((0..100_u32, 0..1500_u64), 1..600),
    ) {
        let suite = every_suite()[which];
        let (mut from, mut to) = (outbound(suite, start), inbound(suite, start));
        // (When it arrives, its number, the packet.)
        let mut flying = Vec::new();
        for (at, (fate, delay)) in (0_u64..).zip(fates) {
            let before = from.sequence();
            let packet = seal(&mut from, &before.to_be_bytes());
            let number = from.sequence();
            match fate {
                0..15 => {}
                15..30 => {
                    flying.push((at + delay, number, packet.clone()));
                    flying.push((at, number, packet));
                }
                30..60 => flying.push((at + delay, number, packet)),
                _ => flying.push((at, number, packet)),
            }
        }
        flying.sort_by_key(|(due, ..)| *due);
        let mut seen = HashSet::new();
        let mut highest = start;
        for (_, number, mut packet) in flying {
            let opened = to.open(&mut packet);
            if number + ReplayWindow::SIZE <= highest {
                prop_assert_eq!(opened, Err(OpenError::TooOld { sequence: number }));
            } else if seen.insert(number) {
                let opened = opened.unwrap();
                prop_assert_eq!((opened.sequence, opened.newest), (number, number > highest));
                prop_assert_eq!(&packet[opened.payload], (number - 1).to_be_bytes());
            } else {
                prop_assert_eq!(opened, Err(OpenError::Replayed { sequence: number }));
            }
            highest = highest.max(number);
            prop_assert_eq!(to.sequence(), highest);
        }
    }
}
