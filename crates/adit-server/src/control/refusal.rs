//! Lines for the operator about peers that IKE did not let in: who, what is wrong, and what to do
//! about it. The caller has spent their log budget.

use std::net::SocketAddr;

use adit_crypto::sign::SignatureScheme;
use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Hash};
use adit_ike::{Authentication, ChildFailure, Phase1Proposal, RefusalReason, Unproven};

/// A first message that led to nothing.
pub(super) fn log(peer: SocketAddr, reason: &RefusalReason) {
    let RefusalReason::NoProposalChosen {
        missing, usable, ..
    } = reason
    else {
        tracing::warn!(%peer, %reason, "phase 1 refused");
        return;
    };
    let Some(method) = missing else {
        let remedy = usable.map_or_else(nothing, |it| {
            in_list(&ike_keyword(&it), "ipsec.ike", it.weakness())
        });
        tracing::warn!(%peer, %reason, remedy, "phase 1 refused");
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

/// A Quick Mode that came to nothing.
pub(super) fn log_child(peer: SocketAddr, reason: &ChildFailure) {
    let ChildFailure::NoProposalChosen { usable, .. } = reason else {
        tracing::warn!(%peer, %reason, "Quick Mode refused");
        return;
    };
    let remedy = usable.map_or_else(nothing, |it| {
        in_list(&esp_keyword(it), "ipsec.esp", it.weakness())
    });
    tracing::warn!(%peer, %reason, remedy, "Quick Mode refused");
}

/// Which setting would allow what a peer offered.
fn in_list(keyword: &str, list: &str, weakness: Option<&str>) -> String {
    match weakness {
        None => format!("add \"{keyword}\" to {list}"),
        Some(algorithm) => format!(
            "update the client, or, though {algorithm} is weak, set ipsec.legacy = true, with \
             \"{keyword}\" in {list} where that list is written out"
        ),
    }
}

fn nothing() -> String {
    "update the client: no setting allows any of what it offers".to_owned()
}

/// As `ipsec.ike` spells it.
fn ike_keyword(proposal: &Phase1Proposal) -> String {
    let cipher = match proposal.cipher {
        BlockCipher::Aes128 => "aes128",
        BlockCipher::Aes192 => "aes192",
        BlockCipher::Aes256 => "aes256",
        BlockCipher::TripleDes => "3des",
    };
    let group = proposal.group.name().to_ascii_lowercase().replace('-', "");
    format!("{cipher}-{}-{group}", hash_keyword(proposal.hash))
}

/// As `ipsec.esp` spells it.
fn esp_keyword(suite: EspSuite) -> String {
    let cipher = match suite.cipher {
        EspCipher::AesCbc128 => "aes128",
        EspCipher::AesCbc192 => "aes192",
        EspCipher::AesCbc256 => "aes256",
        EspCipher::AesGcm128 => "aes128gcm16",
        EspCipher::AesGcm256 => "aes256gcm16",
        EspCipher::TripleDes => "3des",
    };
    match suite.mac.map(EspMac::hash) {
        None => cipher.to_owned(),
        Some(hash) => format!("{cipher}-{}", hash_keyword(hash)),
    }
}

fn hash_keyword(hash: Hash) -> &'static str {
    match hash {
        Hash::Md5 => "md5",
        Hash::Sha1 => "sha1",
        Hash::Sha2_256 => "sha256",
        Hash::Sha2_384 => "sha384",
        Hash::Sha2_512 => "sha512",
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use adit_crypto::Group;

    #[test]
    fn the_setting_that_would_allow_an_offer_is_named() {
        let offer = |cipher, group| Phase1Proposal {
            cipher,
            hash: Hash::Sha2_256,
            group,
        };
        let strong = offer(BlockCipher::Aes256, Group::Modp1536);
        assert_eq!(
            in_list(&ike_keyword(&strong), "ipsec.ike", strong.weakness()),
            "add \"aes256-sha256-modp1536\" to ipsec.ike"
        );
        let weak = offer(BlockCipher::TripleDes, Group::Ecp384);
        let remedy = in_list(&ike_keyword(&weak), "ipsec.ike", weak.weakness());
        assert!(remedy.contains("3DES is weak, set ipsec.legacy = true"));
        assert!(remedy.contains("\"3des-sha256-ecp384\""));
    }

    #[test]
    fn suites_of_esp_are_spelled_as_in_the_configuration() {
        let suite = |cipher, mac| esp_keyword(EspSuite::new(cipher, mac).unwrap());
        assert_eq!(suite(EspCipher::AesGcm256, None), "aes256gcm16");
        let mac = Some(EspMac::HmacSha2_256_128);
        assert_eq!(suite(EspCipher::AesCbc128, mac), "aes128-sha256");
        let md5 = suite(EspCipher::TripleDes, Some(EspMac::HmacMd5_96));
        assert_eq!(md5, "3des-md5");
    }
}
