//! RSA with the padding of PKCS#1 v1.5, block type 1, around the bare hash (RFC 2409 5.1).

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};

use super::{BadSignature, KeyError, SignError};
use crate::Rng;

const BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

fn check(key: &impl PublicKeyParts) -> Result<(), KeyError> {
    let bits = key.n().bits_vartime();
    if BITS.contains(&bits) {
        Ok(())
    } else {
        Err(KeyError::RsaSize { bits })
    }
}

/// `RsaPrivateKey` wipes itself on drop.
pub(super) struct Private(RsaPrivateKey);

impl Private {
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::Malformed)?)
    }

    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Malformed)?)
    }

    fn new(key: RsaPrivateKey) -> Result<Self, KeyError> {
        check(&key)?;
        Ok(Self(key))
    }

    pub(super) fn public(&self) -> Public {
        Public(self.0.to_public_key())
    }

    pub(super) fn sign(&self, hash: &[u8], rng: &mut Rng) -> Result<Vec<u8>, SignError> {
        self.0
            .sign_with_rng(rng, Pkcs1v15Sign::new_unprefixed(), hash)
            .map_err(|_| SignError::Failed)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Public(RsaPublicKey);

impl Public {
    pub(super) fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKey::from_public_key_der(der).map_err(|_| KeyError::Malformed)?;
        check(&key)?;
        Ok(Self(key))
    }

    pub(super) fn to_spki(&self) -> Vec<u8> {
        // A key that was read has an encoding.
        self.0
            .to_public_key_der()
            .map(|document| document.into_vec())
            .unwrap_or_default()
    }

    pub(super) fn verify(&self, hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if signature.len() != self.0.size() {
            return Err(BadSignature);
        }
        self.0
            .verify(Pkcs1v15Sign::new_unprefixed(), hash, signature)
            .map_err(|_| BadSignature)
    }
}
