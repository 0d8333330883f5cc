use super::super::tests::all_suites;
use super::*;
use crate::{EspCipher, EspMac, EspSuite, Rng, VerifyError};

struct Packet {
    keys: EspKeys,
    bytes: Vec<u8>,
    counter: u64,
    high: Option<u32>,
    refused: Option<MalformedPacket>,
    mac: Option<PacketMac>,
}

impl ToSeal for Packet {
    fn parts(&mut self) -> Option<SealParts<'_>> {
        Some(SealParts {
            keys: &self.keys,
            packet: &mut self.bytes,
            iv_counter: self.counter,
            high: self.high,
        })
    }

    fn refuse(&mut self, error: MalformedPacket) {
        self.refused = Some(error);
    }
}

impl ToAuthenticate for Packet {
    fn parts(&mut self) -> Option<MacParts<'_>> {
        Some(MacParts {
            keys: &self.keys,
            packet: &self.bytes,
            high: self.high,
            mac: &mut self.mac,
        })
    }
}

fn keys(suite: EspSuite, rng: &mut Rng) -> EspKeys {
    let mut keymat = vec![0; suite.keymat_len()];
    rng.fill(&mut keymat);
    EspKeys::new(suite, &keymat).unwrap()
}

/// Packets of any of the keys; most are well formed, and most have lengths of real ones.
fn packets(of: &[EspKeys], count: u32, rng: &mut Rng) -> Vec<Packet> {
    (0..count)
        .map(|counter| {
            let keys = of[rng.below(of.len() as u32) as usize].clone();
            let suite = keys.suite();
            let len = match rng.below(10) {
                0 => rng.below(2000) as usize,
                1 => rng.below(80) as usize,
                2 => suite.sealed_len(rng.below(100) as usize),
                3 => suite.sealed_len(1400),
                _ => suite.sealed_len(rng.below(1500) as usize),
            };
            let mut bytes = vec![0; len];
            rng.fill(&mut bytes);
            Packet {
                keys,
                bytes,
                counter: counter.into(),
                high: (rng.below(3) == 0).then(|| rng.u32()),
                refused: None,
                mac: None,
            }
        })
        .collect()
}

/// Seals, then opens what a hostile network made of it, in a batch and one by one.
fn compare(kernel: Kernel, of: &[EspKeys], count: u32, rng: &mut Rng) {
    let mut batch = packets(of, count, rng);
    let clear: Vec<_> = batch.iter().map(|packet| packet.bytes.clone()).collect();
    seal_batch(kernel, &mut batch);
    for (packet, clear) in batch.iter().zip(&clear) {
        let mut alone = clear.clone();
        let sealed = packet.keys.seal(&mut alone, packet.counter, packet.high);
        assert_eq!(sealed.err(), packet.refused);
        assert_eq!(alone, packet.bytes, "{} {kernel:?}", packet.keys.suite());
    }
    for packet in &mut batch {
        match rng.below(6) {
            0 => {
                let at = rng.below(packet.bytes.len().max(1) as u32) as usize;
                if let Some(byte) = packet.bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            1 => packet.high = packet.high.map(|high| high ^ 1),
            _ => {}
        }
    }
    authenticate_batch(kernel, &mut batch);
    for packet in &mut batch {
        let mut alone = packet.bytes.clone();
        let expected = packet.keys.verify_and_decrypt(&mut alone, packet.high);
        let keys = &packet.keys;
        let opened =
            keys.verify_and_decrypt_with(&mut packet.bytes, packet.high, packet.mac.as_ref());
        assert_eq!(opened, expected, "{} {kernel:?}", keys.suite());
        assert_eq!(packet.bytes, alone, "{} {kernel:?}", keys.suite());
    }
}

#[test]
fn any_mix_of_keys_is_as_one_by_one() {
    let mut rng = Rng::from_seed([41; 32]);
    let all: Vec<_> = all_suites()
        .into_iter()
        .map(|suite| keys(suite, &mut rng))
        .collect();
    for kernel in Kernel::all() {
        for round in 0..400 {
            compare(kernel, &all, round % 70, &mut rng);
        }
    }
}

#[test]
fn every_laned_suite_at_every_batch_size() {
    let mut rng = Rng::from_seed([42; 32]);
    for cipher in [
        EspCipher::AesCbc128,
        EspCipher::AesCbc192,
        EspCipher::AesCbc256,
    ] {
        for mac in [
            EspMac::HmacSha1_96,
            EspMac::HmacSha2_256_128,
            EspMac::HmacSha2_256_96,
            EspMac::HmacSha2_512_256,
        ] {
            let suite = EspSuite::new(cipher, Some(mac)).unwrap();
            let few = [keys(suite, &mut rng), keys(suite, &mut rng)];
            for kernel in Kernel::all() {
                for count in 0..40 {
                    compare(kernel, &few, count, &mut rng);
                }
            }
        }
    }
}

#[test]
fn a_mac_of_other_keys_or_another_number_is_not_looked_at() {
    let mut rng = Rng::from_seed([43; 32]);
    let suite = EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)).unwrap();
    let (ours, theirs) = (keys(suite, &mut rng), keys(suite, &mut rng));
    for kernel in Kernel::all() {
        let mut batch: Vec<_> = (0..20)
            .map(|counter| Packet {
                keys: theirs.clone(),
                bytes: vec![7; suite.sealed_len(100)],
                counter,
                high: None,
                refused: None,
                mac: None,
            })
            .collect();
        seal_batch(kernel, &mut batch);
        authenticate_batch(kernel, &mut batch);
        for mut packet in batch {
            let mac = packet.mac.as_ref();
            assert_eq!(mac.is_some(), kernel != Kernel::PORTABLE);
            for (keys, high) in [(&ours, None), (&theirs, Some(0)), (&theirs, Some(1))] {
                assert_eq!(
                    keys.verify_and_decrypt_with(&mut packet.bytes, high, mac),
                    Err(VerifyError::IcvMismatch)
                );
            }
            let opened = theirs.verify_and_decrypt_with(&mut packet.bytes, None, mac);
            assert!(opened.is_ok());
        }
    }
}

#[test]
fn no_two_ivs_of_a_batch_are_equal() {
    let mut rng = Rng::from_seed([44; 32]);
    let suite = EspSuite::new(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)).unwrap();
    let few = [keys(suite, &mut rng)];
    for kernel in Kernel::all() {
        let mut batch = packets(&few, 64, &mut rng);
        seal_batch(kernel, &mut batch);
        let sealed = batch.iter().filter(|packet| packet.refused.is_none());
        let ivs: Vec<_> = sealed.map(|packet| packet.bytes[8..24].to_vec()).collect();
        let different: std::collections::HashSet<_> = ivs.iter().collect();
        assert!(ivs.len() > 40);
        assert_eq!(different.len(), ivs.len());
    }
}
