//! What one certificate says of its owner and its use.

use std::net::IpAddr;
use std::time::Duration;

use adit_crypto::sign::{KeyError, VerifyingKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::{Name, Purpose};

/// Longest text of a distinguished name, in characters; a certificate can hold far more.
const MAX_SUBJECT: usize = 256;

/// Microsoft's user principal name among the other names.
const PRINCIPAL_NAME: &str = "1.3.6.1.4.1.311.20.2.3";

/// A certificate that is not version 3, or says a thing twice, or cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A certificate, parsed.
pub(crate) struct Certificate<'a>(X509Certificate<'a>);

impl<'a> Certificate<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Malformed> {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(Self(certificate)),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn key(&self) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_spki_der(self.0.public_key().raw)
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        self.0.subject().as_raw()
    }

    pub(crate) fn issuer_der(&self) -> &[u8] {
        self.0.issuer().as_raw()
    }

    pub(crate) fn subject(&self) -> String {
        text(self.0.subject())
    }

    pub(crate) fn issuer(&self) -> String {
        text(self.0.issuer())
    }

    pub(crate) fn not_before(&self) -> Duration {
        unix(self.0.validity().not_before)
    }

    pub(crate) fn not_after(&self) -> Duration {
        unix(self.0.validity().not_after)
    }

    /// The subjectAltNames that an identity of IKE can be. Names that hold anything but visible
    /// ASCII are none.
    pub(crate) fn names(&self) -> Result<Vec<Name>, Malformed> {
        let names = self.0.subject_alternative_name().map_err(|_| Malformed)?;
        let Some(names) = names else {
            return Ok(Vec::new());
        };
        let visible = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        let names = names.value.general_names.iter().filter_map(|name| {
            Some(match name {
                GeneralName::DNSName(name) if visible(name) => Name::Dns((*name).to_owned()),
                GeneralName::RFC822Name(name) if visible(name) => Name::Email((*name).to_owned()),
                GeneralName::IPAddress(bytes) => Name::Ip(address(bytes)?),
                _ => return None,
            })
        });
        Ok(names.collect())
    }

    /// Every name that a person or device may log in by: user principal names and mailboxes and DNS
    /// names of subjectAltName, then the common names of the subject.
    pub(crate) fn login_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if let Ok(Some(extension)) = self.0.subject_alternative_name() {
            let general = extension.value.general_names.iter();
            names.extend(general.filter_map(|name| match name {
                GeneralName::OtherName(kind, value) if kind.to_id_string() == PRINCIPAL_NAME => {
                    principal_name(value)
                }
                GeneralName::RFC822Name(name) | GeneralName::DNSName(name) => {
                    Some((*name).to_owned())
                }
                _ => None,
            }));
        }
        let common = self.0.subject().iter_common_name();
        names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
        names.retain(|name| !name.is_empty() && !name.chars().any(char::is_control));
        names
    }

    /// Whether the key may sign what IKE signs: the extension is missing, or holds
    /// digitalSignature or nonRepudiation (RFC 4945 5.1.3.2).
    pub(crate) fn may_sign(&self) -> Result<bool, Malformed> {
        let usage = self.0.key_usage().map_err(|_| Malformed)?;
        Ok(usage
            .is_none_or(|usage| usage.value.digital_signature() || usage.value.non_repudiation()))
    }

    /// Whether the key may sign certificates: the extension is missing, or holds keyCertSign
    /// (RFC 5280 4.2.1.3).
    pub(crate) fn may_certify(&self) -> Result<bool, Malformed> {
        let usage = self.0.key_usage().map_err(|_| Malformed)?;
        Ok(usage.is_none_or(|usage| usage.value.key_cert_sign()))
    }

    /// Whether it is a CA's, and if so how many other CAs may stand between it and the end of a
    /// chain (RFC 5280 4.2.1.9).
    pub(crate) fn authority(&self) -> Result<Option<Option<u32>>, Malformed> {
        let constraints = self.0.basic_constraints().map_err(|_| Malformed)?;
        Ok(constraints
            .filter(|constraints| constraints.value.ca)
            .map(|constraints| constraints.value.path_len_constraint))
    }

    /// Whether the extended key usage lets it be a peer of this kind; see
    /// [`is_for_ike`].
    pub(crate) fn allows(&self, purpose: Purpose) -> Result<bool, Malformed> {
        let usage = self.0.extended_key_usage().map_err(|_| Malformed)?;
        let Some(usage) = usage.map(|usage| usage.value) else {
            return Ok(true);
        };
        Ok(usage.any
            || match purpose {
                Purpose::Client => usage.client_auth,
                Purpose::Server => usage.server_auth,
            }
            || usage.other.iter().any(|oid| {
                // `None` for an identifier beyond 64 bits, which is none of these.
                let arcs: Option<Vec<usize>> = oid
                    .iter()
                    .map(|arcs| arcs.filter_map(|arc| usize::try_from(arc).ok()).collect());
                arcs.is_some_and(|arcs| is_for_ike(&arcs))
            }))
    }
}

/// Whether a KeyPurposeId is one of IKE's: ipsecEndSystem, ipsecTunnel and ipsecUser, which are
/// old, ipsecIKE (RFC 4945 5.1.3.12), or iKEIntermediate, which Apple and Windows know.
pub(crate) fn is_for_ike(oid: &[usize]) -> bool {
    matches!(
        oid,
        [1, 3, 6, 1, 5, 5, 7, 3, 5 | 6 | 7 | 17] | [1, 3, 6, 1, 5, 5, 8, 2, 2]
    )
}

/// An UTF8String of a length of one byte behind an explicit tag 0.
fn principal_name(value: &[u8]) -> Option<String> {
    let inner = match value {
        [0xa0, length, inner @ ..] if usize::from(*length) == inner.len() => inner,
        inner => inner,
    };
    match inner {
        [0x0c, length, text @ ..] if usize::from(*length) == text.len() && *length < 0x80 => {
            String::from_utf8(text.to_vec()).ok()
        }
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

// Times before the epoch are all long ago.
fn unix(time: ASN1Time) -> Duration {
    Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

// Strangers choose these names, and they end up in logs.
fn text(name: &X509Name<'_>) -> String {
    name.to_string()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(MAX_SUBJECT)
        .collect()
}
