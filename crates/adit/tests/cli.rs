//! The program as its users run it: exit statuses, reports, files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CONFIG: &str = "[ipsec]\npsk = { file = \"psk\" }\n[ipv4]\npool = \"10.77.0.0/16\"\n\
                      dns = [\"10.77.0.1\"]\n[ipv6]\nprefix = \"2001:db8:77::/48\"\n\
                      dns = [\"2001:db8:77::1\"]\n";

struct Output {
    status: i32,
    stdout: String,
    stderr: String,
}

struct Lab(tempfile::TempDir);

impl Lab {
    // A folder with a configuration, a PSK and one user.
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        lab.write("adit.toml", CONFIG);
        lab.write("psk", "kL9mQ2xT7vB4nR8wZ3cD6fGh\n");
        let hash = "44ebba8d5312b8d611474411f56989ae";
        lab.write(
            "users.toml",
            &format!("[users.alice]\nnt-hash = \"{hash}\"\n"),
        );
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o600);
    }

    fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    // Runs adit in the folder with nothing else in its environment.
    fn run_with(&self, args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Output {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, &[], "")
    }

    fn check(&self, env: &[(&str, &str)]) -> Output {
        self.run_with(&["check", "--config", "adit.toml"], env, "")
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).unwrap().next().is_none()
}

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
fn asking_a_server_that_is_not_there_fails() {
    let lab = Lab::new();
    for args in [
        &["status"][..],
        &["sessions", "--json"],
        &["disconnect", "alice"],
    ] {
        let output = lab.run(&[args, &["--socket", "none.sock"]].concat());
        assert_eq!(output.status, 1, "{args:?}");
        assert!(
            output.stderr.contains("no adit answers on none.sock"),
            "{}",
            output.stderr
        );
        assert_eq!(output.stdout, "");
    }
}

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

// Nothing listens on this address of the loopback interface.
const NOBODY: &str = "127.77.5.1";

#[test]
fn a_probe_says_what_failed() {
    let lab = Lab::new();
    let output = lab.run(&["probe", NOBODY, "--psk-file", "psk", "--quick"]);
    assert_eq!(output.status, 1, "{}", output.stdout);
    assert_eq!(output.stderr.trim(), "adit: 1 of 3 steps failed");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("ok ") && lines[0].ends_with(NOBODY));
    let failed = lines.iter().find(|line| line.starts_with("fail ")).unwrap();
    assert!(failed.contains("udp-500") && failed.ends_with("nothing listens there"));
    assert!(output.stdout.contains("-> start the server"));
}

#[test]
fn a_probe_in_json_is_one_array_of_steps() {
    let lab = Lab::new();
    let output = lab.run(&["probe", NOBODY, "--without-ipsec", "--json"]);
    assert_eq!(output.status, 1, "{}", output.stderr);
    let steps: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let found: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (
                step["step"].as_str().unwrap(),
                step["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("name", "ok"), ("l2tp", "fail")]);
    assert_eq!(steps[1]["address"], NOBODY);
    assert!(steps[1]["milliseconds"].is_number() && steps[1]["advice"].is_string());
}

#[test]
fn a_probe_needs_what_it_is_told_to_use() {
    let lab = Lab::new();
    lab.write("empty", "\nsecret\n");
    for (args, what) in [
        (
            &["probe", NOBODY, "--psk-file", "none"][..],
            "none: No such file",
        ),
        (
            &["probe", NOBODY, "--psk-file", "empty"],
            "empty: its first line is empty",
        ),
        (
            &["probe", NOBODY, "--psk-stdin"],
            "standard input: its first line",
        ),
    ] {
        let output = lab.run(args);
        assert_eq!(output.status, 1);
        assert!(output.stderr.contains(what), "{}", output.stderr);
    }
    let output = lab.run(&["probe", NOBODY, "-6"]);
    assert_eq!(output.status, 1);
    assert!(
        output.stdout.contains("no IPv6 (AAAA) address"),
        "{}",
        output.stdout
    );
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
         staff, sessions 3, until 2100-04-01T00:00:00Z, disabled)\n"
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
