//! Why there is no TUN interface, in the operator's words.

use std::io;

/// Why there is no TUN interface.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel has no TUN driver, or a container hides it.
    #[error(
        "no TUN interface {name} without /dev/net/tun: load the driver with `modprobe tun`; in a \
         container give it the device (`--device /dev/net/tun`)"
    )]
    NoDriver {
        /// The interface that was to be made.
        name: String,
    },
    /// The process may not make interfaces.
    #[error(
        "no permission to make the TUN interface {name}: run as root or with CAP_NET_ADMIN, and let \
         the process open /dev/net/tun"
    )]
    Permission {
        /// The interface that was to be made.
        name: String,
    },
    /// An interface of that name is there and is not ours to use.
    #[error(
        "an interface named {name} is there already: if it is another adit's, stop that one, else take \
         another name, such as \"adit%d\" for the first free number"
    )]
    Taken {
        /// The interface that was to be made.
        name: String,
    },
    /// The name cannot be one of an interface.
    #[error(
        "{name:?} cannot name an interface: 1 to 15 letters, digits, '-', '_' or '.', and at most one \
         \"%d\" for the first free number"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error("the TUN interface {name} failed while {step}: {source}")]
    Failed {
        /// The interface.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TunError {
    pub(super) fn new(name: &str, step: &'static str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => Self::NoDriver { name },
            Some(libc::EPERM | libc::EACCES) => Self::Permission { name },
            // EINVAL is what TUNSETIFF says of an interface that is no TUN.
            Some(libc::EBUSY | libc::EEXIST | libc::EINVAL) => Self::Taken { name },
            _ => Self::Failed { name, step, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        for (errno, words) in [
            (libc::ENOENT, "modprobe tun"),
            (libc::EPERM, "CAP_NET_ADMIN"),
            (libc::EBUSY, "take another name"),
            (libc::ENOMEM, "while making it"),
        ] {
            let error = TunError::new("adit0", "making it", io::Error::from_raw_os_error(errno));
            let text = error.to_string();
            assert!(text.contains("adit0") && text.contains(words), "{text}");
        }
    }
}
