//! What one end of phase 1 proves itself with, and what it believes.

use std::fmt;
use std::sync::Arc;

use adit_cert::{OwnCertificate, Trust};
use zeroize::Zeroizing;

use crate::authentication::Authentication;
use crate::codec::IdValue;
use crate::machine::Mode;

/// Most pre-shared keys that are tried for one peer: a limit to the work that a forged message
/// can ask for.
pub const MAX_PSKS: usize = 16;

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
    /// Only for a peer that identifies itself so; `None`: for any. A name is the same whether it
    /// comes as FQDN, USER_FQDN or KEY_ID, because clients differ in what they make of a group's
    /// name.
    pub identity: Option<IdValue>,
    /// Whether it may be used in aggressive mode, which gives a hash of it to whoever asks in the
    /// name of its identity. Without an identity it may not.
    pub aggressive: bool,
}

impl PreSharedKey {
    fn is_for(&self, id: &IdValue) -> bool {
        is_for(self.identity.as_ref(), id)
    }
}

/// Whether a key with this identity is for a peer that says it is `id`.
pub(crate) fn is_for(identity: Option<&IdValue>, id: &IdValue) -> bool {
    let Some(identity) = identity else {
        return true;
    };
    match (identity.name(), id.name()) {
        (Some(a), Some(b)) => a == b,
        _ => identity == id,
    }
}

/// What one end can prove itself with and what it believes. The owner picks it by the peer's
/// address.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Pre-shared keys in order of preference. An initiator uses the first; of more than
    /// [`MAX_PSKS`] the rest is not looked at.
    pub psks: Vec<PreSharedKey>,
    /// Our certificate and its key. Used with `trust` only.
    pub certificate: Option<Arc<OwnCertificate>>,
    /// The authorities whose certificates are believed.
    pub trust: Option<Arc<Trust>>,
}

impl Credentials {
    /// One pre-shared key for everybody.
    pub fn psk(key: Arc<Psk>) -> Self {
        Self {
            psks: vec![PreSharedKey {
                key,
                identity: None,
                aggressive: false,
            }],
            ..Self::default()
        }
    }

    /// The methods that these allow, the preferred one first.
    pub(crate) fn methods(&self, mode: Mode) -> Vec<Authentication> {
        let mut methods = Vec::new();
        if let (Some(certificate), Some(_), Mode::Main) = (&self.certificate, &self.trust, mode) {
            methods.push(Authentication::Signature(certificate.scheme()));
        }
        if !self.psks.is_empty() {
            methods.push(Authentication::PreSharedKey);
        }
        methods
    }

    /// The keys that a responder of main mode tries.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &PreSharedKey> {
        self.psks.iter().take(MAX_PSKS)
    }

    /// Whether anybody may come in aggressive mode.
    pub(crate) fn aggressive(&self) -> bool {
        let may = |psk: &PreSharedKey| psk.aggressive && psk.identity.is_some();
        self.psks.iter().any(may)
    }

    /// The key of a peer that introduces itself so in aggressive mode.
    pub(crate) fn aggressive_key(&self, id: &IdValue) -> Option<&Arc<Psk>> {
        let may = |psk: &&PreSharedKey| psk.aggressive && psk.identity.is_some() && psk.is_for(id);
        self.psks.iter().find(may).map(|psk| &psk.key)
    }
}
