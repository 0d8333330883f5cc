//! What the crates below us do when they are called one packet at a time, with nothing around them.

#![allow(
    unreachable_pub,
    clippy::indexing_slicing,
    reason = "a benchmark's own packets, of lengths that it chose"
)]

use adit_crypto::{EspMac, EspSuite};
use aes::{Aes128, Aes256};
use cbc::cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;
use sha2::Sha256;

/// AES-256-CBC with an HMAC of SHA-1 or SHA2-256, or AES-256-GCM.
pub enum Bare {
    Sha1(Cbc<Hmac<Sha1>>),
    Sha256(Cbc<Hmac<Sha256>>),
    Gcm(LessSafeKey),
}

pub struct Cbc<M> {
    key: Aes256,
    mac: M,
    iv: Aes128,
    icv_len: usize,
}

const IV: std::ops::Range<usize> = 8..24;
/// SPI, sequence number and the IV of AES-GCM.
const GCM_FRONT: usize = 16;
const GCM_ICV: usize = 16;

impl Bare {
    pub fn new(suite: EspSuite, keymat: &[u8]) -> Self {
        let (key, rest) = keymat.split_at(32);
        match suite.mac {
            None => Self::Gcm(LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, key).unwrap(),
            )),
            Some(EspMac::HmacSha1_96) => Self::Sha1(Cbc::new(suite, key, rest)),
            Some(_) => Self::Sha256(Cbc::new(suite, key, rest)),
        }
    }

    pub fn seal(&self, packet: &mut [u8], counter: u64) {
        match self {
            Self::Sha1(keys) => keys.seal(packet, counter),
            Self::Sha256(keys) => keys.seal(packet, counter),
            Self::Gcm(key) => {
                let (front, rest) = packet.split_at_mut(GCM_FRONT);
                front[8..].copy_from_slice(&counter.to_be_bytes());
                let (text, icv) = rest.split_at_mut(rest.len() - GCM_ICV);
                let tag = key
                    .seal_in_place_separate_tag(nonce(front), Aad::from(&front[..8]), text)
                    .unwrap();
                icv.copy_from_slice(tag.as_ref());
            }
        }
    }

    pub fn open(&self, packet: &mut [u8]) -> bool {
        match self {
            Self::Sha1(keys) => keys.open(packet),
            Self::Sha256(keys) => keys.open(packet),
            Self::Gcm(key) => {
                let (front, rest) = packet.split_at_mut(GCM_FRONT);
                let (text, icv) = rest.split_at_mut(rest.len() - GCM_ICV);
                let tag = Tag::try_from(&*icv).unwrap();
                let aad = Aad::from(&front[..8]);
                key.open_in_place_separate_tag(nonce(front), aad, tag, text, 0..)
                    .is_ok()
            }
        }
    }
}

/// The first four bytes of the benchmarks' salt are those of their keys.
fn nonce(front: &[u8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&[32, 33, 34, 35].map(|i: u8| i.wrapping_mul(7)));
    nonce[4..].copy_from_slice(&front[8..16]);
    Nonce::assume_unique_for_key(nonce)
}

impl<M: Mac + KeyInit + Clone> Cbc<M> {
    fn new(suite: EspSuite, key: &[u8], mac_key: &[u8]) -> Self {
        Self {
            key: Aes256::new_from_slice(key).unwrap(),
            mac: <M as KeyInit>::new_from_slice(mac_key).unwrap(),
            iv: Aes128::new_from_slice(&key[..16]).unwrap(),
            icv_len: suite.icv_len(),
        }
    }

    fn seal(&self, packet: &mut [u8], counter: u64) {
        let (covered, icv) = packet.split_at_mut(packet.len() - self.icv_len);
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&counter.to_be_bytes());
        let mut iv = Array(iv);
        self.iv.encrypt_block(&mut iv);
        covered[IV].copy_from_slice(&iv);
        let (blocks, _) = Array::slice_as_chunks_mut(&mut covered[IV.end..]);
        cbc::Encryptor::inner_iv_init(&self.key, &iv).encrypt_blocks(blocks);
        let mut mac = self.mac.clone();
        mac.update(covered);
        let mac = mac.finalize().into_bytes();
        icv.copy_from_slice(&mac[..icv.len()]);
    }

    fn open(&self, packet: &mut [u8]) -> bool {
        let (covered, icv) = packet.split_at_mut(packet.len() - self.icv_len);
        let mut mac = self.mac.clone();
        mac.update(covered);
        if mac.verify_truncated_left(icv).is_err() {
            return false;
        }
        let (front, text) = covered.split_at_mut(IV.end);
        let (blocks, _) = Array::slice_as_chunks_mut(text);
        cbc::Decryptor::inner_iv_slice_init(&self.key, &front[IV])
            .unwrap()
            .decrypt_blocks(blocks);
        true
    }
}
