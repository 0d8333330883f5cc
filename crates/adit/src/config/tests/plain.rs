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
        "hello = \"20s\"\nplain-from = [\"10.9.0.0/16\", \"192.0.2.7\", \"fd00:9::/32\"]\nplain-port = 1702",
    );
    let config = Folder::new().load(&text).unwrap().config;
    assert_eq!(config.l2tp.plain.as_ref().unwrap().port, 1702);
    let server = config.server().unwrap();
    let plain = server.plain.unwrap();
    let from: Vec<_> = plain.from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["10.9.0.0/16", "192.0.2.7/32", "fd00:9::/32"]);
    assert_eq!(plain.l2tp.hello_idle, server.l2tp.hello_idle);
    assert!(plain.l2tp.max_sessions > server.l2tp.max_sessions);
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
