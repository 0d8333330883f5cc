//! The program as its users run it: exit statuses, reports, files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod asking;
mod configuration;
mod quickstart;
mod users;

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
