//! AES with the instructions of the processor (FIPS 197): key schedules, CBC encryption of several
//! texts side by side, CBC decryption of one.

use core::arch::x86_64::*;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::lanes::Block;

/// Round keys of the longest schedule.
const MOST_KEYS: usize = 15;

/// The round keys of one AES key. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct RoundKeys {
    keys: [__m128i; MOST_KEYS],
    rounds: usize,
}

impl RoundKeys {
    /// 10, 12 or 14.
    pub(super) fn rounds(&self) -> usize {
        self.rounds
    }

    /// Expands a key of 16, 24 or 32 bytes (FIPS 197 section 5.2); `None` for another length.
    #[target_feature(enable = "aes")]
    pub(super) fn expand(key: &[u8]) -> Option<Self> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return None;
        }
        let (key_words, _) = key.as_chunks::<4>();
        let rounds = key_words.len() + 6;
        let mut words = Zeroizing::new([0_u32; 4 * MOST_KEYS]);
        for (word, bytes) in words.iter_mut().zip(key_words) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut constant = 1_u32;
        for i in key_words.len()..4 * (rounds + 1) {
            let mut word = words[i - 1];
            if i.is_multiple_of(key_words.len()) {
                // Words are little endian here, so this is RotWord.
                word = substitute(word).rotate_right(8) ^ constant;
                constant = if constant == 0x80 {
                    0x1b
                } else {
                    constant << 1
                };
            } else if key_words.len() == 8 && i % 8 == 4 {
                word = substitute(word);
            }
            words[i] = words[i - key_words.len()] ^ word;
        }
        let mut keys = [zero(); MOST_KEYS];
        for (key, words) in keys.iter_mut().zip(words.as_chunks::<4>().0) {
            // cast: the same bits
            let [a, b, c, d] = words.map(|word| word as i32);
            *key = _mm_setr_epi32(a, b, c, d);
        }
        Some(Self { keys, rounds })
    }

    /// The schedule of the equivalent inverse cipher (FIPS 197 section 5.3.5).
    #[target_feature(enable = "aes")]
    pub(super) fn invert(&self) -> Self {
        let mut keys = [zero(); MOST_KEYS];
        for (i, key) in keys.iter_mut().take(self.rounds + 1).enumerate() {
            let forward = self.keys[self.rounds - i];
            *key = if i == 0 || i == self.rounds {
                forward
            } else {
                _mm_aesimc_si128(forward)
            };
        }
        Self {
            keys,
            rounds: self.rounds,
        }
    }
}

/// SubWord of FIPS 197 section 5.2, in constant time.
#[target_feature(enable = "aes")]
fn substitute(word: u32) -> u32 {
    // cast: the same bits
    let words = _mm_set1_epi32(word as i32);
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(words)) as u32
}

#[inline]
fn zero() -> __m128i {
    // SAFETY: every x86-64 has SSE2.
    unsafe { _mm_setzero_si128() }
}

#[inline]
pub(super) fn load(block: &Block) -> __m128i {
    // SAFETY: the reference is to 16 bytes; the load needs no alignment, and SSE2, which every x86-64
    // has.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

#[inline]
pub(super) fn store(to: &mut Block, block: __m128i) {
    // SAFETY: the reference is to 16 bytes; the store needs no alignment, and SSE2, which every
    // x86-64 has.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), block) }
}

/// What N lanes encrypt with: their round keys, round by round, and the last block of each
/// ciphertext, at first the IV. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(super) struct CbcLanes<const N: usize> {
    pub(super) keys: [[__m128i; N]; MOST_KEYS],
    pub(super) chain: [__m128i; N],
}

impl<const N: usize> CbcLanes<N> {
    pub(super) fn new() -> Self {
        Self {
            keys: [[zero(); N]; MOST_KEYS],
            chain: [zero(); N],
        }
    }

    /// Gives a lane its next text.
    pub(super) fn refill(&mut self, lane: usize, schedule: &RoundKeys, iv: &Block) {
        for (row, key) in self.keys.iter_mut().zip(&schedule.keys) {
            row[lane] = *key;
        }
        self.chain[lane] = load(iv);
    }
}

/// Encrypts the first `blocks` blocks of each text in place. A text that has fewer is idle, and its
/// lane must be refilled before its next use.
#[target_feature(enable = "aes,avx2")]
pub(super) fn cbc_encrypt<const N: usize, const ROUNDS: usize>(
    lanes: &mut CbcLanes<N>,
    texts: &mut [&mut [Block]; N],
    blocks: usize,
) {
    let mut states = lanes.chain;
    for block in 0..blocks {
        for lane in 0..N {
            let text = match texts[lane].get(block) {
                Some(text) => load(text),
                None => zero(),
            };
            let text = _mm_xor_si128(text, lanes.keys[0][lane]);
            states[lane] = _mm_xor_si128(states[lane], text);
        }
        for keys in &lanes.keys[1..ROUNDS] {
            for lane in 0..N {
                states[lane] = _mm_aesenc_si128(states[lane], keys[lane]);
            }
        }
        for lane in 0..N {
            states[lane] = _mm_aesenclast_si128(states[lane], lanes.keys[ROUNDS][lane]);
            if let Some(text) = texts[lane].get_mut(block) {
                store(text, states[lane]);
            }
        }
    }
    lanes.chain = states;
}

/// As [`cbc_encrypt`], with four lanes in each register.
#[target_feature(enable = "aes,avx2,avx512f,vaes")]
pub(super) fn cbc_encrypt_wide<const ROUNDS: usize>(
    lanes: &mut CbcLanes<16>,
    texts: &mut [&mut [Block]; 16],
    blocks: usize,
) {
    let mut states = load_wide(&lanes.chain);
    for block in 0..blocks {
        let mut inputs = load_wide(&lanes.keys[0]);
        for (input, texts) in inputs.iter_mut().zip(texts.as_chunks::<4>().0) {
            let mut gathered = [zero(); 4];
            for (to, text) in gathered.iter_mut().zip(texts) {
                if let Some(text) = text.get(block) {
                    *to = load(text);
                }
            }
            let [a, b, c, d] = gathered;
            let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
            let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
            let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            *input = _mm512_xor_si512(*input, all);
        }
        for (state, input) in states.iter_mut().zip(inputs) {
            *state = _mm512_xor_si512(*state, input);
        }
        for keys in &lanes.keys[1..ROUNDS] {
            for (state, keys) in states.iter_mut().zip(load_wide(keys)) {
                *state = _mm512_aesenc_epi128(*state, keys);
            }
        }
        for (state, keys) in states.iter_mut().zip(load_wide(&lanes.keys[ROUNDS])) {
            *state = _mm512_aesenclast_epi128(*state, keys);
        }
        for (state, texts) in states.iter().zip(texts.as_chunks_mut::<4>().0) {
            let [a, b, c, d] = texts;
            let put = |text: &mut [Block], lane: __m128i| {
                if let Some(text) = text.get_mut(block) {
                    store(text, lane);
                }
            };
            put(a, _mm512_castsi512_si128(*state));
            put(b, _mm512_extracti32x4_epi32::<1>(*state));
            put(c, _mm512_extracti32x4_epi32::<2>(*state));
            put(d, _mm512_extracti32x4_epi32::<3>(*state));
        }
    }
    store_wide(&mut lanes.chain, states);
}

#[target_feature(enable = "avx512f")]
fn load4(blocks: &[Block; 4]) -> __m512i {
    // SAFETY: the reference is to 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(blocks.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store4(to: &mut [Block; 4], blocks: __m512i) {
    // SAFETY: the reference is to 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), blocks) }
}

/// Puts the blocks of four lanes each into one register.
#[target_feature(enable = "avx512f")]
pub(super) fn load_wide(lanes: &[__m128i; 16]) -> [__m512i; 4] {
    let mut wide = [_mm512_setzero_si512(); 4];
    for (wide, four) in wide.iter_mut().zip(lanes.as_chunks::<4>().0) {
        // SAFETY: the reference is to 64 bytes; the load needs no alignment.
        *wide = unsafe { _mm512_loadu_si512(four.as_ptr().cast()) };
    }
    wide
}

#[target_feature(enable = "avx512f")]
pub(super) fn store_wide(lanes: &mut [__m128i; 16], wide: [__m512i; 4]) {
    for (four, wide) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(wide) {
        // SAFETY: the reference is to 64 bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(four.as_mut_ptr().cast(), wide) };
    }
}

/// Decrypts one text in place, 8 blocks at a time, with an inverted schedule.
#[target_feature(enable = "aes,avx2")]
pub(super) fn cbc_decrypt<const ROUNDS: usize>(keys: &RoundKeys, iv: &Block, text: &mut [Block]) {
    let mut before = load(iv);
    let (eights, rest) = text.as_chunks_mut::<8>();
    for blocks in eights {
        before = decrypt_blocks::<8, ROUNDS>(keys, before, blocks);
    }
    for block in rest.as_chunks_mut::<1>().0 {
        before = decrypt_blocks::<1, ROUNDS>(keys, before, block);
    }
}

/// Decrypts consecutive blocks, and returns the ciphertext of the last.
#[target_feature(enable = "aes,avx2")]
fn decrypt_blocks<const N: usize, const ROUNDS: usize>(
    keys: &RoundKeys,
    before: __m128i,
    blocks: &mut [Block; N],
) -> __m128i {
    let mut states = [zero(); N];
    let first = keys.keys[0];
    for (state, block) in states.iter_mut().zip(blocks.iter()) {
        *state = _mm_xor_si128(load(block), first);
    }
    for key in &keys.keys[1..ROUNDS] {
        for state in &mut states {
            *state = _mm_aesdec_si128(*state, *key);
        }
    }
    let last = keys.keys[ROUNDS];
    let mut before = before;
    for (state, block) in states.into_iter().zip(blocks) {
        let clear = _mm_xor_si128(_mm_aesdeclast_si128(state, last), before);
        before = load(block);
        store(block, clear);
    }
    before
}

/// As [`cbc_decrypt`], 16 blocks at a time, then 4, then 1.
#[target_feature(enable = "aes,avx2,avx512f,vaes")]
pub(super) fn cbc_decrypt_wide<const ROUNDS: usize>(
    keys: &RoundKeys,
    iv: &Block,
    text: &mut [Block],
) {
    let mut before = load(iv);
    let (fours, rest) = text.as_chunks_mut();
    let (sixteens, fours) = fours.as_chunks_mut::<4>();
    for blocks in sixteens {
        before = decrypt_wide::<4, ROUNDS>(keys, before, blocks);
    }
    for blocks in fours.as_chunks_mut().0 {
        before = decrypt_wide::<1, ROUNDS>(keys, before, blocks);
    }
    for block in rest.as_chunks_mut().0 {
        before = decrypt_blocks::<1, ROUNDS>(keys, before, block);
    }
}

/// Decrypts N times 4 consecutive blocks, and returns the ciphertext of the last.
#[target_feature(enable = "aes,avx2,avx512f,vaes")]
fn decrypt_wide<const N: usize, const ROUNDS: usize>(
    keys: &RoundKeys,
    before: __m128i,
    fours: &mut [[Block; 4]; N],
) -> __m128i {
    let mut states = [_mm512_setzero_si512(); N];
    let first = _mm512_broadcast_i32x4(keys.keys[0]);
    for (state, four) in states.iter_mut().zip(fours.iter()) {
        *state = _mm512_xor_si512(load4(four), first);
    }
    for key in &keys.keys[1..ROUNDS] {
        let key = _mm512_broadcast_i32x4(*key);
        for state in &mut states {
            *state = _mm512_aesdec_epi128(*state, key);
        }
    }
    let last = _mm512_broadcast_i32x4(keys.keys[ROUNDS]);
    // The last block before each four; only that of the first is not in its register.
    let mut carried = _mm512_broadcast_i32x4(before);
    for (state, four) in states.into_iter().zip(fours) {
        let cipher = load4(four);
        let shifted = _mm512_alignr_epi64::<6>(cipher, carried);
        let clear = _mm512_aesdeclast_epi128(state, last);
        store4(four, _mm512_xor_si512(clear, shifted));
        carried = cipher;
    }
    _mm512_extracti32x4_epi32::<3>(carried)
}
