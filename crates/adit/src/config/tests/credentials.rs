//! Who may prove itself how: `[[ipsec.peer]]`.

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
