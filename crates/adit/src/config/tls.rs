//! What EAP-TLS takes: the server's certificate and key, and the authorities of users' certificates.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use adit_ppp::{TlsConfigError, TlsServer, WallClock};
use zeroize::Zeroizing;

use super::files;
use super::settings::{SecretSource, Settings};
use crate::time::since_epoch;

const CERTIFICATE: &str = "ppp.tls-certificate";
const KEY: &str = "ppp.tls-key";
const KEY_FILE: &str = "ppp.tls-key.file";
const CA: &str = "ppp.tls-ca";

/// The clock that certificates are judged by.
#[derive(Debug)]
struct SystemClock;

impl WallClock for SystemClock {
    fn unix(&self) -> std::time::Duration {
        since_epoch(SystemTime::now())
    }
}

/// Reads `ppp.tls-certificate`, `tls-key` and `tls-ca`, all of which `wanted` takes.
pub(super) fn read(
    settings: &mut Settings<'_>,
    folder: &Path,
    wanted: bool,
) -> Option<Arc<TlsServer>> {
    let certificate = settings.text(CERTIFICATE);
    let key = key(settings, folder);
    let ca = settings.list(CA, |name| Ok(folder.join(name)));
    for (name, what) in [
        (CERTIFICATE, "tls-certificate = \"server.pem\""),
        (KEY, "tls-key = { file = \"server.key\" }"),
        (CA, "tls-ca = [\"users-ca.pem\"]"),
    ] {
        if wanted && !settings.is_set(name) {
            settings.error(
                name,
                "is missing: eap-tls takes tls-certificate, tls-key and tls-ca",
                format!("write {what}, or leave eap-tls out of ppp.auth"),
            );
        } else if !wanted && settings.is_set(name) {
            settings.warning(
                name,
                "is of no use, because ppp.auth has no \"eap-tls\"",
                "name eap-tls in ppp.auth, or leave this out",
            );
        }
    }
    let path = folder.join(certificate?);
    let certificate = files::read(settings, CERTIFICATE, &path, "the certificate in PEM")?;
    let mut authorities = Vec::new();
    for (index, path) in ca?.iter().enumerate() {
        let name = format!("{CA}[{index}]");
        let file = files::read(settings, &name, path, "the authority's certificate in PEM")?;
        authorities.extend_from_slice(&file);
        authorities.push(b'\n');
    }
    match TlsServer::from_pem(&certificate, &key?, &authorities, Arc::new(SystemClock)) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(error) => {
            let (place, help) = match error {
                TlsConfigError::Key => (KEY, "name a PEM file with the key, not encrypted"),
                TlsConfigError::Authority => (CA, "name PEM files with certificates of CAs"),
                _ => (
                    CERTIFICATE,
                    "name a PEM file with the server's own certificate first, made for this key",
                ),
            };
            settings.error(place, error, help);
            None
        }
    }
}

fn key(settings: &mut Settings<'_>, folder: &Path) -> Option<Zeroizing<Vec<u8>>> {
    match settings.secret(KEY, KEY_FILE)? {
        SecretSource::Text(text) => Some(Zeroizing::new(text.into_bytes())),
        SecretSource::File(name) => {
            let path = folder.join(name);
            files::secret(settings, KEY_FILE, &path, "the private key in PEM")
        }
    }
}
