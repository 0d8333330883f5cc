//! Commands that ask a server.

use super::*;

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
fn a_bench_of_nobody_fails_and_says_at_which_step() {
    let lab = Lab::new();
    lab.write("password", "correct horse\n");
    let known = ["--user", "u%d", "--password-file", "password"];
    let more = [
        "--psk-file",
        "psk",
        "--sessions",
        "3",
        "--timeout",
        "1s",
        "--json",
    ];
    let args = [&["bench", NOBODY][..], &known, &more].concat();
    let output = lab.run(&args);
    assert_eq!(output.status, 1, "{}", output.stderr);
    assert!(output.stderr.contains("3 of 3 sessions did not come up"));
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["setups"]["up"], 0);
    let failures = told["setups"]["failures"].as_object().unwrap();
    let failed: u64 = failures.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(failed, 3, "{failures:?}");
    assert!(
        failures.keys().all(|why| why.starts_with("phase-1: ")),
        "{failures:?}"
    );
    let output = lab.run(&["bench", NOBODY, "--sessions", "0"]);
    assert_eq!(output.status, 2, "{}", output.stderr);
}
