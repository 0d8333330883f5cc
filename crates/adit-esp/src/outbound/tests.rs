use std::time::Duration;

use super::*;
use crate::{HEADROOM, TAILROOM, spi_of};
use adit_crypto::{EspCipher, EspMac};

const SPI: u32 = 0xc0ff_ee01;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    Instant::now()
}

fn suite() -> EspSuite {
    EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)).unwrap()
}

fn sa(lifetime: Lifetime) -> OutboundSa {
    let keymat = vec![9; suite().keymat_len()];
    let mut rng = Rng::from_seed([1; 32]);
    OutboundSa::new(SPI, suite(), &keymat, lifetime, start(), &mut rng).unwrap()
}

fn payload(len: usize) -> PacketBuf {
    PacketBuf::from_slice(HEADROOM, &vec![0x55; len], TAILROOM)
}

#[test]
fn the_header_carries_spi_and_rising_numbers() {
    let mut sa = sa(Lifetime::default());
    let mut ivs = std::collections::HashSet::new();
    for number in 1..=50_u32 {
        let mut buf = payload(30);
        sa.seal(&mut buf, 17).unwrap();
        let packet = buf.as_slice();
        assert_eq!(spi_of(packet), Some(SPI));
        assert_eq!(packet[4..8], number.to_be_bytes());
        assert_eq!(packet.len(), suite().sealed_len(30));
        assert!(ivs.insert(packet[8..24].to_vec()));
    }
    assert_eq!(
        sa.stats(),
        SaStats {
            packets: 50,
            bytes: 1500,
            refused: 0
        }
    );
    assert_eq!((sa.sequence(), sa.spi()), (50, SPI));
}

#[test]
fn the_clear_text_is_padded_as_rfc_4303_says() {
    let mut sa = sa(Lifetime::default());
    let mut buf = payload(21);
    sa.seal(&mut buf, 17).unwrap();
    let keys = EspKeys::new(suite(), &vec![9; suite().keymat_len()]).unwrap();
    let mut packet = buf.as_slice().to_vec();
    let clear = keys.verify_and_decrypt(&mut packet, None).unwrap();
    let mut expected = vec![0x55; 21];
    expected.extend([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 17]);
    assert_eq!(packet[clear], expected);
}

#[test]
fn sequence_numbers_never_start_again() {
    let mut sa = sa(Lifetime::default());
    let now = start();
    sa.sequence = SOFT_SEQUENCE - 2;
    sa.seal(&mut payload(1), 17).unwrap();
    assert_eq!(sa.expiry(now), Expiry::Alive);
    sa.seal(&mut payload(1), 17).unwrap();
    assert_eq!(sa.expiry(now), Expiry::Soft);
    sa.sequence = u64::from(u32::MAX) - 1;
    let mut last = payload(1);
    sa.seal(&mut last, 17).unwrap();
    assert_eq!(last.as_slice()[4..8], [0xff; 4]);
    assert_eq!(sa.expiry(now), Expiry::Hard);
    for _ in 0..3 {
        let mut buf = payload(1);
        assert_eq!(sa.seal(&mut buf, 17), Err(SealError::SequenceExhausted));
        assert_eq!(buf.as_slice(), [0x55]);
    }
    assert_eq!(sa.stats().refused, 3);
}

#[test]
fn bytes_end_the_sa() {
    let mut sa = sa(Lifetime {
        seconds: None,
        bytes: Some(10 * 32),
    });
    let now = start();
    for _ in 0..9 {
        // 30 bytes and the trailer are two blocks.
        sa.seal(&mut payload(30), 17).unwrap();
    }
    assert_eq!(sa.expiry(now), Expiry::Soft);
    sa.seal(&mut payload(30), 17).unwrap();
    assert_eq!(sa.expiry(now), Expiry::Hard);
    assert_eq!(sa.seal(&mut payload(30), 17), Err(SealError::Expired));
}

#[test]
fn time_ends_the_sa() {
    let hour = Duration::from_secs(3600);
    let sa = sa(Lifetime {
        seconds: Some(hour),
        bytes: None,
    });
    let (Some(soft), Some(hard)) = sa.expires_at() else {
        panic!("both limits are set");
    };
    assert!(soft < hard);
    assert_eq!(sa.expiry(soft), Expiry::Soft);
    assert_eq!(sa.expiry(hard), Expiry::Hard);
}

#[test]
fn without_room_the_buffer_stays_as_it_was() {
    let mut sa = sa(Lifetime::default());
    let front = 8 + suite().iv_len();
    let tail = suite().sealed_len(10) - front - 10;
    for (headroom, tailroom) in [(front - 1, TAILROOM), (HEADROOM, tail - 1), (0, 0)] {
        let mut buf = PacketBuf::from_slice(headroom, &[0x55; 10], tailroom);
        assert!(matches!(
            sa.seal(&mut buf, 17),
            Err(SealError::NoRoom(NoRoom { .. }))
        ));
        assert_eq!(buf.as_slice(), [0x55; 10]);
        assert_eq!((buf.headroom(), buf.tailroom()), (headroom, tailroom));
    }
    let mut buf = PacketBuf::from_slice(front, &[0x55; 10], tail);
    sa.seal(&mut buf, 17).unwrap();
    assert_eq!((buf.headroom(), buf.tailroom()), (0, 0));
    // A refused packet used up no sequence number.
    assert_eq!(sa.sequence(), 1);
}

#[test]
fn nothing_longer_than_an_ip_packet() {
    let mut sa = sa(Lifetime::default());
    let most = suite().max_payload(MAX_PACKET);
    let mut buf = payload(most + 1);
    assert!(matches!(
        sa.seal(&mut buf, 17),
        Err(SealError::TooLong { len: 65_536.. })
    ));
    assert_eq!(sa.seal(&mut payload(most), 17), Ok(()));
}

#[test]
fn key_material_of_another_length_is_refused() {
    let mut rng = Rng::from_seed([1; 32]);
    let sa = OutboundSa::new(
        SPI,
        suite(),
        &[0; 63],
        Lifetime::default(),
        start(),
        &mut rng,
    );
    assert_eq!(
        sa.unwrap_err(),
        KeyLength {
            expected: 64,
            actual: 63
        }
    );
}
