//! Lines for the operator about peers that phase 1 did not let in: who, what is wrong, and what to do
//! about it. The caller has spent their log budget.

use std::net::SocketAddr;

use adit_crypto::sign::SignatureScheme;
use adit_ike::{Authentication, RefusalReason, Unproven};

/// A first message that led to nothing.
pub(super) fn log(peer: SocketAddr, reason: &RefusalReason) {
    let RefusalReason::NoProposalChosen {
        missing: Some(method),
        ..
    } = reason
    else {
        tracing::warn!(%peer, %reason, "phase 1 refused");
        return;
    };
    let remedy = match method {
        Authentication::PreSharedKey => "set ipsec.psk, or a certificate at the client",
        Authentication::Signature(SignatureScheme::Rsa) => {
            "set ipsec.certificate and ipsec.ca, with an RSA key, or a pre-shared key at the client"
        }
        Authentication::Signature(_) => {
            "set ipsec.certificate and ipsec.ca, with a key on that curve, or a pre-shared key at \
             the client"
        }
    };
    tracing::warn!(%peer, %reason, %method, remedy, "phase 1 refused: only its method is not allowed");
}

/// A message that has to prove who the peer is and does not.
pub(super) fn log_authentication_failing(peer: SocketAddr, authentication: Authentication) {
    match authentication {
        Authentication::PreSharedKey => tracing::warn!(
            %peer,
            "phase 1 authentication failed: the peer's pre-shared key is none of those for its address"
        ),
        Authentication::Signature(_) => tracing::warn!(
            %peer,
            "phase 1 authentication failed: the peer agreed on certificates and sent no signature"
        ),
    }
}

/// A peer whose certificate does not prove what it has to.
pub(super) fn log_unproven(peer: SocketAddr, reason: &Unproven) {
    let remedy = match reason {
        Unproven::Untrusted(_) => {
            "give the client a valid certificate under an authority of ipsec.ca, or add its \
             authority there"
        }
        Unproven::Scheme { .. } | Unproven::Signature { .. } => {
            "install the client's certificate together with its own key"
        }
        Unproven::Identity { .. } | Unproven::Stranger { .. } => {
            "let the client identify itself by the subject or a subjectAltName of its certificate"
        }
    };
    tracing::warn!(%peer, %reason, remedy, "certificate refused");
}
