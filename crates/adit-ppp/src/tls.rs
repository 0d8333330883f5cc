//! What the two ends of EAP-TLS (RFC 5216, RFC 9190) prove themselves with and believe, and why it
//! fails. TLS 1.2 and 1.3 are rustls' business; it does no I/O, and has no session to resume here.
//! Its randomness is that of its provider, which cannot be given from outside.

#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConnection, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, RootCertStore};

/// The wall clock, by which certificates are valid or not.
pub trait WallClock: std::fmt::Debug + Send + Sync {
    /// Time since the Unix epoch.
    fn unix(&self) -> Duration;
}

#[derive(Debug)]
struct Time(Arc<dyn WallClock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.unix()))
    }
}

/// Certificates, keys or authorities that are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// The certificates are no PEM, or none is in it.
    #[error("no certificate in PEM")]
    Certificate,
    /// The same of the private key; an encrypted one is none either.
    #[error("no private key in PEM that is not encrypted")]
    Key,
    /// The same of the authorities.
    #[error("no certificate of an authority in PEM")]
    Authority,
    /// No DNS name or IP address.
    #[error("the server's name is neither a DNS name nor an address")]
    Name,
    /// TLS has no use for them together.
    #[error("{0}")]
    Unusable(String),
}

/// What a server proves itself with, and whose clients it believes.
pub struct TlsServer(Arc<rustls::ServerConfig>);

/// What a client proves itself with, and which server it believes.
pub struct TlsClient {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl TlsServer {
    /// From PEM: our certificates, the leaf first, our private key, and the authorities of clients.
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        authorities: &[u8],
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, TlsConfigError> {
        let provider = provider();
        let roots = Arc::new(roots(authorities)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| TlsConfigError::Unusable(error.to_string()))?;
        let time = Arc::new(Time(clock));
        let mut config = rustls::ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(certificates)?, private_key(key)?)
            .map_err(unusable)?;
        // Nothing is kept to resume (RFC 5216 2.1.2 and RFC 9190 2.1.2 leave it open).
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connect(&self) -> Result<ServerConnection, TlsFailure> {
        Ok(ServerConnection::new(Arc::clone(&self.0))?)
    }
}

impl TlsClient {
    /// From PEM: our certificates, the leaf first, our private key, and the authorities of the server,
    /// whose certificate must have `name`.
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        authorities: &[u8],
        name: &str,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, TlsConfigError> {
        Self::of_versions(certificates, key, authorities, name, clock, false)
    }

    pub(crate) fn of_versions(
        certificates: &[u8],
        key: &[u8],
        authorities: &[u8],
        name: &str,
        clock: Arc<dyn WallClock>,
        old: bool,
    ) -> Result<Self, TlsConfigError> {
        let versions = if old { [&TLS12; 2] } else { [&TLS13, &TLS12] };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsConfigError::Name)?;
        let time = Arc::new(Time(clock));
        let mut config = rustls::ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&versions)
            .map_err(unusable)?
            .with_root_certificates(roots(authorities)?)
            .with_client_auth_cert(chain(certificates)?, private_key(key)?)
            .map_err(unusable)?;
        config.resumption = Resumption::disabled();
        // RFC 5216 has no use for it, and some servers trip over it.
        config.enable_sni = false;
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    pub(crate) fn connect(&self) -> Result<ClientConnection, TlsFailure> {
        let config = Arc::clone(&self.config);
        Ok(ClientConnection::new(config, self.name.clone())?)
    }
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| TlsConfigError::Certificate)?;
    match chain.is_empty() {
        true => Err(TlsConfigError::Certificate),
        false => Ok(chain),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsConfigError::Key)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem) {
        let authority = authority.map_err(|_| TlsConfigError::Authority)?;
        let added = roots.add(authority);
        added.map_err(|_| TlsConfigError::Authority)?;
    }
    match roots.is_empty() {
        true => Err(TlsConfigError::Authority),
        false => Ok(roots),
    }
}

fn unusable(error: rustls::Error) -> TlsConfigError {
    TlsConfigError::Unusable(error.to_string())
}

/// Why EAP-TLS failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The peer has no certificate.
    #[error("the peer has no certificate")]
    NoCertificate,
    /// Its certificate has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// Its certificate is not valid yet, or a clock is wrong.
    #[error("the peer's certificate is not valid yet")]
    NotValidYet,
    /// None of our authorities has issued it.
    #[error("no authority here has issued the peer's certificate")]
    UnknownAuthority,
    /// It is of no use for another reason.
    #[error("the peer's certificate is of no use: {0}")]
    BadCertificate(String),
    /// The peer says that it fails.
    #[error("the peer says: {0}")]
    Alert(String),
    /// No version or algorithm that both ends have.
    #[error("nothing in common: {0}")]
    Incompatible(String),
    /// A message that TLS does not have, or not now.
    #[error("{0}")]
    Handshake(String),
    /// A message of this length, which is more than is taken, or another one than its fragments have.
    #[error("a message of {0} bytes, or fragments that do not make it")]
    Length(u64),
}

impl From<rustls::Error> for TlsFailure {
    fn from(error: rustls::Error) -> Self {
        use CertificateError as Bad;
        match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotValidYet,
                Bad::UnknownIssuer => Self::UnknownAuthority,
                other => Self::BadCertificate(other.to_string()),
            },
            rustls::Error::AlertReceived(alert) => Self::Alert(format!("{alert:?}")),
            rustls::Error::PeerIncompatible(why) => Self::Incompatible(format!("{why:?}")),
            other => Self::Handshake(other.to_string()),
        }
    }
}
