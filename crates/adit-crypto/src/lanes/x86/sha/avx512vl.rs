//! 8 lanes with the rotations and three-way logic of AVX-512VL: for batches that 16 lanes would be
//! half empty with.

use core::arch::x86_64::*;

use super::{
    HashBlock, HashLanes, K256, States, kernels, message8 as message, sha1_blocks, sha256_blocks,
    ymm,
};

ymm!("avx2,avx512f,avx512vl");

/// Rotates left by LEFT bits; RIGHT is what is missing to 32.
#[target_feature(enable = "avx2,avx512f,avx512vl")]
pub(in super::super) fn rol<const LEFT: i32, const RIGHT: i32>(x: __m256i) -> __m256i {
    _mm256_rol_epi32::<LEFT>(x)
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
pub(in super::super) fn xor3(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0x96>(x, y, z)
}

/// Bits of y where x is set, of z where it is not.
#[target_feature(enable = "avx2,avx512f,avx512vl")]
pub(in super::super) fn choose(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0xca>(x, y, z)
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
pub(in super::super) fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0xe8>(x, y, z)
}

kernels!(8, "avx2,avx512f,avx512vl");
