//! The compression functions of SHA-1 and SHA2-256 (FIPS 180-4 sections 6.1.2 and 6.2.2) over many
//! messages: word i of all lanes is one vector. The same text makes the kernels of each width; what
//! differs is the small operations in the modules below.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod avx512vl;

/// A block of both hashes.
pub(super) type HashBlock = [u8; 64];

/// The chaining values of L lanes, each of W words; word by word, so that a row is one vector.
#[derive(Clone, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(super) struct States<const L: usize, const W: usize>(pub(super) [[u32; L]; W]);

/// The kernels of a hash for L lanes, whose states have W words.
///
/// # Safety
///
/// All of them need the instructions that the module of the kernel says.
pub(super) trait HashLanes<const L: usize, const W: usize> {
    /// Takes as many blocks as every lane has into the states, and returns how many.
    unsafe fn hash(states: &mut States<L, W>, lanes: &[&[HashBlock]; L]) -> usize;

    /// Makes of each inner hash of an HMAC the outer one: that of a message which is `states` behind a
    /// block that came to `outer`.
    unsafe fn outer(states: &mut States<L, W>, outer: &States<L, W>);
}

pub(super) const K256: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Takes blocks into states of SHA-1, out of the operations in scope: `load`, `store`, `splat`, `add`,
/// `xor`, `xor3`, `choose`, `majority` and `rol`. `$each` is the head of the loop over the blocks, and
/// `$message` the 16 words of one of every lane. `$beside` stands behind each step of the hash: so
/// other work can go on while this one waits for its own results. It sees how many quarters of a block
/// are done, and how many steps of this one (of at least 16).
macro_rules! sha1_blocks {
    ($states:ident, [$($each:tt)*], $message:expr, |$quarter:ident, $step:ident| $beside:expr) => {
        let [a, b, c, d, e] = &mut $states.0;
        let mut chain = [load(a), load(b), load(c), load(d), load(e)];
        $($each)* {
            let mut w = $message;
            let [mut a, mut b, mut c, mut d, mut e] = chain;
            macro_rules! round {
                ($t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident, $f:ident, $k:ident) => {
                    let t: usize = $t;
                    if t >= 16 {
                        let mixed = xor(
                            xor3(w[(t + 13) % 16], w[(t + 8) % 16], w[(t + 2) % 16]),
                            w[t % 16],
                        );
                        w[t % 16] = rol::<1, 31>(mixed);
                    }
                    let rest = add(add($e, $k), add(w[t % 16], $f($b, $c, $d)));
                    $e = add(rol::<5, 27>($a), rest);
                    $b = rol::<30, 2>($b);
                    let ($quarter, $step): (usize, usize) = (t / 20, t % 20);
                    $beside;
                };
            }
            macro_rules! rounds20 {
                ($t:literal, $f:ident, $constant:literal) => {
                    let k = splat($constant);
                    rounds20!(@five $t, $f, k);
                    rounds20!(@five $t + 5, $f, k);
                    rounds20!(@five $t + 10, $f, k);
                    rounds20!(@five $t + 15, $f, k);
                };
                (@five $t:expr, $f:ident, $k:ident) => {
                    round!($t, a b c d e, $f, $k);
                    round!($t + 1, e a b c d, $f, $k);
                    round!($t + 2, d e a b c, $f, $k);
                    round!($t + 3, c d e a b, $f, $k);
                    round!($t + 4, b c d e a, $f, $k);
                };
            }
            rounds20!(0, choose, 0x5a82_7999);
            rounds20!(20, xor3, 0x6ed9_eba1);
            rounds20!(40, majority, 0x8f1b_bcdc);
            rounds20!(60, xor3, 0xca62_c1d6);
            for (chained, word) in chain.iter_mut().zip([a, b, c, d, e]) {
                *chained = add(*chained, word);
            }
        }
        for (state, word) in $states.0.iter_mut().zip(chain) {
            store(state, word);
        }
    };
}
pub(super) use sha1_blocks;

/// As `sha1_blocks`, for SHA2-256, with `shr` as well.
macro_rules! sha256_blocks {
    ($states:ident, [$($each:tt)*], $message:expr, |$quarter:ident, $step:ident| $beside:expr) => {
        let [a, b, c, d, e, f, g, h] = &mut $states.0;
        let mut chain = [
            load(a),
            load(b),
            load(c),
            load(d),
            load(e),
            load(f),
            load(g),
            load(h),
        ];
        $($each)* {
            let mut w = $message;
            let [
                mut a,
                mut b,
                mut c,
                mut d,
                mut e,
                mut f,
                mut g,
                mut h,
            ] = chain;
            macro_rules! extend {
                ($t:literal) => {
                    let early = w[($t + 1) % 16];
                    let late = w[($t + 14) % 16];
                    let sigma0 = xor3(rol::<25, 7>(early), rol::<14, 18>(early), shr::<3>(early));
                    let sigma1 = xor3(rol::<15, 17>(late), rol::<13, 19>(late), shr::<10>(late));
                    w[$t] = add(add(w[$t], sigma0), add(w[($t + 9) % 16], sigma1));
                };
            }
            let (groups, _) = K256.as_chunks::<16>();
            for ($quarter, k) in groups.iter().enumerate() {
                macro_rules! round {
                    ($t:literal, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                        let sum1 = xor3(rol::<26, 6>($e), rol::<21, 11>($e), rol::<7, 25>($e));
                        let t1 = add(
                            add(add($h, add(w[$t], splat(k[$t]))), choose($e, $f, $g)),
                            sum1,
                        );
                        let sum0 = xor3(rol::<30, 2>($a), rol::<19, 13>($a), rol::<10, 22>($a));
                        $d = add($d, t1);
                        $h = add(t1, add(sum0, majority($a, $b, $c)));
                        let $step: usize = $t;
                        $beside;
                    };
                }
                if $quarter > 0 {
                    extend!(0);
                    extend!(1);
                    extend!(2);
                    extend!(3);
                    extend!(4);
                    extend!(5);
                    extend!(6);
                    extend!(7);
                    extend!(8);
                    extend!(9);
                    extend!(10);
                    extend!(11);
                    extend!(12);
                    extend!(13);
                    extend!(14);
                    extend!(15);
                }
                round!(0, a b c d e f g h);
                round!(1, h a b c d e f g);
                round!(2, g h a b c d e f);
                round!(3, f g h a b c d e);
                round!(4, e f g h a b c d);
                round!(5, d e f g h a b c);
                round!(6, c d e f g h a b);
                round!(7, b c d e f g h a);
                round!(8, a b c d e f g h);
                round!(9, h a b c d e f g);
                round!(10, g h a b c d e f);
                round!(11, f g h a b c d e);
                round!(12, e f g h a b c d);
                round!(13, d e f g h a b c);
                round!(14, c d e f g h a b);
                round!(15, b c d e f g h a);
            }
            for (chained, word) in chain.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *chained = add(*chained, word);
            }
        }
        for (state, word) in $states.0.iter_mut().zip(chain) {
            store(state, word);
        }
    };
}
pub(super) use sha256_blocks;

/// The kernels of a width, out of its operations.
macro_rules! kernels {
    ($lanes:literal, $features:literal) => {
        pub(in super::super) struct Sha1;

        pub(in super::super) struct Sha256;

        kernels!(@hash Sha1, 5, sha1_blocks, $lanes, $features);
        kernels!(@hash Sha256, 8, sha256_blocks, $lanes, $features);
    };
    (@hash $name:ident, $words:literal, $blocks:ident, $lanes:literal, $features:literal) => {
        impl HashLanes<$lanes, $words> for $name {
            #[target_feature(enable = $features)]
            unsafe fn hash(
                states: &mut States<$lanes, $words>,
                lanes: &[&[HashBlock]; $lanes],
            ) -> usize {
                let blocks = lanes.iter().map(|lane| lane.len()).min().unwrap_or(0);
                $blocks!(
                    states,
                    [for block in 0..blocks],
                    // SAFETY: the shortest has so many. A look at each would cost a tenth of the hash.
                    message!(|lane| unsafe { lanes[lane].get_unchecked(block) }),
                    |_quarter, _step| ()
                );
                blocks
            }

            #[target_feature(enable = $features)]
            unsafe fn outer(
                states: &mut States<$lanes, $words>,
                outer: &States<$lanes, $words>,
            ) {
                // The hash, then what FIPS 180-4 section 5.1.1 puts after a message, with its length.
                let mut message = [splat(0); 16];
                for (to, row) in message.iter_mut().zip(&states.0) {
                    *to = load(row);
                }
                message[$words] = splat(0x8000_0000);
                message[15] = splat(8 * (64 + 4 * $words));
                states.0 = outer.0;
                $blocks!(states, [for _ in 0..1], message, |_quarter, _step| ());
            }
        }
    };
}
use kernels;

/// As the macro of that name for 16 lanes, in halves.
macro_rules! message8 {
    (|$lane:ident| $block:expr) => {{
        let mut words = [_mm256_setzero_si256(); 16];
        for (which, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut rows = [_mm256_setzero_si256(); 8];
            for ($lane, row) in rows.iter_mut().enumerate() {
                *row = half($block, which);
            }
            let mut pairs = [_mm256_setzero_si256(); 8];
            for i in 0..4 {
                let (upper, lower) = (rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i] = _mm256_unpacklo_epi32(upper, lower);
                pairs[2 * i + 1] = _mm256_unpackhi_epi32(upper, lower);
            }
            // Word c of lanes 4g to 4g+3 in one half, word c+4 in the other.
            let mut fours = [_mm256_setzero_si256(); 8];
            for g in 0..2 {
                for i in 0..2 {
                    let (upper, lower) = (pairs[4 * g + i], pairs[4 * g + 2 + i]);
                    fours[4 * g + 2 * i] = _mm256_unpacklo_epi64(upper, lower);
                    fours[4 * g + 2 * i + 1] = _mm256_unpackhi_epi64(upper, lower);
                }
            }
            for c in 0..4 {
                words[c] = _mm256_permute2x128_si256::<0x20>(fours[c], fours[c + 4]);
                words[c + 4] = _mm256_permute2x128_si256::<0x31>(fours[c], fours[c + 4]);
            }
        }
        words
    }};
}
pub(super) use message8;

/// Operations of 8 lanes in 256 bits that AVX2 has and AVX-512VL does no better.
macro_rules! ymm {
    ($features:literal) => {
        /// The words of one row.
        #[target_feature(enable = $features)]
        pub(in super::super) fn load(words: &[u32; 8]) -> __m256i {
            // SAFETY: the reference is to 32 bytes; the load needs no alignment.
            unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn store(to: &mut [u32; 8], words: __m256i) {
            // SAFETY: the reference is to 32 bytes; the store needs no alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) }
        }

        /// Half of a block, its words turned from big endian.
        #[target_feature(enable = $features)]
        pub(in super::super) fn half(block: &HashBlock, half: usize) -> __m256i {
            let (halves, _) = block.as_chunks::<32>();
            // SAFETY: the reference is to 32 bytes; the load needs no alignment.
            let bytes = unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) };
            let swap = _mm256_setr_epi8(
                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11,
                10, 9, 8, 15, 14, 13, 12,
            );
            _mm256_shuffle_epi8(bytes, swap)
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn splat(word: u32) -> __m256i {
            // cast: the same bits
            _mm256_set1_epi32(word as i32)
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn add(x: __m256i, y: __m256i) -> __m256i {
            _mm256_add_epi32(x, y)
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn xor(x: __m256i, y: __m256i) -> __m256i {
            _mm256_xor_si256(x, y)
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn shr<const BITS: i32>(x: __m256i) -> __m256i {
            _mm256_srli_epi32::<BITS>(x)
        }
    };
}
use ymm;
