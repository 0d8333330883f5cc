//! The interface with the on-link /64 that clients share (`ipv6.nd-proxy`): whether an address is free
//! there, and the kernel's answers and routes for those that clients hold. What a killed server left
//! there is removed at the start, and everything at the end.

use std::net::{IpAddr, Ipv6Addr};

use adit_io::netlink::{Netlink, NetlinkError, Scope};
use adit_wire::ip::Family;
use ipnet::{IpNet, Ipv6Net};
use tokio::sync::mpsc;

use super::ServeError;

/// The interface.
#[derive(Clone)]
pub(super) struct Uplink {
    netlink: Netlink,
    index: u32,
    own: Ipv6Addr,
}

impl Uplink {
    /// Finds the interface and its address: one of `prefix` if it has any there.
    pub(super) async fn open(name: &str, prefix: Ipv6Net) -> Result<Self, ServeError> {
        let netlink = Netlink::new()
            .await
            .map_err(super::system("cannot open netlink"))?;
        let no_address = || ServeError::NoUplinkAddress {
            name: name.to_owned(),
            prefix,
        };
        let index = netlink.interface_index(name).await?;
        let addresses = netlink.addresses().await?;
        let mut own: Vec<Ipv6Addr> = addresses
            .iter()
            .filter(|(of, _, scope)| *of == index && *scope == Scope::Global)
            .filter_map(|(_, net, _)| match net.addr() {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            })
            .collect();
        own.sort_by_key(|address| (!prefix.contains(address), *address));
        let own = *own.first().ok_or_else(no_address)?;
        let uplink = Self {
            netlink,
            index,
            own,
        };
        uplink.clear().await?;
        Ok(uplink)
    }

    /// The host's own address there.
    pub(super) fn own(&self) -> Ipv6Addr {
        self.own
    }

    /// Whether a client may have an address: the host has it nowhere, it is no router that the host
    /// sends to, and nobody on the link answers for it.
    pub(super) async fn is_free(&self, address: Ipv6Addr) -> bool {
        match self.look_for(address).await {
            Ok(found) => !found,
            Err(error) => {
                tracing::warn!(%address, %error, "the client does not get the address");
                false
            }
        }
    }

    async fn look_for(&self, address: Ipv6Addr) -> Result<bool, NetlinkError> {
        let wanted = IpAddr::V6(address);
        let addresses = self.netlink.addresses().await?;
        let routes = self.netlink.routes(Family::V6).await?;
        let is_here = addresses.iter().any(|(_, net, _)| net.addr() == wanted)
            || routes.iter().any(|route| route.gateway == Some(wanted));
        Ok(is_here || self.netlink.is_on_link(self.index, address).await?)
    }

    /// Stops answering for clients.
    pub(super) async fn clear(&self) -> Result<(), NetlinkError> {
        for address in self.netlink.proxies(self.index).await? {
            self.netlink.remove_proxy(self.index, address).await?;
        }
        Ok(())
    }

    async fn change(&self, address: Ipv6Addr, held: bool, tun: u32) -> Result<(), NetlinkError> {
        let route = IpNet::from(IpAddr::V6(address));
        if held {
            self.netlink.add_route(route, tun, 0).await?;
            self.netlink.add_proxy(self.index, address).await
        } else {
            self.netlink.remove_proxy(self.index, address).await?;
            self.netlink.remove_route(route, tun).await
        }
    }
}

/// Does what becomes of clients' addresses on the host, in the order in which it is told.
pub(super) async fn follow(
    uplink: Uplink,
    tun: u32,
    mut changes: mpsc::UnboundedReceiver<(Ipv6Addr, bool)>,
) {
    while let Some((address, held)) = changes.recv().await {
        match uplink.change(address, held, tun).await {
            Ok(()) => tracing::debug!(%address, held, "neighbour"),
            Err(error) => tracing::warn!(%address, held, %error, "a client may not be reached"),
        }
    }
}
