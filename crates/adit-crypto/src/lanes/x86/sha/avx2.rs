//! 8 lanes with the instructions of AVX2.

use core::arch::x86_64::*;

use super::{
    HashBlock, HashLanes, K256, States, kernels, message8 as message, sha1_blocks, sha256_blocks,
    ymm,
};

ymm!("avx2");

/// Rotates left by LEFT bits; RIGHT is what is missing to 32.
#[target_feature(enable = "avx2")]
fn rol<const LEFT: i32, const RIGHT: i32>(x: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

#[target_feature(enable = "avx2")]
fn xor3(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

/// Bits of y where x is set, of z where it is not.
#[target_feature(enable = "avx2")]
fn choose(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)))
}

#[target_feature(enable = "avx2")]
fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_or_si256(
        _mm256_and_si256(x, y),
        _mm256_and_si256(z, _mm256_or_si256(x, y)),
    )
}

kernels!(8, "avx2");
