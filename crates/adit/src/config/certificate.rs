//! The server's certificate and key, and the authorities that clients' certificates come from.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_cert::{OwnCertificate, Purpose, Trust};
use zeroize::Zeroizing;

use super::settings::{SecretSource, Settings};
use super::{Certificate, files};
use crate::time::since_epoch;

const CERTIFICATE: &str = "ipsec.certificate";
const PRIVATE_KEY: &str = "ipsec.key";
const CA: &str = "ipsec.ca";
const CRL: &str = "ipsec.crl";
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Reads `ipsec.certificate`, `key`, `ca` and `crl`; `None` without them, or if they are of no
/// use.
pub(super) fn read(settings: &mut Settings<'_>, folder: &Path) -> Option<Certificate> {
    let now = since_epoch(SystemTime::now());
    let (own, trust) = (own(settings, folder), trust(settings, folder, now));
    let all = [
        (
            CERTIFICATE,
            "certificate = \"server.pem\" with the server's certificate, then its issuers",
        ),
        (
            PRIVATE_KEY,
            "key = { file = \"server.key\" } with its private key",
        ),
        (
            CA,
            "ca = [\"clients-ca.pem\"] with the authority that clients' certificates come from",
        ),
    ];
    let is_set = |settings: &Settings<'_>, key: &str| settings.is_set(key);
    let some = all.iter().any(|(key, _)| is_set(settings, key)) || is_set(settings, CRL);
    for (key, what) in all {
        if some && !is_set(settings, key) {
            settings.error(
                key,
                "is missing: to authenticate with certificates takes certificate, key and ca",
                format!("write {what}"),
            );
        }
    }
    let (own, trust) = (own?, trust?);
    judge(settings, &own, now);
    Some(Certificate {
        own: Arc::new(own),
        trust: Arc::new(trust),
    })
}

fn own(settings: &mut Settings<'_>, folder: &Path) -> Option<OwnCertificate> {
    let name = settings.text(CERTIFICATE);
    let file_key = format!("{PRIVATE_KEY}.file");
    let key = match settings.secret(PRIVATE_KEY, &file_key) {
        None => None,
        Some(SecretSource::Text(text)) => Some(Zeroizing::new(text.into_bytes())),
        Some(SecretSource::File(name)) => {
            let path = folder.join(name);
            files::secret(settings, &file_key, &path, "the private key in PEM")
        }
    };
    let path = folder.join(name?);
    let chain = files::read(settings, CERTIFICATE, &path, "the certificate in PEM")?;
    match OwnCertificate::from_pem(&chain, &key?) {
        Ok(own) => Some(own),
        Err(error) => {
            use adit_cert::LoadError::{EncryptedKey, Key, KeyMismatch, NoKey};
            let (place, help) = match &error {
                EncryptedKey => (
                    PRIVATE_KEY,
                    "decrypt it, as `openssl pkey -in OLD -out NEW` does, and let only its owner \
                     read it",
                ),
                NoKey | Key(_) => (
                    PRIVATE_KEY,
                    "name a PEM file with an RSA key of 2048 to 8192 bits or an EC key on P-256, \
                     P-384 or P-521",
                ),
                KeyMismatch { .. } => (
                    PRIVATE_KEY,
                    "name the key that the certificate was made for; the server's own \
                     certificate stands first in its file",
                ),
                _ => (
                    CERTIFICATE,
                    "name a PEM file with the server's own certificate first, then those of its \
                     issuers",
                ),
            };
            settings.error(place, error, help);
            None
        }
    }
}

fn trust(settings: &mut Settings<'_>, folder: &Path, now: Duration) -> Option<Trust> {
    let ca = settings.list(CA, |name| Ok(folder.join(name)));
    let crl = settings.list(CRL, |name| Ok(folder.join(name)));
    let ca = ca?;
    if ca.is_empty() {
        settings.empty(
            CA,
            "names no authority, so no client's certificate would be believed",
            "write [\"clients-ca.pem\"], or leave certificate, key and ca out",
        );
        return None;
    }
    let mut trust = Trust::default();
    let mut complete = true;
    for (index, path) in ca.iter().enumerate() {
        let key = format!("{CA}[{index}]");
        let file = files::read(settings, &key, path, "the authority's certificate in PEM");
        let added = file.map(|file| trust.add_authorities(&file));
        complete &= matches!(added, Some(Ok(_)));
        if let Some(Err(error)) = added {
            settings.error(
                &key,
                format_args!("{}: {error}", path.display()),
                "name a file with the certificates of CAs, in PEM or DER",
            );
        }
    }
    for (index, path) in crl.iter().flatten().enumerate() {
        let key = format!("{CRL}[{index}]");
        let file = files::read(settings, &key, path, "the revocation list in PEM or DER");
        let added = file.map(|file| trust.add_crls(&file));
        complete &= matches!(added, Some(Ok(_)));
        if let Some(Err(error)) = added {
            settings.error(
                &key,
                format_args!("{}: {error}", path.display()),
                "name a file with revocation lists, in PEM or DER",
            );
        }
    }
    for subject in trust.expired(now) {
        settings.warning(
            CA,
            format_args!("the certificate of {subject} has expired"),
            "name the file with its new one: what it issued is refused until then",
        );
    }
    if trust.overdue_crls(now) > 0 {
        settings.warning(
            CRL,
            "a revocation list is past its nextUpdate: its issuer's clients are refused",
            "put the new list in its place and start adit again",
        );
    }
    complete.then_some(trust)
}

fn judge(settings: &mut Settings<'_>, own: &OwnCertificate, now: Duration) {
    let renew = "put the new certificate in its place and start adit again";
    if now > own.not_after() {
        settings.error(CERTIFICATE, "has expired: clients refuse it", renew);
    } else if now + SOON > own.not_after() {
        let days = (own.not_after() - now).as_secs() / 86_400;
        settings.warning(CERTIFICATE, format_args!("expires in {days} days"), renew);
    }
    if now < own.not_before() {
        settings.warning(
            CERTIFICATE,
            "is not valid yet: clients refuse it",
            "look whether the clock of this host is right",
        );
    }
    if own.names().is_empty() {
        settings.warning(
            CERTIFICATE,
            "has no subjectAltName: Windows and macOS look for the name that they connect to there",
            "let the authority issue it with the server's name or address as subjectAltName",
        );
    }
    if let Err(why) = own.usable_as(Purpose::Server) {
        settings.warning(
            CERTIFICATE,
            format_args!("clients may refuse it: {why}"),
            "let the authority issue it for a server: key usage digitalSignature, extended key \
             usage serverAuth",
        );
    }
}
