//! Sysctls, and which of them keep a host from forwarding the clients' packets.

use std::io;
use std::path::PathBuf;

/// Reads a sysctl, named as `sysctl` names it: dots between the parts, and a slash where an
/// interface's own name has a dot (`net.ipv6.conf.eth0/100.accept_ra`).
pub fn read(key: &str) -> io::Result<String> {
    Ok(std::fs::read_to_string(path(key)?)?.trim().to_owned())
}

/// Writes a sysctl, named as for [`read`].
pub fn write(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(path(key)?, value)
}

/// The file of a sysctl.
fn path(key: &str) -> io::Result<PathBuf> {
    let mut path = PathBuf::from("/proc/sys");
    for part in key.split('.') {
        let part = part.replace('/', ".");
        if part.is_empty() || part == "." || part == ".." {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{key:?} names no sysctl"),
            ));
        }
        path.push(part);
    }
    Ok(path)
}

/// Something about the host that will make the server fail its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The sysctl.
    pub key: String,
    /// Its value now.
    pub found: String,
    /// The value it should have.
    pub wanted: String,
    /// What goes wrong as it is.
    pub why: &'static str,
    /// What to do, usually a command.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            found,
            wanted,
            why,
            remedy,
        } = self;
        write!(f, "{key} is {found}, not {wanted}: {why}; {remedy}")
    }
}

/// What is to be forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// IPv4 packets.
    pub ipv4: bool,
    /// IPv6 packets.
    pub ipv6: bool,
    /// The interface whose router advertisements gave this host its IPv6 default route; None
    /// when that route is static. See [`DefaultRoute`](crate::netlink::DefaultRoute).
    pub ra_uplink: Option<String>,
    /// The interface where the kernel answers neighbour solicitations for others
    /// ([`Netlink::add_proxy`](crate::netlink::Netlink::add_proxy)).
    pub nd_proxy: Option<String>,
}

const WHY_IPV4: &str = "IPv4 packets of clients go no further than this host";
const WHY_IPV6: &str = "IPv6 packets of clients go no further than this host";
const WHY_ACCEPT_RA: &str = "a host that forwards IPv6 ignores router advertisements unless this \
                             is 2, and so loses its own IPv6 default route";
const WHY_PROXY: &str = "nobody on the link of that interface finds the clients";
const WHY_DELAY: &str =
    "the first packet to each client waits up to this many hundredths of a second";
const WHY_DISABLED: &str = "IPv6 is switched off, so clients get no IPv6";
const WHY_ABSENT: &str = "the kernel was started without IPv6, so clients get no IPv6";

impl Forwarding {
    /// What stands in the way; nothing, if the list is empty.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.ipv6 {
            let disabled = |scope| format!("net.ipv6.conf.{scope}.disable_ipv6");
            if read(&disabled("all")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                findings.push(Finding {
                    key: "net.ipv6".to_owned(),
                    found: "absent".to_owned(),
                    wanted: "present".to_owned(),
                    why: WHY_ABSENT,
                    remedy: "start the kernel without `ipv6.disable=1`, or serve IPv4 only"
                        .to_owned(),
                });
            } else {
                // An interface made later, such as the TUN, takes what "default" says.
                for scope in ["all", "default"] {
                    findings.extend(compare(&disabled(scope), "0", WHY_DISABLED));
                }
            }
        }
        for (key, wanted, why) in self.switches() {
            findings.extend(compare(&key, wanted, why));
        }
        findings
    }

    /// The sysctls that [`enable_forwarding`] sets, in that order. Advertisements must be
    /// believed before forwarding begins: the moment it begins, the kernel removes the default
    /// routes that it learnt from interfaces where they would not be.
    fn switches(&self) -> Vec<(String, &'static str, &'static str)> {
        let mut switches = Vec::new();
        if self.ipv4 {
            switches.push(("net.ipv4.ip_forward".to_owned(), "1", WHY_IPV4));
        }
        if self.ipv6 {
            if let Some(uplink) = &self.ra_uplink {
                let uplink = uplink.replace('.', "/");
                let key = format!("net.ipv6.conf.{uplink}.accept_ra");
                switches.push((key, "2", WHY_ACCEPT_RA));
            }
            switches.push(("net.ipv6.conf.all.forwarding".to_owned(), "1", WHY_IPV6));
            if let Some(uplink) = &self.nd_proxy {
                let uplink = uplink.replace('.', "/");
                let key = format!("net.ipv6.conf.{uplink}.proxy_ndp");
                switches.push((key, "1", WHY_PROXY));
                let key = format!("net.ipv6.neigh.{uplink}.proxy_delay");
                switches.push((key, "0", WHY_DELAY));
            }
        }
        switches
    }
}

/// A finding, unless `key` is `wanted`.
fn compare(key: &str, wanted: &str, why: &'static str) -> Option<Finding> {
    let found = match read(key) {
        Ok(value) if value == wanted => return None,
        Ok(value) => value,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "absent".to_owned(),
        Err(error) => format!("unreadable ({error})"),
    };
    Some(Finding {
        key: key.to_owned(),
        found,
        wanted: wanted.to_owned(),
        why,
        remedy: format!(
            "`sysctl -w {key}={wanted}`, and the same line in /etc/sysctl.d to keep it"
        ),
    })
}

/// A sysctl could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot set {key} to {value}: {source}; {remedy}", remedy = remedy(source))]
pub struct HostError {
    /// The sysctl.
    pub key: String,
    /// The value it was to have.
    pub value: String,
    /// What the kernel said.
    pub source: io::Error,
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "run as root or set it before the start",
        io::ErrorKind::ReadOnlyFilesystem => {
            "/proc/sys is read-only here, as in a container: set it on the host or when the \
             container is made"
        }
        io::ErrorKind::NotFound => "this kernel does not have it",
        _ => "set it by hand with `sysctl -w`",
    }
}

/// Switches on what [`Forwarding::check`] would find missing, but for IPv6 that someone switched
/// off. What was changed is changed back when the result is dropped. On an error nothing stays
/// changed.
pub fn enable_forwarding(wanted: &Forwarding) -> Result<Restore, HostError> {
    let mut restore = Restore::default();
    for (key, value, _) in wanted.switches() {
        let failed = |source| HostError {
            key: key.clone(),
            value: value.to_owned(),
            source,
        };
        let old = read(&key).map_err(failed)?;
        if old != value {
            write(&key, value).map_err(failed)?;
            restore.changes.push(Change {
                key,
                old,
                new: value,
            });
        }
    }
    Ok(restore)
}

/// The sysctls that were changed. Dropping it sets each back that still has the value given to it.
#[derive(Debug, Default)]
#[must_use = "dropping it changes the sysctls back at once"]
pub struct Restore {
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    key: String,
    old: String,
    new: &'static str,
}

impl Restore {
    /// Key, old and new value of each change, in the order they were made.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.changes
            .iter()
            .map(|change| (change.key.as_str(), change.old.as_str(), change.new))
    }

    /// Lets the changes stay.
    pub fn keep(mut self) {
        self.changes.clear();
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        for Change { key, old, new } in self.changes.drain(..).rev() {
            let restored = match read(&key) {
                // Someone else has decided since.
                Ok(now) if now != new => continue,
                Ok(_) => write(&key, &old),
                Err(error) => Err(error),
            };
            if let Err(error) = restored {
                tracing::warn!(key, value = old, %error, "sysctl not set back");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_paths_and_cannot_leave_the_tree() {
        assert_eq!(
            path("net.ipv6.conf.eth0/100.accept_ra").unwrap(),
            PathBuf::from("/proc/sys/net/ipv6/conf/eth0.100/accept_ra")
        );
        for key in ["", "net..ip_forward", "net.//.x", "net./.x", ".net"] {
            assert_eq!(
                path(key).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{key}"
            );
        }
        assert!(!path("net.../../etc").is_ok_and(|path| path.starts_with("/etc")));
    }

    #[test]
    fn reads_what_every_kernel_has() {
        assert!(!read("kernel.osrelease").unwrap().is_empty());
        assert_eq!(
            read("net.no_such_key").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn advertisements_are_believed_before_forwarding_begins() {
        let forwarding = Forwarding {
            ipv4: true,
            ipv6: true,
            ra_uplink: Some("eth0.7".to_owned()),
            nd_proxy: None,
        };
        let keys: Vec<_> = forwarding
            .switches()
            .into_iter()
            .map(|(key, value, _)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            keys,
            [
                "net.ipv4.ip_forward=1",
                "net.ipv6.conf.eth0/7.accept_ra=2",
                "net.ipv6.conf.all.forwarding=1"
            ]
        );
        assert_eq!(Forwarding::default().check(), []);
    }

    #[test]
    fn a_finding_says_what_why_and_what_now() {
        let finding = compare("kernel.ostype", "Plan9", WHY_IPV4).unwrap();
        assert_eq!(
            finding.to_string(),
            "kernel.ostype is Linux, not Plan9: IPv4 packets of clients go no further than this \
             host; `sysctl -w kernel.ostype=Plan9`, and the same line in /etc/sysctl.d to keep it"
        );
        assert_eq!(compare("kernel.ostype", "Linux", WHY_IPV4), None);
        assert_eq!(compare("net.none", "1", WHY_IPV4).unwrap().found, "absent");
    }
}
