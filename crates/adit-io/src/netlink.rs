//! Addresses, routes and links through the kernel's netlink (rtnetlink(7)).
//!
//! Only the main routing table is looked at and changed. What belongs to someone else is never
//! replaced: a route that is there already is an error, unless it is the very same one.

mod error;
mod route;

use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::link::LinkAttribute;

pub use adit_wire::ip::Family;
pub use error::NetlinkError;
pub use route::{Route, RouteKind};

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
    /// Connects. Must be called inside a tokio runtime, where a task serves the connection until
    /// the last clone of it is dropped.
    pub async fn new() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Brings an interface up.
    pub async fn up(&self, index: u32) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).up().build();
        let request = self.handle.link().set(link);
        request
            .execute()
            .await
            .map_err(|error| NetlinkError::new(format!("bringing interface {index} up"), error))
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
    /// it already is no error. IPv6 addresses are usable at once: on a TUN there is nobody who
    /// could have the same one, so duplicates are not looked for.
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
        match request.execute().await {
            Err(error) if error::errno(&error) == Some(libc::EEXIST) => Ok(()),
            Err(error) => Err(NetlinkError::new(
                format!("adding the address {address} to interface {index}"),
                error,
            )),
            Ok(()) => Ok(()),
        }
    }

    /// Every address of every interface: the index of the interface, the address with the length
    /// of its prefix, its scope.
    pub async fn addresses(&self) -> Result<Vec<(u32, IpNet, Scope)>, NetlinkError> {
        let messages: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("listing addresses".to_owned(), error))?;
        Ok(messages.iter().filter_map(address).collect())
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
