//! Who may prove itself how: `[[ipsec.peer]]`, and the server's certificate.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
    date_time_ymd,
};

use super::*;

const BRANCH: &str = "Wq7xN2vB9mK4tR8sL3dF6gHj";

// The ten lines with more of [ipsec] and peers.
fn with_peers(peers: &str) -> String {
    with("[ipv4]", &format!("{peers}[ipv4]"))
}

impl Folder {
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        crate::users::write_private(&self.path(name), self.0.path(), bytes.as_ref()).unwrap();
    }
}

// A folder with an authority, a server's certificate and its key.
struct Pki {
    folder: Folder,
    ca: CertificateParams,
    ca_key: KeyPair,
    key: KeyPair,
}

impl Pki {
    fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Clients");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pki = Self {
            folder: Folder::new(),
            ca,
            ca_key: KeyPair::generate().unwrap(),
            key: KeyPair::generate().unwrap(),
        };
        let ca = pki.ca.self_signed(&pki.ca_key).unwrap();
        pki.folder.write("ca.pem", ca.pem());
        pki.folder.write("server.key", pki.key.serialize_pem());
        pki.issue(&Self::server());
        pki
    }

    fn server() -> CertificateParams {
        let mut params = CertificateParams::new(vec!["vpn.example.net".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }

    fn issue(&self, params: &CertificateParams) {
        let issuer = Issuer::from_params(&self.ca, &self.ca_key);
        let certificate = params.signed_by(&self.key, &issuer).unwrap();
        self.folder.write("server.pem", certificate.pem());
    }

    fn revoke(&self, next_update: i32) {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.ca, &self.ca_key);
        let crl = params.signed_by(&issuer).unwrap();
        self.folder.write("clients.crl", crl.pem().unwrap());
    }

    // The problems of the ten lines with these in place of psk.
    fn problems(&self, lines: &str) -> Vec<(usize, usize, String)> {
        let text = with("psk = { file = \"psk\" }\n", lines);
        problems(self.folder.load(&text))
    }
}

const CERTIFIED: &str = "certificate = \"server.pem\"\n\
                         key = { file = \"server.key\" }\n\
                         ca = [\"ca.pem\"]\n";

#[test]
fn peers_get_their_keys_by_address() {
    let folder = Folder::new();
    folder.write("branch.psk", format!("{BRANCH}\n"));
    let text = with_peers(&format!(
        "[[ipsec.peer]]\n\
         from = [\"203.0.113.0/24\", \"2001:db8::/32\", \"198.51.100.7\"]\n\
         identity = \"branch-office\"\n\
         psk = {{ file = \"branch.psk\" }}\n\
         [[ipsec.peer]]\n\
         identity = \"road@example.net\"\n\
         psk = \"{BRANCH}x\"\n\
         [[ipsec.peer]]\n\
         identity = \"192.0.2.9\"\n\
         psk = \"{BRANCH}y\"\n"
    ));
    let loaded = folder.load(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let peers = &loaded.config.ipsec.peers;
    assert_eq!(peers.len(), 3);
    assert_eq!(peers[0].psk.expose(), BRANCH);
    assert_eq!(peers[0].from[2].to_string(), "198.51.100.7/32");
    assert_eq!(
        peers[0].identity,
        Some(IdValue::Fqdn("branch-office".into()))
    );
    let road = IdValue::UserFqdn("road@example.net".into());
    assert_eq!(peers[1].identity, Some(road));
    let address = IdValue::Ipv4("192.0.2.9".parse().unwrap());
    assert_eq!(peers[2].identity, Some(address));

    let keyring = loaded.config.server().unwrap().credentials;
    let keys = |address: &str| keyring.for_peer(address.parse().unwrap()).psks.len();
    assert_eq!((keys("203.0.113.9"), keys("2001:db8::1")), (4, 4));
    assert_eq!((keys("198.51.100.7"), keys("198.51.100.8")), (4, 3));
    // In the order of preference, the key of everybody last.
    let psks = &keyring.for_peer("203.0.113.9".parse().unwrap()).psks;
    assert_eq!(psks[0].identity, peers[0].identity);
    assert_eq!(psks[3].identity, None);
}

#[test]
fn a_peer_alone_is_enough() {
    let folder = Folder::new();
    let text = with(
        "psk = { file = \"psk\" }\n",
        "[[ipsec.peer]]\nfrom = [\"203.0.113.0/24\"]\npsk = { file = \"psk\" }\n",
    );
    let config = folder.load(&text).unwrap().config;
    assert!(config.ipsec.psk.is_none());
    let keyring = config.server().unwrap().credentials;
    let keys = |address: &str| keyring.for_peer(address.parse().unwrap()).psks.len();
    assert_eq!((keys("203.0.113.9"), keys("192.0.2.1")), (1, 0));
}

#[test]
fn peers_are_checked_where_they_stand() {
    // Lines of the first peer are counted from its header on line 3.
    for (lines, line, column, expected) in [
        ("identity = \"a\"", 3, 1, "is missing -> write psk"),
        ("psk = \"vpn\"", 4, 7, "everybody tries first"),
        ("psk = { file = \"none\" }", 4, 16, "cannot read"),
        (
            "psk = { file = \"psk\" }\nfrom = []",
            5,
            8,
            "names no range",
        ),
        (
            "psk = { file = \"psk\" }\nfrom = [\"203.0.113.0/24\", \"203.0.113.1/24\"]",
            5,
            27,
            "\"203.0.113.0/24\"",
        ),
        (
            "psk = { file = \"psk\" }\nfrom = [\"here\"]",
            5,
            9,
            "not a range",
        ),
        (
            "psk = { file = \"psk\" }\nfrom = \"203.0.113.0/24\"",
            5,
            8,
            "must be a list",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = \"CN=branch,O=Example\"",
            5,
            12,
            "no form of identity",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = \"@branch\"",
            5,
            12,
            "names are written without",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = \"a@b@c\"",
            5,
            12,
            "is not user@name",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = \"branch office\"",
            5,
            12,
            "without spaces",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = 7",
            5,
            12,
            "must be text",
        ),
        (
            "psk = { file = \"psk\" }\naggressive = true",
            5,
            14,
            "needs an identity",
        ),
        (
            "psk = { file = \"psk\" }\nidentity = \"a\"\naggressive = true",
            6,
            14,
            "gets a hash of the key",
        ),
        (
            "psk = { file = \"psk\" }\naggresive = true",
            5,
            1,
            "did you mean `ipsec.peer.aggressive`?",
        ),
    ] {
        let folder = Folder::new();
        let text = with_peers(&format!("[[ipsec.peer]]\n{lines}\n"));
        let found = problems(folder.load(&text));
        assert_eq!(found.len(), 1, "{lines}\n{found:#?}");
        let (l, c, message) = &found[0];
        assert_eq!((*l, *c), (line, column), "{lines}\n{message}");
        assert!(message.contains(expected), "{lines}\n{message}");
    }
    // Of several the right one is shown.
    let good = "[[ipsec.peer]]\npsk = { file = \"psk\" }\n";
    let text = with_peers(&format!("{good}{good}from = [\"x\"]\n"));
    let (line, _, message) = one(&text);
    assert_eq!(line, 7, "{message}");
    assert!(message.starts_with("`ipsec.peer.from`"), "{message}");

    let (_, _, message) = one(&with_peers("[ipsec.peer]\npsk = { file = \"psk\" }\n"));
    assert!(message.contains("write [[ipsec.peer]]"), "{message}");
    let (line, _, message) = one(&with_peers(&good.repeat(16)));
    assert_eq!(line, 3);
    assert!(message.contains("more than 16 keys"), "{message}");
}

#[test]
fn the_keys_of_peers_are_never_shown() {
    let folder = Folder::new();
    let secret = "SuperSecret99";
    for lines in [
        format!("psk = \"{secret}\""),
        format!("pks = \"{secret}\""),
        format!("psk = [\"{secret}\"]"),
        format!("psk = [{{ text = \"{secret}\" }}]"),
        format!("psk = {{ text = \"{secret}\" }}"),
        format!("preshared = \"{secret}\"\npsk = {{ file = \"psk\" }}"),
    ] {
        let text = with_peers(&format!("[[ipsec.peer]]\n{lines}\n"));
        let report = match folder.load(&text) {
            Ok(loaded) => {
                assert!(!format!("{loaded:?}").contains(secret));
                folder.report(&loaded.warnings)
            }
            Err(errors) => folder.report(&errors.problems),
        };
        assert!(!report.is_empty(), "{text}");
        assert!(!report.contains(secret), "{report}");
    }
    let text = with_peers("[[ipsec.peer]]\npsk = { file = \"psk\" }\nfrom = [\"nowhere\"]\n");
    let report = folder.report(&folder.load(&text).unwrap_err().problems);
    assert!(report.contains("from = [\"nowhere\"]"), "{report}");
}

#[test]
fn a_certificate_takes_the_place_of_a_key() {
    let pki = Pki::new();
    let text = with("psk = { file = \"psk\" }\n", CERTIFIED);
    let loaded = pki.folder.load(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let certificate = loaded.config.ipsec.certificate.as_ref().unwrap();
    assert_eq!(certificate.own.names()[0].to_string(), "vpn.example.net");
    assert_eq!(certificate.trust.issuers().len(), 1);
    let keyring = loaded.config.server().unwrap().credentials;
    let everybody = keyring.for_peer("192.0.2.1".parse().unwrap());
    assert!(everybody.psks.is_empty());
    assert!(everybody.certificate.is_some() && everybody.trust.is_some());
    pki.revoke(2999);
    let revoking = format!("{CERTIFIED}crl = [\"clients.crl\"]\n");
    assert_eq!(pki.problems(&revoking), []);
}

#[test]
fn certificate_key_and_authority_need_each_other() {
    let pki = Pki::new();
    for (left_out, expected) in [
        (
            "certificate = \"server.pem\"\n",
            "`ipsec.certificate`: is missing",
        ),
        (
            "key = { file = \"server.key\" }\n",
            "`ipsec.key`: is missing",
        ),
        ("ca = [\"ca.pem\"]\n", "`ipsec.ca`: is missing"),
    ] {
        let lines = CERTIFIED.replace(left_out, "psk = { file = \"psk\" }\n");
        let found = pki.problems(&lines);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].0, 1);
        assert!(found[0].2.starts_with(expected), "{found:#?}");
    }
    let found = pki.problems("psk = { file = \"psk\" }\ncrl = []\n");
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn files_of_certificates_are_checked_where_they_are_named() {
    let pki = Pki::new();
    pki.folder.write("empty", "# nothing here\n");
    pki.folder
        .write("other.key", KeyPair::generate().unwrap().serialize_pem());
    pki.folder.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    for (old, new, line, column, expected) in [
        ("server.pem", "none", 2, 15, "cannot read"),
        ("server.pem", "empty", 2, 15, "no certificate in it"),
        ("server.key", "none", 3, 16, "cannot read"),
        ("server.key", "empty", 3, 7, "no private key in it"),
        (
            "server.key",
            "other.key",
            3,
            7,
            "is not that of the certificate",
        ),
        ("server.key", "locked.key", 3, 7, "openssl pkey"),
        ("ca.pem", "none", 4, 7, "cannot read"),
        ("ca.pem", "empty", 4, 7, "no certificate in it"),
        ("ca.pem", "server.pem", 4, 7, "is not a CA's"),
        ("[\"ca.pem\"]", "[]", 4, 6, "names no authority"),
        (
            "[\"ca.pem\"]",
            "[\"ca.pem\"]\ncrl = [\"ca.pem\"]",
            5,
            8,
            "no revocation list",
        ),
    ] {
        let found = pki.problems(&CERTIFIED.replace(old, new));
        assert_eq!(found.len(), 1, "{new}\n{found:#?}");
        let (l, c, message) = &found[0];
        assert_eq!((*l, *c), (line, column), "{message}");
        assert!(message.contains(expected), "{new}\n{message}");
    }
    // A key in place of a file's name is as secret as a PSK.
    let lines = CERTIFIED.replace("{ file = \"server.key\" }", "\"SuperSecret99\"");
    let text = with("psk = { file = \"psk\" }\n", &lines);
    let report = pki
        .folder
        .report(&pki.folder.load(&text).unwrap_err().problems);
    assert!(!report.contains("SuperSecret99"), "{report}");
}

#[test]
fn what_clients_will_not_like_is_told() {
    let pki = Pki::new();
    let one = |params: &CertificateParams| {
        pki.issue(params);
        let found = pki.problems(CERTIFIED);
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].2.clone()
    };
    let mut params = Pki::server();
    params.not_after = date_time_ymd(2020, 1, 1);
    assert!(one(&params).contains("has expired"));
    params.not_after = (SystemTime::now() + Duration::from_secs(10 * 86_400 + 60)).into();
    assert!(one(&params).contains("expires in 10 days"));
    let mut params = Pki::server();
    params.not_before = date_time_ymd(2999, 1, 1);
    assert!(one(&params).contains("is not valid yet"));
    let mut params = Pki::server();
    params.subject_alt_names.clear();
    assert!(one(&params).contains("no subjectAltName"));
    let mut params = Pki::server();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert!(one(&params).contains("neither IKE nor serverAuth"));

    pki.issue(&Pki::server());
    pki.revoke(2021);
    let found = pki.problems(&format!("{CERTIFIED}crl = [\"clients.crl\"]\n"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].2.contains("past its nextUpdate"), "{found:#?}");
}
