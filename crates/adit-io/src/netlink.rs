//! Addresses, routes and links through the kernel's netlink (rtnetlink(7)).
//!
//! Only the main routing table is looked at and changed, and tables of our own with the rules that lead
//! there. What belongs to someone else is never
//! replaced: a route that is there already is an error, unless it is the very same one.

mod error;
mod link;
mod neighbor;
mod route;
mod rule;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{LinkUnspec, LinkVeth};

pub use adit_wire::ip::Family;
pub use error::NetlinkError;
pub use route::{Route, RouteKind};
pub use rule::{MAIN_TABLE, Rule};

/// How often, and after what pauses, [`Netlink::up`] looks whether the addresses are in use: a
/// second in all, where a few milliseconds are usual.
const SETTLE_TRIES: u32 = 200;
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// A connection to the kernel's netlink, in the network namespace of the thread that made it.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// Within a site.
    Site,
    /// On its link.
    Link,
    /// Within this host.
    Host,
    /// Something that an administrator defined.
    Other(u8),
}

/// Where packets go that no other route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Index of the interface.
    pub index: u32,
    /// Its name.
    pub interface: String,
    /// The next router, if the route has one.
    pub gateway: Option<IpAddr>,
    /// Whether a router advertisement gave the route (IPv6 only). Such a route is lost when
    /// forwarding begins, unless the interface has `accept_ra=2`.
    pub from_advertisement: bool,
}

impl Netlink {
    /// Connects. Must be called inside a tokio runtime with I/O and time enabled, where a task serves the connection until
    /// the last clone of it is dropped.
    pub async fn new() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Brings an interface up and waits until the kernel takes packets to the IPv6 addresses
    /// that [`add_address`](Self::add_address) gave it: add them before.
    pub async fn up(&self, index: u32) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).up().build();
        let request = self.handle.link().set(link);
        request
            .execute()
            .await
            .map_err(|error| NetlinkError::new(format!("bringing interface {index} up"), error))?;
        self.settle(index).await
    }

    /// The kernel puts an IPv6 address into its local table by deferred work, some milliseconds
    /// after the interface came up and even if no duplicate is looked for. Until then packets to
    /// the address are dropped, although it is listed and can be bound.
    async fn settle(&self, index: u32) -> Result<(), NetlinkError> {
        let messages = self.address_messages().await?;
        let ours: Vec<IpNet> = messages
            .iter()
            .filter(|message| message.header.flags.contains(AddressHeaderFlags::Nodad))
            .filter_map(address)
            .filter(|(of, net, _)| *of == index && net.addr().is_ipv6())
            .map(|(_, net, _)| IpNet::from(net.addr()))
            .collect();
        for _ in 0..SETTLE_TRIES {
            if ours.is_empty() {
                return Ok(());
            }
            let local = self.local_destinations(Family::V6).await?;
            if ours.iter().all(|address| local.contains(address)) {
                return Ok(());
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        tracing::warn!(
            index,
            "the kernel does not yet take packets to the interface's IPv6 addresses"
        );
        Ok(())
    }

    /// Lays a cable (a veth pair) from the interface `name` here to `peer` in another namespace; both
    /// ends are down.
    pub async fn add_cable(
        &self,
        name: &str,
        peer: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<(), NetlinkError> {
        let failed = |error| NetlinkError::new(format!("laying a cable {name} - {peer}"), error);
        let pair = LinkVeth::new(name, peer).build();
        let request = self.handle.link().add(pair);
        request.execute().await.map_err(failed)?;
        let moved = LinkUnspec::new_with_name(peer)
            .setns_by_fd(namespace.as_raw_fd())
            .build();
        let request = self.handle.link().set(moved);
        request.execute().await.map_err(failed)
    }

    /// The index of the interface of this name.
    pub async fn interface_index(&self, name: &str) -> Result<u32, NetlinkError> {
        let failed = |error| NetlinkError::new(format!("looking up interface {name}"), error);
        let links = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        let link = std::pin::pin!(links).try_next().await.map_err(failed)?;
        link.map(|link| link.header.index)
            .ok_or_else(|| failed(rtnetlink::Error::RequestFailed))
    }

    /// Sets the MTU of an interface.
    pub async fn set_mtu(&self, index: u32, mtu: u16) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index)
            .mtu(u32::from(mtu))
            .build();
        let request = self.handle.link().set(link);
        request.execute().await.map_err(|error| {
            NetlinkError::new(
                format!("setting the MTU of interface {index} to {mtu}"),
                error,
            )
        })
    }

    /// Gives an interface an address; the network around it is routed to the interface. Having
    /// it already is no error. For IPv6, duplicates are not looked for: on a TUN there is nobody
    /// who could have the same address.
    pub async fn add_address(&self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        let mut request = self
            .handle
            .address()
            .add(index, address.addr(), address.prefix_len());
        if let IpNet::V6(_) = address {
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        error::added(request.execute().await, || {
            format!("adding the address {address} to interface {index}")
        })
    }

    /// Takes an address away again; the routes that are from it go with it. Its absence is no error.
    pub async fn remove_address(&self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        let messages = self.address_messages().await?;
        let fits = |message: &&AddressMessage| {
            self::address(message).is_some_and(|(of, net, _)| of == index && net == address)
        };
        let Some(message) = messages.iter().find(fits) else {
            return Ok(());
        };
        let request = self.handle.address().del(message.clone());
        match request.execute().await {
            Err(error) if error::errno(&error) == Some(libc::EADDRNOTAVAIL) => Ok(()),
            Err(error) => Err(NetlinkError::new(
                format!("removing the address {address} from interface {index}"),
                error,
            )),
            Ok(()) => Ok(()),
        }
    }

    /// Every address of every interface: the index of the interface, the address with the length
    /// of its prefix, its scope.
    pub async fn addresses(&self) -> Result<Vec<(u32, IpNet, Scope)>, NetlinkError> {
        let messages = self.address_messages().await?;
        Ok(messages.iter().filter_map(address).collect())
    }

    async fn address_messages(&self) -> Result<Vec<AddressMessage>, NetlinkError> {
        let addresses = self.handle.address().get().execute();
        addresses
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("listing addresses".to_owned(), error))
    }

    /// The name of an interface.
    pub async fn interface_name(&self, index: u32) -> Result<String, NetlinkError> {
        let failed = |error| NetlinkError::new(format!("looking up interface {index}"), error);
        let links = self.handle.link().get().match_index(index).execute();
        let link = std::pin::pin!(links).try_next().await.map_err(failed)?;
        link.into_iter()
            .flat_map(|link| link.attributes)
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            })
            .ok_or_else(|| failed(rtnetlink::Error::RequestFailed))
    }

    /// The interface that packets of `family` leave by when no other route takes them: its index
    /// and name.
    pub async fn default_interface(
        &self,
        family: Family,
    ) -> Result<Option<(u32, String)>, NetlinkError> {
        let route = self.default_route(family).await?;
        Ok(route.map(|route| (route.index, route.interface)))
    }

    /// The default route of `family` that the kernel prefers.
    pub async fn default_route(
        &self,
        family: Family,
    ) -> Result<Option<DefaultRoute>, NetlinkError> {
        let routes = self.routes(family).await?;
        let best = routes
            .into_iter()
            .filter(|route| route.kind == RouteKind::Unicast && route.destination.prefix_len() == 0)
            .filter_map(|route| Some((route.interface?, route)))
            .min_by_key(|(_, route)| route.metric);
        let Some((index, route)) = best else {
            return Ok(None);
        };
        Ok(Some(DefaultRoute {
            index,
            interface: self.interface_name(index).await?,
            gateway: route.gateway,
            from_advertisement: route.from_advertisement,
        }))
    }
}

/// What an address message says. On a point-to-point link the local address is ours and the
/// other one the peer's.
fn address(message: &AddressMessage) -> Option<(u32, IpNet, Scope)> {
    let find =
        |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let ip = local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })?;
    let net = IpNet::new(ip, message.header.prefix_len).ok()?;
    let scope = match message.header.scope {
        AddressScope::Universe => Scope::Global,
        AddressScope::Site => Scope::Site,
        AddressScope::Link => Scope::Link,
        AddressScope::Host => Scope::Host,
        other => Scope::Other(other.into()),
    };
    Some((message.header.index, net, scope))
}
