//! X.509 certificates as IKE uses them (RFC 4945, RFC 5280): our own chain and key, the
//! authorities and revocation lists that are believed, and whether a peer's chain is to be
//! believed now. It must never read a clock or a file, take a certificate on anybody's word, or
//! show a key.

mod algorithms;
mod certificate;
mod error;
mod own;
mod pem;
mod trust;

use std::net::IpAddr;
use std::time::Duration;

use adit_crypto::sign::VerifyingKey;

pub use self::error::{LoadError, Untrusted};
pub use self::own::OwnCertificate;
pub use self::trust::{MAX_CERTIFICATE_LEN, MAX_CERTIFICATES, Trust};

/// What the peer is, and so what its certificate must be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The peer is a client, and we are the server.
    Client,
    /// The peer is the server.
    Server,
}

/// A subjectAltName (RFC 5280 4.2.1.6) of a kind that an identity of IKE can be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A dNSName.
    Dns(String),
    /// An rfc822Name.
    Email(String),
    /// An iPAddress.
    Ip(IpAddr),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) | Self::Email(name) => f.pad(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

/// Who a peer says it is: the payload of an ID payload (RFC 2407 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// ID_DER_ASN1_DN: the DER of a distinguished name.
    DistinguishedName(&'a [u8]),
    /// ID_FQDN.
    Dns(&'a str),
    /// ID_USER_FQDN.
    Email(&'a str),
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Ip(IpAddr),
}

/// The certificate of a peer, believed at the time it was verified for.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    /// The key that its signatures are made with.
    pub key: VerifyingKey,
    /// The subject for people, such as "CN=laptop, O=Example", without control characters.
    pub subject: String,
    /// The subject as it stands in the certificate.
    pub subject_der: Vec<u8>,
    /// The subjectAltNames that an identity can be.
    pub names: Vec<Name>,
    /// When it expires, since the Unix epoch.
    pub not_after: Duration,
}

impl PeerCertificate {
    /// Whether the certificate says that its owner is who `claim` says (RFC 4945 3.1): names stand
    /// in subjectAltName, are equal without wildcards, and the distinguished name is the subject,
    /// byte for byte.
    pub fn certifies(&self, claim: &Claim<'_>) -> bool {
        match claim {
            // A subject without content, which some certificates have, names nobody.
            Claim::DistinguishedName(der) => der.len() > 2 && *der == self.subject_der,
            Claim::Dns(claimed) => self
                .names
                .iter()
                .any(|name| matches!(name, Name::Dns(dns) if dns.eq_ignore_ascii_case(claimed))),
            Claim::Email(claimed) => self
                .names
                .iter()
                .any(|name| matches!(name, Name::Email(email) if same_mailbox(email, claimed))),
            Claim::Ip(claimed) => self
                .names
                .iter()
                .any(|name| matches!(name, Name::Ip(address) if address == claimed)),
        }
    }
}

/// The names by which the owner of a certificate, in DER, may log in: user principal names, mailboxes
/// and DNS names of subjectAltName, and the common name. None if it cannot be read. Whether to
/// believe it is another question.
pub fn login_names(certificate: &[u8]) -> Vec<String> {
    let certificate = certificate::Certificate::parse(certificate);
    certificate.map_or(Vec::new(), |certificate| certificate.login_names())
}

// Only the host part is written in any case (RFC 5280 7.5).
fn same_mailbox(a: &str, b: &str) -> bool {
    match (a.rsplit_once('@'), b.rsplit_once('@')) {
        (Some((a_user, a_host)), Some((b_user, b_host))) => {
            a_user == b_user && a_host.eq_ignore_ascii_case(b_host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
