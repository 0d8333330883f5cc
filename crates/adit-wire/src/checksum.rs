//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use std::net::IpAddr;

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
        // Added as they lie in memory: the order of bytes changes that of the sum's own bytes only (RFC
        // 1071 2 B), and without a swap the processor adds several words at once.
        let (words, rest) = bytes.as_chunks::<4>();
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let words = words
            .iter()
            .map(|word| u64::from(u32::from_ne_bytes(*word)));
        let sum = words.sum::<u64>() + u64::from(u32::from_ne_bytes(last));
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

/// The one's complement sum of the 16-bit words of a sum.
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // cast: the loop leaves 16 bits
    sum as u16
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
            let words = bytes[..length].chunks(2);
            let words =
                words.map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |b| (*b).into()));
            let mut sum: u32 = words.sum();
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            assert_eq!(u32::from(!internet(&bytes[..length])), sum, "{length}");
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
