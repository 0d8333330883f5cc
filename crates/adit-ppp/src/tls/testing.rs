//! Certificates for the tests.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::{TlsClient, TlsServer, WallClock};

/// The year 2030.
#[derive(Debug)]
struct Then;

impl WallClock for Then {
    fn unix(&self) -> Duration {
        Duration::from_secs(1_900_000_000)
    }
}

/// An authority and what it issues, in PEM.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate and key of `name`, valid until that year.
    pub(crate) fn issues(&self, name: &str, years: (i32, i32)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

pub(crate) static OURS: LazyLock<Authority> = LazyLock::new(|| Authority::new("ours"));
pub(crate) const VALID: (i32, i32) = (2020, 2050);

pub(crate) fn server() -> TlsServer {
    server_of(&OURS, VALID)
}

pub(crate) fn server_of(authority: &Authority, years: (i32, i32)) -> TlsServer {
    let (certificate, key) = authority.issues("vpn.example", years);
    let [certificate, key] = [certificate.as_bytes(), key.as_bytes()];
    TlsServer::from_pem(certificate, key, OURS.pem.as_bytes(), Arc::new(Then)).unwrap()
}

pub(crate) fn client(old: bool) -> TlsClient {
    client_of(&OURS, VALID, "vpn.example", old)
}

pub(crate) fn client_of(
    authority: &Authority,
    years: (i32, i32),
    server: &str,
    old: bool,
) -> TlsClient {
    let (certificate, key) = authority.issues("alice", years);
    let [certificate, key] = [certificate.as_bytes(), key.as_bytes()];
    let roots = OURS.pem.as_bytes();
    TlsClient::of_versions(certificate, key, roots, server, Arc::new(Then), old).unwrap()
}
