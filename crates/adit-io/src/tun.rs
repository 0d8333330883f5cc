//! The TUN interface: what the host routes into the tunnels is read here, what clients send is
//! written here. With IFF_VNET_HDR and offloads: one read or write carries one IP packet, or many
//! segments of one TCP stream (or UDP flow, to read) as one, which are cut up and put together here.
//!
//! An interface has one queue or several. The kernel puts each flow into one of them, by a hash of
//! its own, so every queue has to be read. The interface lives as long as any of its queues:
//! addresses, routes and all vanish with the last, also when the process dies.

mod error;
mod queue;

use std::io;

use tun_rs::{DeviceBuilder, SyncDevice};

use crate::host;

pub use error::TunError;
pub use queue::{Detached, Queue, Read, Sender};

/// Packets that may wait in a queue. The kernel's 500 overflow when one TCP flow bursts.
const QUEUE_PACKETS: u32 = 2000;

/// Longest name of an interface (IFNAMSIZ without its end).
const NAME_MAX: usize = 15;

/// What a TUN interface is called.
#[derive(Debug)]
pub struct Tun {
    name: String,
    index: u32,
}

impl Tun {
    /// Makes the interface `name`, where `%d` stands for the first free number, with `mtu` (IPv6
    /// needs 1280) and one queue. It is down and has no address:
    /// [`Netlink`](crate::netlink::Netlink) does the rest. Must be called inside a tokio runtime
    /// with I/O enabled.
    pub fn create(name: &str, mtu: u16) -> Result<(Self, Queue), TunError> {
        let (tun, device) = Self::make(name, mtu, false)?;
        let queue = tun.detached(device)?.attach()?;
        Ok((tun, queue))
    }

    /// As [`create`](Self::create), with so many queues (at least one, and at most the kernel's
    /// 256), each to be [attached](Detached::attach) to the runtime of its thread.
    pub fn create_queues(
        name: &str,
        mtu: u16,
        queues: usize,
    ) -> Result<(Self, Vec<Detached>), TunError> {
        let (tun, first) = Self::make(name, mtu, queues > 1)?;
        let mut devices = Vec::with_capacity(queues);
        for _ in 1..queues {
            let next = first.try_clone();
            devices.push(next.map_err(|source| tun.failed("adding a queue", source))?);
        }
        devices.insert(0, first);
        let queues = devices.into_iter().map(|device| tun.detached(device));
        let queues = queues.collect::<Result<_, _>>()?;
        Ok((tun, queues))
    }

    fn make(name: &str, mtu: u16, multi_queue: bool) -> Result<(Self, SyncDevice), TunError> {
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
                    .offload(true)
                    .multi_queue(multi_queue)
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
        let real_name = device.name().map_err(failed("reading its name"))?;
        let index = device.if_index().map_err(failed("reading its index"))?;
        hush(&real_name);
        let tun = Self {
            name: real_name,
            index,
        };
        Ok((tun, device))
    }

    fn detached(&self, device: SyncDevice) -> Result<Detached, TunError> {
        device
            .set_nonblocking(true)
            .map_err(|source| self.failed("making it non-blocking", source))?;
        Ok(Detached::new(self.name.clone(), device))
    }

    fn failed(&self, step: &'static str, source: io::Error) -> TunError {
        TunError::Failed {
            name: self.name.clone(),
            step,
            source,
        }
    }

    /// Its name, with the number in place of `%d`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index, as netlink wants it.
    pub fn index(&self) -> u32 {
        self.index
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
}
