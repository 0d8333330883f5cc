//! Numbers of ours that say so by themselves: in an SPI and in a cookie of IKE some bits follow from the
//! others by a key. So a filter in the kernel, which knows no SA, can throw most of what strangers make up
//! away before it takes room in a queue.
//!
//! It is no protection: whoever sees or gets such numbers may find the key, and then does what all can do
//! where there is no filter. Nothing may be believed because of a mark.

/// The bits of a word that follow from the others: of what is made up, one in 1024 passes.
pub const MARK_BITS: u32 = 10;

const MASK: u32 = (1 << MARK_BITS) - 1;

/// A key of marks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What a word is mixed with: added without carry, and then multiplied by two odd numbers.
    add: u32,
    factors: [u32; 2],
}

impl Mark {
    /// A key from random bytes.
    pub fn new(random: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = random;
        Self {
            add: u32::from_be_bytes([a, b, c, d]),
            factors: [[e, f, g, h], [i, j, k, l]].map(|word| u32::from_be_bytes(word) | 1),
        }
    }

    /// The words of the key, for a filter that computes the mark of a word by itself: exclusive or with
    /// the first, product with the second, exclusive or with itself shifted right by 15, product with
    /// the third; of that the first [`MARK_BITS`] bits.
    pub fn key(&self) -> [u32; 3] {
        let [first, second] = self.factors;
        [self.add, first, second]
    }

    /// The mark that belongs to a word whose last [`MARK_BITS`] bits are zero.
    fn tag(&self, word: u32) -> u32 {
        let [first, second] = self.factors;
        let mixed = (word ^ self.add).wrapping_mul(first);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(second);
        mixed >> (u32::BITS - MARK_BITS)
    }

    /// The number with its last bits changed to the mark.
    pub fn spi(&self, spi: u32) -> u32 {
        let rest = spi & !MASK;
        rest | self.tag(rest)
    }

    /// The same of a cookie: of its two halves, added without carry.
    pub fn cookie(&self, cookie: [u8; 8]) -> [u8; 8] {
        let both = u64::from_be_bytes(cookie) & !u64::from(MASK);
        // cast: the two halves
        let word = (both >> 32) as u32 ^ both as u32;
        (both | u64::from(self.tag(word))).to_be_bytes()
    }
}

impl std::fmt::Debug for Mark {
    // A filter is all the better while nobody knows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mark").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 12] = [158, 55, 121, 185, 133, 235, 202, 106, 194, 178, 174, 52];

    #[test]
    fn marked_numbers_stay_and_others_change() {
        let mark = Mark::new(KEY);
        let mut unchanged = 0;
        for index in 0..100_000_u32 {
            let spi = index.wrapping_mul(0x9e37_79b1);
            let ours = mark.spi(spi);
            assert_eq!(mark.spi(ours), ours);
            assert_eq!(ours >> MARK_BITS, spi >> MARK_BITS);
            unchanged += u32::from(ours == spi);
            let cookie = [spi.to_be_bytes(), index.to_be_bytes()].concat();
            let cookie: [u8; 8] = cookie.try_into().unwrap();
            let ours = mark.cookie(cookie);
            assert_eq!(mark.cookie(ours), ours);
            assert_eq!(ours[..6], cookie[..6]);
            unchanged += u32::from(ours == cookie);
        }
        // Of 200,000, one in 1024 is a number of ours by chance.
        assert!((120..280).contains(&unchanged), "{unchanged}");
    }

    #[test]
    fn another_key_makes_other_marks() {
        let (one, other) = (Mark::new(KEY), Mark::new([1; 12]));
        let same = (0..10_000).filter(|index| one.spi(index << 10) == other.spi(index << 10));
        assert!(same.count() < 100);
        assert_eq!(Mark::new(KEY).key().map(|word| word & 1), [1, 1, 1]);
    }
}
