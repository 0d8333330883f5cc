//! Ciphers, MACs, PRFs, Diffie-Hellman groups, signatures and the MS-CHAPv2 sums behind small types.
//!
//! Holds the algorithms that IKEv1 (RFC 2409), ESP (RFC 4303) and PPP authentication (RFC 1994,
//! RFC 2759) name, and nothing of those protocols' state. It must never read a clock or ambient
//! randomness, branch on a secret, or show one in `Debug` output. Which of its algorithms are good
//! enough is decided by the configuration: those called legacy here are present because old
//! clients know nothing better.

mod cbc;
mod dh;
mod esp;
mod hash;
mod lanes;
pub mod ppp;
mod rng;
pub mod sign;

pub use self::cbc::{BlockAlignment, BlockCipher, CbcKey};
pub use self::dh::{BadPublicValue, Group, PrivateValue, SharedSecret};
pub use self::esp::{
    EspCipher, EspKeys, EspMac, EspSuite, MacParts, MalformedPacket, PacketMac, SealParts,
    SuiteMismatch, ToAuthenticate, ToSeal, VerifyError, authenticate_batch, seal_batch,
};
pub use self::hash::{Digest, Hash, HmacKey};
pub use self::lanes::{Kernel, prefetch};
pub use self::rng::Rng;

/// A key whose length is not the algorithm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of {actual} bytes where {expected} are needed")]
pub struct KeyLength {
    /// Bytes that the algorithm needs.
    pub expected: usize,
    /// Bytes that were given.
    pub actual: usize,
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    // Word by word: each comparison hides itself from the compiler, which has its price.
    let words = a_words.iter().zip(b_words);
    let words = words.map(|(a, b)| u32::from_ne_bytes(*a).ct_eq(&u32::from_ne_bytes(*b)));
    let rest = (a.len() == b.len()).then(|| a_rest.ct_eq(b_rest));
    rest.is_some_and(|rest| words.fold(rest, |all, equal| all & equal).into())
}

#[cfg(test)]
mod tests {
    use super::constant_time_eq;

    #[test]
    fn equal_is_what_differs_in_no_byte_and_not_in_length() {
        for len in 0..20_u8 {
            let bytes: Vec<u8> = (0..len).collect();
            assert!(constant_time_eq(&bytes, &bytes.clone()));
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                assert!(!constant_time_eq(&bytes, &other), "{len} {at}");
                assert!(!constant_time_eq(&bytes, &bytes[..at]), "{len} {at}");
                assert!(!constant_time_eq(&bytes[..at], &bytes), "{len} {at}");
            }
        }
    }
}
