//! PEM and DER: which sections of a file are meant (RFC 7468).

use adit_crypto::sign::SigningKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::LoadError;

/// The certificates of a PEM file, or the one of a DER file, in their order.
pub(crate) fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, LoadError> {
    sections::<CertificateDer<'static>>(file, LoadError::NoCertificate)
}

/// The revocation lists of a PEM file, or the one of a DER file.
pub(crate) fn crls(file: &[u8]) -> Result<Vec<Vec<u8>>, LoadError> {
    sections::<CertificateRevocationListDer<'static>>(file, LoadError::NoCrl)
}

fn sections<T: PemObject + AsRef<[u8]>>(
    file: &[u8],
    none: LoadError,
) -> Result<Vec<Vec<u8>>, LoadError> {
    // DER begins with a SEQUENCE of more than 127 bytes, and no text does.
    if file.starts_with(&[0x30, 0x82]) || file.starts_with(&[0x30, 0x81]) {
        return Ok(vec![file.to_vec()]);
    }
    let mut found = Vec::new();
    for section in T::pem_slice_iter(file) {
        found.push(section.map_err(damaged)?.as_ref().to_vec());
    }
    if found.is_empty() {
        Err(none)
    } else {
        Ok(found)
    }
}

/// The private key of a PEM file: PKCS#8, PKCS#1 or SEC 1.
pub(crate) fn key(file: &[u8]) -> Result<SigningKey, LoadError> {
    let key = match PrivateKeyDer::from_pem_slice(file) {
        Ok(key) => Zeroizing::new(key),
        Err(PemError::NoItemsFound) => {
            const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
            let encrypted = file.windows(ENCRYPTED.len()).any(|at| at == ENCRYPTED);
            return Err(match encrypted {
                true => LoadError::EncryptedKey,
                false => LoadError::NoKey,
            });
        }
        Err(error) => return Err(damaged(error)),
    };
    match &*key {
        PrivateKeyDer::Pkcs8(der) => SigningKey::from_pkcs8_der(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => SigningKey::from_pkcs1_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => SigningKey::from_sec1_der(der.secret_sec1_der()),
        _ => return Err(LoadError::NoKey),
    }
    .map_err(LoadError::Key)
}

// The text of the error must not hold lines of the file, which may be a key's.
fn damaged(error: PemError) -> LoadError {
    LoadError::Pem(
        match error {
            PemError::MissingSectionEnd { .. } => "a section has no end",
            PemError::IllegalSectionStart { .. } => "a section begins wrongly",
            PemError::Base64Decode(_) => "a section is not base64",
            _ => "it cannot be read",
        }
        .to_owned(),
    )
}
