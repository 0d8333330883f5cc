//! Whole ESP packets in batches, by kernel, beside the one-packet code of the crates below us and,
//! for AES-GCM, bare `ring`. The candidates take turns in one run and medians are compared, so that
//! what else the machine does falls on all of them alike. Prints ns per packet, and how many times
//! as fast as those crates it is.
//!
//! `cargo bench -p adit-crypto --bench ratios [-- PART OF A SUITE'S NAME]`
//!
//! The crates use a processor's instructions for SHA, which leave lanes less to gain. How much they gain where
//! there are none shows `RUSTFLAGS='--cfg sha1_backend="soft" --cfg sha2_backend="soft"'` before it.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed run")]
#![expect(clippy::indexing_slicing, reason = "lists of lengths that it chose")]
#![expect(clippy::disallowed_methods, reason = "measuring is reading clocks")]

use std::hint::black_box;
use std::time::Instant;

use adit_crypto::{EspCipher, EspKeys, EspMac, EspSuite, Kernel, seal_batch};

#[path = "support/bare.rs"]
mod bare;
#[path = "support/packet.rs"]
#[expect(unreachable_pub, reason = "two benchmarks have it")]
mod packet;

use bare::Bare;
use packet::{Packet, open_batch};

/// Packets that one sample takes.
const SAMPLE: usize = 64;
const ROUNDS: usize = 301;

/// One way to do the work.
#[derive(Clone, Copy)]
enum Way {
    Bare,
    Alone,
    Batch(Kernel),
}

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let cbc = |mac| EspSuite::new(EspCipher::AesCbc256, Some(mac)).unwrap();
    let suites = [
        cbc(EspMac::HmacSha1_96),
        cbc(EspMac::HmacSha2_256_128),
        EspSuite::new(EspCipher::AesGcm256, None).unwrap(),
    ];
    for suite in suites {
        if wanted
            .as_ref()
            .is_some_and(|part| !suite.name().contains(part))
        {
            continue;
        }
        for len in [1400, 64] {
            for batch in [1, 2, 3, 4, 6, 8, 16, 32] {
                measure(suite, len, batch);
            }
        }
    }
}

fn measure(suite: EspSuite, len: usize, batch: usize) {
    let ways: Vec<_> = [Way::Bare, Way::Alone]
        .into_iter()
        .chain(Kernel::all().skip(1).map(Way::Batch))
        .collect();
    let keymat: Vec<u8> = (0..suite.keymat_len()).map(|i| (7 * i) as u8).collect();
    let bare = Bare::new(suite, &keymat);
    // Two SAs, so that lanes do not share keys.
    let keys = [0, 1].map(|_| EspKeys::new(suite, &keymat).unwrap());
    let mut packets: Vec<_> = (0..SAMPLE)
        .map(|i| Packet {
            keys: &keys[i % 2],
            bytes: vec![0x5a; len],
            counter: i as u64,
            mac: None,
        })
        .collect();
    for packet in &mut packets {
        let len = suite.sealed_len(len - 40);
        packet.bytes.resize(len, 0);
        packet
            .keys
            .seal(&mut packet.bytes, packet.counter, None)
            .unwrap();
    }
    let sealed: Vec<_> = packets.iter().map(|packet| packet.bytes.clone()).collect();

    let mut seal = vec![Vec::with_capacity(ROUNDS); ways.len()];
    let mut open = seal.clone();
    for _ in 0..ROUNDS {
        for (way, (seal, open)) in ways.iter().zip(seal.iter_mut().zip(&mut open)) {
            let start = Instant::now();
            for packets in packets.chunks_mut(batch) {
                seal_by(*way, &bare, black_box(packets));
            }
            seal.push(start.elapsed().as_nanos() as f64 / SAMPLE as f64);
            for (packet, sealed) in packets.iter_mut().zip(&sealed) {
                packet.bytes.copy_from_slice(sealed);
                packet.mac = None;
            }
            let start = Instant::now();
            for packets in packets.chunks_mut(batch) {
                open_by(*way, &bare, black_box(packets));
            }
            open.push(start.elapsed().as_nanos() as f64 / SAMPLE as f64);
        }
    }
    let times: Vec<_> = seal
        .into_iter()
        .zip(open)
        .map(|(seal, open)| (median(seal), median(open)))
        .collect();
    let (base_seal, base_open) = times[0];
    println!("{suite}, {len} bytes, batches of {batch}");
    for (way, (seal, open)) in ways.iter().zip(&times) {
        let name = match way {
            Way::Bare => "crates, bare",
            Way::Alone => "one by one",
            Way::Batch(kernel) => kernel.name(),
        };
        println!(
            "  {name:18} seal {seal:7.0} ns {:5.2}x   open {open:7.0} ns {:5.2}x",
            base_seal / seal,
            base_open / open
        );
    }
}

fn seal_by(way: Way, bare: &Bare, packets: &mut [Packet<'_>]) {
    match way {
        Way::Bare => {
            for packet in packets {
                bare.seal(&mut packet.bytes, packet.counter);
            }
        }
        Way::Alone => {
            for packet in packets {
                packet
                    .keys
                    .seal(&mut packet.bytes, packet.counter, None)
                    .unwrap();
            }
        }
        Way::Batch(kernel) => seal_batch(kernel, packets),
    }
}

fn open_by(way: Way, bare: &Bare, packets: &mut [Packet<'_>]) {
    match way {
        Way::Bare => {
            for packet in packets {
                assert!(bare.open(&mut packet.bytes));
            }
        }
        Way::Alone => {
            for packet in packets {
                packet
                    .keys
                    .verify_and_decrypt(&mut packet.bytes, None)
                    .unwrap();
            }
        }
        Way::Batch(kernel) => open_batch(kernel, packets),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
