//! Block ciphers in CBC mode (NIST SP 800-38A; RFC 3602 for AES, RFC 2451 for 3DES), in place and
//! without padding: whole blocks in, whole blocks out. Nothing here authenticates.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt,
    BlockSizeUser, InnerIvInit, KeyInit,
};
use cbc::{Decryptor, Encryptor};
use des::TdesEde3;

use crate::KeyLength;

/// A block cipher of IKE and ESP. 3DES is legacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockCipher {
    /// AES with a 128-bit key.
    Aes128,
    /// AES with a 192-bit key.
    Aes192,
    /// AES with a 256-bit key.
    Aes256,
    /// Three-key triple DES (EDE). Legacy: slow, and its blocks of 64 bits repeat after some
    /// gigabytes.
    TripleDes,
}

impl BlockCipher {
    /// Length of a block, and of the IV, in bytes.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::TripleDes => 8,
        }
    }

    /// Length of a key in bytes; for 3DES with the parity bits, which nothing looks at.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }
}

impl std::fmt::Display for BlockCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Aes128 => "AES-CBC-128",
            Self::Aes192 => "AES-CBC-192",
            Self::Aes256 => "AES-CBC-256",
            Self::TripleDes => "3DES",
        })
    }
}

/// Data that is not whole blocks, or an IV that is not one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an IV of {iv} and data of {data} bytes for a cipher with blocks of {block}")]
pub struct BlockAlignment {
    /// Bytes in a block of the cipher.
    pub block: usize,
    /// Length of the IV given.
    pub iv: usize,
    /// Length of the data given.
    pub data: usize,
}

/// A key for a block cipher in CBC mode, expanded once. Wiped on drop.
pub struct CbcKey(Expanded);

enum Expanded {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
    TripleDes(TdesEde3),
}

impl CbcKey {
    /// Expands `key`, which must have the cipher's [`key_len`](BlockCipher::key_len).
    pub fn new(cipher: BlockCipher, key: &[u8]) -> Result<Self, KeyLength> {
        fn expand<C: KeyInit>(cipher: BlockCipher, key: &[u8]) -> Result<C, KeyLength> {
            C::new_from_slice(key).map_err(|_| KeyLength {
                expected: cipher.key_len(),
                actual: key.len(),
            })
        }
        Ok(Self(match cipher {
            BlockCipher::Aes128 => Expanded::Aes128(expand(cipher, key)?),
            BlockCipher::Aes192 => Expanded::Aes192(expand(cipher, key)?),
            BlockCipher::Aes256 => Expanded::Aes256(expand(cipher, key)?),
            BlockCipher::TripleDes => Expanded::TripleDes(expand(cipher, key)?),
        }))
    }

    /// The cipher.
    pub fn cipher(&self) -> BlockCipher {
        match self.0 {
            Expanded::Aes128(_) => BlockCipher::Aes128,
            Expanded::Aes192(_) => BlockCipher::Aes192,
            Expanded::Aes256(_) => BlockCipher::Aes256,
            Expanded::TripleDes(_) => BlockCipher::TripleDes,
        }
    }

    /// Encrypts `data` in place. On an error it is left as it was.
    pub fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), BlockAlignment> {
        match &self.0 {
            Expanded::Aes128(key) => encrypt(key, iv, data),
            Expanded::Aes192(key) => encrypt(key, iv, data),
            Expanded::Aes256(key) => encrypt(key, iv, data),
            Expanded::TripleDes(key) => encrypt(key, iv, data),
        }
    }

    /// Decrypts `data` in place. On an error it is left as it was.
    pub fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), BlockAlignment> {
        match &self.0 {
            Expanded::Aes128(key) => decrypt(key, iv, data),
            Expanded::Aes192(key) => decrypt(key, iv, data),
            Expanded::Aes256(key) => decrypt(key, iv, data),
            Expanded::TripleDes(key) => decrypt(key, iv, data),
        }
    }
}

impl std::fmt::Debug for CbcKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CbcKey")
            .field("cipher", &self.cipher())
            .finish_non_exhaustive()
    }
}

fn misaligned<C: BlockSizeUser>(iv: &[u8], data: &[u8]) -> BlockAlignment {
    BlockAlignment {
        block: C::block_size(),
        iv: iv.len(),
        data: data.len(),
    }
}

fn encrypt<C: BlockCipherEncrypt>(
    cipher: &C,
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), BlockAlignment> {
    let error = misaligned::<C>(iv, data);
    let (blocks, []) = Array::<u8, C::BlockSize>::slice_as_chunks_mut(data) else {
        return Err(error);
    };
    let mut mode = Encryptor::<&C>::inner_iv_slice_init(cipher, iv).map_err(|_| error)?;
    mode.encrypt_blocks(blocks);
    Ok(())
}

fn decrypt<C: BlockCipherDecrypt>(
    cipher: &C,
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), BlockAlignment> {
    let error = misaligned::<C>(iv, data);
    let (blocks, []) = Array::<u8, C::BlockSize>::slice_as_chunks_mut(data) else {
        return Err(error);
    };
    let mut mode = Decryptor::<&C>::inner_iv_slice_init(cipher, iv).map_err(|_| error)?;
    mode.decrypt_blocks(blocks);
    Ok(())
}

#[cfg(test)]
mod tests;
