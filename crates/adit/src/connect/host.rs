//! What a connection changes on this host: an interface, addresses, where packets go, resolvers. The
//! interface takes its routes with it; the rules that lead to them are taken back by [`Tunnel::leave`],
//! and lead nowhere without it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_io::netlink::{MAIN_TABLE, Netlink, NetlinkError, Rule};
use adit_io::tun::{Queue, Tun, TunError};
use adit_wire::ip::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::resolvers::Resolvers;

/// The routing table with the way into the tunnel.
const TABLE: u32 = 0xad17;

/// Before the main table's rule (32766).
const TO_SERVER: u32 = 31_000;
const NEARBY: u32 = 31_001;
const INTO_TUNNEL: u32 = 31_002;

/// The largest packet before the server has said what it takes.
const MTU: u16 = 1400;

/// Why this host cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// The interface could not be made.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// An address, route or rule could not be set.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Netlink itself.
    #[error("cannot open netlink: {0}")]
    Open(#[from] std::io::Error),
}

/// The interface, with what has been set for it.
pub(super) struct Tunnel {
    tun: Tun,
    pub(super) queue: Queue,
    netlink: Netlink,
    rules: Vec<Rule>,
    resolvers: Option<Resolvers>,
    mtu: u16,
}

impl Tunnel {
    /// Makes the interface. Packets to `routes` go into it from now on; if there are none, all do but
    /// those to the server and to networks that the main table knows better. With `dns`, resolvers are
    /// set.
    pub(super) async fn set_up(
        name: &str,
        servers: &[IpAddr],
        routes: &[IpNet],
        dns: bool,
    ) -> Result<Self, HostError> {
        let (tun, queue) = Tun::create(name, MTU)?;
        let netlink = Netlink::new().await?;
        netlink.up(tun.index()).await?;
        let mut tunnel = Self {
            resolvers: dns.then(|| Resolvers::new(tun.name())),
            tun,
            queue,
            netlink,
            rules: Vec::new(),
            mtu: MTU,
        };
        let led = match routes {
            [] => tunnel.take_everything(servers).await,
            some => tunnel.take(some).await,
        };
        if let Err(error) = led {
            tunnel.leave().await;
            return Err(error.into());
        }
        Ok(tunnel)
    }

    /// Routes of the main table.
    async fn take(&self, routes: &[IpNet]) -> Result<(), NetlinkError> {
        for route in routes {
            self.netlink.add_route(*route, self.tun.index(), 0).await?;
        }
        Ok(())
    }

    /// Both families, whether the server has them or not: what it does not have is refused here, so that
    /// nothing goes past the tunnel.
    async fn take_everything(&mut self, servers: &[IpAddr]) -> Result<(), NetlinkError> {
        let index = self.tun.index();
        for (family, everything) in [
            (Family::V4, IpNet::V4(Ipv4Net::default())),
            (Family::V6, IpNet::V6(Ipv6Net::default())),
        ] {
            let of_family = servers.iter().filter(|ip| Family::of(**ip) == family);
            let mut rules: Vec<_> = of_family
                .map(|server| rule(family, TO_SERVER, Some(*server), MAIN_TABLE, false))
                .collect();
            rules.push(rule(family, NEARBY, None, MAIN_TABLE, true));
            rules.push(rule(family, INTO_TUNNEL, None, TABLE, false));
            let routed = self.netlink.add_table_route(TABLE, everything, index).await;
            if let Err(error) = &routed
                && family == Family::V6
            {
                // A host without IPv6 has nothing to protect.
                tracing::info!(%error, "IPv6 stays out of the tunnel");
                continue;
            }
            routed?;
            for rule in rules {
                self.netlink.add_rule(&rule).await?;
                self.rules.push(rule);
            }
        }
        Ok(())
    }

    /// Gives the interface an address.
    pub(super) async fn address(&self, address: IpAddr) -> Result<(), NetlinkError> {
        let index = self.tun.index();
        self.netlink.add_address(index, address.into()).await
    }

    /// Takes it away again.
    pub(super) async fn no_address(&self, address: IpAddr) -> Result<(), NetlinkError> {
        let index = self.tun.index();
        self.netlink.remove_address(index, address.into()).await
    }

    /// Sets the largest packet.
    pub(super) async fn set_mtu(&mut self, mtu: u16) -> Result<(), NetlinkError> {
        if std::mem::replace(&mut self.mtu, mtu) == mtu {
            return Ok(());
        }
        self.netlink.set_mtu(self.tun.index(), mtu).await
    }

    /// Resolvers and search domains of both families.
    pub(super) async fn resolve_by(
        &mut self,
        ipv4: &[Ipv4Addr],
        ipv6: &[Ipv6Addr],
        search: &[String],
    ) {
        let ipv4 = ipv4.iter().map(|ip| IpAddr::from(*ip));
        let servers: Vec<_> = ipv4
            .chain(ipv6.iter().map(|ip| IpAddr::from(*ip)))
            .collect();
        if let Some(resolvers) = &mut self.resolvers {
            resolvers.set(&servers, search).await;
        }
    }

    /// Puts the host back as it was.
    pub(super) async fn leave(mut self) {
        if let Some(resolvers) = self.resolvers.take() {
            resolvers.leave().await;
        }
        for rule in &self.rules {
            if let Err(error) = self.netlink.remove_rule(rule).await {
                tracing::warn!(%error, "a routing rule stays behind; without the interface it leads nowhere");
            }
        }
    }
}

fn rule(
    family: Family,
    priority: u32,
    to: Option<IpAddr>,
    table: u32,
    without_default: bool,
) -> Rule {
    Rule {
        family,
        priority,
        to,
        table,
        without_default,
    }
}
