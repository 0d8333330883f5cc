//! Encryption of messages and the chains of their initialization vectors, RFC 2409 Appendix B.

use adit_crypto::{BlockCipher, CbcKey, Hash, KeyLength};

use crate::codec::DecodeError;

/// An initialization vector: the last block of the message before, or a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Iv {
    bytes: [u8; 16],
    len: usize,
}

impl Iv {
    fn new(cipher: BlockCipher, source: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(source) {
            *to = *from;
        }
        Self {
            bytes,
            len: cipher.block_len(),
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The cipher of one ISAKMP SA.
pub(crate) struct Crypt {
    cipher: BlockCipher,
    hash: Hash,
    key: CbcKey,
}

impl Crypt {
    pub(crate) fn new(cipher: BlockCipher, hash: Hash, key: &[u8]) -> Result<Self, KeyLength> {
        Ok(Self {
            cipher,
            hash,
            key: CbcKey::new(cipher, key)?,
        })
    }

    /// The first IV of phase 1: a hash over both public values, initiator's first.
    pub(crate) fn phase1_iv(&self, public_i: &[u8], public_r: &[u8]) -> Iv {
        Iv::new(self.cipher, &self.hash.digest(&[public_i, public_r]))
    }

    /// The first IV of an exchange of phase 2: a hash over the last IV of phase 1 and the message
    /// ID.
    pub(crate) fn phase2_iv(&self, last: &Iv, message_id: u32) -> Iv {
        let id = message_id.to_be_bytes();
        Iv::new(self.cipher, &self.hash.digest(&[last.as_slice(), &id]))
    }

    /// Pads with zeros to whole blocks and encrypts; with the IV of the next message.
    pub(crate) fn seal(&self, iv: &Iv, body: &[u8]) -> (Vec<u8>, Iv) {
        let block = self.cipher.block_len();
        let mut out = body.to_vec();
        out.resize(body.len().next_multiple_of(block), 0);
        // The length is a multiple of the block by construction, so this cannot fail.
        let sealed = self.key.encrypt(iv.as_slice(), &mut out);
        debug_assert!(sealed.is_ok());
        let next = self.last_block(&out);
        (out, next)
    }

    /// Decrypts; with the IV of the next message.
    pub(crate) fn open(&self, iv: &Iv, body: &[u8]) -> Result<(Vec<u8>, Iv), DecodeError> {
        let wrong = || DecodeError::Blocks(body.len());
        if body.is_empty() {
            return Err(wrong());
        }
        let mut out = body.to_vec();
        self.key
            .decrypt(iv.as_slice(), &mut out)
            .map_err(|_| wrong())?;
        Ok((out, self.last_block(body)))
    }

    fn last_block(&self, sealed: &[u8]) -> Iv {
        let at = sealed.len().saturating_sub(self.cipher.block_len());
        Iv::new(self.cipher, sealed.get(at..).unwrap_or_default())
    }
}
