//! What one end of phase 1 proves itself with, and what it believes.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::codec::IdValue;

/// A pre-shared key. Its bytes are wiped when it is dropped and never shown.
pub struct Psk(Zeroizing<Vec<u8>>);

impl Psk {
    /// Takes the key's bytes as the operator wrote them.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(key.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(..)")
    }
}

/// A pre-shared key and who may use it.
#[derive(Clone, Debug)]
pub struct PreSharedKey {
    /// The key.
    pub key: Arc<Psk>,
    /// Only for a peer that identifies itself so; `None`: for any.
    pub identity: Option<IdValue>,
    /// Whether it may be used in aggressive mode, which exposes a hash of it to whoever asks in
    /// the name of its identity. It must have one then.
    pub aggressive: bool,
}

/// What one end can prove itself with and what it believes. The owner picks it by the peer's
/// address.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Pre-shared keys in order of preference. An initiator uses the first; of more than
    /// [`MAX_PSKS`] the rest is not looked at.
    pub psks: Vec<PreSharedKey>,
}

/// Most pre-shared keys that are tried for one peer: a limit to the work that a forged message
/// can ask for.
pub const MAX_PSKS: usize = 16;

impl Credentials {
    /// One pre-shared key for everybody.
    pub fn psk(key: Arc<Psk>) -> Self {
        Self {
            psks: vec![PreSharedKey {
                key,
                identity: None,
                aggressive: false,
            }],
        }
    }
}
