//! The random numbers of the core: a ChaCha20 generator that the shell seeds once, so that a run
//! can be repeated from its seed. It must never seed itself.

use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// A seeded, cryptographically secure generator (ChaCha20). It also implements the traits of
/// rand_core 0.10. It is not `Clone`, since two equal generators would draw equal keys; use
/// [`fork`](Self::fork).
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// A generator whose whole output follows from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Draws `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Draws a 16-bit number.
    pub fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    /// Draws a 32-bit number.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Draws a 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws a number below `n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        // The high half of a product is uniform once the low halves that would come up once too
        // often are drawn again.
        let excess = n.wrapping_neg().checked_rem(n).unwrap_or(0);
        loop {
            let product = u64::from(self.u32()) * u64::from(n);
            // cast: the low half is meant
            if product as u32 >= excess {
                // cast: the high half of 64 bits
                return (product >> 32) as u32;
            }
        }
    }

    /// A new generator, independent of this one's further output.
    pub fn fork(&mut self) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        self.fill(seed.as_mut());
        Self::from_seed(*seed)
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Rng {}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_a_fork_does_not() {
        let mut a = Rng::from_seed([7; 32]);
        let mut b = Rng::from_seed([7; 32]);
        assert_eq!(a.array::<40>(), b.array::<40>());
        let mut fork = a.fork();
        let theirs = fork.array::<16>();
        assert_ne!(theirs, a.array::<16>());
        assert_ne!(Rng::from_seed([8; 32]).u64(), Rng::from_seed([7; 32]).u64());
    }

    #[test]
    fn the_stream_is_chacha20() {
        // RFC 8439 appendix A.1, test vector 1: zero key, nonce and counter.
        let mut rng = Rng::from_seed([0; 32]);
        assert_eq!(
            hex::encode(rng.array::<32>()),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        );
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut seen = [0_u32; 7];
        for _ in 0..7000 {
            seen[rng.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        let high = 0xc000_0000;
        assert!((0..1000).all(|_| rng.below(high) < high));
    }
}
