//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use std::net::IpAddr;
use std::ops::Add;

/// A running one's complement sum. Parts of odd length are padded as if each were the last, so
/// only the last part may be odd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The empty sum.
    pub fn new() -> Self {
        Self(0)
    }

    /// Adds bytes as big-endian 16-bit words.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let sum = if bytes.len() < LONG {
            added(bytes)
        } else {
            added_long(bytes)
        };
        self.0 += u64::from(u16::from_be(folded(sum)));
        self
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub fn u16(mut self, word: u16) -> Self {
        self.0 += u64::from(word);
        self
    }

    /// Adds the pseudo-header of an upper-layer packet: RFC 9293 3.1 for IPv4, RFC 8200 8.1 for
    /// IPv6. `length` is that of the upper-layer header and its data.
    #[must_use]
    pub fn pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: u32,
    ) -> Self {
        let mut sum = match source {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        };
        sum = match destination {
            IpAddr::V4(address) => sum.bytes(&address.octets()),
            IpAddr::V6(address) => sum.bytes(&address.octets()),
        };
        sum.bytes(&length.to_be_bytes()).u16(u16::from(protocol))
    }

    /// Folds the sum and complements it: the value of a checksum field, or 0 over data that holds
    /// its own correct checksum.
    pub fn finish(self) -> u16 {
        !folded(self.0)
    }
}

/// The sum over both parts.
impl Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// From how many bytes on wide instructions gain more than it costs to ask whether they are there and
/// to call the code that uses them.
const LONG: usize = 256;

/// Adds up words of `bytes` as they lie in memory: the order of bytes changes that of the sum's own
/// bytes only (RFC 1071 2 B), and without a swap the processor adds several words at once. An odd
/// byte at the end is padded.
///
/// Always inlined, for it to be compiled for the instructions that its caller may use.
#[inline(always)]
fn added(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // The high halves are added once more by themselves, and the low halves are what is left of the
    // whole without them: one instruction less than to cut them out of each word. Nothing overflows
    // below 16 GiB.
    let (mut whole, mut high) = (0_u64, 0_u64);
    for word in words {
        let word = u64::from_ne_bytes(*word);
        whole = whole.wrapping_add(word);
        high += word >> 32;
    }
    let low = whole.wrapping_sub(high << 32);

    let (four, rest) = match rest.split_first_chunk() {
        Some((four, rest)) => (u32::from_ne_bytes(*four), rest),
        None => (0, rest),
    };
    let (two, rest) = match rest.split_first_chunk() {
        Some((two, rest)) => (u16::from_ne_bytes(*two), rest),
        None => (0, rest),
    };
    let one = rest.first().map_or(0, |one| u16::from_ne_bytes([*one, 0]));
    high + low + u64::from(four) + u64::from(two) + u64::from(one)
}

/// [`added`] with AVX2, if this processor has it. AVX-512 gained next to nothing more.
///
/// Never inlined: what is short would have to make room for the call.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "a call of code for instructions found at run time"
)]
#[inline(never)]
fn added_long(bytes: &[u8]) -> u64 {
    #[target_feature(enable = "avx2")]
    fn with_avx2(bytes: &[u8]) -> u64 {
        added(bytes)
    }

    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        unsafe { with_avx2(bytes) }
    } else {
        added(bytes)
    }
}

/// [`added`]: no wider instructions are known here than those that every processor has.
#[cfg(not(target_arch = "x86_64"))]
fn added_long(bytes: &[u8]) -> u64 {
    added(bytes)
}

/// The one's complement sum of the 16-bit words of a sum.
fn folded(sum: u64) -> u16 {
    // Added to itself with its halves swapped, a number carries from its low half into its high one
    // what the sum of both carries out: no loop, whose end would depend on the data.
    // casts: the shifts leave 32 and 16 bits
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// The checksum of `bytes`, as in an IPv4 header whose checksum field is zero.
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::new().bytes(bytes).finish()
}

/// A checksum field after one 16-bit word under it changed from `old` to `new` (RFC 1624 eqn. 3).
pub fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // cast: the loop leaves 16 bits
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one's complement sum as RFC 1071 1 describes it.
    fn word_by_word(bytes: &[u8]) -> u16 {
        bytes.chunks(2).fold(0, |sum: u16, word| {
            let word = u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
            let (sum, carry) = sum.overflowing_add(word);
            sum + u16::from(carry)
        })
    }

    #[test]
    fn example_of_rfc_1071() {
        // RFC 1071 section 3: the words sum to 0xddf2 after folding.
        let sum = internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum, !0xddf2);
    }

    #[test]
    fn example_of_rfc_1624() {
        // RFC 1624 section 4.
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn every_length_is_the_sum_of_its_words() {
        let bytes: Vec<u8> = (0..300_u32).map(|i| (i * 151 + 7) as u8).collect();
        for length in 0..=bytes.len() {
            let bytes = &bytes[..length];
            assert_eq!(!internet(bytes), word_by_word(bytes), "{length}");
        }
    }

    #[test]
    fn wide_instructions_change_no_sum() {
        let mut state = 1_u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .take(3008)
        .collect();
        for offset in 0..8 {
            for length in 0..=3000 {
                let bytes = &bytes[offset..offset + length];
                let portable = added(bytes);
                assert_eq!(added_long(bytes), portable, "{length} at {offset}");
                let sum = u16::from_be(folded(portable));
                assert_eq!(!internet(bytes), sum, "{length} at {offset}");
                assert_eq!(sum, word_by_word(bytes), "{length} at {offset}");
            }
        }
    }

    #[test]
    fn nothing_overflows() {
        for length in [65_535, 65_575, 1 << 24] {
            let bytes = vec![0xff; length];
            let sum = u16::from_be(folded(added(&bytes)));
            assert_eq!(sum, word_by_word(&bytes), "{length}");
            assert_eq!(!internet(&bytes), sum, "{length}");
        }
    }

    #[test]
    fn a_sum_of_something_never_folds_to_zero() {
        let ends = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff];
        for (a, b) in ends.into_iter().flat_map(|a| ends.map(|b| (a, b))) {
            for (c, d) in ends.into_iter().flat_map(|c| ends.map(|d| (c, d))) {
                let sum: u64 = a << 48 | b << 32 | c << 16 | d;
                let expected = sum.checked_sub(1).map_or(0, |less| less % 0xffff + 1);
                assert_eq!(u64::from(folded(sum)), expected, "{sum:#x}");
            }
        }
    }

    #[test]
    fn odd_lengths_are_padded() {
        assert_eq!(internet(&[1, 2, 3]), internet(&[1, 2, 3, 0]));
        assert_eq!(internet(&[1, 2, 3, 4, 5]), internet(&[1, 2, 3, 4, 5, 0]));
    }

    #[test]
    fn an_update_equals_a_new_sum() {
        let mut bytes = [0x45, 0, 0, 60, 1, 2, 3, 4, 64, 6];
        let before = internet(&bytes);
        let old = u16::from_be_bytes([bytes[2], bytes[3]]);
        bytes[2..4].copy_from_slice(&1234_u16.to_be_bytes());
        assert_eq!(updated(before, old, 1234), internet(&bytes));
    }
}
