//! Authentication methods of phase 1 (RFC 2409 Appendix A, RFC 4754 section 4).

use std::fmt;

use adit_crypto::Hash;
use adit_crypto::sign::SignatureScheme;

/// How the two ends prove to each other who they are; the same method both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// By a pre-shared key, method 1.
    PreSharedKey,
    /// By signatures and certificates, methods 3, 9, 10 and 11.
    Signature(SignatureScheme),
}

const PRE_SHARED_KEY: u16 = 1;

impl Authentication {
    pub(crate) fn from_ike(number: u64) -> Option<Self> {
        match u16::try_from(number).ok()? {
            PRE_SHARED_KEY => Some(Self::PreSharedKey),
            number => SignatureScheme::from_ike(number).map(Self::Signature),
        }
    }

    pub(crate) fn ike(self) -> u16 {
        match self {
            Self::PreSharedKey => PRE_SHARED_KEY,
            Self::Signature(scheme) => scheme.ike(),
        }
    }

    /// The hash whose HMAC makes HASH_I and HASH_R: the negotiated one, unless the signature comes
    /// with a hash of its own (RFC 2409 section 5, RFC 4754 section 3).
    pub(crate) fn hash(self, negotiated: Hash) -> Hash {
        match self {
            Self::PreSharedKey | Self::Signature(SignatureScheme::Rsa) => negotiated,
            Self::Signature(SignatureScheme::EcdsaP256) => Hash::Sha2_256,
            Self::Signature(SignatureScheme::EcdsaP384) => Hash::Sha2_384,
            Self::Signature(SignatureScheme::EcdsaP521) => Hash::Sha2_512,
        }
    }
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreSharedKey => f.write_str("PSK"),
            Self::Signature(scheme) => write!(f, "{scheme} signatures"),
        }
    }
}
