//! HMAC-SHA2-256 cut at 96 bits, as old Android kernels have it.

use super::*;

fn full() -> EspSuite {
    EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)).unwrap()
}

fn cut() -> EspSuite {
    full().cut_at_96().unwrap()
}

/// What somebody on the way makes of a packet.
fn shortened(mut packet: Vec<u8>) -> Vec<u8> {
    packet.truncate(packet.len() - 4);
    packet
}

#[test]
fn a_packet_that_verifies_at_96_bits_decides() {
    let mut sa = sa(full());
    assert_eq!(sa.suite(), full());
    for sequence in 1..=3 {
        let mut packet = good(cut(), sequence);
        let opened = sa.open(&mut packet).unwrap();
        assert_eq!(packet[opened.payload], [0x77; 8]);
        assert_eq!(sa.suite(), cut());
    }
    assert_eq!(
        sa.open(&mut good(cut(), 2)),
        Err(OpenError::Replayed { sequence: 2 })
    );
}

#[test]
fn forgeries_decide_nothing() {
    let mut sa = sa(full());
    let mut forged = good(cut(), 1);
    for at in 8..forged.len() {
        forged[at] ^= 1;
        assert_eq!(sa.open(&mut forged.clone()), Err(OpenError::BadIcv));
        forged[at] ^= 1;
    }
    for len in 0..forged.len() {
        sa.open(&mut forged[..len].to_vec()).unwrap_err();
    }
    assert_eq!((sa.suite(), sa.sequence()), (full(), 0));
    sa.open(&mut good(full(), 1)).unwrap();
    assert_eq!(sa.suite(), full());
}

#[test]
fn after_a_packet_at_128_bits_nothing_is_cut() {
    let mut sa = sa(full());
    sa.open(&mut good(full(), 1)).unwrap();
    let len = good(cut(), 2).len();
    assert_eq!(
        sa.open(&mut good(cut(), 2)),
        Err(OpenError::Truncated { len })
    );
    assert_eq!(
        sa.open(&mut shortened(good(full(), 2))),
        Err(OpenError::Truncated { len })
    );
    assert_eq!(sa.suite(), full());
    sa.open(&mut good(full(), 2)).unwrap();
}

#[test]
fn somebody_who_cuts_packets_on_the_way_is_found_out() {
    // A copy of the first packet overtakes it with its ICV cut, and cannot be told from what an
    // old Android sends; but then comes the original.
    for attacked in 1..4 {
        let mut sa = sa(full());
        for sequence in 1..=attacked {
            sa.open(&mut shortened(good(full(), sequence))).unwrap();
            assert_eq!(sa.suite(), cut());
        }
        assert_eq!(
            sa.open(&mut good(full(), attacked)),
            Err(OpenError::Replayed { sequence: attacked })
        );
        assert_eq!(sa.suite(), full());
        // For good.
        sa.open(&mut shortened(good(full(), 9))).unwrap_err();
        sa.open(&mut good(full(), 9)).unwrap();
    }
    // One who holds the originals back as well is found out by the first that he misses.
    let mut sa = sa(full());
    sa.open(&mut shortened(good(full(), 1))).unwrap();
    sa.open(&mut good(full(), 2)).unwrap();
    assert_eq!(sa.suite(), full());
    // A forgery is no original.
    let mut sa = super::sa(full());
    sa.open(&mut good(cut(), 1)).unwrap();
    let mut forged = good(full(), 1);
    forged[20] ^= 1;
    sa.open(&mut forged).unwrap_err();
    assert_eq!(sa.suite(), cut());
    sa.open(&mut good(cut(), 2)).unwrap();
}

#[test]
fn no_other_suite_is_cut() {
    let others = [
        (EspCipher::TripleDes, Some(EspMac::HmacSha2_256_128)),
        (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
        (EspCipher::AesCbc256, Some(EspMac::HmacSha2_384_192)),
        (EspCipher::AesGcm128, None),
    ];
    for (cipher, mac) in others {
        let suite = EspSuite::new(cipher, mac).unwrap();
        let mut sa = sa(suite);
        let mut packet = good(suite, 1);
        packet.truncate(packet.len() - suite.icv_len() + 12);
        sa.open(&mut packet).unwrap_err();
        assert_eq!(sa.suite(), suite);
    }
}
