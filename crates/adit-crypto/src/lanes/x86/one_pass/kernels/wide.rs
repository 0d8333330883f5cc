//! 16 lanes: four blocks of AES in a register.

use core::arch::x86_64::*;

use super::{Kernels, Sha1, Sha256, encrypt, kernels};
use crate::lanes::Block;
use crate::lanes::x86::aes::{self, CbcLanes, load_wide as load_keys, store_wide as store_keys};
use crate::lanes::x86::rows::{Rows, Step};
use crate::lanes::x86::sha::avx512::{
    self, add, choose, load, majority, message, rol, row, shr, splat, store, xor, xor3,
};
use crate::lanes::x86::sha::{K256, States, sha1_blocks, sha256_blocks};

/// A quarter of the text of four lanes.
#[target_feature(enable = "avx512f")]
fn gather(at: &mut Step<'_, 16>, quarter: usize, part: usize) -> __m512i {
    let mut lane = |lane: usize| aes::load(&at.text(4 * part + lane).as_chunks().0[quarter % 4]);
    let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lane(0)), lane(1));
    let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lane(2)), lane(3));
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[target_feature(enable = "avx512f")]
fn scatter(at: &mut Step<'_, 16>, quarter: usize, part: usize, blocks: __m512i) {
    let mut put = |lane: usize, block: __m128i| {
        let text = at.text(4 * part + lane).as_chunks_mut().0;
        aes::store(&mut text[quarter % 4], block);
    };
    put(0, _mm512_castsi512_si128(blocks));
    put(1, _mm512_extracti32x4_epi32::<1>(blocks));
    put(2, _mm512_extracti32x4_epi32::<2>(blocks));
    put(3, _mm512_extracti32x4_epi32::<3>(blocks));
}

#[target_feature(enable = "avx512f,vaes")]
fn aesenc(states: __m512i, keys: __m512i) -> __m512i {
    _mm512_aesenc_epi128(states, keys)
}

#[target_feature(enable = "avx512f,vaes")]
fn aesenclast(states: __m512i, keys: __m512i) -> __m512i {
    _mm512_aesenclast_epi128(states, keys)
}

kernels!(
    Sha1,
    16,
    5,
    avx512::Sha1,
    sha1_blocks,
    aes::cbc_encrypt_wide::<ROUNDS>
);
kernels!(
    Sha256,
    16,
    8,
    avx512::Sha256,
    sha256_blocks,
    aes::cbc_encrypt_wide::<ROUNDS>
);
