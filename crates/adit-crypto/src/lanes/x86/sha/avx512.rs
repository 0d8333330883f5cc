//! 16 lanes with AVX-512.

use core::arch::x86_64::*;

use super::{HashBlock, HashLanes, K256, States, kernels, sha1_blocks, sha256_blocks};

/// The words of one row.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn load(words: &[u32; 16]) -> __m512i {
    // SAFETY: the reference is to 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn store(to: &mut [u32; 16], words: __m512i) {
    // SAFETY: the reference is to 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) }
}

/// A block, its words turned from big endian.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn row(block: &HashBlock) -> __m512i {
    // SAFETY: the reference is to 64 bytes; the load needs no alignment.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    let swap = _mm512_broadcast_i32x4(_mm_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    ));
    _mm512_shuffle_epi8(bytes, swap)
}

/// The 16 words of a block of every lane: rows of lanes become rows of words. Not a function, since
/// its many values stay in registers only where they are used.
macro_rules! message {
    (|$lane:ident| $block:expr) => {{
        // First 4 lanes g at a time: fours[4g+c] has the words c, c+4, c+8 and c+12 of them.
        let mut fours = [_mm512_setzero_si512(); 16];
        for g in 0..4 {
            let mut rows = [_mm512_setzero_si512(); 4];
            for (i, row_of) in rows.iter_mut().enumerate() {
                let $lane = 4 * g + i;
                *row_of = row($block);
            }
            let [r0, r1, r2, r3] = rows;
            let (low01, high01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
            let (low23, high23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
            fours[4 * g] = _mm512_unpacklo_epi64(low01, low23);
            fours[4 * g + 1] = _mm512_unpackhi_epi64(low01, low23);
            fours[4 * g + 2] = _mm512_unpacklo_epi64(high01, high23);
            fours[4 * g + 3] = _mm512_unpackhi_epi64(high01, high23);
        }
        // Then the quarters of four such vectors.
        let mut words = [_mm512_setzero_si512(); 16];
        for c in 0..4 {
            let even01 = _mm512_shuffle_i32x4::<0x88>(fours[c], fours[4 + c]);
            let odd01 = _mm512_shuffle_i32x4::<0xdd>(fours[c], fours[4 + c]);
            let even23 = _mm512_shuffle_i32x4::<0x88>(fours[8 + c], fours[12 + c]);
            let odd23 = _mm512_shuffle_i32x4::<0xdd>(fours[8 + c], fours[12 + c]);
            words[c] = _mm512_shuffle_i32x4::<0x88>(even01, even23);
            words[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd01, odd23);
            words[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even01, even23);
            words[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd01, odd23);
        }
        words
    }};
}
pub(in super::super) use message;

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn splat(word: u32) -> __m512i {
    // cast: the same bits
    _mm512_set1_epi32(word as i32)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn add(x: __m512i, y: __m512i) -> __m512i {
    _mm512_add_epi32(x, y)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn xor(x: __m512i, y: __m512i) -> __m512i {
    _mm512_xor_si512(x, y)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn shr<const BITS: u32>(x: __m512i) -> __m512i {
    _mm512_srli_epi32::<BITS>(x)
}

/// Rotates left by LEFT bits; RIGHT is what is missing to 32.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn rol<const LEFT: i32, const RIGHT: i32>(x: __m512i) -> __m512i {
    _mm512_rol_epi32::<LEFT>(x)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn xor3(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(x, y, z)
}

/// Bits of y where x is set, of z where it is not.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn choose(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xca>(x, y, z)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn majority(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xe8>(x, y, z)
}

kernels!(16, "avx512f,avx512bw");
