//! The command line, and `adit check`.

use super::*;

#[test]
fn a_wrong_command_line_is_status_2() {
    let lab = Lab::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["check", "--colour"],
        &["user", "add"],
        &["probe"],
        &["probe", "host", "--psk", "secret"],
    ] {
        let output = lab.run(args);
        assert_eq!(output.status, 2, "{args:?}: {}", output.stderr);
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(lab.run(&["--help"]).status, 0);
    let version = lab.run(&["--version"]);
    assert_eq!(
        version.stdout.trim(),
        concat!("adit ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn check_accepts_a_good_file() {
    let output = Lab::new().check(&[]);
    assert_eq!(output.status, 0, "{}", output.stderr);
    let expected = "adit.toml can be used (0 warnings): IPv4 10.77.0.0/16 and IPv6 \
                    2001:db8:77::/48, users: 1\n";
    assert_eq!(output.stdout, expected);
    assert_eq!(output.stderr, "");
}

#[test]
fn check_shows_place_and_remedy() {
    let lab = Lab::new();
    lab.write(
        "adit.toml",
        &CONFIG
            .replace("10.77.0.0/16", "10.77.0.1/16")
            .replace("dns", "dsn"),
    );
    let output = lab.check(&[]);
    assert_eq!(output.status, 3);
    for expected in [
        "[adit.toml:4:8]",
        "pool = \"10.77.0.1/16\"",
        "write the network itself: \"10.77.0.0/16\"",
        "[adit.toml:5:1]",
        "did you mean `ipv4.dns`?",
        "[adit.toml:8:1]",
        "did you mean `ipv6.dns`?",
    ] {
        assert!(
            output.stderr.contains(expected),
            "{expected}\n{}",
            output.stderr
        );
    }
    assert_eq!(output.stdout, "");

    let json = lab.run(&["check", "--config", "adit.toml", "--json"]);
    assert_eq!(json.status, 3);
    let problems: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(problems[0]["severity"], "error");
    assert_eq!(problems[0]["file"], "adit.toml");
    assert_eq!(
        (&problems[0]["line"], &problems[0]["column"]),
        (&4.into(), &8.into())
    );
    assert_eq!(json.stderr, "");
}

#[test]
fn check_looks_at_the_users_too() {
    let lab = Lab::new();
    lab.chmod("users.toml", 0o644);
    let output = lab.check(&[]);
    assert_eq!(output.status, 3);
    assert!(output.stderr.contains("chmod 600"), "{}", output.stderr);
}

#[test]
fn a_warning_is_not_an_error() {
    let lab = Lab::new();
    lab.write("psk", "vpn\n");
    let output = lab.check(&[]);
    assert_eq!(output.status, 0);
    assert!(
        output.stderr.contains("everybody tries first"),
        "{}",
        output.stderr
    );
    assert!(output.stdout.contains("(1 warnings)"), "{}", output.stdout);
}

#[test]
fn the_environment_overrides_the_file() {
    let lab = Lab::new();
    let output = lab.check(&[("ADIT__IPV4__POOL", "10.99.0.0/16")]);
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert!(
        output.stdout.contains("IPv4 10.99.0.0/16"),
        "{}",
        output.stdout
    );
    let output = lab.check(&[("ADIT__IPV4__POOL", "everything")]);
    assert_eq!(output.status, 3);
    assert!(
        output.stderr.contains("ADIT__IPV4__POOL"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_missing_configuration_is_status_3() {
    let lab = Lab::new();
    for command in ["check", "serve"] {
        let output = lab.run(&[command, "--config", "none.toml"]);
        assert_eq!(output.status, 3, "{command}");
        assert!(
            output.stderr.contains("cannot read none.toml"),
            "{}",
            output.stderr
        );
        assert!(
            output.stderr.contains("adit quickstart"),
            "{}",
            output.stderr
        );
    }
}
