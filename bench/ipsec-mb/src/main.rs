//! Whole ESP packets of AES-256-CBC with HMAC-SHA-1 and HMAC-SHA2-256 in batches, by adit's kernels
//! and by ipsec-mb, taking turns in one run. First each has to open what the other sealed. Prints
//! medians in ns per packet. ipsec-mb gets its IVs for nothing; adit makes them.
//!
//! `apt-get install libipsec-mb-dev`, then `cargo run --release` here.

use std::ffi::c_void;
use std::hint::black_box;
use std::time::Instant;

use adit_crypto::{EspCipher, EspKeys, EspMac, EspSuite, Kernel, seal_batch};

#[path = "../../../crates/adit-crypto/benches/support/packet.rs"]
mod packet;

use packet::{Packet, open_batch};

unsafe extern "C" {
    fn shim_manager() -> *mut c_void;
    fn shim_sa(
        manager: *mut c_void,
        key: *const u8,
        mac_key: *const u8,
        mac_len: usize,
        sha256: i32,
    ) -> *mut c_void;
    fn shim_batch(
        manager: *mut c_void,
        sas: *const *mut c_void,
        packets: *const *mut u8,
        lengths: *const usize,
        count: usize,
        seal: i32,
    ) -> usize;
}

/// Packets that one sample takes; the shim has room for as many tags.
const SAMPLE: usize = 64;
const ROUNDS: usize = 301;

/// An SA of ipsec-mb. Neither is freed: the program ends soon.
#[derive(Clone, Copy)]
struct Theirs {
    manager: *mut c_void,
    sa: *mut c_void,
}

impl Theirs {
    fn new(suite: EspSuite, keymat: &[u8]) -> Self {
        let (key, mac_key) = keymat.split_at(32);
        let sha256 = i32::from(suite.mac != Some(EspMac::HmacSha1_96));
        // SAFETY: the keys are as long as is said, and the manager is checked.
        unsafe {
            let manager = shim_manager();
            assert!(!manager.is_null());
            let sa = shim_sa(manager, key.as_ptr(), mac_key.as_ptr(), mac_key.len(), sha256);
            Self { manager, sa }
        }
    }

    fn run(self, packets: &mut [Packet<'_>], seal: bool) {
        let count = packets.len();
        assert!(count <= SAMPLE);
        let sas = [self.sa; SAMPLE];
        let mut starts = [std::ptr::null_mut(); SAMPLE];
        let mut lengths = [0; SAMPLE];
        for (i, packet) in packets.iter_mut().enumerate() {
            starts[i] = packet.bytes.as_mut_ptr();
            lengths[i] = packet.bytes.len();
        }
        // SAFETY: `count` packets of the lengths that are given, which nothing else touches.
        let right = unsafe {
            shim_batch(
                self.manager,
                sas.as_ptr(),
                starts.as_ptr(),
                lengths.as_ptr(),
                count,
                seal.into(),
            )
        };
        assert_eq!(right, count);
    }
}

fn main() {
    for mac in [EspMac::HmacSha1_96, EspMac::HmacSha2_256_128] {
        let suite = EspSuite::new(EspCipher::AesCbc256, Some(mac)).expect("a suite");
        for len in [1400, 64] {
            for batch in [1, 2, 4, 8, 16, 32] {
                measure(suite, len, batch);
            }
        }
    }
}

fn measure(suite: EspSuite, len: usize, batch: usize) {
    let keymat: Vec<u8> = (0..suite.keymat_len()).map(|i| (7 * i) as u8).collect();
    let theirs = Theirs::new(suite, &keymat);
    let keys = EspKeys::new(suite, &keymat).expect("the suite's length");
    let kernels: Vec<_> = Kernel::all().collect();
    let mut packets: Vec<_> = (0..SAMPLE)
        .map(|i| Packet {
            keys: &keys,
            bytes: vec![0x5a; suite.sealed_len(len - 40)],
            counter: i as u64,
            mac: None,
        })
        .collect();

    seal_batch(Kernel::best(), &mut packets);
    let sealed: Vec<_> = packets.iter().map(|packet| packet.bytes.clone()).collect();
    theirs.run(&mut packets, false);
    theirs.run(&mut packets, true);
    for (packet, sealed) in packets.iter().zip(&sealed) {
        assert!(packet.bytes == *sealed, "the two do not agree");
    }

    let mut seal = vec![Vec::with_capacity(ROUNDS); kernels.len() + 1];
    let mut open = seal.clone();
    for _ in 0..ROUNDS {
        for (way, (seal, open)) in seal.iter_mut().zip(&mut open).enumerate() {
            let kernel = kernels.get(way).copied();
            let start = Instant::now();
            for packets in packets.chunks_mut(batch) {
                match kernel {
                    Some(kernel) => seal_batch(kernel, black_box(packets)),
                    None => theirs.run(black_box(packets), true),
                }
            }
            seal.push(start.elapsed().as_nanos() / SAMPLE as u128);
            for (packet, sealed) in packets.iter_mut().zip(&sealed) {
                packet.bytes.copy_from_slice(sealed);
            }
            let start = Instant::now();
            for packets in packets.chunks_mut(batch) {
                match kernel {
                    Some(kernel) => open_batch(kernel, black_box(packets)),
                    None => theirs.run(black_box(packets), false),
                }
            }
            open.push(start.elapsed().as_nanos() / SAMPLE as u128);
        }
    }
    println!("{suite}, {len} bytes, batches of {batch}");
    for (way, (seal, open)) in seal.iter_mut().zip(&mut open).enumerate() {
        let name = kernels.get(way).map_or("ipsec-mb", |kernel| kernel.name());
        let (seal, open) = (median(seal), median(open));
        println!("  {name:20} seal {seal:6} ns   open {open:6} ns");
    }
}

fn median(times: &mut [u128]) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}
