//! The keys of phase 1 (RFC 2409 section 5), and finding the pre-shared key of a peer that tells
//! who it is only under that key.

use std::sync::Arc;

use adit_crypto::{Digest, SharedSecret};

use super::Negotiation;
use crate::authentication::Authentication;
use crate::codec::{DecodeError, Header, IdValue};
use crate::credentials::{Psk, is_for};
use crate::crypt::Crypt;
use crate::error::Error;
use crate::exchange::Keys;
use crate::keys;
use crate::machine::IkeSa;
use crate::phase1::identity::Said;

/// Longest message 5 that is read under a pre-shared key.
const MAX_MESSAGE_5: usize = 4096;

/// A pre-shared key that may be the peer's, with what follows from it.
pub(crate) struct Candidate {
    identity: Option<IdValue>,
    psk: Arc<Psk>,
    pub(crate) keys: Keys,
}

impl Negotiation {
    fn keys(&self, root: Digest, shared: &[u8], cookies: &[u8; 16]) -> Option<Keys> {
        let proposal = self.proposal?;
        let skeyid = keys::skeyid(proposal.hash, root, shared, cookies);
        let key = keys::cipher_key(proposal.hash, &skeyid.e, proposal.cipher);
        // The key was made to the cipher's length, so this cannot fail.
        let crypt = Crypt::new(proposal.cipher, proposal.hash, &key).ok()?;
        let iv = crypt.phase1_iv(&self.public_i, &self.public_r);
        Some(Keys {
            prf: proposal.hash,
            skeyid,
            crypt,
            iv,
        })
    }

    /// SKEYID by the method that was chosen; with a pre-shared key by this one.
    fn root(&self, psk: &[u8], shared: &[u8]) -> Option<Digest> {
        let prf = self.proposal?.hash;
        let nonces = (self.nonce_i.as_slice(), self.nonce_r.as_slice());
        Some(match self.authentication {
            Authentication::PreSharedKey => keys::of_psk(prf, psk, nonces),
            Authentication::Signature(_) => keys::of_signature(prf, nonces, shared),
        })
    }
}

impl IkeSa {
    /// Derives the keys, where there is but one way to do it.
    pub(super) fn derive(&mut self, shared: &SharedSecret) {
        let cookies = self.both_cookies();
        let Some(negotiation) = &self.negotiation else {
            return;
        };
        let psk = negotiation.psk.as_ref();
        let psk = psk.map_or(&[][..], |psk| psk.as_bytes());
        self.keys = negotiation
            .root(psk, shared)
            .and_then(|root| negotiation.keys(root, shared, &cookies))
            .map(Box::new);
    }

    /// Derives the keys of every candidate, which is a handful of HMACs beside a Diffie-Hellman.
    pub(super) fn derive_candidates(&mut self, shared: &SharedSecret) {
        let cookies = self.both_cookies();
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        let mut candidates = Vec::new();
        for psk in self.credentials.candidates() {
            let root = negotiation.root(psk.key.as_bytes(), shared);
            let keys = root.and_then(|root| negotiation.keys(root, shared, &cookies));
            candidates.extend(keys.map(|keys| Candidate {
                identity: psk.identity.clone(),
                psk: Arc::clone(&psk.key),
                keys,
            }));
        }
        negotiation.candidates = candidates;
    }

    /// Reads message 5 under the candidate that it was made with, and makes that the key in use.
    ///
    /// All candidates are tried, whichever fits, so that the time tells nothing of their order.
    /// What a forged message costs is bounded: for each of at most `MAX_PSKS` candidates one
    /// decryption of at most `MAX_MESSAGE_5` bytes and, if what comes out is a chain of payloads,
    /// one HMAC. That is less than the Diffie-Hellman that its sender has paid for already.
    pub(super) fn open_with_candidates(
        &mut self,
        header: &Header,
        message: &[u8],
    ) -> Result<Said, Error> {
        if header.length > MAX_MESSAGE_5 {
            return Err(DecodeError::TooMany {
                what: "bytes in message 5",
                limit: MAX_MESSAGE_5,
            }
            .into());
        }
        let Some(negotiation) = &self.negotiation else {
            return Err(Error::Closed);
        };
        let mut found = None;
        let mut failure = Error::NotAuthentic("there is no pre-shared key");
        for (at, candidate) in negotiation.candidates.iter().enumerate() {
            match self.open_identity(&candidate.keys, header, message) {
                Ok(said) if !is_for(candidate.identity.as_ref(), &said.id) => {
                    failure = Error::NotAuthentic("the pre-shared key is for another identity");
                }
                Ok(said) => found = found.or(Some((at, said))),
                // Under a wrong key nothing can be read, which says less than a wrong hash.
                Err(error @ Error::Malformed(_)) if at == 0 => failure = error,
                Err(Error::Malformed(_)) => {}
                Err(error) => failure = error,
            }
        }
        let (at, said) = found.ok_or(failure)?;
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let candidate = negotiation.candidates.swap_remove(at);
        negotiation.candidates.clear();
        negotiation.psk = Some(candidate.psk);
        self.keys = Some(Box::new(candidate.keys));
        Ok(said)
    }
}
