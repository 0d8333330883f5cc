//! Lanes in the vector registers of x86-64. What is called here with `unsafe` are functions of
//! instruction set extensions; the rest of it is safe but for loads and stores through references.

#![expect(
    unsafe_code,
    reason = "instructions that not every processor has, and vector loads and stores"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "arrays of lanes and words, whose lengths are in the types"
)]

mod aes;
mod cbc;
mod hmac;
mod midstates;
mod one_pass;
mod rows;
mod sha;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use self::aes::RoundKeys;
use self::cbc::CbcJob;
use self::hmac::MacJob;
use self::midstates::Midstates;
pub(crate) use self::one_pass::PacketJob;
use self::sha::{avx2, avx512, avx512vl};
use super::Block;
use crate::Hash;

/// Has the line loaded that is so many bytes from a value's start.
pub(super) fn load_ahead<T>(value: &T, offset: usize) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    // SAFETY: SSE is part of x86-64. The address is a hint and may be any: nothing is accessed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
}

/// Sets of instructions. A value of this type is made by [`found`](Self::found) alone, which is what
/// every `unsafe` block here relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lanes {
    /// AES-NI and AVX2: 8 lanes.
    Avx2,
    /// AES-NI and AVX-512: 8 lanes for ciphers, 8 or 16 for hashes.
    Avx512,
    /// The same with VAES: 8 or 16 lanes.
    Vaes,
}

impl Lanes {
    /// Those of this machine, the fastest last. Each has the instructions of those before.
    pub(crate) fn found() -> impl Iterator<Item = Self> {
        let avx2 = is_x86_feature_detected!("aes") && is_x86_feature_detected!("avx2");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        let vaes = avx512 && is_x86_feature_detected!("vaes");
        [
            (avx2, Self::Avx2),
            (avx512, Self::Avx512),
            (vaes, Self::Vaes),
        ]
        .into_iter()
        .filter_map(|(found, lanes)| found.then_some(lanes))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
            Self::Vaes => "AVX-512 and VAES",
        }
    }

    /// Whether so many messages are authenticated faster in lanes than one by one, which has
    /// instructions of its own on some processors.
    pub(crate) fn worth_hmac(self, hash: Hash, count: usize) -> bool {
        // Measured: at these numbers the work in lanes is done earlier, at 1400 bytes; for SHA2-256
        // with AVX2 at the lengths of short packets only.
        let least = match (hash, self) {
            (Hash::Sha1 | Hash::Sha2_256, _) if !is_x86_feature_detected!("sha") => 2,
            (Hash::Sha1, Self::Avx2) => 5,
            (Hash::Sha1, _) => 3,
            (Hash::Sha2_256, Self::Avx2) => 8,
            (Hash::Sha2_256, _) => 5,
            _ => return false,
        };
        count >= least
    }

    /// Encrypts all texts in place, about `count` of them, whose keys all have so many rounds.
    pub(crate) fn cbc_encrypt<'a>(
        self,
        rounds: usize,
        count: usize,
        jobs: impl Iterator<Item = CbcJob<'a>>,
    ) {
        match rounds {
            10 => self.cbc_encrypt_rounds::<10>(count, jobs),
            12 => self.cbc_encrypt_rounds::<12>(count, jobs),
            _ => self.cbc_encrypt_rounds::<14>(count, jobs),
        }
    }

    fn cbc_encrypt_rounds<'a, const ROUNDS: usize>(
        self,
        count: usize,
        jobs: impl Iterator<Item = CbcJob<'a>>,
    ) {
        let jobs = jobs.filter(|job| job.keys.rounds() == ROUNDS);
        if self == Self::Vaes && count > 8 {
            cbc::run(jobs, |lanes, texts, blocks| {
                // SAFETY: `found` made this value, and with it found VAES, AVX-512 and AVX2.
                unsafe { aes::cbc_encrypt_wide::<ROUNDS>(lanes, texts, blocks) }
            });
        } else if count > 4 {
            cbc::run(jobs, |lanes, texts, blocks| {
                // SAFETY: `found` makes no value without AES-NI and AVX2.
                unsafe { aes::cbc_encrypt::<8, ROUNDS>(lanes, texts, blocks) }
            });
        } else if count > 1 {
            cbc::run(jobs, |lanes, texts, blocks| {
                // SAFETY: `found` makes no value without AES-NI and AVX2.
                unsafe { aes::cbc_encrypt::<4, ROUNDS>(lanes, texts, blocks) }
            });
        } else {
            cbc::run(jobs, |lanes, texts, blocks| {
                // SAFETY: `found` makes no value without AES-NI and AVX2.
                unsafe { aes::cbc_encrypt::<1, ROUNDS>(lanes, texts, blocks) }
            });
        }
    }

    /// Decrypts one text in place.
    pub(crate) fn cbc_decrypt(self, keys: &LaneKeys, iv: &Block, text: &mut [Block]) {
        let keys = &keys.decrypt;
        // SAFETY: `found` makes no value without AES-NI and AVX2, and `Vaes` not without VAES and
        // AVX-512.
        unsafe {
            match (self, keys.rounds()) {
                (Self::Vaes, 10) => aes::cbc_decrypt_wide::<10>(keys, iv, text),
                (Self::Vaes, 12) => aes::cbc_decrypt_wide::<12>(keys, iv, text),
                (Self::Vaes, _) => aes::cbc_decrypt_wide::<14>(keys, iv, text),
                (_, 10) => aes::cbc_decrypt::<10>(keys, iv, text),
                (_, 12) => aes::cbc_decrypt::<12>(keys, iv, text),
                _ => aes::cbc_decrypt::<14>(keys, iv, text),
            }
        }
    }

    /// Computes the MACs of all messages, about `count` of them, with one hash: SHA-1, else
    /// SHA2-256.
    pub(crate) fn hmac<'a>(self, hash: Hash, count: usize, jobs: impl Iterator<Item = MacJob<'a>>) {
        let jobs = jobs.filter(|job| job.key.hash == hash);
        // SAFETY: `found` makes no value without AVX2, and the others than `Avx2` only with AVX-512F, BW
        // and VL.
        unsafe {
            match (self, hash) {
                (Self::Avx2, Hash::Sha1) => hmac::run::<avx2::Sha1, 8, 5>(None, jobs),
                (Self::Avx2, _) => hmac::run::<avx2::Sha256, 8, 8>(None, jobs),
                (_, Hash::Sha1) if count > 8 => hmac::run::<avx512::Sha1, 16, 5>(None, jobs),
                (_, Hash::Sha1) => hmac::run::<avx512vl::Sha1, 8, 5>(None, jobs),
                _ if count > 8 => hmac::run::<avx512::Sha256, 16, 8>(None, jobs),
                _ => hmac::run::<avx512vl::Sha256, 8, 8>(None, jobs),
            }
        }
    }
}

/// The keys of one direction of an SA in the form that lanes take. Wiped on drop.
pub(crate) struct LaneKeys {
    encrypt: RoundKeys,
    decrypt: RoundKeys,
    mac: Option<Midstates>,
}

impl LaneKeys {
    /// Keys of AES; `None` on a machine without lanes. MACs of other hashes than SHA-1 and SHA2-256
    /// are left to the one-packet code.
    pub(crate) fn new(cipher_key: &[u8], hash: Hash, mac_key: &[u8]) -> Option<Self> {
        Lanes::found().next()?;
        // SAFETY: a value of `Lanes` was found, so AES-NI was.
        let (encrypt, decrypt) = unsafe {
            let encrypt = RoundKeys::expand(cipher_key)?;
            let decrypt = encrypt.invert();
            (encrypt, decrypt)
        };
        Some(Self {
            encrypt,
            decrypt,
            mac: Midstates::new(hash, mac_key),
        })
    }

    /// Rounds of the cipher: 10, 12 or 14.
    pub(crate) fn rounds(&self) -> usize {
        self.encrypt.rounds()
    }

    pub(crate) fn cbc_job<'a>(&'a self, iv: Block, text: &'a mut [Block]) -> CbcJob<'a> {
        CbcJob {
            keys: &self.encrypt,
            iv,
            text,
        }
    }

    /// The MAC of `data` and `suffix`, cut to the length of `mac`; `None` if lanes do not have the
    /// hash.
    pub(crate) fn mac_job<'a>(
        &'a self,
        data: &'a [u8],
        suffix: Option<[u8; 4]>,
        mac: &'a mut [u8],
    ) -> Option<MacJob<'a>> {
        let key = self.mac.as_ref()?;
        Some(MacJob {
            key,
            done: 0,
            data,
            suffix,
            mac,
        })
    }
}
