//! Diffie-Hellman as IKEv1 does it: the MODP groups of RFC 2409 and RFC 3526 and the ECP groups of
//! RFC 5903. Exponentiations and scalar multiplications run in constant time. They take up to some
//! milliseconds and belong off the packet path.

mod ecp;
mod modp;

use std::ops::Deref;

use zeroize::Zeroizing;

use crate::Rng;

/// A Diffie-Hellman group. MODP-1024 and MODP-1536 are legacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The 1024-bit MODP group (RFC 2409 6.2). Legacy: within reach of a state.
    Modp1024,
    /// The 1536-bit MODP group (RFC 3526 section 2). Legacy.
    Modp1536,
    /// The 2048-bit MODP group (RFC 3526 section 3).
    Modp2048,
    /// The 3072-bit MODP group (RFC 3526 section 4).
    Modp3072,
    /// The 4096-bit MODP group (RFC 3526 section 5).
    Modp4096,
    /// The 256-bit random ECP group, P-256 (RFC 5903 3.1).
    Ecp256,
    /// The 384-bit random ECP group, P-384 (RFC 5903 3.2).
    Ecp384,
    /// The 521-bit random ECP group, P-521 (RFC 5903 3.3).
    Ecp521,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 8] = [
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::Ecp521,
    ];

    /// The group with this Group Description (RFC 2409 appendix A, attribute 4, and its IANA
    /// registry).
    pub fn from_ike(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.ike() == id)
    }

    /// The Group Description value.
    pub fn ike(self) -> u16 {
        match self {
            Self::Modp1024 => 2,
            Self::Modp1536 => 5,
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
            Self::Ecp521 => 21,
        }
    }

    /// Length of a public value in bytes: the prime's (RFC 2409 section 5), or x and y (RFC 5903
    /// section 7).
    pub fn public_len(self) -> usize {
        match self {
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Ecp521 => 132,
        }
    }

    /// The name in logs and in the configuration, such as "MODP-2048" or "ECP-256".
    pub fn name(self) -> &'static str {
        match self {
            Self::Modp1024 => "MODP-1024",
            Self::Modp1536 => "MODP-1536",
            Self::Modp2048 => "MODP-2048",
            Self::Modp3072 => "MODP-3072",
            Self::Modp4096 => "MODP-4096",
            Self::Ecp256 => "ECP-256",
            Self::Ecp384 => "ECP-384",
            Self::Ecp521 => "ECP-521",
        }
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why a peer's public value cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicValue {
    /// Not the length that the group has. Leading zeros must not be left out (RFC 2409 section 5).
    #[error("a public value of {actual} bytes for {group}, which has {}", group.public_len())]
    Length {
        /// The group.
        group: Group,
        /// What arrived.
        actual: usize,
    },
    /// 0, 1, p-1 or not below p (RFC 2412 and RFC 6989 2.1): the shared secret would be known.
    #[error("a public value outside of {group}")]
    OutOfRange {
        /// The group.
        group: Group,
    },
    /// Not a point of the curve (RFC 6989 2.3).
    #[error("a public value that is no point of {group}")]
    NotOnCurve {
        /// The group.
        group: Group,
    },
}

/// A private value of a group: an exponent or a scalar. Wiped on drop.
pub struct PrivateValue(Private);

enum Private {
    Modp(modp::Exponent),
    Ecp(ecp::Scalar),
}

impl PrivateValue {
    /// Draws a private value. Cheap: the public value is computed by [`public`](Self::public).
    pub fn generate(group: Group, rng: &mut Rng) -> Self {
        Self(match group {
            Group::Modp1024 => Private::Modp(modp::Exponent::draw(modp::Size::Bits1024, rng)),
            Group::Modp1536 => Private::Modp(modp::Exponent::draw(modp::Size::Bits1536, rng)),
            Group::Modp2048 => Private::Modp(modp::Exponent::draw(modp::Size::Bits2048, rng)),
            Group::Modp3072 => Private::Modp(modp::Exponent::draw(modp::Size::Bits3072, rng)),
            Group::Modp4096 => Private::Modp(modp::Exponent::draw(modp::Size::Bits4096, rng)),
            Group::Ecp256 => Private::Ecp(ecp::Scalar::draw_p256(rng)),
            Group::Ecp384 => Private::Ecp(ecp::Scalar::draw_p384(rng)),
            Group::Ecp521 => Private::Ecp(ecp::Scalar::draw_p521(rng)),
        })
    }

    /// The group.
    pub fn group(&self) -> Group {
        match &self.0 {
            Private::Modp(exponent) => exponent.group(),
            Private::Ecp(scalar) => scalar.group(),
        }
    }

    /// Computes the public value, always [`Group::public_len`] bytes long. Expensive.
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            Private::Modp(exponent) => exponent.public(),
            Private::Ecp(scalar) => scalar.public(),
        }
    }

    /// Computes the shared secret with a peer whose public value is `peer`: g^xy with the length
    /// of the prime (RFC 2409 section 5), or the x coordinate of the common point (RFC 5903
    /// section 7). Expensive. The peer's value is checked first.
    pub fn agree(&self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        let group = self.group();
        if peer.len() != group.public_len() {
            return Err(BadPublicValue::Length {
                group,
                actual: peer.len(),
            });
        }
        let secret = match &self.0 {
            Private::Modp(exponent) => exponent
                .agree(peer)
                .ok_or(BadPublicValue::OutOfRange { group })?,
            Private::Ecp(scalar) => scalar
                .agree(peer)
                .ok_or(BadPublicValue::NotOnCurve { group })?,
        };
        Ok(SharedSecret(secret))
    }
}

impl std::fmt::Debug for PrivateValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateValue")
            .field("group", &self.group())
            .finish_non_exhaustive()
    }
}

/// What both sides of an exchange computed. Wiped on drop.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl Deref for SharedSecret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedSecret {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedSecret({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests;
