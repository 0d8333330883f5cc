//! `[ipv4]` and `[ipv6]` beside pool, prefix and resolvers.

use adit_link::nd::Preference;

use super::{Folder, one, problems, with};

#[test]
fn the_way_to_6to4_hosts_needs_routed_ipv6() {
    let lines = |more: &str| with("[ipv6]", &format!("[ipv6]\n{more}"));
    let six_to_four = |more: &str| {
        let loaded = Folder::new().load(&lines(more)).unwrap();
        loaded.config.ipv6.unwrap().six_to_four
    };
    assert!(!six_to_four("") && six_to_four("six-to-four = true"));
    let (_, _, text) = one(&lines("six-to-four = true\nmode = \"block\""));
    assert!(text.contains("routed"), "{text}");
}

#[test]
fn a_split_tunnel_and_delegation_reach_the_server() {
    let text = with(
        "[ipv6]",
        "routes = [\"10.0.0.0/8\"]\ndomain = \"corp.example.org\"\n[ipv6]\n\
         routes = [\"2001:db8::/32\"]\nsearch = [\"corp.example.org\", \"lab\"]\n\
         router-preference = \"low\"\ndelegate = \"2001:db8:78::/48\"\ndelegate-length = 60",
    );
    let server = Folder::new().load(&text).unwrap().config.server().unwrap();
    let ipv4 = server.ipv4.unwrap();
    assert_eq!(ipv4.routes, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(ipv4.domain.unwrap().as_str(), "corp.example.org");
    let ipv6 = server.ipv6.unwrap();
    assert_eq!(ipv6.routes, ["2001:db8::/32".parse().unwrap()]);
    assert_eq!(ipv6.search.len(), 2);
    assert_eq!(ipv6.preference, Preference::Low);
    let delegate = ipv6.delegate.unwrap();
    assert_eq!(delegate.prefix, "2001:db8:78::/48".parse().unwrap());
    assert_eq!(delegate.length, 60);
    assert!(!ipv6.blocked);
}

#[test]
fn blocked_ipv6_needs_no_prefix_and_no_resolver() {
    let text = "[ipsec]\npsk = \"a long key that no dictionary holds\"\n[ipv4]\n\
                pool = \"10.77.0.0/16\"\ndns = [\"10.77.0.1\"]\n[ipv6]\nmode = \"block\"\n\
                [users]\nfile = \"users.toml\"\n";
    let ipv6 = Folder::new()
        .load(text)
        .unwrap()
        .config
        .server()
        .unwrap()
        .ipv6
        .unwrap();
    assert!(ipv6.blocked);
    assert!(ipv6.prefix.network().is_unique_local());
}

#[test]
fn what_cannot_work_is_told_with_what_to_write() {
    let many4: Vec<String> = (0..40).map(|net| format!("\"10.{net}.0.0/24\"")).collect();
    let many6: Vec<String> = (0..17)
        .map(|net| format!("\"2001:db8:{net}::/48\""))
        .collect();
    let cases = [
        (
            "routes = [\"10.0.0.0/8\"]\n[ipv6]".to_owned(),
            "one family only",
        ),
        (
            "[ipv6]\nroutes = [\"2001:db8::/32\"]".into(),
            "one family only",
        ),
        (
            format!(
                "routes = [{}]\n[ipv6]\nroutes = [\"2001:db8::/32\"]",
                many4.join(",")
            ),
            "255 bytes",
        ),
        (
            format!(
                "routes = [\"10.0.0.0/8\"]\n[ipv6]\nroutes = [{}]",
                many6.join(",")
            ),
            "carries 16",
        ),
        (
            "[ipv6]\nroutes = [\"10.0.0.0/8\"]".into(),
            "routes of [ipv4]",
        ),
        (
            "[ipv6]\nroutes = [\"2001:db8::1/32\"]".into(),
            "2001:db8::/32",
        ),
        (
            "[ipv6]\nsearch = [\"no domain\"]".into(),
            "corp.example.org",
        ),
        ("[ipv6]\nrouter-preference = \"best\"".into(), "\"medium\""),
        (
            "[ipv6]\ndelegate = \"2001:db8:77:8000::/52\"".into(),
            "overlaps",
        ),
        ("[ipv6]\ndelegate = \"2001:db8:78::/60\"".into(), "smaller"),
    ];
    for (text, expected) in cases {
        let found = problems(Folder::new().load(&with("[ipv6]", &text)));
        let told = format!("{found:?}");
        assert!(!found.is_empty(), "{text}");
        assert!(
            told.replace("\\\"", "\"").contains(expected),
            "{text}: {told}"
        );
    }
}

/// A configuration with this `[ipv6]` table.
fn ipv6(table: &str) -> String {
    format!(
        "[ipsec]\npsk = \"a long key that no dictionary holds\"\n[ipv4]\npool = \"10.77.0.0/16\"\n\
         dns = [\"10.77.0.1\"]\n[ipv6]\ndns = [\"2001:db8::1\"]\n{table}\n[users]\n\
         file = \"users.toml\"\n"
    )
}

#[test]
fn an_on_link_prefix_is_shared_and_not_cut() {
    let good = "prefix = \"2001:db8:1:2::/64\"\nnd-proxy = \"eth0.7\"";
    let loaded = Folder::new().load(&ipv6(good)).unwrap();
    let read = loaded.config.ipv6.as_ref().unwrap();
    assert_eq!(read.nd_proxy.as_deref(), Some("eth0.7"));
    // Without it the same prefix has no room.
    let alone = problems(Folder::new().load(&ipv6("prefix = \"2001:db8:1:2::/64\"")));
    assert!(format!("{alone:?}").contains("has no room"), "{alone:?}");
    for (table, expected) in [
        (
            "prefix = \"2001:db8:1::/48\"\nnd-proxy = \"eth0\"",
            "is no /64",
        ),
        (
            "prefix = \"2001:db8:1:2::/64\"\nclient-prefix-length = 60\nnd-proxy = \"eth0\"",
            "all clients share one /64",
        ),
        (
            "prefix = \"2001:db8:1:2::/64\"\nmode = \"block\"\nnd-proxy = \"eth0\"",
            "routed",
        ),
        (
            "prefix = \"2001:db8:1:2::/64\"\nnd-proxy = \"no interface\"",
            "not an interface name",
        ),
        (
            "prefix = \"2001:db8:1:2::/64\"\ndelegate = \"2001:db8:1:2::/64\"\n\
             delegate-length = 64\nnd-proxy = \"eth0\"",
            "overlaps",
        ),
    ] {
        let found = format!("{:?}", problems(Folder::new().load(&ipv6(table))));
        assert!(found.contains(expected), "{table}: {found}");
    }
}
