//! `adit quickstart`.

use super::*;

#[test]
fn quickstart_makes_what_is_missing_and_tells_how_to_connect() {
    let lab = Lab::new();
    let args = [
        "quickstart",
        "--no-serve",
        "--dir",
        "new",
        "--public",
        "vpn.example.com",
    ];
    let first = lab.run(&args);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let psk = lab.read("new/psk");
    assert_eq!(psk.trim().len(), 24);
    assert!(
        first.stdout.contains(&format!("-L2tpPsk '{}'", psk.trim())),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("gateway=vpn.example.com"));
    assert!(
        first
            .stdout
            .contains("a routed /56 or /48 to this server's address")
    );
    for file in ["new/adit.toml", "new/psk", "new/users.toml"] {
        assert_eq!(lab.mode(file), 0o600, "{file}");
    }
    assert_eq!(lab.mode("new"), 0o700);
    let checked = lab.run(&["check", "--config", "new/adit.toml"]);
    assert_eq!(checked.status, 0, "{}", checked.stderr);

    let before = lab.read("new/adit.toml");
    let again = lab.run(&args);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(
        (lab.read("new/psk"), lab.read("new/adit.toml")),
        (psk, before)
    );
    assert!(
        again.stdout.contains("adit user passwd 'vpn'"),
        "{}",
        again.stdout
    );

    let routed = lab.run(&[&args[..], &["--ipv6-prefix", "2001:db8:77::/48"]].concat());
    assert_eq!(routed.status, 0, "{}", routed.stderr);
    assert!(
        routed
            .stdout
            .contains("each client gets a /64 out of 2001:db8:77::/48")
    );
    assert!(
        lab.read("new/adit.toml")
            .contains("prefix = \"2001:db8:77::/48\"")
    );
}

#[test]
fn quickstart_refuses_before_it_writes() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("empty")).unwrap();
    for (flag, value, why) in [
        ("--ipv6-prefix", "2001:db8:77::/64", "no room"),
        ("--ipv6-prefix", "fe80::/16", "cannot be routed"),
        ("--public", "https://vpn.example.com", "without a port"),
    ] {
        let output = lab.run(&["quickstart", "--no-serve", "--dir", "empty", flag, value]);
        assert_eq!(output.status, 2, "{value}: {}", output.stderr);
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
    assert!(is_empty(&lab.path("empty")));
}

#[test]
fn quickstart_keeps_secrets_out_of_the_journal() {
    let lab = Lab::new();
    let args = [
        "quickstart",
        "--no-serve",
        "--dir",
        "new",
        "--public",
        "192.0.2.1",
    ];
    let output = lab.run_with(&args, &[("JOURNAL_STREAM", "8:1")], "");
    assert_eq!(output.status, 0, "{}", output.stderr);
    let psk = lab.read("new/psk");
    assert!(!output.stdout.contains(psk.trim()));
    assert!(
        output.stdout.contains("adit user passwd 'vpn'"),
        "{}",
        output.stdout
    );
}
