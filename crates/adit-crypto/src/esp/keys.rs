//! The transforms of ESP over one packet in place: encrypt-then-MAC with a CBC cipher and an HMAC
//! (RFC 4303 3.3.2 and 3.4.4.1), or AES-GCM (RFC 4106).

use std::ops::Range;
use std::sync::Arc;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::batch::PacketMac;
use super::{EspCipher, EspSuite, HEADER_LEN, SALT_LEN};
use crate::lanes::{LaneKeys, prefetch};
use crate::{BlockCipher, CbcKey, Digest, HmacKey, KeyLength};

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

/// The keys of one direction of a security association, expanded once; clones share them. Wiped when
/// the last clone is dropped, except for the key schedule inside `ring`.
///
/// Not safe by itself: the caller gives every packet sealed under one key its own counter, and
/// checks for replays before and after [`verify_and_decrypt`](Self::verify_and_decrypt).
#[derive(Clone)]
pub struct EspKeys {
    suite: EspSuite,
    transform: Transform,
}

/// Which of the two it is can be told without a look at the keys, which are far away where there are many.
#[derive(Clone)]
enum Transform {
    Cbc(Arc<CbcTransform>),
    Gcm(Arc<GcmTransform>),
}

/// AES-GCM.
struct GcmTransform {
    key: LessSafeKey,
    salt: Zeroizing<[u8; SALT_LEN]>,
}

/// A CBC cipher and an HMAC.
pub(super) struct CbcTransform {
    pub(super) key: CbcKey,
    pub(super) mac: HmacKey,
    /// The same two for lanes, where the cipher is AES and the machine has lanes.
    pub(super) lanes: Option<LaneKeys>,
}

/// A packet cut into the parts that a transform needs.
pub(super) struct Parts<'a> {
    pub(super) header: &'a [u8],
    pub(super) iv: &'a mut [u8],
    pub(super) text: &'a mut [u8],
    pub(super) icv: &'a mut [u8],
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
                let is_aes = cipher != BlockCipher::TripleDes;
                Transform::Cbc(Arc::new(CbcTransform {
                    key: CbcKey::new(cipher, cipher_key)?,
                    mac: HmacKey::new(mac.hash(), rest),
                    lanes: is_aes
                        .then(|| LaneKeys::new(cipher_key, mac.hash(), rest))
                        .flatten(),
                }))
            }
            _ => {
                let algorithm = match suite.cipher {
                    EspCipher::AesGcm128 => &aead::AES_128_GCM,
                    _ => &aead::AES_256_GCM,
                };
                let key = UnboundKey::new(algorithm, cipher_key).map_err(|_| wrong)?;
                Transform::Gcm(Arc::new(GcmTransform {
                    key: LessSafeKey::new(key),
                    salt: Zeroizing::new(*rest.first_chunk().ok_or(wrong)?),
                }))
            }
        };
        Ok(Self { suite, transform })
    }

    /// The suite.
    pub fn suite(&self) -> EspSuite {
        self.suite
    }

    /// Whether both are the same keys of the same suite: one a clone of the other.
    pub fn are(&self, other: &Self) -> bool {
        (self.identity(), self.suite) == (other.identity(), other.suite)
    }

    /// Has the keys loaded that a batch of packets will need, see [`prefetch`].
    pub fn prefetch(&self) {
        match &self.transform {
            Transform::Cbc(cbc) => prefetch(&cbc.lanes),
            Transform::Gcm(gcm) => prefetch(&**gcm),
        }
    }

    /// Whether packets of one batch may be worked on side by side.
    pub fn has_lanes(&self) -> bool {
        self.cbc().is_some_and(|cbc| cbc.lanes.is_some())
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
            Transform::Cbc(cbc) => {
                set_counter(parts.iv, iv_counter);
                cbc.encrypt(parts.iv, parts.text).ok_or(malformed)?;
                let icv = icv(&cbc.mac, &parts, high);
                for (to, from) in parts.icv.iter_mut().zip(icv.iter()) {
                    *to = *from;
                }
            }
            Transform::Gcm(gcm) => {
                let GcmTransform { key, salt } = &**gcm;
                *parts.iv.first_chunk_mut().ok_or(malformed)? = iv_counter.to_be_bytes();
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce(salt, parts.iv),
                        aad(parts.header, high),
                        parts.text,
                    )
                    .map_err(|_| malformed)?;
                let icv: &mut [u8; 16] = parts.icv.first_chunk_mut().ok_or(malformed)?;
                *icv = *tag.as_ref().first_chunk().ok_or(malformed)?;
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
        self.verify_and_decrypt_with(packet, high, None)
    }

    /// As [`verify_and_decrypt`](Self::verify_and_decrypt), of a packet whose MAC
    /// [`authenticate_batch`](super::authenticate_batch) may have computed under these keys. It must
    /// not have been altered since. A MAC over anything else than what is to be verified is not
    /// looked at.
    pub fn verify_and_decrypt_with(
        &self,
        packet: &mut [u8],
        high: Option<u32>,
        computed: Option<&PacketMac>,
    ) -> Result<Range<usize>, VerifyError> {
        let malformed = MalformedPacket {
            suite: self.suite,
            len: packet.len(),
        };
        let parts = self.split(packet).ok_or(malformed)?;
        let start = HEADER_LEN + self.suite.iv_len();
        let clear = start..start + parts.text.len();
        match &self.transform {
            Transform::Cbc(cbc) => {
                let computed =
                    computed.and_then(|mac| Some((mac.over(clear.end, high, self)?, mac.lanes())));
                let alone;
                let expected: &[u8] = match computed {
                    Some((mac, _)) => mac,
                    None => {
                        alone = icv(&cbc.mac, &parts, high);
                        &alone
                    }
                };
                let expected = expected.get(..parts.icv.len()).unwrap_or_default();
                if !crate::constant_time_eq(expected, parts.icv) {
                    return Err(VerifyError::IcvMismatch);
                }
                match (computed, &cbc.lanes) {
                    (Some((_, lanes)), Some(keys)) => {
                        let iv = parts.iv.first_chunk().ok_or(malformed)?;
                        lanes.cbc_decrypt(keys, iv, parts.text.as_chunks_mut().0);
                    }
                    _ => cbc
                        .key
                        .decrypt(parts.iv, parts.text)
                        .map_err(|_| malformed)?,
                }
            }
            Transform::Gcm(gcm) => {
                let GcmTransform { key, salt } = &**gcm;
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

    /// The transform, if it is a CBC cipher with an HMAC.
    pub(super) fn cbc(&self) -> Option<&CbcTransform> {
        match &self.transform {
            Transform::Cbc(cbc) => Some(cbc),
            Transform::Gcm(_) => None,
        }
    }

    /// Tells keys apart, while they exist.
    pub(super) fn identity(&self) -> usize {
        match &self.transform {
            Transform::Cbc(cbc) => Arc::as_ptr(cbc).addr(),
            Transform::Gcm(gcm) => Arc::as_ptr(gcm).addr(),
        }
    }

    /// Bytes of a packet that its MAC is over, all but the ICV; `None` if it is malformed.
    pub(super) fn covered(&self, packet: &[u8]) -> Option<usize> {
        let well_formed = self.suite.is_packet_len(packet.len());
        well_formed.then(|| packet.len() - self.suite.icv_len())
    }

    /// Whether a packet is one of the suite.
    pub(super) fn check(&self, packet: &[u8]) -> Result<(), MalformedPacket> {
        self.covered(packet).map(|_| ()).ok_or(MalformedPacket {
            suite: self.suite,
            len: packet.len(),
        })
    }

    /// Cuts a packet; `None` if it is malformed.
    pub(super) fn split<'a>(&self, packet: &'a mut [u8]) -> Option<Parts<'a>> {
        let covered = self.covered(packet)?;
        let (header, rest) = packet.split_at_mut_checked(HEADER_LEN)?;
        let (iv, rest) = rest.split_at_mut_checked(self.suite.iv_len())?;
        let (text, icv) = rest.split_at_mut_checked(covered - HEADER_LEN - self.suite.iv_len())?;
        Some(Parts {
            header,
            iv,
            text,
            icv,
        })
    }
}

impl CbcTransform {
    /// Makes the IV, in whose place its [counter](set_counter) is, and encrypts the text; `None` if
    /// that is not whole blocks.
    pub(super) fn encrypt(&self, iv: &mut [u8], text: &mut [u8]) -> Option<()> {
        let zeros = [0; 16];
        self.key.encrypt(zeros.get(..iv.len())?, iv).ok()?;
        self.key.encrypt(iv, text).ok()
    }
}

/// Puts into the place of an IV what it is made of: encrypted under the key of the text, a counter
/// is an IV that nobody without the key can predict (NIST SP 800-38A appendix C, RFC 3602 section 3).
pub(super) fn set_counter(iv: &mut [u8], counter: u64) {
    iv.fill(0);
    for (to, from) in iv.iter_mut().zip(counter.to_be_bytes()) {
        *to = from;
    }
}

/// The MAC over a packet. The upper half of an extended sequence number follows it as if it were
/// sent (RFC 4303 2.2.1).
pub(super) fn icv(mac: &HmacKey, parts: &Parts<'_>, high: Option<u32>) -> Digest {
    let high = high.map(u32::to_be_bytes);
    let high = high.as_ref().map_or(&[][..], |high| high);
    mac.mac(&[parts.header, parts.iv, parts.text, high])
}

/// What AES-GCM authenticates besides the text: SPI and sequence number, 8 bytes, or 12 with an
/// extended one (RFC 4106 section 5).
fn aad(header: &[u8], high: Option<u32>) -> Aad<Authenticated> {
    let header = header.first_chunk().copied().unwrap_or_default();
    let [a, b, c, d, e, f, g, h] = header;
    Aad::from(match high.map(u32::to_be_bytes) {
        None => Authenticated {
            bytes: [a, b, c, d, e, f, g, h, 0, 0, 0, 0],
            len: HEADER_LEN,
        },
        Some([i, j, k, l]) => Authenticated {
            bytes: [a, b, c, d, i, j, k, l, e, f, g, h],
            len: HEADER_LEN + 4,
        },
    })
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
    let [a, b, c, d] = *salt;
    let [e, f, g, h, i, j, k, l] = iv.first_chunk().copied().unwrap_or_default();
    Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
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
