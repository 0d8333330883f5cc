//! A peer's certificates against an authority that revoked one and, under it, another.

use std::time::Duration;

use adit_cert::{Claim, Name, OwnCertificate, PeerCertificate, Purpose, Trust, Untrusted};

use crate::messages;

const AUTHORITY: &[u8] = include_bytes!("certificate/authority.der");
const REVOKED: &[u8] = include_bytes!("certificate/revoked.der");
/// 2030-06-15, when the seeds are in force.
const NOW: Duration = Duration::from_secs(1_907_712_000);

/// The certificates that a peer sends, its own first.
pub fn certificate(data: &[u8]) {
    let _ = verdict(data);
    // Files of our own are no attack, but damaged ones must end with a message too.
    let _ = Trust::from_pem(data, data);
    let _ = OwnCertificate::from_pem(data, data);
}

fn verdict(data: &[u8]) -> Result<PeerCertificate, Untrusted> {
    let trust = Trust::from_pem(AUTHORITY, REVOKED).expect("an authority");
    let certificates: Vec<Vec<u8>> = messages(data).map(<[u8]>::to_vec).collect();
    let nobody = Trust::default().verify(&certificates, Purpose::Client, NOW);
    assert!(nobody.is_err(), "somebody is believed without an authority");
    for purpose in [Purpose::Client, Purpose::Server] {
        if let Ok(peer) = trust.verify(&certificates, purpose, NOW) {
            check(&peer);
        }
    }
    trust.verify(&certificates, Purpose::Client, NOW)
}

fn check(peer: &PeerCertificate) {
    assert!(peer.not_after >= NOW, "a certificate that expired");
    assert!(!peer.subject.chars().any(char::is_control));
    for name in &peer.names {
        let claim = match name {
            Name::Dns(name) => Claim::Dns(name),
            Name::Email(name) if name.contains('@') => Claim::Email(name),
            Name::Email(_) => continue,
            Name::Ip(address) => Claim::Ip(*address),
        };
        assert!(peer.certifies(&claim), "{claim:?}");
    }
    let hash = [0x55; 32];
    assert!(peer.key.verify(&hash, &peer.subject_der).is_err());
}

#[cfg(test)]
mod tests;
