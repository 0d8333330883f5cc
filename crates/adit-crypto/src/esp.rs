//! The algorithms of ESP: what IKE negotiates, what ESP uses and what the MTU is computed from, in
//! one vocabulary.

mod batch;
mod keys;

pub use self::batch::{
    MacParts, PacketMac, SealParts, ToAuthenticate, ToSeal, authenticate_batch, seal_batch,
};
pub use self::keys::{EspKeys, MalformedPacket, VerifyError};

use crate::{BlockCipher, Hash};

/// SPI and sequence number, which every ESP packet starts with (RFC 4303 section 2).
pub(crate) const HEADER_LEN: usize = 8;
/// Pad Length and Next Header.
const TRAILER_LEN: usize = 2;

/// A cipher of ESP. 3DES is legacy. AES-GCM with a 192-bit key is left out: `ring` has none, and no
/// client offers it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EspCipher {
    /// AES-CBC with a 128-bit key (RFC 3602).
    AesCbc128,
    /// AES-CBC with a 192-bit key (RFC 3602).
    AesCbc192,
    /// AES-CBC with a 256-bit key (RFC 3602).
    AesCbc256,
    /// AES-GCM with a 128-bit key and an ICV of 16 bytes (RFC 4106).
    AesGcm128,
    /// AES-GCM with a 256-bit key and an ICV of 16 bytes (RFC 4106).
    AesGcm256,
    /// Triple DES in CBC mode (RFC 2451). Legacy.
    TripleDes,
}

impl EspCipher {
    /// Whether it authenticates by itself, so that no MAC goes with it.
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::AesGcm128 | Self::AesGcm256)
    }

    /// The block cipher of a CBC mode.
    pub(crate) const fn cbc(self) -> Option<BlockCipher> {
        match self {
            Self::AesCbc128 => Some(BlockCipher::Aes128),
            Self::AesCbc192 => Some(BlockCipher::Aes192),
            Self::AesCbc256 => Some(BlockCipher::Aes256),
            Self::TripleDes => Some(BlockCipher::TripleDes),
            Self::AesGcm128 | Self::AesGcm256 => None,
        }
    }

    /// Length of the key in bytes, without the salt of GCM.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCbc128 | Self::AesGcm128 => 16,
            Self::AesCbc192 | Self::TripleDes => 24,
            Self::AesCbc256 | Self::AesGcm256 => 32,
        }
    }

    /// The name in logs and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCbc128 => "AES-CBC-128",
            Self::AesCbc192 => "AES-CBC-192",
            Self::AesCbc256 => "AES-CBC-256",
            Self::AesGcm128 => "AES-GCM-128",
            Self::AesGcm256 => "AES-GCM-256",
            Self::TripleDes => "3DES-CBC",
        }
    }
}

/// A MAC of ESP; the second number is the bits that are sent. HMAC-MD5-96 is legacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EspMac {
    /// HMAC-SHA1-96 (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA2-256-128 (RFC 4868).
    HmacSha2_256_128,
    /// HMAC-SHA2-256 cut at 96 bits, as Android kernels up to 7 have it. Never negotiated: such
    /// peers ask for HMAC-SHA2-256-128 and send this.
    HmacSha2_256_96,
    /// HMAC-SHA2-384-192 (RFC 4868).
    HmacSha2_384_192,
    /// HMAC-SHA2-512-256 (RFC 4868).
    HmacSha2_512_256,
    /// HMAC-MD5-96 (RFC 2403). Legacy.
    HmacMd5_96,
}

impl EspMac {
    /// The hash under the HMAC.
    pub const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1_96 => Hash::Sha1,
            Self::HmacSha2_256_128 | Self::HmacSha2_256_96 => Hash::Sha2_256,
            Self::HmacSha2_384_192 => Hash::Sha2_384,
            Self::HmacSha2_512_256 => Hash::Sha2_512,
            Self::HmacMd5_96 => Hash::Md5,
        }
    }

    /// Length of the key in bytes: that of the hash's output (RFC 2404 section 3, RFC 4868 2.1.1).
    pub const fn key_len(self) -> usize {
        self.hash().len()
    }

    /// Bytes of the MAC that are sent.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 | Self::HmacMd5_96 | Self::HmacSha2_256_96 => 12,
            Self::HmacSha2_256_128 => 16,
            Self::HmacSha2_384_192 => 24,
            Self::HmacSha2_512_256 => 32,
        }
    }

    /// The name in logs and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha1_96 => "HMAC-SHA1-96",
            Self::HmacSha2_256_128 => "HMAC-SHA2-256-128",
            Self::HmacSha2_256_96 => "HMAC-SHA2-256-96",
            Self::HmacSha2_384_192 => "HMAC-SHA2-384-192",
            Self::HmacSha2_512_256 => "HMAC-SHA2-512-256",
            Self::HmacMd5_96 => "HMAC-MD5-96",
        }
    }
}

/// A cipher without a MAC, or AES-GCM with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteMismatch {
    /// Encryption alone protects nothing (RFC 4303 section 7).
    #[error("{} needs a MAC", .0.name())]
    MacMissing(EspCipher),
    /// AES-GCM authenticates by itself (RFC 4106).
    #[error("{} takes no MAC", .0.name())]
    MacUnused(EspCipher),
}

/// A cipher and its MAC: the transform of one security association. There is none without
/// encryption and none without authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EspSuite {
    /// The cipher.
    pub cipher: EspCipher,
    /// The MAC; `None` exactly for AES-GCM.
    pub mac: Option<EspMac>,
}

impl EspSuite {
    /// A suite; every CBC cipher needs a MAC and AES-GCM takes none.
    pub const fn new(cipher: EspCipher, mac: Option<EspMac>) -> Result<Self, SuiteMismatch> {
        match mac {
            None if !cipher.is_aead() => Err(SuiteMismatch::MacMissing(cipher)),
            Some(_) if cipher.is_aead() => Err(SuiteMismatch::MacUnused(cipher)),
            _ => Ok(Self { cipher, mac }),
        }
    }

    /// The algorithm in it that nobody should rely on any more, if there is one.
    pub const fn weakness(self) -> Option<&'static str> {
        match (self.cipher, self.mac) {
            (EspCipher::TripleDes, _) => Some("3DES"),
            (_, Some(EspMac::HmacMd5_96)) => Some("MD5"),
            _ => None,
        }
    }

    /// AES-CBC with HMAC-SHA2-256-128, but with the MAC cut at 96 bits; `None` for any other suite.
    /// The keys are the same. No packet of the one has a length that the other can have.
    pub const fn cut_at_96(self) -> Option<Self> {
        let aes = matches!(
            self.cipher,
            EspCipher::AesCbc128 | EspCipher::AesCbc192 | EspCipher::AesCbc256
        );
        match self.mac {
            Some(EspMac::HmacSha2_256_128) if aes => Some(Self {
                cipher: self.cipher,
                mac: Some(EspMac::HmacSha2_256_96),
            }),
            _ => None,
        }
    }

    /// The suite that is negotiated for this one: uncut, see [`cut_at_96`](Self::cut_at_96).
    pub const fn negotiated(self) -> Self {
        match self.mac {
            Some(EspMac::HmacSha2_256_96) => Self {
                cipher: self.cipher,
                mac: Some(EspMac::HmacSha2_256_128),
            },
            _ => self,
        }
    }

    /// Key material for one direction in bytes: the cipher's key, the 4 bytes of salt for AES-GCM
    /// (RFC 4106 8.1), the MAC's key, in this order.
    pub const fn keymat_len(self) -> usize {
        let salt = if self.cipher.is_aead() { SALT_LEN } else { 0 };
        let mac = match self.mac {
            Some(mac) => mac.key_len(),
            None => 0,
        };
        self.cipher.key_len() + salt + mac
    }

    /// Length of the IV in front of the ciphertext.
    pub const fn iv_len(self) -> usize {
        match self.cipher.cbc() {
            Some(cipher) => cipher.block_len(),
            None => 8,
        }
    }

    /// Length of the ICV at the end of the packet.
    pub const fn icv_len(self) -> usize {
        match self.mac {
            Some(mac) => mac.icv_len(),
            None => 16,
        }
    }

    /// What the encrypted part (payload, padding and trailer) is a multiple of: the cipher's
    /// block, and 4 for AES-GCM (RFC 4303 2.4). A power of two, so that nothing has to be divided for
    /// each packet.
    pub const fn block_len(self) -> usize {
        match self.cipher.cbc() {
            Some(cipher) => cipher.block_len(),
            None => 4,
        }
    }

    /// Length of the whole ESP packet, SPI to ICV, for `payload` bytes: in transport mode the
    /// upper-layer header and its data.
    pub const fn sealed_len(self, payload: usize) -> usize {
        let encrypted = payload
            .saturating_add(TRAILER_LEN)
            .saturating_add(self.padding_len(payload));
        encrypted.saturating_add(self.overhead())
    }

    /// Padding bytes for `payload`, as few as the alignment allows.
    pub const fn padding_len(self, payload: usize) -> usize {
        let trailed = payload.wrapping_add(TRAILER_LEN);
        trailed.wrapping_neg() & (self.block_len() - 1)
    }

    /// Whether a packet, SPI to ICV, can have this length: the encrypted part is whole blocks, at
    /// least one, or 4 bytes for AES-GCM, so that the trailer is always there.
    pub const fn is_packet_len(self, len: usize) -> bool {
        match len.checked_sub(self.overhead()) {
            Some(text) => text >= TRAILER_LEN && text & (self.block_len() - 1) == 0,
            None => false,
        }
    }

    /// The largest payload whose [`sealed_len`](Self::sealed_len) is at most `room`; 0 also if not
    /// even an empty one fits.
    pub const fn max_payload(self, room: usize) -> usize {
        let encrypted = room.saturating_sub(self.overhead());
        let blocks = encrypted - encrypted % self.block_len();
        blocks.saturating_sub(TRAILER_LEN)
    }

    /// "AES-CBC-256/HMAC-SHA1-96", or "AES-GCM-256".
    pub fn name(self) -> String {
        self.to_string()
    }

    /// Header, IV and ICV.
    const fn overhead(self) -> usize {
        HEADER_LEN + self.iv_len() + self.icv_len()
    }
}

/// Bytes of salt that AES-GCM's nonces start with.
const SALT_LEN: usize = 4;

impl std::fmt::Display for EspSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.cipher.name())?;
        match self.mac {
            Some(mac) => write!(f, "/{}", mac.name()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
