//! What the kernel refused, in the operator's words.

use std::io;

/// A change or a question that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed: {source}{}", remedy(.source))]
pub struct NetlinkError {
    /// What was being done.
    pub action: String,
    /// What the kernel said.
    pub source: io::Error,
}

impl NetlinkError {
    pub(super) fn new(action: String, error: rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other),
        };
        Self { action, source }
    }
}

/// What became of adding something that may be there already.
pub(super) fn added(
    answer: Result<(), rtnetlink::Error>,
    action: impl FnOnce() -> String,
) -> Result<(), NetlinkError> {
    match answer {
        Err(error) if errno(&error) != Some(libc::EEXIST) => {
            Err(NetlinkError::new(action(), error))
        }
        _ => Ok(()),
    }
}

/// The number of a kernel's error.
pub(super) fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().raw_os_error(),
        _ => None,
    }
}

fn remedy(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; it needs root or CAP_NET_ADMIN, and for IPv6 that \
             net.ipv6.conf.default.disable_ipv6 is 0"
        }
        Some(libc::EEXIST) => {
            "; something else on this host has that route: `ip route` and `ip -6 route` show it"
        }
        Some(libc::ENODEV) => "; the interface is gone",
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
            "; the kernel has no such family, or no such kind of interface"
        }
        _ => "",
    }
}
