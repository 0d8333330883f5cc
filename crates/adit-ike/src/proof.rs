//! Proof by signature and certificate: RFC 2409 section 5.1 with RFC 4754, and who a certificate
//! lets its owner be (RFC 4945 section 3.1). It must never take an identity that the certificate
//! does not hold, an address aside: behind a NAT those say nothing.

use std::sync::Arc;
use std::time::Duration;

use adit_cert::{Claim, OwnCertificate, PeerCertificate, Purpose, Trust, Untrusted};
use adit_crypto::sign::{SignError, SignatureScheme};
use adit_crypto::{Digest, Rng};

use crate::codec::{IdValue, notify};

/// Why a peer that had to prove itself by a certificate has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Its certificate is not believed.
    #[error("its certificate is not believed: {0}")]
    Untrusted(#[from] Untrusted),
    /// Its certificate is for another kind of key than was agreed on.
    #[error("its certificate is for {found} signatures, and {wanted} was agreed on")]
    Scheme {
        /// What was agreed on.
        wanted: SignatureScheme,
        /// What the certificate is for.
        found: SignatureScheme,
    },
    /// Its signature does not hold.
    #[error("its signature was not made with the key of its certificate, {subject}")]
    Signature {
        /// The subject of its certificate.
        subject: String,
    },
    /// It says that it is somebody who its certificate does not know.
    #[error("it says that it is {identity}, which its certificate, {subject}, does not certify")]
    Identity {
        /// Who it says it is.
        identity: IdValue,
        /// The subject of its certificate.
        subject: String,
    },
    /// It has a good certificate, but not that of who we are looking for.
    #[error("its certificate, {subject}, is not that of {wanted}")]
    Stranger {
        /// Who we are looking for.
        wanted: IdValue,
        /// The subject of its certificate.
        subject: String,
    },
}

impl Unproven {
    /// The notify message type that tells the peer (RFC 2408 section 3.14.1).
    pub(crate) fn notify(&self) -> u16 {
        match self {
            Self::Untrusted(Untrusted::UnknownIssuer { .. }) => notify::INVALID_CERT_AUTHORITY,
            Self::Untrusted(Untrusted::Malformed) => notify::INVALID_CERT_ENCODING,
            Self::Untrusted(Untrusted::NoCertificate) | Self::Signature { .. } => {
                notify::AUTHENTICATION_FAILED
            }
            Self::Untrusted(_) | Self::Scheme { .. } => notify::INVALID_CERTIFICATE,
            Self::Identity { .. } | Self::Stranger { .. } => notify::INVALID_ID_INFORMATION,
        }
    }
}

/// What a peer has to show, to be checked.
pub(crate) struct Check {
    pub(crate) trust: Arc<Trust>,
    pub(crate) purpose: Purpose,
    pub(crate) scheme: SignatureScheme,
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) hash: Digest,
    pub(crate) signature: Vec<u8>,
    /// Who it says it is.
    pub(crate) id: IdValue,
    /// Who it must be.
    pub(crate) wanted: Option<IdValue>,
}

impl Check {
    /// Gives the name of who it is.
    fn run(self, unix: Duration) -> Result<String, Unproven> {
        let certificate = self.trust.verify(&self.certificates, self.purpose, unix)?;
        let found = certificate.key.scheme();
        if found != self.scheme {
            let wanted = self.scheme;
            return Err(Unproven::Scheme { wanted, found });
        }
        let subject = name(&certificate);
        if certificate.key.verify(&self.hash, &self.signature).is_err() {
            return Err(Unproven::Signature { subject });
        }
        if self.id.address().is_none() && !certifies(&certificate, &self.id) {
            let identity = self.id;
            return Err(Unproven::Identity { identity, subject });
        }
        match self.wanted {
            Some(wanted) if !certifies(&certificate, &wanted) => {
                Err(Unproven::Stranger { wanted, subject })
            }
            _ => Ok(subject),
        }
    }
}

fn certifies(certificate: &PeerCertificate, id: &IdValue) -> bool {
    let claim = match id {
        IdValue::Ipv4(address) => Claim::Ip((*address).into()),
        IdValue::Ipv6(address) => Claim::Ip((*address).into()),
        IdValue::Fqdn(name) => Claim::Dns(name),
        IdValue::UserFqdn(name) => Claim::Email(name),
        IdValue::DistinguishedName(der) => Claim::DistinguishedName(der),
        IdValue::KeyId(_) | IdValue::Other { .. } => return false,
    };
    certificate.certifies(&claim)
}

/// The subject, or the first name of a certificate whose subject is empty (RFC 4945 5.1.2).
fn name(certificate: &PeerCertificate) -> String {
    match certificate.names.first() {
        Some(name) if certificate.subject.is_empty() => name.to_string(),
        _ => certificate.subject.clone(),
    }
}

/// What is to be signed, and with what.
pub(crate) struct Sign {
    pub(crate) certificate: Arc<OwnCertificate>,
    pub(crate) hash: Digest,
    pub(crate) rng: Rng,
}

/// A check of the peer, a signature of our own, or the one after the other.
pub(crate) struct Proof {
    pub(crate) check: Option<Check>,
    pub(crate) sign: Option<Sign>,
}

/// What a [`Proof`] came to.
pub(crate) struct Proven {
    /// The peer's name, if it was to be checked.
    pub(crate) peer: Option<Result<String, Unproven>>,
    /// Our signature, if one was to be made and the peer is who it has to be.
    pub(crate) signature: Option<Result<Vec<u8>, SignError>>,
}

impl Proof {
    pub(crate) fn run(self, unix: Duration) -> Proven {
        let peer = self.check.map(|check| check.run(unix));
        let refused = matches!(peer, Some(Err(_)));
        let signature = self
            .sign
            .filter(|_| !refused)
            .map(|mut sign| sign.certificate.key().sign(&sign.hash, &mut sign.rng));
        Proven { peer, signature }
    }
}
