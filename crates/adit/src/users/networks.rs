//! Whether what users have for good fits the networks that are served: inside a pool, of its length,
//! nobody else's. An address outside would need routes that adit does not make.

use std::collections::HashMap;
use std::hash::Hash;

use adit_link::dhcp4;
use adit_link::nd::MAX_ROUTES;
use adit_link::pool::{Ipv4Pool, PrefixPool};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::table::{Fault, Placed, Table};
use crate::config::Config;

/// The networks that are served. A family that is not served, or blocked, is not judged, so that it
/// can be switched off and on again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    ipv4: Option<Ipv4Net>,
    /// With the length of a client's prefix.
    ipv6: Option<(Ipv6Net, u8)>,
    /// The same for delegation.
    delegated: Option<(Ipv6Net, u8)>,
    /// Whether all clients share one prefix, so that no user has one alone.
    shared: bool,
}

impl From<&Config> for Networks {
    fn from(config: &Config) -> Self {
        let ipv6 = config.ipv6.as_ref().filter(|ipv6| !ipv6.blocked);
        Self {
            shared: ipv6.is_some_and(|ipv6| ipv6.nd_proxy.is_some()),
            ipv4: config.ipv4.as_ref().map(|ipv4| ipv4.pool),
            ipv6: ipv6.map(|ipv6| (ipv6.prefix, ipv6.client_prefix_length)),
            delegated: ipv6
                .and_then(|ipv6| ipv6.delegate)
                .map(|delegate| (delegate.prefix, delegate.length)),
        }
    }
}

impl Networks {
    /// Finds the first fault.
    pub(crate) fn judge(&self, table: &Table) -> Result<(), Fault> {
        let users = || table.users.values();
        if let Some(net) = self.ipv4 {
            let mut pool = Ipv4Pool::new(net, &[]);
            for address in users().filter_map(|user| user.ipv4.as_ref()) {
                if !pool.take(address.value) {
                    return Err(outside_ipv4(address.at, net, pool.server_address()));
                }
            }
        }
        if let Some((net, length)) = self.ipv6 {
            for prefix in users().filter_map(|user| user.ipv6.as_ref()) {
                if self.shared {
                    let message = "with ipv6.nd-proxy all clients share one prefix, so no user \
                                   has one alone; take this out";
                    return Err(Fault::new(prefix.at, message));
                }
                let server = PrefixPool::new(net, length).map(|pool| pool.server_prefix());
                if server == Ok(prefix.value) {
                    let message = "this is the server's own prefix; write another of ipv6.prefix";
                    return Err(Fault::new(prefix.at, message));
                }
                judge_prefix(prefix, net, length, "ipv6.prefix")?;
            }
            for prefix in users().filter_map(|user| user.delegated.as_ref()) {
                let Some((net, length)) = self.delegated else {
                    let message = "no prefixes are delegated: set ipv6.delegate in the \
                                   configuration, or take this out";
                    return Err(Fault::new(prefix.at, message));
                };
                judge_prefix(prefix, net, length, "ipv6.delegate")?;
            }
        }
        for routes in table
            .groups
            .values()
            .filter_map(|group| group.routes.as_ref())
        {
            self.judge_routes(routes)?;
        }
        Ok(())
    }

    // A tunnel that is split in one family only would carry everything of the other.
    fn judge_routes(&self, routes: &Placed<Vec<IpNet>>) -> Result<(), Fault> {
        let (ipv4, ipv6) = split(&routes.value);
        let missing = match (ipv4.is_empty(), ipv6.is_empty()) {
            (true, false) => "IPv4",
            (false, true) => "IPv6",
            _ => "",
        };
        if !missing.is_empty() && self.ipv4.is_some() && self.ipv6.is_some() {
            let message = format!(
                "routes have no {missing} network: the tunnel would be split in one family only; \
                 write the networks of both families, or [] for everything"
            );
            return Err(Fault::new(routes.at, message));
        }
        if !dhcp4::routes_fit(&ipv4) {
            let message = "these are too many IPv4 routes: clients read them from one DHCP option \
                           of 255 bytes, about 30 routes; join neighbouring networks";
            return Err(Fault::new(routes.at, message));
        }
        if ipv6.len() > MAX_ROUTES {
            let message = format!(
                "these are too many IPv6 routes: an advertisement carries {MAX_ROUTES}; join \
                 neighbouring networks"
            );
            return Err(Fault::new(routes.at, message));
        }
        Ok(())
    }
}

fn outside_ipv4(at: usize, net: Ipv4Net, server: std::net::Ipv4Addr) -> Fault {
    let message = format!(
        "this is no client's address: write one of ipv4.pool, {net}, but neither its first, \
         {server}, which is the server's, nor its last"
    );
    Fault::new(at, message)
}

fn judge_prefix(
    prefix: &Placed<Ipv6Net>,
    net: Ipv6Net,
    length: u8,
    key: &str,
) -> Result<(), Fault> {
    if prefix.value.prefix_len() != length {
        let message = format!(
            "this is a /{}: write a /{length}, as all of {key} are",
            prefix.value.prefix_len()
        );
        return Err(Fault::new(prefix.at, message));
    }
    if !net.contains(&prefix.value) {
        let message = format!("this is not in {key}: write a /{length} of {net}");
        return Err(Fault::new(prefix.at, message));
    }
    Ok(())
}

/// The routes of each family.
pub(super) fn split(routes: &[IpNet]) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for route in routes {
        match route {
            IpNet::V4(net) => ipv4.push(*net),
            IpNet::V6(net) => ipv6.push(*net),
        }
    }
    (ipv4, ipv6)
}

/// Finds what two users have both.
pub(super) fn judge_unique(table: &Table) -> Result<(), Fault> {
    let users = || table.users.iter();
    unique(users().filter_map(|(name, user)| Some((name, user.ipv4.as_ref()?))))?;
    unique(users().filter_map(|(name, user)| Some((name, user.ipv6.as_ref()?))))?;
    unique(users().filter_map(|(name, user)| Some((name, user.delegated.as_ref()?))))
}

fn unique<'a, T: Eq + Hash + 'a>(
    all: impl Iterator<Item = (&'a String, &'a Placed<T>)>,
) -> Result<(), Fault> {
    let mut seen: HashMap<&T, (&String, usize)> = HashMap::new();
    for (name, item) in all {
        let Some((other, at)) = seen.insert(&item.value, (name, item.at)) else {
            continue;
        };
        let message = format!("users {other:?} and {name:?} both have this one; write another");
        // The later line is the one to change.
        return Err(Fault::new(at.max(item.at), message));
    }
    Ok(())
}
