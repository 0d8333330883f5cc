//! The sums of PPP authentication: MS-CHAPv2 (RFC 2759 section 8) and CHAP with MD5 (RFC 1994
//! section 4.1). All of them rest on MD4, MD5 and DES, which is why PPP must run inside ESP only.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use md4::{Digest as _, Md4};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Hash;

/// The NT hash of a password: MD4 over its UTF-16LE form (RFC 2759 8.3). It lets its holder
/// authenticate, so it is as secret as the password. Wiped on drop; compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// Hashes a password. RFC 2759 limits it to 256 characters; nothing here does.
    pub fn of_password(password: &str) -> Self {
        let mut state = Md4::new();
        for unit in password.encode_utf16() {
            state.update(unit.to_le_bytes());
        }
        Self(state.finalize().into())
    }

    /// Takes a stored hash.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The hash, to be stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for NtHash {
    fn eq(&self, other: &Self) -> bool {
        crate::constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for NtHash {}

impl std::fmt::Debug for NtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NtHash(..)")
    }
}

/// ChallengeHash (RFC 2759 8.2). `user` is the name as the peer sent it in its Response, without a
/// domain before a backslash.
pub fn challenge_hash(
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user: &[u8],
) -> [u8; 8] {
    first(&Hash::Sha1.digest(&[peer_challenge, authenticator_challenge, user]))
}

/// The NT-Response for a [`challenge_hash`] (RFC 2759 8.1, 8.5): the challenge encrypted by DES
/// under the three thirds of the zero-padded hash.
pub fn nt_response(nt_hash: &NtHash, challenge: &[u8; 8]) -> [u8; 24] {
    let mut padded = Zeroizing::new([0; 21]);
    for (to, from) in padded.iter_mut().zip(nt_hash.as_bytes()) {
        *to = *from;
    }
    let mut response = [0; 24];
    let (thirds, _) = padded.as_chunks::<7>();
    let (blocks, _) = response.as_chunks_mut::<8>();
    for (key, block) in thirds.iter().zip(blocks) {
        *block = des_encrypt(key, challenge);
    }
    response
}

/// The AuthenticatorResponse, raw: the 20 bytes behind `S=` in hexadecimal (RFC 2759 8.7).
pub fn authenticator_response(
    nt_hash: &NtHash,
    nt_response: &[u8; 24],
    challenge: &[u8; 8],
) -> [u8; 20] {
    const MAGIC_1: &[u8] = b"Magic server to client signing constant";
    const MAGIC_2: &[u8] = b"Pad to make it do more than one iteration";
    let hash_hash = Zeroizing::new(<[u8; 16]>::from(Md4::digest(nt_hash.as_bytes())));
    let digest = Hash::Sha1.digest(&[hash_hash.as_slice(), nt_response, MAGIC_1]);
    first(&Hash::Sha1.digest(&[&digest, challenge, MAGIC_2]))
}

/// The response value of CHAP with MD5 (RFC 1994 4.1): MD5 over identifier, secret and challenge.
pub fn chap_md5(identifier: u8, secret: &[u8], challenge: &[u8]) -> [u8; 16] {
    first(&Hash::Md5.digest(&[&[identifier], secret, challenge]))
}

/// The first bytes of a digest, which callers know to be long enough.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = *from;
    }
    bytes
}

/// DesEncrypt (RFC 2759 8.6): 56 key bits, each seven of them shifted up to leave room for a
/// parity bit that DES ignores.
fn des_encrypt(key: &[u8; 7], clear: &[u8; 8]) -> [u8; 8] {
    let mut bits = Zeroizing::new(0_u64);
    for byte in key {
        *bits = (*bits << 8) | u64::from(*byte);
    }
    let mut spread = Zeroizing::new([0_u8; 8]);
    for byte in spread.iter_mut().rev() {
        // cast: seven bits are kept
        *byte = ((*bits & 0x7f) << 1) as u8;
        *bits >>= 7;
    }
    let mut block = Array::from(*clear);
    Des::new(&Array::from(*spread)).encrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests;
