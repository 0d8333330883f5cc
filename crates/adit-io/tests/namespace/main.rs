//! What needs root: TUN, netlink, nftables and sysctls, each test in a network namespace of its
//! own. Without root, or without a program that a test needs, it says so and passes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod esp;
mod host;
mod masquerade;
mod neighbor;
mod packets;
mod six_to_four;
mod too_big;
mod tun;

use std::future::Future;
use std::io::Write;
use std::process::Command;

use adit_io::netlink::Netlink;
use nix::sched::{CloneFlags, unshare};

/// Says that a test did not run: in one piece, and past the capture of what passing tests print.
fn skipped(name: &str, reason: &str) {
    let line = format!("skipped: {name}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Why the tests cannot run here.
fn obstacle() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root");
    }
    None
}

/// Runs `test` in a new network namespace with loopback up. The namespace is that of one thread:
/// it vanishes with the thread and the sockets made in it, however the test ends.
fn in_namespace<F: Future<Output = ()>>(
    name: &'static str,
    test: impl FnOnce(Netlink) -> F + Send + 'static,
) {
    if let Some(reason) = obstacle() {
        skipped(name, reason);
        return;
    }
    let body = move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            skipped(name, &format!("no network namespace: {error}"));
            return;
        }
        // One thread, so that everything happens in the namespace of this one.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let netlink = Netlink::new().await.unwrap();
            netlink.up(1).await.unwrap();
            test(netlink).await;
        });
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    if let Err(panic) = thread.spawn(body).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program in this thread's namespace; None, with a word about it, when it is not
/// installed.
fn run(name: &str, program: &str, args: &[&str]) -> Option<(bool, String)> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some((
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped(name, &format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}
