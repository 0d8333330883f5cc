//! The TUN interface: what the host routes into the tunnels is read here, what clients send is
//! written here. One IP packet a read or write, without a header before it (IFF_NO_PI) and
//! without offloads.
//!
//! The interface lives as long as [`Tun`]: addresses, routes and all vanish with it, also when
//! the process dies.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use adit_wire::PacketBuf;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::host;

/// Packets that may wait to be read. The kernel's 500 overflow when one TCP flow bursts.
const QUEUE_PACKETS: u32 = 2000;

/// Longest name of an interface (IFNAMSIZ without its end).
const NAME_MAX: usize = 15;

/// A deleted interface shows as an error condition only, so reading waits for that too.
const READ_INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

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
    fn new(name: &str, step: &'static str, source: io::Error) -> Self {
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

/// A TUN interface. Wait with [`readable`](Self::readable), then call [`recv`](Self::recv) until
/// it says false.
pub struct Tun {
    device: AsyncFd<SyncDevice>,
    name: String,
    index: u32,
}

impl Tun {
    /// Makes the interface `name`, where `%d` stands for the first free number, with `mtu` (IPv6
    /// needs 1280). It is down and has no address: [`Netlink`](crate::netlink::Netlink) does the
    /// rest. Must be called inside a tokio runtime with I/O enabled.
    pub fn create(name: &str, mtu: u16) -> Result<Self, TunError> {
        if !is_name(name) {
            return Err(TunError::Name {
                name: name.to_owned(),
            });
        }
        let device = DeviceBuilder::new()
            .name(name)
            .mtu(mtu)
            .enable(false)
            .with(|options| {
                options
                    .packet_information(false)
                    .offload(false)
                    .tx_queue_len(QUEUE_PACKETS);
            })
            .build_sync()
            .map_err(|source| TunError::new(name, "making it", source))?;
        let failed = |step| {
            move |source| TunError::Failed {
                name: name.to_owned(),
                step,
                source,
            }
        };
        device
            .set_nonblocking(true)
            .map_err(failed("making it non-blocking"))?;
        let real_name = device.name().map_err(failed("reading its name"))?;
        let index = device.if_index().map_err(failed("reading its index"))?;
        let device = register(device).map_err(failed("handing it to the runtime"))?;
        hush(&real_name);
        Ok(Self {
            device,
            name: real_name,
            index,
        })
    }

    /// Its name, with the number in place of `%d`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index, as netlink wants it.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Waits until a packet may be there. Cancelling it loses nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.device.ready(READ_INTEREST).await.map(drop)
    }

    /// Reads one packet into the room of `buf` from its start on, and sets its length. False
    /// when none was waiting. The room must be at least the MTU: the kernel cuts what is longer.
    /// An error says that the interface is gone.
    pub fn recv(&self, buf: &mut PacketBuf) -> io::Result<bool> {
        // Readiness is looked at before the read, so that what arrives between the read and the
        // clearing of readiness is not lost.
        let ready = pin!(self.device.ready(READ_INTEREST));
        let mut guard = match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => guard?,
            Poll::Pending => return Ok(false),
        };
        match guard.try_io(|device| device.get_ref().recv(buf.spare_mut())) {
            Ok(read) => {
                buf.set_len(read?);
                Ok(true)
            }
            Err(_would_block) => Ok(false),
        }
    }

    /// Hands one IP packet to the host. An error drops the packet: it is neither IPv4 nor IPv6
    /// (`InvalidInput`), the interface is down (EIO) or the kernel has no memory for it.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.get_ref().send(packet).map(drop)
    }
}

#[expect(unsafe_code, reason = "tokio wants a promise about the descriptor")]
fn register(device: SyncDevice) -> io::Result<AsyncFd<SyncDevice>> {
    // SAFETY: the device owns its descriptor, which stays open and the same until the device is
    // dropped, and the AsyncFd owns the device.
    Ok(unsafe { AsyncFd::register_with_interest(device, READ_INTEREST) }?)
}

impl std::fmt::Debug for Tun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Whether the kernel would take the name (`dev_valid_name` and `__dev_alloc_name`), without what
/// the shell or a sysctl path would trip over.
fn is_name(name: &str) -> bool {
    let rest = name.replacen("%d", "0", 1);
    (1..=NAME_MAX).contains(&name.len())
        && rest != "."
        && rest != ".."
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Keeps the kernel from looking for routers inside the tunnel: no link-local address of its own
/// making, no router solicitations, no belief in advertisements. Without IPv6 there is nothing to
/// hush, and a read-only /proc/sys costs only a few stray packets.
fn hush(name: &str) {
    let name = name.replace('.', "/");
    for (key, value) in [
        ("addr_gen_mode", "1"),
        ("accept_ra", "0"),
        ("router_solicitations", "0"),
    ] {
        let key = format!("net.ipv6.conf.{name}.{key}");
        if let Err(error) = host::write(&key, value) {
            tracing::debug!(key, value, %error, "sysctl not set");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_are_refused_first() {
        for name in ["adit%d", "adit0", "a", "vpn.7", "a-b_c", "fifteen-letters"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "sixteen-letters-",
            "a/b",
            "a b",
            "a%d%d",
            "a%s",
            "é",
            "a:b",
        ] {
            assert!(!is_name(name), "{name}");
        }
        let error = Tun::create("a/b", 1400).unwrap_err();
        assert!(error.to_string().starts_with("\"a/b\" cannot name"));
    }

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
