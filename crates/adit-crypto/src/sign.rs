//! Signatures as IKEv1 makes them, over a bare HASH_I or HASH_R: RSA with PKCS#1 v1.5 padding and
//! no DigestInfo (RFC 2409 5.1), and ECDSA as r and s at fixed width (RFC 4754). Verifying takes
//! exactly one encoding of each signature. It must never decrypt: RSA decryption has a timing
//! channel that blinding does not close, and nothing here needs it.

mod ecdsa;
mod rsa;

use crate::Rng;
use ::rsa::pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef, der::Decode,
    spki::AlgorithmIdentifierRef,
};

/// What a key signs with: an authentication method of phase 1 (RFC 2409 appendix A, RFC 4754
/// section 4).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// RSA signatures, method 3.
    Rsa,
    /// ECDSA on P-256, method 9.
    EcdsaP256,
    /// ECDSA on P-384, method 10.
    EcdsaP384,
    /// ECDSA on P-521, method 11.
    EcdsaP521,
}

impl SignatureScheme {
    /// Every scheme.
    pub const ALL: [Self; 4] = [Self::Rsa, Self::EcdsaP256, Self::EcdsaP384, Self::EcdsaP521];

    /// The scheme with this Authentication Method (attribute 3 of phase 1).
    pub fn from_ike(method: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.ike() == method)
    }

    /// The Authentication Method value.
    pub fn ike(self) -> u16 {
        match self {
            Self::Rsa => 3,
            Self::EcdsaP256 => 9,
            Self::EcdsaP384 => 10,
            Self::EcdsaP521 => 11,
        }
    }

    /// The name in logs, such as "RSA" or "ECDSA P-256".
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
        }
    }
}

impl std::fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why a key cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the DER of a key, or numbers that make none.
    #[error("a key that cannot be read")]
    Malformed,
    /// Neither RSA nor ECDSA on P-256, P-384 or P-521.
    #[error("a key that is neither RSA nor on P-256, P-384 or P-521")]
    Unsupported,
    /// An RSA modulus outside of 2048 to 8192 bits.
    #[error("an RSA key of {bits} bits, where 2048 to 8192 are taken")]
    RsaSize {
        /// Bits of the modulus.
        bits: u32,
    },
}

/// Why no signature could be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// What is to be signed is not as long as any hash is.
    #[error("a hash of {actual} bytes")]
    HashLength {
        /// Bytes that were given.
        actual: usize,
    },
    /// The computation failed its own check.
    #[error("the signature failed its check")]
    Failed,
}

/// A signature that the key did not make over this hash, in whatever way it is wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature that does not fit")]
pub struct BadSignature;

/// A private key. Wiped on drop.
pub struct SigningKey(Private);

enum Private {
    Rsa(Box<rsa::Private>),
    P256(ecdsa::p256::Private),
    P384(ecdsa::p384::Private),
    P521(ecdsa::p521::Private),
}

impl SigningKey {
    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5208, RFC 5958), not encrypted.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        Ok(Self(match scheme(&info.algorithm)? {
            SignatureScheme::Rsa => Private::Rsa(Box::new(rsa::Private::from_pkcs8(der)?)),
            SignatureScheme::EcdsaP256 => Private::P256(ecdsa::p256::Private::from_pkcs8(der)?),
            SignatureScheme::EcdsaP384 => Private::P384(ecdsa::p384::Private::from_pkcs8(der)?),
            SignatureScheme::EcdsaP521 => Private::P521(ecdsa::p521::Private::from_pkcs8(der)?),
        }))
    }

    /// Reads a PKCS#1 RSAPrivateKey (RFC 8017 A.1.2), "BEGIN RSA PRIVATE KEY" in PEM.
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(Private::Rsa(Box::new(rsa::Private::from_pkcs1(der)?))))
    }

    /// Reads a SEC 1 ECPrivateKey that names its curve (RFC 5915), "BEGIN EC PRIVATE KEY" in PEM.
    pub fn from_sec1_der(der: &[u8]) -> Result<Self, KeyError> {
        // Each of them refuses the name of another curve.
        ecdsa::p256::Private::from_sec1(der)
            .map(Private::P256)
            .or_else(|_| ecdsa::p384::Private::from_sec1(der).map(Private::P384))
            .or_else(|_| ecdsa::p521::Private::from_sec1(der).map(Private::P521))
            .map(Self)
    }

    /// What it signs with.
    pub fn scheme(&self) -> SignatureScheme {
        match &self.0 {
            Private::Rsa(_) => SignatureScheme::Rsa,
            Private::P256(_) => SignatureScheme::EcdsaP256,
            Private::P384(_) => SignatureScheme::EcdsaP384,
            Private::P521(_) => SignatureScheme::EcdsaP521,
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(match &self.0 {
            Private::Rsa(key) => Public::Rsa(Box::new(key.public())),
            Private::P256(key) => Public::P256(key.public()),
            Private::P384(key) => Public::P384(key.public()),
            Private::P521(key) => Public::P521(key.public()),
        })
    }

    /// The public half as a SubjectPublicKeyInfo (RFC 5280 4.1.2.7).
    pub fn public_key_der(&self) -> Vec<u8> {
        match self.verifying_key().0 {
            Public::Rsa(key) => key.to_spki(),
            Public::P256(key) => key.to_spki(),
            Public::P384(key) => key.to_spki(),
            Public::P521(key) => key.to_spki(),
        }
    }

    /// Signs `hash`, the output of any hash from MD5 to SHA2-512. Takes milliseconds with RSA:
    /// it belongs off the packet path. `rng` hides the key from timing (RSA) and is mixed into the
    /// nonce (ECDSA, RFC 6979 3.6).
    pub fn sign(&self, hash: &[u8], rng: &mut Rng) -> Result<Vec<u8>, SignError> {
        if !is_hash(hash) {
            return Err(SignError::HashLength { actual: hash.len() });
        }
        match &self.0 {
            Private::Rsa(key) => key.sign(hash, rng),
            Private::P256(key) => key.sign(hash, rng),
            Private::P384(key) => key.sign(hash, rng),
            Private::P521(key) => key.sign(hash, rng),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("scheme", &self.scheme())
            .finish_non_exhaustive()
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Rsa(Box<rsa::Public>),
    P256(ecdsa::p256::Public),
    P384(ecdsa::p384::Public),
    P521(ecdsa::p521::Public),
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280 4.1.2.7). RSA keys of 2048 to 8192 bits only.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        Ok(Self(match scheme(&info.algorithm)? {
            SignatureScheme::Rsa => Public::Rsa(Box::new(rsa::Public::from_spki(der)?)),
            SignatureScheme::EcdsaP256 => Public::P256(ecdsa::p256::Public::from_spki(der)?),
            SignatureScheme::EcdsaP384 => Public::P384(ecdsa::p384::Public::from_spki(der)?),
            SignatureScheme::EcdsaP521 => Public::P521(ecdsa::p521::Public::from_spki(der)?),
        }))
    }

    /// What it verifies.
    pub fn scheme(&self) -> SignatureScheme {
        match &self.0 {
            Public::Rsa(_) => SignatureScheme::Rsa,
            Public::P256(_) => SignatureScheme::EcdsaP256,
            Public::P384(_) => SignatureScheme::EcdsaP384,
            Public::P521(_) => SignatureScheme::EcdsaP521,
        }
    }

    /// Whether `signature` is this key's over `hash`, the output of any hash from MD5 to SHA2-512.
    pub fn verify(&self, hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if !is_hash(hash) {
            return Err(BadSignature);
        }
        match &self.0 {
            Public::Rsa(key) => key.verify(hash, signature),
            Public::P256(key) => key.verify(hash, signature),
            Public::P384(key) => key.verify(hash, signature),
            Public::P521(key) => key.verify(hash, signature),
        }
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("scheme", &self.scheme())
            .finish_non_exhaustive()
    }
}

// MD5 has 16 bytes, SHA2-512 has 64. An empty string above all must not be taken for a hash.
fn is_hash(hash: &[u8]) -> bool {
    (16..=64).contains(&hash.len())
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

fn scheme(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<SignatureScheme, KeyError> {
    match algorithm.oid {
        RSA_ENCRYPTION => Ok(SignatureScheme::Rsa),
        EC_PUBLIC_KEY => {
            let curve = algorithm.parameters_oid();
            ecdsa::scheme(curve.map_err(|_| KeyError::Unsupported)?)
        }
        _ => Err(KeyError::Unsupported),
    }
}

#[cfg(test)]
mod tests;
