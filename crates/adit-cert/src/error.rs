//! What can be wrong: with our own files (`LoadError`), and with what a peer shows (`Untrusted`).

use std::time::Duration;

use adit_crypto::sign::KeyError;

use crate::Purpose;

/// Why a file of ours cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The PEM does not end as it begins, or its base64 is none.
    #[error("the PEM is damaged: {0}")]
    Pem(String),
    /// There is no certificate in it.
    #[error("there is no certificate in it (\"-----BEGIN CERTIFICATE-----\")")]
    NoCertificate,
    /// There is no private key in it.
    #[error("there is no private key in it (\"-----BEGIN PRIVATE KEY-----\")")]
    NoKey,
    /// The private key is encrypted, and nobody would be there to say the password.
    #[error("the private key is encrypted")]
    EncryptedKey,
    /// The private key cannot be used.
    #[error("the private key: {0}")]
    Key(KeyError),
    /// A certificate is not X.509 version 3.
    #[error("certificate {number} cannot be read")]
    Certificate {
        /// Its place in the file, from 1.
        number: usize,
    },
    /// A certificate's key cannot be used.
    #[error("certificate {number}, {subject}: {error}")]
    CertificateKey {
        /// Its place in the file, from 1.
        number: usize,
        /// Its subject.
        subject: String,
        /// What is wrong with the key.
        error: KeyError,
    },
    /// The certificate certifies another key.
    #[error("the private key is not that of the certificate {subject}")]
    KeyMismatch {
        /// The subject of the certificate.
        subject: String,
    },
    /// A certificate that is no CA's stands among the authorities.
    #[error("certificate {number}, {subject}, is not a CA's: {missing}")]
    NotAuthority {
        /// Its place in the file, from 1.
        number: usize,
        /// Its subject.
        subject: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// There is no revocation list in it.
    #[error("there is no revocation list in it (\"-----BEGIN X509 CRL-----\")")]
    NoCrl,
    /// A revocation list cannot be used.
    #[error("revocation list {number}: {reason}")]
    Crl {
        /// Its place in the file, from 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Why a peer's certificate is not believed, for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The peer sent no certificate.
    #[error("no certificate")]
    NoCertificate,
    /// More certificates than are looked at.
    #[error("{count} certificates")]
    TooMany {
        /// How many came.
        count: usize,
    },
    /// A certificate of a size that none has.
    #[error("a certificate of {len} bytes")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A certificate that cannot be read.
    #[error("a certificate that cannot be read")]
    Malformed,
    /// Its key cannot be used.
    #[error("{0}")]
    Key(KeyError),
    /// A certificate of the chain is signed with an algorithm that is not taken, such as SHA-1.
    #[error("a certificate is signed with SHA-1, MD5 or another algorithm that is not taken")]
    SignatureAlgorithm,
    /// A certificate of the chain is not signed by who it says.
    #[error("a certificate whose signature is not its issuer's, or made with too short a key")]
    Signature,
    /// No configured authority stands behind it.
    #[error("issued by {issuer}, which leads to no configured authority")]
    UnknownIssuer {
        /// The issuer of the peer's own certificate.
        issuer: String,
    },
    /// A certificate of the chain is past its notAfter.
    #[error("a certificate of the chain expired {}", ago(*.not_after, *.now))]
    Expired {
        /// When it expired, since the Unix epoch.
        not_after: Duration,
        /// The time it was verified for.
        now: Duration,
    },
    /// A certificate of the chain is not at its notBefore yet.
    #[error("a certificate of the chain is valid only in {}", span(.not_before.saturating_sub(*.now)))]
    NotYetValid {
        /// When it becomes valid, since the Unix epoch.
        not_before: Duration,
        /// The time it was verified for.
        now: Duration,
    },
    /// A certificate of the chain was revoked.
    #[error("a certificate of the chain is revoked")]
    Revoked,
    /// The revocation list of an issuer in the chain is past its nextUpdate: who is on the
    /// next one, nobody knows.
    #[error("the configured revocation list of its issuer was due for replacement {}", ago(*.next_update, *.now))]
    CrlExpired {
        /// When the next list was due, since the Unix epoch.
        next_update: Duration,
        /// The time it was verified for.
        now: Duration,
    },
    /// The revocation list of an issuer in the chain is not that issuer's.
    #[error("the configured revocation list of its issuer is not signed by it")]
    CrlSignature,
    /// The key usage of the peer's certificate allows no signatures (RFC 4945 5.1.3.2).
    #[error("its key usage holds neither digitalSignature nor nonRepudiation")]
    KeyUsage,
    /// The extended key usage allows neither IKE nor what the peer is.
    #[error("its extended key usage holds neither IKE nor {}", match .purpose { Purpose::Client => "clientAuth", Purpose::Server => "serverAuth" })]
    ExtendedKeyUsage {
        /// What the peer is.
        purpose: Purpose,
    },
    /// The peer's certificate is a CA's.
    #[error("the certificate is a CA's own")]
    Authority,
    /// Somebody in the chain who is no CA, or not for as long a chain, issued a certificate.
    #[error("an issuer in the chain may not issue: {0}")]
    Issuer(&'static str),
    /// Another rule of RFC 5280.
    #[error("{0}")]
    Path(String),
}

fn ago(then: Duration, now: Duration) -> String {
    format!("{} ago", span(now.saturating_sub(then)))
}

fn span(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    match hours {
        0 => format!("{} minutes", span.as_secs() / 60),
        1..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}
