//! ESP: packets as they are, and the input as the plaintext of an authentic packet.

use std::collections::HashSet;

use adit_crypto::{EspCipher, EspMac, EspSuite, Kernel, Rng};
use adit_esp::{
    HEADROOM, InboundSa, Lifetime, OpenBatch, OpenError, OutboundSa, Received, Replay,
    ReplayWindow, SealBatch, TAILROOM,
};
use adit_wire::PacketBuf;

use crate::inputs::Clock;

const SUITES: [(EspCipher, Option<EspMac>); 9] = [
    (EspCipher::AesGcm256, None),
    (EspCipher::AesGcm128, None),
    (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_96)),
    (EspCipher::AesCbc192, Some(EspMac::HmacSha2_384_192)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
    (EspCipher::TripleDes, Some(EspMac::HmacMd5_96)),
];

const LIFETIME: Lifetime = Lifetime {
    seconds: None,
    bytes: None,
};

/// Opens the input under every suite, with all-zero keys so that a seed may be authentic; then
/// seals it and opens that. Then all of it again in batches.
pub fn esp_open(data: &[u8]) {
    opened_under(data);
    for kernel in Kernel::all().skip(1) {
        in_batches(kernel, data);
    }
}

/// Packets of each suite in a batch: more than there are lanes of any kernel.
const EACH: usize = 5;

/// The input and what becomes of it when it is cut, turned and sent twice, on SAs of all suites at
/// once: a batch must give what its packets give one by one.
fn in_batches(kernel: Kernel, data: &[u8]) {
    let clock = Clock::new();
    let spi = adit_esp::spi_of(data).unwrap_or(1);
    let inbound = || -> Vec<InboundSa> {
        let mut rng = Rng::from_seed([9; 32]);
        let mut sas = SUITES.map(|(cipher, mac)| {
            let suite = EspSuite::new(cipher, mac).expect("a suite").negotiated();
            let zeros = vec![0; suite.keymat_len()];
            InboundSa::new(spi, suite, &zeros, LIFETIME, clock.now(), &mut rng)
                .expect("the length is the suite's")
                .extended(data.len().is_multiple_of(3))
        });
        sas.rotate_left(data.len() % SUITES.len());
        sas.into()
    };
    let (mut batched, mut alone) = (inbound(), inbound());
    let variant = |number: usize| {
        let mut packet = data.to_vec();
        match number % EACH {
            1 => packet.truncate(data.len().saturating_sub(4)),
            2 => packet.truncate(data.len() / 2),
            3 => {
                if let Some(byte) = packet.get_mut(4 + data.len() % 40) {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        packet
    };
    let count = EACH * SUITES.len();
    let mut packets: Vec<_> = (0..count).map(variant).collect();
    let mut copies = packets.clone();
    let tags = copies.iter_mut().enumerate();
    let mut batch = OpenBatch::new(tags.zip(packets.iter_mut().map(Vec::as_mut_slice)));
    batch.authenticate(kernel, |(number, _), packet| {
        packet.expect(&batched[number % SUITES.len()]);
    });
    let compare = |(number, copy): (usize, &mut Vec<u8>), packet: &mut Received<'_>| {
        let who = number % SUITES.len();
        let expected = alone[who].open(copy);
        assert_eq!(packet.open(&mut batched[who]), expected, "packet {number}");
        assert_eq!(packet.packet(), copy, "packet {number}");
        None
    };
    batch.open(compare, |_| {});
    for (batched, alone) in batched.iter().zip(&alone) {
        assert_eq!(batched.stats(), alone.stats());
        assert_eq!(batched.suite(), alone.suite());
        assert_eq!(batched.sequence(), alone.sequence());
    }

    // The input as payloads.
    let outbound = || {
        let mut rng = Rng::from_seed([9; 32]);
        SUITES.map(|(cipher, mac)| {
            let suite = EspSuite::new(cipher, mac).expect("a suite");
            let keymat = vec![5; suite.keymat_len()];
            OutboundSa::new(spi, suite, &keymat, LIFETIME, clock.now(), &mut rng)
                .expect("the length is the suite's")
        })
    };
    let (mut batched, mut alone) = (outbound(), outbound());
    let mut batch = SealBatch::new();
    let mut expected = Vec::new();
    for number in 0..count {
        let who = number % SUITES.len();
        let mut packet = PacketBuf::from_slice(HEADROOM, &variant(number), TAILROOM);
        let mut copy = packet.clone();
        let sealed = alone[who].seal(&mut copy, 17);
        let pushed = batch.push(&mut batched[who], &mut packet, 17, number);
        assert_eq!(pushed, sealed);
        if sealed.is_ok() {
            batch.keep(packet);
            expected.push((number, copy));
        }
    }
    // Full rounds, then what they left.
    let mut expected = expected.into_iter();
    for seal in [SealBatch::seal_rounds, SealBatch::seal] {
        for (packet, tag) in seal(&mut batch, kernel).iter() {
            let (number, copy) = expected.next().expect("no more than were pushed");
            assert_eq!(*tag, number);
            assert_eq!(packet, copy.as_slice(), "packet {number}");
        }
    }
    assert!(expected.next().is_none());
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
        let extended = is_authentic(&mut inbound().extended(true), data);
        let authentic = is_authentic(&mut inbound(), data);
        // A number that is not sent is authenticated like one that is.
        assert!(
            !(authentic && extended),
            "a packet of both kinds of numbers"
        );
        opened += usize::from(authentic || extended);
        // One bit turned, outside the SPI, which only says whose packet it is.
        let last = data.len().saturating_sub(1);
        for at in [last, (data.len() / 2).max(4)] {
            let mut altered = data.to_vec();
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1 << (data.len() % 8);
                let kept = authentic && is_authentic(&mut inbound(), &altered);
                let both =
                    kept || extended && is_authentic(&mut inbound().extended(true), &altered);
                assert!(!both, "a packet opened with byte {at} altered");
            }
        }

        // Other keys, so that the input is nothing but a payload.
        let keymat = vec![5; suite.keymat_len()];
        let inbound = InboundSa::new(spi, suite, &keymat, LIFETIME, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let outbound = OutboundSa::new(spi, suite, &keymat, LIFETIME, clock.now(), &mut rng)
            .expect("the length is the suite's");
        let (mut inbound, mut outbound) = match data.len() % 2 {
            0 => (inbound, outbound),
            _ => (inbound.extended(true), outbound.extended(true)),
        };
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

/// A replay window beside a set of all numbers. The input is a list of 9 bytes each: how to read
/// the other 8, and a number: as it is, from the highest so far, or as the lower half of an
/// extended one.
pub fn esp_window(data: &[u8]) {
    let mut window = ReplayWindow::new();
    let mut seen = HashSet::new();
    for step in data.chunks_exact(9) {
        let (how, bytes) = step.split_at(1);
        let value = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let highest = window.highest();
        let number = match how[0] % 4 {
            0 => value,
            1 => highest.wrapping_add(value % 3000),
            2 => highest.wrapping_sub(value % 3000),
            _ => match window.infer(value as u32) {
                Some(number) => {
                    assert_eq!(number as u32, value as u32, "the lower half stays");
                    let left = i128::from(highest) - i128::from(ReplayWindow::SIZE) + 1;
                    let ahead = i128::from(number) - left;
                    assert!((0..1 << 32).contains(&ahead), "not the one near the window");
                    number
                }
                None => continue,
            },
        };
        let too_old = highest.saturating_sub(number) >= ReplayWindow::SIZE;
        let expected = match number {
            0 => Err(Replay::Zero),
            _ if too_old => Err(Replay::TooOld),
            _ if seen.contains(&number) => Err(Replay::Duplicate),
            _ => Ok(number > highest),
        };
        assert_eq!(window.check(number), expected, "{number}");
        assert_eq!(window.mark(number), expected, "{number}");
        if expected.is_ok() {
            seen.insert(number);
        }
    }
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
            "aes-cbc-256-hmac-sha2-256-96-valid",
            "aes-cbc-128-hmac-sha1-96-extended",
            "aes-cbc-256-hmac-sha2-256-128-extended",
            "aes-cbc-256-hmac-sha2-256-96-extended",
        ] {
            // Two suites may share the key of zeros.
            assert!(opened_under(&seed("esp_open", name)) >= 1, "{name}");
        }
        assert_eq!(opened_under(&seed("esp_open", "aes-gcm-256-wrong-icv")), 0);
    }
}
