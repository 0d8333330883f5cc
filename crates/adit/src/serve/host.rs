//! What the server needs of its host: sockets, TUN, addresses, forwarding, masquerade. Dropping it
//! puts the host back as it was.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use adit_io::host::{Forwarding, Restore, enable_forwarding};
use adit_io::masquerade::Masquerade;
use adit_io::netlink::Netlink;
use adit_io::tun::{self, Sender, Tun};
use adit_io::udp::{self, UdpSocket};
use adit_wire::ip::Family;
use adit_wire::{Channel, Mark, Path};

use super::paths::keep_whole;
use super::{ServeError, system};
use crate::config::Config;

/// Our nftables table.
const TABLE: &str = "adit";

/// The largest packet on the TUN interface. Sessions carry less; the server tells senders so.
const TUN_MTU: u16 = 1500;

/// The host's part of a running server.
pub(super) struct Host {
    pub(super) sockets: Vec<Arc<Socket>>,
    /// Those that the threads of the packet path read, once they run.
    pub(super) of_threads: Vec<Arc<Socket>>,
    pub(super) tun: Tun,
    pub(super) to_tun: Sender,
    _masquerade: Option<Masquerade>,
    _forwarding: Restore,
}

/// A bound socket and the channel it serves.
pub(super) struct Socket {
    pub(super) channel: Channel,
    pub(super) socket: UdpSocket,
}

/// What one thread of the packet path reads, and what else it sends by.
pub(super) struct Post {
    /// Of UDP 4500, one for each address: the kernel gives each the datagrams of its SPIs.
    pub(super) sockets: Vec<udp::Detached>,
    /// Whether what they send is to be kept whole on its way.
    pub(super) whole: bool,
    pub(super) queue: tun::Detached,
    /// Those of the control side for clients without ESP in UDP, who are not many.
    pub(super) senders: Vec<Arc<Socket>>,
}

/// The socket among these that a path's datagrams leave by.
pub(super) fn socket_for<'a>(sockets: &'a [Arc<Socket>], path: &Path) -> Option<&'a UdpSocket> {
    let fits = |socket: &&Arc<Socket>| {
        let bound = socket.socket.local_addr();
        socket.channel == path.channel
            && bound.is_ipv4() == path.local.is_ipv4()
            && (bound.ip().is_unspecified() || bound.ip() == path.local.ip())
    };
    sockets.iter().find(fits).map(|socket| &socket.socket)
}

/// The sockets of one thread, before it has them.
type OfThread = Vec<udp::Detached>;

/// Binds every socket: those of the control side, and for each address those of as many threads.
fn bind(config: &Config, threads: usize) -> Result<(Vec<Arc<Socket>>, Vec<OfThread>), ServeError> {
    let listen = &config.listen;
    let mut sockets = Vec::new();
    let mut of_threads: Vec<_> = std::iter::repeat_with(Vec::new).take(threads).collect();
    let mut add = |channel, mut socket| {
        if !listen.fragments {
            keep_whole(channel, &mut socket)?;
        }
        sockets.push(Arc::new(Socket { channel, socket }));
        Ok::<_, ServeError>(())
    };
    for address in &listen.addresses {
        let address = *address;
        let ike = UdpSocket::bind(SocketAddr::new(address, listen.ike_port))?;
        add(Channel::Ike, ike)?;
        let nat_t = SocketAddr::new(address, listen.nat_t_port);
        // The first gets IKE and keepalives, the others the ESP of their SPIs.
        let mut group = UdpSocket::bind_group(nat_t, threads + 1)?.into_iter();
        if let Some(first) = group.next() {
            add(Channel::NatT, first.attach()?)?;
        }
        for (own, socket) in of_threads.iter_mut().zip(group) {
            own.push(socket);
        }
        if let Some(plain) = &config.l2tp.plain {
            let socket = UdpSocket::bind(SocketAddr::new(address, plain.port))?;
            add(Channel::L2tp, socket)?;
        }
        if listen.esp {
            add(Channel::Esp, UdpSocket::bind_esp(address)?)?;
        }
    }
    Ok((sockets, of_threads))
}

impl Host {
    /// Sets everything up for as many threads of the packet path.
    pub(super) async fn set_up(
        config: &Config,
        server: &adit_server::Server,
        threads: usize,
    ) -> Result<(Self, Vec<Post>), ServeError> {
        let (sockets, of_threads) = bind(config, threads)?;
        let (tun, queues) = Tun::create_queues(&config.tun_name, TUN_MTU, threads)?;
        let to_tun = queues.first().map(tun::Detached::sender);
        let to_tun = to_tun.ok_or_else(|| io::ErrorKind::NotFound.into());
        let to_tun = to_tun.map_err(system("cannot write to TUN without a queue"))?;
        let only_sent_by =
            |socket: &&Arc<Socket>| matches!(socket.channel, Channel::Esp | Channel::L2tp);
        let senders: Vec<_> = sockets.iter().filter(only_sent_by).cloned().collect();
        let posts = of_threads.into_iter().zip(queues);
        let posts = posts.map(|(sockets, queue)| Post {
            sockets,
            whole: !config.listen.fragments,
            queue,
            senders: senders.clone(),
        });
        let netlink = Netlink::new()
            .await
            .map_err(system("cannot open netlink"))?;
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
        let host = Self {
            sockets,
            of_threads: Vec::new(),
            tun,
            to_tun,
            _masquerade: masquerade,
            _forwarding: forwarding,
        };
        Ok((host, posts.collect()))
    }

    /// Every socket, with those of the threads.
    fn all_sockets(&self) -> impl Iterator<Item = &Socket> {
        let all = self.sockets.iter().chain(&self.of_threads);
        all.map(Arc::as_ref)
    }

    /// Has the kernel keep out of the sockets what cannot be for us, by the marks of what we give out.
    pub(super) fn sift(&self, mark: Mark) {
        for Socket { channel, socket } in self.all_sockets() {
            if let Err(error) = socket.sift(*channel, mark) {
                let address = socket.local_addr();
                tracing::warn!(%address, %error, "the kernel keeps no junk out of this socket: a flood will cost more");
            }
        }
    }

    /// How many datagrams the kernel kept out, or had no room for.
    pub(super) fn unread(&self) -> u64 {
        let unread = |socket: &Socket| socket.socket.unread().unwrap_or_default();
        self.all_sockets().map(unread).map(u64::from).sum()
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
