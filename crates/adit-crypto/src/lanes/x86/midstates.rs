//! What an HMAC key comes to (RFC 2104 section 4): two states of the hash, kept as long as the SA.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Hash;

/// The states of a hash after its key's two blocks, the first W words of each. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Midstates {
    #[zeroize(skip)]
    pub(super) hash: Hash,
    pub(super) inner: [u32; 8],
    pub(super) outer: [u32; 8],
}

impl Midstates {
    /// The key with zeros after it, xored with ipad and opad, then hashed (RFC 2104 section 2).
    /// `None` for other hashes, and for keys longer than a block.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        let mut block = Zeroizing::new([[0_u8; 64]; 1]);
        block
            .as_flattened_mut()
            .get_mut(..key.len())?
            .copy_from_slice(key);
        let absorb = |pad: u8| {
            let mut padded = Zeroizing::new(*block);
            for byte in padded.as_flattened_mut() {
                *byte ^= pad;
            }
            match hash {
                Hash::Sha1 => {
                    let mut state = SHA1_START;
                    sha1::block_api::compress(&mut state, padded.as_slice());
                    let [a, b, c, d, e] = state;
                    Some([a, b, c, d, e, 0, 0, 0])
                }
                Hash::Sha2_256 => {
                    let mut state = SHA256_START;
                    sha2::block_api::compress256(&mut state, padded.as_slice());
                    Some(state)
                }
                _ => None,
            }
        };
        Some(Self {
            hash,
            inner: absorb(0x36)?,
            outer: absorb(0x5c)?,
        })
    }
}

const SHA1_START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

const SHA256_START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
