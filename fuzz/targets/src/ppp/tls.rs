//! Certificates for EAP-TLS, which nobody else believes. TLS draws randomness of its own, so that a run
//! with it does not repeat byte for byte.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use adit_ppp::{TlsClient, TlsServer, WallClock};

const CA: &[u8] = include_bytes!("certificates/ca.pem");

/// The year 2030.
#[derive(Debug)]
struct Then;

impl WallClock for Then {
    fn unix(&self) -> Duration {
        Duration::from_secs(1_900_000_000)
    }
}

static SERVER: LazyLock<Arc<TlsServer>> = LazyLock::new(|| {
    let certificate = include_bytes!("certificates/server.pem");
    let key = include_bytes!("certificates/server.key");
    let server = TlsServer::from_pem(certificate, key, CA, Arc::new(Then));
    Arc::new(server.expect("certificates of the server"))
});

static CLIENT: LazyLock<Arc<TlsClient>> = LazyLock::new(|| {
    let certificate = include_bytes!("certificates/alice.pem");
    let key = include_bytes!("certificates/alice.key");
    let client = TlsClient::from_pem(certificate, key, CA, "server.example", Arc::new(Then));
    Arc::new(client.expect("certificates of the client"))
});

pub(super) fn server() -> Arc<TlsServer> {
    Arc::clone(&SERVER)
}

pub(super) fn client() -> Arc<TlsClient> {
    Arc::clone(&CLIENT)
}
