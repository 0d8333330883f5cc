//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::error::errno;
use super::{Family, Netlink, NetlinkError};

/// The metric that the kernel gives IPv6 routes made without one.
const IPV6_DEFAULT_METRIC: u32 = 1024;

/// What happens to packets that take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// They are sent on.
    Unicast,
    /// The sender is told that the destination is unreachable.
    Unreachable,
    /// They vanish.
    Blackhole,
    /// Something else.
    Other,
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where packets go that take it.
    pub destination: IpNet,
    /// Index of the interface they leave by, the first one of several.
    pub interface: Option<u32>,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// Of two routes to one destination the one with the smaller metric is taken.
    pub metric: u32,
    /// What happens to the packets.
    pub kind: RouteKind,
    /// Whether a router advertisement made it.
    pub from_advertisement: bool,
}

impl Netlink {
    /// Routes `destination` to an interface. Metric 0 leaves the choice to the kernel.
    pub async fn add_route(
        &self,
        destination: IpNet,
        index: u32,
        metric: u32,
    ) -> Result<(), NetlinkError> {
        let route = Route {
            destination: destination.trunc(),
            interface: Some(index),
            gateway: None,
            metric,
            kind: RouteKind::Unicast,
            from_advertisement: false,
        };
        let action = format!("adding the route {destination} to interface {index}");
        self.add(route, action).await
    }

    /// Routes `destination` to a router behind an interface.
    pub async fn add_route_via(
        &self,
        destination: IpNet,
        index: u32,
        gateway: IpAddr,
    ) -> Result<(), NetlinkError> {
        let route = Route {
            destination: destination.trunc(),
            interface: Some(index),
            gateway: Some(gateway),
            metric: 0,
            kind: RouteKind::Unicast,
            from_advertisement: false,
        };
        let action = format!("adding the route {destination} to {gateway}");
        self.add(route, action).await
    }

    /// Removes the route of `destination` to an interface. Its absence is no error.
    pub async fn remove_route(&self, destination: IpNet, index: u32) -> Result<(), NetlinkError> {
        let route = Route {
            destination: destination.trunc(),
            interface: Some(index),
            gateway: None,
            metric: 0,
            kind: RouteKind::Unicast,
            from_advertisement: false,
        };
        let action = format!("removing the route {destination} from interface {index}");
        self.remove(&route, action).await
    }

    /// Routes everything of `family` that no other route takes to an interface.
    pub async fn add_default_route(&self, family: Family, index: u32) -> Result<(), NetlinkError> {
        let everything = match family {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        };
        self.add_route(everything, index, 0).await
    }

    /// Answers packets to `destination` that no more specific route takes with "unreachable".
    /// For a whole pool: without it, packets to an address that no client has would follow the
    /// default route, and may come back for ever. The route outlives the process.
    pub async fn add_unreachable(
        &self,
        destination: IpNet,
        metric: u32,
    ) -> Result<(), NetlinkError> {
        let action = format!("making {destination} unreachable");
        self.add(unreachable(destination, metric), action).await
    }

    /// Takes back [`add_unreachable`](Self::add_unreachable). Its absence is no error.
    pub async fn remove_unreachable(
        &self,
        destination: IpNet,
        metric: u32,
    ) -> Result<(), NetlinkError> {
        let action = format!("removing the unreachable route {destination}");
        self.remove(&unreachable(destination, metric), action).await
    }

    /// The routes of `family` in the main table.
    pub async fn routes(&self, family: Family) -> Result<Vec<Route>, NetlinkError> {
        self.routes_of_table(family, libc::RT_TABLE_MAIN).await
    }

    /// The addresses, as whole networks, that the host takes packets to.
    pub(super) async fn local_destinations(
        &self,
        family: Family,
    ) -> Result<Vec<IpNet>, NetlinkError> {
        let routes = self.routes_of_table(family, libc::RT_TABLE_LOCAL).await?;
        Ok(routes.into_iter().map(|route| route.destination).collect())
    }

    async fn routes_of_table(&self, family: Family, id: u8) -> Result<Vec<Route>, NetlinkError> {
        let question = match family {
            Family::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            Family::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let messages: Vec<RouteMessage> = self
            .handle
            .route()
            .get(question)
            .execute()
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("listing routes".to_owned(), error))?;
        Ok(messages
            .iter()
            .filter(|message| table(message) == u32::from(id))
            .filter_map(|message| route(message, family))
            .collect())
    }

    async fn add(&self, route: Route, action: String) -> Result<(), NetlinkError> {
        let request = self.handle.route().add(message(&route));
        let Err(error) = request.execute().await else {
            return Ok(());
        };
        if errno(&error) == Some(libc::EEXIST) && self.has(&route).await? {
            return Ok(());
        }
        Err(NetlinkError::new(action, error))
    }

    async fn remove(&self, route: &Route, action: String) -> Result<(), NetlinkError> {
        match self.handle.route().del(message(route)).execute().await {
            // The interface may be gone, and the route with it.
            Err(error) if matches!(errno(&error), Some(libc::ESRCH | libc::ENODEV)) => Ok(()),
            Err(error) => Err(NetlinkError::new(action, error)),
            Ok(()) => Ok(()),
        }
    }

    /// Whether the table has `wanted` as it would be after adding it.
    async fn has(&self, wanted: &Route) -> Result<bool, NetlinkError> {
        let family = Family::of(wanted.destination.addr());
        let metric = match (wanted.metric, family) {
            (0, Family::V6) => IPV6_DEFAULT_METRIC,
            (metric, _) => metric,
        };
        let routes = self.routes(family).await?;
        Ok(routes.iter().any(|route| {
            route.destination == wanted.destination
                && route.kind == wanted.kind
                && route.metric == metric
                && route.gateway == wanted.gateway
                // IPv6 says "lo" of unreachable routes.
                && (route.interface == wanted.interface || wanted.interface.is_none())
        }))
    }
}

fn unreachable(destination: IpNet, metric: u32) -> Route {
    Route {
        destination: destination.trunc(),
        interface: None,
        gateway: None,
        metric,
        kind: RouteKind::Unreachable,
        from_advertisement: false,
    }
}

/// The message that adds or removes `route`.
pub(super) fn message(route: &Route) -> RouteMessage {
    let mut message = match route.destination {
        IpNet::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(net.addr(), net.prefix_len())
            // Without a gateway the destination is on the link.
            .scope(match (route.interface, route.gateway) {
                (Some(_), None) => RouteScope::Link,
                _ => RouteScope::Universe,
            })
            .build(),
        IpNet::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(net.addr(), net.prefix_len())
            .build(),
    };
    message.header.kind = match route.kind {
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unicast | RouteKind::Other => RouteType::Unicast,
    };
    if let Some(index) = route.interface {
        message.attributes.push(RouteAttribute::Oif(index));
    }
    match route.gateway {
        Some(IpAddr::V4(ip)) => {
            let ip = RouteAddress::Inet(ip);
            message.attributes.push(RouteAttribute::Gateway(ip));
        }
        Some(IpAddr::V6(ip)) => {
            let ip = RouteAddress::Inet6(ip);
            message.attributes.push(RouteAttribute::Gateway(ip));
        }
        None => {}
    }
    if route.metric != 0 {
        message
            .attributes
            .push(RouteAttribute::Priority(route.metric));
    }
    message
}

/// The table of a route; numbers above 255 stand in an attribute.
fn table(message: &RouteMessage) -> u32 {
    let attribute = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
    attribute.unwrap_or(u32::from(message.header.table))
}

/// What a route message says.
fn route(message: &RouteMessage, family: Family) -> Option<Route> {
    let mut destination = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut interface = None;
    let mut gateway = None;
    let mut metric = 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(hops) => {
                if let Some(hop) = hops.first() {
                    interface = Some(hop.interface_index);
                    gateway = hop.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => ip(address),
                        _ => None,
                    });
                }
            }
            _ => {}
        }
    }
    Some(Route {
        destination: IpNet::new(destination, message.header.destination_prefix_length).ok()?,
        interface,
        gateway,
        metric,
        kind: match message.header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            RouteType::Unreachable => RouteKind::Unreachable,
            RouteType::BlackHole => RouteKind::Blackhole,
            _ => RouteKind::Other,
        },
        from_advertisement: message.header.protocol == RouteProtocol::Ra,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
