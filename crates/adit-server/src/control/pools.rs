//! The addresses of both families, with what the configuration says to serve.

use std::net::{Ipv4Addr, Ipv6Addr};

use adit_link::pool::{Exhausted, Ipv4Pool, PrefixLength, PrefixPool};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::Config;

/// The pools; a family that is not served has none.
pub(super) struct Pools {
    ipv4: Option<(Ipv4Net, Ipv4Pool)>,
    ipv6: Option<(Ipv6Net, PrefixPool)>,
    delegated: Option<PrefixPool>,
}

/// What one session holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lease {
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Net>,
    /// For a router behind the client, once it asked.
    pub(super) delegated: Option<Ipv6Net>,
}

impl Pools {
    pub(super) fn new(config: &Config) -> Result<Self, PrefixLength> {
        let ipv6 = config.ipv6.as_ref().map(|ipv6| {
            let pool = PrefixPool::new(ipv6.prefix, ipv6.client_prefix_length)?;
            Ok((ipv6.prefix, pool))
        });
        let delegate = config.ipv6.as_ref().and_then(|ipv6| ipv6.delegate);
        let delegated =
            delegate.map(|delegate| PrefixPool::whole(delegate.prefix, delegate.length));
        Ok(Self {
            delegated: delegated.transpose()?,
            ipv4: config
                .ipv4
                .as_ref()
                .map(|ipv4| (ipv4.pool, Ipv4Pool::new(ipv4.pool, &ipv4.dns))),
            ipv6: ipv6.transpose()?,
        })
    }

    pub(super) fn server_ipv4(&self) -> Option<Ipv4Addr> {
        self.ipv4.as_ref().map(|(_, pool)| pool.server_address())
    }

    pub(super) fn server_ipv6(&self) -> Option<Ipv6Addr> {
        self.ipv6.as_ref().map(|(_, pool)| pool.server_address())
    }

    /// Takes what is served; an exhausted pool leaves its family out and is returned as an error
    /// beside the other family's address.
    pub(super) fn lease(&mut self) -> (Lease, Vec<Exhausted>) {
        let mut lease = Lease::default();
        let mut errors = Vec::new();
        if let Some((_, pool)) = &mut self.ipv4 {
            match pool.allocate() {
                Ok(address) => lease.ipv4 = Some(address),
                Err(error) => errors.push(error),
            }
        }
        if let Some((_, pool)) = &mut self.ipv6 {
            match pool.allocate() {
                Ok(prefix) => lease.ipv6 = Some(prefix),
                Err(error) => errors.push(error),
            }
        }
        (lease, errors)
    }

    /// Takes a prefix for a router behind a client; `None` if none are delegated.
    pub(super) fn delegate(&mut self) -> Option<Result<Ipv6Net, Exhausted>> {
        self.delegated.as_mut().map(PrefixPool::allocate)
    }

    pub(super) fn release(&mut self, lease: Lease) {
        if let (Some(pool), Some(prefix)) = (&mut self.delegated, lease.delegated) {
            pool.release(prefix);
        }
        if let (Some((_, pool)), Some(address)) = (&mut self.ipv4, lease.ipv4) {
            pool.release(address);
        }
        if let (Some((_, pool)), Some(prefix)) = (&mut self.ipv6, lease.ipv6) {
            pool.release(prefix);
        }
    }

    pub(super) fn leased_ipv4(&self) -> usize {
        self.ipv4.as_ref().map_or(0, |(_, pool)| pool.leased())
    }

    pub(super) fn leased_ipv6(&self) -> usize {
        self.ipv6.as_ref().map_or(0, |(_, pool)| pool.leased())
    }

    pub(super) fn leased_delegated(&self) -> usize {
        self.delegated.as_ref().map_or(0, PrefixPool::leased)
    }

    pub(super) fn own_addresses(&self) -> Vec<IpNet> {
        let ipv4 = self
            .ipv4
            .as_ref()
            .and_then(|(net, pool)| Ipv4Net::new(pool.server_address(), net.prefix_len()).ok());
        let ipv6 = self
            .ipv6
            .as_ref()
            .and_then(|(net, pool)| Ipv6Net::new(pool.server_address(), net.prefix_len()).ok());
        ipv4.map(IpNet::from)
            .into_iter()
            .chain(ipv6.map(IpNet::from))
            .collect()
    }
}
