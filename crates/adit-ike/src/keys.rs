//! Keys of phase 1 and phase 2: RFC 2409 section 5 (SKEYID and its children), section 5.5 (KEYMAT)
//! and Appendix B (cipher keys longer than the PRF's output).

use adit_crypto::{BlockCipher, Digest, Hash};
use zeroize::Zeroizing;

/// SKEYID and what is derived from it.
#[derive(Clone)]
pub(crate) struct Skeyid {
    /// Authenticates phase 1.
    pub(crate) root: Digest,
    /// Derives the keys of other SAs.
    pub(crate) d: Digest,
    /// Authenticates phase 2.
    pub(crate) a: Digest,
    /// Encrypts.
    pub(crate) e: Digest,
}

/// SKEYID for pre-shared keys (RFC 2409 section 5.4).
pub(crate) fn of_psk(prf: Hash, psk: &[u8], nonces: (&[u8], &[u8])) -> Digest {
    prf.hmac(psk, &[nonces.0, nonces.1])
}

/// SKEYID for signatures (RFC 2409 section 5.1).
pub(crate) fn of_signature(prf: Hash, nonces: (&[u8], &[u8]), shared: &[u8]) -> Digest {
    prf.hmac(&[nonces.0, nonces.1].concat(), &[shared])
}

/// SKEYID with its three children over g^xy and the cookies.
pub(crate) fn skeyid(prf: Hash, root: Digest, shared: &[u8], cookies: &[u8; 16]) -> Skeyid {
    let d = prf.hmac(&root, &[shared, cookies, &[0]]);
    let a = prf.hmac(&root, &[&d, shared, cookies, &[1]]);
    let e = prf.hmac(&root, &[&a, shared, cookies, &[2]]);
    Skeyid { root, d, a, e }
}

/// The cipher's key: the front of SKEYID_e, or of Ka if that is too short (Appendix B).
pub(crate) fn cipher_key(prf: Hash, e: &[u8], cipher: BlockCipher) -> Zeroizing<Vec<u8>> {
    let wanted = cipher.key_len();
    if e.len() >= wanted {
        return Zeroizing::new(e.iter().copied().take(wanted).collect());
    }
    expand(wanted, |previous| match previous {
        None => prf.hmac(e, &[&[0]]),
        Some(k) => prf.hmac(e, &[k]),
    })
}

/// KEYMAT for one SA: the end that receives on `spi`. `shared` is g(qm)^xy with perfect forward
/// secrecy, else empty.
pub(crate) fn keymat(
    prf: Hash,
    d: &[u8],
    shared: &[u8],
    (protocol, spi): (u8, u32),
    nonces: (&[u8], &[u8]),
    wanted: usize,
) -> Zeroizing<Vec<u8>> {
    let spi = spi.to_be_bytes();
    let protocol = [protocol];
    expand(wanted, |previous| {
        let previous = previous.unwrap_or_default();
        let parts = [previous, shared, &protocol, &spi, nonces.0, nonces.1];
        prf.hmac(d, &parts)
    })
}

/// K1 | K2 | … cut to `wanted` bytes, each made from the one before.
fn expand(wanted: usize, next: impl Fn(Option<&[u8]>) -> Digest) -> Zeroizing<Vec<u8>> {
    let mut block = next(None);
    // Reserved at once: growing would leave copies behind that nobody wipes.
    let mut out = Zeroizing::new(Vec::with_capacity(wanted.saturating_add(block.len())));
    loop {
        out.extend_from_slice(&block);
        if out.len() >= wanted {
            out.truncate(wanted);
            return out;
        }
        block = next(Some(&block));
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
