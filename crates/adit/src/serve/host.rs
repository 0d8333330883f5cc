//! What the server needs of its host: sockets, TUN, addresses, forwarding, masquerade. Dropping it
//! puts the host back as it was.

use std::net::SocketAddr;

use adit_io::host::{Forwarding, Restore, enable_forwarding};
use adit_io::masquerade::Masquerade;
use adit_io::netlink::Netlink;
use adit_io::tun::{Queue, Tun};
use adit_io::udp::UdpSocket;
use adit_wire::ip::Family;
use adit_wire::{Channel, Mark, Path};

use super::ServeError;
use super::paths::keeps_whole;
use crate::config::Config;

/// Our nftables table.
const TABLE: &str = "adit";

/// The largest packet on the TUN interface. Sessions carry less; the server tells senders so.
const TUN_MTU: u16 = 1500;

/// The host's part of a running server.
pub(super) struct Host {
    pub(super) sockets: Vec<Socket>,
    pub(super) tun: Tun,
    pub(super) queue: Queue,
    _masquerade: Option<Masquerade>,
    _forwarding: Restore,
}

/// A bound socket and the channel it serves.
pub(super) struct Socket {
    pub(super) channel: Channel,
    pub(super) socket: UdpSocket,
}

impl Host {
    pub(super) async fn set_up(
        config: &Config,
        server: &adit_server::Server,
    ) -> Result<Self, ServeError> {
        let listen = &config.listen;
        let mut sockets = Vec::new();
        for address in &listen.addresses {
            for (channel, port) in [
                (Channel::Ike, listen.ike_port),
                (Channel::NatT, listen.nat_t_port),
            ] {
                let socket = UdpSocket::bind(SocketAddr::new(*address, port))?;
                sockets.push(Socket { channel, socket });
            }
            if let Some(plain) = &config.l2tp.plain {
                let socket = UdpSocket::bind(SocketAddr::new(*address, plain.port))?;
                let channel = Channel::L2tp;
                sockets.push(Socket { channel, socket });
            }
            if listen.esp {
                let socket = UdpSocket::bind_esp(*address)?;
                let channel = Channel::Esp;
                sockets.push(Socket { channel, socket });
            }
        }
        if !listen.fragments {
            let whole = sockets
                .iter_mut()
                .filter(|socket| keeps_whole(socket.channel));
            for socket in whole {
                let kept = socket.socket.keep_whole();
                kept.map_err(super::system("cannot forbid fragments"))?;
            }
        }
        let (tun, queue) = Tun::create(&config.tun_name, TUN_MTU)?;
        let netlink = Netlink::new()
            .await
            .map_err(super::system("cannot open netlink"))?;
        accept_own_errors(tun.name());
        for address in server.own_addresses() {
            netlink.add_address(tun.index(), address).await?;
        }
        netlink.up(tun.index()).await?;
        for route in server.own_routes() {
            netlink.add_route(route, tun.index(), 0).await?;
        }
        let forwarding = forwarding(config, &netlink).await?;
        let masquerade = match &config.ipv4 {
            Some(ipv4) if ipv4.masquerade => {
                Some(Masquerade::install(TABLE, ipv4.pool, tun.name())?)
            }
            _ => None,
        };
        Ok(Self {
            sockets,
            tun,
            queue,
            _masquerade: masquerade,
            _forwarding: forwarding,
        })
    }

    /// Has the kernel keep out of the sockets what cannot be for us, by the marks of what we give out.
    pub(super) fn sift(&self, mark: Mark) {
        for Socket { channel, socket } in &self.sockets {
            if let Err(error) = socket.sift(*channel, mark) {
                let address = socket.local_addr();
                tracing::warn!(%address, %error, "the kernel keeps no junk out of this socket: a flood will cost more");
            }
        }
    }

    /// How many datagrams the kernel kept out, or had no room for.
    pub(super) fn unread(&self) -> u64 {
        let unread = |socket: &Socket| socket.socket.unread().unwrap_or_default();
        self.sockets.iter().map(unread).map(u64::from).sum()
    }

    /// The socket that a path's datagrams leave by.
    pub(super) fn socket_for(&self, path: &Path) -> Option<&UdpSocket> {
        let fits = |socket: &&Socket| {
            let bound = socket.socket.local_addr();
            socket.channel == path.channel
                && bound.is_ipv4() == path.local.is_ipv4()
                && (bound.ip().is_unspecified() || bound.ip() == path.local.ip())
        };
        self.sockets.iter().find(fits).map(|socket| &socket.socket)
    }

    /// Every bound address, for the log.
    pub(super) fn listening(&self) -> String {
        let addresses = self.sockets.iter();
        let names: Vec<_> = addresses
            .map(
                |socket| match (socket.channel, socket.socket.local_addr()) {
                    (Channel::Esp, address) => format!("{}/esp", address.ip()),
                    (Channel::L2tp, address) => format!("{address}/plain"),
                    (_, address) => address.to_string(),
                },
            )
            .collect();
        names.join(" ")
    }
}

/// ICMP errors that the server makes come out of TUN with the server's own address as source,
/// which the kernel takes for forged unless told otherwise. Clients cannot use it: their source
/// addresses are checked before TUN.
fn accept_own_errors(tun: &str) {
    let key = format!("net.ipv4.conf.{}.accept_local", tun.replace('.', "/"));
    if let Err(error) = adit_io::host::write(&key, "1") {
        tracing::warn!(%error, "cannot set {key} to 1: hosts behind the server get no \"fragmentation needed\" errors from it");
    }
}

async fn forwarding(config: &Config, netlink: &Netlink) -> Result<Restore, ServeError> {
    let uplink = netlink.default_route(Family::V6).await?;
    let wanted = Forwarding {
        ipv4: config.ipv4.is_some(),
        ipv6: config.ipv6.as_ref().is_some_and(|ipv6| !ipv6.blocked),
        ra_uplink: uplink
            .filter(|route| route.from_advertisement)
            .map(|route| route.interface),
        nd_proxy: config.ipv6.as_ref().and_then(|ipv6| ipv6.nd_proxy.clone()),
    };
    let restore = enable_forwarding(&wanted)?;
    for (key, old, new) in restore.changes() {
        tracing::info!(key, old, new, "sysctl changed, until the server stops");
    }
    for finding in wanted.check() {
        tracing::warn!("{finding}");
    }
    Ok(restore)
}
