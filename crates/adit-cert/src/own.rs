//! Our own certificate, the intermediates that lead from it to an authority, and its key.

use std::time::Duration;

use adit_crypto::sign::{SignatureScheme, SigningKey};

use crate::certificate::Certificate;
use crate::{LoadError, Name, Purpose, Untrusted, pem};

/// A certificate chain and the private key of its first certificate.
#[derive(Debug)]
pub struct OwnCertificate {
    chain: Vec<Vec<u8>>,
    key: SigningKey,
    subject_der: Vec<u8>,
    subject: String,
    names: Vec<Name>,
    not_before: Duration,
    not_after: Duration,
    client: Result<(), Untrusted>,
    server: Result<(), Untrusted>,
}

impl OwnCertificate {
    /// Reads a chain (PEM, our own certificate first, then the intermediates; or one certificate
    /// in DER) and its key (PEM with PKCS#8, PKCS#1 or SEC 1, not encrypted). Whether it is in
    /// force is not asked: [`not_before`](Self::not_before) and [`not_after`](Self::not_after).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, LoadError> {
        let mut chain = pem::certificates(certificates)?;
        let key = pem::key(key)?;
        let leaf = chain.first().cloned().ok_or(LoadError::NoCertificate)?;
        let unreadable = LoadError::Certificate { number: 1 };
        let leaf = Certificate::parse(&leaf).map_err(|_| unreadable.clone())?;
        let subject = leaf.subject();
        let certified = leaf.key().map_err(|error| LoadError::CertificateKey {
            number: 1,
            subject: subject.clone(),
            error,
        })?;
        if certified != key.verifying_key() {
            return Err(LoadError::KeyMismatch { subject });
        }
        // A peer that trusts the root has it (RFC 4945 3.3.5).
        let mut number = 0;
        let mut error = None;
        chain.retain(|der| {
            number += 1;
            match Certificate::parse(der) {
                Ok(certificate) => {
                    number == 1 || certificate.subject_der() != certificate.issuer_der()
                }
                Err(_) => {
                    error.get_or_insert(LoadError::Certificate { number });
                    true
                }
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        Ok(Self {
            key,
            subject_der: leaf.subject_der().to_vec(),
            subject,
            names: leaf.names().map_err(|_| unreadable)?,
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            client: usable(&leaf, Purpose::Client),
            server: usable(&leaf, Purpose::Server),
            chain,
        })
    }

    /// The certificates to send, in DER: our own, then the intermediates, without a self-signed
    /// root.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What the key signs with.
    pub fn scheme(&self) -> SignatureScheme {
        self.key.scheme()
    }

    /// The subject in DER, for ID_DER_ASN1_DN.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The subject for people, such as "CN=vpn.example.net".
    pub fn subject(&self) -> String {
        self.subject.clone()
    }

    /// When it comes into force, since the Unix epoch.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// When it expires, since the Unix epoch.
    pub fn not_after(&self) -> Duration {
        self.not_after
    }

    /// Its subjectAltNames, where peers look for the name that they connect to.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Whether its key usages let us be what `purpose` says; strict peers refuse it otherwise.
    pub fn usable_as(&self, purpose: Purpose) -> Result<(), Untrusted> {
        match purpose {
            Purpose::Client => self.client.clone(),
            Purpose::Server => self.server.clone(),
        }
    }
}

/// Whether the key usages of a certificate let its owner be what `purpose` says.
pub(crate) fn usable(certificate: &Certificate<'_>, purpose: Purpose) -> Result<(), Untrusted> {
    if certificate.authority()?.is_some() {
        return Err(Untrusted::Authority);
    }
    if !certificate.may_sign()? {
        return Err(Untrusted::KeyUsage);
    }
    if !certificate.allows(purpose)? {
        return Err(Untrusted::ExtendedKeyUsage { purpose });
    }
    Ok(())
}
