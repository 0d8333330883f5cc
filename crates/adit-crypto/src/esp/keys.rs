//! The transforms of ESP over one packet in place: encrypt-then-MAC with a CBC cipher and an HMAC
//! (RFC 4303 3.3.2 and 3.4.4.1), or AES-GCM (RFC 4106).

use std::ops::Range;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{EspCipher, EspSuite, HEADER_LEN, SALT_LEN, TRAILER_LEN};
use crate::{BlockCipher, CbcKey, Digest, Hash, HmacKey, KeyLength};

/// A packet whose length the suite cannot have: too short, or its encrypted part is not whole
/// blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes are no ESP packet of {suite}")]
pub struct MalformedPacket {
    /// The suite.
    pub suite: EspSuite,
    /// Length of the packet.
    pub len: usize,
}

/// Why a received packet was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The length is impossible; nothing was computed.
    #[error(transparent)]
    Malformed(#[from] MalformedPacket),
    /// The ICV is not the packet's: altered, or sent by someone without the key.
    #[error("the integrity check value does not match")]
    IcvMismatch,
}

/// The keys of one direction of a security association, expanded once. Wiped on drop, except for
/// the key schedule inside `ring`.
///
/// Not safe by itself: the caller gives every packet sealed under one key its own counter, and
/// checks for replays before and after [`verify_and_decrypt`](Self::verify_and_decrypt).
pub struct EspKeys {
    suite: EspSuite,
    transform: Transform,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one per SA, and a box would cost the packet path a miss"
)]
enum Transform {
    Cbc {
        key: CbcKey,
        mac: HmacKey,
        /// Makes IVs from counters that nobody without the key can predict (RFC 3602 section 3).
        iv: CbcKey,
    },
    Gcm {
        key: LessSafeKey,
        salt: Zeroizing<[u8; SALT_LEN]>,
    },
}

/// A packet cut into the parts that a transform needs.
struct Parts<'a> {
    header: &'a [u8],
    iv: &'a mut [u8],
    text: &'a mut [u8],
    icv: &'a mut [u8],
}

impl EspKeys {
    /// Expands the key material of one direction: cipher key, salt for AES-GCM, MAC key. Its
    /// length must be [`EspSuite::keymat_len`].
    pub fn new(suite: EspSuite, keymat: &[u8]) -> Result<Self, KeyLength> {
        let wrong = KeyLength {
            expected: suite.keymat_len(),
            actual: keymat.len(),
        };
        if wrong.actual != wrong.expected {
            return Err(wrong);
        }
        let (cipher_key, rest) = keymat
            .split_at_checked(suite.cipher.key_len())
            .ok_or(wrong)?;
        let transform = match (suite.cipher.cbc(), suite.mac) {
            (Some(cipher), Some(mac)) => {
                let seed = Hash::Sha2_256.hmac(keymat, &[b"adit ESP initialization vectors"]);
                let iv_key = seed.get(..16).ok_or(wrong)?;
                Transform::Cbc {
                    key: CbcKey::new(cipher, cipher_key)?,
                    mac: HmacKey::new(mac.hash(), rest),
                    iv: CbcKey::new(BlockCipher::Aes128, iv_key)?,
                }
            }
            _ => {
                let algorithm = match suite.cipher {
                    EspCipher::AesGcm128 => &aead::AES_128_GCM,
                    _ => &aead::AES_256_GCM,
                };
                let key = UnboundKey::new(algorithm, cipher_key).map_err(|_| wrong)?;
                Transform::Gcm {
                    key: LessSafeKey::new(key),
                    salt: Zeroizing::new(*rest.first_chunk().ok_or(wrong)?),
                }
            }
        };
        Ok(Self { suite, transform })
    }

    /// The suite.
    pub fn suite(&self) -> EspSuite {
        self.suite
    }

    /// Goes over to another suite that has the same keys: HMAC-SHA2-256 of the other length. Any
    /// other changes nothing.
    pub fn set_suite(&mut self, suite: EspSuite) {
        if suite.cut_at_96() == Some(self.suite) || self.suite.cut_at_96() == Some(suite) {
            self.suite = suite;
        }
    }

    /// Encrypts a packet in place and fills in its IV and ICV. `packet` is the whole ESP packet:
    /// SPI and sequence number as they will be sent, room for the IV, the payload with padding and
    /// trailer, room for the ICV. No two packets under these keys may have the same `iv_counter`;
    /// with AES-GCM that would give away the authentication key. `high` is the upper half of an
    /// extended sequence number, which is not sent but authenticated; `None` without those.
    pub fn seal(
        &self,
        packet: &mut [u8],
        iv_counter: u64,
        high: Option<u32>,
    ) -> Result<(), MalformedPacket> {
        let malformed = MalformedPacket {
            suite: self.suite,
            len: packet.len(),
        };
        let parts = self.split(packet).ok_or(malformed)?;
        match &self.transform {
            Transform::Cbc { key, mac, iv } => {
                let mut unpredictable = [0; 16];
                for (to, from) in unpredictable.iter_mut().zip(iv_counter.to_be_bytes()) {
                    *to = from;
                }
                iv.encrypt(&[0; 16], &mut unpredictable)
                    .map_err(|_| malformed)?;
                for (to, from) in parts.iv.iter_mut().zip(unpredictable) {
                    *to = from;
                }
                key.encrypt(parts.iv, parts.text).map_err(|_| malformed)?;
                let icv = icv(mac, &parts, high);
                for (to, from) in parts.icv.iter_mut().zip(icv.iter()) {
                    *to = *from;
                }
            }
            Transform::Gcm { key, salt } => {
                for (to, from) in parts.iv.iter_mut().zip(iv_counter.to_be_bytes()) {
                    *to = from;
                }
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce(salt, parts.iv),
                        aad(parts.header, high),
                        parts.text,
                    )
                    .map_err(|_| malformed)?;
                for (to, from) in parts.icv.iter_mut().zip(tag.as_ref()) {
                    *to = *from;
                }
            }
        }
        Ok(())
    }

    /// Verifies the ICV of a received packet in constant time, and only then decrypts it in place.
    /// Returns where its clear text is: payload, padding, Pad Length and Next Header, never empty.
    /// `high` is as for [`seal`](Self::seal). After [`VerifyError::IcvMismatch`] the encrypted part
    /// may have been wiped; after [`VerifyError::Malformed`] the packet is as it was.
    pub fn verify_and_decrypt(
        &self,
        packet: &mut [u8],
        high: Option<u32>,
    ) -> Result<Range<usize>, VerifyError> {
        let malformed = MalformedPacket {
            suite: self.suite,
            len: packet.len(),
        };
        let parts = self.split(packet).ok_or(malformed)?;
        let start = HEADER_LEN + self.suite.iv_len();
        let clear = start..start + parts.text.len();
        match &self.transform {
            Transform::Cbc { key, mac, .. } => {
                let icv = icv(mac, &parts, high);
                let expected = icv.get(..parts.icv.len()).unwrap_or_default();
                if !crate::constant_time_eq(expected, parts.icv) {
                    return Err(VerifyError::IcvMismatch);
                }
                key.decrypt(parts.iv, parts.text).map_err(|_| malformed)?;
            }
            Transform::Gcm { key, salt } => {
                let tag = aead::Tag::try_from(&*parts.icv).map_err(|_| malformed)?;
                key.open_in_place_separate_tag(
                    nonce(salt, parts.iv),
                    aad(parts.header, high),
                    tag,
                    parts.text,
                    0..,
                )
                .map_err(|_| VerifyError::IcvMismatch)?;
            }
        }
        Ok(clear)
    }

    /// Cuts a packet; `None` if it is too short or its encrypted part is not whole blocks. The
    /// shortest has one block, or 4 bytes for AES-GCM, so the trailer is always there.
    fn split<'a>(&self, packet: &'a mut [u8]) -> Option<Parts<'a>> {
        let text_and_icv = packet.len().checked_sub(HEADER_LEN + self.suite.iv_len())?;
        let text_len = text_and_icv.checked_sub(self.suite.icv_len())?;
        if text_len < TRAILER_LEN || !text_len.is_multiple_of(self.suite.block_len()) {
            return None;
        }
        let (header, rest) = packet.split_at_mut_checked(HEADER_LEN)?;
        let (iv, rest) = rest.split_at_mut_checked(self.suite.iv_len())?;
        let (text, icv) = rest.split_at_mut_checked(text_len)?;
        Some(Parts {
            header,
            iv,
            text,
            icv,
        })
    }
}

/// The MAC over a packet. The upper half of an extended sequence number follows it as if it were
/// sent (RFC 4303 2.2.1).
fn icv(mac: &HmacKey, parts: &Parts<'_>, high: Option<u32>) -> Digest {
    let high = high.map(u32::to_be_bytes);
    let high = high.as_ref().map_or(&[][..], |high| high);
    mac.mac(&[parts.header, parts.iv, parts.text, high])
}

/// What AES-GCM authenticates besides the text: SPI and sequence number, 8 bytes, or 12 with an
/// extended one (RFC 4106 section 5).
fn aad(header: &[u8], high: Option<u32>) -> Aad<Authenticated> {
    let high = high.map(u32::to_be_bytes);
    let (spi, low) = header.split_at_checked(4).unwrap_or_default();
    let parts = [spi, high.as_ref().map_or(&[][..], |high| high), low];
    let mut authenticated = Authenticated {
        bytes: [0; 12],
        len: 0,
    };
    for (to, from) in authenticated
        .bytes
        .iter_mut()
        .zip(parts.iter().copied().flatten())
    {
        *to = *from;
        authenticated.len += 1;
    }
    Aad::from(authenticated)
}

struct Authenticated {
    bytes: [u8; 12],
    len: usize,
}

impl AsRef<[u8]> for Authenticated {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Salt and IV (RFC 4106 section 4).
fn nonce(salt: &[u8; SALT_LEN], iv: &[u8]) -> Nonce {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().zip(salt.iter().chain(iv)) {
        *to = *from;
    }
    Nonce::assume_unique_for_key(nonce)
}

impl std::fmt::Debug for EspKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EspKeys")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
