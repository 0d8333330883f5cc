//! The users file: what is read out of it, and where its faults are.

use std::net::Ipv4Addr;

use adit_crypto::ppp::NtHash;

use super::super::networks::Networks;
use super::{Table, parse};
use crate::config::{self, line_column};
use crate::time::rfc3339;

const HASH: &str = "44ebba8d5312b8d611474411f56989ae";

/// A configuration of both families with delegation, and `change` applied to its text.
fn networks(change: impl Fn(&str) -> String) -> Networks {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adit.toml");
    let text = "[ipsec]\npsk = \"kL9mQ2xT7vB4nR8wZ3cD6fGh\"\n[ipv4]\npool = \"10.77.0.0/16\"\n\
                dns = [\"10.77.0.1\"]\n[ipv6]\nprefix = \"2001:db8:77::/48\"\n\
                dns = [\"2001:db8:77::1\"]\ndelegate = \"2001:db8:78::/48\"\n";
    std::fs::write(&path, change(text)).unwrap();
    Networks::from(&config::load_with(&path, []).unwrap().config)
}

fn dual() -> Networks {
    networks(str::to_owned)
}

/// Place and text of the fault of a file.
fn fault(text: &str) -> ((usize, usize), String) {
    fault_in(&dual(), text)
}

fn fault_in(networks: &Networks, text: &str) -> ((usize, usize), String) {
    let judged = parse(text).and_then(|table| networks.judge(&table));
    let fault = judged.expect_err(text);
    (line_column(text, fault.at), fault.message)
}

fn good(text: &str) -> Table {
    parse(text)
        .and_then(|table| dual().judge(&table).map(|()| table))
        .unwrap_or_else(|fault| panic!("{text}: {}", fault.message))
}

#[test]
fn users_are_read() {
    let text = format!(
        "[users.alice]\nnt-hash = \"{HASH}\"\n[users.\"bob@example.com\"]\npassword = \
         \"clientPass\"\ndisabled = true\n"
    );
    let users = good(&text).users;
    let alice = &users["alice"];
    // RFC 2759 section 9.2: the NtPasswordHash of "clientPass".
    assert_eq!(
        alice.nt_hash.as_ref().unwrap().as_bytes(),
        NtHash::of_password("clientPass").as_bytes()
    );
    assert!(!alice.disabled);
    let bob = &users["bob@example.com"];
    assert_eq!(bob.password.as_ref().unwrap().expose(), "clientPass");
    assert!(bob.disabled);
}

#[test]
fn what_a_user_has_alone_is_read() {
    let table = good(
        "[users.alice]\npassword = \"x\"\nipv4 = \"10.77.0.10\"\nipv6-prefix = \
         \"2001:db8:77:10::/64\"\ndelegated-prefix = \"2001:db8:78:100::/56\"\ngroup = \
         \"staff\"\nsessions = 3\nrate = \"50Mbit\"\nexpires = 2027-03-31\n\
         [groups.staff]\nsessions = 2\nrate = \"8kbit\"\nroutes = \
         [\"10.0.0.0/8\", \"2001:db8::/32\"]\nexpires = \"2027-01-01T12:00:00+01:00\"\n\
         [groups.empty]\n[users.bob]\npassword = \"x\"\nexpires = 2027-03-31T18:00:00Z\n",
    );
    let alice = &table.users["alice"];
    let ipv4 = alice.ipv4.as_ref().unwrap();
    assert_eq!(ipv4.value, Ipv4Addr::new(10, 77, 0, 10));
    assert_eq!(
        alice.ipv6.as_ref().unwrap().value,
        "2001:db8:77:10::/64".parse().unwrap()
    );
    assert_eq!(
        alice.delegated.as_ref().unwrap().value,
        "2001:db8:78:100::/56".parse().unwrap()
    );
    assert_eq!(alice.group.as_ref().unwrap().value, "staff");
    assert_eq!(alice.sessions, Some(3));
    let rates = [alice.rate, table.groups["staff"].rate].map(|rate| rate.map(|rate| rate.bits()));
    assert_eq!(rates, [Some(50_000_000), Some(8_000)]);
    assert_eq!(
        alice.expires.map(rfc3339).as_deref(),
        Some("2027-04-01T00:00:00Z")
    );
    let bob = table.users["bob"].expires.map(rfc3339);
    assert_eq!(bob.as_deref(), Some("2027-03-31T18:00:00Z"));
    let staff = &table.groups["staff"];
    assert_eq!(
        staff.expires.map(rfc3339).as_deref(),
        Some("2027-01-01T11:00:00Z")
    );
    assert_eq!(staff.routes.as_ref().unwrap().value.len(), 2);
    assert!(table.groups["empty"].routes.is_none());
}

#[test]
fn faults_are_found_where_they_are() {
    let (at, message) = fault("[users.alice]\nnt-hash = \"+4ebba8d5312b8d611474411f56989a\"");
    assert_eq!(at, (2, 11));
    assert!(message.contains("32 hexadecimal"), "{message}");
    assert_eq!(fault("[users.alice]\n").0, (1, 8));
    assert_eq!(fault("[users.a]\npasswrd = \"x\"").0, (2, 1));
    assert_eq!(fault("[user.a]\npassword = \"x\"").0, (1, 2));
    assert_eq!(fault("[users.a]\npassword = 12345678").0, (2, 12));
    assert_eq!(fault("[users.a]\npassword = \"abc").0.0, 2);
    assert_eq!(fault("users = 3").0, (1, 1));
    assert_eq!(fault("groups.a = 3").0, (1, 8));
    let (at, message) = fault("[groups.\"CORP\\\\a\"]");
    assert_eq!(at, (1, 9));
    assert!(message.contains("a group's name"), "{message}");
}

#[test]
fn each_key_says_what_to_write() {
    let user = |line: &str| fault(&format!("[users.a]\npassword = \"x\"\n{line}\n"));
    for (line, column, says) in [
        ("ipv4 = \"10.77.0\"", 8, "10.77.0.10"),
        ("ipv4 = 10", 8, "10.77.0.10"),
        ("ipv4 = \"10.78.0.1\"", 8, "one of ipv4.pool, 10.77.0.0/16"),
        (
            "ipv4 = \"10.77.0.1\"",
            8,
            "10.77.0.1, which is the server's",
        ),
        ("ipv4 = \"10.77.255.255\"", 8, "nor its last"),
        (
            "ipv6-prefix = \"2001:db8:77:1::\"",
            15,
            "2001:db8:77:10::/64",
        ),
        (
            "ipv6-prefix = \"2001:db8:77:1::1/64\"",
            15,
            "write \"2001:db8:77:1::/64\"",
        ),
        ("ipv6-prefix = \"2001:db8:77:100::/56\"", 15, "write a /64"),
        (
            "ipv6-prefix = \"2001:db8:99:1::/64\"",
            15,
            "a /64 of 2001:db8:77::/48",
        ),
        (
            "ipv6-prefix = \"2001:db8:77::/64\"",
            15,
            "the server's own prefix",
        ),
        (
            "delegated-prefix = \"2001:db8:78:1::/64\"",
            20,
            "write a /56",
        ),
        (
            "delegated-prefix = \"2001:db8:79:100::/56\"",
            20,
            "ipv6.delegate",
        ),
        ("group = \"nobody\"", 9, "[groups.NAME]"),
        ("sessions = 0", 12, "from 1 to"),
        ("sessions = \"two\"", 12, "without quotes"),
        ("rate = 50", 8, "such as"),
        ("rate = \"7kbit\"", 8, "8kbit"),
        ("expires = \"tomorrow\"", 11, "2027-03-31"),
        ("expires = 2027-03-31T18:00:00", 11, "offset"),
        ("expires = 2027-02-30", 11, ""),
        ("disabled = \"yes\"", 12, "true or false"),
    ] {
        let (at, message) = user(line);
        assert_eq!(at, (3, column), "{line}: {message}");
        assert!(message.contains(says), "{line}: {message}");
    }
    let group = |line: &str| fault(&format!("[groups.g]\n{line}\n"));
    for (line, column, says) in [
        (
            "routes = \"10.0.0.0/8\"",
            10,
            "list of networks of both families",
        ),
        ("routes = [\"10.0.0.0/8\", \"x\"]", 25, "list of networks"),
        (
            "routes = [\"10.0.0.1/8\"]",
            11,
            "write the network itself: \"10.0.0.0/8\"",
        ),
        ("routes = [\"10.0.0.0/8\"]", 10, "no IPv6 network"),
        ("routes = [\"2001:db8::/32\"]", 10, "no IPv4 network"),
        ("dns = [\"1.1.1.1\"]", 1, "a group has only"),
    ] {
        let (at, message) = group(line);
        assert_eq!(at, (2, column), "{line}: {message}");
        assert!(message.contains(says), "{line}: {message}");
    }
    good("[groups.g]\nroutes = []\n");
    let many: Vec<String> = (0..60).map(|i| format!("\"10.{i}.0.0/16\"")).collect();
    let (_, message) = group(&format!(
        "routes = [\"2001:db8::/32\", {}]",
        many.join(", ")
    ));
    assert!(message.contains("too many IPv4 routes"), "{message}");
    let many: Vec<String> = (0..60).map(|i| format!("\"2001:db8:{i}::/48\"")).collect();
    let (_, message) = group(&format!("routes = [\"10.0.0.0/8\", {}]", many.join(", ")));
    assert!(message.contains("too many IPv6 routes"), "{message}");
}

#[test]
fn nobody_has_what_another_has() {
    for line in [
        "ipv4 = \"10.77.0.9\"",
        "ipv6-prefix = \"2001:db8:77:9::/64\"",
        "delegated-prefix = \"2001:db8:78:900::/56\"",
    ] {
        // The later line is at fault, whatever the order of the names.
        for (first, second) in [("a", "b"), ("b", "a")] {
            let (at, message) = fault(&format!(
                "[users.{first}]\npassword = \"x\"\n{line}\n[users.{second}]\npassword = \
                 \"x\"\n{line}\n"
            ));
            assert_eq!(at.0, 6, "{message}");
            assert!(message.contains(&format!("{first:?}")), "{message}");
        }
    }
}

#[test]
fn a_family_that_is_off_is_not_judged() {
    let text = "[users.a]\npassword = \"x\"\nipv6-prefix = \"2001:db8:99::/56\"\ndelegated-prefix \
                = \"2001:db8:98::/56\"\n[groups.g]\nroutes = [\"10.0.0.0/8\"]\n";
    assert_eq!(fault(text).0, (3, 15));
    for mode in ["off", "block"] {
        let off =
            networks(|text| text.replace("prefix =", &format!("mode = \"{mode}\"\nprefix =")));
        let table = parse(text).map_err(|fault| fault.message).unwrap();
        assert!(off.judge(&table).is_ok(), "{mode}");
    }
    let none = networks(|text| text.replace("delegate =", "# "));
    let text = "[users.a]\npassword = \"x\"\ndelegated-prefix = \"2001:db8:78:100::/56\"\n";
    let (at, message) = fault_in(&none, text);
    assert_eq!(at, (3, 20));
    assert!(message.contains("set ipv6.delegate"), "{message}");
}

#[test]
fn no_fault_repeats_a_secret() {
    for text in [
        "[users.a]\npassword = 12345678",
        "[users.a]\npassword = \"12345678",
        "[users.a]\nnt-hash = \"12345678\"",
        "[users.a]\npasword = \"12345678\"",
        "[users.a]\nipv4 = \"12345678\"",
        "[users.a]\nexpires = \"12345678\"",
        "[users.a]\nsessions = 123456789",
        "[users.a]\ngroup = \"12345678\"\npassword = \"x\"",
        "[groups.a]\nroutes = [\"12345678\"]",
    ] {
        let (_, message) = fault(text);
        assert!(!message.contains("12345678"), "{message}");
    }
}
