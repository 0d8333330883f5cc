//! Whom we believe: authorities and their revocation lists, and the verdict on a peer's chain.

use std::cell::RefCell;
use std::time::Duration;

use adit_crypto::sign::KeyError;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, ExtendedKeyUsageValidator,
    KeyPurposeIdIter, OwnedCertRevocationList, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::{Certificate, Malformed, is_for_ike};
use crate::own::usable;
use crate::{LoadError, PeerCertificate, Purpose, Untrusted, algorithms, pem};

/// Most certificates of a peer that are looked at. Real chains have two to four.
pub const MAX_CERTIFICATES: usize = 8;
/// Longest certificate of a peer that is looked at, in bytes.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// Authorities and their revocation lists.
#[derive(Default)]
pub struct Trust {
    authorities: Vec<Authority>,
    issuers: Vec<Vec<u8>>,
    /// The authorities that chains end at, and those that stand below others of the file: these
    /// are held to dates, path lengths and revocation lists like what a peer sends.
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
    /// The newest first: the first that speaks for an issuer counts.
    crls: Vec<Crl>,
}

struct Authority {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    not_before: Duration,
    not_after: Duration,
    path_len: Option<u32>,
}

struct Crl {
    list: CertRevocationList<'static>,
    this_update: i64,
    next_update: Option<i64>,
}

impl Trust {
    /// Reads CA certificates (PEM, any number; or one in DER) and revocation lists (PEM or DER;
    /// none if empty).
    pub fn from_pem(authorities: &[u8], crls: &[u8]) -> Result<Self, LoadError> {
        let mut trust = Self::default();
        trust.add_authorities(authorities)?;
        if !crls.is_empty() {
            trust.add_crls(crls)?;
        }
        Ok(trust)
    }

    /// Adds the CA certificates of one more file, and says how many it held.
    pub fn add_authorities(&mut self, file: &[u8]) -> Result<usize, LoadError> {
        let mut added = Vec::new();
        for (index, der) in pem::certificates(file)?.into_iter().enumerate() {
            added.push(authority(der, index + 1)?);
        }
        let count = added.len();
        self.authorities.extend(added);
        self.arrange();
        Ok(count)
    }

    /// Adds the revocation lists of one more file, and says how many it held. From then on
    /// the certificates of their issuers are believed only while the newest list is in force.
    pub fn add_crls(&mut self, file: &[u8]) -> Result<usize, LoadError> {
        let mut added = Vec::new();
        for (index, der) in pem::crls(file)?.into_iter().enumerate() {
            let number = index + 1;
            let list = OwnedCertRevocationList::from_der(&der).map_err(|error| LoadError::Crl {
                number,
                reason: error.to_string(),
            })?;
            let (_, parsed) =
                CertificateRevocationList::from_der(&der).map_err(|_| LoadError::Crl {
                    number,
                    reason: "it cannot be read".to_owned(),
                })?;
            added.push(Crl {
                list: CertRevocationList::Owned(list),
                this_update: parsed.last_update().timestamp(),
                next_update: parsed.next_update().map(|next| next.timestamp()),
            });
        }
        let count = added.len();
        self.crls.extend(added);
        self.crls
            .sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        Ok(count)
    }

    /// The subject of each authority in DER, for CERTREQ payloads (RFC 4945 3.2.4).
    pub fn issuers(&self) -> &[Vec<u8>] {
        &self.issuers
    }

    /// The subjects of the authorities whose certificates expired before `unix`.
    pub fn expired(&self, unix: Duration) -> Vec<String> {
        let old = self.authorities.iter().filter(|it| it.not_after < unix);
        old.filter_map(|it| Some(Certificate::parse(&it.der).ok()?.subject()))
            .collect()
    }

    /// How many revocation lists should have been replaced before `unix`.
    pub fn overdue_crls(&self, unix: Duration) -> usize {
        let overdue = |crl: &&Crl| {
            crl.next_update
                .is_some_and(|next| u64::try_from(next).is_ok_and(|next| next < unix.as_secs()))
        };
        self.crls.iter().filter(overdue).count()
    }

    /// Whether the first of `certificates` (DER as received; the others are intermediates in any
    /// order) belongs to a peer that `purpose` describes, at the time `unix` since the Unix epoch.
    /// Takes some signature verifications: it belongs off the packet path.
    pub fn verify(
        &self,
        certificates: &[Vec<u8>],
        purpose: Purpose,
        unix: Duration,
    ) -> Result<PeerCertificate, Untrusted> {
        let (leaf_der, sent) = certificates.split_first().ok_or(Untrusted::NoCertificate)?;
        if certificates.len() > MAX_CERTIFICATES {
            let count = certificates.len();
            return Err(Untrusted::TooMany { count });
        }
        if let Some(long) = certificates
            .iter()
            .find(|der| der.len() > MAX_CERTIFICATE_LEN)
        {
            return Err(Untrusted::TooLong { len: long.len() });
        }
        let leaf = Certificate::parse(leaf_der)?;
        let key = leaf.key().map_err(Untrusted::Key)?;
        usable(&leaf, purpose)?;

        let leaf_der = CertificateDer::from(leaf_der.as_slice());
        let end_entity = EndEntityCert::try_from(&leaf_der)
            .map_err(|error| self.blame(&leaf, sent, &error, purpose))?;
        let intermediates: Vec<CertificateDer<'_>> = sent
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .chain(self.intermediates.iter().cloned())
            .collect();
        let crls: Vec<_> = self.crls.iter().map(|crl| &crl.list).collect();
        let refusal = RefCell::new(None);
        let rules = |path: &VerifiedPath<'_>| {
            self.check_issuers(path, unix).map_err(|reason| {
                // The error only makes webpki try other paths.
                refusal.replace(Some(reason));
                Error::UnknownIssuer
            })
        };
        end_entity
            .verify_for_usage(
                algorithms::ALL,
                &self.anchors,
                &intermediates,
                UnixTime::since_unix_epoch(unix),
                IkePurpose(purpose),
                revocation(&crls),
                Some(&rules),
            )
            .map_err(|error| match refusal.take() {
                Some(reason) if matches!(error, Error::UnknownIssuer) => reason,
                _ => self.blame(&leaf, sent, &error, purpose),
            })?;
        Ok(PeerCertificate {
            key,
            subject: leaf.subject(),
            subject_der: leaf.subject_der().to_vec(),
            names: leaf.names()?,
            not_after: leaf.not_after(),
        })
    }

    fn arrange(&mut self) {
        let issued_here = |authority: &Authority| {
            authority.subject != authority.issuer
                && self
                    .authorities
                    .iter()
                    .any(|other| other.subject == authority.issuer)
        };
        let (below, top): (Vec<_>, Vec<_>) = self
            .authorities
            .iter()
            .partition(|authority| issued_here(authority));
        self.anchors = top.iter().map(|top| top.anchor.clone()).collect();
        self.intermediates = below.iter().map(|below| below.der.clone()).collect();
        self.issuers = self
            .authorities
            .iter()
            .map(|authority| authority.subject.clone())
            .collect();
        self.issuers.sort();
        self.issuers.dedup();
    }

    // What webpki leaves to us: the authority at the end is a certificate like others, with dates
    // and a path length, and issuers need keyCertSign.
    fn check_issuers(&self, path: &VerifiedPath<'_>, unix: Duration) -> Result<(), Untrusted> {
        let mut count = 0_u32;
        for issuer in path.intermediate_certificates() {
            count += 1;
            let der = issuer.der();
            if !Certificate::parse(&der)?.may_certify()? {
                return Err(Untrusted::Issuer("its key usage lacks keyCertSign"));
            }
        }
        let anchor = path.anchor();
        // The same key may have been certified again, with later dates.
        let mut refusal = Untrusted::Malformed;
        for authority in self.authorities.iter().filter(|it| it.anchor == *anchor) {
            match authority.allows(count, unix) {
                Ok(()) => return Ok(()),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    // Turns webpki's verdict into ours.
    fn blame(
        &self,
        leaf: &Certificate<'_>,
        sent: &[Vec<u8>],
        error: &Error,
        purpose: Purpose,
    ) -> Untrusted {
        match error {
            Error::CertExpired { time, not_after } => Untrusted::Expired {
                not_after: Duration::from_secs(not_after.as_secs()),
                now: Duration::from_secs(time.as_secs()),
            },
            Error::CertNotValidYet { time, not_before } => Untrusted::NotYetValid {
                not_before: Duration::from_secs(not_before.as_secs()),
                now: Duration::from_secs(time.as_secs()),
            },
            Error::CrlExpired { time, next_update } => Untrusted::CrlExpired {
                next_update: Duration::from_secs(next_update.as_secs()),
                now: Duration::from_secs(time.as_secs()),
            },
            Error::CertRevoked => Untrusted::Revoked,
            Error::InvalidCrlSignatureForPublicKey | Error::IssuerNotCrlSigner => {
                Untrusted::CrlSignature
            }
            Error::UnknownIssuer => Untrusted::UnknownIssuer {
                issuer: leaf.issuer(),
            },
            Error::InvalidSignatureForPublicKey => short_key(sent).unwrap_or(Untrusted::Signature),
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Error::SignatureAlgorithmMismatch => Untrusted::SignatureAlgorithm,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                Untrusted::ExtendedKeyUsage { purpose }
            }
            Error::CaUsedAsEndEntity => Untrusted::Authority,
            Error::EndEntityUsedAsCa => Untrusted::Issuer("it is no CA"),
            Error::PathLenConstraintViolated => Untrusted::Issuer("the chain is too long for it"),
            Error::NameConstraintViolation => Untrusted::Issuer("the name is outside of its names"),
            Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => Untrusted::Malformed,
            other => Untrusted::Path(other.to_string()),
        }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust")
            .field("authorities", &self.authorities.len())
            .field("crls", &self.crls.len())
            .finish()
    }
}

impl Authority {
    fn allows(&self, intermediates: u32, unix: Duration) -> Result<(), Untrusted> {
        let (not_before, not_after) = (self.not_before, self.not_after);
        if unix < not_before {
            let now = unix;
            return Err(Untrusted::NotYetValid { not_before, now });
        }
        if unix > not_after {
            let now = unix;
            return Err(Untrusted::Expired { not_after, now });
        }
        if self.path_len.is_some_and(|most| intermediates > most) {
            return Err(Untrusted::Issuer("the chain is too long for it"));
        }
        Ok(())
    }
}

fn authority(der: Vec<u8>, number: usize) -> Result<Authority, LoadError> {
    let unreadable = LoadError::Certificate { number };
    let der = CertificateDer::from(der);
    let certificate = Certificate::parse(&der).map_err(|_| unreadable.clone())?;
    let subject = certificate.subject();
    // A CA may sign with what no peer can (Ed25519); what is too short for a peer is so for a CA.
    if let Err(error @ KeyError::RsaSize { .. }) = certificate.key() {
        return Err(LoadError::CertificateKey {
            number,
            subject,
            error,
        });
    }
    let missing = |missing| LoadError::NotAuthority {
        number,
        subject: subject.clone(),
        missing,
    };
    let path_len = certificate
        .authority()
        .map_err(|_| unreadable.clone())?
        .ok_or_else(|| missing("its basic constraints do not say CA:TRUE"))?;
    if !certificate.may_certify().map_err(|_| unreadable.clone())? {
        return Err(missing("its key usage lacks keyCertSign"));
    }
    let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| unreadable)?;
    Ok(Authority {
        anchor: anchor.to_owned(),
        subject: certificate.subject_der().to_vec(),
        issuer: certificate.issuer_der().to_vec(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        path_len,
        der: der.clone(),
    })
}

fn revocation<'a>(crls: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    // It fails for an empty list, where nothing is to be checked.
    let options = RevocationOptionsBuilder::new(crls).ok()?;
    Some(
        options
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build(),
    )
}

// A signature under too short a key fails like a forged one: say which it was.
fn short_key(sent: &[Vec<u8>]) -> Option<Untrusted> {
    sent.iter().find_map(|der| {
        let error = Certificate::parse(der).ok()?.key().err()?;
        matches!(error, KeyError::RsaSize { .. }).then_some(Untrusted::Key(error))
    })
}

struct IkePurpose(Purpose);

impl ExtendedKeyUsageValidator for IkePurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        const ANY: &[usize] = &[2, 5, 29, 37, 0];
        let wanted = match self.0 {
            Purpose::Client => webpki::KeyUsage::CLIENT_AUTH_REPR,
            Purpose::Server => webpki::KeyUsage::SERVER_AUTH_REPR,
        };
        let mut present = false;
        for id in purposes {
            present = true;
            let id = id?.to_decoded_oid();
            if id == ANY || id == wanted || is_for_ike(&id) {
                return Ok(());
            }
        }
        // Without the extension everything is allowed (RFC 5280 4.2.1.12).
        if present {
            Err(Error::EmptyEkuExtension)
        } else {
            Ok(())
        }
    }
}

impl From<Malformed> for Untrusted {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}
