//! `adit user`.

use super::*;

#[test]
fn users_are_added_listed_changed_and_removed() {
    let lab = Lab::new();
    let file = ["--file", "staff.toml"];
    let run = |args: &[&str], input: &str| lab.run_with(&[args, &file].concat(), &[], input);

    let added = run(&["user", "add", "bob"], "clientPass\n");
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert_eq!(added.stdout, "");
    assert_eq!(lab.mode("staff.toml"), 0o600);
    // RFC 2759 section 9.2: the NT hash of "clientPass".
    let first = lab.read("staff.toml");
    assert_eq!(
        first,
        "[users.bob]\nnt-hash = \"44ebba8d5312b8d611474411f56989ae\"\n"
    );

    let generated = run(&["user", "add", "carol", "--generate"], "");
    assert_eq!(generated.stdout.trim().len(), 16);
    assert!(!lab.read("staff.toml").contains(generated.stdout.trim()));

    let changed = run(&["user", "passwd", "bob", "--clear"], "another secret\n");
    assert_eq!(changed.status, 0, "{}", changed.stderr);
    assert!(
        lab.read("staff.toml")
            .contains("password = \"another secret\"")
    );
    assert_eq!(lab.mode("staff.toml"), 0o600);

    let listed = run(&["user", "list"], "");
    assert_eq!(listed.stdout, "bob\ncarol\n");
    let json = run(&["user", "list", "--json"], "");
    let users: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(users[0]["name"], "bob");
    assert_eq!(users[0]["clear"], true);
    assert!(!json.stdout.contains("secret"), "{}", json.stdout);

    assert_eq!(run(&["user", "remove", "carol"], "").status, 0);
    assert_eq!(run(&["user", "list"], "").stdout, "bob\n");
}

#[test]
fn what_cannot_be_done_to_users_is_said() {
    let lab = Lab::new();
    let twice = lab.run_with(
        &["user", "add", "alice", "--config", "adit.toml"],
        &[],
        "x\n",
    );
    assert_eq!(twice.status, 1);
    assert!(
        twice.stderr.contains("there is a user \"alice\" already"),
        "{}",
        twice.stderr
    );
    let nobody = lab.run(&["user", "remove", "bob", "--config", "adit.toml"]);
    assert_eq!(nobody.status, 1);
    assert!(
        nobody.stderr.contains("no user \"bob\""),
        "{}",
        nobody.stderr
    );
    let empty = lab.run_with(
        &["user", "passwd", "alice", "--file", "users.toml"],
        &[],
        "\n",
    );
    assert_eq!(empty.status, 1);
    assert!(empty.stderr.contains("empty"), "{}", empty.stderr);
    let name = lab.run_with(
        &["user", "add", "CORP\\alice", "--file", "u.toml"],
        &[],
        "x\n",
    );
    assert_eq!(name.status, 2);
    lab.chmod("users.toml", 0o640);
    let open = lab.run_with(&["user", "add", "bob", "--file", "users.toml"], &[], "x\n");
    assert_eq!(open.status, 1);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    let none = lab.run(&["user", "list", "--config", "none.toml"]);
    assert_eq!(none.status, 3);
}

#[test]
fn what_users_have_is_set_and_listed() {
    let lab = Lab::new();
    lab.write(
        "adit.toml",
        &CONFIG.replace("prefix = ", "delegate = \"2001:db8:78::/48\"\nprefix = "),
    );
    let text = lab.read("users.toml");
    lab.write(
        "users.toml",
        &format!("# The staff.\n[groups.staff]\nsessions = 2\n\n{text}# since May\n"),
    );
    let config = ["--config", "adit.toml"];
    let run = |args: &[&str], input: &str| lab.run_with(&[args, &config].concat(), &[], input);
    let added = run(
        &[
            "user",
            "add",
            "bob",
            "--ipv4",
            "10.77.0.10",
            "--ipv6-prefix",
            "2001:db8:77:10::/64",
            "--delegated-prefix",
            "2001:db8:78:100::/56",
            "--group",
            "staff",
            "--sessions",
            "3",
            "--rate",
            "50Mbit",
            "--expires",
            "2100-03-31",
            "--disable",
        ],
        "x secret\n",
    );
    assert_eq!(added.status, 0, "{}", added.stderr);
    let listed = run(&["user", "list"], "");
    assert_eq!(
        listed.stdout,
        "alice\nbob  (10.77.0.10, 2001:db8:77:10::/64, delegated 2001:db8:78:100::/56, group \
         staff, sessions 3, rate 50Mbit, until 2100-04-01T00:00:00Z, disabled)\n"
    );
    let changed = run(
        &[
            "user",
            "set",
            "bob",
            "--enable",
            "--sessions",
            "none",
            "--expires",
            "2100-03-31T18:00:00+02:00",
            "--group",
            "none",
        ],
        "",
    );
    assert_eq!(changed.status, 0, "{}", changed.stderr);
    let json = run(&["user", "list", "--json"], "").stdout;
    let users: serde_json::Value = serde_json::from_str(&json).unwrap();
    let bob = &users[1];
    assert_eq!(bob["ipv4"], "10.77.0.10");
    assert_eq!(bob["ipv6_prefix"], "2001:db8:77:10::/64");
    assert_eq!(bob["delegated_prefix"], "2001:db8:78:100::/56");
    assert_eq!(bob["expires"], "2100-03-31T16:00:00Z");
    assert_eq!(bob["disabled"], false);
    assert_eq!(bob["rate"], 50_000_000);
    assert!(
        bob["sessions"].is_null() && bob["group"].is_null(),
        "{json}"
    );
    assert!(!json.contains("secret") && !json.contains("hash"), "{json}");
    let after = lab.read("users.toml");
    assert!(
        after.starts_with("# The staff.\n[groups.staff]\n"),
        "{after}"
    );
    assert!(after.contains("# since May"), "{after}");
    assert_eq!(lab.check(&[]).status, 0);

    // What would be wrong is not written, and says what to write.
    for (args, status, says) in [
        (
            &["--ipv4", "10.77.0.10"][..],
            1,
            "\"alice\" and \"bob\" both",
        ),
        (&["--ipv4", "10.78.0.10"], 1, "one of ipv4.pool"),
        (&["--ipv4", "10.77.0.1"], 1, "which is the server's"),
        (
            &["--ipv6-prefix", "2001:db8:99:1::/64"],
            1,
            "not in ipv6.prefix",
        ),
        (
            &["--delegated-prefix", "2001:db8:78:1::/64"],
            1,
            "write a /56",
        ),
        (&["--group", "board"], 1, "[groups.NAME]"),
        (&["--sessions", "0"], 1, "from 1 to"),
        (&["--sessions", "two"], 2, "takes a number"),
        (&["--rate", "fast"], 2, "8kbit"),
        (&["--expires", "tomorrow"], 2, "2027-03-31"),
        (&["--enable", "--disable"], 2, "cannot be used with"),
        (&[], 2, "nothing to change"),
    ] {
        let output = run(&[&["user", "set", "alice"], args].concat(), "");
        assert_eq!(output.status, status, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{args:?}: {}", output.stderr);
    }
    assert_eq!(lab.read("users.toml"), after);
    assert_eq!(run(&["user", "set", "nobody", "--disable"], "").status, 1);

    // The same by hand is found by `adit check`.
    lab.write("users.toml", &after.replace("10.77.0.10", "10.78.0.10"));
    let check = lab.check(&[]);
    assert_eq!(check.status, 3);
    assert!(check.stderr.contains("users.toml:"), "{}", check.stderr);
    assert!(check.stderr.contains("10.77.0.0/16"), "{}", check.stderr);
}

#[test]
fn groups_are_added_listed_changed_and_removed() {
    let lab = Lab::new();
    let run = |args: &[&str]| {
        let args = [&["user"], args, &["--config", "adit.toml"]].concat();
        lab.run_with(&args, &[], "")
    };
    let routes = "10.0.0.0/8, 2001:db8::/32";
    let added = run(&[
        "group", "add", "board", "--rate", "5Mbit", "--routes", routes,
    ]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert_eq!(run(&["set", "alice", "--group", "board"]).status, 0);
    let set = [
        "group",
        "set",
        "board",
        "--sessions",
        "2",
        "--disable",
        "--rate",
        "none",
    ];
    assert_eq!(run(&set).status, 0);
    let listed = run(&["group", "list"]).stdout;
    assert!(
        listed
            .contains("board  (1 member, routes 10.0.0.0/8 2001:db8::/32, sessions 2, disabled)\n"),
        "{listed}"
    );
    let everywhere = [
        "group", "set", "board", "--routes", "all", "--rate", "1Gbit",
    ];
    assert_eq!(run(&everywhere).status, 0);
    let json = run(&["group", "list", "--json"]).stdout;
    let groups: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(groups[0]["name"], "board");
    assert_eq!(groups[0]["members"], serde_json::json!(["alice"]));
    assert_eq!(groups[0]["routes"], serde_json::json!([]));
    assert_eq!(groups[0]["rate"], 1_000_000_000);
    assert_eq!(groups[0]["disabled"], true);
    assert_eq!(lab.check(&[]).status, 0);

    let before = lab.read("users.toml");
    for (args, status, says) in [
        (&["add", "board"][..], 1, "adit user group set board"),
        (&["remove", "board"], 1, "adit user set alice --group none"),
        (&["remove", "nobodies"], 1, "adit user group list"),
        (&["set", "board"], 2, "nothing to change"),
        (&["set", "board", "--rate", "fast"], 2, "8kbit"),
        (
            &["set", "board", "--routes", "10.0.0.0/8"],
            1,
            "both families",
        ),
        (&["set", "board", "--routes", "here"], 1, "list of networks"),
        (&["add", "a\\b"], 1, "no backslash"),
    ] {
        let output = run(&[&["group"], args].concat());
        assert_eq!(output.status, status, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{args:?}: {}", output.stderr);
    }
    assert_eq!(lab.read("users.toml"), before);
    assert_eq!(run(&["set", "alice", "--group", "none"]).status, 0);
    assert_eq!(run(&["group", "remove", "board"]).status, 0);
    assert!(!lab.read("users.toml").contains("board"));
}
