mod extended;
mod icv;

use super::*;
use crate::{DUMMY, HEADER_LEN};
use adit_crypto::{EspCipher, EspMac};

const SPI: u32 = 0x1234_5678;

fn suites() -> [EspSuite; 3] {
    [
        EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
        EspSuite::new(EspCipher::TripleDes, Some(EspMac::HmacMd5_96)),
        EspSuite::new(EspCipher::AesGcm256, None),
    ]
    .map(Result::unwrap)
}

fn keymat(suite: EspSuite) -> Vec<u8> {
    (0..suite.keymat_len()).map(|i| i as u8).collect()
}

fn sa_with(suite: EspSuite, lifetime: Lifetime) -> InboundSa {
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    let now = Instant::now();
    let mut rng = Rng::from_seed([2; 32]);
    InboundSa::new(SPI, suite, &keymat(suite), lifetime, now, &mut rng).unwrap()
}

fn sa(suite: EspSuite) -> InboundSa {
    sa_with(suite, Lifetime::default())
}

/// Seals a clear text that may be anything, as a hostile peer that has the keys could.
fn sealed(suite: EspSuite, sequence: u64, clear: &[u8]) -> Vec<u8> {
    sealed_with(suite, sequence, None, clear)
}

fn sealed_with(suite: EspSuite, sequence: u64, high: Option<u32>, clear: &[u8]) -> Vec<u8> {
    let mut packet = SPI.to_be_bytes().to_vec();
    packet.extend((sequence as u32).to_be_bytes());
    packet.extend(vec![0; suite.iv_len()]);
    packet.extend(clear);
    packet.extend(vec![0; suite.icv_len()]);
    EspKeys::new(suite, &keymat(suite))
        .unwrap()
        .seal(&mut packet, sequence, high)
        .unwrap();
    packet
}

/// One well-formed packet: 16 bytes of clear text with 8 of payload.
fn good(suite: EspSuite, sequence: u64) -> Vec<u8> {
    let mut clear = vec![0x77; 8];
    clear.extend([1, 2, 3, 4, 5, 6, 6, 17]);
    sealed(suite, sequence, &clear)
}

#[test]
fn a_good_packet_opens_where_it_lies() {
    for suite in suites() {
        let mut sa = sa(suite);
        let mut packet = good(suite, 1);
        let opened = sa.open(&mut packet).unwrap();
        let start = HEADER_LEN + suite.iv_len();
        assert_eq!(
            opened,
            Opened {
                payload: start..start + 8,
                next_header: 17,
                sequence: 1,
                newest: true
            }
        );
        assert_eq!(packet[opened.payload], [0x77; 8]);
        assert_eq!((sa.stats().packets, sa.stats().bytes), (1, 8));
    }
}

#[test]
fn replayed_packets_are_refused_before_any_cryptography() {
    for suite in suites() {
        let mut sa = sa(suite);
        sa.open(&mut good(suite, 2000)).unwrap();
        assert_eq!(
            sa.open(&mut good(suite, 2000)),
            Err(OpenError::Replayed { sequence: 2000 })
        );
        assert_eq!(
            sa.open(&mut good(suite, 2000 - ReplayWindow::SIZE)),
            Err(OpenError::TooOld {
                sequence: 2000 - ReplayWindow::SIZE
            })
        );
        // A wrong ICV is not even looked at.
        let mut forged = good(suite, 2000);
        *forged.last_mut().unwrap() ^= 1;
        let before = forged.clone();
        assert_eq!(
            sa.open(&mut forged),
            Err(OpenError::Replayed { sequence: 2000 })
        );
        assert_eq!(forged, before);
        let late = sa.open(&mut good(suite, 1999)).unwrap();
        assert_eq!((late.sequence, late.newest), (1999, false));
        assert_eq!((sa.stats().replayed, sa.stats().packets), (3, 2));
        assert_eq!(sa.sequence(), 2000);
    }
}

#[test]
fn a_forged_packet_moves_nothing() {
    for suite in suites() {
        let mut sa = sa(suite);
        sa.open(&mut good(suite, 5)).unwrap();
        let mut forged = good(suite, 6);
        forged[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(sa.open(&mut forged), Err(OpenError::BadIcv));
        for place in [8, 8 + suite.iv_len(), good(suite, 6).len() - 1] {
            let mut forged = good(suite, 6);
            forged[place] ^= 0x80;
            assert_eq!(sa.open(&mut forged), Err(OpenError::BadIcv));
        }
        assert_eq!(sa.sequence(), 5);
        // The real one still comes through, once.
        assert!(sa.open(&mut good(suite, 6)).unwrap().newest);
        assert_eq!(sa.stats().bad_icv, 4);
    }
}

#[test]
fn sequence_zero_is_refused() {
    for suite in suites() {
        let mut sa = sa(suite);
        assert_eq!(sa.open(&mut good(suite, 0)), Err(OpenError::SequenceZero));
        assert_eq!(sa.stats().malformed, 1);
    }
}

#[test]
fn truncated_packets_are_refused() {
    for suite in suites() {
        let mut sa = sa(suite);
        let whole = good(suite, 1);
        for len in 0..whole.len() {
            let error = sa.open(&mut whole[..len].to_vec()).unwrap_err();
            // Cut at a block, only the ICV can tell.
            let may_be_whole =
                len >= suite.sealed_len(0) && (whole.len() - len).is_multiple_of(suite.block_len());
            let expected = if may_be_whole {
                OpenError::BadIcv
            } else {
                OpenError::Truncated { len }
            };
            assert_eq!(error, expected);
        }
        assert_eq!(sa.stats().packets, 0);
        assert!(sa.open(&mut whole.clone()).is_ok());
    }
}

#[test]
fn another_spi_is_refused() {
    for suite in suites() {
        let mut sa = sa(suite);
        let mut packet = good(suite, 1);
        packet[0] = 0;
        assert_eq!(
            sa.open(&mut packet),
            Err(OpenError::Spi { spi: 0x0034_5678 })
        );
    }
}

#[test]
fn padding_past_the_payload_is_refused() {
    for suite in suites() {
        let mut sa = sa(suite);
        for (sequence, pad_len) in [(1, 15), (2, 16), (3, 255)] {
            let mut clear: Vec<u8> = (1..=14).collect();
            clear.extend([pad_len, 17]);
            assert_eq!(
                sa.open(&mut sealed(suite, sequence, &clear)),
                Err(OpenError::Padding)
            );
        }
        // All padding is an empty payload.
        let mut clear: Vec<u8> = (1..=14).collect();
        clear.extend([14, 17]);
        let opened = sa.open(&mut sealed(suite, 4, &clear)).unwrap();
        assert!(opened.payload.is_empty());
        assert_eq!(sa.stats().malformed, 3);
    }
}

#[test]
fn padding_must_count_up_from_one() {
    for suite in suites() {
        let mut sa = sa(suite);
        let wrong = [[0, 0, 0, 0], [1, 2, 3, 3], [0, 1, 2, 3], [2, 2, 3, 4]];
        for (sequence, padding) in (1..).zip(wrong) {
            let mut clear = vec![0x77; 10];
            clear.extend(padding);
            clear.extend([4, 17]);
            assert_eq!(
                sa.open(&mut sealed(suite, sequence, &clear)),
                Err(OpenError::Padding)
            );
            // It was authentic, so its number has come.
            assert_eq!(sa.sequence(), sequence);
            assert_eq!(
                sa.open(&mut good(suite, sequence)),
                Err(OpenError::Replayed { sequence })
            );
        }
    }
}

#[test]
fn the_longest_padding_is_accepted() {
    for suite in suites() {
        let mut clear = vec![0x77; 15];
        clear.extend(1..=255);
        clear.extend([255, 17]);
        assert_eq!(clear.len(), 272);
        let mut packet = sealed(suite, 1, &clear);
        let opened = sa(suite).open(&mut packet).unwrap();
        assert_eq!(packet[opened.payload], [0x77; 15]);
    }
}

#[test]
fn dummy_and_flow_confidentiality_packets_are_authentic() {
    for suite in suites() {
        let mut sa = sa(suite);
        // A dummy packet: any content (RFC 4303 2.6).
        let mut clear = vec![0xee; 14];
        clear.extend([0, DUMMY]);
        let opened = sa.open(&mut sealed(suite, 1, &clear)).unwrap();
        assert_eq!(opened.next_header, 59);
        // A UDP datagram of 9 bytes with 19 more behind it (RFC 4303 2.7).
        let mut clear = vec![6, 0xa5, 6, 0xa5, 0, 9, 0, 0, 0x99];
        clear.extend([0; 19]);
        clear.extend([1, 2, 2, 17]);
        let mut packet = sealed(suite, 2, &clear);
        let opened = sa.open(&mut packet).unwrap();
        assert_eq!((opened.payload.len(), opened.next_header), (28, 17));
    }
}

#[test]
fn the_bytes_end_the_sa() {
    for suite in suites() {
        let mut sa = sa_with(
            suite,
            Lifetime {
                seconds: None,
                bytes: Some(160),
            },
        );
        for sequence in 1..=9 {
            sa.open(&mut good(suite, sequence)).unwrap();
        }
        // A forged packet uses up nothing.
        let mut forged = good(suite, 10);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(sa.open(&mut forged), Err(OpenError::BadIcv));
        sa.open(&mut good(suite, 10)).unwrap();
        assert_eq!(sa.open(&mut good(suite, 11)), Err(OpenError::Expired));
        assert_eq!(sa.stats().expired, 1);
    }
}
