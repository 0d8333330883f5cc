//! Rules of the policy.

use adit_link::policy::{Action, Protocol, Starter};

use super::{Folder, TEN_LINES, one, problems};

fn with(lines: &str) -> String {
    format!("{TEN_LINES}[[policy]]\n{lines}\n")
}

#[test]
fn rules_reach_the_server_in_their_order() {
    let text = with(
        "name = \"web\"\nusers = [\"alice\"]\ngroups = [\"staff\"]\n\
         to = [\"10.1.0.0/16\", \"2001:db8:1::/48\", \"clients\"]\nprotocol = \"tcp\"\n\
         ports = [443, \"8000-8100\"]\naction = \"accept\"\n[[policy]]\nfrom = [\"server\"]\n\
         protocol = 47\naction = \"accept\"\nrate = \"10Mbit\"\n[[policy]]\naction = \"drop\"",
    );
    let loaded = Folder::new().load(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let names: Vec<_> = loaded
        .config
        .policy
        .iter()
        .map(|rule| &*rule.name)
        .collect();
    assert_eq!(names, ["web", "rule 2", "rule 3"]);
    let server = loaded.config.server().unwrap();
    let [web, second, rest] = &server.policy[..] else {
        panic!("{:?}", server.policy);
    };
    assert_eq!(
        (&web.users[..], &web.groups[..]),
        (&["alice".to_owned()][..], &["staff".to_owned()][..])
    );
    let remote = web.rule.remote.as_ref().unwrap();
    assert!(remote.clients && !remote.server && remote.nets.len() == 2);
    assert_eq!(web.rule.ports, [443..=443, 8000..=8100]);
    assert_eq!(
        (web.rule.starter, web.rule.action),
        (Starter::Client, Action::Accept)
    );
    assert_eq!(second.rule.starter, Starter::Remote);
    assert_eq!(second.rule.protocol, Some(Protocol::Number(47)));
    let rates = [web, second].map(|rule| rule.rule.rate.as_ref().map(|rate| rate.rate().bits()));
    assert_eq!(rates, [None, Some(10_000_000)]);
    assert_eq!(
        (rest.rule.starter, rest.rule.action),
        (Starter::Either, Action::Drop)
    );
}

#[test]
fn a_rule_for_one_family_must_say_so() {
    let mut lines = Vec::new();
    for (wrong, word) in [
        ("to = [\"10.1.0.0/16\"]", "ipv4"),
        ("from = [\"2001:db8::/32\"]", "ipv6"),
        ("protocol = 1", "ipv4"),
        ("protocol = 58", "ipv6"),
    ] {
        let (line, _, text) = one(&with(&format!("action = \"drop\"\n{wrong}")));
        lines.push(line);
        assert!(text.contains("only") && text.contains(word), "{text}");
        let said = with(&format!("action = \"drop\"\n{wrong}\nfamily = \"{word}\""));
        assert!(Folder::new().load(&said).is_ok(), "{said}");
        let other = if word == "ipv4" { "ipv6" } else { "ipv4" };
        let (_, _, text) = one(&with(&format!(
            "action = \"drop\"\n{wrong}\nfamily = \"{other}\""
        )));
        assert!(text.contains("nothing could match"), "{text}");
    }
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
}

#[test]
fn what_cannot_work_is_told() {
    for (lines, message) in [
        ("users = [\"alice\"]", "is missing"),
        ("action = \"allow\"", "not an action"),
        ("action = \"drop\"\nusers = []", "names nobody"),
        ("action = \"drop\"\nto = []", "names nothing"),
        (
            "action = \"drop\"\nto = [\"internet\"]",
            "\"clients\" or \"server\"",
        ),
        (
            "action = \"drop\"\nto = [\"10.1.0.1/16\"]",
            "inside a network",
        ),
        (
            "action = \"drop\"\nto = [\"clients\"]\nfrom = [\"server\"]",
            "different conversations",
        ),
        ("action = \"drop\"\nports = [53]", "protocol that has ports"),
        (
            "action = \"drop\"\nprotocol = \"icmp\"\nports = [53]",
            "has ports",
        ),
        (
            "action = \"drop\"\nprotocol = \"tcp\"\nports = []",
            "names no port",
        ),
        (
            "action = \"drop\"\nprotocol = \"tcp\"\nports = [0]",
            "not a port",
        ),
        (
            "action = \"drop\"\nprotocol = \"tcp\"\nports = [\"9-8\"]",
            "not a port",
        ),
        ("action = \"drop\"\nprotocol = 256", "not a protocol"),
        ("action = \"drop\"\nprotocol = true", "text or a number"),
        ("action = \"drop\"\nfamily = \"inet\"", "not a family"),
        ("action = \"drop\"\nport = [53]", "no such key"),
        ("action = \"accept\"\nrate = \"fast\"", "8kbit"),
        ("action = \"drop\"\nrate = \"1Mbit\"", "lets nothing pass"),
    ] {
        let found = problems(Folder::new().load(&with(lines)));
        assert!(
            found
                .iter()
                .any(|(line, _, text)| *line > 10 && text.contains(message)),
            "{lines}: {found:?}"
        );
    }
}
