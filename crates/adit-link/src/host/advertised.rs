//! One Router Advertisement as it was, for who wants to see it.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;

use crate::nd::{NdOption, RouterAdvertisement};

/// What a Router Advertisement said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// How long it is a default router; zero: it is none.
    pub lifetime: Duration,
    /// The M flag: addresses by DHCPv6.
    pub managed: bool,
    /// The O flag: other configuration by DHCPv6.
    pub other: bool,
    /// Prefixes to form addresses from.
    pub prefixes: Vec<Ipv6Net>,
    /// The MTU of the link.
    pub mtu: Option<u32>,
    /// Resolvers.
    pub dns: Vec<Ipv6Addr>,
}

/// Prefixes and resolvers of one advertisement that are shown.
const MOST_SHOWN: usize = 8;

impl Advertised {
    pub(super) fn read(advertisement: &RouterAdvertisement<'_>, router: Ipv6Addr) -> Self {
        let mut advertised = Self {
            router,
            lifetime: Duration::from_secs(u64::from(advertisement.router_lifetime)),
            managed: advertisement.managed,
            other: advertisement.other,
            prefixes: Vec::new(),
            mtu: None,
            dns: Vec::new(),
        };
        for option in advertisement.options.iter() {
            match option {
                NdOption::Prefix(prefix) if prefix.autonomous => {
                    let net = Ipv6Net::new(prefix.prefix, prefix.length);
                    advertised.prefixes.extend(net.ok().map(|net| net.trunc()));
                }
                NdOption::Mtu(mtu) => advertised.mtu = Some(mtu),
                NdOption::RecursiveDns { servers, .. } => {
                    let servers = servers.iter().map(|octets| Ipv6Addr::from(*octets));
                    advertised.dns.extend(servers);
                }
                _ => {}
            }
        }
        advertised.prefixes.truncate(MOST_SHOWN);
        advertised.dns.truncate(MOST_SHOWN);
        advertised
    }
}
