//! Certificates for tests: a root, an office below it that certifies clients, and somebody else.

use std::sync::Arc;

use adit_cert::{OwnCertificate, Trust};

use crate::Credentials;

/// Chain and key of an owner, both PEM.
pub(crate) type Files = (&'static [u8], &'static [u8]);

macro_rules! owner {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../testdata/", $name, ".pem")).as_slice(),
            include_bytes!(concat!("../../testdata/", $name, ".key")).as_slice(),
        )
    };
}

const ROOT: &[u8] = include_bytes!("../../testdata/root.pem");

pub(crate) const CLIENTS: [Files; 4] = [
    owner!("client-rsa"),
    owner!("client-p256"),
    owner!("client-p384"),
    owner!("client-p521"),
];
pub(crate) const SERVERS: [Files; 4] = [
    owner!("server-rsa"),
    owner!("server-p256"),
    owner!("server-p384"),
    owner!("server-p521"),
];
/// Another client with a key on P-256, directly below the root.
pub(crate) const PHONE: Files = owner!("phone");
/// One below another root.
pub(crate) const STRANGER: Files = owner!("stranger");

pub(crate) fn own((chain, key): Files) -> Arc<OwnCertificate> {
    Arc::new(OwnCertificate::from_pem(chain, key).unwrap())
}

pub(crate) fn trust() -> Arc<Trust> {
    Arc::new(Trust::from_pem(ROOT, &[]).unwrap())
}

/// This certificate, and belief in the root.
pub(crate) fn certified(files: Files) -> Credentials {
    Credentials {
        psks: Vec::new(),
        certificate: Some(own(files)),
        trust: Some(trust()),
    }
}
