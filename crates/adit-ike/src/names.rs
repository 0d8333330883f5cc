//! Names of algorithms as operators know them.

use adit_crypto::{BlockCipher, Hash};

pub(crate) fn block_cipher(cipher: BlockCipher) -> &'static str {
    match cipher {
        BlockCipher::Aes128 => "AES-CBC-128",
        BlockCipher::Aes192 => "AES-CBC-192",
        BlockCipher::Aes256 => "AES-CBC-256",
        BlockCipher::TripleDes => "3DES",
    }
}

pub(crate) fn hash(hash: Hash) -> &'static str {
    match hash {
        Hash::Md5 => "MD5",
        Hash::Sha1 => "SHA1",
        Hash::Sha2_256 => "SHA2-256",
        Hash::Sha2_384 => "SHA2-384",
        Hash::Sha2_512 => "SHA2-512",
    }
}
