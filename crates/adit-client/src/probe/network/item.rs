//! The things that a session should give, and what to do where one does not come.

use std::net::IpAddr;

/// What is expected of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Ipcp,
    Ipv6cp,
    Router,
    Dhcp6,
    Echo(IpAddr),
}

impl Item {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ipcp => "ipcp",
            Self::Ipv6cp => "ipv6cp",
            Self::Router => "router-advertisement",
            Self::Dhcp6 => "dhcpv6",
            Self::Echo(IpAddr::V4(_)) => "echo-ipv4",
            Self::Echo(IpAddr::V6(_)) => "echo-ipv6",
        }
    }

    /// What to do if nothing comes.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Ipcp => "the server does not answer IPCP: see whether it has an IPv4 pool",
            Self::Ipv6cp => "the server does not answer IPv6CP: switch IPv6 on for its PPP links",
            Self::Router => {
                "no Router Advertisement, so clients get no address: run a router advertisement \
                 daemon on the server's PPP interfaces"
            }
            Self::Dhcp6 => {
                "the advertisement says that DHCPv6 has more (O flag), but nothing answers \
                 Information-Request"
            }
            Self::Echo(_) => {
                "nothing comes back through the tunnel from the server's own address: see whether \
                 its firewall lets ICMP in on the PPP interface"
            }
        }
    }

    pub(super) fn is_ipv6(self) -> bool {
        !matches!(self, Self::Ipcp | Self::Echo(IpAddr::V4(_)))
    }
}
