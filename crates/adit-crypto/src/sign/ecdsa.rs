//! ECDSA as RFC 4754 has it: the signature is r and s, each as long as the order of the curve.
//! A hash that is longer than the order is cut to its leading bits, a shorter one taken as it is
//! (FIPS 186-5 6.4.1).

use ::p256::NistP256;
use ::p256::elliptic_curve::pkcs8::{AssociatedOid, ObjectIdentifier};
use ::p384::NistP384;
use ::p521::NistP521;

use super::{KeyError, SignatureScheme};

/// The scheme of a named curve (RFC 5480 2.1.1.1).
pub(super) fn scheme(curve: ObjectIdentifier) -> Result<SignatureScheme, KeyError> {
    match curve {
        NistP256::OID => Ok(SignatureScheme::EcdsaP256),
        NistP384::OID => Ok(SignatureScheme::EcdsaP384),
        NistP521::OID => Ok(SignatureScheme::EcdsaP521),
        _ => Err(KeyError::Unsupported),
    }
}

macro_rules! curve {
    ($curve:ident) => {
        pub(super) mod $curve {
            use ::$curve::SecretKey;
            use ::$curve::ecdsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
            use ::$curve::ecdsa::{Signature, SigningKey, VerifyingKey};
            use ::$curve::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};

            use crate::Rng;
            use crate::sign::{BadSignature, KeyError, SignError};

            /// `SigningKey` wipes itself on drop.
            pub(in crate::sign) struct Private(SigningKey);

            impl Private {
                pub(in crate::sign) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
                    let key = SecretKey::from_pkcs8_der(der).map_err(|_| KeyError::Malformed)?;
                    Ok(Self(key.into()))
                }

                pub(in crate::sign) fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
                    let key = SecretKey::from_sec1_der(der).map_err(|_| KeyError::Malformed)?;
                    Ok(Self(key.into()))
                }

                pub(in crate::sign) fn public(&self) -> Public {
                    Public(*self.0.verifying_key())
                }

                pub(in crate::sign) fn sign(
                    &self,
                    hash: &[u8],
                    rng: &mut Rng,
                ) -> Result<Vec<u8>, SignError> {
                    let signature: Signature = self
                        .0
                        .sign_prehash_with_rng(rng, hash)
                        .map_err(|_| SignError::Failed)?;
                    Ok(signature.to_bytes().to_vec())
                }
            }

            #[derive(Clone, PartialEq, Eq)]
            pub(in crate::sign) struct Public(VerifyingKey);

            impl Public {
                pub(in crate::sign) fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
                    let key =
                        VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::Malformed)?;
                    Ok(Self(key))
                }

                pub(in crate::sign) fn to_spki(&self) -> Vec<u8> {
                    // A key that was read has an encoding.
                    self.0
                        .to_public_key_der()
                        .map(|document| document.into_vec())
                        .unwrap_or_default()
                }

                pub(in crate::sign) fn verify(
                    &self,
                    hash: &[u8],
                    signature: &[u8],
                ) -> Result<(), BadSignature> {
                    // Refuses any other length, and r or s of zero or not below the order.
                    let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
                    self.0
                        .verify_prehash(hash, &signature)
                        .map_err(|_| BadSignature)
                }
            }
        }
    };
}

curve!(p256);
curve!(p384);
curve!(p521);
