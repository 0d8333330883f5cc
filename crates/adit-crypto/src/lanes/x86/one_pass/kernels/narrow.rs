//! 8 lanes: two blocks of AES in a register. It costs a packet somewhat more than 16 lanes, but not
//! twice as much: three units of the processor work on registers half as wide, where two do on whole
//! ones.

use core::arch::x86_64::*;

use super::{Kernels, Sha1, Sha256, encrypt, kernels};
use crate::lanes::Block;
use crate::lanes::x86::aes::{self, CbcLanes};
use crate::lanes::x86::rows::{Rows, Step};
use crate::lanes::x86::sha::avx512vl::{
    self, add, choose, half, load, majority, rol, shr, splat, store, xor, xor3,
};
use crate::lanes::x86::sha::{K256, States, message8 as message, sha1_blocks, sha256_blocks};

/// Blocks of all lanes.
#[target_feature(enable = "avx2")]
fn load_keys(lanes: &[__m128i; 8]) -> [__m256i; 4] {
    let mut wide = [_mm256_setzero_si256(); 4];
    for (wide, two) in wide.iter_mut().zip(lanes.as_chunks::<2>().0) {
        // SAFETY: the reference is to 32 bytes; the load needs no alignment.
        *wide = unsafe { _mm256_loadu_si256(two.as_ptr().cast()) };
    }
    wide
}

#[target_feature(enable = "avx2")]
fn store_keys(lanes: &mut [__m128i; 8], wide: [__m256i; 4]) {
    for (two, wide) in lanes.as_chunks_mut::<2>().0.iter_mut().zip(wide) {
        // SAFETY: the reference is to 32 bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(two.as_mut_ptr().cast(), wide) };
    }
}

/// A quarter of the text of two lanes.
#[target_feature(enable = "avx2")]
fn gather(at: &mut Step<'_, 8>, quarter: usize, part: usize) -> __m256i {
    let mut lane = |lane: usize| aes::load(&at.text(2 * part + lane).as_chunks().0[quarter % 4]);
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lane(0)), lane(1))
}

#[target_feature(enable = "avx2")]
fn scatter(at: &mut Step<'_, 8>, quarter: usize, part: usize, blocks: __m256i) {
    let mut put = |lane: usize, block: __m128i| {
        let text = at.text(2 * part + lane).as_chunks_mut().0;
        aes::store(&mut text[quarter % 4], block);
    };
    put(0, _mm256_castsi256_si128(blocks));
    put(1, _mm256_extracti128_si256::<1>(blocks));
}

#[target_feature(enable = "avx2,vaes")]
fn aesenc(states: __m256i, keys: __m256i) -> __m256i {
    _mm256_aesenc_epi128(states, keys)
}

#[target_feature(enable = "avx2,vaes")]
fn aesenclast(states: __m256i, keys: __m256i) -> __m256i {
    _mm256_aesenclast_epi128(states, keys)
}

kernels!(
    Sha1,
    8,
    5,
    avx512vl::Sha1,
    sha1_blocks,
    aes::cbc_encrypt::<8, ROUNDS>
);
kernels!(
    Sha256,
    8,
    8,
    avx512vl::Sha256,
    sha256_blocks,
    aes::cbc_encrypt::<8, ROUNDS>
);
