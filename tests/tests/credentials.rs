//! Who may prove itself how, by address and by identity.

use std::sync::Arc;
use std::time::Duration;

use adit_cert::{OwnCertificate, Trust};
use adit_ike::{Credentials, IdValue, Mode, PreSharedKey, Psk};
use adit_server::{Keyring, RangedKey};
use adit_tests::{ClientId, World, WorldConfig, setup};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A key for one client's address, or for anywhere.
fn key(psk: &str, client: Option<usize>) -> RangedKey {
    RangedKey {
        from: client
            .map(|index| setup::address(index).into())
            .into_iter()
            .collect(),
        key: PreSharedKey {
            key: Arc::new(Psk::new(psk)),
            identity: None,
            aggressive: false,
        },
    }
}

fn world(everybody: Option<&str>, keys: &[RangedKey]) -> WorldConfig {
    let everybody = everybody.map(|psk| Credentials::psk(Arc::new(Psk::new(psk))));
    let mut config = setup::world(31, 6);
    config.server.credentials = Arc::new(Keyring::new(&everybody.unwrap_or_default(), keys));
    config
}

/// Dials from the address of a client with a key.
fn dial(world: &mut World, index: usize, psk: &str) -> ClientId {
    let mut config = setup::client(&format!("user{index}"));
    config.credentials = setup::credentials(psk);
    world.dial(config, setup::address(index), None, false)
}

fn is_up(world: &mut World, id: ClientId) -> bool {
    world.run_until(2 * MINUTE, |world| {
        let state = world.state(id);
        state.down.is_some() || (state.ipv4.is_some() && state.router.is_some())
    });
    world.state(id).down.is_none() && world.state(id).ipv4.is_some()
}

#[test]
fn a_key_for_one_address_lets_in_nobody_else() {
    let mut world = World::new(world(None, &[key("for the first", Some(0))]));
    let first = dial(&mut world, 0, "for the first");
    assert!(is_up(&mut world, first), "{:?}", world.state(first));
    let second = dial(&mut world, 1, "for the first");
    assert!(!is_up(&mut world, second));
    assert_eq!(world.server.stats().ike_established, 1);
    assert_eq!(world.server.sessions(world.now()).len(), 1);
}

#[test]
fn the_key_of_everybody_holds_beside_that_of_an_address() {
    let keys = [key("for the first", Some(0)), key("anywhere", None)];
    let mut world = World::new(world(Some("everybody"), &keys));
    for (index, psk) in [(0, "everybody"), (1, "anywhere")] {
        let id = dial(&mut world, index, psk);
        assert!(is_up(&mut world, id), "{psk}: {:?}", world.state(id));
    }
    let mut wrong = World::new(self::world(Some("everybody"), &keys));
    let id = dial(&mut wrong, 1, "for the first");
    assert!(!is_up(&mut wrong, id));
}

#[test]
fn aggressive_mode_is_for_who_is_named() {
    let mut named = key("for the branch", None);
    named.key.identity = Some(IdValue::Fqdn("branch".to_owned()));
    named.key.aggressive = true;
    let mut world = World::new(world(Some("everybody"), &[named]));
    let mut aggressive = |index: usize, name: &str, psk: &str| {
        let mut config = setup::client(&format!("user{index}"));
        config.credentials = setup::credentials(psk);
        config.identity = Some(IdValue::Fqdn(name.to_owned()));
        config.mode = Mode::Aggressive;
        let id = world.dial(config, setup::address(index), None, false);
        is_up(&mut world, id)
    };
    assert!(!aggressive(0, "branch", "everybody"));
    assert!(!aggressive(1, "office", "everybody"));
    assert!(!aggressive(2, "office", "for the branch"));
    assert!(aggressive(3, "branch", "for the branch"));
}

/// An authority with a P-256 key.
struct Authority(CertificateParams, KeyPair);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(params, KeyPair::generate().unwrap())
    }

    fn issue(&self, name: &str, serial: u64) -> Arc<OwnCertificate> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.0, &self.1);
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        let own = OwnCertificate::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes());
        Arc::new(own.unwrap())
    }

    /// Belief in this authority, but not in one certificate.
    fn trust(&self, revoked: u64) -> Arc<Trust> {
        let crl = CertificateRevocationListParams {
            this_update: date_time_ymd(2000, 1, 1),
            next_update: date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(revoked),
                revocation_time: date_time_ymd(2000, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.0, &self.1);
        let crl = crl.signed_by(&issuer).unwrap();
        let root = self.0.self_signed(&self.1).unwrap();
        Arc::new(Trust::from_pem(root.pem().as_bytes(), crl.der()).unwrap())
    }
}

#[test]
fn certificates_let_in_beside_keys() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut config = setup::world(32, 6);
    let everybody = Credentials {
        certificate: Some(ours.issue("vpn.example.net", 2)),
        trust: Some(ours.trust(9)),
        ..Credentials::psk(Arc::new(Psk::new("everybody")))
    };
    config.server.credentials = Arc::new(everybody.into());
    let mut world = World::new(config);
    let mut certified = |index: usize, own: Arc<OwnCertificate>, trust: Arc<Trust>| {
        let mut config = setup::client(&format!("user{index}"));
        config.credentials = Arc::new(Credentials {
            psks: Vec::new(),
            certificate: Some(own),
            trust: Some(trust),
        });
        let id = world.dial(config, setup::address(index), None, false);
        let up = is_up(&mut world, id);
        (up, format!("{:?}", world.state(id).down))
    };
    // Who is not ours, who is no more, who does not believe in the server, or no longer.
    for (index, (own, trust, expected)) in [
        (
            theirs.issue("laptop", 3),
            ours.trust(9),
            "Refused { notify: 20 }",
        ),
        (
            ours.issue("laptop", 9),
            ours.trust(8),
            "Refused { notify: 20 }",
        ),
        (
            ours.issue("laptop", 3),
            theirs.trust(9),
            "Untrusted(Signature)",
        ),
        (ours.issue("laptop", 3), ours.trust(2), "Untrusted(Revoked)"),
    ]
    .into_iter()
    .enumerate()
    {
        let (up, why) = certified(index, own, trust);
        assert!(!up && why.contains(expected), "{why}");
    }
    let (up, why) = certified(4, ours.issue("laptop", 3), ours.trust(9));
    assert!(up, "{why}");
    let id = dial(&mut world, 5, "everybody");
    assert!(is_up(&mut world, id), "{:?}", world.state(id));
    let sessions = world.server.sessions(world.now());
    let mut methods: Vec<_> = sessions
        .iter()
        .map(|it| it.ike.as_ref().unwrap().auth.as_str())
        .collect();
    methods.sort_unstable();
    assert_eq!(methods, ["ecdsa-256", "psk"]);
}
