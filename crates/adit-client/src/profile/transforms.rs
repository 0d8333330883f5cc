//! Short names for what profiles list.

use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Group, Hash};
use adit_ike::{EspTransform, Phase1Proposal, Phase1Transform};

pub(super) use adit_crypto::BlockCipher::{Aes128, Aes256, TripleDes};
pub(super) use adit_crypto::EspCipher::{AesCbc128, AesCbc192, AesCbc256, AesGcm128};
pub(super) use adit_crypto::EspMac::{HmacMd5_96, HmacSha1_96, HmacSha2_256_128};
pub(super) use adit_crypto::Group::{Ecp256, Ecp384, Modp1024, Modp1536, Modp2048, Modp3072};
pub(super) use adit_crypto::Hash::{Md5, Sha1, Sha2_256, Sha2_512};

/// ESP with 3DES, whose name is that of the phase 1 cipher.
pub(super) const ESP_3DES: EspCipher = EspCipher::TripleDes;

/// A transform of phase 1.
pub(super) const fn ike(cipher: BlockCipher, hash: Hash, group: Group) -> Phase1Transform {
    Phase1Transform::Usable(Phase1Proposal {
        cipher,
        hash,
        group,
    })
}

/// A transform of Quick Mode with a separate MAC.
pub(super) const fn esp(cipher: EspCipher, mac: EspMac) -> EspTransform {
    EspTransform::Usable(EspSuite {
        cipher,
        mac: Some(mac),
    })
}

/// A transform of Quick Mode whose cipher authenticates.
pub(super) const fn aead(cipher: EspCipher) -> EspTransform {
    EspTransform::Usable(EspSuite { cipher, mac: None })
}
