//! Which addresses are the clients' own, whether a session has them at the moment or not. What comes
//! from one of them or goes to one is traffic of clients, and never passes between two sessions
//! because of where it was routed on the way (BCP 38, RFC 2827).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_link::address::is_within;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks that clients get their addresses from, without what in them is not theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    /// The IPv4 pool.
    pub(crate) pool: Option<Ipv4Net>,
    /// The prefixes that are given to clients whole, in parts.
    pub(crate) prefixes: Vec<Ipv6Net>,
    /// The server's own prefix, which no client gets.
    pub(crate) server_prefix: Option<Ipv6Net>,
    /// The server and the resolvers, which may be hosts inside the pool.
    pub(crate) hosts4: Vec<Ipv4Addr>,
    /// The same inside the prefixes.
    pub(crate) hosts6: Vec<Ipv6Addr>,
}

impl Clients {
    /// Whether only a client can have this address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                self.pool.is_some_and(|pool| pool.contains(&address))
                    && !self.hosts4.contains(&address)
            }
            IpAddr::V6(address) => {
                let holds = |prefix: &Ipv6Net| is_within(address, prefix);
                self.prefixes.iter().any(holds)
                    && !self.server_prefix.as_ref().is_some_and(holds)
                    && !self.hosts6.contains(&address)
            }
        }
    }

    /// Whether only clients are in this network.
    pub(crate) fn holds(&self, net: &IpNet) -> bool {
        match net {
            IpNet::V4(net) => self.pool.is_some_and(|pool| pool.contains(net)),
            IpNet::V6(net) => self.prefixes.iter().any(|prefix| prefix.contains(net)),
        }
    }

    /// Whether it is the broadcast address of the pool, about which no error may be sent (RFC 1122
    /// 3.2.2).
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        let broadcast = self.pool.map(|pool| IpAddr::from(pool.broadcast()));
        broadcast == Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_client_can_have_is_not_theirs() {
        let clients = Clients {
            pool: Some("10.77.0.0/16".parse().unwrap()),
            prefixes: vec![
                "2001:db8:77::/48".parse().unwrap(),
                "2001:db8:ff00::/48".parse().unwrap(),
            ],
            server_prefix: Some("2001:db8:77::/64".parse().unwrap()),
            hosts4: vec![[10, 77, 0, 1].into(), [10, 77, 3, 53].into()],
            hosts6: vec!["2001:db8:77:9::53".parse().unwrap()],
        };
        let contains = |address: &str| clients.contains(address.parse().unwrap());
        for theirs in [
            "10.77.0.2",
            "10.77.255.255",
            "2001:db8:77:1::1",
            "2001:db8:77:9::54",
            "2001:db8:ff00::1",
        ] {
            assert!(contains(theirs), "{theirs}");
        }
        for other in [
            "10.77.0.1",
            "10.77.3.53",
            "10.78.0.2",
            "2001:db8:77::5",
            "2001:db8:77:9::53",
            "2001:db8:78::1",
            "::ffff:10.77.0.2",
        ] {
            assert!(!contains(other), "{other}");
        }
        assert!(clients.is_broadcast([10, 77, 255, 255].into()));
        assert!(!clients.is_broadcast([10, 77, 0, 255].into()));
        assert!(!Clients::default().contains([10, 77, 0, 2].into()));
    }
}
