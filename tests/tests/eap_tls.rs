//! Whole sessions of clients that log in by certificate (RFC 5216, RFC 9190), and of those that may not.

use std::sync::Arc;
use std::time::Duration;

use adit_client::{DownReason, Event};
use adit_ppp::{AuthFailure, AuthMethod, TlsClient, TlsServer, WallClock};
use adit_tests::{ClientId, World, setup};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct WorldClock;

impl WallClock for WorldClock {
    fn unix(&self) -> Duration {
        World::UNIX
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate and key, valid until that year.
    fn issues(&self, common: &str, names: Vec<SanType>, until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Dials as `user0` with this certificate, to a server that takes `auth`.
    fn dial(&self, own: &(String, String), auth: &[AuthMethod]) -> (World, ClientId) {
        let server = SanType::DnsName("vpn.example".try_into().unwrap());
        let (certificate, key) = self.issues("server", vec![server], 2050);
        let ca = self.pem.as_bytes();
        let clock = Arc::new(WorldClock);
        let tls = TlsServer::from_pem(certificate.as_bytes(), key.as_bytes(), ca, clock.clone());
        let mut config = setup::world(730, 1);
        config.server.ppp = World::changed(&config.server.ppp, |ppp| {
            ppp.auth = auth.to_vec();
            ppp.tls = Some(Arc::new(tls.unwrap()));
        });
        let mut world = World::new(config);
        let mut client = setup::client("user0");
        let [certificate, key] = [own.0.as_bytes(), own.1.as_bytes()];
        let tls = TlsClient::from_pem(certificate, key, ca, "vpn.example", clock);
        client.ppp.allowed = vec![AuthMethod::EapTls];
        client.ppp.tls = Some(Arc::new(tls.unwrap()));
        let id = world.dial(client, setup::address(0), None, false);
        world.run_until(MINUTE, |world| {
            let state = world.state(id);
            state.down.is_some() || state.ipv4.is_some() && state.ipv6.is_some()
        });
        (world, id)
    }
}

/// How a login failed.
fn failure(world: &World, id: ClientId) -> AuthFailure {
    assert!(matches!(world.state(id).down, Some(DownReason::Ppp(_))));
    let events = world.state(id).events.iter();
    let mut failures = events.filter_map(|event| match event {
        Event::AuthFailed(failure) => Some(failure.clone()),
        _ => None,
    });
    failures.next().expect("a failed login")
}

#[test]
fn a_certificate_is_enough() {
    let ca = Authority::new();
    let mail = SanType::Rfc822Name("user0".try_into().unwrap());
    let principal = SanType::OtherName((
        vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
        rcgen::OtherNameValue::Utf8String("user0".to_owned()),
    ));
    for (common, names) in [
        ("user0", vec![]),
        ("somebody", vec![mail]),
        ("somebody", vec![principal]),
    ] {
        let own = ca.issues(common, names, 2050);
        let (mut world, id) = ca.dial(&own, &[AuthMethod::EapTls]);
        assert!(
            world.run_until_echoes(&[id], MINUTE),
            "{:?}",
            world.state(id)
        );
        let info = &world.server.sessions(world.now())[0];
        assert_eq!(info.user.as_deref(), Some("user0"));
        assert_eq!(world.server.stats().auth_accepted, 1);
    }
}

#[test]
fn certificates_that_let_nobody_in() {
    let ca = Authority::new();
    // Somebody else's, which TLS has nothing against.
    let (world, id) = ca.dial(&ca.issues("user1", vec![], 2050), &[AuthMethod::EapTls]);
    assert!(matches!(
        failure(&world, id),
        AuthFailure::RejectedByPeer { .. }
    ));
    assert_eq!(world.server.stats().auth_rejected, 1);
    // An expired one, and one of another authority.
    for own in [
        ca.issues("user0", vec![], 2022),
        Authority::new().issues("user0", vec![], 2050),
    ] {
        let (world, id) = ca.dial(&own, &[AuthMethod::EapTls, AuthMethod::MsChapV2]);
        assert!(matches!(failure(&world, id), AuthFailure::Tls(_)));
        assert_eq!(world.server.stats().auth_accepted, 0);
    }
}
