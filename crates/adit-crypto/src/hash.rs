//! Hash algorithms and the HMACs over them (RFC 2104): the PRFs of IKEv1 and the MACs of ESP.
//! A key's two midstates are kept, so that each MAC costs no key schedule.

use std::ops::Deref;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A hash algorithm. MD5 is legacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// MD5 (RFC 1321). Legacy: HMAC-MD5 still stands, the plain hash does not.
    Md5,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA2-256 (FIPS 180-4).
    Sha2_256,
    /// SHA2-384 (FIPS 180-4).
    Sha2_384,
    /// SHA2-512 (FIPS 180-4).
    Sha2_512,
}

impl Hash {
    /// Length of the output in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no hash has an empty output")]
    pub const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha2_256 => 32,
            Self::Sha2_384 => 48,
            Self::Sha2_512 => 64,
        }
    }

    /// The hash of all `parts` one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        fn run<D: sha2::Digest>(parts: &[&[u8]]) -> Digest {
            let mut state = D::new();
            for part in parts {
                state.update(part);
            }
            Digest::take(&mut state.finalize())
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha1 => run::<Sha1>(parts),
            Self::Sha2_256 => run::<Sha256>(parts),
            Self::Sha2_384 => run::<Sha384>(parts),
            Self::Sha2_512 => run::<Sha512>(parts),
        }
    }

    /// The HMAC of all `parts` one after the other, under a key of any length. For many MACs under
    /// one key, make an [`HmacKey`].
    pub fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Digest {
        HmacKey::new(self, key).mac(parts)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha2_256 => "SHA2-256",
            Self::Sha2_384 => "SHA2-384",
            Self::Sha2_512 => "SHA2-512",
        })
    }
}

/// A key for HMAC, with its midstates computed.
#[derive(Clone)]
pub struct HmacKey(Keyed);

#[derive(Clone)]
enum Keyed {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha2_256(Hmac<Sha256>),
    Sha2_384(Hmac<Sha384>),
    Sha2_512(Hmac<Sha512>),
}

impl HmacKey {
    /// Takes a key of any length, also none (RFC 2104 section 2).
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        fn keyed<M: KeyInit>(key: &[u8]) -> M {
            M::new_from_slice(key).expect("any length is a key")
        }
        Self(match hash {
            Hash::Md5 => Keyed::Md5(keyed(key)),
            Hash::Sha1 => Keyed::Sha1(keyed(key)),
            Hash::Sha2_256 => Keyed::Sha2_256(keyed(key)),
            Hash::Sha2_384 => Keyed::Sha2_384(keyed(key)),
            Hash::Sha2_512 => Keyed::Sha2_512(keyed(key)),
        })
    }

    /// The hash algorithm.
    pub fn hash(&self) -> Hash {
        match self.0 {
            Keyed::Md5(_) => Hash::Md5,
            Keyed::Sha1(_) => Hash::Sha1,
            Keyed::Sha2_256(_) => Hash::Sha2_256,
            Keyed::Sha2_384(_) => Hash::Sha2_384,
            Keyed::Sha2_512(_) => Hash::Sha2_512,
        }
    }

    /// The MAC of all `parts` one after the other.
    pub fn mac(&self, parts: &[&[u8]]) -> Digest {
        fn run<M: Mac + Clone>(keyed: &M, parts: &[&[u8]]) -> Digest {
            let mut state = keyed.clone();
            for part in parts {
                state.update(part);
            }
            Digest::take(&mut state.finalize().into_bytes())
        }
        match &self.0 {
            Keyed::Md5(keyed) => run(keyed, parts),
            Keyed::Sha1(keyed) => run(keyed, parts),
            Keyed::Sha2_256(keyed) => run(keyed, parts),
            Keyed::Sha2_384(keyed) => run(keyed, parts),
            Keyed::Sha2_512(keyed) => run(keyed, parts),
        }
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HmacKey")
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}

/// The output of a hash or an HMAC: up to 64 bytes that are compared in constant time, wiped on
/// drop and not shown by `Debug`, since most of them are keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl Digest {
    /// Moves the output of a hash in, and wipes where it was.
    fn take(output: &mut [u8]) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(output.iter()) {
            *to = *from;
        }
        let len = output.len().min(bytes.len());
        output.zeroize();
        Self { bytes, len }
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        crate::constant_time_eq(self, other)
    }
}

impl Eq for Digest {}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests;
