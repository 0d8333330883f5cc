//! A certificate authority for tests. The year is 2030 in all of them.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevocationReason, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::EncodePrivateKey;

/// 2030-06-15, since the Unix epoch.
pub(super) const NOW: Duration = Duration::from_secs(1_907_712_000);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The key of somebody: one of ring's, or one that ring would not use.
pub(super) enum Key {
    Ring(KeyPair),
    Rsa(rsa::RsaPrivateKey, Vec<u8>),
    P521(p521::SecretKey, Vec<u8>),
}

impl Key {
    pub(super) fn p256() -> Self {
        Self::Ring(KeyPair::generate().unwrap())
    }

    pub(super) fn p384() -> Self {
        Self::Ring(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        Self::Ring(KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap())
    }

    pub(super) fn rsa(bits: usize) -> Self {
        let mut rng = adit_crypto::Rng::from_seed([5; 32]);
        let key = rsa::RsaPrivateKey::new(&mut rng, bits).unwrap();
        let public = key.to_public_key().to_pkcs1_der().unwrap().into_vec();
        Self::Rsa(key, public)
    }

    /// Its certificates need [`as_p521`].
    pub(super) fn p521() -> Self {
        let key = p521::SecretKey::from_slice(&[0; 65].map(|_: u8| 7)).unwrap();
        let public = key.public_key().to_sec1_bytes().to_vec();
        Self::P521(key, public)
    }

    pub(super) fn pkcs8(&self) -> Vec<u8> {
        match self {
            Self::Ring(key) => key.serialize_der(),
            Self::Rsa(key, _) => key.to_pkcs8_der().unwrap().as_bytes().to_vec(),
            Self::P521(key, _) => key.to_pkcs8_der().unwrap().as_bytes().to_vec(),
        }
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        pem("PRIVATE KEY", &self.pkcs8())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Ring(key) => key.der_bytes(),
            Self::Rsa(_, public) | Self::P521(_, public) => public,
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::Ring(key) => key.algorithm(),
            Self::Rsa(..) => &rcgen::PKCS_RSA_SHA256,
            // The signature algorithm is the same, the curve is named by `as_p521`.
            Self::P521(..) => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        use p521::ecdsa::signature::hazmat::PrehashSigner;
        use rsa::sha2::Sha256;
        Ok(match self {
            Self::Ring(key) => key.sign(message)?,
            Self::Rsa(key, _) => {
                let hash = adit_crypto::Hash::Sha2_256.digest(&[message]);
                let padding = rsa::Pkcs1v15Sign::new::<Sha256>();
                key.sign(padding, &hash).unwrap()
            }
            Self::P521(key, _) => {
                let hash = adit_crypto::Hash::Sha2_384.digest(&[message]);
                let key = p521::ecdsa::SigningKey::from(key);
                let signature: p521::ecdsa::Signature = key.sign_prehash(&hash).unwrap();
                signature.to_der().as_bytes().to_vec()
            }
        })
    }
}

/// Names P-521 where the DER names P-384, of which the one key here is none.
pub(super) fn as_p521(der: &[u8]) -> Vec<u8> {
    replace(der, &[0x2b, 0x81, 4, 0, 0x22], &[0x2b, 0x81, 4, 0, 0x23])
}

/// Replaces every occurrence of some bytes by as many others.
pub(super) fn replace(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = der.to_vec();
    let mut found = 0;
    for at in 0..der.len().saturating_sub(from.len()) {
        if der[at..].starts_with(from) {
            out[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "there is nothing to replace");
    out
}

/// Somebody with a certificate.
pub(super) struct Owner {
    pub(super) params: CertificateParams,
    pub(super) key: Key,
    pub(super) der: Vec<u8>,
}

impl Owner {
    pub(super) fn pem(&self) -> Vec<u8> {
        pem("CERTIFICATE", &self.der)
    }

    pub(super) fn issue(&self, params: CertificateParams, key: Key) -> Owner {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let der = certificate.der().to_vec();
        Owner { params, key, der }
    }

    /// A revocation list, issued `age` ago and good for a week.
    pub(super) fn crl(&self, serials: &[u64], age: Duration) -> Vec<u8> {
        let issued = date_time_ymd(2030, 6, 15) - age;
        let params = CertificateRevocationListParams {
            this_update: issued,
            next_update: issued + 7 * DAY,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: issued,
                    reason_code: Some(RevocationReason::KeyCompromise),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&issuer).unwrap().der().to_vec()
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
    let mut base64 = Vec::new();
    for chunk in der.chunks(3) {
        let mut bytes = [0; 3];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for digit in 0..4 {
            base64.push(match digit <= chunk.len() {
                true => DIGITS[(number >> (18 - 6 * digit)) as usize & 63],
                false => b'=',
            });
        }
    }
    for line in base64.chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend(format!("-----END {label}-----\n").into_bytes());
    text
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example");
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(2030, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

/// What a CA's certificate says.
pub(super) fn ca_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What a client's certificate says.
pub(super) fn client_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A root that signed itself.
pub(super) fn root_with(params: CertificateParams, key: Key) -> Owner {
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    Owner { params, key, der }
}

/// A root with a P-256 key.
pub(super) fn root() -> Owner {
    root_with(ca_params("Root", 1), Key::p256())
}
