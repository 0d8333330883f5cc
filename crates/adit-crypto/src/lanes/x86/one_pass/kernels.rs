//! AES-CBC and a hash of several packets, step by step in turn: a round of AES waits for the one
//! before, and has but few of the processor's units, so it fills what the hash leaves idle.

mod narrow;
mod wide;

use crate::lanes::Block;
use crate::lanes::x86::aes::CbcLanes;
use crate::lanes::x86::rows::Rows;
use crate::lanes::x86::sha::{HashLanes, States};

pub(super) struct Sha1;

pub(super) struct Sha256;

/// The kernels for L lanes of a hash whose states have W words.
///
/// # Safety
///
/// All of them need AES-NI, AVX2, AVX-512F, AVX-512BW, AVX-512VL and VAES.
pub(super) trait Kernels<const L: usize, const W: usize> {
    /// The hash by itself.
    type Hash: HashLanes<L, W>;

    /// Encrypts the first `blocks` blocks of every lane; one that has fewer is idle.
    unsafe fn encrypt<const ROUNDS: usize>(
        cipher: &mut CbcLanes<L>,
        texts: &mut [&mut [Block]; L],
        blocks: usize,
    );

    /// Hashes one place of every packet, and encrypts the other.
    unsafe fn seal<const ROUNDS: usize>(
        states: &mut States<L, W>,
        cipher: &mut CbcLanes<L>,
        rows: &mut Rows<'_, L>,
    );
}

/// Step `$step` of `ROUNDS` + 1 that encrypt one block of every lane, four registers of them, out of
/// the operations in scope: `load_keys`, `xor3`, `gather`, `scatter`, `aesenc` and `aesenclast`.
macro_rules! encrypt {
    ($cipher:ident, $states:ident, $at:ident, $quarter:ident, $step:ident) => {
        if $step <= ROUNDS {
            let keys = load_keys(&$cipher.keys[$step % $cipher.keys.len()]);
            for (part, (state, keys)) in $states.iter_mut().zip(keys).enumerate() {
                if $step == 0 {
                    *state = xor3(*state, keys, gather(&mut $at, $quarter, part));
                } else if $step < ROUNDS {
                    *state = aesenc(*state, keys);
                } else {
                    *state = aesenclast(*state, keys);
                    scatter(&mut $at, $quarter, part, *state);
                }
            }
        }
    };
}
use encrypt;

/// The kernels of a hash.
macro_rules! kernels {
    ($name:ident, $lanes:literal, $words:literal, $hash:ty, $blocks:ident, $($encrypt:tt)*) => {
        impl Kernels<$lanes, $words> for $name {
            type Hash = $hash;

            unsafe fn encrypt<const ROUNDS: usize>(
                cipher: &mut CbcLanes<$lanes>,
                texts: &mut [&mut [Block]; $lanes],
                blocks: usize,
            ) {
                // SAFETY: so the caller says.
                unsafe { $($encrypt)*(cipher, texts, blocks) }
            }

            #[target_feature(enable = "aes,avx2,avx512f,avx512bw,avx512vl,vaes")]
            unsafe fn seal<const ROUNDS: usize>(
                states: &mut States<$lanes, $words>,
                cipher: &mut CbcLanes<$lanes>,
                rows: &mut Rows<'_, $lanes>,
            ) {
                let mut texts = load_keys(&cipher.chain);
                $blocks!(
                    states,
                    [while let Some(mut at) = rows.next()],
                    message!(|lane| at.hashed(lane)),
                    |quarter, step| encrypt!(cipher, texts, at, quarter, step)
                );
                store_keys(&mut cipher.chain, texts);
            }
        }
    };
}
use kernels;
