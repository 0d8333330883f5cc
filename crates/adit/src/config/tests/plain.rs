//! L2TP without IPsec.

use super::{Folder, TEN_LINES, one, problems};

fn with(lines: &str) -> String {
    format!("{TEN_LINES}[l2tp]\n{lines}\n")
}

#[test]
fn there_is_none_unless_networks_are_named() {
    let folder = Folder::new();
    for text in [TEN_LINES.to_owned(), with("plain-from = []")] {
        let config = folder.load(&text).unwrap().config;
        assert!(config.l2tp.plain.is_none());
        assert!(config.server().unwrap().plain.is_none());
    }
}

#[test]
fn networks_and_addresses_of_both_families_reach_the_server() {
    let text = with(
        "hello = \"20s\"\nsecret = \"kL9mQ2xT7vB4nR8wZ3cD\"\nplain-from = [\"10.9.0.0/16\", \"192.0.2.7\", \"fd00:9::/32\"]\nplain-port = 1702",
    );
    let config = Folder::new().load(&text).unwrap().config;
    assert_eq!(config.l2tp.plain.as_ref().unwrap().port, 1702);
    let server = config.server().unwrap();
    let plain = server.plain.unwrap();
    let from: Vec<_> = plain.from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["10.9.0.0/16", "192.0.2.7/32", "fd00:9::/32"]);
    assert_eq!(plain.l2tp.hello_idle, server.l2tp.hello_idle);
    assert!(plain.l2tp.max_sessions > server.l2tp.max_sessions);
    // Inside IPsec nobody is asked.
    assert_eq!((plain.l2tp.challenge, server.l2tp.challenge), (true, false));
    assert!(plain.l2tp.secret.is_some() && plain.l2tp.secret == server.l2tp.secret);
    assert!(plain.lacs.is_empty());
}

#[test]
fn what_cannot_work_is_told() {
    for (lines, message) in [
        ("plain-from = \"10.9.0.0/16\"", "must be a list"),
        ("plain-from = [\"10.9.0.1/16\"]", "inside a network"),
        ("plain-from = [\"lac\"]", "not a range"),
        (
            "plain-from = [\"10.9.0.0/16\"]\nplain-port = 4500",
            "ports of IKE",
        ),
        ("plain-port = 1702", "does nothing without"),
        ("plain-from = [\"::/0\"]", "is everywhere"),
    ] {
        let found = problems(Folder::new().load(&with(lines)));
        assert!(
            found
                .iter()
                .any(|(line, _, text)| *line > 10 && text.contains(message)),
            "{found:?}"
        );
    }
    let (line, _, text) = one(&with("plain-port = 1702"));
    assert_eq!(line, 12);
    assert!(text.contains("plain-from = ["), "{text}");
}

#[test]
fn secrets_of_some_access_concentrators() {
    let folder = Folder::new();
    let lines = "plain-from = [\"10.9.0.0/16\"]\n[[l2tp.peer]]\nfrom = [\"10.9.0.2\"]\n\
                 host-name = \"lac1\"\nsecret = { file = \"psk\" }\n[[l2tp.peer]]\n\
                 secret = \"pT7vB4nR8wZ3cD6fGhJk\"";
    let loaded = folder.load(&with(lines)).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let plain = loaded.config.server().unwrap().plain.unwrap();
    assert!(plain.l2tp.secret.is_none());
    let [one, other] = &plain.lacs[..] else {
        panic!("two: {:?}", plain.lacs);
    };
    assert_eq!(one.host_name.as_deref(), Some("lac1"));
    assert_eq!(
        Some(&one.secret),
        adit_l2tp::Secret::new(super::PSK).as_ref()
    );
    assert_eq!((other.from.len(), &other.host_name), (0, &None));
}

#[test]
fn secrets_that_are_missing_weak_or_idle_are_told_and_never_shown() {
    for (lines, message) in [
        ("plain-from = [\"10.9.0.0/16\"]", "no tunnel secret"),
        ("secret = \"\"", "is empty"),
        ("secret = \"hunter2\"", "guess it offline"),
        ("secret = { file = \"gone\" }", "cannot read"),
        (
            "[[l2tp.peer]]\nhost-name = \"lac1\"",
            "`l2tp.peer.secret`: is missing",
        ),
        (
            "[[l2tp.peer]]\nfrom = []\nsecret = \"hunter2\"",
            "names no range",
        ),
        (
            "[[l2tp.peer]]\nsecret = \"kL9mQ2xT7vB4nR8wZ3cD\"",
            "does nothing without",
        ),
    ] {
        let folder = Folder::new();
        let result = folder.load(&with(lines));
        let shown = match &result {
            Ok(loaded) => folder.report(&loaded.warnings),
            Err(errors) => folder.report(&errors.problems),
        };
        assert!(
            !shown.contains("hunter2") && !shown.contains("kL9m"),
            "{shown}"
        );
        let found = problems(result);
        assert!(
            found.iter().any(|(.., text)| text.contains(message)),
            "{message}: {found:?}"
        );
    }
}
