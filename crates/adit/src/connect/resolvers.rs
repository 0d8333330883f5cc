//! The resolvers of this host, by whoever manages them: systemd-resolved, or resolvconf.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What has been said to the manager about one interface.
pub(super) struct Resolvers {
    interface: String,
    manager: Option<Manager>,
}

#[derive(Clone, Copy)]
enum Manager {
    Resolved,
    Resolvconf,
}

impl Resolvers {
    pub(super) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            manager: None,
        }
    }

    /// Makes these the resolvers of the interface and, with all that goes there, of the host.
    pub(super) async fn set(&mut self, servers: &[IpAddr], search: &[String]) {
        if servers.is_empty() {
            return;
        }
        for manager in [Manager::Resolved, Manager::Resolvconf] {
            if self.tell(manager, servers, search).await {
                self.manager = Some(manager);
                return;
            }
        }
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        tracing::warn!(
            servers = servers.join(" "),
            "neither systemd-resolved nor resolvconf takes resolvers here: write them into \
             /etc/resolv.conf, or say --no-dns"
        );
    }

    async fn tell(&self, manager: Manager, servers: &[IpAddr], search: &[String]) -> bool {
        let interface = self.interface.as_str();
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        match manager {
            Manager::Resolved => {
                let mut dns = vec!["dns", interface];
                dns.extend(servers.iter().map(String::as_str));
                // "~." makes it the way of every name that no other interface claims.
                let mut domain = vec!["domain", interface, "~."];
                domain.extend(search.iter().map(String::as_str));
                run("resolvectl", &dns, "").await && run("resolvectl", &domain, "").await
            }
            Manager::Resolvconf => {
                let mut text = String::new();
                for server in &servers {
                    let _ = writeln!(text, "nameserver {server}");
                }
                if !search.is_empty() {
                    let _ = writeln!(text, "search {}", search.join(" "));
                }
                run("resolvconf", &["-a", &self.record()], &text).await
            }
        }
    }

    /// resolvconf's name of our record: interface and program.
    fn record(&self) -> String {
        format!("{}.adit", self.interface)
    }

    /// Takes them back.
    pub(super) async fn leave(self) {
        match self.manager {
            Some(Manager::Resolved) => {
                run("resolvectl", &["revert", &self.interface], "").await;
            }
            Some(Manager::Resolvconf) => {
                run("resolvconf", &["-d", &self.record()], "").await;
            }
            None => {}
        }
    }
}

/// Whether the program is there and succeeds.
async fn run(program: &str, args: &[&str], input: &str) -> bool {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = child else {
        return false;
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read says so by its status.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    match child.wait().await {
        Ok(status) => {
            tracing::debug!(program, ?args, %status, "resolvers");
            status.success()
        }
        Err(_) => false,
    }
}
